"""Whether a part can be cut into grids at all, what must go wrong if not, and which limit would have to give.

From cheap to dear: arithmetic on the part and on every branch behind a cut vertex; mending and proofs
in growing neighbourhoods of what is wrong (:mod:`spatial.grids.regions`); for small parts one exact
programme over all rows. What none of them settles is *undecided*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import networkx as nx
import numpy as np

from spatial.errors import SolverError
from spatial.grids.branches import branch_losses
from spatial.grids.exact_cut import FAULT, OutOfWorkError, Region, best_cut
from spatial.grids.problem import Ints, State, Sub, cut_out, pieces
from spatial.grids.regions import Ground, Layout, Must, Work, best_of_all, mend, must_be_wrong, region
from spatial.grids.trees import fault_size, start, whole_cut
from spatial.solve import connected_parts

__all__ = [
    "SMALL_ROWS",
    "Settled",
    "WayOut",
    "counts",
    "cut_into",
    "cut_small",
    "decide",
    "plain_count",
    "reachable",
    "settle",
    "ways_out",
]

SMALL_ROWS = 60  # rows up to which a part is never left undecided
_LEVELS = (3_000, 30_000, 300_000)  # steps for one neighbourhood
_AT_ONCE = 120  # rows of a part that is tried as a whole
_WORK = 6_000_000  # steps for a part
_WORK_PER_ROW = 10_000
_SMALL_WORK = 3_000_000  # steps for all of a small part
_LOCAL_WORK = 600_000  # steps for a try at each of the ways out of a part
_BESIDE = 5  # grids around what is wrong, to look for a way out
_TRIES = 2
_LONELY_SETS = 2_000  # sets tried around one row
_CLUSTER = 12  # grids looked at together for a way out


def counts(households: int, *, low: int, high: int) -> range:
    """Numbers of grids that the households alone allow; empty where there is none."""
    return range(-(-households // high), households // low + 1)


def plain_count(households: int, *, low: int, high: int, target: int) -> int:
    """households / target, halves up, moved to the nearest number allowed; 0 where there is none."""
    allowed = counts(households, low=low, high=high)
    if not allowed:
        return 0
    return min(max((2 * households + target) // (2 * target), allowed[0]), allowed[-1])


@dataclass(frozen=True)
class Settled:
    """The best plan found for a part at any number of grids, and what is known of it.

    ``reason`` proves that no plan keeps the limits; empty where there is one or no proof was found.
    ``musts`` are neighbourhoods with something wrong in every plan.
    """

    grid: Ints
    state: State
    reason: str
    musts: tuple[Must, ...]


def decide(sub: Sub, *, low: int, high: int, seed: int) -> Settled:
    """Whether a connected part can be cut into grids within the limits; stops at the first proof."""
    return _settle(sub, low, high, seed, whole=False)


def settle(sub: Sub, *, low: int, high: int, seed: int, known: Sequence[Must] = ()) -> Settled:
    """A plan with as few households in faulty grids as can be found, and what is proved about that.

    ``known`` are the proofs of :func:`decide`, where it was asked before.
    """
    return _settle(sub, low, high, seed, whole=True, known=known)


def _settle(sub: Sub, low: int, high: int, seed: int, *, whole: bool, known: Sequence[Must] = ()) -> Settled:
    reason = _arithmetic(sub, low, high)
    if reason and not whole:
        return Settled(np.zeros(len(sub.rows), np.int64), "infeasible", reason, ())
    ground = Ground.of(sub)
    musts = list(known) or branch_losses(ground, low, high)
    if musts and not whole:
        return Settled(np.zeros(len(sub.rows), np.int64), "infeasible", musts[0].reason, tuple(musts))
    tries = 2 * _TRIES if whole else _TRIES
    grid = start(sub, low=low, high=high, K=0, seed=seed, tries=tries, enough=_least_loss(musts))
    if not any(fault_size(sub, grid, low, high)):
        return Settled(grid, "feasible", "", ())
    layout = Layout(ground, grid, low, high)
    musts = [replace(must, fewest=_loses(layout, must, in_one=True)) for must in musts]
    if len(layout.ground.weight) <= _AT_ONCE:
        with suppress(OutOfWorkError):
            must = best_of_all(layout, work=_LEVELS[-1])
            musts += [must] if must else []
    work = Work(min(_WORK, _WORK_PER_ROW * len(layout.ground.weight)))
    for level in _LEVELS:
        for each in layout.wrong():
            if _may_be_better(layout, each, musts):
                must = must_be_wrong(layout, each, work=work, most=level)
                if must and not whole:
                    return Settled(layout.labels(), "infeasible", must.reason, (must,))
                musts += [must] if must else []
        better = [each for each in layout.wrong() if _may_be_better(layout, each, musts)]
        mend(layout, better, keep_count=False, work=work, most=level)
    if layout.wrong() and len(layout.ground.weight) <= SMALL_ROWS and not (reason or musts):
        reason = _small(layout)
    if not layout.wrong():
        return Settled(layout.labels(), "feasible", "", ())
    musts = [replace(must, fewest=must.fewest or _loses(layout, must)) for must in musts]
    reason = reason or (musts[0].reason if musts else "")
    return Settled(layout.labels(), "infeasible" if reason else "undecided", reason, tuple(musts))


def _may_be_better(layout: Layout, each: int, musts: Sequence[Must]) -> bool:
    """Whether a grid is wrong and no proof covers it that no plan is better there."""
    if each not in layout.units or not layout.cost(each):
        return False
    return not any(must.fewest and must.units.issuperset(layout.units[each]) for must in musts)


def _loses(layout: Layout, must: Must, *, in_one: bool = False) -> bool:
    """Whether no more households are in faulty grids there than in every plan (and in one grid)."""
    grids = {layout.grid[unit] for unit in must.units}
    wrong = [each for each in grids if layout.cost(each) and must.units.issuperset(layout.units[each])]
    few = sum(layout.cost(each) // FAULT for each in wrong) <= must.cost // FAULT
    return few and not (in_one and len(wrong) > 1)


def _least_loss(musts: Sequence[Must]) -> int:
    """Households that every plan leaves in faulty grids, from the branches that lie in no other."""
    counted: set[int] = set()
    least = 0
    for must in reversed(musts):
        if counted.isdisjoint(must.units):
            counted |= must.units
            least += must.cost // FAULT
    return least


def _small(layout: Layout) -> str:
    """The solver's word on a small part: its cut, in place, or the reason that there is none."""
    ground, low, high = layout.ground, layout.low, layout.high
    try:
        parts = connected_parts(ground.weight, ground.near, ground.lock, low=low, high=high)
    except SolverError:
        return ""
    if parts is None:
        return "every cut of its rows was ruled out"
    layout.replace(list(layout.units), parts)
    return ""


# --- proofs -------------------------------------------------------------------------------------


def _arithmetic(sub: Sub, low: int, high: int) -> str:
    if sub.households < low:
        return f"its part of the alleys holds no more than {sub.households} households"
    if not counts(sub.households, low=low, high=high):
        return f"{sub.households} households can't be shared out into grids of {low} to {high}"
    heaviest = int(sub.weight.max())
    if (sub.locked >= 0).any():
        heaviest = max(
            heaviest, int(np.bincount(sub.locked[sub.locked >= 0], sub.weight[sub.locked >= 0]).max())
        )
    return f"{heaviest} households have to stay together, more than {high}" if heaviest > high else ""


# --- numbers of grids ---------------------------------------------------------------------------


def reachable(sub: Sub, *, low: int, high: int, target: int, seed: int, tries: int) -> range:
    """Numbers of grids that a part can be cut into, both ends reached by a plan.

    For small parts no plan has fewer or more; elsewhere that is proved only of an end of :func:`counts`.
    A part that can't be cut within the limits has the one number that leaves the fewest households out.
    """

    def works(K: int) -> bool:
        return cut_into(sub, K, low=low, high=high, seed=seed, tries=tries) is not None

    allowed = counts(sub.households, low=low, high=high)
    settled = settle(sub, low=low, high=high, seed=seed)
    free = int(settled.grid.max()) + 1
    if settled.state != "feasible":
        return range(free, free + 1)
    middle = plain_count(sub.households, low=low, high=high, target=target)
    first = middle if free != middle and works(middle) else free
    most = first + _farthest(lambda step: works(first + step), allowed[-1] - first)
    return range(first - _farthest(lambda step: works(first - step), first - allowed[0]), most + 1)


def cut_into(sub: Sub, K: int, *, low: int, high: int, seed: int, tries: int) -> Ints | None:
    """``K`` grids within the limits; None where none were found (small parts: where there are none)."""
    grid = start(sub, low=low, high=high, K=K, seed=seed, tries=tries)
    if int(grid.max()) + 1 == K and not any(fault_size(sub, grid, low, high)):
        return grid
    return cut_small(sub, low=low, high=high, K=K)


def cut_small(sub: Sub, *, low: int, high: int, K: int | None = None) -> Ints | None:
    """Grids of a small part within the limits, exactly; None where there are none, or the part is large."""
    if len(sub.rows) > SMALL_ROWS:
        return None
    ground = Ground.of(sub)
    everything = region(ground, list(range(len(ground.weight))), alone=True)
    try:
        cut, _ = best_cut(everything, low=low, high=high, below=1, work=_SMALL_WORK, n_pieces=K)
    except OutOfWorkError:
        return None
    if cut is None:
        return None
    of_unit = np.empty(len(ground.weight), np.int64)
    for at, piece in enumerate(cut.pieces):
        of_unit[piece] = at
    return of_unit[ground.of_row]


def _farthest(works: Callable[[int], bool], most: int) -> int:
    """Greatest step of 0..most that works, for a test that stays false once it is; 0 always works."""
    if most <= 0 or works(most):
        return max(most, 0)
    holds, fails = 0, most
    while fails - holds > 1:
        middle = (holds + fails) // 2
        holds, fails = (middle, fails) if works(middle) else (holds, middle)
    return holds


# --- ways out -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class WayOut:
    """Why one grid breaks a limit, whether that is proved, and what would help.

    ``relaxation`` holds for each limit the value nearest to today's at which the grid, and those that
    break a limit beside it, were cut well. ``split``: a row that touches the grid, and how many of its
    households could join if it were in two.
    """

    reason: str
    proved: bool
    relaxation: dict[str, int]
    split: tuple[int, int] | None


def ways_out(sub: Sub, settled: Settled, *, low: int, high: int) -> dict[int, WayOut]:
    """What would help each grid of a plan that breaks a limit."""
    layout = Layout(Ground.of(sub), settled.grid, low, high)
    wrong = layout.wrong()
    out: dict[int, WayOut] = {}
    clusters = _clusters(layout, wrong)
    portion = min(max(_LOCAL_WORK // max(len(clusters), 1), 2_000), _LEVELS[1] // 3)
    for cluster in clusters:
        relaxation = _smallest_relaxation(sub, layout, cluster, portion)
        for each in cluster:
            reason, proved = _why(sub, layout, each, settled)
            split = _helpful_split(layout, each)
            row = (
                None
                if split is None
                else (int(np.flatnonzero(layout.ground.of_row == split[0])[0]), split[1])
            )
            out[each] = WayOut(reason, proved, relaxation, row)
    return out


def _why(sub: Sub, layout: Layout, each: int, settled: Settled) -> tuple[str, bool]:
    """The reason that lies nearest to a grid, and whether it is a proof."""
    low, high = layout.low, layout.high
    if sub.households < low:
        return f"its part of the alleys holds no more than {sub.households} households", True
    lonely = [unit for unit in layout.units[each] if _is_lonely(layout.ground, unit, low, high)]
    if lonely:
        most = max(layout.ground.weight[unit] for unit in lonely)
        return f"no grid of {low} to {high} in one piece can hold the row of {most} households in it", True
    here = set(layout.units[each])
    musts = [must for must in settled.musts if must.units & here]
    if musts:
        best = min(musts, key=lambda must: (not must.fewest, len(must.units)))
        return best.reason + ("" if best.fewest else "; fewer than these were not found"), True
    if settled.reason and not settled.musts:
        return settled.reason, True
    return "no better cut of the rows around it was found", False


def _is_lonely(ground: Ground, unit: int, low: int, high: int) -> bool:
    """True only where every set in one piece around ``unit`` was seen to miss the limits."""
    nobody: frozenset[int] = frozenset()
    stack = [(nobody, frozenset([unit]), ground.weight[unit])]
    for _ in range(_LONELY_SETS):
        if not stack:
            return True
        out, grid, households = stack.pop()
        if households >= low:
            return False
        around = {other for one in grid for other in ground.near[one]} - grid - out
        if not around:
            continue
        pick = min(around)
        stack.append((out | {pick}, grid, households))
        if households + ground.weight[pick] <= high and not (
            ground.lock[pick] >= 0 and any(ground.lock[one] >= 0 for one in grid)
        ):
            stack.append((out, grid | {pick}, households + ground.weight[pick]))
    return False


def _clusters(layout: Layout, wrong: Sequence[int]) -> list[list[int]]:
    """Grids that break a limit, those together that touch or have a neighbour in common."""
    graph = nx.Graph()
    graph.add_nodes_from(wrong)
    beside: dict[int, int] = {}
    for each in wrong:
        touched = {layout.grid[other] for unit in layout.units[each] for other in layout.ground.near[unit]}
        for other in sorted(touched | {each}):
            graph.add_edge(each, beside.setdefault(other, each))
    return [
        part[at : at + _CLUSTER]
        for part in sorted(sorted(each) for each in nx.connected_components(graph))
        for at in range(0, len(part), _CLUSTER)
    ]


def _smallest_relaxation(sub: Sub, layout: Layout, cluster: list[int], portion: int) -> dict[str, int]:
    """The nearest value of each limit, the other left alone, at which the surroundings can be cut."""
    around = _surroundings(layout, cluster)
    local = [cut_out(sub, np.flatnonzero(np.isin(layout.ground.of_row, units))) for units in around]
    low, high = layout.low, layout.high

    def works(low: int, high: int) -> bool:
        return any(
            _is_cut(piece, low, high)
            or _can_be_cut(region(layout.ground, units, alone=True), low, high, portion)
            for piece, units in zip(local, around, strict=True)
        )

    households = sum(layout.ground.weight[unit] for unit in around[-1])
    steps = {
        "min_households": _first(lambda step: works(low - step, high), low - 1),
        "max_households": _first(lambda step: works(low, high + step), households - high),
    }
    today = {"min_households": (low, -1), "max_households": (high, 1)}
    return {name: today[name][0] + today[name][1] * step for name, step in steps.items() if step}


def _is_cut(sub: Sub, low: int, high: int) -> bool:
    """Whether a tree shows a cut within the limits at once."""
    if pieces(sub.indptr, sub.indices, np.zeros(len(sub.rows), np.int64)).any():
        return False
    return not any(fault_size(sub, whole_cut(sub, low=low, high=high, seed=1), low, high))


def _can_be_cut(alone: Region, low: int, high: int, work: int) -> bool:
    try:
        return best_cut(alone, low=low, high=high, below=1, work=work)[0] is not None
    except OutOfWorkError:
        return False


def _surroundings(layout: Layout, cluster: list[int]) -> list[list[int]]:
    """Units of a cluster with the nearest 1, 2, … other grids."""
    grids = list(cluster)
    out = []
    for unit in layout.ground.around([unit for each in cluster for unit in layout.units[each]]):
        if layout.grid[unit] not in grids:
            grids.append(layout.grid[unit])
            out.append(sorted(one for each in grids for one in layout.units[each]))
            if len(grids) == len(cluster) + _BESIDE:
                break
    return out or [sorted(one for each in grids for one in layout.units[each])]


def _helpful_split(layout: Layout, each: int) -> tuple[int, int] | None:
    """A unit beside a grid that is too small, and the fewest of its households that would make it whole."""
    ground, low = layout.ground, layout.low
    mine = layout.units[each]
    need = low - sum(ground.weight[unit] for unit in mine)
    if need <= 0:
        return None
    beside = sorted({other for unit in mine for other in ground.near[unit]} - set(mine))
    for unit in sorted(beside, key=lambda unit: (-ground.weight[unit], unit)):
        rest = sum(ground.weight[other] for other in layout.units[layout.grid[unit]]) - need
        if ground.lock[unit] < 0 and ground.weight[unit] > need and low <= rest <= layout.high:
            return unit, need
    return None


def _first(works: Callable[[int], bool], most: int) -> int | None:
    """Least step of 1..most that works, for a test that stays true once it is: doubling, then halving."""
    fails, holds = 0, 1
    while holds <= most and not works(holds):
        if holds == most:
            return None
        fails, holds = holds, min(2 * holds, most)
    if holds > most:
        return None
    while holds - fails > 1:
        middle = (fails + holds) // 2
        fails, holds = (fails, middle) if works(middle) else (middle, holds)
    return holds
