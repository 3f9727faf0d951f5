"""Choices of sites for the least walk, bettered by additions and swaps [1]_.

References
----------
.. [1] M. B. Teitz and P. Bart, "Heuristic methods for estimating the generalized vertex median of a weighted
   graph", Operations Research 16, 1968, pp. 955-961.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from spatial.solve.sides import Sides

__all__ = ["improved_by_swaps", "keeps_sides"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

SWEEPS = 50


def improved_by_swaps(
    indptr: IntArray,
    site: IntArray,
    cost: FloatArray,
    weight: FloatArray,
    chosen: BoolArray,
    *,
    beyond: float,
    free: BoolArray,
    n: int,
    sides: Sides,
) -> BoolArray:
    """Add the best sites one by one up to ``n``, then swap while that helps and keeps to the sides.

    Parameters
    ----------
    indptr, site, cost
        The sites that row i can use and what they cost it, cheapest first, are at ``indptr[i]`` to
        ``indptr[i + 1]``.
    weight : (m,) array
    chosen : (k,) array of bool
        Where to begin; it keeps to the sides.
    beyond : float
        Cost of a row none of whose sites is chosen.
    free : (k,) array of bool
        Sites that may be added or taken away.
    """
    result = chosen.astype(np.int64)
    use = sparse.csc_array(sides.use)
    row = np.repeat(np.arange(len(weight)), np.diff(indptr))
    by_site = np.argsort(site, kind="stable")
    site_indptr = np.searchsorted(site[by_site], np.arange(len(chosen) + 1))
    lists = indptr, site, cost, site_indptr, row[by_site], cost[by_site], weight, beyond, free
    limits = (
        use.indptr.astype(np.int64),
        use.indices.astype(np.int64),
        use.data.astype(np.float64),
        (sides.use @ chosen.astype(np.float64)).astype(np.float64),
        sides.least,
        sides.most,
    )
    _add(*lists, n, result, *limits)
    _swap(*lists, SWEEPS, result, *limits)
    return result > 0


@njit(cache=True)
def _add(
    indptr: IntArray,
    site: IntArray,
    cost: FloatArray,
    site_indptr: IntArray,
    site_row: IntArray,
    site_cost: FloatArray,
    weight: FloatArray,
    beyond: float,
    free: BoolArray,
    n: int,
    chosen: IntArray,
    use_indptr: IntArray,
    use_side: IntArray,
    use: FloatArray,
    used: FloatArray,
    least: FloatArray,
    most: FloatArray,
) -> None:
    """Add the site that saves the most, again and again up to ``n``; changes ``chosen`` and ``used``.

    Savings only fall, so the top of a heap that still saves as much is the best of all.
    """
    near = np.empty(len(weight))
    for i in range(len(weight)):
        near[i] = _two_nearest(i, indptr, site, cost, beyond, chosen)[0]
    heap = [(-np.inf, k) for k in range(len(chosen)) if free[k] and not chosen[k]]
    heapify(heap)
    n_chosen = chosen.sum()
    while n_chosen < n and len(heap) > 0:
        best = heappop(heap)[1]
        if not keeps_sides(best, -1, use_indptr, use_side, use, used, least, most):
            continue
        gain = 0.0
        for e in range(site_indptr[best], site_indptr[best + 1]):
            gain += weight[site_row[e]] * max(0.0, near[site_row[e]] - site_cost[e])
        if gain <= 0.0:
            continue
        if len(heap) > 0 and heap[0] < (-gain, best):
            heappush(heap, (-gain, best))
            continue
        chosen[best] = 1
        n_chosen += 1
        for e in range(use_indptr[best], use_indptr[best + 1]):
            used[use_side[e]] += use[e]
        for e in range(site_indptr[best], site_indptr[best + 1]):
            near[site_row[e]] = min(near[site_row[e]], site_cost[e])


@njit(cache=True)
def _swap(
    indptr: IntArray,
    site: IntArray,
    cost: FloatArray,
    site_indptr: IntArray,
    site_row: IntArray,
    site_cost: FloatArray,
    weight: FloatArray,
    beyond: float,
    free: BoolArray,
    sweeps: int,
    chosen: IntArray,
    use_indptr: IntArray,
    use_side: IntArray,
    use: FloatArray,
    used: FloatArray,
    least: FloatArray,
    most: FloatArray,
) -> None:
    """Sweeps of first-improving swaps; changes ``chosen`` and ``used``.

    For a site coming in, a row gains ``near - cost`` if that is positive; the loss of the site going out
    is the way to the second nearest, less what the newcomer saves of it.
    """
    n_rows, n_sites = len(weight), len(chosen)
    near, second = np.empty(n_rows), np.empty(n_rows)
    at, next_at = np.empty(n_rows, np.int64), np.empty(n_rows, np.int64)
    loss, saved = np.zeros(n_sites), np.zeros(n_sites)
    idle, j = 0, -1
    while idle < n_sites:
        j = (j + 1) % n_sites
        idle += 1
        if j == 0:
            sweeps -= 1
            if sweeps < 0:
                return
            loss[:] = 0.0
            for i in range(n_rows):
                near[i], at[i], second[i], next_at[i] = _two_nearest(i, indptr, site, cost, beyond, chosen)
                if at[i] >= 0:
                    loss[at[i]] += weight[i] * (second[i] - near[i])
        if chosen[j] or not free[j]:
            continue
        gain = 0.0
        saved[:] = 0.0
        for e in range(site_indptr[j], site_indptr[j + 1]):
            i = site_row[e]
            if site_cost[e] < second[i]:
                gain += weight[i] * max(0.0, near[i] - site_cost[e])
                if at[i] >= 0:
                    saved[at[i]] += weight[i] * (second[i] - max(site_cost[e], near[i]))
        out, lost = -1, gain * (1.0 - 1e-12) - 1e-9
        for k in range(n_sites):
            better = chosen[k] and free[k] and loss[k] - saved[k] < lost
            if better and keeps_sides(j, k, use_indptr, use_side, use, used, least, most):
                out, lost = k, loss[k] - saved[k]
        if out < 0:
            continue
        chosen[out], chosen[j] = 0, 1
        for e in range(use_indptr[out], use_indptr[out + 1]):
            used[use_side[e]] -= use[e]
        for e in range(use_indptr[j], use_indptr[j + 1]):
            used[use_side[e]] += use[e]
        for moved in (j, out):
            for e in range(site_indptr[moved], site_indptr[moved + 1]):
                i = site_row[e]
                if at[i] == out or next_at[i] == out or (moved == j and site_cost[e] < second[i]):
                    if at[i] >= 0:
                        loss[at[i]] -= weight[i] * (second[i] - near[i])
                    near[i], at[i], second[i], next_at[i] = _two_nearest(
                        i, indptr, site, cost, beyond, chosen
                    )
                    if at[i] >= 0:
                        loss[at[i]] += weight[i] * (second[i] - near[i])
        idle = 0


@njit(cache=True)
def _two_nearest(
    i: int, indptr: IntArray, site: IntArray, cost: FloatArray, beyond: float, chosen: IntArray
) -> tuple[float, int, float, int]:
    """Cost and number of a row's nearest chosen site and of the next; −1 where there is none."""
    near, at = beyond, -1
    for e in range(indptr[i], indptr[i + 1]):
        if chosen[site[e]]:
            if at >= 0:
                return near, at, cost[e], site[e]
            near, at = cost[e], site[e]
    return near, at, beyond, -1


@njit(cache=True)
def keeps_sides(
    into: int,
    out: int,
    use_indptr: IntArray,
    use_side: IntArray,
    use: FloatArray,
    used: FloatArray,
    least: FloatArray,
    most: FloatArray,
) -> bool:
    """Whether the sides are kept when one site comes in and another, if not −1, goes out."""
    fits = True
    if out >= 0:
        for e in range(use_indptr[out], use_indptr[out + 1]):
            used[use_side[e]] -= use[e]
    for e in range(use_indptr[into], use_indptr[into + 1]):
        used[use_side[e]] += use[e]
        fits &= used[use_side[e]] <= most[use_side[e]] + 1e-9
    if out >= 0:
        for e in range(use_indptr[out], use_indptr[out + 1]):
            fits &= used[use_side[e]] >= least[use_side[e]] - 1e-9
            used[use_side[e]] += use[e]
    for e in range(use_indptr[into], use_indptr[into + 1]):
        used[use_side[e]] -= use[e]
    return fits
