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

from spatial.audit.compare import figures_differ
from spatial.errors import DataError, Remark, fault
from spatial.load import Site, read_site_layers
from spatial.load.contract import SECTION_LAYERS, array_faults
from spatial.load.contract import shape_faults as plan_shape_faults
from spatial.load.folder import read_arrays, read_plan_layers, read_summary
from spatial.load.summary import summary_settings
from spatial.network import AlleyNetwork, build_network
from spatial.schema import PLAN_LAYERS, SUMMARY, SUMMARY_HEAD
from spatial.settings import Settings

__all__ = ["Book", "read_book", "shape_faults"]

FILES = ("plan.gpkg", "site.gpkg", "summary.json", "bounds.npz")


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
            each in self.layers for each in SECTION_LAYERS[section]
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
    summary = read_summary(folder / "summary.json", whole=False)
    return Book(
        layers=read_plan_layers(folder / "plan.gpkg", PLAN_LAYERS),
        summary=summary,
        site=read_site_layers(folder / "site.gpkg"),
        bounds=read_arrays(folder / "bounds.npz"),
        settings=summary_settings(summary),
    )


def shape_faults(book: Book) -> Iterator[Remark]:
    """Layers, columns, keys and sections that are not as the contract says; a plan_id of another plan."""
    for name in (*SUMMARY_HEAD, *SUMMARY):
        if name not in book.summary:
            yield fault("figure-missing", "the summary does not have it", layer="summary", column=name)
    yield from plan_shape_faults(book.layers, book.summary, book.site)
    yield from array_faults(book.bounds, book.site)
    own = {"crs": book.site.crs.to_string(), "plan_id": _plan_id(book.summary)}
    yield from figures_differ("", book.summary, own)


def _plan_id(summary: Mapping[str, Any]) -> str:
    """The short hash of what a plan is made from."""
    about = {name: summary.get(name) for name in ("crs", "seed", "versions", "inputs", "kept", "settings")}
    planned = [each for each in SECTION_LAYERS if summary.get(each) is not None]
    return hashlib.sha256(json.dumps([about, planned], sort_keys=True).encode()).hexdigest()[:12]
