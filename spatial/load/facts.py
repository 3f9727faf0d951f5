"""What is known of a layer as it stands in its file, how it came to be known, and where each row lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.crs import change_crs
from spatial.load.headings import guessed_columns
from spatial.load.raw import RawLayer, Source
from spatial.settings import InputLayer, Settings

__all__ = ["LayerFacts", "RasterFacts", "layer_facts", "spots_on"]

Objects = NDArray[np.object_]


@dataclass(frozen=True)
class RasterFacts:
    """The cells of a raster and their heights."""

    columns: int
    rows: int
    bands: int
    band: int | None  # that was read, 1 is the first; None where it is not clear
    dtype: str
    cell_m: tuple[float, float] | None = None  # width and height; None where the raster lies elsewhere
    low_m: float | None = None  # around the site
    high_m: float | None = None
    share_alleys: float = 0.0  # of their length


@dataclass(frozen=True)
class LayerFacts:
    """One layer of the contract, where it was found and how it was understood.

    How a thing is known is one of ``settings``, ``file``, ``headings``, ``guessed``, or empty: unknown.
    """

    layer: str
    source: Source
    n_rows: int | None = None  # of the file; None where it could not be read
    n_used: int = 0  # after splitting and dropping; 0 where the layer can't be used
    crs: pyproj.CRS | None = None
    crs_by: str = ""
    datum: str | None = None
    datum_by: str = ""
    encoding: str = ""
    encoding_by: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)  # our name -> heading
    guessed: tuple[str, ...] = ()  # those of the columns that were found by an alias
    labels: Objects = field(default_factory=lambda: np.empty(0, dtype=object))  # (n_rows,) as in messages
    geometry: Objects = field(default_factory=lambda: np.empty(0, dtype=object))  # (n_rows,) as in the file
    raster: RasterFacts | None = None  # of a raster that could be opened

    def places(self, crs: pyproj.CRS) -> tuple[Objects, Objects]:
        """Labels and a point in ``crs`` for each row that has a place, also of a faulty layer."""
        if self.crs is None or not len(self.geometry):
            return self.labels[:0], self.geometry[:0]
        able = ~(shapely.is_missing(self.geometry) | shapely.is_empty(self.geometry))
        with np.errstate(all="ignore"):
            points = spots_on(shapely.force_2d(self.geometry[able]))
            points = change_crs(points, self.crs, crs, datum=self.datum)
            sound = np.isfinite(shapely.get_x(points)) & np.isfinite(shapely.get_y(points))
        return self.labels[able][sound], points[sound]


def layer_facts(
    name: str,
    source: Source,
    raw: RawLayer,
    labels: Objects,
    spec: InputLayer,
    settings: Settings,
    *,
    columns: Mapping[str, str],
    crs: pyproj.CRS | None,
) -> LayerFacts:
    """The facts of a layer that was read, whether or not it can be used."""
    return LayerFacts(
        layer=name,
        source=source,
        n_rows=len(raw.geometry),
        crs=crs,
        crs_by=_crs_by(raw, spec, settings) if crs is not None else "",
        datum=spec.datum or raw.datum or settings.input.datum,
        datum_by=_datum_by(raw, spec, settings),
        encoding=raw.encoding or spec.encoding or "UTF-8",
        encoding_by=raw.encoding_by if raw.encoding else "settings" if spec.encoding else "file",
        columns=dict(columns),
        guessed=guessed_columns(name, columns, named=spec.columns),
        labels=labels,
        geometry=raw.geometry,
    )


def _datum_by(raw: RawLayer, spec: InputLayer, settings: Settings) -> str:
    if spec.datum is None and raw.datum is not None:
        return "file"
    return "settings" if spec.datum or settings.input.datum else ""


def _crs_by(raw: RawLayer, spec: InputLayer, settings: Settings) -> str:
    """Whose word the system is, in the order in which they are asked."""
    if spec.crs is not None:
        return "settings"
    if raw.crs is not None:
        return "file"
    if raw.degrees:
        return "headings"
    return "settings" if settings.input.crs is not None else "guessed"


def spots_on(shapes: Objects) -> Objects:
    """A point on each shape: of a line its middle, so that lines that share an end are told apart."""
    lines = shapely.get_type_id(shapes) == shapely.GeometryType.LINESTRING
    spots = shapely.point_on_surface(shapes)
    spots[lines] = shapely.line_interpolate_point(shapes[lines], 0.5, normalized=True)
    return spots
