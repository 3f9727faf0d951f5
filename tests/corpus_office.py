"""What offices have beside clean layers, added to the cases of the corpus.

Lists of lines, archives, a workbook with a sheet for each group, drawings saved by CAD in another
language, coordinates that lost their digits on the way through a spreadsheet.
"""

from __future__ import annotations

import io
import json
import random
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import ezdxf
import pandas as pd
import shapely
import xlsxwriter

from tests.corpus import CRS, Spoil, case, edit, kept, read, write

__all__: list[str] = []


def replaced(name: str, content: bytes, layer: str = "households") -> Spoil:
    """A file in place of a layer's own."""

    def spoil(folder: Path, _: random.Random) -> None:
        (folder / f"{layer}.geojson").unlink()
        (folder / name).write_bytes(content)

    return spoil


def by_line(mark: str = "", spoilt: str = "") -> Spoil:
    """The households with a feature on each line, as GeoJSONSeq has them."""

    def spoil(folder: Path, _: random.Random) -> None:
        document = read(folder, "households")
        lines = [mark + json.dumps({**each, "type": "Feature"}) for each in document["features"]]
        (folder / "households.geojson").write_text("\n".join([*lines, spoilt]), encoding="utf-8")
        (folder / "plan.toml").write_text(f'[input.households]\ncrs = "{CRS}"\n')

    return spoil


case("lines", by_line(), exit=0)
case("lines-marked", by_line("\x1e"), exit=0)
case("lines-cut", by_line(spoilt='{"type": "Feature", "geom'), "households", "valid JSON")


def archived(folder: Path, _: random.Random) -> None:
    with zipfile.ZipFile(folder / "households.zip", "w") as archive:
        archive.write(folder / "households.geojson", "households.geojson")
    (folder / "households.geojson").unlink()


case("archive", archived, "households", "is an archive", "unpack it", code="file-unreadable")
case("gml", replaced("住户.gml", b"<gml/>"), "households", "not read", code="file-unreadable")
case("a-print", replaced("boundary.pdf", b"%PDF-1.7", "boundary"), exit=0, code="layer-perhaps")
case("network-link-alone", replaced("households.kml", b"<kml><NetworkLink/></kml>"), "holds no layer")
case("unreadable-named", replaced("households.xlsx", b"x"), "households.: households.xlsx is not a workbook")


def in_sheets(folder: Path, _: random.Random) -> None:
    """A sheet for each village group."""
    (folder / "households.geojson").unlink()
    with xlsxwriter.Workbook(folder / "households.xlsx") as book:
        for name in ("一组", "二组"):
            book.add_worksheet(name).write_row(0, 0, ["户号", "户数", "东坐标", "北坐标"])


def without_places(folder: Path, _: random.Random) -> None:
    kept(".gpkg")(folder)
    with closing(sqlite3.connect(folder / "households.gpkg")) as database:
        database.execute("UPDATE gpkg_contents SET data_type = 'attributes'")
        database.execute("DELETE FROM gpkg_geometry_columns")
        database.commit()


case("sheets-of-groups", in_sheets, "2 tables or sheets", "一组, 二组", code="table-undecided")
case("gpkg-without-places", without_places, "holds no layer", code="file-unreadable")
case("raster-for-points", replaced("households.tif", b"II*\0" + bytes(100)), "can't hold households")


def long_name(folder: Path, _: random.Random) -> None:
    (kept(".gpkg")(folder)).rename(folder / ("a" * 250 + ".gpkg"))


case("name-of-255-bytes", long_name, exit=0)


def drawn(*, binary: bool = False, page: str = "U") -> Spoil:
    """The alleys in a drawing of a code page without Chinese: the name of the layer in escapes."""

    def spoil(folder: Path, _: random.Random) -> None:
        document = ezdxf.new("R2004", units=6)
        document.layers.add("巷道")
        for each in read(folder, "alleys")["features"]:
            for line in shapely.get_parts(shapely.geometry.shape(each["geometry"])):
                at = shapely.get_coordinates(line)
                document.modelspace().add_lwpolyline(at, dxfattribs={"layer": "巷道"})
        (folder / "alleys.geojson").unlink()
        (folder / "plan.toml").write_text(f'[input.alleys]\ncrs = "{CRS}"\n')
        if binary:
            document.saveas(folder / "survey.dxf", fmt="bin")
            return
        text = io.StringIO()
        document.write(text)
        spelt = text.getvalue().encode(document.output_encoding, "dxfreplace")
        assert b"\\U+5df7\\U+9053" in spelt
        if page == "M":
            spelt = spelt.replace(b"\\U+5df7\\U+9053", b"\\M+5CFEF\\M+5B5C0")
        (folder / "survey.dxf").write_bytes(spelt)

    return spoil


case("dxf-escapes", drawn(), exit=0)
case("dxf-escapes-of-a-page", drawn(page="M"), exit=0)
case("dxf-escapes-binary", drawn(binary=True), exit=0)


def rounded(step: float) -> Spoil:
    """Household points whose last digits are lost."""

    def spoil(folder: Path, _: random.Random) -> None:
        kept(".csv")(folder)
        rows = pd.read_csv(folder / "households.csv")
        for each in ("东坐标", "北坐标"):
            rows[each] = (rows[each] / step).round() * step
        rows.to_csv(folder / "households.csv", index=False)

    return spoil


case("digits-lost", rounded(100.0), exit=0, code="coordinates-rounded")


def contradicting(document: dict[str, Any]) -> None:
    for each in document["features"][:3]:
        each["properties"] |= {"residents": 1, "elderly": 4, "households": 2}


def pasted_twice(folder: Path, _: random.Random) -> None:
    document = read(folder, "households")
    again = [
        {**each, "properties": {**each["properties"], "household_id": f"again {i}"}}
        for i, each in enumerate(document["features"])
    ]
    write(folder, "households", {**document, "features": document["features"] + again})


case("more-elderly-than-people", edit("households", contradicting), "elderly", exit=0, code="people-too-many")
case("list-pasted-twice", pasted_twice, "2 times", exit=0, code="rows-repeated")


def as_text(folder: Path, _: random.Random) -> None:
    """Coordinates as text in quotes."""
    document = read(folder, "households")
    for each in document["features"]:
        at = shapely.point_on_surface(shapely.geometry.shape(each["geometry"]))
        each["geometry"] = {"type": "Point", "coordinates": [str(at.x), str(at.y)]}
    write(folder, "households", document)


case("coordinates-in-quotes", as_text, "can't be read", code="coordinates-unread")
case(
    "json-of-esri",
    replaced("households.json", b'{"geometryType": "esriGeometryPoint", "features": []}'),
    "export the layer as GeoJSON",
)
