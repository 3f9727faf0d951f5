"""What a set cover can be spared before it is solved.

A row that asks for more sites than another is covered with it; a site that covers no more than another can
be left out; a site that alone covers a row is taken. Each makes room for the next, and of a town little or
nothing is left [1]_.

References
----------
.. [1] C. Toregas and C. ReVelle, "Binary logic solutions to a class of location problem", Geographical
   Analysis 5, 1973, pp. 145-155.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["Reduced", "reduced_cover"]

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

PAIRS = 50_000_000  # of rows that share a site, or sites that share a row: with more, nothing is compared


@dataclass(frozen=True)
class Reduced:
    """Sites that some best cover holds, and what is left to decide beside them."""

    taken: IntArray
    sure: IntArray  # for each of ``taken`` the row that it came to cover alone: prices of 1 prove them
    sites: IntArray
    rows: sparse.csr_array  # (r, s) over ``sites``
    row: IntArray  # of each of ``rows``: the row it was


def reduced_cover(rows: sparse.csr_array) -> Reduced:
    """The rest of a set cover whose sites all cost the same.

    Parameters
    ----------
    rows : csr_array, shape (m, k)
        Not 0 where site j covers row i; every row has a site.
    """
    left = sparse.csr_array((np.ones(rows.nnz, dtype=np.int64), rows.indices, rows.indptr), shape=rows.shape)
    sites, row = np.arange(rows.shape[1]), np.arange(rows.shape[0])
    taken, sure = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    before = None
    while left.shape != before and _pairs(left) <= PAIRS and _pairs(left.T.tocsr()) <= PAIRS:
        before = left.shape
        own = ~_contains_another(left)
        left, row = left[own], row[own]
        keep = ~_within_another(left)
        left, sites = sparse.csr_array(left[:, keep]), sites[keep]
        single = np.flatnonzero(np.diff(left.indptr) == 1)
        alone, first = np.unique(left.indices[left.indptr[single]], return_index=True)
        taken.append(sites[alone])
        sure.append(row[single[first]])
        open_ = left @ np.bincount(alone, minlength=len(sites)) == 0
        left, row = left[open_], row[open_]
        used = np.bincount(left.indices, minlength=len(sites)) > 0
        left, sites = sparse.csr_array(left[:, used]), sites[used]
    all_taken = np.concatenate(taken)
    order = np.argsort(all_taken)
    return Reduced(all_taken[order], np.concatenate(sure)[order], sites, left, row)


def _pairs(rows: sparse.csr_array) -> int:
    """How many entries the product of the columns with each other has at most."""
    return int((np.diff(rows.indptr).astype(np.float64) ** 2).sum())


def _contains_another(rows: sparse.csr_array) -> BoolArray:
    """Rows whose sites include all sites of another; of equal rows all but the first."""
    common, size = (rows @ rows.T).tocoo(), np.diff(rows.indptr)
    a, b = common.coords
    contains = (common.data == size[b]) & (a != b) & ((size[a] > size[b]) | (a > b))
    return np.bincount(a[contains], minlength=rows.shape[0]) > 0


def _within_another(rows: sparse.csr_array) -> BoolArray:
    """Sites whose rows another site covers too; of equal sites all but the first."""
    by_site = rows.T.tocsr()
    common, size = (by_site @ by_site.T).tocoo(), np.diff(by_site.indptr)
    a, b = common.coords
    within = (common.data == size[a]) & (a != b) & ((size[a] < size[b]) | (a > b))
    return (np.bincount(a[within], minlength=rows.shape[1]) > 0) | (size == 0)
