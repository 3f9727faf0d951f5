"""Who lives where, recounted: the household rows of a plan against those of site.gpkg.

Each row of the plan is matched with its household, its door on the network and its grid. Rows far from
every alley are seated with the neighbour they ride with, so that walks and group costs count them there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pandas import DataFrame
from scipy.spatial import KDTree

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, column_differs, rows_that
from spatial.audit.ways import Ground, Ways, cut_ways, ground_of
from spatial.errors import Remark, fault
from spatial.network import Stops, doors

__all__ = ["Roster", "make_roster", "people_faults", "roster_faults"]

PEOPLE = ("residents", "elderly", "party_members")
NEAR = 32  # neighbours looked at first for a far row

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Roster:
    """The household rows of a plan, n of them, and K grids.

    ``table`` has household_id, part, households, residents, elderly, party_members, group, locked_grid,
    locked_branch as recounted from site.gpkg; ``row`` is the household row, ``grid`` the row of layer
    grids, ``host`` the row of the table a far one rides with (itself where served).
    """

    table: DataFrame
    row: Ints
    grid: Ints
    n_grids: int
    stops: Stops  # of each row of the table
    ways: Ways
    host: Ints

    @property
    def served(self) -> Bools:
        """Rows with an alley near."""
        return self.stops.edge >= 0

    @property
    def vertex(self) -> Ints:
        """Vertex of the ways of each row; −1 where far."""
        return self.ways.vertex[0]

    @cached_property
    def households(self) -> Ints:
        """Households of each row."""
        return self.table["households"].to_numpy(np.int64)

    @cached_property
    def weight(self) -> Ints:
        """Households of each served row and all that ride with it; 0 for a far row."""
        return np.bincount(self.host, self.households, minlength=self.host.size).astype(np.int64)

    @cached_property
    def ground(self) -> Ground:
        """Whose grid each place of the network belongs to."""
        on = self.served
        return ground_of(self.ways, self.vertex[on], self.grid[on], self.n_grids)


def make_roster(book: Book) -> Roster | None:
    """Match the household rows; None where ids or grids of some are unknown."""
    said, site = book.layers["households"], book.site.layer("households")
    row = pd.Index(site["household_id"]).get_indexer(said["household_id"])
    grid = pd.Index(book.layers["grids"]["grid_id"]).get_indexer(said["grid_id"])
    if (row < 0).any() or (grid < 0).any():
        return None
    own = site.iloc[row].reset_index(drop=True)
    table = own[["household_id", "households", *PEOPLE, "group", "locked_grid", "locked_branch"]].copy()
    table["part"] = said["part"].to_numpy(np.int64)
    table["households"] = said["households"].to_numpy(np.int64)
    for name in PEOPLE:
        table[name] = _shared_out(own[name], own["households"], table["households"], row)
    stops = doors(book.site, book.network, book.settings).take(row)
    xy = shapely.get_coordinates(said.geometry.to_numpy())
    host = _hosts(xy, table, stops.edge >= 0, book.settings.grids.max_households)
    return Roster(table, row, grid, len(book.layers["grids"]), stops, cut_ways(book.network, stops), host)


def roster_faults(book: Book) -> Iterator[Remark]:
    """Households that are missing, unknown or in no grid, and split rows whose parts don't add up."""
    said, site = book.layers["households"], book.site.layer("households")
    ids, known = said["household_id"], site["household_id"]
    yield from rows_that(
        ~ids.isin(known), ids, "rows-differ", "are not in site.gpkg", at="households.household_id"
    )
    absent = ~known.isin(ids)
    yield from rows_that(
        absent, known, "rows-differ", "of site.gpkg are not in the plan", at="households.household_id"
    )
    if book.summary.get("grids") is None:
        return
    none = ~said["grid_id"].isin(book.layers["grids"]["grid_id"])
    yield from rows_that(
        none, ids, "grid-unknown", "name a grid that layer grids does not have", at="households.grid_id"
    )


def people_faults(book: Book, roster: Roster) -> Iterator[Remark]:
    """Counts, groups, parts and places of the household rows that are not those of site.gpkg."""
    said, site = book.layers["households"], book.site.layer("households")
    ids, row = said["household_id"], roster.row
    whole = site["households"].to_numpy(np.int64)
    total = np.bincount(row, roster.households, minlength=len(site))
    yield from column_differs("households.households", site["household_id"], total, whole)
    limits = book.settings.grids
    n_rows = np.bincount(row, minlength=len(site))
    large = (whole > limits.max_households) & limits.split_buildings
    wrong = np.where(large, whole > n_rows * limits.max_households, n_rows != 1)
    text = "are split although they fit a grid, or are not split enough to fit"
    yield from rows_that(wrong, site["household_id"], "parts-wrong", text, at="households.part")
    uneven = np.abs(roster.households - whole[row] / n_rows[row]) >= 1
    yield from rows_that(
        uneven, ids, "parts-uneven", "are parts less equal than can be", at="households.households"
    )
    place = said.groupby("household_id")["part"].rank(method="first").to_numpy(np.int64)
    numbers = np.where(n_rows[row] > 1, place, 0)
    yield from column_differs("households.part", ids, said["part"], numbers)
    for name in ("residents", "elderly"):
        yield from column_differs(f"households.{name}", ids, said[name], roster.table[name])
    yield from column_differs("households.group", ids, said["group"], roster.table["group"], text=True)
    shown = said.geometry.to_numpy()
    off_m = np.hypot(*(shapely.get_coordinates(shown) - roster.stops.point_xy).T)
    has_door = roster.served & (n_rows[row] == 1)  # a far row has none, a part shows its slice of the house
    off_m = np.where(has_door, off_m, _from_house_m(book, shown, site.geometry.to_numpy()[row]))
    text = "are drawn elsewhere than their door, or away from their house"
    yield from rows_that(off_m > LENGTH_M, ids, "drawn-elsewhere", text, at="households.geometry")
    yield from _far_faults(book, roster)


def _from_house_m(book: Book, shown: NDArray[np.object_], own: NDArray[np.object_]) -> Floats:
    """How far points are from the household's own footprint or point, or from the nearest building. [m]"""
    off_m = shapely.distance(shown, shapely.convex_hull(own))
    buildings = book.site.layer("buildings").geometry.to_numpy()
    if not buildings.size:
        return off_m
    near = buildings[shapely.STRtree(buildings).nearest(shown)]
    return np.minimum(off_m, shapely.distance(shown, near))


def _far_faults(book: Book, roster: Roster) -> Iterator[Remark]:
    """Far rows must be in the grid of the neighbour they ride with, and stand among the doubts."""
    ids, far = roster.table["household_id"], ~roster.served
    astray = far & (roster.grid != roster.grid[roster.host])
    text = "are far from every alley and not in the grid of their nearest neighbour"
    yield from rows_that(astray, ids, "far-astray", text, at="households.grid_id")
    listed = {
        name
        for each in book.summary.get("doubts", ())
        if each["code"] == "household-far"
        for name in each["ids"]
    }
    unlike = sorted(listed ^ set(ids[far]))
    if unlike:
        text = f"{len(unlike)} households are far from every alley or among the doubts, not both"
        yield fault("doubt-missing", text, layer="summary", column="doubts", ids=unlike)


def _shared_out(people: pd.Series, whole: pd.Series, households: pd.Series, row: Ints) -> pd.Series:
    """People of each row; of a split one by its households, in whole numbers that add up to the row's."""
    upto = households.groupby(row).cumsum()
    return people * upto // whole - people * (upto - households) // whole


def _hosts(xy: Floats, table: DataFrame, served: Bools, most: int) -> Ints:
    """The row each row shares its grid with: itself, or for a far one the nearest served that can take it.

    Far rows choose in order of distance to their nearest served one. A neighbour can take a row if
    both and all that ride along stay within ``most`` households and their locks don't differ; where
    none can, it is the nearest.
    """
    host = np.arange(len(table))
    far, near = np.flatnonzero(~served), np.flatnonzero(served)
    if not far.size or not near.size:
        return host
    tree = KDTree(xy[near])
    lock = table["locked_grid"].astype(object).where(table["locked_grid"].notna(), None).tolist()
    locks_near = {lock[each] for each in near}
    load = table["households"].tolist()
    for each in far[np.lexsort([far, np.round(tree.query(xy[far])[0], 3)])]:
        for n in (min(NEAR, near.size), near.size):
            away_m, at = tree.query(xy[each], k=range(1, n + 1))
            nearest = near[at[np.lexsort([at, np.round(away_m, 3)])]]
            open_ = [
                k for k in nearest if load[k] + load[each] <= most and _same_lock(lock, locks_near, each, k)
            ]
            if open_:
                break
        host[each] = open_[0] if open_ else nearest[0]
        load[host[each]] += load[each]
        lock[host[each]] = lock[host[each]] or lock[each]
    return host


def _same_lock(lock: list[str | None], locks_near: set[str | None], far: int, near: int) -> bool:
    """A row without a lock fits any; a lock that no served row bears comes along with its row."""
    if lock[far] is None or lock[near] == lock[far]:
        return True
    return lock[near] is None and lock[far] not in locks_near
