"""Heights from a GeoTIFF, cut to the site and brought to its metric system."""

from __future__ import annotations

import numpy as np
import pyproj
import rasterio
import shapely
from affine import Affine
from rasterio.enums import Interleaving
from rasterio.errors import RasterioError
from rasterio.windows import Window, from_bounds
from rasterio.windows import transform as window_transform
from scipy.ndimage import map_coordinates

from spatial.crs import Change, coordinate_change, crs_name, parse_crs
from spatial.errors import DataError, Remark, doubt, fault, note
from spatial.load.layers import accuracy_doubt
from spatial.load.raw import Source
from spatial.load.site import Elevation
from spatial.load.whereabouts import Box, fitting_setting
from spatial.settings import InputLayer, Settings

__all__ = ["read_elevation"]

#: Read this far around the site, so that slopes at its edge are known. [m]
_MARGIN_M = 200.0
_MAX_CELLS = 25_000_000
_AT_ONCE = 1_000_000  # cells that are moved together
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
    spec = settings.input.layers.get("elevation", InputLayer())
    try:
        # no neighbour files, so that a raster brings only itself
        with (
            rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO", GDAL_CACHEMAX=64),
            rasterio.open(source.path, driver="GTiff") as raster,
        ):
            _check_blocks(raster)
            wkt = spec.crs or (raster.crs.to_wkt() if raster.crs else settings.input.crs)
            if wkt is None:
                remedy = _setting(raster, crs, bounds) or 'set [input.elevation] crs = "EPSG:…" in plan.toml'
                return None, [fault("crs-missing", "crs is missing", layer="elevation", remedy=remedy)]
            own = parse_crs(wkt)
            middle = ((bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2)
            # a shift stated for all input is one of map points: heights come from surveys
            change = coordinate_change(crs, own, middle, target_datum=spec.datum)
            window = _window(raster, change, bounds)
            if window is None:
                text = f"{source.path.name} does not cover the site and is left out"
                remedy = _setting(raster, crs, bounds)
                return None, [doubt("layers-apart", text, layer="elevation", remedy=remedy)]
            values = raster.read(1, window=window, masked=True).astype(np.float32).filled(np.nan)
            transform = window_transform(window, raster.transform)
    except (RasterioError, DataError, ValueError, MemoryError) as error:
        return None, [fault("file-unreadable", f"{source.path.name}: {error}", layer="elevation")]
    values, remarks = _plausible(values)
    shifted = spec.datum in ("gcj02", "bd09")
    if shifted or not own.equals(crs, ignore_axis_order=True):
        try:
            values, transform = _warped(values, transform, change, bounds)
        except (DataError, ValueError, MemoryError) as error:
            return None, [fault("file-unreadable", f"{source.path.name}: {error}", layer="elevation")]
        text = f"brought from {crs_name(own)} to {crs_name(crs)}"
        text += f", the shift of {spec.datum} taken off" if shifted else ""
        remarks.append(note("crs-changed", text, layer="elevation"))
        remarks += accuracy_doubt("elevation", own, crs, change)
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


def _setting(
    raster: rasterio.DatasetReader, crs: pyproj.CRS, bounds: tuple[float, float, float, float]
) -> str:
    """What to set so that the raster lies on the site; empty where no usual system does it."""
    west, south, east, north = bounds
    change = coordinate_change(crs, pyproj.CRS.from_epsg(4326), ((west + east) / 2, (south + north) / 2))
    home = Box(*change.move(np.array([(west, south), (east, north)])).ravel().tolist())
    left, bottom, right, top = raster.bounds
    return fitting_setting("elevation", ((left + right) / 2, (bottom + top) / 2), [crs], home)


def _window(
    raster: rasterio.DatasetReader, change: Change, bounds: tuple[float, float, float, float]
) -> Window | None:
    """The cells around the site, or None where there are none."""
    west, south, east, north = bounds
    margin = shapely.box(west - _MARGIN_M, south - _MARGIN_M, east + _MARGIN_M, north + _MARGIN_M)
    edge = change.move(shapely.get_coordinates(shapely.segmentize(margin, _MARGIN_M)))
    if not np.isfinite(edge).all():
        return None
    window = from_bounds(*edge.min(axis=0), *edge.max(axis=0), transform=raster.transform)
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
    values: np.ndarray, transform: Affine, change: Change, bounds: tuple[float, float, float, float]
) -> tuple[np.ndarray, Affine]:
    """Heights on cells of the site's own system, as large as the raster's, bilinear between its centres."""
    west, south, east, north = bounds
    x, y = (west + east) / 2, (south + north) / 2
    # the raster's cell in metres of the site: one metre east and north, counted in cells
    steps = np.column_stack(~transform * tuple(change.move(np.array([(x, y), (x + 1, y), (x, y + 1)])).T))
    cell_m = 1 / max(np.hypot(*(steps[1] - steps[0])), np.hypot(*(steps[2] - steps[0])))
    cols = int(np.ceil((east - west + 2 * _MARGIN_M) / cell_m))
    rows = int(np.ceil((north - south + 2 * _MARGIN_M) / cell_m))
    if rows * cols > _MAX_CELLS:
        raise DataError(f"{rows * cols:,} cells around the site; resample to 1 m or coarser")
    target = Affine(cell_m, 0.0, west - _MARGIN_M, 0.0, -cell_m, north + _MARGIN_M)
    heights = np.empty((rows, cols), dtype=np.float32)
    step = max(1, _AT_ONCE // cols)
    for first in range(0, rows, step):
        col, row = np.meshgrid(np.arange(cols) + 0.5, np.arange(first, min(first + step, rows)) + 0.5)
        xy = np.column_stack(target * (col.ravel(), row.ravel()))
        source_col, source_row = ~transform * tuple(change.move(xy).T)
        found = map_coordinates(
            values, (source_row - 0.5, source_col - 0.5), order=1, cval=np.nan, mode="constant"
        )
        heights[first : first + step] = found.reshape(-1, cols)
    return heights, target
