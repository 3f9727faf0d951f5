"""Coordinates that can't be the true places: rounded to streets, or one and the same for many rows."""

from __future__ import annotations

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.errors import Remark, doubt
from spatial.load.rows import Rows

__all__ = ["told_exactness"]

Objects = NDArray[np.object_]

#: Fewer may share a spot or be round by accident.
_FEWEST = 50
#: A geocoder that does not know the addresses puts them in the middle of the village.
_SHARE_ON_A_SPOT = 0.2
#: Steps on which all coordinates lie that are too coarse for a house, the coarsest first.
_STEPS = {True: (0.1, 0.01, 0.001, 0.0001), False: (1000.0, 100.0, 10.0)}
_METRES_IN_DEGREE = 111_000.0


def told_exactness(rows: Rows, geometry: Objects, crs: pyproj.CRS) -> list[Remark]:
    """Doubts on coordinates too coarse to tell one house from the next.

    Parameters
    ----------
    rows : Rows
    geometry : (n,) of shapely geometries or None
        As they stand in the file.
    crs : CRS
        In which they are.
    """
    given = (shapely.get_type_id(geometry) == shapely.GeometryType.POINT) & ~shapely.is_empty(geometry)
    xy = np.full((len(geometry), 2), np.nan)
    xy[given] = shapely.get_coordinates(geometry[given])
    given &= np.isfinite(xy).all(axis=1)
    if given.sum() < _FEWEST:
        return []
    return _stacked(rows, xy, given) + _rounded(rows, xy[given], crs)


def _stacked(rows: Rows, xy: NDArray[np.float64], given: NDArray[np.bool_]) -> list[Remark]:
    spots, which, counts = np.unique(xy[given], axis=0, return_inverse=True, return_counts=True)
    fullest = int(counts.argmax())
    if rows.layer != "households" or counts[fullest] < max(_FEWEST / 2, _SHARE_ON_A_SPOT * given.sum()):
        return []
    there = given.copy()
    there[given] = which.ravel() == fullest
    x, y = spots[fullest]
    remedy = "give each house its own point; if it is one tower, give it one row with its count of households"
    return rows.tell(doubt, "points-stacked", there, f"stand on one spot ({x:.9g}, {y:.9g})", remedy=remedy)


def _rounded(rows: Rows, xy: NDArray[np.float64], crs: pyproj.CRS) -> list[Remark]:
    for step in _STEPS[crs.is_geographic]:
        cells = xy / step
        if not (np.abs(cells - np.round(cells)) < 1e-6 * max(1.0, 1.0 / step)).all():
            continue
        if len(np.unique(xy, axis=0)) < 2:
            return []
        unit = f"{step:g}° ({step * _METRES_IN_DEGREE:,.0f} m)" if crs.is_geographic else f"{step:,.0f} m"
        text = f"all coordinates are rounded to {unit}: houses and lamps stand beside their true places"
        remedy = "export them with all decimals, 0.000001° or 0.01 m"
        return [doubt("coordinates-rounded", text, layer=rows.layer, remedy=remedy)]
    return []
