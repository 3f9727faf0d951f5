"""Join ends of lines that were meant to meet.

A node is *free* if lines end there and none passes through. A free node within reach of another
end moves onto it; else a line is drawn on from it to the nearest line of its own class. All other
ends stay where they are, so sound data is left as drawn and repairing twice changes nothing.
Drawing on, instead of moving, turns no segment, so that one join does not undo another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.network.noding import TOUCH_M, Noding

__all__ = ["Joins", "find_joins", "joined_lines"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Joins:
    """What brings free nodes to where they belong: marks of a noding, and new coordinates."""

    moved: Ints  # (a,) marks of ends that move
    moved_xy: Floats  # (a, 2)
    drawn_on: Ints  # (b,) marks of ends from which the line is drawn on
    drawn_on_xy: Floats  # (b, 2)

    def __bool__(self) -> bool:
        return len(self.moved) + len(self.drawn_on) > 0


def find_joins(noding: Noding, lines: NDArray[np.object_], level: Ints, *, snap_m: float) -> Joins:
    """Where free nodes have to go.

    Of two free nodes the one of the later line moves. Two nodes joined by an edge no longer than
    ``2 * snap_m`` stay apart: a short connecting piece is no gap. One call joins each end at most
    once; call again on the result until nothing is left to join.
    """
    inner = np.bincount(noding.mark_node[~noding.mark_is_end], minlength=len(noding.node_xy)) > 0
    free = np.flatnonzero(~inner)
    has_end = np.unique(noding.mark_node[noding.mark_is_end])
    short = _short_neighbours(noding, 2 * snap_m)
    onto, near_an_end = _onto_ends(noding.node_xy, free, has_end, short, snap_m=snap_m)
    moved = np.flatnonzero(noding.mark_is_end & np.isin(noding.mark_node, list(onto)))
    moved_xy = noding.node_xy[[onto[node] for node in noding.mark_node[moved].tolist()]]
    free = free[~np.isin(free, list(near_an_end))]
    return Joins(moved, moved_xy, *_onto_lines(noding, lines, level, free, short, snap_m=snap_m))


def joined_lines(noding: Noding, lines: NDArray[np.object_], joins: Joins) -> NDArray[np.object_]:
    """The lines with their ends joined."""
    xy, line = shapely.get_coordinates(lines, return_index=True)
    xy[_end_vertex(noding, line, joins.moved)] = joins.moved_xy
    at = _end_vertex(noding, line, joins.drawn_on) + (noding.mark_m[joins.drawn_on] > 0)
    grown = noding.mark_line[joins.drawn_on]
    xy, line = np.insert(xy, at, joins.drawn_on_xy, axis=0), np.insert(line, at, grown)
    return shapely.linestrings(xy, indices=line)


def _end_vertex(noding: Noding, line: Ints, mark: Ints) -> Ints:
    """The vertex of each mark, which is an end; ``line`` is the line of each vertex."""
    first = np.searchsorted(line, noding.mark_line[mark], side="left")
    last = np.searchsorted(line, noding.mark_line[mark], side="right") - 1
    return np.where(noding.mark_m[mark] == 0, first, last)


def _short_neighbours(noding: Noding, most_m: float) -> dict[int, set[int]]:
    short: dict[int, set[int]] = {}
    for a, b in noding.edge_nodes[noding.edge_length_m <= most_m].tolist():
        short.setdefault(a, set()).add(b)
        short.setdefault(b, set()).add(a)
    return short


def _onto_ends(
    node_xy: Floats, free: Ints, has_end: Ints, short: dict[int, set[int]], *, snap_m: float
) -> tuple[dict[int, int], set[int]]:
    """The node onto which a free node moves, and all free nodes that have an end within reach."""
    tree = shapely.STRtree(shapely.points(node_xy[has_end]))
    i, j = tree.query(shapely.points(node_xy[free]), predicate="dwithin", distance=snap_m)
    mover, target = free[i], has_end[j]
    # a pair of free ends is found either way: the later one moves
    keep = (mover > target) | ~np.isin(target, free)
    mover, target = mover[keep], target[keep]
    gap_m = np.round(np.hypot(*(node_xy[mover] - node_xy[target]).T), 6)
    onto: dict[int, int] = {}
    near: set[int] = set()
    held: set[int] = set()
    for k in np.lexsort((mover, target, gap_m)).tolist():
        a, b = int(mover[k]), int(target[k])
        if b in short.get(a, ()):
            continue
        near |= {a, b}
        if a not in onto and a not in held and b not in onto:
            onto[a] = b
            held.add(b)
    return onto, near


def _onto_lines(
    noding: Noding,
    lines: NDArray[np.object_],
    level: Ints,
    free: Ints,
    short: dict[int, set[int]],
    *,
    snap_m: float,
) -> tuple[Ints, Floats]:
    """Marks of ends to draw on, one a free node, and the place on the nearest line of their class."""
    points = shapely.points(noding.node_xy[free])
    i, host = shapely.STRtree(lines).query(points, predicate="dwithin", distance=snap_m)
    gap_m = np.round(shapely.distance(points[i], lines[host]), 6)
    along_m = shapely.line_locate_point(lines[host], points[i])
    inner = (along_m > TOUCH_M) & (along_m < shapely.length(lines[host]) - TOUCH_M)
    order = np.lexsort((host, gap_m, i))
    goals: dict[int, tuple[int, int]] = {}
    marks_at = _gathered(noding.mark_node, np.arange(len(noding.mark_node)))
    nodes_of = _gathered(noding.mark_line, noding.mark_node)
    for k in order[inner[order]].tolist():
        node, onto = int(free[i[k]]), int(host[k])
        fits = [each for each in marks_at[node] if level[noding.mark_line[each]] == level[onto]]
        met = short.get(node, set()) | {node}
        if fits and node not in goals and met.isdisjoint(nodes_of[onto]):
            goals[node] = (min(fits), k)
    # in the order of marks: where one line's end and the next line's start are drawn on, it counts
    mark, chosen = np.array(sorted(goals.values()), dtype=np.int64).reshape(-1, 2).T
    goal = shapely.line_interpolate_point(lines[host[chosen]], along_m[chosen])
    return mark, shapely.get_coordinates(goal)


def _gathered(key: Ints, value: Ints) -> dict[int, set[int]]:
    table: dict[int, set[int]] = {}
    for a, b in zip(key.tolist(), value.tolist(), strict=True):
        table.setdefault(a, set()).add(b)
    return table
