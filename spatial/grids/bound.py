"""How good any partition with the same number of grids could be: a Lagrangian lower bound.

Choose K pairs of a meeting row j and a main group g, give every row to exactly one of them, households
per pair within [low, high]. With a price p_i in metres per household for serving row i exactly once,
every choice of prices proves::

    objective  ≥  Σ_i w_i p_i  +  the K smallest of  V_j = min_g V_jg
    V_jg = min over closed sets S of rows with j in S and low ≤ w(S) ≤ high of
           Σ_{i in S} w_i (d_ij − p_i + c·[row i has a group other than g])

c being the cost per household outside the main group; g is −1 where no row of S has a group (and
always where c is 0). *Closed* is what is used of a grid's being in one piece, see
:mod:`spatial.grids.closed`.

Where the walks are cut off at the radius R = max(near_m), households beyond it may fill up S at
R − max(p) each, which no absent pair undercuts as long as no price exceeds R; prices are held to that.
Where row j's walks reach the whole component there is no such filler. A spot of which a row is
absent may be passed at no cost.

Prices come from a subgradient search (M. Held, P. Wolfe and H. Crowder, Mathematical Programming 6,
1974, pp. 62-88, with deflected directions). Between rounds no V_jg can fall by more than ``high``
households times the largest rise of a price near j, so only the knapsacks that might be among the K smallest
are solved. The bound is evaluated once more, in full, at the best prices in float64 and rounded down to
the millimetre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from spatial.grids.closed import Spots, cheapest_closed_sets, spots_of
from spatial.grids.problem import Floats, Ints, Sub

__all__ = ["Centres", "Limits", "lower_bound", "search_prices"]

_DEFLECTION = 0.95
_PROGRESS = 1e-5
_PATIENCE = 15
_SHORTER = 0.7
_SMALLEST_STEP = 0.002
_BATCH = 2  # knapsacks solved at a time, over K


@dataclass(frozen=True)
class Limits:
    """What the bound holds for: this many grids within these limits at this cost of mixing groups."""

    K: int
    low: int
    high: int
    group_cost_m: float


@dataclass(frozen=True)
class Centres:
    """Every meeting row with every main group that could pay: those of its near rows.

    Rows that are *alike*, of one spot with the same walks, weight, group and price, may change places;
    one of them stands for all.
    """

    sub: Sub
    limits: Limits
    spots: Spots
    alike: Ints  # a number for each row
    row: Ints  # of each pair, those of one row together
    group: Ints
    copies: Ints  # rows alike

    @staticmethod
    def of(sub: Sub, limits: Limits, price: Floats) -> Centres:
        spots = spots_of(sub)
        _, first, alike = np.unique(_kinds(sub, spots, price), axis=0, return_index=True, return_inverse=True)
        copies = np.bincount(alike)[alike]
        if limits.group_cost_m == 0:
            return Centres(sub, limits, spots, alike, first, np.full(len(first), -1), copies[first])
        row, group = _near_groups(sub.near_indptr, sub.near_indices, sub.group, np.sort(first))
        return Centres(sub, limits, spots, alike, row, group, copies[row])

    @cached_property
    def radius_m(self) -> float:
        """Where the walks were cut off; infinite where every pair of rows is present."""
        complete = len(self.sub.near_indices) == len(self.sub.rows) ** 2
        return math.inf if complete else float(self.sub.near_m.max(initial=0.0))

    def knapsacks(self, price: Floats, which: Ints, *, sets: bool = False) -> tuple[Floats, Ints, Ints]:
        """V of the pairs ``which`` and, with ``sets``, the rows of each set as lists in CSR form."""
        sub, limits = self.sub, self.limits
        filler = self.radius_m - float(price.max()) if math.isfinite(self.radius_m) else math.inf
        return cheapest_closed_sets(
            sub,
            self.spots,
            price,
            self.row[which],
            self.group[which],
            low=limits.low,
            high=min(limits.high, sub.households),
            group_cost_m=limits.group_cost_m,
            filler_m=filler,
            sets=sets,
        )

    def smallest(self, value: Floats, n: int) -> tuple[Ints, Ints]:
        """Pairs with the ``n`` smallest values, one pair of a row, and how often: as it has copies.

        Of equals the first.
        """
        starts = np.flatnonzero(np.diff(self.row, prepend=-1))
        least = np.minimum.reduceat(value, starts)
        if n < len(starts):
            likely = np.flatnonzero(least <= np.partition(least, n - 1)[n - 1])
        else:
            likely = np.arange(len(starts))
        likely = likely[np.argsort(least[likely], kind="stable")]
        copies = self.copies[starts[likely]]
        times = np.clip(n - (np.cumsum(copies) - copies), 0, copies)
        likely, times = likely[times > 0], times[times > 0]
        row = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(value)))
        at = np.flatnonzero(value == least[row])
        return at[np.searchsorted(row[at], likely)], times

    def mean(self, values: Floats) -> Floats:
        """The mean over the rows alike, for each row."""
        return (np.bincount(self.alike, values) / np.bincount(self.alike))[self.alike]


def _kinds(sub: Sub, spots: Spots, price: Floats) -> Floats:
    """What rows alike have in common; walks by a checksum."""
    draws = np.random.default_rng(2).uniform(1, 2, len(sub.rows))
    walks, reached = _checksums(sub.near_indptr, sub.near_indices, sub.near_m, draws)
    return np.column_stack((spots.of_row, sub.weight, sub.group, price, walks, reached))


def lower_bound(sub: Sub, price_m: Floats, limits: Limits) -> float:
    """The bound that ``price_m`` proves for a component. [household-metres]

    Infinite where no K sets lie within the limits; minus infinity where a price exceeds the radius although
    walks were cut off.
    """
    pairs = Centres.of(sub, limits, price_m)
    if float(price_m.max()) > pairs.radius_m:
        return -math.inf
    value, *_ = pairs.knapsacks(price_m, np.arange(len(pairs.row)))
    picked, times = pairs.smallest(value, limits.K)
    bound = float(price_m @ sub.weight) + float(value[picked] @ times)
    return math.floor(bound * 1000 - 0.5) / 1000 if math.isfinite(bound) else bound


def search_prices(sub: Sub, limits: Limits, *, value_m: float, rounds: int) -> Floats:
    """Prices with a high bound; ``value_m`` is the objective of a plan, which ends the search if met."""
    pairs = Centres.of(sub, limits, np.zeros(len(sub.rows)))
    price = np.full(len(sub.rows), min(2 * value_m / sub.households, pairs.radius_m))
    best, best_bound = price, -math.inf
    known, *_ = pairs.knapsacks(price, np.arange(len(pairs.row)))  # V, later at most V
    direction = np.zeros(len(price))
    step, stale = 1.0, 0
    for _ in range(rounds):
        picked, times = _solve_smallest(pairs, price, known)
        _, indptr, rows = pairs.knapsacks(price, picked, sets=True)
        served = np.bincount(rows, np.repeat(times, np.diff(indptr)), len(price)).astype(np.float64)
        bound = float(price @ sub.weight + known[picked] @ times)
        stale = 0 if bound > best_bound + _PROGRESS * abs(best_bound) else stale + 1
        if bound > best_bound:
            best, best_bound = price, bound
        direction = (1.0 - pairs.mean(served)) + _DEFLECTION * direction
        norm = float(sub.weight @ direction**2)
        if value_m - best_bound <= 1e-6 * value_m or norm < 1e-9 or step < _SMALLEST_STEP:
            break
        if stale >= _PATIENCE:
            step, stale, direction = _SHORTER * step, 0, np.zeros(len(price))
            new = best
        else:
            far = step * max(value_m - bound, 0.0) / norm
            new = np.minimum(price + far * direction, pairs.radius_m)
        known -= _largest_fall(pairs, price, new)
        price = new
    return best


def _largest_fall(pairs: Centres, price: Floats, new: Floats) -> Floats:
    """How much V of each pair may fall at most from one price to another."""
    sub = pairs.sub
    rise = _largest_near(sub.near_indptr, sub.near_indices, np.maximum(new - price, 0.0))
    filler = max(float(new.max() - price.max()), 0.0)
    return pairs.limits.high * np.maximum(rise[pairs.row], filler)


def _solve_smallest(pairs: Centres, price: Floats, known: Floats) -> tuple[Ints, Ints]:
    """The K pairs with the smallest V, which is left in ``known`` beside a floor for the others."""
    exact = np.zeros(len(known), bool)
    while True:
        picked, times = pairs.smallest(known, pairs.limits.K)
        if exact[picked].all():
            return picked, times
        likely, _ = pairs.smallest(known, _BATCH * pairs.limits.K)
        guessed = likely[~exact[likely]]
        known[guessed], *_ = pairs.knapsacks(price, guessed)
        exact[guessed] = True


@njit(cache=True, nogil=True)
def _largest_near(indptr, indices, value):  # type: ignore[no-untyped-def]
    """The largest value among the near rows of each row."""
    out = np.zeros(len(indptr) - 1)
    for row in range(len(out)):
        for at in range(indptr[row], indptr[row + 1]):
            out[row] = max(out[row], value[indices[at]])
    return out


# The walks are nearly all of the memory: nothing below is as long as they are.


@njit(cache=True, nogil=True)
def _checksums(indptr, indices, walk_m, draws):  # type: ignore[no-untyped-def]
    """Sums over the near rows of each row: walks weighed by draws, and the draws."""
    walks, reached = np.zeros(len(indptr) - 1), np.zeros(len(indptr) - 1)
    for row in range(len(walks)):
        for at in range(indptr[row], indptr[row + 1]):
            walks[row] += walk_m[at] * draws[indices[at]]
            reached[row] += draws[indices[at]]
    return walks, reached


@njit(cache=True, nogil=True)
def _near_groups(indptr, indices, group, rows):  # type: ignore[no-untyped-def]
    """Every one of ``rows`` with every group among its near rows, in their order."""
    last_seen = np.full(group.max() + 2, -1, np.int64)  # by group, the one without a group first
    n_pairs = 0
    for row in rows:
        for at in range(indptr[row], indptr[row + 1]):
            name = group[indices[at]] + 1
            n_pairs += last_seen[name] != row
            last_seen[name] = row
    last_seen[:] = -1
    owner, found = np.empty(n_pairs, np.int64), np.empty(n_pairs, np.int64)
    n = 0
    for row in rows:
        first = n
        for at in range(indptr[row], indptr[row + 1]):
            name = group[indices[at]]
            if last_seen[name + 1] != row:
                last_seen[name + 1] = row
                owner[n], found[n] = row, name
                n += 1
        found[first:n].sort()
    return owner, found
