"""Alleys recounted: their lengths on the noded network, their light, the grid they belong to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, column_differs, rows_that, say
from spatial.audit.exclusive import Enclaves
from spatial.audit.ways import Ground
from spatial.errors import Remark, fault

__all__ = ["alley_faults", "alley_grid_faults"]


def alley_faults(book: Book, lit_m: NDArray[np.float64] | None) -> Iterator[Remark]:
    """Alleys that are missing, drawn elsewhere, or say another length or lit length than recounted.

    Parameters
    ----------
    lit_m : array, optional
        Recounted lit length of each alley of the network; None where no lamps were planned. [m]
    """
    network, alleys = book.network, book.layers["alleys"]
    ids = alleys["alley_id"]
    known = pd.Index(network.alleys["alley_id"])
    unlike = sorted(set(ids) ^ set(known))
    if unlike:
        text = f"{len(unlike)} alleys are in plan.gpkg only or in site.gpkg only"
        yield fault("rows-differ", text, layer="alleys", column="alley_id", ids=unlike)
        return
    row = known.get_indexer(ids)
    names = network.alleys["name"].iloc[row]
    yield from column_differs("alleys.name", ids, alleys["name"], names, text=True)
    length_m = np.bincount(network.edge_alley, network.edge_length_m, minlength=len(known))[row]
    yield from column_differs("alleys.length_m", ids, alleys["length_m"], length_m)
    own_lit_m = np.full(len(row), np.nan) if lit_m is None else lit_m[row]
    yield from column_differs("alleys.lit_m", ids, alleys["lit_m"], own_lit_m)
    share = alleys["lit_m"].to_numpy(float) / alleys["length_m"].to_numpy(float)
    yield from column_differs("alleys.share_lit", ids, alleys["share_lit"], share)
    off_m = shapely.hausdorff_distance(alleys.geometry.to_numpy(), network.alleys.geometry.to_numpy()[row])
    off = f"are drawn off their alley of site.gpkg, up to {say(float(off_m.max()))} m"
    yield from rows_that(off_m > LENGTH_M, ids, "drawn-elsewhere", off, at="alleys.geometry")


def alley_grid_faults(book: Book, ground: Ground, enclaves: Enclaves) -> Iterator[Remark]:
    """Alleys that name another grid than the one whose doors most of their length is nearest to.

    An alley with more than half of its length on the ground of an exclusive place is that place's.
    """
    network, alleys, grids = book.network, book.layers["alleys"], book.layers["grids"]
    alone_m, shared_m = ground.metres(network.edge_alley[ground.ways.edge], len(network.alleys))
    row = pd.Index(network.alleys["alley_id"]).get_indexer(alleys["alley_id"])
    exclusive = grids["kind"].eq("exclusive").fillna(False).to_numpy(bool)
    said = pd.Index(grids["grid_id"][~exclusive]).get_indexer(alleys["grid_id"])
    most_m = alone_m.max(axis=1).toarray().ravel()[row]
    said_m = np.where(said >= 0, shared_m[row, np.maximum(said, 0)], 0.0)
    wrong = (row >= 0) & ((said_m < most_m - LENGTH_M) | ((said < 0) & (most_m > 0)))
    owner, margin_m = _owners(alleys, grids[exclusive], enclaves)
    wrong = np.where(np.isnan(owner), wrong, alleys["grid_id"].to_numpy(float, na_value=np.nan) != owner)
    wrong &= margin_m > LENGTH_M  # about half of the alley on exclusive ground: either may keep it
    text = "lie more on the ground of another grid than of the one they name"
    yield from rows_that(wrong, alleys["alley_id"], "figure-differs", text, at="alleys.grid_id")


def _owners(
    alleys: GeoDataFrame, grids: GeoDataFrame, enclaves: Enclaves
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The exclusive grid that holds more than half of each alley, NaN none, and how clearly. [m]"""
    owner, margin_m = np.full(len(alleys), np.nan), np.full(len(alleys), np.inf)
    lines = alleys.geometry.to_numpy()
    for each in enclaves.ground:
        here = grids["grid_id"][grids.intersects(shapely.point_on_surface(each))]
        over_m = shapely.length(shapely.intersection(lines, each)) - shapely.length(lines) / 2
        margin_m = np.minimum(margin_m, np.abs(over_m))
        owner[over_m > 0] = here.max() if len(here) else -1
    return owner, margin_m
