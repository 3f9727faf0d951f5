"""The colours of a plan by day, as the pages' style sheet names them."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["palette"]


@cache
def palette() -> dict[str, str]:
    """Colours (``#RRGGBB``) by name."""
    style = (files("spatial") / "assets" / "page.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--([a-z0-9-]+):\s*(#[0-9A-Fa-f]{6})", style.split("}")[0]))
