"""Grids of 30–50 households: dealt out, numbered, drawn, and grouped for branches and workers."""

from spatial.grids.planning import GridPlan, plan_grids

__all__ = ["GridPlan", "plan_grids"]
