"""Two hundred spoilt folders and the real command: one clear message, nothing written, nothing touched.

A fixed sample of the cases runs by default, all of them with ``make test-all``.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import tests.corpus_maps
import tests.corpus_office  # noqa: F401 - adds its cases
from tests.corpus import CANARY, CASES, PORT_FILE, Case, make_kit, make_township

ROOT = Path(__file__).parent.parent
N_SAMPLE = 30
#: What a driver, a library or an accident says; none of it is ours.
NOISE = re.compile(
    r"Traceback|Warning\b|ERROR \d|CPLE_|rasterio\._|pyogrio\.|shapely\.|sqlite3\.|\.py\", line"
)
MOST_MB = 1000
MOST_CPU_S = 12.0  # of one refusal, on a machine that does other things
MEDIAN_CPU_S = 3.0


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    exit: int
    out: str
    err: str
    cpu_s: float
    peak_mb: float


def run(*words: object, cwd: Path) -> Done:
    """Run the real command within limits of memory and time, with no input and nowhere to call."""

    def limits() -> None:  # runs in the child alone
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        signal.alarm(300)

    command = [sys.executable, "-m", "spatial", *map(str, words)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    with (cwd / "out.txt").open("w+b") as out, (cwd / "err.txt").open("w+b") as err:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            preexec_fn=limits,  # noqa: PLW1509
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for each in (out, err):
            each.seek(0)
            texts.append(each.read().decode("utf-8"))
    return Done(child.returncode, *texts, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@pytest.fixture(scope="session")
def calls() -> Iterator[tuple[int, list[object]]]:
    """A listener on this machine and whoever called it: hostile files point to it."""
    called: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, who = server.accept()
                except OSError:
                    return
                called.append(who)
                connection.close()

        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1], called


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sound township and its households in every format."""
    folder = tmp_path_factory.mktemp("corpus")
    make_township(folder / "shannan")
    make_kit(folder / "shannan", folder / "kit")
    return folder


@pytest.fixture
def place(material: Path, calls: tuple[int, list[object]], tmp_path: Path) -> Iterator[Path]:
    """A folder to spoil, a secret beside it; in the end nobody has called."""
    port, called = calls
    before = len(called)
    shutil.copytree(material / "shannan", tmp_path / "shannan")
    (tmp_path / "kit").symlink_to(material / "kit")
    (tmp_path / "secret.geojson").write_text(f'{{"type": "{CANARY}"}}')
    (tmp_path / PORT_FILE).write_text(str(port))
    yield tmp_path
    assert len(called) == before


def state(folder: Path) -> dict[str, object]:
    """Every entry with its kind, size, time and content."""
    found: dict[str, object] = {}
    for each in sorted(folder.iterdir()):
        about = each.lstat()
        small = each.is_file() and not each.is_symlink() and about.st_size < 200_000_000
        digest = hashlib.sha256(each.read_bytes()).hexdigest() if small else None
        found[each.name] = (about.st_mode, about.st_size, about.st_mtime_ns, digest)
    return found


def spoilt(case: Case, place: Path) -> Path:
    folder = place / "shannan"
    case.spoil(folder, random.Random(case.name))
    return folder


def judge(case: Case, done: Done, *, told: str) -> None:
    """What holds of every answer."""
    assert done.exit in ((0, 2) if case.exit is None else (case.exit,)), done.err[-2000:]
    assert not NOISE.search(done.err), done.err[-2000:]
    assert CANARY not in done.out + done.err
    assert "\x1b" not in done.out + done.err
    assert [each for each in case.says if each not in told] == [], told[-2000:]
    assert done.peak_mb <= MOST_MB
    if done.exit == 2:
        assert done.cpu_s <= MOST_CPU_S


def checked(case: Case, place: Path) -> Done:
    folder = spoilt(case, place)
    before = state(folder)
    done = run("check", folder, "--json", "--out", place / "found", *case.words, cwd=place)
    remarks = []
    if done.out:
        report = json.loads(done.out)
        remarks = [each for kind in ("faults", "doubts", "notes") for each in report[kind]]
    judge(
        case,
        done,
        told=done.err
        + "".join(f"{e['layer']}.{e['column']}: {e['message']} {e['ids']} {e['remedy']}" for e in remarks),
    )
    if case.code:
        assert case.code in [each["code"] for each in remarks], remarks
    assert not list(place.glob(".found*"))
    assert not (place / "found").exists() or (place / "found" / "check.json").is_file()
    assert state(folder) == before
    return done


def planned(case: Case, place: Path) -> Done:
    """A refusal of ``plan`` writes nothing; what can be planned is left to other tests."""
    folder = spoilt(case, place)
    before = state(folder)
    done = run("plan", folder, "--only", "boards", "--out", place / "plan", *case.words, cwd=place)
    judge(case, done, told=done.err)
    assert (place / "plan" / "summary.json").is_file() == (done.exit == 0)
    assert (place / "plan").exists() == (done.exit == 0)
    assert not list(place.glob(".plan*"))
    assert state(folder) == before
    return done


def in_sample(case: Case) -> bool:
    return case in sorted(CASES, key=lambda each: hashlib.sha256(each.name.encode()).hexdigest())[:N_SAMPLE]


def _marked(case: Case, *, by_default: bool) -> object:
    return pytest.param(case, id=case.name, marks=() if by_default else pytest.mark.long)


def _bit(case: Case) -> bool:
    return hashlib.sha256(case.name.encode()).digest()[-1] % 2 == 0


def test_every_case_has_a_name_of_its_own():
    assert len(CASES) >= 200
    assert len({each.name for each in CASES}) == len(CASES)


@pytest.mark.parametrize("case", [_marked(each, by_default=in_sample(each) and _bit(each)) for each in CASES])
def test_check_tells_what_is_wrong(case: Case, place: Path):
    checked(case, place)


@pytest.mark.parametrize(
    "case",
    [_marked(each, by_default=in_sample(each) and not _bit(each)) for each in CASES if each.exit != 0],
)
def test_a_plan_that_is_refused_leaves_nothing(case: Case, place: Path):
    planned(case, place)


def test_a_refusal_takes_seconds(material: Path, calls: tuple[int, list[object]], tmp_path: Path):
    """The median of a few, in seconds of work: a machine may be busy with other things."""
    spent = []
    for case in [
        each
        for each in CASES
        if each.name in ("id-twice", "no-alleys", "crs-missing", "cut.gpkg-0.6", "settings-digits")
    ]:
        place = tmp_path / case.name
        shutil.copytree(material / "shannan", place / "shannan")
        (place / "kit").symlink_to(material / "kit")
        spent.append(planned(case, place).cpu_s)
    assert statistics.median(spent) <= MEDIAN_CPU_S
