"""The table of a shapefile (.dbf), columns as they stand in the bytes until they are asked for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial.errors import DataError, Remark, note
from spatial.load.encodings import Piece, decoded
from spatial.load.raw import objects

__all__ = ["Table", "open_table"]

_FIELD = 32  # bytes, of the header and of each field's description alike
#: Encodings of the language byte. 0x57 means whatever the writer's machine had: it says nothing.
_LANGUAGES = {
    0x01: "cp437", 0x02: "cp850", 0x03: "cp1252", 0x58: "cp1252", 0x59: "cp1252", 0x4D: "gb18030",
    0x7A: "gb18030", 0x4F: "big5", 0x78: "big5", 0x4E: "cp949", 0x79: "cp949", 0x13: "cp932", 0x7B: "cp932",
    0x26: "cp866", 0x65: "cp866", 0xC8: "cp1250", 0xC9: "cp1251", 0xCA: "cp1254", 0xCB: "cp1253",
}  # fmt: skip


@dataclass(frozen=True)
class _Field:
    name: bytes
    kind: str
    start: int  # within a row
    width: int


@dataclass(frozen=True)
class Table:
    """An opened table."""

    name: str
    fields: tuple[_Field, ...]
    rows: NDArray[np.uint8]  # (n, bytes of a row), deleted ones included
    kept: NDArray[np.bool_]  # rows that are not marked as deleted
    codec: str | None  # what the language byte says
    said: tuple[Remark, ...]

    def pieces(self) -> list[Piece]:
        """Names of columns and distinct texts that are not plain ASCII."""
        found = [Piece(each.name, full=True) for each in self.fields]
        for i, field in enumerate(self.fields):
            if (
                field.kind == "C"
                and self.rows[:, field.start : field.start + field.width].max(initial=0) > 127
            ):
                found += [self._piece(each, field) for each in set(self._raw(i)) if not each.isascii()]
        return sorted((each for each in found if not each.raw.isascii()), key=lambda each: each.raw)

    def headings(self, codec: str) -> list[str]:
        """Names of the columns, a character that is cut at the end left off; doubled ones numbered."""
        names: list[str] = []
        for each in self.fields:
            name = self._text(Piece(each.name, full=True), codec)
            alike = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2)))
            names.append(next(each for each in alike if each not in names))
        return names

    def values(self, column: int, codec: str) -> NDArray[np.object_]:
        """One value a row that is kept: text, int, float, bool or None."""
        field = self.fields[column]
        raw = self._raw(column)
        read: Callable[[bytes], Any] = _READERS.get(
            field.kind, lambda each: self._text(self._piece(each, field), codec)
        )
        known = {each: read(each) if each else None for each in set(raw)}
        return objects([known[each] for each in raw])

    def _raw(self, column: int) -> list[bytes]:
        """The bytes of a column's cells without the blanks around, rows that are kept only."""
        field = self.fields[column]
        cells = np.ascontiguousarray(self.rows[self.kept, field.start : field.start + field.width])
        if field.width == 0:
            return [b""] * len(cells)
        texts = cells.view(f"S{field.width}").ravel().tolist()
        return [each.partition(b"\0")[0].rstrip(b" ") for each in texts]

    def _piece(self, raw: bytes, field: _Field) -> Piece:
        return Piece(raw, full=len(raw) >= field.width - 1)

    def _text(self, piece: Piece, codec: str) -> str:
        texts = decoded([piece], codec)
        if texts is None:
            raise DataError(
                f'{self.name}: text is not {codec}; set encoding = "gb18030" or "utf-8" for this layer in '
                "plan.toml, or export it again as UTF-8"
            )
        return texts[0]


def open_table(path: Path, *, n_rows: int) -> Table:
    """Open the table that belongs to ``n_rows`` geometries.

    Raises
    ------
    DataError
        It is no such table, is cut off, or has other rows than there are geometries.
    """
    raw = path.read_bytes()
    start, width = int.from_bytes(raw[8:10], "little"), int.from_bytes(raw[10:12], "little")
    fields = _fields(raw, start)
    if not fields or fields[-1].start + fields[-1].width > width or start > len(raw):
        raise DataError(f"{path.name} is damaged or no table of a shapefile; export the layer again")
    stated, there = int.from_bytes(raw[4:8], "little"), (len(raw) - start) // width
    said = []
    if stated != n_rows and there == n_rows:
        text = f"{path.name} says {stated:,} rows; all {n_rows:,} that are there were read"
        said.append(note("count-stale", text))
    elif stated > there:
        raise DataError(f"{path.name} is cut off: {there:,} of {stated:,} rows are there; copy it again")
    elif stated != n_rows:
        raise DataError(
            f"{path.name} has {stated:,} rows, but there are {n_rows:,} geometries: which belongs to which "
            "can't be told; export the layer again"
        )
    rows = np.frombuffer(raw, dtype=np.uint8, offset=start, count=n_rows * width).reshape(n_rows, width)
    kept = rows[:, 0] != ord("*")
    if not kept.all():
        text = f"{int((~kept).sum()):,} of {n_rows:,} rows are marked as deleted and were left out"
        said.append(note("rows-deleted", text))
    return Table(path.name, fields, rows, kept, _LANGUAGES.get(raw[29]), tuple(said))


def _fields(raw: bytes, end: int) -> tuple[_Field, ...]:
    """The description of each column; none where the header makes no sense."""
    found, place = [], 1  # the first byte of a row marks it as deleted
    for at in range(_FIELD, min(end, len(raw)) - _FIELD, _FIELD):
        if raw[at] == 0x0D:
            break
        name, kind, width = raw[at : at + 11].partition(b"\0")[0], chr(raw[at + 11]), raw[at + 16]
        found.append(_Field(name, kind, place, width))
        place += width
    return tuple(found)


def _number(raw: bytes) -> int | float | str | None:
    """A number; None where there is none; what can't be read stays text, so that it is told."""
    text = raw.strip()
    if not text.strip(b"*"):
        return None
    if re.fullmatch(rb"[+-]?\d+", text):
        return int(text)
    try:
        return float(text.replace(b",", b"."))
    except ValueError:
        return text.decode("ascii", "replace")


def _flag(raw: bytes) -> bool | None:
    return {b"T": True, b"Y": True, b"F": False, b"N": False}.get(raw.strip().upper())


_READERS: dict[str, Callable[[bytes], Any]] = {"N": _number, "F": _number, "L": _flag}
