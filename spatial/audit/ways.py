"""The alleys as a graph cut at every door, walking distances on it, and which ground belongs to whom.

Distances are scipy's Dijkstra on the cut graph. The ground of a grid is every place whose nearest door
is one of its own; a grid is in one piece where its ground is. Nearest doors are found by relaxing all
edges at once until nothing changes (Bellman-Ford), and ties within a micrometre belong to all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from spatial.network import AlleyNetwork, Stops

__all__ = ["TIE_M", "Ground", "Ways", "cut_ways", "far_from", "ground_of", "nearest_of"]

TIE_M = 1e-6  # doors this close to equally near are equally near

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ways:
    """The network cut at stops: ``tail``, ``head``, ``length_m`` and place per piece of way, each once;
    ``vertex`` holds for every set of stops given the vertex of each stop (−1: no stop)."""

    tail: Ints
    head: Ints
    length_m: Floats
    edge: Ints
    from_m: Floats  # along the edge
    n: int
    vertex: tuple[Ints, ...]

    def matrix(self) -> sparse.csr_array:
        """Both directions of every piece; of parallel ones the shortest, none from a vertex to itself."""
        tail, head = np.concatenate([self.tail, self.head]), np.concatenate([self.head, self.tail])
        length_m = np.tile(self.length_m, 2)
        order = np.lexsort([length_m, head, tail])
        tail, head, length_m = tail[order], head[order], length_m[order]
        first = np.r_[True, (np.diff(tail) != 0) | (np.diff(head) != 0)] & (tail != head)
        return sparse.csr_array((length_m[first], (tail[first], head[first])), shape=(self.n, self.n))


def cut_ways(network: AlleyNetwork, *stops: Stops) -> Ways:
    """Cut every edge of the network at every stop on it."""
    edge = np.concatenate([each.edge for each in stops])
    along_m = np.concatenate([each.along_m for each in stops])
    on = np.flatnonzero(edge >= 0)
    length_m = network.edge_length_m
    m, n = length_m.size, network.node_xy.shape[0]
    whole = np.arange(m)
    at_edge = np.concatenate([whole, whole, edge[on]])
    at_m = np.concatenate([np.zeros(m), length_m, np.clip(along_m[on], 0.0, length_m[edge[on]])])
    marks, where = np.unique(np.column_stack([at_edge, at_m]), axis=0, return_inverse=True)
    where = where.ravel()
    vertex_of = np.full(len(marks), -1, np.int64)
    vertex_of[where[:m]] = network.edge_nodes[:, 0]
    vertex_of[where[m : 2 * m]] = network.edge_nodes[:, 1]
    new = np.flatnonzero(vertex_of < 0)
    vertex_of[new] = n + np.arange(new.size)
    inner = np.flatnonzero(marks[:-1, 0] == marks[1:, 0])
    vertex = np.full(edge.size, -1, np.int64)
    vertex[on] = vertex_of[where[2 * m :]]
    ends = np.cumsum([each.edge.size for each in stops])[:-1]
    return Ways(
        vertex_of[inner],
        vertex_of[inner + 1],
        marks[inner + 1, 1] - marks[inner, 1],
        marks[inner, 0].astype(np.int64),
        marks[inner, 1],
        n + new.size,
        tuple(np.split(vertex, ends)),
    )


def far_from(ways: Ways, sources: Ints, *, limit_m: float = np.inf) -> Floats:
    """Walking distances from some vertices to all, shape (sources, n); infinite beyond the limit. [m]"""
    return np.atleast_2d(csgraph.dijkstra(ways.matrix(), directed=False, indices=sources, limit=limit_m))


@dataclass(frozen=True)
class Ground:
    """Whose each vertex is: ``own`` (n, K), true for the label of every nearest stop, ties to all.

    ``nearest_m`` is the distance to the nearest stop, infinite where there is none.
    """

    ways: Ways
    own: sparse.csr_array
    nearest_m: Floats

    def pieces(self, vertex: Ints, label: Ints) -> Ints:
        """Which piece of its label's ground each stop stands in, numbered through all labels."""
        k = self.own.shape[1]
        keys = np.sort(_keys(self.own))
        tail, head = self.ways.tail, self.ways.head
        shared = self.own[tail].multiply(self.own[head]).tocoo()
        one = np.searchsorted(keys, tail[shared.row] * k + shared.col)
        other = np.searchsorted(keys, head[shared.row] * k + shared.col)
        joined = sparse.coo_array((np.ones(one.size, bool), (one, other)), shape=(keys.size, keys.size))
        _, piece = csgraph.connected_components(joined, directed=False)
        return piece[np.searchsorted(keys, vertex * k + label)].astype(np.int64)

    def neighbours(self) -> sparse.csr_array:
        """Which labels' grounds meet somewhere on the ways, each with itself: bool (K, K), symmetric."""
        own = self.own.astype(np.int64)
        across = own[self.ways.tail].T @ own[self.ways.head]
        return (across + across.T + own.T @ own).astype(bool).tocsr()

    def metres(self, place: Ints, n_places: int) -> tuple[sparse.csr_array, sparse.csr_array]:
        """Metres of way per place and label, each of shape (places, K): its alone, and its or shared.

        Parameters
        ----------
        place : int array, one per piece of way
            What the metres are added up by.
        """
        tail, head, length_m = self.ways.tail, self.ways.head, self.ways.length_m
        lead_m = np.zeros(length_m.size)
        known = np.isfinite(self.nearest_m[tail])
        lead_m[known] = self.nearest_m[head[known]] - self.nearest_m[tail[known]]
        to_tail_m = np.clip((length_m + lead_m) / 2, 0.0, length_m)
        owners = self.own[np.concatenate([tail, head])].tocoo()
        metres = np.concatenate([to_tail_m, length_m - to_tail_m])[owners.row]
        at = np.tile(place, 2)[owners.row], owners.col
        sole = np.bincount(owners.row, minlength=2 * length_m.size)[owners.row] == 1
        shape = (n_places, self.own.shape[1])
        alone = sparse.coo_array((metres * sole, at), shape=shape)
        return alone.tocsr(), sparse.coo_array((metres, at), shape=shape).tocsr()


def ground_of(ways: Ways, vertex: Ints, label: Ints, n_labels: int) -> Ground:
    """Share out the ways: each place to the labels of its nearest stops.

    Parameters
    ----------
    ways : Ways
    vertex, label : int arrays, one per stop
        Where the stop is, and whose it is (0 to K−1).
    """
    nearest_m = nearest_of(ways, vertex)
    tail, head = np.concatenate([ways.tail, ways.head]), np.concatenate([ways.head, ways.tail])
    with np.errstate(invalid="ignore"):
        tight = nearest_m[tail] + np.tile(ways.length_m, 2) <= nearest_m[head] + TIE_M
    tight &= np.isfinite(nearest_m[head])
    shape = (ways.n, ways.n)
    handed = sparse.csr_array((np.ones(int(tight.sum()), bool), (head[tight], tail[tight])), shape=shape)
    own = sparse.csr_array((np.ones(vertex.size, bool), (vertex, label)), shape=(ways.n, n_labels))
    own.sum_duplicates()
    while True:
        more = ((handed @ own) + own).astype(bool)
        if more.nnz == own.nnz:
            return Ground(ways, more, nearest_m)
        own = more


def nearest_of(ways: Ways, vertex: Ints) -> Floats:
    """Distance of every vertex to its nearest stop, by relaxing all pieces of way until none helps. [m]"""
    nearest_m = np.full(ways.n, np.inf)
    nearest_m[vertex] = 0.0
    while True:
        relaxed = nearest_m.copy()
        np.minimum.at(relaxed, ways.head, nearest_m[ways.tail] + ways.length_m)
        np.minimum.at(relaxed, ways.tail, nearest_m[ways.head] + ways.length_m)
        if np.array_equal(relaxed, nearest_m):
            return nearest_m
        nearest_m = relaxed


def _keys(own: sparse.csr_array) -> Ints:
    entries = own.tocoo()
    return entries.row.astype(np.int64) * own.shape[1] + entries.col
