"""What a number of sites can cover at best, by prices of the rows that subgradient steps better.

For coverings so dense that the simplex method takes too long. With a price per row, from 0 to its weight, a
row is worth its weight less its price for nothing and a site the prices of its rows, of which the best are
taken [1]_. One set of prices bounds every number of sites; the least of the bounds counts.

References
----------
.. [1] R. D. Galvão and C. ReVelle, "A Lagrangean heuristic for the maximal covering location problem",
   European Journal of Operational Research 88, 1996, pp. 114-123.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["bounds_along"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ROUNDS = 200  # per number
PATIENCE = 15  # rounds without gain before the step is halved
STEADY, HALF = 5, 0.08  # rounds that gain half of the most a step can before it is doubled
LEAST_STEP = 0.01
GAIN = 1e-5  # a share by which a bound must be lower to have gained
AIM = 0.0015  # a share of the bound: how far below it the steps aim
KEPT = 0.9  # of the direction before


def bounds_along(
    rows: sparse.csr_array, weight: FloatArray, numbers: IntArray
) -> tuple[FloatArray, list[FloatArray]]:
    """Bounds on the weight covered, for one number of sites after another, there and back.

    Parameters
    ----------
    rows : csr_array, shape (m, k)
        Not 0 where site j covers row i; every row has a site.
    weight : (m,) array, above 0
    numbers : (q,) array of int, growing, from 1 to k

    Returns
    -------
    bounds : (q,) array
        What none of so many sites passes.
    prices : list of (m,) arrays
        Prices that prove each of them.
    """
    lists = rows.indptr.astype(np.int32), rows.indices.astype(np.int32)
    n_sites = rows.shape[1]
    prices = [0.5 * weight]
    bound = _bounds(lists, weight, prices[0], n_sites)[None, numbers]
    there = list(range(len(numbers)))
    for turn, at in enumerate([*there, *there[::-1]]):
        start = prices[int(bound[:, at].argmin())]
        prices.append(_priced(lists, weight, start, int(numbers[at]), n_sites, grows=turn == 0))
        bound = np.vstack([bound, _bounds(lists, weight, prices[-1], n_sites)[numbers]])
    prices.append(np.zeros(len(weight)))  # proves that no more than all is covered
    bound = np.vstack([bound, np.full(len(numbers), weight.sum())])
    best = [prices[at] for at in bound.argmin(axis=0).tolist()]
    return np.asarray(bound.min(axis=0)), best


def _priced(
    lists: tuple[NDArray, NDArray],
    weight: FloatArray,
    start: FloatArray,
    n: int,
    n_sites: int,
    *,
    grows: bool,
) -> FloatArray:
    """Better prices for this number of sites, by steps against the mean of the directions so far.

    Where ``grows``, steps that do well are doubled, which leads out of bad prices but past the best.
    """
    here, best, least = start.copy(), start, np.inf
    mean, step, fall, since, gained = np.zeros(len(weight)), 1.0, 0.0, 0, 0
    taken = np.zeros(n_sites)
    for _ in range(ROUNDS):
        worth = _worth(*lists, here, n_sites)
        top = np.argpartition(-worth, n - 1)[:n]
        bound = float((weight - here).sum() + worth[top].sum())
        since = 0 if bound < least * (1 - GAIN) else since + 1
        gained = gained + 1 if bound < least - HALF * fall else 0
        if bound < least:
            least, best = bound, here.copy()
        if grows and gained == STEADY:
            step, gained = step * 2, 0
        if since == PATIENCE:
            step, since = step / 2, 0
            here, mean[:] = best.copy(), 0.0
            if step < LEAST_STEP:
                break
            continue
        taken[:] = 0.0
        taken[top] = 1.0
        fall = step * AIM * bound
        _move(*lists, weight, taken, fall, here, mean)
    return best


def _bounds(
    lists: tuple[NDArray, NDArray], weight: FloatArray, price: FloatArray, n_sites: int
) -> FloatArray:
    """What these prices prove for 0, 1, 2 … sites: (k + 1,)."""
    worth = np.sort(_worth(*lists, price, n_sites))[::-1]
    return np.asarray(np.append(0.0, np.cumsum(worth)) + (weight - price).sum())


@njit(cache=True)
def _worth(indptr: NDArray, site: NDArray, price: FloatArray, n_sites: int) -> FloatArray:
    """The prices of each site's rows."""
    worth = np.zeros(n_sites)
    for i in range(len(price)):
        if price[i] > 0.0:
            for e in range(indptr[i], indptr[i + 1]):
                worth[site[e]] += price[i]
    return worth


@njit(cache=True)
def _move(
    indptr: NDArray,
    site: NDArray,
    weight: FloatArray,
    taken: FloatArray,
    fall: float,
    price: FloatArray,
    mean: FloatArray,
) -> None:
    """One step, so long that the bound would fall by so much; changes ``price`` and ``mean``."""
    size = 0.0
    for i in range(len(price)):
        slope = -1.0
        for e in range(indptr[i], indptr[i + 1]):
            slope += taken[site[e]]
        slope *= weight[i]
        if (slope > 0.0 and price[i] <= 0.0) or (slope < 0.0 and price[i] >= weight[i]):
            slope = 0.0
        mean[i] = KEPT * mean[i] + slope
        size += mean[i] * mean[i] / weight[i]
    if size == 0.0:
        return
    for i in range(len(price)):
        price[i] = min(weight[i], max(0.0, price[i] - fall / size * mean[i]))
