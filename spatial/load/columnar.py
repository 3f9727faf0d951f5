"""Columnar formats: GeoParquet and FlatGeobuf, read batch by batch so that no small file fills the memory."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from shapely import GeometryType

from spatial.errors import DataError, note
from spatial.load.raw import Choose, RawLayer, Source, decoder, file_crs, objects, refuse_more, wkb_shapes

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["read_flatgeobuf", "read_geoparquet"]

Objects = NDArray[np.object_]

_BATCH_ROWS = 10_000
_NATIVE = {
    "point": GeometryType.POINT,
    "linestring": GeometryType.LINESTRING,
    "polygon": GeometryType.POLYGON,
    "multipoint": GeometryType.MULTIPOINT,
    "multilinestring": GeometryType.MULTILINESTRING,
    "multipolygon": GeometryType.MULTIPOLYGON,
}
#: What GeoParquet and Parquet take for granted: degrees, longitude first.
_DEFAULT_CRS = "OGC:CRS84"
_MOST_HEADER_BYTES = 10_000_000
#: How often text and shapes are in memory while they are brought from one form to the next.
_COPIES = 3


def read_flatgeobuf(source: Source, choose: Choose, encoding: str | None) -> RawLayer:
    """Read a FlatGeobuf, which GDAL is shown as bytes without a name.

    Raises
    ------
    DataError
        The file is damaged, or its text is in another encoding than stated.
    """
    path = source.path
    content = path.read_bytes()
    # a header of that size begins with a zero byte, which hides the rest from drivers that look for words
    if not 0 < int.from_bytes(content[8:12], "little") < min(_MOST_HEADER_BYTES, len(content)):
        raise DataError(f"{path.name} is damaged or cut off within its header; export it again")
    with _told_as_ours(path):
        about = pyogrio.read_info(content)
        headings, n_rows = [str(each) for each in about["fields"]], int(about["features"])
        chosen = choose(headings)
        columns = [*dict.fromkeys(chosen.values())]
        with pyogrio.raw.open_arrow(content, columns=columns, batch_size=_BATCH_ROWS, use_pyarrow=True) as (
            about,
            batches,
        ):
            shapes = about["geometry_name"] or "wkb_geometry"
            read, wkb = _rows(path, batches, columns, shapes, encoding)
    if n_rows > 0 and len(wkb) != n_rows:  # 0 and less: the file does not say
        raise DataError(
            f"{path.name} is cut off: {len(wkb):,} of its {n_rows:,} rows are there; copy it again"
        )
    geometry, curved = wkb_shapes(wkb, source)
    crs, said = file_crs(path.name, about["crs"])
    values = {name: read[heading] for name, heading in chosen.items()}
    return RawLayer(values, geometry, crs, tuple(headings), tuple(columns), curved=curved, said=tuple(said))


def read_geoparquet(source: Source, choose: Choose, encoding: str | None) -> RawLayer:
    """Read a GeoParquet, or a Parquet whose own geometry type says where its shapes are.

    Of several columns of geometry the primary one is read. What the file says it unfolds to is
    looked at before anything is unfolded.

    Raises
    ------
    DataError
        The file is damaged, has no geometry, unfolds to more than any community has, or encodes its
        geometry in a way that can't be read.
    """
    import pyarrow.parquet as pq

    path = source.path
    with _told_as_ours(path), path.open("rb") as stream:
        file = pq.ParquetFile(stream)
        schema = file.schema_arrow
        if len(set(schema.names)) < len(schema.names):
            raise DataError(f"{path.name} has several columns of one name; rename them")
        shapes, others = _geometry_columns(path, file)
        native = _NATIVE.get(shapes.encoding)
        if _is_bytes(schema.field(shapes.name).type) != (native is None):
            raise DataError(f"{path.name}: column {shapes.name} holds no geometry as {shapes.encoding}")
        headings = [
            each.name for each in schema if each.name not in (shapes.name, *others) and _is_plain(each.type)
        ]
        chosen = choose(headings)
        columns = [*dict.fromkeys(chosen.values())]
        _refuse_bomb(path, file, [*columns, shapes.name])
        texts = [each for each in (*columns, shapes.name) if _is_bytes(schema.field(each).type)]
        file = pq.ParquetFile(stream, read_dictionary=texts)
        batches = file.iter_batches(_BATCH_ROWS, columns=[*columns, shapes.name], use_threads=False)
        read, stored = _rows(path, batches, columns, shapes.name, encoding, native=native)
    geometry, curved = wkb_shapes(stored, source) if native is None else (stored, None)
    crs, said = file_crs(path.name, shapes.crs)
    if others:
        text = f"geometry is read from {shapes.name}, not from {', '.join(others)}"
        said.append(note("geometry-others", text))
    values = {name: read[heading] for name, heading in chosen.items()}
    return RawLayer(values, geometry, crs, tuple(headings), tuple(columns), curved=curved, said=tuple(said))


@contextmanager
def _told_as_ours(path: Path) -> Iterator[None]:
    """Within it whatever a library finds wrong with a file is a DataError, and nothing else is heard."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except (
        OSError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        LookupError,
        TypeError,
        MemoryError,
    ) as error:
        reason = "" if isinstance(error, (LookupError, TypeError)) else " ".join(str(error).split())[:200]
        said = f": {reason}" if reason else ""
        raise DataError(
            f"{path.name} is damaged or of a kind that can't be read{said}; export it again"
        ) from None


@dataclass(frozen=True)
class _Shapes:
    """The column that holds the geometry of a Parquet file."""

    name: str
    encoding: str  # wkb or one of _NATIVE
    crs: str | None


def _geometry_columns(path: Path, file: pq.ParquetFile) -> tuple[_Shapes, list[str]]:
    """The primary column of geometry, and the names of the others."""
    remedy = "export it as GeoParquet with WKB, or as a GeoPackage"
    stored = file.metadata.metadata or {}
    if b"geo" not in stored:
        return _typed_columns(path, file, stored, remedy)
    geo = json.loads(stored[b"geo"])
    columns = geo.get("columns") if isinstance(geo, dict) else None
    columns = columns if isinstance(columns, dict) else {}
    primary = str(geo.get("primary_column")) if isinstance(geo, dict) else ""
    about = columns.get(primary)
    if not isinstance(about, dict) or primary not in file.schema_arrow.names:
        raise DataError(f"{path.name} does not say which column is its geometry; {remedy}")
    encoding = str(about.get("encoding")).lower()
    if encoding != "wkb" and encoding not in _NATIVE:
        raise DataError(f"{path.name} encodes its geometry as {encoding[:40]!r}, which is not read; {remedy}")
    crs = about.get("crs", _DEFAULT_CRS)
    text = crs if isinstance(crs, str) or crs is None else json.dumps(crs)
    return _Shapes(primary, encoding, text), [each for each in columns if each != primary]


def _typed_columns(
    path: Path, file: pq.ParquetFile, stored: Mapping[bytes, bytes], remedy: str
) -> tuple[_Shapes, list[str]]:
    """The same from the types of a plain Parquet, whose first column of geometry is taken."""
    leaves = [file.schema.column(i) for i in range(len(file.schema.names))]
    typed = [each for each in leaves if each.logical_type.type in ("GEOMETRY", "GEOGRAPHY")]
    if not typed:
        raise DataError(f"{path.name} is Parquet without geometry; {remedy}")
    crs = json.loads(typed[0].logical_type.to_json()).get("crs") or _DEFAULT_CRS
    if crs.startswith("projjson:"):
        crs = stored.get(crs.removeprefix("projjson:").encode(), b"").decode()
    crs = f"EPSG:{crs.removeprefix('srid:')}" if crs.startswith("srid:") else crs
    return _Shapes(typed[0].path, "wkb", crs), [each.path for each in typed[1:]]


def _refuse_bomb(path: Path, file: pq.ParquetFile, columns: Sequence[str]) -> None:
    """Refuse what unfolds to more than any community has, by the file's own figures."""
    chunks = [
        file.metadata.row_group(i).column(j)
        for i in range(file.metadata.num_row_groups)
        for j in range(file.metadata.num_columns)
    ]
    wanted = [each for each in chunks if each.path_in_schema.split(".")[0] in columns]
    n_values = sum(each.num_values for each in wanted)
    n_bytes = _COPIES * sum(each.total_uncompressed_size for each in wanted)
    refuse_more(
        path.name,
        n_values=max(n_values, file.metadata.num_rows * len(columns)),
        n_bytes=n_bytes,
        n_headings=file.metadata.num_columns,
    )


def _rows(
    path: Path,
    batches: Iterable[pa.RecordBatch],
    columns: Sequence[str],
    shapes: str,
    encoding: str | None,
    *,
    native: GeometryType | None = None,
) -> tuple[dict[str, Objects], Objects]:
    """Python's values of each column, and the shapes: WKB, or geometries where they are ``native``."""
    decode = decoder(path.name, encoding)
    parts: dict[str, list[Objects]] = {each: [np.empty(0, dtype=object)] for each in (*columns, shapes)}
    n_values = n_bytes = 0
    for batch in batches:
        for column in batch.columns:
            _check_offsets(column)
        n_values += batch.num_rows * len(parts)
        n_bytes += sum(map(_unfolded_bytes, batch.columns))
        refuse_more(path.name, n_values=n_values, n_bytes=n_bytes)
        for name in columns:
            parts[name].append(_objects(batch.column(name), decode))
        column = batch.column(shapes)
        parts[shapes].append(_objects(column, bytes) if native is None else _native_shapes(column, native))
    whole = {name: np.concatenate(each) for name, each in parts.items()}
    geometry = whole.pop(shapes)
    return whole, geometry


def _check_offsets(column: pa.Array) -> None:
    """Raise where texts or shapes begin beyond what is there: of a damaged file GDAL hands such out."""
    import pyarrow as pa

    if not isinstance(column, pa.DictionaryArray) and _is_bytes(column.type):
        column.cast(pa.large_binary()).validate(full=True)


def _unfolded_bytes(column: pa.Array) -> int:
    """What a column takes once each row has a text of its own, however often one stands there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(column, pa.DictionaryArray):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary.cast(pa.large_binary())).fill_null(0)
    return int(pc.sum(pc.take(lengths, column.indices)).as_py() or 0)


def _objects(column: pa.Array, decode: Callable[[bytes], Any]) -> Objects:
    """The values of one column, each text decoded once however often it stands there."""
    import pyarrow as pa

    if not isinstance(column, pa.DictionaryArray) and _is_bytes(column.type):
        column = column.dictionary_encode()
    if isinstance(column, pa.DictionaryArray) and _is_bytes(column.type.value_type):
        words = column.dictionary.cast(pa.large_binary()).to_pylist()
        known = objects([*(None if each is None else decode(each) for each in words), None])
        places = column.indices.cast(pa.int64()).fill_null(len(words)).to_numpy(zero_copy_only=False)
        return known[places]
    return objects([_plain(each) for each in column.to_pylist()])


def _plain(value: Any) -> Any:
    """Numbers as numbers, whatever is no text, number or flag as text."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_string_view,
        pa.types.is_binary_view,
    )
    return any(test(kind) for test in tests)


def _is_plain(kind: pa.DataType) -> bool:
    """Whether a column of this type can be a column of a table: lists and structures can't."""
    import pyarrow as pa

    return not pa.types.is_nested(kind)


def _native_shapes(column: pa.Array, kind: GeometryType) -> Objects:
    """Geometries whose coordinates stand in nested lists of x and y (and z), as in GeoArrow."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = column.is_null().to_numpy(zero_copy_only=False)
    offsets: list[NDArray[np.int64]] = []
    while pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        offsets.append(np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))))
        column = column.flatten()
    if pa.types.is_fixed_size_list(column.type):
        width = column.type.list_size
        xy = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)[:, :3]
    else:
        axes = [each for each in ("x", "y", "z") if column.type.get_field_index(each) >= 0]
        xy = np.column_stack([column.field(each).to_numpy(zero_copy_only=False) for each in axes])
    if len(offsets) != {GeometryType.POINT: 0, GeometryType.POLYGON: 2, GeometryType.MULTILINESTRING: 2,
                        GeometryType.MULTIPOLYGON: 3}.get(kind, 1):  # fmt: skip
        raise ValueError("geometry is nested in another way than its encoding says")
    geometry = shapely.from_ragged_array(kind, xy.astype(np.float64), tuple(reversed(offsets)) or None)
    geometry = objects(list(geometry))
    geometry[missing] = None
    return geometry
