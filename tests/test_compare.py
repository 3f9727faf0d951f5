"""Two plans of one community compared: by hand on the drawn plan, and as a command."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import permutations
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from spatial.compare import _moved, _partners, compare_plans, comparison_lines
from spatial.errors import DataError
from spatial.plan import Plan
from tests.drawn_plan import drawn_plan
from tests.tampering import change_summary, set_cell


def _with(plan: Plan, layer: str, **columns: Any) -> Plan:
    """The plan with some columns of a layer replaced."""
    return replace(plan, layers={**plan.layers, layer: plan.layers[layer].assign(**columns)})


def _without(plan: Plan, layer: str, row: int) -> Plan:
    rows = plan.layers[layer].drop(index=row).reset_index(drop=True)
    return replace(plan, layers={**plan.layers, layer: rows})


def _says(comparison: dict[str, Any], text: str) -> bool:
    return any(text in each for pair in comparison_lines(comparison) for each in pair)


# ── households and grids ─────────────────────────────────────────────────────────────────────────────


def test_a_plan_is_no_different_from_itself():
    found = compare_plans(drawn_plan(), drawn_plan())
    assert (found["households"]["n_both"], found["households"]["n_moved"]) == (6, 0)
    assert found["sites"] == found["settings"] == []
    for section in ("lamps", "boards"):
        assert found[section]["added"] == found[section]["dropped"] == []
    assert found["grids"]["renamed"] == found["grids"]["gone"] == found["grids"]["new"] == []


def test_grids_with_other_numbers_are_no_moves():
    numbers = {1: 7, 2: 1, 3: 2}
    later = drawn_plan()
    for layer in ("grids", "households"):
        later = _with(later, layer, grid_id=later.layers[layer]["grid_id"].map(numbers).astype("Int64"))
    found = compare_plans(drawn_plan(), later)
    assert found["households"]["n_moved"] == 0
    assert found["grids"]["renamed"] == [{"a": 1, "b": 7}, {"a": 2, "b": 1}, {"a": 3, "b": 2}]


def test_a_row_that_goes_to_a_neighbour_is_one_move_of_its_households():
    # rows 1-2 are in grid 1, 3-4 in grid 2, 5-6 in grid 3; the second row, 20 households, goes to grid 2
    later = _with(drawn_plan(), "households", grid_id=pd.array([1, 2, 2, 2, 3, 3], dtype="Int64"))
    found = compare_plans(drawn_plan(), later)["households"]
    assert (found["n_moved"], found["households_moved"], found["households_both"]) == (1, 20, 83)
    assert found["moved"] == [
        {
            "household_id": "CANARY-ID-2",
            "households": 20,
            "from_grids": [1],
            "became_grids": [1],
            "to_grids": [2],
        }
    ]


def test_a_grid_that_is_divided_keeps_its_larger_half():
    # grid 2 is rows 3 and 4, of 20 households each; row 4 becomes a grid of its own
    later = _with(drawn_plan(), "households", grid_id=pd.array([1, 1, 2, 4, 3, 3], dtype="Int64"))
    grids = pd.concat([later.layers["grids"], later.layers["grids"].iloc[[1]].assign(grid_id=4)])
    later = replace(later, layers={**later.layers, "grids": grids})
    found = compare_plans(drawn_plan(), later)
    assert (found["households"]["n_moved"], found["grids"]["new"]) == (1, [4])
    assert found["grids"]["partners"] == {"1": 1, "2": 2, "3": 3}  # of equal halves the one with the number


def test_new_and_gone_households_are_no_moves():
    found = compare_plans(_without(drawn_plan(), "households", 0), _without(drawn_plan(), "households", 5))
    told = found["households"]
    assert (told["n_both"], told["n_moved"], told["new"], told["gone"]) == (
        4, 0, ["CANARY-ID-1"], ["CANARY-ID-6"],
    )  # fmt: skip
    assert _says(found, "only in the first plan: 1; only in the second: 1")


def test_part_of_a_divided_row_moves():
    whole = drawn_plan().layers["households"]
    parts = pd.concat([whole, whole.iloc[[0]].assign(part=1, grid_id=2, households=8)], ignore_index=True)
    parts.loc[0, "households"] = 12
    told = _moved(whole, parts, {1: 1, 2: 2, 3: 3})
    assert (told["n_moved"], told["households_moved"]) == (1, 8)
    assert told["moved"][0]["to_grids"] == [2]


@given(
    st.lists(st.integers(1, 4), min_size=6, max_size=6), st.lists(st.integers(1, 4), min_size=6, max_size=6)
)
def test_no_other_pairing_of_grids_moves_fewer_households(one: list[int], other: list[int]):
    rows = drawn_plan().layers["households"]
    before, after = (rows.assign(grid_id=pd.array(each, dtype="Int64")) for each in (one, other))
    told = _moved(before, after, _partners(before, after))["households_moved"]
    households = rows["households"].tolist()
    fewest = min(
        sum(n for n, a, b in zip(households, one, other, strict=True) if became[a - 1] != b)
        for became in permutations(range(1, 5))
    )
    assert told == fewest


# ── lamps, boards, cost ──────────────────────────────────────────────────────────────────────────────


def test_lamps_added_and_dropped_are_told_by_their_site():
    fewer = _without(drawn_plan(), "lamps", 0)
    found = compare_plans(drawn_plan(), fewer)["lamps"]
    assert ([each["site_id"] for each in found["dropped"]], found["added"], found["n_kept"]) == (
        ["S1"],
        [],
        1,
    )
    back = compare_plans(fewer, drawn_plan())["lamps"]
    assert ([each["lamp_code"] for each in back["added"]], back["dropped"]) == (["L001"], [])


def test_the_same_id_in_another_place_is_another_site():
    moved = drawn_plan()
    boards = moved.layers["boards"]
    shifted = boards.set_geometry(boards.translate(5.0, 0.0))
    found = compare_plans(drawn_plan(), replace(moved, layers={**moved.layers, "boards": shifted}))["boards"]
    assert (len(found["added"]), len(found["dropped"]), found["n_kept"]) == (1, 1, 0)


def test_metres_are_told_with_their_difference():
    later = drawn_plan()
    lamps = {**later.summary["lamps"], "lit_m": 90.0, "share_lit": 90 / 220}
    found = compare_plans(drawn_plan(), replace(later, summary={**later.summary, "lamps": lamps}))
    assert _says(found, "lit alley: 60.0 → 90.0 m (+30 m; 27.3% → 40.9%)")


def test_cost_is_told_of_those_whose_cost_is_known():
    plan = drawn_plan()
    columns = {"site_id": ["S1"], "cost_cny": [1800.0]}
    sites = gpd.GeoDataFrame(columns, geometry=plan.layers["lamps"].geometry[:1], crs=plan.site.crs)
    with_cost = replace(plan, site=replace(plan.site, layers={**plan.site.layers, "lamp_sites": sites}))
    found = compare_plans(plan, with_cost)
    assert found["cost_cny"]["b"]["lamps"] == {"new": 1, "n_known": 1, "known_cny": 1800.0}
    assert _says(found, "0 → 1,800 CNY (known of 0 of 1 → 1 of 1)")


# ── other ground ─────────────────────────────────────────────────────────────────────────────────────


def test_layers_that_differ_are_named_with_their_rows():
    plan = drawn_plan()
    households = plan.site.layers["households"].copy()
    households.loc[0, "households"] = 21
    households = households.iloc[:5]
    site = replace(plan.site, layers={**plan.site.layers, "households": households})
    found = compare_plans(plan, replace(plan, site=site))
    assert found["sites"] == [{"layer": "households", "only_a": 1, "only_b": 0, "changed": 1}]
    assert _says(found, "households, 1 rows only in the first")


def test_settings_that_differ_are_named():
    later = drawn_plan()
    lamps = {**later.summary["settings"]["lamps"], "n_lamps": 99}
    settings = {**later.summary["settings"], "lamps": lamps}
    found = compare_plans(drawn_plan(), replace(later, summary={**later.summary, "settings": settings}))
    assert found["settings"] == [{"key": "lamps.n_lamps", "a": 150, "b": 99}]


def test_estimated_households_are_said_to_be():
    plan = drawn_plan()
    doubts = [*plan.summary["doubts"], {"code": "households-estimated", "message": "…"}]
    estimated = replace(plan, summary={**plan.summary, "doubts": doubts})
    assert not _says(compare_plans(plan, plan), "estimated from buildings")
    found = compare_plans(plan, estimated)
    assert [found[each]["households_estimated"] for each in ("a", "b")] == [False, True]
    assert _says(found, f"estimated from buildings: plan {plan.summary['plan_id']}")


def test_a_part_that_one_plan_lacks_is_null():
    found = compare_plans(drawn_plan(), drawn_plan(only=("lamps",)))
    assert found["grids"] is found["households"] is found["boards"] is None
    assert found["lamps"]["n_kept"] == 2


def test_plans_of_different_communities_are_refused():
    plan = drawn_plan()
    boundary = plan.site.layers["boundary"]
    away = boundary.set_geometry(boundary.translate(120.0, 0.0))  # 60 of 180 m overlap
    other = replace(plan, site=replace(plan.site, layers={**plan.site.layers, "boundary": away}))
    with pytest.raises(DataError, match="different communities"):
        compare_plans(plan, other)


# ── the command ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def changed_plan(shannan_plan, tmp_path_factory):
    """The township's plan with one household's grid changed by hand and one lamp taken away."""
    folder = shutil.copytree(shannan_plan, tmp_path_factory.mktemp("changed") / "plan")
    rows = gpd.read_file(folder / "plan.gpkg", layer="households")
    single = rows[rows["household_id"].duplicated(keep=False).eq(False) & (rows["grid_id"] == 1)].iloc[0]
    set_cell(folder, "households", "grid_id", 2, f"household_id = '{single['household_id']}'")
    set_cell(folder, "lamps", "site_id", "elsewhere", "lamp_code = 'L001'")
    change_summary(folder, lambda summary: summary.update(plan_id="0123456789ab"))
    return folder, single


def test_the_command_tells_in_both_languages_and_in_json(alleyplan, shannan_plan, changed_plan):
    folder, single = changed_plan
    told = alleyplan("compare", shannan_plan, folder)
    assert told.returncode == 0
    assert f"households in another grid: 1 rows, {single['households']} households, of 742" in told.stderr
    assert "换了网格的住户：1 行" in told.stderr
    found = json.loads(alleyplan("compare", shannan_plan, folder, "--json").stdout)
    assert [each["household_id"] for each in found["households"]["moved"]] == [single["household_id"]]
    assert (len(found["lamps"]["added"]), len(found["lamps"]["dropped"])) == (1, 1)


def test_the_command_writes_a_page_that_is_the_same_each_time(
    alleyplan, shannan_plan, changed_plan, tmp_path
):
    outs = [tmp_path / "one", tmp_path / "two"]
    for out in outs:
        done = alleyplan("compare", shannan_plan, changed_plan[0], "--out", out)
        assert done.returncode == 0, done.stderr
    assert sorted(each.name for each in outs[0].iterdir()) == ["compare.html", "compare.json"]
    for name in ("compare.html", "compare.json"):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()


def test_the_command_refuses_what_is_no_plan(alleyplan, shannan_plan, tmp_path):
    done = alleyplan("compare", shannan_plan, tmp_path)
    assert done.returncode == 2
    assert "is not a plan folder" in done.stderr


def test_shapes_equal_to_a_millimetre_are_equal():
    plan = drawn_plan()
    places = plan.site.layers["places"]
    nudged = places.set_geometry(places.geometry.apply(lambda at: shapely.Point(at.x + 1e-5, at.y)))
    site = replace(plan.site, layers={**plan.site.layers, "places": nudged})
    assert compare_plans(plan, replace(plan, site=site))["sites"] == []
