"""Leaflet as text from an installed package, so that maps need no network."""

from __future__ import annotations

import re
from importlib.resources import files

__all__ = ["leaflet_script", "leaflet_style"]


def leaflet_script() -> str:
    """The library, without the link to its source map."""
    return re.sub(r"^//# sourceMappingURL=.*$", "", _text("leaflet.js"), flags=re.MULTILINE)


def leaflet_style() -> str:
    """Its style, without the pictures that it would ask for."""
    return re.sub(r"url\([^)]*\)", "none", _text("leaflet.css"))


def _text(name: str) -> str:
    path = files("js_lib_leaflet") / "static" / "js_lib_leaflet" / name
    return path.read_text(encoding="utf-8").replace("\r\n", "\n")
