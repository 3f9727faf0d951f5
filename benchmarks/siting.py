"""Lamps and boards on the sample and on real places: gap, CPU time and memory.

Run alone: ``python -m benchmarks.siting [sample kotka aleppo]``. Places that are not there are left out.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spatial.load import read_site
from spatial.network import build_network
from spatial.settings import read_settings
from spatial.siting import plan_boards, plan_lamps

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"

# place: folder, settings, parts
PLACES: dict[str, tuple[Path, tuple[str, ...], tuple[str, ...]]] = {
    "sample": (ROOT / "data" / "raw" / "shannan", (), ("lamps", "boards")),
    "kotka": (SHARED / "kotka-finland", (), ("lamps", "boards")),
    "aleppo": (SHARED / "aleppo-old-city-streets", ("lamps.n_lamps=1500",), ("lamps",)),
}
PLANNERS: dict[str, Callable[..., Any]] = {"lamps": plan_lamps, "boards": plan_boards}
SHOWN = {
    "lamps": ("n_chosen", "lit_m", "bound_m"),
    "boards": ("n_chosen", "total_walk_m", "bound_household_m"),
}


def run(place: str) -> list[str]:
    """One line per part of a place: what was chosen, its gap, CPU seconds and peak memory."""
    folder, overrides, parts = PLACES[place]
    plan_toml = folder / "plan.toml"
    settings = read_settings(plan_toml if plan_toml.exists() else None, overrides=overrides)
    site = read_site(folder, settings)
    network = build_network(site, settings)
    lines = []
    for part in parts:
        begin_s = time.process_time()
        figures = PLANNERS[part](site, network, settings).figures
        cpu_s = time.process_time() - begin_s
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        shown = ", ".join(f"{key} {figures[key]:,.0f}" for key in SHOWN[part])
        lines.append(
            f"{place} {part}: {shown}, gap {figures['gap']:.5%} by {figures['bound_by']}; "
            f"{cpu_s:.1f} s CPU, {peak_mb:,.0f} MB"
        )
    return lines


def main(places: Sequence[str] = ()) -> None:
    """Print the lines of each place that is there."""
    for place in places or PLACES:
        if PLACES[place][0].exists():
            print(*run(place), sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
