"""Lines and areas of an extract from its nodes; those that run out of it are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.load.osm.extract import Extract, Thing

__all__ = ["Drawer", "Drawing"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Drawing:
    """A shape for each thing asked for."""

    geometry: NDArray[np.object_]  # in degrees; None where there is nothing to draw
    cut: Mask  # part of it lies outside the extract


class Drawer:
    """Draws the things of one extract."""

    def __init__(self, extract: Extract) -> None:
        self._node_id, self._xy = extract.node_id, extract.node_xy
        self._ways = {each.id: each for each in extract.things if each.kind == "w"}

    def points(self, nodes: Sequence[Thing]) -> Drawing:
        """Nodes with tags."""
        at, found = self._at(np.array([each.id for each in nodes], dtype=np.int64))
        geometry = np.full(len(nodes), None, dtype=object)
        geometry[found] = shapely.points(self._xy[at[found]])
        return Drawing(geometry, ~found)

    def lines(self, ways: Sequence[Thing]) -> Drawing:
        """Ways as lines; one that leaves the extract is drawn as far as its nodes are there."""
        at, found, way = self._nodes(ways)
        n_nodes = np.bincount(way, minlength=len(ways))
        cut = np.bincount(way, ~found, minlength=len(ways)) > 0
        whole = (n_nodes >= 2) & ~cut
        geometry = np.full(len(ways), None, dtype=object)
        inside = whole[way]
        if whole.any():
            place = np.cumsum(whole) - 1
            geometry[whole] = shapely.linestrings(self._xy[at[inside]], indices=place[way[inside]])
        ends = np.cumsum(n_nodes)
        for row in np.flatnonzero(cut & (n_nodes > 0)):
            of_way = slice(ends[row] - n_nodes[row], ends[row])
            geometry[row] = self._runs(at[of_way], found[of_way])
        return Drawing(geometry, cut)

    def areas(self, things: Sequence[Thing]) -> Drawing:
        """Closed ways and areas made of several ways; None for those that are open or leave the extract."""
        geometry = np.full(len(things), None, dtype=object)
        cut = np.zeros(len(things), dtype=bool)
        rings = np.array([each.kind == "w" and _is_ring(each) for each in things], dtype=bool)
        closed = [each for each, ring in zip(things, rings, strict=True) if ring]
        drawn = self.lines(closed)
        cut[rings] = drawn.cut
        whole = ~drawn.cut
        polygons = np.full(len(closed), None, dtype=object)
        xy, row = shapely.get_coordinates(drawn.geometry[whole], return_index=True)
        if len(xy):
            polygons[whole] = shapely.polygons(shapely.linearrings(xy, indices=row))
        geometry[rings] = polygons
        for row, thing in enumerate(things):
            if thing.kind == "r":
                geometry[row], cut[row] = self._joined(thing)
        return Drawing(geometry, cut)

    def _joined(self, area: Thing) -> tuple[shapely.Geometry | None, bool]:
        """The area within the rings that its ways make, holes being rings within rings."""
        members = [self._ways.get(each) for each in (*area.refs, *area.inner)]
        ways = [each for each in members if each is not None]
        drawn = self.lines(ways)
        if len(ways) < len(members) or drawn.cut.any():
            return None, True
        lines = [each for each in drawn.geometry if each is not None]
        built = shapely.build_area(shapely.multilinestrings(lines)) if lines else None
        return (None if built is None or built.is_empty else built), False

    def _nodes(self, ways: Sequence[Thing]) -> tuple[NDArray[np.int64], Mask, NDArray[np.int64]]:
        """Row of each node of each way, whether it is there, and the way."""
        refs = [np.frombuffer(each.refs, dtype=np.int64) for each in ways]
        way = np.repeat(np.arange(len(ways)), [len(each) for each in refs])
        at, found = self._at(np.concatenate([*refs, np.empty(0, dtype=np.int64)]))
        return at, found, way

    def _at(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], Mask]:
        if not len(self._node_id):
            return np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=bool)
        at = np.minimum(np.searchsorted(self._node_id, ids), len(self._node_id) - 1)
        return at, self._node_id[at] == ids

    def _runs(self, at: NDArray[np.int64], found: Mask) -> shapely.Geometry | None:
        """The stretches of a way whose nodes are there one after the other."""
        run = np.cumsum(~found)
        stretches = [self._xy[at[found & (run == each)]] for each in np.unique(run[found])]
        lines = [shapely.LineString(each) for each in stretches if len(each) >= 2]
        if not lines:
            return None
        return lines[0] if len(lines) == 1 else shapely.MultiLineString(lines)


def _is_ring(way: Thing) -> bool:
    return len(way.refs) >= 4 and way.refs[0] == way.refs[-1]
