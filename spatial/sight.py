"""Which stretch of alley each lamp site can see: exact intervals on the centre-lines.

A point of a centre-line is lit from a site if it lies within reach and the straight line between
the two crosses no building. Light is a circle cut with straight pieces; what a wall takes away is
convex, bounded by two sight lines and the wall itself, so on a straight piece it is one interval
given by three linear inequalities. All lengths are therefore exact, never sampled.

Buildings are shrunk by 1 mm, so that a lamp on a wall is not in the dark of its own wall; a site
deeper inside a building lights nothing. Intervals shorter than 0.1 mm are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from geopandas import GeoDataFrame
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from spatial.network import AlleyNetwork

__all__ = ["Intervals", "Stretches", "lit_intervals", "stretches"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SHRINK_M = 0.001
SLIVER_M = 1e-4
SAME_M = 1e-6  # ends closer than this are one


@dataclass(frozen=True)
class Intervals:
    """Row by row: ``site`` lights ``edge`` from ``from_m`` to ``to_m`` along the edge.

    Sorted by edge, site and from_m; intervals of one site on one edge do not touch.
    """

    edge: IntArray
    site: IntArray
    from_m: FloatArray
    to_m: FloatArray


@dataclass(frozen=True)
class Stretches:
    """The whole network cut wherever the light of some site begins or ends, without gap or overlap.

    Sorted by edge and from_m. Each is wholly lit or wholly dark from any one site.
    """

    edge: IntArray  # (n,)
    from_m: FloatArray  # (n,) along the edge
    to_m: FloatArray  # (n,)
    covers: sparse.csr_array  # (n, k) of bool: site j lights stretch i

    @property
    def length_m(self) -> FloatArray:
        return self.to_m - self.from_m


def lit_intervals(
    network: AlleyNetwork,
    sites: GeoDataFrame,
    buildings: GeoDataFrame,
    *,
    reach_m: float,
    line_of_sight: bool = True,
) -> Intervals:
    """What each site lights.

    Parameters
    ----------
    network : AlleyNetwork
    sites : GeoDataFrame of points, k rows
        Numbered 0..k-1 in row order.
    buildings : GeoDataFrame of polygons
        Block sight; none if empty.
    reach_m : float
        Farthest point a lamp lights, measured in the plane.
    line_of_sight : bool
        False: light goes through buildings.

    Returns
    -------
    Intervals
    """
    points = sites.geometry.to_numpy()
    pieces = _straight_pieces(network)
    site, piece = _within(points, pieces.lines, reach_m)
    walls, keep = _no_walls(len(points)), np.ones(len(site), dtype=bool)
    if line_of_sight and len(buildings):
        shrunk = shapely.buffer(buildings.geometry.to_numpy(), -SHRINK_M, join_style="mitre")
        walls = _walls_near(points, shrunk, reach_m)
        keep = ~np.isin(site, shapely.STRtree(shrunk).query(points, predicate="within")[0])
    row, start_m, end_m = _visible(
        shapely.get_coordinates(points), pieces, site[keep], piece[keep], walls, reach_m
    )
    site, piece = site[keep][row], piece[keep][row]
    from_m = pieces.from_m[piece]
    return _joined(pieces.edge[piece], site, from_m + start_m, from_m + end_m)


def stretches(
    network: AlleyNetwork,
    intervals: Intervals,
    n_sites: int,
    *,
    cuts: tuple[IntArray, FloatArray] | None = None,
) -> Stretches:
    """Cut the network at every end of an interval and say which sites cover each stretch.

    Ends within a thousandth of a millimetre are one cut. Dark stretches are included, so the
    lengths add up to the network's.

    Parameters
    ----------
    cuts : (edge, metres along it), optional
        Further places to cut at.
    """
    n_edges, n = len(network.edge_length_m), len(intervals.edge)
    more_edge, more_m = (np.empty(0, dtype=np.int64), np.empty(0)) if cuts is None else cuts
    edge = np.concatenate([np.arange(n_edges), np.arange(n_edges), intervals.edge, intervals.edge, more_edge])
    at_m = np.concatenate(
        [np.zeros(n_edges), network.edge_length_m, intervals.from_m, intervals.to_m, more_m]
    )
    order = np.lexsort((at_m, edge))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(edge[order]) > 0) | (np.diff(at_m[order]) > SAME_M)
    cut = np.empty(len(order), dtype=np.int64)
    cut[order] = np.cumsum(first) - 1
    cut_edge, cut_m = edge[order][first], at_m[order][first]
    cut_m[cut[n_edges : 2 * n_edges]] = network.edge_length_m
    last_of_edge = np.append(np.diff(cut_edge) > 0, True)
    stretch_of_cut = np.cumsum(~last_of_edge) - ~last_of_edge
    begins = np.flatnonzero(~last_of_edge)
    covered_from = stretch_of_cut[cut[2 * n_edges : 2 * n_edges + n]]
    n_covered = cut[2 * n_edges + n : 2 * n_edges + 2 * n] - cut[2 * n_edges : 2 * n_edges + n]
    row = np.repeat(covered_from - np.cumsum(n_covered) + n_covered, n_covered) + np.arange(n_covered.sum())
    covers = sparse.csr_array(
        (np.ones(len(row), dtype=bool), (row, np.repeat(intervals.site, n_covered))),
        shape=(len(begins), n_sites),
    )
    covers.sort_indices()
    return Stretches(cut_edge[begins], cut_m[begins], cut_m[begins + 1], covers)


@dataclass(frozen=True)
class _Pieces:
    """Straight pieces of the edges."""

    xy: FloatArray  # (n, 4): from x, y, to x, y
    edge: IntArray
    from_m: FloatArray  # along the edge
    lines: NDArray[np.object_]


@dataclass(frozen=True)
class _Walls:
    """The walls within reach of each site, in rows: site i has ``wall[indptr[i]:indptr[i + 1]]``."""

    xy: FloatArray  # (n, 4); the building is on the left
    indptr: IntArray
    wall: IntArray


def _straight_pieces(network: AlleyNetwork) -> _Pieces:
    coords, edge = shapely.get_coordinates(network.edge_lines, return_index=True)
    inside = edge[1:] == edge[:-1]
    length_m = np.where(inside, np.hypot(*np.diff(coords, axis=0).T), 0.0)
    along_m = np.concatenate([[0.0], np.cumsum(length_m)])
    begin_m = along_m[np.searchsorted(edge, np.arange(len(network.edge_lines)))]
    keep = np.flatnonzero(length_m > 0)
    xy = np.hstack([coords[keep], coords[keep + 1]])
    from_m = along_m[keep] - begin_m[edge[keep]]
    return _Pieces(xy, edge[keep].astype(np.int64), from_m, shapely.linestrings(xy.reshape(-1, 2, 2)))


def _within(
    points: NDArray[np.object_], lines: NDArray[np.object_], reach_m: float
) -> tuple[IntArray, IntArray]:
    """Pairs (point, line) at most ``reach_m`` apart, sorted."""
    pairs = shapely.STRtree(lines).query(points, predicate="dwithin", distance=reach_m)
    point, line = pairs[:, np.lexsort(pairs[::-1])]
    return point.astype(np.int64), line.astype(np.int64)


def _no_walls(n_sites: int) -> _Walls:
    return _Walls(np.empty((0, 4)), np.zeros(n_sites + 1, dtype=np.int64), np.empty(0, dtype=np.int64))


def _walls_near(points: NDArray[np.object_], shrunk: NDArray[np.object_], reach_m: float) -> _Walls:
    rings = shapely.get_rings(shapely.orient_polygons(shapely.get_parts(shrunk)))
    coords, ring = shapely.get_coordinates(rings, return_index=True)
    keep = np.flatnonzero((ring[1:] == ring[:-1]) & (coords[1:] != coords[:-1]).any(axis=1))
    xy = np.hstack([coords[keep], coords[keep + 1]])
    site, wall = _within(points, shapely.linestrings(xy.reshape(-1, 2, 2)), reach_m)
    return _Walls(xy, np.searchsorted(site, np.arange(len(points) + 1)), wall)


def _visible(
    site_xy: FloatArray, pieces: _Pieces, site: IntArray, piece: IntArray, walls: _Walls, reach_m: float
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Lit intervals of each (site, piece) pair: which pair, from and to along the piece."""
    capacity = 4 * len(site) + 16
    while True:
        row = np.empty(capacity, dtype=np.int64)
        start_m, end_m = np.empty(capacity), np.empty(capacity)
        n = _light(
            site_xy, pieces.xy, site, piece, walls.xy, walls.indptr, walls.wall, reach_m, row, start_m, end_m
        )
        if n <= capacity:
            return row[:n], start_m[:n], end_m[:n]
        capacity = n


def _joined(edge: IntArray, site: IntArray, from_m: FloatArray, to_m: FloatArray) -> Intervals:
    """Intervals that run on across a bend are made one; slivers are dropped."""
    order = np.lexsort((from_m, site, edge))
    edge, site, from_m, to_m = edge[order], site[order], from_m[order], to_m[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(edge) != 0) | (np.diff(site) != 0) | (from_m[1:] - to_m[:-1] > SAME_M)
    last = np.append(first[1:], True)[: len(order)]
    from_m, to_m = from_m[first], to_m[last]
    keep = to_m - from_m >= SLIVER_M
    return Intervals(edge[first][keep], site[first][keep], from_m[keep], to_m[keep])


@njit(cache=True)
def _light(
    site_xy: FloatArray,
    piece_xy: FloatArray,
    site: IntArray,
    piece: IntArray,
    wall_xy: FloatArray,
    indptr: IntArray,
    wall: IntArray,
    reach_m: float,
    row: IntArray,
    start_m: FloatArray,
    end_m: FloatArray,
) -> int:
    """Circle and straight piece, minus the shadows of the walls; returns how many intervals there are.

    The site is the origin; a + t d is the piece, t in metres.
    """
    n_out = 0
    most_walls = 1
    for i in range(len(indptr) - 1):
        most_walls = max(most_walls, indptr[i + 1] - indptr[i])
    shadow = np.empty((most_walls, 2))
    for k in range(len(site)):
        i = site[k]
        sx, sy = site_xy[i, 0], site_xy[i, 1]
        ax, ay = piece_xy[piece[k], 0] - sx, piece_xy[piece[k], 1] - sy
        dx, dy = piece_xy[piece[k], 2] - sx - ax, piece_xy[piece[k], 3] - sy - ay
        length = np.hypot(dx, dy)
        dx /= length
        dy /= length
        middle = -(ax * dx + ay * dy)
        off = ax * dy - ay * dx
        half = np.sqrt(max(reach_m * reach_m - off * off, 0.0))
        low, high = max(0.0, middle - half), min(length, middle + half)
        if high <= low:
            continue
        n_shadows = 0
        for w in wall[indptr[i] : indptr[i + 1]]:
            px, py = wall_xy[w, 0] - sx, wall_xy[w, 1] - sy
            qx, qy = wall_xy[w, 2] - sx, wall_xy[w, 3] - sy
            first, last = _shadow(px, py, qx, qy, ax, ay, dx, dy, low, high)
            if last > first:
                at = n_shadows  # kept in order of their beginnings
                while at > 0 and shadow[at - 1, 0] > first:
                    shadow[at] = shadow[at - 1]
                    at -= 1
                shadow[at, 0], shadow[at, 1] = first, last
                n_shadows += 1
        reached = low
        for j in range(n_shadows + 1):
            begin = shadow[j, 0] if j < n_shadows else high
            if begin - reached > SAME_M:
                if n_out < len(row):
                    row[n_out], start_m[n_out], end_m[n_out] = k, reached, begin
                n_out += 1
            if j < n_shadows:
                reached = max(reached, shadow[j, 1])
    return n_out


@njit(cache=True)
def _shadow(
    px: float,
    py: float,
    qx: float,
    qy: float,
    ax: float,
    ay: float,
    dx: float,
    dy: float,
    low: float,
    high: float,
) -> tuple[float, float]:
    """Where the wall p → q, its building on the left, hides a + t d from the origin; empty if last <= first.

    Only walls that turn their outside to the origin count: light enters a building through one of them.
    With q then p counter-clockwise, x is hidden when q×x >= 0, x×p >= 0 and (q-p)×(x-p) >= 0.
    """
    if px * qy - py * qx >= 0.0:
        return 0.0, 0.0
    ex, ey = qx - px, qy - py
    first, last = low, high
    for f0, f1 in (
        (qx * ay - qy * ax, qx * dy - qy * dx),
        (ax * py - ay * px, dx * py - dy * px),
        (ex * (ay - py) - ey * (ax - px), ex * dy - ey * dx),
    ):
        if f1 > 0.0:
            first = max(first, -f0 / f1)
        elif f1 < 0.0:
            last = min(last, -f0 / f1)
        elif f0 < 0.0:
            return 0.0, 0.0
    return first, last
