"""The network: repairs drawn by hand, laws of cutting, stops and walks judged by networkx."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import geopandas
import networkx as nx
import numpy as np
import pytest
import shapely
from geopandas import GeoDataFrame
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx
from shapely.geometry import LineString, Point, box
from shapely.geometry.base import BaseGeometry

from spatial.errors import DataError, Remark
from spatial.load import Site, read_site
from spatial.network import AlleyNetwork, Stops, Walks, build_network, doors, snap_points, walking, walks
from spatial.settings import Settings
from tests.drawn import Corners, drawn_network, drawn_site, off_grid, on_grid, spots

law = settings(deadline=None, max_examples=40)


def remark(network: AlleyNetwork, code: str) -> Remark | None:
    return next((each for each in network.remarks if each.code == code), None)


def length_by_alley(network: AlleyNetwork) -> dict[str, float]:
    total_m = np.bincount(network.edge_alley, network.edge_length_m, len(network.alleys))
    return dict(zip(network.alleys["alley_id"], total_m.tolist(), strict=True))


def codes(network: AlleyNetwork) -> list[str]:
    return [each.code for each in network.remarks]


def assert_same(a: AlleyNetwork, b: AlleyNetwork) -> None:
    for name in ("node_xy", "edge_nodes", "edge_length_m", "edge_alley", "edge_from_m", "node_part"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert shapely.equals_exact(a.edge_lines, b.edge_lines, 0.0).all()
    assert list(a.alleys["alley_id"]) == list(b.alleys["alley_id"])


# --- repairs, drawn by hand


def test_an_alley_that_ends_on_another_makes_a_junction() -> None:
    #  A──┬──A
    #     B
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(8, 0), (8, -5)]})
    assert network.node_xy.tolist() == [[0, 0], [8, 0], [20, 0], [8, -5]]
    assert network.edge_nodes.tolist() == [[0, 1], [1, 2], [1, 3]]
    assert network.edge_from_m.tolist() == [0, 8, 0]
    assert network.edge_length_m.tolist() == [8, 12, 5]
    assert network.remarks == ()


def test_a_gap_of_30_cm_is_closed_by_drawing_the_alley_on() -> None:
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(8, -0.3), (8, -5)]})
    assert length_by_alley(network) == approx({"A": 20, "B": 5})
    assert network.node_part.max() == 0
    joined = remark(network, "ends-joined")
    assert joined is not None and joined.ids == ("B",) and joined.kind == "note"
    assert joined.spots == (("B", 8, 0),)


def test_ends_30_cm_apart_meet_at_the_end_of_the_first() -> None:
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(20.3, 0), (40, 0)]})
    assert network.node_xy.tolist() == [[0, 0], [20, 0], [40, 0]]
    assert remark(network, "ends-joined").ids == ("B",)


def test_a_gap_wider_than_snap_m_stays_and_is_a_doubt() -> None:
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(8, -0.6), (8, -5)]})
    assert network.node_part.tolist() == [0, 0, 1, 1]
    cut_off = remark(network, "alleys-cut-off")
    assert cut_off.kind == "doubt" and cut_off.ids == ("B",)
    assert "1 part of the alleys, 4 m in all, is cut off from the largest (20 m)" in cut_off.message


def test_snap_m_of_nothing_joins_nothing() -> None:
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(8, -0.3), (8, -5)]}, snap_m=0)
    assert network.node_part.max() == 1


def test_an_end_that_runs_past_its_junction_is_joined_already() -> None:
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(8, 0.3), (8, -5)]})
    assert length_by_alley(network) == approx({"A": 20, "B": 5.3})
    assert "ends-joined" not in codes(network)


def test_a_short_piece_between_two_junctions_is_no_gap() -> None:
    #  A and C end 0.4 m apart, B connects them
    alleys = {"A": [(0, 0), (9, 0)], "B": [(9, 0), (9.4, 0)], "C": [(9.4, 0), (20, 3)], "D": [(9, 0), (9, 5)]}
    network = drawn_network(alleys)
    assert length_by_alley(network)["B"] == approx(0.4)
    assert network.remarks == ()


def test_lines_side_by_side_do_not_chase_each_other() -> None:
    network = drawn_network({"A": [(0, 0), (10, 0)], "B": [(9, 0.2), (20, 0.2)]})
    assert network.node_part.max() == 0
    assert_same(network, build_network(drawn_site_of(network), Settings()))


def test_a_crossing_without_a_vertex_is_noded_and_noted() -> None:
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(8, -5), (8, 5)]})
    assert network.edge_length_m.tolist() == [8, 12, 5, 5]
    noted = remark(network, "crossings-noded")
    assert noted.ids == ("A", "B") and noted.message.startswith("1 crossing without a shared vertex")
    assert noted.spots == (("A × B", 8, 0),)


def test_a_shared_vertex_in_mid_line_is_a_junction_and_not_worth_a_note() -> None:
    network = drawn_network({"A": [(0, 0), (8, 0), (20, 0)], "B": [(8, -5), (8, 0), (8, 5)]})
    assert network.edge_length_m.tolist() == [8, 12, 5, 5]
    assert network.remarks == ()


def test_a_bridge_passes_over_in_mid_line() -> None:
    alleys = {"A": [(0, 0), (8, 0), (20, 0)], "B": [(8, -5), (8, 0), (8, 6)]}
    network = drawn_network(alleys, bridges="B")
    assert network.edge_length_m.tolist() == [20, 11]
    assert network.node_part.tolist() == [0, 0, 1, 1]
    apart = remark(network, "crossings-apart")
    assert apart.ids == ("A", "B") and apart.message.startswith("1 crossing kept apart")
    assert apart.spots == (("A × B", 8, 0),)


def test_a_bridge_meets_the_way_that_leads_onto_it() -> None:
    network = drawn_network({"A": [(0, 0), (8, 0)], "B": [(8.3, 0), (12, 0)]}, bridges="B")
    assert network.node_part.max() == 0


def test_a_bridge_that_ends_near_the_middle_of_a_street_does_not_join_it() -> None:
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(8, 0.3), (8, 9)]}, bridges="B")
    assert network.node_part.max() == 1


def test_a_bridge_that_ends_on_a_corner_of_a_street_meets_it() -> None:
    network = drawn_network({"A": [(0, 0), (8, 0), (20, 0)], "B": [(8, 0), (8, 9)]}, bridges="B")
    assert network.node_part.max() == 0


@pytest.mark.parametrize(
    "double",
    [
        [(0, 0), (9, 3), (20, 0)],
        [(20, 0), (9, 3), (0, 0)],
        [(0, 0.0005), (9, 3), (20, 0)],
    ],
    ids=["same way", "other way", "half a millimetre off"],
)
def test_a_line_drawn_twice_counts_once_and_the_lower_id_stays(double: Corners) -> None:
    alleys = {"B": double, "A": [(0, 0), (9, 3), (20, 0)], "C": [(9, 3), (9, 9)]}
    network = drawn_network(alleys)
    assert list(network.alleys["alley_id"]) == ["A", "C"]
    assert remark(network, "alleys-doubled").ids == ("B",)


def test_an_overlap_counts_once() -> None:
    network = drawn_network({"A": [(0, 0), (12, 0)], "B": [(8, 0), (20, 0)]})
    assert length_by_alley(network) == {"A": 12, "B": 8}
    overlap = remark(network, "overlaps-dropped")
    assert overlap.ids == ("B",) and overlap.message.startswith("4.0 m")


def test_an_alley_that_lies_on_two_others_is_dropped() -> None:
    network = drawn_network({"A": [(0, 0), (8, 0)], "B": [(8, 0), (20, 0)], "C": [(2, 0), (17, 0)]})
    assert length_by_alley(network) == {"A": 8, "B": 12}
    assert len(network.edge_nodes) == 2  # and its ends cut nothing
    assert remark(network, "alleys-doubled").ids == ("C",)


def test_a_ring_without_a_junction_is_an_edge_from_a_node_to_itself() -> None:
    network = drawn_network({"A": [(0, 0), (8, 0), (8, 8), (0, 8), (0, 0)]})
    assert network.edge_nodes.tolist() == [[0, 0]]
    assert network.edge_length_m.tolist() == [32]


def test_a_line_that_crosses_itself_is_cut_there() -> None:
    #  runs east, turns back north-west and comes down through itself at (4, 0)
    network = drawn_network({"A": [(0, 0), (8, 0), (8, 4), (4, 4), (4, -3)]})
    assert network.edge_length_m.tolist() == [4, 16, 3]
    assert network.edge_nodes.tolist() == [[0, 1], [1, 1], [1, 2]]


def test_a_line_that_ends_on_itself_is_cut_there() -> None:
    network = drawn_network({"A": [(0, 0), (8, 0), (8, 4), (4, 4), (4, 0)]})
    assert network.edge_length_m.tolist() == [4, 16]


def test_a_line_that_runs_back_over_itself_counts_once() -> None:
    network = drawn_network({"A": [(0, 0), (8, 0), (5, 0), (5, 4)]})
    assert network.edge_length_m.tolist() == [5, 3, 4]
    assert remark(network, "overlaps-dropped").ids == ("A",)


def test_parts_are_numbered_by_decreasing_length() -> None:
    network = drawn_network({"A": [(0, 0), (5, 0)], "B": [(0, 9), (30, 9)], "C": [(0, 20), (5, 20)]})
    assert network.node_part.tolist() == [1, 1, 0, 0, 2, 2]  # A and C are equal: A is further south


def test_a_line_without_length_is_dropped_and_alone_refused() -> None:
    network = drawn_network({"A": [(0, 0), (5, 0)], "B": [(3, 0), (3, 0.0004)]})
    assert remark(network, "alleys-collapsed").ids == ("B",)
    with pytest.raises(DataError, match="no line is longer than 1 mm"):
        drawn_network({"B": [(3, 0), (3, 0.0004)]})


def test_graph_shows_the_network_to_networkx() -> None:
    network = drawn_network({"A": [(0, 0), (8, 0), (8, 6), (0, 0)], "B": [(0, 0), (8, 6)]})
    graph = network.graph()
    assert isinstance(graph, nx.MultiGraph)
    assert graph.size(weight="length_m") == approx(24)
    assert [each["alley_id"] for *_, each in graph.edges(data=True)] == ["A"] * graph.number_of_edges()
    assert graph.nodes[0] == {"x": 0.0, "y": 0.0, "part": 0}


# --- laws of cutting and repair


@law
@given(alleys=on_grid(cells=5, step_m=4.0))
def test_edges_of_an_alley_add_up_to_its_length(alleys: dict[str, Corners]) -> None:
    network = drawn_network(alleys)
    overlap = remark(network, "overlaps-dropped")
    partly = set(overlap.ids) if overlap else set()
    for alley_id, length_m in length_by_alley(network).items():
        drawn_m = LineString(alleys[alley_id]).length
        if alley_id in partly:
            assert 0 < length_m < drawn_m
        else:
            assert length_m == approx(drawn_m, abs=1e-9)


@law
@given(alleys=on_grid(cells=5, step_m=4.0))
def test_every_metre_counts_once(alleys: dict[str, Corners]) -> None:
    network = drawn_network(alleys)
    union = shapely.union_all([LineString(each) for each in alleys.values()], grid_size=1e-5)
    assert network.edge_length_m.sum() == approx(union.length, abs=0.01)


@law
@given(alleys=off_grid(cells=5))
def test_edges_meet_only_at_nodes(alleys: dict[str, Corners]) -> None:
    network = drawn_network(alleys)
    i, j = np.triu_indices(len(network.edge_lines), k=1)
    common = shapely.intersection(network.edge_lines[i], network.edge_lines[j])
    nodes = shapely.MultiPoint(network.node_xy)
    assert shapely.length(common).max(initial=0.0) < 0.01
    assert shapely.distance(shapely.points(shapely.get_coordinates(common)), nodes).max(initial=0.0) < 0.01


@law
@given(alleys=on_grid(cells=8, step_m=0.3))
def test_building_from_repaired_alleys_changes_nothing(alleys: dict[str, Corners]) -> None:
    network = drawn_network(alleys)
    assert_same(network, build_network(drawn_site_of(network), Settings()))


@law
@given(alleys=off_grid(cells=4), seed=st.integers(0, 99))
def test_the_order_of_alleys_changes_nothing(alleys: dict[str, Corners], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(list(alleys))
    assert_same(drawn_network(alleys), drawn_network({each: alleys[each] for each in order}))


@law
@given(alleys=on_grid(cells=8, step_m=0.3))
def test_no_free_end_is_left_within_reach_of_another_end(alleys: dict[str, Corners]) -> None:
    network = drawn_network(alleys)
    degree = np.bincount(network.edge_nodes.ravel(), minlength=len(network.node_xy))
    dead_ends = np.flatnonzero(degree == 1)
    graph = network.graph()
    for a, b in itertools.combinations(dead_ends.tolist(), 2):
        if np.hypot(*(network.node_xy[a] - network.node_xy[b])) < 0.499:
            assert nx.has_path(graph, a, b)


def drawn_site_of(network: AlleyNetwork) -> Site:
    site = drawn_site({})
    return Site(site.community, site.crs, {"alleys": network.alleys}, None, (), ())


# --- stops


STREET = {"A": [(0, 0), (100, 0)], "B": [(0, 20), (100, 20)]}


def test_a_point_goes_to_the_nearest_centre_line() -> None:
    stops = snap_points(drawn_network(STREET), spots((30, 4), (30, 17), (-3, -4)))
    assert stops.edge.tolist() == [0, 1, 0]
    assert stops.along_m.tolist() == [30, 30, 0]
    assert stops.offset_m.tolist() == [4, 3, 5]
    assert stops.stop_xy.tolist() == [[30, 0], [30, 20], [0, 0]]
    assert stops.part.tolist() == [0, 1, 0]


def test_a_point_too_far_from_any_alley_has_no_stop() -> None:
    stops = snap_points(drawn_network(STREET), spots((30, -5), (30, -5.01)), max_access_m=5)
    assert stops.edge.tolist() == [0, -1]
    assert stops.node.tolist() == [0, -1] and stops.part.tolist() == [0, -1]
    assert np.isnan(stops.along_m[1]) and stops.point_xy[1].tolist() == [30, -5.01]


def test_a_barrier_sends_a_house_to_the_alley_on_its_own_side() -> None:
    wall = LineString([(0, 3), (100, 3)])
    stops = snap_points(drawn_network(STREET), spots((30, 4), (30, 2)), barriers=barrier_layer(wall))
    assert stops.edge.tolist() == [1, 0]
    assert stops.offset_m.tolist() == [16, 2]


def test_a_house_may_go_round_the_end_of_a_wall() -> None:
    #  the alley turns the corner, and its second arm can be reached
    network = drawn_network({"A": [(0, 0), (20, 0), (20, 20)]})
    wall = LineString([(0, 1), (18, 1)])
    stops = snap_points(network, spots((12, 6)), barriers=barrier_layer(wall))
    assert stops.stop_xy.tolist() == [[20, 6]]


def test_a_house_shut_off_by_a_river_has_no_stop() -> None:
    river = box(-10, 2, 110, 3)
    site = drawn_site({"A": STREET["A"]}, households=spots((30, 9), (30, 1)), barriers=[river])
    network = build_network(site, Settings())
    assert doors(site, network, Settings()).edge.tolist() == [-1, 0]


def test_houses_along_a_main_road_reach_it_though_it_is_a_barrier() -> None:
    road = box(-10, -4, 110, 4)
    stops = snap_points(drawn_network(STREET), spots((30, 6), (30, -6)), barriers=barrier_layer(road))
    assert stops.edge.tolist() == [0, 0]


def test_the_door_of_a_footprint_is_where_its_wall_is_nearest() -> None:
    site = drawn_site(STREET, households=[box(30, 5, 40, 12), Point(50, 4)])
    network = build_network(site, Settings())
    stops = doors(site, network, Settings())
    assert stops.offset_m.tolist() == [5, 4]
    assert stops.point_xy[0, 1] == 5 and 30 <= stops.point_xy[0, 0] <= 40
    assert stops.stop_xy[0, 0] == stops.point_xy[0, 0]


def test_a_footprint_over_an_alley_has_its_door_where_the_alley_passes_its_wall() -> None:
    site = drawn_site({"A": STREET["A"]}, households=[box(30, -5, 40, 5)])
    stops = doors(site, build_network(site, Settings()), Settings())
    assert stops.offset_m.tolist() == [0] and stops.stop_xy[0, 0] in (30, 40)


def test_stops_within_1_cm_are_one() -> None:
    stops = snap_points(drawn_network(STREET), spots((30.009, 4), (30, -4), (30.03, 1)))
    assert stops.node.tolist() == [0, 0, 1]
    assert stops.along_m.tolist() == [30, 30, 30.03]


def test_stops_within_1_cm_round_a_corner_are_one() -> None:
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(8, 0), (8, -5)]})
    stops = snap_points(network, spots((7.996, 1), (8.002, -0.004), (8.002, -0.02)))
    assert stops.node.tolist() == [0, 0, 1]


def barrier_layer(*shapes: BaseGeometry) -> GeoDataFrame:
    return drawn_site({}, barriers=shapes).layer("barriers")


# --- walks


def walk_table(found: Walks) -> dict[tuple[int, int], float]:
    row = np.repeat(np.arange(len(found.indptr) - 1), np.diff(found.indptr))
    keys = zip(row.tolist(), found.indices.tolist(), strict=True)
    return dict(zip(keys, found.distance_m.tolist(), strict=True))


def both_ways(table: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    return table | {(j, i): each for (i, j), each in table.items()}


def test_walks_run_along_the_alleys() -> None:
    #  0 and 1 on the street, 2 down the dead end
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(8, 0), (8, -5)]})
    stops = snap_points(network, spots((2, 3), (17, -2), (9, -4)))
    table = walk_table(walks(network, stops, stops))
    assert table == {(0, 0): 0, (1, 1): 0, (2, 2): 0} | both_ways({(0, 1): 15, (0, 2): 10, (1, 2): 13})
    assert set(walk_table(walks(network, stops, stops, limit_m=10))) == {
        (0, 0),
        (0, 2),
        (1, 1),
        (2, 0),
        (2, 2),
    }


def test_a_walk_round_a_ring_takes_the_shorter_way() -> None:
    network = drawn_network({"A": [(0, 0), (8, 0), (8, 8), (0, 8), (0, 0)]})
    stops = snap_points(network, spots((1, 0), (0, 2), (8, 1)))
    assert walk_table(walks(network, stops.take([0]), stops)) == {(0, 0): 0, (0, 1): 3, (0, 2): 8}


def test_no_walk_leads_to_another_part_or_from_a_far_house() -> None:
    network = drawn_network(STREET)
    stops = snap_points(network, spots((30, 4), (30, 17), (30, 90)), max_access_m=10)
    assert walk_table(walks(network, stops, stops)) == {(0, 0): 0, (1, 1): 0}


def test_walks_without_sources_or_targets_are_empty() -> None:
    network = drawn_network(STREET)
    none, one = snap_points(network, []), snap_points(network, spots((1, 1)))
    assert walks(network, none, one).indptr.tolist() == [0]
    assert walks(network, one, none).indptr.tolist() == [0, 0]
    assert walk_table(walks(network, one, snap_points(network, spots((1, 90)), max_access_m=9))) == {}


def test_sources_that_share_a_stop_have_the_same_walks_whatever_is_walked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    #  0, 2 and 4 behind one door, 1 out of reach, 3 further on
    network = drawn_network(STREET)
    stops = snap_points(network, spots((2, 0), (2, 90), (2, 0), (7, 0), (2, 0)), max_access_m=10)
    behind_one_door = [[0, 2, 3, 4], [0.0, 0.0, 5.0, 0.0]]
    for sources_at_once in (1, 2, 3, 99):
        monkeypatch.setattr(walking, "SOURCES_AT_ONCE", sources_at_once)
        found = walks(network, stops, stops)
        assert found.indptr.tolist() == [0, 4, 4, 8, 12, 16]
        rows = [
            [each[a:b].tolist() for each in (found.indices, found.distance_m)]
            for a, b in itertools.pairwise(found.indptr)
        ]
        alone = [[0, 2, 3, 4], [5.0, 5.0, 0.0, 5.0]]
        assert rows == [behind_one_door, [[], []], behind_one_door, alone, behind_one_door]
        assert found.indices.dtype == np.int32


SPOTS = st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=7)


def judged_walk(network: AlleyNetwork, a: Stops, i: int, b: Stops, j: int) -> float:
    """The shortest way over the ends of both edges, or along a common edge, found by networkx."""
    graph = network.graph()
    e, f = int(a.edge[i]), int(b.edge[j])
    best = abs(a.along_m[i] - b.along_m[j]) if e == f else np.inf
    to_ends = (a.along_m[i], network.edge_length_m[e] - a.along_m[i])
    from_ends = (b.along_m[j], network.edge_length_m[f] - b.along_m[j])
    for u, out_m in zip(network.edge_nodes[e].tolist(), to_ends, strict=True):
        reach = nx.single_source_dijkstra_path_length(graph, u, weight="length_m")
        for v, in_m in zip(network.edge_nodes[f].tolist(), from_ends, strict=True):
            best = min(best, out_m + reach.get(v, np.inf) + in_m)
    return best


@law
@given(alleys=on_grid(cells=5, step_m=1.0), sources=SPOTS, targets=SPOTS)
def test_walks_agree_with_networkx(alleys: dict[str, Corners], sources: list, targets: list) -> None:
    network = drawn_network(alleys)
    a, b = snap_points(network, spots(*sources)), snap_points(network, spots(*targets))
    found = walk_table(walks(network, a, b))
    for i, j in itertools.product(range(len(a)), range(len(b))):
        assert found.get((i, j), np.inf) == approx(judged_walk(network, a, i, b, j), abs=1e-6)


@law
@given(alleys=off_grid(cells=5), points=SPOTS, limit_m=st.floats(0, 12))
def test_walks_are_the_same_there_and_back_and_whoever_else_is_asked(
    alleys: dict[str, Corners], points: list, limit_m: float
) -> None:
    network = drawn_network(alleys)
    stops = snap_points(network, spots(*points))
    every = walk_table(walks(network, stops, stops, limit_m=limit_m))
    assert every == {(j, i): each for (i, j), each in every.items()}
    first, last = stops.take([0]), stops.take([len(stops) - 1])
    alone = walk_table(walks(network, first, last, limit_m=limit_m))
    assert alone.get((0, 0)) == every.get((0, len(stops) - 1))


@law
@given(alleys=off_grid(cells=5), points=SPOTS, seed=st.integers(0, 99))
def test_the_order_of_points_changes_nothing(alleys: dict[str, Corners], points: list, seed: int) -> None:
    network = drawn_network(alleys)
    order = np.random.default_rng(seed).permutation(len(points))
    shuffled = snap_points(network, [spots(*points)[row] for row in order])
    plain = snap_points(network, spots(*points)).take(order)
    for name in ("stop_xy", "edge", "along_m", "node", "part"):
        assert np.array_equal(getattr(shuffled, name), getattr(plain, name)), name


# --- real places


@pytest.mark.real
def test_kotka_has_three_small_parts_beside_the_town(place: Callable[[str], Path]) -> None:
    site = read_site(place("kotka-finland"), Settings())
    network = build_network(site, Settings())
    stops = doors(site, network, Settings())
    households = site.layer("households")["households"].to_numpy(dtype=np.int64)
    served = stops.part >= 0
    by_part = np.bincount(stops.part[served], households[served])
    assert by_part[by_part > 0].tolist() == [3099, 38, 5, 3]
    assert (~served).sum() == 14  # houses more than 100 m from any way
    assert_same(network, build_network(drawn_site_of(network), Settings()))
    length_m = shapely.length(network.alleys.geometry.to_numpy())
    assert np.array(list(length_by_alley(network).values())) == approx(length_m, abs=1e-6)


@pytest.mark.real
def test_a_city_is_cut_without_losing_a_metre(place: Callable[[str], Path]) -> None:
    # the alleys alone: reading 120,000 houses and buildings would take longer than all other tests
    file = place("new-york-city") / "new-york-city.gpkg"
    drawn = geopandas.read_file(file, layer="alleys", columns=["alley_id", "bridge", "tunnel"])
    drawn[["bridge", "tunnel"]] = drawn[["bridge", "tunnel"]] == "T"
    network = build_network(Site("city", drawn.crs, {"alleys": drawn}, None, (), ()), Settings())
    drawn_m = network.alleys.length.sum()
    doubled_m = float(remark(network, "overlaps-dropped").message.split(" m ")[0])
    assert network.edge_length_m.sum() == approx(drawn_m - doubled_m, abs=0.1)
    assert network.edge_length_m.min() > 0.001
