"""Zones and groups inside large buildings: the order of dwellings, even stretches, and the audit of both."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook
from shapely.geometry import box

from spatial.audit import audit_plan
from spatial.audit.zones import least_squares, storey
from spatial.errors import DataError
from spatial.grids.zones import even_stretches, place_in_order
from spatial.load import Site
from spatial.maps import residents_page
from spatial.plan import Plan, make_plan, write_plan
from spatial.report import write_tables
from spatial.settings import Settings, read_settings
from tests.tampering import set_cell
from tests.test_grids import small, village

# --- the order


@pytest.mark.parametrize(
    "floors",
    [
        ["B2", "B1", "1F", "2F", "10F", "夹层", None],
        ["-2", "-1层", "1", "3", "12"],
        ["地下二层", "地下一层", "一层", "九层", "十层", "十一层", "二十层", "二十一层"],
        ["负一楼", "1楼", "2楼"],
    ],
)
def test_floors_follow_each_other_from_below(floors: list[str | None]) -> None:
    mixed = [*floors[1::2], *floors[::2]]
    assert sorted(mixed, key=lambda each: place_in_order(each, is_floor=True)) == floors
    assert sorted(mixed, key=storey) == floors


def test_units_follow_each_other_by_number_then_by_name() -> None:
    units = ["1单元", "2单元", "十单元", "11单元", "A座", "B座", None]
    assert sorted([*units[1::2], *units[::2]], key=place_in_order) == units


# --- even stretches


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 9))
def test_stretches_are_as_even_as_trying_all_finds(sizes: list[int], n: int) -> None:
    n = min(n, len(sizes))
    number = even_stretches(np.array(sizes), n)
    assert (np.diff(number) >= 0).all()
    assert np.unique(number).tolist() == list(range(n))
    found = int((np.bincount(number, sizes) ** 2).sum())
    ways = itertools.combinations(range(1, len(sizes)), n - 1)
    best = min(
        sum(sum(sizes[a:b]) ** 2 for a, b in itertools.pairwise((0, *cuts, len(sizes)))) for cuts in ways
    )
    assert found == best == least_squares(tuple(sizes), n)


# --- a building

#: Three units of 4 floors with 1 to 3 dwellings each, 24 households; the limits are 2 to 4 a grid.
FLOORS = [(unit, floor, 1 + (unit + floor) % 3) for unit in (1, 2, 3) for floor in (1, 2, 3, 4)]


def block() -> Site:
    """Six houses on an alley and a block of flats, one row per floor, listed from the top."""
    rows = FLOORS[::-1]
    doors = [(5.0 + 10 * at, 1.0) for at in range(6)] + [(40.0, 6.0)] * len(rows)
    site = village(
        doors,
        households=[1] * 6 + [n for _, _, n in rows],
        residents=[2] * 6 + [2 * n for _, _, n in rows],
        building_id=[None] * 6 + ["B0"] * len(rows),
        unit=[None] * 6 + [f"{unit}单元" for unit, _, _ in rows],
        floor=[None] * 6 + [f"{floor}层" for _, floor, _ in rows],
        buildings=[box(30, 6, 50, 16)],
    )
    ids = [f"H{row:02}" for row in range(len(doors))]
    households = site.layers["households"].assign(household_id=ids)
    return replace(site, layers={**site.layers, "households": households})


def chosen(*more: str) -> Settings:
    return small("grids.n_zones=2", "grids.n_zone_groups=5", *more)


def planned(site: Site, *more: str) -> Plan:
    return make_plan(site, chosen(*more), only=("grids",))


def test_a_block_is_divided_by_unit_and_floor() -> None:
    zones = planned(block()).layers["zones"]
    # by floor from below: 3 1 2 3 | 1 2 3 1 | 2 3 1 2; 12 and 12 households, then groups of 3 and 2
    both = zones[["zone", "zone_group", "households"]].to_numpy().tolist()
    assert both == [[1, 1, 4], [1, 2, 5], [1, 3, 3], [2, 1, 6], [2, 2, 6]]
    assert zones["name"].tolist() == ["1区1组", "1区2组", "1区3组", "2区1组", "2区2组"]
    assert zones["name_en"].iloc[3] == "Zone 2 Group 1"
    ends = zones[["from_unit", "from_floor", "to_unit", "to_floor"]].to_numpy().tolist()
    assert ends[0] == ["1单元", "1层", "1单元", "2层"]
    assert ends[1] == ["1单元", "3层", "1单元", "4层"]
    assert ends[4] == ["3单元", "2层", "3单元", "4层"]
    assert zones["residents"].tolist() == [8, 10, 6, 12, 12]


def test_each_household_knows_its_zone_and_houses_have_none() -> None:
    households = planned(block()).layers["households"]
    assert households["zone"].notna().sum() == len(FLOORS)
    sums = households.groupby(["zone", "zone_group"])["households"].sum()
    assert sums.tolist() == [4, 5, 3, 6, 6]


@pytest.mark.parametrize("more", ["grids.zone_buildings=off", "grids.max_households=13"])
def test_off_or_a_small_building_has_no_zones(more: str) -> None:
    plan = planned(block(), more)
    assert plan.layers["zones"].empty
    assert plan.layers["households"]["zone"].isna().all()


def test_without_units_and_floors_it_is_told_and_left() -> None:
    site = block()
    households = site.layers["households"].assign(unit=None, floor=None)
    site = replace(site, layers={**site.layers, "households": households})
    plan = planned(site)
    assert plan.layers["zones"].empty
    (told,) = [each for each in plan.summary["notes"] if each["code"] == "zones-unclear"]
    assert told["ids"] == ["B0"]
    named = planned(site, 'grids.zone_buildings=["B0"]')  # asked for by name: in the order of ids
    assert named.layers["zones"]["households"].sum() == sum(n for _, _, n in FLOORS)


def test_a_row_above_the_maximum_is_divided_by_its_parts() -> None:
    site = village([(5, 1), (15, 1)], households=[2, 12], building_id=[None, "T"], unit=[None, "1至4单元"])
    zones = planned(site).layers["zones"]
    assert zones["households"].sum() == 12
    assert zones["zone_group"].tolist() == [1, 2, 1, 2]  # four parts of 3: no more groups than parts
    assert zones["households"].tolist() == [3, 3, 3, 3]


def test_a_building_that_nobody_lives_in_is_refused() -> None:
    with pytest.raises(DataError, match="zone_buildings names X9"):
        planned(block(), 'grids.zone_buildings=["X9"]')


def test_fewer_groups_than_zones_are_refused() -> None:
    with pytest.raises(DataError, match="n_zone_groups 1 is less than n_zones 2"):
        read_settings(overrides=["grids.n_zone_groups=1"])


def test_a_place_of_300_households_has_two_zones_and_twelve_even_groups() -> None:
    floors = [(unit, floor) for unit in range(1, 5) for floor in range(1, 26)]
    n = len(floors)
    site = village(
        [(30.0, 2.0)] * n,
        households=[3] * n,
        building_id=["T"] * n,
        unit=[f"{unit}单元" for unit, _ in floors],
        floor=[str(floor) for _, floor in floors],
    )
    zones = make_plan(site, read_settings(), only=("grids",)).layers["zones"]
    assert zones.groupby("zone")["households"].sum().tolist() == [150, 150]
    assert sorted(zones["households"].tolist()) == [24] * 8 + [27] * 4


# --- tables, pages, audit


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    plan, folder = planned(block()), tmp_path_factory.mktemp("zones")
    write_plan(plan, folder)
    write_tables(plan, folder / "tables.xlsx")
    return plan, folder


def test_the_office_has_a_sheet_and_residents_see_nothing(written: tuple[Plan, Path]) -> None:
    plan, folder = written
    sheet = CalamineWorkbook.from_path(folder / "tables.xlsx").get_sheet_by_name("楼栋分区表").to_python()
    assert sheet[0][:4] == ["楼栋编号", "区", "组", "名称"]
    assert [row[3] for row in sheet[2:]] == ["1区1组", "1区2组", "1区3组", "2区1组", "2区2组"]
    assert "单元" not in residents_page(plan)
    assert "1区1组" not in residents_page(plan)


def test_the_recount_agrees(written: tuple[Plan, Path]) -> None:
    assert audit_plan(written[1]) == ()


FLOOR_2_1 = "household_id = (SELECT household_id FROM households WHERE zone = 1 AND zone_group = 3 LIMIT 1)"


@pytest.mark.parametrize(
    ("table", "column", "value", "where", "at"),
    [
        ("zones", "households", 5, "name = '1区1组'", "zones.households"),
        ("zones", "residents", 5, "name = '1区1组'", "zones.residents"),
        ("zones", "to_floor", "3层", "name = '1区1组'", "zones.to_floor"),
        ("zones", "from_unit", "2单元", "name = '1区1组'", "zones.from_unit"),
        ("zones", "name", "一组", "name = '1区1组'", "zones.name"),
        ("zones", "zone_group", 9, "name = '1区1组'", "zones.zone_group"),
        ("households", "zone", 1, "household_id = 'H00'", "households.zone"),
        ("households", "zone_group", 1, FLOOR_2_1, "zones.zone_group"),
        ("households", "zone_group", 2, FLOOR_2_1, "zones.zone_group"),
        ("households", "zone", 2, FLOOR_2_1, "zones.zone_group"),
    ],
)
def test_one_changed_cell_is_named(
    written: tuple[Plan, Path], tmp_path: Path, table: str, column: str, value: object, where: str, at: str
) -> None:
    copy = Path(shutil.copytree(written[1], tmp_path / "plan"))
    set_cell(copy, table, column, value, where)
    assert at in {f"{each.layer}.{each.column}" for each in audit_plan(copy)}
