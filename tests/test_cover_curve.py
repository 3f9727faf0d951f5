"""The curve of coverings so dense that the relaxation is left: prices, annealing, parts of choices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from spatial.solve import cover, cover_bound, cover_curve, max_cover
from spatial.solve.annealing import Covering, annealed_along, with_better_parts, with_number
from spatial.solve.cover_prices import bounds_along

seeds = st.integers(min_value=0, max_value=10_000)


def all_choices(k: int) -> NDArray[np.bool_]:
    return (np.arange(2**k)[:, None] >> np.arange(k)) % 2 == 1


def some_covering(seed: int) -> tuple[sparse.csr_array, NDArray[np.float64]]:
    """Twelve rows, nine sites; every row has a site."""
    random = np.random.default_rng(seed)
    covers = random.random((12, 9)) < 0.25
    covers[np.arange(12), random.integers(0, 9, 12)] = True
    return sparse.csr_array(covers.astype(float)), random.integers(1, 30, 12) / 4


def dense_block(n_lanes: int = 6, every_m: float = 60.0) -> tuple[sparse.csr_array, NDArray[np.float64]]:
    """Lanes across each other, cut every 5 m; sites every 10 m light 11 to 19 m of their lane each way."""
    random = np.random.default_rng(7)
    lanes = [(along, k * every_m) for along in (0, 1) for k in range(n_lanes)]
    length_m = (n_lanes - 1) * every_m
    pieces = [(*lane, at) for lane in lanes for at in np.arange(2.5, length_m, 5)]
    sites = [(*lane, at) for lane in lanes for at in np.arange(random.uniform(0, 10), length_m, 10)]
    piece, site = np.array(pieces), np.array(sites)
    reach_m = random.uniform(11, 19, len(site))
    same_lane = (piece[:, None, :2] == site[None, :, :2]).all(axis=2)
    near_m = np.abs(piece[:, None, 2] - site[None, :, 2])
    over_the_corner = (piece[:, None, 0] != site[None, :, 0]) & (
        np.hypot(piece[:, None, 1] - site[None, :, 2], piece[:, None, 2] - site[None, :, 1]) <= 8
    )
    covers = (same_lane & (near_m <= reach_m)) | over_the_corner
    return sparse.csr_array(covers), np.full(len(piece), 5.0)


def test_a_dense_block_is_within_two_thousandths_of_its_own_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the relaxation is left at once; the best there is, proved, lies between value and bound."""
    covers, length_m = dense_block()
    numbers = np.array([0, 10, 30, 50, 60, 70, 80, 90, 100, 120, 180])
    monkeypatch.setattr(cover, "MANY_SHARED", -1)
    monkeypatch.setattr(cover, "MANY_SHARE", 0.0)
    curve = cover_curve(covers, length_m, numbers=numbers)
    for n, point in zip(numbers.tolist(), curve, strict=True):
        assert point.chosen.sum() <= n
        assert point.value == length_m[(covers @ point.chosen.astype(int)) > 0].sum()
        assert point.gap <= 0.002
        none = np.zeros(covers.shape[1], dtype=bool)
        proved = cover_bound(covers, length_m, point.duals, n=n, fixed=none, barred=none)
        assert max(proved, point.value) == pytest.approx(point.bound, abs=1e-6)
    assert curve[-1].gap == 0 and curve[-1].value == length_m.sum()
    assert (np.diff([each.value for each in curve]) >= 0).all()
    assert (np.diff([each.bound for each in curve]) >= 0).all()
    for at in (2, 5, 8):
        best = max_cover(covers, length_m, n=int(numbers[at]))
        assert best.gap == 0
        assert curve[at].value <= best.value <= curve[at].bound + 1e-9
    again = cover_curve(covers, length_m, numbers=numbers)
    assert all((one.chosen == other.chosen).all() for one, other in zip(curve, again, strict=True))


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_prices_bound_every_number_and_annealing_stays_below(seed: int) -> None:
    rows, weight = some_covering(seed)
    choices = all_choices(9)
    reached = (choices @ rows.T.toarray() > 0) @ weight
    numbers = np.array([1, 2, 4, 7])
    best = np.array([reached[choices.sum(axis=1) <= n].max() for n in numbers])
    bounds, prices = bounds_along(rows, weight, numbers)
    assert (bounds >= best - 1e-9).all() and (np.diff(bounds) >= -1e-9).all()
    none = np.zeros(9, dtype=bool)
    again = [
        cover_bound(rows, weight, price, n=n, fixed=none, barred=none)
        for n, price in zip(numbers.tolist(), prices, strict=True)
    ]
    assert again == pytest.approx(bounds)
    covering = Covering.of(rows, weight)
    none = [np.zeros(9, dtype=bool)] * len(numbers)
    found = annealed_along(
        covering, none, numbers, price=np.gradient(bounds, numbers), enough=bounds, rounds=3, seed=seed
    )
    for n, picked, most in zip(numbers.tolist(), found, best.tolist(), strict=True):
        assert picked.sum() <= n
        greedy = with_number(covering, np.zeros(9, dtype=bool), n)
        assert covering.value(greedy) <= covering.value(picked) <= most + 1e-9


@given(seed=seeds, price=st.floats(0.0, 10.0))
@settings(max_examples=40, deadline=None)
def test_with_the_better_parts_of_another_a_choice_is_no_worse_than_either(seed: int, price: float) -> None:
    rows, weight = some_covering(seed)
    covering, random = Covering.of(rows, weight), np.random.default_rng(seed)
    one, other = random.random((2, 9)) < 0.5

    def worth(picked: NDArray[np.bool_]) -> float:
        return covering.value(picked) - price * float(picked.sum())

    mixed = with_better_parts(covering, one, other, price)
    assert worth(mixed) >= max(worth(one), worth(other)) - 1e-9


def test_of_two_lanes_each_takes_its_better_choice():
    #  lane 1: a-b-c     lane 2: d-e-f     the middle sites reach all three pieces, the others their own
    covers = np.zeros((6, 6))
    for first in (0, 3):
        covers[first : first + 3, first : first + 3] = np.eye(3)
        covers[first : first + 3, first + 1] = 1
    covering = Covering.of(sparse.csr_array(covers), np.full(6, 10.0))
    one, other = np.array([0, 1, 0, 1, 0, 1], bool), np.array([1, 0, 1, 0, 1, 0], bool)
    assert list(np.flatnonzero(with_better_parts(covering, one, other, 5.0))) == [1, 4]
    assert list(np.flatnonzero(with_number(covering, one, 2))) in ([1, 3], [1, 5])
    assert covering.value(with_number(covering, one, 1)) == 30.0
    assert list(np.flatnonzero(with_number(covering, np.zeros(6, bool), 2))) == [1, 4]
