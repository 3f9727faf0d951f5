"""``python -m benchmarks [grids] [siting]``: run the benchmarks named, or all."""

from __future__ import annotations

import importlib
import sys

NAMES = ("grids", "siting")

for name in sys.argv[1:] or NAMES:
    if name not in NAMES:
        sys.exit(f"no benchmark {name}; there are {', '.join(NAMES)}")
    importlib.import_module(f"benchmarks.{name}").main()
