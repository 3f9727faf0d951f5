"""Houses along the lanes of a made-up township, who lives in them and what stands empty.

Every bend-to-bend piece of lane offers a plot on either side; a house stands with its front on the
lane's edge, so that it hides what lies round the next bend. Where plots claim the same ground the
more important front keeps it and the other is cut back or given up.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.sample.fabric import ROAD_WIDTH_M, Fabric, road_line

__all__ = ["BLOCK_HOUSEHOLDS", "make_buildings", "make_households"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK_HOUSEHOLDS = 70
BLOCK_M, BLOCK_DEPTH_M = 44.0, 12.0
SCHOOL_M, SCHOOL_DEPTH_M = 34.0, 11.0
CORNER_M = 20.0  # kept at either end of a bay, for a smaller house of the village
BANKS_M = 16.0  # nothing large so near to mid-stream
LEAST_HOUSE_M2 = 42.0


def make_buildings(fabric: Fabric, width_m: Floats, rng: np.random.Generator) -> pd.DataFrame:
    """Buildings with ``use``, ``storeys``, ``height_m``, the ``edge`` and ``hamlet`` they front, ``door``.

    Parameters
    ----------
    fabric : Fabric
        Lanes without survey errors.
    width_m : float64, shape (n_edges,)
        Width of the lane each edge belongs to. [m]
    """
    lots = pd.concat([_large_lots(fabric), _lots(fabric, width_m, rng)], ignore_index=True)
    corridors = shapely.buffer(shapely.linestrings(fabric.edge_xy), width_m / 2, cap_style="square")
    water = fabric.stream.buffer(5.0)
    ground = _cut_back(lots["geometry"].to_numpy(), np.r_[corridors, [water]])
    built = lots.assign(geometry=_apart(ground))
    close = shapely.distance(built["geometry"], shapely.points(*built[["front_x", "front_y"]].to_numpy().T))
    sound = (shapely.area(built["geometry"]) >= LEAST_HOUSE_M2) & (close <= built["reach_m"] + 1.5)
    built = built[sound | ~built["use"].isin(["住宅", "商铺"])].reset_index(drop=True)
    return _with_heights(built.assign(door=_doors(built), hamlet=_building_hamlets(fabric, built)), rng)


def _lots(fabric: Fabric, width_m: Floats, rng: np.random.Generator) -> pd.DataFrame:
    """One plot on either side of every piece of lane inside a hamlet, and on the road's north side."""
    role = fabric.edges["role"].to_numpy()
    pieces = fabric.edge_xy.shape[1] - 1
    edge = np.repeat(np.arange(len(role)), 2 * pieces)
    piece = np.tile(np.repeat(np.arange(pieces), 2), len(role))
    side = np.tile([1.0, -1.0], len(role) * pieces)  # 1: left of the line's direction
    built = np.isin(role, ["row", "cross", "unnoded"])[edge] | ((role[edge] == "road") & (side > 0))
    built &= rng.random(len(edge)) > 0.05
    edge, piece, side = edge[built], piece[built], side[built]
    start, end = fabric.edge_xy[edge, piece], fabric.edge_xy[edge, piece + 1]
    length_m = np.hypot(*(end - start).T)
    along = (end - start) / length_m[:, None]
    out = side[:, None] * np.c_[-along[:, 1], along[:, 0]]
    reach_m = width_m[edge] / 2 + np.where(role[edge] == "road", 1.5, rng.uniform(0.0, 0.4, len(edge)))
    margin_m = rng.uniform(0.15, 0.8, (len(edge), 2))
    depth_m = rng.uniform(8.5, 12.0, len(edge))
    a = start + margin_m[:, :1] * along + reach_m[:, None] * out
    b = end - margin_m[:, 1:] * along + reach_m[:, None] * out
    front = (start + end) / 2
    rank = np.select([role[edge] == "road", role[edge] == "row"], [1, 2], 3)
    lots = pd.DataFrame({"edge": edge, "use": np.where(rank == 1, "商铺", "住宅"), "reach_m": reach_m})
    lots = lots.assign(
        front_x=front[:, 0], front_y=front[:, 1], rank=rank, geometry=_blocks(a, b, out, depth_m)
    )
    return lots.sort_values("rank", kind="stable").drop(columns="rank")


def _blocks(a: Floats, b: Floats, out: Floats, depth_m: Floats) -> NDArray[np.object_]:
    """Rectangles on the fronts a–b, as deep as said in the direction ``out``."""
    back = depth_m[:, None] * out
    return shapely.polygons(np.stack([a, b, b + back, a + back], axis=1))


def _large_lots(fabric: Fabric) -> pd.DataFrame:
    """The block of flats, school, clinic and office: in the two widest bays of the road's north side."""
    line = road_line(fabric.edges, fabric.edge_xy)
    joins = fabric.edges[(fabric.edges["role"] == "link") & (fabric.edges["row"] == 0)]
    lanes_m = shapely.line_locate_point(line, shapely.points(fabric.node_xy[joins["start"]]))
    stream_m = line.project(line.intersection(fabric.stream))
    at_m = np.sort(np.r_[0.0, lanes_m, stream_m - BANKS_M, stream_m + BANKS_M, line.length])
    bay_m = np.where((at_m[:-1] < stream_m) & (at_m[1:] > stream_m), 0.0, np.diff(at_m))
    widest = np.argsort(-bay_m, kind="stable")[[0, 1]]
    from_m, long_m = at_m[widest], np.minimum([BLOCK_M, SCHOOL_M], bay_m[widest] - 2 * CORNER_M)
    plan = pd.DataFrame(
        {
            "use": ["公寓", "学校", "村委会", "卫生室"],
            "middle_m": np.r_[from_m + bay_m[widest] / 2, from_m + CORNER_M / 2 + 2],
            "front_m": np.r_[long_m, 13.0, 12.0],
            "depth_m": [BLOCK_DEPTH_M, SCHOOL_DEPTH_M, 9.0, 9.0],
        }
    )
    first = np.flatnonzero(fabric.edges["role"] == "road")[0]
    return _road_lots(plan, line).assign(edge=first)


def _road_lots(plan: pd.DataFrame, road: shapely.LineString) -> pd.DataFrame:
    """Plots along the road as straight as their chord, set back so far that they miss every bend."""
    half = plan["front_m"].to_numpy() / 2
    middle_m = plan["middle_m"].to_numpy()
    a, b = (shapely.get_coordinates(road.interpolate(middle_m + each)) for each in (-half, half))
    along = (b - a) / np.hypot(*(b - a).T)[:, None]
    out = np.c_[-along[:, 1], along[:, 0]]
    stations = shapely.get_coordinates(
        road.interpolate((middle_m[:, None] + np.linspace(-1, 1, 21) * half[:, None]).ravel())
    ).reshape(len(plan), 21, 2)
    bulge_m = np.einsum("ijk,ik->ij", stations - a[:, None], out).max(axis=1)
    reach_m = ROAD_WIDTH_M / 2 + 2.5 + bulge_m
    centre = (a + b) / 2
    shift = reach_m[:, None] * out
    return pd.DataFrame(
        {
            "use": plan["use"],
            "reach_m": reach_m,
            "front_x": centre[:, 0],
            "front_y": centre[:, 1],
            "geometry": _blocks(a + shift, b + shift, out, plan["depth_m"].to_numpy()),
        }
    )


def _cut_back(shapes: NDArray[np.object_], obstacles: NDArray[np.object_]) -> NDArray[np.object_]:
    """Each shape less every obstacle it meets: its largest piece, slivers taken off."""
    shape, obstacle = shapely.STRtree(obstacles).query(shapes, predicate="intersects")
    return _cut_pairs(shapes, obstacles, shape, obstacle)


def _apart(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Shapes with what an earlier one stands on taken off the later one."""
    later, earlier = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    before = earlier < later
    return _cut_pairs(shapes, shapes, later[before], earlier[before])


def _cut_pairs(
    shapes: NDArray[np.object_], obstacles: NDArray[np.object_], shape: Ints, obstacle: Ints
) -> NDArray[np.object_]:
    cut = shapes.copy()
    turn = pd.Series(shape).groupby(shape).cumcount().to_numpy()
    for each in range(turn.max(initial=-1) + 1):
        now = turn == each
        cut[shape[now]] = shapely.difference(cut[shape[now]], obstacles[obstacle[now]])
    touched = np.unique(shape)
    rest = _largest_part(cut[touched])
    eroded = shapely.buffer(rest, -1.4, join_style="mitre")
    opened = shapely.buffer(eroded, 1.38, join_style="mitre")
    cut[touched] = _largest_part(shapely.intersection(rest, opened))
    return cut


def _largest_part(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    parts, owner = shapely.get_parts(shapes, return_index=True)
    solid = shapely.area(parts) > 0
    parts, owner = parts[solid], owner[solid]
    order = np.lexsort((-shapely.area(parts), owner))
    first = order[np.unique(owner[order], return_index=True)[1]]
    largest = np.full(len(shapes), shapely.Polygon(), dtype=object)
    largest[owner[first]] = parts[first]
    return largest


def _doors(buildings: pd.DataFrame) -> NDArray[np.object_]:
    """The point of each outer wall nearest to the middle of the piece of lane it fronts."""
    front = shapely.points(*buildings[["front_x", "front_y"]].to_numpy().T)
    walls = shapely.boundary(buildings["geometry"].to_numpy())
    return shapely.get_point(shapely.shortest_line(walls, front), 0)


def _building_hamlets(fabric: Fabric, buildings: pd.DataFrame) -> Ints:
    """Hamlet of the lane; what fronts the main road is one more."""
    hamlet = fabric.edges["hamlet"].to_numpy()[buildings["edge"]]
    return np.where(hamlet >= 0, hamlet, fabric.n_hamlets)


def _with_heights(buildings: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Storeys by use; of houses a part has its height measured, the others only storeys counted."""
    storeys = rng.choice([1, 2, 3], len(buildings), p=[0.3, 0.55, 0.15])
    fixed = buildings["use"].map({"公寓": 7, "学校": 3, "村委会": 2, "卫生室": 1})
    storeys = fixed.fillna(pd.Series(storeys)).to_numpy()
    height_m = np.round(3.1 * storeys + rng.uniform(0.3, 1.4, len(buildings)), 1)
    measured = rng.random(len(buildings)) < 0.4
    counted = ~measured | (rng.random(len(buildings)) < 0.5)
    return buildings.assign(
        storeys=np.where(counted, storeys, np.nan), height_m=np.where(measured, height_m, np.nan)
    )


def make_households(buildings: pd.DataFrame, n_households: int, rng: np.random.Generator) -> pd.DataFrame:
    """Who lives where: ``n_households`` in all, the far farm and the block of flats included.

    Courtyards hold 2 to 8 households behind one door; every second one is a single row with a count,
    the others are so many rows on one point. Houses that nobody is left for stand empty.
    """
    homes = _homes(buildings, rng)
    wanted = n_households - BLOCK_HOUSEHOLDS - 1
    sizes = _courtyard_sizes(len(homes), wanted, rng)
    homes = homes[sizes > 0]
    sizes = sizes[sizes > 0]
    as_rows = (sizes > 1) & (rng.random(len(sizes)) < 0.5)
    repeat = np.where(as_rows, sizes, 1)
    block = buildings.index[buildings["use"] == "公寓"].to_numpy()
    building = np.concatenate([np.repeat(homes, repeat), block])
    count = np.concatenate([np.repeat(np.where(as_rows, 1, sizes), repeat), [BLOCK_HOUSEHOLDS]])
    order = np.argsort(building, kind="stable")
    building, count = building[order], count[order]
    residents = count + rng.binomial(4 * count, 0.45)
    return pd.DataFrame(
        {
            "building": building,
            "households": count,
            "residents": residents,
            "elderly": rng.binomial(residents, 0.24),
            "party_members": rng.binomial(residents, 0.05),
        }
    )


def _homes(buildings: pd.DataFrame, rng: np.random.Generator) -> Ints:
    """Houses that are lived in, in random order: most dwellings, every seventh shop."""
    use = buildings["use"].to_numpy()
    chance = np.select([use == "住宅", use == "商铺"], [0.965, 0.15], 0.0)
    return rng.permutation(np.flatnonzero(rng.random(len(use)) < chance))


def _courtyard_sizes(n_homes: int, wanted: int, rng: np.random.Generator) -> Ints:
    """Households of each home, adding up to ``wanted``: 2–8 from the front of the list, then 1, then 0."""
    sizes = rng.choice(np.arange(2, 9), n_homes, p=[0.3, 0.24, 0.17, 0.12, 0.08, 0.05, 0.04])
    extra = np.cumsum(sizes - 1)
    full = int(np.searchsorted(extra, max(0, wanted - n_homes), side="right"))
    rest = wanted - n_homes - (int(extra[full - 1]) if full else 0)
    sizes[full:] = 1
    if rest > 0:
        sizes[full] += rest
    return np.where(np.arange(n_homes) < wanted, sizes, 0)
