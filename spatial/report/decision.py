"""The decision sheet: on one A4 page what the plan achieves against doing nothing, and how good that is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from spatial.palette import palette
from spatial.report.drawing import Ground
from spatial.report.figures import Figure, costs, decision_rows, percent
from spatial.report.fonts import Faces
from spatial.report.paper import A4, Sheet
from spatial.report.poster import about_lines, head
from spatial.report.words import word
from spatial.schema import Term

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["decision_sheet"]

_EDGE_MM = 16.0
_WIDE_MM = A4[0] - 2 * _EDGE_MM
_COLUMNS_MM = (58.0, 36.0, 40.0, 44.0)  # figure, today, planned, how good


def decision_sheet(ground: Ground, faces: Faces) -> Iterable[Sheet]:
    """One sheet: table, lamps against light, costs, open promises, room for the vote."""
    sheet = Sheet.of(A4, faces)
    top = head(sheet, ground, word("decision"), size_pt=24, edge_mm=_EDGE_MM) - 2
    top = _table(sheet, decision_rows(ground.plan), top)
    note = word("proof_note")
    top = sheet.paragraph(_EDGE_MM, top - 1.5, note.zh, 9, _WIDE_MM, colour="quiet")
    top = sheet.paragraph(_EDGE_MM, top, note.en, 7.5, _WIDE_MM, colour="quiet")
    low = _closing(sheet, ground)
    if "lamp_curve" in ground.plan.layers and top - low > 55:
        _curve(sheet, ground.plan, low + 6, min(top - low - 10, 82.0))
    return [sheet]


def _table(sheet: Sheet, rows: list[Figure], top: float) -> float:
    """The rows under their heading; returns where the table ends. [mm]"""
    heads = [word(each) for each in ("figure", "today", "planned", "how_good")]
    step = 13.5
    sheet.ax.add_patch(Rectangle((_EDGE_MM, top - step), _WIDE_MM, step, fc=palette()["line"], ec="none"))
    _row(sheet, heads, top, step, bold=True)
    for each in rows:
        top -= step
        sheet.ax.plot([_EDGE_MM, _EDGE_MM + _WIDE_MM], [top, top], color=palette()["line"], lw=0.8)
        _row(sheet, [each.name, each.today, each.planned, each.proof], top, step, bold_at=2)
    top -= step
    sheet.ax.plot([_EDGE_MM, _EDGE_MM + _WIDE_MM], [top, top], color=palette()["outline"], lw=1.0)
    return top


def _row(
    sheet: Sheet, cells: list[Term], top: float, step: float, *, bold: bool = False, bold_at: int = -1
) -> None:
    x = _EDGE_MM + 2
    for i, (cell, width) in enumerate(zip(cells, _COLUMNS_MM, strict=True)):
        heavy = bold or i == bold_at
        base = top - (6.2 if cell.en else 8.2)
        sheet.text(x, base, cell.zh, 12, bold=heavy, width_mm=width - 3)
        sheet.text(x, base - 4.6, cell.en, 8, colour="quiet", width_mm=width - 3)
        x += width


def _curve(sheet: Sheet, plan: Plan, low: float, height: float) -> None:
    """Share of alley lit by the number of lamps, its bound, and where the plan stands."""
    colour, lamps = palette(), plan.summary["lamps"]
    curve = plan.layers["lamp_curve"].sort_values("n_lamps")
    title = word("curve")
    sheet.text(_EDGE_MM, low + height - 3, title.zh, 13, bold=True)
    own = sheet.width_of(title.zh, 13, bold=True) + 3
    sheet.text(_EDGE_MM + own, low + height - 3, title.en, 9, colour="quiet")
    ax = sheet.axes(_EDGE_MM + 15, low + 13, _WIDE_MM - 20, height - 22)
    share = curve["lit_m"] / lamps["alley_m"]
    ax.plot(curve["n_lamps"], share, color=colour["lamp-ring"], lw=2.0, zorder=3)
    if curve["bound_m"].notna().any():
        bound = curve["bound_m"] / lamps["alley_m"]
        ax.plot(curve["n_lamps"], bound, color=colour["quiet"], lw=1.0, ls=(0, (4, 2)), zorder=2)
    ax.plot(
        [lamps["n_chosen"]],
        [lamps["share_lit"]],
        marker="o",
        ms=9,
        mfc=colour["lit"],
        mec=colour["lamp-ring"],
        zorder=4,
    )
    here = word("curve_here", n=lamps["n_chosen"], share=percent(lamps["share_lit"]))
    ax.annotate(
        f"{here.zh}\n{here.en}", (lamps["n_chosen"], lamps["share_lit"]), xytext=(10, -14),
        textcoords="offset points", va="top", fontproperties=sheet.face(10), color=colour["ink"],
    )  # fmt: skip
    ax.set_ylim(0, 1.02)
    ax.set_xlim(0, max(float(curve["n_lamps"].max()), 1.0))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.grid(color=colour["line"], lw=0.6)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for each in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        each.set_fontproperties(sheet.face(9))
    for key, place in (("curve_x", ax.set_xlabel), ("curve_y", ax.set_ylabel)):
        place(f"{word(key).zh} {word(key).en}", fontproperties=sheet.face(9))


def _closing(sheet: Sheet, ground: Ground) -> float:
    """Costs, what is open, the vote and the foot; returns how high they reach. [mm]"""
    plan = ground.plan
    opened = word("open", faults=len(plan.summary["faults"]), doubts=len(plan.summary["doubts"]))
    about = about_lines(ground)
    sheet.text(_EDGE_MM, 13.5, "  ·  ".join(each.zh for each in about), 8, colour="quiet", width_mm=_WIDE_MM)
    sheet.text(_EDGE_MM, 10, "  ·  ".join(each.en for each in about), 6.5, colour="quiet", width_mm=_WIDE_MM)
    y = 24.0
    for key in ("sign", "vote"):
        said = word(key)
        sheet.text(_EDGE_MM, y + 4.2, said.zh, 13, bold=key == "vote", width_mm=_WIDE_MM)
        sheet.text(_EDGE_MM, y, said.en, 8, colour="quiet", width_mm=_WIDE_MM)
        y += 13.0
    sheet.ax.plot([_EDGE_MM, _EDGE_MM + _WIDE_MM], [y - 1, y - 1], color=palette()["outline"], lw=1.0)
    y += 4
    for each in reversed([*costs(plan), opened]):
        sheet.text(_EDGE_MM, y + 3.6, each.zh, 11, width_mm=_WIDE_MM)
        sheet.text(_EDGE_MM, y, each.en, 7.5, colour="quiet", width_mm=_WIDE_MM)
        y += 10.0
    return y
