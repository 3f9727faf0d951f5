"""What is told of the areas: where they do not lie as they should, and why."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray

from spatial.errors import Remark, note
from spatial.grids.coverage import Ints, Shapes
from spatial.load import Site

__all__ = ["area_notes"]

AT_HOME_M = 0.1  # a household on the edge is at home
CUT_M2 = 0.1
AT_WALL_M = 0.5  # a household this near to a building lives in it


def area_notes(grids: GeoDataFrame, households: GeoDataFrame, site: Site) -> list[Remark]:
    """Grids without an area or in several pieces, households elsewhere, and buildings that are cut.

    Parameters
    ----------
    grids, households : GeoDataFrame
        As planned: ``grid_id``, ``code`` and areas; ``household_id``, ``grid_id``, ``served`` and points.
    site : Site
        Layers boundary, buildings and households.
    """
    areas, points = grids.geometry.to_numpy(), households.geometry.to_numpy()
    grid = pd.Index(grids["grid_id"]).get_indexer(households["grid_id"])
    boundary = site.layer("boundary").geometry.iloc[0]
    return [
        *_bare_notes(grids, areas),
        *_piece_notes(grids, areas, points, grid, households["served"].to_numpy(bool), boundary),
        *_astray_notes(households, areas, points, grid, boundary),
        *_cut_notes(site, areas, grid, households),
    ]


def _bare_notes(grids: GeoDataFrame, areas: Shapes) -> Iterator[Remark]:
    bare = shapely.is_empty(areas)
    if bare.any():
        text = f"{bare.sum()} grids lie wholly outside the boundary and have no area"
        ids = grids["code"][bare]
        yield note("grid-outside", text, layer="grids", ids=ids, remedy="check the boundary")


def _piece_notes(
    grids: GeoDataFrame,
    areas: Shapes,
    points: Shapes,
    grid: Ints,
    served: NDArray[np.bool_],
    boundary: shapely.Geometry,
) -> Iterator[Remark]:
    """One note for each reason why areas are in pieces."""
    torn = np.flatnonzero(shapely.get_num_geometries(areas) > 1)
    reason = np.array(
        [
            "the exclusive place is drawn so"
            if grids["kind"].iloc[each] == "exclusive"
            else _why_apart(areas[each], points[grid == each], served[grid == each], boundary)
            for each in torn
        ]
    )
    for why in np.unique(reason):
        mine = torn[reason == why]
        text = f"the areas of {len(mine)} grids lie in more than one piece, since {why}"
        yield note("area-in-pieces", text, layer="grids", column="geometry", ids=grids["code"].iloc[mine])


def _why_apart(
    area: shapely.Geometry, points: Shapes, served: NDArray[np.bool_], boundary: shapely.Geometry
) -> str:
    pieces = shapely.get_parts(area)
    main = np.argmax(shapely.area(pieces))
    small = np.delete(pieces, main)
    within = shapely.STRtree(shapely.get_parts(boundary)).query(shapely.point_on_surface(pieces), "within")[1]
    if len(np.unique(within)) > 1:
        return "the boundary is in several pieces"
    _, here = shapely.STRtree(points).query(small, predicate="intersects")
    if len(here) and not served[here].any():
        return "their households there are far from every alley"
    return "houses of other grids stand on the way, or share a door with theirs"


def _astray_notes(
    households: GeoDataFrame, areas: Shapes, points: Shapes, grid: Ints, boundary: shapely.Geometry
) -> Iterator[Remark]:
    shapely.prepare(areas)
    astray = ~shapely.dwithin(areas[grid], points, AT_HOME_M)
    out = astray & ~shapely.dwithin(boundary, points, AT_HOME_M)
    for rows, why in (
        (out, "lie outside the boundary"),
        (astray & ~out, "live in a house on the ground of another"),
    ):
        if rows.any():
            text = f"{rows.sum()} households {why}, so not in the area of their grid"
            ids = households["household_id"][rows]
            yield note("household-off-area", text, layer="households", ids=ids.unique())


def _cut_notes(site: Site, areas: Shapes, grid: Ints, households: GeoDataFrame) -> Iterator[Remark]:
    """Buildings cut by an edge although they are neither of a split row nor home to several grids."""
    homes = site.layer("households")
    named = homes.set_index("household_id")["building_id"].reindex(households["household_id"]).to_numpy()
    for name in ("buildings", "households"):
        layer = site.layer(name)
        layer = layer[shapely.get_dimensions(layer.geometry.to_numpy()) == 2]
        layer = layer.iloc[_cut(layer.geometry.to_numpy(), areas)]
        shared = _shared(layer, households, grid, named)
        if not shared.all():
            text = f"{(~shared).sum()} buildings are cut by the edge of an area, since others overlap them"
            ids = layer[f"{name[:-1]}_id"][~shared]
            yield note("building-cut", text, layer=name, ids=ids, remedy="check their footprints")


def _cut(shapes: Shapes, areas: Shapes) -> Ints:
    """The shapes of which more than a trifle lies in another area than most of them."""
    shapely.prepare(areas)
    area, shape = shapely.STRtree(shapes).query(areas, predicate="intersects")
    several = np.bincount(shape, minlength=len(shapes))[shape] > 1
    area, shape = area[several], shape[several]
    part_m2 = shapely.area(shapely.intersection(shapes[shape], areas[area]))
    most_m2 = np.zeros(len(shapes))
    np.maximum.at(most_m2, shape, part_m2)
    return np.flatnonzero(np.bincount(shape, part_m2, minlength=len(shapes)) - most_m2 > CUT_M2)


def _shared(
    layer: GeoDataFrame, households: GeoDataFrame, grid: Ints, building_id: NDArray[np.object_]
) -> NDArray[np.bool_]:
    """Whether each building holds part of a split row, or rows of several grids and most rows of one.

    It holds the rows in it, at its wall, or of its id.
    """
    rows = np.arange(len(grid))
    inside, near = shapely.STRtree(households.geometry.to_numpy()).query(
        layer.geometry.to_numpy(), predicate="dwithin", distance=AT_WALL_M
    )
    by_id = pd.DataFrame({"id": layer["building_id"].to_numpy(), "house": np.arange(len(layer))}).dropna()
    named = pd.DataFrame({"id": building_id, "row": rows}).dropna().merge(by_id, on="id")
    held = pd.DataFrame(
        {"house": np.concatenate([inside, named["house"]]), "row": np.concatenate([near, named["row"]])}
    ).drop_duplicates()
    held["split"] = households["part"].to_numpy()[held["row"]] > 0
    held["grid"] = grid[held["row"]]
    count = held.groupby(["house", "grid"]).size().reset_index(name="n")
    count["home"] = 2 * count["n"] > np.bincount(grid)[count["grid"]]
    by_house = count.groupby("house").agg(n=("grid", "size"), home=("home", "any"))
    found = held.groupby("house")["split"].any() | ((by_house["n"] > 1) & by_house["home"])
    return found.reindex(range(len(layer)), fill_value=False).to_numpy(bool)
