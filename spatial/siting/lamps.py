"""Street lamps: the sites that light the most alley, or the fewest that light a share of it.

Weights are exact lengths of stretches, see :mod:`spatial.sight`. Existing lamps always shine; alleys
that are lit already count as lit and ask for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from pandas import DataFrame

from spatial.errors import DataError, Remark, doubt, fault, first_ids, note
from spatial.load import Site
from spatial.network import AlleyNetwork
from spatial.settings import Settings
from spatial.sight import Stretches, lit_intervals, stretches
from spatial.siting.candidates import candidate_sites, geographic_order
from spatial.siting.tables import alley_table, stretch_table
from spatial.solve import (
    Solution,
    cover_order,
    covered,
    gap_between,
    max_cover,
    merged_rows,
    set_cover,
)

__all__ = ["LampPlan", "plan_lamps"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LEAST_M = 0.01  # of alley: "fewest" asks no lamp for less
NOTHING_M = 1e-3  # a lamp that adds less is not placed
ORDER_SHORT = 0.02  # the share by which the free order may fall short of the curve
CURVE_ROWS = 60_000  # stretches times points of the curve, within these limits
LEAST_POINTS, MOST_POINTS = 5, 20
CURVE_GAP = 0.001  # of every point


@dataclass(frozen=True)
class LampPlan:
    """The lamps of a plan and what they light."""

    sites: GeoDataFrame  # every site, given or made: lamp_sites contract and alley_id
    lamps: GeoDataFrame  # PLAN_LAYERS["lamps"] without grid_id
    stretches: GeoDataFrame  # PLAN_LAYERS["stretches"]
    alleys: GeoDataFrame  # alley_id, name, length_m, lit_m, share_lit
    ranking: DataFrame
    curve: DataFrame
    figures: dict[str, Any]  # SUMMARY["lamps"]
    bounds: Mapping[str, NDArray[Any]]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True)
class _Task:
    """What there is to decide: sites by status, stretches by weight."""

    sites: GeoDataFrame
    cut: Stretches
    weight_m: FloatArray  # 0 where an alley is lit already
    already_m: float
    existing: BoolArray
    required: BoolArray
    barred: BoolArray

    @property
    def usable(self) -> BoolArray:
        return ~self.existing & ~self.barred

    def lit_m(self, shining: BoolArray) -> float:
        return self.already_m + float(self.weight_m[covered(self.cut.covers, shining)].sum())


def plan_lamps(site: Site, network: AlleyNetwork, settings: Settings) -> LampPlan:
    """Choose lamp sites and say what they light.

    Parameters
    ----------
    site : Site
        Layers ``lamp_sites`` (made along the alleys where empty) and ``buildings``.
    network : AlleyNetwork
    settings : Settings
        Section ``lamps``. ``n_lamps`` counts new lamps, required ones included.

    Returns
    -------
    LampPlan

    Raises
    ------
    DataError
        More sites are required than ``n_lamps``, fewer can be used, a required wall is refused, a cost
        is missing under a budget, or a setting asks for what is not built yet.
    """
    _refuse_unbuilt(settings)
    sites, remarks = candidate_sites(site, network, settings, layer="lamp_sites")
    task = _task(site, network, settings, sites)
    _check_numbers(task, settings)
    solution = _solve(task, settings)
    rank, gain_m = _order(task, solution.chosen & ~task.existing)
    chosen = task.existing | task.required | (rank > 0)
    lit = covered(task.cut.covers, chosen) | (task.weight_m == 0)
    curve = _curve(task, settings, chosen)
    ranking, short = _ranking(task, curve)
    return LampPlan(
        sites=sites,
        lamps=_lamp_table(network, task, chosen, rank, gain_m),
        stretches=stretch_table(network, task.cut, chosen),
        alleys=alley_table(network, task.cut, lit),
        ranking=ranking,
        curve=_curve_table(task, curve, ranking),
        figures=_figures(task, settings, solution, chosen),
        bounds=_bounds(network, task, solution),
        remarks=(*remarks, *_remarks(task, settings, solution, chosen, short), *_price(task, curve, chosen)),
    )


def _refuse_unbuilt(settings: Settings) -> None:
    lamps = settings.lamps
    usual = {"model": "reach", "weight": "plain", "apart_m": 0.0}
    faults = [
        f"lamps.{key} = {getattr(lamps, key)} is not built yet; use {value}"
        for key, value in usual.items()
        if getattr(lamps, key) != value
    ]
    if lamps.goal == "fewest" and lamps.budget_cny is not None:
        faults.append("lamps.budget_cny has no meaning with lamps.goal = fewest; leave one of them out")
    if faults:
        raise DataError("the lamp settings can't be planned", faults)


def _task(site: Site, network: AlleyNetwork, settings: Settings, sites: GeoDataFrame) -> _Task:
    intervals = lit_intervals(
        network,
        sites,
        site.layer("buildings"),
        reach_m=settings.lamps.reach_m,
        line_of_sight=settings.lamps.line_of_sight,
    )
    cut = stretches(network, intervals, len(sites))
    lit = network.alleys["lit"].fillna(False).to_numpy(dtype=bool)[network.edge_alley[cut.edge]]
    status = sites["status"].to_numpy(dtype=object)
    refused = (sites["mount"].eq("wall") & sites["consent"].eq("no")).to_numpy(dtype=bool)
    existing = status == "existing"
    return _Task(
        sites=sites,
        cut=cut,
        weight_m=np.where(lit, 0.0, cut.length_m),
        already_m=float(cut.length_m[lit].sum()),
        existing=existing,
        required=status == "required",
        barred=(status == "forbidden") | (refused & ~existing),
    )


def _check_numbers(task: _Task, settings: Settings) -> None:
    lamps, ids = settings.lamps, task.sites["site_id"]
    refused = task.required & task.barred
    n_required, n_usable = int(task.required.sum()), int(task.usable.sum())
    faults = []
    if refused.any():
        faults.append(
            f"lamp_sites.consent is no for {int(refused.sum())} wall sites whose status is required "
            f"({first_ids(ids[refused])}); change one of the two"
        )
    if lamps.goal == "most-lit" and n_required > lamps.n_lamps:
        faults.append(
            f"lamps.n_lamps is {lamps.n_lamps} but {n_required} sites are required "
            f"({first_ids(ids[task.required])}); allow more lamps or require fewer"
        )
    if lamps.goal == "most-lit" and n_usable < lamps.n_lamps:
        faults.append(
            f"lamps.n_lamps is {lamps.n_lamps} but only {n_usable} sites can take a new lamp; "
            "lower n_lamps, add lamp sites, or let them be made closer (sites.spacing_m)"
        )
    if lamps.budget_cny is not None:
        unknown = task.usable & task.sites["cost_cny"].isna().to_numpy()
        if unknown.any():
            faults.append(
                f"lamps.budget_cny needs lamp_sites.cost_cny; it is empty for {int(unknown.sum())} sites "
                f"({first_ids(ids[unknown])})"
            )
        elif (dear := float(task.sites["cost_cny"][task.required].sum())) > lamps.budget_cny:
            faults.append(f"lamps.budget_cny is {lamps.budget_cny:g} but the required sites cost {dear:g}")
    if faults:
        raise DataError("the lamps can't be planned", faults)


def _solve(task: _Task, settings: Settings) -> Solution:
    lamps, work = settings.lamps, settings.work
    fixed = task.existing | task.required
    if lamps.goal == "fewest":
        group, _ = merged_rows(task.cut.covers)
        asked = np.bincount(group, task.weight_m)[group] >= LEAST_M
        weight_m = np.where(asked, task.weight_m, 0.0)
        most_m = float(weight_m[covered(task.cut.covers, ~task.barred)].sum())
        target = lamps.share_of_lightable * (most_m + task.already_m) - task.already_m
        return set_cover(
            task.cut.covers,
            weight_m,
            target=target if lamps.share_of_lightable < 1 else None,
            fixed=fixed,
            barred=task.barred,
            effort=work.effort,
            seed=work.seed,
        )
    cost = task.sites["cost_cny"].to_numpy(dtype=np.float64)
    budget = None if lamps.budget_cny is None else lamps.budget_cny - float(cost[task.required].sum())
    return max_cover(
        task.cut.covers,
        task.weight_m,
        n=lamps.n_lamps - int(task.required.sum()),
        fixed=fixed,
        barred=task.barred,
        cost=cost,
        budget=budget,
        effort=work.effort,
        seed=work.seed,
    )


def _order(task: _Task, new: BoolArray) -> tuple[IntArray, FloatArray]:
    """Rank of each new lamp when the best goes first, 0 for none, and the metres it adds then.

    A lamp that adds nothing has no rank, unless it is required.
    """
    done = covered(task.cut.covers, task.existing)
    order, gain_m = cover_order(task.cut.covers, np.where(done, 0.0, task.weight_m), among=new)
    keep = (gain_m >= NOTHING_M) | task.required[order]
    rank = np.zeros(len(new), dtype=np.int64)
    gains_m = np.zeros(len(new))
    rank[order[keep]] = np.arange(1, int(keep.sum()) + 1)
    gains_m[order[keep]] = gain_m[keep]
    return rank, gains_m


@dataclass(frozen=True)
class _Curve:
    """The best choices for some numbers of new lamps; required sites are not forced here."""

    n_lamps: IntArray
    lit_m: FloatArray
    bound_m: FloatArray
    choices: tuple[BoolArray, ...]  # new lamps


def _curve(task: _Task, settings: Settings, chosen: BoolArray) -> _Curve:
    """The curve up to twice the plan's number; at that number it lights no less than the plan does."""
    n_plan = int((chosen & ~task.existing).sum())
    n_most = min(max(2 * n_plan, LEAST_POINTS), int(task.usable.sum()))
    n_points = int(np.clip(CURVE_ROWS // max(len(task.weight_m), 1), LEAST_POINTS, MOST_POINTS))
    n_lamps = np.unique([*np.linspace(0, n_most, n_points).round().astype(int), n_plan])
    points = [
        max_cover(
            task.cut.covers,
            task.weight_m,
            n=n,
            fixed=task.existing,
            barred=task.barred,
            enough=CURVE_GAP,
            effort=settings.work.effort,
            seed=settings.work.seed,
        )
        for n in n_lamps.tolist()
    ]
    lit_m = np.array([task.lit_m(each.chosen) for each in points])
    bound_m = np.array([task.already_m + each.bound for each in points])
    proved = np.array([each.gap == 0 for each in points])
    choices = tuple(each.chosen & ~task.existing for each in points)
    lit_m = np.where(n_lamps == n_plan, np.maximum(lit_m, task.lit_m(chosen)), lit_m)
    return _Curve(n_lamps, lit_m, np.where(proved, lit_m, np.maximum(bound_m, lit_m)), choices)


def _ranking(task: _Task, curve: _Curve) -> tuple[DataFrame, float]:
    """A nested order of all usable sites, and by what share it falls short of the curve at most.

    The best next lamp first gives one order; beginning with the choice of a point of the curve, its
    members so ordered, gives others. The one with the least shortfall is taken.
    """
    orders = [_nested_order(task, choice) for choice in (np.zeros_like(task.existing), *curve.choices)]
    shortfalls = []
    for _, gain_m in orders:
        ranked_m = task.lit_m(task.existing) + np.concatenate([[0.0], np.cumsum(gain_m)])
        at_m = ranked_m[np.minimum(curve.n_lamps, len(gain_m))]
        shortfalls.append(float(np.max((curve.lit_m - at_m) / np.maximum(curve.lit_m, NOTHING_M))))
    best = int(np.argmin(shortfalls))
    order, gain_m = orders[best]
    table = DataFrame(
        {
            "rank": np.arange(1, len(order) + 1),
            "site_id": task.sites["site_id"].to_numpy(dtype=object)[order],
            "gain_m": gain_m,
            "lit_m": task.lit_m(task.existing) + np.cumsum(gain_m),
        }
    )
    return table, max(shortfalls[best], 0.0)


def _nested_order(task: _Task, begin: BoolArray) -> tuple[IntArray, FloatArray]:
    """The sites of ``begin`` and then all other usable ones, each time the best next; what each adds."""
    done = covered(task.cut.covers, task.existing)
    parts = []
    for among in (begin, task.usable & ~begin):
        parts.append(cover_order(task.cut.covers, np.where(done, 0.0, task.weight_m), among=among))
        done = done | covered(task.cut.covers, among)
    order, gain_m = (np.concatenate(each) for each in zip(*parts, strict=True))
    return order[gain_m >= NOTHING_M], gain_m[gain_m >= NOTHING_M]


def _curve_table(task: _Task, curve: _Curve, ranking: DataFrame) -> DataFrame:
    """The curve; where a prefix of the order happens to light more than the choice found, it counts."""
    ranked_m = np.concatenate([[task.lit_m(task.existing)], ranking["lit_m"].to_numpy()])
    lit_m = np.maximum(curve.lit_m, ranked_m[np.minimum(curve.n_lamps, len(ranking))])
    lit_m = np.maximum.accumulate(lit_m)
    return DataFrame({"n_lamps": curve.n_lamps, "lit_m": lit_m, "bound_m": np.maximum(curve.bound_m, lit_m)})


def _lamp_table(
    network: AlleyNetwork, task: _Task, chosen: BoolArray, rank: IntArray, gain_m: FloatArray
) -> GeoDataFrame:
    """The shining lamps, named from north to south and west to east."""
    rows = np.flatnonzero(chosen)
    rows = rows[geographic_order(shapely.get_coordinates(task.sites.geometry.to_numpy()[rows]))]
    lamps = task.sites.iloc[rows].reset_index(drop=True)
    digits = max(3, len(str(len(lamps))))
    new = rank[rows] > 0
    xy = shapely.get_coordinates(lamps.geometry.to_numpy())
    return lamps.assign(
        lamp_code=pd.array([f"L{j:0{digits}d}" for j in range(1, len(lamps) + 1)], dtype="str"),
        rank=pd.Series(rank[rows], dtype="Int64").where(new),
        gain_m=np.where(new, gain_m[rows], np.nan),
        aim_deg=_aim_deg(network, lamps),
        quarter=pd.array([None] * len(lamps), dtype="str"),
        x=xy[:, 0],
        y=xy[:, 1],
    )


def _aim_deg(network: AlleyNetwork, lamps: GeoDataFrame) -> FloatArray:
    """Heading of the street side, counter-clockwise from east: as given, or to the nearest centre-line."""
    points = lamps.geometry.to_numpy()
    tree = shapely.STRtree(network.edge_lines)
    aim = np.full(len(points), np.nan)
    if len(points):
        nearest = network.edge_lines[tree.nearest(points)]
        xy = shapely.get_coordinates(shapely.shortest_line(points, nearest)).reshape(-1, 2, 2)
        way = xy[:, 1] - xy[:, 0]
        apart = np.hypot(*way.T) > 1e-6
        aim[apart] = np.degrees(np.arctan2(way[apart, 1], way[apart, 0])) % 360
    given = lamps["aim_deg"].fillna(90.0 - lamps["azimuth_deg"]).to_numpy(dtype=np.float64)
    return np.where(np.isnan(given), aim, given % 360)


def _figures(task: _Task, settings: Settings, solution: Solution, chosen: BoolArray) -> dict[str, Any]:
    alley_m = float(task.cut.length_m.sum())
    lightable_m, lit_m = task.lit_m(~task.barred), task.lit_m(chosen)
    if settings.lamps.goal == "fewest":
        bound_m, gap = lightable_m, solution.gap
    else:
        bound_m = max(task.already_m + solution.bound, lit_m) if solution.gap else lit_m
        gap = gap_between(lit_m, bound_m, sense="max")
    return {
        "n_chosen": int((chosen & ~task.existing).sum()),
        "n_existing": int(task.existing.sum()),
        "alley_m": alley_m,
        "already_lit_m": task.already_m,
        "lightable_m": lightable_m,
        "lit_m": lit_m,
        "lit_before_m": task.lit_m(task.existing),
        "share_lit": lit_m / alley_m,
        "share_of_lightable": lit_m / lightable_m if lightable_m else None,
        "bound_m": bound_m,
        "gap": gap,
        "bound_by": solution.bound_by,
        "model": settings.lamps.model,
    }


def _bounds(network: AlleyNetwork, task: _Task, solution: Solution) -> dict[str, NDArray[Any]]:
    """The prices per metre of alley, from which the bound of the relaxation can be evaluated anew."""
    if len(solution.duals) != len(task.weight_m):
        return {}
    share = np.divide(
        solution.duals, task.weight_m, out=np.zeros_like(task.weight_m), where=task.weight_m > 0
    )
    begin_m = network.edge_from_m[task.cut.edge]
    return {
        "lamps_alley": network.edge_alley[task.cut.edge],
        "lamps_from_m": begin_m + task.cut.from_m,
        "lamps_to_m": begin_m + task.cut.to_m,
        "lamps_price": share,
    }


def _price(task: _Task, curve: _Curve, chosen: BoolArray) -> list[Remark]:
    """What the required sites cost: the metres that as many lamps light where no site is required."""
    n_new = int((chosen & ~task.existing).sum())
    lost_m = float(curve.lit_m[curve.n_lamps == n_new].max()) - task.lit_m(chosen)
    if not task.required.any() or lost_m < NOTHING_M:
        return []
    message = (
        f"{int(task.required.sum())} required sites cost {lost_m:.1f} m of lit alley; "
        "lamp_curve and lamp_ranking leave them free and so can light more than the plan"
    )
    ids = task.sites["site_id"][task.required]
    return [note("required-price", message, layer="lamp_sites", column="status", ids=ids)]


def _remarks(
    task: _Task, settings: Settings, solution: Solution, chosen: BoolArray, short: float
) -> list[Remark]:
    remarks = []
    if short > ORDER_SHORT:
        remarks.append(
            fault(
                "order-short",
                f"the free order lights up to {short:.1%} less than the best choice of as many lamps",
                layer="lamp_ranking",
                column="lit_m",
                remedy="for a given number of lamps use the plan's own choice",
            )
        )
    dark = chosen & (np.diff(task.cut.covers.tocsc().indptr) == 0)
    if dark.any():
        remarks.append(
            doubt(
                "lamp-lights-nothing",
                f"{int(dark.sum())} existing or required lamps light no alley: too far, or in a building",
                layer="lamp_sites",
                ids=task.sites["site_id"][dark],
                remedy="check their position",
            )
        )
    n_new = int((chosen & ~task.existing).sum())
    if (
        settings.lamps.goal == "most-lit"
        and settings.lamps.budget_cny is None
        and n_new < settings.lamps.n_lamps
    ):
        remarks.append(
            doubt(
                "lamps-spare",
                f"{n_new} lamps light all that can be lit; n_lamps allows {settings.lamps.n_lamps}",
                layer="lamps",
                remedy="lower lamps.n_lamps, or add lamp sites along the dark alleys",
            )
        )
    if solution.stopped:
        remarks.append(doubt("not-reproducible", "the lamps' search was stopped by the clock", layer="lamps"))
    return remarks
