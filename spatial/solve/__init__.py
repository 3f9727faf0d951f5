"""The only package that knows a solver: covering, medians, partitions → choice, value, proven bound."""

from spatial.solve.partition import set_partition
from spatial.solve.solution import Solution

__all__ = ["Solution", "set_partition"]
