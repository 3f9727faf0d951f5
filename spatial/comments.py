"""What residents say of a plan: the files their page saves, checked and gathered.

A file comes from anyone's telephone, so nothing in it is trusted: only the keys that the residents' page
writes are read, notes stay plain text, and what can't be right is refused with the name of the file and the
feature.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from geopandas import GeoDataFrame
from pandas import DataFrame

from spatial.errors import DataError, Remark, doubt, note, one_line
from spatial.load import write_layers
from spatial.load.folder import read_plan_layers
from spatial.schema import PlanColumn, PlanLayer
from spatial.siting import grid_at

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = [
    "COMMENT_KINDS",
    "comments_csv",
    "gather_comments",
    "place_comments",
    "read_comments",
    "write_comments",
]

COMMENT_KINDS = ("too-dark", "broken", "good", "other")

_PROPERTIES = ("kind", "note", "time", "community", "plan_id")
_COLUMNS = (
    *("comment_id", "kind", "note", "time", "plan_id"),
    *("alley_id", "alley", "to_alley_m", "grid_id", "x", "y", "file"),
)
_NUMBERS = {"to_alley_m": "float", "grid_id": "int", "x": "float", "y": "float"}
_LAYER = PlanLayer(
    "comments",
    "Point",
    tuple(PlanColumn(each, _NUMBERS.get(each, "text")) for each in _COLUMNS),  # type: ignore[arg-type]
    ("comment_id",),
)

#: A page saves far less than this; a file that is larger was not saved by one.
_MOST_BYTES = 5_000_000
_MOST_FEATURES = 2_000
_MOST_COMMENTS = 20_000  # in all files, what a map can show
_MOST_CHARACTERS = {"note": 1_000, "time": 40, "community": 200, "plan_id": 64}
#: A comment farther than this from the community's boundary is of another place. [m]
_FARTHEST_M = 1_000.0
#: What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def gather_comments(paths: Sequence[Path], plan: Plan) -> tuple[GeoDataFrame, list[Remark]]:
    """Read residents' files and find the alley and the grid of each comment.

    Parameters
    ----------
    paths : sequence of Path
        GeoJSON files as the residents' page saves them: points in WGS 84 with ``kind``, ``note``, ``time``,
        ``community`` and ``plan_id``. Their order changes nothing.
    plan : Plan
        Whose alleys and grids the comments are brought to; its CRS is that of the rows.

    Returns
    -------
    GeoDataFrame, list of Remark
        One row for each different comment in order of time, with the nearest ``alley_id``, the way there
        ``to_alley_m`` and ``grid_id``, and what should be known of them: comments that came more than once
        and were counted once, comments on another plan than this.

    Raises
    ------
    DataError
        A file can't be read, is too large or holds what no page saves; every such file is told, each with
        its first fault and the number of the feature.
    """
    found: list[dict[str, Any]] = []
    faults: list[str] = []
    for path in sorted(paths, key=lambda each: (each.name, str(each))):
        try:
            found += _read_file(path, plan)
        except _NoCommentError as told:
            faults.append(f"{one_line(path.name)}: {told}")
    if len(found) > _MOST_COMMENTS:
        faults.append(f"{len(found)} comments in all; at most {_MOST_COMMENTS} can be gathered at once")
    faults += _far(found, plan)
    if faults:
        raise DataError("no comment was gathered; leave out what no residents' page has saved", faults)
    rows, remarks = _different(found)
    comments = place_comments(_points(rows), plan)
    return comments, [*remarks, *_of_other_plans(comments, plan)]


def place_comments(rows: GeoDataFrame, plan: Plan) -> GeoDataFrame:
    """Points with the columns of a comment, brought to the alleys and grids of ``plan`` and numbered anew."""
    comments = rows.to_crs(plan.site.crs).reset_index(drop=True)
    comments["comment_id"] = [f"C{number:04d}" for number in range(1, len(comments) + 1)]
    comments["x"], comments["y"] = comments.geometry.x.round(3), comments.geometry.y.round(3)
    alleys = plan.site.layer("alleys")
    _, nearest = alleys.sindex.nearest(comments.geometry, return_all=False)
    comments["alley_id"] = alleys["alley_id"].to_numpy()[nearest]
    comments["alley"] = alleys["name"].to_numpy()[nearest]
    to_alley_m = shapely.distance(comments.geometry.to_numpy(), alleys.geometry.to_numpy()[nearest])
    comments["to_alley_m"] = np.round(to_alley_m, 2)
    comments["grid_id"] = grid_at(comments, plan.layers.get("grids"))
    return comments[[*_COLUMNS, "geometry"]]


def write_comments(comments: GeoDataFrame, folder: Path) -> None:
    """Write ``comments.gpkg`` and ``comments.csv``, equal rows equal bytes."""
    path = folder / "comments.gpkg"
    path.unlink(missing_ok=True)
    write_layers({"comments": comments}, path, crs=comments.crs, geometry={"comments": "Point"})
    (folder / "comments.csv").write_bytes(comments_csv(comments))


def read_comments(folder: Path) -> GeoDataFrame | None:
    """The comments gathered in a plan folder; None where there are none.

    Raises
    ------
    DataError
        ``comments.gpkg`` is there and can't be read.
    """
    path = folder / "comments.gpkg"
    if not path.is_file():
        return None
    rows = read_plan_layers(path, {"comments": _LAYER}).get("comments")
    missing = [each for each in (*_COLUMNS, "geometry") if rows is None or each not in rows]
    if rows is None or missing:
        raise DataError(f"{path} lacks {', '.join(missing)}; gather the comments again")
    return rows[[*_COLUMNS, "geometry"]]


def comments_csv(comments: GeoDataFrame) -> bytes:
    """The table for a spreadsheet: text that would be a formula there begins with an apostrophe."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for row in DataFrame(comments)[list(_COLUMNS)].astype(object).itertuples(index=False):
        writer.writerow(["" if pd.isna(each) else _plain_text(each) for each in row])
    return ("\ufeff" + text.getvalue()).encode("utf-8")


def _plain_text(value: Any) -> Any:
    if not isinstance(value, str):
        return round(value, 3) if isinstance(value, float) else value
    return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value


# ── one file ─────────────────────────────────────────────────────────────────────────────────────────


class _NoCommentError(Exception):
    """Why a file is not what a residents' page saves."""


def _read_file(path: Path, plan: Plan) -> list[dict[str, Any]]:
    document = _json_in(path)
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        raise _NoCommentError("no GeoJSON FeatureCollection")
    _refuse_unknown(document, ("type", "name", "features"), "the collection")
    features = document.get("features")
    if not isinstance(features, list):
        raise _NoCommentError("features is no list")
    if len(features) > _MOST_FEATURES:
        raise _NoCommentError(f"{len(features)} features; a page saves at most {_MOST_FEATURES}")
    comments = []
    for number, feature in enumerate(features, start=1):
        try:
            about = {"file": one_line(path.name), "feature": number}
            comments.append({**_read_feature(feature, plan), **about})
        except _NoCommentError as told:
            raise _NoCommentError(f"feature {number}: {told}") from None
    return comments


def _json_in(path: Path) -> Any:
    if not path.is_file():
        raise _NoCommentError("no such file" if not path.exists() else "not a plain file")
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise _NoCommentError(f"larger than {_MOST_BYTES / 1e6:.0f} MB; no page saves as much")
        return json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except OSError as error:
        raise _NoCommentError(f"can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _NoCommentError("not UTF-8 text") from None
    except (ValueError, RecursionError):
        raise _NoCommentError("not valid JSON") from None


def _refuse_constant(name: str) -> NoReturn:
    raise _NoCommentError(f"{name} is no number")


def _read_feature(feature: Any, plan: Plan) -> dict[str, Any]:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise _NoCommentError("no GeoJSON Feature")
    _refuse_unknown(feature, ("type", "geometry", "properties"), "a feature")
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        raise _NoCommentError("no properties")
    _refuse_unknown(properties, _PROPERTIES, "a comment")
    lon, lat = _position(feature.get("geometry"))
    texts = {name: _text(properties.get(name), name) for name in _MOST_CHARACTERS}
    if properties.get("kind") not in COMMENT_KINDS:
        raise _NoCommentError(f"kind is none of {', '.join(COMMENT_KINDS)}")
    _refuse_other_community(texts.pop("community"), plan)
    return {**texts, "kind": properties["kind"], "time": _time(texts["time"]), "lon": lon, "lat": lat}


def _refuse_unknown(values: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise _NoCommentError(f"{what} has no {one_line(unknown[0])!r}")


def _position(geometry: Any) -> tuple[float, float]:
    """Longitude and latitude of a point, numbers within their limits."""
    if not isinstance(geometry, dict) or geometry.get("type") != "Point":
        raise _NoCommentError("geometry is no point")
    _refuse_unknown(geometry, ("type", "coordinates"), "a point")
    at = geometry.get("coordinates")
    if not isinstance(at, list) or len(at) != 2 or not all(_is_number(each) for each in at):
        raise _NoCommentError("coordinates are not a longitude and a latitude")
    if abs(at[0]) > 180 or abs(at[1]) > 90:
        raise _NoCommentError("coordinates are not degrees of longitude and latitude")
    return float(at[0]), float(at[1])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any, name: str) -> str:
    """Text without control characters (lines of a note stay), of a length that people write."""
    if not isinstance(value, str):
        raise _NoCommentError(f"{name} is no text")
    if len(value) > _MOST_CHARACTERS[name]:
        raise _NoCommentError(f"{name} is longer than {_MOST_CHARACTERS[name]} characters")
    lines = value.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join("".join(one for one in line if one.isprintable()) for line in lines).strip()


def _time(text: str) -> str:
    """A date as it is, a time to the second in UTC, both ISO 8601; a time without a zone stays local."""
    try:
        if len(text) == len("2026-11-20"):
            return datetime.date.fromisoformat(text).isoformat()
        time = datetime.datetime.fromisoformat(text)
        if time.tzinfo is None:
            return time.isoformat(timespec="seconds")
        utc = time.astimezone(datetime.UTC).replace(tzinfo=None)
        return utc.isoformat(timespec="seconds") + "Z"
    except (ValueError, OverflowError):
        raise _NoCommentError("time is no ISO 8601 date and time") from None


def _refuse_other_community(name: str, plan: Plan) -> None:
    about = plan.summary["community"]
    known = {plan.site.community, *(about.get(each) for each in ("folder", "name", "name_en"))} - {None}
    if name not in {_text(each, "community") for each in known}:
        raise _NoCommentError(f"of another community, {one_line(name)!r}")


# ── together ─────────────────────────────────────────────────────────────────────────────────────────


def _different(found: Sequence[Mapping[str, Any]]) -> tuple[DataFrame, list[Remark]]:
    """Each comment once, in order of time, however often its file was handed in."""
    keys = ["time", "lon", "lat", "kind", "note", "plan_id"]
    rows = DataFrame(list(found), columns=[*keys, "file"]).sort_values([*keys, "file"], kind="stable")
    once = rows.drop_duplicates(keys, ignore_index=True)
    n = len(rows) - len(once)
    told = note("comments-repeated", f"{n} comments came more than once and count once", layer="comments")
    return once, [told] if n else []


def _points(rows: DataFrame) -> GeoDataFrame:
    return GeoDataFrame(rows, geometry=gpd.points_from_xy(rows["lon"], rows["lat"], crs=4326))


def _far(found: Sequence[Mapping[str, Any]], plan: Plan) -> list[str]:
    """A sentence for each file with a comment too far from the community, naming the first."""
    rows = _points(DataFrame(list(found), columns=["lon", "lat", "file", "feature"]))
    away_m = rows.to_crs(plan.site.crs).distance(plan.site.layer("boundary").geometry.union_all())
    far = rows.assign(away_km=away_m / 1000)[~(away_m <= _FARTHEST_M)].drop_duplicates("file")
    return [
        f"{each.file}: feature {each.feature}: {each.away_km:,.1f} km from the community; "
        f"at most {_FARTHEST_M / 1000:g} km can be meant"
        for each in far.itertuples()
    ]


def _of_other_plans(comments: GeoDataFrame, plan: Plan) -> list[Remark]:
    ids = comments.loc[comments["plan_id"] != plan.summary["plan_id"], "comment_id"]
    told = f"{len(ids)} comments were made on another plan than {plan.summary['plan_id']}"
    return [doubt("comments-other-plan", told, layer="comments", ids=ids)] if len(ids) else []
