"""Stretches and alleys as tables of a plan: what is lit where, in metres along each alley."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray

from spatial.network import AlleyNetwork
from spatial.sight import Stretches

__all__ = ["alley_table", "stretch_table", "substrings"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

SLIVER_M = 5e-4  # a shorter stretch is drawn as part of its neighbour
TOUCH_M = 1e-6


def alley_table(network: AlleyNetwork, cut: Stretches, lit: BoolArray) -> GeoDataFrame:
    """Length and lit length of each alley, from the stretches that are lit."""
    alley, n = network.edge_alley[cut.edge], len(network.alleys)
    length_m = np.bincount(alley, cut.length_m, minlength=n)
    lit_m = np.bincount(alley[lit], cut.length_m[lit], minlength=n)
    share = np.divide(lit_m, length_m, out=np.zeros(n), where=length_m > 0)
    columns = network.alleys[["alley_id", "name", "geometry"]]
    return columns.assign(length_m=length_m, lit_m=lit_m, share_lit=share)


def stretch_table(network: AlleyNetwork, cut: Stretches, shining: BoolArray) -> GeoDataFrame:
    """Stretches along the alleys by the number of lamps that reach them, as drawn lines.

    Neighbours with the same number are one; what is shorter than half a millimetre goes with the
    stretch before it.
    """
    alley = network.edge_alley[cut.edge]
    begin_m = network.edge_from_m[cut.edge]
    n_lamps = cut.covers @ shining.astype(np.int64)
    order = np.lexsort((begin_m + cut.from_m, alley))
    alley, n_lamps = alley[order], n_lamps[order]
    from_m, to_m = (begin_m + cut.from_m)[order], (begin_m + cut.to_m)[order]
    run = np.cumsum(np.append(True, (np.diff(alley) > 0) | (from_m[1:] - to_m[:-1] > TOUCH_M))) - 1
    run_from_m, run_to_m = from_m[np.diff(run, prepend=-1) > 0], to_m[np.diff(run, append=len(run)) > 0]
    keep = to_m - from_m >= SLIVER_M
    run, alley, n_lamps, from_m = run[keep], alley[keep], n_lamps[keep], from_m[keep]
    first = np.append(True, (np.diff(run) > 0) | (np.diff(n_lamps) != 0))[: len(run)]
    run, alley, n_lamps, from_m = run[first], alley[first], n_lamps[first], from_m[first]
    opens = np.append(True, np.diff(run) > 0)[: len(run)]
    from_m = np.where(opens, run_from_m[run], from_m)
    to_m = np.where(np.append(opens[1:], True)[: len(run)], run_to_m[run], np.append(from_m[1:], 0.0))
    lit_already = network.alleys["lit"].fillna(False).to_numpy(dtype=bool)[alley]
    return GeoDataFrame(
        {
            "alley_id": network.alleys["alley_id"].to_numpy()[alley],
            "from_m": from_m,
            "length_m": to_m - from_m,
            "lit": (n_lamps > 0) | lit_already,
            "n_lamps": pd.array(n_lamps, dtype="Int64"),
        },
        geometry=substrings(network.alleys.geometry.to_numpy(), alley, from_m, to_m),
        crs=network.alleys.crs,
    )


def substrings(
    lines: NDArray[np.object_], line: IntArray, from_m: FloatArray, to_m: FloatArray
) -> NDArray[np.object_]:
    """The pieces of ``lines[line]`` between two distances, with the vertices in between."""
    coords, owner = shapely.get_coordinates(lines, return_index=True)
    step_m = np.where(owner[1:] == owner[:-1], np.hypot(*np.diff(coords, axis=0).T), 1.0)
    at_m = np.concatenate([[0.0], np.cumsum(step_m)])  # all lines end to end, 1 m apart
    begin_m = at_m[np.searchsorted(owner, np.arange(len(lines)))][line]
    low = np.searchsorted(at_m, begin_m + from_m + TOUCH_M)
    high = np.searchsorted(at_m, begin_m + to_m - TOUCH_M)
    n_inner = np.maximum(high - low, 0)
    piece = np.repeat(np.arange(len(line)), n_inner)
    inner = low[piece] + np.arange(len(piece)) - np.repeat(np.cumsum(n_inner) - n_inner, n_inner)
    ends = [shapely.get_coordinates(shapely.line_interpolate_point(lines[line], m)) for m in (from_m, to_m)]
    rows = np.arange(len(line))
    index = np.concatenate([rows, piece, rows])
    place = np.concatenate([np.full(len(line), -1), inner, np.full(len(line), len(coords))])
    points = np.concatenate([ends[0], coords[inner], ends[1]])
    order = np.lexsort((place, index))
    return shapely.linestrings(points[order], indices=index[order])
