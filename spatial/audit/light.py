"""What the lamp sites light, and who shines in the plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pandas import DataFrame

from spatial.audit.book import Book
from spatial.audit.rays import Spans, cut_pieces, lit_spans

__all__ = ["Light", "recount_light", "refused_walls"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Light:
    """The recounted light: spans of every site, by row of site.gpkg's lamp_sites, and who shines."""

    spans: Spans  # on the edges of the noded network
    length_m: Floats  # of each edge
    alley: Ints  # of each edge
    n_alleys: int
    lit_already: Bools  # edges of alleys lit along their whole length by lamps not in the data
    existing: Bools
    usable: Bools
    shining: Bools  # existing and chosen

    def lit_m(self, lamps: Bools) -> Floats:
        """Lit length of each alley under the lamps marked true and the alleys lit already. [m]"""
        pieces = cut_pieces(self.spans.of(lamps), self.length_m)
        lit = (pieces.n_lamps > 0) | self.lit_already[pieces.line]
        by_alley = self.alley[pieces.line[lit]]
        return np.bincount(by_alley, pieces.length_m[lit], minlength=self.n_alleys).astype(float)


def recount_light(book: Book) -> Light:
    """What every lamp site can light, by trying, and which sites shine in the plan."""
    sites, settings = book.site.layer("lamp_sites"), book.settings.lamps
    network = book.network
    lit = network.alleys["lit"].fillna(False).to_numpy(bool)
    status = sites["status"].to_numpy(object)
    existing = status == "existing"
    spans = lit_spans(
        network.edge_lines,
        shapely.get_coordinates(sites.geometry.to_numpy()),
        book.site.layer("buildings").geometry.to_numpy(),
        reach_m=settings.reach_m,
        line_of_sight=settings.line_of_sight,
    )
    return Light(
        spans,
        network.edge_length_m,
        network.edge_alley,
        lit.size,
        lit[network.edge_alley],
        existing,
        (status != "forbidden") & ~refused_walls(sites),
        sites["site_id"].isin(book.layers["lamps"]["site_id"]).to_numpy(bool),
    )


def refused_walls(sites: DataFrame) -> Bools:
    """New lamps on walls whose owners said no."""
    return (
        (sites["mount"] == "wall") & (sites["consent"] == "no") & (sites["status"] != "existing")
    ).to_numpy(bool)
