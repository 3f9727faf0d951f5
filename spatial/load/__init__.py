"""A community folder → a checked :class:`Site`; every repair and guess is recorded, never silent.

sources   which file holds which layer
formats   which reader reads which file
raw       what a reader is given and gives back
geopackage, geojson, tables, shapefile, columnar, kml, drawing   one reader for each format
dbase     the table of a shapefile
encodings, mojibake           which encoding text is in, and text that was read in the wrong one
workbook, coordinates         cells of spreadsheets, and coordinates as people write them
drawn, labels                 shapes of a drawing, and what its texts name
markup    XML and archives within bounds
headings  which column a heading means
columns   values of the contract's types
shapes    flat, single-part, valid geometry
stated    statements about a layer that its file has no use for
exactness coordinates that are rounded, or one and the same for many rows
layers    one layer, checked and brought to the metric system
facts     what is known of a layer's file, and where its rows lie
complete  what the layers say together
plausible what can be so and hardly is
whereabouts  whether the layers lie together, and what would put a lost one among the others
datums    which layers lie beside the others by the shift of a Chinese map
elevation heights, from the geotiff that holds them and the worldfile beside it
store     ``site.gpkg`` of a plan folder
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import pyproj
import shapely

from spatial.crs import crs_name, working_crs
from spatial.errors import DataError, Remark, doubt, fault, note
from spatial.load.complete import complete_layers
from spatial.load.datums import suspected_datums
from spatial.load.facts import LayerFacts
from spatial.load.headings import plain
from spatial.load.layers import ReadLayer, middle_of, place_layer, read_layer
from spatial.load.raw import Source
from spatial.load.site import PANDAS_DTYPES, Elevation, InputFile, Site, contract_frame
from spatial.load.sources import find_sources, hashed, stamps
from spatial.load.stated import unused_statements
from spatial.load.store import read_site_layers, write_layers, write_site_layers, write_styles
from spatial.load.whereabouts import lost_layers
from spatial.schema import LAYERS
from spatial.settings import InputLayer, Settings

__all__ = [
    "PANDAS_DTYPES",
    "Elevation",
    "InputFile",
    "LayerFacts",
    "Reading",
    "Site",
    "check_site",
    "contract_frame",
    "examine_folder",
    "read_site",
    "read_site_layers",
    "write_layers",
    "write_site_layers",
    "write_styles",
]

#: Names under which offices keep households as well as footprints, and what only households have.
_HOUSES = frozenset(("房屋", "houses"))
_OF_PEOPLE = frozenset(("households", "residents", "elderly", "party_members", "group", "unit"))


@dataclass(frozen=True)
class Reading:
    """All that reading a folder found, whether or not it makes a site."""

    community: str
    site: Site | None  # None where there is any fault
    crs: pyproj.CRS | None  # of the frames; None where no layer could be placed
    frames: Mapping[str, gpd.GeoDataFrame]  # the layers that could be read, as in a site
    elevation: Elevation | None
    facts: tuple[LayerFacts, ...]  # one for each layer that was found, in the contract's order
    remarks: tuple[Remark, ...]  # faults, doubts, notes; within each by layer


def read_site(folder: Path, settings: Settings) -> Site:
    """Read a community folder.

    Raises
    ------
    DataError
        With every fault that was found, each with layer, column, first ids and a way out.
    """
    site, remarks = check_site(folder, settings)
    if site is None:
        faults = [each for each in remarks if each.kind == "fault"]
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise DataError(f"{_community(Path(folder), settings)} has {count}", faults)
    return site


def check_site(folder: Path, settings: Settings) -> tuple[Site | None, tuple[Remark, ...]]:
    """The same reading for people who want to know: faults are told, not raised.

    Returns
    -------
    Site or None
        None where there is any fault.
    tuple of Remark
        Faults first, then doubts, then notes, in the order of the layers.

    Raises
    ------
    DataError
        The folder is missing or is no folder.
    """
    found = examine_folder(folder, settings)
    return found.site, found.remarks


def examine_folder(folder: Path, settings: Settings) -> Reading:
    """Read all that can be read, whatever is at fault beside it.

    Parameters
    ----------
    folder : Path
        Files of one community; each layer is found by name or through ``settings.input``.
    settings : Settings

    Raises
    ------
    DataError
        The folder is missing or is no folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give the folder that holds the community's layers")
    sources, remarks = find_sources(folder, settings)
    before = stamps(sources.values())
    layers, facts, said = _read_layers(sources, settings)
    remarks += said
    at_fault = frozenset(each.layer for each in remarks if each.kind == "fault")
    if "alleys" not in {*sources, *at_fault}:
        remarks.append(_no_alleys(folder, sources))
    broken = at_fault - frozenset(layers)
    crs, frames, said = _placed_layers(layers, broken=broken, max_access_m=settings.input.max_access_m)
    remarks += said
    elevation = None
    if "elevation" in sources:
        from spatial.load.elevation import read_elevation

        elevation, known, said = read_elevation(sources["elevation"], settings, crs, frames)
        facts = (*facts, known)
        remarks += said
    inputs = hashed(folder, sources.values())
    remarks += _changed(before, stamps(sources.values()))
    remarks = lost_layers(facts, _without_echo(remarks))
    remarks += unused_statements(settings.input.layers, sources)
    suspected = {each.layer: each for each in remarks if each.code == "datum-suspected"}
    told = _in_order([_perhaps_shifted(each, suspected) for each in remarks])
    ordered = {name: frames[name] for name in LAYERS if name in frames}
    site = None
    if crs is not None and not any(each.kind == "fault" for each in told):
        site = Site(_community(folder, settings), crs, ordered, elevation, inputs, told)
    return Reading(_community(folder, settings), site, crs, ordered, elevation, facts, told)


def _read_layers(
    sources: dict[str, Source], settings: Settings
) -> tuple[dict[str, ReadLayer], tuple[LayerFacts, ...], list[Remark]]:
    layers, facts, remarks = {}, [], []
    for name, source in sources.items():
        if name == "elevation":
            continue
        layer, known, said = read_layer(name, source, settings)
        if "buildings" not in sources and _are_footprints(known, settings):
            name, stated = "buildings", settings.input.layers
            spec = stated.get("buildings", stated.get("households", InputLayer()))
            spec = spec.model_copy(update={"columns": {}})
            layer, known, said = read_layer(name, source, settings, spec=spec)
            said.append(_told_footprints(source))
        facts.append(known)
        remarks += said
        if layer is not None:
            layers[name] = layer
    facts.sort(key=lambda each: list(LAYERS).index(each.layer))
    return {name: layers[name] for name in LAYERS if name in layers}, tuple(facts), remarks


def _are_footprints(known: LayerFacts, settings: Settings) -> bool:
    """Whether what is called 房屋 are houses drawn as areas, of whose households nothing is said."""
    spec = settings.input.layers.get("households")
    called = plain(known.source.table), plain(known.source.path.stem)
    if known.layer != "households" or not _HOUSES.intersection(called) or (spec and spec.file):
        return False
    shapes = known.geometry[~shapely.is_missing(known.geometry)]
    areas = len(shapes) > 0 and bool((shapely.get_dimensions(shapes) == 2).all())
    return areas and _OF_PEOPLE.isdisjoint(known.columns)


def _told_footprints(source: Source) -> Remark:
    text = f"{source} holds areas and no count of households: taken as buildings, not as one household each"
    table = f', layer = "{source.table}"' if source.table else ""
    remedy = f'if each area is one household, set [input.households] file = "{source.path.name}"{table}'
    return doubt("houses-are-buildings", text, layer="buildings", remedy=remedy)


def _without_echo(remarks: list[Remark]) -> list[Remark]:
    """Rows that lie anywhere may have no place in the site's system: that is told by the rows alone."""
    astray = {each.layer for each in remarks if each.code == "geometry-astray"}
    return [each for each in remarks if each.code != "crs-misfit" or each.layer not in astray]


def _changed(before: Mapping[Path, object], after: Mapping[Path, object]) -> list[Remark]:
    """A fault where files were written to while they were read: half of one state and half of another."""
    names = [path.name for path in sorted(before) if before[path] != after[path]]
    if not names:
        return []
    text = f"changed while they were read: {', '.join(names)}"
    return [fault("file-changed", text, remedy="read again when no program is writing to them")]


def _no_alleys(folder: Path, sources: dict[str, Source]) -> Remark:
    found = ", ".join(sources) or "no layer of the contract"
    return fault(
        "alleys-missing",
        f"no alleys: without them no grid, lamp or board can be planned. Found: {found}",
        layer="alleys",
        remedy=f"add the centre-lines of all alleys and roads to {folder.name} as a line layer named alleys "
        '(巷道), or name it in plan.toml: [input.alleys] file = "…"',
    )


def _placed_layers(
    layers: dict[str, ReadLayer], *, broken: frozenset[str], max_access_m: float
) -> tuple[pyproj.CRS | None, dict[str, gpd.GeoDataFrame], list[Remark]]:
    """All layers in the metric system of the alleys, completed from each other.

    Without alleys the first layer's system serves, so that the faults of the others are found.
    """
    if not layers:
        return None, {}, []
    main = layers.get("alleys") or next(iter(layers.values()))
    try:
        crs = working_crs(main.crs, middle_of(main.geometry))
    except DataError as error:
        return None, {}, [fault("crs-misfit", str(error), layer=main.name)]
    remarks = []
    if not crs.equals(main.crs, ignore_axis_order=True):
        text = f"{crs_name(main.crs)} does not measure in metres; planned in {crs_name(crs)}"
        remarks.append(note("crs-chosen", text))
    frames = {}
    for name, layer in layers.items():
        frame, said = place_layer(layer, crs)
        remarks += said
        if frame is not None:
            frames[name] = frame
    remarks += suspected_datums(frames, crs, {name: each.datum for name, each in layers.items()}).values()
    if "alleys" not in frames:
        return crs, frames, remarks
    broken |= frozenset(layers) - frozenset(frames)
    frames, said = complete_layers(frames, crs, broken=broken, max_access_m=max_access_m)
    return crs, frames, remarks + said


def _perhaps_shifted(remark: Remark, suspected: Mapping[str, Remark]) -> Remark:
    """What a wrong datum may have caused points to it."""
    near = {"layers-apart": (remark.layer,), "household-outside": ("boundary", "households")}
    concerned = near.get(remark.code, ("alleys", "households") if remark.code == "alleys-incomplete" else ())
    for name in concerned:
        if name in suspected:
            remedy = f"{name} may be shifted: {suspected[name].remedy}; else {remark.remedy}"
            return replace(remark, remedy=remedy)
    return remark


def _in_order(remarks: list[Remark]) -> tuple[Remark, ...]:
    """Faults, doubts, notes; within each by layer, else as found."""
    kinds, names = ("fault", "doubt", "note"), ("", *LAYERS)
    return tuple(sorted(remarks, key=lambda each: (kinds.index(each.kind), names.index(each.layer))))


def _community(folder: Path, settings: Settings) -> str:
    """The folder's name, safe as a file name; the community's own where the folder has none."""
    for name in (folder.resolve().name, settings.community.name_en or "", settings.community.name or ""):
        safe = re.sub(r"[^\w.-]+", "-", name).strip(".-")
        if safe:
            return safe[:80]
    return "community"
