"""HLS as the archive delivers it: a GeoTIFF for each band, L30 and S30 under names that mean other bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from ecoembed import open_cube
from ecoembed.archives.satellite.hls import open_hls
from ecoembed.errors import ProductError, VariableError
from ecoembed.sensors import HLS
from tests.archives import fakes

GRANULES = ("HLS.L30.T32UPU.2019151T101530.v2.0", "HLS.S30.T32UPU.2019152T103031.v2.0")
#: Reflectance of BLUE, GREEN, RED, NIR, SWIR1, SWIR2.
TRUTH = (0.03, 0.06, 0.05, 0.35, 0.22, 0.12)
SIZE = 6


def write_tif(path: Path, values: np.ndarray, nodata: int | None, crs: str, top: float) -> None:
    profile = {"driver": "GTiff", "width": SIZE, "height": SIZE, "count": 1, "dtype": values.dtype, "nodata": nodata}
    place = from_origin(fakes.LEFT, top, 30, 30)
    with rasterio.open(path, "w", crs=crs, transform=place, **profile) as tif:
        tif.write(values, 1)


def write_granules(
    folder: Path, nodata: int | None = -9999, fmask: int = 64, crs: str = f"EPSG:{fakes.EPSG}", top: float = fakes.TOP
) -> None:
    names = {"L30": ("B02", "B03", "B04", "B05", "B06", "B07"), "S30": ("B02", "B03", "B04", "B8A", "B11", "B12")}
    for granule in GRANULES:
        for band, reflectance in zip(names[granule[4:7]], TRUTH, strict=True):
            values = np.full((SIZE, SIZE), round(reflectance * 1e4), dtype="int16")
            values[0, 0] = -9999
            write_tif(folder / f"{granule}.{band}.tif", values, nodata, crs, top)
        bits = np.full((SIZE, SIZE), fmask, dtype="uint8")
        bits[0, 0], bits[5, 5] = 255, 64 + 2
        write_tif(folder / f"{granule}.Fmask.tif", bits, 255, crs, top)
    write_tif(
        folder / f"{GRANULES[1]}.B05.tif", np.full((SIZE, SIZE), 2000, dtype="int16"), nodata, crs, top
    )  # red edge


@pytest.mark.parametrize("nodata", [-9999, None])
def test_granules_of_both_satellites_are_one_cube(tmp_path: Path, nodata: int | None) -> None:
    write_granules(tmp_path, nodata)
    cube = open_cube(tmp_path, "HLS", dilation=0)
    assert tuple(cube["band"].values) == HLS.band_names
    np.testing.assert_array_equal(
        cube["time"].values.astype("datetime64[s]").astype(str), ["2019-05-31T10:15:30", "2019-06-01T10:30:31"]
    )
    assert cube.shape == (2, 6, 18, 18)  # 30 m pixels are nine of 10 m
    np.testing.assert_allclose(
        cube[:, :, 3:15, 3:15], np.broadcast_to(np.array(TRUTH)[None, :, None, None], (2, 6, 12, 12)), atol=1e-6
    )
    missing = cube.isnull().all("band").values
    assert missing[:, :3, :3].all()  # no data
    assert missing[:, 15:, 15:].all()  # cloud
    assert missing.sum() == 2 * 18


def test_snow_is_no_clear_view_and_water_is(tmp_path: Path) -> None:
    write_granules(tmp_path, fmask=32)
    assert open_cube(tmp_path, "HLS", dilation=0).notnull().any()
    write_granules(tmp_path, fmask=16)
    with pytest.raises(VariableError, match="no date with enough valid pixels"):
        open_cube(tmp_path, "HLS", dilation=0)


#: As HLS files state their CRS: the ellipsoid's name, and no datum.
NAMELESS = (
    'PROJCS["UTM Zone 32, {} Hemisphere",GEOGCS["Unknown datum based upon the WGS 84 ellipsoid",'
    'DATUM["Not specified (based on WGS 84 spheroid)",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],'
    'PARAMETER["central_meridian",9],PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],'
    'PARAMETER["false_northing",{}],UNIT["metre",1]]'
)


@pytest.mark.parametrize(
    ("crs", "top", "epsg", "expected"),
    [
        ("EPSG:32632", -1_200_000, 32732, 8_800_000),
        (NAMELESS.format("Northern", 0), -1_200_000, 32732, 8_800_000),
        (NAMELESS.format("Southern", 10_000_000), 8_800_000, 32732, 8_800_000),
        (NAMELESS.format("Northern", 0), 5_400_000, 32632, 5_400_000),
        ("EPSG:32732", 8_800_000, 32732, 8_800_000),
    ],
)
def test_the_crs_is_that_of_sentinel_2_however_it_is_stated(
    tmp_path: Path, crs: str, top: float, epsg: int, expected: float
) -> None:
    """South of the equator the zones of Landsat stay northern, with negative northings."""
    write_granules(tmp_path, crs=crs, top=top)
    cube = open_cube(tmp_path, "HLS")
    assert cube.rio.crs.to_epsg() == epsg
    np.testing.assert_allclose(cube["y"], expected - 5 - 10 * np.arange(18))
    assert ("put on the southern" in cube.attrs["repairs"]) == (top < 0)


def test_hls_is_never_read_as_sentinel_2(tmp_path: Path) -> None:
    """Though L30 has six of its names, and B05 is near infrared there."""
    write_granules(tmp_path)
    with pytest.raises(ProductError, match="Sentinel-2"):
        open_cube(tmp_path, "S2_L2A")


def test_our_own_names_need_no_product(tmp_path: Path) -> None:
    layers = {band: np.full((2, 4, 4), 1500, dtype="int16") for band in HLS.band_names}
    path = fakes.write_raster(tmp_path / "a.nc", layers, fakes.times(2), resolution=30)
    raster = open_hls(path)
    assert set(raster.data_vars) == set(HLS.band_names)
    np.testing.assert_allclose(raster["SWIR2"], 0.15, atol=1e-6)
    assert "product" not in raster.attrs


def test_a_fill_value_in_floating_point_is_missing_even_if_undeclared(tmp_path: Path) -> None:
    layers = {band: np.full((2, 4, 4), 0.15, dtype="float32") for band in HLS.band_names}
    layers["RED"][0, 0, 0] = -9999.0
    path = fakes.write_raster(tmp_path / "a.nc", layers, fakes.times(2), resolution=30)
    assert int(np.isnan(open_hls(path)["RED"]).sum()) == 1


def test_product_in_an_attribute_is_as_good_as_in_the_name(tmp_path: Path) -> None:
    layers = {band: np.full((2, 4, 4), 1500, dtype="int16") for band in ("B04", "B8A")}
    attrs: dict[str, object] = {"title": "HLSS30.020 for aid0001"}  # as AppEEARS writes
    raster = open_hls(fakes.write_raster(tmp_path / "a.nc", layers, fakes.times(2), resolution=30, attrs=attrs))
    assert set(raster.data_vars) == {"RED", "NIR"}
    assert raster.attrs["product"] == "HLSS30"
