"""Whose ground each place is: blocks between alleys and barriers, divided between the houses in them.

A *block* is a face of alleys, barriers and boundary. In a block each place belongs to the grid of the
nearest house of the block; a house is the wall of a building, or a door without one. So edges run
halfway between houses, or along the alley or barrier where the houses across it are of another grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import Delaunay, KDTree
from shapely.geometry.base import BaseGeometry

from spatial.grids.coverage import Floats, Ints, Shapes, containing, faces_of, sides_of
from spatial.grids.units import slice_middles

__all__ = [
    "NOBODY",
    "SHARED",
    "WATER",
    "Ground",
    "Houses",
    "Seeds",
    "divide",
    "dividing_lines",
    "make_houses",
]

Bools = NDArray[np.bool_]

DENSE_M, SPARSE_M = 1.0, 6.0  # between seeds, where a building of another grid is near and elsewhere
INSET_M = 0.4  # of wall seeds, so that those of two buildings on one wall do not mix
NEAR_M = 8.0
TOUCH_M = 0.01
ONE_DOOR_M = 0.5  # households drawn no farther apart have one door
NOBODY, SHARED, WATER = -1, -2, -3


@dataclass(frozen=True)
class Seeds:
    """Points and the grid, 0…K−1, whose ground they mark."""

    xy: Floats
    grid: Ints

    @cached_property
    def tree(self) -> shapely.STRtree:
        """The points to be looked up in polygons."""
        return shapely.STRtree(shapely.points(self.xy))

    def take(self, rows: Ints | Bools) -> Seeds:
        """The given rows."""
        return Seeds(self.xy[rows], self.grid[rows])

    def __add__(self, other: Seeds) -> Seeds:
        return Seeds(np.concatenate([self.xy, other.xy]), np.concatenate([self.grid, other.grid]))


@dataclass(frozen=True)
class Houses:
    """Footprints, each once, the grid of each (0…K−1, NOBODY or SHARED) and the households in them."""

    shapes: Shapes
    grid: Ints
    rooms: Seeds
    room_house: Ints  # (rooms,) row of the footprint


@dataclass(frozen=True)
class Ground:
    """Faces that tile the boundary, and the grid of each, or WATER, or NOBODY where no alley is near."""

    faces: Shapes
    grid: Ints


def make_houses(footprint: Shapes, buildings: Shapes, rooms: Seeds, split: Bools) -> Houses:
    """All footprints, each once, and whose they are.

    Parameters
    ----------
    footprint : polygon or None, shape (n,)
        What each household lives in.
    buildings : polygons
        All buildings, lived in or not.
    rooms : Seeds, n
        Where each household is drawn, and its grid.
    split : bool, shape (n,)
        Part of a row that is split. The house of such a row is SHARED, and so is one that holds most of
        a grid beside a larger share of another. Else the grid is that of most of its rows.
    """
    known = np.flatnonzero(~shapely.is_missing(footprint))
    every = np.concatenate([footprint[known], buildings])
    _, first, house = np.unique(shapely.to_wkb(every), return_index=True, return_inverse=True)
    n_rows = np.bincount(rooms.grid)
    rooms, house = rooms.take(known), house[: len(known)]
    label = np.full(len(first), NOBODY)
    pair, count = np.unique(np.column_stack([house, rooms.grid]), axis=0, return_counts=True)
    order = np.lexsort((-pair[:, 1], count))
    label[pair[order, 0]] = pair[order, 1]
    at_home = (2 * count > n_rows[pair[:, 1]]) & (pair[:, 1] != label[pair[:, 0]])
    several = np.flatnonzero(np.bincount(pair[:, 0], minlength=len(first)) > 1)
    label[np.union1d(pair[at_home, 0], np.intersect1d(house[split[known]], several))] = SHARED
    return Houses(every[first], label, rooms, house)


def divide(
    doors: Seeds, houses: Houses, lines: Shapes, water: Shapes, kept: Seeds, boundary: BaseGeometry
) -> Ground:
    """Divide the boundary into faces, each of one grid.

    Parameters
    ----------
    doors : Seeds
        Points shown of the households that stand in no building, or outside theirs.
    houses : Houses
        All buildings. Those of one grid are not cut; those of nobody go with the nearest house.
    lines : lines
        Alleys and barriers, the banks of ``water`` among them.
    water : polygons
        Barriers with an area. Their blocks without a house are WATER.
    kept : Seeds
        Points along the alleys and the grid that keeps them: for blocks without a house.
    boundary : polygon or multipolygon
    """
    blocks = faces_of(lines, boundary)
    door_block = containing(blocks, shapely.points(doors.xy))
    house_block = _house_blocks(blocks, houses, boundary)
    owner = _owners(doors, door_block, houses, house_block, kept, blocks)
    lived = np.union1d(door_block, house_block[houses.room_house])
    wet = np.flatnonzero(containing(water, shapely.point_on_surface(blocks)) >= 0)
    owner[np.setdiff1d(wet, lived)] = WATER
    houses = _with_neighbours(doors, door_block, houses, house_block, owner)
    seeds, block = _seeds(doors, door_block, houses, house_block, owner)
    rows = _grouped(block, len(blocks))
    mixed = np.flatnonzero(owner == SHARED)
    drawn = [dividing_lines(seeds.take(rows[each])) for each in mixed]
    cuts = np.concatenate([_open_sides(blocks, owner), _clipped(drawn, mixed, blocks)])
    crossed = _crossed(houses, cuts)
    faces = faces_of(np.concatenate([cuts, shapely.boundary(houses.shapes[crossed])]), boundary)
    middle = shapely.point_on_surface(faces)
    face_block, inside = containing(blocks, middle), shapely.get_coordinates(middle)
    grid = owner[face_block]
    faces_in = _grouped(face_block, len(blocks))
    for each in mixed:
        nearest = KDTree(seeds.xy[rows[each]]).query(inside[faces_in[each]])[1]
        grid[faces_in[each]] = seeds.grid[rows[each][nearest]]
    house = containing(houses.shapes[crossed], middle)
    grid[house >= 0] = houses.grid[crossed[house[house >= 0]]]
    return Ground(faces, grid)


def dividing_lines(seeds: Seeds) -> Floats:
    """Straight lines halfway between neighbouring seeds of different grids, shape (n, 2, 2)."""
    origin = seeds.xy.mean(axis=0)
    xy, first = np.unique(np.round(seeds.xy - origin, 4), axis=0, return_index=True)
    far = 10.0 * np.abs(xy).max() + 1000.0
    xy = np.concatenate([xy, far * np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])])
    grid = np.concatenate([seeds.grid[first], np.full(4, NOBODY)])
    mesh = Delaunay(xy)
    centre = _circumcentres(xy[mesh.simplices])
    cell, side = np.nonzero(mesh.neighbors > np.arange(len(mesh.simplices))[:, None])
    other = mesh.neighbors[cell, side]
    one = grid[mesh.simplices[cell, (side + 1) % 3]]
    two = grid[mesh.simplices[cell, (side + 2) % 3]]
    drawn = (one != two) & (one != NOBODY) & (two != NOBODY)
    return np.stack([centre[cell[drawn]], centre[other[drawn]]], axis=1) + origin


def _circumcentres(corners: Floats) -> Floats:
    """Centres of the circles through three points, shape (n, 3, 2) to (n, 2)."""
    a = corners[:, 0]
    b, c = corners[:, 1] - a, corners[:, 2] - a
    b2, c2 = (b**2).sum(axis=1), (c**2).sum(axis=1)
    twice = 2.0 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    x, y = c[:, 1] * b2 - b[:, 1] * c2, b[:, 0] * c2 - c[:, 0] * b2
    return a + np.column_stack([x, y]) / twice[:, None]


def _house_blocks(blocks: Shapes, houses: Houses, boundary: BaseGeometry) -> Ints:
    """The block of a point inside each house, whatever of the house lies elsewhere; −1 outside."""
    block = containing(blocks, shapely.point_on_surface(houses.shapes))
    out = np.flatnonzero(block < 0)
    clipped = shapely.intersection(houses.shapes[out], boundary)
    out, clipped = out[shapely.area(clipped) > 0], clipped[shapely.area(clipped) > 0]
    block[out] = containing(blocks, shapely.point_on_surface(clipped))
    return block


def _owners(
    doors: Seeds, door_block: Ints, houses: Houses, house_block: Ints, kept: Seeds, blocks: Shapes
) -> Ints:
    """The grid of each block: that of its houses (SHARED if several), else that of most alley around."""
    grid = np.concatenate([doors.grid, houses.rooms.grid])
    block = np.concatenate([door_block, house_block[houses.room_house]])
    grid, block = grid[block >= 0], block[block >= 0]
    n = int(max(grid.max(initial=-1), kept.grid.max(initial=-1))) + 1
    lowest, highest = np.full(len(blocks), n), np.full(len(blocks), NOBODY)
    np.minimum.at(lowest, block, grid)
    np.maximum.at(highest, block, grid)
    owner = np.where(lowest < highest, SHARED, highest)
    empty = np.flatnonzero(owner == NOBODY)
    point, at = shapely.STRtree(blocks[empty]).query(
        shapely.points(kept.xy), predicate="dwithin", distance=TOUCH_M
    )
    pair, count = np.unique(at * n + kept.grid[point], return_counts=True)
    pair = pair[np.argsort(count, kind="stable")]
    owner[empty[pair // n]] = pair % n
    return owner


def _with_neighbours(
    doors: Seeds, door_block: Ints, houses: Houses, house_block: Ints, owner: Ints
) -> Houses:
    """Houses of nobody go with the nearest house of their block, those in undivided blocks with the block."""
    empty = np.flatnonzero((houses.grid == NOBODY) & (house_block >= 0))
    grid = houses.grid.copy()
    grid[empty] = owner[house_block[empty]]
    open_ = grid == SHARED
    open_[houses.grid == SHARED] = False
    lived = (houses.grid != NOBODY) & (house_block >= 0) & (owner[house_block] == SHARED)
    walls, near = _walls(houses, np.flatnonzero(lived), SPARSE_M / 2), house_block
    seeds, house = walls
    seeds = doors + seeds
    seed_rows = _grouped(np.concatenate([door_block, near[house]]), len(owner))
    (points, of) = _walls(houses, np.flatnonzero(open_), SPARSE_M / 2)
    point_rows = _grouped(near[of], len(owner))
    for block in np.unique(near[open_]):
        mine, theirs = point_rows[block], seed_rows[block]
        away_m, at = KDTree(seeds.xy[theirs]).query(points.xy[mine])
        order = np.lexsort((seeds.grid[theirs[at]], np.round(away_m, 3), of[mine]))
        first = order[np.r_[True, np.diff(of[mine][order]) > 0]]
        grid[of[mine][first]] = seeds.grid[theirs[at[first]]]
    return Houses(houses.shapes, grid, houses.rooms, houses.room_house)


def _seeds(
    doors: Seeds, door_block: Ints, houses: Houses, house_block: Ints, owner: Ints
) -> tuple[Seeds, Ints]:
    """Seeds of the blocks that are to be divided, and the block of each.

    They stand close where a building of another grid is near, so that the line between two walls runs
    straight, and far apart elsewhere.
    """
    on = np.flatnonzero((house_block >= 0) & (owner[house_block] == SHARED))
    border = _at_border(houses, on, doors)
    dense, dense_house = _walls(houses, on[border], DENSE_M)
    sparse, sparse_house = _walls(houses, on[~border], SPARSE_M)
    block = np.concatenate([door_block, house_block[dense_house], house_block[sparse_house]])
    return doors + dense + sparse, block


def _at_border(houses: Houses, rows: Ints, doors: Seeds) -> Bools:
    """Which of the rows have several grids, or a house of another grid near."""
    shapes, grid = houses.shapes[rows], houses.grid[rows]
    tree, border = shapely.STRtree(shapes), grid == SHARED
    one, two = tree.query(shapes, predicate="dwithin", distance=NEAR_M)
    border[one[grid[one] != grid[two]]] = True
    point, shape = tree.query(shapely.points(doors.xy), predicate="dwithin", distance=NEAR_M)
    border[shape[doors.grid[point] != grid[shape]]] = True
    return border


def _walls(houses: Houses, rows: Ints, spacing_m: float) -> tuple[Seeds, Ints]:
    """Seeds just inside the walls of some houses, and the house of each.

    In a shared house each belongs to the grid of the nearest of its households.
    """
    shapes = houses.shapes[rows]
    inner = shapely.buffer(shapes, -INSET_M, join_style="mitre")
    walls = shapely.boundary(np.where(shapely.is_empty(inner), shapes, inner))
    xy, at = shapely.get_coordinates(shapely.segmentize(walls, spacing_m), return_index=True)
    house = rows[at]
    grid = houses.grid[house]
    rooms = _grouped(houses.room_house, len(houses.shapes)) if (grid == SHARED).any() else []
    for each in rows[houses.grid[rows] == SHARED]:
        mine, homes = house == each, _homes(houses.shapes[each], houses.rooms.take(rooms[each]))
        grid[mine] = homes.grid[KDTree(homes.xy).query(xy[mine])[1]]
    return Seeds(xy, grid), house


def _homes(shape: BaseGeometry, rooms: Seeds) -> Seeds:
    """Where in a shared house each grid is at home: where its households are drawn.

    Behind a single door these are slices across the long side, as long as their share of the rows and in
    the order in which the grids stand at the door.
    """
    if np.ptp(rooms.xy, axis=0).max() > ONE_DOOR_M:
        return rooms
    grids, at, n_rows = np.unique(rooms.grid, return_index=True, return_counts=True)
    first, *_, last = slice_middles(shape, np.ones(2))
    order = np.argsort(rooms.xy[at] @ (last - first), kind="stable")
    return Seeds(slice_middles(shape, n_rows[order].astype(np.float64)), grids[order])


def _grouped(label: Ints, n: int) -> list[Ints]:
    """Rows of each label 0…n−1, in order."""
    order = np.argsort(label, kind="stable")
    return np.split(order, np.searchsorted(label[order], np.arange(n + 1)))[1:-1]


def _open_sides(blocks: Shapes, owner: Ints) -> Shapes:
    """The straight pieces of the rings of blocks, each once, but for those inside the ground of one grid."""
    sides = sides_of(blocks)
    n = int(sides.edge.max(initial=-1)) + 1
    label = owner[sides.piece]
    lowest, highest = np.full(n, label.max(initial=0) + 1), np.full(n, WATER)
    count = np.bincount(sides.edge)
    np.minimum.at(lowest, sides.edge, label)
    np.maximum.at(highest, sides.edge, label)
    open_ = (count == 1) | (lowest != highest) | (highest == SHARED)
    _, first = np.unique(sides.edge, return_index=True)
    return shapely.linestrings(sides.ends[first[open_]])


def _clipped(drawn: list[Floats], block: Ints, blocks: Shapes) -> Shapes:
    """What of the lines drawn in each block lies in it."""
    if not drawn:
        return np.empty(0, dtype=object)
    ends = np.concatenate(drawn)
    owner = np.repeat(block, [len(each) for each in drawn])
    long = np.hypot(*(ends[:, 1] - ends[:, 0]).T) > 0
    ends, owner = ends[long], owner[long]
    sides = sides_of(blocks).ends
    line, side = shapely.STRtree(shapely.linestrings(sides)).query(
        shapely.linestrings(ends), predicate="intersects"
    )
    where = _meeting(ends[line], sides[side])
    every = np.arange(len(ends))
    at = np.concatenate([every, every, line])
    share = np.concatenate([np.zeros(len(ends)), np.ones(len(ends)), where])
    order = np.lexsort((share, at))
    at, share = at[order], share[order]
    piece = np.flatnonzero((at[1:] == at[:-1]) & (share[1:] > share[:-1]))
    at, start, end = at[piece], share[piece], share[piece + 1]
    step = ends[at, 1] - ends[at, 0]
    middle = ends[at, 0] + step * ((start + end) / 2)[:, None]
    inside = containing(blocks, shapely.points(middle)) == owner[at]
    at, start, end, step = at[inside], start[inside], end[inside], step[inside]
    return shapely.linestrings(
        np.stack([ends[at, 0] + step * start[:, None], ends[at, 0] + step * end[:, None]], axis=1)
    )


def _meeting(ends: Floats, side: Floats) -> Floats:
    """Where, from 0 to 1, each line meets the straight line through another, shapes (n, 2, 2)."""
    step, across = ends[:, 1] - ends[:, 0], side[:, 1] - side[:, 0]
    gap = side[:, 0] - ends[:, 0]
    turn = step[:, 0] * across[:, 1] - step[:, 1] * across[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (gap[:, 0] * across[:, 1] - gap[:, 1] * across[:, 0]) / turn
    return np.clip(np.nan_to_num(share, nan=0.0, posinf=0.0, neginf=0.0), 0.0, 1.0)


def _crossed(houses: Houses, lines: Shapes) -> Ints:
    """The houses of one grid that a line would cut."""
    whole = np.flatnonzero(houses.grid >= 0)
    return whole[np.unique(shapely.STRtree(lines).query(houses.shapes[whole], predicate="intersects")[0])]
