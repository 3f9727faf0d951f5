"""Boards that keep apart, stand one in each grid, and can be read at night."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import LineString, Point, box

from spatial.audit import recount
from spatial.errors import DataError
from spatial.load import Site
from spatial.plan import Plan, make_plan, write_plan
from spatial.settings import read_settings
from tests.drawn import layer
from tests.test_siting import place

GRIDS = ("grids.min_households=3", "grids.target_households=3", "grids.max_households=4", "grids.n_workers=2")


def row(**more: Any) -> Site:
    """Nine doors every 20 m along one alley of 200 m; board sites P to T at 20, 40, 60, 100 and 160 m.

    Lamp sites at 5 (E, standing), 62 and 165 m; a house stands between the last and its board.
    """
    boards, lamps = (20, 40, 60, 100, 160), (5, 62, 165)
    layers = {
        "alleys": layer("alleys", [LineString([(0, 0), (200, 0)])], alley_id=["A"], kind=["road"]),
        "households": layer(
            "households", [Point(20 * j, 4) for j in range(1, 10)],
            household_id=[f"H{j}" for j in range(1, 10)], households=[1] * 9, party_members=[1] * 9,
        ),
        "board_sites": layer(
            "board_sites", [Point(x, -3) for x in boards], site_id=list("PQRST"), status=["candidate"] * 5
        ),
        "lamp_sites": layer(
            "lamp_sites", [Point(x, -3) for x in lamps], site_id=["E", "M", "W"],
            status=["existing", "candidate", "candidate"], mount=["pole"] * 3, consent=["unknown"] * 3,
        ),
        "buildings": layer("buildings", [box(162, -4, 164, -2)], building_id=["hut"]),
    }  # fmt: skip
    return place(**{**layers, **more})


def planned(*overrides: str, only: tuple[str, ...] = ("boards",), site: Site | None = None) -> Plan:
    return make_plan(site or row(), read_settings(overrides=(*GRIDS, *overrides)), only=only)


def sites_of(plan: Plan) -> str:
    return "".join(sorted(plan.layers["boards"]["site_id"]))


def test_boards_are_kept_apart(tmp_path: Path) -> None:
    near = planned("boards.n_boards=4", "boards.walk_m=30")
    apart = planned("boards.n_boards=3", "boards.walk_m=30", "boards.apart_m=50")
    assert _closest_m(near) < 50 <= _closest_m(apart)
    assert apart.summary["boards"]["gap"] == 0
    write_plan(apart, tmp_path)
    assert recount(tmp_path).faults == ()


def _closest_m(plan: Plan) -> float:
    return min(b - a for a, b in pairwise(sorted(plan.layers["boards"]["x"])))


def test_more_boards_than_can_keep_apart_are_fewer() -> None:
    plan = planned("boards.n_boards=5", "boards.apart_m=50")
    assert len(plan.layers["boards"]) == 3


def test_required_boards_stand_where_they_must_and_keep_others_away(tmp_path: Path) -> None:
    site = row()
    site.layers["board_sites"]["status"] = ["required", "required", *["candidate"] * 3]
    plan = planned("boards.n_boards=3", "boards.apart_m=50", site=site)
    assert sites_of(plan) in ("PQS", "PQT")
    (told,) = [each for each in plan.summary["doubts"] if each["code"] == "required-near"]
    assert told["ids"] == ["P", "Q"]
    write_plan(plan, tmp_path)
    assert recount(tmp_path).faults == ()


@pytest.mark.parametrize(("n_boards", "per_grid"), [(3, [1, 1, 1]), (4, [1, 1, 2]), (2, [0, 1, 1])])
def test_one_board_in_each_grid(tmp_path: Path, n_boards: int, per_grid: list[int]) -> None:
    plan = planned(f"boards.n_boards={n_boards}", "boards.one_per_grid=true", only=("grids", "boards"))
    found = plan.layers["boards"].groupby("grid_id").size().reindex([1, 2, 3], fill_value=0)
    assert sorted(found) == per_grid
    write_plan(plan, tmp_path)
    assert recount(tmp_path).faults == ()


def test_one_per_grid_needs_grids() -> None:
    with pytest.raises(DataError, match="planned as asked") as error:
        planned("boards.one_per_grid=true")
    assert "one_per_grid needs the grids" in str(error.value)


def test_boards_that_must_be_read_at_night_bring_their_lamps(tmp_path: Path) -> None:
    #  P stands 15 m from E, R 2 m from M; the hut hides T from W: only P and R can have light
    free = planned("boards.n_boards=2", "lamps.n_lamps=1", only=("lamps", "boards"))
    night = planned(
        "boards.n_boards=2", "lamps.n_lamps=1", "boards.lit_at_night=require", only=("lamps", "boards")
    )
    assert sites_of(free) != "PR" and sites_of(night) == "PR"
    assert set(night.layers["lamps"]["site_id"]) == {"E", "M"}
    assert night.layers["boards"]["lit_at_night"].all()
    assert night.summary["boards"]["n_lit_at_night"] == 2
    write_plan(night, tmp_path)
    assert recount(tmp_path).faults == ()


def test_too_few_lamps_for_boards_that_must_be_lit() -> None:
    with pytest.raises(DataError, match="can't be planned") as error:
        planned(
            "boards.n_boards=2", "lamps.n_lamps=0", "boards.lit_at_night=require", only=("lamps", "boards")
        )
    assert "that takes 1 new lamps at least" in str(error.value)


def test_boards_stand_where_few_lamps_can_light_them(tmp_path: Path) -> None:
    #  most households live by R, which only a new lamp at M could show; lamps stand already by P and S
    site = row()
    site.layers["households"].loc[2, "households"] = 3
    site.layers["lamp_sites"].loc[2, ["status", "geometry"]] = ["existing", Point(100, -3)]
    night = ("boards.n_boards=2", "boards.lit_at_night=require")
    one = planned(*night, "lamps.n_lamps=1", site=site, only=("lamps", "boards"))
    none = planned(*night, "lamps.n_lamps=0", site=site, only=("lamps", "boards"))
    assert (sites_of(one), sites_of(none)) == ("RS", "PS")
    assert none.summary["boards"]["n_lit_at_night"] == 2
    told = [[each["code"] for each in plan.summary["doubts"]] for plan in (one, none)]
    assert ["board-light" in codes for codes in told] == [False, True]
    boards = none.summary["boards"]
    assert boards["bound_household_m"] == one.summary["boards"]["total_walk_m"] < boards["total_walk_m"]
    assert boards["gap"] > 0
    write_plan(none, tmp_path)
    assert recount(tmp_path).faults == ()


def test_more_boards_than_can_be_lit_are_refused() -> None:
    with pytest.raises(DataError, match="boards can't be planned") as error:
        planned(
            "boards.n_boards=3", "lamps.n_lamps=2", "boards.lit_at_night=require", only=("lamps", "boards")
        )
    assert "only 2 sites can take a new board" in str(error.value)


def test_light_that_is_preferred_costs_little_walking(tmp_path: Path) -> None:
    overrides = ("boards.n_boards=2", "lamps.n_lamps=2", "boards.walk_m=200")
    free = planned(*overrides, only=("lamps", "boards"))
    lit = planned(*overrides, "boards.lit_at_night=prefer", only=("lamps", "boards"))
    for plan in (free, lit):
        boards = plan.summary["boards"]
        assert boards["total_walk_m"] >= boards["bound_household_m"]
    assert lit.summary["boards"]["n_lit_at_night"] >= free.summary["boards"]["n_lit_at_night"]
    assert lit.summary["boards"]["total_walk_m"] <= 1.1 * free.summary["boards"]["total_walk_m"]
    write_plan(lit, tmp_path)
    assert recount(tmp_path).faults == ()
