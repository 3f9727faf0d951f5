"""Covering: the most weight for a number of sites, or the fewest sites for a weight.

Rows that the same free sites cover are one row with their weights added, so the exact stretches of
a network cost the solver little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from spatial.errors import InfeasibleError
from spatial.settings import Effort
from spatial.solve.annealing import Covering, annealed_along, with_number
from spatial.solve.cover_prices import bounds_along
from spatial.solve.program import Program, relaxed_along, solve_program
from spatial.solve.reduce import reduced_cover
from spatial.solve.sides import Sides
from spatial.solve.solution import Solution, gap_between, solution_of

__all__ = [
    "cover_bound",
    "cover_curve",
    "cover_limits",
    "cover_order",
    "covered",
    "first_in_order",
    "max_cover",
    "merged_rows",
    "set_cover",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


SAME_WEIGHT = 1e-6  # a weight short of the target by less has reached it
SAME_SHARE = 1e-10  # of the value: what adding up loses
ENOUGH = 0.0005  # a share by which a point of a curve may fall short of its bound without a search
FEW_SHARED = 150  # sites in shares, among which the best are sought
MANY_SHARED, MANY_SHARE = 600, 0.02  # sites in shares, and of all: with more, the relaxation is left
# Points that fall short by a share, and the rounds there and back.
ANNEALED = ((0.001, 6), (0.0015, 16), (0.0018, 48), (0.0019, 200))
MANY_SITES = 10_000  # with more, the search begins with what the relaxation takes whole
WHOLE = 1e-6  # a share of a site nearer to 0 or 1 is whole


def max_cover(
    covers: sparse.csr_array,
    weight: ArrayLike,
    *,
    n: int,
    fixed: BoolArray | None = None,
    barred: BoolArray | None = None,
    sides: Sides | None = None,
    enough: float = 0.0,
    effort: Effort = "normal",
    seed: int = 1,
) -> Solution:
    """Choose at most ``n`` sites besides the fixed ones that cover the most weight.

    Maximal covering location [1]_.

    Parameters
    ----------
    covers : csr_array of bool, shape (m, k)
        True where site j covers row i.
    weight : (m,) array, not negative
    n : int
        Most sites to add to ``fixed``.
    fixed, barred : (k,) array of bool
        Sites that always count, and sites that never do.
    sides : Sides, optional
        What else the choice must keep to.
    enough : float
        A gap at which the search may rest. 0: only a proven optimum is enough.
    effort, seed
        See :func:`spatial.solve.program.solve_program`.

    Returns
    -------
    Solution
        ``value`` and ``bound`` are covered weight; ``duals`` is a price per row from 0 to its weight, with
        which :func:`cover_bound` gives the bound of the relaxation anew; ``side_duals`` is a price per unit
        of each of the ``sides``, below 0 for a least use: what a site uses of it comes off its worth.

    References
    ----------
    .. [1] R. Church and C. ReVelle, "The maximal covering location problem", Papers of the Regional
       Science Association 32, 1974, pp. 101-118.
    """
    weight = np.asarray(weight, dtype=np.float64)
    sides = Sides.none(covers.shape[1]) if sides is None else sides
    task = _task(covers, weight, fixed, barred, sides)
    start = None
    if len(task.sites) > MANY_SITES and np.isneginf(sides.least).all():
        point = cover_curve(
            covers, weight, numbers=np.array([n]), fixed=fixed, barred=barred, sides=sides, seed=seed
        )[0]
        picked = point.chosen[task.sites]
        start = np.append(picked, covered(task.rows, picked)).astype(np.float64)
    return _max_cover(covers, weight, task, sides, n, start=start, enough=enough, effort=effort, seed=seed)


def _max_cover(
    covers: sparse.csr_array,
    weight: FloatArray,
    task: _Task,
    sides: Sides,
    n: int,
    *,
    start: FloatArray | None = None,
    enough: float = 0.0,
    effort: Effort = "normal",
    seed: int,
) -> Solution:
    n_rows, n_sites = task.rows.shape
    answer = solve_program(
        _most(task, sides, n), effort=effort, seed=seed, enough=enough, start=start, by_blocks=True
    )
    chosen = task.fixed.copy()
    chosen[task.sites] = answer.x[:n_sites] > 0.5
    value = float(weight[covered(covers, chosen)].sum())
    return solution_of(
        answer,
        chosen,
        value=value,
        sense="max",
        constant=float(weight[task.done].sum()),
        duals=_row_prices(task, weight, -answer.duals[:n_rows]),
        side_duals=_side_prices(task, sides, answer.duals[n_rows + 1 :]),
    )


def cover_curve(
    covers: sparse.csr_array,
    weight: ArrayLike,
    *,
    numbers: IntArray,
    fixed: BoolArray | None = None,
    barred: BoolArray | None = None,
    sides: Sides | None = None,
    seed: int = 1,
) -> list[Solution]:
    """The most weight for one number of sites after another, each with its bound.

    The relaxation goes from the greatest number to the least, each time from where it was. What it takes
    whole is taken; of the sites it takes in shares those that add most, and where that falls short of the
    bound and they are few the best are sought. Where they are many the bounds come from
    :mod:`spatial.solve.cover_prices`. Choices that still fall short are bettered by
    :mod:`spatial.solve.annealing`, unless something else must be kept to.

    Parameters
    ----------
    covers, weight, fixed, barred, seed
        As for :func:`max_cover`.
    numbers : (q,) array of int, growing
    sides : Sides, optional
        What else every choice must keep to; fewer sites must not break it.

    Returns
    -------
    list of Solution
        In the order of ``numbers``; ``duals`` prove each bound as those of :func:`max_cover`, where nothing
        else must be kept to.
    """
    weight = np.asarray(weight, dtype=np.float64)
    sides = Sides.none(covers.shape[1]) if sides is None else sides
    task = _task(covers, weight, fixed, barred, sides)
    points = list(_along(covers, weight, task, sides, numbers, seed))[::-1]
    already = float(weight[task.done].sum())
    if not len(sides.left(task.sites, task.fixed).most):
        points = _bettered(task, numbers, points, already=already, seed=seed)
    found = []
    for point in points:
        chosen = task.fixed.copy()
        chosen[task.sites] |= point.picked
        value = float(weight[covered(covers, chosen)].sum())
        bound = already + point.bound
        bound = value if bound - value <= SAME_SHARE * value else bound
        gap = gap_between(value, bound, sense="max")
        duals = _row_prices(task, weight, point.price)
        found.append(Solution(chosen, value, bound, gap, "LP duals", stopped=False, duals=duals))
    return found


@dataclass(frozen=True)
class _Point:
    """A choice among the free sites, and a bound on the weight that such choices cover besides."""

    picked: BoolArray
    bound: float  # infinite: not known
    price: FloatArray  # per merged row, from 0 to its weight: proves the bound


def _along(
    covers: sparse.csr_array, weight: FloatArray, task: _Task, sides: Sides, numbers: IntArray, seed: int
) -> Iterator[_Point]:
    """Choices by the relaxation, from the greatest number to the least.

    It takes too long where sites are so dense that it takes many in shares: the points behind such a one are
    left open.
    """
    n_rows, n_sites = task.rows.shape
    covering, limits = Covering.of(task.rows, task.weight), np.minimum(numbers, n_sites)[::-1]
    program, n_sides = _most(task, sides, int(limits[0])), len(sides.left(task.sites, task.fixed).most)
    along = relaxed_along(program, limits.astype(np.float64), row=n_rows, seed=seed)
    all_of_it, done = float(task.weight.sum()), float(weight[task.done].sum())
    picked, many = np.zeros(n_sites, dtype=bool), False
    for n in limits.tolist():
        if many:
            picked = with_number(covering, picked, min(n, int(picked.sum())))
            full = covering.value(picked) >= all_of_it * (1 - SAME_SHARE)
            bound = all_of_it if full else np.inf if n else 0.0
            yield _Point(picked, bound, np.zeros(n_rows) if full else task.weight)
            continue
        relaxed = next(along)
        taken, shared = (np.zeros(covers.shape[1], dtype=bool) for _ in range(2))
        taken[task.sites] = relaxed.x[:n_sites] > 1 - WHOLE
        shared[task.sites] = (relaxed.x[:n_sites] > WHOLE) & ~taken[task.sites]
        chosen, left = task.fixed | taken, n - int(taken.sum())
        bound = done - relaxed.bound
        if shared.any():
            chosen = _filled(covers, weight, chosen, shared, sides, left)
        short = bound - float(weight[covered(covers, chosen)].sum())
        if 0 < shared.sum() <= FEW_SHARED and short > ENOUGH * bound:
            rest = _task(covers, weight, task.fixed | taken, ~shared, sides)
            better = _max_cover(covers, weight, rest, sides, left, effort="quick", seed=seed).chosen
            chosen = max(chosen, better, key=lambda each: float(weight[covered(covers, each)].sum()))
        many = n_sides == 0 and shared.sum() > max(MANY_SHARED, MANY_SHARE * n_sites)
        picked = (chosen & ~task.fixed)[task.sites]
        yield _Point(picked, -relaxed.bound, np.clip(-relaxed.duals[:n_rows], 0.0, task.weight))


def _bettered(
    task: _Task, numbers: IntArray, points: list[_Point], *, already: float, seed: int
) -> list[_Point]:
    """The points: bounds where there are none, and choices that fall short of them annealed."""
    covering = Covering.of(task.rows, task.weight)
    points, numbers = points.copy(), np.minimum(numbers, len(task.sites))
    unknown = [at for at, each in enumerate(points) if np.isinf(each.bound)]
    if unknown:
        bounds, prices = bounds_along(task.rows, task.weight, numbers[unknown])
        for at, bound, price in zip(unknown, bounds.tolist(), prices, strict=True):
            points[at] = replace(points[at], bound=bound, price=price)
    bound = np.array([each.bound for each in points])
    slope = _slopes(numbers, bound)
    choices = [each.picked for each in points]
    for share, rounds in ANNEALED:
        enough = (1 - share) * (already + bound) - already
        short = [at for at, each in enumerate(choices) if covering.value(each) < enough[at]]
        few = [choices[at] for at in short]
        better = annealed_along(
            covering, few, numbers[short], price=slope[short], enough=enough[short], rounds=rounds, seed=seed
        )
        for at, picked in zip(short, better, strict=True):
            choices[at] = picked
    return [replace(each, picked=picked) for each, picked in zip(points, choices, strict=True)]


def _slopes(numbers: IntArray, bound: FloatArray) -> FloatArray:
    """What one site more or less is worth about: how steep the bounds are there."""
    n, first, at = np.unique(numbers, return_index=True, return_inverse=True)
    return np.gradient(bound[first], n)[at] if len(n) > 1 else np.zeros(len(numbers))


def _filled(
    covers: sparse.csr_array, weight: FloatArray, chosen: BoolArray, shared: BoolArray, sides: Sides, n: int
) -> BoolArray:
    """A choice and up to ``n`` more sites, the one that adds most next, as long as the sides are kept."""
    done = covered(covers, chosen)
    order, _ = cover_order(covers, np.where(done, 0.0, weight), among=shared)
    out = chosen.copy()
    for site in order.tolist():
        if n == 0:
            break
        out[site] = True
        if sides.kept(out):
            n -= 1
        else:
            out[site] = False
    return out


def _most(task: _Task, sides: Sides, n: int) -> Program:
    """The most weight for ``n`` sites; the number is the first row behind those of the task."""
    n_rows, n_sites = task.rows.shape
    side = sides.left(task.sites, task.fixed)
    count = Sides.at_most(sparse.csr_array(np.ones((1, n_sites))), np.array([float(n)])).and_(side)
    return Program(
        cost=np.concatenate([np.zeros(n_sites), -task.weight]),
        matrix=count.beside(sparse.hstack([-task.rows, sparse.eye_array(n_rows)])),
        row_lower=np.append(np.full(n_rows, -np.inf), count.least),
        row_upper=np.append(np.zeros(n_rows), count.most),
        integer=np.arange(n_sites + n_rows) < n_sites,
    )


def set_cover(
    covers: sparse.csr_array,
    weight: ArrayLike,
    *,
    target: float | None = None,
    fixed: BoolArray | None = None,
    barred: BoolArray | None = None,
    sides: Sides | None = None,
    effort: Effort = "normal",
    seed: int = 1,
) -> Solution:
    """Choose the fewest sites besides the fixed ones that cover a weight of at least ``target``.

    Parameters
    ----------
    covers, weight, fixed, barred, sides, effort, seed
        As for :func:`max_cover`.
    target : float, optional
        Weight to reach, to within a millionth. None: all that any site that is not barred covers.

    Returns
    -------
    Solution
        ``value`` and ``bound`` count the sites chosen besides the fixed ones. ``duals`` is a price per row,
        and behind the last of them one per weight reached, 0 where all must be covered: their sum, or with
        a target what it falls short of the weight at the latter, bounds the number where no site's rows
        cost more than 1; what they cost more comes off. ``side_duals`` as for :func:`max_cover`.

    Raises
    ------
    InfeasibleError
        All sites together do not reach the target, or none that keep to ``sides`` do.
    """
    weight = np.asarray(weight, dtype=np.float64)
    sides = Sides.none(covers.shape[1]) if sides is None else sides
    task = _task(covers, weight, fixed, barred, sides)
    already = float(weight[task.done].sum())
    most = already + float(task.weight.sum())
    if target is not None and target > most + SAME_WEIGHT:
        raise InfeasibleError(f"a weight of {target:g} is asked for, but all sites together cover {most:g}")
    side = sides.left(task.sites, task.fixed)
    rows, sites, taken, row = task.rows, task.sites, task.fixed.copy(), np.arange(task.rows.shape[0])
    price = np.zeros(len(row))
    part = target is not None and target < most - SAME_WEIGHT
    if not part and not len(side.most):
        rest = reduced_cover(task.rows)
        taken[task.sites[rest.taken]] = True
        rows, sites, row = rest.rows, task.sites[rest.sites], rest.row
        price[rest.sure] = 1.0
        side = Sides.none(len(sites))
    n_rows, n_sites = rows.shape
    matrix, least, cost = rows, np.ones(n_rows), np.ones(n_sites)
    if target is not None and part:
        reach = sparse.csr_array(np.append(np.zeros(n_sites), task.weight)[None])
        matrix = sparse.vstack([sparse.hstack([rows, -sparse.eye_array(n_rows)]), reach], format="csr")
        least = np.append(np.zeros(n_rows), target - already)
        cost = np.append(cost, np.zeros(n_rows))
    program = Program(
        cost=cost,
        matrix=side.beside(sparse.csr_array(matrix, dtype=np.float64)),
        row_lower=np.append(least, side.least),
        row_upper=np.append(np.full(len(least), np.inf), side.most),
        integer=np.arange(len(cost)) < n_sites,
    )
    answer = solve_program(program, effort=effort, seed=seed, whole_costs=True, by_blocks=True)
    chosen = taken.copy()
    chosen[sites] = answer.x[:n_sites] > 0.5
    price[row] = answer.duals[:n_rows]
    per_weight = float(answer.duals[n_rows]) if part else 0.0
    return solution_of(
        answer,
        chosen,
        value=float(chosen.sum() - task.fixed.sum()),
        constant=float(taken.sum() - task.fixed.sum()),
        duals=np.append(_shared_out(task, weight, price), per_weight),
        side_duals=_side_prices(task, sides, answer.duals[len(least) :]),
    )


def covered(covers: sparse.csr_array, chosen: BoolArray) -> BoolArray:
    """Rows that at least one chosen site covers."""
    return covers @ chosen.astype(np.float64) > 0


def within(cost: sparse.csr_array, limit: float) -> sparse.csr_array:
    """Stored pairs that cost at most ``limit``, as a covering; zeros count."""
    near = cost.data <= limit
    indptr = np.concatenate([[0], np.cumsum(near)])[cost.indptr]
    return sparse.csr_array((np.ones(int(near.sum()), dtype=bool), cost.indices[near], indptr), cost.shape)


def cover_bound(
    covers: sparse.csr_array,
    weight: FloatArray,
    price: FloatArray,
    *,
    n: int,
    fixed: BoolArray,
    barred: BoolArray,
) -> float:
    """No ``n`` sites besides the fixed ones cover more than this, whatever the prices from 0 to the weight.

    Every row is worth ``weight - price`` for nothing, and a site the prices of its rows; the fixed sites
    and the ``n`` best others are taken.
    """
    worth = covers.T @ price
    free = np.sort(worth[~fixed & ~barred])[::-1]
    return float((weight - price).sum() + worth[fixed].sum() + free[:n].sum())


def cover_limits(
    covers: sparse.csr_array,
    weight: FloatArray,
    price: FloatArray,
    *,
    n: int,
    least: float,
    fixed: BoolArray,
    barred: BoolArray,
) -> tuple[BoolArray, BoolArray]:
    """Which sites every choice that covers ``least`` contains, and which none contains.

    A site is ruled out if swapping it for the last of the n best pushes :func:`cover_bound` below
    ``least``, and is sure if swapping it for the best of the others does.
    """
    bound = cover_bound(covers, weight, price, n=n, fixed=fixed, barred=barred)
    worth = covers.T @ price
    free = ~fixed & ~barred
    ranked = np.sort(worth[free])[::-1]
    if n >= len(ranked):
        return fixed, barred
    last_in, first_out = (ranked[n - 1] if n else np.inf), ranked[n]
    slack = bound - least + SAME_WEIGHT
    return fixed | (free & (worth - first_out > slack)), barred | (free & (last_in - worth > slack))


def cover_order(
    covers: sparse.csr_array,
    weight: FloatArray,
    *,
    among: BoolArray,
    near: sparse.csr_array | None = None,
) -> tuple[IntArray, FloatArray]:
    """The given sites in greedy order, the one that adds the most weight next, and what each adds.

    ``near`` (k, k), symmetric, says which sites exclude each other: of two that do, the later is left out.

    Of equal sites the first goes first. Every prefix of the order covers at least 63 % of the best for
    its number [1]_, in practice nearly all of it.

    References
    ----------
    .. [1] G. L. Nemhauser, L. A. Wolsey and M. L. Fisher, "An analysis of approximations for maximizing
       submodular set functions", Mathematical Programming 14, 1978, pp. 265-294.
    """
    sites = np.flatnonzero(among)
    rows = sparse.csr_array(covers[weight > 0][:, sites])
    columns = sparse.csc_array(rows)
    others = sparse.csr_array((len(sites),) * 2) if near is None else sparse.csr_array(near[sites][:, sites])
    order = _greedy(
        rows.indptr.astype(np.int64),
        rows.indices.astype(np.int64),
        columns.indptr.astype(np.int64),
        columns.indices.astype(np.int64),
        weight[weight > 0],
        others.indptr.astype(np.int64),
        others.indices.astype(np.int64),
    )
    by = first_in_order(rows, order)
    gain = np.bincount(by, weight[weight > 0], minlength=len(order) + 1)[:-1]
    return sites[order].astype(np.int64), gain.astype(np.float64)


def first_in_order(covers: sparse.csr_array, order: IntArray) -> IntArray:
    """The place in an order of the first site that covers each row; the order's length where none does."""
    place = np.full(covers.shape[1], len(order))
    place[order] = np.arange(len(order))
    row = np.repeat(np.arange(covers.shape[0]), np.diff(covers.indptr))
    by = np.full(covers.shape[0], len(order))
    np.minimum.at(by, row, place[covers.indices])
    return by


def merged_rows(covers: sparse.csr_array) -> tuple[IntArray, IntArray]:
    """Group equal rows: the group of each row, and one row of each group, in order of first appearance.

    Rows are told apart by two 64-bit sums of random numbers of their sites; two different rows are taken
    for one with a probability below 1e-25.
    """
    random = np.random.default_rng(20261122)
    keys = random.integers(1, 2**63, size=(2, covers.shape[1]), dtype=np.uint64)
    row = np.repeat(np.arange(covers.shape[0]), np.diff(covers.indptr))
    sums = np.zeros((2, covers.shape[0]), dtype=np.uint64)
    for total, key in zip(sums, keys, strict=True):
        np.add.at(total, row, key[covers.indices])
    _, first, group = np.unique(sums, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[group], first[order]


@dataclass(frozen=True)
class _Task:
    """What is left to decide once fixed and barred sites are settled."""

    rows: sparse.csr_array  # (r, s) merged rows over the free sites
    weight: FloatArray  # (r,)
    row: IntArray  # per row of the input: its merged row, −1 where nothing is left to decide
    done: BoolArray  # per row of the input: covered by a fixed site
    sites: IntArray  # the free sites that cover something or are needed for something else
    fixed: BoolArray


def _task(
    covers: sparse.csr_array,
    weight: FloatArray,
    fixed: BoolArray | None,
    barred: BoolArray | None,
    sides: Sides,
) -> _Task:
    n_sites = covers.shape[1]
    fixed = np.zeros(n_sites, dtype=bool) if fixed is None else fixed
    barred = np.zeros(n_sites, dtype=bool) if barred is None else barred
    done = covered(covers, fixed)
    open_rows = np.flatnonzero(~done & (weight > 0))
    left = covers[open_rows]
    reaches = np.bincount(left.indices, minlength=n_sites) > 0
    sites = np.flatnonzero((reaches | sides.needed) & ~fixed & ~barred)
    left = sparse.csr_array(left[:, sites], dtype=np.float64)
    coverable = np.diff(left.indptr) > 0
    left, open_rows = left[coverable], open_rows[coverable]
    group, first = merged_rows(left)
    row = np.full(len(weight), -1)
    row[open_rows] = group
    return _Task(
        rows=left[first],
        weight=np.bincount(group, weight[open_rows], minlength=len(first)).astype(np.float64),
        row=row,
        done=done,
        sites=sites,
        fixed=fixed,
    )


def _row_prices(task: _Task, weight: FloatArray, price: FloatArray) -> FloatArray:
    """Prices of merged rows shared out over their members; a row that nothing covers is priced away."""
    share = np.clip(price / task.weight, 0.0, 1.0) if len(price) else price
    shares = np.where(task.done, 0.0, 1.0)
    shares[task.row >= 0] = share[task.row[task.row >= 0]]
    return weight * shares


def _shared_out(task: _Task, weight: FloatArray, price: FloatArray) -> FloatArray:
    """Prices of merged rows shared out over their members by weight."""
    on = task.row >= 0
    shares = np.zeros(len(weight))
    shares[on] = (price / task.weight)[task.row[on]]
    return weight * shares


def _side_prices(task: _Task, sides: Sides, duals: FloatArray) -> FloatArray:
    """What a unit of each of the sides costs; nothing where no choice can break it."""
    prices = np.zeros(len(sides.most))
    prices[sides.binding(task.sites, task.fixed)] = -duals
    return prices


@njit(cache=True)
def _greedy(
    indptr: IntArray,
    indices: IntArray,
    site_indptr: IntArray,
    site_rows: IntArray,
    weight: FloatArray,
    near_indptr: IntArray,
    near: IntArray,
) -> IntArray:
    """Gains only fall, so the top of a heap whose gain is still the same is the best of all."""
    n_sites = len(site_indptr) - 1
    gain = np.zeros(n_sites)
    for j in range(n_sites):
        for e in range(site_indptr[j], site_indptr[j + 1]):
            gain[j] += weight[site_rows[e]]
    heap = [(-gain[j], j) for j in range(n_sites)]
    heapify(heap)
    done = np.zeros(len(weight), np.bool_)
    out = np.zeros(n_sites, np.bool_)
    order = np.empty(n_sites, np.int64)
    n_order = 0
    while len(heap) > 0:
        key, best = heappop(heap)
        if out[best]:
            continue
        if gain[best] < -key:
            heappush(heap, (-gain[best], best))
            continue
        order[n_order] = best
        n_order += 1
        out[best] = True
        for e in range(near_indptr[best], near_indptr[best + 1]):
            out[near[e]] = True
        for e in range(site_indptr[best], site_indptr[best + 1]):
            i = site_rows[e]
            if not done[i]:
                done[i] = True
                for f in range(indptr[i], indptr[i + 1]):
                    gain[indices[f]] = max(gain[indices[f]] - weight[i], 0.0)
    return order[:n_order]
