"""Which places have a lamp in sight, recounted with one sight line each."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.audit.book import Book
from spatial.audit.rays import ANY_INSIDE, SHRINK_M

__all__ = ["lamps_seen", "lit_places"]

Ints = NDArray[np.int64]


def lit_places(book: Book, places: NDArray[np.object_], lamps: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Whether some lamp stands within ``lamps.reach_m`` of each place with no building between."""
    return np.isin(np.arange(len(places)), lamps_seen(book, places, lamps)[0])


def lamps_seen(book: Book, places: NDArray[np.object_], lamps: NDArray[np.object_]) -> tuple[Ints, Ints]:
    """Each place with each lamp it has in sight: rows of both."""
    settings = book.settings.lamps
    tree = shapely.STRtree(lamps)
    place, lamp = tree.query(places, predicate="dwithin", distance=settings.reach_m)
    buildings = book.site.layer("buildings").geometry.to_numpy()
    if settings.line_of_sight and len(buildings) and place.size:
        walls = shapely.get_parts(shapely.buffer(shapely.get_parts(buildings), -SHRINK_M, join_style="mitre"))
        walls = walls[~shapely.is_empty(walls)]
        rays = shapely.linestrings(
            np.stack([shapely.get_coordinates(places[place]), shapely.get_coordinates(lamps[lamp])], axis=1)
        )
        ray, wall = shapely.STRtree(walls).query(rays, predicate="intersects")
        crosses = shapely.relate_pattern(rays[ray], walls[wall], ANY_INSIDE)
        free = ~np.isin(np.arange(place.size), ray[crosses])
        place, lamp = place[free], lamp[free]
    return place, lamp
