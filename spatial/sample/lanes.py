"""The alley layer of a made-up township: edges joined into named alleys, with the errors of a survey."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.sample.fabric import ROAD_WIDTH_M, Fabric

__all__ = ["GAP_M", "alley_geometry", "alley_table", "edge_alleys"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GAP_M = 0.3  # how far some lanes end short of the lane they join
GAPS_PER_ALLEY = 0.05

_NAMES = [
    "大井", "澡堂", "东", "西", "南", "北", "祠堂", "油坊",
    "水塘", "槐树", "老街", "磨坊", "豆腐", "铁匠", "学堂", "粮站",
    "染坊", "药铺", "茶馆", "石桥", "柳树", "银杏", "枣树", "桂花",
    "竹园", "荷塘", "晒场", "打谷", "供销", "戏台", "土地庙", "碾子",
    "酱园", "木匠", "篾匠", "剃头", "轿夫", "马槽", "牌坊", "更楼",
]  # fmt: skip
_SIDES = ["", "前", "后", "上", "下", "新", "老", "长", "小"]
_NUMERALS = "一二三四五六七八九十"
_SURFACES = ["水泥", "青石板", "砖", "砂石", "土"]


def edge_alleys(fabric: Fabric) -> Ints:
    """Which alley each edge belongs to: runs along a row up to the next hamlet; all else stands alone."""
    edges = fabric.edges
    order = edges.sort_values(["along", "row", "column"], ascending=[False, False, True], kind="stable")
    before = order.shift()
    fresh = (
        ~order["along"]
        | (order["start"] != before["end"])
        | order["role"].eq("bridge")
        | before["role"].isin(["bridge", "link"])
    )
    return fresh.cumsum().sub(1).reindex(edges.index).to_numpy()


def alley_table(fabric: Fabric, alley: Ints, rng: np.random.Generator) -> pd.DataFrame:
    """Columns of the contract for each alley, without ids; ``role`` is that of its first edge."""
    edges = fabric.edges.assign(alley=alley).sort_values(["alley", "column"], kind="stable")
    table = edges.groupby("alley", sort=True)[["role", "row", "along", "start"]].first()
    role, n = table["role"].to_numpy(), len(table)
    on_road = (table["row"] == 0) & table["along"]
    narrow = np.isin(role, ["cross", "unnoded"])
    width_m = np.where(narrow, rng.uniform(1.5, 2.8, n), rng.uniform(2.0, 4.0, n))
    width_m = np.select([on_road, role == "overpass"], [ROAD_WIDTH_M, 1.5], np.round(width_m, 1))
    condition = rng.choice([1, 2, 3, 4, 5], n, p=[0.16, 0.30, 0.30, 0.20, 0.04])
    surface = np.where(rng.random(n) < 0.75, np.minimum(condition - 1, 4), rng.integers(0, 5, n))
    wide = width_m >= 3.2
    return table.assign(
        name=_names(table, edges, on_road.to_numpy()),
        kind=np.select([on_road, role == "overpass", wide], ["road", "path", "lane"], "alley"),
        width_m=width_m,
        surface=np.where(on_road, "沥青", np.array(_SURFACES)[surface]),
        condition=np.where(on_road, 1, condition),
        lit=pd.array(np.where(on_road, 1, 0), dtype="boolean"),
        level=np.where(role == "overpass", 1, 0),
        bridge=np.isin(role, ["bridge", "overpass"]),
        drain=np.where(on_road, "covered", rng.choice(["none", "open", "covered"], n, p=[0.45, 0.35, 0.2])),
    )


def _names(table: pd.DataFrame, edges: pd.DataFrame, on_road: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Alleys along a row have a name of their own; a lane across is a branch of the alley it starts from."""
    role = table["role"].to_numpy()
    own = table["along"].to_numpy() & ~on_road & (role != "bridge")
    number = np.cumsum(own) - 1
    lap, at = np.divmod(number, len(_NAMES))
    stems = np.array(
        [_NAMES[j] + _SIDES[i % len(_SIDES)] + _lap(i // len(_SIDES)) for i, j in zip(lap, at, strict=True)]
    )
    names = np.where(own, np.char.add(stems, "巷"), "").astype(object)
    named = edges[own[edges["alley"]]]
    stem_at = pd.Series(np.tile(stems[named["alley"]], 2), index=np.r_[named["start"], named["end"]])
    stem = table["start"].map(stem_at.groupby(level=0).first()).fillna("山南").to_numpy()
    across = ~own & ~on_road & (role != "bridge")
    place = pd.Series(stem[across]).groupby(stem[across]).cumcount() + 1
    names[across] = [f"{a}{_numeral(b)}支巷" for a, b in zip(stem[across], place, strict=True)]
    names[on_road] = "山南路"
    names[role == "bridge"] = np.where(on_road[role == "bridge"], "山南桥", "石板桥")
    names[role == "overpass"] = "天桥"
    return names


def _lap(turn: int) -> str:
    return "" if turn == 0 else _numeral(turn + 1)


def _numeral(number: int) -> str:
    """Chinese numeral up to ninety-nine, digits beyond."""
    if number > 99:
        return str(number)
    tens, ones = divmod(number, 10)
    head = "" if tens == 0 else ("十" if tens == 1 else _NUMERALS[tens - 1] + "十")
    return head + (_NUMERALS[ones - 1] if ones else "")


def alley_geometry(fabric: Fabric, alley: Ints, rng: np.random.Generator) -> NDArray[np.object_]:
    """One line per alley; every twentieth lane across ends 0.3 m short of the lane it joins."""
    edge_xy = _with_gaps(fabric, rng)
    order = np.lexsort((fabric.edges["column"], alley))
    owner = alley[order]
    last = np.r_[owner[1:] != owner[:-1], True]
    keep = np.ones((len(order), edge_xy.shape[1]), dtype=bool)
    keep[:, -1] = last
    points = edge_xy[order]
    return shapely.linestrings(points[keep], indices=np.repeat(owner, edge_xy.shape[1])[keep.ravel()])


def _with_gaps(fabric: Fabric, rng: np.random.Generator) -> Floats:
    edge_xy = fabric.edge_xy.copy()
    ends = np.r_[fabric.edges["start"], fabric.edges["end"]]
    joined = np.bincount(ends)[fabric.edges["end"]] > 2
    lanes = np.flatnonzero((fabric.edges["role"] == "cross") & joined)
    n_gaps = max(3, round(GAPS_PER_ALLEY * len(edge_xy)))
    short = rng.choice(lanes, min(n_gaps, len(lanes)), replace=False)
    back = edge_xy[short, -2] - edge_xy[short, -1]
    edge_xy[short, -1] += GAP_M * back / np.hypot(*back.T)[:, None]
    return edge_xy
