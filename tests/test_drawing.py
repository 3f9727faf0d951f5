"""CAD drawings as survey offices hand them over: the right layer, the right place, the right characters."""

import itertools
import math

import ezdxf
import numpy as np
import pytest
import shapely

from spatial.errors import DataError
from spatial.load import check_site
from spatial.load.formats import check_file, read_source, sources_in
from spatial.load.headings import match_columns
from spatial.load.raw import Source
from spatial.report.cad import write_dxf
from spatial.settings import Settings
from tests.drawn_plan import EAST, NORTH, drawn_plan

X0, Y0 = 509_400.0, 3_497_000.0
SQUARE = [(0, 0), (10, 0), (10, 10), (0, 10)]


def drawing(version="R2010", *, units=6):
    document = ezdxf.new(version, units=units)
    if version in ("R12", "R2000", "R2004"):
        document.encoding = "gbk"
    return document, document.modelspace()


def on(layer, **more):
    return {"layer": layer, **more}


def shifted(*xy):
    return [(X0 + x, Y0 + y) for x, y in xy]


def read(document, path, layer, table, **options):
    document.saveas(path, **options)
    return read_file(path, layer, table)


def read_file(path, layer, table):
    check_file(path)
    assert table in [each.table for each in sources_in(path)]
    source = Source(path, table, layer)
    return read_source(source, lambda headings: match_columns(layer, headings, named={})[0])


def said(raw, code):
    (found,) = (each for each in raw.said if each.code == code)
    return found


def codes(raw):
    return {each.code for each in raw.said}


# ── text and layers ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["asc", "bin"])
@pytest.mark.parametrize("version", ["R12", "R2000", "R2004", "R2007", "R2018"])
def test_chinese_names_in_every_version(tmp_path, version, form):
    document, space = drawing(version)
    document.layers.add("巷道")
    space.add_line(*shifted((0, 0), (30, 0)), dxfattribs=on("巷道"))
    space.add_text("小东门巷", dxfattribs=on("巷道", insert=shifted((9, 2))[0]))
    raw = read(document, tmp_path / "总图.dxf", "alleys", "巷道", fmt=form)
    assert raw.values["name"].tolist() == ["小东门巷"]
    assert raw.encoding == ""
    assert shapely.length(raw.geometry).tolist() == [30.0]


@pytest.mark.parametrize(
    ("stated", "text", "encoding", "told"),
    [("ANSI_1252", "gbk", None, "GB18030"), ("ANSI_936", "utf-8", None, ""), ("ANSI_950", "big5", None, ""),
     ("ANSI_1252", "gbk", "gb18030", "")],
)  # fmt: skip
def test_a_code_page_that_lies_is_found_out(tmp_path, stated, text, encoding, told):
    document, space = drawing("R2000")
    space.add_line(*shifted((0, 0), (30, 0)), dxfattribs=on("LANE"))
    document.saveas(tmp_path / "a.dxf")
    raw = (tmp_path / "a.dxf").read_bytes().replace(b"ANSI_936", stated.encode())
    (tmp_path / "a.dxf").write_bytes(raw.replace(b"LANE", "小巷道路".encode(text)))
    (source,) = sources_in(tmp_path / "a.dxf")
    found = read_source(source, lambda headings: {}, encoding=encoding)
    assert (source.table, found.encoding) == ("小巷道路", told)


def test_layers_with_chinese_names_are_those_of_the_contract(tmp_path):
    folder = tmp_path / "village"
    folder.mkdir()
    document, space = drawing()
    space.add_line(*shifted((0, 0), (100, 0)), dxfattribs=on("巷道"))
    space.add_lwpolyline(shifted((40, 5), (50, 5), (50, 15), (40, 15)), close=True, dxfattribs=on("建筑"))
    lamp = document.blocks.new("灯")
    lamp.add_circle((0, 0), 0.3)
    lamp.add_attdef("点位编号", (0, 0))
    lamp.add_attdef("状态", (0, 0))
    insert = space.add_blockref("灯", shifted((20, 2))[0], dxfattribs=on("路灯候选点"))
    insert.add_auto_attribs({"点位编号": "灯1", "状态": "必选"})
    space.add_text("图名", dxfattribs=on("图框", insert=(0, 0)))
    document.saveas(folder / "总图.dxf")
    site, remarks = check_site(folder, Settings.model_validate({"input": {"crs": "EPSG:4548"}}))
    assert site is not None, remarks
    assert len(site.layer("buildings")) == 1
    lamps = site.layer("lamp_sites")
    assert lamps[["site_id", "status"]].to_numpy().tolist() == [["灯1", "required"]]
    assert lamps.geometry.iloc[0] == shapely.Point(*shifted((20, 2))[0])
    assert "图框" in next(each.message for each in remarks if each.code == "files-unread")


def test_what_a_person_would_not_see_is_told(tmp_path):
    document, space = drawing()
    document.layers.add("巷道").off()
    document.layers.get("巷道").freeze()
    for y in (0, 5):
        space.add_line(*shifted((0, y), (30, y)), dxfattribs=on("巷道", invisible=int(y == 5)))
    document.layout("Layout1").add_line((0, 0), (1, 1), dxfattribs=on("巷道"))
    raw = read(document, tmp_path / "a.dxf", "alleys", "巷道")
    assert len(raw.geometry) == 1
    assert "off and frozen" in said(raw, "layer-hidden").message
    assert {"entities-hidden", "paper-unread"} <= codes(raw)


# ── shapes ───────────────────────────────────────────────────────────────────────────────────────────


def test_curves_stay_within_the_tolerance(tmp_path):
    document, space = drawing()
    space.add_lwpolyline([(0, 0, 1), (100, 0, 0)], format="xyb", dxfattribs=on("巷道"))  # half a circle
    space.add_polyline2d([(0, 0, -1), (100, 0, 0)], format="xyb", dxfattribs=on("巷道"))
    space.add_arc((50, 0), 50, 180, 360, dxfattribs=on("巷道"))
    space.add_ellipse((50, 0), (50, 0), 1.0, math.pi, math.tau, dxfattribs=on("巷道"))
    space.add_circle((50, 0), 50, dxfattribs=on("巷道"))
    raw = read(document, tmp_path / "a.dxf", "alleys", "巷道")
    below = [True, False, True, True, None]
    for shape, is_below in zip(raw.geometry, below, strict=True):
        corners = shapely.get_coordinates(shape)
        middles = (corners[1:] + corners[:-1]) / 2
        away = np.hypot(*(np.vstack((corners, middles)) - [50, 0]).T)
        assert away.max() == pytest.approx(50, abs=1e-9)
        assert 50 - 0.0101 <= away.min() < 50 - 0.001
        if is_below is not None:
            assert corners[0] == pytest.approx([0, 0], abs=1e-9)
            assert corners[-1] == pytest.approx([100, 0], abs=1e-9)
            assert (shape.bounds[1] < -49) == is_below
        else:
            assert shape.is_closed
    assert "0.01 m" in said(raw, "curves-straightened").message


def test_mirrored_entities_lie_where_they_are_seen(tmp_path):
    document, space = drawing()
    flip = {"extrusion": (0, 0, -1)}
    space.add_lwpolyline([(-5, 1), (-9, 1)], dxfattribs=on("巷道", **flip))
    space.add_arc((-5, 0), 1, 0, 90, dxfattribs=on("巷道", **flip))
    raw = read(document, tmp_path / "a.dxf", "alleys", "巷道")
    assert [np.round(each.bounds, 9).tolist() for each in raw.geometry] == [[5, 1, 9, 1], [4, 0, 5, 1]]


def test_areas_from_outlines_fillings_and_single_lines(tmp_path):
    document, space = drawing()
    layer = on("建筑")
    space.add_lwpolyline(SQUARE, close=True, dxfattribs=layer)
    filling = space.add_hatch(dxfattribs=layer)  # of the same square
    filling.paths.add_polyline_path(SQUARE, is_closed=True)
    court = space.add_hatch(dxfattribs=layer)
    court.paths.add_polyline_path([(20, 0), (30, 0), (30, 10), (20, 10)], is_closed=True)
    court.paths.add_polyline_path([(22, 2), (28, 2), (28, 8), (22, 8)], is_closed=True, flags=16)
    court.paths.add_polyline_path([(24, 4), (26, 4), (26, 6), (24, 6)], is_closed=True)  # a pond house
    corners = [(40, 0), (44, 0), (44, 5), (40, 5), (40.0004, 0.0001)]  # a corner not quite met
    for one, other in itertools.pairwise(corners):
        space.add_line(one, other, dxfattribs=layer)
    space.add_line((90, 0), (95, 0), dxfattribs=layer)
    space.add_solid([(60, 0), (62, 0), (60, 2), (62, 2)], dxfattribs=layer)
    raw = read(document, tmp_path / "a.dxf", "buildings", "建筑")
    assert [each.area for each in raw.geometry] == pytest.approx([100, 4, 68, 20], abs=0.01)
    assert {"outlines-filled", "fillings-dropped", "lines-joined"} <= codes(raw)
    assert "1 open lines" in said(raw, "entities-unread").message
    assert said(raw, "entities-unread").kind == "doubt"


def test_closed_lines_of_lanes_stay_lines_and_circles_of_lamps_are_points(tmp_path):
    document, space = drawing()
    space.add_lwpolyline(SQUARE, close=True, dxfattribs=on("巷道"))
    space.add_circle((5, 7), 0.3, dxfattribs=on("路灯"))
    space.add_line((5, 7), (8, 8), dxfattribs=on("路灯"))  # its leader
    raw = read(document, tmp_path / "a.dxf", "alleys", "巷道")
    assert [(each.geom_type, each.length) for each in raw.geometry] == [("LineString", 40)]
    raw = read_file(tmp_path / "a.dxf", "lamp_sites", "路灯")
    assert [each.wkt for each in raw.geometry] == ["POINT (5 7)"]
    assert said(raw, "circles-as-points")
    assert "open lines" in said(raw, "entities-unread").message


def test_what_can_not_be_read_is_counted_by_kind(tmp_path):
    document, space = drawing()
    space.add_line((0, 0), (1, 0), dxfattribs=on("巷道"))
    space.add_3dface([(0, 0), (1, 0), (1, 1)], dxfattribs=on("巷道"))
    space.add_linear_dim((0, 3), (0, 0), (1, 0), dxfattribs=on("巷道"))
    space.add_mline([(0, 0), (1, 1)], dxfattribs=on("巷道"))
    raw = read(document, tmp_path / "a.dxf", "alleys", "巷道")
    told = {each.kind: each.message for each in raw.said if each.code == "entities-unread"}
    assert "1 3DFACE, 1 MLINE" in told["doubt"]
    assert "1 DIMENSION" in told["note"]


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_drawing_inside_a_block_is_read_where_it_was_inserted(tmp_path):
    document, space = drawing()
    whole = document.blocks.new("总图")
    whole.add_line((0, 0), (10, 0), dxfattribs=on("巷道"))
    whole.add_blockref("灯", (3, 1), dxfattribs=on("路灯"))
    document.blocks.new("灯").add_circle((0, 0), 0.3)
    space.add_blockref("总图", (100, 200), dxfattribs=on("0"))
    raw = read(document, tmp_path / "a.dxf", "alleys", "巷道")
    assert [each.wkt for each in raw.geometry] == ["LINESTRING (100 200, 110 200)"]
    raw = read_file(tmp_path / "a.dxf", "lamp_sites", "路灯")
    assert [each.wkt for each in raw.geometry] == ["POINT (103 201)"]


def test_blocks_that_unfold_without_end_are_refused(tmp_path):
    document, space = drawing()
    document.blocks.new("B0").add_line((0, 0), (1, 0), dxfattribs=on("巷道"))
    for i in range(1, 8):
        block = document.blocks.new(f"B{i}")
        for _ in range(10):
            block.add_blockref(f"B{i - 1}", (0, 0))
    space.add_blockref("B7", (0, 0))
    with pytest.raises(DataError, match="unfold to more"):
        read(document, tmp_path / "a.dxf", "alleys", "巷道")


def test_a_block_inside_itself_and_an_endless_array_are_no_trap(tmp_path):
    document, space = drawing()
    loop = document.blocks.new("环")
    loop.add_blockref("环", (0, 0))
    loop.add_line((0, 0), (1, 0), dxfattribs=on("巷道"))
    space.add_line((0, 5), (1, 5), dxfattribs=on("巷道"))
    space.add_blockref("环", (0, 0))
    raw = read(document, tmp_path / "a.dxf", "alleys", "巷道")
    assert 2 <= len(raw.geometry) <= 20
    space.add_blockref("环", (0, 0), dxfattribs={"row_count": 30_000, "column_count": 30_000})
    with pytest.raises(DataError, match="unfold to more"):
        read(document, tmp_path / "b.dxf", "alleys", "巷道")


@pytest.mark.parametrize(("deep", "read_it"), [(20, True), (40, False)])
def test_deep_blocks_are_read_or_refused_never_left_out(tmp_path, deep, read_it):
    document, space = drawing()
    document.blocks.new("b0").add_line((0, 0), (1, 0), dxfattribs=on("巷道"))
    for i in range(1, deep):
        document.blocks.new(f"b{i}").add_blockref(f"b{i - 1}", (0, 0))
    space.add_blockref(f"b{deep - 1}", (0, 0))
    space.add_line((0, 5), (1, 5), dxfattribs=on("巷道"))
    if read_it:
        assert len(read(document, tmp_path / "a.dxf", "alleys", "巷道").geometry) == 2
        return
    with pytest.raises(DataError, match="nested more than 32 deep"):
        read(document, tmp_path / "a.dxf", "alleys", "巷道")


def test_other_drawings_are_never_opened(tmp_path):
    document, space = drawing()
    document.add_xref_def("/etc/passwd", "外部")
    space.add_blockref("外部", (0, 0), dxfattribs=on("巷道"))
    space.add_line((0, 0), (1, 0), dxfattribs=on("巷道"))
    raw = read(document, tmp_path / "a.dxf", "alleys", "巷道")
    assert len(raw.geometry) == 1
    assert "1 other drawings" in said(raw, "references-unread").message


# ── texts ────────────────────────────────────────────────────────────────────────────────────────────


def test_texts_name_what_they_stand_on_where_none_contends(tmp_path):
    document, space = drawing()
    for y in (0, 30, 60):
        space.add_line((0, y), (50, y), dxfattribs=on("巷道"))
    texts = {
        (5, 2): "东巷",
        (40, 2): "东巷",
        (5, 32): "西巷",
        (9, 28): "井巷",
        (5, 61): "23.5",
        (5, 99): "远",
    }
    for at, text in texts.items():
        space.add_text(text, dxfattribs=on("巷道", insert=at))
    raw = read(document, tmp_path / "a.dxf", "alleys", "巷道")
    assert raw.values["name"].tolist() == ["东巷", None, None]
    assert said(raw, "texts-as-labels").message.startswith("1 rows")
    assert "井巷 / 西巷" in said(raw, "texts-contend").message
    assert said(raw, "texts-unread").message.startswith("2 texts")


def test_texts_inside_a_footprint_by_their_form(tmp_path):
    document, space = drawing()
    for x in (0, 20):
        for layer in ("住户", "建筑"):
            space.add_lwpolyline([(x + a, b) for a, b in SQUARE], close=True, dxfattribs=on(layer))
    for layer, text, x in (("住户", "12号", 2), ("住户", "3户", 4), ("住户", "7", 24), ("建筑", "砖3", 2),
                           ("建筑", "混凝土", 22)):  # fmt: skip
        space.add_mtext(text, dxfattribs=on(layer, insert=(x, 5)))
    raw = read(document, tmp_path / "a.dxf", "households", "住户")
    assert raw.values["address"].tolist() == ["12号", None]
    assert raw.values["households"].tolist() == ["3", None]
    assert said(raw, "texts-unread").message.startswith("1 texts")
    raw = read_file(tmp_path / "a.dxf", "buildings", "建筑")
    assert raw.values["storeys"].tolist() == ["3", None]


# ── units and systems ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("units", "factor", "code"),
    [(6, 1, None), (4, 1000, "units-converted"), (5, 100, "units-converted"), (0, 1, "units-unstated"),
     (4, 1, "units-doubtful")],
)  # fmt: skip
def test_units_by_what_is_stated_and_by_the_sizes(tmp_path, units, factor, code):
    document, space = drawing(units=units)
    xy = np.array(shifted((0, 0), (100, 0))) * factor
    space.add_line(*xy.tolist(), dxfattribs=on("巷道"))
    space.add_arc(*[(xy[0] + [0, 50 * factor]).tolist()], 50 * factor, 0, 90, dxfattribs=on("巷道"))
    raw = read(document, tmp_path / "a.dxf", "alleys", "巷道")
    assert shapely.get_coordinates(raw.geometry[0]) == pytest.approx(np.array(shifted((0, 0), (100, 0))))
    assert len(raw.geometry[1].coords) == 41  # as finely whatever the unit
    assert {each for each in codes(raw) if each.startswith("units")} == ({code} if code else set())


def test_x_north_and_y_east_is_turned_and_a_doubt(tmp_path):
    document, space = drawing()
    space.add_line((Y0, X0), (Y0 + 10, X0), dxfattribs=on("巷道"))
    raw = read(document, tmp_path / "a.dxf", "alleys", "巷道")
    assert raw.geometry[0].wkt == shapely.LineString(shifted((0, 0), (0, 10))).wkt
    assert said(raw, "axes-swapped").kind == "doubt"


@pytest.mark.parametrize("swap_xy", [False, True])
def test_stating_what_was_found_out_turns_nothing_twice(tmp_path, swap_xy):
    folder = tmp_path / "village"
    folder.mkdir()
    document, space = drawing()
    space.add_line((Y0, X0), (Y0, X0 + 10), dxfattribs=on("巷道"))
    document.saveas(folder / "总图.dxf")
    stated = {"crs": "EPSG:4548", "alleys": {"swap_xy": swap_xy}}
    site, remarks = check_site(folder, Settings.model_validate({"input": stated}))
    assert site is not None, remarks
    assert site.layer("alleys").geometry.iloc[0].wkt == shapely.LineString(shifted((0, 0), (10, 0))).wkt


def test_the_system_is_read_from_the_geographic_location(tmp_path):
    document, space = drawing()
    space.add_line((0, 0), (10, 0), dxfattribs=on("巷道"))
    place = space.new_geodata()
    text = (
        '<?xml version="1.0" encoding="UTF-16" standalone="no" ?><Dictionary version="1.0" '
        'xmlns="http://www.osgeo.org/mapguide/coordinatesystem"><ProjectedCoordinateSystem id="X">'
        '<Axis uom="Meter"><CoordinateSystemAxis><AxisOrder>1</AxisOrder><AxisName>Easting</AxisName>'
        "<AxisAbbreviation>E</AxisAbbreviation><AxisDirection>east</AxisDirection></CoordinateSystemAxis>"
        "<CoordinateSystemAxis><AxisOrder>2</AxisOrder><AxisName>Northing</AxisName><AxisAbbreviation>N"
        "</AxisAbbreviation><AxisDirection>north</AxisDirection></CoordinateSystemAxis></Axis>"
        '</ProjectedCoordinateSystem><Alias id="4548" type="CoordinateSystem"><ObjectId>X</ObjectId>'
        "<Namespace>EPSG Code</Namespace></Alias></Dictionary>"
    )
    place.setup_local_grid(design_point=(0, 0), reference_point=(X0, Y0), north_direction=(0, 1), crs=text)
    raw = read(document, tmp_path / "a.dxf", "alleys", "巷道")
    assert raw.crs.to_epsg() == 4548
    assert shapely.get_coordinates(raw.geometry[0]) == pytest.approx(np.array(shifted((0, 0), (10, 0))))


def test_our_own_drawing_reads_back_in_its_system(tmp_path):
    write_dxf(drawn_plan(), tmp_path / "plan.dxf")
    raw = read_file(tmp_path / "plan.dxf", "lamp_sites", "LAMPS_NEW")
    assert raw.crs.to_epsg() == 4548
    assert [each.wkt for each in raw.geometry] == [shapely.Point(EAST + 30, NORTH + 41).wkt]


def test_without_a_system_the_sizes_are_told(tmp_path):
    folder = tmp_path / "village"
    folder.mkdir()
    document, space = drawing()
    space.add_line(*shifted((0, 0), (100, 0)), dxfattribs=on("巷道"))
    document.saveas(folder / "总图.dxf")
    site, remarks = check_site(folder, Settings())
    (found,) = (each for each in remarks if each.code == "crs-missing")
    assert site is None
    assert "EPSG:4548" in found.message


# ── files that are none ──────────────────────────────────────────────────────────────────────────────


def test_a_drawing_in_a_closed_format_is_refused_where_it_is_named_as_a_layer(tmp_path):
    for name in ("巷道.dwg", "总图.dwg"):
        (tmp_path / name).write_bytes(b"AC1032" + bytes(200))
    _, remarks = check_site(tmp_path, Settings())
    (found,) = (each for each in remarks if each.code == "file-unreadable")
    assert found.message == "巷道.dwg is a DWG drawing; save it as DXF"


def sound(path):
    document, space = drawing()
    space.add_line(*shifted((0, 0), (100, 0)), dxfattribs=on("巷道"))
    document.saveas(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        (lambda raw: b"AC1032" + bytes(200), "save it as DXF"),
        (lambda raw: raw[: len(raw) // 2], "cut off"),
        (lambda raw: raw[:-6], "cut off"),
        (lambda raw: b"<html>", "cut off or no DXF"),
        (lambda raw: b"0\nSECTION\n2\nHEADER\n9\nx\nx\nEOF", "no DXF"),
        (lambda raw: b"AutoCAD Binary DXF\r\n\x1a\0" + bytes(90), "cut off"),
        (lambda raw: b"AutoCAD Binary DXF\r\n\x1a\0" + b"\xff" * 90 + b"EOF\0", "damaged or no DXF"),
    ],
)
def test_files_that_are_no_drawing_are_refused(tmp_path, change, phrase):
    path = tmp_path / "a.dxf"
    path.write_bytes(change(sound(path)))
    with pytest.raises(DataError, match=phrase):
        sources_in(path)


def test_more_entities_than_any_community_has_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("spatial.load.drawing._MOST_ENTITIES", 50)
    sound(tmp_path / "a.dxf")
    with pytest.raises(DataError, match="more than 50"):
        sources_in(tmp_path / "a.dxf")


def test_damage_is_told_and_never_a_traceback(tmp_path):
    whole, chance, path = sound(tmp_path / "a.dxf"), np.random.default_rng(1), tmp_path / "a.dxf"
    outcomes = set()
    for _ in range(25):
        damaged = np.frombuffer(whole, dtype=np.uint8).copy()
        damaged[chance.integers(len(damaged), size=3)] = chance.integers(256, size=3)
        path.write_bytes(damaged.tobytes())
        try:
            outcomes.add(tuple(each.table for each in sources_in(path)))
            read_file(path, "alleys", "巷道")
        except DataError as error:
            outcomes.add(type(error))
        except AssertionError:
            pass
    assert ("巷道",) in outcomes
