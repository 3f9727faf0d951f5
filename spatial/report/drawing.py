"""The plan as a map on paper: true to scale, in the colours and the drawing order of the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import shapely
from geopandas import GeoSeries
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.patches import Circle, Polygon, Rectangle
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from spatial.maps.view import public_view
from spatial.palette import palette
from spatial.report.paper import MM, Sheet
from spatial.report.words import word

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["SIGNS", "Ground", "MapFrame", "draw_corners", "draw_map", "draw_sign", "legend_of", "texts_of"]

#: Denominators of scales that people know, times a power of ten.
_SCALES = (1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0)
_BARS = (1, 2, 5)
#: Signs in the order of the legend, as people ask: my grid, lamps, boards, alleys.
SIGNS = (
    "grid", "exclusive", "lamp_new", "lamp_existing", "board", "meeting", "lit", "dark", "building", "water",
    "other",
)  # fmt: skip
_LIT_MM, _CASING_MM, _DARK_MM = 1.5, 0.25, 0.7
_HATCH = "#9A9A9A"
_DASH = (3.0, 2.0)  # in line widths
_LAMP_MM, _BOARD_MM, _STAR_MM, _DISC_MM = 2.4, 5.0, 5.6, 8.4  # across, at full size


@dataclass(frozen=True)
class Ground:
    """A plan with its residents' view: shapes in the survey's CRS, figures that may be shown in public."""

    plan: Plan
    view: Mapping[str, Any]

    @classmethod
    def of(cls, plan: Plan) -> Ground:
        """The plan as residents may see it."""
        return cls(plan, public_view(plan))

    def xy(self, at: Sequence[Sequence[float] | None]) -> NDArray[np.float64]:
        """Places of the view in the survey's CRS, NaN where there is none. [m]"""
        west, south = self.view["frame"][:2]
        degrees = np.array([each or (np.nan, np.nan) for each in at], dtype=np.float64).reshape(-1, 2)
        east, north = west + degrees[:, 0] / 1e6, south + degrees[:, 1] / 1e6
        here = gpd.GeoSeries(gpd.points_from_xy(east, north), crs=4326).to_crs(self.plan.site.crs)
        return np.column_stack([here.x, here.y])

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """West, south, east, north of what is drawn. [m]"""
        shapes = [self.plan.site.layer("alleys").total_bounds]
        boundary = self.plan.layers.get("grids", self.plan.site.layer("boundary"))
        if len(boundary):
            shapes.append(boundary.total_bounds)
        both = np.array(shapes)
        return np.concatenate([both[:, :2].min(axis=0), both[:, 2:].max(axis=0)])

    @cached_property
    def lit(self) -> GeoSeries:
        """Stretches with light."""
        if "stretches" not in self.plan.layers:
            return GeoSeries([], crs=self.plan.site.crs)
        stretches = self.plan.layers["stretches"]
        return stretches.geometry[stretches["lit"].fillna(False).astype(bool)]

    @cached_property
    def buildings(self) -> GeoSeries:
        """Buildings, or the footprints of houses where there are none."""
        layers = self.plan.site.layers
        if "buildings" in layers:
            return layers["buildings"].geometry
        houses = self.plan.site.layer("households").geometry
        return houses[houses.geom_type.isin(["Polygon", "MultiPolygon"])]

    def barriers(self, kind: str) -> GeoSeries:
        """Barriers that are ``water``, or the ``other`` ones."""
        west, south = self.view["frame"][:2]
        found = self.view["barriers"][kind]
        shapes: list[Any] = [shapely.LineString(_steps(each)) for each in found["lines"]]
        shapes += [
            shapely.Polygon(_steps(each[0]), [_steps(ring) for ring in each[1:]]) for each in found["areas"]
        ]
        degrees = shapely.transform(np.array(shapes, dtype=object), lambda at: (west, south) + at / 1e6)
        return GeoSeries(degrees, crs=4326).to_crs(self.plan.site.crs)


def _steps(values: Sequence[int]) -> NDArray[np.int64]:
    return np.cumsum(np.reshape(values, (-1, 2)), axis=0)


def texts_of(value: Any) -> list[str]:
    """Every text in the view, however deep."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in texts_of(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in texts_of(each)]
    return []


@dataclass(frozen=True)
class MapFrame:
    """A piece of ground on a piece of paper, at a round scale."""

    sheet: Sheet
    ax: Axes
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float
    scale: float  # denominator

    @classmethod
    def of(
        cls,
        sheet: Sheet,
        place_mm: tuple[float, float, float, float],
        bounds: NDArray[np.float64],
        *,
        margin_mm: float = 4.0,
    ) -> MapFrame:
        """Axes at ``place_mm`` (x, y, width, height) that show ``bounds`` at the largest round scale."""
        x_mm, y_mm, width_mm, height_mm = place_mm
        middle = (bounds[:2] + bounds[2:]) / 2
        span_m = np.maximum(bounds[2:] - bounds[:2], 1.0)
        least = 1000 * max(span_m / (np.array([width_mm, height_mm]) - 2 * margin_mm))
        scale = _round_up(least)
        half_m = np.array([width_mm, height_mm]) * scale / 2000
        ax = sheet.axes(x_mm, y_mm, width_mm, height_mm, facecolor=palette()["ground"])
        ax.set_xlim(middle[0] - half_m[0], middle[0] + half_m[0])
        ax.set_ylim(middle[1] - half_m[1], middle[1] + half_m[1])
        ax.set_xticks([])
        ax.set_yticks([])
        for each in ax.spines.values():
            each.set(color=palette()["outline"], linewidth=0.8)
        return cls(sheet, ax, x_mm, y_mm, width_mm, height_mm, scale)

    def mm(self, ground_m: float) -> float:
        """Length on paper of a length on the ground."""
        return 1000 * ground_m / self.scale

    def metres(self, paper_mm: float) -> float:
        """Length on the ground of a length on paper."""
        return paper_mm * self.scale / 1000

    @property
    def box(self) -> shapely.Polygon:
        """The ground that is shown."""
        (west, east), (south, north) = self.ax.get_xlim(), self.ax.get_ylim()
        return shapely.box(west, south, east, north)

    @property
    def size(self) -> float:
        """How large signs are: full size down to 1:2,500, then smaller, so that they do not hide the map."""
        return float(np.clip(2500 / self.scale, 0.35, 1.0))


def _round_up(scale: float) -> float:
    power = 10.0 ** np.floor(np.log10(scale))
    return float(next(each * power for each in (*_SCALES, 10.0) if each * power >= scale - 1e-9))


# ── drawing, from the ground up ──────────────────────────────────────────────────────────────────────


def draw_map(frame: MapFrame, ground: Ground, *, only_grid: int | None = None) -> None:
    """Draw everything residents may see that lies in the frame.

    Parameters
    ----------
    frame : MapFrame
    ground : Ground
    only_grid : int, optional
        Only this grid is tinted and numbered; the ground beside it stays pale.
    """
    colour = palette()
    _grids(frame, ground, only_grid)
    water, other = ground.barriers("water"), ground.barriers("other")
    _areas(frame, water, facecolor=colour["water"], zorder=2)
    _lines(frame, water, colour["water"], 1.6, zorder=2)
    _areas(frame, ground.buildings, facecolor=colour["building"], zorder=3)
    _areas(frame, other, facecolor=colour["other"], zorder=3)
    _railway(frame, other)
    alleys = ground.plan.site.layer("alleys").geometry
    _lines(frame, alleys, colour["dark"], _DARK_MM * frame.size, zorder=5, dash=_DASH)
    _lines(frame, ground.lit, colour["lamp-ring"], (_LIT_MM + 2 * _CASING_MM) * frame.size, zorder=6)
    _lines(frame, ground.lit, colour["lit"], _LIT_MM * frame.size, zorder=7)
    taken = _signs(frame, ground, only_grid)
    _names(frame, ground, taken)


def _grids(frame: MapFrame, ground: Ground, only_grid: int | None) -> None:
    colour = palette()
    if "grids" not in ground.plan.layers:
        boundary = ground.plan.site.layer("boundary").geometry
        _areas(frame, boundary, facecolor="none", edgecolor=colour["outline"], linewidth=0.8 * MM, zorder=4)
        return
    shapes = ground.plan.layers["grids"].geometry
    for row, grid in enumerate(ground.view["grids"]):
        if only_grid is not None and grid["grid_id"] != only_grid:
            continue
        tint = colour["exclusive" if grid["exclusive"] else f"tint-{grid['tint']}"]
        _areas(frame, shapes.iloc[[row]], facecolor=tint, zorder=1)
        if grid["exclusive"]:
            hatch = {"facecolor": "none", "edgecolor": _HATCH, "hatch": "////", "linewidth": 0.0}
            _areas(frame, shapes.iloc[[row]], zorder=1.5, **hatch)
    _areas(frame, shapes, facecolor="none", edgecolor=colour["outline"], linewidth=0.45 * MM, zorder=4)
    if only_grid is not None:
        own = shapes.iloc[[[each["grid_id"] for each in ground.view["grids"]].index(only_grid)]]
        _areas(frame, own, facecolor="none", edgecolor=colour["ink"], linewidth=0.9 * MM, zorder=4.5)


def _areas(frame: MapFrame, shapes: GeoSeries, **how: Any) -> None:
    """Polygons of any kind that lie in the frame; lines among them are left out."""
    parts = shapely.get_parts(shapes.to_numpy())
    parts = parts[(shapely.get_dimensions(parts) == 2) & shapely.intersects(parts, frame.box)]
    if len(parts):
        how = {"linewidth": 0.0, "edgecolor": "none", "capstyle": "round", "joinstyle": "round", **how}
        frame.ax.add_collection(PathCollection([_outline(each) for each in parts], **how), autolim=False)


def _outline(area: Any) -> Outline:
    """A polygon with its holes as one path, holes turning the other way."""
    area = shapely.orient_polygons(area)
    rings = [shapely.get_coordinates(each) for each in shapely.get_rings(area)]
    return Outline.make_compound_path(*(Outline(each, closed=True) for each in rings))


def _lines(
    frame: MapFrame,
    shapes: GeoSeries,
    colour: str,
    width_mm: float,
    *,
    zorder: float,
    dash: tuple[float, float] | None = None,
) -> None:
    parts = shapely.get_parts(shapes.to_numpy())
    parts = parts[(shapely.get_dimensions(parts) == 1) & shapely.intersects(parts, frame.box)]
    if len(parts):
        style: Any = "solid" if dash is None else (0, dash)
        lines = LineCollection(
            [shapely.get_coordinates(each) for each in parts],
            colors=colour,
            linewidths=width_mm * MM,
            linestyles=[style],
            capstyle="round" if dash is None else "butt",
            joinstyle="round",
            zorder=zorder,
        )
        frame.ax.add_collection(lines, autolim=False)


def _railway(frame: MapFrame, shapes: GeoSeries) -> None:
    """Barriers that are no water: a line with a white core, as railways are drawn."""
    colour = palette()
    _lines(frame, shapes, colour["outline"], 1.5 * frame.size, zorder=4.6)
    _lines(frame, shapes, "#FFFFFF", 0.8 * frame.size, zorder=4.7, dash=(6.0, 6.0))


# ── signs and names ──────────────────────────────────────────────────────────────────────────────────


def _signs(frame: MapFrame, ground: Ground, only_grid: int | None) -> list[Any]:
    """Lamps, meeting points, boards and grid numbers, none on another; returns the ground taken.

    A board or number that would hide an earlier sign moves aside, the board with a line to where it stands.
    """
    view, size, unit = ground.view, frame.size, frame.metres(1.0)
    lamps_taken, taken = [], []
    for sign, zorder in (("lamp_existing", 8.0), ("lamp_new", 8.5)):
        lamps = [
            each for each in view["lamps"] if (each["status"] == "existing") == (sign == "lamp_existing")
        ]
        for _, (x, y) in _named(frame, ground, lamps):
            draw_sign(frame.sheet, frame.ax, sign, x, y, unit, size=size, zorder=zorder)
            lamps_taken.append(_square(x, y, _LAMP_MM * size * unit))
    grids = [each for each in view["grids"] if only_grid in (None, each["grid_id"])]
    meetings = [{**each, "at": each["meeting"]} for each in grids if each["meeting"]]
    for _, (x, y) in _named(frame, ground, meetings):
        draw_sign(frame.sheet, frame.ax, "meeting", x, y, unit, size=size, zorder=10)
        taken.append(_square(x, y, _STAR_MM * size * unit))
    for _, (x, y) in _named(frame, ground, view["boards"]):
        at = _beside(x, y, _BOARD_MM * size * unit, taken)
        frame.ax.plot([x, at[0]], [y, at[1]], color=palette()["board"], lw=0.4 * size * MM, zorder=9.5)
        draw_sign(frame.sheet, frame.ax, "board", *at, unit, size=size, zorder=11)
    for grid, (x, y) in _named(frame, ground, [each for each in grids if each["at"]]):
        at = _beside(x, y, _DISC_MM * size * unit, taken)
        draw_sign(frame.sheet, frame.ax, "grid", *at, unit, size=size, text=str(grid["grid_id"]), zorder=12)
    return taken + lamps_taken


def _beside(x: float, y: float, width: float, taken: list[Any]) -> tuple[float, float]:
    """The free place nearest to a point for a sign so wide, from then on taken; the point if none is free."""
    turns = np.arange(12) * np.pi / 6
    places = [(x, y)] + [
        (x + reach * width * np.cos(turn), y + reach * width * np.sin(turn))
        for reach in (0.25, 0.5, 0.75, 1.0, 1.3)
        for turn in turns
    ]
    signs = [_square(east, north, width) for east, north in places]
    free = (i for i, sign in enumerate(signs) if not any(shapely.intersects(sign, each) for each in taken))
    chosen = next(free, 0)
    taken.append(signs[chosen])
    return places[chosen]


def _square(x: float, y: float, width: float) -> Any:
    return shapely.box(x - width / 2, y - width / 2, x + width / 2, y + width / 2)


def _names(frame: MapFrame, ground: Ground, taken: list[Any]) -> None:
    """Names of places, then of alleys from the longest on, each only where nothing is written yet."""
    view = ground.view
    places = _named(frame, ground, view["places"])
    size_pt = 9.5 * max(frame.size, 0.7)
    for place, (x, y) in places:
        for lift_mm in (0.0, 3.0, -3.0, 6.0, -6.0):
            at = (x, y + frame.metres(lift_mm))
            if _write(frame, place["name"], at, 0.0, size_pt, taken, bold=True):
                break
    for each, (x, y) in _named(frame, ground, view["alleys"]["names"]):
        turn = np.radians(each["heading_deg"])
        for share in (0.0, 0.2, -0.2, 0.35, -0.35):
            along_m = share * each["length_m"]
            at = (x + along_m * np.cos(turn), y + along_m * np.sin(turn))
            if _write(frame, each["name"], at, each["heading_deg"], 0.9 * size_pt, taken, beside=True):
                break


def _named(
    frame: MapFrame, ground: Ground, rows: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], NDArray[np.float64]]]:
    """Rows of the view with their places, those in the frame only."""
    (west, east), (south, north) = frame.ax.get_xlim(), frame.ax.get_ylim()
    xy = ground.xy([each["at"] for each in rows])
    x, y = xy.T
    here = np.flatnonzero((x > west) & (x < east) & (y > south) & (y < north))
    return [(rows[each], xy[each]) for each in here.tolist()]


def _write(
    frame: MapFrame,
    name: str,
    at: tuple[float, float],
    turn_deg: float,
    size_pt: float,
    taken: list[Any],
    *,
    bold: bool = False,
    beside: bool = False,
) -> bool:
    """Write a name at a place, or beside the line that runs through it, if its ground is free."""
    width = frame.metres(frame.sheet.width_of(name, size_pt, bold=bold) + 0.8)
    height = frame.metres(size_pt / MM * 1.15)
    turn = np.radians(turn_deg)
    for side in (1.0, -1.0) if beside else (0.0,):
        off = side * (height / 2 + frame.metres(1.2))
        x, y = at[0] - off * np.sin(turn), at[1] + off * np.cos(turn)
        label = shapely.box(-width / 2, -height / 2, width / 2, height / 2)
        label = shapely.affinity.translate(shapely.affinity.rotate(label, turn_deg, origin=(0, 0)), x, y)
        free = (
            frame.box.contains(label) and not shapely.intersects(np.array(taken, dtype=object), label).any()
        )
        if free:
            taken.append(label)
            text = "".join(each if each.isprintable() else " " for each in name)
            frame.ax.text(
                x, y, text, rotation=turn_deg, rotation_mode="anchor", ha="center", va="center_baseline",
                fontproperties=frame.sheet.face(size_pt, bold=bold), color=palette()["ink"], zorder=9,
                bbox={"facecolor": "#FFFFFF", "alpha": 0.72, "edgecolor": "none", "pad": 0.4},
            )  # fmt: skip
            return True
    return False


def draw_sign(
    sheet: Sheet,
    ax: Axes,
    sign: str,
    x: float,
    y: float,
    unit: float,
    *,
    size: float = 1.0,
    text: str = "7",
    zorder: float = 10,
) -> None:
    """One sign of the map or its legend.

    Parameters
    ----------
    sheet : Sheet
        Gives the typeface.
    ax : Axes
    sign : str
        One of ``SIGNS``.
    x, y : float
        Its middle, in the units of ``ax``.
    unit : float
        A millimetre in the units of ``ax``.
    size : float
        1 is full size.
    text : str
        What stands in a grid's disc.
    """
    colour, mm = palette(), unit * size
    ring = colour["lamp-ring"]
    edge: dict[str, Any] = {"linewidth": 0.35 * size * MM, "zorder": zorder}
    patches: dict[str, list[Any]] = {
        "lamp_new": [Circle((x, y), _LAMP_MM * mm / 2, fc=colour["lamp"], ec=ring, **edge)],
        "lamp_existing": [Circle((x, y), 0.85 * _LAMP_MM * mm / 2, fc="#FFFFFF", ec=ring, **edge)],
        "board": [
            Rectangle(
                (x - _BOARD_MM * mm / 2, y - _BOARD_MM * mm / 2), _BOARD_MM * mm, _BOARD_MM * mm,
                fc=colour["board"], ec="#FFFFFF", **edge,
            )
        ],
        "meeting": [Polygon(_star(x, y, _STAR_MM * mm / 2), fc=colour["meeting"], ec="#FFFFFF", **edge)],
        "grid": [Circle((x, y), _DISC_MM * mm / 2, fc="#FFFFFF", ec=colour["outline"], **edge)],
        "building": [Rectangle((x - 3 * mm, y - 2 * mm), 6 * mm, 4 * mm, fc=colour["building"], ec="none")],
        "water": [Rectangle((x - 4 * mm, y - 2 * mm), 8 * mm, 4 * mm, fc=colour["water"], ec="none")],
        "exclusive": [
            Rectangle(
                (x - 4 * mm, y - 2.5 * mm), 8 * mm, 5 * mm, fc=colour["exclusive"], ec=_HATCH, hatch="////"
            )
        ],
    }  # fmt: skip
    for each in patches.get(sign, []):
        ax.add_patch(each)
    line_x, line_y = (x - 6 * mm, x + 6 * mm), (y, y)
    for width_mm, ink, dash in _LINES.get(sign, ()):
        style: Any = "solid" if dash is None else (0, dash)
        ends: dict[str, Any] = {"solid_capstyle": "butt", "dash_capstyle": "butt", "zorder": zorder}
        ax.plot(line_x, line_y, color=colour.get(ink, ink), lw=width_mm * size * MM, ls=style, **ends)
    written = {"grid": (text, 5.2, "ink"), "board": (word("board_sign").zh, 3.7, "paper")}.get(sign)
    if written is not None:
        said, height_mm, ink = written
        face = sheet.face(height_mm * size * MM, bold=True)
        how: dict[str, Any] = {
            "ha": "center",
            "va": "center_baseline",
            "color": colour[ink],
            "zorder": zorder + 0.1,
        }
        ax.text(x, y, said, fontproperties=face, **how)


_LINES: dict[str, tuple[tuple[float, str, tuple[float, float] | None], ...]] = {
    "lit": ((_LIT_MM + 2 * _CASING_MM, "lamp-ring", None), (_LIT_MM, "lit", None)),
    "dark": ((_DARK_MM, "dark", _DASH),),
    "other": ((1.5, "outline", None), (0.8, "#FFFFFF", (6.0, 6.0))),
}


def _star(x: float, y: float, radius: float) -> NDArray[np.float64]:
    turn = np.pi / 2 + np.arange(10) * np.pi / 5
    reach = radius * np.where(np.arange(10) % 2, 0.42, 1.0)
    return np.column_stack([x + reach * np.cos(turn), y + reach * np.sin(turn)])


def draw_corners(frame: MapFrame) -> None:
    """Scale bar and north arrow on white ground in the map's lower left and upper right corner."""
    sheet = frame.sheet.overlay()
    right, high = frame.x_mm + frame.width_mm, frame.y_mm + frame.height_mm
    plain: dict[str, Any] = {"fc": "#FFFFFF", "ec": palette()["outline"], "lw": 0.6}
    said = _bar_length(frame)
    sheet.ax.add_patch(Rectangle((frame.x_mm, frame.y_mm), frame.mm(said) + 27, 12, **plain))
    sheet.ax.add_patch(Rectangle((right - 18, high - 20), 18, 20, **plain))
    _scale_bar(sheet, frame, frame.x_mm + 5, frame.y_mm + 3)
    _north(sheet, right - 9, high - 18)


def _bar_length(frame: MapFrame) -> float:
    """The longest round length that is no longer than a fifth of the map. [m]"""
    most_m = frame.metres(frame.width_mm / 5)
    power = 10.0 ** np.floor(np.log10(most_m))
    return max(each * power for each in _BARS if each * power <= most_m)


def _scale_bar(sheet: Sheet, frame: MapFrame, x_mm: float, y_mm: float) -> None:
    """A bar of a round length, half black and half white."""
    length_m, ink = _bar_length(frame), palette()["ink"]
    length_mm = frame.mm(length_m)
    for i, fill in enumerate((ink, "#FFFFFF")):
        corner = (x_mm + i * length_mm / 2, y_mm)
        sheet.ax.add_patch(Rectangle(corner, length_mm / 2, 1.8, fc=fill, ec=ink, lw=0.8))
    said = word("metres", n=f"{length_m:,g}")
    sheet.text(x_mm, y_mm + 3.4, "0", 11, ha="center")
    sheet.text(x_mm + length_mm / 2, y_mm + 3.4, f"{length_m / 2:,g}", 11, ha="center")
    sheet.text(x_mm + length_mm - 3, y_mm + 3.4, f"{said.zh} {said.en.split()[-1]}", 11)


def _north(sheet: Sheet, x_mm: float, y_mm: float) -> None:
    """An arrow to grid north with its letters."""
    ink = palette()["ink"]
    left = [(x_mm, y_mm + 10), (x_mm - 3.2, y_mm), (x_mm, y_mm + 2.4)]
    right = [(x_mm, y_mm + 10), (x_mm + 3.2, y_mm), (x_mm, y_mm + 2.4)]
    sheet.ax.add_patch(Polygon(left, fc=ink, ec=ink, lw=0.8))
    sheet.ax.add_patch(Polygon(right, fc="#FFFFFF", ec=ink, lw=0.8))
    north = word("north")
    sheet.text(x_mm, y_mm + 11.5, f"{north.zh} {north.en}", 12, bold=True, ha="center")


def legend_of(ground: Ground) -> list[str]:
    """The signs that occur on the map, in the legend's order."""
    view = ground.view
    lamps = {each["status"] == "existing" for each in view["lamps"]}
    barriers = {kind for kind in ("water", "other") if any(view["barriers"][kind].values())}
    there = {
        "grid": bool(view["grids"]),
        "exclusive": any(each["exclusive"] for each in view["grids"]),
        "lamp_new": False in lamps,
        "lamp_existing": True in lamps,
        "board": bool(view["boards"]),
        "meeting": any(each["meeting"] for each in view["grids"]),
        "lit": bool(len(ground.lit)),
        "dark": True,
        "building": bool(len(ground.buildings)),
        "water": "water" in barriers,
        "other": "other" in barriers,
    }
    return [each for each in SIGNS if there[each]]
