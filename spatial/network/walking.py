"""Walking distances along the network, exact and the same there and back.

Stops become vertices of a graph. Its arc lengths are whole multiples of 2**-26 m (15 nm), so sums
of them have no rounding error: a distance depends neither on the direction of the walk nor on
the other stops on the way, and ties are true ties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spatial.network.build import AlleyNetwork
from spatial.network.stops import Stops

__all__ = ["StopGraph", "Walks", "nearest_stop", "stop_graph", "walks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]

QUANTUM_PER_M = float(2**26)
#: Sources walked from in one go: bounds the memory beside the result.
SOURCES_AT_ONCE = 2048


@dataclass(frozen=True)
class StopGraph:
    """The network with stops as vertices: first its nodes, then the stops in mid-edge.

    A *piece* is what lies between neighbouring vertices of an edge; pieces are sorted by edge and position.
    """

    vertex_of: tuple[Ints, ...]  # for each Stops given, the vertex of each row; -1 where it has no stop
    piece_edge: Ints  # (p,)
    piece_from_m: Floats  # (p,) along the edge
    piece_length_m: Floats  # (p,)
    piece_vertices: Ints  # (p, 2)
    indptr: Ints  # (v + 1,) arcs by vertex, either way
    indices: Ints  # (a,)
    length_m: Floats  # (a,)


@dataclass(frozen=True)
class Walks:
    """Distances from sources to targets in compressed rows; pairs that are too far are absent."""

    indptr: Ints  # (k + 1,)
    indices: Ints32  # (d,) rows of the targets, sorted within each source
    distance_m: Floats  # (d,)


def stop_graph(network: AlleyNetwork, *stops: Stops) -> StopGraph:
    """The graph of network nodes and stops; stops in the same place are one vertex."""
    n_nodes = len(network.node_xy)
    length_m = _whole(network.edge_length_m)
    edge = np.concatenate([each.edge for each in stops])
    along_m = _whole(np.concatenate([each.along_m for each in stops]))
    served = np.flatnonzero(edge >= 0)
    edge, along_m = edge[served], along_m[served]
    inner = (along_m > 0) & (along_m < length_m[edge])
    vertex = network.edge_nodes[edge, (along_m > 0).astype(np.int64)]
    order = np.lexsort((along_m[inner], edge[inner]))
    at_edge, at_m = edge[inner][order], along_m[inner][order]
    fresh = (np.diff(at_edge, prepend=-1) != 0) | (np.diff(at_m, prepend=-1.0) != 0)
    number = np.empty(len(order), dtype=np.int64)
    number[order] = n_nodes + np.cumsum(fresh) - 1
    vertex[inner] = number
    every = np.full(sum(map(len, stops)), -1, dtype=np.int64)
    every[served] = vertex
    borders = np.cumsum([len(each) for each in stops])[:-1]
    pieces = _pieces(network.edge_nodes, length_m, at_edge[fresh], at_m[fresh])
    n_vertices = n_nodes + int(fresh.sum())
    return StopGraph(tuple(np.split(every, borders)), *pieces, *_arcs(pieces[3], pieces[2], n_vertices))


def walks(network: AlleyNetwork, sources: Stops, targets: Stops, *, limit_m: float = np.inf) -> Walks:
    """Distances along the network from each source to each target, without the offsets.

    Dijkstra's algorithm [1]_ from each stop, ended at ``limit_m``.

    Parameters
    ----------
    network : AlleyNetwork
    sources, targets : Stops, k and j rows
    limit_m : float
        Pairs farther than this are absent; so are pairs in different parts. [m]

    Returns
    -------
    Walks
        Row per source. From stops to themselves it is symmetric, to the last bit.

    References
    ----------
    .. [1] E. W. Dijkstra, "A note on two problems in connexion with graphs", Numerische Mathematik 1,
       1959, pp. 269-271.
    """
    graph = stop_graph(network, sources, targets)
    from_vertex, to_vertex = graph.vertex_of
    rows = np.argsort(to_vertex, kind="stable").astype(np.int32)
    rows = rows[to_vertex[rows] >= 0]
    row_indptr = np.searchsorted(to_vertex[rows], np.arange(len(graph.indptr))).astype(np.int64)
    indptr = np.zeros(len(sources) + 1, dtype=np.int64)
    indices, distance_m = np.empty(0, dtype=np.int32), np.empty(0)
    for first in range(0, len(sources), SOURCES_AT_ONCE):
        some = from_vertex[first : first + SOURCES_AT_ONCE]
        found = _walks_from(graph, some, row_indptr, rows, n_rows=len(targets), limit_m=float(limit_m))
        before = indptr[first]
        indptr[first + 1 : first + 1 + len(some)] = before + found.indptr[1:]
        # grown in place, so that there is never a second copy of the whole result
        for grown, more in ((indices, found.indices), (distance_m, found.data)):
            grown.resize(before + len(more), refcheck=False)
            grown[before:] = more
    return Walks(indptr, indices, distance_m)


def nearest_stop(graph: StopGraph, vertex: Ints) -> tuple[Ints, Floats]:
    """The nearest of several rows for every vertex of the graph; of equally near ones the lowest row.

    Parameters
    ----------
    graph : StopGraph
    vertex : int array, shape (k,)
        Where each row stops; -1: nowhere.

    Returns
    -------
    row : int array
        -1 where no row can be reached.
    distance_m : float array
        Infinite where no row can be reached.
    """
    served = np.flatnonzero(vertex >= 0)
    start, first = np.unique(vertex[served], return_index=True)
    return _nearest(graph.indptr, graph.indices, graph.length_m, start, served[first])


def _whole(length_m: Floats) -> Floats:
    return np.round(length_m * QUANTUM_PER_M) / QUANTUM_PER_M


def _pieces(
    edge_nodes: Ints, length_m: Floats, at_edge: Ints, at_m: Floats
) -> tuple[Ints, Floats, Floats, Ints]:
    """Cut edges at the stops in their interior: edge, from_m, length_m and vertices of each piece."""
    n_edges, n_stops, first_stop = len(length_m), len(at_m), int(edge_nodes.max(initial=-1)) + 1
    edge = np.concatenate([np.arange(n_edges), at_edge])
    from_m = np.concatenate([np.zeros(n_edges), at_m])
    vertex = np.concatenate([edge_nodes[:, 0], first_stop + np.arange(n_stops)])
    order = np.lexsort((from_m, edge))
    edge, from_m, vertex = edge[order], from_m[order], vertex[order]
    is_last = np.diff(edge, append=n_edges) != 0
    to_m = np.where(is_last, length_m[edge], np.roll(from_m, -1))
    to_vertex = np.where(is_last, edge_nodes[edge, 1], np.roll(vertex, -1))
    return edge, from_m, to_m - from_m, np.column_stack([vertex, to_vertex])


def _arcs(vertices: Ints, length_m: Floats, n_vertices: int) -> tuple[Ints, Ints, Floats]:
    """Pieces as arcs either way, in compressed rows; parallel arcs stay apart."""
    tail, head = np.concatenate([vertices, vertices[:, ::-1]]).T
    order = np.argsort(tail, kind="stable")
    indptr = np.searchsorted(tail[order], np.arange(n_vertices + 1)).astype(np.int64)
    return indptr, np.ascontiguousarray(head[order]), np.tile(length_m, 2)[order]


def _walks_from(
    graph: StopGraph, vertex: Ints, row_indptr: Ints, rows: Ints32, *, n_rows: int, limit_m: float
) -> csr_array:
    """Walks from some sources to all rows: walked once from each vertex, repeated where sources share it."""
    start, place = np.unique(vertex, return_inverse=True)
    indptr, indices, distance_m = _walks(
        graph.indptr, graph.indices, graph.length_m, start, row_indptr, rows, limit_m
    )
    found = csr_array((distance_m, indices, indptr), shape=(len(start), n_rows))
    found.sort_indices()
    return found[place]


@njit(cache=True)
def _push(key, item, size, new_key, new_item):  # type: ignore[no-untyped-def]
    """Put an item on a binary heap with the least key on top."""
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if key[above] <= new_key:
            break
        key[at], item[at] = key[above], item[above]
        at = above
    key[at], item[at] = new_key, new_item
    return size + 1


@njit(cache=True)
def _pop(key, item, size):  # type: ignore[no-untyped-def]
    """Take the top off a binary heap: it is left at ``size - 1``, behind the rest."""
    size -= 1
    top_key, top_item = key[0], item[0]
    last_key, last_item = key[size], item[size]
    at = 0
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and key[below + 1] < key[below]:
            below += 1
        if key[below] >= last_key:
            break
        key[at], item[at] = key[below], item[below]
        at = below
    key[at], item[at] = last_key, last_item
    key[size], item[size] = top_key, top_item
    return size


@njit(cache=True)
def _walks(indptr, indices, length_m, start, row_indptr, rows, limit_m):  # type: ignore[no-untyped-def]
    """Dijkstra from each start to all rows within the limit; rows are given in compressed form by vertex.

    A start of -1, nowhere, reaches none.
    """
    n = len(indptr) - 1
    best = np.full(n, np.inf)
    heap_m, heap = np.empty(len(indices) + 1), np.empty(len(indices) + 1, dtype=np.int64)
    touched = np.empty(n, dtype=np.int64)
    out_indptr = np.zeros(len(start) + 1, dtype=np.int64)
    out_rows, out_m = np.empty(1024, dtype=np.int32), np.empty(1024)
    n_out = 0
    for k in range(len(start)):
        if start[k] < 0:
            out_indptr[k + 1] = n_out
            continue
        best[start[k]] = 0.0
        touched[0] = start[k]
        n_touched = 1
        size = _push(heap_m, heap, 0, 0.0, start[k])
        while size > 0:
            size = _pop(heap_m, heap, size)
            at_m, at = heap_m[size], heap[size]
            if at_m > best[at]:
                continue
            n_rows = row_indptr[at + 1] - row_indptr[at]
            if n_out + n_rows > len(out_rows):
                room = 2 * (n_out + n_rows)
                more_rows, more_m = np.empty(room, dtype=np.int32), np.empty(room)
                for old in range(n_out):
                    more_rows[old], more_m[old] = out_rows[old], out_m[old]
                out_rows, out_m = more_rows, more_m
            for row in range(row_indptr[at], row_indptr[at + 1]):
                out_rows[n_out], out_m[n_out] = rows[row], at_m
                n_out += 1
            for arc in range(indptr[at], indptr[at + 1]):
                to, to_m = indices[arc], at_m + length_m[arc]
                if to_m < best[to] and to_m <= limit_m:
                    if best[to] == np.inf:
                        touched[n_touched] = to
                        n_touched += 1
                    best[to] = to_m
                    size = _push(heap_m, heap, size, to_m, to)
        for past in range(n_touched):
            best[touched[past]] = np.inf
        out_indptr[k + 1] = n_out
    return out_indptr, out_rows[:n_out], out_m[:n_out]


@njit(cache=True)
def _nearest(indptr, indices, length_m, start, row):  # type: ignore[no-untyped-def]
    """Dijkstra from all starts at once; a vertex equally near to several rows goes to the lowest."""
    n = len(indptr) - 1
    owner, best = np.full(n, -1, dtype=np.int64), np.full(n, np.inf)
    room = len(indices) + len(start) + 1
    heap_m, heap = np.empty(room), np.empty(room, dtype=np.int64)
    size = 0
    for k in range(len(start)):
        owner[start[k]], best[start[k]] = row[k], 0.0
        size = _push(heap_m, heap, size, 0.0, start[k])
    while size > 0:
        size = _pop(heap_m, heap, size)
        at_m, at = heap_m[size], heap[size]
        if at_m > best[at]:
            continue
        for arc in range(indptr[at], indptr[at + 1]):
            to, to_m = indices[arc], at_m + length_m[arc]
            if to_m < best[to] or (to_m == best[to] and owner[at] < owner[to]):
                if to_m < best[to]:
                    size = _push(heap_m, heap, size, to_m, to)
                owner[to], best[to] = owner[at], to_m
    return owner, best
