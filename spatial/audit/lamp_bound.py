"""The bound of the lamps' light, proved anew from the prices in bounds.npz."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, RELATIVE, say
from spatial.audit.light import Light
from spatial.audit.rays import Spans, cut_pieces
from spatial.audit.stretches import on_edges
from spatial.errors import Remark, fault

__all__ = ["lamp_bound_faults", "proved_m"]

#: "Fewest" asks no lamp for stretches of a centimetre and less; this share of all alley at most.
SLIVERS = 1e-3


def lamp_bound_faults(book: Book, light: Light, lit_m: float) -> Iterator[Remark]:
    """A bound that the plan breaks or that its prices don't prove; with "fewest" too little light."""
    said, lamps = book.summary["lamps"], book.settings.lamps
    slack_m = LENGTH_M + RELATIVE * lit_m
    if said["bound_m"] is not None and lit_m > said["bound_m"] + slack_m:
        text = f"{say(lit_m)} m are lit, the bound says at most {say(said['bound_m'])}"
        yield fault("bound-broken", text, layer="summary", column="lamps.bound_m")
    if lamps.goal == "fewest":
        short_m = lamps.share_of_lightable * float(light.lit_m(light.usable).sum()) - lit_m
        if short_m > SLIVERS * light.length_m.sum():
            text = f"{say(short_m)} m too little are lit for share_of_lightable {lamps.share_of_lightable}"
            yield fault("goal-missed", text, layer="summary", column="lamps.lit_m")
    elif said["bound_by"] == "LP duals" and lamps.budget_cny is None and "lamps_price" in book.bounds:
        own_m = proved_m(book, light)
        if said["bound_m"] < own_m - slack_m:
            text = (
                f"the summary says {say(said['bound_m'])}, the prices in bounds.npz prove only {say(own_m)}"
            )
            yield fault("bound-unproven", text, layer="summary", column="lamps.bound_m")


def proved_m(book: Book, light: Light) -> float:
    """No ``n_lamps`` lamps beside the existing ones light more than this, by the prices in bounds.npz. [m]

    A metre is worth one less its price for nothing, and a lamp the prices of its metres; the existing and
    required lamps are taken, and the best others up to the number.
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
    lightable = np.bincount(pieces.piece[by_lamp], minlength=pieces.line.size) > 0
    each_m = pieces.length_m * (lightable & ~light.lit_already[pieces.line])
    paid = np.zeros(pieces.line.size)
    paid[pieces.piece[~by_lamp]] = np.clip(price[pieces.lamp[~by_lamp] - k], 0.0, 1.0)
    worth_m = np.bincount(pieces.lamp[by_lamp], (each_m * paid)[pieces.piece[by_lamp]], minlength=k)
    required = status == "required"
    taken = light.existing | required
    free = np.sort(worth_m[light.usable & ~taken])[::-1]
    n = max(book.settings.lamps.n_lamps - int(required.sum()), 0)
    already_m = float(light.length_m[light.lit_already].sum())
    return already_m + float((each_m * (1.0 - paid)).sum() + worth_m[taken].sum() + free[:n].sum())
