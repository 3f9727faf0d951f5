"""Tables of a plan for the office: one Excel file, headings in Chinese with units, text always as text."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import pandas as pd
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from spatial.errors import Remark, first_ids
from spatial.load import Site
from spatial.schema import LAYERS, PLAN_LAYERS, PlanColumn, term

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["remark_points", "write_tables"]

#: Sheets in the order in which an office asks for them.
_SHEETS = {
    "grids": "网格表",
    "zones": "楼栋分区表",
    "lamps": "路灯表",
    "boards": "宣传栏表",
    "facilities": "设施表",
    "alleys": "巷道表",
    "light_shares": "亮灯公平表",
}
_REMARKS = "说明"
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
_REMARK_COLUMNS = ("kind", "code", "layer", "id", "message", "remedy")
_CELL_CHARACTERS = 32_767  # the most Excel holds


def remark_points(site: Site, remarks: Sequence[Remark]) -> gpd.GeoDataFrame:
    """A point on every row that a remark is about, to zoom to in a GIS.

    Returns
    -------
    GeoDataFrame
        kind, code, layer, id, message, remedy; a row that was not read has no point and is left out.
    """
    found = []
    for each in remarks:
        id_column = LAYERS[each.layer].id_column if each.layer in LAYERS else None
        if id_column is None or not each.ids:
            continue
        rows = site.layer(each.layer)
        rows = rows[rows[id_column].isin(each.ids)]
        about = {"kind": each.kind, "code": each.code, "layer": each.layer, "id": rows[id_column]}
        told = pd.DataFrame({**about, "message": each.message, "remedy": each.remedy})
        found.append(gpd.GeoDataFrame(told, geometry=rows.representative_point(), crs=site.crs))
    empty = gpd.GeoDataFrame({each: [] for each in _REMARK_COLUMNS}, geometry=[], crs=site.crs)
    return pd.concat(found, ignore_index=True) if found else empty


def write_tables(plan: Plan, path: Path) -> None:
    """Write grid roster, lamp schedule, board schedule, alley table and remarks as ``tables.xlsx``.

    Parameters
    ----------
    plan : Plan
        A part that was not planned has no sheet.
    path : Path
        Where to write; the same plan gives the same bytes. The file holds personal columns.
    """
    with xlsxwriter.Workbook(str(path), _PLAIN) as workbook:
        workbook.set_properties({"created": _CREATED, "title": str(plan.summary["plan_id"])})
        head = workbook.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
        for name, title in _SHEETS.items():
            if name in plan.layers and (name != "zones" or len(plan.layers[name])):
                columns, rows = PLAN_LAYERS[name].columns, _in_words(plan.layers[name])
                if name == "grids":
                    columns, rows = (*columns, *_KEPT), _with_alleys(rows, plan.layers["alleys"])
                values = rows[[each.name for each in columns]].itertuples(index=False)
                _write_sheet(workbook.add_worksheet(title), map(_heading, columns), values, head=head)
        _write_sheet(workbook.add_worksheet(_REMARKS), _remark_headings(), _remark_rows(plan), head=head)


def _write_sheet(
    sheet: Worksheet, headings: Iterable[str], rows: Iterable[Sequence[Any]], *, head: Format
) -> None:
    """A head line that stays in sight, rows below it, columns as wide as what they hold."""
    widths = []
    for column, heading in enumerate(headings):
        sheet.write_string(0, column, heading, head)
        widths.append(_width(heading))
    for row, values in enumerate(rows, start=1):
        for column, value in enumerate(values):
            shown = _write_cell(sheet, row, column, value)
            widths[column] = max(widths[column], _width(shown))
    for column, width in enumerate(widths):
        sheet.set_column(column, column, min(width + 2, 60))
    sheet.freeze_panes(1, 0)


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


def _write_cell(sheet: Worksheet, row: int, column: int, value: Any) -> str:
    """Write one value as what it is, nothing where it is empty; returns the text as shown."""
    if pd.isna(value):
        return ""
    if isinstance(value, str):
        sheet.write_string(row, column, value[:_CELL_CHARACTERS])
        return value
    number = round(float(value), 3)
    sheet.write_number(row, column, number)
    return f"{number:g}"


def _heading(column: PlanColumn) -> str:
    """The Chinese name with its unit: 平均步行距离(米)."""
    unit = term(_UNITS[column.unit]).zh if column.unit in _UNITS else _UNITS_ZH.get(column.unit, column.unit)
    name = term(column.name).zh
    return f"{name}({unit})" if unit else name


def _remark_headings() -> list[str]:
    return ["类别", "代码", "图层", "字段", "内容", "数量", "编号", "办法"]


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
