"""Party branches and grid workers: balanced unions of neighbouring grids.

The grids are the nodes of a graph that joins those that touch. A union is cut off along an edge of
a random spanning tree, so both sides are always in one piece; of many trees and all their edges the
cut is kept that balances best and, among balanced ones, keeps the sides compact. Pairs of
neighbouring unions are then merged and cut anew as long as that helps (recombination [1]_).

.. [1] D. DeFord, M. Duchin and J. Solomon, "Recombination: a family of Markov chains for
   redistricting", Harvard Data Science Review 3(1), 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.spatial import Delaunay, QhullError

from spatial.settings import Effort

__all__ = ["Level", "Links", "allowed_households", "balance", "link_grids", "slots"]

N_TREES: dict[Effort, int] = {"quick": 12, "normal": 40, "thorough": 120}


@dataclass(frozen=True)
class Links:
    """Which grids neighbour each other, 0…K−1, symmetric; and the straight lines between parts."""

    graph: csr_array  # bool (K, K)
    bridges: tuple[tuple[int, int, float], ...]  # grid, grid, length in metres


@dataclass(frozen=True)
class Level:
    """Grids grouped into unions 0…n−1, numbered as their slots were."""

    union: NDArray[np.int64]  # one per grid
    households: NDArray[np.int64]  # one per union
    uneven: NDArray[np.int64]  # unions outside the allowed range
    misplaced: int  # households locked to another union


def link_grids(
    grid: NDArray[np.int64],
    part: NDArray[np.int64],
    touching: tuple[NDArray[np.int64], NDArray[np.int64]],
    xy: NDArray[np.float64],
) -> Links:
    """The graph of grids: joined where any of their rows touch, cut-off parts by straight lines.

    Parts are joined by the shortest set of straight lines between doors that connects them all
    (their minimum spanning tree, which lies within the Delaunay triangulation of the doors).

    Parameters
    ----------
    grid, part : int64, shape (n,)
        Grid and connected part of each row.
    touching : pair of int64
        ``indptr`` and ``indices`` of the rows that touch.
    xy : float64, shape (n, 2)
        Doors. [m]
    """
    n_grids = int(grid.max()) + 1
    indptr, indices = touching
    one, two = grid[np.repeat(np.arange(len(grid)), np.diff(indptr))], grid[indices]
    bridges = _bridges(grid, part, xy)
    if bridges:
        first, second = np.array([each[:2] for each in bridges]).T
        one, two = np.concatenate([one, first, second]), np.concatenate([two, second, first])
    apart = one != two
    graph = coo_array((np.ones(apart.sum()), (one[apart], two[apart])), shape=(n_grids, n_grids))
    return Links(graph.tocsr().astype(bool), bridges)


def balance(
    graph: csr_array,
    households: NDArray[np.int64],
    xy: NDArray[np.float64],
    *,
    targets: NDArray[np.float64],
    least_grids: NDArray[np.int64],
    middle: float | NDArray[np.float64],
    band: float,
    locks: NDArray[np.int64] | None = None,
    effort: Effort,
    seed: Sequence[int],
) -> Level:
    """Group the grids into one contiguous union per target.

    Parameters
    ----------
    graph : csr_array, shape (K, K)
        Connected.
    households, xy : shapes (K,) and (K, 2)
        Households and middle of each grid.
    targets : float64, shape (n,)
        Households each union aims at.
    least_grids : int64, shape (n,)
        Fewest grids of each union.
    middle, band : float, or float64 of shape (n,) and float
        A union within its ``middle`` ± ``band`` households is balanced.
    locks : int64, shape (K, n), optional
        Households of each grid that are locked to each union.
    effort, seed
        Number of trees tried, and the start of their chance.

    Returns
    -------
    Level
    """
    from_middle = xy - np.average(xy, axis=0, weights=households)
    inertia = households * (from_middle**2).sum(axis=1)
    job = _Job(
        graph,
        np.column_stack([households, households[:, None] * from_middle, inertia]),
        np.zeros((len(households), len(targets))) if locks is None else locks.astype(np.float64),
        targets,
        least_grids,
        np.broadcast_to(middle, len(targets)),
        band,
        max(float(inertia.sum()), 1.0),
    )
    rng = np.random.default_rng(seed)
    union = np.full(len(households), -1)
    _deal(job, union, np.arange(len(households)), np.arange(len(targets)), rng, N_TREES[effort])
    _recombine(job, union, rng, N_TREES[effort])
    total = np.bincount(union, households, minlength=len(targets)).astype(np.int64)
    misplaced = int(job.locks.sum() - job.locks[np.arange(len(union)), union].sum())
    return Level(union, total, np.flatnonzero(np.abs(total - middle) > band + 1e-9), misplaced)


def slots(n_workers: int, n_branches: int) -> NDArray[np.int64]:
    """Workers of each branch: as even as can be, the larger numbers first (8 over 3: 3, 3, 2)."""
    return n_workers // n_branches + (np.arange(n_branches) < n_workers % n_branches)


def allowed_households(households: NDArray[np.int64], n_unions: int) -> tuple[float, float]:
    """Mean households of a union, and how far from it one may lie: a tenth, or one (largest) grid."""
    mean = float(households.sum()) / n_unions
    return mean, max(0.1 * mean, float(households.max()))


@dataclass(frozen=True)
class _Job:
    """What :func:`balance` is asked, as sums that add up over grids."""

    graph: csr_array
    sums: NDArray[np.float64]  # (K, 4): households, times x, times y, times squared distance
    locks: NDArray[np.float64]  # (K, n)
    targets: NDArray[np.float64]
    least_grids: NDArray[np.int64]
    middle: NDArray[np.float64]  # (n,)
    band: float
    spread: float  # sum of households times squared distance to the middle of all


def _deal(
    job: _Job,
    union: NDArray[np.int64],
    nodes: NDArray[np.int64],
    unions: NDArray[np.int64],
    rng: np.random.Generator,
    n_trees: int,
) -> None:
    """Fill ``union`` for ``nodes``, halving the list of unions as far as a tree allows."""
    if len(unions) == 1:
        union[nodes] = unions[0]
        return
    for n_first in range(len(unions) // 2, 0, -1):
        first, second = unions[:n_first], unions[n_first:]
        _, inside = _best_cut(job, nodes, first, second, rng, n_trees)
        if inside is not None:
            _deal(job, union, nodes[inside], first, rng, n_trees)
            _deal(job, union, nodes[~inside], second, rng, n_trees)
            return
    raise AssertionError("a tree of n nodes can always be cut into n or fewer unions")


def _recombine(
    job: _Job, union: NDArray[np.int64], rng: np.random.Generator, n_trees: int, passes: int = 4
) -> None:
    """Merge and cut anew each pair of neighbouring unions, while it helps and some passes at most."""
    one, two = job.graph.nonzero()
    moved = np.ones(len(job.targets), dtype=bool)
    for _ in range(passes):
        pairs = np.unique(np.sort(np.column_stack([union[one], union[two]]), axis=1), axis=0)
        waiting, moved = moved, np.zeros_like(moved)
        for a, b in pairs[pairs[:, 0] < pairs[:, 1]]:
            nodes = np.flatnonzero((union == a) | (union == b))
            if not (waiting[a] or waiting[b] or moved[a] or moved[b]):
                continue
            today = union[nodes] == a
            cost, inside = _best_cut(job, nodes, np.array([a]), np.array([b]), rng, n_trees)
            if inside is not None and cost < _cut_cost(job, nodes, today, (a, b)) - 1e-9:
                union[nodes] = np.where(inside, a, b)
                moved[[a, b]] = True
        if not moved.any():
            return


def _best_cut(
    job: _Job,
    nodes: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    rng: np.random.Generator,
    n_trees: int,
) -> tuple[float, NDArray[np.bool_] | None]:
    """The cheapest cut of ``nodes`` among all edges of ``n_trees`` random spanning trees.

    The second value says which nodes go to the unions ``first``; None where the nodes are
    not in one piece or every cut leaves one side with fewer nodes than unions.
    """
    graph = job.graph[nodes][:, nodes].tocsr().astype(np.float64)
    best: tuple[float, NDArray[np.bool_] | None] = (np.inf, None)
    facts = np.column_stack([np.ones(len(nodes)), job.sums[nodes], job.locks[nodes]])
    n_loops = graph.nnz // 2 - len(nodes) + 1  # few loops, few different trees
    for _ in range(min(n_trees, 1 + 4 * max(n_loops, 0))):
        graph.data = rng.uniform(1.0, 2.0, len(graph.data))
        tree = minimum_spanning_tree(graph)
        order, parent = breadth_first_order(tree, 0, directed=False)
        if len(order) < len(nodes):
            return best
        below = facts.copy()
        for node in order[:0:-1]:
            below[parent[node]] += below[node]
        rest = below[0] - below
        ways = (
            _side_cost(job, below, first) + _side_cost(job, rest, second),
            _side_cost(job, rest, first) + _side_cost(job, below, second),
        )
        for way, cost in enumerate(ways):
            cost[0] = np.inf
            at = int(np.argmin(cost))
            if cost[at] < best[0] - 1e-12:
                inside = _subtree(order, parent, at)
                best = (float(cost[at]), inside if way == 0 else ~inside)
    return best


def _subtree(order: NDArray[np.int32], parent: NDArray[np.int32], top: int) -> NDArray[np.bool_]:
    """The nodes of a tree at and below ``top``."""
    inside = np.zeros(len(order), dtype=bool)
    inside[top] = True
    for node in order[1:]:
        inside[node] |= inside[parent[node]]
    return inside


def _cut_cost(job: _Job, nodes: NDArray[np.int64], inside: NDArray[np.bool_], pair: tuple[int, int]) -> float:
    """Cost of a cut of ``nodes`` into the two unions of ``pair``."""
    facts = np.column_stack([np.ones(len(nodes)), job.sums[nodes], job.locks[nodes]])
    sides = (facts[inside].sum(axis=0), facts[~inside].sum(axis=0))
    return sum(
        float(_side_cost(job, side[None], np.array([each]))[0])
        for side, each in zip(sides, pair, strict=True)
    )


def _side_cost(job: _Job, facts: NDArray[np.float64], unions: NDArray[np.int64]) -> NDArray[np.float64]:
    """What it costs to make ``unions`` of sides with these summed facts (n_grids, sums, locks).

    Households beyond the band or locked elsewhere and missing grids weigh most; then come evenness
    and compactness, each about 1 for the whole community.
    """
    n_grids, households = facts[:, 0], facts[:, 1]
    target = job.targets[unions].sum()
    middle = job.middle[unions[0]] if len(unions) == 1 else target
    over = np.maximum(np.abs(households - middle) - job.band, 0.0)
    misplaced = facts[:, 5:].sum(axis=1) - facts[:, 5 + unions].sum(axis=1)
    short = np.maximum(job.least_grids[unions].sum() - n_grids, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        inertia = facts[:, 4] - (facts[:, 2] ** 2 + facts[:, 3] ** 2) / households
    n = len(job.targets)
    cost = 100.0 * (over + misplaced + job.middle.mean() * short)
    cost += 0.5 * ((households - target) / job.band) ** 2 / n + inertia * n / job.spread
    return np.where(n_grids >= len(unions), cost, np.inf)


def _bridges(
    grid: NDArray[np.int64], part: NDArray[np.int64], xy: NDArray[np.float64]
) -> tuple[tuple[int, int, float], ...]:
    """Straight lines between doors that join all parts with the least length."""
    n_parts = int(part.max()) + 1
    if n_parts == 1:
        return ()
    one, two = _mesh(xy)
    across = part[one] != part[two]
    one, two = one[across], two[across]
    length_m = np.hypot(*(xy[one] - xy[two]).T)
    low, high = np.sort(np.column_stack([part[one], part[two]]), axis=1).T
    order = np.lexsort((np.maximum(one, two), np.minimum(one, two), np.round(length_m, 3), high, low))
    pair, first = np.unique((low * n_parts + high)[order], return_index=True)
    best = order[first]
    # One metre more for each line leaves the tree as it is and keeps lines of no length.
    shape = (n_parts, n_parts)
    tree = minimum_spanning_tree(
        coo_array((length_m[best] + 1.0, np.divmod(pair, n_parts)), shape=shape).tocsr()
    )
    kept = np.isin(pair, np.ravel_multi_index(tree.nonzero(), shape))
    return tuple((int(grid[one[each]]), int(grid[two[each]]), float(length_m[each])) for each in best[kept])


def _mesh(xy: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of points that hold the shortest tree through all of them: their Delaunay edges."""
    order = np.lexsort((xy[:, 1], xy[:, 0]))
    try:
        mesh = Delaunay(xy - xy.mean(axis=0))
    except (QhullError, ValueError):  # fewer than three points, or all of them on one line
        return order[:-1], order[1:]
    corners = mesh.simplices
    edges = [corners[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]
    return tuple(np.concatenate([*edges, mesh.coplanar[:, [0, 2]]]).astype(np.int64).T)
