"""Shapefile: a .shp with its .shx, .dbf, .prj and .cpg, of which GDAL is shown bytes and no names.

Geometry is read by GDAL from an archive in memory that holds the checked records and nothing else, so
that no further file is opened, whatever lies beside it. The table is read here, because GDAL neither
tells text in the wrong encoding nor rows that don't match.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pyogrio
import pyproj
from numpy.typing import NDArray
from pyogrio.errors import DataSourceError

from spatial.errors import DataError, Remark, note
from spatial.load.dbase import Table, open_table
from spatial.load.encodings import codec_named, judged_codec
from spatial.load.raw import Choose, RawLayer, Source, decoder, file_crs, file_text, refuse_more, wkb_shapes

__all__ = ["COMPANY", "NAME_BYTES", "beside_shapefile", "read_shapefile"]

#: Longest name of a column, in bytes; longer ones are cut.
NAME_BYTES = 10
_READ = (".shx", ".dbf", ".prj", ".cpg")
#: Endings of the files that belong to a shapefile of the same name.
COMPANY = (*_READ, ".shp.xml", ".qpj", ".sbn", ".sbx", ".qix", ".fbn", ".fbx", ".ain", ".aih", ".atx",
           ".ixs", ".mxs", ".idm", ".ind", ".cst", ".dbt")  # fmt: skip
_HEADER = 100  # bytes, of .shp and .shx alike


def beside_shapefile(path: Path) -> tuple[Path, ...]:
    """The files that are read together with a .shp: the same name in any case."""
    return tuple(_parts(path).values())


def _parts(path: Path) -> dict[str, Path]:
    """By ending; where two differ in case alone, that which is written like the .shp."""
    stem, parts = path.name[:-4], {}
    for each in sorted(path.parent.iterdir()) if path.parent.is_dir() else ():
        ending = each.name[-4:]
        if ending.lower() in _READ and each.name[:-4].lower() == stem.lower():
            alike = each.name == stem + (ending.lower() if path.name[-4:].islower() else ending.upper())
            if alike or ending.lower() not in parts:
                parts[ending.lower()] = each
    return parts


def read_shapefile(source: Source, choose: Choose, encoding: str | None) -> RawLayer:
    """Read one shapefile.

    Raises
    ------
    DataError
        A part is missing or cut off, the table has other rows than the geometry, or the text is in
        no encoding that is known.
    """
    path, parts = source.path, _parts(source.path)
    if ".dbf" not in parts:
        raise DataError(
            f"{path.name} lacks its table, {path.stem}.dbf; copy all files of that name, or export it again "
            "as a GeoPackage, which is one file"
        )
    shp = path.read_bytes()
    places, said = _records(path, shp, parts.get(".shx"))
    table = open_table(parts[".dbf"], n_rows=len(places))
    codec, known, told = _codec(table, parts.get(".cpg"), encoding)
    headings = table.headings(codec)
    chosen = choose(headings)
    refuse_more(path.name, n_values=len(places) * (1 + len(chosen)), n_headings=len(headings))
    values = {name: table.values(headings.index(each), codec) for name, each in chosen.items()}
    geometry, curved = wkb_shapes(_geometry(path, shp, places), source)
    crs, doubts = _crs(parts.get(".prj"))
    return RawLayer(
        values,
        geometry[table.kept],
        crs,
        tuple(headings),
        tuple(chosen.values()),
        "" if codec == "utf-8" or encoding else codec.upper(),
        "file" if known else "guessed",
        curved=curved[table.kept],
        said=(*said, *table.said, *told, *doubts),
    )


def _records(path: Path, shp: bytes, index: Path | None) -> tuple[NDArray[np.int64], list[Remark]]:
    """Where each record of the .shp begins and how long it is, in bytes: (n, 2), in the order of rows.

    The .shx says so; without it the records are taken one after the other, as long as they are
    numbered in that order.
    """
    if len(shp) < _HEADER:
        raise DataError(f"{path.name} is cut off within its header; copy it again")
    if index is None:
        said = [note("index-rebuilt", f"{path.stem}.shx is missing; the rows were found without it")]
        return _scanned(path, shp), said
    shx = index.read_bytes()
    whole = shx[_HEADER : len(shx) - (len(shx) - _HEADER) % 8]
    places = 2 * np.frombuffer(whole, dtype=">i4").reshape(-1, 2).astype(np.int64)
    stated = 2 * int.from_bytes(shx[24:28], "big")  # where rows were cut off, the others still agree
    sound = shx[:4] == shp[:4] and (len(shx) - _HEADER) % 8 == 0 and stated <= len(shx)
    if sound and _agree(shp, places):
        return places, []
    try:
        scanned = _scanned(path, shp)
    except DataError:
        if sound and len(places) and (places.sum(axis=1) + 8).max() > len(shp):
            n_lost = int((places.sum(axis=1) + 8 > len(shp)).sum())
            raise DataError(
                f"{path.name} is cut off: {n_lost:,} of {len(places):,} rows lie beyond its end; "
                "copy it again"
            ) from None
        raise
    return scanned, [note("index-rebuilt", f"{index.name} is damaged; the rows were found without it")]


def _agree(shp: bytes, places: NDArray[np.int64]) -> bool:
    """Whether a record of the length stated begins at every place."""
    start, length = places.T
    if not len(places):
        return len(shp) < _HEADER + 8
    if start.min() < _HEADER or length.min() < 4 or (start + length + 8).max() > len(shp):
        return False
    raw = np.frombuffer(shp, dtype=np.uint8)
    stated = raw[start[:, None] + np.arange(4, 8)].astype(np.int64) @ (256 ** np.arange(3, -1, -1))
    return bool((2 * stated == length).all())


def _scanned(path: Path, shp: bytes) -> NDArray[np.int64]:
    places: list[tuple[int, int]] = []
    start, stated = _HEADER, 2 * int.from_bytes(shp[24:28], "big")
    end = stated if _HEADER <= stated <= len(shp) else len(shp)
    if stated > len(shp):
        raise DataError(f"{path.name} is cut off: {len(shp):,} of {stated:,} bytes are there; copy it again")
    while start + 8 <= end:
        number = int.from_bytes(shp[start : start + 4], "big")
        length = 2 * int.from_bytes(shp[start + 4 : start + 8], "big", signed=True)
        if number != len(places) + 1 or length < 4 or start + 8 + length > end:
            raise DataError(
                f"{path.name} is damaged at row {len(places) + 1} and its .shx is missing or damaged too; "
                "copy all files of that name again"
            )
        places.append((start, length))
        start += 8 + length
    return np.array(places, dtype=np.int64).reshape(-1, 2)


def _geometry(path: Path, shp: bytes, places: NDArray[np.int64]) -> NDArray[np.object_]:
    """The WKB of each record, None where there is no geometry or none that makes sense."""
    if not len(places):
        return np.empty(0, dtype=object)
    shx = shp[:24] + (_HEADER // 2 + 4 * len(places)).to_bytes(4, "big") + shp[28:_HEADER]
    shx += (places // 2).astype(">i4").tobytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as parts:
        parts.writestr("layer.shp", shp)
        parts.writestr("layer.shx", shx)
    try:
        with warnings.catch_warnings(action="ignore"):  # what a broken shape lacks is told by its row
            *_, wkb, _ = pyogrio.raw.read(archive.getvalue(), columns=[])
    except (DataSourceError, ValueError) as error:
        raise DataError(f"{path.name} is damaged: {error}") from None
    return wkb


def _codec(table: Table, cpg: Path | None, encoding: str | None) -> tuple[str, bool, list[Remark]]:
    """The encoding of the text, whether the file says so itself, and what is to be said."""
    if encoding is not None:
        decoder(table.name, encoding)(b"-")  # an unknown one is told
        return encoding, False, []
    words = cpg.read_bytes()[:100].decode("ascii", "replace").strip() if cpg is not None else ""
    stated, stated_by = codec_named(words), cpg.name if cpg is not None else ""
    said = []
    if words and stated is None:
        said.append(note("encoding-unknown", f"{stated_by} names no encoding that is known: {words[:40]!r}"))
    if stated is None:
        stated, stated_by = table.codec, f"the language byte of {table.name}"
    codec, told = judged_codec(table.pieces(), stated=stated, stated_by=stated_by, file=table.name)
    return codec, codec == stated, [*said, *told]


def _crs(prj: Path | None) -> tuple[pyproj.CRS | None, list[Remark]]:
    return (None, []) if prj is None else file_crs(prj.name, file_text(prj, None)[0].strip()[:100_000])
