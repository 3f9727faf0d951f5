"""The plan folder as it is read for a recount, and whether it has the shape of a plan at all.

What can't be read is an error. What can be read and isn't as the contract says is a remark.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from spatial.audit.compare import figures_differ
from spatial.errors import DataError, Remark, fault
from spatial.load import Site, read_site_layers
from spatial.load.folder import read_arrays, read_plan_layers, read_summary
from spatial.network import AlleyNetwork, build_network
from spatial.schema import PLAN_LAYERS, SUMMARY, PlanLayer
from spatial.settings import Settings

__all__ = ["Book", "read_book", "shape_faults"]

FILES = ("plan.gpkg", "site.gpkg", "summary.json", "bounds.npz")

#: The layers that each section of the summary brings with it.
_SECTION_LAYERS = {
    "grids": ("grids", "households", "zones"),
    "lamps": ("lamps", "lamp_ranking", "lamp_curve", "light_shares", "stretches"),
    "boards": ("boards", "households"),
    "facilities": ("facilities", "facility_walks"),
}


@dataclass(frozen=True)
class Book:
    """A written plan: ``layers`` of plan.gpkg by name, ``summary``, ``site``, ``bounds`` and ``settings``."""

    layers: Mapping[str, Any]
    summary: Mapping[str, Any]
    site: Site
    bounds: Mapping[str, NDArray[Any]]
    settings: Settings

    @cached_property
    def network(self) -> AlleyNetwork:
        """The noded alleys, built anew from site.gpkg."""
        return build_network(self.site, self.settings)

    @property
    def is_kept(self) -> bool:
        """Whether the plan started from an earlier one, so that its numbers may have gaps."""
        return self.summary.get("kept") is not None

    def number_texts(self, grids: pd.DataFrame) -> pd.Series:
        """The numbers of some grids as they stand in codes: padded to the digits of the largest.

        Where codes were kept, to the fewest digits that any code has, since the earlier plan's largest
        number may have been smaller.
        """
        ids = grids["grid_id"]
        digits = max(2, len(str(ids.max())))
        if self.is_kept:
            shown = grids["code"].fillna("").str.removeprefix(self.settings.community.code)
            digits = max(2, min(int(shown.str.len().min()), digits))
        return ids.map(f"{{:0{digits}d}}".format)

    def has(self, section: str) -> bool:
        """Whether grids, lamps or boards were planned and their layers are there."""
        return self.summary.get(section) is not None and all(
            each in self.layers for each in _SECTION_LAYERS[section]
        )


def read_book(folder: Path) -> Book:
    """Read a plan folder.

    Raises
    ------
    DataError
        The folder is no plan: a file is missing, can't be read, or its settings are none of ours.
    """
    missing = [each for each in FILES if not (folder / each).is_file()]
    if missing:
        raise DataError(
            f"{folder} is not a plan folder: {', '.join(missing)} missing; give the folder that plan wrote"
        )
    summary = read_summary(folder / "summary.json")
    return Book(
        layers=read_plan_layers(folder / "plan.gpkg", PLAN_LAYERS),
        summary=summary,
        site=read_site_layers(folder / "site.gpkg"),
        bounds=read_arrays(folder / "bounds.npz"),
        settings=_read_settings(summary),
    )


def shape_faults(book: Book) -> Iterator[Remark]:
    """Layers, columns, keys and sections that are not as the contract says; a plan_id of another plan."""
    yield from _missing_parts(book)
    for name, rows in book.layers.items():
        yield from _layer_faults(PLAN_LAYERS[name], rows)
        crs = getattr(rows, "crs", None)
        if PLAN_LAYERS[name].geometry is not None and crs != book.site.crs:
            yield fault("crs-differs", f"the layer has {crs}, site.gpkg {book.site.crs}", layer=name)
    own = {"crs": book.site.crs.to_string(), "plan_id": _plan_id(book.summary)}
    yield from figures_differ("", book.summary, own)


def _missing_parts(book: Book) -> Iterator[Remark]:
    for name in SUMMARY[""]:
        if name not in book.summary:
            yield fault("figure-missing", "the summary does not have it", layer="summary", column=name)
    wanted = {"alleys"}
    for section, layers in _SECTION_LAYERS.items():
        figures = book.summary.get(section)
        if figures is not None:
            wanted |= set(layers)
            for name in sorted(set(SUMMARY[section]) - set(figures)):
                yield fault(
                    "figure-missing",
                    "the summary does not have it",
                    layer="summary",
                    column=f"{section}.{name}",
                )
    if book.summary.get("lamps") is not None and len(book.site.layer("households")):
        wanted.add("households")  # with the way home of each
    for name in sorted(wanted - set(book.layers)):
        yield fault("layer-missing", "plan.gpkg does not have the layer", layer=name)
    for name in sorted(set(book.layers) - wanted):
        yield fault("layer-unknown", "the layer's section of the summary is null", layer=name)


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
    key = list(layer.key)
    twice = rows.duplicated(key, keep=False) | rows[key].isna().any(axis=1)
    if twice.any():
        yield fault(
            "key-not-unique",
            f"{int(twice.sum())} rows share their key with another or have none",
            layer=layer.name,
            column=" ".join(key),
            ids=rows.loc[twice, key[0]],
        )
    if layer.geometry is not None:
        other = rows.geometry.isna() | (rows.geom_type != layer.geometry)
        if layer.name != "grids":  # one outside the boundary has no area
            other |= rows.geometry.is_empty
        if other.any():
            yield fault(
                "geometry-type",
                f"{int(other.sum())} rows are no {layer.geometry}",
                layer=layer.name,
                ids=rows.loc[other, key[0]],
            )


def _plan_id(summary: Mapping[str, Any]) -> str:
    """The short hash of what a plan is made from."""
    about = {name: summary.get(name) for name in ("crs", "seed", "versions", "inputs", "kept", "settings")}
    planned = [each for each in _SECTION_LAYERS if summary.get(each) is not None]
    return hashlib.sha256(json.dumps([about, planned], sort_keys=True).encode()).hexdigest()[:12]


def _read_settings(summary: Mapping[str, Any]) -> Settings:
    try:
        return Settings.model_validate(summary["settings"])
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise DataError("summary.json carries settings that can't be used", faults) from None
