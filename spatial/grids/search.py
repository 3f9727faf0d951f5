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

__all__ = ["Landscape", "anneal", "landscape"]

_BORDER_DRAWS = 64  # draws of a row before a step gives up on meeting a border
_HOT, _COLD = 0.4, 0.002  # temperature over the mean cost of a grid
_MERGE_SHARE = 0.2


@dataclass(frozen=True)
class Landscape:
    """A component as the kernel reads it: each row's walks cut off after the nearest ones."""

    sub: Sub
    near_indptr: Ints
    near_indices: NDArray[np.int32]
    near_m: NDArray[np.float32]  # walk minus ``beyond_m``, so that absent pairs add nothing
    beyond_m: float


def landscape(sub: Sub, *, reach_households: int) -> Landscape:
    """Keep the pairs among which one row is within the nearest ``reach_households`` of the other."""
    owner = np.repeat(np.arange(len(sub.rows)), np.diff(sub.near_indptr))
    by_walk = np.lexsort((sub.near_indices, sub.near_m, owner))
    households = np.cumsum(sub.weight[sub.near_indices[by_walk]])
    before = np.concatenate(([0], households))[sub.near_indptr[:-1]]
    kept = np.zeros(len(owner), bool)
    kept[by_walk] = households - before[owner] <= reach_households
    kept |= kept[_mirror(sub, owner)]
    counts = np.bincount(owner[kept], minlength=len(sub.rows))
    beyond_m = float(sub.near_m.max(initial=1.0))
    return Landscape(
        sub,
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        sub.near_indices[kept].astype(np.int32),
        (sub.near_m[kept] - beyond_m).astype(np.float32),
        beyond_m,
    )


def _mirror(sub: Sub, owner: Ints) -> Ints:
    """Where the pair (j, i) stands for each pair (i, j)."""
    out = np.empty(len(owner), np.int64)
    out[np.lexsort((sub.near_indices, owner))] = np.lexsort((owner, sub.near_indices))
    return out


def anneal(
    land: Landscape,
    grid: Ints,
    *,
    low: int,
    high: int,
    group_cost_m: float,
    steps: int,
    seed: int,
    heat: float = 1.0,
) -> Ints:
    """Anneal ``grid`` for a number of steps; ``heat`` scales the first temperature.

    Grids stay non-empty, in one piece and as many as they were. What is returned is the state at the
    end of cooling.
    """
    sub = land.sub
    K = int(grid.max()) + 1
    if K < 2:
        return grid.copy()
    net = _Net(
        sub.indptr,
        sub.indices,
        sub.weight,
        sub.group,
        sub.locked,
        land.near_indptr,
        land.near_indices,
        land.near_m,
    )
    terms = _Terms(low, high, float(group_cost_m), land.beyond_m)
    return _anneal(net, terms, grid, K, steps, _HOT * heat, _COLD, seed % 2**31)


class _Net(NamedTuple):
    """What stays the same: rows, who touches whom, walks less ``beyond_m``."""

    indptr: Ints
    indices: Ints
    weight: Ints
    group: Ints
    locked: Ints
    near_indptr: Ints
    near_indices: NDArray[np.int32]
    near_m: NDArray[np.float32]


class _Terms(NamedTuple):
    """What a grid costs."""

    low: int
    high: int
    group_cost_m: float
    beyond_m: float


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
    cost: Floats
    total: Floats  # per row: walk of its grid to it, less beyond_m per household


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
    moved = np.zeros(n)
    moved_at = np.full(n, -1, np.int64)
    mark = np.zeros(n, np.int64)
    local = np.full(max(n, state.in_group.shape[1]), -1, np.int64)
    for step in range(steps):
        temperature = max(mean_cost, 1e-6) * hot * (cold / hot) ** (step / steps)
        row, other = _draw_border(net, state.grid)
        if row < 0:
            continue
        if np.random.random() >= _MERGE_SHARE:
            _flip(net, terms, state, row, state.grid[other], temperature, step, seen, stack, moved, moved_at)
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
        np.zeros(K),
        np.zeros(n),
    )
    lock_at = np.full(max(net.locked.max() + 1, 1), -1, np.int64)
    n_locks = np.zeros(K, np.int64)
    for row in range(n):
        g = start[row]
        _put_in(net, state, row, g)
        for at in range(net.near_indptr[row], net.near_indptr[row + 1]):
            if start[net.near_indices[at]] == g:
                state.total[row] += net.weight[net.near_indices[at]] * net.near_m[at]
        if net.locked[row] >= 0 and lock_at[net.locked[row]] < 0:
            lock_at[net.locked[row]] = g
            n_locks[g] += 1
    for g in range(K):
        state.clashes[g] = max(0, n_locks[g] - 1)
        state.cost[g] = _cost(net, terms, state, g)
    return state


@njit(cache=True, nogil=True)
def _put_in(net, state, row, g):  # type: ignore[no-untyped-def]
    state.grid[row] = g
    state.before[row] = -1
    state.after[row] = state.first[g]
    if state.first[g] >= 0:
        state.before[state.first[g]] = row
    state.first[g] = row
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
    state.households[g] -= net.weight[row]
    if net.group[row] >= 0:
        state.grouped[g] -= net.weight[row]
        state.in_group[g, net.group[row]] -= net.weight[row]


@njit(cache=True, nogil=True)
def _worth(terms, least, households, outside, clashes):  # type: ignore[no-untyped-def]
    """Cost of a grid from its least total and its sums; broken limits weigh more than all else."""
    cost = least + terms.beyond_m * households + terms.group_cost_m * outside
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
def _flip(net, terms, state, row, b, temperature, step, seen, stack, moved, moved_at):  # type: ignore[no-untyped-def]
    """Give ``row`` to grid ``b`` if that keeps its grid whole and the noise allows it.

    ``moved`` is what the flip adds to or takes from the totals of rows near ``row``.
    """
    a = state.grid[row]
    w = net.weight[row]
    sound = state.cost[a] + state.cost[b] < HOUSEHOLD_FAULT
    breaks = state.households[a] - w < terms.low or state.households[b] + w > terms.high
    if net.locked[row] >= 0 or (sound and breaks):
        return
    if not _stays_whole(net, state.grid, row, seen, step + 1, stack):
        return
    own = -w * terms.beyond_m  # total of `row` as a member of b
    for at in range(net.near_indptr[row], net.near_indptr[row + 1]):
        other = net.near_indices[at]
        if state.grid[other] == a or state.grid[other] == b:
            moved[other] = w * net.near_m[at]
            moved_at[other] = step
            if state.grid[other] == b:
                own += net.weight[other] * net.near_m[at]
    grouped = w if net.group[row] >= 0 else 0
    least, main = _least_with(net, state, a, row, -w, own, step, moved, moved_at)
    new_a = _worth(terms, least, state.households[a] - w, state.grouped[a] - grouped - main, state.clashes[a])
    least, main = _least_with(net, state, b, row, w, own, step, moved, moved_at)
    new_b = _worth(terms, least, state.households[b] + w, state.grouped[b] + grouped - main, state.clashes[b])
    if not _accept(new_a + new_b - state.cost[a] - state.cost[b], temperature):
        return
    _take_out(net, state, row, a)
    for g in (a, b):
        sign = -1.0 if g == a else 1.0
        each = state.first[g]
        while each >= 0:
            if moved_at[each] == step:
                state.total[each] += sign * moved[each]
            each = state.after[each]
    _put_in(net, state, row, b)
    state.total[row] = own
    state.cost[a] = new_a
    state.cost[b] = new_b


@njit(cache=True, nogil=True)
def _least_with(net, state, g, row, gain, own, step, moved, moved_at):  # type: ignore[no-untyped-def]
    """Least total and main group of grid ``g`` once it has gained ``gain`` (negative: lost) by ``row``."""
    least = own if gain > 0 else np.inf
    main = 0
    if gain > 0 and net.group[row] >= 0:
        main = state.in_group[g, net.group[row]] + gain
    sign = 1.0 if gain > 0 else -1.0
    each = state.first[g]
    while each >= 0:
        if each != row:
            value = state.total[each]
            if moved_at[each] == step:
                value += sign * moved[each]
            least = min(least, value)
            if net.group[each] >= 0:
                count = state.in_group[g, net.group[each]]
                main = max(main, count + gain if net.group[each] == net.group[row] else count)
        each = state.after[each]
    return least, main


@njit(cache=True, nogil=True)
def _merge_split(net, terms, state, a, b, temperature, mark, local):  # type: ignore[no-untyped-def]
    """Join two grids, cut a random tree of both in two, keep the cut if the noise allows it."""
    rows, n_rows = _members(state, a, b)
    order, parent, end = random_tree(net.indptr, net.indices, net.locked, rows, n_rows, mark, np.int64(-1))
    walk, group, lock, households = _prefix_sums(net, order, parent, local)
    old = state.cost[a] + state.cost[b]
    sound = old < HOUSEHOLD_FAULT
    cut_cost = np.full(n_rows, np.inf)
    for place in range(1, n_rows):
        row = order[place]
        if net.locked[row] < 0 or net.locked[row] != net.locked[order[parent[place]]]:
            cut_cost[place] = _cut_cost(terms, walk, group, lock, households, place, end[place], sound)
    cut = _draw_cut(cut_cost, temperature)
    if cut < 0 or not _accept(cut_cost[cut] - old, temperature):
        return
    for at in range(n_rows):
        _take_out(net, state, rows[at], state.grid[rows[at]])
    stop = end[cut]
    for place in range(n_rows):
        row = order[place]
        inside = walk[stop, place] - walk[cut, place]
        within = cut <= place < stop
        state.total[row] = inside if within else walk[n_rows, place] - inside
        _put_in(net, state, row, b if within else a)
    locks_in = lock[stop] - lock[cut]
    state.clashes[a] = max(0, lock[n_rows] - locks_in - 1)
    state.clashes[b] = max(0, locks_in - 1)
    state.cost[a] = _cost(net, terms, state, a)
    state.cost[b] = _cost(net, terms, state, b)


@njit(cache=True, nogil=True)
def _members(state, a, b):  # type: ignore[no-untyped-def]
    """Rows of two grids, and their number."""
    n_rows = 0
    for g in (a, b):
        row = state.first[g]
        while row >= 0:
            n_rows += 1
            row = state.after[row]
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
def _prefix_sums(net, order, parent, local):  # type: ignore[no-untyped-def]
    """Sums over the rows before each place of the preorder: any subtree is a difference of two.

    Walk to each row, households in each group, locks, households. ``local`` is all −1 before and after.
    """
    m = len(order)
    names = np.empty(m, np.int64)
    group_at = np.full(m, -1, np.int64)
    n_names = 0
    for place in range(m):
        g = net.group[order[place]]
        if g >= 0 and local[g] < 0:
            local[g] = n_names
            names[n_names] = g
            n_names += 1
        if g >= 0:
            group_at[place] = local[g]
    for k in range(n_names):
        local[names[k]] = -1
    for place in range(m):
        local[order[place]] = place
    walk = np.zeros((m + 1, m))
    group = np.zeros((m + 1, n_names), np.int64)
    lock = np.zeros(m + 1, np.int64)
    households = np.zeros(m + 1, np.int64)
    for place in range(m):
        row = order[place]
        w = net.weight[row]
        for k in range(m):
            walk[place + 1, k] = walk[place, k]
        for at in range(net.near_indptr[row], net.near_indptr[row + 1]):
            k = local[net.near_indices[at]]
            if k >= 0:
                walk[place + 1, k] += w * net.near_m[at]
        for k in range(n_names):
            group[place + 1, k] = group[place, k]
        if group_at[place] >= 0:
            group[place + 1, group_at[place]] += w
        label = net.locked[row]
        new_lock = label >= 0 and (parent[place] < 0 or net.locked[order[parent[place]]] != label)
        lock[place + 1] = lock[place] + (1 if new_lock else 0)
        households[place + 1] = households[place] + w
    for place in range(m):
        local[order[place]] = -1
    return walk, group, lock, households


@njit(cache=True, nogil=True)
def _cut_cost(terms, walk, group, lock, households, place, stop, sound):  # type: ignore[no-untyped-def]
    """Cost of the two grids when the subtree ``place`` to ``stop`` is cut off.

    Infinite where that would break a limit that is kept now (``sound``).
    """
    m = walk.shape[1]
    inner = households[stop] - households[place]
    outer = households[m] - inner
    if sound and (min(inner, outer) < terms.low or max(inner, outer) > terms.high):
        return np.inf
    least_in = np.inf
    least_out = np.inf
    for k in range(m):
        inside = walk[stop, k] - walk[place, k]
        if place <= k < stop:
            least_in = min(least_in, inside)
        else:
            least_out = min(least_out, walk[m, k] - inside)
    main_in = 0
    main_out = 0
    grouped_in = 0
    grouped_out = 0
    for k in range(group.shape[1]):
        inside_group = group[stop, k] - group[place, k]
        outside_group = group[m, k] - inside_group
        main_in = max(main_in, inside_group)
        main_out = max(main_out, outside_group)
        grouped_in += inside_group
        grouped_out += outside_group
    locks_in = lock[stop] - lock[place]
    return _worth(terms, least_in, inner, grouped_in - main_in, max(0, locks_in - 1)) + _worth(
        terms, least_out, outer, grouped_out - main_out, max(0, lock[m] - locks_in - 1)
    )


@njit(cache=True, nogil=True)
def _draw_cut(cut_cost, temperature):  # type: ignore[no-untyped-def]
    """A place with a chance that falls with its cost over the temperature; −1 where no cut is allowed."""
    best = cut_cost.min()
    if best == np.inf:
        return -1
    odds = 0.0
    for place in range(len(cut_cost)):
        odds += np.exp((best - cut_cost[place]) / temperature)
    draw = np.random.random() * odds
    cut = -1
    for place in range(len(cut_cost)):
        chance = np.exp((best - cut_cost[place]) / temperature)
        if chance > 0:
            cut = place
            draw -= chance
            if draw < 0:
                break
    return cut
