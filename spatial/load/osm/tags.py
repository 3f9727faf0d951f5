"""What tags of OpenStreetMap mean in the contract, as tables; values as people write them."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = [
    "ALLEY_KINDS",
    "GROUNDS",
    "PLACE_AREAS",
    "WALKED_NEVER",
    "alley_kind",
    "barrier_kind",
    "building_use",
    "counted_flats",
    "length_m",
    "lit_or_not",
    "named",
    "place_kind",
    "whole",
    "yes",
]

Tags = Mapping[str, str]

#: highway=* that people walk, and the contract's kind; service=alley is an alley too.
ALLEY_KINDS = {
    "living_street": "alley",
    "pedestrian": "alley",
    "residential": "lane",
    "unclassified": "lane",
    "service": "lane",
    "road": "lane",
    "tertiary": "street",
    "tertiary_link": "street",
    "secondary": "road",
    "secondary_link": "road",
    "primary": "road",
    "primary_link": "road",
    "footway": "path",
    "path": "path",
    "track": "path",
    "cycleway": "path",
    "bridleway": "path",
    "steps": "steps",
}
#: highway=* beside which no one walks unless foot or sidewalk say so: barriers.
_FAST = ("motorway", "motorway_link", "trunk", "trunk_link")
#: What is no way yet or any more, or none for walking.
WALKED_NEVER = frozenset(
    """proposed construction abandoned razed disused raceway bus_guideway busway escape corridor
    elevator""".split()  # noqa: SIM905
)
_WELCOME = ("yes", "designated", "permissive", "official")
_SIDEWALKS = ("both", "left", "right", "yes", "separate")

_WATERWAYS = ("river", "canal", "stream", "riverbank", "dock")
_RAILWAYS = ("rail", "light_rail", "subway", "narrow_gauge", "monorail")
_WALLS = ("wall", "city_wall", "retaining_wall")  # hedges and fences mostly stand around single gardens

#: boundary=* and place=* of areas that may be the community's own.
PLACE_AREAS = (
    "city_block neighbourhood quarter suburb village hamlet isolated_dwelling town allotments".split()  # noqa: SIM905
)
#: Areas whose buildings are of their use where they say no more than building=yes.
GROUNDS = {
    ("landuse", "industrial"): "industrial",
    ("landuse", "commercial"): "commercial",
    ("landuse", "retail"): "retail",
    ("landuse", "railway"): "transportation",
    ("landuse", "military"): "public",
    ("landuse", "garages"): "garages",
    ("landuse", "greenhouse_horticulture"): "greenhouse",
    ("amenity", "school"): "school",
    ("amenity", "kindergarten"): "kindergarten",
    ("amenity", "college"): "college",
    ("amenity", "university"): "university",
    ("amenity", "hospital"): "hospital",
    ("amenity", "marketplace"): "retail",
}
_AMENITY_USES = """school kindergarten college university hospital clinic place_of_worship toilets parking
    theatre library""".split()  # noqa: SIM905

_PLACES = {
    **dict.fromkeys(("school", "kindergarten", "college", "university"), "school"),
    **dict.fromkeys(("clinic", "hospital", "doctors", "health_post"), "clinic"),
    **dict.fromkeys(("townhall", "community_centre", "police"), "office"),
}
_GATES = ("gate", "entrance", "lift_gate", "swing_gate", "sliding_gate", "toll_booth")

_LENGTH = re.compile(r"(\d+(?:[.,]\d+)?)\s*(m|metres?|meters?|米|cm|ft|feet|')?")
_FEET_INCHES = re.compile(r"""(\d+)'\s*(\d+(?:\.\d+)?)?"?""")
_UNITS_M = {"cm": 0.01, "ft": 0.3048, "feet": 0.3048, "'": 0.3048}
_FLATS = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")
_MOST_FLATS = 2000


def alley_kind(tags: Tags) -> str | None:
    """The contract's kind of a way that people walk; None for any other."""
    highway = tags.get("highway", "")
    if tags.get("indoor") == "yes" or tags.get("motorroad") == "yes":
        return None
    if highway == "service" and tags.get("service") == "alley":
        return "alley"
    on_foot = tags.get("foot") in _WELCOME or tags.get("sidewalk") in _SIDEWALKS
    if highway in _FAST and on_foot and not highway.startswith("motorway"):
        return "road"
    return ALLEY_KINDS.get(highway)


def may_walk(tags: Tags) -> bool:
    """Whether walking is not forbidden."""
    foot = tags.get("foot")
    return foot != "no" and (tags.get("access") != "no" or foot is not None)


def is_private(tags: Tags) -> bool:
    """Whether only those who live or work there may walk."""
    return tags.get("foot", tags.get("access")) in ("private", "permit", "residents")


def barrier_kind(tags: Tags) -> str | None:
    """What bars the way: water, railway, motorway or wall; None where people pass below or above."""
    if yes(tags.get("tunnel")) or yes(tags.get("bridge")):
        return None
    if tags.get("waterway") in _WATERWAYS:
        return tags["waterway"]
    if tags.get("natural") == "water" or tags.get("landuse") in ("reservoir", "basin"):
        return "water"
    if tags.get("railway") in _RAILWAYS:
        return "railway"
    if tags.get("highway") in _FAST or tags.get("motorroad") == "yes":
        return "motorway" if alley_kind(tags) is None else None
    return "wall" if tags.get("barrier") in _WALLS else None


def building_use(tags: Tags) -> str:
    """building=*; where that says only yes, what else the building is."""
    use = tags["building"]
    if yes(tags.get("ruins")) or yes(tags.get("abandoned")):
        return "ruins"
    if use != "yes":
        return use
    amenity = tags.get("amenity")
    if amenity is not None:
        return amenity if amenity in _AMENITY_USES else "public"
    uses = {
        "shop": "retail",
        "office": "office",
        "craft": "industrial",
        "industrial": "industrial",
        "man_made": "industrial",
        "power": "industrial",
        "healthcare": "clinic",
        "tourism": "public",
        "leisure": "public",
        "military": "public",
        "railway": "transportation",
    }
    return next((meant for key, meant in uses.items() if tags.get(key, "no") != "no"), use)


def place_kind(tags: Tags) -> str | None:
    """The contract's kind of a place; None for any other."""
    if tags.get("highway") == "bus_stop":
        return "bus_stop"
    if tags.get("amenity") in _PLACES:
        return _PLACES[tags["amenity"]]
    if tags.get("healthcare") in ("clinic", "hospital", "doctor", "centre"):
        return "clinic"
    if tags.get("office") == "government":
        return "office"
    return "entrance" if tags.get("barrier") in _GATES else None


def named(tags: Tags) -> str | None:
    """Its name, in Chinese where there is no other."""
    return tags.get("name") or tags.get("name:zh")


def length_m(text: str) -> float | None:
    """A length as tags have it: metres, or with a unit; None where it is none."""
    short = text.strip().lower()
    feet = _FEET_INCHES.fullmatch(short)
    if feet is not None:
        return (int(feet[1]) * 12 + float(feet[2] or 0)) * 0.0254
    match = _LENGTH.fullmatch(short)
    return None if match is None else float(match[1].replace(",", ".")) * _UNITS_M.get(match[2] or "m", 1.0)


def whole(text: str) -> int | None:
    """A whole number of up to three digits."""
    return int(text) if re.fullmatch(r"[+-]?\d{1,3}", text.strip()) else None


def yes(text: str | None) -> bool:
    """Whether a tag such as bridge=viaduct says yes."""
    return text is not None and text.strip().lower() not in ("no", "false", "0", "")


def lit_or_not(text: str) -> bool | None:
    """lit=*: also part of the night is lit; None where it says neither."""
    short = text.strip().lower().replace("_", "-")
    if short in ("no", "false", "0", "disused"):
        return False
    known = ("yes", "true", "1", "24/7", "automatic", "limited", "interval", "sunset-sunrise", "dusk-dawn")
    return True if short in known else None


def counted_flats(text: str) -> int | None:
    """How many flats addr:flats or building:flats lists: ``12`` is 12 of a building, ``1-4;7`` are five."""
    total = 0
    for each in re.split(r"[;,]", text):
        match = _FLATS.fullmatch(each.strip())
        if match is None:
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        total += last - first + 1 if last >= first else _MOST_FLATS + 1
    return total if 0 < total <= _MOST_FLATS else None
