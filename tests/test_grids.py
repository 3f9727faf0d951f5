"""Grids on the ground: parts and far rows, numbers, areas, branches and workers, the whole way."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx
from scipy.sparse import csr_array
from shapely.geometry import LineString, Point, Polygon, box

from spatial.adjacency import touching
from spatial.errors import DataError
from spatial.grids import GridPlan, plan_grids
from spatial.grids.levels import allowed_households, balance, link_grids, slots
from spatial.grids.numbering import geographic_order, name_grids
from spatial.grids.structure import Nodes, Structure, group_grids
from spatial.grids.units import make_units, ride, side_by_side, slice_middles, split_rows
from spatial.load import Site, read_site
from spatial.network import build_network, doors
from spatial.schema import PLAN_LAYERS, SUMMARY
from spatial.settings import Grids, Settings, read_settings
from tests.conftest import SHANNAN
from tests.drawn import drawn_site, layer

law = settings(deadline=None, max_examples=40)
STRIP = box(-20, -20, 80, 20)


def small(*overrides: str) -> Settings:
    """Grids of 2 to 4 households, in one branch with one worker."""
    sizes = ["min_households=2", "max_households=4", "target_households=3", "n_branches=1", "n_workers=1"]
    return read_settings(overrides=[*(f"grids.{each}" for each in sizes), *overrides])


def village(
    points: Sequence[tuple[float, float]],
    *,
    alleys: dict[str, Sequence[tuple[float, float]]] | None = None,
    buildings: Sequence[Polygon] = (),
    ground: Polygon = STRIP,
    **columns: Sequence[object],
) -> Site:
    """Houses along an alley of 60 m, one household each unless ``columns`` say otherwise."""
    site = drawn_site(alleys or {"A": [(0, 0), (60, 0)]})
    ids = [f"H{row}" for row in range(len(points))]
    columns = {"households": [1] * len(points)} | columns
    layers = dict(site.layers)
    layers["households"] = layer("households", [Point(each) for each in points], household_id=ids, **columns)
    layers["buildings"] = layer("buildings", buildings, building_id=[f"B{n}" for n in range(len(buildings))])
    layers["boundary"] = layer("boundary", [ground])
    return replace(site, layers=layers)


def planned(site: Site, chosen: Settings) -> GridPlan:
    return plan_grids(site, build_network(site, chosen), chosen)


# --- parts and far rows


def test_a_building_is_split_into_equal_parts_with_its_people_shared_out() -> None:
    houses = layer(
        "households", [Point(0, 0)] * 2, household_id=["a", "b"], households=[101, 50], residents=[7, None]
    )
    parts = split_rows(houses, Grids())
    assert parts["household_id"].tolist() == ["a", "a", "a", "b"]
    assert parts["part"].tolist() == [1, 2, 3, 0]
    assert parts["households"].tolist() == [33, 34, 34, 50]
    assert parts["residents"].tolist()[:3] == [2, 2, 3]  # 7·33/101, 7·67/101 and 7, rounded down
    assert parts["residents"].isna().tolist() == [False] * 3 + [True]


@law
@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 2000)), min_size=1, max_size=5), st.integers(1, 60)
)
def test_parts_add_up_and_are_as_equal_as_can_be(rows: list[tuple[int, int]], most: int) -> None:
    count, people = zip(*rows, strict=True)
    ids = [f"H{row}" for row in range(len(rows))]
    houses = layer(
        "households", [Point(0, 0)] * len(rows), household_id=ids, households=count, residents=people
    )
    limits = Grids(min_households=1, target_households=most, max_households=most)
    parts = split_rows(houses, limits).groupby("row")
    assert parts["households"].sum().tolist() == list(count)
    assert parts["residents"].sum().tolist() == list(people)
    assert (parts["households"].max() <= most).all()
    assert (parts["households"].max() - parts["households"].min() <= 1).all()
    assert parts.size().tolist() == [-(-each // most) for each in count]


@pytest.mark.parametrize(
    ("households", "parts"),
    [
        (50, [50]),
        (55, [27, 28]),  # neither can be a grid alone, but one part is too many households
        (70, [35, 35]),
        (81, [40, 41]),  # three parts of 27 would fit no two together and none alone
        (94, [31, 31, 32]),  # two parts of 47 would leave no room for three neighbours
        (338, [37] * 4 + [38] * 5),
    ],
)
def test_parts_leave_room_for_neighbours_and_can_be_grids_alone(households: int, parts: list[int]) -> None:
    house = layer("households", [Point(0, 0)], household_id=["a"], households=[households])
    assert sorted(split_rows(house, Grids())["households"]) == sorted(parts)


def test_slices_follow_each_other_along_the_long_side() -> None:
    east = slice_middles(box(0, 0, 40, 10), np.array([1.0, 1.0, 2.0]))
    assert east == approx(np.array([[5, 5], [15, 5], [30, 5]]))
    north = slice_middles(box(0, 0, 10, 40), np.array([1.0, 3.0]))
    assert north == approx(np.array([[5, 35], [5, 15]]))


def test_the_middle_of_a_slice_lies_inside_the_building() -> None:
    angle = Polygon([(0, 0), (40, 0), (40, 30), (36, 30), (36, 4), (0, 4)])
    middles = slice_middles(angle, np.array([1.0, 1.0, 1.0]))
    assert shapely.intersects(angle, shapely.points(middles)).all()
    assert (np.diff(middles @ [40, 30]) > 0).all()


def seats(
    xy: Sequence[tuple[float, float]], served: str, *, households: str = "", lock: str = "", most: int = 4
) -> list[int]:
    """Hosts of rows told as letters and digits: s served, f far; households; locks, - for none."""
    n = len(xy)
    return ride(
        np.array(xy, dtype=float),
        households=np.array([int(each) for each in households or "1" * n]),
        served=np.array([each == "s" for each in served]),
        lock=np.array([-1 if each == "-" else int(each) for each in lock or "-" * n]),
        most=most,
    ).tolist()


def test_a_far_household_rides_with_its_nearest_served_neighbour() -> None:
    assert seats([(0, 0), (10, 0), (300, 0), (7, 200)], "ssff") == [0, 1, 1, 1]


def test_a_neighbour_that_is_full_sends_it_to_the_next() -> None:
    assert seats([(0, 0), (10, 0), (300, 0)], "ssf", households="231") == [0, 1, 1]
    assert seats([(0, 0), (10, 0), (300, 0)], "ssf", households="232") == [0, 1, 0]
    assert seats([(0, 0), (10, 0), (300, 0)], "ssf", households="444") == [0, 1, 1]  # none has room


def test_two_far_households_do_not_both_take_the_last_place() -> None:
    assert seats([(0, 0), (10, 0), (300, 0), (400, 0)], "ssff", households="1311") == [0, 1, 1, 0]


def test_a_locked_far_household_rides_with_its_lock() -> None:
    far_end = [(0, 0), (10, 0), (300, 0)]
    assert seats(far_end, "ssf", lock="0-0") == [0, 1, 0]
    assert seats(far_end, "ssf", lock="01-") == [0, 1, 1]
    assert seats(far_end, "ssf", lock="-10") == [0, 1, 0]  # its lock comes along to a free neighbour


def test_most_households_far_from_alleys_is_refused() -> None:
    site = village([(5, 1), (15, 1), (0, 500), (10, 500), (20, 500)])
    with pytest.raises(DataError, match="3 of 5 households are more than 100 m from any alley"):
        planned(site, small())


# --- numbers


def test_numbers_run_west_to_east_in_bands_from_the_north() -> None:
    xy = np.array([[0, 0], [100, 10], [200, 5], [10, 100], [110, 90], [190, 95]], dtype=float)
    assert geographic_order(xy).tolist() == [3, 4, 5, 0, 1, 2]


def test_points_on_one_line_are_numbered_along_it() -> None:
    assert geographic_order(np.array([[20.0, 0], [0, 0], [10, 0]])).tolist() == [1, 2, 0]
    assert geographic_order(np.array([[0.0, 20], [0, 0], [0, 10]])).tolist() == [0, 2, 1]
    assert geographic_order(np.array([[5.0, 5]])).tolist() == [0]


def test_codes_have_a_third_digit_past_99() -> None:
    assert name_grids("34", np.arange(1, 100)).code[0] == "3401"
    assert name_grids("34", np.arange(1, 101)).code[::99] == ["34001", "34100"]


def test_the_parts_of_a_building_lie_towards_the_rest_of_their_grids() -> None:
    #  the tower's parts stand west and east; the houses of grid 1 stand west of it, those of grid 0 east
    site = village([(5, 1), (30, 1), (55, 1)], households=[2, 8, 2], buildings=[box(20, 1, 40, 9)])
    chosen = small("grids.max_households=6", "grids.target_households=4")
    units = make_units(site, build_network(site, chosen), chosen)
    assert units.table["part"].tolist() == [0, 1, 2, 0]
    assert side_by_side(units, np.array([1, 0, 1, 0])).tolist() == [1, 1, 0, 0]
    assert side_by_side(units, np.array([0, 0, 1, 1])).tolist() == [0, 0, 1, 1]


# --- branches and workers


def graph_of(n: int, edges: Sequence[tuple[int, int]]) -> csr_array:
    one, two = np.array(edges).T
    data = np.ones(2 * len(edges), dtype=bool)
    return csr_array((data, (np.r_[one, two], np.r_[two, one])), shape=(n, n))


def nodes_of(
    graph: csr_array,
    households: Sequence[int],
    *,
    locked: np.ndarray | None = None,
    labels: Sequence[str] = (),
) -> Nodes:
    """Grids along a line from west to east, 100 m apart."""
    n = len(households)
    indptr, indices = graph.indptr.astype(np.int64), graph.indices.astype(np.int64)
    xy = np.column_stack([100.0 * np.arange(n), np.zeros(n)])
    links = link_grids(np.arange(n), np.zeros(n, dtype=np.int64), (indptr, indices), xy)
    held = np.zeros((n, 0), dtype=np.int64) if locked is None else locked
    return Nodes(links, np.array(households), xy, held, labels, name_grids("", np.arange(1, n + 1)).code)


def grouped(nodes: Nodes, n_branches: int, n_workers: int, *more: str) -> Structure:
    counts = [f"grids.n_branches={n_branches}", f"grids.n_workers={n_workers}"]
    return group_grids(nodes, read_settings(overrides=[*counts, *more]))


def in_one_piece(graph: csr_array, rows: np.ndarray) -> bool:
    return nx.is_connected(nx.from_scipy_sparse_array(graph[rows][:, rows]))


def row_of(n: int) -> csr_array:
    return graph_of(n, [(at, at + 1) for at in range(n - 1)])


def test_eight_workers_over_three_branches() -> None:
    assert slots(8, 3).tolist() == [3, 3, 2]
    assert slots(2, 2).tolist() == [1, 1]


def test_a_row_of_grids_is_cut_evenly() -> None:
    done = grouped(nodes_of(row_of(6), [40] * 6), 3, 6)
    assert done.branch_id.tolist() == [1, 1, 2, 2, 3, 3]
    assert done.worker_id.tolist() == [1, 2, 3, 4, 5, 6]
    assert done.remarks == ()


def test_workers_may_cross_branches_where_they_are_not_nested() -> None:
    nodes = nodes_of(row_of(6), [40] * 6)
    assert grouped(nodes, 2, 3, "grids.nest_workers=false").worker_id.tolist() == [1, 1, 2, 2, 3, 3]
    assert grouped(nodes, 2, 2).worker_id.tolist() == grouped(nodes, 2, 2).branch_id.tolist()


def test_a_star_can_only_give_single_arms_away() -> None:
    #  one middle with 8 arms of 40: two branches, one of them must be a single arm
    star = graph_of(9, [(0, arm) for arm in range(1, 9)])
    done = grouped(nodes_of(star, [40] * 9), 2, 2)
    assert sorted(np.bincount(done.branch_id)[1:]) == [1, 8]
    assert {each.code for each in done.remarks} == {"branches-uneven", "workers-uneven"}
    told = next(each for each in done.remarks if each.code == "branches-uneven")
    assert told.kind == "fault"
    assert "more than 40 households off the mean of 180" in told.message
    assert told.remedy == "set grids.n_branches = 1"


def test_a_town_has_even_workers_where_eight_cannot_be_even_in_three_even_branches() -> None:
    #  120 grids of 40: a branch of two workers may hold 1,440 at least, two workers 1,320 at most
    done = grouped(nodes_of(row_of(120), [40] * 120), 3, 8, "work.effort=quick")
    (told,) = done.remarks
    assert (told.code, told.kind) == ("branches-uneven", "fault")
    assert "8 workers can't be shared out evenly among 3 even branches" in told.message
    assert told.remedy == "set grids.n_workers = 9, or set grids.n_branches = 2"
    workers, branches = (np.bincount(each, np.full(120, 40))[1:] for each in (done.worker_id, done.branch_id))
    assert np.abs(workers - 600).max() <= 60
    # the branches lean towards their workers no farther than that needs: 3:3:2 would be 1,800 and 1,200
    assert sorted(np.abs(branches - 1600) > 160) == [False, False, True]
    assert 1240 <= branches.min() <= 1320


def test_more_branches_than_grids_become_fewer() -> None:
    done = grouped(nodes_of(row_of(2), [40, 30]), 3, 8)
    assert done.branch_id.tolist() == [1, 2]
    assert done.worker_id.tolist() == [1, 2]
    assert {each.code for each in done.remarks} == {"n-branches-changed", "n-workers-changed"}


def test_locks_decide_which_branch() -> None:
    #  a ring of six can be halved in three ways; the locks leave one
    ring = graph_of(6, [(at, (at + 1) % 6) for at in range(6)])
    locked = np.zeros((6, 2), dtype=np.int64)
    locked[[1, 2, 3], 0] = 10
    locked[[4, 0], 1] = 10
    nodes = nodes_of(ring, [40] * 6, locked=locked, labels=["east", "west"])
    done = grouped(nodes, 2, 2, 'community.branch_names=["west", "east"]')
    assert done.branch_id.tolist() == [1, 2, 2, 2, 1, 1]
    assert done.remarks == ()


def test_a_lock_that_tears_a_branch_is_told() -> None:
    locked = np.array([[5, 0], [0, 5], [5, 0], [0, 5]])
    done = grouped(nodes_of(row_of(4), [40] * 4, locked=locked, labels=["a", "b"]), 2, 2)
    told = next(each for each in done.remarks if each.code == "branch-lock-broken")
    assert told.ids == ("a",)  # b has the eastern branch, with half of a in it
    assert "5 locked households lie outside their branch" in told.message


@st.composite
def connected_graphs(draw: st.DrawFn) -> csr_array:
    n = draw(st.integers(3, 12))
    tree = [(draw(st.integers(0, at - 1)), at) for at in range(1, n)]
    pair = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda each: each[0] != each[1])
    more = draw(st.lists(pair, max_size=6))
    return graph_of(n, sorted({tuple(sorted(each)) for each in tree + more}))


@settings(law, max_examples=20)
@given(connected_graphs(), st.integers(1, 4), st.integers(1, 6), st.data())
def test_unions_are_in_one_piece_and_workers_inside_branches(
    graph: csr_array, n_branches: int, n_workers: int, data: st.DataObject
) -> None:
    households = data.draw(st.lists(st.integers(30, 50), min_size=graph.shape[0], max_size=graph.shape[0]))
    done = grouped(nodes_of(graph, households), n_branches, n_workers, "work.effort=quick")
    for number in (done.branch_id, done.worker_id):
        assert np.unique(number).tolist() == list(range(1, number.max() + 1))
        assert all(in_one_piece(graph, np.flatnonzero(number == each)) for each in np.unique(number))
    assert done.branch_id.max() == min(n_branches, len(households))
    branch_of = {
        (int(worker), int(branch)) for worker, branch in zip(done.worker_id, done.branch_id, strict=True)
    }
    assert len(branch_of) == done.worker_id.max()


def can_be_even(graph: csr_array, households: np.ndarray, n: int) -> bool:
    """Whether some way to give every grid a union keeps all in one piece and balanced: tries all."""
    mean, band = allowed_households(households, n)
    for label in itertools.product(range(n), repeat=len(households)):
        unions = [np.flatnonzero(np.array(label) == each) for each in range(n)]
        if all(len(rows) and abs(households[rows].sum() - mean) <= band for rows in unions) and all(
            in_one_piece(graph, rows) for rows in unions
        ):
            return True
    return False


@pytest.mark.parametrize("seed", range(12))
def test_finds_an_even_cut_where_trying_all_finds_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree = [(int(rng.integers(0, at)), at) for at in range(1, 8)]
    graph = graph_of(8, sorted({*tree, (0, 7), (2, 5)}))
    households = rng.integers(5, 60, 8)
    mean, band = allowed_households(households, 3)
    xy = rng.uniform(0, 100, (8, 2))
    level = balance(
        graph,
        households,
        xy,
        targets=np.full(3, mean),
        least_grids=np.ones(3, dtype=np.int64),
        middle=mean,
        band=band,
        effort="normal",
        seed=(1,),
    )
    assert (len(level.uneven) == 0) == can_be_even(graph, households, 3)


def test_parts_are_linked_by_their_shortest_straight_lines() -> None:
    #  three parts on a line: 0 at 0 m, 1 at 100 m, 2 at 130 m; 0 and 2 are not linked
    xy = np.array([[0, 0], [10, 0], [100, 0], [130, 0], [140, 5]], dtype=float)
    grid, part = np.array([0, 0, 1, 2, 2]), np.array([0, 0, 1, 2, 2])
    indptr, indices = np.array([0, 1, 2, 2, 3, 4]), np.array([1, 0, 4, 3])
    links = link_grids(grid, part, (indptr, indices), xy)
    assert sorted((min(a, b), max(a, b), length_m) for a, b, length_m in links.bridges) == [
        (0, 1, 90),
        (1, 2, 30),
    ]
    assert links.graph.toarray().astype(int).tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


# --- the whole way, small


def test_six_houses_on_an_alley_make_two_grids() -> None:
    #  H0 … H5 stand every 10 m, 1 m beside the alley; the middle one of each three is the meeting door
    plan = planned(village([(5 + 10 * at, 1) for at in range(6)]), small("community.code=34-"))
    assert plan.households["grid_id"].tolist() == [1, 1, 1, 2, 2, 2]
    assert plan.households["walk_to_meeting_m"].tolist() == approx([12, 0, 12, 12, 0, 12])
    assert plan.grids["meeting_household_id"].tolist() == ["H1", "H4"]
    assert plan.grids["code"].tolist() == ["34-01", "34-02"]
    assert plan.grids["name"].tolist() == ["第01网格", "第02网格"]
    assert plan.grids["walk_mean_m"].tolist() == approx([8, 8])
    assert plan.figures["objective_m"] == approx(40)
    assert plan.figures["walk_mean_m"] == approx(8)
    assert plan.figures["bound_m"] <= 40 + 1e-6
    assert [each.area for each in plan.grids.geometry] == approx([2000, 2000], rel=0.02)
    assert plan.figures["parts"] == [{"part": 1, "households": 6, "k": 2, "state": "feasible"}]
    assert plan.remarks == ()


def test_the_meeting_can_be_held_to_party_households() -> None:
    points = [(5 + 10 * at, 1) for at in range(6)]
    site = village(points, party_members=[1, 0, 0, 0, 0, 0])
    plan = planned(site, small("grids.meeting_at=party_household"))
    assert plan.grids["meeting_household_id"].tolist() == ["H0", "H4"]
    assert plan.households["walk_to_meeting_m"].tolist()[:3] == approx([0, 12, 22])
    assert plan.figures["objective_m"] == approx(40)  # of the medoids, wherever the meeting is held
    assert plan.figures["meeting_walk_m"] == approx(50)
    assert plan.figures["walk_max_m"] == approx(22)
    (told,) = [each for each in plan.remarks if each.code == "meeting-at-party-household"]
    assert "1 of 2 grids meet elsewhere" in told.message
    assert "50 household-metres, 10 more" in told.message
    assert "1 grids have no party household" in told.message
    assert plan.grids["party_members"].tolist() == [1, 0]
    assert (plan.figures["n_without_party"], plan.figures["n_under_3_party"]) == (1, 2)


def test_without_figures_of_the_party_its_counts_are_empty() -> None:
    plan = planned(village([(5 + 10 * at, 1) for at in range(6)]), small())
    assert (plan.figures["n_without_party"], plan.figures["n_under_3_party"]) == (None, None)


def test_a_far_household_belongs_to_its_neighbour_and_has_no_walk() -> None:
    points = [*((5 + 10 * at, 1) for at in range(6)), (60, 300)]
    plan = planned(village(points, ground=box(-20, -20, 80, 320)), small())
    assert plan.households["grid_id"].tolist() == [1, 1, 1, 2, 2, 2, 2]
    assert np.isnan(plan.households["walk_to_meeting_m"].iloc[6])
    assert plan.households["served"].tolist() == [True] * 6 + [False]
    told = next(each for each in plan.remarks if each.code == "household-far")
    assert (told.kind, told.ids) == ("doubt", ("H6",))
    assert plan.grids["households"].tolist() == [3, 4]
    # It counts with H5: 10 m to H4 for two households, so H5 with two is as good; the lower row meets.
    assert plan.figures["objective_m"] == approx(20 + 30)
    assert shapely.intersects(plan.grids.geometry.iloc[1], Point(60, 300))


def test_a_building_above_the_maximum_becomes_parts_in_its_slices() -> None:
    building = box(20, 2, 44, 10)
    site = village(
        [(32, 2), (5, 1), (55, 1)], buildings=[building], households=[8, 2, 2], building_id=["B0", None, None]
    )
    plan = planned(site, small("grids.max_households=5", "grids.target_households=4"))
    parts = plan.households[plan.households["household_id"] == "H0"]
    assert parts["part"].tolist() == [1, 2]
    assert parts["households"].tolist() == [4, 4]
    assert [each.x for each in parts.geometry] == approx([26, 38])
    assert plan.grids["households"].between(2, 5).all()
    assert shapely.coverage_is_valid(plan.grids.geometry.to_numpy())
    assert shapely.union_all(plan.grids.geometry.to_numpy()).equals(STRIP)


def test_a_part_too_small_for_a_grid_is_a_fault_with_its_way_out() -> None:
    alleys = {"A": [(0, 0), (60, 0)], "B": [(0, 90), (20, 90)]}
    points = [*((5 + 10 * at, 1) for at in range(6)), (5, 91)]
    plan = planned(village(points, alleys=alleys, ground=box(-20, -20, 80, 120)), small())
    told = next(each for each in plan.remarks if each.code == "grid-infeasible")
    assert told.kind == "fault"
    assert told.ids == ("H6",)
    assert "grids.min_households = 1" in told.remedy
    assert "across 90 m" in told.remedy
    lone = plan.grids[plan.grids["households"] == 1]
    assert lone["fault"].notna().all()
    assert plan.grids["fault"].notna().sum() == 1
    assert plan.figures["feasible_share"] == approx(2 / 3)
    assert plan.figures["contiguous_share"] == 1
    assert [each["state"] for each in plan.figures["parts"]] == ["feasible", "infeasible"]


def test_a_lonely_house_is_sent_where_it_can_be_cut_in() -> None:
    #  grids of 3 to 4: with the four houses at 30 m it would be five, with the six at 90 m seven
    alleys = {"A": [(0, 0), (60, 0)], "B": [(0, 90), (20, 90)], "C": [(0, 60), (60, 60)]}
    points = [*((5 + 10 * at, 1) for at in range(6)), (5, 91), *((5 + 10 * at, 61) for at in range(4))]
    limits = ("grids.min_households=3", "grids.max_households=4", "grids.target_households=3")
    plan = planned(village(points, alleys=alleys, ground=box(-20, -20, 80, 120)), small(*limits))
    told = next(each for each in plan.remarks if each.code == "grid-infeasible")
    assert told.ids == ("H6",)
    assert "across 90 m" in told.remedy


def test_groups_of_a_grid_are_named_and_counted() -> None:
    points = [(5 + 10 * at, 1) for at in range(6)]
    site = village(points, group=["b", "b", "a", "c", "c", "c"], residents=[3, 2, 1, 4, None, 1])
    plan = planned(site, small("grids.group_cost_m=7"))
    assert plan.grids["groups"].tolist() == ["a、b", "c"]
    assert plan.grids["main_group"].tolist() == ["b", "c"]
    assert plan.grids["residents"].tolist() == [6, 5]
    assert plan.grids["elderly"].isna().all()
    assert plan.figures["group_cost_m"] == approx(7)
    assert plan.figures["objective_m"] == approx(47)
    assert plan.figures["mixing_share"] == approx(0.5)
    told = [each for each in plan.remarks if each.code == "group-not-kept"]
    assert [each.ids for each in told] == [("b",)]  # its two would leave a alone
    assert plan.figures["groups_split"] == 1


def test_the_order_of_rows_in_the_file_changes_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    houses = gpd.GeoDataFrame(
        {"household_id": [f"H{at:02}" for at in range(24)], "households": rng.integers(1, 3, 24)},
        geometry=[Point(500000 + 5 * at, 3500001 + 2 * (at % 2)) for at in range(24)],
        crs="EPSG:4548",
    )
    alleys = gpd.GeoDataFrame(
        {"alley_id": ["A"]}, geometry=[LineString([(500000, 3500000), (500120, 3500000)])], crs="EPSG:4548"
    )
    plans = []
    for name, order in (("one", np.arange(24)), ("two", rng.permutation(24))):
        folder = tmp_path / name
        folder.mkdir()
        houses.iloc[order].to_file(folder / "households.gpkg")
        alleys.to_file(folder / "alleys.gpkg")
        plans.append(planned(read_site(folder, small()), small()))
    assert plans[0].households.equals(plans[1].households)
    assert plans[0].grids.equals(plans[1].grids)


# --- the township


@pytest.fixture(scope="module")
def township() -> tuple[Site, Settings, GridPlan]:
    chosen = read_settings(SHANNAN / "plan.toml", overrides=["work.effort=quick"])
    site = read_site(SHANNAN, chosen)
    return site, chosen, planned(site, chosen)


def test_the_township_is_cut_as_promised(township: tuple[Site, Settings, GridPlan]) -> None:
    site, chosen, plan = township
    limits = chosen.grids
    assert plan.figures["feasible_share"] == plan.figures["contiguous_share"] == 1
    assert plan.grids["households"].between(limits.min_households, limits.max_households).all()
    assert plan.grids["households"].sum() == site.layer("households")["households"].sum()
    assert plan.grids["residents"].sum() == site.layer("households")["residents"].sum()
    assert (
        plan.households.groupby("grid_id")["households"].sum().tolist() == plan.grids["households"].tolist()
    )
    assert plan.figures["objective_m"] >= plan.figures["bound_m"] > 0
    assert set(plan.figures) == set(SUMMARY["grids"])


@pytest.mark.parametrize("n_grids", [24, pytest.param(27, marks=pytest.mark.long)])
def test_a_number_of_grids_asked_for_is_kept_with_village_groups_too(n_grids: int) -> None:
    overrides = ["work.effort=quick", f"grids.n_grids={n_grids}"]
    chosen = read_settings(SHANNAN / "plan.toml", overrides=overrides)
    plan = planned(read_site(SHANNAN, chosen), chosen)
    assert len(plan.grids) == plan.figures["n"] == n_grids
    assert plan.figures["feasible_share"] == 1
    assert not [each for each in plan.remarks if each.kind == "fault" and each.code.startswith("n-grids")]


def test_keeping_groups_moves_the_number_of_grids_no_farther_than_it_must(
    township: tuple[Site, Settings, GridPlan],
) -> None:
    figures = township[2].figures
    assert figures["n"] == figures["n_plain"] == 25
    assert figures["objective_plain_m"] == figures["objective_m"]


def test_the_townships_tables_have_the_columns_of_the_contract(
    township: tuple[Site, Settings, GridPlan],
) -> None:
    plan = township[2]
    later = {"board_id", "walk_to_board_m", "share_way_lit"}
    columns = {each.name for each in PLAN_LAYERS["households"].columns} - later
    assert set(plan.households.columns) == columns | {"served", "geometry"}
    assert list(plan.grids.columns) == [*(each.name for each in PLAN_LAYERS["grids"].columns), "geometry"]
    assert set(plan.grids.geom_type) == {"MultiPolygon"}
    assert not plan.households.duplicated(["household_id", "part"]).any()


def test_the_townships_branches_and_workers_are_in_one_piece(
    township: tuple[Site, Settings, GridPlan],
) -> None:
    site, chosen, plan = township
    network = build_network(site, chosen)
    near = touching(network, doors(site, network, chosen))
    graph = csr_array((np.ones(len(near.indices)), near.indices, near.indptr), shape=[len(near.part)] * 2)
    first = plan.households.drop_duplicates("household_id")
    whole = plan.households.groupby("household_id")["grid_id"].nunique() == 1
    assert (plan.grids.groupby("worker_id")["branch_id"].nunique() == 1).all()
    for column in ("branch_id", "worker_id"):
        union = plan.grids[column].to_numpy()[first["grid_id"] - 1]
        usable = first["served"].to_numpy() & whole.loc[first["household_id"]].to_numpy()
        for each in np.unique(union):
            rows = np.flatnonzero((union == each) & usable)
            split = np.flatnonzero(~whole.loc[first["household_id"]].to_numpy())
            pieces = nx.from_scipy_sparse_array(graph[np.r_[rows, split]][:, np.r_[rows, split]])
            reached = nx.node_connected_component(pieces, 0)
            assert set(range(len(rows))) <= reached


def test_kotka_is_cut_but_for_what_is_proved_impossible(kotka_plan: Path) -> None:
    summary = json.loads((kotka_plan / "summary.json").read_text(encoding="utf-8"))
    states = {each["households"]: each["state"] for each in summary["grids"]["parts"]}
    assert "undecided" not in states.values()
    assert {n: states[n] for n in (3, 5, 38)} == {3: "infeasible", 5: "infeasible", 38: "feasible"}
    grids = gpd.read_file(kotka_plan / "plan.gpkg", layer="grids")
    wrong = ~grids["households"].between(30, 50)
    # Two parts, and 28 at one point whose only ways out lead past one household to 34 and to 35.
    assert sorted(grids.loc[wrong, "households"]) == [3, 5, 28]
    assert (grids["fault"].notna() == wrong).all()
    told = [each for each in summary["faults"] if each["code"] == "grid-infeasible"]
    assert len(told) == 3 and all(each["ids"] and each["remedy"] for each in told)
    assert sum("in a straight line" in each["remedy"] for each in told) == 2
    assert summary["grids"]["contiguous_share"] == 1
