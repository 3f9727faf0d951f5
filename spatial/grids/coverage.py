"""Polygons that share their edges exactly: made from lines, joined to pieces, redrawn without vertices.

All corners lie on a raster of 1 mm, so that two edges are one edge if their ends are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from shapely.geometry.base import BaseGeometry

__all__ = [
    "PRECISION_M",
    "Sides",
    "containing",
    "dissolve",
    "faces_of",
    "multipolygons",
    "packed",
    "shared_edges",
    "sides_of",
    "split_pieces",
]

PRECISION_M = 0.001
REACH_M = 0.005  # noding moves what is nearer than this to a line at most

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Shapes = NDArray[np.object_]


@dataclass(frozen=True)
class Sides:
    """The straight pieces of all rings: one row for each side of each, in order of the rings."""

    ends: Floats  # (n, 2, 2) from, to
    piece: Ints  # (n,) row of the polygon
    edge: Ints  # (n,) number of the straight piece, the same from both sides


def faces_of(lines: Shapes, boundary: BaseGeometry) -> Shapes:
    """The faces inside ``boundary`` that lines and boundary make together, noded on the raster."""
    faces = _noded_faces(np.concatenate([[shapely.boundary(boundary)], lines]))
    shapely.prepare(boundary)
    return faces[shapely.intersects(boundary, shapely.point_on_surface(faces))]


def split_pieces(pieces: Shapes, lines: Shapes) -> tuple[Shapes, Ints]:
    """The faces that lines make of a coverage, and the piece each lies in; only pieces they touch are cut."""
    touched = np.unique(shapely.STRtree(pieces).query(lines, predicate="dwithin", distance=REACH_M)[1])
    if not len(touched):
        return pieces, np.arange(len(pieces))
    near = pieces[touched]
    sides = sides_of(near)
    _, first = np.unique(sides.edge, return_index=True)
    drawn = np.concatenate([shapely.linestrings(sides.ends[first]), lines])
    faces = _noded_faces(drawn)
    piece = containing(near, shapely.point_on_surface(faces))
    faces, piece = faces[piece >= 0], touched[piece[piece >= 0]]
    whole = np.delete(np.arange(len(pieces)), touched)
    return np.concatenate([pieces[whole], faces]), np.concatenate([whole, piece])


def containing(polygons: Shapes, points: Shapes) -> Ints:
    """The polygon each point lies in or on, of several the first; −1 where there is none."""
    found, point = shapely.STRtree(points).query(polygons, predicate="intersects")
    first = np.full(len(points), len(polygons), dtype=np.int64)
    np.minimum.at(first, point, found)
    return np.where(first < len(polygons), first, -1)


def _noded_faces(lines: Shapes) -> Shapes:
    """All faces that lines make together, noded on the raster."""
    network = shapely.union_all(lines, grid_size=PRECISION_M)
    return shapely.get_parts(shapely.polygonize(shapely.get_parts(network)))


def dissolve(faces: Shapes, label: Ints, among: Ints) -> tuple[Shapes, Ints]:
    """Pieces: the connected unions of the faces of each label, and their label.

    Faces of labels that are not ``among`` those given are pieces already.
    """
    open_ = np.isin(label, among)
    if not open_.any():
        return faces, label
    order = np.flatnonzero(open_)[np.argsort(label[open_], kind="stable")]
    labels, first = np.unique(label[order], return_index=True)
    unions = [shapely.coverage_union_all(each) for each in np.split(faces[order], first[1:])]
    pieces, at = shapely.get_parts(shapely.normalize(unions), return_index=True)
    return np.concatenate([faces[~open_], pieces]), np.concatenate([label[~open_], labels[at]])


def multipolygons(pieces: Shapes, label: Ints, n: int) -> Shapes:
    """One MultiPolygon for each label 0…n−1, empty where it has no piece."""
    areas = np.array([shapely.MultiPolygon()] * n, dtype=object)
    order = np.argsort(label, kind="stable")
    filled = np.unique(label)
    for each, parts in zip(
        filled, np.split(pieces[order], np.searchsorted(label[order], filled[1:])), strict=True
    ):
        areas[each] = shapely.MultiPolygon(list(parts))
    return areas


def sides_of(pieces: Shapes) -> Sides:
    """The straight pieces of the rings of polygons."""
    rings, owner = shapely.get_rings(pieces, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    inner = ring[1:] == ring[:-1]
    point = packed(xy)
    ends = np.sort(np.stack([point[:-1][inner], point[1:][inner]], axis=1), axis=1)
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    fresh = np.r_[True, (np.diff(ends[order], axis=0) != 0).any(axis=1)]
    edge = np.empty(len(order), dtype=np.int64)
    edge[order] = np.cumsum(fresh) - 1
    return Sides(np.stack([xy[:-1][inner], xy[1:][inner]], axis=1), owner[ring[1:][inner]], edge)


def shared_edges(pieces: Shapes) -> tuple[Ints, Ints, Floats]:
    """Ordered pairs of pieces that share edges, and the length they share. [m]"""
    sides = sides_of(pieces)
    order = np.argsort(sides.edge, kind="stable")
    edge, piece = sides.edge[order], sides.piece[order]
    length_m = np.hypot(*(sides.ends[:, 1] - sides.ends[:, 0])[order].T)
    same = (edge[1:] == edge[:-1]) & (piece[1:] != piece[:-1])
    one, two, shared = piece[:-1][same], piece[1:][same], length_m[1:][same]
    n = len(pieces)
    table = coo_array(
        (np.tile(shared, 2), (np.concatenate([one, two]), np.concatenate([two, one]))), shape=(n, n)
    ).tocsr()
    rows = np.repeat(np.arange(n), np.diff(table.indptr))
    return rows, table.indices.astype(np.int64), table.data


def packed(xy: Floats) -> Ints:
    """Points on the raster as one number each."""
    x, y = np.round((xy - xy.min(axis=0)) / PRECISION_M).astype(np.int64).T
    return x * (y.max() + 1) + y
