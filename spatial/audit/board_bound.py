"""The least total walk that any boards could have, proved anew from the prices in bounds.npz."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, RELATIVE, say
from spatial.audit.light import recount_usable
from spatial.audit.night import lit_places
from spatial.audit.walk_bound import MOST_WALKS, Choosing, least_walk, most_served
from spatial.audit.ways import cut_ways, far_from
from spatial.errors import Remark, fault
from spatial.network import doors, snap_points

__all__ = ["board_bound_faults", "proved_bounds"]

CHUNK = 64

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def board_bound_faults(book: Book, own: Mapping[str, float | None]) -> Iterator[Remark]:
    """Bounds that the plan is better than, and a bound of the walk that its prices don't prove.

    ``own`` are the bounds of :func:`proved_bounds`.
    """
    said = book.summary["boards"]
    served, at_most = said["households_served"], said["bound_served"]
    if at_most is not None and served > at_most:
        text = f"{served} households are served, the bound says at most {at_most}"
        yield fault("bound-broken", text, layer="summary", column="boards.bound_served")
    total_m, at_least_m = said["total_walk_m"], said["bound_household_m"]
    if at_least_m is None:
        return
    slack_m = LENGTH_M + RELATIVE * abs(total_m)
    if total_m < at_least_m - slack_m:
        text = f"the walks add up to {say(total_m)} m, the bound says at least {say(at_least_m)}"
        yield fault("bound-broken", text, layer="summary", column="boards.bound_household_m")
    own_m = own["bound_household_m"]
    if said["bound_by"].startswith("Lagrangian") and own_m is not None and at_least_m > own_m + slack_m:
        text = f"the summary says {say(at_least_m)}, the prices in bounds.npz prove only {say(own_m)}"
        yield fault("bound-unproven", text, layer="summary", column="boards.bound_household_m")


def proved_bounds(book: Book) -> dict[str, float | None]:
    """What the prices in bounds.npz prove of the boards, None where there are none or walks are too many.

    ``bound_household_m``: no boards that serve as many and leave no more without a way walk less than this
    in all. ``bound_served``: no boards serve more households. Distances between boards, one in each grid and
    the like are left out: that can only make the bounds weaker.
    """
    walks = {"bound_household_m"} if book.summary["boards"]["bound_household_m"] is not None else set()
    found: dict[str, float | None] = dict.fromkeys(sorted(walks | {"bound_served"}))
    n_walks = len(book.site.layer("board_sites")) * len(book.site.layer("households"))
    if "boards_served_price" not in book.bounds or n_walks > MOST_WALKS:
        return found
    settings, served = book.settings.boards, book.summary["boards"]["households_served"]
    status = book.site.layer("board_sites")["status"].to_numpy(object)
    households = book.site.layer("households")["households"].to_numpy(float)
    walk_m = _walks_m(book)
    longest_m = max(float(walk_m.max(where=np.isfinite(walk_m), initial=0.0)), settings.walk_m)
    task = Choosing(
        walk=walk_m,
        weight=households,
        limit=settings.walk_m,
        must=np.isin(status, ("existing", "required")),
        never=unusable(book),
        n=settings.n_boards + int((status == "existing").sum()),
        served=served,
    )
    served_price, left_out = book.bounds["boards_served_price"], ~_has_board(book)
    found["bound_served"] = most_served(task, served_price)
    if "boards_far_price_m" in book.bounds:
        price_m, far_m = book.bounds["boards_price_m"], float(book.bounds["boards_far_price_m"][0])
        found["bound_household_m"] = least_walk(
            task, price_m, far_m, served_price, longest=longest_m, left_out=left_out
        )
    return found


def unusable(book: Book) -> Bools:
    """Sites of site.gpkg where no board may stand: forbidden, too near to a sure one, or in the dark."""
    sites, settings = book.site.layer("board_sites"), book.settings.boards
    points = sites.geometry.to_numpy()
    sure = sites["status"].isin(["existing", "required"]).to_numpy(bool)
    beside = (shapely.distance(points[:, None], points[sure][None, :]) < settings.apart_m).any(axis=1)
    dark = np.zeros(len(sites), bool)
    if settings.lit_at_night == "require":
        lamps = book.site.layer("lamp_sites")
        may = recount_usable(book)
        dark = ~lit_places(book, points, lamps.geometry.to_numpy()[may])
    return (sites["status"] == "forbidden").to_numpy(bool) | ((beside | dark) & ~sure)


def _has_board(book: Book) -> Bools:
    """Which households of site.gpkg the plan gives a board to."""
    said = book.layers["households"].drop_duplicates("household_id").set_index("household_id")["board_id"]
    return said.reindex(book.site.layer("households")["household_id"]).notna().to_numpy(bool)


def _walks_m(book: Book) -> Floats:
    """Door to site, offsets included, shape (sites, households); infinite where there is no way. [m]"""
    network, access_m = book.network, book.settings.input.max_access_m
    sites = book.site.layer("board_sites").geometry.to_numpy()
    door = doors(book.site, network, book.settings)
    stand = snap_points(network, sites, max_access_m=access_m, barriers=book.site.layer("barriers"))
    ways = cut_ways(network, door, stand)
    near, usable = np.flatnonzero(door.edge >= 0), np.flatnonzero(stand.edge >= 0)
    walk_m = np.full((len(stand), len(door)), np.inf)
    for rows in np.split(usable, np.arange(CHUNK, usable.size, CHUNK)):
        on_ways_m = far_from(ways, ways.vertex[1][rows])[:, ways.vertex[0][near]]
        walk_m[np.ix_(rows, near)] = on_ways_m + door.offset_m[near] + stand.offset_m[rows][:, None]
    return walk_m
