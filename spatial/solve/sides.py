"""What a choice of sites must keep to besides its number: money, distances, one for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["Sides"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Sides:
    """``least <= use @ chosen <= most``, fixed sites counted too; infinite where there is no such limit."""

    use: sparse.csr_array  # (c, k) not negative
    least: FloatArray  # (c,)
    most: FloatArray  # (c,)

    @staticmethod
    def none(n_sites: int) -> Sides:
        return Sides(sparse.csr_array((0, n_sites)), np.empty(0), np.empty(0))

    @staticmethod
    def at_most(use: sparse.csr_array, most: FloatArray) -> Sides:
        return Sides(use, np.full(len(most), -np.inf), most)

    @staticmethod
    def at_least(use: sparse.csr_array, least: FloatArray) -> Sides:
        return Sides(use, least, np.full(len(least), np.inf))

    def and_(self, other: Sides) -> Sides:
        return Sides(
            sparse.csr_array(sparse.vstack([self.use, other.use])),
            np.concatenate([self.least, other.least]),
            np.concatenate([self.most, other.most]),
        )

    @property
    def needed(self) -> BoolArray:
        """Sites that can help to reach a least use: (k,)."""
        return np.asarray((self.use[np.isfinite(self.least)] != 0).sum(axis=0)).ravel() > 0

    def kept(self, chosen: BoolArray) -> bool:
        """Whether a choice keeps to all of them."""
        used = self.use @ chosen.astype(np.float64)
        return bool((used >= self.least - 1e-9).all() and (used <= self.most + 1e-9).all())

    def left(self, sites: IntArray, fixed: BoolArray) -> Sides:
        """What is left for some sites beside the fixed ones, without what can't be broken."""
        spent, binds = self.use @ fixed.astype(np.float64), self.binding(sites, fixed)
        use = sparse.csr_array(self.use[:, sites])
        return Sides(use[binds], (self.least - spent)[binds], (self.most - spent)[binds])

    def binding(self, sites: IntArray, fixed: BoolArray) -> BoolArray:
        """Which of them some sites can break beside the fixed ones: (c,)."""
        spent = self.use @ fixed.astype(np.float64)
        most_used = np.asarray(self.use[:, sites].sum(axis=1)).ravel()
        return np.asarray((most_used > self.most - spent) | (self.least - spent > 0))

    def beside(self, matrix: sparse.sparray) -> sparse.csr_array:
        """The rows of a programme whose first variables are the sites, and these below."""
        wide = sparse.csr_array(self.use, dtype=np.float64, copy=True)
        wide.resize((wide.shape[0], matrix.shape[1]))
        return sparse.csr_array(sparse.vstack([matrix, wide]))
