"""GeoPackage, GeoJSON, CSV and GeoTIFF, each read by one reader that knows only this format.

No driver is chosen by content and nothing is opened by name but a plain file of the folder, so a
file can't send the reader to the network or to another file. A GeoPackage is read as the SQLite
table it is: every row counts, whatever its stored feature count says, and views are never run.
Only the columns that are asked for leave the file.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.crs import parse_crs
from spatial.errors import DataError
from spatial.load.columns import parse_numbers
from spatial.load.headings import coordinate_headings

__all__ = ["FORMATS", "Choose", "RawLayer", "Source", "check_file", "read_rows", "read_source", "sources_in"]

FORMATS = {
    ".gpkg": "GeoPackage",
    ".geojson": "GeoJSON",
    ".json": "GeoJSON",
    ".csv": "CSV",
    ".tif": "GeoTIFF",
    ".tiff": "GeoTIFF",
}

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ENVELOPE_BYTES = np.array([0, 32, 48, 48, 64, 0, 0, 0])
_CURVES = frozenset({8, 9, 10, 11, 12, 13, 14})

#: From the headings of a file to those that are wanted: our name → its heading.
Choose = Callable[[list[str]], Mapping[str, str]]


@dataclass(frozen=True)
class Source:
    """One table of one file."""

    path: Path
    table: str = ""  # of a GeoPackage; empty elsewhere

    def __str__(self) -> str:
        return f"{self.path.name} ({self.table})" if self.table else self.path.name


@dataclass(frozen=True)
class RawLayer:
    """Values as they stand in the file, not yet understood."""

    values: Mapping[str, NDArray[np.object_]]  # by our name; text, int, float, bool or None
    geometry: NDArray[np.object_]  # None where a row has none
    crs: pyproj.CRS | None
    headings: tuple[str, ...]
    read: tuple[str, ...]  # the headings whose values were read
    encoding: str = ""  # of text that is not UTF-8 and was found out
    degrees: bool = False  # x and y were found under headings that say longitude and latitude
    n_curves: int = 0  # rows whose curves can't be read; their geometry is None


def check_file(path: Path) -> None:
    """Refuse what is no plain file, or no file of the format its name claims.

    Raises
    ------
    DataError
        A pipe, device, folder or dead link, an unreadable file, or one that begins like another format.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise DataError(f"{path.name} is not a plain file")
        with path.open("rb") as stream:
            head = stream.read(100)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        reason = getattr(error, "strerror", None) or "a loop of links"
        raise DataError(f"{path.name} can't be read: {reason}") from None
    kind = FORMATS[path.suffix.lower()]
    if not head:
        raise DataError(f"{path.name} is empty (0 bytes)")
    if kind == "GeoPackage" and not head.startswith(b"SQLite format 3\0"):
        raise DataError(f"{path.name} is not a GeoPackage; export the layer again")
    if kind == "GeoTIFF" and not head.startswith(_TIFF_STARTS):
        raise DataError(f"{path.name} is not a GeoTIFF; export the raster again")
    if kind in ("GeoJSON", "CSV") and head.startswith((b"SQLite format 3\0", b"PK\x03\x04", *_TIFF_STARTS)):
        raise DataError(f"{path.name} is not {kind}; its name claims a format that its content is not")


def sources_in(path: Path) -> tuple[Source, ...]:
    """The tables with geometry in a checked file, in the order of their names."""
    if FORMATS[path.suffix.lower()] != "GeoPackage":
        return (Source(path),)
    with _opened(path) as database:
        return tuple(Source(path, each) for each in _feature_tables(database))


def read_source(source: Source, choose: Choose, *, encoding: str | None = None) -> RawLayer:
    """Read one table, only the columns that ``choose`` wants.

    Raises
    ------
    DataError
        The file is broken, or its text is in another encoding than stated.
    """
    kind = FORMATS[source.path.suffix.lower()]
    if kind == "GeoPackage":
        return _read_gpkg(source, choose, encoding=encoding)
    if kind == "GeoJSON":
        return _read_geojson(source.path, choose, encoding=encoding)
    return _read_csv(source.path, choose, encoding=encoding)


# GeoPackage


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as a database that can't be written, with errors told as ours."""
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size > 0:
        raise DataError(
            f"{path.name} has changes that are not saved into it yet ({wal.name}); "
            "close it in QGIS or whatever has it open"
        )
    uri = path.absolute().as_uri() + "?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            yield database
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise DataError(f"{path.name} is damaged or no GeoPackage: {error}") from None


def _feature_tables(database: sqlite3.Connection) -> list[str]:
    """True tables that the file lists as features: a view could run for ever, a virtual table do anything."""
    return [
        name
        for (name,) in database.execute(
            "SELECT c.table_name FROM gpkg_contents c JOIN sqlite_master m ON m.name = c.table_name "
            "WHERE c.data_type = 'features' AND m.type = 'table' AND upper(m.sql) LIKE 'CREATE TABLE%' "
            "ORDER BY c.table_name"
        )
    ]


def _read_gpkg(source: Source, choose: Choose, *, encoding: str | None) -> RawLayer:
    with _opened(source.path) as database:
        geometry_column, srs_id = _geometry_column(database, source.table)
        headings = [
            row[1]
            for row in database.execute(f"PRAGMA table_info({_quoted(source.table)})")
            if row[1].lower() not in ("fid", "ogc_fid") and row[1] != geometry_column
        ]
        chosen = choose(headings)
        database.text_factory = _decoder(source.path.name, encoding)
        wanted = ", ".join(_quoted(each) for each in (geometry_column, *chosen.values()))
        rows = database.execute(f"SELECT {wanted} FROM {_quoted(source.table)}").fetchall()
        crs = _srs(database, srs_id)
    table = np.empty((len(rows), 1 + len(chosen)), dtype=object)
    if rows:
        table[:] = rows
    geometry, n_curves = _gpkg_geometry(table[:, 0], source)
    values = {name: table[:, 1 + i] for i, name in enumerate(chosen)}
    return RawLayer(values, geometry, crs, tuple(headings), tuple(chosen.values()), n_curves=n_curves)


def read_rows(path: Path, table: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Rows of a table without geometry in a checked GeoPackage, in the order they were written."""
    with _opened(path) as database:
        wanted = ", ".join(map(_quoted, columns))
        return database.execute(f"SELECT {wanted} FROM {_quoted(table)} ORDER BY rowid").fetchall()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _decoder(file: str, encoding: str | None) -> Callable[[bytes], str]:
    def decode(raw: bytes) -> str:
        try:
            return raw.decode(encoding or "utf-8")
        except LookupError:
            raise DataError(f"{file}: encoding {encoding!r} is not known; use utf-8 or gb18030") from None
        except UnicodeDecodeError:
            raise DataError(
                f'{file}: text is not {encoding or "UTF-8"}; set encoding = "gb18030" for this layer in '
                "plan.toml, or export it again as UTF-8"
            ) from None

    return decode


def _geometry_column(database: sqlite3.Connection, table: str) -> tuple[str, int]:
    row = database.execute(
        "SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = ?", (table,)
    ).fetchone()
    if row is None:
        raise DataError(f"table {table} is listed as features but names no geometry column")
    return row


def _srs(database: sqlite3.Connection, srs_id: int) -> pyproj.CRS | None:
    """The system of a row of ``gpkg_spatial_ref_sys``; None where it is undefined (-1, 0)."""
    row = database.execute(
        "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys "
        "WHERE srs_id = ?",
        (srs_id,),
    ).fetchone()
    if srs_id in (-1, 0) or row is None or str(row[2]).strip().lower() in ("", "undefined"):
        return None
    if str(row[0]).upper() == "EPSG":
        try:
            return parse_crs(f"EPSG:{row[1]}")
        except DataError:
            pass  # a code that is newer than our tables: its definition stands beside it
    return parse_crs(str(row[2]))


def _gpkg_geometry(blobs: NDArray[np.object_], source: Source) -> tuple[NDArray[np.object_], int]:
    """Geometries from GeoPackage blobs: "GP", version, flags, srs_id, envelope, then WKB.

    Returns the geometries, None where there is none, and how many are curves (also None).
    """
    given = np.array([isinstance(each, bytes) and len(each) > 8 for each in blobs], dtype=bool)
    geometry = np.full(len(blobs), None, dtype=object)
    if not given.any():
        return geometry, 0
    flags = np.array([each[3] for each in blobs[given]])
    if any(not each.startswith(b"GP") for each in blobs[given]):
        raise DataError(f"{source}: the geometry column holds something else than GeoPackage geometry")
    starts = 8 + _ENVELOPE_BYTES[(flags >> 1) & 7]
    wkb = [blob[start:] for blob, start in zip(blobs[given], starts, strict=True)]
    curved = np.array([_wkb_type(each) in _CURVES for each in wkb], dtype=bool)
    plain = np.array([None if bent else each for each, bent in zip(wkb, curved, strict=True)], dtype=object)
    geometry[given] = shapely.from_wkb(plain, on_invalid="ignore")
    return geometry, int(curved.sum())


def _wkb_type(wkb: bytes) -> int:
    """ISO or EWKB type number without its dimension, 0 for a broken one."""
    if len(wkb) < 5:
        return 0
    number = struct.unpack("<I" if wkb[0] == 1 else ">I", wkb[1:5])[0]
    return int((number & 0x0FFFFFFF) % 1000)


# GeoJSON


def _read_geojson(path: Path, choose: Choose, *, encoding: str | None) -> RawLayer:
    text, used = _text(path, encoding)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is not valid JSON: {error}") from None
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list) or not all(isinstance(each, dict) for each in features):
        raise DataError(f"{path.name} is not a GeoJSON FeatureCollection; export the layer as GeoJSON")
    properties = [p if isinstance(p := each.get("properties"), dict) else {} for each in features]
    headings = sorted({key for each in properties for key in each})  # not in the order of rows
    chosen = choose(headings)
    values = {name: _objects([each.get(key) for each in properties]) for name, key in chosen.items()}
    # GEOS reads the numbers itself; a number in JSON is a double either way
    parts = [None if each.get("geometry") is None else json.dumps(each["geometry"]) for each in features]
    geometry = shapely.from_geojson(_objects(parts), on_invalid="ignore")
    crs = _geojson_crs(document, geometry)
    return RawLayer(values, geometry, crs, tuple(headings), tuple(chosen.values()), used)


def _geojson_crs(document: Mapping[str, Any], geometry: NDArray[np.object_]) -> pyproj.CRS | None:
    """The named system of older files, else WGS 84; None where the numbers are no degrees."""
    named = document.get("crs")
    if isinstance(named, dict):
        properties = named.get("properties")
        name = properties.get("name") if isinstance(properties, dict) else None
        return parse_crs(str(name))
    bounds = shapely.total_bounds(geometry)
    looks_like_metres = np.any(np.abs(bounds) > [180.0, 90.0, 180.0, 90.0])
    return None if looks_like_metres else pyproj.CRS.from_epsg(4326)


def _objects(values: list[Any]) -> NDArray[np.object_]:
    """A one-dimensional object array, whatever the values are."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


# CSV


def _read_csv(path: Path, choose: Choose, *, encoding: str | None) -> RawLayer:
    text, used = _text(path, encoding)
    first = text.partition("\n")[0].rstrip("\r")
    separator = max(",;\t", key=first.count)
    headings = next(csv.reader([first], delimiter=separator), [])
    chosen = dict(choose(headings))
    pair = coordinate_headings(headings, chosen)
    if pair is None:
        raise DataError(
            f"{path.name} has no columns of coordinates; name them lon and lat (经度, 纬度) or x and y "
            f"(东坐标, 北坐标). Its headings: {', '.join(headings[:12])}"
        )
    places = {name: headings.index(key) for name, key in {**chosen, "x": pair.x, "y": pair.y}.items()}
    rows = _csv_rows(path, text, separator, len(headings))
    values = {name: _objects([row[i] or None for row in rows]) for name, i in places.items()}
    x, y = (parse_numbers(values.pop(each))[0] for each in ("x", "y"))
    geometry = np.full(len(x), None, dtype=object)
    given = ~(np.isnan(x) | np.isnan(y))
    geometry[given] = shapely.points(x[given], y[given])
    read = tuple(headings[i] for i in places.values())
    return RawLayer(values, geometry, None, tuple(headings), read, used, degrees=pair.degrees)


def _csv_rows(path: Path, text: str, separator: str, n_fields: int) -> list[list[str]]:
    """The rows below the headings that are not blank, each of ``n_fields``."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    try:
        next(reader)
        for row in reader:
            if any(each.strip() for each in row):
                if len(row) < n_fields or any(row[n_fields:]):
                    raise csv.Error(f"{len(row)} fields where the headings are {n_fields}")
                rows.append(row)
    except csv.Error as error:
        raise DataError(f"{path.name}, line {reader.line_num}: not a sound CSV table: {error}") from None
    return rows


def _text(path: Path, encoding: str | None) -> tuple[str, str]:
    """The text of a file, and its encoding where that had to be found out and is not UTF-8.

    Stated encoding, byte order mark, UTF-8, then GB18030: UTF-8 is tried first because Chinese
    text in GB18030 is practically never valid UTF-8.
    """
    raw = path.read_bytes()
    if encoding is not None:
        return _decoder(path.name, encoding)(raw).removeprefix("\ufeff"), ""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _decoder(path.name, "utf-16")(raw), "UTF-16"
    try:
        return raw.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return _decoder(path.name, "gb18030")(raw), "GB18030"
