"""Cut rows into contiguous grids of a given size with short walks, and prove how good that is.

Each connected part goes its own way: how many grids (arithmetic), which village groups stay whole,
a feasible start, annealing from several starts, recombination of all grids met by set partitioning,
a Lagrangian lower bound. Parts that can't be cut within the limits get grids all the same, with the
fewest households in faulty grids that were found, and say which limit would have to give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spatial.grids.bound import Limits, lower_bound, search_prices
from spatial.grids.decide import Settled, ways_out
from spatial.grids.exact import Work as ProofWork
from spatial.grids.exact import prove
from spatial.grids.groups import Kept, close_locks, fitting_groups, keep_groups, rest_pieces, with_ungrouped
from spatial.grids.improve import Terms, improve
from spatial.grids.keep import Earlier, keep_grids
from spatial.grids.problem import (
    FaultLimit,
    Floats,
    GridFault,
    GridProblem,
    Ints,
    Partition,
    Sub,
    cut_out,
    pieces,
    score,
)
from spatial.grids.refine import refine_prices
from spatial.grids.rules import WORK, Rules
from spatial.grids.starts import (
    Starts,
    faulty_first,
    nearest_total,
    reachable_shares,
    reaches_beside,
    shares_beside,
)
from spatial.grids.trees import clashes, fault_size, start
from spatial.settings import Effort, Grids

__all__ = ["GridFault", "GridProblem", "Partition", "partition"]

_BOUND_BY = "Lagrangian"
_FAULTY_TRIES = 2
_LARGE_ROUNDS = 120  # of the bound of a large component
_HOUSEHOLD_ROUNDS = 12_000_000  # rounds times households of a very large one, down to the fewest rounds
_FEWEST_ROUNDS = 40


@dataclass(frozen=True)
class _Component:
    """A piece of a part that is bounded by itself, and the proof."""

    rows: Ints  # within the part
    grid: Ints  # of each, from 0
    K: int
    price_m: Floats
    bound_m: float
    bound_by: str = _BOUND_BY
    reproducible: bool = True


@dataclass(frozen=True)
class _Part:
    """What became of one connected part."""

    sub: Sub
    grid: Ints
    settled: Settled
    kept: Kept
    components: tuple[_Component, ...]
    fixed: Ints  # grids that the bound takes as they are: kept groups, faulty grids
    plain: Ints  # grid of each row in the best plan met when no group is kept whole


def partition(
    problem: GridProblem,
    settings: Grids,
    *,
    effort: Effort = "normal",
    seed: int = 1,
    threads: int = 1,
    earlier: Earlier | None = None,
) -> Partition:
    """Put every row into one grid.

    Per connected part the number of grids is households / target, halves up, moved to the nearest K
    with K·min ≤ households ≤ K·max; ``n_grids`` fixes the total instead and is shared out so that the
    means stay closest to the target. With ``group_cost_m`` above 0 a village group that is within the
    limits and in one piece becomes a grid, unless a lock prevents it or what is left could not be cut
    into grids; the number of grids is then the nearest to the plain one that the rest can be cut into.

    Parameters
    ----------
    problem : GridProblem
        Weights, adjacency, walks, groups and locks of n rows.
    settings : Grids
        Limits, target, ``n_grids``, ``group_cost_m``.
    effort : {"quick", "normal", "thorough"}
        Work allowed, counted in steps and starts.
    seed, threads
        Same problem, settings and seed: same partition, whatever the number of threads.
    earlier : Earlier, optional
        Grids of an earlier plan, changed only where they break a promise; their number stands instead of
        the plain one, and village groups are whole where they were.

    Raises
    ------
    DataError
        Locks contradict the map, or ``n_grids`` is out of reach; the message names the range.
    """
    problem = replace(problem, locked=close_locks(problem))
    rules = Rules(
        settings.min_households,
        settings.max_households,
        settings.target_households,
        settings.group_cost_m,
        WORK[effort],
        int(problem.weight.sum()) <= WORK[effort].prove_among,
        seed,
        threads,
    )
    part = pieces(problem.indptr, problem.indices, np.zeros(len(problem.weight), np.int64))
    subs = [cut_out(problem, np.flatnonzero(part == each)) for each in range(int(part.max()) + 1)]
    if earlier is not None:
        kept = [_keep_part(sub, earlier.take(sub.rows), rules) for sub in subs]
        return _assemble(problem, part, kept, rules)
    begins = [Starts(sub, replace(rules, seed=rules.seed + 7907 * at)) for at, sub in enumerate(subs)]
    shares = reachable_shares(begins, rules, settings.n_grids)
    done = [_plan_part(begin, share) for begin, share in zip(begins, shares, strict=True)]
    answer = _assemble(problem, part, done, rules)
    if not (problem.group >= 0).any() or rules.group_cost_m == 0:
        return answer
    free = [_ignoring_groups(each, begin.rules) for each, begin in zip(done, begins, strict=True)]
    return replace(answer, free=_labels(problem, done, free))


# --- one part -----------------------------------------------------------------------------------


def _plan_part(begin: Starts, share: int | None) -> _Part:
    sub, rules = begin.sub, begin.rules
    every = np.arange(len(sub.rows))
    first = begin.of(every, share)
    if first is None:
        return _plan_faulty(begin, share)
    kept, named = Kept((), ()), sub
    if rules.group_cost_m > 0:
        named = replace(sub, group=with_ungrouped(sub, low=rules.low, high=rules.high))
        kept = keep_groups(
            named,
            low=rules.low,
            high=rules.high,
            can_be_cut=lambda rows: begin.of(rows, None) is not None,
            accept=lambda groups: share is None or reaches_beside(named, groups, share, begin),
        )
    plain = _search(sub, first, _plain_rules(rules) if kept.groups else rules)
    if not kept.groups:
        whole = _bounded(sub, every, plain, rules)
        settled = Settled(whole.grid, "feasible", "", ())
        return _Part(sub, whole.grid, settled, kept, (whole,), every[:0], whole.grid)
    if share is None:
        share = nearest_total(named, kept.groups, int(plain.max()) + 1, begin)
    grid, components, fixed = _plan_around(sub, named, kept, share, begin, rules)
    worth_m = [score(sub, each).objective_m(rules.group_cost_m) for each in (grid, plain)]
    if grid.max() == plain.max() and worth_m[0] < worth_m[1]:
        plain = grid
    settled = Settled(grid, "feasible", "", ())
    return _Part(sub, grid, settled, kept, components, fixed, plain)


def _plain_rules(rules: Rules) -> Rules:
    """Less work for what is only there to compare with."""
    return replace(rules, work=replace(rules.work, search=replace(rules.work.search, sweeps=2)))


def _ignoring_groups(done: _Part, rules: Rules) -> Ints:
    """As many grids of a part, never farther to walk in, cut as if nobody had a village group."""
    if done.settled.state != "feasible":
        return done.grid
    return _search(done.sub, done.grid, replace(_plain_rules(rules), group_cost_m=0.0))


def _plan_around(
    sub: Sub, named: Sub, kept: Kept, share: int | None, begin: Starts, rules: Rules
) -> tuple[Ints, tuple[_Component, ...], Ints]:
    """Grids of the kept groups, with whom ``named`` counts to them, then of each piece between them."""
    grid = np.full(len(sub.rows), -1, np.int64)
    for at, group in enumerate(kept.groups):
        grid[named.group == group] = at
    n_grids = len(kept.groups)
    shares = shares_beside(named, kept.groups, share, rules)
    assert shares is not None
    components = []
    for rows, K in zip(rest_pieces(named, list(kept.groups)), shares, strict=True):
        first = begin.of(rows, K)
        assert first is not None
        piece = cut_out(sub, rows)
        component = _bounded(piece, rows, _search(piece, first, rules), rules)
        grid[rows] = n_grids + component.grid
        n_grids += component.K
        components.append(component)
    return grid, tuple(components), np.arange(len(kept.groups))


def _plan_faulty(begin: Starts, share: int | None) -> _Part:
    """Grids for a part without a partition within the limits: the fewest households in faulty ones."""
    sub, rules, settled = begin.sub, begin.rules, begin.settled
    low, high = rules.low, rules.high
    grid = settled.grid
    if settled.state == "feasible":
        reason = "no partition into the number of grids asked for was found"
        settled = replace(settled, state="undecided", reason=reason)
        grid = start(sub, low=low, high=high, K=share or 0, seed=rules.seed, tries=_FAULTY_TRIES)
    elif (around := begin.beside_faults(share)) is not None:
        grid = around
    grid = _search(sub, grid, rules)
    fit, split = fitting_groups(sub, low=low, high=high) if rules.group_cost_m > 0 else ([], [])
    alone = "its part can't be cut into grids within the limits"
    kept = Kept((), tuple(sorted([*split, *((group, alone) for group in fit)])))
    grid, n_fixed = faulty_first(sub, grid, rules)
    components = _bounded_around(sub, grid, np.arange(n_fixed), rules)
    for component in components:
        grid[component.rows] = np.unique(grid[component.rows])[component.grid]
    settled = replace(settled, grid=grid)
    return _Part(sub, grid, settled, kept, components, np.arange(n_fixed), grid)


def _keep_part(sub: Sub, earlier: Earlier, rules: Rules) -> _Part:
    """Grids of an earlier plan, mended; planned anew only where that leaves less of a fault."""
    low, high = rules.low, rules.high
    grid, sound = keep_grids(
        sub, earlier, low=low, high=high, group_cost_m=rules.group_cost_m, seed=rules.seed
    )
    settled = Settled(grid, "feasible", "", ())
    if not sound:
        fresh = _plan_part(Starts(sub, rules), None)
        if fault_size(sub, fresh.grid, low, high) < fault_size(sub, grid, low, high):
            return fresh
        settled = replace(fresh.settled, grid=grid)
    fit, split = fitting_groups(sub, low=low, high=high) if rules.group_cost_m > 0 else ([], [])
    whole = {group: int(grid[sub.group == group][0]) for group in fit if _is_grid(sub, grid, group)}
    stands = "the grids of the earlier plan are kept"
    kept = Kept(
        tuple(whole), tuple(sorted([*split, *((group, stands) for group in fit if group not in whole)]))
    )
    households = np.bincount(grid, sub.weight)
    faulty = (households < low) | (households > high) | (clashes(sub, grid) > 0)
    fixed = np.union1d(np.flatnonzero(faulty), np.array([*whole.values()], np.int64))
    components = _bounded_around(sub, grid, fixed, rules)
    return _Part(sub, grid, settled, kept, components, fixed, grid)


def _is_grid(sub: Sub, grid: Ints, group: int) -> bool:
    """Whether a village group is one grid, in which nobody has another."""
    own = sub.group == group
    others = sub.group[grid == grid[own][0]]
    return bool((grid[own] == grid[own][0]).all() and np.isin(others, (group, -1)).all())


# --- search and bound of one component ----------------------------------------------------------


def _search(sub: Sub, first: Ints, rules: Rules) -> Ints:
    terms = Terms(rules.low, rules.high, float(rules.group_cost_m))
    return improve(sub, first, terms, rules.work.search, seed=rules.seed, threads=rules.threads)


def _bounded(sub: Sub, rows: Ints, grid: Ints, rules: Rules) -> _Component:
    """The component with the prices that bound its objective; of a small one the optimum, if work allows."""
    value_m = score(sub, grid).objective_m(rules.group_cost_m)
    K = int(grid.max()) + 1
    if K == 1:
        return _Component(rows, grid, K, np.zeros(len(rows)), value_m)
    limits = Limits(K, rules.low, rules.high, rules.group_cost_m)
    price = search_prices(sub, limits, value_m=value_m, rounds=_rounds(sub.households, rules))
    proves = rules.proves and sub.households <= rules.work.prove_households
    if not proves:
        price = refine_prices(sub, grid, limits, price, rounds=rules.work.refine_rounds)
    bound_m = min(max(lower_bound(sub, price, limits), 0.0), value_m)
    component = _Component(rows, grid, K, price, bound_m)
    if not proves:
        return component
    proof = prove(sub, grid, limits, price_m=price, work=ProofWork(steps=rules.work.prove_steps))
    if proof is None:
        return component
    component = replace(component, grid=proof.grid, reproducible=not proof.stopped)
    if proof.bound_m <= bound_m:
        return component
    return replace(component, bound_m=proof.bound_m, bound_by=proof.bound_by)


def _rounds(households: int, rules: Rules) -> int:
    """Rounds of the bound, fewer of them where a component is large."""
    at_large = max(_FEWEST_ROUNDS, min(_LARGE_ROUNDS, _HOUSEHOLD_ROUNDS // households))
    all_to = rules.work.rounds_to if rules.group_cost_m == 0 else rules.work.rounds_to // 4
    return max(at_large, rules.work.rounds * min(all_to, households) // households)


def _bounded_around(sub: Sub, grid: Ints, fixed: Ints, rules: Rules) -> tuple[_Component, ...]:
    """A component of each piece that is left beside the grids ``fixed``."""
    piece = pieces(sub.indptr, sub.indices, np.where(np.isin(grid, fixed), -1, 0))
    around = [np.flatnonzero(piece == each) for each in range(int(piece.max(initial=-1)) + 1)]
    return tuple(
        _bounded(cut_out(sub, rows), rows, np.unique(grid[rows], return_inverse=True)[1], rules)
        for rows in around
    )


# --- the answer ---------------------------------------------------------------------------------


def _assemble(problem: GridProblem, part: Ints, done: Sequence[_Part], rules: Rules) -> Partition:
    n_grids = np.array([int(each.grid.max()) + 1 for each in done], np.int64)
    first_grid = np.cumsum(n_grids) - n_grids
    grid = _labels(problem, done, [each.grid for each in done])
    bound_m = 0.0
    faults: list[GridFault] = []
    for at, each in enumerate(done):
        faults.extend(_faults(each, at, int(first_grid[at]), rules))
        worth = score(each.sub, each.grid)
        bound_m += float((worth.walk_m + rules.group_cost_m * worth.outside)[each.fixed].sum())
        bound_m += sum(component.bound_m for component in each.components)
    worth = score(problem, grid)
    components = [piece for each in done for piece in each.components if piece.K > 1]
    return Partition(
        grid=grid,
        medoid=worth.medoid,
        part=part,
        state=tuple(each.settled.state for each in done),
        part_grids=n_grids,
        walk_m=float(worth.walk_m.sum()),
        group_cost_m=float(rules.group_cost_m * worth.outside.sum()),
        bound_m=bound_m,
        bound_by="; ".join(dict.fromkeys(each.bound_by for each in components)) or _BOUND_BY,
        multipliers=_multipliers(problem, done, rules),
        outside=int(worth.outside.sum()),
        plain=_labels(problem, done, [each.plain for each in done]),
        free=None,
        kept_groups=tuple(
            int(g) for each in done for g in _names(problem, each.sub.rows)[[*each.kept.groups]]
        ),
        split_groups=tuple(
            (int(_names(problem, each.sub.rows)[group]), why)
            for each in done
            for group, why in each.kept.split
        ),
        faults=tuple(faults),
        inexact=worth.inexact,
        reproducible=all(each.reproducible for each in components),
    )


def _labels(problem: GridProblem, done: Sequence[_Part], grids: Sequence[Ints]) -> Ints:
    """Grids of each part, numbered on from part to part."""
    out, n = np.empty(len(problem.weight), np.int64), 0
    for each, grid in zip(done, grids, strict=True):
        out[each.sub.rows] = n + grid
        n += int(grid.max()) + 1
    return out


def _multipliers(problem: GridProblem, done: Sequence[_Part], rules: Rules) -> dict[str, NDArray]:
    """What proves the bound anew, as described at :class:`Partition`."""
    price, component = np.zeros(len(problem.weight)), np.full(len(problem.weight), -1, np.int64)
    K: list[int] = []
    by_solver: list[bool] = []
    for each in done:
        for piece in (piece for piece in each.components if piece.K > 1):
            rows = each.sub.rows[piece.rows]
            component[rows] = len(K)
            price[rows] = piece.price_m
            K.append(piece.K)
            by_solver.append(piece.bound_by != _BOUND_BY)
    return {
        "price_m": price,
        "component": component,
        "component_grids": np.array(K, np.int64),
        "component_low": np.full(len(K), rules.low, np.int64),
        "component_high": np.full(len(K), rules.high, np.int64),
        "component_by_solver": np.array(by_solver, np.int64),
    }


def _names(problem: GridProblem, rows: Ints) -> Ints:
    """The problem's own numbers of the groups among ``rows``."""
    group = problem.group[rows]
    return np.unique(group[group >= 0])


def _faults(done: _Part, at: int, first_grid: int, rules: Rules) -> list[GridFault]:
    """One fault per grid that breaks a limit or holds two locks."""
    if done.settled.state == "feasible":
        return []
    ways = ways_out(done.sub, done.settled, low=rules.low, high=rules.high)
    households = np.bincount(done.grid, done.sub.weight).astype(np.int64)
    n_clashes = clashes(done.sub, done.grid)
    out = []
    for grid, way in sorted(ways.items()):
        rows = np.flatnonzero(done.grid == grid)
        limit: FaultLimit = "min_households" if households[grid] < rules.low else "max_households"
        out.append(
            GridFault(
                part=at,
                grid=first_grid + grid,
                rows=done.sub.rows[rows],
                households=int(households[grid]),
                state="infeasible" if way.proved else "undecided",
                limit="locked_grid" if n_clashes[grid] else limit,
                reason=way.reason,
                relaxation=way.relaxation,
                split=None if way.split is None else (int(done.sub.rows[way.split[0]]), way.split[1]),
                needs_join=done.sub.households < rules.low,
            )
        )
    return out
