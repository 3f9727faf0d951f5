"""Which encoding text is in: what a file says about itself is believed only where the text bears it out.

Chinese text in GB18030 is practically never valid UTF-8, and UTF-8 read as GB18030 shows characters
that nobody writes: of real Chinese text about 99 % are characters of the first level of GB 2312 [1]_,
of misread text about 14 % (682 names of places).

References
----------
.. [1] GB/T 2312-1980, first level: the 3755 characters that are used most, rows 16 to 55.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache

from spatial.errors import DataError, Remark, note

__all__ = ["NO_ACCIDENT", "Piece", "codec_named", "common_share", "decoded", "is_common", "judged_codec"]

#: Western code pages read any bytes at all, so their word alone proves nothing.
_ONE_BYTE = re.compile(r"(cp(125\d|437|850|852|857|866|874)|iso-8859-\d+|koi8-[ru])$")
_SPELLINGS = {
    **dict.fromkeys(("utf8", "65001", "cp65001"), "utf-8"),
    **dict.fromkeys(
        ("gbk", "gb2312", "gb18030", "936", "cp936", "ms936", "54936", "euccn", "xgbk"), "gb18030"
    ),
    **dict.fromkeys(("big5", "950", "cp950", "big5hkscs"), "big5"),
    **dict.fromkeys(("949", "cp949", "euckr", "ksc5601"), "cp949"),
    **dict.fromkeys(("932", "cp932", "shiftjis", "sjis"), "cp932"),
    **dict.fromkeys(("latin1", "iso88591", "88591", "1252", "cp1252"), "cp1252"),
}
#: So many bytes beyond ASCII that are sound UTF-8 are no accident.
NO_ACCIDENT = 12


@dataclass(frozen=True)
class Piece:
    """Bytes of a text; where they fill their field a character may be cut at the end."""

    raw: bytes
    full: bool = False


def codec_named(words: str) -> str | None:
    """The codec that a .cpg file or a setting means; None where it names none that is known."""
    short = re.sub(r"[\s_\-.]", "", words.lower())
    short = re.sub(r"^(windows|ansi|oem|ibm)(?=.)", "", short)
    if short in _SPELLINGS:
        return _SPELLINGS[short]
    if re.fullmatch(r"(125\d|437|850|852|857|866|874)", short):
        return f"cp{short}"
    latin = re.fullmatch(r"(?:iso)?8859(\d+)", short)
    if latin is None:
        return None
    try:
        return codecs.lookup(f"iso-8859-{latin[1]}").name.replace("iso8859", "iso-8859")
    except LookupError:
        return None


def decoded(pieces: Collection[Piece], codec: str) -> list[str] | None:
    """The texts, a character cut at the end left off; None where one can't be decoded."""
    texts = []
    for each in pieces:
        try:
            texts.append(_decode(each, codec))
        except UnicodeDecodeError:
            return None
    return texts


def _decode(piece: Piece, codec: str) -> str:
    if not piece.full:
        return piece.raw.decode(codec)
    return codecs.getincrementaldecoder(codec)().decode(piece.raw, final=False)


def judged_codec(
    pieces: Collection[Piece], *, stated: str | None, stated_by: str, file: str
) -> tuple[str, list[Remark]]:
    """The encoding that texts of one file are in.

    Parameters
    ----------
    pieces : collection of Piece
        Texts of the file; those in plain ASCII say nothing and may be left out.
    stated : str or None
        The codec the file says it is in.
    stated_by : str
        Where it says so, for messages.
    file : str
        Its name, for messages.

    Returns
    -------
    codec : str
        ``utf-8``, ``gb18030``, the stated one, or ``cp1252`` for text that looks Western.
    remarks : list of Remark
        A note where the file's word was wrong.

    Raises
    ------
    DataError
        No reading is sound.
    """
    beyond = [each for each in pieces if not each.raw.isascii()]
    if not beyond:
        return stated or "utf-8", []
    found = _borne_out(beyond, stated)
    if found is None:
        shown = ", ".join(repr(each.raw)[1:] for each in beyond[:3])
        raise DataError(
            f"{file}: text is in no encoding that is known, neither UTF-8 nor GB18030 (as {shown}); "
            "export it again as UTF-8, or as a GeoPackage"
        )
    if stated is None or found == stated:
        return found, []
    text = f"{stated_by} says {_shown(stated)}, but the text is {_shown(found)} and was read as that"
    return found, [note("encoding-lie", text, remedy="export it again as UTF-8 to be sure")]


def _borne_out(pieces: Sequence[Piece], stated: str | None) -> str | None:
    """The stated encoding where the text bears it out, else the one that it does; None: none."""
    utf8, chinese = decoded(pieces, "utf-8"), decoded(pieces, "gb18030")
    if utf8 is not None and (stated == "utf-8" or _surely_utf8(pieces, utf8, chinese)):
        return "utf-8"
    if stated is not None and stated != "utf-8":
        texts = decoded(pieces, stated)
        if texts is not None and not _ONE_BYTE.match(stated):
            return stated
        if texts is not None and (chinese is None or _western(texts) or common_share(chinese) < 0.9):
            return stated
    if chinese is not None and common_share(chinese) >= 0.4:
        return "gb18030"
    if utf8 is not None:
        return "utf-8"
    western = decoded(pieces, "cp1252")
    return "cp1252" if western is not None and _western(western) else None


def _surely_utf8(pieces: Sequence[Piece], utf8: Sequence[str], chinese: Sequence[str] | None) -> bool:
    """Valid UTF-8 by no accident: a word or two in GB18030 may be both."""
    n_beyond = sum(byte > 127 for each in pieces for byte in each.raw)
    return n_beyond >= NO_ACCIDENT or chinese is None or common_share(utf8) >= common_share(chinese)


def _western(texts: Sequence[str]) -> bool:
    """Every character beyond ASCII is a letter with an ASCII letter beside it, as in Straße."""
    beside = re.compile(r"[A-Za-z][^\W\d_\x00-\x7f]{1,2}|[^\W\d_\x00-\x7f]{1,2}[A-Za-z]")
    return all(beside.sub("", each).isascii() for each in texts)


def common_share(texts: Collection[str]) -> float:
    """The share, 0 to 1, of characters beyond ASCII that common Chinese text is made of."""
    beyond = [each for text in texts for each in text if not each.isascii()]
    return sum(map(is_common, beyond)) / len(beyond) if beyond else 0.0


@cache
def is_common(character: str) -> bool:
    """Whether it stands in the first level of GB 2312 or is Chinese punctuation or a full-width form."""
    try:
        raw = character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return len(raw) == 2 and (0xB0 <= raw[0] <= 0xD7 or raw[0] in (0xA1, 0xA3))


def _shown(codec: str) -> str:
    return codec.upper().replace("CP125", "Windows-125")
