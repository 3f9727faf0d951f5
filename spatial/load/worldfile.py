"""What may lie beside a raster: a world file that says where its cells are, and a .prj with its system."""

from __future__ import annotations

import math
import os
from pathlib import Path

from spatial.errors import DataError

__all__ = ["COMPANY", "beside_raster", "neighbours_unread", "stated_system", "world_transform"]

_WORLD = (".tfw", ".tifw", ".tiffw", ".wld")
_READ = (*_WORLD, ".prj")
#: Endings of the files that programs write for a raster of the same name.
COMPANY = (
    *_READ, ".aux.xml", ".tif.aux.xml", ".tiff.aux.xml", ".tif.ovr", ".tiff.ovr", ".ovr", ".tif.xml",
    ".tiff.xml", ".rrd", ".tif.msk", ".tiff.msk", ".msk", ".tif.vat.dbf", ".tif.vat.cpg",
)  # fmt: skip
_MOST_BYTES = 20_000

Six = tuple[float, float, float, float, float, float]


def beside_raster(path: Path) -> tuple[Path, ...]:
    """The files that are read together with a raster: the same name in any case."""
    there = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    return tuple(each for each in there if each.stem == path.stem and each.suffix.lower() in _READ)


def neighbours_unread(path: Path) -> list[str]:
    """Names of the files that other programs would follow for masks, statistics and coarser copies."""
    names = (path.name + ending for ending in (".aux.xml", ".msk", ".ovr"))
    return [each for each in names if os.path.lexists(path.with_name(each))]


def world_transform(path: Path) -> tuple[Six, str] | None:
    """x = a·col + b·row + c, y = d·col + e·row + f from the corner of the first cell, and the file's name.

    Raises
    ------
    DataError
        There is a world file that does not hold six numbers.
    """
    for each in beside_raster(path):
        if each.suffix.lower() in _WORLD:
            try:
                a, d, b, e, x, y = map(float, _text(each).split())
            except ValueError:
                a = d = b = e = x = y = math.nan
            if not all(map(math.isfinite, (a, b, d, e, x, y))):
                raise DataError(f"{each.name} is no world file: it has to hold six numbers")
            # a world file gives the middle of the first cell
            return (a, b, x - (a + b) / 2, d, e, y - (d + e) / 2), each.name
    return None


def stated_system(path: Path) -> tuple[str, str]:
    """The text of the .prj and its name; both empty where there is none."""
    for each in beside_raster(path):
        if each.suffix.lower() == ".prj":
            return _text(each).strip(), each.name
    return "", ""


def _text(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.read(_MOST_BYTES).decode("utf-8", errors="replace")
