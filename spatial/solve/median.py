"""The p-median: sites with the least total walk, and how many must have one within a distance.

Three steps, each on what the one before leaves:

1. Greedy start and swaps give a choice.
2. A Lagrangian bound, by subgradient on the prices of the assignment [1]_, and with it the sites that
   no better choice can use.
3. Branch and bound on the sites, by the same prices; where that does not get on and what is left is small
   enough, the exact programme over nested distances: a variable says that none of somebody's nearest sites
   is chosen, and weighs the step to the next one. Equal sets of nearest sites are one variable. Only the
   nearest few are modelled; whoever ends beyond them gets more.

References
----------
.. [1] G. Cornuéjols, M. L. Fisher and G. L. Nemhauser, "Location of bank accounts to optimize float",
   Management Science 23, 1977, pp. 789-810.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from spatial.errors import InfeasibleError
from spatial.settings import Effort
from spatial.solve.branching import Lists, branched
from spatial.solve.cover import max_cover, within
from spatial.solve.program import Program, solve_program, solver_name
from spatial.solve.sides import Sides
from spatial.solve.solution import Solution, gap_between
from spatial.solve.swaps import improved_by_swaps

__all__ = ["p_median"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ROUNDS: dict[Effort, int] = {"quick": 200, "normal": 600, "thorough": 2000}  # of the subgradient
ENTRIES: dict[Effort, int] = {
    "quick": 120_000,
    "normal": 600_000,
    "thorough": 1_500_000,
}  # of the exact programme
WIDENINGS = 12
LOOK = 1.3  # the exact programme begins with the sites within so many times a row's price
PATIENCE = 20  # rounds without gain before the step is halved
SAME_WEIGHT = 1e-9
SAME_VALUE = 1e-9  # of the value
BRANCHED = "branch and bound by prices"


def p_median(
    walk: sparse.csr_array,
    weight: ArrayLike,
    *,
    n: int,
    unreached: float,
    fixed: BoolArray | None = None,
    barred: BoolArray | None = None,
    cap: float = np.inf,
    least_served: float = 0.0,
    sides: Sides | None = None,
    start: BoolArray | None = None,
    effort: Effort = "normal",
    seed: int = 1,
) -> Solution:
    """Choose at most ``n`` sites besides the fixed ones so that the weighted walk to the nearest is least.

    Parameters
    ----------
    walk : csr_array, shape (m, k)
        Cost of site j for row i, zeros stored. A pair that is not stored can't be walked.
    weight : (m,) array, above 0
    n : int
    unreached : float
        Cost of a row none of whose sites is chosen; at least the greatest stored cost, and above the cap.
    fixed, barred : (k,) array of bool
        Sites that always count, and sites that never do.
    cap, least_served : float
        Rows of at least the weight ``least_served`` must have a chosen site at a cost of at most ``cap``.
        Meant for the most that can be served, as :func:`spatial.solve.max_cover` finds it; where more turns
        out to be possible, value and bound are for as much as that.
    sides : Sides, optional
        What else the choice must keep to. The bound by prices leaves them out, the exact programme does not.
    start : (k,) array of bool, optional
        A choice that serves ``least_served`` and keeps to ``sides``; the answer is never worse. None: one is
        sought first.
    effort, seed
        See :func:`spatial.solve.program.solve_program`.

    Returns
    -------
    Solution
        ``value`` is the total of weight × cost over all rows; ``duals`` is one price per row and last the
        price of being beyond the cap.

    Raises
    ------
    InfeasibleError
        No choice was found that serves ``least_served``.
    """
    weight = np.asarray(weight, dtype=np.float64)
    n_sites = walk.shape[1]
    fixed = np.zeros(n_sites, dtype=bool) if fixed is None else fixed
    barred = np.zeros(n_sites, dtype=bool) if barred is None else barred
    sides = Sides.none(n_sites) if sides is None else sides
    task = _task(walk, weight, fixed, ~fixed & ~barred, n, unreached, cap, least_served, sides)
    if start is None and (np.isfinite(cap) or not sides.kept(fixed)):
        reached = within(walk, cap)
        start = max_cover(
            reached, weight, n=n, fixed=fixed, barred=barred, sides=sides, effort=effort, seed=seed
        ).chosen
    starts = [fixed] if start is None else [fixed, start | fixed]
    best = _best_by_swaps(task, starts)
    task = _serving_as_many(task, best)
    bound = _lagrangian(task, best, ROUNDS[effort])
    best = _best_by_swaps(task, [best, bound.chosen])
    task = _serving_as_many(task, best)
    if float(weight @ (_nearest(task, chosen=best) <= cap)) < least_served - SAME_WEIGHT:
        raise InfeasibleError(f"no choice of {n} sites was found that serves {least_served:g}")
    value = float(weight @ _nearest(task, best))
    solution = Solution(
        chosen=best,
        value=value,
        bound=min(bound.value, value),
        gap=gap_between(value, bound.value, sense="min"),
        bound_by="Lagrangian",
        stopped=False,
        duals=np.append(bound.price, bound.far_price),
    )
    if solution.gap:
        task = _trimmed(task, solution, bound)
        solution = _branched(task, solution, effort)
    return solution if solution.gap == 0 else _exact(task, solution, bound, effort=effort, seed=seed)


@dataclass(frozen=True)
class _Task:
    """Rows with their usable sites in order of cost."""

    indptr: IntArray
    row: IntArray
    site: IntArray
    cost: FloatArray
    weight: FloatArray
    must: BoolArray  # rows that must be within the cap; their dearer sites are left out
    unreached: float
    fixed: BoolArray
    free: BoolArray
    n: int
    cap: float
    sides: Sides
    may_be_far: float  # weight that may be beyond the cap; inf where ``must`` says it all


@dataclass(frozen=True)
class _Bound:
    value: float
    price: FloatArray  # per row
    far_price: float
    worth: FloatArray  # per site: what choosing it adds to the bound, not above 0
    chosen: BoolArray


def _task(
    walk: sparse.csr_array,
    weight: FloatArray,
    fixed: BoolArray,
    free: BoolArray,
    n: int,
    unreached: float,
    cap: float,
    least_served: float,
    sides: Sides,
) -> _Task:
    row = np.repeat(np.arange(walk.shape[0]), np.diff(walk.indptr))
    site, cost = walk.indices.astype(np.int64), walk.data.astype(np.float64)
    usable = (fixed | free)[site]
    servable = np.zeros(len(weight), dtype=bool)
    servable[row[(cost <= cap) & usable]] = True
    all_served = np.isfinite(cap) and least_served >= weight[servable].sum() - SAME_WEIGHT
    must = servable & all_served
    keep = np.flatnonzero(usable & ((cost <= cap) | ~must[row]))
    keep = keep[np.lexsort((site[keep], cost[keep], row[keep]))]
    return _Task(
        indptr=np.searchsorted(row[keep], np.arange(len(weight) + 1)),
        row=row[keep],
        site=site[keep],
        cost=cost[keep],
        weight=weight,
        must=must,
        unreached=unreached,
        fixed=fixed,
        free=free,
        n=min(n, int(free.sum())),
        cap=cap,
        sides=sides,
        may_be_far=np.inf if all_served or np.isinf(cap) else float(weight.sum()) - least_served,
    )


def _nearest(task: _Task, chosen: BoolArray) -> FloatArray:
    """Cost of the nearest chosen site of each row."""
    cost = np.full(len(task.weight), task.unreached)
    is_open = np.flatnonzero(chosen[task.site])
    row, first = np.unique(task.row[is_open], return_index=True)
    cost[row] = task.cost[is_open[first]]
    return cost


def _ordered_cost(task: _Task, cost: FloatArray) -> FloatArray:
    """Costs in which one row beyond the cap outweighs every walk there is."""
    if np.isinf(task.cap):
        return cost
    far = 1.0 + float(task.weight.sum()) * task.unreached / float(task.weight.min())
    return cost + np.where(cost > task.cap, far, 0.0)


def _ordered_value(task: _Task, chosen: BoolArray) -> float:
    return float(task.weight @ _ordered_cost(task, _nearest(task, chosen)))


def _serving_as_many(task: _Task, chosen: BoolArray) -> _Task:
    """No more may be beyond the cap than with this choice."""
    if np.isinf(task.may_be_far):
        return task
    far = float(task.weight @ (_nearest(task, chosen) > task.cap))
    return replace(task, may_be_far=min(task.may_be_far, far))


def _kept_value(task: _Task, chosen: BoolArray) -> float:
    """The value of a choice, infinite if it serves too little; more than is asked counts for nothing."""
    cost = _nearest(task, chosen)
    far = cost > task.cap
    short = (far & task.must).any() or float(task.weight @ far) > task.may_be_far + SAME_WEIGHT
    return np.inf if short else float(task.weight @ cost)


def _best_by_swaps(task: _Task, starts: list[BoolArray]) -> BoolArray:
    """The best that additions and swaps make of some choices; of those that break a side none is used."""
    kept = [each for each in starts if task.sides.kept(each)]
    if not kept:
        raise InfeasibleError("no choice was found that keeps to every requirement")
    return min((_by_swaps(task, each) for each in kept), key=lambda chosen: _ordered_value(task, chosen))


def _by_swaps(task: _Task, chosen: BoolArray) -> BoolArray:
    return improved_by_swaps(
        task.indptr,
        task.site,
        _ordered_cost(task, task.cost),
        task.weight,
        chosen,
        beyond=float(_ordered_cost(task, np.array([task.unreached]))[0]),
        free=task.free,
        n=task.n + int(task.fixed.sum()),
        sides=task.sides,
    )


def _lagrangian(task: _Task, incumbent: BoolArray, rounds: int) -> _Bound:
    """Subgradient on the prices of being assigned; every round is a valid bound, the best is kept.

    With a price v per row, a site is worth ``sum(weight * min(0, cost - v))``; the bound takes the fixed
    sites and the n best others. Beyond the cap a row costs ``far_price`` more, given back for the weight
    that may be there.
    """
    target = float(task.weight @ _nearest(task, incumbent))
    here = best = _bound_at(task, _first_prices(task, incumbent), 0.0)
    step, since = 1.0, 0
    for _ in range(rounds):
        slope, far_slope = _slopes(task, here)
        size = float(task.weight @ slope**2) + far_slope**2 / float(task.weight.sum())
        if size == 0 or target - best.value <= SAME_VALUE * target:
            break
        move = step * max(target - here.value, SAME_VALUE * target) / size
        far_price = max(0.0, here.far_price + move * far_slope / float(task.weight.sum()))
        here = _bound_at(task, here.price + move * slope, far_price)
        since += 1
        if here.value > best.value:
            best, since = here, 0
        elif since == PATIENCE:
            here, step, since = best, step / 2, 0
    return best


def _first_prices(task: _Task, incumbent: BoolArray) -> FloatArray:
    """Half way between the nearest and the second nearest chosen site."""
    is_open = np.flatnonzero(incumbent[task.site])
    row, first, n_open = np.unique(task.row[is_open], return_index=True, return_counts=True)
    second = np.where(n_open > 1, first + 1, first)
    price = np.full(len(task.weight), task.unreached)
    price[row] = (task.cost[is_open[first]] + task.cost[is_open[second]]) / 2
    return price


def _bound_at(task: _Task, price: FloatArray, far_price: float) -> _Bound:
    """The bound at these prices; a row is never worth more than leaving it unreached, where it may be."""
    price = np.minimum(price, np.where(task.must, np.inf, task.unreached + far_price))
    worth = np.zeros(len(task.fixed))
    _site_worth(task.indptr, task.site, task.cost, task.weight, price, task.cap, far_price, worth)
    free = np.flatnonzero(task.free & (worth < 0))
    chosen = task.fixed.copy()
    chosen[free[np.argsort(worth[free], kind="stable")[: task.n]]] = True
    given_back = far_price * task.may_be_far if far_price > 0 else 0.0
    return _Bound(
        float(task.weight @ price + worth[chosen].sum()) - given_back, price, far_price, worth, chosen
    )


def _slopes(task: _Task, bound: _Bound) -> tuple[FloatArray, float]:
    """How the bound grows with each row's price, per weight, and with the price of being far."""
    slope = np.ones(len(task.weight))
    far = _use(
        task.indptr,
        task.site,
        task.cost,
        task.weight,
        bound.price,
        task.cap,
        bound.far_price,
        bound.chosen,
        slope,
    )
    return slope, 0.0 if np.isinf(task.may_be_far) else far - task.may_be_far


def _branched(task: _Task, found: Solution, effort: Effort) -> Solution:
    """Close the gap by branching on the sites; where sides or a share served bind, it is left as it is."""
    if np.isfinite(task.may_be_far) or len(task.sides.most):
        return found
    lists = Lists(task.indptr, task.site, task.cost, task.weight, np.where(task.must, np.inf, task.unreached))
    answer = branched(
        lists,
        chosen=found.chosen,
        value=found.value,
        step=1 - 1e-6 if _is_whole(task) else SAME_VALUE * found.value,
        price=np.minimum(found.duals[:-1], lists.most),
        fixed=task.fixed,
        free=task.free,
        n=task.n,
        effort=effort,
    )
    value = float(task.weight @ _nearest(task, answer.chosen))
    bound = value if answer.finished else min(max(answer.bound, found.bound), value)
    return replace(
        found,
        chosen=answer.chosen,
        value=value,
        bound=bound,
        gap=gap_between(value, bound, sense="min"),
        bound_by=BRANCHED if bound > found.bound else found.bound_by,
    )


def _is_whole(task: _Task) -> bool:
    """Whether every choice costs a whole number."""
    amounts = np.concatenate([task.cost, task.weight, [task.unreached]])
    return bool((amounts == np.rint(amounts)).all())


def _exact(task: _Task, found: Solution, bound: _Bound, *, effort: Effort, seed: int) -> Solution:
    """Close the gap by the exact programme over what the bound leaves, if that is small enough."""
    best, floor, stopped = found.chosen, found.bound, False
    whole = np.diff(task.indptr)
    far_enough = LOOK * np.maximum(np.minimum(bound.price, task.unreached), _nearest(task, best))
    looked_at = task.cost <= far_enough[task.row]
    upto = np.bincount(task.row, looked_at, len(whole)).astype(np.int64)
    for _ in range(WIDENINGS):
        if upto.sum() > ENTRIES[effort]:
            break
        nested = _nested(task, upto, best)
        answer = solve_program(nested.program, effort=effort, seed=seed, start=nested.start, by_blocks=True)
        stopped |= answer.stopped
        floor = max(floor, min(answer.bound + nested.constant, found.value))
        chosen = np.zeros(len(best), dtype=bool)
        chosen[nested.sites] = answer.x[: len(nested.sites)] > 0.5
        best = min(best, chosen, key=lambda each: _kept_value(task, each))
        beyond = (_places(task, chosen) >= upto) & (upto < whole)
        if not answer.proved or not beyond.any():
            floor = float(task.weight @ _nearest(task, best)) if answer.proved else floor
            break
        upto = np.where(beyond, np.minimum(2 * upto + 4, whole), upto)
    value = float(task.weight @ _nearest(task, best))
    floor = min(floor, value)
    return replace(
        found,
        chosen=best,
        value=value,
        bound=floor,
        gap=gap_between(value, floor, sense="min"),
        bound_by=solver_name() if floor > found.bound else found.bound_by,
        stopped=stopped,
    )


def _trimmed(task: _Task, found: Solution, bound: _Bound) -> _Task:
    """Without the sites whose use would push the bound above the value found."""
    worth = np.where(task.free, bound.worth, np.inf)
    last_taken = np.sort(worth)[task.n - 1] if task.n else 0.0
    spare = found.value - bound.value
    free = task.free & ((bound.worth - min(last_taken, 0.0) <= spare) | found.chosen)
    keep = (free | task.fixed)[task.site]
    row = task.row[keep]
    return replace(
        task,
        indptr=np.searchsorted(row, np.arange(len(task.weight) + 1)),
        row=row,
        site=task.site[keep],
        cost=task.cost[keep],
        free=free,
    )


def _places(task: _Task, chosen: BoolArray) -> IntArray:
    """How many sites of a row come before its first chosen one."""
    is_open = np.flatnonzero(chosen[task.site])
    row, first = np.unique(task.row[is_open], return_index=True)
    place = np.diff(task.indptr)
    place[row] = is_open[first] - task.indptr[row]
    return place


@dataclass(frozen=True)
class _Nested:
    program: Program
    sites: IntArray  # the first variables
    start: FloatArray
    constant: float


def _nested(task: _Task, upto: IntArray, best: BoolArray) -> _Nested:
    """The programme over nested sets: z of a set says that none of its sites is chosen.

    Going down a row's list, ``z(set with s) >= z(set) - x(s)``; the last z of a row that must be served
    is 0, and the z at the cap add up to no more than may be far.
    """
    sites = np.flatnonzero(task.fixed | task.free)
    place = np.arange(len(task.row)) - task.indptr[task.row]
    kept = np.flatnonzero(place < upto[task.row])
    row, first_of_row = task.row[kept], place[kept] == 0
    node, born = _sets(row, task.site[kept], len(task.fixed))
    n_x, n_z = len(sites), len(born)
    above = np.append(task.cost[1:], 0.0)[kept]
    ends = place[kept] == np.diff(task.indptr)[row] - 1
    above[ends] = np.where(task.must[row[ends]], task.cost[kept][ends], task.unreached)
    step = np.bincount(node, task.weight[row] * (above - task.cost[kept]), n_z)
    column = np.searchsorted(sites, task.site[kept][born])
    parent = np.flatnonzero(~first_of_row[born])
    links = sparse.csr_array(
        (
            np.concatenate([np.ones(2 * n_z), -np.ones(len(parent))]),
            (
                np.concatenate([np.arange(n_z), np.arange(n_z), parent]),
                np.concatenate([n_x + np.arange(n_z), column, n_x + node[born[parent] - 1]]),
            ),
        ),
        shape=(n_z, n_x + n_z),
    )
    is_x = np.arange(n_x + n_z) < n_x
    hard = np.zeros(n_x + n_z)
    hard[n_x + node[ends & task.must[row]]] = 1.0
    side = task.sides.left(sites, np.zeros_like(task.fixed))
    rows = [is_x.astype(np.float64), np.append(task.fixed[sites], np.zeros(n_z)), hard]
    limits = [(-np.inf, task.n + task.fixed.sum()), (task.fixed.sum(), np.inf), (-np.inf, 0.0)]
    if np.isfinite(task.may_be_far):
        at_cap = (task.cost[kept] <= task.cap) & (above > task.cap)
        rows.append(np.append(np.zeros(n_x), np.bincount(node[at_cap], task.weight[row[at_cap]], n_z)))
        never = np.ones(len(task.weight), dtype=bool)
        never[task.row[task.cost <= task.cap]] = False
        limits.append((-np.inf, task.may_be_far - float(task.weight[never].sum())))
    lower, upper = np.array(limits, dtype=np.float64).T
    opened = np.cumsum(best[task.site[kept]])
    before = np.concatenate([[0], opened])[np.flatnonzero(first_of_row)]
    none_open = opened == np.repeat(before, np.bincount(row, minlength=len(upto))[upto > 0])
    nearest = np.full(len(upto), task.unreached)
    nearest[row[first_of_row]] = task.cost[kept[first_of_row]]
    return _Nested(
        program=Program(
            cost=np.append(np.zeros(n_x), step),
            matrix=side.beside(sparse.vstack([links, sparse.csr_array(np.array(rows))])),
            row_lower=np.concatenate([np.where(first_of_row[born], 1.0, 0.0), lower, side.least]),
            row_upper=np.concatenate([np.full(n_z, np.inf), upper, side.most]),
            integer=is_x,
        ),
        sites=sites,
        start=np.append(best[sites], none_open[born]).astype(np.float64),
        constant=float(task.weight @ nearest),
    )


def _sets(row: IntArray, site: IntArray, n_sites: int) -> tuple[IntArray, IntArray]:
    """Number the growing sets of the rows: the set at each entry, and the entry where each is first met.

    Sets are told apart by two 64-bit sums of random numbers, as rows are in covering.
    """
    keys = np.random.default_rng(20261122).integers(1, 2**63, size=(2, n_sites), dtype=np.uint64)
    sums = np.cumsum(keys[:, site], axis=1)
    first = np.flatnonzero(np.diff(row, prepend=-1) != 0)
    before = sums[:, first] - keys[:, site[first]]
    sums -= np.repeat(before, np.diff(np.append(first, len(row))), axis=1)
    _, born, node = np.unique(sums, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(born)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[node], born[order]


@njit(cache=True)
def _site_worth(
    indptr: IntArray,
    site: IntArray,
    cost: FloatArray,
    weight: FloatArray,
    price: FloatArray,
    cap: float,
    far_price: float,
    worth: FloatArray,
) -> None:
    for i in range(len(weight)):
        for e in range(indptr[i], indptr[i + 1]):
            less = price[i] - cost[e]
            if cost[e] > cap:
                less -= far_price
            if less <= 0.0:
                break
            worth[site[e]] -= weight[i] * less


@njit(cache=True)
def _use(
    indptr: IntArray,
    site: IntArray,
    cost: FloatArray,
    weight: FloatArray,
    price: FloatArray,
    cap: float,
    far_price: float,
    chosen: BoolArray,
    slope: FloatArray,
) -> float:
    """Take 1 off the slope of a row for each chosen site it would use; the weight used beyond the cap."""
    far = 0.0
    for i in range(len(weight)):
        for e in range(indptr[i], indptr[i + 1]):
            beyond = cost[e] > cap
            if cost[e] + far_price * beyond >= price[i]:
                break
            if chosen[site[e]]:
                slope[i] -= 1.0
                far += weight[i] * beyond
    return far
