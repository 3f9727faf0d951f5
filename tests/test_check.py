"""What `check` tells of a folder: each layer as it was understood, and all that planning would meet."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pytest
from shapely import LineString, Point, Polygon

from spatial.check import check_folder, check_lines, write_check
from spatial.errors import DataError
from spatial.load import read_site
from spatial.palette import palette
from spatial.plan import make_plan
from spatial.settings import Settings
from tests.drawn import CRS

EAST, NORTH = 500_000.0, 3_500_000.0


#: So few that sites enough can be made along one lane.
FEW = {"lamps": {"n_lamps": 3}, "boards": {"n_boards": 3}}
DEFAULT = Settings.model_validate(FEW)


def at(x: float, y: float) -> Point:
    return Point(EAST + x, NORTH + y)


def line(*xy: tuple[float, float]) -> LineString:
    return LineString([(EAST + x, NORTH + y) for x, y in xy])


@pytest.fixture
def lane(tmp_path: Path) -> Path:
    """Forty households along one lane of 200 m, one lamp site on it."""
    folder = tmp_path / "lane"
    folder.mkdir()
    put(folder, "alleys", [line((0, 0), (200, 0))], alley_id=["A1"])
    put(folder, "households", [at(5 * n, 3) for n in range(40)], 户号=[f"H{n:02d}" for n in range(40)])
    return folder


def put(folder: Path, name: str, shapes: list[object], **columns: list[object]) -> None:
    gpd.GeoDataFrame(columns, geometry=shapes, crs=CRS).to_file(folder / f"{name}.gpkg", layer=name)


def found(folder: Path, settings: dict[str, object] | None = None) -> dict[str, object]:
    """The remarks by their code."""
    checked = check_folder(folder, Settings.model_validate({**FEW, **(settings or {})}))
    return {each.code: each for each in checked.remarks}


def test_each_layer_is_told_with_its_file_system_and_columns(lane):
    checked = check_folder(lane, DEFAULT)
    told = {each["layer"]: each for each in checked.to_json()["layers"]}
    assert set(told) == {"alleys", "households"}
    assert told["households"] | {"columns": None} == {
        "layer": "households", "file": "households.gpkg", "table": "households", "rows": 40, "used": 40,
        "crs": "EPSG:4548", "crs_by": "file", "datum": None, "datum_by": "", "encoding": "UTF-8",
        "encoding_by": "file", "columns": None, "guessed": ["household_id"],
    }  # fmt: skip
    assert told["households"]["columns"] == {"household_id": "户号"}
    text = "\n".join(check_lines(checked))
    assert "households 住户: households.gpkg (households)" in text
    assert "household_id ← 户号 (guessed)" in text
    assert not checked.faults


def test_a_faulty_layer_hides_nothing_of_the_others(lane):
    put(lane, "households", [at(5 * n, 3) for n in range(40)], households=["many"] * 40)
    put(lane, "lamp_sites", [at(0, 1), at(0, 1), at(60, 80)], site_id=["L1", "L2", "L3"])
    put(lane, "alleys", [line((0, 0), (200, 0)), line((100, 1.5), (100, 50))], alley_id=["A1", "A2"])
    remarks = found(lane, {"lamps": {"n_lamps": 4}})
    assert {"not-a-number", "sites-few", "sites-doubled", "sites-far", "ends-near"} <= set(remarks)
    assert remarks["sites-doubled"].ids == ("L1", "L2")
    assert remarks["sites-far"].ids == ("L3",)
    assert remarks["ends-near"].ids == ("A2",)


def test_an_end_on_another_level_or_of_a_bent_alley_is_no_gap(lane):
    put(lane, "alleys", [line((0, 0), (200, 0), (200, 1.5), (0, 1.5))], alley_id=["A1"])
    assert "ends-near" not in found(lane)


def test_edges_of_roads_are_no_alleys(lane):
    middles = [line((0, 0), (200, 0)), line((100, 0), (100, 90)), line((100, 90), (180, 140))]
    put(lane, "alleys", middles)
    assert "alleys-are-edges" not in found(lane)
    put(lane, "alleys", [each.offset_curve(side) for each in middles for side in (2, -2)])
    told = found(lane)["alleys-are-edges"]
    assert told.message.startswith("100% of their length runs within 12 m beside another line")


def test_blocks_of_houses_lie_farther_apart_than_the_edges_of_a_road(lane):
    put(lane, "alleys", [line((0, 14 * n), (200, 14 * n)) for n in range(6)] + [line((0, 0), (0, 70))])
    assert "alleys-are-edges" not in found(lane)


def test_a_short_stub_is_no_gap(lane):
    put(lane, "alleys", [line((0, 0), (200, 0)), line((100, 0), (100, 1.5))], alley_id=["A1", "A2"])
    assert "ends-near" not in found(lane)


def test_only_walls_need_consent_and_existing_lamps_alone_leave_the_sites_to_us(lane):
    sites = [at(20 * n, 1) for n in range(3)]
    about = {"site_id": ["L1", "L2", "L3"], "consent": ["no"] * 3}
    put(lane, "lamp_sites", sites, mount=["pole", "pole", "wall"], **about)
    assert "sites-few" not in found(lane, {"lamps": {"n_lamps": 2}})
    assert "sites-few" in found(lane, {"lamps": {"n_lamps": 3}})
    put(lane, "lamp_sites", sites, mount=["wall"] * 3, status=["existing", "required", "candidate"], **about)
    assert found(lane, {"lamps": {"n_lamps": 0}})["sites-refused"].ids == ("L2",)
    put(lane, "lamp_sites", sites, status=["existing"] * 3, **about)
    assert "sites-few" not in found(lane)


def test_a_number_of_grids_out_of_reach_is_refused_with_the_range(lane):
    remark = found(lane, {"grids": {"n_grids": 2}})["n-grids-unreachable"]
    assert remark.message.endswith("40 households make 1 to 1")
    assert "n-grids-unreachable" not in found(lane, {"grids": {"n_grids": 1}})


def test_parts_whose_total_makes_no_grids_are_told_with_the_way_over(lane):
    put(lane, "alleys", [line((0, 0), (200, 0)), line((0, 300), (200, 300))], alley_id=["A1", "A2"])
    put(
        lane,
        "households",
        [at(5 * n, 3) for n in range(40)] + [at(10 * n, 303) for n in range(5)] + [at(100, 480)],
        household_id=[f"H{n:02d}" for n in range(46)],
    )
    remarks = found(lane)
    assert remarks["part-total"].ids == tuple(f"H{n:02d}" for n in range(40, 45))
    assert "5 households" in remarks["part-total"].message
    assert "300 m away" in remarks["part-total"].message
    assert remarks["household-far"].ids == ("H45",)


def test_a_hamlet_is_told_by_its_group_with_the_place_where_it_is_nearest(lane):
    hamlet = [line((20, 120), (60, 120)), line((60, 120), (60, 150)), line((20, 0), (20, 90))]
    put(lane, "alleys", [line((0, 0), (200, 0)), *hamlet], alley_id=["A1", "A2", "A3", "A4"])
    put(
        lane,
        "households",
        [at(5 * n, 3) for n in range(40)] + [at(58, 120 + n) for n in range(30)],
        household_id=[f"H{n:02d}" for n in range(70)],
        group=["东组"] * 40 + ["西山组"] * 30,
    )
    told = found(lane)["part-cut-off"]
    assert told.ids == tuple(f"H{n:02d}" for n in range(40, 70))
    assert told.message == (
        "西山组: 30 households on 2 alleys of 70 m without a way to the largest part of the network, "
        "which is 30 m away in a straight line, at A4"
    )
    assert told.spots == (
        ("西山组", EAST + 20, NORTH + 120),
        ("A4: 30 m from 西山组", EAST + 20, NORTH + 90),
    )


def test_a_plan_tells_hamlets_and_edges_of_roads_in_brief(lane):
    hamlet = [line((20, 120), (60, 120)), line((20, 0), (20, 90))]
    put(lane, "alleys", [line((0, 0), (200, 0)), *hamlet], alley_id=["A1", "A2", "A3"])
    put(lane, "households", [at(5 * n, 3) for n in range(40)] + [at(30 + n, 122) for n in range(30)])
    made = make_plan(read_site(lane, DEFAULT), DEFAULT, only=("lamps",))
    doubts = {each["code"]: each for each in made.summary["doubts"]}
    told = doubts["parts-cut-off"]
    assert told["message"] == (
        "30 households on 1 part of the alleys have no way to the largest part: A2 (30 households)"
    )
    assert "alleyplan check" in told["remedy"]
    assert "alleys-are-edges" not in doubts
    middle = line((0, 0), (200, 0))
    put(lane, "alleys", [middle, middle.offset_curve(4)], alley_id=["A1", "A2"])
    made = make_plan(read_site(lane, DEFAULT), DEFAULT, only=("lamps",))
    assert "alleys-are-edges" in [each["code"] for each in made.summary["doubts"]]


def test_of_many_hamlets_the_largest_are_told_and_the_others_counted(lane):
    hamlets = [line((0, 40 * n), (30, 40 * n)) for n in range(1, 26)]
    put(lane, "alleys", [line((0, 0), (200, 0)), *hamlets], alley_id=[f"A{n:02d}" for n in range(26)])
    doors = [at(10 * k, 40 * n + 2) for n in range(1, 26) for k in range(2 if n == 25 else 1)]
    put(lane, "households", [at(5 * n, 3) for n in range(40)] + doors)
    told = [each for each in check_folder(lane, DEFAULT).remarks if each.code.startswith("part-")]
    assert len(told) == 21
    assert told[0].message.startswith("A25: 2 households on 1 alley of 30 m")
    (rest,) = (each for each in told if each.message.startswith("5 smaller parts"))
    assert len(rest.spots) == 10


@pytest.mark.parametrize("total", [29, 51, 59])
def test_totals_between_the_multiples_are_impossible(lane, total):
    put(
        lane,
        "households",
        [at(3 * n, 3) for n in range(total)],
        household_id=[f"H{n:02d}" for n in range(total)],
    )
    assert "part-total" in found(lane)


def test_sites_are_counted_against_the_numbers_asked_for(lane):
    sites = [at(20 * n, 1) for n in range(10)]
    status = ["required"] * 4 + ["forbidden"] * 3 + ["existing"] + ["candidate"] * 2
    put(lane, "board_sites", sites, site_id=[f"B{n}" for n in range(10)], status=status)
    put(lane, "lamp_sites", sites, site_id=[f"L{n}" for n in range(10)], status=["forbidden"] * 10)
    remarks = found(lane, {"boards": {"n_boards": 3}, "lamps": {"n_lamps": 2}})
    assert remarks["sites-required"].ids == ("B0", "B1", "B2", "B3")
    assert remarks["sites-few"].layer == "lamp_sites"
    assert "only 0 sites" in remarks["sites-few"].message


def test_check_and_plan_refuse_the_same_lamp_sites_in_the_same_words(lane):
    sites = [at(20 * n, 1) for n in range(3)]
    put(lane, "lamp_sites", sites, site_id=["L1", "L2", "L3"], status=["required", "candidate", "existing"])
    asked = {"lamps": {"n_lamps": 0, "budget_cny": 5}}
    told = found(lane, asked)
    assert told["sites-required"].ids == ("L1",)
    assert told["cost-missing"].ids == ("L1", "L2")
    settings = Settings.model_validate(asked)
    with pytest.raises(DataError) as refused:
        make_plan(read_site(lane, settings), settings, only=("lamps",))
    assert set(refused.value.faults) == {str(told["sites-required"]), str(told["cost-missing"])}


def test_points_lead_to_rows_also_of_a_layer_that_can_not_be_used(lane, tmp_path):
    bow_tie = Polygon([(EAST, NORTH), (EAST + 9, NORTH + 9), (EAST + 9, NORTH), (EAST, NORTH + 9)])
    put(lane, "households", [at(5 * n, 3) for n in range(3)], household_id=["H1", "H1", "H2"])
    put(lane, "buildings", [bow_tie], building_id=["B1"])
    checked = check_folder(lane, DEFAULT)
    points = checked.points()
    double = points[points["code"] == "id-double"]
    assert double["layer"].tolist() == ["households"]
    assert double.geometry.iloc[0].y == NORTH + 3
    np.testing.assert_allclose(points["x"], points.geometry.x)
    write_check(checked, tmp_path, "{}")
    assert len(gpd.read_file(tmp_path / "check.gpkg", layer="remarks")) == len(points)


def test_what_is_told_of_the_network_is_placed_where_it_is(lane):
    put(
        lane,
        "alleys",
        [
            line((0, 0), (200, 0)),
            line((100, 1.5), (100, 50)),  # stops short
            line((50, -20), (50, 20)),  # crosses without a vertex
            line((150, -20), (150, 20)),  # passes over
            line((20, 0), (40, 0)),  # lies on the first
            line((180, 0.3), (180, 30)),  # is brought to it
        ],
        alley_id=["A0", "A1", "A2", "A3", "A4", "A5"],
        bridge=[False, False, False, True, False, False],
    )
    points = check_folder(lane, DEFAULT).points()
    at_xy = {
        code: [(name, round(x - EAST, 6), round(y - NORTH, 6)) for name, x, y in rows.to_numpy().tolist()]
        for code, rows in points.groupby("code")[["id", "x", "y"]]
    }
    assert at_xy["ends-near"] == [("A1", 100, 1.5)]
    assert at_xy["crossings-noded"] == [("A0 × A2", 50, 0)]
    assert at_xy["crossings-apart"] == [("A0 × A3", 150, 0)]
    assert at_xy["alleys-doubled"] == [("A4", 30, 0)]
    assert at_xy["ends-joined"] == [("A5", 180, 0)]


def test_overlaps_are_placed_in_their_middle(lane):
    put(lane, "alleys", [line((0, 0), (200, 0)), line((20, 0), (40, 0), (40, 30))], alley_id=["A0", "A1"])
    assert found(lane)["overlaps-dropped"].spots == (("A1", EAST + 30, NORTH),)


def test_the_file_brings_its_style_and_every_kind_has_a_sign(lane, tmp_path):
    checked = check_folder(lane, DEFAULT)
    write_check(checked, tmp_path, "{}")
    styles = gpd.read_file(tmp_path / "check.gpkg", layer="layer_styles")
    assert styles[["f_table_name", "f_geometry_column", "useAsDefault"]].values.tolist() == [
        ["remarks", "geom", True]
    ]
    root = ElementTree.fromstring(styles["styleQML"].iloc[0])
    assert [each.get("value") for each in root.iter("category")] == ["fault", "doubt", "note"]
    used = [root.find("renderer-v2").get("attr"), root.find("renderer-v2/orderby/orderByClause").text]
    used.append(root.find("labeling/settings/text-style").get("fieldName"))
    fields = {name for each in used for name in re.findall(r'"(\w+)"', each) or [each]}
    assert fields <= set(checked.points().columns)
    colours = {each.get("value") for each in root.iter("Option") if each.get("name") == "color"}
    hexes = {"#" + "".join(f"{int(n):02X}" for n in each.split(",")[:3]) for each in colours}
    assert len(hexes) == 3
    assert hexes <= set(palette().values())


def test_a_folder_without_anything_to_place_is_told(tmp_path):
    checked = check_folder(tmp_path, DEFAULT)
    assert [each.code for each in checked.faults] == ["alleys-missing"]
    assert len(checked.points()) == 0


def test_files_whose_name_means_no_layer_are_never_opened(lane):
    (lane / "notes.txt").write_bytes(b"")
    (lane / "plan-of-1998.geojson").write_text("{")
    assert not check_folder(lane, DEFAULT).faults
