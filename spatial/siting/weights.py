"""What a metre of light is worth: the same everywhere, or more where the settings say so.

- ``plain``: 1.
- ``way-home``: the households whose shortest way from the nearest entrance uses it.
- ``elderly``: ``lamps.weight_times`` on every alley between two junctions at which elderly people have
  their door, 1 elsewhere.
- ``junctions``: ``lamps.weight_times`` within 5 m of a junction or a bend along the alley and on steps,
  1 elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.errors import DataError
from spatial.load import Site
from spatial.network import AlleyNetwork
from spatial.settings import Settings
from spatial.sight import Stretches
from spatial.siting.ways import WaysHome

__all__ = ["BEND_DEG", "Worth", "bends", "worth_of_light"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

AROUND_M = 5.0  # of a junction or a bend
BEND_DEG = 30.0


@dataclass(frozen=True)
class Worth:
    """What a metre is worth, row by row; the rows of an edge follow each other and add up to it."""

    edge: IntArray
    from_m: FloatArray  # along the edge
    per_m: FloatArray

    def of(self, cut: Stretches) -> FloatArray:
        """Worth per metre of each stretch; stretches that reach over several rows go by their middle."""
        longest_m = 1.0 + max(self.from_m.max(initial=0.0), cut.to_m.max(initial=0.0))
        middle = cut.edge * longest_m + (cut.from_m + cut.to_m) / 2
        row = np.searchsorted(self.edge * longest_m + self.from_m, middle, side="right") - 1
        return self.per_m[row]


def worth_of_light(site: Site, network: AlleyNetwork, settings: Settings, ways: WaysHome | None) -> Worth:
    """The worth of a metre of light under ``lamps.weight``.

    Raises
    ------
    DataError
        The weight asks for households, elderly people or ways that the site does not have.
    """
    lamps, n_edges = settings.lamps, len(network.edge_length_m)
    if lamps.weight == "plain":
        return _whole_edges(np.ones(n_edges))
    if lamps.weight == "junctions":
        return _at_junctions(network, lamps.weight_times)
    if ways is None:
        raise DataError(
            "the lamps can't be planned",
            [f"lamps.weight = {lamps.weight} needs households: add that layer, or use plain or junctions"],
        )
    households = site.layer("households")
    if lamps.weight == "elderly":
        elderly = households["elderly"].fillna(0).to_numpy(dtype=np.float64) > 0
        if not elderly.any():
            raise DataError(
                "the lamps can't be planned",
                [
                    "lamps.weight = elderly needs households.elderly, which is empty or 0 in every row; "
                    "fill it in, or use another weight"
                ],
            )
        at = ways.door.edge[elderly & (ways.door.edge >= 0)]
        return _whole_edges(np.where(np.isin(np.arange(n_edges), at), lamps.weight_times, 1.0))
    graph = ways.graph
    users = ways.users(households["households"].to_numpy(dtype=np.float64))
    if not users.any():
        raise DataError(
            "the lamps can't be planned",
            [
                "lamps.weight = way-home needs a way home: no household can reach an entrance; add places "
                "of kind entrance, or alleys of kind road or street, or use another weight"
            ],
        )
    return Worth(graph.piece_edge, graph.piece_from_m, users)


def bends(network: AlleyNetwork, edges: IntArray) -> tuple[IntArray, FloatArray]:
    """Vertices inside some edges where the alley turns by 30 degrees or more: edge, metres along it."""
    coords, owner = shapely.get_coordinates(network.edge_lines[edges], return_index=True)
    leg = np.diff(coords, axis=0)
    same = owner[1:] == owner[:-1]
    length_m = np.where(same, np.hypot(*leg.T), 0.0)
    total_m = np.concatenate([[0.0], np.cumsum(length_m)])
    along_m = total_m - total_m[np.searchsorted(owner, np.arange(len(edges)))][owner]
    heading = np.arctan2(leg[:, 1], leg[:, 0])
    turn = np.abs((np.diff(heading) + np.pi) % (2 * np.pi) - np.pi)
    at = 1 + np.flatnonzero(same[1:] & same[:-1] & (np.degrees(turn) >= BEND_DEG))
    return edges[owner[at]], along_m[at]


def _whole_edges(per_m: FloatArray) -> Worth:
    return Worth(np.arange(len(per_m)), np.zeros(len(per_m)), per_m)


def _at_junctions(network: AlleyNetwork, times: float) -> Worth:
    """Pieces near junctions, bends and on steps, and the others between them."""
    every = np.arange(len(network.edge_length_m))
    degree = np.bincount(network.edge_nodes.ravel(), minlength=len(network.node_xy))
    edge, end = np.nonzero(degree[network.edge_nodes] >= 3)
    bend_edge, bend_m = bends(network, every)
    steps = np.flatnonzero(network.alleys["kind"].eq("steps").fillna(False).to_numpy()[network.edge_alley])
    length_m = network.edge_length_m
    at_edge = np.concatenate([edge, bend_edge, steps])
    at_m = np.concatenate([np.where(end == 0, 0.0, length_m[edge]), bend_m, length_m[steps] / 2])
    half_m = np.concatenate([np.full(len(edge) + len(bend_edge), AROUND_M), length_m[steps] / 2])
    low_m, high_m = np.maximum(at_m - half_m, 0.0), np.minimum(at_m + half_m, length_m[at_edge])
    mark_edge = np.concatenate([every, at_edge, at_edge])
    mark_m = np.concatenate([np.zeros(len(every)), low_m, high_m])
    step = np.concatenate([np.zeros(len(every)), np.ones(len(at_edge)), -np.ones(len(at_edge))])
    order = np.lexsort((-step, mark_m, mark_edge))
    mark_edge, mark_m, inside = mark_edge[order], mark_m[order], np.cumsum(step[order]) > 0
    same = (np.diff(mark_edge, append=-1) == 0) & (np.diff(mark_m, append=0.0) == 0)
    keep = ~same & (mark_m < length_m[mark_edge])  # of marks in one place the last says what follows
    return Worth(mark_edge[keep], mark_m[keep], np.where(inside[keep], times, 1.0))
