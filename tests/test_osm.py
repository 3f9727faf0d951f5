"""Extracts of OpenStreetMap: every layer from one file, and what no reader may swallow."""

import bz2
import gzip
import os
import subprocess
import sys
import zlib

import numpy as np
import osmium
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatial.errors import DataError
from spatial.load import read_site
from spatial.load.osm import extract as osm_extract
from spatial.load.osm import extract_layers
from spatial.load.osm.pbf import _varints, _zigzag, read_pbf
from spatial.load.osm.tags import alley_kind, barrier_kind, building_use, counted_flats, length_m
from spatial.load.osm.xml import read_xml
from spatial.network import build_network
from spatial.settings import Settings, read_settings

DEFAULT = Settings()
LON, LAT = 117.1, 31.6
#: Degrees of one metre at the village.
DLAT, DLON = 1 / 110_880, 1 / 94_920


class Map:
    """A map drawn by hand in metres east and north of the village, written as XML."""

    def __init__(self):
        self.elements, self._n = [], 0

    def node(self, x, y, number=None, more="", **tags):
        self._n += 1
        number = number or self._n
        place = f'lat="{LAT + y * DLAT:.7f}" lon="{LON + x * DLON:.7f}"'
        self.elements.append(f'<node id="{number}" {place} {more}>{_tags(tags)}</node>')
        return number

    def way(self, number, nodes, more="", **tags):
        refs = [each if isinstance(each, int) else self.node(*each) for each in nodes]
        inside = "".join(f'<nd ref="{each}"/>' for each in refs)
        self.elements.append(f'<way id="{number}" {more}>{inside}{_tags(tags)}</way>')
        return refs

    def box(self, number, x, y, width, depth, **tags):
        first = self.node(x, y)
        corners = [first, (x + width, y), (x + width, y + depth), (x, y + depth), first]
        return self.way(number, corners, **tags)

    def relation(self, number, members, **tags):
        inside = "".join(f'<member type="way" ref="{ref}" role="{role}"/>' for ref, role in members)
        self.elements.append(f'<relation id="{number}">{inside}{_tags(tags)}</relation>')

    def xml(self):
        order = sorted(self.elements, key=lambda each: ("<node", "<way", "<rela").index(each[:5].rstrip()))
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<osm version="0.6">\n{"".join(order)}\n</osm>\n'


def _tags(tags):
    named = ((key.replace("__", ":"), value) for key, value in tags.items())
    return "".join(f'<tag k="{key}" v="{value}"/>' for key, value in named)


#    10 ── lane 2 ──── way 1, 巷 ──────────────► east, 300 m
#              │ way 3 leaves the map     bridge 4 crosses way 1 without a shared node
@pytest.fixture
def drawn():
    village = Map()
    gate = village.node(0, 0, barrier="gate")
    junction = village.node(100, 0)
    village.way(
        1,
        [gate, junction, (300, 0)],
        highway="service",
        service="alley",
        name="东巷",
        width="2,5 m",
        lit="24/7",
    )
    village.way(2, [junction, (100, 200)], highway="residential", surface="asphalt", width="narrow")
    village.way(3, [(100, 100), (150, 100), 999_999], highway="footway", access="private")
    village.way(4, [(200, -50), (200, 50)], highway="footway", bridge="viaduct", layer="1")
    village.way(5, [(0, -40), (50, -40)], highway="path", foot="no")
    village.way(6, [(0, -60), (50, -60)], highway="proposed")
    village.way(7, [(0, 300), (300, 300)], highway="motorway")
    village.way(8, [(-10, -80), (300, -80)], waterway="river", name="派河")
    village.way(9, [(0, -90), (50, -90)], railway="rail", tunnel="yes")
    village.node(50, 2, highway="street_lamp", support="wall_mounted", height="4")
    village.node(120, 0, highway="bus_stop", name="村口")
    village.node(-200, 0, barrier="gate")  # of a garden, on no way
    for i in range(10):
        village.box(20 + i, 20 * i, 10, 10, 12, building="house", building__levels="3")
    return village


def written(folder, village, name="village.osm"):
    folder.mkdir(exist_ok=True)
    packed = {"bz2": bz2.compress, "gz": gzip.compress}.get(name.rpartition(".")[2], bytes)
    (folder / name).write_bytes(packed(village.xml().encode()))
    return folder


@pytest.fixture
def site(drawn, tmp_path):
    return read_site(written(tmp_path / "v", drawn), DEFAULT)


def rows(site, layer):
    frame = site.layer(layer)
    return frame.set_index(frame.columns[0])


def said(remarks, code):
    (found,) = [each for each in remarks if each.code == code]
    return found


# ── layers ───────────────────────────────────────────────────────────────────────────────────────────


def test_one_file_gives_every_layer(site):
    assert {name: len(each) for name, each in site.layers.items()} == {
        "alleys": 4,
        "households": 10,
        "lamp_sites": 1,
        "buildings": 10,
        "boundary": 1,
        "barriers": 2,
        "places": 2,
    }
    assert site.crs.to_epsg() == 4548
    assert [each.file for each in site.inputs] == ["village.osm"]


def test_alleys_carry_what_the_map_says(site):
    alleys = rows(site, "alleys")
    assert list(alleys.index) == ["w1", "w2", "w3", "w4"]
    assert list(alleys["kind"]) == ["alley", "lane", "path", "path"]
    first = alleys.loc["w1"]
    assert (first["name"], first["width_m"], first["lit"], first["bridge"]) == ("东巷", 2.5, True, False)
    assert (alleys.loc["w4", "level"], alleys.loc["w4", "bridge"]) == (1, True)
    assert alleys.loc["w2", "surface"] == "asphalt"
    assert np.isnan(alleys.loc["w2", "width_m"])
    assert alleys.loc["w1"].geometry.length == pytest.approx(300, abs=0.5)


def test_what_is_left_out_or_odd_is_said_with_its_ids(site):
    expected = {
        "osm-cut": ("w3",), "osm-private": ("w3",), "osm-no-access": ("w5",), "osm-not-walked": ("w6",),
        "osm-value-odd": ("w2",),
    }  # fmt: skip
    assert {each.code: each.ids for each in site.remarks if each.code in expected} == expected


def test_a_way_out_of_the_extract_ends_where_it_ends(site):
    assert rows(site, "alleys").loc["w3"].geometry.length == pytest.approx(50, abs=0.2)


def test_a_way_that_comes_back_into_the_extract_keeps_both_ends(drawn, tmp_path):
    drawn.way(60, [(0, 50), (10, 50), 888_888, (30, 50), (50, 50), 888_889, (70, 50)], highway="path")
    site = read_site(written(tmp_path / "v", drawn), DEFAULT)
    parts = rows(site, "alleys").loc[["w60-1", "w60-2"]]
    assert list(parts.geometry.length.round()) == [10, 20]


def test_a_bridge_is_not_joined_to_the_alley_below(site):
    network = build_network(site, DEFAULT)
    assert said(network.remarks, "crossings-apart").ids == ("w1", "w4")
    assert said(network.remarks, "alleys-cut-off").ids == ("w4",)


def test_lamps_stand_already_and_places_are_told_apart(site):
    lamp = site.layer("lamp_sites").iloc[0]
    assert (lamp["status"], lamp["mount"], lamp["height_m"]) == ("existing", "wall", 4.0)
    assert sorted(site.layer("places")["kind"]) == ["bus_stop", "entrance"]  # the garden's gate is none
    barriers = rows(site, "barriers")
    assert list(barriers.index) == ["w7", "w8"]
    assert list(barriers["kind"]) == ["motorway", "river"]
    assert barriers.loc["w8", "name"] == "派河"


def test_degrees_of_the_map_are_true_and_raise_no_doubt(site):
    assert {each.code for each in site.remarks if each.kind == "doubt"} == {"households-estimated"}


def test_a_house_with_a_yard_made_of_two_ways_is_one_building(drawn, tmp_path):
    a, b = drawn.node(120, 20), drawn.node(160, 60)
    drawn.way(70, [a, (160, 20), b], building="yes")  # tagged as older maps do
    drawn.way(71, [b, (120, 60), a])
    drawn.box(72, 130, 30, 20, 20)
    drawn.relation(
        6, [(70, "outer"), (71, "outer"), (72, "inner")], type="multipolygon", building="apartments"
    )
    drawn.relation(7, [(70, "outer"), (777, "outer")], type="multipolygon", building="yes")
    site = read_site(written(tmp_path / "v", drawn), DEFAULT)
    assert rows(site, "buildings").loc["r6"].geometry.area == pytest.approx(1200, rel=0.01)
    (cut,) = [each for each in site.remarks if each.code == "osm-cut" and each.layer == "buildings"]
    assert (cut.kind, cut.ids) == ("doubt", ("r7",))


def test_an_open_building_is_a_doubt(drawn, tmp_path):
    drawn.way(80, [(0, 0), (5, 5), (5, 9), (0, 9)], building="yes")
    found = said(read_site(written(tmp_path / "v", drawn), DEFAULT).remarks, "osm-open")
    assert (found.layer, found.ids) == ("buildings", ("w80",))


# ── the boundary ─────────────────────────────────────────────────────────────────────────────────────


def test_the_smallest_area_that_holds_most_is_the_boundary(drawn, tmp_path):
    drawn.box(90, -50, -60, 400, 300, boundary="administrative", name="东村")
    drawn.box(91, -150, -260, 600, 700, place="village", name="大东村")
    drawn.box(92, -20, -5, 60, 60, place="neighbourhood", name="一角")
    site = read_site(written(tmp_path / "v", drawn), DEFAULT)
    assert list(site.layer("boundary")["name"]) == ["东村"]
    assert "w90" in said(site.remarks, "osm-boundary").message


def test_a_boundary_far_beyond_the_data_is_not_taken(drawn, tmp_path):
    drawn.box(90, -9000, -9000, 18000, 18000, boundary="administrative", name="县")
    assert said(read_site(written(tmp_path / "v", drawn), DEFAULT).remarks, "boundary-made")


# ── households ───────────────────────────────────────────────────────────────────────────────────────


def households(drawn, folder):
    homes = read_site(written(folder, drawn), DEFAULT).layer("households")
    return dict(zip(homes["household_id"], homes["households"], strict=True))


def test_households_by_footprint_storeys_and_use(drawn, tmp_path):
    drawn.box(50, 0, 60, 20, 12, building="yes", building__levels="6")  # 0.8 · 240 · 6 / 90 = 12.8
    drawn.box(51, 30, 60, 20, 12, building="apartments")  # four storeys: 8.5
    drawn.box(52, 60, 60, 6, 6, building="yes")  # 36 m2
    for i, use in enumerate(("shed", "garage", "retail", "industrial", "school", "roof")):
        drawn.box(100 + i, 30 * i, 100, 20, 12, building=use)
    drawn.box(110, 0, 130, 20, 12, building="yes", shop="convenience")
    drawn.box(111, 490, 490, 20, 12, building="yes")
    drawn.box(112, 400, 400, 200, 200, landuse="industrial")
    found = households(drawn, tmp_path / "v")
    assert {key: found.get(key) for key in ("w20", "w50", "w51")} == {"w20": 1, "w50": 12, "w51": 8}
    assert len(found) == 12


def test_the_rule_is_stated_and_called_an_estimate(site):
    text = said(site.remarks, "households-estimated").message
    assert "10 are ESTIMATED from 10 of 10 buildings" in text
    assert "40 m2" in text


def test_flats_of_the_map_go_before_the_rule(drawn, tmp_path):
    first = drawn.node(0, 60)
    door = drawn.node(10, 60, entrance="yes", addr__flats="1-6")
    drawn.way(50, [first, door, (20, 60), (20, 72), (0, 72), first], building="apartments")
    drawn.node(5, 65, addr__flats="7-8;10")
    drawn.box(51, 30, 60, 20, 12, building="apartments", building__flats="24")
    drawn.box(52, 60, 60, 20, 12, building="apartments", building__flats="0")
    found = households(drawn, tmp_path / "v")
    assert (found["w50"], found["w51"], "w52" in found) == (9, 24, False)


# ── beside other files ───────────────────────────────────────────────────────────────────────────────


def test_a_file_of_one_layer_goes_before_the_extract(drawn, tmp_path):
    folder = written(tmp_path / "v", drawn)
    door = (LON + 50 * DLON, LAT + 8 * DLAT)
    (folder / "households.csv").write_text(f"household_id,lon,lat,households\nh1,{door[0]},{door[1]},40\n")
    site = read_site(folder, read_settings(overrides=["input.households.datum=wgs84"]))
    assert list(site.layer("households")["household_id"]) == ["h1"]
    (folder / "alleys.geojson").write_text(
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"alley_id":"a1"},'
        f'"geometry":{{"type":"LineString","coordinates":[[{LON},{LAT}],[{LON + 300 * DLON},{LAT}]]}}}}]}}'
    )
    site = read_site(folder, DEFAULT)
    assert list(site.layer("alleys")["alley_id"]) == ["a1"]
    assert said(site.remarks, "extract-passed-over").message == "from alleys.geojson, not from village.osm"


def test_settings_can_name_the_extract_for_one_layer(drawn, tmp_path):
    folder = written(tmp_path / "v", drawn)
    (folder / "alleys.csv").write_text("alley_id,lon,lat\n1,117,31\n")
    site = read_site(folder, read_settings(overrides=["input.alleys.file=village.osm"]))
    assert list(site.layer("alleys")["alley_id"]) == ["w1", "w2", "w3", "w4"]


# ── formats ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", ["osm.bz2", "osm.gz", "OSM", "osm.pbf", "pbf"])
def test_every_format_gives_the_same_site(drawn, site, tmp_path, ending):
    other = tmp_path / "v2" / f"village.{ending}"
    if "pbf" in ending:
        other.parent.mkdir()
        as_pbf(tmp_path / "v" / "village.osm", other)
    else:
        written(other.parent, drawn, other.name)
    again = read_site(other.parent, DEFAULT)
    assert list(again.layers) == list(site.layers)
    for name, layer in site.layers.items():
        assert layer.to_wkb().equals(again.layers[name].to_wkb()), name


def as_pbf(xml, out, *, pack="pbf"):
    with osmium.SimpleWriter(osmium.io.File(str(out), pack)) as writer:
        for each in osmium.FileProcessor(osmium.io.File(str(xml), "osm")):
            writer.add(each)


def test_pbf_and_xml_hold_the_same_objects_whatever_the_packing(drawn, tmp_path):
    path = written(tmp_path / "v", drawn) / "village.osm"
    one = read_xml(path)
    for pack in ("pbf", "pbf,pbf_dense_nodes=false", "pbf,pbf_compression=none", "pbf,add_metadata=false"):
        as_pbf(path, out := tmp_path / f"{len(pack)}.osm.pbf", pack=pack)
        other = read_pbf(out)
        assert one.node_id.tolist() == other.node_id.tolist()
        assert one.node_xy.tolist() == other.node_xy.tolist()
        assert [(t.label, t.tags, t.refs, t.inner) for t in one.things] == [
            (t.label, t.tags, t.refs, t.inner) for t in other.things
        ]


def test_a_pbf_packed_otherwise_names_the_remedy(drawn, tmp_path):
    path = written(tmp_path / "v", drawn) / "village.osm"
    try:
        as_pbf(path, out := tmp_path / "x.osm.pbf", pack="pbf,pbf_compression=lz4")
    except (RuntimeError, ValueError):
        pytest.skip("this build of osmium has no LZ4")
    with pytest.raises(DataError, match="packed with LZ4; convert it: osmium cat"):
        read_pbf(out)


def test_places_inside_ways_are_read_as_overpass_writes_them(tmp_path):
    nodes = "".join(f'<nd ref="{i}" lat="{LAT}" lon="{LON + i * 1e-3}"/>' for i in range(3))
    (tmp_path / "v.osm").write_text(f'<osm><way id="1">{nodes}<tag k="highway" v="path"/></way></osm>')
    assert list(read_site(tmp_path, DEFAULT).layer("alleys")["alley_id"]) == ["w1"]


# ── what editors and mergers leave ───────────────────────────────────────────────────────────────────


def test_what_is_deleted_is_gone_and_negative_ids_stay(drawn, tmp_path):
    drawn.way(-5, [(0, 150), (60, 150)], highway="path")
    drawn.way(40, [(0, 160), (60, 160)], more='action="delete"', highway="path")
    drawn.way(41, [(0, 170), (60, 170)], more='visible="false"', highway="path")
    site = read_site(written(tmp_path / "v", drawn), DEFAULT)
    ids = set(site.layer("alleys")["alley_id"])
    assert "w-5" in ids
    assert not {"w40", "w41"} & ids
    assert said(site.remarks, "osm-deleted").ids == ("w40", "w41")


def test_the_highest_version_counts_in_any_order(drawn, tmp_path):
    drawn.way(40, [(0, 160), (60, 160)], more='version="3"', highway="path", name="new")
    drawn.way(40, [(0, 160), (60, 160)], more='version="2"', highway="path", name="old")
    drawn.node(0, 0, number=500, more='version="2"')
    drawn.node(9, 0, number=500, more='version="1"')
    drawn.way(41, [500, (0, 180)], highway="path")
    site = read_site(written(tmp_path / "v", drawn), DEFAULT)
    alleys = rows(site, "alleys")
    assert alleys.loc["w40", "name"] == "new"
    assert alleys.loc["w41"].geometry.length == pytest.approx(180, abs=0.2)
    assert said(site.remarks, "osm-doubled").ids == ("n500", "w40")


def test_the_order_of_objects_changes_nothing(drawn, site, tmp_path):
    drawn.xml = lambda: f"<osm>{''.join(reversed(drawn.elements))}</osm>"
    again = read_site(written(tmp_path / "v", drawn), DEFAULT)
    for name, layer in site.layers.items():
        assert layer.to_wkb().equals(again.layers[name].to_wkb()), name


# ── refused ──────────────────────────────────────────────────────────────────────────────────────────

LAUGHS = '<!DOCTYPE osm [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
NODE = '<osm version="0.6"><node id="5" lat="{}" lon="117.1"/></osm>'


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        (LAUGHS + '<osm><node id="1" lat="1" lon="1"><tag k="name" v="&b;"/></node></osm>', "document type"),
        ('<!DOCTYPE osm SYSTEM "file:///etc/passwd"><osm/>', "document type"),
        ("<osmChange version='0.6'/>", "osmChange"),
        ("<kml/>", "begins with <kml>"),
        ("<osm>", "no element found"),
        ("{}", "damaged or no XML"),
        ("<osm/>", "holds no ways"),
        (NODE.format("north"), "line 1.*north"),
        (NODE.format("nan"), "line 1.*nan"),
        (NODE.format("91"), "node 5 lies nowhere"),
        ('<osm><node lat="1" lon="1"/></osm>', "line 1.*id"),
        (f'<osm><way id="{2**70}"/><node id="{2**70}" lat="1" lon="1"/></osm>', "line 1"),
        ("<osm>" + "<a>" * 50, "nests deeper"),
    ],
)
def test_what_is_no_extract_is_refused_with_the_reason(tmp_path, text, phrase):
    (tmp_path / "v.osm").write_text(text)
    with pytest.raises(DataError, match=rf"v\.osm.*{phrase}"):
        read_site(tmp_path, DEFAULT)


def test_an_extract_without_ways_to_walk_says_so(tmp_path):
    houses = Map()
    houses.box(1, 0, 0, 10, 10, building="yes")
    with pytest.raises(DataError, match=r"no alleys: .* Found: buildings"):
        read_site(written(tmp_path / "v", houses), DEFAULT)


def test_an_extract_of_a_country_is_refused_with_the_way_to_cut_it(monkeypatch, drawn, tmp_path):
    monkeypatch.setattr(osm_extract, "_MOST_NODES", 20)
    with pytest.raises(DataError, match=r"more than 20 nodes.*osmium extract --bbox"):
        read_site(written(tmp_path / "v", drawn), DEFAULT)


@pytest.mark.parametrize("name", ["planet.osm", "planet.osm.bz2", "planet.osm.gz", "planet.osm.pbf"])
def test_a_planet_is_refused_unread(tmp_path, name):
    starts = {"osm": b"<osm>", "bz2": b"BZh9", "gz": b"\x1f\x8b", "pbf": HEADER}
    path = tmp_path / name
    path.write_bytes(starts[name.rpartition(".")[2]])
    os.truncate(path, 80_000_000_000)  # with holes: it takes no room
    with pytest.raises(DataError, match=r"holds 80,000 MB.*osmium extract --bbox"):
        read_site(tmp_path, DEFAULT)


def field(number, raw):
    return number_of(number << 3 | 2) + number_of(len(raw)) + raw


def number_of(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def blob(kind, raw, *, size=None):
    packed = b"\x10" + number_of(len(raw) if size is None else size) + field(3, zlib.compress(raw, 9))
    head = field(1, kind) + b"\x18" + number_of(len(packed))
    return len(head).to_bytes(4, "big") + head + packed


HEADER = blob(b"OSMHeader", field(4, b"OsmSchema-V0.6") + field(4, b"DenseNodes"))


def nodes_block(n):
    dense = field(1, b"\x02" * n) + field(8, b"\0" * n) + field(9, b"\0" * n)
    return field(1, field(1, b"")) + field(2, field(2, dense))


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (b"\0\0\0\x0dnot at all...", "damaged or no PBF"),
        (HEADER[:-5], "cut off"),
        (HEADER + blob(b"OSMData", nodes_block(10))[:-3], "cut off"),
        (HEADER + blob(b"OSMData", nodes_block(10), size=5), "another size than it says"),
        (HEADER + blob(b"OSMData", nodes_block(10), size=1 << 40), "larger than the format allows"),
        (HEADER + blob(b"OSMData", nodes_block(5_000_001)), "more than 5,000,000 nodes"),
        (HEADER + blob(b"OSMData", b"\0" * (20 << 20)), "20 times its size"),
        (HEADER + blob(b"OSMData", b"\x80\x01\0" * 500_001), "more than 500,000 fields"),
        (blob(b"OSMData", nodes_block(10)), "block 1 is 'OSMData'"),
        (blob(b"OSMHeader", field(4, b"HistoricalInformation")), "history"),
        (blob(b"OSMHeader", field(4, b"Sort.Of")), r"not read \(Sort.Of\)"),
    ],
)
def test_a_pbf_that_can_not_be_right_is_refused(tmp_path, content, phrase):
    (tmp_path / "v.osm.pbf").write_bytes(content)
    with pytest.raises(DataError, match=phrase):
        read_site(tmp_path, DEFAULT)


NODES = b'<node id="1" lat="1" lon="1"/>' * 40_000


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("x.osm.bz2", lambda: bz2.compress(b"<osm>" + b" " * (60 << 20))),
        ("x.osm.gz", lambda: gzip.compress(b"<osm>" + NODES * 60, compresslevel=1)),
        ("x.osm.pbf", lambda: HEADER + blob(b"OSMData", nodes_block(1_300_000)) * 20),
        ("y.osm.pbf", lambda: HEADER + blob(b"OSMData", b"\x80\x01\0" * (300 << 10)) * 200),
    ],
)
def test_a_bomb_is_refused_in_seconds_and_little_memory(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack())
    code = (
        "import time; from pathlib import Path; from spatial.load.osm import extract_layers\n"
        "begin = time.process_time()\n"
        f"try: extract_layers(Path({str(tmp_path / name)!r}))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "peak = Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]\n"
        "print(time.process_time() - begin, int(peak) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    message, used = done.stdout.strip().splitlines()
    cpu_s, most_mb = map(float, used.split())
    assert message.startswith("DataError")
    assert cpu_s < 10
    assert most_mb < 600


# ── the wire format and values ───────────────────────────────────────────────────────────────────────


@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=60))
def test_packed_numbers_come_back(values):
    packed = b"".join(number_of(each & 0xFFFFFFFFFFFFFFFF) for each in values)
    assert _varints(packed).tolist() == values


@given(value=st.integers(-(2**63), 2**63 - 1))
def test_zigzag_comes_back(value):
    coded = (value << 1) ^ (value >> 63)
    assert _zigzag(np.array([coded & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)).tolist() == [value]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_pbf_is_read_or_refused_but_never_crashes(tmp_path, data):
    raw = bytearray(field(1, field(1, b"highway") + field(1, b"path")) + field(2, field(3, _way())))
    raw += nodes_block(12)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "v.osm.pbf").write_bytes(HEADER + blob(b"OSMData", bytes(raw)))
    try:
        read_pbf(tmp_path / "v.osm.pbf")
    except DataError as error:
        assert "v.osm.pbf" in str(error)


def _way():
    return b"\x08\x05" + field(2, b"\0") + field(3, b"\x01") + field(8, b"\x02\x02\x02")


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("3", 3.0),
        ("2,5 m", 2.5),
        ("350 cm", 3.5),
        ("10 ft", 3.048),
        ("8'6\"", 2.5908),
        ("wide", None),
        ("-3", None),
    ],
)
def test_lengths_as_people_tag_them(text, metres):
    assert length_m(text) == (None if metres is None else pytest.approx(metres))


@pytest.mark.parametrize(
    ("text", "flats"), [("12", 1), ("1-12", 12), ("1-4;7", 5), ("1;2,3", 3), ("A-F", None), ("9-1", None)]
)
def test_flats_as_people_tag_them(text, flats):
    assert counted_flats(text) == flats


@pytest.mark.parametrize(
    ("tags", "alley", "barrier"),
    [
        ({"highway": "trunk"}, None, "motorway"),
        ({"highway": "trunk", "sidewalk": "both"}, "road", None),
        ({"highway": "motorway", "foot": "yes"}, None, "motorway"),
        ({"highway": "primary", "motorroad": "yes"}, None, "motorway"),
        ({"highway": "trunk", "bridge": "yes"}, None, None),
        ({"highway": "steps"}, "steps", None),
        ({"highway": "construction"}, None, None),
        ({"railway": "rail"}, None, "railway"),
        ({"railway": "tram"}, None, None),
        ({"barrier": "fence"}, None, None),
        ({"barrier": "wall"}, None, "wall"),
        ({"waterway": "ditch"}, None, None),
        ({"waterway": "canal", "tunnel": "culvert"}, None, None),
        ({"natural": "water"}, None, "water"),
    ],
)
def test_what_is_walked_and_what_bars_the_way(tags, alley, barrier):
    assert (alley_kind(tags), barrier_kind(tags)) == (alley, barrier)


@pytest.mark.parametrize(
    ("tags", "use"),
    [
        ({"building": "yes"}, "yes"),
        ({"building": "house", "shop": "bakery"}, "house"),
        ({"building": "yes", "amenity": "restaurant"}, "public"),
        ({"building": "yes", "amenity": "school"}, "school"),
        ({"building": "yes", "office": "company"}, "office"),
        ({"building": "apartments", "ruins": "yes"}, "ruins"),
    ],
)
def test_the_use_of_a_building(tags, use):
    assert building_use(tags) == use


@pytest.mark.parametrize(
    ("remark", "refused"),
    [('runtime error: Query timed out in "query" at line 3', True), ("Made by hand, checked twice.", False)],
)
def test_an_extract_that_its_server_did_not_finish_is_refused(tmp_path, remark, refused):
    text = (
        '<?xml version="1.0"?><osm version="0.6"><node id="1" lat="31.6" lon="117.1"/>'
        '<node id="2" lat="31.6001" lon="117.1"/>'
        '<way id="1"><nd ref="1"/><nd ref="2"/><tag k="highway" v="footway"/></way>'
        f"<remark> {remark} </remark></osm>"
    )
    path = tmp_path / "village.osm"
    path.write_text(text, encoding="utf-8")
    if refused:
        with pytest.raises(DataError, match="incomplete, its server says: runtime error"):
            extract_layers(path)
    else:
        assert "alleys" in extract_layers(path)
