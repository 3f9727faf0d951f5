"""The bound of the lamps' light, proved anew from the prices in bounds.npz."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, RELATIVE, figures_differ, say
from spatial.audit.light import Light, Worth, too_near
from spatial.audit.night import lamps_seen
from spatial.audit.rays import Spans, cut_pieces
from spatial.audit.stretches import on_edges
from spatial.errors import Remark, fault

__all__ = ["bought", "lamp_bound_faults", "proved"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: "Fewest" asks no lamp for stretches of a centimetre and less; this share of all alley at most.
SLIVERS = 1e-3


def lamp_bound_faults(
    book: Book, light: Light, worth: Worth, value: float, own: float | None
) -> Iterator[Remark]:
    """A bound that the plan breaks or that its prices don't prove; with "fewest" too little light.

    Parameters
    ----------
    value : float
        What the lit metres are worth.
    own : float, optional
        What :func:`proved` says.
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
    if lamps.goal == "fewest":
        short = lamps.share_of_lightable * light.worth(light.usable | light.existing, worth) - value
        if short > SLIVERS * value:
            text = f"{say(short)} too little is lit for share_of_lightable {lamps.share_of_lightable}"
            yield fault("goal-missed", text, layer="summary", column="lamps.worth")
    elif said["bound_by"] == "LP duals" and own is not None and bound < own - slack:
        text = f"the summary says {say(bound)}, the prices in bounds.npz prove only {say(own)}"
        yield fault("bound-unproven", text, layer="summary", column="lamps.bound_worth")


def proved(book: Book, light: Light, worth: Worth) -> float | None:
    """No ``n_lamps`` lamps beside the existing ones light more than this, by the prices in bounds.npz.

    A metre is worth its weight less its price for nothing, and a lamp the prices of its metres less those of
    the sets it is in, of sites too near to each other, and more where it has a board in sight; a set's price
    is paid once, a board's given back. The existing and required lamps are taken, and the best others up to
    the number and within the money. None where no prices are kept.
    """
    if book.settings.lamps.goal == "fewest" or "lamps_price" not in book.bounds:
        return None
    sites, lamps = book.site.layer("lamp_sites"), book.settings.lamps
    status = sites["status"].to_numpy(object)
    alley, from_m, to_m, price = (book.bounds[f"lamps_{key}"] for key in ("alley", "from_m", "to_m", "price"))
    edge, row, begin_m, end_m = on_edges(book.network, alley, from_m, to_m)
    usable, k = light.spans.of(light.usable), status.size
    both = Spans(
        np.concatenate([usable.line, edge]),
        np.concatenate([usable.lamp, k + row]),
        np.concatenate([usable.from_m, begin_m]),
        np.concatenate([usable.to_m, end_m]),
    )
    pieces = cut_pieces(both, light.length_m)
    by_lamp = pieces.lamp < k
    per_m = worth.at(pieces.line, (pieces.from_m + pieces.to_m) / 2)
    lightable = np.bincount(pieces.piece[by_lamp], minlength=pieces.line.size) > 0
    each = pieces.length_m * per_m * (lightable & ~light.lit_already[pieces.line])
    paid = np.zeros(pieces.line.size)
    paid[pieces.piece[~by_lamp]] = np.clip(price[pieces.lamp[~by_lamp] - k], 0.0, 1.0)
    site_worth = np.bincount(pieces.lamp[by_lamp], (each * paid)[pieces.piece[by_lamp]], minlength=k)
    required = status == "required"
    taken = light.existing | required
    free = light.usable & ~taken
    of_sets, paid_once = _sides(book, taken)
    site_worth[free] += of_sets[free]
    n = k if lamps.most_lamps is None else max(lamps.most_lamps - int(required.sum()), 0)
    if lamps.budget_cny is None:
        added = float(np.sort(np.maximum(site_worth[free], 0.0))[::-1][:n].sum())
    else:
        cost_cny = sites["cost_cny"].fillna(0.0).to_numpy(float)
        left_cny = lamps.budget_cny - float(cost_cny[required & light.usable].sum())
        added = bought(site_worth[free], cost_cny[free], n, left_cny)
    already = light.worth(np.zeros(k, bool), worth)
    return already + float((each * (1.0 - paid)).sum() + site_worth[taken].sum()) + added + paid_once


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
