"""What the light means to people: their way home, their door, the darkest alleys, who has less of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from pandas import DataFrame

from spatial.adjacency import voronoi_cells
from spatial.network import AlleyNetwork
from spatial.siting.demand import LampTask
from spatial.siting.tables import alley_table
from spatial.siting.ways import LitAlong, WaysHome

__all__ = ["alley_light", "dark_run", "light_shares", "way_figures"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

WAY_FIGURES = (
    "way_lit_mean",
    "way_lit_worst_tenth",
    "way_lit_elderly",
    "way_lit_mean_before",
    "way_lit_worst_tenth_before",
    "share_doors_lit",
    "share_doors_lit_before",
)
WORST_SHARE = 0.1
LEAST_M = 0.01  # a site that would light less of an alley does not light it


def way_figures(
    households: GeoDataFrame, ways: WaysHome | None, lit: LitAlong, before: LitAlong
) -> dict[str, Any]:
    """Shares of the way home and of doors that are lit, per household; None where nobody has a way.

    Parameters
    ----------
    households : GeoDataFrame, rows of ``ways``
    lit, before : LitAlong
        Under the plan, and under the lamps that stand today.
    """
    if ways is None:
        return dict.fromkeys(WAY_FIGURES)
    weight = households["households"].to_numpy(dtype=np.float64)
    elderly = households["elderly"].fillna(0).to_numpy(dtype=np.float64)
    share, before_share = ways.lit_share(lit), ways.lit_share(before)
    door = ways.door.edge >= 0
    at_door, at_door_before = (
        each.at(ways.door.edge[door], ways.door.along_m[door]) for each in (lit, before)
    )
    figures = (
        _mean(share, weight),
        _worst_mean(share, weight),
        _mean(share, elderly),
        _mean(before_share, weight),
        _worst_mean(before_share, weight),
        float(weight[door] @ at_door) / float(weight.sum()),
        float(weight[door] @ at_door_before) / float(weight.sum()),
    )
    return dict(zip(WAY_FIGURES, figures, strict=True))


def _mean(share: FloatArray, weight: FloatArray) -> float | None:
    known = np.isfinite(share) & (weight > 0)
    return float(np.average(share[known], weights=weight[known])) if known.any() else None


def _worst_mean(share: FloatArray, weight: FloatArray) -> float | None:
    """Mean over the tenth of all households that have the least; of the last row a part may count."""
    known = np.flatnonzero(np.isfinite(share) & (weight > 0))
    if not len(known):
        return None
    known = known[np.argsort(share[known], kind="stable")]
    tenth = WORST_SHARE * weight[known].sum()
    before = np.concatenate([[0.0], np.cumsum(weight[known])[:-1]])
    counted = np.clip(tenth - before, 0.0, weight[known])
    return float(share[known] @ counted / tenth)


def dark_run(stretches: GeoDataFrame) -> dict[str, Any]:
    """The longest piece of one alley without light, and where it begins."""
    dark = stretches[~stretches["lit"]]
    if dark.empty:
        return {"dark_run_m": 0.0, "dark_run_alley_id": None, "dark_run_from_m": None}
    row = dark.iloc[int(dark["length_m"].to_numpy().round(6).argmax())]
    return {
        "dark_run_m": float(row["length_m"]),
        "dark_run_alley_id": str(row["alley_id"]),
        "dark_run_from_m": float(row["from_m"]),
    }


def alley_light(network: AlleyNetwork, task: LampTask, chosen: BoolArray) -> GeoDataFrame:
    """Each alley's light, its place among the darkest, and why it got no new lamp.

    Returns
    -------
    GeoDataFrame
        alley_id, name, length_m, lit_m, share_lit; ``dark_rank`` 1 for the alley with most dark metres, none
        for one without; and where no new lamp stands ``unchosen_why``: "lit" nothing is left to light,
        "no-site" no site could light what is dark, "site-barred" none that could may be used, "gains-less"
        the nearest that could, ``unchosen_site_id``, would add ``unchosen_gain_m`` to all that is lit.
    """
    lit = task.lit(chosen)
    table = alley_table(network, task.cut, lit)
    dark_m = (table["length_m"] - table["lit_m"]).to_numpy(dtype=np.float64)
    order = np.argsort(-dark_m.round(6), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    sites, why = _unchosen(network, task, chosen, lit)
    known = sites >= 0
    ids = task.sites["site_id"].to_numpy(dtype=object)
    gain_m = task.gains(lit)
    return table.assign(
        dark_rank=pd.Series(rank, dtype="Int64").where(dark_m >= LEAST_M),
        unchosen_why=pd.Series(why, dtype="str").where(why != ""),
        unchosen_site_id=pd.Series(ids[sites], dtype="str").where(known) if len(ids) else None,
        unchosen_gain_m=np.where(known, gain_m[sites], np.nan) if len(ids) else np.nan,
    )


def _unchosen(
    network: AlleyNetwork, task: LampTask, chosen: BoolArray, lit: BoolArray
) -> tuple[IntArray, NDArray[np.object_]]:
    """Per alley the nearest site that would light some of its dark, −1 none, and the reason."""
    n, k = len(network.alleys), len(chosen)
    alley = network.edge_alley[task.cut.edge]
    dark = np.flatnonzero(~lit)
    covers = task.cut.covers[dark]
    row = np.repeat(np.arange(len(dark)), np.diff(covers.indptr))
    pair, which = np.unique(alley[dark][row] * k + covers.indices, return_inverse=True)
    adds_m = np.bincount(which, task.cut.length_m[dark][row], minlength=len(pair))
    pair = pair[adds_m >= LEAST_M]
    at, site = pair // max(k, 1), pair % max(k, 1)
    usable = ~task.barred[site]
    could, may = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    could[at], may[at[usable]] = True, True
    away_m = shapely.distance(
        task.sites.geometry.to_numpy()[site], network.alleys.geometry.to_numpy()[at]
    ).round(6)
    order = np.lexsort((site, away_m, ~usable, at))
    first_at, first = np.unique(at[order], return_index=True)
    nearest = np.full(n, -1, dtype=np.int64)
    nearest[first_at] = site[order[first]]
    dark_m = np.bincount(alley[dark], task.cut.length_m[dark], minlength=n)
    why = np.where(may, "gains-less", np.where(could, "site-barred", "no-site")).astype(object)
    why[dark_m < LEAST_M] = "lit"
    new = task.sites["alley_id"].to_numpy(dtype=object)[chosen & ~task.existing]
    has_lamp = np.isin(network.alleys["alley_id"].to_numpy(dtype=object), new)
    why[has_lamp] = ""
    return np.where(has_lamp | (why == "lit"), -1, nearest), why


def light_shares(
    households: GeoDataFrame,
    grid_id: pd.Series | None,
    network: AlleyNetwork,
    ways: WaysHome,
    lit: LitAlong,
) -> DataFrame:
    """How much of the alleys nearest to the doors of each grid and each village group is lit.

    Parameters
    ----------
    households : GeoDataFrame, rows of ``ways``
    grid_id : Series of Int64 by household_id, optional

    Returns
    -------
    DataFrame
        by ("grid" or "group"), id, households, alley_m, lit_m, share_lit, way_lit_mean.
    """
    cells = voronoi_cells(network, ways.door)
    near = np.flatnonzero(cells.row >= 0)
    row = cells.row[near]
    n = len(households)
    own_m = np.bincount(row, (cells.to_m - cells.from_m)[near], minlength=n)
    lit_m = np.bincount(row, lit.between(cells.edge[near], cells.from_m[near], cells.to_m[near]), minlength=n)
    share = ways.lit_share(lit)
    weight = households["households"].to_numpy(dtype=np.float64)
    known = np.isfinite(share)
    each = DataFrame(
        {
            "households": weight,
            "alley_m": own_m,
            "lit_m": lit_m,
            "walkers": np.where(known, weight, 0.0),
            "lit_ways": np.where(known, weight * np.nan_to_num(share), 0.0),
        }
    )
    keys = {"group": households["group"]}
    if grid_id is not None:
        keys["grid"] = households["household_id"].map(grid_id).astype("Int64")
    tables = []
    for by, key in keys.items():
        table = each.groupby(pd.Series(key.to_numpy(dtype=object, na_value=None)), dropna=True).sum()
        names = pd.Series([str(each) for each in table.index], dtype="str")
        tables.append(table.reset_index(drop=True).assign(by=by, id=names))
    table = pd.concat(tables, ignore_index=True)
    alley_m, walkers = table["alley_m"], table["walkers"]
    return table.assign(
        households=table["households"].round().astype("Int64"),
        share_lit=table["lit_m"].div(alley_m).where(alley_m > 0),
        way_lit_mean=table["lit_ways"].div(walkers).where(walkers > 0),
    )
