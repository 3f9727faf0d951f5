"""The only package that knows a solver: covering, medians, partitions → choice, value, proven bound."""

from spatial.solve.capacity import Assigned, capacitated_median
from spatial.solve.columns import Columns
from spatial.solve.contiguous import connected_parts
from spatial.solve.cover import (
    cover_bound,
    cover_curve,
    cover_limits,
    cover_order,
    covered,
    first_in_order,
    max_cover,
    merged_rows,
    set_cover,
    within,
)
from spatial.solve.labels import Places, label_connected
from spatial.solve.median import p_median
from spatial.solve.partition import set_partition
from spatial.solve.program import solver_name
from spatial.solve.sides import Sides
from spatial.solve.solution import Solution, bounded_by, gap_between

__all__ = [
    "Assigned",
    "Columns",
    "Places",
    "Sides",
    "Solution",
    "bounded_by",
    "capacitated_median",
    "connected_parts",
    "cover_bound",
    "cover_curve",
    "cover_limits",
    "cover_order",
    "covered",
    "first_in_order",
    "gap_between",
    "label_connected",
    "max_cover",
    "merged_rows",
    "p_median",
    "set_cover",
    "set_partition",
    "solver_name",
    "within",
]
