"""The benchmarks run, and measure the problems that planning solves."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from pytest import approx

from benchmarks import orlib, siting
from benchmarks.grids import (
    Row,
    as_problem,
    largest_part,
    main,
    measure,
    small_problem,
    summary,
    township,
)
from spatial.grids.problem import GridProblem, pieces
from spatial.load import read_site
from spatial.sample import write_sample
from spatial.settings import Settings, read_settings


def same(a: GridProblem, b: GridProblem) -> bool:
    return all(np.array_equal(getattr(a, each.name), getattr(b, each.name)) for each in fields(GridProblem))


def test_a_township_in_memory_is_the_problem_of_its_files(tmp_path):
    write_sample(tmp_path, n_households=600, seed=2)
    settings = read_settings(tmp_path / "plan.toml")
    from_files = as_problem(read_site(tmp_path, settings), settings)
    assert same(as_problem(township(600, 2), Settings()), from_files)


def test_rows_of_the_smallest_township(capsys):
    rows = measure(township(400, 1), Settings(), 1, ["quick"])
    metis, ours, with_groups = rows
    assert [each.method for each in rows] == ["METIS 20", "quick", "quick"]
    assert all(each.households == 400 and each.rows == rows[0].rows for each in rows)
    assert ours.grids == metis.grids
    assert ours.sound == with_groups.sound == 1.0
    assert metis.sound <= 1.0
    assert ours.below == approx(1 - ours.walk_m / metis.walk_m)
    assert with_groups.group_cost_m == 100
    assert "mix groups" in with_groups.remark
    for each in (ours, with_groups):
        assert 0 <= each.gap < 0.5
        assert each.proof_s > 0
        assert each.plan_s > 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1:] == [str(each) for each in rows]


def test_the_small_problem_is_a_row_of_houses():
    problem = small_problem()
    touch = [problem.indices[a:b].tolist() for a, b in zip(problem.indptr, problem.indptr[1:], strict=False)]
    assert touch == [[at for at in (row - 1, row + 1) if 0 <= at < 160] for row in range(160)]
    assert problem.near_m[problem.near_indptr[3] : problem.near_indptr[3] + 5].tolist() == [3, 2, 1, 0, 1]


def test_the_largest_part_is_one_piece():
    problem = small_problem()
    cut = problem.indices.copy()
    cut[problem.indptr[100] - 1], cut[problem.indptr[100]] = 98, 101  # 99 and 100 no longer touch
    part = largest_part(GridProblem(**{**vars(problem), "indices": cut}))
    assert len(part.weight) == 100
    assert not pieces(part.indptr, part.indices, np.zeros(100, np.int64)).any()


def test_a_summary_gives_medians_and_the_exponent_of_growth():
    def row(households: int, seed: int, plan_s: float) -> Row:
        return Row(households, households, seed, "quick", 0.0, 10, 1.0, 30.0, 0.2, 0.01, plan_s, 1.0, 300.0)

    lines = list(summary([row(1000, 1, 1.0), row(1000, 2, 4.0), row(1000, 3, 2.0), row(4000, 1, 16.0)]))
    assert lines[0] == "\nquick, group cost 0 m: median (least to most)"
    assert "plan s 2.0 (1.0 to 4.0) · proof s 1.0 · MB 300" in lines[1]
    assert lines[3].endswith("exponent of CPU time in households: plan 1.50, proof 0.00")


def test_an_unknown_effort_or_place_is_refused(capsys):
    for options, said in ((["--effort", "hasty"], "hasty"), (["--places", "atlantis"], "atlantis")):
        with pytest.raises(SystemExit):
            main(options)
        assert said in capsys.readouterr().err


def test_siting_rows_of_the_smallest_township():
    quarter, boards, lamps = siting.measure("small", ["lamps", "night"], "quick", beside=False)
    assert (quarter.number, boards.number, lamps.number) == (150, 20, 150)
    assert lamps.value <= quarter.value
    for each in (quarter, lamps):
        assert each.value <= each.bound <= 1.001 * each.value
    assert boards.bound <= boards.value


@pytest.mark.real
def test_published_optima_are_reached(place, capsys):
    place("benchmarks")
    orlib.main(["--only", "pmed1,pmed5,SJC324"])
    printed = capsys.readouterr().out
    assert "p-median: 2 of 2 as published, 2 proved" in printed
    assert "NOT" not in printed and "covering: " in printed
