"""Notice boards: first the most households within walking distance, then the least total walk.

A walk is the way from the door to the board: both offsets from the centre-line and the network
distance between. It is counted once per household of a row.

Boards may be asked to stand apart, one in each grid, and in sight of a lamp, so that they can be read at
night. Where that is only preferred, a walk to a board in the dark counts a tenth more in the choice; where
it must be and the new lamps are too few for the best boards, others are chosen that they can light.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from pandas import DataFrame
from scipy import sparse

from spatial.errors import DataError, InfeasibleError, Remark, doubt, fault
from spatial.load import Site
from spatial.network import AlleyNetwork, Stops, doors, snap_points
from spatial.settings import Settings
from spatial.siting.candidates import (
    Standing,
    at_most_one,
    candidate_sites,
    geographic_order,
    grid_at,
    near_doubt,
    number_faults,
    standing,
    unreachable_doubt,
)
from spatial.siting.night import lamps_in_sight
from spatial.siting.service import (
    Service,
    Walked,
    farthest,
    least_walk,
    most_served,
    nearest_chosen,
    ranks,
    way_walks,
)
from spatial.solve import Sides, Solution, bounded_by, gap_between, set_cover, within

__all__ = ["BoardPlan", "check_boards", "plan_boards"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class BoardPlan:
    """The boards of a plan and who walks to which."""

    sites: GeoDataFrame  # every site, given or made: board_sites contract and alley_id
    boards: GeoDataFrame  # PLAN_LAYERS["boards"] without grid_id
    households: DataFrame  # household_id, board_id (a site_id), walk_to_board_m
    figures: dict[str, Any]  # SUMMARY["boards"]
    bounds: Mapping[str, NDArray[Any]]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True)
class _Task:
    sites: GeoDataFrame
    service: Service
    may: Standing
    dark: BoolArray | None  # no lamp that shines, or may, in sight; None where that does not matter
    lamps: _NewLamps | None  # that ``lit_at_night = require`` asks for, where their number is given


@dataclass(frozen=True)
class _NewLamps:
    shows: sparse.csr_array  # (sites, lamp sites): a new lamp would show a new board that no sure one shows
    most: int  # new lamps besides the required ones


@dataclass(frozen=True)
class _Choice:
    served: Solution
    chosen: BoolArray
    walk: Solution | None
    by_lamps: bool = False  # others would serve better, but the new lamps are too few for them


def plan_boards(
    site: Site,
    network: AlleyNetwork,
    settings: Settings,
    *,
    areas: GeoDataFrame | None = None,
    lamps: GeoDataFrame | None = None,
) -> BoardPlan:
    """Choose board sites and say who walks how far.

    Parameters
    ----------
    site : Site
        Layers ``households`` and ``board_sites`` (made along the alleys where empty).
    network : AlleyNetwork
    settings : Settings
        Section ``boards``. ``n_boards`` counts new boards, required ones included.
    areas : GeoDataFrame, optional
        grid_id and polygons of the grids, for ``one_per_grid``.
    lamps : GeoDataFrame, optional
        The lamps that shine, for ``lit_at_night = prefer``; with ``require`` the sites where one may stand.

    Returns
    -------
    BoardPlan
        ``total_walk_m`` adds up all households that some board can be reached from; its bound holds for
        every choice that serves as many within ``walk_m`` and leaves no more without any board.

    Raises
    ------
    DataError
        More sites are required than ``n_boards``, fewer can be used, or no choice keeps to what the settings
        ask for.
    """
    sites, made = candidate_sites(site, network, settings, layer="board_sites")
    door = doors(site, network, settings)
    stops = snap_points(
        network,
        sites.geometry.to_numpy(),
        max_access_m=settings.input.max_access_m,
        barriers=site.layer("barriers"),
    )
    task = _task(site, network, settings, sites, door, stops, areas=areas, lamps=lamps)
    if faults := check_boards(sites, settings, may=task.may, dark=task.dark):
        raise DataError("the boards can't be planned", [str(each) for each in faults])
    try:
        found = _for_the_lamps(task, settings, _choose(task.service, settings, task.dark))
    except InfeasibleError:
        raise DataError(
            "the boards can't be planned",
            [
                f"no {settings.boards.n_boards} boards keep to {_asked(settings)}; "
                "ask for less, or add board sites"
            ],
        ) from None
    served, chosen, walk = found.served, found.chosen, found.walk
    rows = np.flatnonzero(chosen)
    at = nearest_chosen(task.service, network, door, stops, rows)
    boards = _board_table(task, settings, chosen, at)
    ids = site.layer("households")["household_id"]
    board_id = pd.Series(sites["site_id"].to_numpy(dtype=object)[at.site], dtype="str").where(at.site >= 0)
    remarks = _remarks(task, settings, ids, door, at, served, walk)
    far = stops.edge < 0
    if far.any():
        remarks.append(
            unreachable_doubt(sites, far, layer="board_sites", max_access_m=settings.input.max_access_m)
        )
    if found.by_lamps:
        remarks.append(
            doubt(
                "board-light",
                "boards stand where the new lamps can show them; with more lamps they could serve better",
                layer="board_sites",
                remedy="raise lamps.n_lamps, or set boards.lit_at_night to prefer",
            )
        )
    if task.may.clashing.any():
        remarks.append(
            near_doubt(sites, task.may.clashing, layer="board_sites", apart_m=settings.boards.apart_m)
        )
    return BoardPlan(
        sites=sites,
        boards=boards,
        households=DataFrame({"household_id": ids, "board_id": board_id, "walk_to_board_m": at.walk}),
        figures=_figures(task, settings, chosen, at, served, walk),
        bounds=_bounds(task, served, walk),
        remarks=(*made, *remarks),
    )


def _choose(service: Service, settings: Settings, dark: BoolArray | None) -> _Choice:
    served = most_served(service)
    if settings.boards.goal != "least-walk":
        return _Choice(served, served.chosen, None)
    avoid = dark if settings.boards.lit_at_night == "prefer" else None
    return _Choice(served, *least_walk(service, served, avoid=avoid))


def _for_the_lamps(task: _Task, settings: Settings, found: _Choice) -> _Choice:
    """The choice; where the new lamps can't light it, as many boards that they can, if there are.

    Those are looked for as if each took a lamp of its own; the bounds are of boards that any lamps may light.
    """
    if task.lamps is None:
        return found
    most, alone = task.lamps.most, np.diff(task.lamps.shows.indptr) > 0
    seen = task.lamps.shows[found.chosen & alone]
    if seen.shape[0] <= most:
        return found
    fewest = set_cover(seen, np.ones(seen.shape[0]), effort=settings.work.effort, seed=settings.work.seed)
    if fewest.value <= most:
        return found
    own = Sides.at_most(sparse.csr_array(alone[None].astype(np.float64)), np.array([float(most)]))
    try:
        few = _choose(replace(task.service, sides=task.service.sides.and_(own)), settings, task.dark)
    except InfeasibleError:
        return found
    if few.chosen.sum() < found.chosen.sum():
        return found
    walk = None if few.walk is None or found.walk is None else bounded_by(few.walk, found.walk, sense="min")
    return _Choice(bounded_by(few.served, found.served, sense="max"), few.chosen, walk, by_lamps=True)


def _asked(settings: Settings) -> str:
    """The settings that boards have to keep to besides their number, for messages."""
    boards = settings.boards
    asked = {
        f"boards.apart_m = {boards.apart_m:g}": boards.apart_m > 0,
        "boards.one_per_grid = true": boards.one_per_grid,
        "boards.lit_at_night = require": boards.lit_at_night == "require",
    }
    return ", ".join(each for each, is_set in asked.items() if is_set) or "the settings"


def _task(
    site: Site,
    network: AlleyNetwork,
    settings: Settings,
    sites: GeoDataFrame,
    door: Stops,
    stops: Stops,
    *,
    areas: GeoDataFrame | None,
    lamps: GeoDataFrame | None,
) -> _Task:
    boards = settings.boards
    unusable, dark, new_lamps = stops.edge < 0, None, None
    if boards.lit_at_night != "off" and lamps is not None:
        seen = lamps_in_sight(sites, lamps, site.layer("buildings"), settings)
        dark = np.diff(seen.indptr) == 0
        if boards.lit_at_night == "require":
            unusable = unusable | dark
            new_lamps = _new_lamps(seen, sites["status"], lamps["status"], settings)
    may = standing(sites, unusable, apart_m=boards.apart_m)
    sides = at_most_one(may.near)
    if boards.one_per_grid:
        grid_id = grid_at(sites, areas)
        sides = sides.and_(_one_per_grid(grid_id, ~may.barred, may.existing, boards.n_boards))
    service = Service(
        weight=site.layer("households")["households"].to_numpy(dtype=np.float64),
        walk=way_walks(
            network, door, stops, limit_m=farthest(len(door.edge), len(stops.edge), boards.walk_m)
        ),
        limit=boards.walk_m,
        n=boards.n_boards,
        existing=may.existing,
        required=may.required,
        barred=may.barred,
        sides=sides,
        effort=settings.work.effort,
        seed=settings.work.seed,
    )
    return _Task(sites, service, may, dark, new_lamps)


def _new_lamps(
    seen: sparse.csr_array, boards: pd.Series, lamps: pd.Series, settings: Settings
) -> _NewLamps | None:
    """``boards`` and ``lamps`` are the status of the sites."""
    if settings.lamps.most_lamps is None:
        return None
    sure = lamps.isin(("existing", "required")).to_numpy()
    needs = (boards != "existing").to_numpy() & (np.diff(seen[:, sure].indptr) == 0)
    shows = sparse.csr_array(seen[:, ~sure].multiply(needs[:, None]), dtype=bool)
    shows.eliminate_zeros()
    return _NewLamps(shows, max(0, settings.lamps.most_lamps - int((lamps == "required").sum())))


def _one_per_grid(grid_id: pd.Series, usable: BoolArray, existing: BoolArray, n_boards: int) -> Sides:
    """With as many boards as grids at least one in each that has a site, with fewer no two in one.

    A grid where a board stands already has its one; what stands there is not counted against it.
    """
    known = usable & grid_id.notna().to_numpy()
    names, grid = np.unique(grid_id[known].to_numpy(dtype=np.int64), return_inverse=True)
    n_grids = len(names)
    use = sparse.csr_array(
        (np.ones(int(known.sum())), (grid, np.flatnonzero(known))), shape=(n_grids, len(usable))
    )
    standing_there = np.bincount(grid[existing[known]], minlength=n_grids)
    if n_boards >= int((standing_there == 0).sum()):
        return Sides.at_least(use, np.ones(n_grids))
    return Sides.at_most(use, np.maximum(standing_there, 1.0))


def check_boards(
    sites: GeoDataFrame, settings: Settings, *, may: Standing | None = None, dark: BoolArray | None = None
) -> list[Remark]:
    """Faults of the sites against the settings, which ``plan`` refuses.

    ``may`` and ``dark`` say where a board may stand and where no lamp can be in sight, once that is known.
    """
    may = standing(sites, np.zeros(len(sites), bool), apart_m=settings.boards.apart_m) if may is None else may
    faults = number_faults(sites, may, settings.boards.n_boards, layer="board_sites")
    if (
        dark is not None
        and settings.boards.lit_at_night == "require"
        and (unlit := may.required & dark).any()
    ):
        text = (
            f"boards.lit_at_night is require but {int(unlit.sum())} required sites can have no lamp in sight"
        )
        ids, remedy = sites["site_id"][unlit], "add lamp sites there, or require fewer"
        faults.append(fault("board-dark", text, layer="board_sites", ids=ids, remedy=remedy))
    return faults


def _board_table(task: _Task, settings: Settings, chosen: BoolArray, at: Walked) -> GeoDataFrame:
    """The boards, named from north to south and west to east."""
    rows = np.flatnonzero(chosen)
    rows = rows[geographic_order(shapely.get_coordinates(task.sites.geometry.to_numpy()[rows]))]
    boards = task.sites.iloc[rows].reset_index(drop=True)
    xy = shapely.get_coordinates(boards.geometry.to_numpy())
    near = np.flatnonzero(at.walk <= settings.boards.walk_m)
    served = np.bincount(at.site[near], task.service.weight[near], minlength=len(chosen))[rows]
    rank = ranks(task.service, chosen)[rows]
    empty = pd.Series([None] * len(boards), dtype="str")
    digits = max(2, len(str(len(boards))))
    return boards.assign(
        board_code=pd.Series([f"B{j:0{digits}d}" for j in range(1, len(boards) + 1)], dtype="str"),
        rank=pd.Series(rank, dtype="Int64").where(rank > 0),
        households_served=pd.Series(served.astype(np.int64), dtype="Int64"),
        keeper_role=empty,
        quarter=empty,
        x=xy[:, 0],
        y=xy[:, 1],
    )


def _figures(
    task: _Task,
    settings: Settings,
    chosen: BoolArray,
    at: Walked,
    served: Solution,
    walk: Solution | None,
) -> dict[str, Any]:
    reached = at.site >= 0
    near = float(task.service.weight[at.walk <= settings.boards.walk_m].sum())
    total_m = float(task.service.weight[reached] @ at.walk[reached])
    n_reached = float(task.service.weight[reached].sum())
    if walk is None:
        bound_m, gap, by = None, gap_between(near, served.bound, sense="max"), served.bound_by
    elif walk.gap == 0 and bool((chosen == walk.chosen).all()):
        bound_m, gap, by = total_m, 0.0, walk.bound_by
    else:
        could = np.diff(task.service.walk.indptr) > 0
        unreached = float(task.service.weight[could & ~reached].sum())
        bound_m = min(walk.bound - unreached * task.service.unreached, total_m)
        gap, by = gap_between(total_m, bound_m, sense="min"), walk.bound_by
    return {
        "n_chosen": int((chosen & ~task.service.existing).sum()),
        "households_served": round(near),
        "share_served": near / float(task.service.weight.sum()),
        "total_walk_m": total_m,
        "walk_mean_m": total_m / n_reached if n_reached else None,
        "walk_max_m": float(at.walk[reached].max()) if n_reached else None,
        "bound_household_m": bound_m,
        "gap": gap,
        "bound_by": by,
        "bound_served": round(served.bound - 0.5 + 1e-6) if served.gap else round(near),
        "n_lit_at_night": None,  # known when the lamps are
    }


def _bounds(task: _Task, served: Solution, walk: Solution | None) -> dict[str, NDArray[Any]]:
    """Prices per household row: of step 1, and of the walk and of being beyond ``walk_m``."""
    found = {"boards_served_price": served.duals}
    if walk is None:
        return found
    price_m = np.full(len(task.service.weight), np.nan)
    price_m[np.diff(task.service.walk.indptr) > 0] = walk.duals[:-1]
    return found | {"boards_price_m": price_m, "boards_far_price_m": walk.duals[-1:]}


def _remarks(
    task: _Task,
    settings: Settings,
    ids: pd.Series,
    door: Stops,
    at: Walked,
    served: Solution,
    walk: Solution | None,
) -> list[Remark]:
    remarks = []
    walk_m = settings.boards.walk_m
    far = (at.walk > walk_m) & (door.edge >= 0)
    could = np.diff(within(task.service.walk, walk_m)[:, ~task.service.barred].indptr) > 0
    if far.any():
        remarks.append(
            doubt(
                "board-far",
                f"{int(far.sum())} household rows walk more than {walk_m:g} m to the nearest board: "
                f"{int((far & ~could).sum())} have no site within it, {int((far & could).sum())} have one, "
                "but other sites serve more or spare more walking",
                layer="households",
                ids=ids[far],
                remedy="allow more boards or add board sites near them",
            )
        )
    alone = (at.site < 0) & (door.edge >= 0)
    if alone.any():
        remarks.append(
            doubt(
                "board-unreachable",
                f"{int(alone.sum())} household rows can reach no board along the alleys",
                layer="households",
                ids=ids[alone],
                remedy="their alleys are cut off: check the alley layer, or add board sites there",
            )
        )
    if served.stopped or (walk is not None and walk.stopped):
        remarks.append(
            doubt("not-reproducible", "the boards' search was stopped by the clock", layer="boards")
        )
    return remarks
