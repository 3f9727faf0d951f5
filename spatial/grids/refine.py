"""Prices refined until the relaxation behind the lower bound is solved: column generation on closed sets.

The best bound that prices can prove (:mod:`spatial.grids.bound`) is the value of a linear programme: choose
fractions of closed sets, K in all and no more around a row than one, that hold every row once. A subgradient
search ends short of it. Here the programme is solved with the sets met so far, its prices are mixed with the
best so far (P. Wentges, International Transactions in Operational Research 4, 1997, pp. 151-162), every
set that pays at the mixture joins, and so on. Rows alike are one line of the programme.

Households that fill up a set where walks are cut off are a line of their own: each costs the radius and may
stand for any row, so that its price is the largest of all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from spatial.grids.bound import Centres, Limits
from spatial.grids.problem import Floats, Ints, Sub, score
from spatial.solve import Columns

__all__ = ["refine_prices"]

_MOST_KINDS = 800  # lines of a programme that is quickly solved
_NEAR = 2e-4  # of the value, between programme and bound
_SMOOTH = 0.8  # weight of the best prices so far
_SMOOTHER = 0.2  # taken off it where no set pays
_PAYS = 1e-9  # of the value
_PENALTY = 3.0  # times the value, for a row not held


def refine_prices(sub: Sub, grid: Ints, limits: Limits, price_m: Floats, *, rounds: int) -> Floats:
    """Prices that prove at least as much as ``price_m``; these themselves where the programme were large.

    Parameters
    ----------
    sub : Sub
        A component of m rows, in one piece.
    grid : int64 (m,)
        A partition within the limits, whose grids are the first columns.
    price_m : (m,)
        Prices per household, the same for rows alike.
    """
    centres = Centres.of(sub, limits, price_m)
    if rounds == 0 or int(centres.alike.max()) >= _MOST_KINDS:
        return price_m
    return _Programme(centres, grid).best(price_m, rounds)


@dataclass(frozen=True)
class _Sets:
    """The cheapest set around each pair at some prices."""

    price_m: Floats
    bound_m: float
    cost_m: Floats  # (P,) without prices
    lines: sparse.csr_array  # (P, lines) what each counts in the programme


class _Programme:
    """Lines: rows of each kind, filled-up households, grids, and grids around each row."""

    def __init__(self, centres: Centres, grid: Ints) -> None:
        self.centres = centres
        self.sub, self.K = centres.sub, centres.limits.K
        self.n_kinds = int(centres.alike.max()) + 1
        count = np.bincount(centres.alike).astype(np.float64)
        worth = score(self.sub, grid)
        self.value_m = worth.objective_m(centres.limits.group_cost_m)
        self.columns = Columns(
            np.concatenate((count, [0, self.K], np.zeros(self.n_kinds))),
            np.concatenate((count, [0, self.K], count)),
            penalty=_PENALTY * self.value_m,
        )
        if math.isfinite(centres.radius_m):
            self._let_fill()
        indptr = np.concatenate(([0], np.cumsum(np.bincount(grid))))
        rows = np.argsort(grid, kind="stable")
        cost_m = worth.walk_m + centres.limits.group_cost_m * worth.outside
        self.columns.add(cost_m, self._lines(worth.medoid, indptr, rows).toarray())

    def best(self, price_m: Floats, rounds: int) -> Floats:
        """The best prices met, ``price_m`` first."""
        best = self._sets(price_m)
        self._add(best, np.flatnonzero(np.isfinite(best.cost_m)))
        smooth = _SMOOTH
        for _ in range(rounds):
            value_m, _, line_price = self.columns.solve()
            if value_m - best.bound_m <= _NEAR * self.value_m:
                break
            weight = self.sub.weight.astype(np.float64)
            price = line_price[self.centres.alike] / weight
            mixed = smooth * best.price_m + (1 - smooth) * price
            sets = self._sets(np.minimum(mixed, self.centres.radius_m))
            pays = sets.cost_m - sets.lines @ line_price < -_PAYS * self.value_m
            new = np.flatnonzero(pays)
            if sets.bound_m > best.bound_m:
                best = sets
            if len(new):
                self._add(sets, new)
            elif smooth > 0:
                smooth = max(smooth - _SMOOTHER, 0.0)
            else:
                break
        return best.price_m

    def _let_fill(self) -> None:
        """Any row may be what fills a set up, and nothing that does costs less than the radius."""
        kinds = np.arange(self.n_kinds)
        weight = np.empty(self.n_kinds)
        weight[self.centres.alike] = self.sub.weight
        lines = np.zeros((self.n_kinds + 1, 2 * self.n_kinds + 2))
        lines[kinds, kinds] = 1 / weight
        lines[kinds, self.n_kinds] = -1
        lines[-1, self.n_kinds] = 1
        self.columns.add(np.append(np.zeros(self.n_kinds), self.centres.radius_m), lines)

    def _sets(self, price_m: Floats) -> _Sets:
        """The cheapest set of every pair, as a column, and what the prices prove."""
        every = np.arange(len(self.centres.row))
        value, indptr, rows = self.centres.knapsacks(price_m, every, sets=True)
        picked, times = self.centres.smallest(value, self.K)
        bound_m = float(price_m @ self.sub.weight + value[picked] @ times)
        lines = self._lines(self.centres.row, indptr, rows)
        line_price = np.zeros(lines.shape[1])
        line_price[self.centres.alike] = price_m * self.sub.weight
        line_price[self.n_kinds] = price_m.max()
        return _Sets(price_m, bound_m, value + lines @ line_price, lines)

    def _lines(self, centre: Ints, indptr: Ints, rows: Ints) -> sparse.csr_array:
        """What sets of ``rows`` around each ``centre`` count in the programme."""
        each, alike = np.arange(len(centre)), self.centres.alike
        owner = np.repeat(each, np.diff(indptr))
        households = np.bincount(owner, self.sub.weight[rows], len(centre))
        filled = np.maximum(self.centres.limits.low - households, 0)
        one = np.ones(len(centre))
        lines = np.concatenate(
            (
                alike[rows],
                np.full(len(centre), self.n_kinds),
                np.full(len(centre), self.n_kinds + 1),
                self.n_kinds + 2 + alike[centre],
            )
        )
        return sparse.csr_array(
            (
                np.concatenate((np.ones(len(rows)), filled, one, one)),
                (np.concatenate((owner, each, each, each)), lines),
            ),
            shape=(len(centre), 2 * self.n_kinds + 2),
        )

    def _add(self, sets: _Sets, which: Ints) -> None:
        self.columns.add(sets.cost_m[which], sets.lines[which].toarray())
