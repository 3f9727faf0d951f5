"""What ``[input.<layer>]`` states of a layer, held against the file that the layer is in.

A statement that a file can't honour would be passed over in silence: it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyproj

from spatial.crs import lon_lat_of, shifted_from_wgs84
from spatial.errors import Remark, doubt, fault
from spatial.load.formats import format_of
from spatial.load.raw import Source
from spatial.schema import LAYERS
from spatial.settings import InputLayer

__all__ = ["unfit_datum", "unfit_statements", "unused_statements"]


def unfit_statements(name: str, source: Source, spec: InputLayer) -> list[Remark]:
    """A fault for each key of ``[input.<name>]`` that this file or layer has no use for."""
    return [
        fault("input-setting", f"[input.{name}] {key} is given, but {why}", layer=name, remedy=remedy)
        for key, why, remedy in _unfit(name, source, spec)
    ]


def _unfit(name: str, source: Source, spec: InputLayer) -> Iterator[tuple[str, str, str]]:
    """Key, reason, remedy."""
    kind, out = format_of(source.path), "leave it out"
    if spec.status is not None and "status" not in [each.name for each in LAYERS[name].columns]:
        with_status = " and ".join(each for each in LAYERS if each.endswith("_sites"))
        yield "status", f"only {with_status} have one", out
    if kind.read is None:
        if spec.columns:
            yield "columns", f"{source} is a raster", f"{out}, or say with band which band holds the heights"
        if spec.encoding is not None:
            yield "encoding", f"{source} is a raster without text", out
        if spec.swap_xy:
            yield "swap_xy", f"{source} is a raster, which says itself how its cells lie", out
        return
    if spec.band is not None:
        yield "band", f"{source} is no raster", out
    if spec.encoding is not None and not kind.any_encoding:
        yield "encoding", f"the text of a {kind.name} says its encoding itself", out
    if (given := [each for each in ("x", "y") if each in spec.columns]) and not kind.is_table:
        yield f"columns.{' and '.join(given)}", f"{source} holds shapes, not columns of coordinates", out
    elif len(given) == 1:
        yield f"columns.{given[0]}", "a place takes x and y", "name both, or neither"


def unfit_datum(
    name: str, datum: str | None, crs: pyproj.CRS | None, middle: tuple[float, float]
) -> list[Remark]:
    """A fault where the shift of a Chinese map is stated of a layer that lies where there is none."""
    if crs is None or datum not in ("gcj02", "bd09"):
        return []
    lon, lat = (np.array([each]) for each in lon_lat_of(crs, middle))
    shifted_lon, shifted_lat = shifted_from_wgs84(lon, lat, "gcj02")
    if not (np.isfinite(lon) & np.isfinite(lat)).all() or (lon, lat) != (shifted_lon, shifted_lat):
        return []
    text = (
        f"datum {datum} is stated, but {name} lie outside China, where maps carry no such shift "
        f"({lon[0]:.3f}, {lat[0]:.3f})"
    )
    return [fault("input-setting", text, layer=name, remedy="leave datum out, or correct the system (crs)")]


def unused_statements(stated: Mapping[str, InputLayer], found: Mapping[str, object]) -> list[Remark]:
    """A doubt for each table of a layer that no file holds."""
    return [
        doubt(
            "input-unused",
            f"[input.{name}] states how to read the layer, but no file is called like it",
            layer=name,
            remedy=f'name its file, [input.{name}] file = "…", or take the table out',
        )
        for name, spec in stated.items()
        if name in LAYERS and name not in found and spec.file is None and spec.layer is None
    ]
