"""What there is to light, and from where: stretches by worth, sites by what may be done with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from geopandas import GeoDataFrame
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from spatial.load import Site
from spatial.network import AlleyNetwork
from spatial.settings import Settings
from spatial.sight import Stretches, lit_intervals, stretches
from spatial.siting.ways import WaysHome
from spatial.siting.weights import Worth, worth_of_light
from spatial.solve import Sides, covered

__all__ = ["NOTHING_M", "LampTask", "at_most_one", "lamp_task", "too_near"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NOTHING_M = 1e-3  # a lamp that adds less adds nothing


@dataclass(frozen=True)
class LampTask:
    """Sites by status (k) and stretches by worth (m).

    ``worth`` is what the plan is to light the most of: metres, or with ``lamps.weight`` weighted metres;
    0 on alleys that are lit already.
    """

    sites: GeoDataFrame
    cut: Stretches
    per_m: FloatArray  # (m,) worth of a metre of light
    lit_already: BoolArray  # (m,)
    existing: BoolArray
    required: BoolArray
    barred: BoolArray  # never: forbidden, refused by the owner, or too near to a lamp that is sure
    clashing: BoolArray  # required, and too near to another that is sure
    near: sparse.csr_array  # (k, k) of bool: free sites that exclude each other
    sides: Sides  # what every choice keeps to

    @property
    def worth(self) -> FloatArray:
        return np.where(self.lit_already, 0.0, self.cut.length_m * self.per_m)

    @property
    def usable(self) -> BoolArray:
        return ~self.existing & ~self.barred

    @property
    def already_m(self) -> float:
        return float(self.cut.length_m[self.lit_already].sum())

    @property
    def already_worth(self) -> float:
        return float((self.cut.length_m * self.per_m)[self.lit_already].sum())

    def lit(self, shining: BoolArray) -> BoolArray:
        """Which stretches are lit when some sites shine."""
        return self.lit_already | covered(self.cut.covers, shining)

    def lit_m(self, shining: BoolArray) -> float:
        return float(self.cut.length_m[self.lit(shining)].sum())

    def lit_worth(self, shining: BoolArray) -> float:
        return self.already_worth + float(self.worth[covered(self.cut.covers, shining)].sum())

    def gains(self, lit: BoolArray) -> FloatArray:
        """Metres that each site would add to what is lit: (k,)."""
        return self.cut.covers.T @ np.where(lit, 0.0, self.cut.length_m)


def lamp_task(
    site: Site,
    network: AlleyNetwork,
    settings: Settings,
    sites: GeoDataFrame,
    ways: WaysHome | None,
) -> LampTask:
    """Everything about lamps that is settled before the first is chosen.

    Raises
    ------
    DataError
        The weight asks for what the site does not have.
    """
    lamps = settings.lamps
    worth = worth_of_light(site, network, settings, ways)
    intervals = lit_intervals(
        network, sites, site.layer("buildings"), reach_m=lamps.reach_m, line_of_sight=lamps.line_of_sight
    )
    cut = stretches(network, intervals, len(sites), cuts=_cuts(worth))
    status = sites["status"].to_numpy(dtype=object)
    refused = (sites["mount"].eq("wall") & sites["consent"].eq("no")).to_numpy(dtype=bool)
    existing, required = status == "existing", status == "required"
    near = too_near(shapely.get_coordinates(sites.geometry.to_numpy()), lamps.apart_m)
    sure = existing | required
    beside = near @ sure.astype(np.int64) > 0
    barred = (status == "forbidden") | (refused & ~existing) | (beside & ~sure)
    free = ~barred & ~sure
    near = sparse.csr_array(near.multiply(free[:, None]).multiply(free[None, :]))
    near.eliminate_zeros()
    return LampTask(
        sites=sites,
        cut=cut,
        per_m=worth.of(cut),
        lit_already=network.alleys["lit"].fillna(False).to_numpy(dtype=bool)[network.edge_alley[cut.edge]],
        existing=existing,
        required=required,
        barred=barred,
        clashing=beside & required,
        near=near,
        sides=at_most_one(near),
    )


def too_near(xy: FloatArray, apart_m: float) -> sparse.csr_array:
    """Pairs of places less than ``apart_m`` from each other: symmetric, of bool, without self."""
    n = len(xy)
    if not apart_m or not n:
        return sparse.csr_array((n, n), dtype=bool)
    points = shapely.points(xy)
    a, b = shapely.STRtree(points).query(points, predicate="dwithin", distance=apart_m)
    closer = (a != b) & (np.hypot(*(xy[a] - xy[b]).T) < apart_m)
    near = sparse.csr_array((np.ones(int(closer.sum()), dtype=bool), (a[closer], b[closer])), shape=(n, n))
    near.sort_indices()
    return near


def at_most_one(near: sparse.csr_array) -> Sides:
    """Sets of sites all of which exclude each other, so that every pair of ``near`` is in one.

    Larger sets say more to the solver than pairs do: each pair that is not yet in one is grown to a set that
    can't be grown further.
    """
    sets, sites = _cliques(near.indptr.astype(np.int64), near.indices.astype(np.int64))
    n_sets = int(sets[-1]) + 1 if len(sets) else 0
    use = sparse.csr_array((np.ones(len(sites)), (sets, sites)), shape=(n_sets, near.shape[0]))
    return Sides.at_most(use, np.ones(n_sets))


def _cuts(worth: Worth) -> tuple[IntArray, FloatArray]:
    inside = worth.from_m > 0
    return worth.edge[inside], worth.from_m[inside]


@njit(cache=True)
def _is_near(indptr: IntArray, indices: IntArray, one: int, other: int) -> bool:
    at = np.searchsorted(indices[indptr[one] : indptr[one + 1]], other) + indptr[one]
    return at < indptr[one + 1] and indices[at] == other


@njit(cache=True)
def _cliques(indptr: IntArray, indices: IntArray) -> tuple[IntArray, IntArray]:
    """Set and site, row by row, of sets grown from every pair that none before holds."""
    done = np.zeros(len(indices), np.bool_)
    sets, sites = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)]
    n_sets = 0
    for one in range(len(indptr) - 1):
        for e in range(indptr[one], indptr[one + 1]):
            if indices[e] < one or done[e]:
                continue
            members = [np.int64(one), indices[e]]
            for f in range(indptr[one], indptr[one + 1]):
                fits = True
                for each in members:
                    if indices[f] == each or not _is_near(indptr, indices, indices[f], each):
                        fits = False
                        break
                if fits:
                    members.append(indices[f])
            for each in members:
                sets.append(np.int64(n_sets))
                sites.append(each)
                low = indptr[each]
                row = indices[low : indptr[each + 1]]
                for other in members:
                    if other != each:
                        done[low + np.searchsorted(row, other)] = True
            n_sets += 1
    return np.array(sets), np.array(sites)
