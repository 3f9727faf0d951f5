"""GeoParquet and FlatGeobuf: every encoding of geometry, whatever system is stated, no bombs."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal

from spatial.errors import DataError
from spatial.load import check_site, read_site
from spatial.load.columnar import _check_offsets, read_flatgeobuf, read_geoparquet
from spatial.load.raw import Source
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
    frame,
    geojson,
    line,
    with_input,
)

WRITERS = {
    "fgb": pyogrio.write_dataframe,
    "parquet": lambda table, path: table.to_parquet(path),
    "geoparquet": lambda table, path: table.to_parquet(path, geometry_encoding="geoarrow"),
}


def parquet(path, columns, about, **options):
    """A Parquet file of plain columns, with whatever it says about its geometry."""
    table = pa.table(columns)
    stored = {} if about is None else {"geo": about if isinstance(about, str) else json.dumps(about)}
    pq.write_table(table.replace_schema_metadata(stored), path, **options)
    return path


def geo(encoding="WKB", primary="geometry", **column):
    about = {"encoding": encoding, "geometry_types": [], **column}
    return {"version": "1.1.0", "primary_column": primary, "columns": {primary: about}}


def everything(path, encoding=None):
    read = read_flatgeobuf if path.suffix == ".fgb" else read_geoparquet
    return read(Source(path), lambda headings: {each: each for each in headings}, encoding)


# ── what comes out ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", WRITERS)
def test_both_give_the_same_site_as_geojson(lanes, kind):
    geojson(lanes, "households", HOUSES)
    plain = read_site(lanes, DEFAULT)
    for name, rows in (("alleys", ALLEYS), ("households", HOUSES)):
        WRITERS[kind](frame(rows), lanes / f"{name}.{kind}")
        (lanes / f"{name}.geojson").unlink()
    site = read_site(lanes, DEFAULT)
    for name in ("alleys", "households"):
        assert_geodataframe_equal(site.layer(name), plain.layer(name))
    assert [each.file for each in site.inputs] == [f"alleys.{kind}", f"households.{kind}"]


@pytest.mark.parametrize("kind", WRITERS)
def test_values_come_as_they_are(lanes, kind):
    columns = {
        "id": ["大井\u200f巷", "b"],
        "n": [2**60 + 1, 3],
        "share": [0.1, np.nan],
        "yes": [True, False],
        "holes": pd.array([2**60 + 1, None], dtype="Int64"),
        "maybe": pd.array([None, True], dtype="boolean"),
        "text": ["😀", None],
    }
    table = gpd.GeoDataFrame(columns, geometry=[at(1, 1), at(2, 2)], crs=CRS)
    WRITERS[kind](table, lanes / f"x.{kind}")
    raw = everything(lanes / f"x.{kind}")
    values = {name: each.tolist() for name, each in raw.values.items()}
    order = np.argsort(values["n"])[::-1]  # FlatGeobuf sorts by place
    assert [values["id"][i] for i in order] == ["大井\u200f巷", "b"]
    assert [values["n"][i] for i in order] == [2**60 + 1, 3]
    assert [values["holes"][i] for i in order] == [2**60 + 1, None]
    assert [bool(values["yes"][i]) for i in order] == [True, False]
    assert [values["text"][i] for i in order] == ["😀", None]
    assert values["maybe"][order[0]] is None
    assert raw.crs == pyproj.CRS(CRS)


SHAPES = {
    "point": [at(1, 2), None, at(3, 4)],
    "linestring": [line((0, 0), (9, 0)), None, line((0, 1), (9, 1), (9, 9))],
    "polygon": [box(0, 0, 9, 9) - box(2, 2, 3, 3), None, box(20, 0, 5, 5)],
    "multipoint": [shapely.MultiPoint([at(1, 2), at(5, 6)]), None, shapely.MultiPoint([at(3, 4)])],
    "multilinestring": [shapely.MultiLineString([line((0, 0), (9, 0)), line((0, 5), (9, 5), (9, 6))]), None],
    "multipolygon": [shapely.MultiPolygon([box(0, 0, 9, 9) - box(2, 2, 3, 3), box(20, 0, 5, 5)]), None],
}


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_of_every_kind_in_both_encodings(lanes, kind, encoding):
    table = gpd.GeoDataFrame({"id": range(len(SHAPES[kind]))}, geometry=SHAPES[kind], crs=CRS)
    path = lanes / "x.parquet"
    table.to_parquet(path, geometry_encoding=encoding)
    stated = json.loads(pq.read_metadata(path).metadata[b"geo"])["columns"]["geometry"]["encoding"]
    assert stated == ("WKB" if encoding == "WKB" else kind)
    assert everything(path).geometry.tolist() == SHAPES[kind]


def test_heights_are_kept_for_the_note_that_drops_them(lanes):
    high = [shapely.Point(X0 + 10, Y0 + 8, 5.0)]
    for encoding in ("WKB", "geoarrow"):
        table = gpd.GeoDataFrame({"household_id": ["h1"]}, geometry=high, crs=CRS)
        table.to_parquet(lanes / "households.parquet", geometry_encoding=encoding)
        assert ("flattened", "households") in codes(read_site(lanes, DEFAULT), "note")


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({}, 4326),  # GeoParquet: longitude and latitude where nothing is said
        ({"crs": None}, None),
        ({"crs": pyproj.CRS(4548).to_json_dict()}, 4548),
        ({"crs": pyproj.CRS(4490).to_json_dict(), "edges": "spherical"}, 4490),
        ({"crs": {"type": "nonsense"}}, None),
    ],
)
def test_the_system_is_the_one_that_is_stated(lanes, stated, code):
    wkb = [shapely.to_wkb(shapely.Point(117.1, 31.6))]
    raw = everything(parquet(lanes / "x.parquet", {"id": ["a"], "geometry": wkb}, geo(**stated)))
    if code == 4326:
        assert raw.crs.is_geographic
        assert [each.direction for each in raw.crs.axis_info] == ["east", "north"]
    else:
        assert (raw.crs.to_epsg() if raw.crs else None) == code
    assert [each.code for each in raw.said] == (
        ["crs-unreadable"] if stated.get("crs") == {"type": "nonsense"} else []
    )


def test_the_primary_column_of_several_is_read_and_said(lanes):
    table = frame(HOUSES).assign(centre=gpd.GeoSeries([at(0, 0)] * 3, crs=CRS))
    table.to_parquet(lanes / "households.parquet")
    site = read_site(lanes, DEFAULT)
    assert site.layer("households").geometry.y.tolist() == [Y0 + 8] * 3
    (said,) = (each for each in site.remarks if each.code == "geometry-others")
    assert said.message == "geometry is read from geometry, not from centre"


def test_text_without_its_type_is_read_and_other_encodings_when_stated(lanes):
    wkb = [shapely.to_wkb(at(1, 2))]
    columns = {"id": pa.array(["大井巷".encode("gb18030")], pa.binary()), "geometry": wkb}
    path = parquet(lanes / "x.parquet", columns, geo())
    assert everything(path, "gbk").values["id"].tolist() == ["大井巷"]
    with pytest.raises(DataError, match="gb18030"):
        everything(path)


def test_only_what_is_wanted_leaves_the_file(lanes):
    rows = [(shape, {**each, "户主": "CANARY", "roof": ["tile"]}) for shape, each in HOUSES]
    table = gpd.GeoDataFrame([each for _, each in rows], geometry=[each for each, _ in rows], crs=CRS)
    table.to_parquet(lanes / "households.parquet")
    site = read_site(lanes, DEFAULT)
    assert "CANARY" not in site.layer("households").to_json() + repr(site.remarks)
    assert ("personal-unread", "households") in codes(site, "note")


def test_no_rows_at_all(lanes):
    for kind in ("fgb", "parquet"):
        WRITERS[kind](frame(HOUSES).iloc[:0], lanes / f"households.{kind}")
        assert ("layer-empty", "households", "") in faults(lanes)
        (lanes / f"households.{kind}").unlink()


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────

WKB = [shapely.to_wkb(at(1, 2))]


@pytest.mark.parametrize(
    ("columns", "about", "phrase"),
    [
        ({"id": ["a"]}, None, "Parquet without geometry"),
        ({"id": ["a"], "geometry": WKB}, "{", "damaged"),
        ({"id": ["a"], "geometry": WKB}, "[1]", "does not say which column"),
        ({"id": ["a"], "geometry": WKB}, geo(primary="shape"), "does not say which column"),
        ({"id": ["a"], "geometry": WKB}, geo("TWKB"), "encodes its geometry as 'twkb'"),
        ({"id": ["a"], "geometry": WKB}, geo("polygon"), "holds no geometry as polygon"),
        ({"id": ["a"], "geometry": [1]}, geo(), "holds no geometry as wkb"),
    ],
)
def test_geometry_that_can_not_be_found_is_refused(lanes, columns, about, phrase):
    parquet(lanes / "households.parquet", columns, about)
    (found,) = faults(lanes).values()
    assert (found.code, found.layer) == ("file-unreadable", "households")
    assert phrase in found.message


def test_broken_shapes_are_told_by_row(lanes):
    columns = {"household_id": ["a", "b"], "geometry": [*WKB, b"\x01\x07nonsense"]}
    parquet(lanes / "households.parquet", columns, geo(crs=pyproj.CRS(4548).to_json_dict()))
    (found,) = faults(lanes).values()
    assert (found.code, found.ids) == ("geometry-missing", ("b",))


@pytest.mark.parametrize(
    "columns",
    [
        {"id": pa.array(["a"] * 20_000_000), "geometry": pa.nulls(20_000_000, pa.binary())},
        {"id": ["x" * 1_300_000, "y" * 1_300_000], "geometry": WKB * 2},
        {"id": ["x" * 10_000] * 300, "geometry": WKB * 300},
        {"id": ["a"], "geometry": pa.array([[{"x": 0.0, "y": 0.0}] * 4_000_000])},
    ],
    ids=["rows", "text", "a text in every row", "coordinates"],
)
def test_a_small_file_that_unfolds_is_refused_unread(lanes, columns, monkeypatch):
    monkeypatch.setattr("spatial.load.raw._MOST_BYTES", 2_500_000)
    encoding = "WKB" if len(columns["id"]) > 1 else "linestring"
    path = parquet(lanes / "households.parquet", columns, geo(encoding), compression="zstd")
    assert path.stat().st_size < 1_000_000
    (found,) = faults(lanes).values()
    assert "unfolds to more than" in found.message


def test_a_header_that_hides_another_format_is_refused(lanes):
    path = lanes / "households.fgb"
    path.write_bytes(b"fgb\x03fgb\x01AAAA<OGRVRTDataSource><OGRVRTLayer name='x'/></OGRVRTDataSource>")
    (found,) = faults(lanes).values()
    assert "cut off within its header" in found.message


@pytest.mark.long  # the fuzz takes a fixed sample of such files
@pytest.mark.parametrize("kind", WRITERS)
def test_whatever_is_damaged_is_told_and_never_a_traceback(lanes, kind):
    path = lanes / f"households.{kind}"
    WRITERS[kind](frame(HOUSES * 5), path)
    sound, chance, outcomes = path.read_bytes(), np.random.default_rng(1), set()
    for _ in range(100):
        damaged = np.frombuffer(sound, dtype=np.uint8).copy()
        places = chance.integers(len(damaged), size=chance.integers(1, 4))
        damaged[places] = chance.integers(256, size=len(places))
        path.write_bytes(
            damaged.tobytes()[: None if chance.random() < 0.8 else chance.integers(len(damaged))]
        )
        outcomes.add(check_site(lanes, Settings())[0] is None)
    assert True in outcomes
    path.write_bytes(sound)
    assert ("id-double", "households", "household_id") in faults(lanes, with_input())


class _GeoArrow(pa.ExtensionType):
    """How other programs mark WKB, which pyarrow then stores as Parquet's own geometry type."""

    def __init__(self, crs=None):
        self.about = json.dumps({} if crs is None else {"crs": crs})
        super().__init__(pa.binary(), "geoarrow.wkb")

    def __arrow_ext_serialize__(self):
        return self.about.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        return cls(json.loads(serialized).get("crs"))


@pytest.mark.parametrize(("crs", "code"), [(None, None), (pyproj.CRS(4548).to_json_dict(), 4548)])
def test_parquet_with_a_geometry_type_of_its_own(lanes, crs, code):
    pa.register_extension_type(_GeoArrow())
    try:
        shapes = pa.ExtensionArray.from_storage(_GeoArrow(crs), pa.array([*WKB, None], pa.binary()))
        pq.write_table(pa.table({"id": ["a", "b"], "shape": shapes}), lanes / "x.parquet")
    finally:
        pa.unregister_extension_type("geoarrow.wkb")
    raw = everything(lanes / "x.parquet")
    assert raw.geometry.tolist() == [at(1, 2), None]
    assert raw.headings == ("id",)
    assert raw.crs.is_geographic if code is None else raw.crs.to_epsg() == code


def test_texts_that_begin_beyond_what_is_there_are_told_before_they_are_read():
    offsets = pa.py_buffer(np.array([0, 9, 3], np.int32).tobytes())
    with pytest.raises(pa.ArrowInvalid, match=r"[Oo]ffset"):
        _check_offsets(pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"abc")]))
    _check_offsets(pa.array(["巷", None]))
