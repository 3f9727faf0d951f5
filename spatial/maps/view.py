"""What a page may show, as plain values: geometry in whole millionths of a degree, figures, names of alleys.

The residents' view is built from an explicit list of columns, none of them personal; a column that is added
to the contract does not appear on a page until it is named here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame, GeoSeries
from numpy.typing import NDArray

from spatial.errors import DataError
from spatial.maps.sketch import Sketch, View, records, texts
from spatial.settings import Settings

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["MOST_FEATURES", "drawn_features", "meeting_points", "public_view"]

#: Columns of the plan's points that residents see beside their place.
_LAMP_COLUMNS = ("lamp_code", "status", "rank", "gain_m", "grid_id")
_BOARD_COLUMNS = ("board_code", "status", "households_served", "grid_id", "keeper_role")

#: More than this a browser draws too slowly: residents get a town's pages, other maps have no buildings.
MOST_FEATURES = 20_000
_WATER = "water|river|stream|canal|ditch|pond|lake|河|水|渠|溪|塘|湖|江"


def public_view(plan: Plan) -> View:
    """The residents' view of a plan: no household ids, no personal columns, no small counts.

    Returns
    -------
    dict
        Plain values: ``frame`` (west, south, east, north in degrees), ``figures``, and for each drawn layer
        its rows; shapes count millionths of a degree east and north of the frame's south-west corner, each
        point as the step from the one before.
    """
    settings = Settings.model_validate(plan.summary["settings"])
    frame = _frame(plan)
    sketch = Sketch(*frame[:2])
    too_many = sum(map(len, drawn_features(plan))) > MOST_FEATURES
    return {
        "mode": "public",
        "about": _about(plan, settings),
        "frame": frame,
        "figures": _figures(plan, settings) | {"buildings_left_out": too_many},
        "boundary": sketch.areas(plan.site.layer("boundary").geometry) if "grids" not in plan.layers else [],
        "ground": [] if too_many else sketch.areas(_ground(plan)),
        "barriers": _barriers(plan, sketch),
        "alleys": _alleys(plan, sketch),
        "grids": _grids(plan, settings, sketch),
        "lamps": _points(plan, "lamps", _LAMP_COLUMNS, sketch),
        "boards": _boards(plan, settings, sketch),
        "places": _places(plan, sketch),
    }


def drawn_features(plan: Plan) -> list[GeoSeries]:
    """The shapes by whose number a page grows: buildings, alleys and what was planned."""
    planned = [plan.layers[name] for name in ("grids", "lamps", "boards", "stretches") if name in plan.layers]
    return [_ground(plan), plan.site.layer("alleys").geometry, *(each.geometry for each in planned)]


# ── figures and names ────────────────────────────────────────────────────────────────────────────────


def _about(plan: Plan, settings: Settings) -> View:
    """Names, date and identity of the plan, as they stand in the title."""
    community = settings.community
    folder = plan.site.community
    return {
        "name": community.name or folder,
        "name_en": community.name_en or community.name or folder,
        "date": community.date.isoformat() if community.date else None,
        "plan_id": plan.summary["plan_id"],
    }


def _figures(plan: Plan, settings: Settings) -> View:
    """The figures of the sentence and of the lines below the map; a part that was not planned has none."""
    grids, lamps, boards = (plan.summary[name] for name in ("grids", "lamps", "boards"))
    figures: View = {"households_estimated": plan.households_estimated}
    if grids is not None:
        figures |= {
            "n_grids": grids["n"],
            "n_exclusive": _known(grids, "n_exclusive"),
            "min_households": settings.grids.min_households,
            "max_households": settings.grids.max_households,
        }
    if boards is not None:
        figures |= {"n_boards": boards["n_chosen"]}
    if lamps is not None:
        figures |= {
            "n_lamps": lamps["n_chosen"],
            "n_required": int((plan.layers["lamps"]["status"] == "required").sum()),
            "lit_m": round(lamps["lit_m"]),
            "share_lit": lamps["share_lit"],
            "share_before": lamps["lit_before_m"] / lamps["alley_m"] if lamps["alley_m"] else 0.0,
            "bound_m": _whole_bound(lamps) if _counts_alone(settings) else None,
            "proven": lamps["gap"] == 0 and lamps["bound_m"] is not None,
            "reach_m": settings.lamps.reach_m if settings.lamps.model == "reach" else None,
            "line_of_sight": settings.lamps.line_of_sight and "buildings" in plan.site.layers,
            "way_lit": lamps.get("way_lit_mean"),
            "way_before": lamps.get("way_lit_mean_before"),
        }
    return figures


def _known(section: Mapping[str, Any], name: str) -> Any:
    """A figure of the summary; plans of earlier versions lack some."""
    if name not in section:
        raise DataError(
            f"summary.json has no {name}: an earlier version of alleyplan wrote this plan; plan it again"
        )
    return section[name]


def _counts_alone(settings: Settings) -> bool:
    """Whether nothing but the number of lamps limits them, so that "no plan of as many" can be said."""
    lamps = settings.lamps
    return lamps.goal == "most-lit" and lamps.budget_cny is None and lamps.apart_m == 0


def _whole_bound(lamps: Mapping[str, Any]) -> int | None:
    """The proven bound in whole metres: as told of the plan where the plan reaches it, else rounded up."""
    if lamps["bound_m"] is None:
        return None
    return round(lamps["lit_m"]) if lamps["gap"] == 0 else int(np.ceil(lamps["bound_m"]))


# ── layers ───────────────────────────────────────────────────────────────────────────────────────────


def _ground(plan: Plan) -> GeoSeries:
    """Buildings; where there are none, the footprints of houses, shape only."""
    layers = plan.site.layers
    if "buildings" in layers:
        return layers["buildings"].geometry
    houses = plan.site.layer("households").geometry
    return houses[houses.geom_type.isin(["Polygon", "MultiPolygon"])]


def _barriers(plan: Plan, sketch: Sketch) -> View:
    """Barriers by what they look like: water, and the railways, motorways and walls that are not."""
    barriers = plan.site.layer("barriers")
    wet = barriers["kind"].fillna("").str.contains(_WATER, case=False, regex=True).to_numpy(bool)
    broad = barriers.geom_type.isin(["Polygon", "MultiPolygon"]).to_numpy(bool)
    return {
        "water": {
            "lines": sketch.lines(barriers.geometry[wet & ~broad]),
            "areas": sketch.areas(barriers.geometry[wet & broad]),
        },
        "other": {
            "lines": sketch.lines(barriers.geometry[~wet & ~broad]),
            "areas": sketch.areas(barriers.geometry[~wet & broad]),
        },
    }


def _alleys(plan: Plan, sketch: Sketch) -> View:
    """All centre-lines, their lit stretches joined to long lines, and each name with its place."""
    alleys = plan.site.layer("alleys")
    lit: list[list[int]] = []
    if "stretches" in plan.layers:
        stretches = plan.layers["stretches"]
        bright = stretches[stretches["lit"].fillna(False).astype(bool)]
        lit = sketch.lines(_joined(bright.geometry, bright["alley_id"]))
    return {"all": sketch.lines(alleys.geometry), "lit": lit, "names": _alley_names(alleys, sketch)}


def _joined(lines: GeoSeries, owner: pd.Series) -> GeoSeries:
    """Pieces of the same alley that follow each other as one line."""
    codes, _ = pd.factorize(owner)
    order = np.argsort(codes, kind="stable")
    if not len(order):
        return lines
    merged = shapely.line_merge(shapely.multilinestrings(lines.to_numpy()[order], indices=codes[order]))
    return GeoSeries(shapely.get_parts(merged), crs=lines.crs)


def _alley_names(alleys: GeoDataFrame, sketch: Sketch) -> list[View]:
    """Name, middle, heading and length of the longest alley of each name, longest first."""
    named = alleys[alleys["name"].notna()].assign(length_m=lambda rows: rows.length)
    named = named.sort_values(["length_m", "name"], ascending=[False, True], kind="stable").drop_duplicates(
        "name"
    )
    lines = named.geometry.to_numpy()
    half_m = named["length_m"].to_numpy() / 2
    before = shapely.get_coordinates(shapely.line_interpolate_point(lines, half_m * 0.8))
    after = shapely.get_coordinates(shapely.line_interpolate_point(lines, half_m * 1.2))
    # Text runs from left to right, so a heading is folded into the half circle to the east.
    heading = np.degrees(np.arctan2(after[:, 1] - before[:, 1], after[:, 0] - before[:, 0]))
    heading = (heading + 90.0) % 180.0 - 90.0
    middles = sketch.points(GeoSeries(shapely.line_interpolate_point(lines, half_m), crs=alleys.crs))
    return [
        {"name": name, "at": at, "heading_deg": round(float(turn)), "length_m": round(float(length_m))}
        for name, at, turn, length_m in zip(named["name"], middles, heading, 2 * half_m, strict=True)
    ]


def _grids(plan: Plan, settings: Settings, sketch: Sketch) -> list[View]:
    """Grids with tint, place of the number, meeting point on the alley and figures that are not too small."""
    if "grids" not in plan.layers:
        return []
    grids = plan.layers["grids"]
    meets, meeting_alleys = meeting_points(plan, settings)
    meetings = sketch.points(meets)
    spots = sketch.points(_clear_spots(plan, meets))
    radius_m = np.sqrt(grids.area.to_numpy() / np.pi)
    boards = _boards_of_grids(plan, settings)
    shown = _told_of(grids, settings)
    shapes, tints = sketch.areas_by_row(grids.geometry), _tints(grids.geometry)
    exclusive = (grids["kind"] == "exclusive").fillna(False).to_numpy(bool)
    rows = records(grids, ("grid_id", "households", "walk_mean_m", "leader_role"))
    for row, record in enumerate(rows):
        grid_id = record["grid_id"]
        record |= {
            "shape": shapes[row],
            "tint": tints[row],
            "exclusive": grids["name"].iloc[row].removeprefix("专属网格·") if exclusive[row] else None,
            "hatch": sketch.lines(_hatch(grids.geometry.iloc[[row]])) if exclusive[row] else [],
            "at": spots[row],
            "radius_m": round(float(radius_m[row]), 1),
            "fault": pd.notna(grids["fault"].iloc[row]),
            "boards": boards.get(grid_id, []),
            "meeting": meetings[row],
            "meeting_alley": meeting_alleys[row],
        }
        if not shown[row]:
            record |= {"households": None, "walk_mean_m": None}
    return rows


def _hatch(area: GeoSeries) -> GeoSeries:
    """Slanted lines across an area, as many as show on a large ground and on a small one."""
    (west, south, east, north), step_m = area.total_bounds, max(2.0, np.sqrt(area.area.sum()) / 12)
    height = north - south
    foot = np.arange(west - height, east, step_m) + step_m / 2
    slants = [((x, south), (x + height, north)) for x in foot]
    return area.intersection(shapely.MultiLineString(slants))


def _clear_spots(plan: Plan, meets: GeoSeries) -> GeoSeries:
    """Where a grid's number is read best: the spot farthest from its border, its boards and meeting point."""
    areas = plan.layers["grids"].geometry
    signs = meets[meets.notna()].to_numpy()
    if "boards" in plan.layers:
        signs = np.concatenate([signs, plan.layers["boards"].geometry.to_numpy()])
    clear = shapely.difference(areas.to_numpy(), shapely.union_all(shapely.buffer(signs, 0.5)))
    spots = np.full(len(clear), None, dtype=object)
    real = ~shapely.is_empty(clear)
    spots[real] = shapely.get_point(shapely.maximum_inscribed_circle(clear[real], tolerance=1.0), 0)
    return GeoSeries(spots, crs=areas.crs)


def _tints(shapes: GeoSeries) -> list[int]:
    """A tint for each area so that areas with a common border differ; six are enough for areas in one piece.

    Smallest-last greedy colouring [1]_: a planar map always has an area with at most five neighbours.

    References
    ----------
    .. [1] D. Matula and L. Beck, "Smallest-last ordering and clustering and graph coloring algorithms",
       Journal of the ACM 30, 1983, pp. 417-427.
    """
    areas = shapes.to_numpy()
    one, other = shapely.STRtree(areas).query(areas, predicate="intersects")
    one, other = one[one < other], other[one < other]
    border = shapely.length(shapely.intersection(areas[one], areas[other])) > 0
    pairs = zip(one[border].tolist(), other[border].tolist(), strict=True)
    graph = nx.Graph()
    graph.add_nodes_from(range(len(areas)))
    graph.add_edges_from(sorted(pairs))
    colours = nx.greedy_color(graph, strategy="smallest_last")
    return [colours[row] for row in range(len(areas))]


def meeting_points(plan: Plan, settings: Settings) -> tuple[GeoSeries, list[str | None]]:
    """Where each grid meets: the spot on the alley before the meeting door, and the alley's name.

    The door itself is a household's and stays out of the page. Grids without a known door and those of too
    few households have no spot.
    """
    alleys = plan.site.layer("alleys")
    if "grids" not in plan.layers:
        return GeoSeries([], crs=alleys.crs), []
    grids, households = plan.layers["grids"], plan.layers["households"]
    doors = households.drop_duplicates("household_id").set_index("household_id").geometry
    at_door = doors.reindex(grids["meeting_household_id"]).reset_index(drop=True)
    at_door[~_told_of(grids, settings)] = None
    lines = alleys.geometry.to_numpy()
    row, nearest = alleys.sindex.nearest(at_door, return_all=False)
    on_alley = np.full(len(grids), None, dtype=object)
    along_m = shapely.line_locate_point(lines[nearest], at_door.to_numpy()[row])
    on_alley[row] = shapely.line_interpolate_point(lines[nearest], along_m)
    names = pd.Series(None, index=range(len(grids)), dtype="str")
    names.iloc[row] = alleys["name"].iloc[nearest].to_numpy()
    return GeoSeries(on_alley, crs=alleys.crs), texts(names)


def _told_of(grids: GeoDataFrame, settings: Settings) -> NDArray[np.bool_]:
    """Grids of enough households for their figures to be told."""
    return (grids["households"] >= settings.public.smallest_count).fillna(False).to_numpy(bool)


def _boards_of_grids(plan: Plan, settings: Settings) -> dict[int, list[str]]:
    """For each grid the boards its households walk to, the most used first, those of a few left out."""
    if "boards" not in plan.layers:
        return {}
    boards, households = plan.layers["boards"], plan.layers["households"]
    code = boards.set_index("site_id")["board_code"]
    used = households.assign(board=households["board_id"].map(code).fillna(households["board_id"]))
    counts = used.groupby(["grid_id", "board"], as_index=False)["households"].sum()
    counts = counts[counts["households"] >= settings.public.smallest_count]
    counts = counts.sort_values(["grid_id", "households", "board"], ascending=[True, False, True])
    return {int(grid): rows["board"].tolist() for grid, rows in counts.groupby("grid_id")}


def _boards(plan: Plan, settings: Settings, sketch: Sketch) -> list[View]:
    rows = _points(plan, "boards", _BOARD_COLUMNS, sketch)
    for record in rows:
        if (record["households_served"] or 0) < settings.public.smallest_count:
            record["households_served"] = None
    return rows


def _points(plan: Plan, layer: str, columns: Sequence[str], sketch: Sketch) -> list[View]:
    """The plan's points of a layer with the columns named and the name of their alley."""
    if layer not in plan.layers:
        return []
    rows = plan.layers[layer]
    alleys = plan.site.layer("alleys")
    name_of = alleys.set_index("alley_id")["name"]
    names = texts(rows["alley_id"].map(name_of))
    places = sketch.points(rows.geometry)
    return [
        {**record, "at": at, "alley": name}
        for record, at, name in zip(records(rows, columns), places, names, strict=True)
    ]


def _places(plan: Plan, sketch: Sketch) -> list[View]:
    """Named places, by which people find their way on a map."""
    places = plan.site.layer("places")
    named = places[places["name"].notna()]
    spots = sketch.points(named.geometry.representative_point())
    return [{"name": name, "at": at} for name, at in zip(named["name"], spots, strict=True)]


def _frame(plan: Plan) -> list[float]:
    """West, south, east, north of the community. [degrees, WGS 84]"""
    west, south, east, north = plan.site.layer("boundary").to_crs(4326).total_bounds
    return [round(float(each), 6) for each in (west, south, east, north)]
