"""Geometry as it stands in a file → flat, single-part, valid shapes of the types the contract allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import GeometryType

from spatial.errors import Remark, fault, note
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


def clean_shapes(layer: str, geometry: Objects, labels: Objects) -> tuple[Shapes | None, list[Remark]]:
    """Check and mend the geometry of a layer.

    Faults: none, empty, not finite, another type than the contract's, a household of several
    points (its count can't be shared out), a household polygon without area. Mended with a note:
    Z and M dropped, lines and points split into their parts, lines without length and polygons
    without area dropped, invalid polygons made valid.

    Returns
    -------
    Shapes or None
        None where there is a fault.
    list of Remark
    """
    faults = _faults(layer, geometry, labels)
    if faults:
        return None, faults
    remarks = _told(note, "flattened", layer, labels, shapely.has_z(geometry) | shapely.has_m(geometry),
                    "had heights or measures, which are dropped")  # fmt: skip
    shapes, said = _split(layer, shapely.force_2d(geometry), labels)
    remarks += said
    shapes, said = _without_extent_dropped(layer, *_made_valid(layer, shapes, labels), labels)
    if any(each.kind == "fault" for each in said):
        return None, remarks + said
    return shapes, remarks + said


def _told(
    make: Any, code: str, layer: str, labels: Objects, rows: Mask, message: str, remedy: str = ""
) -> list[Remark]:
    if not rows.any():
        return []
    text = f"{int(rows.sum()):,} of {len(rows):,} {message}"
    return [make(code, text, layer=layer, ids=labels[rows], remedy=remedy)]


def _faults(layer: str, geometry: Objects, labels: Objects) -> list[Remark]:
    missing = shapely.is_missing(geometry) | shapely.is_empty(geometry)
    finite = _finite(geometry)
    allowed = LAYERS[layer].geometry
    types = [each for kind in allowed for each in _TYPES.get(kind, ())]
    wrong = ~missing & ~np.isin(shapely.get_type_id(geometry), types)
    faults = _told(fault, "geometry-missing", layer, labels, missing, "have no geometry",
                   "draw them, or delete the rows")  # fmt: skip
    faults += _told(fault, "geometry-not-finite", layer, labels, ~missing & ~finite,
                    "have coordinates that are no numbers", "draw them again")  # fmt: skip
    found = ", ".join(sorted({each.geom_type for each in geometry[wrong]}))
    faults += _told(fault, "geometry-type", layer, labels, wrong,
                    f"are {found}; expected {' or '.join(allowed)}", _REMEDIES[allowed[-1]])  # fmt: skip
    if layer == "households":
        n_points = np.where(
            shapely.get_type_id(geometry) == GeometryType.MULTIPOINT, shapely.get_num_geometries(geometry), 1
        )
        faults += _told(fault, "geometry-several-points", layer, labels, n_points > 1,
                        "have several points in one row",
                        "make one row of each point, with its own count")  # fmt: skip
    return faults


def _finite(geometry: Objects) -> Mask:
    xy, row = shapely.get_coordinates(geometry, return_index=True)
    finite = np.ones(len(geometry), dtype=bool)
    finite[row[~np.isfinite(xy).all(axis=1)]] = False
    return finite


def _split(layer: str, geometry: Objects, labels: Objects) -> tuple[Shapes, list[Remark]]:
    """Multipart lines and points taken apart; multipolygons stay, they are one house or one area."""
    rows = np.arange(len(geometry))
    multi = np.isin(shapely.get_type_id(geometry), (GeometryType.MULTIPOINT, GeometryType.MULTILINESTRING))
    parts, owner = shapely.get_parts(geometry[multi], return_index=True)
    owner = owner[~shapely.is_empty(parts)]
    parts = parts[~shapely.is_empty(parts)]
    place = np.arange(len(owner)) - np.searchsorted(owner, owner) + 1
    several = np.bincount(owner, minlength=int(multi.sum())) > 1
    row = np.concatenate((rows[~multi], rows[multi][owner]))
    part = np.concatenate((np.zeros(int((~multi).sum()), dtype=np.int64), np.where(several[owner], place, 0)))
    shape = np.concatenate((geometry[~multi], parts))
    order = np.lexsort((part, row))
    split = np.zeros(len(geometry), dtype=bool)
    split[rows[multi][several]] = True
    said = _told(
        note,
        "parts-split",
        layer,
        labels,
        split,
        "have several parts and were split, -1, -2 … added to their id",
    )
    return Shapes(shape[order], row[order], part[order]), said


def _made_valid(layer: str, shapes: Shapes, labels: Objects) -> tuple[Shapes, list[Remark]]:
    area = shapely.get_dimensions(shapes.geometry) == 2
    invalid = area & ~shapely.is_valid(shapes.geometry)
    touched = np.zeros(len(labels), dtype=bool)
    touched[shapes.row[invalid]] = True
    said = _told(
        note, "polygon-made-valid", layer, labels, touched, "cross or touch themselves and were made valid"
    )
    return Shapes(valid_polygons(shapes.geometry), shapes.row, shapes.part), said


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


def _without_extent_dropped(
    layer: str, shapes: Shapes, said: list[Remark], labels: Objects
) -> tuple[Shapes, list[Remark]]:
    """Lines of no length and polygons of no area have nothing to plan with; a household can't be lost."""
    dimension = shapely.get_dimensions(shapes.geometry)
    flat = (dimension == 1) & (shapely.length(shapes.geometry) == 0)
    flat |= (dimension == 2) & (shapely.area(shapes.geometry) == 0)
    rows = np.zeros(len(labels), dtype=bool)
    rows[shapes.row[flat]] = True
    if layer == "households":
        said += _told(fault, "geometry-no-area", layer, labels, rows, "have no area",
                      "draw the footprint again, or give a point")  # fmt: skip
    else:
        said += _told(
            note, "no-extent-dropped", layer, labels, rows, "have no length or area and were dropped"
        )
    return Shapes(shapes.geometry[~flat], shapes.row[~flat], shapes.part[~flat]), said


def geometric_order(geometry: Objects, *, ties: Objects | None) -> NDArray[np.int64]:
    """The order by west edge, south edge, then the rest of the shape; ``ties`` decide between equals."""
    west_south = shapely.bounds(geometry)[:, :2].tolist()
    wkb = shapely.to_wkb(geometry)
    last = [""] * len(geometry) if ties is None else ties
    order = sorted(range(len(geometry)), key=lambda i: (west_south[i], wkb[i], last[i]))
    return np.array(order, dtype=np.int64)
