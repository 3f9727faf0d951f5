"""The project's own files agree with one another."""

from __future__ import annotations

import re
import tomllib

from tests.conftest import ROOT

#: PyPI name → conda-forge name, where they differ; None: comes through pip there too.
CONDA_NAMES = {"django-js-lib-leaflet": None}


def _split(requirement: str) -> tuple[str, str]:
    name, limits = re.fullmatch(r"([A-Za-z0-9_-]+)\s*(.*)", requirement).groups()
    return name, limits


def _environment() -> tuple[dict[str, str], dict[str, str]]:
    """Conda and pip requirements of environment.yml: a flat list, so a line is enough to read it by."""
    conda, pip = {}, {}
    for line in (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"( +)- ([^#:]+?)\s*(#.*)?$", line):
            indent, requirement = found.group(1), found.group(2)
            name, limits = _split(requirement)
            (pip if len(indent) > 4 else conda)[name] = limits
    return conda, pip


def test_environment_agrees_with_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = dict(map(_split, project["dependencies"]))
    conda, pip = _environment()
    assert pip == {name: limits for name, limits in wanted.items() if name in CONDA_NAMES}
    expected = {name: limits for name, limits in wanted.items() if name not in CONDA_NAMES}
    expected |= {"python": project["requires-python"], "pip": ""}
    assert {name: limits for name, limits in conda.items() if name != "conda-forge"} == expected


def test_the_six_packages_our_user_named_are_required():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {_split(each)[0] for each in project["dependencies"]}
    assert {"geopandas", "shapely", "networkx", "folium", "pyproj", "rasterio"} <= required
