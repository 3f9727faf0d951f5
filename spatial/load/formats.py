"""The formats that are read: what each file must begin with, which tables it holds, and who reads it.

No driver is chosen by content and nothing is opened by name but a plain file of the folder, so a
file can't send the reader to the network or to another file. Only the columns that are asked for
leave the file.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from spatial.errors import DataError
from spatial.load.columnar import read_flatgeobuf, read_geoparquet
from spatial.load.drawing import drawing_layers, read_drawing
from spatial.load.geojson import read_geojson
from spatial.load.geopackage import feature_tables, read_geopackage
from spatial.load.kml import folders, read_kml
from spatial.load.osm import extract_layers, read_osm
from spatial.load.raw import Choose, RawLayer, Source
from spatial.load.shapefile import COMPANY, NAME_BYTES, beside_shapefile, read_shapefile
from spatial.load.tables import read_csv, read_sheet, sheet_names
from spatial.load.worldfile import COMPANY as RASTER_COMPANY
from spatial.load.worldfile import beside_raster

__all__ = [
    "ENDINGS",
    "Format",
    "check_file",
    "format_of",
    "in_company",
    "is_read",
    "read_source",
    "sources_in",
]

Read = Callable[[Source, Choose, str | None], RawLayer]


def _one_table(path: Path) -> tuple[str, ...]:
    return ("",)


def _alone(path: Path) -> tuple[Path, ...]:
    return ()


@dataclass(frozen=True)
class Format:
    """One format of files."""

    name: str
    endings: tuple[str, ...]  # of file names, lower case
    read: Read | None = None  # source, wanted columns, stated encoding; None for a raster
    starts: tuple[bytes, ...] = ()  # one of these begins a file of this format; none: it is plain text
    tables: Callable[[Path], tuple[str, ...]] = _one_table  # of a checked file, in the order of their names
    most_mb: int = 64  # a larger file is refused unread; text unfolds to a dozen times its size
    beside: Callable[[Path], tuple[Path, ...]] = _alone  # further files that are read with it
    company: tuple[str, ...] = ()  # endings of files of its name that belong to it, read or not
    name_bytes: int | None = None  # longer names of columns are cut
    any_encoding: bool = True  # text may be in any encoding; else the file says in which
    extract: bool = False  # holds whatever there is of every layer; a file for one layer alone goes before it

    @property
    def is_table(self) -> bool:
        """Whether a file holds columns, of which two are the coordinates."""
        return self.read in (read_csv, read_sheet)

    @property
    def is_one_table(self) -> bool:
        """Whether a file is one table, which goes by the file's name."""
        return self.tables is _one_table


_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: Archives (.xlsx, .ods) and the older container of .xls, whichever of their endings a book has.
_BOOK_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
#: No plain text begins like this: SQLite, archives, TIFF, PDF, pictures.
_NO_TEXT = (b"SQLite format 3\0", b"PK\x03\x04", *_TIFF_STARTS, b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8")


def _extract(name: str, ending: str, *starts: bytes) -> Format:
    """An extract of OpenStreetMap; its reader knows how large one may be, and how to cut it smaller."""
    return Format(
        name, (ending,), read_osm, starts, extract_layers, 10_000_000, any_encoding=False, extract=True
    )


_FORMATS = (
    Format("GeoPackage", (".gpkg",), read_geopackage, (b"SQLite format 3\0",), feature_tables, most_mb=1000),
    Format(
        "Shapefile",
        (".shp",),
        read_shapefile,
        (b"\x00\x00\x27\x0a",),
        most_mb=100,
        beside=beside_shapefile,
        company=COMPANY,
        name_bytes=NAME_BYTES,
    ),
    Format("FlatGeobuf", (".fgb",), read_flatgeobuf, (b"fgb\x03fgb",), most_mb=100),
    Format("GeoParquet", (".parquet", ".geoparquet"), read_geoparquet, (b"PAR1",), most_mb=100),
    Format("GeoJSON", (".geojson", ".json", ".geojsonl", ".geojsons", ".ndjson"), read_geojson),
    Format("CSV", (".csv", ".tsv", ".txt"), read_csv),
    Format(
        "workbook",
        (".xlsx", ".xlsm", ".xls", ".et", ".ods"),
        read_sheet,
        _BOOK_STARTS,
        sheet_names,
        any_encoding=False,
    ),
    Format("DXF", (".dxf",), read_drawing, tables=drawing_layers, most_mb=50),
    Format("KML", (".kml", ".ovkml"), read_kml, tables=folders),
    Format("KMZ", (".kmz", ".ovkmz"), read_kml, (b"PK\x03\x04",), folders),
    _extract("OpenStreetMap", ".osm"),
    _extract("OpenStreetMap in bzip2", ".osm.bz2", b"BZh"),
    _extract("OpenStreetMap in gzip", ".osm.gz", b"\x1f\x8b"),
    _extract("OpenStreetMap PBF", ".pbf", b"\0\0"),
    Format(
        "GeoTIFF",
        (".tif", ".tiff"),
        starts=_TIFF_STARTS,
        most_mb=1000,
        beside=beside_raster,
        company=RASTER_COMPANY,
    ),
)
#: Endings of the files that are read, in lower case.
ENDINGS = tuple(ending for each in _FORMATS for ending in each.endings)


def is_read(path: Path) -> bool:
    """Whether the file's name claims a format that is read."""
    return path.name.lower().endswith(ENDINGS)


def format_of(path: Path) -> Format:
    """The format that a file's name claims."""
    return next(each for each in _FORMATS if path.name.lower().endswith(each.endings))


def in_company(paths: Collection[Path]) -> frozenset[Path]:
    """Those of ``paths`` that belong to another of them, as the .dbf of a shapefile does."""
    taken = {
        each.name.lower().removesuffix(ending) + companion
        for each in paths
        if is_read(each)
        for ending in format_of(each).endings
        if each.name.lower().endswith(ending)
        for companion in format_of(each).company
    }
    return frozenset(each for each in paths if each.name.lower() in taken)


def check_file(path: Path) -> None:
    """Refuse what is no plain file, or no file of the format its name claims, with all that is read with it.

    Raises
    ------
    DataError
        A pipe, device, folder or dead link, an unreadable file, one that begins like another format or
        one that is larger than any community's.
    """
    kind = format_of(path)
    head = _head(path, kind)
    if not head:
        raise DataError(f"{path.name} is empty (0 bytes); copy or export it again, or take it away")
    if kind.starts and not head.startswith(kind.starts):
        raise DataError(f"{path.name} is not a {kind.name}; export it again")
    if not kind.starts and head.startswith(_NO_TEXT):
        raise DataError(f"{path.name} is not {kind.name}; its name claims a format that its content is not")
    for each in kind.beside(path):
        _head(each, kind)


def _head(path: Path, kind: Format) -> bytes:
    """The first bytes of a plain file that is not too large."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"{path.name} is not a plain file; put the file itself there")
        if about.st_size > kind.most_mb * 1e6:
            raise DataError(
                f"{path.name} has {about.st_size / 1e6:,.0f} MB, more than the {kind.most_mb:,} MB of any "
                f"{kind.name} that is read; leave only this community in it"
            )
        with path.open("rb") as stream:
            return stream.read(100)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        reason = getattr(error, "strerror", None) or "a loop of links"
        raise DataError(f"{path.name} can't be read: {reason}; put the file itself there") from None


def sources_in(path: Path) -> tuple[Source, ...]:
    """The tables in a checked file, in the order of their names."""
    return tuple(Source(path, each) for each in format_of(path).tables(path))


def read_source(source: Source, choose: Choose, *, encoding: str | None = None) -> RawLayer:
    """Read one table, only the columns that ``choose`` wants.

    Raises
    ------
    DataError
        The file is broken, or its text is in another encoding than stated.
    """
    read = format_of(source.path).read
    assert read is not None, "rasters are read by elevation"
    return read(source, choose, encoding)
