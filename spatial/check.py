"""What a folder holds, how it was understood, and everything that planning it would meet; plans nothing.

Reading tells what is wrong with each layer. Beyond that whatever can be built of the sound layers is
looked at as planning would: the network with its repairs, the households of each part against the
limits of a grid, the sites against the numbers asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely

from spatial.crs import crs_name
from spatial.errors import DataError, Remark, by_kind, doubt, fault
from spatial.gaps import near_ends, road_edges, told_parts
from spatial.load import Reading, Site, examine_folder, write_layers, write_styles
from spatial.load.facts import LayerFacts, RasterFacts, spots_on
from spatial.schema import LAYERS
from spatial.settings import Settings

if TYPE_CHECKING:
    from spatial.network import AlleyNetwork

__all__ = ["Checked", "check_folder", "check_lines", "write_check"]

#: Sites nearer to each other than this are one place drawn twice. [m]
_ONE_PLACE_M = 0.05
#: The layer whose sites the settings of a section choose from.
_SITED = {"lamps": "lamp_sites", "boards": "board_sites"}
#: A house farther from all alleys belongs to another place, or its coordinates are wrong. [m]
_NEXT_VILLAGE_M = 500.0
_NO_METRES = pyproj.CRS.from_epsg(4326)


@dataclass(frozen=True)
class Checked:
    """A folder as found: what each layer is, and every fault, doubt, repair and guess."""

    reading: Reading
    remarks: tuple[Remark, ...]  # of settings, reading and what would be planned on

    @property
    def faults(self) -> list[Remark]:
        """What has to be mended before anything can be planned."""
        return [each for each in self.remarks if each.kind == "fault"]

    def to_json(self) -> dict[str, Any]:
        """The object that ``check --json`` prints."""
        crs = self.reading.crs
        used = {name: len(each) for name, each in self.reading.frames.items()}
        return {
            "community": self.reading.community,
            "crs": crs.to_string() if crs is not None else None,
            "rows": used if self.reading.site is not None else {},
            "layers": [_layer_json(each) for each in self.reading.facts],
            **by_kind(self.remarks),
        }

    def points(self) -> gpd.GeoDataFrame:
        """A point on every place or row that a remark is about, also where its layer can't be used.

        Returns
        -------
        GeoDataFrame
            kind, code, layer, column, id, message, remedy, x, y; in the site's CRS, in degrees where there
            is none. A row without a place is left out.
        """
        crs = self.reading.crs or _NO_METRES
        places = {each.layer: _places(each, self.reading, crs) for each in self.reading.facts}
        rows = [
            (each.kind, each.code, each.layer, each.column, name, each.message, each.remedy, place)
            for each in self.remarks
            for name, place in _located(each, places.get(each.layer, {}))
        ]
        names = ("kind", "code", "layer", "column", "id", "message", "remedy")
        table = pd.DataFrame({name: [row[i] for row in rows] for i, name in enumerate(names)}, dtype="str")
        geometry = gpd.GeoSeries([row[-1] for row in rows], crs=crs)
        return gpd.GeoDataFrame(table.assign(x=geometry.x, y=geometry.y), geometry=geometry, crs=crs)


def check_folder(folder: Path, settings: Settings, *, faults: Sequence[Remark] = ()) -> Checked:
    """Read a folder and look at all that planning it would meet.

    Parameters
    ----------
    folder : Path
    settings : Settings
    faults : sequence of Remark
        Those of the settings themselves.

    Raises
    ------
    DataError
        The folder is missing or is no folder.
    """
    from spatial.plan import not_built

    reading = examine_folder(folder, settings)
    remarks = [*faults, *reading.remarks, *(fault("setting-unbuilt", each) for each in not_built(settings))]
    if reading.crs is not None and "alleys" in reading.frames:
        site = reading.site or Site(
            reading.community, reading.crs, reading.frames, reading.elevation, (), reading.remarks
        )
        sections = {each.column.partition(".")[0] for each in faults}
        remarks += _of_network(site, settings, at_fault=_SITED.keys() & sections)
    ranks = ("fault", "doubt", "note")
    return Checked(reading, tuple(sorted(remarks, key=lambda each: ranks.index(each.kind))))


def write_check(checked: Checked, folder: Path, text: str) -> None:
    """``check.json`` with ``text`` and ``check.gpkg`` with a point for every row a remark is about."""
    (folder / "check.json").write_text(text, encoding="utf-8")
    points = checked.points()
    write_layers({"remarks": points}, folder / "check.gpkg", crs=points.crs, geometry={"remarks": "Point"})
    write_styles(["remarks"], folder / "check.gpkg")


# ── what planning would meet ─────────────────────────────────────────────────────────────────────────


def _of_network(site: Site, settings: Settings, *, at_fault: Set[str]) -> list[Remark]:
    """``at_fault`` names settings of sites that can't be read: the usual ones in their place say nothing."""
    from spatial.network import build_network

    try:
        network = build_network(site, settings)
    except DataError as error:
        return [fault("network-refused", str(error), layer="alleys")]
    remarks = [*network.remarks, *near_ends(network), *road_edges(network)]
    if "households" in site.layers:
        apart = any(e.code == "layers-apart" and e.layer in ("alleys", "households") for e in site.remarks)
        remarks += [] if apart else _of_households(site, network, settings)
    broken = {each.layer for each in site.remarks if each.kind == "fault"}
    for section, layer in _SITED.items():
        if section not in at_fault and layer not in broken:
            remarks += _of_sites(site, network, settings, layer)
    remarks += _of_facilities(site, settings)
    return remarks if at_fault or broken else [*remarks, *_of_plan(site, network, settings)]


def _of_plan(site: Site, network: AlleyNetwork, settings: Settings) -> Iterator[Remark]:
    """What else planning refuses of a site without faults: locks against the map, weights of nobody."""
    from spatial.grids import check_grids
    from spatial.siting import check_weight

    if "households" in site.layers:
        yield from _refused("grids-refused", lambda: check_grids(site, network, settings))
    yield from _refused("lamps-refused", lambda: check_weight(site, network, settings))


def _refused(code: str, attempt: Callable[[], object]) -> Iterator[Remark]:
    """A fault in the words of what planning raises."""
    try:
        attempt()
    except DataError as error:
        yield fault(code, "; ".join((str(error).split("\n")[0], *error.faults)))


def _of_households(site: Site, network: AlleyNetwork, settings: Settings) -> list[Remark]:
    """Households beyond the alleys, parts of the alleys by themselves, rows above the maximum."""
    from spatial.network import doors

    rows, grids = site.layers["households"], settings.grids
    ids = rows["household_id"].to_numpy(dtype=object)
    count = rows["households"].to_numpy(dtype=np.int64, na_value=1)
    part = doors(site, network, settings).part
    remarks = []
    if (far := part < 0).any():
        away_m = shapely.distance(
            rows.geometry.to_numpy()[far], shapely.multilinestrings(network.edge_lines)
        ).max()
        text = f"{int(far.sum()):,} are farther than {settings.input.max_access_m:g} m from any alley"
        text += f", up to {away_m:,.0f} m"
        remedy = "draw the alleys that lead to them; they go to the grid of their nearest neighbour"
        if away_m > _NEXT_VILLAGE_M:
            remedy = f"correct their coordinates, or {remedy}"
        remarks.append(doubt("household-far", text, layer="households", ids=ids[far], remedy=remedy))
    parts, n_odd = told_parts(network, rows, part, grids)
    remarks += parts
    fewest = -(-int(count.sum()) // grids.max_households)
    most = int(count.sum()) // grids.min_households + n_odd  # a part has a grid even where it is too small
    if grids.n_grids is not None and not fewest <= grids.n_grids <= most:
        text = (
            f"grids.n_grids is {grids.n_grids}, but {int(count.sum()):,} households make {fewest} to {most}"
        )
        remarks.append(fault("n-grids-unreachable", text, layer="households", remedy="set it within them"))
    if (large := count > grids.max_households).any() and not grids.split_buildings:
        text = f"{int(large.sum()):,} rows have more than grids.max_households = {grids.max_households}"
        remedy = "set grids.split_buildings = true, or raise the maximum"
        remarks.append(
            doubt("household-large", text, layer="households", column="households", ids=ids[large],
                  remedy=remedy)
        )  # fmt: skip
    return remarks


def _of_sites(site: Site, network: AlleyNetwork, settings: Settings, layer: str) -> list[Remark]:
    """Sites as planning would meet them, on top of each other and too far from any alley."""
    remarks = _against_numbers(site, network, settings, layer)
    sites = site.layer(layer)
    if sites.empty:
        return remarks
    ids = sites["site_id"].to_numpy(dtype=object)
    reach_m = settings.lamps.reach_m if layer == "lamp_sites" else settings.input.max_access_m
    points = shapely.point_on_surface(sites.geometry.to_numpy())
    one, two = shapely.STRtree(points).query(points, predicate="dwithin", distance=_ONE_PLACE_M)
    if len(doubled := np.unique(one[one != two])):
        text = f"{len(doubled):,} lie on top of another"
        remedy = "delete one of each two, or move it to where it stands"
        remarks.append(doubt("sites-doubled", text, layer=layer, ids=ids[doubled], remedy=remedy))
    _, away_m = shapely.STRtree(network.edge_lines).query_nearest(
        points, all_matches=False, return_distance=True
    )
    if (far := away_m > reach_m).any():
        text = f"{int(far.sum()):,} are farther than {reach_m:g} m from any alley and serve none"
        remedy = "correct their coordinates, or delete them"
        remarks.append(doubt("sites-far", text, layer=layer, ids=ids[far], remedy=remedy))
    return remarks


def _against_numbers(site: Site, network: AlleyNetwork, settings: Settings, layer: str) -> list[Remark]:
    """Faults of the sites, given or made along the alleys, against the numbers that are asked for."""
    from spatial.network import snap_points
    from spatial.siting import candidate_sites, check_boards, check_lamps, standing

    sites, _ = candidate_sites(site, network, settings, layer=layer)
    if layer == "lamp_sites":
        return check_lamps(sites, settings)
    if "households" not in site.layers:  # for whom boards would stand
        return []
    stops = snap_points(
        network,
        sites.geometry.to_numpy(),
        max_access_m=settings.input.max_access_m,
        barriers=site.layer("barriers"),
    )
    may = standing(sites, stops.edge < 0, apart_m=settings.boards.apart_m)
    return check_boards(sites, settings, may=may)


def _of_facilities(site: Site, settings: Settings) -> Iterator[Remark]:
    if not settings.facility or "households" not in site.layers:
        return
    from spatial.siting import check_facility

    for name in sorted(settings.facility):
        yield from _refused("facility-refused", partial(check_facility, site, settings, name))


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────


def check_lines(checked: Checked) -> Iterator[str]:
    """What was found as text: each layer with all that is said of it, then what is of no layer."""
    facts = {each.layer: each for each in checked.reading.facts}
    for name in LAYERS:
        said = [each for each in checked.remarks if each.layer == name]
        if name in facts:
            yield from _layer_lines(facts[name])
        elif said:
            yield f"{name} {LAYERS[name].zh}"
        for each in said:
            yield f"    {each.kind}: {replace(each, layer='')}"
    for each in checked.remarks:
        if each.layer not in LAYERS:
            yield f"{each.kind}: {each}"


def _layer_lines(facts: LayerFacts) -> Iterator[str]:
    yield f"{facts.layer} {LAYERS[facts.layer].zh}: {facts.source}"
    crs = f"{crs_name(facts.crs)} (by {facts.crs_by})" if facts.crs is not None else "CRS unknown"
    datum = f", datum {facts.datum} (by {facts.datum_by})" if facts.datum else ""
    if facts.raster is not None:
        yield f"    {_raster(facts.raster)}; {crs}{datum}"
    if facts.n_rows is None:
        return
    yield f"    {facts.n_rows:,} rows, {facts.n_used:,} used; {crs}{datum}; text {facts.encoding}"
    if facts.columns:
        yield "    columns: " + ", ".join(_column(name, facts) for name in facts.columns)


def _raster(about: RasterFacts) -> str:
    """Cells, band, heights and how much of the alleys they cover."""
    size = f" of {about.cell_m[0]:.3g} x {about.cell_m[1]:.3g} m" if about.cell_m is not None else ""
    band = f", band {about.band} of {about.bands}" if about.band is not None else f", {about.bands} bands"
    text = f"{about.columns:,} x {about.rows:,} cells{size}{band}, {about.dtype}"
    if about.low_m is not None and about.high_m is not None:
        text += f"; {about.low_m:,.1f} to {about.high_m:,.1f} m high around the site"
    return f"{text}; {about.share_alleys:.0%} of the alleys covered"


def _column(name: str, facts: LayerFacts) -> str:
    heading = facts.columns[name]
    if name in facts.guessed:
        return f"{name} ← {heading} (guessed)"
    return name if heading == name else f"{name} ← {heading}"


def _layer_json(facts: LayerFacts) -> Mapping[str, Any]:
    return {
        "layer": facts.layer,
        "file": facts.source.path.name,
        "table": facts.source.table,
        "rows": facts.n_rows,
        "used": facts.n_used,
        "crs": crs_name(facts.crs) if facts.crs is not None else None,
        "crs_by": facts.crs_by,
        "datum": facts.datum,
        "datum_by": facts.datum_by,
        "encoding": facts.encoding,
        "encoding_by": facts.encoding_by,
        "columns": dict(facts.columns),
        "guessed": list(facts.guessed),
        **({"raster": asdict(facts.raster)} if facts.raster is not None else {}),
    }


def _located(remark: Remark, places: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The places that a remark names, else those of its rows."""
    if remark.spots:
        yield from ((name, shapely.Point(x, y)) for name, x, y in remark.spots)
    else:
        yield from ((name, places[name]) for name in remark.ids if name in places)


def _places(facts: LayerFacts, reading: Reading, crs: pyproj.CRS) -> dict[str, Any]:
    """A point for each name by which a remark may call a row: its label in the file, its id in the site."""
    places = dict(zip(*(each.tolist() for each in facts.places(crs)), strict=True))
    column = LAYERS[facts.layer].id_column
    if column is not None and facts.layer in reading.frames:
        rows = reading.frames[facts.layer]
        places.update(zip(rows[column].tolist(), spots_on(rows.geometry.to_numpy()).tolist(), strict=True))
    return places
