"""Choices of sites with room for so much, and which row goes where, bettered step by step.

Rows go whole to one site. A site is tried in the place of another: the rows of the site closed go to the
cheapest open sites with room, the site opened takes the rows that save the most, and what moved is bettered
by shifts and by pushing a row on [1]_. Worse choices are taken now and then, ever more rarely [2]_; the best
is kept. First counts the weight served, then the walk.

References
----------
.. [1] S. Martello and P. Toth, "Knapsack problems", Wiley 1990, chapter 7.
.. [2] S. Kirkpatrick, C. D. Gelatt and M. P. Vecchi, "Optimization by simulated annealing", Science 220,
   1983, pp. 671-680.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from spatial.solve.sides import Sides
from spatial.solve.swaps import keeps_sides

__all__ = ["Pairs", "assigned_by_search"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

JOURNAL = 4096  # moves of one trial
DRAWN = 6  # sites looked at for one that is cheap to close
WARM = 0.03  # the first temperature, of what a site's rows walk
COLD = 0.005  # the last, of the first
PASSES = 30


class Pairs(NamedTuple):
    """What each row may use, cheapest first, and the same by site."""

    indptr: IntArray  # (m + 1,)
    site: IntArray  # (p,)
    cost: FloatArray  # (p,) per unit of weight
    by_site: IntArray  # (k + 1,)
    entry: IntArray  # (p,) places in ``site``, by site, cheapest first
    row: IntArray  # (p,) of each pair
    weight: FloatArray  # (m,)


class _State(NamedTuple):
    """Who is where; changed in place."""

    is_open: BoolArray  # (k,)
    room: FloatArray  # (k,) left
    at: IntArray  # (m,) the pair in use, −1 for none
    first: IntArray  # (k,) a row of the site
    after: IntArray  # (m,) the next row of the same site
    before: IntArray  # (m,)
    moved: IntArray  # (JOURNAL,) rows moved in this trial
    was: IntArray  # (JOURNAL,) and where they were
    n_moved: IntArray  # (1,) −1 while nothing is written down


class _Uses(NamedTuple):
    """The sides, by site."""

    indptr: IntArray
    side: IntArray
    use: FloatArray
    used: FloatArray
    least: FloatArray
    most: FloatArray


def assigned_by_search(
    pairs: Pairs,
    capacity: FloatArray,
    chosen: BoolArray,
    *,
    beyond: float,
    free: BoolArray,
    n: int,
    sides: Sides,
    trials: int,
    seed: int,
    at: IntArray | None = None,
) -> tuple[BoolArray, IntArray]:
    """The best choice and assignment met from a choice that keeps to the sides.

    Parameters
    ----------
    pairs : Pairs
    capacity : (k,) array
        Weight a site has room for.
    chosen : (k,) array of bool
        Where to begin.
    beyond : float
        Cost of a row left out, per unit of weight; above every cost so far that one row less outweighs all.
    free : (k,) array of bool
        Sites that may be opened or closed.
    n : int
        Most open sites in all.
    trials : int
        Sites tried; none leaves the choice as it is and only hands out the rows.
    at : (m,) array, optional
        The pairs that rows begin with, −1 for none yet; as many as the sites have room for.

    Returns
    -------
    chosen : (k,) array of bool
    at : (m,) array
        The pair each row uses, −1 for none.
    """
    m, k = len(pairs.weight), len(capacity)
    state = _State(
        chosen.copy(), capacity.astype(np.float64), np.full(m, -1), np.full(k, -1), np.full(m, -1),
        np.full(m, -1), np.empty(JOURNAL, np.int64), np.empty(JOURNAL, np.int64), np.full(1, -1),
    )  # fmt: skip
    use = sparse.csc_array(sides.use)
    uses = _Uses(
        use.indptr.astype(np.int64), use.indices.astype(np.int64), use.data.astype(np.float64),
        (sides.use @ chosen.astype(np.float64)).astype(np.float64), sides.least, sides.most,
    )  # fmt: skip
    if at is not None:
        _place_as(pairs, state, at)
    _place_all(pairs, state)
    _improve_all(pairs, state, beyond)
    candidates = np.flatnonzero(free & (np.diff(pairs.by_site) > 0))
    if trials and len(candidates) and n:
        best_open, best_at = state.is_open.copy(), state.at.copy()
        _anneal(pairs, state, uses, candidates, free, n, beyond, trials, seed, best_open, best_at)
        return best_open, best_at
    return state.is_open, state.at


@njit(cache=True)
def _move(pairs: Pairs, state: _State, i: int, entry: int, beyond: float) -> float:
    """Send a row to the site of a pair, or nowhere; what that costs more."""
    old = state.at[i]
    weight = pairs.weight[i]
    cost_old, cost_new = beyond, beyond
    if old >= 0:
        cost_old = pairs.cost[old]
        state.room[pairs.site[old]] += weight
        if state.before[i] >= 0:
            state.after[state.before[i]] = state.after[i]
        else:
            state.first[pairs.site[old]] = state.after[i]
        if state.after[i] >= 0:
            state.before[state.after[i]] = state.before[i]
    if entry >= 0:
        j = pairs.site[entry]
        cost_new = pairs.cost[entry]
        state.room[j] -= weight
        state.before[i], state.after[i] = -1, state.first[j]
        if state.first[j] >= 0:
            state.before[state.first[j]] = i
        state.first[j] = i
    state.at[i] = entry
    if state.n_moved[0] >= 0:
        state.moved[state.n_moved[0]], state.was[state.n_moved[0]] = i, old
        state.n_moved[0] += 1
    return weight * (cost_new - cost_old)


@njit(cache=True)
def _undo(pairs: Pairs, state: _State, n: int) -> None:
    """Take back the moves written down after the first n."""
    count = state.n_moved[0]
    state.n_moved[0] = -1
    for a in range(count - 1, n - 1, -1):
        _move(pairs, state, state.moved[a], state.was[a], 0.0)
    state.n_moved[0] = n


@njit(cache=True)
def _open_with_room(pairs: Pairs, state: _State, i: int, never: int) -> int:
    """The cheapest pair of a row whose site is open and has room, −1 where there is none."""
    for e in range(pairs.indptr[i], pairs.indptr[i + 1]):
        j = pairs.site[e]
        if j != never and state.is_open[j] and state.room[j] >= pairs.weight[i] - 1e-9:
            return e
    return -1


@njit(cache=True)
def _place_as(pairs: Pairs, state: _State, at: IntArray) -> None:
    for i in range(len(at)):
        if at[i] >= 0:
            _move(pairs, state, i, at[i], 0.0)


@njit(cache=True)
def _place_all(pairs: Pairs, state: _State) -> None:
    """Rows without a place to sites: the heaviest first, then those that lose most by their second best."""
    m = len(pairs.weight)
    key = np.empty(m)
    longest = 1.0
    for e in range(len(pairs.cost)):
        longest = max(longest, pairs.cost[e])
    for i in range(m):
        near, second = -1.0, 2.0 * longest
        for e in range(pairs.indptr[i], pairs.indptr[i + 1]):
            if state.is_open[pairs.site[e]]:
                if near >= 0.0:
                    second = pairs.cost[e]
                    break
                near = pairs.cost[e]
        key[i] = -pairs.weight[i] * (1.0 + (second - max(near, 0.0)) / longest)
    for i in np.argsort(key, kind="mergesort"):
        e = _open_with_room(pairs, state, i, -1) if state.at[i] < 0 else -1
        if e >= 0:
            _move(pairs, state, i, e, 0.0)


@njit(cache=True)
def _push_on(pairs: Pairs, state: _State, i: int, entry: int, beyond: float) -> float:
    """Give a row its place at a full site if one other row can go elsewhere so that both walk less."""
    weight, into, home = pairs.weight[i], pairs.site[entry], state.at[i]
    home_site = pairs.site[home] if home >= 0 else -1
    gain = weight * (pairs.cost[entry] - (pairs.cost[home] if home >= 0 else beyond))
    best, best_row, best_entry = -1e-7, -1, -1
    k = state.first[into]
    while k >= 0:
        if k != i and state.room[into] + pairs.weight[k] >= weight - 1e-9:
            here = pairs.cost[state.at[k]]
            found = False
            for e in range(pairs.indptr[k], pairs.indptr[k + 1]):
                total = gain + pairs.weight[k] * (pairs.cost[e] - here)
                if total >= best:
                    found = True
                    break
                j = pairs.site[e]
                if j == into or not state.is_open[j]:
                    continue
                room = state.room[j] + (weight if j == home_site else 0.0)
                if room >= pairs.weight[k] - 1e-9:
                    best, best_row, best_entry, found = total, k, e, True
                    break
            if not found and gain + pairs.weight[k] * (beyond - here) < best:
                best, best_row, best_entry = gain + pairs.weight[k] * (beyond - here), k, -1
        k = state.after[k]
    if best_row < 0:
        return 0.0
    return _move(pairs, state, best_row, best_entry, beyond) + _move(pairs, state, i, entry, beyond)


@njit(cache=True)
def _make_room(pairs: Pairs, state: _State, i: int, entry: int, beyond: float) -> float:
    """Give a row its place at a full site and send away rows of it, those that lose least, if that pays."""
    journal = state.n_moved[0]
    if journal > JOURNAL // 2:
        return 0.0
    start = max(journal, 0)
    state.n_moved[0] = start
    into = pairs.site[entry]
    change = _move(pairs, state, i, entry, beyond)
    while state.room[into] < -1e-9 and state.n_moved[0] < JOURNAL - 1:
        least, out, out_to = np.inf, -1, -1
        k = state.first[into]
        while k >= 0:
            if k != i:
                e = _open_with_room(pairs, state, k, into)
                loss = (pairs.cost[e] if e >= 0 else beyond) - pairs.cost[state.at[k]]
                if loss < least:
                    least, out, out_to = loss, k, e
            k = state.after[k]
        if out < 0:
            break
        change += _move(pairs, state, out, out_to, beyond)
    if state.room[into] < -1e-9 or change >= -1e-7:
        _undo(pairs, state, start)
        change = 0.0
    if journal < 0:
        state.n_moved[0] = -1
    return change


@njit(cache=True)
def _improve(pairs: Pairs, state: _State, i: int, beyond: float) -> float:
    """A better place for a row, pushing another on if need be; what it costs more, 0 where there is none."""
    home = state.at[i]
    here = pairs.cost[home] if home >= 0 else beyond
    for e in range(pairs.indptr[i], pairs.indptr[i + 1]):
        if pairs.cost[e] >= here:
            break
        j = pairs.site[e]
        if not state.is_open[j]:
            continue
        if state.room[j] >= pairs.weight[i] - 1e-9:
            return _move(pairs, state, i, e, beyond)
        change = _push_on(pairs, state, i, e, beyond)
        if change == 0.0 and home < 0:
            change = _make_room(pairs, state, i, e, beyond)
        if change < 0.0:
            return change
    return 0.0


@njit(cache=True)
def _improve_all(pairs: Pairs, state: _State, beyond: float) -> None:
    state.n_moved[0] = -1
    for _ in range(PASSES):
        change = 0.0
        for i in range(len(pairs.weight)):
            change += _improve(pairs, state, i, beyond)
        if change == 0.0:
            break


@njit(cache=True)
def _try(
    pairs: Pairs, state: _State, into: int, out: int, beyond: float, worth: FloatArray, who: IntArray
) -> float:
    """Close one site, if not −1, and open another; what it costs more, with the moves written down."""
    state.n_moved[0] = 0
    change = 0.0
    if out >= 0:
        state.is_open[out] = False
        n = 0
        i = state.first[out]
        while i >= 0:
            who[n], worth[n] = i, -pairs.weight[i]
            n += 1
            i = state.after[i]
        for a in np.argsort(worth[:n], kind="mergesort"):
            if state.n_moved[0] > JOURNAL // 2:
                break
            i = who[a]
            change += _move(pairs, state, i, _open_with_room(pairs, state, i, -1), beyond)
        if state.first[out] >= 0:  # more than one trial can move
            state.is_open[out] = True
            return np.inf
    state.is_open[into] = True
    n = 0
    for a in range(pairs.by_site[into], pairs.by_site[into + 1]):
        e = pairs.entry[a]
        i = pairs.row[e]
        here = pairs.cost[state.at[i]] if state.at[i] >= 0 else beyond
        if pairs.cost[e] < here and pairs.weight[i] <= state.room[into] + 1e-9:
            who[n], worth[n] = e, pairs.cost[e] - here
            n += 1
    for a in np.argsort(worth[:n], kind="mergesort"):
        i = pairs.row[who[a]]
        if state.n_moved[0] > JOURNAL // 2:
            break
        if pairs.weight[i] <= state.room[into] + 1e-9:
            change += _move(pairs, state, i, who[a], beyond)
    a = 0
    while a < state.n_moved[0] and state.n_moved[0] < JOURNAL // 2:
        change += _improve(pairs, state, state.moved[a], beyond)
        a += 1
    return change


@njit(cache=True)
def _settle(pairs: Pairs, state: _State, beyond: float, who: IntArray) -> float:
    """After a trial is kept: whoever would rather be where somebody left may go there."""
    n, change = 0, 0.0
    for a in range(state.n_moved[0]):
        if state.was[a] >= 0:
            who[n] = pairs.site[state.was[a]]
            n += 1
    state.n_moved[0] = -1
    for j in np.unique(who[:n]):
        if not state.is_open[j]:
            continue
        for a in range(pairs.by_site[j], pairs.by_site[j + 1]):
            if state.room[j] <= 1e-9:
                break
            e = pairs.entry[a]
            i = pairs.row[e]
            here = pairs.cost[state.at[i]] if state.at[i] >= 0 else beyond
            if pairs.cost[e] < here and pairs.weight[i] <= state.room[j] + 1e-9:
                change += _move(pairs, state, i, e, beyond)
    return change


@njit(cache=True)
def _draw(stream: NDArray[np.uint64], n: int) -> int:
    """A whole number below n, by xorshift."""
    x = stream[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    stream[0] = x
    return int((x >> np.uint64(11)) % np.uint64(n))


@njit(cache=True)
def _loss(pairs: Pairs, state: _State, out: int, beyond: float) -> float:
    """What closing a site costs if each of its rows goes to the next with room."""
    loss = 0.0
    i = state.first[out]
    while i >= 0:
        e = _open_with_room(pairs, state, i, out)
        loss += pairs.weight[i] * ((pairs.cost[e] if e >= 0 else beyond) - pairs.cost[state.at[i]])
        i = state.after[i]
    return loss


@njit(cache=True)
def _anneal(
    pairs: Pairs,
    state: _State,
    uses: _Uses,
    candidates: IntArray,
    free: BoolArray,
    n: int,
    beyond: float,
    trials: int,
    seed: int,
    best_open: BoolArray,
    best_at: IntArray,
) -> None:
    """Try sites for others, nearby or cheap to close; ``best_open`` and ``best_at`` get the best met."""
    m = len(pairs.weight)
    size = max(m, len(pairs.cost) // max(1, len(state.is_open)) + m)
    worth, who = np.empty(size), np.empty(max(size, JOURNAL), np.int64)
    stream = np.array([np.uint64(seed) * np.uint64(2654435761) + np.uint64(88172645463325252)])
    opened = np.flatnonzero(state.is_open & free)
    places = np.empty(len(free), np.int64)  # of each open free site in ``opened``
    opened_list = np.empty(len(free), np.int64)
    n_opened = len(opened)
    for a in range(n_opened):
        opened_list[a] = opened[a]
        places[opened[a]] = a
    n_open = int(state.is_open.sum())
    walked = 0.0
    for i in range(m):
        if state.at[i] >= 0:
            walked += pairs.weight[i] * pairs.cost[state.at[i]]
    warm = max(WARM * walked / max(1, n_open), 1e-9)
    value, best = 0.0, 0.0
    for trial in range(trials):
        temperature = warm * COLD ** (trial / trials)
        into = candidates[_draw(stream, len(candidates))]
        if state.is_open[into]:
            continue
        out = -1
        if n_open >= n:
            if n_opened == 0:
                break
            if _draw(stream, 4) > 0:
                n_rows = pairs.by_site[into + 1] - pairs.by_site[into]
                a = pairs.by_site[into] + _draw(stream, min(n_rows, 40))
                i = pairs.row[pairs.entry[a]]
                out = pairs.site[state.at[i]] if state.at[i] >= 0 else -1
            else:
                least = np.inf
                for _ in range(DRAWN):
                    j = opened_list[_draw(stream, n_opened)]
                    loss = _loss(pairs, state, j, beyond)
                    if loss < least:
                        least, out = loss, j
            if out < 0 or not free[out]:
                continue
        if not keeps_sides(into, out, uses.indptr, uses.side, uses.use, uses.used, uses.least, uses.most):
            continue
        change = _try(pairs, state, into, out, beyond, worth, who)
        chance = (_draw(stream, 1 << 30) + 1) / (1 << 30)
        if change > -temperature * np.log(chance):
            state.is_open[into] = False
            _undo(pairs, state, 0)
            if out >= 0:
                state.is_open[out] = True
            continue
        value += change + _settle(pairs, state, beyond, who)
        for e in range(uses.indptr[into], uses.indptr[into + 1]):
            uses.used[uses.side[e]] += uses.use[e]
        if out >= 0:
            for e in range(uses.indptr[out], uses.indptr[out + 1]):
                uses.used[uses.side[e]] -= uses.use[e]
            opened_list[places[out]], places[into] = into, places[out]
        else:
            opened_list[n_opened], places[into] = into, n_opened
            n_opened += 1
            n_open += 1
        if value < best - 1e-7:
            best = value
            best_open[:], best_at[:] = state.is_open, state.at
