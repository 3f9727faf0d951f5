"""KML, KMZ and the OVKML of Chinese map apps: the placemarks of each folder are a table.

Coordinates are degrees on WGS 84 by definition; apps that show a shifted map may write shifted ones,
which a datum in the settings tells. Nothing is fetched: network links and overlays stay unread.
"""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.errors import DataError, Remark, fault, first_ids, note
from spatial.load.headings import layer_named
from spatial.load.markup import archive, parse_xml, unpacked
from spatial.load.raw import Choose, RawLayer, Source, file_text, objects, once, text_of

__all__ = ["folders", "read_kml"]

_ROOTS = ("kml", "document", "folder", "placemark", "ovkml")
_FOLDERS = ("Document", "Folder")
#: What a file may show beside placemarks and is not read, by what it is called in messages.
_UNREAD = {
    "NetworkLink": "network links, which are never followed",
    "GroundOverlay": "pictures on the ground",
    "ScreenOverlay": "pictures on the screen",
    "PhotoOverlay": "photographs",
}
_COLUMNS = ("name", "description", "address")
_MULTI = {0: shapely.MultiPoint, 1: shapely.MultiLineString, 2: shapely.MultiPolygon}
_MOST_PLACEMARKS, _MOST_ELEMENTS = 300_000, 2_000_000
_MOST_UNPACKED = 64_000_000
_TABLE_ROW = re.compile(
    r"<td[^<>]{0,200}>([^<>]{0,200})</td>\s{0,20}<td[^<>]{0,200}>([^<>]{0,2000})</td>", re.IGNORECASE
)


@dataclass
class _Placemark:
    folder: str
    columns: dict[str, str]
    geometry: shapely.Geometry | None
    trouble: str = ""  # why its geometry can't be read


@dataclass
class _Document:
    placemarks: list[_Placemark] = field(default_factory=list)
    unread: dict[str, int] = field(default_factory=dict)  # element → how many
    n_tracks: int = 0
    encoding: str = ""


def folders(path: Path) -> tuple[str, ...]:
    """The folders of a checked file that hold placemarks, in the order of their names."""
    return tuple(sorted({each.folder for each in _document(path).placemarks}))


def read_kml(source: Source, choose: Choose, encoding: str | None) -> RawLayer:
    document = _document(source.path) if encoding is None else _parsed(source.path, encoding)
    rows = [each for each in document.placemarks if each.folder == source.table]
    headings = sorted({key for each in rows for key in each.columns})
    chosen = choose(headings)
    values = {name: objects([each.columns.get(key) or None for each in rows]) for name, key in chosen.items()}
    geometry: NDArray[np.object_] = objects([each.geometry for each in rows])
    crs = pyproj.CRS.from_epsg(4326)
    return RawLayer(
        values, geometry, crs, tuple(headings), tuple(chosen.values()), document.encoding, degrees=True,
        said=tuple(_said(document, rows)),
    )  # fmt: skip


def _said(document: _Document, rows: Iterable[_Placemark]) -> list[Remark]:
    said = [
        note("elements-unread", f"{n:,} {_UNREAD[name]}, not read") for name, n in document.unread.items()
    ]
    if document.n_tracks:
        said.append(
            note(
                "tracks-read",
                f"{document.n_tracks:,} recorded tracks were read as lines, their times left out",
            )
        )
    troubles = [
        f"{each.columns.get('name') or 'without a name'}: {each.trouble}" for each in rows if each.trouble
    ]
    if troubles:
        text = f"{len(troubles):,} placemarks have a shape that can't be read: {first_ids(troubles)}"
        said.append(fault("coordinates-unread", text, remedy="draw them again"))
    return said


# ── the document ─────────────────────────────────────────────────────────────────────────────────────


@once
def _document(path: Path) -> _Document:
    return _parsed(path, None)


def _parsed(path: Path, encoding: str | None) -> _Document:
    text, used = _kml_text(path, encoding)
    reader = _Reader(path.name)
    parse_xml(text, reader, file=path.name)
    reader.document.encoding = used
    return reader.document


def _kml_text(path: Path, encoding: str | None) -> tuple[str, str]:
    """The one document of a KMZ archive, or the file itself."""
    if not zipfile.is_zipfile(path):
        return file_text(path, encoding)
    with archive(path) as packed:
        names = [each for each in packed.namelist() if each.lower().endswith(".kml")]
        main = [each for each in names if PurePosixPath(each.lower()).name == "doc.kml" and "/" not in each]
        if len(main) != 1 and len(names) != 1:
            raise DataError(
                f"{path.name} holds {len(names)} KML documents ({first_ids(names) or 'none'}); "
                "give them as files of their own"
            )
        with unpacked(packed, (main or names)[0], most_bytes=_MOST_UNPACKED) as stream:
            return text_of(stream.read(), path.name, encoding)


class _Reader:
    """Placemarks as they end, under the names of the folders they stand in."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.document = _Document()
        self.names: list[str] = []  # of the open folders
        self.stack: list[str] = []
        self.builder: ET.TreeBuilder | None = None
        self.n_elements = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self.stack and name.lower() not in _ROOTS:
            raise DataError(f"{self.file} is no KML: it begins with <{name[:40]}>")
        self.n_elements += 1
        if self.n_elements > _MOST_ELEMENTS:
            raise DataError(f"{self.file} has more than {_MOST_ELEMENTS:,} elements; split it")
        self.stack.append(name)
        if self.builder is not None:
            self.builder.start(name, dict(attributes))
        elif name == "Placemark":
            self.builder = ET.TreeBuilder()
            self.builder.start(name, {})
        elif name in _FOLDERS:
            self.names.append("")
        elif name in _UNREAD:
            self.document.unread[name] = self.document.unread.get(name, 0) + 1

    def end(self, name: str) -> None:
        self.stack.pop()
        if self.builder is not None:
            self.builder.end(name)
            if name == "Placemark" and "Placemark" not in self.stack:
                self._keep(self.builder.close())
                self.builder = None
        elif name in _FOLDERS:
            self.names.pop()

    def text(self, text: str) -> None:
        if self.builder is not None:
            self.builder.data(text)
        elif self.stack[-1:] == ["name"] and self.stack[-2:-1] and self.stack[-2] in _FOLDERS:
            self.names[-1] += text

    def _keep(self, element: ET.Element) -> None:
        if len(self.document.placemarks) >= _MOST_PLACEMARKS:
            raise DataError(f"{self.file} has more than {_MOST_PLACEMARKS:,} placemarks; split it")
        self.document.n_tracks += sum(1 for _ in element.iter("Track"))
        shape, trouble = None, ""
        try:
            shape = _joined(_shapes(element))
        except (ValueError, shapely.errors.GEOSException) as error:
            trouble = str(error).splitlines()[0] if str(error) else "damaged"
        self.document.placemarks.append(_Placemark(self._folder(), _columns(element), shape, trouble))

    def _folder(self) -> str:
        """The innermost folder whose name means a layer, else the innermost with a name."""
        names = [each.strip().removesuffix(".kml") for each in reversed(self.names)]
        named = [each for each in names if each]
        return next((each for each in named if layer_named(each)), named[0] if named else "")


def _columns(placemark: ET.Element) -> dict[str, str]:
    columns = {each: (placemark.findtext(each) or "").strip() for each in _COLUMNS}
    extended = {
        **{
            each.get("name", ""): each.findtext("value") or ""
            for each in placemark.iterfind("ExtendedData/Data")
        },
        **{
            each.get("name", ""): each.text or ""
            for each in placemark.iterfind("ExtendedData/SchemaData/SimpleData")
        },
    }
    if not extended and "<td" in columns["description"].lower():  # as ArcGIS writes its tables
        pairs = _TABLE_ROW.findall(columns["description"])
        extended = {html.unescape(key).strip(): html.unescape(value) for key, value in pairs}
    given = {**columns, **extended}
    return {key: value.strip() for key, value in given.items() if key and value.strip()}


# ── shapes ───────────────────────────────────────────────────────────────────────────────────────────


def _shapes(element: ET.Element) -> list[shapely.Geometry]:
    """The simple shapes below an element, those of nested MultiGeometries and tracks too."""
    found: list[shapely.Geometry] = []
    for each in element:
        if each.tag in _SIMPLE:
            found.append(_SIMPLE[each.tag](each))
        elif each.tag in ("MultiGeometry", "MultiTrack"):
            found += _shapes(each)
    return found


def _joined(shapes: list[shapely.Geometry]) -> shapely.Geometry | None:
    """One shape: multipart where all are of a kind, else a collection, which no layer allows."""
    if len(shapes) < 2:
        return shapes[0] if shapes else None
    kinds = {shapely.get_dimensions(each).item() for each in shapes}
    return _MULTI[kinds.pop()](shapes) if len(kinds) == 1 else shapely.GeometryCollection(shapes)


def _point(element: ET.Element) -> shapely.Geometry:
    xyz = _coordinates(element)
    if len(xyz) != 1:
        raise ValueError(f"a point of {len(xyz)} coordinates")
    return shapely.Point(xyz[0])


def _line(element: ET.Element) -> shapely.Geometry:
    xyz = _coordinates(element)
    if len(xyz) < 2:
        raise ValueError("a line of one point")
    return shapely.LineString(xyz)


def _polygon(element: ET.Element) -> shapely.Geometry:
    outer = element.findall("outerBoundaryIs/LinearRing")
    if len(outer) != 1:
        raise ValueError(f"an area of {len(outer)} outlines")
    holes = [_ring(each) for each in element.findall("innerBoundaryIs/LinearRing")]
    return shapely.Polygon(_ring(outer[0]), holes)


def _ring(element: ET.Element) -> NDArray[np.float64]:
    xyz = _coordinates(element)
    if len(xyz) and not (xyz[0] == xyz[-1]).all():
        xyz = np.vstack([xyz, xyz[:1]])
    if len(xyz) < 4:
        raise ValueError("an outline of fewer than three points")
    return xyz


def _track(element: ET.Element) -> shapely.Geometry:
    xyz = _array([(each.text or "").split() for each in element.findall("coord")])
    if len(xyz) < 2:
        raise ValueError("a track of one point")
    return shapely.LineString(xyz)


def _coordinates(element: ET.Element) -> NDArray[np.float64]:
    """(n, 2), or (n, 3) where any height is not 0."""
    text = " ".join((element.findtext("coordinates") or "").split())
    return _array([each.split(",") for each in text.replace(" ,", ",").replace(", ", ",").split(" ") if each])


def _array(parts: list[list[str]]) -> NDArray[np.float64]:
    if any(not 2 <= len(each) <= 3 for each in parts):
        raise ValueError("coordinates that are not longitude,latitude")
    xyz = np.array([[*each, "0"][:3] for each in parts], dtype=object).reshape(-1, 3)
    try:
        numbers = xyz.astype(np.float64)
    except ValueError:
        raise ValueError("coordinates that are no numbers") from None
    return numbers if numbers[:, 2].any() else numbers[:, :2]


_SIMPLE: dict[str, Callable[[ET.Element], shapely.Geometry]] = {
    "Point": _point,
    "LineString": _line,
    "LinearRing": _line,
    "Polygon": _polygon,
    "Track": _track,
}
