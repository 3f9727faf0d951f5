"""Better grids, window by window: anneal each window anew, then recombine all grids ever met.

A window is some twenty grids that hang together. A sweep lays windows side by side over the whole
component, anneals each from several starts and keeps its best; windows lie elsewhere in the next
sweep. Every grid met on the way is a column of a set-partitioning programme, whose answer is never
worse than the plan it starts from. So the quality of a plan does not depend on how large it is, and
the work is in proportion to the households.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.sparse import csc_array

from spatial.errors import InfeasibleError, SolverError
from spatial.grids.problem import Floats, Ints, Sub, cut_out, score
from spatial.grids.search import Terms, anneal, grid_costs, landscape
from spatial.grids.trees import HOUSEHOLD_FAULT, clashes, fault_size, start, touching_grids
from spatial.solve import set_partition

__all__ = ["Terms", "Work", "improve"]

_WINDOWS = ((125, 4500), (40, 1600))  # most grids and rows of a window in the first sweep, and later
_LARGEST_ROWS = 7000  # a window of fewest grids that is still larger stays as it is
_FEWEST_GRIDS = 3
_RECOMBINED_GRIDS = 250  # recombined at a time
_FIRST_HEAT, _HEAT = 1.0, 0.5
_STARTS_TRIES = 2
_MOST_ANNEALS = 24
_WORTH = 2e-4  # a sweep that gains less, over the objective, is the last

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Work:
    """Work allowed; large components get fewer sweeps and anneals, so that they end in a reasonable time."""

    sweeps: int
    fewest_sweeps: int
    household_sweeps: int  # sweeps times households, down to the fewest sweeps
    anneals: int  # per window and sweep, at least
    steps: int  # per household and anneal
    household_anneals: int = 0  # anneals times households, up to the most anneals

    def sweeps_of(self, households: int) -> int:
        return min(self.sweeps, max(self.fewest_sweeps, self.household_sweeps // households))

    def anneals_of(self, households: int) -> int:
        return max(self.anneals, min(_MOST_ANNEALS, self.household_anneals // households))


def improve(sub: Sub, grid: Ints, terms: Terms, work: Work, *, seed: int, threads: int) -> Ints:
    """Grids of a connected component, as many as ``grid`` has and never worse.

    Broken limits come before the objective, as in :mod:`spatial.grids.trees`.
    """
    if int(grid.max()) < 1:
        return grid
    pool = _Pool()
    worth = _add_whole(pool, sub, grid, terms)
    small_gains = 0
    for sweep in range(work.sweeps_of(sub.households)):
        rng = np.random.default_rng((seed, sweep))
        jobs = [
            _Window(rows, grid[rows], int(draw))
            for rows, draw in _with_draws(_windows(sub, grid, *_WINDOWS[min(sweep, 1)], rng), rng)
        ]
        heat = _FIRST_HEAT if sweep == 0 else _HEAT
        found = _each(lambda job: _anneal_window(sub, job, terms, work, heat), jobs, threads)  # noqa: B023
        grid = grid.copy()
        for job, answer in zip(jobs, found, strict=True):
            grid[job.rows] = answer.best
            pool.add(answer.columns)
        grid = _recombine(sub, pool, grid, seed, rng)
        before, worth = worth, _add_whole(pool, sub, grid, terms)
        as_faulty, gain_m = worth[:2] == before[:2], before[2] - worth[2]
        small_gains = small_gains + 1 if as_faulty and gain_m <= _WORTH * worth[2] else 0
        if small_gains == 2:
            break
    return grid


def _with_draws(windows: Sequence[Ints], rng: np.random.Generator) -> list[tuple[Ints, int]]:
    return list(zip(windows, rng.integers(2**31, size=len(windows)).tolist(), strict=True))


def _each(task: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result]:
    if threads < 2 or len(items) < 2:
        return [task(each) for each in items]
    with ThreadPoolExecutor(threads) as workers:
        return list(workers.map(task, items))


# --- windows ------------------------------------------------------------------------------------


def _windows(sub: Sub, grid: Ints, most_grids: int, most_rows: int, rng: np.random.Generator) -> list[Ints]:
    """Rows of windows side by side, each some grids in one piece; together they hold every row."""
    n_rows = np.bincount(grid)
    pairs = touching_grids(sub, grid)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.lexsort(both.T[::-1])]
    first = np.searchsorted(both[:, 0], np.arange(len(n_rows) + 1))
    window = np.full(len(n_rows), -1, np.int64)
    n_windows = 0
    for seed in rng.permutation(len(n_rows)):
        if window[seed] >= 0:
            continue
        taken, rows, at = [int(seed)], int(n_rows[seed]), 0
        window[seed] = n_windows
        while at < len(taken):
            for other in both[first[taken[at]] : first[taken[at] + 1], 1]:
                fits = len(taken) < _FEWEST_GRIDS or rows + n_rows[other] <= most_rows
                if window[other] < 0 and fits and len(taken) < most_grids:
                    window[other] = n_windows
                    taken.append(int(other))
                    rows += int(n_rows[other])
            at += 1
        n_windows += 1
    window = _join_scraps(window, both, n_rows, most_grids, most_rows)
    by_window = np.argsort(window[grid], kind="stable")
    return np.split(by_window, np.cumsum(np.bincount(window[grid]))[:-1])


def _join_scraps(window: Ints, both: Ints, n_rows: Ints, most_grids: int, most_rows: int) -> Ints:
    """Windows of less than half the size join the smallest beside them, which may grow by half."""
    grids, rows = np.bincount(window), np.bincount(window, n_rows)
    into = np.arange(len(grids))
    beside: dict[int, set[int]] = {}
    for one, other in np.unique(window[both], axis=0).tolist():
        if one != other:
            beside.setdefault(one, set()).add(other)
    for scrap in np.argsort(grids, kind="stable").tolist():
        if grids[scrap] * 2 >= most_grids:
            break
        hosts = {_end_of(into, each) for each in beside.get(scrap, ())} - {scrap}
        fit = [
            each
            for each in hosts
            if grids[each] + grids[scrap] <= 1.5 * most_grids and rows[each] + rows[scrap] <= 1.5 * most_rows
        ]
        if fit:
            host = min(fit, key=lambda each: (grids[each], each))
            into[scrap] = host
            grids[host] += grids[scrap]
            rows[host] += rows[scrap]
            beside.setdefault(host, set()).update(beside[scrap])
    return np.unique([_end_of(into, each) for each in range(len(into))], return_inverse=True)[1][window]


def _end_of(into: Ints, each: int) -> int:
    while into[each] != each:
        each = int(into[each])
    return each


@dataclass(frozen=True)
class _Window:
    rows: Ints
    grid: Ints  # grids as they are, by their numbers in the component
    draw: int


@dataclass(frozen=True)
class _Found:
    best: Ints  # grids by their numbers in the component
    columns: list[tuple[Ints, float]]


def _anneal_window(sub: Sub, window: _Window, terms: Terms, work: Work, heat: float) -> _Found:
    """The best of several anneals, half of them from new starts, and all grids they ended with."""
    numbers, now = np.unique(window.grid, return_inverse=True)
    K = len(numbers)
    if K < 2 or len(window.rows) > _LARGEST_ROWS:
        return _Found(window.grid, [])
    piece = cut_out(sub, window.rows)
    land = landscape(piece)
    steps = max(work.steps * piece.households, 400)
    best, least = now, float(grid_costs(land, now, terms).sum())
    columns: list[tuple[Ints, float]] = []
    for at in range(work.anneals_of(sub.households)):
        draw = (window.draw + 104729 * at) % 2**31
        begin = now if at % 2 == 0 else _new_start(piece, now, terms, draw)
        grid = anneal(land, begin, terms, steps=steps, seed=draw, heat=heat)
        cost = grid_costs(land, grid, terms)
        columns += _columns_of(window.rows, grid, cost)
        if cost.sum() < least:
            best, least = grid, float(cost.sum())
    return _Found(numbers[best], columns)


def _new_start(piece: Sub, now: Ints, terms: Terms, draw: int) -> Ints:
    """Other grids of a window, as many; those it has where no others were found."""
    K = int(now.max()) + 1
    sound = not any(fault_size(piece, now, terms.low, terms.high))
    grid = start(piece, low=terms.low, high=terms.high, K=K, seed=draw, tries=_STARTS_TRIES, exact=sound)
    return grid if int(grid.max()) + 1 == K else now


def _columns_of(rows: Ints, grid: Ints, cost: Floats) -> list[tuple[Ints, float]]:
    return list(zip(_members(rows, grid), cost.tolist(), strict=True))


def _members(rows: Ints, grid: Ints) -> list[Ints]:
    """The rows of grid 0, 1, …"""
    return np.split(rows[np.argsort(grid, kind="stable")], np.cumsum(np.bincount(grid))[:-1])


# --- recombination ------------------------------------------------------------------------------


class _Pool:
    """Every sound grid met, each once, with its cost."""

    def __init__(self) -> None:
        self.known: dict[bytes, int] = {}
        self.rows: list[Ints] = []
        self.cost: list[float] = []

    def add(self, columns: Sequence[tuple[Ints, float]]) -> None:
        for rows, cost in columns:
            if cost < HOUSEHOLD_FAULT and (key := rows.tobytes()) not in self.known:
                self.known[key] = len(self.rows)
                self.rows.append(rows)
                self.cost.append(cost)

    def inside(self, window: Ints) -> list[Ints]:
        """Columns that lie within each window, from 0 to the largest number in ``window``."""
        of_rows = window[np.concatenate(self.rows)]
        first = np.cumsum([0, *(len(rows) for rows in self.rows[:-1])])
        least = np.minimum.reduceat(of_rows, first)
        inside = np.flatnonzero(least == np.maximum.reduceat(of_rows, first))
        inside = inside[np.argsort(least[inside], kind="stable")]
        return np.split(inside, np.searchsorted(least[inside], np.arange(1, int(window.max()) + 1)))


def _add_whole(pool: _Pool, sub: Sub, grid: Ints, terms: Terms) -> tuple[int, int, float]:
    """Every grid of a plan becomes a column; returns the plan's fault, as ``fault_size``, and objective."""
    worth = score(sub, grid)
    cost = worth.walk_m + terms.group_cost_m * worth.outside
    bad = (worth.households < terms.low) | (worth.households > terms.high) | (clashes(sub, grid) > 0)
    pool.add(_columns_of(np.arange(len(grid)), grid, np.where(bad, np.inf, cost)))
    return *fault_size(sub, grid, terms.low, terms.high), float(cost.sum())


def _recombine(sub: Sub, pool: _Pool, grid: Ints, seed: int, rng: np.random.Generator) -> Ints:
    """The cheapest plan made of grids met, as many in each of some large windows as there are now.

    Grids that break a limit stay as they are.
    """
    every = _members(np.arange(len(grid)), grid)
    column = np.array([pool.known.get(rows.tobytes(), -1) for rows in every])
    if (column < 0).all():
        return grid
    out = grid.copy()
    windows = _windows(sub, grid, _RECOMBINED_GRIDS, len(grid), rng)
    window = np.empty(len(grid), np.int64)
    for at, rows in enumerate(windows):
        window[rows] = at
    sound = column[grid] >= 0
    for rows, usable in zip(windows, pool.inside(np.where(sound, window, len(windows))), strict=False):
        rows = rows[sound[rows]]
        numbers = np.unique(grid[rows])
        if len(numbers) > 1:
            chosen = _cheapest(pool, rows, usable, column[numbers], seed)
            for number, each in zip(numbers, chosen, strict=True):
                out[pool.rows[each]] = number
    return out


def _cheapest(pool: _Pool, rows: Ints, usable: Ints, known: Ints, seed: int) -> Ints:
    """Columns of ``usable`` that hold each of ``rows`` once, as many as ``known``, which are one choice."""
    chosen = [pool.rows[at] for at in usable]
    indptr = np.cumsum([0, *(len(each) for each in chosen)])
    indices = np.searchsorted(rows, np.concatenate(chosen))
    columns = csc_array((np.ones(len(indices), bool), indices, indptr), shape=(len(rows), len(usable)))
    cost = np.array(pool.cost)[usable]
    begin = np.isin(usable, known)
    try:
        found = set_partition(columns, cost, n_columns=len(known), start=begin, seed=seed)
    except (InfeasibleError, SolverError):
        return usable[begin]
    return usable[found.chosen]
