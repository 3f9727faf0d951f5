"""Numbers that follow the map: from north to south in bands, from west to east within a band."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["geographic_order", "grid_codes", "middles"]


def geographic_order(xy: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of ``xy`` in the order of their numbers.

    The height of the ground is cut into bands of equal height, as many as make them about as high
    as the points stand apart: round(sqrt(n · height / width)), at least one. The northernmost band
    comes first, and within a band the westernmost point; ties go to the lower row. In the spirit
    of CJ/T 349-2010, which numbers grids from the west and the north.

    Parameters
    ----------
    xy : float64, shape (n, 2)
        Easting and northing. [m]

    Returns
    -------
    int64, shape (n,)
    """
    n = len(xy)
    width_m, height_m = np.ptp(xy, axis=0)
    n_bands = max(1, min(n, round(np.sqrt(n * height_m / width_m)))) if width_m > 0 else n
    depth = (xy[:, 1].max() - xy[:, 1]) / height_m if height_m > 0 else np.zeros(n)
    band = np.minimum((depth * n_bands).astype(np.int64), n_bands - 1)
    return np.lexsort((np.arange(n), -xy[:, 1], xy[:, 0], band))


def grid_codes(prefix: str, n_grids: int) -> list[str]:
    """The community's code and the grid's number in two digits, three past 99."""
    digits = max(2, len(str(n_grids)))
    return [f"{prefix}{number:0{digits}d}" for number in range(1, n_grids + 1)]


def middles(
    xy: NDArray[np.float64], label: NDArray[np.int64], weight: NDArray[np.int64], *, n: int
) -> NDArray[np.float64]:
    """Weighted mean point of each label 0…n−1, shape (n, 2). [m]"""
    origin = xy.mean(axis=0)
    total = np.bincount(label, weight, minlength=n)
    sums = [np.bincount(label, weight * each, minlength=n) for each in (xy - origin).T]
    return np.column_stack(sums) / total[:, None] + origin
