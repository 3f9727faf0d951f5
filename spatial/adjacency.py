"""Which households touch along the alleys.

The alleys are divided among the stops: each point of a centre-line belongs to the nearest, of
equally near ones to the lowest row. Two stops touch if their cells meet on an edge, so some alley
joins every touching pair, and across a barrier they touch only where an alley crosses it.

Where a node is equally near to several stops, the lowest row has the node. The others touch that
row there, and not each other: their cells come up to the node but do not hold it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatial.network import AlleyNetwork, StopGraph, Stops, nearest_stop, stop_graph

__all__ = ["Adjacency", "Cells", "touching", "voronoi_cells"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Adjacency:
    """Neighbours of each row of a :class:`Stops`, in compressed rows: symmetric, sorted, without self."""

    indptr: Ints  # (k + 1,)
    indices: Ints  # (d,)
    part: (
        Ints  # (k,) connected component, numbered as the network's parts without the empty ones; -1: no stop
    )


@dataclass(frozen=True)
class Cells:
    """Which piece of each edge belongs to which row; the pieces of an edge add up to it."""

    edge: Ints  # (p,)
    from_m: Floats  # (p,)
    to_m: Floats  # (p,)
    row: Ints  # (p,) lowest row of the nearest stop; -1 in parts without a stop


def touching(network: AlleyNetwork, stops: Stops) -> Adjacency:
    """Rows whose cells touch.

    Rows at one stop all touch each other and all neighbours of that stop. The components
    are the parts of the network, since the cells of a part leave no gap in it.

    Parameters
    ----------
    network : AlleyNetwork
    stops : Stops, k rows

    Returns
    -------
    Adjacency
    """
    graph = stop_graph(network, stops)
    row, _ = nearest_stop(graph, graph.vertex_of[0])
    a, b = np.sort(row[graph.piece_vertices], axis=1).T
    meet = (a != b) & (a >= 0)
    pairs = np.unique(np.column_stack([a[meet], b[meet]]), axis=0)
    first, number = np.unique(graph.vertex_of[0], return_inverse=True)
    served = np.flatnonzero(stops.edge >= 0)
    # a stop is adjacent to itself, so that its rows come to touch each other
    here = np.unique(number[served])
    stop_a = np.concatenate([number[pairs[:, 0]], number[pairs[:, 1]], here])
    stop_b = np.concatenate([number[pairs[:, 1]], number[pairs[:, 0]], here])
    indptr, indices = _rows_of_stops(number, stop_a, stop_b, n_stops=len(first), served=served)
    part = np.full(len(stops), -1, dtype=np.int64)
    part[served] = np.unique(stops.part[served], return_inverse=True)[1]
    return Adjacency(indptr, indices, part)


def voronoi_cells(network: AlleyNetwork, stops: Stops) -> Cells:
    """Divide the alleys among the rows, each point to the row nearest along the network.

    Parameters
    ----------
    network : AlleyNetwork
    stops : Stops, k rows

    Returns
    -------
    Cells
        Sorted by edge and position; neighbouring pieces of one row are one.
    """
    graph = stop_graph(network, stops)
    row, distance_m = nearest_stop(graph, graph.vertex_of[0])
    a, b = graph.piece_vertices.T
    split_m = np.where(row[a] == row[b], graph.piece_length_m, _border_m(graph, distance_m))
    start_m = np.stack([graph.piece_from_m, graph.piece_from_m + split_m], axis=1).ravel()
    length_m = np.stack([split_m, graph.piece_length_m - split_m], axis=1).ravel()
    owner, edge = np.stack([row[a], row[b]], axis=1).ravel(), np.repeat(graph.piece_edge, 2)
    some = length_m > 0
    owner, edge, start_m = owner[some], edge[some], start_m[some]
    fresh = (np.diff(edge, prepend=-1) != 0) | (np.diff(owner, prepend=-2) != 0)
    edge, from_m, owner = edge[fresh], start_m[fresh], owner[fresh]
    is_last = np.diff(edge, append=-1) != 0
    to_m = np.where(is_last, network.edge_length_m[edge], np.roll(from_m, -1))
    return Cells(edge, from_m, to_m, owner)


def _border_m(graph: StopGraph, distance_m: Floats) -> Floats:
    """Where on each piece the ways to the stops nearest to its two vertices are equally long."""
    at_a, at_b = distance_m[graph.piece_vertices].T
    known = np.isfinite(at_a) & np.isfinite(at_b)
    lead_m = np.subtract(at_b, at_a, out=np.zeros_like(at_a), where=known)
    return np.clip((graph.piece_length_m + lead_m) / 2, 0.0, graph.piece_length_m)


def _rows_of_stops(
    number: Ints, stop_a: Ints, stop_b: Ints, *, n_stops: int, served: Ints
) -> tuple[Ints, Ints]:
    """From pairs of stops to pairs of rows: compressed rows, sorted, without self."""
    members = served[np.argsort(number[served], kind="stable")]
    first = np.searchsorted(number[members], np.arange(n_stops + 1))
    order = np.lexsort((stop_b, stop_a))
    stop_a, stop_b = stop_a[order], stop_b[order]
    at = np.searchsorted(stop_a, np.arange(n_stops + 1))
    row, link = _spread(served, at[number[served]], at[number[served] + 1])
    row, place = _spread(row, first[stop_b[link]], first[stop_b[link] + 1])
    other = members[place]
    row, other = row[row != other], other[row != other]
    order = np.lexsort((other, row))
    indptr = np.searchsorted(row[order], np.arange(len(number) + 1)).astype(np.int64)
    return indptr, np.ascontiguousarray(other[order])


def _spread(row: Ints, start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """Each row once for every number in its range, and those numbers."""
    n = stop - start
    offset = np.repeat(start - np.concatenate([[0], np.cumsum(n)[:-1]]), n) if len(n) else n
    return np.repeat(row, n), offset + np.arange(n.sum())
