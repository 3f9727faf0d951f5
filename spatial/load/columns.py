"""Values as they stand in a file → columns of the contract's types, and a fault for what can't be right."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatial.errors import Remark, fault, first_ids, note
from spatial.load.headings import plain, unit_words
from spatial.load.rows import Rows
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
#: No place in text, in XML (and so in a workbook) not even allowed.
_CONTROL = re.compile("[\x00-\x1f\x7f\ufffe\uffff]+")
_CONTROL_BUT_LINES = re.compile("[\x00-\x09\x0b-\x1f\x7f\ufffe\uffff]+")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_WHOLE_MAX = 2.0**53


def read_columns(rows: Rows, values: Mapping[str, Objects]) -> tuple[dict[str, pd.Series], list[Remark]]:
    """Type and check every column that was found; give the others their default where they have one.

    Parameters
    ----------
    rows : Rows
        Layer in ``schema.LAYERS`` and what its rows are called in messages.
    values : mapping
        By our column name: text, int, float, bool or None, one per row.

    Returns
    -------
    columns : dict
        By our name, of the contract's type. Cells with a fault are empty.
    remarks : list of Remark
        Faults and notes.
    """
    columns: dict[str, pd.Series] = {}
    remarks: list[Remark] = []
    for column in LAYERS[rows.layer].columns:
        if column.name not in values and column.default is None:
            continue
        raw = values.get(column.name, np.full(len(rows), None, dtype=object))
        series, said = _READERS[column.dtype](rows, column, raw)
        if column.default is not None:
            said += _defaults(rows, column, series, given=column.name in values, faults=said)
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


def as_text(values: Objects, *, lines: bool = False) -> Objects:
    """Every value as text on one line, or on several: 12.0 is "12", nothing is "", no control characters."""
    text = np.array([each if type(each) is str else _spelt(each) for each in values], dtype=object)
    joined = "".join(text)
    if _CONTROL.search(joined):
        if lines:
            text = np.array([re.sub("\r\n?", "\n", each) for each in text], dtype=object)
        control = _CONTROL_BUT_LINES if lines else _CONTROL
        text = np.array([control.sub(" ", each) for each in text], dtype=object)
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


def _defaults(
    rows: Rows, column: Column, series: pd.Series, *, given: bool, faults: list[Remark]
) -> list[Remark]:
    """The note that says which cells take the default."""
    if column.default == "unknown":  # that is what an empty cell says
        return []
    if not given:
        text = f"no such column, every row is taken as {column.default}"
        return [note("default-taken", text, layer=rows.layer, column=column.name)]
    wrong = {each for remark in faults for each in remark.ids}
    empty = series.isna().to_numpy() & ~np.isin(rows.labels, list(wrong))
    return rows.tell(
        note, "default-taken", empty, f"are empty and taken as {column.default}", column=column.name
    )


def _read_text(rows: Rows, column: Column, raw: Objects) -> tuple[pd.Series, list[Remark]]:
    text = as_text(raw, lines=column.lines)
    if column.choices is None:
        return _texts(text), []
    known = {plain(each): value for value, words in column.choices.items() for each in (value, *words)}
    codes, words = pd.factorize(text)
    meant = np.array([known.get(plain(each), "") for each in words], dtype=object)
    other = (meant == "") & (words != "")
    listed = first_ids(words[other])
    if column.text_fallback:
        message = f"have a value of their own, kept as it is: {listed}"
        said = rows.tell(note, "value-other", other[codes], message, column=column.name)
        meant = np.where(other, words, meant)
    else:
        message, remedy = (
            f"have a value that is not known: {listed}",
            f"write one of {', '.join(column.choices)}",
        )
        said = rows.tell(fault, "value-unknown", other[codes], message, column=column.name, remedy=remedy)
    return _texts(meant[codes]), said


def _texts(text: Objects) -> pd.Series:
    """Text with nothing where it is empty."""
    series = pd.Series(text, dtype="str")
    return series.mask(series == "")


def _read_bool(rows: Rows, column: Column, raw: Objects) -> tuple[pd.Series, list[Remark]]:
    codes, words = pd.factorize(as_text(raw))
    short = [plain(each) for each in words]
    blank = np.array([each in _BLANKS or each == "none" for each in short], dtype=bool)
    yes, no = (np.array([each in listed for each in short], dtype=bool) for listed in (_YES, _NO))
    other = ~(yes | no | blank)
    message, remedy = f"are neither yes nor no: {first_ids(words[other])}", "write yes, no or nothing"
    said = rows.tell(fault, "value-unknown", other[codes], message, column=column.name, remedy=remedy)
    values = pd.array(yes[codes], dtype="boolean")
    values[~(yes | no)[codes]] = pd.NA
    return pd.Series(values), said


def _read_float(rows: Rows, column: Column, raw: Objects) -> tuple[pd.Series, list[Remark]]:
    numbers, said = _numbers(rows, column, raw)
    return pd.Series(numbers, dtype="float64"), said


def _read_int(rows: Rows, column: Column, raw: Objects) -> tuple[pd.Series, list[Remark]]:
    numbers, said = _numbers(rows, column, raw)
    broken = (numbers != np.round(numbers)) & ~np.isnan(numbers)
    said += rows.tell(
        fault, "not-whole", broken, "are not whole numbers", column=column.name, remedy="correct them"
    )
    values = pd.array(np.where(broken, np.nan, numbers), dtype="Float64")
    return pd.Series(values).astype("Int64"), said


def _numbers(rows: Rows, column: Column, raw: Objects) -> tuple[NDArray[np.float64], list[Remark]]:
    """Finite numbers within the column's limits, NaN where empty or at fault; the faults."""
    numbers, unread = parse_numbers(raw, units=unit_words(column))
    low, high = column.minimum, column.maximum
    below = numbers < (-np.inf if low is None else low)
    above = numbers > (_WHOLE_MAX if high is None else high)
    outside = (below | above) & ~unread
    message = f"are not numbers: {first_ids(set(as_text(raw[unread])))}"
    said = rows.tell(
        fault, "not-a-number", unread, message, column=column.name, remedy="correct or empty them"
    )
    message, remedy = f"are not {_limits(low, high)}", "correct them, or empty them if unknown"
    said += rows.tell(fault, "out-of-range", outside, message, column=column.name, remedy=remedy)
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


_READERS: dict[str, Callable[[Rows, Column, Objects], tuple[pd.Series, list[Remark]]]] = {
    "text": _read_text,
    "int": _read_int,
    "float": _read_float,
    "bool": _read_bool,
}
