# ruff: noqa: E501 - the cases are a table, one a line
"""Spoilt extracts of OpenStreetMap and spoilt drawings, added to the cases of the corpus.

The alleys of the township stand in an extract or a drawing in place of the GeoJSON.
"""

from __future__ import annotations

import bz2
import gzip
import io
import random
from collections.abc import Callable
from pathlib import Path

import ezdxf
import osmium
import shapely
from pyproj import Transformer

from tests.corpus import CRS, A, H, Spoil, case, cut, flipped, put, read, spliced
from tests.test_osm import HEADER, blob, nodes_block

Change = Callable[[bytes, random.Random], bytes]

TO_DEGREES = Transformer.from_crs(CRS, 4326, always_xy=True).transform
MARKUP = "&lt;script&gt;alert(1)&lt;/script&gt;=1+1&#x202e;"


def same(content: bytes, _: random.Random) -> bytes:
    return content


def swapped(old: str, new: str, n: int = -1) -> Change:
    def change(content: bytes, _: random.Random) -> bytes:
        assert old.encode() in content
        return content.replace(old.encode(), new.encode(), n)

    return change


# ── OpenStreetMap ────────────────────────────────────────────────────────────────────────────────────


def extract_of(folder: Path) -> bytes:
    """The alleys as nodes and ways, and a footbridge whose nodes are not in the extract."""
    nodes, ways, number = [], [], 0
    for i, each in enumerate(read(folder, "alleys")["features"], start=1):
        refs = []
        for at in shapely.get_coordinates(shapely.geometry.shape(each["geometry"])):
            number += 1
            lon, lat = TO_DEGREES(*at)
            nodes.append(f'<node id="{number}" version="1" lat="{lat:.7f}" lon="{lon:.7f}"/>')
            refs.append(f'<nd ref="{number}"/>')
        tags = f'<tag k="highway" v="footway"/><tag k="name" v="巷{i}"/>'
        ways.append(f'<way id="{i}" version="1">{"".join(refs)}{tags}</way>')
    ways.append(
        '<way id="9999" version="1"><nd ref="777001"/><nd ref="777002"/><tag k="highway" v="path"/></way>'
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<osm version="0.6">' + "\n".join([*nodes, *ways]) + "</osm>"
    ).encode()


def packed(xml: bytes, ending: str, folder: Path) -> bytes:
    if ending == ".osm.bz2":
        return bz2.compress(xml)
    if ending == ".osm.gz":
        return gzip.compress(xml, mtime=0)
    if ending == ".osm.pbf":
        out = folder.parent / "made.osm.pbf"
        with osmium.SimpleWriter(osmium.io.File(str(out), "pbf")) as writer:
            for each in osmium.FileProcessor(osmium.io.FileBuffer(xml, "osm")):
                writer.add(each)
        return out.read_bytes()
    return xml


def extract(change: Change = same, *, ending: str = ".osm", after: Change = same) -> Spoil:
    """The extract in place of the alleys: ``change`` of its text, ``after`` of the packed file."""

    def spoil(folder: Path, chance: random.Random) -> None:
        xml = change(extract_of(folder), chance)
        (folder / A).unlink()
        (folder / f"village{ending}").write_bytes(after(packed(xml, ending, folder), chance))

    return spoil


ENDINGS = (".osm", ".osm.bz2", ".osm.gz", ".osm.pbf")
WAY = '<way id="{}" version="1"><nd ref="1"/><nd ref="2"/>{}</way></osm>'
for ending in ENDINGS:
    case(f"plain{ending}", extract(ending=ending), exit=0)
    for share in (0.02, 0.6):
        case(f"cut{ending}-{share}", extract(ending=ending, after=cut(share)), f"village{ending}")
    for how in (flipped, spliced):
        case(f"{how.__name__}{ending}", extract(ending=ending, after=how), exit=None)
    case(f"empty{ending}", put(f"village{ending}", b"", instead=A), f"village{ending} is empty")
    case(
        f"picture{ending}",
        put(f"village{ending}", b"\x89PNG\r\n\x1a\n" + bytes(500), instead=A),
        f"village{ending}",
    )
case(
    "osm-entity",
    extract(swapped("\n<osm", '\n<!DOCTYPE osm [<!ENTITY e SYSTEM "file:///etc/passwd">]><osm', 1)),
    "village.osm",
)
case(
    "osm-laughs",
    extract(swapped("\n<osm", '\n<!DOCTYPE osm [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><osm', 1)),
    "village.osm",
)
case("osm-html", put("village.osm", "<html><body>Too many requests</body></html>", instead=A), "village.osm")
case("osm-changes", extract(swapped("<osm ", "<osmChange ", 1)), "village.osm")
case("osm-nothing", put("village.osm", '<osm version="0.6"/>', instead=A), "alleys")
case("osm-no-nodes", extract(lambda c, _: c[: c.index(b"<node")] + c[c.index(b"<way") :]), "alleys")
case("osm-other-version", extract(swapped('osm version="0.6"', 'osm version="0.5"', 1)), exit=None)
case("osm-id-text", extract(swapped('node id="1"', 'node id="one"', 1)), "village.osm")
case("osm-id-huge", extract(swapped('node id="1"', f'node id="{10**30}"', 1)), "village.osm")
case("osm-ref-huge", extract(swapped('nd ref="1"', f'nd ref="{2**63}"', 1)), "village.osm")
case("osm-lat-text", extract(swapped('lat="', 'lat="x', 1)), "village.osm")
case("osm-lat-nan", extract(swapped('lat="31', 'lat="nan" was="31', 1)), "village.osm")
case("osm-lat-far", extract(swapped('lat="31', 'lat="131', 1)), "village.osm")
case(
    "osm-swapped",
    extract(lambda c, _: c.replace(b"lat=", b"was=").replace(b"lon=", b"lat=").replace(b"was=", b"lon=")),
    "village.osm",
)
case(
    "osm-relation-loop",
    extract(
        swapped(
            "</osm>",
            "".join(
                f'<relation id="{i}" version="1"><member type="relation" ref="{3 - i}" role=""/><tag k="building" v="yes"/>'
                '<tag k="type" v="multipolygon"/></relation>'
                for i in (1, 2)
            )
            + "</osm>",
        )
    ),
    exit=0,
)
case(
    "osm-way-of-one",
    extract(
        swapped("</osm>", '<way id="8888" version="1"><nd ref="1"/><tag k="highway" v="path"/></way></osm>')
    ),
    exit=0,
)
case("osm-markup", extract(swapped('v="巷1"', f'v="{MARKUP}"')), exit=0)
case("osm-long-name", extract(swapped('v="巷1"', f'v="{"巷" * 10_000}"')), exit=0)
case(
    "osm-many-tags",
    extract(swapped("</osm>", WAY.format(8888, "".join(f'<tag k="k{i}" v="v"/>' for i in range(50_000))))),
    exit=None,
)
case(
    "osm-tag-twice",
    extract(swapped("</osm>", WAY.format(8888, '<tag k="highway" v="path"/><tag k="highway" v="steps"/>'))),
    exit=None,
)
case("osm-deep", put("village.osm", b"<osm>" + b"<way>" * 200_000, instead=A), "village.osm")
case(
    "osm-bomb",
    put("village.osm.bz2", bz2.compress(b"<osm>" + b" " * (60 << 20)), instead=A),
    "village.osm.bz2",
)
case(
    "pbf-size-lies",
    put("village.osm.pbf", HEADER + blob(b"OSMData", nodes_block(10), size=5), instead=A),
    "village.osm.pbf",
)
case(
    "pbf-size-huge",
    put("village.osm.pbf", HEADER + blob(b"OSMData", nodes_block(10), size=1 << 40), instead=A),
    "village.osm.pbf",
)
case(
    "pbf-bomb",
    put("village.osm.pbf", HEADER + blob(b"OSMData", b"\0" * (20 << 20)), instead=A),
    "village.osm.pbf",
)
case("pbf-header-only", put("village.osm.pbf", HEADER, instead=A), "alleys")
case(
    "osm-is-pbf",
    lambda f, r: (extract(ending=".osm.pbf")(f, r), (f / "village.osm.pbf").rename(f / "village.osm")),
    "village.osm",
)
case(
    "gz-is-bz2",
    lambda f, r: (extract(ending=".osm.gz")(f, r), (f / "village.osm.gz").rename(f / "village.osm.bz2")),
    "village.osm.bz2",
)

# ── drawings ─────────────────────────────────────────────────────────────────────────────────────────

Draw = Callable[["ezdxf.document.Drawing"], object]


def drawing(draw: Draw = lambda document: None, *, version: str = "R2010", change: Change = same) -> Spoil:
    """The alleys as lines of a drawing, with what ``draw`` adds; ``change`` of the file."""

    def spoil(folder: Path, chance: random.Random) -> None:
        document = ezdxf.new(version, units=6)
        document.encoding = "gbk" if version == "R2000" else document.encoding
        document.layers.add("巷道")
        for each in read(folder, "alleys")["features"]:
            for line in shapely.get_parts(shapely.geometry.shape(each["geometry"])):
                document.modelspace().add_lwpolyline(
                    shapely.get_coordinates(line), dxfattribs={"layer": "巷道"}
                )
        draw(document)
        text = io.StringIO()
        document.write(text)
        (folder / A).unlink()
        (folder / "plan.toml").write_text(f'[input.alleys]\ncrs = "{CRS}"\n')
        (folder / "survey.dxf").write_bytes(change(text.getvalue().encode(document.output_encoding), chance))

    return spoil


AT = (509_500.0, 3_497_700.0)


def inside_itself(document: ezdxf.document.Drawing) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        block = document.blocks.new(name)
        block.add_blockref(other, AT)
        block.add_line(AT, (AT[0] + 9, AT[1]), dxfattribs={"layer": "巷道"})
    document.modelspace().add_blockref("one", (0, 0))


def endless_array(document: ezdxf.document.Drawing) -> None:
    document.blocks.new("lane").add_line(AT, (AT[0] + 9, AT[1]), dxfattribs={"layer": "巷道"})
    document.modelspace().add_blockref("lane", (0, 0), dxfattribs={
        "row_count": 32_000, "column_count": 32_000, "row_spacing": 1, "column_spacing": 1})  # fmt: skip


def on_layer(text: str) -> Draw:
    return lambda document: document.modelspace().add_text(text, dxfattribs={"layer": "巷道", "insert": AT})


def line_to(x: float, y: float) -> Draw:
    return lambda document: document.modelspace().add_line(AT, (x, y), dxfattribs={"layer": "巷道"})


case("dxf-plain", drawing(), exit=0)
for share in (0.02, 0.6, 0.98):
    case(f"dxf-cut-{share}", drawing(change=cut(share)), "survey.dxf")
for how in (flipped, spliced):
    case(f"{how.__name__}-dxf", drawing(change=how), exit=None)
case("dxf-empty", put("survey.dxf", b"", instead=A), "survey.dxf is empty")
case("dxf-zeros", put("survey.dxf", bytes(5000), instead=A), "survey.dxf")
case("dxf-binary", put("survey.dxf", b"AutoCAD Binary DXF\r\n\x1a\0" + bytes(500), instead=A), "survey.dxf")
case("dxf-is-dwg", put("survey.dxf", b"AC1032" + bytes(500), instead=A), "survey.dxf")
case("dwg", put("巷道.dwg", b"AC1032" + bytes(500), instead=A), "巷道.dwg")
case("dxf-version-unknown", drawing(change=swapped("AC1024", "AC9999")), exit=None)
case("dxf-one-line", put("survey.dxf", b"0\nSECTION\n" * 3, instead=A), "survey.dxf")
case("dxf-json", put("survey.dxf", '{"type": "FeatureCollection"}', instead=A), "survey.dxf")
case("dxf-block-in-itself", drawing(inside_itself), exit=None)
case("dxf-endless-array", drawing(endless_array), exit=None)
case("dxf-nan", drawing(line_to(float("nan"), 3_497_700)), exit=None)
case("dxf-far", drawing(line_to(1e300, 1e300)), exit=None)
case("dxf-control-text", drawing(on_layer("a\x1b[2J\x07%%c\\P{\\fArial;x}")), exit=0)
case("dxf-markup", drawing(on_layer("</script><script>alert(1)</script>=1+1")), exit=0)
case("dxf-gbk", drawing(version="R2000"), exit=0)
case("dxf-code-page-lies", drawing(version="R2000", change=swapped("ANSI_936", "ANSI_1252")), exit=None)
case("dxf-units-mm", drawing(change=swapped("$INSUNITS\n 70\n6", "$INSUNITS\n 70\n4", 1)), exit=None)
case("dxf-bomb", put("survey.dxf", b"  0\nLINE\n" * 6_000_000, instead=A), "survey.dxf")
case("dxf-beside-households", lambda f, r: (drawing()(f, r), (f / H).unlink()), exit=None)
