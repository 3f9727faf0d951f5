"""Cut lines where they meet, and keep the book of which piece belongs to which line.

Every segment is compared with every segment within 1 mm. Where two meet, the place is written
down as a position along each of the two lines; positions within 1 mm on one line are one place,
and places that meet are one node. No line loses its id, and the pieces of a line add up to its
length because they are cut by position.

Lines of different class (level, bridge, tunnel) pass each other in mid-line. They meet where both
end, and where one ends on a drawn vertex of the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["TOUCH_M", "Noding", "connected", "doubled_edges", "node_lines"]

#: What is nearer than this is in the same place. [m]
TOUCH_M = 1e-3

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Noding:
    """Lines cut at their common places.

    A *mark* is one place on one line; marks are sorted by line and position.
    """

    mark_line: Ints  # (k,)
    mark_m: Floats  # (k,) position along the line
    mark_node: Ints  # (k,)
    mark_is_end: Bools  # (k,) the line begins or ends here
    node_xy: Floats  # (n, 2)
    edge_nodes: Ints  # (m, 2)
    edge_line: Ints  # (m,)
    edge_from_m: Floats  # (m,)
    edge_length_m: Floats  # (m,)
    edge_lines: NDArray[np.object_]  # (m,) LineString, from -> to
    crossing_marks: Ints  # (c, 2) lines that cross in mid-line without a shared vertex
    apart: Ints  # (a, 2) pairs of lines that pass each other because their classes differ, one row a place
    apart_xy: Floats  # (a, 2) where


def node_lines(lines: NDArray[np.object_], level: Ints) -> Noding:
    """Cut lines wherever they meet.

    Parameters
    ----------
    lines : array of LineString, shape (n,)
        Each longer than 1 mm. [m]
    level : int array, shape (n,)
        Equal for lines that meet where they cross.

    Returns
    -------
    Noding
        Nodes numbered in the order in which the lines reach them.
    """
    drawn = _Drawn.of(lines)
    meet = _meetings(drawn, level)
    mark_of, mark_line, mark_m = _marks(drawn, meet.line, meet.along_m)
    node = _first_come(connected(len(mark_line), mark_of[0], mark_of[1]))
    first = np.unique(node, return_index=True)[1]
    mark_xy = drawn.at(mark_line, mark_m)
    start = np.flatnonzero(mark_line[:-1] == mark_line[1:])
    return Noding(
        mark_line=mark_line,
        mark_m=mark_m,
        mark_node=node,
        mark_is_end=(mark_m == 0) | (mark_m == drawn.line_m[mark_line]),
        node_xy=mark_xy[first],
        edge_nodes=np.column_stack([node[start], node[start + 1]]),
        edge_line=mark_line[start],
        edge_from_m=mark_m[start],
        edge_length_m=mark_m[start + 1] - mark_m[start],
        edge_lines=_pieces(drawn, mark_line, mark_m, mark_xy),
        crossing_marks=mark_of[:, meet.is_crossing].T,
        apart=meet.apart,
        apart_xy=drawn.at(meet.apart[:, 0], meet.apart_m),
    )


def doubled_edges(noding: Noding) -> Bools:
    """Edges that lie on another edge between the same nodes, within 2 mm; the first line keeps its own."""
    low, high = np.sort(noding.edge_nodes, axis=1).T
    order = np.lexsort((np.arange(len(low)), high, low))
    doubled = np.zeros(len(low), dtype=bool)
    for step in range(1, len(low)):
        a, b = order[:-step], order[step:]
        same = (low[a] == low[b]) & (high[a] == high[b])
        if not same.any():
            break
        a, b = a[same], b[same]
        near = shapely.hausdorff_distance(noding.edge_lines[a], noding.edge_lines[b]) <= 2 * TOUCH_M
        doubled[b[near]] = True
    return doubled


def connected(n: int, a: Ints, b: Ints) -> Ints:
    """Number the connected groups among ``n`` things, of which ``a[k]`` and ``b[k]`` belong together."""
    links = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)


@dataclass(frozen=True)
class _Drawn:
    """Lines as flat arrays of vertices and segments."""

    xy: Floats  # (v, 2)
    vertex_line: Ints  # (v,)
    vertex_m: Floats  # (v,) position along its line
    line_m: Floats  # (n,) length
    segment: Ints  # (s,) vertex at which a segment of some length begins

    @classmethod
    def of(cls, lines: NDArray[np.object_]) -> _Drawn:
        xy, line = shapely.get_coordinates(lines, return_index=True)
        step = np.hypot(*np.diff(xy, axis=0, prepend=xy[:1]).T)
        first = np.flatnonzero(np.diff(line, prepend=-1))
        step[first] = 0.0
        # one sum per line, so that a line's positions do not depend on the lines before it
        vertex_m = np.concatenate([np.cumsum(each) for each in np.split(step, first[1:])])
        last = np.append(first[1:], len(line)) - 1
        segment = np.flatnonzero((np.diff(line, append=-1) == 0) & (np.append(step[1:], 0.0) > 0))
        return cls(xy, line, vertex_m, vertex_m[last], segment)

    def at(self, line: Ints, along_m: Floats) -> Floats:
        """Coordinates of positions along lines; drawn vertices come back exactly."""
        vertex = _last_before(self.vertex_line, self.vertex_m, line, along_m)
        after = np.minimum(vertex + 1, len(self.xy) - 1)
        step_m = self.vertex_m[after] - self.vertex_m[vertex]
        rest_m = along_m - self.vertex_m[vertex]
        share = np.divide(rest_m, step_m, out=np.zeros_like(rest_m), where=rest_m > 0)[:, None]
        return self.xy[vertex] + share * (self.xy[after] - self.xy[vertex])


@dataclass(frozen=True)
class _Meetings:
    line: Ints  # (2, k) the two lines that meet
    along_m: Floats  # (2, k) where, along each
    is_crossing: Bools  # (k,) in mid-line of both, without a vertex of both
    apart: Ints  # (a, 2)
    apart_m: Floats  # (a,) along the first line


def _meetings(drawn: _Drawn, level: Ints) -> _Meetings:
    """Every place where two lines, or two segments of one line, are within 1 mm."""
    line, along_m, at_vertex = _contacts(drawn)
    same_place = (line[0] == line[1]) & (np.abs(along_m[0] - along_m[1]) <= TOUCH_M)
    at_end = (along_m == 0) | (along_m == drawn.line_m[line])
    ends_on_vertex = (at_end[0] & at_vertex[1]) | (at_end[1] & at_vertex[0])
    meets = ((level[line[0]] == level[line[1]]) | ends_on_vertex) & ~same_place
    mid_line = ~at_end.any(axis=0)
    passes = mid_line & ~meets & ~same_place
    places = np.column_stack([line[:, passes].T, np.round(along_m[:, passes].T / TOUCH_M)])
    places, first = np.unique(places, axis=0, return_index=True)
    back = _turns_back(drawn)
    return _Meetings(
        line=np.hstack([line[:, meets], np.tile(drawn.vertex_line[back], (2, 1))]),
        along_m=np.hstack([along_m[:, meets], np.tile(drawn.vertex_m[back], (2, 1))]),
        is_crossing=np.append((mid_line & ~at_vertex.all(axis=0))[meets], np.zeros(len(back), dtype=bool)),
        apart=places[:, :2].astype(np.int64),
        apart_m=along_m[0, passes][first],
    )


def _turns_back(drawn: _Drawn) -> Ints:
    """Vertices at which a line runs back over itself: out and back are two pieces, one the other's double."""
    a, b = drawn.segment[:-1], drawn.segment[1:]
    follows = drawn.vertex_line[a] == drawn.vertex_line[b]
    a, b = a[follows], b[follows]
    way_in, way_out = drawn.xy[a + 1] - drawn.xy[a], drawn.xy[b + 1] - drawn.xy[b]
    apart_m = np.abs(_cross(way_in, way_out)) / np.maximum(np.hypot(*way_in.T), np.hypot(*way_out.T))
    return b[(np.sum(way_in * way_out, axis=1) < 0) & (apart_m <= TOUCH_M)]


def _contacts(drawn: _Drawn) -> tuple[Ints, Floats, Bools]:
    """Places where two segments meet: lines (2, k), positions (2, k), whether at a vertex of each."""
    ends = drawn.xy[np.stack([drawn.segment, drawn.segment + 1], axis=1)]
    segments = shapely.linestrings(ends)
    a, b = shapely.STRtree(segments).query(segments, predicate="dwithin", distance=TOUCH_M)
    a, b = a[a < b], b[a < b]
    found = [_corners(drawn, ends, a, b), _corners(drawn, ends, b, a), _crossings(drawn, ends, a, b)]
    line, along_m, at_vertex = (np.concatenate(each, axis=1) for each in zip(*found, strict=True))
    # the lower line first, so that a place found from either side is the same place
    first = np.argsort(line, axis=0, kind="stable")
    line, along_m, at_vertex = (
        np.take_along_axis(each, first, axis=0) for each in (line, along_m, at_vertex)
    )
    return line, along_m, at_vertex


def _corners(drawn: _Drawn, ends: Floats, a: Ints, b: Ints) -> tuple[Ints, Floats, Bools]:
    """Either vertex of segment ``a`` where it is within 1 mm of segment ``b``."""
    a, b, corner = np.repeat(a, 2), np.repeat(b, 2), np.tile([0, 1], len(a))
    origin, way = ends[b, 0], ends[b, 1] - ends[b, 0]
    to_corner = ends[a, corner] - origin
    share = np.clip(np.sum(to_corner * way, axis=1) / np.sum(way * way, axis=1), 0.0, 1.0)
    near = np.hypot(*(to_corner - share[:, None] * way).T) <= TOUCH_M
    a, b, corner, share = a[near], b[near], corner[near], share[near]
    on_b_m, at_vertex = _along(drawn, b, share)
    vertex = drawn.segment[a] + corner
    return (
        np.stack([drawn.vertex_line[vertex], drawn.vertex_line[drawn.segment[b]]]),
        np.stack([drawn.vertex_m[vertex], on_b_m]),
        np.stack([np.ones_like(at_vertex), at_vertex]),
    )


def _crossings(drawn: _Drawn, ends: Floats, a: Ints, b: Ints) -> tuple[Ints, Floats, Bools]:
    """Where segments ``a`` and ``b`` cross, away from the vertices of both."""
    way_a, way_b = ends[a, 1] - ends[a, 0], ends[b, 1] - ends[b, 0]
    between = ends[b, 0] - ends[a, 0]
    turn = _cross(way_a, way_b)
    crossing = turn != 0
    share_a = np.divide(_cross(between, way_b), turn, out=np.full(len(a), -1.0), where=crossing)
    share_b = np.divide(_cross(between, way_a), turn, out=np.full(len(a), -1.0), where=crossing)
    crossing &= (share_a > 0) & (share_a < 1) & (share_b > 0) & (share_b < 1)
    a, b, share_a, share_b = a[crossing], b[crossing], share_a[crossing], share_b[crossing]
    on_a_m, vertex_a = _along(drawn, a, share_a)
    on_b_m, vertex_b = _along(drawn, b, share_b)
    line = drawn.vertex_line[drawn.segment[np.stack([a, b])]]
    inner = ~vertex_a & ~vertex_b
    along_m, at_vertex = np.stack([on_a_m, on_b_m]), np.stack([vertex_a, vertex_b])
    return line[:, inner], along_m[:, inner], at_vertex[:, inner]


def _along(drawn: _Drawn, segment: Ints, share: Floats) -> tuple[Floats, Bools]:
    """Position along the line of a share of a segment, moved to a vertex within 1 mm, and whether it was."""
    start_m = drawn.vertex_m[drawn.segment[segment]]
    stop_m = drawn.vertex_m[drawn.segment[segment] + 1]
    along_m = start_m + share * (stop_m - start_m)
    at_start, at_stop = along_m - start_m <= TOUCH_M, stop_m - along_m <= TOUCH_M
    return np.where(at_start, start_m, np.where(at_stop, stop_m, along_m)), at_start | at_stop


def _marks(drawn: _Drawn, line: Ints, along_m: Floats) -> tuple[Ints, Ints, Floats]:
    """Places on lines: the given positions and both ends, those within 1 mm on one line made one.

    Returns the mark of each given position, shape of ``line``, then line and position of each mark.
    """
    n_lines = len(drawn.line_m)
    every_line = np.concatenate([line.ravel(), np.tile(np.arange(n_lines), 2)])
    every_m = np.concatenate([along_m.ravel(), np.zeros(n_lines), drawn.line_m])
    order = np.lexsort((every_m, every_line))
    line_of, at_m = every_line[order], every_m[order]
    fresh = (np.diff(line_of, prepend=-1) != 0) | (np.diff(at_m, prepend=-np.inf) > TOUCH_M)
    start = np.flatnonzero(fresh)
    # the first position stands for all, except that a line ends exactly at its end
    last_m = np.maximum.reduceat(at_m, start)
    is_last = last_m == drawn.line_m[line_of[start]]
    mark_of = np.empty(len(order), dtype=np.int64)
    mark_of[order] = np.cumsum(fresh) - 1
    return mark_of[: line.size].reshape(line.shape), line_of[start], np.where(is_last, last_m, at_m[start])


def _first_come(label: Ints) -> Ints:
    """Number labels 0, 1, ... in the order in which they first come."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _pieces(drawn: _Drawn, mark_line: Ints, mark_m: Floats, mark_xy: Floats) -> NDArray[np.object_]:
    """Geometry between following marks of a line: the vertices strictly between, and both marks."""
    last = _last_before(mark_line, mark_m, drawn.vertex_line, drawn.vertex_m)
    at_mark = drawn.vertex_m == mark_m[last]
    line = np.concatenate([mark_line, mark_line, drawn.vertex_line[~at_mark]])
    along_m = np.concatenate([mark_m, mark_m, drawn.vertex_m[~at_mark]])
    xy = np.concatenate([mark_xy, mark_xy, drawn.xy[~at_mark]])
    n = len(mark_line)
    # a mark ends one piece and begins the next: vertices go between
    side = np.concatenate([np.zeros(n), np.full(n, 1), np.full(len(along_m) - 2 * n, 2)])
    order = np.lexsort((side, along_m, line))
    piece = np.cumsum(side[order] == 1) - 1
    is_first = np.concatenate([np.diff(mark_line, prepend=-1) != 0, np.zeros(len(along_m) - n, dtype=bool)])
    is_last = np.zeros(len(along_m), dtype=bool)
    is_last[n : 2 * n] = np.diff(mark_line, append=-1) != 0
    keep = ~(is_first | is_last)[order]
    number = np.unique(piece[keep], return_inverse=True)[1]
    return shapely.linestrings(xy[order][keep], indices=number)


def _last_before(line: Ints, along_m: Floats, of_line: Ints, of_m: Floats) -> Ints:
    """For each place in the second list the last of the first (sorted) at or before it on its line."""
    n = len(line)
    every_line, every_m = np.concatenate([line, of_line]), np.concatenate([along_m, of_m])
    is_query = np.arange(len(every_m)) >= n
    order = np.lexsort((is_query, every_m, every_line))
    asked = is_query[order]
    found = np.empty(len(of_m), dtype=np.int64)
    found[order[asked] - n] = np.cumsum(~asked)[asked] - 1
    return found


def _cross(a: Floats, b: Floats) -> Floats:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
