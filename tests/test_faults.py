"""What is spoilt in a small village, and how ``check`` tells it: as fault, doubt or note, with its name."""

from __future__ import annotations

import math
import os

import pytest
import shapely

from spatial.check import check_folder
from spatial.settings import Settings
from tests.drawn_village import ALLEYS, CRS, HOUSES, X0, Y0, at, box, geojson, line

NAN = math.nan


def alleys(*rows):
    return lambda folder: geojson(folder, "alleys", [*ALLEYS, *[(s, {"alley_id": n}) for n, s in rows]])


def houses(*rows):
    return lambda folder: geojson(folder, "households", [*HOUSES, *rows])


def house(**about):
    return houses((at(40, 8), {"household_id": "h4", **about}))


def lamps(*statuses, apart_m=10.0, away_m=1.0):
    rows = [
        (at(apart_m * i, away_m), {"site_id": f"L{i}", "status": each}) for i, each in enumerate(statuses)
    ]
    return lambda folder: geojson(folder, "lamp_sites", rows)


def put(name, content):
    return lambda folder: (folder / name).write_bytes(content)


BOW = shapely.Polygon([(X0, Y0), (X0 + 9, Y0 + 9), (X0 + 9, Y0), (X0, Y0 + 9)])
FAULT, DOUBT, NOTE = "fault", "doubt", "note"

#: What is spoilt, how it is told, a word or id of the message, settings.
ROWS = {
    "no-alleys": (lambda f: (f / "alleys.geojson").unlink(), FAULT, "alleys-missing", "no alleys", {}),
    "alleys-empty": (lambda f: geojson(f, "alleys", []), FAULT, "layer-empty", "alleys.geojson", {}),
    "households-empty": (lambda f: geojson(f, "households", []), FAULT, "layer-empty", "households", {}),
    "lamps-empty": (lamps(), DOUBT, "layer-empty", "lamp_sites", {}),
    "point-as-alley": (alleys(("bad", at(0, 0))), FAULT, "geometry-type", "bad", {}),
    "area-as-alley": (alleys(("bad", box(0, 0, 5, 5))), FAULT, "geometry-type", "bad", {}),
    "null-shape": (alleys(("bad", None)), FAULT, "geometry-missing", "bad", {}),
    "empty-shape": (alleys(("bad", shapely.LineString())), FAULT, "geometry-missing", "bad", {}),
    "absurd-place": (
        houses((at(-400_000, 0), {"household_id": "bad"})), FAULT, "geometry-astray", "bad", {},
    ),
    "heights": (alleys(("high", shapely.force_3d(line((0, 9), (9, 9)), 3.0))), NOTE, "flattened", "high", {}),
    "multipart": (
        alleys(("m", shapely.MultiLineString([line((0, 30), (9, 30)), line((0, 40), (9, 40))]))),
        NOTE, "parts-split", "m", {},
    ),
    "self-crossing-area": (
        lambda f: geojson(f, "buildings", [(BOW, {"id": "bow"})]), NOTE, "polygon-made-valid", "bow", {},
    ),
    "zero-length": (alleys(("z", line((5, 5), (5, 5)))), NOTE, "no-extent-dropped", "z", {}),
    "end-near": (alleys(("n", line((20, 1.5), (20, 30)))), DOUBT, "ends-near", "n", {}),
    "house-far": (houses((at(50, 2000), {"household_id": "far"})), DOUBT, "household-far", "far", {}),
    "id-null": (house(household_id=None), FAULT, "id-missing", "households", {}),
    "id-double": (house(household_id="h1"), FAULT, "id-double", "h1", {}),
    **{
        f"count-{name}": (house(households=value), FAULT, code, "h4", {})
        for name, value, code in (
            ("text", "many", "not-a-number"), ("negative", -2, "out-of-range"), ("zero", 0, "out-of-range"),
            ("half", 1.5, "not-whole"), ("huge", 1e300, "out-of-range"), ("inf", "inf", "not-a-number"),
        )
    },
    "count-none": (house(households=None), NOTE, "default-taken", "h4", {}),
    "count-nan": (house(households=NAN), NOTE, "default-taken", "h4", {}),
    "above-maximum": (
        house(households=80), DOUBT, "household-large", "h4", {"grids": {"split_buildings": False}},
    ),
    **{
        f"total-{n}": (house(households=n - 6), DOUBT, "part-total", f"{n} households", {})
        for n in (10, 29, 51, 59)
    },
    "lamps-few": (lamps("candidate"), FAULT, "sites-few", "lamps.n_lamps is 3", {"lamps": {"n_lamps": 3}}),
    "lamps-forbidden": (
        lamps("forbidden", "forbidden"), FAULT, "sites-few", "only 0 sites", {"lamps": {"n_lamps": 1}},
    ),
    "lamps-required": (
        lamps("required", "required"), FAULT, "sites-required", "L1", {"lamps": {"n_lamps": 1}},
    ),
    "lamps-doubled": (lamps("candidate", "candidate", apart_m=0.0), DOUBT, "sites-doubled", "L0", {}),
    "lamps-far": (lamps("candidate", away_m=80.0), DOUBT, "sites-far", "L0", {}),
    "status-unknown": (
        lamps("maybe"), FAULT, "value-unknown", "candidate, existing", {"lamps": {"n_lamps": 1}},
    ),
    "crs-missing": (lambda f: geojson(f, "alleys", ALLEYS, crs=None), FAULT, "crs-missing", "EPSG:4548", {}),
    "setting-of-no-layer": (lambda f: None, FAULT, "layer-unknown", "alleys", {"input": {"aleys": {}}}),
    "file-empty": (put("places.gpkg", b""), FAULT, "file-unreadable", "0 bytes", {}),
    "file-cut": (put("places.geojson", b'{"type": "Fea'), FAULT, "file-unreadable", "places.geojson", {}),
    "file-picture": (put("places.geojson", b"\x89PNG\r\n"), FAULT, "file-unreadable", "not GeoJSON", {}),
    "file-archive": (put("places.geojson", b"PK\x03\x04"), FAULT, "file-unreadable", "not GeoJSON", {}),
    "file-folder": (lambda f: (f / "places.gpkg").mkdir(), FAULT, "file-unreadable", "plain file", {}),
    "file-pipe": (lambda f: os.mkfifo(f / "places.gpkg"), FAULT, "file-unreadable", "plain file", {}),
    "file-loop": (
        lambda f: (f / "places.gpkg").symlink_to("places.gpkg"), FAULT, "file-unreadable", "places.gpkg", {},
    ),
    "layer-twice": (lambda f: geojson(f, "巷道", ALLEYS), FAULT, "layer-twice", "巷道.geojson", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_each_is_told_once_with_its_kind_and_its_name(village, name):
    spoil, kind, code, word, settings = ROWS[name]
    spoil(village)
    checked = check_folder(village, Settings.model_validate(settings))
    (found,) = (each for each in checked.remarks if each.code == code)
    assert found.kind == kind
    assert word in str(found)
    # a fault alone, and nothing but it, ends check with 2
    assert [each.code for each in checked.faults if kind == FAULT] == [code] * (kind == FAULT)


def test_faults_of_several_layers_and_files_are_found_in_one_run(village):
    rows = ["absurd-place", "lamps-few", "file-pipe"]
    for each in rows:
        ROWS[each][0](village)
    geojson(village, "alleys", [*ALLEYS, (None, {"alley_id": "bad"})])
    geojson(village, "board_sites", [(at(0, 0), {"status": "maybe"})], crs=CRS)
    checked = check_folder(village, Settings.model_validate({"lamps": {"n_lamps": 3}}))
    assert sorted(each.code for each in checked.faults if each.code != "sites-few") == [
        "file-unreadable", "geometry-astray", "geometry-missing", "value-unknown",
    ]  # fmt: skip
