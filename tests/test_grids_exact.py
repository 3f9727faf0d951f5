"""The proved optimum: agreement with trying every partition, with intervals of a path, and laws."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import shortest_path

from spatial.grids.bound import Limits, lower_bound, search_prices
from spatial.grids.engine import partition
from spatial.grids.exact import Proof, Work, prove
from spatial.grids.problem import GridProblem, Ints, Sub, cut_out, pieces, score
from spatial.grids.shapes import Pairs, Prizes, cheapest_sets, diagram_of, kinds_below, kinds_of, sets_below
from spatial.settings import Grids
from tests.test_grids_engine import all_labels, make_problem, near_tree, path


def at_stops(
    stop: list[int],
    lanes: dict[tuple[int, int], int],
    weight: list[int],
    *,
    group: list[int] | None = None,
    locked: list[int] | None = None,
) -> Sub:
    """Rows at stops joined by lanes of given lengths; rows touch at one stop and along a lane."""
    n, n_stops = len(stop), max(stop) + 1
    away = np.full((n_stops, n_stops), np.inf)
    np.fill_diagonal(away, 0)
    for (a, b), length_m in lanes.items():
        away[a, b] = away[b, a] = length_m
    beside = np.isfinite(away)[np.ix_(stop, stop)] & ~np.eye(n, dtype=bool)
    walk_m = shortest_path(np.where(np.isfinite(away), away, 0), method="FW")[np.ix_(stop, stop)]
    nobody = np.full(n, -1)
    row, other = np.nonzero(beside)
    problem = GridProblem(
        np.array(weight),
        np.searchsorted(row, np.arange(n + 1)),
        other,
        np.arange(n + 1) * n,
        np.tile(np.arange(n, dtype=np.int32), n),
        walk_m.ravel(),
        nobody if group is None else np.array(group),
        nobody if locked is None else np.array(locked),
    )
    return cut_out(problem, np.arange(n))


def sound_partitions(sub: Sub, low: int, high: int) -> Iterator[Ints]:
    """Every partition within the limits and locks, in one piece each."""
    held = np.flatnonzero(sub.locked >= 0)
    together = sub.locked[held][:, None] == sub.locked[held]
    for labels in all_labels(len(sub.weight)):
        grid = np.array(labels)
        households = np.bincount(grid, sub.weight)
        if households.min() < low or households.max() > high:
            continue
        locks_kept = ((grid[held][:, None] == grid[held]) == together).all()
        if locks_kept and pieces(sub.indptr, sub.indices, grid).max() + 1 == len(households):
            yield grid


def proof_of(sub: Sub, grid: Ints, low: int, high: int, cost_m: float = 0.0, **work: int) -> Proof:
    limits = Limits(int(grid.max()) + 1, low, high, cost_m)
    proof = prove(sub, grid, limits, price_m=np.zeros(len(grid)), work=Work(**work))
    assert proof is not None
    return proof


# --- small cases, answers by hand ---------------------------------------------------------------


def test_a_ring_is_cut_where_the_gaps_are_wide() -> None:
    #  0-1-2   wide   3-4-5   wide   back to 0
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)]
    problem = make_problem([1] * 6, edges, length_m=[1, 1, 9, 1, 1, 9])
    proof = proof_of(cut_out(problem, np.arange(6)), np.array([1, 1, 0, 0, 0, 1]), 2, 4)
    assert pieces(problem.indptr, problem.indices, proof.grid).tolist() == [0, 0, 0, 1, 1, 1]
    assert (proof.value_m, proof.bound_m, proof.optimal) == (4.0, 4.0, True)


def test_two_heavy_doors_of_one_stop_are_two_equal_grids() -> None:
    sub = at_stops([0, 0, 1, 1], {(0, 1): 5}, [3, 3, 1, 1])
    proof = proof_of(sub, np.array([0, 1, 0, 1]), 3, 4)
    assert (proof.value_m, proof.optimal) == (10.0, True)


def test_rows_of_one_stop_are_of_one_kind_unless_something_tells_them_apart() -> None:
    sub = at_stops([0, 0, 0, 1], {(0, 1): 5}, [1, 1, 2, 1], group=[0, 0, 0, 0])
    kinds = kinds_of(sub)
    assert kinds.kind.tolist() == [0, 0, 1, 2]
    assert kinds.count.tolist() == [2, 1, 1]
    assert kinds.walk_m.tolist() == [[0, 5], [5, 0]]


# --- agreement with trying everything -----------------------------------------------------------


@st.composite
def tiny_places(draw: st.DrawFn) -> tuple[Sub, int, int, float]:
    n_stops = draw(st.integers(1, 6))
    n = draw(st.integers(max(n_stops, 2), 7))
    stop = [
        *range(n_stops),
        *draw(st.lists(st.integers(0, n_stops - 1), min_size=n - n_stops, max_size=n - n_stops)),
    ]
    pairs = {(draw(st.integers(0, at - 1)), at) for at in range(1, n_stops)}
    ends = st.integers(0, n_stops - 1)
    pairs |= {(a, b) for a, b in draw(st.lists(st.tuples(ends, ends), max_size=3)) if a < b}
    lanes = {pair: draw(st.integers(1, 9)) for pair in sorted(pairs)}

    def each(values: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(values, min_size=n, max_size=n))

    sub = at_stops(
        stop,
        lanes,
        each(st.integers(1, 3)),
        group=each(st.integers(-1, 2)),
        locked=each(st.sampled_from([-1, -1, -1, -1, 0, 1])),
    )
    low = draw(st.integers(1, 3))
    return sub, low, draw(st.integers(low, 8)), draw(st.sampled_from([0.0, 1.0, 20.0]))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tiny_places(), st.booleans())
def test_agrees_with_trying_every_partition(case: tuple[Sub, int, int, float], listing: bool) -> None:
    sub, low, high, cost_m = case
    by_number: dict[int, list[tuple[float, Ints]]] = {}
    for grid in sound_partitions(sub, low, high):
        value_m = score(sub, grid).objective_m(cost_m)
        by_number.setdefault(int(grid.max()) + 1, []).append((value_m, grid))
    for K, found in by_number.items():
        worst = max(found, key=lambda each: each[0])[1]
        proof = proof_of(sub, worst, low, high, cost_m, sets=100 if listing else 0)
        best_m = min(value_m for value_m, _ in found)
        assert proof.bound_m <= best_m + 1e-6
        assert score(sub, proof.grid).objective_m(cost_m) == pytest.approx(proof.value_m)
        assert any((proof.grid == grid).all() or same(proof.grid, grid) for _, grid in found), K
        if listing:
            assert proof.optimal
            assert proof.value_m == pytest.approx(best_m, abs=1e-3)


def same(a: Ints, b: Ints) -> bool:
    """Whether two labellings are one partition."""
    return bool(((a[:, None] == a) == (b[:, None] == b)).all())


@settings(max_examples=40, deadline=None, derandomize=True)
@given(tiny_places(), st.data())
def test_cheapest_sets_agree_with_trying_every_set(
    case: tuple[Sub, int, int, float], data: st.DataObject
) -> None:
    sub, low, high, cost_m = case
    kinds = kinds_of(sub)
    n_kinds, n_spots, n_rows = len(kinds.count), len(kinds.beside), len(sub.rows)
    meet, main = data.draw(st.integers(0, n_spots - 1)), data.draw(st.integers(0, 2))
    amount = st.floats(-5, 30).map(lambda value: round(value, 1))
    row_m = np.array(data.draw(st.lists(amount, min_size=n_kinds, max_size=n_kinds)))
    step_kind, step_rows = data.draw(st.integers(-1, n_kinds - 1)), 1
    step_m = np.full((1, n_spots), data.draw(amount))
    allowed: dict[bytes, float] = {}
    for bits in range(1, 2**n_rows):
        inside = (bits >> np.arange(n_rows)) % 2 > 0
        households = sub.weight[inside].sum()
        locks = np.unique(sub.locked[inside & (sub.locked >= 0)])
        split = any((sub.locked == lock).sum() != (sub.locked[inside] == lock).sum() for lock in locks)
        spot = kinds.spot[kinds.kind]
        if not low <= households <= high or len(locks) > 1 or split or meet not in spot[inside]:
            continue
        if pieces(sub.indptr, sub.indices, np.where(inside, 0, -1)).max() > 0:
            continue
        rows = np.bincount(kinds.kind[inside], minlength=n_kinds)
        outside = (sub.group >= 0) & (sub.group != main)
        cost = sub.weight * (kinds.walk_m[meet][spot] + cost_m * outside) - row_m[kinds.kind]
        earned = step_m[0, meet] if step_kind < 0 or rows[step_kind] >= step_rows else 0.0
        allowed[rows.tobytes()] = float(cost[inside].sum()) - earned
    locks = np.unique(np.append(sub.locked, -1))
    n = len(locks)
    pairs = Pairs(np.full(n, meet), np.full(n, main), locks, np.ones((n, n_kinds), bool))
    prizes = Prizes(row_m, np.array([step_kind]), np.array([step_rows]), step_m)
    diagram = diagram_of(kinds, most_nodes=10**6)
    assert diagram is not None
    limits = Limits(1, low, high, cost_m)
    value, rows = cheapest_sets(kinds, diagram, pairs, prizes, limits)
    assert value.min() == pytest.approx(min(allowed.values(), default=np.inf))
    if allowed:
        assert allowed[rows[value.argmin()].tobytes()] == pytest.approx(value.min())
    middle = float(np.median([*allowed.values(), 0.0])) + 1e-6
    listed = sets_below(kinds, diagram, pairs, prizes, limits, below_m=np.full(n, middle), most=2**n_rows)
    assert listed is not None
    below = {key for key, cost in allowed.items() if cost <= middle}
    assert sorted(each.tobytes() for each in listed[1]) == sorted(below)
    held = kinds_below(kinds, diagram, pairs, prizes, limits, below_m=np.full(n, middle)).any(axis=0)
    assert held.tolist() == [
        any(np.frombuffer(key, np.int64)[kind] for key in below) for kind in range(n_kinds)
    ]


# --- larger ones --------------------------------------------------------------------------------


def test_a_path_of_sixty_is_cut_as_by_a_programme_over_intervals() -> None:
    rng = np.random.default_rng(7)
    weight, length_m = rng.integers(1, 5, 60), rng.integers(1, 30, 59)
    problem = make_problem(weight.tolist(), path(60), length_m=length_m.tolist())
    at_m = np.concatenate(([0], np.cumsum(length_m)))
    K, low, high = 6, 18, 32
    least = np.full((K + 1, 61), np.inf)
    least[0, 0] = 0
    first = np.zeros((K + 1, 61), int)
    for n in range(1, K + 1):
        for end in range(1, 61):
            for begin in range(end):
                own = slice(begin, end)
                if low <= weight[own].sum() <= high:
                    walk_m = (np.abs(at_m[own, None] - at_m[own]) @ weight[own]).min()
                    if least[n - 1, begin] + walk_m < least[n, end]:
                        least[n, end], first[n, end] = least[n - 1, begin] + walk_m, begin
    cuts = [60]
    for n in range(K, 0, -1):
        cuts.append(first[n, cuts[-1]])
    best = np.repeat(np.arange(K), [b - a for a, b in pairwise(cuts[::-1])])
    for begin in (
        best,
        partition(
            problem,
            Grids(group_cost_m=0, n_grids=K, min_households=low, max_households=high, target_households=25),
            effort="quick",
        ).grid,
    ):
        proof = proof_of(cut_out(problem, np.arange(60)), begin, low, high)
        assert proof.optimal
        assert proof.value_m == pytest.approx(least[K, 60])


@pytest.mark.parametrize("cost_m", [0.0, 30.0])
def test_sixty_rows_are_proved_and_no_search_does_better(cost_m: float) -> None:
    problem = near_tree(60, seed=3, groups=4)
    sub = cut_out(problem, np.arange(60))
    wanted = Grids(
        min_households=10,
        max_households=24,
        target_households=16,
        group_cost_m=0,
        n_grids=sub.households // 16,
    )
    grid = partition(problem, wanted, effort="quick").grid
    limits = Limits(int(grid.max()) + 1, 10, 24, cost_m)
    price_m = search_prices(sub, limits, value_m=score(sub, grid).objective_m(cost_m), rounds=100)
    proof = prove(sub, grid, limits, price_m=price_m)
    assert proof is not None
    assert proof.optimal
    assert proof.bound_m == proof.value_m == pytest.approx(score(sub, proof.grid).objective_m(cost_m))
    assert proof.value_m >= lower_bound(sub, price_m, limits)
    assert pieces(sub.indptr, sub.indices, proof.grid).max() + 1 == limits.K
    households = np.bincount(proof.grid, sub.weight)
    assert households.min() >= 10
    assert households.max() <= 24
    again = prove(sub, proof.grid, limits, price_m=np.zeros(60), work=Work(sets=0))
    assert again is not None
    assert again.bound_m <= proof.value_m == again.value_m


def test_thorough_work_proves_small_parts_and_says_by_whom() -> None:
    problem = near_tree(90, seed=5, groups=3)
    wanted = Grids(min_households=10, max_households=24, target_households=16, group_cost_m=0)
    quick = partition(problem, wanted, effort="quick")
    thorough = partition(problem, wanted, effort="thorough")
    assert thorough.bound_by.startswith("HiGHS")
    assert thorough.multipliers["component_by_solver"].tolist() == [1]
    assert thorough.bound_m == pytest.approx(thorough.objective_m, rel=1e-9)
    assert thorough.objective_m <= quick.objective_m + 1e-6
    assert thorough.bound_m >= quick.bound_m
    assert (quick.bound_by, quick.multipliers["component_by_solver"].tolist()) == ("Lagrangian", [0])


def test_little_work_leaves_a_bound_and_a_tangle_leaves_none() -> None:
    problem = near_tree(60, seed=3, groups=4)
    sub = cut_out(problem, np.arange(60))
    wanted = Grids(min_households=10, max_households=24, target_households=16, group_cost_m=0)
    grid = partition(problem, wanted, effort="quick").grid
    limits = Limits(int(grid.max()) + 1, 10, 24, 30.0)
    little = prove(sub, grid, limits, price_m=np.zeros(60), work=Work(nodes=1, sets=0))
    much = prove(sub, grid, limits, price_m=np.zeros(60))
    assert little is not None
    assert much is not None
    assert little.bound_m <= much.bound_m
    assert prove(sub, grid, limits, price_m=np.zeros(60), work=Work(diagram=50)) is None
