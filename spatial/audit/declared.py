"""Faults that a plan declares, held against those that are really there: no fewer and no more.

A grid outside its limits, a lock that is not kept, a level that is uneven must stand among the faults of
the summary with the ids concerned; a declared one that doesn't hold is a difference as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from spatial.audit.book import Book
from spatial.audit.compare import rows_that
from spatial.audit.grids import GridCount
from spatial.audit.levels import uneven_unions
from spatial.audit.roster import Roster
from spatial.errors import Remark, fault

__all__ = ["declared_faults"]

#: Codes of the faults about one grid, and about the balance of a level.
GRID_CODES = ("grid-infeasible", "grid-undecided")
LEVEL_CODES = {"branches-uneven": "branch_id", "workers-uneven": "worker_id"}


def declared_faults(book: Book, roster: Roster, count: GridCount) -> Iterator[Remark]:
    """Faults of the grids that are not declared, and declared ones that are not there."""
    limits = book.settings.grids
    wrong_size = ~count.fits(limits.min_households, limits.max_households)
    torn = _torn_locks(roster)
    declared = book.summary.get("faults", ())
    told, names = _told_grids(roster, declared)
    grids = book.layers["grids"]
    ids, n = grids["grid_id"], count.households
    text = (
        f"hold fewer than {limits.min_households} or more than {limits.max_households} households "
        f"({', '.join(map(str, n[wrong_size & ~told][:5]))}) and no fault says so"
    )
    yield from rows_that(wrong_size & ~told, ids, "fault-undeclared", text, at="grids.households")
    yield from rows_that(
        torn & ~told, ids, "fault-undeclared", "don't keep a lock and no fault says so", at="grids.fault"
    )
    yield from rows_that(~count.whole, ids, "grid-in-pieces", "are not in one piece", at="grids.grid_id")
    marked = grids["fault"].fillna("").ne("").to_numpy(bool)
    unlike = marked != (wrong_size | torn)
    text = "name a fault that is not there, or leave out one that is"
    yield from rows_that(unlike, ids, "figure-differs", text, at="grids.fault")
    yield from _not_there(declared, names, told & ~(wrong_size | torn))
    yield from _number_faults(book, roster, declared)
    yield from _level_faults(book, declared)


def _number_faults(book: Book, roster: Roster, declared: Any) -> Iterator[Remark]:
    """The number of grids is the one asked for, or a fault says that it is not."""
    wanted = book.settings.grids.n_grids
    missed = wanted is not None and wanted != roster.n_grids
    if missed != any(each["code"] == "n-grids-missed" for each in declared):
        asked = "no number" if wanted is None else f"{wanted}"
        message = f"there are {roster.n_grids} grids, {asked} was asked for, and the faults say otherwise"
        yield fault("n-grids-differ", message, layer="grids", column="grid_id")


def _told_grids(roster: Roster, declared: Any) -> tuple[NDArray[np.bool_], list[NDArray[np.int64] | None]]:
    """Grids that a fault names, by the ids of all their served households; and the grids each fault names."""
    rows = DataFrame({"grid": roster.grid, "name": roster.table["household_id"]})[roster.served]
    members = rows.groupby("grid")["name"].agg(frozenset)
    by_members: dict[frozenset[str], list[int]] = {}
    for grid, each in members.items():
        by_members.setdefault(each, []).append(int(grid))
    told = np.zeros(roster.n_grids, bool)
    names: list[NDArray[np.int64] | None] = []
    for each in declared:
        if each["code"] not in GRID_CODES:
            names.append(None)
            continue
        found = np.array(by_members.get(frozenset(each["ids"]), []), np.int64)
        told[found] = True
        names.append(found)
    return told, names


def _torn_locks(roster: Roster) -> NDArray[np.bool_]:
    """Grids with rows of a lock that also has rows elsewhere, or with rows of two locks."""
    rows = DataFrame({"grid": roster.grid, "lock": roster.table["locked_grid"]})[roster.served].dropna()
    rows = rows.drop_duplicates()
    torn = rows["lock"].duplicated(keep=False) | rows["grid"].duplicated(keep=False)
    wrong = np.zeros(roster.n_grids, bool)
    wrong[rows.loc[torn, "grid"].to_numpy(np.int64)] = True
    return wrong


def _not_there(
    declared: Any, names: list[NDArray[np.int64] | None], sound: NDArray[np.bool_]
) -> Iterator[Remark]:
    """Declared faults about a grid that keeps its promises, or about households that are no grid."""
    for each, grids in zip(declared, names, strict=True):
        if grids is None:
            continue
        if not grids.size:
            yield _unfounded(each, "the households it names are not those of one grid")
        elif sound[grids].all():
            yield _unfounded(each, "the grid it names keeps its limits and locks")


def _level_faults(book: Book, declared: Any) -> Iterator[Remark]:
    told = {each["code"]: each for each in declared if each["code"] in LEVEL_CODES}
    for code, column in LEVEL_CODES.items():
        uneven = sorted(uneven_unions(book, column))
        if uneven and sorted(told.get(code, {"ids": []})["ids"]) != uneven:
            text = f"{len(uneven)} are uneven and no fault, or another, says so"
            yield fault("fault-undeclared", text, layer="grids", column=column, ids=uneven)
        if code in told and not uneven:
            yield _unfounded(told[code], "all are within their limits")


def _unfounded(declared: Mapping[str, Any], why: str) -> Remark:
    return fault(
        "fault-unfounded",
        f"the summary declares {declared['code']}, but {why}: {declared['message']}",
        layer="summary",
        column="faults",
        ids=declared["ids"],
    )
