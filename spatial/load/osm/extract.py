"""What an extract of OpenStreetMap holds, gathered within limits: nodes as columns, the rest one by one.

Only what layers are made from is kept: places of nodes, ways, areas made of several ways, and of
their tags the ones in ``KEYS``. Of several versions of an object the highest counts; one that is
deleted there is gone.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from spatial.errors import DataError, Remark, doubt, note

__all__ = ["KEYS", "Extract", "Gathered", "Thing", "read_tags", "too_big"]

#: Keys of the tags that are read, on ways and areas.
KEYS = frozenset(
    """highway service area footway access foot motor_vehicle motorroad sidewalk construction name name:zh
    width est_width surface lit layer bridge tunnel covered indoor building building:levels building:flats
    height roof:levels ruins abandoned shop office craft amenity healthcare tourism leisure industrial
    man_made power landuse boundary place admin_level waterway natural water railway barrier entrance
    addr:flats lamp_mount support lamp:mount ref type military""".split()  # noqa: SIM905
)
#: A node is kept as an object of its own if it has one of these.
_NODE_KEYS = frozenset(("highway", "barrier", "amenity", "office", "healthcare", "addr:flats"))
_MOST_NODES = 5_000_000
_MOST_THINGS = 600_000
_MOST_REFS = 20_000_000


@dataclass(frozen=True, slots=True)
class Thing:
    """A node with tags, a way, or an area made of several ways."""

    kind: str  # n, w, r
    id: int
    tags: Mapping[str, str]
    refs: array[int] = field(default_factory=lambda: array("q"))  # nodes of a way; outer ways of an area
    inner: array[int] = field(default_factory=lambda: array("q"))  # ways around the holes of an area
    version: int = 0
    visible: bool = True

    @property
    def label(self) -> str:
        """Its id as the layers give it: ``w123``."""
        return f"{self.kind}{self.id}"


@dataclass(frozen=True)
class Extract:
    """An extract as read."""

    node_id: NDArray[np.int64]  # increasing
    node_xy: NDArray[np.float64]  # (n, 2) longitude, latitude [deg]
    things: tuple[Thing, ...]  # by kind and id
    remarks: tuple[Remark, ...]


class Gathered:
    """The objects of one file as they come, refused where they are too many."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._id, self._version, self._visible = array("q"), array("q"), array("b")
        self._lon, self._lat = array("d"), array("d")
        self._things: dict[tuple[str, int], Thing] = {}
        self._doubled: set[str] = set()
        self._n_refs = 0

    def add_node(self, id: int, lon: float, lat: float, *, version: int = 0, visible: bool = True) -> None:
        """One node. [deg]"""
        self.expect(nodes=1)
        self._id.append(id)
        self._lon.append(lon)
        self._lat.append(lat)
        self._version.append(version)
        self._visible.append(visible)

    def add_nodes(
        self,
        ids: NDArray[np.int64],
        lon: NDArray[np.float64],
        lat: NDArray[np.float64],
        *,
        version: NDArray[np.int64],
        visible: NDArray[np.bool_],
    ) -> None:
        """Many nodes, each column of one length. [deg]"""
        self.expect(nodes=len(ids))
        self._id.frombytes(ids.astype(np.int64).tobytes())
        self._lon.frombytes(lon.astype(np.float64).tobytes())
        self._lat.frombytes(lat.astype(np.float64).tobytes())
        self._version.frombytes(version.astype(np.int64).tobytes())
        self._visible.frombytes(visible.astype(np.int8).tobytes())

    def add(self, thing: Thing) -> None:
        """A node with tags (its place apart), a way or a relation; those of no use are left out."""
        if thing.kind == "n" and thing.visible and _NODE_KEYS.isdisjoint(thing.tags):
            return
        if thing.kind == "r" and thing.visible and thing.tags.get("type") not in ("multipolygon", "boundary"):
            return
        key = (thing.kind, thing.id)
        known = self._things.get(key)
        if known is not None:
            self._doubled.add(thing.label)
            if known.version > thing.version:
                return
        self._things[key] = thing
        if len(self._things) > _MOST_THINGS:
            too_big(self.file, f"more than {_MOST_THINGS:,} ways, areas and marked nodes")

    def expect(self, *, nodes: int = 0, refs: int = 0) -> None:
        """Refuse before so many more are taken in."""
        if len(self._id) + nodes > _MOST_NODES:
            too_big(self.file, f"more than {_MOST_NODES:,} nodes")
        self._n_refs += refs
        if self._n_refs > _MOST_REFS:
            too_big(self.file, f"ways and areas of more than {_MOST_REFS:,} members")

    def extract(self) -> Extract:
        """All that was gathered.

        Raises
        ------
        DataError
            A node lies nowhere on earth.
        """
        node_id, xy, moved = self._nodes()
        gone = sorted(each.label for each in self._things.values() if not each.visible)
        things = tuple(self._things[key] for key in sorted(self._things) if self._things[key].visible)
        remarks = []
        doubled = sorted(self._doubled | {f"n{each}" for each in moved})
        if doubled:
            text = f"{len(doubled):,} objects of {self.file} stand in it twice; the highest version counts"
            remedy = "check how the extract was put together"
            remarks.append(doubt("osm-doubled", text, ids=doubled, remedy=remedy))
        if gone:
            text = f"{len(gone):,} objects of {self.file} are marked as deleted and left out"
            remarks.append(note("osm-deleted", text, ids=gone))
        return Extract(node_id, xy, things, tuple(remarks))

    def _nodes(self) -> tuple[NDArray[np.int64], NDArray[np.float64], list[int]]:
        """Each node once, by id; and the ids of those given in different places."""
        ids = np.frombuffer(self._id, dtype=np.int64)
        xy = np.column_stack((np.frombuffer(self._lon), np.frombuffer(self._lat)))
        version = np.frombuffer(self._version, dtype=np.int64)
        visible = np.frombuffer(self._visible, dtype=np.int8) > 0
        order = np.lexsort((version, ids))
        ids, xy, visible = ids[order], xy[order], visible[order]
        on_earth = (np.abs(xy) <= (180.0, 90.0)).all(axis=1)  # false for NaN
        if (visible & ~on_earth).any():
            first = int(ids[visible & ~on_earth][0])
            raise DataError(
                f"{self.file}: node {first} lies nowhere on earth (lon {xy[visible & ~on_earth][0][0]:g}, "
                f"lat {xy[visible & ~on_earth][0][1]:g}); export the extract again"
            )
        same = ids[1:] == ids[:-1]
        moved = same & (xy[1:] != xy[:-1]).any(axis=1) & visible[1:] & visible[:-1]
        last = np.append(~same, True)[: len(ids)] & visible
        return ids[last], xy[last], np.unique(ids[1:][moved]).tolist()


def read_tags(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The tags that are read."""
    return {key: value for key, value in pairs if key in KEYS}


def too_big(file: str, what: str) -> NoReturn:
    """Refuse an extract of more than a town."""
    raise DataError(
        f"{file} holds {what}, which is more than a town; cut the community out first, as with "
        f"osmium extract --bbox WEST,SOUTH,EAST,NORTH {file} -o community.osm.pbf"
    )
