"""Whether grids keep to one side of a barrier, recounted on the map.

Barriers cut the boundary into faces; a broad one, a road say, is a face itself, since doors may open onto an
alley inside it. A grid may have doors in several faces only where alleys of its own ground join them.
"""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.ops import substring

from spatial.audit.book import Book
from spatial.audit.compare import rows_that
from spatial.audit.roster import Roster
from spatial.errors import Remark

__all__ = ["barrier_faults"]

THIN_M = 1e-3  # half the width that a barrier drawn as a line is given

Shapes = NDArray[np.object_]
Ints = NDArray[np.int64]


def barrier_faults(book: Book, roster: Roster) -> Iterator[Remark]:
    """Grids with doors on both sides of a barrier and no alley across it on their own ground."""
    barriers = book.site.layer("barriers").geometry.to_numpy()
    if not len(barriers):
        return
    broad = shapely.get_dimensions(barriers) == 2
    closed = shapely.union_all(np.where(broad, barriers, shapely.buffer(barriers, THIN_M)))
    open_ground = shapely.difference(book.site.layer("boundary").geometry.union_all(), closed)
    faces = np.concatenate(
        [shapely.get_parts(each) for each in (open_ground, shapely.union_all(barriers[broad]))]
    )
    n_open = shapely.get_num_geometries(open_ground)
    served = np.flatnonzero(roster.served)
    stops, grid = roster.stops.take(served), roster.grid[served]
    door, stop = (_face_of(faces, xy) for xy in (stops.point_xy, stops.stop_xy))
    known = (door >= 0) & (stop >= 0)
    joined = nx.Graph()
    joined.add_nodes_from(zip(grid[known].tolist(), door[known].tolist(), strict=True))
    # the way from a door may end inside a broad barrier or begin there, but not pass across one
    ends = known & ((door == stop) | (door >= n_open) | (stop >= n_open))
    for at in np.flatnonzero(ends & (door != stop)).tolist():
        joined.add_edge((grid[at], door[at]), (grid[at], stop[at]))
    joined.add_edges_from(_alleys_across(book, roster, closed, faces))
    torn = np.zeros(roster.n_grids, bool)
    torn[grid[known & ~ends]] = True
    pieces = {node: at for at, each in enumerate(nx.connected_components(joined)) for node in each}
    held: dict[int, set[int]] = {}
    for at in np.flatnonzero(known).tolist():
        held.setdefault(int(grid[at]), set()).add(pieces[int(grid[at]), int(door[at])])
    torn[[each for each, own in held.items() if len(own) > 1]] = True
    text = "have doors on both sides of a barrier and no alley of their own across it"
    yield from rows_that(torn, book.layers["grids"]["grid_id"], "barrier-between", text, at="grids.grid_id")


def _face_of(faces: Shapes, xy: NDArray[np.float64]) -> Ints:
    """The face that each point lies in, the last of several; −1 outside all."""
    out = np.full(len(xy), -1, np.int64)
    at, face = shapely.STRtree(faces).query(shapely.points(xy), predicate="intersects")
    np.maximum.at(out, at, face)
    return out


def _alleys_across(
    book: Book, roster: Roster, closed: shapely.Geometry, faces: Shapes
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Faces that an alley joins on the ground of a grid: (grid, face) and (grid, face)."""
    lines, ways, own = book.network.edge_lines, roster.ways, roster.ground.own
    shapely.prepare(closed)
    crossing = np.flatnonzero(np.isin(ways.edge, np.flatnonzero(shapely.intersects(closed, lines))))
    shared = own[ways.tail[crossing]].multiply(own[ways.head[crossing]]).tocsr()
    tree = shapely.STRtree(faces)
    for at, way in enumerate(crossing.tolist()):
        from_m = float(ways.from_m[way])
        piece = substring(lines[ways.edge[way]], from_m, from_m + float(ways.length_m[way]))
        met = np.sort(tree.query(piece, predicate="intersects")).tolist()
        for each in shared.indices[shared.indptr[at] : shared.indptr[at + 1]].tolist():
            for other in met[1:]:
                yield (each, met[0]), (each, other)
