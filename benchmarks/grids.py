"""Grids of the sample township: our partition against its own bound and against METIS.

METIS (``pymetis``, contiguous k-way, best of 20 seeds by walk) knows neither walks nor the limits of a
grid, so its grids may break them; how many do is printed. Walks are compared at the number of grids
that METIS returns.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pymetis

from spatial.adjacency import touching
from spatial.grids.engine import GridProblem, partition
from spatial.grids.problem import Ints, pieces, score
from spatial.grids.units import codes, make_units, near_walks
from spatial.load import read_site
from spatial.network import build_network
from spatial.settings import Effort, Grids, read_settings

ROOT = Path(__file__).parents[1]
PLACES = {
    "sample": ROOT / "data" / "raw" / "shannan",
    "kotka": ROOT.parent / "shared" / "data" / "kotka-finland",
}
EFFORTS: tuple[Effort, ...] = ("quick", "normal", "thorough")
_METIS_SEEDS = 20


def read_problem(folder: Path) -> GridProblem:
    """The rows, adjacency and walks of a place, as planning hands them to the engine."""
    plan_toml = folder / "plan.toml"
    settings = read_settings(plan_toml if plan_toml.exists() else None)
    site = read_site(folder, settings)
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


def metis_best(problem: GridProblem, K: int) -> tuple[Ints, float]:
    """Grids of the contiguous METIS partition with the least walk, and the share of them within limits."""
    best, best_m = np.zeros(len(problem.weight), np.int64), np.inf
    for seed in range(_METIS_SEEDS):
        _, raw = pymetis.part_graph(
            K,
            xadj=problem.indptr,
            adjncy=problem.indices,
            vweights=problem.weight,
            options=pymetis.Options(contig=True, seed=seed),
        )
        grid = np.unique(raw, return_inverse=True)[1].astype(np.int64)
        walk_m = score(problem, grid).objective_m(0)
        if walk_m < best_m:
            best, best_m = grid, walk_m
    households = np.bincount(best, problem.weight)
    whole = len(households) == int(pieces(problem.indptr, problem.indices, best).max()) + 1
    return best, float(((households >= 30) & (households <= 50)).mean()) if whole else 0.0


def run(place: str) -> None:
    """Every effort with and without group cost; where METIS can run, both at the same number of grids."""
    problem = read_problem(PLACES[place])
    households = int(problem.weight.sum())
    print(f"{place}: {households} households in {len(problem.weight)} rows; metres per household")
    for group_cost_m in (0.0, 100.0):
        for effort in EFFORTS:
            begin_s = time.process_time()
            answer = partition(problem, Grids(group_cost_m=group_cost_m), effort=effort)
            cpu_s = time.process_time() - begin_s
            print(
                f"  cost {group_cost_m:3.0f} {effort:8} {len(answer.medoid)} grids ({answer.n_plain})"
                f"  objective {answer.objective_m / households:.3f}  bound {answer.bound_m / households:.3f}"
                f"  gap {answer.objective_m / answer.bound_m - 1:.2%}  {cpu_s:.1f} s CPU"
            )
    if pieces(problem.indptr, problem.indices, np.zeros(len(problem.weight), np.int64)).any():
        return  # METIS refuses contiguous parts of a graph that is not in one piece
    grid, share = metis_best(problem, round(households / 40))
    K = int(grid.max()) + 1
    metis_m = score(problem, grid).objective_m(0)
    ours = partition(problem, Grids(group_cost_m=0, n_grids=K))
    print(
        f"  METIS best of {_METIS_SEEDS}: {K} grids, {share:.0%} within limits, {metis_m / households:.3f};"
        f" ours at {K}: {ours.walk_m / households:.3f}, {1 - ours.walk_m / metis_m:.1%} below"
    )


def main() -> None:
    """Compile, then print a table for every place there is; about a minute of CPU."""
    partition(read_problem(PLACES["sample"]), Grids(), effort="quick")
    for place, folder in PLACES.items():
        if folder.exists():
            run(place)


if __name__ == "__main__":
    main()
