"""Tables with a column for each coordinate: CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import shapely

from spatial.errors import DataError
from spatial.load.columns import parse_numbers
from spatial.load.headings import coordinate_headings
from spatial.load.raw import Choose, RawLayer, Source, file_text, objects

__all__ = ["read_csv"]


def read_csv(source: Source, choose: Choose, encoding: str | None) -> RawLayer:
    path = source.path
    text, used = file_text(path, encoding)
    first = text.partition("\n")[0].rstrip("\r")
    separator = max(",;\t", key=first.count)
    headings = next(csv.reader([first], delimiter=separator), [])
    chosen = dict(choose(headings))
    pair = coordinate_headings(headings, chosen)
    if pair is None:
        raise DataError(
            f"{path.name} has no columns of coordinates; name them lon and lat (经度, 纬度) or x and y "
            f"(东坐标, 北坐标). Its headings: {', '.join(headings[:12])}"
        )
    places = {name: headings.index(key) for name, key in {**chosen, "x": pair.x, "y": pair.y}.items()}
    rows = _csv_rows(path, text, separator, len(headings))
    values = {name: objects([row[i] or None for row in rows]) for name, i in places.items()}
    x, y = (parse_numbers(values.pop(each))[0] for each in ("x", "y"))
    geometry = np.full(len(x), None, dtype=object)
    given = ~(np.isnan(x) | np.isnan(y))
    geometry[given] = shapely.points(x[given], y[given])
    read = tuple(headings[i] for i in places.values())
    return RawLayer(values, geometry, None, tuple(headings), read, used, degrees=pair.degrees)


def _csv_rows(path: Path, text: str, separator: str, n_fields: int) -> list[list[str]]:
    """The rows below the headings that are not blank, each of ``n_fields``."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    try:
        next(reader)
        for row in reader:
            if any(each.strip() for each in row):
                if len(row) < n_fields or any(row[n_fields:]):
                    raise csv.Error(f"{len(row)} fields where the headings are {n_fields}")
                rows.append(row)
    except csv.Error as error:
        raise DataError(f"{path.name}, line {reader.line_num}: not a sound CSV table: {error}") from None
    return rows
