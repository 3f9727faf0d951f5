"""The way home: the shortest way from the nearest entrance to each door, and how much of it is lit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spatial.load import Site
from spatial.network import AlleyNetwork, StopGraph, Stops, doors, nearest_stop, snap_points, stop_graph
from spatial.settings import Settings
from spatial.sight import Stretches

__all__ = ["LitAlong", "WaysHome", "ways_home"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NEAR_M = 0.01
WAYS_IN = ("road", "street")


@dataclass(frozen=True)
class WaysHome:
    """The shortest way from the nearest entrance to every door along the centre-lines, offsets left out."""

    door: Stops  # (k,) rows of households
    graph: StopGraph  # cut at doors and entrances
    vertex: IntArray  # (k,) of each door; -1 where no entrance can be reached
    distance_m: FloatArray  # (v,) from the nearest entrance
    before: IntArray  # (v,) the vertex before on the way; itself at an entrance and where there is none
    piece: IntArray  # (v,) the last piece of the way; -1 where there is none

    @property
    def way_m(self) -> FloatArray:
        """Length of each household's way; NaN where no entrance can be reached. [m]"""
        return np.where(self.vertex >= 0, self.distance_m[self.vertex], np.nan)

    def users(self, weight: FloatArray) -> FloatArray:
        """What uses each piece of the network on its way home, for a weight per household row: (p,)."""
        known = self.vertex >= 0
        at_vertex = np.zeros(len(self.before))
        np.add.at(at_vertex, self.vertex[known], weight[known])
        far_first = np.argsort(-self.distance_m, kind="stable")
        return _gathered(far_first, self.before, self.piece, at_vertex, len(self.graph.piece_edge))

    def lit_share(self, lit: LitAlong) -> FloatArray:
        """The share of each way that is lit: 0 to 1; NaN where there is none.

        A door at an entrance has 1 if it is lit, else 0.
        """
        known = np.flatnonzero(self.vertex >= 0)
        vertex, way_m = self.vertex[known], self.way_m[known]
        graph = self.graph
        piece_m = lit.between(graph.piece_edge, graph.piece_from_m, graph.piece_from_m + graph.piece_length_m)
        lit_m = self._along_ways(piece_m)[vertex]
        here = lit.at(self.door.edge[known], self.door.along_m[known])
        share = np.full(len(self.vertex), np.nan)
        share[known] = np.where(way_m > 0, lit_m / np.maximum(way_m, NEAR_M), here)
        return np.clip(share, 0.0, 1.0)

    def _along_ways(self, piece_m: FloatArray) -> FloatArray:
        """Metres of the way to every vertex: each adds its last piece to the way of the one before."""
        before = self.before
        total_m = np.where(self.piece >= 0, piece_m[self.piece], 0.0)
        while (before[before] != before).any():
            total_m, before = total_m + total_m[before], before[before]
        return total_m


class LitAlong:
    """Lit metres of any piece of the network, from the lit metres before each place, edges end to end."""

    def __init__(self, network: AlleyNetwork, cut: Stretches, lit: BoolArray) -> None:
        """``lit`` says which stretches of the cut network are."""
        self._begin_m = np.concatenate([[0.0], np.cumsum(network.edge_length_m)])
        self._length_m = network.edge_length_m
        self._places_m = np.append(self._begin_m[cut.edge] + cut.from_m, self._begin_m[-1])
        self._lit_m = np.concatenate([[0.0], np.cumsum(np.where(lit, cut.length_m, 0.0))])

    def between(self, edge: IntArray, from_m: FloatArray, to_m: FloatArray) -> FloatArray:
        """Lit metres of pieces of edges, as far as they lie on the edge. [m]"""
        upto_m, before_m = (
            np.interp(
                self._begin_m[edge] + np.clip(at_m, 0.0, self._length_m[edge]), self._places_m, self._lit_m
            )
            for at_m in (to_m, from_m)
        )
        return upto_m - before_m

    def at(self, edge: IntArray, along_m: FloatArray) -> BoolArray:
        """Whether light falls within a centimetre of some places."""
        return self.between(edge, along_m - NEAR_M, along_m + NEAR_M) > 0


def ways_home(
    site: Site, network: AlleyNetwork, settings: Settings, *, stops: Stops | None = None
) -> WaysHome:
    """The shortest way from the nearest entrance to each household's door, or to other ``stops``.

    Entrances are the places of that kind; where there are none, every end of a road or street.
    """
    door = doors(site, network, settings) if stops is None else stops
    places = site.layer("places")
    entrances = places.loc[places["kind"].eq("entrance").fillna(False)]
    gate = snap_points(network, entrances.geometry.to_numpy(), max_access_m=settings.input.max_access_m)
    graph = stop_graph(network, door, gate)
    door_vertex, gate_vertex = graph.vertex_of
    if not (gate_vertex >= 0).any():
        is_road = network.alleys["kind"].isin(WAYS_IN).to_numpy()[network.edge_alley]
        gate_vertex = np.unique(network.edge_nodes[is_road])
    _, distance_m = nearest_stop(graph, gate_vertex)
    reached = (door_vertex >= 0) & np.isfinite(distance_m[door_vertex])
    before, piece = _last_pieces(graph, distance_m)
    return WaysHome(door, graph, np.where(reached, door_vertex, -1), distance_m, before, piece)


def _last_pieces(graph: StopGraph, distance_m: FloatArray) -> tuple[IntArray, IntArray]:
    """The vertex before each on its shortest way and the piece between; of several the first.

    Lengths are whole multiples of a fixed fraction of a metre, so the last piece is known by equality.
    """
    n_pieces = len(graph.piece_length_m)
    tail, head = np.concatenate([graph.piece_vertices, graph.piece_vertices[:, ::-1]]).T
    length_m = np.tile(graph.piece_length_m, 2)
    with np.errstate(invalid="ignore"):
        last = np.flatnonzero((length_m > 0) & (distance_m[tail] + length_m == distance_m[head]))
    vertex, first = np.unique(head[last], return_index=True)
    before, piece = np.arange(len(distance_m)), np.full(len(distance_m), -1, dtype=np.int64)
    before[vertex], piece[vertex] = tail[last[first]], last[first] % n_pieces
    return before, piece


@njit(cache=True)
def _gathered(
    far_first: IntArray, before: IntArray, piece: IntArray, at_vertex: FloatArray, n_pieces: int
) -> FloatArray:
    """Weights handed down the ways, from the far end to the entrances: what passes over each piece."""
    passing = at_vertex.copy()
    out = np.zeros(n_pieces)
    for vertex in far_first:
        if piece[vertex] >= 0:
            out[piece[vertex]] += passing[vertex]
            passing[before[vertex]] += passing[vertex]
    return out
