"""A feasible start: random spanning trees, cut into grids by an exact programme on the tree.

The programme is a min-plus convolution over the size of the piece that is still open at each row
(G. N. Frederickson's tree partition by dynamic programming, with soft limits). A piece within
[low, high] costs (size − aim)² + price, one outside costs far more than any number of good pieces
can save; the price per piece is bisected until the number of pieces is the one asked for. Pieces
that stay outside the limits are cut anew on fresh trees in a growing region of neighbouring grids.
"""

# ruff: noqa: NPY002  (compiled code has the legacy random stream only)

from __future__ import annotations

import numpy as np
from numba import njit

from spatial.grids.problem import Ints, Sub
from spatial.grids.regions import Ground, Layout, Work, mend

__all__ = [
    "HOUSEHOLD_FAULT",
    "MISS_FAULT",
    "clashes",
    "fault_size",
    "random_tree",
    "recount",
    "start",
    "touching_grids",
    "whole_cut",
]

# Households in faulty grids come first, then how far these miss the limits, then the objective: each
# weighs more than anything after it can add up to.
HOUSEHOLD_FAULT = 1e9
MISS_FAULT = 1e6

_BISECTIONS = 14
_WIDEST_REGION = 11  # grids
_TREES_PER_REGION = 4
_SWEEPS = 2
_EXACT_WORK = 200_000  # steps of exact cuts, for what no tree mends
_EXACT_STEPS = 20_000  # for one neighbourhood


@njit(cache=True, nogil=True)
def random_tree(indptr, indices, locked, rows, n_rows, mark, draw):  # type: ignore[no-untyped-def]
    """Spanning tree, by random growth, of the first ``n_rows`` of ``rows``, which hang together.

    Rows of one lock hang together in the tree wherever they touch. ``mark`` is all 0 before and after.
    ``draw`` seeds the growth where it is 0 or more. Returns the rows in preorder, the preorder place of
    each one's parent (−1 at the root) and the place after the end of its subtree.
    """
    if draw >= 0:
        np.random.seed(draw)
    n_edges = 0
    for at in range(n_rows):
        mark[rows[at]] = 1
        n_edges += indptr[rows[at] + 1] - indptr[rows[at]]
    grown = np.empty(n_rows, np.int64)
    above = np.empty(n_rows, np.int64)  # place of the parent in `grown`
    edge_from = np.empty(n_edges, np.int64)
    edge_to = np.empty(n_edges, np.int64)
    free = 0
    n_grown = 1
    grown[0] = rows[np.random.randint(n_rows)]
    above[0] = -1
    mark[grown[0]] = 0
    opened = 0
    while True:
        while opened < n_grown:  # take in the lock of each new row before anything else
            row = grown[opened]
            for at in range(indptr[row], indptr[row + 1]):
                other = indices[at]
                if mark[other] == 0:
                    continue
                if locked[row] >= 0 and locked[other] == locked[row]:
                    mark[other] = 0
                    grown[n_grown] = other
                    above[n_grown] = opened
                    n_grown += 1
                else:
                    edge_from[free] = opened
                    edge_to[free] = other
                    free += 1
            opened += 1
        if n_grown == n_rows:
            break
        pick = np.random.randint(free)
        up = edge_from[pick]
        row = edge_to[pick]
        free -= 1
        edge_from[pick] = edge_from[free]
        edge_to[pick] = edge_to[free]
        if mark[row] == 1:
            mark[row] = 0
            grown[n_grown] = row
            above[n_grown] = up
            n_grown += 1
    size = np.ones(n_rows, np.int64)
    for at in range(n_rows - 1, 0, -1):
        size[above[at]] += size[at]
    place = np.zeros(n_rows, np.int64)
    next_free = np.ones(n_rows, np.int64)  # offset of the next child's subtree within its parent's
    order = np.empty(n_rows, np.int64)
    parent_place = np.empty(n_rows, np.int64)
    end = np.empty(n_rows, np.int64)
    for at in range(n_rows):
        if at > 0:
            up = above[at]
            place[at] = place[up] + next_free[up]
            next_free[up] += size[at]
            parent_place[place[at]] = place[up]
        else:
            parent_place[0] = -1
        order[place[at]] = grown[at]
        end[place[at]] = place[at] + size[at]
    return order, parent_place, end


@njit(cache=True, nogil=True)
def _cut_tree(order, parent, weight, locked, low, high, aim, price, cap):  # type: ignore[no-untyped-def]
    """Cheapest pieces of a tree given in preorder. Returns the piece of each place and their number.

    State of an open piece: its size, and whether it holds a lock (two never share one). Only a lock, which
    is never cut, makes a piece larger than ``cap``; it then counts as that size.
    """
    n = len(order)
    n_flags = 1
    for place in range(n):
        if locked[order[place]] >= 0:
            n_flags = 2
    closing = np.empty(cap + 1)
    for size in range(cap + 1):
        closing[size] = price + (size - aim) * (size - aim)
        miss = max(low - size, size - high)
        if miss > 0:
            closing[size] += HOUSEHOLD_FAULT * size + MISS_FAULT * miss
    best = np.full((n, n_flags, cap + 1), np.inf)
    choice = np.full((n, n_flags, cap + 1), np.int32(-1), np.int32)
    size_before = np.zeros((n, n_flags, cap + 1), np.int32)
    widest = np.empty(n, np.int64)
    for place in range(n):
        size = min(weight[order[place]], cap)
        best[place, 1 if locked[order[place]] >= 0 else 0, size] = 0.0
        widest[place] = size
    closed = np.empty(n)
    closed_flag = np.zeros(n, np.int64)
    closed_size = np.zeros(n, np.int64)
    merged = np.empty((n_flags, cap + 1))
    for place in range(n - 1, -1, -1):
        closed[place] = np.inf
        for flag in range(n_flags):
            for size in range(widest[place] + 1):
                value = best[place, flag, size] + closing[size]
                if value < closed[place]:
                    closed[place] = value
                    closed_flag[place] = flag
                    closed_size[place] = size
        if place == 0:
            break
        up = parent[place]
        one_lock = locked[order[place]] >= 0 and locked[order[place]] == locked[order[up]]
        reach = min(cap, widest[up] + widest[place])
        for flag in range(n_flags):
            for size in range(reach + 1):
                merged[flag, size] = np.inf
        for flag in range(n_flags):
            for size in range(widest[up] + 1):
                before = best[up, flag, size]
                if before == np.inf:
                    continue
                if not one_lock and before + closed[place] < merged[flag, size]:
                    merged[flag, size] = before + closed[place]
                    choice[place, flag, size] = -1
                for child_flag in range(n_flags):
                    if flag == 1 and child_flag == 1 and not one_lock:
                        continue
                    out_flag = max(flag, child_flag)
                    code = (2 * flag + child_flag) * (cap + 1)
                    most = widest[place] if one_lock else min(widest[place], cap - size)
                    for child_size in range(most + 1):
                        value = before + best[place, child_flag, child_size]
                        both = min(size + child_size, cap)
                        if value < merged[out_flag, both]:
                            merged[out_flag, both] = value
                            choice[place, out_flag, both] = code + child_size
                            size_before[place, out_flag, both] = size
        for flag in range(n_flags):
            for size in range(reach + 1):
                best[up, flag, size] = merged[flag, size]
        widest[up] = reach
    piece = np.zeros(n, np.int64)
    n_pieces = 1
    for place in range(1, n):
        up = parent[place]
        code = choice[place, closed_flag[up], closed_size[up]]
        size_up = size_before[place, closed_flag[up], closed_size[up]]
        if code < 0:
            piece[place] = n_pieces
            n_pieces += 1
            continue
        piece[place] = piece[up]
        flags = code // (cap + 1)
        closed_size[place] = code % (cap + 1)
        closed_flag[place] = flags % 2
        closed_size[up] = size_up
        closed_flag[up] = flags // 2
    return piece, n_pieces


@njit(cache=True, nogil=True)
def _cut_to_count(order, parent, weight, locked, low, high, K, bisections, cap):  # type: ignore[no-untyped-def]
    """Bisect the price per piece until ``_cut_tree`` cuts ``K`` pieces; the nearest count if it can't.

    ``K`` below 1 leaves the number free.
    """
    households = 0
    for place in range(len(order)):
        households += weight[order[place]]
    if K < 1:
        return _cut_tree(order, parent, weight, locked, low, high, (low + high) / 2, 0.0, cap)
    aim = households / K
    piece, count = _cut_tree(order, parent, weight, locked, low, high, aim, 0.0, cap)
    cheap, dear = -4.0 * cap * cap, 4.0 * cap * cap
    for _ in range(bisections):
        if count == K:
            break
        price = 0.5 * (cheap + dear)
        other, other_count = _cut_tree(order, parent, weight, locked, low, high, aim, price, cap)
        if other_count > K:
            cheap = price
        else:
            dear = price
        if abs(other_count - K) < abs(count - K):
            piece, count = other, other_count
    return piece, count


def start(
    sub: Sub, *, low: int, high: int, K: int, seed: int, tries: int, enough: int = 0, exact: bool = True
) -> Ints:
    """Cut a connected component into ``K`` grids in one piece each, within the limits if it can.

    Parameters
    ----------
    K : int
        Number of grids; 0 leaves it free and makes the households in faulty grids fewest.
    tries : int
        Whole trees that may be cut, and mended, before the best so far is returned.
    enough : int
        Households in faulty grids that no plan goes below: trees that leave no more end the search.
    exact : bool
        Mend by exact cuts what trees leave wrong: long work where something is wrong in every plan.

    Returns
    -------
    int64 (m,)
        Grid of each row, each in one piece; check :func:`fault_size` for what is still out of limits.
    """
    best: Ints | None = None
    for attempt in range(tries):
        grid = _whole_cut(sub, low, high, K, seed * 1009 + attempt)
        draw = seed * 1013 + 65537 * attempt
        grid = _mend_all(sub, grid, low, high, K, draw) if exact else _mend(sub, grid, low, high, draw)
        wrong_count = K > 0 and int(grid.max()) + 1 != K
        if best is None or (wrong_count, fault_size(sub, grid, low, high)) < (
            K > 0 and int(best.max()) + 1 != K,
            fault_size(sub, best, low, high),
        ):
            best = grid
        if not wrong_count and fault_size(sub, grid, low, high)[0] <= enough:
            break
    assert best is not None
    return best


def recount(sub: Sub, grid: Ints, *, low: int, high: int, K: int, seed: int) -> Ints:
    """Grids of a connected component, joined or halved until there are ``K``, and mended."""
    return _mend_all(sub, _fit_count(sub, grid, low, high, K, seed), low, high, K, seed)


def whole_cut(sub: Sub, *, low: int, high: int, seed: int) -> Ints:
    """Grids of a connected component from one tree, mended on others; what is wrong in them is left."""
    return _mend(sub, _whole_cut(sub, low, high, 0, seed), low, high, seed)


def fault_size(sub: Sub, grid: Ints, low: int, high: int) -> tuple[int, int]:
    """Households in faulty grids, and by how many households these miss the limits.

    A grid that holds two locks is faulty and misses by ``high`` for each lock too many.
    """
    return _fault_of(sub, np.arange(len(grid)), grid, low, high)


def _fault_of(sub: Sub, rows: Ints, grid: Ints, low: int, high: int) -> tuple[int, int]:
    households = np.bincount(grid, sub.weight[rows]).astype(np.int64)
    miss = np.maximum(np.maximum(low - households, households - high), 0)
    miss += high * _clashes(sub.locked[rows], grid)
    return int(households[miss > 0].sum()), int(miss.sum())


def clashes(sub: Sub, grid: Ints) -> Ints:
    """Locks beyond the first in each grid."""
    return _clashes(sub.locked, grid)


def _clashes(locked: Ints, grid: Ints) -> Ints:
    K = int(grid.max()) + 1
    held = locked >= 0
    if not held.any():
        return np.zeros(K, np.int64)
    pairs = np.unique(np.column_stack((grid[held], locked[held])), axis=0)
    return np.maximum(np.bincount(pairs[:, 0], minlength=K) - 1, 0)


def _cap(sub: Sub, low: int, high: int) -> int:
    """Largest size of an open piece; a row beyond it counts as that size and stays alone."""
    return int(min(max(1.4 * high, sub.weight.max() + low), 1200))


def _whole_cut(sub: Sub, low: int, high: int, K: int, draw: int) -> Ints:
    grid = _recut(sub, np.arange(len(sub.rows)), low, high, K, draw)
    return grid if K < 1 else _fit_count(sub, grid, low, high, K, draw)


def _recut(sub: Sub, rows: Ints, low: int, high: int, K: int, draw: int) -> Ints:
    """Grids 0, 1, … of ``rows`` (in one piece) on a fresh tree."""
    order, parent, _ = _tree(sub, rows, draw)
    piece, _ = _cut_to_count(
        order, parent, sub.weight, sub.locked, low, high, K, _BISECTIONS, _cap(sub, low, high)
    )
    out = np.empty(len(sub.rows), np.int64)
    out[order] = piece
    return out[rows]


def _tree(sub: Sub, rows: Ints, draw: int) -> tuple[Ints, Ints, Ints]:
    mark = np.zeros(len(sub.rows), np.int64)
    return random_tree(sub.indptr, sub.indices, sub.locked, rows, len(rows), mark, draw % 2**31)


def _fit_count(sub: Sub, grid: Ints, low: int, high: int, K: int, draw: int) -> Ints:
    """Join the lightest touching pairs, or halve the heaviest grids, until there are ``K``."""
    grid = grid.copy()
    while (surplus := int(grid.max()) + 1 - K) > 0:
        pairs = touching_grids(sub, grid)
        households = np.bincount(grid, sub.weight)
        new = np.arange(len(households))
        taken = np.zeros(len(households), bool)
        for keep, drop in pairs[np.argsort(households[pairs].sum(axis=1), kind="stable")]:
            if surplus and not taken[keep] and not taken[drop]:
                taken[[keep, drop]] = True
                new[drop] = keep
                surplus -= 1
        grid = np.unique(new[grid], return_inverse=True)[1]
    while (lack := K - int(grid.max()) - 1) > 0:
        n_grids = int(grid.max()) + 1
        households = np.where(np.bincount(grid) < 2, 0, np.bincount(grid, sub.weight))
        by_grid = np.argsort(grid, kind="stable")
        begin = np.searchsorted(grid[by_grid], np.arange(n_grids + 1))
        made = 0
        for each in np.argsort(-households, kind="stable")[: np.count_nonzero(households)]:
            if made == lack:
                break
            rows = by_grid[begin[each] : begin[each + 1]]
            half = _halved(sub, rows, low, high, draw)
            grid[rows[half > 0]] = n_grids + made
            made += int(half.max())
        if not made:
            break
    return grid


def _halved(sub: Sub, rows: Ints, low: int, high: int, draw: int) -> Ints:
    """Two grids of ``rows``; one if a lock forbids it."""
    half = _recut(sub, rows, low, high, 2, draw)
    if half.max() == 1:
        return half
    return _take_some_off(sub, rows, draw)  # the programme would rather not cut, or cut more


def _take_some_off(sub: Sub, rows: Ints, draw: int) -> Ints:
    """Two grids of ``rows``: a last branch of a random tree, and the rest; one grid if a lock forbids it."""
    order, parent, end = _tree(sub, rows, draw)
    for place in range(len(order) - 1, 0, -1):
        locks = sub.locked[order[place]], sub.locked[order[parent[place]]]
        if locks[0] < 0 or locks[0] != locks[1]:
            return np.isin(rows, order[place : end[place]]).astype(np.int64)
    return np.zeros(len(rows), np.int64)


def _mend_all(sub: Sub, grid: Ints, low: int, high: int, K: int, draw: int) -> Ints:
    """Mend on fresh trees, then by exact cuts what is still wrong; ``K`` above 0 keeps the number."""
    grid = _mend(sub, grid, low, high, draw)
    if not any(fault_size(sub, grid, low, high)):
        return grid
    layout = Layout(Ground.of(sub), grid, low, high)
    mend(layout, layout.wrong(), keep_count=K > 0, work=Work(_EXACT_WORK), most=_EXACT_STEPS)
    return layout.labels()


def _mend(sub: Sub, grid: Ints, low: int, high: int, draw: int) -> Ints:
    """Cut faulty grids anew together with 1, 2, … of their neighbours, the number of grids kept."""
    grid = grid.copy()
    rows = np.arange(len(grid))
    cap = _cap(sub, low, high)
    _mend_regions(sub.indptr, sub.indices, sub.weight, sub.locked, grid, rows, low, high, draw % 2**31, cap)
    return grid


@njit(cache=True, nogil=True)
def _mend_regions(indptr, indices, weight, locked, grid, rows, low, high, draw, cap):  # type: ignore[no-untyped-def]
    """Mend ``grid`` in place: regions of touching grids, grown at random, are cut anew on fresh trees.

    A new cut is taken where it leaves a smaller fault. Everything done for a region takes time in
    proportion to its rows.
    """
    np.random.seed(draw)
    n = len(grid)
    n_grids = 0
    for row in range(n):
        n_grids = max(n_grids, grid[row] + 1)
    widest = min(_WIDEST_REGION, n_grids)
    first = np.full(n_grids, -1, np.int64)  # a row of each grid
    after = np.full(n, -1, np.int64)  # the next row of the same grid
    for row in range(n - 1, -1, -1):
        after[row] = first[grid[row]]
        first[grid[row]] = row
    mark = np.zeros(n, np.int64)
    place = np.full(n_grids, -1, np.int64)  # of a grid in the region
    region = np.empty(widest, np.int64)
    faulty = np.empty(n_grids, np.int64)
    for _ in range(_SWEEPS):
        changed = False
        n_faulty = 0
        for each in range(n_grids):
            faulty[n_faulty] = each
            n_faulty += _grid_fault(each, first, after, weight, locked, low, high) > 0
        for width in range(2, widest + 1):
            for at in range(n_faulty):
                each = faulty[at]
                for _ in range(_TREES_PER_REGION):
                    fault = _grid_fault(each, first, after, weight, locked, low, high)
                    if fault == 0:
                        break
                    region[0] = each
                    place[each] = 0
                    n_region = 1
                    while n_region < width:
                        other = _some_neighbour(indptr, indices, grid, first, after, place, region, n_region)
                        if other < 0:
                            break
                        region[n_region] = other
                        place[other] = n_region
                        n_region += 1
                    n_rows = 0
                    before = 0.0
                    for which in range(n_region):
                        before += _grid_fault(region[which], first, after, weight, locked, low, high)
                        row = first[region[which]]
                        while row >= 0:
                            rows[n_rows] = row
                            n_rows += 1
                            row = after[row]
                    order, parent, _ = random_tree(indptr, indices, locked, rows, n_rows, mark, -1)
                    piece, count = _cut_to_count(
                        order, parent, weight, locked, low, high, n_region, _BISECTIONS, cap
                    )
                    if count == n_region:
                        _relink(order, piece, region, n_region, first, after)
                        left = 0.0
                        for which in range(n_region):
                            left += _grid_fault(region[which], first, after, weight, locked, low, high)
                        if left < before:
                            changed = True
                            for spot in range(n_rows):
                                grid[order[spot]] = region[piece[spot]]
                        else:
                            for spot in range(n_rows):
                                piece[spot] = place[grid[order[spot]]]
                            _relink(order, piece, region, n_region, first, after)
                    for which in range(n_region):
                        place[region[which]] = -1
        if not changed:
            break


@njit(cache=True, nogil=True)
def _grid_fault(each, first, after, weight, locked, low, high):  # type: ignore[no-untyped-def]
    """Households of a faulty grid, then by how many it misses the limits; 0 for a sound one."""
    households = 0
    n_locks = 0
    row = first[each]
    while row >= 0:
        households += weight[row]
        if locked[row] >= 0:
            n_locks += 1
            other = first[each]
            while other != row:
                if locked[other] == locked[row]:
                    n_locks -= 1
                    break
                other = after[other]
        row = after[row]
    miss = max(low - households, households - high, 0) + high * max(n_locks - 1, 0)
    return HOUSEHOLD_FAULT * households + MISS_FAULT * miss if miss > 0 else 0.0


@njit(cache=True, nogil=True)
def _some_neighbour(indptr, indices, grid, first, after, place, region, n_region):  # type: ignore[no-untyped-def]
    """A grid that touches the region, drawn by how often it does; −1 where there is none."""
    met = 0
    found = -1
    for which in range(n_region):
        row = first[region[which]]
        while row >= 0:
            for at in range(indptr[row], indptr[row + 1]):
                other = grid[indices[at]]
                if place[other] < 0:
                    met += 1
                    if np.random.randint(met) == 0:
                        found = other
            row = after[row]
    return found


@njit(cache=True, nogil=True)
def _relink(rows, piece, region, n_region, first, after):  # type: ignore[no-untyped-def]
    """Make each piece the rows of its grid of the region."""
    for which in range(n_region):
        first[region[which]] = -1
    for spot in range(len(rows) - 1, -1, -1):
        each = region[piece[spot]]
        after[rows[spot]] = first[each]
        first[each] = rows[spot]


def touching_grids(sub: Sub, grid: Ints) -> Ints:
    """Pairs of grids that touch, the lower first."""
    owner = np.repeat(grid, np.diff(sub.indptr))
    other = grid[sub.indices]
    return np.unique(np.column_stack((owner, other))[owner < other], axis=0)
