"""The XML of OpenStreetMap, plain or packed: read as it streams, no entity ever followed."""

from __future__ import annotations

import bz2
import gzip
import math
import zlib
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

from spatial.errors import DataError, one_line
from spatial.load.osm.extract import Extract, Gathered, Thing, read_tags, too_big

__all__ = ["read_xml"]

_MOST_BYTES, _MOST_PACKED_BYTES = 256 << 20, 64 << 20
#: What unpacks to more than this, and to more than a hundred times its size, is no map.
_BOMB_FROM_BYTES, _BOMB_TIMES = 32 << 20, 100
_CHUNK_BYTES = 1 << 20
_MOST_DEPTH = 8


def read_xml(path: Path) -> Extract:
    """Read .osm, .osm.bz2 or .osm.gz.

    Raises
    ------
    DataError
        No OpenStreetMap XML, damaged, too large, or with declarations that no such file has.
    """
    parser = expat.ParserCreate()
    reader = _Reader(path.name, parser)
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        for chunk in _chunks(path):
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise DataError(f"{path.name} is damaged or no XML: {error}; export it again") from None
    except (ValueError, OverflowError, KeyError) as error:
        where = f"{path.name}, line {parser.CurrentLineNumber}"
        raise DataError(
            f"{where}: an id or coordinate is missing or no number: {one_line(error)}; export it again"
        ) from None
    return reader.gathered.extract()


def _chunks(path: Path) -> Iterator[bytes]:
    """The unpacked bytes, never more than are allowed."""
    openers: dict[str, Callable[..., Any]] = {".bz2": bz2.open, ".gz": gzip.open}
    packed, size = path.stat().st_size, 0
    if packed > (_MOST_PACKED_BYTES if path.suffix.lower() in openers else _MOST_BYTES):
        too_big(path.name, f"{packed / 1e6:,.0f} MB")
    try:
        with openers.get(path.suffix.lower(), open)(path, "rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > _BOMB_FROM_BYTES and size > _BOMB_TIMES * packed:
                    raise DataError(f"{path.name} unpacks to over {_BOMB_TIMES} times its size; no map does")
                if size > _MOST_BYTES:
                    too_big(path.name, f"more than {_MOST_BYTES >> 20} MB of XML")
                yield chunk
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} is damaged: {error}; export or copy it again") from None


class _Reader:
    """Takes the elements of the XML as they come."""

    def __init__(self, file: str, parser: expat.XMLParserType) -> None:
        self.file, self._parser = file, parser
        self._remark: list[str] = []  # of the server that made the extract
        self.gathered = Gathered(file)
        self._depth = 0
        self._of: dict[str, str] = {}  # attributes of the object that is open
        self._tags: list[tuple[str, str]] = []
        self._refs, self._inner = array("q"), array("q")

    def doctype(self, *_: object) -> None:
        raise DataError(f"{self.file} declares a document type; no file of OpenStreetMap does")

    def start(self, name: str, given: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1 and name != "osm":
            raise DataError(
                f"{self.file} begins with <{one_line(name)}>, not with <osm>: it is no extract of "
                "OpenStreetMap; export it as .osm"
            )
        if self._depth > _MOST_DEPTH:
            raise DataError(f"{self.file} nests deeper than any file of OpenStreetMap; export it again")
        if self._depth == 2:
            self._of, self._tags = given, []
            self._refs, self._inner = array("q"), array("q")
            if name == "remark":
                self._parser.CharacterDataHandler = self._remark.append
        elif self._depth == 3:
            self._inside(name, given)

    def _told_by_server(self) -> None:
        """Overpass ends what it could not finish with a remark and is silent in the HTTP status."""
        self._parser.CharacterDataHandler = None
        remark = " ".join("".join(self._remark).split())
        if "error" in remark.casefold():
            said = f"{self.file} is incomplete, its server says: {one_line(remark)}"
            raise DataError(f"{said}; fetch it again, a smaller area if need be")

    def _inside(self, name: str, given: dict[str, str]) -> None:
        if name == "tag":
            self._tags.append((given["k"], given["v"]))
        elif name == "nd":
            self.gathered.expect(refs=1)
            self._refs.append(int(given["ref"]))
            if "lat" in given:  # the place of the node within the way, as Overpass gives it
                self.gathered.add_node(self._refs[-1], _degrees(given["lon"]), _degrees(given["lat"]))
        elif name == "member" and given.get("type") == "way":
            self.gathered.expect(refs=1)
            (self._inner if given.get("role") == "inner" else self._refs).append(int(given["ref"]))

    def end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 1 and name == "remark":
            self._told_by_server()
        if self._depth != 1 or name not in ("node", "way", "relation"):
            return
        number, version = int(self._of["id"]), int(self._of.get("version") or 0)
        # JOSM keeps what is deleted in its files until it is uploaded
        visible = self._of.get("visible") != "false" and self._of.get("action") != "delete"
        if name == "node":
            lon, lat = (
                _degrees(self._of[key]) if visible or key in self._of else math.nan for key in ("lon", "lat")
            )
            self.gathered.add_node(number, lon, lat, version=version, visible=visible)
        tags = read_tags(self._tags)
        self.gathered.add(Thing(name[0], number, tags, self._refs, self._inner, version, visible))


def _degrees(text: str) -> float:
    degrees = float(text)
    if not math.isfinite(degrees):
        raise ValueError(text)
    return degrees
