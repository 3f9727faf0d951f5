"""How good any partition with the same number of grids could be: a Lagrangian lower bound.

The assignment model drops contiguity: choose K meeting rows, give every row to exactly one of them,
households per meeting row within [low, high]. With a price p_i in metres per household for serving
row i exactly once, every choice of prices proves::

    objective  ≥  Σ_i w_i p_i  +  the K smallest V_j
    V_j = min over groups g and sets S of rows with j in S and low ≤ w(S) ≤ high of
          Σ_{i in S} w_i (d_ij − p_i + c·[row i has a group other than g])

c being the cost per household outside the main group: taking the best g is what the main group does.
V_j is an exact knapsack. Where the walks are cut off at the radius R = max(near_m), households beyond
it may fill up S at R − max(p) each, which no absent pair undercuts as long as no price exceeds R;
prices are held to that. Where row j's walks reach the whole component there is no such filler.

Prices come from a subgradient search (M. Held, P. Wolfe and H. Crowder, Mathematical Programming 6,
1974, pp. 62-88, with deflected directions); the bound is evaluated once more at the best prices in
float64 and rounded down to the millimetre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from spatial.grids.problem import Floats, Sub

__all__ = ["Limits", "lower_bound", "search_prices"]

_DEFLECTION = 0.6
_PATIENCE = 6
_SMALLEST_STEP = 0.005


@dataclass(frozen=True)
class Limits:
    """What the bound holds for: this many grids within these limits at this cost of mixing groups."""

    K: int
    low: int
    high: int
    group_cost_m: float


def lower_bound(sub: Sub, price_m: Floats, limits: Limits) -> float:
    """The bound that ``price_m`` proves for a component. [household-metres]

    Minus infinity where a price exceeds the radius although walks were cut off.
    """
    bound, _ = _evaluate(sub, price_m, limits)
    return math.floor(bound * 1000 - 0.5) / 1000 if math.isfinite(bound) else -math.inf


def search_prices(sub: Sub, price_m: Floats, limits: Limits, *, value_m: float, rounds: int) -> Floats:
    """Raise the bound from the prices given, for so many rounds; ``value_m`` is a plan's objective."""
    radius_m = _radius(sub)
    price = np.minimum(price_m, radius_m)
    best, best_bound = price, -math.inf
    direction = np.zeros(len(price))
    step, stale = 1.0, 0
    for _ in range(rounds):
        bound, served = _evaluate(sub, price, limits)
        if not math.isfinite(bound):
            break
        stale = 0 if bound > best_bound + 1e-7 * abs(best_bound) else stale + 1
        if bound > best_bound:
            best, best_bound = price, bound
        if value_m - best_bound <= 1e-6 * value_m:
            break
        if stale >= _PATIENCE:
            step, stale = step / 2, 0
            price, direction = best, np.zeros(len(price))
            if step < _SMALLEST_STEP:
                break
            continue
        direction = (1.0 - served) + _DEFLECTION * direction
        norm = float(sub.weight @ direction**2)
        if norm < 1e-9:
            break
        price = np.minimum(price + step * max(value_m * 1.002 - bound, 0.0) / norm * direction, radius_m)
    return best


def _radius(sub: Sub) -> float:
    """Where the walks were cut off; infinite where every pair of the component is present."""
    complete = len(sub.near_indices) == len(sub.rows) ** 2
    return math.inf if complete else float(sub.near_m.max(initial=0.0))


def _evaluate(sub: Sub, price: Floats, limits: Limits) -> tuple[float, Floats]:
    """The bound at these prices, and how often each row lies in the sets that give it."""
    radius_m = _radius(sub)
    filler = radius_m - float(price.max()) if math.isfinite(radius_m) else math.inf
    m = len(sub.rows)
    if filler < 0:
        return -math.inf, np.zeros(m)
    fixed = (sub.near_indptr, sub.near_indices, sub.near_m, sub.weight, sub.group, price)
    rest = (limits.low, min(limits.high, sub.households), limits.group_cost_m, filler)
    value, main, _ = _solve_knapsacks(*fixed, np.arange(m), np.full(m, -3), *rest)
    opened = np.argsort(value, kind="stable")[: limits.K]
    _, _, served = _solve_knapsacks(*fixed, opened, main[opened], *rest)
    return float(price @ sub.weight) + float(value[opened].sum()), served


@njit(cache=True, nogil=True)
def _solve_knapsacks(  # type: ignore[no-untyped-def]
    near_indptr, near_indices, near_m, weight, group, price, centres, main, low, high, group_cost_m, filler
):
    """V_j of each centre j, the group that gives it, and how often each row is served.

    ``main`` −3 tries every group among the rows near a centre and leaves the service uncounted.
    """
    n = len(weight)
    every = weight.sum()
    n_groups = 1
    if group_cost_m > 0:
        for row in range(n):
            n_groups = max(n_groups, group[row] + 1)
    value = np.full(len(centres), np.inf)
    best_main = np.full(len(centres), -1, np.int64)
    served = np.zeros(n)
    group_seen = np.full(n_groups, -1, np.int64)
    to_try = np.empty(n_groups, np.int64)
    widest = 0
    for row in range(n):
        widest = max(widest, near_indptr[row + 1] - near_indptr[row])
    plain = np.empty(widest)  # cost of rows with one household
    plain_row = np.empty(widest, np.int64)
    heavy_row = np.empty(widest, np.int64)
    heavy_cost = np.empty(widest)
    least = np.empty(high + 1)  # cheapest heavy rows by households
    for at_centre in range(len(centres)):
        centre = centres[at_centre]
        if weight[centre] > high:
            continue
        count = main[at_centre] != -3
        reached = 0
        n_try = 0
        for at in range(near_indptr[centre], near_indptr[centre + 1]):
            row = near_indices[at]
            reached += weight[row]
            if not count and group_cost_m > 0 and group[row] >= 0 and group_seen[group[row]] != at_centre:
                group_seen[group[row]] = at_centre
                to_try[n_try] = group[row]
                n_try += 1
        if n_try == 0:
            to_try[0] = main[at_centre] if count else -1
            n_try = 1
        fill = filler if reached < every else np.inf
        for at_try in range(n_try):
            g = to_try[at_try]
            n_plain = 0
            n_heavy = 0
            fixed = 0.0
            n_negative = 0
            for at in range(near_indptr[centre], near_indptr[centre + 1]):
                row = near_indices[at]
                each = near_m[at] - price[row]
                if group[row] >= 0 and group[row] != g:
                    each += group_cost_m
                if row == centre:
                    fixed = each * weight[row]
                elif weight[row] == 1:
                    if each < fill:
                        plain[n_plain] = each
                        plain_row[n_plain] = row
                        n_plain += 1
                    if each < 0:
                        n_negative += 1
                elif weight[row] <= high:
                    heavy_row[n_heavy] = row
                    heavy_cost[n_heavy] = each * weight[row]
                    n_heavy += 1
            if n_heavy == 0 and n_negative + weight[centre] >= low:
                kept = 0
                for k in range(n_plain):
                    if plain[k] < 0:
                        plain[kept] = plain[k]
                        plain_row[kept] = plain_row[k]
                        kept += 1
                n_plain = kept
            rank = np.argsort(plain[:n_plain])
            running = np.empty(n_plain + 1)
            running[0] = 0.0
            for k in range(n_plain):
                running[k + 1] = running[k] + plain[rank[k]]
            for size in range(high + 1):
                least[size] = np.inf
            least[weight[centre]] = fixed
            taken = np.zeros((n_heavy if count else 0, high + 1), np.bool_)
            for k in range(n_heavy):
                w = weight[heavy_row[k]]
                for size in range(high, w - 1, -1):
                    other = least[size - w] + heavy_cost[k]
                    if other < least[size]:
                        least[size] = other
                        if count:
                            taken[k, size] = True
            best = np.inf
            best_size = -1
            best_plain = 0
            for size in range(weight[centre], high + 1):
                if least[size] == np.inf:
                    continue
                short = max(low - size, 0)
                n_take = min(max(n_negative, short), high - size, n_plain)
                if n_take < short and fill == np.inf:
                    continue
                cost = least[size] + running[n_take]
                if n_take < short:
                    cost += (short - n_take) * fill
                if cost < best:
                    best = cost
                    best_size = size
                    best_plain = n_take
            if best < value[at_centre]:
                value[at_centre] = best
                best_main[at_centre] = g
            if count and best_size >= 0:
                served[centre] += 1
                for k in range(best_plain):
                    served[plain_row[rank[k]]] += 1
                size = best_size
                for k in range(n_heavy - 1, -1, -1):
                    if taken[k, size]:
                        served[heavy_row[k]] += 1
                        size -= weight[heavy_row[k]]
    return value, best_main, served
