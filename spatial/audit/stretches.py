"""Stretches of alley: that they tile the network, lie on it, and are lit by as many lamps as they say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pandas import DataFrame

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, rows_that, say
from spatial.audit.light import Light
from spatial.audit.rays import Pieces, Spans, cut_pieces, ranges
from spatial.errors import Remark
from spatial.network import AlleyNetwork

__all__ = ["on_edges", "stretch_faults"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def stretch_faults(book: Book, light: Light) -> Iterator[Remark]:
    """Stretches must tile every alley, lie on it, and be lit by as many lamps as they say."""
    stretches, alleys = book.layers["stretches"], book.network.alleys
    names = stretches["alley_id"]
    row = pd.Index(alleys["alley_id"]).get_indexer(names)
    if (row < 0).any():
        yield from rows_that(row < 0, names, "rows-differ", "are on no alley", at="stretches.alley_id")
        return
    from_m = stretches["from_m"].to_numpy(float)
    to_m = from_m + stretches["length_m"].to_numpy(float)
    yield from _drawn_elsewhere(stretches, alleys.geometry.to_numpy()[row], from_m, to_m)
    edge, stretch, edge_from_m, edge_to_m = on_edges(book.network, row, from_m, to_m)
    shining = light.spans.of(light.shining)
    k = light.shining.size
    both = Spans(
        np.concatenate([shining.line, edge]),
        np.concatenate([shining.lamp, k + stretch]),
        np.concatenate([shining.from_m, edge_from_m]),
        np.concatenate([shining.to_m, edge_to_m]),
    )
    yield from _tiling_faults(book, light, cut_pieces(both, light.length_m), k)


def on_edges(
    network: AlleyNetwork, alley: Ints, from_m: Floats, to_m: Floats
) -> tuple[Ints, Ints, Floats, Floats]:
    """Pieces of alley as pieces of edge: edge, row of the piece, from and to along the edge."""
    start_m = np.concatenate([[0.0], np.cumsum(network.alleys.length.to_numpy() + 1.0)])  # alleys end to end
    order = np.lexsort([network.edge_from_m, network.edge_alley])
    begin = (start_m[network.edge_alley] + network.edge_from_m)[order]
    end = begin + network.edge_length_m[order]
    low, high = start_m[alley] + from_m, start_m[alley] + to_m
    at, piece = ranges(np.searchsorted(end, low, side="right"), np.searchsorted(begin, high, side="left"))
    edge_from_m = np.maximum(low[piece] - begin[at], 0.0)
    edge_to_m = np.minimum(high[piece], end[at]) - begin[at]
    return order[at], piece, edge_from_m, edge_to_m


def _tiling_faults(book: Book, light: Light, pieces: Pieces, k: int) -> Iterator[Remark]:
    """Pieces whose lamp is k or more say which stretch they belong to, the others who lights them."""
    stretches = book.layers["stretches"]
    by_lamp = pieces.lamp < k
    n_lamps = np.bincount(pieces.piece[by_lamp], minlength=pieces.line.size)
    n_stretches = np.bincount(pieces.piece[~by_lamp], minlength=pieces.line.size)
    astray_m = np.bincount(
        light.alley[pieces.line], pieces.length_m * (n_stretches != 1), minlength=light.n_alleys
    )
    astray = f"have {say(float(astray_m.sum()))} m in no stretch or in several"
    alley_ids = book.network.alleys["alley_id"]
    yield from rows_that(astray_m > LENGTH_M, alley_ids, "stretches-astray", astray, at="stretches.alley_id")
    piece, stretch = pieces.piece[~by_lamp], pieces.lamp[~by_lamp] - k
    lit = (n_lamps > 0) | light.lit_already[pieces.line]
    wrong = {
        "n_lamps": n_lamps[piece] != stretches["n_lamps"].to_numpy(float)[stretch],
        "lit": lit[piece] != stretches["lit"].to_numpy(bool)[stretch],
    }
    for column, unlike in wrong.items():
        wrong_m = np.bincount(stretch, pieces.length_m[piece] * unlike, minlength=len(stretches))
        text = f"differ from the recount, over {say(float(wrong_m.sum()))} m"
        at = f"stretches.{column}"
        yield from rows_that(wrong_m > LENGTH_M, stretches["alley_id"], "figure-differs", text, at=at)


def _drawn_elsewhere(
    stretches: DataFrame, lines: NDArray[np.object_], from_m: Floats, to_m: Floats
) -> Iterator[Remark]:
    """Stretches whose drawn line is not the piece of centre-line they say."""
    drawn = stretches.geometry.to_numpy()
    off_m = np.maximum(
        shapely.distance(shapely.get_point(drawn, 0), shapely.line_interpolate_point(lines, from_m)),
        shapely.distance(shapely.get_point(drawn, -1), shapely.line_interpolate_point(lines, to_m)),
    )
    off_m = np.maximum(off_m, np.abs(shapely.length(drawn) - (to_m - from_m)))
    points, owner = shapely.get_coordinates(drawn, return_index=True)
    np.maximum.at(off_m, owner, shapely.distance(shapely.points(points), lines[owner]))
    off = f"are drawn off the piece of alley they name, up to {say(float(off_m.max(initial=0.0)))} m"
    yield from rows_that(
        off_m > LENGTH_M, stretches["alley_id"], "drawn-elsewhere", off, at="stretches.geometry"
    )
