"""``python -m benchmarks [grids] [siting] [orlib]``: run the benchmarks named, or all.

Options behind one name go to that benchmark: ``python -m benchmarks grids --sizes 400,1000``.
"""

from __future__ import annotations

import importlib
import sys
from itertools import takewhile

NAMES = ("grids", "siting", "orlib")


def main(words: list[str]) -> None:
    """Run what is named before the first option."""
    names = list(takewhile(lambda word: not word.startswith("-"), words))
    options = words[len(names) :]
    for name in names:
        if name not in NAMES:
            sys.exit(f"no benchmark {name}; there are {', '.join(NAMES)}")
    if options and len(names) != 1:
        sys.exit("options belong to one benchmark; name it first")
    for name in names or NAMES:
        importlib.import_module(f"benchmarks.{name}").main(options)


if __name__ == "__main__":  # processes that the benchmarks start import this module again
    main(sys.argv[1:])
