"""Pages of a plan: one HTML file for residents, one for planners, each without any network request.

``view`` decides what a page may show, ``frame`` turns folium's page into a closed one, and the page's own
script in ``spatial/assets`` draws the view through text nodes, so that nothing from data is ever read as a
template, as HTML or as code.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from spatial.maps.frame import closed_page
from spatial.maps.view import planner_view, public_view
from spatial.schema import term

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["planner_page", "residents_page"]


def residents_page(plan: Plan) -> str:
    """The map for residents: grids, lamps, boards and lit alleys, with nothing about single households.

    Parameters
    ----------
    plan : Plan
        Any of its parts may be missing; the page then shows the others.

    Returns
    -------
    str
        One HTML file, Chinese first with an English switch, the same bytes for the same plan. Personal
        columns, household ids and counts below ``public.smallest_count`` are not in it.
    """
    return _page(public_view(plan))


def planner_page(plan: Plan) -> str:
    """The working page: the residents' map with every table, fault, doubt and note. Holds personal data."""
    return _page(planner_view(plan))


def _page(view: dict[str, Any]) -> str:
    return closed_page(
        {**view, "words": _words(view)}, south_west=view["frame"][:2], north_east=view["frame"][2:]
    )


def _words(view: dict[str, Any]) -> dict[str, list[str]]:
    """Chinese and English of all a page says: the page's own sentences, single terms from the glossary."""
    sentences = json.loads((files("spatial") / "assets" / "texts.json").read_text(encoding="utf-8"))
    headings = {key for table in view.get("tables", ()) for key in table["columns"]}
    terms = {key: [term(key).zh, term(key).en] for key in sorted({*_TERMS, *headings})}
    return terms | sentences


#: The glossary's terms that the script uses by name.
_TERMS = (
    "alley",
    "board",
    "boards",
    "dark",
    "doubts",
    "existing",
    "faults",
    "gain_m",
    "grid",
    "grids",
    "households",
    "households_served",
    "households_unit",
    "keeper_role",
    "lamp",
    "lamps",
    "leader_role",
    "legend",
    "lit",
    "meeting_point",
    "metre",
    "new",
    "notes",
    "rank",
    "walk_mean_m",
)
