"""Boards recounted: each household's way to its nearest board, and how many have one within reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.audit.board_bound import board_bound_faults, proved_bounds, unusable
from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, column_differs, figures_differ, rows_that, say
from spatial.audit.night import lit_places
from spatial.audit.sites import place_faults, site_faults
from spatial.audit.ways import cut_ways, far_from
from spatial.errors import Remark
from spatial.network import doors, snap_points

__all__ = ["board_faults"]

CHUNK = 64  # boards whose walks are in memory at once

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class _Walked:
    """Recounted for every row of site.gpkg's households."""

    nearest_m: Floats  # door to the nearest board, both offsets included; NaN where there is no way
    said_m: Floats  # door to the board that the plan names; NaN where it names none or there is no way
    board: Ints  # row of the board that the plan names, −1 none


def board_faults(book: Book) -> tuple[list[Remark], dict[str, Any], dict[str, float | None]]:
    """Every difference in the boards' part of a plan, its figures recounted, and its bounds proved anew."""
    boards, said = book.layers["boards"], book.summary["boards"]
    walked = _recount_walks(book)
    figures, own = _figures(book, walked), proved_bounds(book)
    ids = boards["site_id"]
    at = "boards.households_served"
    remarks = [
        *site_faults(book, "board_sites", "boards", limit=book.settings.boards.n_boards),
        *place_faults(book, "boards"),
        *_walk_faults(book, walked),
        *column_differs(at, ids, boards["households_served"], _served_by(book, walked)),
        *_keeper_faults(book),
        *_apart_faults(book),
        *_per_grid_faults(book),
        *_night_faults(book),
        *board_bound_faults(book, own),
        *figures_differ("boards", said, figures),
    ]
    return remarks, figures, own


def _recount_walks(book: Book) -> _Walked:
    """Walks by Dijkstra from the boards, a few at a time."""
    boards, network = book.layers["boards"], book.network
    door = doors(book.site, network, book.settings)
    stand = snap_points(
        network,
        boards.geometry.to_numpy(),
        max_access_m=book.settings.input.max_access_m,
        barriers=book.site.layer("barriers"),
    )
    ways = cut_ways(network, door, stand)
    door_vertex, board_vertex = ways.vertex
    board = _named_boards(book)
    nearest_m, said_m = np.full(len(door), np.inf), np.full(len(door), np.inf)
    near = door_vertex >= 0
    reachable = np.flatnonzero(board_vertex >= 0)
    for rows in np.split(reachable, np.arange(CHUNK, reachable.size, CHUNK)):
        walk_m = far_from(ways, board_vertex[rows])[:, door_vertex[near]]
        walk_m += door.offset_m[near] + stand.offset_m[rows][:, None]
        nearest_m[near] = np.minimum(nearest_m[near], walk_m.min(axis=0, initial=np.inf))
        at = np.searchsorted(rows, board[near])
        held = np.isin(board[near], rows)
        said_m[np.flatnonzero(near)[held]] = walk_m[at[held], np.flatnonzero(held)]
    nearest_m[np.isinf(nearest_m)] = np.nan
    said_m[np.isinf(said_m)] = np.nan
    return _Walked(nearest_m, said_m, board)


def _named_boards(book: Book) -> Ints:
    """Row of the board that each household of site.gpkg is said to use; −1 none."""
    said = book.layers["households"].drop_duplicates("household_id").set_index("household_id")["board_id"]
    board_id = said.reindex(book.site.layer("households")["household_id"]).to_numpy(object)
    return pd.Index(book.layers["boards"]["site_id"].to_numpy(object)).get_indexer(board_id).astype(np.int64)


def _walk_faults(book: Book, walked: _Walked) -> Iterator[Remark]:
    """Households whose walk is another than said, or whose board isn't the nearest one."""
    said, known = book.layers["households"], book.site.layer("households")["household_id"]
    row = pd.Index(known).get_indexer(said["household_id"])
    said, row = said[row >= 0], row[row >= 0]
    ids, nearest_m = said["household_id"], walked.nearest_m[row]
    yield from column_differs("households.walk_to_board_m", ids, said["walk_to_board_m"], nearest_m)
    unknown = said["board_id"].notna() & ~said["board_id"].isin(book.layers["boards"]["site_id"])
    at = "households.board_id"
    yield from rows_that(unknown, ids, "board-unknown", "name a board that layer boards does not have", at=at)
    with np.errstate(invalid="ignore"):
        farther = ~(walked.said_m[row] <= nearest_m + LENGTH_M) & np.isfinite(nearest_m)
    yield from rows_that(farther, ids, "board-not-nearest", "name a board that is not their nearest", at=at)
    nowhere = said["board_id"].notna().to_numpy(bool) & np.isnan(nearest_m)
    yield from rows_that(nowhere, ids, "board-unreachable", "name a board no alley leads to", at=at)


def _served_by(book: Book, walked: _Walked) -> Ints:
    """Households within the limit whose board each one is."""
    households = book.site.layer("households")["households"].to_numpy(np.int64)
    with np.errstate(invalid="ignore"):
        near = (walked.said_m <= book.settings.boards.walk_m) & (walked.board >= 0)
    return np.bincount(walked.board[near], households[near], minlength=len(book.layers["boards"])).astype(
        np.int64
    )


def _figures(book: Book, walked: _Walked) -> dict[str, Any]:
    """The section ``boards`` of the summary, as far as it can be recounted."""
    households = book.site.layer("households")["households"].to_numpy(np.int64)
    reached = np.isfinite(walked.nearest_m)
    walk_m, weight = walked.nearest_m[reached], households[reached]
    served = int(weight[walk_m <= book.settings.boards.walk_m].sum())
    total_m = float(weight @ walk_m)
    return {
        "n_chosen": int((book.layers["boards"]["status"] != "existing").sum()),
        "households_served": served,
        "share_served": served / int(households.sum()),
        "total_walk_m": total_m,
        "walk_mean_m": total_m / int(weight.sum()) if weight.size else None,
        "walk_max_m": float(walk_m.max()) if weight.size else None,
        "gap": _gap(book),
        "n_lit_at_night": int(_lit_at_night(book).sum()) if book.has("lamps") else None,
    }


def _gap(book: Book) -> float | None:
    """The gap between the value and the bound that the plan states."""
    said = book.summary["boards"]
    if book.settings.boards.goal == "most-served":
        value, bound = said["households_served"], said["bound_served"]
        return (bound - value) / bound if bound else 0.0
    value, bound = said["total_walk_m"], said["bound_household_m"]
    return (value - bound) / bound if bound else None if bound is None else 0.0


def _apart_faults(book: Book) -> Iterator[Remark]:
    """Chosen boards nearer to another board than ``apart_m``; required ones stand where they must."""
    boards, apart_m = book.layers["boards"], book.settings.boards.apart_m
    points = boards.geometry.to_numpy()
    near = shapely.distance(points[:, None], points[None, :]) < apart_m - LENGTH_M
    np.fill_diagonal(near, False)
    beside = near.any(axis=1) & (boards["status"] == "candidate").to_numpy(bool)
    text = f"are chosen and stand less than {say(apart_m)} m from another board"
    yield from rows_that(beside, boards["site_id"], "boards-too-near", text, at="boards.geometry")


def _per_grid_faults(book: Book) -> Iterator[Remark]:
    """Grids without a board, or with two new ones, where every grid should have one."""
    if not book.settings.boards.one_per_grid or "grids" not in book.layers:
        return
    boards, sites = book.layers["boards"], book.site.layer("board_sites")
    areas = book.layers["grids"].geometry.to_numpy()
    far = (
        snap_points(
            book.network,
            sites.geometry.to_numpy(),
            max_access_m=book.settings.input.max_access_m,
            barriers=book.site.layer("barriers"),
        ).edge
        < 0
    )
    sure = sites["status"].isin(["existing", "required"]).to_numpy(bool)
    usable = sites[sure | ~(far | unusable(book))]
    tree = shapely.STRtree(areas)
    can = np.unique(tree.query_nearest(usable.geometry.to_numpy(), all_matches=False)[1])
    standing = boards[boards["status"] == "existing"]
    has = np.bincount(_grid_rows(book, boards), minlength=len(areas))
    stands = np.bincount(_grid_rows(book, standing), minlength=len(areas))
    ids = book.layers["grids"]["grid_id"]
    if book.settings.boards.n_boards >= int((stands[can] == 0).sum()):
        without = np.isin(np.arange(len(areas)), can) & (has == 0)
        yield from rows_that(without, ids, "grid-without-board", "have no board", at="boards.grid_id")
    else:
        twice = has > np.maximum(stands, 1)
        yield from rows_that(
            twice, ids, "grid-with-two-boards", "have more than one board", at="boards.grid_id"
        )


def _grid_rows(book: Book, boards: Any) -> Ints:
    rows = pd.Index(book.layers["grids"]["grid_id"]).get_indexer(boards["grid_id"])
    return rows[rows >= 0].astype(np.int64)


def _lit_at_night(book: Book) -> Bools:
    return lit_places(
        book, book.layers["boards"].geometry.to_numpy(), book.layers["lamps"].geometry.to_numpy()
    )


def _night_faults(book: Book) -> Iterator[Remark]:
    """Boards that are said to have a lamp in sight and don't, or should have and don't."""
    boards = book.layers["boards"]
    said = boards["lit_at_night"]
    if not book.has("lamps"):
        text = "say whether a lamp is in sight, but no lamps were planned"
        yield from rows_that(
            said.notna(), boards["site_id"], "figure-differs", text, at="boards.lit_at_night"
        )
        return
    lit = _lit_at_night(book)
    wrong = said.isna().to_numpy(bool) | (said.fillna(False).to_numpy(bool) != lit)
    text = "are readable at night or not, other than recounted"
    yield from rows_that(wrong, boards["site_id"], "figure-differs", text, at="boards.lit_at_night")
    if book.settings.boards.lit_at_night == "require":
        dark = ~lit & (boards["status"] != "existing").to_numpy(bool)
        text = "are new and have no lamp in sight"
        yield from rows_that(dark, boards["site_id"], "board-dark", text, at="boards.lit_at_night")


def _keeper_faults(book: Book) -> Iterator[Remark]:
    """The role that keeps a board is that of the party group of its grid."""
    boards = book.layers["boards"]
    own = pd.Series(None, index=boards.index, dtype=object)
    if "grids" in book.layers:
        names = book.layers["grids"].set_index("grid_id")["name"]
        own = boards["grid_id"].map(names) + "党小组"
    yield from column_differs("boards.keeper_role", boards["site_id"], boards["keeper_role"], own, text=True)
