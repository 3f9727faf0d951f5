"""Which layers lie beside the others by the shift of a Chinese map datum.

Points picked in Amap or Tencent are in GCJ-02, those from Baidu in BD-09, half a kilometre and more
from their true place; the files say WGS 84 all the same. Two layers of one community betray it: houses
stand in buildings and beside alleys, lamps along them, all inside the boundary, and only when one
of them is moved by exactly the shift of this place. A layer is never moved because of it.

How it is judged: a relation of two layers is a score from 0 (fits) to 1 (does not), the mean over
a sample of points. A shift is evidence if it fits clearly better than the layers as they stand and
also than every decoy, which is a shift as long in another direction or a few dozen metres beside.
Decoys carry all accidents of the place, so no figure has to be known in advance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.crs import compass, coordinate_change, shifted_from_wgs84, shifted_to_wgs84
from spatial.errors import Remark, doubt

__all__ = ["suspected_datums"]

Floats = NDArray[np.float64]
#: How many shifts to GCJ-02 and to BD-09 a layer carries: (1, 0) is GCJ-02, (-1, 1) that between both.
Shift = tuple[int, int]

_SHIFTS: tuple[Shift, ...] = ((1, 0), (0, 1), (-1, 0), (0, -1), (-1, 1), (1, -1))
_DATUMS: Mapping[str, Shift] = {"wgs84": (0, 0), "cgcs2000": (0, 0), "gcj02": (1, 0), "bd09": (0, 1)}
_NAMES: Mapping[Shift, str] = {(0, 0): "wgs84", (1, 0): "gcj02", (0, 1): "bd09"}

_N_POINTS = 200  # of a layer that are tried
_FEWEST_POINTS = 5  # fewer may fit by accident
_GAIN = 0.15  # of the score, over the layers as they stand and over every decoy
_RING_M = 45.0
_RING_GAIN = 0.05  # over shifts a few dozen metres beside
_FITS_SHARP, _FITS = 0.4, 0.1  # the most of the score at which layers belong together


@dataclass(frozen=True)
class Relation:
    """How well the points of one layer fit another."""

    layer: str
    other: str
    meaning: str  # of the distance, for people
    distance_m: Callable[[Floats], Floats]  # of points (n, 2) from where they should be, 0 if there
    full_m: float  # distances from here on are one whole misfit
    sharp: bool  # a few dozen metres more must be seen


@dataclass(frozen=True)
class Evidence:
    """A relation that fits with one shift and with no other."""

    relation: Relation
    shift: Shift  # of the layer against the other; (0, 0): they agree
    gain: float
    before_m: float = 0.0  # medians of the distance
    after_m: float = 0.0


class Mover:
    """Points brought back by a shift, at this place."""

    def __init__(self, crs: pyproj.CRS, middle: tuple[float, float]) -> None:
        wgs84 = pyproj.CRS.from_epsg(4326)
        self._degrees = coordinate_change(crs, wgs84, middle).move
        lon_lat = self._degrees(np.array([middle]))
        self._metres = coordinate_change(wgs84, crs, (float(lon_lat[0, 0]), float(lon_lat[0, 1]))).move

    def undo(self, xy: Floats, shift: Shift) -> Floats:
        lon, lat = self._degrees(xy).T
        for datum, n in zip(("gcj02", "bd09"), shift, strict=True):
            if n > 0:
                lon, lat = shifted_to_wgs84(lon, lat, datum)
        for datum, n in zip(("gcj02", "bd09"), shift, strict=True):
            if n < 0:
                lon, lat = shifted_from_wgs84(lon, lat, datum)
        return self._metres(np.column_stack((lon, lat)))


def suspected_datums(
    layers: Mapping[str, gpd.GeoDataFrame], crs: pyproj.CRS, stated: Mapping[str, str | None]
) -> dict[str, Remark]:
    """A doubt for each layer that lies beside the others by the local shift of GCJ-02 or BD-09.

    Parameters
    ----------
    layers : mapping
        Checked layers in ``crs``, as they were given, none made from another.
    crs : CRS
        Projected, in metres.
    stated : mapping
        The datum that each layer is stated to be in; None: not stated.
    """
    anchor = next((layers[each] for each in ("alleys", "buildings", "households") if each in layers), None)
    if anchor is None:
        return {}
    west, south, east, north = anchor.total_bounds
    middle = ((west + east) / 2, (south + north) / 2)
    mover = Mover(crs, middle)
    if math.dist(mover.undo(np.array([middle]), (1, 0))[0], middle) < 1.0:  # maps are true there
        return {}
    points = {name: _sample(rows.geometry.to_numpy()) for name, rows in layers.items()}
    found: list[Evidence] = []
    tied: dict[str, bool] = {}  # layers with sharp relations: whether one of them says anything
    for relation in _relations(layers):
        # what fits neither houses nor alleys may be another place's and prove nothing inside an outline
        if not relation.sharp and not tied.get(relation.layer, True):
            continue
        each = _evidence(relation, points[relation.layer], mover)
        if each is not None:
            found.append(each)
        if relation.sharp:
            tied[relation.layer] = tied.get(relation.layer, False) or each is not None
    found.sort(key=lambda each: (-each.gain, each.relation.layer, each.relation.other))
    blamed = _blamed(found, stated)
    return {
        name: _told(name, shift, found, mover, middle, stated.get(name)) for name, shift in blamed.items()
    }


def _sample(shapes: NDArray[np.object_]) -> Floats:
    """At most ``_N_POINTS``, evenly from the rows; several on each line where lines are few."""
    rows = np.unique(np.linspace(0, len(shapes) - 1, _N_POINTS).round().astype(np.int64))
    shapes = shapes[rows]
    areas = shapely.get_dimensions(shapes) == 2
    if not areas.all() and (shapely.get_dimensions(shapes) >= 1).all():
        lines = np.where(areas, shapely.boundary(shapes), shapes)
        n_each = min(20, _N_POINTS // len(lines))
        at = (np.arange(n_each) + 0.5) / n_each
        points = shapely.line_interpolate_point(lines[:, None], at[None, :], normalized=True).ravel()
    else:
        points = shapely.point_on_surface(shapes)
    return shapely.get_coordinates(points)


def _relations(layers: Mapping[str, gpd.GeoDataFrame]) -> Iterator[Relation]:
    shapes = {name: rows.geometry.to_numpy() for name, rows in layers.items()}
    alleys, buildings = shapes.get("alleys"), shapes.get("buildings")
    if alleys is not None:
        near = _distance_to(alleys)
        for name in ("households", "lamp_sites", "board_sites", "places", "power_points", "vacant_buildings"):
            if name in shapes:
                yield Relation(name, "alleys", "from the nearest alley", near, 30.0, sharp=True)
    if buildings is not None:
        inside, clear = _distance_to(buildings), _distance_clear_of(buildings, 30.0)
        for name in ("households", "vacant_buildings"):
            if name in shapes:
                yield Relation(name, "buildings", "from the nearest building", inside, 20.0, sharp=True)
        if alleys is not None:
            ground = "from free ground beside buildings"
            yield Relation("alleys", "buildings", ground, clear, 30.0, sharp=True)
    if alleys is not None:
        reach = shapely.buffer(shapely.convex_hull(shapely.multilinestrings(alleys)), 30.0)
        outside = _distance_to(np.array([reach]))
        for name in ("buildings", "groups", "barriers"):
            if name in shapes:
                yield Relation(name, "alleys", "outside the reach of the alleys", outside, 100.0, sharp=False)
    area = "boundary" if "boundary" in shapes else "groups"
    if area in shapes:
        outside = _distance_to(np.array([shapely.union_all(shapes[area])]))
        for name in shapes:
            if name != area:
                yield Relation(name, area, f"outside the {area}", outside, 100.0, sharp=False)


def _distance_to(shapes: NDArray[np.object_]) -> Callable[[Floats], Floats]:
    tree = shapely.STRtree(shapes)
    if len(shapes) == 1:
        shapely.prepare(shapes[0])

    def distance_m(xy: Floats) -> Floats:
        points = shapely.points(xy)
        if len(shapes) == 1:
            return np.where(shapely.intersects(shapes[0], points), 0.0, shapely.distance(shapes[0], points))
        return tree.query_nearest(points, return_distance=True, all_matches=False)[1]

    return distance_m


def _distance_clear_of(buildings: NDArray[np.object_], full_m: float) -> Callable[[Floats], Floats]:
    """Distance from the nearest building, and the whole misfit within one."""
    to_building = _distance_to(buildings)

    def distance_m(xy: Floats) -> Floats:
        away_m = to_building(xy)
        return np.where(away_m == 0.0, full_m, away_m)

    return distance_m


def _evidence(relation: Relation, xy: Floats, mover: Mover) -> Evidence | None:
    """What a relation says; None where it is weak."""

    def score(at: Floats) -> float:
        return float(np.minimum(relation.distance_m(at) / relation.full_m, 1.0).mean())

    stands = score(xy)
    moved = {shift: mover.undo(xy, shift) for shift in _SHIFTS}
    scores = {shift: score(at) for shift, at in moved.items()}
    best = min(_SHIFTS, key=lambda shift: scores[shift])
    if stands + _GAIN <= scores[best]:
        return Evidence(relation, (0, 0), scores[best] - stands)
    gain = stands - scores[best]
    if gain < _GAIN or len(xy) < _FEWEST_POINTS or scores[best] > (_FITS_SHARP if relation.sharp else _FITS):
        return None
    lengths = {float(np.hypot(*(at - xy).mean(axis=0))) for at in moved.values()}
    way = (moved[best] - xy).mean(axis=0)
    decoys = [each for each in _around(lengths, way) if math.dist(each, way) > 2 * _RING_M]
    gain = min(gain, *(score(xy + each) - scores[best] for each in decoys))
    if gain < _GAIN:
        return None
    if relation.sharp and min(score(moved[best] + each) for each in _around({_RING_M}, way)) < (
        scores[best] + _RING_GAIN
    ):
        return None
    before_m, after_m = (float(np.median(relation.distance_m(at))) for at in (xy, moved[best]))
    return Evidence(relation, best, gain, before_m, after_m)


def _around(lengths_m: set[float], way: Floats) -> list[tuple[float, float]]:
    """Ways of these lengths in twelve directions, the first that of ``way``."""
    angles = math.atan2(way[1], way[0]) + math.pi / 6 * np.arange(12)
    return [(each * math.cos(at), each * math.sin(at)) for each in sorted(lengths_m) for at in angles]


def _blamed(found: list[Evidence], stated: Mapping[str, str | None]) -> dict[str, Shift]:
    """The shift that each layer still carries, so that the fewest layers are at fault.

    Evidence only says how layers lie to each other. Strong evidence first, they are tied together;
    then that layer is taken as right which asks for the fewest changes of the others, a datum
    that a file can be in being likelier than one that nothing is in.
    """
    beside: dict[str, dict[str, Shift]] = {}  # of each tied set, under each of its layers
    for each in found:
        one, other = each.relation.layer, each.relation.other
        mine, theirs = beside.setdefault(one, {one: (0, 0)}), beside.setdefault(other, {other: (0, 0)})
        if mine is theirs:
            continue
        base = _plus(_plus(theirs[other], each.shift), mine[one], -1)
        for name, shift in mine.items():
            theirs[name] = _plus(shift, base)
            beside[name] = theirs
    blamed: dict[str, Shift] = {}
    for tied in {id(each): each for each in beside.values()}.values():
        shifts = [
            {name: _plus(shift, right, -1) for name, shift in tied.items()} for right in set(tied.values())
        ]
        blamed |= {
            name: each for name, each in min(shifts, key=lambda by: _changes(by, stated)).items() if any(each)
        }
    return blamed


def _changes(
    shifts: Mapping[str, Shift], stated: Mapping[str, str | None]
) -> tuple[float, bool, list[tuple[str, Shift]]]:
    costs = (1.0 if _actual(stated.get(name), shift) else 1.5 for name, shift in shifts.items() if any(shift))
    return sum(costs), any(shifts.get("alleys", ())), sorted(shifts.items())


def _plus(one: Shift, other: Shift, sign: int = 1) -> Shift:
    return one[0] + sign * other[0], one[1] + sign * other[1]


def _actual(stated: str | None, shift: Shift) -> str:
    """The datum of a layer that is stated to be in one and still carries a shift; empty: there is none."""
    return _NAMES.get(_plus(_DATUMS[stated or "wgs84"], shift), "")


def _told(
    name: str,
    shift: Shift,
    found: list[Evidence],
    mover: Mover,
    middle: tuple[float, float],
    stated: str | None,
) -> Remark:
    east, north = np.array(middle) - mover.undo(np.array([middle]), shift)[0]
    text = (
        f"lies {math.hypot(east, north):,.0f} m {compass(east, north)} of where it fits, "
        f"which is the shift {_WORDS.get(shift, 'of several datums')} here"
    )
    says = [each for each in found if any(each.shift) and name in (each.relation.layer, each.relation.other)]
    if says:
        best = min(says, key=lambda each: (not each.relation.sharp, each.relation.layer != name, -each.gain))
        text += (
            f": {best.relation.layer} lie {best.before_m:,.1f} m {best.relation.meaning} as they stand and "
            f"{best.after_m:,.1f} m without it (medians)"
        )
    actual = _actual(stated, shift)
    return doubt("datum-suspected", text, layer=name, remedy=_remedy(name, shift, actual))


_WORDS: Mapping[Shift, str] = {
    (1, 0): "of GCJ-02",
    (0, 1): "of BD-09",
    (-1, 0): "of GCJ-02 the other way",
    (0, -1): "of BD-09 the other way",
    (-1, 1): "between GCJ-02 and BD-09",
    (1, -1): "between BD-09 and GCJ-02",
}
_ORIGINS = {
    "gcj02": "Amap or Tencent (GCJ-02)",
    "bd09": "Baidu (BD-09)",
    "wgs84": "a survey or GPS (no shift)",
}


def _remedy(name: str, shift: Shift, actual: str) -> str:
    if actual:
        return f'if its points come from {_ORIGINS[actual]}, set [input.{name}] datum = "{actual}"'
    others = {(-1, 0): "gcj02", (0, -1): "bd09", (-1, 1): "gcj02", (1, -1): "bd09"}.get(shift)
    own = {(-1, 0): "wgs84", (0, -1): "wgs84", (-1, 1): "bd09", (1, -1): "gcj02"}.get(shift)
    again = "take the layer from its source again: a shift was put on or taken off once too often"
    if others is None:
        return again
    return (
        f'if all other layers come from {_ORIGINS[others]}, set [input] datum = "{others}" and '
        f'[input.{name}] datum = "{own}"; else {again}'
    )
