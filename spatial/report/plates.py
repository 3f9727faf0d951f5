"""Notice plates: for every grid one A4 sheet to hang at its meeting point. Roles, never names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import shapely

from spatial.maps.qr import qr_rows
from spatial.palette import palette
from spatial.report.drawing import Ground, MapFrame, draw_corners, draw_map, draw_sign
from spatial.report.fonts import Faces
from spatial.report.paper import A4, Sheet
from spatial.report.poster import comments_url
from spatial.report.words import word
from spatial.schema import Term
from spatial.settings import Settings

__all__ = ["plates"]

_EDGE_MM = 14.0
_WIDE_MM = A4[0] - 2 * _EDGE_MM
_LABEL_MM = 50.0
_STEP_MM = 15.0
_CODE_MM = 30.0
_MOST_CODES = 24  # of new lamps on one plate; more are counted


def plates(ground: Ground, faces: Faces) -> Iterator[Sheet]:
    """One sheet per grid, in the order of their numbers."""
    shapes = ground.plan.layers["grids"].geometry
    for row, grid in enumerate(ground.view["grids"]):
        sheet = Sheet.of(A4, faces)
        told = list(_told(ground, grid, row))
        address = comments_url(ground)
        foot = _EDGE_MM + (_CODE_MM if address else _STEP_MM)
        low = foot + 4 + _STEP_MM * len(told)
        top = _head(sheet, ground, grid)
        place = (_EDGE_MM, low + 3, _WIDE_MM, top - low - 3)
        frame = MapFrame.of(sheet, place, shapely.bounds(shapes.iloc[row]), margin_mm=10.0)
        draw_map(frame, ground, only_grid=grid["grid_id"])
        draw_corners(frame)
        _lines(sheet, told, low)
        _say(sheet, address, foot)
        yield sheet


def _head(sheet: Sheet, ground: Ground, grid: Mapping[str, Any]) -> float:
    """The grid's number as large as a house number, the community beside it; returns where it ends. [mm]"""
    about = ground.view["about"]
    title = word("plate", n=grid["grid_id"])
    base = sheet.height_mm - _EDGE_MM - 17
    sheet.text(_EDGE_MM, base, title.zh, 58, bold=True, width_mm=0.62 * _WIDE_MM)
    own_mm = min(sheet.width_of(title.zh, 58, bold=True), 0.62 * _WIDE_MM) + 8
    room_mm = _WIDE_MM - own_mm
    name = grid["exclusive"] or about["name"]
    sheet.text(_EDGE_MM + own_mm, base + 8, name, 24, bold=True, width_mm=room_mm)
    english = f"{title.en}, {about['name_en']}"
    sheet.text(_EDGE_MM + own_mm, base + 0.5, english, 14, colour="quiet", width_mm=room_mm)
    return base - 8


def _told(ground: Ground, grid: Mapping[str, Any], row: int) -> Iterator[tuple[str, Term, Term]]:
    """Sign, heading and text of each line below the map."""
    yield "", word("in_charge"), _in_charge(ground, grid, row)
    if grid["meeting"] is not None:
        alley = grid["meeting_alley"]
        text = Term(alley, alley) if alley else word("see_star")
        walk = grid["walk_mean_m"]
        more = word("mean_walk", m=walk) if walk is not None else Term("", "")
        yield "meeting", word("meet_at"), _joined(text, more)
    if ground.plan.summary["boards"]:
        place = {each["board_code"]: each["alley"] for each in ground.view["boards"]}
        codes = [f"{each} {place.get(each) or ''}".strip() for each in grid["boards"][:3]]
        yield "board", word("boards_here"), _listed(codes)
    if ground.plan.summary["lamps"]:
        yield "lamp_new", word("lamps_here"), _lamps(ground, grid)
    if grid["households"] is not None:
        homes = "homes_estimated" if ground.plan.households_estimated else "homes"
        yield "", word("size_here"), word(homes, n=grid["households"])


def _say(sheet: Sheet, address: str | None, top: float) -> None:
    """How to send a comment: a code where there is an address, else in a line."""
    if address is None:
        _lines(sheet, [("", word("say"), word("say_how"))], top)
        return
    sheet.ax.plot([_EDGE_MM, _EDGE_MM + _WIDE_MM], [top, top], color=palette()["line"], lw=0.8)
    sheet.qr(_EDGE_MM, top - _CODE_MM, _CODE_MM, qr_rows(address))
    x, room, said = _EDGE_MM + _CODE_MM + 3, _WIDE_MM - _CODE_MM - 3, word("say_code")
    sheet.text(x, top - 13, said.zh, 17, bold=True, width_mm=room)
    sheet.text(x, top - 17.6, said.en, 9, colour="quiet", width_mm=room)
    sheet.text(x, top - 24, address, 9, width_mm=room)


def _in_charge(ground: Ground, grid: Mapping[str, Any], row: int) -> Term:
    """The role in charge, the worker by number, the party branch by its name."""
    rows = ground.plan.layers["grids"]
    said = [Term(grid["leader_role"] or word("none_here").zh, "")]
    worker, branch = rows["worker_id"].iloc[row], rows["branch_id"].iloc[row]
    if pd.notna(worker):
        said.append(word("worker", n=int(worker)))
    names = Settings.model_validate(ground.plan.summary["settings"]).community.branch_names
    if pd.notna(branch) and 1 <= branch <= len(names):
        said.append(Term(names[int(branch) - 1], ""))
    return _joined(*said)


def _lamps(ground: Ground, grid: Mapping[str, Any]) -> Term:
    lamps = [each for each in ground.view["lamps"] if each["grid_id"] == grid["grid_id"]]
    new = [each["lamp_code"] for each in lamps if each["status"] != "existing"]
    count = word("lamps_count", new=len(new), old=len(lamps) - len(new))
    return word("codes", count=count, codes="、".join(new)) if 0 < len(new) <= _MOST_CODES else count


def _joined(*said: Term) -> Term:
    zh, en = (
        [text for text in texts if text] for texts in zip(*((each.zh, each.en) for each in said), strict=True)
    )
    return Term("，".join(zh), ", ".join(en))


def _listed(codes: list[str]) -> Term:
    return Term("、".join(codes), "") if codes else word("none_here")


def _lines(sheet: Sheet, told: list[tuple[str, Term, Term]], top: float) -> None:
    """What is told, one line each: sign, heading, text."""
    for sign, heading, text in told:
        middle = top - _STEP_MM / 2
        sheet.ax.plot([_EDGE_MM, _EDGE_MM + _WIDE_MM], [top, top], color=palette()["line"], lw=0.8)
        if sign:
            draw_sign(sheet, sheet.ax, sign, _EDGE_MM + 4, middle, 1.0)
        sheet.text(_EDGE_MM + 10, middle, heading.zh, 17, bold=True, width_mm=_LABEL_MM - 12)
        sheet.text(_EDGE_MM + 10, middle - 4.6, heading.en, 9, colour="quiet", width_mm=_LABEL_MM - 12)
        x, room = _EDGE_MM + _LABEL_MM, _WIDE_MM - _LABEL_MM
        rows = sheet.lines(text.zh, 17, room)
        if len(rows) > 1:
            sheet.paragraph(x, top - 0.2, text.zh, 17 * min(1.0, 1.6 / len(rows)), room)
        else:
            sheet.text(x, middle, text.zh, 17, width_mm=room)
            sheet.text(x, middle - 4.6, text.en, 9, colour="quiet", width_mm=room)
        top -= _STEP_MM
