"""Any point facility: elder day-care in vacant buildings, rubbish points along the alleys, and the like.

Settings alone describe it: where it may stand, who needs it, how far they walk, how much it can serve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from pandas import DataFrame
from scipy import sparse

from spatial.errors import DataError, Remark, doubt, first_ids
from spatial.load import Site
from spatial.network import AlleyNetwork, Stops, doors, in_minutes, minutes_per_m, snap_points
from spatial.schema import LAYERS
from spatial.settings import Facility, Settings
from spatial.siting.candidates import (
    geographic_order,
    made_sites,
    nearest_alley,
    standing,
    unreachable_doubt,
)
from spatial.siting.service import (
    LAGRANGIAN,
    Service,
    Walked,
    farthest,
    least_walk,
    most_served,
    nearest_chosen,
    ranks,
    way_walks,
)
from spatial.solve import Sides, Solution, capacitated_median, gap_between, within

__all__ = ["FacilityPlan", "check_facility", "plan_facility"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

DEFAULT_WALK_M = 500.0


@dataclass(frozen=True)
class FacilityPlan:
    """Where one kind of facility stands and who walks to which."""

    sites: GeoDataFrame  # PLAN_LAYERS["facilities"] without grid_id
    walks: DataFrame  # PLAN_LAYERS["facility_walks"]
    figures: dict[str, Any]
    remarks: tuple[Remark, ...]
    prices: Mapping[str, FloatArray]  # ``walk`` and ``served`` of each row that needs it, ``far``
    made_xy: FloatArray  # (c, 2) where candidates were made along the alleys; none where a layer gives them


@dataclass(frozen=True)
class _Needs:
    """Who needs the facility, and the way there from each of their doors."""

    rows: IntArray  # of the households
    demand: FloatArray  # of each, above 0
    service: Service
    capacity: FloatArray | None
    on: AlleyNetwork  # in metres or minutes, as the stops
    door: Stops
    stops: Stops

    @property
    def is_far(self) -> BoolArray:
        """Sites that no alley is near enough to."""
        return self.stops.edge < 0


def plan_facility(site: Site, network: AlleyNetwork, settings: Settings, name: str) -> FacilityPlan:
    """Site one kind of facility, as its table ``[facility.<name>]`` says.

    ``candidates`` is a layer of points or polygons, or ``alleys`` for places made every
    ``sites.spacing_m``; where the layer has a status, sites may be existing, required or forbidden.
    ``demand`` is a column of the households. First the most demand within ``walk_m`` or ``walk_min`` is
    served, then with ``goal = least-walk`` the walk is least; ``capacity``, a number or a column of the
    candidates, limits what one site can serve. With a capacity only walks within the limit count.

    Returns
    -------
    FacilityPlan

    Raises
    ------
    DataError
        A layer or column is not there, nobody needs the facility, or the numbers can't be.
    """
    facility = settings.facility[name]
    sites = _candidates(site, network, settings, name)
    needs = _needs(site, network, settings, sites, name)
    _check_numbers(needs.service, sites, name)
    chosen, at, figures, prices = _choose(needs, facility)
    table = _site_table(needs, sites, chosen, at, name)
    table = table.assign(alley_id=nearest_alley(network, table))
    ids = site.layer("households")["household_id"].to_numpy(dtype=object)[needs.rows]
    remarks = [*_unserved(needs, facility, ids, at, name)]
    if needs.is_far.any():
        access_m = settings.input.max_access_m
        remarks.append(
            unreachable_doubt(sites, needs.is_far, layer=facility.candidates, max_access_m=access_m)
        )
    site_id = sites["site_id"].to_numpy(dtype=object)
    walk = DataFrame(
        {
            "facility": name,
            "household_id": ids,
            "demand": needs.demand,
            "site_id": pd.Series(site_id[at.site], dtype="str").where(at.site >= 0),
            "walk_m": at.walk if facility.walk_min is None else np.nan,
            "walk_min": at.walk if facility.walk_min is not None else np.nan,
        }
    )
    made = sites if facility.candidates == "alleys" else sites.iloc[:0]
    made_xy = shapely.get_coordinates(made.geometry.to_numpy())
    return FacilityPlan(table, walk, figures, tuple(remarks), prices, made_xy)


def check_facility(site: Site, settings: Settings, name: str) -> None:
    """Refuse at once what ``plan_facility`` would refuse for its layer or columns.

    Raises
    ------
    DataError
    """
    facility = settings.facility[name]
    _demand(site, facility, name)
    if facility.candidates != "alleys":
        _capacity(facility, _given_sites(site, facility, name), facility.candidates, name)


def _limit(facility: Facility) -> float:
    """The longest walk, in metres or minutes."""
    if facility.walk_min is not None:
        return facility.walk_min
    return DEFAULT_WALK_M if facility.walk_m is None else facility.walk_m


def _refuse(name: str, fault: str) -> DataError:
    return DataError(f"the facility {name!r} can't be planned", [fault])


def _candidates(site: Site, network: AlleyNetwork, settings: Settings, name: str) -> GeoDataFrame:
    """The sites: site_id, status, capacity, points or polygons."""
    facility = settings.facility[name]
    layer = facility.candidates
    if layer == "alleys":
        rows, id_column = made_sites(site, network, settings, layer="board_sites"), "site_id"
    else:
        rows, id_column = _given_sites(site, facility, name), LAYERS[layer].id_column or ""
    ids = rows[id_column] if id_column else pd.Series([f"{j:05d}" for j in range(len(rows))])
    status = rows["status"].to_numpy(dtype=object) if "status" in rows else np.full(len(rows), "candidate")
    capacity = _capacity(facility, rows, layer, name)
    table = {"site_id": ids.to_numpy(dtype=object), "status": status, "capacity": capacity}
    return GeoDataFrame(table, geometry=rows.geometry.to_numpy(), crs=site.crs)


def _given_sites(site: Site, facility: Facility, name: str) -> GeoDataFrame:
    layer = facility.candidates
    known = [key for key, each in LAYERS.items() if {"point", "polygon"} & set(each.geometry)]
    if layer not in known:
        raise _refuse(
            name,
            f"facility.{name}.candidates = {layer} is no layer of sites; use alleys, {', '.join(known)}",
        )
    if site.layer(layer).empty:
        raise _refuse(name, f"layer {layer} is missing or empty; add it, or use candidates = alleys")
    return site.layer(layer)


def _capacity(facility: Facility, rows: GeoDataFrame, layer: str, name: str) -> FloatArray:
    """What each site can serve; infinite without a capacity."""
    if facility.capacity is None:
        return np.full(len(rows), np.inf)
    if isinstance(facility.capacity, int):
        return np.full(len(rows), float(facility.capacity))
    if facility.capacity not in rows or not pd.api.types.is_numeric_dtype(rows[facility.capacity]):
        raise _refuse(name, f"facility.{name}.capacity = {facility.capacity} is no number column of {layer}")
    capacity = rows[facility.capacity].to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(capacity).any():
        id_column = LAYERS[layer].id_column if layer in LAYERS else "site_id"
        empty = rows[id_column][np.isnan(capacity)] if id_column else []
        raise _refuse(
            name,
            f"{layer}.{facility.capacity} is empty for {int(np.isnan(capacity).sum())} sites "
            f"({first_ids(empty)}); fill it in",
        )
    return capacity


def _needs(site: Site, network: AlleyNetwork, settings: Settings, sites: GeoDataFrame, name: str) -> _Needs:
    facility, access_m = settings.facility[name], settings.input.max_access_m
    demand = _demand(site, facility, name)
    rows = np.flatnonzero(demand > 0)
    door = doors(site, network, settings).take(rows)
    stops = snap_points(
        network, sites.geometry.to_numpy(), max_access_m=access_m, barriers=site.layer("barriers")
    )
    limit, on = _limit(facility), network
    if facility.walk_min is not None:
        on, (door, stops) = in_minutes(network, minutes_per_m(network, site.elevation), door, stops)
    longest = limit if facility.capacity is not None else farthest(len(rows), len(sites), limit)
    walk = way_walks(on, door, stops, limit_m=longest)
    if facility.capacity is not None:
        walk = _cut(walk, limit)
    may = standing(sites, stops.edge < 0)
    service = Service(
        weight=demand[rows],
        walk=walk,
        limit=limit,
        n=facility.n,
        existing=may.existing,
        required=may.required,
        barred=may.barred,
        sides=Sides.none(len(sites)),
        effort=settings.work.effort,
        seed=settings.work.seed,
    )
    capacity = None if facility.capacity is None else sites["capacity"].to_numpy(dtype=np.float64)
    return _Needs(rows, demand[rows], service, capacity, on, door, stops)


def _cut(walk: sparse.csr_array, limit: float) -> sparse.csr_array:
    """Only the walks within the limit."""
    near = within(walk, limit)
    return sparse.csr_array((walk.data[walk.data <= limit], near.indices, near.indptr), shape=walk.shape)


def _demand(site: Site, facility: Facility, name: str) -> FloatArray:
    """What each household row asks for: a number column of the households."""
    households = site.layer("households")
    column = facility.demand.removeprefix("households.")
    numbers = [each.name for each in LAYERS["households"].columns if each.dtype in ("int", "float")]
    if column not in numbers:
        known = ", ".join(numbers)
        raise _refuse(name, f"facility.{name}.demand = {column} is no number of households; use {known}")
    demand = households[column].fillna(0).to_numpy(dtype=np.float64)
    if not (demand > 0).any():
        raise _refuse(name, f"households.{column} is empty or 0 in every row, so nobody needs it; fill it in")
    return demand


def _check_numbers(service: Service, sites: GeoDataFrame, name: str) -> None:
    n_required, n_usable = int(service.required.sum()), int((~service.existing & ~service.barred).sum())
    if n_required > service.n:
        raise _refuse(
            name,
            f"facility.{name}.n is {service.n} but {n_required} sites are required "
            f"({first_ids(sites['site_id'][service.required])}); allow more or require fewer",
        )
    if n_usable < service.n:
        raise _refuse(
            name, f"facility.{name}.n is {service.n} but only {n_usable} sites can take one; lower it"
        )


def _choose(
    needs: _Needs, facility: Facility
) -> tuple[BoolArray, Walked, dict[str, Any], dict[str, FloatArray]]:
    """The choice, who goes where, the figures, and the prices that prove them."""
    service, walk = needs.service, None
    if needs.capacity is not None:
        assigned = capacitated_median(
            service.walk,
            service.weight,
            needs.capacity,
            n=service.n - int(service.required.sum()),
            fixed=service.fixed,
            barred=service.barred,
            effort=service.effort,
            seed=service.seed,
        )
        served, walk, chosen = assigned.served, assigned.walk, assigned.served.chosen
        at = _assigned(service, assigned.site)
    else:
        served = most_served(service)
        chosen = served.chosen
        if facility.goal == "least-walk":
            chosen, walk = least_walk(service, served)
        rows = np.flatnonzero(chosen)
        at = nearest_chosen(service, needs.on, needs.door, needs.stops, rows)
    return chosen, at, _figures(needs, facility, chosen, at, served, walk), _prices(needs, served, walk)


def _prices(needs: _Needs, served: Solution, walk: Solution | None) -> dict[str, FloatArray]:
    """Prices that prove the bounds, or nearly where a search did, NaN where a bound has none."""
    none, far = np.full(len(needs.rows), np.nan), np.full(1, np.nan)
    found = {"walk": none.copy(), "far": far, "served": none if needs.capacity is not None else served.duals}
    if walk is not None and needs.capacity is not None:
        found["walk"] = walk.duals
        if served.bound_by == LAGRANGIAN:
            found["served"] = served.duals
    elif walk is not None:
        found["walk"][np.diff(needs.service.walk.indptr) > 0] = walk.duals[:-1]
        found["far"] = walk.duals[-1:]
    return found


def _assigned(service: Service, site: IntArray) -> Walked:
    stored = service.walk.copy()
    stored.data = stored.data + 1.0
    on = np.flatnonzero(site >= 0)
    walk = np.full(len(site), np.nan)
    walk[on] = np.asarray(stored[on, site[on]]).ravel() - 1.0
    return Walked(site, walk)


def _figures(
    needs: _Needs,
    facility: Facility,
    chosen: BoolArray,
    at: Walked,
    served: Solution,
    walk: Solution | None,
) -> dict[str, Any]:
    service, reached = needs.service, at.site >= 0
    near = reached & (np.nan_to_num(at.walk, nan=np.inf) <= service.limit)
    n_served, demand = float(service.weight[near].sum()), float(service.weight.sum())
    total, n_reached = float(service.weight[reached] @ at.walk[reached]), float(service.weight[reached].sum())
    bound = None
    if walk is not None:
        left = np.diff(service.walk.indptr) > 0
        unreached = 0.0 if needs.capacity is not None else float(service.weight[left & ~reached].sum())
        bound = total if walk.gap == 0 else min(walk.bound - unreached * service.unreached, total)
    return {
        "n_chosen": int((chosen & ~service.existing).sum()),
        "n_existing": int(service.existing.sum()),
        "unit": "m" if facility.walk_min is None else "min",
        "limit": service.limit,
        "demand": demand,
        "served": n_served,
        "share_served": n_served / demand,
        "bound_served": n_served if served.gap == 0 else max(served.bound, n_served),
        "total_walk": total,
        "walk_mean": total / n_reached if n_reached else None,
        "walk_max": float(at.walk[reached].max()) if n_reached else None,
        "bound_walk": bound,
        "gap": gap_between(n_served, served.bound, sense="max")
        if bound is None
        else gap_between(total, bound, sense="min"),
        "bound_by": served.bound_by if walk is None else walk.bound_by,
    }


def _site_table(needs: _Needs, sites: GeoDataFrame, chosen: BoolArray, at: Walked, name: str) -> GeoDataFrame:
    """The chosen sites from north to south and west to east, with what each serves within the limit."""
    rows = np.flatnonzero(chosen)
    points = shapely.point_on_surface(sites.geometry.to_numpy())
    rows = rows[geographic_order(shapely.get_coordinates(points[rows]))]
    near = np.flatnonzero((at.site >= 0) & (np.nan_to_num(at.walk, nan=np.inf) <= needs.service.limit))
    served = np.bincount(at.site[near], needs.demand[near], minlength=len(chosen))[rows]
    rank = pd.Series(ranks(needs.service, chosen)[rows], dtype="Int64")
    xy = shapely.get_coordinates(points[rows])
    capacity = sites["capacity"].to_numpy(dtype=np.float64)[rows]
    table = {
        "facility": name,
        "site_id": sites["site_id"].to_numpy(dtype=object)[rows],
        "status": sites["status"].to_numpy(dtype=object)[rows],
        "rank": rank.where(rank > 0),
        "served": served,
        "capacity": np.where(np.isinf(capacity), np.nan, capacity),
        "x": xy[:, 0],
        "y": xy[:, 1],
    }
    return GeoDataFrame(table, geometry=points[rows], crs=sites.crs)


def _unserved(
    needs: _Needs, facility: Facility, ids: NDArray[np.object_], at: Walked, name: str
) -> list[Remark]:
    """Who is beyond the limit or finds no room, and which rows no site has room for as a whole."""
    unit = "m" if facility.walk_min is None else "minutes"
    far = ~((at.site >= 0) & (np.nan_to_num(at.walk, nan=np.inf) <= needs.service.limit))
    if not far.any():
        return []
    reach = np.diff(within(needs.service.walk, needs.service.limit)[:, ~needs.service.barred].indptr) > 0
    crowded = far & reach
    remarks = [
        doubt(
            "facility-far",
            f"{needs.demand[far].sum():g} of {needs.demand.sum():g} {facility.demand} are not served by "
            f"{name!r} within {needs.service.limit:g} {unit}; "
            f"{needs.demand[crowded].sum():g} of them could be by some candidate",
            layer="households",
            ids=ids[far],
            remedy="allow more sites, more room or a longer walk, or add candidates near them",
        )
    ]
    most = np.inf if needs.capacity is None else needs.capacity[~needs.service.barred].max(initial=0.0)
    if (large := needs.demand > most).any():
        remarks.append(
            doubt(
                "facility-room",
                f"{int(large.sum())} rows ask for more than the roomiest site of {name!r} has: {most:g}",
                layer="households",
                column=facility.demand.removeprefix("households."),
                ids=ids[large],
                remedy="a row goes to one site as a whole: enter them as several rows, or allow more room",
            )
        )
    return remarks
