"""A village small enough to draw: two alleys and three houses, written into a folder as people would."""

import json

import geopandas as gpd
import shapely

from spatial.load import check_site
from spatial.settings import Settings

DEFAULT = Settings()
CRS = "EPSG:4548"
X0, Y0 = 509_400.0, 3_497_000.0


def at(x, y):
    return shapely.Point(X0 + x, Y0 + y)


def line(*xy):
    return shapely.LineString([(X0 + x, Y0 + y) for x, y in xy])


def box(x, y, width, depth):
    return shapely.box(X0 + x, Y0 + y, X0 + x + width, Y0 + y + depth)


#   h1   h2   h3
#  -a1------+---- 100 m
#           a2     20 m
ALLEYS = [
    (line((0, 0), (100, 0)), {"alley_id": "a1", "name": "东巷"}),
    (line((60, 0), (60, -20)), {"alley_id": "a2"}),
]
HOUSES = [(at(10 * i, 8), {"household_id": f"h{i}", "households": i}) for i in (1, 2, 3)]


def geojson(folder, name, rows, crs=CRS):
    features = [
        {
            "type": "Feature",
            "geometry": None if shape is None else json.loads(shapely.to_geojson(shape)),
            "properties": each,
        }
        for shape, each in rows
    ]
    document = {"type": "FeatureCollection", "features": features}
    if crs:
        document["crs"] = {"type": "name", "properties": {"name": crs}}
    path = folder / f"{name}.geojson"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def frame(rows, crs=CRS):
    return gpd.GeoDataFrame([each for _, each in rows], geometry=[each for each, _ in rows], crs=crs)


def faults(folder, known=DEFAULT):
    site, remarks = check_site(folder, known)
    found = {(each.code, each.layer, each.column): each for each in remarks if each.kind == "fault"}
    assert (site is None) == bool(found)
    return found


def codes(site, kind):
    return [(each.code, each.layer) for each in site.remarks if each.kind == kind]


def with_input(**layers):
    return Settings.model_validate({"input": layers})
