from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed import open_cube
from ecoembed.archives.satellite import grids
from ecoembed.archives.satellite.names import find_band, find_time
from ecoembed.archives.satellite.rasters import fingerprint, open_raster, sensors_of, sources
from ecoembed.errors import ConfigError, FileError, GridError, ProductError, VariableError
from tests.archives import fakes
from tests.archives.formats import NAMES, SIZE, TIMES, assert_same, numbers, reference, stamp, write_dates, write_tiff

LAYERS = numbers()

#: One pixel of them is without data, which these files do not declare.
UNDECLARED = {"nodata 0 not declared, made missing": 1}


def by_date(folder: Path) -> None:
    write_dates(folder, LAYERS)


def by_date_in_earth_engine_names(folder: Path) -> None:
    for i, moment in enumerate(TIMES):
        names = [f"B{band[1:].lstrip('0')}" if band != "SCL" else band for band in LAYERS]
        name = f"{stamp(moment)}_{stamp(moment)}_T31UFS.tif"
        write_tiff(folder / name, [values[i] for values in LAYERS.values()], names)


def by_band_and_date(folder: Path) -> None:
    for band, values in LAYERS.items():
        for i, moment in enumerate(TIMES):
            write_tiff(folder / f"T31UFS_{stamp(moment)}_{band}_10m.tif", [values[i]])


def bands_by_dates(folder: Path) -> None:
    pairs = [(band, i) for band in LAYERS for i in range(len(TIMES))]
    names = [f"{band}_{stamp(TIMES[i])}" for band, i in pairs]
    write_tiff(folder / "all.tif", [LAYERS[band][i] for band, i in pairs], names)


def to_bands(folder: Path) -> None:
    pairs = [(band, i) for i in range(len(TIMES)) for band in LAYERS]
    names = [f"{stamp(TIMES[i])}_{stamp(TIMES[i])}_T31UFS_{band.replace('B0', 'B')}" for band, i in pairs]
    write_tiff(folder / "toBands.tif", [LAYERS[band][i] for band, i in pairs], names, nodata=0)


def silent_but_described(folder: Path) -> None:
    pairs = [(band, i) for band in LAYERS for i in range(len(TIMES))]
    write_tiff(folder / "stack.tif", [LAYERS[band][i] for band, i in pairs])
    dates = ", ".join(map(repr, map(str, TIMES)))
    text = f'bands = {list(NAMES)}\ndates = [{dates}]\norder = "dates"\n'.replace("'", '"')
    (folder / "stack.toml").write_text(text)


def silent_files_described_at_once(folder: Path) -> None:
    write_dates(folder, LAYERS, tags={"AREA_OR_POINT": "Area"})
    for path, i in zip(sorted(folder.glob("*.tif")), range(len(TIMES)), strict=True):
        write_tiff(path, [values[i] for values in LAYERS.values()])
    (folder / "stack.toml").write_text(f"bands = {json.dumps(NAMES)}\n")


LAYOUTS = (
    by_date,
    by_date_in_earth_engine_names,
    by_band_and_date,
    bands_by_dates,
    to_bands,
    silent_but_described,
    silent_files_described_at_once,
)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_layout_gives_the_cube_of_the_plain_file(layout, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "place"
    folder.mkdir()
    layout(folder)
    (source,) = sources(folder)
    assert sensors_of(source) == ["S2_L2A"]
    assert_same(open_cube(folder, dilation=0), reference(tmp_path / "plain"))
    assert_same(open_cube(sorted(folder.glob("*.tif")), dilation=0), reference(tmp_path / "plain"))


def test_ten_and_twenty_metres_in_one_folder_are_two_stacks(tmp_path: Path) -> None:
    for band, values in LAYERS.items():
        fine = band in fakes.FINE
        for i, moment in enumerate(TIMES):
            values_of_date = values[i] if fine else values[i, ::2, ::2]
            name = f"T31UFS_{stamp(moment)}_{band}_{10 if fine else 20}m.tif"
            write_tiff(tmp_path / name, [values_of_date], pixel=10 if fine else 20)
    assert len(sources(tmp_path)) == 2
    cube = open_cube(tmp_path, dilation=0)
    np.testing.assert_allclose(cube.sel(band="B05")[2, 1, 1], LAYERS["B05"][2, 0, 0] * 1e-4)
    np.testing.assert_allclose(cube.sel(band="B02")[2, 1, 1], LAYERS["B02"][2, 1, 1] * 1e-4)


def test_radar_and_optical_files_of_one_folder_are_told_apart(tmp_path: Path) -> None:
    write_dates(tmp_path, LAYERS)
    for band, db in (("VV", -10.0), ("VH", -17.0)):
        layer = np.full((SIZE, SIZE), db, dtype="float32")
        write_tiff(tmp_path / f"S1A_IW_GRDH_1SDV_20190706T055001_{band}.tif", [layer])
    assert sorted(name for source in sources(tmp_path) for name in sensors_of(source)) == ["S1", "S2_L2A"]
    radar = open_cube(tmp_path, "S1")
    assert str(radar["time"].values[0])[:19] == "2019-07-06T05:50:01"
    np.testing.assert_allclose(radar.values[0, :, 0, 0], (-10.0, -17.0))
    assert open_cube(tmp_path).sizes["time"] == 3


def test_harmonised_files_are_known_by_their_names(tmp_path: Path) -> None:
    for band in ("B02", "B03", "B04", "B05", "B06", "B07"):
        layer = np.full((SIZE, SIZE), 1500, dtype="int16")
        write_tiff(tmp_path / f"HLS.L30.T32UPU.2019185T101530.v2.0.{band}.tif", [layer], pixel=30, nodata=-9999)
    write_tiff(tmp_path / "HLS.L30.T32UPU.2019185T101530.v2.0.Fmask.tif", [np.zeros((SIZE, SIZE), "uint8")], pixel=30)
    (source,) = sources(tmp_path)
    assert sensors_of(source) == ["HLS"]
    cube = open_cube(tmp_path, "HLS")
    assert str(cube["time"].values[0])[:19] == "2019-07-04T10:15:30"
    np.testing.assert_allclose(cube.sel(band="NIR"), 0.15)


def test_scale_offset_and_nodata_of_gdal(tmp_path: Path) -> None:
    layers = {band: values.astype("int16") for band, values in LAYERS.items()}
    layers["B03"][0, 0, 1] = -9999
    for i, path in enumerate(write_dates(tmp_path / "a", layers, nodata=-9999, scale=2e-4)):
        assert path.is_file(), i
    raster = open_raster(tmp_path / "a")
    assert raster["B03"].attrs == {"scale_factor": 2e-4, "_FillValue": -9999.0}
    assert raster["B03"].dtype == "int16"
    cube = open_cube(tmp_path / "a", dilation=0)
    assert np.isnan(cube.sel(band="B03")[0, 0, 1])
    np.testing.assert_allclose(cube.sel(band="B02")[0], layers["B02"][0] * 2e-4, rtol=1e-6)


def test_dates_that_declare_different_nodata_are_brought_to_one(tmp_path: Path) -> None:
    for i, (moment, nodata) in enumerate(zip(TIMES, (0, 65535, None), strict=True)):
        layers = [values[i].copy() for values in LAYERS.values()]
        layers[0][2, 2] = nodata or 0
        write_tiff(tmp_path / f"{stamp(moment)}.tif", layers, list(LAYERS), nodata=nodata)
    cube = open_cube(tmp_path, dilation=0)
    assert np.isnan(cube.sel(band="B02").values[:, 2, 2]).all()
    assert np.isfinite(cube.sel(band="B02").values[:, 3, 3]).all()


def test_a_mask_inside_the_file_hides_pixels(tmp_path: Path) -> None:
    import rasterio

    paths = write_dates(tmp_path, LAYERS)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(paths[0], "r+") as file:
        valid = np.full((SIZE, SIZE), 255, dtype="uint8")
        valid[5, 5] = 0
        file.write_mask(valid)
    cube = open_cube(tmp_path, dilation=0)
    assert np.isnan(cube.sel(band="B02")[0, 5, 5])
    assert np.isfinite(cube.sel(band="B02")[0, 5, 6])


@pytest.mark.parametrize(
    ("name", "tags", "expected"),
    [
        ("S2A_MSIL2A_{}_N0400_R094_T31UFS_20220704T135540", {}, "04.00"),
        ("S2_{}", {"processing_baseline": "04.00"}, "04.00"),
        ("S2A_MSIL2A_{}_N0212_R094_T31UFS_20220704T135540", {}, "02.12"),
    ],
)
def test_baseline_is_told_by_name_or_tag(tmp_path: Path, name: str, tags: dict[str, str], expected: str) -> None:
    for i, moment in enumerate(TIMES):
        layers = [
            (values[i] + (1000 if expected == "04.00" and band != "SCL" else 0)).astype("uint16")
            for band, values in LAYERS.items()
        ]
        write_tiff(tmp_path / f"{name.format(stamp(moment))}.tif", layers, list(LAYERS), tags=tags)
    assert list(open_raster(tmp_path)["processing_baseline"].values) == [expected] * 3
    cube = open_cube(tmp_path, dilation=0)
    np.testing.assert_allclose(cube.sel(band="B02")[0, 4, 4], LAYERS["B02"][0, 4, 4] * 1e-4, rtol=1e-5)
    assert "2." in str(cube.attrs["offset"]) or "applied here" in str(cube.attrs["offset"])


def test_flipped_axes_are_set_right_and_told(tmp_path: Path) -> None:
    flipped = {band: values[:, ::-1, ::-1] for band, values in LAYERS.items()}
    right, bottom = fakes.LEFT + 10 * SIZE, fakes.TOP - 10 * SIZE
    write_dates(tmp_path / "place", flipped, transform=Affine(-10, 0, right, 0, 10, bottom))
    cube = open_cube(tmp_path / "place", dilation=0)
    assert_same(cube, reference(tmp_path / "plain"))
    assert json.loads(cube.attrs["repairs"]) == UNDECLARED | {"x descending, flipped": 1, "y ascending, flipped": 1}


def test_a_terrain_model_and_other_layers_of_the_product_are_passed_over(tmp_path: Path) -> None:
    by_band_and_date(tmp_path)
    write_tiff(tmp_path / "dem.tif", [np.ones((SIZE, SIZE), "float32")])
    for name in ("AOT", "TCI", "B01"):
        layers = [np.ones((SIZE, SIZE), "uint8")] * (3 if name == "TCI" else 1)
        write_tiff(tmp_path / f"T31UFS_20190704T105621_{name}_10m.tif", layers)
    (tmp_path / "dem.tif.aux.xml").write_text("<PAMDataset/>")
    (tmp_path / ".hidden.tif").write_text("half a download")
    assert_same(open_cube(tmp_path, dilation=0), reference(tmp_path / "plain"))


def test_a_band_missing_at_one_date_is_refused(tmp_path: Path) -> None:
    by_band_and_date(tmp_path)
    (tmp_path / f"T31UFS_{stamp(TIMES[1])}_B05_10m.tif").unlink()
    with pytest.raises(VariableError, match=r"B05 is absent at 2019-07-09T10:56:29.*every band at every date"):
        open_cube(tmp_path)


def test_a_date_twice_is_dropped_where_equal_and_refused_where_not(tmp_path: Path) -> None:
    paths = write_dates(tmp_path, LAYERS)
    twin = paths[0].with_name(f"copy of {paths[0].name}")
    twin.write_bytes(paths[0].read_bytes())
    cube = open_cube(tmp_path, dilation=0)
    assert_same(cube, reference(tmp_path / "plain"))
    assert json.loads(cube.attrs["repairs"]) == UNDECLARED | {"layers delivered twice, equal, one left out": len(NAMES)}
    write_tiff(twin, [values[1] for values in LAYERS.values()], list(LAYERS))
    with pytest.raises(VariableError, match=r"there twice at 2019-07-04T10:56:21, with different values"):
        open_cube(tmp_path)


def test_tiles_of_one_pass_are_handed_on_to_be_mosaicked(tmp_path: Path) -> None:
    for tile, columns in (("T31UFS", slice(0, 5)), ("T31UGS", slice(5, None))):
        layers = []
        for values in LAYERS.values():
            part = np.zeros((SIZE, SIZE), "uint16")
            part[:, columns] = values[0][:, columns]
            layers.append(part)
        write_tiff(tmp_path / f"{stamp(TIMES[0])}_{tile}.tif", layers, list(LAYERS))
    assert open_raster(tmp_path).sizes["time"] == 2
    cube = open_cube(tmp_path, dilation=0)
    np.testing.assert_allclose(cube.sel(band="B02")[0], LAYERS["B02"][0] * 1e-4, rtol=1e-6)


def test_two_sites_in_one_folder_are_refused(tmp_path: Path) -> None:
    write_dates(tmp_path, LAYERS)
    for path in list(tmp_path.glob("*.tif")):
        layers = [values[0] for values in LAYERS.values()]
        write_tiff(path.with_name(f"other_{path.name}"), layers, list(LAYERS), left=fakes.LEFT + 5_000)
    with pytest.raises(GridError, match="same ground"):
        open_cube(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsg": None}, "no CRS"),
        ({"epsg": 4326}, "CRS is not in metres, the coordinates are"),
        ({"epsg": 32632, "pixel": 9e-5, "left": 7.5, "top": 50.0}, "cannot be metres"),
        ({"epsg": 2263}, "CRS is not in metres"),  # feet
        ({"transform": Affine.rotation(10) @ Affine.scale(10, -10)}, "not placed on a grid.*rotated"),
        ({"transform": Affine.identity()}, "not placed on a grid.*no geotransform"),
    ],
)
def test_a_wrong_crs_or_grid_is_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    write_dates(tmp_path, LAYERS, **options)
    with pytest.raises(GridError, match=message):
        open_raster(tmp_path)


@pytest.mark.parametrize("epsg", [4326, 3857])
def test_a_grid_that_is_not_of_metres_on_the_ground_is_put_on_utm_and_told(tmp_path: Path, epsg: int) -> None:
    from pyproj import Transformer

    size, pixel = 40, {4326: 9e-5, 3857: 15.5}[epsg]
    to = Transformer.from_crs(fakes.EPSG, epsg, always_xy=True)
    left, top = to.transform(fakes.LEFT, fakes.TOP)
    back = Transformer.from_crs(epsg, fakes.EPSG, always_xy=True)
    columns, rows = np.meshgrid(left + pixel * (np.arange(size) + 0.5), top - pixel * (np.arange(size) + 0.5))
    east, north = back.transform(columns, rows)  # every pixel holds its own place
    layers = [(east - fakes.LEFT + 1000).astype("uint16"), (fakes.TOP - north + 1000).astype("uint16")]
    write_tiff(tmp_path / "20190704.tif", layers, ["B02", "B03"], epsg=epsg, pixel=pixel, left=left, top=top)
    with pytest.warns(UserWarning, match=rf"grid in EPSG:{epsg} put on 10 m pixels of EPSG:32632 by nearest neighbour"):
        raster = open_raster(tmp_path)
    assert raster.rio.crs.to_epsg() == 32632
    assert set(np.diff(raster["x"])) == {10.0}
    assert set(np.diff(raster["y"])) == {-10.0}
    assert float(raster["x"][0] - 5) % 20 == 0
    found = raster["B02"].values[0] + fakes.LEFT - 1000.0 - raster["x"].values[None, :]
    below = fakes.TOP + 1000.0 - raster["B03"].values[0] - raster["y"].values[:, None]
    (reason,) = json.loads(raster.attrs["repairs"])
    told = float(reason.rsplit("up to ", 1)[1].split()[0])
    assert np.hypot(found, below).max() <= told + 1.5 < 12  # to the metre of the whole numbers
    assert raster.sizes["x"] >= 0.8 * size * (0.64 if epsg == 4326 else 1.0)


@settings(max_examples=40, deadline=None)
@given(
    longitude=st.floats(-180, 180),
    latitude=st.floats(-75, 75),
    size=st.integers(24, 48),
    pixel=st.sampled_from([9e-5, 1.8e-4]),
)
@pytest.mark.filterwarnings("ignore:.*by nearest neighbour")
def test_a_grid_in_degrees_is_moved_by_less_than_a_pixel_anywhere(
    longitude: float, latitude: float, size: int, pixel: float
) -> None:
    from pyproj import Transformer

    steps = (np.arange(size) - size / 2) * pixel
    x, y = longitude + steps / np.cos(np.radians(latitude)), latitude - steps
    rows, columns = np.indices((size, size))
    data = {name: (("time", "y", "x"), values[None]) for name, values in (("B02", columns), ("B03", rows))}
    raster = xr.Dataset(data, {"time": TIMES[:1].astype("datetime64[ns]"), "y": y, "x": x})
    moved = grids.finish(raster, grids.read_crs(4326, "place"), "place")
    side = 10.0 if pixel < 1e-4 else 20.0
    assert set(np.diff(moved["x"])) == {side}
    assert set(np.diff(moved["y"])) == {-side}
    east, north = Transformer.from_crs(4326, moved.rio.crs, always_xy=True).transform(
        x[moved["B02"].values[0]], y[moved["B03"].values[0]]
    )
    shift = np.hypot(east - moved["x"].values, north - moved["y"].values[:, None])
    (reason,) = json.loads(moved.attrs["repairs"])
    assert shift.max() <= float(reason.rsplit("up to ", 1)[1].split()[0]) + 0.05 < 0.8 * side
    assert min(moved.sizes["x"], moved.sizes["y"]) >= size - 8


def test_names_that_tell_half_ask_for_a_description(tmp_path: Path) -> None:
    layers = [values[0] for values in LAYERS.values()]
    with pytest.raises(ProductError, match=r"bands without a date.*Write place.toml"):
        open_raster(write_tiff(tmp_path / "place.tif", layers, list(LAYERS)))
    with pytest.raises(ProductError, match=r"neither the layers.*Write 20190704.toml"):
        open_raster(write_tiff(tmp_path / "a" / "20190704.tif", layers))
    with pytest.raises(ProductError, match="neither the layers"):
        open_raster(write_tiff(tmp_path / "b" / "gray.tif", layers[:1]))
    with pytest.raises(ProductError, match="neither the layers"):
        open_cube(tmp_path / "b")


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('bands = ["B02"]', "11 layers; expected 1 bands x 1 dates"),
        ('bandes = ["B02"]', "Did you mean 'bands'"),
        (f'bands = {json.dumps(NAMES)}\ndates = ["tomorrow"]', "no date"),
        ("bands = [", "not valid TOML"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path: Path, toml: str, message: str) -> None:
    write_tiff(tmp_path / "20190704.tif", [values[0] for values in LAYERS.values()])
    (tmp_path / "20190704.toml").write_text(toml)
    with pytest.raises(ConfigError, match=message):
        open_raster(tmp_path)


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    paths = write_dates(tmp_path, LAYERS)
    fakes.truncate(paths[1], 0.3)
    with pytest.raises(FileError, match=rf"{paths[1].name}: the raster is truncated, damaged or no GeoTIFF"):
        open_cube(tmp_path)
    paths[1].write_text("an error page")
    with pytest.raises(FileError, match="no GeoTIFF"):
        open_cube(tmp_path)
    with pytest.raises(FileError, match="no such file"):
        open_cube(tmp_path / "absent_20190704_B02.tif")


def test_a_virtual_raster_in_disguise_opens_nothing(tmp_path: Path) -> None:
    secret = write_tiff(tmp_path / "elsewhere" / "secret.tif", [np.ones((SIZE, SIZE), "uint16")])
    (tmp_path / "B02_20190704.tif").write_text(
        f'<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(FileError, match="no GeoTIFF"):
        open_raster(tmp_path / "B02_20190704.tif")


def test_a_file_that_declares_a_huge_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    import rasterio

    whole = {"width": 60_000, "height": 60_000, "count": 1, "tiled": True}
    block = {"width": 8, "height": 8, "count": 11, "tiled": True, "blockxsize": 16_384, "blockysize": 16_384}
    for name, shape, message in (("whole", whole, r"6\.7 GiB.*Cut it"), ("block", block, r"one block.*5\.5 GiB")):
        path = tmp_path / f"B02_20190704_{name}.tif"
        placed = {"crs": "EPSG:32632", "transform": Affine(10, 0, 6e5, 0, -10, 5e6), "dtype": "uint16"}
        profile = {**placed, **shape, "SPARSE_OK": True, "interleave": "pixel"}
        with rasterio.open(path, "w", driver="GTiff", **profile) as file:
            file.set_band_description(1, "B02")
        assert path.stat().st_size < 1 << 20
        with pytest.raises(GridError, match=message):
            open_raster(path)


def test_numbers_of_two_kinds_are_refused(tmp_path: Path) -> None:
    paths = write_dates(tmp_path, LAYERS)
    write_tiff(paths[1], [values[1].astype("float32") * 1e-4 for values in LAYERS.values()], list(LAYERS))
    with pytest.raises(ProductError, match="whole numbers at some dates and not at others"):
        open_cube(tmp_path)


def test_provenance_hashes_the_stack_and_its_description(tmp_path: Path) -> None:
    silent_files_described_at_once(tmp_path)
    before = fingerprint(sources(tmp_path)[0])
    (tmp_path / "unrelated.txt").write_text("x")
    assert fingerprint(sources(tmp_path)[0]) == before
    assert before in open_cube(tmp_path).attrs["provenance"]
    (tmp_path / "stack.toml").write_text((tmp_path / "stack.toml").read_text() + 'processing_baseline = "02.12"\n')
    assert fingerprint(sources(tmp_path)[0]) != before


@settings(max_examples=60, deadline=None)
@given(
    day=st.dates(min_value=np.datetime64("2015-06-23").item(), max_value=np.datetime64("2035-12-31").item()),
    seconds=st.integers(0, 86_399),
    pattern=st.sampled_from(["%Y%m%dT%H%M%S", "%Y-%m-%dT%H:%M:%S", "%Y%jT%H%M%S", "%Y%m%d%H%M%S"]),
    band=st.sampled_from(NAMES),
    form=st.sampled_from(["{band}_{time}", "{time}_{band}", "T31UFS_{time}_{band}_10m", "S2A.{time}.v2.0.{band}"]),
)
def test_any_date_and_band_is_found_in_any_spelling(day, seconds, pattern, band, form) -> None:  # type: ignore[no-untyped-def]
    from datetime import datetime, timedelta

    moment = datetime(day.year, day.month, day.day) + timedelta(seconds=seconds)
    name = form.format(time=moment.strftime(pattern), band=band)
    assert find_time(name) == np.datetime64(moment, "s")
    assert find_band(name) == band


def test_a_stack_is_read_alike_whatever_the_order_of_its_files(tmp_path: Path) -> None:
    by_band_and_date(tmp_path)
    files = sorted(tmp_path.glob("*.tif"))
    xr.testing.assert_equal(open_cube(files), open_cube(files[::-1]))


@pytest.mark.parametrize("turn", [0.0, 360.0])
@pytest.mark.filterwarnings("ignore:.*by nearest neighbour")
def test_a_grid_in_degrees_goes_on_across_the_antimeridian(turn: float) -> None:
    size = 40
    x, y = 179.998 + 1e-4 * np.arange(size), -17 - 1e-4 * np.arange(size)
    columns = np.broadcast_to(np.arange(size), (1, size, size))
    told = np.where(x > 180, x - 360, x) if turn else x
    raster = xr.Dataset({"B02": (("time", "y", "x"), columns)}, {"time": TIMES[:1], "y": y, "x": told})
    moved = grids.finish(raster, grids.read_crs(4326, "place"), "place")
    (reason,) = json.loads(moved.attrs["repairs"])
    assert float(reason.rsplit("up to ", 1)[1].split()[0]) < 10
    assert set(np.unique(np.diff(moved["B02"].values[0], axis=1))) <= {0, 1, 2}
    assert np.ptp(moved["B02"].values) > 30


def test_a_file_for_each_band_with_its_dates_as_layers(tmp_path: Path) -> None:
    for band, values in LAYERS.items():
        write_tiff(tmp_path / f"{band}.tif", list(values), [str(moment) for moment in TIMES])
    assert_same(open_cube(tmp_path, dilation=0), reference(tmp_path / "plain"))


def test_a_folder_for_each_date_is_told_how_to_be_given(tmp_path: Path) -> None:
    for i, moment in enumerate(TIMES):
        folder = tmp_path / stamp(moment)
        write_tiff(folder / f"S2_{stamp(moment)}.tif", [values[i] for values in LAYERS.values()], list(LAYERS))
    with pytest.raises(FileError, match=r"rasters in the subfolders 20190704T105621.*Give them as a list"):
        open_cube(tmp_path)
    assert_same(open_cube(tmp_path.glob("*/*.tif"), dilation=0), reference(tmp_path / "plain"))


def test_bands_that_the_coarser_folder_holds_again_are_taken_from_the_finer(tmp_path: Path) -> None:
    """As in Sentinel-2's R10m and R20m."""
    fine = ("B02", "B03", "B04", "B08")
    for i, moment in enumerate(TIMES):
        for band, values in LAYERS.items():
            name = f"T31UFS_{stamp(moment)}_{band}"
            if band in fine:
                write_tiff(tmp_path / f"{name}_10m.tif", [values[i]])
            if band != "B08":
                write_tiff(tmp_path / f"{name}_20m.tif", [values[i, ::2, ::2]], pixel=20)
    cube = open_cube(tmp_path, dilation=0)
    expected = reference(tmp_path / "plain")
    clear = LAYERS["SCL"][:, ::2, ::2].repeat(2, 1).repeat(2, 2) == 4
    for band in fine:
        plain = np.where(clear, LAYERS[band] * np.float32(1e-4), np.nan)
        np.testing.assert_allclose(cube.sel(band=band), np.where(plain == 0, np.nan, plain), atol=1e-6)
    assert cube.sizes == expected.sizes
    assert json.loads(cube.attrs["repairs"])["images delivered in coarser pixels, too, left out"] == 9


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2019-07-04T12:56:21+02:00", "2019-07-04T10:56:21"),
        ("2019-07-04T23:56:21.024-05:00", "2019-07-05T04:56:21"),
        ("2016-12-31T23:59:60", "2016-12-31T23:59:59"),
        ("20190704T105621-20190705", "2019-07-04T10:56:21"),
        ("2044-02-29", "2044-02-29T00:00:00"),
    ],
)
def test_time_zones_and_leap_seconds(text: str, moment: str) -> None:
    assert str(find_time(text)) == moment
