"""Lamps and boards of made-up townships: value, proven bound, CPU time and memory, beside other tools.

    python -m benchmarks siting [--sizes small,medium,large] [--tasks lamps,fewest,…] [--beside]
                                [--places sample,kotka,aleppo] [--effort normal]

A small township has 6 km of alley, 1,000 households, 600 lamp sites and 80 board sites; a medium one ten and
a large one a hundred times as much. CPU is of one thread, compilation and the making of the township left
out: *first* is what comes before solving (sight and stretches, or walks), *solve* the rest. Each size has a
process of its own; *MB* is its peak so far.

*dense* is the curve with a candidate made every 2 m, of which many light nearly the same; at large there
would be too many. ``--places aleppo`` has so many in the open that the relaxation takes them in shares.

``--beside`` adds other tools: at small spopt with HiGHS, demand as points every metre (left out where spopt
is not installed), at medium HiGHS alone on the same exact stretches.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import highspy
import numpy as np
from geopandas import GeoDataFrame
from scipy import sparse

from benchmarks.grids import _listed, _peak_mb, in_process
from spatial.load import Site, read_site
from spatial.load.complete import complete_layers
from spatial.network import AlleyNetwork, build_network
from spatial.sample import make_sample
from spatial.settings import Effort, Settings, read_settings
from spatial.sight import lit_intervals
from spatial.siting import boards, facility, plan_boards, plan_facility, plan_lamps, usable_lamp_sites
from spatial.siting.candidates import candidate_sites
from spatial.siting.demand import LampTask, lamp_task
from spatial.siting.lamps import choose_lamps
from spatial.siting.orders import curve_of, free_order, raised
from spatial.siting.ways import ways_home
from spatial.solve import covered, gap_between, merged_rows

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"

SIZES = {"small": 1000, "medium": 10_000, "large": 100_000}  # households
LAYERS = (
    "alleys", "households", "boundary", "barriers", "buildings", "lamp_sites", "board_sites", "places",
)  # fmt: skip
# place: folder, settings, parts
PLACES: dict[str, tuple[Path, tuple[str, ...], tuple[str, ...]]] = {
    "sample": (ROOT / "data" / "raw" / "shannan", (), ("lamps", "boards")),
    "kotka": (SHARED / "kotka-finland", (), ("lamps", "boards")),
    "aleppo": (SHARED / "aleppo-old-city-streets", ("lamps.n_lamps=1500",), ("lamps",)),
}
PLANNERS: dict[str, Callable[..., Any]] = {"lamps": plan_lamps, "boards": plan_boards}
SHOWN = {
    "lamps": ("n_chosen", "worth", "bound_worth"),
    "boards": ("n_chosen", "total_walk_m", "bound_household_m"),
}
HEADING = (
    f"{'task':<30}{'number':>9}{'value':>15}{'bound':>15}{'gap':>11}{'first s':>9}{'solve s':>9}{'MB':>7}"
)
DENSE_M, MOST_DENSE = 2, 50_000  # between made sites, and how many of them are tried
ALONE_S = 400.0  # the time that HiGHS alone is given


@dataclass(frozen=True)
class Row:
    """One task of one township."""

    task: str
    number: int  # of lamps or boards
    value: float
    bound: float
    gap: float
    first_s: float
    solve_s: float
    peak_mb: float
    remark: str = ""

    def __str__(self) -> str:
        gap = "none" if np.isnan(self.gap) else "proved" if self.gap == 0 else f"{self.gap:.5%}"
        return (
            f"{self.task:<30}{self.number:>9,}{self.value:>15,.2f}{self.bound:>15,.2f}{gap:>11}"
            f"{self.first_s:>9.2f}{self.solve_s:>9.2f}{self.peak_mb:>7,.0f}  {self.remark}"
        ).rstrip()


@dataclass(frozen=True)
class Town:
    """A township and what the tasks share."""

    site: Site
    network: AlleyNetwork
    effort: Effort
    overrides: tuple[str, ...] = ()

    def settings(self, *overrides: str) -> Settings:
        every = [f"work.effort={self.effort}", *self.overrides, *overrides]
        return read_settings(None, overrides=every)


def township(n_households: int, seed: int = 1) -> Site:
    """The sample township as reading its files would give it, as far as lamps and boards need it."""
    layers = make_sample(n_households, seed=seed, layers=LAYERS)
    crs = layers["alleys"].crs
    full, remarks = complete_layers(layers, crs, max_access_m=Settings().input.max_access_m)
    return Site("shannan", crs, full, None, (), tuple(remarks))


# --- lamps ----------------------------------------------------------------------------------------


def _lamp_row(town: Town, name: str, *overrides: str, in_light: GeoDataFrame | None = None) -> Row:
    settings = town.settings(*overrides)
    task, first_s = _lamp_task(town, settings, in_light)
    begin_s = time.process_time()
    found = choose_lamps(task, settings)
    solve_s = time.process_time() - begin_s
    number = int((found.chosen & ~task.existing).sum())
    lit = task.lit_m(found.chosen) / float(task.cut.length_m.sum())
    return Row(
        name, number, found.value, found.bound, found.gap, first_s, solve_s, _peak_mb(),
        f"{lit:.1%} of the alleys lit, by {found.bound_by}",
    )  # fmt: skip


def _lamp_task(
    town: Town, settings: Settings, in_light: GeoDataFrame | None = None
) -> tuple[LampTask, float]:
    begin_s = time.process_time()
    sites, _ = candidate_sites(town.site, town.network, settings, layer="lamp_sites")
    ways = None if settings.lamps.weight == "plain" else ways_home(town.site, town.network, settings)
    task = lamp_task(town.site, town.network, settings, sites, ways, in_light=in_light)
    return task, time.process_time() - begin_s


def _quarter(town: Town) -> str:
    return f"lamps.n_lamps={len(town.site.layer('lamp_sites')) // 4}"


def lamps(town: Town) -> Iterator[Row]:
    yield _lamp_row(town, "lamps, a quarter of the sites", _quarter(town))


def fewest(town: Town) -> Iterator[Row]:
    yield _lamp_row(town, "fewest lamps, all lightable", "lamps.goal=fewest")


def ninety(town: Town) -> Iterator[Row]:
    yield _lamp_row(town, "fewest lamps, 90 %", "lamps.goal=fewest", "lamps.share_of_lightable=0.9")


def way_home(town: Town) -> Iterator[Row]:
    yield _lamp_row(town, "lamps, weight way-home", _quarter(town), "lamps.weight=way-home")


def curve(town: Town, quarter: str | None = None) -> Iterator[Row]:
    """The worst point of the curve, and the worst prefix of the free order against its bounds."""
    settings = town.settings(_quarter(town) if quarter is None else quarter)
    task, first_s = _lamp_task(town, settings)
    plan = choose_lamps(task, settings)
    begin_s = time.process_time()
    found = curve_of(task, settings, plan.chosen)
    curve_s = time.process_time() - begin_s
    order = free_order(task, settings, found)
    found = raised(task, found, order)
    order_s = time.process_time() - begin_s - curve_s
    gap = np.array([gap_between(*each, sense="max") for each in zip(found.worth, found.bound, strict=True)])
    worst = int(gap.argmax())
    yield Row(
        f"curve, {len(found.n_lamps)} points, the worst", int(found.n_lamps[worst]),
        float(found.worth[worst]), float(found.bound[worst]), float(gap[worst]), first_s, curve_s, _peak_mb(),
        f"to {found.n_lamps[-1]:,} lamps",
    )  # fmt: skip
    yield Row(
        "free order, the worst prefix", len(order.sites), 0.0, 0.0, order.short, 0.0, order_s, _peak_mb(),
        "short of the curve",
    )  # fmt: skip


def dense(town: Town) -> Iterator[Row]:
    """The curve of sites made every ``DENSE_M``, of which many light nearly the same."""
    layers = dict(town.site.layers)
    standing = layers["lamp_sites"]["status"].eq("existing").to_numpy(dtype=bool)
    layers["lamp_sites"] = layers["lamp_sites"][standing].reset_index(drop=True)
    settings = town.settings(f"sites.spacing_m={DENSE_M}")
    site = replace(town.site, layers=layers)
    n_made = len(usable_lamp_sites(site, town.network, settings)) - int(standing.sum())
    if n_made > MOST_DENSE:
        return
    made = replace(town, site=site, overrides=(f"sites.spacing_m={DENSE_M}",))
    for row in curve(made, _quarter(town)):
        yield replace(row, task=row.task.replace("curve", f"dense curve, {n_made:,} made"))


# --- boards ---------------------------------------------------------------------------------------


def _board_row(town: Town, name: str, *overrides: str) -> Row:
    n = len(town.site.layer("board_sites")) // 4
    settings = town.settings(f"boards.n_boards={n}", *overrides)
    begin_s = time.process_time()
    with _spent(boards, "way_walks") as first_s:
        figures = plan_boards(town.site, town.network, settings).figures
    solve_s = time.process_time() - begin_s - sum(first_s)
    served = f"{figures['share_served']:.1%} served, {figures['walk_mean_m']:.1f} m each"
    return Row(
        name, figures["n_chosen"], figures["total_walk_m"], figures["bound_household_m"], figures["gap"],
        sum(first_s), solve_s, _peak_mb(), f"{served}, by {figures['bound_by']}",
    )  # fmt: skip


def least_walk(town: Town) -> Iterator[Row]:
    yield _board_row(town, "boards, least walk")


def night(town: Town) -> Iterator[Row]:
    """Boards that must be read at night, and the lamps that light every one of them."""
    n = len(town.site.layer("board_sites")) // 4
    settings = town.settings(f"boards.n_boards={n}", "boards.lit_at_night=require")
    begin_s = time.process_time()
    shining = usable_lamp_sites(town.site, town.network, settings)
    with _spent(boards, "way_walks") as first_s:
        plan = plan_boards(town.site, town.network, settings, lamps=shining)
    solve_s = time.process_time() - begin_s - sum(first_s)
    figures = plan.figures
    yield Row(
        "boards, in sight of a lamp", figures["n_chosen"], figures["total_walk_m"],
        figures["bound_household_m"], figures["gap"], sum(first_s), solve_s, _peak_mb(),
        f"{figures['share_served']:.1%} served",
    )  # fmt: skip
    new = plan.boards[plan.boards["status"] != "existing"].reset_index(drop=True)
    yield _lamp_row(town, "lamps that light those boards", _quarter(town), in_light=new)


def rooms(town: Town) -> Iterator[Row]:
    """A quarter of the sites for all elderly, with a quarter more room than they need."""
    n = len(town.site.layer("board_sites")) // 4
    room = int(np.ceil(1.25 * float(town.site.layer("households")["elderly"].sum()) / n))
    asked = {"candidates": "board_sites", "demand": "households.elderly", "n": n, "capacity": room}
    settings = town.settings(*(f"facility.rooms.{key}={value}" for key, value in asked.items()))
    begin_s = time.process_time()
    with _spent(facility, "way_walks") as first_s:
        figures = plan_facility(town.site, town.network, settings, "rooms").figures
    solve_s = time.process_time() - begin_s - sum(first_s)
    yield Row(
        f"rooms for {room} elderly each", figures["n_chosen"], figures["total_walk"], figures["bound_walk"],
        figures["gap"], sum(first_s), solve_s, _peak_mb(),
        f"{figures['share_served']:.1%} served within {figures['limit']:g} m, by {figures['bound_by']}",
    )  # fmt: skip


# --- other tools ----------------------------------------------------------------------------------


def highs_alone(town: Town) -> Iterator[Row]:
    """The whole exact model of a quarter of the sites, given to HiGHS as it is."""
    settings = town.settings(_quarter(town))
    task, first_s = _lamp_task(town, settings)
    begin_s = time.process_time()
    rows, weight = _merged(task)
    m, k = rows.shape
    model = highspy.Highs()
    for name, value in {
        "output_flag": False,
        "threads": 1,
        "mip_rel_gap": 0.0,
        "time_limit": ALONE_S,
    }.items():
        model.setOptionValue(name, value)
    sure = task.existing | task.required
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = m + 1, k + m
    lp.col_cost_ = np.concatenate([np.zeros(k), -weight])
    lp.col_lower_ = np.concatenate([sure, np.zeros(m)]).astype(np.float64)
    lp.col_upper_ = np.concatenate([~task.barred, np.ones(m)]).astype(np.float64)
    lp.row_lower_ = np.full(m + 1, -np.inf)
    lp.row_upper_ = np.append(np.zeros(m), settings.lamps.n_lamps + int(task.existing.sum()))
    count = sparse.csr_array(np.append(np.ones(k), np.zeros(m))[None])
    matrix = sparse.csr_array(sparse.vstack([sparse.hstack([-rows, sparse.eye_array(m)]), count]))
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_ = matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32)
    lp.a_matrix_.value_ = matrix.data
    kinds = highspy.HighsVarType
    lp.integrality_ = [kinds.kInteger] * k + [kinds.kContinuous] * m
    model.passModel(lp)
    model.run()
    info = model.getInfo()
    chosen = np.array(model.getSolution().col_value[:k]) > 0.5
    value, bound = float(task.worth[covered(task.cut.covers, chosen)].sum()), -info.mip_dual_bound
    yield Row(
        "  HiGHS alone, same stretches", int((chosen & ~task.existing).sum()), value, bound,
        gap_between(value, bound, sense="max"), first_s, time.process_time() - begin_s, _peak_mb(),
        model.modelStatusToString(model.getModelStatus()),
    )  # fmt: skip


def _merged(task: LampTask) -> tuple[sparse.csr_array, np.ndarray]:
    """Stretches that the same sites cover as one row, and what it is worth."""
    seen = np.flatnonzero((np.diff(task.cut.covers.indptr) > 0) & (task.worth > 0))
    group, first = merged_rows(task.cut.covers[seen])
    rows = sparse.csr_array(task.cut.covers[seen][first], dtype=np.float64)
    return rows, np.bincount(group, task.worth[seen])


def spopt_points(town: Town) -> Iterator[Row]:
    """A quarter of the sites, chosen by spopt with HiGHS for points every metre; what they really light."""
    if find_spec("spopt") is None:
        return
    import pulp
    from spopt.locate import MCLP

    settings = town.settings(_quarter(town))
    task, first_s = _lamp_task(town, settings)
    begin_s = time.process_time()
    sees, counts = _points(town, task, settings)
    usable = np.flatnonzero(~task.barred)
    sure = (task.existing | task.required)[usable]
    model = MCLP.from_cost_matrix(
        1.0 - sees[:, usable].toarray(), counts, 0.5, settings.lamps.n_lamps + int(task.existing.sum()),
        predefined_facilities_arr=sure.astype(int) if sure.any() else None,
    ).solve(pulp.HiGHS(msg=False, gapRel=0.0, threads=1))  # fmt: skip
    chosen = np.zeros(len(task.existing), dtype=bool)
    chosen[usable[[at for at, each in enumerate(model.fac_vars) if each.value() > 0.5]]] = True
    value = float(task.worth[covered(task.cut.covers, chosen)].sum())
    claimed = float(counts[np.asarray(sees[:, chosen].sum(axis=1)).ravel() > 0].sum())
    yield Row(
        f"  spopt {version('spopt')}, points every 1 m", int((chosen & ~task.existing).sum()), value, np.nan,
        np.nan, first_s, time.process_time() - begin_s, _peak_mb(), f"it counts {claimed:,.0f} points of 1 m",
    )  # fmt: skip


def _points(town: Town, task: LampTask, settings: Settings) -> tuple[sparse.csr_array, np.ndarray]:
    """Which sites light the points every metre of the centre-lines that ask for light; 1 m each."""
    network = town.network
    asks = ~network.alleys["lit"].fillna(False).to_numpy(dtype=bool)[network.edge_alley]
    n_points = np.ceil(network.edge_length_m * asks).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(n_points)])
    step_m = network.edge_length_m / np.maximum(n_points, 1)
    lit = lit_intervals(network, task.sites, town.site.layer("buildings"), reach_m=settings.lamps.reach_m)
    low = np.ceil(lit.from_m / step_m[lit.edge] - 0.5).astype(np.int64)
    high = np.minimum(np.floor(lit.to_m / step_m[lit.edge] - 0.5).astype(np.int64) + 1, n_points[lit.edge])
    n_each = np.maximum(high - low, 0)
    at = np.arange(n_each.sum()) - np.repeat(np.cumsum(n_each) - n_each, n_each)
    point = np.repeat(first[lit.edge] + low, n_each) + at
    sees = sparse.csr_array(
        (np.ones(len(point)), (point, np.repeat(lit.site, n_each))), shape=(first[-1], len(task.existing))
    )
    return sees, np.repeat(step_m, n_points)


# --- the run --------------------------------------------------------------------------------------

TASKS: dict[str, Callable[[Town], Iterator[Row]]] = {
    "lamps": lamps,
    "fewest": fewest,
    "ninety": ninety,
    "way-home": way_home,
    "curve": curve,
    "dense": dense,
    "boards": least_walk,
    "night": night,
    "rooms": rooms,
}
BESIDE: dict[str, Callable[[Town], Iterator[Row]]] = {"small": spopt_points, "medium": highs_alone}


def measure(size: str, tasks: Sequence[str], effort: Effort, *, beside: bool) -> list[Row]:
    """Print and return the rows of one size; the smallest township is solved first, to have all compiled."""
    tools = [BESIDE[size]] if beside and size in BESIDE else []
    asked = [TASKS[each] for each in tasks]
    warm = _town("small", effort)
    for task in asked:
        list(task(warm))
    town = _town(size, effort)
    site = town.site
    n_walls = sum(len(each.exterior.coords) - 1 for each in site.layer("buildings").geometry)
    print(
        f"{size}: {town.network.edge_length_m.sum() / 1000:,.1f} km, {len(site.layer('lamp_sites')):,} lamp "
        f"sites, {n_walls:,} walls, {len(site.layer('board_sites')):,} board sites, "
        f"{int(site.layer('households')['households'].sum()):,} households",
        flush=True,
    )
    rows = []
    for task in [*asked, *tools]:
        for row in task(town):
            print(row, flush=True)
            rows.append(row)
    return rows


def _town(size: str, effort: Effort) -> Town:
    site = township(SIZES[size])
    return Town(site, build_network(site, Settings()), effort)


@contextmanager
def _spent(module: Any, name: str) -> Iterator[list[float]]:
    """CPU seconds of each call of a function of a module while the block runs."""
    spent_s: list[float] = []
    plain = getattr(module, name)

    def timed(*given: Any, **more: Any) -> Any:
        begin_s = time.process_time()
        answer = plain(*given, **more)
        spent_s.append(time.process_time() - begin_s)
        return answer

    setattr(module, name, timed)
    try:
        yield spent_s
    finally:
        setattr(module, name, plain)


def place_rows(place: str) -> list[Row]:
    """Print and return one row per part of a place, planned as a whole."""
    folder, overrides, parts = PLACES[place]
    plan_toml = folder / "plan.toml"
    settings = read_settings(plan_toml if plan_toml.exists() else None, overrides=overrides)
    site = read_site(folder, settings)
    network = build_network(site, settings)
    rows = []
    for part in parts:
        begin_s = time.process_time()
        plan = PLANNERS[part](site, network, settings)
        n, value, bound = (plan.figures[key] for key in SHOWN[part])
        cpu_s = time.process_time() - begin_s
        name = f"{place} {part}, all of it"
        found = [Row(name, n, value, bound, plan.figures["gap"], 0.0, cpu_s, _peak_mb())]
        if part == "lamps":
            points = [plan.curve[key].to_numpy() for key in ("n_lamps", "worth", "bound_worth")]
            gaps = [gap_between(*each, sense="max") for each in zip(*points[1:], strict=True)]
            worst = int(np.argmax(gaps))
            told = f"{len(plan.sites):,} sites, to {points[0][-1]:,} lamps"
            at_worst = (int(points[0][worst]), float(points[1][worst]), float(points[2][worst]), gaps[worst])
            found.append(Row("  its curve, the worst point", *at_worst, 0.0, 0.0, _peak_mb(), told))
        for row in found:
            print(row, flush=True)
        rows += found
    return rows


def main(options: Sequence[str] = ()) -> None:
    """Print a row for each task of each township, and for the places that are there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks siting")
    parser.add_argument("--sizes", type=_listed(str, among=tuple(SIZES)), default="small,medium")
    parser.add_argument("--tasks", type=_listed(str, among=tuple(TASKS)), default=",".join(TASKS))
    parser.add_argument("--places", type=_listed(str, among=tuple(PLACES)), default="")
    parser.add_argument("--effort", choices=get_args(Effort), default="normal")
    parser.add_argument("--beside", action="store_true", help="other tools as well")
    asked = parser.parse_args(options)
    tools = ", ".join(f"{each} {_version(each)}" for each in ("numpy", "numba", "highspy", "spopt"))
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {tools}")
    print(HEADING, flush=True)
    for size in asked.sizes:
        in_process(_measure, size, asked.tasks, asked.effort, asked.beside)
    for place in asked.places:
        if PLACES[place][0].exists():
            in_process(place_rows, place)


def _measure(size: str, tasks: Sequence[str], effort: Effort, beside: bool) -> list[Row]:
    return measure(size, tasks, effort, beside=beside)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main(sys.argv[1:])
