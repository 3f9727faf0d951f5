"""Lit intervals: cases drawn by hand, and a slow judge that looks at every 2 cm."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pytest import approx
from shapely.geometry import LineString, Point, Polygon, box

from spatial.network import AlleyNetwork
from spatial.sight import Intervals, lit_intervals, stretches


def network_of(*lines: LineString) -> AlleyNetwork:
    """A network whose edges are these lines, one alley each; sight needs no more of it."""
    geometry = np.array(lines, dtype=object)
    m = len(lines)
    return AlleyNetwork(
        alleys=gpd.GeoDataFrame({"alley_id": [f"A{j}" for j in range(m)]}, geometry=list(lines), crs=4548),
        node_xy=np.empty((0, 2)),
        edge_nodes=np.zeros((m, 2), dtype=np.int64),
        edge_length_m=shapely.length(geometry),
        edge_alley=np.arange(m),
        edge_from_m=np.zeros(m),
        edge_lines=geometry,
        node_part=np.empty(0, dtype=np.int64),
        remarks=(),
    )


def points(*xy: tuple[float, float]) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(geometry=[Point(each) for each in xy], crs=4548)


def buildings(*polygons: Polygon) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(geometry=list(polygons), crs=4548)


def rows(lit: Intervals) -> list[tuple[int, int, float, float]]:
    return [
        (int(e), int(s), round(float(a), 6), round(float(b), 6))
        for e, s, a, b in zip(lit.edge, lit.site, lit.from_m, lit.to_m, strict=True)
    ]


def test_a_lamp_on_a_straight_alley_lights_its_reach_to_both_sides() -> None:
    lit = lit_intervals(network_of(LineString([(0, 0), (100, 0)])), points((40, 9)), buildings(), reach_m=15)
    assert rows(lit) == [(0, 0, 28.0, 52.0)]  # 15² = 9² + 12²


def test_light_runs_on_across_a_bend() -> None:
    bent = LineString([(0, 0), (20, 0), (20, 20)])
    lit = lit_intervals(network_of(bent), points((20, 0)), buildings(), reach_m=15)
    assert rows(lit) == [(0, 0, 5.0, 35.0)]


def test_a_lamp_at_a_t_junction_lights_three_arms() -> None:
    arms = [LineString([(0, 0), (x, y)]) for x, y in ((-30, 0), (30, 0), (0, -30))]
    lit = lit_intervals(network_of(*arms), points((0, 0)), buildings(), reach_m=15)
    assert rows(lit) == [(0, 0, 0.0, 15.0), (1, 0, 0.0, 15.0), (2, 0, 0.0, 15.0)]


def test_two_lamps_that_overlap_cut_the_alley_into_five_stretches() -> None:
    network = network_of(LineString([(0, 0), (100, 0)]))
    lit = lit_intervals(network, points((30, 0), (50, 0)), buildings(), reach_m=15)
    cut = stretches(network, lit, 2)
    assert cut.from_m.tolist() == [0, 15, 35, 45, 65]
    assert cut.to_m.tolist() == [15, 35, 45, 65, 100]
    assert cut.covers.toarray().astype(int).tolist() == [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]


def test_a_wall_splits_a_circle_of_light() -> None:
    #   lamp at (50, 6); a house between x = 49 and 51, y = 2 and 4 hides 47.. 53 of the alley y = 0:
    #   its near corners (49, 4), (51, 4) throw to x = 47 and 53
    lit = lit_intervals(
        network_of(LineString([(0, 0), (100, 0)])), points((50, 6)), buildings(box(49, 2, 51, 4)), reach_m=10
    )
    (_, _, a, b), (_, _, c, d) = rows(lit)
    assert (a, b, c, d) == approx((42, 47, 53, 58), abs=0.006)
    dark = lit_intervals(
        network_of(LineString([(0, 0), (100, 0)])),
        points((50, 6)),
        buildings(box(49, 2, 51, 4)),
        reach_m=10,
        line_of_sight=False,
    )
    assert rows(dark) == [(0, 0, 42.0, 58.0)]


def test_a_wall_lamp_is_not_in_the_dark_of_its_own_wall() -> None:
    alley = network_of(LineString([(0, 0), (100, 0)]))
    house = buildings(box(40, 1, 60, 11))
    on_the_wall = lit_intervals(alley, points((50, 1)), house, reach_m=15)
    assert on_the_wall.to_m - on_the_wall.from_m == approx(2 * np.sqrt(15**2 - 1))
    inside = lit_intervals(alley, points((50, 1.1)), house, reach_m=15)
    assert len(inside.edge) == 0


def test_a_lamp_in_a_courtyard_lights_nothing_outside() -> None:
    ring = Polygon(box(-10, -10, 10, 10).exterior, [box(-8, -8, 8, 8).exterior.coords])
    network = network_of(LineString([(-30, 0), (30, 0)]))
    lit = lit_intervals(network, points((0, 1)), buildings(ring), reach_m=25)
    assert lit.from_m == approx([22], abs=0.002) and lit.to_m == approx([38], abs=0.002)


@st.composite
def towns(draw: st.DrawFn) -> tuple[list[LineString], NDArray[np.float64], list[Polygon]]:
    """A bent alley and a straight one, a few lamps, a few houses turned at random."""
    random = np.random.default_rng(draw(st.integers(0, 100_000)))
    lines = [LineString(random.uniform(0, 40, (3, 2))), LineString(random.uniform(0, 40, (2, 2)))]
    houses = [
        shapely.affinity.rotate(box(x, y, x + w, y + h), angle)
        for x, y, w, h, angle in random.uniform((0, 0, 2, 2, 0), (36, 36, 12, 8, 90), (5, 5))
    ]
    return lines, random.uniform(0, 40, (3, 2)), houses


@given(town=towns())
@settings(max_examples=30, deadline=None)
def test_agrees_with_looking_at_every_two_centimetres(
    town: tuple[list[LineString], NDArray[np.float64], list[Polygon]],
) -> None:
    lines, lamps, houses = town
    lit = lit_intervals(network_of(*lines), points(*map(tuple, lamps)), buildings(*houses), reach_m=15)
    block = shapely.union_all(shapely.buffer(houses, -0.001, join_style="mitre"))
    step_m = 0.02
    for e, line in enumerate(lines):
        at_m = np.arange(step_m / 2, line.length, step_m)
        seen = shapely.line_interpolate_point(line, at_m)
        for s, lamp in enumerate(lamps):
            rays = shapely.linestrings(
                np.stack([np.broadcast_to(lamp, (len(at_m), 2)), shapely.get_coordinates(seen)], axis=1)
            )
            clear = (shapely.length(rays) <= 15) & ~shapely.relate_pattern(rays, block, "T********")
            mine = (lit.edge == e) & (lit.site == s)
            inside = ((at_m[:, None] >= lit.from_m[mine]) & (at_m[:, None] <= lit.to_m[mine])).any(axis=1)
            n_ends = 2 * int(mine.sum()) + 2
            assert np.count_nonzero(inside != clear) <= n_ends


@given(town=towns(), further=st.floats(1.05, 3.0), which=st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_a_house_moved_away_or_taken_away_never_darkens(
    town: tuple[list[LineString], NDArray[np.float64], list[Polygon]], further: float, which: int
) -> None:
    """Away along the rays, growing with its distance: what it hides then, it hid before."""
    lines, lamps, houses = town
    network, lamp = network_of(*lines), tuple(lamps[0])
    before, away, gone = houses.copy(), houses.copy(), [*houses[:which], *houses[which + 1 :]]
    away[which] = shapely.affinity.scale(houses[which], further, further, origin=lamp)
    within = shapely.buffer(shapely.union_all(houses), 0.01)
    if within.contains(Point(lamp)) or Point(lamp).distance(shapely.union_all(away)) < 0.01:
        return  # a lamp in a house or on its wall
    lit = [
        lit_intervals(network, points(lamp), buildings(*each), reach_m=15) for each in (before, away, gone)
    ]
    lengths_m = [float((each.to_m - each.from_m).sum()) for each in lit]
    assert lengths_m[0] <= lengths_m[1] + 0.05
    assert lengths_m[1] <= lengths_m[2] + 1e-6
    for e in range(len(lines)):
        for low_m, high_m in zip(lit[0].from_m[lit[0].edge == e], lit[0].to_m[lit[0].edge == e], strict=True):
            for later in lit[1:]:
                here = later.edge == e
                kept_m = np.minimum(later.to_m[here], high_m) - np.maximum(later.from_m[here], low_m)
                assert np.maximum(kept_m, 0.0).sum() >= high_m - low_m - 0.05


@given(town=towns())
@settings(max_examples=20, deadline=None)
def test_stretches_tile_the_network_and_keep_what_each_lamp_lights(
    town: tuple[list[LineString], NDArray[np.float64], list[Polygon]],
) -> None:
    lines, lamps, houses = town
    network = network_of(*lines)
    lit = lit_intervals(network, points(*map(tuple, lamps)), buildings(*houses), reach_m=15)
    cut = stretches(network, lit, len(lamps))
    for e, line in enumerate(lines):
        here = cut.edge == e
        assert cut.from_m[here][0] == 0 and cut.to_m[here][-1] == line.length
        assert (cut.from_m[here][1:] == cut.to_m[here][:-1]).all()
    by_stretch = cut.covers.T.astype(float) @ cut.length_m
    by_interval = np.bincount(lit.site, lit.to_m - lit.from_m, minlength=len(lamps))
    assert by_stretch == approx(by_interval, abs=1e-4)
