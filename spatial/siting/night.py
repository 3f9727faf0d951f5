"""Boards that can be read at night: which lamp sites have a board in sight."""

from __future__ import annotations

import numpy as np
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from scipy import sparse

from spatial.settings import Settings
from spatial.sight import SHRINK_M

__all__ = ["lamps_in_sight"]


def lamps_in_sight(
    boards: GeoDataFrame, lamps: GeoDataFrame, buildings: GeoDataFrame, settings: Settings
) -> sparse.csr_array:
    """Which lamp sites stand within ``lamps.reach_m`` of a board in a straight line that meets no building.

    Returns
    -------
    csr_array of bool, shape (boards, lamp sites)
        Buildings are shrunk by 1 mm, as for alleys; without ``lamps.line_of_sight`` the distance decides.
    """
    at_board, at_lamp = boards.geometry.to_numpy(), lamps.geometry.to_numpy()
    board, lamp = shapely.STRtree(at_lamp).query(
        at_board, predicate="dwithin", distance=settings.lamps.reach_m
    )
    if settings.lamps.line_of_sight and len(buildings) and len(board):
        shrunk = shapely.buffer(buildings.geometry.to_numpy(), -SHRINK_M, join_style="mitre")
        ends = np.stack([_xy(at_board[board]), _xy(at_lamp[lamp])], axis=1)
        blocked = shapely.STRtree(shrunk).query(shapely.linestrings(ends), predicate="intersects")[0]
        sees = ~np.isin(np.arange(len(board)), blocked)
        board, lamp = board[sees], lamp[sees]
    seen = sparse.csr_array(
        (np.ones(len(board), dtype=bool), (board, lamp)), shape=(len(at_board), len(at_lamp))
    )
    seen.sort_indices()
    return seen


def _xy(points: NDArray[np.object_]) -> NDArray[np.float64]:
    return shapely.get_coordinates(points)
