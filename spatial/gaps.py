"""What is probably wrong between alleys as drawn: ends that stop short, parts cut off, edges of roads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.errors import Remark, doubt, one_line
from spatial.settings import Grids

if TYPE_CHECKING:
    from spatial.network import AlleyNetwork

__all__ = ["near_ends", "parts_in_brief", "road_edges", "told_parts"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Lines = NDArray[np.object_]

#: A free end this near to another alley was probably meant to meet it. [m]
_NEAR_END_M = 2.0
#: Parts that are told one by one, those with the most households; real extracts have hundreds.
_MOST_PARTS = 20
_MOST_NAMED = 3  # of parts told in brief
#: Lines that run beside each other within this are perhaps the edges of one road. [m]
_ROAD_M = 12.0
#: Of the length beside another: 2 to 20 % in real networks of centre-lines, 95 % of road edges.
_SHARE_OF_EDGES = 0.5
_STEP_M = 10.0
_ALIKE = np.cos(np.radians(10.0))


def near_ends(network: AlleyNetwork) -> list[Remark]:
    """Free ends that stop just short of another alley, beyond what ``input.snap_m`` joins."""
    degree = np.bincount(network.edge_nodes.ravel(), minlength=len(network.node_xy))
    free = np.flatnonzero(degree == 1)
    tree = shapely.STRtree(network.edge_lines)
    at, edge = tree.query(shapely.points(network.node_xy[free]), predicate="dwithin", distance=_NEAR_END_M)
    other = (network.edge_nodes[edge] != free[at, None]).all(axis=1)
    # the next edge of its own alley is near wherever the last one is short
    own = np.full(len(network.node_xy), -1)
    own[network.edge_nodes.ravel()] = np.repeat(network.edge_alley, 2)
    other &= network.edge_alley[edge] != own[free[at]]
    # so are those of the alley that a short stub branches from
    length_m, foot = np.zeros(len(own)), np.full(len(own), -1)
    for end in (0, 1):
        length_m[network.edge_nodes[:, end]] = network.edge_length_m
        foot[network.edge_nodes[:, end]] = network.edge_nodes[:, 1 - end]
    stub = length_m[free[at]] <= 2 * _NEAR_END_M
    other &= ~(stub & (network.edge_nodes[edge] == foot[free[at], None]).any(axis=1))
    ends = np.unique(free[at[other]])
    if not len(ends):
        return []
    names = network.alleys["alley_id"].to_numpy()[own[ends]]
    text = f"{len(ends):,} ends stop within {_NEAR_END_M:g} m of another alley without meeting it"
    remedy = "draw them to it where they meet, or raise input.snap_m"
    spots = [(str(name), x, y) for name, (x, y) in zip(names, network.node_xy[ends].tolist(), strict=True)]
    return [doubt("ends-near", text, layer="alleys", ids=np.unique(names), remedy=remedy, spots=spots)]


def road_edges(network: AlleyNetwork) -> list[Remark]:
    """A doubt where most of the length runs beside another line: drawings often hold edges of roads."""
    lines = network.edge_lines
    length_m = shapely.length(lines)
    n_points = np.maximum(1, np.round(length_m / _STEP_M)).astype(np.int64)
    own = np.repeat(np.arange(len(lines)), n_points)
    nth = np.arange(len(own)) - np.repeat(np.cumsum(n_points) - n_points, n_points)
    along_m = (nth + 0.5) * length_m[own] / n_points[own]
    points = shapely.line_interpolate_point(lines[own], along_m)
    at, beside = shapely.STRtree(lines).query(points, predicate="dwithin", distance=_ROAD_M)
    foot_m = shapely.line_locate_point(lines[beside], points[at])
    inner = (beside != own[at]) & (foot_m > 0) & (foot_m < length_m[beside])
    at, beside, foot_m = at[inner], beside[inner], foot_m[inner]
    turn = np.sum(_way(lines[own[at]], along_m[at]) * _way(lines[beside], foot_m), axis=1)
    accompanied = np.zeros(len(own), dtype=bool)
    accompanied[at[np.abs(turn) > _ALIKE]] = True
    share = float(length_m[own] / n_points[own] @ accompanied / length_m.sum())
    if share <= _SHARE_OF_EDGES:
        return []
    text = (
        f"{share:.0%} of their length runs within {_ROAD_M:g} m beside another line: they look like the "
        "edges of roads, not their middles; lengths and light would count twice"
    )
    remedy = "draw one centre-line for each road, or name the layer that holds them"
    return [doubt("alleys-are-edges", text, layer="alleys", remedy=remedy)]


def _way(lines: Lines, along_m: Floats) -> Floats:
    """The direction of each line at a place, as unit vectors."""
    ends = [shapely.line_interpolate_point(lines, np.maximum(along_m + each, 0.0)) for each in (-0.5, 0.5)]
    way = shapely.get_coordinates(ends[1]) - shapely.get_coordinates(ends[0])
    return np.asarray(way / np.maximum(np.hypot(*way.T), 1e-9)[:, None])


def told_parts(
    network: AlleyNetwork, households: gpd.GeoDataFrame, part: Ints, grids: Grids
) -> tuple[list[Remark], int]:
    """Each part of the network that people live in and that has no way to the largest, or makes no grids.

    Parameters
    ----------
    network : AlleyNetwork
    households : GeoDataFrame
    part : int array
        Of each household; -1 where no alley is near.
    grids : Grids

    Returns
    -------
    remarks : list of Remark
        The first spot of each stands on the part, the second where the largest is nearest to it.
    n_odd : int
        Parts whose total is no number of grids.
    """
    total = _homes_of(network, households, part)
    n_parts = len(total)
    odd = (total > 0) & (total // grids.min_households < -(-total // grids.max_households))
    remarks = []
    if odd[0]:
        where = "the largest part of the network has" if n_parts > 1 else "all alleys together have"
        remarks.append(
            doubt("part-total", f"{where} {_homes(int(total[0]))}: {_no_grids(grids)}", layer="households",
                  ids=households["household_id"][part == 0], remedy=_other_limits())
        )  # fmt: skip
    lived_in = 1 + np.flatnonzero(total[1:])
    lived_in = lived_in[np.argsort(-total[lived_in], kind="stable")]
    ways = _ways_over(network, lived_in)
    for each, (away_m, ends, alley) in zip(lived_in.tolist(), ways, strict=True):
        rows = households[part == each]
        who, of_alleys = _called(network, rows, each, among=households)
        far = f"{away_m:,.1f} m" if away_m < 10.0 else f"{away_m:,.0f} m"
        text = (
            f"{who}: {_homes(int(total[each]))} on {of_alleys} without a way to the largest part of the "
            f"network, which is {far} away in a straight line, at {alley}"
        )
        remedy = "draw the way that connects it"
        if away_m == 0.0:
            remedy = "draw the way up or down to it, or correct level, bridge or tunnel"
        if odd[each]:
            text += f"; {_no_grids(grids)}"
            remedy += f", or {_other_limits()}"
        spots = [(who, *ends[0]), (f"{alley}: {far} from {who}", *ends[1])]
        code = "part-total" if odd[each] else "part-cut-off"
        remarks.append(
            doubt(code, text, layer="households", ids=rows["household_id"], remedy=remedy, spots=spots)
        )
    n_told = len(remarks) - len(lived_in) + _MOST_PARTS
    return [*remarks[:n_told], *_rest(remarks[n_told:])], int(odd.sum())


def _homes_of(network: AlleyNetwork, households: gpd.GeoDataFrame, part: Ints) -> Ints:
    """Households of each part of the network."""
    count = households["households"].to_numpy(dtype=np.int64, na_value=1)
    on = part >= 0
    return np.bincount(part[on], count[on], int(network.node_part.max()) + 1).astype(np.int64)


def parts_in_brief(network: AlleyNetwork, households: gpd.GeoDataFrame, part: Ints) -> list[Remark]:
    """One doubt for all parts that people live in without a way to the largest; see :func:`told_parts`."""
    total = _homes_of(network, households, part)
    cut_off = 1 + np.flatnonzero(total[1:])
    if not len(cut_off):
        return []
    largest = cut_off[np.argsort(-total[cut_off], kind="stable")][:_MOST_NAMED]
    named = []
    for each in largest.tolist():
        who, _ = _called(network, households[part == each], each, among=households)
        named.append(f"{who} ({_homes(int(total[each]))})")
    n = len(cut_off)
    text = (
        f"{_homes(int(total[cut_off].sum()))} on {n:,} part{'s' * (n > 1)} of the alleys have no way to the "
        f"largest part: {', '.join(named)}{f' and {n - len(named):,} more' * (n > len(named))}"
    )
    remedy = "`alleyplan check` shows where the way to each would be shortest; draw those that are there"
    return [doubt("parts-cut-off", text, layer="households", remedy=remedy)]


def _rest(remarks: list[Remark]) -> Iterator[Remark]:
    """The smallest parts together."""
    if not remarks:
        return
    text = f"{len(remarks)} smaller parts with households have no way to the largest part either"
    yield doubt(
        "part-cut-off", text, layer="households", remedy="draw the ways that connect them",
        ids=[name for each in remarks for name in each.ids],
        spots=[spot for each in remarks for spot in each.spots],
    )  # fmt: skip


def _ways_over(network: AlleyNetwork, parts: Ints) -> Iterator[tuple[float, list[tuple[float, float]], str]]:
    """From each part to the largest: how far it is, both ends of the shortest line, the alley it leads to."""
    edge_part = network.node_part[network.edge_nodes[:, 0]]
    main = np.flatnonzero(edge_part == 0)
    tree = shapely.STRtree(network.edge_lines[main])
    names = network.alleys["alley_id"].to_numpy()
    for each in parts.tolist():
        here = network.edge_lines[edge_part == each]
        (mine, theirs), away_m = tree.query_nearest(here, all_matches=False, return_distance=True)
        k = int(away_m.argmin())
        way = shapely.shortest_line(here[mine[k]], tree.geometries[theirs[k]])
        ends = [(x, y) for x, y in shapely.get_coordinates(way).tolist()]
        yield float(away_m[k]), ends, one_line(names[network.edge_alley[main[theirs[k]]]])


def _called(
    network: AlleyNetwork, rows: gpd.GeoDataFrame, part: int, *, among: gpd.GeoDataFrame
) -> tuple[str, str]:
    """What a part is known by, a village group most of which lives there or its longest alley; its size."""
    inside = network.node_part[network.edge_nodes[:, 0]] == part
    length_m = pd.Series(network.edge_length_m[inside]).groupby(network.edge_alley[inside]).sum()
    longest = network.alleys.iloc[int(length_m.idxmax())]
    here, everywhere = rows["group"].value_counts(), among["group"].value_counts()
    groups = sorted(here.index[2 * here > everywhere[here.index]])
    alley = str(longest["alley_id"])
    if pd.notna(longest["name"]):
        alley = f"{longest['name']} ({alley})"
    who = one_line("、".join(groups[:3]) if groups else alley)
    n = len(length_m)
    return who, f"{n} alley{'s' * (n > 1)} of {length_m.sum():,.0f} m"


def _homes(n: int) -> str:
    return f"{n:,} household{'s' * (n != 1)}"


def _no_grids(grids: Grids) -> str:
    return f"no number of grids of {grids.min_households}–{grids.max_households}"


def _other_limits() -> str:
    return "change grids.min_households or grids.max_households"
