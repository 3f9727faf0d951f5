"""A plan folder written by hand, every figure worked out on paper: what an audit must find nothing in.

  60 │ H6        Two alleys, A from (0, 0) to (120, 0) and B north from its middle; doors stand 3 m off.
     │ H5  C3    H5 and H8 are two households each, H10 stands 190 m from any alley and rides with H6.
     │ H4        Grids: 1 = H1–H3, 2 = H4–H6 and H10, 3 = H7–H9; limits 3 to 5 households.
  30 C2          Lamps reach 15 m: E1 stands, C2 and C1 are chosen, C3 is left, C4 and C5 are barred.
     B           A shed near H7 throws a shadow of C1 onto A from 93.2 to 100.7 m.
H1 H2 H3 │ C1 ▪ H7 H8 H9
═══E1════B1═══════════ A
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from shapely import LineString, MultiLineString, MultiPolygon, Point, box

from spatial.load import Site, write_layers, write_site_layers
from spatial.schema import PLAN_LAYERS
from spatial.settings import Settings
from tests.drawn import CRS, layer

EAST, NORTH = 500_000.0, 3_500_000.0
REACH_M = 15.0
DTYPES = {"text": "str", "int": "Int64", "float": "float64", "bool": "boolean"}

#: C1 stands 8 m off A at 90 m; the shed's corners, shrunk by 1 mm, throw their shadows by similar triangles.
C1_FROM_M, C1_TO_M = 90 - (15**2 - 8**2) ** 0.5, 90 + (15**2 - 8**2) ** 0.5
SHADOW_FROM_M, SHADOW_TO_M = 90 + 2.001 * 8 / (8 - 3.001), 90 + 3.999 * 8 / (8 - 4.999)
C1_M = SHADOW_FROM_M - C1_FROM_M + C1_TO_M - SHADOW_TO_M

DOORS = {
    "H1": (10, 3), "H2": (20, 3), "H3": (30, 3), "H4": (63, 40), "H5": (63, 50), "H6": (63, 58),
    "H7": (92, 3), "H8": (100, 3), "H9": (110, 3), "H10": (50, 250),
}  # fmt: skip
SITES = {"C1": (90, 8), "C2": (60, 30), "C3": (60, 50), "C4": (110, 0), "C5": (0, 0), "E1": (20, 0)}


def write_drawn_folder(folder: Path, *, least: int = 3) -> Path:
    """Write the plan into an empty folder; with ``least`` 4 grid 1 is too small, and declared so."""
    write_site_layers(_site(), folder / "site.gpkg")
    write_layers(_plan_layers(least), folder / "plan.gpkg", crs=CRS)
    (folder / "summary.json").write_text(json.dumps(_summary(least)), encoding="utf-8")
    ignoring_groups = [0, 0, 0, 1, 1, 1, 2, 2, 2]  # H1–H9: no three grids walk less
    np.savez_compressed(folder / "bounds.npz", free_grid=np.array(ignoring_groups))
    return folder


def _settings(least: int) -> Settings:
    limits = {"min_households": least, "target_households": 4, "max_households": 5}
    sections = {
        "grids": {**limits, "group_cost_m": 10, "n_branches": 1, "n_workers": 3},
        "lamps": {"n_lamps": 2, "reach_m": REACH_M},
        "boards": {"n_boards": 1, "walk_m": 60},
    }
    return Settings.model_validate(sections)


def _at(shape: Any) -> Any:
    return shapely.transform(shape, lambda xy: xy + np.array([EAST, NORTH]))


def _points(places: Mapping[str, tuple[float, float]], names: Sequence[str]) -> list[Point]:
    return [_at(Point(places[each])) for each in names]


def _site() -> Site:
    doors, sites = sorted(DOORS), sorted(SITES)
    twice = [2 if each in ("H5", "H8") else 1 for each in doors]
    group = {"H1": "一组", "H2": "一组", "H3": "一组", "H4": "二组", "H5": "二组", "H6": "一组"}
    layers = {
        "alleys": layer(
            "alleys", [_at(LineString([(0, 0), (120, 0)])), _at(LineString([(60, 0), (60, 60)]))],
            alley_id=["A", "B"],
        ),
        "households": layer(
            "households", _points(DOORS, doors), household_id=doors, households=twice, residents=[3] * 10,
            party_members=[1 if each == "H5" else 0 for each in doors],
            group=[group.get(each) for each in doors],
        ),
        "lamp_sites": layer(
            "lamp_sites", _points(SITES, sites), site_id=sites,
            status=["candidate", "candidate", "candidate", "forbidden", "candidate", "existing"],
            mount=["pole", "pole", "pole", "pole", "wall", "pole"],
            consent=["unknown", "unknown", "unknown", "unknown", "no", "unknown"],
        ),
        "board_sites": layer(
            "board_sites", [_at(Point(60, -2)), _at(Point(110, -2))],
            site_id=["B1", "B2"], status=["candidate"] * 2,
        ),
        "buildings": layer("buildings", [_at(box(92, 3, 94, 5))], building_id=["shed"]),
        "boundary": layer("boundary", [_at(box(-10, -20, 130, 260))]),
        "places": layer("places", [_at(Point(0, -1))], place_id=["P1"], kind=["entrance"]),
    }  # fmt: skip
    return Site("drawn", CRS, layers, None, (), ())


def _table(layer_name: str, geometry: Sequence[Any] | None, /, **columns: Sequence[Any]) -> Any:
    """A plan layer with the columns given, the others empty."""
    n = len(next(iter(columns.values())))
    table = pd.DataFrame(
        {
            each.name: pd.Series(columns.get(each.name, [None] * n), dtype=DTYPES[each.dtype])
            for each in PLAN_LAYERS[layer_name].columns
        }
    )
    return table if geometry is None else GeoDataFrame(table, geometry=list(geometry), crs=CRS)


def _plan_layers(least: int) -> dict[str, Any]:
    lit = {"A": 30 + C1_M, "B": 30.0}
    shown = ["E1", "C2", "C1"]
    lamp_xy = _points(SITES, shown)
    return {
        "grids": _table(
            "grids",
            [_at(MultiPolygon([box(a, -20, b, 260)])) for a, b in ((-10, 40), (40, 75), (75, 130))],
            grid_id=[1, 2, 3], code=["01", "02", "03"], name=["第01网格", "第02网格", "第03网格"],
            kind=["ordinary"] * 3,
            branch_id=[1, 1, 1], worker_id=[1, 2, 3], households=[3, 5, 4], residents=[9, 12, 9],
            party_members=[0, 1, 0], groups=["一组", "一组、二组", None], main_group=["一组", "二组", None],
            walk_mean_m=[32 / 3, 30 / 4, 30 / 4], walk_max_m=[16.0, 16.0, 16.0],
            meeting_household_id=["H2", "H5", "H8"], leader_role=["网格长"] * 3,
            fault=["too few households" if least > 3 else None, None, None],
        ),
        "households": _households(),
        "zones": _table("zones", None, building_id=[]),
        "lamps": _table(
            "lamps", lamp_xy, site_id=shown, lamp_code=["L001", "L002", "L003"],
            status=["existing", "candidate", "candidate"], rank=[None, 1, 2], gain_m=[None, 30.0, C1_M],
            alley_id=["A", "B", "A"], grid_id=[1, 2, 3], mount=["pole"] * 3, aim_deg=[None, None, 270.0],
            x=[each.x for each in lamp_xy], y=[each.y for each in lamp_xy],
        ),
        "lamp_ranking": _table(
            "lamp_ranking", None, rank=[1, 2, 3], site_id=["C2", "C1", "C3"], gain_m=[30.0, C1_M, 15.0],
            lit_m=[60.0, 60 + C1_M, 75 + C1_M], worth=[60.0, 60 + C1_M, 75 + C1_M],
        ),
        "lamp_curve": _table(
            "lamp_curve", None, n_lamps=[0, 1, 2], lit_m=[30.0, 60.0, 60 + C1_M],
            bound_m=[30.0, 60.0, 60 + C1_M], worth=[30.0, 60.0, 60 + C1_M],
            bound_worth=[30.0, 60.0, 60 + C1_M],
        ),
        "light_shares": _light_shares(),
        "boards": _table(
            "boards", [_at(Point(60, -2))], site_id=["B1"], board_code=["B01"], status=["candidate"],
            rank=[1], households_served=[10], alley_id=["A"], grid_id=[2], keeper_role=["第02网格党小组"],
            lit_at_night=[False],
            x=[EAST + 60], y=[NORTH - 2],
        ),
        "alleys": _table(
            "alleys",
            [_at(MultiLineString([[(0, 0), (120, 0)]])), _at(MultiLineString([[(60, 0), (60, 60)]]))],
            alley_id=["A", "B"], grid_id=[1, 2], length_m=[120.0, 60.0], lit_m=list(lit.values()),
            share_lit=[lit["A"] / 120, 0.5], dark_rank=[1, 2],
        ),
        "stretches": _stretches(),
    }  # fmt: skip


def _light_shares() -> Any:
    """H3 has A from 25 to 61 and the first 5 m of B, H7 what follows on A; H5 and H6 part at 54 on B."""
    ways = _ways().set_index("household_id")
    share, twice = ways["lit_m"] / ways["way_m"], np.array([1, 2])
    return _table(
        "light_shares", None, by=["grid", "grid", "grid", "group", "group"],
        id=["1", "2", "3", "一组", "二组"], households=[3, 5, 4, 4, 3],
        alley_m=[66.0, 55.0, 59.0, 72.0, 49.0], lit_m=[30.0, 30.0, C1_M, 30.0, 30.0],
        share_lit=[30 / 66, 30 / 55, C1_M / 59, 30 / 72, 30 / 49],
        way_lit_mean=[
            share[["H1", "H2", "H3"]].mean(),
            share[["H4", "H5", "H5", "H6"]].mean(),
            share[["H7", "H8", "H8", "H9"]].mean(),
            share[["H1", "H2", "H3", "H6"]].mean(),
            share[["H4", "H5"]] @ twice / 3,
        ],
    )  # fmt: skip


def _light_figures() -> dict[str, Any]:
    """Lit doors: H1 to H4 and H7, today H1 to H3; a tenth of 11 households with a way: H9 and 0.1 of H8."""
    each = ["H1", "H2", "H3", "H4", "H5", "H5", "H6", "H7", "H8", "H8", "H9"]
    ways = _ways().set_index("household_id").loc[each]
    share = ways["lit_m"] / ways["way_m"]
    before_m = np.clip(ways["way_m"] - 5, 0, 30)
    before_worst = (30 / 118 + 0.1 * 30 / 110) / 1.1  # H6 and a tenth of a household as far as H5
    return {
        "order_short": 0.0, "order_short_least": 0.0, "share_alleys_with_lamp": 1.0,
        "share_doors_lit": 5 / 12, "dark_run_m": C1_FROM_M - 35, "dark_run_alley_id": "A",
        "dark_run_from_m": 35.0, "way_lit_mean": share.mean(),
        "way_lit_worst_tenth": (share["H9"] + 0.1 * share["H8"].iloc[0]) / 1.1,
        "way_lit_elderly": None, "way_lit_mean_before": (before_m / ways["way_m"]).mean(),
        "way_lit_worst_tenth_before": before_worst, "share_doors_lit_before": 3 / 12,
    }  # fmt: skip


def _ways() -> pd.DataFrame:
    return pd.DataFrame(
        [  # grid, walk to the meeting door, walk to the board, way from the entrance, lit of it
            ("H1", 1, 16, 55, 10, 5), ("H10", 2, None, None, None, None), ("H2", 1, 0, 45, 20, 15),
            ("H3", 1, 16, 35, 30, 25), ("H4", 2, 16, 45, 100, 55), ("H5", 2, 0, 55, 110, 60),
            ("H6", 2, 14, 63, 118, 60), ("H7", 3, 14, 37, 92, 30 + 92 - C1_FROM_M),
            ("H8", 3, 0, 45, 100, 30 + SHADOW_FROM_M - C1_FROM_M), ("H9", 3, 16, 55, 110, 30 + C1_M),
        ],
        columns=["household_id", "grid_id", "walk_to_meeting_m", "walk_to_board_m", "way_m", "lit_m"],
    )  # fmt: skip


def _households() -> GeoDataFrame:
    rows, site = _ways(), _site().layers["households"]
    return _table(
        "households",
        site.geometry,
        part=[0] * 10,
        board_id=["B1" if each > 0 else None for each in rows["walk_to_board_m"]],
        share_way_lit=rows["lit_m"] / rows["way_m"],
        **{name: site[name] for name in ("households", "group", "residents", "elderly")},
        **{name: rows[name] for name in ("household_id", "grid_id", "walk_to_meeting_m", "walk_to_board_m")},
    )


def _stretches() -> GeoDataFrame:
    cuts = {"A": [0, 5, 35, C1_FROM_M, SHADOW_FROM_M, SHADOW_TO_M, C1_TO_M, 120], "B": [0, 15, 45, 60]}
    rows = [(alley, a, b, k % 2) for alley, at in cuts.items() for k, (a, b) in enumerate(pairwise(at))]
    drawn = [LineString([(a, 0), (b, 0)] if alley == "A" else [(60, a), (60, b)]) for alley, a, b, _ in rows]
    return _table(
        "stretches", [_at(each) for each in drawn], alley_id=[each[0] for each in rows],
        from_m=[float(each[1]) for each in rows], length_m=[float(each[2] - each[1]) for each in rows],
        lit=[bool(each[3]) for each in rows], n_lamps=[each[3] for each in rows],
    )  # fmt: skip


def _summary(least: int) -> dict[str, Any]:
    settings = _settings(least).to_dict()
    settings["work"].pop("threads")
    about = {"crs": "EPSG:4548", "seed": 1, "versions": {}, "inputs": [], "kept": None, "settings": settings}
    named = json.dumps([about, ["grids", "lamps", "boards"]], sort_keys=True).encode()
    short = _told("grid-infeasible", "households", "households", ["H1", "H2", "H3"])
    lit_m, lightable_m = 60 + C1_M, 75 + C1_M
    return {
        "community": {"folder": "drawn"},
        "plan_id": hashlib.sha256(named).hexdigest()[:12],
        **about,
        "notes": [_told("group-not-kept", "households", "group", ["二组"])],
        "doubts": [_told("household-far", "households", "", ["H10"])],
        "faults": [short] if least > 3 else [],
        "grids": {
            "n": 3, "n_exclusive": 0, "min": 3, "mean": 4.0, "max": 5,
            "feasible_share": 2 / 3 if least > 3 else 1.0, "contiguous_share": 1.0, "objective_m": 84.0,
            "walk_mean_m": 92 / 11, "walk_max_m": 16.0, "meeting_walk_m": 64.0, "n_without_party": 2,
            "n_under_3_party": 3, "group_cost_m": 20.0, "bound_m": 80.0, "gap": 0.05,
            "bound_by": "hand", "groups_split": 0 if least > 3 else 1, "mixing_share": 1 / 3,
            "outside_share": 2 / 12, "groups_walk_m": 0.0, "n_plain": 3, "objective_plain_m": 84.0,
            "parts": [
                {"part": 1, "households": 12, "k": 3, "state": "infeasible" if least > 3 else "feasible"}
            ],
        },
        "lamps": {
            "n_chosen": 2, "n_existing": 1, "alley_m": 180.0, "already_lit_m": 0.0,
            "lightable_m": lightable_m, "lit_m": lit_m, "lit_before_m": 30.0, "share_lit": lit_m / 180,
            "share_of_lightable": lit_m / lightable_m, "bound_m": lit_m, "gap": 0.0, "bound_by": "hand",
            "model": "reach", "weight": "plain", "worth": lit_m, "worth_lightable": lightable_m,
            "bound_worth": lit_m, **_light_figures(),
        },
        "boards": {
            "n_chosen": 1, "households_served": 10, "share_served": 10 / 12, "total_walk_m": 535.0,
            "walk_mean_m": 535 / 11, "walk_max_m": 63.0, "bound_household_m": 535.0, "gap": 0.0,
            "bound_by": "hand", "bound_served": 10, "n_lit_at_night": 0,
        },
        "facilities": None,
    }  # fmt: skip


def _told(code: str, layer_name: str, column: str, ids: list[str]) -> dict[str, Any]:
    where = {"layer": layer_name, "column": column, "n": len(ids), "ids": ids}
    return {"code": code, "message": "", "remedy": "", **where}
