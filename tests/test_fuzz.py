"""Readers meet damaged files: whatever the bytes are, a reader reads them or says why not."""

from __future__ import annotations

import bz2
import json
import zipfile
from pathlib import Path
from typing import Any

import ezdxf
import osmium
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from spatial.crs import parse_crs
from spatial.errors import DataError
from spatial.load.folder import read_arrays, read_summary
from spatial.load.formats import check_file, sources_in
from spatial.load.layers import read_layer
from spatial.schema import LAYERS
from spatial.settings import Settings, read_settings
from tests.corpus import make_kit, make_township
from tests.test_tables import ods

ENDINGS = (".gpkg", ".shp", ".fgb", ".parquet", ".csv", ".xlsx", ".kml", ".kmz", ".geojson")
DRAWN = (".dxf", ".ods", ".osm", ".osm.bz2", ".pbf")
#: Documents within archives, whose own checksums would catch any damage from outside.
INSIDE = (
    (".xlsx", "xl/worksheets/sheet1.xml"),
    (".xlsx", "xl/styles.xml"),
    (".ods", "content.xml"),
    (".kmz", "doc.kml"),
)
FEW, MANY = 12, 400
DEFAULT = Settings.model_validate({"input": {"crs": "EPSG:4548"}})

places = st.floats(0, 1, exclude_max=True)
#: One change of bytes: what, where, with what.
changes = st.lists(
    st.tuples(
        st.sampled_from(("flip", "cut", "insert", "splice", "blank")), places, places, st.binary(max_size=40)
    ),
    min_size=1,
    max_size=5,
)


def changed(content: bytes, steps: list[tuple[str, float, float, bytes]]) -> bytes:
    for what, first, second, given_ in steps:
        at, other = int(first * len(content)), int(second * len(content))
        if what == "flip" and content:
            content = content[:at] + bytes([content[at] ^ 1 << other % 8]) + content[at + 1 :]
        elif what == "cut":
            content = content[:at]
        elif what == "insert":
            content = content[:at] + given_ + content[at:]
        elif what == "splice":
            content = content[:at] + content[other : other + 300] + content[at:]
        else:
            content = content[:at] + bytes(min(100, len(content) - at)) + content[at + 100 :]
    return content


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    make_township(folder / "shannan")
    make_kit(folder / "shannan", folder / "kit")
    (folder / "kit" / "households.geojson").write_bytes((folder / "shannan/households.geojson").read_bytes())
    _drawn(folder / "kit")
    return folder / "kit"


def _drawn(kit: Path) -> None:
    """A drawing, a sheet and extracts of OpenStreetMap, as small as they come."""
    document = ezdxf.new(units=6)
    house = document.blocks.new("房")
    house.add_lwpolyline([(0, 0), (9, 0), (9, 6, 0, 0, 1), (0, 6)], close=True)
    space = document.modelspace()
    for i in range(4):
        at = (509_400.0 + 12 * i, 3_497_000.0)
        space.add_blockref("房", at, dxfattribs={"layer": "住户"}).add_attrib("户数", "2", at)
        space.add_circle(at, 3, dxfattribs={"layer": "住户"})
        space.add_text("大井1号", dxfattribs={"layer": "住户", "insert": at})
    document.saveas(kit / "households.dxf")
    row = (
        "<table:table-row>"
        + '<table:table-cell office:value-type="{}"{}><text:p>{}</text:p></table:table-cell>' * 3
    )
    rows = [row.format(*("string", "", "户号", "string", "", "经度", "string", "", "纬度"))]
    for i in range(4):
        degrees = (
            f' office:value="{117.1 + i / 1e4}"',
            "~",
            "float",
            f' office:value="{31.6 + i / 1e4}"',
            "~",
        )
        rows.append(row.format("string", "", f"h{i}", "float", *degrees))
    ods(kit / "households.ods", "</table:table-row>".join([*rows, ""]))
    xml = OSM.format(
        nodes="".join(
            f'<node id="{i}" version="1" lat="{31.6 + i / 1e3}" lon="{117.1 + i % 2 / 1e3}"/>'
            for i in range(1, 7)
        )
    )
    (kit / "households.osm").write_text(xml, encoding="utf-8")
    (kit / "households.osm.bz2").write_bytes(bz2.compress(xml.encode()))
    with osmium.SimpleWriter(osmium.io.File(str(kit / "households.pbf"), "pbf")) as writer:
        for each in osmium.FileProcessor(osmium.io.FileBuffer(xml.encode(), "osm")):
            writer.add(each)


OSM = """<?xml version="1.0" encoding="UTF-8"?><osm version="0.6">{nodes}
<way id="1" version="1"><nd ref="1"/><nd ref="2"/><nd ref="3"/><tag k="highway" v="footway"/></way>
<way id="2" version="1"><nd ref="4"/><nd ref="5"/><nd ref="6"/><nd ref="4"/>
<tag k="building" v="house"/></way>
<relation id="3" version="1"><member type="way" ref="2" role="outer"/><tag k="type" v="multipolygon"/>
<tag k="building" v="yes"/></relation></osm>"""


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("yard")


def examine(path: Path) -> int:
    """Read every table of a file; only our own error may come out. How many layers were read."""
    try:
        check_file(path)
        sources = sources_in(path)
    except DataError as error:
        assert str(error)
        return 0
    n_read = 0
    for each in sources[:5]:
        layer, *_, remarks = read_layer(each.table if each.table in LAYERS else "households", each, DEFAULT)
        assert layer is not None or any(
            told.kind == "fault" or told.code == "layer-empty" for told in remarks
        )
        n_read += layer is not None
    return n_read


@pytest.mark.parametrize("ending", ENDINGS + DRAWN)
def test_what_is_damaged_below_was_sound(kit: Path, ending: str):
    assert examine(kit / f"households{ending}") == (2 if "osm" in ending or ending == ".pbf" else 1)


def _damage(kit: Path, yard: Path, ending: str, part: str, steps: Any) -> None:
    """Damage to a file, one of its companions, or a document of an archive that stays sound as an archive."""
    for each in yard.iterdir():
        each.unlink()
    if (ending, part) in INSIDE:
        _damage_inside(kit / f"households{ending}", yard / f"households{ending}", part, steps)
    else:
        _damage_outside(kit, yard, ending, part, steps)
    examine(yard / f"households{ending}")


def _damage_outside(kit: Path, yard: Path, ending: str, part: str, steps: Any) -> None:
    for each in kit.glob("households.*"):
        if each.name == f"households{ending}" or (
            ending == ".shp" and each.suffix in (".shx", ".dbf", ".prj", ".cpg")
        ):
            (yard / each.name).write_bytes(each.read_bytes())
    path = yard / f"households{part or ending}"
    path.write_bytes(changed(path.read_bytes(), steps))


def _damage_inside(whole: Path, path: Path, member: str, steps: Any) -> None:
    with zipfile.ZipFile(whole) as sound, zipfile.ZipFile(path, "w") as spoilt:
        for name in sound.namelist():
            content = sound.read(name)
            spoilt.writestr(name, changed(content, steps) if name == member else content)


FILES = [
    *((each, "") for each in ENDINGS + DRAWN), (".shp", ".dbf"), (".shp", ".shx"), (".shp", ".prj"), *INSIDE,
]  # fmt: skip
many = settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck))
few = settings(max_examples=FEW, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(("ending", "part"), FILES)
@few
@given(steps=changes)
def test_damaged_bytes_are_read_or_refused(kit: Path, yard: Path, ending: str, part: str, steps: Any):
    _damage(kit, yard, ending, part, steps)


@pytest.mark.long
@pytest.mark.parametrize(("ending", "part"), FILES)
@many
@given(steps=changes)
def test_damaged_bytes_are_read_or_refused_at_length(
    kit: Path, yard: Path, ending: str, part: str, steps: Any
):
    _damage(kit, yard, ending, part, steps)


# ── structure ────────────────────────────────────────────────────────────────────────────────────────

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just(10**400)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
)
pairs = st.lists(st.floats() | st.integers() | st.text(max_size=3) | st.just(10**400), max_size=4)
geometries = anything | st.fixed_dictionaries(
    {
        "type": st.sampled_from(("Point", "LineString", "Polygon", "MultiPoint", "MultiPolygon", "x"))
        | anything,
        "coordinates": pairs
        | st.lists(pairs, max_size=5)
        | st.lists(st.lists(pairs, max_size=5), max_size=3),
    }
)
features = anything | st.fixed_dictionaries(
    {
        "type": st.just("Feature"),
        "geometry": geometries,
        "properties": anything
        | st.fixed_dictionaries({"household_id": anything, "households": anything, "elderly": leaves}),
    }
)
documents = anything | st.fixed_dictionaries(
    {"type": st.just("FeatureCollection"), "features": anything | st.lists(features, max_size=5)},
    optional={
        "crs": anything | st.fixed_dictionaries({"properties": st.fixed_dictionaries({"name": leaves})})
    },
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=documents)
@example(
    document={
        "type": "FeatureCollection",
        "features": [{"geometry": {"type": "Point", "coordinates": [10**400]}}],
    }
)
def test_any_json_is_read_or_refused(yard: Path, document: Any):
    path = yard / "households.geojson"
    path.write_text(json.dumps(document), encoding="utf-8")
    examine(path)


cells = (
    st.text(max_size=8)
    | st.floats().map(str)
    | st.integers().map(str)
    | st.sampled_from(('"', "\0", "\r", "，", "="))
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    headings=st.lists(
        st.sampled_from(("x", "y", "lon", "lat", "户数", "household_id", "坐标", "wkt")) | cells, max_size=6
    ),
    rows=st.lists(st.lists(cells, max_size=7), max_size=5),
    separator=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(("utf-8", "gb18030", "utf-16", "utf-8-sig")),
)
def test_any_table_of_text_is_read_or_refused(
    yard: Path, headings: Any, rows: Any, separator: str, encoding: str
):
    path = yard / "households.csv"
    text = "\n".join(separator.join(each) for each in [headings, *rows])
    path.write_bytes(text.encode(encoding, "replace"))
    examine(path)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=st.dictionaries(st.sampled_from(tuple(Settings.model_fields)), anything, max_size=3))
def test_any_settings_are_read_or_refused(yard: Path, table: Any):
    path = yard / "plan.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    try:
        read_settings(path)
    except DataError as error:
        assert str(error)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    head=st.sampled_from(("", "EPSG:", "+proj=", "PROJCS[", "urn:ogc:def:crs:")), text=st.text(max_size=40)
)
def test_any_name_of_a_system_is_known_or_refused(head: str, text: str):
    try:
        parse_crs(head + text)
    except DataError as error:
        assert str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=300) | documents.map(lambda each: json.dumps(each).encode()))
def test_any_file_of_a_plan_is_read_or_refused(yard: Path, content: bytes):
    for name, read in (("summary.json", read_summary), ("bounds.npz", read_arrays)):
        (yard / name).write_bytes(content)
        try:
            read(yard / name)
        except DataError as error:
            assert str(error)
