"""The best partition of a small component, proved by branch and price over grids in one piece.

Every possible grid is a column: a set of rows in one piece within the limits, with its meeting spot. The
relaxation of choosing K columns that hold every row once is solved by column generation, the pricing being
exact (:mod:`spatial.grids.shapes`), so that contiguity costs no cut and the bound loses only what
fractions of grids gain. Any prices y, with the K cheapest sets at these prices, bound every partition from
below, and are evaluated by own code; the solver only proposes them.

1. Where few enough sets cost less, at the prices, than the best partition known leaves room for, all of
   them are listed and the best choice among them is found by the solver: what they can't do, none can.
2. Otherwise the component is split in two: at most or at least so many grids that meet in one region; or,
   where these numbers are whole, grids that meet at one spot and hold so many rows of a kind.

References: R. Borndörfer, S. Schwartz and W. Surau, ZIB Report 21-14, 2021 (grids with lower and upper
weights on near-tree networks by column generation); R. Baldacci, N. Christofides and A. Mingozzi,
Mathematical Programming 115, 2008, pp. 351-385 (listing all columns below the gap).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from spatial.errors import InfeasibleError, SolverError
from spatial.grids.bound import Limits
from spatial.grids.problem import Floats, Ints, Sub, score
from spatial.grids.shapes import (
    Diagram,
    Kinds,
    Pairs,
    Prizes,
    cheapest_sets,
    diagram_of,
    kinds_below,
    kinds_of,
    sets_below,
)
from spatial.solve import Columns, set_partition, solver_name

__all__ = ["Proof", "Work", "prove"]

_SAME_M = 1e-3  # partitions closer than this are equally good
_SMOOTH = 0.7  # weight of the best prices so far in those priced next
_LESS_ROOM = 0.8  # of the room left when last looked, at which it pays to see again what pairs may hold
_ROUND = 200_000  # steps that a round is worth, beside its pricing
_SIMPLEX = 5_000  # steps that one of the simplex method is worth
_TAIL = 0.02  # of the room left, at which a relaxation is good enough to go on
_WHOLE = 1e-6
_BEGIN = 1000  # columns a relaxation begins with
_KEPT = 20_000  # columns kept from node to node
_TRIED = 12  # ways to split a node by rows of a kind that are tried, and any ways in a large component
_GLANCE = 50  # steps of the simplex method by which those are chosen
_DEAR = 2_000_000  # steps of pricing every pair, above which a component is large
_LIKELY = 2  # pairs of a spot that are priced first there
_SOME = 3000  # sets listed at once where all are too many
_CHEAPEST = 0.03  # of the room left, within which these are


@dataclass(frozen=True)
class Work:
    """Work allowed, counted in steps."""

    nodes: int = 2000  # of the search tree
    steps: int = 10**10  # pairs priced, times the nodes of the diagram, times the share they may hold
    rounds: int = 200  # of pricing per node
    sets: int = 20_000  # listed at once
    diagram: int = 60_000  # nodes of the diagram


@dataclass(frozen=True)
class Proof:
    """The best partition found and what no partition can undercut. [household-metres]"""

    grid: Ints
    value_m: float
    bound_m: float  # the value itself where optimal
    optimal: bool  # no partition is better by a millimetre
    bound_by: str
    stopped: bool  # the solver was stopped by the clock: not reproducible


@dataclass(frozen=True)
class _Rule:
    """At least ``low`` and at most ``high`` grids meet in a region and hold so many rows of a kind."""

    region: NDArray[np.bool_]  # (S,)
    kind: int  # −1: any grid that meets there
    rows: int
    low: float
    high: float

    def count(self, columns: _Sets) -> Floats:
        held = self.kind < 0 or columns.rows[:, self.kind] >= self.rows
        return (self.region[columns.meet] & held).astype(np.float64)


@dataclass(frozen=True)
class _Sets:
    """Columns: rows per kind, meeting spot and cost there."""

    rows: Ints  # (n, Q)
    meet: Ints  # (n,)
    cost_m: Floats  # (n,)

    def take(self, which: NDArray) -> _Sets:
        return _Sets(self.rows[which], self.meet[which], self.cost_m[which])

    def once(self) -> Ints:
        """Places of the columns that differ."""
        return np.unique(np.column_stack((self.meet, self.rows)), axis=0, return_index=True)[1]


@dataclass(frozen=True)
class _Node:
    """A part of the search: its rules, the pairs that may still pay, the prices to begin with."""

    bound_m: float
    rules: tuple[_Rule, ...]
    pairs: Pairs
    price: Floats  # (Q + 1 + rules,): rows of each kind, number of grids, rules


@dataclass(frozen=True)
class _Floor:
    """What prices prove: ``base_m`` and the K smallest values of the pairs."""

    price: Floats
    bound_m: float
    others_m: float  # base and all but the dearest of the K
    value: Floats  # of each pair
    rows: Ints  # of each pair


def prove(sub: Sub, grid: Ints, limits: Limits, *, price_m: Floats, work: Work | None = None) -> Proof | None:
    """The optimum of a component, or as good a bound as the work allows.

    Parameters
    ----------
    sub : Sub
        A component of m rows, in one piece.
    grid : int64 (m,)
        A partition within the limits and locks.
    limits : Limits
        K, least and most households, cost of mixing groups.
    price_m : (m,)
        Prices per household to begin with, e.g. of :func:`spatial.grids.bound.search_prices`.

    Returns
    -------
    Proof, or None where the adjacency is too far from a tree for the diagram of its sets.
    """
    work = work or Work()
    kinds = kinds_of(sub)
    diagram = diagram_of(kinds, most_nodes=work.diagram)
    if diagram is None:
        return None
    return _Search(sub, kinds, diagram, limits, work, grid).run(price_m)


class _Search:
    """The search tree, the columns met and the best partition so far."""

    def __init__(
        self, sub: Sub, kinds: Kinds, diagram: Diagram, limits: Limits, work: Work, grid: Ints
    ) -> None:
        self.sub, self.kinds, self.diagram, self.limits, self.work = sub, kinds, diagram, limits, work
        self.regions = _regions(kinds)
        self.per_spot = np.minimum(np.bincount(kinds.spot, kinds.count), limits.K).astype(np.int64)
        self.grid = grid
        self.value_m = score(sub, grid).objective_m(limits.group_cost_m)
        self.stopped = False
        self.steps = 0
        self.large = self._steps_of(self._every_pair()) > _DEAR
        rows = np.array(
            [np.bincount(kinds.kind[grid == each], minlength=len(kinds.spot)) for each in range(limits.K)]
        )
        meet = self._home(rows)
        self.columns = _Sets(rows, meet, self._cost_m(rows, meet))

    def run(self, price_m: Floats) -> Proof:
        """Search best bound first."""
        count = self.kinds.count
        price = np.bincount(self.kinds.kind, price_m, len(count)) / count * self.kinds.weight
        heap = [(-math.inf, 0, _Node(-math.inf, (), self._every_pair(), np.append(price, 0.0)))]
        left_m, made = math.inf, 1  # least bound of what can be neither closed nor split
        for _ in range(self.work.nodes):
            if not heap or heap[0][0] >= self.value_m - _SAME_M or self.steps > self.work.steps:
                break
            *_, node = heapq.heappop(heap)
            node, halves = self._solve(node)
            if not halves and node.bound_m < self.value_m - _SAME_M:
                left_m = min(left_m, node.bound_m)
            for rule in halves:
                child = replace(node, rules=(*node.rules, rule), price=np.append(node.price, 0.0))
                heapq.heappush(heap, (child.bound_m, made, child))
                made += 1
        bound_m = min([left_m, *(each[0] for each in heap)])
        optimal = bound_m >= self.value_m - _SAME_M
        bound_m = self.value_m if optimal else max(math.floor(bound_m * 1000 - 0.5) / 1000, 0.0)
        by = f"{solver_name()}, contiguous columns"
        return Proof(self.grid, self.value_m, bound_m, optimal, by, self.stopped)

    def _solve(self, node: _Node) -> tuple[_Node, tuple[_Rule, ...]]:
        """The node with its bound, and its halves where that leaves room for something better."""
        for tail in (_TAIL, 0.0):
            try:
                node, x, columns, master = self._relax(node, tail)
            except SolverError:
                return node, ()
            if node.bound_m < self.value_m - _SAME_M:
                node = replace(node, bound_m=max(node.bound_m, self._listed(node)))
            if node.bound_m >= self.value_m - _SAME_M:
                return node, ()
            halves = self._halves(x, columns, master)
            if halves:
                return node, halves
        return node, ()

    def _every_pair(self) -> Pairs:
        """Each spot with each main group and each lock."""
        groups = np.unique(self.kinds.group[self.kinds.group >= 0])
        if self.limits.group_cost_m == 0 or not len(groups):
            groups = np.array([-1])
        locks = np.unique(np.append(self.kinds.locked, -1))
        spot, group, lock = np.meshgrid(np.arange(len(self.per_spot)), groups, locks, indexing="ij")
        every = np.ones((spot.size, len(self.kinds.count)), bool)
        return Pairs(spot.ravel(), group.ravel(), lock.ravel(), every)

    # --- relaxation -----------------------------------------------------------------------------

    def _relax(self, node: _Node, tail: float) -> tuple[_Node, Floats, _Sets, Columns]:
        """The node with its bound and best prices, and a fractional choice of columns.

        ``tail`` is the share of the room left at which the relaxation is good enough.
        """
        count, K = self.kinds.count.astype(np.float64), float(self.limits.K)
        lower = np.array([*count, K, *(rule.low for rule in node.rules)])
        upper = np.array([*count, K, *(rule.high for rule in node.rules)])
        columns = known = self._useful(node)
        master = Columns(lower, upper, penalty=10 * self.value_m)
        master.add(columns.cost_m, self._lines(columns, node.rules))
        node, best = self._narrowed(node, self._floor(node, node.price))
        if not node.rules:
            node, best = self._possible(node, best)
        smooth, looked_m = _SMOOTH, self.value_m - best.bound_m
        for _ in range(self.work.rounds):
            value_m, x, price = master.solve()
            price[len(count) + 1 :] = _signed(price[len(count) + 1 :], node.rules)
            room_m = self.value_m - _SAME_M - best.bound_m
            if room_m <= 0 or value_m - best.bound_m <= max(tail * room_m, _SAME_M / 4):
                break
            mixed = smooth * best.price + (1 - smooth) * price
            likely = self._likely(node, best)
            floor = self._floor(likely, mixed)
            new = self._new(floor, likely, price)
            # Some of the pairs tell what all prove at most.
            if len(likely.pairs) < len(node.pairs) and (floor.bound_m > best.bound_m or not len(new.meet)):
                floor = self._floor(node, mixed)
                new = self._new(floor, node, price)
            if floor.bound_m > best.bound_m:
                node, best = self._narrowed(node, floor)
                if self.value_m - best.bound_m < _LESS_ROOM * looked_m:
                    looked_m = self.value_m - best.bound_m
                    node, best = self._possible(node, best)
            if len(new.meet):
                columns = _joined(columns, new)
                master.add(new.cost_m, self._lines(new, node.rules))
            elif smooth > 0:
                smooth = max(smooth - 0.2, 0.0)
            else:
                break
        self.steps += _SIMPLEX * master.steps
        self._keep(columns.take(np.arange(len(known.meet), len(columns.meet))))
        columns = columns.take(np.arange(len(x)))
        self._take_whole(x, columns)
        node = replace(node, bound_m=max(best.bound_m, node.bound_m), price=best.price)
        return self._possible(node, best)[0], x, columns, master

    def _narrowed(self, node: _Node, floor: _Floor) -> tuple[_Node, _Floor]:
        """The node and its floor without the pairs that no better partition has."""
        return _taken(node, floor, floor.others_m + floor.value < self.value_m - _SAME_M)

    def _possible(self, node: _Node, floor: _Floor) -> tuple[_Node, _Floor]:
        """The node without the kinds of each pair that no better partition has there.

        In a large component nor the pairs that can't hold their main group: their sets cost no more with
        one they hold.
        """
        below_m = np.full(len(node.pairs), self.value_m - _SAME_M - floor.others_m)
        prizes = self._prizes(node, floor.price)
        held = kinds_below(self.kinds, self.diagram, node.pairs, prizes, self.limits, below_m=below_m)
        node = replace(node, pairs=replace(node.pairs, may_hold=held))
        if not self.large or (self.kinds.group < 0).any():
            return node, floor
        main = node.pairs.group
        return _taken(node, floor, (main < 0) | (held & (self.kinds.group == main[:, None])).any(axis=1))

    def _likely(self, node: _Node, floor: _Floor) -> _Node:
        """The node with the pairs priced first: all where that is cheap, else the cheapest of each spot."""
        if self._steps_of(node.pairs) <= _DEAR:
            return node
        order = np.lexsort((floor.value, node.pairs.spot))
        spot = node.pairs.spot[order]
        nth = np.arange(len(order)) - np.searchsorted(spot, spot)
        return replace(node, pairs=node.pairs.take(np.sort(order[nth < _LIKELY])))

    def _steps_of(self, pairs: Pairs) -> int:
        """Steps to price these pairs."""
        return int(pairs.may_hold.mean(axis=1).sum() * len(self.diagram.skip))

    def _floor(self, node: _Node, price: Floats) -> _Floor:
        """What ``price`` proves for a node."""
        self.steps += _ROUND + self._steps_of(node.pairs)
        n_kinds = len(self.kinds.count)
        of_rules = price[n_kinds + 1 :]
        prizes = self._prizes(node, price)
        value, rows = cheapest_sets(self.kinds, self.diagram, node.pairs, prizes, self.limits)
        least = np.full(len(self.per_spot), np.inf)
        np.minimum.at(least, node.pairs.spot, value)
        picked = np.sort(np.repeat(least, self.per_spot))[: self.limits.K]
        base_m = float(price[:n_kinds] @ self.kinds.count)
        base_m += sum(
            each * (rule.low if each > 0 else rule.high)
            for each, rule in zip(of_rules.tolist(), node.rules, strict=True)
            if each != 0
        )
        if len(picked) < self.limits.K:
            return _Floor(price, math.inf, math.inf, value, rows)
        others_m = base_m + float(picked[:-1].sum())
        return _Floor(price, others_m + float(picked[-1]), others_m, value, rows)

    def _prizes(self, node: _Node, price: Floats) -> Prizes:
        n_kinds = len(self.kinds.count)
        return Prizes(
            price[:n_kinds],
            np.array([rule.kind for rule in node.rules], np.int64),
            np.array([rule.rows for rule in node.rules], np.int64),
            np.array(
                [
                    each * rule.region
                    for each, rule in zip(price[n_kinds + 1 :].tolist(), node.rules, strict=True)
                ]
            ).reshape(len(node.rules), len(self.per_spot)),
        )

    def _useful(self, node: _Node) -> _Sets:
        """The known columns that pay best at the node's prices, each once."""
        lines = sparse.csr_array(self._lines(self.columns, node.rules))
        reduced = self.columns.cost_m - lines @ node.price
        best = self.columns.take(np.sort(np.argsort(reduced, kind="stable")[:_BEGIN]))
        return best.take(np.sort(best.once()))

    def _keep(self, new: _Sets) -> None:
        """Remember new columns, the latest of all."""
        columns = _joined(self.columns, new)
        self.columns = columns.take(np.arange(max(len(columns.meet) - _KEPT, 0), len(columns.meet)))

    def _new(self, floor: _Floor, node: _Node, price: Floats) -> _Sets:
        """The sets of a floor that pay at the prices of the relaxation, with their own meeting spots too."""
        some = np.flatnonzero(np.isfinite(floor.value))
        rows = floor.rows[some]
        rows, meet = np.vstack((rows, rows)), np.append(node.pairs.spot[some], self._home(rows))
        sets = _Sets(rows, meet, self._cost_m(rows, meet))
        paying = (
            sets.cost_m - sparse.csr_array(self._lines(sets, node.rules)) @ price
            < -1e-7 * self.value_m / self.limits.K
        )
        sets = sets.take(paying)
        return sets.take(np.sort(sets.once()))

    def _lines(self, columns: _Sets, rules: tuple[_Rule, ...]) -> Floats:
        """One line per column: rows of each kind, one grid, what each rule counts."""
        one = np.ones(len(columns.meet))
        return np.column_stack((columns.rows, one, *(rule.count(columns) for rule in rules)))

    # --- columns --------------------------------------------------------------------------------

    def _home(self, rows: Ints) -> Ints:
        """The meeting spot of each set: of the spots in it the nearest to all, of equals the first."""
        households = self._households(rows)
        walk_m = np.where(households > 0, sparse.csr_array(households) @ self.kinds.walk_m, np.inf)
        return walk_m.argmin(axis=1)

    def _cost_m(self, rows: Ints, meet: Ints) -> Floats:
        walk_m = (self._households(rows) * self.kinds.walk_m[meet]).sum(axis=1)
        if self.limits.group_cost_m == 0:
            return walk_m
        names = np.unique(self.kinds.group[self.kinds.group >= 0])
        of_group = (rows * self.kinds.weight) @ (self.kinds.group[:, None] == names)
        outside = of_group.sum(axis=1) - of_group.max(axis=1, initial=0)
        return walk_m + self.limits.group_cost_m * outside

    def _households(self, rows: Ints) -> Floats:
        """Households of each set at each spot."""
        at = np.searchsorted(self.kinds.spot, np.arange(len(self.per_spot)))
        return np.add.reduceat((rows * self.kinds.weight).astype(np.float64), at, axis=1)

    # --- closing a node -------------------------------------------------------------------------

    def _listed(self, node: _Node) -> float:
        """The node's bound once every set that a better partition could hold is listed, if not too many."""
        floor = self._floor(node, node.price)
        rows = self._sets_within(node, floor, 1.0, self.work.sets)
        if rows is not None:
            return self._chosen(rows)
        # The best partition is mostly among the cheapest sets of all: it lessens the room of every node.
        rows = self._sets_within(node, floor, _CHEAPEST, _SOME)
        if rows is not None:
            self._chosen(rows)
        return -math.inf

    def _sets_within(self, node: _Node, floor: _Floor, share: float, most: int) -> Ints | None:
        """Every set that a partition within a share of the room left could hold; None if too many."""
        highest_m = self.value_m - _SAME_M
        if share < 1:
            highest_m = floor.bound_m + share * (highest_m - floor.bound_m)
        found = sets_below(
            self.kinds,
            self.diagram,
            node.pairs,
            self._prizes(node, node.price),
            self.limits,
            below_m=np.full(len(node.pairs), highest_m - floor.others_m),
            most=most,
        )
        if found is None:
            return None
        pair, rows = found
        unique: Ints = np.unique(rows[self._home(rows) == node.pairs.spot[pair]], axis=0)
        return unique

    def _chosen(self, rows: Ints) -> float:
        """Take the best choice among these sets if it is better; what no choice among them undercuts."""
        if len(rows) == 0:
            return math.inf
        # Two grids may hold the same numbers of rows of each kind.
        held = rows > 0
        times = np.where(held, self.kinds.count // np.maximum(rows, 1), self.limits.K).min(axis=1)
        rows = np.repeat(rows, times, axis=0)
        try:
            choice = set_partition(
                sparse.csr_array(rows.T),
                self._cost_m(rows, self._home(rows)),
                n_columns=self.limits.K,
                times=self.kinds.count,
            )
        except InfeasibleError:
            return math.inf
        except SolverError:
            return -math.inf
        self.stopped |= choice.stopped
        self._better(rows[choice.chosen])
        return choice.bound

    def _take_whole(self, x: Floats, columns: _Sets) -> None:
        """Take a choice that is not fractional at all, if it is the best partition."""
        times = np.rint(x).astype(np.int64)
        rows = np.repeat(columns.rows, times, axis=0)
        whole = len(rows) == self.limits.K and np.abs(x - times).max() <= _WHOLE
        if whole and (rows.sum(axis=0) == self.kinds.count).all():
            self._better(rows)

    def _better(self, rows: Ints) -> None:
        """Take a choice of sets as the best partition if it is."""
        grid = np.empty(len(self.kinds.kind), np.int64)
        for kind in range(rows.shape[1]):
            grid[self.kinds.kind == kind] = np.repeat(np.arange(len(rows)), rows[:, kind])
        value_m = score(self.sub, grid).objective_m(self.limits.group_cost_m)
        if value_m < self.value_m - _SAME_M:
            self.grid, self.value_m = grid, value_m

    def _halves(self, x: Floats, columns: _Sets, master: Columns) -> tuple[_Rule, ...]:
        """Two rules, of which every partition obeys one but not this fractional choice.

        Of all counts of a region, and of the most fractional others, the one that raises the dearer and the
        cheaper half the most.
        """
        used = columns.take(x > _WHOLE)
        differing: dict[bytes, _Rule] = {}
        for rule in self._counts(used):
            same = rule.count(used).tobytes()
            if not (self.large and same in differing):
                differing[same] = rule
        counts = list(differing.values())
        value = np.array([float(rule.count(used) @ x[x > _WHOLE]) for rule in counts])
        part = np.abs(value - np.rint(value))
        likely = np.argsort(-part, kind="stable")
        likely = likely[part[likely] > 10 * _WHOLE]
        of_rows = np.array([rule.kind >= 0 for rule in counts])[likely]
        likely = np.concatenate((likely[~of_rows], likely[of_rows][:_TRIED]))
        if not len(likely):
            return ()
        lines = np.array([counts[at].count(columns) for at in likely])
        base_m = float(x @ columns.cost_m)
        room_m = max(self.value_m - base_m, _SAME_M)
        before = master.steps
        if self.large:
            cost_m = master.rounded(lines, value[likely], steps=_GLANCE, afresh=True)
            rise_m = np.clip(cost_m - base_m, 0, room_m)
            first = np.argsort(-rise_m.prod(axis=1), kind="stable")[:_TRIED]
            likely, lines = likely[first], lines[first]
        cost_m = master.rounded(lines, value[likely], afresh=self.large)
        self.steps += _SIMPLEX * (master.steps - before)
        rise_m = np.clip(cost_m - base_m, room_m / 100, room_m)
        best = likely[int(rise_m.prod(axis=1).argmax())]
        rule, at = counts[best], float(value[best])
        return replace(rule, high=math.floor(at)), replace(rule, low=math.ceil(at))

    def _counts(self, used: _Sets) -> Iterator[_Rule]:
        """What may be fractional: grids that meet in a region, and those at a spot with rows of a kind."""
        for region in self.regions:
            yield _Rule(region, -1, 0, -math.inf, math.inf)
        for spot in np.unique(used.meet):
            rows = used.rows[used.meet == spot]
            region = np.arange(len(self.per_spot)) == spot
            for kind in np.flatnonzero(rows.min(axis=0) < rows.max(axis=0)):
                for n in range(int(rows[:, kind].min()) + 1, int(rows[:, kind].max()) + 1):
                    yield _Rule(region, int(kind), n, -math.inf, math.inf)


def _taken(node: _Node, floor: _Floor, alive: NDArray[np.bool_]) -> tuple[_Node, _Floor]:
    """Some pairs of a node, and what prices prove of them."""
    which = np.flatnonzero(alive)
    floor = replace(floor, value=floor.value[which], rows=floor.rows[which])
    return replace(node, pairs=node.pairs.take(which)), floor


def _signed(price: Floats, rules: tuple[_Rule, ...]) -> Floats:
    """Without prices of a wrong sign, which would price a limit that is not there."""
    low = np.array([np.isfinite(rule.low) for rule in rules], bool)
    return np.where(low, np.maximum(price, 0), np.minimum(price, 0))


def _joined(a: _Sets, b: _Sets) -> _Sets:
    return _Sets(np.vstack((a.rows, b.rows)), np.append(a.meet, b.meet), np.append(a.cost_m, b.cost_m))


def _regions(kinds: Kinds) -> NDArray[np.bool_]:
    """For each spot those beyond it, seen from the middle along a tree of ways with few steps: (S, S)."""
    n = len(kinds.beside)
    ends = np.array([(a, b) for a in range(n) for b in sorted(kinds.beside[a])], np.int64).reshape(-1, 2)
    graph = sparse.csr_array((np.ones(len(ends)), ends.T), shape=(n, n))
    middle = int(kinds.walk_m.max(axis=1).argmin())
    order, before = csgraph.breadth_first_order(graph, middle, directed=False)
    regions = np.eye(n, dtype=bool)
    for spot in order[:0:-1]:
        regions[before[spot]] |= regions[spot]
    return regions
