"""Zones and groups of large buildings recounted: who is in which, in what order, and how even they are.

The order of the dwellings is read from unit and floor anew. That the groups are as even as can be is
recounted by trying every end of the first stretch, remembered per beginning; which of equally even ways
was taken is left to the plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import accumulate

import pandas as pd
from pandas import DataFrame

from spatial.audit.book import Book
from spatial.audit.compare import column_differs, rows_that
from spatial.errors import Remark, fault

__all__ = ["least_squares", "storey", "zone_faults"]

_NUMERAL = re.compile("[一二三四五六七八九]?十[一二三四五六七八九]?|[一二三四五六七八九]")


def zone_faults(book: Book) -> Iterator[Remark]:
    """Buildings divided that should not be, or not divided that should; groups that are not in order, not
    as even as can be, or listed with other figures than those of their households."""
    rows = _rows(book)
    asked = _asked(book, rows)
    inside = rows["building_id"].isin(asked)
    for name in ("zone", "zone_group"):
        wrong = rows[name].notna() != inside
        text = "are in a zone and should not be, or the other way round"
        yield from rows_that(wrong, rows["household_id"], "zone-astray", text, at=f"households.{name}")
        if wrong.any():
            return
    divided = rows[inside]
    for building, dwellings in divided.groupby("building_id"):
        for told in _building_faults(book, dwellings):
            yield fault("zones-wrong", told, layer="zones", column="zone_group", ids=[building])
    yield from _table_faults(book, divided)


def storey(text: object) -> tuple[int, float, str]:
    """The height of a floor: numbers from below the ground upwards, then what has no number, then none."""
    if not isinstance(text, str):
        return 2, 0.0, ""
    level = _number(text)
    if level is None:
        return 1, 0.0, text.strip()
    below = re.match(r"-|负|地下|[Bb]\s*\d", text.strip())
    return 0, -level if below else level, text.strip()


def least_squares(sizes: tuple[int, ...], n: int) -> int:
    """The least sum of squared totals of n stretches of a sequence."""

    upto = [0, *accumulate(sizes)]

    @cache
    def best(begin: int, left: int) -> int:
        if left == 1:
            return (upto[-1] - upto[begin]) ** 2
        ends = range(begin + 1, len(sizes) - left + 2)
        return min((upto[end] - upto[begin]) ** 2 + best(end, left - 1) for end in ends)

    return best(0, n)


def _entrance(text: object) -> tuple[int, float, str]:
    """The place of a unit: by number, then what has none, then none."""
    if not isinstance(text, str):
        return 2, 0.0, ""
    number = _number(text)
    return (1, 0.0, text.strip()) if number is None else (0, number, text.strip())


def _number(text: str) -> float | None:
    """The first number in a text, in figures or up to 99 in Chinese."""
    if figures := re.findall(r"\d+", text):
        return int(figures[0])
    if not (numeral := _NUMERAL.search(text)):
        return None
    tens, ten, ones = numeral.group().rpartition("十")
    value = {digit: at for at, digit in enumerate("一二三四五六七八九", start=1)}
    return (value.get(tens, 1) * 10 if ten else 0) + value.get(ones, 0)


def _rows(book: Book) -> DataFrame:
    """Household rows of the plan with building, unit and floor of site.gpkg."""
    known = book.site.layer("households")[["household_id", "building_id", "unit", "floor"]]
    rows = DataFrame(book.layers["households"]).drop(columns="geometry")
    return rows.merge(known, on="household_id", how="left")


def _asked(book: Book, rows: DataFrame) -> set[str]:
    """The buildings that are to be divided."""
    limits = book.settings.grids
    if limits.zone_buildings == "off":
        return set()
    if limits.zone_buildings != "auto":
        return set(limits.zone_buildings)
    large = {
        name
        for name, each in rows.groupby("building_id")
        if each["households"].sum() >= 2 * limits.max_households
        and (each["unit"].notna() | each["floor"].notna()).all()
    }
    return {str(each) for each in large}


def _building_faults(book: Book, rows: DataFrame) -> Iterator[str]:
    """What is wrong with the zones and groups of one building."""
    limits = book.settings.grids
    floors: dict[tuple[object, ...], list[tuple[int, int, int]]] = {}
    for each in rows.itertuples(index=False):
        by_itself = each.part > 0 or not (isinstance(each.unit, str) or isinstance(each.floor, str))
        place = (_entrance(each.unit), storey(each.floor), *((each.household_id, each.part) * by_itself))
        floors.setdefault(place, []).append((int(each.zone), int(each.zone_group), int(each.households)))
    groups = [(zone, group) for at in sorted(floors) for zone, group, _ in floors[at]]
    if any(len({each[:2] for each in floor}) > 1 for floor in floors.values()):
        yield "dwellings of one floor are in several groups"
        return
    if groups != sorted(groups):
        yield "groups don't follow each other by unit and floor"
        return
    order = [(*floors[at][0][:2], sum(each[2] for each in floors[at])) for at in sorted(floors)]
    n_zones = min(limits.n_zones, len(order))
    if sorted({zone for zone, _, _ in order}) != list(range(1, n_zones + 1)):
        yield f"there should be zones 1 to {n_zones}"
        return
    zones = [sum(size for zone, _, size in order if zone == at + 1) for at in range(n_zones)]
    if sum(each**2 for each in zones) > least_squares(tuple(each[2] for each in order), n_zones):
        yield f"zones of {', '.join(map(str, zones))} households are not as even as can be"
    for at in range(n_zones):
        own = [(group, size) for zone, group, size in order if zone == at + 1]
        n = min((limits.n_zone_groups + n_zones - 1 - at) // n_zones, len(own))
        if sorted({group for group, _ in own}) != list(range(1, n + 1)):
            yield f"zone {at + 1} should have groups 1 to {n}"
            continue
        totals = [sum(size for group, size in own if group == each + 1) for each in range(n)]
        if sum(each**2 for each in totals) > least_squares(tuple(size for _, size in own), n):
            yield f"groups of {', '.join(map(str, totals))} households are not as even as can be"


def _table_faults(book: Book, rows: DataFrame) -> Iterator[Remark]:
    """The list of groups against the households in them."""
    said, keys = book.layers["zones"], ["building_id", "zone", "zone_group"]
    ids = said["building_id"] + " " + said["name"].fillna("")
    groups = {tuple(key): each for key, each in rows.groupby(keys)}
    listed = [tuple(each) for each in said[keys].itertuples(index=False)]
    if sorted(listed) != sorted(groups):
        text = f"{len(listed)} groups are listed, the households are in {len(groups)}"
        yield fault("rows-differ", text, layer="zones", column="zone_group")
        return
    for name in ("households", "residents", "elderly"):
        own = [groups[each][name].sum(min_count=1) for each in listed]
        yield from column_differs(f"zones.{name}", ids, said[name], own)
    for name, place in (("unit", _entrance), ("floor", storey)):
        for column, at in ((f"from_{name}", 0), (f"to_{name}", -1)):
            ends = [_dwellings(groups[each])[at][name == "floor"] for each in listed]
            own = pd.Series([place(each) for each in ends])
            wrong = pd.Series([place(each) for each in said[column]]) != own
            text = "begin or end elsewhere than their households"
            yield from rows_that(wrong, ids, "figure-differs", text, at=f"zones.{column}")
    both = list(zip(said["zone"], said["zone_group"], strict=True))
    names = {"name": [f"{a}区{b}组" for a, b in both], "name_en": [f"Zone {a} Group {b}" for a, b in both]}
    for column, own in names.items():
        yield from column_differs(f"zones.{column}", ids, said[column], own, text=True)


def _dwellings(rows: DataFrame) -> list[tuple[object, object]]:
    """Unit and floor of all dwellings of a group in their order."""
    both = zip(rows["unit"], rows["floor"], strict=True)
    return sorted(both, key=lambda each: (_entrance(each[0]), storey(each[1])))
