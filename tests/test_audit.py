"""The audit: its own light, ground, walks and bound, and that it finds what was changed in a plan."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any

import geopandas as gpd
import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from spatial.adjacency import touching
from spatial.audit import audit_plan, recount
from spatial.audit.bound import cheapest_set, spots_of
from spatial.audit.grids import _walks_among
from spatial.audit.rays import cut_pieces, lit_spans
from spatial.audit.ways import cut_ways, ground_of, nearest_of
from spatial.errors import DataError
from spatial.network import snap_points
from tests.drawn import drawn_network, off_grid, spots
from tests.drawn_folder import EAST, NORTH, write_drawn_folder
from tests.tampering import change_summary, move_rows, set_cell

LINE = np.array([shapely.LineString([(0, 0), (100, 0)])], dtype=object)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plan folder worked out by hand; never changed."""
    return write_drawn_folder(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def copy(drawn: Path, tmp_path: Path) -> Path:
    """A copy of it to be changed."""
    return Path(shutil.copytree(drawn, tmp_path / "plan"))


def found(folder: Path) -> set[tuple[str, str]]:
    """Code and place of every difference."""
    return {(each.code, f"{each.layer}.{each.column}") for each in audit_plan(folder)}


def test_an_order_that_falls_short_is_found_unless_the_plan_says_so(copy):
    short = ("order-short", "lamp_ranking.worth")
    set_cell(copy, "lamp_ranking", "worth", 1.0, "rank = 1")
    assert short in found(copy)
    change_summary(
        copy, lambda summary: summary["faults"].append({"code": "order-short", "message": "short", "ids": []})
    )
    assert short not in found(copy)
    assert found(copy), "the changed figure itself differs all the same"


# ── light ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lamp_lights_a_chord_of_its_circle():
    spans = lit_spans(LINE, np.array([[50.0, 9.0]]), np.empty(0, object), reach_m=15.0)
    assert spans.from_m == pytest.approx([38.0])
    assert spans.to_m == pytest.approx([62.0])


def test_a_building_throws_the_shadow_of_its_corners():
    # lamp 9 m off the line, roof corners at half its height: shadows twice as far as the corners
    # shrunk by 1 mm the shed reaches from 51.002 to 54.1 m, from 4.5 to 6 m off the line
    shed = np.array([shapely.box(51.001, 4.499, 54.101, 6.001)], dtype=object)
    spans = lit_spans(LINE, np.array([[50.0, 9.0]]), shed, reach_m=15.0)
    assert spans.from_m.min() == pytest.approx(38.0)
    assert spans.to_m.max() == pytest.approx(50 + 1.002 * 2)
    assert (spans.to_m - spans.from_m).sum() == pytest.approx(14.004)


def test_a_wall_lamp_shines_and_one_deeper_inside_lights_nothing():
    house = np.array([shapely.box(40, 2, 60, 12)], dtype=object)
    on_wall, inside = np.array([[50.0, 2.0]]), np.array([[50.0, 2.1]])
    assert (lit_spans(LINE, on_wall, house, reach_m=10.0).to_m > 0).all()
    assert lit_spans(LINE, inside, house, reach_m=10.0).line.size == 0


@pytest.mark.parametrize("seed", range(6))
def test_spans_agree_with_trying_many_points(seed: int):
    chance = np.random.default_rng(seed)
    corner = chance.uniform(0, 60, (12, 2))
    houses = shapely.box(*corner.T, *(corner + chance.uniform(2, 9, (12, 2))).T)
    lines = shapely.linestrings(chance.uniform(0, 60, (5, 3, 2)))
    lamps = chance.uniform(0, 60, (8, 2))
    spans = lit_spans(lines, lamps, houses, reach_m=20.0)
    walls = shapely.union_all(shapely.buffer(houses, -1e-3, join_style="mitre"))
    line, lamp = chance.integers(0, 5, 400), chance.integers(0, 8, 400)
    at_m = chance.uniform(0, 1, 400) * shapely.length(lines[line])
    point = shapely.get_coordinates(shapely.line_interpolate_point(lines[line], at_m))
    sight = shapely.linestrings(np.stack([lamps[lamp], point], axis=1))
    sees = (shapely.length(sight) <= 20.0) & ~shapely.relate_pattern(sight, walls, "T********")
    row = (spans.line == line[:, None]) & (spans.lamp == lamp[:, None])
    lit = (row & (spans.from_m <= at_m[:, None]) & (at_m[:, None] <= spans.to_m)).any(axis=1)
    assert sees.any()
    assert lit.tolist() == sees.tolist()


def test_pieces_tile_the_lines_and_count_their_lamps():
    spans = lit_spans(LINE, np.array([[20.0, 0.0], [40.0, 0.0]]), np.empty(0, object), reach_m=15.0)
    pieces = cut_pieces(spans, shapely.length(LINE))
    assert pieces.from_m.tolist() == [0, 5, 25, 35, 55]
    assert pieces.to_m.tolist() == [5, 25, 35, 55, 100]
    assert pieces.n_lamps.tolist() == [0, 1, 2, 1, 0]


# ── ground and walks ─────────────────────────────────────────────────────────────────────────────────


def pieces_of(network: Any, points: list[shapely.Point], label: list[int]) -> list[int]:
    stops = snap_points(network, points)
    ways = cut_ways(network, stops)
    label_of = np.array(label)
    return ground_of(ways, ways.vertex[0], label_of, max(label) + 1).pieces(ways.vertex[0], label_of).tolist()


def test_a_stranger_between_two_doors_parts_their_ground():
    network = drawn_network({"A": [(0, 0), (100, 0)]})
    west, stranger, east = pieces_of(network, spots((10, 3), (50, 3), (90, 3)), [0, 1, 0])
    assert west != east
    assert stranger not in (west, east)


def test_doors_on_both_sides_of_a_junction_touch():
    #  1 at 20 m west, 2 at 30 m east, 3 at 40 m north: all meet, for 1 holds the junction
    network = drawn_network({"A": [(0, 0), (100, 0)], "B": [(50, 0), (50, 60)]})
    piece = pieces_of(network, spots((30, 1), (80, 1), (51, 40)), [0, 1, 0])
    assert piece[0] == piece[2]


def test_doors_that_share_a_stop_touch_whatever_grid_they_are_in():
    network = drawn_network({"A": [(0, 0), (100, 0)]})
    piece = pieces_of(network, spots((10, 3), (50, 3), (50, -3), (90, 3)), [0, 0, 1, 1])
    assert piece[0] == piece[1]
    assert piece[2] == piece[3]
    assert piece[0] != piece[2]


@settings(max_examples=25, deadline=None)
@given(lines=off_grid(cells=3), data=st.data())
def test_pieces_agree_with_doors_that_touch(lines: Any, data: st.DataObject):
    network = drawn_network(lines)
    n = data.draw(st.integers(2, 9))
    where = data.draw(st.lists(st.tuples(st.floats(0.05, 0.95), st.integers(0, 99)), min_size=n, max_size=n))
    edges = network.edge_lines
    points = [
        shapely.line_interpolate_point(edges[k % len(edges)], s * edges[k % len(edges)].length)
        for s, k in where
    ]
    label = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    stops = snap_points(network, points)
    near = touching(network, stops)
    graph = nx.Graph()
    graph.add_nodes_from(range(n))
    owner = np.repeat(np.arange(n), np.diff(near.indptr)).tolist()
    pairs = zip(owner, near.indices.tolist(), strict=True)
    graph.add_edges_from((a, b) for a, b in pairs if label[a] == label[b])
    together = {frozenset(pair) for each in nx.connected_components(graph) for pair in combinations(each, 2)}
    piece = pieces_of(network, points, label)
    assert {
        frozenset(pair) for pair in combinations(range(n), 2) if piece[pair[0]] == piece[pair[1]]
    } == together


@settings(max_examples=15, deadline=None)
@given(lines=off_grid(cells=3))
def test_walks_agree_with_networkx(lines: Any):
    network = drawn_network(lines)
    stops = snap_points(network, shapely.line_interpolate_point(network.edge_lines, 0.3, normalized=True))
    ways = cut_ways(network, stops)
    graph = nx.Graph()
    for tail, head, length_m in zip(
        ways.tail.tolist(), ways.head.tolist(), ways.length_m.tolist(), strict=True
    ):
        if length_m < graph.get_edge_data(tail, head, {"weight": np.inf})["weight"]:
            graph.add_edge(tail, head, weight=length_m)
    apart_m = _walks_among(ways.matrix(), ways.vertex[0])
    for row, vertex in enumerate(ways.vertex[0].tolist()):
        exact_m = nx.single_source_dijkstra_path_length(graph, vertex)
        assert apart_m[row] == pytest.approx([exact_m.get(each, np.inf) for each in ways.vertex[0].tolist()])
    sources = dict.fromkeys(ways.vertex[0][:2].tolist())
    exact_m = nx.multi_source_dijkstra_path_length(graph, set(sources))
    own_m = nearest_of(ways, np.array(list(sources)))
    assert own_m == pytest.approx([exact_m.get(each, np.inf) for each in range(ways.n)])


def is_closed(chosen: set[int], graph: nx.Graph, spot: list[int]) -> bool:
    """Whether for each chosen row some row is chosen of every spot that no way from row 0 goes round."""
    for each in chosen:
        for number in set(spot) - {spot[0], spot[each]}:
            left = graph.subgraph(row for row in graph if spot[row] != number)
            if not nx.has_path(left, 0, each) and not any(spot[row] == number for row in chosen):
                return False
    return True


@pytest.mark.parametrize("seed", range(12))
def test_the_cheapest_closed_set_agrees_with_trying_all(seed: int):
    chance = np.random.default_rng(seed)
    n, low, high = 8, 6, 11
    graph = nx.random_labeled_tree(n, seed=seed)
    graph.add_edges_from(chance.integers(0, n, (seed % 4, 2)).tolist())
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    weight, each_m = chance.integers(1, 4, n), chance.uniform(-5, 5, (n, 2))
    touch = sparse.csr_array(nx.to_scipy_sparse_array(graph, nodelist=range(n)) + sparse.eye_array(n))
    spot, tree = spots_of(touch)
    members = [np.flatnonzero(spot == each).tolist() for each in range(int(spot.max()) + 1)]
    sets = [[0, *others] for k in range(n) for others in combinations(range(1, n), k)]
    sets = [each for each in sets if low <= weight[each].sum() <= high]
    worth = [weight[each] @ each_m[each] for each in sets if is_closed(set(each), graph, spot.tolist())]
    near = np.ones(n, bool)
    found_m = cheapest_set(tree, members, 0, each_m, weight, near, low=low, high=high)
    assert found_m == pytest.approx(min(map(min, worth)))
    in_one_piece = [weight[each] @ each_m[each] for each in sets if nx.is_connected(graph.subgraph(each))]
    assert found_m <= min(map(min, in_one_piece)) + 1e-9


# ── a plan worked out by hand ────────────────────────────────────────────────────────────────────────


def test_nothing_is_found_in_a_plan_worked_out_by_hand(drawn: Path):
    audit = recount(drawn)
    assert audit.faults == ()
    assert audit.figures["grids"]["objective_m"] == 84.0
    assert audit.figures["boards"]["total_walk_m"] == 535.0


CELLS = [
    ("grids", "code", "99", "grid_id = 2", "grids.code"),
    ("grids", "kind", "exclusive", "grid_id = 2", "grids.kind"),
    ("grids", "kind", "special", "grid_id = 2", "grids.kind"),
    ("grids", "households", 4, "grid_id = 2", "grids.households"),
    ("grids", "residents", 8, "grid_id = 2", "grids.residents"),
    ("grids", "party_members", 2, "grid_id = 2", "grids.party_members"),
    ("grids", "groups", "一组", "grid_id = 2", "grids.groups"),
    ("grids", "main_group", "一组", "grid_id = 2", "grids.main_group"),
    ("grids", "walk_mean_m", 7.51, "grid_id = 2", "grids.walk_mean_m"),
    ("grids", "walk_max_m", 16.01, "grid_id = 2", "grids.walk_max_m"),
    ("grids", "meeting_household_id", "H6", "grid_id = 2", "grids.meeting_household_id"),
    ("grids", "leader_role", "楼长", "grid_id = 2", "grids.leader_role"),
    ("grids", "fault", "too small", "grid_id = 2", "grids.fault"),
    ("grids", "branch_id", 2, "grid_id = 2", "grids.branch_id"),
    ("grids", "worker_id", 0, "grid_id = 2", "grids.worker_id"),
    ("households", "households", 2, "household_id = 'H4'", "households.households"),
    ("households", "residents", 4, "household_id = 'H4'", "households.residents"),
    ("households", "elderly", 1, "household_id = 'H4'", "households.elderly"),
    ("households", "group", "一组", "household_id = 'H4'", "households.group"),
    ("households", "part", 1, "household_id = 'H4'", "households.part"),
    ("households", "grid_id", 1, "household_id = 'H4'", "grids.households"),
    ("households", "grid_id", 9, "household_id = 'H4'", "households.grid_id"),
    ("households", "grid_id", 1, "household_id = 'H10'", "households.grid_id"),
    ("households", "walk_to_meeting_m", 16.01, "household_id = 'H4'", "households.walk_to_meeting_m"),
    ("households", "walk_to_board_m", 45.01, "household_id = 'H4'", "households.walk_to_board_m"),
    ("households", "board_id", "B2", "household_id = 'H4'", "households.board_id"),
    ("households", "share_way_lit", 0.56, "household_id = 'H4'", "households.share_way_lit"),
    ("lamps", "site_id", "C4", "site_id = 'C1'", "lamps.site_id"),
    ("lamps", "status", "existing", "site_id = 'C1'", "lamps.status"),
    ("lamps", "gain_m", 29.99, "site_id = 'C2'", "lamps.gain_m"),
    ("lamps", "rank", 3, "site_id = 'C2'", "lamps.rank"),
    ("lamps", "x", 500_060.01, "site_id = 'C2'", "lamps.x"),
    ("lamps", "alley_id", "A", "site_id = 'C2'", "lamps.alley_id"),
    ("lamps", "grid_id", 3, "site_id = 'C2'", "lamps.grid_id"),
    ("lamps", "aim_deg", 269.0, "site_id = 'C1'", "lamps.aim_deg"),
    ("lamps", "lamp_code", "L009", "site_id = 'C2'", "lamps.lamp_code"),
    ("lamps", "mount", "wall", "site_id = 'C2'", "lamps.mount"),
    ("lamp_ranking", "lit_m", 61.0, "rank = 1", "lamp_ranking.lit_m"),
    ("lamp_ranking", "worth", 61.0, "rank = 1", "lamp_ranking.worth"),
    ("lamp_curve", "lit_m", 61.0, "n_lamps = 1", "lamp_curve.lit_m"),
    ("lamp_curve", "worth", 61.0, "n_lamps = 1", "lamp_curve.bound_worth"),
    ("light_shares", "households", 4, "id = '1'", "light_shares.households"),
    ("light_shares", "alley_m", 66.1, "id = '1'", "light_shares.alley_m"),
    ("light_shares", "lit_m", 30.1, "id = '一组'", "light_shares.lit_m"),
    ("light_shares", "share_lit", 0.5, "id = '二组'", "light_shares.share_lit"),
    ("light_shares", "way_lit_mean", 0.5, "id = '3'", "light_shares.way_lit_mean"),
    ("light_shares", "id", "4", "id = '3'", "light_shares.id"),
    ("boards", "households_served", 11, "site_id = 'B1'", "boards.households_served"),
    ("boards", "rank", 2, "site_id = 'B1'", "boards.rank"),
    ("boards", "lit_at_night", 1, "site_id = 'B1'", "boards.lit_at_night"),
    ("alleys", "name", "西巷", "alley_id = 'B'", "alleys.name"),
    ("alleys", "length_m", 60.01, "alley_id = 'B'", "alleys.length_m"),
    ("alleys", "lit_m", 30.01, "alley_id = 'B'", "alleys.lit_m"),
    ("alleys", "share_lit", 0.51, "alley_id = 'B'", "alleys.share_lit"),
    ("alleys", "dark_rank", 3, "alley_id = 'B'", "alleys.dark_rank"),
    ("alleys", "unchosen_why", "no-site", "alley_id = 'B'", "alleys.unchosen_why"),
    ("alleys", "grid_id", 3, "alley_id = 'B'", "alleys.grid_id"),
    ("stretches", "n_lamps", 2, "alley_id = 'B' AND from_m = 15", "stretches.n_lamps"),
    ("stretches", "lit", 0, "alley_id = 'B' AND from_m = 15", "stretches.lit"),
    ("stretches", "length_m", 29.99, "alley_id = 'B' AND from_m = 15", "stretches.alley_id"),
]


@pytest.mark.parametrize(("table", "column", "value", "where", "at"), CELLS)
def test_one_changed_cell_is_named(copy: Path, table: str, column: str, value: Any, where: str, at: str):
    set_cell(copy, table, column, value, where)
    assert at in {place for _, place in found(copy)}


def sections() -> Iterator[tuple[str, str, Any]]:
    """Every figure that can be recounted, and another value of it."""
    yield from (
        ("grids", name, 7)
        for name in ("n", "n_exclusive", "min", "mean", "max", "objective_m", "walk_mean_m", "groups_split")
    )
    yield from (
        ("grids", name, 7) for name in ("walk_max_m", "meeting_walk_m", "n_without_party", "n_under_3_party")
    )
    yield from (
        ("grids", name, 0.5)
        for name in ("feasible_share", "contiguous_share", "mixing_share", "outside_share", "gap")
    )
    yield from (("grids", name, 7) for name in ("n_plain", "objective_plain_m", "groups_walk_m"))
    yield from (
        ("lamps", name, 7) for name in ("n_chosen", "n_existing", "alley_m", "already_lit_m", "lightable_m")
    )
    yield from (
        ("lamps", name, 0.5) for name in ("lit_m", "lit_before_m", "share_lit", "share_of_lightable", "gap")
    )
    yield from (
        ("lamps", name, 0.25)
        for name in (
            "worth", "worth_lightable", "share_alleys_with_lamp", "share_doors_lit", "dark_run_m",
            "way_lit_mean", "way_lit_worst_tenth", "way_lit_elderly", "way_lit_mean_before",
            "way_lit_worst_tenth_before",
        )
    )  # fmt: skip
    yield "lamps", "share_doors_lit_before", 0.75
    yield from (
        ("boards", name, 7) for name in ("n_chosen", "households_served", "total_walk_m", "walk_mean_m")
    )
    yield from (("boards", name, 0.5) for name in ("share_served", "walk_max_m", "gap"))
    yield "boards", "n_lit_at_night", 7


def with_bounds(folder: Path, **arrays: list[int]) -> set[tuple[str, str]]:
    """What is found in a plan folder with these arrays in bounds.npz and no others."""
    np.savez_compressed(folder / "bounds.npz", **{key: np.array(each) for key, each in arrays.items()})
    return found(folder)


def test_the_price_of_groups_is_that_against_the_grids_beside_it(copy: Path):
    swapped = [0, 0, 1, 0, 1, 1, 2, 2, 2]  # H4 with H1 and H2, H3 between them with H5 and H6
    worse = with_bounds(copy, free_grid=swapped, plain_grid=swapped)
    assert ("figure-differs", "summary.grids.objective_plain_m") in worse
    assert ("rival-unfair", "bounds.free_grid") in worse  # in pieces
    fewer = with_bounds(copy, free_grid=[0, 0, 0, 1, 1, 1, 1, 1, 1])
    assert ("rival-unfair", "bounds.free_grid") in fewer
    assert ("rival-unfit", "bounds.free_grid") in with_bounds(copy, free_grid=[0, 0, 0])
    assert ("rival-missing", "bounds.free_grid") in with_bounds(copy)


def test_every_changed_figure_of_the_summary_is_named(copy: Path):
    changed = list(sections())

    def change(summary: dict[str, Any]) -> None:
        for section, name, value in changed:
            summary[section][name] = value

    change_summary(copy, change)
    named = {place for code, place in found(copy) if code == "figure-differs"}
    assert {f"summary.{section}.{name}" for section, name, _ in changed} <= named


@pytest.mark.parametrize(
    ("section", "name", "value", "code"),
    [
        ("grids", "bound_m", 84.1, "bound-broken"),
        ("lamps", "bound_m", 77.0, "bound-broken"),
        ("boards", "bound_household_m", 536.0, "bound-broken"),
        ("boards", "bound_served", 9, "bound-broken"),
    ],
)
def test_a_bound_on_the_wrong_side_is_named(copy: Path, section: str, name: str, value: float, code: str):
    change_summary(copy, lambda summary: summary[section].update({name: value}))
    assert (code, f"summary.{section}.{name}") in found(copy)


def test_a_moved_lamp_is_named(copy: Path):
    move_rows(copy, "lamps", lambda points: points.translate(0.5, 0))
    assert ("site-moved", "lamps.geometry") in found(copy)


def test_a_moved_edge_between_two_grids_is_named(copy: Path):
    def apart(polygons: gpd.GeoSeries) -> gpd.GeoSeries:
        return polygons.where([True, False, True], polygons.scale(0.99, 1.0))

    move_rows(copy, "grids", apart)
    assert ("ground-uncovered", "grids.geometry") in found(copy)


def test_overlapping_grids_are_named(copy: Path):
    move_rows(copy, "grids", lambda polygons: polygons.where([True, False, True], polygons.scale(1.01, 1.0)))
    assert ("polygons-overlap", "grids.geometry") in found(copy)


def given(polygons: gpd.GeoSeries, ground: shapely.Polygon, row: int) -> gpd.GeoSeries:
    """The areas once some ground, drawn in metres east and north of the origin, is that of one row."""
    moved = shapely.transform(ground, lambda xy: xy + np.array([EAST, NORTH]))
    shapes = polygons.difference(moved).to_numpy()
    shapes[row] = shapely.union(shapes[row], moved)
    return gpd.GeoSeries([shapely.MultiPolygon(shapely.get_parts(each)) for each in shapes], crs=polygons.crs)


def note_of(code: str, *ids: str) -> dict[str, Any]:
    return {"code": code, "message": "as told", "ids": list(ids)}


def with_notes(folder: Path, *notes: dict[str, Any]) -> set[tuple[str, str]]:
    """What is found once the notes are among those of the summary."""
    change_summary(folder, lambda summary: summary["notes"].extend(notes))
    return found(folder)


def test_an_area_in_pieces_must_be_noted(copy: Path):
    move_rows(copy, "grids", lambda areas: given(areas, shapely.box(112, 100, 130, 120), 0))
    assert [(each.code, each.ids) for each in audit_plan(copy)] == [("note-missing", ("01",))]
    assert with_notes(copy, note_of("area-in-pieces", "01")) == set()
    assert with_notes(copy, note_of("area-in-pieces", "02")) == {("note-unfounded", "summary.notes")}


def test_a_household_off_its_area_must_be_noted(copy: Path):
    move_rows(copy, "grids", lambda areas: given(areas, shapely.box(61, 35, 75, 45), 2))
    assert [(each.code, each.ids) for each in audit_plan(copy)] == [("note-missing", ("H4",))]
    assert with_notes(copy, note_of("household-off-area", "H4", "H5")) == {
        ("note-unfounded", "summary.notes")
    }
    change_summary(copy, lambda summary: summary["notes"].pop())
    assert with_notes(copy, note_of("household-off-area", "H4")) == set()


def test_a_cut_building_must_be_noted(copy: Path):
    #  the shed stands from 92 to 94 m east, 3 to 5 m north; H7's door is at its corner
    move_rows(copy, "grids", lambda areas: given(areas, shapely.box(70, 4, 95, 7), 1))
    assert [(each.code, each.ids) for each in audit_plan(copy)] == [("note-missing", ("shed",))]
    assert with_notes(copy, note_of("building-cut", "shed")) == set()


def test_a_line_drawn_off_its_alley_is_named(copy: Path):
    move_rows(copy, "stretches", lambda lines: lines.translate(0, 0.01))
    move_rows(copy, "alleys", lambda lines: lines.translate(0, 0.01))
    assert {("drawn-elsewhere", "stretches.geometry"), ("drawn-elsewhere", "alleys.geometry")} <= found(copy)


def test_a_declared_fault_agrees_and_a_dropped_one_is_named(tmp_path: Path):
    folder = write_drawn_folder(tmp_path, least=4)
    assert audit_plan(folder) == ()
    change_summary(folder, lambda summary: summary.update(faults=[]))
    (dropped,) = audit_plan(folder)
    assert (dropped.code, dropped.layer, dropped.ids) == ("fault-undeclared", "grids", ("1",))


def test_a_number_of_grids_said_to_be_missed_that_is_not(copy: Path):
    missed = {"code": "n-grids-missed", "message": "2 grids were made, not the 3 asked for", "ids": []}
    change_summary(copy, lambda summary: summary["faults"].append(missed))
    assert found(copy) == {("n-grids-differ", "grids.grid_id")}


def test_a_declared_fault_that_is_not_there(copy: Path):
    fault = {
        "code": "grid-infeasible",
        "message": "grid 01: 3 households are fewer",
        "ids": ["H1", "H2", "H3"],
    }
    change_summary(copy, lambda summary: summary["faults"].append(fault))
    assert found(copy) == {("fault-unfounded", "summary.faults")}


@pytest.mark.parametrize("kind", ["doubts", "notes"])
def test_what_must_be_listed_and_is_not(copy: Path, kind: str):
    change_summary(copy, lambda summary: summary.update({kind: []}))
    assert {"doubts": "doubt-missing", "notes": "group-not-listed"}[kind] in {code for code, _ in found(copy)}


def test_other_settings_are_another_plan(copy: Path):
    change_summary(copy, lambda summary: summary["settings"]["works"].update(quarters=["2027-1"]))
    assert found(copy) == {("figure-differs", "summary.plan_id")}


def test_a_missing_layer_is_named(copy: Path):
    with closing(sqlite3.connect(copy / "plan.gpkg")) as database:
        database.execute("DELETE FROM gpkg_contents WHERE table_name = 'lamp_curve'")
        database.commit()
    assert ("layer-missing", "lamp_curve.") in found(copy)


def test_rows_that_a_reader_would_not_see_are_refused(copy: Path):
    with closing(sqlite3.connect(copy / "plan.gpkg")) as database:
        database.execute("UPDATE gpkg_ogr_contents SET feature_count = 1 WHERE table_name = 'lamp_ranking'")
        database.commit()
    with pytest.raises(DataError, match="lamp_ranking"):
        audit_plan(copy)


@pytest.mark.parametrize("name", ["plan.gpkg", "site.gpkg", "summary.json", "bounds.npz"])
def test_a_folder_without_one_of_its_files_is_no_plan(copy: Path, name: str):
    (copy / name).unlink()
    with pytest.raises(DataError, match=name):
        audit_plan(copy)


@pytest.mark.parametrize("name", ["plan.gpkg", "site.gpkg", "summary.json", "bounds.npz"])
def test_a_damaged_file_is_an_error_that_names_it(copy: Path, name: str):
    (copy / name).write_bytes(b"\x00damaged" * 40)
    with pytest.raises(DataError, match=name):
        audit_plan(copy)


# ── the bundled township ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def township(shannan_plan: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shannan_plan, tmp_path / "shannan"))


def test_the_recount_of_the_township_agrees(shannan_plan: Path):
    audit = recount(shannan_plan)
    assert audit.faults == ()
    assert list(audit.figures) == ["boards", "grids", "lamps"]


def test_a_bound_that_its_prices_do_not_prove_is_named(township: Path):
    """The small township's bound is a solver's; said to rest on prices, it is more than these prove."""
    assert json.loads((township / "summary.json").read_text(encoding="utf-8"))["grids"]["gap"] < 0.001
    with np.load(township / "bounds.npz") as stored:
        bounds = dict(stored)
    bounds["component_by_solver"] = np.zeros_like(bounds["component_by_solver"])
    np.savez_compressed(township / "bounds.npz", **bounds)
    change_summary(township, lambda each: each["grids"].update(bound_by="Lagrangian"))
    assert ("bound-unproven", "summary.grids.bound_m") in found(township)


def test_a_bound_by_a_solver_is_only_held_against_the_objective(township: Path):
    with np.load(township / "bounds.npz") as stored:
        bounds = dict(stored)
    bounds["component_by_solver"] = np.ones_like(bounds["component_by_solver"])
    np.savez_compressed(township / "bounds.npz", **bounds)
    objective_m = json.loads((township / "summary.json").read_text(encoding="utf-8"))["grids"]["objective_m"]

    def told(bound_m: float, bound_by: str) -> set[str]:
        change_summary(township, lambda each: each["grids"].update(bound_m=bound_m, bound_by=bound_by))
        return {kind for kind, where in found(township) if where == "summary.grids.bound_m"}

    assert told(objective_m, "HiGHS 1.15.1, contiguous columns") == set()
    assert told(objective_m * 1.01, "HiGHS 1.15.1, contiguous columns") == {"bound-broken", "bound-unproven"}
    assert told(objective_m, "Lagrangian") == {"bound-unproven"}


def test_changes_in_the_township_are_named(township: Path):
    households = gpd.read_file(township / "plan.gpkg", layer="households")
    row = households.iloc[len(households) // 2]
    set_cell(
        township,
        "households",
        "grid_id",
        int(row["grid_id"]) % 20 + 1,
        f"household_id = '{row['household_id']}'",
    )
    set_cell(township, "alleys", "length_m", 100.0, "rowid = 5")
    set_cell(township, "boards", "households_served", 3, "rowid = 5")
    move_rows(
        township, "lamps", lambda points: points.where(np.arange(len(points)) != 7, points.translate(2, 0))
    )
    faults = audit_plan(township)
    named = {(each.code, each.layer, each.column): each.ids for each in faults}
    assert str(row["grid_id"]) in named["figure-differs", "grids", "households"]
    assert len(named["figure-differs", "alleys", "length_m"]) == 1
    assert len(named["figure-differs", "boards", "households_served"]) == 1
    assert len(named["site-moved", "lamps", "geometry"]) == 1
