"""The best cut of a few rows into grids, exactly.

Rows with one closed neighbourhood (all rows at one door, say) form a *class*: they touch each other and
the same others. Classes are eliminated one by one, in the order of a tree decomposition [1]_. When a
class goes, each of its rows joins some of the open pieces that touch it, or begins one. All that the
rest has to know of what lies behind is a multiset of open pieces: which of the remaining classes each
touches, and how many households it holds. So a hundred rows at one door cost no more than the pieces
that pass them, and a nearly tree-like neighbourhood of some hundred rows is settled in one sweep.

References
----------
.. [1] U. Bertelè and F. Brioschi, "Nonserial Dynamic Programming", Academic Press, 1972.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

__all__ = ["FAULT", "Cut", "OutOfWorkError", "Region", "best_cut", "fault_cost"]

FAULT = 1_000_000  # what a household in a faulty grid costs; one missing or too many costs 1

# An open piece is one integer: the classes it touches as bits, two flags, its households.
_SIZE_BITS = 20
_SIZE = (1 << _SIZE_BITS) - 1
_FREE = 1 << _SIZE_BITS  # it may go on outside the region
_LOCK = 2 << _SIZE_BITS  # it holds a lock
_FLAGS = _FREE | _LOCK
_MASK_AT = _SIZE_BITS + 2

_COMPARED = 64  # states that a state is held against, to see whether it is needed


class OutOfWorkError(Exception):
    """The work limit came before the answer."""


@dataclass(frozen=True)
class Region:
    """A few rows: households, neighbours, lock (−1 none), and whether a grid may go on outside from there."""

    weight: Sequence[int]
    near: Sequence[Sequence[int]]
    lock: Sequence[int]
    goes_on: Sequence[bool]


@dataclass(frozen=True)
class Cut:
    """Pieces, as rows, and what they cost together."""

    cost: int
    pieces: list[list[int]]


def fault_cost(households: int, low: int, high: int) -> int:
    """Cost of a grid of so many households: 0 within the limits."""
    miss = max(low - households, households - high, 0)
    return FAULT * households + miss if miss else 0


def best_cut(
    region: Region, *, low: int, high: int, below: int, work: int, n_pieces: int | None = None
) -> tuple[Cut | None, int]:
    """The cheapest cut of a region into pieces that each hang together.

    A piece within the limits costs nothing, nor does one up to ``high`` with a row from where it may go
    on outside; any other costs as :func:`fault_cost` says. Two locks never share a piece.

    Parameters
    ----------
    below : int
        Only cuts that cost less are of interest.
    work : int
        Steps allowed.
    n_pieces : int, optional
        How many pieces there must be; not for regions that go on outside.

    Returns
    -------
    The cut, or None where none costs less than ``below``; and the steps taken.

    Raises
    ------
    OutOfWorkError
    """
    sweep = _Sweep(region, low, high, below, work, n_pieces)
    return sweep.run(), sweep.steps


# How a state came about: None, (trace, trace) of two states side by side, or
# (trace, row, pieces it joined, piece that is open now or 0, class that no piece touches any longer).
_Trace = tuple | None  # type: ignore[type-arg]
# Households that are open: (pieces closed so far, where they are counted; open pieces) → cost, trace.
_State = tuple[int, tuple[int, ...]]
_Table = dict[_State, tuple[int, _Trace]]


class _Sweep:
    def __init__(
        self, region: Region, low: int, high: int, below: int, work: int, n_pieces: int | None
    ) -> None:
        self.region, self.low, self.high = region, low, high
        self.below, self.work, self.n_pieces = below, work, n_pieces
        self.steps = 0
        self.rows, self.near = _classes(region)
        # Pieces that touch nothing but one row and have to grow all end in that row's piece.
        self.ends = {1 << which << _MASK_AT for which, rows in enumerate(self.rows) if len(rows) == 1}

    def run(self) -> Cut | None:
        """Eliminate every class; what is left are states without an open piece."""
        tables: list[tuple[int, _Table]] = []  # classes that some open piece may touch, states
        left = (1 << len(self.rows)) - 1
        for which in _order(self.near, [len(each) for each in self.rows]):
            bit = 1 << which
            left &= ~bit
            around = left & sum(1 << other for other in self.near[which])
            mine = [each for each in tables if each[0] & bit]
            tables = [each for each in tables if not each[0] & bit]
            scope = around
            for touched, _ in mine:
                scope |= touched & ~bit
            states = _needed(self._placed(self._together([table for _, table in mine]), which, around))
            if not states:
                return None
            tables.append((scope, states))
        ends = self._together([table for _, table in tables])
        wanted = 0 if self.n_pieces is None else self.n_pieces
        if (wanted, ()) not in ends:
            return None
        cost, trace = ends[wanted, ()]
        return Cut(cost, _told(trace, self.ends))

    def _spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > self.work:
            raise OutOfWorkError

    def _together(self, tables: list[_Table]) -> _Table:
        """Every state of each table beside every state of the others."""
        tables = sorted(tables, key=len)
        out: _Table = tables[0] if tables else {(0, ()): (0, None)}
        for table in tables[1:]:
            both: _Table = {}
            self._spend(len(out) * len(table))
            for (count, some), (cost, trace) in out.items():
                for (more_count, others), (more, other_trace) in table.items():
                    if cost + more >= self.below:
                        continue
                    pieces, price = (some or others), cost + more
                    if some and others:
                        pieces, paid = self._fused(some + others)
                        price += paid
                    state = (count + more_count, pieces)
                    if price < self.below and (state not in both or both[state][0] > price):
                        both[state] = (price, (trace, other_trace))
            out = both
        return out

    def _placed(self, states: _Table, which: int, around: int) -> _Table:
        """The states once the rows of a class are in pieces; ``around`` are the neighbours that remain."""
        rows = self.rows[which]
        for row in rows:
            out: _Table = {}
            for state, (cost, trace) in states.items():
                self._place(out, state, cost, trace, row, 1 << which, around, last=row == rows[-1])
            states = out
        return states

    def _place(
        self,
        out: _Table,
        state: _State,
        cost: int,
        trace: _Trace,
        row: int,
        which: int,
        around: int,
        *,
        last: bool,
    ) -> None:
        """Put a row into each of the pieces it may be in, and these into ``out``."""
        region, high = self.region, self.high
        count, pieces = state
        touch, beyond = which << _MASK_AT, around << _MASK_AT
        own = region.weight[row] | (_FREE if region.goes_on[row] else 0)
        own |= _LOCK if region.lock[row] >= 0 else 0
        gone = touch if last else 0
        # A piece of more households would cost too much.
        beside = [piece for piece in pieces if piece & touch]
        over = sum(map(self._over, beside))
        room = max(high, (self.below - cost + over - 1) // FAULT) - (own & _SIZE)
        for joined in _subsets(beside, max(room, 0)):
            self._spend(1 + len(pieces) // 4)
            size, flags, mask = own & _SIZE, own & _FLAGS, beyond | touch
            paid, lazy = 0, False
            for piece in joined:
                paid += self._over(piece)
                size += piece & _SIZE
                if piece & _LOCK and flags & _LOCK:
                    break
                flags |= piece & _FLAGS
                mask |= piece >> _MASK_AT << _MASK_AT
                lazy = lazy or piece >> _MASK_AT == around | which
            else:
                rest = _without(pieces, joined, gone)
                if rest is None:
                    continue
                lazy = lazy and around > 0 and mask == beyond | touch
                mask &= ~gone
                price = fault_cost(size, self.low, high)
                link = (trace, row, joined)
                if size > high:
                    flags &= ~_FREE
                if flags & _FREE:  # it may end here or anywhere, so it need not be closed
                    self._keep(
                        out, (count, rest, mask | flags | size if mask else 0), cost - paid, link, gone
                    )
                    continue
                self._keep(out, (count, rest, 0), cost - paid + price, link, gone)
                # What touches no more than a fresh piece of the class can as well be joined later.
                if mask and not lazy:
                    charged = price if size > high else 0
                    self._keep(out, (count, rest, mask | flags | size), cost - paid + charged, link, gone)

    def _keep(
        self, out: _Table, grown: tuple[int, tuple[int, ...], int], cost: int, link: tuple, gone: int
    ) -> None:
        count, rest, made = grown
        if cost >= self.below:
            return
        if not made and self.n_pieces is not None:
            count += 1
            if count > self.n_pieces:
                return
        pieces, paid = self._fused((*rest, made) if made else rest)
        cost += paid
        if cost >= self.below:
            return
        if (count, pieces) not in out or out[count, pieces][0] > cost:
            out[count, pieces] = (cost, (*link, made, gone))

    def _fused(self, pieces: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """Sorted pieces, those made one that have to end in one, and what that costs."""
        ends = [piece for piece in pieces if piece & ~(_SIZE | _LOCK) in self.ends]
        if len(ends) < 2:
            return tuple(sorted(pieces)), 0
        heaps: dict[int, list[int]] = {}
        for piece in ends:
            heaps.setdefault(piece & ~(_SIZE | _LOCK), []).append(piece)
        out, paid = [piece for piece in pieces if piece & ~(_SIZE | _LOCK) not in heaps], 0
        for heap in heaps.values():
            size = sum(piece & _SIZE for piece in heap)
            out.append(heap[0] & ~(_SIZE | _LOCK) | size | _LOCK * any(piece & _LOCK for piece in heap))
            if len(heap) > 1:
                paid += self._over(out[-1]) - sum(map(self._over, heap))
                if sum(bool(piece & _LOCK) for piece in heap) > 1:
                    paid = self.below
        return tuple(sorted(out)), paid

    def _over(self, piece: int) -> int:
        """What an open piece has cost so far."""
        size = piece & _SIZE
        return fault_cost(size, self.low, self.high) if size > self.high else 0


def _without(pieces: tuple[int, ...], joined: tuple[int, ...], gone: int) -> tuple[int, ...] | None:
    """The other pieces, which no longer touch ``gone``; None where one that must grow no longer can."""
    if not joined and not gone:
        return pieces
    left = list(pieces)
    for piece in joined:
        left.remove(piece)
    if not gone:
        return tuple(left)
    out = []
    for piece in left:
        if (piece & ~gone) >> _MASK_AT:
            out.append(piece & ~gone)
        elif not piece & _FREE:
            return None
    return tuple(sorted(out))


def _needed(states: _Table) -> _Table:
    """The states without those that another one makes needless.

    A piece that may go on outside never has to grow, so of two states that differ in such pieces only,
    the one with lighter pieces, or more of them, can do whatever the other can.
    """
    groups: dict[_State, list[tuple[int, int, int, tuple[int, ...], list[int]]]] = {}
    for (count, pieces), (cost, _) in states.items():
        bound = tuple(piece for piece in pieces if not piece & _FREE)
        free = [piece for piece in pieces if piece & _FREE]
        rank = (cost, -len(free), sum(piece & _SIZE for piece in free), pieces, free)
        groups.setdefault((count, bound), []).append(rank)
    out: _Table = {}
    for (count, _), group in groups.items():
        kept: list[list[int]] = []
        for *_, pieces, free in sorted(group):
            if any(_covers(other, free) for other in kept[:_COMPARED]):
                continue
            kept.append(free)
            out[count, pieces] = states[count, pieces]
    return out


def _covers(pieces: list[int], others: list[int]) -> bool:
    """Whether each of ``others`` has a piece of its own that is no heavier and touches as much."""
    if len(pieces) < len(others):
        return False
    left = pieces
    for other in others:
        for at, piece in enumerate(left):
            as_light = piece & _SIZE <= other & _SIZE and piece & _FLAGS == other & _FLAGS
            if as_light and not (other & ~piece) >> _MASK_AT:
                left = left[:at] + left[at + 1 :]
                break
        else:
            return False
    return True


def _subsets(pieces: list[int], room: int) -> Iterator[tuple[int, ...]]:
    """Every subset of some pieces with so many households at most, equal pieces not told apart."""
    if not pieces:
        yield ()
        return
    first, rest = pieces[0], [piece for piece in pieces if piece != pieces[0]]
    households = first & _SIZE
    for taken in range(min(len(pieces) - len(rest), room // households) + 1):
        for others in _subsets(rest, room - taken * households):
            yield (first,) * taken + others


def _classes(region: Region) -> tuple[list[list[int]], list[set[int]]]:
    """Rows of each class, heaviest first, and the classes that touch it; a locked row is a class alone."""
    names: dict[tuple[int, ...], int] = {}
    of_row = []
    for row, near in enumerate(region.near):
        alone = region.lock[row] >= 0
        key = (-1, row) if alone else (int(region.goes_on[row]), *sorted((row, *near)))
        of_row.append(names.setdefault(key, len(names)))
    rows: list[list[int]] = [[] for _ in names]
    around: list[set[int]] = [set() for _ in names]
    for row, which in enumerate(of_row):
        rows[which].append(row)
        around[which] |= {of_row[other] for other in region.near[row]} - {which}
    for each in rows:
        each.sort(key=lambda row: (-region.weight[row], row))
    return rows, around


def _order(near: list[set[int]], n_rows: list[int]) -> Iterator[int]:
    """Classes in the order of elimination: the one with the fewest rows around it first."""
    near = [set(each) for each in near]
    now = [sum(n_rows[other] for other in each) for each in near]
    heap = [(rows, len(near[each]), each) for each, rows in enumerate(now)]
    heapify(heap)
    while heap:
        rows, degree, which = heappop(heap)
        if now[which] != rows or len(near[which]) != degree:
            continue
        now[which] = -1
        yield which
        around = near[which]
        for other in around:
            near[other] |= around
            near[other] -= {other, which}
            now[other] = sum(n_rows[each] for each in near[other])
            heappush(heap, (now[other], len(near[other]), other))


_Open = list[tuple[int, list[int]]]  # open pieces and their rows


def _told(trace: _Trace, ends: set[int]) -> list[list[int]]:
    """Pieces of the cut that a trace tells of."""
    closed: list[list[int]] = []
    told: list[_Open] = []  # per trace that was told
    todo: list[tuple[_Trace, bool]] = [(trace, False)]
    while todo:
        here, ready = todo.pop()
        if here is None:
            told.append([])
        elif not ready:
            todo.append((here, True))
            todo.extend((each, False) for each in (here if len(here) == 2 else here[:1]))
        elif len(here) == 2:
            told[-2:] = [_heaped(told[-2] + told[-1], ends)]
        else:
            told[-1] = _heaped(_retold(told[-1], here, closed), ends)
    return closed


def _heaped(pieces: _Open, ends: set[int]) -> _Open:
    """The open pieces, those made one that have to end in one."""
    out = [each for each in pieces if each[0] & ~(_SIZE | _LOCK) not in ends]
    heaps: dict[int, tuple[int, list[int]]] = {}
    for code, rows in pieces:
        touched = code & ~(_SIZE | _LOCK)
        if touched in ends:
            other, more = heaps.get(touched, (touched, []))
            heaps[touched] = (
                (other & _LOCK | code & _LOCK | touched) + (other & _SIZE) + (code & _SIZE),
                more + rows,
            )
    return out + list(heaps.values())


def _retold(pieces: _Open, step: tuple, closed: list[list[int]]) -> _Open:
    """The open pieces after one row was placed; pieces that end go to ``closed``."""
    _, row, joined, made, gone = step
    rows, left = [row], list(pieces)
    for code in joined:
        at = next(at for at, (other, _) in enumerate(left) if other == code)
        rows = rows + left.pop(at)[1]
    out = []
    for code, more in left:
        if (code & ~gone) >> _MASK_AT:
            out.append((code & ~gone, more))
        else:
            closed.append(more)
    if made:
        return [*out, (made, rows)]
    closed.append(rows)
    return out
