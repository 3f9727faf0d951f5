"""What the planner's page holds: the residents' view, every table and remark, and how to read coordinates.

Personal columns included. Each table tells where on the map its rows are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import shapely
from geopandas import GeoDataFrame, GeoSeries
from numpy.typing import NDArray

from spatial.compare import comparison_lines
from spatial.crs import crs_name
from spatial.maps.sketch import Sketch, View, records
from spatial.maps.view import public_view
from spatial.schema import LAYERS, PLAN_LAYERS

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["planner_view", "survey_fit"]

_TABLES = ("grids", "households", "lamps", "boards", "facilities", "alleys")
_COUNTS = ("households", "people", "lamps")  # units that the heading names itself
_COMMENT_COLUMNS = ("comment_id", "kind", "note", "time", "alley", "grid_id")

#: The most by which coordinates under the pointer may miss the survey's system. [m]
_FIT_M = 0.05
#: Coordinates are told this far beyond the frame, as a share of its width and height.
_FIT_MARGIN = 0.25


def planner_view(
    plan: Plan, comments: GeoDataFrame | None = None, comparison: Mapping[str, Any] | None = None
) -> View:
    """The residents' view with every table, remark and comment, personal columns included.

    Parameters
    ----------
    plan : Plan
    comments : GeoDataFrame, optional
        Residents' comments as :func:`spatial.comments.gather_comments` gives them.
    comparison : mapping, optional
        What :func:`spatial.compare.compare_plans` found between an earlier plan and this one.
    """
    view = public_view(plan)
    sketch = Sketch(*view["frame"][:2])
    remarks = {
        kind: [_remark(plan, each, sketch) for each in plan.summary[kind]]
        for kind in ("faults", "doubts", "notes")
    }
    return {
        **view,
        "mode": "planner",
        "figures": view["figures"] | _group_figures(plan),
        "tables": [_table(plan, name, sketch) for name in _TABLES if name in plan.layers],
        "remarks": remarks,
        "today": _today(plan),
        "survey": survey_fit(view["frame"], plan.site.crs),
        "comments": None if comments is None else _comments(comments, sketch),
        "earlier": None if comparison is None else _earlier(plan, comparison, sketch),
    }


def survey_fit(frame: list[float], crs: Any) -> View:
    """Polynomials that give the survey's coordinates of a place on the map, and their greatest error.

    Parameters
    ----------
    frame : west, south, east, north
        Of the community. [degrees, WGS 84]
    crs : CRS
        The survey's, projected, in metres.

    Returns
    -------
    dict
        ``middle`` and ``half`` of the ground they hold for [degrees]; with u and v the distance east and
        north of the middle in halves, ``east`` and ``north`` are the factors of uⁱ·vʲ for i + j up to
        ``degree``, i outermost [m]. ``error_m`` is the greatest error on a fine grid of the ground.
    """
    corners = np.reshape(frame, (2, 2))
    middle = corners.mean(axis=0)
    half = np.maximum((corners[1] - corners[0]) * (0.5 + _FIT_MARGIN), 1e-4)
    nodes, checks = (np.cos(np.pi * (np.arange(14) + 0.5) / 14), np.linspace(-1, 1, 33))
    known, wanted = (np.stack(np.meshgrid(each, each), axis=-1).reshape(-1, 2) for each in (nodes, checks))
    at_nodes, at_checks = (_surveyed(middle + each * half, crs) for each in (known, wanted))
    for degree in range(2, 8):
        factors, *_ = np.linalg.lstsq(_powers(known, degree), at_nodes, rcond=None)
        factors = np.round(factors, 4)  # a tenth of a millimetre, whatever the machine's arithmetic
        error_m = float(np.abs(_powers(wanted, degree) @ factors - at_checks).max())
        if error_m <= _FIT_M:
            break
    return {
        "crs": crs_name(crs),
        "middle": middle.tolist(),
        "half": half.tolist(),
        "degree": degree,
        "east": factors[:, 0].tolist(),
        "north": factors[:, 1].tolist(),
        "error_m": float(np.ceil(error_m * 1000) / 1000),
    }


def _surveyed(degrees: NDArray[np.float64], crs: Any) -> NDArray[np.float64]:
    return shapely.get_coordinates(GeoSeries(shapely.points(degrees), crs=4326).to_crs(crs))


def _powers(uv: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    u, v = uv.T
    return np.column_stack([u**i * v**j for i in range(degree + 1) for j in range(degree + 1 - i)])


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────


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


def _today(plan: Plan) -> list[View]:
    """What stands today against what is planned: name, kind of figure, both values."""
    rows: list[tuple[str, str, Any, Any]] = []
    for title, name in (("today_lamps", "lamps"), ("today_boards", "boards")):
        if name in plan.layers:
            standing = int((plan.layers[name]["status"] == "existing").sum())
            rows.append((title, "count", standing, len(plan.layers[name])))
    if (lamps := plan.summary["lamps"]) is not None:
        alley_m = lamps["alley_m"] or 1.0
        rows += [
            ("lit_m", "metres", lamps["lit_before_m"], lamps["lit_m"]),
            ("share_lit", "share", lamps["lit_before_m"] / alley_m, lamps["share_lit"]),
        ]
        for name in ("way_lit_mean", "way_lit_worst_tenth", "way_lit_elderly", "share_doors_lit"):
            if lamps.get(name) is not None:
                rows.append((name, "share", lamps.get(f"{name}_before"), lamps[name]))
        for name, kind in (("share_alleys_with_lamp", "share"), ("dark_run_m", "metres")):
            if lamps.get(name) is not None:
                rows.append((name, kind, None, lamps[name]))
    return [dict(zip(("name", "kind", "today", "planned"), each, strict=True)) for each in rows]


# ── tables and remarks ───────────────────────────────────────────────────────────────────────────────


def _table(plan: Plan, name: str, sketch: Sketch) -> View:
    rows = plan.layers[name]
    told = [each for each in PLAN_LAYERS[name].columns if rows[each.name].notna().any()]
    columns = [each.name for each in told]
    spots = rows.geometry if name in ("households", "lamps", "boards") else rows.representative_point()
    units = [each.unit if each.unit not in _COUNTS else "" for each in told]
    return {**_told(name, columns, records(rows, columns), sketch.points(spots)), "units": units}


def _told(name: str, columns: list[str], rows: list[View], at: list[list[int] | None]) -> View:
    values = [[each[column] for column in columns] for each in rows]
    return {"name": name, "columns": columns, "rows": values, "at": at}


def _comments(comments: GeoDataFrame, sketch: Sketch) -> View:
    columns = list(_COMMENT_COLUMNS)
    return _told("comments", columns, records(comments, columns), sketch.points(comments.geometry))


def _earlier(plan: Plan, comparison: Mapping[str, Any], sketch: Sketch) -> View:
    """The comparison in words, and a table for each kind of change."""
    tables = []
    if comparison["households"] is not None:
        moved = comparison["households"]["moved"]
        doors = plan.layers["households"].drop_duplicates("household_id").set_index("household_id").geometry
        at = sketch.points(doors.reindex([each["household_id"] for each in moved]))
        columns = ["household_id", "households", "from_grids", "became_grids", "to_grids"]
        shown = [{**each, **{key: _listed(each[key]) for key in columns[2:]}} for each in moved]
        tables.append(_told("moved", columns, shown, at))
    for title, name, change, code in (
        ("lamps_added", "lamps", "added", "lamp_code"),
        ("lamps_dropped", "lamps", "dropped", "lamp_code"),
        ("boards_added", "boards", "added", "board_code"),
        ("boards_dropped", "boards", "dropped", "board_code"),
    ):
        rows = (comparison[name] or {change: []})[change]
        spots = gpd.points_from_xy([each["x"] for each in rows], [each["y"] for each in rows])
        at = sketch.points(GeoSeries(spots, crs=plan.site.crs))
        tables.append(_told(title, [code, "site_id", "alley_id", "grid_id"], rows, at))
    lines = [list(each) for each in comparison_lines(comparison)]
    return {"lines": lines, "tables": [each for each in tables if each["rows"]]}


def _listed(numbers: list[int]) -> str:
    return "、".join(map(str, numbers))


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
