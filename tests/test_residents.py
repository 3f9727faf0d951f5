"""The residents' page: what its panels hold, and what people do with them in a real browser."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import shapely
from geopandas import GeoDataFrame
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.keys import Keys

from spatial.comments import gather_comments
from spatial.errors import DataError
from spatial.maps import residents_page
from spatial.maps.residents import residents_view
from spatial.plan import Plan, read_plan
from spatial.settings import read_settings
from tests.browser import PHONE, PROJECTOR, Page
from tests.drawn_plan import CRS, EAST, NORTH, drawn_plan

SIZES = {"phone": PHONE, "wide": PROJECTOR}


def _ordered_plan() -> Plan:
    """The drawn plan with an order of two lamps: the plan's own, then one at (60, 41) that was not chosen."""
    plan = drawn_plan()
    point = shapely.Point(EAST + 60, NORTH + 41)
    sites = GeoDataFrame({"site_id": ["S7"], "status": ["candidate"]}, geometry=[point], crs=CRS)
    ranking = pd.DataFrame({"rank": [1, 2], "site_id": ["S1", "S7"], "gain_m": [29.9, 29.9]})
    alleys = plan.layers["alleys"].assign(
        unchosen_why=[None, "gains-less"], unchosen_site_id=[None, "S7"], unchosen_gain_m=[None, 4.25]
    )
    site = replace(plan.site, layers={**plan.site.layers, "lamp_sites": sites})
    return replace(plan, layers={**plan.layers, "lamp_ranking": ranking, "alleys": alleys}, site=site)


# ── what the panels hold ─────────────────────────────────────────────────────────────────────────────


def test_a_place_in_the_alley_knows_its_grid_its_walks_and_its_way_home():
    view = residents_view(drawn_plan())
    east = [each for each in view["find"]["spots"] if each[2] == 0]
    # A1 is 180 m with a node at 90 m: eight pieces of 11.25 m on either side of it.
    assert len(east) == 16
    first = east[0]
    way, today, lit, board, board_m = first[3:8]
    # 5.6 m from the west end: the board is at 90 m and 2 m off the line, grid 1 meets at 20 m.
    assert (lit, board, board_m) == (0, 0, round(90 - 5.625 + 2))
    assert first[8:10] == [1, round(20 - 5.625)]
    assert (way, today) == (None, None)  # no entrance, no road: no way to speak of


def test_an_order_that_names_a_site_the_plan_does_not_hold_is_refused():
    plan = _ordered_plan()
    gone = plan.layers["lamp_ranking"].replace("S7", "S8")
    with pytest.raises(DataError, match=r"lamp_ranking\.site_id: 1 sites \(S8\)"):
        residents_view(replace(plan, layers={**plan.layers, "lamp_ranking": gone}))


def test_a_grid_of_few_households_tells_no_walk_to_where_it_meets():
    spots = residents_view(drawn_plan())["find"]["spots"]
    told = [pair for each in spots for pair in zip(each[8::2], each[9::2], strict=True)]
    assert {grid for grid, _ in told} == {1, 2, 3}
    assert {walk for grid, walk in told if grid == 3} == {None}


def test_door_numbers_are_told_only_where_the_settings_say_so():
    plan = drawn_plan(household="X")
    assert residents_view(plan)["find"]["doors"] == []
    assert "X-1" not in residents_page(plan)
    settings = plan.summary["settings"]
    public = {**settings, "public": {**settings["public"], "door_numbers": True}}
    told = residents_view(replace(plan, summary={**plan.summary, "settings": public}))["find"]
    # The door of X-1 is at 20 m, in the second of the pieces of 11.25 m.
    assert dict(told["doors"])["X-1"] == 1
    assert sorted(dict(told["doors"])) == [f"X-{i}" for i in range(1, 7)]


def test_light_is_told_by_the_lamp_of_the_order_that_brings_it():
    light = residents_view(_ordered_plan())["light"]
    kinds = {(each["since"], each["planned"]) for each in light["pieces"]}
    # around the existing lamp since today, around S1 by the plan and first, around S7 only by the order
    assert kinds == {(0, True), (1, True), (2, False)}
    assert [gain for *_, gain in light["order"]] == [29.9, 29.9]


def test_quarters_are_told_only_where_works_are_planned():
    plan = drawn_plan()
    assert residents_view(plan)["quarters"] == []
    lamps = plan.layers["lamps"].assign(quarter=["2027Q1", None])
    dated = replace(plan, layers={**plan.layers, "lamps": lamps})
    assert residents_view(dated)["quarters"] == [{"quarter": "2027Q1", "lamps": [0], "boards": []}]


_KEYS = {
    "": "mode about frame figures boundary ground barriers alleys grids lamps boards places find light "
    "quarters comments facilities words",
    "about": "name name_en date plan_id",
    "grids": "grid_id households walk_mean_m leader_role shape tint exclusive hatch at radius_m fault boards "
    "meeting meeting_alley",
    "lamps": "lamp_code status rank gain_m grid_id at alley",
    "boards": "board_code status households_served grid_id keeper_role at alley",
    "places": "name at",
    "find": "alleys spots doors least_gain_m",
    "find.alleys": "name lit n_new why gain_m at",
    "light": "pieces order before_m alley_m",
    "light.pieces": "since planned lines",
    "quarters": "quarter lamps boards",
    "facilities": "facility status grid_id served alley at",
    "barriers": "water other",
    "alleys": "all lit names",
    "alleys.names": "name at heading_deg length_m",
}


def test_the_page_holds_listed_keys_and_no_others(shannan_plan: Path):
    page = (shannan_plan / "map.html").read_text(encoding="utf-8")
    view = json.loads(page.split('id="view">')[1].split("</script>")[0])

    def keys_of(value: Any) -> set[str]:
        rows = value if isinstance(value, list) else [value]
        return {key for row in rows for key in row}

    assert keys_of(view) == set(_KEYS[""].split())
    for path, allowed in _KEYS.items():
        value = view
        for part in path.split(".") if path else []:
            value = value[part]
        assert keys_of(value) <= set(allowed.split()), path
    assert all(
        len(each) % 2 == 0 and all(isinstance(one, int | None) for one in each)
        for each in view["find"]["spots"]
    )


def test_every_table_of_the_page_is_listed(shannan_plan: Path):
    view = residents_view(read_plan(shannan_plan))

    def tables(value: Any, path: str) -> set[str]:
        if isinstance(value, dict):
            found = {path} if path not in ("words", "figures") else set()
            return found.union(*(tables(each, f"{path}.{key}".strip(".")) for key, each in value.items()))
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return set().union(*(tables(each, path) for each in value))
        return set()

    assert tables(view, "") - {"barriers.water", "barriers.other"} <= set(_KEYS)


# ── what people do ───────────────────────────────────────────────────────────────────────────────────

_browser = pytest.mark.browser


@_browser
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_resident_finds_the_house_by_name_and_then_by_a_tap(show: Any, size: tuple[int, int]):
    page = show(residents_page(_ordered_plan()), size)
    page.click("[data-opens=find]")
    page.run("document.querySelector('#alley-name').focus()")
    page.press("大井")
    assert page.text("#alley-names") == "大井巷"
    page.press(Keys.TAB, Keys.ENTER)
    assert "大井巷" in page.text("#answer")
    page.rest(600)  # until the map has moved there
    star_x, star_y = page.sign("★")
    page.tap(star_x + 12, star_y)
    answer = page.text("#answer")
    for each in (
        "1 号网格（40 户）",
        "第1网格长",
        "在大井巷上，走",
        "B01，在大井巷上，走",
        "规划后照得到",
        "1 盏新路灯",
    ):
        assert each in answer, each
    page.click("#again")
    assert page.run("return document.activeElement.id") == "alley-name"


@_browser
def test_why_this_lamp_and_not_mine_gives_both_figures(show: Any):
    page = show(residents_page(_ordered_plan()))
    page.press("1")
    page.run("document.querySelectorAll('#alley-names button')[1].click()")
    answer = page.text("#answer")
    assert "东巷" in answer
    assert "只能再亮 4.2 米；选中的灯每盏至少多亮 30 米" in answer


@_browser
def test_a_house_is_found_by_its_number_where_numbers_are_told(show: Any):
    plan = drawn_plan(household="X")
    settings = plan.summary["settings"]
    public = {**settings, "public": {**settings["public"], "door_numbers": True}}
    page = show(residents_page(replace(plan, summary={**plan.summary, "settings": public})))
    page.press("1")
    page.run("document.querySelector('#alley-name').focus()")
    page.press("x-1")
    assert page.text("#alley-names") == "X-1 号门"
    page.press(Keys.TAB, Keys.ENTER)
    assert "在大井巷上，走 3 米" in page.text("#answer")


@_browser
def test_the_slider_along_the_alley_moves_the_place(show: Any):
    page = show(residents_page(_ordered_plan()))
    page.press("1")
    page.run("document.querySelectorAll('#alley-names button')[0].click()")
    page.drag("#along", 0)
    assert "走 14 米" in page.text("#answer")
    page.press(Keys.ARROW_RIGHT)
    assert "走 3 米" in page.text("#answer")


def _bright(page: Page, pane: str) -> int:
    """Pixels of a pane's canvas that are painted."""
    return int(
        page.run(
            "const c = document.querySelector('.leaflet-' + arguments[0] + '-pane canvas');"
            "const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
            "for (let i = 3; i < p.length; i += 4) if (p[i] > 0) n++; return n;",
            pane,
        )
    )


@_browser
def test_night_shows_today_on_the_left_and_the_plan_on_the_right(show: Any):
    page = show(residents_page(_ordered_plan()))
    page.press("2")
    page.run("map_1.fire('moveend')")
    assert page.run("return document.body.classList.contains('dark-sky')")
    page.rest(100)
    # one lamp shines today, two as planned, and each lights 30 m
    assert _bright(page, "planned") > 1.7 * _bright(page, "today") > 0
    page.drag("#swipe", 20)
    before = page.run("return document.querySelector('.swipe-line').getBoundingClientRect().x")
    page.press(Keys.ARROW_RIGHT)
    assert page.run("return document.querySelector('.swipe-line').getBoundingClientRect().x") > before
    page.click("#night-planned")
    assert page.run("return document.querySelector('#swipe').value") == "0"
    assert page.run("return document.querySelector('#night-planned').getAttribute('aria-pressed')") == "true"
    page.press("2", "1")
    assert not page.run("return document.body.classList.contains('dark-sky')")


@_browser
def test_the_bar_follows_a_finger(show: Any):
    page = show(residents_page(_ordered_plan()), PHONE)
    page.click("[data-opens=night]")
    top, height = page.run(
        "const b = document.querySelector('#swipe').getBoundingClientRect(); return [b.y, b.height]"
    )
    y = round(top + height / 2)
    action = ActionChains(page.chrome).w3c_actions
    pointer = action.pointer_action
    pointer.move_to_location(195, y)
    pointer.pointer_down()
    pointer.move_to_location(300, y)
    pointer.pointer_up()
    action.perform()
    assert int(page.run("return document.querySelector('#swipe').value")) > 65


@_browser
def test_the_slider_of_lamps_tells_metres_and_shows_as_many(show: Any):
    page = show(residents_page(_ordered_plan()))
    page.press("3")
    assert page.text("#lamps-figures").split("\n") == [
        *("1 盏：亮 60 米（27 %）", "第 1 盏（蓝圈）多亮 29.9 米"),
        "规划方案就是这个数：总体选点，亮 60 米（27 %）",
    ]
    one = _bright(page, "order")
    page.press(Keys.ARROW_RIGHT)
    assert page.text("#lamps-figures").startswith("2 盏：亮 90 米（41 %）")
    page.rest(100)
    assert _bright(page, "order") > one
    page.click("#fewer")
    assert page.text("#lamps-figures") == "0 盏：亮 30 米（14 %）"
    page.click("#as-planned")
    assert page.run("return document.querySelector('#n-lamps').value") == "1"


@_browser
def test_quarters_are_chosen_by_buttons(show: Any):
    plan = _ordered_plan()
    lamps = plan.layers["lamps"].assign(quarter=["2027Q1", None])
    boards = plan.layers["boards"].assign(quarter=["2027Q2"])
    page = show(residents_page(replace(plan, layers={**plan.layers, "lamps": lamps, "boards": boards})))
    page.press("4")
    assert page.text("#when-figures") == "2027Q1：路灯 1 盏，宣传栏 0 处（蓝圈）。"
    page.run("document.querySelectorAll('#quarters button')[1].click()")
    assert page.text("#when-figures") == "2027Q2：路灯 0 盏，宣传栏 1 处（蓝圈）。"


@_browser
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_note_is_placed_kept_and_saved_as_a_file(show: Any, tmp_path: Path, size: tuple[int, int]):
    page = show(residents_page(drawn_plan()), size)
    page.run("localStorage.clear(); location.reload()")
    page.run(
        "window.saved = [];"
        "URL.createObjectURL = (blob) => { blob.text().then((t) => saved.push(t)); return 'blob:x'; };"
    )
    page.run("HTMLAnchorElement.prototype.click = function () { window.named = this.download; };")
    page.click("[data-opens=note]")
    page.click("#note-add")
    assert page.text("#note-state") == "请先选一类。"
    page.run("document.querySelector('#kinds button').click()")
    page.tap(*page.sign("★"))
    assert "位置已选" in page.text("#note-place")
    page.run("document.querySelector('#note-text').value = '<b>看不见</b>{{7*7}}'")
    page.run("document.querySelector('#note-add').click()")
    assert "太暗：<b>看不见</b>{{7*7}}" in page.run("return document.querySelector('#notes').textContent")
    page.run("document.querySelector('#note-save').click()")
    page.rest(100)
    (text,) = page.run("return window.saved")
    (feature,) = json.loads(text)["features"]
    # the star of grid 1 stands 20 m east and 40 m north of the corner
    corner = GeoDataFrame(geometry=[shapely.Point(EAST + 20, NORTH + 40)], crs=CRS).to_crs(4326).geometry[0]
    assert feature["geometry"]["coordinates"] == pytest.approx([corner.x, corner.y], abs=2e-5)
    told = feature["properties"]
    today = page.run("return new Date().toLocaleDateString('sv')")
    assert told == {
        "kind": "too-dark", "note": "<b>看不见</b>{{7*7}}", "time": today,
        "community": "山南社区", "plan_id": "0123456789ab",
    }  # fmt: skip
    assert page.run("return window.named").endswith(".geojson")
    file = tmp_path / "notes.geojson"
    file.write_text(text, encoding="utf-8")
    gathered, _ = gather_comments([file], drawn_plan())
    assert gathered[["kind", "note"]].to_numpy().tolist() == [["too-dark", "<b>看不见</b>{{7*7}}"]]
    again = show(residents_page(drawn_plan()), size)  # the browser still has it
    again.click("[data-opens=note]")
    assert "看不见" in again.run("return document.querySelector('#notes').textContent")
    again.run("document.querySelector('#notes button').click()")
    assert again.run("return document.querySelectorAll('#notes li').length") == 0
    assert again.complaints == []


@_browser
def test_notes_last_until_closing_where_the_browser_keeps_nothing(show: Any):
    page = show(residents_page(drawn_plan()))
    page.run("Storage.prototype.setItem = () => { throw new Error('full'); }")
    page.press("3")
    page.run("document.querySelector('#kinds button').click()")
    page.click("#note-here")
    page.click("#note-add")
    assert page.text("#note-state").startswith("已记下；关掉本页就没有了")


@_browser
def test_fingers_alone_are_enough(show: Any):
    page = show(residents_page(_ordered_plan()), PHONE)

    def touch(x: float, y: float) -> None:
        action = ActionBuilder(page.chrome, mouse=PointerInput("touch", "finger"))
        action.pointer_action.move_to_location(round(x), round(y)).pointer_down().pointer_up()
        action.perform()

    def middle(selector: str) -> tuple[float, float]:
        x, y = page.run(
            "const e = document.querySelector(arguments[0]); e.scrollIntoView({ block: 'nearest' });"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2];",
            selector,
        )
        return x, y

    touch(*middle("[data-opens=find]"))
    page.rest(400)
    x, y = page.sign("★")
    touch(x + 4, y)
    page.rest(400)
    assert "1 号网格" in page.text("#answer")
    touch(*middle("#again"))
    assert page.run("return document.querySelector('#place').hidden")
    touch(*middle("[data-opens=night]"))
    touch(*middle("#night-today"))
    assert page.run("return document.querySelector('#swipe').value") == "100"
    touch(*middle("[data-opens=lamps]"))
    touch(*middle("#more"))
    assert page.text("#lamps-figures").startswith("2 盏")
    touch(*middle("#close"))
    assert page.run("return document.body.dataset.panel") == "none"
    touch(*middle("#show-legend"))
    assert page.run("return document.body.dataset.panel") == "legend"


@_browser
def test_f_fills_the_screen_and_gives_it_back(show: Any):
    page = show(residents_page(drawn_plan()))
    page.press("f")
    page.rest(300)
    assert page.run("return document.fullscreenElement !== null")
    page.press("f")
    page.rest(300)
    assert page.run("return document.fullscreenElement === null")


@_browser
def test_a_second_press_closes_a_panel_and_escape_too(show: Any):
    page = show(residents_page(_ordered_plan()), PHONE)
    page.click("[data-opens=lamps]")
    page.click("[data-opens=lamps]")
    assert page.run("return document.body.dataset.panel") == "legend"
    page.press("2", Keys.ESCAPE)
    assert page.run("return document.body.dataset.panel") == "legend"


@_browser
def test_a_facility_is_on_the_map_and_tells_whom_it_serves_unless_they_are_few(show: Any):
    plan = drawn_plan()
    sites = GeoDataFrame(
        {
            "facility": ["日间照料"] * 2,
            "site_id": ["F1", "F2"],
            "status": ["candidate"] * 2,
            "served": [41.0, 4.0],
        },
        geometry=[shapely.Point(EAST + 60, NORTH + 20), shapely.Point(EAST + 160, NORTH + 20)],
        crs=CRS,
    )
    sites = sites.assign(alley_id="A1", grid_id=pd.array([1, 3], dtype="Int64"))
    plan = replace(plan, layers={**plan.layers, "facilities": sites})
    assert [each["served"] for each in residents_view(plan)["facilities"]] == [41, None]
    page = show(residents_page(plan))
    assert "设施" in page.text("#legend")
    page.tap(*page.sign("设"))
    assert page.text("#details").split("\n") == [
        "设施：日间照料",
        *("巷道", "大井巷", "网格", "1 号网格", "服务量", "41"),
    ]


# ── for everybody ────────────────────────────────────────────────────────────────────────────────────

_PANELS = ("legend", "find", "night", "lamps", "note")
_AXE = (
    "const done = arguments[0];"
    "axe.run().then((r) => done(r.violations.map((v) => [v.impact, v.id, v.nodes[0].html])))"
)


@_browser
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_serious_in_any_panel(show: Any, shannan_plan: Path, size: str, language: str):
    page = show((shannan_plan / "map.html").read_text(encoding="utf-8"), SIZES[size])
    page.run("localStorage.clear()")
    page.run((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
    if language == "en":
        page.click("#switch")
    for panel in _PANELS:
        if panel != "legend":
            page.click(f"[data-opens={panel}]")
        if panel == "find":
            page.run("document.querySelector('#alley-names button').click()")
        page.rest(300)
        page.picture(f"{size}-{language}-{panel}")
        found = page.chrome.execute_async_script(_AXE)
        assert [each for each in found if each[0] in ("serious", "critical")] == [], panel
        if panel == "find":
            page.click("#again")
    assert page.requests == []
    assert page.complaints == []


@_browser
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("panel", _PANELS)
def test_in_every_panel_buttons_are_large_and_nothing_runs_over_the_side(
    show: Any, size: tuple[int, int], panel: str
):
    page = show(residents_page(_ordered_plan()), size)
    if panel != "legend":
        page.click(f"[data-opens={panel}]")
    small = page.run(
        "return [...document.querySelectorAll('button, input, textarea, .leaflet-bar a')]"
        ".map((e) => [e.id || e.textContent, e.getBoundingClientRect()])"
        ".filter(([, b]) => b.width > 0 && (b.width < 48 || b.height < 48)).map(([name]) => name)"
    )
    assert small == []
    assert page.run("return document.documentElement.scrollWidth") <= size[0]


@_browser
def test_paper_has_the_map_painted_by_day_even_from_the_night_view(show: Any):
    page = show(residents_page(_ordered_plan()))
    page.press("2")
    page.rest(200)
    # read before the browser draws again, as it prints
    amber = page.run(
        "window.dispatchEvent(new Event('beforeprint'));"
        "const c = document.querySelector('.leaflet-overlay-pane canvas');"
        "const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
        "for (let i = 0; i < p.length; i += 4) if (p[i] === 242 && p[i + 1] === 169 && p[i + 2] === 0) n++;"
        "return n;"
    )
    assert amber > 500
    assert not page.run("return document.body.classList.contains('dark-sky')")


@_browser
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_the_township_s_page_loads_in_two_seconds(show: Any, shannan_plan: Path, size: tuple[int, int]):
    page = show((shannan_plan / "map.html").read_text(encoding="utf-8"), size)
    assert page.run("return performance.getEntriesByType('navigation')[0].loadEventEnd") < 2000


# ── where comments may be sent ───────────────────────────────────────────────────────────────────────


def _with_address(address: str) -> Plan:
    plan = drawn_plan()
    settings = plan.summary["settings"]
    public = {**settings["public"], "comments_url": address}
    return replace(plan, summary={**plan.summary, "settings": {**settings, "public": public}})


@pytest.mark.parametrize(
    "address",
    [
        *("javascript:alert(1)", "https://", "ftp://example.org", "//example.org", "https://例子.cn/"),
        *("https://example.org/a b", 'https://example.org/"><img>', "https://example.org/" + 300 * "x"),
    ],
)
def test_only_an_address_of_the_web_is_taken_for_comments(address: str):
    with pytest.raises(DataError, match=r"public\.comments_url"):
        read_settings(overrides=[f"public.comments_url={json.dumps(address)}"])


def test_the_code_is_the_address_and_nothing_is_drawn_without_one():
    assert residents_view(drawn_plan())["comments"] is None
    told = residents_view(_with_address("https://example.org/say"))["comments"]
    code = told["code"]
    # 23 characters at level M: version 2, 25 modules a side, a finder in three of its corners.
    assert [len(row) for row in code] == [25] * 25
    finder = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"]
    assert [row[:7] for row in code[:7]] == finder
    assert [row[-7:] for row in code[:7]] == finder
    assert [row[:7] for row in code[-7:]] == finder


@pytest.mark.browser
def test_the_say_panel_shows_the_address_as_a_code_and_a_link(show: Any):
    page = show(residents_page(_with_address("https://example.org/say?a=1&b=2")), PHONE)
    page.click("[data-opens=note]")
    assert page.text("#say-link") == "https://example.org/say?a=1&b=2"
    assert page.run("return document.querySelector('#say-link').href") == "https://example.org/say?a=1&b=2"
    box = page.run(
        "const b = document.querySelector('#say-code path').getBBox(); return [b.x, b.y, b.width, b.height]"
    )
    assert box == [4, 4, 29, 29]  # version 3 within its quiet zone
    assert page.requests == []
    assert page.complaints == []
    plain = show(residents_page(drawn_plan()), PHONE)
    plain.click("[data-opens=note]")
    assert plain.run("return document.querySelector('#say-online').hidden")
