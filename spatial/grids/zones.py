"""Zones and groups inside a large building: neighbours by unit (单元) and floor (楼层), evenly shared out.

The dwellings of a building follow each other by unit and, within a unit, by floor from below. Zones are
stretches of that order, groups are stretches of a zone. Which stretches are as even as can be is found
exactly: the least sum of squared households, by dynamic programming over the places of the cuts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from pandas import DataFrame

from spatial.errors import DataError, Remark, first_ids, note
from spatial.grids.levels import slots
from spatial.load import Site
from spatial.settings import Grids

__all__ = ["Zones", "even_stretches", "place_in_order", "refuse_unknown", "zone_buildings"]

_TENS = re.compile("([一二三四五六七八九])?(十)?([一二三四五六七八九])?")
_DIGIT = {digit: number for number, digit in enumerate("零一二三四五六七八九")}


@dataclass(frozen=True)
class Zones:
    """Who belongs to which zone and group, and the list of the groups.

    ``zone`` and ``zone_group`` are Int64 Series along the household rows, empty outside zoned buildings;
    ``table`` has the columns of the plan layer ``zones``.
    """

    zone: pd.Series
    zone_group: pd.Series
    table: DataFrame
    remarks: tuple[Remark, ...]


def zone_buildings(households: GeoDataFrame, site: Site, limits: Grids) -> Zones:
    """Divide large buildings into ``n_zones`` zones and ``n_zone_groups`` groups.

    Rows of one ``building_id`` are one building. With ``zone_buildings = "auto"`` those are divided that
    have at least twice ``max_households`` households and a unit or a floor in every row; else those that
    are named. The households of one unit and floor stay together; the parts of a split row follow each
    other. Zones are made even first, then the groups of each; a zone has at least one group, the first
    zones one more where the number does not divide, and never more than there are floors.

    Parameters
    ----------
    households : GeoDataFrame
        Rows of the plan: household_id, part, households, residents, elderly.

    Raises
    ------
    DataError
        A named building has no households.
    """
    rows = _rows(households, site)
    chosen, remarks = _chosen(rows, limits)
    order = ["building_id", "unit_key", "floor_key", "alone", "household_id", "part"]
    rows = rows[rows["building_id"].isin(chosen)].sort_values(order)
    rows["zone"] = rows["zone_group"] = 0
    for _, each in rows.groupby("building_id", sort=True):
        rows.loc[each.index, ["zone", "zone_group"]] = _divide(each, limits)
    numbers = rows[["zone", "zone_group"]].astype("Int64").reindex(households.index)
    return Zones(numbers["zone"], numbers["zone_group"], _table(rows), remarks)


def refuse_unknown(building_id: pd.Series, limits: Grids) -> None:
    """Refuse names of buildings that no household lives in.

    Raises
    ------
    DataError
    """
    named = () if isinstance(limits.zone_buildings, str) else limits.zone_buildings
    if missing := set(named) - set(building_id):
        raise DataError(
            f"grids.zone_buildings names {first_ids(missing)}, but no household has that building_id; "
            "correct the names or fill in building_id (楼栋编号) of the households"
        )


def even_stretches(sizes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Cut a sequence into n stretches with the least sum of squared totals.

    Parameters
    ----------
    sizes : int64, shape (m,)
        Households of each member, m at least n.

    Returns
    -------
    int64, shape (m,)
        Stretch of each member, 0 to n−1; of equal ways the one with the earliest last cuts.
    """
    upto = np.concatenate([[0], np.cumsum(sizes)])
    m = len(sizes)
    least = upto**2  # of the first members in one stretch
    cuts = np.zeros((n, m + 1), dtype=np.int64)
    for stretch in range(1, n):
        before = least
        least = np.full(m + 1, np.iinfo(np.int64).max)
        for end in range(stretch + 1, m + 1):
            ways = before[stretch:end] + (upto[end] - upto[stretch:end]) ** 2
            at = int(ways.argmin())
            least[end], cuts[stretch, end] = ways[at], stretch + at
    number = np.zeros(m, dtype=np.int64)
    end = m
    for stretch in range(n - 1, 0, -1):
        begin = cuts[stretch, end]
        number[begin:end] = stretch
        end = begin
    return number


def place_in_order(text: str | None, *, is_floor: bool = False) -> tuple[int, int, str]:
    """Where a unit or floor stands: by its first number, Chinese or not, others after them, empty last.

    A floor below the ground (``B1``, ``-1``, ``地下一层``, ``负一楼``) counts downwards.
    """
    if text is None or pd.isna(text):
        return 2, 0, ""
    word = str(text).strip()
    below = is_floor and (word.startswith(("-", "负", "地下")) or bool(re.match(r"[Bb]\s*\d", word)))
    number = _first_number(word)
    return (1, 0, word) if number is None else (0, -number if below else number, word)


def _first_number(word: str) -> int | None:
    if found := re.search(r"\d+", word):
        return int(found.group())
    for found in _TENS.finditer(word):
        tens, ten, ones = found.groups()
        if ten:
            return 10 * _DIGIT[tens or "一"] + _DIGIT[ones or "零"]
        if tens:
            return _DIGIT[tens]
    return None


def _rows(households: GeoDataFrame, site: Site) -> DataFrame:
    """Household rows with their building and their place in its order; the index is kept."""
    columns = ["household_id", "part", "households", "residents", "elderly"]
    rows = DataFrame(households[columns])
    known = site.layer("households").set_index("household_id")
    for name in ("building_id", "unit", "floor"):
        rows[name] = rows["household_id"].map(known[name])
    rows["unit_key"] = _ranks(rows["unit"], is_floor=False)
    rows["floor_key"] = _ranks(rows["floor"], is_floor=True)
    rows["alone"] = (rows["part"] > 0) | (rows["unit"].isna() & rows["floor"].isna())
    return rows


def _ranks(texts: pd.Series, *, is_floor: bool) -> NDArray[np.int64]:
    """The place of each text among all of them."""
    names = texts.astype(object).where(texts.notna(), None)
    places = {each: place_in_order(each, is_floor=is_floor) for each in names.unique()}
    rank = {place: at for at, place in enumerate(sorted(set(places.values())))}
    return names.map(lambda each: rank[places[each]]).to_numpy(dtype=np.int64)


def _chosen(rows: DataFrame, limits: Grids) -> tuple[list[str], tuple[Remark, ...]]:
    """Ids of the buildings to divide."""
    total = rows.groupby("building_id")["households"].sum()
    if limits.zone_buildings == "off":
        return [], ()
    if limits.zone_buildings != "auto":
        refuse_unknown(rows["building_id"], limits)
        return list(limits.zone_buildings), ()
    large = total.index[total >= 2 * limits.max_households]
    blank = rows["unit"].isna() & rows["floor"].isna()
    unclear = large.intersection(rows["building_id"][blank].unique())
    told = note(
        "zones-unclear",
        f"{len(unclear)} buildings of {2 * limits.max_households} households or more have rows without unit "
        "and floor, so they are not divided into zones",
        layer="households",
        column="unit",
        ids=unclear,
        remedy="fill in unit (单元) and floor (楼层), or name them in grids.zone_buildings",
    )
    return list(large.difference(unclear)), (told,) if len(unclear) else ()


def _divide(rows: DataFrame, limits: Grids) -> NDArray[np.int64]:
    """Zone and group of each row of one building, in order; shape (n, 2)."""
    place = rows[["unit_key", "floor_key", "alone"]].to_numpy(np.int64)
    fresh = rows["alone"].to_numpy(bool) | np.r_[True, (place[1:] != place[:-1]).any(axis=1)]
    floor = np.cumsum(fresh) - 1
    sizes = np.bincount(floor, rows["households"].to_numpy(dtype=np.int64)).astype(np.int64)
    n_zones = min(limits.n_zones, len(sizes))
    zone = even_stretches(sizes, n_zones)
    group = np.zeros_like(zone)
    for each, n in enumerate(slots(limits.n_zone_groups, n_zones)):
        own = np.flatnonzero(zone == each)
        group[own] = even_stretches(sizes[own], min(int(n), len(own)))
    return np.column_stack([zone, group])[floor] + 1


def _table(rows: DataFrame) -> DataFrame:
    """One line for each group: where it begins and ends, and who lives there."""
    groups = rows.groupby(["building_id", "zone", "zone_group"], sort=False)
    table = groups[["households", "residents", "elderly"]].sum(min_count=1).reset_index()
    for end, at in (("from", 0), ("to", -1)):
        table[[f"{end}_unit", f"{end}_floor"]] = groups[["unit", "floor"]].nth(at).to_numpy()
    both = list(zip(table["zone"], table["zone_group"], strict=True))
    return table.assign(
        name=[f"{zone}区{group}组" for zone, group in both],
        name_en=[f"Zone {zone} Group {group}" for zone, group in both],
    )
