"""The made-up township: that it is what its README says, and the same every time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
import shapely
from pandas.testing import assert_frame_equal
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from spatial.adjacency import touching
from spatial.load import Site, read_site
from spatial.network import build_network, doors
from spatial.sample import make_elevation, make_sample, write_sample
from spatial.schema import LAYERS
from spatial.settings import Settings, read_settings

COMMITTED = Path(__file__).parent.parent / "data" / "raw" / "shannan"
SIZES = [(400, 3), (700, 2), (1000, 1), (3000, 5)]


@pytest.fixture(scope="module")
def town():
    return make_sample()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("survey") / "shannan"
    write_sample(made)
    return made


@pytest.fixture(scope="module", params=SIZES, ids=lambda size: f"{size[0]}-seed{size[1]}")
def sized(request):
    n_households, seed = request.param
    return n_households, make_sample(n_households, seed=seed)


def assert_same_layer(found: gpd.GeoDataFrame, expected: gpd.GeoDataFrame) -> None:
    """Same rows, columns and values; coordinates to a millimetre, as libraries differ in the last bits."""
    assert_frame_equal(
        pd.DataFrame(found.drop(columns="geometry")), pd.DataFrame(expected.drop(columns="geometry"))
    )
    assert found.crs == expected.crs
    assert found.geom_equals_exact(expected, tolerance=0.0015).all()


def test_the_committed_files_are_what_the_generator_gives(folder):
    committed, made = COMMITTED / "shannan.gpkg", folder / "shannan.gpkg"
    names = pyogrio.list_layers(made)[:, 0].tolist()
    assert pyogrio.list_layers(committed)[:, 0].tolist() == names
    for name in names:
        assert_same_layer(gpd.read_file(committed, layer=name), gpd.read_file(made, layer=name))
    for name in ("households.csv", "plan.toml"):
        assert (COMMITTED / name).read_bytes() == (folder / name).read_bytes()
    with rasterio.open(COMMITTED / "dem.tif") as one, rasterio.open(folder / "dem.tif") as other:
        assert (one.crs, one.transform) == (other.crs, other.transform)
        np.testing.assert_allclose(one.read(1), other.read(1), atol=0.011)


def test_bytes_do_not_depend_on_hash_seed_or_time_zone(folder, tmp_path):
    code = f"from spatial.sample import write_sample; write_sample({str(tmp_path)!r})"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Shanghai"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    for path in sorted(folder.iterdir()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert hashlib.sha256((tmp_path / path.name).read_bytes()).hexdigest() == digest, path.name


def test_another_seed_gives_another_township(town):
    other = make_sample(seed=2)
    assert not other["alleys"].geometry.iloc[0].equals(town["alleys"].geometry.iloc[0])
    assert len(other["buildings"]) != len(town["buildings"])


def test_reading_the_survey_gives_the_layers_in_memory(folder, town):
    site = read_site(folder, read_settings(folder / "plan.toml"))
    assert sorted(site.layers) == sorted(town)
    for name, expected in town.items():
        found = site.layers[name]
        if name == "households":
            assert found["group"].notna().all()
            found = found.assign(group=found["group"].where(expected["group"].notna()))
        assert_same_layer(found.set_index(expected.index), expected)
    elevation = make_elevation(town)
    assert site.elevation.transform == elevation.transform
    np.testing.assert_array_equal(site.elevation.values, elevation.values)


def test_layers_keep_to_the_contract(town):
    assert set(town) == set(LAYERS) - {"elevation"}
    for name, layer in town.items():
        assert layer.columns.tolist() == [each.name for each in LAYERS[name].columns] + ["geometry"]
        assert layer.geometry.is_valid.all()
        key = LAYERS[name].id_column
        if key is not None:
            assert layer[key].is_unique
            assert layer[key].is_monotonic_increasing


def test_coordinates_are_those_of_feixi_with_six_digit_eastings(town):
    assert town["alleys"].crs.to_epsg() == 4548
    lon, lat = town["boundary"].to_crs(4490).geometry.iloc[0].centroid.coords[0]
    assert (round(lon, 1), round(lat, 1)) == (117.1, 31.6)
    assert 100_000 < town["alleys"].total_bounds[0] < 1_000_000


def test_numbers_follow_the_households(sized):
    n, layers = sized
    assert layers["households"]["households"].sum() == n
    assert 5.4 <= layers["alleys"].length.sum() / n <= 7.2
    status = layers["lamp_sites"]["status"]
    assert len(status) == round(0.6 * n)
    assert (status == "existing").sum() == round(0.04 * n)
    assert len(layers["board_sites"]) == round(0.08 * n)
    assert layers["groups"]["group"].nunique() == pytest.approx(n / 42, rel=0.25)


def test_the_ordinary_township_has_the_numbers_of_its_readme(town):
    assert town["alleys"].length.sum() == pytest.approx(6000, rel=0.05)
    assert len(town["groups"]) == pytest.approx(24, abs=2)
    of_group = town["households"].groupby("group")["households"].sum()
    assert of_group.between(14, 82).all()
    assert of_group.between(30, 50).sum() >= 8
    assert {"东巷", "西巷", "大井巷", "澡堂巷"} <= set(town["alleys"]["name"])
    assert sum(path.stat().st_size for path in COMMITTED.iterdir()) < 3_000_000


def test_courtyards_of_two_to_eight_and_one_block_of_seventy(sized):
    households = sized[1]["households"]
    at_door = households.groupby(shapely.to_wkb(households.geometry.to_numpy()))
    assert at_door["households"].sum().nlargest(2).tolist()[0] == 70
    block = households[households["households"] == 70]
    assert len(block) == 1
    footprint = sized[1]["buildings"].set_index("building_id").geometry[block["building_id"].iloc[0]]
    assert footprint.minimum_rotated_rectangle.length > 2 * 40
    assert block["unit"].notna().all()
    others = households.drop(block.index)
    sizes = others.groupby(shapely.to_wkb(others.geometry.to_numpy()))["households"].agg(["sum", "size"])
    assert sizes["sum"].between(1, 8).all()
    assert ((sizes["size"] == 1) & (sizes["sum"] > 1)).sum() > 10  # one row with a count
    assert (sizes["size"] > 1).sum() > 10  # several rows on one point


def crossing_pairs(alleys: gpd.GeoDataFrame) -> list[tuple[int, int]]:
    """Rows of alleys that run through each other where neither has a vertex."""
    lines = alleys.geometry.to_numpy()
    one, other = shapely.STRtree(lines).query(lines, predicate="crosses")
    return [(a, b) for a, b in zip(one, other, strict=True) if a < b]


def test_one_crossing_lacks_its_node_and_one_is_a_bridge(sized):
    alleys = sized[1]["alleys"]
    bridges = [alleys["bridge"].iloc[[a, b]].any() for a, b in crossing_pairs(alleys)]
    assert sorted(bridges) == [False, True]
    overpass = alleys[alleys["level"] == 1]
    assert overpass["bridge"].tolist() == [True]


def test_one_alley_is_drawn_twice(sized):
    assert pd.Series(shapely.to_wkb(sized[1]["alleys"].geometry.to_numpy())).duplicated().sum() == 1


def test_some_ends_stop_a_hand_short(sized):
    lines = sized[1]["alleys"].geometry.to_numpy()
    ends = shapely.points(
        np.concatenate([shapely.get_coordinates(shapely.get_point(lines, i)) for i in (0, -1)])
    )
    end, line = shapely.STRtree(lines).query(ends, predicate="dwithin", distance=0.5)
    gap_m = shapely.distance(ends[end], lines[line])
    short = gap_m > 0.001
    assert 3 <= np.unique(end[short]).size <= 0.2 * len(lines)
    # 0.3 m along the lane that ends short; at right angles to the other less, where they meet aslant
    assert gap_m[short].max() <= 0.301
    assert gap_m[short].max() > 0.2


def test_one_farm_lies_two_hundred_metres_from_any_alley(sized):
    layers = sized[1]
    from_alley_m = shapely.distance(layers["households"].geometry.to_numpy(), layers["alleys"].union_all())
    assert from_alley_m.max() == pytest.approx(200.0, abs=0.002)
    assert np.sort(from_alley_m)[-2] < 10
    assert (
        layers["boundary"]
        .geometry.iloc[0]
        .contains(layers["households"].geometry.iloc[from_alley_m.argmax()])
    )


def test_the_stream_is_crossed_by_two_bridges_and_nothing_else(sized):
    layers = sized[1]
    stream = layers["barriers"].geometry[layers["barriers"]["kind"] == "river"].iloc[0]
    across = layers["alleys"][layers["alleys"].intersects(stream)]
    assert across["bridge"].tolist() == [True, True]
    assert not layers["buildings"].intersects(stream).any()


def test_the_guard_rail_is_crossed_only_by_lanes_from_the_south(sized):
    layers = sized[1]
    rail = layers["barriers"].geometry[layers["barriers"]["kind"] == "railing"].iloc[0]
    across = layers["alleys"][layers["alleys"].intersects(rail)]
    assert 1 <= len(across) < 10
    assert not across["kind"].eq("road").any()
    assert all(rail.intersection(each).geom_type == "Point" for each in across.geometry)


def test_nothing_stands_on_an_alley_or_in_another_house(sized):
    houses = sized[1]["buildings"].geometry.to_numpy()
    tree = shapely.STRtree(houses)
    assert tree.query(sized[1]["alleys"].geometry.to_numpy(), predicate="crosses").size == 0
    one, other = tree.query(houses, predicate="overlaps")
    assert shapely.area(shapely.intersection(houses[one], houses[other])).max(initial=0.0) < 0.05
    lamps = sized[1]["lamp_sites"].geometry.to_numpy()
    assert shapely.STRtree(shapely.buffer(houses, -0.001)).query(lamps, predicate="within").size == 0


def test_doors_are_in_the_outer_wall_towards_the_alley(town):
    households, houses = town["households"], town["buildings"].set_index("building_id").geometry
    own = houses[households["building_id"]].to_numpy()
    points = households.geometry.to_numpy()
    assert shapely.distance(shapely.boundary(own), points).max() < 0.005
    near = town["alleys"].union_all()
    door_m, house_m = shapely.distance(points, near), shapely.distance(own, near)
    assert np.median(door_m - house_m) < 0.6


def test_houses_line_the_alleys_so_that_bends_hide_what_lies_behind(town):
    alleys = town["alleys"]
    lanes = alleys[(alleys["kind"] != "road") & (alleys.length > 60)].geometry.to_numpy()
    houses = town["buildings"].geometry.to_numpy()
    tree = shapely.STRtree(shapely.buffer(houses, -0.001))
    from_m = np.arange(5.0, 35.0, 5.0)
    eye, seen = (
        shapely.line_interpolate_point(lanes[:, None], from_m + ahead).ravel() for ahead in (0.0, 22.0)
    )
    looks = shapely.linestrings(
        np.stack([shapely.get_coordinates(eye), shapely.get_coordinates(seen)], axis=1)
    )
    blocked = np.unique(tree.query(looks, predicate="intersects")[0]).size / len(looks)
    assert 0.2 < blocked < 0.9


def test_the_network_is_one_piece_and_most_groups_are(town):
    site = Site("shannan", town["alleys"].crs, town, None, (), ())
    network = build_network(site, Settings())
    assert network.node_part.max() == 0
    stops = doors(site, network, Settings())
    assert (stops.edge < 0).sum() == 1  # the farm
    near = touching(network, stops)
    group = town["households"]["group"].fillna("").to_numpy()
    one, other = np.repeat(np.arange(len(group)), np.diff(near.indptr)), near.indices
    same = (group[one] == group[other]) & (group[one] != "")
    _, piece = connected_components(
        csr_array((np.ones(same.sum()), (one[same], other[same])), shape=(len(group),) * 2), directed=False
    )
    served = (stops.edge >= 0) & (group != "")
    pieces = pd.Series(piece[served]).groupby(group[served]).nunique()
    assert (pieces == 1).sum() >= 0.85 * len(pieces)


def test_existing_lamps_are_spread_badly(town):
    sites = town["lamp_sites"]
    existing = sites[sites["status"] == "existing"].geometry.to_numpy()
    as_many = sites.geometry.to_numpy()[:: len(sites) // len(existing)][: len(existing)]
    lanes = town["alleys"].union_all()

    def near_a_lamp_m(lamps):
        return lanes.intersection(shapely.union_all(shapely.buffer(lamps, 15.0))).length

    assert near_a_lamp_m(existing) < 0.75 * near_a_lamp_m(as_many)


def test_personal_columns_are_in_the_list_and_in_no_layer(folder, town):
    table = pd.read_csv(folder / "households.csv", dtype="str", encoding="utf-8-sig")
    assert table["户主"].is_unique
    assert table["电话"].str.startswith("000-").all()
    for layer in town.values():
        text = layer.select_dtypes("str")
        assert not text.isin(set(table["户主"]) | set(table["电话"])).any(axis=None)


def test_the_ground_falls_to_the_stream(town):
    elevation = make_elevation(town)
    width, _, west, _, height, north = elevation.transform
    rows, columns = elevation.values.shape
    assert shapely.box(west, north + rows * height, west + columns * width, north).contains(
        town["boundary"].geometry.iloc[0]
    )
    barriers = town["barriers"]
    stream = barriers.geometry[barriers["kind"] == "river"].iloc[0]
    x, y = np.meshgrid(west + width * (np.arange(columns) + 0.5), north + height * (np.arange(rows) + 0.5))
    from_stream_m = shapely.distance(stream, shapely.points(x, y))
    bed, bank = (
        elevation.values[mask].mean()
        for mask in (from_stream_m < 5, (from_stream_m > 60) & (from_stream_m < 90))
    )
    assert bank - bed > 2.0


def test_ten_thousand_households_take_seconds():
    start_s = time.process_time()
    layers = make_sample(10_000)
    assert time.process_time() - start_s < 10
    assert layers["households"]["households"].sum() == 10_000


def test_layers_asked_for_are_those_of_the_whole_township(town):
    for names in (["households", "alleys"], ["groups"], ["board_sites"], ["vacant_buildings", "boundary"]):
        some = make_sample(layers=names)
        assert set(some) == set(names)
        for name, layer in some.items():
            assert_same_layer(layer, town[name])


def test_a_layer_it_does_not_make_is_refused():
    with pytest.raises(ValueError, match="no layer elevation, lamps; there are alleys"):
        make_sample(layers=["alleys", "lamps", "elevation"])


def test_a_township_too_small_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(ValueError, match="400 or more, got 399"):
        write_sample(tmp_path / "none", n_households=399)
    assert not (tmp_path / "none").exists()
