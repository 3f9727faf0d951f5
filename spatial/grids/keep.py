"""Grids that continue an earlier plan: as few households as can be change their grid.

The earlier grids stand wherever they keep the limits, the locks and one piece. A row without an earlier
grid joins the touching grid with room where it costs least. What is then still broken is mended spot by
spot: the broken grids and a ring of neighbours around them are dealt out anew so that the fewest
households move, of these ways the one that changes the fewest numbers, of these the one with the least
walk and group cost to the grids' meeting points. A ring grows until its spot is sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from spatial.grids.decide import counts, cut_into
from spatial.grids.problem import Floats, Ints, Sub, cut_out, pieces, score
from spatial.solve import Places, label_connected

__all__ = ["Earlier", "continued", "keep_grids"]

SMALL_UNITS = 40  # a part up to this size is mended as one spot, every way tried
MOST_PLACES = 1500  # units times the grids near each, in a spot: beyond it is cut anew
REACH = 10  # units that a grid may grow by, per ring
MOST_NEW = 2  # new grids in a larger spot
_COUNTS = 3  # numbers of grids tried where a spot is cut as if it were new
_TRIES = 8  # trees of each

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Earlier:
    """What an earlier plan says of n rows."""

    label: Ints  # (n,) earlier grid 0, 1, …; −1 for a row without one
    stay: Ints  # (n,) what it counts to move the row to another grid; 0 for a row without one

    def take(self, rows: Ints) -> Earlier:
        """The same of some rows."""
        return Earlier(self.label[rows], self.stay[rows])


def keep_grids(
    sub: Sub, earlier: Earlier, *, low: int, high: int, group_cost_m: float, seed: int
) -> tuple[Ints, bool]:
    """Earlier grids of a connected part, mended where they break a limit, a lock or come in pieces.

    Returns
    -------
    int64 (m,)
        Grid of each row, 0…K−1, each in one piece; :func:`continued` says which earlier one it is.
    bool
        Whether every grid is within the limits and holds no two locks; False where no way was found.
    """
    ground = _Ground.of(sub, earlier, low, high, group_cost_m, seed)
    now = _place_new(ground, ground.home)
    now = _mend(ground, now)
    sound = not len(_broken(ground, now))
    if not sound:
        now = _in_one_piece(ground, now)
    return np.unique(now, return_inverse=True)[1][ground.unit], sound


def continued(grid: Ints, earlier: Earlier) -> Ints:
    """The earlier label that each grid 0…K−1 continues so that the least is moved; −1 for a new grid."""
    K = int(grid.max()) + 1
    held = (earlier.label >= 0) & (earlier.stay > 0)
    n_labels = int(earlier.label.max(initial=-1)) + 1
    both = coo_array(
        (earlier.stay[held], (grid[held], earlier.label[held])), shape=(K, max(n_labels, 1))
    ).tocsr()
    both.sum_duplicates()
    joined = coo_array((both.data, (both.nonzero()[0], K + both.nonzero()[1])), shape=(K + n_labels,) * 2)
    family = connected_components(joined, directed=False)[1] if n_labels else np.arange(K)
    out = np.full(K, -1, np.int64)
    order = np.argsort(family, kind="stable")
    for nodes in np.split(order, np.flatnonzero(np.diff(family[order])) + 1):
        grids, labels = nodes[nodes < K], nodes[nodes >= K] - K
        if len(grids) and len(labels):
            shared = both[grids][:, labels].toarray()
            at, to = linear_sum_assignment(shared, maximize=True)
            real = shared[at, to] > 0
            out[grids[at[real]]] = labels[to[real]]
    return out


# --- the ground ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ground:
    """A part with the rows of each lock drawn together to one unit; m units, L earlier labels."""

    sub: Sub
    unit: Ints  # (rows,)
    weight: Ints  # (m,)
    graph: csr_array  # (m, m)
    lock: Bools  # (m,) units of which no two share a grid
    stay: csr_array  # (m, L) what counts for staying with each label
    home: Ints  # (m,) the label with most of it, −1 none
    n_labels: int
    low: int
    high: int
    group_cost_m: float
    seed: int

    @staticmethod
    def of(sub: Sub, earlier: Earlier, low: int, high: int, group_cost_m: float, seed: int) -> _Ground:
        free = sub.locked < 0
        key = np.where(free, np.arange(len(free)), len(free) + sub.locked)
        names, unit = np.unique(key, return_inverse=True)
        owner, other = np.repeat(unit, np.diff(sub.indptr)), unit[sub.indices]
        apart = owner != other
        n = len(names)
        graph = csr_array((np.ones(int(apart.sum())), (owner[apart], other[apart])), shape=(n, n))
        n_labels = int(earlier.label.max(initial=-1)) + 1
        held = earlier.label >= 0
        stay = csr_array((earlier.stay[held], (unit[held], earlier.label[held])), shape=(n, n_labels))
        stay.sum_duplicates()
        home = np.full(n, -1, np.int64)
        at = np.repeat(np.arange(n), np.diff(stay.indptr))
        order = np.lexsort((stay.indices, -stay.data, at))
        first = order[np.flatnonzero(np.diff(at[order], prepend=-1))]
        home[at[first]] = stay.indices[first]
        weight = np.bincount(unit, sub.weight).astype(np.int64)
        return _Ground(
            sub, unit, weight, graph, names >= len(free), stay, home, n_labels, low, high, group_cost_m, seed
        )

    def rows(self, units: Bools) -> Ints:
        """Rows of the part that the marked units stand for."""
        return np.flatnonzero(units[self.unit])

    def pieces(self, label: Ints) -> Ints:
        """Connected pieces of units with equal label, numbered by their lowest unit; −1 for label −1."""
        return pieces(self.graph.indptr, self.graph.indices, label)


@dataclass(frozen=True)
class _Aims:
    """What the rows of each label 0…L−1 walk to and are compared with; −1 where there is none."""

    medoid: Ints  # row of the part
    main_group: Ints

    @staticmethod
    def of(sub: Sub, label: Ints, n_labels: int) -> _Aims:
        """Of rows labelled −1 none is counted."""
        medoid, main = np.full(n_labels, -1, np.int64), np.full(n_labels, -1, np.int64)
        rows = np.flatnonzero(label >= 0)
        if len(rows):
            names, grid = np.unique(label[rows], return_inverse=True)
            medoid[names] = rows[score(cut_out(sub, rows), grid).medoid]
        grouped = (label >= 0) & (sub.group >= 0)
        n_groups = int(sub.group.max(initial=-1)) + 1
        key, inverse = np.unique(label[grouped] * n_groups + sub.group[grouped], return_inverse=True)
        households = np.bincount(inverse, sub.weight[grouped])
        order = np.lexsort((-key, households))  # the heaviest group of a label is written last
        main[key[order] // max(n_groups, 1)] = key[order] % max(n_groups, 1)
        return _Aims(medoid, main)

    def cost_m(self, sub: Sub, rows: Ints, group_cost_m: float) -> Floats:
        """Households × (walk + group cost) of some rows under each label, 0 without a medoid: (rows, L)."""
        known = np.flatnonzero(self.medoid >= 0)
        near = csr_array((sub.near_m + 1.0, sub.near_indices, sub.near_indptr), shape=(len(sub.rows),) * 2)
        found = near[rows][:, self.medoid[known]].toarray()
        beyond_m = 2.0 * float(sub.near_m.max(initial=0.0))
        group = sub.group[rows][:, None]
        other = (group >= 0) & (group != self.main_group[known])
        each_m = np.where(found > 0, found - 1.0, beyond_m) + group_cost_m * other
        out = np.zeros((len(rows), len(self.medoid)))
        out[:, known] = sub.weight[rows][:, None] * each_m
        return out


# --- rows without an earlier grid ---------------------------------------------------------------


def _place_new(ground: _Ground, home: Ints, *, limits: bool = True) -> Ints:
    """Units without a label join the touching one that costs least, with ``limits`` one with room only."""
    now = home.copy()
    new = np.flatnonzero(now < 0)
    if not len(new) or not ground.n_labels:
        return now
    aims = _Aims.of(ground.sub, now[ground.unit], ground.n_labels)
    load = np.bincount(now[now >= 0], ground.weight[now >= 0], minlength=ground.n_labels)
    locked = np.zeros(ground.n_labels, bool)
    locked[now[ground.lock & (now >= 0)]] = True
    waiting: list[tuple[float, int, int]] = []

    def offer(unit: int) -> None:
        around = now[ground.graph.indices[ground.graph.indptr[unit] : ground.graph.indptr[unit + 1]]]
        rows = np.flatnonzero(ground.unit == unit)
        for label in np.unique(around[around >= 0]):
            one = _Aims(aims.medoid[[label]], aims.main_group[[label]])
            cost_m = one.cost_m(ground.sub, rows, ground.group_cost_m).sum()
            heappush(waiting, (round(float(cost_m), 6), unit, int(label)))

    for unit in new.tolist():
        offer(unit)
    while waiting:
        _, unit, label = heappop(waiting)
        full = load[label] + ground.weight[unit] > ground.high or (ground.lock[unit] and locked[label])
        if now[unit] >= 0 or (limits and full):
            continue
        now[unit] = label
        load[label] += ground.weight[unit]
        locked[label] |= ground.lock[unit]
        for other in ground.graph.indices[ground.graph.indptr[unit] : ground.graph.indptr[unit + 1]]:
            if now[other] < 0:
                offer(int(other))
    return now


# --- mending ------------------------------------------------------------------------------------


def _broken(ground: _Ground, now: Ints) -> Ints:
    """Labels that break a limit, hold two locks or come in pieces, and −1 where units have none."""
    placed = now >= 0
    n = int(now.max(initial=-1)) + 1
    load = np.bincount(now[placed], ground.weight[placed], minlength=n)
    bad = (load < ground.low) | (load > ground.high)
    bad |= np.bincount(now[placed & ground.lock], minlength=n) > 1
    piece = ground.pieces(now)
    pairs = np.unique(np.column_stack([now[placed], piece[placed]]), axis=0)
    bad |= np.bincount(pairs[:, 0], minlength=n) > 1
    bad &= np.bincount(now[placed], minlength=n) > 0
    return np.concatenate([np.flatnonzero(bad), np.full(int(not placed.all()), -1)])


def _mend(ground: _Ground, now: Ints) -> Ints:
    """Deal out anew what is broken, with as few neighbours as it takes.

    In a large part this is done twice where grids are torn, once with their smaller pieces left to look for a
    grid where they are; what mends more, and then what moves fewer households, stands.
    """
    if len(now) <= SMALL_UNITS:
        return _deal(ground, now, np.arange(len(now)), 1) if len(_broken(ground, now)) else now
    whole = np.where(_main_pieces(ground.pieces(now), ground.weight, now), now, -1)
    starts = [whole] if (whole == now).all() else [whole, now]
    return min(
        (_mend_from(ground, each) for each in starts),
        key=lambda each: (len(_broken(ground, each)), _moved(ground, each)),
    )


def _moved(ground: _Ground, now: Ints) -> float:
    """Households that do not stay with their label."""
    stays = np.flatnonzero((now >= 0) & (now < ground.n_labels))
    return float(ground.stay.sum() - ground.stay[stays, now[stays]].sum())


def _mend_from(ground: _Ground, now: Ints) -> Ints:
    for mend, rings in ((_deal, (1, 2)), (_cut_anew, (0, 1, 2, 3))):
        for ring in rings:
            for knot in _knots(ground, now):
                if np.isin(now[knot], _broken(ground, now)).any():
                    now = mend(ground, now, _around(ground, now, knot, ring), ring)
    return now


def _knots(ground: _Ground, now: Ints) -> list[Ints]:
    """Units of broken grids, and units without one, those that touch together."""
    broken = np.isin(now, _broken(ground, now))
    knot = ground.pieces(np.where(broken, 0, -1))
    return [np.flatnonzero(knot == each) for each in range(int(knot.max(initial=-1)) + 1)]


def _around(ground: _Ground, now: Ints, knot: Ints, ring: int) -> Ints:
    """A knot with some rings of sound grids around it."""
    inside = np.zeros(len(now), bool)
    inside[knot] = True
    sound = ~np.isin(now, _broken(ground, now))
    for _ in range(ring):
        touched = np.unique(now[ground.graph[np.flatnonzero(inside)].indices])
        inside |= sound & np.isin(now, touched)
    return np.flatnonzero(inside)


@dataclass(frozen=True)
class _Spot:
    """Units that are dealt out anew among the labels they bear and some new ones."""

    units: Ints  # of the ground, m of them
    here: Sub  # their rows
    unit: Ints  # 0…m−1 of each row
    graph: csr_array
    old: Ints  # labels borne today
    n_new: int
    now: Ints  # (m,) place in ``old``, −1 none
    unsettled: Bools  # (m,) new, or in a broken grid

    @staticmethod
    def of(ground: _Ground, now: Ints, units: Ints, *, n_new: int = 0) -> _Spot:
        inside = np.zeros(len(now), bool)
        inside[units] = True
        rows = ground.rows(inside)
        label = now[units]
        old = np.unique(label[label >= 0])
        return _Spot(
            units,
            cut_out(ground.sub, rows),
            np.searchsorted(units, ground.unit[rows]),
            ground.graph[units][:, units].tocsr(),
            old,
            n_new,
            np.where(label >= 0, np.searchsorted(old, label), -1),
            _unsettled(ground, now, units),
        )

    def names(self, ground: _Ground, now: Ints) -> Ints:
        """Today's labels, then some that nobody bears."""
        above = max(int(now.max(initial=-1)) + 1, ground.n_labels)
        return np.append(self.old, above + np.arange(self.n_new))

    def allowed(self, reach: int) -> Bools:
        """Which label each unit may bear: in a large spot only one whose units are near."""
        out = np.ones((len(self.units), len(self.old) + self.n_new), bool)
        if len(self.units) > SMALL_UNITS:
            for label in range(len(self.old)):
                out[:, label] = self._steps(self.now == label) <= reach
            out[:, len(self.old) :] = (self._steps(self.unsettled) <= reach)[:, None]
        return out

    def roots(self) -> Ints:
        """The unit that holds each label where it is, in a large spot: the middle of its units.

        New labels are held where the unsettled units are farthest from all others.
        """
        out = np.full(len(self.old) + self.n_new, -1, np.int64)
        if len(self.units) <= SMALL_UNITS:
            return out
        row = _Aims.of(self.here, self.now[self.unit], len(self.old)).medoid
        out[: len(self.old)] = self.unit[row]
        for label in range(len(self.old), len(out)):
            held = np.zeros(len(self.units), bool)
            held[out[:label]] = True
            away = np.where(self.unsettled & ~held, self._steps(held), -1.0)
            out[label] = int(np.argmax(away + 1000.0 * (self.now < 0)))
        return out

    def _steps(self, to: Bools) -> Floats:
        return dijkstra(self.graph, indices=np.flatnonzero(to), min_only=True, unweighted=True)


def _deal(ground: _Ground, now: Ints, units: Ints, ring: int) -> Ints:
    """The labels with one spot mended at the least move; unchanged where that fails.

    New grids are only tried where they could save a move: each takes ``low`` households that have to come
    from somewhere.
    """
    new = int(ground.weight[units[ground.home[units] < 0]].sum())
    loose = units if len(units) <= SMALL_UNITS else units[_unsettled(ground, now, units)]
    best = np.inf, now
    most_new = int(ground.weight[loose].sum()) // ground.low
    for n_new in range(1 + (most_new if len(units) <= SMALL_UNITS else min(most_new, MOST_NEW))):
        if best[0] <= max(n_new * ground.low - new, 0):
            break
        found = _dealt(ground, now, units, ring, n_new=n_new)
        if found is not None and found[0] < best[0]:
            best = found
    return best[1]


def _unsettled(ground: _Ground, now: Ints, units: Ints) -> Bools:
    """Which of some units are new or lie in a broken grid."""
    return (ground.home[units] < 0) | np.isin(now[units], _broken(ground, now))


def _dealt(ground: _Ground, now: Ints, units: Ints, ring: int, *, n_new: int) -> tuple[float, Ints] | None:
    """The least that has to be moved and the labels then."""
    spot = _Spot.of(ground, now, units, n_new=n_new)
    names = spot.names(ground, now)
    stay = np.zeros((len(units), len(names)))
    earlier = spot.old < ground.n_labels
    stay[:, np.flatnonzero(earlier)] = ground.stay[units][:, spot.old[earlier]].toarray()
    moved = ground.stay[units].sum(axis=1)[:, None] - stay
    unit, label = np.nonzero(spot.allowed(REACH * ring))
    if not 0 < len(unit) <= MOST_PLACES:
        return None
    best_m = np.inf

    def walks_m(dealt: Ints | None) -> Floats | None:
        """Walk and group cost of each place, towards the meeting points of the labelling found last."""
        nonlocal best_m
        grid = (spot.now if dealt is None else dealt)[spot.unit]
        if dealt is not None:
            whole = np.unique(grid, return_inverse=True)[1]
            worth_m = score(spot.here, whole).objective_m(ground.group_cost_m)
            if worth_m >= best_m - 1e-3:
                return None
            best_m = worth_m
        aims = _Aims.of(spot.here, grid, len(names))
        cost_m = np.zeros(stay.shape)
        np.add.at(cost_m, spot.unit, aims.cost_m(spot.here, np.arange(len(grid)), ground.group_cost_m))
        return cost_m[unit, label].round(3)

    found = label_connected(
        Places(
            unit,
            label,
            moved[unit, label] * (len(names) + 1.0),
            np.where(np.arange(len(names)) < len(spot.old), -1.0, 1.0),
        ),
        ground.weight[units],
        spot.graph,
        low=ground.low,
        high=ground.high,
        apart=ground.lock[units],
        root=spot.roots(),
        alike=len(spot.old),
        then=walks_m,
        effort="normal" if len(units) <= SMALL_UNITS else "quick",
        seed=ground.seed,
    )
    if found is None:
        return None
    out = now.copy()
    out[units] = names[found.label]
    return float(moved[np.arange(len(units)), found.label].sum()), out


def _cut_anew(ground: _Ground, now: Ints, units: Ints, ring: int) -> Ints:
    """A spot that could not be mended, cut into grids as if it were new; unchanged where that fails too."""
    spot = _Spot.of(ground, now, units)
    allowed = counts(spot.here.households, low=ground.low, high=ground.high)
    for K in sorted(allowed, key=lambda k: (abs(k - len(spot.old)), k))[:_COUNTS]:
        grid = cut_into(spot.here, K, low=ground.low, high=ground.high, seed=ground.seed + ring, tries=_TRIES)
        if grid is not None:
            out = now.copy()
            out[units[spot.unit]] = max(int(now.max(initial=-1)) + 1, ground.n_labels) + grid
            return out
    return now


def _in_one_piece(ground: _Ground, now: Ints) -> Ints:
    """Each label only where most of its households are; the rest joins the cheapest neighbour."""
    main = _main_pieces(ground.pieces(now), ground.weight, now)
    out = _place_new(ground, np.where(main, now, -1), limits=False)
    return out if out.min() >= 0 else np.zeros_like(out)  # none had an earlier grid


def _main_pieces(piece: Ints, weight: Ints, label: Ints) -> Bools:
    """Units in the heaviest piece of their label."""
    placed = label >= 0
    n_pieces = int(piece.max(initial=-1)) + 1
    households = np.bincount(piece[placed], weight[placed], minlength=n_pieces)
    owner = np.empty(n_pieces, np.int64)
    owner[piece[placed]] = label[placed]
    order = np.lexsort((np.arange(n_pieces), -households, owner))
    main = order[np.flatnonzero(np.diff(owner[order], prepend=-1))]
    return placed & np.isin(piece, main)
