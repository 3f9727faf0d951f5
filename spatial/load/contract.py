"""Whether what stands in a plan folder has the shape of a plan: layers, columns, keys, places, names.

Values are another matter: what they should be is recounted by ``alleyplan audit``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.errors import Remark, fault
from spatial.load.site import Site
from spatial.schema import BOUNDS, LAYERS, PLAN_LAYERS, SUMMARY, PlanLayer

__all__ = ["SECTION_LAYERS", "array_faults", "shape_faults", "site_faults"]

#: The layers that each section of the summary brings with it.
SECTION_LAYERS = {
    "grids": ("grids", "households", "zones"),
    "lamps": ("lamps", "lamp_ranking", "lamp_curve", "light_shares", "stretches"),
    "boards": ("boards", "households"),
    "facilities": ("facilities", "facility_walks"),
}
#: No metric system has coordinates beyond this, and no plan a figure beyond that. [m]
_FARTHEST_M, _MOST = 1e8, 1e15
#: Kinds of arrays by the types of the contract.
_KINDS = {"int": "iu", "float": "f", "text": "U"}
#: Columns that other layers name a row by, and that are therefore unique, though they are no key.
_NAMES = {"lamps": "site_id", "boards": "site_id"}


def shape_faults(layers: Mapping[str, Any], summary: Mapping[str, Any], site: Site) -> Iterator[Remark]:
    """A fault for each layer, column, key or section that is not as the contract says.

    Parameters
    ----------
    layers : mapping of DataFrame
        Of ``plan.gpkg``, as stored.
    summary : mapping
        With values of the contract's types.
    site : Site
        Of ``site.gpkg``, in whose system the layers must be.
    """
    yield from _missing_parts(layers, summary, site)
    for name, rows in layers.items():
        yield from _layer_faults(PLAN_LAYERS[name], rows)
        crs = getattr(rows, "crs", None)
        if PLAN_LAYERS[name].geometry is not None and crs != site.crs:
            yield fault("crs-differs", f"the layer has {crs}, site.gpkg {site.crs}", layer=name)


def site_faults(site: Site) -> Iterator[Remark]:
    """A fault for each layer of ``site.gpkg`` that planning could not have left like that."""
    if not (site.crs.is_projected and {each.unit_name for each in site.crs.axis_info} == {"metre"}):
        yield fault("crs-not-metric", f"{site.crs.name} is not in metres", layer="site")
    for name in ("alleys", "boundary"):
        if site.layer(name).empty:
            yield fault("layer-missing", "site.gpkg has no row of it", layer=name)
    for name, rows in site.layers.items():
        id_column = LAYERS[name].id_column
        ids = rows[id_column] if id_column else pd.Series(rows.index.astype(str))
        wrong = ids.isna() | ids.duplicated(keep=False)
        if wrong.any():
            yield fault(
                "key-not-unique",
                f"{int(wrong.sum())} rows of site.gpkg share their id with another or have none",
                layer=name,
                column=id_column or "",
                ids=ids[wrong],
            )
        yield from _place_faults(name, rows.geometry.to_numpy(), ids, may_be_empty=False)
        yield from _number_faults(name, rows, ids)


def array_faults(arrays: Mapping[str, NDArray[Any]], site: Site) -> Iterator[Remark]:
    """A fault for each array of ``bounds.npz`` of another type or shape, or without those it belongs to."""
    for group in BOUNDS:
        names = {name.rstrip("?"): about for name, about in group.items()}
        there = [name for name in names if name in arrays]
        yield from (
            fault("array-missing", f"it belongs to {there[0]}", layer="bounds", column=name)
            for name in group
            if there and not name.endswith("?") and name not in arrays
        )
        n_rows = {"households": len(site.layer("households"))}
        for name in there:
            dtype, rows = names[name]
            array = arrays[name]
            fits = array.ndim == (2 if rows == "cells" else 1) and array.dtype.kind in _KINDS[dtype]
            if fits and rows not in ("any", "cells"):
                n = int(rows) if rows.isdigit() else n_rows.setdefault(rows, len(array))
                fits = len(array) == n
            if not fits:
                text = f"it holds {array.dtype} in the shape {array.shape}, other than plan writes"
                yield fault("array-unfit", text, layer="bounds", column=name)
        # numbers of rows elsewhere
        for name, most in (
            ("component", len(np.atleast_1d(arrays.get("component_grids", 0)))),
            ("lamps_alley", len(site.layer("alleys"))),
            ("lamps_apart_site", len(site.layer("lamp_sites"))),
        ):
            known = name in there and arrays[name].dtype.kind in "iu"
            if known and not ((arrays[name] >= -1) & (arrays[name] < most)).all():
                yield fault("array-unfit", "it names rows that are not there", layer="bounds", column=name)


def _missing_parts(layers: Mapping[str, Any], summary: Mapping[str, Any], site: Site) -> Iterator[Remark]:
    wanted = {"alleys"}
    for section, brought in SECTION_LAYERS.items():
        figures = summary.get(section)
        if figures is not None:
            wanted |= set(brought)
            for name in sorted(set(SUMMARY[section]) - set(figures)):
                yield _missing_figure(f"{section}.{name}")
    if summary.get("lamps") is not None and len(site.layer("households")):
        wanted.add("households")  # with the way home of each
    for name in sorted(wanted - set(layers)):
        yield fault("layer-missing", "plan.gpkg does not have the layer", layer=name)
    for name in sorted(set(layers) - wanted):
        yield fault("layer-unknown", "the layer's section of the summary is null", layer=name)


def _missing_figure(name: str) -> Remark:
    return fault("figure-missing", "the summary does not have it", layer="summary", column=name)


def _layer_faults(layer: PlanLayer, rows: pd.DataFrame) -> Iterator[Remark]:
    columns = [each for each in rows.columns if each != "geometry"]
    expected = [each.name for each in layer.columns]
    if columns != expected:
        yield fault(
            "columns-differ",
            f"columns are {', '.join(columns)}; the contract has {', '.join(expected)}",
            layer=layer.name,
        )
        return
    if rows.empty and layer.name in ("grids", "households", "alleys"):
        yield fault("layer-empty", "plan.gpkg has no row of it", layer=layer.name)
    key = list(layer.key)
    for names in (key, [_NAMES[layer.name]] if layer.name in _NAMES else key):
        twice = rows.duplicated(names, keep=False) | rows[names].isna().any(axis=1)
        if twice.any():
            yield fault(
                "key-not-unique",
                f"{int(twice.sum())} rows share it with another or have none",
                layer=layer.name,
                column=" ".join(names),
                ids=rows.loc[twice, key[0]],
            )
            break
    if layer.geometry is not None:
        other = rows.geometry.isna() | (rows.geom_type != layer.geometry)
        if other.any():
            yield fault(
                "geometry-type",
                f"{int(other.sum())} rows are no {layer.geometry}",
                layer=layer.name,
                ids=rows.loc[other, key[0]],
            )
        # a grid outside the boundary has no area
        empty = layer.name == "grids"
        yield from _place_faults(layer.name, rows.geometry.to_numpy(), rows[key[0]], may_be_empty=empty)
    yield from _number_faults(layer.name, rows, rows[key[0]])


def _place_faults(name: str, shapes: NDArray[Any], ids: pd.Series, *, may_be_empty: bool) -> Iterator[Remark]:
    """Shapes that are nowhere: none, empty, or with a coordinate that is no number of metres."""
    with np.errstate(invalid="ignore"):
        at, of = shapely.get_coordinates(shapes, return_index=True)
        astray = np.bincount(of, ~(np.abs(at) <= _FARTHEST_M).all(axis=1), minlength=len(shapes)) > 0
    if not may_be_empty:
        astray |= shapely.is_missing(shapes) | shapely.is_empty(shapes)
    if astray.any():
        yield fault(
            "geometry-astray",
            f"{int(astray.sum())} rows are nowhere: without a shape, or with a coordinate that is none",
            layer=name,
            ids=ids[astray],
        )


def _number_faults(name: str, rows: pd.DataFrame, ids: pd.Series) -> Iterator[Remark]:
    """Numbers that are none or beyond all measure."""
    for column in rows.select_dtypes("number").columns:
        values = rows[column].to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.abs(values) > _MOST
        if wrong.any():
            text = f"{int(wrong.sum())} rows hold a number that no plan could"
            yield fault("out-of-range", text, layer=name, column=str(column), ids=ids[wrong])
