"""The bound of the lamps' light, proved anew from the prices in bounds.npz."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, RELATIVE, figures_differ, say
from spatial.audit.light import Light, Worth
from spatial.audit.rays import Spans, cut_pieces
from spatial.audit.stretches import on_edges
from spatial.errors import Remark, fault

__all__ = ["lamp_bound_faults", "proved"]

#: "Fewest" asks no lamp for stretches of a centimetre and less; this share of all alley at most.
SLIVERS = 1e-3


def lamp_bound_faults(book: Book, light: Light, worth: Worth, value: float) -> Iterator[Remark]:
    """A bound that the plan breaks or that its prices don't prove; with "fewest" too little light.

    Parameters
    ----------
    value : float
        What the lit metres are worth.
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
    elif said["bound_by"] == "LP duals" and not _limited(book) and "lamps_price" in book.bounds:
        own = proved(book, light, worth)
        if bound < own - slack:
            text = f"the summary says {say(bound)}, the prices in bounds.npz prove only {say(own)}"
            yield fault("bound-unproven", text, layer="summary", column="lamps.bound_worth")


def _limited(book: Book) -> bool:
    """Whether money or distances limit the choice, whose prices are not kept."""
    lamps = book.settings.lamps
    return lamps.budget_cny is not None or lamps.apart_m > 0


def proved(book: Book, light: Light, worth: Worth) -> float:
    """No ``n_lamps`` lamps beside the existing ones light more than this, by the prices in bounds.npz.

    A metre is worth its weight less its price for nothing, and a lamp the prices of its metres; the existing
    and required lamps are taken, and the best others up to the number.
    """
    status = book.site.layer("lamp_sites")["status"].to_numpy(object)
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
    free = np.sort(site_worth[light.usable & ~taken])[::-1]
    most = book.settings.lamps.most_lamps
    n = k if most is None else max(most - int(required.sum()), 0)
    already = light.worth(np.zeros(k, bool), worth)
    return already + float((each * (1.0 - paid)).sum() + site_worth[taken].sum() + free[:n].sum())
