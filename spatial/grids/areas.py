"""The ground each grid covers: polygons that tile the boundary, without gap or overlap.

Blocks between alleys and barriers are divided between the houses in them (:mod:`.blocks`). Ground on
which no household of its grid lives goes to the neighbour around it, barriers with an area are divided
down their middle, and what of a grid lies apart is joined along the alleys it keeps (:mod:`.ties`). At
last the edges are made calm (:mod:`.outlines`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from scipy.spatial import KDTree
from shapely.geometry.base import BaseGeometry

from spatial.grids.blocks import NOBODY, WATER, Houses, Seeds, divide, dividing_lines, make_houses
from spatial.grids.coverage import (
    Floats,
    Ints,
    Shapes,
    containing,
    dissolve,
    multipolygons,
    shared_edges,
    sides_of,
    split_pieces,
)
from spatial.grids.outlines import calm
from spatial.grids.ties import LEAST_WIDTH_M, Alleys, Households, Tie, make_ties

__all__ = ["grid_areas"]

SPOT_M, ROUND_M = 0.01, 0.05  # doors of different grids on one spot are drawn apart by this much
KEPT_STEP_M = 5.0
BANK_STEP_M = 2.0
WALL_M, DOOR_M = 0.5, 1.5  # edges are not brought nearer to walls and to doors without a house
LEAST_M2 = 5.0  # of a piece beside another one of its grid
ROUNDS = 5  # of joining what lies apart; a tie can part another grid


def grid_areas(
    households: Households,
    alleys: Alleys,
    buildings: Shapes,
    barriers: Shapes,
    boundary: BaseGeometry,
    *,
    n_grids: int,
) -> Shapes:
    """One MultiPolygon per grid; together they tile ``boundary``.

    Parameters
    ----------
    households : Households
    alleys : Alleys
        All of the network.
    buildings : polygons
        Lived in or not: only those of split rows, or that are home to several grids, are cut.
    barriers : lines and polygons
    boundary : polygon or multipolygon
        The area to tile. [m]
    n_grids : int
        K; a grid without a household inside the boundary gets an empty MultiPolygon.

    Returns
    -------
    object, shape (K,)
        MultiPolygons, edge-matched on a 1 mm grid.
    """
    doors = Seeds(_spread(households), households.grid)
    houses = make_houses(households.footprint, buildings, doors, households.split)
    abroad = ~shapely.intersects(households.footprint, shapely.points(households.xy))
    abroad[~shapely.is_missing(households.footprint)] |= houses.grid[houses.room_house] != houses.rooms.grid
    outside = doors.take(abroad)
    broad = shapely.get_dimensions(barriers) == 2
    lines = np.concatenate([alleys.lines, shapely.boundary(barriers[broad]), barriers[~broad]])
    ground = divide(outside, houses, lines, barriers[broad], _along(alleys), boundary)
    doors = doors + _indoors(households, doors, houses, boundary)
    pieces, grid = _share_water(ground.faces, ground.grid, doors)
    pieces, grid, ties = _tied(pieces, grid, households, doors, alleys, houses)
    pieces, grid = _settle(pieces, grid, doors, least_m2=LEAST_M2)
    followed = np.concatenate([lines, shapely.boundary([each.ground for each in ties])])
    pieces = calm(pieces, _obstacles(doors, outside, houses, ties), followed, walls=houses.shapes)
    return multipolygons(pieces, grid, n_grids)


def _indoors(households: Households, doors: Seeds, houses: Houses, boundary: BaseGeometry) -> Seeds:
    """Points in what lies on the ground of houses whose door doesn't: there their household is at home."""
    housed = np.flatnonzero(~shapely.is_missing(households.footprint))
    rows: Ints = housed[houses.grid[houses.room_house] == doors.grid[housed]]
    shapely.prepare(boundary)
    rows = rows[~shapely.covers(boundary, shapely.points(doors.xy[rows]))]
    inside = shapely.intersection(households.footprint[rows], boundary)
    here = shapely.area(inside) > 0
    points = shapely.point_on_surface(inside[here])
    return Seeds(shapely.get_coordinates(points), doors.grid[rows[here]])


def _spread(households: Households) -> Floats:
    """Where households are drawn: doors of several grids that share 1 cm stand on a small circle.

    They stand in the order in which the other doors of their grids lie around, half to the left and
    half to the right of the way to the alley: so what divides two of them runs along it.
    """
    drawn, grid = households.xy.copy(), households.grid
    _, first, spot = np.unique(np.round(drawn / SPOT_M), axis=0, return_index=True, return_inverse=True)
    spot = spot.ravel()
    here = np.unique(np.column_stack([spot, grid]), axis=0)[:, 0]
    crowded = np.flatnonzero(np.bincount(here) > 1)
    members = np.flatnonzero(np.isin(spot, crowded))
    for each in crowded:
        rows = members[spot[members] == each]
        middle = households.xy[first[each]]
        grids = np.unique(grid[rows])
        out = np.arctan2(*np.nan_to_num(households.stop_xy[first[each]] - middle)[::-1])
        towards = np.array([_nearest_other(households, k, middle) for k in grids]) - middle
        turn = (np.arctan2(towards[:, 1], towards[:, 0]) - out) % (2 * np.pi)
        place = np.argsort(np.argsort(turn, kind="stable"), kind="stable")
        angle = (out + 2 * np.pi * (place + 0.5) / len(grids))[np.searchsorted(grids, grid[rows])]
        drawn[rows] = middle + ROUND_M * np.column_stack([np.cos(angle), np.sin(angle)])
    return drawn


def _nearest_other(households: Households, grid: int, xy: Floats) -> Floats:
    """The nearest place of a household of the grid that is not at ``xy``; ``xy`` itself if there is none."""
    own = households.xy[households.grid == grid]
    away_m = np.hypot(*(own - xy).T)
    away_m[away_m <= SPOT_M] = np.inf
    return own[np.argmin(away_m)] if np.isfinite(away_m).any() else xy


def _along(alleys: Alleys) -> Seeds:
    """Points along the alleys, each for about as much length, and the grid that keeps them."""
    kept = np.flatnonzero(alleys.grid != NOBODY)
    count = np.maximum(np.ceil(shapely.length(alleys.lines[kept]) / KEPT_STEP_M).astype(np.int64), 1)
    line = np.repeat(np.arange(len(kept)), count)
    place = np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count)
    share = (place + 0.5) / count[line]
    points = shapely.line_interpolate_point(alleys.lines[kept[line]], share, normalized=True)
    return Seeds(shapely.get_coordinates(points), alleys.grid[kept[line]])


def _settle(pieces: Shapes, grid: Ints, doors: Seeds, *, least_m2: float = 0.0) -> tuple[Shapes, Ints]:
    """Pieces once those without a door of their own have joined the neighbour they share most edge with.

    So do those smaller than ``least_m2``, but the largest piece of a grid stays. What no neighbour borders
    on keeps its grid, or has that of the nearest door.
    """
    area_m2 = shapely.area(pieces)
    lived = _lived(pieces, grid, doors)
    settled = lived & (area_m2 >= least_m2)
    order = np.lexsort((-area_m2, ~lived, grid))
    order = order[grid[order] >= 0]
    settled[order[np.unique(grid[order], return_index=True)[1]]] = True
    open_, firm = ~settled & (grid != WATER), settled & (grid != WATER)
    if not open_.any():
        return pieces, grid
    before, grid = grid, grid.copy()
    one, two, shared_m = shared_edges(pieces)
    while True:
        edge = open_[one] & firm[two]
        if not edge.any():
            break
        piece, beside, length_m = one[edge], two[edge], shared_m[edge]
        order = np.lexsort((beside, -length_m, piece))
        piece, first = np.unique(piece[order], return_index=True)
        grid[piece] = grid[beside[order][first]]
        open_[piece], firm[piece] = False, True
    alone = np.flatnonzero(grid == NOBODY)
    middles = shapely.get_coordinates(shapely.centroid(pieces[alone]))
    grid[alone] = doors.grid[KDTree(doors.xy).query(middles)[1]]
    return dissolve(pieces, grid, grid[grid != before])


def _lived(pieces: Shapes, grid: Ints, doors: Seeds) -> np.ndarray:
    """Pieces with a door of their grid."""
    piece, door = doors.tree.query(pieces, predicate="intersects")
    lived = np.zeros(len(pieces), dtype=bool)
    lived[piece[grid[piece] == doors.grid[door]]] = True
    return lived


def _share_water(faces: Shapes, grid: Ints, doors: Seeds) -> tuple[Shapes, Ints]:
    """Settled pieces, barriers with an area divided down their middle between the grids on their banks."""
    pieces, grid = _settle(*dissolve(faces, grid, grid), doors)
    if not (grid == WATER).any():
        return pieces, grid
    bank, owner = _banks(pieces, grid)
    wet = np.flatnonzero(grid == WATER)
    middle = [_middle_lines(pieces[each], bank.take(owner == each)) for each in wet]
    faces, of = split_pieces(pieces, np.concatenate(middle))
    grid = np.where(grid[of] == WATER, NOBODY, grid[of])
    at = shapely.get_coordinates(shapely.point_on_surface(faces))
    for each in np.intersect1d(wet, owner):
        mine = np.flatnonzero(of == each)
        seeds = bank.take(owner == each)
        grid[mine] = seeds.grid[KDTree(seeds.xy).query(at[mine])[1]]
    return _settle(*dissolve(faces, grid, grid), doors)


def _banks(pieces: Shapes, grid: Ints) -> tuple[Seeds, Ints]:
    """Points along the edges between water and ground, the grid of the ground and the piece of water."""
    sides = sides_of(pieces)
    order = np.argsort(sides.edge, kind="stable")
    one, two = order[:-1], order[1:]
    same = sides.edge[one] == sides.edge[two]
    one, two = np.concatenate([one[same], two[same]]), np.concatenate([two[same], one[same]])
    bank = (grid[sides.piece[one]] == WATER) & (grid[sides.piece[two]] >= 0)
    lines = shapely.segmentize(shapely.linestrings(sides.ends[one[bank]]), BANK_STEP_M)
    xy, at = shapely.get_coordinates(lines, return_index=True)
    inner = at[1:] == at[:-1]
    middle, at = ((xy[1:] + xy[:-1]) / 2)[inner], at[1:][inner]
    return Seeds(middle, grid[sides.piece[two[bank]]][at]), sides.piece[one[bank]][at]


def _middle_lines(water: BaseGeometry, bank: Seeds) -> Shapes:
    """The lines in a piece of water halfway between the grids on its banks."""
    if len(np.unique(bank.grid)) < 2:
        return np.empty(0, dtype=object)
    return shapely.intersection(shapely.linestrings(dividing_lines(bank)), water)


def _tied(
    pieces: Shapes,
    grid: Ints,
    households: Households,
    doors: Seeds,
    alleys: Alleys,
    houses: Houses,
) -> tuple[Shapes, Ints, list[Tie]]:
    """The pieces, those of one grid joined along its alleys as far as houses of others allow; and the ties.

    A grid for which that is no use, or at whose cost another one stays apart, does without.
    """
    before = _excess(pieces, grid, doors)
    best, least = (pieces, grid, list[Tie]()), before.sum()
    hopeless = np.zeros(0, dtype=np.int64)
    for _ in range(ROUNDS):
        tied = _tie_all(pieces, grid, households, doors, alleys, houses, hopeless)
        left = _excess(tied[0], tied[1], doors)
        if left.sum() <= least:
            best, least = tied, left.sum()
        useless = [each.grid for each in tied[2] if left[each.grid] >= before[each.grid]]
        worse = np.flatnonzero(left > before)
        if not useless and not len(worse):
            break
        hurt = shapely.union_all(pieces[np.isin(grid, worse)])
        costly = [each.grid for each in tied[2] if shapely.intersects(each.ground, hurt)]
        hopeless = np.union1d(hopeless, [*useless, *costly, *worse]).astype(np.int64)
    return best


def _tie_all(
    pieces: Shapes,
    grid: Ints,
    households: Households,
    doors: Seeds,
    alleys: Alleys,
    houses: Houses,
    hopeless: Ints,
) -> tuple[Shapes, Ints, list[Tie]]:
    """The pieces and ties once every grid that is apart has been tied, and those that these ties part."""
    ties: list[Tie] = []
    excess, tried = _excess(pieces, grid, doors), hopeless
    for _ in range(ROUNDS):
        torn = np.setdiff1d(np.flatnonzero(excess > 0), tried)
        fresh = make_ties(torn, pieces, grid, households, doors, alleys, houses, ties)
        if not fresh:
            break
        pieces, grid = _with_ties(pieces, grid, fresh, doors)
        ties += fresh
        left = _excess(pieces, grid, doors)
        tried = np.union1d(tried, [each.grid for each in fresh if left[each.grid] >= excess[each.grid]])
        excess = left
    return pieces, grid, ties


def _with_ties(pieces: Shapes, grid: Ints, ties: Sequence[Tie], doors: Seeds) -> tuple[Shapes, Ints]:
    ground = np.array([each.ground for each in ties], dtype=object)
    faces, of = split_pieces(pieces, shapely.boundary(ground))
    cut = np.flatnonzero(np.bincount(of)[of] > 1)
    grid, tie_grid = grid[of], np.array([each.grid for each in ties])
    changed = np.union1d(grid[cut], tie_grid)
    tie = containing(ground, shapely.point_on_surface(faces[cut]))
    grid[cut[tie >= 0]] = tie_grid[tie[tie >= 0]]
    return _settle(*dissolve(faces, grid, changed), doors)


def _excess(pieces: Shapes, grid: Ints, doors: Seeds) -> Ints:
    """How many pieces with a door each grid has beyond one."""
    return np.maximum(np.bincount(grid[_lived(pieces, grid, doors)], minlength=grid.max() + 1) - 1, 0)


def _obstacles(doors: Seeds, outside: Seeds, houses: Houses, ties: Sequence[Tie]) -> Floats:
    """Points that edges keep clear of: corners of houses, doors, the middle of ground along alleys."""
    around = shapely.points(
        shapely.get_coordinates(shapely.buffer(houses.shapes, WALL_M, join_style="mitre"))
    )
    tree = shapely.STRtree(houses.shapes)
    near = tree.query(around, predicate="dwithin", distance=WALL_M - 0.01)[0]
    around = np.delete(around, near)
    rings = shapely.buffer(shapely.points(outside.xy), DOOR_M, quad_segs=2)
    middles = shapely.segmentize([each.line for each in ties], BANK_STEP_M)
    beside = shapely.buffer(middles, LEAST_WIDTH_M / 4, cap_style="flat")
    corners = shapely.get_coordinates(np.concatenate([houses.shapes, around, rings, beside]))
    return np.concatenate([doors.xy, corners])
