"""Geometry as it stands in a file → flat, single-part, valid shapes of the types the contract allows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import GeometryType

from spatial.errors import Remark, fault, note
from spatial.load.rows import Rows
from spatial.schema import LAYERS

__all__ = ["Shapes", "clean_shapes", "geometric_order", "valid_polygons"]

Objects = NDArray[np.object_]
Mask = NDArray[np.bool_]

_TYPES = {
    "point": (GeometryType.POINT, GeometryType.MULTIPOINT),
    "line": (GeometryType.LINESTRING, GeometryType.LINEARRING, GeometryType.MULTILINESTRING),
    "polygon": (GeometryType.POLYGON, GeometryType.MULTIPOLYGON),
}
_REMEDIES = {
    "line": "draw centre-lines; areas and points can't be walked along",
    "polygon": "turn closed lines into polygons",
    "point": "take the points themselves, not areas or lines around them",
}


@dataclass(frozen=True)
class Shapes:
    """Clean geometry and where it comes from."""

    geometry: Objects
    row: NDArray[np.int64]  # row of the file
    part: NDArray[np.int64]  # 1, 2, … where a multipart line or point was split, else 0


def clean_shapes(
    rows: Rows, geometry: Objects, *, curved: Mask | None = None
) -> tuple[Shapes | None, list[Remark]]:
    """Check and mend the geometry of a layer.

    Faults: none, empty, curved, not finite, another type than the contract's, a household of several
    points (its count can't be shared out), a household polygon without area. Mended with a note:
    Z and M dropped, lines and points split into their parts, lines without length and polygons
    without area dropped, invalid polygons made valid.

    Parameters
    ----------
    rows : Rows
        Layer in ``schema.LAYERS`` and what its rows are called in messages.
    geometry : (n,) of shapely geometries or None
    curved : (n,) bool, optional
        Rows that have curves in the file, and None here.

    Returns
    -------
    Shapes or None
        None where there is a fault.
    list of Remark
    """
    faults = _faults(rows, geometry, np.zeros(len(rows), dtype=bool) if curved is None else curved)
    if faults:
        return None, faults
    high = shapely.has_z(geometry) | shapely.has_m(geometry)
    remarks = rows.tell(note, "flattened", high, "had heights or measures, which are dropped")
    n_rows = len(rows)
    shapes = Shapes(shapely.force_2d(geometry), np.arange(n_rows), np.zeros(n_rows, dtype=np.int64))
    for step in (_split, _made_valid, _without_extent_dropped):
        shapes, said = step(rows, shapes)
        remarks += said
    return (None if any(each.kind == "fault" for each in remarks) else shapes), remarks


def _faults(rows: Rows, geometry: Objects, curved: Mask) -> list[Remark]:
    allowed = LAYERS[rows.layer].geometry
    message, remedy = (
        "are curves, which can't be read",
        "turn them into plain lines (in QGIS: Convert curved to straight geometries)",
    )
    faults = rows.tell(fault, "geometry-curved", curved, message, remedy=remedy)
    missing = (shapely.is_missing(geometry) | shapely.is_empty(geometry)) & ~curved
    faults += rows.tell(
        fault, "geometry-missing", missing, "have no geometry", remedy="draw them, or delete the rows"
    )
    endless = ~missing & ~_finite(geometry)
    message = "have coordinates that are no numbers"
    faults += rows.tell(fault, "geometry-not-finite", endless, message, remedy="draw them again")
    wrong = ~(missing | curved) & ~np.isin(
        shapely.get_type_id(geometry), [t for kind in allowed for t in _TYPES[kind]]
    )
    found = ", ".join(sorted({each.geom_type for each in geometry[wrong]}))
    message, remedy = f"are {found}; expected {' or '.join(allowed)}", _REMEDIES[allowed[-1]]
    faults += rows.tell(fault, "geometry-type", wrong, message, remedy=remedy)
    if rows.layer == "households":
        multi = shapely.get_type_id(geometry) == GeometryType.MULTIPOINT
        several = multi & (shapely.get_num_geometries(geometry) > 1)
        message, remedy = "have several points", "make one row of each point, with its own count"
        faults += rows.tell(fault, "geometry-several-points", several, message, remedy=remedy)
    return faults


def _finite(geometry: Objects) -> Mask:
    xy, row = shapely.get_coordinates(geometry, return_index=True)
    finite = np.ones(len(geometry), dtype=bool)
    finite[row[~np.isfinite(xy).all(axis=1)]] = False
    return finite


def _split(rows: Rows, shapes: Shapes) -> tuple[Shapes, list[Remark]]:
    """Multipart lines and points taken apart; multipolygons stay, they are one house or one area."""
    whole = np.isin(shapely.get_type_id(shapes.geometry), _TYPES["polygon"])
    rest = shapes.geometry.copy()
    rest[whole] = None
    parts, row = shapely.get_parts(rest, return_index=True)
    sound = ~shapely.is_empty(parts)
    parts, row = parts[sound], row[sound]
    several = np.bincount(row, minlength=len(rows)) > 1
    place = np.arange(len(row)) - np.searchsorted(row, row) + 1
    part = np.concatenate((np.where(several[row], place, 0), np.zeros(int(whole.sum()), dtype=np.int64)))
    row = np.concatenate((row, np.flatnonzero(whole)))
    shape = np.concatenate((parts, shapes.geometry[whole]))
    order = np.lexsort((part, row))
    message = "have several parts and were split, -1, -2 … added to their id"
    return Shapes(shape[order], row[order], part[order]), rows.tell(note, "parts-split", several, message)


def _made_valid(rows: Rows, shapes: Shapes) -> tuple[Shapes, list[Remark]]:
    area = shapely.get_dimensions(shapes.geometry) == 2
    broken = _rows_of(shapes, area & ~shapely.is_valid(shapes.geometry), len(rows))
    said = rows.tell(note, "polygon-made-valid", broken, "cross or touch themselves and were made valid")
    return replace(shapes, geometry=valid_polygons(shapes.geometry)), said


def _without_extent_dropped(rows: Rows, shapes: Shapes) -> tuple[Shapes, list[Remark]]:
    """Lines of no length and polygons of no area have nothing to plan with; a household can't be lost."""
    dimension = shapely.get_dimensions(shapes.geometry)
    flat = (dimension == 1) & (shapely.length(shapes.geometry) == 0)
    flat |= (dimension == 2) & (shapely.area(shapes.geometry) == 0)
    concerned = _rows_of(shapes, flat, len(rows))
    if rows.layer == "households":
        remedy = "draw the footprint again, or give a point"
        said = rows.tell(fault, "geometry-no-area", concerned, "have no area", remedy=remedy)
    else:
        said = rows.tell(note, "no-extent-dropped", concerned, "have no length or area and were dropped")
    return Shapes(shapes.geometry[~flat], shapes.row[~flat], shapes.part[~flat]), said


def _rows_of(shapes: Shapes, concerned: Mask, n_rows: int) -> Mask:
    """The rows of the file behind the shapes concerned."""
    mask = np.zeros(n_rows, dtype=bool)
    mask[shapes.row[concerned]] = True
    return mask


def valid_polygons(geometry: Objects) -> Objects:
    """Invalid polygons made valid, only their areas kept; all others as they are."""
    broken = (shapely.get_dimensions(geometry) == 2) & ~shapely.is_valid(geometry)
    if not broken.any():
        return geometry
    mended = geometry.copy()
    mended[broken] = [
        _areas(each)
        for each in shapely.make_valid(geometry[broken], method="structure", keep_collapsed=False)
    ]
    return mended


def _areas(geometry: shapely.Geometry) -> shapely.Geometry:
    if geometry.geom_type in ("Polygon", "MultiPolygon"):
        return geometry
    parts = shapely.get_parts(geometry)
    areas = parts[shapely.get_dimensions(parts) == 2]
    return shapely.union_all(areas) if len(areas) else shapely.Polygon()


def geometric_order(geometry: Objects, *, ties: Objects | None) -> NDArray[np.int64]:
    """The order by west edge, south edge, then the rest of the shape; ``ties`` decide between equals."""
    west_south = shapely.bounds(geometry)[:, :2].tolist()
    wkb = shapely.to_wkb(geometry)
    last = [""] * len(geometry) if ties is None else ties
    order = sorted(range(len(geometry)), key=lambda i: (west_south[i], wkb[i], last[i]))
    return np.array(order, dtype=np.int64)
