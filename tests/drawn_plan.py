"""A plan small enough to draw: three grids side by side on one alley, two lamps, one board.

      0        60   90   120       180 m
   80 ┌─────────┬────│────┬─────────┐
      │    H2   │ H4 │    │    H6   │   │ 东巷
   40 ╞════L1═══╪════B════╪════L2═══╡   ═ 大井巷
      │  H1     │      H3 │  H5     │
    0 └─────────┴─────────┴─────────┘

Grid 3 has three households, too few to be told of in public.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import shapely
from geopandas import GeoDataFrame

from spatial.errors import fault
from spatial.load import Site
from spatial.plan import Plan
from spatial.schema import LAYERS, PLAN_LAYERS
from spatial.settings import Settings

CRS = pyproj.CRS.from_epsg(4548)
EAST, NORTH = 500_000.0, 3_500_000.0

#: Values of personal columns that no public file may hold.
CANARIES = ("CANARY-DOOR", "CANARY-ADDRESS", "CANARY-ID", "770177", "880188")

_EMPTY = {"text": "str", "int": "Int64", "float": "float64", "bool": "boolean"}


def drawn_plan(
    *,
    alley: str = "大井巷",
    household: str = "CANARY-ID",
    community: str = "山南社区",
    only: tuple[str, ...] = ("grids", "lamps", "boards"),
    grid_fault: str | None = None,
) -> Plan:
    """The drawn plan, with the names given and the parts named in ``only``."""
    layers = _plan_layers(household, grid_fault)
    dropped = {"grids": ["grids"], "lamps": ["lamps", "stretches"], "boards": ["boards"]}
    gone = {name for part, names in dropped.items() if part not in only for name in names}
    kept = {name: each for name, each in layers.items() if name not in gone}
    return Plan(kept, _summary(community, only, grid_fault), _site(alley, household), bounds={})


def _place(*xy: tuple[float, float]) -> list[tuple[float, float]]:
    return [(EAST + x, NORTH + y) for x, y in xy]


def _point(x: float, y: float) -> shapely.Point:
    return shapely.Point(_place((x, y))[0])


def _box(west: float, south: float, east: float, north: float) -> shapely.Polygon:
    return shapely.box(EAST + west, NORTH + south, EAST + east, NORTH + north)


def _line(*xy: tuple[float, float]) -> shapely.LineString:
    return shapely.LineString(_place(*xy))


def _frame(columns: Any, values: dict[str, list[Any]], geometry: list[Any]) -> GeoDataFrame:
    """Rows with every column of the contract, those not in ``values`` empty."""
    n = len(geometry)
    table = {
        each.name: pd.Series(values.get(each.name, [None] * n), dtype=_EMPTY[each.dtype]) for each in columns
    }
    return GeoDataFrame(table, geometry=np.array(geometry, dtype=object), crs=CRS)


def _plan_layer(name: str, values: dict[str, list[Any]], geometry: list[Any]) -> GeoDataFrame:
    return _frame(PLAN_LAYERS[name].columns, values, geometry)


def _site_layer(name: str, values: dict[str, list[Any]], geometry: list[Any]) -> GeoDataFrame:
    return _frame(LAYERS[name].columns, values, geometry)


def _ids(household: str) -> list[str]:
    return [f"{household}-{i}" for i in range(1, 7)]


_DOORS = [(20, 30), (40, 50), (110, 30), (70, 50), (140, 30), (160, 50)]


def _site(alley: str, household: str) -> Site:
    layers = {
        "alleys": _site_layer(
            "alleys",
            {"alley_id": ["A1", "A2"], "name": [alley, "东巷"]},
            [_line((0, 40), (180, 40)), _line((90, 40), (90, 80))],
        ),
        "households": _site_layer(
            "households",
            {
                "household_id": _ids(household),
                "households": [20, 20, 20, 20, 2, 1],
                "elderly": [770177] * 6,
                "party_members": [880188] * 6,
                "address": ["CANARY-ADDRESS"] * 6,
                "group": ["CANARY-ADDRESS"] * 6,
            },
            [_point(*each) for each in _DOORS],
        ),
        "buildings": _site_layer(
            "buildings",
            {"building_id": [f"U{i}" for i in range(6)], "use": ["CANARY-DOOR"] * 6},
            [_box(x - 6, y - 5, x + 6, y + 5) for x, y in _DOORS],
        ),
        "boundary": _site_layer("boundary", {}, [_box(0, 0, 180, 80)]),
        "barriers": _site_layer("barriers", {"barrier_id": ["R1"]}, [_line((0, 10), (180, 12))]),
        "places": _site_layer(
            "places", {"place_id": ["P1"], "kind": ["school"], "name": ["山南小学"]}, [_point(100, 70)]
        ),
    }
    return Site("shannan", CRS, layers, elevation=None, inputs=(), remarks=())


def _plan_layers(household: str, grid_fault: str | None) -> dict[str, GeoDataFrame]:
    ids = _ids(household)
    return {
        "grids": _plan_layer(
            "grids",
            {
                "grid_id": [1, 2, 3],
                "code": ["G01", "G02", "G03"],
                "name": ["第1网格", "第2网格", "第3网格"],
                "kind": ["ordinary"] * 3,
                "worker_id": [1, 1, 2],
                "households": [40, 40, 3],
                "residents": [120, 121, 9],
                "elderly": [770177] * 3,
                "party_members": [880188] * 3,
                "groups": ["CANARY-ADDRESS"] * 3,
                "walk_mean_m": [21.25, 33.5, 12.0],
                "walk_max_m": [40.0, 55.0, 20.0],
                "meeting_household_id": [ids[0], ids[2], ids[4]],
                "leader_role": ["第1网格长", "第2网格长", "第3网格长"],
                "fault": [None, None, grid_fault],
            },
            [shapely.MultiPolygon([_box(60 * i, 0, 60 * i + 60, 80)]) for i in range(3)],
        ),
        "households": _plan_layer(
            "households",
            {
                "household_id": ids,
                "part": [0] * 6,
                "households": [20, 20, 20, 20, 2, 1],
                "elderly": [770177] * 6,
                "grid_id": [1, 1, 2, 2, 3, 3],
                "board_id": ["S9"] * 6,
            },
            [_point(*each) for each in _DOORS],
        ),
        "lamps": _plan_layer(
            "lamps",
            {
                "site_id": ["S1", "S2"],
                "lamp_code": ["L001", "L002"],
                "status": ["candidate", "existing"],
                "rank": [1, None],
                "gain_m": [30.0, None],
                "alley_id": ["A1", "A1"],
                "grid_id": [1, 3],
            },
            [_point(30, 41), _point(150, 41)],
        ),
        "boards": _plan_layer(
            "boards",
            {
                "site_id": ["S9"],
                "board_code": ["B01"],
                "status": ["candidate"],
                "households_served": [83],
                "alley_id": ["A1"],
                "grid_id": [2],
                "keeper_role": ["第2网格党小组"],
            },
            [_point(90, 42)],
        ),
        "alleys": _plan_layer(
            "alleys",
            {
                "alley_id": ["A1", "A2"],
                "length_m": [180.0, 40.0],
                "lit_m": [60.0, 0.0],
                "share_lit": [1 / 3, 0.0],
            },
            [
                shapely.MultiLineString([_line((0, 40), (180, 40))]),
                shapely.MultiLineString([_line((90, 40), (90, 80))]),
            ],
        ),
        "stretches": _stretches(),
    }


def _stretches() -> GeoDataFrame:
    """A1 lit around each lamp, in two pieces that follow each other around the first."""
    cuts = [0, 15, 30, 45, 135, 165, 180]
    lit = [False, True, True, False, True, False]
    return _plan_layer(
        "stretches",
        {
            "alley_id": ["A1"] * 6 + ["A2"],
            "from_m": [*map(float, cuts[:-1]), 0.0],
            "length_m": [*map(float, np.diff(cuts)), 40.0],
            "lit": [*lit, False],
            "n_lamps": [*map(int, lit), 0],
        },
        [
            *(_line((a, 40), (b, 40)) for a, b in pairwise(cuts)),
            _line((90, 40), (90, 80)),
        ],
    )


def _summary(community: str, only: tuple[str, ...], grid_fault: str | None) -> dict[str, Any]:
    settings = Settings.model_validate({"community": {"name": community, "date": "2026-03-01"}}).to_dict()
    sections: dict[str, dict[str, Any]] = {
        "grids": {"n": 3, "n_exclusive": 0},
        "lamps": {
            "n_chosen": 1,
            "alley_m": 220.0,
            "lit_m": 60.0,
            "lit_before_m": 30.0,
            "share_lit": 60 / 220,
            "bound_m": 60.0,
            "gap": 0.0,
        },
        "boards": {"n_chosen": 1},
    }
    faults = (
        [fault("grid-small", grid_fault, layer="grids", ids=["3"]).to_json()]
        if grid_fault is not None
        else []
    )
    return {
        "community": {"folder": "shannan", **settings["community"]},
        "plan_id": "0123456789ab",
        "settings": settings,
        "notes": [],
        "doubts": [],
        "faults": faults,
        **{name: each if name in only else None for name, each in sections.items()},
    }
