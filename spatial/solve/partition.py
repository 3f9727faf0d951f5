"""Set partitioning: the cheapest fixed number of columns that hold every row exactly once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from spatial.settings import Effort
from spatial.solve.program import Program, solve_program
from spatial.solve.solution import Solution, solution_of

__all__ = ["set_partition"]


def set_partition(
    columns: sparse.sparray,
    cost: ArrayLike,
    *,
    n_columns: int | None = None,
    times: ArrayLike | None = None,
    effort: Effort = "normal",
    seed: int = 1,
    start: NDArray[np.bool_] | None = None,
) -> Solution:
    """Choose columns that together hold every row exactly once, at the least total cost.

    Recombines parts that were found one by one: rows are units, columns are ready-made groups.

    Parameters
    ----------
    columns : sparse array, shape (n, k)
        How often column j holds row i; mostly True or False.
    cost : (k,) array
        Of each column.
    n_columns : int, optional
        How many columns must be chosen. None: any number.
    times : (n,) array of int, optional
        How often each row must be held. None: once.
    effort, seed
        See :func:`spatial.solve.program.solve_program`.
    start : (k,) array of bool, optional
        A choice known to be sound; the answer is never worse.

    Returns
    -------
    Solution
        ``value`` is the total cost; ``bound`` holds among the given columns only.

    Raises
    ------
    InfeasibleError
        The columns can't be combined so.
    SolverError
        None was found within the work limit.
    """
    cost = np.asarray(cost, dtype=np.float64)
    rows = sparse.csr_array(columns, dtype=np.float64)
    need = np.ones(rows.shape[0]) if times is None else np.asarray(times, dtype=np.float64)
    if n_columns is not None:
        rows = sparse.vstack([rows, np.ones((1, len(cost)))], format="csr")
        need = np.append(need, n_columns)
    program = Program(cost, rows, need, need, np.ones(len(cost), dtype=bool))
    answer = solve_program(
        program, effort=effort, seed=seed, start=None if start is None else start.astype(np.float64)
    )
    chosen = answer.x > 0.5
    return solution_of(answer, chosen, value=float(cost[chosen].sum()))
