"""Folders as township offices have them: what is taken, what is only told, and what a setting then mends."""

import pytest
import xlsxwriter

from spatial.load import check_site, read_site
from tests.drawn_village import CRS, DEFAULT, HOUSES, X0, Y0, at, box, codes, faults, geojson, with_input


def told(folder, code, known=DEFAULT):
    """The remarks of one code."""
    return [each for each in check_site(folder, known)[1] if each.code == code]


# ── lamps that stand already ─────────────────────────────────────────────────────────────────────────


def test_lamps_without_a_status_may_stand_already(village):
    geojson(village, "路灯", [(at(5, 1), {"编号": "1"}), (at(50, 1), {"编号": "2"})])
    (doubted,) = told(village, "status-unstated")
    assert '[input.lamp_sites] status = "existing"' in doubted.remedy
    assert read_site(village, DEFAULT).layer("lamp_sites")["status"].tolist() == ["candidate"] * 2
    known = with_input(lamp_sites={"status": "existing"})
    assert read_site(village, known).layer("lamp_sites")["status"].tolist() == ["existing"] * 2
    assert not told(village, "status-unstated", known)


def test_a_row_s_own_status_goes_before_that_of_all(village):
    rows = [(at(5, 1), {"状态": "候选"}), (at(50, 1), {"状态": " "}), (at(60, 1), {"状态": None})]
    geojson(village, "路灯", rows)
    site = read_site(village, with_input(lamp_sites={"status": "existing"}))
    assert sorted(site.layer("lamp_sites")["status"]) == ["candidate", "existing", "existing"]
    assert not told(village, "status-unstated")


@pytest.mark.parametrize("name", ["lamp_sites", "路灯候选点", "宣传栏候选点", "lamp_candidates"])
def test_sites_that_are_called_so_are_proposed(village, name):
    geojson(village, name, [(at(5, 1), {})])
    assert not told(village, "status-unstated")


def test_a_status_of_alleys_is_refused(village):
    assert ("input-setting", "alleys", "") in faults(village, with_input(alleys={"status": "existing"}))


# ── houses drawn as areas ────────────────────────────────────────────────────────────────────────────

AREAS = [(box(20 * i, 5, 10, 10), {"层数": 1 + i}) for i in range(3)]


def test_houses_that_say_nothing_of_households_are_buildings(village):
    (village / "households.geojson").unlink()
    geojson(village, "房屋", AREAS)
    site = read_site(village, DEFAULT)
    assert site.layer("buildings")["storeys"].tolist() == [1, 2, 3]
    assert ("houses-are-buildings", "buildings") in codes(site, "doubt")
    assert ("households-estimated", "households") in codes(site, "doubt")
    known = with_input(households={"file": "房屋.geojson"})
    assert len(read_site(village, known).layer("households")) == 3
    assert "buildings" not in read_site(village, known).layers


@pytest.mark.parametrize("more", [{"户数": 2}, {"人口": 4}, {"组别": "东组"}])
def test_houses_with_people_are_households(village, more):
    (village / "households.geojson").unlink()
    geojson(village, "房屋", [(shape, each | more) for shape, each in AREAS])
    site = read_site(village, DEFAULT)
    assert len(site.layer("households")) == 3
    assert "buildings" not in site.layers


def test_points_are_households_and_areas_beside_buildings_too(village):
    (village / "households.geojson").unlink()
    path = geojson(village, "房屋", [(shape, {}) for shape, _ in HOUSES])
    assert len(read_site(village, DEFAULT).layer("households")) == 3
    path.unlink()
    geojson(village, "房屋", AREAS)
    geojson(village, "buildings", AREAS)
    assert not told(village, "houses-are-buildings")


def test_what_is_set_for_the_households_holds_for_the_areas(village):
    (village / "households.geojson").unlink()
    geojson(village, "房屋", AREAS, crs=None)
    assert ("crs-missing", "buildings", "") in faults(village)
    assert len(read_site(village, with_input(households={"crs": CRS})).layer("buildings")) == 3
    assert len(read_site(village, with_input(buildings={"crs": CRS})).layer("buildings")) == 3


# ── files whose names only speak of a layer ──────────────────────────────────────────────────────────


def test_a_list_of_residents_is_pointed_to_and_read_when_it_is_meant(village):
    (village / "households.geojson").unlink()
    with xlsxwriter.Workbook(village / "居民花名册.xlsx") as book:
        sheet = book.add_worksheet("Sheet1")
        sheet.write_row(0, 0, ["某某社区居民花名册"])
        sheet.write_row(1, 0, ["序号", "门牌号码", "总户数", "家庭人口", "所属小组", "东坐标", "北坐标"])
        sheet.write_row(2, 0, [1, "大井巷1号", "３户", "４", "东组", X0 + 10, Y0 + 8])
        sheet.write_row(5, 0, ["合计", "", 3])
    (village / "~$居民花名册.xlsx").write_bytes(b"x" * 165)
    (doubted,) = told(village, "layer-perhaps")
    assert (
        doubted.remedy == 'if it is meant, set [input.households] file = "居民花名册.xlsx", layer = "Sheet1"'
    )
    known = with_input(households={"file": "居民花名册.xlsx", "layer": "Sheet1", "crs": CRS})
    rows = read_site(village, known).layer("households")
    assert rows[["household_id", "households", "residents", "group"]].to_numpy().tolist() == [
        ["大井巷1号", 3, 4, "东组"]
    ]


def test_another_version_of_a_layer_and_a_folder_below_are_pointed_to(village):
    geojson(village, "道路_最终(2)", HOUSES)
    below = village / "矢量数据"
    below.mkdir()
    geojson(below, "房屋建筑", AREAS)
    (village / "__MACOSX").mkdir()
    geojson(village / "__MACOSX", "道路", HOUSES)
    doubts = {each.layer: each for each in told(village, "layer-perhaps")}
    assert "道路_最终(2).geojson is not read" in doubts["alleys"].message
    assert "which are in alleys.geojson" in doubts["alleys"].message
    assert '[input.buildings] file = "矢量数据/房屋建筑.geojson"' in doubts["buildings"].remedy
    known = with_input(buildings={"file": "矢量数据/房屋建筑.geojson"})
    assert len(read_site(village, known).layer("buildings")) == 3


def test_hundreds_of_such_files_are_not_all_pointed_to(village):
    for i in range(50):
        geojson(village, f"道路{i}", HOUSES)
    assert len(told(village, "layer-perhaps")) == 12
