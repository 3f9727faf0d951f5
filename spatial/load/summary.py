"""``summary.json`` of a plan folder: values of the types and ranges that ``plan`` writes, or a refusal.

Pages, tables and messages take their figures from it as they are, so nothing else may get past here: no
text where a number belongs, no number that is none, no list as deep as a page is long.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from pydantic import ValidationError

from spatial.errors import DataError, one_line
from spatial.load.raw import refuse_more
from spatial.schema import FACILITY, GLOSSARY, SUMMARY, SUMMARY_HEAD, Figure
from spatial.settings import Settings

__all__ = ["parse_summary", "summary_settings"]

Fault = Iterator[str]

_MOST_DEPTH = 20
_MOST_TOLD = 20
_MOST_CHARACTERS = 100_000
#: No figure of a plan is larger, nor below 0 or above a share of 1 by more than the least rounding.
_MOST, _ROUNDING = 1e15, 1e-6
_REMARK = {"layer": "text", "column": "text", "message": "text", "n": "int", "remedy": "text"}
_WHAT = {
    "text": "text",
    "int": "a whole number from 0",
    "float": "a number from 0",
    "share": "a number from 0 to 1",
    "list": "a list",
}


def parse_summary(text: str, name: str, *, whole: bool) -> dict[str, Any]:
    """The object in the text of a ``summary.json``.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    whole : bool
        Every key of the contract must be there; else only what is there must be as the contract says.

    Raises
    ------
    DataError
        The text is no JSON object with settings, unfolds to more than fits in memory, or holds a value of
        another type or range than ``plan`` writes; every such key is told.
    """
    refuse_more(name, n_values=3 * text.count("{") + text.count("[") + text.count(","))
    try:
        summary = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} can't be read as a plan's summary: {error}; plan again") from None
    if not isinstance(summary, dict) or not isinstance(summary.get("settings"), dict):
        raise DataError(f"{name} is no summary of a plan: it has no settings; plan again")
    faults = list(_absurd(summary)) or list(_faults(summary, whole=whole))
    if faults:
        more = [f"and {len(faults) - _MOST_TOLD} more"] if len(faults) > _MOST_TOLD else []
        raise DataError(
            f"{name} is not as this version of alleyplan writes it; plan again", [*faults[:_MOST_TOLD], *more]
        )
    return summary


def summary_settings(summary: Mapping[str, Any]) -> Settings:
    """The settings a plan was made with.

    Raises
    ------
    DataError
        They are none of this version's.
    """
    try:
        return Settings.model_validate(summary["settings"])
    except ValidationError as error:
        faults = [
            f"{one_line('.'.join(map(str, each['loc'])))}: {one_line(each['msg'])}"
            for each in error.errors()[:_MOST_TOLD]
        ]
        raise DataError("summary.json carries settings that can't be used; plan again", faults) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _absurd(summary: Mapping[str, Any]) -> Fault:
    """Values that no part of a summary may hold: too deep, too long, no text, beyond all measure."""
    waiting: list[tuple[str, Any, int]] = [("", summary, 0)]
    while waiting:
        at, value, depth = waiting.pop()
        if depth > _MOST_DEPTH:
            yield f"{at} is nested deeper than {_MOST_DEPTH}"
        elif isinstance(value, dict):
            waiting += [(_below(at, key), each, depth + 1) for key, each in value.items()]
            waiting += [(_below(at, "a key"), key, depth + 1) for key in value]
        elif isinstance(value, list):
            waiting += [(at, each, depth + 1) for each in value]
        elif isinstance(value, str) and (len(value) > _MOST_CHARACTERS or not _is_storable(value)):
            yield f"{at} holds more than {_MOST_CHARACTERS:,} characters, or half of one"
        elif isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= _MOST):
            yield f"{at} is no number that a plan could hold"


def _below(at: str, key: str) -> str:
    return one_line(f"{at}.{key}".lstrip("."))


def _is_storable(text: str) -> bool:
    """Half a pair of UTF-16 can be written in JSON and nowhere else."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _faults(summary: Mapping[str, Any], *, whole: bool) -> Fault:
    names = [*SUMMARY_HEAD, *SUMMARY]
    if whole:
        yield from (f"{name} is missing" for name in names if name not in summary)
    given = {name: summary[name] for name in names if name in summary}
    for name, value in given.items():
        if name in SUMMARY and value is None:
            continue
        if name in ("notes", "doubts", "faults"):
            yield from _remark_faults(name, value, whole=whole)
        elif name == "facilities":
            yield from _facility_faults(value, whole=whole)
        elif name in SUMMARY:
            yield from _section_faults(name, value, SUMMARY[name], whole=whole)
        else:
            yield from _head_faults(name, value)
    if whole and not isinstance(summary.get("grids"), str) and (summary.get("grids") or {}):
        yield from _part_faults(summary["grids"])
    if whole:
        try:
            summary_settings(summary)
        except DataError as error:
            yield from (f"settings.{each}" for each in error.faults)


def _head_faults(name: str, value: Any) -> Fault:
    if name == "community":
        if not isinstance(value, dict) or not all(
            isinstance(each, str) for key, each in value.items() if key != "branch_names"
        ):
            yield "community must be a table of text"
    elif name == "plan_id":
        if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{12}", value):
            yield f"plan_id must be twelve digits 0-9 and a-f, not {one_line(repr(value))}"
    elif name in ("crs", "seed"):
        yield from _value_faults(name, value, Figure("text" if name == "crs" else "int", empty=False))
    elif name == "versions":
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            yield "versions must be a table of text"
    elif name == "inputs":
        if not isinstance(value, list) or not all(_is_text_table(each, "file", "sha256") for each in value):
            yield "inputs must be a list of tables with file and sha256"
    elif name == "kept" and value is not None and not _is_text_table(value, "plan_id", "sha256"):
        yield "kept must be null or a table with plan_id and sha256"


def _is_text_table(value: Any, *keys: str) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in keys)


def _section_faults(at: str, section: Any, figures: Mapping[str, Figure], *, whole: bool) -> Fault:
    if not isinstance(section, dict):
        yield f"{at} must be a table or null"
        return
    for name, figure in figures.items():
        if name in section:
            yield from _value_faults(f"{at}.{name}", section[name], figure)
        elif whole:
            yield f"{at}.{name} is missing"


def _facility_faults(value: Any, *, whole: bool) -> Fault:
    if not isinstance(value, dict):
        yield "facilities must be a table or null"
        return
    for name, section in value.items():
        at = f"facilities.{one_line(name)}"
        yield from _section_faults(at, section, FACILITY, whole=whole)
        if isinstance(section, dict) and section.get("unit", "m") not in ("m", "min"):
            yield f"{at}.unit must be m or min"


def _part_faults(grids: Any) -> Fault:
    """The connected parts: how many households and grids each has."""
    parts = grids.get("parts") if isinstance(grids, dict) else None
    if not isinstance(parts, list):
        return
    right = {"part": 1, "households": 1, "k": 1}
    for each in parts:
        if not isinstance(each, dict) or not all(
            _is_int(each.get(key)) and each[key] >= least for key, least in right.items()
        ):
            yield "grids.parts must be tables with part, households and k, whole numbers from 1"
            return
    if not parts:
        yield "grids.parts is empty"


def _remark_faults(kind: str, remarks: Any, *, whole: bool) -> Fault:
    if not isinstance(remarks, list):
        yield f"{kind} must be a list"
        return
    for number, each in enumerate(remarks, start=1):
        at = f"{kind} {number}"
        if not _is_text_table(each, "code", "message") or not isinstance(each.get("ids"), list):
            yield f"{at} must be a table with code, message and ids"
            continue
        if not all(isinstance(one, str) for one in each["ids"]):
            yield f"{at}.ids must be text"
        for name, dtype in _REMARK.items():
            if name in each:
                yield from _value_faults(f"{at}.{name}", each[name], Figure(dtype, empty=False))  # type: ignore[arg-type]
            elif whole:
                yield f"{at}.{name} is missing"
        if whole and isinstance(each.get("layer"), str) and each["layer"] not in ("", *GLOSSARY):
            yield f"{at}.layer is none of ours: {one_line(repr(each['layer']))}"


def _value_faults(at: str, value: Any, figure: Figure) -> Fault:
    if value is None and figure.empty:
        return
    right = {
        "text": isinstance(value, str),
        "list": isinstance(value, list),
        "int": _is_int(value) and value >= 0,
        "float": _is_number(value) and value >= -_ROUNDING,
        "share": _is_number(value) and -_ROUNDING <= value <= 1 + _ROUNDING,
    }[figure.dtype]
    if not right:
        null = " or null" if figure.empty else ""
        found = one_line(json.dumps(value, ensure_ascii=False))
        yield f"{at} must be {_WHAT[figure.dtype]}{null}, not {found}"


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
