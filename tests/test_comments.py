"""Residents' comments: what their page saves is gathered, whatever else a file may hold is refused."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely

from spatial.comments import comments_csv, gather_comments, place_comments, read_comments, write_comments
from spatial.errors import DataError
from tests.conftest import SHANNAN
from tests.drawn_plan import CRS, EAST, NORTH, drawn_plan

TIME = "2026-11-20T08:30:00.000Z"


def _lon_lat(x: float, y: float) -> list[float]:
    at = gpd.GeoSeries([shapely.Point(EAST + x, NORTH + y)], crs=CRS).to_crs(4326).iloc[0]
    return [at.x, at.y]


def _feature(x: float = 100.0, y: float = 42.0, **properties: Any) -> dict[str, Any]:
    said = {
        **{"kind": "too-dark", "note": "晚上看不见台阶", "time": TIME},
        **{"community": "山南社区", "plan_id": "0123456789ab"},
    }
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": _lon_lat(x, y)},
        "properties": said | properties,
    }


def _write(path: Path, *features: Any, **more: Any) -> Path:
    path.write_text(
        json.dumps({"type": "FeatureCollection", "features": list(features), **more}), encoding="utf-8"
    )
    return path


# ── what is gathered ─────────────────────────────────────────────────────────────────────────────────


def test_a_comment_gets_its_nearest_alley_and_its_grid(tmp_path):
    # (100, 42): 2 m north of 大井巷, in grid 2; (93, 70): 3 m east of 东巷; (190, 40): outside, by grid 3
    path = _write(
        tmp_path / "a.geojson",
        _feature(100, 42),
        _feature(93, 70, time="2026-11-20T09:00:00Z", kind="good"),
        _feature(190, 40, time="2026-11-21T09:00:00Z"),
    )
    rows, remarks = gather_comments([path], drawn_plan())
    assert rows["comment_id"].tolist() == ["C0001", "C0002", "C0003"]
    assert rows["alley"].tolist() == ["大井巷", "东巷", "大井巷"]
    assert rows["to_alley_m"].tolist() == pytest.approx([2.0, 3.0, 10.0], abs=0.01)
    assert rows["grid_id"].tolist() == [2, 2, 3]
    assert rows["kind"].tolist() == ["too-dark", "good", "too-dark"]
    assert remarks == []


def test_the_same_file_twice_counts_once_and_the_order_of_files_changes_nothing(tmp_path):
    one = _write(tmp_path / "a.geojson", _feature(), _feature(50, 42))
    again = shutil.copy(one, tmp_path / "b.geojson")
    other = _write(tmp_path / "c.geojson", _feature(120, 45))
    rows, remarks = gather_comments([one, Path(again), other], drawn_plan())
    back, _ = gather_comments([other, Path(again), one], drawn_plan())
    assert len(rows) == 3
    assert [each.message for each in remarks] == ["2 comments came more than once and count once"]
    assert comments_csv(rows) == comments_csv(back)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("2026-11-20", "2026-11-20"),  # what the page saves
        ("2026-11-20T08:30:00+08:00", "2026-11-20T00:30:00Z"),
        ("2026-11-20T08:30:00.250Z", "2026-11-20T08:30:00Z"),
        ("2026-11-20T08:30", "2026-11-20T08:30:00"),
    ],
)
def test_a_date_stays_and_a_time_is_told_in_utc_to_the_second(tmp_path, said: str, told: str):
    rows, _ = gather_comments([_write(tmp_path / "a.geojson", _feature(time=said))], drawn_plan())
    assert rows["time"].tolist() == [told]


def test_comments_on_another_plan_are_kept_and_doubted(tmp_path):
    path = _write(tmp_path / "a.geojson", _feature(plan_id="earlier"), _feature(50, 42))
    rows, (told,) = gather_comments([path], drawn_plan())
    assert (len(rows), told.kind) == (2, "doubt")
    assert "1 comments were made on another plan" in told.message


def test_a_note_is_text_and_never_a_formula(tmp_path):
    notes = ["=1+1", " @x", "+86", "-2", "＝1", "晚上黑", "a=1", 'say "no", please', "two\nlines"]
    path = _write(
        tmp_path / "a.geojson", *(_feature(10.0 * i, 42, note=each) for i, each in enumerate(notes))
    )
    rows, _ = gather_comments([path], drawn_plan())
    table = list(csv.DictReader(io.StringIO(comments_csv(rows).decode("utf-8-sig"), newline="")))
    told = {each["note"] for each in table}
    assert told == {
        *("'=1+1", "'@x", "'+86", "'-2", "'＝1"),
        *("晚上黑", "a=1", 'say "no", please', "two\nlines"),
    }


def test_control_characters_do_not_come_through(tmp_path):
    path = _write(tmp_path / "a.geojson", _feature(note="dark\u001b[31m\u202ehere\u0000"))
    rows, _ = gather_comments([path], drawn_plan())
    assert rows["note"].tolist() == ["dark[31mhere"]


def test_what_is_written_reads_back_the_same_and_the_same_bytes(tmp_path):
    rows, _ = gather_comments([_write(tmp_path / "a.geojson", _feature(), _feature(50, 42))], drawn_plan())
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_comments(rows, tmp_path / name)
    assert (tmp_path / "one/comments.gpkg").read_bytes() == (tmp_path / "two/comments.gpkg").read_bytes()
    back = read_comments(tmp_path / "one")
    assert back["note"].tolist() == rows["note"].tolist()
    assert place_comments(back, drawn_plan())["grid_id"].tolist() == rows["grid_id"].tolist()
    assert read_comments(tmp_path) is None


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────

_POINT = {"type": "Point", "coordinates": [117.0, 31.6]}


@pytest.mark.parametrize(
    ("feature", "why"),
    [
        (_feature(kind="<b>"), "kind is none of too-dark, broken, good, other"),
        (_feature(kind=["good"]), "kind is none of"),
        (_feature(note=7), "note is no text"),
        (_feature(note="x" * 1001), "note is longer than 1000 characters"),
        (_feature(time="yesterday"), "time is no ISO 8601"),
        (_feature(community="别处社区"), "of another community"),
        (_feature(phone="13800000000"), "a comment has no 'phone'"),
        ({**_feature(), "id": 1}, "a feature has no 'id'"),
        ({**_feature(), "geometry": None}, "geometry is no point"),
        ({**_feature(), "geometry": {**_POINT, "type": "Polygon"}}, "geometry is no point"),
        ({**_feature(), "geometry": {**_POINT, "coordinates": ["1", "2"]}}, "coordinates are not"),
        ({**_feature(), "geometry": {**_POINT, "coordinates": [True, 2]}}, "coordinates are not"),
        ({**_feature(), "geometry": {**_POINT, "coordinates": [500000.0, 31.0]}}, "not degrees"),
        ({**_feature(), "geometry": {**_POINT, "coordinates": [2.35, 48.86]}}, "km from the community"),
        ({**_feature(), "properties": None}, "no properties"),
        ("a string", "no GeoJSON Feature"),
    ],
)
def test_what_no_page_saves_is_refused_with_file_and_feature(tmp_path, feature: Any, why: str):
    path = _write(tmp_path / "from phone.geojson", _feature(), feature)
    with pytest.raises(DataError) as error:
        gather_comments([path], drawn_plan())
    assert error.value.exit_code == 2
    (told,) = error.value.faults
    assert told.startswith("from phone.geojson: feature 2: ")
    assert why in told


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"\xff\xfe{}", "not UTF-8 text"),
        (b"[]", "no GeoJSON FeatureCollection"),
        (b'{"type": "FeatureCollection", "features": 3}', "features is no list"),
        (b'{"type": "FeatureCollection", "features": [NaN]}', "NaN is no number"),
        (b'{"type": "FeatureCollection", "features": [], "crs": {}}', "the collection has no 'crs'"),
        (b" " * 5_000_001, "larger than 5 MB"),
        (b'{"type": "FeatureCollection", "features": [' + b"1," * 2000 + b"1]}", "2001 features"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, content: bytes, why: str):
    path = tmp_path / "b.geojson"
    path.write_bytes(content)
    with pytest.raises(DataError, match=why):
        gather_comments([path], drawn_plan())


def test_every_bad_file_is_told_at_once(tmp_path):
    files = [tmp_path / "missing.geojson", tmp_path, _write(tmp_path / "b.geojson", _feature(kind="bad"))]
    with pytest.raises(DataError) as error:
        gather_comments(files, drawn_plan())
    assert len(error.value.faults) == 3


# ── the command ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def place_in_shannan(shannan_plan) -> list[float]:
    lamps = gpd.read_file(shannan_plan / "plan.gpkg", layer="lamps").to_crs(4326)
    return [lamps.geometry.iloc[0].x, lamps.geometry.iloc[0].y]


def _said_there(at: list[float], **properties: Any) -> dict[str, Any]:
    return {**_feature(**properties), "geometry": {"type": "Point", "coordinates": at}}


def test_the_command_gathers_into_the_plan_folder_and_its_page(
    alleyplan, shannan_plan, place_in_shannan, tmp_path
):
    folder = shutil.copytree(shannan_plan, tmp_path / "plan")
    file = _write(tmp_path / "a.geojson", _said_there(place_in_shannan, note="这里<img src=x>太黑"))
    done = alleyplan("comments", file, file, "--out", folder)
    assert done.returncode == 0, done.stderr
    assert "comments: 1, in" in done.stderr
    assert len(gpd.read_file(folder / "comments.gpkg")) == 1
    assert "太黑" in (folder / "comments.csv").read_text(encoding="utf-8-sig")
    assert "太黑" in (folder / "planner.html").read_text(encoding="utf-8")
    assert "太黑" not in (folder / "map.html").read_text(encoding="utf-8")
    assert (folder / "plan.gpkg").read_bytes() == (shannan_plan / "plan.gpkg").read_bytes()
    # drawn anew, the planner's map still shows them
    assert alleyplan("map", folder).returncode == 0
    assert "太黑" in (folder / "planner.html").read_text(encoding="utf-8")


def test_a_refused_file_changes_nothing(alleyplan, shannan_plan, place_in_shannan, tmp_path):
    folder = shutil.copytree(shannan_plan, tmp_path / "plan")
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    good = _write(tmp_path / "a.geojson", _said_there(place_in_shannan))
    bad = _write(tmp_path / "b.geojson", _said_there(place_in_shannan, kind="worse"))
    done = alleyplan("comments", good, bad, "--out", folder)
    assert done.returncode == 2
    assert "b.geojson: feature 1: kind is none of" in done.stderr
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.geojson", "b.geojson", "plan"]


def test_init_writes_settings_that_a_plan_takes_and_never_over_others(alleyplan, tmp_path):
    folder = tmp_path / "newtown"
    assert alleyplan("init", folder).returncode == 0
    text = (folder / "plan.toml").read_text(encoding="utf-8")
    assert "n_lamps = 150" in text
    done = alleyplan("init", folder)
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert (folder / "plan.toml").read_text(encoding="utf-8") == text
    checked = alleyplan("check", folder)
    assert "alleys" in checked.stderr  # settings are read; what is missing is the layer


def test_comments_stay_when_the_plan_is_made_again(alleyplan, shannan_plan, place_in_shannan, tmp_path):
    folder = shutil.copytree(shannan_plan, tmp_path / "plan")
    file = _write(tmp_path / "a.geojson", _said_there(place_in_shannan, note="还是太黑"))
    assert alleyplan("comments", file, "--out", folder).returncode == 0
    done = alleyplan("plan", SHANNAN, "--out", folder, "--only", "lamps", "--set", "work.effort=quick")
    assert "comments: 1 of residents" in done.stderr
    rows = read_comments(folder)
    assert rows["note"].tolist() == ["还是太黑"]
    assert rows["grid_id"].isna().all()  # the new plan has no grids
    assert "还是太黑" in (folder / "planner.html").read_text(encoding="utf-8")
