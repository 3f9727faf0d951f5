"""The ground of the grids: polygons that tile the boundary, without a gap and without an overlap."""

from __future__ import annotations

from collections.abc import Iterator

import shapely

from spatial.audit.book import Book
from spatial.audit.compare import rows_that, say
from spatial.errors import Remark, fault

__all__ = ["area_faults"]

ROUNDING_M = 2e-3  # edges lie on a raster of 1 mm, so the boundary's own are moved by less than this
NOTHING_M2 = 1e-4


def area_faults(book: Book) -> Iterator[Remark]:
    """Edges that overlap or don't match, ground of the boundary in no grid, ground of grids outside it."""
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
