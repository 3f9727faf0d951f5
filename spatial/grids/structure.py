"""Which branch and which worker each grid belongs to, and what could not be held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from spatial.errors import Remark, doubt, fault, note
from spatial.grids.levels import Level, Links, allowed_households, balance, slots
from spatial.grids.numbering import geographic_order, middles
from spatial.settings import Settings

__all__ = ["Nodes", "Structure", "group_grids"]

MOST_TURNS = 12  # a turn that holds every promise is the last
MOST_NODES = 500  # worked on in all turns together, so that many grids get fewer turns
MOST_SHIFTS = 20  # grids that change sides before an earlier structure is given up


@dataclass(frozen=True)
class Nodes:
    """Grids as what branches and workers are made of; K of them, L labels of ``locked_branch``."""

    links: Links
    households: NDArray[np.int64]  # (K,)
    xy: NDArray[np.float64]  # (K, 2) middle, weighted by households [m]
    locked: NDArray[np.int64]  # (K, L) households with that label
    labels: Sequence[str]  # one that is a branch's name, or its number, fixes that branch
    codes: Sequence[str]  # names of the grids in remarks


@dataclass(frozen=True)
class Structure:
    """``branch_id`` and ``worker_id`` of each grid, both from 1 on."""

    branch_id: NDArray[np.int64]
    worker_id: NDArray[np.int64]
    remarks: tuple[Remark, ...]


Sides = tuple[NDArray[np.int64], NDArray[np.int64]]  # branch and worker of each grid


@dataclass(frozen=True)
class _Try:
    """One way to group the grids.

    ``beyond`` counts the households outside what is promised: those of workers and locks, then those of
    branches. Loads of workers are people's daily work, so they come first.
    """

    branch: NDArray[np.int64]
    worker: NDArray[np.int64]
    branches: Level
    beyond: tuple[float, float]


def group_grids(nodes: Nodes, settings: Settings, *, earlier: Sides | None = None) -> Structure:
    """Branches and workers as balanced contiguous unions of grids.

    A union's households are to lie within a tenth of the mean of its level, or within the
    households of the largest grid. With ``nest_workers`` every worker stays inside one branch, and
    branches that share fewer workers aim at fewer households, as far as their own balance allows.
    Where arithmetic forbids even workers in even branches (8 in 3, from some 2,000 households on: a branch
    of two workers would leave each a third more than those of a branch of three), the workers are kept
    even and the branches follow them no farther than that needs; the branches left uneven are a fault.
    Numbers follow :func:`~spatial.grids.numbering.geographic_order`, those of nested workers branch
    by branch. What can't be held is a fault that names the nearest number of workers or branches
    for which it was. With ``earlier``, the numbers of an earlier plan (0 for a grid it did not have),
    these stand where they hold as much of the promise as any that are found; a few grids may change
    sides for that.
    """
    best = _search(nodes, settings) if earlier is None else _continue(nodes, settings, earlier)
    remarks = [*_changed(best, settings), *_bridge_notes(nodes)]
    for what, number in (("branch", best.branch), ("worker", best.worker)):
        remarks += _uneven(what, number, nodes, settings)
    if best.branches.misplaced or len(nodes.labels) > best.branch.max():
        remarks.append(_broken_locks(best.branches, nodes))
    return Structure(best.branch, best.worker, tuple(remarks))


def _search(nodes: Nodes, settings: Settings) -> _Try:
    """The first of some tries that holds every promise, else the one that misses by least.

    Where the levels are at odds, two tries that keep the workers even are enough.
    """
    n_turns = min(MOST_TURNS, max(2, MOST_NODES // len(nodes.households)))
    enough = 1 if _may_be_even(nodes, settings) else 2
    best = None
    for turn in range(n_turns):
        found = _try(nodes, settings, turn)
        if best is None or found.beyond < best.beyond:
            best = found
        of_workers, of_branches = best.beyond
        if of_workers == 0 and (of_branches == 0 or turn + 1 >= enough > 1):
            break
    assert best is not None
    return best


def _try(nodes: Nodes, settings: Settings, turn: int) -> _Try:
    n_grids, seed = len(nodes.households), (settings.work.seed, turn)
    n_branches, n_workers = _counts(nodes, settings)
    shares = slots(n_workers, n_branches)
    branches = _branches(nodes, shares, settings, seed)
    branch = _numbers(branches.union, nodes.households, nodes.xy, _fixed(nodes.labels, n_branches, settings))
    if settings.grids.nest_workers:
        worker = _nested(nodes, branches.union, branch, shares, settings, seed)
    else:
        mean, band = allowed_households(nodes.households, n_workers)
        everywhere = np.arange(n_grids)
        level = _even(nodes, everywhere, n_workers, settings, middle=mean, band=band, seed=(*seed, 2))
        worker = _numbers(level.union, nodes.households, nodes.xy, {})
    of_branches, of_workers = (float(_beyond(each, nodes.households).sum()) for each in (branch, worker))
    return _Try(branch, worker, branches, (of_workers + branches.misplaced, of_branches))


def _continue(nodes: Nodes, settings: Settings, earlier: Sides) -> _Try:
    """The earlier branches and workers where they can stand, else the best found, numbered like them."""
    sides = _joined_up(nodes, settings, *earlier)
    kept = _shifted(nodes, settings, sides) if sides is not None else None
    if kept is not None and not any(kept.beyond):
        return kept
    found = _search(nodes, settings)
    if kept is not None and kept.beyond <= found.beyond:
        return kept
    fixed = {*_fixed(nodes.labels, int(found.branch.max()), settings).values()}
    return replace(
        found,
        branch=_numbered_like(found.branch, earlier[0], nodes.households, fixed),
        worker=_numbered_like(found.worker, earlier[1], nodes.households, set()),
    )


def _joined_up(
    nodes: Nodes, settings: Settings, branch: NDArray[np.int64], worker: NDArray[np.int64]
) -> Sides | None:
    """Earlier numbers with new grids put to the lightest neighbour; None where the numbers can't stand."""
    branch, worker = branch.copy(), worker.copy()
    while not (known := (branch > 0) & (worker > 0)).all():
        load = np.bincount(worker, nodes.households)
        one, two = nodes.links.graph.nonzero()
        pairs = np.column_stack([one, two])[~known[one] & known[two]].tolist()
        if not pairs:
            return None
        each, other = min(pairs, key=lambda pair: (load[worker[pair[1]]], pair))
        branch[each], worker[each] = branch[other], worker[other]
    wanted = zip((branch, worker), _counts(nodes, settings), strict=True)
    complete = all(np.array_equal(np.unique(number), np.arange(1, n + 1)) for number, n in wanted)
    return (branch, worker) if complete and _sound(nodes, settings, branch, worker) else None


def _shifted(nodes: Nodes, settings: Settings, sides: Sides) -> _Try:
    """Grids change to a neighbour's branch and worker one by one while that holds more of the promise."""
    best = _as_try(nodes, settings, *sides)
    for _ in range(MOST_SHIFTS):
        if not any(best.beyond):
            break
        trials = []
        for one, two in zip(*nodes.links.graph.nonzero(), strict=True):
            for changed in _side_changes(best, settings, int(one), int(two)):
                trial = _as_try(nodes, settings, *changed)
                if trial.beyond < best.beyond:
                    trials.append(trial)
        trials.sort(key=lambda each: each.beyond)
        better = next((each for each in trials if _sound(nodes, settings, each.branch, each.worker)), None)
        if better is None:
            break
        best = better
    return best


def _side_changes(today: _Try, settings: Settings, one: int, two: int) -> list[Sides]:
    """Grid ``one`` on the sides of grid ``two``: with nested workers on both at once."""
    if today.worker[one] == today.worker[two] and today.branch[one] == today.branch[two]:
        return []
    branch, worker = today.branch.copy(), today.worker.copy()
    branch[one], worker[one] = branch[two], worker[two]
    if settings.grids.nest_workers:
        return [(branch, worker)]
    return [(branch, today.worker), (today.branch, worker)]


def _sound(nodes: Nodes, settings: Settings, branch: NDArray[np.int64], worker: NDArray[np.int64]) -> bool:
    """Whether each branch and worker has grids and is in one piece, nested workers inside one branch."""
    for number, n in zip((branch, worker), _counts(nodes, settings), strict=True):
        links = nodes.links.graph.tocoo()
        same = number[links.row] == number[links.col]
        inside = coo_array((links.data[same], (links.row[same], links.col[same])), shape=links.shape)
        if len(np.unique(number)) != n or connected_components(inside, directed=False)[0] != n:
            return False
    pairs = np.unique(np.column_stack([branch, worker]), axis=0)
    return not settings.grids.nest_workers or len(pairs) == len(np.unique(worker))


def _as_try(nodes: Nodes, settings: Settings, branch: NDArray[np.int64], worker: NDArray[np.int64]) -> _Try:
    """Numbers as what a search would have found."""
    n_branches = int(branch.max())
    total = np.bincount(branch - 1, nodes.households, minlength=n_branches).astype(np.int64)
    uneven = np.flatnonzero(_beyond(branch, nodes.households))
    misplaced = _misplaced(nodes, branch, _fixed(nodes.labels, n_branches, settings))
    of_branches, of_workers = (float(_beyond(each, nodes.households).sum()) for each in (branch, worker))
    level = Level(branch - 1, total, uneven, misplaced)
    return _Try(branch, worker, level, (of_workers + misplaced, of_branches))


def _misplaced(nodes: Nodes, branch: NDArray[np.int64], fixed: dict[int, int]) -> int:
    """Locked households outside the branch of their label: the one it names, else where most of it is."""
    taken: set[int] = set()
    misplaced = 0
    for at, locked in enumerate(nodes.locked.T):
        held = np.bincount(branch, locked)
        home = fixed.get(at, int(np.argmax(held)))
        misplaced += int(held.sum() - (0 if home in taken else held[home]))
        taken.add(home)
    return misplaced


def _numbered_like(
    number: NDArray[np.int64], earlier: NDArray[np.int64], households: NDArray[np.int64], fixed: set[int]
) -> NDArray[np.int64]:
    """The same unions under the numbers that most of their households had; those in ``fixed`` stay."""
    n = int(number.max())
    shared = np.zeros((n + 1, n + 1))
    known = (earlier > 0) & (earlier <= n)
    np.add.at(shared, (number[known], earlier[known]), households[known])
    for each in fixed:
        shared[each, each] = 1.0 + 2.0 * households.sum()
    union, new = linear_sum_assignment(shared[1:, 1:], maximize=True)
    out = np.zeros(n + 1, dtype=np.int64)
    out[union + 1] = new + 1
    return out[number]


def _counts(nodes: Nodes, settings: Settings) -> tuple[int, int]:
    """Branches and workers planned: each has a grid, and where workers are nested each branch a worker."""
    n_branches = min(settings.grids.n_branches, len(nodes.households))
    n_workers = min(settings.grids.n_workers, len(nodes.households))
    return n_branches, max(n_workers, n_branches) if settings.grids.nest_workers else n_workers


def _may_be_even(nodes: Nodes, settings: Settings) -> bool:
    """False where arithmetic alone forbids even branches of even workers, whatever the map.

    A branch of k workers holds k times what a worker may hold, and must lie within its own range.
    """
    if not settings.grids.nest_workers:
        return True
    n_branches, n_workers = _counts(nodes, settings)
    shares = slots(n_workers, n_branches)
    branch, branch_band = allowed_households(nodes.households, n_branches)
    worker, worker_band = allowed_households(nodes.households, n_workers)
    least = np.maximum(branch - branch_band, shares * (worker - worker_band))
    most = np.minimum(branch + branch_band, shares * (worker + worker_band))
    total = float(nodes.households.sum())
    return bool((least <= most).all() and least.sum() <= total <= most.sum())


def _branches(nodes: Nodes, shares: NDArray[np.int64], settings: Settings, seed: tuple[int, int]) -> Level:
    """Branches with the given numbers of workers."""
    n = len(shares)
    mean, band = allowed_households(nodes.households, n)
    targets, least, middle = np.full(n, mean), np.ones(n, dtype=np.int64), np.full(n, mean)
    if settings.grids.nest_workers:
        least = shares
        of_workers = nodes.households.sum() * shares / shares.sum()  # branches that make all workers even
        targets = mean + _lean(nodes, shares, settings) * (of_workers - mean)
        if not _may_be_even(nodes, settings):
            middle, band = targets, float(nodes.households.max()) / 2
    if seed[-1]:
        # Another turn tries other sizes within what is allowed, for the sake of the workers inside.
        targets = targets + np.random.default_rng((*seed, 0)).uniform(-band, band, n)
    locks = np.zeros((len(nodes.households), n), dtype=np.int64)
    kept = min(n, len(nodes.labels))
    locks[:, :kept] = nodes.locked[:, :kept]
    return balance(
        nodes.links.graph,
        nodes.households,
        nodes.xy,
        targets=targets,
        least_grids=least,
        middle=middle,
        band=band,
        locks=locks,
        effort=settings.work.effort,
        seed=(*seed, 1),
    )


def _lean(nodes: Nodes, shares: NDArray[np.int64], settings: Settings) -> float:
    """How far the sizes of branches lean from even ones, 0, to those that make all workers even, 1.

    As far as even branches allow; where both can't be had, only so far that every worker can lie within
    three quarters of what is allowed, which leaves whole grids some play.
    """
    branch, branch_band = allowed_households(nodes.households, len(shares))
    worker, worker_band = allowed_households(nodes.households, int(shares.sum()))
    if _may_be_even(nodes, settings):
        off = np.abs(worker * shares - branch).max()
        return min(1.0, 0.9 * branch_band / max(off, 1e-9))
    off = np.abs(branch / shares - worker).max()
    return 1.0 - min(1.0, 0.75 * worker_band / off)


def _even(
    nodes: Nodes,
    grids: NDArray[np.int64],
    n: int,
    settings: Settings,
    *,
    middle: float,
    band: float,
    seed: tuple[int, ...],
) -> Level:
    """``n`` even unions of ``grids``; ``middle`` ± ``band`` households are allowed."""
    own = nodes.households[grids]
    return balance(
        nodes.links.graph[grids][:, grids].tocsr(),
        own,
        nodes.xy[grids],
        targets=np.full(n, own.sum() / n),
        least_grids=np.ones(n, dtype=np.int64),
        middle=middle,
        band=band,
        effort=settings.work.effort,
        seed=seed,
    )


def _nested(
    nodes: Nodes,
    union: NDArray[np.int64],
    branch: NDArray[np.int64],
    shares: NDArray[np.int64],
    settings: Settings,
    seed: tuple[int, int],
) -> NDArray[np.int64]:
    """Workers inside each branch, numbered branch by branch."""
    middle, band = allowed_households(nodes.households, int(shares.sum()))
    worker = np.zeros(len(branch), dtype=np.int64)
    for each in range(1, int(branch.max()) + 1):
        grids = np.flatnonzero(branch == each)
        n, chance = min(int(shares[union[grids[0]]]), len(grids)), (*seed, 2, each)
        level = _even(nodes, grids, n, settings, middle=middle, band=band, seed=chance)
        numbers = _numbers(level.union, nodes.households[grids], nodes.xy[grids], {})
        worker[grids] = worker.max() + numbers
    return worker


def _numbers(
    union: NDArray[np.int64],
    households: NDArray[np.int64],
    xy: NDArray[np.float64],
    fixed: dict[int, int],
) -> NDArray[np.int64]:
    """Number from 1 on of each grid's union: as fixed, the others by geography in what is left."""
    n = int(union.max()) + 1
    order = geographic_order(middles(xy, union, households, n=n))
    free = iter(sorted(set(range(1, n + 1)) - set(fixed.values())))
    number = np.array([fixed.get(each, 0) for each in range(n)])
    for each in order:
        if number[each] == 0:
            number[each] = next(free)
    return number[union]


def _fixed(labels: Sequence[str], n_branches: int, settings: Settings) -> dict[int, int]:
    """Numbers of the unions whose label is a branch's name or number."""
    known = {str(number): number for number in range(1, n_branches + 1)}
    known |= {name: at + 1 for at, name in enumerate(settings.community.branch_names[:n_branches])}
    fixed: dict[int, int] = {}
    for at, label in enumerate(labels[:n_branches]):
        if label in known and known[label] not in fixed.values():
            fixed[at] = known[label]
    return fixed


def _changed(best: _Try, settings: Settings) -> list[Remark]:
    asked = {"n_branches": settings.grids.n_branches, "n_workers": settings.grids.n_workers}
    planned = {"n_branches": int(best.branch.max()), "n_workers": int(best.worker.max())}
    return [
        note(
            f"{name.replace('_', '-')}-changed",
            f"grids.{name} is {asked[name]}, {planned[name]} are planned: each needs a grid of its own"
            + (", and each branch a worker" if name == "n_workers" else ""),
            layer="grids",
        )
        for name in asked
        if asked[name] != planned[name]
    ]


def _bridge_notes(nodes: Nodes) -> list[Remark]:
    bridges, codes = nodes.links.bridges, nodes.codes
    if not bridges:
        return []
    shown = "; ".join(f"{codes[a]}–{codes[b]} {length_m:.0f} m" for a, b, length_m in bridges[:20])
    more = f"; and {len(bridges) - 20} more" if len(bridges) > 20 else ""
    return [
        note(
            "parts-linked",
            f"{len(bridges) + 1} parts are not connected by alleys; for branches and workers they "
            f"count as neighbours across the shortest straight lines: {shown}{more}",
            layer="grids",
        )
    ]


def _uneven(what: str, number: NDArray[np.int64], nodes: Nodes, settings: Settings) -> list[Remark]:
    """A fault for a level with a union outside its allowed range."""
    outside = np.flatnonzero(_beyond(number, nodes.households))
    if not len(outside):
        return []
    total = np.bincount(number, nodes.households)[1:]
    mean, band = allowed_households(nodes.households, len(total))
    plural = {"branch": "branches", "worker": "workers"}[what]
    shown = "; ".join(f"{what} {each + 1} has {int(total[each])}" for each in outside[:10])
    proof, ways = "", [_way_out(f"n_{plural}", len(total), nodes, settings)]
    if not _may_be_even(nodes, settings):
        n_branches, n_workers = _counts(nodes, settings)
        proof = (
            f"; {n_workers} workers can't be shared out evenly among {n_branches} even branches, and even "
            "loads of the workers come first"
        )
        if what == "branch":
            ways.insert(0, _way_out("n_workers", n_workers, nodes, settings))
    return [
        fault(
            f"{plural}-uneven",
            f"{len(outside)} of {len(total)} {plural} are more than {band:.0f} households off the mean "
            f"of {mean:.0f}: {shown}{proof}",
            layer="grids",
            column=f"{what}_id",
            ids=[str(each + 1) for each in outside],
            remedy=", or ".join(dict.fromkeys(ways)),
        )
    ]


def _way_out(name: str, n: int, nodes: Nodes, settings: Settings) -> str:
    """The nearest number of branches or workers for which that level is even.

    Where arithmetic sets the levels against each other, both have to be.
    """
    at_odds = not _may_be_even(nodes, settings)
    for other in (n - 1, n + 1, n - 2, n + 2):
        grids = settings.grids.model_copy(update={name: other})
        changed = settings.model_copy(update={"grids": grids})
        if not 1 <= other <= len(nodes.households) or not _may_be_even(nodes, changed):
            continue
        of_workers, of_branches = _search(nodes, changed).beyond
        own, opposite = (of_branches, of_workers) if name == "n_branches" else (of_workers, of_branches)
        if own == 0 and not (at_odds and opposite):
            return f"set grids.{name} = {other}"
    return f"change grids.{name}, or how many households a grid may have"


def _beyond(number: NDArray[np.int64], households: NDArray[np.int64]) -> NDArray[np.float64]:
    """Households by which each union, numbered from 1, lies outside what is allowed."""
    total = np.bincount(number, households)[1:]
    mean, band = allowed_households(households, len(total))
    beyond = np.abs(total - mean) - band
    return np.where(beyond > 1e-9, beyond, 0.0)


def _broken_locks(branches: Level, nodes: Nodes) -> Remark:
    """The labels of ``locked_branch`` that could not be honoured."""
    per_union = np.array([np.bincount(branches.union, each) for each in nodes.locked.T])
    home = per_union.argmax(axis=1)
    whole = per_union.max(axis=1) == per_union.sum(axis=1)
    alone = np.bincount(home, minlength=per_union.shape[1])[home] == 1
    broken = [label for label, kept in zip(nodes.labels, whole & alone, strict=True) if not kept]
    return doubt(
        "branch-lock-broken",
        f"{len(broken)} labels of locked_branch could not be given a branch of their own; "
        f"{branches.misplaced} locked households lie outside their branch",
        layer="households",
        column="locked_branch",
        ids=broken,
        remedy="check that locked households are connected and that their grids do not mix labels",
    )
