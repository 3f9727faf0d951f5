"""The way home recounted: how much of the shortest way from an entrance to each door is lit.

Where several ways are equally short, any of them will do: the least and the most that such a way can be
lit are recounted, and the plan's share must lie between.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, rows_that
from spatial.audit.light import Light
from spatial.audit.ways import TIE_M, Ways, cut_ways, nearest_of
from spatial.errors import Remark
from spatial.network import doors, snap_points

__all__ = ["HERE_M", "home_faults", "lit_ways", "ways_from_gates"]

HERE_M = 0.01  # a door nearer to an entrance than this has no way home, only a place that is lit or not

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def home_faults(book: Book, light: Light) -> Iterator[Remark]:
    """Households whose share of the way home that is lit is none that a shortest way has."""
    said, known = book.layers["households"], book.site.layer("households")["household_id"]
    row = pd.Index(known).get_indexer(said["household_id"])
    said, row = said[row >= 0], row[row >= 0]
    way_m, least_m, most_m = (each[row] for each in lit_ways(book, light, light.shining))
    share = said["share_way_lit"].to_numpy(float)
    lit_m = share * way_m
    far = way_m > HERE_M
    with np.errstate(invalid="ignore"):
        wrong = far & ((lit_m < least_m - LENGTH_M) | (lit_m > most_m + LENGTH_M))
        wrong |= ~far & (way_m >= 0) & ~np.isin(share, (0.0, 1.0))
    wrong |= np.isnan(way_m) != np.isnan(share)
    text = "are said to have another share of their way home lit than recounted"
    yield from rows_that(wrong, said["household_id"], "figure-differs", text, at="households.share_way_lit")


def ways_from_gates(book: Book) -> tuple[Ways, Floats, Ints]:
    """The ways cut at doors and entrances, metres from the nearest entrance, and the vertex of each door.

    Metres are infinite where no entrance can be reached.
    """
    network, places = book.network, book.site.layer("places")
    entrances = places.loc[(places["kind"] == "entrance").fillna(False)]
    door = doors(book.site, network, book.settings)
    gate = snap_points(network, entrances.geometry.to_numpy(), max_access_m=book.settings.input.max_access_m)
    ways = cut_ways(network, door, gate)
    door_vertex, gate_vertex = ways.vertex
    gate_vertex = gate_vertex[gate_vertex >= 0]
    if not gate_vertex.size:
        is_road = network.alleys["kind"].isin(["road", "street"]).to_numpy(bool)[network.edge_alley]
        gate_vertex = np.unique(network.edge_nodes[is_road])
    if not gate_vertex.size:
        return ways, np.full(ways.n, np.inf), door_vertex
    return ways, nearest_of(ways, gate_vertex), door_vertex


def lit_ways(book: Book, light: Light, lamps: Bools) -> tuple[Floats, Floats, Floats]:
    """Per household of site.gpkg the shortest way from an entrance, and its least and most lit metres.

    NaN where no entrance can be reached.
    """
    ways, from_gate_m, door_vertex = ways_from_gates(book)
    lit_m = light.lit_within(lamps, ways.edge, ways.from_m, ways.from_m + ways.length_m)
    least_m, most_m = _lit_ways(ways, from_gate_m, lit_m)
    reached = door_vertex >= 0
    reached[reached] = np.isfinite(from_gate_m[door_vertex[reached]])
    at_door = [np.where(reached, each[door_vertex], np.nan) for each in (from_gate_m, least_m, most_m)]
    return at_door[0], at_door[1], at_door[2]


def _lit_ways(ways: Ways, from_gate_m: Floats, lit_m: Floats) -> tuple[Floats, Floats]:
    """Least and most lit metres among the shortest ways to each vertex."""
    tail, head = np.concatenate([ways.tail, ways.head]), np.concatenate([ways.head, ways.tail])
    length_m, lit_m = np.tile(ways.length_m, 2), np.tile(lit_m, 2)
    with np.errstate(invalid="ignore"):
        last = np.abs(from_gate_m[tail] + length_m - from_gate_m[head]) <= TIE_M
        last &= from_gate_m[tail] < from_gate_m[head]
    tail, head, lit_m = tail[last], head[last], lit_m[last]
    begins = np.ones(ways.n, bool)
    begins[head] = False
    least_m, most_m = np.where(begins, 0.0, np.inf), np.where(begins, 0.0, -np.inf)
    while True:
        less_m, more_m = least_m.copy(), most_m.copy()
        np.minimum.at(less_m, head, least_m[tail] + lit_m)
        np.maximum.at(more_m, head, most_m[tail] + lit_m)
        if np.array_equal(less_m, least_m) and np.array_equal(more_m, most_m):
            return least_m, most_m
        least_m, most_m = less_m, more_m
