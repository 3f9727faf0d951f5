"""Drawings for CAD and phones: every lamp and board where it stands, read back by other code."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import ezdxf
import pyogrio
import pytest
import shapely

from spatial.report.cad import write_dxf, write_kml
from tests.drawn_plan import CANARIES, EAST, NORTH, drawn_plan


def test_blocks_stand_in_the_surveys_crs_with_their_codes(tmp_path: Path):
    write_dxf(drawn_plan(), tmp_path / "plan.dxf")
    drawing = ezdxf.readfile(tmp_path / "plan.dxf")
    assert not drawing.audit().errors
    found = {
        each.get_attrib_text("CODE"): (
            each.dxf.name,
            each.dxf.layer,
            each.dxf.insert.x - EAST,
            each.dxf.insert.y - NORTH,
        )
        for each in drawing.modelspace().query("INSERT")
    }
    assert found == {
        "L001": ("LAMP", "LAMPS_NEW", 30, 41),
        "L002": ("LAMP", "LAMPS_EXISTING", 150, 41),
        "B01": ("BOARD", "BOARDS_NEW", 90, 42),
    }
    assert drawing.header["$INSUNITS"] == ezdxf.units.M
    assert drawing.header.custom_vars.get("CRS") == "EPSG:4548"


def test_centre_lines_and_light_have_their_lengths(tmp_path: Path):
    write_dxf(drawn_plan(), tmp_path / "plan.dxf")
    lines = ezdxf.readfile(tmp_path / "plan.dxf").modelspace().query("LWPOLYLINE")
    length_m: dict[str, float] = {}
    for each in lines:
        points = list(each.get_points("xy"))
        ring = [*points, points[0]] if each.closed else points
        length_m[each.dxf.layer] = length_m.get(each.dxf.layer, 0.0) + shapely.LineString(ring).length
    assert length_m == {"ALLEYS": 220.0, "ALLEYS_LIT": 60.0, "GRIDS": 3 * 280.0}


def test_placemarks_are_at_the_same_places(tmp_path: Path):
    plan = drawn_plan()
    write_kml(plan, tmp_path / "plan.kml")
    for layer, name, codes in (
        ("路灯 Street lamps", "lamps", ["L001", "L002"]),
        ("宣传栏 Notice boards", "boards", ["B01"]),
    ):
        read = pyogrio.read_dataframe(tmp_path / "plan.kml", layer=layer)
        assert read["Name"].tolist() == codes
        back = read.to_crs(plan.site.crs).geometry
        assert (back.distance(plan.layers[name].geometry) < 0.002).all()


@pytest.mark.parametrize("name", ["]]></name><x>&", "<script>alert(1)</script>", "山\x00南\n社区"])
def test_a_hostile_name_stays_text(tmp_path: Path, name: str):
    plan = drawn_plan(community=name)
    write_kml(plan, tmp_path / "plan.kml")
    root = ET.parse(tmp_path / "plan.kml").getroot()
    said = root.find("{*}Document/{*}name")
    assert said is not None
    assert said.text == "".join(each for each in name if each.isprintable())
    assert {each.tag.split("}")[1] for each in root.iter()} <= {
        "kml", "Document", "name", "description", "Style", "IconStyle", "color", "Folder", "Placemark",
        "styleUrl", "ExtendedData", "Data", "displayName", "value", "Point", "coordinates",
    }  # fmt: skip


def test_nothing_personal_is_in_the_drawings(tmp_path: Path):
    write_dxf(drawn_plan(), tmp_path / "plan.dxf")
    write_kml(drawn_plan(), tmp_path / "plan.kml")
    for each in tmp_path.iterdir():
        text = each.read_text(encoding="utf-8")
        assert not [canary for canary in CANARIES if canary in text]


def test_a_code_with_line_breaks_does_not_break_the_drawing(tmp_path: Path):
    plan = drawn_plan()
    lamps = plan.layers["lamps"].assign(lamp_code=["L1\n0\nEOF", "L2"])
    write_dxf(replace(plan, layers={**plan.layers, "lamps": lamps}), tmp_path / "plan.dxf")
    inserts = ezdxf.readfile(tmp_path / "plan.dxf").modelspace().query("INSERT[name=='LAMP']")
    assert [each.get_attrib_text("CODE") for each in inserts] == ["L10EOF", "L2"]
