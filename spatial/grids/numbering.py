"""Numbers that follow the map: from north to south in bands, from west to east within a band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Names", "geographic_order", "middles", "name_grids"]


@dataclass(frozen=True)
class Names:
    """What the grids are called, in the order of their numbers; K of them."""

    grid_id: NDArray[np.int64]
    code: list[str]
    name: list[str]


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


def name_grids(prefix: str, grid_id: NDArray[np.int64], *, digits: int | None = None) -> Names:
    """The community's code and the grid's number, in two digits, or three where one is past 99.

    With ``digits`` in at least so many, whatever the largest number, as an earlier plan had them.
    """
    digits = max(2, len(str(grid_id.max()))) if digits is None else digits
    number = [f"{each:0{digits}d}" for each in grid_id.tolist()]
    return Names(grid_id, [prefix + each for each in number], [f"第{each}网格" for each in number])


def middles(
    xy: NDArray[np.float64], label: NDArray[np.int64], weight: NDArray[np.int64], *, n: int
) -> NDArray[np.float64]:
    """Weighted mean point of each label 0…n−1, shape (n, 2). [m]"""
    origin = xy.mean(axis=0)
    total = np.bincount(label, weight, minlength=n)
    sums = [np.bincount(label, weight * each, minlength=n) for each in (xy - origin).T]
    return np.column_stack(sums) / total[:, None] + origin
