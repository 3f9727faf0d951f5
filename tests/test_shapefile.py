"""Shapefiles as offices hand them on: any encoding, lying company, parts lost, rows cut off."""

import os
import struct

import geopandas as gpd
import numpy as np
import pyogrio
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj.enums import WktVersion

from spatial.errors import DataError
from spatial.load import check_site, read_site
from spatial.load.encodings import Piece, codec_named, judged_codec
from spatial.load.formats import check_file, read_source, sources_in
from spatial.settings import Settings
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
    geojson,
    with_input,
)

ENDINGS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
PEOPLE = [(at(10 * i, 8), {"户号": f"大井巷{i}号", "户数": i, "村民小组": "大井组"}) for i in (1, 2, 3)]


def shapefile(folder, name, rows, *, encoding="utf-8", crs=CRS, cpg=None, language=0):
    """Write a shapefile in an encoding; ``cpg`` is what it says about itself (None: nothing at all)."""
    table = gpd.GeoDataFrame([each for _, each in rows], geometry=[each for each, _ in rows], crs=crs)
    path = folder / f"{name}.shp"
    pyogrio.write_dataframe(table, path, encoding=encoding)
    path.with_suffix(".cpg").unlink(missing_ok=True)
    if cpg is not None:
        path.with_suffix(".cpg").write_text(cpg)
    change(path.with_suffix(".dbf"), 29, bytes([language]))
    return path


def change(path, at_byte, raw):
    content = bytearray(path.read_bytes())
    content[at_byte : at_byte + len(raw)] = raw
    path.write_bytes(content)


def raw_layer(path, encoding=None):
    """Everything in the file, whatever its columns are called."""
    check_file(path)
    (source,) = sources_in(path)
    return read_source(source, lambda headings: {each: each for each in headings}, encoding=encoding)


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("encoding", "cpg", "language", "said"),
    [
        ("gb18030", "GBK", 0, None),
        ("gb18030", "936", 0, None),
        ("gb18030", "ANSI 936", 0, None),
        ("gb18030", None, 0x4D, None),
        ("gb18030", None, 0, "encoding-found"),
        ("gb18030", None, 0x57, "encoding-found"),  # whatever the writer's machine had
        ("gb18030", "UTF-8", 0, "encoding-lie"),
        ("gb18030", "ISO-8859-1", 0, "encoding-lie"),
        ("gb18030", None, 0x03, "encoding-lie"),
        ("gb18030", "klingon", 0, "encoding-unknown"),
        ("utf-8", "UTF-8", 0x57, None),
        ("utf-8", None, 0, None),
        ("utf-8", "GBK", 0, "encoding-lie"),
        ("utf-8", None, 0x4D, "encoding-lie"),
        ("utf-8", "1252", 0, "encoding-lie"),
    ],
)
def test_text_is_read_in_the_encoding_that_it_is_in(lanes, encoding, cpg, language, said):
    shapefile(lanes, "households", PEOPLE, encoding=encoding, cpg=cpg, language=language)
    site = read_site(lanes, DEFAULT)
    assert site.layer("households")[["household_id", "group", "households"]].to_numpy().tolist() == [
        [f"大井巷{i}号", "大井组", i] for i in (1, 2, 3)
    ]
    found = {code for code, layer in codes(site, "note") if code.startswith("encoding") and layer}
    assert found >= ({said} if said else set())
    assert found <= {said, "encoding-found"} - ({"encoding-found"} if said is None else set())


def test_a_stated_encoding_goes_before_all_others(lanes):
    path = shapefile(lanes, "households", PEOPLE, encoding="gb18030", cpg="UTF-8")
    site = read_site(lanes, with_input(households={"encoding": "GBK"}))
    assert site.layer("households")["group"].tolist() == ["大井组"] * 3
    assert "encoding-lie" not in {code for code, _ in codes(site, "note")}
    for encoding, phrase in (("utf-8", "not utf-8"), ("klingon", "klingon"), ("zip", "zip")):
        with pytest.raises(DataError, match=phrase):
            raw_layer(path, encoding)


def test_text_in_no_encoding_is_refused(lanes):
    path = shapefile(lanes, "households", PEOPLE, encoding="utf-8")
    start, width = struct.unpack("<HH", path.with_suffix(".dbf").read_bytes()[8:12])
    raw = "大井巷4号".encode("gb18030")
    change(path.with_suffix(".dbf"), start + width + 1, raw.ljust(len("大井巷1号".encode())))  # among UTF-8
    (found,) = faults(lanes).values()
    assert (found.code, found.layer) == ("file-unreadable", "households")
    assert "neither UTF-8 nor GB18030" in found.message


def test_western_text_without_a_word_on_its_encoding(lanes):
    rows = [(at(10 * i, 8), {"id": f"Jürgenstraße {i}"}) for i in (1, 2)]
    path = shapefile(lanes, "households", rows, encoding="cp1252")
    raw = raw_layer(path)
    assert raw.values["id"].tolist() == ["Jürgenstraße 1", "Jürgenstraße 2"]
    assert (raw.encoding, raw.encoding_by) == ("CP1252", "guessed")


def test_the_same_short_word_may_be_both_and_common_chinese_is_taken():
    # 摹 in GB18030 is valid UTF-8 for a letter of no language that is used here
    short = [Piece("摹".encode("gb18030"))]
    assert short[0].raw.decode("utf-8") == "ġ"
    assert judged_codec(short, stated=None, stated_by="", file="x.dbf")[0] == "gb18030"
    assert judged_codec(short, stated="utf-8", stated_by="x.cpg", file="x.dbf") == ("utf-8", [])


@pytest.mark.parametrize(
    ("words", "codec"),
    [("UTF-8", "utf-8"), ("utf8\n", "utf-8"), ("65001", "utf-8"), ("OEM 936", "gb18030"),
     ("cp936", "gb18030"), ("GB2312", "gb18030"), ("8859-1", "cp1252"), ("ISO 88591", "cp1252"),
     ("ANSI 1252", "cp1252"), ("88595", "iso-8859-5"), ("1251", "cp1251"), ("Big5", "big5"),
     ("SYSTEM", None), ("", None), ("zip", None), ("8859-99", None)],
)  # fmt: skip
def test_encodings_by_the_names_that_programs_write(words, codec):
    assert codec_named(words) == codec


@given(
    st.lists(st.text("大井东西南北巷路街村组号圩塘湾淝蜀"), min_size=1, max_size=8),
    st.sampled_from(["utf-8", "gb18030"]),
)
def test_chinese_text_is_told_from_itself_in_the_other_encoding(texts, encoding):
    pieces = [Piece(each.encode(encoding)) for each in texts]
    codec, said = judged_codec(pieces, stated=None, stated_by="", file="x.dbf")
    assert [each.raw.decode(codec) for each in pieces] == texts
    assert said == []


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_headings_cut_in_the_middle_of_a_character(lanes, encoding):
    # ten bytes: 60岁以 and two bytes of 上 in UTF-8; all of it fits in GB18030
    rows = [
        (shape, {"household_id": each["户号"], "60岁以上": 4, "party_members": 1}) for shape, each in PEOPLE
    ]
    path = shapefile(lanes, "households", rows, encoding=encoding, cpg=encoding)
    content = path.with_suffix(".dbf").read_bytes()
    assert b"household_\0" in content
    (place,) = (i for i in range(32, 320, 32) if content[i : i + 2] == b"60")
    change(path.with_suffix(".dbf"), place, "60岁以上".encode(encoding)[:10].ljust(11, b"\0"))
    site = read_site(lanes, DEFAULT)
    homes = site.layer("households")
    assert homes[["household_id", "elderly", "party_members"]].to_numpy().tolist() == [
        [f"大井巷{i}号", 4, 1] for i in (1, 2, 3)
    ]
    cut = {each.column for each in site.remarks if each.code == "heading-cut"}
    assert cut == {"household_id", "party_members"} | ({"elderly"} if encoding == "utf-8" else set())


def test_a_heading_that_may_be_the_beginning_of_two_is_not_guessed(lanes):
    # locked_gri and locked_bra are one column each; "household " is none that was cut at ten bytes
    rows = [(shape, {"locked_gri": "G1", "locked_bra": "B1", "househ": 9}) for shape, _ in PEOPLE]
    shapefile(lanes, "households", rows)
    homes = read_site(lanes, DEFAULT).layer("households")
    assert homes["locked_grid"].tolist() == ["G1"] * 3
    assert homes["locked_branch"].tolist() == ["B1"] * 3
    assert homes["households"].tolist() == [1] * 3


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────


def test_all_parts_are_inputs_and_none_is_unread(lanes):
    path = shapefile(lanes, "households", PEOPLE, cpg="UTF-8")
    for ending in (".sbn", ".sbx", ".shp.xml", ".qix"):
        path.with_suffix(ending).write_bytes(b"whatever")
    site = read_site(lanes, DEFAULT)
    assert [each.file for each in site.inputs] == [
        "alleys.geojson",
        *(f"households{each}" for each in sorted(ENDINGS)),
    ]
    assert "files-unread" not in {each.code for each in site.remarks}


def test_names_in_any_case_and_in_chinese(lanes):
    shapefile(lanes, "住户", PEOPLE, encoding="gb18030", cpg="GBK")
    for each in ENDINGS:
        (lanes / f"住户{each}").rename(lanes / f"住户{each.upper()}")
    assert read_site(lanes, DEFAULT).layer("households")["group"].tolist() == ["大井组"] * 3


def test_a_missing_index_is_made_up_for(lanes):
    rows = [(at(10 * i, 8), {"id": f"h{i}"}) for i in range(1, 30)]
    path = shapefile(lanes, "households", rows)
    whole = raw_layer(path)
    path.with_suffix(".shx").write_bytes(b"\0" * 40)
    damaged = raw_layer(path)
    path.with_suffix(".shx").unlink()
    missing = raw_layer(path)
    for each in (damaged, missing):
        assert shapely.equals_exact(each.geometry, whole.geometry).all()
        assert [remark.code for remark in each.said] == ["index-rebuilt"]


def test_an_index_cut_between_two_rows_is_told(lanes):
    rows = [(at(10 * i, 8), {"id": f"h{i}"}) for i in range(1, 30)]
    path = shapefile(lanes, "households", rows)
    whole, index = raw_layer(path), path.with_suffix(".shx")
    index.write_bytes(index.read_bytes()[:-16])  # what is left of it agrees with the rows
    cut = raw_layer(path)
    assert shapely.equals_exact(cut.geometry, whole.geometry).all()
    assert [each.code for each in cut.said] == ["index-rebuilt"]


def test_rows_go_by_the_index_where_the_file_has_gaps(lanes):
    # an editor writes a longer line at the end of the file and leaves its old place behind
    path = shapefile(lanes, "alleys", [(line, each) for line, each in ALLEYS])
    (lanes / "alleys.geojson").unlink()
    content, index = path.read_bytes(), path.with_suffix(".shx").read_bytes()
    first, n_words = struct.unpack(">ii", index[100:108])
    record = content[2 * first : 2 * first + 8 + 2 * n_words]
    moved = content[: 2 * first + 8] + bytes(2 * n_words) + content[2 * first + 8 + 2 * n_words :] + record
    moved = moved[:24] + struct.pack(">i", len(moved) // 2) + moved[28:]
    path.write_bytes(moved)
    change(path.with_suffix(".shx"), 100, struct.pack(">i", len(content) // 2))
    assert read_site(lanes, DEFAULT).layer("alleys").geometry.length.tolist() == [100.0, 20.0]
    path.with_suffix(".shx").unlink()  # then nobody can tell
    assert ("geometry-missing", "alleys", "") in faults(lanes) or "damaged at row" in str(faults(lanes))


@pytest.mark.parametrize(
    ("lose", "phrase"),
    [
        (lambda path: path.with_suffix(".dbf").unlink(), "lacks its table, households.dbf"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "cut off within its header"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "1 of 3 rows lie beyond its end"),
        (lambda path: _cut(path.with_suffix(".dbf"), 30), "2 of 3 rows are there"),
        (lambda path: _cut(path.with_suffix(".dbf"), -40), "damaged or no table"),
        (lambda path: path.with_suffix(".dbf").write_bytes(b""), "damaged or no table"),
        (lambda path: change(path, 0, b"PK\x03\x04"), "is not a Shapefile"),
        (lambda path: path.write_bytes(b""), "0 bytes"),
    ],
)
def test_lost_and_cut_parts_are_refused(lanes, lose, phrase):
    lose(shapefile(lanes, "households", PEOPLE))
    (found,) = faults(lanes).values()
    assert phrase in found.message


def _cut(path, n_bytes):
    content = path.read_bytes()
    path.write_bytes(content[:-n_bytes])


def test_a_table_without_its_geometry_is_told(lanes):
    path = shapefile(lanes, "households", PEOPLE)
    path.unlink()
    found = {each.message for each in faults(lanes).values()}
    assert any("households.shp is missing" in each for each in found)
    geojson(lanes, "households", HOUSES)  # then it is a left-over
    assert len(read_site(lanes, DEFAULT).layer("households")) == 3


def test_a_file_in_a_folder_that_is_not_there(lanes):
    known = with_input(households={"file": "none/households.shp"})
    assert "can't be read" in faults(lanes, known)[("input-setting", "households", "")].message


def test_other_rows_in_the_table_than_in_the_geometry_are_refused(lanes):
    path = shapefile(lanes, "households", PEOPLE)
    other = shapefile(lanes, "cities", PEOPLE[:2])
    path.with_suffix(".dbf").write_bytes(other.with_suffix(".dbf").read_bytes())
    (found,) = faults(lanes).values()
    assert "2 rows, but there are 3 geometries" in found.message


def test_a_stale_row_count_is_told_and_all_rows_read(lanes):
    path = shapefile(lanes, "households", PEOPLE)
    change(path.with_suffix(".dbf"), 4, struct.pack("<I", 1))
    site = read_site(lanes, DEFAULT)
    assert len(site.layer("households")) == 3
    assert ("count-stale", "households") in codes(site, "note")


def test_deleted_rows_are_left_out_and_said(lanes):
    path = shapefile(lanes, "households", PEOPLE)
    start, width = struct.unpack("<HH", path.with_suffix(".dbf").read_bytes()[8:12])
    change(path.with_suffix(".dbf"), start + width, b"*")
    site = read_site(lanes, DEFAULT)
    assert site.layer("households")["household_id"].tolist() == ["大井巷1号", "大井巷3号"]
    (said,) = (each for each in site.remarks if each.code == "rows-deleted")
    assert "1 of 3" in said.message


def test_a_part_that_is_no_plain_file_is_refused_and_never_opened(lanes):
    path = shapefile(lanes, "households", PEOPLE)
    path.with_suffix(".prj").unlink()
    os.mkfifo(path.with_suffix(".prj"))
    assert "households.prj is not a plain file" in str(list(faults(lanes).values()))


# ── geometry and system ──────────────────────────────────────────────────────────────────────────────


def test_heights_measures_and_empty_shapes(lanes):
    high = [shapely.Point(X0 + 10, Y0 + 8, 5.0), shapely.Point(X0 + 20, Y0 + 8, 5.0)]
    shapefile(lanes, "households", [(high[0], {"id": "h1"}), (high[1], {"id": "h2"})])
    site = read_site(lanes, DEFAULT)
    assert ("flattened", "households") in codes(site, "note")
    shapefile(lanes, "households", [(high[0], {"id": "h1"}), (None, {"id": "h2"})])
    (found,) = faults(lanes).values()
    assert (found.code, found.ids) == ("geometry-missing", ("h2",))


def test_a_damaged_shape_is_told_by_its_id(lanes):
    path = shapefile(lanes, "alleys", ALLEYS)
    (lanes / "alleys.geojson").unlink()
    first = struct.unpack(">i", path.with_suffix(".shx").read_bytes()[100:104])[0] * 2
    change(path, first + 8 + 36, struct.pack("<i", 2**30))  # so many parts
    (found,) = faults(lanes).values()
    assert (found.code, found.ids) == ("geometry-missing", ("a1",))


@pytest.mark.parametrize("code", [4490, 4527, 4548, 4509, 32650])
def test_a_system_as_arcgis_writes_it_is_known_by_its_code(lanes, code):
    crs = pyproj.CRS.from_epsg(code)
    points = gpd.GeoSeries([shape for shape, _ in PEOPLE], crs=CRS).to_crs(crs)
    rows = [(shape, each) for shape, (_, each) in zip(points, PEOPLE, strict=True)]
    path = shapefile(lanes, "households", rows, crs=crs)
    path.with_suffix(".prj").write_text(crs.to_wkt(WktVersion.WKT1_ESRI))
    assert raw_layer(path).crs == crs
    homes = read_site(lanes, DEFAULT).layer("households")
    assert homes.geometry.x.to_numpy() == pytest.approx([X0 + 10, X0 + 20, X0 + 30], abs=0.001)


def test_a_system_that_is_missing_or_nonsense_is_refused_until_stated(lanes):
    path = shapefile(lanes, "households", PEOPLE)
    for write in (lambda prj: prj.write_text("Feixi town"), lambda prj: prj.write_text(""), os.unlink):
        write(path.with_suffix(".prj"))
        (found,) = faults(lanes).values()
        assert found.code == "crs-missing"
        assert len(read_site(lanes, with_input(households={"crs": CRS})).layer("households")) == 3


# ── what holds for any file ──────────────────────────────────────────────────────────────────────────


def test_whatever_is_damaged_is_told_and_never_a_traceback(lanes):
    rows = [(box(10 * i, 5, 6, 6), {"户号": f"大井巷{i}号", "户数": i, "area": i / 3}) for i in range(1, 9)]
    path = shapefile(lanes, "households", rows, cpg="UTF-8")
    chance, outcomes = np.random.default_rng(1), set()
    sound = {path.with_suffix(each): path.with_suffix(each).read_bytes() for each in ENDINGS}
    for _ in range(20):
        part = list(sound)[chance.integers(len(sound))]
        damaged = np.frombuffer(sound[part], dtype=np.uint8).copy()
        places = chance.integers(min(len(damaged), 400), size=chance.integers(1, 4))
        damaged[places] = chance.integers(256, size=len(places))
        part.write_bytes(
            damaged.tobytes()[: None if chance.random() < 0.8 else chance.integers(len(damaged))]
        )
        outcomes.add(check_site(lanes, Settings())[0] is None)
        part.write_bytes(sound[part])
    assert outcomes == {True, False}
    assert read_site(lanes, DEFAULT).layer("households")["households"].sum() == 36
