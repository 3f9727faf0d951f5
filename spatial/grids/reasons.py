"""What a partition could not hold, told to a planner: who, which limit, why, and the way out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from spatial.errors import Remark, doubt, fault, note
from spatial.grids.decide import counts
from spatial.grids.problem import GridFault, Partition
from spatial.grids.units import Units
from spatial.settings import Grids

__all__ = ["explain"]

STATE = {"infeasible": "which is proved", "undecided": "undecided within the work limit"}


def explain(
    answer: Partition,
    number: NDArray[np.int64],
    units: Units,
    xy: NDArray[np.float64],
    groups: Sequence[str],
    names: Sequence[str],
    limits: Grids,
) -> tuple[list[str], tuple[Remark, ...]]:
    """A line for each grid with a fault (else empty), and the remarks of the partition.

    Parameters
    ----------
    number : int64, shape (K,)
        Final number, from 0, of each grid of the partition.
    xy : float64, shape (len(units.table), 2)
        Points shown, for the straight line to the nearest grid of another part. [m]
    groups : sequence of str
        Names of the village groups by their code.
    names : sequence of str
        Codes of the grids by their final number.
    """
    lines = [""] * len(number)
    remarks = []
    for each in answer.faults:
        at = int(number[each.grid])
        line = _line(each)
        lines[at] = f"{lines[at]}; {line}" if lines[at] else line
        ways_out = [*_relaxations(each, units), *_joins(each, answer, number, units, xy, names, limits)]
        remarks.append(
            fault(
                f"grid-{each.state}",
                f"grid {names[at]}: {line}, {STATE[each.state]}: {each.reason}",
                layer="households",
                column=each.limit if each.limit == "locked_grid" else "households",
                ids=units.table["household_id"].iloc[units.served[each.rows]].unique(),
                remedy=", or ".join(ways_out),
            )
        )
    if not answer.reproducible:
        remarks.append(doubt("not-reproducible", "the grids' search was stopped by the clock", layer="grids"))
    return lines, (*remarks, *_split_groups(answer, groups))


def _line(each: GridFault) -> str:
    if each.limit == "min_households":
        return f"{each.households} households are fewer than grids.min_households allows"
    if each.limit == "max_households":
        return f"{each.households} households are more than grids.max_households allows"
    return f"the lock of its {each.households} households can't be kept"


def _relaxations(each: GridFault, units: Units) -> list[str]:
    """The limits that would have to change, and splitting where one row is the trouble."""
    ways = [f"set grids.{name} = {value}" for name, value in sorted(each.relaxation.items())]
    heavy = len(each.rows) == 1 and each.limit == "max_households"
    if heavy and units.table["part"].iloc[units.served[each.rows[0]]] == 0:
        ways.append("set grids.split_buildings = true")
    if each.split is not None:
        row, n = units.served[each.split[0]], each.split[1]
        name, households = units.table["household_id"].iloc[row], units.weight[each.split[0]]
        ways.append(f"enter {name}, a row of {households} households, as two rows so that {n} of them join")
    return ways


def _joins(
    each: GridFault,
    answer: Partition,
    number: NDArray[np.int64],
    units: Units,
    xy: NDArray[np.float64],
    names: Sequence[str],
    limits: Grids,
) -> list[str]:
    """The nearest grid of another part, across how many metres in a straight line.

    Of a part whose households and these, by their number, can be cut into grids together.
    """
    rows = np.flatnonzero(answer.part == each.part)
    together = np.bincount(answer.part, units.weight) + units.weight[rows].sum()
    low, high = limits.min_households, limits.max_households
    fits = np.array([len(counts(int(n), low=low, high=high)) > 0 for n in together])
    others = np.flatnonzero((answer.part != each.part) & fits[answer.part])
    if not each.needs_join or not len(others):
        return []
    seats = xy[units.served]
    away_m, nearest = KDTree(seats[others]).query(seats[rows])
    best = int(np.argmin(np.round(away_m, 3)))
    other = names[number[answer.grid[others[nearest[best]]]]]
    return [f"add the alley that joins it to grid {other} across {away_m[best]:.0f} m in a straight line"]


def _split_groups(answer: Partition, groups: Sequence[str]) -> list[Remark]:
    """One note for each reason for which village groups are not grids of their own."""
    by_reason = defaultdict(list)
    for group, reason in answer.split_groups:
        by_reason[reason].append(groups[group])
    return [
        note(
            "group-not-kept",
            f"{len(names)} village groups fit to be a grid each are not one: {reason}",
            layer="households",
            column="group",
            ids=names,
        )
        for reason, names in sorted(by_reason.items())
    ]
