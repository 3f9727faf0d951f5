"""The p-median where a site can serve only so much.

Two programmes: who is served at all and by which sites, and then who walks where. Shares of a row's weight
may go to several sites in the first, which makes its bound valid and its programme small; the second hands
out whole rows to the sites chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from spatial.settings import Effort
from spatial.solve.program import Answer, Program, solve_program
from spatial.solve.sides import Sides
from spatial.solve.solution import Solution, solution_of

__all__ = ["Assigned", "capacitated_median"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

TINY = 1e-6  # of a weight
SAME = 1e-5  # of a value


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
        As for :func:`spatial.solve.p_median`.

    Returns
    -------
    Assigned
        A row whose weight fits nowhere whole is left out, which the bound of ``served`` does not know.

    Raises
    ------
    InfeasibleError
        No choice keeps to ``sides``.

    References
    ----------
    .. [1] R. Sridharan, "The capacitated plant location problem", European Journal of Operational Research
       87, 1995, pp. 203-213.
    """
    weight = np.asarray(weight, dtype=np.float64)
    k = walk.shape[1]
    fixed = np.zeros(k, dtype=bool) if fixed is None else fixed
    barred = np.zeros(k, dtype=bool) if barred is None else barred
    count = Sides.at_most(sparse.csr_array(np.ones((1, k))), np.array([n + float(fixed.sum())]))
    stand = Sides.at_least(sparse.csr_array(fixed[None].astype(np.float64)), np.array([float(fixed.sum())]))
    sides = count.and_(stand) if sides is None else count.and_(stand).and_(sides)
    task = _task(walk, weight, np.minimum(capacity, weight.sum()), ~barred, sides, effort, seed)
    most = task.solve(-task.pair_weight)
    reached = float(task.pair_weight @ most.x[k:])
    best = task.solve(task.pair_weight * task.pair_walk, least=reached)
    chosen = best.x[:k] > 0.5
    site = _whole_rows(task, chosen)
    on = np.flatnonzero(site >= 0)
    served = float(weight[on].sum())
    if served < reached - TINY:  # the bound is to hold for as much as whole rows can have
        best = task.solve(task.pair_weight * task.pair_walk, least=served)
    stored = sparse.csr_array((walk.data + 1.0, walk.indices, walk.indptr), shape=walk.shape)
    total = float(weight[on] @ (np.asarray(stored[on, site[on]]).ravel() - 1.0))
    return Assigned(
        site,
        solution_of(_same(most, -served), chosen, value=served, sense="max"),
        solution_of(_same(best, total), chosen, value=total),
    )


def _same(answer: Answer, value: float) -> Answer:
    """Proved for whole rows where they reach what shares of rows do, to within the solver's tolerance."""
    return replace(answer, proved=answer.proved and value - answer.value <= SAME * max(1.0, abs(value)))


@dataclass(frozen=True)
class _Task:
    """The pairs of row and site that may be, and the rows of the programme over sites and pairs."""

    row: IntArray  # (p,)
    site: IntArray  # (p,)
    pair_weight: FloatArray
    pair_walk: FloatArray
    capacity: FloatArray  # (k,)
    n_rows: int
    sides: Sides
    effort: Effort
    seed: int

    def solve(self, cost: FloatArray, *, least: float = 0.0) -> Answer:
        """The least cost over pairs of any choice that serves at least so much weight."""
        k, p = len(self.capacity), len(self.row)
        pair = np.arange(p)
        ones = np.ones(p)
        once = sparse.csr_array((ones, (self.row, k + pair)), shape=(self.n_rows, k + p))
        room = sparse.csr_array((self.pair_weight, (self.site, k + pair)), shape=(k, k + p))
        room = room - sparse.hstack([sparse.diags_array(self.capacity), sparse.csr_array((k, p))])
        at_site = sparse.csr_array(
            (np.concatenate([ones, -ones]), (np.tile(pair, 2), np.concatenate([k + pair, self.site]))),
            shape=(p, k + p),
        )
        enough = sparse.csr_array(np.append(np.zeros(k), self.pair_weight)[None])
        rows = self.sides.beside(sparse.vstack([once, room, at_site, enough]))
        lower = np.concatenate([np.full(self.n_rows + k + p, -np.inf), [least - TINY], self.sides.least])
        upper = np.concatenate([np.ones(self.n_rows), np.zeros(k + p), [np.inf], self.sides.most])
        program = Program(np.append(np.zeros(k), cost), rows, lower, upper, np.arange(k + p) < k)
        return solve_program(program, effort=self.effort, seed=self.seed)


def _task(
    walk: sparse.csr_array,
    weight: FloatArray,
    capacity: FloatArray,
    usable: BoolArray,
    sides: Sides,
    effort: Effort,
    seed: int,
) -> _Task:
    row = np.repeat(np.arange(walk.shape[0]), np.diff(walk.indptr))
    keep = usable[walk.indices]
    never = Sides.at_most(sparse.csr_array((~usable)[None].astype(np.float64)), np.zeros(1))
    return _Task(
        row=row[keep],
        site=walk.indices[keep].astype(np.int64),
        pair_weight=weight[row[keep]],
        pair_walk=walk.data[keep],
        capacity=capacity.astype(np.float64),
        n_rows=len(weight),
        sides=sides.and_(never),
        effort=effort,
        seed=seed,
    )


def _whole_rows(task: _Task, chosen: BoolArray) -> IntArray:
    """Hand whole rows out to the chosen sites: first the most weight, then the least walk."""
    keep = np.flatnonzero(chosen[task.site])
    row, site, weight = task.row[keep], task.site[keep], task.pair_weight[keep]
    pair = np.arange(len(keep))
    once = sparse.csr_array((np.ones(len(keep)), (row, pair)), shape=(task.n_rows, len(keep)))
    room = sparse.csr_array((weight, (site, pair)), shape=(len(chosen), len(keep)))
    upper = np.concatenate([np.ones(task.n_rows), task.capacity, [np.inf]])
    rows = sparse.csr_array(sparse.vstack([once, room, sparse.csr_array(weight[None])]))

    def solve(cost: FloatArray, least: float) -> FloatArray:
        lower = np.append(np.full(len(upper) - 1, -np.inf), least)
        program = Program(cost, rows, lower, upper, np.ones(len(keep), dtype=bool))
        return solve_program(program, effort=task.effort, seed=task.seed).x

    out = np.full(task.n_rows, -1, dtype=np.int64)
    if len(keep):
        most = float(weight @ solve(-weight, -np.inf))
        given = solve(weight * task.pair_walk[keep], most - TINY) > 0.5
        out[row[given]] = site[given]
    return out
