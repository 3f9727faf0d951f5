"""What the layers say together: the boundary, estimated households, village groups, and whether they fit."""

from __future__ import annotations

from collections.abc import Mapping

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.errors import Remark, doubt, fault, note
from spatial.load.plausible import told_implausible
from spatial.load.shapes import valid_polygons
from spatial.load.site import contract_frame

__all__ = ["complete_layers"]

Layers = Mapping[str, gpd.GeoDataFrame]

#: Added around houses and alleys where no boundary is given. [m]
_MARGIN_M = 20.0

#: So many houses, each twice, are a list that was pasted in twice.
_MANY_PLACES = 10

# the rule by which households are estimated from footprints, where a building does not say how many it has
_DWELLING_MIN_M2 = 40.0
_HOUSE_MAX_M2 = 250.0
_STOREY_M = 3.0
_FLOOR_SHARE = 0.8
_DWELLING_M2 = 90.0
_NO_DWELLING = frozenset(
    """industrial public retail garage garages shed roof school kindergarten university college church
    chapel mosque temple shrine cathedral synagogue place_of_worship hospital clinic office commercial
    warehouse hangar barn farm_auxiliary greenhouse stable cowshed sty hut carport parking service kiosk
    supermarket restaurant cafe bar pub bank hotel train_station transportation station toilets
    transformer_tower substation ruins construction civic government fire_station sports_hall
    sports_centre stadium grandstand pavilion museum theatre library toll_booth water_tower silo
    storage_tank tower bunker bridge shop mall factory manufacture works storage outbuilding boathouse
    conservatory gatehouse guardhouse service_building tech_cab container prison barracks military
    police townhall courthouse community_centre pumping_station digester allotment_shed tent
    swimming_pool gazebo henhouse slurry_tank power sports_building triumphal_arch
    工业 厂房 工厂 仓库 商业 商铺 商店 超市 市场 宾馆 酒店 派出所 居委会 村委会
    办公 学校 幼儿园 医院 卫生室 公共 公厕 车库 棚 庙 祠堂 教堂 在建""".split()  # noqa: SIM905
)
#: One household however many storeys, up to _HOUSE_MAX_M2.
_HOUSES = frozenset(
    """house detached bungalow farm villa cabin static_caravan allotment_house trullo stilt_house
    农房 民房 自建房 别墅 民居 农村宅基地 一户建""".split()  # noqa: SIM905
)
_FLATS = frozenset(("apartments", "block", "dormitory", "住宅楼", "公寓", "楼房", "小区", "宿舍"))


def complete_layers(
    layers: Layers, crs: pyproj.CRS, *, broken: frozenset[str] = frozenset(), max_access_m: float
) -> tuple[dict[str, gpd.GeoDataFrame], list[Remark]]:
    """Fill in what can be told from the other layers, and check that they belong together.

    Village groups of one name become one area. Households are estimated from buildings where
    there are none, and take the group they stand in where theirs is empty. The boundary becomes
    one area, or is made.

    Parameters
    ----------
    layers : mapping
        Checked layers in ``crs``, ``alleys`` among them.
    broken : set of str
        Layers that are there and can't be used: they are not made from the others.
    max_access_m : float
        Households farther than this from every alley are not served. [m]

    Returns
    -------
    layers : dict
    remarks : list of Remark
        Fault ``alleys-incomplete`` where more than half of the households are not served.
    """
    full, remarks = dict(layers), list[Remark]()
    steps = {
        _united_groups: "groups",
        _estimated_households: "households",
        _grouped_households: "groups",
        _one_boundary: "boundary",
    }
    for step, about in steps.items():
        if about in broken:
            continue
        changed, said = step(full, crs)
        full |= changed
        remarks += said
    said = _outside(full) + told_implausible(layers) + _pasted_twice(full)
    return full, remarks + _incomplete(full, max_access_m) + said


def _united_groups(layers: Layers, crs: pyproj.CRS) -> tuple[Layers, list[Remark]]:
    groups = layers.get("groups")
    if groups is None or not groups["group"].duplicated().any():
        return {}, []
    double = sorted(groups["group"][groups["group"].duplicated()].unique())
    names = sorted(groups["group"].unique())
    shapes = groups.geometry.to_numpy()
    united = np.array([shapely.union_all(shapes[(groups["group"] == each).to_numpy()]) for each in names])
    frame = contract_frame("groups", {"group": pd.Series(names, dtype="str")}, valid_polygons(united), crs)
    text = "groups of several areas, each taken as one"
    return {"groups": frame}, [note("groups-united", text, layer="groups", ids=double)]


def _estimated_households(layers: Layers, crs: pyproj.CRS) -> tuple[Layers, list[Remark]]:
    """Households from footprints by a rule that is stated in the doubt; an estimate, never survey data."""
    buildings = layers.get("buildings")
    if "households" in layers:
        return {}, []
    if buildings is None:
        text = "there are neither households nor buildings: only lamps can be planned"
        return {}, [note("households-none", text, layer="households", remedy="add a layer households (住户)")]
    area_m2 = shapely.area(buildings.geometry.to_numpy())
    use = buildings["use"].str.casefold().str.strip()
    told = buildings["households"].to_numpy(dtype=np.float64, na_value=np.nan)
    by_rule = np.isnan(told) & (area_m2 >= _DWELLING_MIN_M2) & ~use.isin(_NO_DWELLING).to_numpy()
    lived_in = by_rule | (told > 0)
    if not lived_in.any():
        text = "there are no households, and no building that could hold any: only lamps can be planned"
        return {}, [note("households-none", text, layer="households", remedy="add a layer households (住户)")]
    homes = buildings[lived_in].reset_index(drop=True)
    house = use[lived_in].isin(_HOUSES).to_numpy()
    ruled = estimated_counts(area_m2[lived_in], _storeys(homes, area_m2[lived_in]), house=house)
    by_rule = by_rule[lived_in]
    counts = np.where(by_rule, ruled, np.nan_to_num(told[lived_in])).astype(np.int64)
    values = {
        "household_id": homes["building_id"],
        "households": pd.Series(counts, dtype="Int64"),
        "building_id": homes["building_id"],
    }
    frame = contract_frame("households", values, homes.geometry.to_numpy(), crs)
    text = (
        f"no layer of households; {counts[by_rule].sum():,} are ESTIMATED from {by_rule.sum():,} of "
        f"{len(buildings):,} buildings: footprints of 40 m2 or more not of another use; under 250 m2 1 each "
        "up to 2 storeys and in houses and farms of any, else 0.8 x footprint x storeys / 90 m2"
    )
    if not by_rule.all():
        text += f"; {counts[~by_rule].sum():,} more as {(~by_rule).sum():,} buildings say themselves"
    remedy = "for a plan to act on, add a layer households (住户) with counts"
    return {"households": frame}, [doubt("households-estimated", text, layer="households", remedy=remedy)]


def estimated_counts(
    area_m2: NDArray[np.float64], storeys: NDArray[np.float64], *, house: NDArray[np.bool_] | bool = False
) -> NDArray[np.int64]:
    """Households of a footprint: 1 in a house, else by 80 % of the floor area at 90 m2 each, at least 1."""
    in_flats = np.maximum(1, np.floor(_FLOOR_SHARE * area_m2 * storeys / _DWELLING_M2))
    one = (area_m2 < _HOUSE_MAX_M2) & ((storeys <= 2) | house)
    return np.where(one, 1, in_flats).astype(np.int64)


def _storeys(buildings: gpd.GeoDataFrame, area_m2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Storeys as given, else from the height, else 4 for flats, 1 under 250 m2 and 2 above."""
    given = buildings["storeys"].to_numpy(dtype=np.float64)
    by_height = np.maximum(1.0, np.round(buildings["height_m"].to_numpy(dtype=np.float64) / _STOREY_M))
    flats = buildings["use"].str.casefold().isin(_FLATS).to_numpy()
    guess = np.where(flats, 4.0, np.where(area_m2 < _HOUSE_MAX_M2, 1.0, 2.0))
    by_height = np.where(np.isnan(by_height), guess, by_height)
    return np.where(np.isnan(given) | (given < 1), by_height, given)


def _grouped_households(layers: Layers, crs: pyproj.CRS) -> tuple[Layers, list[Remark]]:
    households, groups = layers.get("households"), layers.get("groups")
    if households is None or groups is None or not households["group"].isna().any():
        return {}, []
    empty = np.flatnonzero(households["group"].isna().to_numpy())
    points = shapely.point_on_surface(households.geometry.to_numpy()[empty])
    row, area = shapely.STRtree(groups.geometry.to_numpy()).query(points, predicate="intersects")
    first = pd.Series(area).groupby(row).min()  # where groups overlap: the first by name
    filled = households["group"].to_numpy(dtype=object, na_value=None)
    filled[empty[first.index]] = groups["group"].to_numpy(dtype=object)[first.to_numpy()]
    remarks = [
        note("group-filled", f"{len(first):,} of {len(households):,} took the group they stand in",
             layer="households", column="group")
    ] if len(first) else []  # fmt: skip
    alone = np.setdiff1d(empty, empty[first.index])
    if len(alone):
        ids = households["household_id"].to_numpy(dtype=object)[alone]
        text = f"{len(alone):,} of {len(households):,} stand in no village group"
        remarks.append(doubt("group-none", text, layer="households", column="group", ids=ids))
    return {"households": households.assign(group=pd.Series(filled, dtype="str"))}, remarks


def _one_boundary(layers: Layers, crs: pyproj.CRS) -> tuple[Layers, list[Remark]]:
    given = layers.get("boundary")
    if given is None:
        shapes = [
            layers[each].geometry.to_numpy()
            for each in ("alleys", "households", "buildings")
            if each in layers
        ]
        area = shapely.buffer(
            shapely.convex_hull(shapely.geometrycollections(np.concatenate(shapes))), _MARGIN_M
        )
        text = f"made: the hull of houses and alleys plus {_MARGIN_M:g} m"
        return {"boundary": _boundary_frame(None, area, crs)}, [note("boundary-made", text, layer="boundary")]
    if len(given) == 1:
        return {}, []
    names = given["name"].dropna()
    area = valid_polygons(np.array([shapely.union_all(given.geometry.to_numpy())], dtype=object))[0]
    frame = _boundary_frame(
        names.iloc[0] if len(names) and (names == names.iloc[0]).all() else None, area, crs
    )
    return {"boundary": frame}, [
        note("boundary-united", f"{len(given)} areas taken as one", layer="boundary")
    ]


def _boundary_frame(name: str | None, area: shapely.Geometry, crs: pyproj.CRS) -> gpd.GeoDataFrame:
    return contract_frame(
        "boundary", {"name": pd.Series([name], dtype="str")}, np.array([area], dtype=object), crs
    )


def _incomplete(layers: Layers, max_access_m: float) -> list[Remark]:
    """Refuse a community of which more than half can't be reached along the alleys drawn."""
    households = layers.get("households")
    if households is None:
        return []
    tree = shapely.STRtree(layers["alleys"].geometry.to_numpy())
    (near, _), distance_m = tree.query_nearest(
        households.geometry.to_numpy(), return_distance=True, all_matches=False
    )
    away_m = np.full(len(households), np.inf)
    away_m[near] = distance_m
    far = away_m > max_access_m
    counts = households["households"].to_numpy(dtype=np.int64)
    if 2 * counts[far].sum() <= counts.sum():
        return []
    text = (
        f"{int(counts[far].sum()):,} of {int(counts.sum()):,} households lie more than {max_access_m:g} m "
        f"from any alley (median {np.median(away_m):,.0f} m): the alleys are incomplete"
    )
    remedy = (
        "draw the small alleys too, or raise input.max_access_m if people really walk that far off any way"
    )
    return [fault("alleys-incomplete", text, layer="alleys", remedy=remedy)]


def _outside(layers: Layers) -> list[Remark]:
    households = layers.get("households")
    if households is None or "boundary" not in layers:
        return []
    area = layers["boundary"].geometry.iloc[0]
    shapely.prepare(area)
    shapes = households.geometry.to_numpy()
    outside = ~shapely.intersects(area, shapes)
    if not outside.any():
        return []
    ids = households["household_id"].to_numpy(dtype=object)[outside]
    text = f"{len(ids):,} of {len(households):,} lie outside the boundary"
    remedy = "check the boundary; they are planned for all the same"
    return [doubt("household-outside", text, layer="households", ids=ids, remedy=remedy)]


def _pasted_twice(layers: Layers) -> list[Remark]:
    """A doubt where every household stands there several times under ids of its own."""
    if "households" not in layers:
        return []
    rows = layers["households"]
    told = rows.drop(columns=["household_id", "geometry"]).assign(place=rows.geometry.to_wkb())
    times = told.groupby(list(told.columns), dropna=False, sort=False).size().to_numpy()
    copies = int(np.gcd.reduce(times))
    if len(times) < _MANY_PLACES or copies == 1:
        return []
    text = f"each of {len(times):,} different rows is there {copies} times or a multiple of it"
    remedy = "if the list was put together twice, delete the copies: each counts"
    return [doubt("rows-repeated", text, layer="households", remedy=remedy)]
