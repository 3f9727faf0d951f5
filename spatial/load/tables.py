"""Tables with coordinates in their columns: CSV and other separated text, and the sheets of workbooks.

Lists are made for people: a title above the headings, headings over two rows, merged cells, a total
at the end. What is passed over and what is filled in is said.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray

from spatial.errors import DataError, Remark, doubt, fault, first_ids, note
from spatial.load.columns import as_text
from spatial.load.coordinates import points, well_known
from spatial.load.headings import Pair, coordinate_headings, wkt_heading
from spatial.load.raw import Choose, RawLayer, Source, file_text, objects, refuse_more
from spatial.load.workbook import BROKEN, Sheet, read_workbook
from spatial.schema import LAYERS

__all__ = ["read_csv", "read_sheet", "sheet_names"]

Row = tuple[int, list[Any]]  # its number in the file, from 1; its cells

#: The headings are among the first rows that hold anything.
_HEADINGS_WITHIN = 10
_LONGEST_HEADING = 200
_SEPARATORS = ",;\t|"
_TOTAL = re.compile(
    r"(合\s*计|总\s*计|小\s*计|共\s*计|sub-?total|total|sum)\b.*|(合|总|小|共)\s*计.*", re.IGNORECASE
)
_FOOTER = re.compile(r"(制表|填表|审核|填报|负责人|单位负责人|备注|说明|注)[^,]{0,6}[:：].*", re.DOTALL)
_ERROR = re.compile(r"#(N/A|DIV/0!|REF!|VALUE!|NAME\?|NUM!|NULL!|SPILL!|CALC!)")
_MOST_FILLED = 2_000_000
_LONGEST_FIELD = 50_000_000


@dataclass(frozen=True)
class _Table:
    """The rows of a table under its headings."""

    file: str
    headings: list[str]  # "" above a column without one
    rows: list[Row]
    merged: Sequence[tuple[int, int, int, int]] = ()
    said: tuple[Remark, ...] = ()

    @property
    def named(self) -> list[str]:
        """The headings that are there, each once."""
        return list(dict.fromkeys(each for each in self.headings if each))

    def cells(self, heading: str) -> NDArray[np.object_]:
        """The values under a heading, one per row, None where there is none."""
        place = self.headings.index(heading)
        return objects([_empty_as_none(row[place]) if place < len(row) else None for _, row in self.rows])


def read_csv(source: Source, choose: Choose, encoding: str | None) -> RawLayer:
    path = source.path
    text, used = file_text(path, encoding)
    refuse_more(path.name, n_values=sum(map(text.count, (*_SEPARATORS, "\n"))))
    widest = max(text.split("\n"), key=len)  # a shape as text has its commas too
    refuse_more(path.name, n_headings=max(map(widest.count, _SEPARATORS)) // 10)
    tables = {each: _under_headings(path.name, _first_rows(text, each), choose) for each in _SEPARATORS}
    separator = max(tables, key=lambda each: (_score(tables[each].headings, choose), text[:2000].count(each)))
    headings, said = tables[separator].headings, tables[separator].said
    above = sum(1 for _ in _first_rows(text, separator)) - len(tables[separator].rows)
    rows = _csv_rows(path, text, separator, above=above, n_fields=len(headings))
    return replace(_layer(_Table(path.name, headings, rows, said=said), choose, source), encoding=used)


def sheet_names(path: Path) -> tuple[str, ...]:
    """The sheets of a checked workbook that hold anything."""
    return tuple(each.name for each in read_workbook(path) if each.rows)


def read_sheet(source: Source, choose: Choose, encoding: str | None) -> RawLayer:
    sheet = next(each for each in read_workbook(source.path) if each.name == source.table)
    table = _under_headings(str(source), sheet.rows, choose)
    said = table.said
    if sheet.hidden:
        said += (doubt("sheet-hidden", f"sheet {sheet.name} is hidden in {source.path.name}; it was read"),)
    return _layer(replace(table, merged=_below(sheet, table), said=said), choose, source)


def _below(sheet: Sheet, table: _Table) -> list[tuple[int, int, int, int]]:
    """The merged cells of more than one row below the headings."""
    first = table.rows[0][0] if table.rows else 0
    return [each for each in sheet.merged if first <= each[0] < each[2]]


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────


def _first_rows(text: str, separator: str) -> list[Row]:
    """The first rows that hold anything, whatever may be wrong with those below."""
    rows: list[Row] = []
    with _long_fields(), suppress(csv.Error):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if any(each.strip() for each in row):
                rows.append((len(rows) + 1, row))
            if len(rows) > _HEADINGS_WITHIN:
                break
    return rows


def _csv_rows(path: Path, text: str, separator: str, *, above: int, n_fields: int) -> list[Row]:
    """The rows that hold anything below the first ``above`` of them, each of ``n_fields``."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    try:
        with _long_fields():
            held = (each for each in reader if any(cell.strip() for cell in each))
            for row in itertools.islice(held, above, None):
                ragged = len(row) < n_fields or any(each.strip() for each in row[n_fields:])
                if ragged and not _is_footer(row):
                    raise csv.Error(f"{len(row)} fields where the headings are {n_fields}")
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise DataError(f"{path.name}, line {reader.line_num}: not a sound CSV table: {error}") from None
    return rows


@contextmanager
def _long_fields() -> Iterator[None]:
    """Within it a field may be longer than csv allows by itself, as a boundary in WKT is."""
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


# ── headings ─────────────────────────────────────────────────────────────────────────────────────────


def _under_headings(file: str, rows: Sequence[Row], choose: Choose) -> _Table:
    """The table under the row, or the two rows, whose cells name most of what is looked for."""
    best, best_score, n_above = [""], -1, 0
    for i, (_, row) in enumerate(rows[:_HEADINGS_WITHIN]):
        single = _heading_texts(row)
        score = _score(single, choose)
        if score > best_score:
            best, best_score, n_above = single, score, i + 1
        if i + 1 < len(rows):
            below = _heading_texts(rows[i + 1][1])
            both = [b or a for a, b in itertools.zip_longest(single, below, fillvalue="")]
            # 坐标 over X and Y: the second row says more than the first, and each less than both
            if _score(both, choose) > max(best_score, _score(below, choose)):
                best, best_score, n_above = both, _score(both, choose), i + 2
    said: tuple[Remark, ...] = ()
    if n_above > 1:
        text = f"the headings of {file} end in row {rows[n_above - 1][0]}; what stands above them is not read"
        said = (note("headings-found", text),)
    return _Table(file, best, list(rows[n_above:]), said=said)


def _heading_texts(row: Sequence[Any]) -> list[str]:
    """The cells of a row as text; one longer than any heading is no heading."""
    return [each if len(each) <= _LONGEST_HEADING else "" for each in as_text(objects(list(row)))]


def _score(headings: Sequence[str], choose: Choose) -> int:
    """How much of what is looked for these headings name; two columns of coordinates count double."""
    named = [each for each in headings if each]
    chosen = dict(choose(named))
    pair = coordinate_headings(named, chosen)
    located = 2 if wkt_heading(named) or (pair and pair.x != pair.y) else 1 if pair else 0
    return len(chosen) + located


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────


def _layer(table: _Table, choose: Choose, source: Source) -> RawLayer:
    headings = table.named
    chosen = dict(choose(headings))
    pair, wkt = coordinate_headings(headings, chosen), wkt_heading(headings)
    chosen = {name: heading for name, heading in chosen.items() if name not in ("x", "y")}
    located = [wkt] if wkt else [pair.x, pair.y] if pair else []
    if not located:
        raise DataError(
            f"{table.file} has no columns of coordinates; name them lon and lat (经度, 纬度) or x and y "
            f"(东坐标, 北坐标). Its headings: {', '.join(headings[:12])}"
        )
    twice = _twice(table, [*chosen.values(), *located])
    table, filled = _filled(table, source.layer, chosen, located)
    read = [*dict.fromkeys((*chosen.values(), *located))]
    table, dropped = _without_footers(table, read, located)
    values = {name: table.cells(heading) for name, heading in chosen.items()}
    broken = _broken(table, read)
    values = {name: _without_errors(each) for name, each in values.items()}
    geometry, crs, degrees, said = _geometry(table, pair, wkt)
    datum = pair.datum if pair and degrees else None
    if pair and datum in ("gcj02", "bd09"):
        text = f"{pair.x} and {pair.y} name the map they come from: taken as {datum}"
        remedy = f'if they were corrected before, set [input.{source.layer}] datum = "wgs84"'
        said.append(note("datum-found", text, remedy=remedy))
    return RawLayer(
        values, geometry, crs, tuple(headings), tuple(read), degrees=degrees, datum=datum,
        said=(*table.said, *twice, *filled, *dropped, *broken, *_dates(table, chosen), *said),
    )  # fmt: skip


def _geometry(
    table: _Table, pair: Pair | None, wkt: str | None
) -> tuple[NDArray[np.object_], pyproj.CRS | None, bool, list[Remark]]:
    if wkt is not None:
        shapes, crs, said = well_known(table.file, table.cells(wkt))
        return shapes, crs, False, said
    assert pair is not None, "a table without coordinates was refused"
    x, y = (_without_errors(table.cells(each)) for each in (pair.x, pair.y))
    shapes, degrees, said = points(pair, x, y)
    return shapes, None, degrees, said


def _twice(table: _Table, read: Sequence[str]) -> list[Remark]:
    """Headings of read columns that stand above several columns."""
    several = sorted({each for each in read if table.headings.count(each) > 1})
    if not several:
        return []
    text = f"several columns are headed {', '.join(several)}; the first of each was read"
    return [doubt("heading-twice", text, remedy="name each column otherwise, or delete the ones not meant")]


def _filled(
    table: _Table, layer: str, chosen: dict[str, str], located: Sequence[str]
) -> tuple[_Table, list[Remark]]:
    """Merged cells: texts and coordinates hold for all their rows; a count or an id can't be shared out."""
    if not table.merged:
        return table, []
    columns = {each.name: each for each in LAYERS[layer].columns} if layer else {}
    shared = {heading: name for name, heading in chosen.items()}
    fills = [
        each for each in (*shared, *located)
        if each not in shared or (columns[shared[each]].dtype == "text" and not columns[shared[each]].id)
    ]  # fmt: skip
    places = {table.headings.index(each): each for each in (*shared, *located)}
    at = {number: i for i, (number, _) in enumerate(table.rows)}
    rows = [(number, list(row)) for number, row in table.rows]
    n_visited, filled, left = 0, dict[str, int](), dict[str, int]()
    for top, first, bottom, last in table.merged:
        for place, heading in places.items():
            if not first <= place <= last or top not in at:
                continue
            value = rows[at[top]][1][place] if place == first and place < len(rows[at[top]][1]) else None
            n_visited += bottom - top
            if n_visited > _MOST_FILLED:
                raise DataError(f"{table.file} has merged cells of too many rows; unmerge them")
            below = [at[number] for number in range(top + 1, bottom + 1) if number in at]
            told = filled if heading in fills else left
            told[heading] = told.get(heading, 0) + len(below)
            if heading in fills and value is not None:
                for i in below:
                    rows[i][1].extend([None] * (place + 1 - len(rows[i][1])))
                    rows[i][1][place] = value
    said = []
    if any(filled.values()):
        text = f"merged cells hold for each of their rows: {_counted(filled)}"
        said.append(note("merged-filled", text))
    if any(left.values()):
        text = f"merged cells of counts or ids stand in their first row only: {_counted(left)} rows are empty"
        said.append(doubt("merged-counts", text, remedy="unmerge them and give each row its own value"))
    return replace(table, rows=rows), said


def _counted(by_heading: dict[str, int]) -> str:
    return ", ".join(f"{heading} ({n:,})" for heading, n in by_heading.items() if n)


def _without_footers(
    table: _Table, read: Sequence[str], located: Sequence[str]
) -> tuple[_Table, list[Remark]]:
    """Totals, footers, headings repeated on every page and rows without anything that is read."""
    width = len(table.headings)
    places = [table.headings.index(each) for each in read]
    coordinates = [table.headings.index(each) for each in located]
    kept, dropped = [], dict[str, list[str]]()
    for number, row in table.rows:

        def held(places: Sequence[int], row: list[Any] = row) -> bool:
            return any(place < len(row) and _empty_as_none(row[place]) is not None for place in places)

        reason = ""
        if not held(places):
            reason = "hold nothing that is read"
        elif len(row) == width and _heading_texts(row) == table.headings:
            reason = "repeat the headings"
        elif not held(coordinates) and _is_footer(row):
            reason = "are totals or footers"
        if reason:
            dropped.setdefault(reason, []).append(f"row {number}")
        else:
            kept.append((number, row))
    said = [
        note("rows-dropped", f"{len(rows):,} {reason} and were dropped", ids=rows)
        for reason, rows in dropped.items()
    ]
    return replace(table, rows=kept), said


def _is_footer(row: Sequence[Any]) -> bool:
    """Whether one of the first cells begins a total or a footer."""
    texts = [str(each).strip() for each in row if _empty_as_none(each) is not None][:3]
    return any(_TOTAL.fullmatch(each) or _FOOTER.fullmatch(each) for each in texts)


def _broken(table: _Table, read: Sequence[str]) -> list[Remark]:
    """Cells that hold an error of the spreadsheet in place of a value."""
    said = []
    for heading in read:
        found = [each for each in table.cells(heading) if _is_error(each)]
        if found:
            unknown = all(each == "#N/A" for each in found)
            text = f"{len(found):,} of {len(table.rows):,} cells under {heading} hold {first_ids(set(found))}"
            if unknown:
                said.append(doubt("cells-broken", f"{text}, taken as empty"))
            else:
                remedy = "correct them in the spreadsheet, save it there, or empty them"
                said.append(fault("cells-broken", text, remedy=remedy))
    return said


def _dates(table: _Table, chosen: dict[str, str]) -> list[Remark]:
    """Nothing of the contract is a date, but spreadsheets turn 3-2 into one."""
    said = []
    for heading in chosen.values():
        found = [each for each in table.cells(heading) if isinstance(each, dt.date)]
        if found:
            text = f"{len(found):,} cells under {heading} are dates ({first_ids(set(found), 3)})"
            remedy = "if they were numbers such as 3-2, write them anew in cells formatted as text"
            said.append(doubt("cells-dates", text, remedy=remedy))
    return said


def _is_error(cell: Any) -> bool:
    return isinstance(cell, str) and (cell == BROKEN or _ERROR.fullmatch(cell) is not None)


def _without_errors(cells: NDArray[np.object_]) -> NDArray[np.object_]:
    return objects([None if _is_error(each) else _date_as_text(each) for each in cells])


def _date_as_text(cell: Any) -> Any:
    """A date without the midnight of its cell."""
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat(" ")
    return cell


def _empty_as_none(cell: Any) -> Any:
    return None if isinstance(cell, str) and not cell.strip() else cell
