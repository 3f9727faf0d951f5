"""Who walks to which site: first the most served within a limit, then the least walk of all.

One shape for notice boards and any other facility. A walk is the way from the door to the site, both
offsets from the centre-line and the network distance between, in metres or minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spatial.network import AlleyNetwork, Stops, walks
from spatial.settings import Effort
from spatial.solve import Sides, Solution, cover_limits, max_cover, p_median, within

__all__ = [
    "LAGRANGIAN",
    "Service",
    "Walked",
    "farthest",
    "least_walk",
    "most_served",
    "nearest_chosen",
    "ranks",
    "way_walks",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

PAIRS = 20_000_000  # of rows and sites; with more, walks end at some multiple of the limit
FAR_TIMES = 6.0
LAGRANGIAN = "Lagrangian"
LONGER = 1.1  # a walk to a site that is not preferred


@dataclass(frozen=True)
class Service:
    """Demand and the sites it may walk to."""

    weight: FloatArray  # (m,) what each row asks for
    walk: sparse.csr_array  # (m, k), zeros stored
    limit: float  # of a walk
    n: int  # new sites, required ones included
    existing: BoolArray
    required: BoolArray
    barred: BoolArray
    sides: Sides  # what every choice keeps to
    effort: Effort
    seed: int

    @property
    def fixed(self) -> BoolArray:
        return self.existing | self.required

    @property
    def unreached(self) -> float:
        """What a row counts that can reach no site: the longest walk there is."""
        return max(float(self.walk.data.max(initial=0.0)), float(np.nextafter(self.limit, np.inf)))


@dataclass(frozen=True)
class Walked:
    """Who walks where."""

    site: IntArray  # row of the nearest chosen site; −1 none can be reached
    walk: FloatArray  # NaN where none


def way_walks(
    network: AlleyNetwork, door: Stops, stops: Stops, *, limit_m: float = np.inf
) -> sparse.csr_array:
    """Walks from door to site, offsets included: (m, k) of metres, zeros stored."""
    found = walks(network, door, stops, limit_m=limit_m)
    row = np.repeat(np.arange(len(door.edge)), np.diff(found.indptr))
    walk_m = found.distance_m + door.offset_m[row] + stops.offset_m[found.indices]
    return sparse.csr_array((walk_m, found.indices, found.indptr), shape=(len(door.edge), len(stops.edge)))


def most_served(task: Service) -> Solution:
    """Step 1: the most weight within the limit."""
    return max_cover(
        within(task.walk, task.limit),
        task.weight,
        n=task.n - int(task.required.sum()),
        fixed=task.fixed,
        barred=task.barred,
        sides=task.sides,
        effort=task.effort,
        seed=task.seed,
    )


def least_walk(
    task: Service, served: Solution, *, avoid: BoolArray | None = None
) -> tuple[BoolArray, Solution | None]:
    """Step 2: the least walk of all who can reach a site, with as many served as step 1 found.

    Parameters
    ----------
    avoid : (k,) array of bool, optional
        Sites to which a walk counts a tenth more in the choice; the bound is that of the plain walk.

    Returns
    -------
    BoolArray
        The choice.
    Solution or None
        Of the plain walk, over the rows that can reach a site; None where no row can.
    """
    reached = np.flatnonzero(np.diff(task.walk.indptr))
    if not len(reached):
        return served.chosen, None
    n = task.n - int(task.required.sum())
    sure, never = cover_limits(
        within(task.walk, task.limit),
        task.weight,
        served.duals,
        n=n,
        least=served.value,
        fixed=task.fixed,
        barred=task.barred,
    )
    walk, weight = task.walk[reached], task.weight[reached]
    settled: dict[str, Any] = {
        "n": n - int((sure & ~task.fixed).sum()),
        "fixed": sure,
        "barred": never,
        "cap": task.limit,
        "least_served": served.value,
        "sides": task.sides,
        "effort": task.effort,
        "seed": task.seed,
    }
    found = p_median(walk, weight, unreached=task.unreached, start=served.chosen, **settled)
    ruled_out = int((never & ~task.barred).sum() + (sure & ~task.fixed).sum())
    if ruled_out and found.bound_by == LAGRANGIAN:
        found = replace(found, bound_by=f"{LAGRANGIAN}, {ruled_out} sites settled by those served")
    if avoid is None:
        return found.chosen, found
    longer, far = _longer(walk, avoid, task.limit), task.unreached * LONGER
    return p_median(longer, weight, unreached=far, start=found.chosen, **settled).chosen, found


def _longer(walk: sparse.csr_array, avoid: BoolArray, limit: float) -> sparse.csr_array:
    """Walks to sites to be avoided a tenth longer; who was within the limit stays within."""
    longer = np.where(avoid[walk.indices], walk.data * LONGER, walk.data)
    longer = np.where(walk.data <= limit, np.minimum(longer, limit), longer)
    return sparse.csr_array((longer, walk.indices, walk.indptr), shape=walk.shape)


def farthest(n_rows: int, n_sites: int, limit: float) -> float:
    """How long walks are looked at: without end, or with too many pairs so many times the limit."""
    return FAR_TIMES * limit if n_rows * n_sites > PAIRS else np.inf


def nearest_chosen(
    task: Service, network: AlleyNetwork, door: Stops, stops: Stops, sites: IntArray
) -> Walked:
    """The nearest chosen site of each row; walks beyond those at hand only for rows that have no other."""
    at = nearest(task.walk[:, sites], sites)
    far = np.flatnonzero((at.site < 0) & (door.edge >= 0))
    if not len(far):
        return at
    farther = nearest(way_walks(network, door.take(far), stops.take(sites)), sites)
    site, walk = at.site.copy(), at.walk.copy()
    site[far], walk[far] = farther.site, farther.walk
    return Walked(site, walk)


def nearest(walk: sparse.csr_array, sites: IntArray) -> Walked:
    """The nearest of the sites in the columns of ``walk`` for each row, of equally near ones the first."""
    row = np.repeat(np.arange(walk.shape[0]), np.diff(walk.indptr))
    order = np.lexsort((walk.indices, walk.data, row))
    reached, first = np.unique(row[order], return_index=True)
    site = np.full(walk.shape[0], -1, dtype=np.int64)
    found = np.full(walk.shape[0], np.nan)
    site[reached] = sites[walk.indices[order][first]]
    found[reached] = walk.data[order][first]
    return Walked(site, found)


def ranks(task: Service, chosen: BoolArray) -> IntArray:
    """Order of installation of the new sites: the one that saves the most walking goes next; 0 none."""
    longest = float(task.walk.data.max(initial=0.0))
    rank = np.zeros(len(chosen), dtype=np.int64)
    by_site = task.walk.tocsc()
    walk = np.full(len(task.weight), longest)

    def shorter(site: int) -> tuple[IntArray, FloatArray]:
        span = slice(by_site.indptr[site], by_site.indptr[site + 1])
        rows = by_site.indices[span]
        return rows, np.minimum(walk[rows], by_site.data[span])

    for site in np.flatnonzero(chosen & task.existing).tolist():
        rows, less = shorter(site)
        walk[rows] = less

    def saves(site: int) -> float:
        rows, less = shorter(site)
        return float(task.weight[rows] @ (walk[rows] - less))

    # What a site saves only falls, so the top of a heap that still saves as much is the best of all.
    heap = [(-saves(site), site) for site in np.flatnonzero(chosen & ~task.existing).tolist()]
    heapify(heap)
    while heap:
        site = heappop(heap)[1]
        now = (-saves(site), site)
        if heap and heap[0] < now:
            heappush(heap, now)
            continue
        rows, less = shorter(site)
        walk[rows] = less
        rank[site] = rank.max() + 1
    return rank
