"""Changes to a written plan folder, as any other program could make them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd

from spatial.load import write_layers

__all__ = ["change_summary", "move_rows", "set_cell"]


def set_cell(folder: Path, table: str, column: str, value: object, where: str) -> None:
    """Change one cell of plan.gpkg as any other program would."""
    with closing(sqlite3.connect(folder / "plan.gpkg")) as database:
        for (trigger,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')  # they call functions that only a GIS has
        done = database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE {where}', (value,))
        assert done.rowcount == 1
        database.commit()


def move_rows(folder: Path, table: str, shift: Callable[[Any], Any]) -> None:
    """Change geometry of a layer of plan.gpkg."""
    rows = gpd.read_file(folder / "plan.gpkg", layer=table)
    write_layers({table: rows.set_geometry(shift(rows.geometry))}, folder / "plan.gpkg", crs=rows.crs)


def change_summary(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    change(summary)
    path.write_text(json.dumps(summary), encoding="utf-8")
