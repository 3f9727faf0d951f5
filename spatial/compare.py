"""Two plans of one community: who moved, what was added and dropped, and what it does to the figures.

Rows are matched by their ids, grids by the households they share, so that a grid that only got another number
is the same grid. A site counts as the same where it has the same id and stands in the same place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from pandas import DataFrame
from scipy.optimize import linear_sum_assignment

from spatial.errors import DataError
from spatial.schema import LAYERS

if TYPE_CHECKING:
    from spatial.load import Site
    from spatial.plan import Plan

__all__ = ["compare_plans", "comparison_lines", "comparison_texts"]

Values = dict[str, Any]

#: A site with the same id farther away than this is another site. [m]
_SAME_PLACE_M = 1.0
#: Of the smaller community, at least this share lies in the other where they are the same. [m²/m²]
_SAME_GROUND = 0.5

_GRIDS = ("n", "min", "max", "walk_mean_m", "mixing_share", "objective_m", "bound_m", "gap")
_LAMPS = (
    *("n_chosen", "n_existing", "alley_m", "lit_m", "share_lit", "bound_m", "gap"),
    *("way_lit_mean", "way_lit_worst_tenth", "way_lit_elderly"),
)
_BOARDS = ("n_chosen", "households_served", "share_served", "walk_mean_m", "walk_max_m", "gap")
_FACILITY = ("n_chosen", "served", "share_served", "walk_mean", "unit", "gap")


def compare_plans(earlier: Plan, later: Plan) -> Values:
    """What is different between two plans of one community, as plain values.

    Parameters
    ----------
    earlier, later : Plan
        Called ``a`` and ``b`` in what comes back. A part that one of them lacks is null.

    Returns
    -------
    dict
        ``households``: how many moved to another grid, counted by ``household_id`` among those in both plans;
        those that are gone and those that are new stand apart. Each one moved tells the grids it left, what
        number those have in the later plan and the grids it is in now. ``grids``, ``lamps``, ``boards`` and
        ``facilities``: the figures of both plans, and what was added, dropped or only renamed.
        ``cost_cny``: of new lamps and boards, with how many of them have a known cost. ``sites`` and
        ``settings``: in which layers and settings the plans differ.

    Raises
    ------
    DataError
        The plans are of different communities.
    """
    _refuse_different(earlier, later)
    households = grids = None
    if all("grids" in each.layers and "households" in each.layers for each in (earlier, later)):
        partner = _partners(earlier.layers["households"], later.layers["households"])
        households = _moved(earlier.layers["households"], later.layers["households"], partner)
        grids = _figures(earlier, later, "grids", _GRIDS) | _grids(earlier, later, partner)
    return {
        "community": _name(earlier),
        "a": _about(earlier),
        "b": _about(later),
        "sites": _layers_that_differ(earlier.site, later.site),
        "settings": _settings_that_differ(earlier.summary["settings"], later.summary["settings"]),
        "households": households,
        "grids": grids,
        "lamps": _sited(earlier, later, "lamps", "lamp_code", _LAMPS),
        "boards": _sited(earlier, later, "boards", "board_code", _BOARDS),
        "facilities": _facilities(earlier, later),
        "cost_cny": {"a": _costs(earlier), "b": _costs(later)},
    }


# ── the same community ───────────────────────────────────────────────────────────────────────────────


def _refuse_different(earlier: Plan, later: Plan) -> None:
    one, other = earlier.site.layer("boundary"), later.site.layer("boundary")
    ground = [each.geometry.union_all() for each in (one, other.to_crs(one.crs))]
    smaller = min(each.area for each in ground)
    if shapely.intersection(*ground).area < _SAME_GROUND * smaller:
        raise DataError(
            f"the plans are of different communities, {_name(earlier)} and {_name(later)}: less than half of "
            "the ground of one lies in the other; compare two plans of one community"
        )


def _name(plan: Plan) -> str:
    return plan.summary["community"].get("name") or plan.site.community


def _about(plan: Plan) -> Values:
    return {
        "plan_id": plan.summary["plan_id"],
        "date": plan.summary["community"].get("date"),
        "n_faults": len(plan.summary["faults"]),
        "households_estimated": plan.households_estimated,
    }


def _layers_that_differ(earlier: Site, later: Site) -> list[Values]:
    """Layers that hold other rows: how many only one plan has, and how many have other values or shapes."""
    found = []
    for name in LAYERS:
        if name not in earlier.layers and name not in later.layers:
            continue
        one, other = _row_hashes(earlier, name), _row_hashes(later, name).sort_index()
        both = one.index.intersection(other.index)
        counts = {
            "only_a": len(one.index.difference(other.index)),
            "only_b": len(other.index.difference(one.index)),
            "changed": int((one.loc[both].to_numpy() != other.loc[both].to_numpy()).sum()),
        }
        if any(counts.values()):
            found.append({"layer": name, **counts})
    return found


def _row_hashes(site: Site, name: str) -> pd.Series:
    """A number for the values and the shape (to a millimetre) of each row, by id."""
    rows = site.layer(name)
    ids = LAYERS[name].id_column
    index = rows[ids].astype("str") if ids is not None else pd.RangeIndex(len(rows)).astype("str")
    texts = DataFrame(rows.drop(columns="geometry")).astype("str").fillna("")
    texts["geometry"] = shapely.to_wkt(shapely.set_precision(rows.geometry.to_numpy(), 0.001))
    hashes = pd.util.hash_pandas_object(texts, index=False)
    return pd.Series(hashes.to_numpy(), index=pd.Index(index)).groupby(level=0).sum()


def _settings_that_differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Values]:
    flat, flat_other = _flat(one), _flat(other)
    keys = sorted({*flat, *flat_other})
    pairs = [{"key": key, "a": flat.get(key), "b": flat_other.get(key)} for key in keys]
    return [each for each in pairs if each["a"] != each["b"]]


def _flat(table: Mapping[str, Any], before: str = "") -> Values:
    flat: Values = {}
    for key, value in table.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return flat


# ── households and grids ─────────────────────────────────────────────────────────────────────────────


def _by_grid(rows: GeoDataFrame) -> pd.Series:
    """Households by id and grid, parts of a row in the same grid together; no grid is 0."""
    plain = DataFrame(rows[["household_id", "grid_id", "households"]]).fillna({"grid_id": 0})
    plain = plain.astype({"household_id": "str", "grid_id": "int64", "households": "int64"})
    return plain.groupby(["household_id", "grid_id"])["households"].sum()


def _together(earlier: GeoDataFrame, later: GeoDataFrame) -> DataFrame:
    """For every household in both plans and each pair of its grids: id, from, to and households in common."""
    one, other = (_by_grid(each).reset_index() for each in (earlier, later))
    pairs = one.merge(other, on="household_id", suffixes=("_a", "_b"))
    pairs["common"] = pairs[["households_a", "households_b"]].min(axis=1)
    return pairs


def _partners(earlier: GeoDataFrame, later: GeoDataFrame) -> dict[int, int]:
    """The grid of the later plan that each earlier grid became: most households stay, one to one.

    An assignment [1]_ of grids; among equal ones those that kept their number.

    References
    ----------
    .. [1] D. F. Crouse, "On implementing 2D rectangular assignment algorithms", IEEE Transactions on
       Aerospace and Electronic Systems 52, 2016, pp. 1679-1696.
    """
    pairs = _together(earlier, later)
    pairs = pairs[(pairs["grid_id_a"] > 0) & (pairs["grid_id_b"] > 0)]
    table = pairs.pivot_table(index="grid_id_a", columns="grid_id_b", values="common", aggfunc="sum")
    common = table.fillna(0).to_numpy(dtype=np.float64)
    same_number = table.index.to_numpy()[:, None] == table.columns.to_numpy()[None, :]
    one, other = linear_sum_assignment(common + 0.5 / (1 + len(table)) * same_number, maximize=True)
    kept = common[one, other] > 0
    numbers = zip(table.index.to_numpy()[one[kept]], table.columns.to_numpy()[other[kept]], strict=True)
    return {int(a): int(b) for a, b in numbers}


def _moved(earlier: GeoDataFrame, later: GeoDataFrame, partner: Mapping[int, int]) -> Values:
    """Who is in another grid than before, and who is in one of the plans only."""
    pairs = _together(earlier, later)
    became = pairs["grid_id_a"].map(partner).fillna(0).astype("int64")
    stays = (became == pairs["grid_id_b"]) & ((became > 0) | (pairs["grid_id_a"] == 0))
    before, after = _by_grid(earlier).groupby(level=0).sum(), _by_grid(later).groupby(level=0).sum()
    both = before.index.intersection(after.index)
    in_both = np.minimum(before.loc[both], after.loc[both])
    kept = pairs["common"].where(stays, 0).groupby(pairs["household_id"]).sum().reindex(both, fill_value=0)
    n_moved = (in_both - kept).clip(lower=0)
    moved = n_moved[n_moved > 0]
    left = pairs[pairs["household_id"].isin(moved.index) & ~stays]
    ways = left.groupby("household_id").agg(a=("grid_id_a", _numbers), b=("grid_id_b", _numbers))
    return {
        "n_both": len(both),
        "n_moved": len(moved),
        "households_both": int(in_both.sum()),
        "households_moved": int(moved.sum()),
        "n_gone": len(before.index.difference(after.index)),
        "n_new": len(after.index.difference(before.index)),
        "moved": [
            {
                "household_id": name,
                "households": int(n),
                "from_grids": ways["a"][name],
                "became_grids": sorted(partner[each] for each in ways["a"][name] if each in partner),
                "to_grids": ways["b"][name],
            }
            for name, n in moved.items()
        ],
        "gone": list(before.index.difference(after.index)),
        "new": list(after.index.difference(before.index)),
    }


def _numbers(grid_ids: pd.Series) -> list[int]:
    return sorted({int(each) for each in grid_ids if each > 0})


def _grids(earlier: Plan, later: Plan, partner: Mapping[int, int]) -> Values:
    """Grids that only changed their number, and those that one plan alone has."""
    one, other = ({int(each) for each in plan.layers["grids"]["grid_id"]} for plan in (earlier, later))
    renamed = [{"a": a, "b": b} for a, b in sorted(partner.items()) if a != b]
    return {
        "partners": {str(a): b for a, b in sorted(partner.items())},
        "renamed": renamed,
        "gone": sorted(one - set(partner)),
        "new": sorted(other - set(partner.values())),
    }


# ── sites ────────────────────────────────────────────────────────────────────────────────────────────


def _figures(earlier: Plan, later: Plan, section: str, keys: Sequence[str]) -> Values:
    return {
        name: {key: plan.summary[section].get(key) for key in keys}
        for name, plan in (("a", earlier), ("b", later))
    }


def _sited(earlier: Plan, later: Plan, name: str, code: str, keys: Sequence[str]) -> Values | None:
    """Figures of both plans and the sites that only one of them has; None where one lacks the part."""
    if name not in earlier.layers or name not in later.layers:
        return None
    return _figures(earlier, later, name, keys) | _changes(
        earlier.layers[name], later.layers[name], [code, "site_id", "status", "alley_id", "grid_id"]
    )


def _changes(one: GeoDataFrame, other: GeoDataFrame, columns: Sequence[str]) -> Values:
    """Rows that only one of two tables of sites has, in order of their codes."""
    other = other.to_crs(one.crs)
    ids, ids_other = one["site_id"].astype("str"), other["site_id"].astype("str")
    spots = other.geometry.set_axis(ids_other).reindex(ids)
    near = (spots.distance(one.geometry.set_axis(ids), align=False) <= _SAME_PLACE_M).to_numpy()
    kept = set(ids[near])
    return {
        "n_kept": len(kept),
        "added": _rows(other[~ids_other.isin(kept)], columns),
        "dropped": _rows(one[~ids.isin(kept)], columns),
    }


def _rows(rows: GeoDataFrame, columns: Sequence[str]) -> list[Values]:
    rows = rows.sort_values(list(columns), kind="stable")
    plain = DataFrame(rows[list(columns)]).astype(object)
    records = plain.where(plain.notna(), None).to_dict("records")
    return [
        {**{str(key): value for key, value in each.items()}, "x": round(at.x, 3), "y": round(at.y, 3)}
        for each, at in zip(records, rows.geometry, strict=True)
    ]


def _facilities(earlier: Plan, later: Plan) -> Values | None:
    """As lamps and boards, for each kind of facility that both plans have."""
    one, other = (each.summary.get("facilities") or {} for each in (earlier, later))
    told: Values = {}
    for name in sorted(set(one) & set(other)):
        rows, rows_other = (
            each.layers["facilities"][each.layers["facilities"]["facility"] == name]
            for each in (earlier, later)
        )
        figures = {
            key: {each: of.get(each) for each in _FACILITY}
            for key, of in (("a", one[name]), ("b", other[name]))
        }
        told[name] = figures | _changes(rows, rows_other, ["site_id", "status", "alley_id"])
    return told or None


def _costs(plan: Plan) -> Values:
    """What the new lamps and boards cost where it is known, and of how many it is known. [CNY]"""
    told: Values = {}
    for name, layer in (("lamps", "lamp_sites"), ("boards", "board_sites")):
        if name not in plan.layers:
            continue
        rows = plan.layers[name]
        new = rows.loc[rows["status"] != "existing", "site_id"].astype("str")
        sites = plan.site.layer(layer)
        cost = new.map(sites.set_index(sites["site_id"].astype("str"))["cost_cny"]).astype("float64")
        told[name] = {"new": len(new), "n_known": int(cost.notna().sum()), "known_cny": float(cost.sum())}
    return told


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────


def comparison_texts() -> dict[str, list[str]]:
    """Chinese and English of all that a comparison says, on the terminal and on its page."""
    text = (files("spatial") / "assets" / "compare.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def comparison_lines(comparison: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The comparison in a few sentences, each in Chinese and in English."""
    texts = comparison_texts()

    def say(key: str, **values: Any) -> tuple[str, str]:
        zh, en = (each.format(**values) for each in texts[key])
        return zh, en

    sites, moved = comparison["sites"], comparison["households"]
    told = {each: _told(comparison[each]) for each in ("a", "b")}
    lines = [say("plans", name=comparison["community"], **told)]
    if estimated := [each for each in ("a", "b") if comparison[each]["households_estimated"]]:
        lines.append(say("estimated", plans=" → ".join(told[each] for each in estimated)))
    lines += [say("site_differs", **each) for each in sites]
    if sites:
        lines.append(say("sites_differ"))
    if changed := comparison["settings"]:
        told = {
            "told": ", ".join(f"{each['key']} {_plain(each['a'])} → {_plain(each['b'])}" for each in changed)
        }
        lines.append(say("settings_differ", **told))
    if moved is not None:
        lines.append(say("moved", **moved))
        if moved["n_gone"] or moved["n_new"]:
            lines.append(say("gone_new", **moved))
    if (grids := comparison["grids"]) is not None:
        lines.append(say("grids", **_shown(grids)))
        if grids["renamed"]:
            lines.append(say("renamed", n=len(grids["renamed"])))
        if grids["gone"] or grids["new"]:
            lines.append(say("grids_gone_new", **{key: _listed(grids[key]) for key in ("gone", "new")}))
    if (lamps := comparison["lamps"]) is not None:
        lines += [say("lamps", **_shown(lamps)), say("lit", **_shown(lamps))]
        if lamps["a"]["way_lit_mean"] is not None and lamps["b"]["way_lit_mean"] is not None:
            lines.append(say("way_home", **_shown(lamps)))
    if (boards := comparison["boards"]) is not None:
        lines.append(say("boards", **_shown(boards)))
    for name, part in (comparison["facilities"] or {}).items():
        lines.append(say("facility", name=name, **_shown(part)))
    for name in ("lamps", "boards"):
        lines += _cost_lines(comparison["cost_cny"], name, say)
    if comparison["a"]["n_faults"] or comparison["b"]["n_faults"]:
        lines.append(say("faults", a=comparison["a"]["n_faults"], b=comparison["b"]["n_faults"]))
    return lines


def _cost_lines(
    costs: Mapping[str, Any], name: str, say: Callable[..., tuple[str, str]]
) -> list[tuple[str, str]]:
    """What new lamps or boards cost, where the cost of any is known."""
    if not all(name in costs[each] for each in ("a", "b")) or not any(
        costs[each][name]["n_known"] for each in ("a", "b")
    ):
        return []
    values = {f"{key}_{each}": costs[each][name][key] for each in ("a", "b") for key in costs[each][name]}
    return [say(f"cost_{name}", **values)]


def _told(plan: Mapping[str, Any]) -> str:
    return f"{plan['plan_id']} ({plan['date']})" if plan["date"] else str(plan["plan_id"])


def _shown(part: Mapping[str, Any]) -> dict[str, str]:
    """Every figure of both plans as people read it (``lit_m_a``, ``lit_m_b``), and counts of changes."""
    figures = {f"{key}_{each}": _figure(key, part[each][key]) for each in ("a", "b") for key in part[each]}
    if "lit_m" in part["a"]:
        figures["more_m"] = f"{part['b']['lit_m'] - part['a']['lit_m']:+,.0f}"
    return figures | {key: str(len(part[key])) for key in ("added", "dropped") if key in part}


def _figure(key: str, value: Any) -> str:
    if value is None:
        return "–"
    if key == "gap":
        return f"{value:.2%}"
    if key.endswith("share") or key.startswith(("share", "way_lit")):
        return f"{value:.1%}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.1f}"
    return str(value)


def _plain(value: Any) -> str:
    return "–" if value is None else str(value)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "–"
