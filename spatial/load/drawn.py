"""Entities of a drawing → the points, lines and areas that a layer of the contract wants."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

__all__ = ["TOLERANCE_M", "Anchors", "Drawn", "Entity", "Text", "drawn_shapes"]

#: Straight pieces of a curve leave it by no more than this.
TOLERANCE_M = 0.01
#: Circles up to this radius are symbols of a point where a layer may hold points and areas.
_SYMBOL_M = 2.0
#: Ends this near are one corner.
_CORNER_M = 0.001
_SAME_AREA = 0.99
_BEYOND = 1e11

Points = NDArray[np.float64]  # (n, 2)
Entity = Any  # of ezdxf; which attributes it has, its kind says


@dataclass(frozen=True)
class Text:
    """A text of the drawing and where it stands."""

    text: str
    at: shapely.Geometry


@dataclass
class Drawn:
    """Shapes in drawing units with the columns of each, and what became of the rest."""

    shapes: list[shapely.Geometry] = field(default_factory=list)
    columns: list[dict[str, str]] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    aside: Counter[str] = field(default_factory=Counter)  # kind of entity → how many were left out
    n_curves: int = 0
    n_closed: int = 0
    n_joined: int = 0
    n_doubled: int = 0
    n_circles: int = 0

    def add(self, shape: shapely.Geometry, columns: dict[str, str] | None = None) -> None:
        self.shapes.append(shape)
        self.columns.append(columns or {})


class Anchors:
    """One point of each entity, to tell where a drawing lies before anything is converted."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        points = [point for each in entities if (point := _anchor(each)) is not None]
        self.xy = np.array(points, dtype=np.float64).reshape(-1, 2)

    def middle(self) -> tuple[float, float]:
        xy = self.xy[np.isfinite(self.xy).all(axis=1)]
        return (float(np.median(xy[:, 0])), float(np.median(xy[:, 1]))) if len(xy) else (np.nan, np.nan)


def _anchor(entity: Entity) -> tuple[float, float] | None:
    if entity.dxftype() == "LWPOLYLINE":
        return tuple(entity[0][:2]) if len(entity) else None
    if entity.dxftype() == "POLYLINE":
        return tuple(entity.vertices[0].dxf.location)[:2] if entity.vertices else None
    if entity.dxftype() == "SPLINE":
        points = list(entity.control_points) or list(entity.fit_points)
        return tuple(points[0])[:2] if len(points) else None
    for name in ("insert", "start", "center", "location", "vtx0"):
        if entity.dxf.hasattr(name):
            return tuple(entity.dxf.get(name))[:2]
    return None


def drawn_shapes(entities: Sequence[Entity], wanted: Sequence[str], *, unit_m: float) -> Drawn:
    """The entities of one drawing layer as shapes.

    Parameters
    ----------
    entities : sequence of Entity
        In the order of the drawing.
    wanted : sequence of {"point", "line", "polygon"}
        What the layer of the contract may hold.
    unit_m : float
        Metres in a unit of the drawing.

    Returns
    -------
    Drawn
        Lines stay open lines where only areas are wanted of households: they are houses and must not be
        lost, so that checking the layer refuses them by name. Elsewhere they are counted in ``aside``.
    """
    drawn, open_lines, fillings = Drawn(), list[Points](), list[shapely.Geometry]()
    for entity in entities:
        kind = entity.dxftype()
        if kind in ("TEXT", "MTEXT", "ATTRIB"):
            text = entity.plain_text().strip()
            if text:
                drawn.texts.append(Text(" ".join(text.split()), shapely.Point(_text_place(entity))))
        elif kind == "INSERT":
            drawn.add(shapely.Point(_in_plan(entity, [entity.dxf.insert])[0]), _attributes(entity))
        elif kind == "POINT":
            if "point" in wanted:
                drawn.add(shapely.Point(tuple(entity.dxf.location)[:2]))
            else:
                drawn.aside[kind] += 1
        elif kind == "CIRCLE" and "point" in wanted and _is_symbol(entity, wanted, unit_m):
            drawn.n_circles += 1
            drawn.add(shapely.Point(_in_plan(entity, [entity.dxf.center])[0]))
        elif kind in _AREAS:
            areas = _AREAS[kind](entity, unit_m)
            if "polygon" not in wanted or areas is None:
                drawn.aside[kind] += 1
            elif kind in ("HATCH", "MPOLYGON"):
                fillings.append(areas)
            else:
                drawn.add(areas)
        elif kind in _CURVES:
            xy, bent = _CURVES[kind](entity, TOLERANCE_M / unit_m)
            if len(xy) < 2 or not _sane(xy):
                drawn.aside[f"{kind} without length or place"] += 1
                continue
            drawn.n_curves += bent
            closed = len(xy) > 3 and np.hypot(*(xy[0] - xy[-1])) <= _CORNER_M / unit_m
            if "line" in wanted:
                drawn.add(shapely.LineString(xy))
            elif closed and "polygon" in wanted:
                drawn.n_closed += 1
                drawn.add(shapely.Polygon(xy))
            else:
                open_lines.append(xy)
        else:
            drawn.aside[kind] += 1
    if "polygon" in wanted:
        _fill(drawn, fillings)
    _keep_lines(drawn, open_lines, wanted, unit_m)
    return drawn


def _sane(xy: Points) -> bool:
    """Whether coordinates can lie on the earth, in whatever unit; others take GEOS for ever."""
    return bool((np.abs(xy) < _BEYOND).all())


def _attributes(entity: Entity) -> dict[str, str]:
    return {each.dxf.tag: each.plain_text().strip() for each in entity.attribs if each.plain_text().strip()}


def _text_place(entity: Entity) -> tuple[float, float]:
    if entity.dxftype() == "MTEXT":
        return tuple(entity.dxf.insert)[:2]
    _, first, second = entity.get_placement()
    middle = first if second is None else first.lerp(second)
    return tuple(_in_plan(entity, [middle])[0])


def _is_symbol(entity: Entity, wanted: Sequence[str], unit_m: float) -> bool:
    return "polygon" not in wanted or entity.dxf.radius * unit_m <= _SYMBOL_M


def _fill(drawn: Drawn, fillings: list[shapely.Geometry]) -> None:
    """Add the fillings that are not those of an outline that is there."""
    if not fillings:
        return
    tree = shapely.STRtree(drawn.shapes)
    for filling in fillings:
        outlines = tree.geometries[tree.query(filling)]
        if any(_same_area(filling, each) for each in outlines):
            drawn.n_doubled += 1
        else:
            drawn.add(filling)


def _same_area(one: shapely.Geometry, other: shapely.Geometry) -> bool:
    if min(one.area, other.area) < _SAME_AREA * max(one.area, other.area) or one.area == 0.0:
        return False
    one, other = shapely.make_valid(one), shapely.make_valid(other)
    return shapely.intersection(one, other).area >= _SAME_AREA * shapely.union(one, other).area


def _keep_lines(drawn: Drawn, open_lines: list[Points], wanted: Sequence[str], unit_m: float) -> None:
    """Open lines on a layer of areas or points: outlines drawn line by line are joined, the rest left out."""
    if not open_lines:
        return
    left = len(open_lines)
    if "polygon" in wanted:
        corner = _CORNER_M / unit_m
        lines = shapely.linestrings(
            np.concatenate([np.round(each / corner) * corner for each in open_lines]),
            indices=np.repeat(np.arange(len(open_lines)), [len(each) for each in open_lines]),
        )
        areas, cuts, dangles, invalid = shapely.polygonize_full(lines)
        for each in shapely.get_parts(areas):
            drawn.n_joined += 1
            drawn.add(each)
        rest = [part for each in (cuts, dangles, invalid) for part in shapely.get_parts(each)]
        left = len(rest)
        if not drawn.shapes:  # nothing else is there: the lines must be told row by row
            for each in rest:
                drawn.add(each)
            left = 0
    elif not drawn.shapes:
        for each in open_lines:
            drawn.add(shapely.LineString(each))
        left = 0
    if left:
        drawn.aside["open lines"] += left


# ── curves ───────────────────────────────────────────────────────────────────────────────────────────


def _in_plan(entity: Entity, points: Sequence[Any]) -> Points:
    """Points of an entity in the drawing's own axes, seen from above; mirrored entities have others."""
    ocs = entity.ocs()
    return np.array([tuple(each)[:2] for each in ocs.points_to_wcs(points)], dtype=np.float64).reshape(-1, 2)


def _line(entity: Entity, tolerance: float) -> tuple[Points, bool]:
    xy = np.array([tuple(entity.dxf.start)[:2], tuple(entity.dxf.end)[:2]], dtype=np.float64)
    return (xy if (xy[0] != xy[1]).any() else xy[:1]), False


def _arc(entity: Entity, tolerance: float) -> tuple[Points, bool]:
    start, end = (
        (0.0, 360.0) if entity.dxftype() == "CIRCLE" else (entity.dxf.start_angle, entity.dxf.end_angle)
    )
    sweep = math.radians((end - start) % 360.0 or 360.0)
    center = entity.dxf.center
    xy = _circular((center.x, center.y), entity.dxf.radius, math.radians(start), sweep, tolerance)
    if entity.dxftype() == "CIRCLE" and len(xy) > 1:
        xy[-1] = xy[0]
    return _in_plan(entity, [(x, y, center.z) for x, y in xy]), True


def _circular(
    center: tuple[float, float], radius: float, start: float, sweep: float, tolerance: float
) -> Points:
    """Points on an arc whose chords leave it by at most the tolerance, or 1e-8 of a huge radius."""
    if not 0.0 < radius < math.inf:
        return np.empty((0, 2))
    sagitta = min(max(tolerance, radius * 1e-8), radius / 2.0)
    n = max(2, math.ceil(abs(sweep) / (2.0 * math.acos(1.0 - sagitta / radius))))
    angle = start + sweep * np.arange(n + 1) / n
    return np.column_stack((center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)))


def _polyline(entity: Entity, tolerance: float) -> tuple[Points, bool]:
    if entity.dxftype() == "LWPOLYLINE":
        corners = [(x, y, bulge) for x, y, bulge in entity.get_points("xyb")]
        height, closed = entity.dxf.elevation, entity.closed
    elif entity.is_2d_polyline or entity.is_3d_polyline:
        # the frame of a smoothed line is no part of it
        corners = [
            (v.dxf.location.x, v.dxf.location.y, v.dxf.get("bulge", 0.0) if entity.is_2d_polyline else 0.0)
            for v in entity.vertices if not v.dxf.flags & 16
        ]  # fmt: skip
        height, closed = entity.dxf.get("elevation", (0, 0, 0))[2], entity.is_closed
    else:  # a mesh
        return np.empty((0, 2)), False
    if closed and corners:
        corners.append((*corners[0][:2], 0.0))
    pieces, bent = [], False
    for (x0, y0, bulge), (x1, y1, _) in itertools.pairwise(corners):
        if bulge and (x0, y0) != (x1, y1) and math.isfinite(bulge):
            pieces.append(_bulge((x0, y0), (x1, y1), bulge, tolerance)[:-1])
            bent = True
        else:
            pieces.append(np.array([[x0, y0]]))
    xy = np.concatenate([*pieces, [corners[-1][:2]]]) if corners else np.empty((0, 2))
    xy = xy[np.append(True, (np.diff(xy, axis=0) != 0).any(axis=1))] if len(xy) else xy
    if entity.dxftype() == "POLYLINE" and entity.is_3d_polyline:
        return xy, bent
    return _in_plan(entity, [(x, y, height) for x, y in xy]), bent


def _bulge(first: tuple[float, float], last: tuple[float, float], bulge: float, tolerance: float) -> Points:
    """The arc between two corners; ``bulge`` is the tangent of a quarter of its angle, turning left."""
    sweep = 4.0 * math.atan(bulge)
    (x0, y0), (x1, y1) = first, last
    chord = math.hypot(x1 - x0, y1 - y0)
    radius = chord / (2.0 * abs(math.sin(sweep / 2.0)))
    # from the middle of the chord to the centre, at right angles to it
    off = (1.0 - bulge * bulge) / (4.0 * bulge)
    center = ((x0 + x1) / 2.0 - off * (y1 - y0), (y0 + y1) / 2.0 + off * (x1 - x0))
    start = math.atan2(y0 - center[1], x0 - center[0])
    xy = _circular(center, radius, start, sweep, tolerance)
    xy[0], xy[-1] = first, last
    return xy


def _free_curve(entity: Entity, tolerance: float) -> tuple[Points, bool]:
    """Ellipses and splines, by the library's own halving."""
    if entity.dxftype() == "ELLIPSE":
        size = entity.dxf.major_axis.magnitude
    else:
        points = np.array([tuple(each) for each in (*entity.control_points, *entity.fit_points)]).reshape(
            -1, 3
        )
        size = float(np.ptp(points, axis=0).max()) if len(points) else 0.0
    if not 0.0 < size < math.inf:
        return np.empty((0, 2)), False
    xy = [tuple(each)[:2] for each in entity.flattening(max(tolerance, size * 1e-6))]
    return np.array(xy, dtype=np.float64).reshape(-1, 2), True


_CURVES: dict[str, Callable[[Entity, float], tuple[Points, bool]]] = {
    "LINE": _line,
    "ARC": _arc,
    "CIRCLE": _arc,
    "LWPOLYLINE": _polyline,
    "POLYLINE": _polyline,
    "ELLIPSE": _free_curve,
    "SPLINE": _free_curve,
}


# ── areas ────────────────────────────────────────────────────────────────────────────────────────────


def _filling(entity: Entity, unit_m: float) -> shapely.Geometry | None:
    """The area between the loops of a filling: what lies inside an odd number of them."""
    from ezdxf.path import from_hatch

    loops = []
    for path in from_hatch(entity):
        corners = np.array([tuple(each)[:2] for each in path.control_vertices()]).reshape(-1, 2)
        size = float(np.ptp(corners, axis=0).max()) if len(corners) else 0.0
        if size == 0.0 or not _sane(corners):
            continue
        tolerance = max(TOLERANCE_M / unit_m, size * 1e-6)
        xy = np.array([tuple(each)[:2] for each in path.flattening(tolerance)]).reshape(-1, 2)
        if len(xy) >= 3:
            loops.append(shapely.make_valid(shapely.Polygon(xy)))
    parts = shapely.get_parts(_odd(np.array(loops, dtype=object)))
    areas = [each for each in parts if each.geom_type == "Polygon" and each.area > 0.0]
    if not areas:
        return None
    return areas[0] if len(areas) == 1 else shapely.MultiPolygon(areas)


def _odd(loops: NDArray[np.object_]) -> shapely.Geometry:
    """What lies inside an odd number of the loops, each of which lies inside or outside any other."""
    inner, _ = shapely.STRtree(loops).query(loops, predicate="within")
    depth = np.bincount(inner, minlength=len(loops))  # itself included
    levels = [shapely.union_all(loops[depth == each]) for each in range(1, depth.max(initial=0) + 2)]
    rings = [shapely.difference(*pair) for pair in zip(levels[::2], levels[1::2], strict=False)]
    return shapely.union_all(rings)


def _facet(entity: Entity, unit_m: float) -> shapely.Geometry | None:
    """A filled triangle or quadrangle; the corners of a solid go 1, 2, 4, 3."""
    corners = entity.wcs_vertices()
    xy = np.array([tuple(each)[:2] for each in corners], dtype=np.float64).reshape(-1, 2)
    if len(xy) < 3 or not _sane(xy):
        return None
    area = shapely.Polygon(xy)
    return area if area.area > 0.0 else None


_AREAS: dict[str, Callable[[Entity, float], shapely.Geometry | None]] = {
    "HATCH": _filling,
    "MPOLYGON": _filling,
    "SOLID": _facet,
    "TRACE": _facet,
    "3DFACE": _facet,
}
