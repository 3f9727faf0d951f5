"""A written plan, recounted: every promise and figure of a plan folder, with code of its own.

Read are the layers as they were planned on and the plan, nothing else; computed anew are who lives on
whose ground, every walk, every shadow, every sum. A plan passes when its figures are the recounted ones
and every promise it breaks stands declared among its faults, no more and no less.

From the rest of the package this takes the reading of layers and the noded network only, so that an
error in the planning can't repeat itself in its check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatial.audit.alleys import alley_faults, alley_grid_faults
from spatial.audit.areas import area_faults
from spatial.audit.barriers import barrier_faults
from spatial.audit.boards import board_faults
from spatial.audit.book import Book, read_book, shape_faults
from spatial.audit.bound import bound_faults, recount_bound
from spatial.audit.declared import declared_faults
from spatial.audit.exclusive import exclusive_faults, find_enclaves, ordinary_book
from spatial.audit.facilities import facility_faults
from spatial.audit.grids import count_grids, grid_faults
from spatial.audit.home import home_faults
from spatial.audit.lamps import lamp_faults
from spatial.audit.levels import level_faults
from spatial.audit.light import recount_light
from spatial.audit.rivals import rival_faults
from spatial.audit.roster import make_roster, people_faults, roster_faults
from spatial.audit.zones import zone_faults
from spatial.errors import Remark

__all__ = ["Audit", "audit_plan", "recount"]


@dataclass(frozen=True)
class Audit:
    """What a recount found: ``faults``, empty where all agrees, and the recounted ``figures`` by section.

    ``bounds`` are what is proved anew without any solver, by section and name; None is a bound that was held
    against the value only.
    """

    faults: tuple[Remark, ...]
    figures: Mapping[str, Mapping[str, Any]]
    bounds: Mapping[str, Mapping[str, float | None]]

    def __repr__(self) -> str:
        sections = ", ".join(self.figures) or "nothing"
        return f"Audit(recounted {sections}: {len(self.faults)} differences)"


def audit_plan(folder: Path) -> tuple[Remark, ...]:
    """Every difference between a plan folder and its recount; empty where all agrees.

    Each remark names layer, column and ids, what the plan says and what was recounted.

    Raises
    ------
    DataError
        The folder is no plan: a file is missing or can't be read.
    """
    return recount(folder).faults


def recount(folder: Path) -> Audit:
    """Recount a plan folder: the differences found and the figures as recounted.

    Sections of the summary that are null are left out.

    Raises
    ------
    DataError
        The folder is no plan: a file is missing or can't be read.
    """
    book = read_book(folder)
    faults = list(shape_faults(book))
    figures: dict[str, Mapping[str, Any]] = {}
    bounds: dict[str, Mapping[str, float | None]] = {}
    if faults:
        return Audit(tuple(faults), figures, bounds)
    lit_m = None
    if book.has("lamps"):
        light = recount_light(book)
        lit_m = light.lit_m(light.shining)
        remarks, figures["lamps"], bounds["lamps"] = lamp_faults(book, light)
        faults += remarks
        if "households" in book.layers:
            faults += home_faults(book, light)
    faults += alley_faults(book, lit_m)
    if "households" in book.layers:
        faults += roster_faults(book)
    if book.has("grids"):
        remarks, figures["grids"], bounds["grids"] = _grids(book)
        faults += remarks
    if book.has("boards"):
        remarks, figures["boards"], bounds["boards"] = board_faults(book)
        faults += remarks
    if book.has("facilities"):
        remarks, figures["facilities"], bounds["facilities"] = facility_faults(book)
        faults += remarks
    return Audit(tuple(faults), dict(sorted(figures.items())), dict(sorted(bounds.items())))


def _grids(book: Book) -> tuple[list[Remark], Mapping[str, Any], Mapping[str, float | None]]:
    """The recount of the grids and their bound; nothing where rows name what doesn't exist."""
    enclaves = find_enclaves(book)
    faults, own = exclusive_faults(book, enclaves)
    faults += area_faults(book)
    faults += zone_faults(book)
    ordinary = ordinary_book(book, enclaves)
    roster = make_roster(ordinary)
    if roster is None:
        return faults, own, {}
    count = count_grids(ordinary, roster)
    remarks, figures = grid_faults(ordinary, roster, count)
    rivals, against = rival_faults(ordinary, roster, count)
    faults += [*remarks, *rivals]
    faults += people_faults(ordinary, roster)
    faults += alley_grid_faults(book, roster.ground, enclaves)
    faults += barrier_faults(ordinary, roster)
    faults += level_faults(ordinary, roster)
    faults += declared_faults(ordinary, roster, count)
    bound_m = recount_bound(ordinary, roster, count)
    faults += bound_faults(ordinary, bound_m)
    return faults, {**figures, **against, **own}, {"bound_m": bound_m}
