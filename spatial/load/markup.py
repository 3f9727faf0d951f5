"""XML, and the archives it comes in, read in one pass and within bounds.

A document type is refused, so there are no entities to expand and nothing outside the file to fetch;
depth is bounded, and so is what an archive unpacks to, whatever sizes it declares.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol
from xml.parsers import expat

from spatial.errors import DataError

__all__ = ["Handler", "archive", "local", "parse_xml", "unpacked"]

_DEEPEST = 200
_CHUNK = 1 << 16
#: Unpacked bytes of one part of an archive: a workbook of two million cells, a map of a whole county.
_LARGEST_PART = 200_000_000
_MOST_PARTS = 20_000


class Handler(Protocol):
    """What :func:`parse_xml` tells as it goes; names are without their prefix."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None: ...

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


def local(name: str) -> str:
    """An element's or attribute's name without its prefix."""
    return name.rpartition(":")[2]


def parse_xml(document: str | IO[bytes], handler: Handler, *, file: str) -> None:
    """Tell ``handler`` every element and text of a document, in its order.

    Raises
    ------
    DataError
        It is not well-formed, has a document type, or is nested too deep.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise DataError(f"{file} is nested more than {_DEEPEST} deep; export it again")
        handler.start(local(name), {local(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        handler.end(local(name))

    def doctype(*_: object) -> None:
        raise DataError(f"{file} has a document type (DTD), which could make it call out; export it again")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = handler.text, doctype
    try:
        if isinstance(document, str):
            parser.Parse(document, True)
        else:
            parser.ParseFile(document)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two: an unknown encoding
        raise DataError(f"{file} is damaged or no XML: {error}; export it again") from None


@contextmanager
def archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive opened for reading, with errors told as ours."""
    try:
        with zipfile.ZipFile(path) as opened:
            if len(opened.infolist()) > _MOST_PARTS:
                raise DataError(f"{path.name} holds {len(opened.infolist()):,} files; no such file does")
            yield opened
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path.name} is damaged: {error}; export it again") from None


def unpacked(opened: zipfile.ZipFile, name: str, *, most_bytes: int | None = None) -> IO[bytes]:
    """One part of an archive as a stream that ends in a DataError past the bound.

    Raises
    ------
    KeyError
        There is no such part.
    DataError
        It is packed in a way no office program uses, or too large.
    """
    part = opened.getinfo(name)
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or part.flag_bits & 1:
        raise DataError(f"{Path(opened.filename or '').name} is encrypted or packed in an odd way")
    return io.BufferedReader(_Bounded(opened, part, most_bytes or _LARGEST_PART), _CHUNK)


class _Bounded(io.RawIOBase):
    """A part of an archive that never gives more than the bound, whatever size it declares."""

    def __init__(self, opened: zipfile.ZipFile, part: zipfile.ZipInfo, most_bytes: int) -> None:
        self._file, self._most_bytes = Path(opened.filename or "").name, most_bytes
        self._check(part.file_size)
        self._stream = opened.open(part)
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def, override]
        block = self._stream.read(len(buffer))
        self._given += len(block)
        self._check(self._given)
        buffer[: len(block)] = block
        return len(block)

    def _check(self, n_bytes: int) -> None:
        if n_bytes > self._most_bytes:
            raise DataError(
                f"{self._file} unpacks to more than {self._most_bytes / 1e6:,.0f} MB and is not read"
            )
