"""What the light means to people, recounted: ways home, doors, dark alleys, grids and village groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.audit.book import Book
from spatial.audit.compare import LENGTH_M, SHARE, column_differs, figures_differ, rows_that, say
from spatial.audit.home import HERE_M, lit_ways
from spatial.audit.light import Light
from spatial.audit.rays import Pieces, cut_pieces
from spatial.audit.ways import cut_ways, ground_of
from spatial.errors import Remark, fault
from spatial.network import Stops, doors

__all__ = ["alley_light_faults", "lighting_faults", "share_faults"]

LEAST_M = 0.01  # a site that would light less of an alley does not light it

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def lighting_faults(book: Book, light: Light) -> Iterator[Remark]:
    """Figures of the summary on the way home, the doors and the longest dark run."""
    said = book.summary["lamps"]
    lamps, alleys = book.layers["lamps"], book.network.alleys
    with_lamp = alleys["alley_id"].isin(lamps["alley_id"]) | alleys["lit"].fillna(False)
    own: dict[str, Any] = {"share_alleys_with_lamp": float(with_lamp.mean()), "dark_run_m": _dark_run(book)}
    ranges: dict[str, tuple[float, float]] = {}
    if "households" in book.layers:
        own |= _way_means(book)
        ranges |= _ways_before(book, light)
        ranges["share_doors_lit"] = _doors_lit(book, light, light.shining)
        ranges["share_doors_lit_before"] = _doors_lit(book, light, light.existing)
    yield from figures_differ("lamps", said, own)
    for name, (least, most) in ranges.items():
        value = np.nan if said.get(name) is None else float(said[name])
        if not (np.isnan(value) and np.isnan(least)) and not least - SHARE <= value <= most + SHARE:
            text = f"the summary says {say(said.get(name))}, recounted {say(least)} to {say(most)}"
            yield fault("figure-differs", text, layer="summary", column=f"lamps.{name}")
    named = book.layers["stretches"]
    run = named[~named["lit"].to_numpy(bool) & (named["alley_id"] == said.get("dark_run_alley_id"))]
    here = run[(run["from_m"] - (said.get("dark_run_from_m") or 0.0)).abs() <= LENGTH_M]
    if own["dark_run_m"] and not (here["length_m"] >= own["dark_run_m"] - LENGTH_M).any():
        text = "no dark run of that length begins there"
        yield fault("figure-differs", text, layer="summary", column="lamps.dark_run_alley_id")


def _dark_run(book: Book) -> float:
    """The longest run of dark stretches that follow each other along one alley. [m]"""
    rows = book.layers["stretches"].sort_values(["alley_id", "from_m"])
    to_m = (rows["from_m"] + rows["length_m"]).to_numpy(float)
    dark = ~rows["lit"].to_numpy(bool)
    goes_on = np.zeros(len(rows), bool)
    goes_on[1:] = rows["alley_id"].to_numpy()[1:] == rows["alley_id"].to_numpy()[:-1]
    goes_on[1:] &= (np.abs(rows["from_m"].to_numpy(float)[1:] - to_m[:-1]) <= 1e-6) & dark[1:] & dark[:-1]
    run = np.cumsum(~goes_on) - 1
    return float(np.bincount(run, rows["length_m"].to_numpy(float) * dark, minlength=1).max())


def _way_means(book: Book) -> dict[str, float | None]:
    """Means of the shares that the households' rows give, which are recounted one by one elsewhere."""
    rows = book.layers["households"].drop_duplicates("household_id").set_index("household_id")
    site = book.site.layer("households")
    share = rows["share_way_lit"].reindex(site["household_id"]).to_numpy(float, na_value=np.nan)
    weight = site["households"].to_numpy(float)
    elderly = site["elderly"].fillna(0).to_numpy(float)
    return {
        "way_lit_mean": _mean(share, weight),
        "way_lit_worst_tenth": _mean(*_worst_tenth(share, weight)),
        "way_lit_elderly": _mean(share, elderly),
    }


def _mean(share: Floats, weight: Floats) -> float | None:
    weight = np.where(np.isnan(share), 0.0, weight)
    return float(np.nansum(share * weight) / weight.sum()) if weight.sum() else None


def _worst_tenth(share: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """The shares of the tenth that has least, each with as much weight as counts."""
    known = ~np.isnan(share) & (weight > 0)
    order = np.argsort(share[known])
    share, weight = share[known][order], weight[known][order]
    upto = np.minimum(np.cumsum(weight), 0.1 * weight.sum())
    return share, np.diff(upto, prepend=0.0)


def _ways_before(book: Book, light: Light) -> dict[str, tuple[float, float]]:
    """Mean shares under the lamps that stand today, of all and of the worst tenth, at least and at most."""
    weight = book.site.layer("households")["households"].to_numpy(float)
    way_m, least_m, most_m = lit_ways(book, light, light.existing)
    far = way_m > HERE_M
    least, most = (np.full(way_m.size, np.nan) for _ in range(2))
    least[far], most[far] = least_m[far] / way_m[far], most_m[far] / way_m[far]
    least[way_m <= HERE_M], most[way_m <= HERE_M] = 0.0, 1.0
    bounds = np.minimum(least, 1.0), np.minimum(most, 1.0)
    return {
        "way_lit_mean_before": _range(_mean(each, weight) for each in bounds),
        "way_lit_worst_tenth_before": _range(_mean(*_worst_tenth(each, weight)) for each in bounds),
    }


def _range(ends: Iterable[float | None]) -> tuple[float, float]:
    least, most = (np.nan if each is None else each for each in ends)
    return least, most


def _doors_lit(book: Book, light: Light, shining: Bools) -> tuple[float, float]:
    """The share of households whose door's place on the centre-line is lit within a centimetre."""
    weight = book.site.layer("households")["households"].to_numpy(float)
    door = doors(book.site, book.network, book.settings)
    on = np.flatnonzero(door.edge >= 0)
    found = [float(weight[on] @ _lit_near(light, shining, door, on, near_m)) for near_m in (0.009, 0.011)]
    return found[0] / float(weight.sum()), found[1] / float(weight.sum())


def _lit_near(light: Light, shining: Bools, door: Stops, on: Ints, near_m: float) -> Bools:
    """Whether some light falls within a distance of each door along its edge."""
    edge, along_m = door.edge[on], door.along_m[on]
    from_m, to_m = np.maximum(along_m - near_m, 0.0), np.minimum(along_m + near_m, light.length_m[edge])
    return light.lit_within(shining, edge, from_m, to_m) > 0


# --- alleys ---------------------------------------------------------------------------------------------


def alley_light_faults(book: Book, light: Light) -> Iterator[Remark]:
    """Alleys whose place among the darkest, or whose reason for no new lamp, is not as recounted."""
    network, alleys, lamps = book.network, book.layers["alleys"], book.layers["lamps"]
    ids = alleys["alley_id"]
    row = pd.Index(network.alleys["alley_id"]).get_indexer(ids)
    if (row < 0).any():
        return
    dark_m = (alleys["length_m"] - alleys["lit_m"]).to_numpy(float)
    rank = alleys["dark_rank"].to_numpy(float, na_value=np.nan)
    yield from rows_that(
        np.isnan(rank) != (dark_m < LEAST_M),
        ids,
        "figure-differs",
        "are dark without a rank, or lit with one",
        at="alleys.dark_rank",
    )
    ranked = np.flatnonzero(~np.isnan(rank))
    ranked = ranked[np.argsort(rank[ranked])]
    unlike = np.zeros(len(ids), bool)
    unlike[ranked] = rank[ranked] != np.arange(1, ranked.size + 1)
    unlike[ranked[1:]] |= np.diff(dark_m[ranked]) > LENGTH_M
    yield from rows_that(
        unlike, ids, "figure-differs", "have another rank by darkness", at="alleys.dark_rank"
    )
    new = ids.isin(lamps.loc[lamps["status"] != "existing", "alley_id"]).to_numpy(bool)
    yield from _reason_faults(book, light, row, dark_m, new)


def _reason_faults(book: Book, light: Light, row: Ints, dark_m: Floats, new: Bools) -> Iterator[Remark]:
    alleys, sites = book.layers["alleys"], book.site.layer("lamp_sites")
    ids, k = alleys["alley_id"], light.shining.size
    pieces = cut_pieces(light.spans, light.length_m)
    dark = np.bincount(pieces.piece[light.shining[pieces.lamp]], minlength=pieces.line.size) == 0
    dark &= ~light.lit_already[pieces.line]
    could = dark[pieces.piece]
    adds_m = np.bincount(pieces.lamp[could], pieces.length_m[pieces.piece[could]], minlength=k)
    pair, usable, away_m = _pairs(book, light, pieces, could)
    nearest_m = np.full((2, light.n_alleys), np.inf)  # of usable sites, of barred ones
    np.minimum.at(nearest_m, ((~usable).astype(int), pair[:, 0]), away_m)
    kind = np.where(np.isfinite(nearest_m[0]), 0, np.where(np.isfinite(nearest_m[1]), 1, 2))[row]
    own = np.array(["gains-less", "site-barred", "no-site"], dtype=object)[kind]
    own[dark_m < LEAST_M] = "lit"
    own[new] = None
    yield from column_differs("alleys.unchosen_why", ids, alleys["unchosen_why"], own, text=True)
    named = pd.Index(sites["site_id"]).get_indexer(alleys["unchosen_site_id"])
    expected = ~new & (dark_m >= LEAST_M) & (kind < 2)
    key = pair[:, 0] * k + pair[:, 1]
    order = np.argsort(key)
    key, away_m = key[order], away_m[order]
    mine = row * k + named
    at = np.minimum(np.searchsorted(key, mine), max(key.size - 1, 0))
    known = (named >= 0) & (key[at] == mine) if key.size else np.zeros(len(ids), bool)
    least_m = np.where(kind < 2, nearest_m[np.minimum(kind, 1), row], np.inf)
    right = known & (away_m[at] <= least_m + LENGTH_M) if key.size else known
    yield from rows_that(
        expected & ~right,
        ids,
        "figure-differs",
        "name another site than the nearest that could light them",
        at="alleys.unchosen_site_id",
    )
    gain_m = np.where(expected, adds_m[np.maximum(named, 0)], np.nan)
    yield from column_differs("alleys.unchosen_gain_m", ids, alleys["unchosen_gain_m"], gain_m)


def _pairs(book: Book, light: Light, pieces: Pieces, could: Bools) -> tuple[NDArray[Any], Bools, Floats]:
    """Alley and unchosen site that would light some of its dark: (p, 2), usable or not, metres between."""
    k = light.shining.size
    alley = light.alley[pieces.line[pieces.piece[could]]]
    key, which = np.unique(alley * k + pieces.lamp[could], return_inverse=True)
    lit_m = np.bincount(which.ravel(), pieces.length_m[pieces.piece[could]], minlength=key.size)
    key = key[lit_m >= LEAST_M]
    pair = np.column_stack([key // max(k, 1), key % max(k, 1)])
    points = book.site.layer("lamp_sites").geometry.to_numpy()
    lines = book.network.alleys.geometry.to_numpy()
    return pair, light.usable[pair[:, 1]], shapely.distance(points[pair[:, 1]], lines[pair[:, 0]])


# --- grids and village groups ---------------------------------------------------------------------------


def share_faults(book: Book, light: Light) -> Iterator[Remark]:
    """Light by grid and village group: each one's alleys are those nearest to its doors."""
    said = book.layers["light_shares"]
    households = book.layers["households"].drop_duplicates("household_id").set_index("household_id")
    households = households.reindex(book.site.layer("households")["household_id"])
    keys = {"group": households["group"].astype(object)}
    if "grids" in book.layers:
        keys["grid"] = households["grid_id"].map(lambda each: None if pd.isna(each) else str(int(each)))
    for by, key in keys.items():
        yield from _shares_differ(book, light, said[said["by"] == by], key, households, by=by)
    if not set(said["by"]) <= set(keys):
        yield fault("rows-differ", "rows by something else than grid or group", layer="light_shares")


def _shares_differ(
    book: Book, light: Light, said: pd.DataFrame, key: pd.Series, households: pd.DataFrame, *, by: str
) -> Iterator[Remark]:
    names = sorted(key.dropna().unique())
    if sorted(said["id"]) != names:
        text = f"the rows by {by} are not those that households name"
        yield fault("rows-differ", text, layer="light_shares", column="id")
        return
    said = said.set_index("id").loc[names]
    label = pd.Index([*names, None]).get_indexer(key.where(key.notna(), None)).astype(np.int64)
    label[label < 0] = len(names)
    alone_m, shared_m = _metres(book, light, label, len(names) + 1)
    weight = book.site.layer("households")["households"].to_numpy(float)
    ids = [f"{by} {each}" for each in names]
    count = np.bincount(label, weight, minlength=len(names) + 1)[:-1]
    yield from column_differs("light_shares.households", ids, said["households"], count)
    for column, least_m, most_m in (
        ("alley_m", alone_m.sum(axis=0), shared_m.sum(axis=0)),
        ("lit_m", alone_m[1], shared_m[1]),
    ):
        value_m = said[column].to_numpy(float)
        wrong = ~((value_m >= least_m[:-1] - 10 * LENGTH_M) & (value_m <= most_m[:-1] + 10 * LENGTH_M))
        text = "have other metres than recounted"
        yield from rows_that(wrong, ids, "figure-differs", text, at=f"light_shares.{column}")
    share = np.divide(
        said["lit_m"], said["alley_m"], out=np.full(len(ids), np.nan), where=said["alley_m"].to_numpy() > 0
    )
    yield from column_differs("light_shares.share_lit", ids, said["share_lit"], share)
    way = households["share_way_lit"].to_numpy(float, na_value=np.nan)
    means = [_mean(way[label == each], weight[label == each]) for each in range(len(names))]
    yield from column_differs("light_shares.way_lit_mean", ids, said["way_lit_mean"], means)


def _metres(book: Book, light: Light, label: Ints, n_labels: int) -> tuple[Floats, Floats]:
    """Dark and lit metres of each label's ground, its alone and its or shared: (2, K) each."""
    network = book.network
    door = doors(book.site, network, book.settings)
    shining = light.spans.of(light.shining)
    marks = _marks(np.tile(shining.line, 2), np.concatenate([shining.from_m, shining.to_m]))
    ways = cut_ways(network, door, marks)
    on = ways.vertex[0] >= 0
    ground = ground_of(ways, ways.vertex[0][on], label[on], n_labels)
    lit_m = light.lit_within(light.shining, ways.edge, ways.from_m, ways.from_m + ways.length_m)
    lit = (lit_m > ways.length_m / 2).astype(np.int64)
    alone_m, shared_m = ground.metres(lit, 2)
    return alone_m.toarray(), shared_m.toarray()


def _marks(edge: Ints, along_m: Floats) -> Stops:
    """Places on edges as stops, to cut the ways at."""
    nowhere = np.full((edge.size, 2), np.nan)
    none = np.full(edge.size, -1, np.int64)
    return Stops(nowhere, nowhere, edge, along_m, np.zeros(edge.size), none, none)
