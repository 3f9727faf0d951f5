"""Village groups: who is counted to one, how few grids mix them, and what that costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatial.grids.decide import cut_into
from spatial.grids.engine import partition
from spatial.grids.groups import fitting_groups, with_ungrouped
from spatial.grids.problem import GridProblem, Ints, cut_out, pieces, score
from spatial.settings import Grids
from tests.test_grids_engine import FREE, check, make_problem, near_tree, path

LIMITS = Grids()
SEEDS = (1, 2, 3, 4, 6, 7)  # of places that can be cut; the fifth can't


def grouped_place(households: int, *, seed: int, odd: int) -> GridProblem:
    """A place whose village groups are within the limits and in one piece, but for some.

    Of ``odd`` groups each a part is given to a neighbour or made a group of its own, whatever fits.
    """
    rng = np.random.default_rng(seed)
    problem = near_tree(households, seed=seed, groups=1)
    whole = cut_out(problem, np.arange(len(problem.weight)))
    K = round(whole.households / 40)
    group = cut_into(whole, K, low=30, high=50, seed=seed, tries=8)
    assert group is not None
    owner = np.repeat(np.arange(len(group)), np.diff(problem.indptr))
    for at, each in enumerate(rng.permutation(K)[:odd]):
        rows = np.flatnonzero(group == each)
        away = np.cumsum(problem.weight[rows]) <= rng.integers(5, 25)
        beside = np.unique(group[problem.indices[np.isin(owner, rows[away])]])
        group[rows[away]] = rng.choice(beside) if at % 2 else group.max() + 1
    return replace(problem, group=group)


def share_in_fitting_groups(problem: GridProblem) -> float:
    part = pieces(problem.indptr, problem.indices, np.zeros(len(problem.weight), np.int64))
    n = 0
    for each in range(int(part.max()) + 1):
        sub = cut_out(problem, np.flatnonzero(part == each))
        n += int(sub.weight[np.isin(sub.group, fitting_groups(sub, low=30, high=50)[0])].sum())
    return n / int(problem.weight.sum())


def mixing_share(problem: GridProblem, grid: Ints) -> float:
    known = problem.group >= 0
    groups = [len(np.unique(problem.group[known & (grid == each)])) for each in range(int(grid.max()) + 1)]
    return float((np.array(groups) > 1).mean())


@pytest.mark.parametrize("odd", [0, 1, 2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_where_nine_in_ten_live_in_fitting_groups_few_grids_mix(seed: int, odd: int) -> None:
    problem = grouped_place(600, seed=seed, odd=odd)
    answer = partition(problem, LIMITS, effort="quick")
    check(problem, answer, LIMITS)
    fitting = share_in_fitting_groups(problem)
    assert fitting >= 0.9 or odd > 1
    if fitting >= 0.9:
        assert mixing_share(problem, answer.grid) < 0.15


@pytest.mark.parametrize("seed", SEEDS)
def test_households_without_a_group_do_not_tear_the_groups_around_them(seed: int) -> None:
    problem = grouped_place(600, seed=seed, odd=0)
    some = np.random.default_rng(seed).random(len(problem.group)) < 0.05
    blank = replace(problem, group=np.where(some, -1, problem.group))
    answer = partition(blank, LIMITS, effort="quick")
    check(blank, answer, LIMITS)
    assert mixing_share(blank, answer.grid) < 0.15


def test_a_household_without_a_group_counts_to_the_one_around_it() -> None:
    #  group 0 on either side of a row without one, group 1 full, a long stretch without a group
    group = [0] * 20 + [-1] + [0] * 20 + [-1] + [1] * 50 + [-1] * 30
    problem = make_problem([1] * len(group), path(len(group)), group=group)
    whole = cut_out(problem, np.arange(len(group)))
    expected = [0] * 42 + [1] * 50 + [-1] * 30
    assert with_ungrouped(whole, low=30, high=50).tolist() == expected
    answer = partition(problem, LIMITS)
    assert answer.kept_groups == (0, 1)
    assert np.bincount(answer.grid).tolist() == [42, 50, 30]


def test_the_price_of_groups_is_the_walk_they_add() -> None:
    #  kept: 30 in a row walk 225 to their middle, 50 walk 625; ignored: twice 40, who walk 400
    problem = make_problem([1] * 80, path(80), group=[0] * 30 + [1] * 50)
    answer = partition(problem, LIMITS)
    assert answer.kept_groups == (0, 1)
    assert answer.free is not None
    assert answer.walk_m - score(problem, answer.free).walk_m.sum() == 850 - 800
    assert answer.outside == 0
    assert score(problem, answer.plain).objective_m(LIMITS.group_cost_m) == 850  # mixing costs more


def test_without_a_say_groups_have_no_price() -> None:
    problem = make_problem([1] * 80, path(80), group=[0] * 30 + [1] * 50)
    assert partition(problem, FREE).free is None
    assert partition(replace(problem, group=np.full(80, -1)), LIMITS).free is None
