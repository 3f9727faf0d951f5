"""What a metre of light is worth, recounted: near junctions, where elderly people live, on the way home.

The weights of the way home are not computed anew, since of several equally short ways any will do. They
are checked as a flow instead: the households of every door must pass, undiminished, along pieces of
shortest ways to an entrance, and nothing else may.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, say
from spatial.audit.home import ways_from_gates
from spatial.audit.light import Worth
from spatial.audit.rays import Spans, cut_pieces
from spatial.audit.stretches import on_edges
from spatial.audit.ways import TIE_M
from spatial.errors import Remark, fault
from spatial.network import doors

__all__ = ["recount_worth", "worth_faults"]

AROUND_M = 5.0  # of a junction or a bend along the alley
BEND_DEG = 30.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def recount_worth(book: Book) -> Worth:
    """The worth of a metre of every edge: as the plan says for the way home, else recounted."""
    network, lamps = book.network, book.settings.lamps
    n = network.edge_length_m.size
    every, begin = np.arange(n), np.zeros(n)
    if lamps.weight == "elderly":
        elderly = book.site.layer("households")["elderly"].fillna(0).to_numpy(float) > 0
        door = doors(book.site, network, book.settings)
        special = np.isin(every, door.edge[elderly & (door.edge >= 0)])
        return Worth(every, begin, network.edge_length_m, np.where(special, lamps.weight_times, 1.0))
    if lamps.weight == "junctions":
        return _near_junctions(book)
    if lamps.weight == "way-home" and "lamps_per_m" in book.bounds:
        alley, from_m, to_m, per_m = (
            book.bounds[f"lamps_{each}"] for each in ("alley", "from_m", "to_m", "per_m")
        )
        edge, row, edge_from_m, edge_to_m = on_edges(network, alley, from_m, to_m)
        return Worth(edge, edge_from_m, edge_to_m, per_m[row])
    return Worth(every, begin, network.edge_length_m, np.ones(n))


def worth_faults(book: Book, worth: Worth) -> Iterator[Remark]:
    """Weights of the way home that no shortest ways have."""
    if book.settings.lamps.weight != "way-home":
        return
    if "lamps_per_m" not in book.bounds:
        yield fault("worth-missing", "the weights of the way home are not in bounds.npz", layer="lamps")
        return
    ways, from_gate_m, door_vertex = ways_from_gates(book)
    households = book.site.layer("households")["households"].to_numpy(float)
    per_m = worth.at(ways.edge, ways.from_m + ways.length_m / 2)
    with np.errstate(invalid="ignore"):
        towards_tail = np.abs(from_gate_m[ways.tail] + ways.length_m - from_gate_m[ways.head]) <= TIE_M
        towards_head = np.abs(from_gate_m[ways.head] + ways.length_m - from_gate_m[ways.tail]) <= TIE_M
    long = ways.length_m > TIE_M
    astray_m = float((ways.length_m * per_m)[long & ~towards_tail & ~towards_head].sum())
    near, far = np.where(towards_tail, ways.tail, ways.head), np.where(towards_tail, ways.head, ways.tail)
    place = _joined(ways.n, ways.tail[~long], ways.head[~long])
    here = np.zeros(ways.n)
    known = door_vertex >= 0
    known[known] = np.isfinite(from_gate_m[door_vertex[known]])
    np.add.at(here, place[door_vertex[known]], households[known])
    kept = long & (towards_tail | towards_head)
    np.add.at(here, place[near[kept]], per_m[kept])
    np.add.at(here, place[far[kept]], -per_m[kept])
    gate = np.zeros(ways.n, bool)
    gate[place[np.flatnonzero(from_gate_m <= TIE_M)]] = True
    lost = float(np.abs(here[~gate]).max(initial=0.0))
    if astray_m > LENGTH_M or lost > 1e-6 * max(households.sum(), 1.0):
        text = (
            f"the weights of the way home are no shortest ways: {say(astray_m)} household-metres off them, "
            f"{say(lost)} households lost at one place"
        )
        yield fault("worth-differs", text, layer="lamps", column="worth")


def _joined(n: int, tail: Ints, head: Ints) -> Ints:
    """Places that nothing lies between, as one."""
    links = sparse.coo_array((np.ones(tail.size, bool), (tail, head)), shape=(n, n))
    return csgraph.connected_components(links, directed=False)[1].astype(np.int64)


def _near_junctions(book: Book) -> Worth:
    """Spans of 5 m from every end where three alleys meet and on both sides of every bend, and all steps."""
    network, times = book.network, book.settings.lamps.weight_times
    length_m = network.edge_length_m
    meets = np.bincount(network.edge_nodes.ravel(), minlength=len(network.node_xy)) >= 3
    begins, ends = (np.flatnonzero(meets[network.edge_nodes[:, end]]) for end in (0, 1))
    bend, bend_m = _bends(network.edge_lines)
    steps = np.flatnonzero((network.alleys["kind"] == "steps").to_numpy(bool)[network.edge_alley])
    line = np.concatenate([begins, ends, bend, steps])
    from_m = np.concatenate(
        [np.zeros(begins.size), length_m[ends] - AROUND_M, bend_m - AROUND_M, np.zeros(steps.size)]
    )
    to_m = np.concatenate(
        [np.full(begins.size, AROUND_M), length_m[ends], bend_m + AROUND_M, length_m[steps]]
    )
    low, high = np.maximum(from_m, 0.0), np.minimum(to_m, length_m[line])
    pieces = cut_pieces(Spans(line, np.zeros(line.size, np.int64), low, high), length_m)
    return Worth(pieces.line, pieces.from_m, pieces.to_m, np.where(pieces.n_lamps > 0, times, 1.0))


def _bends(lines: NDArray[np.object_]) -> tuple[Ints, Floats]:
    """Inner vertices whose two legs turn by 30 degrees or more: line and metres along it."""
    at, where_m = [], []
    for row in np.flatnonzero(shapely.get_num_coordinates(lines) > 2):
        xy = shapely.get_coordinates(lines[row])
        leg = np.diff(xy, axis=0)
        size = np.hypot(leg[:, 0], leg[:, 1])
        leg, size = leg[size > 0], size[size > 0]
        cosine = (leg[:-1] * leg[1:]).sum(axis=1) / (size[:-1] * size[1:])
        turns = np.flatnonzero(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))) >= BEND_DEG)
        at += [int(row)] * turns.size
        where_m += np.cumsum(size)[turns].tolist()
    return np.array(at, np.int64), np.array(where_m, float)
