"""Better grids by local search: simulated annealing over flips and merge-splits at a fixed number.

A *flip* gives one row at a border to the grid across it. A *merge-split* joins two neighbouring
grids, draws a random spanning tree of both and cuts it at one edge: every cut is scored exactly
through prefix sums along the preorder, and one is drawn with the noise of the temperature
(recombination after D. DeFord, M. Duchin and J. Solomon, Harvard Data Science Review 3.1, 2021, with
an objective in place of their distribution). Broken limits are part of the cost, weighed as in
:mod:`spatial.grids.trees`, so that faulty parts improve by the same moves.

One random stream per start, seeded inside the kernel: plans do not depend on threads.
"""

# ruff: noqa: NPY002  (compiled code has the legacy random stream only)

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spatial.grids.problem import Floats, Ints, Sub
from spatial.grids.trees import HOUSEHOLD_FAULT, MISS_FAULT, random_tree

__all__ = ["Landscape", "Terms", "anneal", "grid_costs", "landscape"]

_BORDER_DRAWS = 64  # draws of a row before a step gives up on meeting a border
_HOT, _COLD = 0.4, 0.002  # temperature over the mean cost of a grid
_MERGE_SHARE = 0.1


class Terms(NamedTuple):
    """What a grid costs."""

    low: int
    high: int
    group_cost_m: float


@dataclass(frozen=True)
class Landscape:
    """A component as the kernel reads it: walks between all pairs of its m rows."""

    sub: Sub
    walk_m: NDArray[np.float32]  # (m, m), absent pairs at twice the radius as in ``score``


def landscape(sub: Sub) -> Landscape:
    """Walks of a component of a few thousand rows at most: memory grows with the square."""
    m = len(sub.rows)
    walk_m = np.full((m, m), 2.0 * float(sub.near_m.max(initial=0.0)), np.float32)
    walk_m[np.repeat(np.arange(m), np.diff(sub.near_indptr)), sub.near_indices] = sub.near_m
    return Landscape(sub, walk_m)


def anneal(
    land: Landscape,
    grid: Ints,
    terms: Terms,
    *,
    steps: int,
    seed: int,
    heat: float = 1.0,
) -> Ints:
    """Anneal ``grid`` for a number of steps; ``heat`` scales the first temperature.

    Grids stay non-empty, in one piece and as many as they were. What is returned is the state at the
    end of cooling.
    """
    K = int(grid.max()) + 1
    if K < 2:
        return grid.copy()
    return _anneal(_net(land), terms, grid, K, steps, _HOT * heat, _COLD, seed % 2**31)


def grid_costs(land: Landscape, grid: Ints, terms: Terms) -> Floats:
    """What each grid costs, broken limits included."""
    return _state_of(_net(land), terms, grid, int(grid.max()) + 1).cost


def _net(land: Landscape) -> _Net:
    sub = land.sub
    return _Net(sub.indptr, sub.indices, sub.weight, sub.group, sub.locked, land.walk_m)


class _Net(NamedTuple):
    """What stays the same: rows, who touches whom, walks."""

    indptr: Ints
    indices: Ints
    weight: Ints
    group: Ints
    locked: Ints
    walk_m: NDArray[np.float32]


class _State(NamedTuple):
    """Grids as they are: members of each as a linked list, and sums per grid."""

    grid: Ints
    first: Ints  # a member of each grid
    after: Ints  # the next member, −1 at the end
    before: Ints
    households: Ints
    grouped: Ints  # households that have a group
    in_group: Ints  # (K, groups) households
    clashes: Ints  # locks beyond the first
    n_rows: Ints
    cost: Floats
    total: Floats  # per row: walk of its grid to it


@njit(cache=True, nogil=True)
def _anneal(net, terms, start, K, steps, hot, cold, seed):  # type: ignore[no-untyped-def]
    np.random.seed(seed)
    n = len(net.weight)
    state = _state_of(net, terms, start, K)
    mean_cost = 0.0
    for g in range(K):
        mean_cost += state.cost[g] % MISS_FAULT / K  # faults are multiples of it
    seen = np.zeros(n, np.int64)
    stack = np.empty(n, np.int64)
    mark = np.zeros(n, np.int64)
    local = np.full(max(n, state.in_group.shape[1]), -1, np.int64)
    for step in range(steps):
        temperature = max(mean_cost, 1e-6) * hot * (cold / hot) ** (step / steps)
        row, other = _draw_border(net, state.grid)
        if row < 0:
            continue
        if np.random.random() >= _MERGE_SHARE:
            _flip(net, terms, state, row, state.grid[other], temperature, step, seen, stack)
        else:
            _merge_split(net, terms, state, state.grid[row], state.grid[other], temperature, mark, local)
    return state.grid


@njit(cache=True, nogil=True)
def _state_of(net, terms, start, K):  # type: ignore[no-untyped-def]
    n = len(net.weight)
    n_groups = max(net.group.max() + 1, 1)
    state = _State(
        start.copy(),
        np.full(K, -1, np.int64),
        np.full(n, -1, np.int64),
        np.full(n, -1, np.int64),
        np.zeros(K, np.int64),
        np.zeros(K, np.int64),
        np.zeros((K, n_groups), np.int64),
        np.zeros(K, np.int64),
        np.zeros(K, np.int64),
        np.zeros(K),
        np.zeros(n),
    )
    lock_at = np.full(max(net.locked.max() + 1, 1), -1, np.int64)
    n_locks = np.zeros(K, np.int64)
    for row in range(n):
        g = start[row]
        _put_in(net, state, row, g)
        if net.locked[row] >= 0 and lock_at[net.locked[row]] < 0:
            lock_at[net.locked[row]] = g
            n_locks[g] += 1
    for row in range(n):
        _count_total(net, state, row)
    for g in range(K):
        state.clashes[g] = max(0, n_locks[g] - 1)
        state.cost[g] = _cost(net, terms, state, g)
    return state


@njit(cache=True, nogil=True)
def _count_total(net, state, row):  # type: ignore[no-untyped-def]
    """The walk of the row's grid to it."""
    total = 0.0
    each = state.first[state.grid[row]]
    while each >= 0:
        total += net.weight[each] * net.walk_m[row, each]
        each = state.after[each]
    state.total[row] = total


@njit(cache=True, nogil=True)
def _put_in(net, state, row, g):  # type: ignore[no-untyped-def]
    state.grid[row] = g
    state.before[row] = -1
    state.after[row] = state.first[g]
    if state.first[g] >= 0:
        state.before[state.first[g]] = row
    state.first[g] = row
    state.n_rows[g] += 1
    state.households[g] += net.weight[row]
    if net.group[row] >= 0:
        state.grouped[g] += net.weight[row]
        state.in_group[g, net.group[row]] += net.weight[row]


@njit(cache=True, nogil=True)
def _take_out(net, state, row, g):  # type: ignore[no-untyped-def]
    if state.before[row] >= 0:
        state.after[state.before[row]] = state.after[row]
    else:
        state.first[g] = state.after[row]
    if state.after[row] >= 0:
        state.before[state.after[row]] = state.before[row]
    state.n_rows[g] -= 1
    state.households[g] -= net.weight[row]
    if net.group[row] >= 0:
        state.grouped[g] -= net.weight[row]
        state.in_group[g, net.group[row]] -= net.weight[row]


@njit(cache=True, nogil=True)
def _worth(terms, least, households, outside, clashes):  # type: ignore[no-untyped-def]
    """Cost of a grid from its least total and its sums; broken limits weigh more than all else."""
    cost = least + terms.group_cost_m * outside
    miss = max(terms.low - households, households - terms.high, 0) + terms.high * clashes
    return cost + (HOUSEHOLD_FAULT * households + MISS_FAULT * miss if miss > 0 else 0.0)


@njit(cache=True, nogil=True)
def _cost(net, terms, state, g):  # type: ignore[no-untyped-def]
    least = np.inf
    main = 0
    row = state.first[g]
    while row >= 0:
        least = min(least, state.total[row])
        if net.group[row] >= 0:
            main = max(main, state.in_group[g, net.group[row]])
        row = state.after[row]
    return _worth(terms, least, state.households[g], state.grouped[g] - main, state.clashes[g])


@njit(cache=True, nogil=True)
def _draw_border(net, grid):  # type: ignore[no-untyped-def]
    """Two touching rows of different grids; −1, −1 where none was met."""
    for _ in range(_BORDER_DRAWS):
        row = np.random.randint(len(grid))
        degree = net.indptr[row + 1] - net.indptr[row]
        if degree == 0:
            continue
        other = net.indices[net.indptr[row] + np.random.randint(degree)]
        if grid[other] != grid[row]:
            return row, other
    return -1, -1


@njit(cache=True, nogil=True)
def _accept(worse, temperature):  # type: ignore[no-untyped-def]
    return worse <= 0 or np.random.random() < np.exp(-worse / temperature)


@njit(cache=True, nogil=True)
def _stays_whole(net, grid, row, seen, now, stack):  # type: ignore[no-untyped-def]
    """Whether the grid of ``row`` stays in one piece, and not empty, without it."""
    home = grid[row]
    first = -1
    n_beside = 0
    for at in range(net.indptr[row], net.indptr[row + 1]):
        if grid[net.indices[at]] == home:
            first = net.indices[at]
            n_beside += 1
    if n_beside <= 1:
        return n_beside == 1
    seen[row] = now
    seen[first] = now
    stack[0] = first
    top = 1
    while top > 0:
        top -= 1
        here = stack[top]
        for at in range(net.indptr[here], net.indptr[here + 1]):
            other = net.indices[at]
            if grid[other] == home and seen[other] != now:
                seen[other] = now
                stack[top] = other
                top += 1
    for at in range(net.indptr[row], net.indptr[row + 1]):
        if grid[net.indices[at]] == home and seen[net.indices[at]] != now:
            return False
    return True


@njit(cache=True, nogil=True)
def _flip(net, terms, state, row, b, temperature, step, seen, stack):  # type: ignore[no-untyped-def]
    """Give ``row`` to grid ``b`` if that keeps its grid whole and the noise allows it."""
    a = state.grid[row]
    w = net.weight[row]
    sound = state.cost[a] + state.cost[b] < HOUSEHOLD_FAULT
    breaks = state.households[a] - w < terms.low or state.households[b] + w > terms.high
    if net.locked[row] >= 0 or (sound and breaks):
        return
    if not _stays_whole(net, state.grid, row, seen, step + 1, stack):
        return
    walk_m = net.walk_m[row]
    least_a = np.inf
    each = state.first[a]
    while each >= 0:
        if each != row:
            least_a = min(least_a, state.total[each] - w * walk_m[each])
        each = state.after[each]
    own = 0.0
    least_b = np.inf
    each = state.first[b]
    while each >= 0:
        own += net.weight[each] * walk_m[each]
        least_b = min(least_b, state.total[each] + w * walk_m[each])
        each = state.after[each]
    outside_a = 0
    outside_b = 0
    if terms.group_cost_m > 0:
        outside_a = _outside_with(state, a, net.group[row], -w)
        outside_b = _outside_with(state, b, net.group[row], w)
    new_a = _worth(terms, least_a, state.households[a] - w, outside_a, state.clashes[a])
    new_b = _worth(terms, min(least_b, own), state.households[b] + w, outside_b, state.clashes[b])
    if not _accept(new_a + new_b - state.cost[a] - state.cost[b], temperature):
        return
    _take_out(net, state, row, a)
    each = state.first[a]
    while each >= 0:
        state.total[each] -= w * walk_m[each]
        each = state.after[each]
    each = state.first[b]
    while each >= 0:
        state.total[each] += w * walk_m[each]
        each = state.after[each]
    _put_in(net, state, row, b)
    state.total[row] = own
    state.cost[a] = new_a
    state.cost[b] = new_b


@njit(cache=True, nogil=True)
def _outside_with(state, g, group, gain):  # type: ignore[no-untyped-def]
    """Households outside the main group of grid ``g`` once ``group`` has gained some there."""
    grouped = state.grouped[g]
    if group >= 0:
        state.in_group[g, group] += gain
        grouped += gain
    main = state.in_group[g].max()
    if group >= 0:
        state.in_group[g, group] -= gain
    return grouped - main


@njit(cache=True, nogil=True)
def _merge_split(net, terms, state, a, b, temperature, mark, local):  # type: ignore[no-untyped-def]
    """Join two grids, cut a random tree of both in two, keep the cut if the noise allows it."""
    rows, n_rows = _members(state, a, b)
    order, parent, end = random_tree(net.indptr, net.indices, net.locked, rows, n_rows, mark, np.int64(-1))
    old = state.cost[a] + state.cost[b]
    households, lock = _sums_before(net, order, parent)
    cuts = _allowed_cuts(net, terms, order, parent, end, households, old < HOUSEHOLD_FAULT)
    if len(cuts) == 0:
        return
    walk, every = _walks_of_cuts(net, order, end, cuts)
    group, every_group = _groups_of_cuts(net, order, end, cuts, local)
    cut_cost = np.empty(len(cuts))
    for at in range(len(cuts)):
        place = cuts[at]
        cut_cost[at] = _cut_cost(
            terms, walk[at], every, group[at], every_group, place, end[place], households, lock
        )
    at = _draw_cut(cut_cost, temperature)
    if not _accept(cut_cost[at] - old, temperature):
        return
    cut = cuts[at]
    stop = end[cut]
    for place in range(n_rows):
        _take_out(net, state, rows[place], state.grid[rows[place]])
    for place in range(n_rows):
        within = cut <= place < stop
        _put_in(net, state, order[place], b if within else a)
        state.total[order[place]] = walk[at, place] if within else every[place] - walk[at, place]
    locks_in = lock[stop] - lock[cut]
    state.clashes[a] = max(0, lock[n_rows] - locks_in - 1)
    state.clashes[b] = max(0, locks_in - 1)
    state.cost[a] = _cost(net, terms, state, a)
    state.cost[b] = _cost(net, terms, state, b)


@njit(cache=True, nogil=True)
def _members(state, a, b):  # type: ignore[no-untyped-def]
    """Rows of two grids, and their number."""
    n_rows = state.n_rows[a] + state.n_rows[b]
    rows = np.empty(n_rows, np.int64)
    place = 0
    for g in (a, b):
        row = state.first[g]
        while row >= 0:
            rows[place] = row
            place += 1
            row = state.after[row]
    return rows, n_rows


@njit(cache=True, nogil=True)
def _sums_before(net, order, parent):  # type: ignore[no-untyped-def]
    """Households and locks before each place of the preorder: those of a subtree are a difference."""
    m = len(order)
    households = np.zeros(m + 1, np.int64)
    lock = np.zeros(m + 1, np.int64)
    for place in range(m):
        row = order[place]
        label = net.locked[row]
        new_lock = label >= 0 and (parent[place] < 0 or net.locked[order[parent[place]]] != label)
        lock[place + 1] = lock[place] + (1 if new_lock else 0)
        households[place + 1] = households[place] + net.weight[row]
    return households, lock


@njit(cache=True, nogil=True)
def _allowed_cuts(net, terms, order, parent, end, households, sound):  # type: ignore[no-untyped-def]
    """Places whose subtree may be cut off: never through a lock nor, if ``sound``, to break a limit."""
    m = len(order)
    cuts = np.empty(m, np.int64)
    n_cuts = 0
    for place in range(1, m):
        label = net.locked[order[place]]
        if label >= 0 and label == net.locked[order[parent[place]]]:
            continue
        inner = households[end[place]] - households[place]
        outer = households[m] - inner
        if sound and (min(inner, outer) < terms.low or max(inner, outer) > terms.high):
            continue
        cuts[n_cuts] = place
        n_cuts += 1
    return cuts[:n_cuts]


@njit(cache=True, nogil=True)
def _walks_of_cuts(net, order, end, cuts):  # type: ignore[no-untyped-def]
    """Walk of each cut's subtree, and of all rows, to each row."""
    m = len(order)
    between_m = np.empty((m, m), np.float32)  # walks are looked up once a pair: they lie far apart in memory
    for place in range(m):
        walk_m = net.walk_m[order[place]]
        for k in range(place + 1):
            between_m[place, k] = walk_m[order[k]]
            between_m[k, place] = between_m[place, k]
    walk = np.zeros((len(cuts), m))
    every = np.zeros(m)
    for place in range(m):
        for at in range(len(cuts)):
            if cuts[at] == place:
                walk[at] -= every
            elif end[cuts[at]] == place:
                walk[at] += every
        w = float(net.weight[order[place]])
        for k in range(m):
            every[k] += w * between_m[place, k]
    for at in range(len(cuts)):
        if end[cuts[at]] == m:
            walk[at] += every
    return walk, every


@njit(cache=True, nogil=True)
def _groups_of_cuts(net, order, end, cuts, local):  # type: ignore[no-untyped-def]
    """Households in each group of each cut's subtree, and of all rows. ``local`` as for the walks."""
    m = len(order)
    names = np.empty(m, np.int64)
    n_names = 0
    for place in range(m):
        g = net.group[order[place]]
        if g >= 0 and local[g] < 0:
            local[g] = n_names
            names[n_names] = g
            n_names += 1
    inside = np.zeros((len(cuts), n_names), np.int64)
    every = np.zeros(n_names, np.int64)
    for place in range(m):
        g = net.group[order[place]]
        if g < 0:
            continue
        every[local[g]] += net.weight[order[place]]
        for at in range(len(cuts)):
            if cuts[at] <= place < end[cuts[at]]:
                inside[at, local[g]] += net.weight[order[place]]
    for k in range(n_names):
        local[names[k]] = -1
    return inside, every


@njit(cache=True, nogil=True)
def _cut_cost(terms, walk, every, group, every_group, place, stop, households, lock):  # type: ignore[no-untyped-def]
    """Cost of the two grids when the subtree ``place`` to ``stop`` is cut off."""
    m = len(walk)
    least_in = np.inf
    least_out = np.inf
    for k in range(place):
        least_out = min(least_out, every[k] - walk[k])
    for k in range(place, stop):
        least_in = min(least_in, walk[k])
    for k in range(stop, m):
        least_out = min(least_out, every[k] - walk[k])
    main_in = 0
    main_out = 0
    grouped_in = 0
    grouped_out = 0
    for k in range(len(group)):
        outside = every_group[k] - group[k]
        main_in = max(main_in, group[k])
        main_out = max(main_out, outside)
        grouped_in += group[k]
        grouped_out += outside
    inner = households[stop] - households[place]
    outer = households[m] - inner
    locks_in = lock[stop] - lock[place]
    return _worth(terms, least_in, inner, grouped_in - main_in, max(0, locks_in - 1)) + _worth(
        terms, least_out, outer, grouped_out - main_out, max(0, lock[m] - locks_in - 1)
    )


@njit(cache=True, nogil=True)
def _draw_cut(cut_cost, temperature):  # type: ignore[no-untyped-def]
    """One of the cuts, with a chance that falls with its cost over the temperature."""
    best = cut_cost.min()
    odds = np.exp((best - cut_cost) / temperature)
    draw = np.random.random() * odds.sum()
    cut = -1
    for at in range(len(cut_cost)):
        if odds[at] > 0:
            cut = at
            draw -= odds[at]
            if draw < 0:
                break
    return cut
