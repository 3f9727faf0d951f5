"""What a plan says village groups cost, recounted from the grids it compares itself with.

``bounds.npz`` holds them, one number per served row: ``plain_grid``, grids at the plain number with no group
kept whole on purpose (absent where the plan is itself the best of these), and ``free_grid``, as many grids as
the plan has, made as if nobody had a group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial.audit.book import Book
from spatial.audit.compare import figures_differ
from spatial.audit.grids import GridCount, least_walk_m, outside_main_group, sound_grids
from spatial.audit.roster import Roster
from spatial.errors import Remark, fault

__all__ = ["rival_faults"]

Ints = NDArray[np.int64]


def rival_faults(book: Book, roster: Roster, count: GridCount) -> tuple[list[Remark], dict[str, Any]]:
    """Figures about village groups that differ from the recount, and the figures recounted."""
    remarks, rivals = [*_missing(book, roster)], {}
    for key in ("plain_grid", "free_grid"):
        if key not in book.bounds:
            continue
        rival = _with_grids(roster, book.bounds[key])
        if rival is None:
            text = "is not one number from 0 on for each served row"
            remarks.append(fault("rival-unfit", text, layer="bounds", column=key))
        else:
            remarks += _unfair(key, rival, roster, book)
            rivals[key] = rival
    plain, walk_m = rivals.get("plain_grid", roster), float(count.least_m.sum())
    cost_m = book.settings.grids.group_cost_m * float(outside_main_group(plain).sum())
    own: dict[str, Any] = {
        "outside_share": float(outside_main_group(roster).sum() / roster.households.sum()),
        "groups_walk_m": None,
        "n_plain": plain.n_grids,
        "objective_plain_m": (walk_m if plain is roster else least_walk_m(plain)) + cost_m,
    }
    if "free_grid" in rivals:
        own["groups_walk_m"] = max(0.0, walk_m - least_walk_m(rivals["free_grid"]))
    return [*remarks, *figures_differ("grids", book.summary["grids"], own)], own


def _missing(book: Book, roster: Roster) -> Iterator[Remark]:
    """Where groups have a say the plan must tell what they cost, unless it continues an earlier one."""
    grouped = roster.table["group"].iloc[_served(roster)].notna().any()
    asked = book.settings.grids.group_cost_m > 0 and grouped
    if asked and not book.is_kept and "free_grid" not in book.bounds:
        text = "bounds.npz has no grids that ignore village groups, so that nothing tells what groups cost"
        yield fault("rival-missing", text, layer="bounds", column="free_grid")


def _served(roster: Roster) -> Ints:
    return np.flatnonzero(roster.served)


def _with_grids(roster: Roster, label: Ints) -> Roster | None:
    """The same rows in other grids; None where these are not numbers 0…K−1, one per served row."""
    served = _served(roster)
    numbers = np.unique(label)
    if label.shape != served.shape or not np.array_equal(numbers, np.arange(numbers.size)):
        return None
    grid = np.full(roster.grid.size, -1, np.int64)
    grid[served] = label
    return replace(roster, grid=grid[roster.host], n_grids=numbers.size)


def _unfair(key: str, rival: Roster, roster: Roster, book: Book) -> Iterator[Remark]:
    """Other grids than the plan's that break a promise, and another number where as many are compared."""
    if key == "free_grid" and rival.n_grids != roster.n_grids:
        text = f"{rival.n_grids} grids are held against the plan's {roster.n_grids}"
        yield fault("rival-unfair", text, layer="bounds", column=key)
    limits = book.settings.grids
    wrong = np.flatnonzero(~sound_grids(rival, limits.min_households, limits.max_households))
    known = {frozenset(np.flatnonzero(roster.grid == each)) for each in range(roster.n_grids) if wrong.size}
    n_wrong = sum(frozenset(np.flatnonzero(rival.grid == each)) not in known for each in wrong)
    if n_wrong:
        text = f"{n_wrong} of the grids compared with break the limits or come in pieces"
        yield fault("rival-unfair", text, layer="bounds", column=key)
