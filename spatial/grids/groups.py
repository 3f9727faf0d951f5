"""Village groups and locks: which rows have to stay together before any search begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from spatial.errors import DataError
from spatial.grids.problem import GridProblem, Ints, Sub, pieces

__all__ = ["Kept", "close_locks", "fitting_groups", "keep_groups", "rest_pieces", "with_ungrouped"]


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
            called = problem.lock_names[name] if problem.lock_names else f"lock {name}"
            faults.append(
                f"households.locked_grid: the rows of {called} can't hang together in one grid: no alley "
                "leads from one to the other, or other locks lie between; draw the way, or change the lock"
            )
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


def with_ungrouped(sub: Sub, *, low: int, high: int) -> Ints:
    """The group of each row, rows without one counted to the group they live in.

    Neighbours without a group who are too few for a grid go together with the group that most of their ways
    lead to, of equal ones with the lightest, unless it is within the limits and they would lift it above.
    Whoever touches no group stays without one.
    """
    group = sub.group.copy()
    known = group >= 0
    households = np.bincount(group[known], sub.weight[known], minlength=int(group.max(initial=-1)) + 1)
    owner = np.repeat(np.arange(len(group)), np.diff(sub.indptr))
    out = ~known[owner] & known[sub.indices]
    piece = pieces(sub.indptr, sub.indices, np.where(known, -1, 0))
    weight = np.bincount(piece[~known], sub.weight[~known])
    beside: list[list[int]] = [[] for _ in weight]
    for at, to in zip(piece[owner[out]].tolist(), group[sub.indices[out]].tolist(), strict=True):
        beside[at].append(to)
    joins = np.full(len(weight), -1, np.int64)
    for at, groups in enumerate(beside):
        fit = [
            each
            for each in dict.fromkeys(groups)
            if not low <= households[each] <= high or households[each] + weight[at] <= high
        ]
        if fit and weight[at] < low:
            joins[at] = min(fit, key=lambda each: (-groups.count(each), households[each], each))
            households[joins[at]] += weight[at]
    group[~known] = joins[piece[~known]]
    return group


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
    rest = _Rest(sub, fit, can_be_cut)
    rest.release(rest.stuck_pieces())
    while rest.kept and not accept(sorted(rest.kept)):
        dropped = max(rest.kept)
        rest.drop(dropped)
        rest.release([piece for piece in [rest.around(dropped)] if not can_be_cut(piece)])
    for group in [each for each in fit if each not in rest.kept]:
        pieces_left = rest.without(group)
        stuck = [rows for rows in pieces_left if not can_be_cut(rows)]
        if not stuck and accept(sorted([*rest.kept, group])):
            rest.keep(group)
        elif stuck:
            households = int(sub.weight[stuck[0]].sum())
            split.append(
                (group, f"{households} households beside it could not form grids of {low} to {high}")
            )
        else:
            split.append((group, "the number of grids asked for could not be reached"))
    return Kept(tuple(sorted(rest.kept)), tuple(sorted(split)))


class _Rest:
    """The rows beside the groups kept so far; each change looks at the pieces around one group only."""

    def __init__(self, sub: Sub, kept: list[int], can_be_cut: Callable[[Ints], bool]) -> None:
        self.sub, self.kept, self.can_be_cut = sub, set(kept), can_be_cut
        self.free = ~np.isin(sub.group, kept)
        self.members = np.argsort(sub.group, kind="stable")
        self.first = np.searchsorted(sub.group[self.members], np.arange(int(sub.group.max(initial=-1)) + 2))
        self.seen = np.zeros(len(sub.rows), np.bool_)

    def rows_of(self, group: int) -> Ints:
        return self.members[self.first[group] : self.first[group + 1]]

    def piece_at(self, row: int) -> Ints:
        """The connected piece of free rows that holds ``row``."""
        return np.sort(_flood(self.sub.indptr, self.sub.indices, self.free, row, self.seen))

    def around(self, group: int) -> Ints:
        """The piece that a group which is free and in one piece lies in."""
        return self.piece_at(int(self.rows_of(group)[0]))

    def stuck_pieces(self) -> list[Ints]:
        return [rows for rows in rest_pieces(self.sub, sorted(self.kept)) if not self.can_be_cut(rows)]

    def keep(self, group: int) -> None:
        self.kept.add(group)
        self.free[self.rows_of(group)] = False

    def drop(self, group: int) -> None:
        self.kept.remove(group)
        self.free[self.rows_of(group)] = True

    def without(self, group: int) -> list[Ints]:
        """The pieces into which that of a free group falls once the group is kept, by their lowest rows."""
        piece = self.around(group)
        self.free[self.rows_of(group)] = False
        out, done = [], np.zeros(len(piece), bool)
        for at, row in enumerate(piece.tolist()):
            if self.free[row] and not done[at]:
                out.append(self.piece_at(row))
                done[np.searchsorted(piece, out[-1])] = True
        self.free[self.rows_of(group)] = True
        return out

    def release(self, stuck: list[Ints]) -> None:
        """Drop groups, lightest first among those beside a piece that can't be cut, until every piece can."""
        waiting = {int(rows[0]): rows for rows in stuck}
        while waiting and self.kept:
            rows = waiting.pop(min(waiting))
            beside = _groups_beside(self.sub, rows) & self.kept
            by_weight = sorted(
                beside, key=lambda group: (int(self.sub.weight[self.rows_of(group)].sum()), group)
            )
            row = int(rows[0])
            dropped = next((group for group in by_weight if self._helps(group, row)), by_weight[0])
            self.drop(dropped)
            piece = self.around(dropped)
            for row in np.intersect1d(piece, np.array([*waiting], np.int64)).tolist():
                del waiting[row]
            if not self.can_be_cut(piece):
                waiting[int(piece[0])] = piece

    def _helps(self, group: int, row: int) -> bool:
        """Whether letting ``group`` go leaves a piece around ``row`` that can be cut."""
        self.drop(group)
        helps = self.can_be_cut(self.piece_at(row))
        self.keep(group)
        return helps


def _groups_beside(sub: Sub, rows: Ints) -> set[int]:
    inside = set(rows.tolist())
    near = {other for row in inside for other in sub.indices[sub.indptr[row] : sub.indptr[row + 1]].tolist()}
    return set(sub.group[sorted(near - inside)].tolist())


@njit(cache=True, nogil=True)
def _flood(indptr, indices, free, row, seen):  # type: ignore[no-untyped-def]
    """Free rows that hang together with ``row``; ``seen`` is all false before and after."""
    found = np.empty(16, np.int64)
    found[0] = row
    seen[row] = True
    n, at = 1, 0
    while at < n:
        here = found[at]
        at += 1
        for place in range(indptr[here], indptr[here + 1]):
            other = indices[place]
            if free[other] and not seen[other]:
                if n == len(found):
                    more = np.empty(2 * n, np.int64)
                    more[:n] = found
                    found = more
                seen[other] = True
                found[n] = other
                n += 1
    for place in range(n):
        seen[found[place]] = False
    return found[:n]
