"""From a site and its network to grids: units, partition, numbers, ground, branches and roster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray

from spatial.adjacency import Adjacency, touching, voronoi_cells
from spatial.earlier import EarlierPlan
from spatial.errors import Remark, fault, one_line
from spatial.grids.area_notes import area_notes
from spatial.grids.areas import grid_areas
from spatial.grids.carry import Carried, carried_names, carry, earlier_levels, exclusive_names, told
from spatial.grids.engine import partition
from spatial.grids.exclusive import (
    Exclusive,
    carve,
    exclusive_grids,
    exclusive_households,
    exclusive_places,
)
from spatial.grids.groups import close_locks
from spatial.grids.levels import link_grids
from spatial.grids.numbering import Names, geographic_order, middles, name_grids
from spatial.grids.problem import GridProblem, Partition, score
from spatial.grids.reasons import explain
from spatial.grids.roster import Meetings, Rivals, figures, meeting_notes, meetings, roster
from spatial.grids.structure import Nodes, Structure, group_grids
from spatial.grids.ties import Households, keep_alleys
from spatial.grids.units import Units, codes, make_units, near_walks, side_by_side
from spatial.grids.zones import refuse_unknown, zone_buildings
from spatial.load import Site
from spatial.network import AlleyNetwork, Stops, Walks
from spatial.settings import Settings

__all__ = ["GridPlan", "check_grids", "plan_grids"]


@dataclass(frozen=True)
class GridPlan:
    """Grids on the ground, who belongs to which, and how good that is.

    ``households`` holds the household columns of the plan that concern grids, and ``served``
    (False: farther than ``input.max_access_m`` from any alley, ``walk_to_meeting_m`` null).
    ``walk_to_meeting_m`` runs from door to meeting door along the alleys, both offsets included;
    it is 0 for the household that hosts the meeting. ``figures`` are defined in
    :func:`spatial.grids.roster.figures`.
    """

    households: GeoDataFrame
    grids: GeoDataFrame
    figures: Mapping[str, Any]
    bounds: Mapping[str, NDArray[Any]]
    remarks: tuple[Remark, ...]
    zones: pd.DataFrame = field(default_factory=pd.DataFrame)  # groups inside large buildings

    def __repr__(self) -> str:
        n, low, high, walk_m = (self.figures[key] for key in ("n", "min", "max", "walk_mean_m"))
        return f"GridPlan({n} grids of {low}–{high} households, mean walk {walk_m:.0f} m)"


def plan_grids(
    site: Site, network: AlleyNetwork, settings: Settings, *, earlier: EarlierPlan | None = None
) -> GridPlan:
    """Cut the community into grids, then group them for branches and workers.

    Parameters
    ----------
    site : Site
        Layers ``households`` and ``boundary``; ``buildings`` where there are any.
    network : AlleyNetwork
        Built from the site.
    settings : Settings
        Sections grids, community, input and work.
    earlier : EarlierPlan, optional
        A plan whose grids, numbers, branches and workers are kept wherever they can be.

    Raises
    ------
    DataError
        The site has no households, all live in exclusive places, or most are far from every alley.
    """
    exclusive = exclusive_places(site)
    if earlier is not None:
        earlier = earlier.without(site.layer("households")["household_id"][exclusive.home >= 0])
    plan = _plan_ordinary(exclusive.others(site), network, settings, earlier)
    plan = _with_zones(_with_exclusive(plan, exclusive, site, settings, earlier), site, settings)
    return replace(plan, remarks=(*plan.remarks, *area_notes(plan.grids, plan.households, site)))


def check_grids(site: Site, network: AlleyNetwork, settings: Settings) -> None:
    """Refuse at once what ``plan_grids`` would refuse of the site and its locks.

    Raises
    ------
    DataError
    """
    refuse_unknown(site.layer("households")["building_id"], settings.grids)
    others = exclusive_places(site).others(site)
    if others.layer("households")["locked_grid"].notna().any():
        units = make_units(others, network, settings)
        beside = touching(network, units.stops.take(units.served))
        nobody = np.zeros(0, dtype=np.int32)
        near = Walks(np.zeros(len(units.weight) + 1, dtype=np.int64), nobody, np.zeros(0))
        close_locks(_problem(units, beside, near)[0])


def _with_zones(plan: GridPlan, site: Site, settings: Settings) -> GridPlan:
    """The plan with zones and groups inside its large buildings."""
    zones = zone_buildings(plan.households, site, settings.grids)
    households = plan.households.assign(zone=zones.zone, zone_group=zones.zone_group)
    return replace(plan, households=households, zones=zones.table, remarks=(*plan.remarks, *zones.remarks))


def _with_exclusive(
    plan: GridPlan, exclusive: Exclusive, site: Site, settings: Settings, earlier: EarlierPlan | None
) -> GridPlan:
    """The plan with the exclusive grids beside the ordinary ones, whose areas make room for them."""
    figures = {**plan.figures, "n_exclusive": len(exclusive.places)}
    remarks = (*plan.remarks, *exclusive.remarks)
    if not len(exclusive.places):
        return replace(plan, figures=figures, remarks=remarks)
    ordinary, members = plan.grids, plan.households
    at = pd.Index(ordinary["grid_id"]).get_indexer(members["grid_id"])
    areas, grounds = carve(ordinary.geometry.to_numpy(), members.geometry.to_numpy(), at, exclusive)
    above, prefix = int(ordinary["grid_id"].max()), settings.community.code
    names = exclusive_names(exclusive.titles, earlier, above=above, prefix=prefix)
    added = exclusive_grids(exclusive, grounds, site, names)
    people = exclusive_households(exclusive, site, added["grid_id"].to_numpy())
    return replace(
        plan,
        households=pd.concat([members, people], ignore_index=True),
        grids=pd.concat([ordinary.set_geometry(areas, crs=site.crs), added], ignore_index=True),
        figures=figures,
        remarks=remarks,
    )


def _plan_ordinary(
    site: Site, network: AlleyNetwork, settings: Settings, earlier: EarlierPlan | None
) -> GridPlan:
    units = make_units(site, network, settings)
    stops = units.stops.take(units.served)
    beside = touching(network, stops)
    near = near_walks(network, stops, units.weight, enough=3 * settings.grids.max_households)
    problem, group_names = _problem(units, beside, near)
    carried = carry(units, earlier) if earlier is not None else None
    answer = partition(
        problem,
        settings.grids,
        effort=settings.work.effort,
        seed=settings.work.seed,
        threads=_threads(settings),
        earlier=None if carried is None else carried.rows,
    )
    if carried is None:
        answer = replace(answer, grid=side_by_side(units, answer.grid))
    xy = shapely.get_coordinates(units.table.geometry.array)
    number, names = _numbers(answer.grid, xy[units.served], units.weight, carried, settings)
    seat_grid = number[answer.grid]
    grid = seat_grid[units.seat]
    met = _meet(network, stops, near, seat_grid, units, settings)
    rivals = _rivals(network, stops, near, problem, answer, settings)
    links = (beside.indptr, beside.indices)
    structure = _structure(units, seat_grid, beside, xy[units.served], names, carried, settings)
    fault_texts, remarks = explain(answer, number, units, xy, group_names, names.code, settings.grids)
    areas = _areas(site, network, units, stops, grid, xy)
    rows = roster(units, grid, met, areas, structure.branch_id, structure.worker_id, fault_texts, names)
    return GridPlan(
        _households(units, names.grid_id[grid], met),
        GeoDataFrame(rows, geometry=gpd.GeoSeries(areas, crs=site.crs)),
        figures(units, grid, met, answer, rivals, links, settings),
        {**answer.multipliers, **_rival_grids(answer)},
        (
            *units.remarks,
            *remarks,
            *(told(carried, units, names.grid_id[grid], names) if carried is not None else ()),
            *_missed_number(rows, settings),
            *meeting_notes(units, met, settings),
            *structure.remarks,
        ),
    )


def _missed_number(rows: pd.DataFrame, settings: Settings) -> list[Remark]:
    """A fault where the number of grids is not the one asked for."""
    wanted = settings.grids.n_grids
    if wanted is None or wanted == len(rows):
        return []
    message = f"{len(rows)} grids were made, not the {wanted} asked for"
    remedy = "set another grids.n_grids, or leave it out for the nearest number that works"
    return [fault("n-grids-missed", message, layer="grids", column="grid_id", remedy=remedy)]


def _threads(settings: Settings) -> int:
    return os.cpu_count() or 1 if settings.work.threads == "all" else settings.work.threads


def _problem(units: Units, beside: Adjacency, near: Walks) -> tuple[GridProblem, list[str]]:
    """The arrays of the search; a lock of a riding household holds for the row it rides with."""
    served = units.served
    group, names = codes(units.table["group"])
    lock, locks = codes(units.table["locked_grid"])
    locked = lock[served].copy()
    np.maximum.at(locked, units.seat, lock)
    problem = GridProblem(
        weight=units.weight,
        indptr=beside.indptr,
        indices=beside.indices,
        near_indptr=near.indptr,
        near_indices=near.indices,
        near_m=near.distance_m,
        group=group[served],
        locked=locked,
        lock_names=tuple(map(one_line, locks)),
    )
    return problem, list(names)


def _numbers(
    grid: NDArray[np.int64],
    xy: NDArray[np.float64],
    weight: NDArray[np.int64],
    carried: Carried | None,
    settings: Settings,
) -> tuple[NDArray[np.int64], Names]:
    """The place, from 0, of each grid of the partition in the order of the numbers, and the names."""
    order = geographic_order(middles(xy, grid, weight, n=int(grid.max()) + 1))
    if carried is not None:
        return carried_names(carried, grid, order, settings.community.code)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return number, name_grids(settings.community.code, np.arange(1, len(order) + 1))


def _meet(
    network: AlleyNetwork,
    stops: Stops,
    near: Walks,
    seat_grid: NDArray[np.int64],
    units: Units,
    settings: Settings,
) -> Meetings:
    table = units.table.iloc[units.served]
    may_host = np.ones(len(table), dtype=bool)
    if settings.grids.meeting_at == "party_household":
        may_host = (table["party_members"].fillna(0) > 0).to_numpy(dtype=bool)
    return meetings(
        network, stops, near, seat_grid, units.weight, row=table["row"].to_numpy(), may_host=may_host
    )


def _rivals(
    network: AlleyNetwork,
    stops: Stops,
    near: Walks,
    problem: GridProblem,
    answer: Partition,
    settings: Settings,
) -> Rivals:
    def walk_m(grid: NDArray[np.int64]) -> float:
        every = np.ones(len(grid), dtype=bool)
        met = meetings(network, stops, near, grid, problem.weight, row=np.arange(len(grid)), may_host=every)
        return float((problem.weight * met.to_medoid_m).sum())

    group_cost_m = settings.grids.group_cost_m * int(score(problem, answer.plain).outside.sum())
    return Rivals(walk_m(answer.plain) + group_cost_m, None if answer.free is None else walk_m(answer.free))


def _rival_grids(answer: Partition) -> dict[str, NDArray[np.int64]]:
    """The other grids that the plan is compared with, so that a recount can compare too."""
    found = {"plain_grid": answer.plain, "free_grid": answer.free}
    if np.array_equal(answer.plain, answer.grid):
        del found["plain_grid"]
    return {name: grid for name, grid in found.items() if grid is not None}


def _structure(
    units: Units,
    seat_grid: NDArray[np.int64],
    beside: Adjacency,
    xy: NDArray[np.float64],
    names: Names,
    carried: Carried | None,
    settings: Settings,
) -> Structure:
    n_grids = int(seat_grid.max()) + 1
    links = link_grids(seat_grid, beside.part, (beside.indptr, beside.indices), xy)
    households = np.bincount(seat_grid, units.weight, minlength=n_grids).astype(np.int64)
    label, labels = codes(units.table["locked_branch"])
    locked = np.zeros((n_grids, len(labels)), dtype=np.int64)
    held = label >= 0
    own = units.table["households"].to_numpy(dtype=np.int64)
    np.add.at(locked, (seat_grid[units.seat][held], label[held]), own[held])
    at = middles(xy, seat_grid, units.weight, n=n_grids)
    nodes = Nodes(links, households, at, locked, labels, names.code)
    return group_grids(nodes, settings, earlier=earlier_levels(carried, names) if carried else None)


def _areas(
    site: Site,
    network: AlleyNetwork,
    units: Units,
    stops: Stops,
    grid: NDArray[np.int64],
    xy: NDArray[np.float64],
) -> NDArray[np.object_]:
    """The ground of each grid."""
    alleys = keep_alleys(network, voronoi_cells(network, stops), stops, grid[units.served])
    return grid_areas(
        Households(xy, units.footprint, grid, units.stops.stop_xy, units.table["part"].to_numpy() > 0),
        alleys,
        site.layer("buildings").geometry.to_numpy(),
        site.layer("barriers").geometry.to_numpy(),
        site.layer("boundary").geometry.iloc[0],
        n_grids=int(grid.max()) + 1,
    )


def _households(units: Units, grid_id: NDArray[np.int64], met: Meetings) -> GeoDataFrame:
    names = ["household_id", "part", "households", "group", "residents", "elderly"]
    frame = units.table[names].copy()
    frame["grid_id"] = grid_id
    frame["walk_to_meeting_m"] = np.nan
    frame.loc[units.served, "walk_to_meeting_m"] = met.to_door_m
    frame["served"] = units.table["served"]
    return GeoDataFrame(frame, geometry=units.table.geometry)
