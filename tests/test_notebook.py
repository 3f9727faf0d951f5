"""Notebooks run from a clean kernel and are kept without outputs; what sites and plans show in one."""

from __future__ import annotations

import re

import folium
import matplotlib as mpl
import nbformat
import pytest
from nbclient import NotebookClient

from spatial.leaflet import leaflet_script
from spatial.notebook import plain_html
from tests.browser import HOSTILE
from tests.conftest import ROOT
from tests.drawn_plan import drawn_plan

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def _run(name: str) -> nbformat.NotebookNode:
    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    return notebook


def _output(notebook: nbformat.NotebookNode, source: str) -> str:
    """What the cell with that source printed and gave."""
    cell = next(each for each in notebook.cells if each.cell_type == "code" and source in each.source)
    return "".join(each.get("text", "") + str(each.get("data", "")) for each in cell.outputs)


# ── the notebooks ────────────────────────────────────────────────────────────────────────────────────


def test_the_walk_through_ends_in_a_recount_that_agrees():
    notebook = _run("walkthrough.ipynb")
    code = {cell.source: cell for cell in notebook.cells if cell.cell_type == "code"}
    audit = next(cell for source, cell in code.items() if "audit_plan" in source)
    assert audit.outputs[0]["data"]["text/plain"] == "()"


def test_the_planner_s_notebook_compares_two_plans():
    notebook = _run("planner.ipynb")
    assert "settings that differ: grids.group_cost_m 100.0 → 0" in _output(notebook, "compare_plans")
    assert "folium" in _output(notebook, "plan.explore()")


def test_the_engineer_s_notebook_draws_the_lamps():
    notebook = _run("engineer.ipynb")
    assert "150 new lamps" in _output(notebook, "new lamps")
    assert "image/png" in _output(notebook, "plan.plot()")


def test_the_meeting_s_notebook_gathers_what_was_said():
    notebook = _run("meeting.ipynb")
    told = _output(notebook, "gather_comments")
    assert "2 comments came more than once" in told
    assert "晚上看不见台阶" in told


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda each: each.stem)
def test_notebooks_are_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not [
        cell for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)
    ]


# ── what a site and a plan show ──────────────────────────────────────────────────────────────────────


def test_a_site_shows_its_layers_and_nothing_that_runs():
    plan = drawn_plan(alley=HOSTILE, household=HOSTILE, community=HOSTILE)
    shown = plan.site._repr_html_()
    assert "<td>households 住户</td><td>6</td>" in shown
    assert "EPSG:4548" in shown
    assert "<img" not in shown


def test_hostile_text_stays_text():
    assert plain_html(HOSTILE) == (
        "&lt;img src=x onerror=alert(1)&gt;&#123;&#123;7*7&#125;&#125;&#36;&#123;7*7&#125;&lt;/script&gt;"
    )


def test_a_folium_map_holds_the_layers_and_no_template_or_tag_of_the_data():
    plan = drawn_plan(grid_fault=HOSTILE)
    page = plan.explore().get_root().render().replace(leaflet_script(), "")
    assert page.count("L.geoJson(") == 5
    told = re.findall(r"[^\"]*onerror[^\"]*", page)
    # as the data is written: an ampersand may stand as itself or as its escape, a tag or a template nowhere
    assert {each.replace("\\u0026", "&").replace("\\u0027", "'") for each in told} == {plain_html(HOSTILE)}


def test_a_map_and_axes_that_are_given_are_drawn_on_and_returned():
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    given = folium.Map(tiles=None)
    assert drawn_plan().explore(given) is given
    assert len(given._children) >= 5
    figure, axes = plt.subplots()
    assert drawn_plan().plot(axes) is axes
    numbers = [each.get_text() for each in axes.texts]
    assert numbers == ["1", "2", "3"]
    assert axes.get_aspect() == 1.0
    plt.close(figure)


def test_a_plan_of_one_part_is_drawn_too():
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    axes = drawn_plan(only=("lamps",)).plot()
    assert [each.get_text() for each in axes.get_legend().get_texts()] == [
        *("alley", "lit", "new lamp", "existing lamp"),
    ]
    plt.close(axes.figure)
    assert "stretches" in str(list(drawn_plan(only=("lamps",)).layers))


@pytest.mark.browser
def test_a_hostile_name_on_a_folium_map_is_shown_and_does_nothing(show):
    page = drawn_plan(grid_fault=HOSTILE).explore().get_root().render()
    opened = show(page)
    told = opened.run(
        "const map = Object.values(window).find((each) => each instanceof L.Map); const told = [];"
        "const groups = []; map.eachLayer((each) => { if (each instanceof L.GeoJSON) groups.push(each); });"
        "for (const group of groups) if (group.getTooltip()) group.eachLayer((each) => {"
        "  each.fire('mouseover', {}, true);"
        "  told.push(document.querySelector('.leaflet-tooltip').innerText); });"
        "return told;"
    )
    assert any(HOSTILE in each for each in told)
    assert opened.run("return window.ran") == []
    assert opened.run("return document.querySelectorAll('.leaflet-tooltip img').length") == 0
    assert opened.requests == []
    assert opened.complaints == []


@pytest.mark.browser
def test_a_saved_folium_map_asks_nothing_and_draws_every_layer(show, tmp_path):
    drawn_plan().explore().save(tmp_path / "map.html")
    opened = show((tmp_path / "map.html").read_text(encoding="utf-8"))
    assert opened.requests == []
    assert opened.complaints == []
    shown = opened.run(
        "const all = document.querySelectorAll('.leaflet-control-layers label');"
        "return [...all].map((each) => each.innerText.trim())"
    )
    assert len(shown) == 5
    painted = opened.run(
        "const c = document.querySelector('canvas');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n;"
    )
    assert painted > 50_000
    opened.picture("explore")
