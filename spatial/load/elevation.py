"""Heights from a GeoTIFF, cut to the site and brought to its metric system.

What a file declares is honoured: nodata and masks, scale and offset, unit, any straight grid of cells.
What it does not declare is told where the heights themselves show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pyproj
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window
from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter

from spatial.crs import Change, coordinate_change, crs_name
from spatial.errors import DataError, Remark, Spot, doubt, fault, note
from spatial.load.facts import LayerFacts, RasterFacts
from spatial.load.geotiff import Heights, described, opened, read_heights
from spatial.load.layers import accuracy_doubt
from spatial.load.raw import Source
from spatial.load.site import Elevation
from spatial.load.stated import unfit_statements
from spatial.load.whereabouts import Box, fitting_setting
from spatial.settings import InputLayer, Settings

__all__ = ["read_elevation"]

#: Read at least this far around the site, so that slopes at its edge are known. [m]
_MARGIN_M = 200.0
_MAX_CELLS = 25_000_000
_AT_ONCE = 1_000_000  # cells that are moved together
_NONE_UP_TO_M, _NONE_FROM_M = -500.0, 9000.0
#: Cells of 0 are no heights where no other height comes this near to 0. [m]
_ZERO_GAP_M = 5.0
#: A cell this far above or below all its neighbours, and steeper than 2 in 1, is no ground. [m]
_SPIKE_M = 20.0
_COARSE_M = 100.0
_PIECE_M = 10.0  # heights are looked up at least so often along an alley
_STEEPEST = 1.0
#: Where half of the alleys would be steeper than this, the heights are in a smaller unit than metres.
_STEEP_EVERYWHERE = 0.5

Bounds = tuple[float, float, float, float]
Floats = NDArray[np.float64]


def read_elevation(
    source: Source, settings: Settings, crs: pyproj.CRS | None, frames: Mapping[str, gpd.GeoDataFrame]
) -> tuple[Elevation | None, LayerFacts, list[Remark]]:
    """Read the part of a raster of heights that lies around the site.

    Parameters
    ----------
    source : Source
        A checked GeoTIFF.
    settings : Settings
    crs : CRS, optional
        System of the site, in metres.
    frames : mapping of GeoDataFrame
        Layers in ``crs``; without alleys and a boundary the file is looked at by itself.

    Returns
    -------
    Elevation or None
        None where the raster can't be used or lies elsewhere.
    LayerFacts
    list of Remark
    """
    facts = LayerFacts("elevation", source)
    try:
        with opened(source.path) as raster:
            heights, remarks = described(raster, source, settings)
            remarks += unfit_statements("elevation", source, _spec(settings))
            facts = _with_raster(facts, raster, heights, settings)
            if crs is None or not {"alleys", "boundary"} <= set(frames):
                return None, facts, remarks
            bounds = _bounds(frames)
            if heights is None:
                remedy = _setting(raster, raster.transform, crs, bounds)
                told = [
                    replace(each, remedy=remedy or each.remedy) if each.code == "crs-missing" else each
                    for each in remarks
                ]
                return None, facts, told
            change = _change(heights, crs, bounds, settings)
            cell_m = _cell_m(heights.transform, change, bounds)
            window = _window(raster, heights, change, bounds, cell_m)
            if window is None:
                remedy = _setting(raster, heights.transform, crs, bounds)
                remedy = remedy or "put the raster of this place here, or state its system with crs"
                return None, facts, [*remarks, _doubt("layers-apart", source, _ELSEWHERE, remedy)]
            values, n_marked = read_heights(raster, heights, window)
        values, said = _plausible(values, n_marked)
        remarks += said
        transform = heights.transform * Affine.translation(window.col_off, window.row_off)
        shifted = _datum(settings) in ("gcj02", "bd09")
        if shifted or not heights.crs.equals(crs, ignore_axis_order=True):
            values, transform = _warped(values, transform, change, bounds, cell_m)
            text = f"brought from {crs_name(heights.crs)} to {crs_name(crs)}"
            text += f", the shift of {_datum(settings)} taken off" if shifted else ""
            remarks.append(note("crs-changed", text, layer="elevation"))
            remarks += accuracy_doubt("elevation", heights.crs, crs, change)
    except RasterioError:
        text = f"{source.path.name} is damaged or cut short"
        return None, facts, [_unreadable(text, "copy or export it again")]
    except (DataError, ValueError, MemoryError, OverflowError) as error:
        return None, facts, [_unreadable(f"{source.path.name} {error}".strip(), "")]
    elevation = Elevation(np.ascontiguousarray(values), tuple(transform)[:6])
    share, said = _along_alleys(elevation, frames["alleys"], source)
    remarks += said + _coarse(cell_m, source) + _spikes(elevation, source)
    known = values[np.isfinite(values)]
    low_m, high_m = (float(known.min()), float(known.max())) if known.size else (None, None)
    assert facts.raster is not None
    shown = replace(facts.raster, cell_m=cell_m, low_m=low_m, high_m=high_m, share_alleys=share)
    return elevation if share else None, replace(facts, raster=shown), remarks


_ELSEWHERE = "does not cover the site and is left out"


def _doubt(code: str, source: Source, text: str, remedy: str) -> Remark:
    return doubt(code, f"{source.path.name} {text}", layer="elevation", remedy=remedy)


def _unreadable(text: str, remedy: str) -> Remark:
    return fault("file-unreadable", text, layer="elevation", remedy=remedy)


def _datum(settings: Settings) -> str | None:
    """A shift stated for all input is one of map points: heights come from surveys."""
    return _spec(settings).datum


def _spec(settings: Settings) -> InputLayer:
    return settings.input.layers.get("elevation", InputLayer())


def _with_raster(
    facts: LayerFacts, raster: rasterio.DatasetReader, heights: Heights | None, settings: Settings
) -> LayerFacts:
    band = heights.band if heights is not None else None
    about = RasterFacts(raster.width, raster.height, raster.count, band, raster.dtypes[(band or 1) - 1])
    datum = _datum(settings)
    facts = replace(facts, raster=about, datum=datum, datum_by="settings" if datum else "")
    return facts if heights is None else replace(facts, crs=heights.crs, crs_by=heights.crs_by)


# ── the part around the site ─────────────────────────────────────────────────────────────────────────


def _bounds(frames: Mapping[str, gpd.GeoDataFrame]) -> Bounds:
    both = np.array([frames[each].total_bounds for each in ("alleys", "boundary")])
    (west, south), (east, north) = both[:, :2].min(axis=0), both[:, 2:].max(axis=0)
    return float(west), float(south), float(east), float(north)


def _change(heights: Heights, crs: pyproj.CRS, bounds: Bounds, settings: Settings) -> Change:
    west, south, east, north = bounds
    middle = ((west + east) / 2, (south + north) / 2)
    return coordinate_change(crs, heights.crs, middle, target_datum=_datum(settings))


def _cell_m(transform: Affine, change: Change, bounds: Bounds) -> tuple[float, float]:
    """How wide and how high a cell is at the middle of the site; NaN where the site has no place."""
    west, south, east, north = bounds
    x, y = (west + east) / 2, (south + north) / 2
    there = change.move(np.array([(x, y), (x + 1, y), (x, y + 1)]))
    if not np.isfinite(there).all():
        return np.nan, np.nan
    a, b, _, d, e, _ = tuple(transform)[:6]
    per_metre = np.linalg.solve([[a, b], [d, e]], (there[1:] - there[0]).T)  # cells for a metre east, north
    if not np.isfinite(per_metre).all() or not np.linalg.det(per_metre):
        return np.nan, np.nan
    across, down = np.hypot(*np.linalg.inv(per_metre)).tolist()
    return across, down


def _setting(raster: rasterio.DatasetReader, transform: Affine, crs: pyproj.CRS, bounds: Bounds) -> str:
    """What to set so that the raster lies on the site; empty where no usual system does it."""
    west, south, east, north = bounds
    change = coordinate_change(crs, pyproj.CRS.from_epsg(4326), ((west + east) / 2, (south + north) / 2))
    home = Box(*change.move(np.array([(west, south), (east, north)])).ravel().tolist())
    middle = transform * (raster.width / 2, raster.height / 2)
    return fitting_setting("elevation", middle, [crs], home)


def _window(
    raster: rasterio.DatasetReader,
    heights: Heights,
    change: Change,
    bounds: Bounds,
    cell_m: tuple[float, float],
) -> Window | None:
    """The cells around the site, or None where there are none."""
    if not np.isfinite(cell_m).all():
        return None
    west, south, east, north = bounds
    margin_m = max(_MARGIN_M, *cell_m)
    margin = shapely.box(west - margin_m, south - margin_m, east + margin_m, north + margin_m)
    edge = change.move(shapely.get_coordinates(shapely.segmentize(margin, margin_m)))
    cells = np.column_stack(~heights.transform * tuple(edge.T))
    if not np.isfinite(cells).all():
        return None
    size = np.array([raster.width, raster.height])
    # so far a float of any size; an index only within the raster
    first = np.clip(np.floor(cells.min(axis=0).round(6)), 0, size).astype(np.int64)
    last = np.clip(np.ceil(cells.max(axis=0).round(6)), 0, size).astype(np.int64)
    cols, rows = (last - first).tolist()
    if rows <= 0 or cols <= 0:
        return None
    _refuse_many(rows * cols)
    return Window(int(first[0]), int(first[1]), cols, rows)


def _refuse_many(n_cells: int) -> None:
    if n_cells > _MAX_CELLS:
        raise DataError(f"has {n_cells:,} cells around the site; resample it to 1 m or coarser")


def _warped(
    values: NDArray[np.float32],
    transform: Affine,
    change: Change,
    bounds: Bounds,
    cell_m: tuple[float, float],
) -> tuple[NDArray[np.float32], Affine]:
    """Heights on cells of the site's own system, as large as the raster's, bilinear between its centres."""
    west, south, east, north = bounds
    size_m, margin_m = min(cell_m), max(_MARGIN_M, *cell_m)
    cols = int(np.ceil((east - west + 2 * margin_m) / size_m))
    rows = int(np.ceil((north - south + 2 * margin_m) / size_m))
    _refuse_many(rows * cols)
    target = Affine(size_m, 0.0, west - margin_m, 0.0, -size_m, north + margin_m)
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


# ── what the heights themselves show ─────────────────────────────────────────────────────────────────


def _plausible(values: NDArray[np.float32], n_marked: int) -> tuple[NDArray[np.float32], list[Remark]]:
    """Cells of impossible height become unknown: mostly a marker that the file does not declare.

    Raises
    ------
    DataError
        Most cells hold many different heights that are none on earth.
    """
    odd = ~np.isnan(values) & ~((values > _NONE_UP_TO_M) & (values < _NONE_FROM_M))
    kinds, counts = np.unique(values[odd], return_counts=True)
    if len(kinds) > 10 and 2 * odd.sum() > np.isfinite(values).sum():
        raise DataError(
            f"holds values from {kinds[0]:,.6g} to {kinds[-1]:,.6g}, which are no heights in metres, "
            "but perhaps in centimetres or millimetres; state the unit of its band in the file, or "
            "export it in metres"
        )
    remarks = []
    if n_odd := int(odd.sum()) + n_marked:
        mostly = f", mostly {kinds[counts.argmax()]:,.6g}," if len(kinds) else ""
        text = f"{n_odd:,} of {values.size:,} cells{mostly} hold no height on earth and are taken as unknown"
        remarks.append(_undeclared("height-odd", text))
    values = np.where(odd, np.float32(np.nan), values)
    zero, rest = values == 0, np.abs(values[(values != 0) & np.isfinite(values)])
    if zero.any() and rest.size and rest.min() >= _ZERO_GAP_M:
        text = (
            f"{int(zero.sum()):,} of {values.size:,} cells are 0 while no other is nearer to 0 than "
            f"{rest.min():,.1f} m: they are taken as unknown"
        )
        remarks.append(_undeclared("height-zero", text))
        values = np.where(zero, np.float32(np.nan), values)
    return values, remarks


def _undeclared(code: str, text: str) -> Remark:
    remedy = "declare that value as nodata, or fill the holes"
    return doubt(code, text, layer="elevation", remedy=remedy)


def _along_alleys(
    elevation: Elevation, alleys: gpd.GeoDataFrame, source: Source
) -> tuple[float, list[Remark]]:
    """The share of the alleys' length whose heights are known, and what is wrong with heights along them."""
    lines = alleys.geometry.to_numpy()
    n_pieces = np.maximum(np.ceil(shapely.length(lines) / _PIECE_M), 1).astype(np.int64)
    of = np.repeat(np.arange(len(lines)), n_pieces + 1)
    first = np.concatenate([[0], np.cumsum(n_pieces + 1)[:-1]])
    share = (np.arange(len(of)) - first[of]) / n_pieces[of]
    xy = shapely.get_coordinates(shapely.line_interpolate_point(lines[of], share, normalized=True))
    within = of[1:] == of[:-1]
    line, piece_m = of[1:][within], (shapely.length(lines) / n_pieces)[of[1:][within]]
    rise_m = np.abs(np.diff(elevation.heights_m(xy)))[within]
    known = np.isfinite(rise_m)
    covered = float(piece_m[known].sum() / piece_m.sum()) if piece_m.sum() else 0.0
    ids = alleys["alley_id"].to_numpy(dtype=object)
    remedy = "use a raster that covers them all; where no height is known an alley counts as flat"
    if not known.any():
        return 0.0, [
            _doubt("elevation-none", source, "has no height along any alley and is left out", remedy)
        ]
    remarks = []
    if not known.all():
        bare = np.setdiff1d(np.arange(len(lines)), line[known])
        text = f"has heights for {covered:.0%} of the alleys' length, none at all for {len(bare):,} of them"
        where = {"layer": "elevation", "ids": ids[bare], "remedy": remedy}
        remarks.append(doubt("elevation-part", f"{source.path.name} {text}", **where))
    slope = float(np.median(rise_m[known] / piece_m[known]))
    if slope > _STEEP_EVERYWHERE:
        text = (
            f"makes half of the alleys steeper than {slope:.0%}: its heights look like centimetres or "
            "millimetres and are taken as metres"
        )
        remedy = "state the unit of its band in the file (cm, mm), or export it in metres"
        remarks.append(_doubt("elevation-unit", source, text, remedy))
    steep = known & (rise_m > _STEEPEST * piece_m)
    if steep.any():
        place = xy[1:][within][steep]
        spots = [("too steep", *each) for each in place.tolist()]
        text = f"{int(steep.sum()):,} pieces of alley would climb more than 1 in 1 and are taken as 1 in 1"
        remedy = "use a raster of the ground, not of roofs and trees, in metres, without spikes and holes"
        where = {"layer": "elevation", "ids": ids[np.unique(line[steep])], "remedy": remedy, "spots": spots}
        remarks.append(doubt("slope-impossible", text, **where))
    return covered, remarks


def _coarse(cell_m: tuple[float, float], source: Source) -> list[Remark]:
    if max(cell_m) <= _COARSE_M:
        return []
    text = f"has cells of {cell_m[0]:,.0f} x {cell_m[1]:,.0f} m, from which no slope of an alley can be told"
    return [_doubt("raster-coarse", source, text, "use one of 30 m or finer")]


def _spikes(elevation: Elevation, source: Source) -> list[Remark]:
    """Single cells far above or below all around them."""
    values = elevation.values
    ring = np.ones((3, 3), dtype=bool)
    ring[1, 1] = False
    known = np.isfinite(values)
    a, b, c, d, e, f = elevation.transform
    least_m = max(_SPIKE_M, 2 * min(float(np.hypot(a, d)), float(np.hypot(b, e))))
    highest = maximum_filter(np.where(known, values, -np.inf), footprint=ring, mode="constant", cval=-np.inf)
    lowest = minimum_filter(np.where(known, values, np.inf), footprint=ring, mode="constant", cval=np.inf)
    with np.errstate(invalid="ignore"):
        alone = known & np.isfinite(highest) & ((values > highest + least_m) | (values < lowest - least_m))
    if not alone.any():
        return []
    row, col = np.nonzero(alone)
    x, y = a * (col + 0.5) + b * (row + 0.5) + c, d * (col + 0.5) + e * (row + 0.5) + f
    spots: list[Spot] = [
        (f"{h:,.0f} m", *each)
        for h, each in zip(values[alone], np.column_stack((x, y)).tolist(), strict=True)
    ]
    text = (
        f"has {len(spots):,} cells more than {least_m:,.0f} m above or below all around them, as at "
        f"{spots[0][1]:,.0f}, {spots[0][2]:,.0f} ({spots[0][0]})"
    )
    remedy = "smooth them out, or declare them as nodata"
    return [
        doubt("height-spike", f"{source.path.name} {text}", layer="elevation", remedy=remedy, spots=spots)
    ]
