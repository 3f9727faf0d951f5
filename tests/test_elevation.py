"""Rasters of heights as people have them: read where they lie, refused where they can't be right, told."""

import json
import os

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.transform import from_bounds, from_origin

from spatial.check import check_folder, check_lines
from spatial.crs import shifted_from_wgs84
from spatial.load import Elevation, read_site
from spatial.network import build_network
from spatial.network.pace import FLAT_MIN_PER_M, minutes_per_m
from tests.drawn_village import (
    ALLEYS,
    CRS,
    DEFAULT,
    X0,
    Y0,
    at,
    box,
    codes,
    faults,
    frame,
    geojson,
    with_input,
)

CELL_M = 10.0
#: The first corner of 100 x 100 cells around the village.
WEST, NORTH = X0 - 500, Y0 + 500
PLACE = from_origin(WEST, NORTH, CELL_M, CELL_M)


def ramp(x, y):
    """A tenth of a metre for a metre east, a twentieth for a metre south: 40 m at the village."""
    return 40 + 0.1 * (x - X0) - 0.05 * (y - Y0)


def cells(transform=PLACE, shape=(100, 100), height=ramp):
    """Heights at the middle of each cell."""
    row, col = np.mgrid[: shape[0], : shape[1]] + 0.5
    a, b, c, d, e, f = transform[:6]
    return height(a * col + b * row + c, d * col + e * row + f)


def write(folder, values=None, *, name="dem.tif", change=None, **profile):
    """A raster of one band, of several where ``values`` has three dimensions."""
    values = cells().astype(np.float32) if values is None else values
    bands = values if values.ndim == 3 else values[None]
    about = {
        "driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2],
        "dtype": bands.dtype, "crs": CRS, "transform": PLACE, **profile,
    }  # fmt: skip
    with rasterio.open(folder / name, "w", **about) as raster:
        if change is not None:
            change(raster)
        raster.write(bands)
    return folder / name


def told(site, code):
    (one,) = (each for each in site.remarks if each.code == code)
    return one


def heights_m(site, *xy):
    return site.elevation.heights_m(np.array([(X0 + x, Y0 + y) for x, y in xy]))


def refused(folder, code, known=DEFAULT):
    """The one fault, which names the layer, the file and a way out."""
    (found,) = faults(folder, known).values()
    assert (found.code, found.layer) == (code, "elevation")
    assert "dem" in found.message
    return found


SPOTS = [(3.0, 4.0), (61.5, -17.0), (97.0, 0.5)]
EXPECTED_M = [ramp(X0 + x, Y0 + y) for x, y in SPOTS]


# ── where the cells lie ──────────────────────────────────────────────────────────────────────────────


def turned(degrees, *, shear=0.0):
    around = Affine.rotation(degrees) * Affine.shear(shear) * Affine.scale(CELL_M, -CELL_M)
    return Affine.translation(X0, Y0) * around * Affine.translation(-50, -50)


@pytest.mark.parametrize(
    "transform",
    [PLACE, turned(33.0), turned(-120.0), turned(10.0, shear=20.0), Affine(10, 0, WEST, 0, 10, Y0 - 500),
     Affine(-10, 0, X0 + 500, 0, -10, NORTH), Affine(4, 0, X0 - 200, 0, -9, Y0 + 450)],
    ids=["plain", "turned", "far-turned", "sheared", "south-up", "east-left", "oblong"],
)  # fmt: skip
def test_any_straight_grid_of_cells_is_read_exactly_where_it_lies(village, transform):
    write(village, cells(transform).astype(np.float64), transform=transform)
    site = read_site(village, DEFAULT)
    np.testing.assert_allclose(heights_m(site, *SPOTS), EXPECTED_M, atol=1e-4)


@pytest.mark.parametrize("crs", ["EPSG:4490", "EPSG:32650", "EPSG:4549"])
def test_heights_in_another_system_are_brought_to_the_site(village, crs):
    bounds = frame([(box(-500, -500, 1000, 1000), {})]).to_crs(crs).total_bounds
    write(village, np.full((60, 60), 31, dtype=np.int16), crs=crs, transform=from_bounds(*bounds, 60, 60))
    site = read_site(village, DEFAULT)
    assert heights_m(site, *SPOTS).tolist() == [31.0] * 3
    assert ("crs-changed", "elevation") in codes(site, "note")


def test_heights_on_a_shifted_map_are_brought_back_when_that_is_stated(village):
    spots = frame([(at(0, 0), {})]).to_crs(4326).geometry[0]
    ((lon,), (lat,)) = shifted_from_wgs84(np.array([spots.x]), np.array([spots.y]), "gcj02")
    values = np.full((200, 200), 31.0, dtype=np.float32)
    values[100:, :] = 36.0  # a step of 5 m along the parallel through the shifted place
    transform = from_origin(lon - 0.01, lat + 0.01, 1e-4, 1e-4)
    write(village, values, crs="EPSG:4326", transform=transform)
    site = read_site(village, with_input(elevation={"datum": "gcj02"}))
    assert heights_m(site, (0, 15), (0, 0), (0, -15)).round(1).tolist() == [31.0, 33.5, 36.0]
    assert "the shift of gcj02 taken off" in told(site, "crs-changed").message
    unstated = read_site(village, DEFAULT)
    assert len(set(heights_m(unstated, (0, 15), (0, 0), (0, -15)))) == 1


def test_a_raster_without_overlap_is_left_out_and_told(village):
    write(village, transform=from_origin(WEST + 50_000, NORTH, 10, 10))
    site = read_site(village, DEFAULT)
    assert site.elevation is None
    assert "does not cover the site" in told(site, "layers-apart").message


def test_a_zone_that_puts_the_raster_on_the_site_is_named(village):
    write(village, transform=from_origin(WEST + 39e6, NORTH, 10, 10))
    assert 'crs = "EPSG:4527"' in told(read_site(village, DEFAULT), "layers-apart").remedy


def test_the_share_of_alleys_with_heights_is_told(village):
    # the middles of the last cells are 51 m east of the west end of a1
    write(village, cells(shape=(100, 55)).astype(np.float32), transform=from_origin(X0 - 494, NORTH, 10, 10))
    doubt = told(read_site(village, DEFAULT), "elevation-part")
    assert "42% of the alleys' length" in doubt.message  # 50 of 120 m, in pieces of 10 m
    assert doubt.ids == ("a2",)


def test_a_raster_that_knows_no_height_along_an_alley_is_left_out(village):
    write(village, np.full((100, 100), -9999, dtype=np.int16), nodata=-9999)
    site = read_site(village, DEFAULT)
    assert site.elevation is None
    assert "no height along any alley" in told(site, "elevation-none").message


def test_a_missing_system_is_refused_and_can_be_stated(village):
    write(village, crs=None)
    assert "[input.elevation] crs" in refused(village, "crs-missing").remedy
    site = read_site(village, with_input(elevation={"crs": CRS}))
    np.testing.assert_allclose(heights_m(site, *SPOTS), EXPECTED_M, atol=1e-4)


def test_a_world_file_and_a_prj_place_a_raster_that_does_not_say_where_it_lies(village):
    path = write(village, crs=None, transform=None)
    assert "dem.tfw" in next(
        each.remedy for each in faults(village).values() if each.code == "raster-unplaced"
    )
    path.with_suffix(".tfw").write_text(f"10.0\n0.0\n0.0\n-10.0\n{WEST + 5}\n{NORTH - 5}\n")
    path.with_suffix(".prj").write_text(rasterio.crs.CRS.from_user_input(CRS).to_wkt())
    site = read_site(village, DEFAULT)
    np.testing.assert_allclose(heights_m(site, *SPOTS), EXPECTED_M, atol=1e-4)
    assert "dem.tfw" in told(site, "world-file").message
    assert [each.file for each in site.inputs][1:4] == ["dem.prj", "dem.tfw", "dem.tif"]
    path.with_suffix(".tfw").write_text("ten\n")
    assert "six numbers" in refused(village, "raster-unplaced").message


def tied(*off):
    """Four corners of the cells as tie points, the last ``off`` its place."""
    corners = [(0, 0), (0, 100), (100, 0), (100, 100)]
    points = [GroundControlPoint(r, c, WEST + 10 * c, NORTH - 10 * r) for r, c in corners]
    points[3].x += sum(off)
    return lambda raster: setattr(raster, "gcps", (points, rasterio.crs.CRS.from_user_input(CRS)))


def test_tie_points_place_a_raster_where_a_straight_grid_fits_them(village):
    write(village, crs=None, transform=None, change=tied())
    site = read_site(village, DEFAULT)
    np.testing.assert_allclose(heights_m(site, *SPOTS), EXPECTED_M, atol=1e-3)
    assert "4 tie points" in told(site, "raster-tied").message
    write(village, crs=None, transform=None, change=tied(300.0))
    assert "rectify" in refused(village, "raster-unplaced").remedy


# ── what the values mean ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_heights_of_any_type_are_read(village, dtype):
    write(village, np.full((100, 100), 40, dtype=dtype))
    assert heights_m(read_site(village, DEFAULT), *SPOTS).tolist() == [40.0] * 3


def test_complex_values_are_refused(village):
    write(village, np.full((100, 100), 40, dtype=np.complex64))
    assert "complex64" in refused(village, "raster-values").message


@pytest.mark.parametrize(
    ("marker", "dtype"),
    [(-9999, "int16"), (-32768, "int16"), (32767, "int16"), (65535, "uint16"), (3.4e38, "float32"),
     (-3.4028234663852886e38, "float32"), (1e300, "float64"), (np.inf, "float32"), (0, "int16"),
     (0, "float32"), (-500, "int16"), (9000, "int16")],
)  # fmt: skip
def test_an_undeclared_marker_is_taken_as_unknown_and_told(village, marker, dtype):
    values = cells().astype(dtype)
    values[48:52, 48:52] = marker
    write(village, values)
    site = read_site(village, DEFAULT)
    assert np.isnan(heights_m(site, (0, 0))).all()
    (doubt,) = (each for each in site.remarks if each.code in ("height-odd", "height-zero"))
    assert (doubt.kind, doubt.layer) == ("doubt", "elevation")
    assert doubt.message.startswith("16 of ")


def test_a_declared_marker_a_mask_and_nan_are_no_doubt_but_the_share_is_told(village):
    hole = np.zeros((100, 100), dtype=bool)
    hole[48:52, 48:52] = True
    ground = cells().astype(np.float32)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        for declare in ("nodata", "mask", "nan"):
            values = np.where(hole, {"nodata": 7.5, "mask": 8.5, "nan": np.nan}[declare], ground)
            change = (lambda raster: raster.write_mask(~hole)) if declare == "mask" else None
            nodata = 7.5 if declare == "nodata" else None
            write(village, values.astype(np.float32), nodata=nodata, change=change)
            site = read_site(village, DEFAULT)
            assert np.isnan(heights_m(site, (0, 0))).all()
            assert not np.isnan(heights_m(site, (60, 0))).any()
            assert {c for c, _ in codes(site, "doubt")} & {"height-odd", "height-zero"} == set()
            assert told(site, "elevation-part").ids == ()


def test_a_shore_at_0_is_ground(village):
    write(village, np.maximum(cells() - 41, 0).astype(np.float32))
    assert heights_m(read_site(village, DEFAULT), (0, 50))[0] == 0.0


def test_scale_and_offset_and_feet_become_metres(village):
    def declare(raster):
        raster.scales, raster.offsets, raster.units = (0.1,), (100.0,), ("ft",)

    stored = np.round((cells() / 0.3048 - 100) / 0.1).astype(np.int16)
    stored[0, 0], stored[48:52, 48:52] = 0, -9999
    write(village, stored, change=declare)
    site = read_site(village, DEFAULT)
    np.testing.assert_allclose(heights_m(site, *SPOTS)[1:], EXPECTED_M[1:], atol=0.02)
    assert np.isnan(heights_m(site, (0, 0))).all()
    assert {"raster-scale", "unit-changed"} <= {code for code, _ in codes(site, "note")}
    assert "16 of " in told(site, "height-odd").message


def test_a_unit_that_is_none_of_heights_and_a_scale_that_is_none_are_refused(village):
    write(village, change=lambda raster: setattr(raster, "units", ("degree",)))
    assert "'degree'" in refused(village, "unit-other").message
    write(village, change=lambda raster: setattr(raster, "scales", (0.0,)))
    assert "scale of 0" in refused(village, "raster-scale").message


def test_heights_in_millimetres_are_refused(village):
    write(village, (1000 * cells()).astype(np.float32))
    assert "no heights in metres" in refused(village, "file-unreadable").message


@pytest.mark.parametrize("kind", ["colours", "palette", "grey"])
def test_a_picture_of_a_map_is_refused_or_told(village, kind):
    def palette(raster):
        raster.colorinterp = [ColorInterp.palette]
        raster.write_colormap(1, {i: (i, i, i, 255) for i in range(256)})

    picture = np.full((3 if kind == "colours" else 1, 100, 100), 40, dtype=np.uint8)
    more = {"colours": {"photometric": "RGB"}, "palette": {"change": palette}, "grey": {}}[kind]
    write(village, picture, **more)
    if kind == "grey":
        assert "0 to 255" in told(read_site(village, DEFAULT), "raster-coarse-values").message
    else:
        assert "not its drawing" in refused(village, "raster-picture").remedy


def test_of_several_bands_the_titled_the_first_or_the_stated_one_is_read(village):
    bands = np.stack([cells() + 10 * i for i in range(3)]).astype(np.float32)
    write(village, bands)
    site = read_site(village, DEFAULT)
    assert told(site, "band-chosen").message.startswith("band 1 of 3 is taken")
    write(village, bands, change=lambda raster: setattr(raster, "descriptions", ("slope", "aspect", "高程")))
    site = read_site(village, DEFAULT)
    assert told(site, "band-chosen").message.startswith("band 3 of 3 (高程) is taken")
    np.testing.assert_allclose(heights_m(site, *SPOTS), np.add(EXPECTED_M, 20), atol=1e-4)
    site = read_site(village, with_input(elevation={"band": 2}))
    np.testing.assert_allclose(heights_m(site, *SPOTS), np.add(EXPECTED_M, 10), atol=1e-4)
    assert "band = 1 to 3" in refused(village, "input-setting", with_input(elevation={"band": 4})).remedy


def test_cells_of_a_kilometre_are_told(village):
    place = from_origin(X0 - 4000, Y0 + 4000, 1000, 1000)
    write(village, cells(place, (8, 8)).astype(np.float32), transform=place)
    site = read_site(village, DEFAULT)
    assert "1,000 x 1,000 m" in told(site, "raster-coarse").message
    np.testing.assert_allclose(heights_m(site, *SPOTS), EXPECTED_M, atol=1e-3)


def test_a_spike_and_the_alleys_it_would_make_cliffs_of_are_told_with_their_place(village):
    values = cells().astype(np.float32)
    values[50, 53] += 500  # its middle is 35 m east and 5 m south of the west end of a1
    write(village, values)
    checked = check_folder(village, DEFAULT)
    remarks = {each.code: each for each in checked.remarks}
    assert remarks["height-spike"].spots == (("544 m", X0 + 35, Y0 - 5),)
    assert remarks["slope-impossible"].ids == ("a1",)
    points = checked.points()
    assert points[points["code"] == "height-spike"].geometry.iloc[0].coords[0] == (X0 + 35, Y0 - 5)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────


def test_neighbour_files_that_lie_are_not_followed(village):
    path = write(village)
    plain = read_site(village, DEFAULT)
    lies = (
        "<PAMDataset><SRS>EPSG:4326</SRS><GeoTransform>1, 1, 0, 1, 0, -1</GeoTransform>"
        "<PAMRasterBand band='1'><NoDataValue>40</NoDataValue><UnitType>ft</UnitType>"
        "<Scale>7</Scale></PAMRasterBand></PAMDataset>"
    )
    (village / "dem.tif.aux.xml").write_text(lies)
    for ending in (".ovr", ".msk"):
        with rasterio.open(
            village / f"dem.tif{ending}", "w", driver="GTiff", height=50, width=50, count=1, dtype="uint8"
        ) as other:
            other.write(np.zeros((1, 50, 50), dtype=np.uint8))
    path.with_suffix(".tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    site = read_site(village, DEFAULT)
    np.testing.assert_array_equal(site.elevation.values, plain.elevation.values)
    assert site.elevation.transform == plain.elevation.transform
    assert told(site, "sidecar-unread").message.endswith("dem.tif.aux.xml, dem.tif.msk, dem.tif.ovr")


@pytest.mark.parametrize("spoil", ["cut", "head", "vrt", "text", "bomb", "strips", "folder", "loop", "pipe"])
def test_files_that_are_no_sound_geotiff_are_refused(village, spoil):
    path = write(village)
    content = path.read_bytes()
    place = {"crs": CRS, "transform": from_origin(X0 - 1000, Y0 + 1000, 0.05, 0.05), "dtype": "float32"}
    huge = {"driver": "GTiff", "height": 40_000, "width": 40_000, "count": 1, "sparse_ok": True, **place}
    path.unlink()
    if spoil in ("bomb", "strips"):
        with rasterio.open(path, "w", **huge, blockysize=40_000 if spoil == "bomb" else 1):
            pass
    elif spoil == "folder":
        path.mkdir()
    elif spoil == "loop":
        path.symlink_to(path)
    elif spoil == "pipe":
        os.mkfifo(path)
    else:
        damage = {
            "cut": content[:20_000],
            "head": content[:16],
            "vrt": b"<VRTDataset/>",
            "text": b"x,y,z\n1,2,3",
        }
        path.write_bytes(damage[spoil])
    (found,) = faults(village).values()
    assert "dem.tif" in found.message


def test_flipped_bits_never_end_in_a_traceback(village):
    sound = np.frombuffer(write(village, compress="deflate").read_bytes(), dtype=np.uint8)
    chance, outcomes = np.random.default_rng(1), set()
    for _ in range(20):
        damaged = sound.copy()
        damaged[chance.integers(len(sound) if chance.random() < 0.5 else 400, size=3)] ^= np.uint8(
            1 << int(chance.integers(8))
        )
        (village / "dem.tif").write_bytes(damaged.tobytes())
        outcomes.add(bool(faults(village)))
    assert outcomes == {True, False}


# ── check, and walks ─────────────────────────────────────────────────────────────────────────────────


def test_check_shows_the_raster(village):
    write(village, np.stack([cells()] * 2).astype(np.float32))
    checked = check_folder(village, DEFAULT)
    text = "\n".join(check_lines(checked))
    assert "elevation 高程: dem.tif" in text
    assert "100 x 100 cells of 10 x 10 m, band 1 of 2, float32; " in text
    assert "; 100% of the alleys covered; EPSG:4548 (by file)" in text
    about = json.loads(json.dumps(checked.to_json()))["layers"][-1]
    assert (about["layer"], about["crs"], about["crs_by"]) == ("elevation", CRS, "file")
    assert about["raster"]["cell_m"] == [10.0, 10.0]
    assert about["raster"]["share_alleys"] == 1.0
    assert 5 < about["raster"]["low_m"] < 20
    assert 60 < about["raster"]["high_m"] < 95


def test_the_faults_of_a_raster_are_told_whatever_ails_the_alleys(village):
    write(village, crs=None, change=lambda raster: setattr(raster, "units", ("degree",)))
    geojson(village, "alleys", [(ALLEYS[0][0], {"alley_id": "a1", "width_m": -3})])
    assert {"out-of-range", "crs-missing", "unit-other"} == {code for code, _, _ in faults(village)}
    (village / "alleys.geojson").unlink()
    assert {"alleys-missing", "crs-missing", "unit-other"} == {code for code, _, _ in faults(village)}


@pytest.mark.parametrize("height_m", [np.nan, 8999.0, -499.0])
def test_walks_take_finite_minutes_whatever_lies_on_the_alley(village, height_m):
    values = np.full((100, 100), 40.0)
    values[49:51, 52:54] = height_m
    site = read_site(village, DEFAULT)
    network = build_network(site, DEFAULT)
    elevation = Elevation(values.astype(np.float32), tuple(PLACE)[:6])
    pace = minutes_per_m(network, elevation)
    assert np.isfinite(pace).all()
    assert pace.min() >= FLAT_MIN_PER_M
    if np.isnan(height_m):
        np.testing.assert_allclose(pace, FLAT_MIN_PER_M)
    # at 1 in 1 a metre takes exp(3.5) as long as on the flat one way, exp(3.5) x exp(0.35) less the other
    assert pace.max() <= FLAT_MIN_PER_M * np.exp(3.5)
