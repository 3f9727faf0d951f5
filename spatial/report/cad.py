"""Lamps, boards and centre-lines for engineers: a DXF in the survey's CRS, a KML in WGS 84 for phones."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ezdxf
import numpy as np
import pandas as pd
import shapely
from ezdxf.document import Drawing
from ezdxf.layouts import BlockLayout, Modelspace
from geopandas import GeoDataFrame

from spatial.report.words import word
from spatial.schema import PLAN_LAYERS, term
from spatial.settings import Settings

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["write_dxf", "write_kml"]

#: Layers of the drawing: colour index, and what they hold.
_CAD_LAYERS = {
    "GRIDS": (8, "网格边界 grid outlines"),
    "ALLEYS": (9, "巷道中心线 alley centre-lines"),
    "ALLEYS_LIT": (40, "亮灯巷道 lit stretches"),
    "LAMPS_NEW": (30, "新装路灯 new lamps"),
    "LAMPS_EXISTING": (7, "现有路灯 existing lamps"),
    "BOARDS_NEW": (1, "新宣传栏 new boards"),
    "BOARDS_EXISTING": (14, "现有宣传栏 existing boards"),
}
_TEXT_M = 1.2  # height of the codes
#: What stands with a lamp or a board, never anything about people.
_TOLD = {
    "lamps": ("status", "mount", "height_m", "aim_deg", "flux_lm", "power_w", "grid_id", "alley_id"),
    "boards": ("status", "grid_id", "alley_id"),
}
_CODES = {"lamps": "lamp_code", "boards": "board_code"}
_KML = "http://www.opengis.net/kml/2.2"
_KML_COLOURS = {"lamps": "ff00a9f2", "boards": "ff1e26b3"}  # alpha, blue, green, red


def write_dxf(plan: Plan, path: Path) -> None:
    """Write lamps and boards as blocks with their codes, alleys and grids as polylines.

    Coordinates are those of the survey's CRS, in metres; its name stands in the drawing's properties.
    The same plan gives the same bytes.
    """
    with _fixed_times():
        drawing = ezdxf.new("R2010", units=ezdxf.units.M)
        _draw(plan, drawing)
        drawing.saveas(path)


def _draw(plan: Plan, drawing: Drawing) -> None:
    drawing.header.custom_vars.append("CRS", plan.site.crs.to_string())
    drawing.header.custom_vars.append("PLAN", str(plan.summary["plan_id"]))
    for name, (colour, holds) in _CAD_LAYERS.items():
        drawing.layers.add(name, color=colour).description = holds
    _lamp_block(drawing.blocks.new("LAMP"))
    _board_block(drawing.blocks.new("BOARD"))
    space = drawing.modelspace()
    if "grids" in plan.layers:
        for each in shapely.get_rings(shapely.get_parts(plan.layers["grids"].geometry.to_numpy())):
            _polyline(space, each, "GRIDS", closed=True)
    for each in shapely.get_parts(plan.site.layer("alleys").geometry.to_numpy()):
        _polyline(space, each, "ALLEYS")
    if "stretches" in plan.layers:
        stretches = plan.layers["stretches"]
        for each in stretches.geometry[stretches["lit"].fillna(False).astype(bool)]:
            _polyline(space, each, "ALLEYS_LIT")
    for name, block in (("lamps", "LAMP"), ("boards", "BOARD")):
        for code, at, told in _sites(plan, name):
            standing = "EXISTING" if told["status"] == "existing" else "NEW"
            sign = space.add_blockref(block, at, dxfattribs={"layer": f"{name.upper()}_{standing}"})
            sign.add_auto_attribs({"CODE": code, **{key.upper(): text for key, text in told.items()}})


@contextmanager
def _fixed_times() -> Iterator[None]:
    """Within, ezdxf writes a fixed time and id into its files, outside as it did."""
    before = ezdxf.options.write_fixed_meta_data_for_testing
    ezdxf.options.write_fixed_meta_data_for_testing = True
    try:
        yield
    finally:
        ezdxf.options.write_fixed_meta_data_for_testing = before


def _lamp_block(block: BlockLayout) -> None:
    block.add_circle((0, 0), 0.5)
    block.add_line((-0.8, 0), (0.8, 0))
    block.add_line((0, -0.8), (0, 0.8))
    _attributes(block, "lamps")


def _board_block(block: BlockLayout) -> None:
    block.add_lwpolyline([(-1, -0.25), (1, -0.25), (1, 0.25), (-1, 0.25)], close=True)
    _attributes(block, "boards")


def _attributes(block: BlockLayout, name: str) -> None:
    """The code beside the sign, the rest to be read in the properties."""
    for key in ("code", *_TOLD[name]):
        attribute = block.add_attdef(key.upper(), (1.0, 0.6), height=_TEXT_M)
        attribute.is_invisible = key != "code"


def _polyline(space: Modelspace, line: Any, layer: str, *, closed: bool = False) -> None:
    points = shapely.get_coordinates(line)
    space.add_lwpolyline(points[:-1] if closed else points, close=closed, dxfattribs={"layer": layer})


def _sites(plan: Plan, name: str) -> Iterator[tuple[str, tuple[float, float], Mapping[str, str]]]:
    """Code, place in the survey's CRS and what is told of each lamp or board that the plan keeps or makes."""
    if name not in plan.layers:
        return
    rows: GeoDataFrame = plan.layers[name]
    xy = shapely.get_coordinates(rows.geometry.to_numpy())
    for row, (x, y) in zip(rows[[_CODES[name], *_TOLD[name]]].itertuples(index=False), xy, strict=True):
        code, *values = (_shown(each) for each in row)
        yield code, (float(x), float(y)), dict(zip(_TOLD[name], values, strict=True))


def _shown(value: Any) -> str:
    if pd.isna(value):
        return ""
    text = f"{value:.10g}" if isinstance(value, float | np.floating) else str(value)
    return "".join(each for each in text if each.isprintable())


def write_kml(plan: Plan, path: Path) -> None:
    """Write lamps and boards as placemarks in WGS 84, with their codes and places in the survey's CRS."""
    ET.register_namespace("", _KML)
    root = ET.Element(f"{{{_KML}}}kml")
    document = _child(root, "Document")
    community = Settings.model_validate(plan.summary["settings"]).community
    _child(document, "name", _shown(community.name or plan.site.community))
    said = word("kml_datum")
    _child(document, "description", f"{said.zh} {said.en}")
    for name in _CODES:
        if name not in plan.layers:
            continue
        style = _child(document, "Style", id=name)
        _child(_child(style, "IconStyle"), "color", _KML_COLOURS[name])
        folder = _child(document, "Folder")
        _child(folder, "name", f"{term(name).zh} {term(name).en}")
        degrees = shapely.get_coordinates(plan.layers[name].geometry.to_crs(4326).to_numpy())
        for (code, at, told), (east, north) in zip(_sites(plan, name), degrees, strict=True):
            mark = _child(folder, "Placemark")
            _child(mark, "name", code)
            _child(mark, "styleUrl", f"#{name}")
            _data(mark, plan, name, {**told, "x": f"{at[0]:.3f}", "y": f"{at[1]:.3f}"})
            _child(_child(mark, "Point"), "coordinates", f"{east:.8f},{north:.8f}")
    ET.indent(root, " ")
    path.write_bytes(ET.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n")


def _data(mark: ET.Element, plan: Plan, name: str, told: Mapping[str, str]) -> None:
    """Columns with their Chinese names; an empty one is left out."""
    extended = _child(mark, "ExtendedData")
    units = {each.name: each.unit for each in PLAN_LAYERS[name].columns}
    for key, text in told.items():
        if text:
            unit = f", {plan.site.crs.to_string()}" if key in ("x", "y") else ""
            field = _child(extended, "Data", name=key)
            _child(field, "displayName", f"{term(key).zh} {units[key]}{unit}".strip())
            _child(field, "value", text)


def _child(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, f"{{{_KML}}}{tag}", attributes)
    child.text = text
    return child
