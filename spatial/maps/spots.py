"""Find my house: what holds at places along the alleys, every dozen metres, that name nobody.

A spot knows the grids beside it with the walk to where each meets, its nearest board and how much of the way
to it is lit. Nothing of a household is looked at: all follows from alleys, meeting points, boards and lamps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoSeries
from numpy.typing import NDArray

from spatial.maps.light import Light
from spatial.maps.sketch import Sketch, View, texts
from spatial.network import AlleyNetwork, Stops, doors, snap_points, walks
from spatial.settings import Settings
from spatial.siting import ways_home

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["find_view"]

SPACING_M = 12.0
MOST_SPOTS = 6000  # of a page: in a town they stand farther apart
BESIDE_M = 15.0  # a grid this near to a spot is beside it
FAR_M = 2000.0  # longer walks are not told


def find_view(
    plan: Plan,
    network: AlleyNetwork,
    settings: Settings,
    light: Light | None,
    meeting_points: GeoSeries,
    sketch: Sketch,
    *,
    most_spots: int | None = MOST_SPOTS,
) -> View:
    """Spots along the alleys and the alleys they lie on.

    Parameters
    ----------
    meeting_points : GeoSeries
        For each grid where it meets on the alley, None where that is not told.
    most_spots : int, optional
        More stand farther apart; None: every ``SPACING_M``.

    Returns
    -------
    dict
        ``alleys``: rows of name, lit (percent), n_new (lamps), why no new lamp, the nearest site not chosen
        with the metres it would add; ``spots``: rows of east, north, alley, way lit (percent), the same
        today, whether the spot itself is lit, board, metres to it, then pairs of a grid and metres to where
        it meets; ``doors``: with ``public.door_numbers`` pairs of a household's number and the spot before
        its door, else none; ``least_gain_m``: the least that a lamp of the plan's free choice adds.
    """
    at = _spots(network, most_spots)
    way, today, lit = _ways(plan, network, settings, light, at)
    board, board_m = _nearest_board(plan, network, at)
    pairs = _grids_beside(plan, network, at, meeting_points)
    xy = sketch.points(GeoSeries(shapely.points(at.stop_xy), crs=plan.site.crs))
    columns = zip(
        xy, network.edge_alley[at.edge].tolist(), way, today, lit, board, board_m, pairs, strict=True
    )
    spots = [[*(place or ()), *told, *beside] for place, *told, beside in columns]
    return {
        "alleys": _alleys(plan, network, sketch),
        "spots": spots,
        "doors": _doors(plan, network, settings, at) if settings.public.door_numbers else [],
        "least_gain_m": _least_gain(plan),
    }


def _spots(network: AlleyNetwork, most: int | None) -> Stops:
    """Places in the middle of equal pieces of each edge."""
    spacing_m = SPACING_M if most is None else max(SPACING_M, float(network.edge_length_m.sum()) / most)
    n = np.maximum(1, np.ceil(network.edge_length_m / spacing_m).astype(np.int64))
    edge = np.repeat(np.arange(len(n)), n)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(n) - n, n)
    along_m = (step + 0.5) / n[edge] * network.edge_length_m[edge]
    xy = shapely.get_coordinates(shapely.line_interpolate_point(network.edge_lines[edge], along_m))
    part = network.node_part[network.edge_nodes[edge, 0]]
    return Stops(xy, xy, edge, along_m, np.zeros(len(edge)), part, np.arange(len(edge)))


def _doors(plan: Plan, network: AlleyNetwork, settings: Settings, at: Stops) -> list[list[Any]]:
    """The number of each household that has access, as its data calls it, and the spot before its door."""
    households = plan.site.layer("households")
    door = doors(plan.site, network, settings)
    known = np.flatnonzero(door.edge >= 0)
    edge = door.edge[known]
    first = np.searchsorted(at.edge, edge)
    n = np.searchsorted(at.edge, edge, side="right") - first
    step = np.floor(door.along_m[known] / network.edge_length_m[edge] * n).astype(np.int64)
    spot = first + np.clip(step, 0, n - 1)
    return [
        [number, row]
        for number, row in zip(households["household_id"].to_numpy()[known], spot.tolist(), strict=True)
    ]


def _ways(
    plan: Plan, network: AlleyNetwork, settings: Settings, light: Light | None, at: Stops
) -> tuple[list[int | None], list[int | None], list[int | None]]:
    """Percent of the way to each spot that is lit, under the plan and today, and whether the spot is lit."""
    if light is None:
        nothing: list[int | None] = [None] * len(at)
        return nothing, nothing, nothing
    ways = ways_home(plan.site, network, settings, stops=at)
    after, today = (100 * ways.lit_share(each) for each in (light.after, light.today))
    return _whole(after), _whole(today), light.after.at(at.edge, at.along_m).astype(int).tolist()


def _nearest_board(plan: Plan, network: AlleyNetwork, at: Stops) -> tuple[list[int | None], list[int | None]]:
    """Row of the nearest board and the walk to it, the few steps from the alley to the board included."""
    metres = np.full(len(at), np.inf)
    nearest = np.full(len(at), -1)
    if "boards" in plan.layers and len(plan.layers["boards"]):
        stops = snap_points(network, plan.layers["boards"].geometry.to_numpy())
        found = walks(network, at, stops, limit_m=FAR_M)
        spot = np.repeat(np.arange(len(at)), np.diff(found.indptr))
        walk_m = found.distance_m + stops.offset_m[found.indices]
        order = np.lexsort((found.indices, walk_m, spot))
        first_of, first = np.unique(spot[order], return_index=True)
        nearest[first_of], metres[first_of] = found.indices[order][first], walk_m[order][first]
    return [None if each < 0 else each for each in nearest.tolist()], _whole(metres)


def _grids_beside(
    plan: Plan, network: AlleyNetwork, at: Stops, meeting_points: GeoSeries
) -> list[list[int | None]]:
    """For each spot the grids beside it, each with the walk to where it meets; nearest grid first."""
    beside: list[list[int | None]] = [[] for _ in range(len(at))]
    if "grids" not in plan.layers:
        return beside
    grids = plan.layers["grids"]
    areas, places = grids.geometry.to_numpy(), shapely.points(at.stop_xy)
    spot, grid = shapely.STRtree(areas).query(places, predicate="dwithin", distance=BESIDE_M)
    away_m = shapely.distance(areas[grid], places[spot]).round(3)
    order = np.lexsort((grid, away_m, spot))
    spot, grid = spot[order], grid[order]
    told = np.flatnonzero(meeting_points.notna())
    metres = np.full((len(at), len(grids)), np.nan)
    if len(told):
        meets = snap_points(network, meeting_points.to_numpy()[told])
        found = walks(network, at, meets, limit_m=FAR_M)
        row = np.repeat(np.arange(len(at)), np.diff(found.indptr))
        metres[row, told[found.indices]] = found.distance_m
    ids = grids["grid_id"].to_numpy()
    for one, which, walk in zip(spot.tolist(), grid.tolist(), _whole(metres[spot, grid]), strict=True):
        beside[one] += [int(ids[which]), walk]
    return beside


def _alleys(plan: Plan, network: AlleyNetwork, sketch: Sketch) -> list[View]:
    """Each alley's name, light and why it got no new lamp, in the network's order."""
    table = network.alleys[["alley_id", "name"]]
    rows: list[View] = [{"name": name} for name in texts(table["name"])]
    if "lamps" not in plan.layers:
        return rows
    lamps = plan.layers["lamps"]
    new = lamps["alley_id"][lamps["status"] != "existing"].value_counts()
    told = plan.layers["alleys"].set_index("alley_id").reindex(table["alley_id"])
    sites = plan.site.layer("lamp_sites").drop_duplicates("site_id").set_index("site_id").geometry
    unchosen = told["unchosen_site_id"].map(sites) if len(sites) else told["unchosen_site_id"]
    at = sketch.points(GeoSeries(unchosen.to_numpy(), crs=plan.site.crs))
    columns: dict[str, Sequence[Any]] = {
        "lit": _whole(100 * told["share_lit"].to_numpy(float)),
        "n_new": table["alley_id"].map(new).fillna(0).astype(int).tolist(),
        "why": texts(told["unchosen_why"]),
        "gain_m": [None if pd.isna(each) else round(float(each), 1) for each in told["unchosen_gain_m"]],
        "at": at,
    }
    for key, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[key] = value
    return rows


def _least_gain(plan: Plan) -> float | None:
    """The least that one of the plan's freely chosen lamps adds. [m]"""
    if "lamps" not in plan.layers:
        return None
    lamps = plan.layers["lamps"]
    gain_m = lamps["gain_m"][lamps["status"] == "candidate"].min()
    return None if pd.isna(gain_m) else round(float(gain_m), 1)


def _whole(values: NDArray[np.float64]) -> list[int | None]:
    return [round(each) if np.isfinite(each) else None for each in values.tolist()]
