"""Text that was read in the wrong encoding before it came here: 巷名 that became ÏïÃû or 宸峰悕.

Three ways are undone where nothing was lost on them and common Chinese comes out: UTF-8 read as GBK,
UTF-8 read as Latin-1, GBK read as Latin-1 (or as Windows-1252, its usual form). Where characters are
lost (U+FFFD, 锟斤拷, ????) there is nothing to undo, and the text is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatial.errors import Remark, doubt, fault, first_ids, note
from spatial.load.encodings import common_share, is_common
from spatial.load.raw import objects
from spatial.load.rows import Rows

__all__ = [
    "Garble",
    "garbled",
    "garbled_values",
    "mended_values",
    "told_garble",
    "told_headings",
    "unscrambled",
]

Objects = NDArray[np.object_]

#: What stays of a character that was lost on the way. 锟斤拷 is U+FFFD in UTF-8, read as GBK.
_LOST = re.compile("\ufffd|锟[斤侥姐接]|斤拷|ï¿½")
#: Windows-1252 has characters where Latin-1 has control codes.
_WINDOWS = {ord(bytes([i]).decode("cp1252")): i for i in range(0x80, 0xA0)
            if i not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}  # fmt: skip
#: So many Chinese characters come out of chance never, fewer only if most texts beside give some too.
_SURE = {"gbk": 4, "latin": 1, "latin-gbk": 2}
_REMEDY = "export the file again from its source as UTF-8"


@dataclass(frozen=True)
class Garble:
    """What is wrong with texts that stand together, as one column or the headings of a file."""

    mended: Mapping[str, str]  # garbled text → what it says
    lost: frozenset[str]  # garbled, and nothing to be done


def garbled(texts: Collection[str]) -> Garble:
    """Find texts that were read in the wrong encoding.

    A text is mended if its bytes give it back exactly, and if all that comes out is Chinese, at
    least half of it of the common characters and more of it than before. A short one may be so by
    chance: it is taken for garbled only if more than half of the texts beside it are.
    """
    distinct = {each for each in texts if not each.isascii() or "?" in each}
    beyond = {each for each in distinct if not each.isascii()}
    sure: dict[str, str] = {}
    likely: dict[str, str] = {}
    foreign: dict[str, str] = {}
    for each in beyond:
        for way, undo in _WAYS.items():
            text = undo(each)
            if text is not None and _is_chinese(text, each):
                text = text.removeprefix("\ufeff")
                (sure if _hanzi(text) >= _SURE[way] else likely)[each] = text
                break
            if text is not None and way == "latin" and text.isprintable():
                foreign[each] = text
    lost = {each for each in distinct - sure.keys() - likely.keys() if _is_lost(each)}
    doubtful = {**likely, **foreign}
    n_characters = sum(not each.isascii() for text in [*sure.values(), *doubtful.values()] for each in text)
    if n_characters >= 2 and 2 * len(lost | sure.keys() | doubtful.keys()) > len(lost | beyond):
        return Garble({**sure, **likely}, frozenset(lost | foreign.keys()))
    return Garble(sure, frozenset(lost))


def told_headings(layer: str, garble: Garble, *, named: bool) -> list[Remark]:
    """A note on headings that were mended, those lost are a fault, a doubt where settings name any."""
    remarks = []
    if garble.mended:
        shown = ", ".join(f"{old} = {new}" for old, new in sorted(garble.mended.items())[:5])
        text = f"headings were read in the wrong encoding once and were mended: {shown}"
        remarks.append(note("headings-mended", text, layer=layer, remedy=f"{_REMEDY} to be sure"))
    if garble.lost:
        text = f"headings are garbled beyond repair: {first_ids(garble.lost)}"
        remedy = f'{_REMEDY}, or name the ones that matter: [input.{layer}] columns = {{name = "…"}}'
        remarks.append((doubt if named else fault)("headings-garbled", text, layer=layer, remedy=remedy))
    return remarks


def garbled_values(values: Mapping[str, Objects]) -> dict[str, Garble]:
    """What is garbled, by column; only those columns that have garbled text."""
    found = {name: garbled({each for each in cells if type(each) is str}) for name, cells in values.items()}
    return {name: each for name, each in found.items() if each.mended or each.lost}


def mended_values(values: Mapping[str, Objects], found: Mapping[str, Garble]) -> dict[str, Objects]:
    """The values with every garbled text mended that can be."""
    return {
        name: objects([found[name].mended.get(each, each) if type(each) is str else each for each in cells])
        if name in found
        else cells
        for name, cells in values.items()
    }


def told_garble(rows: Rows, values: Mapping[str, Objects], found: Mapping[str, Garble]) -> list[Remark]:
    """Notes on what was mended; doubts on what is lost, faults where that is most of a column."""
    remarks = []
    for name, garble in found.items():
        cells = values[name]
        mended = np.array([type(each) is str and each in garble.mended for each in cells], dtype=bool)
        lost = np.array([type(each) is str and each in garble.lost for each in cells], dtype=bool)
        shown = ", ".join(f"{old} = {new}" for old, new in sorted(garble.mended.items())[:3])
        text = f"were read in the wrong encoding once and were mended: {shown}"
        remarks += rows.tell(note, "text-mended", mended, text, column=name, remedy=f"{_REMEDY} to be sure")
        given = np.array([type(each) is str and each.strip() != "" for each in cells], dtype=bool)
        make = fault if 2 * lost.sum() > given.sum() else doubt
        text = f"are garbled beyond repair: {first_ids(garble.lost)}"
        remarks += rows.tell(make, "text-garbled", lost, text, column=name, remedy=_REMEDY)
    return remarks


def unscrambled(name: str) -> str:
    """The name that a file or a layer had before an archive or a program read it in the wrong encoding.

    Archives from Windows show 巷道.shp as ╧∩╡└.shp where they are unpacked elsewhere.
    """
    for undo in (*_WAYS.values(), *_DOS_WAYS):
        text = undo(name)
        if text is not None and _is_chinese(text, name) and _hanzi(text) >= 2:
            return text
    return name


def _from_gbk(text: str) -> str | None:
    try:
        # Windows has € where GBK has nothing
        return text.encode("gb18030").replace(b"\xa2\xe3", b"\x80").decode("utf-8")
    except UnicodeError:
        return None


def _latin_bytes(text: str) -> bytes | None:
    try:
        return text.translate(_WINDOWS).encode("latin-1")
    except UnicodeEncodeError:
        return None


def _from_latin(text: str, codec: str) -> str | None:
    raw = _latin_bytes(text)
    try:
        return None if raw is None else raw.decode(codec)
    except UnicodeDecodeError:
        return None


_WAYS: dict[str, Callable[[str], str | None]] = {
    "gbk": _from_gbk,
    "latin": lambda text: _from_latin(text, "utf-8"),
    "latin-gbk": lambda text: _from_latin(text, "gb18030"),
}


def _from_dos(text: str, codec: str) -> str | None:
    try:
        return text.encode("cp437").decode(codec)
    except UnicodeError:
        return None


_DOS_WAYS: tuple[Callable[[str], str | None], ...] = (
    lambda text: _from_dos(text, "utf-8"),
    lambda text: _from_dos(text, "gb18030"),
)


def _is_chinese(text: str, before: str) -> bool:
    """Whether common Chinese came out: more of it than before, and no lone character between letters."""
    text = text.removeprefix("\ufeff")
    n_hanzi, n_letters = _hanzi(text), sum(each.isascii() and each.isalpha() for each in text)
    if n_hanzi == 0 or n_hanzi < n_letters or not all(map(_is_plain, text)):
        return False
    return common_share([text]) >= max(0.5, common_share([before]) + 0.01)


def _hanzi(text: str) -> int:
    return sum("\u4e00" <= each <= "\u9fff" for each in text)


def _is_plain(character: str) -> bool:
    """ASCII that can be seen, or any Chinese character or punctuation of GB 2312."""
    if character.isascii():
        return character.isprintable()
    try:
        raw = character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return is_common(character) or 0xB0 <= raw[0] <= 0xF7


def _is_lost(text: str) -> bool:
    n_asked = text.count("?")
    return _LOST.search(text) is not None or 2 <= n_asked >= len(text.strip()) / 2 or _half_read(text)


def _half_read(text: str) -> bool:
    """UTF-8 read as GBK with a byte lost here and there: what is left is still common Chinese."""
    raw = text.replace("\ufffd", "?").encode("gb18030", "replace")
    back = raw.decode("utf-8", "replace")
    n_common = sum(map(is_common, back))
    return n_common >= 2 and n_common >= back.count("\ufffd") and n_common > sum(map(is_common, text)) - 1
