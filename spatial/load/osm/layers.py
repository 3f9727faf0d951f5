"""The layers of the contract from the things of an extract, each with what was left out and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.errors import Remark, doubt, note
from spatial.load.osm import tags as meaning
from spatial.load.osm.drawn import Drawer, Drawing
from spatial.load.osm.extract import Extract, Thing

__all__ = ["Rows", "layers_of"]

#: A boundary holds at least this share of houses and alleys, and is at most so many times their hull.
_BOUNDARY_HOLDS, _BOUNDARY_TIMES = 0.8, 4.0
_OPEN = "are no closed area and were left out"
_CUT_AREA = "run out of the extract and were left out"
_CUT_REMEDY = "cut the extract larger, or with osmium extract --strategy smart"


@dataclass
class Rows:
    """One layer as it is made."""

    columns: dict[str, list[Any]]
    geometry: NDArray[np.object_]
    said: list[Remark] = field(default_factory=list)


def layers_of(extract: Extract) -> dict[str, Rows]:
    """Every layer that the extract has anything for, by name in ``schema.LAYERS``."""
    drawer = Drawer(extract)
    nodes, ways, areas = (tuple(e for e in extract.things if e.kind == kind) for kind in "nwr")
    shapes = (*ways, *(each for each in areas))
    alleys = _alleys(ways, drawer)
    buildings = _buildings(shapes, nodes, drawer)
    made = {
        "alleys": alleys,
        "lamp_sites": _lamps(nodes, drawer),
        "buildings": buildings,
        "boundary": _boundary(shapes, alleys, buildings, drawer),
        "barriers": _barriers(shapes, drawer),
        "places": _places(nodes, shapes, ways, drawer),
    }
    layers = {name: rows for name, rows in made.items() if rows is not None and len(rows.geometry)}
    if layers:
        next(iter(layers.values())).said.extend(extract.remarks)
    return layers


def _alleys(ways: Sequence[Thing], drawer: Drawer) -> Rows:
    on_foot = [each for each in ways if meaning.alley_kind(each.tags) is not None]
    taken = [each for each in on_foot if meaning.may_walk(each.tags)]
    other = [
        each
        for each in ways
        if "highway" in each.tags
        and meaning.alley_kind(each.tags) is None
        and meaning.barrier_kind(each.tags) is None
    ]
    drawing = drawer.lines(taken)
    kept, said = _drawn(taken, drawing, "ways have no nodes in the extract and were left out")
    said += _told(note, "osm-cut", [e for e, cut in zip(taken, drawing.cut, strict=True) if cut],
                  "ways run out of the extract and end where it ends")  # fmt: skip
    barred = [each for each in on_foot if not meaning.may_walk(each.tags)]
    said += _told(
        note, "osm-no-access", barred, "ways that are closed to walkers (access, foot = no) left out"
    )
    kinds = ", ".join(sorted({each.tags["highway"] for each in other})[:8])
    said += _told(note, "osm-not-walked", other, f"ways of kinds that are not walked left out: {kinds}")
    private = [each for each in taken if meaning.is_private(each.tags)]
    said += _told(note, "osm-private", private, "private ways taken: those who live there walk them")
    squares = [each for each in taken if each.tags.get("area") == "yes"]
    said += _told(note, "osm-squares", squares, "squares taken as the line around them")
    values = _Values(kept)
    columns = {
        "alley_id": values.labels(),
        "name": values.each(meaning.named),
        "kind": values.each(meaning.alley_kind),
        "width_m": values.read("width", meaning.length_m, fallback="est_width"),
        "surface": values.tag("surface"),
        "lit": values.read("lit", meaning.lit_or_not),
        "level": values.read("layer", meaning.whole),
        "bridge": values.each(lambda tags: meaning.yes(tags.get("bridge"))),
        "tunnel": values.each(lambda tags: meaning.yes(tags.get("tunnel"))),
    }
    return Rows(columns, _present(drawing), said + values.said)


def _buildings(shapes: Sequence[Thing], nodes: Sequence[Thing], drawer: Drawer) -> Rows:
    houses = [each for each in shapes if meaning.yes(each.tags.get("building"))]
    # older maps tag the outer way like the area it belongs to
    outer = {ref for each in houses if each.kind == "r" for ref in each.refs}
    houses = [each for each in houses if each.kind == "r" or each.id not in outer]
    drawing = drawer.areas(houses)
    kept, said = _drawn_areas(houses, drawing, "buildings")
    geometry = _present(drawing)
    values = _Values(kept)
    columns = {
        "building_id": values.labels(),
        "height_m": values.read("height", meaning.length_m),
        "storeys": values.read("building:levels", _storeys),
        "use": _uses(kept, geometry, shapes, drawer),
        "households": _flats(values, kept, geometry, nodes, drawer),
    }
    return Rows(columns, geometry, said + values.said)


def _storeys(text: str) -> float | None:
    levels = meaning.length_m(text)  # a plain number; 2.5 storeys are two and an attic
    return levels if levels is not None and levels <= 200 else None


def _uses(
    houses: Sequence[Thing], geometry: NDArray[np.object_], shapes: Sequence[Thing], drawer: Drawer
) -> list[str]:
    """What each building is used for; one that says only yes takes the use of the ground it stands on."""
    uses = [meaning.building_use(each.tags) for each in houses]
    grounds, meant = [], []
    for each in shapes:
        here = [use for (key, value), use in meaning.GROUNDS.items() if each.tags.get(key) == value]
        if here and "building" not in each.tags:
            grounds.append(each)
            meant.append(here[0])
    area = drawer.areas(grounds).geometry
    plain = np.flatnonzero([each == "yes" for each in uses])
    if len(plain) and grounds:
        tree = shapely.STRtree(area)
        house, ground = tree.query(shapely.centroid(geometry[plain]), predicate="intersects")
        smallest_last = np.argsort(-shapely.area(area[ground]), kind="stable")
        for row, on in zip(plain[house[smallest_last]], ground[smallest_last], strict=True):
            uses[row] = meant[on]
    return uses


def _flats(
    values: _Values,
    houses: Sequence[Thing],
    geometry: NDArray[np.object_],
    nodes: Sequence[Thing],
    drawer: Drawer,
) -> list[int | None]:
    """Households as tagged: building:flats, else the sum of addr:flats on and at the building."""
    counts = values.read("building:flats", meaning.whole)
    doors = [each for each in nodes if "addr:flats" in each.tags]
    flats = [meaning.counted_flats(each.tags["addr:flats"]) for each in doors]
    own = values.read("addr:flats", meaning.counted_flats)
    at_doors = np.zeros(len(houses), dtype=np.int64)
    if doors and len(houses):
        row, house = shapely.STRtree(geometry).query(drawer.points(doors).geometry, predicate="intersects")
        first = np.unique(row, return_index=True)[1]  # a door in the wall between two houses counts once
        for at, of in zip(row[first], house[first], strict=True):
            at_doors[of] += flats[at] or 0
    return [
        given if given is not None else one or (int(several) or None)
        for given, one, several in zip(counts, own, at_doors.tolist(), strict=True)
    ]


def _lamps(nodes: Sequence[Thing], drawer: Drawer) -> Rows:
    lamps = [each for each in nodes if each.tags.get("highway") == "street_lamp"]
    drawing = drawer.points(lamps)
    kept, said = _drawn(lamps, drawing, "lamps have no place and were left out")
    values = _Values(kept)
    columns = {
        "site_id": values.labels(),
        "status": ["existing"] * len(kept),
        "mount": values.each(_mount),
        "height_m": values.read("height", meaning.length_m),
    }
    return Rows(columns, _present(drawing), said + values.said)


def _mount(tags: meaning.Tags) -> str | None:
    text = " ".join(tags.get(key, "") for key in ("lamp_mount", "lamp:mount", "support"))
    return "wall" if "wall" in text else "pole" if "pole" in text or "mast" in text else None


def _barriers(shapes: Sequence[Thing], drawer: Drawer) -> Rows:
    bars = [each for each in shapes if meaning.barrier_kind(each.tags) is not None]
    wide = [each for each in bars if _is_area(each)]
    thin = [each for each in bars if not _is_area(each)]
    things, geometry, said = _with_areas(thin, drawer.lines(thin), wide, drawer.areas(wide), "waters")
    return Rows(_named_kinds(things, "barrier_id", meaning.barrier_kind), geometry, said)


def _is_area(bar: Thing) -> bool:
    return (
        bar.kind == "r"
        or bar.tags.get("natural") == "water"
        or "landuse" in bar.tags
        or bar.tags.get("waterway") in ("riverbank", "dock")
    )


def _places(nodes: Sequence[Thing], shapes: Sequence[Thing], ways: Sequence[Thing], drawer: Drawer) -> Rows:
    """Places as points or areas; a gate is an entrance where a way that people walk goes through."""
    on_ways = {
        ref for each in ways if meaning.alley_kind(each.tags) is not None for ref in each.refs.tolist()
    }
    points, grounds = [], []
    for each in nodes:
        kind = meaning.place_kind(each.tags)
        if kind is not None and (kind != "entrance" or each.id in on_ways):
            points.append(each)
    for each in shapes:
        if meaning.place_kind(each.tags) not in (None, "entrance", "bus_stop"):
            grounds.append(each)
    spots, areas = drawer.points(points), drawer.areas(grounds)
    things, geometry, said = _with_areas(points, spots, grounds, areas, "places")
    return Rows(_named_kinds(things, "place_id", meaning.place_kind), geometry, said)


def _boundary(shapes: Sequence[Thing], alleys: Rows, buildings: Rows, drawer: Drawer) -> Rows | None:
    """The smallest administrative or named area that holds most houses and alleys and not much more."""
    known = [
        each
        for each in shapes
        if each.tags.get("boundary") == "administrative" or each.tags.get("place") in meaning.PLACE_AREAS
    ]
    data = np.concatenate((alleys.geometry, buildings.geometry))
    if not known or not len(data):
        return None
    areas = drawer.areas(known).geometry
    points = shapely.centroid(data)
    hull_area = shapely.area(shapely.convex_hull(shapely.geometrycollections(data)))
    tree = shapely.STRtree(points)
    fitting = []
    for thing, area in zip(known, areas, strict=True):
        if area is None or shapely.area(area) > _BOUNDARY_TIMES * hull_area:
            continue
        share = len(tree.query(area, predicate="intersects")) / len(points)
        if share >= _BOUNDARY_HOLDS:
            fitting.append((float(shapely.area(area)), thing.label, thing, area, share))
    if not fitting:
        return None
    _, label, thing, area, share = min(fitting, key=lambda each: each[:2])
    name = meaning.named(thing.tags)
    text = f"{label} {name or ''} taken, the smallest area that holds most: {share:.0%} of houses and alleys"
    rows = Rows({"name": [name]}, np.array([area], dtype=object))
    rows.said.append(note("osm-boundary", text, remedy="for another, add a layer boundary (社区边界)"))
    return rows


# ── rows and what is said of them ────────────────────────────────────────────────────────────────────


class _Values:
    """Columns from the tags of things, odd values emptied and told."""

    def __init__(self, things: Sequence[Thing]) -> None:
        self.things = things
        self.said: list[Remark] = []

    def labels(self) -> list[str]:
        return [each.label for each in self.things]

    def tag(self, key: str) -> list[str | None]:
        return [each.tags.get(key) for each in self.things]

    def each(self, value: Callable[[meaning.Tags], Any]) -> list[Any]:
        return [value(each.tags) for each in self.things]

    def read(self, key: str, value: Callable[[str], Any], *, fallback: str = "") -> list[Any]:
        """The values of a tag; the things whose value can't be read are told."""
        values, odd = [], []
        for each in self.things:
            text = each.tags.get(key) or each.tags.get(fallback)
            values.append(None if text is None else value(text))
            if text is not None and values[-1] is None:
                odd.append(each)
        self.said += _told(note, "osm-value-odd", odd, f"have a {key} that can't be read; left empty")
        return values


def _named_kinds(things: Sequence[Thing], id_column: str, kind: Callable[..., Any]) -> dict[str, list[Any]]:
    values = _Values(things)
    return {id_column: values.labels(), "kind": values.each(kind), "name": values.each(meaning.named)}


def _with_areas(
    things: Sequence[Thing], drawing: Drawing, grounds: Sequence[Thing], areas: Drawing, what: str
) -> tuple[list[Thing], NDArray[np.object_], list[Remark]]:
    """Points or lines, then areas, of one layer: those that could be drawn, and what is said of others."""
    kept, _ = _drawn(things, drawing, "")
    kept_grounds, said = _drawn_areas(grounds, areas, what)
    return [*kept, *kept_grounds], np.concatenate((_present(drawing), _present(areas))), said


def _present(drawing: Drawing) -> NDArray[np.object_]:
    return drawing.geometry[~shapely.is_missing(drawing.geometry)]


def _drawn(things: Sequence[Thing], drawing: Drawing, missing: str) -> tuple[list[Thing], list[Remark]]:
    gone = shapely.is_missing(drawing.geometry)
    lost = [each for each, is_gone in zip(things, gone, strict=True) if is_gone]
    kept = [each for each, is_gone in zip(things, gone, strict=True) if not is_gone]
    return kept, _told(doubt, "osm-no-nodes", lost, missing, remedy=_CUT_REMEDY) if missing else []


def _drawn_areas(things: Sequence[Thing], drawing: Drawing, what: str) -> tuple[list[Thing], list[Remark]]:
    kept, _ = _drawn(things, drawing, "")
    gone = shapely.is_missing(drawing.geometry)
    cut = [each for each, lost in zip(things, gone & drawing.cut, strict=True) if lost]
    open_ = [each for each, lost in zip(things, gone & ~drawing.cut, strict=True) if lost]
    said = _told(doubt, "osm-cut", cut, f"{what} {_CUT_AREA}", remedy=_CUT_REMEDY)
    return kept, said + _told(doubt, "osm-open", open_, f"{what} {_OPEN}", remedy="close them in the map")


def _told(
    make: Callable[..., Remark], code: str, things: Iterable[Thing], text: str, *, remedy: str = ""
) -> list[Remark]:
    ids = [each.label for each in things]
    return [make(code, f"{len(ids):,} {text}", ids=ids, remedy=remedy)] if ids else []
