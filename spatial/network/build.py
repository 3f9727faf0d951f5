"""From alleys as drawn to a network: repaired, noded, without doubles, its parts numbered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray

from spatial.errors import DataError, Remark, Spot, doubt, note
from spatial.load import Site
from spatial.network.noding import TOUCH_M, Noding, connected, doubled_edges, node_lines
from spatial.network.repair import find_joins, joined_lines
from spatial.settings import Settings

__all__ = ["AlleyNetwork", "build_network"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Lines = NDArray[np.object_]


@dataclass(frozen=True)
class AlleyNetwork:
    """Alleys cut into edges at nodes. Edges of one alley add up to its length, less what was doubled."""

    alleys: GeoDataFrame  # repaired: ends joined, doubles dropped; columns as in the alleys layer
    node_xy: Floats  # (n, 2)
    edge_nodes: Ints  # (m, 2) from, to; an edge's geometry runs from -> to
    edge_length_m: Floats  # (m,)
    edge_alley: Ints  # (m,) row in alleys
    edge_from_m: Floats  # (m,) where on its alley's centre-line the edge begins
    edge_lines: Lines  # (m,) LineString
    node_part: Ints  # (n,) connected part, numbered by decreasing length
    remarks: tuple[Remark, ...]

    def graph(self) -> nx.MultiGraph:
        """As networkx sees it: nodes with x, y, part; edges keyed by row, with alley_id and length_m."""
        graph = nx.MultiGraph()
        places = zip(self.node_xy.tolist(), self.node_part.tolist(), strict=True)
        graph.add_nodes_from(
            (row, {"x": xy[0], "y": xy[1], "part": part}) for row, (xy, part) in enumerate(places)
        )
        alley_ids = self.alleys["alley_id"].to_numpy()[self.edge_alley].tolist()
        edges = zip(self.edge_nodes.tolist(), alley_ids, self.edge_length_m.tolist(), strict=True)
        graph.add_edges_from(
            (a, b, row, {"alley_id": alley_id, "length_m": length_m})
            for row, ((a, b), alley_id, length_m) in enumerate(edges)
        )
        return graph

    def __repr__(self) -> str:
        parts = int(self.node_part.max(initial=-1)) + 1
        return (
            f"AlleyNetwork({len(self.alleys)} alleys, {self.edge_length_m.sum() / 1000:.1f} km, "
            f"{len(self.node_xy)} nodes, {len(self.edge_nodes)} edges, {parts} parts)"
        )


def build_network(site: Site, settings: Settings) -> AlleyNetwork:
    """Repair the alleys and cut them where they meet.

    Free ends within ``input.snap_m`` of another end, or of the interior of a line of the same
    level, bridge and tunnel, are joined to it. Crossings are noded unless level, bridge or tunnel
    differ. An alley that lies wholly on others (an exact double, drawn either way) is dropped,
    the lowest ``alley_id`` staying; of a partial overlap the metres are counted once. Building from
    the network's own ``alleys`` gives the same network.

    Parameters
    ----------
    site : Site
        Its layer ``alleys``: lines in a metric CRS.
    settings : Settings
        ``input.snap_m``.

    Returns
    -------
    AlleyNetwork
        With a note for each kind of repair and a doubt where alleys are cut off from the largest part.

    Raises
    ------
    DataError
        No alley has a length.
    """
    alleys = site.layers["alleys"].sort_values("alley_id", ignore_index=True)
    alleys, noding, doubled, remarks = _repaired(alleys, snap_m=settings.input.snap_m)
    keep = ~doubled
    ids = alleys["alley_id"].to_numpy()
    edge_nodes = np.ascontiguousarray(noding.edge_nodes[keep])
    node_part = _parts(noding.node_xy, edge_nodes, noding.edge_length_m[keep])
    remarks += _crossing_remarks(noding, ids) + _overlap_remarks(noding, doubled, ids)
    remarks += _cut_off(ids, noding.edge_line[keep], noding.edge_length_m[keep], node_part[edge_nodes[:, 0]])
    return AlleyNetwork(
        alleys=alleys,
        node_xy=noding.node_xy,
        edge_nodes=edge_nodes,
        edge_length_m=noding.edge_length_m[keep],
        edge_alley=noding.edge_line[keep],
        edge_from_m=noding.edge_from_m[keep],
        edge_lines=noding.edge_lines[keep],
        node_part=node_part,
        remarks=tuple(remarks),
    )


def _repaired(
    alleys: GeoDataFrame, *, snap_m: float
) -> tuple[GeoDataFrame, Noding, NDArray[np.bool_], list[Remark]]:
    """Alleys after joining and dropping, their noding, the edges still doubled, and what was done."""
    joined: dict[str, list[Spot]] = {}
    collapsed: set[str] = set()
    dropped: dict[str, float] = {}
    while True:
        lines = alleys.geometry.to_numpy()
        tiny = shapely.length(lines) <= TOUCH_M
        if tiny.all():
            raise DataError("alleys: no line is longer than 1 mm; draw the centre-lines of the alleys")
        if tiny.any():
            collapsed |= set(alleys["alley_id"][tiny])
            alleys = alleys[~tiny].reset_index(drop=True)
            continue
        level = _levels(alleys)
        noding = node_lines(lines, level)
        if joins := find_joins(noding, lines, level, snap_m=snap_m):
            names = alleys["alley_id"].to_numpy()
            for mark, xy in ((joins.moved, joins.moved_xy), (joins.drawn_on, joins.drawn_on_xy)):
                for name, x, y in _spots(names[noding.mark_line[mark]], xy):
                    joined.setdefault(name, []).append((name, x, y))
            alleys = alleys.set_geometry(joined_lines(noding, lines, joins), crs=alleys.crs)
            continue
        doubled = doubled_edges(noding)
        kept_m = np.bincount(noding.edge_line[~doubled], noding.edge_length_m[~doubled], len(alleys))
        whole = kept_m == 0
        if not whole.any():
            return alleys, noding, doubled, _repairs(joined, dropped, collapsed, snap_m)
        dropped |= dict(zip(alleys["alley_id"][whole], shapely.length(lines[whole]).tolist(), strict=True))
        alleys = alleys[~whole].reset_index(drop=True)


def _repairs(
    joined: dict[str, list[Spot]], dropped: dict[str, float], collapsed: set[str], snap_m: float
) -> list[Remark]:
    """A note for each kind of repair that was made."""
    notes = []
    if collapsed:
        notes.append(
            _note("alleys-collapsed", f"{_alleys(len(collapsed))} without length dropped", collapsed)
        )
    if joined:
        text = f"ends of {_alleys(len(joined))} brought up to {snap_m:g} m to meet another alley"
        spots = [each for name in sorted(joined) for each in joined[name]]
        notes.append(_note("ends-joined", text, joined, spots=spots))
    if dropped:
        total_m = sum(dropped.values())
        text = f"{_alleys(len(dropped))} ({total_m:.1f} m) drawn twice dropped; the lower alley_id stays"
        notes.append(_note("alleys-doubled", text, dropped))
    return notes


def _crossing_remarks(noding: Noding, ids: NDArray[np.object_]) -> list[Remark]:
    """Crossings joined without a shared vertex, and those kept apart by level, bridge or tunnel."""
    notes = []
    if len(noding.crossing_marks):
        node, first = np.unique(noding.mark_node[noding.crossing_marks[:, 0]], return_index=True)
        n = len(node)
        text = f"{n} crossing{'s' * (n > 1)} without a shared vertex joined"
        names = ids[np.unique(noding.mark_line[noding.crossing_marks])]
        remedy = "where one passes over the other, set level, bridge or tunnel"
        spots = _spots(_pairs(ids, noding.mark_line[noding.crossing_marks[first]]), noding.node_xy[node])
        notes.append(_note("crossings-noded", text, names, remedy=remedy, spots=spots))
    if len(noding.apart):
        n = len(noding.apart)
        text = f"{n} crossing{'s' * (n > 1)} kept apart because level, bridge or tunnel differ"
        spots = _spots(_pairs(ids, noding.apart), noding.apart_xy)
        notes.append(_note("crossings-apart", text, ids[np.unique(noding.apart)], spots=spots))
    return notes


def _overlap_remarks(noding: Noding, doubled: NDArray[np.bool_], ids: NDArray[np.object_]) -> list[Remark]:
    """Metres of an alley that lie on another one."""
    if not doubled.any():
        return []
    text = f"{noding.edge_length_m[doubled].sum():.1f} m drawn on another alley are counted once"
    names = ids[noding.edge_line[doubled]]
    middles = shapely.line_interpolate_point(noding.edge_lines[doubled], 0.5, normalized=True)
    spots = _spots(names, shapely.get_coordinates(middles))
    return [_note("overlaps-dropped", text, np.unique(names), spots=spots)]


def _cut_off(
    ids: NDArray[np.object_], edge_alley: Ints, edge_length_m: Floats, edge_part: Ints
) -> list[Remark]:
    """A doubt naming the alleys that no way connects with the largest part."""
    off = edge_part > 0
    if not off.any():
        return []
    n = int(edge_part.max())
    text = (
        f"{n} part{'s' * (n > 1)} of the alleys, {edge_length_m[off].sum():.0f} m in all, "
        f"{'are' if n > 1 else 'is'} cut off from the largest ({edge_length_m[~off].sum():.0f} m)"
    )
    return [
        doubt(
            "alleys-cut-off",
            text,
            layer="alleys",
            ids=ids[np.unique(edge_alley[off])],
            remedy="draw the missing connection, or raise input.snap_m if gaps are wider than it",
        )
    ]


def _levels(alleys: GeoDataFrame) -> Ints:
    """One number per class of level, bridge and tunnel; empty means on the ground."""
    empty = pd.Series(0, index=alleys.index)
    columns = [alleys.get(name, empty) for name in ("level", "bridge", "tunnel")]
    table = np.column_stack([each.astype("Int64").fillna(0).to_numpy(dtype=np.int64) for each in columns])
    return np.unique(table, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _parts(node_xy: Floats, edge_nodes: Ints, edge_length_m: Floats) -> Ints:
    """Connected part of each node: 0 is the longest; of equal ones the westernmost node decides."""
    label = connected(len(node_xy), edge_nodes[:, 0], edge_nodes[:, 1])
    n = int(label.max(initial=-1)) + 1
    length_m = np.round(np.bincount(label[edge_nodes[:, 0]], edge_length_m, n), 3)
    order = np.lexsort((node_xy[:, 1], node_xy[:, 0], label))
    west = node_xy[order[np.flatnonzero(np.diff(label[order], prepend=-1))]]
    rank = np.empty(n, dtype=np.int64)
    rank[np.lexsort((west[:, 1], west[:, 0], -length_m))] = np.arange(n)
    return rank[label]


def _spots(names: Iterable[object], xy: Floats) -> list[Spot]:
    return [(str(name), x, y) for name, (x, y) in zip(names, xy.tolist(), strict=True)]


def _pairs(ids: NDArray[np.object_], lines: Ints) -> list[str]:
    """The names of each two lines that cross."""
    return [f"{a} × {b}" for a, b in ids[np.sort(lines, axis=1)].tolist()]


def _alleys(n: int) -> str:
    return f"{n} alley{'s' * (n != 1)}"


def _note(code: str, text: str, ids: object, **where: Any) -> Remark:
    return note(code, text, layer="alleys", ids=ids, **where)
