"""The planner's page in a real browser: sorting, places, layers, distances, coordinates."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from spatial.comments import gather_comments
from spatial.compare import compare_plans
from spatial.maps import planner_page
from spatial.maps.planner import survey_fit
from spatial.plan import Plan
from tests.browser import HOSTILE, PHONE, PROJECTOR
from tests.drawn_plan import EAST, NORTH, drawn_plan
from tests.test_comments import _feature, _write

_PAINTED = (
    "const c = document.querySelector('.folium-map canvas');"
    "const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
    "const [r, g, b] = arguments[0].match(/../g).map((h) => parseInt(h, 16));"
    "for (let i = 0; i < p.length; i += 4) if (p[i] === r && p[i + 1] === g && p[i + 2] === b) n++;"
    "return n;"
)


def _painted(page: Any, colour: str) -> int:
    """How much of one colour the canvas shows, once it is drawn. [pixels]"""
    page.run("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return int(page.run(_PAINTED, colour))


def _texts(page: Any, selector: str) -> list[str]:
    found: list[str] = page.run(
        "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector
    )
    return found


def _tab(page: Any, name: str) -> None:
    page.click(f"[data-tab='{name}'][aria-pressed]")


def _sort(page: Any, heading: str) -> None:
    page.run(
        "[...document.querySelectorAll('#tables th button')]"
        ".find((e) => e.textContent.startsWith(arguments[0])).click()",
        heading,
    )


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.browser
def test_grids_sort_by_size_both_ways_and_lead_to_their_place(show: Any):
    page = show(planner_page(drawn_plan()))
    assert _texts(page, "#tables td:first-child") == ["1", "2", "3"]
    _sort(page, "户数")
    assert _texts(page, "#tables td:first-child") == ["3", "1", "2"]
    assert page.run("return document.querySelector('#tables th[aria-sort]').ariaSort") == "ascending"
    _sort(page, "户数")
    assert _texts(page, "#tables td:first-child") == ["1", "2", "3"]
    before = page.sign("3")
    page.run("document.querySelectorAll('#tables td button')[2].click()")
    assert page.text("#details").startswith("3 号网格")
    assert page.sign("3") != before


@pytest.mark.browser
def test_grids_at_fault_come_first_when_sorted_by_fault(show: Any):
    page = show(planner_page(drawn_plan(grid_fault="3 households; the least is 30")))
    assert _texts(page, "[data-tab][aria-pressed='true']") == ["问题与说明 1"]  # a fault is the first sight
    page.run("document.querySelector('.remarks.faults button').click()")
    _tab(page, "grids")
    _sort(page, "问题")
    assert _texts(page, "#tables td:first-child") == ["3", "1", "2"]


@pytest.mark.browser
def test_households_are_found_and_shown_in_place(show: Any):
    page = show(planner_page(drawn_plan()))
    _tab(page, "households")
    page.run(
        "const f = document.querySelector('#tables input'); f.value = 'id-4';"
        "f.dispatchEvent(new Event('input'));"
    )
    assert _texts(page, "#tables td:first-child") == ["CANARY-ID-4"]
    assert _texts(page, "#tables .find span") == ["显示 1 / 6 行"]
    page.click("#tables td button")
    assert _painted(page, "1D3FBB") > 100  # the ring around it


@pytest.mark.browser
def test_coded_values_are_words_and_headings_carry_units(show: Any):
    page = show(planner_page(drawn_plan()))
    _tab(page, "lamps")
    assert "新增亮灯 (米)" in _texts(page, "#tables th")
    assert {"新建", "现有"} < set(_texts(page, "#tables td"))
    page.click("#switch")
    assert {"New", "Existing"} < set(_texts(page, "#tables td"))


@pytest.mark.browser
def test_today_stands_beside_the_plan(show: Any):
    page = show(planner_page(drawn_plan()))
    _tab(page, "today")
    rows = page.run(
        "return [...document.querySelectorAll('#tables tbody tr')]"
        ".map((r) => [...r.cells].map((c) => c.textContent))"
    )
    assert rows == [
        ["路灯", "1", "2"],
        ["宣传栏", "0", "1"],
        ["亮灯长度", "30 米", "60 米"],
        ["亮灯比例", "14 %", "27 %"],
    ]


# ── layers, distances, coordinates ───────────────────────────────────────────────────────────────────


@pytest.mark.browser
@pytest.mark.parametrize(
    ("layer", "colour"),
    [("tints", "DCEAF6"), ("lit", "F2A900"), ("households", "2B6CB0")],
)
def test_layers_go_off_and_on(show: Any, layer: str, colour: str):
    plan = drawn_plan()
    if layer == "lit":  # lamps have the colour of light
        plan = replace(plan, layers={**plan.layers, "lamps": plan.layers["lamps"].iloc[:0]})
    page = show(planner_page(plan))
    _tab(page, "layers")
    box = f"[data-layer='{layer}']"
    shown = page.run(f'return document.querySelector("{box}").checked')
    assert shown == (layer != "households")
    first = _painted(page, colour)
    page.click(box)
    second = _painted(page, colour)
    assert (first > 100, second > 100) == (shown, not shown)
    page.click(box)
    assert _painted(page, colour) == first


@pytest.mark.browser
@pytest.mark.parametrize("layer", ["tints", "buildings", "alleys", "lit", "new", "existing"])
def test_what_lies_on_the_map_is_the_same_after_off_and_on(show: Any, layer: str):
    page = show(planner_page(drawn_plan()))
    _tab(page, "layers")
    pictures = []
    for _ in range(3):
        pictures.append(page.run("return document.querySelector('.folium-map canvas').toDataURL()"))
        page.click(f"[data-layer='{layer}']")
        page.run("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert pictures[0] == pictures[2] != pictures[1]


@pytest.mark.browser
def test_signs_go_off_and_on(show: Any):
    page = show(planner_page(drawn_plan()))
    _tab(page, "layers")
    seen = "return document.querySelector('.sign.board span').getBoundingClientRect().width"
    assert page.run(seen) > 0
    page.click("[data-layer='boards']")
    assert page.run(seen) == 0


@pytest.mark.browser
def test_a_distance_is_measured_in_the_survey_s_plane(show: Any):
    page = show(planner_page(drawn_plan()))
    # the board stands at (90, 42) m, the first meeting point on the alley at (20, 40) m
    board, star = page.sign("栏"), page.sign("★")
    page.click("#measure")
    page.tap(*star)
    page.tap(*board)
    told = page.text("#length")
    assert "EPSG:4548" in told
    assert float(told.split(" ")[0]) == pytest.approx(np.hypot(70, 2), abs=0.5)  # a pixel is some 0.15 m
    assert page.text("#details") == ""  # nothing was chosen by tapping
    ActionChains(page.chrome).send_keys(Keys.ESCAPE).perform()
    assert page.run("return document.querySelectorAll('.measuring').length") == 0


@pytest.mark.browser
def test_the_pointer_s_coordinates_are_the_survey_s(show: Any):
    page = show(planner_page(drawn_plan()))
    x, y = page.sign("栏")
    page.click("#switch")
    page.run(
        "document.querySelector('.folium-map').dispatchEvent("
        "new MouseEvent('mousemove', {clientX: arguments[0], clientY: arguments[1], bubbles: true}))",
        x, y,
    )  # fmt: skip
    told = page.text("#coordinates").split()
    assert float(told[1]) == pytest.approx(EAST + 90, abs=0.3)
    assert float(told[3]) == pytest.approx(NORTH + 42, abs=0.3)
    assert "EPSG:4548" in told


@pytest.mark.parametrize(
    ("code", "lon", "lat", "width"),
    [
        (4548, 117.1, 31.6, 0.012),
        (4548, 117.0, 31.6, 0.12),
        (32635, 26.9, 60.46, 0.1),
        (2193, 174.8, -41.3, 0.05),
    ],
)
def test_the_fit_is_as_exact_as_it_says(code: int, lon: float, lat: float, width: float):
    crs = pyproj.CRS.from_epsg(code)
    fit = survey_fit([lon, lat, lon + width, lat + width], crs)
    assert fit["error_m"] <= 0.05
    at = np.random.default_rng(1).uniform((lon, lat), (lon + width, lat + width), (200, 2))
    u, v = ((at - fit["middle"]) / fit["half"]).T
    powers = [u**i * v**j for i in range(fit["degree"] + 1) for j in range(fit["degree"] + 1 - i)]
    told = np.column_stack([np.tensordot(fit[name], powers, 1) for name in ("east", "north")])
    known = shapely.get_coordinates(gpd.GeoSeries(shapely.points(at), crs=4326).to_crs(crs))
    assert np.abs(told - known).max() <= fit["error_m"] + 0.0005


# ── comments, and an earlier plan ────────────────────────────────────────────────────────────────────


def _commented(tmp_path: Path, plan: Plan, note: str) -> Any:
    rows, _ = gather_comments([_write(tmp_path / "a.geojson", _feature(note=note))], plan)
    return rows


@pytest.mark.browser
def test_comments_are_signs_and_a_table(show: Any, tmp_path: Path):
    page = show(planner_page(drawn_plan(), comments=_commented(tmp_path, drawn_plan(), HOSTILE)))
    assert _texts(page, ".comment span") == ["暗"]
    _tab(page, "comments")
    assert _texts(page, "#tables td") == ["C0001", "太暗", HOSTILE, "2026-11-20 08:30:00Z", "大井巷", "2"]
    page.click("#switch")
    assert _texts(page, ".comment span") == ["D"]
    assert page.run("return window.ran") == []
    assert page.complaints == []


@pytest.mark.browser
def test_an_earlier_plan_is_compared_in_words_and_rows(show: Any):
    plan = drawn_plan()
    earlier = replace(
        plan,
        layers={
            **plan.layers,
            "households": plan.layers["households"].assign(
                grid_id=pd.array([1, 2, 2, 2, 3, 3], dtype="Int64")
            ),
            "lamps": plan.layers["lamps"].iloc[1:],
        },
    )
    page = show(planner_page(plan, comparison=compare_plans(earlier, plan)))
    _tab(page, "earlier")
    assert _texts(page, "#tables h3") == ["换了网格的住户 1", "增加的路灯 1"]
    assert "换了网格的住户：1 行、20 户" in page.text("#tables")
    page.click("#tables td button")
    assert _painted(page, "1D3FBB") > 100


@pytest.mark.browser
@pytest.mark.parametrize("size", [PHONE, PROJECTOR])
def test_every_tab_opens_without_a_request_or_a_complaint(
    show: Any,
    shannan_plan: Path,
    size: tuple[int, int],
):
    page = show((shannan_plan / "planner.html").read_text(encoding="utf-8"), size)
    names = page.run("return [...document.querySelectorAll('#tabs button')].map((e) => e.dataset.tab)")
    assert {"remarks", "grids", "households", "lamps", "boards", "alleys", "today", "layers"} <= set(names)
    for name in names:
        page.run("document.querySelector(`#tabs [data-tab='${arguments[0]}']`).click()", name)
        assert page.run("return document.querySelector('#tables').children.length") > 0 or name == "layers"
    page.click("#switch")
    assert page.requests == []
    assert page.complaints == []
    assert page.run("return document.documentElement.scrollWidth") <= size[0]


@pytest.mark.browser
@pytest.mark.parametrize("size", [PHONE, PROJECTOR])
def test_axe_finds_nothing_in_any_tab(show: Any, tmp_path: Path, size: tuple[int, int]):
    plan = drawn_plan(grid_fault="3 households; the least is 30")
    comments = _commented(tmp_path, plan, "太暗")
    page = show(planner_page(plan, comments=comments, comparison=compare_plans(plan, plan)), size)
    page.run((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = "axe.run().then((r) => arguments[0](r.violations.map((v) => [v.impact, v.id, v.nodes[0].html])))"
    for name in page.run("return [...document.querySelectorAll('#tabs button')].map((e) => e.dataset.tab)"):
        page.run("document.querySelector(`#tabs [data-tab='${arguments[0]}']`).click()", name)
        assert page.chrome.execute_async_script(found) == []


def test_the_command_compares_with_an_earlier_plan(alleyplan: Any, shannan_plan: Path, tmp_path: Path):
    folder = shutil.copytree(shannan_plan, tmp_path / "plan")
    assert alleyplan("map", folder, "--earlier", shannan_plan).returncode == 0
    text = (folder / "planner.html").read_text(encoding="utf-8")
    data = text.split('id="view">')[1].split("</script>")[0]
    assert json.loads(data)["earlier"]["tables"] == []
    assert alleyplan("map", folder).returncode == 0
    assert (folder / "planner.html").read_bytes() == (shannan_plan / "planner.html").read_bytes()
