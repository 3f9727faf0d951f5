"""From files to a checked site: what is read, what is mended and said, and what is refused with a way out."""

import json
import shutil
import sqlite3
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
from geopandas.testing import assert_geodataframe_equal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from spatial.crs import shifted_from_wgs84
from spatial.errors import DataError
from spatial.load import check_site, read_site, read_site_layers, write_layers, write_site_layers
from spatial.load.complete import estimated_counts
from spatial.load.headings import layer_named, match_columns
from spatial.schema import LAYERS
from tests.drawn_village import (
    ALLEYS,
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
    line,
    with_input,
)


def change_by_hand(path, *statements):
    """Run SQL on a GeoPackage whose triggers need functions that only GDAL has."""
    with sqlite3.connect(path) as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in names:
            database.execute(f'DROP TRIGGER "{name}"')
        for each in statements:
            database.execute(each) if isinstance(each, str) else database.execute(*each)
    database.close()


# ── what comes out ───────────────────────────────────────────────────────────────────────────────────


def test_every_layer_has_the_contract_columns_and_types(village):
    site = read_site(village, DEFAULT)
    dtypes = {"text": "str", "int": "Int64", "float": "float64", "bool": "boolean"}
    for name in LAYERS:
        if name != "elevation":
            rows, columns = site.layer(name), LAYERS[name].columns
            assert list(rows.columns) == [*(each.name for each in columns), "geometry"]
            assert [str(rows[each.name].dtype) for each in columns] == [
                dtypes[each.dtype] for each in columns
            ]
            assert isinstance(rows.index, pd.RangeIndex)
            assert rows.crs == site.crs == pyproj.CRS(CRS)
    assert list(site.layers) == ["alleys", "households", "boundary"]
    assert site.layer("households")["households"].tolist() == [1, 2, 3]
    assert site.community == "village"


def test_the_boundary_is_made_20_m_around_and_said(village):
    site = read_site(village, DEFAULT)
    area = site.layer("boundary").geometry.iloc[0]
    # 20 m beyond the west end of a1, the house row 8 m north of it, and the end of a2
    assert area.bounds == pytest.approx((X0 - 20, Y0 - 40, X0 + 120, Y0 + 28))
    assert ("boundary-made", "boundary") in codes(site, "note")


def test_all_formats_give_the_same_site(village, tmp_path):
    plain = read_site(village, DEFAULT)
    for kind in ("gpkg", "csv"):
        folder = tmp_path / kind / "village"
        shutil.copytree(village, folder)
        (folder / "households.geojson").unlink()
        if kind == "gpkg":
            frame(HOUSES).to_file(folder / "data.gpkg", layer="住户")
        else:
            rows = [f"h{i},{i},{X0 + 10 * i!r},{Y0 + 8!r}" for i in (3, 1, 2)]
            (folder / "households.csv").write_text("\n".join(["户号,户数（户）,东坐标,北坐标", *rows]))
        site = read_site(folder, with_input(households={"crs": CRS}))
        assert_geodataframe_equal(site.layer("households"), plain.layer("households"))


def test_inputs_are_named_with_the_sha256_of_their_bytes(village):
    (village / "README.md").write_text("about")
    inputs = read_site(village, DEFAULT).inputs
    assert [each.file for each in inputs] == ["alleys.geojson", "households.geojson"]
    assert all(len(each.sha256) == 64 for each in inputs)
    before = inputs[0].sha256
    geojson(village, "alleys", ALLEYS[:1])
    assert read_site(village, DEFAULT).inputs[0].sha256 != before


values = st.one_of(st.none(), st.text(max_size=8), st.integers(-5, 5), st.floats(), st.booleans())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)), surfaces=st.lists(values, min_size=6, max_size=6), ids=st.booleans())
def test_the_order_of_rows_changes_nothing(village, order, surfaces, ids):
    lines = [line((0, i % 3), (50 + i // 2, i)) for i in range(6)]
    rows = [
        (each, {"surface": s} | ({"id": i} if ids else {}))
        for i, (each, s) in enumerate(zip(lines, surfaces, strict=True))
    ]
    geojson(village, "alleys", rows)
    one = read_site(village, DEFAULT)
    geojson(village, "alleys", [rows[i] for i in order])
    other = read_site(village, DEFAULT)
    assert_geodataframe_equal(one.layer("alleys"), other.layer("alleys"))
    assert one.remarks == other.remarks


# ── finding layers and columns ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "layer"),
    [("巷道", "alleys"), ("ROADS", "alleys"), ("住户", "households"), ("Lamp Sites", "lamp_sites"),
     ("宣传栏候选点", "board_sites"), ("dem", "elevation"), ("cities", None)],
)  # fmt: skip
def test_layers_go_by_their_names_in_both_languages(name, layer):
    assert layer_named(name) == layer


def test_no_two_layers_share_a_name():
    for layer in LAYERS.values():
        for name in (layer.name, layer.zh, layer.en):
            assert layer_named(name) == layer.name


def test_columns_go_by_name_then_chinese_then_alias():
    headings = ["osm_id", "ALLEY_ID", "巷名", "巷宽（米）", "路 面", "路况", "highway"]
    chosen, said = match_columns("alleys", headings, named={})
    assert said == []
    assert chosen == {
        "alley_id": "ALLEY_ID", "condition": "路况", "kind": "highway", "name": "巷名", "surface": "路 面",
        "width_m": "巷宽（米）",
    }  # fmt: skip


def test_settings_name_file_layer_and_columns(village):
    frame([(each, {"code": i, "w": 2.5}) for i, (each, _) in enumerate(ALLEYS)]).to_file(
        village / "survey.gpkg", layer="centre"
    )
    frame(HOUSES).to_file(village / "survey.gpkg", layer="other")
    alleys = {"file": "survey.gpkg", "layer": "centre", "columns": {"alley_id": "code", "width_m": "w"}}
    site = read_site(village, with_input(alleys=alleys))
    assert site.layer("alleys")[["alley_id", "width_m"]].to_numpy().tolist() == [["0", 2.5], ["1", 2.5]]
    (unread,) = (each for each in site.remarks if each.code == "files-unread")
    assert "survey.gpkg (other)" in unread.message
    assert "alleys.geojson" in unread.message


@pytest.mark.parametrize(
    ("layers", "code", "phrase"),
    [
        ({"alley": {"crs": CRS}}, "layer-unknown", "alley is called alleys here"),
        ({"howseholds": {"crs": CRS}}, "layer-unknown", "did you mean households?"),
        ({"alleys": {"file": "../alleys.geojson"}}, "input-setting", "in the community folder"),
        ({"alleys": {"file": "/etc/passwd"}}, "input-setting", "in the community folder"),
        ({"alleys": {"file": "http://x/alleys.geojson"}}, "input-setting", "in the community folder"),
        ({"alleys": {"file": "none.gpkg"}}, "input-setting", "No such file"),
        ({"alleys": {"file": "alleys.mif"}}, "input-setting", "not of a format"),
        ({"alleys": {"layer": "roads"}}, "input-setting", "without a file"),
        ({"alleys": {"columns": {"breadth": "name"}}}, "column-unknown", "breadth"),
        ({"alleys": {"columns": {"width_m": "breadth"}}}, "heading-missing", "alley_id, name"),
    ],
)
def test_settings_that_point_nowhere_are_refused(village, layers, code, phrase):
    found = {key[0]: str(each) for key, each in faults(village, with_input(**layers)).items()}
    assert phrase in found[code]


def test_unused_and_personal_columns_are_named_but_never_read(village):
    rows = [(shape, {**each, "户主": "CANARY", "roof": "tile"}) for shape, each in HOUSES]
    geojson(village, "households", rows)
    site = read_site(village, DEFAULT)
    said = {each.code: each.message for each in site.remarks}
    assert said["personal-unread"] == "personal columns not read: 户主"
    assert said["columns-unread"] == "columns not read: roof"
    assert "CANARY" not in site.layer("households").to_json() + repr(site.remarks)


def test_other_files_are_noted_and_the_usual_company_is_not(village):
    for name in ("README.md", "village.qgz", ".hidden", "plan.toml", "old.mif", "cities.csv"):
        (village / name).write_text("x,y,name\n1,2,3\n")
    (note,) = (each for each in read_site(village, DEFAULT).remarks if each.code == "files-unread")
    assert note.message.endswith(": cities.csv, old.mif")


def test_hundreds_of_other_files_are_counted(village):
    for i in range(300):
        (village / f"照片{i:03}.jpg").write_text("")
    (note,) = (each for each in read_site(village, DEFAULT).remarks if each.code == "files-unread")
    assert note.message.endswith("照片010.jpg, 照片011.jpg … and 288 more")


# ── values ───────────────────────────────────────────────────────────────────────────────────────────


def test_values_are_understood_as_people_write_them(village):
    rows = [
        (
            ALLEYS[0][0],
            {"id": 12.0, "巷宽": "２.５米", "lit": "是", "现状": "3", "类别": "胡同", "bridge": "viaduct"},
        ),
        (ALLEYS[1][0], {"id": 7.0, "巷宽": " 3 m", "lit": "no", "现状": 4.0, "类别": "ramp", "bridge": None}),
    ]
    geojson(village, "alleys", rows)
    site = read_site(village, DEFAULT)
    rows = site.layer("alleys")
    assert rows["alley_id"].tolist() == ["12", "7"]
    assert rows["width_m"].tolist() == [2.5, 3.0]
    assert rows["lit"].tolist() == [True, False]
    assert rows["condition"].tolist() == [3, 4]
    assert rows["kind"].tolist() == ["lane", "ramp"]
    assert rows["bridge"].isna().tolist() == [False, True]
    assert ("value-other", "alleys") in codes(site, "note")


def test_an_empty_count_is_one_household_and_said(village):
    geojson(village, "households", [*HOUSES[:2], (at(30, 8), {"household_id": "h3", "households": None})])
    site = read_site(village, DEFAULT)
    assert site.layer("households")["households"].tolist() == [1, 2, 1]
    (said,) = (each for each in site.remarks if each.code == "default-taken")
    assert (said.kind, said.column, said.ids) == ("note", "households", ("h3",))


def test_every_fault_is_found_in_one_run(village):
    rows = [
        (at(10, 8), {"household_id": "h1", "households": 0, "人口": "x"}),
        (at(20, 8), {"household_id": "h1", "households": 2, "老人": -1}),
        (None, {"household_id": None}),
    ]
    geojson(village, "households", rows)
    geojson(village, "alleys", [(ALLEYS[0][0], {"现状": 9})], crs=None)
    geojson(village, "路灯候选点", [(at(1, 1), {"status": "maybe"})])
    found = faults(village)
    assert sorted(key[0] for key in found) == sorted(
        ["out-of-range", "not-a-number", "out-of-range", "id-double", "id-missing", "geometry-missing",
         "out-of-range", "crs-missing", "value-unknown"]
    )  # fmt: skip
    assert "candidate, existing, required, forbidden" in found["value-unknown", "lamp_sites", "status"].remedy
    with pytest.raises(DataError, match="village has 9 faults"):
        read_site(village, DEFAULT)


def test_a_heading_in_another_unit_is_refused(village):
    geojson(village, "alleys", [(ALLEYS[0][0], {"巷宽(厘米)": 250})])
    (found,) = faults(village).values()
    assert (found.code, found.column) == ("unit-other", "width_m")


def test_ids_are_made_from_geometry_and_said(village):
    geojson(village, "alleys", [(line((50, 0), (60, 9)), {}), (line((0, 0), (50, 0)), {})])
    site = read_site(village, DEFAULT)
    rows = site.layer("alleys")
    assert rows["alley_id"].tolist() == ["a001", "a002"]
    assert rows.geometry.iloc[0].coords[0] == (X0, Y0)
    assert ("ids-made", "alleys") in codes(site, "note")


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "\ud800", " ", "<img src=x onerror=alert(1)>{{7*7}}"])
def test_any_text_survives_a_round_trip(village, tmp_path, text):
    geojson(village, "alleys", [(ALLEYS[0][0], {"alley_id": "a1", "name": text})])
    site = read_site(village, DEFAULT)
    write_site_layers(site, tmp_path / "site.gpkg")
    back = read_site_layers(tmp_path / "site.gpkg")
    assert_geodataframe_equal(back.layer("alleys"), site.layer("alleys"))


# ── geometry ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_row_whose_coordinates_are_no_numbers_is_refused(village):
    (village / "households.geojson").unlink()
    (village / "households.csv").write_text(f"id,x,y\nh1,{X0},{Y0}\nh2,{X0},n/a\nh3,1e999,{Y0}\n")
    found = faults(village, with_input(households={"crs": CRS}))
    assert found["geometry-missing", "households", ""].ids == ("h2",)
    assert found["geometry-not-finite", "households", ""].ids == ("h3",)


def test_repairs_are_made_and_said(village):
    two = shapely.MultiLineString([ALLEYS[0][0], line((0, 10), (9, 10))])
    bow = shapely.Polygon([(X0, Y0), (X0 + 10, Y0 + 10), (X0 + 10, Y0), (X0, Y0 + 10)])
    geojson(
        village,
        "alleys",
        [(two, {"id": "m"}), (line((5, 5), (5, 5)), {"id": "z"}), (ALLEYS[1][0], {"id": "a"})],
    )
    geojson(
        village, "buildings", [(bow, {"id": "bow"}), (shapely.force_3d(box(0, 5, 9, 9), 3.0), {"id": "high"})]
    )
    site = read_site(village, DEFAULT)
    assert site.layer("alleys")["alley_id"].tolist() == ["a", "m-1", "m-2"]
    assert site.layer("alleys").geom_type.eq("LineString").all()
    assert site.layer("buildings").geometry.area.tolist() == [50.0, 81.0]
    assert not site.layer("buildings").has_z.any()
    said = {each.code: each.ids for each in site.remarks}
    assert said["parts-split"] == ("m",)
    assert said["no-extent-dropped"] == ("z",)
    assert said["polygon-made-valid"] == ("bow",)
    assert said["flattened"] == ("high",)


# ── coordinate systems ───────────────────────────────────────────────────────────────────────────────


def test_layers_in_several_systems_are_brought_to_that_of_the_alleys(village):
    degrees = frame(HOUSES).to_crs(4490)
    geojson(
        village,
        "households",
        list(zip(degrees.geometry, [e for _, e in HOUSES], strict=True)),
        crs="EPSG:4490",
    )
    site = read_site(village, DEFAULT)
    assert site.crs == pyproj.CRS(CRS)
    moved = site.layer("households").geometry.distance(gpd.GeoSeries([e for e, _ in HOUSES], crs=CRS))
    assert moved.max() < 1e-6
    assert ("crs-changed", "households") in codes(site, "note")


def test_degrees_are_planned_in_the_zone_they_lie_in(tmp_path):
    for name, rows in (("alleys", ALLEYS), ("households", HOUSES)):
        degrees = frame(rows).to_crs(4326)
        geojson(tmp_path, name, list(zip(degrees.geometry, [e for _, e in rows], strict=True)), crs=None)
    site = read_site(tmp_path, DEFAULT)
    assert site.crs == pyproj.CRS(CRS)
    assert site.layer("alleys").geometry.length.iloc[0] == pytest.approx(100.0, abs=1e-6)
    assert ("datum-unstated", "alleys") in codes(site, "doubt")


@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
def test_a_shifted_layer_is_brought_back_when_its_datum_is_stated(village, datum):
    degrees = frame(HOUSES).to_crs(4326).geometry
    lon, lat = shifted_from_wgs84(degrees.x.to_numpy(), degrees.y.to_numpy(), datum)
    (village / "households.geojson").unlink()
    table = pd.DataFrame({"户号": ["h1", "h2", "h3"], "经度": lon, "纬度": lat})
    table.to_csv(village / "households.csv", index=False)
    site = read_site(village, with_input(households={"datum": datum}))
    moved = site.layer("households").geometry.distance(gpd.GeoSeries([e for e, _ in HOUSES], crs=CRS))
    assert moved.max() < 1e-6
    assert "datum-unstated" not in [each.code for each in site.remarks]


def test_a_missing_crs_is_refused_with_what_the_numbers_look_like(village):
    zoned = [(shapely.transform(each, lambda xy: xy + np.array([39e6, 0.0])), row) for each, row in ALLEYS]
    geojson(village, "alleys", zoned, crs=None)
    (found,) = faults(village).values()
    assert found.code == "crs-missing"
    assert "EPSG:4527" in found.message
    assert "[input.alleys] crs" in found.remedy


@pytest.mark.parametrize(
    ("crs", "code"), [("EPSG:4527", "crs-misfit"), ("EPSG:4326", "crs-misfit"), ("mars", "crs-unknown")]
)
def test_a_wrong_crs_is_refused(village, crs, code):
    (found,) = faults(village, with_input(alleys={"crs": crs})).values()
    assert (found.code, found.layer) == (code, "alleys")


def test_swapped_columns_are_told(village):
    (village / "households.geojson").unlink()
    (village / "households.csv").write_text(f"id,东坐标,北坐标\nh1,{Y0},{X0}\n")
    (found,) = faults(village, with_input(households={"crs": CRS})).values()
    assert "swapped" in found.message
    named = with_input(households={"crs": CRS, "columns": {"x": "北坐标", "y": "东坐标"}})
    assert read_site(village, named).layer("households").geometry.iloc[0] == at(0, 0)


def test_a_neighbouring_zone_is_noticed(village):
    # the same metres read one zone further east: 280 km away
    known = with_input(households={"crs": "EPSG:4549"})
    assert ("layers-apart", "households", "") in faults(village, known)


# ── formats ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_in_the_encodings_and_separators_of_office_programs(village, encoding, separator):
    (village / "households.geojson").unlink()
    text = separator.join(["户号", "村民小组", "X坐标", "Y坐标"]) + "\r\n"
    text += (
        separator.join(["一", '"大井,组"' if separator == "," else "大井,组", repr(X0), repr(Y0)]) + "\r\n"
    )
    (village / "households.csv").write_bytes(text.encode(encoding))
    site = read_site(village, with_input(households={"crs": CRS}))
    assert site.layer("households")[["household_id", "group"]].to_numpy().tolist() == [["一", "大井,组"]]
    noted = ("encoding-found", "households") in codes(site, "note")
    assert noted == (encoding in ("gb18030", "utf-16"))


def test_a_stated_encoding_that_is_wrong_is_refused(village):
    (village / "households.geojson").unlink()
    (village / "households.csv").write_bytes(f"户号,x,y\n一,{X0},{Y0}\n".encode("gb18030"))
    (found,) = faults(village, with_input(households={"crs": CRS, "encoding": "utf-8"})).values()
    assert "gb18030" in found.message
    (found,) = faults(village, with_input(households={"crs": CRS, "encoding": "klingon"})).values()
    assert "klingon" in found.message


def test_text_that_is_cut_or_damaged_is_told_as_what_it_is(village):
    (village / "households.geojson").unlink()
    known, path = with_input(households={"crs": CRS}), village / "households.csv"
    rows = "".join(f"大井巷{i}号,{X0 + i},{Y0}\n" for i in range(9))
    whole = f"户号,x,y\n{rows}大井巷".encode()
    path.write_bytes(whole[:-1])
    (found,) = faults(village, known).values()
    assert found.message.startswith("households.csv is cut off within a character, in line 11")
    path.write_bytes(whole.replace("巷5".encode(), b"\xe5\xb7\xff5"))
    (found,) = faults(village, known).values()
    assert found.message.startswith("households.csv is damaged, in line 7")
    path.write_bytes(f"id,x,y\nh1,{X0},{Y0}\n".encode() + b"h\xff\xff,1,1\n")
    (found,) = faults(village, known).values()
    assert "neither UTF-8 nor GB18030" in found.message


@pytest.mark.parametrize(
    "stated",
    [
        {"type": "name", "properties": {"name": "某地独立坐标系"}},
        {"type": "link", "properties": {"href": "http://example.org/crs/42", "type": "proj4"}},
        "某地独立坐标系",
    ],
)
def test_a_system_that_can_not_be_understood_is_named_and_the_layer_read_when_it_is_stated(village, stated):
    path = village / "households.geojson"
    path.write_text(json.dumps({**json.loads(path.read_text()), "crs": stated}))
    _, remarks = check_site(village, DEFAULT)
    told = {each.code: each for each in remarks if each.layer == "households"}
    assert "households.geojson" in told["crs-unreadable"].message
    assert "link" in told["crs-unreadable"].message or "某地独立坐标系" in told["crs-unreadable"].message
    assert '[input.households] crs = "' in told["crs-missing"].remedy
    assert len(read_site(village, with_input(households={"crs": CRS})).layer("households")) == 3


@pytest.mark.parametrize("srid", [("4548", "4549"), ("999999", "999999")])
def test_systems_of_wkt_that_differ_or_mean_nothing_are_told(village, srid):
    (village / "households.geojson").unlink()
    rows = "".join(f'h{i},"SRID={each};{at(10 * i, 8).wkt}"\n' for i, each in enumerate(srid))
    (village / "households.csv").write_text(f"id,wkt\n{rows}")
    _, remarks = check_site(village, DEFAULT)
    told = {each.code: each for each in remarks if each.layer == "households"}
    assert srid[0] in told["crs-unreadable"].message
    assert told["crs-missing"].kind == "fault"


def test_a_csv_without_coordinates_says_which_headings_are_looked_for(village):
    (village / "households.geojson").unlink()
    (village / "households.csv").write_text("id,name\n1,2\n")
    (found,) = faults(village).values()
    assert "lon and lat" in found.message


def test_all_rows_are_read_whatever_the_stored_feature_count_says(village):
    rows = [(at(i % 50, 5 + i // 50), {"household_id": f"h{i:03}"}) for i in range(260)]
    (village / "households.geojson").unlink()
    frame(rows).to_file(village / "households.gpkg")
    change_by_hand(village / "households.gpkg", "UPDATE gpkg_ogr_contents SET feature_count = 10")
    assert len(pyogrio.read_dataframe(village / "households.gpkg")) == 10  # GDAL believes it
    site = read_site(village, DEFAULT)
    assert len(site.layer("households")) == 260
    (told,) = (each for each in site.remarks if each.code == "count-stale")
    assert "holds 260 rows but counts 10" in told.message


def test_geopackage_text_in_another_encoding_is_told_and_read_when_stated(village):
    frame(ALLEYS).to_file(village / "village.gpkg", layer="alleys")
    (village / "alleys.geojson").unlink()
    gbk = "大井巷".encode("gb18030").hex()
    change_by_hand(village / "village.gpkg", f"UPDATE alleys SET name = CAST(x'{gbk}' AS TEXT)")
    (found,) = faults(village).values()
    assert "gb18030" in found.message
    site = read_site(village, with_input(alleys={"encoding": "gb18030"}))
    assert site.layer("alleys")["name"].tolist() == ["大井巷", "大井巷"]


def test_text_in_a_whole_number_column_of_a_geopackage_is_told(village):
    (village / "households.geojson").unlink()
    frame(HOUSES).to_file(village / "households.gpkg")
    text = "UPDATE households SET households = 'about five' WHERE household_id = 'h2'"
    change_by_hand(village / "households.gpkg", text)
    (found,) = faults(village).values()
    assert (found.code, found.ids) == ("not-a-number", ("h2",))


def test_a_view_is_never_read(village):
    path = village / "village.gpkg"
    frame(HOUSES).to_file(path, layer="cities")
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i AS fid, NULL AS geom FROM n"
    )
    change_by_hand(
        path,
        f"CREATE VIEW places AS {endless}",
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) "
        "VALUES ('places', 'features', 'p', 4548)",
        "INSERT INTO gpkg_geometry_columns VALUES ('places', 'geom', 'POINT', 4548, 0, 0)",
    )
    assert "places" not in read_site(village, DEFAULT).layers


def test_changes_that_qgis_has_not_saved_are_not_passed_over(village):
    frame(ALLEYS).to_file(village / "village.gpkg", layer="cities")
    (village / "village.gpkg-wal").write_bytes(b"pages")
    (found,) = faults(village).values()
    assert "close it in QGIS" in found.message


@pytest.mark.parametrize(
    ("name", "content", "phrase"),
    [
        ("places.gpkg", b"<OGRVRTDataSource/>", "not a GeoPackage"),
        ("places.gpkg", b"SQLite format 3\0" + bytes(84), "damaged"),
        ("places.gpkg", b"SQLite format 3\0" + b"\xff" * 4000, "damaged"),
        ("places.geojson", b"SQLite format 3\0", "not GeoJSON"),
        ("places.geojson", b"[" * 100_000, "not valid JSON"),
        ("places.geojson", b"{}", "not a GeoJSON FeatureCollection"),
        ("places.geojson", b'{"features": [1]}', "not a GeoJSON FeatureCollection"),
        ("places.geojson", b'{"features": [{"geometry": {"type": "Blob"}}]}', "no geometry"),
        ("places.csv", b"x,y\n1,2\n1,2,3,4\n", "not a sound CSV"),
        ("dem.tif", b"<VRTDataset/>", "not a GeoTIFF"),
        ("dem.tif", b"II*\0" + bytes(100), "dem.tif"),
    ],
)
def test_files_that_are_not_what_they_claim_are_refused(village, name, content, phrase):
    (village / name).write_bytes(content)
    assert any(phrase in str(each) for each in faults(village).values())


def test_whatever_is_damaged_in_a_file_is_told_and_never_a_traceback(village):
    frame(ALLEYS).to_file(village / "village.gpkg", layer="alleys")
    (village / "alleys.geojson").unlink()
    (village / "board_sites.csv").write_text(f"id,状态,x,y\nb1,候选,{X0},{Y0}\n")
    known, chance = with_input(board_sites={"crs": CRS}), np.random.default_rng(1)
    sound = {path: path.read_bytes() for path in sorted(village.iterdir())}
    outcomes = set()
    for _ in range(30):
        path = list(sound)[chance.integers(len(sound))]
        damaged = np.frombuffer(sound[path], dtype=np.uint8).copy()
        places = chance.choice(np.flatnonzero(damaged), size=chance.integers(1, 4))
        damaged[places] = chance.integers(256, size=len(places))
        path.write_bytes(
            damaged.tobytes()[: None if chance.random() < 0.8 else chance.integers(len(damaged))]
        )
        outcomes.add(check_site(village, known)[0] is None)
        path.write_bytes(sound[path])
    assert outcomes == {True, False}


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        read_site(tmp_path / "none", DEFAULT)


# ── layers together ──────────────────────────────────────────────────────────────────────────────────


def test_empty_layers(village):
    geojson(village, "lamp_sites", [])
    assert ("layer-empty", "lamp_sites") in codes(read_site(village, DEFAULT), "doubt")
    geojson(village, "buildings", [(box(0, 5, 10, 10), {})])
    geojson(village, "households", [])
    found = faults(village)[("layer-empty", "households", "")]  # never estimated in silence
    assert "take the file away" in found.remedy
    for rows in ([], [(line((5, 5), (5, 5)), {})]):
        geojson(village, "alleys", rows)
        assert ("layer-empty", "alleys", "") in faults(village)


def test_without_households_and_buildings_only_lamps_can_be_planned(village):
    (village / "households.geojson").unlink()
    site = read_site(village, DEFAULT)
    assert "households" not in site.layers
    assert ("households-none", "households") in codes(site, "note")


def test_households_are_estimated_from_footprints_by_the_stated_rule(village):
    (village / "households.geojson").unlink()
    rows = [
        (box(0, 5, 10, 10), {"id": "house"}),  # 100 m2, a storey guessed: 1
        (box(20, 5, 6, 6), {"id": "hut"}),  # 36 m2: none
        (box(30, 5, 20, 20), {"id": "two", "storeys": None}),  # 400 m2, 2 guessed: 0.8·400·2/90 = 7.1
        (box(60, 5, 20, 20), {"id": "flats", "building": "apartments"}),  # 4 guessed: 14.2
        (box(90, 5, 10, 10), {"id": "tower", "height_m": 18.2}),  # 6 storeys: 5.3
        (box(110, 5, 20, 20), {"id": "school", "building": "School"}),  # none
    ]
    geojson(village, "buildings", rows)
    site = read_site(village, DEFAULT)
    counts = site.layer("households").set_index("household_id")["households"].to_dict()
    assert counts == {"house": 1, "two": 7, "flats": 14, "tower": 5}
    (said,) = (each for each in site.remarks if each.code == "households-estimated")
    assert said.kind == "doubt"
    assert "27 are ESTIMATED from 4 of 6 buildings" in said.message


def test_groups_are_filled_from_polygons_and_areas_of_one_name_united(village):
    areas = [
        (box(0, 0, 15, 20), {"组别": "东"}),
        (box(25, 0, 15, 20), {"组别": "东"}),
        (box(50, 0, 9, 9), {"组别": "西"}),
    ]
    geojson(village, "村民小组", areas)
    geojson(village, "households", [*HOUSES, (at(55, 5), {"household_id": "h4", "group": "南"})])
    site = read_site(village, DEFAULT)
    assert site.layer("households")["group"].fillna("?").tolist() == ["东", "?", "东", "南"]
    assert site.layer("groups")["group"].tolist() == ["东", "西"]
    (alone,) = (each for each in site.remarks if each.code == "group-none")
    assert (alone.kind, alone.ids) == ("doubt", ("h2",))


def test_a_boundary_of_several_areas_is_one_and_houses_outside_are_a_doubt(village):
    geojson(
        village,
        "社区边界",
        [(box(-10, -30, 22, 50), {"名称": "山南"}), (box(12, -30, 10, 50), {"名称": "山南"})],
    )
    site = read_site(village, DEFAULT)
    boundary = site.layer("boundary")
    assert (boundary["name"].tolist(), boundary.geometry.area.tolist()) == (["山南"], [32 * 50])
    (outside,) = (each for each in site.remarks if each.code == "household-outside")
    assert (outside.kind, outside.ids) == ("doubt", ("h3",))


def test_more_than_half_beyond_reach_means_the_alleys_are_incomplete(village):
    # 3 households within 100 m, 3 beyond: half, still accepted; one more is not
    rows = [(at(10, 99), {"id": "near", "households": 3}), (at(10, 101), {"id": "far", "households": 3})]
    geojson(village, "households", rows)
    read_site(village, DEFAULT)
    rows[1][1]["households"] = 4
    geojson(village, "households", rows)
    (found,) = faults(village).values()
    assert found.code == "alleys-incomplete"
    assert "4 of 7 households" in found.message
    read_site(village, with_input(max_access_m=120.0))


def test_elevation_is_cut_to_the_site_and_unknown_cells_are_nan(village):
    heights = np.arange(400 * 400, dtype=np.float32).reshape(400, 400) / 1000
    heights[200, 200] = -9999
    profile = {"driver": "GTiff", "height": 400, "width": 400, "count": 1, "dtype": "float32", "crs": CRS}
    transform = from_origin(X0 - 2000, Y0 + 2000, 10, 10)
    with rasterio.open(village / "高程.tif", "w", **profile, transform=transform, nodata=-9999) as raster:
        raster.write(heights, 1)
    elevation = read_site(village, DEFAULT).elevation
    # 220 m west of the alleys and 228 m north: 178 columns and 177 rows cut away
    assert elevation.transform == (10, 0, X0 - 220, 0, -10, Y0 + 230)
    assert elevation.values.dtype == np.float32
    assert elevation.values[0, 0] == heights[177, 178]
    assert np.isnan(elevation.values[23, 22])


def test_elevation_in_degrees_is_brought_to_the_site(village):
    west, south, east, north = frame([(box(-500, -500, 1000, 1000), {})]).to_crs(4326).total_bounds
    profile = {"driver": "GTiff", "height": 50, "width": 50, "count": 1, "dtype": "int16", "crs": "EPSG:4326"}
    transform = rasterio.transform.from_bounds(west, south, east, north, 50, 50)
    with rasterio.open(village / "dem.tif", "w", **profile, transform=transform) as raster:
        raster.write(np.full((50, 50), 31, dtype=np.int16), 1)
    site = read_site(village, DEFAULT)
    a, _, c, _, e, f = site.elevation.transform
    row, col = int((Y0 - f) / e), int((X0 - c) / a)
    assert site.elevation.values[row, col] == 31.0
    assert ("crs-changed", "elevation") in codes(site, "note")


# ── site.gpkg ────────────────────────────────────────────────────────────────────────────────────────

number = st.one_of(st.none(), st.floats(0, 200, allow_nan=False))
text = st.one_of(st.none(), st.text(max_size=6))
flag = st.one_of(st.none(), st.booleans())
coordinate = st.floats(-500, 500).filter(lambda v: abs(v) > 1e-6)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(coordinate, coordinate, number, text, flag), min_size=1, max_size=5))
def test_what_is_written_reads_back_bit_by_bit_and_writes_the_same_bytes(village, tmp_path, rows):
    alleys = [(line((0, 0), (x, y)), {"width_m": w, "surface": t, "lit": b}) for x, y, w, t, b in rows]
    geojson(village, "alleys", alleys)
    geojson(village, "places", [(at(1, 1), {"kind": "school"}), (box(0, 0, 5, 5), {})])
    site, _ = check_site(village, with_input(max_access_m=1e4))
    one, two = tmp_path / "one.gpkg", tmp_path / "two.gpkg"
    write_site_layers(site, one)
    back = read_site_layers(one)
    write_site_layers(back, two)
    assert one.read_bytes() == two.read_bytes()
    assert (back.community, back.crs, list(back.layers)) == (site.community, site.crs, list(site.layers))
    for name, layer in site.layers.items():
        assert_geodataframe_equal(back.layers[name], layer)
        assert (
            shapely.to_wkb(back.layers[name].geometry.array).tolist()
            == shapely.to_wkb(layer.geometry.array).tolist()
        )


def test_more_columns_than_the_contract_are_not_stored_and_empty_layers_are(village, tmp_path):
    site = read_site(village, DEFAULT)
    more = {
        **site.layers,
        "alleys": site.layer("alleys").assign(extra=1),
        "lamp_sites": site.layer("lamp_sites"),
    }
    write_site_layers(replace(site, layers=more), tmp_path / "site.gpkg")
    back = read_site_layers(tmp_path / "site.gpkg")
    assert_geodataframe_equal(back.layer("alleys"), site.layer("alleys"))
    assert len(back.layers["lamp_sites"]) == 0


def test_a_system_without_a_code_is_kept(village, tmp_path):
    site = read_site(village, DEFAULT)
    own = pyproj.CRS("+proj=tmerc +lon_0=117.05 +k=1 +x_0=500000 +ellps=GRS80 +units=m")
    moved = replace(site, crs=own, layers={name: each.to_crs(own) for name, each in site.layers.items()})
    write_site_layers(moved, tmp_path / "site.gpkg")
    back = read_site_layers(tmp_path / "site.gpkg")
    assert back.crs == own
    assert_geodataframe_equal(back.layer("alleys"), moved.layer("alleys"))


def test_a_folder_that_is_not_there_is_named(village, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        write_site_layers(read_site(village, DEFAULT), tmp_path / "none" / "site.gpkg")


def test_a_foreign_geopackage_is_no_site(tmp_path):
    frame(ALLEYS).to_file(tmp_path / "site.gpkg", layer="alleys")
    with pytest.raises(DataError):
        read_site_layers(tmp_path / "site.gpkg")


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM site",
        "UPDATE site SET crs = 'mars'",
        "UPDATE alleys SET width_m = 'wide'",
        "ALTER TABLE alleys DROP COLUMN lit",
    ],
)
def test_a_site_that_was_tampered_with_is_refused(village, tmp_path, change):
    path = tmp_path / "site.gpkg"
    write_site_layers(read_site(village, DEFAULT), path)
    change_by_hand(path, change)
    with pytest.raises(DataError):
        read_site_layers(path)


def test_tables_and_layers_are_written_into_one_file_without_leaving_settings_behind(tmp_path):
    path = tmp_path / "plan.gpkg"
    write_layers({"alleys": frame(ALLEYS)}, path, crs=pyproj.CRS(CRS))
    write_layers({"layer_styles": pd.DataFrame({"f_table_name": ["alleys"]})}, path, crs=None)
    assert pyogrio.list_layers(path).tolist() == [["alleys", "LineString"], ["layer_styles", None]]
    assert pyogrio.get_gdal_config_option("OGR_CURRENT_DATE") is None


# ── real places ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.real
def test_kotka_is_read_as_it_is(place):
    site = read_site(place("kotka-finland"), DEFAULT)
    rows = {name: len(each) for name, each in site.layers.items()}
    assert rows == {"alleys": 304, "households": 1598, "buildings": 2171, "boundary": 1, "barriers": 14}
    assert site.crs == pyproj.CRS("EPSG:3067")
    assert site.layer("households")["households"].sum() == 3162
    assert site.layer("alleys").geometry.length.sum() == pytest.approx(53_100, abs=50)


@pytest.mark.real
def test_kotka_estimated_from_its_buildings_comes_close_to_its_own_estimate(place, tmp_path):
    path = place("kotka-finland") / "kotka-finland.gpkg"
    for name in ("alleys", "buildings"):
        pyogrio.read_dataframe(path, layer=name).to_file(tmp_path / "kotka.gpkg", layer=name)
    homes = read_site(tmp_path, DEFAULT).layer("households")
    # the set's own rule also knew ten tagged storeys
    assert abs(homes["households"].sum() - 3162) < 100
    assert abs(len(homes) - 1598) <= 2  # two stand at 40 m2 exactly


@pytest.mark.real
def test_the_rule_gives_the_counts_of_nanshan(place):
    homes = pyogrio.read_dataframe(place("nanshan-shenzhen") / "nanshan-shenzhen.gpkg", layer="households")
    counts = estimated_counts(homes["area_m2"].to_numpy(), homes["storeys"].to_numpy(dtype=float))
    assert (counts == homes["households"]).mean() > 0.99  # their areas are rounded to 0.1 m2


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "code"), [("kathmandu-ward7", "alleys-missing"), ("nanshan-shenzhen", "alleys-incomplete")]
)
def test_places_that_can_not_be_planned_are_refused_with_the_reason(place, name, code):
    (found,) = faults(place(name)).values()
    assert (found.code, found.layer) == (code, "alleys")


@pytest.mark.real
def test_aleppo_has_lanes_and_no_households(place):
    site = read_site(place("aleppo-old-city-streets"), DEFAULT)
    assert list(site.layers) == ["alleys", "boundary"]
    assert len(site.layer("alleys")) == 6736
