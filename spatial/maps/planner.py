"""What the planner's page holds: the residents' view with every table and remark, personal data too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from geopandas import GeoDataFrame, GeoSeries

from spatial.maps.sketch import Sketch, View, records
from spatial.maps.view import public_view
from spatial.schema import LAYERS, PLAN_LAYERS

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["planner_view"]

_TABLES = ("grids", "lamps", "boards")


def planner_view(plan: Plan, comments: GeoDataFrame | None = None) -> View:
    """The residents' view with every table, remark and comment, personal columns included."""
    view = public_view(plan)
    view["figures"] |= _group_figures(plan)
    sketch = Sketch(*view["frame"][:2])
    tables = [_table(plan, name) for name in _TABLES if name in plan.layers]
    remarks = {
        kind: [_remark(plan, each, sketch) for each in plan.summary[kind]]
        for kind in ("faults", "doubts", "notes")
    }
    said = [] if comments is None else _comments(comments, sketch)
    return {**view, "mode": "planner", "tables": tables, "remarks": remarks, "comments": said}


def _comments(comments: GeoDataFrame, sketch: Sketch) -> list[View]:
    """What residents said, with its place, alley and grid."""
    shown = ("comment_id", "kind", "note", "time", "alley", "grid_id")
    return [
        {**each, "at": at}
        for each, at in zip(records(comments, shown), sketch.points(comments.geometry), strict=True)
    ]


def _group_figures(plan: Plan) -> View:
    """How far village groups are kept together, and the price; nothing where they have no say."""
    grids = plan.summary["grids"]
    if grids is None or grids.get("groups_walk_m") is None:  # plans of earlier versions do not tell
        return {}
    households = sum(each["households"] for each in grids["parts"])
    return {
        "n_mixed": round(grids["mixing_share"] * grids["n"]),
        "outside_share": grids["outside_share"],
        "groups_walk_m": round(grids["groups_walk_m"]),
        "groups_walk_each_m": round(grids["groups_walk_m"] / households, 1),
    }


def _table(plan: Plan, name: str) -> View:
    columns = [each.name for each in PLAN_LAYERS[name].columns]
    rows = [list(each.values()) for each in records(plan.layers[name], columns)]
    return {"name": name, "columns": columns, "rows": rows}


def _remark(plan: Plan, remark: Mapping[str, Any], sketch: Sketch) -> View:
    """A remark as told, with the box of the rows it speaks of where the map can show them."""
    shapes = _rows_named(plan, remark)
    box = None
    if len(shapes):
        corners = shapely.points(np.reshape(shapes.total_bounds, (2, 2)))
        box = sketch.points(GeoSeries(corners, crs=shapes.crs))
    shown = ("code", "layer", "column", "message", "n", "remedy")
    return {**{key: remark[key] for key in shown}, "ids": remark["ids"][:20], "box": box}


def _rows_named(plan: Plan, remark: Mapping[str, Any]) -> GeoSeries:
    """Shapes of the rows a remark names, as planned or else as read; none where it names none."""
    layer, column = remark["layer"], remark["column"]
    rows = plan.layers.get(layer, plan.site.layers.get(layer))
    if not isinstance(rows, GeoDataFrame):
        return GeoSeries([])
    # Ids are those of the column where it holds ids (workers of grids), else those of the layer.
    key = column if column.endswith("_id") and column in rows else _key(layer)
    if key is None:
        return GeoSeries([])
    return rows.geometry[rows[key].astype("str").isin(remark["ids"]).to_numpy()]


def _key(layer: str) -> str | None:
    """The id column of a layer of the plan or the site; None where it has none."""
    return PLAN_LAYERS[layer].key[0] if layer in PLAN_LAYERS else LAYERS[layer].id_column
