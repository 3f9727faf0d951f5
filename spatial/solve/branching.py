"""Branch and bound on the sites of a p-median, bounded by prices.

A part of the search says of some sites that they are chosen and of others that they are not. Its bound is
the Lagrangian one of :mod:`spatial.solve.median`, bettered by a few rounds of subgradient from the prices of
the part it was divided from [1]_; each round settles the sites whose other answer would push the bound above
the best value, and its own choice may be a better one. What stays open is divided at the site the rounds
choose most. The search is depth first, the half with the site before the one without.

Where sites are few and the relaxation is weak this proves what the exact programme can't. Work is counted in
pairs of a row and a site looked at.

References
----------
.. [1] J. E. Beasley, "Lagrangean heuristics for location problems", European Journal of Operational Research
   65, 1993, pp. 383-399.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spatial.settings import Effort

__all__ = ["Branched", "Lists", "branched"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
AnswerArray = NDArray[np.int8]

PAIRS: dict[Effort, float] = {"quick": 4e8, "normal": 4e9, "thorough": 4e10}  # looked at
TRIAL = 5e7  # pairs after which the search goes on only if it gets on
GOT_ON = 0.002  # of the halves of halves that must be done by then
STACK_BYTES = 2e8
FIRST_ROUNDS, ROUNDS = 100, 20  # of the subgradient, in the first part and in any other
PATIENCE = 5  # rounds without gain before the step is halved
LEAST_STEP = 0.01
GAIN = 1e-4  # of the distance to the best value: less is none
OPEN, CHOSEN, LEFT = 0, 1, 2  # what is known of a site


class Lists(NamedTuple):
    """Rows with their sites in order of cost."""

    indptr: IntArray  # (m + 1,)
    site: IntArray  # (p,)
    cost: FloatArray  # (p,)
    weight: FloatArray  # (m,)
    most: FloatArray  # (m,) cost of a row none of whose sites is chosen; may be infinite


class Branched(NamedTuple):
    """What the search found: nothing is better than ``chosen`` where it was finished."""

    chosen: BoolArray
    bound: float
    finished: bool


def branched(
    lists: Lists,
    *,
    chosen: BoolArray,
    value: float,
    step: float,
    price: FloatArray,
    fixed: BoolArray,
    free: BoolArray,
    n: int,
    effort: Effort,
) -> Branched:
    """The best choice of at most ``n`` sites besides the fixed ones, if the work allowed is enough.

    Parameters
    ----------
    lists : Lists
    chosen, value : (k,) array of bool, float
        A choice and its cost, to be bettered.
    step : float, above 0
        A choice is better only if it costs less by as much: 1 where all costs are whole.
    price : (m,) array
        Prices of the rows to begin with.
    fixed, free : (k,) array of bool
        Sites that always count, and sites that may be chosen.
    """
    sites = np.flatnonzero(fixed | free)
    number = np.full(len(fixed), -1, dtype=np.int64)
    number[sites] = np.arange(len(sites))
    keep = number[lists.site] >= 0
    kept = np.concatenate([[0], np.cumsum(keep)])
    lists = lists._replace(indptr=kept[lists.indptr], site=number[lists.site[keep]], cost=lists.cost[keep])
    first = np.where(fixed[sites], CHOSEN, OPEN).astype(np.int8)
    depth = int(min(len(sites) + 2, STACK_BYTES / (8 * len(lists.weight) + len(sites) + 16)))
    best = chosen[sites].copy()
    bound, finished = _search(
        lists, first, price, n + int(fixed.sum()), value, step, best, depth, PAIRS[effort]
    )
    result = np.zeros(len(fixed), dtype=bool)
    result[sites[best]] = True
    return Branched(result, bound, finished)


@njit(cache=True)
def _search(
    lists: Lists,
    first: AnswerArray,
    first_price: FloatArray,
    n: int,
    value: float,
    step: float,
    best: BoolArray,
    depth: int,
    pairs: float,
) -> tuple[float, bool]:
    """Divide and bound; ``best`` gets the best choice. The bound, and whether every part was finished."""
    m, k = len(lists.weight), len(first)
    waiting = np.empty((depth, k), np.int8)  # a stack of parts
    prices = np.empty((depth, m))
    floor, size = np.empty(depth), np.empty(depth)
    waiting[0], prices[0], floor[0], size[0] = first, first_price, -np.inf, 1.0
    known, share, price = np.empty(k, np.int8), np.empty(k), np.empty(m)
    n_waiting, seen, done, tried = 1, 0.0, 0.0, depth < 3
    while n_waiting > 0:
        if not tried and seen > TRIAL:
            tried = True
            if done < GOT_ON:
                break
        if seen > pairs or n_waiting + 1 > depth:
            break
        n_waiting -= 1
        known[:], price[:] = waiting[n_waiting], prices[n_waiting]
        here, part = floor[n_waiting], size[n_waiting]
        if here <= value - step:
            rounds = FIRST_ROUNDS if part == 1.0 else ROUNDS
            here, value, used = _bounded(lists, known, price, share, n, value, step, rounds, best)
            seen += used
        if here > value - step:
            done += part
            continue
        at = -1
        for j in range(k):
            if known[j] == OPEN and (at < 0 or share[j] > share[at]):
                at = j
        for answer in (LEFT, CHOSEN):
            waiting[n_waiting], prices[n_waiting] = known, price
            waiting[n_waiting, at] = answer
            floor[n_waiting], size[n_waiting] = here, part / 2
            n_waiting += 1
    bound = value
    for a in range(n_waiting):
        bound = min(bound, floor[a])
    return bound, n_waiting == 0


@njit(cache=True)
def _bounded(
    lists: Lists,
    known: AnswerArray,
    price: FloatArray,
    share: FloatArray,
    n: int,
    value: float,
    step: float,
    rounds: int,
    best: BoolArray,
) -> tuple[float, float, float]:
    """The bound of a part, infinite where nothing better is in it, the best value, and the pairs looked at.

    ``known`` gets the sites settled, ``price`` the best prices and ``share`` how often a site was chosen
    lately; ``best`` gets a better choice.
    """
    k = len(known)
    worth, taken = np.empty(k), np.empty(k, np.bool_)
    now, slope = price.copy(), np.empty(len(price))
    share[:] = 0.5
    bound, length, since, seen = -np.inf, 1.0, 0, 0.0
    for r in range(rounds):
        n_chosen, n_open = (known == CHOSEN).sum(), (known == OPEN).sum()
        if n_open == 0 or n_chosen >= n or n_chosen + n_open <= n:
            if n_chosen < n:
                known[known == OPEN] = CHOSEN
            total = _cost(lists, known == CHOSEN)
            if n_chosen <= n and total < value:
                value = total
                best[:] = known == CHOSEN
            return np.inf, value, seen
        here, last, following, used = _dual(lists, known, now, n, worth, taken)
        seen += used
        if here > value - step:
            return np.inf, value, seen
        for j in range(k):
            share[j] += 0.1 * (taken[j] - share[j])
            if known[j] != OPEN:
                continue
            if taken[j] and here - worth[j] + following > value - step:
                known[j] = CHOSEN
            elif not taken[j] and here + worth[j] - last > value - step:
                known[j] = LEFT
        since += 1
        if here > bound:
            if here > bound + GAIN * (value - here):
                since = 0
            bound = here
            price[:] = now
        if r % 10 == 0:
            total = _cost(lists, taken)
            if total < value:
                value = total
                best[:] = taken
        if since >= PATIENCE:
            length, since = length / 2, 0
            now[:] = price
            if length < LEAST_STEP:
                break
        elif not _moved(lists, now, slope, taken, length * (value - here)):
            break
    return bound, value, seen


@njit(cache=True)
def _cost(lists: Lists, chosen: BoolArray) -> float:
    """The weighted cost of the nearest chosen sites."""
    total = 0.0
    for i in range(len(lists.weight)):
        near = lists.most[i]
        for e in range(lists.indptr[i], lists.indptr[i + 1]):
            if chosen[lists.site[e]]:
                near = lists.cost[e]
                break
        total += lists.weight[i] * near
    return total


@njit(cache=True)
def _dual(
    lists: Lists, known: AnswerArray, price: FloatArray, n: int, worth: FloatArray, taken: BoolArray
) -> tuple[float, float, float, float]:
    """The bound at these prices, the worth of the last open site taken and of the next, pairs looked at."""
    total, seen = 0.0, 0.0
    worth[:] = 0.0
    for i in range(len(lists.weight)):
        total += lists.weight[i] * price[i]
        for e in range(lists.indptr[i], lists.indptr[i + 1]):
            seen += 1.0
            if lists.cost[e] >= price[i]:
                break
            worth[lists.site[e]] -= lists.weight[i] * (price[i] - lists.cost[e])
    n_left = n
    for j in range(len(known)):
        taken[j] = known[j] == CHOSEN
        if taken[j]:
            total += worth[j]
            n_left -= 1
    least, who = np.zeros(n_left + 1), np.full(n_left + 1, -1)
    for j in range(len(known)):
        if known[j] == OPEN and worth[j] < least[n_left]:
            a = n_left
            while a > 0 and least[a - 1] > worth[j]:
                least[a], who[a] = least[a - 1], who[a - 1]
                a -= 1
            least[a], who[a] = worth[j], j
    for a in range(n_left):
        if who[a] >= 0:
            taken[who[a]] = True
            total += least[a]
    return total, least[n_left - 1], least[n_left], seen


@njit(cache=True)
def _moved(lists: Lists, price: FloatArray, slope: FloatArray, taken: BoolArray, distance: float) -> bool:
    """Move the prices up the subgradient, towards a bound higher by ``distance``; False at the top."""
    norm = 0.0
    for i in range(len(lists.weight)):
        slope[i] = 1.0
        for e in range(lists.indptr[i], lists.indptr[i + 1]):
            if lists.cost[e] >= price[i]:
                break
            slope[i] -= taken[lists.site[e]]
        norm += lists.weight[i] * slope[i] ** 2
    if norm == 0.0:
        return False
    for i in range(len(lists.weight)):
        price[i] = min(price[i] + distance / norm * slope[i], lists.most[i])
    return True
