"""Heights from a GeoTIFF, cut to the site and brought to its metric system."""

from __future__ import annotations

import numpy as np
import pyproj
import rasterio
from affine import Affine
from rasterio.enums import Interleaving
from rasterio.errors import RasterioError
from rasterio.warp import Resampling, calculate_default_transform, reproject
from rasterio.windows import Window, from_bounds
from rasterio.windows import transform as window_transform

from spatial.crs import crs_name, parse_crs
from spatial.errors import DataError, Remark, doubt, fault, note
from spatial.load.raw import Source
from spatial.load.site import Elevation
from spatial.settings import Settings

__all__ = ["read_elevation"]

#: Read this far around the site, so that slopes at its edge are known. [m]
_MARGIN_M = 200.0
_MAX_CELLS = 25_000_000
_MAX_BLOCK_BYTES = 256_000_000  # a file is unpacked block by block, whatever part is asked for
_NONE_BELOW_M, _NONE_ABOVE_M = -500.0, 9000.0


def read_elevation(
    source: Source, crs: pyproj.CRS, bounds: tuple[float, float, float, float], settings: Settings
) -> tuple[Elevation | None, list[Remark]]:
    """Read the part of a raster of heights that lies around the site.

    Parameters
    ----------
    source : Source
        A checked GeoTIFF; its first band holds metres.
    crs, bounds
        System of the site and its extent in it. [m]

    Returns
    -------
    Elevation or None
    list of Remark
    """
    stated = settings.input.layers["elevation"].crs if "elevation" in settings.input.layers else None
    try:
        # no neighbour files, so that a raster brings only itself
        with (
            rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO", GDAL_CACHEMAX=64),
            rasterio.open(source.path, driver="GTiff") as raster,
        ):
            _check_blocks(raster)
            wkt = stated or (raster.crs.to_wkt() if raster.crs else settings.input.crs)
            if wkt is None:
                remedy = 'set [input.elevation] crs = "EPSG:…" in plan.toml'
                return None, [fault("crs-missing", "crs is missing", layer="elevation", remedy=remedy)]
            own = parse_crs(wkt)
            window = _window(raster, own, crs, bounds)
            if window is None:
                text = f"{source.path.name} does not cover the site and is left out"
                return None, [doubt("layers-apart", text, layer="elevation")]
            values = raster.read(1, window=window, masked=True).astype(np.float32).filled(np.nan)
            transform = window_transform(window, raster.transform)
    except (RasterioError, DataError, ValueError, MemoryError) as error:
        return None, [fault("file-unreadable", f"{source.path.name}: {error}", layer="elevation")]
    values, remarks = _plausible(values)
    if not own.equals(crs, ignore_axis_order=True):
        try:
            values, transform = _warped(values, transform, own, crs)
        except (RasterioError, DataError, ValueError, MemoryError) as error:
            return None, [fault("file-unreadable", f"{source.path.name}: {error}", layer="elevation")]
        text = f"brought from {crs_name(own)} to {crs_name(crs)}"
        remarks.append(note("crs-changed", text, layer="elevation"))
    return Elevation(np.ascontiguousarray(values), tuple(transform)[:6]), remarks


def _check_blocks(raster: rasterio.DatasetReader) -> None:
    """Refuse what would fill the memory for any part that is asked for, and what is no height."""
    rows, cols = raster.block_shapes[0]
    dtype = np.dtype(raster.dtypes[0])
    if dtype.kind not in "iuf":
        raise DataError(f"holds {dtype} values, not heights; export one band of 32-bit floats")
    size = rows * cols * dtype.itemsize * (raster.count if raster.interleaving == Interleaving.pixel else 1)
    if size > _MAX_BLOCK_BYTES:
        raise DataError(f"is stored in blocks of {size / 1e6:,.0f} MB; export it in tiles (TILED=YES)")


def _window(
    raster: rasterio.DatasetReader,
    own: pyproj.CRS,
    crs: pyproj.CRS,
    bounds: tuple[float, float, float, float],
) -> Window | None:
    """The cells around the site, or None where there are none."""
    west, south, east, north = bounds
    margin = (west - _MARGIN_M, south - _MARGIN_M, east + _MARGIN_M, north + _MARGIN_M)
    change = pyproj.Transformer.from_crs(crs, own, always_xy=True)
    box = change.transform_bounds(*margin, densify_pts=21)
    window = from_bounds(*box, transform=raster.transform) if np.isfinite(box).all() else None
    if window is None:
        return None
    first_row, first_col = max(0, int(np.floor(window.row_off))), max(0, int(np.floor(window.col_off)))
    last_row = min(raster.height, int(np.ceil(window.row_off + window.height)))
    last_col = min(raster.width, int(np.ceil(window.col_off + window.width)))
    rows, cols = last_row - first_row, last_col - first_col
    if rows <= 0 or cols <= 0:
        return None
    if rows * cols > _MAX_CELLS:
        raise DataError(f"{rows * cols:,} cells around the site; resample to 1 m or coarser")
    return Window(first_col, first_row, cols, rows)


def _plausible(values: np.ndarray) -> tuple[np.ndarray, list[Remark]]:
    """Cells of impossible height become unknown: mostly a marker that the file does not declare."""
    odd = ~np.isnan(values) & ~((values >= _NONE_BELOW_M) & (values <= _NONE_ABOVE_M))
    if not odd.any():
        return values, []
    text = f"{int(odd.sum()):,} of {values.size:,} cells are no height on earth and are taken as unknown"
    return np.where(odd, np.float32(np.nan), values), [note("height-odd", text, layer="elevation")]


def _warped(
    values: np.ndarray, transform: Affine, own: pyproj.CRS, crs: pyproj.CRS
) -> tuple[np.ndarray, Affine]:
    rows, cols = values.shape
    corners = rasterio.transform.array_bounds(rows, cols, transform)
    target, width, height = calculate_default_transform(own.to_wkt(), crs.to_wkt(), cols, rows, *corners)
    if width * height > _MAX_CELLS:
        raise DataError(f"{width * height:,} cells in {crs_name(crs)}; resample to 1 m or coarser")
    warped = np.full((height, width), np.nan, dtype=np.float32)
    reproject(
        values,
        warped,
        src_transform=transform,
        src_crs=own.to_wkt(),
        src_nodata=np.nan,
        dst_transform=target,
        dst_crs=crs.to_wkt(),
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
        num_threads=1,
    )
    return warped, target
