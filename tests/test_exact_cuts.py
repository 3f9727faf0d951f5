"""What is stuck is settled exactly: cuts of a few rows, proofs for a whole part, the solver's word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.errors import DataError
from spatial.grids.branches import branch_losses
from spatial.grids.decide import decide, reachable, settle, ways_out
from spatial.grids.engine import partition
from spatial.grids.exact_cut import FAULT, OutOfWorkError, Region, best_cut, fault_cost
from spatial.grids.problem import Sub, cut_out, pieces
from spatial.grids.regions import Ground, Layout, Work, must_be_wrong
from spatial.settings import Grids
from spatial.solve import connected_parts
from tests.test_grids_engine import FREE, all_labels, make_problem, near_tree, path

LOW, HIGH = 30, 50
NEVER = 1 << 60
law = settings(deadline=None, max_examples=150, derandomize=True)


def part_of(weight: Sequence[int], edges: Sequence[tuple[int, int]]) -> Sub:
    return cut_out(make_problem(weight, edges), np.arange(len(weight)))


def in_one_piece(rows: Sequence[int], near: Sequence[Sequence[int]]) -> bool:
    seen, todo = {rows[0]}, [rows[0]]
    while todo:
        for other in set(near[todo.pop()]) & set(rows) - seen:
            seen.add(other)
            todo.append(other)
    return len(seen) == len(rows)


def cost_of(rows: Sequence[int], region: Region, low: int, high: int) -> int:
    """Cost of one piece, from the definition."""
    if not in_one_piece(rows, region.near) or sum(region.lock[row] >= 0 for row in rows) > 1:
        return NEVER
    households = sum(region.weight[row] for row in rows)
    if households <= high and any(region.goes_on[row] for row in rows):
        return 0
    return fault_cost(households, low, high)


def every_cut(n: int) -> Iterator[list[list[int]]]:
    for labels in all_labels(n):
        yield [[row for row in range(n) if labels[row] == each] for each in range(max(labels) + 1)]


@st.composite
def regions(draw: st.DrawFn, *, alone: bool = False) -> tuple[Region, int, int]:
    n = draw(st.integers(1, 7))
    near: list[set[int]] = [set() for _ in range(n)]
    pairs = [(draw(st.integers(0, at - 1)), at) for at in range(1, n)]
    pairs += draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=9))
    for a, b in pairs:
        if a != b:
            near[a].add(b)
            near[b].add(a)
    low = draw(st.integers(1, 5))
    each = st.lists(st.integers(1, 5), min_size=n, max_size=n)
    region = Region(
        draw(each),
        [sorted(others) for others in near],
        draw(st.lists(st.sampled_from([-1, -1, -1, -1, 1]), min_size=n, max_size=n)),
        [not alone and draw(st.sampled_from([False, False, True])) for _ in range(n)],
    )
    return region, low, draw(st.integers(low, 9))


@law
@given(regions())
def test_the_best_cut_agrees_with_trying_every_one(case: tuple[Region, int, int]) -> None:
    region, low, high = case
    n = len(region.weight)
    least = min(sum(cost_of(rows, region, low, high) for rows in cut) for cut in every_cut(n))
    found, _ = best_cut(region, low=low, high=high, below=NEVER, work=10**7)
    assert found is not None
    assert found.cost == least == sum(cost_of(rows, region, low, high) for rows in found.pieces)
    assert sorted(row for rows in found.pieces for row in rows) == list(range(n))
    assert best_cut(region, low=low, high=high, below=least, work=10**7)[0] is None


@law
@given(regions(alone=True), st.integers(1, 7))
def test_a_fixed_number_of_pieces_agrees_with_trying_every_cut(
    case: tuple[Region, int, int], n_pieces: int
) -> None:
    region, low, high = case
    costs = [
        sum(cost_of(rows, region, low, high) for rows in cut)
        for cut in every_cut(len(region.weight))
        if len(cut) == n_pieces
    ]
    least = min(costs, default=NEVER)
    found, _ = best_cut(region, low=low, high=high, below=NEVER, work=10**7, n_pieces=n_pieces)
    assert (found is None) == (least >= NEVER)
    if found is not None:
        assert (found.cost, len(found.pieces)) == (least, n_pieces)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(regions(alone=True))
def test_the_solver_agrees_with_the_exact_cut(case: tuple[Region, int, int]) -> None:
    region, low, high = case
    found, _ = best_cut(region, low=low, high=high, below=1, work=10**7)
    parts = connected_parts(region.weight, region.near, region.lock, low=low, high=high)
    assert (parts is None) == (found is None)
    if parts is not None:
        assert sum(cost_of(rows, region, low, high) for rows in parts) == 0
        assert sorted(row for rows in parts for row in rows) == list(range(len(region.weight)))


def test_a_hundred_rows_at_one_door_are_cut() -> None:
    n = 100
    near = [[other for other in range(n) if other != row] for row in range(n)]
    region = Region([46] * 94 + [5] * 4 + [1] * 2, near, [-1] * n, [False] * n)
    found, _ = best_cut(region, low=LOW, high=HIGH, below=21 * FAULT, work=10**6)
    assert found is not None
    # No 5 goes with a 46, and 22 light households are too few for a grid; those of the rows of 1 can join.
    assert found.cost == fault_cost(20, LOW, HIGH)  # the four of 5 stay together


def test_the_work_limit_is_kept() -> None:
    n = 40
    near = [[other for other in range(n) if other != row] for row in range(n)]
    region = Region([7 + row % 13 for row in range(n)], near, [-1] * n, [False] * n)
    with pytest.raises(OutOfWorkError):
        best_cut(region, low=30, high=31, below=NEVER, work=1000)


# --- proofs for a whole part from a few of its rows ---------------------------------------------


def test_a_proof_in_a_town_looks_at_a_few_rows_only() -> None:
    town = near_tree(2000, seed=3, groups=2)
    n = len(town.weight)
    weight = [*town.weight.tolist(), 40, 25, 40]
    owner = np.repeat(np.arange(n), np.diff(town.indptr))
    edges = [(a, b) for a, b in zip(owner.tolist(), town.indices.tolist(), strict=True) if a < b]
    sub = part_of(weight, [*edges, (0, n), (n, n + 1), (n + 1, n + 2)])
    settled = settle(sub, low=LOW, high=HIGH, seed=1)
    assert settled.state == "infeasible"
    assert np.bincount(settled.grid, sub.weight)[settled.grid[n + 1]] == 25
    must = max(settled.musts, key=lambda must: must.fewest)
    assert must.fewest and must.cost // FAULT == 25 and len(must.units) < 30


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.data())
def test_what_must_be_wrong_is_wrong_in_every_plan(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 8))
    edges = [(data.draw(st.integers(0, at - 1)), at) for at in range(1, n)]
    weight = data.draw(st.lists(st.integers(1, 5), min_size=n, max_size=n))
    low = data.draw(st.integers(2, 5))
    high = data.draw(st.integers(low, 9))
    sub = part_of(weight, edges)
    layout = Layout(Ground.of(sub), np.arange(n), low, high)
    near = [sub.indices[sub.indptr[row] : sub.indptr[row + 1]].tolist() for row in range(n)]
    alone = Region(weight, near, [-1] * n, [False] * n)
    least = min(sum(cost_of(rows, alone, low, high) for rows in cut) for cut in every_cut(n))
    most = data.draw(st.sampled_from([5, 20, 60, 10**6]))
    for each in layout.wrong():
        must = must_be_wrong(layout, each, work=Work(10**6), most=most)
        assert must is None or must.cost <= least


def test_few_steps_tell_at_least_that_something_is_wrong() -> None:
    leaves, beyond = 20, 300
    n = 1 + leaves + beyond
    edges = [(0, leaf) for leaf in range(1, leaves + 1)]
    edges += [(0, leaves + 1), *((row, row + 1) for row in range(leaves + 1, n - 1))]
    sub = part_of([35] + [1] * (n - 1), edges)
    grid = np.concatenate((np.arange(1 + leaves), 1 + leaves + np.arange(beyond) // 30))
    layout = Layout(Ground.of(sub), grid, LOW, HIGH)
    few, many = (must_be_wrong(layout, 1, work=Work(10**6), most=most) for most in (100, 1000))
    assert few is not None and many is not None
    # A grid with the hub takes 15 leaves at most.
    assert [must.cost // FAULT for must in (few, many)] == [1, 5]


# --- hard cases ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "edges", "households_out"),
    [
        ([40, 25, 40], path(3), 25),
        ([1] * 61, [(0, leaf) for leaf in range(1, 61)], 11),
        ([1] * 55, path(55), 5),
        ([30, 1, 29, 26, 26, 4], [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)], 26),
    ],
)
def test_hard_cases_leave_the_fewest_out(
    weight: list[int], edges: list[tuple[int, int]], households_out: int
) -> None:
    settled = settle(part_of(weight, edges), low=LOW, high=HIGH, seed=1)
    households = np.bincount(settled.grid, weight)
    assert settled.state == "infeasible"
    assert settled.reason
    assert households[(households < LOW) | (households > HIGH)].sum() == households_out


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_tenth_of_heavy_doors_is_decided(seed: int) -> None:
    town = near_tree(700, seed=seed, groups=2)
    rng = np.random.default_rng(seed)
    weight = town.weight.copy()
    weight[rng.choice(len(weight), 70, replace=False)] = rng.integers(26, 41, 70)
    sub = Sub(np.arange(700), *(getattr(town, name) for name in Sub.__dataclass_fields__ if name != "rows"))
    sub = Sub(**{**sub.__dict__, "weight": weight})
    settled = settle(sub, low=LOW, high=HIGH, seed=1)
    assert settled.state != "undecided"
    assert decide(sub, low=LOW, high=HIGH, seed=2).state == settled.state
    households = np.bincount(settled.grid, weight)
    bad = np.flatnonzero((households < LOW) | (households > HIGH))
    assert bool(len(bad)) == (settled.state == "infeasible")
    assert pieces(sub.indptr, sub.indices, settled.grid).max() == settled.grid.max()
    ways = ways_out(sub, settled, low=LOW, high=HIGH)
    assert sorted(ways) == bad.tolist()
    assert all(way.relaxation for way in ways.values())


def test_a_neighbour_in_two_rows_is_named_as_a_way_out() -> None:
    sub = part_of([40, 28, 35], path(3))
    settled = settle(sub, low=LOW, high=HIGH, seed=1)
    (way,) = ways_out(sub, settled, low=LOW, high=HIGH).values()
    assert way.reason == "no grid of 30 to 50 in one piece can hold the row of 28 households in it"
    assert way.proved
    assert way.split == (0, 2)  # 38 are left
    assert way.relaxation == {"min_households": 28, "max_households": 63}


def test_numbers_of_grids_are_those_that_can_be_reached() -> None:
    # 240 households could be 5 to 8 grids, but no two rows of 40 fit into one grid, nor can one be cut.
    sub = part_of([40] * 6, path(6))
    assert reachable(sub, low=LOW, high=HIGH, target=40, seed=1, tries=2) == range(6, 7)
    problem = make_problem([40] * 6, path(6))
    with pytest.raises(DataError, match="can number 6 to 6 here"):
        partition(problem, Grids(group_cost_m=0, n_grids=7))
    assert partition(problem, Grids(group_cost_m=0, n_grids=6)).state == ("feasible",)


def test_a_part_that_cannot_be_cut_leaves_the_number_to_the_others() -> None:
    edges = [*path(200), *((at, at + 1) for at in range(200, 204))]
    problem = make_problem([1] * 205, edges)
    answer = partition(problem, Grids(group_cost_m=0, n_grids=6))
    assert answer.part_grids.tolist() == [5, 1]
    assert answer.state == ("feasible", "infeasible")
    assert FREE.n_grids is None


@law
@given(regions(alone=True))
def test_branches_lose_no_more_than_the_best_plan(case: tuple[Region, int, int]) -> None:
    region, low, high = case
    n = len(region.weight)
    region = Region(region.weight, region.near, [-1] * n, region.goes_on)
    ground = Ground(list(region.weight), [list(each) for each in region.near], [-1] * n, np.arange(n))
    lost = max((must.cost for must in branch_losses(ground, low, high)), default=0)
    assert (
        lost // FAULT
        <= min(sum(cost_of(rows, region, low, high) for rows in cut) for cut in every_cut(n)) // FAULT
    )


def test_three_branches_at_one_point_lose_what_does_not_fit() -> None:
    # Branches of 18, 17 and 17 behind row 0, which a bridge joins to 40 more: none is a grid alone.
    edges = [(0, 1)]
    edges += path(41)[1:]
    weight = [1] * 41
    for branch in (18, 17, 17):
        edges += [(0, len(weight)), *((row, row + 1) for row in range(len(weight), len(weight) + branch - 1))]
        weight += [1] * branch
    sub = part_of(weight, edges)
    (must,) = branch_losses(Ground.of(sub), LOW, HIGH)
    assert must.cost == 3 * FAULT  # 53 with row 0, and 50 fit
    settled = settle(sub, low=LOW, high=HIGH, seed=1)
    households = np.bincount(settled.grid)
    assert households[households < LOW].sum() == 3
