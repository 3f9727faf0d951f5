"""The ground of grids: blocks, walls, water, ties along alleys, calm edges; and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from geopandas import GeoDataFrame
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pytest import approx
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box
from shapely.geometry.base import BaseGeometry

from spatial.adjacency import voronoi_cells
from spatial.grids.area_notes import area_notes
from spatial.grids.areas import grid_areas
from spatial.grids.coverage import faces_of
from spatial.grids.outlines import calm
from spatial.grids.ties import Households, keep_alleys
from spatial.load import read_site
from spatial.network import snap_points
from spatial.settings import Settings, read_settings
from tests.conftest import SHANNAN
from tests.drawn import Corners, drawn_network, drawn_site, irregular, layer, named, off_grid

law = settings(deadline=None, max_examples=60)
GROUND = box(0, 0, 100, 100)
EDGE = [(-10, 5), (110, 5)]  # an alley along the southern edge that all doors without another one are on
House = tuple[BaseGeometry, int]  # a building or a door, and its grid


def divided(
    houses: Sequence[House],
    *,
    alleys: Sequence[Corners] = (EDGE,),
    barriers: Sequence[BaseGeometry] = (),
    ground: BaseGeometry = GROUND,
    buildings: Sequence[Polygon] = (),
    n_grids: int = 2,
) -> np.ndarray:
    """The areas of grids whose households live in the houses; doors are on the wall nearest to an alley."""
    network = drawn_network(named(alleys))
    shapes = np.array([each for each, _ in houses], dtype=object)
    grid = np.array([each for _, each in houses])
    stops = snap_points(network, shapes)
    footprint = np.where(shapely.get_dimensions(shapes) == 2, shapes, None)
    whole = np.zeros(len(houses), dtype=bool)
    households = Households(stops.point_xy, footprint, grid, stops.stop_xy, whole)
    kept = keep_alleys(network, voronoi_cells(network, stops), stops, grid)
    areas = grid_areas(
        households,
        kept,
        np.array([*buildings], dtype=object),
        np.array([*barriers], dtype=object),
        ground,
        n_grids=n_grids,
    )
    assert_tiles(areas, ground)
    return areas


def assert_tiles(areas: np.ndarray, ground: BaseGeometry) -> None:
    filled = areas[~shapely.is_empty(areas)]
    assert shapely.is_valid(areas).all()
    assert shapely.coverage_is_valid(filled)
    missed = shapely.symmetric_difference(shapely.union_all(filled), ground)
    assert missed.area < 0.001 * ground.length  # the boundary's corners are on the 1 mm grid


def n_pieces(areas: np.ndarray) -> list[int]:
    return shapely.get_num_geometries(areas).tolist()


def inner_edges(areas: np.ndarray, ground: BaseGeometry = GROUND) -> BaseGeometry:
    return shapely.union_all(shapely.boundary(areas)).difference(shapely.buffer(ground.boundary, 0.01))


# ── where edges run ──────────────────────────────────────────────────────────────────────────────────


def test_two_doors_share_the_ground_along_the_line_between_them() -> None:
    areas = divided([(Point(20, 50), 0), (Point(60, 50), 1)], alleys=[[(-10, -5), (110, -5)]])
    assert areas[0].equals(box(0, 0, 40, 100))
    assert areas[1].equals(box(40, 0, 100, 100))


def test_houses_across_an_alley_part_along_its_middle() -> None:
    #  the alley bends; the houses stand at unlike distances from it, so halfway would be elsewhere
    bend = [(-10, 40), (50, 60), (110, 40)]
    houses = [
        (box(10, 70, 25, 80), 0),
        (box(60, 64, 75, 80), 0),
        (box(15, 5, 30, 40), 1),
        (box(70, 20, 80, 30), 1),
    ]
    areas = divided(houses, alleys=[bend])
    assert inner_edges(areas).hausdorff_distance(LineString(bend).intersection(GROUND)) < 0.02


def test_houses_on_both_sides_of_a_railway_part_along_it() -> None:
    rail = LineString([(30, -5), (35, 50), (30, 105)])
    areas = divided([(box(38, 20, 48, 30), 1), (box(5, 50, 15, 60), 0)], barriers=[rail])
    assert inner_edges(areas).hausdorff_distance(rail.intersection(GROUND)) < 0.02


def test_a_river_is_shared_down_its_middle() -> None:
    river = Polygon([(40, -5), (60, -5), (60, 105), (40, 105)])
    areas = divided([(box(5, 20, 15, 30), 0), (box(62, 50, 72, 60), 1)], barriers=[river])
    assert inner_edges(areas).hausdorff_distance(LineString([(50, 0), (50, 100)])) < 0.5
    assert areas[0].area == approx(5000, rel=0.01)


def test_houses_in_a_barrier_keep_their_ground() -> None:
    #  a main road drawn so wide that a house stands on it
    road = Polygon([(40, -5), (60, -5), (60, 105), (40, 105)])
    areas = divided([(box(5, 20, 15, 30), 0), (box(45, 50, 55, 60), 1)], barriers=[road])
    assert areas[1].contains(box(45, 50, 55, 60))


def test_a_block_without_houses_goes_with_most_of_the_alley_around_it() -> None:
    #  the square in the middle has grid 0 at its western side and grid 1 at the three others
    ring = [(40, 40), (60, 40), (60, 60), (40, 60), (40, 40)]
    houses = [(Point(35, 50), 0), (Point(50, 35), 1), (Point(65, 50), 1), (Point(50, 65), 1)]
    areas = divided(houses, alleys=[ring, [(60, 50), (110, 50)]])
    assert areas[1].contains(box(41, 41, 59, 59))
    assert n_pieces(areas) == [1, 1]


def test_a_building_of_one_grid_is_not_cut() -> None:
    house, hut = box(10, 40, 58, 60), box(60, 45, 66, 55)
    shed = box(52, 64, 64, 80)  # of nobody: goes with the house, which is nearer than the hut
    areas = divided([(house, 0), (hut, 1)], buildings=[shed, house])
    assert areas[0].contains(house)
    assert areas[1].contains(hut)
    assert areas[0].contains(shed)


def test_an_alley_through_a_building_does_not_cut_it() -> None:
    gate = box(40, 48, 60, 56)
    areas = divided(
        [(gate, 0), (box(10, 60, 20, 70), 0), (box(10, 20, 20, 30), 1)], alleys=[[(-10, 50), (110, 50)]]
    )
    assert areas[0].buffer(0.002).contains(gate)


def test_the_building_of_a_split_row_is_divided_between_its_parts() -> None:
    tower = box(20, 40, 80, 60)
    network = drawn_network(named([EDGE]))
    xy = np.array([[35.0, 50.0], [65.0, 50.0]])
    stops = snap_points(network, shapely.points(xy))
    households = Households(xy, np.array([tower, tower]), np.array([0, 1]), stops.stop_xy, np.ones(2, bool))
    kept = keep_alleys(network, voronoi_cells(network, stops), stops, households.grid)
    none = np.empty(0, dtype=object)
    areas = grid_areas(households, kept, none, none, GROUND, n_grids=2)
    assert_tiles(areas, GROUND)
    assert [each.intersection(tower).area for each in areas] == approx([600, 600], rel=0.05)


def test_a_house_that_is_home_to_two_grids_is_divided() -> None:
    tower = box(40, 20, 60, 40)
    areas = divided([(tower, 0), (tower, 0), (tower, 1), (box(5, 20, 15, 30), 0)])
    assert areas[1].area > 100
    assert areas[1].intersection(tower).area > 10


def test_a_house_of_two_grids_goes_whole_to_that_of_most_and_both_reach_its_door() -> None:
    #  three households behind the door in its south-eastern corner; the others live west and east of it
    house = box(40, 20, 60, 40)
    at_door = [(house, 0), (house, 0), (house, 1)]
    areas = divided([*at_door, (box(5, 20, 15, 30), 0), (box(85, 20, 95, 30), 1)])
    assert n_pieces(areas) == [1, 1]
    assert areas[0].buffer(0.002).contains(house)
    assert shapely.distance(areas, Point(60, 20)).max() < 0.1


# ── pieces ───────────────────────────────────────────────────────────────────────────────────────────


def test_what_lies_apart_is_joined_along_the_alley_between() -> None:
    #  grid 0 at both ends of the alley, the others beside it between, with doors to alleys of their own
    middle = [(box(20, 53, 80, 60), 1), (box(20, 40, 80, 47), 2), (box(20, 80, 80, 86), 1)]
    ends = [(box(2, 52, 10, 58), 0), (box(90, 52, 98, 58), 0)]
    alleys = [[(5, 50), (95, 50)], [(-10, 61), (110, 61)], [(-10, 39), (110, 39)]]
    areas = divided([*middle, *ends], alleys=alleys, n_grids=3)
    assert n_pieces(areas) == [1, 1, 1]
    assert areas[0].contains(LineString([(12, 50), (88, 50)]))
    for house, grid in [*middle, *ends]:
        assert areas[grid].buffer(0.002).contains(house)


def test_what_a_house_shuts_off_stays_apart() -> None:
    #  the house of grid 1 stands across the alley and all of the ground
    house = box(45, -5, 55, 105)
    west, east = box(2, 40, 10, 48), box(90, 40, 98, 48)
    areas = divided([(west, 0), (east, 0), (house, 1)], alleys=[[(0, 50), (100, 50)]])
    assert n_pieces(areas)[0] == 2
    assert areas[1].buffer(0.002).contains(house.intersection(GROUND))


def test_a_grid_outside_the_boundary_has_no_area() -> None:
    areas = divided([(Point(20, 50), 0), (Point(60, 50), 1), (Point(900, 50), 2)], n_grids=3)
    assert shapely.is_empty(areas).tolist() == [False, False, True]


# ── awkward input ────────────────────────────────────────────────────────────────────────────────────


def test_doors_of_two_grids_on_one_spot_both_get_ground() -> None:
    areas = divided([(Point(50, 50), 0), (Point(50, 50), 1), (Point(10, 10), 1)])
    assert (shapely.area(areas) > 1000).all()


def test_a_house_across_the_boundary_is_cut_there_only() -> None:
    house = box(-20, 40, 10, 60)
    areas = divided([(house, 0), (box(60, 40, 70, 50), 1)])
    assert areas[0].contains(house.intersection(GROUND).buffer(-0.01))


def test_every_part_of_a_boundary_in_pieces_is_covered() -> None:
    ground = MultiPolygon([GROUND, box(200, 0, 220, 20), box(300, 0, 320, 20)])
    lake = box(40, 40, 60, 45)
    areas = divided(
        [(Point(20, 50), 0), (Point(80, 50), 1), (Point(210, 10), 1)], ground=ground.difference(lake)
    )
    assert areas[1].contains(Point(210, 10))


def test_one_house_has_all_the_ground() -> None:
    (area,) = divided([(box(40, 40, 50, 50), 0)], n_grids=1)
    assert area.equals(MultiPolygon([GROUND]))


def test_overlapping_houses_of_two_grids_still_tile() -> None:
    areas = divided([(box(20, 20, 60, 60), 0), (box(50, 30, 90, 50), 1), (box(55, 35, 58, 38), 1)])
    assert areas[0].area + areas[1].area == approx(GROUND.area)


# ── laws ─────────────────────────────────────────────────────────────────────────────────────────────

corner = st.tuples(st.integers(1, 11), st.integers(1, 11), st.integers(0, 3), st.booleans())


@law
@given(off_grid(cells=12), st.lists(corner, min_size=1, max_size=25), st.booleans(), st.integers(0, 120))
@example(
    {"half a house in a hole of the ground, half in a river": [(0, 0), irregular((0, 3))]},
    [(4, 3, 0, True), (5, 1, 1, False), (6, 1, 0, False)],
    False,
    35,
)
def test_random_houses_on_a_random_network_always_tile(
    alleys: dict[str, Corners], corners: list[tuple[int, int, int, bool]], railway: bool, at: int
) -> None:
    ground = box(-10, -10, 130, 130).difference(box(31, 32, 44, 49))
    alleys = {name: [(10 * x, 10 * y) for x, y in line] for name, line in alleys.items()}
    houses = [
        (
            box(10 * x + 1, 10 * y + 2, 10 * x + 8, 10 * y + 9)
            if built
            else Point(10 * x + 3.7, 10 * y + 4.1),
            grid,
        )
        for x, y, grid, built in corners
    ]
    barriers = [LineString([(at, -30), (130 - at, 150)])] if railway else [box(at, -30, at + 10, 150)]
    areas = divided(houses, alleys=list(alleys.values()), barriers=barriers, ground=ground, n_grids=4)
    grids_at: dict[tuple[int, int], set[int]] = {}
    for x, y, grid, _ in corners:
        grids_at.setdefault((x, y), set()).add(grid)
    for (shape, grid), (x, y, _, built) in zip(houses, corners, strict=True):
        if built and grids_at[x, y] == {grid}:
            strange = shapely.intersection(np.delete(areas, grid), shape)
            assert shapely.area(strange).sum() < 0.1


def test_the_order_of_households_changes_nothing() -> None:
    houses = [
        (box(10 * x, 15 * y, 10 * x + 7, 15 * y + 9), (x * y + x) % 3) for x in range(9) for y in range(1, 6)
    ]
    alleys = [EDGE, [(0, 40), (100, 55)], [(52, 5), (50, 98)]]
    areas = divided(houses, alleys=alleys, n_grids=3)
    again = divided(houses[::-1], alleys=alleys, n_grids=3)
    assert [each.wkb for each in areas] == [each.wkb for each in again]


# ── calm edges ───────────────────────────────────────────────────────────────────────────────────────

NONE = np.empty(0, dtype=object)
ZIGZAG = LineString([(50, 0), (50.6, 20), (49.4, 40), (50.6, 60), (49.4, 80), (50, 100)])


def two_pieces() -> np.ndarray:
    return faces_of(np.array([ZIGZAG]), GROUND)


def test_a_zigzag_with_nothing_in_the_way_becomes_straight() -> None:
    pieces = calm(two_pieces(), np.empty((0, 2)), NONE, walls=NONE)
    assert sorted(shapely.get_num_coordinates(pieces)) == [5, 5]
    assert_tiles(pieces, GROUND)


def test_a_door_keeps_its_side_of_the_edge() -> None:
    door = (50.3, 20.0)
    pieces = calm(two_pieces(), np.array([door]), NONE, walls=NONE)
    side = [piece.contains(Point(door)) for piece in two_pieces()]
    assert [piece.contains(Point(door)) for piece in pieces] == side


def test_an_edge_along_an_alley_stays_on_it() -> None:
    pieces = calm(two_pieces(), np.empty((0, 2)), np.array([ZIGZAG]), walls=NONE)
    assert inner_edges(pieces).hausdorff_distance(ZIGZAG) < 0.02


@law
@given(st.integers(0, 10**6))
def test_calm_edges_keep_every_point_in_its_piece(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lines = shapely.linestrings(rng.uniform(0, 100, (12, 3, 2)))
    pieces = faces_of(shapely.segmentize(lines, 9.0), GROUND)
    wobbly = shapely.transform(pieces, lambda xy: np.round(xy, 3))
    assume(shapely.coverage_is_valid(wobbly))
    points = rng.uniform(0, 100, (40, 2))
    calmer = calm(wobbly, points, NONE, walls=NONE)
    assert_tiles(calmer, GROUND)
    clear = (
        shapely.distance(shapely.points(points)[:, None], shapely.boundary(wobbly)[None]).min(axis=1) > 0.01
    )
    before = shapely.contains(wobbly[None], shapely.points(points)[:, None])
    after = shapely.contains(calmer[None], shapely.points(points)[:, None])
    assert (before == after)[clear].all()
    assert shapely.get_num_coordinates(calmer).sum() < shapely.get_num_coordinates(wobbly).sum()


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────


def told(
    areas: Sequence[BaseGeometry],
    homes: Sequence[tuple[float, float, int]],
    *,
    part: int = 0,
    buildings: Sequence[Polygon] = (),
) -> dict[str, tuple[str, ...]]:
    """Ids by the code of each note."""
    ids = [f"H{row}" for row in range(len(homes))]
    points = [Point(x, y) for x, y, _ in homes]
    grids = GeoDataFrame(
        {"grid_id": [3, 7, 8][: len(areas)], "code": ["03", "07", "08"][: len(areas)], "kind": "ordinary"},
        geometry=[each if each.geom_type == "MultiPolygon" else MultiPolygon([each]) for each in areas],
    )
    rows = GeoDataFrame(
        {"household_id": ids, "grid_id": [each[2] for each in homes], "served": True, "part": part},
        geometry=points,
    )
    site = drawn_site({"A": EDGE}, households=points)
    house = layer("buildings", buildings, building_id=[f"B{row}" for row in range(len(buildings))])
    site = replace(site, layers={**site.layers, "buildings": house, "boundary": layer("boundary", [GROUND])})
    return {each.code: each.ids for each in area_notes(grids, rows, site)}


WEST, EAST = box(0, 0, 50, 100), box(50, 0, 100, 100)


def test_nothing_is_told_of_sound_areas() -> None:
    assert told([WEST, EAST], [(10, 50, 3), (60, 50, 7)], buildings=[box(1, 1, 50, 20)]) == {}


def test_areas_in_pieces_are_told_by_their_code() -> None:
    pieces = [MultiPolygon([box(0, 0, 40, 100), box(60, 0, 100, 100)]), box(40, 0, 60, 100)]
    homes = [(10, 50, 3), (90, 50, 3), (50, 50, 7)]
    assert told(pieces, homes) == {"area-in-pieces": ("03",)}


def test_households_off_their_area_and_outside_are_told() -> None:
    homes = [(10, 50, 3), (60, 50, 7), (50.2, 50, 3), (50.05, 40, 3), (-30, 10, 3)]
    assert told([WEST, EAST], homes)["household-off-area"] in (("H2",), ("H4",))
    assert told([WEST, EAST], homes[:4]) == {"household-off-area": ("H2",)}


def test_a_cut_building_is_told_unless_it_is_that_of_a_split_row() -> None:
    building = box(45, 45, 55, 55)
    assert told([WEST, EAST], [(10, 50, 3), (60, 50, 7)], buildings=[building]) == {"building-cut": ("B0",)}
    assert told([WEST, EAST], [(46, 50, 3), (54, 50, 7)], part=1, buildings=[building]) == {}


def test_a_grid_without_ground_is_told() -> None:
    homes = [(10, 50, 3), (60, 50, 7), (300, 50, 8)]
    assert told([WEST, EAST, MultiPolygon()], homes)["grid-outside"] == ("08",)


# ── real and made-up places ──────────────────────────────────────────────────────────────────────────


def check_plan(folder: Path, ground: BaseGeometry) -> tuple[GeoDataFrame, dict[str, int]]:
    """The grids of a written plan, whose areas tile the ground; the counts of its notes."""
    grids = gpd.read_file(folder / "plan.gpkg", layer="grids")
    households = gpd.read_file(folder / "plan.gpkg", layer="households")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    notes = {each["code"]: each["n"] for each in summary["notes"]}
    areas, points = grids.geometry.to_numpy(), households.geometry.to_numpy()
    assert_tiles(areas, ground)
    at = grids.set_index("grid_id").index.get_indexer(households["grid_id"])
    away = ~shapely.dwithin(areas[at], points, 0.1)
    assert households["household_id"][away].nunique() == notes.get("household-off-area", 0)
    assert (shapely.get_num_geometries(areas) > 1).sum() == notes.get("area-in-pieces", 0)
    return grids, notes


def corners_per_100_m(grids: gpd.GeoDataFrame, ground: BaseGeometry) -> float:
    edges = shapely.line_merge(inner_edges(grids.geometry.to_numpy(), ground))
    lines = shapely.get_parts(edges)
    return 100 * float((shapely.get_num_coordinates(lines) - 1).sum() / shapely.length(lines).sum())


def test_the_townships_areas_tile_its_boundary_around_whole_houses(shannan_plan: Path) -> None:
    ground = read_site(SHANNAN, read_settings(SHANNAN / "plan.toml")).layer("boundary").geometry.iloc[0]
    grids, notes = check_plan(shannan_plan, ground)
    assert "building-cut" not in notes
    assert (shapely.get_num_geometries(grids.geometry.to_numpy()) == 1).mean() >= 0.9
    assert corners_per_100_m(grids, ground) < 15


@pytest.mark.real
def test_kotkas_areas_follow_its_railway_and_cut_no_house(place, kotka_plan: Path) -> None:
    site = read_site(place("kotka-finland"), Settings())
    ground = site.layer("boundary").geometry.iloc[0]
    grids, notes = check_plan(kotka_plan, ground)
    assert "building-cut" not in notes
    assert (shapely.get_num_geometries(grids.geometry.to_numpy()) == 1).mean() >= 0.97
    edges = inner_edges(grids.geometry.to_numpy(), ground)
    lines = shapely.union_all([*site.layer("alleys").geometry, *site.layer("barriers").geometry.boundary])
    on_lines = edges.intersection(shapely.buffer(lines, 0.3))
    assert on_lines.length > 0.2 * edges.length
    assert corners_per_100_m(grids, ground) < 6
