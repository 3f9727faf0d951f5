"""Cells of spreadsheets: .xlsx and .xlsm, .ods, and the old .xls.

Only stored values are read: nothing is computed, no macro runs, no link is followed. Cells that
lie a million rows apart cost nothing; a book is refused past a bound of cells.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import posixpath
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spatial.errors import DataError
from spatial.load.markup import archive, parse_xml, unpacked
from spatial.load.raw import once

__all__ = ["BROKEN", "Sheet", "read_workbook"]

#: What the cell of a formula that was never computed holds.
BROKEN = "formula without a value"

_MOST_CELLS = 5_000_000  # places in rows, empty ones between others included
_MOST_MERGED = 100_000
_MOST_REPEATED = 20_000  # equal cells or rows that a file writes once
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: Number formats of dates and times among those every program knows without being told.
_DATE_FORMATS = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_QUOTED = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_CELL = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


@dataclass
class Sheet:
    """The rows of a sheet that hold anything, each from its first column on."""

    name: str
    hidden: bool = False
    rows: list[tuple[int, list[Any]]] = field(default_factory=list)  # number in the sheet, from 1; cells
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)  # first row and column, last ones


@once
def read_workbook(path: Path) -> tuple[Sheet, ...]:
    """Every sheet of a checked file, in the order of the book. Cells are text, float, bool, date or None.

    Raises
    ------
    DataError
        The file is damaged, protected by a password, no workbook, or too large.
    """
    with path.open("rb") as stream:
        if stream.read(8) == _OLD_EXCEL:
            return _old_sheets(path)
    with archive(path) as book:
        names = set(book.namelist())
        if "xl/workbook.xml" in names:
            return _ExcelBook(path.name, book).sheets()
        if "content.xml" in names:
            reader = _OpenDocument(path.name)
            parse_xml(unpacked(book, "content.xml"), reader, file=path.name)
            return tuple(reader.sheets)
    raise DataError(f"{path.name} is an archive but no workbook; save it as .xlsx")


class _Rows:
    """Rows as they are collected, within the bound."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.n_cells = 0

    def add(self, sheet: Sheet, number: int, cells: Mapping[int, Any]) -> None:
        held = {i: each for i, each in cells.items() if each is not None and each != ""}
        if not held:
            return
        width = max(held) + 1
        self.n_cells += width + 1
        if self.n_cells > _MOST_CELLS:
            raise DataError(f"{self.file} has more than {_MOST_CELLS:,} cells; delete what is no data")
        sheet.rows.append((number, [held.get(i) for i in range(width)]))

    def merge(self, sheet: Sheet, area: tuple[int, int, int, int]) -> None:
        if len(sheet.merged) >= _MOST_MERGED:
            raise DataError(f"{self.file} has more than {_MOST_MERGED:,} merged cells; unmerge them")
        sheet.merged.append(area)


# ── .xlsx, .xlsm ─────────────────────────────────────────────────────────────────────────────────────


class _ExcelBook:
    """The parts of an Office Open XML workbook (ISO/IEC 29500)."""

    def __init__(self, file: str, book: zipfile.ZipFile) -> None:
        self.file, self.book = file, book

    def sheets(self) -> tuple[Sheet, ...]:
        about = self._elements("xl/workbook.xml")
        targets = {
            a.get("Id", ""): a.get("Target", "") for n, a in self._elements("xl/_rels/workbook.xml.rels")
        }
        from_1904 = any(n == "workbookPr" and a.get("date1904") in ("1", "true") for n, a in about)
        shared, dates = self._shared_texts(), self._date_styles()
        collected, sheets = _Rows(self.file), []
        for name, a in about:
            target = targets.get(a.get("id", ""), "")
            part = posixpath.normpath(posixpath.join("/xl", target))[1:]
            if name != "sheet" or part not in self.book.namelist() or "chartsheet" in part:
                continue
            reader = _ExcelSheet(
                Sheet(_unescaped(a.get("name", "")), hidden=a.get("state", "visible") != "visible"),
                collected, shared, dates, from_1904=from_1904,
            )  # fmt: skip
            parse_xml(unpacked(self.book, part), reader, file=self.file)
            sheets.append(reader.sheet)
        return tuple(sheets)

    def _elements(self, part: str) -> list[tuple[str, Mapping[str, str]]]:
        """Names and attributes of a small part, in its order; none where the part is absent."""
        reader = _Elements()
        if part in self.book.namelist():
            parse_xml(unpacked(self.book, part), reader, file=self.file)
        return reader.elements

    def _shared_texts(self) -> list[str]:
        reader = _SharedTexts()
        if "xl/sharedStrings.xml" in self.book.namelist():
            parse_xml(unpacked(self.book, "xl/sharedStrings.xml"), reader, file=self.file)
        return reader.texts

    def _date_styles(self) -> frozenset[int]:
        """The cell styles that show a number as a date."""
        styles, own, inside = [], set(), False
        for name, a in self._elements("xl/styles.xml"):
            if name == "numFmt" and re.search(r"[ymdhs]", _QUOTED.sub("", a.get("formatCode", "")).lower()):
                own.add(a.get("numFmtId"))
            elif name in ("cellXfs", "cellStyleXfs", "cellStyles", "dxfs"):
                inside = name == "cellXfs"
            elif name == "xf" and inside:
                styles.append(a.get("numFmtId", "0"))
        known = {str(each) for each in _DATE_FORMATS} | own
        return frozenset(i for i, each in enumerate(styles) if each in known)


class _Elements:
    def __init__(self) -> None:
        self.elements: list[tuple[str, Mapping[str, str]]] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self.elements.append((name, attributes))

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


class _SharedTexts:
    """The texts that cells refer to by number, their phonetic guides left out."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._parts: list[str] = []
        self._open, self._guide = False, False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "si":
            self._parts = []
        elif name == "rPh":
            self._guide = True
        elif name == "t":
            self._open = not self._guide

    def end(self, name: str) -> None:
        if name == "si":
            self.texts.append(_unescaped("".join(self._parts)))
        elif name == "rPh":
            self._guide = False
        elif name == "t":
            self._open = False

    def text(self, text: str) -> None:
        if self._open:
            self._parts.append(text)


class _ExcelSheet:
    """One worksheet: its rows and merged cells."""

    def __init__(
        self, sheet: Sheet, collected: _Rows, shared: list[str], dates: frozenset[int], *, from_1904: bool
    ) -> None:
        self.sheet, self.collected, self.shared, self.dates = sheet, collected, shared, dates
        self.epoch = dt.datetime(1904, 1, 1) if from_1904 else dt.datetime(1899, 12, 30)
        self.number, self.column, self.cells = 0, -1, dict[int, Any]()
        self.kind, self.is_date, self.has_formula = "n", False, False
        self.into: list[str] | None = None
        self.value: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "c":
            at = _CELL.fullmatch(attributes.get("r", ""))
            self.column = _column(at.group(1)) if at else self.column + 1
            self.kind = attributes.get("t", "n")
            style = attributes.get("s", "0")
            self.is_date = style.isdecimal() and int(style) in self.dates
            self.value, self.has_formula = [], False
        elif name in ("v", "t"):
            self.into = self.value
        elif name == "f":
            self.has_formula = True
        elif name == "row":
            given = attributes.get("r", "")
            self.number = int(given) if given.isdecimal() and len(given) < 8 else self.number + 1
            self.column, self.cells = -1, {}
        elif name == "mergeCell":
            ends = [_CELL.fullmatch(each) for each in attributes.get("ref", "").split(":")]
            if len(ends) == 2 and ends[0] and ends[1]:
                (c0, r0), (c1, r1) = (each.groups() for each in ends if each)
                self.collected.merge(self.sheet, (int(r0), _column(c0), int(r1), _column(c1)))

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self.into = None
        elif name == "c":
            self.cells[self.column] = self._cell("".join(self.value))
        elif name == "row":
            self.collected.add(self.sheet, self.number, self.cells)

    def text(self, text: str) -> None:
        if self.into is not None:
            self.into.append(text)

    def _cell(self, text: str) -> Any:
        if not text:
            return BROKEN if self.has_formula and self.kind == "n" else None
        if self.kind == "s":
            known = text.isdecimal() and int(text) < len(self.shared)
            return self.shared[int(text)] if known else None
        if self.kind == "b":
            return text in ("1", "true")
        if self.kind != "n":  # str, inlineStr, d, and e for an error such as #N/A
            return _unescaped(text)
        try:
            number = float(text)
            return self.epoch + dt.timedelta(days=number) if self.is_date else number
        except (ValueError, OverflowError):
            return text


def _column(letters: str) -> int:
    """A is 0, Z is 25, AA is 26."""
    number = 0
    for each in letters:
        number = number * 26 + ord(each) - ord("A") + 1
    return number - 1


def _unescaped(text: str) -> str:
    """Characters that XML can't hold are written _x000D_ there."""
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), text)


# ── .ods ─────────────────────────────────────────────────────────────────────────────────────────────


class _OpenDocument:
    """The tables of an OpenDocument spreadsheet (ISO/IEC 26300)."""

    def __init__(self, file: str) -> None:
        self.sheets: list[Sheet] = []
        self.collected = _Rows(file)
        self.number, self.column, self.repeat_row, self.repeat = 0, 0, 1, 1
        self.cells: dict[int, Any] = {}
        self.attributes: Mapping[str, str] = {}
        self.in_cell, self.in_comment = False, False
        self.parts: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "table":
            self.sheets.append(Sheet(attributes.get("name", "")))
            self.number = 1
        elif name == "table-row":
            self.cells, self.column = {}, 0
            self.repeat_row = _count(attributes.get("number-rows-repeated"))
        elif name in ("table-cell", "covered-table-cell"):
            self.attributes, self.in_cell, self.parts = attributes, name == "table-cell", []
            self.repeat = _count(attributes.get("number-columns-repeated"))
        elif name == "annotation":
            self.in_comment = True
        elif name == "p" and self.parts:
            self.parts.append("\n")
        elif name == "s" and self.in_cell:
            self.parts.append(" ")

    def end(self, name: str) -> None:
        if name in ("table-cell", "covered-table-cell"):
            value = self._cell() if self.in_cell else None
            if value is not None:
                if self.repeat > _MOST_REPEATED:
                    raise DataError(
                        f"{self.collected.file} repeats a cell {self.repeat:,} times; save it again"
                    )
                self.cells.update(dict.fromkeys(range(self.column, self.column + self.repeat), value))
            rows, columns = (
                _count(self.attributes.get(f"number-{each}-spanned")) for each in ("rows", "columns")
            )
            if self.in_cell and self.sheets and (rows > 1 or columns > 1):
                last = (self.number + rows - 1, self.column + columns - 1)
                self.collected.merge(self.sheets[-1], (self.number, self.column, *last))
            self.column += self.repeat
            self.in_cell = False
        elif name == "table-row" and self.sheets:
            if self.cells and self.repeat_row > _MOST_REPEATED:
                raise DataError(
                    f"{self.collected.file} repeats a row {self.repeat_row:,} times; save it again"
                )
            for number in range(self.number, self.number + (self.repeat_row if self.cells else 0)):
                self.collected.add(self.sheets[-1], number, self.cells)
            self.number += self.repeat_row
        elif name == "annotation":
            self.in_comment = False

    def text(self, text: str) -> None:
        if self.in_cell and not self.in_comment:
            self.parts.append(text)

    def _cell(self) -> Any:
        shown, kind = "".join(self.parts), self.attributes.get("value-type", "")
        if kind in ("float", "currency", "percentage"):
            try:
                return float(self.attributes.get("value", ""))
            except ValueError:
                return shown
        if kind == "boolean":
            return self.attributes.get("boolean-value") == "true"
        if kind == "date":
            try:
                return dt.datetime.fromisoformat(self.attributes.get("date-value", ""))
            except ValueError:
                return shown
        return shown or None


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 1


# ── .xls ─────────────────────────────────────────────────────────────────────────────────────────────

#: In a process of its own: a damaged old file can make the library ask for terabytes and be ended for it.
_READ_OLD = """
import json, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
except ImportError:
    pass
import python_calamine as calamine
def plain(cell):
    return cell if isinstance(cell, (str, float, int, bool)) else {"date": str(cell)}
try:
    book = calamine.CalamineWorkbook.from_filelike(open(sys.argv[1], "rb"))  # by content, not by name
    sheets = []
    for about in book.sheets_metadata:
        if about.typ != calamine.SheetTypeEnum.WorkSheet:
            continue
        sheet = book.get_sheet_by_name(about.name)
        top, left = sheet.start or (0, 0)
        held = enumerate(sheet.iter_rows() if sheet.start else ())
        rows = [[top + 1 + i, [None] * left + [plain(cell) for cell in row]]
                for i, row in held if any(cell != "" for cell in row)]
        merged = [[a[0] + 1, a[1], b[0] + 1, b[1]] for a, b in sheet.merged_cell_ranges or ()]
        hidden = about.visible != calamine.SheetVisibleEnum.Visible
        sheets.append([about.name, hidden, rows, merged])
    json.dump(sheets, sys.stdout)
except calamine.PasswordError:
    sys.exit("it is protected by a password; save it without")
except BaseException as error:
    sys.exit(f"it is damaged or no workbook ({error}); save it as .xlsx")
"""


def _old_sheets(path: Path) -> tuple[Sheet, ...]:
    done = subprocess.run(
        [sys.executable, "-I", "-X", "utf8", "-c", _READ_OLD, str(path.absolute())],
        capture_output=True,
        check=False,
        env=os.environ | {"RUST_BACKTRACE": "0"},
    )
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if done.returncode == 1 and lines else "it is damaged; save it as .xlsx"
        raise DataError(f"{path.name} can't be read: {reason}")
    collected, sheets = _Rows(path.name), []
    for name, hidden, rows, merged in json.loads(done.stdout):
        sheet = Sheet(name, hidden)
        for number, cells in rows:
            collected.add(sheet, number, {i: _old_cell(each) for i, each in enumerate(cells)})
        for area in merged:
            collected.merge(sheet, tuple(area))
        sheets.append(sheet)
    return tuple(sheets)


def _old_cell(cell: Any) -> Any:
    if not isinstance(cell, dict):
        return cell
    try:
        return dt.datetime.fromisoformat(cell["date"])
    except ValueError:  # a time of day
        return cell["date"]
