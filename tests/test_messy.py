"""Folders as township offices have them: what is taken, what is only told, and what a setting then mends."""

import json
import sqlite3

import geopandas as gpd
import pytest
import shapely
import xlsxwriter

from spatial.load import check_site, read_site
from tests.drawn_village import (
    CRS,
    DEFAULT,
    HOUSES,
    X0,
    Y0,
    at,
    box,
    codes,
    faults,
    frame,
    geojson,
    with_input,
)


def told(folder, code, known=DEFAULT):
    """The remarks of one code."""
    return [each for each in check_site(folder, known)[1] if each.code == code]


# ── lamps that stand already ─────────────────────────────────────────────────────────────────────────


def test_lamps_without_a_status_may_stand_already(village):
    geojson(village, "路灯", [(at(5, 1), {"编号": "1"}), (at(50, 1), {"编号": "2"})])
    (doubted,) = told(village, "status-unstated")
    assert '[input.lamp_sites] status = "existing"' in doubted.remedy
    assert read_site(village, DEFAULT).layer("lamp_sites")["status"].tolist() == ["candidate"] * 2
    known = with_input(lamp_sites={"status": "existing"})
    assert read_site(village, known).layer("lamp_sites")["status"].tolist() == ["existing"] * 2
    assert not told(village, "status-unstated", known)


def test_a_row_s_own_status_goes_before_that_of_all(village):
    rows = [(at(5, 1), {"状态": "候选"}), (at(50, 1), {"状态": " "}), (at(60, 1), {"状态": None})]
    geojson(village, "路灯", rows)
    site = read_site(village, with_input(lamp_sites={"status": "existing"}))
    assert sorted(site.layer("lamp_sites")["status"]) == ["candidate", "existing", "existing"]
    assert not told(village, "status-unstated")


@pytest.mark.parametrize("name", ["lamp_sites", "路灯候选点", "宣传栏候选点", "lamp_candidates"])
def test_sites_that_are_called_so_are_proposed(village, name):
    geojson(village, name, [(at(5, 1), {})])
    assert not told(village, "status-unstated")


def test_a_status_of_alleys_is_refused(village):
    assert ("input-setting", "alleys", "") in faults(village, with_input(alleys={"status": "existing"}))


# ── houses drawn as areas ────────────────────────────────────────────────────────────────────────────

AREAS = [(box(20 * i, 5, 10, 10), {"层数": 1 + i}) for i in range(3)]


def test_houses_that_say_nothing_of_households_are_buildings(village):
    (village / "households.geojson").unlink()
    geojson(village, "房屋", AREAS)
    site = read_site(village, DEFAULT)
    assert site.layer("buildings")["storeys"].tolist() == [1, 2, 3]
    assert ("houses-are-buildings", "buildings") in codes(site, "doubt")
    assert ("households-estimated", "households") in codes(site, "doubt")
    known = with_input(households={"file": "房屋.geojson"})
    assert len(read_site(village, known).layer("households")) == 3
    assert "buildings" not in read_site(village, known).layers


@pytest.mark.parametrize("more", [{"户数": 2}, {"人口": 4}, {"组别": "东组"}])
def test_houses_with_people_are_households(village, more):
    (village / "households.geojson").unlink()
    geojson(village, "房屋", [(shape, each | more) for shape, each in AREAS])
    site = read_site(village, DEFAULT)
    assert len(site.layer("households")) == 3
    assert "buildings" not in site.layers


def test_points_are_households_and_areas_beside_buildings_too(village):
    (village / "households.geojson").unlink()
    path = geojson(village, "房屋", [(shape, {}) for shape, _ in HOUSES])
    assert len(read_site(village, DEFAULT).layer("households")) == 3
    path.unlink()
    geojson(village, "房屋", AREAS)
    geojson(village, "buildings", AREAS)
    assert not told(village, "houses-are-buildings")


def test_what_is_set_for_the_households_holds_for_the_areas(village):
    (village / "households.geojson").unlink()
    geojson(village, "房屋", AREAS, crs=None)
    assert ("crs-missing", "buildings", "") in faults(village)
    assert len(read_site(village, with_input(households={"crs": CRS})).layer("buildings")) == 3
    assert len(read_site(village, with_input(buildings={"crs": CRS})).layer("buildings")) == 3


# ── files whose names only speak of a layer ──────────────────────────────────────────────────────────


def test_a_list_of_residents_is_pointed_to_and_read_when_it_is_meant(village):
    (village / "households.geojson").unlink()
    with xlsxwriter.Workbook(village / "居民花名册.xlsx") as book:
        sheet = book.add_worksheet("Sheet1")
        sheet.write_row(0, 0, ["某某社区居民花名册"])
        sheet.write_row(1, 0, ["序号", "门牌号码", "总户数", "家庭人口", "所属小组", "东坐标", "北坐标"])
        sheet.write_row(2, 0, [1, "大井巷1号", "３户", "４", "东组", X0 + 10, Y0 + 8])
        sheet.write_row(5, 0, ["合计", "", 3])
    (village / "~$居民花名册.xlsx").write_bytes(b"x" * 165)
    (doubted,) = told(village, "layer-perhaps")
    assert (
        doubted.remedy == 'if it is meant, set [input.households] file = "居民花名册.xlsx", layer = "Sheet1"'
    )
    known = with_input(households={"file": "居民花名册.xlsx", "layer": "Sheet1", "crs": CRS})
    rows = read_site(village, known).layer("households")
    assert rows[["household_id", "households", "residents", "group"]].to_numpy().tolist() == [
        ["大井巷1号", 3, 4, "东组"]
    ]


def test_another_version_of_a_layer_and_a_folder_below_are_pointed_to(village):
    geojson(village, "道路_最终(2)", HOUSES)
    below = village / "矢量数据"
    below.mkdir()
    geojson(below, "房屋建筑", AREAS)
    (village / "__MACOSX").mkdir()
    geojson(village / "__MACOSX", "道路", HOUSES)
    doubts = {each.layer: each for each in told(village, "layer-perhaps")}
    assert "道路_最终(2).geojson is not read" in doubts["alleys"].message
    assert "which are in alleys.geojson" in doubts["alleys"].message
    assert '[input.buildings] file = "矢量数据/房屋建筑.geojson"' in doubts["buildings"].remedy
    known = with_input(buildings={"file": "矢量数据/房屋建筑.geojson"})
    assert len(read_site(village, known).layer("buildings")) == 3


def test_hundreds_of_such_files_are_not_all_pointed_to(village):
    for i in range(50):
        geojson(village, f"道路{i}", HOUSES)
    assert len(told(village, "layer-perhaps")) == 12


# ── files that are called like a layer and hold none ─────────────────────────────────────────────────


def houses_in_buildings(village):
    """Buildings from which households would be estimated if there were none."""
    (village / "households.geojson").unlink()
    geojson(village, "buildings", AREAS)


def test_a_view_called_households_is_refused_not_replaced_by_estimates(village):
    houses_in_buildings(village)
    path = village / "households.gpkg"
    frame(HOUSES).to_file(path, layer="h0")
    with sqlite3.connect(path) as database:
        database.execute("CREATE VIEW households AS SELECT * FROM h0")
        database.execute("UPDATE gpkg_contents SET table_name = 'households'")
        database.execute("UPDATE gpkg_geometry_columns SET table_name = 'households'")
    assert "views" in faults(village)["file-unreadable", "households", ""].remedy
    assert not told(village, "households-estimated")


def test_a_book_of_sheets_by_group_is_told_once_and_refused(village):
    houses_in_buildings(village)
    with xlsxwriter.Workbook(village / "households.xlsx") as book:
        for group in ("东组", "西组", "南组"):
            page = book.add_worksheet(group)
            page.write_row(0, 0, ["户号", "东坐标", "北坐标"])
            page.write_row(1, 0, [group, X0, Y0])
    found = faults(village)["table-undecided", "households", ""]
    assert "3 tables or sheets" in found.message
    assert 'layer = "东组"' in found.remedy
    assert not told(village, "households-estimated")
    assert not told(village, "layer-perhaps")
    known = with_input(households={"file": "households.xlsx", "layer": "东组", "crs": CRS})
    assert len(read_site(village, known).layer("households")) == 1


# ── coordinates that are no true places ──────────────────────────────────────────────────────────────


def houses_at(village, points, crs=CRS):
    geojson(
        village, "households", [(each, {"household_id": f"h{i:03d}"}) for i, each in enumerate(points)], crs
    )


def test_houses_on_one_spot_are_doubted(village):
    known_ones = [at(i, 5 + i / 7) for i in range(60)]
    houses_at(village, known_ones + [at(50, 8)] * 30)
    (doubted,) = told(village, "points-stacked")
    assert (len(doubted.ids), doubted.ids[0]) == (30, "h060")
    houses_at(village, known_ones + [at(50, 8)] * 10)  # a block of flats
    assert not told(village, "points-stacked")


@pytest.mark.parametrize(
    ("decimals", "means"), [(3, "0.001° (111 m)"), (4, "0.0001° (11 m)"), (5, None), (7, None)]
)
def test_rounded_degrees_are_doubted(village, decimals, means):
    degrees = gpd.GeoSeries([at(i * 1.7, 5 + i / 7) for i in range(60)], crs=CRS).to_crs(4326)
    points = [shapely.Point(round(each.x, decimals), round(each.y, decimals)) for each in degrees]
    houses_at(village, points, "EPSG:4326")
    doubted = [each.message for each in told(village, "coordinates-rounded")]
    assert [f"rounded to {means}" in each for each in doubted] == ([True] if means else [])


def test_points_without_coordinates_are_left_to_the_geometry(village):
    points = [at(10 * (i % 10), 10 * (i // 10)) for i in range(60)]
    houses_at(village, [*points, shapely.Point(), None])
    assert faults(village)["geometry-missing", "households", ""].ids == ("h060", "h061")
    assert told(village, "coordinates-rounded")


def test_metres_on_a_grid_of_tens_are_doubted(village):
    houses_at(village, [at(10 * (i % 10), 10 * (i // 10)) for i in range(60)])
    assert [each.layer for each in told(village, "coordinates-rounded")] == ["households"]


def test_rows_without_a_place_in_the_system_are_told_by_the_rows_alone(village):
    degrees = gpd.GeoSeries([each for each, _ in HOUSES], crs=CRS).to_crs(4326)
    houses_at(village, [*degrees, shapely.Point(X0, Y0)], "EPSG:4326")
    assert [key[0] for key in faults(village)] == ["geometry-astray"]


# ── GeoJSON by the line, and its relatives ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", [".geojson", ".geojsonl", ".ndjson"])
@pytest.mark.parametrize("separator", ["", "\x1e"])
def test_one_feature_a_line_is_read(village, ending, separator):
    path = village / "households.geojson"
    features = json.loads(path.read_text())["features"]
    path.unlink()
    text = "".join(f"{separator}{json.dumps(each)}\n" for each in features)
    (village / f"households{ending}").write_text(text)
    known = with_input(households={"crs": CRS})
    assert read_site(village, known).layer("households").index.size == 3


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"geometryType": "esriGeometryPoint", "features": [{"attributes": {}}]}, "Esri JSON"),
        ({"type": "Topology", "objects": {}, "arcs": []}, "TopoJSON"),
        ({"type": "Feature", "geometry": None, "properties": {}}, "not a GeoJSON FeatureCollection"),
    ],
)
def test_relatives_of_geojson_are_called_by_their_name(village, document, kind):
    (village / "households.geojson").write_text(json.dumps(document))
    assert kind in faults(village)["file-unreadable", "households", ""].message


@pytest.mark.parametrize("coordinates", [["117", "31"], [117.0], [[117.0, 31.0]], [float("nan"), 31.0]])
def test_a_geometry_that_is_no_geometry_is_shown(village, coordinates):
    path = village / "households.geojson"
    document = json.loads(path.read_text())
    document["features"][1]["geometry"]["coordinates"] = coordinates
    path.write_text(json.dumps(document))
    found = faults(village)
    assert '"coordinates": [' in found["coordinates-unread", "households", ""].message
    assert found["geometry-missing", "households", ""].ids == ("h2",)
