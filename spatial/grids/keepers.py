"""Which grid keeps which alley: sweeps it, reports a lamp that is out, calls when a drain is blocked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from geopandas import GeoDataFrame
from pandas import DataFrame

from spatial.adjacency import voronoi_cells
from spatial.grids.planning import GridPlan
from spatial.load import Site
from spatial.network import AlleyNetwork, doors
from spatial.settings import Settings

__all__ = ["keeping_grids"]


def keeping_grids(
    alleys: GeoDataFrame, plan: GridPlan, site: Site, network: AlleyNetwork, settings: Settings
) -> pd.Series:
    """The grid that keeps each alley: the ordinary one whose doors most of its length is nearest to.

    Nearest along the network, of equal lengths the lower grid; none where no door can be reached. An alley
    that lies for more than half of its length on the ground of an exclusive grid is that grid's.

    Parameters
    ----------
    alleys : GeoDataFrame, n rows
        The alleys of ``network`` in its order.

    Returns
    -------
    Series of Int64, n rows
    """
    ordinary = plan.grids["grid_id"][plan.grids["kind"] == "ordinary"]
    of_household = plan.households.drop_duplicates("household_id").set_index("household_id")["grid_id"]
    of_household = of_household[of_household.isin(ordinary)]
    households = site.layer("households")
    households = households[households["household_id"].isin(of_household.index)].reset_index(drop=True)
    others = replace(site, layers={**site.layers, "households": households})
    cells = voronoi_cells(network, doors(others, network, settings))
    near = np.flatnonzero(cells.row >= 0)
    share = DataFrame(
        {
            "alley_id": network.alleys["alley_id"].to_numpy()[network.edge_alley[cells.edge[near]]],
            "grid_id": of_household[households["household_id"].to_numpy()[cells.row[near]]].to_numpy(),
            "metres": (cells.to_m - cells.from_m)[near],
        }
    )
    longest = (
        share.groupby(["alley_id", "grid_id"], as_index=False)["metres"].sum()
        .sort_values(["alley_id", "metres", "grid_id"], ascending=[True, False, True])
        .drop_duplicates("alley_id").set_index("alley_id")["grid_id"]
    )  # fmt: skip
    keeper = alleys["alley_id"].map(longest).astype("Int64")
    exclusive = plan.grids[plan.grids["kind"] == "exclusive"]
    for grid_id, ground in zip(exclusive["grid_id"], exclusive.geometry, strict=True):
        keeper = keeper.mask(alleys.intersection(ground).length > alleys.length / 2, grid_id)
    return keeper
