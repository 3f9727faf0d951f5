"""What sites with room for so much can do at best, by prices of being served.

With a price per unit of weight of each row, a site is worth the best load it has room for, a row's part in
it being what its walk falls short of its price: a knapsack, in whole rows where weights are small whole
numbers and in shares of rows elsewhere [1]_. The fixed sites and the best others up to the number, and the
prices themselves, bound what any choice costs; subgradient steps make the bound high.

References
----------
.. [1] A. Ceselli and G. Righini, "A branch-and-price algorithm for the capacitated p-median problem",
   Networks 45, 2005, pp. 125-142.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spatial.solve.rooms import Pairs

__all__ = ["Priced", "best_prices", "is_whole", "needless_pairs"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

PATIENCE = 20  # rounds without gain before the step is halved
LEAST_STEP = 1e-3
WHOLE = 1000  # capacities up to which loads are of whole rows
SAME_VALUE = 1e-9  # of the value


@dataclass(frozen=True)
class Priced:
    """A bound on the cost of any choice that serves as much, and the prices that prove it."""

    value: float
    price: FloatArray  # (m,) per unit of weight
    worth: FloatArray  # (k,) of each site, not above 0
    chosen: BoolArray  # (k,) the sites the bound takes


@dataclass(frozen=True)
class _Task:
    by_site: IntArray
    row: IntArray
    cost: FloatArray
    weight: FloatArray
    capacity: FloatArray
    fixed: BoolArray
    free: BoolArray
    n: int
    may_be_out: float
    most: float
    whole: bool

    @property
    def lists(self) -> tuple[IntArray, IntArray, FloatArray, FloatArray, FloatArray]:
        return self.by_site, self.row, self.cost, self.weight, self.capacity


def best_prices(
    pairs: Pairs,
    capacity: FloatArray,
    start: FloatArray,
    *,
    fixed: BoolArray,
    free: BoolArray,
    n: int,
    may_be_out: float,
    most: float,
    target: float,
    rounds: int,
) -> Priced:
    """Raise the bound from some prices by subgradient steps.

    Parameters
    ----------
    pairs, capacity, fixed, free
        As for :func:`spatial.solve.rooms.assigned_by_search`.
    start : (m,) array
        Prices to begin with.
    n : int
        Most sites besides the fixed ones.
    may_be_out : float
        Weight of the rows of ``pairs`` that may be left out; the bound holds for choices that serve the rest.
    most : float
        Cost of leaving a row out per unit of weight, which no price need exceed; infinite where it has none.
    target : float
        Cost of a choice.
    rounds : int
    """
    task = _Task(
        *_by_site(pairs), pairs.weight, capacity, fixed, free, n, may_be_out, most, is_whole(pairs.weight)
    )
    weight, total = pairs.weight, float(pairs.weight.sum())
    some_out = may_be_out > 1e-9 and np.isinf(most)
    here = best = _priced(task, start)
    cap = float(here.price.max(initial=0.0))
    step, since = 1.0, 0
    for _ in range(rounds):
        used = _used(*task.lists, here.price, here.chosen, task.whole)
        slope = 1.0 - used
        slope[(here.price >= most) & (slope > 0)] = 0.0
        far_slope = float(weight @ (1.0 - used)) - may_be_out if some_out else 0.0
        if some_out:  # what a row is worth is at most the price of leaving it out
            slope[(here.price >= cap) & (slope > 0)] = 0.0
        size = float(weight @ slope**2) + far_slope**2 / max(total, 1e-9)
        if size == 0 or target - best.value <= SAME_VALUE * abs(target) or step < LEAST_STEP:
            break
        move = step * max(target - here.value, 1e-4 * abs(target)) / size
        price = here.price + move * slope
        if some_out:
            cap = max(0.0, cap + move * far_slope / total)
            price = np.minimum(price, cap)
        here = _priced(task, price)
        since += 1
        if here.value > best.value:
            best, since = here, 0
        elif since == PATIENCE:
            here, step, since = best, step / 2, 0
            cap = float(here.price.max(initial=0.0))
    return best


def needless_pairs(
    found: Priced,
    pairs: Pairs,
    capacity: FloatArray,
    *,
    fixed: BoolArray,
    free: BoolArray,
    n: int,
    spare: float,
) -> BoolArray:
    """Pairs that no choice better than the bound plus ``spare`` uses: (p,).

    A site that is not among the best puts the last of them out; a row in a load that would rather not have
    it costs what it exceeds its price by, and in the load of shares what it puts out [1]_.
    """
    worth = np.where(free, found.worth, np.inf)
    taken = found.chosen & free
    last = float(worth[taken].max()) if int(taken.sum()) >= n and taken.any() else 0.0
    enter = np.where(found.chosen, 0.0, np.maximum(found.worth - last, 0.0))
    share, value = _shares(*_by_site(pairs), pairs.weight, capacity, found.price)
    site, weight = pairs.site, pairs.weight[pairs.row]
    short = found.price[pairs.row] - pairs.cost
    dear = np.maximum(found.worth[site], 0.0) + weight * np.maximum(-short, 0.0)
    in_shares = (value - found.worth)[site] + weight * np.maximum(share[site] - short, 0.0)
    return np.asarray(enter[site] + np.maximum(dear, in_shares) > spare + 1e-9) | ~(fixed | free)[site]


def is_whole(weight: FloatArray) -> bool:
    """Whether all weights are whole numbers."""
    return bool((weight == np.rint(weight)).all())


def _by_site(pairs: Pairs) -> tuple[IntArray, IntArray, FloatArray]:
    """The rows and costs of the pairs as they are read, site after site, cheapest first."""
    return pairs.by_site, pairs.row[pairs.entry], pairs.cost[pairs.entry]


def _priced(task: _Task, price: FloatArray) -> Priced:
    """The bound at these prices.

    Each row's price is paid, and given back for those left out at the dearest: ``sum(weight * price)``
    less ``max(price) * may_be_out``, or with prices of at most ``most`` nothing.
    """
    price = np.minimum(price, task.most)
    worth = _worth(*task.lists, price, task.whole)
    best = np.flatnonzero(task.free & (worth < 0))
    chosen = task.fixed.copy()
    chosen[best[np.argsort(worth[best], kind="stable")[: task.n]]] = True
    given_back = 0.0
    if np.isinf(task.most) and task.may_be_out > 0:
        given_back = max(0.0, float(price.max(initial=0.0))) * task.may_be_out
    value = float(task.weight @ price + worth[chosen].sum()) - given_back
    return Priced(value, price, worth, chosen)


@njit(cache=True)
def _load(
    j: int,
    by_site: IntArray,
    row: IntArray,
    cost: FloatArray,
    weight: FloatArray,
    capacity: FloatArray,
    price: FloatArray,
    dearest: float,
    whole: bool,
    item: IntArray,
    gain: FloatArray,
    part: FloatArray,
) -> tuple[int, float, float]:
    """The best load of a site: how many rows come into question, what it is worth, the last row's gain.

    The rows go into ``item``, and how much of each is taken into ``part``.
    """
    n, load = 0, 0.0
    for a in range(by_site[j], by_site[j + 1]):
        if cost[a] >= dearest:
            break
        i = row[a]
        less = price[i] - cost[a]
        if less > 0.0 and weight[i] <= capacity[j] + 1e-9:
            item[n], gain[n], part[n] = i, less, 1.0
            load += weight[i]
            n += 1
    worth = 0.0
    if load <= capacity[j] + 1e-9:
        for a in range(n):
            worth -= weight[item[a]] * gain[a]
        return n, worth, 0.0
    if whole and capacity[j] <= WHOLE:
        return n, _whole_load(n, int(capacity[j] + 1e-9), weight, item, gain, part), 0.0
    left, last = capacity[j], 0.0
    part[:n] = 0.0
    for a in np.argsort(-gain[:n], kind="mergesort"):
        part[a] = min(1.0, left / weight[item[a]])
        worth -= part[a] * weight[item[a]] * gain[a]
        left -= part[a] * weight[item[a]]
        last = gain[a]
        if left <= 1e-12:
            break
    return n, worth, last


@njit(cache=True)
def _whole_load(
    n: int, room: int, weight: FloatArray, item: IntArray, gain: FloatArray, part: FloatArray
) -> float:
    """The best load of whole rows, room by room."""
    best = np.zeros(room + 1)
    takes = np.zeros((n, room + 1), np.bool_)
    for a in range(n):
        w = int(weight[item[a]])
        value = w * gain[a]
        for r in range(room, w - 1, -1):
            if best[r - w] + value > best[r]:
                best[r] = best[r - w] + value
                takes[a, r] = True
    r = room
    for a in range(n - 1, -1, -1):
        part[a] = 1.0 if takes[a, r] else 0.0
        if takes[a, r]:
            r -= int(weight[item[a]])
    return -best[room]


@njit(cache=True)
def _worth(
    by_site: IntArray,
    row: IntArray,
    cost: FloatArray,
    weight: FloatArray,
    capacity: FloatArray,
    price: FloatArray,
    whole: bool,
) -> FloatArray:
    """What the best load of each site is worth."""
    worth = np.zeros(len(capacity))
    item, gain, part = np.empty(len(weight), np.int64), np.empty(len(weight)), np.empty(len(weight))
    dearest = price.max()
    for j in range(len(capacity)):
        worth[j] = _load(j, by_site, row, cost, weight, capacity, price, dearest, whole, item, gain, part)[1]
    return worth


@njit(cache=True)
def _used(
    by_site: IntArray,
    row: IntArray,
    cost: FloatArray,
    weight: FloatArray,
    capacity: FloatArray,
    price: FloatArray,
    chosen: BoolArray,
    whole: bool,
) -> FloatArray:
    """How much of each row is in the loads of some sites."""
    used = np.zeros(len(weight))
    item, gain, part = np.empty(len(weight), np.int64), np.empty(len(weight)), np.empty(len(weight))
    dearest = price.max()
    for j in range(len(chosen)):
        if not chosen[j]:
            continue
        n = _load(j, by_site, row, cost, weight, capacity, price, dearest, whole, item, gain, part)[0]
        for a in range(n):
            used[item[a]] += part[a]
    return used


@njit(cache=True)
def _shares(
    by_site: IntArray,
    row: IntArray,
    cost: FloatArray,
    weight: FloatArray,
    capacity: FloatArray,
    price: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The gain of the row that the best load in shares cuts off at each site, and what that load is worth."""
    last, worth = np.zeros(len(capacity)), np.zeros(len(capacity))
    item, gain, part = np.empty(len(weight), np.int64), np.empty(len(weight)), np.empty(len(weight))
    dearest = price.max()
    for j in range(len(capacity)):
        _, worth[j], last[j] = _load(
            j, by_site, row, cost, weight, capacity, price, dearest, False, item, gain, part
        )
    return last, worth
