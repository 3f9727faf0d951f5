"""The bounds of the lamps' light, number and curve, proved anew from the prices in bounds.npz."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, RELATIVE, figures_differ, rows_that, say
from spatial.audit.lamp_prices import Market
from spatial.audit.light import too_near
from spatial.audit.night import lamps_seen
from spatial.errors import Remark, fault

__all__ = ["bought", "curve_bound_faults", "lamp_bound_faults", "proved_bounds"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Bounds = dict[str, float | None]

TINY = 1e-6  # of a lamp

#: "Fewest" asks no lamp for stretches of a centimetre and less; this share of all alley at most.
SLIVERS = 1e-3


def lamp_bound_faults(book: Book, value: float, lightable: float, own: Bounds) -> Iterator[Remark]:
    """A bound that the plan breaks or that its prices don't prove; with "fewest" too little light.

    Parameters
    ----------
    value, lightable : float
        What the lit metres are worth, and what all usable lamps could light.
    own : dict
        What :func:`proved_bounds` says.
    """
    said, lamps = book.summary["lamps"], book.settings.lamps
    plain = lamps.weight == "plain"
    bound = said["bound_m" if plain else "bound_worth"]
    slack = LENGTH_M + RELATIVE * value
    yield from figures_differ("lamps", said, {"bound_worth": bound} if plain else {"bound_m": None})
    if bound is not None and value > bound + slack:
        text = f"what is lit is worth {say(value)}, the bound says at most {say(bound)}"
        column = "lamps.bound_m" if plain else "lamps.bound_worth"
        yield fault("bound-broken", text, layer="summary", column=column)
    short = lamps.share_of_lightable * lightable - value
    if lamps.goal == "fewest" and short > SLIVERS * value:
        text = f"{say(short)} too little is lit for share_of_lightable {lamps.share_of_lightable}"
        yield fault("goal-missed", text, layer="summary", column="lamps.worth")
    if said["bound_by"] != "LP duals":
        return
    if (most := own.get("bound_worth")) is not None and bound < most - slack:
        text = f"the summary says {say(bound)}, the prices in bounds.npz prove only {say(most)}"
        yield fault("bound-unproven", text, layer="summary", column="lamps.bound_worth")
    if (least := own.get("n_chosen")) is not None:
        n_required = int((book.site.layer("lamp_sites")["status"] == "required").sum())
        told = n_required + (said["n_chosen"] - n_required) / (1.0 + said["gap"])
        if told > least + 0.5:
            text = f"the gap says at least {told:.0f} lamps, the prices in bounds.npz prove only {least:.0f}"
            yield fault("bound-unproven", text, layer="summary", column="lamps.gap")


def curve_bound_faults(book: Book, market: Market | None) -> Iterator[Remark]:
    """Points of the curve whose bounds their prices don't prove."""
    curve = book.layers["lamp_curve"]
    n_lamps, bound = curve["n_lamps"].to_numpy(int), curve["bound_worth"].to_numpy(float)
    own = np.full(len(curve), -np.inf)
    for n, most in _curve_prices(book, market):
        own[n_lamps == n] = most[min(n, len(most) - 1)]
    wrong = own > bound + LENGTH_M + RELATIVE * curve["worth"].to_numpy(float)
    text = "have a lower bound than the prices in bounds.npz prove"
    yield from rows_that(wrong, n_lamps, "bound-unproven", text, at="lamp_curve.bound_worth")


def proved_bounds(book: Book, market: Market | None) -> Bounds:
    """What the prices in bounds.npz prove of the lamps, None where there are none.

    ``bound_worth``: no ``n_lamps`` lamps beside the existing ones light more; or with "fewest" ``n_chosen``:
    no fewer lamps light so much. ``curve_gap``: the most by which a point of the curve falls short of what
    is proved, as a share.
    """
    goal = "n_chosen" if book.settings.lamps.goal == "fewest" else "bound_worth"
    if market is None:
        return {goal: None, "curve_gap": None}
    own = _fewest(book, market) if goal == "n_chosen" else _most_worth(book, market)
    return {goal: own, "curve_gap": _curve_gap(book, market)}


def _curve_prices(book: Book, market: Market | None) -> Iterator[tuple[int, Floats]]:
    """The numbers of lamps for which prices are kept, and what these prove for 0, 1, 2 … lamps."""
    keys = ("lamps_curve_place", "lamps_curve_n", "lamps_curve_price")
    if market is None or not set(keys) <= set(book.bounds) or book.settings.lamps.apart_m:
        return
    place, n_lamps, prices = (book.bounds[key] for key in keys)
    width = prices.size // max(n_lamps.size, 1)
    if prices.size != width * n_lamps.size or not ((place >= 0) & (place < width)).all():
        return
    for n, price in zip(n_lamps.tolist(), prices.reshape(-1, width).astype(float), strict=True):
        yield n, market.most_along(price[place])


def _curve_gap(book: Book, market: Market) -> float | None:
    curve, most = book.layers["lamp_curve"], None
    n_lamps = curve["n_lamps"].to_numpy(int)
    for _, along in _curve_prices(book, market):
        here = along[np.minimum(n_lamps, len(along) - 1)]
        most = here if most is None else np.minimum(most, here)
    if most is None:
        return None
    return float(np.max((most - curve["worth"].to_numpy(float)) / np.maximum(most, LENGTH_M), initial=0.0))


def _most_worth(book: Book, market: Market) -> float:
    """No ``n_lamps`` lamps beside the existing ones light more than this.

    A lamp is worth the prices of its metres less those of the sets it is in, of sites too near to each other,
    and more where it has a board in sight; a set's price is paid once, a board's given back. The existing and
    required lamps are taken, and the best others up to the number and within the money.
    """
    lamps, price = book.settings.lamps, np.clip(book.bounds["lamps_price"], 0.0, 1.0)
    taken = market.existing | market.required
    free = market.usable & ~taken
    site_worth = market.site_worth(price)
    of_sets, paid_once = _sides(book, taken)
    site_worth[free] += of_sets[free]
    n = taken.size if lamps.most_lamps is None else max(lamps.most_lamps - int(market.required.sum()), 0)
    if lamps.budget_cny is None:
        added = float(np.sort(np.maximum(site_worth[free], 0.0))[::-1][:n].sum())
    else:
        cost_cny = book.site.layer("lamp_sites")["cost_cny"].fillna(0.0).to_numpy(float)
        left_cny = lamps.budget_cny - float(cost_cny[market.required & market.usable].sum())
        added = bought(site_worth[free], cost_cny[free], n, left_cny)
    return market.for_nothing(price) + float(site_worth[taken].sum()) + added + paid_once


def _fewest(book: Book, market: Market) -> float | None:
    """No fewer new lamps, required ones included, light the share asked for of what can be lit.

    A stretch has a price in lamps; where only a share is asked for, reaching it by one more is worth so
    much, and dark stretches give that back. Where the prices of a site's stretches are above 1, it comes off.
    """
    if "lamps_goal_price" not in book.bounds:
        return None
    taken, share = market.existing | market.required, book.settings.lamps.share_of_lightable
    free = market.usable & ~taken
    lit = np.asarray(market.by_site[taken].sum(axis=0)).ravel() > 0  # asks for nothing more
    per_worth = np.where(lit, 0.0, np.maximum(book.bounds["lamps_price"], 0.0))
    least = float(market.lightable @ per_worth)
    if share < 1:
        goal = max(float(book.bounds["lamps_goal_price"][0]), 0.0)
        most = market.already + float(market.lightable.sum())
        left = share * most - market.already - float(market.lightable[lit].sum())
        least = goal * left + float(market.lightable @ np.where(lit, 0.0, np.minimum(per_worth - goal, 0.0)))
    of_sets, paid_once = _sides(book, taken)
    over = (market.site_worth(per_worth) + of_sets)[free] - 1.0
    least -= paid_once + float(np.maximum(over, 0.0).sum())
    return float(max(np.ceil(least - TINY), 0.0)) + int(market.required.sum())


def _sides(book: Book, taken: Bools) -> tuple[Floats, float]:
    """What the sets and boards that a site is in add to its worth, and what is paid for them all once.

    A set counts only if each two of its sites are nearer than ``apart_m``, a board only if no lamp that is
    taken has it in sight.
    """
    points = book.site.layer("lamp_sites").geometry.to_numpy()
    adds, once = np.zeros(points.size), 0.0
    a, b = too_near(points, points, book.settings.lamps.apart_m)
    closer = sparse.csr_array((np.ones(a.size), (a, b)), shape=(points.size, points.size))
    number, site = (book.bounds.get(f"lamps_apart_{key}", np.zeros(0, int)) for key in ("set", "site"))
    for which, price in enumerate(np.maximum(book.bounds.get("lamps_apart_price", np.zeros(0)), 0.0)):
        members = site[number == which]
        if closer[members][:, members].count_nonzero() == members.size**2:  # a site is near to itself
            adds[members] -= price
            once += float(price)
    price = np.maximum(-book.bounds.get("lamps_shown_price", np.zeros(0)), 0.0)
    if book.settings.boards.lit_at_night == "require" and price.any():
        boards = book.layers["boards"]
        boards = boards[boards["status"] != "existing"].geometry.to_numpy()
        if len(boards) != price.size:
            return adds, once
        board, lamp = lamps_seen(book, boards, points)
        shown = np.bincount(board[taken[lamp]], minlength=len(boards)) > 0
        counts = ~shown[board]
        np.add.at(adds, lamp[counts], price[board[counts]])
        once -= float(price[~shown].sum())
    return adds, once


def bought(worth: Floats, cost_cny: Floats, n: int, left_cny: float) -> float:
    """No ``n`` sites within the money are worth more: the least over prices of a yuan, each of which proves.

    What the sites are worth after they are paid for, and the money at its price, is convex in the price.
    """

    def most(price: float) -> float:
        gain = np.maximum(worth - price * cost_cny, 0.0)
        return price * left_cny + float(np.sort(gain)[::-1][:n].sum())

    low, high = 0.0, float((worth / np.maximum(cost_cny, 1e-9)).max(initial=0.0))
    high = min(high, 1e6)
    for _ in range(100):
        third = (high - low) / 3
        if most(low + third) <= most(high - third):
            high -= third
        else:
            low += third
    return min(most(0.0), most(low), most(high))
