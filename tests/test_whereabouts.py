"""A wrong statement on where a layer lies is told for each layer, with the setting that mends it."""

import json

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from spatial.crs import shifted_from_wgs84
from spatial.load import check_site
from spatial.sample import make_sample
from spatial.settings import Settings

PLAIN, PREFIXED, NEXT_ZONE = "EPSG:4548", "EPSG:4527", "EPSG:4549"
LAYERS = ("alleys", "households", "lamp_sites", "buildings", "boundary")


@pytest.fixture(scope="module")
def township():
    layers = make_sample(400, layers=LAYERS)
    return {name: rows[[rows.columns[0], "geometry"]] for name, rows in layers.items()}


def write(folder, name, rows, crs):
    """GeoJSON of the numbers as they stand, under any system or none."""
    document = json.loads(rows.to_json(drop_id=True, to_wgs84=False))
    document["crs"] = {"type": "name", "properties": {"name": crs}}
    (folder / f"{name}.geojson").write_text(json.dumps(document), encoding="utf-8")


def settings(**layers):
    return Settings.model_validate({"input": layers})


def swapped(rows):
    return rows.set_geometry(shapely.transform(rows.geometry.to_numpy(), lambda xy: xy[:, ::-1]))


WRONG = {
    "prefix under a plain code": (lambda rows: rows.to_crs(PREFIXED), PLAIN, "crs-misfit", {"crs": PREFIXED}),
    "none under a prefixed code": (lambda rows: rows, PREFIXED, "crs-misfit", {"crs": PLAIN}),
    "x north, y east": (swapped, PLAIN, "crs-misfit", {"crs": PLAIN, "swap_xy": True}),
    "degrees called metres": (lambda rows: rows.to_crs(4490), PLAIN, "crs-misfit", {"crs": "EPSG:4490"}),
    "degrees called UTM": (lambda rows: rows.to_crs(4490), "EPSG:32650", "crs-misfit", {"crs": "EPSG:4490"}),
    "metres called degrees": (lambda rows: rows, "EPSG:4326", "crs-misfit", {"crs": PLAIN}),
    "the next zone": (lambda rows: rows, NEXT_ZONE, "layers-apart", {"crs": PLAIN}),
    "Web Mercator called UTM": (
        lambda rows: rows.to_crs(3857),
        "EPSG:32650",
        "crs-misfit",
        {"crs": "EPSG:3857"},
    ),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_system_of_one_layer_is_mended_as_the_remedy_says(tmp_path, township, layer, wrong):
    change, stated, code, remedy = WRONG[wrong]
    for name, rows in township.items():
        write(tmp_path, name, rows, PLAIN)
    write(tmp_path, layer, change(township[layer]), stated)
    site, remarks = check_site(tmp_path, Settings())
    assert site is None
    (found,) = (each for each in remarks if each.kind == "fault")
    assert (found.code, found.layer) == (code, layer)
    written = f'[input.{layer}] crs = "{remedy["crs"]}"' + (
        " and swap_xy = true" if "swap_xy" in remedy else ""
    )
    assert written in found.remedy
    site, remarks = check_site(tmp_path, settings(**{layer: remedy}))
    assert site is not None, remarks
    assert not [each for each in remarks if each.code == "layers-apart" or each.code.startswith("crs-in")]
    if layer != "boundary":
        sound = township[layer].geometry.union_all()
        read = site.layers[layer].to_crs(PLAIN).geometry.union_all()
        assert shapely.hausdorff_distance(sound, read) < 0.01


@pytest.mark.parametrize("layer", LAYERS)
def test_a_missing_system_is_told_with_the_one_that_fits(tmp_path, township, layer):
    for name, rows in township.items():
        write(tmp_path, name, rows, PLAIN)
    (tmp_path / f"{layer}.geojson").unlink()
    township[layer].set_crs(None, allow_override=True).to_file(tmp_path / f"{layer}.gpkg", driver="GPKG")
    site, remarks = check_site(tmp_path, Settings())
    (found,) = (each for each in remarks if each.kind == "fault")
    assert (site, found.code, found.layer) == (None, "crs-missing", layer)
    assert f'set [input.{layer}] crs = "EPSG:4548"' in found.remedy


def test_a_local_site_grid_is_refused_and_can_be_overruled(tmp_path, township):
    for name, rows in township.items():
        write(tmp_path, name, rows, PLAIN)
    (tmp_path / "alleys.geojson").unlink()
    local = pyproj.CRS('LOCAL_CS["site grid",UNIT["metre",1]]')
    township["alleys"].set_crs(local, allow_override=True).to_file(tmp_path / "alleys.gpkg", driver="GPKG")
    site, remarks = check_site(tmp_path, Settings())
    (refused,) = (each for each in remarks if each.kind == "fault")
    (doubt,) = (each for each in remarks if each.code == "crs-unreadable")
    assert (site, refused.code) == (None, "crs-missing")
    assert '[input.alleys] crs = "EPSG:4548"' in refused.remedy
    assert "site grid has no place on earth" in doubt.message
    assert check_site(tmp_path, settings(alleys={"crs": PLAIN}))[0] is not None


def test_two_lost_layers_are_told_in_one_run(tmp_path, township):
    for name, rows in township.items():
        write(tmp_path, name, rows, {"alleys": PREFIXED, "lamp_sites": NEXT_ZONE}.get(name, PLAIN))
    _, remarks = check_site(tmp_path, Settings())
    found = {(each.code, each.layer): each.remedy for each in remarks if each.kind == "fault"}
    assert set(found) == {("crs-misfit", "alleys"), ("layers-apart", "lamp_sites")}
    assert all('crs = "EPSG:4548"' in each for each in found.values())


def test_layers_in_five_systems_lie_together(tmp_path, township):
    systems = (PLAIN, PREFIXED, "EPSG:4490", "EPSG:3857", "EPSG:32650")
    for (name, rows), crs in zip(township.items(), systems, strict=True):
        write(tmp_path, name, rows.to_crs(crs), crs)
    site, _ = check_site(tmp_path, Settings())
    assert site is not None
    for name, rows in township.items():
        if name != "boundary":
            read = site.layers[name].to_crs(PLAIN).geometry.union_all()
            assert shapely.hausdorff_distance(rows.geometry.union_all(), read) < 0.01


def test_old_systems_are_never_taken_as_equal_in_silence(tmp_path, township):
    for name, rows in township.items():
        write(tmp_path, name, rows, "EPSG:2384" if name == "buildings" else PLAIN)  # Xi'an 1980
    site, remarks = check_site(tmp_path, Settings())
    (found,) = (each for each in remarks if each.code == "crs-inaccurate")
    assert site is not None
    assert (found.kind, found.layer) == ("doubt", "buildings")
    assert "no transformation between Xian 1980 and China 2000 is known" in found.message


def test_a_shapefile_of_amap_points_in_a_projection_is_brought_back(tmp_path, township):
    for name, rows in township.items():
        write(tmp_path, name, rows, PLAIN)
    degrees = township["lamp_sites"].to_crs(4326).geometry
    lon, lat = shifted_from_wgs84(degrees.x.to_numpy(), degrees.y.to_numpy(), "gcj02")
    shown = township["lamp_sites"].set_geometry(shapely.points(lon, lat), crs=4326).to_crs(PLAIN)
    write(tmp_path, "lamp_sites", shown, PLAIN)
    site, _ = check_site(tmp_path, settings(lamp_sites={"datum": "gcj02"}))
    read = site.layers["lamp_sites"].geometry.union_all()
    assert shapely.hausdorff_distance(township["lamp_sites"].geometry.union_all(), read) < 1e-3


def test_an_island_on_both_sides_of_the_date_line_is_one_place(tmp_path):
    east = [-180 + 0.0001 * i for i in range(1, 6)]
    west = [180 - 0.0001 * i for i in range(1, 6)]

    def features(shapes):
        return [{"type": "Feature", "geometry": each, "properties": {}} for each in shapes]

    lines = [{"type": "LineString", "coordinates": [[179.9995, -16.8], [-179.9995, -16.8]]}]
    points = [{"type": "Point", "coordinates": [lon, -16.8001]} for lon in east + west]
    for name, shapes in (("alleys", lines), ("households", points)):
        text = json.dumps({"type": "FeatureCollection", "features": features(shapes)})
        (tmp_path / f"{name}.geojson").write_text(text, encoding="utf-8")
    site, remarks = check_site(tmp_path, Settings())
    assert site is not None, remarks
    assert site.layers["alleys"].length.sum() == pytest.approx(106.6, abs=0.5)


@pytest.mark.parametrize(
    ("crs", "datum", "remedy"),
    [
        (PLAIN, None, None),
        ("EPSG:4490", None, None),
        (PLAIN, "gcj02", None),
        (NEXT_ZONE, None, PLAIN),
        (None, None, PLAIN),
    ],
)
def test_heights_lie_where_they_were_measured(tmp_path, township, crs, datum, remedy):
    # a slope of one metre in a hundred to the east, as the raster's own cells hold it
    for name, rows in township.items():
        write(tmp_path, name, rows, PLAIN)
    west, south, east, north = township["boundary"].total_bounds
    own = pyproj.CRS(crs or PLAIN)
    if own.is_geographic:
        degrees = township["boundary"].to_crs(own).total_bounds
        cell, left, top = 1e-4, degrees[0] - 0.02, degrees[3] + 0.02
        size = (np.ptp(degrees[[1, 3]]) + 0.04, np.ptp(degrees[[0, 2]]) + 0.04)
    else:
        cell, left, top, size = 10.0, west - 2000, north + 2000, (north - south + 4000, east - west + 4000)
    rows, cols = (int(each / cell) for each in size)
    transform = from_origin(left, top, cell, cell)
    x, y = transform * np.meshgrid(np.arange(cols) + 0.5, np.arange(rows) + 0.5)
    if own.is_geographic:
        x = pyproj.Transformer.from_crs(own, PLAIN, always_xy=True).transform(x, y)[0]
    values = ((x - west) / 100).astype("float32")
    with rasterio.open(tmp_path / "elevation.tif", "w", driver="GTiff", width=cols, height=rows, count=1,
                       dtype="float32", crs=crs, transform=transform) as raster:  # fmt: skip
        raster.write(values, 1)
    site, remarks = check_site(tmp_path, settings(elevation={"datum": datum} if datum else {}))
    if remedy:
        (found,) = (each for each in remarks if each.layer == "elevation")
        assert (found.code, found.kind) == (
            ("crs-missing", "fault") if crs is None else ("layers-apart", "doubt")
        )
        assert f'set [input.elevation] crs = "{remedy}"' in found.remedy
        return
    a, _, c, _, e, f = site.elevation.transform
    middle = (east + west) / 2, (south + north) / 2
    height = site.elevation.values[int((middle[1] - f) / e), int((middle[0] - c) / a)]
    shift_m = 531.7 if datum else 0.0  # where the raster shows this place: that much east
    assert height == pytest.approx((middle[0] - west + shift_m) / 100, abs=0.15)


def packed(number):
    """117.0559 for 117 degrees, 5 minutes and 59 seconds."""
    degrees, rest = divmod(number, 1)
    minutes, rest = divmod(rest * 60, 1)
    return degrees + minutes / 100 + rest * 60 / 10_000


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (np.vectorize(packed), "as 117.0559 for 117°05′59″"),
        (lambda xy: np.vectorize(packed)(xy) * 10_000, "as 1170559 for 117°05′59″"),
        (lambda xy: xy * [-1, 1], "longitudes have the wrong sign"),
        (lambda xy: xy * [1, -1], "latitudes have the wrong sign"),
    ],
)
def test_degrees_written_in_an_odd_way_are_recognised_beside_the_others(township, tmp_path, written, told):
    write(tmp_path, "alleys", township["alleys"], PLAIN)
    write(tmp_path, "buildings", township["buildings"], PLAIN)
    houses = township["households"].to_crs(4326)
    houses = houses.set_geometry(shapely.transform(shapely.centroid(houses.geometry.to_numpy()), written))
    write(tmp_path, "households", houses, "EPSG:4326")
    _, remarks = check_site(tmp_path, Settings())
    (found,) = (each for each in remarks if each.kind == "fault")
    assert (found.layer, told in found.remedy) == ("households", True)
