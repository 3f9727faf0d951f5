"""Choosing among columns that are found one by one: the relaxation, kept warm while columns come.

Used for column generation (J. Desrosiers and M. Lübbecke, "A primer in column generation", in Column
Generation, Springer 2005, pp. 1-32): solve, price new columns by the row prices, add them, solve again.
"""

from __future__ import annotations

import highspy
import numpy as np
from numpy.typing import NDArray

from spatial.errors import SolverError
from spatial.solve.program import solver_name

__all__ = ["Columns"]

Floats = NDArray[np.float64]
PEEK_STEPS = 400  # of the simplex method


class Columns:
    """Minimise ``cost @ x`` with ``lower <= matrix @ x <= upper`` and x >= 0, column by column.

    Every row may be broken at ``penalty`` a unit, so that there is always a solution.
    """

    def __init__(self, lower: Floats, upper: Floats, *, penalty: float, seed: int = 1) -> None:
        self._highs = highspy.Highs()
        options: dict[str, bool | int | str] = {
            "output_flag": False,
            "threads": 1,
            "parallel": "off",
            "random_seed": seed % 2**31,
        }
        for name, value in options.items():
            self._highs.setOptionValue(name, value)
        none = np.empty(0)
        for low, high in zip(lower.tolist(), upper.tolist(), strict=True):
            self._highs.addRow(low, high, 0, none.astype(np.int32), none)
        every = np.arange(len(lower), dtype=np.int32)
        for sign in (1.0, -1.0):
            self._add(
                np.full(len(every), penalty), np.arange(len(every) + 1), every, np.full(len(every), sign)
            )
        self._n_slack = 2 * len(every)
        self.steps = 0  # of the simplex method so far

    def __repr__(self) -> str:
        return f"Columns({self._highs.getNumRow()} rows, {self._highs.getNumCol() - self._n_slack} columns)"

    def add(self, cost: Floats, matrix: NDArray[np.generic]) -> None:
        """More columns: ``cost`` (k,), ``matrix`` (k, rows) with one line per column."""
        line, row = np.nonzero(matrix)
        starts = np.searchsorted(line, np.arange(len(cost) + 1))
        self._add(cost, starts, row, matrix[line, row])

    def _add(self, cost: Floats, starts: NDArray[np.int64], row: NDArray, value: NDArray) -> None:
        self._highs.addCols(
            len(cost),
            np.ascontiguousarray(cost, np.float64),
            np.zeros(len(cost)),
            np.full(len(cost), highspy.kHighsInf),
            len(row),
            starts[:-1].astype(np.int32),
            row.astype(np.int32),
            value.astype(np.float64),
        )

    def _run(self) -> None:
        self._highs.run()
        self.steps += max(self._highs.getInfo().simplex_iteration_count, 0)

    def solve(self) -> tuple[float, Floats, Floats]:
        """Least cost, x of the columns in the order added, and the price of each row."""
        self._run()
        status = self._highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise SolverError(
                f"{solver_name()} ended with status {self._highs.modelStatusToString(status)!r}"
            )
        solution = self._highs.getSolution()
        x = np.array(solution.col_value)[self._n_slack :]
        return self._highs.getInfo().objective_function_value, x, np.array(solution.row_dual)

    def rounded(
        self, lines: Floats, values: Floats, *, steps: int = PEEK_STEPS, afresh: bool = False
    ) -> Floats:
        """Least cost if ``lines @ x`` had to be at most, or at least, the whole number beside ``values``.

        Each of the k lines alone; (k, 2), from a few steps of the dual simplex method, so a guess from
        below; from where the guess before ended, or ``afresh`` from the relaxation, which few steps would
        not lead back to. Nothing can be added afterwards.
        """
        highs, first = self._highs, self._highs.getNumRow()
        for line in lines:
            column = np.flatnonzero(line)
            free = highspy.kHighsInf
            at = (column + self._n_slack).astype(np.int32)
            highs.addRow(-free, free, len(at), at, np.ascontiguousarray(line[column], np.float64))
        highs.setOptionValue("simplex_iteration_limit", steps)
        basis = highs.getBasis()
        cost = np.empty((len(values), 2))
        for row, value in enumerate(values.tolist()):
            for side, (low, high) in enumerate(
                ((-highspy.kHighsInf, float(np.floor(value))), (float(np.ceil(value)), highspy.kHighsInf))
            ):
                if afresh:
                    highs.setBasis(basis)
                highs.changeRowBounds(first + row, low, high)
                self._run()
                infeasible = highs.getModelStatus() == highspy.HighsModelStatus.kInfeasible
                cost[row, side] = np.inf if infeasible else highs.getInfo().objective_function_value
            highs.changeRowBounds(first + row, -highspy.kHighsInf, highspy.kHighsInf)
        return cost
