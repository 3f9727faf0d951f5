"""Any facility from settings alone: day-care with room and minutes, rubbish points along the alleys."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx
from shapely.geometry import LineString, Point, box

from spatial.audit import recount
from spatial.audit.walk_bound import Choosing, least_walk_with_room, most_served_with_room
from spatial.errors import DataError
from spatial.load import Site
from spatial.load.site import Elevation
from spatial.network import build_network, minutes_per_m
from spatial.plan import Plan, make_plan, write_plan
from spatial.settings import read_settings
from tests.drawn import layer
from tests.tampering import set_cell
from tests.test_siting import place

CARE = (
    "facility.care.candidates=vacant_buildings",
    "facility.care.demand=elderly",
    "facility.care.capacity=capacity",
)


def row(*, elevation: Elevation | None = None, **more: Any) -> Site:
    """Ten doors every 50 m along a street of 500 m, two elderly people each; empty houses at 100 and 300."""
    layers = {
        "alleys": layer("alleys", [LineString([(0, 0), (500, 0)])], alley_id=["A"], kind=["road"]),
        "households": layer(
            "households", [Point(50 * j, 0) for j in range(1, 11)],
            household_id=[f"H{j:02d}" for j in range(1, 11)], households=[1] * 10, elderly=[2] * 10,
        ),
        "vacant_buildings": layer(
            "vacant_buildings", [box(95, 2, 105, 8), box(295, 2, 305, 8)], building_id=["V1", "V2"],
            capacity=[10, 6],
        ),
    }  # fmt: skip
    site = place(**{**layers, **more})
    return Site(site.community, site.crs, site.layers, elevation, (), ())


def planned(site: Site, *overrides: str) -> Plan:
    return make_plan(site, read_settings(overrides=overrides), only=("facilities",))


def hill(slope: float) -> Elevation:
    """A plane that rises to the east, in cells of 10 m."""
    west_m = np.arange(-60, 60) * 10.0 + 5.0
    values = np.tile((west_m * slope).astype(np.float32), (100, 1))
    return Elevation(values, (10.0, 0.0, -600.0, 0.0, -10.0, 500.0))


def test_day_care_with_room_for_so_many(tmp_path: Path) -> None:
    #  V1 has room for 5 rows, V2 for 3: the 8 of 10 rows within 200 m that walk least
    plan = planned(row(), *CARE, "facility.care.n=2", "facility.care.walk_m=203")
    care = plan.summary["facilities"]["care"]
    assert (care["demand"], care["served"], care["bound_served"]) == (20, 16, 16)
    assert plan.layers["facilities"].set_index("site_id")["served"].to_dict() == {"V1": 10, "V2": 6}
    assert plan.layers["facility_walks"]["site_id"].isna().sum() == 2
    assert care["gap"] == 0
    (told,) = [each for each in plan.summary["doubts"] if each["code"] == "facility-far"]
    assert "4 of 20 elderly" in told["message"]
    write_plan(plan, tmp_path)
    assert recount(tmp_path).faults == ()


def test_one_house_is_not_enough_for_two() -> None:
    plan = planned(row(), *CARE, "facility.care.n=1", "facility.care.walk_m=203")
    assert plan.layers["facilities"]["site_id"].tolist() == ["V1"]
    assert plan.summary["facilities"]["care"]["served"] == 10


def test_a_row_that_no_site_has_room_for_is_named() -> None:
    site = row()
    site.layers["households"].loc[0, "elderly"] = 11  # V1 has room for 10
    plan = planned(site, *CARE, "facility.care.n=2", "facility.care.walk_m=203")
    (told,) = [each for each in plan.summary["doubts"] if each["code"] == "facility-room"]
    assert told["ids"] == [site.layers["households"]["household_id"][0]]
    assert (
        told["message"].startswith("1 rows ask for more than the roomiest site") and "10" in told["message"]
    )


def test_rubbish_points_are_made_along_the_alleys(tmp_path: Path) -> None:
    plan = planned(
        row(), "facility.rubbish.candidates=alleys", "facility.rubbish.n=3", "facility.rubbish.walk_m=75",
        "sites.spacing_m=25",
    )  # fmt: skip
    rubbish = plan.summary["facilities"]["rubbish"]
    assert (rubbish["served"], rubbish["gap"], rubbish["unit"]) == (10, 0, "m")
    assert rubbish["total_walk"] == approx(400)  # four doors cost 75 + 25 + 25 + 75, three 50 + 0 + 50
    write_plan(plan, tmp_path)
    audit = recount(tmp_path)
    assert audit.faults == ()
    assert audit.bounds["facilities"]["rubbish.bound_served"] == 10
    arrays = dict(plan.bounds)
    kept = arrays["facilities_made_x"] < 300  # without those in the east nothing is proved of all
    arrays |= {key: each[kept] for key, each in arrays.items() if "_made_" in key}
    np.savez_compressed(tmp_path / "bounds.npz", **arrays)
    assert recount(tmp_path).bounds["facilities"]["rubbish.bound_served"] is None


@pytest.mark.parametrize("slope", [0.0, 0.1, -0.1])
def test_slopes_take_time(slope: float) -> None:
    network = build_network(row(), read_settings())
    up, down = (6000 / 60 * math.exp(-3.5 * abs(way + 0.05)) for way in (slope, -slope))
    assert minutes_per_m(network, hill(slope)) == approx((1 / up + 1 / down) / 2, rel=1e-4)


def test_steps_are_slow_and_what_lies_beyond_the_raster_is_flat() -> None:
    alleys = layer(
        "alleys", [LineString([(0, 0), (500, 0)]), LineString([(0, 0), (0, 50)])], alley_id=["A", "S"],
        kind=["road", "steps"],
    )  # fmt: skip
    network = build_network(row(alleys=alleys), read_settings())
    pace = minutes_per_m(network, None)
    assert sorted(pace) == approx([60 / (6000 * math.exp(-0.175)), 0.03])
    far = Elevation(hill(0.1).values, (10.0, 0.0, 9000.0, 0.0, -10.0, 500.0))
    assert minutes_per_m(network, far) == approx(pace)


@pytest.mark.parametrize("slope", [0.0, 0.12])
def test_who_is_beyond_some_minutes(tmp_path: Path, slope: float) -> None:
    plan = planned(
        row(elevation=hill(slope)), *CARE[:2], "facility.care.n=1", "facility.care.walk_min=2.5",
        "facility.care.goal=most-served",
    )  # fmt: skip
    care, per_m = plan.summary["facilities"]["care"], 60 / (6000 * math.exp(-0.175))
    assert care["unit"] == "min"
    # 2.5 minutes are 210 m on the flat, 161 m at 12 %: from V2, doors 2 to 10, or 3 to 9
    assert care["served"] == (18 if slope == 0 else 14)
    if slope == 0:
        walk = plan.layers["facility_walks"].set_index("household_id")["walk_min"]
        assert walk["H06"] == approx(7 * per_m)  # 5 m along, 2 m to the wall
    write_plan(plan, tmp_path)
    assert recount(tmp_path).faults == ()


def test_more_demand_than_sites_reach_leaves_a_bound() -> None:
    plan = planned(row(), *CARE[:2], "facility.care.n=1", "facility.care.walk_m=60")
    care = plan.summary["facilities"]["care"]
    assert care["served"] == care["bound_served"] == 6
    assert care["walk_max"] is not None and care["walk_max"] > 60


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("facility.care.candidates=sheds", "no layer of sites"),
        ("facility.care.candidates=places", "missing or empty"),
        ("facility.care.demand=address", "no number of households"),
        ("facility.care.demand=party_members", "nobody needs it"),
        ("facility.care.capacity=beds", "no number column"),
        ("facility.care.n=3", "only 2 sites"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_name(override: str, words: str) -> None:
    with pytest.raises(DataError, match="facility 'care' can't be planned") as error:
        planned(row(), *CARE, override)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("table", "column", "value", "where", "at"),
    [
        ("facilities", "served", 9, "site_id = 'V1'", "facilities.served"),
        ("facilities", "capacity", 11, "site_id = 'V1'", "facilities.capacity"),
        ("facilities", "site_id", "V9", "site_id = 'V1'", "facilities.site_id"),
        ("facilities", "alley_id", "B", "site_id = 'V1'", "facilities.alley_id"),
        ("facility_walks", "walk_m", 1.0, "household_id = 'H01'", "facility_walks.walk_m"),
        ("facility_walks", "demand", 3.0, "household_id = 'H01'", "facility_walks.demand"),
        ("facility_walks", "site_id", "V2", "household_id = 'H01'", "facilities.served"),
    ],
)
def test_one_changed_cell_is_named(
    tmp_path: Path, table: str, column: str, value: Any, where: str, at: str
) -> None:
    write_plan(planned(row(), *CARE, "facility.care.n=2", "facility.care.walk_m=203"), tmp_path)
    set_cell(tmp_path, table, column, value, where)
    assert at in {f"{each.layer}.{each.column}" for each in recount(tmp_path).faults}


@pytest.mark.parametrize(
    ("overrides", "prices", "bound"),
    [
        ((*CARE, "facility.care.walk_m=203"), "walk", "bound_walk"),
        ((*CARE, "facility.care.walk_m=203"), "served", "bound_served"),
        ((*CARE[:2], "facility.care.walk_min=3"), "walk", "bound_walk"),
    ],
)
def test_a_bound_that_its_prices_do_not_prove_is_named(
    tmp_path: Path, overrides: tuple[str, ...], prices: str, bound: str
) -> None:
    plan = planned(row(), *overrides, "facility.care.n=1")
    assert plan.summary["facilities"]["care"]["bound_by"].startswith("Lagrangian")
    write_plan(plan, tmp_path)
    assert recount(tmp_path).faults == ()
    with np.load(tmp_path / "bounds.npz") as stored:
        arrays = dict(stored)
    arrays[f"facilities_{prices}"] *= 0.6
    np.savez_compressed(tmp_path / "bounds.npz", **arrays)
    told = {(each.code, f"{each.layer}.{each.column}") for each in recount(tmp_path).faults}
    assert told == {("bound-unproven", f"summary.facilities.care.{bound}")}


@given(seed=st.integers(0, 10_000), whole=st.booleans())
@settings(max_examples=50, deadline=None)
def test_any_prices_prove_no_more_than_the_best_choice_with_room(seed: int, whole: bool) -> None:
    """Three sites, two of them open; every row to one of them or to none."""
    random = np.random.default_rng(seed)
    weight = random.integers(1, 4, 5).astype(float) if whole else 3 * random.random(5) + 0.1
    walk, room = 10 * random.random((3, 5)), random.integers(1, 8, 3).astype(float)
    walk[random.random((3, 5)) < 0.2] = np.inf
    most, least = 0.0, np.inf
    for at in product(range(-1, 3), repeat=5):
        used = np.bincount(np.array(at) + 1, weight, minlength=4)[1:]
        paths = [walk[site, j] for j, site in enumerate(at) if site >= 0]
        if (used > room).any() or (used > 0).sum() > 2 or np.isinf(paths).any():
            continue
        served = float(used.sum())
        total = float(sum(weight[j] * walk[site, j] for j, site in enumerate(at) if site >= 0))
        if served > most + 1e-9:
            most, least = served, total
        elif served > most - 1e-9:
            least = min(least, total)
    no = np.zeros(3, dtype=bool)
    task = Choosing(walk, weight, limit=10.0, must=no, never=no, n=2, served=most)
    assert least_walk_with_room(task, room, 15 * random.random(5)) <= least + 1e-6
    assert most_served_with_room(task, room, random.random(5)) >= most - 1e-6
