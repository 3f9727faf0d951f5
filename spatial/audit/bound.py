"""The lower bound of the grids' objective, proved anew from the prices in bounds.npz.

For every component the prices p (metres per household) prove that no K grids cost less than::

    Σ_i w_i p_i  +  the K smallest V_j
    V_j = least Σ_{i in S} w_i (d_ij − p_i + c·[group_i ≠ g]) over groups g and sets S
          with j in S, low ≤ w(S) ≤ high, and S closed

Closed is what is used of "in one piece": where every way from j to a row leads through the rows of one
*spot* (rows with the same neighbours, themselves included), S holds a row of that spot. Seen from j the
spots hang together as a tree, that of the blocks of the graph of spots, and V_j is found by walking it:
what is below a spot can only be taken after a row of the spot. Walks are complete here, so that the
bound may come out higher than the plan's, whose walks may be cut off; it may not come out lower. What
isn't in a component (kept groups, components of one grid) counts with its own recounted cost, and so does
a component whose bound rests on a solver, if the summary says so: it may be anything up to that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from scipy import sparse
from scipy.sparse import csgraph

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, RELATIVE, say
from spatial.audit.grids import GridCount, outside_main_group
from spatial.audit.roster import Roster
from spatial.audit.ways import ground_of
from spatial.errors import Remark, fault

__all__ = ["bound_faults", "cheapest_set", "recount_bound", "spots_of"]

MOST_ROWS = 3000  # a larger component takes minutes; its bound is held against the objective only
_KEYS = ("price_m", "component", "component_grids", "component_low", "component_high", "component_by_solver")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def bound_faults(book: Book, own_m: float | None) -> Iterator[Remark]:
    """A bound that the prices don't prove, see :func:`recount_bound`, or that the plan is better than."""
    said = book.summary["grids"]
    bound_m, objective_m = said.get("bound_m"), said.get("objective_m")
    if bound_m is None or objective_m is None:
        return
    slack_m = LENGTH_M + RELATIVE * abs(objective_m)
    if bound_m > objective_m + slack_m:
        text = f"the bound {say(bound_m)} is above the objective {say(objective_m)}"
        yield fault("bound-broken", text, layer="summary", column="grids.bound_m")
    if own_m is not None and bound_m > own_m + slack_m:
        text = f"the summary says {say(bound_m)}, the prices in bounds.npz prove only {say(own_m)}"
        yield fault("bound-unproven", text, layer="summary", column="grids.bound_m")


def recount_bound(book: Book, roster: Roster, count: GridCount) -> float | None:
    """The most that the prices allow; None where they are missing or a component is too large. [m]"""
    served = np.flatnonzero(roster.served)
    if not all(key in book.bounds for key in _KEYS):
        return None
    price, component, n_grids, low, high, by_solver = (book.bounds[key] for key in _KEYS)
    if price.size != served.size or np.bincount(component[component >= 0], minlength=1).max() > MOST_ROWS:
        return None
    priced = np.unique(roster.grid[served[component >= 0]])
    plain = np.setdiff1d(np.arange(roster.n_grids), priced)
    cost_m = book.settings.grids.group_cost_m
    bound_m = float(count.least_m[plain].sum()) + cost_m * float(outside_main_group(roster)[plain].sum())
    says_solver = book.summary["grids"].get("bound_by") != "Lagrangian"
    for at in range(n_grids.size):
        rows = served[component == at]
        of_plan = np.unique(roster.grid[rows])
        value_m = float(count.least_m[of_plan].sum() + cost_m * outside_main_group(roster)[of_plan].sum())
        proved_m = value_m
        if not (says_solver and by_solver[at]):
            each_m = price[component == at]
            worth_m = np.sort(_least_of(roster, rows, each_m, int(low[at]), int(high[at]), cost_m))
            proved_m = float(roster.weight[rows] @ each_m) + float(worth_m[: n_grids[at]].sum())
        bound_m += max(0.0, min(proved_m, value_m))
    return bound_m


@dataclass(frozen=True)
class _Component:
    """Rows of a component, m of them, and the tree of their spots and blocks."""

    vertex: Ints  # of the ways
    weight: Ints
    group: Ints  # −1 none
    price: Floats
    spot: Ints
    tree: nx.Graph  # ("spot", number) and ("block", number)


def _component(roster: Roster, rows: Ints, price: Floats) -> _Component:
    group = roster.table["group"].iloc[rows].factorize()[0].astype(np.int64)
    vertex = roster.vertex[rows]
    every = np.flatnonzero(roster.served)
    touch = ground_of(roster.ways, roster.vertex[every], np.arange(every.size), every.size).neighbours()
    at = np.searchsorted(every, rows)
    touch = touch[at][:, at]
    return _Component(vertex, roster.weight[rows], group, price, *spots_of(touch))


def spots_of(touch: sparse.csr_array) -> tuple[Ints, nx.Graph]:
    """The spot of each row, and the tree of spots and blocks; rows touch themselves here."""
    touch = touch.tocsr()
    touch.sort_indices()
    around = [touch.indices[a:b].tobytes() for a, b in pairwise(touch.indptr)]
    spot = DataFrame({"around": around})["around"].factorize()[0].astype(np.int64)
    pairs = touch.tocoo()
    spots = nx.Graph()
    spots.add_nodes_from(range(int(spot.max()) + 1))
    spots.add_edges_from(zip(spot[pairs.row].tolist(), spot[pairs.col].tolist(), strict=True))
    spots.remove_edges_from(list(nx.selfloop_edges(spots)))
    tree = nx.Graph()
    tree.add_nodes_from(("spot", each) for each in spots)
    for number, block in enumerate(nx.biconnected_components(spots)):
        tree.add_edges_from((("block", number), ("spot", each)) for each in sorted(block))
    return spot, tree


def _least_of(roster: Roster, rows: Ints, price: Floats, low: int, high: int, group_cost_m: float) -> Floats:
    """V_j of each row j of a component."""
    part = _component(roster, rows, price)
    high = min(high, int(part.weight.sum()))
    matrix = roster.ways.matrix()
    members = [np.flatnonzero(part.spot == each).tolist() for each in range(int(part.spot.max()) + 1)]
    worth_m = np.full(rows.size, np.inf)
    for j in range(rows.size):
        walk_m = csgraph.dijkstra(matrix, directed=False, indices=part.vertex[j])[part.vertex]
        near = walk_m <= _radius_m(walk_m, part, low, group_cost_m)
        groups = np.unique(part.group[near & (part.group >= 0)]) if group_cost_m > 0 else np.array([-1])
        groups = groups if groups.size else np.array([-1])
        other = (part.group[:, None] >= 0) & (part.group[:, None] != groups)
        each_m = (walk_m - price)[:, None] + group_cost_m * other
        worth_m[j] = cheapest_set(part.tree, members, j, each_m, part.weight, near, low=low, high=high)
    return worth_m


def _radius_m(walk_m: Floats, part: _Component, low: int, group_cost_m: float) -> float:
    """Rows farther than this are never worth taking: nearer ones fill a set up for less."""
    order = np.argsort(walk_m)
    enough = np.searchsorted(np.cumsum(part.weight[order]), low + part.weight.max())
    farthest_m = walk_m[order[min(enough, order.size - 1)]]
    return float(farthest_m + max(part.price.max(), 0.0) - min(part.price.min(), 0.0) + group_cost_m)


def cheapest_set(
    tree: nx.Graph,
    members: list[list[int]],
    j: int,
    each_m: Floats,
    weight: Ints,
    near: NDArray[np.bool_],
    *,
    low: int,
    high: int,
) -> float:
    """Least cost of a closed set that holds row j and low to high households.

    Parameters
    ----------
    tree : Graph
        Spots and blocks.
    members : list of list of int
        Rows of each spot.
    each_m : array, shape (m, G)
        Cost of each row per household, for each group that could be the main one. [m]
    weight : int array, shape (m,)
        Households.
    near : bool array, shape (m,)
        Rows worth looking at; the others are left out, unless they are on the way to one.
    """
    root = ("spot", next(at for at, rows in enumerate(members) if j in rows))
    wanted = _on_the_way(tree, root, {at for at, rows in enumerate(members) if near[rows].any()})
    cost = np.full((each_m.shape[1], high + 1), np.inf)
    if weight[j] > high:
        return np.inf
    cost[:, weight[j]] = weight[j] * each_m[j]
    for row in members[root[1]]:
        if row != j:
            cost = np.minimum(cost, _taken(cost, row, each_m, weight))
    stack: list[tuple[Any, Any, Floats | None]] = [(root, None, None)]
    while stack:
        node, came_from, before = stack.pop()
        if before is not None:  # all below a spot is done: take that, or nothing of the spot
            cost = np.minimum(before, cost)
            continue
        if node[0] == "spot" and came_from is not None:
            stack.append((node, came_from, cost))
            some = np.full_like(cost, np.inf)
            for row in members[node[1]]:
                some = np.minimum(some, _taken(np.minimum(some, cost), row, each_m, weight))
            cost = some
        stack.extend((each, node, None) for each in tree[node] if each != came_from and each in wanted)
    return float(cost[:, low:].min(initial=np.inf))


def _on_the_way(tree: nx.Graph, root: Any, spots: set[int]) -> set[Any]:
    """The nodes of the tree on the ways from the root to some spots."""
    parent = {child: up for up, child in nx.dfs_edges(tree, root)}
    wanted = {root}
    for each in spots:
        node = ("spot", each)
        while node not in wanted:
            wanted.add(node)
            node = parent[node]
    return wanted


def _taken(cost: Floats, row: int, each_m: Floats, weight: Ints) -> Floats:
    """Least costs by households once ``row`` is taken as well."""
    w = weight[row]
    more = np.full_like(cost, np.inf)
    if w < cost.shape[1]:
        more[:, w:] = cost[:, :-w] + w * each_m[row][:, None]
    return more
