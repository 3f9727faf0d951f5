"""The poster: the whole plan on one A3 sheet, to be read from two metres."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from spatial.maps.qr import qr_rows
from spatial.palette import palette
from spatial.report.drawing import (
    Ground,
    MapFrame,
    draw_corners,
    draw_map,
    draw_sign,
    legend_of,
)
from spatial.report.figures import KeyFigure, key_figures
from spatial.report.fonts import Faces
from spatial.report.paper import A3, MM, Sheet
from spatial.report.words import word
from spatial.schema import Term
from spatial.settings import Settings

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["about_lines", "comments_url", "head", "poster"]

_EDGE_MM = 12.0
_SIDE_MM = 102.0  # width of the column of figures
_LEGEND_MM = 37.0
_CODE_MM = 34.0
_SAY_MM = 30.0


def poster(ground: Ground, faces: Faces) -> Iterable[Sheet]:
    """One sheet: map, legend, scale, north, key figures with their proof, date."""
    sheet = Sheet.of(A3, faces)
    whole = all(ground.plan.summary[each] for each in ("grids", "lamps", "boards"))
    top_mm = head(sheet, ground, word("poster" if whole else "poster_plain"), size_pt=36)
    map_width = sheet.width_mm - 2 * _EDGE_MM - _SIDE_MM - 8
    low_mm = _EDGE_MM + 7 + _LEGEND_MM
    frame = MapFrame.of(sheet, (_EDGE_MM, low_mm, map_width, top_mm - low_mm), ground.bounds)
    draw_map(frame, ground)
    draw_corners(frame)
    address = comments_url(ground)
    if address is not None:
        _say(sheet, address, low_mm, _EDGE_MM + map_width)
    _legend(sheet, ground, low_mm, map_width if address is None else map_width - _CODE_MM - _SAY_MM - 4)
    _figures(sheet, key_figures(ground.plan), top_mm)
    _foot(sheet, frame, ground)
    return [sheet]


def head(sheet: Sheet, ground: Ground, title: Term, *, size_pt: float, edge_mm: float = _EDGE_MM) -> float:
    """Title in both languages on the left, date on the right; returns where the sheet goes on. [mm]"""
    about = ground.view["about"]
    room_mm = sheet.width_mm - 2 * edge_mm
    base_mm = sheet.height_mm - edge_mm - 0.8 * size_pt / MM
    date = _date(about["date"])
    date_mm = sheet.width_of(date.zh, 0.5 * size_pt) + 6 if about["date"] else 0.0
    name = f"{about['name']}{title.zh}"
    sheet.text(edge_mm, base_mm, name, size_pt, bold=True, width_mm=room_mm - date_mm)
    english = f"{about['name_en']}: {title.en.lower() if title.en[:1].isupper() else title.en}"
    base_en = base_mm - 0.62 * size_pt / MM
    sheet.text(edge_mm, base_en, english, 0.42 * size_pt, colour="quiet", width_mm=room_mm - date_mm)
    if about["date"]:
        right = sheet.width_mm - edge_mm
        sheet.text(right, base_mm, date.zh, 0.5 * size_pt, ha="right")
        sheet.text(right, base_en, date.en, 0.36 * size_pt, colour="quiet", ha="right")
    return base_en - 0.3 * size_pt / MM


def _date(iso: str | None) -> Term:
    if iso is None:
        return Term("", "")
    year, month, day = (int(each) for each in iso.split("-"))
    return word("day", year=year, month=month, day=day)


def _legend(sheet: Sheet, ground: Ground, below_mm: float, width_mm: float) -> None:
    """The signs below the map in columns of three."""
    signs = legend_of(ground)
    columns = -(-len(signs) // 3)
    step_mm = width_mm / columns
    first = str(ground.view["grids"][0]["grid_id"]) if ground.view["grids"] else "1"
    for i, sign in enumerate(signs):
        x, y = _EDGE_MM + i // 3 * step_mm, below_mm - 8 - i % 3 * 12.0
        draw_sign(sheet, sheet.ax, sign, x + 6, y, 1.0, text=first)
        said = word(f"legend_{sign}")
        sheet.text(x + 14.5, y - 0.2, said.zh, 16, width_mm=step_mm - 16)
        sheet.text(x + 14.5, y - 4.6, said.en, 9.5, colour="quiet", width_mm=step_mm - 16)


def _say(sheet: Sheet, address: str, below_mm: float, right_mm: float) -> None:
    """The code of the address for comments, below the map on the right, and what it is for."""
    top, said = below_mm - 2, word("say_code")
    left = right_mm - _CODE_MM
    sheet.qr(left, top - _CODE_MM, _CODE_MM, qr_rows(address))
    sheet.text(left - 2, top - 15, said.zh, 16, bold=True, width_mm=_SAY_MM, ha="right")
    sheet.text(left - 2, top - 20, said.en, 9.5, colour="quiet", width_mm=_SAY_MM, ha="right")


def _figures(sheet: Sheet, figures: list[KeyFigure], top_mm: float) -> None:
    """The key figures one below the other in the right column."""
    x = sheet.width_mm - _EDGE_MM - _SIDE_MM
    step_mm = (top_mm - _EDGE_MM - 7) / max(len(figures), 1)
    for i, each in enumerate(figures):
        top = top_mm - i * step_mm
        if i:
            sheet.ax.plot([x, x + _SIDE_MM], [top, top], color=palette()["line"], lw=1.0)
        base = top - 22.0
        sheet.text(x, base, each.number, 60, bold=True)
        own_mm = sheet.width_of(each.number, 60, bold=True) + 4
        sheet.text(x + own_mm, base + 5.6, each.name.zh, 28, bold=True, width_mm=_SIDE_MM - own_mm)
        sheet.text(x + own_mm, base, each.name.en, 13, colour="quiet", width_mm=_SIDE_MM - own_mm)
        end = sheet.paragraph(x, base - 2.5, each.more.zh, 20, _SIDE_MM)
        end = sheet.paragraph(x, end, each.more.en, 11, _SIDE_MM, colour="quiet")
        if each.proof.en:
            end = sheet.paragraph(x, end - 0.5, each.proof.zh, 16, _SIDE_MM, bold=True, colour="meeting")
            sheet.paragraph(x, end, each.proof.en, 11, _SIDE_MM, colour="quiet")


def _foot(sheet: Sheet, frame: MapFrame, ground: Ground) -> None:
    scale = word("scale", n=round(frame.scale), paper="A3")
    said = [scale, *about_lines(ground)]
    if comments_url(ground) is None:
        said.append(word("say_how"))
    width_mm = sheet.width_mm - 2 * _EDGE_MM
    sheet.text(_EDGE_MM, _EDGE_MM + 1.2, "   ·   ".join(each.zh for each in said), 10, width_mm=width_mm)
    english = "   ·   ".join(each.en for each in said)
    sheet.text(_EDGE_MM, _EDGE_MM - 3.2, english, 8, colour="quiet", width_mm=width_mm)


def comments_url(ground: Ground) -> str | None:
    """Where residents may send comments, as the settings say."""
    return Settings.model_validate(ground.plan.summary["settings"]).public.comments_url


def about_lines(ground: Ground) -> list[Term]:
    """How light is meant, where the coordinates are, and which plan this is."""
    plan: Plan = ground.plan
    settings = Settings.model_validate(plan.summary["settings"])
    crs, lamps = plan.site.crs, settings.lamps
    values: dict[str, Any] = {"name": crs.name, "code": crs.to_string()}
    said = [word("crs", **values), word("plan_id", id=plan.summary["plan_id"])]
    if plan.summary["lamps"]:
        sighted = lamps.line_of_sight and "buildings" in plan.site.layers
        key = "lux" if lamps.model == "lux" else "reach_sight" if sighted else "reach"
        said.insert(0, word(key, n=lamps.reach_m))
    if ground.view["figures"]["households_estimated"]:
        said.insert(0, word("estimated"))
    return said
