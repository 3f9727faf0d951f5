"""The ground each grid covers: polygons that tile the boundary, without gap or overlap.

Every point of the community belongs to the grid of the nearest *seed*: a door, a point along the
walls of a household's building, or a point along the alley that the household's door is nearest
to; a building of one grid belongs to it whole. Only the lines between seeds of different grids and
the walls they would cut are drawn, noded together with the boundary on a grid of 1 mm, and made
into faces; so neighbours share their edges exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.spatial import Delaunay, KDTree
from shapely.geometry.base import BaseGeometry

from spatial.adjacency import Cells
from spatial.network import AlleyNetwork

__all__ = ["Houses", "Seeds", "alley_seeds", "door_seeds", "grid_areas", "join_seeds", "wall_seeds"]

DENSE_M, SPARSE_M = 1.0, 4.0  # between seeds, where ground of another grid is near and elsewhere
INSET_M = 0.4  # of wall seeds, so that those of two buildings on one wall do not mix
NEAR_M = 8.0
CLEAR_M = 0.2  # no wall or alley seed is this near to a door of another grid
ROUND_M = 0.05  # doors of different grids on one spot are drawn apart by this much
PRECISION_M = 0.001
SMOOTHING_M = (1.0, 0.5, 0.25, 0.1)  # tried in turn until every door keeps its side


@dataclass(frozen=True)
class Houses:
    """Footprints of buildings whose households are all in one grid, 0…K−1."""

    shapes: NDArray[np.object_]
    grid: NDArray[np.int64]


@dataclass(frozen=True)
class Seeds:
    """Points and the grid, 0…K−1, whose ground they mark."""

    xy: NDArray[np.float64]
    grid: NDArray[np.int64]


def grid_areas(
    doors: Seeds, seeds: Seeds, houses: Houses, boundary: BaseGeometry, *, n_grids: int
) -> NDArray[np.object_]:
    """One MultiPolygon per grid; together they tile ``boundary``.

    Pieces of a grid that hold none of its doors go to the neighbour they share the longest edge
    with, except the largest piece of a grid that has no door inside the boundary at all. Edges
    inside the boundary are then smoothed as a coverage [1]_ as long as every door stays in the
    area it was in.

    Parameters
    ----------
    doors : Seeds
        The points shown of the households.
    seeds : Seeds
        All seeds, doors among them (see :func:`join_seeds`). [m]
    houses : Houses
        Buildings whose households are all in one grid: they are not cut.
    boundary : polygon or multipolygon
        The area to tile. [m]
    n_grids : int
        K; a grid without ground gets an empty MultiPolygon.

    Returns
    -------
    object, shape (K,)
        MultiPolygons, edge-matched on a 1 mm grid.

    References
    ----------
    .. [1] M. Visvalingam and J. D. Whyatt, "Line generalisation by repeated elimination of
       points", The Cartographic Journal 30, 1993, pp. 46-51; as a coverage in GEOS 3.12.
    """
    lines = _dividing_lines(seeds)
    crossed = _crossed(houses, lines)
    faces = _faces(boundary, lines, crossed)
    pieces, grid = _dissolve(faces, _labels(faces, seeds, crossed))
    pieces, grid = _dissolve(pieces, _absorb(pieces, grid, doors))
    areas = np.array([shapely.MultiPolygon()] * n_grids, dtype=object)
    for each in np.unique(grid):
        areas[each] = shapely.multipolygons(pieces[grid == each])
    return _smooth(areas, doors)


def door_seeds(xy: NDArray[np.float64], grid: NDArray[np.int64]) -> Seeds:
    """Seeds at the doors; where doors of several grids share 1 cm they stand on a small circle."""
    spot, first, at = np.unique(np.round(xy / 0.01), axis=0, return_index=True, return_inverse=True)
    here, label = np.unique(np.column_stack([at.ravel(), grid]), axis=0).T
    n_here = np.bincount(here, minlength=len(spot))
    turn = np.arange(len(here)) - (np.cumsum(n_here) - n_here)[here]
    angle = 2 * np.pi * turn / n_here[here]
    radius_m = np.where(n_here[here] > 1, ROUND_M, 0.0)
    away = radius_m[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return Seeds(xy[first[here]] + away, label)


def wall_seeds(
    footprint: NDArray[np.object_], xy: NDArray[np.float64], grid: NDArray[np.int64], along: Seeds
) -> tuple[Seeds, Houses]:
    """Seeds just inside the walls of the households' buildings, and the buildings of a single grid.

    A wall point of a building shared by several grids belongs to the grid of the nearest of the
    building's own household points. Seeds stand close where ground of another grid is near, so that
    the line between two walls runs straight, and far apart elsewhere.

    Parameters
    ----------
    footprint : object, shape (n,)
        Polygon of each household or None.
    xy, grid : shapes (n, 2) and (n,)
        Point shown and grid of each household.
    along : Seeds
        Seeds of the alleys.
    """
    known = np.flatnonzero(~shapely.is_missing(footprint))
    if not len(known):
        return Seeds(np.empty((0, 2)), known), Houses(footprint[known], known)
    _, first, house = np.unique(shapely.to_wkb(footprint[known]), return_index=True, return_inverse=True)
    shapes = footprint[known[first]]
    lowest, highest = grid[known[first]].copy(), grid[known[first]].copy()
    np.minimum.at(lowest, house, grid[known])
    np.maximum.at(highest, house, grid[known])
    spacing_m = np.where(_at_border(shapes, lowest, highest, along), DENSE_M, SPARSE_M)
    inner = shapely.buffer(shapes, -INSET_M, join_style="mitre")
    walls = shapely.boundary(np.where(shapely.is_empty(inner), shapes, inner))
    points, owner = shapely.get_coordinates(shapely.segmentize(walls, spacing_m), return_index=True)
    label = lowest[owner]
    for shared in np.flatnonzero(lowest < highest):
        mine, rows = owner == shared, known[house == shared]
        label[mine] = grid[rows[KDTree(xy[rows]).query(points[mine])[1]]]
    single = lowest == highest
    return Seeds(points, label), Houses(shapes[single], lowest[single])


def _at_border(
    shapes: NDArray[np.object_], lowest: NDArray[np.int64], highest: NDArray[np.int64], along: Seeds
) -> NDArray[np.bool_]:
    """Buildings of several grids, or with a building or an alley of another grid near."""
    tree, border = shapely.STRtree(shapes), lowest < highest
    one, two = tree.query(shapes, predicate="dwithin", distance=NEAR_M)
    border[one[highest[one] != lowest[two]]] = True
    point, shape = tree.query(shapely.points(along.xy), predicate="dwithin", distance=NEAR_M)
    border[shape[along.grid[point] != lowest[shape]]] = True
    return border


def alley_seeds(network: AlleyNetwork, cells: Cells, grid: NDArray[np.int64]) -> Seeds:
    """Seeds along the alleys, each belonging to the grid of the row nearest along the network."""
    owned = np.flatnonzero(cells.row >= 0)
    from_m, length_m = cells.from_m[owned], (cells.to_m - cells.from_m)[owned]
    count = np.maximum(np.ceil(length_m / DENSE_M).astype(np.int64), 1)
    cell = np.repeat(np.arange(len(count)), count)
    place = np.arange(len(cell)) - np.repeat(np.cumsum(count) - count, count)
    along_m = from_m[cell] + length_m[cell] * (place + 0.5) / count[cell]
    points = shapely.line_interpolate_point(network.edge_lines[cells.edge[owned[cell]]], along_m)
    return Seeds(shapely.get_coordinates(points), grid[cells.row[owned[cell]]])


def join_seeds(doors: Seeds, *others: Seeds) -> Seeds:
    """Doors first, then those of ``others`` that keep clear of the doors of other grids."""
    xy = np.concatenate([each.xy for each in others])
    grid = np.concatenate([each.grid for each in others])
    near_m, near = KDTree(doors.xy).query(xy, distance_upper_bound=CLEAR_M)
    clear = np.isinf(near_m)
    clear[~clear] = doors.grid[near[~clear]] == grid[~clear]
    joined = np.concatenate([doors.xy, xy[clear]])
    label = np.concatenate([doors.grid, grid[clear]])
    _, first = np.unique(np.round(joined / PRECISION_M).astype(np.int64), axis=0, return_index=True)
    first.sort()
    return Seeds(joined[first], label[first])


def _dividing_lines(seeds: Seeds) -> NDArray[np.object_]:
    """Lines halfway between neighbouring seeds of different grids (edges of their Voronoi cells)."""
    origin = seeds.xy.mean(axis=0)
    xy = seeds.xy - origin
    far = 10.0 * np.abs(xy).max() + 1000.0
    xy = np.concatenate([xy, far * np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])])
    grid = np.concatenate([seeds.grid, np.full(4, -1)])
    mesh = Delaunay(xy)
    centre = _circumcentres(xy[mesh.simplices])
    cell, side = np.nonzero(mesh.neighbors > np.arange(len(mesh.simplices))[:, None])
    other = mesh.neighbors[cell, side]
    one = grid[mesh.simplices[cell, (side + 1) % 3]]
    two = grid[mesh.simplices[cell, (side + 2) % 3]]
    drawn = (one != two) & (one >= 0) & (two >= 0)
    ends = np.stack([centre[cell[drawn]], centre[other[drawn]]], axis=1) + origin
    return shapely.linestrings(ends[np.hypot(*(ends[:, 1] - ends[:, 0]).T) > 0])


def _circumcentres(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centres of the circles through three points, shape (n, 3, 2) to (n, 2)."""
    a = corners[:, 0]
    b, c = corners[:, 1] - a, corners[:, 2] - a
    b2, c2 = (b**2).sum(axis=1), (c**2).sum(axis=1)
    twice = 2.0 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    x, y = c[:, 1] * b2 - b[:, 1] * c2, b[:, 0] * c2 - c[:, 0] * b2
    return a + np.column_stack([x, y]) / twice[:, None]


def _crossed(houses: Houses, lines: NDArray[np.object_]) -> Houses:
    """The houses that a dividing line would cut."""
    rows = np.unique(shapely.STRtree(lines).query(houses.shapes, predicate="intersects")[0])
    return Houses(houses.shapes[rows], houses.grid[rows])


def _faces(boundary: BaseGeometry, lines: NDArray[np.object_], crossed: Houses) -> NDArray[np.object_]:
    """The faces inside the boundary that the lines and the crossed walls make, on a 1 mm grid."""
    near = lines[shapely.intersects(lines, shapely.box(*boundary.bounds))]
    drawn = np.concatenate([[shapely.boundary(boundary)], near, shapely.boundary(crossed.shapes)])
    network = shapely.union_all(drawn, grid_size=PRECISION_M)
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(network)))
    shapely.prepare(boundary)
    return faces[shapely.intersects(boundary, shapely.point_on_surface(faces))]


def _labels(faces: NDArray[np.object_], seeds: Seeds, crossed: Houses) -> NDArray[np.int64]:
    """The grid of each face: that of the house it lies in, else that of the nearest seed."""
    inside = shapely.point_on_surface(faces)
    grid = seeds.grid[KDTree(seeds.xy).query(shapely.get_coordinates(inside))[1]]
    face, house = shapely.STRtree(crossed.shapes).query(inside, predicate="within")
    order = np.lexsort((-house, face))
    grid[face[order]] = crossed.grid[house[order]]
    return grid


def _dissolve(
    faces: NDArray[np.object_], grid: NDArray[np.int64]
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Pieces: the connected unions of the faces of each grid, and their grid."""
    labels = np.unique(grid)
    unions = np.array([shapely.coverage_union_all(faces[grid == each]) for each in labels], dtype=object)
    pieces, label = shapely.get_parts(shapely.normalize(unions), return_index=True)
    return pieces, labels[label]


def _absorb(pieces: NDArray[np.object_], grid: NDArray[np.int64], doors: Seeds) -> NDArray[np.int64]:
    """The grid of each piece once those without a door of their own have joined a neighbour."""
    grid = grid.copy()
    settled = _settled(pieces, grid, doors)
    one, two, shared_m = _shared_edges(pieces)
    while True:
        open_edge = ~settled[one] & settled[two]
        if not open_edge.any():
            return grid
        piece, beside, length_m = one[open_edge], two[open_edge], shared_m[open_edge]
        order = np.lexsort((beside, -length_m, piece))
        piece, first = np.unique(piece[order], return_index=True)
        grid[piece] = grid[beside[order][first]]
        settled[piece] = True


def _settled(pieces: NDArray[np.object_], grid: NDArray[np.int64], doors: Seeds) -> NDArray[np.bool_]:
    """Pieces with a door of their grid, and the largest piece of each grid that has none."""
    door, piece = shapely.STRtree(pieces).query(shapely.points(doors.xy), predicate="intersects")
    settled = np.zeros(len(pieces), dtype=bool)
    settled[piece[grid[piece] == doors.grid[door]]] = True
    bare = np.flatnonzero(~np.isin(grid, grid[settled]))
    order = np.lexsort((bare, -shapely.area(pieces[bare]), grid[bare]))
    _, first = np.unique(grid[bare][order], return_index=True)
    settled[bare[order][first]] = True
    return settled


def _shared_edges(
    pieces: NDArray[np.object_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Ordered pairs of pieces that share edges, and the length they share. [m]"""
    rings, owner = shapely.get_rings(pieces, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    inner = ring[1:] == ring[:-1]
    start, end, piece = xy[:-1][inner], xy[1:][inner], owner[ring[1:][inner]]
    point = _packed(xy)
    key = np.sort(np.stack([point[:-1][inner], point[1:][inner]], axis=1), axis=1)
    order = np.lexsort((key[:, 1], key[:, 0]))
    key, piece = key[order], piece[order]
    length_m = np.hypot(*(end - start)[order].T)
    same = (key[1:] == key[:-1]).all(axis=1) & (piece[1:] != piece[:-1])
    one, two, shared = piece[:-1][same], piece[1:][same], length_m[1:][same]
    n = len(pieces)
    table = coo_array(
        (np.tile(shared, 2), (np.concatenate([one, two]), np.concatenate([two, one]))), shape=(n, n)
    ).tocsr()
    rows = np.repeat(np.arange(n), np.diff(table.indptr))
    return rows, table.indices.astype(np.int64), table.data


def _packed(xy: NDArray[np.float64]) -> NDArray[np.int64]:
    """Points on the 1 mm grid as one number each."""
    x, y = np.round((xy - xy.min(axis=0)) / PRECISION_M).astype(np.int64).T
    return x * (y.max() + 1) + y


def _smooth(areas: NDArray[np.object_], doors: Seeds) -> NDArray[np.object_]:
    """The areas with calmer inner edges, as far as no door changes sides and no area is lost."""
    before = _at_home(areas, doors)
    filled = ~shapely.is_empty(areas)
    for tolerance_m in SMOOTHING_M:
        smooth = areas.copy()
        smooth[filled] = shapely.coverage_simplify(areas[filled], tolerance_m, simplify_boundary=False)
        smooth[filled] = [_multi(each) for each in smooth[filled]]
        sound = shapely.is_valid(smooth).all() and not shapely.is_empty(smooth[filled]).any()
        if sound and shapely.coverage_is_valid(smooth[filled]) and _at_home(smooth, doors)[before].all():
            return smooth
    return areas


def _at_home(areas: NDArray[np.object_], doors: Seeds) -> NDArray[np.bool_]:
    """Which doors lie in the area of their own grid."""
    return shapely.dwithin(areas[doors.grid], shapely.points(doors.xy), PRECISION_M)


def _multi(shape: BaseGeometry) -> shapely.MultiPolygon:
    return shapely.multipolygons(shapely.get_parts(shape))
