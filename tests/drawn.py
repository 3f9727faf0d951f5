"""Small sites drawn by hand, and random ones for laws: alleys as lists of corners in metres."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
from hypothesis import strategies as st
from shapely.geometry import LineString, Point
from shapely.geometry.base import BaseGeometry

from spatial.load import Site
from spatial.load.site import contract_frame
from spatial.network import AlleyNetwork, build_network
from spatial.settings import Settings, read_settings

CRS = pyproj.CRS.from_epsg(4548)
Corners = Sequence[tuple[float, float]]


def drawn_site(
    alleys: Mapping[str, Corners],
    *,
    bridges: Sequence[str] = (),
    households: Sequence[BaseGeometry] = (),
    barriers: Sequence[BaseGeometry] = (),
) -> Site:
    """A site with the layers given; households and barriers are numbered in their order."""
    layers = {
        "alleys": layer(
            "alleys",
            [LineString(each) for each in alleys.values()],
            alley_id=list(alleys),
            bridge=[each in bridges for each in alleys],
        ),
        "households": layer(
            "households",
            households,
            household_id=[f"H{row:04}" for row in range(len(households))],
            households=[1] * len(households),
        ),
        "barriers": layer("barriers", barriers, barrier_id=[f"B{row}" for row in range(len(barriers))]),
    }
    return Site("drawn", CRS, layers, None, (), ())


def layer(name: str, shapes: Sequence[BaseGeometry], /, **columns: Sequence[object]) -> gpd.GeoDataFrame:
    geometry = np.empty(len(shapes), dtype=object)
    geometry[:] = list(shapes)
    return contract_frame(name, {key: pd.Series(each) for key, each in columns.items()}, geometry, CRS)


def drawn_network(
    alleys: Mapping[str, Corners], *, snap_m: float = 0.5, bridges: Sequence[str] = ()
) -> AlleyNetwork:
    return build_network(drawn_site(alleys, bridges=bridges), snapping(snap_m))


def snapping(snap_m: float) -> Settings:
    return read_settings(overrides=[f"input.snap_m={snap_m}"])


def spots(*xy: tuple[float, float]) -> list[Point]:
    return [Point(each) for each in xy]


def named(lines: Sequence[Corners]) -> dict[str, Corners]:
    return {f"A{row:02}": line for row, line in enumerate(lines)}


def on_grid(*, cells: int, step_m: float) -> st.SearchStrategy[dict[str, Corners]]:
    """Alleys with corners on a square grid: overlaps, doubles and crossings in plenty."""
    corner = st.tuples(*[st.integers(0, cells).map(lambda at: at * step_m)] * 2)
    return _alleys(corner)


def off_grid(*, cells: int) -> st.SearchStrategy[dict[str, Corners]]:
    """Alleys with irregular corners, so that no two ways are equally long."""
    corner = st.tuples(st.integers(0, cells), st.integers(0, cells)).map(irregular)
    return _alleys(corner)


def irregular(at: tuple[int, int]) -> tuple[float, float]:
    x, y = at
    return x + 0.3 * math.sin(12.9898 * x + 78.233 * y), y + 0.3 * math.sin(39.346 * x + 11.135 * y)


def _alleys(corner: st.SearchStrategy[tuple[float, float]]) -> st.SearchStrategy[dict[str, Corners]]:
    line = st.lists(corner, min_size=2, max_size=4).filter(lambda each: LineString(each).length > 0.01)
    return st.lists(line, min_size=1, max_size=7).map(named)
