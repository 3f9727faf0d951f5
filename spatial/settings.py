"""The settings of a plan: typed, units in their names, read from and written to ``plan.toml``.

Every key has a default, so an empty file is a plan with the usual settings. A key that is not
known is refused with the nearest one that is.
"""

from __future__ import annotations

import datetime
import difflib
import re
import stat
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spatial.errors import DataError

__all__ = ["Effort", "Settings", "read_settings", "settings_toml"]

#: A settings file is written by hand; its reader takes gigabytes for a key of thousands of parts.
_MOST_BYTES, _MOST_DOTS = 64_000, 500

Effort = Literal["quick", "normal", "thorough"]
Datum = Literal["wgs84", "cgcs2000", "gcj02", "bd09"]

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
AboveZero = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A table of ``plan.toml``: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Community(Section):
    """``[community]``: what stands in titles and codes."""

    name: str | None = None
    name_en: str | None = None
    town: str | None = None
    code: Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{0,24}$")] = ""
    date: datetime.date | None = None
    branch_names: tuple[str, ...] = ()


class InputLayer(Section):
    """``[input.<layer>]``: where a layer is and how to read it, when its name does not say."""

    file: str | None = None
    layer: str | None = None
    crs: str | None = None
    datum: Datum | None = None
    swap_xy: bool = False  # the file holds north first, then east
    encoding: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)  # our name -> the file's name


class Input(Section):
    """``[input]``: limits of reading, and one table per layer."""

    max_access_m: AboveZero = 100.0
    snap_m: NonNegative = 0.5
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
    reach_m: AboveZero = 15.0
    line_of_sight: bool = True
    weight: Literal["plain", "way-home", "elderly", "junctions"] = "plain"
    weight_times: Annotated[float, Field(ge=1, le=1000)] = 3.0  # of elderly and junctions
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
    capacity: str | int | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Facility:
        if self.walk_m is not None and self.walk_min is not None:
            raise ValueError("give walk_m or walk_min, not both")
        return self


class Light(Section):
    """``[light]``: the luminaire and what it has to reach."""

    luminaire: str = "built-in"
    flux_lm: AboveZero | None = None  # None: as the luminaire file says
    maintenance_factor: Annotated[float, Field(gt=0, le=1)] = 0.7
    min_lx: NonNegative = 0.6
    mean_lx: NonNegative = 3.0
    height_m: AboveZero = 4.5
    rows: Positive = 3
    step_m: AboveZero = 1.0
    dimming: Annotated[float, Field(gt=0, le=1)] | None = None


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

    spacing_m: AboveZero = 10.0


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
    seed: Count = 1
    threads: Positive | Literal["all"] = "all"


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
    table = _read_toml(path) if path is not None else {}
    for each in overrides:
        _override(table, each)
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        source = path.name if path is not None else "the settings"
        raise DataError(f"{source} can't be used", [_sentence(each) for each in error.errors()]) from None


def settings_toml(settings: Settings) -> str:
    """The settings as the text of a ``plan.toml`` that reads back the same."""
    return tomli_w.dumps(settings.to_dict())


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"settings file {path.name} is not a plain file")
        if about.st_size > _MOST_BYTES:
            raise DataError(f"settings file {path.name} has more than {_MOST_BYTES:,} bytes; shorten it")
        text = path.read_text(encoding="utf-8-sig")
        if max(line.count(".") for line in text.split("\n")) > _MOST_DOTS:
            raise DataError(
                f"settings file {path.name} has a key of more than {_MOST_DOTS} parts; shorten it"
            )
        return tomllib.loads(text)
    except OSError as error:
        raise DataError(f"settings file {path.name} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"settings file {path.name} is not UTF-8 text; save it as UTF-8") from None
    except (ValueError, RecursionError) as error:  # also of a number with thousands of digits
        raise DataError(f"settings file {path.name} is not valid TOML: {error}") from None


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


def _sentence(error: Any) -> str:
    """One pydantic error as a sentence with the key, what was expected and what was found."""
    where = tuple(str(each) for each in error["loc"])
    dotted = ".".join(each for each in where if each != "layers")
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(where[-1], _known_keys(where[:-1]), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(_known_keys(where[:-1]))}"
        return f"{dotted} is not a known setting{hint}"
    message = error["msg"].removeprefix("Value error, ")
    found = error.get("input")
    shown = f", got {found!r}" if isinstance(found, str | int | float | bool) else ""
    return f"{dotted}: {message[0].lower()}{message[1:]}{shown}"


def _known_keys(where: Iterable[str]) -> list[str]:
    model: Any = Settings
    for key in where:
        if key in ("facility", "layers"):
            model = {"facility": Facility, "layers": InputLayer}[key]
            continue
        field = getattr(model, "model_fields", {}).get(key)
        if field is not None:
            model = field.annotation
    return sorted(getattr(model, "model_fields", {}))
