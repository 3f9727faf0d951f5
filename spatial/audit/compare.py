"""How a written figure is held against a recounted one: the tolerances, and the remark if they differ.

A length may be off by a millimetre, a large sum by a millionth of itself, a share by a millionth;
counts, ids and names must be equal. Nothing here knows what is recounted.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatial.errors import Remark, fault

__all__ = ["LENGTH_M", "RELATIVE", "SHARE", "column_differs", "differs", "figures_differ", "rows_that", "say"]

LENGTH_M = 1e-3  # a length, a coordinate: one millimetre
RELATIVE = 1e-6  # a sum of lengths, as a share of the sum
SHARE = 1e-6  # a share, a gap: 0 to 1


def differs(said: Any, own: Any, *, name: str) -> NDArray[np.bool_]:
    """Where two columns of figures disagree; two empty cells agree.

    Parameters
    ----------
    said, own : array-like of numbers, same length
        What the plan says and what was recounted; NaN or None is an empty cell.
    name : str
        The column; its unit decides the tolerance: names ending in ``_m``, ``x`` and ``y`` are metres, those
        with ``worth`` weighted metres.
    """
    said = pd.to_numeric(pd.Series(said), errors="coerce").to_numpy(float, na_value=np.nan)
    own = pd.to_numeric(pd.Series(own), errors="coerce").to_numpy(float, na_value=np.nan)
    allowed: Any = SHARE
    if name in ("x", "y"):
        allowed = LENGTH_M
    elif name.endswith("_m") or "worth" in name:
        allowed = np.maximum(LENGTH_M, RELATIVE * np.abs(own))
    empty = np.isnan(said)
    with np.errstate(invalid="ignore"):
        far = ~(np.abs(said - own) <= allowed) & (said != own)
    return (empty != np.isnan(own)) | (far & ~empty)


def column_differs(
    at: str, ids: Iterable[Hashable], said: Any, own: Any, *, text: bool = False
) -> Iterator[Remark]:
    """One remark for a column of a plan layer that disagrees with the recount, naming its rows.

    Parameters
    ----------
    at : str
        ``layer.column``.
    ids : iterable, one per row
        What the rows are called in the remark.
    said, own : array-like, same length
        The column as written and as recounted.
    text : bool
        Compare as text, letter by letter; an empty cell equals only an empty cell.
    """
    said, own = pd.Series(said).reset_index(drop=True), pd.Series(own).reset_index(drop=True)
    if text:
        empty = said.isna().to_numpy(bool), own.isna().to_numpy(bool)
        unlike = said.astype(object).fillna("").to_numpy() != own.astype(object).fillna("").to_numpy()
        wrong = (empty[0] != empty[1]) | unlike
    else:
        wrong = differs(said, own, name=at.rpartition(".")[2])
    names = np.asarray(list(ids), dtype=object)
    first = [f"{names[k]} says {say(said[k])}, recounted {say(own[k])}" for k in np.flatnonzero(wrong)[:3]]
    yield from rows_that(
        wrong, names, "figure-differs", f"differ from the recount: {'; '.join(first)}", at=at
    )


def figures_differ(section: str, said: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[Remark]:
    """One remark for each figure of a section of ``summary.json`` that disagrees with the recount."""
    for name, recounted in own.items():
        written = said.get(name)
        if isinstance(recounted, str) or isinstance(written, str):
            wrong = written != recounted
        else:
            wrong = bool(differs([written], [recounted], name=name)[0])
        if wrong:
            yield fault(
                "figure-differs",
                f"the summary says {say(written)}, recounted {say(recounted)}",
                layer="summary",
                column=f"{section}.{name}".lstrip("."),
            )


def rows_that(wrong: Any, ids: Any, code: str, what: str, *, at: str) -> Iterator[Remark]:
    """One remark "n of m rows ``what``", naming the rows marked wrong; none where none is."""
    wrong = np.asarray(wrong, dtype=bool)
    layer, _, column = at.partition(".")
    if wrong.any():
        names = np.asarray(ids, dtype=object)[wrong]
        yield fault(
            code,
            f"{wrong.sum()} of {wrong.size} rows {what}",
            layer=layer,
            column=column,
            ids=dict.fromkeys(names),
        )


def say(value: Any) -> str:
    """A figure as it stands in a message: whole numbers whole, others to a tenth of a millimetre."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "nothing"
    if isinstance(value, float):
        return f"{value:.6f}" if abs(value) < 1.0 else f"{value:.4f}"
    return str(value)
