"""Coordinates as people write them: decimal, in degrees, minutes and seconds, both in a cell, as WKT."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.errors import Remark, doubt, fault, first_ids, note
from spatial.load.columns import as_text, parse_numbers
from spatial.load.headings import Pair
from spatial.load.raw import file_crs, objects

__all__ = ["points", "swapped_axes", "well_known"]

Objects = NDArray[np.object_]
Floats = NDArray[np.float64]

_THOUSANDS = re.compile(r"([+-]?\d{1,3}(?:,\d{3})+)(\.\d+)?")
_DMS = re.compile(
    r"""(?P<before>东经|西经|北纬|南纬|[EWNS])?\s*
    (?P<degrees>[+-]?\d{1,3}(?:\.\d+)?)(?:\s*[°度])?
    (?:(?:(?<=[°度])\s*|\s*[:\s-]\s*)(?P<minutes>\d{1,2}(?:\.\d+)?)(?:
        \s*['′’分:\s-]\s*(?:(?P<seconds>\d{1,2}(?:\.\d+)?)\s*(?:"|”|′′|''|’’|秒)?)?
    )?)?\s*
    (?P<behind>[EWNS])?""",
    re.VERBOSE,
)
_LONGEST = 60
_SIDES = {"东经": "E", "西经": "W", "北纬": "N", "南纬": "S"}
_WKT = re.compile(
    r"(?:SRID=(\d{4,6});)?((?:MULTI)?(?:POINT|LINESTRING|POLYGON)\s*(?:Z|M|ZM)?\s*\(.*)", re.DOTALL
)


def points(pair: Pair, x_cells: Objects, y_cells: Objects) -> tuple[Objects, bool, list[Remark]]:
    """A point for each row, None where a coordinate is empty or can't be read.

    Parameters
    ----------
    pair : Pair
        Under which headings the cells stand, and whether those say which is east.
    x_cells, y_cells : (n,) of text, numbers or None

    Returns
    -------
    points : (n,) of shapely points or None
    degrees : bool
        The headings or the way of writing say that these are degrees.
    remarks : list of Remark
        Notes on what was turned or converted; a fault for cells that are no coordinates.
    """
    degrees = pair.degrees
    if pair.x == pair.y:
        x_cells, y_cells = _halves(x_cells)
    (x, x_dms, x_unread), (y, y_dms, y_unread) = _ordinates(x_cells, "EW"), _ordinates(y_cells, "NS")
    if pair.x == pair.y and (x_unread | y_unread).any():  # written with N in front of E
        (y, y_dms, _), (x, x_dms, _) = turned = _ordinates(x_cells, "NS"), _ordinates(y_cells, "EW")
        x_unread, y_unread = turned[1][2], turned[0][2]
    remarks = []
    unread = x_unread | y_unread
    if unread.any():
        cells = (*as_text(x_cells[x_unread]), *as_text(y_cells[y_unread]))
        text = f"{int(unread.sum()):,} of {len(x):,} have coordinates that can't be read: "
        remedy = "write decimal degrees, degrees such as 117°06′30.5″, or metres"
        remarks.append(fault("coordinates-unread", text + first_ids(set(cells)), remedy=remedy))
    n_dms = int((x_dms | y_dms).sum())
    if n_dms:
        degrees = True
        text = f"coordinates of {n_dms:,} rows are degrees, minutes and seconds, converted"
        remarks.append(note("degrees-converted", text))
    if not pair.stated:
        if pair.x == pair.y and _are_latitudes(x, y):
            x, y = y, x
            remarks.append(
                note("axes-swapped", f"{pair.x} holds latitude first, then longitude, by the sizes")
            )
        elif swapped_axes(_median(x), _median(y)):
            text = f"by the sizes {pair.x} is north and {pair.y} is east, as in Chinese surveying: turned "
            text += f"(around {_median(y):.7g} east, {_median(x):.7g} north)"
            x, y = y, x
            remarks.append(note("axes-swapped", text, remedy='if not, state columns = {x = "…", y = "…"}'))
        degrees = degrees or (pair.x == pair.y and _within(x, 180.0) and _within(y, 90.0))
    shapes = np.full(len(x), None, dtype=object)
    given = ~(np.isnan(x) | np.isnan(y))
    shapes[given] = shapely.points(x[given], y[given])
    return shapes, degrees, remarks


def swapped_axes(x: float, y: float) -> bool:
    """Whether coordinates of these sizes are north and east in metres, as Chinese surveyors name X and Y.

    A northing in China lies between 1.9 and 6.1 million; an easting has six digits, or eight with the
    number of its zone in front. No system in use has them the other way round.
    """
    return 1.9e6 <= x <= 6.1e6 and (1.0e5 <= y <= 9.0e5 or 13.0e6 <= y <= 46.0e6)


def well_known(file: str, cells: Objects) -> tuple[Objects, pyproj.CRS | None, list[Remark]]:
    """Geometries from well-known text, None where it is empty or can't be read; the system it names."""
    texts = as_text(cells)
    found = [_WKT.fullmatch(" ".join(each.upper().split())) for each in texts]
    # nested collections are none of the contract's and could be nested without end
    shapes = shapely.from_wkt(
        objects([each.group(2) if each else None for each in found]), on_invalid="ignore"
    )
    remarks = []
    unread = (texts != "") & shapely.is_missing(shapes)
    if unread.any():
        text = f"{int(unread.sum()):,} of {len(texts):,} hold text that is no point, line or polygon: "
        remedy = "write it like POINT (509433.5 3497012.2)"
        remarks.append(fault("coordinates-unread", text + first_ids(set(texts[unread])), remedy=remedy))
    codes = {each.group(1) for each in found if each and each.group(1)}
    if len(codes) > 1:
        text = f"rows name several systems (SRID {first_ids(codes)}), of which none was taken"
        remarks.append(doubt("crs-unreadable", text, remedy="bring all rows to one system"))
        return shapes, None, remarks
    crs, said = file_crs(file, f"EPSG:{codes.pop()}" if codes else None)
    return shapes, crs, remarks + said


def _halves(cells: Objects) -> tuple[Objects, Objects]:
    """The two coordinates of each cell; a cell that is not two leaves its text in the first."""
    parts = [
        [part for part in re.split(r"[,;，；、\s]+", each.strip(" ()[]（）")) if part]
        for each in as_text(cells)
    ]
    pairs = [each if len(each) == 2 else [" ".join(each) or None, None] for each in parts]
    return objects([each[0] for each in pairs]), objects([each[1] for each in pairs])


def _ordinates(cells: Objects, sides: str) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Numbers, NaN where empty; which rows were degrees, minutes and seconds; which can't be read."""
    numbers, unread = parse_numbers(cells, units=("m", "米", "°", "度"))
    unread &= np.isnan(numbers)  # a number too large for any place is told with the geometry
    dms = np.zeros(len(numbers), dtype=bool)
    for i in np.flatnonzero(unread):
        number, dms[i] = _written(str(cells[i]), sides)
        numbers[i], unread[i] = number, not np.isfinite(number)
    return numbers, dms, unread


def _written(cell: str, sides: str) -> tuple[float, bool]:
    """One coordinate as a person wrote it, NaN if it is none; whether it has minutes."""
    if len(cell) > _LONGEST:
        return np.nan, False
    text = unicodedata.normalize("NFKC", re.sub("[º˚⁰]", "°", cell)).strip().upper()
    thousands = _THOUSANDS.fullmatch(text)
    if thousands:
        return float(thousands.group(1).replace(",", "") + (thousands.group(2) or "")), False
    found = _DMS.fullmatch(text)
    if not found:
        return np.nan, False
    side = found["behind"] or _SIDES.get(found["before"] or "", found["before"]) or sides[0]
    minutes, seconds = (float(found[each] or 0.0) for each in ("minutes", "seconds"))
    broken = found["minutes"] is not None and "." in found["degrees"]
    if broken or side not in sides or minutes >= 60.0 or seconds >= 60.0:
        return np.nan, False
    degrees = float(found["degrees"])
    size = abs(degrees) + minutes / 60.0 + seconds / 3600.0
    negative = found["degrees"].startswith("-") != (side == sides[1])
    return -size if negative else size, found["minutes"] is not None


def _are_latitudes(x: Floats, y: Floats) -> bool:
    return _within(x, 90.0) and _within(y, 180.0) and abs(_median(y)) > 90.0


def _within(values: Floats, limit: float) -> bool:
    known = values[~np.isnan(values)]
    return len(known) > 0 and bool((np.abs(known) <= limit).all())


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan
