"""Poster, decision sheet and plates: what they say, in which typeface, and what they never say.

Reading a PDF back needs Debian's ``poppler-utils``. Without them those tests are skipped with one line,
unless ``ALLEYPLAN_REQUIRE_BROWSER=1`` makes their absence a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import shapely
from python_calamine import CalamineWorkbook
from shapely.geometry import Point

from spatial.errors import DataError
from spatial.report import fonts, write_report, write_tables
from spatial.report.figures import percent
from spatial.settings import Settings
from tests.conftest import ROOT
from tests.drawn_plan import CANARIES, drawn_plan

NO_POPPLER = "PDF files are read back with Debian's poppler-utils, which are not installed"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything of the drawn plan, plates too."""
    folder = tmp_path_factory.mktemp("report")
    write_report(drawn_plan(alley="$大井_{巷}$"), folder, plates=True)
    return folder


def _poppler(tool: str, *words: object) -> str:
    if shutil.which(tool) is None:
        if os.environ.get("ALLEYPLAN_REQUIRE_BROWSER") == "1":
            pytest.fail(NO_POPPLER)
        pytest.skip(NO_POPPLER)
    return subprocess.run([tool, *map(str, words)], capture_output=True, text=True, check=True).stdout


def _text(path: Path) -> str:
    """All text of a PDF without spaces, which depend on how far words stand apart."""
    return re.sub(r"\s", "", _poppler("pdftotext", "-layout", path, "-"))


def test_the_poster_says_what_is_planned_and_what_is_proved(drawn: Path):
    text = _text(drawn / "poster.pdf")
    for said in (
        "山南社区网格与路灯规划图", "2026年3月1日", "27%", "巷道亮灯", "60米，今天14%",
        "已证明最优，同样条件最多60米",
        "盏新路灯", "个网格", "集合点", "EPSG:4548", "山南小学", "$大井_{巷}$",
    ):  # fmt: skip
        assert said in text


def test_the_poster_is_one_a3_sheet_and_plates_one_a4_sheet_per_grid(drawn: Path):
    about = {name: _poppler("pdfinfo", drawn / name) for name in ("poster.pdf", "decision.pdf", "plates.pdf")}
    sheets = {name: int(re.search(r"Pages:\s+(\d+)", each)[1]) for name, each in about.items()}  # type: ignore[index]
    sizes = {name: re.search(r"Page size:\s+([\d.]+) x ([\d.]+)", each) for name, each in about.items()}
    rounded = {
        name: tuple(round(float(side) / 72 * 25.4) for side in each.groups()) for name, each in sizes.items()
    }
    assert sheets == {"poster.pdf": 1, "decision.pdf": 1, "plates.pdf": 3}
    assert rounded == {"poster.pdf": (420, 297), "decision.pdf": (210, 297), "plates.pdf": (210, 297)}


@pytest.mark.parametrize("name", ["poster.pdf", "decision.pdf", "plates.pdf"])
def test_every_typeface_is_embedded_as_truetype(drawn: Path, name: str):
    rows = _poppler("pdffonts", drawn / name).splitlines()[2:]
    assert rows
    assert all("CID TrueType" in row and row.split()[-5:-2] == ["yes", "yes", "yes"] for row in rows), rows


@pytest.mark.parametrize("name", ["poster.pdf", "decision.pdf", "plates.pdf"])
def test_nothing_personal_is_on_paper(drawn: Path, name: str):
    text = _text(drawn / name)
    assert not [each for each in CANARIES if each in text]


def test_a_plate_tells_roles_and_hides_a_small_count(drawn: Path):
    first, _, third = re.split("\f", _poppler("pdftotext", "-layout", drawn / "plates.pdf", "-"))[:3]
    plain = re.sub(r"\s", "", first)
    for said in (
        "第1网格",
        "第1网格长",
        "1号网格员",
        "集合点",
        "40户",
        "新装1盏，现有0盏：L001",
        "B01$大井_{巷}$",
    ):
        assert said in plain
    last = re.sub(r"\s", "", third)
    assert "第3网格" in last
    assert not re.search(r"户数|3户", last)


def test_the_decision_sheet_stands_beside_doing_nothing(drawn: Path):
    text = _text(drawn / "decision.pdf")
    for said in (
        "今天（不做）",
        "30米（14%）",
        "60米（27%）",
        "已证明最优",
        "未划分",
        "数据中没有造价",
        "不同意",
    ):
        assert said in text


def test_the_same_plan_gives_the_same_bytes_with_any_hash_seed(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from spatial.report import write_report; "
        "from tests.drawn_plan import drawn_plan; write_report(drawn_plan(), Path(sys.argv[1]))"
    )
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "TZ": f"UTC-{seed}"}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / seed)], check=True, env=env, cwd=ROOT)
    names = sorted(each.name for each in (tmp_path / "1").iterdir())
    assert len(names) >= 3
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name


def test_without_a_chinese_font_one_message_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fonts, "FAMILIES", ("No Such Face",))
    with pytest.raises(DataError, match="apt install fonts-noto-cjk"):
        write_report(drawn_plan(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_characters_that_the_typeface_lacks_are_told(tmp_path: Path):
    _, missing = write_report(drawn_plan(alley="大井巷\U0001f600"), tmp_path)
    assert missing == ["\U0001f600"]


@pytest.mark.parametrize("only", [("grids",), ("lamps",), ("boards",)])
def test_a_plan_of_one_part_is_drawn(tmp_path: Path, only: tuple[str, ...]):
    names, _ = write_report(drawn_plan(only=only), tmp_path)
    assert {"poster.pdf", "decision.pdf"} <= set(names)


def test_a_community_without_name_and_date_is_called_by_its_folder(tmp_path: Path):
    plan = drawn_plan()
    unnamed = replace(plan, summary={**plan.summary, "settings": Settings().to_dict()})
    write_report(unnamed, tmp_path, plates=True)
    write_tables(unnamed, tmp_path / "tables.xlsx")
    assert "shannan网格与路灯规划图" in _text(tmp_path / "poster.pdf")
    rota = CalamineWorkbook.from_path(tmp_path / "tables.xlsx").get_sheet_by_name("宣传栏值班表").to_python()
    assert [row[3] for row in rota[2:]] == [f"{i}月" for i in range(1, 13)]


def test_plates_without_grids_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no grids"):
        write_report(drawn_plan(only=("lamps",)), tmp_path, plates=True)


def _with_boards(**figures: Any) -> Any:
    plan = drawn_plan()
    return replace(plan, summary={**plan.summary, "boards": {**plan.summary["boards"], **figures}})


@pytest.mark.parametrize(
    ("served", "share", "said", "hidden"),
    [
        (83, 1.0, "83户（100%）", "不足5户"),
        (80, 80 / 83, "除不足5户外都", "80户"),
        (60, 60 / 83, "60户（72%）", "不足5户"),
        (3, 3 / 83, "不足5户", "3户（"),
    ],
)
def test_few_households_are_never_counted_not_even_by_difference(
    tmp_path: Path, served: int, share: float, said: str, hidden: str
):
    write_report(_with_boards(households_served=served, share_served=share), tmp_path)
    for name in ("poster.pdf", "decision.pdf"):
        text = _text(tmp_path / name)
        assert said in text
        assert hidden not in text


@pytest.mark.parametrize(("served", "said"), [(2, "不足5"), (698, "除不足5外全部"), (300, "300/702")])
def test_few_people_served_by_a_facility_are_never_counted(tmp_path: Path, served: int, said: str):
    figures = {
        "n_existing": 1, "served": served, "demand": 702, "share_served": served / 702, "gap": 0.0,
    }  # fmt: skip
    plan = drawn_plan(only=())
    write_report(replace(plan, summary={**plan.summary, "facilities": {"日间照料": figures}}), tmp_path)
    text = _text(tmp_path / "decision.pdf")
    assert f"日间照料：在规定路程内现有1处{said}" in text
    assert "%" not in text
    assert (f"{served}/" in text) == (served == 300)


def test_nothing_stands_on_anything_else_on_the_map():
    from spatial.report.drawing import _beside

    taken: list[Any] = [shapely.box(-2, -2, 2, 2)]
    places = [_beside(0.0, 0.0, 4.0, taken) for _ in range(6)]
    assert len(taken) == 7
    assert all(one.intersection(other).area == 0 for i, one in enumerate(taken) for other in taken[:i])
    assert all(Point(place).distance(Point(0, 0)) <= 1.3 * 4 + 1e-9 for place in places)


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "0%"), (0.0001, "0.1%"), (0.5, "50%"), (0.9999, "99.9%"), (1.0, "100%"), (None, "—")],
)
def test_a_share_is_never_rounded_to_none_or_all(share: float | None, said: str):
    assert percent(share) == said
