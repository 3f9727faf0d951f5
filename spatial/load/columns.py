"""Values as they stand in a file → columns of the contract's types, and a fault for what can't be right."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatial.errors import Remark, fault, first_ids, note
from spatial.load.headings import plain, unit_words
from spatial.schema import LAYERS, Column

__all__ = ["as_text", "parse_numbers", "read_columns", "row_labels"]

Objects = NDArray[np.object_]
Mask = NDArray[np.bool_]

_BLANKS = ("", "null", "<null>", "nan", "na", "n/a", "#n/a", "-", "--", "—", "/")
# with the words of OpenStreetMap, where any kind of bridge, tunnel or lighting means yes
_YES = frozenset(
    """yes true t y 1 是 有 真 viaduct movable aqueduct boardwalk cantilever covered trestle
    lowwatercrossing buildingpassage culvert avalancheprotector passage 24/7 automatic sunsetsunrise
    duskdawn limited interval""".split()  # noqa: SIM905
)
_NO = frozenset(("no", "false", "f", "n", "0", "否", "无", "没有", "假", "disused"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_WHOLE_MAX = 2.0**53


@dataclass(frozen=True)
class _Cells:
    """The cells of one column: how messages call it and its rows."""

    layer: str
    column: Column
    labels: Objects

    def tell(
        self, make: Callable[..., Remark], code: str, rows: Mask, message: str, remedy: str = ""
    ) -> list[Remark]:
        """One remark on the rows concerned, with their number in front; none where there are none."""
        if not rows.any():
            return []
        count = f"{int(rows.sum()):,} of {len(rows):,} {message}"
        where = {"layer": self.layer, "column": self.column.name, "ids": self.labels[rows]}
        return [make(code, count, remedy=remedy, **where)]


def read_columns(
    layer: str, values: Mapping[str, Objects], labels: Objects
) -> tuple[dict[str, pd.Series], list[Remark]]:
    """Type and check every column that was found; give the others their default where they have one.

    Parameters
    ----------
    layer : str
        Name in ``schema.LAYERS``.
    values : mapping
        By our column name: text, int, float, bool or None, one per row.
    labels : (n,) of str
        What a row is called in messages.

    Returns
    -------
    columns : dict
        By our name, of the contract's type. Cells with a fault are empty.
    remarks : list of Remark
        Faults and notes.
    """
    columns: dict[str, pd.Series] = {}
    remarks: list[Remark] = []
    for column in LAYERS[layer].columns:
        if column.name not in values and column.default is None:
            continue
        cells = _Cells(layer, column, labels)
        raw = values.get(column.name, np.full(len(labels), None, dtype=object))
        series, said = _READERS[column.dtype](cells, raw)
        if column.default is not None:
            said += _defaults(cells, series, given=column.name in values, faults=said)
            series = series.fillna(column.default)
        columns[column.name] = series
        remarks += said
    return columns, remarks


def row_labels(ids: Objects | None, n_rows: int) -> Objects:
    """What each row is called in messages: its id, else its place in the file, ``row 1`` first."""
    rows = np.array([f"row {i + 1}" for i in range(n_rows)], dtype=object)
    if ids is None:
        return rows
    text = as_text(ids)
    return np.where(text == "", rows, text)


def as_text(values: Objects) -> Objects:
    """Every value as text on one line: 12.0 is "12", nothing is "", no control characters."""
    text = np.array([each if type(each) is str else _spelt(each) for each in values], dtype=object)
    joined = "".join(text)
    if _CONTROL.search(joined):
        text = np.array([_CONTROL.sub(" ", each) for each in text], dtype=object)
    if not joined.isascii():  # half a surrogate pair can't be written to any file
        text = np.array([each.encode("utf-8", "replace").decode() for each in text], dtype=object)
    return np.array([each.strip() for each in text], dtype=object)


def _spelt(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) <= _WHOLE_MAX:
        return str(int(value))
    return str(value)


def _defaults(cells: _Cells, series: pd.Series, *, given: bool, faults: list[Remark]) -> list[Remark]:
    """The note that says which cells take the default."""
    default = cells.column.default
    if default == "unknown":  # that is what an empty cell says
        return []
    if not given:
        return [
            note(
                "default-taken",
                f"no such column, every row is taken as {default}",
                layer=cells.layer,
                column=cells.column.name,
            )
        ]
    wrong = {each for remark in faults for each in remark.ids}
    empty = series.isna().to_numpy() & ~np.isin(cells.labels, list(wrong))
    return cells.tell(note, "default-taken", empty, f"are empty and taken as {default}")


def _read_text(cells: _Cells, raw: Objects) -> tuple[pd.Series, list[Remark]]:
    text = as_text(raw)
    if cells.column.choices is None:
        return _texts(text), []
    known = {plain(each): value for value, words in cells.column.choices.items() for each in (value, *words)}
    codes, words = pd.factorize(text)
    meant = np.array([known.get(plain(each), "") for each in words], dtype=object)
    other = np.array(
        [value == "" and each != "" for each, value in zip(words, meant, strict=True)], dtype=bool
    )
    listed = first_ids(words[other])
    if cells.column.text_fallback:
        said = cells.tell(
            note, "value-other", other[codes], f"have a value of their own, kept as it is: {listed}"
        )
        meant = np.where(other, words, meant)
    else:
        said = cells.tell(
            fault,
            "value-unknown",
            other[codes],
            f"have a value that is not known: {listed}",
            f"write one of {', '.join(cells.column.choices)}",
        )
    meant = meant[codes] if len(words) else meant
    return _texts(meant), said


def _texts(text: Objects) -> pd.Series:
    """Text with nothing where it is empty."""
    series = pd.Series(text, dtype="str")
    return series.mask(series == "")


def _read_bool(cells: _Cells, raw: Objects) -> tuple[pd.Series, list[Remark]]:
    codes, words = pd.factorize(as_text(raw))
    short = [plain(each) for each in words]
    blank = np.array([each in _BLANKS or each == "none" for each in short], dtype=bool)
    yes, no = (np.array([each in listed for each in short], dtype=bool) for listed in (_YES, _NO))
    other = ~(yes | no | blank)
    said = cells.tell(
        fault,
        "value-unknown",
        other[codes],
        f"are neither yes nor no: {first_ids(words[other])}",
        "write yes, no or nothing",
    )
    values = pd.array(yes[codes], dtype="boolean")
    values[~(yes | no)[codes]] = pd.NA
    return pd.Series(values), said


def _read_float(cells: _Cells, raw: Objects) -> tuple[pd.Series, list[Remark]]:
    numbers, said = _numbers(cells, raw)
    return pd.Series(numbers, dtype="float64"), said


def _read_int(cells: _Cells, raw: Objects) -> tuple[pd.Series, list[Remark]]:
    numbers, said = _numbers(cells, raw)
    broken = (numbers != np.round(numbers)) & ~np.isnan(numbers)
    said += cells.tell(fault, "not-whole", broken, "are not whole numbers", "correct them")
    values = pd.array(np.where(broken, np.nan, numbers), dtype="Float64")
    return pd.Series(values).astype("Int64"), said


def _numbers(cells: _Cells, raw: Objects) -> tuple[NDArray[np.float64], list[Remark]]:
    """Finite numbers within the column's limits, NaN where empty or at fault; the faults."""
    numbers, unread = parse_numbers(raw, units=unit_words(cells.column))
    low, high = cells.column.minimum, cells.column.maximum
    below = numbers < (-np.inf if low is None else low)
    above = numbers > (_WHOLE_MAX if high is None else high)
    outside = (below | above) & ~unread
    listed = first_ids(set(as_text(raw[unread])))
    said = cells.tell(fault, "not-a-number", unread, f"are not numbers: {listed}", "correct or empty them")
    said += cells.tell(
        fault,
        "out-of-range",
        outside,
        f"are not {_limits(low, high)}",
        "correct them, or empty them if unknown",
    )
    return np.where(unread | outside, np.nan, numbers), said


def parse_numbers(raw: Objects, *, units: tuple[str, ...] = ()) -> tuple[NDArray[np.float64], Mask]:
    """Numbers exactly as written, NaN where empty; and the rows that hold something else.

    Text may be in full-width digits and carry one of ``units`` behind the number.
    """
    if pd.api.types.infer_dtype(raw, skipna=True) in ("integer", "floating", "mixed-integer-float", "empty"):
        numbers = np.array([np.nan if each is None else _double(each) for each in raw], dtype=np.float64)
        return numbers, np.isinf(numbers)
    text = pd.Series(as_text(raw), dtype="str").str.normalize("NFKC").str.strip().str.lower()
    blank = text.isin(_BLANKS).to_numpy()
    if units:
        text = text.str.replace(rf"\s*(?:{'|'.join(map(re.escape, units))})$", "", regex=True)
    sound = text.str.fullmatch(_NUMBER).to_numpy(dtype=bool) & ~blank
    numbers = np.full(len(raw), np.nan)
    numbers[sound] = text[sound].to_numpy(dtype=object).astype(np.float64)
    return numbers, ~blank & ~np.isfinite(numbers)


def _double(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _limits(low: float | None, high: float | None) -> str:
    if high is None:
        return f"{low:g} or more"
    return f"{high:g} or less" if low is None else f"from {low:g} to {high:,.10g}"


_READERS: dict[str, Callable[[_Cells, Objects], tuple[pd.Series, list[Remark]]]] = {
    "text": _read_text,
    "int": _read_int,
    "float": _read_float,
    "bool": _read_bool,
}
