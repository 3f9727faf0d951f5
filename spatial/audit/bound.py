"""The lower bound of the grids' objective, proved anew from the prices in bounds.npz.

For every component the prices p (metres per household) prove that no K grids cost less than::

    Σ_i w_i p_i  +  the K smallest V_j
    V_j = least Σ_{i in S} w_i (d_ij − p_i + c·[group_i ≠ g]) over groups g and sets S
          with j in S and low ≤ w(S) ≤ high

Walks are complete here, the sets are found by a plain programme over their sizes, and what isn't in a
component (kept groups, components of one grid) counts with its own recounted cost. So the bound may come
out higher than the plan's, whose walks may be cut off; it may not come out lower.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from scipy.sparse import csgraph

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, RELATIVE, say
from spatial.audit.grids import GridCount, outside_main_group
from spatial.audit.roster import Roster
from spatial.errors import Remark, fault

__all__ = ["bound_faults", "recount_bound"]

MOST_ROWS = 6000  # complete walks between more rows than these would not fit in memory
_KEYS = ("price_m", "component", "component_grids", "component_low", "component_high")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def bound_faults(book: Book, roster: Roster, count: GridCount) -> Iterator[Remark]:
    """A bound that the prices don't prove, or that the plan is better than."""
    said = book.summary["grids"]
    bound_m, objective_m = said.get("bound_m"), said.get("objective_m")
    if bound_m is None or objective_m is None:
        return
    slack_m = LENGTH_M + RELATIVE * abs(objective_m)
    if bound_m > objective_m + slack_m:
        text = f"the bound {say(bound_m)} is above the objective {say(objective_m)}"
        yield fault("bound-broken", text, layer="summary", column="grids.bound_m")
    own_m = recount_bound(book, roster, count)
    if own_m is not None and bound_m > own_m + slack_m:
        text = f"the summary says {say(bound_m)}, the prices in bounds.npz prove only {say(own_m)}"
        yield fault("bound-unproven", text, layer="summary", column="grids.bound_m")


def recount_bound(book: Book, roster: Roster, count: GridCount) -> float | None:
    """The bound that the prices prove; None where it rests on a solver or the component is too large. [m]"""
    served = np.flatnonzero(roster.served)
    if book.summary["grids"].get("bound_by") != "Lagrangian" or not all(key in book.bounds for key in _KEYS):
        return None
    price, component, n_grids, low, high = (book.bounds[key] for key in _KEYS)
    if price.size != served.size or np.bincount(component[component >= 0], minlength=1).max() > MOST_ROWS:
        return None
    priced = np.unique(roster.grid[served[component >= 0]])
    plain = np.setdiff1d(np.arange(roster.n_grids), priced)
    cost_m = book.settings.grids.group_cost_m
    bound_m = float(count.least_m[plain].sum()) + cost_m * float(outside_main_group(roster)[plain].sum())
    for at in range(n_grids.size):
        rows = served[component == at]
        worth_m = _least_of(roster, rows, price[component == at], int(low[at]), int(high[at]), cost_m)
        proved_m = float(roster.weight[rows] @ price[component == at]) + float(
            np.sort(worth_m)[: n_grids[at]].sum()
        )
        of_plan = np.unique(roster.grid[rows])
        value_m = count.least_m[of_plan].sum() + cost_m * outside_main_group(roster)[of_plan].sum()
        bound_m += max(0.0, min(proved_m, float(value_m)))
    return bound_m


def _least_of(roster: Roster, rows: Ints, price: Floats, low: int, high: int, group_cost_m: float) -> Floats:
    """V_j of each row j of a component."""
    weight = roster.weight[rows]
    group = DataFrame({"group": roster.table["group"].iloc[rows].to_numpy(object)})["group"].factorize()[0]
    high = min(high, int(weight.sum()))
    matrix = roster.ways.matrix()
    worth_m = np.full(rows.size, np.inf)
    for j in range(rows.size):
        walk_m = csgraph.dijkstra(matrix, directed=False, indices=roster.vertex[rows[j]])[roster.vertex[rows]]
        plain_m = walk_m - price
        tried = np.unique(group[group >= 0]) if group_cost_m > 0 else np.empty(0, np.int64)
        tried = tried if tried.size else np.array([-1])
        for g in tried:
            each_m = plain_m + group_cost_m * ((group >= 0) & (group != g))
            worth_m[j] = min(worth_m[j], _cheapest_set(j, each_m, weight, low, high))
    return worth_m


def _cheapest_set(j: int, each_m: Floats, weight: Ints, low: int, high: int) -> float:
    """Least cost of a set that holds row j and low to high households, a row costing weight × ``each_m``."""
    heavy = np.flatnonzero((weight > 1) & (weight <= high) & (np.arange(weight.size) != j))
    least = np.full(high + 1, np.inf)
    if weight[j] > high:
        return np.inf
    least[weight[j]] = weight[j] * each_m[j]
    for i in heavy:
        w = weight[i]
        least[w:] = np.minimum(least[w:], least[:-w] + w * each_m[i])
    light = each_m[(weight == 1) & (np.arange(weight.size) != j)]
    n = min(high, light.size)
    lightest = np.sort(np.partition(light, n - 1)[:n]) if n else light[:0]
    upto = np.concatenate([[0.0], np.cumsum(lightest)])
    size = np.arange(high + 1)[:, None] + np.arange(n + 1)[None, :]
    cost = least[:, None] + upto[None, :]
    return float(cost[(size >= low) & (size <= high)].min(initial=np.inf))
