"""Village groups and locks: which rows have to stay together before any search begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from spatial.errors import DataError
from spatial.grids.problem import GridProblem, Ints, Sub, pieces

__all__ = ["Kept", "close_locks", "fitting_groups", "keep_groups", "rest_pieces"]


@dataclass(frozen=True)
class Kept:
    """Groups that are one grid by themselves, and why others that fit are not."""

    groups: tuple[int, ...]
    split: tuple[tuple[int, str], ...]


def close_locks(problem: GridProblem) -> Ints:
    """Labels 0, 1, … of rows that must share a grid, with the free rows that their lock needs between.

    A lock in several pieces is joined along the fewest free rows.

    Raises
    ------
    DataError
        A lock can't be in one piece: its rows lie in separate parts, or other locks lie between.
    """
    names = np.unique(problem.locked[problem.locked >= 0])
    locked = np.where(problem.locked >= 0, np.searchsorted(names, problem.locked), -1)
    faults = []
    for label, name in enumerate(names):
        if not _join_lock(problem, locked, label):
            faults.append(f"lock {name}: its rows can't hang together in one grid")
    if faults:
        raise DataError("the locks contradict the map", faults)
    return locked


def _join_lock(problem: GridProblem, locked: Ints, label: int) -> bool:
    """Label free rows in place until the lock is in one piece; False where it can't be."""
    n = len(locked)
    owner = np.repeat(np.arange(n), np.diff(problem.indptr))
    usable = (locked == label) | (locked < 0)
    open_way = usable[owner] & usable[problem.indices]
    graph = csr_array(
        (np.ones(int(open_way.sum())), (owner[open_way], problem.indices[open_way])), shape=(n, n)
    )
    while True:
        piece = pieces(problem.indptr, problem.indices, np.where(locked == label, 0, -1))
        if piece.max() <= 0:
            return True
        steps, before, _ = dijkstra(
            graph,
            indices=np.flatnonzero(piece == 0),
            min_only=True,
            return_predecessors=True,
            unweighted=True,
        )
        steps = np.where(piece > 0, steps, np.inf)
        row = int(np.argmin(steps))
        if not np.isfinite(steps[row]):
            return False
        while before[row] >= 0:
            locked[row] = label
            row = int(before[row])


def fitting_groups(sub: Sub, *, low: int, high: int) -> tuple[list[int], list[tuple[int, str]]]:
    """Groups of a component within the limits and in one piece; those that only a lock prevents."""
    fit, locked_out = [], []
    households = np.bincount(sub.group[sub.group >= 0], sub.weight[sub.group >= 0])
    piece = pieces(sub.indptr, sub.indices, sub.group)
    for group in np.flatnonzero((households >= low) & (households <= high)):
        rows = sub.group == group
        if len(np.unique(piece[rows])) > 1:
            continue
        locks = np.unique(sub.locked[rows & (sub.locked >= 0)])
        if len(locks) > 1:
            locked_out.append((int(group), "locks divide it"))
        elif len(locks) == 1 and (sub.locked[~rows] == locks[0]).any():
            locked_out.append((int(group), "a lock ties it to others"))
        else:
            fit.append(int(group))
    return fit, locked_out


def rest_pieces(sub: Sub, kept: list[int]) -> list[Ints]:
    """Rows of each connected piece that is left beside the kept groups."""
    piece = pieces(sub.indptr, sub.indices, np.where(np.isin(sub.group, kept), -1, 0))
    return [np.flatnonzero(piece == each) for each in range(int(piece.max(initial=-1)) + 1)]


def keep_groups(
    sub: Sub, *, low: int, high: int, can_be_cut: Callable[[Ints], bool], accept: Callable[[list[int]], bool]
) -> Kept:
    """Keep as many fitting groups whole as leave a rest that can still be cut into grids.

    Parameters
    ----------
    can_be_cut : rows → bool
        Whether a connected piece of the rest can be cut into grids within the limits.
    accept : kept groups → bool
        Whether the number of grids asked for is still within reach.
    """
    fit, split = fitting_groups(sub, low=low, high=high)
    kept = _release(sub, fit, can_be_cut)
    while kept and not accept(kept):
        kept = _release(sub, kept[:-1], can_be_cut)
    for group in [each for each in fit if each not in kept]:
        trial = sorted([*kept, group])
        stuck = [rows for rows in rest_pieces(sub, trial) if not can_be_cut(rows)]
        if not stuck and accept(trial):
            kept = trial
        elif stuck:
            households = int(sub.weight[stuck[0]].sum())
            split.append(
                (group, f"{households} households beside it could not form grids of {low} to {high}")
            )
        else:
            split.append((group, "the number of grids asked for could not be reached"))
    return Kept(tuple(kept), tuple(sorted(split)))


def _release(sub: Sub, kept: list[int], can_be_cut: Callable[[Ints], bool]) -> list[int]:
    """Drop groups, lightest first among those beside a piece that can't be cut, until every piece can."""
    kept = list(kept)
    while kept:
        stuck = [rows for rows in rest_pieces(sub, kept) if not can_be_cut(rows)]
        if not stuck:
            break
        beside = sorted({int(g) for rows in stuck[:1] for g in _groups_beside(sub, rows)} & set(kept))
        helpful = [g for g in beside if _helps(sub, kept, g, stuck[0], can_be_cut)]
        households = {g: int(sub.weight[sub.group == g].sum()) for g in beside}
        kept.remove(min(helpful or beside, key=lambda g: (households[g], g)))
    return kept


def _groups_beside(sub: Sub, rows: Ints) -> Ints:
    inside = np.zeros(len(sub.rows), bool)
    inside[rows] = True
    owner = np.repeat(np.arange(len(sub.rows)), np.diff(sub.indptr))
    return np.unique(sub.group[sub.indices[inside[owner] & ~inside[sub.indices]]])


def _helps(sub: Sub, kept: list[int], group: int, stuck: Ints, can_be_cut: Callable[[Ints], bool]) -> bool:
    """Whether letting ``group`` go leaves a piece around ``stuck`` that can be cut."""
    for rows in rest_pieces(sub, [each for each in kept if each != group]):
        if np.isin(stuck[0], rows):
            return can_be_cut(rows)
    return False
