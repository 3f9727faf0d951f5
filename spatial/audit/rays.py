"""What each lamp lights, found by trying: between two neighbouring critical points nothing can change.

On a straight piece of centre-line the light of one lamp can begin or end only where the circle of its
reach cuts it, where a straight line from the lamp over a corner of a building meets it, or where it
enters a building. These points are computed, sorted, and the middle of every interval between them is
tried with one sight line against the buildings. No shadow is ever built, so that an error in building
shadows can't repeat itself here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

__all__ = ["ANY_INSIDE", "SHRINK_M", "Pieces", "Spans", "cut_pieces", "lit_spans", "ranges"]

SHRINK_M = 1e-3  # a wall lamp is not blocked by its own wall
ANY_INSIDE = "T********"  # some point of the sight line lies in the inside of the building

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Spans:
    """Lit spans of centre-line: ``line`` from ``from_m`` to ``to_m`` is lit by ``lamp``, one row each."""

    line: Ints
    lamp: Ints
    from_m: Floats
    to_m: Floats

    def of(self, lamps: NDArray[np.bool_]) -> Spans:
        """The spans of the lamps marked true."""
        keep = lamps[self.lamp]
        return Spans(self.line[keep], self.lamp[keep], self.from_m[keep], self.to_m[keep])


@dataclass(frozen=True)
class Pieces:
    """Every line cut wherever some span begins or ends: ``line``, ``from_m``, ``to_m`` per piece, and
    the pairs ``piece``, ``lamp`` saying which lamp lights which piece."""

    line: Ints
    from_m: Floats
    to_m: Floats
    piece: Ints
    lamp: Ints

    @property
    def length_m(self) -> Floats:
        """Length of each piece. [m]"""
        return self.to_m - self.from_m

    @property
    def n_lamps(self) -> Ints:
        """How many lamps light each piece."""
        return np.bincount(self.piece, minlength=self.line.size)


@dataclass(frozen=True)
class _Segments:
    """Straight pieces of the lines: start, unit direction, length, line and measure of the start."""

    start: Floats
    direction: Floats
    length_m: Floats
    line: Ints
    from_m: Floats


def lit_spans(
    lines: NDArray[np.object_],
    lamp_xy: Floats,
    buildings: NDArray[np.object_],
    *,
    reach_m: float,
    line_of_sight: bool = True,
) -> Spans:
    """The spans of centre-line that each lamp lights.

    Parameters
    ----------
    lines : array of LineString, shape (n,)
        Centre-lines. [m]
    lamp_xy : array, shape (k, 2)
        Where the lamps stand. [m]
    buildings : array of Polygon or MultiPolygon
        What blocks the sight, shrunk here by a millimetre.
    reach_m : float
        Farthest lit point of a lamp. [m]
    line_of_sight : bool
        False: light goes through buildings.
    """
    segments = _segments(lines)
    lamp, segment = _pairs(segments, lamp_xy, reach_m)
    begin, end = _in_reach(segments, segment, lamp_xy[lamp], reach_m)
    keep = end - begin > 0
    lamp, segment, begin, end = lamp[keep], segment[keep], begin[keep], end[keep]
    if line_of_sight and len(buildings):
        walls = shapely.buffer(shapely.get_parts(buildings), -SHRINK_M, join_style="mitre")
        walls = shapely.get_parts(walls[~shapely.is_empty(walls)])
        pair, begin, end = _try_intervals(segments, segment, lamp_xy[lamp], begin, end, walls)
        lamp, segment = lamp[pair], segment[pair]
    offset = segments.from_m[segment]
    return Spans(segments.line[segment], lamp, offset + begin, offset + end)


def cut_pieces(spans: Spans, length_m: Floats) -> Pieces:
    """Cut lines of the given lengths at every end of a span; each piece is wholly lit or dark by any lamp."""
    n = length_m.size
    line = np.concatenate([np.arange(n), np.arange(n), spans.line, spans.line])
    at_m = np.concatenate([np.zeros(n), length_m, spans.from_m, spans.to_m])
    at_m = np.clip(at_m, 0.0, length_m[line])
    marks, where = np.unique(np.column_stack([line, at_m]), axis=0, return_inverse=True)
    where = where.ravel()
    inner = np.flatnonzero(marks[:-1, 0] == marks[1:, 0])
    piece_at = np.full(len(marks), -1, np.int64)
    piece_at[inner] = np.arange(inner.size)
    first, last = where[2 * n : 2 * n + spans.line.size], where[2 * n + spans.line.size :]
    marks_of, owner = ranges(first, last)
    return Pieces(
        marks[inner, 0].astype(np.int64),
        marks[inner, 1],
        marks[inner + 1, 1],
        piece_at[marks_of],
        spans.lamp[owner],
    )


def _segments(lines: NDArray[np.object_]) -> _Segments:
    xy, line = shapely.get_coordinates(lines, return_index=True)
    step = np.diff(xy, axis=0)
    length_m = np.hypot(step[:, 0], step[:, 1])
    length_m[line[:-1] != line[1:]] = 0.0
    reached_m = np.concatenate([[0.0], np.cumsum(length_m)])
    first = np.searchsorted(line, np.arange(len(lines)))
    keep = length_m > 0
    return _Segments(
        xy[:-1][keep],
        step[keep] / length_m[keep, None],
        length_m[keep],
        line[:-1][keep],
        (reached_m[:-1] - reached_m[first][line[:-1]])[keep],
    )


def _pairs(segments: _Segments, lamp_xy: Floats, reach_m: float) -> tuple[Ints, Ints]:
    """Every lamp with every straight piece within its reach."""
    ends = segments.start + segments.direction * segments.length_m[:, None]
    tree = shapely.STRtree(shapely.linestrings(np.stack([segments.start, ends], axis=1)))
    lamp, segment = tree.query(shapely.points(lamp_xy), predicate="dwithin", distance=reach_m)
    order = np.lexsort([segment, lamp])
    return lamp[order], segment[order]


def _in_reach(segments: _Segments, segment: Ints, lamp_xy: Floats, reach_m: float) -> tuple[Floats, Floats]:
    """Where the circle of reach cuts each straight piece, as measures from its start. [m]"""
    to_lamp = lamp_xy - segments.start[segment]
    direction = segments.direction[segment]
    foot = (to_lamp * direction).sum(axis=1)
    aside = _cross(direction, to_lamp)
    half = np.sqrt(np.maximum(reach_m**2 - aside**2, 0.0))
    return np.maximum(foot - half, 0.0), np.minimum(foot + half, segments.length_m[segment])


def _try_intervals(
    segments: _Segments,
    segment: Ints,
    lamp_xy: Floats,
    begin: Floats,
    end: Floats,
    walls: NDArray[np.object_],
) -> tuple[Ints, Floats, Floats]:
    """Cut each pair's interval at its critical points and keep what the lamp sees: pair, from, to."""
    start, direction = segments.start[segment], segments.direction[segment]
    tree = shapely.STRtree(walls)
    near = start + direction * begin[:, None]
    far = start + direction * end[:, None]
    corners = np.stack([lamp_xy, near, far])
    low, high = corners.min(axis=0), corners.max(axis=0)
    pair, wall = tree.query(shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]))
    pair_at, at = _critical(start, direction, lamp_xy, pair, wall, walls)
    keep = (at > begin[pair_at]) & (at < end[pair_at])
    everyone = np.arange(segment.size)
    pair_at = np.concatenate([everyone, everyone, pair_at[keep]])
    at = np.concatenate([begin, end, at[keep]])
    order = np.lexsort([at, pair_at])
    pair_at, at = pair_at[order], at[order]
    inner = np.flatnonzero((pair_at[:-1] == pair_at[1:]) & (at[1:] > at[:-1]))
    owner, from_m, to_m = pair_at[inner], at[inner], at[inner + 1]
    middle = start[owner] + direction[owner] * ((from_m + to_m) / 2)[:, None]
    sight = shapely.linestrings(np.stack([lamp_xy[owner], middle], axis=1))
    seen = ~_blocked(sight, tree, walls)
    return owner[seen], from_m[seen], to_m[seen]


def _critical(
    start: Floats, direction: Floats, lamp_xy: Floats, pair: Ints, wall: Ints, walls: NDArray[np.object_]
) -> tuple[Ints, Floats]:
    """Where a corner of a wall comes between, or the centre-line crosses a wall: pair, measure."""
    rings, ring_wall = shapely.get_rings(walls, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    side = np.flatnonzero(ring[:-1] == ring[1:])
    side_from, side_to, side_wall = xy[side], xy[side + 1], ring_wall[ring[side]]
    first = np.searchsorted(side_wall, wall, side="left")
    last = np.searchsorted(side_wall, wall, side="right")
    side, owner = ranges(first, last)
    pair = pair[owner]
    origin, along, lamp = start[pair], direction[pair], lamp_xy[pair]
    corner, step = side_from[side], side_to[side] - side_from[side]
    with np.errstate(divide="ignore", invalid="ignore"):
        over_corner = _cross(corner - lamp, lamp - origin) / _cross(corner - lamp, along)
        through_wall = _cross(corner - origin, step) / _cross(along, step)
    shadow = origin + along * over_corner[:, None] - lamp
    between = ((corner - lamp) * shadow).sum(axis=1) > 0
    over_corner[~between] = np.nan
    at = np.concatenate([over_corner, through_wall])
    return np.concatenate([pair, pair]), np.where(np.isfinite(at), at, -1.0)


def _blocked(
    sight: NDArray[np.object_], tree: shapely.STRtree, walls: NDArray[np.object_]
) -> NDArray[np.bool_]:
    """Which sight lines have some point inside a wall."""
    line, wall = tree.query(sight, predicate="intersects")
    inside = shapely.relate_pattern(sight[line], walls[wall], ANY_INSIDE)
    blocked = np.zeros(sight.size, bool)
    blocked[line[inside]] = True
    return blocked


def ranges(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """The numbers first..last−1 of every row one after another, and the row each belongs to."""
    counts = np.maximum(last - first, 0)
    owner = np.repeat(np.arange(first.size), counts)
    skipped = np.cumsum(counts) - counts
    return np.arange(owner.size) - skipped[owner] + first[owner], owner


def _cross(a: Floats, b: Floats) -> Floats:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
