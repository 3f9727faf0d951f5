"""Recombination of grids met: which columns a window may use, and what a grid out of limits holds up."""

from __future__ import annotations

import numpy as np

from spatial.grids.improve import Terms, _add_whole, _Pool, _recombine
from spatial.grids.problem import cut_out
from tests.test_grids_engine import make_problem, path


def test_a_window_may_use_the_columns_that_lie_within_it():
    rng = np.random.default_rng(5)
    window = rng.integers(0, 4, 30)
    columns = [np.sort(rng.choice(30, rng.integers(1, 4), replace=False)) for _ in range(200)]
    pool = _Pool()
    pool.add([(rows, 1.0) for rows in columns])
    for number, found in enumerate(pool.inside(window)):
        plain = [at for at, rows in enumerate(pool.rows) if (window[rows] == number).all()]
        assert found.tolist() == plain
    assert len(pool.inside(window)) == 4


def test_a_grid_out_of_limits_does_not_hold_up_those_beside_it():
    #  0---1---2----------3---4---5---6    0 is alone and too few; 3 is far from 2, yet in its grid
    problem = make_problem([1] * 7, path(7), length_m=[1, 1, 10, 1, 1, 1])
    sub = cut_out(problem, np.arange(7))
    terms = Terms(2, 4, 0.0)
    grid = np.array([0, 1, 1, 1, 2, 2, 2])
    pool = _Pool()
    households, _, objective_m = _add_whole(pool, sub, grid, terms)
    assert (households, objective_m) == (1, 11.0 + 2.0)
    pool.add([(np.array([1, 2]), 1.0), (np.array([3, 4, 5, 6]), 4.0), (np.array([0, 1, 2]), 2.0)])
    better = _recombine(sub, pool, grid, 1, np.random.default_rng(1))
    assert better[0] not in better[1:]
    assert len(set(better[1:3])) == len(set(better[3:])) == 1
    assert _add_whole(pool, sub, better, terms) == (1, 1, 5.0)
