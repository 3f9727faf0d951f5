"""What there is to light, and from where: stretches by worth, sites by what may be done with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from scipy import sparse

from spatial.load import Site
from spatial.network import AlleyNetwork
from spatial.settings import Settings
from spatial.sight import Stretches, lit_intervals, stretches
from spatial.siting.candidates import Standing, at_most_one, standing
from spatial.siting.night import lamps_in_sight
from spatial.siting.ways import WaysHome
from spatial.siting.weights import Worth, worth_of_light
from spatial.solve import Sides, covered

__all__ = ["NOTHING_M", "LampTask", "lamp_task", "stand"]

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
    shown: Sides  # the plan's own choice, besides: a lamp in sight of whatever must be lit at night

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
    *,
    in_light: GeoDataFrame | None = None,
) -> LampTask:
    """Everything about lamps that is settled before the first is chosen.

    ``in_light`` are places each of which must have a lamp in sight.

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
    may = stand(sites, lamps.apart_m)
    seen = sparse.csr_array((0, len(sites)), dtype=bool)
    if in_light is not None:
        seen = lamps_in_sight(in_light, sites, site.layer("buildings"), settings)
    return LampTask(
        sites=sites,
        cut=cut,
        per_m=worth.of(cut),
        lit_already=network.alleys["lit"].fillna(False).to_numpy(dtype=bool)[network.edge_alley[cut.edge]],
        existing=may.existing,
        required=may.required,
        barred=may.barred,
        clashing=may.clashing,
        near=may.near,
        sides=at_most_one(may.near),
        shown=Sides.at_least(seen, np.ones(seen.shape[0])),
    )


def stand(sites: GeoDataFrame, apart_m: float) -> Standing:
    """What may be done with each lamp site; a wall whose owner said no is barred even if required."""
    refused = (sites["mount"].eq("wall") & sites["consent"].eq("no")).to_numpy(dtype=bool)
    may = standing(sites, refused, apart_m=apart_m)
    return replace(may, barred=may.barred | (refused & may.required))


def _cuts(worth: Worth) -> tuple[IntArray, FloatArray]:
    inside = worth.from_m > 0
    return worth.edge[inside], worth.from_m[inside]
