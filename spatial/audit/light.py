"""What the lamp sites light, and who shines in the plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pandas import DataFrame

from spatial.audit.book import Book
from spatial.audit.rays import Pieces, Spans, cut_pieces, lit_spans

__all__ = ["Light", "Worth", "recount_light", "recount_usable", "refused_walls", "too_near"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Worth:
    """What a metre of light is worth, on spans that follow each other along every edge."""

    edge: Ints
    from_m: Floats
    to_m: Floats
    per_m: Floats

    def at(self, edge: Ints, at_m: Floats) -> Floats:
        """The worth of a metre at some places of edges."""
        order = np.lexsort([self.from_m, self.edge])
        far_m = 1.0 + max(float(self.to_m.max(initial=0.0)), float(at_m.max(initial=0.0)))
        begins = self.edge[order] * far_m + self.from_m[order]
        return self.per_m[order][np.searchsorted(begins, edge * far_m + at_m, side="right") - 1]


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

    def lit_within(self, lamps: Bools, edge: Ints, from_m: Floats, to_m: Floats) -> Floats:
        """Lit metres of each span (s) of an edge under the lamps marked true and the alleys lit already."""
        shining, k = self.spans.of(lamps), self.existing.size
        both = Spans(
            np.concatenate([shining.line, edge]),
            np.concatenate([shining.lamp, k + np.arange(edge.size)]),
            np.concatenate([shining.from_m, from_m]),
            np.concatenate([shining.to_m, to_m]),
        )
        cut = cut_pieces(both, self.length_m)
        by_lamp = cut.lamp < k
        lit = (np.bincount(cut.piece[by_lamp], minlength=cut.line.size) > 0) | self.lit_already[cut.line]
        piece, span = cut.piece[~by_lamp], cut.lamp[~by_lamp] - k
        return np.bincount(span, (cut.length_m * lit)[piece], minlength=edge.size).astype(float)

    def worth(self, lamps: Bools, worth: Worth) -> float:
        """What the light of the lamps marked true and of the alleys lit already is worth."""
        pieces, per_m = self.pieces(lamps, worth)
        lit = (pieces.n_lamps > 0) | self.lit_already[pieces.line]
        return float((pieces.length_m * per_m)[lit].sum())

    def pieces(self, lamps: Bools, worth: Worth) -> tuple[Pieces, Floats]:
        """The edges cut where light or worth changes, and what a metre of each piece is worth."""
        shining, k = self.spans.of(lamps), self.existing.size
        both = Spans(
            np.concatenate([shining.line, worth.edge]),
            np.concatenate([shining.lamp, k + np.arange(worth.edge.size)]),
            np.concatenate([shining.from_m, worth.from_m]),
            np.concatenate([shining.to_m, worth.to_m]),
        )
        cut = cut_pieces(both, self.length_m)
        by_lamp = cut.lamp < k
        pieces = Pieces(cut.line, cut.from_m, cut.to_m, cut.piece[by_lamp], cut.lamp[by_lamp])
        return pieces, worth.at(cut.line, (cut.from_m + cut.to_m) / 2)


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
        recount_usable(book),
        sites["site_id"].isin(book.layers["lamps"]["site_id"]).to_numpy(bool),
    )


def recount_usable(book: Book) -> Bools:
    """Lamp sites where a lamp stands or may: not forbidden, not refused, not too near to one that is sure."""
    sites = book.site.layer("lamp_sites")
    sure = sites["status"].isin(["existing", "required"]).to_numpy(bool)
    beside = _beside(sites.geometry.to_numpy(), sure, book.settings.lamps.apart_m)
    return (sites["status"] != "forbidden").to_numpy(bool) & ~refused_walls(sites) & (sure | ~beside)


def too_near(points: NDArray[np.object_], others: NDArray[np.object_], apart_m: float) -> Ints:
    """Pairs (row of points, row of others) of places less than ``apart_m`` from each other: (2, p)."""
    pairs = shapely.STRtree(others).query(points, predicate="dwithin", distance=apart_m)
    return pairs[:, shapely.distance(points[pairs[0]], others[pairs[1]]) < apart_m]


def _beside(points: NDArray[np.object_], sure: Bools, apart_m: float) -> Bools:
    """Sites too near to a lamp that stands or must stand."""
    return np.isin(np.arange(len(points)), too_near(points, points[sure], apart_m)[0])


def refused_walls(sites: DataFrame) -> Bools:
    """New lamps on walls whose owners said no."""
    return (
        (sites["mount"] == "wall") & (sites["consent"] == "no") & (sites["status"] != "existing")
    ).to_numpy(bool)
