"""The pages of a town: one of the whole that leads to a page for each ward, a bundle of neighbouring grids.

What holds at a place (its nearest board, the way home, the light) is worked out once on the whole town and
then cut, so a ward's page says the same as the town's would. Everything has one ward, that of the grid that
is nearest; figures count each thing in its ward, and a page draws a little of the ground around its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame, GeoSeries
from numpy.typing import NDArray

from spatial.maps.light import Light, light_of
from spatial.maps.residents import with_panels
from spatial.maps.sketch import Sketch, View
from spatial.maps.spots import find_view
from spatial.maps.view import drawn_features, meeting_points, public_view
from spatial.network import build_network
from spatial.settings import Settings

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["MOST_OF_A_WARD", "town_views"]

#: Features of a ward: about 2,000 households with their houses, alleys and lamps, a page of 0.7 MB.
MOST_OF_A_WARD = 4_000

_AROUND_M = 40.0  # of the ground around a ward that its page draws
_BEYOND_M = 300.0  # where a barrier that runs out of a ward ends
_DOTS = 2_000  # across a screen that shows the whole town: less than one of them is not drawn
_MOST_NAMES = 400  # of alleys on the town's map, the longest; all can be looked for

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Ward:
    """Neighbouring grids that share a page."""

    number: int  # from 1
    name: str | None  # of the branch, where the ward is just that
    rows: Rows  # of the plan's grids

    @property
    def page(self) -> str:
        """The page's file name: digits, and nothing from data."""
        return f"{self.number:02d}.html"


@dataclass(frozen=True)
class _Town:
    """What the wards' pages have in common, and the ward of everything in them."""

    plan: Plan
    frame: list[float]
    light: Light | None
    find: View
    ward_of_grid: Rows  # by the plan's rows
    ward_of_spot: Rows
    ward_of_stretch: Rows  # of the light
    ward_of_lamp: Rows  # of the light

    def wards_of(self, shapes: NDArray[Any]) -> Rows:
        return self.ward_of_grid[_nearest(self.plan.layers["grids"].geometry.to_numpy(), shapes)]


def town_views(plan: Plan, *, most: int = MOST_OF_A_WARD) -> tuple[View, dict[str, View]]:
    """The view of the whole town, and that of each ward by the name of its page.

    Parameters
    ----------
    plan : Plan
        With grids.
    most : int
        Features of a ward; a grid that has more is a ward of its own.
    """
    settings = Settings.model_validate(plan.summary["settings"])
    whole = public_view(plan)
    sketch = Sketch(*whole["frame"][:2])
    network = build_network(plan.site, settings)
    light = light_of(plan, network, settings)
    meetings, _ = meeting_points(plan, settings)
    find = find_view(plan, network, settings, light, meetings, sketch, most_spots=None)
    wards = _wards(plan, settings, most)
    town = _town(plan, wards, whole["frame"], light, find)
    return _overview(town, wards, whole, sketch), {each.page: _ward_view(town, each) for each in wards}


def _town(plan: Plan, wards: list[Ward], frame: list[float], light: Light | None, find: View) -> _Town:
    areas = plan.layers["grids"].geometry.to_numpy()
    ward_of_grid = np.zeros(len(areas), dtype=np.int64)
    for each in wards:
        ward_of_grid[each.rows] = each.number
    degrees = np.array([each[:2] for each in find["spots"]]) / 1e6 + frame[:2]
    spots = GeoSeries(shapely.points(degrees), crs=4326).to_crs(plan.site.crs).to_numpy()
    middles, lamps = ([], []) if light is None else (light.middles(), light.places.to_numpy())
    every = [ward_of_grid[_nearest(areas, np.asarray(each, object))] for each in (spots, middles, lamps)]
    return _Town(plan, frame, light, find, ward_of_grid, *every)


# ── wards ────────────────────────────────────────────────────────────────────────────────────────────


def _wards(plan: Plan, settings: Settings, most: int) -> list[Ward]:
    """Branches; one that is too large by its workers; what is still too large cut across its length."""
    grids = plan.layers["grids"]
    areas = grids.geometry.to_numpy()
    weight = np.ones(len(grids), dtype=np.int64)
    for shapes in drawn_features(plan):
        weight += np.bincount(_nearest(areas, shapes.to_numpy()), minlength=len(grids))
    branch, worker = (_filled(grids[name], areas) for name in ("branch_id", "worker_id"))
    nested = len(np.unique(worker)) == len(np.unique(np.column_stack([branch, worker]), axis=0))
    xy = shapely.get_coordinates(shapely.centroid(areas))
    keys = [branch, worker] if nested else [branch]
    bundles = _bundles(np.arange(len(grids)), weight, xy, keys, most)
    names = dict(enumerate(settings.community.branch_names, start=1))
    wards = []
    for number, rows in enumerate(sorted(bundles, key=min), start=1):
        whole_branch = (branch == branch[rows[0]]).sum() == len(rows) and len(set(branch[rows])) == 1
        wards.append(Ward(number, names.get(int(branch[rows[0]])) if whole_branch else None, np.sort(rows)))
    return wards


def _filled(key: pd.Series, areas: NDArray[Any]) -> Rows:
    """The key of each grid; one without (an exclusive grid) takes that of the nearest grid that has one."""
    known = np.flatnonzero(key.notna())
    if not len(known):
        return np.zeros(len(key), dtype=np.int64)
    values = key.iloc[known].to_numpy(dtype=np.int64)
    filled = values[_nearest(areas[known], areas)]
    filled[known] = values
    return filled


def _bundles(
    rows: Rows, weight: Rows, xy: NDArray[np.float64], keys: Sequence[Rows], most: int
) -> list[Rows]:
    """Bundles of at most ``most`` each: the rows split by one key after the other, then into halves."""
    if len(rows) == 1 or weight[rows].sum() <= most:
        return [rows]
    if keys:
        own = keys[0][rows]
        parts = [rows[own == key] for key in np.unique(own)]
    else:
        axis = int(np.ptp(xy[rows], axis=0).argmax())
        along = rows[np.lexsort((rows, xy[rows, axis]))]
        running = np.cumsum(weight[along])
        middle = int(np.clip(np.searchsorted(running, running[-1] / 2), 1, len(rows) - 1))
        parts = [along[:middle], along[middle:]]
    return [bundle for part in parts for bundle in _bundles(part, weight, xy, keys[1:], most)]


def _nearest(areas: NDArray[Any], shapes: NDArray[Any]) -> Rows:
    """For each shape the area that is nearest to its middle."""
    return shapely.STRtree(areas).nearest(shapely.point_on_surface(shapes)).astype(np.int64)


# ── the page of a ward ───────────────────────────────────────────────────────────────────────────────


def _ward_view(town: _Town, ward: Ward) -> View:
    """What a residents' page shows of one ward."""
    spots = np.flatnonzero(town.ward_of_spot == ward.number)
    boards = sorted({town.find["spots"][row][6] for row in spots} - {None})
    light = _ward_light(town, ward)
    plan, board_row = _ward_plan(town, ward, boards, light)
    view = public_view(plan)
    west, south = view["frame"][:2]
    step = [round(1e6 * (town.frame[0] - west)), round(1e6 * (town.frame[1] - south))]
    view["about"] |= {"ward": ward.number, "ward_name": ward.name}
    return with_panels(plan, view, light=light, find=_cut_find(town.find, spots, board_row, step))


def _ward_light(town: _Town, ward: Ward) -> Light | None:
    """The ward's own stretches, and the order of its own lamps."""
    if town.light is None:
        return None
    return town.light.of(town.ward_of_stretch == ward.number, town.ward_of_lamp == ward.number)


def _ward_plan(
    town: _Town, ward: Ward, boards: list[int], light: Light | None
) -> tuple[Plan, dict[int, int]]:
    """The plan as if it were the ward's alone, and the rows in it of the boards its people walk to."""
    plan = town.plan
    grids = plan.layers["grids"].iloc[ward.rows].reset_index(drop=True)
    area = shapely.union_all(grids.geometry.to_numpy())
    near = shapely.buffer(area, _AROUND_M)
    shapely.prepare(near)

    def around(rows: GeoDataFrame, also: Sequence[int] = ()) -> NDArray[np.bool_]:
        kept = shapely.intersects(near, rows.geometry.to_numpy())
        kept[list(also)] = True
        return kept

    homes = plan.layers["households"]
    layers = {**plan.layers, "grids": grids, "households": homes[homes["grid_id"].isin(grids["grid_id"])]}
    board_row: dict[int, int] = {}
    for name in ("lamps", "boards", "stretches", "facilities"):
        if name in layers:
            kept = around(layers[name], boards if name == "boards" else ())
            layers[name] = layers[name][kept].reset_index(drop=True)
            if name == "boards":
                board_row = {row: at for at, row in enumerate(np.flatnonzero(kept).tolist())}
    if light is not None:
        layers["lamp_ranking"] = _ward_ranking(light)
    site = {
        name: rows[around(rows)].reset_index(drop=True) if name != "lamp_sites" else rows
        for name, rows in plan.site.layers.items()
        if name in ("alleys", "buildings", "households", "barriers", "places", "lamp_sites")
    }
    if "barriers" in site:
        box = shapely.bounds(area) + _BEYOND_M * np.array([-1, -1, 1, 1])
        site["barriers"] = site["barriers"].set_geometry(site["barriers"].geometry.clip_by_rect(*box))
    site["boundary"] = plan.site.layer("boundary").iloc[:1].set_geometry([area], crs=plan.site.crs)
    summary = {**plan.summary, **_ward_figures(town, ward, grids, light)}
    return replace(plan, layers=layers, summary=summary, site=replace(plan.site, layers=site)), board_row


def _ward_ranking(light: Light) -> pd.DataFrame:
    """What each lamp of the ward's order adds in the ward."""
    n = len(light.order)
    mine = (light.since > 0) & (light.since <= n)
    gain_m = np.bincount(light.since[mine], light.cut.length_m[mine], minlength=n + 1)[1:]
    return pd.DataFrame({"rank": np.arange(1, n + 1), "gain_m": gain_m})


def _ward_figures(town: _Town, ward: Ward, grids: GeoDataFrame, light: Light | None) -> View:
    """The figures that a page tells, of the ward alone; all wards' add up to the town's."""
    layers, summary = town.plan.layers, town.plan.summary
    exclusive = int((grids["kind"] == "exclusive").sum())
    told: View = {"grids": {"n": len(grids) - exclusive, "n_exclusive": exclusive}}

    def n_new(name: str) -> int:
        own = town.wards_of(layers[name].geometry.to_numpy()) == ward.number
        return int(((layers[name]["status"] != "existing").to_numpy() & own).sum())

    if summary["boards"] is not None:
        told["boards"] = {"n_chosen": n_new("boards")}
    if light is not None:
        length_m = light.cut.length_m
        alley_m, lit_m = float(length_m.sum()), float(length_m[light.planned].sum())
        told["lamps"] = {
            "n_chosen": n_new("lamps"),
            "alley_m": alley_m,
            "lit_m": lit_m,
            "lit_before_m": float(length_m[light.since == 0].sum()),
            "share_lit": lit_m / alley_m if alley_m else 0.0,
            "bound_m": None,  # it is proved of the town as a whole
            "gap": None,
        }
    return told


def _cut_find(find: View, spots: Rows, board_row: dict[int, int], step: list[int]) -> View:
    """The places of a ward, counted from its corner, with the alleys and boards of its page."""
    rows = [find["spots"][row] for row in spots.tolist()]
    alleys = sorted({each[2] for each in rows})
    alley_row = {alley: at for at, alley in enumerate(alleys)}
    spot_row = {spot: at for at, spot in enumerate(spots.tolist())}

    def moved(at: list[int] | None) -> list[int] | None:
        return at and [at[0] + step[0], at[1] + step[1]]

    return {
        "alleys": [
            {**each, "at": moved(each["at"])} if "at" in each else each
            for each in map(find["alleys"].__getitem__, alleys)
        ],
        "spots": [
            [*(moved(each[:2]) or ()), alley_row[each[2]], *each[3:6], board_row.get(each[6]), *each[7:]]
            for each in rows
        ],
        "doors": [[number, spot_row[spot]] for number, spot in find["doors"] if spot in spot_row],
        "least_gain_m": find["least_gain_m"],
    }


# ── the page of the whole ────────────────────────────────────────────────────────────────────────────


def _overview(town: _Town, wards: list[Ward], whole: View, sketch: Sketch) -> View:
    """Grids, alleys and wards as a screen can show them, and the wards that each alley's name leads to."""
    plan = town.plan
    grids = plan.layers["grids"]
    west, south, east, north = grids.total_bounds
    coarse_m = max(east - west, north - south) / _DOTS
    outlines = GeoSeries(shapely.coverage_simplify(grids.geometry.to_numpy(), coarse_m), crs=grids.crs)
    areas = [shapely.union_all(outlines.to_numpy()[each.rows]) for each in wards]
    shapes, borders = sketch.areas_by_row(outlines), sketch.areas_by_row(GeoSeries(areas, crs=grids.crs))
    badges = sketch.points(GeoSeries(shapely.point_on_surface(areas), crs=grids.crs))
    lit = plan.layers["stretches"].query("lit") if town.light else grids.iloc[:0]
    plain: View = {"hatch": [], "meeting": None, "meeting_alley": None, "boards": []}
    ward_of: dict[str, set[int]] = {}
    for spot, ward in zip(town.find["spots"], town.ward_of_spot.tolist(), strict=True):
        name = town.find["alleys"][spot[2]]["name"]
        if name is not None:
            ward_of.setdefault(name, set()).add(ward)
    return whole | {
        "figures": whole["figures"] | {"buildings_left_out": False},
        "ground": [],
        "alleys": {
            "all": sketch.lines(_coarse(plan.site.layer("alleys"), coarse_m)),
            "lit": sketch.lines(_coarse(lit, coarse_m)),
            "names": whole["alleys"]["names"][:_MOST_NAMES],
        },
        "grids": [
            {**each, **plain, "shape": shape, "ward": ward}
            for each, shape, ward in zip(whole["grids"], shapes, town.ward_of_grid.tolist(), strict=True)
        ],
        "lamps": [],
        "boards": [],
        "wards": [
            {
                "number": each.number,
                "name": each.name,
                "page": each.page,
                "shape": border,
                "at": badge,
            }
            for each, border, badge in zip(wards, borders, badges, strict=True)
        ],
        "find": [[name, sorted(numbers)] for name, numbers in sorted(ward_of.items())],
    }


def _coarse(rows: GeoDataFrame, coarse_m: float) -> GeoSeries:
    """Lines that follow each other joined, with the bends that a screen can show."""
    joined = shapely.line_merge(shapely.multilinestrings(shapely.get_parts(rows.geometry.to_numpy())))
    return GeoSeries(shapely.get_parts(joined), crs=rows.crs).simplify(coarse_m)
