"""Pages of a plan: one HTML file for residents, one for planners, each without any network request.

``view`` decides what both may show, ``residents`` and ``planner`` add their own; ``frame`` turns folium's
page into a closed one, and the scripts in ``spatial/assets`` (``page.js`` and the page's own) draw the view
through text nodes, so that nothing from data is ever read as a template, as HTML or as code.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from spatial.maps.beside import comparison_view
from spatial.maps.frame import closed_page, page_assets
from spatial.maps.planner import planner_view
from spatial.maps.residents import residents_view
from spatial.maps.town import MOST_OF_A_WARD, town_views
from spatial.maps.view import MOST_FEATURES, drawn_features
from spatial.schema import GLOSSARY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geopandas import GeoDataFrame

    from spatial.plan import Plan

__all__ = ["comparison_page", "planner_page", "residents_page", "residents_pages"]


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
    return _page(residents_view(plan), "residents")


def residents_pages(
    plan: Plan, *, most_features: int = MOST_FEATURES, most_of_a_ward: int = MOST_OF_A_WARD
) -> dict[str, str]:
    """The residents' map as files by their path: one page, or for a town the whole and a page for each ward.

    Parameters
    ----------
    plan : Plan
    most_features : int
        A plan with more (and with grids) is a town: ``map.html`` shows it simplified and leads to
        ``map/01.html`` and so on, each with up to ``most_of_a_ward`` features. The pages find each other by
        their own names, so a file and its folder may be renamed together.
    """
    if "grids" not in plan.layers or sum(map(len, drawn_features(plan))) <= most_features:
        return {"map.html": residents_page(plan)}
    whole, wards = town_views(plan, most=most_of_a_ward)
    pages = {f"map/{name}": _page(view, "residents") for name, view in wards.items()}
    return {"map.html": _page(whole, "town"), **pages}


def planner_page(
    plan: Plan,
    *,
    comments: GeoDataFrame | None = None,
    comparison: Mapping[str, Any] | None = None,
) -> str:
    """The working page: the map with every table, fault, doubt and note. Holds personal data.

    Parameters
    ----------
    plan : Plan
    comments : GeoDataFrame, optional
        Residents' comments, from :func:`spatial.comments.gather_comments`.
    comparison : mapping, optional
        What :func:`spatial.compare.compare_plans` found between an earlier plan and this one.
    """
    return _page(planner_view(plan, comments, comparison), "planner")


def comparison_page(earlier: Plan, later: Plan, comparison: Mapping[str, Any]) -> str:
    """Two maps side by side that move together, with all that differs marked. Holds household ids.

    Parameters
    ----------
    earlier, later : Plan
        Drawn on the left and on the right.
    comparison : mapping
        What :func:`spatial.compare.compare_plans` found between them.
    """
    return _page(comparison_view(earlier, later, comparison), "compare")


def _page(view: dict[str, Any], kind: str) -> str:
    frame = view["frame"]
    told = {**view, "words": _words(view, kind)}
    return closed_page(told, kind, south_west=frame[:2], north_east=frame[2:])


def _words(view: dict[str, Any], kind: str) -> dict[str, list[str]]:
    """Chinese and English of all a page says: its own sentences and the glossary's terms it names."""
    sentences: dict[str, list[str]] = {}
    for name in ("texts.json", f"texts-{kind}.json"):
        sentences |= json.loads((files("spatial") / "assets" / name).read_text(encoding="utf-8"))
    said = "".join(page_assets(kind, "html") + page_assets(kind, "js"))
    tables = view.get("tables", ())
    headings = {
        *view.get("remarks", ()),
        *(key for each in tables for key in (each["name"], *each["columns"])),
    }
    figures = {each["name"] for each in view.get("today", ())} & set(GLOSSARY)
    named = {key for key in GLOSSARY if f'"{key}"' in said} | headings | figures
    return {key: [GLOSSARY[key].zh, GLOSSARY[key].en] for key in sorted(named)} | sentences
