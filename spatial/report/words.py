"""Every sentence of posters, plates and decision sheet, Chinese first; single terms are the glossary's."""

from __future__ import annotations

from typing import Any

from spatial.schema import Term, term

__all__ = ["every_word", "word"]

_WORDS = {
    "day": ("{year}年{month}月{day}日", "{year}-{month:02d}-{day:02d}"),
    "poster": ("网格与路灯规划图", "Grids, street lamps and notice boards"),
    "poster_plain": ("规划图", "plan"),
    "decision": ("规划决策表", "Decision sheet"),
    "say": ("有话要说", "Your say"),
    "say_code": ("扫码留言", "Scan to comment"),
    "say_how": (
        "有话要说：在方案的网页上点「留言」，存成文件交给社区。",
        "Your say: press Note on the plan's page and hand the saved file to the office.",
    ),
    "plate": ("第{n}网格", "Grid {n}"),
    "legend_grid": ("网格和网格号", "Grid and its number"),
    "legend_exclusive": ("专属网格（单位自管）", "Exclusive grid"),
    "legend_lamp_new": ("新装路灯", "New lamp"),
    "legend_lamp_existing": ("现有路灯", "Existing lamp"),
    "legend_board": ("宣传栏", "Notice board"),
    "legend_meeting": ("集合点", "Meeting point"),
    "legend_lit": ("亮灯巷道", "Lit alley"),
    "legend_dark": ("未亮灯巷道", "Dark alley"),
    "legend_water": ("水面", "Water"),
    "legend_other": ("铁路、大路等阻隔", "Railway, main road or wall"),
    "legend_building": ("房屋", "Building"),
    "board_sign": ("栏", "i"),
    "north": ("北", "N"),
    "scale": ("比例尺 1:{n:,}（{paper} 原大）", "Scale 1:{n:,} at {paper}"),
    "metres": ("{n} 米", "{n} m"),
    "crs": ("坐标系 {name}（{code}）", "CRS {name} ({code})"),
    "plan_id": ("方案号 {id}", "Plan {id}"),
    "reach": ("亮灯：距灯 {n:g} 米以内", "Lit: within {n:g} m of a lamp"),
    "reach_sight": (
        "亮灯：距灯 {n:g} 米以内、不被房屋遮挡",
        "Lit: within {n:g} m of a lamp, no house between",
    ),
    "lux": ("亮灯：按照度计算", "Lit: by illuminance"),
    "estimated": ("户数按房屋估算，非实数。", "Households are estimated from buildings."),
    # key figures and the rows of the decision sheet
    "grids_of": ("个网格", "grids"),
    "grids_size": (
        "每个 {least}–{most} 户，{share} 达标",
        "{least}–{most} households each, {share} within the limits",
    ),
    "grids_row": ("网格户数达标", "Grids within their limits"),
    "lamps_of": ("盏新路灯", "new lamps"),
    "lamps_beside": ("另有现有路灯 {n} 盏", "beside {n} existing"),
    "lit_of": ("巷道亮灯", "of alley lit"),
    "lit_before": ("{m:,} 米，今天 {share}", "{m:,} m; today {share}"),
    "lit_row": ("亮灯巷道", "Alley that is lit"),
    "boards_of": ("处宣传栏", "notice boards"),
    "boards_near": ("{who}步行 {walk:g} 米内可到", "{who} within a walk of {walk:g} m"),
    "boards_row": ("步行 {walk:g} 米内有宣传栏的户", "Households within {walk:g} m of a board"),
    "all_but_few": ("除不足 {n} 户外都", "all but fewer than {n} households"),
    "too_few": ("不足 {n} 户", "fewer than {n} households"),
    "below": ("不足 {n}", "fewer than {n}"),
    "but_few": ("除不足 {n} 外全部", "all but fewer than {n}"),
    "of_households": ("{n:,} 户（{share}）", "{n:,} households ({share})"),
    "way_row": ("回家路亮灯（户均）", "Way home that is lit, mean"),
    "way_worst_row": ("回家路最暗的一成户", "The tenth with the darkest way"),
    "doors_row": ("家门前亮灯的户", "Households with light at the door"),
    "walk_row": ("到网格集合点平均步行", "Mean walk to the grid's meeting point"),
    "facility_row": ("{name}：在规定路程内", "{name}: served within the limit"),
    "metres_share": ("{m:,} 米（{share}）", "{m:,} m ({share})"),
    "served_of": ("{n:,}/{of:,}", "{n:,} of {of:,}"),
    "metres_one": ("{m:.0f} 米", "{m:.0f} m"),
    "no_grids": ("未划分", "none yet"),
    "no_boards": ("无", "none"),
    "sites_standing": ("现有 {n} 处", "{n} stand"),
    "not_counted": ("未统计", "not counted"),
    # how good a figure is
    "best": ("已证明最优", "proven best"),
    "near_best": ("距理论最优不超过 {gap}", "within {gap} of the best there can be"),
    "unproven": ("没有证明", "not proven"),
    "follows": ("随方案而定，未单独优化", "follows from the plan"),
    "at_most_m": ("同样条件最多 {m:,} 米", "at most {m:,} m could be"),
    "at_most_n": ("同样条件最多 {n:,}", "at most {n:,} could be"),
    "fewest_proof": ("盏数{proof}", "number of lamps: {proof}"),
    "proof_and_bound": ("{proof}，{bound}", "{proof}, {bound}"),
    "all_kept": ("全部满足", "all are kept"),
    # the decision sheet
    "figure": ("指标", "Figure"),
    "today": ("今天（不做）", "Today (do nothing)"),
    "planned": ("规划", "Planned"),
    "how_good": ("有多好", "How good"),
    "curve": ("装多少盏灯，巷道亮多少", "Lamps and the share of alley lit"),
    "curve_x": ("新路灯（盏）", "New lamps"),
    "curve_y": ("亮灯比例", "Share lit"),
    "curve_here": ("本方案 {n} 盏，{share}", "this plan: {n}, {share}"),
    "curve_line": ("最多能亮多少", "the most that many can light"),
    "curve_bound": ("理论上限", "proven bound"),
    "cost": ("造价", "Cost"),
    "cost_known": (
        "{what} {known} 处有造价，合计 {sum:,.0f} 元",
        "{what}: {known} with a price, {sum:,.0f} CNY in all",
    ),
    "cost_partly": (
        "{what} {of} 处中 {known} 处有造价，合计 {sum:,.0f} 元；其余未知",
        "{what}: {known} of {of} with a price, {sum:,.0f} CNY; the rest is unknown",
    ),
    "cost_unknown": ("{what}：数据中没有造价", "{what}: no prices in the data"),
    "open": (
        "未满足的承诺 {faults} 条，疑点 {doubts} 条（见 tables.xlsx“说明”）",
        "Promises not kept: {faults}; doubts: {doubts} (see tables.xlsx)",
    ),
    "vote": (
        "决定：  □ 同意    □ 修改后同意    □ 不同意",
        "Decision:  agreed / agreed with changes / not agreed",
    ),
    "sign": ("签字：                    日期：", "Signature and date"),
    "proof_note": (
        "“已证明最优”：在同样的条件和数据下，没有更好的方案；“理论上限”：任何方案都不能超过。",
        "“Proven best”: under the same rules and data no plan is better. A bound can be exceeded by none.",
    ),
    "kml_datum": (
        "坐标为 WGS 84；高德、腾讯、百度等地图另有偏移。",
        "Coordinates are WGS 84; maps in GCJ-02 or BD-09 show them elsewhere.",
    ),
    # plates
    "in_charge": ("负责", "In charge"),
    "worker": ("{n}号网格员", "grid worker {n}"),
    "meet_at": ("集合点", "Meeting point"),
    "homes": ("{n} 户", "{n}"),
    "homes_estimated": ("约 {n} 户（按房屋估算）", "about {n}, estimated from buildings"),
    "codes": ("{count}：{codes}", "{count}"),
    "see_star": ("见图中绿星", "green star on the map"),
    "boards_here": ("最近的宣传栏", "Nearest notice boards"),
    "lamps_here": ("本网格路灯", "Lamps in this grid"),
    "lamps_count": ("新装 {new} 盏，现有 {old} 盏", "{new} new, {old} existing"),
    "lamp_codes": ("新灯编号", "Codes of new lamps"),
    "size_here": ("户数", "Households"),
    "mean_walk": ("到集合点平均 {m:.0f} 米", "mean walk to the meeting point {m:.0f} m"),
    "none_here": ("无", "none"),
}


def word(key: str, **values: Any) -> Term:
    """A sentence with its values filled in; a key that is not ours is a term of the glossary.

    A value that is a :class:`Term` is filled in with its own language.
    """
    said = Term(*_WORDS[key]) if key in _WORDS else term(key)
    zh = {name: each.zh if isinstance(each, Term) else each for name, each in values.items()}
    en = {name: each.en if isinstance(each, Term) else each for name, each in values.items()}
    return Term(said.zh.format(**zh), said.en.format(**en))


def every_word() -> list[str]:
    """All texts, as the characters a typeface must have."""
    glossary = [term(each) for each in ("lamps", "boards", "grids", "households_unit", "branch_id", "legend")]
    return [text for pair in _WORDS.values() for text in pair] + [
        text for each in glossary for text in (each.zh, each.en)
    ]
