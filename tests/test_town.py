"""The pages of a town: its wards, what each ward's page holds, and how people find their way between them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial.cli import _copy_pages, _write_pages
from spatial.errors import DataError
from spatial.maps import residents_pages
from spatial.maps.residents import residents_view
from spatial.maps.town import _bundles, town_views
from spatial.maps.view import drawn_features
from spatial.plan import Plan, read_plan
from tests.browser import HOSTILE, PHONE, PROJECTOR, Page
from tests.drawn_plan import CANARIES, drawn_plan

SMALL = {"most_features": 10, "most_of_a_ward": 1}  # each of the drawn plan's grids is a ward
WARDS = ["map/01.html", "map/02.html", "map/03.html"]

# ── wards ────────────────────────────────────────────────────────────────────────────────────────────


def _cut(branch: list[int], worker: list[int], weight: list[int], most: int) -> list[list[int]]:
    """Wards of grids in a row from west to east, ten metres apart."""
    n = len(branch)
    xy = np.column_stack([10.0 * np.arange(n), np.zeros(n)])
    keys = [np.array(branch), np.array(worker)]
    return [sorted(each.tolist()) for each in _bundles(np.arange(n), np.array(weight), xy, keys, most)]


def test_wards_are_branches_where_they_are_small_enough_then_workers_then_halves():
    #        branch 1 has 4, branch 2 has 8: its worker 2 has 3 and stays, its worker 3 has 5 and is cut
    wards = _cut([1, 1, 2, 2, 2, 2], [1, 1, 2, 3, 3, 3], [2, 2, 3, 1, 2, 2], most=4)
    assert wards == [[0, 1], [2], [3], [4, 5]]


def test_a_grid_of_too_many_features_is_a_ward_of_its_own():
    assert _cut([1, 1, 1], [1, 1, 1], [1, 9, 1], most=4) == [[0], [1], [2]]


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 9)), min_size=1, max_size=30))
def test_every_grid_is_in_one_ward_and_no_ward_of_several_is_too_large(grids: list[tuple[int, int, int]]):
    branch, worker, weight = (list(each) for each in zip(*grids, strict=True))
    wards = _cut(branch, worker, weight, most=12)
    assert sorted(row for ward in wards for row in ward) == list(range(len(grids)))
    assert all(len(ward) == 1 or sum(weight[row] for row in ward) <= 12 for ward in wards)


# ── what the pages hold ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def township(shannan_plan: Path) -> Plan:
    return read_plan(shannan_plan)


def _spots(view: dict[str, Any]) -> dict[tuple[int, int], tuple[Any, ...]]:
    """By its place on the earth what a spot knows: alley, light, board and walks, each by its name."""
    west, south = (round(1e6 * each) for each in view["frame"][:2])
    found = {}
    for x, y, alley, way, today, lit, board, *walks in view["find"]["spots"]:
        code = None if board is None else view["boards"][board]["board_code"]
        told = (view["find"]["alleys"][alley]["name"], way, today, lit, code, *walks)
        found[west + x, south + y] = told
    return found


def test_a_place_in_a_ward_is_told_what_the_whole_page_tells(township: Plan):
    _, wards = town_views(township, most=600)
    assert len(wards) > 3
    cut: dict[tuple[int, int], tuple[Any, ...]] = {}
    for view in wards.values():
        assert not cut.keys() & _spots(view).keys()
        cut |= _spots(view)
    assert cut == _spots(residents_view(township))


def test_the_wards_figures_add_up_to_the_town_s(township: Plan):
    _, wards = town_views(township, most=600)
    figures = [each["figures"] for each in wards.values()]
    whole = residents_view(township)["figures"]
    for name in ("n_grids", "n_lamps", "n_boards"):
        assert sum(each[name] for each in figures) == whole[name]
    assert sum(each["lit_m"] for each in figures) == pytest.approx(whole["lit_m"], abs=len(wards))
    alley_m = sum(each["light"]["alley_m"] for each in wards.values())
    assert alley_m == pytest.approx(township.summary["lamps"]["alley_m"], abs=0.1 * len(wards))
    before_m = sum(each["light"]["before_m"] for each in wards.values())
    assert before_m == pytest.approx(township.summary["lamps"]["lit_before_m"], abs=0.1 * len(wards))


def test_a_ward_s_order_is_of_its_own_lamps_and_never_lights_more_than_there_is(township: Plan):
    _, wards = town_views(township, most=600)
    whole = residents_view(township)["light"]["order"]
    assert sum(len(each["light"]["order"]) for each in wards.values()) == len(whole)
    for view in wards.values():
        light = view["light"]
        assert light["before_m"] + sum(gain for _, _, gain in light["order"]) <= light["alley_m"] + 0.1


def test_the_whole_shows_grids_and_alleys_and_where_each_name_leads(township: Plan):
    whole, wards = town_views(township, most=600)
    assert [each["page"] for each in whole["wards"]] == list(wards)
    assert (whole["lamps"], whole["boards"], whole["ground"]) == ([], [], [])
    led = dict(whole["find"])
    for number, view in enumerate(wards.values(), start=1):
        names = {each["name"] for each in view["find"]["alleys"]} - {None}
        assert names == {name for name, numbers in led.items() if number in numbers}
    of_grid = {each["grid_id"]: each["ward"] for each in whole["grids"]}
    for number, view in enumerate(wards.values(), start=1):
        assert {of_grid[each["grid_id"]] for each in view["grids"]} == {number}


def test_a_plan_is_one_page_until_it_is_a_town(township: Plan):
    n = sum(map(len, drawn_features(township)))
    assert list(residents_pages(township, most_features=n)) == ["map.html"]
    assert len(residents_pages(township, most_features=n - 1)) == 2  # one ward holds them all
    pages = residents_pages(drawn_plan(), **SMALL)
    assert list(pages) == ["map.html", *WARDS]
    assert pages == residents_pages(drawn_plan(), **SMALL)


def test_a_plan_without_grids_stays_one_page():
    assert list(residents_pages(drawn_plan(only=("lamps",)), **SMALL)) == ["map.html"]


def test_nothing_personal_is_on_any_page_of_a_town():
    for page in residents_pages(drawn_plan(), **SMALL).values():
        assert [each for each in CANARIES if each in page] == []


# ── files ────────────────────────────────────────────────────────────────────────────────────────────


def test_pages_of_an_earlier_larger_plan_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    large = {"map.html": "whole", "map/01.html": "one", "map/02.html": "two", "planner.html": "planner"}
    smaller = {"map.html": "whole", "map/01.html": "one", "planner.html": "planner"}
    small = {"map.html": "all", "planner.html": "planner"}
    for pages, left in ((large, ["01.html", "02.html"]), (smaller, ["01.html"]), (small, [])):
        _write_pages(pages, tmp_path)
        _copy_pages(pages, "shannan")
        assert sorted(each.name for each in tmp_path.glob("map/*")) == left
        assert sorted(each.name for each in tmp_path.glob("maps/shannan/*")) == left
    assert sorted(each.name for each in (tmp_path / "maps").iterdir()) == [
        "shannan-planner.html",
        "shannan.html",
    ]


def test_a_folder_that_is_not_ours_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maps" / "shannan").mkdir(parents=True)
    (tmp_path / "maps" / "shannan" / "letter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="holds other files"):
        _copy_pages({"map.html": "", "map/01.html": "", "planner.html": ""}, "shannan")
    _copy_pages({"map.html": "", "planner.html": ""}, "shannan")
    assert (tmp_path / "maps" / "shannan" / "letter.txt").read_text(encoding="utf-8") == "mine"


# ── in a browser ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def town(chromium: Any, tmp_path: Path) -> Any:
    """Write a town's pages under another name, as on a stick, and open the first."""

    def opened(plan: Plan, size: tuple[int, int] = PROJECTOR) -> Page:
        for name, text in residents_pages(plan, **SMALL).items():
            path = tmp_path / name.replace("map", "山南 社区#1", 1)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return Page(chromium, tmp_path / "山南 社区#1.html", size)

    return opened


@pytest.mark.browser
@pytest.mark.parametrize("size", [PHONE, PROJECTOR])
def test_from_the_whole_by_the_alley_s_name_to_its_ward_and_back(town: Any, size: tuple[int, int]):
    page = town(drawn_plan(), size)
    if size == PHONE:
        page.click("#show-find")
    page.run("document.querySelector('#alley-name').focus()")
    page.press("大井")
    page.picture(f"town-{size[0]}")
    # 大井巷 runs through all three wards.
    links = page.run("return [...document.querySelectorAll('#alley-names a')].map((a) => a.textContent)")
    assert links == [f"大井巷（第 {n} 片）" for n in (1, 2, 3)]
    page.click("#alley-names li:nth-child(2) a")
    assert "第 2 片" in page.text("#title")
    assert page.run("return document.body.dataset.panel") == "find"
    assert "2 号网格" in page.text("#answer")
    assert "B01" in page.text("#answer")
    page.click("#to-town")
    assert page.run("return document.title") == "山南社区 网格与路灯规划"
    assert page.complaints == []


@pytest.mark.browser
def test_a_tap_on_a_grid_offers_the_map_of_its_ward(town: Any):
    page = town(drawn_plan())
    page.tap(*page.sign("3"))
    page.click("#details .ward-link")
    assert "第 3 片" in page.text("#title")
    page.tap(*page.sign("3"))
    assert "3 号网格" in page.text("#details")
    assert page.complaints == []


@pytest.mark.browser
def test_hostile_names_do_nothing_on_any_page_of_a_town(town: Any):
    plan = drawn_plan(alley=HOSTILE, community=HOSTILE)
    grids = plan.layers["grids"].assign(branch_id=[1, 2, 3])
    settings = plan.summary["settings"]
    community = {**settings["community"], "branch_names": [HOSTILE] * 3}
    summary = {**plan.summary, "settings": {**settings, "community": community}}
    page = town(replace(plan, layers={**plan.layers, "grids": grids}, summary=summary))
    assert HOSTILE in page.text("#wards")
    page.run("document.querySelector('#alley-name').focus()")
    page.press("onerror")
    assert HOSTILE in page.text("#alley-names")
    for selector in ("#alley-names a", "#to-town"):
        page.click(selector)
        assert page.run("return window.ran") == []
        assert page.run("return document.querySelectorAll('img').length") == 0
    assert page.complaints == []
