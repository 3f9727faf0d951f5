"""The ground of the grids: polygons that tile the boundary, in one piece, around whole houses.

Where an area lies in several pieces, a household off its grid's area or a building on two, a note must say
so; notes of what is not there are differences as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.audit.book import Book
from spatial.audit.compare import rows_that, say
from spatial.errors import Remark, fault

__all__ = ["area_faults"]

ROUNDING_M = 2e-3  # edges lie on a raster of 1 mm, so the boundary's own are moved by less than this
NOTHING_M2 = 1e-4
AT_HOME_M = 0.1  # households of two grids at one door stand on the edge between them, or almost
CUT_M2 = 0.1
AT_WALL_M = 0.5  # a household this near to a building may live in it
SLACK = 1e-6  # what lies on a limit is on either side of it


def area_faults(book: Book) -> Iterator[Remark]:
    """Edges that overlap or don't match, ground in no grid or outside, and what no note tells of."""
    grids = book.layers["grids"]
    ids, polygons, at = grids["grid_id"], grids.geometry.to_numpy(), "grids.geometry"
    invalid = ~shapely.is_valid(polygons)
    if invalid.any():
        yield from rows_that(invalid, ids, "polygon-invalid", "cross themselves", at=at)
        return
    astray_m = shapely.length(shapely.coverage_invalid_edges(polygons))
    overlap = f"overlap a neighbour or don't match its edge, over {say(float(astray_m.sum()))} m"
    yield from rows_that(astray_m > 0, ids, "polygons-overlap", overlap, at=at)
    boundary = shapely.union_all(book.site.layer("boundary").geometry.to_numpy())
    inner, outer = (shapely.buffer(boundary, by_m, join_style="mitre") for by_m in (-ROUNDING_M, ROUNDING_M))
    gap_m2 = float(shapely.area(shapely.difference(inner, shapely.union_all(polygons))))
    if gap_m2 > NOTHING_M2:
        yield fault(
            "ground-uncovered",
            f"{say(gap_m2)} m2 of the boundary belong to no grid",
            layer="grids",
            column="geometry",
        )
    outside_m2 = shapely.area(shapely.difference(polygons, outer))
    outside = f"reach outside the boundary, by {say(float(outside_m2.sum()))} m2"
    yield from rows_that(outside_m2 > NOTHING_M2, ids, "ground-outside", outside, at=at)
    yield from _told(book, "grid-outside", grids["code"][shapely.is_empty(polygons)], "have no area")
    yield from _told(book, "area-in-pieces", grids["code"][_in_pieces(polygons)], "lie in several pieces")
    yield from _household_faults(book, polygons)
    yield from _building_faults(book, polygons)


def _in_pieces(polygons: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Areas of several polygons, once those that share more than a point are one."""
    return shapely.get_num_geometries(shapely.unary_union(polygons[:, None], axis=1)) > 1


def _household_faults(book: Book, polygons: NDArray[np.object_]) -> Iterator[Remark]:
    """Households shown off the area of their grid must be noted, and no others."""
    rows, row = book.layers["households"], _grid_rows(book)
    known = row >= 0
    off_m = np.full(len(rows), np.inf)
    off_m[known] = shapely.distance(polygons[row[known]], rows.geometry.to_numpy()[known])
    off_m[np.isnan(off_m)] = np.inf  # a grid without an area
    ids, what = rows["household_id"], "are shown off the area of their grid"
    clearly, perhaps = ids[off_m > AT_HOME_M + SLACK], ids[off_m >= AT_HOME_M - SLACK]
    yield from _told(book, "household-off-area", clearly, what, perhaps=perhaps)


def _building_faults(book: Book, polygons: NDArray[np.object_]) -> Iterator[Remark]:
    """Buildings on the ground of several grids must be noted, but for those that several have to share."""
    rows, homes, grid = book.layers["households"], book.site.layer("households"), _grid_rows(book)
    door_building = homes.set_index("household_id")["building_id"].reindex(rows["household_id"]).to_numpy()
    size, split = pd.Series(grid).value_counts(), (rows["part"] > 0).to_numpy(bool)
    cut: list[str] = []
    perhaps: list[str] = []
    for name, key in (("buildings", "building_id"), ("households", "household_id")):
        layer = book.site.layer(name)
        layer = layer[layer.geom_type.isin(["Polygon", "MultiPolygon"])].reset_index(drop=True)
        for at, lost_m2 in _torn(layer.geometry.to_numpy(), polygons):
            inside = shapely.dwithin(rows.geometry.to_numpy(), layer.geometry.iloc[at], AT_WALL_M)
            if pd.notna(own_id := layer["building_id"].iloc[at]):
                inside |= door_building == own_id
            here = pd.Series(grid[inside]).value_counts()
            home_to_one = (2 * here > size.reindex(here.index)).any()
            if split[inside].any() or (len(here) > 1 and home_to_one):
                continue
            perhaps.append(layer[key].iloc[at])
            if lost_m2 > CUT_M2 + SLACK:
                cut.append(layer[key].iloc[at])
    what = "are cut by an edge, of no row that is split and not home to several grids"
    yield from _told(book, "building-cut", cut, what, perhaps=perhaps)


def _torn(shapes: NDArray[np.object_], polygons: NDArray[np.object_]) -> Iterator[tuple[int, float]]:
    """Shapes that lie in no single polygon, and how much lies off the one that holds most of it. [m²]"""
    tree = shapely.STRtree(shapes)
    shapely.prepare(polygons)
    whole = np.unique(tree.query(polygons, predicate="covers")[1])
    partly = np.setdiff1d(np.unique(tree.query(polygons, predicate="intersects")[1]), whole)
    areas = shapely.STRtree(polygons)
    for at in partly.tolist():
        over_m2 = shapely.area(shapely.intersection(polygons[areas.query(shapes[at])], shapes[at]))
        lost_m2 = float(over_m2.sum() - over_m2.max())
        if lost_m2 > CUT_M2 - SLACK:
            yield at, lost_m2


def _grid_rows(book: Book) -> NDArray[np.int64]:
    """Row of layer grids of each household row; −1 where there is none."""
    return pd.Index(book.layers["grids"]["grid_id"]).get_indexer(book.layers["households"]["grid_id"])


def _told(
    book: Book, code: str, ids: Iterable[str], what: str, *, perhaps: Iterable[str] = ()
) -> Iterator[Remark]:
    """The notes of a code name these ids and no others; those ``perhaps`` concerned they may name."""
    told = {name for each in book.summary.get("notes", ()) if each["code"] == code for name in each["ids"]}
    own, possible = set(map(str, ids)), set(map(str, perhaps))
    where = {"layer": "summary", "column": "notes"}
    if untold := sorted(own - told):
        yield fault("note-missing", f"{len(untold)} {what} and no note says so", ids=untold, **where)
    if unfounded := sorted(told - own - possible):
        text = f"a note names {len(unfounded)} that {what}, and they don't"
        yield fault("note-unfounded", text, ids=unfounded, **where)
