"""How much of everybody's way home is lit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from geopandas import GeoDataFrame
from numpy.typing import NDArray

from spatial.load import Site
from spatial.network import AlleyNetwork, StopGraph, doors, nearest_stop, snap_points, stop_graph
from spatial.settings import Settings

__all__ = ["share_way_lit"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NEAR_M = 0.01
WAYS_IN = ("road", "street")


def share_way_lit(
    site: Site, network: AlleyNetwork, settings: Settings, stretches: GeoDataFrame
) -> pd.Series:
    """The share of the shortest way from the nearest entrance to the door that is lit.

    Entrances are the places of that kind; where there are none, every end of a road or street. The
    offsets from the centre-line are left out.

    Parameters
    ----------
    stretches : GeoDataFrame
        As in the plan: alley_id, from_m, length_m, lit.

    Returns
    -------
    Series of float by household_id
        0 to 1; NaN where no entrance can be reached. A door at an entrance has 1 if it is lit, else 0.
    """
    door = doors(site, network, settings)
    places = site.layer("places")
    entrances = places.loc[places["kind"].eq("entrance").fillna(False)]
    gate = snap_points(network, entrances.geometry.to_numpy(), max_access_m=settings.input.max_access_m)
    graph = stop_graph(network, door, gate)
    door_vertex, gate_vertex = graph.vertex_of
    if not (gate_vertex >= 0).any():
        is_road = network.alleys["kind"].isin(WAYS_IN).to_numpy()[network.edge_alley]
        gate_vertex = np.unique(network.edge_nodes[is_road])
    _, distance_m = nearest_stop(graph, gate_vertex)
    before_m = _lit_before(network, stretches)
    piece_lit_m = _lit_between(network, before_m, graph.piece_edge, graph.piece_from_m, graph.piece_length_m)
    lit_m = _lit_along_ways(graph, distance_m, piece_lit_m)
    known = np.flatnonzero(door_vertex >= 0)
    known = known[np.isfinite(distance_m[door_vertex[known]])]
    way_m = distance_m[door_vertex[known]]
    here_m = _lit_between(
        network,
        before_m,
        door.edge[known],
        np.maximum(door.along_m[known] - NEAR_M, 0.0),
        np.full(len(known), NEAR_M),
    )
    share = np.full(len(door.edge), np.nan)
    share[known] = np.where(way_m > 0, lit_m[door_vertex[known]] / np.maximum(way_m, NEAR_M), here_m > 0)
    return pd.Series(np.clip(share, 0.0, 1.0), index=site.layer("households")["household_id"].to_numpy())


def _lit_before(network: AlleyNetwork, stretches: GeoDataFrame) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Lit metres before each place, all alleys laid end to end: begin of each alley, places, lit metres."""
    begin_m = np.concatenate([[0.0], np.cumsum(network.alleys.length.to_numpy() + 1.0)])
    alley = pd.Index(network.alleys["alley_id"]).get_indexer(stretches["alley_id"])
    from_m = begin_m[alley] + stretches["from_m"].to_numpy(dtype=np.float64)
    lit_m = np.where(
        stretches["lit"].to_numpy(dtype=bool), stretches["length_m"].to_numpy(dtype=np.float64), 0.0
    )
    order = np.argsort(from_m, kind="stable")
    from_m, lit_m = from_m[order], lit_m[order]
    to_m = from_m + stretches["length_m"].to_numpy(dtype=np.float64)[order]
    total_m = np.cumsum(lit_m)
    places = np.column_stack([from_m, to_m]).ravel()
    return begin_m, places, np.column_stack([total_m - lit_m, total_m]).ravel()


def _lit_between(
    network: AlleyNetwork,
    before_m: tuple[FloatArray, FloatArray, FloatArray],
    edge: IntArray,
    from_m: FloatArray,
    length_m: FloatArray,
) -> FloatArray:
    """Lit metres of pieces of edges."""
    begin_m, places, lit_m = before_m
    at_m = begin_m[network.edge_alley[edge]] + network.edge_from_m[edge] + from_m
    return np.interp(at_m + length_m, places, lit_m) - np.interp(at_m, places, lit_m)


def _lit_along_ways(graph: StopGraph, distance_m: FloatArray, piece_lit_m: FloatArray) -> FloatArray:
    """Lit metres of the shortest way to every vertex: each adds its last piece to the way of the one before.

    Lengths are whole multiples of a fixed fraction of a metre, so the last piece is known by equality.
    """
    tail, head = np.concatenate([graph.piece_vertices, graph.piece_vertices[:, ::-1]]).T
    length_m, lit_m = np.tile(graph.piece_length_m, 2), np.tile(piece_lit_m, 2)
    with np.errstate(invalid="ignore"):
        last = np.flatnonzero((length_m > 0) & (distance_m[tail] + length_m == distance_m[head]))
    vertex, first = np.unique(head[last], return_index=True)
    before = np.arange(len(distance_m))
    total_m = np.zeros(len(distance_m))
    before[vertex], total_m[vertex] = tail[last[first]], lit_m[last[first]]
    while (before[before] != before).any():
        total_m, before = total_m + total_m[before], before[before]
    return total_m
