"""What is lit today, under the plan and after each lamp of the free order, as a page draws it.

The plan's own layers say what the plan lights. What shines today, and what each lamp of the order adds, is
worked out here from the same sites by the same sight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame, GeoSeries
from numpy.typing import NDArray

from spatial.errors import DataError, first_ids
from spatial.maps.sketch import Sketch, View
from spatial.network import AlleyNetwork
from spatial.settings import Settings
from spatial.sight import Stretches, lit_intervals, stretches
from spatial.siting import LitAlong, substrings

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["Light", "light_of", "light_view"]

NEVER = 2**31


@dataclass(frozen=True)
class Light:
    """The network cut where light begins or ends."""

    network: AlleyNetwork
    cut: Stretches
    since: NDArray[np.int64]  # (n,) lamps of the order until a stretch is lit: 0 today, NEVER where none does
    planned: NDArray[np.bool_]  # (n,) lit under the plan
    places: GeoSeries  # (k,) of all lamps, in the order of the cut's columns
    rank: NDArray[np.int64]  # (k,) in the free order, from 1; NEVER for a lamp that is not of it

    @property
    def order(self) -> GeoSeries:
        """Places of the lamps in the free order."""
        return self.places[np.argsort(self.rank, kind="stable")[: int((self.rank < NEVER).sum())]]

    @property
    def today(self) -> LitAlong:
        return LitAlong(self.network, self.cut, self.since == 0)

    @property
    def after(self) -> LitAlong:
        return LitAlong(self.network, self.cut, self.planned)

    def middles(self) -> NDArray[np.object_]:
        """The point in the middle of each stretch."""
        middle_m = (self.cut.from_m + self.cut.to_m) / 2
        return shapely.line_interpolate_point(self.network.edge_lines[self.cut.edge], middle_m)

    def of(self, stretch: NDArray[np.bool_], lamp: NDArray[np.bool_]) -> Light:
        """These stretches alone, and of the free order these lamps alone."""
        rank = np.full(len(self.rank), NEVER)
        chosen = np.flatnonzero(lamp & (self.rank < NEVER))
        rank[chosen[np.argsort(self.rank[chosen], kind="stable")]] = np.arange(1, len(chosen) + 1)
        cut = Stretches(
            self.cut.edge[stretch], self.cut.from_m[stretch], self.cut.to_m[stretch], self.cut.covers[stretch]
        )
        since = np.where(self.since[stretch] == 0, 0, _least(cut, rank))
        return Light(self.network, cut, since, self.planned[stretch], self.places, rank)


def light_of(plan: Plan, network: AlleyNetwork, settings: Settings) -> Light | None:
    """Light by reach and line of sight; None where no lamps were planned or another model counts.

    Raises
    ------
    DataError
        The free order names sites that the plan does not hold, as an older or edited plan may.
    """
    lamps = plan.layers.get("lamps")
    if lamps is None or settings.lamps.model != "reach":
        return None
    sites, rank, shining, standing = _sites(plan, lamps)
    buildings = plan.site.layer("buildings")
    sees = settings.lamps.line_of_sight
    seen = lit_intervals(network, sites, buildings, reach_m=settings.lamps.reach_m, line_of_sight=sees)
    cut = stretches(network, seen, len(sites))
    already = network.alleys["lit"].fillna(False).to_numpy(dtype=bool)[network.edge_alley[cut.edge]]
    since = np.where(already | (cut.covers @ standing), 0, _least(cut, rank))
    return Light(network, cut, since, already | (cut.covers @ shining), sites.geometry, rank)


def _sites(
    plan: Plan, lamps: GeoDataFrame
) -> tuple[GeoDataFrame, NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """The plan's lamps and those of the free order: rank in it, whether planned, whether standing."""
    ranking = plan.layers.get("lamp_ranking")
    sites = lamps[["site_id", "geometry"]]
    ranks = pd.Series(dtype="int64")
    if ranking is not None:
        ranks = pd.Series(ranking["rank"].to_numpy(np.int64), index=ranking["site_id"])
        more = plan.site.layer("lamp_sites")[["site_id", "geometry"]]
        more = more[more["site_id"].isin(ranks.index) & ~more["site_id"].isin(sites["site_id"])]
        sites = gpd.GeoDataFrame(pd.concat([sites, more], ignore_index=True), crs=lamps.crs)
        unknown = ranking["site_id"][~ranking["site_id"].isin(sites["site_id"])]
        if len(unknown):
            raise DataError(
                f"lamp_ranking.site_id: {len(unknown)} sites ({first_ids(unknown)}) are in neither "
                "lamp_sites nor lamps, so the page can't place them; make the plan anew"
            )
    rank = sites["site_id"].map(ranks).fillna(NEVER).to_numpy(np.int64)
    shining = np.arange(len(sites)) < len(lamps)
    standing = shining.copy()
    standing[: len(lamps)] = (lamps["status"] == "existing").to_numpy(bool)
    return sites, rank, shining, standing


def _least(cut: Stretches, rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """The least rank among the sites that light each stretch."""
    least = np.full(len(cut.edge), NEVER)
    row = np.repeat(np.arange(len(cut.edge)), np.diff(cut.covers.indptr))
    np.minimum.at(least, row, rank[cut.covers.indices])
    return least


def light_view(plan: Plan, light: Light, sketch: Sketch) -> View:
    """Lit stretches by how they come to be lit, and the order of lamps with what each adds.

    Returns
    -------
    dict
        ``pieces``: lines of the same ``since`` (lamps of the order until lit; None: never by the order) and
        ``planned``; ``order``: place and metres added of each lamp; ``before_m``, ``alley_m``.
    """
    summary = plan.summary["lamps"]
    ranking = plan.layers.get("lamp_ranking")
    gains = [] if ranking is None else ranking.sort_values("rank")["gain_m"].round(1).tolist()
    places = sketch.points(light.order)
    return {
        "pieces": _pieces(light, sketch),
        "order": [[*at, gain_m] for at, gain_m in zip(places, gains, strict=True) if at is not None],
        "before_m": round(summary["lit_before_m"], 1),
        "alley_m": round(summary["alley_m"], 1),
    }


def _pieces(light: Light, sketch: Sketch) -> list[View]:
    """Stretches that follow each other and are alike as one line, gathered by kind."""
    network, cut = light.network, light.cut
    alley, begin_m = network.edge_alley[cut.edge], network.edge_from_m[cut.edge]
    order = np.lexsort((begin_m + cut.from_m, alley))
    alley, from_m, to_m = alley[order], (begin_m + cut.from_m)[order], (begin_m + cut.to_m)[order]
    since, planned = light.since[order], light.planned[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(alley) > 0) | (np.diff(since) != 0) | (planned[1:] != planned[:-1])
    new[1:] |= np.abs(from_m[1:] - to_m[:-1]) > 1e-6
    first = np.flatnonzero(new)
    to_m = to_m[np.append(first[1:], len(order)) - 1] if len(first) else to_m
    alley, from_m, since, planned = alley[first], from_m[first], since[first], planned[first]
    kept = ((since < NEVER) | planned) & (to_m - from_m > 0.05)
    lines = substrings(network.alleys.geometry.to_numpy(), alley[kept], from_m[kept], to_m[kept])
    since, planned = since[kept], planned[kept]
    drawn: list[View] = []
    for each, shines in sorted(set(zip(since.tolist(), planned.tolist(), strict=True))):
        alike = shapely.line_merge(shapely.multilinestrings([lines[(since == each) & (planned == shines)]]))
        shapes = sketch.lines(GeoSeries(alike, crs=network.alleys.crs))
        drawn.append({"since": None if each == NEVER else each, "planned": shines, "lines": shapes})
    return drawn
