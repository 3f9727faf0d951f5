"""A made-up township: for the demo, the tests and the benchmarks. Nothing in it exists.

Shannan lies on the map near Feixi, but its lanes, houses and people are drawn by chance from a seed.
It is meant to be as awkward as a real survey: bent lanes, dead ends, houses that hide what lies
round the bend, courtyards with one door, and the usual errors of drawing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from spatial.load.site import Elevation, contract_frame
from spatial.sample.fabric import Fabric, make_fabric
from spatial.sample.files import write_survey
from spatial.sample.houses import make_buildings, make_households
from spatial.sample.lanes import alley_geometry, alley_table, edge_alleys
from spatial.sample.sites import make_board_sites, make_lamp_sites, make_places, make_power_points
from spatial.schema import LAYERS

__all__ = ["make_elevation", "make_sample", "write_sample"]

CRS = pyproj.CRS.from_epsg(4548)  # CGCS2000, three-degree zone of 117° E
ORIGIN = np.array([509_500.0, 3_497_700.0])  # near Feixi, 117.1° E 31.6° N
FEWEST_HOUSEHOLDS = 400
FAR_M = 200.0  # how far the lonely farm lies from any alley
STREAM_WIDTH_M = 7.0
CELL_M = 10.0  # of the elevation raster

_MADE = tuple(name for name in LAYERS if name != "elevation")
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
_ENDINGS = "郢岗圩庄塘湾"


def make_sample(
    n_households: int = 1000, *, seed: int = 1, layers: Collection[str] | None = None
) -> dict[str, gpd.GeoDataFrame]:
    """The layers of a made-up township as they come out of a survey, errors of drawing included.

    Parameters
    ----------
    n_households : int
        Households in all, 400 or more. Lanes (6 m a household), village groups (one for 40),
        lamp sites (0.6, of which 0.04 shine today) and board sites (0.08) grow with them.
    seed : int
        Same size and seed, same township.
    layers : collection of str, optional
        Names of the layers wanted, which are the same whatever else is; by default all. What is not
        wanted costs no time where nothing else depends on it.

    Returns
    -------
    dict of GeoDataFrame
        By the names of ``schema.LAYERS``, with the contract's columns, rows sorted by id, in
        EPSG:4548. All layers but ``elevation``, for which see :func:`make_elevation`.

    Raises
    ------
    ValueError
        Fewer than 400 households: too small for a stream, a road and several hamlets; or no such layer.
    """
    if n_households < FEWEST_HOUSEHOLDS:
        raise ValueError(f"n_households must be {FEWEST_HOUSEHOLDS} or more, got {n_households}")
    wanted = set(_MADE if layers is None else layers)
    if not wanted <= set(_MADE):
        raise ValueError(f"no layer {', '.join(sorted(wanted - set(_MADE)))}; there are {', '.join(_MADE)}")
    chance = np.random.default_rng(seed).spawn(7)
    fabric = make_fabric(n_households, chance[0])
    edge_alley = edge_alleys(fabric)
    alleys = alley_table(fabric, edge_alley, chance[1])
    width_m = alleys["width_m"].to_numpy()[edge_alley]
    buildings = make_buildings(fabric, width_m, chance[2])
    households = make_households(buildings, n_households, chance[3])
    buildings, households = _with_far_farm(fabric, buildings, households)
    names = _group_names(int(buildings["hamlet"].max()) + 1)
    households = _household_columns(households, buildings, names, alleys["name"].to_numpy()[edge_alley])
    tables = {
        "alleys": _with_double(alleys.assign(geometry=alley_geometry(fabric, edge_alley, chance[6]))),
        "households": households,
        "buildings": buildings,
        "barriers": _barriers(fabric),
        "places": make_places(fabric, buildings),
    }
    if wanted & {"boundary", "groups"}:
        tables["boundary"] = _boundary(fabric, buildings)
    if wanted & {"lamp_sites", "board_sites"}:
        sites = fabric, width_m, buildings, n_households, chance[4]
        tables |= {"lamp_sites": make_lamp_sites(*sites), "board_sites": make_board_sites(*sites)}
    if wanted & {"power_points", "vacant_buildings"}:
        tables["power_points"] = make_power_points(fabric, width_m, n_households, chance[5])
        tables["vacant_buildings"] = _vacant(buildings, households, chance[5])
    if "groups" in wanted:
        tables["groups"] = _group_areas(buildings, names, tables["boundary"]["geometry"].iloc[0])
    return {name: _layer(name, tables[name]) for name in LAYERS if name in wanted}


_ID_LETTERS = {
    "alleys": "X",
    "households": "H",
    "lamp_sites": "D",
    "board_sites": "L",
    "buildings": "F",
    "barriers": "Z",
    "places": "P",
    "power_points": "E",
}


def _layer(name: str, table: pd.DataFrame) -> gpd.GeoDataFrame:
    """The table as a layer of the contract: ids where it has none, millimetres, rows sorted by id."""
    id_column = LAYERS[name].id_column
    if id_column is not None and id_column not in table:
        table = table.assign(**{id_column: _ids(_ID_LETTERS[name], len(table))})
    if id_column is not None:
        table = table.sort_values(id_column, kind="stable")
    columns = {each.name: table[each.name] for each in LAYERS[name].columns if each.name in table}
    return contract_frame(name, columns, _on_map(table["geometry"].to_numpy()), CRS)


def _ids(letter: str, n: int) -> NDArray[np.str_]:
    digits = max(4, len(str(n)))
    return np.array([f"{letter}{each:0{digits}d}" for each in range(1, n + 1)])


def _on_map(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    """Shifted from the middle of the township to where it lies, to the millimetre as surveyed."""
    return shapely.transform(geometry, lambda xy: np.round(xy + ORIGIN, 3))


def _group_names(n: int) -> NDArray[np.str_]:
    """Names of hamlets as they are usual between Feixi and Hefei: a family and what it settled on."""
    return np.array(
        [
            _SURNAMES[i % len(_SURNAMES)] + _ENDINGS[(i + i // len(_SURNAMES)) % len(_ENDINGS)]
            + (str(lap + 1) if (lap := i // (len(_SURNAMES) * len(_ENDINGS))) else "")
            for i in range(n)
        ]
    )  # fmt: skip


def _with_far_farm(
    fabric: Fabric, buildings: pd.DataFrame, households: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One farm exactly 200 m beyond the outermost point of all alleys in its direction."""
    outwards = np.array([-0.6, 0.8])
    xy = fabric.edge_xy.reshape(-1, 2)
    door = xy[np.argmax(xy @ outwards)] + FAR_M * outwards
    house = shapely.box(door[0] - 5, door[1], door[0] + 5, door[1] + 9)
    nearest = np.argmin(shapely.distance(buildings["door"].to_numpy(), shapely.Point(door)))
    farm = buildings.iloc[[nearest]].assign(
        use="住宅", storeys=1.0, height_m=4.2, geometry=[house], door=[shapely.Point(door)]
    )
    lone = {"building": len(buildings), "households": 1, "residents": 3, "elderly": 2, "party_members": 0}
    return (
        pd.concat([buildings, farm], ignore_index=True),
        pd.concat([households, pd.DataFrame([lone])], ignore_index=True),
    )


def _household_columns(
    households: pd.DataFrame, buildings: pd.DataFrame, names: NDArray[np.str_], edge_name: NDArray[np.object_]
) -> pd.DataFrame:
    """Group, building, address and door of each row; every fortieth row lacks its group."""
    at = households["building"].to_numpy()
    building_id = _ids(_ID_LETTERS["buildings"], len(buildings))
    lane = pd.Series(edge_name[buildings["edge"]])
    number = lane.groupby(lane).cumcount() + 1
    block = (buildings["use"] == "公寓").to_numpy()[at]
    group = names[buildings["hamlet"].to_numpy()[at]].astype(object)
    group[39::40] = None
    return households.assign(
        group=group,
        building_id=building_id[at],
        unit=pd.Series("1至4单元", index=households.index).where(block),
        address=(lane + number.astype(str) + "号").to_numpy()[at],
        geometry=buildings["door"].to_numpy()[at],
    )


def _with_double(alleys: pd.DataFrame) -> pd.DataFrame:
    """One alley is in the survey twice."""
    own = alleys.index[alleys["role"] == "row"]
    return pd.concat([alleys, alleys.loc[[own[len(own) // 2]]]], ignore_index=True)


def _barriers(fabric: Fabric) -> pd.DataFrame:
    """The stream, and the guard-rail between the road and the houses south of it."""
    stream = fabric.stream.buffer(STREAM_WIDTH_M / 2, cap_style="flat")
    return pd.DataFrame(
        {"kind": ["river", "railing"], "name": ["山南河", "山南路护栏"], "geometry": [stream, fabric.rail]}
    )


def _boundary(fabric: Fabric, buildings: pd.DataFrame) -> pd.DataFrame:
    """A line round all lanes and houses, about 25 m off."""
    corners = np.r_[fabric.edge_xy.reshape(-1, 2), shapely.get_coordinates(buildings["geometry"].to_numpy())]
    hull = shapely.concave_hull(shapely.MultiPoint(_distinct(corners)), ratio=0.22)
    return pd.DataFrame({"name": ["山南社区"], "geometry": [hull.buffer(25.0).simplify(1.0)]})


def _distinct(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points to the centimetre, each once: triangulation fails on points that all but coincide."""
    return np.unique(np.round(xy, 2), axis=0)


def _group_areas(buildings: pd.DataFrame, names: NDArray[np.str_], boundary: Polygon) -> pd.DataFrame:
    """Every point inside the boundary belongs to the village group of the house it is nearest to."""
    middle = shapely.MultiPoint(np.round(shapely.get_coordinates(shapely.centroid(buildings["geometry"])), 2))
    around = middle.envelope.buffer(400.0)
    cells = shapely.get_parts(shapely.voronoi_polygons(middle, extend_to=around, ordered=True))
    areas = gpd.GeoDataFrame({"group": names[buildings["hamlet"]]}, geometry=cells).dissolve("group")
    inside = shapely.intersection(areas.geometry.to_numpy(), boundary)
    return pd.DataFrame({"group": areas.index, "geometry": inside})


def _vacant(buildings: pd.DataFrame, households: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Dwellings that nobody lives in."""
    empty = (buildings["use"] == "住宅") & ~buildings.index.isin(households["building"])
    area_m2 = np.round(shapely.area(buildings.loc[empty, "geometry"].to_numpy()) * 1.6, 1)
    return pd.DataFrame(
        {
            "building_id": _ids(_ID_LETTERS["buildings"], len(buildings))[empty],
            "area_m2": area_m2,
            "capacity": np.floor(area_m2 / 9).astype(np.int64),
            "cost_cny": np.round(area_m2 * rng.uniform(500, 1100, len(area_m2)), -2),
            "geometry": buildings.loc[empty, "geometry"].to_numpy(),
        }
    )


def make_elevation(layers: Mapping[str, gpd.GeoDataFrame], *, seed: int = 1) -> Elevation:
    """Ground heights round a township: a slope down to the stream, with knolls. [m]

    Cells of 10 m that cover the boundary and 50 m more.
    """
    rng = np.random.default_rng([seed, 7])
    west, south, east, north = layers["boundary"].total_bounds
    left, top = np.floor((west - 50) / CELL_M) * CELL_M, np.ceil((north + 50) / CELL_M) * CELL_M
    x = np.arange(left + CELL_M / 2, east + 50, CELL_M)
    y = np.arange(top - CELL_M / 2, south - 50, -CELL_M)
    xy = np.stack(np.meshgrid(x, y), axis=-1)
    barriers = layers["barriers"]
    stream = barriers.geometry[barriers["kind"] == "river"].iloc[0]
    stream_m = shapely.distance(stream, shapely.points(xy))
    waves = 2 * np.pi * rng.uniform(-1, 1, (4, 2)) / 300.0
    knolls = np.sin(xy @ waves.T + rng.uniform(0, 6.3, 4)).sum(axis=-1)
    height_m = 24.0 + 0.012 * stream_m + 1.2 * knolls - 3.0 * np.exp(-((stream_m / 35.0) ** 2))
    return Elevation(
        np.round(height_m, 2).astype(np.float32), (CELL_M, 0.0, float(left), 0.0, -CELL_M, float(top))
    )


def write_sample(folder: Path | str, *, n_households: int = 1000, seed: int = 1) -> None:
    """Write the township into ``folder`` as it would come from a survey.

    ``shannan.gpkg``, ``households.csv``, ``dem.tif`` and ``plan.toml``; the same bytes for the same
    size and seed. Files of these names are replaced, all others left alone.

    Raises
    ------
    ValueError
        As :func:`make_sample`; nothing is written.
    """
    layers = make_sample(n_households, seed=seed)
    write_survey(Path(folder), layers, make_elevation(layers, seed=seed))
