"""What a page may show, and that nothing in it can run or leave the file."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from dataclasses import replace
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import folium
import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.errors import fault
from spatial.maps import planner_page, residents_page
from spatial.maps.frame import json_text, page_assets
from spatial.maps.planner import planner_view
from spatial.maps.sketch import Sketch
from spatial.maps.view import _tints, public_view
from spatial.schema import PLAN_LAYERS
from tests.drawn_plan import CANARIES, CRS, EAST, NORTH, drawn_plan

HOSTILE = "<img src=x onerror=alert(1)>{{7*7}}${7*7}</script>"
ASSETS = files("spatial") / "assets"


class _Parts(html.parser.HTMLParser):
    """Scripts, styles and links of a page, as a browser would find them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.links: list[str] = []
        self.policy = ""
        self._open: tuple[str, dict[str, str | None]] = ("", {})
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given_attrs = dict(attrs)
        self._open = (tag, given_attrs)
        self.links += [str(given_attrs[key]) for key in ("src", "href") if key in given_attrs]
        if given_attrs.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(given_attrs["content"])

    def handle_data(self, data: str) -> None:
        tag, attrs = self._open
        if tag == "script":
            self.scripts.append((attrs, data))
        elif tag == "style":
            self.styles.append(data)
        self._open = ("", {})

    @property
    def view(self) -> dict[str, Any]:
        found: dict[str, Any] = next(
            json.loads(text) for attrs, text in self.scripts if attrs.get("id") == "view"
        )
        return found


def _metres(view: dict[str, Any], steps: list[int]) -> np.ndarray:
    """A drawn line back in metres from the drawn plan's corner, independently of the page."""
    whole = np.cumsum(np.reshape(steps, (-1, 2)), axis=0)
    degrees = whole / 1e6 + np.array(view["frame"][:2])
    back = gpd.GeoSeries(shapely.points(degrees), crs=4326).to_crs(CRS)
    return np.column_stack([back.x - EAST, back.y - NORTH])


# ── what residents see ───────────────────────────────────────────────────────────────────────────────


def test_a_grid_with_few_households_shows_no_count_no_walk_and_no_meeting_point():
    first, second, few = public_view(drawn_plan())["grids"]
    assert [each["households"] for each in (first, second, few)] == [40, 40, None]
    assert [each["walk_mean_m"] for each in (first, second, few)] == [21.25, 33.5, None]
    assert few["meeting"] is None
    assert few["boards"] == []  # three households walk to B01, fewer than may be told


def test_a_town_of_too_many_features_leaves_its_buildings_out_and_says_so(monkeypatch: pytest.MonkeyPatch):
    plan = drawn_plan()  # 6 buildings, 2 alleys, 3 grids, 2 lamps, 1 board, 7 stretches
    monkeypatch.setattr("spatial.maps.view.MOST_FEATURES", 21)
    assert len(public_view(plan)["ground"]) == 6
    monkeypatch.setattr("spatial.maps.view.MOST_FEATURES", 20)
    view = public_view(plan)
    assert view["ground"] == []
    assert view["figures"]["buildings_left_out"]


def test_people_meet_on_the_alley_and_not_at_a_door():
    view = public_view(drawn_plan())
    # The door of grid 1 is at (20, 30), ten metres south of 大井巷.
    assert _metres(view, view["grids"][0]["meeting"]) == pytest.approx(np.array([[20.0, 40.0]]), abs=0.15)
    assert view["grids"][0]["meeting_alley"] == "大井巷"


def test_lit_stretches_that_follow_each_other_are_one_line():
    view = public_view(drawn_plan())
    ends = sorted(tuple(np.round(_metres(view, each)[[0, -1], 0]).tolist()) for each in view["alleys"]["lit"])
    assert ends == [(15.0, 45.0), (135.0, 165.0)]


def test_the_sentence_has_the_figures_of_the_summary():
    figures = public_view(drawn_plan())["figures"]
    assert (figures["n_grids"], figures["n_lamps"], figures["n_boards"]) == (3, 1, 1)
    assert (figures["lit_m"], figures["bound_m"], figures["proven"]) == (60, 60, True)
    assert figures["share_before"] == pytest.approx(30 / 220)


@pytest.mark.parametrize(
    ("only", "present", "absent"),
    [
        (("grids",), "n_grids", ["n_lamps", "n_boards"]),
        (("lamps",), "n_lamps", ["n_grids", "n_boards"]),
        (("boards",), "n_boards", ["n_grids", "n_lamps"]),
    ],
)
def test_a_part_that_was_not_planned_is_not_told(only: tuple[str, ...], present: str, absent: list[str]):
    view = _Parts(residents_page(drawn_plan(only=only))).view
    assert present in view["figures"]
    assert not set(absent) & set(view["figures"])
    assert bool(view["boundary"]) == ("grids" not in only)
    assert bool(view["alleys"]["lit"]) == ("lamps" in only)


def test_no_personal_value_is_in_the_residents_page():
    plan = drawn_plan(household="CANARY-ID")
    page = residents_page(plan)
    assert [each for each in CANARIES if each in page] == []
    assert "CANARY-ID" in planner_page(plan)  # so the canary would be found


def test_the_planner_can_go_to_the_grid_a_fault_names():
    view = planner_view(drawn_plan(grid_fault="3 households; the least is 30"))
    (told,) = view["remarks"]["faults"]
    corners = np.vstack([_metres(view, each) for each in told["box"]])
    assert corners == pytest.approx(np.array([[120.0, 0.0], [180.0, 80.0]]), abs=0.15)
    assert [each["fault"] for each in view["grids"]] == [False, False, True]


def test_a_fault_of_a_worker_leads_to_the_grids_of_that_worker():
    plan = drawn_plan()
    told = fault("worker-far", "worker 1 has too few", layer="grids", column="worker_id", ids=["1"]).to_json()
    view = planner_view(replace(plan, summary={**plan.summary, "faults": [told]}))
    corners = np.vstack([_metres(view, each) for each in view["remarks"]["faults"][0]["box"]])
    assert corners == pytest.approx(np.array([[0.0, 0.0], [120.0, 80.0]]), abs=0.15)


# ── nothing runs, nothing leaves the file ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("make", [residents_page, planner_page])
def test_a_hostile_name_is_text_in_the_data_and_nowhere_else(make: Any):
    page = make(drawn_plan(alley=HOSTILE, household=HOSTILE, community=HOSTILE))
    assert page.count("<img") == 0
    assert "{{" not in page.split('id="view"')[1].split("</script>")[0]
    view = _Parts(page).view
    assert view["about"]["name"] == HOSTILE
    assert HOSTILE in {each["name"] for each in view["alleys"]["names"]}
    assert view["lamps"][0]["alley"] == HOSTILE


@pytest.mark.parametrize("make", [residents_page, planner_page])
def test_only_scripts_and_styles_named_by_their_hash_may_run(make: Any):
    parts = _Parts(make(drawn_plan()))
    rules = dict(each.split(" ", 1) for each in parts.policy.split("; "))

    def digests(texts: list[str]) -> set[str]:
        hashes = (hashlib.sha256(each.encode()).digest() for each in texts)
        return {f"'sha256-{base64.b64encode(each).decode()}'" for each in hashes}

    code = [text for attrs, text in parts.scripts if attrs.get("type") != "application/json"]
    assert rules["default-src"] == "'none'"
    assert set(rules["script-src"].split()) == digests(code)
    assert set(rules["style-src"].split()) == digests(parts.styles)
    assert parts.links == []


def test_the_same_plan_is_the_same_page():
    assert residents_page(drawn_plan()) == residents_page(drawn_plan())
    assert planner_page(drawn_plan()) == planner_page(drawn_plan())


def test_a_link_of_folium_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch):
    links = [*folium.Map.default_js, ("new", "https://cdn.example/new.js")]
    monkeypatch.setattr(folium.Map, "default_js", links)
    with pytest.raises(ValueError, match=r"new\.js"):
        residents_page(drawn_plan())


@given(
    st.recursive(st.text(max_size=30), lambda each: st.dictionaries(st.text(max_size=9), each, max_size=3))
)
def test_json_in_a_script_reads_back_and_holds_nothing_html_or_a_template_reads(value: Any):
    text = json_text({"value": value})
    assert json.loads(text) == {"value": value}
    assert not set("<>&`\u2028\u2029") & set(text)
    assert not re.search(r"\{\{|\{%|\{#|\$\{", text)


# ── shapes and colours ───────────────────────────────────────────────────────────────────────────────


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60))
def test_neighbours_never_have_the_same_tint_and_six_are_enough(seed: int, n: int):
    points = np.random.default_rng(seed).uniform(0, 100, (n, 2))
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(points)))
    tints = np.array(_tints(gpd.GeoSeries(cells, crs=CRS)))
    one, other = shapely.STRtree(cells).query(cells, predicate="intersects")
    border = (one != other) & (shapely.length(shapely.intersection(cells[one], cells[other])) > 1e-6)
    assert (tints[one[border]] != tints[other[border]]).all()
    assert tints.max() < 6


_PLACES = st.tuples(st.integers(0, 20_000), st.integers(0, 20_000))  # millionths of a degree


@given(st.lists(st.lists(_PLACES, min_size=2, max_size=9), max_size=5))
def test_steps_add_up_to_the_line_without_points_that_repeat(lines: list[list[tuple[int, int]]]):
    sketch = Sketch(west=117.0, south=31.6)
    shapes = [shapely.LineString(np.array([117.0, 31.6]) + np.array(each) / 1e6) for each in lines]
    for steps, line in zip(sketch._steps(np.array(shapes, dtype=object)), lines, strict=True):
        points = np.cumsum(np.reshape(steps, (-1, 2)), axis=0)
        assert points.tolist() == [list(point) for point, _ in groupby(line)]


def _palette() -> dict[str, tuple[int, int, int]]:
    css = (ASSETS / "page.css").read_text(encoding="utf-8")
    found = re.findall(r"--([\w-]+): #([0-9A-F]{6});", css)
    return {name: (int(hex_[:2], 16), int(hex_[2:4], 16), int(hex_[4:], 16)) for name, hex_ in found}


@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "paper"),
        ("quiet", "paper"),
        ("ink", "ground"),
        ("fault", "paper"),
        ("paper", "board"),
        ("quiet", "ground"),
    ]
    + [("ink", f"tint-{i}") for i in range(6)],
)
def test_text_stands_out_from_its_ground(text: str, ground: str):
    def luminance(colour: tuple[int, int, int]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(colour) / 255]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    palette = _palette()
    light, dark = sorted((luminance(palette[text]), luminance(palette[ground])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize("layer", [name for name, each in PLAN_LAYERS.items() if each.geometry is not None])
def test_a_qgis_style_uses_the_page_s_colours_and_the_layer_s_columns(layer: str):
    root = ElementTree.fromstring((ASSETS / "qgis" / f"{layer}.qml").read_text(encoding="utf-8"))
    used = [each.get("value") for each in root.iter("Option") if str(each.get("name")).endswith("color")]
    colours = {tuple(map(int, str(each).split(",")[:3])) for each in used}
    assert colours
    assert colours <= set(_palette().values())
    fields = {str(each.get("attr")) for each in root.iter("renderer-v2") if each.get("attr")}
    fields |= {str(each.get("fieldName")) for each in root.iter("text-style")}
    named = {name for each in fields for name in re.findall(r'"(\w+)"', each) or [each]}
    assert named <= {each.name for each in PLAN_LAYERS[layer].columns}
    symbols = {each.get("name") for each in root.iter("symbol")}
    assert {each.get("symbol") for each in root.iter("category")} <= symbols


@pytest.mark.parametrize(("kind", "make"), [("residents", residents_page), ("planner", planner_page)])
def test_every_word_a_page_says_has_both_languages_and_none_is_left_over(kind: str, make: Any):
    said_by = {part: "".join(page_assets(kind, part)) for part in ("js", "html")}
    script = said_by["js"] + said_by["html"]
    words = _Parts(make(drawn_plan())).view["words"]
    said = set(re.findall(r'(?:say\(|data-text=|data-label=)"(\w+)"', script))
    prefixes = ("legend_", "kind_", "layer_", "sign_")  # said by the name of what they stand for
    assert said - set(prefixes) <= set(words)
    own = {}
    for name in ("texts.json", f"texts-{kind}.json"):
        own |= json.loads((ASSETS / name).read_text(encoding="utf-8"))
    script += (files("spatial") / "maps" / "planner.py").read_text(
        encoding="utf-8"
    )  # names tables and figures
    unused = [key for key in own if f'"{key}"' not in script and not key.startswith(prefixes)]
    assert unused == []
    assert all(len(pair) == 2 and all(pair) for pair in words.values())


# ── the bundled township ─────────────────────────────────────────────────────────────────────────────


def test_the_township_s_page_is_small_and_names_no_household(shannan_plan: Path):
    page = (shannan_plan / "map.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 1_000_000
    households = gpd.read_file(shannan_plan / "plan.gpkg", layer="households", engine="pyogrio")
    values = set(re.findall(r'"([^"]*)"', page.split('id="view"')[1]))
    assert not values & set(households["household_id"])
