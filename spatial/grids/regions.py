"""Neighbourhoods of a part, settled one by one: mend a plan there, or prove that nothing can.

Around a grid that breaks a limit, two questions have exact answers that don't look at the rest of the
part. Can its rows and those of the nearest grids be cut anew so that less is wrong? And what must be
wrong in any plan? For the latter the rows around it are taken by themselves, and a piece with a row
from where a grid could go on outside may be as small as it likes: what is wrong even so is wrong in
every plan of the whole part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice, pairwise

import numpy as np

from spatial.grids.exact_cut import FAULT, Cut, OutOfWorkError, Region, best_cut
from spatial.grids.problem import Ints, Sub

__all__ = ["Ground", "Layout", "Must", "Work", "best_of_all", "mend", "must_be_wrong", "region"]

_GRIDS = range(2, 9)  # cut anew together
_ROWS = (8, 15, 30, 60, 120, 240)  # held against any plan


@dataclass(frozen=True)
class Ground:
    """A part with the rows of each lock drawn together to one *unit*."""

    weight: list[int]
    near: list[list[int]]
    lock: list[int]  # −1 free
    of_row: Ints

    @staticmethod
    def of(sub: Sub) -> Ground:
        n = len(sub.rows)
        key = np.where(sub.locked < 0, np.arange(n), n + sub.locked)
        names, unit = np.unique(key, return_inverse=True)
        indptr, others = sub.indptr, sub.indices
        if names[-1] >= n:
            owner, other = np.repeat(unit, np.diff(indptr)), unit[others]
            pairs = np.unique(np.column_stack((owner, other))[owner != other], axis=0)
            indptr, others = np.searchsorted(pairs[:, 0], np.arange(len(names) + 1)), pairs[:, 1]
        flat, ends = others.tolist(), indptr.tolist()
        near = [flat[begin:end] for begin, end in pairwise(ends)]
        weight = np.bincount(unit, sub.weight).astype(np.int64)
        lock = np.where(names >= n, names - n, -1)
        return Ground(weight.tolist(), near, lock.tolist(), unit)

    def around(self, seeds: Iterable[int]) -> Iterator[int]:
        """Units by the fewest households between them and the seeds, which come first."""
        held = dict.fromkeys(sorted(seeds), 0)
        heap = [(0, unit) for unit in held]
        done: set[int] = set()
        inside = set(held)
        while heap:
            households, unit = heappop(heap)
            if unit in done:
                continue
            done.add(unit)
            yield unit
            beyond = households + (0 if unit in inside else self.weight[unit])
            for other in self.near[unit]:
                if other not in done and beyond < held.get(other, beyond + 1):
                    held[other] = beyond
                    heappush(heap, (beyond, other))


@dataclass
class Work:
    """Steps that are left."""

    left: int


def region(ground: Ground, units: list[int], *, alone: bool) -> Region:
    """Some units as a region; ``alone``: nothing goes on outside."""
    at = {unit: place for place, unit in enumerate(units)}
    near = [[at[other] for other in ground.near[unit] if other in at] for unit in units]
    goes_on = [
        not alone and len(mine) < len(ground.near[unit]) for mine, unit in zip(near, units, strict=True)
    ]
    return Region(
        [ground.weight[unit] for unit in units], near, [ground.lock[unit] for unit in units], goes_on
    )


class Layout:
    """Grids of a ground, to be changed in place."""

    def __init__(self, ground: Ground, grid: Ints, low: int, high: int) -> None:
        self.ground, self.low, self.high = ground, low, high
        n = len(ground.weight)
        of_unit = np.empty(n, np.int64)
        of_unit[ground.of_row] = grid
        self.grid: list[int] = of_unit.tolist()
        self.units: dict[int, list[int]] = {}
        for unit, each in enumerate(self.grid):
            self.units.setdefault(each, []).append(unit)
        self.free = max(self.units) + 1

    def cost(self, each: int) -> int:
        """What one grid costs: 0 where it keeps the limits and holds one lock at most."""
        units = self.units[each]
        households = sum(self.ground.weight[unit] for unit in units)
        locks = sum(self.ground.lock[unit] >= 0 for unit in units)
        miss = max(self.low - households, households - self.high, 0) + self.high * max(locks - 1, 0)
        return FAULT * households + miss if miss else 0

    def wrong(self) -> list[int]:
        """Grids that cost something."""
        return [each for each in sorted(self.units) if self.cost(each)]

    def replace(self, grids: list[int], pieces: list[list[int]]) -> list[int]:
        """Put ``pieces`` in the place of ``grids``; their new numbers."""
        for each in grids:
            del self.units[each]
        numbers = [*grids[: len(pieces)], *range(self.free, self.free + max(len(pieces) - len(grids), 0))]
        self.free += max(len(pieces) - len(grids), 0)
        for each, units in zip(numbers, pieces, strict=True):
            self.units[each] = sorted(units)
            for unit in units:
                self.grid[unit] = each
        return numbers

    def labels(self) -> Ints:
        """Grid 0, 1, … of each row of the part."""
        return np.unique(np.array(self.grid)[self.ground.of_row], return_inverse=True)[1].astype(np.int64)


def mend(layout: Layout, wrong: Sequence[int], *, keep_count: bool, work: Work, most: int) -> None:
    """Cut grids that are wrong anew, together with the nearest ones, wherever that makes less wrong.

    ``most`` steps are allowed for one neighbourhood, ``work`` for all.
    """
    queue = deque(wrong)
    while queue and work.left > 0:
        each = queue.popleft()
        if each in layout.units and layout.cost(each):
            queue.extend(_mend_one(layout, each, keep_count, work, most))


def _mend_one(layout: Layout, each: int, keep_count: bool, work: Work, most: int) -> list[int]:
    """Grids that are wrong after a change; none if there was no change."""
    ground, grids, allowed = layout.ground, [each], min(most, work.left)
    near = ground.around(layout.units[each])
    for width in _GRIDS:
        while len(grids) < width:
            unit = next(near, None)
            if unit is None:
                break
            if layout.grid[unit] not in grids:
                grids.append(layout.grid[unit])
        if len(grids) < min(width, len(layout.units)):
            break
        units = sorted(unit for one in grids for unit in layout.units[one])
        now = sum(layout.cost(one) for one in grids)
        try:
            cut, steps = best_cut(
                region(ground, units, alone=True),
                low=layout.low,
                high=layout.high,
                below=now,
                work=allowed,
                n_pieces=len(grids) if keep_count else None,
            )
        except OutOfWorkError:
            work.left -= allowed
            return []
        work.left -= steps
        allowed -= steps
        if cut is not None:
            pieces = [[units[place] for place in piece] for piece in cut.pieces]
            return [one for one in layout.replace(grids, pieces) if layout.cost(one)]
        if len(grids) < width:
            break
    return []


@dataclass(frozen=True)
class Must:
    """What is wrong around some units in every plan, and the proof as a sentence."""

    units: frozenset[int]  # looked at
    cost: int  # no plan costs less there
    fewest: bool  # the layout costs no more there
    reason: str


def must_be_wrong(layout: Layout, each: int, *, work: Work, most: int) -> Must | None:
    """The least that any plan costs around grid ``each``, from nested regions around it.

    Where the steps don't suffice for the least, it is asked only whether anything is wrong in every plan.
    """
    ground = layout.ground
    near = ground.around(layout.units[each])
    units: list[int] = []
    best: Must | None = None
    least = True
    for size in [size for size in _ROWS if size < len(ground.weight)]:
        units += islice(near, size - len(units))
        inside = set(units)
        whole = [
            one
            for one in {layout.grid[unit] for unit in units}
            if layout.cost(one) and inside.issuperset(layout.units[one])
        ]
        now = sum(layout.cost(one) for one in whole)
        if not now:
            continue
        here = region(ground, sorted(units), alone=False)
        found = _cut_below(layout, here, now, work, most) if least else None
        if found is None:
            if best:
                break
            least, found = False, _cut_below(layout, here, 1, work, most)
        if found is None:
            break
        cut = found[0]
        if cut is None:
            return _must(layout, units, now if least else FAULT, fewest=least)
        if cut.cost > (best.cost if best else 0):
            best = _must(layout, units, cut.cost, fewest=False)
    return best


def _cut_below(layout: Layout, here: Region, below: int, work: Work, most: int) -> tuple[Cut | None] | None:
    """The best cut of a region that costs less, if there is one; None if the steps did not suffice."""
    allowed = min(most, work.left)
    try:
        cut, steps = best_cut(here, low=layout.low, high=layout.high, below=below, work=allowed)
    except OutOfWorkError:
        work.left -= allowed
        return None
    work.left -= steps
    return (cut,)


def best_of_all(layout: Layout, *, work: int) -> Must | None:
    """Put the best plan of the whole part into the layout; what is wrong even so.

    Raises
    ------
    OutOfWorkError
    """
    units = list(range(len(layout.ground.weight)))
    now = sum(layout.cost(each) for each in layout.units)
    whole = region(layout.ground, units, alone=True)
    cut, _ = best_cut(whole, low=layout.low, high=layout.high, below=now, work=work)
    if cut is not None:
        layout.replace(list(layout.units), cut.pieces)
        now = cut.cost
    return _must(layout, units, now, fewest=True) if now else None


def _must(layout: Layout, units: list[int], cost: int, *, fewest: bool) -> Must:
    households = sum(layout.ground.weight[unit] for unit in units)
    reason = (
        f"of the {households} households in the {len(units)} rows around it at least {cost // FAULT} can be "
        f"in no grid of {layout.low} to {layout.high}, however all are cut"
    )
    if len(units) == len(layout.ground.weight):
        reason = f"every cut of its rows was ruled out that leaves fewer than {cost // FAULT} households out"
    return Must(frozenset(units), cost, fewest, reason)
