"""Programmes with 0-1 choices, put to HiGHS: the only module that knows a solver.

The way is the same for every problem and stays short at every size:

1. Solve the relaxation and read its row prices.
2. Evaluate the Lagrangian bound of these prices by own code [1]_. Any prices give a valid bound, so
   nothing depends on the status or the tolerances the solver reports.
3. Fix every choice whose reduced cost exceeds a margin and give HiGHS the core that is left. No
   solution that breaks a fixing costs less than bound + margin, so the core's own bound, capped at
   that sum, bounds the whole: a full proof where it closes, an honest gap where it does not.
4. Repeat with a larger core until it closes or the work allowed is used up.
5. Of a programme too large for that, cut what is left into blocks: their bounds, solved apart with the rows
   between them priced, add up to a better one of the whole [2]_, by which more choices are fixed.

Work is counted in cores, search nodes and steps of the simplex. A stop by the clock exists for safety
alone, and a result that met it says so.

References
----------
.. [1] A. M. Geoffrion, "Lagrangean relaxation for integer programming", Mathematical Programming
   Study 2, 1974, pp. 82-114.
.. [2] M. Guignard and S. Kim, "Lagrangean decomposition: a model yielding stronger Lagrangean bounds",
   Mathematical Programming 39, 1987, pp. 215-228.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spatial.errors import InfeasibleError, SolverError
from spatial.settings import Effort
from spatial.solve.blocks import blocks_of

__all__ = [
    "Answer",
    "Program",
    "lagrangian_bound",
    "relaxed",
    "relaxed_along",
    "solve_program",
    "solver_name",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Free choices per core, and search nodes per core.
CORES: dict[Effort, tuple[int, ...]] = {
    "quick": (600,),
    "normal": (600, 2400),
    "thorough": (600, 2400, 9600),
}
NODES: dict[Effort, int] = {"quick": 200, "normal": 2000, "thorough": 20000}
STEPS: dict[Effort, float] = {
    "quick": 5e8,
    "normal": 5e9,
    "thorough": 5e10,
}  # of the simplex × rows, per core
INNER_STEPS = 500  # of the interior-point method
TURN, LEAST_TURN = 0.05, 100  # what a turn of the search takes, of the steps of the relaxation, and at least
FEWEST_TURNS = 10
BLOCKS: dict[Effort, int] = {"quick": 1500, "normal": 6000, "thorough": 12000}  # free choices per block
LAST: dict[Effort, int] = {"quick": 600, "normal": 9600, "thorough": 9600}  # and in the core after them
BLOCK_TURNS, LAST_TURNS = 30, 100
EXACT = 1e-9  # of the value: less than the solver's own tolerances leave open
SAFETY_S = 1800.0
WHOLE_SLACK = 1e-6  # a bound of 7.0000001 is a bound of 7


@dataclass(frozen=True)
class Program:
    """Minimise ``cost @ x`` subject to ``row_lower <= matrix @ x <= row_upper``, every x in [0, 1].

    ``integer`` marks the choices; the other variables are 0 or 1 by themselves once these are made.
    """

    cost: FloatArray  # (n,)
    matrix: sparse.csr_array  # (m, n)
    row_lower: FloatArray  # (m,)
    row_upper: FloatArray  # (m,)
    integer: BoolArray  # (n,)


@dataclass(frozen=True)
class Answer:
    """What was found: ``bound`` is proven, ``proved`` means nothing is better than ``x``."""

    x: FloatArray
    value: float
    bound: float
    duals: FloatArray  # per row of the programme, of the Lagrangian bound
    proved: bool
    by_solver: bool  # the bound rests on the solver's search, not on the duals alone
    stopped: bool  # by the clock: not reproducible


@dataclass(frozen=True)
class _Run:
    status: highspy.HighsModelStatus
    x: FloatArray | None
    value: float
    bound: float
    duals: FloatArray
    steps: int  # of the simplex


def solver_name() -> str:
    """Name and version of the solver, as printed beside a bound."""
    return f"HiGHS {highspy.Highs().version()}"


def solve_program(
    program: Program,
    *,
    effort: Effort = "normal",
    seed: int = 1,
    start: FloatArray | None = None,
    whole_costs: bool = False,
    enough: float = 0.0,
    by_blocks: bool = False,
) -> Answer:
    """The best choice found and a proven bound.

    Parameters
    ----------
    program : Program
    effort : {"quick", "normal", "thorough"}
        Sizes of the cores, search nodes and steps of the simplex per core. A relaxation that takes more
        steps gives a bound, and no core is searched if there is a start.
    seed : int
        Of the solver's own choices among equals.
    start : (n,) array, optional
        A feasible solution; the answer is never worse.
    whole_costs : bool
        Every choice costs a whole number, so a bound of 7.01 is a bound of 8.
    enough : float
        A gap at which the search may rest, as a share of the bound.
    by_blocks : bool
        Where the cores leave a gap, look for a better bound in blocks: worth it where few rows hold choices
        that lie far apart.

    Raises
    ------
    InfeasibleError
        No choice satisfies the rows.
    SolverError
        The solver ended without an answer, or the work limit came before any was found.
    """
    most_steps = int(STEPS[effort] / max(1, len(program.row_lower)))
    relaxed = _run(program, seed=seed, max_steps=most_steps)
    if relaxed.status == highspy.HighsModelStatus.kInfeasible:
        raise InfeasibleError("no choice satisfies every requirement")
    duals = _signed(program, relaxed.duals)
    floor, reduced = lagrangian_bound(program, duals)
    turns = FEWEST_TURNS + int(most_steps / max(LEAST_TURN, TURN * relaxed.steps))
    task = _Task(program, floor, reduced, NODES[effort], turns, seed, whole_costs)
    answer = Answer(
        x=np.empty(0) if start is None else start,
        value=np.inf if start is None else float(program.cost @ start),
        bound=task.up(floor),
        duals=duals,
        proved=False,
        by_solver=False,
        stopped=relaxed.status == highspy.HighsModelStatus.kTimeLimit,
    )
    if relaxed.status == highspy.HighsModelStatus.kIterationLimit and start is not None:
        return answer
    for n_core in CORES[effort]:
        answer = _improve(task, answer, n_core)
        if answer.proved or answer.value - answer.bound <= enough * abs(answer.bound):
            return answer
    while not len(answer.x) and n_core < len(reduced):
        n_core *= 2
        answer = _improve(task, answer, n_core)
    if by_blocks and len(answer.x) and not answer.proved and _n_left(task, answer) > n_core:
        if _n_left(task, answer) > LAST[effort]:
            task, answer = _by_blocks(task, answer, BLOCKS[effort])
        if not answer.proved and _n_left(task, answer) <= LAST[effort]:
            answer = _improve(replace(task, max_turns=LAST_TURNS), answer, LAST[effort])
    if not len(answer.x):
        raise SolverError("no solution was found within the work limit; raise work.effort")
    return answer


def relaxed(program: Program, *, seed: int = 1) -> FloatArray:
    """The best choice where shares of a choice are allowed, at a corner: for finding cuts.

    Raises
    ------
    InfeasibleError
        No choice satisfies the rows, not even in shares.
    SolverError
        The solver ended without an answer.
    """
    run = _run(program, seed=seed, corner=True)
    if run.x is None:
        raise InfeasibleError("no choice satisfies every requirement")
    return run.x


@dataclass(frozen=True)
class Relaxed:
    """The best choice where shares are allowed, at a corner, and a proven bound on the cost of any choice."""

    x: FloatArray
    bound: float
    duals: FloatArray  # per row of the programme, of the Lagrangian bound


def relaxed_along(program: Program, limits: FloatArray, *, row: int, seed: int = 1) -> Iterator[Relaxed]:
    """The relaxation at one upper limit of a row after another, each from the corner of the one before.

    Raises
    ------
    SolverError
        The solver ended without an answer.
    """
    n = len(program.cost)
    highs = _solver(seed)
    highs.passModel(_model(program, np.zeros(n), np.ones(n), choices=False))
    for limit in limits.tolist():
        highs.changeRowBounds(row, program.row_lower[row], limit)
        highs.run()
        run = _read(highs, program, choices=False)
        if run.x is None:
            raise SolverError("a relaxation has no solution")
        upper = program.row_upper.copy()
        upper[row] = limit
        here = replace(program, row_upper=upper)
        duals = _signed(here, run.duals)
        yield Relaxed(run.x, lagrangian_bound(here, duals)[0], duals)


def lagrangian_bound(program: Program, duals: FloatArray) -> tuple[float, FloatArray]:
    """Least possible cost at these row prices, and the reduced cost of each variable.

    With y >= 0 on lower limits and y <= 0 on upper ones,
    ``sum(y * limit) + sum(min(0, cost - y @ matrix))`` bounds every feasible cost from below.
    """
    limit = np.where(duals > 0, program.row_lower, program.row_upper)
    priced = duals != 0
    reduced = program.cost - program.matrix.T @ duals
    return float(duals[priced] @ limit[priced] + np.minimum(reduced, 0).sum()), reduced


@dataclass(frozen=True)
class _Task:
    program: Program
    floor: float  # Lagrangian bound
    reduced: FloatArray
    max_nodes: int
    max_turns: int
    seed: int
    whole_costs: bool

    def up(self, bound: float) -> float:
        return float(np.ceil(bound - WHOLE_SLACK)) if self.whole_costs and np.isfinite(bound) else bound


def _improve(task: _Task, answer: Answer, n_core: int) -> Answer:
    """Solve the core of at most about ``n_core`` choices and take over what is better."""
    program, reduced = task.program, task.reduced
    worth_finding = answer.value - task.floor - (1 - WHOLE_SLACK if task.whole_costs else 0)
    margin = _margin(reduced[program.integer], worth_finding, n_core)
    fixed = program.integer & (np.abs(reduced) > margin)
    at = (reduced < 0).astype(np.float64)
    if len(answer.x):
        fixed &= np.abs(answer.x - at) < 0.5
    run = _run(
        program,
        lower=np.where(fixed, at, 0.0),
        upper=np.where(fixed, at, 1.0),
        choices=True,
        max_nodes=task.max_nodes,
        max_turns=task.max_turns,
        seed=task.seed,
        start=answer.x if len(answer.x) else None,
    )
    infeasible = run.status == highspy.HighsModelStatus.kInfeasible
    if infeasible and not fixed.any():
        raise InfeasibleError("no choice satisfies every requirement")
    x, value = answer.x, answer.value
    if run.x is not None and run.value < value:
        x, value = run.x, run.value
    bound = max(answer.bound, task.up(min(run.bound, task.floor + margin)))
    finished = infeasible or run.status == highspy.HighsModelStatus.kOptimal
    return replace(
        answer,
        x=x,
        value=value,
        bound=min(bound, value),
        proved=(finished and value <= task.up(task.floor + margin)) or value <= bound,
        by_solver=bound > answer.bound or answer.by_solver,
        stopped=answer.stopped or run.status == highspy.HighsModelStatus.kTimeLimit,
    )


def _n_left(task: _Task, answer: Answer) -> int:
    """Choices that a better solution may make otherwise than their prices say."""
    return int(np.count_nonzero(task.program.integer & (np.abs(task.reduced) <= answer.value - task.floor)))


def _by_blocks(task: _Task, answer: Answer, most: int) -> tuple[_Task, Answer]:
    """The bound of the blocks together, and with it what a change of each choice costs at least."""
    program, reduced, duals = task.program, task.reduced, answer.duals
    fixed = program.integer & (np.abs(reduced) > answer.value - task.floor)
    at = np.where(fixed & (reduced < 0), 1.0, 0.0)
    block, of_row = blocks_of(program.matrix, program.integer & ~fixed, fixed, most)
    price = np.where(of_row < 0, duals, 0.0)
    limit = np.where(price > 0, program.row_lower, program.row_upper)
    cost = program.cost - program.matrix.T @ price
    shift = program.matrix @ at
    floor = float(price[price != 0] @ limit[price != 0] + cost @ at)
    gain, stopped = np.zeros(block.max() + 1), answer.stopped
    for each in range(len(gain)):
        columns, rows = np.flatnonzero(block == each), np.flatnonzero(of_row == each)
        part = Program(
            cost=cost[columns],
            matrix=sparse.csr_array(program.matrix[rows][:, columns]),
            row_lower=program.row_lower[rows] - shift[rows],
            row_upper=program.row_upper[rows] - shift[rows],
            integer=program.integer[columns],
        )
        alone, _ = lagrangian_bound(part, duals[rows])
        run = _run(part, choices=True, max_nodes=task.max_nodes, max_turns=BLOCK_TURNS, seed=task.seed)
        stopped |= run.status == highspy.HighsModelStatus.kTimeLimit
        gain[each] = max(run.bound - alone, 0.0)
        floor += alone + gain[each]
    #  a change costs what it did before, less what only its own block has gained
    spent = np.where(block >= 0, gain[block], floor - task.floor)
    bound = max(answer.bound, min(task.up(floor), answer.value))
    answer = replace(
        answer,
        bound=bound,
        proved=answer.value - bound <= EXACT * abs(answer.value),
        by_solver=answer.by_solver or bound > answer.bound,
        stopped=stopped,
    )
    dearer = np.sign(reduced) * np.maximum(np.abs(reduced) - spent, 0.0)
    return replace(task, floor=floor, reduced=dearer), answer


def _margin(reduced: FloatArray, gap: float, n_core: int) -> float:
    """How far a reduced cost may be from 0 before its choice is fixed."""
    size = np.sort(np.abs(reduced))
    if len(size) <= n_core:
        return np.inf
    if np.searchsorted(size, gap, side="right") <= n_core:
        return gap
    return float(size[n_core])


def _signed(program: Program, duals: FloatArray) -> FloatArray:
    """The prices without those of a wrong sign, which would price a limit that is not there."""
    duals = np.where(np.isneginf(program.row_lower), np.minimum(duals, 0), duals)
    return np.where(np.isposinf(program.row_upper), np.maximum(duals, 0), duals)


def _run(
    program: Program,
    *,
    lower: FloatArray | None = None,
    upper: FloatArray | None = None,
    choices: bool = False,
    max_nodes: int = 0,
    max_turns: int = 0,
    max_steps: int | None = None,
    seed: int,
    start: FloatArray | None = None,
    corner: bool = False,
) -> _Run:
    """One run of HiGHS: the relaxation, or with ``choices`` the 0-1 programme.

    ``max_steps`` holds for the relaxation; the search has no count of its own, so its turns are counted: a
    round of cuts, a try of a heuristic, a node.
    """
    n = len(program.cost)
    options: dict[str, bool | int | float | str] = {
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 0.0,
        "mip_max_nodes": max_nodes,
    }
    if not choices and not corner and np.count_nonzero(program.integer) > CORES["quick"][0]:
        # Prices from the middle of the optimal face tell more choices apart than those of a corner.
        options |= {"solver": "ipx", "run_crossover": "off"}
    if max_steps is not None:
        options |= {"simplex_iteration_limit": max_steps, "ipm_iteration_limit": INNER_STEPS}
    highs = _solver(seed, **options)
    if choices:
        turns = count()

        def stop(event: highspy.HighsCallbackEvent) -> None:
            event.interrupt(next(turns) >= max_turns)

        highs.cbMipInterrupt.subscribe(stop)
    lower = np.zeros(n) if lower is None else lower
    upper = np.ones(n) if upper is None else upper
    highs.passModel(_model(program, lower, upper, choices=choices))
    if start is not None:
        highs.setSolution(n, np.arange(n, dtype=np.int32), np.ascontiguousarray(start))
    highs.run()
    return _read(highs, program, choices=choices)


def _solver(seed: int, **more: bool | int | float | str) -> highspy.Highs:
    highs = highspy.Highs()
    options: dict[str, bool | int | float | str] = {
        "output_flag": False,
        "threads": 1,  # always: a change between models leaves "Not Set" and an empty solution
        "parallel": "off",
        "random_seed": seed % 2**31,
        "time_limit": SAFETY_S,
    }
    for name, value in (options | more).items():
        highs.setOptionValue(name, value)
    return highs


def _model(program: Program, lower: FloatArray, upper: FloatArray, *, choices: bool) -> highspy.HighsLp:
    matrix = program.matrix
    model = highspy.HighsLp()
    model.num_row_, model.num_col_ = matrix.shape
    model.col_cost_ = program.cost
    model.col_lower_, model.col_upper_ = lower, upper
    model.row_lower_, model.row_upper_ = program.row_lower, program.row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.num_row_, model.a_matrix_.num_col_ = matrix.shape
    model.a_matrix_.start_ = matrix.indptr.astype(np.int32)
    model.a_matrix_.index_ = matrix.indices.astype(np.int32)
    model.a_matrix_.value_ = matrix.data.astype(np.float64)
    if choices:
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        model.integrality_ = [kinds[each] for each in program.integer.astype(int).tolist()]
    return model


def _read(highs: highspy.Highs, program: Program, *, choices: bool) -> _Run:
    """The outcome, its choices rounded to whole numbers; raises on a status that is no outcome."""
    status = highs.getModelStatus()
    known = highspy.HighsModelStatus
    ended = [known.kOptimal, known.kInfeasible, known.kSolutionLimit, known.kTimeLimit, known.kInterrupt]
    if not choices:
        ended += [
            known.kIterationLimit,
            known.kUnknown,
        ]  # prices short of the tolerance still give a valid bound
    if status == known.kModelEmpty:
        return _Run(
            known.kOptimal, np.zeros(len(program.cost)), 0.0, 0.0, np.zeros(len(program.row_lower)), 0
        )
    if status not in ended:
        raise SolverError(f"{solver_name()} ended with status {highs.modelStatusToString(status)!r}")
    info = highs.getInfo()
    solution = highs.getSolution()
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    x = np.array(solution.col_value) if found else None
    if choices and x is not None:
        x = np.where(program.integer, np.rint(x), x)
    infeasible = status == known.kInfeasible
    return _Run(
        status=status,
        x=x,
        value=float(program.cost @ x) if x is not None else np.inf,
        bound=np.inf if infeasible else (info.mip_dual_bound if choices else -np.inf),
        duals=np.array(solution.row_dual) if len(solution.row_dual) else np.zeros(len(program.row_lower)),
        steps=max(0, info.simplex_iteration_count),
    )
