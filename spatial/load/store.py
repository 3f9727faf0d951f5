"""``site.gpkg`` of a plan folder: the checked layers as planned on, read back exactly as written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
import pyproj
from numpy.typing import NDArray

from spatial.errors import DataError
from spatial.load.formats import Source, check_file, read_rows, read_source, sources_in
from spatial.load.site import PANDAS_DTYPES, Site, contract_frame
from spatial.schema import LAYERS

__all__ = ["fixed_writing", "read_site_layers", "write_site_layers"]

#: One constant for every time stamp inside files, so that equal plans are equal bytes.
_FIXED_DATE = "2000-01-01T00:00:00.000Z"
#: The table that says whose layers these are.
_ABOUT = "site"


@contextmanager
def fixed_writing() -> Iterator[None]:
    """Within it pyogrio writes GeoPackages with a fixed date and waits until they are on the disk."""
    options = {"OGR_CURRENT_DATE": _FIXED_DATE, "OGR_SQLITE_SYNCHRONOUS": "FULL"}
    before = {key: pyogrio.get_gdal_config_option(key) for key in options}
    pyogrio.set_gdal_config_options(options)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


def write_site_layers(site: Site, path: Path) -> None:
    """Write every layer of the site, the contract's columns only, to a new GeoPackage.

    Elevation, inputs and remarks are not stored. Equal sites make equal bytes.
    """
    path.unlink(missing_ok=True)
    with fixed_writing():
        about = pd.DataFrame({"community": [site.community], "crs": [site.crs.to_wkt()]})
        pyogrio.write_dataframe(about, path, layer=_ABOUT, driver="GPKG")
        for name, rows in sorted(site.layers.items()):
            columns = [each.name for each in LAYERS[name].columns]
            pyogrio.write_dataframe(
                rows[[*columns, "geometry"]],
                path,
                layer=name,
                driver="GPKG",
                append=True,
                geometry_type=_geometry_type(name, rows),
                promote_to_multi=False,
            )


def _geometry_type(name: str, rows: gpd.GeoDataFrame) -> str:
    """The one type of all rows; layers of mixed types are stored as such, so that none is promoted."""
    types = rows.geom_type.unique()
    if len(types) == 1:
        return str(types[0])
    return {("line",): "LineString", ("point",): "Point"}.get(LAYERS[name].geometry, "Unknown")


def read_site_layers(path: Path) -> Site:
    """Read what :func:`write_site_layers` wrote: equal layers, bit by bit; no elevation, inputs or remarks.

    Raises
    ------
    DataError
        The file is missing, damaged or not written by us.
    """
    check_file(path)
    about = read_rows(path, _ABOUT, ("community", "crs"))
    if len(about) != 1:
        raise DataError(f"{path.name} does not say which community it holds; plan again")
    community, wkt = about[0]
    crs = pyproj.CRS.from_wkt(wkt)
    sources = {each.table: each for each in sources_in(path)}
    layers = {name: _stored_layer(name, sources[name], crs) for name in LAYERS if name in sources}
    return Site(community, crs, layers, None, (), ())


def _stored_layer(name: str, source: Source, crs: pyproj.CRS) -> gpd.GeoDataFrame:
    columns = LAYERS[name].columns
    raw = read_source(source, lambda headings: {c.name: c.name for c in columns if c.name in headings})
    missing = [each.name for each in columns if each.name not in raw.values]
    if missing:
        raise DataError(f"{source} lacks the columns {', '.join(missing)}; plan again")
    values = {each.name: _stored(each.dtype, raw.values[each.name]) for each in columns}
    return contract_frame(name, values, raw.geometry, crs)


def _stored(dtype: str, values: NDArray) -> pd.Series:
    if dtype == "bool":
        values = pd.array([None if each is None else bool(each) for each in values], dtype="boolean")
    return pd.Series(values).astype(PANDAS_DTYPES[dtype])
