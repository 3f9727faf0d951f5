"""The binary format of OpenStreetMap (PBF), read with limits known before anything is unpacked.

A file of half a megabyte can unpack to a hundred million nodes; so every block is unpacked only to
the size it declares, and numbers are counted before they are decoded. Format:
https://wiki.openstreetmap.org/wiki/PBF_Format
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from spatial.errors import DataError
from spatial.load.osm.extract import KEYS, Extract, Gathered, Thing, too_big

__all__ = ["read_pbf"]

Ints = NDArray[np.int64]

_MOST_HEADER_BYTES, _MOST_BLOB_BYTES = 64 << 10, 32 << 20  # as the format says
_MOST_FILE_BYTES, _MOST_BYTES = 128 << 20, 256 << 20
#: What unpacks to more than this, and to more than twenty times its size, is no map.
_BOMB_FROM_BYTES, _BOMB_TIMES = 16 << 20, 20
_MOST_FIELDS = 500_000  # of one message; programs end a block at 8,000 objects
_MOST_PACKED_BYTES = 4 << 20  # of one list of numbers, which takes 100 times as much while it is decoded
_KNOWN_FEATURES = {"OsmSchema-V0.6", "DenseNodes"}
_PACKINGS = {4: "LZMA", 5: "bzip2", 6: "LZ4", 7: "Zstandard"}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _DamagedError(Exception):
    """The bytes are not what the format says."""


def read_pbf(path: Path) -> Extract:
    """Read .osm.pbf.

    Raises
    ------
    DataError
        No such file, damaged, too large, or packed in a way or of a kind that is not read.
    """
    name, packed, size = path.name, path.stat().st_size, 0
    if packed > _MOST_FILE_BYTES:
        too_big(name, f"{packed / 1e6:,.0f} MB")
    gathered = Gathered(name)
    try:
        with path.open("rb") as stream:
            for i, (kind, blob) in enumerate(_blobs(stream)):
                raw = _unpacked(blob, name)
                size += len(raw)
                if size > _BOMB_FROM_BYTES and size > _BOMB_TIMES * packed:
                    raise DataError(f"{name} unpacks to over {_BOMB_TIMES} times its size; no map does")
                if size > _MOST_BYTES:
                    too_big(name, f"more than {_MOST_BYTES >> 20} MB of objects")
                if (kind == "OSMHeader") != (i == 0):
                    raise _DamagedError(f"block {i + 1} is {kind!r}")
                if i == 0:
                    _check_header(raw, name)
                elif kind == "OSMData":
                    _read_block(raw, gathered)
    except (_DamagedError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{name} is damaged or no PBF of OpenStreetMap: {error}; export it again") from None
    return gathered.extract()


def _blobs(stream: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Kind and packed bytes of each block."""
    while head := stream.read(4):
        n_bytes = int.from_bytes(head, "big")
        if n_bytes > _MOST_HEADER_BYTES:
            raise _DamagedError(f"a block has a head of {n_bytes:,} bytes")
        fields = _last(_exactly(stream, n_bytes))
        kind, size = fields.get(1, b""), fields.get(3, 0)
        if not isinstance(kind, bytes) or not isinstance(size, int) or not 0 < size <= _MOST_BLOB_BYTES:
            raise _DamagedError("a block does not say what and how long it is")
        yield kind.decode(), _exactly(stream, size)


def _exactly(stream: BinaryIO, n_bytes: int) -> bytes:
    raw = stream.read(n_bytes)
    if len(raw) != n_bytes:
        raise _DamagedError("it is cut off")
    return raw


def _unpacked(blob: bytes, name: str) -> bytes:
    fields = _last(blob)
    raw, packed, size = fields.get(1), fields.get(3), fields.get(2, 0)
    if isinstance(raw, bytes):
        return raw
    if not isinstance(packed, bytes):
        packing = next((_PACKINGS[each] for each in fields if each in _PACKINGS), "an unknown way")
        raise DataError(f"{name} is packed with {packing}; convert it: osmium cat {name} -o plain.osm.pbf")
    if not isinstance(size, int) or size > _MOST_BLOB_BYTES:
        raise _DamagedError("a block is larger than the format allows")
    unpacked = zlib.decompressobj().decompress(packed, size + 1)
    if len(unpacked) != size:
        raise _DamagedError("a block has another size than it says")
    return unpacked


def _check_header(raw: bytes, name: str) -> None:
    needs = {value.decode() for no, value in _fields(raw) if no == 4 and isinstance(value, bytes)}
    if "HistoricalInformation" in needs:
        raise DataError(
            f"{name} holds the history of the map; take today's: osmium time-filter {name} -o now.osm.pbf"
        )
    if needs - _KNOWN_FEATURES:
        unknown = ", ".join(sorted(needs - _KNOWN_FEATURES))
        raise DataError(f"{name} needs features that are not read ({unknown}); export it as plain .osm.pbf")


def _read_block(raw: bytes, gathered: Gathered) -> None:
    fields = list(_fields(raw))
    strings = _strings(next((_as_bytes(value) for no, value in fields if no == 1), b""))
    single = {no: _signed(value) for no, value in fields if no in (17, 19, 20) and isinstance(value, int)}
    place = _Place(single.get(17, 100), single.get(19, 0), single.get(20, 0))
    for no, group in fields:
        if no != 2:
            continue
        for kind, value in _fields(_as_bytes(group)):
            if kind == 1:
                _read_node(_as_bytes(value), strings, place, gathered)
            elif kind == 2:
                _read_dense(_as_bytes(value), strings, place, gathered)
            elif kind == 3:
                _read_way(_as_bytes(value), strings, gathered)
            elif kind == 4:
                _read_relation(_as_bytes(value), strings, gathered)


class _Place:
    """From the numbers of a block to degrees."""

    def __init__(self, granularity: int, lat_offset: int, lon_offset: int) -> None:
        self._granularity, self._offsets = granularity, (lon_offset, lat_offset)

    def degrees(self, lon: Ints, lat: Ints) -> list[NDArray[np.float64]]:
        # whole nanodegrees first, so that a coordinate is the double nearest to its decimal digits
        return [
            (values * self._granularity + offset) / 1e9
            for values, offset in zip((lon, lat), self._offsets, strict=True)
        ]


def _strings(table: bytes) -> list[bytes]:
    return [_as_bytes(value) for no, value in _fields(table) if no == 1]


def _tags(keys: Ints, values: Ints, strings: list[bytes]) -> dict[str, str]:
    if len(keys) != len(values):
        raise _DamagedError("an object has keys without values")
    tags = {}
    for key, value in zip(keys.tolist(), values.tolist(), strict=True):
        name = _text(strings, key)
        if name in KEYS:
            tags[name] = _text(strings, value)
    return tags


def _text(strings: list[bytes], i: int) -> str:
    if not 0 <= i < len(strings):
        raise _DamagedError("an object names a text that is not there")
    return strings[i].decode("utf-8", "replace")


def _read_dense(raw: bytes, strings: list[bytes], place: _Place, gathered: Gathered) -> None:
    fields = _last(raw)
    packed = {no: _as_bytes(fields.get(no, b"")) for no in (1, 5, 8, 9, 10)}
    gathered.expect(nodes=_count(packed[1]))
    ids, lat, lon = (np.cumsum(_zigzag(_varints(packed[no]))) for no in (1, 8, 9))
    if not len(ids) == len(lat) == len(lon):
        raise _DamagedError("nodes without coordinates")
    info = _last(packed[5])
    version = _column(info.get(1), len(ids), 0)
    visible = _column(info.get(6), len(ids), 1).astype(bool)
    gathered.add_nodes(ids, *place.degrees(lon, lat), version=version, visible=visible)
    if len(packed[10]):
        _read_dense_tags(_varints(packed[10]), ids, version, visible, strings, gathered)


def _read_dense_tags(
    pairs: Ints,
    ids: Ints,
    version: Ints,
    visible: NDArray[np.bool_],
    strings: list[bytes],
    gathered: Gathered,
) -> None:
    """Key, value, key, value … of each node, 0 behind the last: only nodes that have any are looked at."""
    # a 0 in the place of a value is an empty text, not an end
    ends, i, listed = [], 0, pairs.tolist()
    while i < len(listed):
        if listed[i] == 0:
            ends.append(i)
            i += 1
        else:
            i += 2
    if len(ends) != len(ids):
        raise _DamagedError("nodes and their tags do not agree")
    begin = 0
    for row, end in enumerate(ends):
        if end > begin:
            tags = _tags(pairs[begin:end:2], pairs[begin + 1 : end : 2], strings)
            node = Thing("n", int(ids[row]), tags, version=int(version[row]), visible=bool(visible[row]))
            gathered.add(node)
        begin = end + 1


def _read_node(raw: bytes, strings: list[bytes], place: _Place, gathered: Gathered) -> None:
    fields = _last(raw)
    lon, lat = (_zigzag(np.array([_as_int(fields.get(no, 0))], dtype=np.uint64)) for no in (9, 8))
    number = int(_zigzag(np.array([_as_int(fields.get(1, 0))], dtype=np.uint64))[0])
    version, visible = _info(fields)
    x, y = place.degrees(lon, lat)
    gathered.add_node(number, float(x[0]), float(y[0]), version=version, visible=visible)
    tags = _tags(_packed(fields, 2), _packed(fields, 3), strings)
    gathered.add(Thing("n", number, tags, version=version, visible=visible))


def _read_way(raw: bytes, strings: list[bytes], gathered: Gathered) -> None:
    fields = _last(raw)
    gathered.expect(refs=_count(_as_bytes(fields.get(8, b""))))
    refs = np.cumsum(_zigzag(_packed(fields, 8)))
    tags = _tags(_packed(fields, 2), _packed(fields, 3), strings)
    version, visible = _info(fields)
    number = _signed(_as_int(fields.get(1, 0)))
    gathered.add(Thing("w", number, tags, array("q", refs.tobytes()), version=version, visible=visible))


def _read_relation(raw: bytes, strings: list[bytes], gathered: Gathered) -> None:
    fields = _last(raw)
    gathered.expect(refs=_count(_as_bytes(fields.get(9, b""))))
    roles, types = _packed(fields, 8), _packed(fields, 10)
    members = np.cumsum(_zigzag(_packed(fields, 9)))
    if not len(roles) == len(types) == len(members):
        raise _DamagedError("a relation whose members have no roles")
    inner = np.isin(roles, [i for i in np.unique(roles).tolist() if _text(strings, i) == "inner"])
    outer, holes = (array("q", members[(types == 1) & side].tobytes()) for side in (~inner, inner))
    tags = _tags(_packed(fields, 2), _packed(fields, 3), strings)
    version, visible = _info(fields)
    gathered.add(Thing("r", _signed(_as_int(fields.get(1, 0))), tags, outer, holes, version, visible))


def _info(fields: dict[int, int | bytes]) -> tuple[int, bool]:
    """Version and visibility of a single object."""
    info = _last(_as_bytes(fields.get(4, b"")))
    return _signed(_as_int(info.get(1, 0))), bool(info.get(6, 1))


def _column(raw: int | bytes | None, n: int, default: int) -> Ints:
    """A column of a block's nodes, which may be left out."""
    values = _varints(_as_bytes(raw or b""))
    if len(values) not in (0, n):
        raise _DamagedError("nodes and their versions do not agree")
    return values if len(values) == n else np.full(n, default, dtype=np.int64)


def _packed(fields: dict[int, int | bytes], no: int) -> Ints:
    return _varints(_as_bytes(fields.get(no, b"")))


# ── the wire format of protocol buffers ──────────────────────────────────────────────────────────────


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field: an int, or the bytes of text, packed numbers or a message."""
    at = n = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        n += 1
        if n > _MOST_FIELDS or key < 8:
            raise _DamagedError(f"a block has more than {_MOST_FIELDS:,} fields, or fields of no name")
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(raw, at)
            yield key >> 3, value
        elif wire == _BYTES:
            n_bytes, at = _varint(raw, at)
            if at + n_bytes > len(raw):
                raise _DamagedError("a field reaches past the end")
            yield key >> 3, raw[at : at + n_bytes]
            at += n_bytes
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise _DamagedError("a field of an unknown type")


def _last(raw: bytes) -> dict[int, int | bytes]:
    """The last value of each field, as the format has it for fields that stand once."""
    return dict(_fields(raw))


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(raw):
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise _DamagedError("a number is too long")
    raise _DamagedError("a number is cut off")


def _count(raw: bytes) -> int:
    """How many numbers are packed: each ends in the one byte below 128."""
    return int(np.count_nonzero(np.frombuffer(raw, dtype=np.uint8) < 128))


def _varints(raw: bytes) -> Ints:
    """All packed numbers, as two's complement."""
    if len(raw) < 64:  # faster one by one
        values, at = [], 0
        while at < len(raw):
            value, at = _varint(raw, at)
            values.append(_signed(value))
        return np.array(values, dtype=np.int64)
    if len(raw) > _MOST_PACKED_BYTES:
        raise _DamagedError(f"a block lists numbers of more than {_MOST_PACKED_BYTES >> 20} MB")
    data = np.frombuffer(raw, dtype=np.uint8)
    ends = np.flatnonzero(data < 128)
    if not len(ends) or ends[-1] != len(data) - 1:
        raise _DamagedError("a number is cut off")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 10:
        raise _DamagedError("a number is too long")
    shift = 7 * (np.arange(len(data)) - np.repeat(starts, lengths))
    parts = (data & 127).astype(np.uint64) << shift.astype(np.uint64)
    return np.add.reduceat(parts, starts).view(np.int64)


def _zigzag(values: NDArray[np.int64] | NDArray[np.uint64]) -> Ints:
    """0, -1, 1, -2 … from 0, 1, 2, 3 …"""
    unsigned = values.view(np.uint64)
    return (unsigned >> np.uint64(1)).view(np.int64) ^ -(unsigned & np.uint64(1)).view(np.int64)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _as_bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise _DamagedError("a field of another type than expected")
    return value


def _as_int(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise _DamagedError("a field of another type than expected")
    return value
