"""Exclusive grids (专属网格): schools, hospitals, offices that are grids of their own.

A place marked ``exclusive`` takes its ground, and the households that live on it, out of the community
before anything is cut; the others are planned as if it were not there, and their areas are then carved
along its edge. An exclusive grid is run by the institution itself: it has no limits of size, no meeting
door, no branch and no worker, and counts in no figure but its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from spatial.errors import DataError, Remark, doubt, note
from spatial.grids.numbering import Names, geographic_order
from spatial.grids.roster import group_names, people_sums
from spatial.grids.units import PEOPLE, footprints
from spatial.load import Site
from spatial.schema import LAYERS

__all__ = ["Exclusive", "carve", "exclusive_grids", "exclusive_households", "exclusive_places"]

LEADER_ROLE = "专属网格长"
DISC_M = 10.0  # ground of a place with neither an area nor a building
LEAST_DISC_M = 1.0
LEAST_GROUND_M2 = 1.0
AT_WALL_M = 0.5  # a point this near to a building stands in it
ON_EDGE_M = 0.01
PRECISION_M = 0.001


@dataclass(frozen=True)
class Exclusive:
    """Exclusive places in the order of their numbers, E of them."""

    places: GeoDataFrame  # rows of layer places, their ground as geometry
    home: NDArray[np.int64]  # per row of layer households: the place it lives in, else −1
    remarks: tuple[Remark, ...]

    @property
    def titles(self) -> list[str]:
        """Names of the grids."""
        return [f"专属网格·{each}" for each in _names(self.places)]

    def others(self, site: Site) -> Site:
        """The site without the households that live in exclusive places.

        Raises
        ------
        DataError
            Nobody is left.
        """
        if not (self.home >= 0).any():
            return site
        if (self.home >= 0).all():
            raise DataError(
                "places: every household lives in an exclusive place, so no grid is left to plan; "
                "check the areas of the places marked exclusive (专属网格)"
            )
        households = site.layer("households")[self.home < 0].reset_index(drop=True)
        return replace(site, layers={**site.layers, "households": households})


def exclusive_places(site: Site) -> Exclusive:
    """The places marked exclusive, their ground and who lives there.

    The ground is the place's own area; of a point the building it stands in (or within half a metre of);
    else a disc of 10 m around it, or of half the way to the nearest household where that is less, but at
    least 1 m. Only what lies within the boundary counts, and where two places overlap the first by id has
    the ground; less than 1 m² is none. A household lives there if its point (of a footprint a point inside
    it) lies on the ground, or if its building is the one that the place stands in.

    Returns
    -------
    Exclusive
        Numbered by geography. A place without any ground is left out with a doubt.
    """
    places = site.layer("places")
    places = places[places["exclusive"].fillna(False).astype(bool)].reset_index(drop=True)
    if not len(places):
        return Exclusive(places, np.full(len(site.layer("households")), -1), ())
    ground, building = _grounds(places, site)
    own = _apart(ground, site.layer("boundary").geometry.iloc[0])
    real = shapely.area(own) > LEAST_GROUND_M2
    disc = (building < 0) & (shapely.get_dimensions(np.asarray(places.geometry)) < 2)
    rows = np.flatnonzero(real)
    home = _home(own[rows], building[rows], site)
    lives = int(site.layer("households")["households"][home >= 0].sum())
    remarks = _remarks(places["place_id"].to_numpy(), real, disc, lives)
    if not len(rows):
        return Exclusive(places.iloc[rows], home, remarks)
    order = geographic_order(shapely.get_coordinates(shapely.point_on_surface(own[rows])))
    number = np.empty(len(rows) + 1, dtype=np.int64)
    number[order], number[-1] = np.arange(len(rows)), -1
    shapes = gpd.GeoSeries(own[rows[order]], crs=site.crs)
    kept = places.iloc[rows[order]].reset_index(drop=True).set_geometry(shapes)
    return Exclusive(kept, number[home], remarks)


def exclusive_grids(
    exclusive: Exclusive, grounds: NDArray[np.object_], site: Site, names: Names
) -> GeoDataFrame:
    """Rows of layer ``grids`` for the exclusive places under the numbers given, areas as carved.

    CJ/T 349-2010 leaves open how exclusive grids are numbered. Here they follow the ordinary ones, whose
    numbers run on as if there were none. Columns that are left out are empty: an exclusive
    grid has no walks, meeting door, branch or worker.
    """
    households, n = site.layer("households"), len(exclusive.places)
    inside = exclusive.home >= 0
    own = households["households"].to_numpy(dtype=np.int64)[inside]
    home = exclusive.home[inside]
    groups, main_group = group_names(households["group"][inside], own, home, n)
    rows = {
        "grid_id": names.grid_id,
        "code": names.code,
        "name": exclusive.titles,
        "kind": "exclusive",
        "households": np.bincount(home, own, minlength=n).astype(np.int64),
        **{name: people_sums(households[name], exclusive.home, n) for name in PEOPLE},
        "groups": groups,
        "main_group": main_group,
        "leader_role": LEADER_ROLE,
    }
    return GeoDataFrame(rows, geometry=grounds, crs=site.crs)


def exclusive_households(exclusive: Exclusive, site: Site, grid_id: NDArray[np.int64]) -> GeoDataFrame:
    """Rows of layer ``households`` for those who live in exclusive places: in one part, without a walk."""
    inside = np.flatnonzero(exclusive.home >= 0)
    rows = site.layer("households").iloc[inside].reset_index(drop=True)
    columns = rows[["household_id", "households", "group", "residents", "elderly"]]
    lives = grid_id[exclusive.home[inside]]
    where = gpd.GeoSeries(_points(rows), crs=site.crs)
    return GeoDataFrame(columns.assign(part=0, grid_id=lives, served=False), geometry=where)


def carve(
    areas: NDArray[np.object_], doors: NDArray[np.object_], grid: NDArray[np.int64], exclusive: Exclusive
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Cut the ground of the exclusive places out of the areas of the grids.

    All lines are noded together on a grid of 1 mm, so that what touches shares its edges exactly. A piece
    of an area that is cut off from its grid's doors joins the grid it shares the longest edge with; where
    only exclusive ground lies around it, it stays as it is.

    Parameters
    ----------
    areas : object, shape (K,)
        MultiPolygons that tile the boundary.
    doors, grid : shape (n,)
        Points shown of the households and their grid, 0…K−1.

    Returns
    -------
    ordinary : object, shape (K,)
    grounds : object, shape (E,)
        MultiPolygons; together they tile what ``areas`` tiled.
    """
    grounds, n = np.asarray(exclusive.places.geometry), len(areas)
    lines = shapely.boundary(np.concatenate([areas, grounds]))
    noded = shapely.union_all(lines[~shapely.is_empty(lines)], grid_size=PRECISION_M)
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(noded)))
    inside = shapely.point_on_surface(faces)
    label = np.full(len(faces), -1)
    for first, shapes in ((0, areas), (n, grounds)):  # the ground comes second and has the last word
        face, shape = shapely.STRtree(shapes).query(inside, predicate="within")
        label[face] = first + shape
    pieces, label = _pieces(faces[label >= 0], label[label >= 0])
    pieces, label = _pieces(pieces, _joined(pieces, label, doors, grid, n))
    carved = np.array([shapely.MultiPolygon()] * (n + len(grounds)), dtype=object)
    for each in np.unique(label):
        carved[each] = shapely.multipolygons(pieces[label == each])
    return carved[:n], carved[n:]


# ── ground ───────────────────────────────────────────────────────────────────────────────────────────


def _grounds(places: GeoDataFrame, site: Site) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """The ground of each place, and the row of the building it is, else −1."""
    ground = np.asarray(places.geometry).copy()
    building = np.full(len(places), -1)
    spot = np.flatnonzero(shapely.get_dimensions(ground) < 2)
    houses = np.asarray(site.layer("buildings").geometry)
    row, house = shapely.STRtree(houses).query(ground[spot], predicate="dwithin", distance=AT_WALL_M)
    order = np.lexsort((house, shapely.distance(ground[spot[row]], houses[house]), row))
    row, nearest = np.unique(row[order], return_index=True)
    building[spot[row]] = house[order][nearest]
    ground[spot[row]] = houses[building[spot[row]]]
    bare = np.setdiff1d(spot, spot[row])
    homes = shapely.STRtree(np.asarray(site.layer("households").geometry))
    near, away_m = homes.query_nearest(ground[bare], return_distance=True, all_matches=False)
    half_m = np.full(len(bare), DISC_M)
    half_m[near[0]] = np.clip(away_m / 2, LEAST_DISC_M, DISC_M)
    ground[bare] = shapely.buffer(ground[bare], half_m)
    return ground, building


def _apart(ground: NDArray[np.object_], boundary: BaseGeometry) -> NDArray[np.object_]:
    """The ground of each place inside the boundary and on none of an earlier place; empty where none."""
    own = ground.copy()
    left = boundary
    for each, shape in enumerate(ground):
        parts = shapely.get_parts(shapely.intersection(shape, left, grid_size=PRECISION_M))
        own[each] = shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])
        left = shapely.difference(left, shape, grid_size=PRECISION_M)
    return own


def _home(ground: NDArray[np.object_], building: NDArray[np.int64], site: Site) -> NDArray[np.int64]:
    """The place each row of layer households lives in, −1 in none."""
    households = site.layer("households")
    points = _points(households)
    home = np.full(len(households), -1)
    if (building >= 0).any():
        wkb = shapely.to_wkb(np.asarray(site.layer("buildings").geometry)[building[building >= 0]])
        house = footprints(site, shapely.get_coordinates(points))
        known = np.flatnonzero(~shapely.is_missing(house))
        at = pd.Index(wkb).get_indexer(shapely.to_wkb(house[known]))
        home[known] = np.where(at >= 0, np.flatnonzero(building >= 0)[at], -1)
    row, place = shapely.STRtree(ground).query(points, predicate="dwithin", distance=ON_EDGE_M)
    order = np.lexsort((place, shapely.distance(points[row], ground[place]), row))
    row, nearest = np.unique(row[order], return_index=True)
    home[row] = place[order][nearest]
    return home


def _points(households: GeoDataFrame) -> NDArray[np.object_]:
    """A point for each household: its own, or one inside its footprint."""
    return shapely.point_on_surface(np.asarray(households.geometry))


def _names(places: GeoDataFrame) -> list[str]:
    """What each place is called: its name, else its kind, else its id."""
    kinds = LAYERS["places"].column("kind").choices or {}
    kind = places["kind"].map({name: spelt[0] for name, spelt in kinds.items()}).fillna(places["kind"])
    return places["name"].fillna(kind).fillna(places["place_id"]).tolist()


# ── pieces of area ───────────────────────────────────────────────────────────────────────────────────


def _pieces(
    faces: NDArray[np.object_], label: NDArray[np.int64]
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """The connected unions of the faces of each label, and their label."""
    labels = np.unique(label)
    unions = np.array([shapely.coverage_union_all(faces[label == each]) for each in labels], dtype=object)
    pieces, owner = shapely.get_parts(shapely.normalize(unions), return_index=True)
    return pieces, labels[owner]


def _joined(
    pieces: NDArray[np.object_],
    label: NDArray[np.int64],
    doors: NDArray[np.object_],
    grid: NDArray[np.int64],
    n: int,
) -> NDArray[np.int64]:
    """The label of each piece once those of grids 0…n−1 without a door have joined a neighbour."""
    label = label.copy()
    tree = shapely.STRtree(pieces)
    door, piece = tree.query(doors, predicate="intersects")
    settled = label >= n
    settled[piece[label[piece] == grid[door]]] = True
    for bare in np.setdiff1d(label, label[settled]):  # a grid without any door inside keeps its largest
        own = np.flatnonzero(label == bare)
        settled[own[np.argmax(shapely.area(pieces[own]))]] = True
    waiting = list(np.flatnonzero(~settled))
    while waiting:
        shared_m = {}
        for each in waiting:
            beside = tree.query(pieces[each], predicate="touches")
            beside = beside[settled[beside] & (label[beside] < n)]
            edge_m = shapely.length(shapely.intersection(pieces[each], pieces[beside]))
            if (edge_m > 0).any():
                shared_m[each] = label[beside[np.argmax(edge_m)]]
        for each, beside in shared_m.items():
            label[each], settled[each] = beside, True
        if not shared_m:
            return label
        waiting = [each for each in waiting if not settled[each]]
    return label


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────


def _remarks(
    ids: NDArray[np.object_], real: NDArray[np.bool_], disc: NDArray[np.bool_], lives: int
) -> tuple[Remark, ...]:
    """The exclusive places, those whose ground is only a disc around a point, and those without ground."""
    remarks = []
    if real.any():
        text = (
            f"{real.sum()} exclusive places are grids of their own, with {lives} households, which count "
            "in no other grid, no branch and no worker's area"
        )
        remarks.append(note("exclusive-grids", text, layer="places", column="exclusive", ids=ids[real]))
    if (real & disc).any():
        text = (
            f"{(real & disc).sum()} exclusive places have no area and stand in no building; their ground is "
            f"a disc of {DISC_M:g} m around the point, or of half the way to the nearest household"
        )
        remedy = "draw their areas in layer places"
        remarks.append(note("exclusive-disc", text, layer="places", ids=ids[real & disc], remedy=remedy))
    if not real.all():
        text = (
            f"{(~real).sum()} exclusive places lie outside the boundary or on the ground of another; "
            "they are no grids"
        )
        remedy = "draw their areas, or leave exclusive empty"
        remarks.append(doubt("exclusive-groundless", text, layer="places", ids=ids[~real], remedy=remedy))
    return tuple(remarks)
