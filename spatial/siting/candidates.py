"""Candidate sites: those given, or made along the alleys where none are; and names by place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from spatial.errors import Remark, doubt, fault, note
from spatial.load import Site, contract_frame
from spatial.network import AlleyNetwork
from spatial.settings import Settings
from spatial.siting.weights import bends
from spatial.solve import Sides

__all__ = [
    "Standing",
    "among",
    "at_most_one",
    "candidate_sites",
    "geographic_order",
    "grid_at",
    "made_sites",
    "near_doubt",
    "nearest_alley",
    "standing",
    "too_near",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

WALL_WITHIN_M = 5.0  # a house front this near to the centre-line carries the lamp
LABEL = {"lamp_sites": "lamp", "board_sites": "board"}


def candidate_sites(
    site: Site, network: AlleyNetwork, settings: Settings, *, layer: str
) -> tuple[GeoDataFrame, tuple[Remark, ...]]:
    """The sites of a layer; sites made along the alleys, with a note, where all that is given stands already.

    Returns
    -------
    GeoDataFrame
        The columns of the contract and ``alley_id``, the nearest alley.
    tuple of Remark
    """
    sites = site.layer(layer)
    remarks: tuple[Remark, ...] = ()
    if (sites["status"] == "existing").all():
        made = made_sites(site, network, settings, layer=layer)
        remarks = (_made_note(made, settings, layer),)
        sites = _beside_standing(sites, made) if len(sites) else made
    return sites.assign(alley_id=nearest_alley(network, sites)), remarks


def made_sites(site: Site, network: AlleyNetwork, settings: Settings, *, layer: str) -> GeoDataFrame:
    """Candidates every ``sites.spacing_m`` along unlit alleys, at their ends, junctions and bends.

    Each stands at the nearest house front within 5 m of the centre-line; else at the side of the
    alley where its width is known; else on the centre-line.
    """
    edge, along_m = _places(network, settings.sites.spacing_m)
    lines = network.edge_lines[edge]
    spots = shapely.line_interpolate_point(lines, along_m)
    spots = _beside(spots, lines, along_m, _half_width_m(network)[edge])
    spots, on_wall = _onto_walls(spots, lines, along_m, site.layer("buildings").geometry.to_numpy())
    xy = shapely.get_coordinates(spots)
    _, first = np.unique(np.round(xy, 3), axis=0, return_index=True)
    first = first[geographic_order(xy[first])]
    made = contract_frame(layer, {}, spots[first], site.crs)
    made["site_id"] = [f"G{j:05d}" for j in range(1, len(made) + 1)]
    made["status"] = "candidate"
    if layer == "lamp_sites":
        made["mount"] = np.where(on_wall[first], "wall", "pole")
        made["consent"] = "unknown"
    return made.astype({each: "str" for each in ("site_id", "status", "mount", "consent") if each in made})


def _beside_standing(sites: GeoDataFrame, made: GeoDataFrame) -> GeoDataFrame:
    """Both, by id; a plan's own lamps may have come back as standing ones, ids and all."""
    while made["site_id"].isin(sites["site_id"]).any():
        made["site_id"] = "G" + made["site_id"]
    return pd.concat([sites, made.astype(sites.dtypes.drop("geometry").to_dict())]).sort_values(
        "site_id", ignore_index=True
    )


def geographic_order(xy: FloatArray) -> IntArray:
    """Rows from north to south in about as many bands as a band has points, and west to east within each."""
    if not len(xy):
        return np.empty(0, dtype=np.int64)
    south_m = xy[:, 1].max() - xy[:, 1]
    n_bands = int(np.ceil(np.sqrt(len(xy))))
    band = np.minimum(south_m * n_bands // max(south_m.max(), 1e-9), n_bands - 1)
    return np.lexsort((south_m, xy[:, 0], band))


def nearest_alley(network: AlleyNetwork, sites: GeoDataFrame) -> NDArray[np.object_]:
    """The alley_id of the centre-line nearest to each site; of equally near ones the first."""
    row, edge = shapely.STRtree(network.edge_lines).query_nearest(sites.geometry.to_numpy(), all_matches=True)
    alley = np.full(len(sites), len(network.alleys), dtype=np.int64)
    np.minimum.at(alley, row, network.edge_alley[edge])
    return network.alleys["alley_id"].to_numpy(dtype=object)[alley]


def grid_at(points: GeoDataFrame, areas: GeoDataFrame | None) -> pd.Series:
    """The grid whose area each point stands in; the nearest one for a point on a border or outside.

    Parameters
    ----------
    points : GeoDataFrame
    areas : GeoDataFrame, optional
        grid_id and polygons; None: no grids, and none for any point.

    Returns
    -------
    Series of Int64, rows of ``points``
    """
    empty = pd.Series(pd.NA, index=points.index, dtype="Int64")
    if areas is None or points.empty:
        return empty
    tree = shapely.STRtree(areas.geometry.to_numpy())
    point, grid = tree.query_nearest(points.geometry.to_numpy(), all_matches=True)
    first = pd.DataFrame({"point": point, "grid": grid}).groupby("point")["grid"].min()
    grid_id = areas["grid_id"].to_numpy()[first.to_numpy()]
    return pd.Series(grid_id, index=points.index[first.index.to_numpy()], dtype="Int64").reindex(points.index)


def _places(network: AlleyNetwork, spacing_m: float) -> tuple[IntArray, FloatArray]:
    """Edge and metres along it: nodes once each, bends, and even steps of at most the spacing between."""
    unlit = np.flatnonzero(~network.alleys["lit"].fillna(False).to_numpy(dtype=bool)[network.edge_alley])
    length_m = network.edge_length_m
    edge, along_m = bends(network, unlit)
    mark_edge = np.concatenate([unlit, unlit, edge])
    mark_m = np.concatenate([np.zeros(len(unlit)), length_m[unlit], along_m])
    order = np.lexsort((mark_m, mark_edge))
    mark_edge, mark_m = mark_edge[order], mark_m[order]
    begins = np.flatnonzero(mark_edge[1:] == mark_edge[:-1])
    between_m = mark_m[begins + 1] - mark_m[begins]
    n_steps = np.maximum(np.ceil(between_m / spacing_m - 1e-9), 1).astype(np.int64)
    part = np.repeat(np.arange(len(begins)), n_steps)
    step = np.arange(len(part)) - np.repeat(np.cumsum(n_steps) - n_steps, n_steps)
    inner_edge = mark_edge[begins][part]
    inner_m = mark_m[begins][part] + step * (between_m / n_steps)[part]
    inside = inner_m > 0
    _, at = np.unique(network.edge_nodes[unlit], return_index=True)
    node_edge, is_end = unlit[at // 2], at % 2 == 1
    return (
        np.concatenate([node_edge, inner_edge[inside]]),
        np.concatenate([np.where(is_end, length_m[node_edge], 0.0), inner_m[inside]]),
    )


def _half_width_m(network: AlleyNetwork) -> FloatArray:
    width_m = network.alleys["width_m"].fillna(0.0).to_numpy(dtype=np.float64)
    return (width_m / 2)[network.edge_alley]


def _beside(
    spots: NDArray[np.object_], lines: NDArray[np.object_], along_m: FloatArray, half_width_m: FloatArray
) -> NDArray[np.object_]:
    """Spots inside an edge moved to its left side; ends of edges, where alleys meet, stay."""
    length_m = shapely.length(lines)
    inside = (along_m > 0) & (along_m < length_m)
    before = shapely.get_coordinates(shapely.line_interpolate_point(lines, np.maximum(along_m - 0.5, 0)))
    after = shapely.get_coordinates(
        shapely.line_interpolate_point(lines, np.minimum(along_m + 0.5, length_m))
    )
    heading = after - before
    left = np.column_stack([-heading[:, 1], heading[:, 0]])
    left /= np.maximum(np.hypot(*left.T), 1e-9)[:, None]
    return shapely.points(shapely.get_coordinates(spots) + left * (half_width_m * inside)[:, None])


def _onto_walls(
    spots: NDArray[np.object_],
    lines: NDArray[np.object_],
    along_m: FloatArray,
    buildings: NDArray[np.object_],
) -> tuple[NDArray[np.object_], BoolArray]:
    """Spots moved to the nearest house front of their place on the centre-line; which of them were."""
    on_wall = np.zeros(len(spots), dtype=bool)
    if not len(buildings):
        return spots, on_wall
    walls = shapely.boundary(buildings)
    centres = shapely.line_interpolate_point(lines, along_m)
    row, wall = shapely.STRtree(walls).query_nearest(centres, max_distance=WALL_WITHIN_M, all_matches=True)
    order = np.lexsort((wall, row))
    row, first = np.unique(row[order], return_index=True)
    front = shapely.get_point(shapely.shortest_line(centres[row], walls[wall[order][first]]), -1)
    spots, on_wall[row] = spots.copy(), True
    spots[row] = front
    return spots, on_wall


def _made_note(sites: GeoDataFrame, settings: Settings, layer: str) -> Remark:
    what = f"{len(sites)} {LABEL[layer]} candidates were made"
    message = f"{what} along the alleys every {settings.sites.spacing_m:g} m, at junctions and bends"
    code = layer.replace("_", "-") + "-made"
    if layer == "lamp_sites":
        n_walls = int((sites["mount"] == "wall").sum())
        message += f"; {n_walls} on house fronts, whose owners have not been asked"
    return note(code, message, layer=layer, remedy=f"add a {layer} layer to choose among surveyed sites")


def too_near(xy: FloatArray, apart_m: float) -> sparse.csr_array:
    """Pairs of places less than ``apart_m`` from each other: symmetric, of bool, without self."""
    n = len(xy)
    if not apart_m or not n:
        return sparse.csr_array((n, n), dtype=bool)
    points = shapely.points(xy)
    a, b = shapely.STRtree(points).query(points, predicate="dwithin", distance=apart_m)
    closer = (a != b) & (np.hypot(*(xy[a] - xy[b]).T) < apart_m)
    near = sparse.csr_array((np.ones(int(closer.sum()), dtype=bool), (a[closer], b[closer])), shape=(n, n))
    near.sort_indices()
    return near


@dataclass(frozen=True)
class Standing:
    """What may be done with each site (k)."""

    existing: BoolArray
    required: BoolArray
    barred: BoolArray  # never: forbidden, unusable, or too near to one that is sure
    clashing: BoolArray  # required, and too near to another that is sure
    near: sparse.csr_array  # (k, k) of bool: free sites that exclude each other


def standing(sites: GeoDataFrame, unusable: BoolArray, *, apart_m: float = 0.0) -> Standing:
    """Which sites stand, must stand, may not, and exclude each other; what is sure may be unusable."""
    status = sites["status"].to_numpy(dtype=object)
    existing, required = status == "existing", status == "required"
    sure = existing | required
    points = shapely.point_on_surface(sites.geometry.to_numpy())
    near = too_near(shapely.get_coordinates(points), apart_m)
    beside = near @ sure.astype(np.int64) > 0
    barred = (status == "forbidden") | ((unusable | beside) & ~sure)
    return Standing(existing, required, barred, beside & required, among(near, ~barred & ~sure))


def among(near: sparse.csr_array, free: BoolArray) -> sparse.csr_array:
    """The pairs of which both are free."""
    pairs = sparse.csr_array(near.multiply(free[:, None]).multiply(free[None, :]))
    pairs.eliminate_zeros()
    return pairs


def at_most_one(near: sparse.csr_array) -> Sides:
    """Sets of sites all of which exclude each other, so that every pair of ``near`` is in one.

    Larger sets say more to the solver than pairs do: each pair that is not yet in one is grown to a set that
    can't be grown further.
    """
    sets, sites = _cliques(near.indptr.astype(np.int64), near.indices.astype(np.int64))
    n_sets = int(sets[-1]) + 1 if len(sets) else 0
    use = sparse.csr_array((np.ones(len(sites)), (sets, sites)), shape=(n_sets, near.shape[0]))
    return Sides.at_most(use, np.ones(n_sets))


def near_doubt(sites: GeoDataFrame, clashing: BoolArray, *, layer: str, apart_m: float) -> Remark:
    """Required sites that keep no distance."""
    return doubt(
        "required-near",
        f"{int(clashing.sum())} required sites stand less than {apart_m:g} m from another that is sure",
        layer=layer,
        column="status",
        ids=sites["site_id"][clashing],
        remedy="they are used as required; lower apart_m or require fewer",
    )


def number_faults(sites: GeoDataFrame, may: Standing, most: int | None, *, layer: str) -> list[Remark]:
    """More sites required than may be added, or fewer that can take one; ``most`` None is no number."""
    what = LABEL[layer]
    setting, found = f"{what}s.n_{what}s", []
    n_usable = int((~may.existing & ~may.barred).sum())
    if most is not None and may.required.sum() > most:
        text = f"{setting} is {most} but {int(may.required.sum())} sites are required"
        ids, remedy = sites["site_id"][may.required], f"raise {setting}, or require fewer"
        found.append(fault("sites-required", text, layer=layer, column="status", ids=ids, remedy=remedy))
    if most is not None and n_usable < most:
        text = f"{setting} is {most} but only {n_usable} sites can take a new {what}"
        remedy = f"lower {setting}, add sites, or let them be made closer (sites.spacing_m)"
        found.append(fault("sites-few", text, layer=layer, column="status", remedy=remedy))
    return found


def unreachable_doubt(sites: GeoDataFrame, far: BoolArray, *, layer: str, max_access_m: float) -> Remark:
    """Sites that no alley is near enough to."""
    return doubt(
        "site-far",
        f"{int(far.sum())} sites are more than {max_access_m:g} m from any alley and can't be walked to",
        layer=layer,
        ids=sites["site_id"][far],
        remedy="check their position, or complete the alleys",
    )


@njit(cache=True)
def _is_near(indptr: IntArray, indices: IntArray, one: int, other: int) -> bool:
    at = np.searchsorted(indices[indptr[one] : indptr[one + 1]], other) + indptr[one]
    return at < indptr[one + 1] and indices[at] == other


@njit(cache=True)
def _cliques(indptr: IntArray, indices: IntArray) -> tuple[IntArray, IntArray]:
    """Set and site, row by row, of sets grown from every pair that none before holds."""
    done = np.zeros(len(indices), np.bool_)
    sets, sites = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)]
    n_sets = 0
    for one in range(len(indptr) - 1):
        for e in range(indptr[one], indptr[one + 1]):
            if indices[e] < one or done[e]:
                continue
            members = [np.int64(one), indices[e]]
            for f in range(indptr[one], indptr[one + 1]):
                fits = True
                for each in members:
                    if indices[f] == each or not _is_near(indptr, indices, indices[f], each):
                        fits = False
                        break
                if fits:
                    members.append(indices[f])
            for each in members:
                sets.append(np.int64(n_sets))
                sites.append(each)
                low = indptr[each]
                row = indices[low : indptr[each + 1]]
                for other in members:
                    if other != each:
                        done[low + np.searchsorted(row, other)] = True
            n_sets += 1
    return np.array(sets), np.array(sites)
