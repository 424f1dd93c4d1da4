"""What the numbers of a stranger's file mean: rightly read, repaired and counted, or refused; never silently wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ecoembed import open_cube
from ecoembed.errors import ProductError, UnitError
from tests.archives import fakes
from tests.archives.formats import TIMES, assert_same, numbers, reference, stamp, write_tiff

LAYERS = numbers()
BANDS = [name for name in LAYERS if name != "SCL"]


def written(folder: Path, change: dict[str, np.ndarray], **attrs: float) -> Path:
    """One NetCDF file of the place, of which nothing is declared but `attrs`, with `change` instead of its bands."""
    path = fakes.write_raster(
        folder / "s2.nc", LAYERS | change, TIMES.astype("datetime64[ns]"), resolution=10, band_attrs=attrs
    )
    with xr.open_dataset(path, mask_and_scale=False) as stored:
        plain = stored.load()
    for band in BANDS:
        plain[band].attrs.pop("_FillValue", None)
        plain[band].encoding["_FillValue"] = None
    plain.to_netcdf(path)
    return path


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [("int16", -9999), ("int16", -32768), ("uint16", 65535), ("float32", -9999.0), ("float64", 9.96921e36)],
)
def test_a_fill_value_that_nothing_declares_is_missing_and_counted(tmp_path: Path, dtype: str, fill: float) -> None:
    expected = reference(tmp_path / "plain")
    change = {band: np.where(LAYERS[band] == 0, 1, LAYERS[band]).astype(dtype) for band in BANDS}
    for values in change.values():
        values[:, :2] = fill
    cube = open_cube(written(tmp_path, change), dilation=0)
    assert cube.values[:, :, :2].size == np.isnan(cube.values[:, :, :2]).sum()
    np.testing.assert_allclose(cube.values[2, :, 2:], expected.values[2, :, 2:], atol=1e-6)
    (reason,) = json.loads(cube.attrs["repairs"])
    assert "made missing" in reason
    assert json.loads(cube.attrs["repairs"])[reason] == 10 * 3 * 2 * 8


def test_what_could_be_a_value_is_none_of_the_usual_fills(tmp_path: Path) -> None:
    backscatter = np.full((3, 8, 8), -100_000, dtype="int32")
    backscatter[:, 0] = -32_768  # -3.3 dB
    layers = {"VV": backscatter, "VH": backscatter - 60_000}
    path = fakes.write_raster(
        tmp_path / "s1.nc", layers, TIMES.astype("datetime64[ns]"), resolution=10, band_attrs={"scale_factor": 1e-4}
    )
    cube = open_cube(path, "S1")
    np.testing.assert_allclose(cube.sel(band="VV")[:, 0], -3.2768, atol=1e-5)


def test_zero_in_all_bands_is_outside_the_image_and_in_one_it_is_dark(tmp_path: Path) -> None:
    change = {band: (np.where(LAYERS[band] == 0, 1, LAYERS[band]) * 1e-4).astype("float32") for band in BANDS}
    for values in change.values():
        values[:, 0] = 0.0
    change["B12"][:, 4] = 0.0
    cube = open_cube(written(tmp_path, change), dilation=0)
    assert np.isnan(cube.values[:, :, 0]).all()
    assert (cube.sel(band="B12").values[:, 4] == 0).all()
    assert json.loads(cube.attrs["repairs"]) == {"zero in all bands, made missing": 10 * 3 * 8}


@pytest.mark.parametrize("scale", [0.01, 0.1])
def test_a_scale_that_nothing_tells_is_asked_for(tmp_path: Path, scale: float) -> None:
    percent = {band: (np.clip(LAYERS[band], 1, 500) * scale).astype("float32") for band in BANDS}
    with pytest.raises(UnitError, match=r"scale of B02 is not declared, and the values do not tell it.*scale_factor"):
        open_cube(written(tmp_path, percent))
    assert float(open_cube(written(tmp_path, percent, scale_factor=1e-4 / scale)).max()) <= 0.05 + 1e-6


def test_dates_in_two_scales_are_named(tmp_path: Path) -> None:
    mixed = {band: LAYERS[band].astype("float32") for band in BANDS}
    for values in mixed.values():
        values[2] *= 1e-4
    with pytest.raises(UnitError, match=r"at 2019-07-14T10:56:21.*keep dates of two scales apart"):
        open_cube(written(tmp_path, mixed))


def test_an_offset_that_is_declared_but_not_in_the_values_is_refused(tmp_path: Path) -> None:
    dark = {band: np.clip(LAYERS[band], 1, 600).astype("uint16") for band in BANDS}
    with pytest.raises(UnitError, match=r"offset of baseline 04\.00.*Set add_offset to 0"):
        open_cube(written(tmp_path, dark, scale_factor=1e-4, add_offset=-0.1))


def test_a_scale_of_the_wrong_sign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match=r"reflectance below -0\.2"):
        open_cube(written(tmp_path, {}, scale_factor=-1e-4))


def test_text_is_no_band(tmp_path: Path) -> None:
    path = written(tmp_path, {})
    with xr.open_dataset(path, mask_and_scale=False) as stored:
        plain = stored.load()
    plain["B04"] = plain["B04"].astype(str)
    plain.to_netcdf(path)
    with pytest.raises(ProductError, match="B04 is not of real numbers"):
        open_cube(path)


def backscatter(folder: Path, db: np.ndarray) -> None:
    for i, moment in enumerate(TIMES):
        write_tiff(folder / f"S1_{stamp(moment)}.tif", [db[i], db[i] - np.float32(7)], ["VV", "VH"])


def test_radar_dates_in_two_units_are_named(tmp_path: Path) -> None:
    db = np.full((3, 8, 8), -10, dtype="float32")
    for i, moment in enumerate(TIMES):
        layers = [db[i], db[i] - 7] if i else [10 ** (db[i] / 10), 10 ** (db[i] / 10 - 0.7)]
        write_tiff(tmp_path / f"S1_{stamp(moment)}.tif", layers, ["VV", "VH"])
    with pytest.raises(UnitError, match=r"dB at some dates and linear power at others.*2019-07-04T10:56:21"):
        open_cube(tmp_path, "S1")


def test_radar_in_hundredths_of_a_db_is_not_taken_for_db(tmp_path: Path) -> None:
    backscatter(tmp_path, np.full((3, 8, 8), -1000, dtype="float32"))
    with pytest.raises(UnitError, match="not backscatter in dB"):
        open_cube(tmp_path, "S1")


def test_zero_db_is_no_backscatter(tmp_path: Path) -> None:
    db = np.full((3, 8, 8), -10, dtype="float32")
    db[:, 0] = 0.0
    backscatter(tmp_path, db)
    cube = open_cube(tmp_path, "S1")
    assert np.isnan(cube.sel(band="VV")[:, 0]).all()
    assert json.loads(cube.attrs["repairs"]) == {"exactly zero, which is no backscatter: missing": 24}


def test_amplitude_that_nothing_declares_is_warned_of(tmp_path: Path) -> None:
    amplitude = np.full((3, 8, 8), 10 ** (-10 / 20), dtype="float32")
    for i, moment in enumerate(TIMES):
        write_tiff(tmp_path / f"S1_{stamp(moment)}.tif", [amplitude[i], amplitude[i] / 2], ["VV", "VH"])
    with pytest.warns(UserWarning, match=r"VH of -8\.0 dB .*they may be amplitude"):
        open_cube(tmp_path, "S1")


def test_a_strangers_attribute_called_repairs_tells_nothing(tmp_path: Path) -> None:
    paths = [
        fakes.write_raster(
            tmp_path / f"S2_{i}.nc",
            {name: values[i : i + 1] for name, values in LAYERS.items()},
            TIMES[i : i + 1].astype("datetime64[ns]"),
            resolution=10,
            attrs={"repairs": "roof, 2019"},
        )
        for i in range(3)
    ]
    assert_same(open_cube(paths, dilation=0), reference(tmp_path / "plain"))
    assert_same(open_cube(paths[2], dilation=0), reference(tmp_path / "plain").isel(time=[2]))
