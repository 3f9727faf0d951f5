"""A plan folder appears in one step: the old plan or the new one, never neither, never a mixture."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spatial.errors import DataError
from spatial.plan import read_plan, write_plan
from spatial.publish import amending, publishing, replace_file


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


def test_failing_block_removes_the_folders_that_were_made_for_it_and_no_others(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(KeyError), publishing(tmp_path / "mine" / "processed" / "deep" / "plan"):
        raise KeyError("stopped in the middle")
    assert [each.name for each in tmp_path.rglob("*")] == ["mine"]
    with pytest.raises(KeyError), publishing(tmp_path / "mine" / "processed" / "deep" / "plan"):
        (tmp_path / "mine" / "processed" / "notes.txt").write_text("came meanwhile")
        raise KeyError("stopped in the middle")
    assert [each.name for each in (tmp_path / "mine").rglob("*")] == ["processed", "notes.txt"]


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
from spatial.publish import publishing
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


def test_stop_while_the_plan_appears_leaves_one_whole_plan(tmp_path):
    out = tmp_path / "plan"
    with subprocess.Popen([sys.executable, "-c", _ENDLESS, str(out)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
    first, second = _content(out)
    assert first == second
    assert os.listdir(tmp_path) == ["plan"]


_RIVAL = """
import sys
from pathlib import Path
from spatial.errors import DataError
from spatial.publish import publishing
done = 0
while done < 60:
    try:
        with publishing(Path(sys.argv[1])) as folder:
            for name in ("summary.json", "other"):
                (folder / name).write_text(sys.argv[2])
        done += 1
    except DataError as error:
        assert "busy" in str(error), error
"""


def test_rivals_never_touch_what_another_writes(tmp_path):
    out = tmp_path / "plan"
    rivals = [subprocess.Popen([sys.executable, "-c", _RIVAL, str(out), name]) for name in ("one", "two")]
    assert [each.wait() for each in rivals] == [0, 0]
    first, second = _content(out)
    assert first == second
    assert os.listdir(tmp_path) == ["plan"]


def test_amending_keeps_what_it_does_not_change(tmp_path):
    out = tmp_path / "plan"
    _publish(out, "old")
    with amending(out) as folder:
        (folder / "other").write_text("new")
    assert _content(out) == ["old", "new"]
    with pytest.raises(KeyError), amending(out) as folder:
        (folder / "other").write_text("half")
        raise KeyError("stopped in the middle")
    assert _content(out) == ["old", "new"]


@contextmanager
def _disk_of(n_bytes: int) -> Iterator[None]:
    """No file can grow beyond ``n_bytes``: what a full disk looks like to those who write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kilobytes", [0, 5, 60, 300])
def test_full_disk_leaves_the_old_plan(shannan_plan, tmp_path, kilobytes):
    plan, out = read_plan(shannan_plan), tmp_path / "plan"
    _publish(out, "old")
    full = pytest.raises(DataError, match=r"plan could not be written: .*nothing")
    with full, _disk_of(1000 * kilobytes), publishing(out) as folder:
        write_plan(plan, folder)
    assert _content(out) == ["old", "old"]
    assert os.listdir(tmp_path) == ["plan"]


def test_full_disk_is_never_overlooked(shannan_plan, tmp_path):
    """GDAL keeps quiet about a spatial index for which there was no room."""
    plan = read_plan(shannan_plan)
    write_plan(plan, tmp_path)
    whole = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    for part in range(90, 100, 2):
        for each in tmp_path.iterdir():
            each.unlink()
        with _disk_of(len(whole["site.gpkg"]) * part // 100), pytest.raises(OSError):
            write_plan(plan, tmp_path)


def test_file_is_replaced_whole_or_not_at_all(tmp_path):
    page = tmp_path / "maps" / "page.html"
    replace_file(page, "old")
    with _disk_of(100), pytest.raises(DataError, match="could not be written"):
        replace_file(page, "new" * 1000)
    assert page.read_text() == "old"
    assert os.listdir(page.parent) == ["page.html"]
    with _disk_of(0), pytest.raises(DataError, match="could not be written"):
        replace_file(tmp_path / "new" / "page.html", "new")
    assert os.listdir(tmp_path) == ["maps"]


def test_place_that_can_not_be_written_is_told():
    with pytest.raises(DataError, match=r"can't be written: .* choose another --out"):
        _publish(Path("/proc/alleyplan/plan"), "new")
