"""Lamps recounted: where they stand, what they light, in which order they light it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.audit.book import Book
from spatial.audit.compare import (
    LENGTH_M,
    RELATIVE,
    SHARE,
    column_differs,
    figures_differ,
    rows_that,
    say,
)
from spatial.audit.lamp_bound import curve_bound_faults, lamp_bound_faults, proved_bounds
from spatial.audit.lamp_prices import priced_light
from spatial.audit.light import Light, Worth, refused_walls, too_near
from spatial.audit.lighting import alley_light_faults, lighting_faults, share_faults
from spatial.audit.sites import place_faults, site_faults
from spatial.audit.stretches import stretch_faults
from spatial.audit.worth import recount_worth, worth_faults
from spatial.errors import Remark, fault

__all__ = ["lamp_faults"]

#: A free order of installation may fall this short of the curve.
_ORDER_SHORT = 0.02

#: Directions are compared to this, in degrees.
TURN_DEG = 1e-3

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def lamp_faults(book: Book, light: Light) -> tuple[list[Remark], dict[str, Any], dict[str, float | None]]:
    """Every difference in the lamps' part of a plan, its figures recounted, and its bounds proved anew."""
    settings = book.settings.lamps
    lit_m = light.lit_m(light.shining)
    sites, chosen = book.site.layer("lamp_sites"), book.layers["lamps"]
    refused = chosen["site_id"].isin(sites.loc[refused_walls(sites), "site_id"])
    worth = recount_worth(book)
    figures, market = _figures(book, light, worth, lit_m), priced_light(book, light, worth)
    own = proved_bounds(book, market)
    remarks = [
        *site_faults(book, "lamp_sites", "lamps", limit=settings.most_lamps),
        *_budget_faults(book),
        *rows_that(
            refused,
            chosen["site_id"],
            "wall-refused",
            "hang on a wall whose owner said no",
            at="lamps.site_id",
        ),
        *place_faults(book, "lamps"),
        *_attribute_faults(book),
        *_apart_faults(book),
        *worth_faults(book, worth),
        *_order_faults(book, light, worth),
        *stretch_faults(book, light),
        *_curve_faults(book),
        *curve_bound_faults(book, market),
        *lamp_bound_faults(book, figures["worth"], figures["worth_lightable"], own),
        *lighting_faults(book, light),
        *alley_light_faults(book, light),
        *(share_faults(book, light) if "households" in book.layers else ()),
        *figures_differ("lamps", book.summary["lamps"], figures),
    ]
    return remarks, figures, own


def _budget_faults(book: Book) -> Iterator[Remark]:
    """New lamps that cost more than the budget."""
    lamps, budget_cny = book.layers["lamps"], book.settings.lamps.budget_cny
    cost_cny = float(lamps.loc[lamps["status"] != "existing", "cost_cny"].sum())
    if budget_cny is not None and cost_cny > budget_cny * (1 + RELATIVE):
        text = f"the new lamps cost {say(cost_cny)}, the budget is {say(budget_cny)}"
        yield fault("budget-broken", text, layer="lamps", column="cost_cny")


def _apart_faults(book: Book) -> Iterator[Remark]:
    """Chosen lamps nearer to another lamp than ``apart_m``; required ones stand where they must."""
    lamps, apart_m = book.layers["lamps"], book.settings.lamps.apart_m
    points = lamps.geometry.to_numpy()
    free = (lamps["status"] == "candidate").to_numpy(bool)
    a, b = too_near(points, points, apart_m - LENGTH_M) if apart_m else np.zeros((2, 0), np.int64)
    beside = np.isin(np.arange(len(lamps)), a[(a != b) & free[a]])
    text = f"are chosen and stand less than {say(apart_m)} m from another lamp"
    yield from rows_that(beside, lamps["site_id"], "lamps-too-near", text, at="lamps.geometry")


def _figures(book: Book, light: Light, worth: Worth, lit_m: Floats) -> dict[str, Any]:
    """The section ``lamps`` of the summary, as far as it can be recounted."""
    lamps = book.layers["lamps"]
    alley_m, lightable_m = float(light.length_m.sum()), float(light.lit_m(light.usable).sum())
    total_m = float(lit_m.sum())
    existing = (lamps["status"] == "existing").to_numpy(bool)
    return {
        "n_chosen": int((~existing).sum()),
        "n_existing": int(existing.sum()),
        "alley_m": alley_m,
        "already_lit_m": float(light.length_m[light.lit_already].sum()),
        "lightable_m": lightable_m,
        "lit_m": total_m,
        "lit_before_m": float(light.lit_m(light.existing).sum()),
        "share_lit": total_m / alley_m if alley_m else None,
        "share_of_lightable": total_m / lightable_m if lightable_m else None,
        "weight": book.settings.lamps.weight,
        "worth": light.worth(light.shining, worth),
        "worth_lightable": light.worth(light.usable | light.existing, worth),
        **_gap(book),
        "model": book.settings.lamps.model,
    }


def _gap(book: Book) -> dict[str, float]:
    """The gap between what is lit and the bound that the plan states; "fewest" has a gap in lamps instead."""
    said = book.summary["lamps"]
    if book.settings.lamps.goal == "fewest" or not said["bound_worth"]:
        return {}
    return {"gap": (said["bound_worth"] - said["worth"]) / said["bound_worth"]}


def _attribute_faults(book: Book) -> Iterator[Remark]:
    """Columns of the lamps that are the site's own."""
    lamps = book.layers["lamps"]
    sites = book.site.layer("lamp_sites").set_index("site_id").reindex(lamps["site_id"])
    for column in ("mount", "luminaire"):
        yield from column_differs(
            f"lamps.{column}", lamps["site_id"], lamps[column], sites[column], text=True
        )
    for column in ("height_m", "tilt_deg", "flux_lm", "power_w", "cost_cny"):
        yield from column_differs(f"lamps.{column}", lamps["site_id"], lamps[column], sites[column])
    own = sites["aim_deg"].fillna(90.0 - sites["azimuth_deg"]).to_numpy(float)
    own = np.where(np.isnan(own), _towards_alley(book, lamps.geometry.to_numpy()), own)
    turned = np.abs((lamps["aim_deg"].to_numpy(float) - own + 180) % 360 - 180)
    wrong = ~(turned <= TURN_DEG) & ~np.isnan(own)
    text = "aim elsewhere than their site says, or than the nearest centre-line"
    yield from rows_that(wrong, lamps["site_id"], "figure-differs", text, at="lamps.aim_deg")


def _towards_alley(book: Book, points: NDArray[np.object_]) -> Floats:
    """Heading from each point to the nearest centre-line, NaN on it. [degrees counter-clockwise from east]"""
    ways = shapely.union_all(book.network.edge_lines)
    line = shapely.get_coordinates(shapely.shortest_line(points, ways)).reshape(-1, 2, 2)
    step = line[:, 1] - line[:, 0]
    heading = np.degrees(np.arctan2(step[:, 1], step[:, 0])) % 360
    return np.where(np.hypot(*step.T) > LENGTH_M, heading, np.nan)


def _order_faults(book: Book, light: Light, worth: Worth) -> Iterator[Remark]:
    """Gains in the order of the choice's ranks, and of the free nested order."""
    lamps, ranking = book.layers["lamps"], book.layers["lamp_ranking"]
    new = lamps[lamps["rank"].notna()].sort_values("rank")
    for layer, rows in (("lamps", new), ("lamp_ranking", ranking)):
        ids = rows["site_id"]
        yield from column_differs(f"{layer}.rank", ids, rows["rank"], np.arange(1, len(rows) + 1))
        gain_m, gain = _gains(book, light, worth, ids)
        yield from column_differs(f"{layer}.gain_m", ids, rows["gain_m"], gain_m[1:])
        if layer == "lamp_ranking":
            yield from column_differs(f"{layer}.lit_m", ids, rows["lit_m"], np.cumsum(gain_m)[1:])
            yield from column_differs(f"{layer}.worth", ids, rows["worth"], np.cumsum(gain)[1:])
        else:
            yield from _short_faults(book, np.cumsum(gain))


def _short_faults(book: Book, worth: Floats) -> Iterator[Remark]:
    """The shortfall of the lamps in their order against the curve, and the least that is claimed for any."""
    curve, said = book.layers["lamp_curve"], book.summary["lamps"]
    n_lamps, best = curve["n_lamps"].to_numpy(int), curve["worth"].to_numpy(float)
    here = (n_lamps < worth.size) & (best > 0)
    short = float(np.max(1.0 - worth[n_lamps[here]] / best[here], initial=0.0))
    if said["order_short"] is not None and said["order_short"] < short - SHARE:
        text = f"the summary says {say(said['order_short'])}, recounted {say(short)}"
        yield fault("figure-differs", text, layer="summary", column="lamps.order_short")
    if said["order_short_least"] is not None and said["order_short_least"] > said["order_short"] + SHARE:
        text = f"{say(said['order_short_least'])} is more than the order's own {say(said['order_short'])}"
        yield fault("bound-broken", text, layer="summary", column="lamps.order_short_least")


def _gains(book: Book, light: Light, worth: Worth, ids: pd.Series) -> tuple[Floats, Floats]:
    """Metres newly lit by each site in the order given, and their worth; first what is lit before all. [m]"""
    sites = pd.Index(book.site.layer("lamp_sites")["site_id"])
    rank = np.full(len(sites), np.iinfo(np.int64).max)
    row = sites.get_indexer(ids)
    rank[row[row >= 0]] = np.flatnonzero(row >= 0) + 1
    rank[light.existing] = 0
    pieces, per_m = light.pieces(rank <= len(ids), worth)
    first = np.full(pieces.line.size, np.iinfo(np.int64).max)
    np.minimum.at(first, pieces.piece, rank[pieces.lamp])
    first[light.lit_already[pieces.line]] = 0
    lit = first <= len(ids)
    gain_m = np.bincount(first[lit], pieces.length_m[lit], minlength=len(ids) + 1)
    gain = np.bincount(first[lit], (pieces.length_m * per_m)[lit], minlength=len(ids) + 1)
    return gain_m.astype(float), gain.astype(float)


def _curve_faults(book: Book) -> Iterator[Remark]:
    """The curve may not pass its bounds, nor fall; the free order may fall at most 2 % short of it."""
    curve, ranking = book.layers["lamp_curve"], book.layers["lamp_ranking"]
    worth, n_lamps = curve["worth"].to_numpy(float), curve["n_lamps"]
    slack = LENGTH_M + RELATIVE * worth
    if book.settings.lamps.weight == "plain":
        for column, other in (("lit_m", "worth"), ("bound_m", "bound_worth")):
            yield from column_differs(f"lamp_curve.{column}", n_lamps, curve[column], curve[other])
    broken = worth > curve["bound_worth"].to_numpy(float) + slack
    text = "light more than their bound"
    yield from rows_that(broken, n_lamps, "bound-broken", text, at="lamp_curve.bound_worth")
    falls = np.diff(worth, prepend=-np.inf) < -slack
    yield from rows_that(falls, n_lamps, "curve-falls", "light less with more lamps", at="lamp_curve.worth")
    both = curve[["n_lamps", "worth", "bound_worth"]].merge(
        ranking[["rank", "worth"]], left_on="n_lamps", right_on="rank", suffixes=("", "_ordered")
    )
    ordered, at = both["worth_ordered"], "lamp_ranking.worth"
    slack = LENGTH_M + RELATIVE * both["worth"]
    above = ordered > both["bound_worth"] + slack
    yield from rows_that(above, both["rank"], "bound-broken", "light more than the curve's bound", at=at)
    if any(each.get("code") == "order-short" for each in book.summary["faults"]):
        return  # declared: the order is what it is, and every figure of it was recounted
    short = ordered < (1 - _ORDER_SHORT) * both["worth"] - slack
    yield from rows_that(short, both["rank"], "order-short", "fall more than 2 % short of the curve", at=at)
