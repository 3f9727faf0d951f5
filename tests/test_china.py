"""The china set: every file reads to the right place and characters, or is refused with the reason."""

import csv

import numpy as np
import pyproj
import pytest
import shapely

from spatial.crs import change_crs, shifted_from_wgs84
from spatial.load import check_site
from spatial.load.formats import check_file, read_source, sources_in
from spatial.settings import Settings
from tests.drawn_village import faults, with_input

pytestmark = pytest.mark.real

WGS84 = pyproj.CRS.from_epsg(4326)
FIELDS = ("province", "city", "district", "name")


@pytest.fixture(scope="module")
def china(place):
    return place("china")


@pytest.fixture(scope="module")
def cities(china):
    with (china / "gcj02_bd09_vectors_gcoord.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def everything(path):
    check_file(path)
    (source,) = sources_in(path)
    return read_source(source, lambda headings: {each: each for each in headings})


def degrees(rows, system):
    return np.array([[float(each[f"{system}_lon"]), float(each[f"{system}_lat"])] for each in rows])


@pytest.mark.parametrize(
    ("name", "encoding", "by", "said"),
    [
        ("cities_gbk_with_cpg", "GB18030", "file", []),
        ("cities_gbk_no_cpg", "GB18030", "guessed", []),
        ("cities_gbk_wrong_cpg", "GB18030", "guessed", ["encoding-lie"]),
        ("cities_utf8_no_cpg", "", "guessed", []),
    ],
)
def test_each_shapefile_of_cities_has_the_right_names_in_the_right_places(
    china, cities, name, encoding, by, said
):
    raw = everything(china / "shapefile_gbk" / f"{name}.shp")
    assert raw.headings == ("省", "市", "区县", "名称")
    names = [[row[each] for row in cities] for each in FIELDS]
    assert [raw.values[each].tolist() for each in raw.headings] == [
        [each or None for each in column] for column in names
    ]
    assert raw.crs == WGS84
    assert shapely.get_coordinates(raw.geometry) == pytest.approx(degrees(cities, "wgs84"), abs=1e-9)
    assert (raw.encoding, raw.encoding_by) == (encoding, by)
    assert [each.code for each in raw.said] == said


def test_provinces_in_utf8_without_a_word_on_it(china):
    raw = everything(china / "utf8_no_cpg_dongli" / "china.shp")
    names = set(raw.values["FCNAME"]) | set(raw.values["OWNER"])
    assert {"安徽省", "内蒙古自治区", "新疆维吾尔自治区", "香港特别行政区"} <= names
    assert all(each is None or "\u4e00" <= each[0] <= "\u9fff" for each in names)
    anhui = shapely.union_all(raw.geometry[raw.values["OWNER"] == "安徽省"])
    assert anhui.contains(shapely.Point(117.1, 31.6))
    assert len(raw.geometry) == 1367


@pytest.mark.parametrize("code", [4490, 4548, 4527, 4509])
def test_points_in_four_systems_lie_in_the_same_places(china, code):
    (path,) = (china / "cgcs2000").glob(f"*_epsg{code}_*.gpkg")
    plain = everything(next((china / "cgcs2000").glob("*_epsg4490_*.gpkg")))
    raw = everything(path)
    assert raw.crs.to_epsg() == code
    here = change_crs(raw.geometry, raw.crs, pyproj.CRS.from_epsg(4548))
    true = change_crs(plain.geometry, plain.crs, pyproj.CRS.from_epsg(4548))
    apart_m = shapely.distance(here, true)
    assert len(apart_m) == 20
    assert apart_m.max() < 0.001
    assert raw.values.keys() == plain.values.keys()
    assert all((raw.values[each] == plain.values[each]).all() for each in raw.values)


def test_zone_39_without_prj_is_refused_with_its_code_and_read_when_stated(china, tmp_path):
    folder = tmp_path / "zone"
    folder.mkdir()
    for ending in (".shp", ".shx", ".dbf", ".cpg"):
        (folder / f"places{ending}").write_bytes(
            (china / "cgcs2000" / f"cities_zone39_no_prj{ending}").read_bytes()
        )
    found = faults(folder)[("crs-missing", "places", "")]
    assert "EPSG:4527" in found.message
    assert '[input.places] crs = "EPSG:4527"' in found.remedy
    _, remarks = check_site(folder, with_input(places={"crs": "EPSG:4527"}))
    found = {each.code for each in remarks if each.kind == "fault" and each.layer == "places"}
    assert found == {"geometry-astray"}  # cities of a province are no places of a township
    raw = everything(china / "cgcs2000" / "cities_zone39_no_prj.shp")
    true = everything(next((china / "cgcs2000").glob("*_epsg4527_*.gpkg")))
    assert shapely.distance(raw.geometry, true.geometry).max() < 0.001
    assert raw.values["名称"].tolist() == true.values["名称"].tolist()


@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
def test_shifted_degrees_agree_with_the_public_converter(cities, datum):
    # its WGS 84 is 0.7 m off, so 1 m from there, and 2 cm between the two shifted systems
    lon, lat = shifted_from_wgs84(*degrees(cities, "wgs84").T, datum)
    east_m = (lon - degrees(cities, datum)[:, 0]) * 111_320 * np.cos(np.radians(lat))
    north_m = (lat - degrees(cities, datum)[:, 1]) * 111_320
    assert np.hypot(east_m, north_m).max() < 1.0


def test_every_file_of_the_set_is_read_here(china):
    known = {"shapefile_gbk", "utf8_no_cpg_dongli", "cgcs2000", "gcj02_bd09_vectors_gcoord.csv"}
    about = {"README.md", "published_pairs.csv"}
    assert {each.name for each in china.iterdir()} == known | about
    site, remarks = check_site(china, Settings())
    assert site is None
    assert {each.code for each in remarks if each.kind == "fault"} == {"alleys-missing"}
