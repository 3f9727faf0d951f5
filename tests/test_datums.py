"""Layers shifted by the datum of a map are suspected, each and in pairs; layers as they are never."""

import itertools
import json

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely

from spatial.load import check_site
from spatial.load.datums import Mover, suspected_datums
from spatial.sample import make_sample
from spatial.settings import Settings
from tests.drawn_village import with_input

CRS = pyproj.CRS.from_epsg(4548)
GCJ, BD, GCJ_BACK, BD_BACK = (1, 0), (0, 1), (-1, 0), (0, -1)
DATUM = {GCJ: "gcj02", BD: "bd09"}


@pytest.fixture(scope="module")
def township():
    return make_sample(1000)


@pytest.fixture(scope="module")
def mover(township):
    west, south, east, north = township["alleys"].total_bounds
    return Mover(CRS, ((west + east) / 2, (south + north) / 2))


def shifted(rows, mover, shift):
    """The rows as they look when they carry the shift."""
    other_way = (-shift[0], -shift[1])
    shapes = shapely.transform(rows.geometry.to_numpy(), lambda xy: mover.undo(xy, other_way))
    return rows.set_geometry(gpd.GeoSeries(shapes, index=rows.index, crs=rows.crs))


LAYERS = tuple(make_sample(400))


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_alone_is_suspected_forward_and_back(township, mover, layer):
    for shift in (GCJ, BD, GCJ_BACK, BD_BACK):
        found = suspected_datums({**township, layer: shifted(township[layer], mover, shift)}, CRS, {})
        assert list(found) == [layer]
        remedy = found[layer].remedy
        if shift in DATUM:
            assert f'set [input.{layer}] datum = "{DATUM[shift]}"' in remedy
        else:  # as if it alone were true
            others = DATUM[-shift[0], -shift[1]]
            assert f'set [input] datum = "{others}" and [input.{layer}] datum = "wgs84"' in remedy


@pytest.mark.parametrize("pair", list(itertools.pairwise([*LAYERS, LAYERS[0]])))
def test_pairs_of_layers_are_suspected(township, mover, pair):
    for shifts in ((GCJ, GCJ), (GCJ, BD)):
        moved = {name: shifted(township[name], mover, each) for name, each in zip(pair, shifts, strict=True)}
        found = suspected_datums({**township, **moved}, CRS, {})
        assert set(found) == set(pair)
        for name, each in zip(pair, shifts, strict=True):
            assert f'[input.{name}] datum = "{DATUM[each]}"' in found[name].remedy


def test_only_houses_and_alleys_are_enough(township, mover):
    layers = {"alleys": township["alleys"], "households": shifted(township["households"], mover, GCJ)}
    (found,) = suspected_datums(layers, CRS, {}).values()
    assert found.layer == "households"
    assert "lies 568 m east of where it fits, which is the shift of GCJ-02 here" in found.message
    # either houses that were moved back though true, or alleys in GCJ-02: the likelier is told
    layers = {"alleys": township["alleys"], "households": shifted(township["households"], mover, GCJ_BACK)}
    (found,) = suspected_datums(layers, CRS, {}).values()
    assert 'set [input.alleys] datum = "gcj02"' in found.remedy


def test_a_wrong_statement_is_suspected(township, mover):
    # the lamp sites are true, are stated to be GCJ-02, and so were moved when they were read
    layers = {**township, "lamp_sites": shifted(township["lamp_sites"], mover, GCJ_BACK)}
    (found,) = suspected_datums(layers, CRS, {"lamp_sites": "gcj02"}).values()
    assert 'set [input.lamp_sites] datum = "wgs84"' in found.remedy


def test_twelve_metres_of_noise_hide_nothing(township, mover):
    chance = np.random.default_rng(1)
    sites = shifted(township["lamp_sites"], mover, BD)
    sites = sites.set_geometry(sites.translate(*chance.normal(0, 12, 2)))
    noisy = shapely.transform(sites.geometry.to_numpy(), lambda xy: xy + chance.normal(0, 9, xy.shape))
    found = suspected_datums({**township, "lamp_sites": sites.set_geometry(noisy, crs=CRS)}, CRS, {})
    assert list(found) == ["lamp_sites"]


@pytest.mark.parametrize("seed", range(2, 7))
def test_sound_villages_are_never_suspected(seed):
    layers = make_sample(400 + 300 * seed, seed=seed)
    assert suspected_datums(layers, CRS, {}) == {}
    for name in ("buildings", "boundary", "groups"):
        del layers[name]
    assert suspected_datums(layers, CRS, {}) == {}


@pytest.mark.parametrize("seed", range(8))
def test_points_without_any_pattern_are_never_suspected(seed):
    chance = np.random.default_rng(seed)
    origin = np.array((509_400.0, 3_497_000.0))
    size_m = chance.choice([300.0, 800.0, 3000.0])
    starts = chance.uniform(0, size_m, (60, 2)) + origin
    alleys = shapely.linestrings(np.stack((starts, starts + chance.normal(0, 60, (60, 2))), axis=1))
    clusters = chance.uniform(-size_m, 2 * size_m, (4, 2)) + origin
    houses = clusters[chance.integers(0, 4, 200)] + chance.normal(0, 80, (200, 2))
    layers = {
        "alleys": gpd.GeoDataFrame(geometry=alleys, crs=CRS),
        "households": gpd.GeoDataFrame(geometry=shapely.points(houses), crs=CRS),
        "places": gpd.GeoDataFrame(geometry=shapely.points(houses[:7] + np.array((560.0, -190.0))), crs=CRS),
        "boundary": gpd.GeoDataFrame(geometry=[shapely.box(*clusters.min(0), *clusters.max(0))], crs=CRS),
    }
    assert suspected_datums(layers, CRS, {}) == {}


def test_order_of_rows_changes_nothing_where_all_are_tried(township, mover):
    sites = shifted(township["board_sites"], mover, GCJ)
    first = suspected_datums({**township, "board_sites": sites}, CRS, {})
    assert suspected_datums({**township, "board_sites": sites[::-1]}, CRS, {}) == first


def test_where_maps_are_true_nothing_is_suspected(township):
    finland = pyproj.CRS.from_epsg(32635)
    layers = {name: rows.translate(0, 3_000_000) for name, rows in township.items()}
    layers["lamp_sites"] = layers["lamp_sites"].translate(532, -200)
    layers = {
        name: gpd.GeoDataFrame(geometry=rows.set_crs(finland, allow_override=True))
        for name, rows in layers.items()
    }
    assert suspected_datums(layers, finland, {}) == {}


@pytest.mark.real
@pytest.mark.parametrize("name", ["nanshan-shenzhen", "kotka-finland"])
def test_real_places_are_not_suspected(place, name):
    _, remarks = check_site(place(name), Settings())
    assert "datum-suspected" not in [each.code for each in remarks]


def test_a_community_refused_because_of_the_shift_is_told_so(tmp_path, township, mover):
    for name, rows in (
        ("alleys", township["alleys"]),
        ("households", shifted(township["households"], mover, GCJ)),
    ):
        text = rows[[rows.columns[0], "geometry"]].to_crs(4326).to_json(drop_id=True)
        (tmp_path / f"{name}.geojson").write_text(json.dumps(json.loads(text)), encoding="utf-8")
    site, remarks = check_site(tmp_path, Settings())
    assert site is None
    (refused,) = (each for each in remarks if each.code == "alleys-incomplete")
    assert (
        "households may be shifted: if its points come from Amap or Tencent (GCJ-02), set " in refused.remedy
    )
    site, remarks = check_site(tmp_path, with_input(households={"datum": "gcj02"}))
    assert site is not None
    assert "datum-suspected" not in [each.code for each in remarks]
