"""Shared by the tests: the bundled township, one plan of it, and the real places beside the project."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.browser import NO_BROWSER, chromium, show
from tests.drawn_village import ALLEYS, HOUSES, geojson

__all__ = ["chromium", "show"]  # fixtures

# The same examples on every machine, however slow: a test that fails once fails again.
settings.register_profile(
    "everywhere", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("everywhere")

ROOT = Path(__file__).parent.parent
SHANNAN = ROOT / "data" / "raw" / "shannan"
PLACES = ROOT.parent / "shared" / "data"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line where the browser tests were skipped, also when the tests run in several processes."""
    if any(NO_BROWSER in str(each.longrepr) for each in terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(NO_BROWSER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a whole plan comes last: by then each process has compiled most of what plans one."""
    items.sort(key=lambda each: bool({"shannan_plan", "kotka_plan"} & set(getattr(each, "fixturenames", ()))))


@pytest.fixture(scope="session")
def place() -> Callable[[str], Path]:
    """A real place by its folder's name; the test is skipped where the places are not beside the project."""

    def find(name: str) -> Path:
        folder = PLACES / name
        if not folder.exists():
            pytest.skip(
                f"{name} is not here: the real places lie beside a developer's checkout in shared/data"
            )
        return folder

    return find


@pytest.fixture
def lanes(tmp_path: Path) -> Path:
    """A folder with two alleys and nothing else."""
    folder = tmp_path / "village"
    folder.mkdir()
    geojson(folder, "alleys", ALLEYS)
    return folder


@pytest.fixture
def village(lanes: Path) -> Path:
    """A folder with two alleys and three houses, nothing to complain about."""
    geojson(lanes, "households", HOUSES)
    return lanes


@pytest.fixture(scope="session")
def alleyplan() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real command in a process of its own."""

    def run(*words: object, cwd: Path = ROOT, **more: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "spatial", *map(str, words)]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **more)

    return run


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A folder that `make(folder)` writes once for every process of a test run: read it, never change it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
    shared.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / name
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                make(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def shannan_plan(once: Callable[..., Path], alleyplan: Callable[..., object]) -> Path:
    """A written plan of the bundled township; read it, copy it, never change it."""

    def make(out: Path) -> None:
        done = alleyplan("plan", SHANNAN, "--out", out)
        assert done.returncode == 0, done.stderr

    return once("shannan", make)


@pytest.fixture(scope="session")
def kotka_plan(
    once: Callable[..., Path], alleyplan: Callable[..., object], place: Callable[..., Path]
) -> Path:
    """A written plan of a real town of 3,000 households; read it, copy it, never change it."""
    folder = place("kotka-finland")

    def make(out: Path) -> None:
        sparse = ("--set", "work.effort=quick", "--set", "sites.spacing_m=25")
        done = alleyplan("plan", folder, "--out", out, *sparse)
        assert done.returncode == 0, done.stderr

    return once("kotka", make)
