# ruff: noqa: E501, PLW0108 - the cases are a table, one a line
"""A small made-up township, and two hundred ways in which its files can be wrong.

Each case changes a fresh copy of the folder and says what the command must answer: 2 with these
phrases or 0 with the code of a remark. Damage by chance is drawn from the case's name, so that the
same case is the same bytes on every machine.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import shutil
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import rasterio
import shapely
import xlsxwriter
from rasterio.transform import from_origin

from spatial.sample import make_sample

__all__ = ["CANARY", "CASES", "Case", "make_kit", "make_township"]

Spoil = Callable[[Path, random.Random], object]

LAYERS = ("alleys", "households", "lamp_sites", "board_sites", "buildings", "boundary")
CRS = "EPSG:4548"
#: Stands in a file outside the folder; no output may ever show it.
CANARY = "canary-7f3a"
#: Port of a listener on this machine that no command may ever reach.
PORT_FILE = "port"
FORMATS = {
    ".gpkg": {"driver": "GPKG"},
    ".shp": {"driver": "ESRI Shapefile", "encoding": "UTF-8"},
    ".fgb": {"driver": "FlatGeobuf"},
}


@dataclass(frozen=True)
class Case:
    """One folder with a fault and what the command answers."""

    name: str
    spoil: Spoil
    says: tuple[str, ...] = ()  # phrases in what the command says
    exit: int | None = 2  # None: damage by chance, which may or may not matter
    code: str = ""  # of a remark in the JSON of check
    words: tuple[str, ...] = ()  # further words of the command


CASES: list[Case] = []


def case(
    name: str,
    spoil: Spoil,
    *says: str,
    exit: int | None = 2,
    code: str = "",
    words: tuple[str, ...] = (),
) -> None:
    CASES.append(Case(name, spoil, says, exit, code, words))


# ── the township ─────────────────────────────────────────────────────────────────────────────────────


def make_township(folder: Path) -> None:
    """Four hundred households as one GeoJSON for each layer."""
    folder.mkdir(parents=True)
    for name, rows in make_sample(400, seed=3, layers=LAYERS).items():
        rows = rows.dropna(axis="columns", how="all")
        features = json.loads(rows.to_json(drop_id=True))["features"]
        write(folder, name, {"type": "FeatureCollection", "crs": named(CRS), "features": features})


def make_kit(township: Path, kit: Path) -> None:
    """The households in every format, to be put in place of the GeoJSON."""
    kit.mkdir(parents=True)
    rows = gpd.read_file(township / "households.geojson", engine="pyogrio").set_crs(CRS, allow_override=True)
    for ending, how in FORMATS.items():
        short = rows.rename(columns={"household_id": "hh_id"}) if ending == ".shp" else rows
        pyogrio.write_dataframe(short, kit / f"households{ending}", layer="households", **how)
    rows.to_parquet(kit / "households.parquet")
    table = rows.drop(columns="geometry").assign(
        东坐标=rows.geometry.representative_point().x, 北坐标=rows.geometry.representative_point().y
    )
    table.to_csv(kit / "households.csv", index=False)
    with xlsxwriter.Workbook(kit / "households.xlsx", {"nan_inf_to_errors": True}) as book:
        sheet = book.add_worksheet("households")
        sheet.write_row(0, 0, list(table.columns))
        for i, row in enumerate(table.astype(object).to_numpy().tolist(), start=1):
            sheet.write_row(i, 0, ["" if pd.isna(each) else each for each in row])
    points = rows.set_geometry(rows.geometry.representative_point()).to_crs(4326)
    marks = "".join(
        f"<Placemark><name>{i}</name><ExtendedData><Data name='household_id'><value>{i}</value></Data>"
        f"<Data name='households'><value>{n}</value></Data></ExtendedData>"
        f"<Point><coordinates>{p.x!r},{p.y!r}</coordinates></Point></Placemark>\n"
        for i, n, p in zip(rows["household_id"], rows["households"], points.geometry, strict=True)
    )
    (kit / "households.kml").write_text(kml(marks), encoding="utf-8")
    with zipfile.ZipFile(kit / "households.kmz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(kit / "households.kml", "doc.kml")
    raster(kit / "dem.tif", np.full((60, 60), 30.0, dtype=np.float32), middle(township))


def kml(inside: str, head: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
        f"<Folder><name>households</name>{inside}</Folder></Document></kml>"
    )


def middle(folder: Path) -> tuple[float, float]:
    xy = shapely.get_coordinates(
        [shapely.geometry.shape(each["geometry"]) for each in read(folder, "alleys")["features"]]
    )
    return float(np.median(xy[:, 0])), float(np.median(xy[:, 1]))


def raster(path: Path, values: np.ndarray, at: tuple[float, float], **more: Any) -> None:
    about = {
        "driver": "GTiff", "height": values.shape[0], "width": values.shape[1], "count": 1,
        "dtype": str(values.dtype), "crs": CRS, "transform": from_origin(at[0] - 900, at[1] + 900, 30, 30),
    }  # fmt: skip
    with rasterio.open(path, "w", **{**about, **more}) as file:
        file.write(values, 1)


# ── small tools ──────────────────────────────────────────────────────────────────────────────────────


def named(crs: str) -> dict[str, Any]:
    return {"type": "name", "properties": {"name": crs}}


def read(folder: Path, layer: str) -> dict[str, Any]:
    return json.loads((folder / f"{layer}.geojson").read_text(encoding="utf-8"))


def write(folder: Path, layer: str, document: object) -> None:
    text = json.dumps(document, ensure_ascii=False)
    (folder / f"{layer}.geojson").write_text(text, encoding="utf-8")


def edit(layer: str, change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(folder: Path, _: random.Random) -> None:
        document = read(folder, layer)
        change(document)
        write(folder, layer, document)

    return spoil


def cell(layer: str, column: str, value: object, rows: tuple[int, ...] = (2,)) -> Spoil:
    return edit(layer, lambda d: [d["features"][i]["properties"].__setitem__(column, value) for i in rows])


def shape(layer: str, geometry: object, rows: tuple[int, ...] = (2,)) -> Spoil:
    return edit(layer, lambda d: [d["features"][i].__setitem__("geometry", geometry) for i in rows])


def raw(layer: str, change: Callable[[bytes, random.Random], bytes]) -> Spoil:
    def spoil(folder: Path, chance: random.Random) -> None:
        path = folder / f"{layer}.geojson"
        path.write_bytes(change(path.read_bytes(), chance))

    return spoil


def settings(text: str) -> Spoil:
    return lambda folder, _: (folder / "plan.toml").write_text(text, encoding="utf-8")


def kept(ending: str) -> Callable[[Path], Path]:
    """Put the households of another format in place of the GeoJSON."""

    def use(folder: Path) -> Path:
        (folder / "households.geojson").unlink(missing_ok=True)
        kit = folder.parent / "kit"
        for each in kit.glob("households.*"):
            if each.suffix == ending or (
                ending == ".shp" and each.suffix in (".shx", ".dbf", ".prj", ".cpg")
            ):
                shutil.copy(each, folder)
        if ending in (".csv", ".xlsx"):
            (folder / "plan.toml").write_text(f'[input.households]\ncrs = "{CRS}"\n')
        return folder / f"households{ending}"

    return use


def damaged(ending: str, change: Callable[[bytes, random.Random], bytes], part: str = "") -> Spoil:
    def spoil(folder: Path, chance: random.Random) -> None:
        path = kept(ending)(folder).with_suffix(part or ending)
        path.write_bytes(change(path.read_bytes(), chance))

    return spoil


def cut(share: float) -> Callable[[bytes, random.Random], bytes]:
    return lambda content, _: content[: int(len(content) * share)]


def flipped(content: bytes, chance: random.Random, n: int = 8) -> bytes:
    out = bytearray(content)
    for _ in range(n):
        out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
    return bytes(out)


def spliced(content: bytes, chance: random.Random) -> bytes:
    at, start = chance.randrange(len(content)), chance.randrange(len(content))
    return content[:at] + content[start : start + 500] + content[at:]


def blanked(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(100, max(101, len(content) - 600))
    return content[:at] + bytes(600) + content[at + 600 :]


def database(*statements: str | tuple[str, tuple[Any, ...]]) -> Spoil:
    """SQL on the households' GeoPackage, whose triggers need functions that only GDAL has."""

    def spoil(folder: Path, _: random.Random) -> None:
        with closing(sqlite3.connect(kept(".gpkg")(folder))) as base:
            for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                base.execute(f'DROP TRIGGER "{name}"')
            base.execute("PRAGMA writable_schema = ON")
            for each in statements:
                base.execute(each) if isinstance(each, str) else base.execute(*each)
            base.commit()

    return spoil


def put(name: str, content: bytes | str, *, instead: str = "") -> Spoil:
    def spoil(folder: Path, _: random.Random) -> None:
        if instead:
            (folder / instead).unlink()
        text = content.replace("PORT", port(folder)) if isinstance(content, str) else content
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return spoil


def port(folder: Path) -> str:
    file = folder.parent / PORT_FILE
    return file.read_text() if file.exists() else "9"


def sparse(name: str, *, start: bytes = b"", instead: str = "", size: int = 2_000_000_000) -> Spoil:
    def spoil(folder: Path, _: random.Random) -> None:
        if instead:
            (folder / instead).unlink()
        with (folder / name).open("wb") as file:
            file.write(start)
            file.truncate(size)

    return spoil


def link(name: str, target: str, *, instead: str = "") -> Spoil:
    def spoil(folder: Path, _: random.Random) -> None:
        (folder / (instead or name)).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return spoil


def then(*steps: Spoil) -> Spoil:
    return lambda folder, chance: [each(folder, chance) for each in steps]


def remove(name: str) -> Spoil:
    return lambda folder, _: (folder / name).unlink()


A, H = "alleys.geojson", "households.geojson"
POINT = {"type": "Point", "coordinates": [509500.0, 3497700.0]}

# ── files ────────────────────────────────────────────────────────────────────────────────────────────

case("no-alleys", remove(A), "alleys", code="alleys-missing")
case("empty-folder", lambda f, _: [each.unlink() for each in f.iterdir()], "alleys", code="alleys-missing")
case("alleys-zero-bytes", raw("alleys", lambda c, _: b""), "alleys.geojson is empty")
case("households-zero-bytes", raw("households", lambda c, _: b""), "households.geojson is empty")
case("alleys-blank", raw("alleys", lambda c, _: b" \n" * 100), "alleys.geojson", "not valid JSON")
for share in (0.02, 0.4, 0.97, 0.9999):
    case(f"alleys-cut-{share}", raw("alleys", cut(share)), "alleys.geojson")
case("alleys-folder", lambda f, _: ((f / A).unlink(), (f / A).mkdir()), "not a plain file")
case("alleys-pipe", lambda f, _: ((f / A).unlink(), os.mkfifo(f / A)), "not a plain file")
case("extra-pipe", lambda f, _: os.mkfifo(f / "boundary.gpkg"), "not a plain file")
case("alleys-zeros", raw("alleys", lambda c, _: bytes(5000)), "alleys.geojson")
case("alleys-noise", raw("alleys", lambda c, r: r.randbytes(5000)), "alleys.geojson")
case("alleys-unreadable-name", lambda f, _: (f / A).rename(f / "alleys.geojson.bak"), "alleys")
case("picture-as-gpkg", put("lamp_sites.gpkg", b"\x89PNG\r\n\x1a\n" + bytes(500)), "lamp_sites.gpkg")
case("picture-as-geojson", put("places.geojson", b"\xff\xd8\xff\xe0" + bytes(500)), "places.geojson")
case("pdf-as-csv", put("places.csv", b"%PDF-1.7\n" + bytes(500)), "places.csv")
case("zip-as-geojson", put("alleys.geojson", b"PK\x03\x04" + bytes(500)), "alleys.geojson")
case("gzip-as-geojson", put("alleys.geojson", gzip.compress(b"{}" * 99)), "alleys.geojson")
case("gpkg-as-geojson", lambda f, _: kept(".gpkg")(f).rename(f / H), "households.geojson is not GeoJSON")
case(
    "geojson-as-gpkg",
    lambda f, _: (f / H).rename(f / "households.gpkg"),
    "households.gpkg is not a GeoPackage",
)
case("geojson-as-shp", lambda f, _: (f / H).rename(f / "households.shp"), "households.shp is not a Shapefile")
case("geojson-as-fgb", lambda f, _: (f / H).rename(f / "households.fgb"), "not a FlatGeobuf")
case("geojson-as-tif", lambda f, _: shutil.copy(f / H, f / "dem.tif"), "dem.tif is not a GeoTIFF")
case("html-as-geojson", put(A, "<html><body>Login</body></html>"), "alleys.geojson")
case(
    "layer-twice",
    lambda f, _: shutil.copy(f / A, f / "巷道.geojson"),
    "found more than once",
    code="layer-twice",
)
case("layer-thrice", lambda f, _: [shutil.copy(f / A, f / n) for n in ("roads.geojson", "巷道.json")],
     "found more than once", code="layer-twice")  # fmt: skip
case("name-with-escape", lambda f, _: shutil.copy(f / A, f / "x\x1b[31m\nroot.csv"), exit=0)
case("name-not-text", lambda f, _: shutil.copy(os.fsencode(f / A), os.fsencode(f) + b"/\xd7\xa1\xbb\xa7.geojson"),
     exit=0, code="files-unread")  # fmt: skip
case(
    "unread-names",
    lambda f, _: [(f / f"{'长' * 60}{i}.xyz").touch() for i in range(200)],
    exit=0,
    code="files-unread",
)
case(
    "hidden-and-lock-files",
    lambda f, _: [(f / n).write_text("x") for n in (".DS_Store", "~$a.xlsx", "a.qgz")],
    exit=0,
)

# ── links ────────────────────────────────────────────────────────────────────────────────────────────

case("link-to-itself", link(A, A), "alleys.geojson can't be read")
case(
    "links-in-a-circle", lambda f, _: ((f / A).unlink(), (f / A).symlink_to("b"), (f / "b").symlink_to(A)), A
)
case("dead-link", link(A, "none.geojson"), "alleys.geojson can't be read")
case("link-out", link(H, "../secret.geojson"), "households.geojson is a link to a file outside")
case("link-to-system", link(H, "/etc/passwd"), "link to a file outside")
case("link-to-zero", link(H, "/dev/zero"), "households.geojson")
case("link-to-stdin", link(H, "/dev/stdin"), "households.geojson")
case("link-within", lambda f, _: ((f / A).rename(f / ".a.geojson"), (f / A).symlink_to(".a.geojson")), exit=0)
case("settings-link-out", link("plan.toml", "../secret.geojson"), "plan.toml is a link")
case(
    "stated-file-outside",
    settings('[input.households]\nfile = "../secret.geojson"'),
    "in the community folder",
)
case("stated-file-absolute", settings('[input.households]\nfile = "/etc/passwd"'), "in the community folder")
case("company-link-out", lambda f, _: (kept(".shp")(f), (f / "households.dbf").unlink(),
     (f / "households.dbf").symlink_to("../secret.geojson")), "households.dbf is a link")  # fmt: skip

# ── names that drivers follow ────────────────────────────────────────────────────────────────────────

VRT = '<OGRVRTDataSource><OGRVRTLayer name="households"><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'
GDALG = '{"type":"gdal_streamed_alg","command_line":"gdal vector pipeline ! read http://127.0.0.1:PORT/x ! write"}'
for i, name in enumerate(
    ("/vsicurl/http://127.0.0.1:PORT/a.gpkg", "http://127.0.0.1:PORT/a.geojson", "WFS:http://127.0.0.1:PORT/",
     "GPKG:a.gpkg:x", "SHP:/vsizip/a.zip", "/vsizip//vsicurl/http://127.0.0.1:PORT/a.zip", "PG:host=127.0.0.1",
     "households.geojson|layername=x", "a\\..\\..\\secret.geojson", "./../secret.geojson")
):  # fmt: skip
    case(f"stated-name-{i}", settings(f"[input.households]\nfile = {json.dumps(name)}"), "[input.households]")
for ending in (".gpkg", ".geojson", ".csv", ".fgb", ".shp", ".parquet", ".kml", ".xlsx"):
    text = VRT.format("/vsicurl/http://127.0.0.1:PORT/a.geojson")
    case(f"vrt-as{ending}", put(f"households{ending}", text, instead=H), f"households{ending}")
case("gdalg-as-geojson", put(H, GDALG), "households.geojson")
case("gdalg-as-gpkg", put("households.gpkg", GDALG, instead=H), "households.gpkg")
case("raster-vrt-as-tif", put("dem.tif", "<VRTDataset rasterXSize='9'/>"), "dem.tif")
case("esri-service-as-geojson", put(H, '{"url":"http://127.0.0.1:PORT/FeatureServer","features":"x"}'), H)
ENTITY = '<!DOCTYPE k [<!ENTITY e SYSTEM "{}">]>'
for name, target in (("file", "file:///etc/passwd"), ("net", "http://127.0.0.1:PORT/x")):
    mark = "<Placemark><name>&e;</name><Point><coordinates>117.1,31.6</coordinates></Point></Placemark>"
    case(
        f"kml-entity-{name}",
        put("households.kml", kml(mark, ENTITY.format(target)), instead=H),
        "households.kml",
    )
LAUGHS = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
case("kml-laughs", put("households.kml", kml("<name>&a9;</name>", f'<!DOCTYPE k [<!ENTITY a0 "lol">{LAUGHS}]>'),
     instead=H), "households.kml")  # fmt: skip
case("kml-network-link", put("households.kml", kml(
     "<NetworkLink><Link><href>http://127.0.0.1:PORT/x.kml</href></Link></NetworkLink>"), instead=H), exit=None)  # fmt: skip
case(
    "kml-deep",
    put("households.kml", kml("<Folder>" * 50_000 + "</Folder>" * 50_000), instead=H),
    "households.kml",
)

# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────

case("json-deep-lists", put(H, "[" * 100_000 + "]" * 100_000), "households.geojson is not valid JSON")
case(
    "json-deep-objects",
    put(H, '{"a":' * 100_000 + "1" + "}" * 100_000),
    "households.geojson is not valid JSON",
)
case(
    "json-many-brackets",
    raw("households", lambda c, _: b"[" + b"[]," * 15_000_000 + b"[]]"),
    "unfolds to more",
)
case(
    "json-many-objects",
    put(H, b'{"type":"FeatureCollection","features":[' + b"{}," * 5_000_000 + b"{}]}"),
    "unfolds",
)
case(
    "json-many-rows",
    put(H, b'{"type":"FeatureCollection","features":[' + b"{}," * 700_000 + b"{}]}"),
    "no geometry",
)
case("json-many-keys", put(H, json.dumps({"type": "FeatureCollection", "features": [
     {"type": "Feature", "geometry": POINT, "properties": {f"k{i}": 1 for i in range(20_000)}}]})), "columns")  # fmt: skip
case(
    "json-geometry-deep",
    edit("households", lambda d: d["features"][0].__setitem__("geometry", nested(200))),
    "households",
    code="geometry-type",
)
case("json-key-twice", raw("households", lambda c, _: c.replace(b'"household_id"', b'"household_id": "x", "household_id"', 1)),
     "households.geojson", "stands twice")  # fmt: skip
case("json-nan-cell", cell("households", "households", math.nan), exit=0, code="default-taken")
case("json-infinite-cell", cell("households", "households", math.inf), "households.households", "H")
case(
    "json-digits",
    raw("households", lambda c, _: c.replace(b'"households": ', b'"households": ' + b"9" * 5000, 1)),
    H,
)
case("json-list", put(H, "[1, 2, 3]"), "not a GeoJSON FeatureCollection")
case(
    "json-one-feature",
    edit("households", lambda d: (x := d["features"][0], d.clear(), d.update(x))),
    "FeatureCollection",
)
case("json-features-null", edit("households", lambda d: d.update(features=None)), "FeatureCollection")
case("json-features-texts", edit("households", lambda d: d.update(features=["a"])), "FeatureCollection")
case(
    "json-properties-null",
    edit("households", lambda d: [x.update(properties=None) for x in d["features"]]),
    exit=0,
)
case("json-comma", raw("households", lambda c, _: c[:-2] + b",]}"), "not valid JSON")
case("json-utf16", raw("households", lambda c, _: c.decode().encode("utf-16")), exit=0, code="encoding-found")
case("json-bom", raw("households", lambda c, _: b"\xef\xbb\xbf" + c), exit=0)
case("json-text-hostile", cell("alleys", "name", "=cmd|' /C calc'!A0 \u202e<script>{{7*7}}\x1b[2J"), exit=0)
case("json-text-long", cell("alleys", "name", "巷" * 10_000), exit=0)


def nested(depth: int) -> dict[str, Any]:
    geometry: dict[str, Any] = POINT
    for _ in range(depth):
        geometry = {"type": "GeometryCollection", "geometries": [geometry]}
    return geometry


# ── geometry ─────────────────────────────────────────────────────────────────────────────────────────

case("geometry-null", shape("households", None, (1, 2)), "households", "2 of", code="geometry-missing")
case("alleys-null-geometry", shape("alleys", None), "alleys", code="geometry-missing")
case("alleys-are-points", shape("alleys", POINT), "alleys", "Point", code="geometry-type")
case("alleys-are-areas", edit("alleys", lambda d: d.update(features=[
     {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [
         [[509400, 3497600], [509500, 3497600], [509500, 3497700], [509400, 3497600]]]}}])),
     "alleys", "Polygon", code="geometry-type")  # fmt: skip
case("households-are-lines", shape("households", {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}),
     "households", "LineString", code="geometry-type")  # fmt: skip
case(
    "boundary-is-a-line",
    shape("boundary", {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}, (0,)),
    "boundary",
)
case("geometry-collection", shape("households", {"type": "GeometryCollection", "geometries": [POINT]}),
     "households", code="geometry-type")  # fmt: skip
case(
    "point-empty",
    shape("households", {"type": "Point", "coordinates": []}),
    "households",
    code="geometry-missing",
)
case(
    "line-of-one-point", shape("alleys", {"type": "LineString", "coordinates": [[509500, 3497700]]}), "alleys"
)
case("point-nan", shape("households", {"type": "Point", "coordinates": [math.nan, 3497700]}), "households")
case(
    "point-infinite", shape("households", {"type": "Point", "coordinates": [math.inf, 3497700]}), "households"
)
case("point-text", shape("households", {"type": "Point", "coordinates": ["a", "b"]}), "households")
case(
    "point-huge-digits",
    raw("households", lambda c, _: c.replace(b'"coordinates": [', b'"coordinates": [1e999, ', 1)),
    "households",
)
case(
    "point-at-zero",
    shape("households", {"type": "Point", "coordinates": [0, 0]}),
    "households",
    code="geometry-astray",
)
case(
    "point-absurd",
    shape("households", {"type": "Point", "coordinates": [1e30, 1e30]}),
    "households",
    code="geometry-astray",
)
case("household-of-points", shape("households", {"type": "MultiPoint", "coordinates": [
     [509500, 3497700], [509501, 3497700]]}), "several points", code="geometry-several-points")  # fmt: skip
case(
    "no-area",
    shape("households", {"type": "Polygon", "coordinates": [[[509500, 3497700]] * 4]}),
    "households",
)
case("alleys-with-heights", edit("alleys", lambda d: [[p.append(30.0) for p in x["geometry"]["coordinates"]]
     for x in d["features"] if x["geometry"]["type"] == "LineString"]), exit=0, code="flattened")  # fmt: skip
case("alley-without-length", edit("alleys", lambda d: d["features"].append({"type": "Feature", "properties": {
     "alley_id": "Z1"}, "geometry": {"type": "LineString", "coordinates": [[509500, 3497700]] * 2}})),
     exit=0, code="no-extent-dropped")  # fmt: skip
case("alley-twice", edit("alleys", lambda d: d["features"].append(
     {**d["features"][0], "properties": {"alley_id": "Z1"}})), exit=0)  # fmt: skip
case("bowtie-boundary", edit("boundary", lambda d: d["features"][0]["geometry"]["coordinates"][0].insert(
     1, d["features"][0]["geometry"]["coordinates"][0][-2])), exit=None)  # fmt: skip
case("geometry-type-unknown", shape("households", {"type": "Blob", "coordinates": [1, 2]}), "households")
case("geometry-is-text", shape("households", "POINT (1 2)"), "households")

# ── ids and counts ───────────────────────────────────────────────────────────────────────────────────

case(
    "id-twice", cell("households", "household_id", "H7777", (1, 2)), "household_id", "H7777", code="id-double"
)
case("id-null", cell("households", "household_id", None), "household_id", code="id-missing")
case("id-blank", cell("alleys", "alley_id", "  "), "alley_id", code="id-missing")
case("ids-huge", cell("households", "household_id", "9" * 9000, (1, 2)), "household_id", code="id-double")
case("ids-float", edit("households", lambda d: [x["properties"].update(household_id=i + 0.0)
     for i, x in enumerate(d["features"])]), exit=0)  # fmt: skip
case("ids-all-null", edit("households", lambda d: [x["properties"].update(household_id=None) for x in d["features"]]),
     exit=0, code="ids-made")  # fmt: skip
for name, value, code in (
    ("negative", -3, "out-of-range"), ("zero", 0, "out-of-range"), ("half", 1.5, "not-whole"),
    ("text", "三户", "not-a-number"), ("huge", 10**30, "out-of-range"), ("list", [1], "not-a-number"),
    ("comma", "1,200", "not-a-number"), ("digits", "1" * 5000, "not-a-number"),
):  # fmt: skip
    case(f"count-{name}", cell("households", "households", value), "households.households", code=code)
case("count-empty", cell("households", "households", None), exit=0, code="default-taken")
case("count-full-width", cell("households", "households", "３"), exit=0)
case("elderly-negative", cell("households", "elderly", -1), "households.elderly", code="out-of-range")
case("width-negative", cell("alleys", "width_m", -2), "alleys.width_m", code="out-of-range")
case("width-text", cell("alleys", "width_m", "narrow"), "alleys.width_m", code="not-a-number")
case(
    "status-unknown",
    cell("lamp_sites", "status", "maybe"),
    "lamp_sites.status",
    "maybe",
    code="value-unknown",
)
case("too-few-households", edit("households", lambda d: d.update(features=d["features"][:9])), exit=None)
case("no-households", edit("households", lambda d: d.update(features=[])), "households", code="layer-empty")
case("no-alley-rows", edit("alleys", lambda d: d.update(features=[])), "alleys", code="layer-empty")
case("unit-other", edit("alleys", lambda d: [x["properties"].update({"巷宽(cm)": x["properties"].pop("width_m", 250)})
     for x in d["features"]]), "alleys.width_m", code="unit-other")  # fmt: skip

# ── coordinates ──────────────────────────────────────────────────────────────────────────────────────

case("crs-unknown", edit("alleys", lambda d: d.update(crs=named("EPSG:999999"))), "alleys")
case("crs-nonsense", edit("alleys", lambda d: d.update(crs=named("local grid"))), "alleys")
case("crs-null", edit("alleys", lambda d: d.update(crs=named(None))), "alleys")  # type: ignore[arg-type]
case("crs-missing", edit("alleys", lambda d: d.pop("crs")), "alleys", code="crs-missing")
case("crs-local", edit("alleys", lambda d: d.update(crs=named(
     'LOCAL_CS["town",UNIT["metre",1]]'))), "alleys")  # fmt: skip
case(
    "crs-names-a-file",
    edit("alleys", lambda d: d.update(crs=named("+proj=longlat +nadgrids=../pipe +type=crs"))),
    "alleys",
    "files of its own",
)
case(
    "crs-names-a-url",
    edit("alleys", lambda d: d.update(crs=named("+init=http://127.0.0.1:9/x:1"))),
    "alleys",
    "files of its own",
)
case("crs-endless", edit("alleys", lambda d: d.update(crs=named("PROJCS[" * 200_000))), "alleys")
case("degrees-labelled-metres", edit("alleys", lambda d: degrees(d)), "alleys")
case(
    "metres-labelled-degrees",
    edit("alleys", lambda d: d.update(crs=named("EPSG:4326"))),
    "alleys",
    code="crs-misfit",
)
case("wrong-zone", edit("households", lambda d: d.update(crs=named("EPSG:4549"))), "households")
case("axes-swapped", edit("households", lambda d: swap(d)), "households")
case(
    "settings-crs-bad",
    settings('[input]\ncrs = "EPSG:0"\n[input.alleys]\ncrs = "nowhere"'),
    "alleys",
    code="crs-unknown",
)


def swap(document: dict[str, Any]) -> None:
    def turned(part: Any) -> Any:
        return [part[1], part[0]] if isinstance(part[0], (int, float)) else [turned(each) for each in part]

    for each in document["features"]:
        each["geometry"]["coordinates"] = turned(each["geometry"]["coordinates"])


def degrees(document: dict[str, Any]) -> None:
    for each in document["features"]:
        each["geometry"] = {"type": "LineString", "coordinates": [[117.1, 31.6], [117.101, 31.6]]}


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────

for name, text, phrase in (
    ("no-toml", "[lamps\n", "not valid TOML"),
    ("unknown-key", "[lamps]\nn_lmaps = 3", "n_lamps"),
    ("unknown-section", "[lamp]\nn_lamps = 3", "is not a known setting"),
    ("wrong-type", '[lamps]\nn_lamps = "many"', "lamps.n_lamps"),
    ("section-is-a-number", "lamps = 3", "lamps"),
    ("minimum-above-maximum", "[grids]\nmin_households = 60", "min_households"),
    ("reach-zero", "[lamps]\nreach_m = 0", "lamps.reach_m"),
    ("reach-nan", "[lamps]\nreach_m = nan", "lamps.reach_m"),
    ("reach-infinite", "[boards]\nwalk_m = inf", "boards.walk_m"),
    ("negative", "[lamps]\nn_lamps = -1", "lamps.n_lamps"),
    ("digits", "[lamps]\nn_lamps = " + "9" * 5000, "not valid TOML"),
    ("deep", "a = " + "[" * 20_000, "plan.toml"),
    ("dotted", ".".join("a" * 30_000) + " = 1", "plan.toml"),
    ("twice", "[lamps]\n[lamps]\n", "not valid TOML"),
    ("layer-unknown", '[input.howses]\ncrs = "EPSG:4548"', "howses"),
    ("column-unknown", '[input.alleys]\ncolumns = {breadth = "name"}', "breadth"),
    ("heading-missing", '[input.alleys]\ncolumns = {width_m = "breadth"}', "breadth"),
    ("file-missing", '[input.alleys]\nfile = "none.gpkg"', "none.gpkg"),
    ("encoding-unknown", '[input.alleys]\nencoding = "klingon"', "klingon"),
    ("datum-unknown", '[input]\ndatum = "mars"', "datum"),
):
    case(f"settings-{name}", settings(text), phrase)
case(
    "settings-gbk",
    lambda f, _: (f / "plan.toml").write_bytes('[community]\nname = "山南"'.encode("gbk")),
    "not UTF-8",
)
case("settings-large", sparse("plan.toml"), "plan.toml")
case("settings-pipe", lambda f, _: os.mkfifo(f / "plan.toml"), "plan.toml is not a plain file")
case("settings-folder", lambda f, _: (f / "plan.toml").mkdir(), "plan.toml is not a plain file")
case("set-without-section", lambda f, _: None, "section.key=value", words=("--set", "n_lamps=3"))
case("set-unknown", lambda f, _: None, "n_lamps", words=("--set", "lamps.n_lmaps=3"))
case("settings-elsewhere-missing", lambda f, _: None, "nowhere.toml", words=("--settings", "nowhere.toml"))
case("settings-from-zero", lambda f, _: None, "not a plain file", words=("--settings", "/dev/zero"))

# ── GeoPackage ───────────────────────────────────────────────────────────────────────────────────────

ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS fid, NULL AS geom FROM n"
)
case("gpkg-plain", lambda f, _: kept(".gpkg")(f), exit=0)
case(
    "gpkg-view-endless",
    database("ALTER TABLE households RENAME TO x", f"CREATE VIEW households AS {ENDLESS}"),
    exit=None,
)
case("gpkg-catalogue-endless", database("ALTER TABLE gpkg_contents RENAME TO x",
     "CREATE VIEW gpkg_contents AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
     "SELECT 'households' table_name, 'features' data_type FROM n"), "households.gpkg")  # fmt: skip
case("gpkg-columns-endless", database("ALTER TABLE gpkg_geometry_columns RENAME TO x",
     "CREATE VIEW gpkg_geometry_columns AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
     "SELECT 'z' table_name, 'geom' column_name, 4548 srs_id FROM n"), "households.gpkg")  # fmt: skip
case("gpkg-virtual-table", database("DROP TABLE rtree_households_geom", (
     "UPDATE sqlite_master SET sql = 'CREATE VIRTUAL TABLE households USING csv(filename=/etc/passwd)' "
     "WHERE name = 'households'", ())), exit=None)  # fmt: skip
case("gpkg-extension", database(
     "CREATE VIEW boom AS SELECT load_extension('/tmp/x.so')",
     "CREATE TRIGGER t AFTER INSERT ON households BEGIN SELECT load_extension('x'); END"), exit=0)  # fmt: skip
case("gpkg-generated-column", database(
     "ALTER TABLE households ADD COLUMN elderly2 AS (hex(zeroblob(400000000)))"), exit=0)  # fmt: skip
case("gpkg-stale-count", database("UPDATE gpkg_ogr_contents SET feature_count = 3"), exit=0)
case(
    "gpkg-huge-blob",
    database(("UPDATE households SET geom = zeroblob(60000000) WHERE fid = 1", ())),
    "households.gpkg",
)
case(
    "gpkg-broken-shape",
    database(("UPDATE households SET geom = x'475000010000000001' WHERE fid = 1", ())),
    "households",
)
case(
    "gpkg-text-for-shape",
    database(("UPDATE households SET geom = 'abcdefghijk' WHERE fid = 1", ())),
    "households",
)
case("gpkg-nested-shape", database(("UPDATE households SET geom = ? WHERE fid = 1", (
     b"GP\0\1" + struct.pack("<i", 4548) + (b"\1" + struct.pack("<II", 7, 1)) * 100_000,))), "nested")  # fmt: skip
case("gpkg-no-catalogue", database("DROP TABLE gpkg_contents"), "households.gpkg")
case("gpkg-no-columns", database("DELETE FROM gpkg_geometry_columns"), "households")
case("gpkg-no-table", database("DROP TABLE households"), exit=None)
case("gpkg-srs-missing", database("DELETE FROM gpkg_spatial_ref_sys"), "households", code="crs-missing")
case(
    "gpkg-srs-nonsense",
    database("UPDATE gpkg_spatial_ref_sys SET organization = 'x', definition = 'y'"),
    "households",
)
case("gpkg-empty-table", database("DELETE FROM households"), "households", code="layer-empty")
case(
    "gpkg-name-quotes",
    database("ALTER TABLE households ADD COLUMN 'a\"; DROP TABLE households; --' TEXT"),
    exit=0,
)
case(
    "gpkg-not-utf8",
    database(("UPDATE households SET household_id = CAST(x'd7a1bba7' AS TEXT) WHERE fid = 1", ())),
    exit=None,
)
case(
    "gpkg-plain-sqlite",
    lambda f, _: (kept(".gpkg")(f).unlink(), plain_base(f / "households.gpkg")),
    "households.gpkg",
)
case(
    "gpkg-unsaved",
    lambda f, _: (kept(".gpkg")(f), (f / "households.gpkg-wal").write_bytes(bytes(64))),
    "not saved",
)
case("gpkg-journal", lambda f, _: (kept(".gpkg")(f), (f / "households.gpkg-journal").write_bytes(
     b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(64))), "not saved")  # fmt: skip
case("gpkg-page-count", damaged(".gpkg", lambda c, _: c[:28] + b"\x7f\xff\xff\xff" + c[32:]), exit=None)
case("gpkg-page-size", damaged(".gpkg", lambda c, _: c[:16] + b"\x00\x03" + c[18:]), "households.gpkg")


def plain_base(path: Path) -> None:
    with closing(sqlite3.connect(path)) as base:
        base.execute("CREATE TABLE households (a)")
        base.commit()


# ── rasters ──────────────────────────────────────────────────────────────────────────────────────────


def dem(**more: Any) -> Spoil:
    def spoil(folder: Path, _: random.Random) -> None:
        values = np.full((60, 60), 30.0, dtype=more.pop("of", "float32"))
        raster(folder / "dem.tif", values, middle(folder), **more)

    return spoil


def dem_damaged(change: Callable[[bytes, random.Random], bytes]) -> Spoil:
    def spoil(folder: Path, chance: random.Random) -> None:
        (folder / "dem.tif").write_bytes(change((folder.parent / "kit/dem.tif").read_bytes(), chance))

    return spoil


def tiff_bomb(folder: Path, _: random.Random) -> None:
    """Forty thousand cells a side in one strip, of which the file holds nothing."""
    with rasterio.open(
        folder / "dem.tif", "w", driver="GTiff", height=40_000, width=40_000, count=1, dtype="float32", crs=CRS,
        transform=from_origin(509_000, 3_498_000, 0.05, 0.05), sparse_ok=True, blockysize=40_000,
    ):  # fmt: skip
        pass


case("dem-plain", dem(), exit=0)
case("dem-elsewhere", dem(transform=from_origin(0, 0, 30, 30)), exit=0, code="layers-apart")
case("dem-complex", dem(of="complex64"), "dem.tif")
case("dem-bomb", tiff_bomb, "dem.tif")
case("dem-no-crs", dem(crs=None), "elevation", code="crs-missing")
case("dem-cut", dem_damaged(cut(0.5)), "dem.tif")
case("dem-header-only", dem_damaged(lambda c, _: c[:16]), "dem.tif")
case("dem-absurd", dem(nodata=None, of="float64"), exit=0)

# ── archives and bombs ───────────────────────────────────────────────────────────────────────────────


def bomb(name: str, member: str) -> Spoil:
    """An archive of half a megabyte that unfolds to half a gigabyte."""

    def spoil(folder: Path, _: random.Random) -> None:
        (folder / H).unlink()
        packed = zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED)
        with packed as archive, archive.open(member, "w") as file:
            for _ in range(500):
                file.write(b"<kml>" + bytes(1_000_000))

    return spoil


case("kmz-bomb", bomb("households.kmz", "doc.kml"), "households.kmz")
case("xlsx-bomb", bomb("households.xlsx", "xl/workbook.xml"), "households.xlsx")
case("kmz-empty", put("households.kmz", b"PK\5\6" + bytes(18), instead=H), "households.kmz")
case("xlsx-is-kmz", lambda f, _: kept(".kmz")(f).rename(f / "households.xlsx"), "households.xlsx")
case("kmz-is-xlsx", lambda f, _: kept(".xlsx")(f).rename(f / "households.kmz"), "households.kmz")
for ending, start in ((".gpkg", b"SQLite format 3\0"), (".geojson", b"[" * 1000), (".csv", b"x,y\n"), (".kml", b"<kml>"),
                      (".shp", b"\0\0\x27\x0a"), (".fgb", b"fgb\3fgb\0"), (".parquet", b"PAR1"), (".xlsx", b"PK\3\4")):  # fmt: skip
    case(
        f"two-gigabytes{ending}",
        then(remove(H), sparse(f"households{ending}", start=start)),
        f"households{ending}",
    )
case("two-gigabytes.tif", sparse("dem.tif", start=b"II*\0"), "dem.tif")

# ── tables ───────────────────────────────────────────────────────────────────────────────────────────

for ending in (".csv", ".xlsx", ".shp", ".fgb", ".parquet", ".kml", ".kmz"):
    case(f"plain{ending}", lambda f, _, ending=ending: kept(ending)(f), exit=0)  # type: ignore[misc]
case("csv-no-coordinates", damaged(".csv", lambda c, _: c.replace("东坐标".encode(), b"a").replace("北坐标".encode(), b"b")),
     "households.csv", "coordinates")  # fmt: skip
case("csv-short-row", damaged(".csv", lambda c, _: c + b"H9999\n"), "households.csv")
case("csv-long-row", damaged(".csv", lambda c, _: c + b"a," * 60 + b"\n"), "households.csv")
case("csv-open-quote", damaged(".csv", lambda c, _: c + b'"H9999,1'), "households.csv")
case("csv-nul", damaged(".csv", lambda c, _: c.replace(b"H", b"\0", 3)), exit=None)
case("csv-long-field", damaged(".csv", lambda c, _: c + b"x" * 2_000_000 + b"\n"), "households.csv")
case("csv-long-heading", damaged(".csv", lambda c, _: b"y" * 2_000_000 + b"," + c), exit=2)
case("csv-million-columns", put("households.csv", b"a," * 5_000_000 + b"\n1", instead=H), "households.csv")
case("csv-many-rows", put("households.csv", b"x,y\n" + b"1,\n" * 5_000_000, instead=H), "households.csv")
case("csv-headings-only", damaged(".csv", lambda c, _: c.split(b"\n")[0] + b"\n"), "households",
     code="layer-empty")  # fmt: skip
case("csv-coordinate-text", damaged(".csv", lambda c, _: c.replace(b",50", b",far", 1)), exit=None)
case("csv-gbk", damaged(".csv", lambda c, _: c.decode().encode("gb18030")), exit=0)
case("csv-lying-encoding", then(damaged(".csv", lambda c, _: c.decode().encode("gb18030")), settings(
     f'[input.households]\ncrs = "{CRS}"\nencoding = "utf-8"')), "households.csv")  # fmt: skip
case("csv-not-text", damaged(".csv", lambda c, r: c[:200] + r.randbytes(3000)), exit=2)
case("shp-no-dbf", lambda f, _: (kept(".shp")(f), (f / "households.dbf").unlink()), "households.shp")
case(
    "shp-no-prj",
    lambda f, _: (kept(".shp")(f), (f / "households.prj").unlink()),
    "households",
    code="crs-missing",
)
case("shp-no-shx", lambda f, _: (kept(".shp")(f), (f / "households.shx").unlink()), exit=0)
case("shp-prj-nonsense", damaged(".shp", lambda c, _: b"PROJCS[", ".prj"), "households")
case("shp-dbf-cut", damaged(".shp", cut(0.5), ".dbf"), "households")
case("shp-dbf-alone", lambda f, _: (kept(".shp")(f), (f / "households.shp").unlink()), exit=None)

# ── damage by chance ─────────────────────────────────────────────────────────────────────────────────

for ending in (".gpkg", ".shp", ".fgb", ".parquet", ".csv", ".xlsx", ".kml", ".kmz"):
    for share in (0.1, 0.6, 0.98):
        case(f"cut{ending}-{share}", damaged(ending, cut(share)), exit=None if ending == ".csv" else 2)
    for how in (flipped, spliced, blanked):
        case(f"{how.__name__}{ending}", damaged(ending, how), exit=None)
for part in (".dbf", ".shx", ".prj", ".cpg"):
    case(f"flipped-shp{part}", damaged(".shp", flipped, part), exit=None)
case("flipped-dem", dem_damaged(flipped), exit=None)
case("flipped-geojson", raw("households", flipped), exit=None)
case("spliced-geojson", raw("alleys", spliced), exit=None)
