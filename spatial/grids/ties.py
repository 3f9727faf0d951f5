"""Ground along alleys that joins what of a grid lies apart.

A grid is in one piece along the alleys it keeps; where houses of other grids stand on both sides of such
an alley, its ground is not. There the carriageway is given to it, as wide as the alley, up to the walls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely import ops
from shapely.geometry.base import BaseGeometry

from spatial.adjacency import Cells
from spatial.grids.blocks import NOBODY, Houses, Seeds
from spatial.grids.coverage import Floats, Ints, Shapes
from spatial.network import AlleyNetwork, Stops

__all__ = ["LEAST_WIDTH_M", "Alleys", "Households", "Tie", "keep_alleys", "make_ties"]

LEAST_WIDTH_M, USUAL_WIDTH_M, MOST_WIDTH_M = 2.0, 3.0, 5.0
CLEAR_M = 0.3  # ground that joins keeps this far from doors of other grids
TOUCH_M = 0.005


@dataclass(frozen=True)
class Households:
    """Where households are shown, the polygon each lives in (None: unknown), its grid and its stop."""

    xy: Floats  # (n, 2)
    footprint: Shapes
    grid: Ints
    stop_xy: Floats  # (n, 2), NaN where no alley is near
    split: NDArray[np.bool_]  # part of a row that is split between grids


@dataclass(frozen=True)
class Alleys:
    """Pieces of centre-line, the grid that keeps each (NOBODY: none has access) and how wide they are.

    Where several grids have doors at one stop, one of them keeps the alley there; for the others the same
    stretch is among ``shared_lines``.
    """

    lines: Shapes
    grid: Ints
    width_m: Floats
    shared_lines: Shapes
    shared_grid: Ints


@dataclass(frozen=True)
class Tie:
    """Ground given to a grid so that it is in one piece, and the centre-line it lies along."""

    grid: int
    ground: BaseGeometry
    line: BaseGeometry


def keep_alleys(network: AlleyNetwork, cells: Cells, stops: Stops, grid: Ints) -> Alleys:
    """Each stretch of alley is kept by the grid of the row nearest along the network.

    Parameters
    ----------
    cells : Cells
        The row each piece of the network is nearest to.
    stops : Stops, k rows
    grid : int64, shape (k,)
    """
    owner = np.where(cells.row >= 0, grid[cells.row], NOBODY)
    first = np.flatnonzero(np.r_[True, (np.diff(cells.edge) != 0) | (np.diff(owner) != 0)])
    last = np.r_[first[1:], len(owner)] - 1
    lines = _stretches(network, cells.edge[first], cells.from_m[first], cells.to_m[last])
    width_m = network.alleys["width_m"].to_numpy(dtype=np.float64, na_value=USUAL_WIDTH_M)
    width_m = np.clip(width_m, LEAST_WIDTH_M, MOST_WIDTH_M)
    node, label = np.unique(np.column_stack([stops.node, grid]), axis=0).T
    cell_node = np.where(cells.row >= 0, stops.node[cells.row], -1)
    pair, cell = _matches(node, cell_node)
    other = label[pair] != owner[cell]
    pair, cell = pair[other], cell[other]
    shared = _stretches(network, cells.edge[cell], cells.from_m[cell], cells.to_m[cell])
    return Alleys(lines, owner[first], width_m[network.edge_alley[cells.edge[first]]], shared, label[pair])


def _matches(values: Ints, others: Ints) -> tuple[Ints, Ints]:
    """All pairs of rows with equal values."""
    one = pd.DataFrame({"value": values, "one": np.arange(len(values))})
    table = one.merge(pd.DataFrame({"value": others, "two": np.arange(len(others))}), on="value")
    return table["one"].to_numpy(), table["two"].to_numpy()


def _stretches(network: AlleyNetwork, edge: Ints, from_m: Floats, to_m: Floats) -> Shapes:
    """The lines of stretches of edges."""
    lines = network.edge_lines[edge]
    for part in np.flatnonzero((from_m > 0) | (to_m < network.edge_length_m[edge])):
        lines[part] = ops.substring(lines[part], from_m[part], to_m[part])
    return lines


def make_ties(
    torn: Ints,
    pieces: Shapes,
    grid: Ints,
    households: Households,
    doors: Seeds,
    alleys: Alleys,
    houses: Houses,
    earlier: Sequence[Tie],
) -> list[Tie]:
    """The ground along alleys and ways to the doors that joins the pieces of each torn grid.

    Houses of others are left out, so that a tie may fall short.
    """
    house_tree = shapely.STRtree(houses.shapes)
    door_points = shapely.points(doors.xy)
    door_tree = shapely.STRtree(door_points)
    ties: list[Tie] = []
    for each in torn.tolist():
        kept = alleys.grid == each
        has_stop = (households.grid == each) & ~np.isnan(households.stop_xy[:, 0])
        ends = np.stack([households.xy[has_stop], households.stop_xy[has_stop]], axis=1)
        shared = alleys.shared_lines[alleys.shared_grid == each]
        ways = np.concatenate([alleys.lines[kept], shared, shapely.linestrings(ends)])
        line = _shortest_joins(ways, pieces[grid == each])
        if line is None:
            continue
        width_m = float(np.median(alleys.width_m[kept])) if kept.any() else LEAST_WIDTH_M
        ground = shapely.buffer(line, width_m / 2, cap_style="square", join_style="mitre", mitre_limit=2)
        near = house_tree.query(ground)
        others = houses.shapes[near[houses.grid[near] != each]]
        near = door_tree.query(ground)
        strange = shapely.buffer(door_points[near[doors.grid[near] != each]], CLEAR_M)
        before = [tie.ground for tie in (*earlier, *ties) if tie.grid != each]
        ground = shapely.difference(ground, shapely.union_all([*others, *strange, *before]))
        if not ground.is_empty:
            ties.append(Tie(each, ground, line))
    return ties


def _shortest_joins(ways: Shapes, pieces: Shapes) -> BaseGeometry | None:
    """The shortest stretches of ``ways`` outside all pieces that join as many of these as can be."""
    noded = shapely.union_all(ways)
    open_ = shapely.get_parts(shapely.line_merge(shapely.difference(noded, shapely.union_all(pieces))))
    open_ = open_[shapely.length(open_) > TOUCH_M]
    if not len(open_):
        return None
    ends = np.concatenate([shapely.get_point(open_, 0), shapely.get_point(open_, -1)])
    _, spot = np.unique(np.round(shapely.get_coordinates(ends) / TOUCH_M), axis=0, return_inverse=True)
    node = spot.ravel() + len(pieces)
    end, piece = shapely.STRtree(pieces).query(ends, predicate="dwithin", distance=TOUCH_M)
    node[end] = piece
    a, b = node[: len(open_)], node[len(open_) :]
    kept = np.flatnonzero(a != b)
    n = int(node.max()) + 1
    length_m = shapely.length(open_)
    order = kept[np.lexsort((kept, length_m[kept]))]
    used = _tree(a, b, order, n)
    while True:
        degree = np.bincount(np.concatenate([a[used], b[used]]), minlength=n)
        degree[: len(pieces)] = 2
        inner = (degree[a[used]] > 1) & (degree[b[used]] > 1)
        if inner.all():
            break
        used = used[inner]
    return shapely.line_merge(shapely.multilinestrings([*open_[used]])) if len(used) else None


def _tree(a: Ints, b: Ints, order: Ints, n: int) -> Ints:
    """The links of a shortest tree, taken in ``order`` while they join what is not yet joined (Kruskal)."""
    root = np.arange(n)
    used = []
    for link in order:
        one, two = root[a[link]], root[b[link]]
        if one != two:
            root[root == two] = one
            used.append(link)
    return np.array(used, dtype=np.int64)
