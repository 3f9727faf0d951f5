"""Chosen sites of lamps and boards: that they exist, stand where they are said to, and may be used."""

from __future__ import annotations

from collections.abc import Iterator

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, column_differs, rows_that, say
from spatial.errors import Remark, fault

__all__ = ["place_faults", "site_faults"]

_MUST = ("existing", "required")


def site_faults(book: Book, sites_layer: str, plan_layer: str, *, limit: int | None) -> Iterator[Remark]:
    """Chosen sites that don't exist, moved or may not be used, and sites that must be there and aren't."""
    sites = book.site.layer(sites_layer).set_index("site_id")
    chosen = book.layers[plan_layer]
    ids, at = chosen["site_id"], f"{plan_layer}.site_id"
    yield from column_differs(f"{plan_layer}.x", ids, chosen["x"], chosen.geometry.x)
    yield from column_differs(f"{plan_layer}.y", ids, chosen["y"], chosen.geometry.y)
    yield from rows_that(~ids.isin(sites.index), ids, "site-unknown", f"are not in {sites_layer}", at=at)
    yield from rows_that(ids.duplicated(), ids, "site-twice", "use a site that another row uses", at=at)
    yield from _number_faults(chosen, plan_layer, kept=book.is_kept)
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
    if limit is not None and n_new > limit:
        text = f"{n_new} sites are chosen, the settings allow {limit}"
        yield fault("too-many-sites", text, layer=plan_layer, column="site_id")


def _number_faults(chosen: gpd.GeoDataFrame, plan_layer: str, *, kept: bool) -> Iterator[Remark]:
    """Codes must be a letter and a number, each once; ranks the numbers from 1 on or empty.

    Numbers run from 1 on without a gap, unless an earlier plan's codes were kept.
    """
    name = {"lamps": "lamp_code", "boards": "board_code"}[plan_layer]
    number = pd.to_numeric(chosen[name].str.removeprefix(name[0].upper()), errors="coerce").to_numpy(float)
    whole = chosen[name].notna().to_numpy(bool) & (number >= 1) & (number == np.floor(number))
    own = whole & ~chosen[name].duplicated(keep=False).to_numpy(bool) & (kept | (number <= len(chosen)))
    text = "have no code of their own" if kept else f"don't have one of the codes from 1 to {len(chosen)}"
    yield from rows_that(~own, chosen["site_id"], "code-unknown", text, at=f"{plan_layer}.{name}")
    ranks = np.sort(chosen["rank"].dropna().to_numpy(np.int64))
    if not np.array_equal(ranks, np.arange(1, ranks.size + 1)):
        text = f"ranks are not the numbers from 1 to {ranks.size}, each once"
        yield fault("figure-differs", text, layer=plan_layer, column="rank")


def place_faults(book: Book, plan_layer: str) -> Iterator[Remark]:
    """Sites whose alley is not the nearest one, or whose grid is not the one they stand in."""
    rows, network = book.layers[plan_layer], book.network
    ids, points = rows["site_id"], rows.geometry.to_numpy()
    alley = pd.Index(network.alleys["alley_id"]).get_indexer(rows["alley_id"])
    nearest = network.edge_lines[shapely.STRtree(network.edge_lines).nearest(points)]
    named = network.alleys.geometry.to_numpy()[np.maximum(alley, 0)]
    farther = (alley < 0) | (shapely.distance(points, named) > shapely.distance(points, nearest) + LENGTH_M)
    text = "name an alley that is not their nearest"
    yield from rows_that(farther, ids, "figure-differs", text, at=f"{plan_layer}.alley_id")
    if "grids" not in book.layers:
        return
    polygons = book.layers["grids"].geometry.to_numpy()
    grid = pd.Index(book.layers["grids"]["grid_id"]).get_indexer(rows["grid_id"])
    nearest = polygons[shapely.STRtree(polygons).nearest(points)]
    named = polygons[np.maximum(grid, 0)]
    farther = (grid < 0) | ~(shapely.distance(points, named) <= shapely.distance(points, nearest) + LENGTH_M)
    text = "name a grid they do not stand in"
    yield from rows_that(farther, ids, "figure-differs", text, at=f"{plan_layer}.grid_id")
