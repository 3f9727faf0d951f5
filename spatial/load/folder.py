"""The files of a plan folder as any program may have left them, trusted no more than other input."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatial.errors import DataError, one_line
from spatial.load.geopackage import data_tables, read_rows, read_table
from spatial.load.site import PANDAS_DTYPES
from spatial.load.summary import parse_summary
from spatial.schema import PlanLayer

__all__ = ["check_plain", "read_arrays", "read_plan_layers", "read_summary", "stored_column"]

#: Larger ones are not of a plan; a county's are a tenth of these.
_MOST_MB = {".json": 64, ".gpkg": 1000, ".npz": 256}
_MOST_ARRAY_BYTES = 400_000_000
_MOST_ARRAYS = 10_000
_BROKEN = (zipfile.BadZipFile, zlib.error)


def read_summary(path: Path, *, whole: bool = True) -> dict[str, Any]:
    """The object in ``summary.json``, every value as the contract says; with ``whole`` also every key.

    Raises
    ------
    DataError
        The file can't be read, is too large, or is no summary that this version writes.
    """
    check_plain(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read as a plan's summary: {error}; plan again") from None
    return parse_summary(text, str(path), whole=whole)


def read_plan_layers(path: Path, layers: Mapping[str, PlanLayer]) -> dict[str, Any]:
    """Those of the layers that a GeoPackage holds: every column it has, the contract's in their types.

    Returns
    -------
    dict of GeoDataFrame or DataFrame
        By name, in the order of ``layers``, rows as stored, geometry last.

    Raises
    ------
    DataError
        The file can't be read, is no GeoPackage, or a column holds values of another type.
    """
    check_plain(path)
    present = data_tables(path)
    found = {name: _read_layer(path, each) for name, each in layers.items() if name in present}
    # other readers believe the count stored beside a table, which not every program keeps
    counts = dict(read_rows(path, "gpkg_ogr_contents", ("table_name", "feature_count")))
    short = [
        f"{name} has {len(rows)} rows, others read {counts[name]}"
        for name, rows in found.items()
        if counts.get(name) not in (None, len(rows))
    ]
    if short:
        raise DataError(f"{path} can't be read as a whole by every program; save it anew", short)
    return found


def _read_layer(path: Path, layer: PlanLayer) -> Any:
    values, geometry, crs = read_table(path, layer.name)
    dtypes = {each.name: each.dtype for each in layer.columns}
    try:
        table = {
            name: stored_column(dtypes[name], each) if name in dtypes else pd.Series(each)
            for name, each in values.items()
        }
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"{path} ({layer.name}) holds a value of another type than was written: {one_line(error)}"
        ) from None
    if layer.geometry is None:
        return pd.DataFrame(table)
    if geometry is None:
        raise DataError(f"{path} ({layer.name}) has no geometry; plan again")
    return gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(geometry, crs=crs))


def stored_column(dtype: str, values: NDArray[np.object_]) -> pd.Series:
    """Cells of a GeoPackage as a column of a type of the contract: text, int, float or bool."""
    if dtype == "bool":
        values = pd.array([None if each is None else bool(each) for each in values], dtype="boolean")
    return pd.Series(values).astype(PANDAS_DTYPES[dtype])


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in ``bounds.npz``, never a pickled object.

    Raises
    ------
    DataError
        The file can't be read or unfolds to more than any plan has.
    """
    check_plain(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        size = sum(each.file_size for each in members)
        if size > _MOST_ARRAY_BYTES or len(members) > _MOST_ARRAYS:
            raise DataError(f"{path} unfolds to {len(members):,} arrays of {size / 1e6:,.0f} MB; plan again")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (
        OSError,
        ValueError,
        EOFError,
        MemoryError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(f"{path} can't be read: {error}; plan again") from None


def check_plain(path: Path) -> None:
    """Refuse what is no plain file of a plan folder: a link, a pipe, one too large, no database.

    Raises
    ------
    DataError
        It is one of these, or not there.
    """
    try:
        about = path.lstat()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}; plan again") from None
    if stat.S_ISLNK(about.st_mode):
        raise DataError(f"{path} is a link; put the file itself there, or plan again")
    if not stat.S_ISREG(about.st_mode):
        raise DataError(f"{path} is not a plain file; plan again")
    if about.st_size > _MOST_MB[path.suffix] * 1e6:
        raise DataError(f"{path} has {about.st_size / 1e6:,.0f} MB, more than any plan; plan again")
    if path.suffix == ".gpkg":
        with path.open("rb") as stream:
            if stream.read(16) != b"SQLite format 3\0":
                raise DataError(f"{path} is no GeoPackage; plan again")
