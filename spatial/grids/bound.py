"""How good any partition with the same number of grids could be: a Lagrangian lower bound.

The assignment model drops contiguity: choose K pairs of a meeting row j and a main group g, give every
row to exactly one of them, households per pair within [low, high]. With a price p_i in metres per
household for serving row i exactly once, every choice of prices proves::

    objective  ≥  Σ_i w_i p_i  +  the K smallest V_jg
    V_jg = min over sets S of rows with j in S and low ≤ w(S) ≤ high of
           Σ_{i in S} w_i (d_ij − p_i + c·[row i has a group other than g])

c being the cost per household outside the main group; g is −1 where no row of S has a group (and
always where c is 0). V_jg is an exact knapsack. Where the walks are cut off at the radius R = max(near_m),
households beyond it may fill up S at R − max(p) each, which no absent pair undercuts as long as no
price exceeds R; prices are held to that. Where row j's walks reach the whole component there is no
such filler.

Prices come from a subgradient search (M. Held, P. Wolfe and H. Crowder, Mathematical Programming 6,
1974, pp. 62-88, with deflected directions). Between rounds no V_jg can fall by more than ``high``
households times the largest rise of a price, so only the knapsacks that might be among the K smallest
are solved. The bound is evaluated once more, in full, at the best prices in float64 and rounded down to
the millimetre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from spatial.grids.problem import Floats, Ints, Sub

__all__ = ["Limits", "lower_bound", "search_prices"]

_DEFLECTION = 0.6
_PATIENCE = 6
_SMALLEST_STEP = 0.005
_BATCH = 4  # knapsacks solved at a time, over K


@dataclass(frozen=True)
class Limits:
    """What the bound holds for: this many grids within these limits at this cost of mixing groups."""

    K: int
    low: int
    high: int
    group_cost_m: float


@dataclass(frozen=True)
class _Pairs:
    """Every meeting row with every main group that could pay: those of its near rows."""

    sub: Sub
    limits: Limits
    row: Ints
    group: Ints

    @staticmethod
    def of(sub: Sub, limits: Limits) -> _Pairs:
        m = len(sub.rows)
        if limits.group_cost_m == 0:
            return _Pairs(sub, limits, np.arange(m), np.full(m, -1))
        owner = np.repeat(np.arange(m), np.diff(sub.near_indptr))
        pairs = np.unique(np.column_stack((owner, sub.group[sub.near_indices])), axis=0)
        return _Pairs(sub, limits, pairs[:, 0].copy(), pairs[:, 1].copy())

    @property
    def radius_m(self) -> float:
        """Where the walks were cut off; infinite where every pair of rows is present."""
        complete = len(self.sub.near_indices) == len(self.sub.rows) ** 2
        return math.inf if complete else float(self.sub.near_m.max(initial=0.0))

    def knapsacks(self, price: Floats, which: Ints, *, count: bool) -> tuple[Floats, Floats]:
        """V of the pairs ``which`` and, if ``count``, how often each row lies in their sets."""
        sub, limits = self.sub, self.limits
        filler = self.radius_m - float(price.max()) if math.isfinite(self.radius_m) else math.inf
        return _knapsacks(
            sub.near_indptr,
            sub.near_indices,
            sub.near_m,
            sub.weight,
            sub.group,
            price,
            self.row[which],
            self.group[which],
            count,
            limits.low,
            min(limits.high, sub.households),
            limits.group_cost_m,
            filler,
        )


def lower_bound(sub: Sub, price_m: Floats, limits: Limits) -> float:
    """The bound that ``price_m`` proves for a component. [household-metres]

    Infinite where no K sets lie within the limits; minus infinity where a price exceeds the radius although
    walks were cut off.
    """
    pairs = _Pairs.of(sub, limits)
    if float(price_m.max()) > pairs.radius_m:
        return -math.inf
    value, _ = pairs.knapsacks(price_m, np.arange(len(pairs.row)), count=False)
    bound = float(price_m @ sub.weight) + float(value[_smallest(value, limits.K)].sum())
    return math.floor(bound * 1000 - 0.5) / 1000 if math.isfinite(bound) else bound


def search_prices(sub: Sub, limits: Limits, *, value_m: float, rounds: int) -> Floats:
    """Prices with a high bound; ``value_m`` is the objective of a plan, which ends the search if met."""
    pairs = _Pairs.of(sub, limits)
    price = np.full(len(sub.rows), min(2 * value_m / sub.households, pairs.radius_m))
    best, best_bound = price, -math.inf
    known, _ = pairs.knapsacks(price, np.arange(len(pairs.row)), count=False)  # V, later at most V
    direction = np.zeros(len(price))
    step, stale = 1.0, 0
    for _ in range(rounds):
        picked = _solve_smallest(pairs, price, known)
        _, served = pairs.knapsacks(price, picked, count=True)
        bound = float(price @ sub.weight + known[picked].sum())
        stale = 0 if bound > best_bound + 1e-6 * abs(best_bound) else stale + 1
        if bound > best_bound:
            best, best_bound = price, bound
        direction = (1.0 - served) + _DEFLECTION * direction
        norm = float(sub.weight @ direction**2)
        if value_m - best_bound <= 1e-6 * value_m or norm < 1e-9 or step < _SMALLEST_STEP:
            break
        if stale >= _PATIENCE:
            step, stale, direction = step / 2, 0, np.zeros(len(price))
            new = best
        else:
            far = step * max(value_m * 1.002 - bound, 0.0) / norm
            new = np.minimum(price + far * direction, pairs.radius_m)
        known -= limits.high * max(float((new - price).max()), 0.0)
        price = new
    return best


def _smallest(value: Floats, n: int) -> Ints:
    """Places of the ``n`` smallest, in order of place; of equals the first."""
    if n >= len(value):
        return np.arange(len(value))
    low = np.flatnonzero(value <= np.partition(value, n - 1)[n - 1])
    return np.sort(low[np.argsort(value[low], kind="stable")[:n]])


def _solve_smallest(pairs: _Pairs, price: Floats, known: Floats) -> Ints:
    """The K pairs with the smallest V, which is left in ``known`` beside a floor for the others."""
    exact = np.zeros(len(known), bool)
    while True:
        picked = _smallest(known, pairs.limits.K)
        if exact[picked].all():
            return picked
        likely = _smallest(known, _BATCH * pairs.limits.K)
        guessed = likely[~exact[likely]]
        known[guessed], _ = pairs.knapsacks(price, guessed, count=False)
        exact[guessed] = True


@njit(cache=True, nogil=True)
def _knapsacks(  # type: ignore[no-untyped-def]
    near_indptr,
    near_indices,
    near_m,
    weight,
    group,
    price,
    centres,
    mains,
    count,
    low,
    high,
    group_cost_m,
    filler,
):
    """Cheapest set around each centre with its main group and, if ``count``, how often each row is in one.

    Rows of one household are taken in order of cost; heavier ones by a programme over their households.
    """
    n = len(weight)
    every = weight.sum()
    value = np.full(len(centres), np.inf)
    served = np.zeros(n)
    widest = 0
    for row in range(n):
        widest = max(widest, near_indptr[row + 1] - near_indptr[row])
    light = np.empty(widest)
    light_row = np.empty(widest, np.int64)
    heavy = np.empty(widest)
    heavy_row = np.empty(widest, np.int64)
    running = np.empty(widest + 1)
    least = np.empty(high + 1)
    taken = np.zeros((widest if count else 0, high + 1), np.bool_)
    for at_centre in range(len(centres)):
        centre = centres[at_centre]
        if weight[centre] > high:
            continue
        reached = 0
        n_light = 0
        n_heavy = 0
        n_negative = 0
        own = 0.0
        for at in range(near_indptr[centre], near_indptr[centre + 1]):
            row = near_indices[at]
            w = weight[row]
            reached += w
            each = near_m[at] - price[row]
            if group[row] >= 0 and group[row] != mains[at_centre]:
                each += group_cost_m
            if row == centre:
                own = each * w
            elif w == 1:
                light[n_light] = each
                light_row[n_light] = row
                n_light += 1
                n_negative += each < 0
            elif w <= high:
                heavy[n_heavy] = each * w
                heavy_row[n_heavy] = row
                n_heavy += 1
        fill = filler if reached < every else np.inf
        if n_heavy == 0 and n_negative + weight[centre] >= low:
            kept = 0
            for k in range(n_light):
                if light[k] < 0:
                    light[kept] = light[k]
                    light_row[kept] = light_row[k]
                    kept += 1
            n_light = kept
        rank = np.argsort(light[:n_light])
        running[0] = 0.0
        n_light = min(n_light, high)
        for k in range(n_light):
            running[k + 1] = running[k] + min(light[rank[k]], fill)
        for size in range(high + 1):
            least[size] = np.inf
        least[weight[centre]] = own
        top = weight[centre]
        for k in range(n_heavy):
            w = weight[heavy_row[k]]
            top = min(top + w, high)
            for size in range(top, w - 1, -1):
                better = least[size - w] + heavy[k] < least[size]
                if better:
                    least[size] = least[size - w] + heavy[k]
                if count:
                    taken[k, size] = better
        best = np.inf
        best_size = -1
        best_light = 0
        for size in range(weight[centre], top + 1):
            short = max(low - size, 0)
            n_take = min(max(n_negative, short), high - size, n_light)
            if least[size] == np.inf or (n_take < short and fill == np.inf):
                continue
            cost = least[size] + running[n_take]
            if n_take < short:
                cost += (short - n_take) * fill
            if cost < best:
                best = cost
                best_size = size
                best_light = n_take
        value[at_centre] = best
        if not count or best_size < 0:
            continue
        served[centre] += 1
        for k in range(best_light):
            served[light_row[rank[k]]] += 1
        for k in range(n_heavy - 1, -1, -1):
            if best_size >= weight[heavy_row[k]] and taken[k, best_size]:
                served[heavy_row[k]] += 1
                best_size -= weight[heavy_row[k]]
    return value, served
