"""The pages in a real browser, the network blocked: what is drawn, said and asked for."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from spatial.maps import planner_page, residents_page
from tests.browser import HOSTILE, PHONE, PROJECTOR
from tests.conftest import SHANNAN
from tests.drawn_plan import drawn_plan

pytestmark = pytest.mark.browser

# ── offline, and nothing runs ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [PHONE, PROJECTOR])
@pytest.mark.parametrize("make", [residents_page, planner_page])
@pytest.mark.parametrize("only", [("grids", "lamps", "boards"), ("lamps",), ("boards",)])
def test_a_page_asks_nothing_and_complains_of_nothing(show: Any, make: Any, only: Any, size: tuple[int, int]):
    page = show(make(drawn_plan(only=only)), size)
    page.click("#switch")
    page.click("#switch")
    assert page.requests == []
    assert page.complaints == []


def test_the_log_would_show_a_request(show: Any):
    page = show("<!DOCTYPE html><title>x</title><img src='https://example.org/x.png'>")
    assert page.requests == ["https://example.org/x.png"]
    assert page.complaints != []


@pytest.mark.parametrize("make", [residents_page, planner_page])
def test_a_hostile_name_is_shown_and_does_nothing(show: Any, make: Any):
    page = show(make(drawn_plan(alley=HOSTILE, household=HOSTILE, community=HOSTILE, grid_fault=HOSTILE)))
    assert HOSTILE in page.text("#title")
    page.tap(*page.sign("栏"))
    assert HOSTILE in page.text("#details")
    page.click("#switch")
    assert page.run("return document.title").startswith(HOSTILE)
    assert page.run("return document.querySelectorAll('img').length") == 0
    assert page.run("return window.ran") == []
    assert "49" not in page.run("return document.body.innerText.replaceAll(arguments[0], '')", HOSTILE)
    assert page.complaints == []


def test_the_policy_stops_a_script_that_is_not_the_page_s(show: Any):
    page = residents_page(drawn_plan())
    opened = show(page.replace("</body>", "<script>alert('ran')</script></body>"))
    assert opened.run("return window.ran") == []
    assert any("Content Security Policy" in each for each in opened.complaints)


# ── what a resident does ─────────────────────────────────────────────────────────────────────────────


def test_one_tap_changes_the_language(show: Any):
    page = show(residents_page(drawn_plan()), PHONE)
    assert page.run("return document.documentElement.lang") == "zh-CN"
    assert page.text("#title") == "山南社区 网格与路灯规划"
    assert "3个网格" in page.text("#sentence")
    assert "亮灯巷道 60 米(27 %,现在 14 %)".translate({40: "（", 41: "）", 44: "，"}) in page.text(
        "#sentence"
    )
    page.click("#switch")
    assert page.run("return document.documentElement.lang") == "en"
    assert page.text("#sentence").endswith("Lit alley: 60 m (27 %, now 14 %)")
    assert "Legend" in page.text("#show-legend")


@pytest.mark.parametrize("size", [PHONE, PROJECTOR])
def test_tapping_a_grid_shows_its_figures(show: Any, size: tuple[int, int]):
    page = show(residents_page(drawn_plan()), size)
    x, y = page.sign("2")
    page.tap(x + 25, y)
    shown = page.text("#details")
    assert shown.startswith("2 号网格")
    for each in ("40 户", "在大井巷上", "34 米", "B01", "第2网格长"):
        assert each in shown


def test_a_grid_of_few_households_tells_no_count(show: Any):
    page = show(residents_page(drawn_plan()))
    page.run("document.querySelectorAll('#picker button')[2].click()")
    assert page.text("#details").split("\n") == ["3 号网格", "负责岗位", "第3网格长"]


def test_tapping_a_lamp_shows_its_place_in_the_order(show: Any):
    page = show(residents_page(drawn_plan()))
    # The board stands at (90, 42) m, the first meeting point at (20, 40) m, lamp L001 at (30, 41) m.
    (board_x, _), (star_x, star_y) = page.sign("栏"), page.sign("★")
    pixels = (board_x - star_x) / 70
    page.tap(star_x + 10 * pixels, star_y - pixels)
    assert page.text("#details").split("\n") == [
        *("新路灯 L001", "巷道", "大井巷", "网格", "1 号网格"),
        *("安装次序", "第 1 盏", "新增亮灯", "30 米"),
    ]


def test_keys_alone_are_enough(show: Any):
    page = show(residents_page(drawn_plan()))
    page.press("1")
    page.run("document.querySelector('#picker button').focus()")
    ActionChains(page.chrome).send_keys(Keys.ENTER).perform()
    assert page.text("#details").startswith("1 号网格")
    ActionChains(page.chrome).send_keys(Keys.ESCAPE).perform()
    assert page.text("#details").startswith("详情")


# ── how it looks ─────────────────────────────────────────────────────────────────────────────────────


def test_lit_alley_is_painted(show: Any):
    page = show(residents_page(drawn_plan()))
    amber = (
        "const c = document.querySelector('canvas');"
        "const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
        "for (let i = 0; i < p.length; i += 4) if (p[i] === 242 && p[i + 1] === 169 && p[i + 2] === 0) n++;"
        "return n;"
    )
    lit = page.run(amber)
    dark = show(residents_page(drawn_plan(only=("grids",)))).run(amber)
    # 60 of the frame's 180 metres at about 7 pixels a metre, 5 pixels broad.
    assert lit > 1000
    assert dark == 0


@pytest.mark.parametrize("size", [PHONE, PROJECTOR])
def test_buttons_are_large_enough_and_nothing_runs_over_the_side(show: Any, size: tuple[int, int]):
    page = show(residents_page(drawn_plan()), size)
    small = page.run(
        "return [...document.querySelectorAll('button, .leaflet-bar a')]"
        ".map((each) => [each.textContent, each.getBoundingClientRect()])"
        ".filter(([, b]) => b.width > 0 && (b.width < 48 || b.height < 48)).map(([name]) => name)"
    )
    assert small == []
    assert page.run("return document.documentElement.scrollWidth") <= size[0]


def test_words_are_readable_from_the_back_of_the_room(show: Any):
    page = show(residents_page(drawn_plan()), PROJECTOR)
    small = page.run(
        "const all = [...document.body.querySelectorAll('*:not(script):not(noscript)')];"
        "const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());"
        "return all.filter((e) => own(e) && e.getBoundingClientRect().height)"
        ".filter((e) => parseFloat(getComputedStyle(e).fontSize) < 20).map((e) => e.textContent)"
    )
    assert small == []


@pytest.mark.parametrize("size", [PHONE, PROJECTOR])
def test_paper_is_one_sheet_with_the_whole_map(show: Any, size: tuple[int, int]):
    page = show(residents_page(drawn_plan()), size)
    wanted = {"printBackground": True, "preferCSSPageSize": True}
    pdf = base64.b64decode(page.chrome.execute_cdp_cmd("Page.printToPDF", wanted)["data"])
    assert re.findall(rb"/Type /Pages\s*/Count (\d+)", pdf) == [b"1"]
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    # 277 × 190 mm of paper at 96 pixels to the inch
    box = page.run("const b = document.body.getBoundingClientRect(); return [b.width, b.height]")
    assert box == pytest.approx([277 / 25.4 * 96, 189 / 25.4 * 96], abs=2)
    inside = page.run("return window.map_1.getSize().x")
    assert inside == pytest.approx(box[0], abs=2)


@pytest.mark.parametrize("make", [residents_page, planner_page])
def test_everything_that_can_be_pressed_has_a_name(show: Any, make: Any):
    page = show(make(drawn_plan()))
    unnamed = page.run(
        "return [...document.querySelectorAll('button, a, [role]:not([role=status])')]"
        ".filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim())).length"
    )
    assert unnamed == 0


# ── from files to the page ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def hostile_plan(tmp_path_factory: pytest.TempPathFactory, alleyplan: Any) -> Path:
    """The township planned anew: hostile names in every text column, canaries in the personal ones."""
    folder = shutil.copytree(SHANNAN, tmp_path_factory.mktemp("hostile") / "shannan")
    households = pd.read_csv(folder / "households.csv", dtype=str)
    households.loc[0, "户号"] = HOSTILE
    for heading in ("户主", "电话", "地址"):
        households[heading] = f"canary of {heading}"
    households.to_csv(folder / "households.csv", index=False)
    for name, kind in gpd.list_layers(folder / "shannan.gpkg")[["name", "geometry_type"]].to_numpy():
        rows = gpd.read_file(folder / "shannan.gpkg", layer=name)
        for column in ("巷名", "name", "名称", "路面", "surface"):
            if column in rows:
                rows[column] = HOSTILE
        if "专属网格" in rows:
            rows["专属网格"] = rows["类别"] == "学校"
        rows.to_file(folder / "shannan.gpkg", layer=name, geometry_type=kind)
    done = alleyplan("plan", folder, "--out", folder.parent / "plan", "--set", "work.effort=quick")
    assert done.returncode == 0, done.stderr
    return folder.parent / "plan"


@pytest.mark.parametrize("name", ["map.html", "planner.html"])
def test_hostile_names_in_files_change_nothing_but_the_text(show: Any, hostile_plan: Path, name: str):
    page = show((hostile_plan / name).read_text(encoding="utf-8"))
    assert page.requests == []
    assert page.complaints == []
    assert page.run("return window.ran") == []
    assert page.run("return document.querySelectorAll('img').length") == 0


def test_an_exclusive_grid_has_its_name_and_its_line_in_the_legend(show: Any, hostile_plan: Path):
    page = show((hostile_plan / "map.html").read_text(encoding="utf-8"))
    legend, buttons = "return document.querySelector('#legend').textContent", "#picker li:last-child button"
    assert "专属网格" in page.run(legend)
    page.run(f"document.querySelector('{buttons}').click()")
    assert page.run("return document.querySelector('#details h2').textContent") == f"专属网格·{HOSTILE}"
    page.run("document.querySelector('#switch').click()")
    assert "Exclusive grid" in page.run(legend)


def test_no_personal_column_reaches_the_residents_page(hostile_plan: Path):
    page = (hostile_plan / "map.html").read_text(encoding="utf-8")
    assert "canary" not in page
    ids = gpd.read_file(hostile_plan / "plan.gpkg", layer="households")["household_id"]
    assert len(ids) > 700
    assert not [each for each in ids if each in page]


def test_names_and_numbers_of_people_are_never_read(hostile_plan: Path):
    for each in ("plan.gpkg", "site.gpkg", "summary.json", "tables.xlsx", "planner.html"):
        content = (hostile_plan / each).read_bytes()
        assert "canary of 户主".encode() not in content
        assert "canary of 电话".encode() not in content


@pytest.mark.parametrize("size", [PHONE, PROJECTOR])
def test_a_tap_on_a_number_opens_its_grid_whatever_lies_below(
    show: Any, shannan_plan: Path, size: tuple[int, int]
):
    page = show((shannan_plan / "map.html").read_text(encoding="utf-8"), size)
    for number in ("3", "12", "17"):
        page.tap(*page.sign(number))
        assert f"{number} 号网格" in page.text("#details")
        assert page.run("return document.querySelector('#details h2').textContent").startswith(number)


def test_the_township_s_page_is_small(shannan_plan: Path):
    assert (shannan_plan / "map.html").stat().st_size < 1_000_000


def test_the_proof_says_which_lamps_were_given(show: Any, shannan_plan: Path):
    page = show((shannan_plan / "map.html").read_text(encoding="utf-8"))
    assert "150盏新路灯（其中5盏位置已定）" in page.text("#proven")
    page.click("#switch")
    assert "150 new lamps, 5 of them at fixed places," in page.text("#proven")
