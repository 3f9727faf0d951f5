"""A plan folder appears in one step: the old plan or the new one, never neither, never a mixture."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spatial.errors import DataError
from spatial.plan import publishing


def _publish(out: Path, text: str) -> None:
    with publishing(out) as folder:
        (folder / "summary.json").write_text(text)
        (folder / "other").write_text(text)


def _content(out: Path) -> list[str]:
    return [(out / name).read_text() for name in ("summary.json", "other")]


def test_new_plan_takes_the_place_of_the_old_one(tmp_path):
    out = tmp_path / "deep" / "plan"
    _publish(out, "old")
    (out / "stale").write_text("gone with the old plan")
    _publish(out, "new")
    assert _content(out) == ["new", "new"]
    assert sorted(each.name for each in out.parent.rglob("*")) == ["other", "plan", "summary.json"]


def test_failing_block_leaves_the_old_plan(tmp_path):
    out = tmp_path / "plan"
    _publish(out, "old")
    with pytest.raises(KeyError), publishing(out) as folder:
        (folder / "summary.json").write_text("half")
        raise KeyError("stopped in the middle")
    assert _content(out) == ["old", "old"]
    assert os.listdir(tmp_path) == ["plan"]


def test_folder_that_is_no_plan_is_not_overwritten(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_text("mine")
    with pytest.raises(DataError, match="holds other files than ours"):
        _publish(tmp_path / "photos", "new")
    assert os.listdir(tmp_path / "photos") == ["1.jpg"]


def test_second_run_on_the_same_folder_is_told_it_is_busy(tmp_path):
    out = tmp_path / "plan"
    with publishing(out) as folder:
        with pytest.raises(DataError, match="busy"):
            _publish(out, "second")
        (folder / "summary.json").write_text("first")
        (folder / "other").write_text("first")
    assert _content(out) == ["first", "first"]


def test_leftovers_of_a_killed_run_are_removed_by_the_next(tmp_path):
    left = tmp_path / ".plan.partial"
    left.mkdir()
    (left / "half").write_text("of a plan")
    _publish(tmp_path / "plan", "new")
    assert os.listdir(tmp_path) == ["plan"]
    assert sorted(os.listdir(tmp_path / "plan")) == ["other", "summary.json"]


def test_old_plan_comes_back_where_a_run_died_between_two_renames(tmp_path):
    _publish(tmp_path / "plan", "old")
    (tmp_path / "plan").rename(tmp_path / ".plan.old")
    with pytest.raises(KeyError), publishing(tmp_path / "plan"):
        raise KeyError("this run fails too")
    assert _content(tmp_path / "plan") == ["old", "old"]


_ENDLESS = """
import sys
from pathlib import Path
from spatial.plan import publishing
for n in range(100_000):
    with publishing(Path(sys.argv[1])) as folder:
        for name in ("summary.json", "other"):
            (folder / name).write_text(str(n))
    print(n, flush=True)
"""


@pytest.mark.parametrize("wait_s", [0.0, 0.003, 0.007, 0.011])
def test_run_killed_at_any_moment_leaves_one_whole_plan(tmp_path, wait_s):
    out = tmp_path / "plan"
    with subprocess.Popen([sys.executable, "-c", _ENDLESS, str(out)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
    first, second = _content(out)
    assert first == second
    _publish(out, "next")
    assert os.listdir(tmp_path) == ["plan"]
