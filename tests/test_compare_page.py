"""The page of a comparison in a real browser: two maps that move together, differences marked."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from typing import Any

import pandas as pd
import pytest

from spatial.compare import compare_plans
from spatial.maps import comparison_page
from tests.browser import HOSTILE, PHONE, PROJECTOR
from tests.drawn_plan import drawn_plan

pytestmark = pytest.mark.browser


def _page(**names: str) -> str:
    """The drawn plan beside one without its new lamp and with the second row of households in grid 2."""
    plan = drawn_plan(**names)
    lamps = plan.layers["lamps"].drop(index=0).reset_index(drop=True)
    households = plan.layers["households"].assign(grid_id=pd.array([1, 2, 2, 2, 3, 3], dtype="Int64"))
    later = replace(plan, layers={**plan.layers, "lamps": lamps, "households": households})
    return comparison_page(plan, later, compare_plans(plan, later))


@pytest.mark.parametrize("size", [PHONE, PROJECTOR])
def test_it_asks_nothing_and_complains_of_nothing(show: Any, size: tuple[int, int]):
    page = show(_page(), size)
    page.click("#switch")
    assert page.requests == []
    assert page.complaints == []
    assert page.run("return document.documentElement.scrollWidth") <= size[0]


def test_hostile_names_are_shown_and_do_nothing(show: Any):
    page = show(_page(alley=HOSTILE, household=HOSTILE, community=HOSTILE))
    assert HOSTILE in page.text("#title")
    assert page.run("return window.ran") == []
    assert page.run("return document.querySelectorAll('img').length") == 0
    assert HOSTILE in page.run("return document.querySelector('#lists').textContent")


def test_what_differs_is_listed_and_marked(show: Any):
    page = show(_page())
    lists = page.run("return [...document.querySelectorAll('#lists summary')].map((e) => e.textContent)")
    assert lists == [
        "换了网格的住户 1", "取消的路灯 1", "增加的路灯 0", "取消的宣传栏 0", "增加的宣传栏 0",
    ]  # fmt: skip
    moved = page.run(
        "return [...document.querySelectorAll('#lists td')].slice(0, 5).map((e) => e.textContent)"
    )
    assert moved == ["CANARY-ID-2", "20", "1", "1", "2"]
    assert page.run("return document.querySelectorAll('.household').length") == 2  # one on each map


def test_the_maps_move_together(show: Any):
    page = show(_page())
    state = (
        "const maps = document.querySelectorAll('.folium-map');"
        "const at = (e) => { const b = e.getBoundingClientRect(); return [b.x, b.y]; };"
        "const [a, b] = [...maps].map((m) => [...m.querySelectorAll('.disc')].map("
        "(d) => at(d).map((v, i) => v - at(m)[i])));"
        "return [a.flat(), b.flat()];"
    )
    before = page.run(state)
    page.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.run("document.querySelector('#lists td button').click()")
    left, right = page.run(state)
    assert before[0] != left
    # both maps are of one size but for a border, so the same grid number stands in the same place
    assert left == pytest.approx(right, abs=4)


@pytest.mark.parametrize("size", [PHONE, PROJECTOR])
def test_axe_finds_nothing(show: Any, size: tuple[int, int]):
    page = show(_page(), size)
    page.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.run((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = "axe.run().then((r) => arguments[0](r.violations.map((v) => [v.impact, v.id, v.nodes[0].html])))"
    assert page.chrome.execute_async_script(found) == []
