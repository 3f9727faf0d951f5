"""Which layer a name means, and which column a heading means: the contract's names and aliases."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from spatial.errors import Remark, fault, note, one_line
from spatial.load.mojibake import garbled, told_headings
from spatial.schema import LAYERS, PERSONAL_HEADINGS, Column

__all__ = [
    "Pair",
    "coordinate_headings",
    "guessed_columns",
    "layer_named",
    "match_columns",
    "nearest",
    "plain",
    "unread",
    "wkt_heading",
    "wrong_units",
]

#: How units are written in headings and cells, by the contract's unit.
UNIT_WORDS = {
    "m": ("m", "米", "metre", "metres", "meter", "meters"),
    "m2": ("m2", "㎡", "平方米", "平米"),
    "W": ("w", "瓦", "watt"),
    "lm": ("lm", "流明"),
    "deg": ("deg", "°", "度"),
    "CNY": ("cny", "元", "rmb"),
    "households": ("户",),
    "people": ("人", "口"),
    "storeys": ("层",),
}
_OTHER_UNITS = (
    "cm",
    "厘米",
    "mm",
    "毫米",
    "dm",
    "分米",
    "km",
    "公里",
    "千米",
    "ft",
    "英尺",
    "kw",
    "千瓦",
    "万元",
    "亩",
)

_DEGREES = (
    ("lon", "lng", "long", "longitude", "经度", "东经", "经度e", "经度x", "x经度", "wgs84lon", "gpslon"),
    ("lat", "latitude", "纬度", "北纬", "纬度n", "纬度y", "y纬度", "wgs84lat", "gpslat"),
)
_EAST_NORTH = (
    ("easting", "east", "东坐标", "横坐标", "东", "横坐标y", "y横坐标", "东坐标y", "y东坐标", "y东"),
    ("northing", "north", "北坐标", "纵坐标", "北", "纵坐标x", "x纵坐标", "北坐标x", "x北坐标", "x北"),
)
#: East and north to most programs, north and east to Chinese surveyors: the sizes tell.
_XY = (
    ("x", "x坐标", "坐标x", "pointx", "xcoord", "coordx"),
    ("y", "y坐标", "坐标y", "pointy", "ycoord", "coordy"),
)
#: Both in one cell, as phones copy them.
_TOGETHER = ("经纬度", "经纬坐标", "坐标", "lnglat", "lonlat", "latlng", "latlon", "coordinates", "location")
#: Words in a heading that say from where coordinates were taken, by datum.
_MAP_WORDS = {
    "wgs84": ("wgs84", "gps"),
    "cgcs2000": ("cgcs2000", "国家2000", "2000国家"),
    "gcj02": ("gcj02", "高德", "腾讯", "火星", "amap"),
    "bd09": ("bd09", "百度", "baidu"),
}
_WKT = ("wkt", "geometry", "geom", "thegeom", "几何")
_BRACKETED = re.compile(r"^([^(\[【]+)[(\[【](.*)[)\]】]$")
_OPEN_BRACKET = re.compile(r"[(（\[【][^)）\]】]*$")
_MOST_LISTED = 40


@dataclass(frozen=True)
class Pair:
    """The two headings that hold coordinates; one heading twice where a cell holds both."""

    x: str  # east or longitude
    y: str
    degrees: bool
    stated: bool = True  # which is which
    datum: str | None = None  # where the headings name a map or a system


def plain(name: str) -> str:
    """A name without case, width, spaces, underscores and hyphens."""
    return re.sub(r"[\s_\-]+", "", unicodedata.normalize("NFKC", name)).casefold()


def layer_named(name: str) -> str | None:
    """The contract layer that a file or table of this name holds, or None."""
    return _LAYER_NAMES.get(plain(name))


def nearest(name: str, known: Sequence[str]) -> str:
    """Help for someone who wrote ``name``: the layer it is an alias of, or the nearest known name."""
    meant = layer_named(name)
    if meant in known:
        return f"{name} is called {meant} here"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def match_columns(
    layer: str, headings: Sequence[str], *, named: Mapping[str, str], name_bytes: int | None = None
) -> tuple[dict[str, str], list[Remark]]:
    """Which heading holds which column of the contract.

    A heading named in the settings comes first, then the column's own name, its Chinese name
    and its aliases in their order; case, width, spaces, underscores and a unit in brackets do
    not matter, nor does it that headings were read in the wrong encoding once, if they can be mended.
    A heading serves one column.

    Parameters
    ----------
    layer : str
        Name in ``schema.LAYERS``.
    headings : sequence of str
        As they stand in the file.
    named : mapping
        ``[input.<layer>] columns``: our name → the file's heading; also ``x`` and ``y``.
    name_bytes : int, optional
        The format cuts longer headings: one of that length may be the beginning of a longer name, if
        it is that of one column only.

    Returns
    -------
    chosen : dict
        Our name → heading.
    remarks : list of Remark
        Faults: settings that name a column or a heading that does not exist, headings that are
        garbled beyond repair. Notes: headings that were cut or mended.
    """
    columns = LAYERS[layer].columns
    garble = garbled(headings)
    written = {garble.mended.get(each, each): each for each in reversed(headings)}
    named = {name: written.get(heading, heading) for name, heading in named.items()}
    remarks = _faults_of_named(layer, headings, named) + told_headings(layer, garble, named=bool(named))
    chosen = {name: heading for name, heading in named.items() if heading in headings}
    by_plain = _by_plain(headings)
    for spellings in (lambda c: (c.name,), lambda c: (c.zh,), lambda c: c.aliases):
        for column in columns:
            if column.name in chosen:
                continue
            found = (by_plain.get(plain(each)) for each in spellings(column))
            free = [each for each in found if each is not None and each not in chosen.values()]
            if free:
                chosen[column.name] = free[0]
    completed = {} if name_bytes is None else _completed(columns, headings, chosen, name_bytes)
    chosen |= {name: heading for name, (heading, _) in completed.items()}
    text = "heading {!r} is cut short and was read as {}"
    notes = [
        note("heading-cut", text.format(*cut), layer=layer, column=name)
        for name, cut in sorted(completed.items())
    ]
    return {key: chosen[key] for key in sorted(chosen)}, remarks + notes


def _by_plain(headings: Sequence[str]) -> dict[str, str]:
    """From the plain name that a heading has, once mended and without a bracket, to the heading."""
    garble = garbled(headings)
    found: dict[str, str] = {}
    for heading in headings:
        found.setdefault(plain(_without_bracket(garble.mended.get(heading, heading))), heading)
    return found


def _completed(
    columns: Sequence[Column], headings: Sequence[str], chosen: Mapping[str, str], name_bytes: int
) -> dict[str, tuple[str, str]]:
    """Columns whose heading is cut at ``name_bytes``: the heading, and what it must have been."""
    found: dict[str, tuple[str, str]] = {}
    free = [each for each in columns if each.name not in chosen]
    for heading in headings:
        begun = plain(_OPEN_BRACKET.sub("", heading))
        n_bytes = {len(heading.encode(codec, "replace")) for codec in ("utf-8", "gb18030")}
        cut = any(name_bytes - 3 < n <= name_bytes for n in n_bytes)  # the last character may be lost
        if heading in chosen.values() or not cut or not begun:
            continue
        bracketed = begun != plain(heading)
        meant = {
            column.name: spelling
            for column in free
            for spelling in (*reversed(column.aliases), column.zh, column.name)
            if (plain(spelling) == begun if bracketed else _is_begun(spelling, heading, name_bytes))
        }
        if len(meant) == 1:
            ((name, spelling),) = meant.items()
            found.setdefault(name, (heading, spelling))
    return found


def _is_begun(spelling: str, heading: str, name_bytes: int) -> bool:
    return len(spelling.encode("utf-8")) > name_bytes and spelling.casefold().startswith(heading.casefold())


def _faults_of_named(layer: str, headings: Sequence[str], named: Mapping[str, str]) -> list[Remark]:
    known = [each.name for each in LAYERS[layer].columns] + ["x", "y"]
    faults = [
        fault("column-unknown", f"settings name a column {name!r} that the contract has not", layer=layer,
              remedy=nearest(name, known))
        for name in named if name not in known
    ]  # fmt: skip
    return faults + [
        fault("heading-missing", f"settings name a heading {heading!r} that the file has not", layer=layer,
              column=name, remedy=f"its headings: {', '.join(headings[:12])}")
        for name, heading in named.items() if heading not in headings
    ]  # fmt: skip


def guessed_columns(layer: str, chosen: Mapping[str, str], *, named: Mapping[str, str]) -> tuple[str, ...]:
    """The columns whose heading is an alias: neither the contract's own name nor named in the settings."""
    return tuple(
        column.name
        for column in LAYERS[layer].columns
        if column.name in chosen
        and column.name not in named
        and plain(_without_bracket(chosen[column.name])) not in (plain(column.name), plain(column.zh))
    )


def wrong_units(layer: str, chosen: Mapping[str, str]) -> list[Remark]:
    """Faults for headings that state another unit than the contract's, as in 巷宽(cm)."""
    faults = []
    for column in LAYERS[layer].columns:
        inside = _bracket(chosen.get(column.name, ""))
        if inside in _OTHER_UNITS:
            faults.append(
                fault(
                    "unit-other",
                    f"heading {chosen[column.name]!r} states {inside}, expected {column.unit or 'no unit'}",
                    layer=layer,
                    column=column.name,
                    remedy=f"convert the values to {column.unit or 'plain numbers'}",
                )
            )
    return faults


def _bracket(heading: str) -> str:
    match = _BRACKETED.match(unicodedata.normalize("NFKC", heading).strip())
    return plain(match.group(2)) if match else ""


def _without_bracket(heading: str) -> str:
    match = _BRACKETED.match(unicodedata.normalize("NFKC", heading).strip())
    return match.group(1) if match else heading


def unread(layer: str, headings: Sequence[str], read: Sequence[str]) -> list[Remark]:
    """Notes that list the headings whose values were left in the file, personal ones apart."""
    rest = [each for each in headings if each not in read]
    personal = [each for each in rest if plain(_without_bracket(each)) in _PERSONAL]
    other = [each for each in rest if each not in personal]
    notes = []
    if personal:
        notes.append(note("personal-unread", f"personal columns not read: {_listed(personal)}", layer=layer))
    if other:
        notes.append(note("columns-unread", f"columns not read: {_listed(other)}", layer=layer))
    return notes


def _listed(headings: Sequence[str]) -> str:
    """All headings of a usual table, the first of hundreds."""
    more = f" … and {len(headings) - _MOST_LISTED} more" if len(headings) > _MOST_LISTED else ""
    return ", ".join(map(one_line, headings[:_MOST_LISTED])) + more


def coordinate_headings(headings: Sequence[str], named: Mapping[str, str]) -> Pair | None:
    """The columns of a table that hold coordinates: named in the settings, in degrees, or in metres."""
    if "x" in named and "y" in named:
        degrees = plain(_without_bracket(named["x"])) in _DEGREES[0]
        return _with_datum(Pair(named["x"], named["y"], degrees=degrees))
    by_plain = _by_plain(headings)
    for spellings in (_DEGREES, _EAST_NORTH, _XY):
        x, y = (next((by_plain[each] for each in names if each in by_plain), None) for names in spellings)
        if x is not None and y is not None:
            return _with_datum(Pair(x, y, degrees=spellings is _DEGREES, stated=spellings is not _XY))
    for words in _MAP_WORDS.values():
        of_map = {_without_words(each, words): each for each in reversed(headings)}
        x, y = (next((of_map[each] for each in names if each in of_map), None) for names in _DEGREES)
        if x is not None and y is not None:
            return _with_datum(Pair(x, y, degrees=True))
    both = next((by_plain[each] for each in _TOGETHER if each in by_plain), None)
    return None if both is None else Pair(both, both, degrees=False, stated=False)


def _with_datum(pair: Pair) -> Pair:
    """The pair with the datum that its headings name, as 百度经度 and 纬度(百度) do."""
    headings = plain(pair.x) + plain(pair.y)
    datums = [each for each, words in _MAP_WORDS.items() if any(word in headings for word in words)]
    return replace(pair, datum=datums[0]) if len(datums) == 1 else pair


def _without_words(heading: str, words: Sequence[str]) -> str:
    name = re.sub(r"[()\[\]【】:：]", "", plain(heading))
    return next((name.replace(each, "", 1) for each in words if each in name), name)


def wkt_heading(headings: Sequence[str]) -> str | None:
    """The column that holds whole geometries as well-known text."""
    return next((each for each in headings if plain(each) in _WKT), None)


def unit_words(column: Column) -> tuple[str, ...]:
    """How the unit of a column may be written behind a number."""
    return UNIT_WORDS.get(column.unit, ())


def _layer_names() -> dict[str, str]:
    names: dict[str, str] = {}
    for spellings in (lambda a: (a.name,), lambda a: (a.zh, a.en), lambda a: a.aliases):
        for layer in LAYERS.values():
            for each in spellings(layer):
                names.setdefault(plain(each), layer.name)
    return names


_LAYER_NAMES = _layer_names()
_PERSONAL = frozenset(plain(each) for each in PERSONAL_HEADINGS)
