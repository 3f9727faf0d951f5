"""The office's tables: what is in the plan, as what it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from python_calamine import CalamineWorkbook

from spatial.plan import Plan
from spatial.report import write_tables
from tests.drawn_plan import drawn_plan


def _rows(plan: Plan, folder: Path, sheet: str) -> list[dict[str, Any]]:
    write_tables(plan, folder / "tables.xlsx")
    head, *rows = CalamineWorkbook.from_path(folder / "tables.xlsx").get_sheet_by_name(sheet).to_python()
    return [dict(zip(map(str, head), row, strict=True)) for row in rows]


def test_the_roster_has_a_line_for_each_grid_with_units_in_the_headings(tmp_path: Path):
    rows = _rows(drawn_plan(), tmp_path, "网格表")
    assert [(each["网格号"], each["户数(户)"], each["平均步行距离(米)"]) for each in rows] == [
        (1, 40, 21.25),
        (2, 40, 33.5),
        (3, 3, 12.0),
    ]


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


def test_the_same_plan_is_the_same_file(tmp_path: Path):
    for name in ("a.xlsx", "b.xlsx"):
        write_tables(drawn_plan(), tmp_path / name)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
