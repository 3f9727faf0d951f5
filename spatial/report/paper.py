"""A sheet of paper in millimetres: text that fits its place, signs, and PDF files whose bytes never vary."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from spatial.maps.qr import QUIET
from spatial.palette import palette
from spatial.report.fonts import Faces, embeddable_faces

__all__ = ["A3", "A4", "MM", "Sheet", "write_pdf"]

A3 = (420.0, 297.0)
A4 = (210.0, 297.0)
MM = 72 / 25.4  # points in a millimetre

_FIXED = {"Creator": "alleyplan", "Producer": "alleyplan", "CreationDate": None, "ModDate": None}
_SETTINGS: Any = {
    "pdf.fonttype": 42,
    "pdf.compression": 6,
    "pdf.use14corefonts": False,
    "path.simplify": False,
    "axes.unicode_minus": False,
    "text.parse_math": False,
    "text.usetex": False,
}
#: A Latin word with the spaces after it, or one character with the punctuation that may not begin a line.
_TOKENS = re.compile(r"[!-~]+[，。；：、）》”]*\s*|\s+|[（《“]?.[，。；：、）》”]*")


@dataclass(frozen=True)
class Sheet:
    """One page; ``ax`` covers it and counts millimetres from the lower left corner."""

    figure: Figure
    ax: Axes
    width_mm: float
    height_mm: float
    faces: Faces

    @classmethod
    def of(cls, size_mm: tuple[float, float], faces: Faces) -> Sheet:
        """An empty sheet."""
        width_mm, height_mm = size_mm
        figure = Figure(figsize=(width_mm / 25.4, height_mm / 25.4))
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set(xlim=(0, width_mm), ylim=(0, height_mm))
        ax.set_axis_off()
        return cls(figure, ax, width_mm, height_mm, faces)

    def axes(self, x_mm: float, y_mm: float, width_mm: float, height_mm: float, **how: Any) -> Axes:
        """Further axes on a part of the sheet."""
        place = (
            x_mm / self.width_mm,
            y_mm / self.height_mm,
            width_mm / self.width_mm,
            height_mm / self.height_mm,
        )
        return self.figure.add_axes(place, **how)

    def overlay(self) -> Sheet:
        """The same sheet once more, above all other axes."""
        above = self.axes(0.0, 0.0, self.width_mm, self.height_mm, zorder=5)
        above.set(xlim=(0, self.width_mm), ylim=(0, self.height_mm))
        above.set_axis_off()
        return replace(self, ax=above)

    def face(self, size_pt: float, *, bold: bool = False) -> FontProperties:
        """The sheet's typeface."""
        return FontProperties(fname=str(self.faces.bold if bold else self.faces.regular), size=size_pt)

    def width_of(self, text: str, size_pt: float, *, bold: bool = False) -> float:
        """Set width of one line. [mm]"""
        return self.faces.width_of(text, bold=bold) * size_pt / MM

    def text(
        self,
        x_mm: float,
        y_mm: float,
        text: str,
        size_pt: float,
        *,
        bold: bool = False,
        colour: str = "ink",
        width_mm: float | None = None,
        **how: Any,
    ) -> Text:
        """One line, its baseline at ``y_mm``; set smaller where it would be wider than ``width_mm``."""
        line = _one_line(text)
        if width_mm is not None and (own_mm := self.width_of(line, size_pt, bold=bold)) > width_mm:
            size_pt *= width_mm / own_mm
        how = {"va": "baseline", "color": palette()[colour], **how}
        return self.ax.text(x_mm, y_mm, line, fontproperties=self.face(size_pt, bold=bold), **how)

    def qr(self, x_mm: float, y_mm: float, side_mm: float, rows: Sequence[str]) -> None:
        """A QR code with its quiet zone, its lower left corner given."""
        module_mm = side_mm / (len(rows) + 2 * QUIET)
        boxes = []
        for row, text in enumerate(rows):
            y = y_mm + side_mm - (row + 1 + QUIET) * module_mm
            for run in re.finditer("1+", text):
                x, end = (x_mm + (at + QUIET) * module_mm for at in run.span())
                boxes.append([(x, y), (end, y), (end, y + module_mm), (x, y + module_mm)])
        self.ax.add_collection(PolyCollection(boxes, facecolor="black", edgecolor="none"), autolim=False)

    def lines(self, text: str, size_pt: float, width_mm: float, *, bold: bool = False) -> list[str]:
        """The text broken into lines no wider than ``width_mm``."""
        found = [""]
        for token in _TOKENS.findall(_one_line(text)):
            if found[-1] and self.width_of((found[-1] + token).rstrip(), size_pt, bold=bold) > width_mm:
                found.append("")
            found[-1] += token if found[-1] else token.lstrip()
        return [each.rstrip() for each in found if each.strip()]

    def paragraph(
        self,
        x_mm: float,
        top_mm: float,
        text: str,
        size_pt: float,
        width_mm: float,
        *,
        bold: bool = False,
        colour: str = "ink",
    ) -> float:
        """Set a text below ``top_mm``; returns where it ends. [mm]"""
        step_mm = size_pt / MM * 1.35
        for line in self.lines(text, size_pt, width_mm, bold=bold):
            top_mm -= step_mm
            self.text(
                x_mm,
                top_mm + 0.25 * step_mm,
                line,
                size_pt,
                bold=bold,
                colour=colour,
                width_mm=width_mm,
            )
        return top_mm


def write_pdf(
    path: Path, compose: Callable[[Faces], Iterable[Sheet]], *, text: Sequence[str], title: str
) -> list[str]:
    """Write sheets as one PDF with embedded TrueType faces; the same sheets give the same bytes.

    Parameters
    ----------
    path : Path
    compose : callable
        Draws the sheets with the faces it is given.
    text : sequence of str
        Everything that the sheets may set besides ASCII.
    title : str
        Told in the file's properties.

    Returns
    -------
    list of str
        Characters that the typeface lacks.

    Raises
    ------
    DataError
        No Chinese font is installed.
    """
    ascii_ = "".join(map(chr, range(32, 127))) + "·—"
    with tempfile.TemporaryDirectory() as folder, mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # told by what is returned
        faces, missing = embeddable_faces([ascii_, *text], Path(folder))
        with PdfPages(path, metadata={**_FIXED, "Title": _one_line(title)}) as pages:
            for sheet in compose(faces):
                pages.savefig(sheet.figure)
    return missing


def _one_line(text: str) -> str:
    """Without the line breaks, tabs and control characters that a name from a file may hold."""
    return "".join(each if each.isprintable() else " " for each in text).replace("\u3000", "  ").strip()
