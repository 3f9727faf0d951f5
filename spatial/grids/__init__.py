"""Grids of 30–50 households: dealt out, numbered, drawn, and grouped for branches and workers."""

from spatial.grids.keepers import keeping_grids
from spatial.grids.planning import GridPlan, check_grids, plan_grids

__all__ = ["GridPlan", "check_grids", "keeping_grids", "plan_grids"]
