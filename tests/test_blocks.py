"""A programme cut into blocks: who is with whom, and that what the blocks prove together holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from spatial.solve import blocks, max_cover, program, set_cover
from spatial.solve.blocks import blocks_of

EFFORT = "normal"


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Next to nothing is solved as a whole."""
    monkeypatch.setitem(program.CORES, EFFORT, (2,))
    monkeypatch.setitem(program.BLOCKS, EFFORT, 7)
    monkeypatch.setitem(program.LAST, EFFORT, 0)


def along_a_lane(n_rows: int, n_sites: int, seed: int) -> tuple[sparse.csr_array, NDArray[np.float64]]:
    """Sites along a lane that each cover what is near, and what the rows weigh."""
    random = np.random.default_rng(seed)
    at, site = np.sort(random.random(n_rows)), np.sort(random.random(n_sites))
    covers = np.abs(at[:, None] - site) <= random.uniform(0.02, 0.06, n_sites)
    return sparse.csr_array(covers), np.round(random.uniform(0.1, 3.0, n_rows), 2)


# --- cuts -----------------------------------------------------------------------------------------


def test_a_lane_is_cut_into_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LONG", 10)
    # twelve choices in a row, each pair beside a thirteenth variable of their row; all are counted once
    pairs = [[each, each + 1, 12 + each] for each in range(11)]
    rows = [*pairs, range(12)]
    matrix = np.zeros((len(rows), 23))
    for row, columns in enumerate(rows):
        matrix[row, list(columns)] = 1
    choices, fixed = np.arange(23) < 12, np.arange(23) == 0
    block, of_row = blocks_of(sparse.csr_array(matrix), choices & ~fixed, fixed, 3)
    assert block[0] == -1
    assert np.bincount(block[1:12]).max() <= 3
    assert np.count_nonzero(np.diff(block[1:12])) == block.max()  # neighbours all along
    of_pair = np.column_stack([block[1:11], block[2:12], block[13:]])
    assert (of_pair[:, 2:] == of_pair[:, :2]).any(axis=1).all()
    assert of_row[-1] == -1  # the row of all
    assert ((of_pair == of_row[1:11, None]).all(axis=1) == (of_row[1:11] >= 0)).all()


def test_parts_without_a_row_in_common_are_cut_too() -> None:
    matrix = sparse.csr_array(np.eye(10))
    block, of_row = blocks_of(matrix, np.ones(10, bool), np.zeros(10, bool), 4)
    assert np.bincount(block).max() <= 4
    assert of_row.tolist() == block.tolist()


# --- what they prove ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_blocks_bound_the_best_of_all_choices(seed: int, request: pytest.FixtureRequest) -> None:
    covers, weight = along_a_lane(300, 60, seed)
    best = max_cover(covers, weight, n=12)
    assert best.gap == 0
    least = set_cover(covers, weight, target=0.8 * weight[covers.sum(axis=1) > 0].sum())
    assert least.gap == 0
    request.getfixturevalue("small_steps")
    found = max_cover(covers, weight, n=12)
    assert found.value <= best.value + 1e-9 <= found.bound + 2e-9
    fewest = set_cover(covers, weight, target=0.8 * weight[covers.sum(axis=1) > 0].sum())
    assert fewest.bound <= least.value <= fewest.value


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_bound_any_programme(small_steps: None, seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix = random.integers(-3, 4, (12, 12)) * (random.random((12, 12)) < 0.25)
    every = (np.arange(2**12)[:, None] >> np.arange(12)) % 2
    used, start = every @ matrix.T, random.integers(0, 2**12)
    lower = np.where(random.random(12) < 0.5, used[start] - random.integers(0, 2, 12), -np.inf)
    upper = np.where(random.random(12) < 0.5, used[start] + random.integers(0, 2, 12), np.inf)
    cost = random.integers(-9, 10, 12).astype(float)
    best = (every @ cost)[((used >= lower) & (used <= upper)).all(axis=1)].min()
    task = program.Program(cost, sparse.csr_array(matrix, dtype=float), lower, upper, np.ones(12, bool))
    answer = program.solve_program(task, start=every[start].astype(float), by_blocks=True)
    assert answer.bound <= best + 1e-6
    assert best <= answer.value + 1e-9
    assert answer.value == best or not answer.proved


def test_blocks_prove_more_than_the_relaxation(small_steps: None, monkeypatch: pytest.MonkeyPatch) -> None:
    # 32 corners of three lanes, each lit from two of three sites: two sites each, in shares 1.5
    corner = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]], dtype=bool)
    covers = sparse.csr_array(np.kron(np.eye(32, dtype=bool), corner))
    found = set_cover(covers, np.ones(96), target=96.0)
    assert (found.value, found.bound) == (64, 64)
    monkeypatch.setattr(program, "_by_blocks", lambda task, answer, most: (task, answer))
    assert set_cover(covers, np.ones(96), target=96.0).bound == 48
