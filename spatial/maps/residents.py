"""What the residents' page holds: the public view, and what its panels answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from spatial.maps.light import light_of, light_view
from spatial.maps.sketch import Sketch, View, records, texts
from spatial.maps.spots import find_view
from spatial.maps.view import meeting_points, public_view
from spatial.network import build_network
from spatial.settings import Settings

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["residents_view"]


def residents_view(plan: Plan) -> View:
    """The public view with the places along the alleys, the light lamp by lamp and the works by quarter."""
    settings = Settings.model_validate(plan.summary["settings"])
    view = public_view(plan)
    sketch = Sketch(*view["frame"][:2])
    network = build_network(plan.site, settings)
    light = light_of(plan, network, settings)
    meetings, _ = meeting_points(plan, settings)
    return view | {
        "find": find_view(plan, network, settings, light, meetings, sketch),
        "light": None if light is None else light_view(plan, light, sketch),
        "quarters": _quarters(plan),
        "facilities": _facilities(plan, settings, sketch),
    }


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
