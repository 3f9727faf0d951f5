"""What reading gives: the checked layers of one community in one metric system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
from numpy.typing import NDArray

from spatial.crs import crs_name
from spatial.errors import Remark
from spatial.notebook import table_html
from spatial.schema import LAYERS

__all__ = ["PANDAS_DTYPES", "Elevation", "InputFile", "Site", "contract_frame"]

#: The pandas type of each type in the contract. Text is ``str`` with missing values.
PANDAS_DTYPES = {"text": "str", "int": "Int64", "float": "float64", "bool": "boolean"}


@dataclass(frozen=True)
class InputFile:
    """A file that was read: its name within the community folder and the SHA-256 of its bytes."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Elevation:
    """Heights on a raster in the system of the site."""

    values: NDArray[np.float32]  # (rows, cols) [m], NaN where unknown
    transform: tuple[float, float, float, float, float, float]  # x = a·col + b·row + c, y = d·col + e·row + f

    def heights_m(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Heights at places (n, 2), between the middles of four cells; NaN where one of them is not known."""
        a, b, c, d, e, f = self.transform
        col, row = np.linalg.solve([[a, b], [d, e]], (xy - [c, f]).T) - 0.5
        rows, cols = self.values.shape
        row0, col0 = np.floor(row).astype(np.int64), np.floor(col).astype(np.int64)
        inside = (row0 >= 0) & (col0 >= 0) & (row0 + 1 < rows) & (col0 + 1 < cols)
        height_m = np.full(len(xy), np.nan)
        r, k = row0[inside], col0[inside]
        dy, dx = row[inside] - r, col[inside] - k
        cell = self.values.astype(np.float64)
        height_m[inside] = (1 - dy) * ((1 - dx) * cell[r, k] + dx * cell[r, k + 1]) + dy * (
            (1 - dx) * cell[r + 1, k] + dx * cell[r + 1, k + 1]
        )
        return height_m


@dataclass(frozen=True)
class Site:
    """A community as read: checked layers, keyed as in ``schema.LAYERS``, only those present.

    Every layer has all columns of the contract in their order, rows sorted by id (by geometry
    where there is none), flat single-part lines and points, valid polygons. ``alleys`` and
    ``boundary`` are always there; ``households`` unless there was nothing to take them from.
    """

    community: str  # safe as a file name
    crs: pyproj.CRS  # projected, metres
    layers: Mapping[str, gpd.GeoDataFrame]
    elevation: Elevation | None
    inputs: tuple[InputFile, ...]
    remarks: tuple[Remark, ...]  # doubts and notes of reading

    def layer(self, name: str) -> gpd.GeoDataFrame:
        """The layer of that name, or an empty one with every column of the contract."""
        if name in self.layers:
            return self.layers[name]
        return contract_frame(name, {}, np.empty(0, dtype=object), self.crs)

    def __repr__(self) -> str:
        rows = ", ".join(f"{len(each):,} {name}" for name, each in self.layers.items())
        return f"Site({self.community}, {rows})"

    def _repr_html_(self) -> str:
        """Each layer with its rows and the columns that hold anything, for a notebook."""
        rows = []
        for name, layer in self.layers.items():
            held = [each.name for each in LAYERS[name].columns if layer[each.name].notna().any()]
            rows.append((f"{name} {LAYERS[name].zh}", f"{len(layer):,}", ", ".join(held)))
        title = f"{self.community}, {crs_name(self.crs)}, {len(self.remarks)} doubts and notes of reading"
        return table_html(title, ("layer", "rows", "columns that hold anything"), rows)


def contract_frame(
    name: str, values: Mapping[str, pd.Series], geometry: NDArray[np.object_], crs: pyproj.CRS | None
) -> gpd.GeoDataFrame:
    """A layer with all columns of the contract: those in ``values``, the others empty."""
    index = pd.RangeIndex(len(geometry))
    table = {}
    for column in LAYERS[name].columns:
        dtype = PANDAS_DTYPES[column.dtype]
        given = values.get(column.name)
        table[column.name] = (
            pd.Series(None, index=index, dtype=dtype)
            if given is None
            else given.astype(dtype).set_axis(index)
        )
    return gpd.GeoDataFrame(table, index=index, geometry=gpd.GeoSeries(geometry, index=index, crs=crs))
