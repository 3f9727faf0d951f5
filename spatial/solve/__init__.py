"""The only package that knows a solver: covering, medians, partitions → choice, value, proven bound."""

from spatial.solve.cover import cover_bound, covered, max_cover, set_cover
from spatial.solve.median import p_median
from spatial.solve.partition import set_partition
from spatial.solve.solution import Solution

__all__ = ["Solution", "cover_bound", "covered", "max_cover", "p_median", "set_cover", "set_partition"]
