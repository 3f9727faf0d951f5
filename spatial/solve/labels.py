"""Labels for the units of a graph, each label in one piece and within limits, at the least cost.

The programme is solved without the pieces first; a label that comes out in several is answered by
separator cuts [1]_ and the programme solved again, until every label is in one piece: the answer is
then the best of all.

References
----------
.. [1] H. Validi, A. Buchanan and E. Lykhovyd, "Imposing contiguity constraints in political districting
   models", Operations Research 70(2), 2022, pp. 867-892.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components

from spatial.errors import InfeasibleError, SolverError
from spatial.settings import Effort
from spatial.solve.program import Program, relaxed, solve_program

__all__ = ["Labelling", "Places", "label_connected"]

ROUNDS: dict[Effort, int] = {"quick": 8, "normal": 60, "thorough": 240}  # of cuts, for each cost
SHARES: dict[Effort, int] = {"quick": 20, "normal": 20, "thorough": 40}  # of cuts before choices are whole
LEVELS = (0.05, 0.3, 0.5, 0.7)  # a unit bears a label if its share is above

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Cut = tuple[list[int], list[float], float]


@dataclass(frozen=True)
class Places:
    """Who may bear which label; p places of n units under L labels.

    The cost of a labelling is the sum over its places and over the labels that any unit bears.
    """

    unit: IntArray  # (p,)
    label: IntArray  # (p,)
    cost: FloatArray  # (p,) whole numbers
    open_cost: FloatArray  # (L,) whole numbers


@dataclass(frozen=True)
class Labelling:
    """A label per unit; ``proved``: none costs less."""

    label: IntArray
    cost: float
    proved: bool


@dataclass(frozen=True)
class _Task:
    places: Places
    weight: IntArray
    graph: sparse.csr_array
    low: int
    root: IntArray  # (L,)
    place: IntArray  # (n, L) of each unit and label; −1 where it may not bear it


def label_connected(
    places: Places,
    weight: IntArray,
    graph: sparse.csr_array,
    *,
    low: int,
    high: int,
    apart: BoolArray,
    root: IntArray,
    alike: int,
    then: Callable[[IntArray | None], FloatArray | None],
    effort: Effort = "normal",
    seed: int = 1,
) -> Labelling | None:
    """Give every unit a label; None where that can't be done or the work allowed is used up.

    Parameters
    ----------
    places : Places
    weight : int array, shape (n,)
        Of each unit, 1 or more.
    graph : csr_array, shape (n, n)
        Units that touch.
    low, high : int
        Limits of a label's weight, if any unit bears it.
    apart : bool array, shape (n,)
        Units of which no two may bear the same label.
    root : int array, shape (L,)
        The unit that bears the label if any does; −1 leaves that open.
    alike : int
        Labels from this one on are interchangeable.
    then : callable
        What counts among the labellings of least cost: asked with None for a second cost of each place
        (p,), then with each labelling found for the cost that comes next, until it answers None.
    """
    place = np.full((len(weight), len(places.open_cost)), -1, np.int64)
    place[places.unit, places.label] = np.arange(len(places.unit))
    task = _Task(places, weight, graph, low, root, place)
    cost = np.concatenate([places.cost, places.open_cost])
    rows = _rows(task, high, apart, alike)
    try:
        x, proved = _solve(task, rows, cost, None, effort=effort, seed=seed)
    except (InfeasibleError, SolverError):
        return None
    value = round(float(cost @ x))
    rows.add((np.flatnonzero(cost), cost[cost != 0], -np.inf, value))
    more = then(None)
    while more is not None:
        try:
            x, _ = _solve(task, rows, np.append(more, 0.0 * places.open_cost), x, effort=effort, seed=seed)
        except SolverError:
            break
        more = then(_labels(task, x))
    return Labelling(_labels(task, x), value, proved)


class _Rows:
    """The rows of a programme as they are added."""

    def __init__(self) -> None:
        self.index: list[NDArray] = []
        self.value: list[NDArray] = []
        self.lower: list[float] = []
        self.upper: list[float] = []

    def add(self, row: tuple[Sequence[int] | NDArray, Sequence[float] | NDArray, float, float]) -> None:
        index, value, lower, upper = row
        self.index.append(np.asarray(index, np.int64))
        self.value.append(np.asarray(value, np.float64))
        self.lower.append(lower)
        self.upper.append(upper)

    def cut(self, cuts: Sequence[Cut]) -> None:
        for index, value, upper in cuts:
            self.add((index, value, -np.inf, upper))

    def program(self, cost: FloatArray) -> Program:
        indptr = np.concatenate([[0], np.cumsum([len(each) for each in self.index])])
        matrix = sparse.csr_array(
            (np.concatenate(self.value), np.concatenate(self.index), indptr),
            shape=(len(self.index), len(cost)),
        )
        return Program(
            cost, matrix, np.array(self.lower), np.array(self.upper), np.ones(len(cost), dtype=bool)
        )


def _rows(task: _Task, high: int, apart: BoolArray, alike: int) -> _Rows:
    """Every unit has one label; a label is within the limits or not borne at all."""
    places, rows = task.places, _Rows()
    n_units, n_labels = task.place.shape
    n_places = len(places.unit)
    for unit in range(n_units):
        own = task.place[unit][task.place[unit] >= 0]
        rows.add((own, np.ones(len(own)), 1.0, 1.0))
    for label in range(n_labels):
        own = task.place[:, label][task.place[:, label] >= 0]
        load, opened = task.weight[places.unit[own]], n_places + label
        rows.add(([*own, opened], [*load, -high], -np.inf, 0.0))
        rows.add(([*own, opened], [*load, -task.low], 0.0, np.inf))
        own = own[apart[places.unit[own]]]
        if len(own) > 1:
            rows.add((own, np.ones(len(own)), -np.inf, 1.0))
        if label > alike:
            rows.add(([opened - 1, opened], [1.0, -1.0], 0.0, np.inf))
        for index, value in _ways_in(task, label):
            rows.add((index, value, -np.inf, 0.0))
    return rows


def _ways_in(task: _Task, label: int) -> Iterator[tuple[list[int], list[float]]]:
    """A unit bears a label with the last unit that every way from the root passes, or with a neighbour."""
    place, root = task.place[:, label], int(task.root[label])
    units = np.flatnonzero(place >= 0)
    near = task.graph[units][:, units].tolil().rows
    last: dict[int, int] = {}
    if root >= 0:
        ways = nx.from_scipy_sparse_array(task.graph[units][:, units], create_using=nx.DiGraph)
        last = nx.immediate_dominators(ways, int(np.searchsorted(units, root)))
    for at, unit in enumerate(units.tolist()):
        if unit == root:
            continue
        if root >= 0 and at not in last:
            yield [int(place[unit])], [1.0]
        elif root >= 0:
            yield [int(place[unit]), int(place[units[last[at]]])], [1.0, -1.0]
        if (root >= 0 and last.get(at) not in near[at]) or (root < 0 and task.weight[unit] < task.low):
            around = place[units[near[at]]].tolist()
            yield [int(place[unit]), *around], [1.0] + [-1.0] * len(around)


def _solve(
    task: _Task, rows: _Rows, cost: FloatArray, start: FloatArray | None, *, effort: Effort, seed: int
) -> tuple[FloatArray, bool]:
    """The best choice for one cost with every label in one piece, and whether that is proved."""
    whole = bool((cost == np.rint(cost)).all())
    for _ in range(SHARES[effort]):
        cuts = list(_cuts(task, relaxed(rows.program(cost), seed=seed)))
        if not cuts:
            break
        rows.cut(cuts)
    for _ in range(ROUNDS[effort]):
        program = rows.program(cost)
        answer = solve_program(program, effort=effort, seed=seed, start=start, whole_costs=whole)
        cuts = list(_cuts(task, answer.x))
        if not cuts:
            return answer.x, answer.proved
        rows.cut(cuts)
    raise SolverError("the labels were not in one piece within the work limit")


def _labels(task: _Task, x: FloatArray) -> IntArray:
    chosen = np.flatnonzero(x[: len(task.places.unit)] > 0.5)
    label = np.empty(len(task.weight), np.int64)
    label[task.places.unit[chosen]] = task.places.label[chosen]
    return label


def _cuts(task: _Task, x: FloatArray) -> Iterator[Cut]:
    """What a labelling with torn labels breaks and every sound one keeps; a labelling in shares as well."""
    seen = set()
    for label in range(task.place.shape[1]):
        place = task.place[:, label]
        share = np.where(place >= 0, x[place], 0.0)
        for level in LEVELS:
            rows = np.flatnonzero(share > level)
            if len(rows) < 2:
                continue
            n_pieces, piece = connected_components(task.graph[rows][:, rows], directed=False)
            main = int(np.argmax(np.bincount(piece, task.weight[rows])))
            if task.root[label] >= 0:
                held = piece[rows == task.root[label]]
                main = int(held[0]) if len(held) else -1
            for other in set(range(n_pieces)) - {main}:
                torn, home = rows[piece == other], rows[piece == main]
                for cut in _separators(task, label, home, torn):
                    key = tuple(cut[0])
                    if key not in seen and x[cut[0]] @ cut[1] > cut[2] + 0.02:
                        seen.add(key)
                        yield cut


def _separators(task: _Task, label: int, main: IntArray, torn: IntArray) -> Iterator[Cut]:
    """Who of ``torn`` bears the label takes along a unit of the ring that parts it from ``main``.

    The ring is as small as can be. Where the root lies outside, or the ground inside is too light for a
    label of its own, that holds whoever else bears the label, else for those of ``main`` only.
    """
    may = task.place[:, label] >= 0
    around = np.zeros(len(may), bool)
    around[task.graph[torn].indices] = True
    around[torn] = False
    outside = _reached(task, int(main[0]) if len(main) else int(task.root[label]), may & ~around)
    ring = around & may & _beside(task, outside)
    inside = _reached(task, torn[0], may & ~ring)
    ring_places = task.place[np.flatnonzero(ring), label].tolist()
    leave = [-1.0] * len(ring_places)
    alone = task.root[label] >= 0 or int(task.weight[inside].sum()) < task.low
    for unit in torn.tolist():
        place = int(task.place[unit, label])
        if alone:
            yield [place, *ring_places], [1.0, *leave], 0.0
            continue
        for other in {int(main[0]), int(main[len(main) // 2]), int(main[-1])}:
            yield [place, int(task.place[other, label]), *ring_places], [1.0, 1.0, *leave], 1.0


def _reached(task: _Task, unit: int, open_to: BoolArray) -> BoolArray:
    """Units in one piece with ``unit`` among those that are open."""
    rows = np.flatnonzero(open_to)
    found = breadth_first_order(
        task.graph[rows][:, rows], int(np.searchsorted(rows, unit)), directed=False, return_predecessors=False
    )
    out = np.zeros(len(open_to), bool)
    out[rows[found]] = True
    return out


def _beside(task: _Task, units: BoolArray) -> BoolArray:
    out = np.zeros(len(units), bool)
    out[task.graph[np.flatnonzero(units)].indices] = True
    return out
