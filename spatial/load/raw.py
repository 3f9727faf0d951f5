"""What a reader of one format is given and gives back, and how it reads text in an unknown encoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray

from spatial.errors import DataError, Remark

__all__ = ["Choose", "RawLayer", "Source", "decoder", "file_text", "objects"]

#: From the headings of a file to those that are wanted: our name → its heading.
Choose = Callable[[list[str]], Mapping[str, str]]


@dataclass(frozen=True)
class Source:
    """One table of one file."""

    path: Path
    table: str = ""  # its name within the file; empty where a file is one table

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
    encoding: str = ""  # of text that is not UTF-8 and was found out
    degrees: bool = False  # x and y were found under headings that say longitude and latitude
    n_curves: int = 0  # rows whose curves can't be read; their geometry is None
    said: tuple[Remark, ...] = ()  # repairs, guesses and doubts of the reader; the layer is named later


def objects(values: list[Any]) -> NDArray[np.object_]:
    """A one-dimensional object array, whatever the values are."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def file_text(path: Path, encoding: str | None) -> tuple[str, str]:
    """The text of a file, and its encoding where that had to be found out and is not UTF-8.

    Stated encoding, byte order mark, UTF-8, then GB18030: UTF-8 is tried first because Chinese
    text in GB18030 is practically never valid UTF-8.
    """
    raw = path.read_bytes()
    if encoding is not None:
        return decoder(path.name, encoding)(raw).removeprefix("\ufeff"), ""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return decoder(path.name, "utf-16")(raw), "UTF-16"
    try:
        return raw.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return decoder(path.name, "gb18030")(raw), "GB18030"


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
