"""A Chinese typeface for print: found on this machine, cut to the characters used, embedded as TrueType.

PDF readers show a TrueType face everywhere; the CFF outlines in a collection such as Debian's
``fonts-noto-cjk`` are not read by all of them when embedded as they are. So the glyphs that a document uses
are taken out of the simplified Chinese face and their curves turned into quadratic ones [1]_, a thousandth of
the em apart at most.

References
----------
.. [1] fontTools.cu2qu: "Cubic-to-quadratic bezier curve conversion", part of fontTools.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fontTools import subset
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont, newTable
from matplotlib.font_manager import FontEntry, FontManager, fontManager

from spatial.errors import DataError

__all__ = ["Faces", "embeddable_faces", "installed_faces"]

#: Simplified Chinese families with a regular and a bold face, the first that is there is used.
FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "Microsoft YaHei",
    "PingFang SC",
    "WenQuanYi Zen Hei",
)
_CURVE_ERROR = 0.001  # of the em


@dataclass(frozen=True)
class Faces:
    """Font files of the regular and the bold face, ready for matplotlib, with the width of each character."""

    regular: Path
    bold: Path
    advance: tuple[Mapping[str, float], Mapping[str, float]]  # of the em, regular and bold

    def width_of(self, text: str, *, bold: bool = False) -> float:
        """Set width of one line, of the em; a character that is missing counts as a full one."""
        return sum(self.advance[bold].get(each, 1.0) for each in text)


def installed_faces() -> tuple[FontEntry, FontEntry]:
    """The regular and the bold face of the first Chinese family on this machine.

    Raises
    ------
    DataError
        There is none; the message names the package to install.
    """
    for known in (fontManager, None):
        # matplotlib keeps a list between runs; a font that was installed since is found by a fresh look.
        entries = (known or FontManager()).ttflist
        for family in FAMILIES:
            upright = [each for each in entries if each.name == family and each.style == "normal"]
            if upright:
                upright.sort(key=lambda each: (_weight(each), each.fname))
                return min(upright, key=lambda each: abs(_weight(each) - 400)), upright[-1]
    raise DataError(
        "no Chinese font is installed, so posters can't be drawn; install one, on Debian and Ubuntu: "
        "apt install fonts-noto-cjk"
    )


def embeddable_faces(text: Iterable[str], folder: Path) -> tuple[Faces, list[str]]:
    """Write a regular and a bold TrueType face that hold the characters of ``text``.

    Parameters
    ----------
    text : iterable of str
        All that is going to be set.
    folder : Path
        Where the two files are written.

    Returns
    -------
    Faces
    list of str
        Characters that the typeface lacks; they are drawn as empty boxes.
    """
    characters = {each for line in text for each in line if each.isprintable()} | {" "}
    missing: set[str] = set()
    written: list[Path] = []
    advances: list[dict[str, float]] = []
    for name, entry in zip(("regular", "bold"), installed_faces(), strict=True):
        font = TTFont(entry.fname, fontNumber=max(getattr(entry, "index", 0), 0), recalcTimestamp=False)
        missing |= {each for each in characters if ord(each) not in font.getBestCmap()}
        _keep(font, characters)
        if "glyf" not in font:
            _to_quadratic(font)
        written.append(folder / f"{name}.ttf")
        advances.append(_advances(font))
        font.save(written[-1])
    return Faces(written[0], written[1], (advances[0], advances[1])), sorted(missing)


def _advances(font: TTFont) -> dict[str, float]:
    widths, em = font["hmtx"].metrics, font["head"].unitsPerEm
    return {chr(code): widths[name][0] / em for code, name in font.getBestCmap().items()}


def _weight(entry: FontEntry) -> int:
    return entry.weight if isinstance(entry.weight, int) else 400


def _keep(font: TTFont, characters: Iterable[str]) -> None:
    """Drop every glyph but those of the characters, and what only a screen or vertical lines need."""
    options = subset.Options(
        layout_features=[], hinting=False, desubroutinize=True, notdef_outline=True, recalc_timestamp=False
    )
    for each in ("BASE", "GDEF", "GPOS", "GSUB", "VORG", "vhea", "vmtx", "DSIG"):
        if each in font:
            del font[each]  # before it is read: rules of a Chinese face take longer than its outlines
    cut = subset.Subsetter(options)
    cut.populate(text="".join(sorted(characters)))
    cut.subset(font)


def _to_quadratic(font: TTFont) -> None:
    """Replace CFF outlines by TrueType ones."""
    glyphs: Any = font.getGlyphSet()
    order = font.getGlyphOrder()
    em = font["head"].unitsPerEm
    outlines = {}
    for name in order:
        pen = TTGlyphPen(None)
        glyphs[name].draw(Cu2QuPen(pen, max_err=_CURVE_ERROR * em, reverse_direction=True))
        outlines[name] = pen.glyph()
    table = font["glyf"] = newTable("glyf")
    table.glyphOrder, table.glyphs = order, outlines
    font["loca"] = newTable("loca")
    del font["CFF "]
    _declare_outlines(font)


def _declare_outlines(font: TTFont) -> None:
    """The tables that say the font holds TrueType outlines, without instructions."""
    font["maxp"].tableVersion = 0x00010000
    unused = (
        "maxTwilightPoints", "maxStorage", "maxFunctionDefs", "maxInstructionDefs", "maxStackElements",
        "maxSizeOfInstructions", "maxComponentElements",
    )  # fmt: skip
    for field in unused:
        setattr(font["maxp"], field, 0)
    font["maxp"].maxZones = 1
    font["head"].glyphDataFormat = 0
    font["post"].formatType = 3.0
    font.sfntVersion = "\x00\x01\x00\x00"
