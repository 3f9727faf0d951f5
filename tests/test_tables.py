"""Lists as offices keep them, in workbooks and separated text, are read to the right place or refused."""

import datetime as dt
import struct
import zipfile

import pytest
import shapely
import xlsxwriter

from spatial.errors import DataError
from spatial.load import check_site
from spatial.load.formats import check_file, read_source, sources_in
from spatial.load.headings import match_columns
from spatial.load.raw import Source
from spatial.load.workbook import _old_sheets, read_workbook
from spatial.settings import Settings

EAST, NORTH = 509_400.0, 3_497_000.0


def read(path, layer="households", table=None):
    """The table as its reader gives it, with headings matched to the layer's columns."""
    check_file(path)
    sources = sources_in(path)
    source = sources[0] if table is None else next(each for each in sources if each.table == table)
    source = Source(source.path, source.table, layer)
    return read_source(source, lambda headings: match_columns(layer, headings, named={})[0])


def sheet(path, rows, *, name="住户", merged=(), formats=None):
    """A workbook of one sheet; ``merged`` as (first row, column, last row, column, text), from 0."""
    with xlsxwriter.Workbook(path) as book:
        page = book.add_worksheet(name)
        for i, row in enumerate(rows):
            for j, each in enumerate(row):
                if isinstance(each, dt.date):
                    page.write_datetime(i, j, each, book.add_format({"num_format": "yyyy/m/d"}))
                elif each is not None:
                    page.write(i, j, each)
        for first_row, first, last_row, last, text in merged:
            page.merge_range(first_row, first, last_row, last, text)
    return path


def xy(raw):
    return [None if each is None else (each.x, each.y) for each in raw.geometry]


def said(raw, code):
    (found,) = (each for each in raw.said if each.code == code)
    return found


# ── where the headings are ───────────────────────────────────────────────────────────────────────────


def test_a_title_above_and_a_total_below_are_passed_over_and_said(tmp_path):
    rows = [
        ["大井社区住户登记表"],
        ["填表单位：居委会", None, None, "2026年"],
        ["户号", "户数", "东坐标", "北坐标"],
        ["1-1", 2, EAST, NORTH],
        [None, None, None, None],
        ["户号", "户数", "东坐标", "北坐标"],
        ["1-2", 1, EAST + 10, NORTH],
        ["合 计", 3],
        ["制表人：王"],
    ]
    raw = read(sheet(tmp_path / "a.xlsx", rows))
    assert raw.values["household_id"].tolist() == ["1-1", "1-2"]
    assert raw.values["households"].tolist() == [2, 1]
    assert xy(raw) == [(EAST, NORTH), (EAST + 10, NORTH)]
    assert "row 3" in said(raw, "headings-found").message
    dropped = {each.message: each.ids for each in raw.said if each.code == "rows-dropped"}
    assert list(dropped.values()) == [("row 6",), ("row 8", "row 9")]


def test_headings_over_two_rows_are_read_as_one(tmp_path):
    rows = [["户号", "坐标", None, "人口"], [None, "X坐标", "Y坐标", None], ["1", EAST, NORTH, 4]]
    raw = read(sheet(tmp_path / "a.xlsx", rows, merged=[(0, 1, 0, 2, "坐标")]))
    assert (xy(raw), raw.values["residents"].tolist()) == ([(EAST, NORTH)], [4])


def test_a_row_with_an_id_and_no_place_is_kept_to_be_refused(tmp_path):
    raw = read(sheet(tmp_path / "a.xlsx", [["户号", "x", "y"], ["1", EAST, NORTH], ["总铺2号", None, None]]))
    assert xy(raw) == [(EAST, NORTH), None]


def test_a_heading_that_stands_twice_is_told(tmp_path):
    raw = read(sheet(tmp_path / "a.xlsx", [["户号", "户数", "x", "y", "户数"], ["1", 2, EAST, NORTH, 5]]))
    assert raw.values["households"].tolist() == [2]
    assert "户数" in said(raw, "heading-twice").message


def test_every_sheet_that_holds_anything_is_a_layer(tmp_path):
    folder = tmp_path / "village"
    folder.mkdir()
    with xlsxwriter.Workbook(folder / "社区.xlsx") as book:
        lanes, houses, _ = (book.add_worksheet(each) for each in ("巷道", "住户", "Sheet3"))
        lanes.write_row(0, 0, ["编号", "巷名", "WKT"])
        shape = shapely.LineString([(EAST, NORTH), (EAST + 100, NORTH)]).wkt
        lanes.write_row(1, 0, ["a1", "东巷", f"SRID=4548;{shape}"])
        houses.write_row(0, 0, ["户号", "X", "Y"])
        houses.write_row(1, 0, ["h1", NORTH + 8, EAST + 50])
        houses.hide()
    known = Settings.model_validate({"input": {"crs": "EPSG:4548"}})
    site, remarks = check_site(folder, known)
    assert site is not None, remarks
    assert site.layer("alleys")["name"].tolist() == ["东巷"]
    assert site.layer("alleys").geometry.iloc[0].wkt == shape
    assert site.layer("households").geometry.iloc[0] == shapely.Point(EAST + 50, NORTH + 8)
    assert {"axes-swapped", "sheet-hidden"} <= {each.code for each in remarks}


# ── cells ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("x", "y", "heading", "place"),
    [
        (EAST, NORTH, ("X", "Y"), (EAST, NORTH)),
        (NORTH, EAST, ("X", "Y"), (EAST, NORTH)),
        (NORTH, 39_509_400.0, ("X坐标(m)", "Y坐标(m)"), (39_509_400.0, NORTH)),
        (39_509_400.0, NORTH, ("x", "y"), (39_509_400.0, NORTH)),
        # what the headings say is taken at its word
        (NORTH, EAST, ("东坐标", "北坐标"), (NORTH, EAST)),
        (EAST, NORTH, ("横坐标", "纵坐标"), (EAST, NORTH)),
        (EAST, NORTH, ("横坐标Y(m)", "纵坐标X(m)"), (EAST, NORTH)),
        # a small town on the equator, in UTM
        (180_000.0, 2_000.0, ("X", "Y"), (180_000.0, 2_000.0)),
    ],
)
def test_x_and_y_in_either_custom_by_their_sizes(tmp_path, x, y, heading, place):
    raw = read(sheet(tmp_path / "a.xlsx", [["户号", *heading], ["1", x, y]]))
    assert xy(raw) == [place]
    assert any(each.code == "axes-swapped" for each in raw.said) == (place == (y, x) and x != y)


@pytest.mark.parametrize(
    ("lon", "lat"),
    [
        ("117°06′30.5″E", "31°36′12″N"),
        ("117°06'30.5\"", "31°36'12\""),
        ("117度6分30.5秒", "31度36分12秒"),
        ("东经117°６′３０.５″", "北纬31°36′12″"),
        ("117 06 30.5", "31 36 12"),
        ("E117º6.50833333333333′", "N31º36.2′"),
    ],
)
def test_degrees_minutes_and_seconds(tmp_path, lon, lat):
    raw = read(sheet(tmp_path / "a.xlsx", [["户号", "经度", "纬度"], ["1", lon, lat]]))
    ((x, y),) = xy(raw)
    assert x == pytest.approx(117 + 6 / 60 + 30.5 / 3600, abs=1e-12)
    assert y == pytest.approx(31 + 36 / 60 + 12 / 3600, abs=1e-12)
    assert raw.degrees
    assert said(raw, "degrees-converted")


@pytest.mark.parametrize("lon", ["117°66′", "31°36′12″N", "巷口", "117°6′61″", "117.5°30′"])
def test_coordinates_that_are_none_are_refused_with_their_text(tmp_path, lon):
    raw = read(sheet(tmp_path / "a.xlsx", [["户号", "经度", "纬度"], ["1", lon, 31.6]]))
    assert lon in said(raw, "coordinates-unread").message
    assert said(raw, "coordinates-unread").kind == "fault"


@pytest.mark.parametrize(
    ("cell", "heading"),
    [
        ("117.1,31.6", "经纬度"),
        ("(117.1，31.6)", "坐标"),
        ("31.6, 117.1", "location"),
        ("N31.6 E117.1", "经纬度"),
    ],
)
def test_both_coordinates_in_one_cell(tmp_path, cell, heading):
    raw = read(sheet(tmp_path / "a.xlsx", [["户号", heading], ["1", cell]]))
    assert (xy(raw), raw.degrees) == ([(117.1, 31.6)], True)


def test_numbers_as_text_in_full_width_and_with_thousands(tmp_path):
    rows = [["户号", "户数", "x", "y"], [12, "３", "509,400.0", "３４９７０００米"]]
    raw = read(sheet(tmp_path / "a.xlsx", rows))
    assert xy(raw) == [(EAST, NORTH)]


def test_merged_cells_hold_for_all_their_rows_but_counts_do_not(tmp_path):
    rows = [
        ["户号", "组别", "户数", "x", "y"],
        ["1", None, None, EAST, NORTH],
        ["2", None, None, EAST + 9, NORTH],
    ]
    merged = [(1, 1, 2, 1, "大井组"), (1, 2, 2, 2, 7)]
    raw = read(sheet(tmp_path / "a.xlsx", rows, merged=merged))
    assert raw.values["group"].tolist() == ["大井组", "大井组"]
    assert raw.values["households"].tolist() == [7, None]
    assert "组别 (1)" in said(raw, "merged-filled").message
    assert said(raw, "merged-counts").kind == "doubt"


def test_dates_and_errors_in_cells_are_told(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        page = book.add_worksheet()
        page.write_row(0, 0, ["户号", "户数", "组别", "x", "y"])
        page.write_datetime(1, 0, dt.date(2026, 3, 2), book.add_format({"num_format": "m-d"}))
        page.write_formula(1, 1, "=1/0", None, "#DIV/0!")
        page.write_formula(1, 2, "=NA()", None, "#N/A")
        page.write_formula(1, 3, "=1+1", None, EAST)
        page.write_number(1, 4, NORTH)
    raw = read(tmp_path / "a.xlsx")
    assert xy(raw) == [(EAST, NORTH)]
    assert raw.values["household_id"].tolist() == ["2026-03-02"]
    assert raw.values["group"].tolist() == [None]
    assert "户号" in said(raw, "cells-dates").message
    assert {(each.kind, each.message.split()[-1]) for each in raw.said if each.code == "cells-broken"} == {
        ("fault", "#DIV/0!"), ("doubt", "empty"),
    }  # fmt: skip


def test_a_formula_that_was_never_computed_is_refused(tmp_path):
    path = sheet(tmp_path / "plain.xlsx", [["户号", "x", "y"], ["h1", 111, NORTH]])
    edited(path, "xl/worksheets/sheet1.xml", b"<v>111</v>", b"<f>A9+1</f>")
    raw = read(path)
    assert "formula" in said(raw, "cells-broken").message
    assert said(raw, "cells-broken").kind == "fault"


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", ["csv", "tsv", "txt"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_separated_text_with_a_title_and_a_total(tmp_path, ending, separator, encoding):
    rows = [
        ["大井,社区"],
        ["户号", "户数", "经度", "纬度"],
        ["一", "2", "117.1", "31.6"],
        ["合计", "2", "", ""],
    ]
    lines = [separator.join(f'"{each}"' if "," in each else each for each in row) for row in rows]
    (tmp_path / f"a.{ending}").write_bytes("\r\n".join(lines).encode(encoding))
    raw = read(tmp_path / f"a.{ending}")
    assert (raw.values["household_id"].tolist(), xy(raw)) == (["一"], [(117.1, 31.6)])


def test_headings_alone_are_an_empty_table(tmp_path):
    (tmp_path / "a.csv").write_text("户号,x,y\n")
    assert len(read(tmp_path / "a.csv").geometry) == 0


@pytest.mark.parametrize("row", ["h2,1", "h2,1,2,3"])
def test_a_ragged_row_is_refused_with_its_line(tmp_path, row):
    (tmp_path / "a.csv").write_text(f"户号,x,y\nh1,{EAST},{NORTH}\n{row}\n")
    with pytest.raises(DataError, match="line 3"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "cell",
    [
        "POINT 1 2",
        "GEOMETRYCOLLECTION (POINT (1 2))",
        "GEOMETRYCOLLECTION (" * 50_000,
        "POLYGON ((((((((((",
        "=1+1",
    ],
)
def test_well_known_text_that_is_none_is_refused(tmp_path, cell):
    (tmp_path / "a.csv").write_text(f'户号,WKT\nh1,POINT (1 2)\nh2,"{cell}"\n')
    raw = read(tmp_path / "a.csv")
    assert [each is None for each in raw.geometry] == [False, True]
    assert said(raw, "coordinates-unread").kind == "fault"


# ── other kinds of books, and hostile ones ───────────────────────────────────────────────────────────

ODS = """<?xml version="1.0" encoding="UTF-8"?><office:document-content xmlns:office="o" xmlns:table="t"
xmlns:text="x"><office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>
</office:document-content>"""


def ods(path, rows):
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        book.writestr(
            "content.xml", ODS.format(tables=f'<table:table table:name="住户">{rows}</table:table>')
        )
    return path


def test_an_opendocument_sheet(tmp_path):
    row = "<table:table-row>{}</table:table-row>"
    text = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    number = (
        '<table:table-cell office:value-type="float" office:value="{}"><text:p>~</text:p></table:table-cell>'
    )
    group = (
        '<table:table-cell table:number-rows-spanned="2" office:value-type="string">'
        "<office:annotation><text:p>hidden</text:p></office:annotation><text:p>大井</text:p></table:table-cell>"
    )
    rows = (
        '<table:table-row table:number-rows-repeated="1000000"><table:table-cell '
        'table:number-columns-repeated="16384"/></table:table-row>'
        + row.format("".join(map(text.format, ("户号", "组别", "x", "y"))))
        + row.format(text.format("h1") + group + number.format(EAST) + number.format(NORTH))
        + row.format(
            text.format("h2") + "<table:covered-table-cell/>" + number.format(EAST + 1) + number.format(NORTH)
        )
    )
    raw = read(ods(tmp_path / "a.ods", rows))
    assert raw.values["household_id"].tolist() == ["h1", "h2"]
    assert raw.values["group"].tolist() == ["大井", "大井"]
    assert xy(raw) == [(EAST, NORTH), (EAST + 1, NORTH)]


def test_the_reader_of_old_books_agrees_with_the_other(tmp_path):
    # it reads both kinds, and nothing here writes .xls
    rows = [
        ["住户表"],
        [],
        ["户号", "x", "y", "日期"],
        ["一", EAST, NORTH, dt.datetime(2026, 3, 2)],
        ["二", 1, 2],
    ]
    path = sheet(tmp_path / "a.xlsx", rows, merged=[(6, 1, 8, 1, "组")])
    (ours,), (other,) = read_workbook(path), _old_sheets(path)
    assert [(number, row[:3]) for number, row in other.rows] == [
        (number, row[:3]) for number, row in ours.rows
    ]
    assert (other.name, other.merged) == (ours.name, ours.merged)


def record(kind, *parts):
    content = b"".join(parts)
    return struct.pack("<HH", kind, len(content)) + content


def xls(path, rows, *, name="住户"):
    """A workbook of Excel 97: text, numbers and errors in the records of [MS-XLS], in an OLE container."""
    begin = [record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0, 0, 0, 0)) for kind in (5, 16)]
    cells = b""
    for i, row in enumerate(rows):
        for j, each in enumerate(row):
            place = struct.pack("<HHH", i, j, 0)
            if isinstance(each, str):
                cells += record(0x0204, place, struct.pack("<HB", len(each), 1), each.encode("utf-16-le"))
            elif each is not None:
                cells += record(0x0203, place, struct.pack("<d", each))
    words = name.encode("utf-16-le")
    about = struct.pack("<BBBB", 0, 0, len(name), 1)
    offset = len(begin[0]) + 4 + 4 + len(about) + len(words) + 4
    globals_ = begin[0] + record(0x0085, struct.pack("<I", offset), about, words) + record(0x000A)
    stream = (globals_ + begin[1] + cells + record(0x000A)).ljust(4096, b"\0")
    stream += b"\0" * (-len(stream) % 512)
    n = len(stream) // 512  # sector 0: which follows which, 1: names, then the stream
    follows = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, n + 2), 0xFFFFFFFE]
    sectors = struct.pack("<128I", *follows, *[0xFFFFFFFF] * (128 - len(follows)))
    for title, kind, child, start, size in (
        ("Root Entry", 5, 1, 0xFFFFFFFE, 0),
        ("Workbook", 2, -1, 2, len(stream)),
    ):
        sectors += (title.encode("utf-16-le") + b"\0\0").ljust(64, b"\0")
        sectors += struct.pack("<HBBiii", 2 * len(title) + 2, kind, 1, -1, -1, child) + bytes(36)
        sectors += struct.pack("<IQ", start, size)
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    head += bytes(6) + struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    head += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    path.write_bytes(head + sectors.ljust(1024, b"\0") + stream)
    return path


@pytest.mark.parametrize("ending", ["xls", "et", "xlsx"])
def test_a_workbook_of_excel_97_whatever_it_is_called(tmp_path, ending):
    rows = [["住户登记表"], [], ["户号", "组别", "X", "Y"], ["一", "大井", NORTH, EAST], [], ["合计"]]
    raw = read(xls(tmp_path / f"a.{ending}", rows))
    assert raw.values["household_id"].tolist() == ["一"]
    assert raw.values["group"].tolist() == ["大井"]
    assert xy(raw) == [(EAST, NORTH)]
    assert {"headings-found", "axes-swapped", "rows-dropped"} == {each.code for each in raw.said}


def test_a_workbook_of_excel_97_with_cells_far_apart_is_refused_and_ends_nothing(tmp_path):
    path = xls(tmp_path / "a.xls", [["户号", "x", "y"], ["h1", EAST, NORTH]])
    before = record(0x0203, struct.pack("<HHH", 1, 2, 0), struct.pack("<d", NORTH))
    far = record(0x0203, struct.pack("<HHH", 65_535, 65_535, 0), struct.pack("<d", NORTH))
    path.write_bytes(path.read_bytes().replace(before, far))
    with pytest.raises(DataError, match="save it as"):
        read(path)


def test_cells_a_million_rows_apart_are_read(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        page = book.add_worksheet()
        page.write_row(0, 0, ["户号", "x", "y"])
        page.write_row(1_048_575, 0, ["h1", EAST, NORTH])
        page.write(9, 16_383, "far away")
    raw = read(tmp_path / "a.xlsx")
    assert (raw.values["household_id"].tolist(), xy(raw)) == (["h1"], [(EAST, NORTH)])


def edited(path, part, before, after):
    """The archive with bytes of one part replaced."""
    with zipfile.ZipFile(path) as book:
        parts = {each: book.read(each) for each in book.namelist()}
    assert before in parts[part]
    parts[part] = parts[part].replace(before, after)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in parts.items():
            book.writestr(name, content)
    return path


def bomb(path):
    edited(path, "xl/worksheets/sheet1.xml", b"<sheetData>", b"<sheetData>" + b" " * 2_000_000)


def laughs(path):
    entities = b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    edited(path, "xl/worksheets/sheet1.xml", b"<worksheet", entities + b"<worksheet")


def deep(path):
    edited(path, "xl/worksheets/sheet1.xml", b"<sheetData>", b"<a>" * 300 + b"<sheetData>")


def repeats(path):
    cell = '<table:table-cell table:number-columns-repeated="999999999"><text:p>1</text:p></table:table-cell>'
    ods(path, f"<table:table-row>{cell}</table:table-row>")


def repeated_rows(path):
    cell = "<table:table-cell><text:p>1</text:p></table:table-cell>"
    ods(path, f'<table:table-row table:number-rows-repeated="999999999">{cell}</table:table-row>')


def wide(path):
    cells = b"".join(b'<row r="%d"><c r="XFD%d"><v>1</v></c></row>' % (i, i) for i in range(5, 500))
    edited(path, "xl/worksheets/sheet1.xml", b"</sheetData>", cells + b"</sheetData>")


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def old(path):
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 5000)


def other_archive(path):
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("a.txt", "a")


@pytest.mark.parametrize(
    ("harm", "phrase"),
    [(bomb, "unpacks to more"), (laughs, "DTD"), (deep, "nested"), (repeats, "repeats"), (wide, "cells"),
     (repeated_rows, "repeats"), (cut, "damaged"), (old, "can't be read"), (other_archive, "no workbook")],
)  # fmt: skip
def test_hostile_and_damaged_books_are_refused(tmp_path, monkeypatch, harm, phrase):
    monkeypatch.setattr("spatial.load.markup._LARGEST_PART", 1_000_000)
    monkeypatch.setattr("spatial.load.workbook._MOST_CELLS", 1_000_000)
    path = sheet(tmp_path / "a.xlsx", [["户号", "x", "y"], ["h1", EAST, NORTH]])
    harm(path)
    with pytest.raises(DataError, match=phrase):
        read(path)


# ── coordinates as people write them ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "latitude",
    ["31°36.5′", "31°36.5", "31 36.5", "31:36:30", "31-36-30", "31°36′30″", "N31°36′30″", "31度36分30秒"],
)
def test_minutes_without_their_mark_are_no_seconds(tmp_path, latitude):
    rows = [["户号", "经度", "纬度"], ["1", "117°6′0″", latitude]]
    raw = read(sheet(tmp_path / "住户.xlsx", rows))
    assert xy(raw) == [(pytest.approx(117.1), pytest.approx(31.0 + 36.5 / 60.0))]


@pytest.mark.parametrize("latitude", ["3136.5N", "31°5″", "31°75′", "31.5°30′"])
def test_what_could_mean_two_places_is_not_read(tmp_path, latitude):
    raw = read(sheet(tmp_path / "住户.xlsx", [["户号", "经度", "纬度"], ["1", "117.1", latitude]]))
    assert said(raw, "coordinates-unread").kind == "fault"


@pytest.mark.parametrize(
    ("headings", "datum"),
    [
        (("百度经度", "百度纬度"), "bd09"),
        (("经度（百度）", "纬度（百度）"), "bd09"),
        (("高德经度", "高德纬度"), "gcj02"),
        (("lng_gcj02", "lat_gcj02"), "gcj02"),
        (("WGS84经度", "WGS84纬度"), "wgs84"),
        (("经度", "纬度"), None),
        (("百度经度", "纬度"), "bd09"),
    ],
)
def test_headings_that_name_a_map_tell_the_datum(tmp_path, headings, datum):
    raw = read(sheet(tmp_path / "住户.xlsx", [["户号", *headings], ["1", 117.1, 31.6]]))
    assert xy(raw) == [(117.1, 31.6)]
    assert raw.datum == datum
    assert ("datum-found" in {each.code for each in raw.said}) == (datum in ("gcj02", "bd09"))
