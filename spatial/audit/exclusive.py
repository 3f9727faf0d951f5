"""Exclusive grids recounted: their ground, who lives on it, and the book of the others without them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from spatial.audit.book import Book
from spatial.audit.compare import column_differs, figures_differ, rows_that
from spatial.audit.roster import PEOPLE
from spatial.errors import Remark, fault
from spatial.schema import LAYERS

__all__ = ["Enclaves", "exclusive_faults", "find_enclaves", "ordinary_book"]

DISC_M, LEAST_DISC_M = 10.0, 1.0
LEAST_GROUND_M2 = 1.0
AT_WALL_M, ON_EDGE_M = 0.5, 0.01
ROUNDING_M = 3e-3  # edges lie on a raster of 1 mm

#: Columns of layer grids that an exclusive one leaves empty.
_EMPTY = ("branch_id", "worker_id", "walk_mean_m", "walk_max_m", "meeting_household_id", "fault")


@dataclass(frozen=True)
class Enclaves:
    """The exclusive places that have ground, in the order of their ids, and who lives there."""

    names: tuple[str, ...]
    ground: NDArray[np.object_]  # one per place
    home: NDArray[np.int64]  # per household of site.gpkg: the place, −1 none


def find_enclaves(book: Book) -> Enclaves:
    """The ground that exclusive places are entitled to, and the households on it.

    Ground is the place's area, else the building its point stands in, else a disc of 10 m or of half the
    way to the nearest household; what lies in the boundary, and who comes first keeps what two claim.
    """
    places, homes = book.site.layer("places"), book.site.layer("households")
    places = places[places["exclusive"].eq(True).fillna(False).to_numpy(bool)].sort_values("place_id")
    house, points = _houses(book), shapely.point_on_surface(homes.geometry.to_numpy())
    left = shapely.union_all(book.site.layer("boundary").geometry.to_numpy())
    names: list[str] = []
    grounds: list[BaseGeometry] = []
    home = np.full(len(homes), -1)
    for place in places.itertuples(index=False):
        building = -1 if place.geometry.area > 0 else _building_at(book, place.geometry)
        claimed = _ground(book, place.geometry, building)
        own, left = shapely.intersection(claimed, left), shapely.difference(left, claimed)
        if own.area > LEAST_GROUND_M2:
            home[(house == building) & (building >= 0)] = len(names)
            names.append(_name(place))
            grounds.append(own)
    nearest_m = np.full(len(homes), np.inf)
    for at, ground in enumerate(grounds):
        away_m = shapely.distance(points, ground)
        here = (away_m <= ON_EDGE_M) & (away_m < nearest_m)
        home[here], nearest_m[here] = at, away_m[here]
    return Enclaves(tuple(names), np.array(grounds, dtype=object), home)


def ordinary_book(book: Book, enclaves: Enclaves) -> Book:
    """The book without the exclusive grids and those who live in them, as the others were planned."""
    if not enclaves.names and book.layers["grids"]["kind"].eq("ordinary").all():
        return book
    homes, grids, rows = book.site.layer("households"), book.layers["grids"], book.layers["households"]
    others = homes[enclaves.home < 0].reset_index(drop=True)
    layers = {
        "grids": grids[grids["kind"].ne("exclusive").fillna(True)].reset_index(drop=True),
        "households": rows[rows["household_id"].isin(others["household_id"])].reset_index(drop=True),
    }
    site = replace(book.site, layers={**book.site.layers, "households": others})
    ordinary = replace(book, layers={**book.layers, **layers}, site=site)
    vars(ordinary)["network"] = book.network  # the same alleys: not to be built twice
    return ordinary


def exclusive_faults(book: Book, enclaves: Enclaves) -> tuple[list[Remark], dict[str, Any]]:
    """Exclusive grids that are not those of the exclusive places, and the figures recounted."""
    figures = {"n_exclusive": len(enclaves.names)}
    return [*_faults(book, enclaves), *figures_differ("grids", book.summary["grids"], figures)], figures


def _faults(book: Book, enclaves: Enclaves) -> Iterator[Remark]:
    every = book.layers["grids"]
    odd = ~every["kind"].isin(["ordinary", "exclusive"])
    yield from rows_that(odd, every["grid_id"], "kind-unknown", "are of no known kind", at="grids.kind")
    grids = every[every["kind"].eq("exclusive").fillna(False)].reset_index(drop=True)
    at = _grid_of_place(enclaves, grids)
    if len(grids) != len(enclaves.names) or len(np.unique(at)) != len(grids):
        text = (
            f"{len(grids)} grids are exclusive, recounted {len(enclaves.names)} exclusive places with ground"
        )
        yield fault("exclusive-differ", text, layer="grids", column="kind", ids=grids["grid_id"])
        return
    if not len(grids):
        return
    grids = grids.iloc[at].reset_index(drop=True)
    ids = grids["grid_id"]
    for column, own in _own_columns(book, enclaves, grids).items():
        is_text = column in ("code", "name", "groups", "main_group", "leader_role")
        yield from column_differs(f"grids.{column}", ids, grids[column], own, text=is_text)
    for column in _EMPTY:
        text = "are exclusive and should have none"
        yield from rows_that(grids[column].notna(), ids, "exclusive-filled", text, at=f"grids.{column}")
    said = grids.geometry.to_numpy()
    off_m2 = shapely.area(shapely.symmetric_difference(said, enclaves.ground))
    wrong = off_m2 > ROUNDING_M * shapely.length(enclaves.ground)
    text = f"don't lie on their place's ground, by up to {off_m2.max(initial=0.0):.2f} m2"
    yield from rows_that(wrong, ids, "exclusive-astray", text, at="grids.geometry")
    yield from _member_faults(book, enclaves, ids.to_numpy(np.int64))


def _grid_of_place(enclaves: Enclaves, grids: pd.DataFrame) -> NDArray[np.int64]:
    """Row of the grid that each place's ground shares most with."""
    areas = grids.geometry.to_numpy()
    shared_m2 = [shapely.area(shapely.intersection(areas, each)) for each in enclaves.ground]
    return np.array([int(each.argmax()) for each in shared_m2 if each.size], np.int64)


def _own_columns(book: Book, enclaves: Enclaves, grids: pd.DataFrame) -> dict[str, Any]:
    """The recounted columns of the exclusive grids, in the order of the places."""
    homes, n = book.site.layer("households"), len(enclaves.names)
    sums, groups, main = {}, [], []
    for name in ("households", *PEOPLE):
        known = homes[name].notna().any()
        sums[name] = [int(homes[name][enclaves.home == at].sum()) if known else None for at in range(n)]
    for at in range(n):
        here = homes[enclaves.home == at]
        count = here.groupby("group")["households"].sum().sort_index()
        groups.append("、".join(count.index) or None)
        main.append(count.idxmax() if len(count) else None)
    return {
        "code": book.settings.community.code + book.number_texts(grids),
        "name": ["专属网格·" + each for each in enclaves.names],
        **sums,
        "groups": groups,
        "main_group": main,
        "leader_role": ["专属网格长"] * n,
    }


def _member_faults(book: Book, enclaves: Enclaves, grid_id: NDArray[np.int64]) -> Iterator[Remark]:
    """Households of exclusive places: each in one row, in the place's grid, without a walk."""
    homes, rows = book.site.layer("households"), book.layers["households"]
    row = pd.Index(homes["household_id"]).get_indexer(rows["household_id"])
    inside = (row >= 0) & (enclaves.home[row] >= 0)
    astray = ~inside & rows["grid_id"].isin(grid_id).to_numpy(bool)
    text = "live on ordinary ground and are in an exclusive grid"
    yield from rows_that(astray, rows["household_id"], "grid-unknown", text, at="households.grid_id")
    rows, row = rows[inside].reset_index(drop=True), row[inside]
    ids = rows["household_id"]
    yield from column_differs("households.grid_id", ids, rows["grid_id"], grid_id[enclaves.home[row]])
    for name in ("households", "residents", "elderly", "group"):
        own = homes[name].iloc[row]
        yield from column_differs(f"households.{name}", ids, rows[name], own, text=name == "group")
    split = (rows["part"] != 0) | rows["walk_to_meeting_m"].notna()
    text = "live in an exclusive grid and are split, or have a walk to a meeting"
    yield from rows_that(split, ids, "exclusive-filled", text, at="households.part")
    astray = shapely.distance(rows.geometry.to_numpy(), homes.geometry.to_numpy()[row]) > ON_EDGE_M
    yield from rows_that(astray, ids, "drawn-elsewhere", "are drawn elsewhere", at="households.geometry")


def _ground(book: Book, place: BaseGeometry, building: int) -> BaseGeometry:
    if place.area > 0:
        return place
    if building >= 0:
        return book.site.layer("buildings").geometry.iloc[building]
    homes = book.site.layer("households").geometry
    nearest_m = float(homes.distance(place).min()) if len(homes) else np.inf
    return shapely.buffer(place, min(DISC_M, max(LEAST_DISC_M, nearest_m / 2)))


def _building_at(book: Book, point: BaseGeometry) -> int:
    """Row of the nearest building within half a metre, −1 where there is none."""
    away_m = book.site.layer("buildings").distance(point).to_numpy(float)
    return int(away_m.argmin()) if away_m.min(initial=np.inf) <= AT_WALL_M else -1


def _houses(book: Book) -> NDArray[np.int64]:
    """Row of the building each household drawn as a point lives in: as named, else at its point; −1 none."""
    homes, buildings = book.site.layer("households"), book.site.layer("buildings")
    house = np.full(len(homes), -1)
    if not len(buildings):
        return house
    row_of = dict(zip(buildings["building_id"], range(len(buildings)), strict=True))
    drawn = homes.geometry.geom_type.eq("Point").to_numpy()
    tree, shapes = shapely.STRtree(buildings.geometry.to_numpy()), buildings.geometry.to_numpy()
    for at in np.flatnonzero(drawn):
        named = row_of.get(homes["building_id"].iloc[at])
        if named is not None:
            house[at] = named
            continue
        point = homes.geometry.iloc[at]
        near = np.sort(tree.query(point, predicate="dwithin", distance=AT_WALL_M))
        if near.size:
            house[at] = near[shapely.distance(shapes[near], point).argmin()]
    return house


def _name(place: Any) -> str:
    """What the place is called: its name, else its kind in Chinese, else its id."""
    if isinstance(place.name, str):
        return place.name
    if isinstance(place.kind, str):
        choices = LAYERS["places"].column("kind").choices or {}
        return choices[place.kind][0] if place.kind in choices else place.kind
    return str(place.place_id)
