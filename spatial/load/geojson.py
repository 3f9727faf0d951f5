"""GeoJSON: one FeatureCollection a file, or one Feature a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.errors import DataError, Remark, fault, first_ids, one_line
from spatial.load.raw import Choose, RawLayer, Source, file_crs, file_text, objects, refuse_more

__all__ = ["read_geojson"]

#: Other formats in JSON, by what only they have.
_KINDS = {"geometryType": "Esri JSON, not GeoJSON", "arcs": "TopoJSON, not GeoJSON"}


def read_geojson(source: Source, choose: Choose, encoding: str | None) -> RawLayer:
    path = source.path
    text, used = file_text(path, encoding)
    # each list, object and member takes some memory, however little text
    refuse_more(path.name, n_values=3 * text.count("{") + text.count("[") + text.count(","))
    try:
        document = _by_line(text) or json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is not valid JSON ({error}); copy or export it again") from None
    features = document.get("features") if isinstance(document, dict) else None
    if (
        not isinstance(features, list)
        or not all(isinstance(each, dict) for each in features)
        or document.get("type", "FeatureCollection") != "FeatureCollection"
        or "geometryType" in document
    ):
        known = document if isinstance(document, dict) else ()
        kind = next((name for key, name in _KINDS.items() if key in known), "not a GeoJSON FeatureCollection")
        raise DataError(f"{path.name} is {kind}; export the layer as GeoJSON")
    properties = [p if isinstance(p := each.get("properties"), dict) else {} for each in features]
    headings = sorted({key for each in properties for key in each})  # not in the order of rows
    refuse_more(path.name, n_headings=len(headings))
    chosen = choose(headings)
    values = {name: objects([each.get(key) for each in properties]) for name, key in chosen.items()}
    # GEOS reads the numbers itself; a number in JSON is a double either way
    parts = [None if each.get("geometry") is None else json.dumps(each["geometry"]) for each in features]
    with np.errstate(all="ignore"):  # numbers beyond all measure are told as no geometry
        geometry = shapely.from_geojson(objects(parts), on_invalid="ignore")
    crs, said = _geojson_crs(path.name, document, geometry)
    said += _unread(parts, geometry)
    return RawLayer(values, geometry, crs, tuple(headings), tuple(chosen.values()), used, said=tuple(said))


def _by_line(text: str) -> dict[str, Any] | None:
    """The features of text that holds one on each line, with or without a record separator (RFC 8142)."""
    lines = [each for line in text.split("\n") if (each := line.strip("\x1e \t\r"))]
    if len(lines) < 2 or not all(each.startswith("{") and each.endswith("}") for each in lines):
        return None
    return {"features": [json.loads(each, object_pairs_hook=_object) for each in lines]}


def _unread(parts: Sequence[str | None], geometry: NDArray[np.object_]) -> list[Remark]:
    """A fault for geometries that are given and are none that GeoJSON knows."""
    broken = [part for part, shape in zip(parts, geometry, strict=True) if part and shape is None]
    if not broken:
        return []
    text = f"{len(broken):,} of {len(parts):,} have a geometry that can't be read: {first_ids(broken)}"
    return [fault("coordinates-unread", text, remedy="each needs a type of GeoJSON and numbers, x before y")]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """One object; a key that stands in it twice would lose a value in silence."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {one_line(next(key for key in keys if keys.count(key) > 1))!r} stands twice")
    return found


def _geojson_crs(
    file: str, document: Mapping[str, Any], geometry: NDArray[np.object_]
) -> tuple[pyproj.CRS | None, list[Remark]]:
    """The named system of older files, else WGS 84; None where the numbers are no degrees."""
    named = document.get("crs")
    if named is not None:
        about = named.get("properties") if isinstance(named, dict) else None
        name = about.get("name") if isinstance(about, dict) else None
        return file_crs(file, str(named if name is None else name))
    if not len(geometry):
        return pyproj.CRS.from_epsg(4326), []
    bounds = shapely.total_bounds(geometry)
    looks_like_metres = np.any(np.abs(bounds) > [180.0, 90.0, 180.0, 90.0])
    return (None if looks_like_metres else pyproj.CRS.from_epsg(4326)), []
