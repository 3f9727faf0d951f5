"""Lamps recounted: where they stand, what they light, in which order they light it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pandas import DataFrame

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, column_differs, figures_differ, rows_that, say
from spatial.audit.rays import Pieces, Spans, cut_pieces, lit_spans, ranges
from spatial.errors import Remark, fault
from spatial.network import AlleyNetwork

__all__ = ["Light", "lamp_faults", "recount_light", "site_faults"]

#: A free order of installation may fall this short of the curve.
_ORDER_SHORT = 0.02
#: What a required or existing site, a forbidden one and a refused wall are called in a remark.
_MUST = ("existing", "required")

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
        (status != "forbidden") & ~_refused(sites),
        sites["site_id"].isin(book.layers["lamps"]["site_id"]).to_numpy(bool),
    )


def lamp_faults(book: Book, light: Light) -> tuple[list[Remark], dict[str, Any]]:
    """Every difference in the lamps' part of a plan, and its figures recounted."""
    lit_m = light.lit_m(light.shining)
    sites, chosen = book.site.layer("lamp_sites"), book.layers["lamps"]
    refused = chosen["site_id"].isin(sites.loc[_refused(sites), "site_id"])
    figures = _figures(book, light, lit_m)
    remarks = [
        *site_faults(book, "lamp_sites", "lamps", limit=book.settings.lamps.n_lamps),
        *rows_that(
            refused,
            chosen["site_id"],
            "wall-refused",
            "hang on a wall whose owner said no",
            at="lamps.site_id",
        ),
        *_order_faults(book, light),
        *_stretch_faults(book, light),
        *_curve_faults(book),
        *figures_differ("lamps", book.summary["lamps"], figures),
    ]
    return remarks, figures


def site_faults(book: Book, sites_layer: str, plan_layer: str, *, limit: int) -> Iterator[Remark]:
    """Chosen sites that don't exist, moved or may not be used, and sites that must be there and aren't."""
    sites = book.site.layer(sites_layer).set_index("site_id")
    chosen = book.layers[plan_layer]
    ids, at = chosen["site_id"], f"{plan_layer}.site_id"
    yield from column_differs(f"{plan_layer}.x", ids, chosen["x"], chosen.geometry.x)
    yield from column_differs(f"{plan_layer}.y", ids, chosen["y"], chosen.geometry.y)
    yield from rows_that(~ids.isin(sites.index), ids, "site-unknown", f"are not in {sites_layer}", at=at)
    yield from rows_that(ids.duplicated(), ids, "site-twice", "use a site that another row uses", at=at)
    known = chosen[ids.isin(sites.index)]
    ids, place = known["site_id"], sites.loc[known["site_id"]]
    moved_m = shapely.distance(known.geometry.to_numpy(), place.geometry.to_numpy())
    moved = f"stand elsewhere than their site, up to {say(float(moved_m.max(initial=0.0)))} m"
    yield from rows_that(moved_m > LENGTH_M, ids, "site-moved", moved, at=f"{plan_layer}.geometry")
    yield from column_differs(f"{plan_layer}.status", ids, known["status"], place["status"], text=True)
    yield from rows_that(place["status"] == "forbidden", ids, "site-forbidden", "use a forbidden site", at=at)
    absent = sites["status"].isin(_MUST) & ~sites.index.isin(ids)
    yield from rows_that(
        absent, sites.index, "site-missing", f"of {sites_layer} are existing or required and not here", at=at
    )
    n_new = int((known["status"] != "existing").sum())
    if n_new > limit:
        text = f"{n_new} sites are chosen, the settings allow {limit}"
        yield fault("too-many-sites", text, layer=plan_layer, column="site_id")


def _refused(sites: DataFrame) -> Bools:
    """New lamps on walls whose owners said no."""
    return (
        (sites["mount"] == "wall") & (sites["consent"] == "no") & (sites["status"] != "existing")
    ).to_numpy(bool)


def _figures(book: Book, light: Light, lit_m: Floats) -> dict[str, Any]:
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
        "model": book.settings.lamps.model,
    }


def _order_faults(book: Book, light: Light) -> Iterator[Remark]:
    """Gains in the order of the choice's ranks, and of the free nested order."""
    lamps, ranking = book.layers["lamps"], book.layers["lamp_ranking"]
    new = lamps[lamps["rank"].notna()].sort_values("rank")
    for layer, rows in (("lamps", new), ("lamp_ranking", ranking)):
        ids = rows["site_id"]
        yield from column_differs(f"{layer}.rank", ids, rows["rank"], np.arange(1, len(rows) + 1))
        gain_m, before_m = _gains(book, light, ids)
        yield from column_differs(f"{layer}.gain_m", ids, rows["gain_m"], gain_m)
        if layer == "lamp_ranking":
            yield from column_differs(f"{layer}.lit_m", ids, rows["lit_m"], before_m + np.cumsum(gain_m))


def _gains(book: Book, light: Light, ids: pd.Series) -> tuple[Floats, float]:
    """Metres newly lit by each site in the order given, and the metres lit before the first. [m]"""
    sites = pd.Index(book.site.layer("lamp_sites")["site_id"])
    rank = np.full(len(sites), np.iinfo(np.int64).max)
    row = sites.get_indexer(ids)
    rank[row[row >= 0]] = np.flatnonzero(row >= 0) + 1
    rank[light.existing] = 0
    pieces = cut_pieces(light.spans.of(rank <= len(ids)), light.length_m)
    first = np.full(pieces.line.size, np.iinfo(np.int64).max)
    np.minimum.at(first, pieces.piece, rank[pieces.lamp])
    first[light.lit_already[pieces.line]] = 0
    lit = first <= len(ids)
    gain_m = np.bincount(first[lit], pieces.length_m[lit], minlength=len(ids) + 1)
    return gain_m[1:].astype(float), float(gain_m[0])


def _stretch_faults(book: Book, light: Light) -> Iterator[Remark]:
    """Stretches must tile every alley, lie on it, and be lit by as many lamps as they say."""
    stretches, alleys = book.layers["stretches"], book.network.alleys
    names = stretches["alley_id"]
    row = pd.Index(alleys["alley_id"]).get_indexer(names)
    if (row < 0).any():
        yield fault(
            "rows-differ", "stretches of no alley", layer="stretches", column="alley_id", ids=names[row < 0]
        )
        return
    from_m = stretches["from_m"].to_numpy(float)
    to_m = from_m + stretches["length_m"].to_numpy(float)
    yield from _drawn_elsewhere(stretches, alleys.geometry.to_numpy()[row], from_m, to_m)
    edge, stretch, edge_from_m, edge_to_m = _on_edges(book.network, row, from_m, to_m)
    shining = light.spans.of(light.shining)
    k = light.shining.size
    both = Spans(
        np.concatenate([shining.line, edge]),
        np.concatenate([shining.lamp, k + stretch]),
        np.concatenate([shining.from_m, edge_from_m]),
        np.concatenate([shining.to_m, edge_to_m]),
    )
    yield from _tiling_faults(book, light, cut_pieces(both, light.length_m), k)


def _on_edges(
    network: AlleyNetwork, alley: Ints, from_m: Floats, to_m: Floats
) -> tuple[Ints, Ints, Floats, Floats]:
    """Pieces of alley as pieces of edge: edge, row of the piece, from and to along the edge."""
    start_m = np.concatenate([[0.0], np.cumsum(network.alleys.length.to_numpy() + 1.0)])  # alleys end to end
    order = np.lexsort([network.edge_from_m, network.edge_alley])
    begin = (start_m[network.edge_alley] + network.edge_from_m)[order]
    end = begin + network.edge_length_m[order]
    low, high = start_m[alley] + from_m, start_m[alley] + to_m
    at, piece = ranges(np.searchsorted(end, low, side="right"), np.searchsorted(begin, high, side="left"))
    edge_from_m = np.maximum(low[piece] - begin[at], 0.0)
    edge_to_m = np.minimum(high[piece], end[at]) - begin[at]
    return order[at], piece, edge_from_m, edge_to_m


def _tiling_faults(book: Book, light: Light, pieces: Pieces, k: int) -> Iterator[Remark]:
    """Pieces whose lamp is k or more say which stretch they belong to, the others who lights them."""
    stretches = book.layers["stretches"]
    by_lamp = pieces.lamp < k
    n_lamps = np.bincount(pieces.piece[by_lamp], minlength=pieces.line.size)
    n_stretches = np.bincount(pieces.piece[~by_lamp], minlength=pieces.line.size)
    astray_m = np.bincount(
        light.alley[pieces.line], pieces.length_m * (n_stretches != 1), minlength=light.n_alleys
    )
    astray = f"have {say(float(astray_m.sum()))} m in no stretch or in several"
    alley_ids = book.network.alleys["alley_id"]
    yield from rows_that(astray_m > LENGTH_M, alley_ids, "stretches-astray", astray, at="stretches.alley_id")
    piece, stretch = pieces.piece[~by_lamp], pieces.lamp[~by_lamp] - k
    lit = (n_lamps > 0) | light.lit_already[pieces.line]
    wrong = {
        "n_lamps": n_lamps[piece] != stretches["n_lamps"].to_numpy(float)[stretch],
        "lit": lit[piece] != stretches["lit"].to_numpy(bool)[stretch],
    }
    for column, unlike in wrong.items():
        wrong_m = np.bincount(stretch, pieces.length_m[piece] * unlike, minlength=len(stretches))
        text = f"differ from the recount, over {say(float(wrong_m.sum()))} m"
        at = f"stretches.{column}"
        yield from rows_that(wrong_m > LENGTH_M, stretches["alley_id"], "figure-differs", text, at=at)


def _drawn_elsewhere(
    stretches: DataFrame, lines: NDArray[np.object_], from_m: Floats, to_m: Floats
) -> Iterator[Remark]:
    """Stretches whose drawn line is not the piece of centre-line they say."""
    drawn = stretches.geometry.to_numpy()
    off_m = np.maximum(
        shapely.distance(shapely.get_point(drawn, 0), shapely.line_interpolate_point(lines, from_m)),
        shapely.distance(shapely.get_point(drawn, -1), shapely.line_interpolate_point(lines, to_m)),
    )
    off_m = np.maximum(off_m, np.abs(shapely.length(drawn) - (to_m - from_m)))
    points, owner = shapely.get_coordinates(drawn, return_index=True)
    np.maximum.at(off_m, owner, shapely.distance(shapely.points(points), lines[owner]))
    off = f"are drawn off the piece of alley they name, up to {say(float(off_m.max(initial=0.0)))} m"
    yield from rows_that(
        off_m > LENGTH_M, stretches["alley_id"], "drawn-elsewhere", off, at="stretches.geometry"
    )


def _curve_faults(book: Book) -> Iterator[Remark]:
    """The curve may not pass its bounds, nor fall; the free order may fall at most 2 % short of it."""
    curve, ranking = book.layers["lamp_curve"], book.layers["lamp_ranking"]
    lit_m, n_lamps = curve["lit_m"].to_numpy(float), curve["n_lamps"]
    broken = lit_m > curve["bound_m"].to_numpy(float) + LENGTH_M
    yield from rows_that(
        broken, n_lamps, "bound-broken", "light more than their bound", at="lamp_curve.bound_m"
    )
    falls = np.diff(lit_m, prepend=-np.inf) < -LENGTH_M
    yield from rows_that(falls, n_lamps, "curve-falls", "light less with more lamps", at="lamp_curve.lit_m")
    both = curve[["n_lamps", "lit_m", "bound_m"]].merge(
        ranking[["rank", "lit_m"]], left_on="n_lamps", right_on="rank", suffixes=("", "_ordered")
    )
    ordered_m, at = both["lit_m_ordered"], "lamp_ranking.lit_m"
    above = ordered_m > both["bound_m"] + LENGTH_M
    yield from rows_that(above, both["rank"], "bound-broken", "light more than the curve's bound", at=at)
    short = ordered_m < (1 - _ORDER_SHORT) * both["lit_m"] - LENGTH_M
    yield from rows_that(short, both["rank"], "order-short", "fall more than 2 % short of the curve", at=at)
