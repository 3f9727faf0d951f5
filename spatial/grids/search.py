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

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spatial.grids.problem import Ints, Sub
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
    return _anneal(
        sub.indptr,
        sub.indices,
        sub.weight,
        sub.group,
        sub.locked,
        land.near_indptr,
        land.near_indices,
        land.near_m,
        land.beyond_m,
        grid,
        K,
        low,
        high,
        float(group_cost_m),
        steps,
        _MERGE_SHARE,
        _HOT * heat,
        _COLD,
        seed % 2**31,
    )


@njit(cache=True, nogil=True)
def _fault_cost(households, n_clashes, low, high):  # type: ignore[no-untyped-def]
    miss = max(low - households, households - high, 0) + high * n_clashes
    return HOUSEHOLD_FAULT * households + MISS_FAULT * miss if miss > 0 else 0.0


@njit(cache=True, nogil=True)
def _stays_whole(row, home, indptr, indices, grid, seen, tick, stack):  # type: ignore[no-untyped-def]
    """Whether grid ``home`` stays in one piece, and not empty, without ``row``."""
    wanted = 0
    first = -1
    for at in range(indptr[row], indptr[row + 1]):
        if grid[indices[at]] == home:
            wanted += 1
            first = indices[at]
    if wanted <= 1:
        return wanted == 1
    seen[row] = tick
    seen[first] = tick
    stack[0] = first
    top = 1
    wanted -= 1
    near_row = 2 * tick + 1  # no other tick is odd and this large
    while top > 0:
        top -= 1
        here = stack[top]
        for at in range(indptr[here], indptr[here + 1]):
            other = indices[at]
            if grid[other] != home or seen[other] == tick:
                continue
            seen[other] = tick
            stack[top] = other
            top += 1
    for at in range(indptr[row], indptr[row + 1]):
        if grid[indices[at]] == home and seen[indices[at]] != tick:
            return False
    return near_row > 0


@njit(cache=True, nogil=True)
def _anneal(  # type: ignore[no-untyped-def]
    indptr,
    indices,
    weight,
    group,
    locked,
    near_indptr,
    near_indices,
    near_m,
    beyond_m,
    start,
    K,
    low,
    high,
    group_cost_m,
    steps,
    merge_share,
    hot,
    cold,
    seed,
):
    np.random.seed(seed)
    n = len(weight)
    grid = start.copy()
    n_groups = 1
    for row in range(n):
        n_groups = max(n_groups, group[row] + 1)
    # members of a grid as a doubly linked list
    head = np.full(K, -1, np.int64)
    after = np.full(n, -1, np.int64)
    before = np.full(n, -1, np.int64)
    n_rows = np.zeros(K, np.int64)
    households = np.zeros(K, np.int64)
    grouped = np.zeros(K, np.int64)
    in_group = np.zeros((K, n_groups), np.int64)
    for row in range(n):
        g = grid[row]
        after[row] = head[g]
        if head[g] >= 0:
            before[head[g]] = row
        head[g] = row
        n_rows[g] += 1
        households[g] += weight[row]
        if group[row] >= 0:
            in_group[g, group[row]] += weight[row]
            grouped[g] += weight[row]
    total = np.zeros(n)  # walk of the whole grid to this row, less beyond_m per household
    for row in range(n):
        for at in range(near_indptr[row], near_indptr[row + 1]):
            if grid[near_indices[at]] == grid[row]:
                total[row] += weight[near_indices[at]] * near_m[at]
    n_clashes = np.zeros(K, np.int64)
    lock_seen = np.full(max(1, locked.max() + 1), -1, np.int64)
    cost = np.zeros(K)
    mean_cost = 0.0
    for g in range(K):
        least = np.inf
        main = 0
        n_locks = 0
        row = head[g]
        while row >= 0:
            least = min(least, total[row])
            if group[row] >= 0:
                main = max(main, in_group[g, group[row]])
            if locked[row] >= 0 and lock_seen[locked[row]] != g:
                lock_seen[locked[row]] = g
                n_locks += 1
            row = after[row]
        n_clashes[g] = max(0, n_locks - 1)
        cost[g] = least + beyond_m * households[g] + group_cost_m * (grouped[g] - main)
        mean_cost += cost[g] / K
        cost[g] += _fault_cost(households[g], n_clashes[g], low, high)
    mean_cost = max(mean_cost, 1e-6)

    seen = np.zeros(n, np.int64)
    tick = 0
    stack = np.empty(n, np.int64)
    moved = np.zeros(n)  # change of `total` by a flip
    moved_tick = np.zeros(n, np.int64)
    mark = np.zeros(n, np.int64)
    local = np.full(n, -1, np.int64)
    room = 0  # rows a merge-split has room for
    prefix = np.empty((1, 1))
    group_prefix = np.empty((1, 1), np.int64)
    lock_prefix = np.empty(1, np.int64)
    union = np.empty(1, np.int64)
    cut_cost = np.empty(1)
    names = np.empty(1, np.int64)
    name_of = np.full(n_groups, -1, np.int64)

    for step in range(steps):
        temperature = mean_cost * hot * (cold / hot) ** (step / steps)
        row = -1
        other = -1
        for _ in range(_BORDER_DRAWS):
            row = np.random.randint(n)
            degree = indptr[row + 1] - indptr[row]
            if degree == 0:
                continue
            other = indices[indptr[row] + np.random.randint(degree)]
            if grid[other] != grid[row]:
                break
        if other < 0 or grid[other] == grid[row]:
            continue
        a = grid[row]
        b = grid[other]
        if np.random.random() >= merge_share:
            if locked[row] >= 0:
                continue
            w = weight[row]
            sound = cost[a] + cost[b] < HOUSEHOLD_FAULT
            if sound and (households[a] - w < low or households[b] + w > high):
                continue
            tick += 1
            if not _stays_whole(row, a, indptr, indices, grid, seen, tick, stack):
                continue
            own = 0.0  # total of `row` as a member of b
            for at in range(near_indptr[row], near_indptr[row + 1]):
                far = near_indices[at]
                if grid[far] == a or grid[far] == b:
                    moved[far] = w * near_m[at]
                    moved_tick[far] = tick
                    if grid[far] == b:
                        own += weight[far] * near_m[at]
            own -= w * beyond_m
            least_a = np.inf
            main_a = 0
            each = head[a]
            while each >= 0:
                if each != row:
                    value = total[each]
                    if moved_tick[each] == tick:
                        value -= moved[each]
                    least_a = min(least_a, value)
                    if group[each] >= 0:
                        count = in_group[a, group[each]]
                        if group[each] == group[row]:
                            count -= w
                        main_a = max(main_a, count)
                each = after[each]
            least_b = own
            main_b = 0
            if group[row] >= 0:
                main_b = in_group[b, group[row]] + w
            each = head[b]
            while each >= 0:
                value = total[each]
                if moved_tick[each] == tick:
                    value += moved[each]
                least_b = min(least_b, value)
                if group[each] >= 0:
                    main_b = max(main_b, in_group[b, group[each]])
                each = after[each]
            w_grouped = w if group[row] >= 0 else 0
            new_a = (
                least_a
                + beyond_m * (households[a] - w)
                + group_cost_m * (grouped[a] - w_grouped - main_a)
                + _fault_cost(households[a] - w, n_clashes[a], low, high)
            )
            new_b = (
                least_b
                + beyond_m * (households[b] + w)
                + group_cost_m * (grouped[b] + w_grouped - main_b)
                + _fault_cost(households[b] + w, n_clashes[b], low, high)
            )
            worse = new_a + new_b - cost[a] - cost[b]
            if worse > 0 and np.random.random() >= np.exp(-worse / temperature):
                continue
            each = head[a]
            while each >= 0:
                if moved_tick[each] == tick:
                    total[each] -= moved[each]
                each = after[each]
            each = head[b]
            while each >= 0:
                if moved_tick[each] == tick:
                    total[each] += moved[each]
                each = after[each]
            total[row] = own
            if before[row] >= 0:
                after[before[row]] = after[row]
            else:
                head[a] = after[row]
            if after[row] >= 0:
                before[after[row]] = before[row]
            before[row] = -1
            after[row] = head[b]
            before[head[b]] = row
            head[b] = row
            grid[row] = b
            n_rows[a] -= 1
            n_rows[b] += 1
            households[a] -= w
            households[b] += w
            grouped[a] -= w_grouped
            grouped[b] += w_grouped
            if group[row] >= 0:
                in_group[a, group[row]] -= w
                in_group[b, group[row]] += w
            cost[a] = new_a
            cost[b] = new_b
            continue

        m = n_rows[a] + n_rows[b]
        if m > room:
            room = 2 * m
            prefix = np.empty((room + 1, room))
            lock_prefix = np.empty(room + 1, np.int64)
            group_prefix = np.empty((room + 1, min(room, n_groups)), np.int64)
            union = np.empty(room, np.int64)
            cut_cost = np.empty(room)
            names = np.empty(min(room, n_groups), np.int64)
        place = 0
        n_names = 0
        for side in range(2):
            each = head[a] if side == 0 else head[b]
            while each >= 0:
                union[place] = each
                place += 1
                if group[each] >= 0 and name_of[group[each]] < 0:
                    name_of[group[each]] = n_names
                    names[n_names] = group[each]
                    n_names += 1
                each = after[each]
        order, parent, end = random_tree(indptr, indices, locked, union, m, mark, -1)
        for place in range(m):
            local[order[place]] = place
        weight_before = np.empty(m + 1, np.int64)
        weight_before[0] = 0
        lock_prefix[0] = 0
        for k in range(m):
            prefix[0, k] = 0.0
        for k in range(n_names):
            group_prefix[0, k] = 0
        for place in range(m):
            row = order[place]
            w = weight[row]
            weight_before[place + 1] = weight_before[place] + w
            for k in range(m):
                prefix[place + 1, k] = prefix[place, k]
            for at in range(near_indptr[row], near_indptr[row + 1]):
                k = local[near_indices[at]]
                if k >= 0:
                    prefix[place + 1, k] += w * near_m[at]
            for k in range(n_names):
                group_prefix[place + 1, k] = group_prefix[place, k]
            if group[row] >= 0:
                group_prefix[place + 1, name_of[group[row]]] += w
            new_lock = locked[row] >= 0 and (parent[place] < 0 or locked[order[parent[place]]] != locked[row])
            lock_prefix[place + 1] = lock_prefix[place] + (1 if new_lock else 0)
        for place in range(m):
            local[order[place]] = -1
        for k in range(n_names):
            name_of[names[k]] = -1

        old = cost[a] + cost[b]
        sound = old < HOUSEHOLD_FAULT
        both = weight_before[m]
        best_cut = np.inf
        for place in range(1, m):
            stop = end[place]
            inner = weight_before[stop] - weight_before[place]
            cut_cost[place] = np.inf
            if sound and (inner < low or inner > high or both - inner < low or both - inner > high):
                continue
            row = order[place]
            if locked[row] >= 0 and locked[row] == locked[order[parent[place]]]:
                continue
            least_in = np.inf
            least_out = np.inf
            for k in range(m):
                inside = prefix[stop, k] - prefix[place, k]
                if place <= k < stop:
                    least_in = min(least_in, inside)
                else:
                    least_out = min(least_out, prefix[m, k] - inside)
            main_in = 0
            main_out = 0
            every = 0
            for k in range(n_names):
                inside_group = group_prefix[stop, k] - group_prefix[place, k]
                main_in = max(main_in, inside_group)
                main_out = max(main_out, group_prefix[m, k] - inside_group)
                every += group_prefix[m, k]
            locks_in = lock_prefix[stop] - lock_prefix[place]
            locks_out = lock_prefix[m] - locks_in
            cut_cost[place] = (
                least_in
                + least_out
                + beyond_m * both
                + group_cost_m * (every - main_in - main_out)
                + _fault_cost(inner, max(0, locks_in - 1), low, high)
                + _fault_cost(both - inner, max(0, locks_out - 1), low, high)
            )
            best_cut = min(best_cut, cut_cost[place])
        if best_cut == np.inf:
            continue
        odds = 0.0
        for place in range(1, m):
            odds += np.exp((best_cut - cut_cost[place]) / temperature)
        draw = np.random.random() * odds
        cut = -1
        for place in range(1, m):
            chance = np.exp((best_cut - cut_cost[place]) / temperature)
            if chance > 0:
                cut = place
                draw -= chance
                if draw < 0:
                    break
        worse = cut_cost[cut] - old
        if worse > 0 and np.random.random() >= np.exp(-worse / temperature):
            continue
        stop = end[cut]
        for side in range(2):
            g = a if side == 0 else b
            for k in range(n_groups) if n_groups <= m else range(0):
                in_group[g, k] = 0
            if n_groups > m:
                each = head[g]
                while each >= 0:
                    if group[each] >= 0:
                        in_group[g, group[each]] = 0
                    each = after[each]
        for side in range(2):
            g = a if side == 0 else b
            head[g] = -1
            n_rows[g] = 0
            households[g] = 0
            grouped[g] = 0
        least_a = np.inf
        least_b = np.inf
        for place in range(m):
            row = order[place]
            within = cut <= place < stop
            g = b if within else a
            inside = prefix[stop, place] - prefix[cut, place]
            total[row] = inside if within else prefix[m, place] - inside
            if within:
                least_b = min(least_b, total[row])
            else:
                least_a = min(least_a, total[row])
            grid[row] = g
            before[row] = -1
            after[row] = head[g]
            if head[g] >= 0:
                before[head[g]] = row
            head[g] = row
            n_rows[g] += 1
            households[g] += weight[row]
            if group[row] >= 0:
                in_group[g, group[row]] += weight[row]
                grouped[g] += weight[row]
        locks_in = lock_prefix[stop] - lock_prefix[cut]
        n_clashes[b] = max(0, locks_in - 1)
        n_clashes[a] = max(0, lock_prefix[m] - locks_in - 1)
        for side in range(2):
            g = a if side == 0 else b
            main = 0
            each = head[g]
            while each >= 0:
                if group[each] >= 0:
                    main = max(main, in_group[g, group[each]])
                each = after[each]
            least = least_a if side == 0 else least_b
            cost[g] = (
                least
                + beyond_m * households[g]
                + group_cost_m * (grouped[g] - main)
                + _fault_cost(households[g], n_clashes[g], low, high)
            )
    return grid
