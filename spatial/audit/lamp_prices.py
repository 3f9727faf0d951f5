"""What lamps can light at best, by prices of the stretches in bounds.npz and sight of its own.

A metre is worth its weight less its price for nothing, and a site the prices of its metres; whatever the
prices, no choice is worth more than what is had for nothing and the best sites. Prices that ask for so much
light bound the number of lamps in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spatial.audit.book import Book
from spatial.audit.light import Light, Worth
from spatial.audit.rays import Spans, cut_pieces
from spatial.audit.stretches import on_edges

__all__ = ["Market", "priced_light"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: "Fewest" asks no lamp for stretches shorter than this. [m]
LEAST_M = 0.01


@dataclass(frozen=True)
class Market:
    """What the usable sites (k) can light of the stretches in bounds.npz (s), in worth.

    Alleys that are lit already ask for nothing and are left out.
    """

    by_site: sparse.csr_array  # (k, s)
    lightable: Floats  # (s,) of any site
    unpriced: float  # what can be lit and is in no stretch
    already: float  # what is lit without any lamp of the data
    existing: Bools  # (k,)
    required: Bools
    usable: Bools

    def site_worth(self, price: Floats) -> Floats:
        """What each site's metres cost at prices (s,) per worth: (k,)."""
        return self.by_site @ price

    def for_nothing(self, price: Floats) -> float:
        """What is had without paying at prices (s,) from 0 to 1, whoever shines."""
        return self.already + self.unpriced + float(self.lightable @ (1.0 - price))

    def most_along(self, price: Floats) -> Floats:
        """What 0, 1, 2 … lamps beside the existing ones light at most, by prices (s,): (k + 1,)."""
        price = np.clip(price, 0.0, 1.0)
        worth = self.site_worth(price)
        free = np.where(self.usable & ~self.existing, worth, 0.0)
        best = np.append(0.0, np.cumsum(np.sort(free)[::-1]))
        return np.asarray(self.for_nothing(price) + float(worth[self.existing].sum()) + best)


def priced_light(book: Book, light: Light, worth: Worth) -> Market | None:
    """What each site can light of each stretch; None where no stretches are kept.

    With "fewest" pieces shorter than a centimetre are left out.
    """
    if "lamps_price" not in book.bounds:
        return None
    alley, from_m, to_m = (book.bounds[f"lamps_{key}"] for key in ("alley", "from_m", "to_m"))
    edge, row, begin_m, end_m = on_edges(book.network, alley, from_m, to_m)
    usable, k = light.spans.of(light.usable), light.usable.size
    both = Spans(
        np.concatenate([usable.line, edge]),
        np.concatenate([usable.lamp, k + row]),
        np.concatenate([usable.from_m, begin_m]),
        np.concatenate([usable.to_m, end_m]),
    )
    pieces = cut_pieces(both, light.length_m)
    by_lamp = pieces.lamp < k
    per_m = worth.at(pieces.line, (pieces.from_m + pieces.to_m) / 2)
    each = pieces.length_m * per_m * ~light.lit_already[pieces.line]
    if book.settings.lamps.goal == "fewest":
        each[pieces.length_m < LEAST_M] = 0.0
    each[np.bincount(pieces.piece[by_lamp], minlength=each.size) == 0] = 0.0
    stretch = np.full(each.size, -1)  # each piece is of one stretch at most
    stretch[pieces.piece[~by_lamp]] = pieces.lamp[~by_lamp] - k
    piece, lamp = pieces.piece[by_lamp], pieces.lamp[by_lamp]
    on = stretch[piece] >= 0
    by_site = sparse.coo_array(
        (each[piece[on]], (lamp[on], stretch[piece[on]])), shape=(k, len(alley))
    ).tocsr()
    known = stretch >= 0
    status = book.site.layer("lamp_sites")["status"].to_numpy(object)
    return Market(
        by_site=by_site,
        lightable=np.bincount(stretch[known], each[known], minlength=len(alley)).astype(float),
        unpriced=float(each[~known].sum()),
        already=light.worth(np.zeros(k, bool), worth),
        existing=light.existing,
        required=status == "required",
        usable=light.usable,
    )
