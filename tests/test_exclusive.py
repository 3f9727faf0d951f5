"""Exclusive grids: their ground, who lives there, what is left for the others, and the audit of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx
from shapely.geometry import Point, Polygon, box
from shapely.geometry.base import BaseGeometry

from spatial.audit import audit_plan
from spatial.errors import DataError
from spatial.grids import GridPlan, plan_grids
from spatial.grids.exclusive import Exclusive, carve, exclusive_places
from spatial.load import Site
from spatial.maps.view import public_view
from spatial.network import build_network
from spatial.plan import Plan, make_plan, write_plan
from spatial.schema import PLAN_LAYERS
from tests.drawn import CRS, layer
from tests.tampering import move_rows, set_cell
from tests.test_grids import small, village

#   y                 Eight houses on an alley of 80 m, a school with a yard in the middle: two of them
#  15 ┌───────┐       live on its ground. S is a lane that leads into the yard.
#     │   S   │
# H0 H1 │H2 H3│ H4 H5 H6 H7
# ══════╪══S══╪═════════════ A
DOORS = [
    (5.0, 3.0),
    (14.0, 3.0),
    (26.0, 3.0),
    (34.0, 3.0),
    (46.0, 3.0),
    (54.0, 3.0),
    (66.0, 3.0),
    (75.0, 3.0),
]
YARD = box(20, 1, 40, 15)
ALLEYS = {"A": [(0.0, 0.0), (80.0, 0.0)], "S": [(30.0, 0.0), (30.0, 14.0)]}
GROUND = box(-10, -10, 90, 20)


def with_places(site: Site, *shapes: BaseGeometry, **columns: Any) -> Site:
    n = len(shapes)
    columns = {"kind": ["school"] * n, "name": ["山南小学"] * n, "exclusive": [True] * n} | columns
    places = layer("places", shapes, place_id=[f"P{at}" for at in range(n)], **columns)
    return replace(site, layers={**site.layers, "places": places})


def street(*shapes: BaseGeometry, **columns: Any) -> Site:
    people = {"residents": [3] * 8, "party_members": [1, 0, 1, 0, 0, 0, 0, 2]}
    site = village(DOORS, alleys=ALLEYS, ground=GROUND, group=["甲"] * 3 + ["乙"] * 5, **people)
    return with_places(site, *shapes, **columns)


def planned(site: Site, *more: str) -> GridPlan:
    return plan_grids(site, build_network(site, small(*more)), small(*more))


def codes(plan: GridPlan | Exclusive) -> set[str]:
    return {each.code for each in plan.remarks}


def test_a_school_is_a_grid_of_its_own_and_the_others_reach_past_it() -> None:
    plan = planned(street(YARD), "grids.min_households=3")
    assert plan.grids["kind"].tolist() == ["ordinary", "ordinary", "exclusive"]
    school = plan.grids.iloc[2]
    assert (school["grid_id"], school["code"], school["name"]) == (3, "03", "专属网格·山南小学")
    assert (school["households"], school["residents"], school["party_members"]) == (2, 6, 1)
    assert (school["groups"], school["main_group"], school["leader_role"]) == ("乙、甲", "乙", "专属网格长")
    empty = ["branch_id", "worker_id", "walk_mean_m", "walk_max_m", "meeting_household_id", "fault"]
    assert school[empty].isna().all()
    assert school["geometry"].symmetric_difference(YARD).area < 0.01
    lives = plan.households.set_index("household_id")
    assert lives.index[lives["grid_id"] == 3].tolist() == ["H2", "H3"]
    # three and three of the six that are left: H1 and H4 touch across the yard
    assert lives.loc[["H0", "H1", "H4"], "grid_id"].tolist() == [1, 1, 1]
    assert lives.loc[["H2", "H3"], "walk_to_meeting_m"].isna().all()
    expected = {"n": 2, "n_exclusive": 1, "min": 3, "max": 3, "contiguous_share": 1.0, "feasible_share": 1.0}
    assert {name: plan.figures[name] for name in expected} == expected
    assert plan.figures["parts"][0]["households"] == 6
    assert "exclusive-grids" in codes(plan)


def test_the_areas_still_tile_the_boundary_with_every_door_at_home() -> None:
    plan = planned(street(YARD))
    areas = plan.grids.geometry.to_numpy()
    assert shapely.coverage_is_valid(areas)
    assert shapely.union_all(areas).symmetric_difference(GROUND).area < 0.01
    own = areas[plan.households["grid_id"] - 1]
    assert shapely.dwithin(own, plan.households.geometry.to_numpy(), 0.002).all()


def test_without_exclusive_places_nothing_is_changed() -> None:
    plan = planned(street(YARD, exclusive=[None]))
    assert plan.grids["kind"].unique().tolist() == ["ordinary"]
    assert plan.figures["n_exclusive"] == 0
    assert plan.figures["n"] == 3
    assert not {each for each in codes(plan) if each.startswith("exclusive")}


def test_a_point_has_the_building_it_stands_in_and_who_lives_in_that_building() -> None:
    house = box(24, 3, 36, 9)
    site = village(
        DOORS, alleys=ALLEYS, ground=GROUND, buildings=[house], building_id=[None] * 4 + ["B0"] + [None] * 3
    )
    found = exclusive_places(with_places(site, Point(30, 2.6)))
    assert found.places.geometry.iloc[0].equals(shapely.multipolygons([house]))
    assert found.home.tolist() == [
        -1,
        -1,
        0,
        0,
        0,
        -1,
        -1,
        -1,
    ]  # H2 and H3 at its wall, H4 by its building_id


@pytest.mark.parametrize(("at", "radius_m"), [((40, 15), 6.708), ((54, 3.5), 1.0), ((85, 18), 9.014)])
def test_a_point_in_no_building_has_a_disc_of_half_the_way_to_the_nearest_household(
    at: tuple[float, float], radius_m: float
) -> None:
    found = exclusive_places(street(Point(at)))
    ground = shapely.buffer(Point(at), radius_m).intersection(GROUND)
    assert found.places.geometry.iloc[0].area == approx(ground.area, rel=1e-3)
    assert "exclusive-disc" in codes(found)


def test_the_first_has_the_ground_that_two_claim_and_one_without_ground_is_no_grid() -> None:
    outside = box(200, 0, 210, 10)
    found = exclusive_places(street(YARD, box(30, 1, 50, 15), box(22, 2, 28, 8), outside))
    assert sorted(found.places["place_id"]) == ["P0", "P1"]
    assert found.places.set_index("place_id").geometry.area.round(2).to_dict() == {"P0": 280.0, "P1": 140.0}
    of_place = [found.places["place_id"].iloc[each] if each >= 0 else "" for each in found.home]
    assert of_place == ["", "", "P0", "P0", "P1", "", "", ""]
    (told,) = [each for each in found.remarks if each.code == "exclusive-groundless"]
    assert told.ids == ("P2", "P3")


def test_a_place_without_a_name_is_called_by_its_kind() -> None:
    plan = planned(street(YARD, name=[None]))
    assert plan.grids["name"].iloc[2] == "专属网格·学校"


def test_nobody_left_is_refused() -> None:
    with pytest.raises(DataError, match="every household lives in an exclusive place"):
        planned(street(GROUND))


def test_a_lane_inside_is_kept_by_the_school_and_the_street_past_it_is_not() -> None:
    alleys = make_plan(street(YARD), small(), only=("grids",)).layers["alleys"].set_index("alley_id")
    assert alleys.loc["S", "grid_id"] == 3
    assert alleys.loc["A", "grid_id"] in (1, 2)


def ground_of(*shapes: BaseGeometry) -> Exclusive:
    places = gpd.GeoDataFrame(geometry=[shapely.multipolygons([each]) for each in shapes], crs=CRS)
    return Exclusive(places, np.empty(0, np.int64), ())


def test_ground_cut_off_from_its_doors_joins_the_neighbour_it_shares_most_with() -> None:
    areas = np.array([shapely.MultiPolygon([box(0, 0, 50, 20)]), shapely.MultiPolygon([box(50, 0, 90, 20)])])
    doors = shapely.points([(5, 10), (70, 10)])
    left, (school,) = carve(areas, doors, np.array([0, 1]), ground_of(box(20, 0, 40, 20)))
    assert school.area == 400
    assert [each.bounds for each in left] == [(0, 0, 20, 20), (40, 0, 90, 20)]
    assert [len(each.geoms) for each in left] == [1, 1]


boxes = st.tuples(*[st.integers(0, 80)] * 2, st.integers(3, 30), st.integers(3, 30))


@settings(deadline=None, max_examples=40)
@given(st.lists(boxes, min_size=1, max_size=3), st.integers(1, 6))
def test_carving_keeps_the_tiling_and_leaves_no_grid_without_area(
    grounds: list[tuple[int, int, int, int]], n: int
) -> None:
    whole, rest = box(0, 0, 90, 60), box(0, 0, 90, 60)
    strips = [box(90 * at / n, 0, 90 * (at + 1) / n, 60) for at in range(n)]
    shapes = []
    for x, y, width, height in grounds:
        own = shapely.intersection(box(x, y, x + width, y + height), rest)
        rest = shapely.difference(rest, own)
        shapes += [each for each in shapely.get_parts(own) if isinstance(each, Polygon)]
    # a door in each strip that keeps clear of the grounds, where there is room
    free = [shapely.difference(each, shapely.union_all(shapely.buffer(shapes, 0.5))) for each in strips]
    with_room = [at for at, each in enumerate(free) if not each.is_empty]
    doors = shapely.point_on_surface(np.array([free[at] for at in with_room], dtype=object))
    areas = np.array([shapely.multipolygons([each]) for each in strips], dtype=object)
    left, carved = carve(areas, doors, np.array(with_room, np.int64), ground_of(*shapes))
    both = np.concatenate([left, carved])
    assert shapely.coverage_is_valid(both[~shapely.is_empty(both)])
    assert shapely.union_all(both).symmetric_difference(whole).area < 1e-3
    assert shapely.area(carved) == approx(shapely.area(shapes))
    assert shapely.dwithin(left[with_room], doors, 0.002).all()


# --- what pages show


def test_the_residents_page_names_it_and_tells_no_small_count() -> None:
    plan = make_plan(street(YARD, name=["<b>{{7*7}}</b>"]), small(), only=("grids",))
    view = public_view(plan)
    assert [each["exclusive"] for each in view["grids"]] == [None, None, "<b>{{7*7}}</b>"]
    assert view["grids"][2]["households"] is None
    assert view["grids"][2]["meeting"] is None
    assert [bool(each["hatch"]) for each in view["grids"]] == [False, False, True]
    assert (view["figures"]["n_grids"], view["figures"]["n_exclusive"]) == (2, 1)


# --- the audit


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    plan = make_plan(street(YARD, Point(85, 18)), small(), only=("grids",))
    folder = tmp_path_factory.mktemp("exclusive")
    write_plan(plan, folder)
    return plan, folder


@pytest.fixture
def copy(written: tuple[Plan, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(written[1], tmp_path / "plan"))


def places_found(folder: Path) -> set[str]:
    return {f"{each.layer}.{each.column}" for each in audit_plan(folder)}


def test_the_recount_agrees(written: tuple[Plan, Path]) -> None:
    plan, folder = written
    assert audit_plan(folder) == ()
    assert list(plan.layers["grids"].columns[:-1]) == [each.name for each in PLAN_LAYERS["grids"].columns]
    assert plan.layers["grids"]["kind"].tolist() == ["ordinary"] * 2 + ["exclusive"] * 2


@pytest.mark.parametrize(
    ("table", "column", "value", "where", "at"),
    [
        ("grids", "kind", "ordinary", "grid_id = 4", "grids.kind"),
        ("grids", "kind", "exclusive", "grid_id = 1", "grids.kind"),
        ("grids", "name", "第04网格", "name = '专属网格·山南小学' AND households = 2", "grids.name"),
        ("grids", "code", "9", "grid_id = 4", "grids.code"),
        ("grids", "households", 3, "kind = 'exclusive' AND households = 2", "grids.households"),
        ("grids", "residents", 3, "kind = 'exclusive' AND households = 2", "grids.residents"),
        ("grids", "main_group", "甲", "kind = 'exclusive' AND households = 2", "grids.main_group"),
        ("grids", "leader_role", "网格长", "grid_id = 4", "grids.leader_role"),
        ("grids", "branch_id", 1, "grid_id = 4", "grids.branch_id"),
        ("households", "grid_id", 1, "household_id = 'H2'", "households.grid_id"),
        ("households", "residents", 1, "household_id = 'H2'", "households.residents"),
        ("households", "walk_to_meeting_m", 1.0, "household_id = 'H2'", "households.part"),
        ("households", "grid_id", 4, "household_id = 'H0'", "households.grid_id"),
        ("alleys", "grid_id", 1, "alley_id = 'S'", "alleys.grid_id"),
        ("alleys", "grid_id", 4, "alley_id = 'A'", "alleys.grid_id"),
    ],
)  # fmt: skip
def test_one_changed_cell_is_named(
    copy: Path, table: str, column: str, value: object, where: str, at: str
) -> None:
    set_cell(copy, table, column, value, where)
    assert at in places_found(copy)


def test_a_moved_ground_is_named(copy: Path) -> None:
    move_rows(copy, "grids", lambda shapes: shapes.translate(yoff=0.5))
    assert "grids.geometry" in places_found(copy)
