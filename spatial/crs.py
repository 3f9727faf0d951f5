"""Which coordinates are meant, and in which metric coordinate system a community is planned.

Everything is planned in one projected system in metres. A community in China goes to the CGCS2000
3-degree zone it lies in, any other to its UTM zone, unless its layers already agree on a metric
system. Nothing is reached over the network: PROJ's own tables only, no grids fetched. Where those
tables know no transformation between two datums the result says so.

References
----------
.. [1] EPSG Geodetic Parameter Dataset, codes 4491-4554 (CGCS2000 / Gauss-Kruger, 6- and 3-degree zones).
.. [2] The shift between WGS 84 and GCJ-02 is known through the formula published with EvilTransform
       (github.com/googollee/eviltransform); the one to BD-09 through the coordtransform libraries.
       Checked against 664 city points converted by others.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.aoi import AreaOfInterest
from pyproj.exceptions import CRSError, ProjError
from pyproj.transformer import TransformerGroup

from spatial.errors import DataError, one_line

__all__ = [
    "Change",
    "change_crs",
    "compass",
    "coordinate_change",
    "crs_name",
    "datum_name",
    "is_metric",
    "lon_lat_of",
    "misfit",
    "parse_crs",
    "shifted_from_wgs84",
    "shifted_to_wgs84",
    "suggest_crs",
    "working_crs",
]

Floats = NDArray[np.float64]

# a file must not make PROJ fetch grids, whatever the user's environment says
pyproj.network.set_network_enabled(False)

#: Scale may differ from 1 by this much before distances in a projection are no longer metres.
_SCALE_TOLERANCE = 0.01
#: No projection is used where its scale is off by this much.
_SCALE_ABSURD = 0.2
#: A layer this far outside the area its system is made for was given the wrong system. [degrees]
_AREA_MARGIN_DEG = 3.0

_WGS84 = pyproj.CRS.from_epsg(4326)
#: Datums that lie within a metre of each other, though PROJ knows no figure for it.
_SAME_WITHIN_1_M = ("World Geodetic System 1984", "China 2000", "International Terrestrial Reference Frame")

# ellipsoid of the GCJ-02 formula: Krasovsky 1940
_GCJ_A_M = 6378245.0
_GCJ_E2 = 0.00669342162296594323
_BD_ANGLE = math.pi * 3000.0 / 180.0

#: What sends PROJ to a file: grids, other than the one that shifts nothing, and lists of parameters.
_NAMES_FILES = re.compile(
    r"grids\s*=\s*(?!@null\b)|init\s*=\s*(?!epsg:\d)|parameterfile|pipeline", re.IGNORECASE
)
_LONGEST_CRS = 100_000


def parse_crs(text: str) -> pyproj.CRS:
    """The horizontal system a code such as ``EPSG:4548`` or a WKT text names.

    Raises
    ------
    DataError
        The text names no system, or one that has no place on the earth (local engineering grids).
    """
    if len(text) > _LONGEST_CRS or _NAMES_FILES.search(text):
        raise DataError(
            f"{one_line(text)!r} goes by files of its own, which are never opened; write it like EPSG:4548"
        )
    try:
        crs = pyproj.CRS.from_user_input(text)
    except CRSError:
        raise DataError(f"{one_line(text)!r} names no coordinate system; write it like EPSG:4548") from None
    return horizontal(crs)


def horizontal(crs: pyproj.CRS) -> pyproj.CRS:
    """The horizontal part of a compound or three-dimensional system."""
    if crs.is_compound:
        return horizontal(crs.sub_crs_list[0])
    flat = crs.to_2d()
    if not (flat.is_geographic or flat.is_projected):
        raise DataError(
            f"{crs.name[:60]} has no place on earth (it is neither geographic nor projected); bring the data "
            "to a national or UTM system, or state the system that it truly is in"
        )
    try:
        pyproj.Proj(flat)
    except CRSError:  # a projection of a name that nobody knows
        raise DataError(f"{crs.name[:60]!r} can't be computed with; state the system, as EPSG:4548") from None
    return flat


def crs_name(crs: pyproj.CRS) -> str:
    """``EPSG:4548`` where the system has a code, else its name."""
    authority = crs.to_authority(min_confidence=70)
    return ":".join(authority) if authority else crs.name


def datum_name(crs: pyproj.CRS) -> str:
    """The name of the datum a system stands on, as ``China 2000``."""
    return crs.datum.name.removesuffix(" ensemble") if crs.datum is not None else "an unknown datum"


def is_metric(crs: pyproj.CRS, xy: tuple[float, float]) -> bool:
    """Whether lengths near ``xy`` in ``crs`` are metres within 1 %, with x to the east and y to the north.

    Not so in degrees, feet, Web Mercator or systems that count to the west and south.
    """
    if not crs.is_projected or any(each.unit_conversion_factor != 1.0 for each in crs.axis_info[:2]):
        return False
    if {each.direction for each in crs.axis_info[:2]} != {"east", "north"}:
        return False
    operation = crs.coordinate_operation
    if operation is not None and "Pseudo" in operation.method_name:  # true at the equator alone
        return False
    return _scale_error(crs, lon_lat_of(crs, xy)) <= _SCALE_TOLERANCE


def _scale_error(crs: pyproj.CRS, lon_lat: tuple[float, float]) -> float:
    """How far the scale of a projection there is from 1, infinite where it has none."""
    if not all(map(math.isfinite, lon_lat)):
        return math.inf
    try:
        factors = pyproj.Proj(crs).get_factors(*lon_lat)
    except (CRSError, ProjError):
        return math.inf
    scales = (factors.meridional_scale, factors.parallel_scale)
    return max(abs(each - 1.0) for each in scales) if all(map(math.isfinite, scales)) else math.inf


def working_crs(crs: pyproj.CRS, xy: tuple[float, float]) -> pyproj.CRS:
    """The metric system to plan in, for a community around ``xy`` given in ``crs``.

    ``crs`` itself where it is metric there; in China the CGCS2000 3-degree zone (without zone
    prefix) [1]_, elsewhere UTM on WGS 84, at the poles its stereographic companion. A community
    astride two zones is planned in the one of its middle. The wider zones that maps of Norway
    and Svalbard use are no part of the systems' own areas and are not followed.
    """
    if is_metric(crs, xy):
        return crs
    lon, lat = lon_lat_of(crs, xy)
    if not (math.isfinite(lon) and abs(lat) <= 90.0):
        raise DataError(f"coordinates around {xy[0]:.8g}, {xy[1]:.8g} have no place in {crs_name(crs)}")
    lon = (lon + 180.0) % 360.0 - 180.0
    return _china_zone(lon, lat) or _utm_zone(lon, lat)


def _china_zone(lon: float, lat: float) -> pyproj.CRS | None:
    """The 3-degree zone whose own area in the EPSG tables holds the point."""
    zone = round(lon / 3.0)
    if not 25 <= zone <= 45:
        return None
    crs = pyproj.CRS.from_epsg(4534 + zone - 25)
    area = crs.area_of_use
    inside = area is not None and area.south <= lat <= area.north and area.west <= lon <= area.east
    return crs if inside else None


def _utm_zone(lon: float, lat: float) -> pyproj.CRS:
    if not -80.0 <= lat <= 84.0:
        return pyproj.CRS.from_epsg(5041 if lat > 0 else 5042)
    zone = min(int((lon + 180.0) // 6.0) + 1, 60)
    return pyproj.CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)


def lon_lat_of(crs: pyproj.CRS, xy: tuple[float, float]) -> tuple[float, float]:
    """Longitude and latitude on the system's own datum: near enough to tell zones and areas apart."""
    if crs.is_geographic:
        return xy
    lon, lat = pyproj.Proj(crs)(*xy, inverse=True)
    return float(lon), float(lat)


@dataclass(frozen=True)
class Change:
    """One fixed operation from a system to another, the same for every point."""

    move: Callable[[Floats], Floats]  # (n, 2) -> (n, 2), x east and y north
    accuracy_m: float | None  # None: no transformation between the datums is known, they are taken as equal


def change_crs(
    geometry: NDArray[np.object_], crs: pyproj.CRS, target: pyproj.CRS, *, datum: str | None = None
) -> NDArray[np.object_]:
    """Geometries brought from ``crs`` (and from a shifted ``datum``) to ``target``, x east and y north.

    Coordinates without an image come back infinite.
    """
    xy = shapely.get_coordinates(geometry)
    middle = (float(np.median(xy[:, 0])), float(np.median(xy[:, 1]))) if len(xy) else (np.nan, np.nan)
    return shapely.transform(geometry, coordinate_change(crs, target, middle, datum=datum).move)


def coordinate_change(
    crs: pyproj.CRS,
    target: pyproj.CRS,
    xy: tuple[float, float],
    *,
    datum: str | None = None,
    target_datum: str | None = None,
) -> Change:
    """The best operation that PROJ's own tables know around ``xy`` (in ``crs``).

    Straight, else through WGS 84: the tables hold no transformation from most old datums to
    CGCS2000, but several to WGS 84, which is the same within a metre.

    Parameters
    ----------
    crs, target : CRS
    xy : tuple of float
        Middle of the data, x east and y north; decides between operations for different areas.
    datum, target_datum : {"wgs84", "cgcs2000", "gcj02", "bd09"}, optional
        Shifts that coordinates in ``crs`` carry, and that they shall carry in ``target``.
    """
    if not {datum, target_datum} & {"gcj02", "bd09"}:
        return _change(crs, target, xy)
    there, back = _change(crs, _WGS84, xy), _change(_WGS84, target, lon_lat_of(crs, xy))

    def move(xy: Floats) -> Floats:
        lon, lat = there.move(xy).T
        if datum in ("gcj02", "bd09"):
            lon, lat = shifted_to_wgs84(lon, lat, datum)
        if target_datum in ("gcj02", "bd09"):
            lon, lat = shifted_from_wgs84(lon, lat, target_datum)
        return back.move(np.column_stack((lon, lat)))

    return Change(move, _sum(there, back))


def _change(crs: pyproj.CRS, target: pyproj.CRS, xy: tuple[float, float]) -> Change:
    lon_lat = lon_lat_of(crs, xy)
    straight = _operation(crs, target, lon_lat)
    if straight.accuracy_m is not None:
        return straight
    there, back = _operation(crs, _WGS84, lon_lat), _operation(_WGS84, target, lon_lat)
    if _sum(there, back) is None:
        return straight
    return Change(lambda xy: back.move(there.move(xy)), _sum(there, back))


def _sum(there: Change, back: Change) -> float | None:
    if there.accuracy_m is None or back.accuracy_m is None:
        return None
    return there.accuracy_m + back.accuracy_m


def _operation(crs: pyproj.CRS, target: pyproj.CRS, lon_lat: tuple[float, float]) -> Change:
    """The first of PROJ's operations for this place that needs no grid it does not have."""
    pyproj.network.set_network_enabled(False)  # nor does it matter what a notebook did meanwhile
    lon, lat = lon_lat
    known = math.isfinite(lon) and math.isfinite(lat) and abs(lon) <= 179.0 and abs(lat) <= 89.0
    operation = _transformer(crs, target, (round(lon, 1), round(lat, 1)) if known else None)

    def move(xy: Floats) -> Floats:
        return np.column_stack(operation.transform(xy[:, 0], xy[:, 1]))

    if "Ballpark" not in operation.description:
        # a shift written into the system itself (TOWGS84) has no stated accuracy
        return Change(move, operation.accuracy if operation.accuracy >= 0 else 1.0)
    close = all(datum_name(each).startswith(_SAME_WITHIN_1_M) for each in (crs, target))
    return Change(move, 1.0 if close else None)


@lru_cache(maxsize=64)  # a search in PROJ's tables takes 50 ms, and the layers of a folder lie side by side
def _transformer(
    crs: pyproj.CRS, target: pyproj.CRS, lon_lat: tuple[float, float] | None
) -> pyproj.Transformer:
    area = None
    if lon_lat is not None:
        lon, lat = lon_lat
        area = AreaOfInterest(lon - 0.05, lat - 0.05, lon + 0.05, lat + 0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of better operations by grids that are not here
        group = TransformerGroup(crs, target, always_xy=True, area_of_interest=area)  # type: ignore[arg-type]
    return group.transformers[0]  # accurate ones first; ballparks are last, or alone


def misfit(crs: pyproj.CRS, xy: tuple[float, float]) -> str:
    """Why a layer around ``xy`` can't be in ``crs``; empty if it can.

    Finds degrees in a metric system, metres in degrees, a wrong zone and swapped columns: the
    middle of the layer has to lie within 3 degrees of the area its system is made for.
    """
    x, y = xy
    if _fits(crs, x, y):
        return ""
    found = f"coordinates around {x:.8g}, {y:.8g} do not lie where {crs_name(crs)} is used"
    if _fits(crs, y, x):
        return f"{found}; x and y look swapped"
    return f"{found}; they look like {_same_zone(crs, xy) or suggest_crs(xy)}"


def _same_zone(crs: pyproj.CRS, xy: tuple[float, float]) -> str:
    """The CGCS2000 zone meant where only the zone prefix of a code is wrong, in words; else nothing."""
    code = crs.to_epsg() or 0
    plain = code + 21 if 4513 <= code <= 4533 else code + 11 if 4491 <= code <= 4501 else 0
    if plain and _fits(pyproj.CRS.from_epsg(plain), *xy):
        return f"metres of that zone without its prefix: EPSG:{plain}"
    return ""


def compass(east: float, north: float) -> str:
    """A direction in words, as ``north-east``."""
    names = ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east")
    return names[round(math.atan2(north, east) / (math.pi / 4)) % 8]


def _fits(crs: pyproj.CRS, x: float, y: float) -> bool:
    as_degrees = abs(x) <= 180.0 and abs(y) <= 90.0
    if crs.is_geographic != as_degrees and not (crs.is_geographic and abs(x) <= 360.0 and abs(y) <= 90.0):
        return False
    lon, lat = lon_lat_of(crs, (x, y))
    if not (math.isfinite(lon) and math.isfinite(lat)):
        return False
    area = crs.area_of_use
    if area is None:
        return crs.is_geographic or _scale_error(crs, (lon, lat)) <= _SCALE_ABSURD
    width_deg = (area.east - area.west) % 360.0 or 360.0  # an area may cross the date line
    east_of_west = (lon - area.west + _AREA_MARGIN_DEG) % 360.0
    in_width = east_of_west <= width_deg + 2 * _AREA_MARGIN_DEG
    return in_width and area.south - _AREA_MARGIN_DEG <= lat <= area.north + _AREA_MARGIN_DEG


def suggest_crs(xy: tuple[float, float]) -> str:
    """What the size of coordinates around ``xy`` says about a missing system, with codes to try."""
    x, y = xy
    if not (math.isfinite(x) and math.isfinite(y)):
        return "no coordinates at all"
    if abs(x) <= 180.0 and abs(y) <= 90.0:
        return "degrees: EPSG:4490 (CGCS2000) or EPSG:4326 (WGS 84)"
    if abs(x) <= 90.0 and abs(y) <= 180.0:
        return "degrees with x and y swapped: EPSG:4490 (CGCS2000) or EPSG:4326 (WGS 84)"
    if 1.0e6 <= y < 1.0e8 and _zone_code(y) and 1.0e6 <= x <= 6.1e6:
        return f"{_zone_code(y)}, but with x and y swapped"
    mercator = "EPSG:3857 (web maps)" if 8.1e6 <= x <= 1.51e7 and 1.9e6 <= y <= 7.2e6 else ""
    if _zone_code(x) and 1.0e6 <= y <= 6.1e6:
        return f"metres with a zone prefix: {_zone_code(x)}" + (
            f", or metres of {mercator}" if mercator else ""
        )
    if mercator:
        return f"metres of {mercator}"
    if 1.0e5 <= x <= 9.0e5 and 1.9e6 <= y <= 6.1e6:
        return (
            "metres without a zone prefix: in China EPSG:4534 (central meridian 75 E) to EPSG:4554 (135 E), "
            "for 117 E EPSG:4548; elsewhere a UTM zone"
        )
    if 1.0e5 <= y <= 9.0e5 and 1.9e6 <= x <= 6.1e6:
        return "metres with x and y swapped (x is east, y is north)"
    return "metres in a system that their size does not tell"


def _zone_code(easting_m: float) -> str:
    """The CGCS2000 zone with prefix that an eight-digit easting names, or nothing."""
    prefix, rest_m = divmod(easting_m, 1.0e6)
    if not 1.0e5 <= rest_m <= 9.0e5:
        return ""
    if 25 <= prefix <= 45:
        return f"EPSG:{4513 + int(prefix) - 25}"
    return f"EPSG:{4491 + int(prefix) - 13}" if 13 <= prefix <= 23 else ""


def shifted_from_wgs84(lon: Floats, lat: Floats, datum: str) -> tuple[Floats, Floats]:
    """True longitude and latitude [degrees] as ``gcj02`` or ``bd09`` shows them [2]_.

    Outside the frame in which Chinese maps are shifted nothing changes.
    """
    lon, lat = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    gcj = _to_gcj02(lon, lat)
    return _to_bd09(*gcj) if datum == "bd09" else gcj


def shifted_to_wgs84(lon: Floats, lat: Floats, datum: str) -> tuple[Floats, Floats]:
    """Inverse of :func:`shifted_from_wgs84`, by fixed-point iteration to 1e-8 m.

    The shift changes by under 1 % of the way moved, so every round gains two digits; only on the
    meridian 105 E, where the formula has a kink, 1e-6 m are left.
    """
    lon, lat = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    true_lon, true_lat = lon, lat
    for _ in range(12):
        shown_lon, shown_lat = shifted_from_wgs84(true_lon, true_lat, datum)
        true_lon, true_lat = true_lon + (lon - shown_lon), true_lat + (lat - shown_lat)
    return true_lon, true_lat


def _to_gcj02(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    x, y = lon - 105.0, lat - 35.0
    root_x, xy = np.sqrt(np.abs(x)), x * y
    both = 20.0 * np.sin(6.0 * np.pi * x) + 20.0 * np.sin(2.0 * np.pi * x)
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * xy + 0.1 * root_x
    east += (both + _waves(x, (20.0, 1.0), (40.0, 3.0), (150.0, 12.0), (300.0, 30.0))) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * xy + 0.2 * root_x
    north += (both + _waves(y, (20.0, 1.0), (40.0, 3.0), (160.0, 12.0), (320.0, 30.0))) * 2.0 / 3.0

    latitude = np.radians(lat)
    w2 = 1.0 - _GCJ_E2 * np.sin(latitude) ** 2
    d_lat = np.degrees(north * w2 * np.sqrt(w2) / (_GCJ_A_M * (1.0 - _GCJ_E2)))
    d_lon = np.degrees(east * np.sqrt(w2) / (_GCJ_A_M * np.cos(latitude)))
    inside = (lon >= 72.004) & (lon <= 137.8347) & (lat >= 0.8293) & (lat <= 55.8271)
    return np.where(inside, lon + d_lon, lon), np.where(inside, lat + d_lat, lat)


def _waves(value: Floats, *terms: tuple[float, float]) -> Floats:
    """Sum of ``size * sin(pi * value / length)`` over (size, length)."""
    return np.sum([size * np.sin(np.pi * value / length) for size, length in terms], axis=0)


def _to_bd09(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BD_ANGLE)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD_ANGLE)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006
