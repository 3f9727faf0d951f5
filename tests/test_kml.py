"""Placemarks drawn in Google Earth or picked in a phone app are read, and nothing is fetched for them."""

import zipfile

import pyproj
import pytest
import shapely

from spatial.errors import DataError
from spatial.load import check_site
from spatial.load.formats import check_file, read_source, sources_in
from spatial.load.headings import match_columns
from spatial.load.raw import Source
from spatial.report.cad import write_kml
from spatial.settings import Settings
from tests.drawn_plan import drawn_plan

LON, LAT = 117.1, 31.6
HEAD = '<?xml version="1.0" encoding="UTF-8"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
TAIL = "</Document></kml>"


def placemark(shape, columns=""):
    return f"<Placemark>{columns}{shape}</Placemark>"


def point(lon, lat, tail=""):
    return f"<Point><coordinates> {lon},{lat}{tail}\n</coordinates></Point>"


def line(*xy):
    return f"<LineString><coordinates>{' '.join(f'{x},{y},0' for x, y in xy)}</coordinates></LineString>"


def ring(*xy):
    return f"<LinearRing><coordinates>{' '.join(f'{x},{y}' for x, y in xy)}</coordinates></LinearRing>"


def write(path, body, *, encoding="utf-8", head=HEAD):
    path.write_bytes((head + body + TAIL).encode(encoding))
    return path


def read(path, layer="places", table=None):
    check_file(path)
    sources = sources_in(path)
    table = sources[0].table if table is None else table
    return read_source(
        Source(path, table, layer), lambda headings: match_columns(layer, headings, named={})[0]
    )


def said(raw, code):
    (found,) = (each for each in raw.said if each.code == code)
    return found


def test_each_folder_that_is_named_as_a_layer_is_one(tmp_path):
    folder = tmp_path / "village"
    folder.mkdir()
    lane = placemark(line((LON, LAT), (LON + 0.001, LAT)), "<name>东巷</name>")
    data = "<Data name='户数'><value>3</value></Data><Data name='户主'><value>CANARY</value></Data>"
    house = placemark(point(LON + 0.0005, LAT + 0.0001, ",12.5"), f"<ExtendedData>{data}</ExtendedData>")
    write(
        folder / "奥维.ovkml",
        "<name>我的收藏</name>"
        f"<Folder><name>巷道</name><Folder><name>东片</name>{lane}</Folder></Folder>"
        f"<Folder><name>住户</name>{house}</Folder>"
        f"<Folder><name>照片</name>{placemark(point(0, 0))}</Folder>"
        "<NetworkLink><Link><href>http://localhost:1/x.kml</href></Link></NetworkLink>",
    )
    site, remarks = check_site(folder, Settings())
    assert site is not None, remarks
    assert site.layer("alleys")["name"].tolist() == ["东巷"]
    assert site.layer("households")["households"].tolist() == [3]
    assert str(site.crs.to_epsg()) == "4548"
    there = pyproj.Transformer.from_crs(4326, 4548, always_xy=True).transform(LON + 0.0005, LAT + 0.0001)
    assert site.layer("households").geometry.iloc[0].coords[0] == pytest.approx(there, abs=0.001)
    told = {each.code: each for each in remarks}
    assert "never followed" in told["elements-unread"].message
    assert "照片" in told["files-unread"].message
    assert told["datum-unstated"].kind == "doubt"
    assert "CANARY" not in repr(remarks)


def test_shapes_of_every_kind(tmp_path):
    square, hole = ((0, 0), (4, 0), (4, 4), (0, 4), (0, 0)), ((1, 1), (2, 1), (2, 2), (1, 1))
    inside = f"<innerBoundaryIs>{ring(*hole)}</innerBoundaryIs>"
    area = f"<Polygon><outerBoundaryIs>{ring(*square)}</outerBoundaryIs>{inside}</Polygon>"
    track = "<gx:Track><when>2026-01-01</when><gx:coord>1 2 3</gx:coord><gx:coord>4 5 6</gx:coord></gx:Track>"
    shapes = [
        (area, shapely.Polygon(square, [hole])),
        (line((1, 2), (3, 4)), shapely.LineString([(1, 2), (3, 4)])),
        (f"<MultiGeometry>{point(1, 2)}<MultiGeometry>{point(3, 4)}</MultiGeometry></MultiGeometry>",
         shapely.MultiPoint([(1, 2), (3, 4)])),
        (f"<MultiGeometry>{point(1, 2)}{line((1, 2), (3, 4))}</MultiGeometry>",
         shapely.GeometryCollection([shapely.Point(1, 2), shapely.LineString([(1, 2), (3, 4)])])),
        (track, shapely.LineString([(1, 2, 3), (4, 5, 6)])),
        (point("1", " 2 , 3"), shapely.Point(1, 2, 3)),
    ]  # fmt: skip
    raw = read(write(tmp_path / "a.kml", "".join(placemark(each) for each, _ in shapes)))
    assert [each.wkt for each in raw.geometry] == [each.wkt for _, each in shapes]
    assert said(raw, "tracks-read")


@pytest.mark.parametrize(
    "columns",
    [
        "<ExtendedData><SchemaData schemaUrl='#a'><SimpleData name='场所编号'>p1</SimpleData></SchemaData>"
        "</ExtendedData>",
        "<description><![CDATA[<table><tr><td>场所编号</td> <td>p1</td></tr></table>]]></description>",
        "<ExtendedData><lc:Data name='场所编号'><lc:value>p1</lc:value></lc:Data></ExtendedData>",
    ],
)
def test_columns_as_programs_write_them(tmp_path, columns):
    path = write(tmp_path / "a.kml", placemark(point(1, 2), f"<name>学校 &amp; 园</name>{columns}"))
    values = read(path).values
    assert (values["place_id"].tolist(), values["name"].tolist()) == (["p1"], ["学校 & 园"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_names_in_any_encoding_whatever_is_declared(tmp_path, encoding):
    body = f"<Folder><name>场所</name>{placemark(point(1, 2), '<name>学校</name>')}</Folder>"
    path = write(tmp_path / "a.kml", body, encoding=encoding, head=HEAD.replace("UTF-8", "gb2312"))
    raw = read(path)
    assert [each.table for each in sources_in(path)] == ["场所"]
    assert raw.values["name"].tolist() == ["学校"]
    assert raw.encoding == {"gb18030": "GB18030", "utf-16": "UTF-16"}.get(encoding, "")


FLAT = f"<Polygon><outerBoundaryIs>{ring((1, 2), (3, 4))}</outerBoundaryIs></Polygon>"


@pytest.mark.parametrize(
    ("shape", "phrase"),
    [
        ("<Point><coordinates>1</coordinates></Point>", "longitude,latitude"),
        ("<Point><coordinates>a,b</coordinates></Point>", "no numbers"),
        ("<Point/>", "0 coordinates"),
        (line((1, 2)), "one point"),
        (FLAT, "three points"),
        ("<Polygon/>", "0 outlines"),
    ],
)
def test_shapes_that_are_none_are_refused_with_their_name(tmp_path, shape, phrase):
    raw = read(write(tmp_path / "a.kml", placemark(shape, "<name>卫生室</name>")))
    found = said(raw, "coordinates-unread")
    assert (found.kind, raw.geometry.tolist()) == ("fault", [None])
    assert phrase in found.message
    assert "卫生室" in found.message


def test_our_own_drawing_for_phones_reads_back(tmp_path):
    write_kml(drawn_plan(), tmp_path / "plan.kml")
    tables = [each.table for each in sources_in(tmp_path / "plan.kml")]
    assert len(tables) >= 2
    assert all(len(read(tmp_path / "plan.kml", "lamp_sites", each).geometry) for each in tables)


# ── archives ─────────────────────────────────────────────────────────────────────────────────────────


def kmz(path, **parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(name.replace("__", "/").replace("_", "."), content)
    return path


SOUND = HEAD + placemark(point(1, 2)) + TAIL


@pytest.mark.parametrize("parts", [{"doc_kml": SOUND}, {"a_kml": SOUND, "files__a_png": "x"},
                                   {"doc_kml": SOUND, "models__b_kml": "<!"}])  # fmt: skip
def test_the_document_of_an_archive(tmp_path, parts):
    assert len(read(kmz(tmp_path / "a.kmz", **parts)).geometry) == 1


@pytest.mark.parametrize("parts", [{"a_kml": SOUND, "b_kml": SOUND}, {"a_png": "x"}, {"inner_kmz": "x"}])
def test_an_archive_of_no_one_document_is_refused(tmp_path, parts):
    with pytest.raises(DataError, match="KML documents"):
        read(kmz(tmp_path / "a.kmz", **parts))


def test_an_archive_that_unpacks_to_more_than_any_map_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("spatial.load.kml._MOST_UNPACKED", 100_000)
    with pytest.raises(DataError, match="unpacks to more"):
        read(kmz(tmp_path / "a.kmz", doc_kml=HEAD + " " * 200_000 + TAIL))


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        ('<!DOCTYPE kml [<!ENTITY a "ha">]><kml>&a;</kml>', "DTD"),
        ('<!DOCTYPE kml SYSTEM "file:///etc/passwd"><kml/>', "DTD"),
        ("<kml>&a;</kml>", "damaged"),
        (SOUND[:-30], "damaged"),
        ("<kml>" + "<a>" * 1000, "nested"),
        ("<gpx/>", "is no KML"),
        ("{}", "damaged or no XML"),
        ("\0", "damaged"),
    ],
)
def test_documents_that_are_none_or_hostile_are_refused(tmp_path, content, phrase):
    (tmp_path / "a.kml").write_text(content)
    with pytest.raises(DataError, match=phrase):
        read(tmp_path / "a.kml")
