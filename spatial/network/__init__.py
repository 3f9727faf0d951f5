"""The network of alleys: nodes and edges, stops on it and walking distances along it.

Layers come in as drawn and leave repaired, with a note for each repair.
"""

from spatial.network.build import AlleyNetwork, build_network
from spatial.network.noding import TOUCH_M
from spatial.network.pace import in_minutes, minutes_per_m
from spatial.network.stops import Stops, doors, snap_points
from spatial.network.walking import StopGraph, Walks, nearest_stop, stop_graph, walks

__all__ = [
    "TOUCH_M",
    "AlleyNetwork",
    "StopGraph",
    "Stops",
    "Walks",
    "build_network",
    "doors",
    "in_minutes",
    "minutes_per_m",
    "nearest_stop",
    "snap_points",
    "stop_graph",
    "walks",
]
