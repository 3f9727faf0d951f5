"""Texts of a drawing that name what they stand on: a lane along it, a house by what is written inside."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import shapely

from spatial.errors import Remark, doubt, first_ids, note
from spatial.load.drawn import Drawn
from spatial.load.headings import plain
from spatial.load.raw import objects

__all__ = ["labelled"]

#: A text beside a line names it from no farther than this.
_BESIDE_M = 10.0

_ANY = re.compile(r"(.*[^\W\d_].*)")
#: What a text means by its form: our column and the part of the text that is its value. A bare number
#: could be a door, a count, a number of storeys or a height, and is none of them.
_INSIDE: dict[str, tuple[tuple[str, re.Pattern[str]], ...]] = {
    "households": (
        ("households", re.compile(r"(\d{1,4})\s*户")),
        ("address", re.compile(r"(\d[\d-]*\s*号.*)")),
    ),
    "buildings": (
        ("storeys", re.compile(r"(?:[砼混砖钢木框简石土][\u4e00-\u9fff]?(\d{1,2})|(\d{1,2})\s*[层F])")),
    ),
    "boundary": (("name", _ANY),),
    "groups": (("group", _ANY),),
    "places": (("name", _ANY),),
}
_BESIDE = {"alleys": "name", "barriers": "name"}


def labelled(drawn: Drawn, layer: str, *, unit_m: float) -> tuple[Drawn, list[Remark]]:
    """The shapes with columns from the texts of their layer, where no two texts contend.

    Parameters
    ----------
    drawn : Drawn
        Shapes and texts of one layer, in drawing units.
    layer : str
        Name in ``schema.LAYERS``.
    unit_m : float
        Metres in a unit of the drawing.
    """
    if not drawn.texts or not drawn.shapes:
        return drawn, _unread(len(drawn.texts))
    tree = shapely.STRtree(drawn.shapes)
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    n_used = 0
    for each in drawn.texts:
        named = _beside(each.text, each.at, layer, tree, unit_m) or _inside(each.text, each.at, layer, tree)
        n_used += named is not None
        if named is not None:
            row, column, value = named
            found[row, column].append(value)
    columns = [dict(each) for each in drawn.columns]
    given = {plain(key) for each in columns for key in each}
    taken, contended = Counter[str](), []
    for (row, column), values in sorted(found.items()):
        if plain(column) in given:
            continue
        if len(set(values)) > 1:
            contended.append(" / ".join(sorted(set(values))[:3]))
        else:
            columns[row][column] = values[0]
            taken[column] += 1
    said = [
        note("texts-as-labels", f"{n:,} rows take their {column} from the text on them", column=column)
        for column, n in sorted(taken.items())
    ]
    if contended:
        text = f"{len(contended):,} shapes have several texts and take none: {first_ids(contended, 3)}"
        said.append(doubt("texts-contend", text))
    return replace(drawn, columns=columns), said + _unread(len(drawn.texts) - n_used)


def _unread(n: int) -> list[Remark]:
    return [note("texts-unread", f"{n:,} texts name nothing that is read")] if n else []


def _beside(
    text: str, at: shapely.Geometry, layer: str, tree: shapely.STRtree, unit_m: float
) -> tuple[int, str, str] | None:
    """The nearest line, if it is near and no other is as near."""
    if layer not in _BESIDE or not _ANY.fullmatch(text):
        return None
    near = tree.query(at, predicate="dwithin", distance=_BESIDE_M / unit_m)
    if not len(near):
        return None
    distance = shapely.distance(objects([at] * len(near)), tree.geometries[near])
    return int(near[np.argmin(distance)]), _BESIDE[layer], text


def _inside(
    text: str, at: shapely.Geometry, layer: str, tree: shapely.STRtree
) -> tuple[int, str, str] | None:
    """The one area around the text."""
    for column, form in _INSIDE.get(layer, ()):
        match = form.fullmatch(text)
        around = tree.query(at, predicate="within")
        if match and len(around) == 1:
            return int(around[0]), column, next(each for each in match.groups() if each)
    return None
