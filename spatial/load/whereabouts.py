"""Whether the layers lie together, and which statement would put a lost one among the others.

A layer alone shows only what can't be: degrees called metres, a zone it has no place in. Beside the
others it shows more, since few systems put its numbers where they are: the remedy is then
written out, ready for ``plan.toml``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyproj
import shapely

from spatial.crs import compass, coordinate_change, crs_name, lon_lat_of
from spatial.errors import DataError, Remark, doubt, fault
from spatial.load.facts import LayerFacts

__all__ = ["Box", "fitting_setting", "lost_layers"]

#: Layers may lie this far from the others before a wrong zone is suspected. [m]
_APART_M = 1000.0
#: A lost layer that a system puts this near the others has found its place. [m]
_AMONG_M = 3000.0
_DEGREE_M = 111_000.0
#: What may well lie outside a community, as a transformer or a railway; all others refuse the plan.
_MAY_LIE_APART = frozenset(("barriers", "places", "power_points", "vacant_buildings", "elevation"))
#: What is told of these layers when they lie together, and follows from their lying apart.
_FOLLOWS = {"alleys-incomplete": ("alleys", "households"), "household-outside": ("boundary", "households")}
_PLACED_FIRST = ("alleys", "households", "buildings", "boundary")


@dataclass(frozen=True)
class Box:
    """Where a layer lies, without its outermost rows. [degrees, WGS 84]"""

    west: float
    south: float
    east: float
    north: float

    def away_m(self, other: Box) -> tuple[float, float]:
        """How far east and north this box lies of another, 0 where they overlap; near enough."""
        narrow = math.cos(math.radians((self.south + other.north) / 2))
        east = max(self.west - other.east, 0.0) - max(other.west - self.east, 0.0)
        north = max(self.south - other.north, 0.0) - max(other.south - self.north, 0.0)
        return east * narrow * _DEGREE_M, north * _DEGREE_M


def lost_layers(facts: Sequence[LayerFacts], remarks: Iterable[Remark]) -> list[Remark]:
    """The remarks, each on a system with its remedy written out where the others show it.

    Layers that lie more than a kilometre from most others are told as well.
    """
    boxes = {each.layer: box for each in facts if (box := _box(each)) is not None}
    lots = _together(boxes)
    told = list(remarks)
    if not lots:
        return told
    main, middles = lots[0], {each.layer: _middle(each) for each in facts}
    systems = [each.crs for each in facts if each.layer in main and each.crs is not None]
    home = _around(boxes[each] for each in main)
    told = [
        replace(each, remedy=found)
        if each.code in ("crs-missing", "crs-misfit")
        and each.layer in middles
        and (found := _way_home(each.layer, middles[each.layer], systems, home, main))
        else each
        for each in told
    ]
    lost = [name for lot in lots[1:] for name in lot]
    told = [each for each in told if not set(_FOLLOWS.get(each.code, ())) & set(lost)]
    for name in lost:
        east, north = boxes[name].away_m(home)
        make = doubt if name in _MAY_LIE_APART else fault
        text = f"lies {math.hypot(east, north) / 1000:,.1f} km {compass(east, north)} of {_listed(main)}"
        # so near that another system would only be another way of being wrong
        near = math.hypot(east, north) <= _AMONG_M
        found = "" if near else _way_home(name, middles[name], systems, home, main)
        remedy = found or "check the coordinate system (zone) of both, and the coordinates"
        told.append(make("layers-apart", text, layer=name, remedy=remedy))
    return told


def fitting_setting(
    layer: str, xy: tuple[float, float], systems: Iterable[pyproj.CRS], home: Box, beside: Sequence[str] = ()
) -> str:
    """What to set so that coordinates around ``xy`` lie at ``home``; empty where nothing common does it.

    Parameters
    ----------
    layer : str
    xy : tuple of float
        Middle of the layer, as it stands in its file.
    systems : iterable of CRS
        Tried first: those of the other layers.
    home : Box
    beside : sequence of str
        Names of the layers there.
    """
    if not all(map(math.isfinite, xy)):
        return ""
    candidates = [*systems, *_usual(home)]
    for swapped, (x, y) in ((False, xy), (True, xy[::-1])):
        for crs in candidates:
            lon, lat = lon_lat_of(crs, (x, y))
            if not (math.isfinite(lon) and math.isfinite(lat)):
                continue
            if math.hypot(*Box(lon, lat, lon, lat).away_m(home)) <= _AMONG_M:
                among = f", with which it lies where {_listed(beside)} lie" if beside else ""
                settings = f'[input.{layer}] crs = "{crs_name(crs)}"' + (
                    " and swap_xy = true" if swapped else ""
                )
                return f"set {settings}{among}"
    return ""


def _way_home(
    layer: str, xy: tuple[float, float], systems: Iterable[pyproj.CRS], home: Box, beside: Sequence[str]
) -> str:
    """As :func:`fitting_setting`, and where no setting does it, how the coordinates are to be written."""
    return fitting_setting(layer, xy, systems, home, beside) or _otherwise_written(xy, home)


def _otherwise_written(xy: tuple[float, float], home: Box) -> str:
    """What to do with degrees that are written in an odd way and then lie at ``home``; empty: they don't."""
    if not all(map(math.isfinite, xy)):
        return ""
    for way, (lon, lat) in (
        ("the coordinates are degrees, minutes and seconds in one number, as 117.0559 for 117°05′59″",
         (_unpacked(xy[0]), _unpacked(xy[1]))),
        ("the coordinates are degrees, minutes and seconds in one number, as 1170559 for 117°05′59″",
         (_unpacked(xy[0] / 10_000), _unpacked(xy[1] / 10_000))),
        ("longitudes have the wrong sign", (-xy[0], xy[1])),
        ("latitudes have the wrong sign", (xy[0], -xy[1])),
    ):  # fmt: skip
        if math.hypot(*Box(lon, lat, lon, lat).away_m(home)) <= _AMONG_M:
            return f"{way}; write them as decimal degrees"
    return ""


def _unpacked(number: float) -> float:
    """Degrees from a number whose decimals are two digits of minutes, two of seconds and their fraction."""
    minutes, degrees = math.modf(abs(number))
    seconds, minutes = math.modf(round(minutes * 100, 8))
    return math.copysign(degrees + minutes / 60 + seconds * 100 / 3600, number)


def _usual(home: Box) -> Iterator[pyproj.CRS]:
    """Systems in use around a place: Chinese zones with and without prefix, UTM, degrees, Web Mercator."""
    lon, lat = (home.west + home.east) / 2, (home.south + home.north) / 2
    zone, wide = round(lon / 3), math.floor(lon / 6) + 1
    codes = []
    for step in (0, -1, 1):
        codes += [4534 + zone + step - 25, 4513 + zone + step - 25] if 25 <= zone + step <= 45 else []
        codes += [4502 + wide + step - 13, 4491 + wide + step - 13] if 13 <= wide + step <= 23 else []
    codes += [4490, 4326, 3857]
    codes += [(32600 if lat >= 0 else 32700) + (wide + step - 1) % 60 + 1 for step in (30, 29, 31)]
    for code in codes:
        yield pyproj.CRS.from_epsg(code)


def _middle(facts: LayerFacts) -> tuple[float, float]:
    xy = _coordinates(facts)
    return (float(np.median(xy[:, 0])), float(np.median(xy[:, 1]))) if len(xy) else (math.nan, math.nan)


def _coordinates(facts: LayerFacts) -> np.ndarray:
    xy = shapely.get_coordinates(facts.geometry)
    return xy[np.isfinite(xy).all(axis=1)]


def _box(facts: LayerFacts) -> Box | None:
    """Where a layer lies, None where that is not known. Two of a hundred coordinates may be anywhere."""
    xy = _coordinates(facts)
    if facts.crs is None or not len(xy):
        return None
    (west, south), (east, north) = np.quantile(xy, (0.01, 0.99), axis=0)
    corners = np.array([(x, y) for x in (west, east) for y in (south, north)])
    try:
        change = coordinate_change(facts.crs, pyproj.CRS.from_epsg(4326), _middle(facts), datum=facts.datum)
    except DataError:
        return None
    lon_lat = change.move(corners)
    if not np.isfinite(lon_lat).all():
        return None
    (west, south), (east, north) = lon_lat.min(axis=0), lon_lat.max(axis=0)
    return Box(float(west), float(south), float(east), float(north))


def _together(boxes: dict[str, Box]) -> list[list[str]]:
    """Layers in lots that lie within a kilometre of each other; the one with most layers first."""
    lots: list[list[str]] = []
    for name, box in boxes.items():
        near = [lot for lot in lots if any(math.hypot(*box.away_m(boxes[each])) <= _APART_M for each in lot)]
        lots = [lot for lot in lots if lot not in near] + [[*(each for lot in near for each in lot), name]]
    rank = {name: i for i, name in enumerate(_PLACED_FIRST)}
    return sorted(lots, key=lambda lot: (-len(lot), min(rank.get(each, len(rank)) for each in lot)))


def _around(boxes: Iterable[Box]) -> Box:
    edges = np.array([(each.west, each.south, each.east, each.north) for each in boxes])
    west, south = edges[:, :2].min(axis=0)
    east, north = edges[:, 2:].max(axis=0)
    return Box(float(west), float(south), float(east), float(north))


def _listed(names: Sequence[str]) -> str:
    first = sorted(names, key=lambda name: (*_PLACED_FIRST, name).index(name))[:3]
    return " and ".join([", ".join(first[:-1]), first[-1]]) if len(first) > 1 else f"the {first[0]}"
