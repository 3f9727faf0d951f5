"""The solver layer: against trying every choice, and against published optima."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from spatial.errors import InfeasibleError
from spatial.solve import set_partition

seeds = st.integers(min_value=0, max_value=10_000)


def all_choices(k: int) -> NDArray[np.bool_]:
    """Every choice among k things, one per row."""
    return (np.arange(2**k)[:, None] >> np.arange(k)) % 2 == 1


@given(seed=seeds)
@settings(max_examples=40, deadline=None)
def test_partition_agrees_with_trying_every_choice(seed: int) -> None:
    random = np.random.default_rng(seed)
    columns = random.random((5, 10)) < 0.35
    columns[:, :5] |= np.eye(5, dtype=bool)
    cost = random.integers(1, 20, 10).astype(float)
    n_columns = int(random.integers(1, 6))
    choices = all_choices(10)
    sound = ((choices @ columns.T.astype(int)) == 1).all(axis=1) & (choices.sum(axis=1) == n_columns)
    if not sound.any():
        with pytest.raises(InfeasibleError):
            set_partition(sparse.csr_array(columns), cost, n_columns=n_columns)
        return
    solution = set_partition(sparse.csr_array(columns), cost, n_columns=n_columns)
    assert solution.value == (choices[sound] @ cost).min()
    assert solution.bound == solution.value
    assert (columns[:, solution.chosen].sum(axis=1) == 1).all()
    assert solution.chosen.sum() == n_columns


def test_partition_is_never_worse_than_its_start() -> None:
    #  pairs of a line of six: the start's three pairs cost 9, the best three cost 3
    pairs = list(combinations(range(6), 2))
    columns = np.zeros((6, len(pairs)), dtype=bool)
    for j, pair in enumerate(pairs):
        columns[list(pair), j] = True
    cost = np.array([float(b - a) for a, b in pairs])
    start = np.isin([f"{a}{b}" for a, b in pairs], ["03", "14", "25"])
    solution = set_partition(columns_csr := sparse.csr_array(columns), cost, n_columns=3, start=start)
    assert solution.value == 3.0
    assert (columns_csr @ solution.chosen.astype(int) == 1).all()
