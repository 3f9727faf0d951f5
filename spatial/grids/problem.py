"""What a partition into grids is asked for and what it answers, as plain arrays.

A *row* is one unit to be assigned: a household row, or one part of a split building. Rows touch
along the alleys, and a grid must be in one piece on that graph. Everything about geometry, layers
and ids happens elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

__all__ = [
    "FaultLimit",
    "Floats",
    "GridFault",
    "GridProblem",
    "Ints",
    "Ints32",
    "Partition",
    "Score",
    "State",
    "Sub",
    "cut_out",
    "pieces",
    "score",
]

Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]
Floats = NDArray[np.float64]
State = Literal["feasible", "infeasible", "undecided"]
FaultLimit = Literal["min_households", "max_households", "locked_grid"]


@dataclass(frozen=True)
class GridProblem:
    """One row per unit to be assigned; n rows.

    Parameters
    ----------
    weight : int64 (n,)
        Households of the row, 1 or more.
    indptr, indices : int64
        Rows that touch: symmetric, sorted, without the row itself (CSR).
    near_indptr : int64
    near_indices : int32
    near_m : float64
        Walks from row to row (CSR, symmetric, the row itself at 0), cut off at one radius for all
        rows: a pair of one connected part that is absent is farther apart than every pair present.
    group : int64 (n,)
        Village group, −1 where there is none.
    locked : int64 (n,)
        −1 free. Rows of one label end in one grid, rows of different labels never share one.
    lock_names : tuple of str
        What each label is called in messages; empty: by its number.
    """

    weight: Ints
    indptr: Ints
    indices: Ints
    near_indptr: Ints
    near_indices: Ints32
    near_m: Floats
    group: Ints
    locked: Ints
    lock_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class GridFault:
    """One grid (or the rows of one lock) that breaks a limit, and the smallest relaxation.

    ``state`` tells whether it is proved that something has to be wrong there. ``relaxation`` maps a
    setting of ``grids`` to the value nearest to today's at which these rows, and what is wrong beside
    them, were cut well (``min_households`` or ``max_households``; empty where no single limit helps).
    ``split`` is a row that touches them, and how many of its households would make them whole if it
    were in two. ``needs_join`` says that the part is too small to hold one grid, so that joining it to
    its neighbour across the gap is the other way out.
    """

    part: int
    grid: int
    rows: Ints
    households: int
    state: State
    limit: FaultLimit
    reason: str
    relaxation: Mapping[str, int]
    split: tuple[int, int] | None
    needs_join: bool


@dataclass(frozen=True)
class Partition:
    """Every row in one grid, with the proof of how good that is.

        ``walk_m`` is the sum of weight × walk to the medoid of the row's grid; ``group_cost_m`` the sum
        over rows outside the main group of their grid of weight × ``settings.group_cost_m`` (rows without
        a group cost nothing). Their sum is the objective; ``bound_m`` is proven to lie at or below the
    objective of every partition with the same kept groups, the same faulty grids and the same number of
    grids in each component. ``multipliers`` prove it anew by the formula in :mod:`spatial.grids.bound`:

    - ``price_m`` (n,) and ``component`` (n,): price and component of each row; component −1 for rows whose
      grid the bound takes as it is (kept groups, faulty grids, components of one grid), at its own cost;
    - ``component_grids``, ``component_low``, ``component_high``: K and limits of each component;
    - ``component_by_solver``: 1 where the bound rests on the search of :mod:`spatial.grids.exact` instead.

    ``plain`` are the best grids met, at the plain number of them, when no group is kept whole on purpose, and
    ``free`` those when groups are ignored, as many in each part as there are: what groups cost is seen
    against them. Both are looked for with less work. ``free`` is None where no group has a say.
    """

    grid: Ints  # (n,) 0..K−1
    medoid: Ints  # (K,) row
    part: Ints  # (n,) connected part of the row, numbered by its lowest row
    state: tuple[State, ...]  # per connected part
    part_grids: Ints  # grids per connected part
    walk_m: float
    group_cost_m: float
    bound_m: float
    bound_by: str
    multipliers: Mapping[str, NDArray]
    outside: int  # households outside the main group of their grid
    plain: Ints  # (n,)
    free: Ints | None  # (n,)
    kept_groups: tuple[int, ...]  # village groups that are one grid by themselves
    split_groups: tuple[tuple[int, str], ...]  # fit to be one grid, yet not kept: group and reason
    faults: tuple[GridFault, ...]
    inexact: Ints  # grids with a walk beyond the radius of near_m: recount them from complete walks
    reproducible: bool = True  # no solver was stopped by the clock

    @property
    def objective_m(self) -> float:
        """Walk and group cost together. [household-metres]"""
        return self.walk_m + self.group_cost_m


@dataclass(frozen=True)
class Sub:
    """A component cut out of a problem: its rows renumbered 0..m−1, ``rows`` leads back."""

    rows: Ints
    weight: Ints
    indptr: Ints
    indices: Ints
    near_indptr: Ints
    near_indices: Ints32
    near_m: Floats
    group: Ints
    locked: Ints

    @property
    def households(self) -> int:
        return int(self.weight.sum())


def cut_out(problem: GridProblem | Sub, rows: Ints, *, walks: bool = True) -> Sub:
    """The sub-problem of ``rows`` (sorted); ``rows`` of the result count within ``problem``.

    Where that is all of them the arrays are not copied. Without ``walks``, which are nearly all of the
    memory, every near list is empty: enough to tell what can be cut into grids.
    """
    if len(rows) == len(problem.weight):
        indptr, indices = problem.indptr, problem.indices
        near_indptr, near_indices, near_m = problem.near_indptr, problem.near_indices, problem.near_m
    else:
        indptr, indices, _ = _cut_csr(problem.indptr, problem.indices, problem.indices, rows)
        near = problem.near_indptr, problem.near_indices, problem.near_m
        if walks:
            near_indptr, near_indices, near_m = _cut_csr(*near, rows)
        else:
            near_indptr, near_indices, near_m = np.zeros(len(rows) + 1, np.int64), near[1][:0], near[2][:0]
    group = problem.group[rows]
    names = np.unique(group[group >= 0])
    return Sub(
        rows,
        problem.weight[rows],
        indptr,
        indices,
        near_indptr,
        near_indices,
        near_m,
        np.where(group >= 0, np.searchsorted(names, group), -1),
        problem.locked[rows],
    )


@njit(cache=True, nogil=True)
def _cut_csr(indptr, indices, values, rows):  # type: ignore[no-untyped-def]
    """Rows and columns ``rows`` of a CSR structure, renumbered."""
    local = np.full(len(indptr) - 1, -1, indices.dtype)
    local[rows] = np.arange(len(rows))
    new_indptr = np.zeros(len(rows) + 1, np.int64)
    for row in range(len(rows)):
        kept = 0
        for at in range(indptr[rows[row]], indptr[rows[row] + 1]):
            kept += local[indices[at]] >= 0
        new_indptr[row + 1] = new_indptr[row] + kept
    new_indices, new_values = np.empty(new_indptr[-1], indices.dtype), np.empty(new_indptr[-1], values.dtype)
    n = 0
    for row in rows:
        for at in range(indptr[row], indptr[row + 1]):
            if local[indices[at]] >= 0:
                new_indices[n], new_values[n] = local[indices[at]], values[at]
                n += 1
    return new_indptr, new_indices, new_values


def pieces(indptr: Ints, indices: Ints, label: Ints) -> Ints:
    """Connected pieces of rows with equal ``label``, numbered by their lowest row; −1 for label −1."""
    n = len(label)
    owner = np.repeat(np.arange(n), np.diff(indptr))
    same = (label[owner] == label[indices]) & (label[owner] >= 0)
    graph = csr_array((np.ones(int(same.sum()), np.int8), (owner[same], indices[same])), shape=(n, n))
    raw = connected_components(graph, directed=False)[1]
    out = np.full(n, -1, np.int64)
    labelled = label >= 0
    if labelled.any():
        _, first, inverse = np.unique(raw[labelled], return_index=True, return_inverse=True)
        out[labelled] = np.argsort(np.argsort(first))[inverse]
    return out


@dataclass(frozen=True)
class Score:
    """What a grid label per row is worth; arrays are per grid."""

    medoid: Ints
    walk_m: Floats  # absent pairs at ``beyond_m``
    outside: Ints  # households outside the main group
    households: Ints
    inexact: Ints  # grids where a walk to the medoid is absent

    def objective_m(self, group_cost_m: float) -> float:
        return float(self.walk_m.sum() + group_cost_m * self.outside.sum())


def score(problem: GridProblem | Sub, grid: Ints) -> Score:
    """Medoid, walks and households outside the main group of every grid; all of them non-empty.

    A pair that is absent from the walks counts twice the radius. Ties go to the lowest row.
    """
    n, K = len(grid), int(grid.max()) + 1
    households = np.bincount(grid, problem.weight, K).astype(np.int64)
    reached, walk = _within_grid(
        problem.weight, problem.near_indptr, problem.near_indices, problem.near_m, grid
    )
    beyond_m = 2.0 * float(problem.near_m.max(initial=0.0))
    total = walk + (households[grid] - reached) * beyond_m
    by_total = np.lexsort((np.arange(n), total, grid))
    medoid = by_total[np.searchsorted(grid[by_total], np.arange(K))]
    return Score(
        medoid,
        total[medoid],
        _outside_main(problem, grid, K),
        households,
        np.flatnonzero(reached[medoid] < households),
    )


@njit(cache=True, nogil=True)
def _within_grid(weight, near_indptr, near_indices, near_m, grid):  # type: ignore[no-untyped-def]
    """Households of its own grid that each row reaches, and their walk to it."""
    n = len(grid)
    reached, walk = np.zeros(n, np.int64), np.zeros(n)
    for row in range(n):
        for at in range(near_indptr[row], near_indptr[row + 1]):
            other = near_indices[at]
            if grid[other] == grid[row]:
                reached[row] += weight[other]
                walk[row] += weight[other] * near_m[at]
    return reached, walk


def _outside_main(problem: GridProblem | Sub, grid: Ints, K: int) -> Ints:
    grouped = problem.group >= 0
    n_groups = int(problem.group.max(initial=-1)) + 1
    if not grouped.any():
        return np.zeros(K, np.int64)
    key, inverse = np.unique(grid[grouped] * n_groups + problem.group[grouped], return_inverse=True)
    households = np.bincount(inverse, problem.weight[grouped]).astype(np.int64)
    most, every = np.zeros(K, np.int64), np.zeros(K, np.int64)
    np.maximum.at(most, key // n_groups, households)
    np.add.at(every, key // n_groups, households)
    return every - most
