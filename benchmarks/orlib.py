"""Published values: OR-Library's 40 p-medians and 20 with capacities, 82 maximal coverings; with times.

    python -m benchmarks orlib [--only pmed7,pmedcap3,SJC324] [--effort thorough]

The instances lie in ``../shared/data/benchmarks``. In the p-medians some edges occur twice with different
costs: the last counts. Of the coverings the optima were proved with HiGHS alone; the rows are customers, and
a site covers those within the radius. CPU is of one thread, compilation left out; reading and, for the
p-medians, shortest paths are not counted.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from spatial.settings import Effort
from spatial.solve import Solution, capacitated_median, max_cover, p_median

BENCHMARKS = Path(__file__).parents[2] / "shared" / "data" / "benchmarks"


@dataclass(frozen=True)
class Row:
    """One instance: what was published, what was found and proved, and how long it took."""

    name: str
    published: float
    value: float
    bound: float
    cpu_s: float

    @property
    def reached(self) -> bool:
        return self.value == self.published

    def __str__(self) -> str:
        proved = "proved" if self.bound == self.value else f"bound {self.bound:,.1f}"
        verdict = "=" if self.reached else "NOT"
        values = f"{self.value:>10,.0f} {verdict:>3}{self.published:>10,.0f}"
        return f"{self.name:<24}{values}  {proved:<16}{self.cpu_s:>8.1f} s"


def pmed(path: Path) -> tuple[int, NDArray[np.float64]]:
    """Number of sites and all shortest paths. Repeated edges occur: the last counts."""
    numbers = np.array(path.read_text().split(), dtype=np.int64)
    n, _, p = numbers[:3]
    edges = numbers[3:].reshape(-1, 3)
    length = np.zeros((n, n))
    for a, b, each in edges:
        length[a - 1, b - 1] = length[b - 1, a - 1] = each
    return int(p), csgraph.shortest_path(sparse.csr_array(length), directed=False)


def every_pair(cost: NDArray[np.float64]) -> sparse.csr_array:
    """All finite costs, zeros stored."""
    row, column = np.nonzero(np.isfinite(cost))
    indptr = np.searchsorted(row, np.arange(len(cost) + 1))
    return sparse.csr_array((cost[row, column], column, indptr), shape=cost.shape)


def medians(only: Sequence[str], effort: Effort) -> Iterator[Row]:
    folder = BENCHMARKS / "orlib_pmed"
    for each in _table(folder / "known_optima.csv"):
        name = each["instance"]
        if only and name not in only:
            continue
        n_sites, walk = pmed(folder / f"{name}.txt")
        begin_s = time.process_time()
        found = p_median(every_pair(walk), np.ones(len(walk)), n=n_sites, unreached=1e6, effort=effort)
        yield _row(f"{name} {len(walk)}/{n_sites}", float(each["optimal_value"]), found, begin_s)


def with_room(only: Sequence[str], effort: Effort) -> Iterator[Row]:
    """Every customer is a site; distances are rounded down."""
    folder = BENCHMARKS / "orlib_pmedcap"
    for each in _table(folder / "known_values.csv"):
        name = each["instance"]
        if only and name not in only:
            continue
        numbers = (folder / f"{name}.txt").read_text().split()
        n_sites, room = int(numbers[3]), float(numbers[4])
        _, x, y, demand = np.array(numbers[5:], dtype=np.float64).reshape(-1, 4).T
        walk = np.floor(np.hypot(x[:, None] - x, y[:, None] - y) + 1e-9)
        begin_s = time.process_time()
        value, bound = least_plain_walk(walk, demand, room, n_sites, effort)
        spent_s = time.process_time() - begin_s
        yield Row(f"{name} {len(walk)}/{n_sites}", float(each["best_known_in_file"]), value, bound, spent_s)


def least_plain_walk(
    walk: NDArray[np.float64], demand: NDArray[np.float64], room: float, n_sites: int, effort: Effort
) -> tuple[float, float]:
    """Value and bound where a customer's walk counts once, whatever its demand; walks are whole numbers."""
    found = capacitated_median(
        every_pair(walk / demand[:, None]), demand, np.full(len(walk), room), n=n_sites, effort=effort
    )
    value = round(found.walk.value) if found.served.value == demand.sum() else np.nan
    return value, float(np.ceil(found.walk.bound - 1e-6))


def coverings(only: Sequence[str], effort: Effort) -> Iterator[Row]:
    folder = BENCHMARKS / "mclp"
    for each in _table(folder / "sjc_optima_solved_here.csv"):
        name, radius = each["instance"], float(each["radius"])
        if only and name not in only:
            continue
        values = np.loadtxt(folder / "SJC" / f"{name}.txt", skiprows=1)
        xy, demand = values[:, :2], values[:, 2]
        covers = sparse.csr_array(np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) <= radius)
        begin_s = time.process_time()
        found = max_cover(covers, demand, n=int(each["p"]), effort=effort)
        yield _row(f"{name} {radius:.0f} m, {each['p']}", float(each["covered"]), found, begin_s)


def _row(name: str, published: float, found: Solution, begin_s: float) -> Row:
    return Row(name, published, found.value, found.bound, time.process_time() - begin_s)


def _table(path: Path) -> list[dict[str, str]]:
    with path.open() as lines:
        return list(csv.DictReader(lines))


def _compile() -> None:
    """Run once what is compiled, the branching with it."""
    walk = np.random.default_rng(1).integers(1, 100, (60, 60)).astype(np.float64)
    p_median(every_pair(walk), np.ones(60), n=3, unreached=1e3)


def main(options: Sequence[str] = ()) -> None:
    """Print a row for each instance and how many reach what was published."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks orlib")
    parser.add_argument("--only", default="", help="names of instances, with commas between")
    parser.add_argument("--effort", choices=get_args(Effort), default="thorough")
    asked = parser.parse_args(options)
    if not BENCHMARKS.exists():
        sys.exit(f"the instances are not there: {BENCHMARKS}")
    only = [each for each in asked.only.split(",") if each]
    _compile()
    for kind, task in (("p-median", medians), ("with room", with_room), ("covering", coverings)):
        rows = []
        for row in task(only, asked.effort):
            print(row, flush=True)
            rows.append(row)
        reached, proved = (
            sum(each) for each in ([r.reached for r in rows], [r.bound == r.value for r in rows])
        )
        spent_s = sum(each.cpu_s for each in rows)
        print(
            f"{kind}: {reached} of {len(rows)} as published, {proved} proved, {spent_s:.0f} s CPU\n",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
