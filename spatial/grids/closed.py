"""The cheapest closed set of rows around a row: what the lower bound uses of "in one piece".

Rows with the same neighbours, themselves included, are a *spot*. A set around row j is *closed* if,
where every way from j to one of its rows leads through one spot, it holds a row of that spot. Seen
from j the spots hang together as a tree, that of the blocks of the graph of spots; the cheapest
closed set of a given size is a knapsack on that tree, solved exactly in preorder (G. Johnson and
K. Niemi, Mathematics of Operations Research 8, 1983, pp. 1-14).
"""

from __future__ import annotations

from typing import NamedTuple

import networkx as nx
import numpy as np
from numba import njit
from numpy.typing import NDArray

from spatial.grids.problem import Floats, Ints, Sub

__all__ = ["Spots", "cheapest_closed_sets", "spots_of"]

_UNLISTED = -2


class Spots(NamedTuple):
    """Spots, their rows in CSR form, and the tree of spots and blocks with spot 0 as its root."""

    of_row: Ints
    row_indptr: Ints
    rows: Ints
    block: Ints  # towards the root, of each spot; −1 at a root
    gate: Ints  # of each block the spot towards the root


def spots_of(sub: Sub) -> Spots:
    """Spots of a connected component and the tree of their blocks; rows touch themselves here."""
    n = len(sub.rows)
    spot = _equal_around(sub)
    owner = spot[np.repeat(np.arange(n), np.diff(sub.indptr))]
    other = spot[sub.indices]
    graph = nx.Graph()
    graph.add_nodes_from(range(int(spot.max()) + 1))
    graph.add_edges_from(np.unique(np.column_stack((owner, other))[owner < other], axis=0).tolist())
    return Spots(spot, _indptr(spot, len(graph)), np.argsort(spot, kind="stable"), *_rooted(graph))


def _rooted(graph: nx.Graph) -> tuple[Ints, Ints]:
    """The block of each spot and the gate of each block, towards spot 0."""
    spots_in = [sorted(each) for each in nx.biconnected_components(graph)]
    blocks_at: list[list[int]] = [[] for _ in graph]
    for block, spots in enumerate(spots_in):
        for spot in spots:
            blocks_at[spot].append(block)
    block_of, gate = np.full(len(graph), -1, np.int64), np.full(len(spots_in), -1, np.int64)
    stack = [0]
    while stack:
        here = stack.pop()
        for block in blocks_at[here]:
            if gate[block] < 0:
                gate[block] = here
                beyond = [spot for spot in spots_in[block] if spot != here]
                block_of[beyond] = block
                stack.extend(beyond)
    return block_of, gate


def _equal_around(sub: Sub) -> Ints:
    """A number for each row, the same where the neighbours, the row itself included, are the same."""
    n = len(sub.rows)
    draws = np.random.default_rng(1).integers(0, 2**63, size=(n, 2), dtype=np.uint64)
    owner = np.repeat(np.arange(n), np.diff(sub.indptr))
    around = draws.copy()
    np.add.at(around, owner, draws[sub.indices])  # 128 bits: unequal sets do not meet
    return np.unique(around, axis=0, return_inverse=True)[1].astype(np.int64)


def _indptr(of: Ints, n: int) -> Ints:
    return np.concatenate(([0], np.cumsum(np.bincount(of, minlength=n)))).astype(np.int64)


class _Tree(NamedTuple):
    """Near spots as seen from one row, in preorder; places 0…, the row's own spot first."""

    spot: Ints
    end: Ints  # place after the last below it
    parent: Ints
    free: NDArray[np.bool_]  # may be passed without taking a row: some of its rows are not near
    first: Ints  # of its rows in ``row``; one more than there are places
    row: Ints
    cost: Floats  # of ``row``


class _Nearby(NamedTuple):
    """Near spots by block and blocks by gate, each chain ending at −1; of near spots, else stale."""

    first_spot: Ints  # of each block, its gate aside
    next_spot: Ints
    first_block: Ints  # of each gate
    next_block: Ints


def cheapest_closed_sets(
    sub: Sub,
    spots: Spots,
    price_m: Floats,
    centre: Ints,
    main: Ints,
    *,
    low: int,
    high: int,
    group_cost_m: float,
    filler_m: float,
    sets: bool = False,
) -> tuple[Floats, Ints, Ints]:
    """Least cost of a closed set of ``low`` to ``high`` households around each centre.

    A row costs its households times walk − price, and ``group_cost_m`` more if it has a group other
    than the centre's ``main``. Where the walks of a centre do not reach the whole component, households
    may be filled up to ``low`` at ``filler_m`` each, and a spot that is not near as a whole may be
    passed at no cost. Returns the costs, infinite where there is no such set, and with ``sets`` the rows
    of each cheapest set as lists in CSR form, all empty else.
    """
    return _cheapest(
        sub.near_indptr,
        sub.near_indices,
        sub.near_m,
        sub.weight,
        sub.group,
        spots,
        price_m,
        centre,
        main,
        sets,
        low,
        high,
        group_cost_m,
        filler_m,
    )


@njit(cache=True, nogil=True)
def _cheapest(  # type: ignore[no-untyped-def]
    near_indptr,
    near_indices,
    near_m,
    weight,
    group,
    spots,
    price,
    centres,
    mains,
    sets,
    low,
    high,
    group_cost_m,
    filler,
):
    n = len(weight)
    every = weight.sum()
    value = np.full(len(centres), np.inf)
    set_indptr = np.zeros(len(centres) + 1, np.int64)
    set_rows = np.empty(high * len(centres) if sets else 0, np.int64)
    widest = 1
    for row in range(n):
        widest = max(widest, near_indptr[row + 1] - near_indptr[row])
    tree = _Tree(
        np.empty(widest, np.int64),
        np.empty(widest, np.int64),
        np.empty(widest, np.int64),
        np.empty(widest, np.bool_),
        np.empty(widest + 1, np.int64),
        np.empty(widest, np.int64),
        np.empty(widest),
    )
    cost = np.full(n, np.nan)  # of the near rows
    n_near = np.zeros(len(spots.row_indptr) - 1, np.int64)
    met = np.zeros(len(n_near), np.bool_)
    nearby = _Nearby(
        np.empty(len(spots.gate), np.int64),
        np.empty(len(n_near), np.int64),
        np.empty(len(n_near), np.int64),
        np.empty(len(spots.gate), np.int64),
    )
    stack = np.empty((widest, 3), np.int64)
    table = np.empty((widest + 1, high + 1))
    taken = np.empty((widest, high + 1))
    for at in range(len(centres)):
        centre = centres[at]
        set_indptr[at + 1] = set_indptr[at]
        if weight[centre] > high:
            continue
        reached = 0
        for k in range(near_indptr[centre], near_indptr[centre + 1]):
            row = near_indices[k]
            reached += weight[row]
            each = near_m[k] - price[row]
            if group[row] >= 0 and group[row] != mains[at]:
                each += group_cost_m
            cost[row] = each * weight[row]
            n_near[spots.of_row[row]] += 1
        near = near_indices[near_indptr[centre] : near_indptr[centre + 1]]
        _list_nearby(spots, near, nearby)
        n_places = _look_around(spots, near, cost, n_near, centre, met, nearby, stack, tree)
        _fill_table(tree, n_places, weight, table, taken, high)
        fill = filler if reached < every else np.inf
        best = np.inf
        best_size = -1
        for size in range(weight[centre], high + 1):
            total = table[0, size]
            if total < np.inf and size < low:
                total += (low - size) * fill
            if total < best:
                best = total
                best_size = size
        value[at] = best
        if sets and best_size >= 0:
            set_indptr[at + 1] = _read_table(
                tree, n_places, weight, table, taken, best_size, set_rows, set_indptr[at]
            )
        for k in range(near_indptr[centre], near_indptr[centre + 1]):
            row = near_indices[k]
            cost[row] = np.nan
            n_near[spots.of_row[row]] = 0
            met[spots.of_row[row]] = False
    return value, set_indptr, set_rows[: set_indptr[-1]]


@njit(cache=True, nogil=True)
def _look_around(spots, near, cost, n_near, centre, met, nearby, stack, tree):  # type: ignore[no-untyped-def]
    """Fill in the tree, the centre last of its spot's rows; returns the number of places.

    Near spots to which no near ones lead follow at the end, each free of what is on the way.
    """
    root = spots.of_row[centre]
    met[root] = True
    stack[0] = (root, -1, -1)
    top = 1
    n_places = 0
    n_rows = 0
    looked = 0
    while top > 0 or looked < len(near):
        if top == 0:
            spot = spots.of_row[near[looked]]
            looked += 1
            if not met[spot]:
                met[spot] = True
                stack[0] = (spot, -2, 0)
                top = 1
            continue
        top -= 1
        spot, came_from, parent = stack[top]
        tree.spot[n_places] = spot
        tree.parent[n_places] = parent
        tree.end[n_places] = n_places + 1
        tree.free[n_places] = n_near[spot] < spots.row_indptr[spot + 1] - spots.row_indptr[spot]
        tree.first[n_places] = n_rows
        for at in range(spots.row_indptr[spot], spots.row_indptr[spot + 1]):
            row = spots.rows[at]
            if row != centre and not np.isnan(cost[row]):
                tree.row[n_rows] = row
                tree.cost[n_rows] = cost[row]
                n_rows += 1
        if n_places == 0:
            tree.row[n_rows] = centre
            tree.cost[n_rows] = cost[centre]
            n_rows += 1
        if came_from > -2:
            if spots.block[spot] >= 0 and spots.block[spot] != came_from:
                top = _push_block(spots, spots.block[spot], n_places, n_near, met, nearby, stack, top)
            block = nearby.first_block[spot]
            while block >= 0:
                if block != came_from:
                    top = _push_block(spots, block, n_places, n_near, met, nearby, stack, top)
                block = nearby.next_block[block]
        n_places += 1
    tree.first[n_places] = n_rows
    for place in range(n_places - 1, 0, -1):
        up = tree.parent[place]
        tree.end[up] = max(tree.end[up], tree.end[place])
    return n_places


@njit(cache=True, nogil=True)
def _push_block(spots, block, parent, n_near, met, nearby, stack, top):  # type: ignore[no-untyped-def]
    """Put the near spots of a block on the stack that are not met yet; returns its new height."""
    gate = spots.gate[block]
    if n_near[gate] > 0 and not met[gate]:
        met[gate] = True
        stack[top] = (gate, block, parent)
        top += 1
    spot = nearby.first_spot[block]
    while spot >= 0:
        if not met[spot]:
            met[spot] = True
            stack[top] = (spot, block, parent)
            top += 1
        spot = nearby.next_spot[spot]
    return top


@njit(cache=True, nogil=True)
def _list_nearby(spots, near, nearby):  # type: ignore[no-untyped-def]
    """Chain the near spots of each block and, at its gate, the blocks that have any."""
    for row in near:
        block = spots.block[spots.of_row[row]]
        if block >= 0:
            nearby.first_spot[block] = -1
            nearby.first_block[spots.gate[block]] = -1
        nearby.first_block[spots.of_row[row]] = -1
        nearby.next_spot[spots.of_row[row]] = _UNLISTED
    for row in near:
        spot = spots.of_row[row]
        block = spots.block[spot]
        if block < 0 or nearby.next_spot[spot] != _UNLISTED:
            continue
        if nearby.first_spot[block] < 0:
            gate = spots.gate[block]
            nearby.next_block[block] = nearby.first_block[gate]
            nearby.first_block[gate] = block
        nearby.next_spot[spot] = nearby.first_spot[block]
        nearby.first_spot[block] = spot


@njit(cache=True, nogil=True)
def _fill_table(tree, n_places, weight, table, taken, high):  # type: ignore[no-untyped-def]
    """Least cost by households: from each place on (``table``), and after each of its rows (``taken``)."""
    n_sizes = high + 1
    nothing = np.full(n_sizes, np.inf)
    table[n_places] = nothing
    table[n_places, 0] = 0.0
    for place in range(n_places - 1, -1, -1):
        below = table[place + 1]
        optional = place == 0 or tree.free[place]
        now = below if optional else nothing
        for at in range(tree.first[place], tree.first[place + 1]):
            w = weight[tree.row[at]]
            if place == 0 and at == tree.first[1] - 1:  # the centre, which can't be left out
                _take(nothing, now, now, w, tree.cost[at], taken[at], n_sizes)
            else:
                _take(now, now, now if optional else below, w, tree.cost[at], taken[at], n_sizes)
            now = taken[at]
        if place == 0:
            table[0] = now
        else:
            skipped = table[tree.end[place]]
            here = table[place]
            for size in range(n_sizes):
                here[size] = skipped[size] if skipped[size] < now[size] else now[size]


@njit(cache=True, nogil=True)
def _take(left, one, other, w, cost, out, n_sizes):  # type: ignore[no-untyped-def]
    """The cheaper of ``left`` and of a row more than the cheaper of ``one`` and ``other``."""
    for size in range(min(w, n_sizes)):
        out[size] = left[size]
    for size in range(w, n_sizes):
        least = one[size - w] if one[size - w] < other[size - w] else other[size - w]
        least += cost
        out[size] = left[size] if left[size] < least else least


@njit(cache=True, nogil=True)
def _read_table(tree, n_places, weight, table, taken, size, out, n_out):  # type: ignore[no-untyped-def]
    """Write the rows of a cheapest set of ``size`` households from ``out[n_out]`` on; returns the end."""
    place = 0
    while place < n_places and size > 0:
        if place > 0 and table[place, size] == table[tree.end[place], size]:
            place = tree.end[place]
            continue
        below = table[place + 1]
        first = tree.first[place]
        optional = place == 0 or tree.free[place]
        for at in range(tree.first[place + 1] - 1, first - 1, -1):
            row = tree.row[at]
            must = place == 0 and at == tree.first[1] - 1
            before = taken[at - 1, size] if at > first else below[size] if optional else np.inf
            if not must and taken[at, size] == before:
                continue
            out[n_out] = row
            n_out += 1
            size -= weight[row]
            if not optional and (at == first or below[size] <= taken[at - 1, size]):
                break
        place += 1
    return n_out
