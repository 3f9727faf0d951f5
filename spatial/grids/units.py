"""What is dealt out to grids: one row per household row, or per part of one that is split.

A row above the maximum is split into parts that share its door. A row that is far from every
alley rides with its nearest served neighbour: the two are one weight to the partition. What is
left is pure arrays: weights, who touches whom, and who is how far from whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from scipy.spatial import KDTree
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from spatial.errors import DataError, Remark, doubt, note
from spatial.load import Site
from spatial.network import AlleyNetwork, Stops, Walks, doors, walks
from spatial.settings import Grids, Settings

__all__ = ["Units", "codes", "footprints", "make_units", "near_walks", "side_by_side", "slice_middles"]

PEOPLE = ("residents", "elderly", "party_members")
TEXTS = ("group", "building_id", "locked_grid", "locked_branch")


@dataclass(frozen=True)
class Units:
    """The rows that are dealt out, sorted by household row and part, and those the search sees.

    ``table`` has the columns household_id, part (0 where unsplit, else 1…), households, residents,
    elderly, party_members, group, building_id, locked_grid, locked_branch, row (of the layer),
    served and the geometry shown: the door, or the middle of a part's slice.
    The *served* rows of the table, in its order, are the rows of the search.
    """

    table: GeoDataFrame
    stops: Stops  # one per row of the table
    footprint: NDArray[np.object_]  # polygon each row belongs to, None where unknown
    host: NDArray[np.int64]  # row of the table whose grid is shared; itself where served
    remarks: tuple[Remark, ...]

    @property
    def served(self) -> NDArray[np.int64]:
        """Rows of the table that the search sees."""
        return np.flatnonzero(self.table["served"])

    @property
    def seat(self) -> NDArray[np.int64]:
        """Row of the search that decides the grid of each row of the table."""
        position = np.cumsum(self.table["served"].to_numpy(dtype=np.int64)) - 1
        return position[self.host]

    @property
    def weight(self) -> NDArray[np.int64]:
        """Households of each row of the search, those that ride with it included."""
        households = self.table["households"].to_numpy(dtype=np.int64)
        return np.bincount(self.seat, households, minlength=len(self.served)).astype(np.int64)


def make_units(site: Site, network: AlleyNetwork, settings: Settings) -> Units:
    """Split, seat and locate the household rows.

    Raises
    ------
    DataError
        More than half of the households are farther than ``input.max_access_m`` from every alley.
    """
    households = site.layer("households")
    stops = doors(site, network, settings)
    table = split_rows(households, settings.grids)
    row = table["row"].to_numpy()
    footprint = footprints(site, stops.point_xy)[row]
    table["served"] = stops.edge[row] >= 0
    table["geometry"] = _shown(table, stops.point_xy[row], footprint)
    _refuse_mostly_far(table, settings.input.max_access_m)
    units = GeoDataFrame(table, geometry="geometry", crs=site.crs)
    host = ride(
        shapely.get_coordinates(units.geometry.array),
        households=units["households"].to_numpy(dtype=np.int64),
        served=units["served"].to_numpy(dtype=bool),
        lock=codes(units["locked_grid"])[0],
        most=settings.grids.max_households,
    )
    remarks = (*_split_notes(units, settings), *_far_doubts(units, host, settings))
    return Units(units, stops.take(row), footprint, host, remarks)


def split_rows(households: GeoDataFrame, limits: Grids) -> pd.DataFrame:
    """One row per household row, or per part where it holds more than a grid may and may be split.

    The parts are as equal as whole households allow, the larger ones last; residents, elderly and
    party members are shared out in whole numbers in proportion and add up to the row's. There are
    ``ceil(households / target_households)`` of them, so that a part leaves room for neighbours who can
    reach no other grid, but no more than can each be a grid alone, and enough to fit the maximum.
    """
    count = households["households"].to_numpy(dtype=np.int64)
    n_parts = np.ones_like(count)
    if limits.split_buildings:
        alone = np.minimum(-(-count // limits.target_households), count // limits.min_households)
        enough = np.maximum(-(-count // limits.max_households), alone)
        n_parts = np.where(count > limits.max_households, enough, 1)
    row = np.repeat(np.arange(len(count)), n_parts)
    place = np.arange(len(row)) - np.repeat(np.cumsum(n_parts) - n_parts, n_parts)
    whole, n = count[row], n_parts[row]
    before, after = whole * place // n, whole * (place + 1) // n
    table = pd.DataFrame({"household_id": households["household_id"].to_numpy()[row]})
    table["part"] = np.where(n > 1, place + 1, 0)
    table["households"] = after - before
    for name in PEOPLE:
        people = households[name].array[row]
        table[name] = people * after // whole - people * before // whole
    for name in TEXTS:
        table[name] = households[name].array[row]
    table["row"] = row
    return table


def slice_middles(footprint: BaseGeometry, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """A point inside each slice of a footprint cut across its long side, shape (n, 2).

    The long side is that of the smallest rectangle around the footprint; slices follow each other
    from west to east (from north to south where it runs due north) and are as long as their share.
    """
    corners = shapely.get_coordinates(shapely.oriented_envelope(footprint))[:4]
    side, other = corners[1] - corners[0], corners[3] - corners[0]
    origin = corners[0]
    if np.hypot(*side) < np.hypot(*other):
        side, other = other, side
    if (round(side[0], 6), -side[1]) < (0.0, 0.0):
        origin, side = origin + side, -side
    cuts = np.concatenate([[0.0], np.cumsum(shares) / shares.sum()])
    middles = []
    for start, end in pairwise(cuts):
        first, last = origin + start * side, origin + end * side
        piece = shapely.intersection(footprint, Polygon([first, last, last + other, first + other]))
        shown = shapely.centroid(piece)
        if not shapely.covers(footprint, shown):
            shown = shapely.point_on_surface(piece)
        middles.append(
            shapely.get_coordinates(shown)[0] if not shown.is_empty else (first + last + other) / 2
        )
    return np.array(middles)


def side_by_side(units: Units, grid: NDArray[np.int64]) -> NDArray[np.int64]:
    """The grid of each row of the search, the parts of a row so dealt out that each lies towards its grid.

    Parts share a door, so those of equal households can change places at no cost: from one end of the
    building to the other they have their grids in the order in which the nearest houses of these lie.
    """
    grid = grid.copy()
    table, weight = units.table.iloc[units.served], units.weight
    xy = shapely.get_coordinates(table.geometry.array)
    split = np.flatnonzero(table["part"] > 0)
    for _, rows in table.iloc[split].groupby("row", sort=True):
        parts = split[table["row"].to_numpy()[split] == rows["row"].iloc[0]]
        along, middle = xy[parts[-1]] - xy[parts[0]], xy[parts].mean(axis=0)
        elsewhere = np.setdiff1d(np.flatnonzero(np.isin(grid, grid[parts])), parts)
        away_m = np.hypot(*(xy[elsewhere] - middle).T)
        nearest = elsewhere[np.argsort(away_m, kind="stable")]
        place = {grid[row]: float((xy[row] - middle) @ along) for row in nearest[::-1]}
        for equal in np.unique(weight[parts]):
            mine = parts[weight[parts] == equal]
            grid[mine] = sorted(grid[mine], key=lambda each: (place.get(each, 0.0), each))
    return grid


def ride(
    point_xy: NDArray[np.float64],
    *,
    households: NDArray[np.int64],
    served: NDArray[np.bool_],
    lock: NDArray[np.int64],
    most: int,
) -> NDArray[np.int64]:
    """The row whose grid each row shares: itself where served, else its nearest served neighbour.

    Far rows choose in order of their distance to the nearest served row, ties by row. A choice
    must not lift a neighbour, with all that ride with it, above ``most`` nor join two locks; then
    the next nearest is taken. Where no neighbour will do, it is the nearest one all the same, and
    the partition tells the fault.

    Parameters
    ----------
    point_xy : float64, shape (n, 2)
        Points shown. [m]
    households, served, lock : shape (n,)
        Households of the row, whether an alley is near, its lock or −1.
    most : int
        Most households of a grid.

    Returns
    -------
    int64, shape (n,)
    """
    host = np.arange(len(served))
    far, near = np.flatnonzero(~served), np.flatnonzero(served)
    if not len(far):
        return host
    tree = KDTree(point_xy[near])
    first_m, _ = tree.query(point_xy[far])
    load, held = households.copy(), lock.copy()
    locked_near = set(lock[near]) - {-1}
    for row in far[np.lexsort((far, np.round(first_m, 3)))]:
        own = held[row] if held[row] in locked_near else None
        host[row] = best = _seat(row, tree, near, point_xy, load, held, own, most)
        load[best] += households[row]
        held[best] = max(held[best], held[row])
    return host


def _seat(
    row: int,
    tree: KDTree,
    near: NDArray[np.int64],
    point_xy: NDArray[np.float64],
    load: NDArray[np.int64],
    held: NDArray[np.int64],
    own: int | None,
    most: int,
) -> int:
    """The nearest of ``near`` that takes ``row``; looked for among 16, then among all."""
    nearest = -1
    for k in sorted({min(16, len(near)), len(near)}):
        away_m, at = tree.query(point_xy[row], k=[*range(1, k + 1)])
        hosts = near[at][np.lexsort((near[at], np.round(away_m, 3)))]
        nearest = hosts[0]
        same = (held[hosts] == held[row]) | (held[row] < 0) | ((held[hosts] < 0) & (own is None))
        fit = np.flatnonzero(same & (load[hosts] + load[row] <= most))
        if len(fit):
            return int(hosts[fit[0]])
    return int(nearest)


def footprints(site: Site, point_xy: NDArray[np.float64]) -> NDArray[np.object_]:
    """The polygon each household row lives in, None where none is known.

    The row's own polygon; else the building of the same ``building_id``; else the building its
    point lies in or within half a metre of.
    """
    households, buildings = site.layer("households"), site.layer("buildings")
    found = np.full(len(households), None, dtype=object)
    own = households.geometry.array
    is_polygon = shapely.get_dimensions(np.asarray(own)) == 2
    found[is_polygon] = np.asarray(own)[is_polygon]
    if not len(buildings):
        return found
    shapes = np.asarray(buildings.geometry.array)
    at = pd.Index(buildings["building_id"]).get_indexer(households["building_id"].array)
    named = ~is_polygon & (at >= 0) & households["building_id"].notna().to_numpy()
    found[named] = shapes[at[named]]
    left = np.flatnonzero(~is_polygon & ~named)
    pairs = shapely.STRtree(shapes).query(shapely.points(point_xy[left]), predicate="dwithin", distance=0.5)
    gap_m = shapely.distance(shapely.points(point_xy[left[pairs[0]]]), shapes[pairs[1]])
    order = np.lexsort((pairs[1], gap_m, pairs[0]))
    row, first = np.unique(pairs[0][order], return_index=True)
    found[left[row]] = shapes[pairs[1][order][first]]
    return found


def near_walks(network: AlleyNetwork, stops: Stops, weight: NDArray[np.int64], *, enough: int) -> Walks:
    """Walks between all rows within one radius, each row to itself at 0.

    The radius is the least of 100, 125, 156 … m at which nineteen rows in twenty reach ``enough``
    households, or all there are in their part. So it is short where houses stand close, and memory
    stays in proportion to the rows. It is measured on some 500 rows.

    Parameters
    ----------
    stops : Stops, n rows
        All of them served.
    weight : int64, shape (n,)
        Households of each row.
    """
    wanted = np.minimum(enough, np.bincount(stops.part, weight)[stops.part])
    probe = np.arange(0, len(weight), max(1, len(weight) // 500))
    limit_m, widest_m, walked_m = 100.0, float(network.edge_length_m.sum()), 0.0
    while limit_m < widest_m:
        if limit_m > walked_m:
            walked_m = 5 * limit_m
            walk = walks(network, stops.take(probe), stops, limit_m=walked_m)
            source = np.repeat(np.arange(len(probe)), np.diff(walk.indptr))
        near = walk.distance_m <= limit_m
        reached = np.bincount(source[near], weight[walk.indices[near]], minlength=len(probe))
        if (reached >= wanted[probe]).mean() >= 0.95:
            break
        limit_m *= 1.25
    return walks(network, stops, stops, limit_m=limit_m)


def codes(texts: pd.Series) -> tuple[NDArray[np.int64], Sequence[str]]:
    """Texts as numbers 0… in sorted order, −1 where empty, and the texts by number."""
    number, names = pd.factorize(texts, sort=True)
    return np.asarray(number, dtype=np.int64), list(map(str, names))


def _shown(
    table: pd.DataFrame, point_xy: NDArray[np.float64], footprint: NDArray[np.object_]
) -> NDArray[np.object_]:
    """The point shown of each row: its door, or the middle of a part's slice of the footprint."""
    xy = point_xy.copy()
    split = table["part"].to_numpy() > 0
    for _, part in table[split].groupby("row", sort=True):
        rows = part.index.to_numpy()
        if footprint[rows[0]] is not None:
            xy[rows] = slice_middles(footprint[rows[0]], part["households"].to_numpy(dtype=np.float64))
    return shapely.points(xy)


def _refuse_mostly_far(table: pd.DataFrame, max_access_m: float) -> None:
    far, total = int(table.loc[~table["served"], "households"].sum()), int(table["households"].sum())
    if 2 * far > total:
        raise DataError(
            f"alleys: {far} of {total} households are more than {max_access_m:g} m from any alley, so the "
            "alley layer is incomplete; add the missing alleys, or raise input.max_access_m"
        )


def _split_notes(units: GeoDataFrame, settings: Settings) -> list[Remark]:
    split = units[units["part"] > 0]
    if not len(split):
        return []
    whole = split["household_id"].unique()
    return [
        note(
            "household-split",
            f"{len(whole)} rows hold more than {settings.grids.max_households} households and are split "
            f"into {len(split)} parts",
            layer="households",
            column="households",
            ids=whole,
        )
    ]


def _far_doubts(units: GeoDataFrame, host: NDArray[np.int64], settings: Settings) -> list[Remark]:
    served = units["served"].to_numpy(dtype=bool)
    far = np.flatnonzero(~served)
    if not len(far):
        return []
    xy = shapely.get_coordinates(units.geometry.array)
    nearest_m, _ = KDTree(xy[served]).query(xy[far])
    passed = int((np.hypot(*(xy[far] - xy[host[far]]).T) > nearest_m + 1e-3).sum())
    elsewhere = f" ({passed} rows of a farther one, since the nearest has no room or another lock)"
    return [
        doubt(
            "household-far",
            f"{int(units['households'].iloc[far].sum())} households are more than "
            f"{settings.input.max_access_m:g} m from any alley, or cut off from it by a barrier; they belong "
            f"to the grid of their nearest neighbour{elsewhere if passed else ''} and count as unserved",
            layer="households",
            ids=units["household_id"].iloc[far].unique(),
            remedy="add the alley that leads there, or raise input.max_access_m",
        )
    ]
