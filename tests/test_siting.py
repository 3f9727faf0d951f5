"""Lamps and boards on places drawn by hand, and laws that hold for any choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest import approx
from shapely.geometry import LineString, Point, box

from spatial.errors import DataError
from spatial.load import Site, read_site
from spatial.network import AlleyNetwork, build_network
from spatial.settings import Settings, read_settings
from spatial.siting import made_sites, plan_boards, plan_lamps
from spatial.siting.candidates import geographic_order
from spatial.siting.tables import substrings
from tests.drawn import layer

DATA = Path(__file__).parents[1] / "data" / "raw" / "shannan"
CRS = pyproj.CRS(4548)


def place(**layers: gpd.GeoDataFrame) -> Site:
    layers.setdefault("boundary", layer("boundary", [box(-500, -500, 500, 500)]))
    return Site("drawn", CRS, layers, None, (), ())


def setting(*overrides: str) -> Settings:
    return read_settings(overrides=overrides)


def networked(site: Site, settings: Settings) -> AlleyNetwork:
    return build_network(site, settings)


def street(*, lamps: list[tuple[float, float]], status: list[str] | None = None, **more: Any) -> Site:
    """One alley of 100 m from west to east, lamps beside it."""
    ids = [f"S{j}" for j in range(len(lamps))]
    return place(
        alleys=layer("alleys", [LineString([(0, 0), (100, 0)])], alley_id=["A"]),
        lamp_sites=layer(
            "lamp_sites",
            [Point(each) for each in lamps],
            site_id=ids,
            status=status or ["candidate"] * len(lamps),
            mount=more.pop("mount", ["pole"] * len(lamps)),
            consent=more.pop("consent", ["unknown"] * len(lamps)),
            **more,
        ),
    )


def lamps_of(site: Site, *overrides: str) -> Any:
    settings = setting(*overrides)
    return plan_lamps(site, networked(site, settings), settings)


def test_two_of_three_lamps_that_overlap_least() -> None:
    #  S0 at 15 lights 0..30, S1 at 40 lights 25..55, S2 at 60 lights 45..75
    plan = lamps_of(street(lamps=[(15, 0), (40, 0), (60, 0)]), "lamps.n_lamps=2")
    assert plan.lamps["site_id"].tolist() == ["S0", "S2"]
    assert plan.figures["lit_m"] == plan.figures["bound_m"] == approx(60)
    assert plan.figures["gap"] == 0
    assert plan.figures["lightable_m"] == approx(75)
    assert plan.stretches[["from_m", "length_m", "n_lamps"]].to_numpy(dtype=float) == approx(
        np.array([[0, 30, 1], [30, 15, 0], [45, 30, 1], [75, 25, 0]])
    )
    assert plan.alleys["share_lit"].tolist() == approx([0.6])


def test_what_a_required_site_costs_is_told() -> None:
    #  S0 at 15 lights 0..30; S1, required, lights only the end, 90..100
    plan = lamps_of(street(lamps=[(15, 0), (105, 0)], status=["candidate", "required"]), "lamps.n_lamps=1")
    (price,) = (each for each in plan.remarks if each.code == "required-price")
    assert price.ids == ("S1",)
    assert "20.0 m" in price.message


def test_existing_lamps_shine_and_required_ones_are_taken() -> None:
    #  the existing S0 lights 0..30; S1 would add 25 m, S2 30 m, but S3, required, adds 5 m only
    site = street(
        lamps=[(15, 0), (40, 0), (60, 0), (20, 0)], status=["existing", "candidate", "candidate", "required"]
    )
    plan = lamps_of(site, "lamps.n_lamps=2")
    assert sorted(plan.lamps["site_id"]) == ["S0", "S2", "S3"]
    assert plan.figures["lit_before_m"] == approx(30)
    assert plan.figures["lit_m"] == approx(30 + 30 + 5)
    by_id = plan.lamps.set_index("site_id")
    assert by_id["rank"].isna().tolist() == [each == "S0" for each in by_id.index]
    assert by_id.loc["S2", ["rank", "gain_m"]].tolist() == approx([1, 30])
    assert by_id.loc["S3", ["rank", "gain_m"]].tolist() == approx([2, 5])


def test_refused_walls_and_forbidden_sites_stay_dark() -> None:
    site = street(
        lamps=[(15, 0), (50, 0), (85, 0)],
        status=["forbidden", "candidate", "candidate"],
        mount=["pole", "wall", "pole"],
        consent=["unknown", "no", "unknown"],
    )
    plan = lamps_of(site, "lamps.n_lamps=1")
    assert plan.lamps["site_id"].tolist() == ["S2"]
    assert plan.figures["lightable_m"] == approx(30)


def test_a_lit_alley_counts_as_lit_and_asks_for_nothing() -> None:
    site = place(
        alleys=layer(
            "alleys",
            [LineString([(0, 0), (100, 0)]), LineString([(0, 50), (40, 50)])],
            alley_id=["A", "B"],
            lit=[False, True],
        ),
        lamp_sites=layer(
            "lamp_sites",
            [Point(10, 0), Point(20, 50)],
            site_id=["dim", "vain"],
            status=["candidate"] * 2,
        ),
    )
    plan = lamps_of(site, "lamps.n_lamps=1")
    assert plan.lamps["site_id"].tolist() == ["dim"]
    assert plan.figures["already_lit_m"] == approx(40)
    assert plan.figures["lit_m"] == approx(65)
    assert plan.stretches.set_index("alley_id").loc["B", "lit"]


def test_the_fewest_lamps_for_a_share() -> None:
    #  lights of 30 m at 15, 45, 75 and of 20 m at 95: all of 100 m takes four, 60 m takes two
    site = street(lamps=[(15, 0), (45, 0), (75, 0), (95, 0)])
    assert len(lamps_of(site, "lamps.goal=fewest").lamps) == 4
    two = lamps_of(site, "lamps.goal=fewest", "lamps.share_of_lightable=0.6")
    assert len(two.lamps) == 2 and two.figures["share_of_lightable"] >= 0.6 - 1e-9


def test_a_budget_is_kept() -> None:
    site = street(lamps=[(15, 0), (50, 0), (85, 0)], cost_cny=[900.0, 400.0, 500.0])
    plan = lamps_of(site, "lamps.n_lamps=3", "lamps.budget_cny=1000")
    assert plan.lamps["site_id"].tolist() == ["S1", "S2"]


def test_lamps_look_at_the_alley_and_azimuths_are_turned_into_headings() -> None:
    site = street(
        lamps=[(20, 4), (50, -4), (80, 4)],
        azimuth_deg=[np.nan, np.nan, 180.0],
        aim_deg=[np.nan, 80.0, np.nan],
    )
    plan = lamps_of(site, "lamps.n_lamps=3")
    assert plan.lamps.set_index("site_id")["aim_deg"].to_dict() == approx({"S0": 270, "S1": 80, "S2": 270})


@pytest.mark.parametrize(
    ("overrides", "status", "words"),
    [
        (["lamps.n_lamps=1"], ["required"] * 2, "2 sites are required (S0, S1)"),
        (["lamps.n_lamps=3"], ["candidate"] * 2, "only 2 sites can take a new lamp"),
        (["lamps.n_lamps=1", "lamps.budget_cny=5"], ["candidate"] * 2, "lamp_sites.cost_cny"),
        (["lamps.n_lamps=1", "lamps.weight=elderly"], ["candidate"] * 2, "lamps.weight = elderly"),
        (["lamps.n_lamps=1", "lamps.model=lux"], ["candidate"] * 2, "lamps.model = lux"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_name(
    overrides: list[str], status: list[str], words: str
) -> None:
    with pytest.raises(DataError, match="the lamp") as error:
        lamps_of(street(lamps=[(15, 0), (50, 0)], status=status), *overrides)
    assert words in str(error.value)


def test_curve_and_order_are_nested_and_bounded() -> None:
    random = np.random.default_rng(5)
    plan = lamps_of(street(lamps=[(x, 0) for x in random.uniform(0, 100, 12)]), "lamps.n_lamps=3")
    curve, ranking = plan.curve, plan.ranking
    assert curve["n_lamps"].iloc[0] == 0 and 3 in curve["n_lamps"].to_numpy()
    assert curve["lit_m"].is_monotonic_increasing
    assert (curve["bound_m"] == curve["lit_m"]).all()
    assert ranking["lit_m"].to_numpy() == approx(np.cumsum(ranking["gain_m"]))
    reached = ranking.set_index("rank")["lit_m"].reindex(curve["n_lamps"]).dropna()
    best = curve.set_index("n_lamps")["lit_m"].reindex(reached.index)
    assert (reached <= best + 1e-9).all()


@given(seed=st.integers(0, 10_000), n=st.integers(0, 5))
@hypothesis_settings(max_examples=8, deadline=None)
def test_one_more_lamp_never_lights_less_and_row_order_changes_nothing(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    spots = [(float(x), float(y)) for x, y in random.uniform((0, -8), (100, 8), (6, 2))]
    one = lamps_of(street(lamps=spots), f"lamps.n_lamps={n}").figures["lit_m"]
    more = lamps_of(street(lamps=spots), f"lamps.n_lamps={n + 1}").figures["lit_m"]
    turned = lamps_of(street(lamps=spots[::-1]), f"lamps.n_lamps={n}").figures["lit_m"]
    assert more >= one - 1e-9
    assert turned == approx(one)


def test_candidates_are_made_along_unlit_alleys_on_walls_where_there_are_any() -> None:
    site = place(
        alleys=layer(
            "alleys",
            [LineString([(0, 0), (40, 0), (40, 30)]), LineString([(0, 80), (40, 80)])],
            alley_id=["A", "B"],
            lit=[False, True],
            width_m=[3.0, np.nan],
        ),
        buildings=layer("buildings", [box(5, 2, 34, 12)], building_id=["H"]),
    )
    settings = setting("sites.spacing_m=10")
    made = made_sites(site, networked(site, settings), settings, layer="lamp_sites")
    on_wall = (made["mount"] == "wall").to_numpy()
    xy = shapely.get_coordinates(made.geometry.to_numpy())
    assert np.sort(xy[on_wall], axis=0) == approx(np.array([(10, 2), (20, 2), (30, 2)]))
    #  the two ends; the bend and the second leg half a width to the left
    aside = 1.5 / np.sqrt(2)
    expected = [(0, 0), (38.5, 10), (38.5, 20), (40 - aside, aside), (40, 30)]
    assert xy[~on_wall][np.lexsort(xy[~on_wall].T[::-1])] == approx(np.array(expected))
    assert made["site_id"].tolist() == [f"G{j:05d}" for j in range(1, len(made) + 1)]


def test_candidates_are_made_where_all_given_lamps_stand_already() -> None:
    lamps = layer("lamp_sites", [Point(50, 0)], site_id=["G00001"], status=["existing"])
    site = place(alleys=layer("alleys", [LineString([(0, 0), (100, 0)])], alley_id=["A"]), lamp_sites=lamps)
    plan = lamps_of(site, "lamps.n_lamps=2")
    assert "lamp-sites-made" in [each.code for each in plan.remarks]
    assert plan.sites["site_id"].tolist() == ["G00001", *(f"GG{j:05d}" for j in range(1, 12))]
    assert plan.figures["lit_m"] == approx(90)  # 30 m by the standing lamp, 30 m by each new one


def test_made_candidates_are_said_so() -> None:
    site = place(alleys=layer("alleys", [LineString([(0, 0), (100, 0)])], alley_id=["A"]))
    plan = lamps_of(site, "lamps.n_lamps=3")
    assert [each.code for each in plan.remarks if each.kind == "note"] == ["lamp-sites-made"]
    assert len(plan.sites) == 11
    assert plan.figures["lit_m"] == approx(90)


def test_names_go_from_north_to_south_and_west_to_east() -> None:
    xy = np.array([[9.0, 0.0], [0.0, 0.0], [9.0, 9.0], [0.0, 9.0]])
    assert geographic_order(xy).tolist() == [3, 2, 1, 0]


def test_a_piece_of_a_bent_line_keeps_its_bend() -> None:
    lines = np.array([LineString([(0, 0), (10, 0), (10, 10)]), LineString([(5, 5), (9, 5)])], dtype=object)
    drawn = substrings(lines, np.array([0, 0, 1]), np.array([4.0, 10.0, 0.0]), np.array([16.0, 20.0, 3.0]))
    assert [each.wkt for each in drawn] == [
        "LINESTRING (4 0, 10 0, 10 6)",
        "LINESTRING (10 0, 10 10)",
        "LINESTRING (5 5, 8 5)",
    ]


def village(**more: gpd.GeoDataFrame) -> Site:
    """An alley of 400 m; doors every 50 m, 5 m off it; board sites on it at 50, 200 and 350."""
    doors = [Point(x, 5) for x in range(25, 400, 50)]
    return place(
        alleys=layer("alleys", [LineString([(0, 0), (400, 0)])], alley_id=["A"], kind=["alley"]),
        households=layer(
            "households",
            doors,
            household_id=[f"H{j}" for j in range(len(doors))],
            households=more.pop("count", [1] * len(doors)),
        ),
        board_sites=layer(
            "board_sites",
            [Point(50, 0), Point(200, 0), Point(350, 0)],
            site_id=["west", "middle", "east"],
            status=more.pop("status", ["candidate"] * 3),
        ),
        **more,
    )


def boards_of(site: Site, *overrides: str) -> Any:
    settings = setting(*overrides)
    return plan_boards(site, networked(site, settings), settings)


def test_one_board_stands_in_the_middle_and_walks_hold_both_offsets() -> None:
    plan = boards_of(village(), "boards.n_boards=1", "boards.walk_m=500")
    assert plan.boards["site_id"].tolist() == ["middle"]
    #  2 × (25 + 75 + 125 + 175) along the alley, and 5 m for each of eight doors
    assert plan.figures["total_walk_m"] == plan.figures["bound_household_m"] == approx(840)
    assert plan.households["walk_to_board_m"].tolist() == approx([180, 130, 80, 30, 30, 80, 130, 180])


def test_the_most_within_the_walk_come_before_the_least_walk() -> None:
    #  within 85 m of a door the west board serves 9 households and the middle one 6, but all together
    #  walk 2375 m along the alley to the west one and 1975 m to the middle one; 17 offsets of 5 m
    count = [3, 3, 3, 1, 1, 1, 3, 2]
    plan = boards_of(village(count=count), "boards.n_boards=1", "boards.walk_m=85")
    assert plan.boards["site_id"].tolist() == ["west"]
    assert plan.figures["households_served"] == plan.figures["bound_served"] == 9
    assert plan.figures["total_walk_m"] == approx(2375 + 85)
    assert plan.figures["gap"] == 0
    wide = boards_of(village(count=count), "boards.n_boards=1", "boards.walk_m=500")
    assert wide.boards["site_id"].tolist() == ["middle"]
    assert wide.figures["total_walk_m"] == approx(1975 + 85)


def test_walks_count_every_household_of_a_row() -> None:
    #  nine of ten households live at the west end
    plan = boards_of(village(count=[9, 1, 1, 1, 1, 1, 1, 1]), "boards.n_boards=1", "boards.walk_m=500")
    west = 9 * 30 + sum((30, 80, 130, 180, 230, 280, 330))
    assert plan.boards["site_id"].tolist() == ["west"]
    assert plan.figures["total_walk_m"] == approx(west)
    assert plan.boards["households_served"].tolist() == [16]


def test_required_and_existing_boards_stand() -> None:
    plan = boards_of(village(status=["required", "candidate", "existing"]), "boards.n_boards=1")
    assert plan.boards["site_id"].tolist() == ["west", "east"]
    assert plan.figures["n_chosen"] == 1


def test_why_somebody_walks_far_is_told() -> None:
    #  one board for two ends: H2 counts twice and gets it; H0 had a site, H1 in the middle has none
    site = place(
        alleys=layer("alleys", [LineString([(0, 0), (400, 0)])], alley_id=["A"]),
        households=layer(
            "households",
            [Point(x, 0) for x in (20, 200, 380)],
            household_id=["H0", "H1", "H2"],
            households=[1, 1, 2],
        ),
        board_sites=layer("board_sites", [Point(25, 0), Point(375, 0)], site_id=["W", "E"]),
    )
    plan = boards_of(site, "boards.n_boards=1", "boards.walk_m=50")
    (told,) = [each for each in plan.remarks if each.code == "board-far"]
    assert told.ids == ("H0", "H1")
    assert "1 have no site within it, 1 have one" in told.message


def test_doors_without_a_board_are_told() -> None:
    far = village()
    alleys = layer(
        "alleys", [LineString([(0, 0), (400, 0)]), LineString([(0, 300), (50, 300)])], alley_id=["A", "B"]
    )
    households = layer(
        "households", [Point(25, 5), Point(20, 300)], household_id=["H0", "H1"], households=[1, 1]
    )
    site = place(alleys=alleys, households=households, board_sites=far.layer("board_sites"))
    plan = boards_of(site, "boards.n_boards=1")
    assert plan.households["board_id"].isna().tolist() == [False, True]
    (told,) = [each for each in plan.remarks if each.code == "board-unreachable"]
    assert told.ids == ("H1",)
    assert plan.figures["share_served"] == 0.5


def test_more_boards_than_sites_are_refused_by_name() -> None:
    with pytest.raises(DataError) as error:
        boards_of(village(), "boards.n_boards=4")
    assert "only 3 sites can take a new board" in str(error.value)


def test_the_share_of_the_way_home_that_is_lit() -> None:
    #  entrance at the west end, one lamp at 30 lights 15..45: H0 at 25 walks 25 m, 10 lit; H7 375 m, 30 lit
    site = village(
        places=layer("places", [Point(0, 0)], place_id=["gate"], kind=["entrance"]),
        lamp_sites=layer("lamp_sites", [Point(30, 0)], site_id=["S"], status=["candidate"]),
    )
    settings = setting("lamps.n_lamps=1")
    plan = plan_lamps(site, networked(site, settings), settings)
    share = plan.ways.lit_share(plan.lit)
    assert share[0] == approx(10 / 25)
    assert share[7] == approx(30 / 375)


@pytest.fixture(scope="module")
def shannan() -> tuple[Site, AlleyNetwork, Settings]:
    if not (DATA / "plan.toml").exists():
        pytest.skip("the sample township is not in data/raw/shannan")
    settings = read_settings(DATA / "plan.toml")
    site = read_site(DATA, settings)
    return site, build_network(site, settings), settings


def test_the_sample_has_150_lamps_and_20_boards_proved_best(shannan: Any) -> None:
    lamps, boards = plan_lamps(*shannan), plan_boards(*shannan)
    assert lamps.figures["n_chosen"] == 150 and lamps.figures["gap"] == 0
    assert boards.figures["n_chosen"] == 20 and boards.figures["gap"] == 0
    assert lamps.stretches["length_m"].sum() == approx(lamps.figures["alley_m"], abs=1e-3)
    assert lamps.stretches.loc[lamps.stretches["lit"], "length_m"].sum() == approx(
        lamps.figures["lit_m"], abs=0.05
    )
    assert shapely.length(lamps.stretches.geometry.to_numpy()) == approx(
        lamps.stretches["length_m"], abs=1e-6
    )
    assert not [each for each in lamps.remarks if each.kind == "fault"]
