"""Starting from an earlier plan: what stands, what moves, which numbers are given, what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import coo_array

from spatial.adjacency import touching
from spatial.earlier import kept_codes
from spatial.grids.engine import partition
from spatial.grids.keep import Earlier, continued, keep_grids
from spatial.grids.levels import Links
from spatial.grids.problem import GridProblem, cut_out, pieces
from spatial.grids.structure import Nodes, group_grids
from spatial.grids.units import make_units
from spatial.load import read_site
from spatial.network import build_network
from spatial.settings import Grids, Settings, read_settings
from tests.conftest import SHANNAN
from tests.tampering import set_cell
from tests.test_grids_engine import check, make_problem, near_tree, path

Ints = NDArray[np.int64]
FREE = Grids(group_cost_m=0)
LONG = pytest.mark.long


def earlier_of(label: Sequence[int], problem: GridProblem, *, by_hand: Sequence[int] = ()) -> Earlier:
    """Earlier grids; a row moved by hand counts four households more."""
    label = np.array(label, np.int64)
    worth = problem.weight.copy()
    worth[list(by_hand)] += 4
    return Earlier(label, np.where(label >= 0, worth, 0))


def moved(grid: Ints, earlier: Earlier) -> int:
    """What the rows count for that are not in the grid that continues theirs."""
    kept = continued(grid, earlier)[grid] == earlier.label
    return int(earlier.stay[(earlier.label >= 0) & ~kept].sum())


def keep(problem: GridProblem, earlier: Earlier, limits: Grids = FREE) -> Ints:
    answer = partition(problem, limits, earlier=earlier)
    check(problem, answer, limits)
    return answer.grid


# --- small cases, answers by hand ---------------------------------------------------------------


def test_a_plan_that_keeps_its_promises_stands_though_a_better_one_exists() -> None:
    problem = make_problem([1] * 80, path(80))
    earlier = earlier_of([0] * 33 + [1] * 47, problem)
    assert keep(problem, earlier).tolist() == [0] * 33 + [1] * 47


def test_one_household_too_many_moves_one() -> None:
    problem = make_problem([1] * 91, path(91))
    earlier = earlier_of([0] * 51 + [1] * 40, problem)
    assert keep(problem, earlier).tolist() == [0] * 50 + [1] * 41


def test_what_is_too_many_is_passed_on_along_full_grids() -> None:
    problem = make_problem([1] * 137, path(137))
    earlier = earlier_of([0] * 52 + [1] * 50 + [2] * 35, problem)
    assert keep(problem, earlier).tolist() == [0] * 50 + [1] * 50 + [2] * 37


def test_a_grid_of_a_few_that_are_left_is_given_up() -> None:
    problem = make_problem([1] * 73, path(73))
    earlier = earlier_of([0] * 35 + [1] * 3 + [2] * 35, problem)
    grid = keep(problem, earlier)
    assert sorted(continued(grid, earlier)) == [0, 2]
    assert moved(grid, earlier) == 3


def test_a_new_block_too_large_for_its_neighbours_is_a_grid_of_its_own() -> None:
    problem = make_problem([1] * 120, path(120))
    earlier = earlier_of([0] * 45 + [-1] * 33 + [1] * 42, problem)
    grid = keep(problem, earlier)
    assert moved(grid, earlier) == 0
    assert sorted(continued(grid, earlier)) == [-1, 0, 1]


def test_a_new_household_joins_the_neighbour_where_it_walks_less() -> None:
    length_m = [10.0] * 29 + [30.0, 20.0] + [10.0] * 29
    problem = make_problem([1] * 61, path(61), length_m=length_m)
    grid = keep(problem, earlier_of([0] * 30 + [-1] + [1] * 30, problem))
    assert grid.tolist() == [0] * 30 + [1] * 31


def test_a_household_moved_by_hand_stays_and_another_makes_up_for_it() -> None:
    # 0–29 and 30–61, with a way from the middle of the second: row 62, moved by hand, leaves 29 behind
    edges = [*path(62), (0, 62), (61, 62)]
    problem = make_problem([1] * 63, edges)
    label = [0] * 30 + [1] * 32 + [0]
    assert keep(problem, earlier_of(label, problem, by_hand=[62])).tolist() == label
    short = make_problem([1] * 60, [*path(59), (0, 59), (58, 59)])
    label = [0] * 30 + [1] * 29 + [0]
    grid = keep(short, earlier_of(label, short, by_hand=[59]))
    assert grid[59] == grid[0]
    assert np.bincount(grid).tolist() == [30, 30]


def test_an_edit_far_from_its_grid_is_taken_back() -> None:
    problem = make_problem([1] * 80, path(80))
    label = [0] * 40 + [1] * 40
    label[60] = 0
    grid = keep(problem, earlier_of(label, problem, by_hand=[60]))
    assert grid.tolist() == [0] * 40 + [1] * 40


def test_a_torn_grid_is_held_where_most_of_it_is() -> None:
    #  a far edit again, beside a way round it, in a part too large to try every way: only its row goes back
    problem = make_problem([1] * 135, [*path(135), (99, 101)])
    label = [0] * 45 + [1] * 45 + [2] * 45
    edited = [*label]
    edited[100] = 0
    grid = keep(problem, earlier_of(edited, problem))
    assert grid.tolist() == label


def test_a_lock_is_kept_with_the_fewest_moves() -> None:
    locked = [-1] * 80
    locked[39] = locked[40] = 7
    problem = make_problem([1] * 80, path(80), locked=locked)
    earlier = earlier_of([0] * 40 + [1] * 40, problem)
    grid = keep(problem, earlier)
    assert grid[39] == grid[40]
    assert moved(grid, earlier) == 1


def test_a_part_that_can_t_be_cut_stays_as_it_was() -> None:
    problem = make_problem([1] * 55, path(55))
    earlier = earlier_of([0] * 6 + [1] * 49, problem)  # as good as five left of 50, or worse: one more is
    answer = partition(problem, FREE, earlier=earlier)
    check(problem, answer, FREE)
    assert answer.state == ("infeasible",)
    again = partition(problem, FREE, earlier=earlier_of(answer.grid.tolist(), problem))
    assert again.grid.tolist() == answer.grid.tolist()


def test_a_village_group_that_is_no_grid_is_not_claimed_to_be_one() -> None:
    group = [0] * 40 + [1] * 40
    problem = make_problem([1] * 80, path(80), group=group)
    whole = partition(problem, Grids(), earlier=earlier_of([0] * 40 + [1] * 40, problem))
    torn = partition(problem, Grids(), earlier=earlier_of([0] * 39 + [1] * 41, problem))
    assert (whole.kept_groups, whole.split_groups) == ((0, 1), ())
    assert torn.kept_groups == ()
    assert [each for each, _ in torn.split_groups] == [0, 1]
    assert torn.bound_m < torn.objective_m


def test_a_number_goes_to_the_grid_with_most_of_its_households() -> None:
    problem = make_problem([1] * 6, path(6))
    earlier = earlier_of([0, 0, 0, 1, 1, -1], problem)
    assert continued(np.array([0, 1, 1, 1, 2, 2]), earlier).tolist() == [-1, 0, 1]


# --- laws, and agreement with trying every partition ---------------------------------------------


def every_partition(n: int) -> Iterator[Ints]:
    def grow(label: list[int]) -> Iterator[Ints]:
        if len(label) == n:
            yield np.array(label, np.int64)
            return
        for each in range(max(label, default=-1) + 2):
            yield from grow([*label, each])

    return grow([])


def sound(problem: GridProblem, grid: Ints, low: int, high: int) -> bool:
    households = np.bincount(grid, problem.weight)
    held = problem.locked >= 0
    pairs = {*zip(grid[held].tolist(), problem.locked[held].tolist(), strict=True)}
    one_to_one = len(pairs) == len({g for g, _ in pairs}) == len({lock for _, lock in pairs})
    within = households.min() >= low and households.max() <= high
    return bool(within and one_to_one and pieces(problem.indptr, problem.indices, grid).max() == grid.max())


@st.composite
def edited_plans(draw: st.DrawFn) -> tuple[GridProblem, Earlier, int, int]:
    n = draw(st.integers(2, 8))
    tree = [(draw(st.integers(0, at - 1)), at) for at in range(1, n)]
    more = draw(st.lists(st.tuples(*[st.integers(0, n - 1)] * 2), max_size=2))
    weight = draw(st.lists(st.integers(1, 3), min_size=n, max_size=n))
    problem = make_problem(weight, tree + [each for each in more if each[0] != each[1]])
    label = draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n))
    low = draw(st.integers(1, 4))
    by_hand = draw(st.lists(st.integers(0, n - 1), max_size=1))
    return problem, earlier_of(label, problem, by_hand=by_hand), low, low + draw(st.integers(0, 4))


@settings(deadline=None, max_examples=20)
@given(edited_plans())
def test_fewest_households_move_of_all_partitions(plan: tuple[GridProblem, Earlier, int, int]) -> None:
    problem, earlier, low, high = plan
    whole = cut_out(problem, np.arange(len(problem.weight)))
    grid, mended = keep_grids(whole, earlier, low=low, high=high, group_cost_m=0, seed=1)
    least = min(
        (moved(each, earlier) for each in every_partition(len(grid)) if sound(problem, each, low, high)),
        default=None,
    )
    assert pieces(problem.indptr, problem.indices, grid).max() == grid.max()
    assert mended == (least is not None)
    if mended:
        assert sound(problem, grid, low, high)
        assert moved(grid, earlier) == least


@pytest.mark.parametrize(
    ("n", "seed"), [(250, 1), *(pytest.param(400, seed, marks=LONG) for seed in (1, 2, 3))]
)
def test_only_a_few_move_where_households_come_and_go(n: int, seed: int) -> None:
    problem = near_tree(n, seed=seed, groups=n // 50)
    plan = partition(problem, FREE, effort="quick", seed=seed)
    assert plan.state == ("feasible",)
    same = partition(problem, FREE, earlier=earlier_of(plan.grid.tolist(), problem))
    assert (same.grid == plan.grid).all()
    rng = np.random.default_rng(seed)
    label = plan.grid.copy()
    label[rng.choice(n, 12, replace=False)] = -1
    heavier = problem.weight.copy()
    heavier[rng.choice(n, 6, replace=False)] += 3
    changed = GridProblem(**{**vars(problem), "weight": heavier})
    earlier = earlier_of(label.tolist(), changed)
    grid = keep(changed, earlier)
    assert moved(grid, earlier) <= 0.05 * heavier.sum()


# --- branches, workers, codes ---------------------------------------------------------------------


def street_of(n: int, households: int = 40) -> Nodes:
    """Grids in a row."""
    one = np.arange(n - 1)
    both = np.concatenate([one, one + 1]), np.concatenate([one + 1, one])
    graph = coo_array((np.ones(2 * (n - 1), bool), both), shape=(n, n)).tocsr()
    at = np.column_stack([100.0 * np.arange(n), np.zeros(n)])
    codes = [f"{each:02d}" for each in range(1, n + 1)]
    return Nodes(Links(graph, ()), np.full(n, households), at, np.zeros((n, 0), np.int64), [], codes)


def levels(n: int, workers: int) -> Settings:
    return read_settings(overrides=[f"grids.n_branches={n}", f"grids.n_workers={workers}"])


def test_branches_and_workers_stand_under_any_numbers_that_keep_the_promise() -> None:
    branch, worker = np.array([2, 2, 2, 1, 1, 1]), np.array([3, 3, 3, 1, 2, 2])
    found = group_grids(street_of(6), levels(2, 3), earlier=(branch, worker))
    assert found.branch_id.tolist() == branch.tolist()
    assert found.worker_id.tolist() == worker.tolist()
    assert found.remarks == ()


def test_a_new_grid_goes_to_its_lighter_neighbour() -> None:
    branch, worker = np.array([2, 2, 2, 0, 1, 1]), np.array([2, 2, 2, 0, 1, 1])
    found = group_grids(street_of(6), levels(2, 2), earlier=(branch, worker))
    assert found.branch_id.tolist() == [2, 2, 2, 1, 1, 1]


def test_a_grid_changes_sides_where_a_branch_is_too_large() -> None:
    branch = np.array([2] * 5 + [1])
    found = group_grids(street_of(6), levels(2, 2), earlier=(branch, branch))
    assert found.branch_id.tolist() in ([2, 2, 2, 1, 1, 1], [2, 2, 2, 2, 1, 1])
    assert found.remarks == ()


def test_another_number_of_branches_is_found_anew_with_the_old_numbers_where_they_were() -> None:
    branch, worker = np.array([2, 2, 2, 1, 1, 1]), np.array([2, 2, 2, 1, 1, 1])
    found = group_grids(street_of(6), levels(3, 3), earlier=(branch, worker))
    assert found.branch_id.tolist() == [2, 2, 3, 3, 1, 1]


def test_what_stands_where_one_stood_keeps_its_code() -> None:
    before = pd.DataFrame({"code": ["L001", "L002", "L009"], "x": [0.0, 10.0, 20.0], "y": [0.0] * 3})
    here = np.array([[20.4, 0], [50.0, 0], [0.1, 0], [60.0, 0]])
    given_codes = pd.Series(["L001", "L002", "L003", "L004"], dtype="str")
    assert kept_codes(given_codes, here, before).tolist() == ["L009", "L010", "L001", "L011"]


# --- the command ----------------------------------------------------------------------------------

Run = Callable[..., Any]
GRIDS = ("--only", "grids", "--set", "work.effort=quick", "--json")


@pytest.fixture
def township(tmp_path: Path) -> Path:
    """The bundled township, to be changed."""
    return Path(shutil.copytree(SHANNAN, tmp_path / "shannan"))


@pytest.fixture
def earlier_plan(shannan_plan: Path, tmp_path: Path) -> Path:
    """Its plan, to be changed as a planner would in QGIS."""
    return Path(shutil.copytree(shannan_plan, tmp_path / "earlier"))


def households(folder: Path) -> pd.DataFrame:
    rows = gpd.read_file(folder / "plan.gpkg", layer="households")
    return rows.set_index(["household_id", "part"]).sort_index()


def layer(folder: Path, name: str) -> pd.DataFrame:
    return pd.DataFrame(gpd.read_file(folder / "plan.gpkg", layer=name))


def change_rows(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    file = folder / "households.csv"
    change(pd.read_csv(file, dtype=str)).to_csv(file, index=False)


def kept(alleyplan: Run, folder: Path, plan: Path, out: Path, *words: object) -> dict[str, Any]:
    done = alleyplan("plan", folder, "--keep", plan, "--out", out, *(words or GRIDS))
    assert done.returncode == 0, done.stderr
    assert alleyplan("audit", out).returncode == 0
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def told(summary: dict[str, Any], code: str) -> list[dict[str, Any]]:
    return [each for kind in ("notes", "doubts", "faults") for each in summary[kind] if each["code"] == code]


def border_row(plan: Path) -> tuple[str, int]:
    """A household that can join a touching grid with both within the limits and in one piece."""
    known = read_settings(SHANNAN / "plan.toml")
    site = read_site(SHANNAN, known)
    network = build_network(site, known)
    units = make_units(site, network, known)
    beside = touching(network, units.stops.take(units.served))
    table = units.table.iloc[units.served].merge(
        households(plan).reset_index()[["household_id", "part", "grid_id"]], on=["household_id", "part"]
    )
    grid, weight = table["grid_id"].to_numpy(), units.weight
    size = np.bincount(grid, weight)
    graph = nx.Graph()
    graph.add_nodes_from(range(len(grid)))
    for row in range(len(grid)):
        near = beside.indices[beside.indptr[row] : beside.indptr[row + 1]]
        graph.add_edges_from((row, int(each)) for each in near)
    for row, other in graph.edges:
        home, to = grid[row], grid[other]
        left = [each for each in np.flatnonzero(grid == home).tolist() if each != row]
        fits = size[home] - weight[row] >= 30 and size[to] + weight[row] <= 50
        alone = weight[row] == table["households"].iloc[row]
        if home != to and fits and alone and nx.is_connected(graph.subgraph(left)):
            return str(table["household_id"].iloc[row]), int(to)
    raise AssertionError("no household of the township can be moved alone")


def test_unchanged_input_gives_the_same_plan(alleyplan: Run, shannan_plan: Path, tmp_path: Path) -> None:
    summary = kept(alleyplan, SHANNAN, shannan_plan, tmp_path / "one", "--json")
    before = json.loads((shannan_plan / "summary.json").read_text(encoding="utf-8"))
    assert summary["kept"]["plan_id"] == before["plan_id"] != summary["plan_id"]
    for name in ("n", "objective_m", "bound_m", "bound_by", "parts"):
        assert summary["grids"][name] == before["grids"][name]
    for name in ("grids", "households", "lamps", "boards", "alleys"):
        assert layer(tmp_path / "one", name).equals(layer(shannan_plan, name))


@LONG
def test_a_plan_kept_twice_has_the_same_bytes(alleyplan: Run, shannan_plan: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        kept(alleyplan, SHANNAN, shannan_plan, tmp_path / name, "--json")
    for file in sorted((tmp_path / "one").iterdir()):
        again = (tmp_path / "two" / file.name).read_bytes()
        assert hashlib.sha256(again).digest() == hashlib.sha256(file.read_bytes()).digest(), file.name


def test_five_new_households_move_few_and_change_no_code(
    alleyplan: Run, township: Path, shannan_plan: Path, tmp_path: Path
) -> None:
    def five_more(rows: pd.DataFrame) -> pd.DataFrame:
        new = rows.iloc[100::130].head(5).copy()
        new["户号"], new["户数"] = [f"N{at}" for at in range(5)], "1"
        return pd.concat([rows, new.assign(东坐标=(new["东坐标"].astype(float) + 1.5).astype(str))])

    change_rows(township, five_more)
    summary = kept(alleyplan, township, shannan_plan, tmp_path / "out")
    before, now = households(shannan_plan), households(tmp_path / "out")
    assert len(now) == len(before) + 5
    change = before["grid_id"] != now["grid_id"].reindex(before.index)
    assert before["households"][change].sum() < 0.05 * before["households"].sum()
    codes = ["grid_id", "code", "name", "branch_id", "worker_id"]
    assert layer(tmp_path / "out", "grids")[codes].equals(layer(shannan_plan, "grids")[codes])
    assert ", 5 are new, 0 are gone" in told(summary, "plan-kept")[0]["message"]


def test_a_household_moved_in_qgis_stays_where_it_was_put(
    alleyplan: Run, shannan_plan: Path, earlier_plan: Path, tmp_path: Path
) -> None:
    household_id, to = border_row(shannan_plan)
    set_cell(earlier_plan, "households", "grid_id", to, f"household_id = '{household_id}'")
    summary = kept(alleyplan, SHANNAN, earlier_plan, tmp_path / "out")
    expected = households(shannan_plan)["grid_id"]
    expected.loc[[household_id]] = to
    assert households(tmp_path / "out")["grid_id"].equals(expected)
    assert told(summary, "plan-kept")[0]["ids"] == []
    assert told(summary, "edit-not-kept") == []


@LONG
def test_an_edit_that_can_t_stand_is_told(
    alleyplan: Run, shannan_plan: Path, earlier_plan: Path, tmp_path: Path
) -> None:
    before = households(shannan_plan)
    one = before[before["households"] == 1].iloc[0]
    household_id, home = one.name[0], int(one["grid_id"])
    to_far = int(before["grid_id"].loc[before.geometry.distance(one.geometry).idxmax()])
    set_cell(earlier_plan, "households", "grid_id", to_far, f"household_id = '{household_id}'")
    summary = kept(alleyplan, SHANNAN, earlier_plan, tmp_path / "out")
    assert households(tmp_path / "out")["grid_id"].equals(before["grid_id"])
    (doubt,) = told(summary, "edit-not-kept")
    assert doubt["ids"] == [household_id]
    assert f"{to_far}→{home}" in doubt["message"]


@LONG
def test_a_grid_without_households_drops_its_number_and_leaves_the_others(
    alleyplan: Run, township: Path, shannan_plan: Path, tmp_path: Path
) -> None:
    before = households(shannan_plan).reset_index()
    whole = before.groupby("household_id")["grid_id"].nunique().eq(1)
    number = next(
        each for each in range(2, 25) if whole[before["household_id"][before["grid_id"] == each]].all()
    )
    gone = before["household_id"][before["grid_id"] == number]
    change_rows(township, lambda rows: rows[~rows["户号"].isin(gone)])
    summary = kept(alleyplan, township, shannan_plan, tmp_path / "out")
    now = households(tmp_path / "out").reset_index()
    left = before[~before["household_id"].isin(gone)].reset_index(drop=True)
    assert now[["household_id", "grid_id"]].equals(left[["household_id", "grid_id"]])
    assert number not in set(layer(tmp_path / "out", "grids")["grid_id"])
    assert f"grids no longer there: {number}" in told(summary, "plan-kept")[0]["message"]
    # what comes after it gets a number of its own, never that one
    again = kept(alleyplan, SHANNAN, tmp_path / "out", tmp_path / "again")
    numbers = [set(layer(tmp_path / each, "grids")["grid_id"]) for each in ("out", "again")]
    assert numbers[1] - numbers[0] <= {26, 27}
    assert again["grids"]["feasible_share"] == 1.0


@LONG
def test_a_lock_moves_only_what_it_must(
    alleyplan: Run, township: Path, shannan_plan: Path, tmp_path: Path
) -> None:
    household_id, to = border_row(shannan_plan)
    before = households(shannan_plan)["grid_id"]
    partner = before[before == to].index[0][0]
    with_lock = [household_id, partner]

    def lock(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(locked_grid=np.where(rows["户号"].isin(with_lock), "same", ""))

    change_rows(township, lock)
    kept(alleyplan, township, shannan_plan, tmp_path / "out")
    now = households(tmp_path / "out")["grid_id"]
    assert now.loc[household_id].iloc[0] == now.loc[partner].iloc[0]
    assert (now != before).sum() < 0.05 * len(now)


@LONG
def test_a_number_that_no_grid_had_makes_one_if_enough_bear_it(
    alleyplan: Run, shannan_plan: Path, earlier_plan: Path, tmp_path: Path
) -> None:
    for fid in layer_fids(earlier_plan, 7):
        set_cell(earlier_plan, "households", "grid_id", 31, f"fid = {fid}")
    summary = kept(alleyplan, SHANNAN, earlier_plan, tmp_path / "out")
    expected = households(shannan_plan)["grid_id"].replace(7, 31)
    assert households(tmp_path / "out")["grid_id"].equals(expected)
    grids = layer(tmp_path / "out", "grids").set_index("grid_id")
    assert grids["name"].loc[31] == "第31网格"
    assert grids["code"].loc[31].endswith("31")
    assert 7 not in grids.index
    assert "new grids: 31" in told(summary, "plan-kept")[0]["message"]
    set_cell(tmp_path / "out", "grids", "code", "34012399900107", "grid_id = 31")
    audit = alleyplan("audit", tmp_path / "out")
    assert audit.returncode == 1
    assert "grids.code" in audit.stderr


def layer_fids(folder: Path, grid_id: int) -> list[int]:
    rows = gpd.read_file(folder / "plan.gpkg", layer="households", fid_as_index=True)
    return [int(each) for each in rows.index[rows["grid_id"] == grid_id]]


@LONG
def test_the_plan_kept_may_be_the_one_replaced(alleyplan: Run, earlier_plan: Path) -> None:
    before = households(earlier_plan)["grid_id"]
    done = alleyplan("plan", SHANNAN, "--keep", earlier_plan, "--out", earlier_plan, *GRIDS)
    assert done.returncode == 0, done.stderr
    assert households(earlier_plan)["grid_id"].equals(before)
    assert json.loads(done.stdout)["summary"]["kept"] is not None
    assert alleyplan("audit", earlier_plan).returncode == 0


# ── refused: one message, exit 2, nothing written ────────────────────────────────────────────────────


def hamlet(folder: Path, *, crs: str = "EPSG:4548", names: str = "H") -> Path:
    """Forty households along one straight alley."""
    x = [500000 + 5.0 * at for at in range(40)]
    line = shapely.LineString([(x[0], 3500000), (x[-1], 3500000)])
    folder.mkdir()
    alleys = gpd.GeoDataFrame({"alley_id": ["A1"]}, geometry=[line], crs=crs)
    alleys.to_file(folder / "alleys.gpkg", layer="alleys")
    points = [shapely.Point(each, 3500003) for each in x]
    ids = [f"{names}{at:02d}" for at in range(40)]
    rows = gpd.GeoDataFrame({"household_id": ids, "households": [1] * 40}, geometry=points, crs=crs)
    rows.to_file(folder / "households.gpkg", layer="households")
    return folder


@pytest.fixture(scope="module")
def hamlet_plan(tmp_path_factory: pytest.TempPathFactory, alleyplan: Run) -> Path:
    folder = tmp_path_factory.mktemp("hamlet")
    out = folder / "plan"
    done = alleyplan("plan", hamlet(folder / "raw"), "--only", "grids", "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def _no_folder(plan: Path, raw: Path) -> tuple[object, ...]:
    shutil.rmtree(plan)
    return ()


def _without_grids(plan: Path, raw: Path) -> tuple[object, ...]:
    summary = json.loads((plan / "summary.json").read_text(encoding="utf-8"))
    (plan / "summary.json").write_text(json.dumps(summary | {"grids": None}), encoding="utf-8")
    return ()


def _broken(plan: Path, raw: Path) -> tuple[object, ...]:
    (plan / "plan.gpkg").write_bytes(b"no database")
    return ()


def _other_crs(plan: Path, raw: Path) -> tuple[object, ...]:
    shutil.rmtree(raw)
    hamlet(raw, crs="EPSG:4549")
    return ()


def _other_ids(plan: Path, raw: Path) -> tuple[object, ...]:
    shutil.rmtree(raw)
    hamlet(raw, names="K")
    return ()


def _few_in_a_new_grid(plan: Path, raw: Path) -> tuple[object, ...]:
    set_cell(plan, "households", "grid_id", 5, "household_id = 'H07'")
    return ()


def _number_zero(plan: Path, raw: Path) -> tuple[object, ...]:
    set_cell(plan, "households", "grid_id", 0, "household_id = 'H07'")
    return ()


def _another_n_grids(plan: Path, raw: Path) -> tuple[object, ...]:
    return ("--set", "grids.n_grids=2", "--set", "grids.min_households=10")


def _without_the_grids(plan: Path, raw: Path) -> tuple[object, ...]:
    return ("--only", "boards")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_no_folder, "is not a plan folder: summary.json, plan.gpkg missing"),
        (_broken, "is no GeoPackage; plan again"),
        (_without_grids, "has no grids to keep"),
        (_other_crs, "keep a plan of the same place"),
        (_other_ids, "shares no household_id"),
        (_few_in_a_new_grid, "5 is no grid of the plan, and the 1 households that bear it (H07)"),
        (_number_zero, "must be 1 or more, or empty: not so for H07"),
        (_another_n_grids, "grids.n_grids is 2, but the plan to keep has 1 grids"),
        (_without_the_grids, "--keep keeps grids; add them to --only"),
    ],
)
def test_a_plan_that_can_t_be_kept(
    alleyplan: Run,
    hamlet_plan: Path,
    tmp_path: Path,
    change: Callable[..., tuple[object, ...]],
    expected: str,
) -> None:
    plan = Path(shutil.copytree(hamlet_plan, tmp_path / "plan"))
    raw = hamlet(tmp_path / "raw")
    words = change(plan, raw)
    out = tmp_path / "out"
    done = alleyplan("plan", raw, "--keep", plan, "--out", out, *(words or ("--only", "grids")))
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".out")]
