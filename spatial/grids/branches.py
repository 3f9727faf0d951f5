"""What every plan loses behind each cut vertex of a part: a programme over blocks and cut vertices.

Leaves first, for each size of the piece that is still open at a cut vertex: the fewest households that are
in faulty grids behind it. A branch across a bridge is either closed or joins whole, which is exact; inside a
larger block any share of its households may join, wherever the rest is a sum of grids, so that nothing is
claimed there but what arithmetic says.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from spatial.grids.exact_cut import FAULT
from spatial.grids.regions import Ground, Must

__all__ = ["branch_losses"]

Losses = NDArray[np.float64]  # by size of the open piece, 0 to the maximum


def branch_losses(ground: Ground, low: int, high: int) -> list[Must]:
    """Branches of a connected part that lose more in every plan than the branches inside them do.

    A branch that holds others counts their losses too; smaller ones stand first.
    """
    tree, order, parent = _block_tree(ground)
    losses: dict[int, Losses] = {}
    inside = dict.fromkeys(range(len(ground.near)), 0.0)  # what the branches within a unit's branch lose
    below = list(ground.weight)
    out: list[Must] = []
    for here in reversed(order):
        kind, at = here
        if kind == 0:
            own = losses.get(at, _alone(ground.weight[at], high))
            losses[at] = own
            least = _least(own, ground.weight[at], low, high, closed_only=here == order[0])
            if least > inside[at]:
                out.append(_told(ground, tree, parent, at, int(least), below[at], (low, high)))
            inside[at] = max(least, inside[at])
            continue
        up = parent[here][1]
        children = [child for _, child in tree[here] if child != up]
        households = sum(below[child] for child in children)
        if len(children) == 1:
            (child,) = children
            joined = losses[child].copy()
            joined[0] = _closed(losses[child], ground.weight[child], low, high)
        else:
            joined = _share(sum(inside[child] for child in children), households, low, high)
        for child in children:
            del losses[child]
        losses[up] = _joined(losses.get(up, _alone(ground.weight[up], high)), joined)
        inside[up] += sum(inside[child] for child in children)
        below[up] += households
    return out


def _alone(weight: int, high: int) -> Losses:
    out = np.full(high + 1, np.inf)
    if weight <= high:
        out[weight] = 0
    return out


def _closed(losses: Losses, weight: int, low: int, high: int) -> float:
    """Least loss if the open piece ends here; one heavier than the maximum is lost whole."""
    sizes = np.arange(high + 1)
    return float(min(np.min(losses + np.where(sizes < low, sizes, 0)), np.inf if weight <= high else weight))


def _least(losses: Losses, weight: int, low: int, high: int, *, closed_only: bool) -> float:
    closed = _closed(losses, weight, low, high)
    return closed if closed_only else min(closed, float(np.min(losses)))


def _share(inside: float, households: int, low: int, high: int) -> Losses:
    """Losses of a block by how many of its households join.

    What the branches inside it lose; if that is nothing, what is left of the rest beside a sum of grids.
    """
    out = np.full(high + 1, np.inf)
    size = np.arange(min(high, households) + 1)
    rest = households - size
    out[size] = inside if inside else rest - np.maximum.accumulate(_sums_up_to(households, low, high))[rest]
    return out


def _sums_up_to(households: int, low: int, high: int) -> NDArray[np.int64]:
    """Each number of households if it is a sum of grids, else 0."""
    number = np.arange(households + 1)
    return np.where(-(-number // high) <= number // low, number, 0)


def _joined(some: Losses, others: Losses) -> Losses:
    """Least loss of each sum of two sizes up to the maximum."""
    out = np.full(len(some), np.inf)
    for size in np.flatnonzero(np.isfinite(others)):
        out[size:] = np.minimum(out[size:], some[: len(some) - size] + others[size])
    return out


def _block_tree(
    ground: Ground,
) -> tuple[nx.Graph, list[tuple[int, int]], dict[tuple[int, int], tuple[int, int]]]:
    """Units (0, unit) and blocks (1, number), from unit 0 on: the tree, its preorder, and parents."""
    graph = nx.Graph()
    graph.add_nodes_from(range(len(ground.near)))
    graph.add_edges_from(
        (unit, other) for unit, near in enumerate(ground.near) for other in near if unit < other
    )
    tree = nx.Graph()
    tree.add_nodes_from((0, node) for node in graph)
    for at, block in enumerate(nx.biconnected_components(graph)):
        tree.add_edges_from(((0, node), (1, at)) for node in sorted(block))
    order = list(nx.dfs_preorder_nodes(tree, (0, 0)))
    return tree, order, {child: up for up, child in nx.dfs_edges(tree, (0, 0))}


def _told(
    ground: Ground,
    tree: nx.Graph,
    parent: dict[tuple[int, int], tuple[int, int]],
    at: int,
    least: int,
    households: int,
    limits: tuple[int, int],
) -> Must:
    low, high = limits
    units, todo = [], [(0, at)]
    while todo:
        here = todo.pop()
        if here[0] == 0:
            units.append(here[1])
        todo.extend(child for child in tree[here] if child != parent.get(here))
    where = "behind one point" if len(units) < len(ground.near) else "in all"
    reason = (
        f"{where} {households} households hang together so that every cut leaves at least {least} of them "
        f"without a grid of {low} to {high}"
    )
    return Must(frozenset(units), least * FAULT, False, reason)
