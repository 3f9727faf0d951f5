"""Shapes and rows as the plain values a page holds: whole millionths of a degree, texts and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoSeries
from numpy.typing import NDArray

__all__ = ["Sketch", "View", "records", "texts"]

View = dict[str, Any]

_SIMPLIFY_M = 0.15  # what a pixel can't show at the closest zoom of a phone


@dataclass(frozen=True)
class Sketch:
    """Shapes as whole millionths of a degree (about 0.1 m) from a corner, each point a step from the last."""

    west: float
    south: float

    def points(self, shapes: GeoSeries) -> list[list[int] | None]:
        """``[east, north]`` of each point, None where a row has none."""
        whole, owner = self._whole(shapes.to_crs(4326).to_numpy())
        places: list[list[int] | None] = [None] * len(shapes)
        for row, place in zip(owner.tolist(), whole.tolist(), strict=True):
            places[row] = place
        return places

    def lines(self, shapes: GeoSeries) -> list[list[int]]:
        """``[east, north, step, step, …]`` of each line, in order of rows."""
        parts = shapely.get_parts(shapes.simplify(_SIMPLIFY_M).to_crs(4326).to_numpy())
        return self._steps(parts)

    def areas(self, shapes: GeoSeries) -> list[list[list[int]]]:
        """Each polygon as its rings, the outer one first; each part of a multipolygon is a polygon."""
        return [polygon for row in self.areas_by_row(shapes.simplify(_SIMPLIFY_M)) for polygon in row]

    def areas_by_row(self, shapes: GeoSeries) -> list[list[list[list[int]]]]:
        """For each row its polygons as rings, unsimplified, so that neighbours keep their common border."""
        polygons, row = shapely.get_parts(shapes.to_crs(4326).to_numpy(), return_index=True)
        rings, polygon = shapely.get_rings(polygons, return_index=True)
        rows: list[list[list[list[int]]]] = [[] for _ in range(len(shapes))]
        by_polygon: list[list[list[int]]] = [[] for _ in range(len(polygons))]
        for at, ring in zip(polygon.tolist(), self._steps(rings), strict=True):
            by_polygon[at].append(ring)
        for at, each in zip(row.tolist(), by_polygon, strict=True):
            rows[at].append(each)
        return rows

    def _steps(self, shapes: NDArray[Any]) -> list[list[int]]:
        whole, owner = self._whole(shapes)
        step = np.diff(whole, axis=0, prepend=np.zeros((1, 2), dtype=np.int64))
        first = np.diff(owner, prepend=-1) != 0
        step[first] = whole[first]
        kept = first | step.any(axis=1)
        ends = np.cumsum(np.bincount(owner[kept], minlength=len(shapes)))[:-1]
        return [each.ravel().tolist() for each in np.split(step[kept], ends)] if len(shapes) else []

    def _whole(self, shapes: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        degrees, owner = shapely.get_coordinates(shapes, return_index=True)
        return np.rint((degrees - (self.west, self.south)) * 1e6).astype(np.int64), owner


def records(rows: pd.DataFrame, columns: Sequence[str]) -> list[View]:
    """Rows as dicts of text, whole numbers and figures to two places; what is empty is None."""
    values = {name: _values(rows[name]) for name in columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _values(column: pd.Series) -> list[Any]:
    if pd.api.types.is_float_dtype(column):
        column = column.round(2)
    return [None if pd.isna(each) else getattr(each, "item", lambda each=each: each)() for each in column]


def texts(column: pd.Series) -> list[str | None]:
    return [None if pd.isna(each) else str(each) for each in column]
