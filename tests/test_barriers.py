"""Grids and barriers: a grid lies on both sides only where an alley of its own crosses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from spatial.audit import audit_plan
from spatial.grids import plan_grids
from spatial.load import read_site_layers, write_site_layers
from spatial.network import build_network
from spatial.settings import read_settings
from tests.drawn import drawn_site, layer, spots
from tests.drawn_folder import EAST, NORTH, write_drawn_folder
from tests.tampering import set_cell

RIVER = shapely.box(-10, 20, 130, 25)  # north of it H4 to H6, who live on alley B; south of it all others
ROAD = shapely.LineString([(-10, 22), (130, 22)])


def moved(folder: Path, barrier: shapely.Geometry, *households: str) -> bool:
    """Whether a barrier through the drawn plan lies between doors of a grid once some are put into grid 2."""
    write_drawn_folder(folder)
    site = read_site_layers(folder / "site.gpkg")
    shape = shapely.transform(barrier, lambda xy: xy + np.array([EAST, NORTH]))
    barriers = layer("barriers", [shape], barrier_id=["Z1"])
    (folder / "site.gpkg").unlink()
    write_site_layers(replace(site, layers={**site.layers, "barriers": barriers}), folder / "site.gpkg")
    for each in households:
        set_cell(folder, "households", "grid_id", 2, f"household_id = '{each}'")
    return "barrier-between" in {each.code for each in audit_plan(folder)}


@pytest.mark.parametrize("barrier", [RIVER, ROAD])
def test_the_recount_names_a_grid_on_both_banks_unless_its_own_alley_crosses(
    tmp_path: Path, barrier: shapely.Geometry
) -> None:
    folders = [tmp_path / each for each in "abc"]
    for each in folders:
        each.mkdir()
    assert not moved(folders[0], barrier)
    assert not moved(folders[1], barrier, "H3")  # its ground reaches the foot of B, so B crosses inside
    assert moved(folders[2], barrier, "H1")  # B's foot is H3's, of grid 1


@pytest.mark.parametrize("bridge_at_m", [None, 0.0, 95.0])
def test_houses_on_two_banks_share_a_grid_only_by_the_bridge(bridge_at_m: float | None) -> None:
    #  20 houses on either bank, 5 m apart, a river between; grids of 10 to 20
    west_to_east = np.arange(20) * 5.0
    doors = spots(*((x, 13) for x in west_to_east), *((x, -13) for x in west_to_east))
    alleys = {"north": [(-5, 10), (100, 10)], "south": [(-5, -10), (100, -10)]}
    if bridge_at_m is not None:
        alleys["bridge"] = [(bridge_at_m, 10), (bridge_at_m, -10)]
    river = shapely.box(-50, -4, 150, 4)
    site = drawn_site(alleys, households=doors, barriers=[river])
    boundary = layer("boundary", [shapely.box(-50, -40, 150, 40)])
    site = replace(site, layers={**site.layers, "boundary": boundary})
    limits = ("grids.min_households=10", "grids.max_households=16", "grids.target_households=13")
    settings = read_settings(overrides=[*limits, "grids.n_branches=1", "grids.n_workers=1"])
    plan = plan_grids(site, build_network(site, settings), settings)
    assert plan.figures["feasible_share"] == 1
    north = plan.households.geometry.y > 0
    banks = north.groupby(plan.households["grid_id"]).nunique()
    mixed = banks[banks > 1].index
    if bridge_at_m is None:
        assert not len(mixed)
        return
    assert len(mixed) == 1  # three grids, and 20 on a bank are one and a half
    at_bridge = plan.households[(plan.households.geometry.x - bridge_at_m).abs() <= 5]
    assert set(mixed) <= set(at_bridge["grid_id"])
    for grid_id in mixed:
        doors_at_head = at_bridge[at_bridge["grid_id"] == grid_id]
        assert (doors_at_head.geometry.y > 0).nunique() == 2
