"""GeoPackage, read as the SQLite table it is.

Every row counts, whatever its stored feature count says, and views are never run.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.crs import parse_crs
from spatial.errors import DataError
from spatial.load.raw import Choose, RawLayer, Source, decoder

__all__ = ["feature_tables", "read_geopackage", "read_rows"]

_ENVELOPE_BYTES = np.array([0, 32, 48, 48, 64, 0, 0, 0])
_CURVES = frozenset({8, 9, 10, 11, 12, 13, 14})


def feature_tables(path: Path) -> tuple[str, ...]:
    """The tables with geometry in a checked file, in the order of their names."""
    with _opened(path) as database:
        return tuple(_feature_tables(database))


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


def read_geopackage(source: Source, choose: Choose, encoding: str | None) -> RawLayer:
    with _opened(source.path) as database:
        geometry_column, srs_id = _geometry_column(database, source.table)
        headings = [
            row[1]
            for row in database.execute(f"PRAGMA table_info({_quoted(source.table)})")
            if row[1].lower() not in ("fid", "ogc_fid") and row[1] != geometry_column
        ]
        chosen = choose(headings)
        database.text_factory = decoder(source.path.name, encoding)
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
