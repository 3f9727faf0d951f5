"""How many grids each part gets, and feasible starts: grids within the limits to search from.

The number is settled before the search: by arithmetic, then by a start that was found. Where a part
can't be cut within the limits, the rest of it beside the faulty grids is what is counted and cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property

import numpy as np

from spatial.errors import DataError
from spatial.grids.decide import (
    SMALL_ROWS,
    Settled,
    counts,
    cut_into,
    decide,
    plain_count,
    reachable,
    settle,
)
from spatial.grids.groups import rest_pieces
from spatial.grids.problem import Ints, Sub, cut_out, pieces
from spatial.grids.regions import Must
from spatial.grids.rules import Rules
from spatial.grids.trees import clashes, fault_size, recount

__all__ = ["Starts", "faulty_first", "nearest_total", "reachable_shares", "reaches_beside", "shares_beside"]

_COUNTS = 5  # numbers of grids tried where the plain one has no feasible start
_MOVES = 4  # away from the plain number, to keep village groups whole


class Starts:
    """Feasible starts of pieces of a part, each made once."""

    def __init__(self, sub: Sub, rules: Rules) -> None:
        self.sub, self.rules = sub, rules
        self.made: dict[tuple[bytes, int | None], Ints | None] = {}
        self.musts: tuple[Must, ...] = ()  # what was proved of the whole part

    @cached_property
    def settled(self) -> Settled:
        """The plan of the whole part with the fewest households in faulty grids, at any number of grids."""
        low, high = self.rules.low, self.rules.high
        return settle(self.sub, low=low, high=high, seed=self.rules.seed, known=self.musts)

    def reaches(self, K: int | None) -> bool:
        """Whether the part was cut into ``K`` grids, or all of it that can be cut."""
        return self.of(np.arange(len(self.sub.rows)), K) is not None or self.beside_faults(K) is not None

    def beside_faults(self, K: int | None) -> Ints | None:
        """The faulty grids of ``settled``, and ``K`` with them or the plain number around them.

        None where a piece of the rest could not be cut so, or where nothing is faulty.
        """
        sub, grid = self.sub, self.settled.grid
        grid, n_faulty = faulty_first(sub, grid, self.rules)
        around = pieces(sub.indptr, sub.indices, np.where(grid < n_faulty, -1, 0))
        rests = [np.flatnonzero(around == each) for each in range(int(around.max(initial=-1)) + 1)]
        if not n_faulty or not rests:
            return None
        shares: list[int | None] = [None] * len(rests)
        if K is not None:
            try:
                shares = _share_out(
                    [cut_out(sub, rows, walks=False) for rows in rests], self.rules, K - n_faulty
                )
            except DataError:
                return None
        n_grids = n_faulty
        for rows, share in zip(rests, shares, strict=True):
            found = self._recounted(rows, grid[rows], share)
            if found is None:
                return None
            grid[rows] = n_grids + found
            n_grids += int(found.max()) + 1
        return grid

    def _recounted(self, rows: Ints, grid: Ints, K: int | None) -> Ints | None:
        """``K`` sound grids, or the plain number, of rows that are in sound ones."""
        piece, now = cut_out(self.sub, rows, walks=False), np.unique(grid, return_inverse=True)[1]
        low, high = self.rules.low, self.rules.high
        wanted = _plain(piece, self.rules) if K is None else K
        found = recount(piece, now, low=low, high=high, K=wanted, seed=self.rules.seed)
        if int(found.max()) + 1 == wanted and not any(fault_size(piece, found, low, high)):
            return found
        return now if K is None else self.of(rows, K)

    def of(self, rows: Ints, K: int | None) -> Ints | None:
        """A partition of ``rows`` within the limits into ``K`` grids; None where none was found.

        ``K`` None: the plain number, else the nearest to it that works.
        """
        key = (rows.tobytes(), K)
        if key not in self.made:
            self.made[key] = self._make(rows, K)
        return self.made[key]

    def _make(self, rows: Ints, K: int | None) -> Ints | None:
        piece = cut_out(self.sub, rows, walks=False)
        low, high = self.rules.low, self.rules.high
        plain = _plain(piece, self.rules)
        allowed = counts(piece.households, low=low, high=high)
        wanted = sorted(allowed, key=lambda k: (abs(k - plain), k))[:_COUNTS] if K is None else [K]
        if not wanted:
            return None
        tries = self.rules.work.tries if len(rows) <= SMALL_ROWS else 1
        grid = self._within_limits(piece, wanted[0], tries)
        if grid is not None:
            return grid
        settled = decide(piece, low=low, high=high, seed=self.rules.seed)
        if settled.state == "infeasible":
            if len(rows) == len(self.sub.rows):
                self.musts = settled.musts
            return None
        for each in wanted:
            grid = self._within_limits(piece, each, self.rules.work.tries)
            if grid is not None:
                return grid
        return settled.grid if K is None and settled.state == "feasible" else None

    def _within_limits(self, piece: Sub, K: int, tries: int) -> Ints | None:
        low, high = self.rules.low, self.rules.high
        return cut_into(piece, K, low=low, high=high, seed=self.rules.seed, tries=tries)


def faulty_first(sub: Sub, grid: Ints, rules: Rules) -> tuple[Ints, int]:
    """The grids numbered anew, those that break a limit first, and how many these are."""
    households = np.bincount(grid, sub.weight)
    bad = (households < rules.low) | (households > rules.high) | (clashes(sub, grid) > 0)
    number = np.empty(len(bad), np.int64)
    number[np.argsort(~bad, kind="stable")] = np.arange(len(bad))
    return number[grid], int(bad.sum())


# --- how many grids -----------------------------------------------------------------------------


def reachable_shares(begins: Sequence[Starts], rules: Rules, n_grids: int | None) -> list[int | None]:
    """Grids of each part, such that each part that can be cut at all can be cut into its share."""
    subs = [begin.sub for begin in begins]
    if n_grids is None:
        return [None] * len(subs)
    how = {"low": rules.low, "high": rules.high, "seed": rules.seed, "tries": rules.work.tries}
    with suppress(DataError):
        shares = _share_out(subs, rules, n_grids)
        if all(begin.reaches(K) for begin, K in zip(begins, shares, strict=True)):
            return shares
    return _share_out(subs, rules, n_grids, [reachable(sub, target=rules.target, **how) for sub in subs])


def _share_out(
    subs: Sequence[Sub], rules: Rules, n_grids: int, ranges: Sequence[range] | None = None
) -> list[int | None]:
    """Grids of each part where their total is fixed; ``ranges`` tells what each can be cut into."""
    if ranges is None:
        ranges = [counts(sub.households, low=rules.low, high=rules.high) or range(1, 2) for sub in subs]
    least, most = sum(each[0] for each in ranges), sum(each[-1] for each in ranges)
    if not least <= n_grids <= most:
        raise DataError(
            f"grids.n_grids is {n_grids}, but grids of {rules.low} to {rules.high} households "
            f"can number {least} to {most} here; choose within that range or move the limits"
        )
    share = [min(max(_plain(sub, rules), each[0]), each[-1]) for sub, each in zip(subs, ranges, strict=True)]
    while sum(share) != n_grids:
        step = 1 if sum(share) < n_grids else -1
        free = [at for at, each in enumerate(ranges) if share[at] + step in each]
        at = min(free, key=lambda k: (abs(subs[k].households / (share[k] + step) - rules.target), k))
        share[at] += step
    return list(share)


def _plain(sub: Sub, rules: Rules) -> int:
    return plain_count(sub.households, low=rules.low, high=rules.high, target=rules.target)


# --- beside kept groups -------------------------------------------------------------------------


def shares_beside(sub: Sub, kept: Sequence[int], share: int | None, rules: Rules) -> list[int | None] | None:
    """Grids of each piece beside the kept groups; None where a fixed total can't be reached."""
    rest = [cut_out(sub, rows, walks=False) for rows in rest_pieces(sub, list(kept))]
    try:
        if share is None:
            return [None] * len(rest)
        return _share_out(rest, rules, share - len(kept)) if rest or share == len(kept) else None
    except DataError:
        return None


def reaches_beside(sub: Sub, kept: Sequence[int], share: int, begin: Starts) -> bool:
    """Whether every piece beside the kept groups can be cut into its part of a fixed total."""
    shares = shares_beside(sub, kept, share, begin.rules)
    pieces_left = rest_pieces(sub, list(kept))
    return shares is not None and all(
        begin.of(rows, K) is not None for rows, K in zip(pieces_left, shares, strict=True)
    )


def nearest_total(sub: Sub, kept: Sequence[int], n_plain: int, begin: Starts) -> int | None:
    """The number of grids nearest to the plain one that the pieces beside the kept groups can be cut into."""
    near = sorted(range(n_plain - _MOVES, n_plain + _MOVES + 1), key=lambda k: (abs(k - n_plain), k))
    return next((k for k in near if reaches_beside(sub, kept, k, begin)), None)
