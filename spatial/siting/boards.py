"""Notice boards: first the most households within walking distance, then the least total walk.

A walk is the way from the door to the board: both offsets from the centre-line and the network
distance between. It is counted once per household of a row.
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

from spatial.errors import DataError, Remark, doubt, first_ids
from spatial.load import Site
from spatial.network import AlleyNetwork, Stops, doors, snap_points, walks
from spatial.settings import Settings
from spatial.siting.candidates import candidate_sites, geographic_order, unreachable_doubt
from spatial.solve import Solution, cover_limits, gap_between, max_cover, p_median, within

__all__ = ["BoardPlan", "plan_boards"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

PAIRS = 20_000_000  # door and site; with more, walks end at some multiple of walk_m
FAR_TIMES = 6.0
LAGRANGIAN = "Lagrangian"


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
    households: FloatArray  # per row
    walk_m: sparse.csr_array  # rows × sites, zeros stored
    limit_m: float  # pairs farther apart are not in walk_m
    existing: BoolArray
    required: BoolArray
    barred: BoolArray


@dataclass(frozen=True)
class _Walked:
    """Who walks where."""

    board: IntArray  # row of the nearest board's site; −1 none can be reached
    walk_m: FloatArray  # NaN where none


def plan_boards(site: Site, network: AlleyNetwork, settings: Settings) -> BoardPlan:
    """Choose board sites and say who walks how far.

    Parameters
    ----------
    site : Site
        Layers ``households`` and ``board_sites`` (made along the alleys where empty).
    network : AlleyNetwork
    settings : Settings
        Section ``boards``. ``n_boards`` counts new boards, required ones included.

    Returns
    -------
    BoardPlan
        ``total_walk_m`` adds up all households that some board can be reached from; its bound holds for
        every choice that serves as many within ``walk_m`` and leaves no more without any board.

    Raises
    ------
    DataError
        More sites are required than ``n_boards``, fewer can be used, or a setting is not built yet.
    """
    _refuse_unbuilt(settings)
    sites, made = candidate_sites(site, network, settings, layer="board_sites")
    door = doors(site, network, settings)
    stops = snap_points(
        network,
        sites.geometry.to_numpy(),
        max_access_m=settings.input.max_access_m,
        barriers=site.layer("barriers"),
    )
    task = _task(site, network, settings, sites, door, stops)
    _check_numbers(task, settings)
    served = _most_served(task, settings)
    chosen, walk = _least_walk(task, settings, served)
    at = _nearest(network, door, stops, chosen)
    boards = _board_table(task, settings, chosen, at)
    ids = site.layer("households")["household_id"]
    board_id = pd.Series(sites["site_id"].to_numpy(dtype=object)[at.board], dtype="str").where(at.board >= 0)
    remarks = _remarks(settings, ids, door, at, served, walk)
    far = stops.edge < 0
    if far.any():
        remarks.append(
            unreachable_doubt(sites, far, layer="board_sites", max_access_m=settings.input.max_access_m)
        )
    return BoardPlan(
        sites=sites,
        boards=boards,
        households=DataFrame({"household_id": ids, "board_id": board_id, "walk_to_board_m": at.walk_m}),
        figures=_figures(task, settings, chosen, at, served, walk),
        bounds=_bounds(task, served, walk),
        remarks=(*made, *remarks),
    )


def _refuse_unbuilt(settings: Settings) -> None:
    usual = {"one_per_grid": False, "apart_m": 0.0, "lit_at_night": "off"}
    faults = [
        f"boards.{key} = {_toml(getattr(settings.boards, key))} is not built yet; use {_toml(value)}"
        for key, value in usual.items()
        if getattr(settings.boards, key) != value
    ]
    if faults:
        raise DataError("the board settings can't be planned", faults)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _task(
    site: Site, network: AlleyNetwork, settings: Settings, sites: GeoDataFrame, door: Stops, stops: Stops
) -> _Task:
    many = len(door.edge) * len(stops.edge) > PAIRS
    limit_m = FAR_TIMES * settings.boards.walk_m if many else np.inf
    status = sites["status"].to_numpy(dtype=object)
    return _Task(
        sites=sites,
        households=site.layer("households")["households"].to_numpy(dtype=np.float64),
        walk_m=_walks_m(network, door, stops, limit_m=limit_m),
        limit_m=limit_m,
        existing=status == "existing",
        required=status == "required",
        barred=(status == "forbidden") | ((stops.edge < 0) & (status == "candidate")),
    )


def _walks_m(network: AlleyNetwork, door: Stops, stops: Stops, *, limit_m: float) -> sparse.csr_array:
    """Walks from door to board, offsets included."""
    found = walks(network, door, stops, limit_m=limit_m)
    row = np.repeat(np.arange(len(door.edge)), np.diff(found.indptr))
    walk_m = found.distance_m + door.offset_m[row] + stops.offset_m[found.indices]
    return sparse.csr_array((walk_m, found.indices, found.indptr), shape=(len(door.edge), len(stops.edge)))


def _check_numbers(task: _Task, settings: Settings) -> None:
    n, ids = settings.boards.n_boards, task.sites["site_id"]
    n_required = int(task.required.sum())
    n_usable = int((~task.existing & ~task.barred).sum())
    faults = []
    if n_required > n:
        faults.append(
            f"boards.n_boards is {n} but {n_required} sites are required ({first_ids(ids[task.required])}); "
            "allow more boards or require fewer"
        )
    if n_usable < n:
        faults.append(
            f"boards.n_boards is {n} but only {n_usable} sites can take a new board; "
            "lower n_boards, add board sites, or let them be made closer (sites.spacing_m)"
        )
    if faults:
        raise DataError("the boards can't be planned", faults)


def _most_served(task: _Task, settings: Settings) -> Solution:
    """Step 1: the most households within ``walk_m``."""
    return max_cover(
        within(task.walk_m, settings.boards.walk_m),
        task.households,
        n=settings.boards.n_boards - int(task.required.sum()),
        fixed=task.existing | task.required,
        barred=task.barred,
        effort=settings.work.effort,
        seed=settings.work.seed,
    )


def _least_walk(task: _Task, settings: Settings, served: Solution) -> tuple[BoolArray, Solution | None]:
    """Step 2: the least walk of all who can reach a site, with as many served as step 1 found."""
    if settings.boards.goal == "most-served":
        return served.chosen, None
    reached = np.flatnonzero(np.diff(task.walk_m.indptr))
    if not len(reached):
        return served.chosen, None
    fixed, n = task.existing | task.required, settings.boards.n_boards - int(task.required.sum())
    sure, never = cover_limits(
        within(task.walk_m, settings.boards.walk_m),
        task.households,
        served.duals,
        n=n,
        least=served.value,
        fixed=fixed,
        barred=task.barred,
    )
    walk = p_median(
        task.walk_m[reached],
        task.households[reached],
        n=n - int((sure & ~fixed).sum()),
        unreached=_unreached_m(task, settings),
        fixed=sure,
        barred=never,
        cap=settings.boards.walk_m,
        least_served=served.value,
        start=served.chosen,
        effort=settings.work.effort,
        seed=settings.work.seed,
    )
    ruled_out = int((never & ~task.barred).sum() + (sure & ~fixed).sum())
    if ruled_out and walk.bound_by == LAGRANGIAN:
        walk = replace(walk, bound_by=f"{LAGRANGIAN}, {ruled_out} sites settled by those served")
    return walk.chosen, walk


def _unreached_m(task: _Task, settings: Settings) -> float:
    """What a household counts that can reach no board: the longest walk there is."""
    longest_m = float(task.walk_m.data.max(initial=0.0))
    return max(longest_m, np.nextafter(settings.boards.walk_m, np.inf))


def _nearest(network: AlleyNetwork, door: Stops, stops: Stops, chosen: BoolArray) -> _Walked:
    """The nearest board of each door, of equally near ones the first."""
    rows = np.flatnonzero(chosen)
    walk_m = _walks_m(network, door, stops.take(rows), limit_m=np.inf)
    row = np.repeat(np.arange(len(door.edge)), np.diff(walk_m.indptr))
    order = np.lexsort((walk_m.indices, walk_m.data, row))
    reached, first = np.unique(row[order], return_index=True)
    board = np.full(len(door.edge), -1, dtype=np.int64)
    nearest_m = np.full(len(door.edge), np.nan)
    board[reached] = rows[walk_m.indices[order][first]]
    nearest_m[reached] = walk_m.data[order][first]
    return _Walked(board, nearest_m)


def _board_table(task: _Task, settings: Settings, chosen: BoolArray, at: _Walked) -> GeoDataFrame:
    """The boards, named from north to south and west to east."""
    rows = np.flatnonzero(chosen)
    rows = rows[geographic_order(shapely.get_coordinates(task.sites.geometry.to_numpy()[rows]))]
    boards = task.sites.iloc[rows].reset_index(drop=True)
    xy = shapely.get_coordinates(boards.geometry.to_numpy())
    near = np.flatnonzero(at.walk_m <= settings.boards.walk_m)
    served = np.bincount(at.board[near], task.households[near], minlength=len(chosen))[rows]
    rank = _rank(task, chosen)[rows]
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


def _rank(task: _Task, chosen: BoolArray) -> IntArray:
    """Order of installation of the new boards: the one that saves the most walking goes next."""
    longest_m = float(task.walk_m.data.max(initial=0.0))
    rank = np.zeros(len(chosen), dtype=np.int64)
    by_site = task.walk_m.tocsc()
    walk_m = np.full(len(task.households), longest_m)

    def shorter(site: int) -> tuple[IntArray, FloatArray]:
        span = slice(by_site.indptr[site], by_site.indptr[site + 1])
        rows = by_site.indices[span]
        return rows, np.minimum(walk_m[rows], by_site.data[span])

    for site in np.flatnonzero(chosen & task.existing).tolist():
        rows, less = shorter(site)
        walk_m[rows] = less
    left = np.flatnonzero(chosen & ~task.existing).tolist()
    while left:
        saved = [float(task.households[rows] @ (walk_m[rows] - less)) for rows, less in map(shorter, left)]
        site = left.pop(int(np.argmax(saved)))
        rows, less = shorter(site)
        walk_m[rows] = less
        rank[site] = rank.max() + 1
    return rank


def _figures(
    task: _Task,
    settings: Settings,
    chosen: BoolArray,
    at: _Walked,
    served: Solution,
    walk: Solution | None,
) -> dict[str, Any]:
    reached = at.board >= 0
    within = float(task.households[at.walk_m <= settings.boards.walk_m].sum())
    total_m = float(task.households[reached] @ at.walk_m[reached])
    n_reached = float(task.households[reached].sum())
    if walk is None:
        bound_m, gap, by = None, gap_between(within, served.bound, sense="max"), served.bound_by
    elif walk.gap == 0:
        bound_m, gap, by = total_m, 0.0, walk.bound_by
    else:
        could = np.diff(task.walk_m.indptr) > 0
        unreached = float(task.households[could & ~reached].sum())
        bound_m = min(walk.bound - unreached * _unreached_m(task, settings), total_m)
        gap, by = gap_between(total_m, bound_m, sense="min"), walk.bound_by
    return {
        "n_chosen": int((chosen & ~task.existing).sum()),
        "households_served": round(within),
        "share_served": within / float(task.households.sum()),
        "total_walk_m": total_m,
        "walk_mean_m": total_m / n_reached if n_reached else None,
        "walk_max_m": float(at.walk_m[reached].max()) if n_reached else None,
        "bound_household_m": bound_m,
        "gap": gap,
        "bound_by": by,
        "bound_served": round(served.bound - 0.5 + 1e-6) if served.gap else round(within),
    }


def _bounds(task: _Task, served: Solution, walk: Solution | None) -> dict[str, NDArray[Any]]:
    """Prices per household row: of the walk, of being beyond ``walk_m``, and of step 1."""
    if walk is None or not walk.bound_by.startswith(LAGRANGIAN):
        return {}
    price_m = np.full(len(task.households), np.nan)
    price_m[np.diff(task.walk_m.indptr) > 0] = walk.duals[:-1]
    return {
        "boards_price_m": price_m,
        "boards_far_price_m": walk.duals[-1:],
        "boards_served_price": served.duals,
    }


def _remarks(
    settings: Settings, ids: pd.Series, door: Stops, at: _Walked, served: Solution, walk: Solution | None
) -> list[Remark]:
    remarks = []
    walk_m = settings.boards.walk_m
    far = (at.walk_m > walk_m) & (door.edge >= 0)
    if far.any():
        remarks.append(
            doubt(
                "board-far",
                f"{int(far.sum())} household rows walk more than {walk_m:g} m to the nearest board",
                layer="households",
                ids=ids[far],
                remedy="allow more boards or add board sites near them",
            )
        )
    alone = (at.board < 0) & (door.edge >= 0)
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
