"""alleyplan: cut a community into grids and site its lamps and notice boards.

The public names, in the order of the work::

    site = read_site("data/raw/shannan", settings)      # files → checked layers
    plan = make_plan(site, settings)                    # grids, lamps, boards
    write_plan(plan, folder); audit_plan(folder)        # a plan folder, recounted

They are imported on first use, so that ``import spatial`` costs nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

# before any library loads its own PROJ: no grids are fetched, whatever the user's environment says
os.environ["PROJ_NETWORK"] = "OFF"

_HOMES = {
    "AlleyplanError": "errors",
    "DataError": "errors",
    "Settings": "settings",
    "read_settings": "settings",
    "Site": "load",
    "check_site": "load",
    "read_site": "load",
    "make_sample": "sample",
    "write_sample": "sample",
    "build_network": "network",
    "Plan": "plan",
    "make_plan": "plan",
    "publishing": "publish",
    "read_plan": "plan",
    "write_plan": "plan",
    "audit_plan": "audit",
    "compare_plans": "compare",
    "comparison_lines": "compare",
    "comparison_page": "maps",
    "gather_comments": "comments",
    "planner_page": "maps",
    "residents_page": "maps",
    "write_tables": "report",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
