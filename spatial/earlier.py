"""An earlier plan to start from: who was in which grid, and which numbers were given.

Only what ``alleyplan plan --keep PLAN`` goes by is read: ids, numbers and codes, no figures. The
households' grids are read as they stand now, so that what a planner changed by hand is the new start;
``bounds.npz`` remembers what had been planned, so that such a change can be told from the plan.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
from numpy.typing import NDArray
from pandas import DataFrame
from scipy.spatial import KDTree

from spatial.crs import parse_crs
from spatial.errors import DataError, first_ids
from spatial.load import Site
from spatial.load.folder import read_arrays, read_plan_layers, read_summary
from spatial.schema import PLAN_LAYERS
from spatial.settings import Settings

__all__ = ["EarlierPlan", "kept_codes", "planned_grids", "read_earlier", "refuse_other"]

_LARGEST = 999_999  # number of a grid, branch or worker, and count of households in a row
SAME_PLACE_M = 1.0  # a lamp or board this near to an earlier one is the same


@dataclass(frozen=True)
class EarlierPlan:
    """What an earlier plan gave; tables sorted by their keys, whole numbers as Int64."""

    folder: Path
    plan_id: str
    sha256: str  # of everything below
    crs: pyproj.CRS
    prefix: str  # of its grids' codes
    households: DataFrame  # household_id, part, households, grid_id (as edited), planned_id (as planned)
    grids: DataFrame  # grid_id, code, name, kind, branch_id, worker_id
    lamps: DataFrame  # code, x, y
    boards: DataFrame  # code, x, y

    @property
    def by_hand(self) -> NDArray[np.bool_]:
        """Households whose grid was changed after the plan was made."""
        changed = self.households["planned_id"].notna() & self.households["grid_id"].notna()
        changed &= (self.households["planned_id"] != self.households["grid_id"]).fillna(False)
        return changed.to_numpy(dtype=bool)

    @property
    def ordinary(self) -> DataFrame:
        """The grids that are no exclusive place's."""
        return self.grids[self.grids["kind"] != "exclusive"]

    @property
    def digits(self) -> int:
        """Of the numbers in codes: the fewest that any has, since longer numbers need more."""
        return max(2, int(self.grids["code"].str.removeprefix(self.prefix).str.len().min()))

    def without(self, ids: pd.Series) -> EarlierPlan:
        """The plan without some households."""
        return replace(self, households=self.households[~self.households["household_id"].isin(ids)])

    @property
    def next_id(self) -> int:
        """The lowest number that no grid of the plan bears or bore, and none above it."""
        columns = (self.grids["grid_id"], self.households["grid_id"], self.households["planned_id"])
        return 1 + max(int(each.max()) for each in columns if each.notna().any())


def read_earlier(folder: Path) -> EarlierPlan:
    """Read what a plan folder gave.

    Raises
    ------
    DataError
        The folder is no plan, has no grids or can't be read.
    """
    missing = [each for each in ("summary.json", "plan.gpkg") if not (folder / each).is_file()]
    if missing:
        raise DataError(
            f"--keep {folder} is not a plan folder: {', '.join(missing)} missing; "
            "give a folder that plan wrote"
        )
    try:
        summary = read_summary(folder / "summary.json", whole=False)
        prefix, crs = str(summary["settings"]["community"]["code"]), parse_crs(str(summary["crs"]))
        if summary["grids"] is None:
            raise DataError(f"--keep {folder} has no grids to keep; plan it with grids, or leave --keep out")
        layers = read_plan_layers(folder / "plan.gpkg", PLAN_LAYERS)
        households = _read(layers["households"], "household_id part households grid_id")
        grids = _read(layers["grids"], "grid_id code name kind branch_id worker_id")
        points = [
            _read(layers[layer], f"{code} x y").rename(columns={code: "code"})
            if summary[layer] is not None
            else DataFrame({"code": [], "x": [], "y": []})
            for layer, code in (("lamps", "lamp_code"), ("boards", "board_code"))
        ]
        households = _with_planned(households, folder / "bounds.npz")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"--keep {folder} can't be read as a plan: {error}; plan it again") from None
    tables = (households, grids, *points)
    faults = list(_table_faults(*tables, prefix=prefix))
    if faults:
        raise DataError(f"--keep {folder} is not as plan wrote it; plan it again", faults)
    content = [str(summary["plan_id"]), prefix, *(each.to_csv(index=False) for each in tables)]
    sha256 = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return EarlierPlan(folder, str(summary["plan_id"]), sha256, crs, prefix, *tables)


def refuse_other(earlier: EarlierPlan, site: Site, settings: Settings) -> None:
    """Refuse a plan of another place, and numbers that no grid can be made of.

    Raises
    ------
    DataError
        Another CRS, no household in common, a household twice, a number that is no grid and that too few
        households bear, or another ``grids.n_grids``.
    """
    rows, name = earlier.households, f"--keep {earlier.folder}"
    if earlier.crs != site.crs:
        raise DataError(
            f"{name} is in {earlier.crs.name}, this community in {site.crs.name}; "
            "keep a plan of the same place"
        )
    shared = rows["household_id"].isin(site.layer("households")["household_id"])
    if not shared.any():
        raise DataError(
            f"{name} shares no household_id with this community ({first_ids(rows['household_id'])}); "
            "keep a plan of the same place, with the same ids"
        )
    faults = _number_faults(rows, earlier.grids, settings)
    exclusive = earlier.grids["grid_id"][earlier.grids["kind"] == "exclusive"]
    n_grids = rows["grid_id"][~rows["grid_id"].isin(exclusive)].nunique()
    if settings.grids.n_grids not in (None, n_grids):
        faults.append(
            f"grids.n_grids is {settings.grids.n_grids}, but the plan to keep has {n_grids} grids; "
            "leave n_grids out, or plan without --keep"
        )
    if faults:
        raise DataError(f"{name} can't be kept", faults)


def planned_grids(households: DataFrame) -> dict[str, NDArray[Any]]:
    """Arrays for ``bounds.npz`` that remember the grid of each household row as planned."""
    return {
        "planned_household": households["household_id"].to_numpy(dtype=str),
        "planned_part": households["part"].to_numpy(dtype=np.int64),
        "planned_grid": households["grid_id"].to_numpy(dtype=np.int64),
    }


def kept_codes(codes: pd.Series, xy: NDArray[np.float64], earlier: DataFrame) -> pd.Series:
    """Codes of lamps or boards: an earlier one where one stood, the next free numbers for the others.

    Parameters
    ----------
    codes : Series of str, n rows
        As given without an earlier plan, a letter and a number.
    xy : float64, shape (n, 2)
        Where they stand. [m]
    earlier : DataFrame
        Columns code, x and y.
    """
    if not len(earlier) or not len(codes):
        return codes
    there = earlier[["x", "y"]].to_numpy(dtype=np.float64)
    away_m, to = KDTree(there).query(xy)
    _, back = KDTree(xy).query(there)
    stays = (away_m <= SAME_PLACE_M) & (back[to] == np.arange(len(xy)))
    letter, number = earlier["code"].iloc[0][0], earlier["code"].str[1:]
    width, first = int(number.str.len().min()), 1 + int(number.astype(int).max())
    new = np.flatnonzero(~stays)
    out = codes.to_numpy(dtype=object).copy()
    out[stays] = earlier["code"].to_numpy(dtype=object)[to[stays]]
    out[new] = [f"{letter}{first + at:0{width}d}" for at in range(len(new))]
    return pd.Series(out, index=codes.index, dtype="str")


def _read(rows: DataFrame, columns: str) -> DataFrame:
    """Columns of a layer, sorted by the first two."""
    names = columns.split()
    return DataFrame(rows)[names].sort_values(names[:2], kind="stable", ignore_index=True)


def _with_planned(households: DataFrame, path: Path) -> DataFrame:
    """The rows with ``planned_id``, empty where the plan does not remember."""
    planned = DataFrame({"household_id": [], "part": [], "planned_id": []})
    if path.is_file():
        stored = read_arrays(path)
        if "planned_grid" in stored:
            names = ("planned_household", "planned_part", "planned_grid")
            planned = DataFrame({new: stored[old] for new, old in zip(planned, names, strict=True)})
    types = {"household_id": "str", "part": "Int64", "planned_id": "Int64"}
    return households.merge(planned.astype(types), how="left", on=["household_id", "part"])


def _table_faults(
    households: DataFrame, grids: DataFrame, lamps: DataFrame, boards: DataFrame, *, prefix: str
) -> Iterator[str]:
    """Rows without a key, codes that hold no number, numbers that no plan gives."""
    if grids.empty:
        yield "grids: no row is left"
    code = re.escape(prefix) + r"[0-9]{2,6}"
    yield from _row_faults("grids.code", grids["code"], ~grids["code"].str.fullmatch(code).fillna(False))
    yield from _row_faults("grids.grid_id", grids["code"], grids["grid_id"].duplicated(keep=False))
    for name, rows in (("grids", grids), ("households", households)):
        must = ("grid_id",) if name == "grids" else ("part", "households")
        for column in (each for each in rows.columns if rows[each].dtype == "Int64"):
            wrong = (rows[column] > _LARGEST) | (rows[column] < -_LARGEST)
            wrong = wrong.fillna(column in must)
            yield from _row_faults(f"{name}.{column}", rows.iloc[:, 0].astype("str"), wrong)
    yield from _row_faults(
        "households.household_id", households["household_id"].fillna("–"), households["household_id"].isna()
    )
    for name, rows in (("lamps", lamps), ("boards", boards)):
        there = np.isfinite(rows[["x", "y"]].to_numpy(dtype=np.float64)).all(axis=1)
        known = rows["code"].astype("str").str.fullmatch("[A-Z][0-9]{1,6}").fillna(False)
        yield from _row_faults(name, rows["code"].astype("str").fillna("–"), ~(known & there))


def _row_faults(what: str, ids: pd.Series, wrong: pd.Series) -> Iterator[str]:
    if wrong.any():
        yield f"{what}: {int(wrong.sum())} rows hold what no plan gives ({first_ids(ids[wrong])})"


def _number_faults(rows: DataFrame, grids: DataFrame, settings: Settings) -> list[str]:
    """Households twice, numbers below 1, and numbers of no grid that too few bear to make one."""
    twice = rows.duplicated(["household_id", "part"])
    faults = []
    if twice.any():
        faults.append(f"households: {first_ids(rows.loc[twice, 'household_id'])} stand in it twice")
    low = (rows["grid_id"] < 1).fillna(False)
    if low.any():
        ids = first_ids(rows.loc[low, "household_id"])
        faults.append(f"households.grid_id must be 1 or more, or empty: not so for {ids}")
    unknown = rows[rows["grid_id"].notna() & ~rows["grid_id"].isin(grids["grid_id"]) & ~low]
    for grid_id, own in unknown.groupby("grid_id"):
        n = int(own["households"].sum())
        if n < settings.grids.min_households:
            faults.append(
                f"households.grid_id: {grid_id} is no grid of the plan, and the {n} households that bear it "
                f"({first_ids(own['household_id'])}) are fewer than the {settings.grids.min_households} of a "
                "new grid; put them into a grid that is there, or give the new one more"
            )
    return faults
