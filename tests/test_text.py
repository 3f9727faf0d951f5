"""Text from data stays what it is, from any file to the last table, and names no file."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest
from python_calamine import CalamineWorkbook

from spatial.load import read_site, read_site_layers, write_layers, write_site_layers
from spatial.report import write_tables
from spatial.settings import Settings
from tests.drawn_plan import drawn_plan
from tests.drawn_village import CRS, DEFAULT, at, frame, geojson, line, with_input

NAMES = {
    "right-to-left": "\u202eحي الجلوم\u202c \u200fباب",
    "lines": "大井巷\n（北段）",
    "long": "井" * 10_000,
    "emoji": "🏮灯笼巷👨‍👩‍👧",
    "rare": "𠮷㙍䶮巷",
    "formula": '=HYPERLINK("https://example.org","巷")',
    "sum": "+86-2@SUM(A1)",
    "quotes": "a\"b'c,d;e\t".strip(),
    "markup": "<b>&amp;{{7*7}}${7*7}</b>\\N",
    "excel escape": "_x0041_",
    "path": "../../etc/passwd\\..\\x",
}


@pytest.fixture
def village(tmp_path):
    folder = tmp_path / "village"
    folder.mkdir()
    return folder


def lanes(names):
    """An alley for each name, one above the other, joined by a road at the west end."""
    rows = [
        (line((0, 5 * i), (100, 5 * i)), {"alley_id": f"a{i:02}", "name": each})
        for i, each in enumerate(names)
    ]
    return [*rows, (line((0, 0), (0, 5 * len(names))), {"alley_id": "road"})]


WRITERS = {
    "gpkg": lambda table, path: table.to_file(path, layer="alleys"),
    "geojson": lambda table, path: geojson(
        path.parent,
        "alleys",
        [(r.geometry, {"alley_id": r.alley_id, "name": r["name"]}) for _, r in table.iterrows()],
    ),
    "fgb": pyogrio.write_dataframe,
    "parquet": lambda table, path: table.to_parquet(path),
    "csv": lambda table, path: path.write_text(
        pd.DataFrame(
            {"alley_id": table["alley_id"], "name": table["name"], "wkt": table.geometry.to_wkt()}
        ).to_csv(index=False),
        encoding="utf-8",
    ),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_names_come_through_every_format_as_they_are(village, kind):
    table = frame(lanes(NAMES.values())).iloc[:-1]
    WRITERS[kind](table, village / f"alleys.{kind}")
    site = read_site(village, with_input(alleys={"crs": CRS}))
    assert site.layer("alleys")["name"].tolist() == list(NAMES.values())


def test_names_come_back_from_the_files_of_a_plan(village, tmp_path):
    geojson(village, "alleys", lanes(NAMES.values()))
    site = read_site(village, DEFAULT)
    write_site_layers(site, tmp_path / "site.gpkg")
    write_layers({"alleys": site.layer("alleys")}, tmp_path / "plan.gpkg", crs=site.crs)
    for back in (
        read_site_layers(tmp_path / "site.gpkg").layer("alleys"),
        pyogrio.read_dataframe(tmp_path / "plan.gpkg", layer="alleys"),
    ):
        assert back["name"].tolist()[:-1] == list(NAMES.values())


def test_what_no_file_can_hold_is_taken_out(village):
    geojson(village, "alleys", lanes(["a\x00\ufffe\uffffb", "a\r\nb\rc", "\ud800井", "\x1b[31m红"]))
    names = read_site(village, DEFAULT).layer("alleys")["name"].tolist()
    assert names[:-1] == ["a b", "a\nb\nc", "?井", "[31m红"]


def test_ids_and_groups_stay_on_one_line(village):
    geojson(village, "alleys", [(line((0, 0), (50, 0)), {"alley_id": "a\n1"})])
    geojson(village, "households", [(at(5, 5), {"household_id": "h\r\n1", "group": "大井\n组"})])
    site = read_site(village, DEFAULT)
    assert site.layer("alleys")["alley_id"].tolist() == ["a 1"]
    assert site.layer("households")[["household_id", "group"]].to_numpy().tolist() == [["h 1", "大井 组"]]


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_cells_hold_the_text_and_no_formula(tmp_path: Path, name: str):
    plan = drawn_plan()
    alleys = plan.layers["alleys"].assign(name=name)
    write_tables(replace(plan, layers={**plan.layers, "alleys": alleys}), tmp_path / "tables.xlsx")
    (zh, _, *rows) = (
        CalamineWorkbook.from_path(tmp_path / "tables.xlsx").get_sheet_by_name("巷道表").to_python()
    )
    assert {row[zh.index("名称")] for row in rows} == {name}
    with zipfile.ZipFile(tmp_path / "tables.xlsx") as parts:
        for part in parts.namelist():
            assert b"<f>" not in parts.read(part)
            assert b"hyperlink" not in parts.read(part)


def test_a_cell_holds_what_excel_can_hold_and_no_half_character(tmp_path: Path):
    plan = drawn_plan()
    alleys = plan.layers["alleys"].assign(name="a" + "🏮" * 20_000)
    write_tables(replace(plan, layers={**plan.layers, "alleys": alleys}), tmp_path / "tables.xlsx")
    (zh, _, row, *_) = (
        CalamineWorkbook.from_path(tmp_path / "tables.xlsx").get_sheet_by_name("巷道表").to_python()
    )
    assert row[zh.index("名称")] == "a" + "🏮" * 16_383  # 32,767 units, two for each lantern


def test_every_name_in_a_plan_of_its_own_folder(village, tmp_path, alleyplan):
    homes = [
        (
            at(4 + 2 * (i % 40), 2 + 5 * (i // 40)),
            {"household_id": f"{each}{i}", "group": each, "address": each},
        )
        for i, each in enumerate(4 * [*list(NAMES.values())[:2], *list(NAMES.values())[3:]])
    ]
    geojson(village, "alleys", lanes(NAMES.values()))
    geojson(village, "households", homes)
    folder = village.rename(tmp_path / "=1+1 \u202e社区 😀")
    only = ("--only", "grids,boards", "--set", "boards.n_boards=1")
    done = alleyplan("plan", folder, "--out", tmp_path / "plan", *only)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([folder.name, "plan"])
    files = "plan.gpkg site.gpkg summary.json tables.xlsx map.html planner.html bounds.npz"
    assert {each.name for each in (tmp_path / "plan").iterdir()} <= set(files.split())
    alleys = gpd.read_file(tmp_path / "plan" / "plan.gpkg", layer="alleys")
    assert set(alleys["name"].dropna()) == set(NAMES.values())
    assert alleyplan("audit", tmp_path / "plan").returncode == 0


@pytest.mark.parametrize(
    "name", ["..", "=1+1", "a/../b".replace("/", "\u2215"), "社区 😀\n", "\u202e", "con:x|y*?"]
)
def test_a_community_gives_a_safe_file_name(tmp_path, name):
    folder = tmp_path / "x" / name
    folder.mkdir(parents=True, exist_ok=True)
    geojson(folder, "alleys", lanes(["大井巷"]))
    community = read_site(folder, Settings()).community
    assert re.fullmatch(r"\w[\w.-]*", community)
    assert (tmp_path / f"{community}.html").resolve().parent == tmp_path.resolve()
