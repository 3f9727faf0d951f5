"""The p-median where a site can serve only so much, rows going whole to one site.

A search gives a choice and an assignment, prices prove a bound, and where the pairs of row and site that a
better choice could use are few enough, the exact programme over them decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from spatial.settings import Effort
from spatial.solve.cover import max_cover
from spatial.solve.prices import Priced, best_prices, is_whole, needless_pairs
from spatial.solve.program import Program, solve_program, solver_name
from spatial.solve.rooms import Pairs, assigned_by_search
from spatial.solve.sides import Sides
from spatial.solve.solution import Solution, gap_between
from spatial.solve.swaps import improved_by_swaps

__all__ = ["Assigned", "capacitated_median"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

TRIALS: dict[Effort, int] = {"quick": 40, "normal": 200, "thorough": 800}  # of the search, per site
ROUNDS: dict[Effort, int] = {"quick": 200, "normal": 600, "thorough": 2000}  # of the subgradient
PAIRS: dict[Effort, int] = {"quick": 1000, "normal": 3000, "thorough": 10_000}  # of the exact programme
SHARES: dict[Effort, int] = {"quick": 30_000, "normal": 150_000, "thorough": 600_000}  # pairs of the shares
FARTHER = 3.0  # times what a row or the mean row walks: pairs beyond are left out of the shares
ENOUGH = 2e-4  # of the walk with the sites given: the search may rest
FEW = 20  # sites whose trials the smallest task is given on top
TINY = 1e-6  # of a weight


@dataclass(frozen=True)
class Assigned:
    """Sites, and the one each row goes to."""

    site: IntArray  # (m,) −1 where a row finds no room within the limit
    served: Solution  # ``value`` and ``bound`` are weight served
    walk: Solution  # ``value`` and ``bound`` are weight × walk of the served, with as much served


def capacitated_median(
    walk: sparse.csr_array,
    weight: ArrayLike,
    capacity: FloatArray,
    *,
    n: int,
    fixed: BoolArray | None = None,
    barred: BoolArray | None = None,
    sides: Sides | None = None,
    effort: Effort = "normal",
    seed: int = 1,
) -> Assigned:
    """Choose at most ``n`` sites besides the fixed ones and hand the rows out, no site above its capacity.

    First the most weight is served, then with as much served the weighted walk is least [1]_.

    Parameters
    ----------
    walk : csr_array, shape (m, k)
        Walk of row i to site j, zeros stored; only pairs that are stored may be served.
    weight : (m,) array, above 0
    capacity : (k,) array
        Weight a site can serve; infinite where it does not matter.
    n, fixed, barred, sides, effort, seed
        As for :func:`spatial.solve.p_median`; the bounds by prices leave ``sides`` out.

    Returns
    -------
    Assigned
        A site that serves nobody is left out unless it is fixed or the sides ask for it. ``duals`` are the
        prices of the bounds, NaN for rows that no site can serve.

    Raises
    ------
    InfeasibleError
        No choice keeps to ``sides``.

    References
    ----------
    .. [1] R. Sridharan, "The capacitated plant location problem", European Journal of Operational Research
       87, 1995, pp. 203-213.
    """
    weight, k = np.asarray(weight, dtype=np.float64), walk.shape[1]
    fixed = np.zeros(k, dtype=bool) if fixed is None else fixed
    free = ~fixed if barred is None else ~fixed & ~barred
    sides = Sides.none(k) if sides is None else sides
    rows, task = _task(walk, weight, capacity, fixed, free, n, sides, effort, seed)
    found = _start(task, walk, weight)
    found, served = _most_served(task, found)
    found, least = _least_walk(task, found)
    chosen = _used_sites(task, found)
    site = np.full(len(weight), -1, dtype=np.int64)
    site[rows] = np.where(found.at >= 0, task.pairs.site[found.at], -1) if len(task.pairs.site) else -1
    wide = [np.full(len(weight), np.nan) for _ in range(2)]
    for each, solution in zip(wide, (served, least), strict=True):
        each[rows] = solution.duals
    return Assigned(
        site,
        replace(served, chosen=chosen, duals=wide[0]),
        replace(least, chosen=chosen, duals=wide[1]),
    )


@dataclass(frozen=True)
class _Task:
    """The rows that some site can serve, with the pairs that may be."""

    pairs: Pairs
    capacity: FloatArray  # (k,) finite
    fixed: BoolArray
    free: BoolArray
    n: int  # sites besides the fixed ones
    sides: Sides
    effort: Effort
    seed: int

    @property
    def total(self) -> float:
        return float(self.pairs.weight.sum())

    @property
    def beyond(self) -> float:
        """A cost of being left out, per unit of weight, by which one row more outweighs every walk."""
        longest, lightest = self.pairs.cost.max(initial=0.0), self.pairs.weight.min(initial=np.inf)
        return float(1.0 + self.total * longest / lightest)


@dataclass(frozen=True)
class _Found:
    chosen: BoolArray
    at: IntArray  # the pair of each row, −1 for none

    def served(self, task: _Task) -> float:
        return float(task.pairs.weight[self.at >= 0].sum())

    def walked(self, task: _Task) -> float:
        on = self.at >= 0
        return float(task.pairs.weight[on] @ task.pairs.cost[self.at[on]])


def _task(
    walk: sparse.csr_array,
    weight: FloatArray,
    capacity: FloatArray,
    fixed: BoolArray,
    free: BoolArray,
    n: int,
    sides: Sides,
    effort: Effort,
    seed: int,
) -> tuple[IntArray, _Task]:
    """The rows that some site has room for, and the task over them."""
    row, site = np.repeat(np.arange(len(weight)), np.diff(walk.indptr)), walk.indices.astype(np.int64)
    keep = np.flatnonzero((fixed | free)[site] & (weight[row] <= capacity[site] + 1e-9))
    keep = keep[np.lexsort((site[keep], walk.data[keep], row[keep]))]
    rows, row = np.unique(row[keep], return_inverse=True)
    pairs = _pairs(row, site[keep], walk.data[keep].astype(np.float64), weight[rows], len(capacity))
    asked = np.bincount(pairs.site, pairs.weight[pairs.row], len(capacity))
    room = np.minimum(capacity, asked)
    if is_whole(weight):
        room = np.floor(room + 1e-9)
    return rows, _Task(pairs, room, fixed, free, min(n, int(free.sum())), sides, effort, seed)


def _pairs(row: IntArray, site: IntArray, cost: FloatArray, weight: FloatArray, n_sites: int) -> Pairs:
    by_site = np.lexsort((cost, site))
    return Pairs(
        indptr=np.searchsorted(row, np.arange(len(weight) + 1)),
        site=site,
        cost=cost,
        by_site=np.searchsorted(site[by_site], np.arange(n_sites + 1)),
        entry=by_site,
        row=row,
        weight=weight,
    )


def _start(task: _Task, walk: sparse.csr_array, weight: FloatArray) -> _Found:
    """What the search finds from the sites chosen as if there were room for all."""
    chosen = task.fixed
    if not task.sides.kept(chosen):
        reached = sparse.csr_array(
            (np.ones(walk.nnz, dtype=bool), walk.indices, walk.indptr), shape=walk.shape
        )
        barred = ~(task.fixed | task.free)
        chosen = max_cover(
            reached, weight, n=task.n, fixed=task.fixed, barred=barred, sides=task.sides,
            effort=task.effort, seed=task.seed,
        ).chosen  # fmt: skip
    pairs, n = task.pairs, task.n + int(task.fixed.sum())
    chosen = improved_by_swaps(
        pairs.indptr, pairs.site, pairs.cost, pairs.weight, chosen,
        beyond=task.beyond, free=task.free, n=n, sides=task.sides,
    )  # fmt: skip
    found = _searched(task, chosen, trials=TRIALS[task.effort] * (len(chosen) + FEW))
    again = _searched(task, found.chosen, trials=0, at=_shared_out(task, found))
    return min(found, again, key=lambda each: (-each.served(task), each.walked(task)))


def _searched(task: _Task, chosen: BoolArray, *, trials: int, at: IntArray | None = None) -> _Found:
    return _Found(
        *assigned_by_search(
            task.pairs, task.capacity, chosen, beyond=task.beyond, free=task.free,
            n=task.n + int(task.fixed.sum()), sides=task.sides, trials=trials, seed=task.seed, at=at,
        )
    )  # fmt: skip


def _shared_out(task: _Task, found: _Found) -> IntArray:
    """The rows that the least walk in shares gives whole to one of the sites found; few are divided."""
    pairs, m = task.pairs, len(task.pairs.weight)
    here = np.where(found.at >= 0, pairs.cost[found.at], -1.0) if len(pairs.site) else np.empty(0)
    usual = found.walked(task) / max(found.served(task), TINY)
    near = pairs.cost <= FARTHER * np.maximum(here, usual)[pairs.row]
    left = np.flatnonzero(found.chosen[pairs.site] & (near | (found.at[pairs.row] == np.arange(len(near)))))
    at = np.full(m, -1, dtype=np.int64)
    if not 0 < len(left) <= SHARES[task.effort]:
        return found.at
    row, weight = pairs.row[left], pairs.weight[pairs.row[left]]
    each = np.arange(len(left))
    once = sparse.csr_array((np.ones(len(left)), (row, each)), shape=(m, len(left)))
    room = sparse.csr_array((weight, (pairs.site[left], each)), shape=(len(task.capacity), len(left)))
    program = Program(
        cost=weight * pairs.cost[left],
        matrix=sparse.csr_array(sparse.vstack([once, room])),
        row_lower=np.append(found.at >= 0, np.full(len(task.capacity), -np.inf)),
        row_upper=np.append(np.ones(m), task.capacity),
        integer=np.ones(len(left), dtype=bool),
    )
    start = np.isin(left, found.at).astype(np.float64)
    given = solve_program(program, effort="quick", seed=task.seed, start=start, enough=ENOUGH).x > 0.5
    at[row[given]] = left[given]
    return at


def _most_served(task: _Task, found: _Found) -> tuple[_Found, Solution]:
    """Prove how much can be served, and find more where the pairs are few."""
    out, price, by, stopped = (
        task.total - found.served(task),
        np.zeros(len(task.pairs.weight)),
        "Lagrangian",
        False,
    )
    least_out = 0.0
    if out > TINY:
        at_no_walk = task.pairs._replace(cost=np.zeros(len(task.pairs.cost)))
        priced = _priced(task, at_no_walk, np.full(len(price), 0.5), may_be_out=0.0, most=1.0, target=out)
        price, least_out = priced.price, _up(task, max(priced.value, 0.0))
    if out > least_out + TINY and len(task.pairs.site) <= PAIRS[task.effort]:
        weight = task.pairs.weight[task.pairs.row]
        every = np.arange(len(weight))
        answer = _solve(task, found, every, -weight, least=-np.inf, whole_costs=is_whole(task.pairs.weight))
        if answer.found.served(task) > found.served(task) + TINY:
            found = answer.found
        out, stopped = task.total - found.served(task), answer.stopped
        exact_out = out if answer.proved else _up(task, task.total + answer.bound)
        if exact_out > least_out:
            least_out, by = exact_out, solver_name()
    served = found.served(task)
    bound = served if out <= least_out + TINY else task.total - least_out
    gap = gap_between(served, bound, sense="max")
    return found, Solution(found.chosen, served, bound, gap, by, stopped, price)


def _least_walk(task: _Task, found: _Found) -> tuple[_Found, Solution]:
    """Prove how little those served can walk, and find less where few pairs can be in a better choice."""
    pairs, value, served = task.pairs, found.walked(task), found.served(task)
    may_be_out = task.total - served if task.total - served > TINY else 0.0
    first = np.where(found.at >= 0, 1.5 * pairs.cost[found.at], 0.0) if len(pairs.site) else pairs.weight
    priced = _priced(task, pairs, first, may_be_out=may_be_out, most=np.inf, target=value)
    bound, by, stopped = priced.value, "Lagrangian", False
    needless = needless_pairs(
        priced, pairs, task.capacity, fixed=task.fixed, free=task.free, n=task.n, spare=value - bound
    )
    needless[found.at[found.at >= 0]] = False
    left = np.flatnonzero(~needless)
    if value > bound and len(left) <= PAIRS[task.effort]:
        cost = pairs.weight[pairs.row[left]] * pairs.cost[left]
        answer = _solve(task, found, left, cost, least=served)
        if answer.found.walked(task) < value and answer.found.served(task) >= served - TINY:
            found, value = answer.found, answer.found.walked(task)
        exact = value if answer.proved else min(answer.bound, value)
        stopped = answer.stopped
        if exact > bound:
            bound, by = exact, solver_name()
    bound = min(bound, value)
    return found, Solution(
        found.chosen, value, bound, gap_between(value, bound, sense="min"), by, stopped, priced.price
    )


def _priced(
    task: _Task, pairs: Pairs, first: FloatArray, *, may_be_out: float, most: float, target: float
) -> Priced:
    return best_prices(
        pairs, task.capacity, first, fixed=task.fixed, free=task.free, n=task.n, may_be_out=may_be_out,
        most=most, target=target, rounds=ROUNDS[task.effort],
    )  # fmt: skip


def _up(task: _Task, bound: float) -> float:
    """A bound of a weight: whole weights add up to a whole number."""
    return float(np.ceil(bound - TINY)) if is_whole(task.pairs.weight) else bound


@dataclass(frozen=True)
class _Exact:
    found: _Found
    bound: float
    proved: bool
    stopped: bool


def _solve(
    task: _Task, found: _Found, left: IntArray, cost: FloatArray, *, least: float, whole_costs: bool = False
) -> _Exact:
    """The least cost over some pairs of any choice that serves at least so much, whole rows."""
    pairs, p = task.pairs, len(left)
    row, site, weight = pairs.row[left], pairs.site[left], pairs.weight[pairs.row[left]]
    ones, pair, k = np.ones(p), np.arange(p), len(task.capacity)
    m = len(pairs.weight)
    once = sparse.csr_array((ones, (row, k + pair)), shape=(m, k + p))
    room = sparse.csr_array((weight, (site, k + pair)), shape=(k, k + p))
    room = room - sparse.hstack([sparse.diags_array(task.capacity), sparse.csr_array((k, p))])
    at_site = sparse.csr_array(
        (np.concatenate([ones, -ones]), (np.tile(pair, 2), np.concatenate([k + pair, site]))),
        shape=(p, k + p),
    )
    totals = np.zeros((4, k + p))  # weight served, sites in all, fixed ones, barred ones
    totals[0, k:] = weight
    totals[1, :k], totals[2, :k], totals[3, :k] = 1.0, task.fixed, ~(task.fixed | task.free)
    n_fixed = float(task.fixed.sum())
    rows = sparse.vstack([once, room, at_site, sparse.csr_array(totals)])
    all_served = least >= task.total - TINY
    program = Program(
        cost=np.append(np.zeros(k), cost),
        matrix=task.sides.beside(rows),
        row_lower=np.concatenate(
            [
                np.full(m, 1.0 if all_served else -np.inf),
                np.full(k + p, -np.inf),
                [-np.inf if all_served else least - TINY, -np.inf, n_fixed, -np.inf],
                task.sides.least,
            ]
        ),
        row_upper=np.concatenate(
            [np.ones(m), np.zeros(k + p), [np.inf, task.n + n_fixed, np.inf, 0.0], task.sides.most]
        ),
        integer=np.ones(k + p, dtype=bool),
    )
    start = np.concatenate([found.chosen, np.isin(left, found.at)]).astype(np.float64)
    answer = solve_program(program, effort=task.effort, seed=task.seed, start=start, whole_costs=whole_costs)
    at = np.full(m, -1, dtype=np.int64)
    given = answer.x[k:] > 0.5
    at[row[given]] = left[given]
    return _Exact(_Found(answer.x[:k] > 0.5, at), answer.bound, answer.proved, answer.stopped)


def _used_sites(task: _Task, found: _Found) -> BoolArray:
    used = task.fixed.copy()
    used[task.pairs.site[found.at[found.at >= 0]]] = True
    return used if task.sides.kept(used) else found.chosen
