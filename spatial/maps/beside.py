"""What the page of a comparison holds: both plans drawn alike, what is different marked in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spatial.compare import comparison_lines
from spatial.maps.sketch import Sketch, View
from spatial.maps.view import public_view

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["comparison_view"]

#: Of the residents' view, what a map of the comparison draws.
_DRAWN = ("frame", "boundary", "ground", "barriers", "alleys", "grids", "lamps", "boards")
_ROWS = {"lamps": "lamp_code", "boards": "board_code"}


def comparison_view(earlier: Plan, later: Plan, comparison: Mapping[str, Any]) -> View:
    """Both plans drawn alike, with the sites that were added or dropped and the households that moved.

    A grid has the same tint on both maps. Holds household ids: for planners only.
    """
    sides = [_side(each) for each in (earlier, later)]
    partners = {b: int(a) for a, b in (comparison["grids"] or {"partners": {}})["partners"].items()}
    tints = {each["grid_id"]: each["tint"] for each in sides[0]["grids"]}
    for grid in sides[1]["grids"]:
        grid["tint"] = tints.get(partners.get(grid["grid_id"]), grid["tint"])
    for side, name in zip(sides, ("dropped", "added"), strict=True):
        _mark(side, comparison, name)
    moved = (comparison["households"] or {"moved": []})["moved"]
    for side, plan in zip(sides, (earlier, later), strict=True):
        side["moved"] = _places(plan, [each["household_id"] for each in moved], side["frame"])
    frames = [each["frame"] for each in sides]
    west, south = (min(each[i] for each in frames) for i in (0, 1))
    east, north = (max(each[i] for each in frames) for i in (2, 3))
    return {
        "mode": "compare",
        "name": comparison["community"],
        "plans": [comparison["a"], comparison["b"]],
        "frame": [west, south, east, north],
        "lines": [list(each) for each in comparison_lines(comparison)[1:]],  # the title names the plans
        "moved": moved,
        "changes": {
            name: {each: (comparison[name] or {each: []})[each] for each in ("dropped", "added")}
            for name in _ROWS
        },
        "sides": sides,
    }


def _side(plan: Plan) -> View:
    view = public_view(plan)
    return {name: view[name] for name in _DRAWN}


def _mark(side: View, comparison: Mapping[str, Any], name: str) -> None:
    """Tell each lamp and board of one plan whether the other lacks it."""
    for layer, code in _ROWS.items():
        changed = {each[code] for each in (comparison[layer] or {name: []})[name]}
        for each in side[layer]:
            each["changed"] = each[code] in changed


def _places(plan: Plan, ids: Sequence[str], frame: Sequence[float]) -> list[list[int] | None]:
    """Where each household stands in a plan; None where it has no place there."""
    if not ids:
        return []
    rows = plan.layers["households"].drop_duplicates("household_id").set_index("household_id")
    return Sketch(*frame[:2]).points(rows.geometry.reindex(ids))
