"""The data contract as tables: what comes in, what goes out, and what each thing is called.

``LAYERS`` is what a community folder may hold, ``PLAN_LAYERS`` what a plan folder holds,
``SUMMARY`` the figures of ``summary.json`` and ``GLOSSARY`` the one list of Chinese and English
names that every page, sheet and message takes its words from. Nothing here reads or computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "BOUNDS",
    "FACILITY",
    "GLOSSARY",
    "LAYERS",
    "PERSONAL_HEADINGS",
    "PLAN_LAYERS",
    "SUMMARY",
    "SUMMARY_HEAD",
    "Column",
    "Figure",
    "Layer",
    "PlanColumn",
    "PlanLayer",
    "Term",
    "term",
]

Dtype = Literal["text", "int", "float", "bool"]
Geometry = Literal["point", "line", "polygon", "raster"]


@dataclass(frozen=True)
class Column:
    """A column that is read from an input layer. Every other column of a file is left unread."""

    name: str
    dtype: Dtype
    zh: str
    unit: str = ""
    aliases: tuple[str, ...] = ()  # further headings, matched without case, spaces and underscores
    choices: dict[str, tuple[str, ...]] | None = None  # allowed value → other spellings of it
    default: str | int | float | bool | None = None  # None: empty stays empty
    minimum: float | None = None
    maximum: float | None = None
    personal: bool = False  # never on a residents' page or in a public file
    id: bool = False  # unique within the layer; made from the order of geometry where absent
    text_fallback: bool = False  # values outside `choices` stay, with a note
    lines: bool = False  # text that may run over several lines; any other is put on one


@dataclass(frozen=True)
class Layer:
    """An input layer: its geometry, its columns and the names it is found by."""

    name: str
    zh: str
    geometry: tuple[Geometry, ...]
    columns: tuple[Column, ...]
    aliases: tuple[str, ...] = ()
    required: bool = False
    en: str = ""

    @property
    def id_column(self) -> str | None:
        """Name of the id column, or None where the layer has none."""
        return next((each.name for each in self.columns if each.id), None)

    def column(self, name: str) -> Column:
        """The column of that name; KeyError where the contract has none."""
        for each in self.columns:
            if each.name == name:
                return each
        raise KeyError(name)


STATUS = {
    "candidate": ("候选", "候选点", "可选", "new"),
    "existing": ("现有", "已有", "既有", "现状"),
    "required": ("必选", "必须", "must"),
    "forbidden": ("禁用", "禁止", "不可用", "barred"),
}
YES_NO = {"yes": ("是", "同意", "y", "true", "1"), "no": ("否", "不同意", "n", "false", "0")}

_LAYERS = (
    Layer(
        "alleys",
        "巷道",
        ("line",),
        (
            Column("alley_id", "text", "巷道编号", id=True, aliases=("巷号", "编号", "id", "osm_id")),
            Column(
                "name",
                "text",
                "巷名",
                aliases=("名称", "路名", "道路名称", "道路名", "街巷名称", "街巷名", "巷道名称"),
                lines=True,
            ),
            Column(
                "kind",
                "text",
                "类别",
                aliases=("类型", "等级", "highway", "fclass", "道路类型", "道路等级", "道路类别"),
                choices={
                    "alley": ("巷", "巷道", "弄", "living_street", "pedestrian"),
                    "lane": ("胡同", "支路", "service", "residential", "unclassified"),
                    "street": ("街", "街道", "tertiary", "tertiary_link"),
                    "road": (
                        "路",
                        "主路",
                        "主干道",
                        "公路",
                        "secondary",
                        "primary",
                        "trunk",
                        "motorway",
                        "secondary_link",
                        "primary_link",
                        "trunk_link",
                        "motorway_link",
                    ),
                    "path": ("小路", "小径", "footway", "cycleway", "track", "bridleway", "corridor"),
                    "steps": ("台阶", "踏步", "阶梯"),
                },
                text_fallback=True,
            ),
            Column(
                "width_m",
                "float",
                "巷宽",
                "m",
                aliases=("宽度", "路宽", "道路宽度", "路面宽度", "巷道宽度", "width"),
                minimum=0.0,
                maximum=200.0,
            ),
            Column("surface", "text", "路面", aliases=("路面材料", "铺装", "路面类型", "路面材质")),
            Column("condition", "int", "现状", aliases=("路况", "现状等级"), minimum=1, maximum=5),
            Column("lit", "bool", "已亮灯", aliases=("照明", "有无路灯")),
            Column("level", "int", "层", aliases=("layer", "层级", "标高层"), minimum=-20, maximum=20),
            Column("bridge", "bool", "桥", aliases=("是否桥梁", "桥梁")),
            Column("tunnel", "bool", "隧道", aliases=("是否隧道", "涵洞")),
            Column(
                "drain",
                "text",
                "排水沟",
                aliases=("排水", "边沟"),
                choices={"none": ("无",), "open": ("明沟",), "covered": ("暗沟", "盖板沟")},
                text_fallback=True,
            ),
            Column("light_class", "text", "照明等级", aliases=("照明类别",)),
        ),
        aliases=(
            "alley",
            "道路",
            "巷",
            "街巷",
            "道路中心线",
            "roads",
            "road",
            "streets",
            "lines",
            "highways",
        ),
        required=True,
        en="Alleys",
    ),
    Layer(
        "households",
        "住户",
        ("point", "polygon"),
        (
            Column(
                "household_id",
                "text",
                "住户编号",
                id=True,
                aliases=("户号", "门牌号", "户编号", "门牌号码", "编号", "id"),
            ),
            Column(
                "households",
                "int",
                "户数",
                "households",
                aliases=("户", "住户数", "居民户数", "总户数", "户籍户数"),
                default=1,
                minimum=1,
                maximum=20000,
            ),
            Column(
                "residents",
                "int",
                "人口",
                "people",
                aliases=(
                    "人数",
                    "人口数",
                    "常住人口",
                    "常住人口数",
                    "总人口",
                    "家庭人口",
                    "户籍人口",
                    "户籍人口数",
                ),
                minimum=0,
                maximum=100000,
            ),
            Column(
                "elderly",
                "int",
                "老人",
                "people",
                aliases=(
                    "老年人",
                    "60岁以上",
                    "老人数",
                    "60周岁以上",
                    "60岁以上老人",
                    "老年人口",
                    "老年人数",
                ),
                minimum=0,
                maximum=100000,
                personal=True,
            ),
            Column(
                "party_members",
                "int",
                "党员",
                "people",
                aliases=("党员数", "党员人数", "党员数量"),
                minimum=0,
                maximum=100000,
                personal=True,
            ),
            Column(
                "group",
                "text",
                "村民小组",
                aliases=(
                    "组别",
                    "小组",
                    "组",
                    "village_group",
                    "村民小组名称",
                    "小组名称",
                    "所属小组",
                    "所在小组",
                ),
            ),
            Column("building_id", "text", "楼栋编号", aliases=("楼号", "楼栋", "栋号", "建筑编号")),
            Column("unit", "text", "单元", aliases=("单元号",)),
            Column("floor", "text", "楼层", aliases=("层数", "所在层")),
            Column("address", "text", "地址", aliases=("住址", "详细地址"), personal=True, lines=True),
            Column("locked_grid", "text", "指定网格", aliases=("锁定网格",)),
            Column("locked_branch", "text", "指定支部", aliases=("锁定支部",)),
        ),
        aliases=(
            "household",
            "房屋",
            "户",
            "居民",
            "农户",
            "居民户",
            "住户点",
            "人口",
            "门牌",
            "houses",
            "doors",
        ),
        en="Households",
    ),
    Layer(
        "lamp_sites",
        "路灯候选点",
        ("point",),
        (
            Column(
                "site_id",
                "text",
                "点位编号",
                id=True,
                aliases=("编号", "灯号", "路灯编号", "灯杆编号", "lamp_id", "id"),
            ),
            Column("status", "text", "状态", aliases=("类型",), choices=STATUS, default="candidate"),
            Column(
                "mount",
                "text",
                "安装方式",
                aliases=("安装",),
                choices={"pole": ("灯杆", "杆装", "杆"), "wall": ("墙装", "墙", "壁装")},
            ),
            Column(
                "consent",
                "text",
                "户主同意",
                aliases=("同意",),
                choices={**YES_NO, "unknown": ("未知", "不详", "待定")},
                default="unknown",
            ),
            Column("height_m", "float", "安装高度", "m", aliases=("灯高", "高度"), minimum=0.5, maximum=60.0),
            Column("aim_deg", "float", "朝向", "deg", aliases=("朝向角",), minimum=-360.0, maximum=720.0),
            Column(
                "azimuth_deg", "float", "方位角", "deg", aliases=("azimuth",), minimum=-360.0, maximum=720.0
            ),
            Column("tilt_deg", "float", "仰角", "deg", aliases=("倾角",), minimum=-90.0, maximum=90.0),
            Column("luminaire", "text", "灯具", aliases=("灯具型号",)),
            Column("flux_lm", "float", "光通量", "lm", aliases=("流明",), minimum=0.0, maximum=1e6),
            Column("power_w", "float", "功率", "W", aliases=("瓦数",), minimum=0.0, maximum=1e5),
            Column("cost_cny", "float", "造价", "CNY", aliases=("费用", "单价"), minimum=0.0, maximum=1e9),
        ),
        aliases=("lamp_site", "路灯", "路灯点", "灯杆", "lamps", "lamp_candidates", "street_lamps"),
        en="Lamp sites",
    ),
    Layer(
        "board_sites",
        "宣传栏候选点",
        ("point",),
        (
            Column("site_id", "text", "点位编号", id=True, aliases=("编号", "board_id", "id")),
            Column("status", "text", "状态", aliases=("类型",), choices=STATUS, default="candidate"),
            Column("cost_cny", "float", "造价", "CNY", aliases=("费用", "单价"), minimum=0.0, maximum=1e9),
        ),
        aliases=("board_site", "宣传栏", "公告栏", "boards", "board_candidates", "notice_boards"),
        en="Notice board sites",
    ),
    Layer(
        "buildings",
        "建筑",
        ("polygon",),
        (
            Column("building_id", "text", "建筑编号", id=True, aliases=("楼号", "编号", "id", "osm_id")),
            Column(
                "height_m",
                "float",
                "建筑高度",
                "m",
                aliases=("高度", "楼高", "房屋高度", "height"),
                minimum=0.0,
                maximum=900.0,
            ),
            Column(
                "storeys",
                "float",
                "层数",
                "storeys",
                aliases=("楼层", "楼层数", "房屋层数", "建筑层数", "地上层数", "floors", "levels"),
                minimum=0,
                maximum=200,
            ),
            Column("use", "text", "用途", aliases=("建筑用途", "房屋用途", "使用性质", "building", "类型")),
            Column(
                "households",
                "int",
                "户数",
                "households",
                aliases=("住户数", "flats"),
                minimum=0,
                maximum=20000,
            ),
        ),
        aliases=(
            "building",
            "房屋面",
            "房屋轮廓",
            "建筑轮廓",
            "建筑面",
            "建筑物",
            "楼栋",
            "footprints",
            "居民地",
            "jmd",
        ),
        en="Buildings",
    ),
    Layer(
        "boundary",
        "社区边界",
        ("polygon",),
        (Column("name", "text", "名称", aliases=("社区", "社区名称"), lines=True),),
        aliases=("边界", "社区范围", "范围", "community"),
        en="Boundary",
    ),
    Layer(
        "barriers",
        "阻隔",
        ("line", "polygon"),
        (
            Column("barrier_id", "text", "阻隔编号", id=True, aliases=("编号", "id", "osm_id")),
            Column("kind", "text", "类别", aliases=("类型",)),
            Column("name", "text", "名称", lines=True),
        ),
        aliases=("barrier", "河流", "水系", "铁路", "障碍"),
        en="Barriers",
    ),
    Layer(
        "groups",
        "村民小组",
        ("polygon",),
        (Column("group", "text", "村民小组", id=True, aliases=("组别", "小组", "名称", "name")),),
        aliases=("village_groups", "小组", "小组范围"),
        en="Village groups",
    ),
    Layer(
        "places",
        "场所",
        ("point", "polygon"),
        (
            Column("place_id", "text", "场所编号", id=True, aliases=("编号", "id")),
            Column(
                "kind",
                "text",
                "类别",
                aliases=("类型",),
                choices={
                    "entrance": ("出入口", "路口", "大门"),
                    "school": ("学校", "小学", "幼儿园"),
                    "clinic": ("卫生室", "卫生站", "医院", "诊所"),
                    "office": ("办公", "办公室", "居委会", "村委会", "机关"),
                    "bus_stop": ("公交站", "车站"),
                },
                text_fallback=True,
            ),
            Column("name", "text", "名称", lines=True),
            Column("exclusive", "bool", "专属网格", aliases=("专属",)),
        ),
        aliases=("place", "场所点", "设施", "poi", "pois"),
        en="Places",
    ),
    Layer(
        "power_points",
        "电源",
        ("point",),
        (
            Column("power_id", "text", "电源编号", id=True, aliases=("编号", "id")),
            Column("capacity_w", "float", "容量", "W", aliases=("功率",), minimum=0.0),
            Column("phases", "int", "相数", aliases=("相",), minimum=1, maximum=3),
        ),
        aliases=("power_point", "电源点", "配电箱", "power"),
        en="Power points",
    ),
    Layer(
        "vacant_buildings",
        "闲置房屋",
        ("point", "polygon"),
        (
            Column("building_id", "text", "建筑编号", id=True, aliases=("编号", "id")),
            Column("area_m2", "float", "面积", "m2", aliases=("建筑面积",), minimum=0.0),
            Column("capacity", "int", "容量", "people", aliases=("可容纳人数", "床位"), minimum=0),
            Column("cost_cny", "float", "改造费用", "CNY", aliases=("造价", "费用"), minimum=0.0),
        ),
        aliases=("vacant_building", "闲置", "空置房屋", "空置建筑"),
        en="Vacant buildings",
    ),
    Layer("elevation", "高程", ("raster",), (), aliases=("dem", "dtm", "高程模型"), en="Elevation"),
)

LAYERS: dict[str, Layer] = {each.name: each for each in _LAYERS}

#: Headings of personal columns that are met in practice. Never read; named in the check's notes.
PERSONAL_HEADINGS = (
    "户主",
    "姓名",
    "户主姓名",
    "身份证",
    "身份证号",
    "电话",
    "手机",
    "联系电话",
    "手机号",
    "出生日期",
    "性别",
    "民族",
    "head",
    "head_of_household",
    "owner",
    "person",
    "id_card",
    "phone",
    "mobile",
    "birth_date",
    "birthday",
)


@dataclass(frozen=True)
class PlanColumn:
    """A column of a plan layer; its Chinese and English names stand in ``GLOSSARY``."""

    name: str
    dtype: Dtype
    unit: str = ""
    personal: bool = False


@dataclass(frozen=True)
class PlanLayer:
    """A layer of ``plan.gpkg``; ``geometry`` None is a plain table. Rows are sorted by ``key``."""

    name: str
    geometry: Literal["Point", "LineString", "MultiLineString", "MultiPolygon"] | None
    columns: tuple[PlanColumn, ...]
    key: tuple[str, ...]


def _plan_layer(name: str, geometry: str | None, key: str, columns: str) -> PlanLayer:
    """One row of the table below: ``name:dtype[:unit]`` separated by spaces, ``!`` marks personal."""
    parsed = []
    for each in columns.split():
        field, dtype, unit, *_ = [*each.rstrip("!").split(":"), ""]
        parsed.append(PlanColumn(field, dtype, unit, personal=each.endswith("!")))  # type: ignore[arg-type]
    return PlanLayer(name, geometry, tuple(parsed), tuple(key.split()))  # type: ignore[arg-type]


_PLAN_LAYERS = (
    _plan_layer(
        "grids",
        "MultiPolygon",
        "grid_id",
        "grid_id:int code:text name:text kind:text branch_id:int worker_id:int households:int:households "
        "residents:int:people elderly:int:people! party_members:int:people! groups:text main_group:text "
        "walk_mean_m:float:m "
        "walk_max_m:float:m meeting_household_id:text! leader_role:text fault:text",
    ),
    _plan_layer(
        "households",
        "Point",
        "household_id part",
        "household_id:text! part:int households:int:households group:text residents:int:people "
        "elderly:int:people! grid_id:int zone:int zone_group:int walk_to_meeting_m:float:m "
        "board_id:text walk_to_board_m:float:m share_way_lit:float",
    ),
    _plan_layer(
        "zones",
        None,
        "building_id zone zone_group",
        "building_id:text zone:int zone_group:int name:text name_en:text from_unit:text from_floor:text "
        "to_unit:text to_floor:text households:int:households residents:int:people elderly:int:people!",
    ),
    _plan_layer(
        "lamps",
        "Point",
        "lamp_code",
        "site_id:text lamp_code:text status:text rank:int gain_m:float:m alley_id:text grid_id:int "
        "mount:text height_m:float:m aim_deg:float:deg tilt_deg:float:deg luminaire:text flux_lm:float:lm "
        "power_w:float:W cost_cny:float:CNY quarter:text x:float:m y:float:m",
    ),
    _plan_layer(
        "lamp_ranking", None, "rank", "rank:int site_id:text gain_m:float:m lit_m:float:m worth:float"
    ),
    _plan_layer(
        "lamp_curve",
        None,
        "n_lamps",
        "n_lamps:int:lamps lit_m:float:m bound_m:float:m worth:float bound_worth:float",
    ),
    _plan_layer(
        "light_shares",
        None,
        "by id",
        "by:text id:text households:int:households alley_m:float:m lit_m:float:m share_lit:float "
        "way_lit_mean:float",
    ),
    _plan_layer(
        "boards",
        "Point",
        "board_code",
        "site_id:text board_code:text status:text rank:int households_served:int:households alley_id:text "
        "grid_id:int keeper_role:text lit_at_night:bool quarter:text x:float:m y:float:m",
    ),
    _plan_layer(
        "facilities",
        "Point",
        "facility site_id",
        "facility:text site_id:text status:text rank:int served:float capacity:float alley_id:text "
        "grid_id:int quarter:text x:float:m y:float:m",
    ),
    _plan_layer(
        "facility_walks",
        None,
        "facility household_id",
        "facility:text household_id:text! demand:float! site_id:text walk_m:float:m walk_min:float:min",
    ),
    _plan_layer(
        "alleys",
        "MultiLineString",
        "alley_id",
        "alley_id:text name:text grid_id:int length_m:float:m lit_m:float:m share_lit:float dark_rank:int "
        "unchosen_why:text unchosen_site_id:text unchosen_gain_m:float:m quarter:text",
    ),
    _plan_layer(
        "stretches",
        "LineString",
        "alley_id from_m",
        "alley_id:text from_m:float:m length_m:float:m lit:bool n_lamps:int:lamps",
    ),
)

PLAN_LAYERS: dict[str, PlanLayer] = {each.name: each for each in _PLAN_LAYERS}


@dataclass(frozen=True)
class Figure:
    """A value of ``summary.json``: a number is finite and not negative, a share from 0 to 1."""

    dtype: Literal["text", "int", "float", "share", "list"]
    empty: bool  # may be null


def _figures(text: str) -> dict[str, Figure]:
    """One row of the table below: ``name:dtype`` separated by spaces, ``?`` where null is allowed."""
    parsed = (each.split(":") for each in text.split())
    return {name: Figure(dtype.rstrip("?"), dtype.endswith("?")) for name, dtype in parsed}  # type: ignore[arg-type]


#: The figures of one kind of facility in the summary; walks are in its ``unit``.
FACILITY = _figures(
    "n_chosen:int n_existing:int unit:text limit:float demand:float served:float share_served:share "
    "bound_served:float total_walk:float walk_mean:float? walk_max:float? bound_walk:float? gap:float? "
    "bound_by:text"
)

#: The figures of ``summary.json`` by section. A section that was not planned is null.
SUMMARY: dict[str, dict[str, Figure]] = {
    "grids": _figures(
        "n:int n_exclusive:int min:int mean:float max:int feasible_share:share contiguous_share:share "
        "objective_m:float walk_mean_m:float walk_max_m:float meeting_walk_m:float group_cost_m:float "
        "bound_m:float gap:float? bound_by:text groups_split:int mixing_share:share outside_share:share "
        "groups_walk_m:float? n_without_party:int? n_under_3_party:int? n_plain:int "
        "objective_plain_m:float? parts:list"
    ),
    "lamps": _figures(
        "n_chosen:int n_existing:int alley_m:float already_lit_m:float lightable_m:float lit_m:float "
        "lit_before_m:float share_lit:share share_of_lightable:share? bound_m:float? weight:text "
        "worth:float worth_lightable:float bound_worth:float gap:float? bound_by:text model:text "
        "order_short:float? order_short_least:float? share_alleys_with_lamp:share share_doors_lit:share? "
        "share_doors_lit_before:share? dark_run_m:float dark_run_alley_id:text? dark_run_from_m:float? "
        "way_lit_mean:share? way_lit_worst_tenth:share? way_lit_elderly:share? way_lit_mean_before:share? "
        "way_lit_worst_tenth_before:share?"
    ),
    "boards": _figures(
        "n_chosen:int households_served:int share_served:share total_walk_m:float walk_mean_m:float? "
        "walk_max_m:float? bound_household_m:float? gap:float? bound_by:text bound_served:int "
        "n_lit_at_night:int?"
    ),
    "facilities": {},  # one section per table [facility.<name>], each with the keys of FACILITY
}

#: What stands in ``summary.json`` beside the sections, before them.
SUMMARY_HEAD = (
    *("community", "plan_id", "crs", "seed", "versions", "inputs", "kept"),
    *("settings", "notes", "doubts", "faults"),
)


#: The arrays of ``bounds.npz`` in groups that come together, each with the type and the name of its rows:
#: arrays with rows of one name have one length. ``?`` marks those that may be left out of their group.
BOUNDS: tuple[dict[str, tuple[str, str]], ...] = tuple(
    {name: (dtype, rows) for name, dtype, rows in (each.split(":") for each in group.split())}
    for group in (
        "price_m:float:served component:int:served component_grids:int:components "
        "component_low:int:components component_high:int:components component_by_solver:int:components",
        "plain_grid?:int:any free_grid?:int:any",
        "planned_household:text:planned planned_part:int:planned planned_grid:int:planned",
        "lamps_alley:int:pieces lamps_from_m:float:pieces lamps_to_m:float:pieces "
        "lamps_per_m?:float:pieces lamps_price?:float:pieces lamps_goal_price?:float:1 "
        "lamps_curve_place?:int:pieces lamps_curve_n?:int:points lamps_curve_price?:float:any",
        "lamps_apart_set:int:members lamps_apart_site:int:members lamps_apart_price:float:sets "
        "lamps_shown_price:float:shown",
        "boards_served_price:float:households",
        "boards_price_m:float:households boards_far_price_m:float:1",
        "facilities_walk:float:needs facilities_served:float:needs facilities_far:float:kinds",
        "facilities_made_kind:int:made facilities_made_x:float:made facilities_made_y:float:made",
        "elevation:float:cells elevation_transform:float:6",
    )
)


@dataclass(frozen=True)
class Term:
    """One idea, one Chinese and one English name."""

    zh: str
    en: str


def _terms() -> dict[str, Term]:
    """Words that are not a layer's or an input column's own, then those two."""
    words = {
        "community": ("社区", "Community"),
        "grid": ("网格", "Grid"),
        "grids": ("网格", "Grids"),
        "grid_id": ("网格号", "Grid"),
        "code": ("编码", "Code"),
        "name": ("名称", "Name"),
        "branch_id": ("党支部", "Party branch"),
        "worker_id": ("网格员", "Grid worker"),
        "households": ("户数", "Households"),
        "groups": ("村民小组", "Village groups"),
        "main_group": ("主要村民小组", "Main village group"),
        "walk_mean_m": ("平均步行距离", "Mean walk"),
        "walk_max_m": ("最远步行距离", "Longest walk"),
        "meeting_household_id": ("集合点住户", "Meeting door"),
        "meeting_point": ("集合点", "Meeting point"),
        "kept_alleys": ("管护巷道", "Alleys kept"),
        "kept_m": ("管护长度", "Length kept"),
        "unnamed_alleys": ("无名巷道{n}条", "{n} unnamed"),
        "ordinary": ("普通网格", "Ordinary grid"),
        "leader_role": ("负责岗位", "Role in charge"),
        "keeper_role": ("管护岗位", "Role of the keeper"),
        "fault": ("问题", "Fault"),
        "faults": ("问题", "Faults"),
        "doubts": ("疑点", "Doubts"),
        "notes": ("说明", "Notes"),
        "part": ("分部", "Part"),
        "zones": ("楼栋分区", "Zones of buildings"),
        "zone": ("区", "Zone"),
        "zone_group": ("组", "Group"),
        "name_en": ("英文名称", "English name"),
        "from_unit": ("起始单元", "From unit"),
        "from_floor": ("起始楼层", "From floor"),
        "to_unit": ("终止单元", "To unit"),
        "to_floor": ("终止楼层", "To floor"),
        "walk_to_meeting_m": ("到集合点", "Walk to meeting point"),
        "board_id": ("最近宣传栏", "Nearest board"),
        "walk_to_board_m": ("到宣传栏", "Walk to board"),
        "share_way_lit": ("回家路亮灯比例", "Share of way home lit"),
        "lamps": ("路灯", "Street lamps"),
        "lamp": ("路灯", "Lamp"),
        "lamp_code": ("灯号", "Lamp"),
        "rank": ("次序", "Rank"),
        "gain_m": ("新增亮灯", "Metres gained"),
        "quarter": ("季度", "Quarter"),
        "x": ("东坐标", "Easting"),
        "y": ("北坐标", "Northing"),
        "lit_m": ("亮灯长度", "Lit length"),
        "bound_m": ("理论上限", "Proven bound"),
        "n_lamps": ("路灯数", "Lamps"),
        "worth": ("加权亮灯", "Weighted light"),
        "bound_worth": ("加权上限", "Proven bound, weighted"),
        "alley_m": ("巷道长度", "Length of alley"),
        "dark_rank": ("暗度名次", "Rank by darkness"),
        "unchosen_why": ("未装原因", "Why no new lamp"),
        "why_lit": ("已全部照亮", "All of it is lit"),
        "why_no-site": ("没有点位能照到", "No site could light it"),
        "why_site-barred": ("能照到的点位不能用", "The sites that could may not be used"),
        "why_gains-less": ("别处新增更多", "Lamps elsewhere add more"),
        "unchosen_site_id": ("最近未选点", "Nearest site not chosen"),
        "unchosen_gain_m": ("可新增亮灯", "Metres it would add"),
        "light_shares": ("亮灯公平", "Light by grid and group"),
        "by": ("统计单元", "By"),
        "id": ("编号", "Id"),
        "way_lit_mean": ("回家路平均亮灯比例", "Mean share of way home lit"),
        "way_lit_worst_tenth": ("回家路最暗一成住户的亮灯比例", "Share of way home lit, darkest tenth"),
        "way_lit_elderly": ("老人回家路平均亮灯比例", "Mean share of way home lit, elderly"),
        "share_doors_lit": ("门前有灯的住户比例", "Households with light at the door"),
        "share_alleys_with_lamp": ("装灯巷道比例（安装率）", "Alleys with a lamp"),
        "dark_run_m": ("最长暗段", "Longest dark run"),
        "length_m": ("长度", "Length"),
        "share_lit": ("亮灯比例", "Share lit"),
        "from_m": ("起点里程", "From"),
        "gap": ("差距", "Gap"),
        "boards": ("宣传栏", "Notice boards"),
        "board": ("宣传栏", "Notice board"),
        "board_code": ("栏号", "Board"),
        "lit_at_night": ("夜间可读", "Readable at night"),
        "households_served": ("服务户数", "Households served"),
        "stretches": ("路段", "Stretches"),
        "facilities": ("设施", "Facilities"),
        "facility_walks": ("设施步行", "Walks to facilities"),
        "served": ("服务量", "Served"),
        "demand": ("需求", "Demand"),
        "walk_m": ("步行距离", "Walk"),
        "walk_min": ("步行时间", "Walking time"),
        "lamp_ranking": ("安装次序", "Order of installation"),
        "lamp_curve": ("数量与效果", "Lamps and light"),
        "new": ("新建", "New"),
        "existing": ("现有", "Existing"),
        "lit": ("亮灯", "Lit"),
        "dark": ("未亮灯", "Dark"),
        "legend": ("图例", "Legend"),
        "scale": ("比例尺", "Scale"),
        "date": ("日期", "Date"),
        "unit": ("单位", "Unit"),
        "alley": ("巷道", "Alley"),
        "household": ("住户", "Household"),
        "works": ("工程", "Works"),
        "facility": ("设施", "Facility"),
        "settings": ("设置", "Settings"),
        "summary": ("汇总", "Summary"),
        "metre": ("米", "m"),
        "households_unit": ("户", "households"),
        "lamps_unit": ("盏", "lamps"),
        "boards_unit": ("处", "boards"),
        "grids_unit": ("个", "grids"),
        "people": ("人", "people"),
        "month": ("月份", "Month"),
        "person": ("姓名(手填)", "Name, by hand"),
        "done": ("已更换(手填)", "Renewed, by hand"),
        "barrier": ("阻隔", "Barrier"),
        "building": ("建筑", "Building"),
    }
    terms = {key: Term(*pair) for key, pair in words.items()}
    for layer in _LAYERS:
        terms.setdefault(layer.name, Term(layer.zh, layer.en))
        for column in layer.columns:
            english = column.name.rsplit("_", 1)[0] if column.unit else column.name
            terms.setdefault(column.name, Term(column.zh, english.replace("_", " ").capitalize()))
    return terms


GLOSSARY: dict[str, Term] = _terms()


def term(key: str) -> Term:
    """The glossary's names of ``key``; KeyError where it has none, so that no page makes up its own."""
    return GLOSSARY[key]
