"""A plan: made from a site, kept in a folder, read back from it.

``make_plan`` runs the parts (grids, lamps, boards) and joins their tables into the layers of the
contract.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from pandas import DataFrame

from spatial.earlier import EarlierPlan, kept_codes, planned_grids, refuse_other
from spatial.errors import DataError, Remark, by_kind
from spatial.gaps import parts_in_brief, road_edges
from spatial.grids import GridPlan, keeping_grids, plan_grids
from spatial.load import PANDAS_DTYPES, Site, read_site_layers, write_layers, write_site_layers, write_styles
from spatial.load.contract import shape_faults
from spatial.load.folder import read_arrays, read_plan_layers, read_summary
from spatial.network import AlleyNetwork, build_network, doors
from spatial.notebook import draw_layers, map_layers, plan_html
from spatial.schema import LAYERS, PLAN_LAYERS, PlanLayer
from spatial.settings import Settings
from spatial.siting import (
    BoardPlan,
    FacilityPlan,
    LampPlan,
    check_facility,
    grid_at,
    lamps_in_sight,
    light_shares,
    plan_boards,
    plan_facility,
    plan_lamps,
    usable_lamp_sites,
)

if TYPE_CHECKING:
    import folium
    from matplotlib.axes import Axes

__all__ = ["PARTS", "Plan", "make_plan", "not_built", "read_plan", "write_plan"]

PARTS = ("grids", "lamps", "boards", "facilities")
Report = Callable[[str], None]

#: Packages whose versions can change a figure; they stand in the summary.
_VERSIONED = (
    "alleyplan",
    "geopandas",
    "highspy",
    "numba",
    "numpy",
    "pandas",
    "pyogrio",
    "pyproj",
    "scipy",
    "shapely",
)


@dataclass(frozen=True)
class Plan:
    """Layers of ``plan.gpkg``, figures of ``summary.json``, the site planned on, and bounds' multipliers."""

    layers: Mapping[str, Any]  # GeoDataFrame or DataFrame by the names of schema.PLAN_LAYERS
    summary: Mapping[str, Any]
    site: Site
    bounds: Mapping[str, NDArray[Any]]

    @property
    def faults(self) -> list[dict[str, Any]]:
        """The promises this plan could not keep, each with its reason."""
        return list(self.summary["faults"])

    @property
    def households_estimated(self) -> bool:
        """Whether households were not counted but estimated from buildings, which whoever shows them says."""
        told = (*self.summary["doubts"], *self.summary["notes"])  # notes: in plans of earlier versions
        return any(each["code"] == "households-estimated" for each in told)

    def __repr__(self) -> str:
        planned = ", ".join(f"{len(self.layers[each])} {each}" for each in PARTS if each in self.layers)
        return f"Plan({self.summary['plan_id']}: {planned}; {len(self.faults)} faults)"

    def _repr_html_(self) -> str:
        """The plan's figures with their bounds, for a notebook."""
        return plan_html(self.site.community, self.summary)

    def explore(self, m: folium.Map | None = None) -> folium.Map:
        """The plan on a folium map, or on the map given, which is returned; see :func:`map_layers`."""
        return map_layers(self.layers, m)

    def plot(self, ax: Axes | None = None) -> Axes:
        """The plan drawn with matplotlib, on the axes given or on new ones; see :func:`draw_layers`."""
        return draw_layers(self.layers, ax)


@dataclass(frozen=True)
class _Parts:
    """What was planned; None for a part that was left out."""

    grids: GridPlan | None
    lamps: LampPlan | None
    boards: BoardPlan | None
    facilities: Mapping[str, FacilityPlan] | None  # None also where the settings name none

    @property
    def planned(self) -> list[GridPlan | LampPlan | BoardPlan]:
        return [each for each in (self.grids, self.lamps, self.boards) if each is not None]

    @property
    def remarks(self) -> list[Remark]:
        every = [*self.planned, *(self.facilities or {}).values()]
        return [remark for part in every for remark in part.remarks]


def make_plan(
    site: Site,
    settings: Settings,
    *,
    only: Sequence[str] = PARTS,
    earlier: EarlierPlan | None = None,
    report: Report = lambda stage: None,
) -> Plan:
    """Plan grids, lamps and boards for a checked site.

    Parameters
    ----------
    site : Site
        Checked layers in one metric CRS.
    settings : Settings
        Same site and settings give the same plan, whatever the machine's threads or speed.
    only : sequence of {"grids", "lamps", "boards"}
        The parts to plan; the summary's other sections are null.
    earlier : EarlierPlan, optional
        A plan whose grids are kept wherever they can be, with their numbers and those of branches and
        workers; lamps and boards are sited anew, and one that stands where one stood keeps its code.
    report : callable
        Told the name of each stage as it begins.

    Raises
    ------
    DataError
        A part or setting asks for what the site or ``only`` leaves out, or the earlier plan can't be kept.
    InfeasibleError
        Nothing at all can be planned.
    """
    _check_parts(site, settings, only)
    for name in settings.facility if "facilities" in only else ():
        check_facility(site, settings, name)
    if earlier is not None:
        _check_earlier(earlier, site, settings, only)
    report("network")
    network = build_network(site, settings)
    grids = lamps = boards = None
    if "grids" in only:
        report("grids")
        grids = plan_grids(site, network, settings, earlier=earlier)
    for each in _in_order(only, settings):
        report(each)
        if each == "lamps":
            lamps = plan_lamps(site, network, settings, in_light=_to_be_lit(boards, settings))
        else:
            areas = None if grids is None else grids.grids
            shining = _light_for_boards(site, network, settings, lamps)
            boards = plan_boards(site, network, settings, areas=areas, lamps=shining)
    facilities = None
    if "facilities" in only and settings.facility:
        report("facilities")
        names = sorted(settings.facility)
        facilities = {name: plan_facility(site, network, settings, name) for name in names}
    report("summary")
    parts = _Parts(grids, lamps, boards, facilities)
    layers = _join(site, network, settings, parts, earlier)
    remarks = [*site.remarks, *network.remarks, *_gaps(site, network, settings), *parts.remarks]
    summary = _summary(site, settings, remarks, parts, earlier)
    if boards is not None and lamps is not None:
        summary["boards"]["n_lit_at_night"] = int(layers["boards"]["lit_at_night"].sum())
    bounds = {key: value for part in parts.planned for key, value in part.bounds.items()}
    if grids is not None:
        bounds |= planned_grids(layers["households"])
    if facilities:
        for key in ("walk", "far", "served"):
            bounds[f"facilities_{key}"] = np.concatenate([each.prices[key] for each in facilities.values()])
        n_made = [len(each.made_xy) for each in facilities.values()]
        x, y = np.concatenate([each.made_xy for each in facilities.values()]).T
        bounds |= {"facilities_made_kind": np.repeat(np.arange(len(n_made)), n_made)}
        bounds |= {"facilities_made_x": x, "facilities_made_y": y}
    if facilities is not None and site.elevation is not None:
        bounds |= {
            "elevation": site.elevation.values,
            "elevation_transform": np.array(site.elevation.transform),
        }
    return Plan(layers, summary, _site_as_planned(site, network, parts), bounds)


def _gaps(site: Site, network: AlleyNetwork, settings: Settings) -> list[Remark]:
    """Doubts of the alleys as they are drawn, in brief; ``check`` tells each place."""
    told = road_edges(network)
    if "households" in site.layers:
        told += parts_in_brief(network, site.layers["households"], doors(site, network, settings).part)
    return told


def _in_order(only: Sequence[str], settings: Settings) -> list[str]:
    """Lamps before boards, unless every board must have a lamp: then lamps are sited to light them too."""
    order = ("boards", "lamps") if settings.boards.lit_at_night == "require" else ("lamps", "boards")
    return [each for each in order if each in only]


def _to_be_lit(boards: BoardPlan | None, settings: Settings) -> GeoDataFrame | None:
    """New boards that are planned already and must be lit at night."""
    if boards is None or settings.boards.lit_at_night != "require":
        return None
    return boards.boards[boards.boards["status"] != "existing"].reset_index(drop=True)


def _light_for_boards(
    site: Site, network: AlleyNetwork, settings: Settings, lamps: LampPlan | None
) -> GeoDataFrame | None:
    """The lamps that boards may be sited by: those that shine, or with ``require`` all that may."""
    if settings.boards.lit_at_night == "require":
        return usable_lamp_sites(site, network, settings)
    return None if lamps is None else lamps.lamps


def _check_parts(site: Site, settings: Settings, only: Sequence[str]) -> None:
    """Every setting that needs a part or layer which is not there, told together."""
    faults = [f"--only {each} is not one of {', '.join(PARTS)}" for each in only if each not in PARTS]
    if "households" not in site.layers:
        faults += [
            f"{each} need households: add a households layer, or plan with --only lamps"
            for each in ("grids", "boards")
            if each in only
        ]
        if "facilities" in only and settings.facility:
            faults.append("[facility] needs households: add a households layer, or leave it out")
    if "boards" in only and settings.boards.one_per_grid and "grids" not in only:
        faults.append("boards.one_per_grid needs the grids; add them to --only or set it to false")
    if "boards" in only and settings.boards.lit_at_night != "off" and "lamps" not in only:
        how = settings.boards.lit_at_night
        faults.append(f"boards.lit_at_night = {how} needs the lamps; add them to --only or set it to off")
    faults += not_built(settings)
    if not only:
        faults.append(f"--only is empty; name at least one of {', '.join(PARTS)}")
    if faults:
        raise DataError("this can't be planned as asked", faults)


def not_built(settings: Settings) -> list[str]:
    """A sentence for each section of the settings that nothing is planned by yet."""
    usual = Settings()
    return [
        f"[{section}] is not built yet; leave it out"
        for section in ("light", "works")
        if getattr(settings, section) != getattr(usual, section)
    ]


def _check_earlier(earlier: EarlierPlan, site: Site, settings: Settings, only: Sequence[str]) -> None:
    if "grids" not in only:
        raise DataError("--keep keeps grids; add them to --only, or leave --keep out")
    refuse_other(earlier, site, settings)


# ── joining the parts into the layers of the contract ────────────────────────────────────────────────


def _join(
    site: Site, network: AlleyNetwork, settings: Settings, parts: _Parts, earlier: EarlierPlan | None
) -> dict[str, Any]:
    grids, lamps, boards = parts.grids, parts.lamps, parts.boards
    layers: dict[str, Any] = {"alleys": _alleys(site, network, settings, parts)}
    if grids is not None:
        layers["grids"] = grids.grids
        layers["zones"] = grids.zones
    ways = None if lamps is None else lamps.ways
    if grids is not None or boards is not None or ways is not None:
        layers["households"] = _households(site, network, settings, parts)
    if lamps is not None:
        layers["lamps"] = lamps.lamps.assign(grid_id=grid_at(lamps.lamps, grids and grids.grids))
        layers["stretches"] = lamps.stretches
        layers["lamp_ranking"] = lamps.ranking
        layers["lamp_curve"] = lamps.curve
        layers["light_shares"] = _light_shares(site, network, lamps, grids)
    if boards is not None:
        layers["boards"] = _boards(site, settings, parts)
    if parts.facilities is not None:
        kinds = parts.facilities.values()
        points = pd.concat([each.sites for each in kinds], ignore_index=True)
        layers["facilities"] = points.assign(grid_id=grid_at(points, grids and grids.grids))
        layers["facility_walks"] = pd.concat([each.walks for each in kinds], ignore_index=True)
    if earlier is not None:
        given = {"lamps": ("lamp_code", earlier.lamps), "boards": ("board_code", earlier.boards)}
        for name, (code, before) in given.items():
            if name in layers:
                xy = layers[name][["x", "y"]].to_numpy(dtype=np.float64)
                layers[name] = layers[name].assign(**{code: kept_codes(layers[name][code], xy, before)})
    return {name: _conform(layers[name], each) for name, each in PLAN_LAYERS.items() if name in layers}


def _households(site: Site, network: AlleyNetwork, settings: Settings, parts: _Parts) -> GeoDataFrame:
    """One row per household, or per part of a split one, with its grid, board and way home."""
    grids = parts.grids
    rows = _plain_households(site, network, settings) if grids is None else grids.households
    if parts.boards is not None:
        rows = rows.merge(parts.boards.households, on="household_id", how="left", validate="many_to_one")
    if parts.lamps is not None and parts.lamps.ways is not None:
        share = parts.lamps.ways.lit_share(parts.lamps.lit)
        way = pd.Series(share, index=site.layers["households"]["household_id"])
        rows = rows.assign(share_way_lit=rows["household_id"].map(way))
    return rows


def _light_shares(site: Site, network: AlleyNetwork, lamps: LampPlan, grids: GridPlan | None) -> DataFrame:
    """What light each grid and each village group has; of a split household the first part's grid counts."""
    if lamps.ways is None:
        return DataFrame(columns=[each.name for each in PLAN_LAYERS["light_shares"].columns])
    grid_id = None
    if grids is not None:
        grid_id = grids.households.drop_duplicates("household_id").set_index("household_id")["grid_id"]
    return light_shares(site.layers["households"], grid_id, network, lamps.ways, lamps.lit)


def _plain_households(site: Site, network: AlleyNetwork, settings: Settings) -> GeoDataFrame:
    """Households with their doors and no grid, for a plan of boards alone."""
    households = site.layers["households"]
    at_door = shapely.points(doors(site, network, settings).point_xy)
    return households.set_geometry(gpd.GeoSeries(at_door, crs=site.crs)).assign(part=0)


def _boards(site: Site, settings: Settings, parts: _Parts) -> GeoDataFrame:
    """Boards with the grid they stand in, the role that keeps each, and whether a lamp is in sight."""
    boards, grids, lamps = parts.boards, parts.grids, parts.lamps
    assert boards is not None
    grid_id = grid_at(boards.boards, grids and grids.grids)
    rows = boards.boards.assign(grid_id=grid_id)
    if lamps is not None:
        seen = lamps_in_sight(rows, lamps.lamps, site.layer("buildings"), settings)
        rows = rows.assign(lit_at_night=np.diff(seen.indptr) > 0)
    if grids is None:
        return rows
    roles = grids.grids.set_index("grid_id")["name"].map("{}党小组".format)
    return rows.assign(keeper_role=grid_id.map(roles))


def _alleys(site: Site, network: AlleyNetwork, settings: Settings, parts: _Parts) -> GeoDataFrame:
    """Alleys with their length and light, and the grid that keeps each."""
    grids = parts.grids
    if parts.lamps is not None:
        alleys = parts.lamps.alleys
    else:
        length_m = np.bincount(network.edge_alley, network.edge_length_m, minlength=len(network.alleys))
        alleys = network.alleys.assign(length_m=length_m)
    if grids is None:
        return alleys
    return alleys.assign(grid_id=keeping_grids(alleys, grids, site, network, settings))


def _conform(rows: Any, layer: PlanLayer) -> Any:
    """The layer with the contract's columns in their order and types, sorted by its key."""
    empty = pd.Series(None, index=rows.index, dtype=object)
    table = {
        each.name: rows.get(each.name, empty).astype(PANDAS_DTYPES[each.dtype]) for each in layer.columns
    }
    frame = DataFrame(table, index=rows.index)
    if layer.geometry is not None:
        frame = GeoDataFrame(frame, geometry=_multi(rows.geometry, layer.geometry), crs=rows.crs)
    return frame.sort_values(list(layer.key), kind="stable", ignore_index=True)


def _multi(shapes: gpd.GeoSeries, geometry: str) -> NDArray[Any]:
    """Single parts lifted to multiparts where the layer holds multiparts, so that a layer has one type."""
    values = shapes.to_numpy()
    lift = {"MultiPolygon": shapely.multipolygons, "MultiLineString": shapely.multilinestrings}.get(geometry)
    if lift is None:
        return values
    parts, owner = shapely.get_parts(values, return_index=True)
    filled, owner = np.unique(owner, return_inverse=True)
    lifted = np.full(len(values), getattr(shapely, geometry)())
    lifted[filled] = lift(parts, indices=owner)
    return lifted


def _site_as_planned(site: Site, network: AlleyNetwork, parts: _Parts) -> Site:
    """The site after repairs, with every candidate site used, as ``audit`` needs it."""
    layers = {**site.layers, "alleys": network.alleys}
    for name, part in (("lamp_sites", parts.lamps), ("board_sites", parts.boards)):
        if part is not None:
            columns = [each.name for each in LAYERS[name].columns]
            layers[name] = part.sites[[*columns, "geometry"]]
    return replace(site, layers={name: layers[name] for name in LAYERS if name in layers})


# ── the summary ──────────────────────────────────────────────────────────────────────────────────────


def _summary(
    site: Site,
    settings: Settings,
    remarks: Sequence[Remark],
    parts: _Parts,
    earlier: EarlierPlan | None,
) -> dict[str, Any]:
    """``summary.json`` as plain values, in the order of the contract."""
    plain = settings.to_dict()
    plain["work"].pop("threads")  # decides the time a plan takes, never the plan
    about = {
        "crs": site.crs.to_string(),
        "seed": settings.work.seed,
        "versions": {name: version(name) for name in _VERSIONED} | _engine_versions(),
        "inputs": [{"file": each.file, "sha256": each.sha256} for each in site.inputs],
        "kept": earlier and {"plan_id": earlier.plan_id, "sha256": earlier.sha256},
        "settings": plain,
    }
    sections = {
        "grids": parts.grids and _plain(parts.grids.figures),
        "lamps": parts.lamps and _plain(parts.lamps.figures),
        "boards": parts.boards and _plain(parts.boards.figures),
        "facilities": parts.facilities
        and {name: _plain(each.figures) for name, each in parts.facilities.items()},
    }
    planned = [name for name, section in sections.items() if section is not None]
    plan_id = hashlib.sha256(json.dumps([about, planned], sort_keys=True).encode()).hexdigest()[:12]
    community = {"folder": site.community, **plain["community"]}
    return {"community": community, "plan_id": plan_id, **about, **by_kind(remarks), **sections}


def _engine_versions() -> dict[str, str]:
    return {
        "geos": shapely.geos_version_string,
        "gdal": ".".join(map(str, pyogrio.__gdal_version__)),
    }


def _plain(value: Any) -> Any:
    """Numbers, text, lists and dicts of plain Python; a figure that is not a number becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


# ── the plan folder ──────────────────────────────────────────────────────────────────────────────────


def write_plan(plan: Plan, folder: Path) -> None:
    """Write plan.gpkg, site.gpkg, summary.json and bounds.npz into an empty folder, same plan same bytes."""
    write_layers(dict(plan.layers), folder / "plan.gpkg", crs=plan.site.crs)
    styled = [name for name in plan.layers if PLAN_LAYERS[name].geometry is not None]
    write_styles(styled, folder / "plan.gpkg")
    write_site_layers(plan.site, folder / "site.gpkg")
    text = json.dumps(plan.summary, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
    np.savez_compressed(folder / "bounds.npz", allow_pickle=False, **dict(sorted(plan.bounds.items())))


def read_plan(folder: Path) -> Plan:
    """Read a plan folder back.

    Raises
    ------
    DataError
        The folder is missing, is no plan, or one of its files can't be read or is not as the contract says.
    """
    missing = [each for each in ("summary.json", "plan.gpkg", "site.gpkg") if not (folder / each).is_file()]
    if missing:
        raise DataError(
            f"{folder} is not a plan folder: {', '.join(missing)} missing; give the folder that plan wrote"
        )
    summary = read_summary(folder / "summary.json")
    site = read_site_layers(folder / "site.gpkg")
    layers = read_plan_layers(folder / "plan.gpkg", PLAN_LAYERS)
    faults = list(shape_faults(layers, summary, site))
    if faults:
        raise DataError(f"{folder} is not as plan wrote it; plan again", faults)
    return Plan(
        {name: _conform(rows, PLAN_LAYERS[name]) for name, rows in layers.items()},
        summary,
        site,
        read_arrays(folder / "bounds.npz"),
    )
