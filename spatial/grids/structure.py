"""Which branch and which worker each grid belongs to, and what could not be held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spatial.errors import Remark, doubt, fault, note
from spatial.grids.levels import Level, Links, allowed_households, balance, slots
from spatial.grids.numbering import geographic_order, middles
from spatial.settings import Settings

__all__ = ["Structure", "group_grids"]

N_TURNS = 8  # at most; a turn that holds every promise is the last


@dataclass(frozen=True)
class Structure:
    """``branch_id`` and ``worker_id`` of each grid, both from 1 on."""

    branch_id: NDArray[np.int64]
    worker_id: NDArray[np.int64]
    remarks: tuple[Remark, ...]


def group_grids(
    links: Links,
    households: NDArray[np.int64],
    xy: NDArray[np.float64],
    locked: NDArray[np.int64],
    labels: Sequence[str],
    codes: Sequence[str],
    settings: Settings,
) -> Structure:
    """Branches and workers as balanced contiguous unions of grids.

    A union's households are to lie within a tenth of the mean of its level, or within the
    households of the largest grid. With ``nest_workers`` every worker stays inside one branch, and
    branches that share fewer workers aim at fewer households, as far as their own balance allows.

    Parameters
    ----------
    links : Links
        Which grids neighbour each other.
    households, xy : shapes (K,) and (K, 2)
        Households and middle of each grid.
    locked : int64, shape (K, L)
        Households of each grid with ``locked_branch`` l.
    labels : sequence of str, length L
        The labels. One that is a branch's name, or its number, fixes that branch.
    codes : sequence of str, length K
        Names for the remarks.
    """
    n_grids = len(households)
    n_branches = min(settings.grids.n_branches, n_grids)
    n_workers = min(settings.grids.n_workers, n_grids)
    if settings.grids.nest_workers:
        n_workers = max(n_workers, n_branches)
    tries = []
    for turn in range(N_TURNS):
        seed = (settings.work.seed, turn)
        branches = _branches(links.graph, households, xy, locked, n_branches, n_workers, settings, seed)
        branch = _numbers(branches.union, households, xy, _fixed(labels, n_branches, settings))
        if settings.grids.nest_workers:
            shares = slots(n_workers, n_branches)
            worker = _nested(links.graph, households, xy, branches.union, branch, shares, settings, seed)
        else:
            level = _level(links.graph, households, xy, n_workers, settings, seed=(*seed, 2))
            worker = _numbers(level.union, households, xy, {})
        beyond = branches.misplaced + _beyond(branch, households).sum() + _beyond(worker, households).sum()
        tries.append((beyond, turn, branches, branch, worker))
        if beyond == 0:
            break
    _, _, branches, branch, worker = min(tries, key=lambda each: each[:2])
    remarks = [*_changed(n_branches, int(worker.max()), settings), *_bridge_notes(links, codes)]
    remarks += _uneven("branch", branch, households)
    remarks += _uneven("worker", worker, households)
    if branches.misplaced or locked.shape[1] > n_branches:
        remarks.append(_broken_locks(branches.misplaced, locked, branches.union, labels))
    return Structure(branch, worker, tuple(remarks))


def _branches(
    graph: csr_array,
    households: NDArray[np.int64],
    xy: NDArray[np.float64],
    locked: NDArray[np.int64],
    n_branches: int,
    n_workers: int,
    settings: Settings,
    seed: tuple[int, ...],
) -> Level:
    mean, band = allowed_households(households, n_branches)
    targets, least = np.full(n_branches, mean), np.ones(n_branches, dtype=np.int64)
    if settings.grids.nest_workers:
        least = slots(n_workers, n_branches)
        wish = households.sum() * least / n_workers - mean
        targets = mean + wish * min(1.0, 0.9 * band / max(np.abs(wish).max(), 1e-9))
    locks = np.zeros((len(households), n_branches), dtype=np.int64)
    kept = min(n_branches, locked.shape[1])
    locks[:, :kept] = locked[:, :kept]
    return balance(
        graph,
        households,
        xy,
        targets=targets,
        least_grids=least,
        middle=mean,
        band=band,
        locks=locks,
        effort=settings.work.effort,
        seed=(*seed, 1),
    )


def _level(
    graph: csr_array,
    households: NDArray[np.int64],
    xy: NDArray[np.float64],
    n: int,
    settings: Settings,
    *,
    seed: tuple[int, ...],
    middle: float | None = None,
    band: float | None = None,
) -> Level:
    """``n`` even unions; ``middle`` and ``band`` default to the mean and what is allowed round it."""
    mean, allowed = allowed_households(households, n)
    return balance(
        graph,
        households,
        xy,
        targets=np.full(n, mean),
        least_grids=np.ones(n, dtype=np.int64),
        middle=mean if middle is None else middle,
        band=allowed if band is None else band,
        effort=settings.work.effort,
        seed=seed,
    )


def _nested(
    graph: csr_array,
    households: NDArray[np.int64],
    xy: NDArray[np.float64],
    union: NDArray[np.int64],
    branch: NDArray[np.int64],
    shares: NDArray[np.int64],
    settings: Settings,
    seed: tuple[int, ...],
) -> NDArray[np.int64]:
    """Workers inside each branch, numbered branch by branch."""
    middle, band = allowed_households(households, int(shares.sum()))
    worker = np.zeros(len(branch), dtype=np.int64)
    for each in range(1, int(branch.max()) + 1):
        grids = np.flatnonzero(branch == each)
        n = min(int(shares[union[grids[0]]]), len(grids))
        inside = graph[grids][:, grids].tocsr()
        own, at, chance = households[grids], xy[grids], (*seed, 2, each)
        level = _level(inside, own, at, n, settings, seed=chance, middle=middle, band=band)
        worker[grids] = worker.max() + _numbers(level.union, own, at, {})
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


def _changed(n_branches: int, n_workers: int, settings: Settings) -> list[Remark]:
    asked = {"n_branches": settings.grids.n_branches, "n_workers": settings.grids.n_workers}
    planned = {"n_branches": n_branches, "n_workers": n_workers}
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


def _bridge_notes(links: Links, codes: Sequence[str]) -> list[Remark]:
    if not links.bridges:
        return []
    shown = "; ".join(f"{codes[a]}–{codes[b]} {length_m:.0f} m" for a, b, length_m in links.bridges[:20])
    more = f"; and {len(links.bridges) - 20} more" if len(links.bridges) > 20 else ""
    return [
        note(
            "parts-linked",
            f"{len(links.bridges) + 1} parts are not connected by alleys; for branches and workers they "
            f"count as neighbours across the shortest straight lines: {shown}{more}",
            layer="grids",
        )
    ]


def _uneven(what: str, number: NDArray[np.int64], households: NDArray[np.int64]) -> list[Remark]:
    """A fault for each level with a union outside its allowed range."""
    total = np.bincount(number, households)[1:]
    mean, band = allowed_households(households, len(total))
    outside = np.flatnonzero(_beyond(number, households))
    if not len(outside):
        return []
    plural = {"branch": "branches", "worker": "workers"}[what]
    shown = "; ".join(f"{what} {each + 1} has {int(total[each])}" for each in outside[:10])
    return [
        fault(
            f"{plural}-uneven",
            f"{len(outside)} of {len(total)} {plural} are farther than {band:.0f} households from the mean "
            f"of {mean:.0f}: {shown}",
            layer="grids",
            column=f"{what}_id",
            ids=[str(each + 1) for each in outside],
            remedy=f"change grids.n_{plural}"
            + (", or set grids.nest_workers = false" if what == "worker" else ""),
        )
    ]


def _beyond(number: NDArray[np.int64], households: NDArray[np.int64]) -> NDArray[np.float64]:
    """Households by which each union, numbered from 1, lies outside what is allowed."""
    total = np.bincount(number, households)[1:]
    mean, band = allowed_households(households, len(total))
    beyond = np.abs(total - mean) - band
    return np.where(beyond > 1e-9, beyond, 0.0)


def _broken_locks(
    misplaced: int, locked: NDArray[np.int64], union: NDArray[np.int64], labels: Sequence[str]
) -> Remark:
    """The labels of ``locked_branch`` that could not be honoured."""
    at = np.array([np.bincount(union, locked[:, each]).argmax() for each in range(len(labels))])
    whole = [locked[union == at[each], each].sum() == locked[:, each].sum() for each in range(len(labels))]
    alone = np.bincount(at, minlength=union.max() + 1)[at] == 1
    broken = [
        label
        for label, is_whole, is_alone in zip(labels, whole, alone, strict=True)
        if not (is_whole and is_alone)
    ]
    return doubt(
        "branch-lock-broken",
        f"{len(broken)} labels of locked_branch could not be given a branch of their own; "
        f"{misplaced} locked households lie outside their branch",
        layer="households",
        column="locked_branch",
        ids=broken,
        remedy="check that locked households are connected and that their grids do not mix labels",
    )
