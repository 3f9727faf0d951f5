"""The office's tables: what is in the plan, as what it is."""

from __future__ import annotations

import html
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from python_calamine import CalamineWorkbook

from spatial.errors import doubt
from spatial.maps import planner_page, residents_page
from spatial.plan import Plan
from spatial.report import write_tables
from tests.drawn_plan import drawn_plan


def _rows(plan: Plan, folder: Path, sheet: str) -> list[dict[str, Any]]:
    write_tables(plan, folder / "tables.xlsx")
    head, _, *rows = CalamineWorkbook.from_path(folder / "tables.xlsx").get_sheet_by_name(sheet).to_python()
    return [dict(zip(map(str, head), row, strict=True)) for row in rows]


def test_the_roster_has_a_line_for_each_grid_with_units_in_the_headings(tmp_path: Path):
    rows = _rows(drawn_plan(), tmp_path, "网格表")
    assert [(each["网格号"], each["户数(户)"], each["平均步行距离(米)"]) for each in rows] == [
        (1, 40, 21.25),
        (2, 40, 33.5),
        (3, 3, 12.0),
    ]


def test_households_that_nobody_counted_are_headed_as_estimates(tmp_path: Path):
    plan = drawn_plan()
    told = doubt("households-estimated", "83 are ESTIMATED", layer="households").to_json()
    estimated = replace(plan, summary={**plan.summary, "doubts": [told]})
    assert not plan.households_estimated
    assert [each["户数(户)【按房屋估算】"] for each in _rows(estimated, tmp_path, "网格表")] == [40, 40, 3]
    for make in (residents_page, planner_page):
        assert '"households_estimated":true' in make(estimated)
        assert '"households_estimated":false' in make(plan)


def test_the_roster_names_the_alleys_that_each_grid_keeps(tmp_path: Path):
    plan = drawn_plan()
    lane = plan.layers["alleys"].iloc[[1]].assign(alley_id="A3", length_m=7.5)
    alleys = pd.concat([plan.layers["alleys"], lane, lane.assign(alley_id="A4")], ignore_index=True)
    layers = {
        **plan.layers,
        "alleys": alleys.assign(grid_id=[2, 2, 2, 3], name=["大井巷", "东巷", None, None]),
    }
    rows = _rows(replace(plan, layers=layers), tmp_path, "网格表")
    assert [each["管护巷道"] for each in rows] == ["", "东巷、大井巷、无名巷道1条", "无名巷道1条"]
    assert [each["管护长度(米)"] for each in rows] == [0, 227.5, 7.5]


def test_lamps_are_new_or_existing(tmp_path: Path):
    rows = _rows(drawn_plan(), tmp_path, "路灯表")
    assert [(each["灯号"], each["状态"], each["次序"]) for each in rows] == [
        ("L001", "新建", 1),
        ("L002", "现有", ""),
    ]


@pytest.mark.parametrize("name", ["=1+1", "0012", "https://example.org", "{=2*3}", "-3", "@SUM(A1)"])
def test_text_stays_text(tmp_path: Path, name: str):
    rows = _rows(drawn_plan(household=name), tmp_path, "网格表")
    assert rows[0]["集合点住户"] == f"{name}-1"
    sheet = CalamineWorkbook.from_path(tmp_path / "tables.xlsx").get_sheet_by_name("网格表").to_python()
    assert all(isinstance(each, str) for each in sheet[0])


def test_faults_stand_on_the_sheet_of_remarks(tmp_path: Path):
    (row,) = _rows(drawn_plan(grid_fault="3 households; the least is 30"), tmp_path, "说明")
    assert (row["类别"], row["代码"], row["图层"], row["内容"], row["编号"]) == (
        "问题",
        "grid-small",
        "网格",
        "3 households; the least is 30",
        "3",
    )


def test_a_part_that_was_not_planned_has_no_sheet(tmp_path: Path):
    write_tables(drawn_plan(only=("lamps",)), tmp_path / "tables.xlsx")
    names = CalamineWorkbook.from_path(tmp_path / "tables.xlsx").sheet_names
    assert names == ["路灯表", "巷道表", "说明"]


def test_a_second_heading_row_is_english_with_units_and_the_surveys_crs(tmp_path: Path):
    write_tables(drawn_plan(), tmp_path / "tables.xlsx")
    book = CalamineWorkbook.from_path(tmp_path / "tables.xlsx")
    zh, en, *_ = book.get_sheet_by_name("路灯表").to_python()
    told = dict(zip(map(str, zh), en, strict=True))
    assert told["东坐标(米)"] == "Easting (m, EPSG:4548)"
    assert told["光通量(流明)"] == "Flux (lm)"
    for title in book.sheet_names:
        assert all(each != "" for each in book.get_sheet_by_name(title).to_python()[1]), title


def test_the_rota_has_every_board_in_every_month_and_room_for_names(tmp_path: Path):
    rows = _rows(drawn_plan(), tmp_path, "宣传栏值班表")
    months = [f"2026-{i:02d}" for i in range(3, 13)] + ["2027-01", "2027-02"]
    assert [each["月份"] for each in rows] == months
    assert {(each["栏号"], each["巷道"], each["网格号"], each["管护岗位"]) for each in rows} == {
        ("B01", "大井巷", 2, "第2网格党小组")
    }
    assert {(each["姓名(手填)"], each["已更换(手填)"]) for each in rows} == {("", "")}


def _parts(path: Path, pattern: str) -> dict[str, str]:
    """XML of each sheet by its title."""
    with zipfile.ZipFile(path) as packed:
        texts = [packed.read(each).decode() for each in sorted(packed.namelist(), key=len) if pattern in each]
    return dict(zip(CalamineWorkbook.from_path(path).sheet_names, texts, strict=True))


def test_every_sheet_prints_on_a4_with_its_heads_community_and_page_numbers(tmp_path: Path):
    write_tables(drawn_plan(community="山南&R社区"), tmp_path / "tables.xlsx")
    for title, sheet in _parts(tmp_path / "tables.xlsx", "worksheets/sheet").items():
        assert re.search(r'<pageSetup [^>]*paperSize="9"[^>]*orientation="landscape"', sheet), title
        assert re.search(r'<pane [^>]*ySplit="2"[^>]*state="frozen"', sheet), title
        head = re.search(r"<oddHeader>(.*?)</oddHeader>", sheet)
        assert head is not None
        assert html.unescape(head[1]) == f"&L山南&&R社区 {title}&R2026-03-01"
        assert "第 &amp;P 页，共 &amp;N 页" in sheet
        assert "<f>" not in sheet
    with zipfile.ZipFile(tmp_path / "tables.xlsx") as packed:
        names = packed.read("xl/workbook.xml").decode()
    assert "_xlnm.Print_Titles" in names
    assert "_xlnm.Print_Area" in names


def test_only_sheets_with_personal_columns_are_marked(tmp_path: Path):
    write_tables(drawn_plan(), tmp_path / "tables.xlsx")
    sheets = _parts(tmp_path / "tables.xlsx", "worksheets/sheet")
    assert [title for title, sheet in sheets.items() if "含个人信息" in sheet] == ["网格表", "说明"]


def test_the_same_plan_is_the_same_file(tmp_path: Path):
    for name in ("a.xlsx", "b.xlsx"):
        write_tables(drawn_plan(), tmp_path / name)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
