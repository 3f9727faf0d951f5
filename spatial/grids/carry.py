"""What an earlier plan says of today's rows: matched, numbered and told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame

from spatial.earlier import EarlierPlan
from spatial.errors import Remark, doubt, note
from spatial.grids.keep import Earlier, continued
from spatial.grids.numbering import Names, name_grids
from spatial.grids.units import Units

__all__ = ["Carried", "carried_names", "carry", "earlier_levels", "exclusive_names", "told"]

BY_HAND = 4  # a row that the planner moved by hand counts so many households more
_SHOWN = 20


@dataclass(frozen=True)
class Carried:
    """The earlier grid of each row of the table, 0 where there is none, and of each row of the search."""

    plan: EarlierPlan
    grid_id: NDArray[np.int64]  # (rows of the table,)
    by_hand: NDArray[np.bool_]  # (rows of the table,) changed by hand since the plan was made
    numbers: NDArray[np.int64]  # (L,) grid_id of each label of ``rows``
    rows: Earlier
    n_gone: int  # households of the plan that are no longer there


def carry(units: Units, plan: EarlierPlan) -> Carried:
    """Match today's rows with those of the plan: by household_id and part, else by household_id.

    A row that has other parts than it had takes the grid of most of its households.
    """
    grid_id, by_hand = _matched(units.table, plan)
    seat = grid_id[units.served]
    known = (seat > 0) & ~np.isin(seat, plan.grids["grid_id"][plan.grids["kind"] == "exclusive"])
    numbers = np.unique(seat[known])
    label = np.where(known, np.searchsorted(numbers, seat), -1)
    stay = (units.weight + BY_HAND * by_hand[units.served]) * known
    gone = ~plan.households["household_id"].isin(units.table["household_id"])
    n_gone = int(plan.households.loc[gone, "households"].sum())
    return Carried(plan, grid_id, by_hand, numbers, Earlier(label, stay.astype(np.int64)), n_gone)


def carried_names(
    carried: Carried, grid: NDArray[np.int64], order: NDArray[np.int64], prefix: str
) -> tuple[NDArray[np.int64], Names]:
    """The place of each grid of the partition in the order of the numbers, and what they are called.

    A grid that continues an earlier one keeps its number; the others get the next free ones, in
    ``order`` (the geographic one).
    """
    label = continued(grid, carried.rows)
    number = np.where(label >= 0, carried.numbers[label] if len(carried.numbers) else 0, 0)
    new = order[label[order] < 0]
    number[new] = carried.plan.next_id + np.arange(len(new))
    place = np.argsort(np.argsort(number))
    return place, name_grids(prefix, np.sort(number), digits=carried.plan.digits)


def exclusive_names(titles: Sequence[str], plan: EarlierPlan | None, *, above: int, prefix: str) -> Names:
    """Numbers and codes of the exclusive grids: those that follow ``above``, or that the name had before."""
    if plan is None:
        return name_grids(prefix, above + 1 + np.arange(len(titles)))
    before = plan.grids[plan.grids["kind"] == "exclusive"]
    known = dict(zip(before["name"], before["grid_id"], strict=True))
    free = count(max(above + 1, plan.next_id))
    number = [known.pop(each) if each in known else next(free) for each in titles]
    return name_grids(prefix, np.array(number, dtype=np.int64), digits=plan.digits)


def earlier_levels(carried: Carried, names: Names) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Branch and worker of each grid in the earlier plan, 0 where it had none."""
    rows = carried.plan.grids.drop_duplicates("grid_id").set_index("grid_id").reindex(names.grid_id)
    branch, worker = (rows[each].fillna(0).to_numpy(dtype=np.int64) for each in ("branch_id", "worker_id"))
    return branch, worker


def told(carried: Carried, units: Units, grid_id: NDArray[np.int64], names: Names) -> Iterator[Remark]:
    """How much of the earlier plan stands, and which changes by hand don't.

    Parameters
    ----------
    grid_id : int64, shape (rows of the table,)
        As planned now.
    """
    table, before = units.table, carried.grid_id
    households = table["households"].to_numpy(dtype=np.int64)
    known = before > 0
    moved = known & (grid_id != before)
    there = set(carried.plan.ordinary["grid_id"].astype(int))
    gone = sorted(there - set(names.grid_id.tolist()))
    added = sorted(set(names.grid_id.tolist()) - there)
    yield note(
        "plan-kept",
        f"of {households.sum()} households {households[known & ~moved].sum()} keep the grid they have in "
        f"plan {carried.plan.plan_id}, {households[moved].sum()} move, {households[~known].sum()} are new, "
        f"{carried.n_gone} are gone{_moves(table, before, grid_id, moved)}"
        f"{_numbers('; grids no longer there: ', gone)}{_numbers('; new grids: ', added)}",
        layer="households",
        column="grid_id",
        ids=table["household_id"][moved].unique(),
    )
    undone = moved & carried.by_hand
    if undone.any():
        yield doubt(
            "edit-not-kept",
            f"{households[undone].sum()} households that were put into another grid by hand could not stay "
            f"there without more than {BY_HAND} others moving for each, or without a break of the limits"
            f"{_moves(table, before, grid_id, undone)}",
            layer="households",
            column="grid_id",
            ids=table["household_id"][undone].unique(),
            remedy="move the households between as well, or lock them together with locked_grid",
        )


def _matched(table: pd.DataFrame, plan: EarlierPlan) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    rows = plan.households.assign(by_hand=plan.by_hand)
    exact = table[["household_id", "part"]].astype({"household_id": "str", "part": "Int64"})
    found = exact.merge(rows, how="left", on=["household_id", "part"], validate="one_to_one")
    most = (
        rows.dropna(subset="grid_id").groupby(["household_id", "grid_id"], as_index=False)["households"].sum()
    )
    most = most.sort_values(["household_id", "households", "grid_id"], ascending=[True, False, True])
    of_id = most.drop_duplicates("household_id").set_index("household_id")["grid_id"]
    other_parts = (found["households"].isna() & exact["household_id"].isin(of_id.index)).to_numpy()
    grid_id = found["grid_id"].where(~other_parts, exact["household_id"].map(of_id))
    by_hand = found["by_hand"].astype("boolean").fillna(False)
    return grid_id.fillna(0).to_numpy(dtype=np.int64), by_hand.to_numpy(dtype=bool)


def _moves(
    table: DataFrame, before: NDArray[np.int64], after: NDArray[np.int64], rows: NDArray[np.bool_]
) -> str:
    at = np.flatnonzero(rows)
    shown = [f"{table['household_id'].iloc[each]} {before[each]}→{after[each]}" for each in at[:_SHOWN]]
    more = f", … and {len(at) - _SHOWN} more" if len(at) > _SHOWN else ""
    return f": {', '.join(shown)}{more}" if shown else ""


def _numbers(what: str, numbers: list[int]) -> str:
    return what + ", ".join(map(str, numbers)) if numbers else ""
