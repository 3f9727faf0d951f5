"""Who touches whom: cases drawn by hand, and a judge that compares every stop at every border."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pytest import approx
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry import box

from spatial.adjacency import Adjacency, Cells, touching, voronoi_cells
from spatial.load import read_site
from spatial.network import AlleyNetwork, Stops, build_network, doors, snap_points
from spatial.settings import Settings
from tests.drawn import Corners, drawn_network, drawn_site, off_grid, on_grid, spots

law = settings(deadline=None, max_examples=40)
SPOTS = st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=7)


def pairs(adjacency: Adjacency) -> set[tuple[int, int]]:
    """Touching rows, the lower first, after checking that each knows the other."""
    row = np.repeat(np.arange(len(adjacency.indptr) - 1), np.diff(adjacency.indptr))
    both = set(zip(row.tolist(), adjacency.indices.tolist(), strict=True))
    assert both == {(b, a) for a, b in both}
    return {(a, b) for a, b in both if a <= b}


def cell_rows(cells: Cells) -> list[tuple[int, float, float, int]]:
    columns = (cells.edge, cells.from_m, cells.to_m, cells.row)
    return list(zip(*(each.tolist() for each in columns), strict=True))


# --- drawn by hand


def test_neighbours_along_an_alley_touch() -> None:
    network = drawn_network({"A": [(0, 0), (30, 0)]})
    stops = snap_points(network, spots((25, 1), (5, 1), (15, 1)))
    assert pairs(touching(network, stops)) == {(0, 2), (1, 2)}
    assert cell_rows(voronoi_cells(network, stops)) == [(0, 0, 10, 1), (0, 10, 20, 2), (0, 20, 30, 0)]


def test_three_arms_of_a_junction_touch_the_house_nearest_to_it() -> None:
    #  0 ─── ┬ ── 1      0 is 6 m, 1 is 4 m and 2 is 5 m from the junction
    #        2
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(8, 0), (8, -9)]})
    stops = snap_points(network, spots((2, 1), (12, 1), (9, -5)))
    assert pairs(touching(network, stops)) == {(0, 1), (1, 2)}
    assert cell_rows(voronoi_cells(network, stops)) == [
        (0, 0, 7, 0),  # 1 has the junction and a metre beyond
        (0, 7, 8, 1),
        (1, 0, 12, 1),
        (2, 0, 0.5, 1),
        (2, 0.5, 9, 2),
    ]


def test_a_junction_equally_near_to_three_goes_to_the_lowest_row() -> None:
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(8, 0), (8, -9)]})
    stops = snap_points(network, spots((4, 1), (12, 1), (9, -4)))
    assert pairs(touching(network, stops)) == {(0, 1), (0, 2)}


def test_two_doors_in_a_dead_end_follow_each_other() -> None:
    network = drawn_network({"A": [(0, 0), (20, 0)], "B": [(8, 0), (8, -9)]})
    stops = snap_points(network, spots((9, -8), (9, -3), (2, 1)))
    assert pairs(touching(network, stops)) == {(0, 1), (1, 2)}


def test_houses_in_a_ring_touch_all_round() -> None:
    network = drawn_network({"A": [(0, 0), (8, 0), (8, 8), (0, 8), (0, 0)]})
    stops = snap_points(network, spots((4, 1), (7, 4), (4, 7), (1, 4)))
    assert pairs(touching(network, stops)) == {(0, 1), (1, 2), (2, 3), (0, 3)}


def test_doors_at_one_stop_touch_each_other_and_their_neighbours() -> None:
    #  0 and 1 face each other, 2 is 5 mm beside them, 3 further on
    network = drawn_network({"A": [(0, 0), (30, 0)]})
    stops = snap_points(network, spots((5, 1), (5, -1), (5.005, 2), (15, 1)))
    assert pairs(touching(network, stops)) == {(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)}
    assert {row for *_, row in cell_rows(voronoi_cells(network, stops))} == {0, 3}


def test_a_bridge_joins_only_the_banks_it_connects() -> None:
    #  the street 0-1 passes under the bridge 2-3
    alleys = {"A": [(0, 0), (20, 0)], "B": [(8, -9), (8, 9)]}
    houses = spots((4, 1), (16, 1), (9, -8), (9, 8))
    over = drawn_network(alleys, bridges="B")
    assert pairs(touching(over, snap_points(over, houses))) == {(0, 1), (2, 3)}
    level = drawn_network(alleys)
    assert pairs(touching(level, snap_points(level, houses))) == {(0, 1), (0, 2), (0, 3)}


def test_across_a_river_only_the_bridge_joins() -> None:
    #  alleys on both banks, 4 m apart; the way over is at x = 50
    alleys = {"N": [(0, 2), (50, 2)], "S": [(0, -2), (50, -2)], "W": [(50, 2), (50, -2)]}
    river = box(-5, -1, 55, 1)
    houses = spots((10, 1.2), (10, -1.2), (40, 3), (40, -3))
    site = drawn_site(alleys, bridges="W", households=houses, barriers=[river])
    network = build_network(site, Settings())
    assert pairs(touching(network, doors(site, network, Settings()))) == {(0, 2), (2, 3), (1, 3)}


def test_rows_without_a_stop_touch_nobody() -> None:
    network = drawn_network({"A": [(0, 0), (30, 0)], "B": [(0, 90), (9, 90)]})
    stops = snap_points(network, spots((5, 1), (5, 50), (15, 1), (3, 91)), max_access_m=9)
    adjacency = touching(network, stops)
    assert pairs(adjacency) == {(0, 2)}
    assert adjacency.part.tolist() == [0, -1, 0, 1]


def test_parts_without_a_house_are_nobodys() -> None:
    network = drawn_network({"A": [(0, 0), (30, 0)], "B": [(0, 90), (9, 90)]})
    cells = voronoi_cells(network, snap_points(network, spots((3, 91))))
    assert cell_rows(cells) == [(0, 0, 30, -1), (1, 0, 9, 0)]


def test_nobody_touches_where_nobody_lives() -> None:
    network = drawn_network({"A": [(0, 0), (30, 0)]})
    none = snap_points(network, [])
    assert touching(network, none).indptr.tolist() == [0]
    assert cell_rows(voronoi_cells(network, none)) == [(0, 0, 30, -1)]


def test_a_tower_at_one_stop_costs_its_own_square_and_no_more() -> None:
    network = drawn_network({"A": [(0, 0), (300, 0)]})
    stops = snap_points(network, spots(*[(150, 1)] * 300, *[(x, 1) for x in range(0, 140, 2)]))
    adjacency = touching(network, stops)
    assert len(adjacency.indices) == 300 * 299 + 2 * 300 + 2 * 69


# --- laws


def borders(network: AlleyNetwork, stops: Stops) -> tuple[set[tuple[int, int]], dict[int, float]]:
    """Touching pairs and metres by row, found by comparing all rows between every two possible borders.

    On an edge the way to a row is the least of straight pieces with slope 1 or -1; who is nearest
    can change only where two such pieces meet.
    """
    graph = network.graph()
    touch: set[tuple[int, int]] = set()
    metres = dict.fromkeys(range(len(stops)), 0.0)
    to_node = [_to_nodes(network, graph, stops, row) for row in range(len(stops))]
    for edge, (u, v) in enumerate(network.edge_nodes.tolist()):
        length_m = float(network.edge_length_m[edge])
        up = [each.get(u, np.inf) for each in to_node]  # distance = up + x
        down = [each.get(v, np.inf) + length_m for each in to_node]  # distance = down - x
        here = {row: float(stops.along_m[row]) for row in np.flatnonzero(stops.edge == edge).tolist()}
        rising = [*up, *(-at for at in here.values())]
        falling = [*down, *here.values()]
        cuts = {(f - r) / 2 for r, f in itertools.product(rising, falling) if np.isfinite(f - r)}
        cuts = sorted({0.0, length_m, *(each for each in cuts if 0 < each < length_m)})
        owners: list[int] = []
        for a, b in itertools.pairwise(cuts):
            x = (a + b) / 2
            far = [
                min(up[row] + x, down[row] - x, abs(here.get(row, np.inf) - x)) for row in range(len(stops))
            ]
            if np.isfinite(min(far)) and b - a > 1e-9:
                owners.append(int(np.argmin(far)))
                metres[owners[-1]] += b - a
        touch |= {(min(pair), max(pair)) for pair in itertools.pairwise(owners) if pair[0] != pair[1]}
    return touch, metres


def _to_nodes(network: AlleyNetwork, graph: nx.MultiGraph, stops: Stops, row: int) -> dict[int, float]:
    edge, at_m = int(stops.edge[row]), float(stops.along_m[row])
    u, v = network.edge_nodes[edge].tolist()
    reach: dict[int, float] = {}
    for node, out_m in ((u, at_m), (v, float(network.edge_length_m[edge]) - at_m)):
        for to, length_m in nx.single_source_dijkstra_path_length(graph, node, weight="length_m").items():
            reach[to] = min(reach.get(to, np.inf), out_m + length_m)
    return reach


@law
@given(alleys=off_grid(cells=5), points=SPOTS)
def test_cells_agree_with_comparing_everybody_everywhere(alleys: dict[str, Corners], points: list) -> None:
    network = drawn_network(alleys)
    stops = snap_points(network, spots(*points))
    stops = stops.take(np.unique(stops.node, return_index=True)[1])  # one row a stop
    assume(not _ties(network, stops))
    judged, metres = borders(network, stops)
    cells = voronoi_cells(network, stops)
    own = cells.row >= 0
    found_m = np.bincount(cells.row[own], (cells.to_m - cells.from_m)[own], len(stops))
    assert pairs(touching(network, stops)) == judged
    assert found_m.tolist() == approx(list(metres.values()), abs=1e-5)


def _ties(network: AlleyNetwork, stops: Stops) -> bool:
    """Whether a node is equally near to two stops: then the judge's choice is as good as ours."""
    graph = network.graph()
    to_node = [_to_nodes(network, graph, stops, row) for row in range(len(stops))]
    for node in graph:
        near = sorted(each.get(node, np.inf) for each in to_node)
        if len(near) > 1 and np.isfinite(near[1]) and near[1] - near[0] < 1e-6:
            return True
    return False


@law
@given(alleys=on_grid(cells=5, step_m=1.0), points=SPOTS)
def test_parts_are_the_components_of_touching(alleys: dict[str, Corners], points: list) -> None:
    network = drawn_network(alleys)
    stops = snap_points(network, spots(*points), max_access_m=1.5)
    adjacency = touching(network, stops)
    n = len(stops)
    link = csr_array((np.ones(len(adjacency.indices)), adjacency.indices, adjacency.indptr), shape=(n, n))
    label = connected_components(link, directed=False)[1]
    served = stops.edge >= 0
    same_part = adjacency.part[:, None] == adjacency.part
    assert np.array_equal(same_part[served][:, served], (label[:, None] == label)[served][:, served])
    assert (adjacency.part[~served] == -1).all()


@law
@given(alleys=on_grid(cells=5, step_m=1.0), points=SPOTS)
def test_cells_leave_no_gap_and_do_not_overlap(alleys: dict[str, Corners], points: list) -> None:
    network = drawn_network(alleys)
    cells = voronoi_cells(network, snap_points(network, spots(*points)))
    first = np.diff(cells.edge, prepend=-1) != 0
    last = np.diff(cells.edge, append=len(network.edge_nodes)) != 0
    assert cells.edge[first].tolist() == list(range(len(network.edge_nodes)))
    assert (cells.from_m[first] == 0).all() and (cells.to_m[last] == network.edge_length_m).all()
    assert np.array_equal(cells.from_m[~first], cells.to_m[~last])
    assert (cells.to_m > cells.from_m).all()


@law
@given(alleys=off_grid(cells=5), points=SPOTS, seed=st.integers(0, 99))
def test_the_order_of_houses_changes_nothing(alleys: dict[str, Corners], points: list, seed: int) -> None:
    network = drawn_network(alleys)
    stops = snap_points(network, spots(*points))
    assume(not _ties(network, stops.take(np.unique(stops.node, return_index=True)[1])))
    order = np.random.default_rng(seed).permutation(len(points))
    plain, shuffled = touching(network, stops), touching(network, stops.take(order))
    named = {tuple(sorted((int(order[a]), int(order[b])))) for a, b in pairs(shuffled)}
    assert named == pairs(plain)


# --- a real place


@pytest.mark.real
def test_kotka_is_nearly_a_tree(place: Callable[[str], Path]) -> None:
    site = read_site(place("kotka-finland"), Settings())
    network = build_network(site, Settings())
    stops = doors(site, network, Settings())
    adjacency = touching(network, stops)
    households = site.layer("households")["households"].to_numpy(dtype=np.int64)
    served = adjacency.part >= 0
    assert np.bincount(adjacency.part[served], households[served]).tolist() == [3099, 38, 5, 3]
    assert 2.0 < len(adjacency.indices) / served.sum() < 2.6
    cells = voronoi_cells(network, stops)
    assert (cells.to_m - cells.from_m).sum() == approx(network.edge_length_m.sum())
