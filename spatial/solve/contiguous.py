"""Parts in one piece, by a programme with connectivity cuts: the last word on a few dozen rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from spatial.errors import InfeasibleError, SolverError
from spatial.solve.program import Program, solve_program

__all__ = ["connected_parts"]

_ROUNDS = 200


def connected_parts(
    weight: Sequence[int], near: Sequence[Sequence[int]], lock: Sequence[int], *, low: int, high: int
) -> list[list[int]] | None:
    """Divide rows into parts in one piece whose weights lie within ``low`` and ``high``.

    Assignment to the lowest row of each part (Hess et al. 1965), with separator cuts wherever a choice is
    not in one piece (Validi, Buchanan & Lykhovyd, Operations Research 70, 2022): row i may belong to the
    part of j only if one of the rows that separate the two does.

    Parameters
    ----------
    weight, near, lock
        Of each row: its weight, the rows it touches, its label or −1. Two labels never share a part.

    Returns
    -------
    The parts; None where it is proved that there are none.

    Raises
    ------
    SolverError
        Neither was found within the work limit.
    """
    n = len(weight)
    at = {(i, j): place for place, (i, j) in enumerate((i, j) for j in range(n) for i in range(j, n))}
    lines: list[tuple[dict[int, float], float, float]] = []
    for i in range(n):
        lines.append(({at[i, j]: 1.0 for j in range(i + 1)}, 1.0, 1.0))
    for j in range(n):
        for i in range(j + 1, n):
            lines.append(({at[i, j]: 1.0, at[j, j]: -1.0}, -np.inf, 0.0))
        own = {at[i, j]: float(weight[i]) for i in range(j, n)}
        lines.append((own | {at[j, j]: float(weight[j] - low)}, 0.0, np.inf))
        lines.append((own | {at[j, j]: float(weight[j] - high)}, -np.inf, 0.0))
        held = [i for i in range(j, n) if lock[i] >= 0]
        if len(held) > 1:
            lines.append(({at[i, j]: 1.0 for i in held}, -np.inf, 1.0))
    for _ in range(_ROUNDS):
        try:
            answer = solve_program(_program(lines, len(at)), effort="thorough")
        except InfeasibleError:
            return None
        parts = [
            [i for i in range(j, n) if answer.x[at[i, j]] > 0.5] for j in range(n) if answer.x[at[j, j]] > 0.5
        ]
        torn = [part for part in parts if len(_piece(part[0], set(part), near)) < len(part)]
        if not torn:
            return parts
        for part in torn:
            lines += _separators(part, near, at)
    raise SolverError("the choice stayed in pieces within the work limit")


def _separators(
    part: list[int], near: Sequence[Sequence[int]], at: dict[tuple[int, int], int]
) -> list[tuple[dict[int, float], float, float]]:
    """For each piece of a part without its lowest row: some row around it must belong to the part too."""
    j, left = part[0], set(part)
    left -= _piece(j, left, near)
    out = []
    while left:
        piece = _piece(min(left), left, near)
        left -= piece
        around = {other for row in piece for other in near[row] if other > j} - piece
        between = {at[other, j]: -1.0 for other in around}
        out += [({at[row, j]: 1.0} | between, -np.inf, 0.0) for row in sorted(piece)]
    return out


def _piece(begin: int, inside: set[int], near: Sequence[Sequence[int]]) -> set[int]:
    """Rows of ``inside`` that hang together with ``begin``."""
    seen, todo = {begin}, [begin]
    while todo:
        for other in near[todo.pop()]:
            if other in inside and other not in seen:
                seen.add(other)
                todo.append(other)
    return seen


def _program(lines: list[tuple[dict[int, float], float, float]], n: int) -> Program:
    indptr = np.concatenate(([0], np.cumsum([len(line) for line, _, _ in lines])))
    indices = np.concatenate([np.fromiter(line, np.int64) for line, _, _ in lines])
    values = np.concatenate([np.fromiter(line.values(), np.float64) for line, _, _ in lines])
    return Program(
        np.zeros(n),
        csr_array((values, indices, indptr), shape=(len(lines), n)),
        np.array([lower for _, lower, _ in lines]),
        np.array([upper for _, _, upper in lines]),
        np.ones(n, dtype=bool),
    )
