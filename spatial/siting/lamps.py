"""Street lamps: the sites that light the most alley, or the fewest that light a share of it.

Weights are exact lengths of stretches, see :mod:`spatial.sight`, times what a metre is worth, see
:mod:`spatial.siting.weights`. Existing lamps always shine; alleys that are lit already count as lit and
ask for nothing.
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
from scipy import sparse

from spatial.errors import DataError, InfeasibleError, Remark, doubt, fault, note
from spatial.load import Site
from spatial.network import AlleyNetwork
from spatial.settings import Settings
from spatial.siting.candidates import candidate_sites, geographic_order, near_doubt, number_faults
from spatial.siting.demand import NOTHING_M, LampTask, lamp_task, stand
from spatial.siting.lighting import alley_light, dark_run, way_figures
from spatial.siting.orders import Curve, Order, curve_of, free_order, order_of_choice, raised
from spatial.siting.tables import stretch_table
from spatial.siting.ways import LitAlong, WaysHome, ways_home
from spatial.siting.weights import worth_of_light
from spatial.solve import Sides, Solution, covered, gap_between, max_cover, merged_rows, set_cover

__all__ = ["LampPlan", "check_lamps", "check_weight", "choose_lamps", "plan_lamps", "usable_lamp_sites"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LEAST_M = 0.01  # of alley: "fewest" asks no lamp for less
CURVE_PRICES = 3_200_000  # that are kept, 4 bytes each before they are packed
CURVE_SHORT = 0.002  # the share by which a point of the curve may fall short of its bound
ORDER_SHORT = 0.02  # the share by which the free order may fall short of the curve


@dataclass(frozen=True)
class LampPlan:
    """The lamps of a plan and what they light."""

    sites: GeoDataFrame  # every site, given or made: lamp_sites contract and alley_id
    lamps: GeoDataFrame  # PLAN_LAYERS["lamps"] without grid_id
    stretches: GeoDataFrame  # PLAN_LAYERS["stretches"]
    alleys: GeoDataFrame  # PLAN_LAYERS["alleys"] without grid_id
    ranking: DataFrame
    curve: DataFrame
    ways: WaysHome | None  # None without households
    lit: LitAlong
    figures: dict[str, Any]  # SUMMARY["lamps"]
    bounds: Mapping[str, NDArray[Any]]
    remarks: tuple[Remark, ...]


def usable_lamp_sites(site: Site, network: AlleyNetwork, settings: Settings) -> GeoDataFrame:
    """The lamp sites, given or made, where a lamp stands or may."""
    sites, _ = candidate_sites(site, network, settings, layer="lamp_sites")
    return sites[~stand(sites, settings.lamps.apart_m).barred].reset_index(drop=True)


def plan_lamps(
    site: Site, network: AlleyNetwork, settings: Settings, *, in_light: GeoDataFrame | None = None
) -> LampPlan:
    """Choose lamp sites and say what they light.

    Parameters
    ----------
    site : Site
        Layers ``lamp_sites`` (made along the alleys where empty) and ``buildings``; ``households`` for all
        that is said about the way home.
    network : AlleyNetwork
    settings : Settings
        Section ``lamps``. ``n_lamps`` counts new lamps, required ones included; with ``budget_cny`` alone
        there are as many as the money pays for.
    in_light : GeoDataFrame, optional
        Places each of which must have a lamp in sight, such as boards that are to be read at night.

    Returns
    -------
    LampPlan

    Raises
    ------
    DataError
        More sites are required than ``n_lamps``, fewer can be used, a required wall is refused, a
        cost is missing under a budget, the share asked for can't be lit, or a setting asks for what is not
        built yet.
    """
    sites, remarks = candidate_sites(site, network, settings, layer="lamp_sites")
    if faults := check_lamps(sites, settings):
        raise DataError("the lamps can't be planned", [str(each) for each in faults])
    ways = ways_home(site, network, settings) if len(site.layer("households")) else None
    task = lamp_task(site, network, settings, sites, ways, in_light=in_light)
    solution = choose_lamps(task, settings)
    curve = curve_of(task, settings, solution.chosen)
    free = free_order(task, settings, curve)
    curve = raised(task, curve, free)
    order = order_of_choice(task, settings, solution.chosen & ~task.existing, curve)
    chosen = task.existing | task.required
    chosen[order.sites] = True
    drawn = stretch_table(network, task.cut, chosen)
    lit, before = (LitAlong(network, task.cut, task.lit(each)) for each in (chosen, task.existing))
    return LampPlan(
        sites=sites,
        lamps=_lamp_table(network, task, chosen, order),
        stretches=drawn,
        alleys=alley_light(network, task, chosen),
        ranking=_ranking_table(task, free),
        curve=_curve_table(settings, curve),
        ways=ways,
        lit=lit,
        figures={
            **_figures(task, settings, solution, chosen),
            "order_short": order.short,
            "order_short_least": order.short_least,
            **_installed(network, task, chosen),
            **dark_run(drawn),
            **way_figures(site.layer("households"), ways, lit, before),
        },
        bounds={**_bounds(network, task, settings, solution), **_curve_bounds(curve)},
        remarks=(
            *remarks,
            *_remarks(task, settings, solution, chosen, free.short),
            *_loose(curve),
            *_price(task, settings, curve, chosen),
        ),
    )


def check_lamps(sites: GeoDataFrame, settings: Settings) -> list[Remark]:
    """Faults of the sites against the numbers and the money of the settings; ``plan`` refuses them."""
    lamps, may, at = settings.lamps, stand(sites, settings.lamps.apart_m), {"layer": "lamp_sites"}
    ids, cost_cny = sites["site_id"], sites["cost_cny"]
    faults = number_faults(sites, may, lamps.most_lamps, **at)
    if lamps.model != "reach":
        faults.append(fault("setting-unbuilt", f"lamps.model = {lamps.model} is not built yet; use reach"))
    refused = may.required & may.barred
    if refused.any():
        text = f"consent is no for {int(refused.sum())} walls whose status is required"
        remedy = "change one of the two for each"
        faults.append(fault("sites-refused", text, **at, column="consent", ids=ids[refused], remedy=remedy))
    if lamps.budget_cny is None:
        return faults
    unknown = ~may.existing & ~may.barred & cost_cny.isna().to_numpy()
    dear_cny = float(cost_cny[may.required].sum())
    if unknown.any():
        text = f"lamps.budget_cny needs the cost of each site; {int(unknown.sum())} have none"
        faults.append(fault("cost-missing", text, **at, column="cost_cny", ids=ids[unknown]))
    elif dear_cny > lamps.budget_cny:
        text = f"lamps.budget_cny is {lamps.budget_cny:g} but the required sites cost {dear_cny:g}"
        faults.append(fault("budget-short", text, **at, column="cost_cny", ids=ids[may.required]))
    return faults


def check_weight(site: Site, network: AlleyNetwork, settings: Settings) -> None:
    """Refuse at once a weight that asks for people or ways that the site does not have.

    Raises
    ------
    DataError
    """
    if settings.lamps.weight in ("elderly", "way-home"):
        ways = ways_home(site, network, settings) if len(site.layer("households")) else None
        worth_of_light(site, network, settings, ways)


def choose_lamps(task: LampTask, settings: Settings) -> Solution:
    """The best lamps for the number, the money or the share that the settings ask for."""
    lamps = settings.lamps
    if lamps.goal == "fewest":
        return _fewest(task, settings)
    n_required = int(task.required.sum())
    sides = task.sides.and_(task.shown)
    if lamps.budget_cny is not None:
        sides = sides.and_(_money(task, lamps.budget_cny))
    try:
        return max_cover(
            task.cut.covers,
            task.worth,
            n=(int(task.usable.sum()) if lamps.most_lamps is None else lamps.most_lamps) - n_required,
            fixed=task.existing | task.required,
            barred=task.barred,
            sides=sides,
            effort=settings.work.effort,
            seed=settings.work.seed,
        )
    except InfeasibleError:
        raise _too_few_for_boards(task, settings) from None


def _too_few_for_boards(task: LampTask, settings: Settings) -> DataError:
    """Lamps can't be in sight of all boards; says how many it would take where distances allow any."""
    n_boards, how = task.shown.use.shape[0], "the distances lamps.apart_m asks for leave none that do"
    try:
        fewest = set_cover(
            task.shown.use,
            np.ones(n_boards),
            fixed=task.existing | task.required,
            barred=task.barred,
            sides=task.sides,
            effort=settings.work.effort,
            seed=settings.work.seed,
        )
        how = f"that takes {round(fewest.value) + int(task.required.sum())} new lamps at least"
    except InfeasibleError:
        pass
    return DataError(
        "the lamps can't be planned",
        [
            f"boards.lit_at_night = require asks for a lamp in sight of each of {n_boards} boards; {how}; "
            "allow more lamps or money, or set it to prefer"
        ],
    )


def _money(task: LampTask, budget_cny: float) -> Sides:
    """New lamps cost no more than the budget."""
    cost_cny = task.sites["cost_cny"].fillna(0.0).to_numpy(dtype=np.float64)
    use = sparse.csr_array(np.where(task.usable, cost_cny, 0.0)[None])
    return Sides.at_most(use, np.array([budget_cny]))


def _fewest(task: LampTask, settings: Settings) -> Solution:
    share, work = settings.lamps.share_of_lightable, settings.work
    group, _ = merged_rows(task.cut.covers)
    asked = np.bincount(group, task.cut.length_m * ~task.lit_already)[group] >= LEAST_M
    worth = np.where(asked, task.worth, 0.0)
    most = float(worth[covered(task.cut.covers, ~task.barred)].sum())
    target = share * (most + task.already_worth) - task.already_worth
    fixed = task.existing | task.required
    try:
        return set_cover(
            task.cut.covers,
            worth,
            target=target if share < 1 else None,
            fixed=fixed,
            barred=task.barred,
            sides=task.sides.and_(task.shown),
            effort=work.effort,
            seed=work.seed,
        )
    except InfeasibleError:
        if not len(task.sides.most):
            raise _too_few_for_boards(task, settings) from None
        reached = max_cover(
            task.cut.covers,
            worth,
            n=int(task.usable.sum()),
            fixed=fixed,
            barred=task.barred,
            sides=task.sides,
            effort=work.effort,
            seed=work.seed,
        )
    could = (reached.value + task.already_worth) / (most + task.already_worth)
    raise DataError(
        f"lamps.share_of_lightable is {share:g}, but with lamps.apart_m = {settings.lamps.apart_m:g} "
        f"a share of {np.floor(could * 1e4) / 1e4:g} was the most that was found; lower one of the two"
    )


def _ranking_table(task: LampTask, order: Order) -> DataFrame:
    return DataFrame(
        {
            "rank": np.arange(1, len(order.sites) + 1),
            "site_id": task.sites["site_id"].to_numpy(dtype=object)[order.sites],
            "gain_m": order.gain_m,
            "lit_m": task.lit_m(task.existing) + np.cumsum(order.gain_m),
            "worth": task.lit_worth(task.existing) + np.cumsum(order.gain),
        }
    )


def _curve_table(settings: Settings, curve: Curve) -> DataFrame:
    """A bound of the worth is a bound of the metres where a metre is worth one."""
    plain = settings.lamps.weight == "plain"
    return DataFrame(
        {
            "n_lamps": curve.n_lamps,
            "lit_m": curve.lit_m,
            "bound_m": curve.bound if plain else np.nan,
            "worth": curve.worth,
            "bound_worth": curve.bound,
        }
    )


def _lamp_table(network: AlleyNetwork, task: LampTask, chosen: BoolArray, order: Order) -> GeoDataFrame:
    """The shining lamps, named from north to south and west to east."""
    rank, gain_m = np.zeros(len(chosen), dtype=np.int64), np.zeros(len(chosen))
    rank[order.sites], gain_m[order.sites] = np.arange(1, len(order.sites) + 1), order.gain_m
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


def _figures(task: LampTask, settings: Settings, solution: Solution, chosen: BoolArray) -> dict[str, Any]:
    alley_m = float(task.cut.length_m.sum())
    lightable_m, lit_m = task.lit_m(~task.barred), task.lit_m(chosen)
    lightable, worth = task.lit_worth(~task.barred), task.lit_worth(chosen)
    if settings.lamps.goal == "fewest":
        bound, gap = lightable, solution.gap
    else:
        bound = max(task.already_worth + solution.bound, worth) if solution.gap else worth
        gap = gap_between(worth, bound, sense="max")
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
        "bound_m": bound if settings.lamps.weight == "plain" else None,
        "weight": settings.lamps.weight,
        "worth": worth,
        "worth_lightable": lightable,
        "bound_worth": bound,
        "gap": gap,
        "bound_by": solution.bound_by,
        "model": settings.lamps.model,
    }


def _installed(network: AlleyNetwork, task: LampTask, chosen: BoolArray) -> dict[str, Any]:
    """The installation rate that offices quote: alleys with a lamp, or lit already, among all alleys."""
    alley_id = network.alleys["alley_id"]
    with_lamp = alley_id.isin(task.sites["alley_id"][chosen]) | network.alleys["lit"].fillna(False)
    return {"share_alleys_with_lamp": float(with_lamp.mean())}


def _bounds(
    network: AlleyNetwork, task: LampTask, settings: Settings, solution: Solution
) -> dict[str, NDArray[Any]]:
    """The worth of a metre where it is not one, and the prices that prove the bound anew.

    Of a metre; of sets of sites too near to each other; of a lamp in sight of a board, below 0; with
    "fewest" the number of lamps that a metre, and reaching the goal by one more, are worth.
    """
    begin_m, worth = network.edge_from_m[task.cut.edge], task.worth
    price = solution.duals[: len(worth)]
    n_apart, n_shown = len(task.sides.most), len(task.shown.most)
    paid = np.flatnonzero(solution.side_duals[:n_apart])
    sets = sparse.coo_array(task.sides.use[paid])
    found = {
        "lamps_alley": network.edge_alley[task.cut.edge],
        "lamps_from_m": begin_m + task.cut.from_m,
        "lamps_to_m": begin_m + task.cut.to_m,
        "lamps_price": np.divide(price, worth, out=np.zeros_like(worth), where=worth > 0),
        "lamps_apart_set": sets.row.astype(np.int64),
        "lamps_apart_site": sets.col.astype(np.int64),
        "lamps_apart_price": solution.side_duals[paid],
        "lamps_shown_price": solution.side_duals[n_apart : n_apart + n_shown],
    }
    if settings.lamps.weight != "plain":
        found["lamps_per_m"] = task.per_m
    if settings.lamps.goal == "fewest":
        found["lamps_goal_price"] = solution.duals[-1:]
    return found


def _curve_bounds(curve: Curve) -> dict[str, NDArray[Any]]:
    """The prices that prove the bounds of the curve, of as many of its points as there is room for.

    Stretches with the same prices at all points share a place in ``lamps_curve_price``, which holds one
    number of lamps after another.
    """
    if not len(curve.price):
        return {}
    _, first, place = np.unique(curve.price, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.argsort(order)
    n_kept = int(np.clip(CURVE_PRICES // len(first), 1, len(curve.n_lamps)))
    kept = np.unique(np.linspace(0, len(curve.n_lamps) - 1, n_kept).round().astype(int))
    return {
        "lamps_curve_place": rank[place].astype(np.int32),
        "lamps_curve_n": curve.n_lamps[kept],
        "lamps_curve_price": curve.price[kept][:, first[order]].ravel(),
    }


def _price(task: LampTask, settings: Settings, curve: Curve, chosen: BoolArray) -> list[Remark]:
    """What the required sites cost: the metres that as many lamps light where no site is required."""
    n_new = int((chosen & ~task.existing).sum())
    lost_m = float(curve.worth[curve.n_lamps == n_new].max()) - task.lit_worth(chosen)
    plain = settings.lamps.weight == "plain" and settings.lamps.budget_cny is None
    if not plain or not task.required.any() or lost_m < NOTHING_M:
        return []
    message = (
        f"{int(task.required.sum())} required sites cost {lost_m:.1f} m of lit alley; "
        "lamp_curve and lamp_ranking leave them free and so can light more than the plan"
    )
    ids = task.sites["site_id"][task.required]
    return [note("required-price", message, layer="lamp_sites", column="status", ids=ids)]


def _loose(curve: Curve) -> list[Remark]:
    """Points of the curve that are farther below their bound than is promised."""
    short = (curve.bound - curve.worth) / np.maximum(curve.bound, NOTHING_M)
    n_lamps = curve.n_lamps[short > CURVE_SHORT]
    if not len(n_lamps):
        return []
    message = (
        f"{len(n_lamps)} of {len(short)} points of the curve are proved only to within {short.max():.2%}: "
        f"a better choice may exist for {n_lamps[0]} to {n_lamps[-1]} lamps"
    )
    remedy = "for one number plan with it as lamps.n_lamps; its own bound is closer"
    return [doubt("curve-loose", message, layer="lamp_curve", column="bound_worth", remedy=remedy)]


def _remarks(
    task: LampTask, settings: Settings, solution: Solution, chosen: BoolArray, short: float
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
    if task.clashing.any():
        remarks.append(
            near_doubt(task.sites, task.clashing, layer="lamp_sites", apart_m=settings.lamps.apart_m)
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
    most = settings.lamps.most_lamps
    if most is not None and settings.lamps.budget_cny is None and n_new < most:
        remarks.append(
            doubt(
                "lamps-spare",
                f"{n_new} lamps light all that can be lit; n_lamps allows {most}",
                layer="lamps",
                remedy="lower lamps.n_lamps, or add lamp sites along the dark alleys",
            )
        )
    if solution.stopped:
        remarks.append(doubt("not-reproducible", "the lamps' search was stopped by the clock", layer="lamps"))
    return remarks
