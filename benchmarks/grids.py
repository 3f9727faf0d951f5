"""Grids of made-up townships: our partition against its own bound and against METIS.

    python -m benchmarks grids [--sizes 400,1000,5000,20000,100000] [--seeds 1,2,3,4,5]
                               [--effort quick,normal] [--places kotka]

A seed makes another township. METIS (``pymetis``, contiguous k-way, the best by walk of 20 seeds, of
one above 20,000 households) knows neither walks nor the limits of a grid, so how many of its grids are
within them is printed. Ours is run at the number of grids METIS returns, with no group cost, and once
at its own number with the default group cost. *Sound* grids are within the limits and in one piece.
CPU is of one thread, compilation left out; *proof* is the time of the bound, *plan* all the rest. Each
township has a process of its own, so that its peak memory is its own: *MB* is the peak so far, from
reading on, without the making of the township. The time grows with a power of the households; its
exponent is fitted to the medians over the seeds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
import pymetis

from spatial.adjacency import touching
from spatial.grids import engine
from spatial.grids.problem import GridProblem, Ints, Partition, cut_out, pieces, score
from spatial.grids.units import codes, make_units, near_walks
from spatial.load import Site, read_site
from spatial.load.complete import complete_layers
from spatial.network import build_network
from spatial.sample import make_sample
from spatial.settings import Effort, Grids, Settings, read_settings

PLACES = {"kotka": Path(__file__).parents[2] / "shared" / "data" / "kotka-finland"}
LARGE = 20_000  # households above which one seed and one run of METIS must do
METIS_RUNS = 20
#: What only proves and plans nothing, by its name in the engine.
PROOFS = ("_bounded",)

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Row:
    """One line of the table: one way to cut one township."""

    households: int
    rows: int
    seed: int
    method: str
    group_cost_m: float
    grids: int
    sound: float  # share of grids within the limits and in one piece
    walk_m: float  # mean of the households
    below: float  # share of the walk of METIS that is saved
    gap: float
    plan_s: float
    proof_s: float
    peak_mb: float
    remark: str = ""

    def __str__(self) -> str:
        return (
            f"{self.households:>9,} {self.rows:>9,} {self.seed:>4} {self.group_cost_m:>4.0f} "
            f"{self.method:<9}{self.grids:>7,} {_shown(self.sound, '.2%'):>7} {self.walk_m:>7.3f} "
            f"{_shown(self.below, '.2%'):>7} {_shown(self.gap, '.2%'):>6} {self.plan_s:>7.1f} "
            f"{_shown(self.proof_s, '.1f'):>7} {self.peak_mb:>7,.0f}  {self.remark}"
        ).rstrip()


HEADING = (
    "households      rows seed cost method     grids   sound  walk m   below    gap  plan s proof s      MB"
)


def _shown(figure: float, form: str) -> str:
    return "" if np.isnan(figure) else format(figure, form)


# --- the problem ----------------------------------------------------------------------------------


def township(n_households: int, seed: int) -> Site:
    """The sample township as reading its files would give it, as far as grids need it."""
    settings = Settings()
    layers = make_sample(
        n_households, seed=seed, layers=("alleys", "households", "boundary", "barriers", "groups")
    )
    crs = layers["alleys"].crs
    full, remarks = complete_layers(layers, crs, max_access_m=settings.input.max_access_m)
    return Site("shannan", crs, full, None, (), tuple(remarks))


def as_problem(site: Site, settings: Settings) -> GridProblem:
    """The rows, adjacency and walks of a site, as planning hands them to the engine."""
    network = build_network(site, settings)
    units = make_units(site, network, settings)
    stops = units.stops.take(units.served)
    beside = touching(network, stops)
    near = near_walks(network, stops, units.weight, enough=3 * settings.grids.max_households)
    group = codes(units.table["group"])[0][units.served]
    free = np.full(len(group), -1, np.int64)
    return GridProblem(
        units.weight, beside.indptr, beside.indices, near.indptr, near.indices, near.distance_m, group, free
    )


def largest_part(problem: GridProblem) -> GridProblem:
    """The connected part with most rows: METIS refuses contiguous grids where there are several."""
    part = pieces(problem.indptr, problem.indices, np.zeros(len(problem.weight), np.int64))
    sub = cut_out(problem, np.flatnonzero(part == np.bincount(part).argmax()))
    return GridProblem(**{each.name: getattr(sub, each.name) for each in fields(sub) if each.name != "rows"})


def small_problem() -> GridProblem:
    """160 houses in a row, in four groups: enough to have everything compiled."""
    n = 160
    at = np.arange(n)
    ends = np.repeat(at, 2)[1:-1] + np.tile([1, -1], n - 1)
    return GridProblem(
        np.ones(n, np.int64),
        np.clip(2 * np.arange(n + 1) - 1, 0, 2 * n - 2),
        ends,
        n * np.arange(n + 1),
        np.tile(at.astype(np.int32), n),
        np.abs(np.subtract.outer(at, at)).astype(np.float64).ravel(),
        at // 40,
        np.full(n, -1, np.int64),
    )


# --- one township ---------------------------------------------------------------------------------


def measure(site: Site, settings: Settings, seed: int, efforts: Sequence[Effort]) -> list[Row]:
    """Print and return the rows of one township."""
    for effort in efforts:
        for group_cost_m in (0.0, 100.0):
            engine.partition(small_problem(), Grids(group_cost_m=group_cost_m), effort=effort)
    begin_s = time.process_time()
    whole = as_problem(site, settings)
    del site
    print(f"{_households(whole):>9,} {len(whole.weight):>9,} {seed:>4}      network, adjacency and walks: "
          f"{time.process_time() - begin_s:.1f} s, {_peak_mb():,.0f} MB", flush=True)  # fmt: skip
    problem = largest_part(whole)
    metis = _metis_row(problem, seed)
    rows = [metis]
    for effort in efforts:
        rows.append(_our_row(problem, Grids(group_cost_m=0.0, n_grids=metis.grids), effort, seed, metis))
    if _households(whole) <= 5 * LARGE:
        rows.append(_our_row(whole, settings.grids, efforts[-1], seed, None))
    return rows


def _metis_row(problem: GridProblem, seed: int) -> Row:
    begin_s = time.process_time()
    runs = METIS_RUNS if _households(problem) <= LARGE else 1
    grid = metis_best(problem, round(_households(problem) / 40), runs=runs)
    row = _row(problem, grid, seed, f"METIS {runs}", plan_s=time.process_time() - begin_s)
    print(row, flush=True)
    return row


def metis_best(problem: GridProblem, K: int, *, runs: int) -> Ints:
    """Grids of the contiguous METIS partition with the least walk."""
    found, beside = [], pymetis.CSRAdjacency(problem.indptr, problem.indices)
    for seed in range(runs):
        _, raw = pymetis.part_graph(
            K,
            beside,
            vweights=problem.weight,
            options=pymetis.Options(contig=True, seed=seed),
        )
        grid = np.unique(raw, return_inverse=True)[1].astype(np.int64)
        found.append((score(problem, grid).objective_m(0.0), seed, grid))
    return min(found)[2]


def _our_row(problem: GridProblem, limits: Grids, effort: Effort, seed: int, metis: Row | None) -> Row:
    begin_s = time.process_time()
    with _proof_time() as proof_s:
        answer = engine.partition(problem, limits, effort=effort)
    row = _row(
        problem,
        answer.grid,
        seed,
        effort,
        group_cost_m=limits.group_cost_m,
        below=1 - answer.walk_m / (metis.walk_m * _households(problem)) if metis else np.nan,
        gap=answer.objective_m / answer.bound_m - 1,
        plan_s=time.process_time() - begin_s - sum(proof_s),
        proof_s=sum(proof_s),
        remark=_group_remark(problem, answer) if limits.group_cost_m > 0 else "",
    )
    print(row, flush=True)
    return row


def _row(problem: GridProblem, grid: Ints, seed: int, method: str, **figures: Any) -> Row:
    households = np.bincount(grid, problem.weight)
    piece = pieces(problem.indptr, problem.indices, grid)
    n_pieces = np.bincount(grid[np.unique(piece, return_index=True)[1]])
    sound = (households >= Grids().min_households) & (households <= Grids().max_households) & (n_pieces == 1)
    known: dict[str, Any] = {"group_cost_m": 0.0, "below": np.nan, "gap": np.nan, "proof_s": np.nan}
    return Row(
        households=_households(problem),
        rows=len(problem.weight),
        seed=seed,
        method=method,
        grids=len(households),
        sound=float(sound.mean()),
        walk_m=float(score(problem, grid).walk_m.sum()) / _households(problem),
        peak_mb=_peak_mb(),
        **known | figures,
    )


def _group_remark(problem: GridProblem, answer: Partition) -> str:
    """How well village groups are kept."""
    known = problem.group >= 0
    pairs = np.unique(np.column_stack([answer.grid[known], problem.group[known]]), axis=0)
    mixing = np.bincount(pairs[:, 0], minlength=len(answer.medoid)) > 1
    return (
        f"objective {answer.objective_m / _households(problem):.3f} m; {len(answer.kept_groups)} groups are "
        f"grids, {len(answer.split_groups)} more could be; {mixing.mean():.1%} of grids mix groups; plain "
        f"number {int(answer.plain.max()) + 1}"
    )


def _households(problem: GridProblem) -> int:
    return int(problem.weight.sum())


@contextmanager
def _proof_time() -> Iterator[list[float]]:
    """CPU seconds of each call of a function that proves, while the block runs."""
    spent_s: list[float] = []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **more: Any) -> Any:
            begin_s = time.process_time()
            answer = function(*given, **more)
            spent_s.append(time.process_time() - begin_s)
            return answer

        return run

    plain = {name: getattr(engine, name) for name in PROOFS}
    for name, function in plain.items():
        setattr(engine, name, timed(function))
    try:
        yield spent_s
    finally:
        for name, function in plain.items():
            setattr(engine, name, function)


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


# --- all townships --------------------------------------------------------------------------------


def in_process(task: Callable[..., Answer], *given: Any) -> Answer:
    """The answer of a task that has a process, and so a peak of memory, of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(task, *given).result()


def measure_township(n_households: int, seed: int, efforts: Sequence[Effort]) -> list[Row]:
    return measure(in_process(township, n_households, seed), Settings(), seed, efforts)


def measure_place(name: str, efforts: Sequence[Effort]) -> list[Row]:
    plan_toml = PLACES[name] / "plan.toml"
    settings = read_settings(plan_toml if plan_toml.exists() else None)
    print(f"{name}: beside METIS its largest part")
    return measure(read_site(PLACES[name], settings), settings, 0, efforts)


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """Median and spread over the seeds, and the exponents with which the times grow."""
    kinds = sorted({(each.group_cost_m, each.method.split()[0]) for each in rows}, key=_kind_order)
    for cost_m, method in kinds:
        yield f"\n{method}, group cost {cost_m:g} m: median (least to most)"
        same = [each for each in rows if (each.group_cost_m, each.method.split()[0]) == (cost_m, method)]
        sizes = sorted({each.households for each in same})
        times = {"plan_s": [], "proof_s": []}
        for size in sizes:
            some = [each for each in same if each.households == size]
            figures = [
                f"{name} {_spread([getattr(each, field) for each in some], form)}"
                for field, name, form in FIGURES
                if not np.isnan(getattr(some[0], field))
            ]
            yield f"{size:>9,}  " + " · ".join(figures)
            for field, all_s in times.items():
                all_s.append(float(np.median([getattr(each, field) for each in some])))
        if len(sizes) > 1 and method != "METIS":
            grows = [f"{field[:-2]} {_exponent(sizes, all_s):.2f}" for field, all_s in times.items()]
            yield f"{'':9}  exponent of CPU time in households: " + ", ".join(grows)


FIGURES = (
    ("sound", "sound", ".2%"),
    ("walk_m", "walk m", ".3f"),
    ("below", "below METIS", ".2%"),
    ("gap", "gap", ".2%"),
    ("plan_s", "plan s", ".1f"),
    ("proof_s", "proof s", ".1f"),
    ("peak_mb", "MB", ",.0f"),
)


def _kind_order(kind: tuple[float, str]) -> tuple[float, int]:
    return kind[0], ("METIS", "quick", "normal", "thorough").index(kind[1])


def _spread(figures: Sequence[float], form: str) -> str:
    middle, least, most = (format(each, form) for each in (np.median(figures), min(figures), max(figures)))
    return middle if least == most else f"{middle} ({least} to {most})"


def _exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(seconds, 1e-3)), 1)[0])


def main(options: Sequence[str] = ()) -> None:
    """Print a row for each way to cut each township, then medians; five townships of each size to 20,000."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks grids")
    whole, effort = _listed(int), _listed(str, among=get_args(Effort))
    parser.add_argument("--sizes", type=whole, help="households, 400 or more (400,1000,5000,20000,100000)")
    parser.add_argument("--seeds", type=whole, default="1,2,3,4,5", help="above 20,000 households the first")
    parser.add_argument("--effort", type=effort, default="quick,normal", help="of quick, normal, thorough")
    parser.add_argument("--places", type=_listed(str, among=tuple(PLACES)), default="", help="kotka")
    asked = parser.parse_args(options)
    sizes = asked.sizes or ([] if asked.places else [400, 1000, 5000, 20_000, 100_000])
    tools = ", ".join(f"{each} {version(each)}" for each in ("numpy", "numba", "highspy", "pymetis"))
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {tools}")
    print(HEADING, flush=True)
    rows: list[Row] = []
    for size in sizes:
        for seed in asked.seeds if size <= LARGE else asked.seeds[:1]:
            rows += in_process(measure_township, size, seed, asked.effort)
    for name in asked.places:
        rows += in_process(measure_place, name, asked.effort)
    print(*summary(rows), sep="\n")


def _listed(kind: Callable[[str], Any], *, among: Sequence[str] = ()) -> Callable[[str], list[Any]]:
    """How to read a list with commas between, of these words where any are given."""

    def words(text: str) -> list[Any]:
        given = [kind(each) for each in text.split(",") if each]
        if unknown := [each for each in given if among and each not in among]:
            raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(among)}")
        return given

    return words


if __name__ == "__main__":
    main(sys.argv[1:])
