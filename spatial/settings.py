"""The settings of a plan: typed, units in their names, read from and written to ``plan.toml``.

Every key has a default, so an empty file is a plan with the usual settings. A key that is not
known is refused with the nearest one that is.
"""

from __future__ import annotations

import datetime
import difflib
import itertools
import re
import stat
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spatial.errors import DataError, Remark, fault, one_line

__all__ = ["Effort", "Settings", "examine_settings", "read_settings", "settings_toml"]

#: A settings file is written by hand; its reader takes gigabytes for a key of thousands of parts.
_MOST_BYTES, _MOST_DOTS = 64_000, 500

Effort = Literal["quick", "normal", "thorough"]
Datum = Literal["wgs84", "cgcs2000", "gcj02", "bd09"]

# Numbers are never taken from text, truth or rounding. The upper limits are far beyond any community; where
# a length drives the work, its field has a limit of its own.
Count = Annotated[int, Field(ge=0, le=10**7, strict=True)]
Positive = Annotated[int, Field(ge=1, le=10**7, strict=True)]
NonNegative = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False, strict=True)]
AboveZero = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]


class Section(BaseModel):
    """A table of ``plan.toml``: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Community(Section):
    """``[community]``: what stands in titles and codes."""

    name: str | None = None
    name_en: str | None = None
    town: str | None = None
    code: str = ""
    date: datetime.date | None = None
    branch_names: tuple[str, ...] = ()

    @field_validator("code")
    @classmethod
    def _of_divisions(cls, value: str) -> str:
        if not re.fullmatch("[0-9A-Za-z-]{0,24}", value):
            raise ValueError("must be digits, or letters and hyphens, at most 24")
        return value


class InputLayer(Section):
    """``[input.<layer>]``: where a layer is and how to read it, when its name does not say."""

    file: str | None = None
    layer: str | None = None
    crs: str | None = None
    datum: Datum | None = None
    swap_xy: bool = False  # the file holds north first, then east
    band: Positive | None = None  # of a raster, 1 is the first
    encoding: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)  # our name -> the file's name
    #: Of sites whose row does not say, as those of a drawing never do.
    status: Literal["candidate", "existing", "required", "forbidden"] | None = None


class Input(Section):
    """``[input]``: limits of reading, and one table per layer."""

    max_access_m: Annotated[AboveZero, Field(le=10_000)] = 100.0
    snap_m: Annotated[NonNegative, Field(le=20)] = 0.5
    crs: str | None = None
    datum: Datum | None = None
    layers: dict[str, InputLayer] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather_layers(cls, value: Any) -> Any:
        """``[input.alleys]`` is written beside the limits and kept under ``layers``."""
        if not isinstance(value, dict) or "layers" in value:
            return value
        plain = {key: each for key, each in value.items() if not isinstance(each, dict)}
        layers = {key: each for key, each in value.items() if isinstance(each, dict)}
        return {**plain, "layers": layers} if layers else plain


class Grids(Section):
    """``[grids]``: sizes, number and structure of the grids."""

    min_households: Positive = 30
    max_households: Positive = 50
    target_households: Positive = 40
    n_grids: Positive | None = None
    group_cost_m: NonNegative = 100.0
    split_buildings: bool = True
    n_branches: Positive = 3
    n_workers: Positive = 8
    nest_workers: bool = True
    meeting_at: Literal["any", "party_household"] = "any"
    zone_buildings: Literal["auto", "off"] | tuple[str, ...] = "auto"  # or building ids
    n_zones: Positive = 2  # of a building
    n_zone_groups: Positive = 12  # of a building, all zones together

    @model_validator(mode="after")
    def _sizes_in_order(self) -> Grids:
        if not self.min_households <= self.target_households <= self.max_households:
            raise ValueError(
                f"min_households {self.min_households}, target_households {self.target_households} and "
                f"max_households {self.max_households} must not decrease in this order"
            )
        if self.n_zone_groups < self.n_zones:
            raise ValueError(f"n_zone_groups {self.n_zone_groups} is less than n_zones {self.n_zones}")
        return self


class Lamps(Section):
    """``[lamps]``: how many or for how much money, to what end, by which model of light."""

    n_lamps: Count | None = 150  # with a budget and no number: as many as it pays for
    budget_cny: NonNegative | None = None
    goal: Literal["most-lit", "fewest"] = "most-lit"
    share_of_lightable: Share = 1.0
    model: Literal["reach", "lux"] = "reach"
    reach_m: Annotated[AboveZero, Field(le=200)] = 15.0
    line_of_sight: bool = True
    weight: Literal["plain", "way-home", "elderly", "junctions"] = "plain"
    weight_times: Annotated[float, Field(ge=1, le=1000, strict=True)] = 3.0  # of elderly and junctions
    apart_m: NonNegative = 0.0

    @model_validator(mode="before")
    @classmethod
    def _money_instead(cls, value: Any) -> Any:
        """A budget alone takes the place of the usual number."""
        if isinstance(value, dict) and value.get("budget_cny") is not None:
            return {"n_lamps": None, **value}
        return value

    @model_validator(mode="after")
    def _one_end(self) -> Lamps:
        if self.goal == "fewest" and self.budget_cny is not None:
            raise ValueError("budget_cny has no meaning with goal = fewest; leave one of them out")
        return self

    @property
    def most_lamps(self) -> int | None:
        """The largest number of new lamps, required ones included; None: no limit but money or the goal."""
        return None if self.goal == "fewest" else self.n_lamps


class Boards(Section):
    """``[boards]``: how many notice boards, within which walk."""

    n_boards: Count = 20
    walk_m: AboveZero = 150.0
    goal: Literal["least-walk", "most-served"] = "least-walk"
    one_per_grid: bool = False
    apart_m: NonNegative = 0.0
    lit_at_night: Literal["off", "prefer", "require"] = "off"


class Facility(Section):
    """``[facility.<name>]``: any other point facility, sited by the same code."""

    candidates: str
    demand: str = "households"
    n: Positive = 1
    goal: Literal["least-walk", "most-served"] = "least-walk"
    walk_m: AboveZero | None = None
    walk_min: AboveZero | None = None
    capacity: str | Positive | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Facility:
        if self.walk_m is not None and self.walk_min is not None:
            raise ValueError("give walk_m or walk_min, not both")
        return self


class Light(Section):
    """``[light]``: the luminaire and what it has to reach."""

    luminaire: str = "built-in"
    flux_lm: AboveZero | None = None  # None: as the luminaire file says
    maintenance_factor: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.7
    min_lx: NonNegative = 0.6
    mean_lx: NonNegative = 3.0
    height_m: AboveZero = 4.5
    rows: Annotated[Positive, Field(le=100)] = 3
    step_m: Annotated[AboveZero, Field(ge=0.05)] = 1.0
    dimming: Annotated[float, Field(gt=0, le=1, strict=True)] | None = None


class Works(Section):
    """``[works]``: what is built in which quarter."""

    quarters: tuple[str, ...] = ()
    budget_cny: NonNegative | None = None  # per quarter
    metres: NonNegative | None = None  # of paving per quarter
    prices: dict[str, NonNegative] = Field(default_factory=dict)
    pave_width_m: AboveZero | None = None
    min_clear_m: NonNegative | None = None


class Sites(Section):
    """``[sites]``: candidates made along the alleys where none are given."""

    spacing_m: Annotated[AboveZero, Field(ge=0.5, le=1000)] = 10.0


class Public(Section):
    """``[public]``: what a page for residents may show."""

    smallest_count: Count = 5
    door_numbers: bool = False
    comments_url: Annotated[str, Field(max_length=300)] | None = None  # where residents may send comments

    @field_validator("comments_url")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        """Whole, of the web, in the characters an address may have (RFC 3986): others as percent signs."""
        if value is not None and not re.fullmatch(
            r"https?://[A-Za-z0-9\[][A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*", value
        ):
            raise ValueError("must be an address that begins with https:// or http://, without spaces")
        return value


class Work(Section):
    """``[work]``: limits of work, counted in steps and never in seconds."""

    effort: Effort = "normal"
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)] = 1
    threads: Annotated[Positive, Field(le=1024)] | Literal["all"] = "all"


class Settings(Section):
    """All settings of a plan. Same files, settings and seed: same plan."""

    community: Community = Community()
    input: Input = Input()
    grids: Grids = Grids()
    lamps: Lamps = Lamps()
    boards: Boards = Boards()
    facility: dict[str, Facility] = Field(default_factory=dict)
    light: Light = Light()
    works: Works = Works()
    sites: Sites = Sites()
    public: Public = Public()
    work: Work = Work()

    def to_dict(self) -> dict[str, Any]:
        """Plain values as they stand in ``plan.toml`` and ``summary.json``; unset keys left out."""
        plain = self.model_dump(mode="json", exclude_none=True)
        plain["input"] |= plain["input"].pop("layers")
        return plain


def read_settings(path: Path | None = None, *, overrides: Sequence[str] = ()) -> Settings:
    """Read ``plan.toml`` and apply ``section.key=value`` overrides on top.

    Parameters
    ----------
    path : Path, optional
        A TOML file. None: every default.
    overrides : sequence of str
        As given to ``--set``; the value is read as TOML, else taken as text.

    Raises
    ------
    DataError
        The file is no TOML, a key is unknown, a value has the wrong type or breaks a limit.
        All such faults are told together.
    """
    settings, faults = examine_settings(path, overrides=overrides)
    if faults:
        source = path.name if path is not None else "the settings"
        raise DataError(f"{source} can't be used", faults)
    return settings


def examine_settings(
    path: Path | None = None, *, overrides: Sequence[str] = ()
) -> tuple[Settings, tuple[Remark, ...]]:
    """The settings with the default in place of each that can't be used, and a fault for each of those."""
    faults: list[Remark] = []
    table: dict[str, Any] = {}
    try:
        table = _read_toml(path) if path is not None else {}
    except DataError as error:
        faults.append(fault("settings-unreadable", str(error)))
    for each in overrides:
        try:
            _override(table, each)
        except DataError as error:
            faults.append(fault("setting-unreadable", str(error)))
    while True:
        try:
            return Settings.model_validate(table), tuple(faults)
        except ValidationError as error:
            errors = error.errors()
            for key, several in itertools.groupby(errors, key=_dotted):
                faults.append(_fault(key, list(several)))
            for wrong in errors:
                _drop(table, [str(part) for part in wrong["loc"]])


def settings_toml(settings: Settings) -> str:
    """The settings as the text of a ``plan.toml`` that reads back the same."""
    return tomli_w.dumps(settings.to_dict())


def _read_toml(path: Path) -> dict[str, Any]:
    what = f"settings file {path.name}"
    text = ""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise DataError(
                f"{what} is not a plain file; make it a text file, or delete it for every default"
            )
        if about.st_size > _MOST_BYTES:
            raise DataError(
                f"{what} has more than {_MOST_BYTES:,} bytes; `alleyplan init` writes a fresh one"
            )
        text = path.read_text(encoding="utf-8-sig")
        if max(line.count(".") for line in text.split("\n")) > _MOST_DOTS:
            raise DataError(f"{what} has a key of more than {_MOST_DOTS} parts; shorten it")
        return tomllib.loads(text)
    except UnicodeDecodeError:
        raise DataError(f"{what} is not UTF-8 text (GBK perhaps); save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{what} is not valid TOML: {error}{_quoted_line(text, str(error))}") from None
    except (ValueError, RecursionError) as error:  # also of a number with thousands of digits
        raise DataError(f"{what} is not valid TOML: {one_line(error)}") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        reason = getattr(error, "strerror", None) or "a loop of links"
        raise DataError(f"{what} can't be read: {reason}") from None


def _quoted_line(text: str, reason: str) -> str:
    """The line that a parser complains about, so that a key that stands twice is named."""
    at, lines = re.search(r"at line (\d+)", reason), text.rstrip().splitlines()
    number = int(at.group(1)) if at is not None else len(lines)
    return f": {one_line(lines[number - 1].strip())}" if 1 <= number <= len(lines) else ""


def _drop(table: dict[str, Any], where: Sequence[str]) -> None:
    """Take the value that a fault is about out of ``table``, or the table that lacks it."""
    path = [each for each in where if each != "layers"]
    last = path[0]
    for key in path[1:]:
        if not isinstance(table.get(last), dict) or key not in table[last]:
            break
        table, last = table[last], key
    table.pop(last, None)


def _override(table: dict[str, Any], text: str) -> None:
    """Put one ``section.key=value`` into ``table``."""
    dotted, equals, raw = text.partition("=")
    keys = [each.strip() for each in dotted.split(".")]
    if not equals or len(keys) < 2 or not all(keys):
        raise DataError(f"--set takes section.key=value, for example lamps.n_lamps=120; got {text!r}")
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise DataError(f"--set {text!r}: {key} is a value, not a section")
    table[keys[-1]] = _value(raw.strip())


def _value(raw: str) -> Any:
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except (ValueError, RecursionError):
        return raw


def _dotted(error: Any) -> str:
    """The key that a pydantic error is about, as it is written with ``--set``."""
    where = [str(each) for each in error["loc"]]
    # where several types are allowed, pydantic names the one it tried behind the key
    return ".".join(each for each in where if each != "layers" and not re.match(r"constrained-|\w+\[", each))


#: What pydantic expects, by the type of its error, in words for people who write ``plan.toml``.
_EXPECTED = {
    "missing": "must be given",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": 'must be text, "…"',
    "string_too_long": "must have at most {max_length} characters",
    "literal_error": "must be {expected}",
    "tuple_type": 'must be a list, ["…", "…"]',
    "dict_type": "must be a table of settings",
    "model_type": "must be a table of settings",
    "model_attributes_type": "must be a table of settings",
    "date_type": "must be a date such as 2026-05-01",
    "date_parsing": "must be a date such as 2026-05-01",
    "date_from_datetime_parsing": "must be a date such as 2026-05-01",
    "date_from_datetime_inexact": "must be a date such as 2026-05-01",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:,.15g} or less",
}


def _fault(key: str, errors: Sequence[Any]) -> Remark:
    """What pydantic says of one key as a fault: what was expected and what was found."""
    error = errors[0]
    if error["type"] == "extra_forbidden":
        return fault(
            "setting-unknown", "is not a known setting", column=one_line(key), remedy=_nearest(error["loc"])
        )
    expected = [*dict.fromkeys(_expected(each) for each in errors)]  # one for each type that is allowed
    message = " or ".join([expected[0], *(each.removeprefix("must be ") for each in expected[1:])])
    found = error.get("input")
    if isinstance(found, str | int | float) and error["type"] != "missing":
        message += f", got {_as_toml(found)}"
    return fault("setting-refused", message, column=one_line(key))


def _expected(error: Any) -> str:
    words = _EXPECTED.get(error["type"])
    if words is not None:
        return words.format(**error.get("ctx", {}))
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return message[0].lower() + message[1:]


def _as_toml(value: str | int | float) -> str:
    """A value as it is written in ``plan.toml``."""
    return one_line(tomli_w.dumps({"": value}).partition(" = ")[2].strip())


def _nearest(where: Sequence[Any]) -> str:
    """Help for a key that is not known: the nearest that is, or the table it belongs in."""
    *table, key = map(str, where)
    known = _known_keys(table)
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    homes = [name for name in Settings.model_fields if key in _known_keys((name,))]
    if homes:
        return f"it belongs under [{homes[0]}]"
    if table == ["input"]:
        remedy += "; what is about one layer stands in a table of its own, as [input.alleys]"
    return remedy


def _known_keys(where: Iterable[str]) -> list[str]:
    model: Any = Settings
    for key in where:
        if key in ("facility", "layers"):
            model = {"facility": Facility, "layers": InputLayer}[key]
            continue
        field = getattr(model, "model_fields", {}).get(key)
        if field is not None:
            model = field.annotation
    return sorted(set(getattr(model, "model_fields", {})) - {"layers"})
