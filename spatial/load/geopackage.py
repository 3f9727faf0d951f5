"""GeoPackage, read as the SQLite table it is.

Every row counts, whatever its stored feature count says. Only tables are read: views, which could run
for ever, virtual tables, generated columns and triggers never are.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray

from spatial.crs import parse_crs
from spatial.errors import DataError, Remark, doubt, one_line
from spatial.load.raw import Choose, RawLayer, Source, decoder, file_crs, objects, refuse_more, wkb_shapes

__all__ = ["data_tables", "feature_tables", "read_geopackage", "read_rows", "read_table"]

_ENVELOPE_BYTES = np.array([0, 32, 48, 48, 64, 0, 0, 0])
#: What GDAL writes where a layer has no system.
_UNDEFINED = ('LOCAL_CS["Undefined', 'ENGCRS["Undefined', 'GEOGCS["Undefined')
_MOST_TABLES = 1000
_MOST_VALUE_BYTES = 50_000_000
#: Steps of SQLite to look up what a file says of its tables; a damaged or made-up file could need for ever.
_MOST_STEPS = 20_000_000
_JOURNAL_START = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_PRAGMA})


def feature_tables(path: Path) -> tuple[str, ...]:
    """The tables with geometry in a checked file, in the order of their names."""
    return data_tables(path, kinds=("features",))


def data_tables(path: Path, *, kinds: tuple[str, ...] = ("features", "attributes")) -> tuple[str, ...]:
    """The true tables that a checked file lists as data of these kinds, in the order of their names."""
    with _opened(path) as database:
        true = _true_tables(database)
        rows = database.execute("SELECT table_name, data_type FROM gpkg_contents").fetchmany(_MOST_TABLES + 1)
        if len(true) > _MOST_TABLES or len(rows) > _MOST_TABLES:
            raise DataError(f"{path.name} has more than {_MOST_TABLES:,} tables; leave only the layers in it")
        return tuple(sorted({name for name, kind in rows if kind in kinds and name in true}))


def _true_tables(database: sqlite3.Connection) -> set[str]:
    rows = database.execute("SELECT name, type, sql FROM sqlite_master").fetchmany(10 * _MOST_TABLES)
    return {
        name for name, kind, sql in rows if kind == "table" and str(sql).upper().startswith("CREATE TABLE")
    }


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as a database of plain tables that can't be written, with errors told as ours."""
    _refuse_unsaved(path)
    uri = path.absolute().as_uri() + "?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_VALUE_BYTES)
            database.set_authorizer(_only_tables)
            database.set_progress_handler(lambda: True, _MOST_STEPS)
            yield database
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise DataError(
            f"{path.name} is damaged or no GeoPackage ({error}); copy or export it again"
        ) from None


def _only_tables(action: int, _: Any, __: Any, ___: Any, inside: str | None) -> int:
    """Whether SQLite may do it: nothing inside a view or trigger, and no function."""
    return sqlite3.SQLITE_OK if inside is None and action in _ALLOWED else sqlite3.SQLITE_DENY


def _refuse_unsaved(path: Path) -> None:
    """A write-ahead log or a journal beside the file holds changes that the file lacks or has by half."""
    wal, journal = (path.with_name(path.name + end) for end in ("-wal", "-journal"))
    unsaved = os.path.isfile(wal) and wal.stat().st_size > 0  # a name may be too long for one to be there
    if not unsaved and os.path.isfile(journal):
        with journal.open("rb") as stream:
            unsaved = stream.read(8) == _JOURNAL_START
        wal = journal
    if unsaved:
        raise DataError(
            f"{path.name} has changes that are not saved into it yet ({wal.name}); "
            "close it in QGIS or whatever has it open"
        )


def read_geopackage(source: Source, choose: Choose, encoding: str | None) -> RawLayer:
    with _opened(source.path) as database:
        columns = _columns(database, source.table)
        geometry_column, srs_id = _geometry_column(database, source.table, columns)
        headings = [each for each in columns if each != geometry_column]
        refuse_more(str(source), n_headings=len(headings))
        chosen = choose(headings)
        crs, said = _srs(database, srs_id, source.path.name)
        counted = _stored_count(database, source.table)
        database.text_factory = decoder(source.path.name, encoding)
        table = _values(database, source.table, (geometry_column, *chosen.values()), str(source))
    if counted not in (None, len(table)):
        said = [*said, _miscounted(source, counted, len(table))]
    geometry, curved = _gpkg_geometry(table[:, 0], source)
    values = {name: table[:, 1 + i] for i, name in enumerate(chosen)}
    read = tuple(chosen.values())
    return RawLayer(values, geometry, crs, tuple(headings), read, curved=curved, said=tuple(said))


def read_rows(path: Path, table: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Rows of a table without geometry in a checked GeoPackage, in the order they were written."""
    with _opened(path) as database:
        if table not in _true_tables(database):
            raise DataError(f"{path.name} has no table {table!r}")
        return [tuple(each) for each in _values(database, table, columns, path.name)]


def read_table(
    path: Path, table: str
) -> tuple[dict[str, NDArray[np.object_]], NDArray[np.object_] | None, pyproj.CRS | None]:
    """Every column of a table of a checked GeoPackage but its row number, by its name; geometry; system.

    Geometry and system are None where it has none.
    """
    with _opened(path) as database:
        columns = _columns(database, table)
        place = database.execute(
            "SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = ?", (table,)
        ).fetchone() if "gpkg_geometry_columns" in _true_tables(database) else None  # fmt: skip
        crs = _srs(database, place[1], path.name)[0] if place is not None else None
        values = _values(database, table, tuple(columns), f"{path.name} ({table})")
    found = dict(zip(columns, values.T, strict=True))
    if place is None:
        return found, None, None
    if place[0] not in found:
        raise DataError(f"{path.name} ({table}) has no column {place[0]!r} of geometry")
    geometry, _ = _gpkg_geometry(found.pop(place[0]), Source(path, table))
    return found, geometry, crs


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    """The stored columns of a table without its row number."""
    if table not in _true_tables(database):
        raise DataError(f"there is no table {table!r}")
    rows = database.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()
    return [row[1] for row in rows if row[1].lower() not in ("fid", "ogc_fid")]


def _values(
    database: sqlite3.Connection, table: str, columns: tuple[str, ...], name: str
) -> NDArray[np.object_]:
    """The cells of a table, shape (rows, columns), in the order in which they are stored."""
    database.set_progress_handler(None, 0)  # each row is counted below
    rows: list[tuple[Any, ...]] = []
    n_bytes = 0
    for row in database.execute(f"SELECT {', '.join(map(_quoted, columns))} FROM {_quoted(table)}"):
        rows.append(row)
        for each in row:
            if isinstance(each, bytes | str):
                n_bytes += len(each)
        if n_bytes > _MOST_VALUE_BYTES or len(rows) % 1000 == 0:
            refuse_more(name, n_values=len(rows) * len(columns), n_bytes=n_bytes)
    cells = np.empty((len(rows), len(columns)), dtype=object)
    if rows:
        cells[:] = rows
    return cells


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _stored_count(database: sqlite3.Connection, table: str) -> Any:
    """The number of rows that GDAL keeps beside a table and believes; None where there is none."""
    if "gpkg_ogr_contents" not in _true_tables(database):
        return None
    query = "SELECT feature_count FROM gpkg_ogr_contents WHERE table_name = ?"
    row = database.execute(query, (table,)).fetchone()
    return row[0] if row is not None else None


def _miscounted(source: Source, counted: Any, n_rows: int) -> Remark:
    text = f"{source} holds {n_rows:,} rows but counts {one_line(counted)}: all {n_rows:,} are read"
    remedy = "check that no row is missing or too many, then save the layer anew"
    return doubt("count-stale", text, remedy=remedy)


def _geometry_column(database: sqlite3.Connection, table: str, columns: list[str]) -> tuple[str, Any]:
    row = database.execute(
        "SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = ?", (table,)
    ).fetchone()
    if row is None or row[0] not in columns:
        raise DataError(f"table {table} is listed as features but names no geometry column")
    return row


def _srs(database: sqlite3.Connection, srs_id: Any, file: str) -> tuple[pyproj.CRS | None, list[Remark]]:
    """The system of a row of ``gpkg_spatial_ref_sys``; None where it is undefined."""
    row = database.execute(
        "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys "
        "WHERE srs_id = ?",
        (srs_id,),
    ).fetchone()
    if srs_id in (-1, 0) or row is None or str(row[2]).strip().lower() in ("", "undefined"):
        return None, []
    if str(row[2]).startswith(_UNDEFINED):
        return None, []
    if str(row[0]).upper() == "EPSG":
        try:
            return parse_crs(f"EPSG:{row[1]}"), []
        except DataError:
            pass  # a code that is newer than our tables: its definition stands beside it
    return file_crs(file, str(row[2]))


def _gpkg_geometry(
    blobs: NDArray[np.object_], source: Source
) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Geometries from GeoPackage blobs: "GP", version, flags, srs_id, envelope, then WKB.

    Returns the geometries, None where there is none, and which are curves (also None).
    """
    given = np.array([isinstance(each, bytes) and len(each) > 8 for each in blobs], dtype=bool)
    geometry, curved = np.full(len(blobs), None, dtype=object), np.zeros(len(blobs), dtype=bool)
    if not given.any():
        return geometry, curved
    flags = np.array([each[3] for each in blobs[given]])
    if any(not each.startswith(b"GP") for each in blobs[given]):
        raise DataError(f"{source}: the geometry column holds something else than GeoPackage geometry")
    starts = 8 + _ENVELOPE_BYTES[(flags >> 1) & 7]
    wkb = [blob[start:] for blob, start in zip(blobs[given], starts, strict=True)]
    geometry[given], curved[given] = wkb_shapes(objects(wkb), source)
    return geometry, curved
