"""How much light for how many lamps, and in which order: the curve, a free order, the choice's own order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spatial.settings import Settings
from spatial.siting.demand import NOTHING_M, LampTask
from spatial.solve import cover_curve, cover_order, covered, first_in_order

__all__ = ["Curve", "Order", "curve_of", "free_order", "order_of_choice", "raised"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
_Nested = tuple[IntArray, FloatArray, FloatArray]  # sites, and the metres and worth each adds

POINTS = 45  # of the curve
BEGIN_ROWS = 800_000  # stretches times the choices with which a free order is begun; at least so many of them
LEAST_BEGINS = 5
CLOSE = 0.015  # an order that falls short of the curve by less is good enough
STEPS = ((0.05, 0.11), (0.25, 0.15), (0.7, 0.73, 0.63))  # shares of the curve's points, where choices grow to


@dataclass(frozen=True)
class Curve:
    """The best choices for some numbers of new lamps; required sites are not forced here."""

    n_lamps: IntArray
    worth: FloatArray
    bound: FloatArray  # of the worth
    lit_m: FloatArray
    choices: tuple[BoolArray, ...]  # new lamps
    price: NDArray[np.float32]  # (q, m) per worth of each stretch, 0 to 1: proves the bound; q = 0: kept none

    def short(self, worth: FloatArray) -> float:
        """The largest share by which an order of this worth after 0, 1, 2 … lamps falls short."""
        within = self.n_lamps < len(worth)
        lost = self.worth[within] - worth[self.n_lamps[within]]
        return float(np.max(lost / np.maximum(self.worth[within], NOTHING_M), initial=0.0))


@dataclass(frozen=True)
class Order:
    """New lamps one after the other, what each adds, and the order's largest shortfall against the curve."""

    sites: IntArray
    gain_m: FloatArray
    gain: FloatArray  # of worth
    short: float
    short_least: float | None = None  # no order of these lamps has less


def curve_of(task: LampTask, settings: Settings, chosen: BoolArray) -> Curve:
    """The curve from no new lamp to as many as light all that can be lit.

    At the number of the plan it is worth no less than the plan.
    """
    n_plan = int((chosen & ~task.existing).sum())
    n_full = len(_nested(task, (task.usable,))[0])
    n_lamps = np.unique([*np.linspace(0, n_full, POINTS).round().astype(int), n_plan])
    found = cover_curve(
        task.cut.covers,
        task.worth,
        numbers=n_lamps,
        fixed=task.existing,
        barred=task.barred,
        sides=task.sides,
        seed=settings.work.seed,
    )
    choices = [each.chosen for each in found]
    at_plan = int(np.searchsorted(n_lamps, n_plan))
    if task.lit_worth(chosen) > task.lit_worth(choices[at_plan]):
        choices[at_plan] = chosen
    worth = np.array([task.lit_worth(each) for each in choices])
    sought = task.worth
    price = [np.divide(each.duals, sought, out=np.zeros_like(sought), where=sought > 0) for each in found]
    return Curve(
        n_lamps=n_lamps,
        worth=worth,
        bound=np.maximum([task.already_worth + each.bound for each in found], worth),
        lit_m=np.array([task.lit_m(each) for each in choices]),
        choices=tuple(each & ~task.existing for each in choices),
        price=_kept([] if len(task.sides.most) else price, len(sought)),
    )


def _kept(prices: list[FloatArray], n_stretches: int) -> NDArray[np.float32]:
    return np.array(prices, dtype=np.float32).reshape(-1, n_stretches) + np.float32(0)  # no zero below zero


def free_order(task: LampTask, settings: Settings, curve: Curve) -> Order:
    """A nested order of all usable sites.

    The best next lamp first gives one order; beginning with the choice of a point of the curve, its
    members so ordered, gives others. Where all of them fall too short, choices are grown one from another in
    wide steps, each the best that has the one before in it, so that they cost little light early and late.
    The order that falls least short of the curve is taken.
    """
    few = int(np.clip(BEGIN_ROWS // max(len(task.per_m), 1), LEAST_BEGINS, len(curve.choices)))
    at = np.linspace(0, len(curve.choices) - 1, few).round().astype(int)
    begins = [curve.choices[each] for each in np.unique(at)]
    best = _shortest(task, curve, [_nested(task, (begin, task.usable & ~begin)) for begin in begins])
    grown = _grown(task, settings, curve)
    while best.short > CLOSE and (order := next(grown, None)) is not None:
        best = min(best, _shortest(task, curve, [order]), key=lambda each: each.short)
    return best


def _grown(
    task: LampTask, settings: Settings, curve: Curve, chain: tuple[BoolArray, ...] = ()
) -> Iterator[_Nested]:
    """Orders that pass through choices each of which has the one before in it, from ``chain`` on."""
    if len(chain) == len(STEPS):
        steps = [larger & ~smaller for smaller, larger in pairwise((np.zeros_like(task.usable), *chain))]
        yield _nested(task, (*steps, task.usable & ~chain[-1]))
        return
    for share in STEPS[len(chain)]:
        at = round(share * (len(curve.n_lamps) - 1))
        choice = _best_with(task, settings, chain[-1], int(curve.n_lamps[at])) if chain else curve.choices[at]
        yield from _grown(task, settings, curve, (*chain, choice))


def _best_with(task: LampTask, settings: Settings, has: BoolArray, n: int) -> BoolArray:
    """The best choice of ``n`` new lamps that has these in it."""
    found = cover_curve(
        task.cut.covers,
        task.worth,
        numbers=np.array([max(n - int(has.sum()), 0)]),
        fixed=task.existing | has,
        barred=task.barred,
        sides=task.sides,
        seed=settings.work.seed,
    )
    return found[0].chosen & ~task.existing


def order_of_choice(task: LampTask, settings: Settings, new: BoolArray, curve: Curve) -> Order:
    """The order in which the new lamps of the plan light as much as early as they can.

    For each number on the curve the best of the plan's own lamps are found: no order of them has more after
    that many, which bounds the shortfall from below, and beginning with them gives an order to try.
    """
    inside = (curve.n_lamps > 0) & (curve.n_lamps < int(new.sum()))
    begins, least = [np.zeros_like(new)], 0.0
    if inside.any():
        found = cover_curve(
            task.cut.covers,
            task.worth,
            numbers=curve.n_lamps[inside],
            fixed=task.existing,
            barred=~new & ~task.existing,
            seed=settings.work.seed,
        )
        begins += [each.chosen & new for each in found]
        bound = task.already_worth + np.array([each.bound for each in found])
        short = (curve.worth[inside] - bound) / np.maximum(curve.worth[inside], NOTHING_M)
        least = max(float(short.max()), 0.0)
    keep = new & (task.required | task.shown.needed)  # also where they light no more alley
    orders = [_nested(task, (begin & new, new & ~begin), keep=keep) for begin in begins]
    best_order = _shortest(task, curve, orders)
    return Order(
        best_order.sites,
        best_order.gain_m,
        best_order.gain,
        best_order.short,
        min(least, best_order.short),
    )


def raised(task: LampTask, curve: Curve, order: Order) -> Curve:
    """The curve; where a prefix of the free order is worth more than the choice found, that counts."""
    at = np.minimum(curve.n_lamps, len(order.sites))
    ranked = task.lit_worth(task.existing) + np.concatenate([[0.0], np.cumsum(order.gain)])[at]
    ranked_m = task.lit_m(task.existing) + np.concatenate([[0.0], np.cumsum(order.gain_m)])[at]
    worth, lit_m = np.maximum(curve.worth, ranked), np.where(ranked > curve.worth, ranked_m, curve.lit_m)
    best = [int(np.argmax(worth[: last + 1])) for last in range(len(worth))]  # fewer lamps may do better
    bound = np.maximum(curve.bound, worth[best])
    return replace(curve, worth=worth[best], bound=bound, lit_m=lit_m[best])


def _shortest(task: LampTask, curve: Curve, orders: list[_Nested]) -> Order:
    start = task.lit_worth(task.existing)
    short = [curve.short(start + np.concatenate([[0.0], np.cumsum(gain)])) for _, _, gain in orders]
    best = int(np.argmin(short))
    return Order(*orders[best], short[best])


def _nested(task: LampTask, groups: tuple[BoolArray, ...], *, keep: BoolArray | None = None) -> _Nested:
    """The sites of one group after another, each time the best next: site, metres and worth it adds.

    A site that adds nothing is left out unless it is to be kept; one that an earlier site excludes always is.
    """
    shining, barred, order = task.existing.copy(), np.zeros_like(task.existing), []
    for group in groups:
        done = covered(task.cut.covers, shining)
        sites, gain = cover_order(
            task.cut.covers, np.where(done, 0.0, task.worth), among=group & ~barred, near=task.near
        )
        sites = sites[(gain > 0) | (False if keep is None else keep[sites])]
        order.append(sites)
        shining[sites] = True
        barred |= task.near @ shining.astype(np.int64) > 0
    sites = np.concatenate(order)
    gain_m, gain = _gains(task, sites)
    adds = (gain_m >= NOTHING_M) | (False if keep is None else keep[sites])
    return sites[adds], gain_m[adds], gain[adds]


def _gains(task: LampTask, sites: IntArray) -> tuple[FloatArray, FloatArray]:
    """Metres and worth newly lit by each site in this order."""
    by = first_in_order(task.cut.covers, sites)
    by[task.lit(task.existing)] = len(sites)
    gain_m = np.bincount(by, task.cut.length_m, minlength=len(sites) + 1)[:-1].astype(np.float64)
    return gain_m, np.bincount(by, task.worth, minlength=len(sites) + 1)[:-1].astype(np.float64)
