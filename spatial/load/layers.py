"""One layer of the contract: read from its source, checked, then brought to the site's metric system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.crs import change_crs, crs_name, misfit, parse_crs, suggest_crs
from spatial.errors import DataError, Remark, doubt, fault, note
from spatial.load.columns import as_text, read_columns, row_labels
from spatial.load.formats import RawLayer, Source, read_source
from spatial.load.headings import match_columns, unread, wrong_units
from spatial.load.shapes import Shapes, clean_shapes, geometric_order, valid_polygons
from spatial.load.site import contract_frame
from spatial.schema import LAYERS
from spatial.settings import InputLayer, Settings

__all__ = ["ReadLayer", "bounds_of", "place_layer", "read_layer"]

Objects = NDArray[np.object_]

_ID_PREFIX = {
    "alleys": "a",
    "households": "h",
    "lamp_sites": "ls",
    "board_sites": "bs",
    "buildings": "b",
    "barriers": "x",
    "groups": "g",
    "places": "p",
    "power_points": "pw",
    "vacant_buildings": "v",
}


@dataclass(frozen=True)
class ReadLayer:
    """A layer as understood, still in its own coordinates."""

    name: str
    columns: Mapping[str, pd.Series]  # one value per row of ``shapes``
    shapes: Shapes
    crs: pyproj.CRS
    datum: str | None


def read_layer(name: str, source: Source, settings: Settings) -> tuple[ReadLayer | None, list[Remark]]:
    """Read and check one layer by itself.

    Returns
    -------
    ReadLayer or None
        None where its geometry or system is at fault or it is empty; faulty cells are empty.
    list of Remark
    """
    spec = settings.input.layers.get(name, InputLayer())
    try:
        raw = read_source(
            source,
            lambda headings: match_columns(name, headings, named=spec.columns)[0],
            encoding=spec.encoding,
        )
    except DataError as error:
        return None, [fault("file-unreadable", str(error), layer=name)]
    chosen, remarks = match_columns(name, raw.headings, named=spec.columns)
    remarks += wrong_units(name, chosen) + unread(name, raw.headings, raw.read)
    if raw.encoding:
        text = f"{source.path.name} is not UTF-8 and was read as {raw.encoding}"
        remarks.append(note("encoding-found", text, layer=name))
    if not len(raw.geometry):
        return None, [*remarks, _empty(name, source)]
    if raw.n_curves:
        return None, [*remarks, _curved(name, raw)]

    id_column = LAYERS[name].id_column
    labels = row_labels(raw.values.get(id_column) if id_column else None, len(raw.geometry))
    columns, said = read_columns(name, raw.values, labels)
    remarks += said + _id_faults(name, columns, labels)
    shapes, said = clean_shapes(name, raw.geometry, labels)
    remarks += said
    crs, said = _layer_crs(name, raw, spec, settings)
    remarks += said
    if shapes is None or crs is None:
        return None, remarks
    datum = spec.datum or settings.input.datum
    remarks += _datum_doubt(name, raw, crs, datum)
    columns = {key: each.iloc[shapes.row].reset_index(drop=True) for key, each in columns.items()}
    return ReadLayer(name, columns, shapes, crs, datum), remarks


def _empty(name: str, source: Source) -> Remark:
    make = fault if LAYERS[name].required else note
    return make("layer-empty", f"{source} has no rows", layer=name, remedy="draw them, or delete the layer")


def _curved(name: str, raw: RawLayer) -> Remark:
    return fault(
        "geometry-curved",
        f"{raw.n_curves:,} of {len(raw.geometry):,} are curves, which can't be read",
        layer=name,
        remedy="turn them into plain lines (in QGIS: Convert curved to straight geometries)",
    )


def _id_faults(name: str, columns: Mapping[str, pd.Series], labels: Objects) -> list[Remark]:
    """Ids that are empty or stand more than once; village groups may be several areas of one name."""
    id_column = LAYERS[name].id_column
    if id_column is None or id_column not in columns or columns[id_column].isna().all():
        return []
    ids = columns[id_column]
    n_rows, where = len(ids), {"layer": name, "column": id_column}
    faults = []
    if ids.isna().any():
        text = f"{int(ids.isna().sum()):,} of {n_rows:,} are empty"
        remedy = "number them, or leave out the whole column and ids are made"
        faults.append(fault("id-missing", text, ids=labels[ids.isna()], remedy=remedy, **where))
    double = ids.notna() & ids.duplicated(keep=False)
    if name != "groups" and double.any():
        text = f"{int(double.sum()):,} of {n_rows:,} share their id with another row"
        remedy = "give each row an id of its own, or leave out the whole column and ids are made"
        faults.append(fault("id-double", text, ids=ids[double].unique(), remedy=remedy, **where))
    return faults


def _layer_crs(
    name: str, raw: RawLayer, spec: InputLayer, settings: Settings
) -> tuple[pyproj.CRS | None, list[Remark]]:
    """The system stated for the layer, else the file's own, else the one stated for all input."""
    remarks: list[Remark] = []
    setting = f'[input.{name}] crs = "EPSG:…" in plan.toml'
    bounds = bounds_of(raw.geometry)
    try:
        if spec.crs is not None:
            crs = parse_crs(spec.crs)
            if raw.crs is not None and not raw.crs.equals(crs, ignore_axis_order=True):
                text = f"the file says {crs_name(raw.crs)}, read as {crs_name(crs)} as the settings say"
                remarks.append(note("crs-overridden", text, layer=name))
        elif raw.crs is not None:
            crs = raw.crs
        elif raw.degrees:
            crs = pyproj.CRS.from_epsg(4326)
        elif settings.input.crs is not None:
            crs = parse_crs(settings.input.crs)
        else:
            text = f"crs is missing; the coordinates look like {suggest_crs(bounds)}"
            return None, [fault("crs-missing", text, layer=name, remedy=f"set {setting}")]
    except DataError as error:
        return None, [fault("crs-unknown", str(error), layer=name, remedy=f"set {setting}")]
    reason = misfit(crs, bounds) if np.isfinite(bounds).all() else ""
    if reason:
        remedy = f'set the right system with {setting}, or swap with columns = {{x = "…", y = "…"}}'
        return None, [*remarks, fault("crs-misfit", reason, layer=name, remedy=remedy)]
    return crs, remarks


def _datum_doubt(name: str, raw: RawLayer, crs: pyproj.CRS, datum: str | None) -> list[Remark]:
    """Degrees in China without a statement may be shifted by half a kilometre, as on Amap and Baidu."""
    west, south, east, north = bounds_of(raw.geometry)
    in_china = 73.0 <= (west + east) / 2 <= 135.5 and 18.0 <= (south + north) / 2 <= 54.0
    if datum is not None or not crs.is_geographic or not in_china or crs_name(crs) == "EPSG:4490":
        return []
    text = "degrees in China, taken as true (WGS 84); those from Amap, Tencent or Baidu are 500–1,300 m off"
    remedy = f'say which with [input.{name}] datum = "wgs84", "cgcs2000", "gcj02" or "bd09"'
    return [doubt("datum-unstated", text, layer=name, remedy=remedy)]


def bounds_of(geometry: Objects) -> tuple[float, float, float, float]:
    """West, south, east and north edge of all coordinates that are finite; NaN where there are none."""
    xy = shapely.get_coordinates(geometry)
    xy = xy[np.isfinite(xy).all(axis=1)]
    if not len(xy):
        return (np.nan, np.nan, np.nan, np.nan)
    (west, south), (east, north) = xy.min(axis=0), xy.max(axis=0)
    return float(west), float(south), float(east), float(north)


def place_layer(layer: ReadLayer, crs: pyproj.CRS) -> tuple[gpd.GeoDataFrame | None, list[Remark]]:
    """The layer in ``crs``, with the contract's columns, every row with an id, sorted by it.

    Returns
    -------
    GeoDataFrame or None
        None where coordinates have no place in ``crs``.
    list of Remark
    """
    remarks = []
    geometry = layer.shapes.geometry
    same = layer.crs.equals(crs, ignore_axis_order=True)
    if not same or layer.datum in ("gcj02", "bd09"):
        geometry = valid_polygons(change_crs(geometry, layer.crs, crs, datum=layer.datum))
        if not np.isfinite(shapely.get_coordinates(geometry)).all():
            text = f"some coordinates in {crs_name(layer.crs)} have no place in {crs_name(crs)}"
            return None, [
                fault("crs-misfit", text, layer=layer.name, remedy="check the system and the coordinates")
            ]
        shift = f", corrected for {layer.datum}" if layer.datum in ("gcj02", "bd09") else ""
        text = f"brought from {crs_name(layer.crs)} to {crs_name(crs)}{shift}"
        remarks.append(note("crs-changed", text, layer=layer.name))
    columns, ids, said = _with_ids(layer, geometry)
    remarks += said
    order = (
        geometric_order(geometry, ties=_row_texts(columns)) if ids is None else np.argsort(ids, kind="stable")
    )
    columns = {key: each.iloc[order] for key, each in columns.items()}
    return contract_frame(layer.name, columns, geometry[order], crs), remarks


def _with_ids(
    layer: ReadLayer, geometry: Objects
) -> tuple[dict[str, pd.Series], Objects | None, list[Remark]]:
    """The columns with ids: the given ones, ``-1``, ``-2`` … behind those of split rows, or made ones."""
    columns, column = dict(layer.columns), LAYERS[layer.name].id_column
    if column is None:
        return columns, None, []
    remarks = []
    if column in columns and columns[column].notna().any():
        ids = as_text(columns[column].to_numpy(dtype=object))
        split = layer.shapes.part > 0
        ids[split] = [
            f"{each}-{part}" for each, part in zip(ids[split], layer.shapes.part[split], strict=True)
        ]
        double = pd.Series(ids).duplicated(keep=False).to_numpy()
        if split.any() and layer.name != "groups" and double[split].any():
            remedy = "split the multipart rows yourself and number their parts"
            text = "parts of split rows would take ids that other rows have"
            where = {"layer": layer.name, "column": column, "ids": ids[double & split]}
            remarks.append(fault("id-double", text, remedy=remedy, **where))
    else:
        order = geometric_order(geometry, ties=_row_texts(columns))
        width = max(3, len(str(len(order))))
        ids = np.empty(len(order), dtype=object)
        ids[order] = [f"{_ID_PREFIX[layer.name]}{i + 1:0{width}d}" for i in range(len(order))]
        text = f"no ids; made in the order of geometry, {min(ids)} to {max(ids)}"
        remarks.append(note("ids-made", text, layer=layer.name, column=column))
    columns[column] = pd.Series(ids, dtype="str")
    return columns, ids, remarks


def _row_texts(columns: Mapping[str, pd.Series]) -> Objects:
    """Each row's values as one text, to order rows of equal geometry."""
    if not columns:
        return np.zeros(0, dtype=object)
    texts = [as_text(columns[key].to_numpy(dtype=object, na_value=None)) for key in sorted(columns)]
    return np.array(["\x1f".join(each) for each in zip(*texts, strict=True)], dtype=object)
