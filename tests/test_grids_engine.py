"""Partition into grids: tiny cases by hand, laws on nasty graphs, agreement with trying everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra, minimum_spanning_tree
from scipy.spatial import Delaunay, cKDTree

from spatial.errors import DataError
from spatial.grids.bound import Limits, lower_bound, search_prices
from spatial.grids.decide import cut_into, cut_small, plain_count
from spatial.grids.engine import GridProblem, Partition, partition
from spatial.grids.problem import cut_out, pieces, score
from spatial.grids.refine import refine_prices
from spatial.settings import Grids

FREE = Grids(group_cost_m=0)


def make_problem(
    weight: Sequence[int],
    edges: Sequence[tuple[int, int]],
    *,
    length_m: Sequence[float] | None = None,
    group: Sequence[int] | None = None,
    locked: Sequence[int] | None = None,
    reach_m: float = np.inf,
) -> GridProblem:
    """Rows joined by ``edges``; walks run along them, up to ``reach_m``."""
    n = len(weight)
    ends = np.array(edges, np.int64).reshape(-1, 2)
    length = np.ones(len(ends)) if length_m is None else np.array(length_m, float)
    graph = csr_array((length, (ends[:, 0], ends[:, 1])), shape=(n, n))
    graph = graph.maximum(graph.T).tocsr()
    graph.sort_indices()
    walk_m = dijkstra(graph, limit=reach_m)
    walk_m = np.minimum(walk_m, walk_m.T)
    source, target = np.nonzero(np.isfinite(walk_m))
    nobody = np.full(n, -1, np.int64)
    return GridProblem(
        np.array(weight, np.int64),
        graph.indptr.astype(np.int64),
        graph.indices.astype(np.int64),
        np.searchsorted(source, np.arange(n + 1)).astype(np.int64),
        target.astype(np.int32),
        walk_m[source, target],
        nobody if group is None else np.array(group, np.int64),
        nobody if locked is None else np.array(locked, np.int64),
    )


def path(n: int) -> list[tuple[int, int]]:
    return [(at, at + 1) for at in range(n - 1)]


def near_tree(n: int, *, seed: int, groups: int) -> GridProblem:
    """Houses on a plane, joined by a spanning tree and a few short cuts: mean degree about 2.1."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 12 * np.sqrt(n), (n, 2))
    corners = Delaunay(xy).simplices
    ends = np.unique(np.sort(np.vstack([corners[:, :2], corners[:, 1:], corners[:, ::2]]), axis=1), axis=0)
    length = np.hypot(*(xy[ends[:, 0]] - xy[ends[:, 1]]).T) * rng.uniform(1, 1.6, len(ends))
    tree = minimum_spanning_tree(csr_array((length, ends.T), shape=(n, n))).tocoo()
    extra = rng.choice(len(ends), n // 20, replace=False)
    ends = np.vstack([np.column_stack((tree.row, tree.col)), ends[extra]])
    centre = rng.uniform(0, 12 * np.sqrt(n), (groups, 2))
    return make_problem(
        np.where(rng.random(n) < 0.1, rng.integers(2, 9, n), 1),
        ends.tolist(),
        length_m=[*tree.data, *length[extra]],
        group=cKDTree(centre).query(xy)[1],
        reach_m=400,
    )


def check(problem: GridProblem, answer: Partition, limits: Grids) -> None:
    """What holds for every answer: one grid per row, in one piece, faults declared, a sound bound."""
    K = len(answer.medoid)
    assert sorted(set(answer.grid.tolist())) == list(range(K))
    assert pieces(problem.indptr, problem.indices, answer.grid).max() + 1 == K
    assert (answer.grid[answer.medoid] == np.arange(K)).all()
    households = np.bincount(answer.grid, problem.weight)
    bad = (households < limits.min_households) | (households > limits.max_households)
    assert set(np.flatnonzero(bad)) <= {each.grid for each in answer.faults}
    assert bool(answer.faults) == any(state != "feasible" for state in answer.state)
    assert 0 <= answer.bound_m <= answer.objective_m + 1e-6
    again = score(problem, answer.grid)
    assert answer.objective_m == pytest.approx(again.objective_m(limits.group_cost_m))


# --- small cases, answers by hand ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("households", "K"), [(100, 3), (99, 2), (55, 0), (61, 2), (29, 0), (30, 1), (1000, 25)]
)
def test_plain_count_rounds_halves_up_and_stays_within_the_limits(households: int, K: int) -> None:
    assert plain_count(households, low=30, high=50, target=40) == K


def test_a_path_of_eighty_is_cut_in_the_middle() -> None:
    problem = make_problem([1] * 80, path(80))
    answer = partition(problem, FREE)
    check(problem, answer, FREE)
    assert np.bincount(answer.grid).tolist() == [40, 40]
    assert answer.walk_m == 2 * sum(abs(at - 20) for at in range(40))


def test_fifty_five_households_are_infeasible_by_arithmetic() -> None:
    problem = make_problem([1] * 55, path(55))
    answer = partition(problem, FREE)
    check(problem, answer, FREE)
    assert answer.state == ("infeasible",)
    assert [each.households for each in answer.faults] == [5]  # 50 are well, 5 are left
    assert dict(answer.faults[0].relaxation) == {"min_households": 27, "max_households": 55}
    assert not answer.faults[0].needs_join


def test_a_small_cut_off_part_is_one_faulty_grid_beside_sound_ones() -> None:
    problem = make_problem([1] * 85, [*path(80), *((at, at + 1) for at in range(80, 84))])
    answer = partition(problem, FREE)
    check(problem, answer, FREE)
    assert answer.state == ("feasible", "infeasible")
    (only,) = answer.faults
    assert (only.households, only.limit, only.needs_join) == (5, "min_households", True)
    assert only.rows.tolist() == [80, 81, 82, 83, 84]
    assert dict(only.relaxation) == {"min_households": 5}


def test_twenty_five_between_two_doors_of_forty_is_proved_infeasible() -> None:
    problem = make_problem([40, 25, 40], path(3))
    answer = partition(problem, FREE)
    check(problem, answer, FREE)
    assert answer.state == ("infeasible",)
    assert [each.rows.tolist() for each in answer.faults] == [[1]]
    assert dict(answer.faults[0].relaxation) == {"min_households": 25, "max_households": 65}


def test_a_star_of_sixty_leaves_leaves_eleven_of_them_over() -> None:
    problem = make_problem([1] * 61, [(0, leaf) for leaf in range(1, 61)])
    answer = partition(problem, FREE)
    check(problem, answer, FREE)
    assert answer.state == ("infeasible",)
    assert sum(each.households for each in answer.faults) == 11
    assert answer.faults[0].relaxation["max_households"] == 61


def test_one_row_above_the_maximum_is_the_only_fault() -> None:
    problem = make_problem([1] * 40 + [70] + [1] * 40, path(81))
    answer = partition(problem, FREE)
    check(problem, answer, FREE)
    assert answer.state == ("infeasible",)
    assert [(each.rows.tolist(), each.limit) for each in answer.faults] == [([40], "max_households")]


def test_what_a_fault_leaves_on_either_side_is_proved_by_itself() -> None:
    problem = make_problem([1] * 80 + [70] + [1] * 80, path(161))
    answer = partition(problem, FREE)
    check(problem, answer, FREE)
    assert [each.rows.tolist() for each in answer.faults] == [[80]]
    assert answer.multipliers["component_grids"].tolist() == [2, 2]
    assert answer.bound_m == answer.objective_m == 4 * sum(abs(at - 20) for at in range(40))


def test_a_village_group_within_the_limits_becomes_a_grid() -> None:
    group = [0] * 35 + [1] * 45 + [2] * 40
    problem = make_problem([1] * 120, path(120), group=group)
    answer = partition(problem, Grids())
    check(problem, answer, Grids())
    assert answer.kept_groups == (0, 1, 2)
    assert all(len(set(answer.grid[np.array(group) == each])) == 1 for each in range(3))
    assert answer.bound_m == pytest.approx(answer.objective_m)


def test_a_group_that_would_strand_its_neighbours_is_not_kept_and_says_so() -> None:
    problem = make_problem([1] * 80, path(80), group=[1] * 10 + [0] * 35 + [1] * 35)
    answer = partition(problem, Grids())
    check(problem, answer, Grids())
    assert answer.state == ("feasible",)
    assert answer.kept_groups == ()
    assert answer.split_groups == ((0, "10 households beside it could not form grids of 30 to 50"),)


def test_a_group_in_two_pieces_may_be_split_without_a_word() -> None:
    problem = make_problem([1] * 120, path(120), group=[0] * 20 + [-1] * 80 + [0] * 20)
    answer = partition(problem, Grids())
    check(problem, answer, Grids())
    assert answer.kept_groups == answer.split_groups == ()


def test_without_a_group_cost_no_group_is_kept() -> None:
    problem = make_problem([1] * 120, path(120), group=[0] * 35 + [1] * 45 + [2] * 40)
    assert partition(problem, FREE).kept_groups == ()


def test_rows_without_a_group_cost_nothing() -> None:
    problem = make_problem([1] * 40, path(40), group=[0] * 20 + [1] * 8 + [-1] * 12)
    assert partition(problem, Grids()).group_cost_m == 800


def test_locks_hold_and_stay_apart() -> None:
    locked = [-1] * 80
    for at, label in {5: 7, 30: 7, 45: 2, 70: 2}.items():
        locked[at] = label
    problem = make_problem([1] * 80, path(80), locked=locked)
    answer = partition(problem, FREE)
    check(problem, answer, FREE)
    assert answer.state == ("feasible",)
    assert answer.grid[5] == answer.grid[30] != answer.grid[45] == answer.grid[70]


def test_a_lock_across_separate_parts_is_refused() -> None:
    locked = [0] + [-1] * 78 + [0]
    problem = make_problem([1] * 80, [*path(40), *((at, at + 1) for at in range(40, 79))], locked=locked)
    with pytest.raises(DataError, match="lock 0"):
        partition(problem, FREE)


def test_a_lock_heavier_than_the_maximum_is_a_fault() -> None:
    problem = make_problem([1] * 100, path(100), locked=[0] + [-1] * 59 + [0] + [-1] * 39)
    answer = partition(problem, FREE)
    assert answer.state == ("infeasible",)
    assert answer.grid[0] == answer.grid[60]
    assert answer.faults[0].relaxation["max_households"] == 61


@pytest.mark.parametrize("n_grids", [None, 11, 13])
def test_a_place_that_cannot_be_cut_leaves_the_number_of_grids_alone(n_grids: int | None) -> None:
    # 25 households on either arm behind the door of one: some household there is always left over.
    #   0 ─ 1 ─ … ─ 199 ─ 200 ─ 201 … 205     200 doors of two households, then one of one,
    #                      └── 206 … 210      then two dead ends of five doors of five
    edges = [*path(206), (200, 206), *[(at, at + 1) for at in range(206, 210)]]
    answer = partition(
        make_problem([2] * 200 + [1] + [5] * 10, edges),
        Grids(group_cost_m=0, n_grids=n_grids),
        effort="quick",
    )
    assert answer.state == ("infeasible",)
    assert len(answer.medoid) == (n_grids or 12)  # 5 households, and 446 in grids of about 40
    assert sum(fault.households for fault in answer.faults) == 5


def test_n_grids_fixes_the_total_over_parts() -> None:
    edges = [*path(100), *((at, at + 1) for at in range(100, 299))]
    problem = make_problem([1] * 300, edges)
    answer = partition(problem, Grids(group_cost_m=0, n_grids=9))
    check(problem, answer, FREE)
    assert answer.part_grids.tolist() == [3, 6]


def test_n_grids_out_of_reach_names_the_range() -> None:
    with pytest.raises(DataError, match="can number 2 to 3 here"):
        partition(make_problem([1] * 100, path(100)), Grids(n_grids=4))


# --- agreement with trying every partition ------------------------------------------------------


def all_labels(n: int) -> Iterator[list[int]]:
    """Every partition of n rows, once each."""

    def grow(labels: list[int]) -> Iterator[list[int]]:
        if len(labels) == n:
            yield labels
            return
        for label in range(max(labels, default=-1) + 2):
            yield from grow([*labels, label])

    return grow([])


def best_by_trying_all(problem: GridProblem, low: int, high: int, group_cost_m: float) -> dict[int, float]:
    """Least objective by number of grids, over all partitions within the limits and locks."""
    best: dict[int, float] = {}
    held = np.flatnonzero(problem.locked >= 0)
    together = problem.locked[held][:, None] == problem.locked[held]
    for labels in all_labels(len(problem.weight)):
        grid = np.array(labels)
        households = np.bincount(grid, problem.weight)
        if households.min() < low or households.max() > high:
            continue
        if ((grid[held][:, None] == grid[held]) != together).any():
            continue
        K = len(households)
        if pieces(problem.indptr, problem.indices, grid).max() + 1 == K:
            value = score(problem, grid).objective_m(group_cost_m)
            best[K] = min(value, best.get(K, np.inf))
    return best


@st.composite
def tiny_problems(draw: st.DrawFn) -> tuple[GridProblem, Grids]:
    n = draw(st.integers(2, 7))
    edges = {(draw(st.integers(0, at - 1)), at) for at in range(1, n)}
    edges |= {
        (a, b)
        for a, b in draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=3))
        if a < b
    }
    lengths = draw(st.lists(st.integers(1, 9), min_size=len(edges), max_size=len(edges)))
    low = draw(st.integers(1, 4))
    high = draw(st.integers(low, 8))
    problem = make_problem(
        draw(st.lists(st.integers(1, 4), min_size=n, max_size=n)),
        sorted(edges),
        length_m=lengths,
        group=draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n)),
        locked=draw(st.lists(st.sampled_from([-1, -1, -1, 0, 1]), min_size=n, max_size=n)),
    )
    cost = draw(st.sampled_from([0.0, 1.0, 20.0]))
    return problem, Grids(
        min_households=low, max_households=high, target_households=(low + high) // 2, group_cost_m=cost
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tiny_problems())
def test_agrees_with_trying_every_partition(case: tuple[GridProblem, Grids]) -> None:
    problem, limits = case
    low, high = limits.min_households, limits.max_households
    best = best_by_trying_all(problem, low, high, limits.group_cost_m)
    try:
        answer = partition(problem, limits, effort="thorough")
    except DataError:
        assert not best
        return
    check(problem, answer, limits)
    assert answer.state == (("feasible",) if best else ("infeasible",))
    if best and not answer.kept_groups:
        optimum = best[len(answer.medoid)]
        assert answer.objective_m == pytest.approx(optimum)
        assert answer.bound_m <= optimum + 1e-6


@settings(max_examples=40, deadline=None, derandomize=True)
@given(tiny_problems(), st.data())
def test_any_prices_give_a_bound_below_the_optimum(
    case: tuple[GridProblem, Grids], data: st.DataObject
) -> None:
    problem, limits = case
    problem = replace(problem, locked=np.full(len(problem.weight), -1))
    low, high = limits.min_households, limits.max_households
    price = np.array(
        data.draw(st.lists(st.floats(-20, 60), min_size=len(problem.weight), max_size=len(problem.weight)))
    )
    sub = cut_out(problem, np.arange(len(problem.weight)))
    for K, optimum in best_by_trying_all(problem, low, high, limits.group_cost_m).items():
        rules = Limits(K, low, high, limits.group_cost_m)
        assert lower_bound(sub, price, rules) <= optimum
        price = search_prices(sub, rules, value_m=optimum, rounds=30)
        assert lower_bound(sub, price, rules) <= optimum
        grid = cut_into(sub, K, low=low, high=high, seed=1, tries=8)
        if grid is not None:
            refined = refine_prices(sub, grid, rules, price, rounds=40)
            assert lower_bound(sub, price, rules) <= lower_bound(sub, refined, rules) <= optimum


@pytest.mark.long
def test_refined_prices_prove_all_that_the_relaxation_of_a_town_can() -> None:
    problem = near_tree(300, seed=5, groups=6)
    sub = cut_out(problem, np.arange(300))
    K = round(sub.households / 40)
    grid = cut_into(sub, K, low=30, high=50, seed=1, tries=8)
    assert grid is not None
    for group_cost_m in (0.0, 20.0):
        rules = Limits(K, 30, 50, group_cost_m)
        price = search_prices(sub, rules, value_m=score(sub, grid).objective_m(group_cost_m), rounds=100)
        refined = refine_prices(sub, grid, rules, price, rounds=100)
        assert lower_bound(sub, refined, rules) >= 1.005 * lower_bound(sub, price, rules)
        again = refine_prices(sub, grid, rules, refined, rounds=100)
        assert lower_bound(sub, again, rules) <= 1.002 * lower_bound(sub, refined, rules)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tiny_problems())
def test_relaxations_are_the_smallest_that_work(case: tuple[GridProblem, Grids]) -> None:
    problem, limits = case
    problem = replace(problem, locked=np.full(len(problem.weight), -1))
    low, high = limits.min_households, limits.max_households
    answer = partition(problem, limits, effort="quick")
    for name, value in answer.faults[0].relaxation.items() if answer.faults else ():
        new = (value, high) if name == "min_households" else (low, value)
        short = (value + 1, high) if name == "min_households" else (low, value - 1)
        assert best_by_trying_all(problem, *new, 0)
        assert not best_by_trying_all(problem, *short, 0)


# --- laws ---------------------------------------------------------------------------------------


@st.composite
def nasty_problems(draw: st.DrawFn) -> GridProblem:
    """Paths, stars, combs, rings and cliques of up to 110 rows, with heavy doors here and there."""
    n = draw(st.integers(1, 110))
    shape = draw(st.sampled_from(["path", "star", "comb", "ring", "clique", "tree"]))
    edges = {
        "path": path(n),
        "star": [(0, at) for at in range(1, n)],
        "comb": [(at - 2 if at % 2 == 0 else at - 1, at) for at in range(2, n)] + ([(0, 1)] if n > 1 else []),
        "ring": [*path(n), (0, n - 1)] if n > 2 else path(n),
        "clique": [(a, b) for b in range(min(n, 60)) for a in range(b)] + [(0, at) for at in range(60, n)],
        "tree": [(draw(st.integers(max(0, at - 9), at - 1)), at) for at in range(1, n)],
    }[shape]
    weight = np.ones(n, int)
    for at in draw(st.lists(st.integers(0, n - 1), max_size=5)):
        weight[at] = draw(st.integers(2, 60))
    return make_problem(weight.tolist(), edges, group=[at // 37 % 3 - 1 for at in range(n)])


@settings(max_examples=15, deadline=None, derandomize=True)
@given(nasty_problems(), st.sampled_from([0.0, 100.0]))
def test_nasty_shapes_keep_every_promise(problem: GridProblem, group_cost_m: float) -> None:
    limits = Grids(group_cost_m=group_cost_m)
    answer = partition(problem, limits, effort="quick")
    check(problem, answer, limits)
    if len(problem.weight) <= 60:
        assert "undecided" not in answer.state


def test_threads_and_repetition_change_nothing() -> None:
    problem = near_tree(160, seed=2, groups=5)
    first = partition(problem, Grids(), effort="quick", seed=5)
    for threads in (1, 4):
        again = partition(problem, Grids(), effort="quick", seed=5, threads=threads)
        assert (again.grid == first.grid).all()
        assert again.bound_m == first.bound_m


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tiny_problems())
def test_the_exhaustive_cut_agrees_with_trying_every_partition(case: tuple[GridProblem, Grids]) -> None:
    problem, limits = case
    problem = replace(problem, locked=np.full(len(problem.weight), -1))
    low, high = limits.min_households, limits.max_households
    grid = cut_small(cut_out(problem, np.arange(len(problem.weight))), low=low, high=high)
    assert (grid is not None) == bool(best_by_trying_all(problem, low, high, 0))
    if grid is not None:
        households = np.bincount(grid, problem.weight)
        assert low <= households.min() <= households.max() <= high
        assert pieces(problem.indptr, problem.indices, grid).max() == grid.max()


@pytest.mark.parametrize("group_cost_m", [0.0, pytest.param(100.0, marks=pytest.mark.long)])
def test_many_households_are_feasible_and_near_their_bound(group_cost_m: float) -> None:
    problem = near_tree(700 if group_cost_m == 0 else 350, seed=1, groups=24)
    limits = Grids(group_cost_m=group_cost_m)
    answer = partition(problem, limits, effort="quick")
    check(problem, answer, limits)
    assert set(answer.state) == {"feasible"}
    assert answer.objective_m <= (1.04 if group_cost_m == 0 else 1.1) * answer.bound_m


@pytest.mark.long
def test_five_thousand_households_are_feasible() -> None:
    problem = near_tree(3500, seed=4, groups=100)
    answer = partition(problem, FREE, effort="quick")
    check(problem, answer, FREE)
    assert set(answer.state) == {"feasible"}
