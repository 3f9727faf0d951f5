# ruff: noqa: E501 - the cases are tables, one a line
"""Plan folders as another program, a bad disk or an ill wind leave them: a right answer or one refusal.

Every command that reads a plan folder goes through the same readers, so that these are tried on a small
plan, and the real commands on a few of the cases.
"""

from __future__ import annotations

import io
import json
import math
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatial.audit import audit_plan
from spatial.compare import compare_plans, comparison_lines
from spatial.earlier import kept_codes, read_earlier
from spatial.errors import DataError
from spatial.load.folder import read_arrays, read_summary
from spatial.maps import comparison_page, planner_page, residents_pages
from spatial.plan import Plan, read_plan
from spatial.report.figures import costs, decision_rows, key_figures
from spatial.schema import PLAN_LAYERS, SUMMARY
from tests.drawn_folder import write_drawn_folder
from tests.tampering import change_summary

MARKUP = "</script><script>alert(1)</script>\u202e\x1b[2J=1+1"
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound plan folder; never changed."""
    return write_drawn_folder(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def sound(drawn: Path) -> Plan:
    return read_plan(drawn)


@pytest.fixture
def copy(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "plan"))


def use(folder: Path, sound: Plan) -> dict[str, bool]:
    """Which of all uses of a plan folder were refused; anything but our own error comes through."""
    refused = {}
    for name, do in (("shown", lambda: show(read_plan(folder), sound)), ("kept", lambda: keep(folder)),
                     ("audited", lambda: audit_plan(folder))):  # fmt: skip
        try:
            do()
            refused[name] = False
        except DataError as error:
            assert 0 < len(str(error)) < 8_000
            refused[name] = True
    return refused


def show(plan: Plan, sound: Plan) -> None:
    found = compare_plans(plan, sound)
    lines = "\n".join(line for each in comparison_lines(found) for line in each)
    pages = [planner_page(plan, comparison=found), *residents_pages(plan).values()]
    pages.append(comparison_page(plan, sound, found))
    json.dumps(found, allow_nan=False)
    assert not any("<script>alert" in each for each in pages)
    assert len(lines) < 1_000_000
    key_figures(plan), decision_rows(plan), costs(plan)


def keep(folder: Path) -> None:
    earlier = read_earlier(folder)
    assert earlier.digits >= 2
    assert earlier.next_id >= 1
    for each in (earlier.lamps, earlier.boards):
        kept_codes(each["code"], each[["x", "y"]].to_numpy(dtype=np.float64), each)


def summary_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "summary.json").read_text(encoding="utf-8")))


# ── summary.json ─────────────────────────────────────────────────────────────────────────────────────


def test_what_plan_writes_is_shown_kept_and_audited(drawn: Path, sound: Plan):
    assert use(drawn, sound) == {"shown": False, "kept": False, "audited": False}
    assert audit_plan(drawn) == ()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("lamps.lit_m", "many", 'lamps.lit_m must be a number from 0, not "many"'),
        ("lamps.lit_m", None, "lamps.lit_m must be a number from 0, not null"),
        ("lamps.share_lit", 1.5, "lamps.share_lit must be a number from 0 to 1, not 1.5"),
        ("lamps.n_chosen", -1, "lamps.n_chosen must be a whole number from 0, not -1"),
        ("lamps.n_chosen", True, "lamps.n_chosen must be a whole number from 0, not true"),
        ("lamps.bound_m", math.nan, "NaN is no number"),
        ("grids.bound_m", 10**30, "grids.bound_m is no number that a plan could hold"),
        ("grids", [1], "grids must be a table or null"),
        ("grids.parts", [{"part": 1, "households": "3", "k": 1}], "grids.parts must be tables"),
        ("boards.bound_by", {"a": 1}, "boards.bound_by must be text"),
        ("facilities", {"care": 3}, "facilities.care must be a table or null"),
        ("notes", {"a": 1}, "notes must be a list"),
        ("faults", [{"code": "x", "message": "y", "ids": [1]}], "faults 1.ids must be text"),
        ("community", None, "community must be a table of text"),
        ("community.name", "\ud800", "characters, or half of one"),
        ("community.name", "x" * 200_000, "holds more than 100,000 characters"),
        ("plan_id", "../../x", "plan_id must be twelve digits"),
        ("crs", 4548, "crs must be text"),
        ("kept", "yes", "kept must be null or a table"),
        ("inputs", [{"file": 1}], "inputs must be a list of tables"),
        ("settings.lamps.reach_m", "far", "lamps.reach_m"),
        ("settings.nowhere", 1, "nowhere"),
        ("settings", None, "it has no settings"),
    ],
)
def test_a_value_that_is_none_of_the_contract_is_named(copy: Path, key: str, value: Any, told: str):
    def change(summary: dict[str, Any]) -> None:
        *above, last = key.split(".")
        for each in above:
            summary = summary[each]
        summary[last] = value

    change_summary(copy, change)
    with pytest.raises(DataError) as refused:
        read_plan(copy)
    assert told in str(refused.value)
    assert "summary.json" in str(refused.value)
    assert "plan again" in str(refused.value)


def test_every_missing_key_is_named_at_once(copy: Path):
    def change(summary: dict[str, Any]) -> None:
        del summary["doubts"], summary["lamps"]["lit_m"], summary["boards"]["gap"]

    change_summary(copy, change)
    with pytest.raises(DataError) as refused:
        read_plan(copy)
    for each in ("doubts is missing", "lamps.lit_m is missing", "boards.gap is missing"):
        assert each in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000,
        b'{"settings": {}, "x": ' + b"[" * 500 + b"]" * 500 + b"}", b'{"settings": ' + b"9" * 5000 + b"}",
        b'{"settings": {}, "x": [' + b"[]," * 14_000_000 + b"[]]}",
    ],
    ids=range(10),
)  # fmt: skip
def test_a_summary_that_is_none_is_refused(copy: Path, sound: Plan, content: bytes):
    (copy / "summary.json").write_bytes(content)
    assert use(copy, sound) == {"shown": True, "kept": True, "audited": True}


@pytest.mark.parametrize("kind", ["null", "nothing", "huge", "markup"])
def test_figures_at_the_edge_of_the_contract_are_shown(copy: Path, sound: Plan, kind: str):
    def edge(dtype: str, value: Any, *, empty: bool) -> Any:
        if dtype == "text":
            return MARKUP if kind == "markup" else value
        if dtype == "list" or kind == "markup":
            return value
        return {"null": None if empty else value, "nothing": 0, "huge": 1 if dtype == "share" else 10**15}[
            kind
        ]

    def change(summary: dict[str, Any]) -> None:
        for section in ("grids", "lamps", "boards"):
            for name, figure in SUMMARY[section].items():
                summary[section][name] = edge(figure.dtype, summary[section][name], empty=figure.empty)
        told = dict.fromkeys(("code", "column", "message", "remedy"), MARKUP)
        for each in ("notes", "doubts", "faults"):
            summary[each].append({**told, "layer": "lamps", "ids": [MARKUP], "n": 1} if kind == "markup" else {
                **dict.fromkeys(told, ""), "layer": "", "ids": [], "n": 0})  # fmt: skip

    change_summary(copy, change)
    assert not use(copy, sound)["shown"]


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield from leaves(each, (*at, key))


anything = st.sampled_from(
    [
        None,
        "",
        MARKUP,
        -1,
        0,
        0.5,
        1e308,
        10**40,
        math.nan,
        math.inf,
        True,
        [],
        {},
        [None],
        {"a": 1},
        "\ud800",
    ]
)


def _one_leaf_changed(drawn: Path, sound: Plan, place: Path, chance: float, value: Any) -> None:
    summary = summary_of(drawn)
    paths = list(leaves(summary))
    *above, last = paths[int(chance * len(paths))]
    inside = summary
    for each in above:
        inside = inside[each]
    inside[last] = value
    folder = Path(shutil.copytree(drawn, place / "plan", dirs_exist_ok=True))
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    use(folder, sound)


changes = {"chance": st.floats(0, 1, exclude_max=True), "value": anything}
few = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
many = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


@few
@given(**changes)
def test_any_value_in_the_summary_is_shown_or_refused(
    drawn: Path, sound: Plan, tmp_path: Path, chance: float, value: Any
):
    _one_leaf_changed(drawn, sound, tmp_path, chance, value)


@pytest.mark.long
@many
@given(**changes)
def test_any_value_in_the_summary_is_shown_or_refused_at_length(
    drawn: Path, sound: Plan, tmp_path: Path, chance: float, value: Any
):
    _one_leaf_changed(drawn, sound, tmp_path, chance, value)


# ── plan.gpkg and site.gpkg ──────────────────────────────────────────────────────────────────────────


def blob(shape: Any) -> bytes:
    return b"GP\0\1" + struct.pack("<i", 4548) + bytes(shapely.to_wkb(shape))


def sql(*statements: str, file: str = "plan.gpkg", values: tuple[Any, ...] = ()) -> Change:
    """Statements on a database, the ``values`` for the last; the counts beside the tables stay right."""

    def change(folder: Path) -> None:
        with closing(sqlite3.connect(folder / file)) as base:
            for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                base.execute(f'DROP TRIGGER "{name}"')
            for each in statements[:-1]:
                base.execute(each)
            base.execute(statements[-1], values)
            for (name,) in base.execute("SELECT table_name FROM gpkg_contents").fetchall():
                count = f'(SELECT count(*) FROM "{name}")'
                base.execute(
                    f"UPDATE gpkg_ogr_contents SET feature_count = {count} WHERE table_name = ?", (name,)
                )
            base.commit()

    return change


NOWHERE = shapely.Point(math.nan, 1.0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (sql("UPDATE lamps SET geom = NULL WHERE fid = 1"), "lamps: 1 rows"),
        (sql("UPDATE lamps SET geom = ?", values=(blob(NOWHERE),)), "lamps: 3 rows are nowhere"),
        (sql("UPDATE boards SET geom = ?", values=(blob(shapely.Point(1e300, 0)),)), "boards: 1 rows are nowhere"),
        (sql("UPDATE lamps SET geom = ?", values=(blob(shapely.LineString([(0, 0), (1, 1)])),)), "no Point"),
        (sql("UPDATE households SET geom = 'text' WHERE fid = 1"), "households"),
        (sql("UPDATE gpkg_geometry_columns SET srs_id = 4326 WHERE table_name = 'grids'"), "grids: the layer has"),
        (sql("ALTER TABLE lamps DROP COLUMN lamp_code"), "lamps: columns are"),
        (sql("DELETE FROM gpkg_contents WHERE table_name = 'zones'"), "zones: plan.gpkg does not have the layer"),
        (sql("DELETE FROM grids"), "grids: plan.gpkg has no row of it"),
        (sql("UPDATE boards SET site_id = NULL"), "boards.site_id: 1 rows share it with another or have none"),
        (sql("UPDATE households SET household_id = 'H1'"), "households.household_id part"),
        (sql("UPDATE lamps SET height_m = 9e999"), "lamps.height_m: 3 rows hold a number that no plan could"),
        (sql("UPDATE lamps SET rank = 'first'"), "lamps) holds a value of another type"),
        (sql("DELETE FROM alleys", file="site.gpkg"), "alleys: site.gpkg has no row of it"),
        (sql("UPDATE alleys SET geom = NULL", file="site.gpkg"), "alleys: 2 rows are nowhere"),
        (sql("UPDATE households SET household_id = 'H1'", file="site.gpkg"), "households.household_id"),
        (sql("UPDATE site SET community = '../../evil'", file="site.gpkg"), "names no community"),
        (sql("UPDATE site SET community = x'00ff'", file="site.gpkg"), "names no community"),
        (sql("UPDATE site SET crs = 'EPSG:4326'", file="site.gpkg"), "is not in metres"),
        (sql("UPDATE site SET crs = 'nowhere'", file="site.gpkg"), "nowhere"),
        (sql("DELETE FROM site", file="site.gpkg"), "does not say which community"),
    ],
    ids=range(21),
)  # fmt: skip
def test_layers_that_are_none_of_a_plan_are_refused(copy: Path, change: Change, told: str):
    change(copy)
    with pytest.raises(DataError) as refused:
        read_plan(copy)
    assert told in str(refused.value)


def test_markup_in_every_text_stays_text(copy: Path, sound: Plan):
    for layer in PLAN_LAYERS.values():
        texts = [each.name for each in layer.columns if each.dtype == "text" and each.name not in layer.key]
        texts = [each for each in texts if not each.endswith(("_id", "status", "kind"))]
        if texts and layer.name not in ("facilities", "facility_walks"):
            sql(f"UPDATE {layer.name} SET " + ", ".join(f'"{each}" = ?' for each in texts),
                values=(MARKUP,) * len(texts))(copy)  # fmt: skip
    assert not use(copy, sound)["shown"]


def _one_cell_changed(drawn: Path, sound: Plan, place: Path, seed: int) -> None:
    chance = random.Random(seed)
    folder = place / "plan"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(drawn, folder)
    file = chance.choice(("plan.gpkg", "plan.gpkg", "site.gpkg"))
    with closing(sqlite3.connect(folder / file)) as base:
        tables = [each for (each,) in base.execute("SELECT table_name FROM gpkg_contents")]
        table = chance.choice([each for each in tables if each not in ("layer_styles", "site")])
        columns = [row[1] for row in base.execute(f"PRAGMA table_info({table})") if row[1] != "fid"]
    column = chance.choice(columns)
    shapes = [None, b"", b"GP", blob(NOWHERE), blob(shapely.Point()), blob(shapely.box(0, 0, 1, 1)),
              blob(shapely.MultiPolygon([shapely.box(5e5, 3.5e6, 5e5 + 9, 3.5e6 + 9)]))]  # fmt: skip
    values = [None, "x", MARKUP, -1, 0, 0.5, 1e308, math.inf, 99_999, 10**17, "", b"\xff\xfe", "x" * 10_000]
    value = chance.choice(shapes if column == "geom" else values)
    where = chance.choice(("", " WHERE fid = 1"))
    statement = chance.choice(
        [f'UPDATE {table} SET "{column}" = ?{where}'] * 6 + [f"DELETE FROM {table}{where}"]
    )
    sql(statement, file=file, values=(value,) if "?" in statement else ())(folder)
    use(folder, sound)


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(n, marks=pytest.mark.long) for n in range(4, 300))]
)
def test_any_cell_of_a_layer_is_shown_or_refused(drawn: Path, sound: Plan, tmp_path: Path, seed: int):
    _one_cell_changed(drawn, sound, tmp_path, seed)


@pytest.mark.parametrize("name", ["plan.gpkg", "site.gpkg", "bounds.npz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_half_a_file_is_refused(copy: Path, sound: Plan, name: str, share: float):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError):
        read_plan(copy)
    assert use(copy, sound)["audited"]


# ── bounds.npz ───────────────────────────────────────────────────────────────────────────────────────


def npz(**arrays: Any) -> Change:
    return lambda folder: np.savez_compressed(folder / "bounds.npz", **arrays)


def pickled(folder: Path) -> None:
    np.savez(folder / "bounds.npz", free_grid=np.array([Boom()], dtype=object))


class Boom:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/alleyplan-was-here",)


def bomb(folder: Path) -> None:
    """An archive of a megabyte that unfolds to half a gigabyte."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f8", "fortran_order": False, "shape": (62_500_000,)}
    )
    packed = zipfile.ZipFile(folder / "bounds.npz", "w", zipfile.ZIP_DEFLATED)
    with packed as archive, archive.open("price_m.npy", "w") as file:
        file.write(head.getvalue())
        for _ in range(500):
            file.write(bytes(1_000_000))


def lying(folder: Path) -> None:
    """A head that promises a terabyte, and nothing behind it."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**11,)})
    with zipfile.ZipFile(folder / "bounds.npz", "w") as archive:
        archive.writestr("price_m.npy", head.getvalue())


@pytest.mark.parametrize("change", [pickled, bomb, lying])
def test_arrays_that_are_no_arrays_are_refused(copy: Path, change: Change):
    change(copy)
    with pytest.raises(DataError):
        read_arrays(copy / "bounds.npz")
    with pytest.raises(DataError):
        audit_plan(copy)
    assert not Path("/tmp/alleyplan-was-here").exists()


@pytest.mark.parametrize(
    "change",
    [
        npz(price_m=np.zeros(9)),
        npz(planned_household=np.zeros(3), planned_part=np.zeros(3, int), planned_grid=np.zeros(3, int)),
        npz(boards_price_m=np.zeros(3), boards_served_price=np.zeros(3), boards_far_price_m=np.zeros(1)),
        npz(lamps_alley=np.array([99]), lamps_from_m=np.zeros(1), lamps_to_m=np.zeros(1)),
        npz(lamps_alley=np.array([0]), lamps_from_m=np.zeros(1), lamps_to_m=np.zeros(2)),
        npz(free_grid=np.zeros((9, 2), int)),
        npz(free_grid=np.array(["x"] * 9)),
        npz(elevation=np.zeros(3), elevation_transform=np.zeros(6)),
    ],
    ids=range(8),
)
def test_arrays_of_another_shape_are_named(copy: Path, change: Change):
    change(copy)
    assert {each.layer for each in audit_plan(copy)} == {"bounds"}


# ── the folder ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["plan.gpkg", "site.gpkg", "summary.json", "bounds.npz"])
def test_a_link_is_not_followed(copy: Path, sound: Plan, name: str):
    (copy / name).rename(copy.parent / name)
    (copy / name).symlink_to(copy.parent / name)
    with pytest.raises(DataError, match="is a link"):
        read_plan(copy)
    assert use(copy, sound)["audited"]


@pytest.mark.parametrize("name", ["plan.gpkg", "site.gpkg", "summary.json", "bounds.npz"])
def test_a_pipe_holds_nobody_up(copy: Path, sound: Plan, name: str):
    (copy / name).unlink()
    os.mkfifo(copy / name)
    assert use(copy, sound)["shown"]


def test_a_summary_beyond_all_measure_is_not_read(copy: Path):
    with (copy / "summary.json").open("r+b") as file:
        file.truncate(2_000_000_000)
    with pytest.raises(DataError, match="more than any plan"):
        read_summary(copy / "summary.json")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "map.html").symlink_to("../secret"),
        lambda folder: os.mkfifo(folder / "notes"),
        pytest.param(lambda folder: (folder / "map").symlink_to("/"), marks=pytest.mark.long),
        pytest.param(lambda folder: (folder / "zero").symlink_to("/dev/zero"), marks=pytest.mark.long),
    ],
    ids=("link", "pipe", "folder", "device"),
)
def test_what_a_folder_leads_to_is_neither_read_nor_written(
    copy: Path, alleyplan: Callable[..., subprocess.CompletedProcess[str]], damage: Change
):
    secret = copy.parent / "secret"
    secret.write_text("secret")
    damage(copy)
    before = sorted(os.listdir(copy))
    done = alleyplan("map", copy, timeout=100)
    assert done.returncode == 2
    assert "take it out of the plan folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert secret.read_text() == "secret"
    assert sorted(os.listdir(copy)) == before
