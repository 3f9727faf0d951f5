"""The roster of grids: who and how many live there, how far they walk, which codes they bear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from spatial.errors import Remark, note
from spatial.grids.numbering import Names
from spatial.grids.problem import Partition, pieces
from spatial.grids.units import PEOPLE, Units
from spatial.network import AlleyNetwork, Stops, Walks, walks
from spatial.settings import Settings

__all__ = [
    "Meetings",
    "Rivals",
    "figures",
    "group_names",
    "meeting_notes",
    "meetings",
    "people_sums",
    "roster",
]

LEADER_ROLE = "网格长"


@dataclass(frozen=True)
class Meetings:
    """Where each grid meets, and the walk of each row of the search there."""

    medoid: NDArray[np.int64]  # (K,) row of the search with the least total walk
    door: NDArray[np.int64]  # (K,) row of the search whose door is the meeting point
    to_medoid_m: NDArray[np.float64]  # (n,) between stops, without offsets
    to_stop_m: NDArray[np.float64]  # (n,) the same to the stop of the meeting door
    to_door_m: NDArray[np.float64]  # (n,) door to door: offset, way, offset; 0 at the meeting door itself


def meetings(
    network: AlleyNetwork,
    stops: Stops,
    near: Walks,
    grid: NDArray[np.int64],
    weight: NDArray[np.int64],
    *,
    row: NDArray[np.int64],
    may_host: NDArray[np.bool_],
) -> Meetings:
    """The weighted medoid of each grid, from complete walks between its rows.

    The medoid is the row with the least sum of households × walk over the grid's rows, ties to the
    lowest row. The meeting door is the medoid, or the best row in the same sense among those that
    ``may_host``, where the grid has such rows.

    Parameters
    ----------
    near : Walks
        Walks within a radius; grids with a pair beyond it are measured anew.
    grid, weight, row : int64, shape (n,)
        Grid 0…K−1, households and household row of each row of the search.
    may_host : bool, shape (n,)
        Rows that may be the meeting point.
    """
    n_grids = int(grid.max()) + 1
    source, target, walk_m = _inside_grids(near.indptr, near.indices, near.distance_m, grid)
    size = np.bincount(grid, minlength=n_grids)
    partial = np.flatnonzero(np.bincount(grid[source], minlength=n_grids) < size**2)
    found = [
        (source, target, walk_m),
        *(_all_walks(network, stops, np.flatnonzero(grid == g)) for g in partial),
    ]
    kept = ~np.isin(grid[source], partial)
    found[0] = (source[kept], target[kept], walk_m[kept])
    source, target, walk_m = (np.concatenate(each) for each in zip(*found, strict=True))
    total = np.bincount(source, weight[target] * walk_m, minlength=len(grid)).astype(np.float64).round(6)
    medoid, door = _least(total, grid, np.zeros_like(may_host)), _least(total, grid, ~may_host)
    to_medoid, to_stop = np.zeros(len(grid)), np.zeros(len(grid))
    at_medoid, at_door = source == medoid[grid[target]], source == door[grid[target]]
    to_medoid[target[at_medoid]] = walk_m[at_medoid]
    to_stop[target[at_door]] = walk_m[at_door]
    host = door[grid]
    to_door = np.where(row == row[host], 0.0, to_stop + stops.offset_m + stops.offset_m[host])
    return Meetings(medoid, door, to_medoid, to_stop, to_door)


@dataclass(frozen=True)
class Rivals:
    """What the grids are compared with, from complete walks. [household-metres]"""

    objective_plain_m: float
    walk_free_m: float | None


def roster(
    units: Units,
    grid: NDArray[np.int64],
    met: Meetings,
    areas: NDArray[np.object_],
    branch_id: NDArray[np.int64],
    worker_id: NDArray[np.int64],
    faults: Sequence[str],
    names: Names,
) -> pd.DataFrame:
    """One row per grid with the columns of the plan layer ``grids``.

    People are the sums over the grid's households; null where no household of the community has
    the figure. ``walk_mean_m`` (weighted by households) and ``walk_max_m`` are door to meeting
    door, of the served. ``main_group`` is the group with most households, of equal ones the first
    by name.

    Parameters
    ----------
    grid : int64, shape (len(units.table),)
        Grid 0…K−1 of each row of the table.
    faults : sequence of str, length K
        What is wrong with each grid; empty where nothing is.
    """
    n_grids = len(areas)
    table = units.table
    households = table["households"].to_numpy(dtype=np.int64)
    frame = pd.DataFrame({"grid_id": names.grid_id, "code": names.code, "name": names.name})
    frame["kind"] = "ordinary"
    frame["branch_id"], frame["worker_id"] = branch_id, worker_id
    frame["households"] = np.bincount(grid, households, minlength=n_grids).astype(np.int64)
    for name in PEOPLE:
        frame[name] = people_sums(table[name], grid, n_grids)
    frame["groups"], frame["main_group"] = group_names(table["group"], households, grid, n_grids)
    served = units.served
    own, g = households[served], grid[served]
    walked = np.bincount(g, own * met.to_door_m, minlength=n_grids)
    frame["walk_mean_m"] = walked / np.bincount(g, own, minlength=n_grids)
    farthest = np.zeros(n_grids)
    np.maximum.at(farthest, g, met.to_door_m)
    frame["walk_max_m"] = farthest
    frame["meeting_household_id"] = table["household_id"].to_numpy()[served[met.door]]
    frame["leader_role"] = LEADER_ROLE
    frame["fault"] = pd.array([each or None for each in faults], dtype="str")
    return frame


def figures(
    units: Units,
    grid: NDArray[np.int64],
    met: Meetings,
    answer: Partition,
    rivals: Rivals,
    touching: tuple[NDArray[np.int64], NDArray[np.int64]],
    settings: Settings,
) -> dict[str, Any]:
    """The section ``grids`` of the summary.

    n, min, mean, max
        Number of grids; households of a grid, far ones included.
    contiguous_share, feasible_share
        Share of grids that are in one piece (served rows, along the alleys); of those that are and
        hold min_households to max_households.
    objective_m
        Sum of ``walk`` and ``group_cost_m``. Walk: households × network distance between their stop
        and the stop of the grid's medoid, offsets left out. A far household counts as if it lived
        at the door, and in the group, of the served row it rides with.
    group_cost_m
        grids.group_cost_m for each household that has a group but not the main one of its grid.
    walk_mean_m, walk_max_m
        Mean and greatest of ``walk_to_meeting_m`` over served households, door to the meeting door that is
        shown, offsets included.
    meeting_walk_m
        As the walk of the objective, but to the stop of that meeting door; the two are equal unless
        ``meeting_at`` keeps the meeting from the medoid.
    n_without_party, n_under_3_party
        Grids without a party member, and those with fewer than three, the former among them; null where
        no household has the figure.
    bound_m, gap, bound_by
        Proven lower bound of the objective at these numbers of grids; (objective − bound) / bound.
    groups_split
        Village groups of min_households to max_households whose served rows are in one piece and that
        are not one grid; households without a group may be in it.
    mixing_share, outside_share
        Share of grids with households of more than one group; those without a group don't count. Share of
        households that have a group but not the main one of their grid, counted as in ``group_cost_m``.
    groups_walk_m
        What village groups cost: the walk of the objective, less that of the best grids found that ignore
        groups, as many in each connected part, with less work. Null where groups have no say, or where an
        earlier plan is kept.
    n_plain, objective_plain_m
        Number of grids when no group is kept whole on purpose, and the best objective found at it.
    parts
        For each connected part its households (far ones included), grids and state.
    """
    low, high = settings.grids.min_households, settings.grids.max_households
    households = units.table["households"].to_numpy(dtype=np.int64)
    size = np.bincount(grid, households)
    whole = _in_one_piece(grid[units.served], touching, len(size))
    walk_m = float((units.weight * met.to_medoid_m).sum())
    objective_m = walk_m + answer.group_cost_m
    # Equal sums differ by their order of adding up; a gap of 0 is a proof.
    proved = math.isclose(answer.bound_m, objective_m, rel_tol=1e-9)
    bound_m = objective_m if proved else answer.bound_m
    own = households[units.served]
    part_households = np.bincount(answer.part, units.weight)
    return {
        "n": len(size),
        "min": int(size.min()),
        "mean": float(size.mean()),
        "max": int(size.max()),
        "feasible_share": float((whole & (size >= low) & (size <= high)).mean()),
        "contiguous_share": float(whole.mean()),
        "objective_m": objective_m,
        "walk_mean_m": float((own * met.to_door_m).sum() / own.sum()),
        "walk_max_m": float(met.to_door_m.max()),
        "meeting_walk_m": float((units.weight * met.to_stop_m).sum()),
        "group_cost_m": answer.group_cost_m,
        "bound_m": bound_m,
        "gap": (objective_m - bound_m) / bound_m if bound_m > 0 else None,
        "bound_by": answer.bound_by,
        **_mixing(units, grid, touching, settings),
        **_party(units, grid, len(size)),
        "outside_share": answer.outside / int(households.sum()),
        "groups_walk_m": None if rivals.walk_free_m is None else max(0.0, walk_m - rivals.walk_free_m),
        "n_plain": int(answer.plain.max()) + 1,
        "objective_plain_m": rivals.objective_plain_m,
        "parts": [
            {"part": at + 1, "households": int(part_households[at]), "k": int(k), "state": state}
            for at, (k, state) in enumerate(zip(answer.part_grids, answer.state, strict=True))
        ],
    }


def meeting_notes(units: Units, met: Meetings, settings: Settings) -> list[Remark]:
    """Where meetings are held to party households: what that costs beside the objective, where none is."""
    if settings.grids.meeting_at == "any":
        return []
    table = units.table.iloc[units.served]
    hosts = (table["party_members"].iloc[met.door].fillna(0) > 0).to_numpy(dtype=bool)
    least_m, walk_m = (float((units.weight * each).sum()) for each in (met.to_medoid_m, met.to_stop_m))
    moved = int((met.door != met.medoid).sum())
    text = (
        f"grids.meeting_at = party_household: {moved} of {len(hosts)} grids meet elsewhere than where their "
        f"walk is least; the walk there is {walk_m:.0f} household-metres, {walk_m - least_m:.0f} more than "
        "the least, which is what the objective and its bound count. Walks of grids and households are "
        "those to the meeting door shown"
    )
    if not hosts.all():
        text += f". {int((~hosts).sum())} grids have no party household near an alley and meet at any door"
    return [note("meeting-at-party-household", text, layer="grids", column="meeting_household_id")]


def _party(units: Units, grid: NDArray[np.int64], n_grids: int) -> dict[str, int | None]:
    members = people_sums(units.table["party_members"], grid, n_grids)
    if members.isna().any():
        return {"n_without_party": None, "n_under_3_party": None}
    return {"n_without_party": int((members == 0).sum()), "n_under_3_party": int((members < 3).sum())}


@njit(cache=True, nogil=True)
def _inside_grids(indptr, indices, walk_m, grid):  # type: ignore[no-untyped-def]
    """Pairs of near rows of one grid and the walk between them, without a copy of all pairs."""
    n = 0
    for row in range(len(grid)):
        for at in range(indptr[row], indptr[row + 1]):
            n += grid[indices[at]] == grid[row]
    source, target, walked_m = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n)
    n = 0
    for row in range(len(grid)):
        for at in range(indptr[row], indptr[row + 1]):
            if grid[indices[at]] == grid[row]:
                source[n], target[n], walked_m[n] = row, indices[at], walk_m[at]
                n += 1
    return source, target, walked_m


def _all_walks(
    network: AlleyNetwork, stops: Stops, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    own = stops.take(rows)
    walk = walks(network, own, own)
    return np.repeat(rows, np.diff(walk.indptr)), rows[walk.indices], walk.distance_m


def _least(
    total: NDArray[np.float64], grid: NDArray[np.int64], barred: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The row of each grid with the least total, barred rows only where there is no other."""
    order = np.lexsort((np.arange(len(grid)), total, barred, grid))
    return order[np.searchsorted(grid[order], np.arange(grid.max() + 1))]


def people_sums(people: pd.Series, grid: NDArray[np.int64], n_grids: int) -> pd.Series:
    """People of each grid, rows of grid −1 left out; null where no household has the figure."""
    if people.isna().all():
        return pd.Series(pd.NA, index=range(n_grids), dtype="Int64")
    known, inside = people.fillna(0).to_numpy(dtype=np.int64), grid >= 0
    sums = np.bincount(grid[inside], known[inside], minlength=n_grids)
    return pd.Series(sums.astype(np.int64), dtype="Int64")


def group_names(
    group: pd.Series, households: NDArray[np.int64], grid: NDArray[np.int64], n_grids: int
) -> tuple[pd.Series, pd.Series]:
    """All groups of each grid in sorted order, joined; and the one with most households."""
    rows = pd.DataFrame({"grid": grid, "group": group.array, "households": households}).dropna()
    count = rows.groupby(["grid", "group"], as_index=False)["households"].sum()
    count = count.sort_values(["grid", "group"])
    names = count.groupby("grid")["group"].agg("、".join)
    most = count.sort_values(["grid", "households", "group"], ascending=[True, False, True])
    most = most.drop_duplicates("grid").set_index("grid")["group"]
    return names.reindex(range(n_grids)).astype("str"), most.reindex(range(n_grids)).astype("str")


def _in_one_piece(
    label: NDArray[np.int64], touching: tuple[NDArray[np.int64], NDArray[np.int64]], n: int
) -> NDArray[np.bool_]:
    """For labels 0…n−1: whether the rows that bear it are in one piece."""
    piece = pieces(*touching, label)
    known = label >= 0
    pairs = np.unique(np.column_stack([label[known], piece[known]]), axis=0)
    return np.bincount(pairs[:, 0], minlength=n) == 1


def _mixing(
    units: Units,
    grid: NDArray[np.int64],
    touching: tuple[NDArray[np.int64], NDArray[np.int64]],
    settings: Settings,
) -> dict[str, Any]:
    group, names = pd.factorize(units.table["group"], sort=True)
    known, n_groups = group >= 0, len(names)
    pairs = np.unique(np.column_stack([grid[known], group[known]]), axis=0)
    n_grids = int(grid.max()) + 1
    groups_here = np.bincount(pairs[:, 0], minlength=n_grids)
    households = units.table["households"].to_numpy(dtype=np.int64)
    size = np.bincount(group[known], households[known], minlength=n_groups)
    fits = (size >= settings.grids.min_households) & (size <= settings.grids.max_households)
    fits &= _in_one_piece(group[units.served], touching, n_groups)
    # A group is one grid when it meets one grid only and that grid meets no other group.
    grids_of = np.bincount(pairs[:, 1], minlength=n_groups)
    home = np.zeros(n_groups, dtype=np.int64)
    home[pairs[:, 1]] = pairs[:, 0]
    is_grid = (grids_of == 1) & (groups_here[home] == 1)
    return {"groups_split": int((fits & ~is_grid).sum()), "mixing_share": float((groups_here > 1).mean())}
