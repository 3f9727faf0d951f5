"""One layer of the contract: read from its source, checked, then brought to the site's metric system."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.crs import Change, coordinate_change, crs_name, datum_name, misfit, parse_crs, suggest_crs
from spatial.errors import DataError, Remark, doubt, fault, note
from spatial.load.columns import as_text, parse_numbers, read_columns, row_labels
from spatial.load.exactness import told_exactness
from spatial.load.facts import LayerFacts, layer_facts
from spatial.load.formats import format_of, read_source
from spatial.load.headings import match_columns, unread, wrong_units
from spatial.load.mojibake import garbled_values, mended_values, told_garble
from spatial.load.raw import RawLayer, Source
from spatial.load.rows import Rows
from spatial.load.shapes import Shapes, clean_shapes, geometric_order, valid_polygons
from spatial.load.site import contract_frame
from spatial.load.stated import unfit_datum, unfit_statements
from spatial.schema import LAYERS
from spatial.settings import InputLayer, Settings

__all__ = ["ReadLayer", "accuracy_doubt", "middle_of", "place_layer", "read_layer"]

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


#: In the name of a layer: its sites are proposed, none stands.
_PROPOSED = ("site", "候选", "拟", "规划", "candidate", "新")
#: A row farther than this from the middle of its layer is a slip of coordinates.
_ASTRAY_M, _ASTRAY_DEG = 1e5, 1.0
#: Half of a community's buildings are never as high as this; above the other, centimetres aren't either.
_TOWER_M, _CENTIMETRES_BELOW = 100.0, 2500.0
#: Whole numbers from here on lose their last digits in a spreadsheet.
_KEPT_DIGITS = 1e15
#: A transformation less accurate than this is told.
_ACCURATE_M = 3.0


@dataclass(frozen=True)
class ReadLayer:
    """A layer as understood, still in its own coordinates."""

    name: str
    columns: Mapping[str, pd.Series]  # one value per row of ``geometry``
    geometry: Objects
    crs: pyproj.CRS
    datum: str | None


def read_layer(
    name: str, source: Source, settings: Settings, *, spec: InputLayer | None = None
) -> tuple[ReadLayer | None, LayerFacts, list[Remark]]:
    """Read and check one layer by itself.

    Parameters
    ----------
    name : str
    source : Source
    settings : Settings
    spec : InputLayer, optional
        How to read it; default: the settings' own table for the layer.

    Returns
    -------
    ReadLayer or None
        None where its geometry or system is at fault or it is empty; faulty cells are empty.
    LayerFacts
    list of Remark
    """
    if spec is None:
        spec = settings.input.layers.get(name, InputLayer())
    name_bytes = format_of(source.path).name_bytes
    try:
        raw = read_source(
            replace(source, layer=name),
            lambda headings: match_columns(name, headings, named=spec.columns, name_bytes=name_bytes)[0],
            encoding=spec.encoding,
        )
    except DataError as error:
        broken = fault("file-unreadable", str(error), layer=name)
        return None, LayerFacts(name, source), [broken, *unfit_statements(name, source, spec)]
    if raw.crs is None or raw.crs.is_geographic:
        raw = replace(raw, geometry=_over_date_line(raw.geometry))
    if spec.swap_xy and "axes-swapped" not in {each.code for each in raw.said}:  # by the reader already
        raw = replace(raw, geometry=shapely.transform(raw.geometry, lambda xy: xy[:, ::-1]))
    chosen, remarks = match_columns(name, raw.headings, named=spec.columns, name_bytes=name_bytes)
    garble = garbled_values(raw.values)
    given, raw = raw.values, replace(raw, values=mended_values(raw.values, garble))
    id_column = LAYERS[name].id_column
    labels = row_labels(raw.values.get(id_column) if id_column else None, len(raw.geometry))
    crs, said_of_crs = _layer_crs(name, raw, spec, settings)
    facts = layer_facts(name, source, raw, labels, spec, settings, columns=chosen, crs=crs)
    odd_units = wrong_units(name, chosen)
    remarks += unfit_statements(name, source, spec)
    remarks += unfit_datum(name, facts.datum, crs, middle_of(raw.geometry))
    remarks += odd_units + unread(name, raw.headings, raw.read)
    if raw.encoding and raw.encoding_by == "guessed" and "encoding-lie" not in {e.code for e in raw.said}:
        text = f"{source.path.name} is not UTF-8 and was read as {raw.encoding}"
        remarks.append(note("encoding-found", text, layer=name))
    remarks += [replace(each, layer=name) for each in raw.said]
    if not len(raw.geometry):
        return None, facts, [*remarks, _empty(name, source)]

    rows = Rows(name, labels)
    remarks += told_garble(rows, given, garble)
    judged = {key: each for key, each in raw.values.items() if key not in [f.column for f in odd_units]}
    with_status, said_of_status = _with_status(name, source, judged, len(labels), spec)
    columns, said = read_columns(rows, with_status)
    remarks += said_of_status + said + _id_faults(rows, columns) + _rounded_ids(rows, raw.values)
    remarks += _height_unit(rows, judged)
    shapes, said = clean_shapes(rows, raw.geometry, curved=raw.curved)
    remarks += said + said_of_crs
    if crs is not None:
        remarks += _astray(rows, raw.geometry, crs) + told_exactness(rows, raw.geometry, crs)
    if shapes is None or crs is None:
        return None, facts, remarks
    if not len(shapes.geometry):
        return None, facts, [*remarks, _empty(name, source)]
    remarks += _datum_doubt(name, raw, crs, facts.datum)
    columns = {key: each.iloc[shapes.row].reset_index(drop=True) for key, each in columns.items()}
    columns, remarks = _with_ids(name, columns, shapes, labels, remarks)
    facts = replace(facts, n_used=len(shapes.geometry))
    return ReadLayer(name, columns, shapes.geometry, crs, facts.datum), facts, remarks


def _with_status(
    name: str, source: Source, values: Mapping[str, Objects], n_rows: int, spec: InputLayer
) -> tuple[Mapping[str, Objects], list[Remark]]:
    """The status that the settings give to rows without one; a doubt where lamps may stand already."""
    if "status" not in [each.name for each in LAYERS[name].columns]:
        return values, []
    if spec.status is not None:
        given = values.get("status", np.full(n_rows, None, dtype=object))
        return {**values, "status": np.where(as_text(given) == "", spec.status, given)}, []
    called = source.table or source.path.stem
    if "status" in values or not n_rows or any(word in called.casefold() for word in _PROPOSED):
        return values, []
    text = f"{source} does not say which of them stand already: all are taken as places for new ones"
    remedy = f'if they stand, set [input.{name}] status = "existing", or add a column 状态 (候选, 现有)'
    return values, [doubt("status-unstated", text, layer=name, column="status", remedy=remedy)]


def _over_date_line(geometry: Objects) -> Objects:
    """Degrees on both sides of the date line, made to count on from 180."""
    lon = shapely.get_coordinates(geometry)[:, 0]
    if not (
        len(lon) and (np.abs(lon) > 170.0).all() and (np.abs(lon) <= 180.0).all() and np.ptp(lon) > 180.0
    ):
        return geometry
    return shapely.transform(geometry, lambda xy: np.column_stack((xy[:, 0] % 360.0, xy[:, 1])))


def _empty(name: str, source: Source) -> Remark:
    """A file without rows says less than none: it may have been meant to hold them."""
    text = f"{source} has no rows that can be used"
    if LAYERS[name].required:
        return fault("layer-empty", text, layer=name, remedy="draw them")
    if name == "households":
        remedy = "fill it, or take the file away: households are then estimated from the buildings"
        return fault("layer-empty", text, layer=name, remedy=remedy)
    text += "; planned as if there were no such layer"
    return doubt("layer-empty", text, layer=name, remedy="draw them, or take the layer away")


def _id_faults(rows: Rows, columns: Mapping[str, pd.Series]) -> list[Remark]:
    """Ids that are empty or stand more than once; village groups may be several areas of one name."""
    column = LAYERS[rows.layer].id_column
    if column is None or column not in columns or columns[column].isna().all():
        return []
    ids = columns[column]
    message, remedy = "are empty", "number them, or leave out the whole column and ids are made"
    faults = rows.tell(fault, "id-missing", ids.isna().to_numpy(), message, column=column, remedy=remedy)
    double = (ids.notna() & ids.duplicated(keep=False)).to_numpy()
    if rows.layer == "groups" or not double.any():
        return faults
    text = f"{int(double.sum()):,} of {len(ids):,} share their id with another row"
    remedy = (
        "give each row an id of its own, name a column that has one as "
        f'[input.{rows.layer}] columns = {{{column} = "…"}}, or leave the column out and ids are made'
    )
    where = {"layer": rows.layer, "column": column, "ids": ids[double].unique()}
    return [*faults, fault("id-double", text, remedy=remedy, **where)]


def _rounded_ids(rows: Rows, values: Mapping[str, Objects]) -> list[Remark]:
    """A doubt for ids that are numbers with a fraction, or of more digits than a spreadsheet keeps."""
    column = LAYERS[rows.layer].id_column
    ids = values.get(column, rows.labels[:0]) if column else rows.labels[:0]
    rounded = [
        _is_rounded_text(each) if isinstance(each, str) else isinstance(each, float) and _is_rounded(each)
        for each in ids
    ]
    message = "are numbers with a fraction, or of so many digits that a spreadsheet rounds them"
    remedy = "format the column as text in the spreadsheet and write the ids anew, or name another column"
    where = {"column": column or "", "remedy": remedy}
    return rows.tell(doubt, "id-rounded", np.array(rounded, dtype=bool), message, **where)


def _height_unit(rows: Rows, values: Mapping[str, Objects]) -> list[Remark]:
    """A doubt where half of the heights of buildings or lamps are those of towers."""
    if "height_m" not in values:
        return []
    height_m, _ = parse_numbers(values["height_m"])
    tall = height_m >= _TOWER_M
    if 2 * int(tall.sum()) <= int(np.isfinite(height_m).sum()):
        return []
    middle_m = float(np.nanmedian(height_m[np.isfinite(height_m)]))
    unit, factor = ("centimetres", 100) if middle_m < _CENTIMETRES_BELOW else ("millimetres", 1000)
    message = (
        f"are {_TOWER_M:g} m high or more: they look like {unit} (the middle one {middle_m:,.0f}, which "
        f"would be {middle_m / factor:,.1f} m)"
    )
    remedy = (
        "convert them to metres, or name the column that is in metres: "
        f'[input.{rows.layer}] columns = {{height_m = "…"}}'
    )
    return rows.tell(doubt, "height-unit", tall, message, column="height_m", remedy=remedy)


def _is_rounded(value: float) -> bool:
    return math.isfinite(value) and (not value.is_integer() or abs(value) >= _KEPT_DIGITS)


def _is_rounded_text(value: str) -> bool:
    return re.fullmatch(r"\d\.\d+E\+\d{2}", value.strip()) is not None


def _layer_crs(
    name: str, raw: RawLayer, spec: InputLayer, settings: Settings
) -> tuple[pyproj.CRS | None, list[Remark]]:
    """The system stated for the layer, else the file's own, else the one stated for all input."""
    remarks: list[Remark] = []
    xy = middle_of(raw.geometry)
    setting = f'[input.{name}] crs = "EPSG:…" in plan.toml'
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
            looks = suggest_crs(xy)
            unread = [each.message for each in raw.said if each.code == "crs-unreadable"]
            text = f"{(unread or ['crs is missing'])[0]}; the coordinates look like {looks}"
            return None, [fault("crs-missing", text, layer=name, remedy=f"set {_setting(name, looks)}")]
    except DataError as error:
        return None, [fault("crs-unknown", str(error), layer=name, remedy=f"set {setting}")]
    reason = misfit(crs, xy) if np.isfinite(xy).all() else ""
    if reason and spec.swap_xy and "look swapped" in reason:
        text = f"[input.{name}] swap_xy is given, and so {reason.partition(';')[0]}"
        return None, [*remarks, fault("input-setting", text, layer=name, remedy="leave swap_xy out")]
    if reason:
        swap = f"[input.{name}] swap_xy = true"
        remedy = f"set {swap if 'look swapped' in reason else _setting(name, reason.partition('; ')[2])}"
        return None, [*remarks, fault("crs-misfit", reason, layer=name, remedy=remedy)]
    return crs, remarks


def _setting(name: str, looks: str) -> str:
    """The setting for what coordinates look like, with the code where only one is likely."""
    codes = re.findall(r"EPSG:\d+", looks)
    code = (
        codes[0] if len(codes) == 1 or looks.startswith(("degrees", "they look like degrees")) else "EPSG:…"
    )
    swap = " and swap_xy = true" if "swapped" in looks else ""
    return f'[input.{name}] crs = "{code}"{swap} in plan.toml'


def _datum_doubt(name: str, raw: RawLayer, crs: pyproj.CRS, datum: str | None) -> list[Remark]:
    """Degrees in China without a statement may be shifted by half a kilometre, as on Amap and Baidu."""
    lon, lat = middle_of(raw.geometry)
    in_china = 73.0 <= lon <= 135.5 and 18.0 <= lat <= 54.0
    if datum is not None or not crs.is_geographic or not in_china or crs_name(crs) == "EPSG:4490":
        return []
    text = "degrees in China, taken as true (WGS 84); those from Amap, Tencent or Baidu are 500–1,300 m off"
    remedy = f'say which with [input.{name}] datum = "wgs84", "cgcs2000", "gcj02" or "bd09"'
    return [doubt("datum-unstated", text, layer=name, remedy=remedy)]


def middle_of(geometry: Objects) -> tuple[float, float]:
    """The median of all finite coordinates, so that a stray one moves nothing; NaN where there are none."""
    xy = shapely.get_coordinates(geometry)
    xy = xy[np.isfinite(xy).all(axis=1)]
    return (float(np.median(xy[:, 0])), float(np.median(xy[:, 1]))) if len(xy) else (np.nan, np.nan)


def _astray(rows: Rows, geometry: Objects, crs: pyproj.CRS) -> list[Remark]:
    """Rows far from all others, as a point at 0, 0 is."""
    bounds = shapely.bounds(geometry)
    away = np.hypot(*((bounds[:, :2] + bounds[:, 2:]) / 2 - middle_of(geometry)).T)
    astray = np.isfinite(away) & (away > (_ASTRAY_DEG if crs.is_geographic else _ASTRAY_M))
    message, remedy = "lie more than 100 km from the rest", "correct their coordinates, or delete the rows"
    return rows.tell(fault, "geometry-astray", astray, message, remedy=remedy)


def _with_ids(
    name: str, columns: Mapping[str, pd.Series], shapes: Shapes, labels: Objects, remarks: list[Remark]
) -> tuple[dict[str, pd.Series], list[Remark]]:
    """The columns with ids: the given ones, ``-1``, ``-2`` … behind those of split rows, or made ones.

    Where ids are made the notes and doubts name rows by them, so that the order of rows in the
    file changes nothing; faults keep the row numbers, by which a person finds the row.
    """
    column = LAYERS[name].id_column
    if column is None:
        return dict(columns), remarks
    if column in columns and columns[column].notna().any():
        ids, said = _split_ids(name, as_text(columns[column].to_numpy(dtype=object)), shapes)
        return {**columns, column: pd.Series(ids, dtype="str")}, remarks + said
    order = geometric_order(shapes.geometry, ties=_row_texts(columns))
    width = max(3, len(str(len(order))))
    ids = np.empty(len(order), dtype=object)
    ids[order] = [f"{_ID_PREFIX[name]}{i + 1:0{width}d}" for i in range(len(order))]
    made = dict(zip(labels[shapes.row], ids, strict=True))
    remarks = [each if each.kind == "fault" else _renamed(each, made) for each in remarks]
    text = f"no ids; made in the order of geometry, {min(ids)} to {max(ids)}"
    remarks.append(note("ids-made", text, layer=name, column=column))
    return {**columns, column: pd.Series(ids, dtype="str")}, remarks


def _renamed(remark: Remark, made: Mapping[str, str]) -> Remark:
    return replace(remark, ids=tuple(sorted(made[each] for each in remark.ids if each in made)))


def _split_ids(name: str, ids: Objects, shapes: Shapes) -> tuple[Objects, list[Remark]]:
    split = shapes.part > 0
    if not split.any():
        return ids, []
    ids = np.where(split, ids + "-" + shapes.part.astype(str).astype(object), ids)
    double = pd.Series(ids).duplicated(keep=False).to_numpy() & split
    if name == "groups" or not double.any():
        return ids, []
    text = "parts of split rows would take ids that other rows have"
    remedy = "split the multipart rows yourself and number their parts"
    where = {"layer": name, "column": LAYERS[name].id_column, "ids": ids[double]}
    return ids, [fault("id-double", text, remedy=remedy, **where)]


def _row_texts(columns: Mapping[str, pd.Series]) -> Objects | None:
    """Each row's values as one text, to order rows of equal geometry; None where there are none."""
    if not columns:
        return None
    texts = [as_text(columns[key].to_numpy(dtype=object, na_value=None)) for key in sorted(columns)]
    return np.array(["\x1f".join(each) for each in zip(*texts, strict=True)], dtype=object)


def place_layer(layer: ReadLayer, crs: pyproj.CRS) -> tuple[gpd.GeoDataFrame | None, list[Remark]]:
    """The layer in ``crs``, with the contract's columns, sorted by id, by geometry where there is none.

    Returns
    -------
    GeoDataFrame or None
        None where coordinates have no place in ``crs``.
    list of Remark
    """
    geometry, remarks = layer.geometry, []
    shifted = layer.datum in ("gcj02", "bd09")
    if shifted or not layer.crs.equals(crs, ignore_axis_order=True):
        change = coordinate_change(layer.crs, crs, middle_of(geometry), datum=layer.datum)
        geometry = valid_polygons(shapely.transform(geometry, change.move))
        if not np.isfinite(shapely.get_coordinates(geometry)).all():
            text = f"some coordinates in {crs_name(layer.crs)} have no place in {crs_name(crs)}"
            remedy = "check the system and the coordinates"
            # where most have a place, the system is right and those few are wrong
            code = "crs-misfit" if np.isnan(middle_of(geometry)).any() else "geometry-astray"
            return None, [fault(code, text, layer=layer.name, remedy=remedy)]
        text = f"brought from {crs_name(layer.crs)} to {crs_name(crs)}"
        text += f", the shift of {layer.datum} taken off" if shifted else ""
        remarks.append(note("crs-changed", text, layer=layer.name))
        remarks += accuracy_doubt(layer.name, layer.crs, crs, change)
    order = _order(layer, geometry)
    columns = {key: each.iloc[order] for key, each in layer.columns.items()}
    return contract_frame(layer.name, columns, geometry[order], crs), remarks


def accuracy_doubt(name: str, crs: pyproj.CRS, target: pyproj.CRS, change: Change) -> list[Remark]:
    """A doubt where the way between two datums is known too badly to put a lamp in the right street."""
    if change.accuracy_m is not None and change.accuracy_m <= _ACCURATE_M:
        return []
    between = f"{datum_name(crs)} and {datum_name(target)}"
    if change.accuracy_m is None:
        text = f"no transformation between {between} is known: they were taken as equal, up to 100 m wrong"
    else:
        text = f"the transformation between {between} is accurate to {change.accuracy_m:g} m only"
    remedy = (
        f"convert the layer with your survey office's parameters, or state its system with them, "
        f"[input.{name}] crs = a WKT with TOWGS84[…]; or give all layers in one system"
    )
    return [doubt("crs-inaccurate", text, layer=name, remedy=remedy)]


def _order(layer: ReadLayer, geometry: Objects) -> NDArray[np.int64]:
    """By id, equal ids (areas of one group) by geometry."""
    column = LAYERS[layer.name].id_column
    if column is None:
        return geometric_order(geometry, ties=_row_texts(layer.columns))
    ids = layer.columns[column].to_numpy(dtype=object)
    if layer.columns[column].is_unique:
        return np.argsort(ids, kind="stable")
    first = geometric_order(geometry, ties=None)
    return first[np.argsort(ids[first], kind="stable")]
