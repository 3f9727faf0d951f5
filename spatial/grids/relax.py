"""Whether a part can be cut into grids at all, why not, and which limit would have to give.

Three tools, from cheap to dear: arithmetic on the whole part; a programme over the tree of blocks and
cut vertices, exact on trees and a valid proof of infeasibility on any part; an exhaustive search for
small parts. What none of them settles is *undecided*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import networkx as nx
import numpy as np

from spatial.grids.problem import Ints, State, Sub
from spatial.grids.trees import fault_size, start

__all__ = [
    "SMALL_ROWS",
    "counts",
    "cut_small",
    "decide",
    "impossible",
    "plain_count",
    "smallest_relaxation",
    "suspicious",
    "why",
]

SMALL_ROWS = 60  # rows up to which a part is decided exhaustively
_NODES = 200_000  # nodes of the exhaustive search
_LOCAL_NODES = 2_000
_TRIES = 4
_COUNTS = 5  # numbers of grids tried before a component stays undecided


def counts(households: int, *, low: int, high: int) -> range:
    """Numbers of grids that the households alone allow; empty where there is none."""
    return range(-(-households // high), households // low + 1)


def plain_count(households: int, *, low: int, high: int, target: int) -> int:
    """households / target, halves up, moved to the nearest number allowed; 0 where there is none."""
    allowed = counts(households, low=low, high=high)
    if not allowed:
        return 0
    return min(max((2 * households + target) // (2 * target), allowed[0]), allowed[-1])


def decide(sub: Sub, *, low: int, high: int, seed: int) -> tuple[State, str]:
    """Whether a connected component can be cut into grids within the limits; why not, if not."""
    allowed = counts(sub.households, low=low, high=high)
    plain = plain_count(sub.households, low=low, high=high, target=(low + high) // 2)
    suspects: Ints | None = None
    for K in sorted(allowed, key=lambda k: (abs(k - plain), k))[:_COUNTS]:
        grid = start(sub, low=low, high=high, K=K, seed=seed, tries=1 if suspects is None else _TRIES)
        if int(grid.max()) + 1 == K and not any(fault_size(sub, grid, low, high)):
            return "feasible", ""
        if suspects is None:
            suspects = suspicious(sub, grid, low=low, high=high)
            reason = impossible(sub, suspects, low=low, high=high)
            if reason:
                return "infeasible", reason
            found = _exhaustive(sub, low, high) if len(sub.rows) <= SMALL_ROWS else None
            if found is not None:
                sound = found is not False
                return ("feasible", "") if sound else ("infeasible", "every partition in one piece was tried")
    if not allowed:
        return "infeasible", impossible(sub, np.empty(0, np.int64), low=low, high=high)
    return "undecided", "no partition within the limits was found within the work limit"


def cut_small(sub: Sub, *, low: int, high: int) -> Ints | None:
    """Grids of a component of up to ``SMALL_ROWS`` rows, by trying every partition; None if none was met."""
    found = _exhaustive(sub, low, high) if len(sub.rows) <= SMALL_ROWS else None
    return None if found is None or isinstance(found, bool) else found


def suspicious(sub: Sub, grid: Ints, *, low: int, high: int) -> Ints:
    """Rows of the grids that break a limit."""
    households = np.bincount(grid, sub.weight)
    return np.flatnonzero(((households < low) | (households > high))[grid])


def impossible(sub: Sub, suspects: Ints, *, low: int, high: int) -> str:
    """A proof that no partition within the limits exists, as a sentence; empty where none was found.

    ``suspects`` are rows for which it is worth asking whether any grid could hold them.
    """
    if not counts(sub.households, low=low, high=high):
        return f"{sub.households} households can't be shared out into grids of {low} to {high}"
    units = _Units.of(sub)
    heaviest = max(units.weight)
    if heaviest > high:
        return f"{heaviest} households have to stay together, more than {high}"
    return _lonely(units, suspects, low, high) or _blocked_branch(units, low, high)


def why(sub: Sub, rows: Ints, *, low: int, high: int) -> str:
    """The reason that lies in ``rows`` themselves, if there is one: no grid can hold one of them."""
    if sub.households < low:
        return f"its part of the alleys holds no more than {sub.households} households"
    return _lonely(_Units.of(sub), rows, low, high)


@dataclass(frozen=True)
class _Units:
    """The component with the rows of each lock drawn together."""

    graph: nx.Graph
    weight: list[int]
    lock: list[int]  # −1 free
    near: list[int]  # neighbours of each unit, as the bits of an integer
    of_row: Ints

    @staticmethod
    def of(sub: Sub) -> _Units:
        free = sub.locked < 0
        key = np.where(free, np.arange(len(free)), len(free) + sub.locked)
        names, unit = np.unique(key, return_inverse=True)
        owner = np.repeat(unit, np.diff(sub.indptr))
        other = unit[sub.indices]
        graph = nx.Graph()
        graph.add_nodes_from(range(len(names)))
        graph.add_edges_from(np.unique(np.column_stack((owner, other))[owner < other], axis=0).tolist())
        weight = np.bincount(unit, sub.weight).astype(np.int64)
        lock = np.where(names >= len(free), names - len(free), -1)
        near = [sum(1 << other for other in graph[node]) for node in range(len(names))]
        return _Units(graph, weight.tolist(), lock.tolist(), near, unit)


def _lonely(units: _Units, rows: Ints, low: int, high: int) -> str:
    for unit in np.unique(units.of_row[rows]):
        if not _may_lie_in_grid(units, int(unit), low, high):
            households = units.weight[unit]
            return (
                f"no grid of {low} to {high} in one piece can hold the row of {households} households in it"
            )
    return ""


def _may_lie_in_grid(units: _Units, node: int, low: int, high: int) -> bool:
    """False only where every set in one piece around ``node`` was seen to miss the limits."""
    stack = [(0, 1 << node, units.weight[node], units.near[node])]  # kept out, grid, households, neighbours
    for _ in range(_LOCAL_NODES):
        if not stack:
            return False
        out, grid, households, near = stack.pop()
        if households >= low:
            return True
        around = near & ~grid & ~out
        if not around:
            continue
        pick = (around & -around).bit_length() - 1
        stack.append((out | 1 << pick, grid, households, near))
        if households + units.weight[pick] <= high:
            stack.append((out, grid | 1 << pick, households + units.weight[pick], near | units.near[pick]))
    return True


def _blocked_branch(units: _Units, low: int, high: int) -> str:
    """Sizes that the open piece at each cut vertex can have, leaves first; a vertex with none is a proof.

    Sets of sizes are the bits of an integer. A branch across a bridge is either closed or joins whole
    piece by piece, which is exact; inside a larger block any share that leaves a sum of grids may join.
    """
    blocks = [sorted(each) for each in nx.biconnected_components(units.graph)]
    tree = nx.Graph()
    tree.add_nodes_from((0, node) for node in units.graph)
    tree.add_edges_from(((0, node), (1, at)) for at, each in enumerate(blocks) for node in each)
    limit = (1 << (high + 1)) - 1
    closable = limit & ~((1 << low) - 1)
    order = list(nx.dfs_preorder_nodes(tree, (0, 0)))
    parent = {child: up for up, child in nx.dfs_edges(tree, (0, 0))}
    sizes = {(0, node): 1 << weight for node, weight in enumerate(units.weight)}
    below = {(0, node): weight for node, weight in enumerate(units.weight)}
    for here in reversed(order):
        if here[0] == 0:
            if not sizes[here]:
                return (
                    f"behind one point {below[here]} households can't be cut into grids of {low} to {high}, "
                    "whichever of them join it"
                )
            continue
        up = parent[here]
        children = [child for child in tree[here] if child != up]
        households = sum(below[child] for child in children)
        if len(children) == 1:
            joined = sizes[children[0]] | int(bool(sizes[children[0]] & closable))
        else:
            joined = sum(
                1 << share
                for share in range(min(high, households) + 1)
                if _shareable(households - share, low, high)
            )
        sizes[up] = _sums(sizes[up], joined) & limit
        below[up] += households
    if not sizes[0, 0] & closable:
        return f"{below[0, 0]} households hang together so that no cut leaves grids of {low} to {high}"
    return ""


def _shareable(households: int, low: int, high: int) -> bool:
    return households == 0 or bool(counts(households, low=low, high=high))


def _sums(some: int, others: int) -> int:
    """Every sum of a size of each set."""
    out, shift = 0, 0
    while others >> shift:
        if others >> shift & 1:
            out |= some << shift
        shift += 1
    return out


def _exhaustive(sub: Sub, low: int, high: int) -> Ints | bool | None:
    """Try every partition of a small component: one within the limits, False, or None at the node limit."""
    units = _Units.of(sub)
    search = _Search(units, low, high)
    try:
        grids = search.cut((1 << len(search.weight)) - 1)
    except _OutOfNodesError:
        return None
    if not grids:
        return False
    of_unit = np.empty(len(search.weight), np.int64)
    for at, grid in enumerate(grids):
        of_unit[list(_bits(grid))] = at
    return of_unit[units.of_row]


class _OutOfNodesError(Exception):
    pass


class _Search:
    """Cut off one grid at a time around the lowest unit left; sets of units are the bits of an integer.

    A branch is left as soon as a unit that was kept out can reach too few households to form a grid.
    Among units with the same neighbours and weight the lower one is taken first.
    """

    def __init__(self, units: _Units, low: int, high: int) -> None:
        self.weight, self.lock = units.weight, units.lock
        self.low, self.high = low, high
        self.near = units.near
        self.twins = [self._lower_twins(node) for node in range(len(self.weight))]
        self.known: dict[int, tuple[int, ...]] = {}
        self.nodes = 0

    def cut(self, left: int) -> tuple[int, ...]:
        """Grids of the units ``left``, which hang together; empty where they can't be cut into grids."""
        if left not in self.known:
            self.known[left] = self._cut(left)
        return self.known[left]

    def _cut(self, left: int) -> tuple[int, ...]:
        if not counts(self._households(left), low=self.low, high=self.high):
            return ()
        for grid in self._grids(left):
            rest: tuple[int, ...] = ()
            for piece in self._pieces(left & ~grid):
                grids = self.cut(piece)
                if not grids:
                    break
                rest += grids
            else:
                return (grid, *rest)
        return ()

    def _lower_twins(self, node: int) -> int:
        out = 0
        for other in range(node):
            both = ~(1 << node | 1 << other)
            same = self.near[node] & both == self.near[other] & both
            if same and self.weight[node] == self.weight[other] and self.lock[node] == self.lock[other] == -1:
                out |= 1 << other
        return out

    def _grids(self, left: int) -> Iterator[int]:
        first = min(_bits(left), key=lambda node: ((self.near[node] & left).bit_count(), node))
        stack = [(1 << first, 0, self.weight[first], self.lock[first])]
        while stack:
            grid, out, households, lock = stack.pop()
            self.nodes += 1
            if self.nodes > _NODES:
                raise _OutOfNodesError
            around = self._around(grid) & left & ~grid & ~out
            if not around:
                if self.low <= households <= self.high:
                    yield grid
                continue
            node = (around & -around).bit_length() - 1
            if self._room_left(left & ~grid, out | 1 << node):
                stack.append((grid, out | 1 << node, households, lock))
            fits = households + self.weight[node] <= self.high
            apart = lock >= 0 and self.lock[node] >= 0
            if fits and not apart and not self.twins[node] & out:
                stack.append(
                    (grid | 1 << node, out, households + self.weight[node], max(lock, self.lock[node]))
                )

    def _room_left(self, rest: int, out: int) -> bool:
        return all(self._households(piece) >= self.low for piece in self._pieces(rest) if piece & out)

    def _pieces(self, left: int) -> Iterator[int]:
        while left:
            piece = left & -left
            while (wider := piece | self._around(piece) & left) != piece:
                piece = wider
            yield piece
            left &= ~piece

    def _around(self, units: int) -> int:
        out = 0
        for node in _bits(units):
            out |= self.near[node]
        return out

    def _households(self, units: int) -> int:
        return sum(self.weight[node] for node in _bits(units))


def _bits(units: int) -> Iterator[int]:
    while units:
        lowest = units & -units
        yield lowest.bit_length() - 1
        units ^= lowest


def smallest_relaxation(sub: Sub, *, low: int, high: int, seed: int) -> dict[str, int]:
    """The nearest value of each limit, the other left alone, at which the component can be cut.

    Every value given was reached by a partition; it is the smallest change wherever :func:`decide`
    leaves nothing undecided on the way.
    """
    steps = {
        "min_households": _first(lambda step: _works(sub, low - step, high, seed), low - 1),
        "max_households": _first(lambda step: _works(sub, low, high + step, seed), sub.households - high),
    }
    today = {"min_households": (low, -1), "max_households": (high, 1)}
    return {name: today[name][0] + today[name][1] * step for name, step in steps.items() if step}


def _works(sub: Sub, low: int, high: int, seed: int) -> bool:
    return decide(sub, low=low, high=high, seed=seed)[0] == "feasible"


def _first(works: Callable[[int], bool], most: int) -> int | None:
    """Least step of 1..most that works, for a test that stays true once it is: doubling, then halving."""
    fails, holds = 0, 1
    while holds <= most and not works(holds):
        if holds == most:
            return None
        fails, holds = holds, min(2 * holds, most)
    if holds > most:
        return None
    while holds - fails > 1:
        middle = (fails + holds) // 2
        if works(middle):
            holds = middle
        else:
            fails = middle
    return holds
