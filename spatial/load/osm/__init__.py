"""Extracts of OpenStreetMap: one file, several layers.

extract   what an extract holds, within limits
xml, pbf  the two formats
drawn     lines and areas from nodes
tags      what tags mean, as tables
layers    the contract's layers from them

The readers are our own because a library's are not bounded: half a megabyte of PBF took libosmium
to 3 GB, and it reads what JOSM has marked as deleted.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pyproj

from spatial.errors import DataError
from spatial.load.osm.layers import Rows, layers_of
from spatial.load.osm.pbf import read_pbf
from spatial.load.osm.xml import read_xml
from spatial.load.raw import Choose, RawLayer, Source, objects
from spatial.schema import LAYERS

__all__ = ["extract_layers", "read_osm"]


def extract_layers(path: Path) -> tuple[str, ...]:
    """The layers that a checked extract has anything for."""
    return tuple(each for each in LAYERS if each in _layers(path))


def read_osm(source: Source, choose: Choose, encoding: str | None) -> RawLayer:
    """One layer of an extract; ids are those of the map: n1, w2, r3."""
    rows = _layers(source.path)[source.table]
    headings = tuple(rows.columns)
    chosen = choose(list(headings))
    values = {name: objects(rows.columns[key]) for name, key in chosen.items()}
    crs = pyproj.CRS.from_epsg(4326)
    read = tuple(chosen.values())
    said = tuple(rows.said)
    return RawLayer(values, rows.geometry, crs, headings, read, said=said, datum="wgs84")


def _layers(path: Path) -> dict[str, Rows]:
    about = path.stat()
    return _read_layers(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=1)  # every layer asks for the same file in turn
def _read_layers(path: Path, size: int, mtime_ns: int) -> dict[str, Rows]:
    read = read_pbf if path.name.lower().endswith(".pbf") else read_xml
    layers = layers_of(read(path))
    if not layers:
        raise DataError(
            f"{path.name} holds no ways, buildings or places that are read; export the area again with all "
            "its objects"
        )
    return layers
