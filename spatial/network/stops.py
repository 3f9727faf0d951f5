"""Points and footprints brought onto the network: where each one's way begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from geopandas import GeoDataFrame
from numpy.typing import ArrayLike, NDArray

from spatial.load import Site
from spatial.network.build import AlleyNetwork
from spatial.network.noding import TOUCH_M, connected
from spatial.settings import Settings

__all__ = ["Stops", "doors", "snap_points"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Stops within this of each other along the network are one. [m]
SHARE_M = 0.01
#: The search for a way round barriers begins within this and doubles it until one is found. [m]
FIRST_LOOK_M = 25.0


@dataclass(frozen=True)
class Stops:
    """Points snapped onto the network, one row each; without access NaN, -1 and the middle as its point."""

    point_xy: Floats  # (k, 2) where the access line begins: the point, or the door of a footprint
    stop_xy: Floats  # (k, 2) the stop on the centre-line
    edge: Ints  # (k,)
    along_m: Floats  # (k,) position of the stop along its edge
    offset_m: Floats  # (k,) length of the straight access line
    part: Ints  # (k,) connected part of the network
    node: Ints  # (k,) id of the stop, numbered by edge and position; rows that share a stop share its place

    def __len__(self) -> int:
        return len(self.edge)

    def take(self, rows: ArrayLike) -> Stops:
        """The given rows; ids of stops stay as they are."""
        rows = np.asarray(rows)
        return Stops(**{name: np.ascontiguousarray(column[rows]) for name, column in vars(self).items()})


def snap_points(
    network: AlleyNetwork,
    points: ArrayLike,
    *,
    max_access_m: float = np.inf,
    barriers: GeoDataFrame | None = None,
) -> Stops:
    """Bring points onto the nearest centre-line.

    Points whose stops are within 1 cm of each other along the network share one stop, that of the
    lowest edge and position among them.

    Parameters
    ----------
    network : AlleyNetwork
    points : array of geometry, shape (k,)
        Points in the network's CRS; of lines and polygons the boundary point nearest to the network counts.
    max_access_m : float
        Longest access line; beyond it a row has edge -1. [m]
    barriers : GeoDataFrame, optional
        Lines and polygons no access line may cross. Where the nearest stop lies across one, the
        nearest point of each straight piece of alley is tried instead; with none free within
        ``max_access_m`` the row has edge -1. A point or a stop on or inside a barrier is at
        its edge, not across it.

    Returns
    -------
    Stops
    """
    shapes = np.asarray(points, dtype=object).reshape(-1)
    shapes = np.where(shapely.get_dimensions(shapes) == 2, shapely.boundary(shapes), shapes)
    edge, access = _nearest(shapes, network.edge_lines, max_access_m=max_access_m)
    if barriers is not None and len(barriers):
        blocked = np.flatnonzero(_crosses(access, barriers.geometry.to_numpy()))
        edge[blocked], access[blocked] = _round_barriers(
            network, shapes[blocked], barriers.geometry.to_numpy(), max_access_m=max_access_m
        )
    return _shared(network, shapes, edge, access)


def doors(site: Site, network: AlleyNetwork, settings: Settings) -> Stops:
    """The stop of each household: one row per row of the site's households.

    A household drawn as a point is its own door; a footprint's door is the point of its wall
    nearest to the network. No access line crosses a barrier or is longer than ``input.max_access_m``.
    """
    return snap_points(
        network,
        site.layer("households").geometry.to_numpy(),
        max_access_m=settings.input.max_access_m,
        barriers=site.layer("barriers"),
    )


def _nearest(
    shapes: NDArray[np.object_], lines: NDArray[np.object_], *, max_access_m: float
) -> tuple[Ints, NDArray[np.object_]]:
    """Each shape's nearest line, of equal ones the first, and the shortest way to it; -1, None if too far."""
    limit = None if np.isinf(max_access_m) else max_access_m
    row, line = shapely.STRtree(lines).query_nearest(shapes, max_distance=limit, all_matches=True)
    order = np.lexsort((line, row))
    row, first = np.unique(row[order], return_index=True)
    edge = np.full(len(shapes), -1, dtype=np.int64)
    access = np.full(len(shapes), None, dtype=object)
    edge[row] = line[order][first]
    access[row] = shapely.shortest_line(shapes[row], lines[edge[row]])
    return edge, access


def _crosses(access: NDArray[np.object_], barriers: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Whether each access line passes across a barrier, rather than ending at or inside it."""
    known = np.flatnonzero(~shapely.is_missing(access))
    ways = access[known]
    # a millimetre shorter at both ends, so that touching a barrier is not crossing it
    margin_m = np.minimum(TOUCH_M, shapely.length(ways) / 2)
    begin, end = (shapely.line_interpolate_point(ways, each) for each in (margin_m, -margin_m))
    xy = np.stack([shapely.get_coordinates(begin), shapely.get_coordinates(end)], axis=1)
    row, barrier = shapely.STRtree(barriers).query(shapely.linestrings(xy), predicate="intersects")
    met = barriers[barrier]
    inside = shapely.intersects(met, begin[row]) | shapely.intersects(met, end[row])
    crosses = np.zeros(len(access), dtype=bool)
    crosses[known[row[~inside]]] = True
    return crosses


def _round_barriers(
    network: AlleyNetwork,
    shapes: NDArray[np.object_],
    barriers: NDArray[np.object_],
    *,
    max_access_m: float,
) -> tuple[Ints, NDArray[np.object_]]:
    """The nearest stop on any straight piece of alley whose access line crosses no barrier."""
    xy, edge_of = shapely.get_coordinates(network.edge_lines, return_index=True)
    start = np.flatnonzero(edge_of[:-1] == edge_of[1:])
    segments = shapely.linestrings(np.stack([xy[start], xy[start + 1]], axis=1))
    tree = shapely.STRtree(segments)
    edge = np.full(len(shapes), -1, dtype=np.int64)
    access = np.full(len(shapes), None, dtype=object)
    span = np.ptp(np.vstack([xy, shapely.get_coordinates(shapes)]), axis=0)
    farthest_m = min(max_access_m, float(np.hypot(*span)))
    look_m, todo = min(FIRST_LOOK_M, farthest_m), np.arange(len(shapes))
    while len(todo):
        i, segment = tree.query(shapes[todo], predicate="dwithin", distance=look_m)
        ways = shapely.shortest_line(shapes[todo][i], segments[segment])
        free = ~_crosses(ways, barriers)
        i, segment, ways = i[free], segment[free], ways[free]
        order = np.lexsort((segment, shapely.length(ways), i))
        found, first = np.unique(i[order], return_index=True)
        edge[todo[found]] = edge_of[start[segment[order][first]]]
        access[todo[found]] = ways[order][first]
        todo = np.delete(todo, found)
        if look_m >= farthest_m:
            break
        look_m = min(2 * look_m, farthest_m)
    return edge, access


def _shared(
    network: AlleyNetwork, shapes: NDArray[np.object_], edge: Ints, access: NDArray[np.object_]
) -> Stops:
    """Stops of the access lines, those within 1 cm of each other along the network made one."""
    row = np.flatnonzero(edge >= 0)
    ends = shapely.get_coordinates(access[row]).reshape(-1, 2, 2)
    at_m = shapely.line_locate_point(network.edge_lines[edge[row]], shapely.points(ends[:, 1]))
    order = np.lexsort((at_m, edge[row]))
    row, ends, at_m = row[order], ends[order], at_m[order]
    label = _one_stop(network, edge[row], at_m)
    # labels rise with edge and position, and the first place of a label stands for all
    _, first, stop = np.unique(label, return_index=True, return_inverse=True)
    place = first[stop]
    on_edge = edge[row][place]
    point_xy = shapely.get_coordinates(shapely.centroid(shapes))
    point_xy[row] = ends[:, 0]
    stop_xy = ends[place, 1]
    k = len(edge)
    return Stops(
        point_xy=point_xy,
        stop_xy=_filled((k, 2), np.nan, row, stop_xy),
        edge=_filled(k, -1, row, on_edge),
        along_m=_filled(k, np.nan, row, at_m[place]),
        offset_m=_filled(k, np.nan, row, np.hypot(*(stop_xy - point_xy[row]).T)),
        part=_filled(k, -1, row, network.node_part[network.edge_nodes[on_edge, 0]]),
        node=_filled(k, -1, row, stop),
    )


def _filled(shape: int | tuple[int, ...], empty: float, row: Ints, value: NDArray[Any]) -> NDArray[Any]:
    """An array of ``empty`` with ``value`` in the given rows."""
    filled = np.full(shape, empty, dtype=value.dtype)
    filled[row] = value
    return filled


def _one_stop(network: AlleyNetwork, edge: Ints, along_m: Floats) -> Ints:
    """Label places, sorted by edge and position, so that those within 1 cm have the same label.

    Along an edge neighbours are compared; across a node each place with the one nearest to the node.
    """
    n = len(edge)
    place = np.arange(n)
    follows = (edge[1:] == edge[:-1]) & (np.diff(along_m) <= SHARE_M)
    node = network.edge_nodes[edge].T.ravel()
    to_node_m = np.concatenate([along_m, network.edge_length_m[edge] - along_m])
    place_at = np.tile(place, 2)
    order = np.lexsort((place_at, to_node_m, node))
    first = np.flatnonzero(np.diff(node[order], prepend=-1))
    nearest = np.repeat(order[first], np.diff(np.append(first, len(order))))
    near = to_node_m[order] + to_node_m[nearest] <= SHARE_M
    a = np.concatenate([place[:-1][follows], place_at[order][near]])
    b = np.concatenate([place[1:][follows], place_at[nearest][near]])
    label = connected(n, a, b)
    return np.unique(label, return_index=True)[1][label] if n else label
