"""The least walk and the most served of any choice of sites, proved anew from prices, with room or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MOST_WALKS",
    "Choosing",
    "least_walk",
    "least_walk_with_room",
    "most_served",
    "most_served_with_room",
]

TINY = 1e-6  # of a weight
MOST_WALKS = 20_000_000  # from every candidate; with more, a bound is held against the value only
WHOLE_ROOM = 1000  # room up to which loads are counted in whole rows

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Choosing:
    """What any choice keeps to: sites by rows, as many as allowed, as much served."""

    walk: Floats  # (k, m) infinite where there is no way
    weight: Floats  # (m,)
    limit: float
    must: Bools  # (k,)
    never: Bools  # (k,)
    n: int  # sites in all, those it must have included
    served: float  # weight within the limit


def least_walk(
    task: Choosing, price: Floats, far: float, served_price: Floats, *, longest: float, left_out: Bools
) -> float:
    """No such choice that leaves no more without a way walks less than this in all.

    First the prices of being served say which sites such a choice must have and which it can't use.
    Then, with a price per weight of each row, a site is worth what its walks fall short of the
    prices; the sites it must have are taken, and the best others up to the number. A walk beyond
    the limit costs ``far`` more, given back for those who need not be served.

    Parameters
    ----------
    price : (m,) array
        NaN for rows that no site can be reached from.
    longest : float
        What a row without a site counts; those ``left_out`` (m,) do not count in the total.
    """
    walk = np.where(task.never[:, None], np.inf, task.walk)
    must, never = _forced(task, walk <= task.limit, served_price)
    walk[never] = np.inf
    reached = np.isfinite(price)
    walk, weight, price = walk[:, reached], task.weight[reached], price[reached]
    within = walk <= task.limit
    servable = within.any(axis=0)
    everyone = task.served >= weight[servable].sum()
    if everyone:  # whoever can be served must be
        walk = np.where(servable & ~within, np.inf, walk)
    worth = np.minimum(0.0, walk + far * ~within - price) @ weight
    free = np.sort(worth[~must & ~never])[: max(task.n - int(must.sum()), 0)]
    given_back = 0.0 if everyone else far * (weight.sum() - task.served)
    given_back += longest * float(weight[left_out[reached]].sum())
    return float(weight @ price + worth[must].sum() + free.sum() - given_back)


def most_served(task: Choosing, served_price: Floats) -> float:
    """No choice serves more weight than this: whole, where all weights are.

    A row is worth its weight less its price for nothing, and a site the prices of those it serves.
    """
    within = task.walk <= task.limit
    price = np.clip(served_price, 0.0, task.weight)
    worth = within @ price
    free = np.sort(worth[~task.must & ~task.never])[::-1]
    servable = within[~task.never].any(axis=0)
    most = (task.weight - price)[servable].sum() + worth[task.must].sum()
    most = float(most + free[: max(task.n - int(task.must.sum()), 0)].sum())
    return float(np.floor(most + TINY)) if _is_whole(task.weight) else most


def _forced(task: Choosing, within: Bools, served_price: Floats) -> tuple[Bools, Bools]:
    """Sites that a choice must have to serve so much, and those it can't use.

    A row is worth its weight less its price for nothing, and a site the prices of those it serves.
    """
    must, never = task.must, task.never
    price = np.clip(served_price, 0.0, task.weight)
    servable = within[~never].any(axis=0)
    worth = within @ price
    free = np.flatnonzero(~must & ~never)
    free = free[np.argsort(-worth[free], kind="stable")]
    n_free = task.n - int(must.sum())
    taken, left = free[:n_free], free[n_free:]
    most = (task.weight - price)[servable].sum() + worth[must].sum() + worth[taken].sum()
    if taken.size and left.size:
        must = must.copy()
        must[taken[most - worth[taken] + worth[left[0]] < task.served - TINY]] = True
        never = never.copy()
        never[left[most - worth[taken[-1]] + worth[left] < task.served - TINY]] = True
    return must, never


def least_walk_with_room(task: Choosing, room: Floats, price: Floats) -> float:
    """No such choice whose sites (k,) have room for so much walks less than this in all.

    A site is worth the best load it has room for; the dearest price is given back for those left out.
    """
    may, weight = _may(task, room)
    price = np.where(may.any(axis=0), np.nan_to_num(price), 0.0)
    out = float(weight @ may.any(axis=0)) - task.served
    given_back = max(float(price.max(initial=0.0)), 0.0) * (out if out > TINY else 0.0)
    return float(weight @ price) - _loads(task, room, may, price - task.walk) - given_back


def most_served_with_room(task: Choosing, room: Floats, price: Floats) -> float:
    """No choice whose sites (k,) have room for so much serves more weight than this."""
    may, weight = _may(task, room)
    price = np.clip(np.nan_to_num(price), 0.0, 1.0) * may.any(axis=0)
    least_out = float(weight @ price) - _loads(task, room, may, np.broadcast_to(price, may.shape))
    if _is_whole(weight):
        least_out = float(np.ceil(least_out - TINY))
    return float(weight @ may.any(axis=0)) - max(least_out, 0.0)


def _may(task: Choosing, room: Floats) -> tuple[Bools, Floats]:
    """Which site can serve which row."""
    fits = task.weight <= room[:, None] + 1e-9
    return (task.walk <= task.limit + TINY) & fits & ~task.never[:, None], task.weight


def _loads(task: Choosing, room: Floats, may: Bools, gain: Floats) -> float:
    """What the best loads of the sites are worth that a choice must have, and of the best others."""
    worth = np.zeros(len(room))
    for site in range(len(room)):
        rows = np.flatnonzero(may[site] & (gain[site] > 0))
        worth[site] = _best_load(task.weight[rows], gain[site, rows], room[site])
    free = np.sort(worth[~task.must & ~task.never])[::-1]
    return float(worth[task.must].sum() + free[: max(task.n - int(task.must.sum()), 0)].sum())


def _best_load(weight: Floats, gain: Floats, room: float) -> float:
    """The most that rows within the room are worth: whole rows where weights are small whole numbers."""
    if weight.sum() <= room + 1e-9:
        return float(weight @ gain)
    if not (_is_whole(weight) and room <= WHOLE_ROOM):
        order = np.argsort(-gain, kind="stable")
        left = np.maximum(room - np.append(0.0, np.cumsum(weight[order])[:-1]), 0.0)
        return float(np.minimum(weight[order], left) @ gain[order])
    best = np.zeros(int(room + 1e-9) + 1)
    for size, worth in zip(weight.astype(np.int64).tolist(), (weight * gain).tolist(), strict=True):
        best[size:] = np.maximum(best[size:], best[: best.size - size] + worth)
    return float(best[-1])


def _is_whole(weight: Floats) -> bool:
    return bool((weight == np.rint(weight)).all())
