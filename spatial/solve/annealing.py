"""Choices of a number of sites that cover much, bettered by annealing and kept part by part.

With a price on every site, what a choice covers less what it costs falls apart: where two choices differ, the
sites that differ and share rows make up parts that don't touch each other, and of every part the better side
can be taken [1]_. So a round of annealing [2]_ that does harm in most places still helps where it does good.

References
----------
.. [1] R. Tinós, D. Whitley and F. Chicano, "Partition crossover for pseudo-Boolean optimization",
   Foundations of Genetic Algorithms XIII, 2015, pp. 137-149.
.. [2] S. Kirkpatrick, C. D. Gelatt and M. P. Vecchi, "Optimization by simulated annealing", Science 220,
   1983, pp. 671-680.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["Covering", "annealed_along"]

FloatArray = NDArray[np.float64]
Ints = NDArray[np.int32]
BoolArray = NDArray[np.bool_]

HOT, COLD = (0.2, 0.1, 0.3), 0.02  # of the price: where rounds begin in turn, and where they end
SWEEPS = 30  # tries per site and round
MOST_DEARER = 0.01  # a share by which the price moves per round
SPREAD = 0x9E3779B97F4A7C15  # puts seeds that follow each other far apart


@dataclass(frozen=True)
class Covering:
    """Rows and sites as lists of each other."""

    indptr: Ints
    site: Ints
    site_indptr: Ints
    row: Ints
    weight: FloatArray

    @staticmethod
    def of(rows: sparse.csr_array, weight: FloatArray) -> Covering:
        columns = sparse.csc_array(rows)
        return Covering(
            rows.indptr.astype(np.int32),
            rows.indices.astype(np.int32),
            columns.indptr.astype(np.int32),
            columns.indices.astype(np.int32),
            weight,
        )

    @property
    def lists(self) -> tuple[Ints, Ints, Ints, Ints, FloatArray]:
        return self.indptr, self.site, self.site_indptr, self.row, self.weight

    def value(self, chosen: BoolArray) -> float:
        """The weight of the rows that a choice covers."""
        return float(self.weight[_times(self.site_indptr, self.row, chosen, len(self.weight)) > 0].sum())


def annealed_along(
    covering: Covering,
    choices: list[BoolArray],
    numbers: NDArray[np.int64],
    *,
    price: FloatArray,
    enough: FloatArray,
    rounds: int,
    seed: int,
) -> list[BoolArray]:
    """Better choices for one number after another, each with what helps from the one before; and back.

    Parameters
    ----------
    covering : Covering
    choices : list of (k,) arrays of bool
    numbers : (q,) array of int, growing
        Sites of each choice; fewer where no more add anything.
    price : (q,) array
        What one site more or less is worth about.
    enough : (q,) array
        Weight at which there is no need to go on.
    rounds : int
        Of annealing per number, there and back.
    seed : int
    """
    out, before = list(choices), np.zeros(len(covering.site_indptr) - 1, dtype=bool)
    for turn, at in enumerate([*range(len(out)), *range(len(out) - 1, -1, -1)]):
        n, worth = int(numbers[at]), float(price[at])
        near = with_number(covering, before, n)
        tries = [out[at], near, with_number(covering, with_better_parts(covering, out[at], near, worth), n)]
        start = max(tries, key=covering.value)
        before = _annealed(
            covering, start, n=n, price=worth, enough=float(enough[at]), rounds=rounds, seed=seed + turn
        )
        out[at] = before
    return out


def _annealed(
    covering: Covering, chosen: BoolArray, *, n: int, price: float, enough: float, rounds: int, seed: int
) -> BoolArray:
    """The best choice of ``n`` sites of some rounds of annealing, the given one if none is better.

    Parameters
    ----------
    covering : Covering
    chosen : (k,) array of bool
    n : int
        Sites to choose; fewer where no more add anything.
    price : float
        What one site more or less is worth about.
    enough : float
        Weight at which there is no need to go on.
    rounds, seed : int
    """
    here = best = with_number(covering, chosen, n)
    most = covering.value(best)
    state = np.array([(seed + 1) * SPREAD % 2**64 | 1], dtype=np.uint64)
    for turn in range(rounds):
        if most >= enough or price <= 0:
            break
        tried = here.copy()
        _anneal(*covering.lists, tried, price, HOT[turn % len(HOT)] * price, COLD * price, SWEEPS, state)
        mixed = with_better_parts(covering, here, tried, price)
        price *= 1 + float(np.clip(mixed.sum() / n - 1, -MOST_DEARER, MOST_DEARER))  # towards n of them
        here = with_number(covering, mixed, n)
        value = covering.value(here)
        if value > most:
            best, most = here, value
    return best


def with_better_parts(covering: Covering, chosen: BoolArray, other: BoolArray, price: float) -> BoolArray:
    """A choice with every part of another that is no worse; it may have more sites, or fewer."""
    out = chosen.copy()
    _take_parts(*covering.lists, out, other, price)
    return out


def with_number(covering: Covering, chosen: BoolArray, n: int) -> BoolArray:
    """A choice without the sites that add least, or with those that add most, until it has ``n``."""
    out = chosen.copy()
    _bring_to(*covering.lists, out, n)
    return out


@njit(cache=True)
def _times(site_indptr: Ints, row: Ints, chosen: BoolArray, n_rows: int) -> Ints:
    """How often each row is covered."""
    times = np.zeros(n_rows, np.int32)
    for j in range(len(chosen)):
        if chosen[j]:
            for e in range(site_indptr[j], site_indptr[j + 1]):
                times[row[e]] += 1
    return times


@njit(cache=True)
def _put(j: int, site_indptr: Ints, row: Ints, weight: FloatArray, times: Ints) -> float:
    """Add a site; what it adds."""
    gain = 0.0
    for e in range(site_indptr[j], site_indptr[j + 1]):
        if times[row[e]] == 0:
            gain += weight[row[e]]
        times[row[e]] += 1
    return gain


@njit(cache=True)
def _take(j: int, site_indptr: Ints, row: Ints, weight: FloatArray, times: Ints) -> float:
    """Take a site away; what is lost."""
    loss = 0.0
    for e in range(site_indptr[j], site_indptr[j + 1]):
        times[row[e]] -= 1
        if times[row[e]] == 0:
            loss += weight[row[e]]
    return loss


@njit(cache=True)
def _gain(j: int, site_indptr: Ints, row: Ints, weight: FloatArray, times: Ints, covered: int) -> float:
    """The weight of a site's rows that are covered so many times."""
    gain = 0.0
    for e in range(site_indptr[j], site_indptr[j + 1]):
        if times[row[e]] == covered:
            gain += weight[row[e]]
    return gain


@njit(cache=True)
def _drawn(state: NDArray[np.uint64]) -> np.uint64:
    """The next number of a 64-bit xorshift; changes ``state``."""
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return x


@njit(cache=True)
def _anneal(
    indptr: Ints,
    site: Ints,
    site_indptr: Ints,
    row: Ints,
    weight: FloatArray,
    chosen: BoolArray,
    price: float,
    hot: float,
    cold: float,
    sweeps: int,
    state: NDArray[np.uint64],
) -> None:
    """Add sites, take them away and swap neighbours, at a falling temperature; changes ``chosen``.

    A neighbour is a site of one of the site's rows, both drawn at random; where one of the two is chosen and
    the other isn't they are swapped, else the first is added or taken away.
    """
    n_sites = len(chosen)
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    times = _times(site_indptr, row, chosen, len(weight))
    for sweep in range(sweeps):
        heat = hot * (cold / hot) ** (sweep / max(1, sweeps - 1))
        for j in range(n_sites):
            first, size = np.int64(site_indptr[j]), np.uint64(site_indptr[j + 1] - site_indptr[j])
            if size == 0:
                continue
            x, y = _drawn(state), _drawn(state)
            i = row[first + np.int64(((x >> half) * size) >> half)]
            size = np.uint64(indptr[i + 1] - indptr[i])
            other = np.int64(site[indptr[i] + np.int64(((x & low) * size) >> half)])
            least = heat * np.log(((y >> half) + 1.0) / 4294967296.0)
            if chosen[j] == chosen[other]:
                if chosen[j]:
                    if price - _gain(j, site_indptr, row, weight, times, 1) >= least:
                        chosen[j] = False
                        _take(j, site_indptr, row, weight, times)
                elif _gain(j, site_indptr, row, weight, times, 0) - price >= least:
                    chosen[j] = True
                    _put(j, site_indptr, row, weight, times)
                continue
            out, into = (j, other) if chosen[j] else (other, j)
            change = 0.0
            for e in range(site_indptr[out], site_indptr[out + 1]):
                i = row[e]
                times[i] -= 1
                if times[i] == 0:
                    change -= weight[i]
            for e in range(site_indptr[into], site_indptr[into + 1]):
                if times[row[e]] == 0:
                    change += weight[row[e]]
            if change >= least:
                chosen[out], chosen[into] = False, True
                for e in range(site_indptr[into], site_indptr[into + 1]):
                    times[row[e]] += 1
            else:
                for e in range(site_indptr[out], site_indptr[out + 1]):
                    times[row[e]] += 1


@njit(cache=True)
def _take_parts(
    indptr: Ints,
    site: Ints,
    site_indptr: Ints,
    row: Ints,
    weight: FloatArray,
    chosen: BoolArray,
    other: BoolArray,
    price: float,
) -> None:
    """Take over the parts of ``other`` that are no worse; changes ``chosen``."""
    n_sites = len(chosen)
    times = _times(site_indptr, row, chosen, len(weight))
    seen, seen_row = chosen == other, np.zeros(len(weight), np.bool_)
    part = np.empty(n_sites, np.int64)
    for start in range(n_sites):
        if seen[start]:
            continue
        seen[start], part[0], size, at = True, start, 1, 0
        while at < size:
            j = part[at]
            at += 1
            for e in range(site_indptr[j], site_indptr[j + 1]):
                i = row[e]
                if not seen_row[i]:
                    seen_row[i] = True
                    for f in range(indptr[i], indptr[i + 1]):
                        if not seen[site[f]]:
                            seen[site[f]] = True
                            part[size] = site[f]
                            size += 1
        change = 0.0
        for j in part[:size]:
            if other[j]:
                change += _put(j, site_indptr, row, weight, times) - price
        for j in part[:size]:
            if chosen[j]:
                change -= _take(j, site_indptr, row, weight, times) - price
        if change >= 0.0:
            chosen[part[:size]] = other[part[:size]]
            continue
        for j in part[:size]:
            if chosen[j]:
                _put(j, site_indptr, row, weight, times)
            else:
                _take(j, site_indptr, row, weight, times)


@njit(cache=True)
def _bring_to(
    indptr: Ints,
    site: Ints,
    site_indptr: Ints,
    row: Ints,
    weight: FloatArray,
    chosen: BoolArray,
    n: int,
) -> None:
    """Take away or add one site after another; changes ``chosen``.

    What a site adds only falls while others come, and what is lost with it only grows while others go, so
    the top of a heap that is still the same is the best of all.
    """
    times = _times(site_indptr, row, chosen, len(weight))
    left = n - chosen.sum()
    sign, covered = (-1.0, 0) if left > 0 else (1.0, 1)
    heap = [(0.0, j) for j in range(0)]
    for j in range(len(chosen)):
        if chosen[j] != (left > 0):
            heap.append((sign * _gain(j, site_indptr, row, weight, times, covered), j))
    heapify(heap)
    while left != 0 and len(heap) > 0:
        key, j = heappop(heap)
        now = sign * _gain(j, site_indptr, row, weight, times, covered)
        if now > key:
            heappush(heap, (now, j))
            continue
        if left > 0:
            if now >= 0.0:
                break
            chosen[j] = True
            _put(j, site_indptr, row, weight, times)
            left -= 1
        else:
            chosen[j] = False
            _take(j, site_indptr, row, weight, times)
            left += 1
