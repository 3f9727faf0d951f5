"""Calm outlines: vertices are left out wherever no house, no door and no other edge is in the way.

Least effective areas first [1]_, one vertex at a time. A vertex may go if the triangle it spans with its
neighbours holds no obstacle and no vertex of another edge: then nothing changes sides and no two edges
come to cross, so a coverage stays one.

References
----------
.. [1] M. Visvalingam and J. D. Whyatt, "Line generalisation by repeated elimination of points", The
   Cartographic Journal 30, 1993, pp. 46-51.
"""

from __future__ import annotations

import heapq

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from spatial.grids.coverage import Floats, Ints, Shapes, packed

__all__ = ["calm"]

Bools = NDArray[np.bool_]

CELL_M = 8.0  # squares in which obstacles are looked up
ON_LINE_M = 0.005
RUN_M = 6.0  # an edge follows an alley or a barrier if it does so for this far

#: A vertex may go if the edge moves by no more than this, or over no more ground. [m, m²]
FIXED, FREE, ON_LINE, ON_WALL = (-1.0, -1.0), (1.5, 12.0), (0.1, 0.0), (0.002, 0.015)


def calm(pieces: Shapes, obstacles: Floats, lines: Shapes, *, walls: Shapes) -> Shapes:
    """The pieces with fewer vertices on the edges between them; edges on one side only stay as they are.

    Parameters
    ----------
    pieces : polygons
        A coverage with corners on the raster.
    obstacles : float64, shape (k, 2)
        Points that stay on their side of every edge. [m]
    lines : lines
        Alleys and barriers: an edge that follows one goes on following it.
    walls : polygons
        Buildings: an edge along a wall goes on following it.
    """
    rings, owner = shapely.get_rings(pieces, return_index=True)
    ring_xy, ring = shapely.get_coordinates(rings, return_index=True)
    _, first, vertex = np.unique(packed(ring_xy), return_index=True, return_inverse=True)
    origin = ring_xy.min(axis=0)
    xy = ring_xy[first] - origin
    inner = ring[1:] == ring[:-1]
    ends = np.sort(np.column_stack([vertex[:-1][inner], vertex[1:][inner]]), axis=1)
    ends, sides = np.unique(ends, axis=0, return_counts=True)
    link = _links(ends, sides, len(xy))
    most = np.full((len(xy), 2), FREE)
    most[_along(ring_xy[first], ends, lines)] = ON_LINE
    tree = shapely.STRtree(shapely.boundary(walls))
    most[tree.query(shapely.points(ring_xy[first]), predicate="dwithin", distance=ON_LINE_M)[0]] = ON_WALL
    most[link[:, 0] < 0] = FIXED
    near = obstacles[_near(xy, obstacles - origin)] - origin
    stays = _thin(xy, link, most, ends, near)
    kept = stays[vertex]
    last = np.r_[ring[1:] != ring[:-1], True]
    kept &= ~last
    outlines = shapely.linearrings(ring_xy[kept], indices=ring[kept])
    return shapely.polygons(outlines, indices=owner)


def _links(ends: Ints, sides: Ints, n: int) -> Ints:
    """The two neighbours of each vertex between two edges inside, else −1."""
    both = np.concatenate([ends, ends[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    degree = np.bincount(both[:, 0], minlength=n)
    free = degree == 2
    free[ends[sides == 1].ravel()] = False
    link = np.full((n, 2), -1, dtype=np.int64)
    start = np.cumsum(degree) - degree
    link[free, 0], link[free, 1] = both[start[free], 1], both[start[free] + 1, 1]
    return link


def _along(xy: Floats, ends: Ints, lines: Shapes) -> Bools:
    """Vertices of edges that follow one of the lines for a while."""
    found = np.zeros(len(xy), dtype=bool)
    if not len(lines):
        return found
    tree = shapely.STRtree(lines)
    middle = shapely.points((xy[ends[:, 0]] + xy[ends[:, 1]]) / 2)
    touch = np.zeros(len(ends), dtype=bool)
    touch[tree.query(middle, predicate="dwithin", distance=ON_LINE_M)[0]] = True
    for side in (0, 1):
        here = np.zeros(len(ends), dtype=bool)
        here[tree.query(shapely.points(xy[ends[:, side]]), predicate="dwithin", distance=ON_LINE_M)[0]] = True
        touch &= here
    on = ends[touch]
    length_m = np.hypot(*(xy[on[:, 0]] - xy[on[:, 1]]).T)
    graph = coo_array((np.ones(len(on)), (on[:, 0], on[:, 1])), shape=(len(xy), len(xy)))
    run = connected_components(graph, directed=False)[1]
    run_m = np.bincount(run[on[:, 0]], length_m, minlength=len(xy))
    found[on[run_m[run[on[:, 0]]] >= RUN_M].ravel()] = True
    return found


def _near(xy: Floats, points: Floats) -> Bools:
    """Points within the bounds of the vertices."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    return ((points >= low) & (points <= high)).all(axis=1)


def _thin(xy: Floats, link: Ints, most: Floats, ends: Ints, obstacles: Floats) -> Bools:
    """Which vertices stay."""
    points = np.concatenate([xy, obstacles])
    n_across, n_up = (points.max(axis=0) // CELL_M).astype(np.int64) + 1
    at = (points // CELL_M).astype(np.int64)
    cell = at[:, 0] * n_up + at[:, 1]
    order = np.argsort(cell, kind="stable")
    start = np.searchsorted(cell[order], np.arange(n_across * n_up + 1))
    fixed = ends[(link[ends, 0] < 0).all(axis=1)]
    direct = np.unique(fixed[:, 0] * len(xy) + fixed[:, 1])
    return _eliminate(points, len(xy), link, most, direct, order, start, n_up)


@njit(cache=True)
def _eliminate(
    points: Floats, n: int, link: Ints, most: Floats, direct: Ints, order: Ints, start: Ints, n_up: int
) -> Bools:
    """Leave out one vertex after another, that of the smallest triangle first."""
    stays = np.ones(n, dtype=np.bool_)
    taken = set(direct)
    left = True
    while left:
        left = False
        heap = [(0.0, -1)]
        for each in range(n):
            if stays[each] and link[each, 0] >= 0:
                heap.append((_cost(points, link, most, each), each))
        heapq.heapify(heap)
        while len(heap) > 0:
            cost, v = heapq.heappop(heap)
            if v < 0:
                continue
            if cost == np.inf:
                break
            if not stays[v] or cost != _cost(points, link, most, v):
                continue
            a, b = link[v, 0], link[v, 1]
            key = min(a, b) * n + max(a, b)
            if (
                a == b
                or link[a, 0] == b
                or link[a, 1] == b
                or link[b, 0] == a
                or link[b, 1] == a
                or key in taken
            ):
                continue
            if _occupied(points, n, stays, order, start, n_up, a, v, b):
                continue
            stays[v] = False
            left = True
            if link[a, 0] < 0 and link[b, 0] < 0:
                taken.add(key)
            for near, other in ((a, b), (b, a)):
                if link[near, 0] >= 0:
                    link[near, 0 if link[near, 0] == v else 1] = other
                    heapq.heappush(heap, (_cost(points, link, most, near), near))
    return stays


@njit(cache=True)
def _cost(points: Floats, link: Ints, most: Floats, v: int) -> float:
    """Area of the triangle of a vertex and its neighbours; infinite where it may not go."""
    a, b = link[v, 0], link[v, 1]
    x, y = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
    area_m2 = abs(x * (points[v, 1] - points[a, 1]) - y * (points[v, 0] - points[a, 0])) / 2
    if area_m2 <= most[v, 1] or 2 * area_m2 <= most[v, 0] * np.sqrt(x * x + y * y):
        return area_m2
    return np.inf


@njit(cache=True)
def _occupied(
    points: Floats, n: int, stays: Bools, order: Ints, start: Ints, n_up: int, a: int, v: int, b: int
) -> bool:
    """Whether a point other than the corners lies in or on the triangle a, v, b."""
    ax, ay, vx, vy, bx, by = (
        points[a, 0],
        points[a, 1],
        points[v, 0],
        points[v, 1],
        points[b, 0],
        points[b, 1],
    )
    if (vx - ax) * (by - ay) - (vy - ay) * (bx - ax) < 0:
        ax, ay, bx, by = bx, by, ax, ay
    slack = 1e-9 * (abs(vx - ax) + abs(vy - ay) + abs(bx - vx) + abs(by - vy)) + 1e-9
    low_x, high_x = min(ax, vx, bx), max(ax, vx, bx)
    low_y, high_y = min(ay, vy, by), max(ay, vy, by)
    for i in range(int(low_x // CELL_M), int(high_x // CELL_M) + 1):
        row = i * n_up
        for at in range(start[row + int(low_y // CELL_M)], start[row + int(high_y // CELL_M) + 1]):
            p = order[at]
            if p in (a, v, b) or (p < n and not stays[p]):
                continue
            x, y = points[p, 0], points[p, 1]
            if x < low_x - slack or x > high_x + slack or y < low_y - slack or y > high_y + slack:
                continue
            if (x == ax and y == ay) or (x == bx and y == by):
                continue
            if (
                (vx - ax) * (y - ay) - (vy - ay) * (x - ax) >= -slack
                and (bx - vx) * (y - vy) - (by - vy) * (x - vx) >= -slack
                and (ax - bx) * (y - by) - (ay - by) * (x - bx) >= -slack
            ):
                return True
    return False
