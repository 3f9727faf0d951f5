"""What a reader of one format is given and gives back, and how it reads text in an unknown encoding."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.crs import parse_crs
from spatial.errors import DataError, Remark, doubt
from spatial.load.encodings import NO_ACCIDENT, Piece, common_share, decoded

__all__ = [
    "Choose",
    "RawLayer",
    "Source",
    "decoder",
    "file_crs",
    "file_text",
    "from_wkb",
    "objects",
    "once",
    "refuse_more",
    "text_of",
    "wkb_shapes",
]

#: What one layer may unfold to, so that a small file can't fill the memory.
_MOST_VALUES = 6_000_000
_MOST_BYTES = 250_000_000  # of text and shapes
_MOST_HEADINGS = 10_000

Made = TypeVar("Made")

_CURVES = frozenset({8, 9, 10, 11, 12, 13, 14})  # type numbers in WKB

#: From the headings of a file to those that are wanted: our name → its heading.
Choose = Callable[[list[str]], Mapping[str, str]]

#: The head of a multipart shape or collection in WKB, plain, Z, M or ZM, in either order of bytes.
_MULTI = re.compile(
    rb"\x01(?:[\x04-\x07]\0|[\xec-\xef]\x03|[\xd4-\xd7]\x07|[\xbc-\xbf]\x0b)\0"
    rb"|\0.\0(?:\0[\x04-\x07]|\x03[\xec-\xef]|\x07[\xd4-\xd7]|\x0b[\xbc-\xbf])",
    re.DOTALL,
)
_SAFE_BYTES, _MOST_NESTED = 50_000, 1000


@dataclass(frozen=True)
class Source:
    """One table of one file."""

    path: Path
    table: str = ""  # its name within the file; empty where a file is one table
    layer: str = ""  # the layer of the contract that is wanted from it

    def __str__(self) -> str:
        return f"{self.path.name} ({self.table})" if self.table else self.path.name


@dataclass(frozen=True)
class RawLayer:
    """Values as they stand in the file, not yet understood."""

    values: Mapping[str, NDArray[np.object_]]  # by our name; text, int, float, bool or None
    geometry: NDArray[np.object_]  # None where a row has none
    crs: pyproj.CRS | None
    headings: tuple[str, ...]
    read: tuple[str, ...]  # the headings whose values were read
    encoding: str = ""  # of text that is not UTF-8
    encoding_by: str = "guessed"  # or "file": the file says so
    degrees: bool = False  # x and y were found under headings that say longitude and latitude
    curved: NDArray[np.bool_] | None = None  # rows whose curves can't be read; their geometry is None
    said: tuple[Remark, ...] = ()  # repairs, guesses and doubts of the reader; the layer is named later
    datum: str | None = None  # where the format fixes it


def objects(values: list[Any]) -> NDArray[np.object_]:
    """A one-dimensional object array, whatever the values are."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def from_wkb(shapes: NDArray[np.object_], source: Source) -> NDArray[np.object_]:
    """Geometries from WKB or None, None where it is broken; GEOS would overrun its stack in deep nests.

    Raises
    ------
    DataError
        A shape holds thousands of multipart shapes.
    """
    for each in shapes:
        large = each is not None and len(each) > _SAFE_BYTES and _MULTI.match(each)
        if large and sum(1 for _ in _MULTI.finditer(each)) > _MOST_NESTED:
            raise DataError(f"{source}: a shape is nested thousands deep; draw it again")
    with np.errstate(all="ignore"):
        return shapely.from_wkb(shapes, on_invalid="ignore")


def wkb_shapes(wkb: NDArray[np.object_], source: Source) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Geometries from WKB, None where there is none or it is broken, and which are curves (also None)."""
    curved = np.array([each is not None and _wkb_type(each) in _CURVES for each in wkb], dtype=bool)
    plain = wkb.copy()
    plain[curved] = None
    return from_wkb(plain, source), curved


def _wkb_type(wkb: bytes) -> int:
    """ISO or EWKB type number without its dimension, 0 for a broken one."""
    if len(wkb) < 5:
        return 0
    number = struct.unpack("<I" if wkb[0] == 1 else ">I", wkb[1:5])[0]
    return int((number & 0x0FFFFFFF) % 1000)


def refuse_more(file: str, *, n_values: int = 0, n_bytes: int = 0, n_headings: int = 0) -> None:
    """Refuse a layer that unfolds to more than any community has.

    Raises
    ------
    DataError
        Too many cells or coordinates, too long texts and shapes together, or too many columns.
    """
    remedy = "leave only this community's rows and columns in it"
    if n_headings > _MOST_HEADINGS:
        raise DataError(f"{file} has {n_headings:,} columns, more than {_MOST_HEADINGS:,}; {remedy}")
    if n_values > _MOST_VALUES:
        raise DataError(f"{file} unfolds to more than {_MOST_VALUES:,} values; {remedy}")
    if n_bytes > _MOST_BYTES:
        raise DataError(f"{file} unfolds to more than {_MOST_BYTES / 1e6:,.0f} MB; {remedy}")


def once(read: Callable[[Path], Made]) -> Callable[[Path], Made]:
    """``read``, which remembers its last file: a drawing of ten layers is parsed once, not ten times."""
    last: dict[tuple[object, ...], Made] = {}

    def remembered(path: Path) -> Made:
        state = path.stat()
        key = (path.absolute(), state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
        if key not in last:
            last.clear()
            last[key] = read(path)
        return last[key]

    return remembered


def file_crs(file: str, text: str | None) -> tuple[pyproj.CRS | None, list[Remark]]:
    """The system that a file states, by its code where it has one, so that the area it is for is known."""
    if not text:
        return None, []
    try:
        crs = parse_crs(text)
    except DataError as error:
        return None, [doubt("crs-unreadable", f"the system that {file} states can't be understood: {error}")]
    # a shift to WGS 84 that is written into the system would be lost with its code
    code = None if crs.is_bound else pyproj.CRS(text).to_epsg(min_confidence=70)
    return (parse_crs(f"EPSG:{code}") if code is not None else crs), []


def file_text(path: Path, encoding: str | None) -> tuple[str, str]:
    """The text of a file, and its encoding where that had to be found out and is not UTF-8."""
    return text_of(path.read_bytes(), path.name, encoding)


def text_of(raw: bytes, file: str, encoding: str | None) -> tuple[str, str]:
    """Bytes as text, and their encoding where that had to be found out and is not UTF-8.

    Stated encoding, byte order mark, UTF-8, then GB18030: UTF-8 is tried first because Chinese
    text in GB18030 is practically never valid UTF-8.
    """
    if encoding is not None:
        return decoder(file, encoding)(raw).removeprefix("\ufeff"), ""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return decoder(file, "utf-16")(raw), "UTF-16"
    try:
        return raw.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        broken = error
    texts = decoded([Piece(raw)], "gb18030")
    if texts is not None and (common_share(texts) >= 0.4 or not _was_utf8(raw, broken)):
        return texts[0], "GB18030"
    if not _was_utf8(raw, broken):
        raise DataError(
            f'{file}: text is neither UTF-8 nor GB18030; set encoding = "…" for this layer in plan.toml, or '
            "export it again as UTF-8"
        )
    n_lines = raw.count(b"\n", 0, broken.start)
    what = "is cut off within a character" if broken.reason == "unexpected end of data" else "is damaged"
    raise DataError(f"{file} {what}, in line {n_lines + 1:,}: UTF-8 breaks off there; copy it again")


def _was_utf8(raw: bytes, broken: UnicodeDecodeError) -> bool:
    """Whether so much before the break is beyond ASCII that it is UTF-8 by no accident."""
    return sum(each > 127 for each in raw[: broken.start]) >= NO_ACCIDENT


def decoder(file: str, encoding: str | None) -> Callable[[bytes], str]:
    def decode(raw: bytes) -> str:
        try:
            return raw.decode(encoding or "utf-8")
        except LookupError:
            raise DataError(f"{file}: encoding {encoding!r} is not known; use utf-8 or gb18030") from None
        except UnicodeDecodeError:
            raise DataError(
                f'{file}: text is not {encoding or "UTF-8"}; set encoding = "gb18030" for this layer in '
                "plan.toml, or export it again as UTF-8"
            ) from None

    return decode
