"""The files of a made-up township, as a survey would hand them over.

``shannan.gpkg`` with Chinese names of most layers and columns, ``households.csv`` with survey
coordinates and the personal columns that real lists have, ``dem.tif`` and ``plan.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio

from spatial.load.site import Elevation
from spatial.schema import LAYERS

__all__ = ["write_survey"]

DATE = "2026-10-01"
_CHINESE = (
    "alleys",
    "lamp_sites",
    "board_sites",
    "boundary",
    "barriers",
    "groups",
    "places",
    "vacant_buildings",
)

PLAN_TOML = f"""\
# Shannan is made up: no such township, no such people.
[community]
name = "山南社区"
name_en = "Shannan"
town = "山南镇"
code = "340123999001"
date = {DATE}
branch_names = ["东片党支部", "中片党支部", "西片党支部"]

[input.households]
file = "households.csv"
crs = "EPSG:4548"
"""


def write_survey(folder: Path, layers: Mapping[str, gpd.GeoDataFrame], elevation: Elevation) -> None:
    """Write all files of a survey into ``folder``, which is made where it does not exist.

    Parameters
    ----------
    folder : Path
        Files of the same names in it are replaced, all others left alone.
    layers : mapping of GeoDataFrame
        As :func:`spatial.sample.make_sample` gives them.
    elevation : Elevation
        In the system of the layers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_geopackage(
        folder / "shannan.gpkg", {key: each for key, each in layers.items() if key != "households"}
    )
    _write_households(folder / "households.csv", layers["households"])
    _write_elevation(folder / "dem.tif", elevation, layers["alleys"].crs)
    (folder / "plan.toml").write_text(PLAN_TOML, encoding="utf-8")


def _write_geopackage(path: Path, layers: Mapping[str, gpd.GeoDataFrame]) -> None:
    path.unlink(missing_ok=True)
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{DATE}T00:00:00.000Z"})
    try:
        for name, layer in layers.items():
            table = _as_surveyed(name, layer)
            title = LAYERS[name].zh if name in _CHINESE else name
            pyogrio.write_dataframe(table, path, layer=title, driver="GPKG")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})


def _as_surveyed(name: str, layer: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Columns that hold something, under Chinese headings and with Chinese words where the layer has them."""
    used = layer.dropna(axis="columns", how="all")
    if name not in _CHINESE:
        return used
    columns = [each for each in LAYERS[name].columns if each.name in used.columns]
    words = {
        each.name: used[each.name].replace({key: spelt[0] for key, spelt in each.choices.items() if spelt})
        for each in columns
        if each.choices
    }
    return used.assign(**words).rename(columns={each.name: each.zh for each in columns})


def _write_households(path: Path, households: gpd.GeoDataFrame) -> None:
    """One row per entry of the list, with personal columns that no later step may read."""
    n = np.arange(1, len(households) + 1)
    table = pd.DataFrame(
        {
            "户号": households["household_id"],
            "户主": [f"户主{each:04d}" for each in n],
            "电话": [f"000-0000-{each:04d}" for each in n],
            "户数": households["households"],
            "人口": households["residents"],
            "老人": households["elderly"],
            "党员": households["party_members"],
            "村民小组": households["group"],
            "楼栋编号": households["building_id"],
            "单元": households["unit"],
            "地址": households["address"],
            "东坐标": [f"{each:.3f}" for each in households.geometry.x],
            "北坐标": [f"{each:.3f}" for each in households.geometry.y],
        }
    )
    path.write_bytes(table.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig"))


def _write_elevation(path: Path, elevation: Elevation, crs: object) -> None:
    import rasterio

    rows, columns = elevation.values.shape
    profile = {
        "driver": "GTiff",
        "width": columns,
        "height": rows,
        "count": 1,
        "dtype": "float32",
        "nodata": -9999.0,
        "crs": rasterio.crs.CRS.from_user_input(crs),
        "transform": rasterio.Affine(*elevation.transform),
        "compress": "deflate",
        "predictor": 3,
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(elevation.values, 1)
