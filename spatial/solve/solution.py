"""What every solver function hands back: a choice, its value, a proven bound, and by whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spatial.solve.program import Answer, solver_name

__all__ = ["Solution", "bounded_by", "gap_between", "solution_of"]

Sense = Literal["min", "max"]


@dataclass(frozen=True)
class Solution:
    """A choice with its value, recounted from the choice, and a bound no choice can beat."""

    chosen: NDArray[np.bool_]
    value: float
    bound: float
    gap: float  # 0..1; 0 is a proven optimum, with more a limit of work or a gap that was enough came first
    bound_by: str  # "HiGHS 1.15.1", or "LP duals" where the bound can be evaluated anew from ``duals``
    stopped: bool  # a stop by the clock came first: not reproducible
    duals: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    side_duals: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))  # of what else is kept to


def solution_of(
    answer: Answer,
    chosen: NDArray[np.bool_],
    *,
    value: float,
    sense: Sense = "min",
    constant: float = 0.0,
    duals: NDArray[np.float64] | None = None,
    side_duals: NDArray[np.float64] | None = None,
) -> Solution:
    """The answer of a programme as a solution; ``value`` is counted from the choice itself.

    ``constant`` is what the programme leaves out because no choice changes it.
    """
    sign = 1.0 if sense == "min" else -1.0
    bound = value if answer.proved else sign * min(answer.bound + sign * constant, sign * value)
    return Solution(
        chosen=chosen,
        value=value,
        bound=bound,
        gap=gap_between(value, bound, sense=sense),
        bound_by=solver_name() if answer.by_solver or answer.proved else "LP duals",
        stopped=answer.stopped,
        duals=answer.duals if duals is None else duals,
        side_duals=np.empty(0) if side_duals is None else side_duals,
    )


def bounded_by(solution: Solution, wider: Solution, *, sense: Sense) -> Solution:
    """The solution with the bound of a task that allows more, and what proves it."""
    return replace(
        wider,
        chosen=solution.chosen,
        value=solution.value,
        gap=gap_between(solution.value, wider.bound, sense=sense),
        stopped=solution.stopped or wider.stopped,
    )


def gap_between(value: float, bound: float, *, sense: Sense) -> float:
    """(value − bound) / bound when minimising, (bound − value) / bound when maximising; 0 where equal."""
    distance = value - bound if sense == "min" else bound - value
    if distance <= 0:
        return 0.0
    return distance / bound if bound > 0 else 1.0
