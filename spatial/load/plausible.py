"""What can be so and hardly is: layers that are sound one by one and make no sense together."""

from __future__ import annotations

from collections.abc import Mapping

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.errors import Remark, doubt

__all__ = ["told_implausible"]

Layers = Mapping[str, gpd.GeoDataFrame]
Mask = NDArray[np.bool_]

#: An alley without a bend is no longer. [m]
_STRAIGHT_M = 1000.0
#: Passages under houses are shorter. [m]
_WITHIN_A_BUILDING_M = 50.0
_SHARED = 0.5  # of the smaller building
#: The houses and alleys of a community, with the ground around, fill more of its boundary than this. [m]
_AROUND_M, _FILLED = 100.0, 0.01


def told_implausible(layers: Layers) -> list[Remark]:
    """Doubts on layers in one metric system, as they were given, none made from another.

    Straight pieces of alley longer than a kilometre, buildings that hold an alley or lie on each
    other, more elderly people or party members than residents, a boundary a hundred times as large
    as what it bounds.
    """
    remarks = _straight(layers) + _in_a_building(layers) + _overlapping(layers)
    return remarks + _people(layers) + _too_wide(layers)


def _straight(layers: Layers) -> list[Remark]:
    if "alleys" not in layers:
        return []
    shapes = layers["alleys"].geometry.to_numpy()
    xy, row = shapely.get_coordinates(shapes, return_index=True)
    steps_m = np.hypot(*np.diff(xy, axis=0).T) * (row[1:] == row[:-1])
    long = np.isin(np.arange(len(shapes)), row[1:][steps_m > _STRAIGHT_M])
    text = f"run straight for more than {_STRAIGHT_M:,.0f} m, as where a corner was drawn in a wrong place"
    return _tell(layers, "alleys", long, "alleys-straight", text, "correct the corner, if it is one")


def _in_a_building(layers: Layers) -> list[Remark]:
    if "alleys" not in layers or "buildings" not in layers:
        return []
    alleys, buildings = (layers[each].geometry.to_numpy() for each in ("alleys", "buildings"))
    building, alley = shapely.STRtree(alleys).query(buildings, predicate="intersects")
    within = shapely.intersection(alleys[alley], buildings[building])
    within_m = np.bincount(building, shapely.length(within), minlength=len(buildings))
    text = f"have more than {_WITHIN_A_BUILDING_M:.0f} m of alley inside, which no lamp beside them can light"
    remedy = "delete outlines that are no buildings, or check how the two layers lie to each other"
    return _tell(layers, "buildings", within_m > _WITHIN_A_BUILDING_M, "alleys-in-building", text, remedy)


def _overlapping(layers: Layers) -> list[Remark]:
    if "buildings" not in layers:
        return []
    shapes = layers["buildings"].geometry.to_numpy()
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    one, other = one[one < other], other[one < other]
    area_m2 = shapely.area(shapes)
    shared_m2 = shapely.area(shapely.intersection(shapes[one], shapes[other]))
    doubled = shared_m2 > _SHARED * np.minimum(area_m2[one], area_m2[other])
    there = np.isin(np.arange(len(shapes)), other[doubled])
    text = "lie for more than half on another building"
    return _tell(layers, "buildings", there, "buildings-overlap", text, "keep one outline of each building")


def _people(layers: Layers) -> list[Remark]:
    if "households" not in layers:
        return []
    rows = layers["households"]
    residents = rows["residents"].to_numpy(dtype=float, na_value=np.nan)
    remarks = []
    for column in ("elderly", "party_members"):
        more = rows[column].to_numpy(dtype=float, na_value=np.nan) > residents
        remedy = "correct one of the two, or empty it"
        remarks += _tell(
            layers, "households", more, "people-too-many", "are more than residents", remedy, column
        )
    return remarks


def _too_wide(layers: Layers) -> list[Remark]:
    inside = [layers[each].geometry.to_numpy() for each in ("alleys", "households") if each in layers]
    if "boundary" not in layers or not inside:
        return []
    hull = shapely.convex_hull(shapely.geometrycollections(np.concatenate(inside))).buffer(_AROUND_M)
    area_m2 = float(shapely.area(layers["boundary"].geometry.to_numpy()).sum())
    if shapely.area(hull) >= _FILLED * area_m2:
        return []
    text = (
        f"covers {area_m2 / 1e6:,.0f} km2, houses and alleys with {_AROUND_M:.0f} m around them "
        f"{shapely.area(hull) / 1e6:,.2f} km2 of it: it may be that of the township or county"
    )
    return [doubt("boundary-wide", text, layer="boundary", remedy="give the community's own boundary")]


def _tell(
    layers: Layers, name: str, there: Mask, code: str, text: str, remedy: str, column: str = ""
) -> list[Remark]:
    if not there.any():
        return []
    rows = layers[name]
    ids = rows[rows.columns[0]].to_numpy(dtype=object)[there]
    message = f"{int(there.sum()):,} of {len(rows):,} {text}"
    return [doubt(code, message, layer=name, column=column, ids=ids, remedy=remedy)]
