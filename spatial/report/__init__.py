"""What a planner hands over: tables, poster, decision sheet, notice plates, drawings for CAD and phones."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spatial.errors import DataError
from spatial.report.sheets import write_tables

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["write_report", "write_tables"]


def write_report(plan: Plan, out: Path, *, plates: bool = False) -> tuple[list[str], list[str]]:
    """Write poster.pdf, decision.pdf, plan.dxf and plan.kml, on request plates.pdf, into a folder.

    All are made first and put in place one by one when all are whole. The same plan gives the same bytes.
    None holds personal data.

    Parameters
    ----------
    plan : Plan
    out : Path
        Made where it is missing; other files in it stay.
    plates : bool
        Also one A4 notice plate per grid.

    Returns
    -------
    list of str
        Names of the files written.
    list of str
        Characters of the plan that the typeface lacks; the sheets show empty boxes for them.

    Raises
    ------
    DataError
        No Chinese font is installed, plates are asked for a plan without grids, or ``out`` can't be written.
    """
    if plates and "grids" not in plan.layers:
        raise DataError(
            "--plates draws one plate per grid, and this plan has no grids; plan them, or leave it out"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=out) as folder:
            missing = _write_all(plan, Path(folder), plates=plates)
            made = sorted(Path(folder).iterdir())
            for each in made:
                with each.open("rb") as stream:
                    os.fsync(stream.fileno())
                each.replace(out / each.name)
    except OSError as error:
        raise DataError(f"{out} can't be written: {error.strerror}; choose another --out") from None
    return [each.name for each in made], missing


def _write_all(plan: Plan, folder: Path, *, plates: bool) -> list[str]:
    from spatial.report.cad import write_dxf, write_kml
    from spatial.report.decision import decision_sheet
    from spatial.report.drawing import Ground, texts_of
    from spatial.report.fonts import Faces
    from spatial.report.paper import Sheet, write_pdf
    from spatial.report.plates import plates as notice_plates
    from spatial.report.poster import poster
    from spatial.report.words import every_word

    write_dxf(plan, folder / "plan.dxf")
    write_kml(plan, folder / "plan.kml")
    ground = Ground.of(plan)
    community = plan.summary["settings"]["community"]
    text = [*texts_of(ground.view), *every_word(), *texts_of(community), plan.site.crs.name]
    text += list(plan.summary.get("facilities") or ())
    title = ground.view["about"]["name"]
    missing: set[str] = set()
    made: dict[str, Callable[[Ground, Faces], Iterable[Sheet]]] = {
        "poster.pdf": poster,
        "decision.pdf": decision_sheet,
    }
    if plates:
        made["plates.pdf"] = notice_plates
    for name, compose in made.items():
        missing |= set(write_pdf(folder / name, partial(compose, ground), text=text, title=title))
    return sorted(missing)
