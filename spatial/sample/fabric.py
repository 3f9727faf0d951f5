"""The lanes of a made-up township: where they run, which hamlet they belong to, what crosses what.

A township is laid out on a plain lattice first, where a stream is a gap between two columns and the
main road a row, so that who crosses whom is known for certain; only then is everything bent. The
lattice is a running bond like a brick wall, which makes every junction a T; a random spanning tree
that prefers lanes inside one hamlet makes it tree-like, and a few further lanes close loops.
Coordinates are metres from the middle of the township.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial import KDTree

__all__ = ["ROAD_WIDTH_M", "Fabric", "make_fabric", "road_line"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bend = Callable[[Floats], Floats]

ALLEY_PER_HOUSEHOLD_M = 6.0
HOUSEHOLDS_PER_HAMLET = 40.0
COLUMN_M, ROW_M = 30.0, 31.0  # three house fronts along a lane, two houses back to back between lanes
STREAM_GAP_M, BANK_M = 22.0, 10.0  # added between the two columns at the stream; bridge head to mid-stream
ROAD_NORTH_M, ROAD_SOUTH_M = 9.0, 6.0  # added on either side of the main road
ROAD_WIDTH_M = 7.0
RAIL_M = 4.6  # guard-rail on the south side of the road, from its centre-line
ROAD_M_PER_ROOT = 26.0  # road and what hangs on it, per root of households
LANE_M_PER_NODE = 32.8  # both measured on towns of 400 to 10,000 households
FEWEST_NODES = 4  # of a hamlet
N_CROSSROADS = 8
PIECES = 3  # each edge is bent into as many pieces


@dataclass(frozen=True)
class Fabric:
    """The network of a township before survey errors, and what cuts through it.

    ``edges`` has one row per stretch between junctions: ``start`` and ``end`` (rows of ``node_xy``),
    ``role`` (road, bridge, row, cross, link, overpass, unnoded), ``row`` and ``column`` in the lattice
    and ``hamlet`` (−1: none). ``edge_xy`` are its bends, shape (m, PIECES + 1, 2).
    """

    node_xy: Floats
    edges: pd.DataFrame
    edge_xy: Floats
    n_hamlets: int
    stream: shapely.LineString
    rail: shapely.LineString


def make_fabric(n_households: int, rng: np.random.Generator) -> Fabric:
    """Lay out the lanes for so many households: about 6 m of lane each, 40 households a hamlet.

    A draw that leaves no room for the crossing and the footbridge is followed by another.
    """
    while (fabric := _drawn(n_households, rng)) is None:
        pass
    return fabric


def _drawn(n_households: int, rng: np.random.Generator) -> Fabric | None:
    """One draw, or None where the crossing and the footbridge find no room."""
    lattice = _lattice(n_households, rng)
    nodes = _hamlets(lattice, max(4, round(n_households / HOUSEHOLDS_PER_HAMLET)), rng)
    bend = _bender(rng)
    nodes = _placed(nodes, bend, rng)
    edges = _candidate_edges(nodes)
    edges = _chosen_edges(nodes, edges[_uncrossed(nodes, edges)], rng)
    edge_xy = _bent_edges(nodes, edges, rng)
    crossings = _crossings(nodes, edges, edge_xy)
    if crossings is None:
        return None
    edges = pd.concat([edges, crossings[0][edges.columns]], ignore_index=True)
    edge_xy = np.concatenate([edge_xy, crossings[1]])
    return Fabric(
        node_xy=nodes[["x", "y"]].to_numpy(),
        edges=edges,
        edge_xy=edge_xy,
        n_hamlets=int(nodes["hamlet"].max()) + 1,
        stream=_stream(nodes, bend, rng),
        rail=road_line(edges, edge_xy).offset_curve(-RAIL_M, join_style="mitre"),
    )


def _lattice(n_households: int, rng: np.random.Generator) -> pd.DataFrame:
    """Nodes of the lattice inside a blob longer than wide, with the road's row and the bridge heads."""
    road_m = ROAD_M_PER_ROOT * np.sqrt(n_households)
    n_nodes = round((ALLEY_PER_HOUSEHOLD_M * n_households - road_m) / LANE_M_PER_NODE)
    half = int(np.ceil(1.3 * np.sqrt(n_nodes))) + 4
    row, column = (each.ravel() for each in np.mgrid[-half : half + 1, -half : half + 1])
    angle = np.arctan2(row, column)
    lobes = (
        1 + 0.13 * np.sin(2 * angle + rng.uniform(0, 6.3)) + 0.08 * np.sin(3 * angle + rng.uniform(0, 6.3))
    )
    reach = np.hypot(column / 1.3, row) * lobes
    inside = np.sort(np.argsort(np.where(row == 0, np.inf, reach), kind="stable")[:n_nodes])
    nodes = pd.DataFrame({"row": row[inside], "column": column[inside]})
    ends = nodes["column"].min() - 1, nodes["column"].max() + 1
    road = pd.DataFrame({"row": 0, "column": np.arange(ends[0], ends[1] + 1)})
    nodes = pd.concat([nodes, road], ignore_index=True)
    nodes["stream"] = round(0.22 * ends[1])  # the stream passes east of this column
    return pd.concat([_largest_piece(nodes), _bridge_heads(nodes)], ignore_index=True)


def _bridge_heads(nodes: pd.DataFrame) -> pd.DataFrame:
    """Two nodes on the banks for each of the two bridges: the road's and one lane's north of it."""
    west = nodes.loc[nodes["column"] == nodes["stream"], "row"]
    east = nodes.loc[nodes["column"] == nodes["stream"] + 1, "row"]
    both = np.intersect1d(west, east)
    lane = int(both[both > 0][len(both[both > 0]) // 2])
    heads = pd.DataFrame({"row": [0, 0, lane, lane], "column": np.nan, "stream": nodes["stream"].iloc[0]})
    heads["bank"] = [-1.0, 1.0, -1.0, 1.0]
    return heads


def _largest_piece(nodes: pd.DataFrame) -> pd.DataFrame:
    """The nodes the road can be reached from along lattice lines that do not cross the stream."""
    edges = _lattice_edges(nodes)
    _, piece = connected_components(_graph(edges, np.ones(len(edges)), len(nodes)), directed=False)
    on_road = piece[(nodes["row"] == 0).to_numpy()]
    return nodes[np.isin(piece, on_road)].reset_index(drop=True)


def _lattice_edges(nodes: pd.DataFrame) -> pd.DataFrame:
    """Neighbours along a row, and every second neighbour across rows, staggered like bricks."""
    lattice = nodes[nodes["column"].notna()]
    at = _node_at(nodes)
    row, column = lattice["row"].to_numpy(), lattice["column"].to_numpy().astype(np.int64)
    east = np.where(column == lattice["stream"], -1, _looked_up(at, row, column + 1))
    north = np.where((row + column) % 2 == 0, _looked_up(at, row + 1, column), -1)
    start = np.concatenate([np.flatnonzero(east >= 0), np.flatnonzero(north >= 0)])
    return pd.DataFrame(
        {
            "start": lattice.index.to_numpy()[start],
            "end": np.concatenate([east[east >= 0], north[north >= 0]]),
            "along": np.repeat([True, False], [np.sum(east >= 0), np.sum(north >= 0)]),
            "row": row[start],
            "column": column[start],
        }
    )


def _graph(edges: pd.DataFrame, weight: Floats, n_nodes: int) -> Any:
    return coo_array((weight, (edges["start"], edges["end"])), shape=(n_nodes, n_nodes)).tocsr()


def _hamlets(nodes: pd.DataFrame, n_hamlets: int, rng: np.random.Generator) -> pd.DataFrame:
    """Give each node to a hamlet; none straddles the stream or the road. Road and bridges: −1.

    Centres are drawn among the nodes of a quarter and moved twice to the mean of those nearest to them,
    which leaves hamlets of uneven size. A scrap cut off from its hamlet, and a hamlet that is no
    more than a scrap, goes to one that it touches.
    """
    lane = (nodes["row"] != 0) & nodes["column"].notna()
    quarter = np.where(lane, 2 * (nodes["row"] > 0) + (nodes["column"] > nodes["stream"]), -1)
    lattice_xy = np.c_[nodes["column"].fillna(0) * COLUMN_M, nodes["row"] * ROW_M]
    hamlet = np.full(len(nodes), -1)
    for each in range(4):
        members = np.flatnonzero(quarter == each)
        k = min(len(members), max(1, round(n_hamlets * len(members) / lane.sum())))
        xy = lattice_xy[members]
        centres = xy[rng.choice(len(members), k, replace=False)]
        for _ in range(2):
            centres = pd.DataFrame(xy).groupby(KDTree(centres).query(xy)[1]).mean().to_numpy()
        hamlet[members] = KDTree(centres).query(xy)[1] + hamlet.max() + 1
    return nodes.assign(hamlet=_whole(nodes, hamlet))


def _whole(nodes: pd.DataFrame, hamlet: Ints) -> Ints:
    """Hamlets in one piece along the lattice, numbered without a gap."""
    edges = _lattice_edges(nodes)
    edges = edges[(hamlet[edges["start"]] >= 0) & (hamlet[edges["end"]] >= 0)]
    while True:
        within = edges[hamlet[edges["start"]] == hamlet[edges["end"]]]
        _, piece = connected_components(_graph(within, np.ones(len(within)), len(nodes)), directed=False)
        size = np.bincount(piece)[piece]
        largest = pd.Series(size).groupby(hamlet).transform("max").to_numpy()
        main = pd.Series(np.where(size == largest, piece, -1)).groupby(hamlet).transform("max").to_numpy()
        scrap = ((piece != main) | (size < FEWEST_NODES)) & (hamlet >= 0)
        start, end = edges["start"].to_numpy(), edges["end"].to_numpy()
        a, b = np.r_[start, end], np.r_[end, start]
        move = scrap[a] & ~scrap[b]
        if not move.any():
            return np.where(hamlet < 0, -1, np.unique(hamlet, return_inverse=True)[1] - (hamlet.min() < 0))
        hamlet = hamlet.copy()
        hamlet[a[move]] = hamlet[b[move]]


def _bender(rng: np.random.Generator) -> Bend:
    """A smooth random map of the plane without folds: four slow waves in random directions."""
    direction = rng.uniform(0, 2 * np.pi, 4)
    wave = 2 * np.pi / np.array([190.0, 260.0, 340.0, 520.0])
    push = rng.uniform(0, 2 * np.pi, 4)
    phase = rng.uniform(0, 2 * np.pi, 4)
    height = 0.24 / wave * np.array([0.8, 1.0, 1.0, 1.2])

    def bend(xy: Floats) -> Floats:
        along = xy[:, :1] * np.cos(direction) + xy[:, 1:] * np.sin(direction)
        shift = height * np.sin(wave * along + phase)
        return xy + np.c_[shift @ np.cos(push), shift @ np.sin(push)]

    return bend


def _placed(nodes: pd.DataFrame, bend: Bend, rng: np.random.Generator) -> pd.DataFrame:
    """Coordinates: lattice, hamlets drawn together and turned a little, each node nudged, all bent."""
    x = nodes["column"] * COLUMN_M + STREAM_GAP_M * (nodes["column"] > nodes["stream"])
    mid_stream = nodes["stream"] * COLUMN_M + (COLUMN_M + STREAM_GAP_M) / 2
    x = x.where(nodes["column"].notna(), mid_stream + nodes["bank"] * BANK_M).to_numpy()
    row = nodes["row"].to_numpy()
    y = row * ROW_M + ROAD_NORTH_M * (row > 0) - ROAD_SOUTH_M * (row < 0)
    xy = np.c_[x, y]
    hamlet = nodes["hamlet"].to_numpy()
    centre = pd.DataFrame(xy).groupby(hamlet).transform("mean").to_numpy()
    turn = np.deg2rad(rng.uniform(-13, 13, hamlet.max() + 1))[hamlet]
    from_centre = 0.93 * (xy - centre)
    turned = (
        centre
        + np.c_[
            from_centre[:, 0] * np.cos(turn) - from_centre[:, 1] * np.sin(turn),
            from_centre[:, 0] * np.sin(turn) + from_centre[:, 1] * np.cos(turn),
        ]
    )
    nudge = np.clip(rng.normal(0, 2.6, xy.shape), -5, 5)
    nudge[hamlet < 0] *= 0.3
    return nodes.assign(
        **dict(zip("xy", bend(np.where(hamlet[:, None] < 0, xy, turned) + nudge).T, strict=True))
    )


def _candidate_edges(nodes: pd.DataFrame) -> pd.DataFrame:
    """Every lane there could be, with its role; ``link`` joins two hamlets or a hamlet and the road."""
    edges = pd.concat([_lattice_edges(nodes), _bridge_edges(nodes)], ignore_index=True)
    start, end = nodes["hamlet"].to_numpy()[edges["start"]], nodes["hamlet"].to_numpy()[edges["end"]]
    role = np.where(edges["along"], "row", "cross").astype(object)
    role[start != end] = "link"
    role[(edges["row"] == 0) & edges["along"]] = "road"
    bridge = nodes["bank"].to_numpy()
    role[~np.isnan(bridge[edges["start"]]) & ~np.isnan(bridge[edges["end"]])] = "bridge"
    return edges.assign(role=role, hamlet=np.where(start == end, start, -1))


def _bridge_edges(nodes: pd.DataFrame) -> pd.DataFrame:
    """West node, west bank, east bank, east node: three edges for each of the two bridges."""
    heads = nodes.index[nodes["column"].isna()].to_numpy().reshape(2, 2)
    west = nodes.index[nodes["column"] == nodes["stream"]]
    east = nodes.index[nodes["column"] == nodes["stream"] + 1]
    rows = nodes["row"].to_numpy()
    parts = []
    for head in heads:
        row = rows[head[0]]
        path = [west[rows[west] == row][0], head[0], head[1], east[rows[east] == row][0]]
        parts.append(pd.DataFrame({"start": path[:-1], "end": path[1:], "row": row}))
    return pd.concat(parts).assign(
        along=True, column=np.tile([-0.75, -0.5, -0.25], 2) + nodes["stream"][0] + 1
    )


def _uncrossed(nodes: pd.DataFrame, edges: pd.DataFrame) -> NDArray[np.bool_]:
    """False for links that cross another lane once the hamlets are turned and bent."""
    xy = nodes[["x", "y"]].to_numpy()
    lines = shapely.linestrings(np.stack([xy[edges["start"]], xy[edges["end"]]], axis=1))
    one, _ = shapely.STRtree(lines).query(lines, predicate="crosses")
    link = (edges["role"] == "link").to_numpy()
    crossed = np.zeros(len(edges), dtype=bool)
    crossed[one[link[one]]] = True
    return ~crossed


def _chosen_edges(nodes: pd.DataFrame, edges: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A spanning tree that joins each hamlet inside before it joins hamlets, and a few loops."""
    role, south = edges["role"].to_numpy(), (edges["row"] < 0).to_numpy()
    start_row, end_row = (nodes["row"].to_numpy()[edges[each]] for each in ("start", "end"))
    to_road = (role == "link") & ((start_row == 0) | (end_row == 0))
    # inside a hamlet less than 3 whatever is added, so that none is joined only by way of another
    class_weight = pd.Series({"road": 0.0, "bridge": 0.0, "row": 1.0, "cross": 1.0, "link": 3.0})
    weight = class_weight[role].to_numpy() + 1e-3 + rng.random(len(edges))
    weight += 0.35 * (role == "cross") + 1.0 * to_road + 1.0 * (to_road & south)
    weight[(edges["column"] % 1 != 0).to_numpy()] = 1e-3  # the way over the bridge
    crossroads = _crossroads(nodes, rng)
    spared = ~edges["along"].to_numpy() & (edges[["start", "end"]].isin(crossroads).any(axis=1)).to_numpy()
    weight += 0.6 * spared - 0.9 * ((role == "row") & edges["start"].isin(crossroads).to_numpy())
    tree = minimum_spanning_tree(_graph(edges, weight, len(nodes))).tocoo()
    in_tree = pd.MultiIndex.from_arrays([tree.row, tree.col])
    kept = pd.MultiIndex.from_frame(edges[["start", "end"]]).isin(in_tree) | (weight < 1.5e-3)
    kept |= np.isin(role, ["road", "bridge"])
    share = np.select([spared, to_road & south, to_road, role == "link"], [0.0, 0.12, 0.4, 0.10], 0.16)
    return edges[kept | (rng.random(len(edges)) < share)].reset_index(drop=True)


def _crossroads(nodes: pd.DataFrame, rng: np.random.Generator) -> Ints:
    """A few nodes to be spared lanes across, so that one can be drawn there through the row."""
    at = _node_at(nodes)
    lane = nodes.index[nodes["hamlet"] >= 0].to_numpy()
    row, column = (nodes[each].to_numpy()[lane] for each in ("row", "column"))
    around = [
        _looked_up(at, row + 1, column),
        _looked_up(at, row - 1, column),
        _looked_up(at, row, column + 1),
    ]
    hamlet = nodes["hamlet"].to_numpy()
    inner = np.all([(each >= 0) & (hamlet[each] >= 0) for each in around], axis=0)
    inner &= hamlet[around[2]] == hamlet[lane]
    return rng.permutation(lane[inner])[:N_CROSSROADS]


def _node_at(nodes: pd.DataFrame) -> pd.Series:
    """Number of the node at each row and column of the lattice."""
    lattice = nodes[nodes["column"].notna()]
    index = pd.MultiIndex.from_arrays([lattice["row"], lattice["column"].astype(np.int64)])
    return pd.Series(lattice.index.to_numpy(), index=index)


def _looked_up(at: pd.Series, row: Any, column: Any) -> Ints:
    """Nodes at these places, −1 where there is none."""
    index = pd.MultiIndex.from_arrays([row, np.asarray(column, dtype=np.int64)])
    return at.reindex(index, fill_value=-1).to_numpy()


def _bent_edges(nodes: pd.DataFrame, edges: pd.DataFrame, rng: np.random.Generator) -> Floats:
    """Each edge with two bends off its straight line; now and then a dog-leg, where both swing wide.

    Where two edges would meet by that, both stay straight.
    """
    xy = nodes[["x", "y"]].to_numpy()
    start, end = xy[edges["start"]], xy[edges["end"]]
    n = len(edges)
    at = np.array([1, 2]) / PIECES + rng.uniform(-0.07, 0.07, (n, 2))
    swing = rng.normal(0, 0.055, (n, 2))
    dog_leg = rng.random(n) < 0.22
    swing[dog_leg] = rng.choice([-1, 1], dog_leg.sum())[:, None] * np.array([0.10, -0.10])
    swing *= np.where(np.isin(edges["role"], ["road", "bridge"]), 0.2, 1.0)[:, None]
    chord = end - start
    normal = np.c_[-chord[:, 1], chord[:, 0]]
    bends = start[:, None] + at[..., None] * chord[:, None] + swing[..., None] * normal[:, None]
    bent = np.concatenate([start[:, None], bends, end[:, None]], axis=1)
    straight = start[:, None] + np.linspace(0, 1, PIECES + 1)[:, None] * chord[:, None]
    lines = shapely.linestrings(bent)
    crossing = np.unique(shapely.STRtree(lines).query(lines, predicate="crosses"))
    bent[crossing] = straight[crossing]
    return bent


def _crossings(
    nodes: pd.DataFrame, edges: pd.DataFrame, edge_xy: Floats
) -> tuple[pd.DataFrame, Floats] | None:
    """A lane drawn straight through another without a shared vertex, and a footbridge over one.

    Each crosses one lane and nothing else, and they lie apart. None where there is no room for both.
    """
    offers = _through_lanes(nodes, edges)
    node_xy = nodes[["x", "y"]].to_numpy()
    start, middle, end = (node_xy[offers[each]] for each in ("start", "over", "end"))
    aside = (edge_xy[offers["beside"], 1] - middle) * 0.45
    near_start = 0.55 * middle + 0.45 * start + aside
    near_end = 0.55 * middle + 0.45 * end + aside
    offer_xy = np.stack([start, near_start, near_end, end], axis=1)
    lanes = shapely.STRtree(shapely.linestrings(edge_xy))
    crossed = lanes.query(shapely.linestrings(offer_xy), predicate="crosses")[0]
    clean = np.flatnonzero(np.bincount(crossed, minlength=len(offers)) == 1)
    apart_m = np.hypot(*(middle[clean] - middle[clean[:1]]).T)
    if not (apart_m > 3 * ROW_M).any():
        return None
    pick = clean[np.array([0, int(apart_m.argmax())])]
    return offers.iloc[pick].assign(role=["unnoded", "overpass"], along=False, column=0.0), offer_xy[pick]


def _through_lanes(nodes: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    """Places where a lane could run on across a row: nodes above and below, no lane between as yet."""
    at = _node_at(nodes)
    lane = nodes[nodes["hamlet"] >= 0]
    above, below = (_looked_up(at, lane["row"] + step, lane["column"]) for step in (1, -1))
    offers = pd.DataFrame({"over": lane.index, "start": above, "end": below, "row": lane["row"]})
    offers = offers[(above >= 0) & (below >= 0)]
    hamlet = nodes["hamlet"].to_numpy()
    lanes = (hamlet[offers["start"]] >= 0) & (hamlet[offers["end"]] >= 0)
    cross = edges[~edges["along"]]
    taken = np.r_[cross["start"] * len(nodes) + cross["end"], cross["end"] * len(nodes) + cross["start"]]
    free = np.ones(len(offers), dtype=bool)
    for side in ("start", "end"):
        free &= ~np.isin(offers["over"] * len(nodes) + offers[side], taken)
    rows = edges[edges["role"] == "row"]
    beside = pd.Series(rows.index, index=rows["start"]).reindex(offers["over"]).to_numpy()
    offers = offers.assign(beside=beside, hamlet=hamlet[offers["over"]])[free & lanes & ~np.isnan(beside)]
    return offers.astype({"beside": np.int64}).reset_index(drop=True)


def _stream(nodes: pd.DataFrame, bend: Bend, rng: np.random.Generator) -> shapely.LineString:
    """The middle of the stream from beyond the north end to beyond the south end."""
    rows = nodes["row"]
    y = np.arange((rows.min() - 2.5) * ROW_M, (rows.max() + 2.5) * ROW_M, 8.0)
    x = nodes["stream"].iloc[0] * COLUMN_M + (COLUMN_M + STREAM_GAP_M) / 2
    meander = 1.4 * np.sin(y / 23.0 + rng.uniform(0, 6.3)) + 0.9 * np.sin(y / 11.0 + rng.uniform(0, 6.3))
    return shapely.LineString(bend(np.c_[x + meander, y]))


def road_line(edges: pd.DataFrame, edge_xy: Floats) -> shapely.LineString:
    """The main road from west to east as one line."""
    road = edges[(edges["row"] == 0) & edges["along"]].sort_values("column")
    points = edge_xy[road.index]
    return shapely.LineString(np.concatenate([points[:, :-1].reshape(-1, 2), points[-1, -1:]]))
