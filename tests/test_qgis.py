"""plan.gpkg opens styled: each layer rendered by QGIS with the style it finds in the file.

Needs Debian's ``qgis`` and ``python3-qgis``, run by the system's own Python; without them it is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spatial.plan import write_plan
from tests.conftest import ROOT
from tests.drawn_plan import drawn_plan

PYTHON = "/usr/bin/python3"
NO_QGIS = "plan.gpkg is rendered with Debian's qgis and python3-qgis, which are not installed"

#: The colour that shows in each layer's picture, as the pages have it.
INK = {
    "grids": (91, 91, 91),
    "alleys": (107, 114, 128),
    "stretches": (242, 169, 0),
    "lamps": (242, 169, 0),
    "boards": (179, 38, 30),
}


def _outside(*words: object) -> subprocess.CompletedProcess[str]:
    """A run of the system's Python, which has its own packages and no display."""
    env = {key: each for key, each in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL"))}
    env |= {"QT_QPA_PLATFORM": "offscreen"}
    return subprocess.run(
        [PYTHON, *map(str, words)], capture_output=True, text=True, check=False, env=env, timeout=300
    )


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    if not Path(PYTHON).is_file() or _outside("-c", "import qgis.core").returncode:
        pytest.skip(NO_QGIS)
    folder = tmp_path_factory.mktemp("qgis")
    write_plan(drawn_plan(), folder)
    done = _outside(ROOT / "tests" / "qgis_render.py", folder / "plan.gpkg", folder)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_every_layer_finds_its_style_in_the_file(rendered: tuple[Path, dict[str, Any]]):
    _, found = rendered
    assert {name: (each["loaded"], each["rows"]) for name, each in found.items()} == {
        "grids": (True, 3),
        "alleys": (True, 2),
        "stretches": (True, 7),
        "households": (True, 6),
        "lamps": (True, 2),
        "boards": (True, 1),
    }
    assert found["lamps"]["labels"] == ["新路灯", "现有路灯"]
    assert [name for name, each in found.items() if each["labelled"]] == ["grids", "alleys", "boards"]


@pytest.mark.parametrize("name", list(INK))
def test_what_is_drawn_has_the_colours_of_the_pages(rendered: tuple[Path, dict[str, Any]], name: str):
    folder, _ = rendered
    for picture in (name, "all"):
        pixels = np.asarray(Image.open(folder / f"{picture}.png").convert("RGB"))
        assert (np.abs(pixels.astype(int) - INK[name]).max(axis=2) <= 2).sum() > 50, picture
