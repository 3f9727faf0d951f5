"""Points along the lanes of a made-up township: where lamps and boards could stand, places, power.

Candidates for lamps come every ten metres or so: on the wall where a house stands on the lane's edge,
else on a pole. Those that shine today stand as they do in reality: close together near the road,
the village office and two or three houses of weight, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy.spatial import KDTree

from spatial.sample.fabric import Fabric

__all__ = ["make_board_sites", "make_lamp_sites", "make_places", "make_power_points"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LAMP_SITES_PER_HOUSEHOLD = 0.6
EXISTING_LAMPS_PER_HOUSEHOLD = 0.04
BOARD_SITES_PER_HOUSEHOLD = 0.08
HOUSEHOLDS_PER_POWER_POINT = 120
WALL_WITHIN_M = 1.0  # a house this near to the lane's edge can carry a lamp
BRACKET_M = 0.03  # how far a wall lamp stands off its wall


@dataclass(frozen=True)
class _Stations:
    """Points on centre-lines: where, which edge, and the unit vector to the left of the line."""

    xy: Floats
    edge: Ints
    left: Floats


def _stations(fabric: Fabric, edge: Ints, along: Floats) -> _Stations:
    """Points at a share ``along`` (0 to 1) of their edge's pieces."""
    pieces = fabric.edge_xy.shape[1] - 1
    piece = np.minimum((along * pieces).astype(np.int64), pieces - 1)
    start, end = fabric.edge_xy[edge, piece], fabric.edge_xy[edge, piece + 1]
    ahead = (end - start) / np.hypot(*(end - start).T)[:, None]
    xy = start + (along * pieces - piece)[:, None] * (end - start)
    return _Stations(xy, edge, np.c_[-ahead[:, 1], ahead[:, 0]])


def make_lamp_sites(
    fabric: Fabric, width_m: Floats, buildings: pd.DataFrame, n_households: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Lamp sites of every status, in the order of a walk along the lanes."""
    lanes = np.flatnonzero(~fabric.edges["role"].isin(["road", "bridge", "overpass"]))
    n = round(LAMP_SITES_PER_HOUSEHOLD * n_households)
    length_m = shapely.length(shapely.linestrings(fabric.edge_xy[lanes]))
    until_m = np.cumsum(length_m)
    at_m = (np.arange(n) + rng.uniform(0.15, 0.85, n)) * until_m[-1] / n
    index = np.minimum(np.searchsorted(until_m, at_m, side="right"), len(lanes) - 1)
    share = np.clip(1 - (until_m[index] - at_m) / length_m[index], 0, 1)
    stations = _stations(fabric, lanes[index], share)
    side = rng.choice([-1.0, 1.0], n)
    wall, xy = _mounts(stations, side, width_m, buildings)
    status = _lamp_status(xy, buildings, round(EXISTING_LAMPS_PER_HOUSEHOLD * n_households), rng)
    existing = status == "existing"
    consent = rng.choice(["yes", "unknown", "no"], n, p=[0.55, 0.33, 0.12])
    towards = -side[:, None] * stations.left
    azimuth_deg = np.round(np.degrees(np.arctan2(towards[:, 0], towards[:, 1])) % 360)
    height_m = np.where(wall, rng.choice([3.5, 4.0, 4.5], n), rng.choice([4.5, 5.0, 6.0], n))
    return pd.DataFrame(
        {
            "status": status,
            "mount": np.where(wall, "wall", "pole"),
            "consent": np.where(existing | (status == "required"), "yes", np.where(wall, consent, "unknown")),
            "height_m": height_m,
            "azimuth_deg": np.where(existing, azimuth_deg, np.nan),
            "tilt_deg": np.where(existing, rng.choice([0.0, 10.0, 15.0], n), np.nan),
            "flux_lm": np.where(existing, rng.choice([2200.0, 3000.0], n), 3000.0),
            "power_w": np.where(existing, 50.0, 30.0),
            "cost_cny": np.where(existing, np.nan, np.where(wall, 1350.0, 2900.0)),
            "geometry": shapely.points(xy),
        }
    )


def _mounts(
    stations: _Stations, side: Floats, width_m: Floats, buildings: pd.DataFrame
) -> tuple[NDArray[np.bool_], Floats]:
    """On the wall where one stands on the lane's edge, else on a pole just inside the edge."""
    out = side[:, None] * stations.left
    half_m = width_m[stations.edge, None] / 2
    edge_point = shapely.points(stations.xy + half_m * out)
    shapes = buildings["geometry"].to_numpy()
    house = shapes[shapely.STRtree(shapes).nearest(edge_point)]
    line = shapely.shortest_line(house, shapely.points(stations.xy))
    foot = shapely.get_coordinates(shapely.get_point(line, 0))
    inwards = shapely.get_coordinates(shapely.get_point(line, 1)) - foot
    foot_off = foot + BRACKET_M * inwards / np.maximum(np.hypot(*inwards.T), 1e-9)[:, None]
    wall = shapely.distance(edge_point, shapely.points(foot)) <= WALL_WITHIN_M
    return wall, np.where(wall[:, None], foot_off, stations.xy + (half_m - 0.25) * out)


def _lamp_status(
    xy: Floats, buildings: pd.DataFrame, n_existing: int, rng: np.random.Generator
) -> NDArray[np.object_]:
    """Existing lamps crowd round a few houses; some sites near the school are musts, a few are barred."""
    doors = shapely.get_coordinates(buildings["door"].to_numpy())
    use = buildings["use"].to_numpy()
    favoured = np.r_[
        doors[use == "村委会"], doors[rng.choice(len(doors), max(3, n_existing // 12), replace=False)]
    ]
    near_m = KDTree(favoured).query(xy)[0]
    existing = np.argsort(near_m + rng.exponential(12.0, len(xy)), kind="stable")[:n_existing]
    status = np.full(len(xy), "candidate", dtype=object)
    status[existing] = "existing"
    free = np.flatnonzero(status == "candidate")
    n_few = max(1, len(xy) // 120)
    status[rng.choice(free, n_few, replace=False)] = "forbidden"
    free = np.flatnonzero(status == "candidate")
    from_school_m = np.hypot(*(xy[free] - doors[use == "学校"][0]).T)
    status[free[np.argsort(from_school_m, kind="stable")[:n_few]]] = "required"
    return status


def make_board_sites(
    fabric: Fabric, width_m: Floats, buildings: pd.DataFrame, n_households: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Board sites on the lane's edge beside junctions, then half-way along lanes; one must at the office."""
    n = round(BOARD_SITES_PER_HOUSEHOLD * n_households)
    edges = fabric.edges
    lanes = rng.permutation(np.flatnonzero(~edges["role"].isin(["road", "bridge", "overpass"])))
    start = edges["start"].to_numpy()
    degree = np.bincount(np.r_[edges["start"], edges["end"]])
    first_here = ~pd.Series(start[lanes]).duplicated().to_numpy()
    corner = lanes[first_here & (degree[start[lanes]] > 2)]
    edge = np.r_[corner, lanes][:n]
    along = np.where(np.arange(n) < len(corner), 0.1, 0.5)
    stations = _stations(fabric, edge, along)
    side = rng.choice([-1.0, 1.0], n)[:, None]
    xy = stations.xy + (width_m[edge, None] / 2 - 0.3) * side * stations.left
    office = shapely.get_coordinates(buildings.loc[buildings["use"] == "村委会", "door"].to_numpy())[0]
    nearest = np.argmin(np.hypot(*(xy - office).T))
    status = np.where(np.arange(n) == nearest, "required", "candidate")
    return pd.DataFrame(
        {
            "status": status,
            "cost_cny": rng.choice([2600.0, 3200.0, 3800.0], n),
            "geometry": shapely.points(xy),
        }
    )


def make_places(fabric: Fabric, buildings: pd.DataFrame) -> pd.DataFrame:
    """Entrances, bus stops, school, clinic and office."""
    road = fabric.edges[fabric.edges["role"] == "road"].sort_values("column")
    west = fabric.edge_xy[road.index[0], 0]
    east = fabric.edge_xy[road.index[-1], -1]
    lane_xy = fabric.edge_xy[fabric.edges["hamlet"] >= 0].reshape(-1, 2)
    ends = lane_xy[[lane_xy[:, 1].argmax(), lane_xy[:, 1].argmin()]]
    stops = fabric.edge_xy[road.index[[len(road) // 4, (3 * len(road)) // 4]], 1] + [0.0, 4.2]
    use = buildings.set_index("use")["door"]
    named: list[tuple[str, str, Any]] = [
        ("entrance", "西路口", west),
        ("entrance", "东路口", east),
        ("entrance", "北路口", ends[0]),
        ("entrance", "南路口", ends[1]),
        ("bus_stop", "山南西站", stops[0]),
        ("bus_stop", "山南东站", stops[1]),
        ("school", "山南小学", shapely.get_coordinates(use["学校"])[0]),
        ("clinic", "山南卫生室", shapely.get_coordinates(use["卫生室"])[0]),
        ("office", "山南村委会", shapely.get_coordinates(use["村委会"])[0]),
    ]
    table = pd.DataFrame(named, columns=["kind", "name", "xy"])
    return table.assign(exclusive=False, geometry=shapely.points(np.stack(table.pop("xy").to_list())))


def make_power_points(
    fabric: Fabric, width_m: Floats, n_households: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Cabinets at the lane's edge, every other one with three phases."""
    lanes = np.flatnonzero(fabric.edges["hamlet"] >= 0)
    n = max(3, round(n_households / HOUSEHOLDS_PER_POWER_POINT))
    edge = lanes[np.linspace(0, len(lanes) - 1, n).astype(np.int64)]
    stations = _stations(fabric, edge, np.full(n, 0.4))
    xy = stations.xy + (width_m[edge, None] / 2 - 0.2) * stations.left
    return pd.DataFrame(
        {
            "capacity_w": rng.choice([5000.0, 10000.0, 20000.0], n),
            "phases": np.where(np.arange(n) % 2 == 0, 3, 1),
            "geometry": shapely.points(xy),
        }
    )
