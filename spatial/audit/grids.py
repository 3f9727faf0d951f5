"""Grids recounted: sizes, pieces, walks and meeting points, group costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame
from scipy import sparse
from scipy.sparse import csgraph

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, RELATIVE, column_differs, figures_differ, rows_that
from spatial.audit.roster import PEOPLE, Roster
from spatial.audit.ways import ground_of
from spatial.errors import Remark, fault

__all__ = [
    "GridCount",
    "count_grids",
    "grid_faults",
    "least_walk_m",
    "outside_main_group",
    "sound_grids",
]

FIRST_LOOK_M = 250.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class GridCount:
    """What was recounted of each of K grids, and of each of n rows."""

    households: Ints  # (K,)
    whole: Bools  # (K,) in one piece
    meeting: Ints  # (K,) row of the meeting household, −1 where it is no served one of the grid
    least_m: Floats  # (K,) least total of households × walk to a door of its own, between stops
    meeting_m: Floats  # (K,) total of households × walk to the meeting door, between stops
    longer_m: Floats  # (K,) by how much the meeting door's total is above the least it could be
    walk_m: Floats  # (n,) door to meeting door, offsets included; NaN where far

    def fits(self, low: int, high: int) -> Bools:
        """Grids with as many households as the limits allow."""
        return (self.households >= low) & (self.households <= high)


def count_grids(book: Book, roster: Roster) -> GridCount:
    """Recount sizes, pieces and walks of every grid."""
    k = roster.n_grids
    meeting, may_host = _meeting_rows(book, roster), _may_host(book, roster)
    least_m, meeting_m, longer_m = (np.full(k, np.nan) for _ in range(3))
    walk_m = np.full(roster.grid.size, np.nan)
    for g, rows, apart_m in _walks_within(roster):
        total_m = apart_m @ roster.weight[rows]
        least_m[g] = total_m.min()
        if meeting[g] < 0:
            continue
        here = int(np.flatnonzero(rows == meeting[g])[0])
        meeting_m[g] = total_m[here]
        hosts = may_host[rows] if may_host[rows].any() else np.ones(rows.size, bool)
        longer_m[g] = total_m[here] - total_m[hosts].min() if hosts[here] else np.inf
        offset_m = roster.stops.offset_m[rows] + roster.stops.offset_m[meeting[g]]
        at_home = roster.row[rows] == roster.row[meeting[g]]
        walk_m[rows] = np.where(at_home, 0.0, apart_m[here] + offset_m)
    return GridCount(
        np.bincount(roster.grid, roster.households, minlength=k).astype(np.int64),
        _in_one_piece(roster, roster.grid, k),
        meeting,
        least_m,
        meeting_m,
        longer_m,
        walk_m,
    )


def least_walk_m(roster: Roster) -> float:
    """Households × walk to the best door of their grid, all grids together. [household-metres]"""
    return float(sum((apart_m @ roster.weight[rows]).min() for _, rows, apart_m in _walks_within(roster)))


def sound_grids(roster: Roster, low: int, high: int) -> Bools:
    """Grids of as many households as the limits allow, in one piece."""
    size = np.bincount(roster.grid, roster.households, minlength=roster.n_grids)
    return (size >= low) & (size <= high) & _in_one_piece(roster, roster.grid, roster.n_grids)


def grid_faults(book: Book, roster: Roster, count: GridCount) -> tuple[list[Remark], dict[str, Any]]:
    """Every figure of the grids' part that differs from the recount, and the figures recounted."""
    figures = _figures(book, roster, count)
    said = book.summary["grids"]
    remarks = [
        *_layer_faults(book, roster, count),
        *figures_differ("grids", said, figures),
        *_parts_faults(book, roster, count),
        *_group_notes(book, roster),
    ]
    return remarks, figures


def _walks_within(roster: Roster) -> Iterator[tuple[int, Ints, Floats]]:
    """Each grid with served rows, these rows, and the walks between them. [m]"""
    matrix, served = roster.ways.matrix(), np.flatnonzero(roster.served)
    order = served[np.argsort(roster.grid[served], kind="stable")]
    bounds = np.searchsorted(roster.grid[order], np.arange(1, roster.n_grids))
    for g, rows in enumerate(np.split(order, bounds)):
        if rows.size:
            yield g, rows, _walks_among(matrix, roster.vertex[rows])


def _walks_among(matrix: sparse.csr_array, vertex: Ints) -> Floats:
    """Walks between some vertices, shape (m, m); infinite where no way joins them. [m]

    No shortest way between two of them leaves the circle around the first that is twice as wide as
    the farthest of them is away, so only that circle is searched.
    """
    limit_m, everything_m = FIRST_LOOK_M, float(matrix.sum())
    while True:
        from_first_m = csgraph.dijkstra(matrix, directed=False, indices=vertex[0], limit=limit_m)
        farthest_m = from_first_m[vertex].max()
        if 2 * farthest_m <= limit_m or limit_m > everything_m:
            break
        limit_m *= 2
    if np.isinf(farthest_m):
        return csgraph.dijkstra(matrix, directed=False, indices=vertex)[:, vertex]
    inside = np.flatnonzero(np.isfinite(from_first_m))
    at = np.searchsorted(inside, vertex)
    return csgraph.dijkstra(matrix[inside][:, inside], directed=False, indices=at)[:, at]


def _meeting_rows(book: Book, roster: Roster) -> Ints:
    """Row of each grid's meeting household: served and its own, of several parts the first; else −1."""
    said = book.layers["grids"]["meeting_household_id"].to_numpy(object)
    rows = DataFrame(
        {"grid": roster.grid, "name": roster.table["household_id"], "row": np.arange(roster.grid.size)}
    )
    rows = rows[roster.served].drop_duplicates(["grid", "name"]).set_index(["grid", "name"])["row"]
    wanted = pd.MultiIndex.from_arrays([np.arange(roster.n_grids), said], names=["grid", "name"])
    return rows.reindex(wanted).fillna(-1).to_numpy(np.int64)


def _may_host(book: Book, roster: Roster) -> Bools:
    if book.settings.grids.meeting_at == "any":
        return np.ones(roster.grid.size, bool)
    return (roster.table["party_members"].fillna(0) > 0).to_numpy(bool)


def _in_one_piece(roster: Roster, label: Ints, n: int) -> Bools:
    """Whether the ground of each label 0…n−1 is connected; rows labelled −1 count as one more."""
    on = roster.served
    vertex, label = roster.vertex[on], np.where(label[on] < 0, n, label[on])
    ground = ground_of(roster.ways, vertex, label, n + 1)
    pairs = np.unique(np.column_stack([label, ground.pieces(vertex, label)]), axis=0)
    return np.bincount(pairs[:, 0], minlength=n + 1)[:n] == 1


def _layer_faults(book: Book, roster: Roster, count: GridCount) -> Iterator[Remark]:
    """Columns of layers grids and households."""
    grids, own = book.layers["grids"], _own_grids(roster, count)
    ids = grids["grid_id"]
    for column in own.columns:
        is_text = column in ("groups", "main_group")
        yield from column_differs(f"grids.{column}", ids, grids[column], own[column], text=is_text)
    yield from _name_faults(book)
    roles = ["网格长"] * len(grids)
    yield from column_differs("grids.leader_role", ids, grids["leader_role"], roles, text=True)
    at = "grids.meeting_household_id"
    yield from rows_that(
        count.meeting < 0, ids, "meeting-astray", "meet at no served household of their own", at=at
    )
    longer = count.longer_m > LENGTH_M + RELATIVE * np.nan_to_num(count.least_m)
    most_m = np.nanmax(count.longer_m, initial=0.0)
    text = f"meet where the walk is not least, by up to {most_m:.3f} household-metres"
    yield from rows_that(longer, ids, "meeting-not-least", text, at=at)
    said = book.layers["households"]
    at = "households.walk_to_meeting_m"
    yield from column_differs(at, said["household_id"], said["walk_to_meeting_m"], count.walk_m)


def _name_faults(book: Book) -> Iterator[Remark]:
    """Numbers from 1 on without a gap, unless they are an earlier plan's; codes and names made of them."""
    grids = book.layers["grids"]
    ids, number = grids["grid_id"], book.number_texts(grids)
    if book.is_kept:
        yield from rows_that(ids < 1, ids, "figure-differs", "are no number of a grid", at="grids.grid_id")
    else:
        yield from column_differs("grids.grid_id", ids, ids, np.arange(1, len(ids) + 1))
    own = book.settings.community.code + number
    yield from column_differs("grids.code", ids, grids["code"], own, text=True)
    yield from column_differs("grids.name", ids, grids["name"], "第" + number + "网格", text=True)


def _own_grids(roster: Roster, count: GridCount) -> DataFrame:
    """The recounted columns of layer grids."""
    table, k = roster.table, roster.n_grids
    own = DataFrame({"households": count.households})
    for name in PEOPLE:
        known = table[name].fillna(0).to_numpy(np.int64)
        nobody = table[name].isna().all()
        own[name] = np.full(k, np.nan) if nobody else np.bincount(roster.grid, known, minlength=k)
    grouped = DataFrame(
        {"grid": roster.grid, "group": table["group"], "households": roster.households}
    ).dropna()
    sums = grouped.groupby(["grid", "group"])["households"].sum().reset_index()
    names = sums.groupby("grid")["group"].agg(lambda each: "、".join(sorted(each)))
    most = sums.sort_values(["households", "group"], ascending=[False, True]).groupby("grid")["group"].first()
    own["groups"], own["main_group"] = names.reindex(range(k)), most.reindex(range(k))
    walked = np.isfinite(count.walk_m)
    weight, grid = roster.households[walked], roster.grid[walked]
    with np.errstate(invalid="ignore"):
        total_m = np.bincount(grid, weight * count.walk_m[walked], minlength=k)
        own["walk_mean_m"] = total_m / np.bincount(grid, weight, minlength=k)
    own["walk_max_m"] = 0.0
    np.maximum.at(own["walk_max_m"].to_numpy(), grid, count.walk_m[walked])
    return own


def _figures(book: Book, roster: Roster, count: GridCount) -> dict[str, Any]:
    """The section ``grids`` of the summary, as far as it can be recounted."""
    limits, said, size = book.settings.grids, book.summary["grids"], count.households
    fits = count.fits(limits.min_households, limits.max_households)
    group_cost_m = limits.group_cost_m * float(outside_main_group(roster).sum())
    objective_m = float(count.least_m.sum()) + group_cost_m
    walked = np.isfinite(count.walk_m)
    own = roster.households[walked]
    party = roster.table["party_members"]
    members = np.bincount(roster.grid, party.fillna(0).to_numpy(np.int64), minlength=size.size)
    groups_at = DataFrame({"grid": roster.grid, "group": roster.table["group"]}).dropna().drop_duplicates()
    return {
        "n": int(size.size),
        "min": int(size.min()),
        "mean": float(size.mean()),
        "max": int(size.max()),
        "feasible_share": float((fits & count.whole).mean()),
        "contiguous_share": float(count.whole.mean()),
        "objective_m": objective_m,
        "walk_mean_m": float((own * count.walk_m[walked]).sum() / own.sum()),
        "walk_max_m": float(count.walk_m[walked].max()),
        "meeting_walk_m": float(count.meeting_m.sum()),
        "group_cost_m": group_cost_m,
        "gap": (said["objective_m"] - said["bound_m"]) / said["bound_m"] if said.get("bound_m") else None,
        "groups_split": len(_split_groups(book, roster)),
        "n_without_party": int((members == 0).sum()) if party.notna().any() else None,
        "n_under_3_party": int((members < 3).sum()) if party.notna().any() else None,
        "mixing_share": float((np.bincount(groups_at["grid"], minlength=size.size) > 1).mean()),
    }


def outside_main_group(roster: Roster) -> Ints:
    """Households of each grid with a group but not its main one; a far one counts in its host's group."""
    rows = DataFrame({"grid": roster.grid, "group": roster.table["group"], "weight": roster.weight})
    sums = rows[roster.served].dropna().groupby(["grid", "group"])["weight"].sum().groupby("grid")
    return (sums.sum() - sums.max()).reindex(range(roster.n_grids), fill_value=0).to_numpy(np.int64)


def _split_groups(book: Book, roster: Roster) -> list[str]:
    """Village groups that fit to be a grid of their own and are none."""
    limits = book.settings.grids
    group, names = pd.factorize(roster.table["group"], sort=True)
    known = group >= 0
    size = np.bincount(group[known], roster.households[known], minlength=len(names))
    fits = (size >= limits.min_households) & (size <= limits.max_households)
    if not fits.any():
        return []
    fits &= _in_one_piece(roster, group.astype(np.int64), len(names))
    grids_of = [np.unique(roster.grid[group == each]) for each in range(len(names))]
    alone = [
        each.size == 1 and set(group[roster.grid == each[0]]) <= {at, -1} for at, each in enumerate(grids_of)
    ]
    return [str(names[each]) for each in np.flatnonzero(fits & ~np.array(alone))]


def _group_notes(book: Book, roster: Roster) -> Iterator[Remark]:
    """Village groups that could be a grid and aren't must be listed with the reason."""
    listed = {
        name
        for each in book.summary.get("notes", ())
        if each["code"] == "group-not-kept"
        for name in each["ids"]
    }
    unlisted = sorted(set(_split_groups(book, roster)) - listed)
    if unlisted:
        text = f"{len(unlisted)} village groups fit to be a grid, are none, and no note gives the reason"
        yield fault("group-not-listed", text, layer="households", column="group", ids=unlisted)


def _parts_faults(book: Book, roster: Roster, count: GridCount) -> Iterator[Remark]:
    """Connected parts of the network: their households and grids, and that a feasible one is so."""
    limits = book.settings.grids
    served = np.flatnonzero(roster.served)
    _, component = csgraph.connected_components(roster.ways.matrix(), directed=False)
    part = pd.factorize(component[roster.vertex[served]])[0]
    own = DataFrame({"households": np.bincount(part, roster.weight[served]).astype(np.int64)})
    pairs = np.unique(np.column_stack([part, roster.grid[served]]), axis=0)
    own["k"] = np.bincount(pairs[:, 0])
    good = count.fits(limits.min_households, limits.max_households) & count.whole
    own["sound"] = DataFrame({"part": pairs[:, 0], "good": good[pairs[:, 1]]}).groupby("part")["good"].all()
    told = [each for each in book.summary["grids"].get("parts", []) if isinstance(each, dict)]
    said = DataFrame(told, columns=["part", "households", "k", "state"])
    if len(said) != len(own):
        text = f"the summary lists {len(said)} connected parts, recounted {len(own)}"
        yield fault("figure-differs", text, layer="summary", column="grids.parts")
        return
    for column in ("households", "k"):
        yield from column_differs(f"summary.grids.parts.{column}", said["part"], said[column], own[column])
    claimed = (said["state"] == "feasible").to_numpy(bool)
    wrong = claimed & ~own["sound"].to_numpy(bool)
    at = "summary.grids.parts"
    yield from rows_that(wrong, said["part"], "figure-differs", "call themselves feasible and are not", at=at)
