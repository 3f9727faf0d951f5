"""Walking in minutes: slopes and steps make it slower.

Tobler's hiking function [1]_, the mean of the way there and back: 5 km/h on the flat, 4 km/h at a slope of
one in ten. Steps are walked at 2 km/h along the ground, whatever their height [2]_.

References
----------
.. [1] W. Tobler, "Three presentations on geographical analysis and modeling", NCGIA Technical Report 93-1,
   1993.
.. [2] T. Fujiyama and N. Tyler, "An explicit study on walking speeds of pedestrians on stairs", TRANSED 2004.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.load.site import Elevation
from spatial.network.build import AlleyNetwork
from spatial.network.stops import Stops

__all__ = ["FLAT_MIN_PER_M", "in_minutes", "minutes_per_m"]

Floats = NDArray[np.float64]

STEPS_KMH = 2.0
STEEPEST = 1.0  # nobody walks what is steeper: a roof, a spike or a hole in the raster
PIECE_M = 10.0  # heights are read at least so often along an edge
FLAT_MIN_PER_M = 60.0 / (6000.0 * float(np.exp(-3.5 * 0.05)))


def minutes_per_m(network: AlleyNetwork, elevation: Elevation | None) -> Floats:
    """How long a metre of each edge takes, there and back on average: (m,) of minutes.

    Heights are read at the ends of equal pieces of at most 10 m, between the four cells around; a piece
    without a height counts as flat, and so does everything without a raster; steeper than 1 in 1 counts as
    1 in 1.
    """
    pace = np.full(len(network.edge_length_m), FLAT_MIN_PER_M)
    if elevation is not None:
        pace = _on_slopes(network, elevation)
    steps = network.alleys["kind"].eq("steps").fillna(False).to_numpy(dtype=bool)[network.edge_alley]
    return np.where(steps, 60.0 / (1000.0 * STEPS_KMH), pace)


def in_minutes(network: AlleyNetwork, pace: Floats, *stops: Stops) -> tuple[AlleyNetwork, tuple[Stops, ...]]:
    """The network and stops with every length in minutes: walks on them are times.

    The way from the door to the alley is walked on the flat.
    """
    timed = replace(network, edge_length_m=network.edge_length_m * pace)
    return timed, tuple(
        replace(
            each,
            along_m=np.where(each.edge >= 0, each.along_m * pace[each.edge], np.nan),
            offset_m=each.offset_m * FLAT_MIN_PER_M,
        )
        for each in stops
    )


def _on_slopes(network: AlleyNetwork, elevation: Elevation) -> Floats:
    length_m = network.edge_length_m
    n_pieces = np.maximum(np.ceil(length_m / PIECE_M - 1e-9), 1).astype(np.int64)
    edge = np.repeat(np.arange(len(length_m)), n_pieces + 1)
    first = np.concatenate([[0], np.cumsum(n_pieces + 1)[:-1]])
    share = (np.arange(len(edge)) - first[edge]) / n_pieces[edge]
    points = shapely.line_interpolate_point(network.edge_lines[edge], share, normalized=True)
    height_m = elevation.heights_m(shapely.get_coordinates(points))
    within = edge[1:] == edge[:-1]
    piece_m = (length_m / n_pieces)[edge[:-1]]
    slope = np.divide(np.diff(height_m), piece_m, out=np.zeros(len(piece_m)), where=piece_m > 0)
    slope = np.clip(np.where(np.isfinite(slope), slope, 0.0), -STEEPEST, STEEPEST)
    pace = np.bincount(edge[:-1][within], _tobler(slope[within]), minlength=len(length_m))
    return pace / n_pieces


def _tobler(slope: Floats) -> Floats:
    """Minutes per metre on a slope, the mean of up and down."""
    there, back = (6000.0 * np.exp(-3.5 * np.abs(way + 0.05)) / 60.0 for way in (slope, -slope))
    return (1.0 / there + 1.0 / back) / 2.0
