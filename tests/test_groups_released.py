"""Which village groups are kept: piece by piece as from looking at everything anew after each change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.grids.groups import fitting_groups, keep_groups, rest_pieces
from spatial.grids.problem import Ints, Sub, cut_out
from tests.test_grids_engine import near_tree


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rest=st.integers(2, 9), fewest=st.integers(0, 4))
def test_groups_are_let_go_as_if_every_piece_were_looked_at_each_time(
    seed: int, rest: int, fewest: int
) -> None:
    problem = near_tree(160, seed=seed, groups=12)
    sub = cut_out(problem, np.arange(160))

    def can_be_cut(rows: Ints) -> bool:
        return int(sub.weight[rows].sum()) % rest != 1

    def accept(groups: list[int]) -> bool:
        return len(groups) % 5 != fewest

    kept = keep_groups(sub, low=5, high=40, can_be_cut=can_be_cut, accept=accept)
    assert list(kept.groups) == plainly_kept(sub, can_be_cut, accept)


def plainly_kept(
    sub: Sub, can_be_cut: Callable[[Ints], bool], accept: Callable[[list[int]], bool]
) -> list[int]:
    fit, _ = fitting_groups(sub, low=5, high=40)
    kept = released(sub, fit, can_be_cut)
    while kept and not accept(kept):
        kept = released(sub, kept[:-1], can_be_cut)
    for group in [each for each in fit if each not in kept]:
        trial = sorted([*kept, group])
        if all(can_be_cut(rows) for rows in rest_pieces(sub, trial)) and accept(trial):
            kept = trial
    return kept


def released(sub: Sub, kept: list[int], can_be_cut: Callable[[Ints], bool]) -> list[int]:
    kept = list(kept)
    while kept and (stuck := [rows for rows in rest_pieces(sub, kept) if not can_be_cut(rows)]):
        near = [sub.indices[sub.indptr[row] : sub.indptr[row + 1]] for row in stuck[0]]
        beside = sorted(set(sub.group[np.concatenate(near)].tolist()) & set(kept))
        helpful = []
        for group in beside:
            others = rest_pieces(sub, [each for each in kept if each != group])
            helpful += [group for rows in others if stuck[0][0] in rows and can_be_cut(rows)]
        households = {group: int(sub.weight[sub.group == group].sum()) for group in beside}
        kept.remove(min(helpful or beside, key=lambda group: (households[group], group)))
    return kept
