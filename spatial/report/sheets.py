"""Tables of a plan for the office: one Excel file, headings in Chinese with units, text always as text."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import xlsxwriter
from pyproj import CRS
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from spatial.errors import first_ids
from spatial.schema import LAYERS, PLAN_LAYERS, PlanColumn, term
from spatial.settings import Settings

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["write_tables"]

#: Sheets in the order in which an office asks for them.
_SHEETS = {
    "grids": "网格表",
    "zones": "楼栋分区表",
    "lamps": "路灯表",
    "boards": "宣传栏表",
    "facilities": "设施表",
    "alleys": "巷道表",
    "light_shares": "亮灯公平表",
    "lamp_curve": "灯数与效果表",
}
_ROTA, _REMARKS = "宣传栏值班表", "说明"
#: What the grid roster has beside the columns of its layer.
_KEPT = (PlanColumn("kept_alleys", "text"), PlanColumn("kept_m", "float", "m"))
_CREATED = datetime.datetime(2000, 1, 1)  # same plan, same bytes

#: Nothing from data is read as a formula, a link or a number: an id 0012 stays 0012, =1+1 stays text.
_PLAIN = {
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "in_memory": True,
}

_UNITS = {"m": "metre", "households": "households_unit", "people": "people", "lamps": "lamps_unit"}
_UNITS_ZH = {"min": "分钟", "deg": "度", "lm": "流明", "W": "瓦", "CNY": "元"}
#: How a number is shown, by its unit; a share has none and a name of its own.
_FORMATS = {"m": "#,##0.0", "deg": "0", "lm": "#,##0", "W": "0.0", "CNY": "#,##0", "min": "0.0"}
_COUNT, _SHARE, _COORDINATE = "#,##0", "0.0%", "0.000"
_A4_LANDSCAPE = 9
_MARKED = "含个人信息，仅供内部使用 Personal data, internal use only"
_WIDEST = 40  # characters; longer text is wrapped
_CELL_CHARACTERS = 32_767  # the most Excel holds


def write_tables(plan: Plan, path: Path) -> None:
    """Write grid roster, schedules, alley table, board rota and remarks as ``tables.xlsx``, ready to print.

    Two heading rows, Chinese with units and English, stay in sight and are printed on each page.

    Parameters
    ----------
    plan : Plan
        A part that was not planned has no sheet.
    path : Path
        Where to write; the same plan gives the same bytes. The file holds personal columns.
    """
    with xlsxwriter.Workbook(str(path), _PLAIN) as workbook:
        workbook.set_properties({"created": _CREATED, "title": str(plan.summary["plan_id"])})
        book = _Book(workbook, plan)
        for name, title in _SHEETS.items():
            if name in plan.layers and (name != "zones" or len(plan.layers[name])):
                columns, rows = PLAN_LAYERS[name].columns, _in_words(plan.layers[name])
                if name == "grids":
                    columns, rows = (*columns, *_KEPT), _with_alleys(rows, plan.layers["alleys"])
                headings = [_heading(each, plan.site.crs) for each in columns]
                if plan.households_estimated:
                    headings = [
                        _estimated(heading) if each.unit == "households" else heading
                        for heading, each in zip(headings, columns, strict=True)
                    ]
                private = any(each.personal for each in columns)
                book.add(title, headings, _values(rows, columns), private=private)
        if "boards" in plan.layers and len(plan.layers["boards"]):
            book.add(_ROTA, _rota_headings(), _rota_rows(plan), page_of=3, least={5: 16, 6: 24})
        book.add(_REMARKS, _remark_headings(), _remark_rows(plan), private=True)


@dataclass(frozen=True)
class _Heading:
    """A column's two headings and how its numbers are shown."""

    zh: str
    en: str = ""
    shown: str = "General"


@dataclass(frozen=True)
class _Book:
    """The workbook with its formats: every sheet looks alike."""

    workbook: xlsxwriter.Workbook
    plan: Plan

    def add(
        self,
        title: str,
        headings: Sequence[_Heading],
        rows: Iterable[Sequence[Any]],
        *,
        private: bool = False,
        page_of: int | None = None,
        least: Mapping[int, int] | None = None,
    ) -> None:
        """A sheet: heads that stay in sight, columns as wide as what they hold, pages as printed.

        ``private`` marks its pages; ``page_of`` is the column that begins a new page where its value changes;
        ``least`` are the least widths by column.
        """
        sheet = self.workbook.add_worksheet(title)
        edge = {"border": 1, "border_color": "#D5D0C4", "valign": "vcenter"}
        head = self._format(bold=True, text_wrap=True, bg_color="#ECE8DC", **edge)
        below = self._format(italic=True, text_wrap=True, font_color="#4B515A", font_size=9, **edge)
        cells = [self._format(num_format=each.shown, **edge) for each in headings]
        # Text stands off the figures of the column before it.
        text = self._format(indent=1, **edge)
        wrapped = self._format(text_wrap=True, indent=1, **edge)
        widths = [max(_width(each.zh), (least or {}).get(i, 0)) for i, each in enumerate(headings)]
        for column, heading in enumerate(headings):
            sheet.write_string(0, column, heading.zh, head)
            sheet.write_string(1, column, heading.en, below)
        breaks, last, row = [], None, 1
        for row, values in enumerate(rows, start=2):
            for column, value in enumerate(values):
                style = cells[column]
                if isinstance(value, str):
                    style = wrapped if _width(value) > _WIDEST else text
                widths[column] = max(widths[column], _width(_write_cell(sheet, row, column, value, style)))
            if page_of is not None and row > 2 and values[page_of] != last:
                breaks.append(row)
            last = values[page_of] if page_of is not None else None
        for column, width in enumerate(widths):
            sheet.set_column(column, column, min(width + 3, _WIDEST))
        sheet.freeze_panes(2, 1)
        sheet.autofilter(1, 0, max(row, 1), len(headings) - 1)
        sheet.set_h_pagebreaks(breaks)
        self._pages(sheet, title, (row, len(headings) - 1), private=private, broken=bool(breaks))

    def _pages(
        self, sheet: Worksheet, title: str, last: tuple[int, int], *, private: bool, broken: bool
    ) -> None:
        """A4 landscape, as wide as the sheet, heads on every page; community and date above, page below."""
        community = Settings.model_validate(self.plan.summary["settings"]).community
        name = _header_text(community.name or self.plan.site.community)
        sheet.set_landscape()
        sheet.set_paper(_A4_LANDSCAPE)
        sheet.set_margins(left=0.4, right=0.4, top=0.7, bottom=0.7)
        sheet.print_area(0, 0, *last)
        sheet.repeat_rows(0, 1)
        if not broken:  # a page break by hand holds only at a fixed scale
            sheet.fit_to_pages(1, 0)
        sheet.set_header(f"&L{name} {title}&R{community.date or ''}")
        marked = _MARKED if private else ""
        sheet.set_footer(f"&L{self.plan.summary['plan_id']}&C{marked}&R第 &P 页，共 &N 页")

    def _format(self, **how: Any) -> Format:
        return self.workbook.add_format(how)


def _values(rows: pd.DataFrame, columns: Sequence[PlanColumn]) -> Iterable[Sequence[Any]]:
    return rows[[each.name for each in columns]].itertuples(index=False)


def _header_text(text: str) -> str:
    """A name in a page's header, where ``&`` begins a command and 255 characters are the most."""
    plain = "".join(each for each in text if each.isprintable())[:60]
    return plain.replace("&", "&&")


def _with_alleys(grids: pd.DataFrame, alleys: pd.DataFrame) -> pd.DataFrame:
    """The roster with the names of the alleys that each grid keeps, those without a name counted."""
    kept = alleys.dropna(subset="grid_id").groupby("grid_id")
    names = kept["name"].agg(_listed).reindex(grids["grid_id"])
    length_m = kept["length_m"].sum().reindex(grids["grid_id"], fill_value=0.0)
    return grids.assign(kept_alleys=names.to_numpy(), kept_m=length_m.to_numpy())


def _listed(names: pd.Series) -> str:
    unnamed = int(names.isna().sum())
    told = [term("unnamed_alleys").zh.format(n=unnamed)] if unnamed else []
    return "、".join([*sorted(names.dropna().unique()), *told])


def _in_words(rows: pd.DataFrame) -> pd.DataFrame:
    """Coded values as an office reads them: 新建 or 现有, 灯杆 or 墙装, 普通网格 or 专属网格."""
    if "kind" in rows:
        rows = rows.assign(kind=rows["kind"].map({each: term(each).zh for each in ("ordinary", "exclusive")}))
    if "unchosen_why" in rows:
        reasons = {each: term(f"why_{each}").zh for each in ("lit", "no-site", "site-barred", "gains-less")}
        rows = rows.assign(unchosen_why=rows["unchosen_why"].map(reasons))
    if "by" in rows:
        rows = rows.assign(by=rows["by"].map({each: term(each).zh for each in ("grid", "group")}))
    if "status" in rows:
        standing = rows["status"].eq("existing").fillna(False)
        rows = rows.assign(status=standing.map({True: term("existing").zh, False: term("new").zh}))
    if "mount" in rows:
        choices = LAYERS["lamp_sites"].column("mount").choices or {}
        rows = rows.assign(mount=rows["mount"].map({name: others[0] for name, others in choices.items()}))
    return rows


def _write_cell(sheet: Worksheet, row: int, column: int, value: Any, style: Format) -> str:
    """Write one value as what it is, nothing where it is empty; returns the text as shown."""
    if pd.isna(value):
        sheet.write_blank(row, column, None, style)
        return ""
    if isinstance(value, str):
        sheet.write_string(row, column, _cell_text(value), style)
        return value
    number = round(float(value), 4)
    sheet.write_number(row, column, number, style)
    return f"{number:,.1f}"


def _cell_text(text: str) -> str:
    """As much of a text as a cell holds, which counts characters beyond the first 65,536 twice."""
    if 2 * len(text) <= _CELL_CHARACTERS:
        return text
    return text.encode("utf-16-le")[: 2 * _CELL_CHARACTERS].decode("utf-16-le", "ignore")


def _heading(column: PlanColumn, crs: CRS) -> _Heading:
    """The Chinese name with its unit, 平均步行距离(米), the English one, and how numbers are shown."""
    unit = term(_UNITS[column.unit]).zh if column.unit in _UNITS else _UNITS_ZH.get(column.unit, column.unit)
    name, en_unit = term(column.name), column.unit
    if column.name in ("x", "y"):
        return _Heading(f"{name.zh}({unit})", f"{name.en} ({en_unit}, {crs.to_string()})", _COORDINATE)
    shown = "General"
    if column.dtype == "float":
        shown = _FORMATS.get(column.unit, _SHARE if _is_share(column.name) else "#,##0.0")
    elif column.dtype == "int":
        shown = _COUNT if column.unit else "0"
    english = f"{name.en} ({en_unit})" if unit and en_unit not in name.en.lower() else name.en
    return _Heading(f"{name.zh}({unit})" if unit else name.zh, english, shown)


def _estimated(heading: _Heading) -> _Heading:
    """The heading of a number of households that nobody counted."""
    return replace(heading, zh=f"{heading.zh}【按房屋估算】", en=f"{heading.en}, estimated from buildings")


def _is_share(name: str) -> bool:
    return name.startswith(("share_", "way_lit_"))


def _rota_headings() -> list[_Heading]:
    """Who keeps which board in which month; the name is written by hand."""
    words = [
        term(each) for each in ("board_code", "alley", "grid_id", "month", "keeper_role", "person", "done")
    ]
    return [_Heading(each.zh, each.en) for each in words]


def _rota_rows(plan: Plan) -> list[tuple[Any, ...]]:
    """One row per month and board for a year from the plan's date on, else for January to December."""
    boards = plan.layers["boards"]
    names = plan.site.layer("alleys").set_index("alley_id")["name"]
    alleys = boards["alley_id"].map(names)
    first = Settings.model_validate(plan.summary["settings"]).community.date
    rows: list[tuple[Any, ...]] = []
    for i in range(12):
        if first is None:
            month = f"{i + 1}月"
        else:
            year, number = divmod(first.year * 12 + first.month - 1 + i, 12)
            month = f"{year}-{number + 1:02d}"
        told = zip(boards["board_code"], alleys, boards["grid_id"], boards["keeper_role"], strict=True)
        rows += [(code, alley, grid, month, role, None, None) for code, alley, grid, role in told]
    return rows


def _remark_headings() -> list[_Heading]:
    zh = ("类别", "代码", "图层", "字段", "内容", "数量", "编号", "办法")
    en = ("Kind", "Code", "Layer", "Column", "Message", "Number", "Ids", "Remedy")
    return [_Heading(*pair) for pair in zip(zh, en, strict=True)]


def _remark_rows(plan: Plan) -> list[tuple[Any, ...]]:
    """Faults first, then doubts, then notes, each in the order of the summary."""
    return [
        (
            term(kind).zh,
            each["code"],
            term(each["layer"]).zh if each["layer"] else None,
            each["column"] or None,
            each["message"],
            each["n"],
            first_ids(each["ids"], n=20) or None,
            each["remedy"] or None,
        )
        for kind in ("faults", "doubts", "notes")
        for each in plan.summary[kind]
    ]


def _width(text: str) -> int:
    """Width in Latin characters; a Chinese one takes two."""
    return sum(2 if ord(each) > 0x2E7F else 1 for each in text[:60])
