"""What the residents' page holds: the public view, and what its panels answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from spatial.maps.light import Light, light_of, light_view
from spatial.maps.qr import qr_rows
from spatial.maps.sketch import Sketch, View, records, texts
from spatial.maps.spots import find_view
from spatial.maps.view import meeting_points, public_view
from spatial.network import build_network
from spatial.settings import Settings

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["residents_view", "with_panels"]


def residents_view(plan: Plan) -> View:
    """The public view with the places along the alleys, the light lamp by lamp and the works by quarter."""
    settings = Settings.model_validate(plan.summary["settings"])
    view = public_view(plan)
    network = build_network(plan.site, settings)
    light = light_of(plan, network, settings)
    meetings, _ = meeting_points(plan, settings)
    find = find_view(plan, network, settings, light, meetings, Sketch(*view["frame"][:2]))
    return with_panels(plan, view, light=light, find=find)


def with_panels(plan: Plan, view: View, *, light: Light | None, find: View) -> View:
    """The public view with what the panels answer."""
    settings = Settings.model_validate(plan.summary["settings"])
    sketch = Sketch(*view["frame"][:2])
    return view | {
        "find": find,
        "light": None if light is None else light_view(plan, light, sketch),
        "quarters": _quarters(plan),
        "comments": _comments(settings.public.comments_url),
        "facilities": _facilities(plan, settings, sketch),
    }


def _comments(address: str | None) -> View | None:
    """Where comments may be sent, as text and as a code; None where the settings name no place."""
    return None if address is None else {"address": address, "code": qr_rows(address)}


def _quarters(plan: Plan) -> list[View]:
    """Quarters of works in their order, with the rows of lamps and boards that come in each."""
    found: dict[str, View] = {}
    for name in ("lamps", "boards"):
        if name in plan.layers:
            for row, quarter in enumerate(texts(plan.layers[name]["quarter"])):
                if quarter is not None:
                    each = found.setdefault(quarter, {"quarter": quarter, "lamps": [], "boards": []})
                    each[name].append(row)
    return [found[quarter] for quarter in sorted(found)]


def _facilities(plan: Plan, settings: Settings, sketch: Sketch) -> list[View]:
    """Sites of the plan's facilities; how many they serve is told unless it is few."""
    if "facilities" not in plan.layers:
        return []
    rows = plan.layers["facilities"]
    name_of = plan.site.layer("alleys").set_index("alley_id")["name"]
    names, places = texts(rows["alley_id"].map(name_of)), sketch.points(rows.geometry)
    told = records(rows, ("facility", "status", "served", "grid_id"))
    for record, alley, at in zip(told, names, places, strict=True):
        served = record.pop("served")
        few = pd.isna(served) or served < settings.public.smallest_count
        record |= {"served": None if few else round(served), "alley": alley, "at": at}
    return told
