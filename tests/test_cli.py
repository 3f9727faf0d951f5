"""The command from end to end: exit codes, messages, what is written and what is not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from spatial.schema import PLAN_LAYERS, SUMMARY, SUMMARY_HEAD
from tests.conftest import ROOT, SHANNAN
from tests.tampering import change_summary, move_rows, set_cell


def _hashes(folder: Path) -> dict[str, str]:
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in sorted(folder.iterdir())}


# ── the bundled township ─────────────────────────────────────────────────────────────────────────────


def test_plan_of_the_township_keeps_its_promises(shannan_plan):
    summary = json.loads((shannan_plan / "summary.json").read_text(encoding="utf-8"))
    grids, lamps, boards = (summary[each] for each in ("grids", "lamps", "boards"))
    assert summary["faults"] == []
    assert (grids["feasible_share"], grids["contiguous_share"]) == (1.0, 1.0)
    assert 30 <= grids["min"] <= grids["max"] <= 50
    assert grids["bound_m"] <= grids["objective_m"]
    assert (lamps["n_chosen"], lamps["n_existing"], lamps["gap"]) == (150, 40, 0)
    assert boards["n_chosen"] == 20
    assert boards["gap"] == 0


@pytest.mark.long
def test_walks_are_within_3_percent_of_the_proven_bound(alleyplan, tmp_path):
    plain = ("--only", "grids", "--set", "grids.group_cost_m=0")
    done = alleyplan("plan", SHANNAN, "--out", tmp_path / "plan", *plain, "--json")
    grids = json.loads(done.stdout)["summary"]["grids"]
    assert grids["bound_m"] <= grids["objective_m"] <= 1.03 * grids["bound_m"]


def test_plan_folder_holds_the_contract(shannan_plan):
    assert sorted(each.name for each in shannan_plan.iterdir()) == [
        "bounds.npz", "map.html", "plan.gpkg", "planner.html", "site.gpkg", "summary.json", "tables.xlsx",
    ]  # fmt: skip
    summary = json.loads((shannan_plan / "summary.json").read_text(encoding="utf-8"))
    assert tuple(summary) == (*SUMMARY_HEAD, *SUMMARY)
    for section in ("grids", "lamps", "boards"):
        assert set(summary[section]) == set(SUMMARY[section])
    layers = {name: each for name, each in PLAN_LAYERS.items() if not name.startswith("facilit")}
    for name, layer in layers.items():
        rows = gpd.read_file(shannan_plan / "plan.gpkg", layer=name)
        assert [each for each in rows.columns if each != "geometry"] == [each.name for each in layer.columns]
        assert len(rows) > 0 or name == "zones"  # no building of the township is large enough
    styles = gpd.read_file(shannan_plan / "plan.gpkg", layer="layer_styles")
    assert set(styles["f_table_name"]) == {name for name, each in layers.items() if each.geometry}


def test_same_seed_gives_the_same_bytes_under_other_circumstances(shannan_plan, alleyplan, tmp_path):
    other = {"PYTHONHASHSEED": "7", "TZ": "Asia/Shanghai", "LC_ALL": "C", "OMP_NUM_THREADS": "1"}
    done = alleyplan(
        "plan", SHANNAN, "--out", tmp_path / "again", "--set", "work.threads=1", env={**os.environ, **other}
    )
    assert done.returncode == 0, done.stderr
    assert _hashes(tmp_path / "again") == _hashes(shannan_plan)
    lamps = json.loads((shannan_plan / "summary.json").read_text(encoding="utf-8"))["lamps"]
    assert f"installed: {lamps['share_alleys_with_lamp']:.1%} of the alleys have a lamp" in done.stderr
    assert f"longest dark run is {lamps['dark_run_m']:.0f} m ({lamps['dark_run_alley_id']}" in done.stderr
    page = (shannan_plan / "planner.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("装灯巷道比例", "最长暗段", "门前有灯的住户比例"))


def test_json_is_one_object_on_standard_output(alleyplan, tmp_path):
    done = alleyplan("plan", SHANNAN, "--out", tmp_path / "plan", "--only", "boards", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert (told["summary"]["grids"], told["summary"]["lamps"]) == (None, None)
    assert told["summary"]["boards"]["n_chosen"] == 20
    assert set(told["timings_s"]) >= {"reading", "network", "boards", "writing"}


def test_default_out_also_puts_the_pages_into_maps(alleyplan, tmp_path):
    shutil.copytree(SHANNAN, tmp_path / "hamlet")
    done = alleyplan("plan", tmp_path / "hamlet", "--only", "boards", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "maps" / "hamlet.html").read_text(encoding="utf-8")
    assert page == (tmp_path / "data" / "processed" / "hamlet" / "map.html").read_text(encoding="utf-8")
    summary = (tmp_path / "data/processed/hamlet/summary.json").read_text(encoding="utf-8")
    plan_id = json.loads(summary)["plan_id"]
    assert plan_id in page
    assert plan_id in (tmp_path / "maps" / "hamlet-planner.html").read_text(encoding="utf-8")


def test_map_draws_the_same_pages_anew(shannan_plan, alleyplan, tmp_path):
    copy = shutil.copytree(shannan_plan, tmp_path / "copy")
    (copy / "map.html").unlink()
    done = alleyplan("map", copy)
    assert done.returncode == 0, done.stderr
    assert _hashes(copy) == _hashes(shannan_plan)


# ── bad input: one clear message, exit 2, nothing written ────────────────────────────────────────────

CRS = "EPSG:4548"


def _hamlet(folder: Path, **changes: gpd.GeoDataFrame | None) -> Path:
    """Forty households along one straight alley; ``changes`` replace or drop layers."""
    x = [500000 + 5.0 * n for n in range(40)]
    layers = {
        "alleys": gpd.GeoDataFrame(
            {"alley_id": ["A1"]}, geometry=[shapely.LineString([(x[0], 3500000), (x[-1], 3500000)])], crs=CRS
        ),
        "households": gpd.GeoDataFrame(
            {"household_id": [f"H{n:02d}" for n in range(40)], "households": [1] * 40},
            geometry=[shapely.Point(each, 3500003) for each in x],
            crs=CRS,
        ),
    } | changes
    folder.mkdir()
    for name, layer in layers.items():
        if layer is not None:
            layer.to_file(folder / f"{name}.gpkg", layer=name)
    return folder


def _refused(alleyplan, folder: Path, *words: object) -> str:
    """What the command says when it refuses; checks that it refuses properly."""
    out = folder.parent / "out"
    done = alleyplan("plan", folder, "--out", out, *words)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()
    assert not [each for each in os.listdir(folder.parent) if each.startswith(".out")]
    return done.stderr


def _households(**changes: object) -> gpd.GeoDataFrame:
    table = {"household_id": ["H1", "H2", "H3"], "households": [1, 1, 1]} | changes
    shapes = table.pop("geometry", [shapely.Point(500000 + n, 3500003) for n in range(3)])
    return gpd.GeoDataFrame(table, geometry=shapes, crs=table.pop("crs", CRS))


def test_missing_alleys(alleyplan, tmp_path):
    said = _refused(alleyplan, _hamlet(tmp_path / "hamlet", alleys=None))
    assert "alleys" in said


def test_missing_crs(alleyplan, tmp_path):
    hamlet = _hamlet(tmp_path / "hamlet", households=None)
    (hamlet / "households.csv").write_text("household_id,x,y\nH1,500000,3500003\n")
    (hamlet / "alleys.gpkg").unlink()
    bare = gpd.GeoDataFrame(
        {"alley_id": ["A1"]}, geometry=[shapely.LineString([(5e5, 35e5), (500100, 35e5)])]
    )
    with pytest.warns(UserWarning, match="crs"):
        bare.to_file(hamlet / "alleys.gpkg", layer="alleys")
    said = _refused(alleyplan, hamlet)
    assert "crs" in said.lower()
    assert "EPSG" in said


def test_wrong_geometry_type(alleyplan, tmp_path):
    points = gpd.GeoDataFrame({"alley_id": ["A1"]}, geometry=[shapely.Point(500000, 3500000)], crs=CRS)
    said = _refused(alleyplan, _hamlet(tmp_path / "hamlet", alleys=points))
    assert "alleys" in said
    assert "A1" in said


def test_duplicate_ids(alleyplan, tmp_path):
    said = _refused(
        alleyplan, _hamlet(tmp_path / "h", households=_households(household_id=["H1", "H7", "H7"]))
    )
    assert "household_id" in said
    assert "H7" in said


def test_counts_below_one(alleyplan, tmp_path):
    said = _refused(alleyplan, _hamlet(tmp_path / "h", households=_households(households=[1, 0, -3])))
    assert "households.households" in said
    assert "H2" in said
    assert "H3" in said


def test_all_faults_are_told_in_one_run(alleyplan, tmp_path):
    households = _households(household_id=["H1", "H7", "H7"], households=[0, 1, 1])
    points = gpd.GeoDataFrame({"alley_id": ["A1"]}, geometry=[shapely.Point(500000, 3500000)], crs=CRS)
    said = _refused(alleyplan, _hamlet(tmp_path / "h", alleys=points, households=households))
    assert "household_id" in said
    assert "households.households" in said
    assert "A1" in said


def test_more_required_lamps_than_lamps(alleyplan, tmp_path):
    sites = gpd.GeoDataFrame(
        {"site_id": ["L1", "L2"], "status": ["required"] * 2},
        geometry=[shapely.Point(500010, 3500001), shapely.Point(500030, 3500001)],
        crs=CRS,
    )
    hamlet = _hamlet(tmp_path / "h", lamp_sites=sites)
    said = _refused(alleyplan, hamlet, "--only", "lamps", "--set", "lamps.n_lamps=1")
    assert "n_lamps" in said
    assert "2" in said


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("lamps.n_lamp=1", "did you mean n_lamps"),
        ("lamps.n_lamps=-1", "lamps.n_lamps"),
        ("grids.min_households=60", "must not decrease"),
        ("lamps", "section.key=value"),
        ("facility.care.candidates=sheds", "no layer of sites"),
        ("works.budget_cny=5000", "[works] is not built yet"),
    ],
)
def test_unknown_or_impossible_setting(alleyplan, tmp_path, override, expected):
    assert expected in _refused(alleyplan, _hamlet(tmp_path / "h"), "--set", override)


def test_unknown_part(alleyplan, tmp_path):
    assert "benches" in _refused(alleyplan, _hamlet(tmp_path / "h"), "--only", "benches")


def test_folder_that_is_not_there(alleyplan, tmp_path):
    done = alleyplan("plan", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_input_is_never_written_over(alleyplan, tmp_path):
    folder = _hamlet(tmp_path / "hamlet")
    (folder / "summary.json").write_text("{}")
    before = _hashes(folder)
    for out in (folder, tmp_path):
        done = alleyplan("plan", folder, "--out", out)
        assert done.returncode == 2
        assert "holds" in done.stderr
    assert _hashes(folder) == before


def test_strict_turns_a_fault_into_exit_1_and_writes_nothing(alleyplan, tmp_path):
    hamlet = _hamlet(tmp_path / "h", households=_households())
    loose = alleyplan("plan", hamlet, "--only", "grids", "--out", tmp_path / "loose")
    assert loose.returncode == 0, loose.stderr
    assert "fault" in loose.stderr
    strict = alleyplan("plan", hamlet, "--only", "grids", "--out", tmp_path / "strict", "--strict")
    assert strict.returncode == 1
    assert not (tmp_path / "strict").exists()


def test_check_plans_nothing_and_tells_faults_by_its_exit_code(alleyplan, tmp_path):
    few = ("--json", "--set", "lamps.n_lamps=3", "--set", "boards.n_boards=3")
    sound = alleyplan("check", _hamlet(tmp_path / "sound"), *few, cwd=tmp_path)
    assert sound.returncode == 0, sound.stderr
    assert json.loads(sound.stdout)["rows"]["households"] == 40
    faulty = _hamlet(tmp_path / "faulty", households=_households(households=[0, 1, 1]))
    found = alleyplan("check", faulty, *few, cwd=tmp_path)
    assert found.returncode == 2
    assert [each["ids"] for each in json.loads(found.stdout)["faults"]] == [["H1"]]
    assert sorted(os.listdir(tmp_path)) == ["faulty", "sound"]


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_ends_with_130_and_leaves_the_earlier_plan(tmp_path, signal_):
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text("the earlier plan")
    command = [sys.executable, "-m", "spatial", "plan", str(SHANNAN), "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        while "network" not in process.stderr.readline():
            pass
        process.send_signal(signal_)
        said = process.stderr.read()
    assert process.returncode == 130
    assert "stopped" in said
    assert "Traceback" not in said
    assert os.listdir(tmp_path) == ["out"]
    assert (out / "summary.json").read_text() == "the earlier plan"


def test_check_shows_where_each_remark_is(alleyplan, tmp_path):
    done = alleyplan("check", SHANNAN, "--out", tmp_path / "check")
    assert done.returncode == 0, done.stderr
    notes = json.loads((tmp_path / "check" / "check.json").read_text(encoding="utf-8"))["notes"]
    joined = next(each for each in notes if each["code"] == "ends-joined")
    points = gpd.read_file(tmp_path / "check" / "check.gpkg", layer="remarks")
    assert sorted(points.loc[points["code"] == "ends-joined", "id"]) == joined["ids"]
    assert points.crs == CRS


def test_audit_tells_what_it_recounted(shannan_plan, alleyplan):
    done = alleyplan("audit", shannan_plan, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["agrees"], told["differences"]) == (0, True, [])
    assert told["recounted"]["lamps"]["n_chosen"] == 150
    assert "recounted boards: n_chosen 20" in alleyplan("audit", shannan_plan).stderr


def _edit(table: str, column: str, value: object) -> Callable[[Path], None]:
    return lambda folder: set_cell(folder, table, column, value, "fid = 7")


def _move_a_lamp(folder: Path) -> None:
    move_rows(folder, "lamps", lambda points: points.where(points.index != 7, points.translate(0.5, 0)))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_edit("households", "grid_id", 19), "grid_id"),
        (_move_a_lamp, "lamps"),
        (_edit("alleys", "length_m", 12.5), "alleys.length_m"),
        (_edit("grids", "households", 41), "grids.households"),
    ],
)
def test_audit_ends_with_1_and_names_what_was_changed(shannan_plan, alleyplan, tmp_path, change, named):
    copy = Path(shutil.copytree(shannan_plan, tmp_path / "copy"))
    change(copy)
    done = alleyplan("audit", copy)
    assert done.returncode == 1
    assert named in "".join(line for line in done.stderr.splitlines() if line.startswith("fault: "))


def test_audit_ends_with_1_where_a_fault_was_dropped(alleyplan, tmp_path):
    hamlet = _hamlet(tmp_path / "h", households=_households())
    assert alleyplan("plan", hamlet, "--only", "grids", "--out", tmp_path / "plan").returncode == 0
    assert alleyplan("audit", tmp_path / "plan").returncode == 0
    change_summary(tmp_path / "plan", lambda summary: summary.update(faults=[]))
    done = alleyplan("audit", tmp_path / "plan")
    assert done.returncode == 1
    assert "no fault says so" in done.stderr


# ── real places ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.real
def test_kotka_is_planned_and_its_cut_off_parts_are_faults(alleyplan, kotka_plan):
    summary = json.loads((kotka_plan / "summary.json").read_text(encoding="utf-8"))
    faulty = [each for each in summary["faults"] if each["code"] == "grid-infeasible"]
    states = [each["state"] for each in summary["grids"]["parts"]]
    assert len(faulty) == states.count("infeasible") > 0
    assert "undecided" not in states
    assert all(each["remedy"] for each in faulty)
    audit = alleyplan("audit", kotka_plan)
    assert audit.returncode == 0, audit.stderr


@pytest.mark.real
@pytest.mark.long
def test_kotkas_orders_and_curve_are_as_close_as_is_promised(alleyplan, place, tmp_path):
    quick = ("--only", "lamps", "--set", "work.effort=quick", "--json")
    done = alleyplan("plan", place("kotka-finland"), "--out", tmp_path / "plan", *quick)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)["summary"]
    told = {each["code"] for kind in ("faults", "doubts") for each in summary[kind]}
    assert not told & {"order-short", "curve-loose"}


@pytest.mark.real
@pytest.mark.parametrize(
    ("share", "n_lamps"),
    [pytest.param(1, 1500, marks=pytest.mark.long, id="whole"), pytest.param(0.3, 100, id="south-west")],
)
def test_aleppo_without_candidates_gets_lamps_and_a_gap(alleyplan, place, tmp_path, share, n_lamps):
    """``share`` of its width and of its height, from the south-west."""
    alleys = gpd.read_file(place("aleppo-old-city-streets") / "aleppo-old-city-streets.gpkg", layer="alleys")
    west, south, east, north = alleys.total_bounds
    inside = shapely.box(west, south, west + share * (east - west), south + share * (north - south))
    (tmp_path / "aleppo").mkdir()
    alleys[alleys.within(inside)].to_file(tmp_path / "aleppo" / "alleys.gpkg")
    sparse = ("--set", "sites.spacing_m=30", "--set", "work.effort=quick")
    lamps_only = ("--only", "lamps", "--set", f"lamps.n_lamps={n_lamps}", *sparse)
    done = alleyplan("plan", tmp_path / "aleppo", "--out", tmp_path / "plan", *lamps_only, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)["summary"]
    assert "lamp-sites-made" in [each["code"] for each in summary["notes"]]
    assert summary["lamps"]["n_chosen"] == n_lamps
    assert 0 <= summary["lamps"]["gap"] < 0.001
    assert "(gap 0" in done.stderr
    assert alleyplan("audit", tmp_path / "plan").returncode == 0


@pytest.mark.real
def test_kathmandu_without_alleys_is_refused(alleyplan, place, tmp_path):
    done = alleyplan("plan", place("kathmandu-ward7"), "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "alleys" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.real
def test_nanshan_with_main_roads_only_is_refused(alleyplan, place, tmp_path):
    done = alleyplan("plan", place("nanshan-shenzhen"), "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "alleys" in done.stderr
