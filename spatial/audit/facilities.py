"""Facilities recounted: who walks how far or how long, what each site serves, and with what room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, RELATIVE, SHARE, column_differs, differs, rows_that, say
from spatial.audit.sites import place_faults
from spatial.audit.walk_bound import (
    MOST_WALKS,
    Choosing,
    least_walk,
    least_walk_with_room,
    most_served,
    most_served_with_room,
)
from spatial.audit.ways import cut_ways, far_from
from spatial.errors import Remark, fault
from spatial.network import Stops, doors, snap_points
from spatial.schema import FACILITY, LAYERS
from spatial.settings import Facility

__all__ = ["facility_faults"]

STEPS_MIN_PER_M = 60.0 / 2000.0
PIECE_M = 10.0
DEFAULT_WALK_M = 500.0
CHUNK = 64
TINY = 1e-6
BESIDE_M = 5.0  # from the centre-line at most, or half the width of the alley, stands a made candidate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def facility_faults(book: Book) -> tuple[list[Remark], dict[str, Any], dict[str, float | None]]:
    """Every difference in the facilities' part of a plan, figures recounted, bounds proved anew, by name."""
    said, settings = book.summary["facilities"], book.settings.facility
    remarks: list[Remark] = []
    if set(said) != set(settings):
        text = f"figures of {', '.join(sorted(said))}, settings of {', '.join(sorted(settings))}"
        remarks.append(fault("rows-differ", text, layer="summary", column="facilities"))
    figures: dict[str, Any] = {}
    bounds: dict[str, float | None] = {}
    for name in sorted(set(said) & set(settings)):
        found, figures[name], own = _one(book, name, settings[name])
        remarks += found
        bounds |= {f"{name}.{bound}": value for bound, value in own.items()}
    for layer in ("facilities", "facility_walks"):
        names = book.layers[layer]["facility"]
        unknown = ~names.isin(set(settings))
        text = "name a facility that the settings do not have"
        remarks += rows_that(unknown, names, "rows-differ", text, at=f"{layer}.facility")
    remarks += place_faults(book, "facilities")
    return remarks, figures, bounds


def _one(
    book: Book, name: str, facility: Facility
) -> tuple[list[Remark], dict[str, Any], dict[str, float | None]]:
    said = book.summary["facilities"][name]
    remarks = [
        fault(
            "figure-missing",
            "the summary does not have it",
            layer="summary",
            column=f"facilities.{name}.{key}",
        )
        for key in sorted(set(FACILITY) - set(said))
    ]
    sites = book.layers["facilities"]
    sites = sites[sites["facility"] == name].reset_index(drop=True)
    walks = book.layers["facility_walks"]
    walks = walks[walks["facility"] == name].set_index("household_id")
    households = book.site.layer("households")
    demand = households[facility.demand.removeprefix("households.")].fillna(0).to_numpy(float)
    needs = np.flatnonzero(demand > 0)
    ids = households["household_id"].to_numpy(object)[needs]
    if sorted(walks.index) != sorted(ids):
        text = f"the walks to {name} are not those of the households that need it"
        return [*remarks, fault("rows-differ", text, layer="facility_walks", column="household_id")], {}, {}
    walks = walks.loc[ids]
    remarks += column_differs("facility_walks.demand", ids, walks["demand"], demand[needs])
    walk = _walks(book, facility, sites, needs)
    column = "walk_m" if facility.walk_min is None else "walk_min"
    named = pd.Index(sites["site_id"]).get_indexer(walks["site_id"])
    own = np.full(len(ids), np.nan)
    own[named >= 0] = walk[np.flatnonzero(named >= 0), named[named >= 0]]
    remarks += column_differs(f"facility_walks.{column}", ids, walks[column], own)
    unknown = walks["site_id"].notna().to_numpy(bool) & (named < 0)
    text = "name a site that layer facilities does not have"
    remarks += rows_that(unknown, ids, "site-unknown", text, at="facility_walks.site_id")
    limit = _limit(facility)
    if facility.capacity is None:
        nearest = walk.min(axis=1, initial=np.inf)
        with np.errstate(invalid="ignore"):
            farther = np.isfinite(nearest) & ~(own <= nearest + LENGTH_M)
        text = "name a site that is not their nearest"
        remarks += rows_that(farther, ids, "site-not-nearest", text, at="facility_walks.site_id")
    with np.errstate(invalid="ignore"):
        near = own <= limit + TINY
    served = np.bincount(named[near], demand[needs][near], minlength=len(sites)).astype(float)
    remarks += column_differs("facilities.served", sites["site_id"], sites["served"], served)
    remarks += _site_faults(book, name, facility, sites, served)
    figures = _figures(facility, sites, demand[needs], own, near, limit)
    remarks += _figure_faults(said, figures, name)
    proved = _proved(book, name, facility, needs, np.isfinite(own))
    remarks += _bound_faults(said, proved, name, with_room=facility.capacity is not None)
    return remarks, figures, proved


def _limit(facility: Facility) -> float:
    if facility.walk_min is not None:
        return facility.walk_min
    return DEFAULT_WALK_M if facility.walk_m is None else facility.walk_m


def _figures(
    facility: Facility,
    sites: pd.DataFrame,
    demand: Floats,
    walk: Floats,
    near: NDArray[np.bool_],
    limit: float,
) -> dict[str, Any]:
    reached = np.isfinite(walk)
    total, weight = float(demand[reached] @ walk[reached]), float(demand[reached].sum())
    return {
        "n_chosen": int((sites["status"] != "existing").sum()),
        "n_existing": int((sites["status"] == "existing").sum()),
        "unit": "m" if facility.walk_min is None else "min",
        "limit": limit,
        "demand": float(demand.sum()),
        "served": float(demand[near].sum()),
        "share_served": float(demand[near].sum() / demand.sum()),
        "total_walk": total,
        "walk_mean": total / weight if weight else None,
        "walk_max": float(walk[reached].max()) if weight else None,
    }


def _figure_faults(said: dict[str, Any], own: dict[str, Any], name: str) -> Iterator[Remark]:
    """Figures that differ, and bounds on the wrong side of them."""
    for key, value in own.items():
        written = said.get(key)
        if isinstance(value, str) or isinstance(written, str):
            wrong = written != value
        else:
            wrong = bool(differs([written], [value], name=f"{key}_m")[0])
        if wrong:
            text = f"the summary says {say(written)}, recounted {say(value)}"
            yield fault("figure-differs", text, layer="summary", column=f"facilities.{name}.{key}")
    if said.get("bound_served") is not None and own["served"] > said["bound_served"] + SHARE:
        text = f"{say(own['served'])} are served, the bound says at most {say(said['bound_served'])}"
        yield fault("bound-broken", text, layer="summary", column=f"facilities.{name}.bound_served")
    bound = said.get("bound_walk")
    if bound is not None and own["total_walk"] < bound - LENGTH_M - RELATIVE * own["total_walk"]:
        text = f"the walks add up to {say(own['total_walk'])}, the bound says at least {say(bound)}"
        yield fault("bound-broken", text, layer="summary", column=f"facilities.{name}.bound_walk")


def _proved(
    book: Book, name: str, facility: Facility, needs: Ints, reached: NDArray[np.bool_]
) -> dict[str, float | None]:
    """What the prices in bounds.npz prove; of candidates in a layer with ids, or made along all alleys."""
    said, layer, price = book.summary["facilities"][name], facility.candidates, _prices(book, name)
    found: dict[str, float | None] = {"bound_served": None}
    if said["bound_walk"] is not None:
        found["bound_walk"] = None
    known = _made(book, name) if layer == "alleys" else book.site.layer(layer)
    id_column = "site_id" if layer == "alleys" else LAYERS[layer].id_column
    if id_column is None or not any(np.isfinite(each).any() for each in price.values()):
        return found
    if known.empty or len(needs) * len(known) > MOST_WALKS:
        return found
    every = gpd.GeoDataFrame({"site_id": known[id_column]}, geometry=known.geometry.to_numpy())
    status = known["status"] if "status" in known else pd.Series("candidate", index=known.index)
    column = facility.demand.removeprefix("households.")
    task = Choosing(
        walk=_walks(book, facility, every, needs).T,
        weight=book.site.layer("households")[column].to_numpy(float)[needs],
        limit=_limit(facility),
        must=status.isin(["existing", "required"]).to_numpy(bool),
        never=(status == "forbidden").to_numpy(bool),
        n=facility.n + int((status == "existing").sum()),
        served=said["served"],
    )
    served_priced, walk_priced = (np.isfinite(price[key]).any() for key in ("served", "walk"))
    if facility.capacity is None:
        longest = max(float(task.walk.max(where=np.isfinite(task.walk), initial=0.0)), task.limit)
        far, served = float(price["far"][0]), price["served"]
        if served_priced:
            found["bound_served"] = most_served(task, served)
        if walk_priced:
            found["bound_walk"] = least_walk(
                task, price["walk"], far, served, longest=longest, left_out=~reached
            )
    else:
        room = known[facility.capacity] if isinstance(facility.capacity, str) else facility.capacity
        room = np.broadcast_to(np.asarray(room, dtype=float), len(known))
        if walk_priced:
            found["bound_walk"] = least_walk_with_room(task, room, price["walk"])
        if served_priced:
            found["bound_served"] = most_served_with_room(task, room, price["served"])
    return found


def _made(book: Book, name: str) -> gpd.GeoDataFrame:
    """Candidates that were made along the alleys; none where some unlit alley has too few beside it."""
    none = gpd.GeoDataFrame({"site_id": []}, geometry=[])
    if "facilities_made_kind" not in book.bounds:
        return none
    kind, x, y = (book.bounds[f"facilities_made_{key}"] for key in ("kind", "x", "y"))
    mine = kind == sorted(book.settings.facility).index(name)
    points, network, spacing_m = shapely.points(x[mine], y[mine]), book.network, book.settings.sites.spacing_m
    if not points.size or not np.isfinite(shapely.get_coordinates(points)).all():
        return none
    alleys = network.alleys.iloc[network.edge_alley]
    width_m = alleys["width_m"].fillna(0.0).to_numpy(float)
    unlit = ~alleys["lit"].fillna(False).to_numpy(bool)
    lines, aside_m = network.edge_lines[unlit], np.maximum(width_m[unlit] / 2, BESIDE_M)
    n_places = np.ceil(shapely.length(lines) / spacing_m).astype(int) + 1
    line = np.repeat(np.arange(lines.size), n_places)
    step = np.arange(line.size) - np.repeat(np.cumsum(n_places) - n_places, n_places)
    places = shapely.line_interpolate_point(lines[line], step * spacing_m)  # at the end from where it ends
    near = shapely.STRtree(points).query_nearest(places, all_matches=False)[1]
    if (shapely.distance(places, points[near]) > spacing_m / 2 + aside_m[line] + LENGTH_M).any():
        return none
    return gpd.GeoDataFrame({"site_id": np.arange(points.size).astype(str)}, geometry=points)


def _bound_faults(
    said: Mapping[str, Any], proved: Mapping[str, float | None], name: str, *, with_room: bool
) -> Iterator[Remark]:
    """Bounds that the prices don't prove; one by a solver may be tighter than its prices prove."""
    most, at_most = proved["bound_served"], said["bound_served"]
    if with_room and most is not None and at_most < most - SHARE:
        text = f"the summary says at most {say(at_most)}, the prices in bounds.npz prove only {say(most)}"
        yield fault("bound-unproven", text, layer="summary", column=f"facilities.{name}.bound_served")
    least, bound = proved.get("bound_walk"), said["bound_walk"]
    slack = LENGTH_M + RELATIVE * abs(said["total_walk"])
    if least is not None and said["bound_by"].startswith("Lagrangian") and bound > least + slack:
        text = f"the summary says {say(bound)}, the prices in bounds.npz prove only {say(least)}"
        yield fault("bound-unproven", text, layer="summary", column=f"facilities.{name}.bound_walk")


def _prices(book: Book, name: str) -> Mapping[str, Floats]:
    """The prices of one facility, NaN where there is none; of all they are stored one after the other."""
    stored = {key: book.bounds.get(f"facilities_{key}") for key in ("walk", "far", "served")}
    households, found = book.site.layer("households"), {}
    demands = {key: each.demand.removeprefix("households.") for key, each in book.settings.facility.items()}
    n_rows = {key: int((households[each].fillna(0) > 0).sum()) for key, each in demands.items()}
    names = sorted(n_rows)
    for key, every in stored.items():
        sizes = [1 if key == "far" else n_rows[each] for each in names]
        if every is None or len(every) != sum(sizes):
            return {}
        found[key] = np.split(every, np.cumsum(sizes)[:-1])[names.index(name)]
    return found


def _site_faults(
    book: Book, name: str, facility: Facility, sites: pd.DataFrame, served: Floats
) -> Iterator[Remark]:
    """Sites that are no candidates, stand elsewhere, are forbidden or overfull; required ones left out."""
    ids = sites["site_id"]
    full = sites["capacity"].to_numpy(float)
    over = served > np.where(np.isnan(full), np.inf, full) + TINY
    yield from rows_that(
        over, ids, "site-overfull", "serve more than they have room for", at="facilities.served"
    )
    n_new = int((sites["status"] != "existing").sum())
    if n_new > facility.n:
        text = f"{n_new} sites are chosen for {name}, the settings allow {facility.n}"
        yield fault("too-many-sites", text, layer="facilities", column="site_id")
    layer = facility.candidates
    if layer == "alleys":
        return
    known = book.site.layer(layer)
    id_column = LAYERS[layer].id_column
    if id_column is None:
        return
    row = pd.Index(known[id_column]).get_indexer(ids)
    yield from rows_that(row < 0, ids, "site-unknown", f"are not in {layer}", at="facilities.site_id")
    at = np.maximum(row, 0)
    away_m = shapely.distance(sites.geometry.to_numpy(), known.geometry.to_numpy()[at])
    text = "stand elsewhere than their site"
    yield from rows_that((row >= 0) & (away_m > LENGTH_M), ids, "site-moved", text, at="facilities.geometry")
    room = np.full(len(ids), np.nan)
    if isinstance(facility.capacity, str):
        room = known[facility.capacity].to_numpy(float, na_value=np.nan)[at]
    elif facility.capacity is not None:
        room[:] = facility.capacity
    yield from column_differs("facilities.capacity", ids, sites["capacity"], room)
    if "status" in known:
        status = known["status"].iloc[at]
        yield from column_differs("facilities.status", ids, sites["status"], status, text=True)
        forbidden = (status == "forbidden").to_numpy(bool)
        yield from rows_that(
            forbidden, ids, "site-forbidden", "use a forbidden site", at="facilities.site_id"
        )
        absent = known["status"].isin(["existing", "required"]) & ~known[id_column].isin(ids)
        text = f"of {layer} are existing or required and not here"
        yield from rows_that(absent, known[id_column], "site-missing", text, at="facilities.site_id")


def _walks(book: Book, facility: Facility, sites: pd.DataFrame, needs: Ints) -> Floats:
    """Walks from each needy household to each chosen site, in metres or minutes; infinite where none."""
    network, access_m = book.network, book.settings.input.max_access_m
    door = doors(book.site, network, book.settings).take(needs)
    shapes = _shapes(book, facility, sites)
    stand = snap_points(network, shapes, max_access_m=access_m, barriers=book.site.layer("barriers"))
    flat = 1.0
    if facility.walk_min is not None:
        pace, flat = _paces(book), 60.0 / (6000.0 * np.exp(-3.5 * 0.05))
        network = replace(network, edge_length_m=network.edge_length_m * pace)
        door, stand = (_paced(each, pace) for each in (door, stand))
    ways = cut_ways(network, door, stand)
    walk = np.full((len(needs), len(sites)), np.inf)
    near, open_ = np.flatnonzero(ways.vertex[0] >= 0), np.flatnonzero(ways.vertex[1] >= 0)
    for rows in np.split(open_, np.arange(CHUNK, open_.size, CHUNK)):
        on_ways = far_from(ways, ways.vertex[1][rows])[:, ways.vertex[0][near]].T
        offset = door.offset_m[near][:, None] + stand.offset_m[rows][None, :]
        walk[np.ix_(near, rows)] = on_ways + flat * offset
    return walk


def _shapes(book: Book, facility: Facility, sites: pd.DataFrame) -> NDArray[np.object_]:
    """The candidates' own shapes, whose edge is the door; the points of the plan where they were made."""
    points = sites.geometry.to_numpy()
    if facility.candidates == "alleys" or LAYERS[facility.candidates].id_column is None:
        return points
    known = book.site.layer(facility.candidates)
    row = pd.Index(known[LAYERS[facility.candidates].id_column]).get_indexer(sites["site_id"])
    return np.where(row >= 0, known.geometry.to_numpy()[np.maximum(row, 0)], points)


def _paced(stops: Stops, pace: Floats) -> Stops:
    on = stops.edge >= 0
    return replace(stops, along_m=np.where(on, stops.along_m * pace[np.maximum(stops.edge, 0)], np.nan))


def _paces(book: Book) -> Floats:
    """Minutes per metre of every edge by Tobler's function there and back, edge by edge."""
    network = book.network
    steps = (network.alleys["kind"] == "steps").to_numpy(bool)[network.edge_alley]
    return np.array(
        [
            STEPS_MIN_PER_M if is_step else _pace(book, line, length_m)
            for line, length_m, is_step in zip(network.edge_lines, network.edge_length_m, steps, strict=True)
        ]
    )


def _pace(book: Book, line: Any, length_m: float) -> float:
    n = max(int(np.ceil(length_m / PIECE_M - 1e-9)), 1)
    places = [line.interpolate(share, normalized=True) for share in np.arange(n + 1) / n]
    heights_m = [_height(book, each.x, each.y) for each in places]
    minutes = 0.0
    for low_m, high_m in pairwise(heights_m):
        slope = (high_m - low_m) / (length_m / n) if length_m else 0.0
        slope = min(max(slope, -1.0), 1.0) if np.isfinite(slope) else 0.0  # no alley is steeper
        for way in (slope, -slope):
            kmh = 6.0 * np.exp(-3.5 * abs(way + 0.05))
            minutes += 0.5 * 60.0 / (1000.0 * kmh) / n
    return float(minutes)


def _height(book: Book, x: float, y: float) -> float:
    """Height between the four cells around a place; NaN where one is not known. [m]"""
    if "elevation" not in book.bounds:
        return float("nan")
    cells = book.bounds["elevation"]
    a, b, c, d, e, f = book.bounds["elevation_transform"]
    size = a * e - b * d
    col = (e * (x - c) - b * (y - f)) / size - 0.5
    row = (a * (y - f) - d * (x - c)) / size - 0.5
    left, top = int(np.floor(col)), int(np.floor(row))
    if left < 0 or top < 0 or left + 1 >= cells.shape[1] or top + 1 >= cells.shape[0]:
        return float("nan")
    right, down = col - left, row - top
    upper = (1 - right) * float(cells[top, left]) + right * float(cells[top, left + 1])
    lower = (1 - right) * float(cells[top + 1, left]) + right * float(cells[top + 1, left + 1])
    return (1 - down) * upper + down * lower
