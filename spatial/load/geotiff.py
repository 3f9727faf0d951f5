"""A GeoTIFF of heights as it stands in its file: where its cells lie, which band holds them, in what unit.

A raster brings only itself, a world file and a .prj: no other file beside it is opened, whatever it says.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Interleaving
from rasterio.windows import Window

from spatial.crs import crs_name, parse_crs
from spatial.errors import DataError, Remark, doubt, fault, note, one_line
from spatial.load.raw import Source, file_crs
from spatial.load.worldfile import neighbours_unread, stated_system, world_transform
from spatial.settings import InputLayer, Settings

__all__ = ["Heights", "described", "opened", "read_heights"]

_MAX_BLOCK_BYTES = 256_000_000  # a file is unpacked block by block, whatever part is asked for
_MAX_UNPACKED_BYTES = 8_000_000_000  # of all the blocks that the part asked for touches
_COLOURS = frozenset(
    (ColorInterp.palette, ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.cyan,
     ColorInterp.Y, ColorInterp.hue, ColorInterp.saturation)
)  # fmt: skip
_METRE, _FOOT, _SURVEY_FOOT = 1.0, 0.3048, 1200 / 3937
_UNITS_M = {
    **dict.fromkeys(("", "m", "metre", "metres", "meter", "meters", "米"), _METRE),
    **dict.fromkeys(("ft", "foot", "feet", "internationalfoot", "英尺"), _FOOT),
    **dict.fromkeys(("ussurveyfoot", "ussurveyfeet", "usft", "ftus", "usfoot"), _SURVEY_FOOT),
    **dict.fromkeys(("dm", "decimetre", "decimeter", "分米"), 0.1),
    **dict.fromkeys(("cm", "centimetre", "centimeter", "厘米"), 0.01),
    **dict.fromkeys(("mm", "millimetre", "millimeter", "毫米"), 0.001),
}
#: Written for "no height" by many programs; told from heights by themselves only where heights are scaled.
_MARKERS = (-9999.0, -32768.0, -32767.0, -99999.0, 32767.0, 65535.0)
_MEANS_HEIGHT = re.compile(r"elev|height|altitude|dem|dtm|dsm|高程|高度|海拔", re.IGNORECASE)


@dataclass(frozen=True)
class Heights:
    """The band of heights in a GeoTIFF and the place of its cells."""

    transform: Affine  # columns and rows from the outer corner of the first cell -> x, y in ``crs``
    crs: pyproj.CRS
    crs_by: str  # "settings" or "file"
    band: int  # 1 is the first
    factor: float  # a stored value times this, plus the offset, is a height in metres
    offset_m: float


@contextmanager
def opened(path: Path) -> Iterator[rasterio.DatasetReader]:
    """The file as a GeoTIFF and nothing else."""
    alone = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
    with (
        warnings.catch_warnings(action="ignore"),
        rasterio.Env(**alone, GDAL_GEOREF_SOURCES="INTERNAL", GDAL_CACHEMAX=64),
        rasterio.open(path, driver="GTiff") as raster,
    ):
        yield raster


def described(
    raster: rasterio.DatasetReader, source: Source, settings: Settings
) -> tuple[Heights | None, list[Remark]]:
    """What the file says of its heights; None where anything is at fault, and every fault is told."""
    spec = settings.input.layers.get("elevation", InputLayer())
    name = source.path.name
    band, said = _band(raster, spec, name)
    transform, told = _transform(raster, source.path)
    crs, crs_by, of_crs = _crs(raster, spec, settings, source.path)
    remarks = [*said, *told, *of_crs]
    if beside := neighbours_unread(source.path):
        text = f"what stands beside {name} is not read: {', '.join(beside)}"
        remarks.append(note("sidecar-unread", text, layer="elevation"))
    factor = offset_m = np.nan
    if band is not None:
        factor, offset_m, said = _unit(raster, band, name)
        remarks += said + _storage(raster, band, name)
    if transform is None or crs is None or band is None or any(each.kind == "fault" for each in remarks):
        return None, remarks
    return Heights(transform, crs, crs_by, band, factor, offset_m), remarks


def read_heights(
    raster: rasterio.DatasetReader, heights: Heights, window: Window
) -> tuple[NDArray[np.float32], int]:
    """The cells of a window in metres, NaN where the file says there is none, and how many hold a marker.

    Raises
    ------
    DataError
        More would have to be unpacked than any raster of a community holds.
    """
    rows, cols = raster.block_shapes[heights.band - 1]
    touched = (window.height // rows + 2) * (window.width // cols + 2) * _block_bytes(raster, heights.band)
    if touched > _MAX_UNPACKED_BYTES:
        raise DataError("is stored in blocks much larger than the part around the site; cut it to the site")
    stored = raster.read(heights.band, window=window, masked=True)
    with np.errstate(over="ignore", invalid="ignore"):
        values = stored.astype(np.float32).filled(np.nan)
        if (heights.factor, heights.offset_m) == (1.0, 0.0):
            return values, 0
        marked = np.isin(values, np.array(_MARKERS, dtype=np.float32))
        values = values * np.float32(heights.factor) + np.float32(heights.offset_m)
    return np.where(marked, np.float32(np.nan), values), int(marked.sum())


def _fault(code: str, text: str, remedy: str) -> Remark:
    return fault(code, text, layer="elevation", remedy=remedy)


def _band(raster: rasterio.DatasetReader, spec: InputLayer, name: str) -> tuple[int | None, list[Remark]]:
    """The band that settings name, else the only one that calls itself heights, else the first."""
    if spec.band is not None:
        if spec.band <= raster.count:
            return spec.band, []
        text = f"{name} has {raster.count} bands, not {spec.band}"
        return None, [_fault("input-setting", text, f"set [input.elevation] band = 1 to {raster.count}")]
    if set(raster.colorinterp) & _COLOURS or (raster.count in (3, 4) and set(raster.dtypes) == {"uint8"}):
        text = f"{name} is a picture ({raster.count} bands of colours), not heights"
        return None, [
            _fault("raster-picture", text, "put the raster of heights itself here, not its drawing")
        ]
    if raster.count == 1:
        return 1, []
    titled = [i for i, each in enumerate(raster.descriptions, start=1) if each and _MEANS_HEIGHT.search(each)]
    band = titled[0] if len(titled) == 1 else 1
    title = raster.descriptions[band - 1]
    text = f"band {band} of {raster.count}{f' ({one_line(title)})' if title else ''} is taken as heights"
    remedy = "if another one holds them: [input.elevation] band = its number"
    return band, [note("band-chosen", text, layer="elevation", remedy=remedy)]


def _transform(raster: rasterio.DatasetReader, path: Path) -> tuple[Affine | None, list[Remark]]:
    """Where the cells lie: by the file, by its tie points, by a world file."""
    transform, said = raster.transform, list[Remark]()
    points = raster.gcps[0]
    export = "export it anew as a GeoTIFF that says where it lies"
    if transform == Affine.identity() and points:
        transform, off_cells = _fitted(points)
        if not off_cells <= 1.0:
            text = f"{path.name} has {len(points)} tie points that no straight grid fits"
            return None, [_fault("raster-unplaced", text, "rectify it first (in QGIS: Warp)")]
        text = f"placed by {len(points)} tie points, {off_cells:.2f} cells off at most"
        said.append(note("raster-tied", text, layer="elevation"))
    elif transform == Affine.identity():
        try:
            world = world_transform(path)
        except DataError as error:
            return None, [_fault("raster-unplaced", str(error), export)]
        if world is None:
            text = f"{path.name} does not say where its cells lie"
            remedy = f"{export}, or put its world file {path.stem}.tfw beside it"
            return None, [_fault("raster-unplaced", text, remedy)]
        transform = Affine(*world[0])
        said.append(note("world-file", f"placed by {world[1]}", layer="elevation"))
    across, down = np.hypot(transform.a, transform.d), np.hypot(transform.b, transform.e)
    sound = np.isfinite(tuple(transform)[:6]).all() and abs(transform.determinant) > 1e-6 * across * down
    if not sound:
        text = f"the cells of {path.name} have no area: {', '.join(f'{each:g}' for each in transform[:6])}"
        return None, [_fault("raster-unplaced", text, export)]
    return transform, said


def _fitted(points: Sequence[rasterio.control.GroundControlPoint]) -> tuple[Affine, float]:
    """The grid with the least squares of distances to tie points, and its largest distance in cells."""
    cells = np.array([(each.col, each.row, 1.0) for each in points])
    xy = np.array([(each.x, each.y) for each in points])
    if len(points) < 3 or not np.isfinite(np.hstack((cells, xy))).all():
        return Affine.identity(), np.nan
    middle = xy.mean(axis=0)
    fit, _, rank, _ = np.linalg.lstsq(cells, xy - middle, rcond=None)
    (a, d), (b, e), (c, f) = fit.tolist()
    size = np.sqrt(abs(a * e - b * d))
    if rank < 3 or not size:
        return Affine.identity(), np.nan
    off = np.hypot(*(cells @ fit - (xy - middle)).T).max() / size
    return Affine(a, b, c + middle[0], d, e, f + middle[1]), float(off)


def _crs(
    raster: rasterio.DatasetReader, spec: InputLayer, settings: Settings, path: Path
) -> tuple[pyproj.CRS | None, str, list[Remark]]:
    """The system that settings state, else the file's, else that of a .prj, else the one for all input."""
    inside = raster.crs or raster.gcps[1]
    own, said = file_crs(path.name, inside.to_wkt() if inside else None)
    if own is None:
        text, beside = stated_system(path)
        own, more = file_crs(beside, text or None)
        said += more
        if own is not None:
            said.append(note("prj-read", f"the system is that of {beside}", layer="elevation"))
    said = [Remark(each.kind, each.code, each.message, "elevation") for each in said]
    try:
        if spec.crs is not None:
            crs = parse_crs(spec.crs)
            if own is not None and not own.equals(crs, ignore_axis_order=True):
                text = f"the file says {crs_name(own)}, read as {crs_name(crs)} as the settings say"
                said.append(note("crs-overridden", text, layer="elevation"))
            return crs, "settings", said
        if own is None and settings.input.crs is not None:
            return parse_crs(settings.input.crs), "settings", said
    except DataError as error:
        return None, "", [*said, _fault("crs-unknown", str(error), _SET_CRS)]
    if own is None:
        return None, "", [*said, _fault("crs-missing", f"crs of {path.name} is missing", _SET_CRS)]
    return own, "file", said


_SET_CRS = 'set [input.elevation] crs = "EPSG:…" in plan.toml'


def _unit(raster: rasterio.DatasetReader, band: int, name: str) -> tuple[float, float, list[Remark]]:
    """Factor and offset that make metres of stored values."""
    scale, offset, stated = raster.scales[band - 1], raster.offsets[band - 1], raster.units[band - 1] or ""
    unit_m = _UNITS_M.get(re.sub(r"[\s_.\-]", "", stated).lower())
    if unit_m is None:
        text = f"{name} states its values in {one_line(stated)!r}, which is no unit of heights known here"
        return np.nan, np.nan, [_fault("unit-other", text, "export it with heights in metres")]
    if not (np.isfinite(scale) and np.isfinite(offset) and scale):
        text = f"{name} states a scale of {scale:g} and an offset of {offset:g}"
        return np.nan, np.nan, [_fault("raster-scale", text, "export it with heights in metres")]
    said = []
    if (scale, offset) != (1.0, 0.0):
        text = f"stored values times {scale:g} plus {offset:g} are taken as heights, as {name} says"
        said.append(note("raster-scale", text, layer="elevation"))
    if unit_m != _METRE:
        text = f"heights in {one_line(stated)} brought to metres: times {unit_m:.7g}"
        said.append(note("unit-changed", text, layer="elevation"))
    return scale * unit_m, offset * unit_m, said


def _storage(raster: rasterio.DatasetReader, band: int, name: str) -> list[Remark]:
    """Refuse what is no height, and what would fill the memory for any part that is asked for."""
    dtype = np.dtype(raster.dtypes[band - 1])
    if dtype.kind not in "iuf":
        text = f"{name} holds {dtype} values, not heights"
        return [_fault("raster-values", text, "export one band of 32-bit floats")]
    if (size := _block_bytes(raster, band)) > _MAX_BLOCK_BYTES:
        text = f"{name} is stored in blocks of {size / 1e6:,.0f} MB"
        return [_fault("raster-blocks", text, "export it in tiles (TILED=YES)")]
    if dtype == np.uint8:
        text = f"{name} holds whole numbers from 0 to 255, as a shaded picture does"
        remedy = "if they are no heights in metres, put the raster of heights here"
        return [doubt("raster-coarse-values", text, layer="elevation", remedy=remedy)]
    return []


def _block_bytes(raster: rasterio.DatasetReader, band: int) -> int:
    """What one block unpacks to."""
    rows, cols = raster.block_shapes[band - 1]
    together = raster.count if raster.interleaving == Interleaving.pixel else 1
    return int(rows) * int(cols) * np.dtype(raster.dtypes[band - 1]).itemsize * together
