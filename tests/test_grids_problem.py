"""The arrays of a partition: near walks, cutting out and scores, judged by plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx

from spatial.grids.problem import GridProblem, Sub, cut_out, score
from spatial.grids.units import near_walks
from spatial.network import snap_points
from tests.drawn import drawn_network, spots

law = settings(deadline=None, max_examples=60)


def as_problem(weight: list[int], walk_m: np.ndarray, touch: np.ndarray, group: list[int]) -> GridProblem:
    """Compressed rows of full tables; an infinite walk is absent."""
    n = len(weight)
    tables = []
    for present in (touch, np.isfinite(walk_m)):
        source, target = np.nonzero(present)
        tables.append((np.searchsorted(source, np.arange(n + 1)).astype(np.int64), target))
    (indptr, indices), (near_indptr, near_indices) = tables
    return GridProblem(
        np.array(weight, np.int64),
        indptr,
        indices.astype(np.int64),
        near_indptr,
        near_indices.astype(np.int32),
        walk_m[np.isfinite(walk_m)],
        np.array(group, np.int64),
        np.full(n, -1, np.int64),
    )


@st.composite
def drawn_problems(draw: st.DrawFn) -> tuple[GridProblem, np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 9))
    pairs = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.integers(1, 9))))
    walk_m, touch = np.full((n, n), np.inf), np.zeros((n, n), dtype=bool)
    for a, b, far in pairs:
        walk_m[a, b] = walk_m[b, a] = far
        touch[a, b] = touch[b, a] = far < 4 and a != b
    np.fill_diagonal(walk_m, 0.0)
    weight = draw(st.lists(st.integers(1, 50), min_size=n, max_size=n))
    group = draw(st.lists(st.integers(-1, 3), min_size=n, max_size=n))
    return as_problem(weight, walk_m, touch, group), walk_m, touch


def full_tables(sub: Sub) -> tuple[np.ndarray, np.ndarray]:
    n = len(sub.rows)
    walk_m, touch = np.full((n, n), np.inf), np.zeros((n, n), dtype=bool)
    walk_m[np.repeat(np.arange(n), np.diff(sub.near_indptr)), sub.near_indices] = sub.near_m
    touch[np.repeat(np.arange(n), np.diff(sub.indptr)), sub.indices] = True
    return walk_m, touch


@law
@given(drawn=drawn_problems(), data=st.data())
def test_cutting_out_takes_the_rows_and_columns_of_the_tables(drawn, data) -> None:
    problem, walk_m, touch = drawn
    n = len(problem.weight)
    rows = np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    sub = cut_out(problem, rows)
    found_m, found = full_tables(sub)
    assert np.array_equal(found_m, walk_m[np.ix_(rows, rows)])
    assert np.array_equal(found, touch[np.ix_(rows, rows)])
    assert sub.near_indices.dtype == np.int32
    assert sub.indices.dtype == np.int64
    assert np.array_equal(sub.weight, problem.weight[rows])
    same = problem.group[rows][:, None] == problem.group[rows]
    assert np.array_equal(sub.group[:, None] == sub.group, same)
    assert set(sub.group) - {-1} == set(range(len(set(problem.group[rows]) - {-1})))


@law
@given(drawn=drawn_problems(), data=st.data())
def test_a_score_is_what_plain_loops_add_up(drawn, data) -> None:
    problem, walk_m, _ = drawn
    n = len(problem.weight)
    label = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    grid = np.unique(label, return_inverse=True)[1].astype(np.int64)
    found = score(problem, grid)
    beyond_m = 2 * walk_m[np.isfinite(walk_m)].max()
    for g in range(grid.max() + 1):
        rows = np.flatnonzero(grid == g)
        total = {c: sum(problem.weight[r] * min(walk_m[c, r], beyond_m) for r in rows) for c in rows.tolist()}
        medoid = min(total, key=lambda c: (total[c], c))
        assert found.medoid[g] == medoid
        assert found.walk_m[g] == approx(total[medoid])
        assert (g in found.inexact) == np.isinf(walk_m[medoid, rows]).any()
        known = rows[problem.group[rows] >= 0]
        main = np.bincount(problem.group[known], problem.weight[known]).max(initial=0)
        assert found.outside[g] == problem.weight[known].sum() - main
        assert found.households[g] == problem.weight[rows].sum()


@pytest.mark.parametrize("enough", [5, 60, 200, 450, 9999])
def test_the_radius_of_near_walks_is_the_least_that_lets_nineteen_in_twenty_rows_reach_enough(enough) -> None:
    #  a street of 2 km with a house every 8 m, every tenth of 9 households
    at_m = np.arange(4, 2000, 8)
    weight = np.where(np.arange(len(at_m)) % 10 == 0, 9, 1)
    network = drawn_network({"A": [(0, 0), (2000, 0)]})
    stops = snap_points(network, spots(*((float(each), 1.0) for each in at_m)))
    away_m = np.abs(np.subtract.outer(at_m, at_m))
    limit_m = 100.0
    while ((weight * (away_m <= limit_m)).sum(axis=1) < min(enough, weight.sum())).mean() > 0.05:
        limit_m *= 1.25
    found = near_walks(network, stops, weight, enough=enough)
    assert np.array_equal(np.diff(found.indptr), (away_m <= limit_m).sum(axis=1))
    assert np.array_equal(found.indices, np.nonzero(away_m <= limit_m)[1])
    assert np.array_equal(found.distance_m, away_m[away_m <= limit_m])
