"""Every set of rows in one piece, as a path through a diagram of layers.

Rows with the same neighbours and the same walks stand at one *spot* (the doors of one stop); those of a
spot with the same households, group and lock are of one *kind* and interchangeable. A set of rows is then
a number per kind, and it is in one piece if its spots are.

The diagram decides kind after kind how many rows to take. What later decisions need to know is small as
long as the spots are nearly a tree: which spots of the *frontier* (decided, with an undecided neighbour)
are in the set and which of them hang together already. Each such state is one node of a layer, so a sound
set is a path to the last node, and the cheapest one around a meeting spot is found by one backward pass
over nodes and households (frontier-based search: K. Sekine, H. Imai and S. Tani, ISAAC 1995, LNCS 1004,
pp. 224-233; J. Kawahara, T. Inoue, H. Iwashita and S. Minato, IEICE Transactions E100-A(9), 2017,
pp. 1773-1784). The same pass tells for every unfinished path how cheap it can end, so that all sets below
a cost are listed without a step in vain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spatial.grids.bound import Limits
from spatial.grids.problem import Floats, Ints, Sub

__all__ = [
    "Diagram",
    "Kinds",
    "Pairs",
    "Prizes",
    "cheapest_sets",
    "diagram_of",
    "kinds_below",
    "kinds_of",
    "sets_below",
]

_ORDERS = 60  # first spots tried, to keep the frontier small


@dataclass(frozen=True)
class Kinds:
    """The rows of a component merged; S spots, Q kinds in order of their spots."""

    kind: Ints  # (m,) of each row
    spot: Ints  # (Q,) of each kind
    weight: Ints  # (Q,) households of one row
    group: Ints  # (Q,) −1 none
    locked: Ints  # (Q,) −1 free
    count: Ints  # (Q,) rows
    walk_m: Floats  # (S, S); pairs that are absent at the radius of the walks, which is never too much
    beside: tuple[frozenset[int], ...]  # (S,) spots that touch


@dataclass(frozen=True)
class Diagram:
    """Layer t decides kind ``order[t]``; nodes of all layers are numbered through, node 0 is the first."""

    order: Ints  # (Q,)
    last: NDArray[np.bool_]  # (Q,) whether the layer is the last of its spot
    first: Ints  # (Q + 2,) first node of each layer
    skip: Ints  # (nodes,) next node where no row of the kind is taken; −1: no sound set
    take: Ints  # (nodes,) where some are
    inside: NDArray[np.bool_]  # (nodes,) whether the spot of the layer is in the set already
    end: int  # the node of all sound sets


@dataclass(frozen=True)
class Pairs:
    """What a set is priced for: its meeting spot, main group, the lock it holds (−1 none), possible kinds."""

    spot: Ints
    group: Ints
    locked: Ints
    may_hold: NDArray[np.bool_]  # (P, Q)

    def __len__(self) -> int:
        return len(self.spot)

    def take(self, which: Ints) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.spot[which], self.group[which], self.locked[which], self.may_hold[which])


@dataclass(frozen=True)
class Prizes:
    """What a set earns: for each row, and for holding at least so many rows of a kind. [household-metres]"""

    row_m: Floats  # (Q,) a row of the kind
    kind: Ints  # (R,) −1: any set earns the step
    rows: Ints  # (R,) from so many on
    step_m: Floats  # (R, S) by meeting spot


def kinds_of(sub: Sub) -> Kinds:
    """Merge the rows that stand at one spot."""
    m = len(sub.rows)
    owner = np.repeat(np.arange(m), np.diff(sub.near_indptr))
    walk_m = np.full((m, m), sub.near_m.max(initial=0.0))
    walk_m[owner, sub.near_indices] = sub.near_m
    around = [
        tuple(sorted({row, *sub.indices[sub.indptr[row] : sub.indptr[row + 1]].tolist()})) for row in range(m)
    ]
    names: dict[tuple[tuple[int, ...], bytes], int] = {}
    spot = np.array([names.setdefault((around[row], walk_m[row].tobytes()), len(names)) for row in range(m)])
    some = np.unique(spot, return_index=True)[1]
    beside = tuple(frozenset(int(spot[each]) for each in around[row]) - {spot[row]} for row in some)
    table = np.column_stack((spot, sub.weight, sub.group, sub.locked))
    of_kinds, kind, count = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    at_spots = walk_m[np.ix_(some, some)]
    of_kinds = of_kinds.T.copy()
    return Kinds(
        kind.reshape(-1), of_kinds[0], of_kinds[1], of_kinds[2], of_kinds[3], count, at_spots, beside
    )


def diagram_of(kinds: Kinds, *, most_nodes: int) -> Diagram | None:
    """The diagram of all sets in one piece; None where it has more than ``most_nodes``."""
    build = _Build(kinds, _small_frontier(kinds.beside))
    for spot in build.order:
        build.decide(spot)
        if len(build.skip) > most_nodes:
            return None
    return build.diagram()


def cheapest_sets(
    kinds: Kinds, diagram: Diagram, pairs: Pairs, prizes: Prizes, limits: Limits
) -> tuple[Floats, Ints]:
    """For each of P pairs the least cost of a set in one piece less its prizes, and that set.

    Returns
    -------
    value, rows : (P,), (P, Q)
        Infinite where there is no set.
    """
    value, rows = _run(_cheapest, kinds, diagram, pairs, prizes, limits)
    return value, rows


def kinds_below(
    kinds: Kinds, diagram: Diagram, pairs: Pairs, prizes: Prizes, limits: Limits, *, below_m: Floats
) -> NDArray[np.bool_]:
    """Whether a set of the pair whose cost less prizes is at most ``below_m`` (P,) holds the kind: (P, Q)."""
    held: NDArray[np.bool_] = _run(_which_below, kinds, diagram, pairs, prizes, limits, below_m)
    return held


def sets_below(
    kinds: Kinds,
    diagram: Diagram,
    pairs: Pairs,
    prizes: Prizes,
    limits: Limits,
    *,
    below_m: Floats,
    most: int,
) -> tuple[Ints, Ints] | None:
    """All sets of the pairs whose cost less prizes is at most ``below_m`` (P,); None if more than ``most``.

    Returns the number of the pair and the rows per kind of each set.
    """
    pair, rows, n = _run(_list_below, kinds, diagram, pairs, prizes, limits, below_m, most)
    return None if n > most else (pair[:n], rows[:n].astype(np.int64))


def _run(
    kernel: Any,
    kinds: Kinds,
    diagram: Diagram,
    pairs: Pairs,
    prizes: Prizes,
    limits: Limits,
    *more: Floats | int,
) -> Any:
    return kernel(
        diagram.order,
        diagram.last,
        diagram.first,
        diagram.skip,
        diagram.take,
        diagram.inside,
        diagram.end,
        kinds.spot,
        kinds.weight,
        kinds.group,
        kinds.locked,
        kinds.count,
        kinds.walk_m,
        pairs.spot,
        pairs.group,
        pairs.locked,
        pairs.may_hold,
        prizes.row_m,
        prizes.kind,
        prizes.rows,
        prizes.step_m,
        limits.low,
        limits.high,
        limits.group_cost_m,
        *more,
    )


# --- building -----------------------------------------------------------------------------------


def _small_frontier(beside: tuple[frozenset[int], ...]) -> list[int]:
    """An order of the spots with a small frontier: the best of some greedy ones."""
    n = len(beside)
    firsts = np.unique(np.linspace(0, n - 1, min(n, _ORDERS)).astype(int)).tolist()
    return min((_greedy(beside, first) for first in firsts), key=lambda each: each[0])[1]


def _greedy(beside: tuple[frozenset[int], ...], first: int) -> tuple[float, list[int]]:
    """Always the spot that leaves the smallest frontier; also how many states to expect, roughly."""
    open_ends = [len(each) for each in beside]  # neighbours not yet decided
    decided: set[int] = set()
    order: list[int] = []
    candidates, size, effort = {first}, 0, 0.0
    while len(order) < len(beside):
        if not candidates:
            candidates = {min(set(range(len(beside))) - decided)}
        growth = {
            spot: (open_ends[spot] > 0) - sum(1 for each in beside[spot] & decided if open_ends[each] == 1)
            for spot in candidates
        }
        spot = min(candidates, key=lambda each: (growth[each], each))
        size += growth[spot]
        for each in beside[spot]:
            open_ends[each] -= 1
        decided.add(spot)
        order.append(spot)
        candidates = (candidates | beside[spot]) - decided
        effort += 3.0**size
    return effort, order


_State = tuple[tuple[int, ...], bool]  # label of each frontier spot (0 out), and whether the set is closed


class _Build:
    """Grows the diagram layer by layer."""

    def __init__(self, kinds: Kinds, order: list[int]) -> None:
        self.kinds, self.order = kinds, order
        at = {spot: place for place, spot in enumerate(order)}
        self.until = [max([at[spot], *(at[each] for each in kinds.beside[spot])]) for spot in range(len(at))]
        self.at = at
        self.layers: list[int] = []
        self.last: list[bool] = []
        self.first = [0]
        self.skip: list[int] = []
        self.take: list[int] = []
        self.inside: list[bool] = []
        self.frontier: list[int] = []
        self.states: list[_State] = [((), False)]

    def decide(self, spot: int) -> None:
        """Add a layer for each kind of the spot, which joins the frontier and may leave it at the end."""
        self.states = [((*labels, 0), closed) for labels, closed in self.states]
        self.frontier = [*self.frontier, spot]
        own = np.flatnonzero(self.kinds.spot == spot).tolist()
        for kind in own:
            self._layer(spot, kind, last=kind == own[-1])

    def _layer(self, spot: int, kind: int, *, last: bool) -> None:
        here = self.at[spot]
        stays = [at for at, each in enumerate(self.frontier) if not last or self.until[each] > here]
        touching = [at for at, each in enumerate(self.frontier) if each in self.kinds.beside[spot]]
        own = len(self.frontier) - 1
        self.first.append(self.first[-1] + len(self.states))
        number: dict[_State, int] = {}

        def follow(labels: tuple[int, ...], closed: bool) -> int:
            state = _without(labels, closed, stays)
            return -1 if state is None else self.first[-1] + number.setdefault(state, len(number))

        for labels, closed in self.states:
            self.inside.append(labels[own] > 0)
            self.skip.append(follow(labels, closed))
            self.take.append(-1 if closed else follow(_joined(labels, own, touching), closed))
        self.layers.append(kind)
        self.last.append(last)
        self.frontier = [self.frontier[at] for at in stays]
        self.states = list(number)

    def diagram(self) -> Diagram:
        ends = [*self.first, self.first[-1] + len(self.states)]
        rest = [-1] * len(self.states)
        return Diagram(
            np.array(self.layers),
            np.array(self.last),
            np.array(ends),
            np.array([*self.skip, *rest]),
            np.array([*self.take, *rest]),
            np.array([*self.inside, *rest]) > 0,
            self.first[-1] + self.states.index(((), True)),
        )


def _joined(labels: tuple[int, ...], own: int, touching: list[int]) -> tuple[int, ...]:
    """The labels once the spot is in the set: all pieces it touches are one."""
    if labels[own]:
        return labels
    met = {labels[at] for at in touching} - {0}
    new = max(labels) + 1
    joined = [new if each in met else each for each in labels]
    joined[own] = new
    return tuple(joined)


def _without(labels: tuple[int, ...], closed: bool, stays: list[int]) -> _State | None:
    """The state once some spots leave the frontier; None where a piece is cut off from another."""
    kept = [labels[at] for at in stays]
    lost = set(labels) - set(kept) - {0}
    if lost and (len(lost) > 1 or any(kept)):
        return None
    number: dict[int, int] = {0: 0}
    return tuple(number.setdefault(each, len(number)) for each in kept), closed or bool(lost)


# --- the passes ---------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _cheapest(  # type: ignore[no-untyped-def]
    order,
    last,
    first,
    skip,
    take,
    inside,
    end,
    spot,
    weight,
    group,
    locked,
    count,
    walk_m,
    meets,
    mains,
    locks,
    may_hold,
    row_m,
    step_kind,
    step_rows,
    step_m,
    low,
    high,
    group_cost_m,
):
    """Value and rows per kind of the cheapest set of each pair."""
    n_kinds, n_pairs = len(order), len(meets)
    value = np.empty(n_pairs)
    rows = np.zeros((n_pairs, n_kinds), np.int64)
    rest = np.empty((first[-1], high + 1))
    for pair in range(n_pairs):
        meet = meets[pair]
        away = walk_m[meet][spot] + group_cost_m * ((group >= 0) & (group != mains[pair]))
        cost, toll = _costs(weight * away - row_m, count, step_kind, step_rows, step_m[:, meet])
        least, most = _allowed(locked, count, locks[pair], may_hold[pair])
        must = last & (spot[order] == meet)
        _complete(rest, order, must, first, skip, take, inside, end, weight, cost, least, most, low)
        value[pair] = rest[0, 0] - toll
        if rest[0, 0] == np.inf:
            continue
        node, households = 0, 0
        for layer in range(n_kinds):
            kind = order[layer]
            best, n_best, to_best = np.inf, 0, 0
            for n in range(least[kind], most[kind] + 1):
                to = take[node] if n else skip[node]
                after = households + n * weight[kind]
                if to < 0 or after > high or (n == 0 and must[layer] and not inside[node]):
                    continue
                whole = cost[kind, n] + rest[to, after]
                if whole < best:
                    best, n_best, to_best = whole, n, to
            rows[pair, kind] = n_best
            node = to_best
            households += n_best * weight[kind]
    return value, rows


@njit(cache=True, nogil=True)
def _costs(each, count, step_kind, step_rows, step_m):  # type: ignore[no-untyped-def]
    """Cost of n rows of each kind, and what any set earns."""
    cost = np.zeros((len(count), count.max() + 1))
    for kind in range(len(count)):
        for n in range(1, count[kind] + 1):
            cost[kind, n] = n * each[kind]
    toll = 0.0
    for at in range(len(step_kind)):
        if step_kind[at] < 0:
            toll += step_m[at]
        else:
            cost[step_kind[at], step_rows[at] :] -= step_m[at]
    return cost, toll


@njit(cache=True, nogil=True)
def _allowed(locked, count, lock, may_hold):  # type: ignore[no-untyped-def]
    """Fewest and most rows of each kind: all of the pair's own lock, none of the others."""
    least = np.where((locked == lock) & (locked >= 0), count, 0)
    most = np.where(may_hold & ((locked == lock) | (locked < 0)), count, 0)
    return least, most


@njit(cache=True, nogil=True)
def _reached(order, must, first, skip, take, inside, least, most):  # type: ignore[no-untyped-def]
    """Which nodes lie on a path from the first."""
    reached = np.zeros(first[-1], np.bool_)
    reached[0] = True
    for layer in range(len(order)):
        kind = order[layer]
        for node in range(first[layer], first[layer + 1]):
            if not reached[node]:
                continue
            if skip[node] >= 0 and least[kind] == 0 and not (must[layer] and not inside[node]):
                reached[skip[node]] = True
            if take[node] >= 0 and most[kind] > 0:
                reached[take[node]] = True
    return reached


@njit(cache=True, nogil=True)
def _complete(  # type: ignore[no-untyped-def]
    rest, order, must, first, skip, take, inside, end, weight, cost, least, most, low
):
    """Least cost from each node and number of households to a sound set, into ``rest``."""
    high = rest.shape[1] - 1
    reached = _reached(order, must, first, skip, take, inside, least, most)
    rest[first[-2] :] = np.inf
    rest[end, low:] = 0.0
    for layer in range(len(order) - 1, -1, -1):
        kind = order[layer]
        for node in range(first[layer], first[layer + 1]):
            if not reached[node]:
                continue
            to = skip[node]
            if to >= 0 and least[kind] == 0 and not (must[layer] and not inside[node]):
                for households in range(high + 1):
                    rest[node, households] = rest[to, households]
            else:
                for households in range(high + 1):
                    rest[node, households] = np.inf
            to = take[node]
            if to < 0:
                continue
            for n in range(max(least[kind], 1), most[kind] + 1):
                more = n * weight[kind]
                for households in range(high + 1 - more):
                    whole = rest[to, households + more] + cost[kind, n]
                    rest[node, households] = min(rest[node, households], whole)


@njit(cache=True, nogil=True)
def _which_below(  # type: ignore[no-untyped-def]
    order,
    last,
    first,
    skip,
    take,
    inside,
    end,
    spot,
    weight,
    group,
    locked,
    count,
    walk_m,
    meets,
    mains,
    locks,
    may_hold,
    row_m,
    step_kind,
    step_rows,
    step_m,
    low,
    high,
    group_cost_m,
    below_m,
):
    """Whether some set of each pair within its limit holds each kind."""
    n_kinds = len(order)
    held = np.zeros((len(meets), n_kinds), np.bool_)
    rest, paid = np.empty((first[-1], high + 1)), np.empty((first[-1], high + 1))
    for pair in range(len(meets)):
        meet = meets[pair]
        away = walk_m[meet][spot] + group_cost_m * ((group >= 0) & (group != mains[pair]))
        cost, toll = _costs(weight * away - row_m, count, step_kind, step_rows, step_m[:, meet])
        least, most = _allowed(locked, count, locks[pair], may_hold[pair])
        must = last & (spot[order] == meet)
        _complete(rest, order, must, first, skip, take, inside, end, weight, cost, least, most, low)
        reached = _reached(order, must, first, skip, take, inside, least, most)
        below = below_m[pair] + toll
        paid[:] = np.inf
        paid[0, 0] = 0.0
        for layer in range(n_kinds):
            kind = order[layer]
            for node in range(first[layer], first[layer + 1]):
                if not reached[node]:
                    continue
                for n in range(least[kind], most[kind] + 1):
                    to = take[node] if n else skip[node]
                    if to < 0 or (n == 0 and must[layer] and not inside[node]):
                        continue
                    more = n * weight[kind]
                    for households in range(high + 1 - more):
                        whole = paid[node, households] + cost[kind, n]
                        paid[to, households + more] = min(paid[to, households + more], whole)
                        if n and whole + rest[to, households + more] <= below:
                            held[pair, kind] = True
    return held


@njit(cache=True, nogil=True)
def _list_below(  # type: ignore[no-untyped-def]
    order,
    last,
    first,
    skip,
    take,
    inside,
    end,
    spot,
    weight,
    group,
    locked,
    count,
    walk_m,
    meets,
    mains,
    locks,
    may_hold,
    row_m,
    step_kind,
    step_rows,
    step_m,
    low,
    high,
    group_cost_m,
    below_m,
    most_sets,
):
    """Pair and rows per kind of every set within its pair's limit, and how many; stops beyond the most."""
    n_kinds = len(order)
    found = 0
    pair_of = np.empty(most_sets, np.int64)
    rows_of = np.empty((most_sets, n_kinds), np.int16)
    rest = np.empty((first[-1], high + 1))
    taken = np.empty(n_kinds + 1, np.int64)
    node, households, paid = (
        np.zeros(n_kinds + 1, np.int64),
        np.zeros(n_kinds + 1, np.int64),
        np.zeros(n_kinds + 1),
    )
    for pair in range(len(meets)):
        meet = meets[pair]
        away = walk_m[meet][spot] + group_cost_m * ((group >= 0) & (group != mains[pair]))
        cost, toll = _costs(weight * away - row_m, count, step_kind, step_rows, step_m[:, meet])
        least, most = _allowed(locked, count, locks[pair], may_hold[pair])
        must = last & (spot[order] == meet)
        _complete(rest, order, must, first, skip, take, inside, end, weight, cost, least, most, low)
        below = below_m[pair] + toll
        if rest[0, 0] > below:
            continue
        layer = 0
        taken[0] = least[order[0]] - 1
        while layer >= 0:
            if layer == n_kinds:
                if found == most_sets:
                    return pair_of, rows_of, found + 1
                pair_of[found] = pair
                for at in range(n_kinds):
                    rows_of[found, order[at]] = taken[at]
                found += 1
                layer -= 1
                continue
            kind = order[layer]
            taken[layer] += 1
            n = taken[layer]
            if n > most[kind]:
                layer -= 1
                continue
            here = node[layer]
            to = take[here] if n else skip[here]
            after = households[layer] + n * weight[kind]
            if to < 0 or after > high or (n == 0 and must[layer] and not inside[here]):
                continue
            if paid[layer] + cost[kind, n] + rest[to, after] > below:
                continue
            node[layer + 1], households[layer + 1] = to, after
            paid[layer + 1] = paid[layer] + cost[kind, n]
            layer += 1
            if layer < n_kinds:
                taken[layer] = least[order[layer]] - 1
    return pair_of, rows_of, found
