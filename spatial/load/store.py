"""``site.gpkg`` of a plan folder: the checked layers as planned on, read back exactly as written."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
import pyproj

from spatial.crs import parse_crs
from spatial.errors import DataError, one_line
from spatial.load.contract import site_faults
from spatial.load.folder import check_plain, stored_column
from spatial.load.formats import check_file, read_source, sources_in
from spatial.load.geopackage import read_rows
from spatial.load.raw import Source
from spatial.load.site import Site, contract_frame
from spatial.schema import LAYERS, PLAN_LAYERS

__all__ = ["read_site_layers", "write_layers", "write_site_layers", "write_styles"]

#: One constant for every time stamp inside files, so that equal plans are equal bytes. SQLite's own
#: waiting for the disk after every layer is off: the finished file is synced once, four times as fast.
_WRITING = {"OGR_CURRENT_DATE": "2000-01-01T00:00:00.000Z", "OGR_SQLITE_SYNCHRONOUS": "OFF"}
#: What a full disk looks like from here.
_WRITE_ERRORS = (
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    pyogrio.errors.FeatureError,
    pyogrio.errors.FieldError,
    sqlite3.Error,
)
#: The table that says whose layers these are.
_ABOUT = "site"


@contextmanager
def _fixed_writing(path: Path) -> Iterator[None]:
    """Within it pyogrio writes with a fixed date; ``path`` is on the disk when it ends."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))
    before = {key: pyogrio.get_gdal_config_option(key) for key in _WRITING}
    pyogrio.set_gdal_config_options(_WRITING)
    try:
        yield
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    except _WRITE_ERRORS as error:
        raise OSError(errno.EIO, f"the disk may be full ({one_line(error)})", str(path)) from None
    finally:
        pyogrio.set_gdal_config_options(before)


def write_layers(
    layers: Mapping[str, pd.DataFrame],
    path: Path,
    *,
    crs: pyproj.CRS | None,
    geometry: Mapping[str, str] | None = None,
) -> None:
    """Write tables, with or without geometry, as layers of a GeoPackage, each in place of one of its name.

    Equal tables written to no file make equal bytes.

    Parameters
    ----------
    layers : mapping
        GeoDataFrames, or DataFrames for plain tables, by name; written in this order.
    path : Path
        Made if missing, else added to.
    crs : CRS or None
        Of every layer with geometry.
    geometry : mapping, optional
        Geometry type by layer. Absent: the one type of the rows, else as for plan layers, else any.
    """
    types = {**{name: each.geometry for name, each in PLAN_LAYERS.items()}, **(geometry or {})}
    with _fixed_writing(path):
        for name, rows in layers.items():
            if not isinstance(rows, gpd.GeoDataFrame):
                pyogrio.write_dataframe(rows, path, layer=name, driver="GPKG")
                continue
            found = rows.geom_type.unique()
            declared = str(found[0]) if len(found) == 1 else types.get(name) or "Unknown"
            # never promoted: a polygon has to come back as a polygon
            pyogrio.write_dataframe(
                rows.set_crs(crs),
                path,
                layer=name,
                driver="GPKG",
                geometry_type=declared,
                promote_to_multi=False,
            )
        _refuse_incomplete(path, layers)


def write_styles(names: Sequence[str], path: Path) -> None:
    """Put our QGIS styles of layers into the table ``layer_styles``, where QGIS looks for their defaults."""
    styles = [
        (files("spatial") / "assets" / "qgis" / f"{each}.qml").read_text(encoding="utf-8") for each in names
    ]
    rows = pd.DataFrame({"f_table_name": list(names), "styleName": list(names), "styleQML": styles})
    rows = rows.assign(
        f_table_catalog="", f_table_schema="", f_geometry_column="geom", styleSLD="", useAsDefault=True,
        description="alleyplan", owner="", ui="", update_time="2000-01-01T00:00:00.000Z",
    )  # fmt: skip
    write_layers({"layer_styles": rows}, path, crs=None)


def _refuse_incomplete(path: Path, layers: Mapping[str, pd.DataFrame]) -> None:
    """Every row and its place in the spatial index is in the file: GDAL says nothing of a disk that is full
    when it closes a layer."""
    with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro&immutable=1", uri=True)) as database:
        for name, rows in layers.items():
            tables = {name: len(rows)}
            if isinstance(rows, gpd.GeoDataFrame):
                tables[f"rtree_{name}_geom_rowid"] = int(
                    (~(rows.geometry.is_empty | rows.geometry.isna())).sum()
                )
            for table, n in tables.items():
                (found,) = database.execute(f'SELECT count(*) FROM "{table}"').fetchone()
                if found != n:
                    raise sqlite3.DatabaseError(f"{table} holds {found:,} of {n:,} rows")


def write_site_layers(site: Site, path: Path) -> None:
    """Write every layer of the site, the contract's columns only, to a new GeoPackage.

    Elevation, inputs and remarks are not stored. Equal sites make equal bytes.
    """
    about = pd.DataFrame({"community": [site.community], "crs": [site.crs.to_wkt()]})
    tables = {
        name: site.layers[name][[*(each.name for each in LAYERS[name].columns), "geometry"]]
        for name in sorted(site.layers)
    }
    path.unlink(missing_ok=True)
    write_layers({_ABOUT: about, **tables}, path, crs=site.crs, geometry=dict.fromkeys(tables, "Unknown"))


def read_site_layers(path: Path) -> Site:
    """Read what :func:`write_site_layers` wrote: equal layers, bit by bit; no elevation, inputs or remarks.

    Raises
    ------
    DataError
        The file is missing, damaged or not written by us.
    """
    check_plain(path)
    check_file(path)
    about = read_rows(path, _ABOUT, ("community", "crs"))
    if len(about) != 1:
        raise DataError(f"{path.name} does not say which community it holds; plan again")
    community, wkt = about[0]
    crs = parse_crs(str(wkt))
    sources = {each.table: each for each in sources_in(path)}
    layers = {name: _stored_layer(name, sources[name], crs) for name in LAYERS if name in sources}
    site = Site(_file_name(community, path), crs, layers, None, (), ())
    faults = list(site_faults(site))
    if faults:
        raise DataError(f"{path.name} is not as plan wrote it; plan again", faults)
    return site


def _file_name(community: object, path: Path) -> str:
    """The community's name, which pages go by: text that is no path."""
    if not isinstance(community, str) or not community or Path(community).name != community:
        raise DataError(f"{path.name} names no community that could be a folder; plan again")
    return community


def _stored_layer(name: str, source: Source, crs: pyproj.CRS) -> gpd.GeoDataFrame:
    columns = LAYERS[name].columns
    raw = read_source(source, lambda headings: {c.name: c.name for c in columns if c.name in headings})
    missing = [each.name for each in columns if each.name not in raw.values]
    if missing:
        raise DataError(f"{source} lacks the columns {', '.join(missing)}; plan again")
    try:
        values = {each.name: stored_column(each.dtype, raw.values[each.name]) for each in columns}
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"{source} holds a value of another type than was written: {one_line(error)}"
        ) from None
    return contract_frame(name, values, raw.geometry, crs)
