# ruff: noqa: E501 - the rows are a table
"""What is spoilt in a small village, and how ``check`` tells it: as fault, doubt or note, with its name.

Every row is also given to the real command, ``check`` and ``plan``: a sample by default, all of them
with ``make test-all``.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import sqlite3
from contextlib import closing

import numpy as np
import pytest
import rasterio
import shapely
import tomli_w
import xlsxwriter
from affine import Affine
from rasterio.transform import from_origin

from spatial.check import check_folder
from spatial.errors import DataError
from spatial.load import read_site
from spatial.plan import make_plan
from spatial.settings import Settings, examine_settings, read_settings
from tests.drawn_village import ALLEYS, CRS, HOUSES, X0, Y0, at, box, frame, geojson, line

NAN = math.nan
SEED = 5


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


def nothing(folder):
    pass


def bridge(folder):
    over = (line((20, -20), (20, 20)), {"alley_id": "b", "bridge": "yes"})
    geojson(folder, "alleys", [*ALLEYS, over])


def hamlet(folder):
    alleys(("way", line((0, 90), (50, 90))))(folder)
    houses((at(10, 95), {"household_id": "h4", "households": 30}))(folder)


def lock(folder):
    """Two houses of one lock on alleys without a way between them."""
    alleys(("way", line((0, 90), (50, 90))))(folder)
    locked = [
        (shape, {"household_id": f"k{i}", "locked_grid": "G1"})
        for i, shape in enumerate((at(9, 3), at(9, 93)))
    ]
    houses(*locked)(folder)


def astray_csv(folder):
    (folder / "households.geojson").unlink()
    (folder / "households.csv").write_text(f"id,x,y\nh1,{X0},{Y0}\nbad,1e999,{Y0}\n")


def workbook(folder):
    with xlsxwriter.Workbook(folder / "places.xlsx") as book:
        sheet = book.add_worksheet("places")
        sheet.write_row(0, 0, ["place_id", "kind", "easting", "northing"])
        sheet.write_row(1, 0, ["p1", "school", X0, Y0])


def abroad(folder):
    """The village in Finland."""
    for path in (folder / "alleys.geojson", folder / "households.geojson"):
        moved = path.read_text().replace(CRS, "EPSG:3067").replace("3497", "7000").replace("3496", "6999")
        path.write_text(moved)


def buildings(*heights):
    rows = [
        (box(12 * i, 20, 9, 9), {"building_id": f"b{i}", "height_m": each}) for i, each in enumerate(heights)
    ]
    return lambda folder: geojson(folder, "buildings", rows)


def in_geopackage(folder, name, rows):
    (folder / f"{name}.geojson").unlink()
    frame(rows).to_file(folder / f"{name}.gpkg", layer=name)
    return folder / f"{name}.gpkg"


def by_hand(path, sql, values=()):
    with closing(sqlite3.connect(path)) as database:
        for each in ("IsEmpty", "MinX", "MaxX", "MinY", "MaxY"):  # of the index of places
            database.create_function(f"ST_{each}", 1, lambda _: 0)
        database.execute(sql, values)
        database.commit()


def second_alley(wkb):
    """The geometry of a2 as these bytes."""

    def spoil(folder):
        path = in_geopackage(folder, "alleys", ALLEYS)
        blob = b"GP\0\1" + (4548).to_bytes(4, "little") + wkb
        by_hand(path, "UPDATE alleys SET geom = ? WHERE alley_id = 'a2'", (blob,))

    return spoil


CIRCULAR = (
    bytes([1, 8, 0, 0, 0, 3, 0, 0, 0]) + np.array([X0, Y0, X0 + 5, Y0 + 5, X0 + 10, Y0]).tobytes()
)  # three points of an arc
COMPOUND = bytes([1, 9, 0, 0, 0, 1, 0, 0, 0]) + CIRCULAR
MEASURED = shapely.to_wkb(shapely.from_wkt(f"LINESTRING M ({X0} {Y0} 1, {X0} {Y0 + 9} 2)"), flavor="iso")


def stale(folder):
    rows = [(at(5 * i, 8), {"household_id": f"h{i}"}) for i in range(12)]
    path = in_geopackage(folder, "households", rows)
    by_hand(path, "UPDATE gpkg_ogr_contents SET feature_count = 10")


def flipped_geopackage(folder):
    path = in_geopackage(folder, "alleys", ALLEYS)
    content = bytearray(path.read_bytes())
    content[100:160] = bytes(each ^ 0xFF for each in content[100:160])
    path.write_bytes(content)


def flipped_text(folder):
    path = folder / "alleys.geojson"
    content = bytearray(path.read_bytes())
    content[1] ^= 8
    path.write_bytes(content)


#: Ground that rises by 0.1 m a cell to the east and by 0.3 m to the south.
RAMP = 30 + np.add.outer(0.3 * np.arange(60), 0.1 * np.arange(80))


def heights(values, *, transform=None, **about):
    def spoil(folder):
        bands = np.asarray(values, dtype=about.get("dtype", "float32")).reshape(-1, 60, 80)
        n, rows, columns = bands.shape
        shape = {"count": n, "height": rows, "width": columns, "dtype": bands.dtype, "crs": CRS}
        place = transform or from_origin(X0 - 300, Y0 + 300, 10, 10)
        with rasterio.open(
            folder / "elevation.tif", "w", driver="GTiff", transform=place, **{**shape, **about}
        ) as raster:
            raster.write(bands)

    return spoil


BOW = shapely.Polygon([(X0, Y0), (X0 + 9, Y0 + 9), (X0 + 9, Y0), (X0, Y0 + 9)])
FLAT = shapely.Polygon([(X0, Y0 + 5), (X0 + 9, Y0 + 5), (X0 + 4, Y0 + 5)])

#: What is spoilt; how it is told, by which name, of which layer and column; an id or a word of the message;
#: settings.
ROWS = {
    # layers
    "no-alleys": (lambda f: (f / "alleys.geojson").unlink(), "fault alleys-missing alleys", "no alleys"),
    "alleys-empty": (lambda f: geojson(f, "alleys", []), "fault layer-empty alleys", "alleys.geojson"),
    "households-empty": (
        lambda f: geojson(f, "households", []), "fault layer-empty households", "households.geojson",
    ),
    "lamps-empty": (lamps(), "doubt layer-empty lamp_sites", "lamp_sites.geojson"),
    "layer-twice": (lambda f: geojson(f, "巷道", ALLEYS), "fault layer-twice alleys", "巷道.geojson"),
    "layer-other-name": (
        lambda f: (f / "alleys.geojson").rename(f / "道路_最终(2).geojson"),
        "fault alleys-missing alleys", "no alleys",
    ),
    "crs-missing": (lambda f: geojson(f, "alleys", ALLEYS, crs=None), "fault crs-missing alleys", "EPSG:4548"),
    # geometry
    "point-as-alley": (alleys(("bad", at(0, 0))), "fault geometry-type alleys", "(bad)"),
    "area-as-alley": (alleys(("bad", box(0, 0, 5, 5))), "fault geometry-type alleys", "(bad)"),
    "collection": (
        alleys(("bad", shapely.GeometryCollection([at(0, 0), line((0, 0), (9, 9))]))),
        "fault geometry-type alleys", "(bad)",
    ),
    "line-as-building": (
        lambda f: geojson(f, "buildings", [(line((0, 0), (9, 0), (9, 9), (0, 0)), {"id": "bad"})]),
        "fault geometry-type buildings", "(bad)",
    ),
    "null-shape": (alleys(("bad", None)), "fault geometry-missing alleys", "(bad)"),
    "empty-shape": (alleys(("bad", shapely.LineString())), "fault geometry-missing alleys", "(bad)"),
    "absurd-place": (
        houses((at(-400_000, 0), {"household_id": "bad"})), "fault geometry-astray households", "(bad)",
    ),
    "infinite-place": (astray_csv, "fault geometry-not-finite households", "(bad)", {"input": {"crs": CRS}}),
    "curve": (second_alley(CIRCULAR), "fault geometry-curved alleys", "(a2)"),
    "curve-compound": (second_alley(COMPOUND), "fault geometry-curved alleys", "(a2)"),
    "heights": (alleys(("high", shapely.force_3d(line((0, 9), (9, 9)), 3.0))), "note flattened alleys", "(high)"),
    "measures": (second_alley(MEASURED), "note flattened alleys", "(a2)"),
    "multipart": (
        alleys(("m", shapely.MultiLineString([line((0, 30), (9, 30)), line((0, 40), (9, 40))]))),
        "note parts-split alleys", "(m)",
    ),
    "multipart-house": (
        houses((shapely.MultiPoint([at(0, 5), at(5, 5)]), {"household_id": "bad"})),
        "fault geometry-several-points households", "(bad)",
    ),
    "house-without-area": (
        houses((FLAT, {"household_id": "bad"})), "fault geometry-no-area households", "(bad)",
    ),
    "self-crossing-area": (
        lambda f: geojson(f, "buildings", [(BOW, {"id": "bow"})]), "note polygon-made-valid buildings", "(bow)",
    ),
    # the network
    "zero-length": (alleys(("z", line((5, 5), (5, 5)))), "note no-extent-dropped alleys", "(z)"),
    "doubled": (alleys(("z", ALLEYS[0][0])), "note alleys-doubled alleys", "100.0 m"),
    "overlapping": (alleys(("o", line((20, 0), (40, 0), (40, 30)))), "note overlaps-dropped alleys", "20.0 m"),
    "self-crossing": (
        alleys(("s", line((0, 20), (50, 20), (50, 40), (25, 40), (25, 5)))), "note crossings-noded alleys", "(s)",
    ),
    "crossing-without-node": (
        alleys(("x", line((20, -20), (20, 20)))), "note crossings-noded alleys", "(a1, x)",
    ),
    "bridge": (bridge, "note crossings-apart alleys", "(a1, b)"),
    "end-joined": (alleys(("n", line((20, 0.3), (20, 30)))), "note ends-joined alleys", "(n)"),
    "end-near": (alleys(("n", line((20, 1.5), (20, 30)))), "doubt ends-near alleys", "(n)"),
    "hamlet": (hamlet, "doubt part-cut-off households", "90 m away in a straight line, at a1 (h4)"),
    "house-far": (houses((at(50, 2000), {"household_id": "far"})), "doubt household-far households", "(far)"),
    # ids and counts
    "id-null": (house(household_id=None), "fault id-missing households.household_id", "(row 4)"),
    "id-double": (house(household_id="h1"), "fault id-double households.household_id", "(h1)"),
    "id-double-as-float": (
        houses((at(40, 8), {"household_id": "4"}), (at(50, 8), {"household_id": 4.0})),
        "fault id-double households.household_id", "(4)",
    ),
    "id-rounded": (
        house(household_id=3.4012319900101e17), "doubt id-rounded households.household_id",
        "3.4012319900101e+17",
    ),
    "id-half": (house(household_id=4.5), "doubt id-rounded households.household_id", "(4.5)"),
    **{
        f"count-{name}": (house(households=value), f"fault {code} households.households", "(h4)")
        for name, value, code in (
            ("text", "many", "not-a-number"), ("negative", -2, "out-of-range"), ("zero", 0, "out-of-range"),
            ("half", 1.5, "not-whole"), ("huge", 1e300, "out-of-range"), ("inf", "inf", "not-a-number"),
            ("digits", 10**400, "not-a-number"), ("comma", "1,200", "not-a-number"),
            ("list", [3], "not-a-number"), ("table", {"n": 3}, "not-a-number"),
        )
    },
    "count-none": (house(households=None), "note default-taken households.households", "(h4)"),
    "count-nan": (house(households=NAN), "note default-taken households.households", "(h4)"),
    "above-maximum": (
        house(households=80), "doubt household-large households.households", "(h4)",
        {"grids": {"split_buildings": False}},
    ),
    **{
        f"total-{n}": (house(households=n - 6), "doubt part-total households", f"{n} households")
        for n in (10, 29, 51, 59)
    },
    # sites
    "lamps-few": (
        lamps("candidate"), "fault sites-few lamp_sites.status", "lamps.n_lamps is 3", {"lamps": {"n_lamps": 3}},
    ),
    "lamps-forbidden": (
        lamps("forbidden", "forbidden"), "fault sites-few lamp_sites.status", "only 0 sites",
        {"lamps": {"n_lamps": 1}},
    ),
    "lamps-required": (
        lamps("required", "required"), "fault sites-required lamp_sites.status", "(L0, L1)",
        {"lamps": {"n_lamps": 1}},
    ),
    "lamps-doubled": (
        lamps("candidate", "candidate", apart_m=0.0), "doubt sites-doubled lamp_sites", "(L0, L1)",
    ),
    "lamps-far": (
        lamps("candidate", "candidate", away_m=80.0), "doubt sites-far lamp_sites", "(L0, L1)",
    ),
    "lamps-made-few": (nothing, "fault sites-few lamp_sites.status", "is 150 but only 13", {"lamps": {"n_lamps": 150}}),
    "boards-out-of-reach": (
        lambda f: geojson(f, "board_sites", [(at(50, 500), {"site_id": "B0"})]),
        "fault sites-few board_sites.status", "boards.n_boards is 1 but only 0 sites",
    ),
    "lock-apart": (lock, "fault grids-refused", "households.locked_grid: the rows of G1 can't hang together"),
    "status-unknown": (
        lamps("maybe"), "fault value-unknown lamp_sites.status", "(L0) – write one of candidate",
        {"lamps": {"n_lamps": 1}},
    ),
    # heights
    "heights-elsewhere": (
        heights(RAMP, transform=from_origin(X0 + 90_000, Y0, 10, 10)), "doubt layers-apart elevation",
        "elevation.tif",
    ),
    "heights-nodata": (
        heights(np.full((60, 80), -9999.0), nodata=-9999), "doubt elevation-none elevation", "elevation.tif",
    ),
    "heights-nodata-undeclared": (
        heights(np.where(RAMP < 40, -9999.0, RAMP)), "doubt height-odd elevation", "mostly -9,999",
    ),
    "heights-of-two-bands": (
        heights([RAMP, RAMP]), "note band-chosen elevation", "[input.elevation] band",
    ),
    "heights-in-centimetres": (heights(100 * RAMP), "doubt elevation-unit elevation", "cm, mm"),
    "heights-in-millimetres": (heights(1000 * RAMP), "fault file-unreadable elevation", "perhaps in centimetres or"),
    "buildings-in-centimetres": (
        buildings(320, 650, 580, 390), "doubt height-unit buildings.height_m", "look like centimetres (the middle one 485",
    ),
    "heights-complex": (heights(RAMP, dtype="complex64"), "fault raster-values elevation", "elevation.tif"),
    "heights-nowhere": (
        heights(RAMP, transform=Affine.identity()), "fault raster-unplaced elevation", "elevation.tif",
    ),
    # settings
    **{
        f"setting-{name}": (nothing, f"fault {code} {key}", word, settings)
        for name, code, key, word, settings in (
            ("minimum-above-maximum", "setting-refused", ".grids", "min_households 60",
             {"grids": {"min_households": 60}}),
            ("reach-0", "setting-refused", ".lamps.reach_m", "must be greater than 0, got 0",
             {"lamps": {"reach_m": 0}}),
            ("walk-negative", "setting-refused", ".boards.walk_m", "must be greater than 0, got -5",
             {"boards": {"walk_m": -5}}),
            ("spacing-0", "setting-refused", ".sites.spacing_m", "must be 0.5 or more, got 0",
             {"sites": {"spacing_m": 0}}),
            ("share-of-2", "setting-refused", ".lamps.share_of_lightable", "must be 1 or less, got 2",
             {"lamps": {"share_of_lightable": 2}}),
            ("number-text", "setting-refused", ".lamps.n_lamps", 'must be a whole number, got "many"',
             {"lamps": {"n_lamps": "many"}}),
            ("number-half", "setting-refused", ".lamps.n_lamps", "must be a whole number, got 1.5",
             {"lamps": {"n_lamps": 1.5}}),
            ("number-huge", "setting-refused", ".boards.n_boards", "must be 10,000,000 or less",
             {"boards": {"n_boards": 10**9}}),
            ("nan", "setting-refused", ".lamps.reach_m", "must be a finite number, got nan",
             {"lamps": {"reach_m": NAN}}),
            ("either", "setting-refused", ".work.threads", "must be a whole number or 'all', got \"most\"",
             {"work": {"threads": "most"}}),
            ("table", "setting-refused", ".lamps", "must be a table of settings, got 3", {"lamps": 3}),
            ("choice", "setting-refused", ".lamps.goal", "must be 'most-lit' or 'fewest'",
             {"lamps": {"goal": "best"}}),
            ("unknown", "setting-unknown", ".lamps.n_lmaps", "did you mean n_lamps?",
             {"lamps": {"n_lmaps": 2}}),
            ("unknown-table", "setting-unknown", ".lamp", "did you mean lamps?", {"lamp": {"n_lamps": 2}}),
            ("unknown-of-layer", "setting-unknown", ".input.alleys.encodin", "did you mean encoding?",
             {"input": {"alleys": {"encodin": "gbk"}}}),
            ("weight-of-nobody", "lamps-refused", "", "needs households.elderly", {"lamps": {"weight": "elderly"}}),
            ("building-unknown", "grids-refused", "", "names B9", {"grids": {"zone_buildings": ["B9"]}}),
            ("unbuilt", "setting-unbuilt", "", "[works] is not built yet", {"works": {"budget_cny": 5}}),
            ("unbuilt-model", "setting-unbuilt", "", "lamps.model = lux", {"lamps": {"model": "lux"}}),
            ("of-no-layer", "layer-unknown", "", "did you mean alleys?", {"input": {"aleys": {}}}),
        )
    },
    # settings of a layer that do not fit its file
    **{
        f"unfit-{name}": (spoil, f"fault input-setting {layer}", word, {"input": {layer: about}})
        for name, spoil, layer, word, about in (
            ("band", nothing, "alleys", "band is given, but alleys.geojson is no raster", {"band": 2}),
            ("status", nothing, "households", "status is given, but only", {"status": "existing"}),
            ("status-of-raster", heights(RAMP), "elevation", "status is given", {"status": "existing"}),
            ("columns-of-raster", heights(RAMP), "elevation", "columns is given", {"columns": {"z": "1"}}),
            ("encoding-of-raster", heights(RAMP), "elevation", "without text", {"encoding": "gbk"}),
            ("swap-of-raster", heights(RAMP), "elevation", "how its cells lie", {"swap_xy": True}),
            ("encoding-of-workbook", workbook, "places", "says its encoding itself", {"encoding": "gbk", "crs": CRS}),
            ("coordinates-of-shapes", nothing, "alleys", "holds shapes", {"columns": {"x": "name", "y": "name"}}),
            ("one-coordinate", workbook, "places", "name both", {"columns": {"x": "easting"}, "crs": CRS}),
            ("datum-abroad", abroad, "alleys", "outside China", {"datum": "gcj02"}),
        )
    },
    "unfit-swap": (nothing, "fault input-setting alleys", "leave swap_xy out", {"input": {"alleys": {"swap_xy": True}}}),
    "unfit-crs": (nothing, "fault layers-apart households", "km", {"input": {"households": {"crs": "EPSG:4549"}}}),
    "unfit-column": (nothing, "fault column-unknown alleys", "did you mean width_m?", {"input": {"alleys": {"columns": {"width": "name"}}}}),
    "unfit-heading": (
        nothing, "fault heading-missing alleys.width_m", "its headings: alley_id, name",
        {"input": {"alleys": {"columns": {"width_m": "breadth"}}}},
    ),
    "unused": (nothing, "doubt input-unused places", "no file is called like it", {"input": {"places": {"crs": CRS}}}),
    # files
    "file-empty": (put("places.gpkg", b""), "fault file-unreadable places", "0 bytes"),
    "file-cut": (put("places.geojson", b'{"type": "Fea'), "fault file-unreadable places", "places.geojson"),
    "file-flipped": (flipped_text, "fault file-unreadable alleys", "not valid JSON"),
    "file-flipped-geopackage": (flipped_geopackage, "fault file-unreadable alleys", "alleys.gpkg is damaged"),
    "file-picture": (put("places.geojson", b"\x89PNG\r\n"), "fault file-unreadable places", "not GeoJSON"),
    "file-archive": (put("places.geojson", b"PK\x03\x04"), "fault file-unreadable places", "not GeoJSON"),
    "file-folder": (lambda f: (f / "places.gpkg").mkdir(), "fault file-unreadable places", "plain file"),
    "file-pipe": (lambda f: os.mkfifo(f / "places.gpkg"), "fault file-unreadable places", "plain file"),
    "file-loop": (
        lambda f: (f / "places.gpkg").symlink_to("places.gpkg"), "fault file-unreadable places", "places.gpkg",
    ),
    "count-stale": (stale, "doubt count-stale households", "holds 12 rows but counts 10"),
}  # fmt: skip


def sample(n):
    """All rows, ``n`` of them by default and the others at length."""
    ranked = sorted(ROWS, key=lambda each: hashlib.sha256(f"{SEED} {each}".encode()).hexdigest())
    return [pytest.param(each, marks=() if each in ranked[:n] else pytest.mark.long) for each in ROWS]


#: So that two alleys have sites enough where the row does not say otherwise.
FEW = {"lamps": {"n_lamps": 2}, "boards": {"n_boards": 1}}


def spoilt(folder, name):
    """The folder as the row spoils it, its settings beside it."""
    spoil, _, _, settings = (*ROWS[name], {})[:4]
    spoil(folder)
    asked = {
        key: {**FEW.get(key, {}), **each} if isinstance(each, dict) else each
        for key, each in {**FEW, **settings}.items()
    }
    (folder / "plan.toml").write_text(tomli_w.dumps(asked), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ROWS)
def test_each_is_told_once_with_its_kind_its_name_and_a_way_out(village, name):
    kind, code, where = (*ROWS[name][1].split(" "), "")[:3]
    layer, _, column = where.partition(".")
    known, wrong = examine_settings(spoilt(village, name) / "plan.toml")
    checked = check_folder(village, known, faults=wrong)
    (found,) = (each for each in checked.remarks if each.code == code)
    assert (found.kind, found.layer, found.column) == (kind, layer, column)
    assert ROWS[name][2] in str(found)
    assert kind == "note" or found.remedy or re.search("; |must ", found.message)
    # a fault alone, and nothing but it, ends check with 2
    assert [each.code for each in checked.faults] == [code] * (kind == "fault")


@pytest.mark.parametrize("name", sample(30))
def test_planning_refuses_what_check_refuses_and_nothing_else(village, name):
    """Of every row: what check calls sound can be planned as it is asked for."""
    path = spoilt(village, name) / "plan.toml"

    def plan():
        settings = read_settings(path)
        return make_plan(read_site(village, settings), settings)

    if ROWS[name][1].startswith("fault"):
        with pytest.raises(DataError):
            plan()
    else:
        assert plan().summary["plan_id"]


def test_faults_of_several_layers_and_files_are_found_in_one_run(village):
    for each in ("absurd-place", "lamps-few", "file-pipe"):
        ROWS[each][0](village)
    geojson(village, "alleys", [*ALLEYS, (None, {"alley_id": "bad"})])
    geojson(village, "board_sites", [(at(0, 0), {"status": "maybe"})], crs=CRS)
    checked = check_folder(village, Settings.model_validate({"lamps": {"n_lamps": 3}}))
    assert sorted(each.code for each in checked.faults if each.code != "sites-few") == [
        "file-unreadable", "geometry-astray", "geometry-missing", "value-unknown",
    ]  # fmt: skip


def test_a_layer_with_curves_shows_its_other_faults_too(village):
    second_alley(CIRCULAR)(village)
    by_hand(village / "alleys.gpkg", "UPDATE alleys SET alley_id = 'a2' WHERE alley_id = 'a1'")
    found = {each.code: each.ids for each in check_folder(village, Settings()).faults}
    assert found == {"geometry-curved": ("a2",), "id-double": ("a2",)}


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────

SECTIONS = [each for each in Settings.model_fields if each != "facility"]


@pytest.mark.parametrize("section", [*SECTIONS, "facility.care", "input.alleys"])
def test_an_unknown_key_is_told_once_in_every_table(tmp_path, section):
    path, needed = tmp_path / "plan.toml", 'candidates = "places"\n' if section == "facility.care" else ""
    path.write_text(f"[{section}]\nqqq = 3\n{needed}", encoding="utf-8")
    (found,) = examine_settings(path)[1]
    assert (found.code, found.column) == ("setting-unknown", f"{section}.qqq")
    assert found.remedy


@pytest.mark.parametrize("section", SECTIONS)
def test_a_value_of_no_type_at_all_is_told_once_for_every_key(tmp_path, section):
    path = tmp_path / "plan.toml"
    keys = [each for each in Settings.model_fields[section].annotation.model_fields if each != "layers"]
    path.write_text(f"[{section}]\n" + "".join(f"{each} = 07:30:00\n" for each in keys), encoding="utf-8")
    told = examine_settings(path)[1]
    assert sorted(each.column for each in told) == sorted(f"{section}.{each}" for each in keys)
    assert all(re.match("must be (a |text|true|list|'|table)", each.message) for each in told), told


# ── the command ──────────────────────────────────────────────────────────────────────────────────────

NOISE = re.compile(
    r"Traceback|Warning\b|ERROR \d|CPLE_|rasterio\._|pyogrio\.|shapely\.|sqlite3\.|\.py\", line"
)


def state(folder):
    """Every entry with its kind, time and content."""
    return {
        each.name: (
            each.lstat().st_mode,
            each.lstat().st_mtime_ns,
            each.read_bytes() if each.is_file() else b"",
        )
        for each in sorted(folder.iterdir())
        if not each.is_symlink()
    }


@pytest.mark.parametrize("name", sample(3))
def test_check_and_plan_end_alike_and_a_refusal_leaves_nothing(village, alleyplan, name, tmp_path):
    before = state(spoilt(village, name))
    out = tmp_path / "plans" / "plan"
    checked = alleyplan("check", village, timeout=120)
    planned = alleyplan("plan", village, "--out", out, timeout=300)
    assert checked.returncode == planned.returncode == (2 if ROWS[name][1].startswith("fault") else 0), (
        checked.stderr + planned.stderr
    )
    for each in (checked, planned):
        assert not NOISE.search(each.stdout + each.stderr), each.stderr
    assert (out / "summary.json").is_file() == (planned.returncode == 0)
    assert not out.parent.exists() or [each.name for each in out.parent.iterdir()] in ([], ["plan"])
    assert planned.returncode == 0 or not out.exists()
    assert state(village) == before
