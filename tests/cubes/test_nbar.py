from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from ecoembed import open_cube
from ecoembed.cubes.nbar import COEFFICIENTS, c_factor
from ecoembed.errors import ConfigError, VariableError
from ecoembed.sensors import S2_L2A
from tests.archives import fakes

ANGLES = {"sunZenithAngles": 42.0, "sunAzimuthAngles": 161.0, "viewZenithMean": 8.1, "viewAzimuthMean": 104.9}


def test_every_band_of_the_sensor_has_coefficients() -> None:
    assert set(COEFFICIENTS) == set(S2_L2A.band_names)


def test_agrees_with_sen2nbar() -> None:
    """On 2000 geometries, far beyond those of Sentinel-2; sen2nbar has no B8A."""
    axioms = pytest.importorskip("sen2nbar.axioms")
    brdf: Callable[..., xr.DataArray] = pytest.importorskip("sen2nbar.brdf").brdf
    rng = np.random.default_rng(4)
    n = 2000
    sun, view = rng.uniform(0.5, 80.0, n), rng.uniform(0.0, 40.0, n)
    azimuth = rng.uniform(-360.0, 360.0, n)
    s, v, a = (xr.DataArray(values, dims="n") for values in (sun, view, azimuth))
    theirs = brdf(s, v * 0, a) / brdf(s, v, a)
    assert list(theirs["band"].values) == list(axioms.fiso)
    for band in axioms.fiso:
        np.testing.assert_allclose(c_factor(band, sun, view, azimuth), theirs.sel(band=band), rtol=0, atol=1e-6)
        assert COEFFICIENTS[band] == tuple(getattr(axioms, f)[band] for f in ("fiso", "fgeo", "fvol"))
    assert COEFFICIENTS["B8A"] == COEFFICIENTS["B08"]


zenith = st.floats(0.0, 75.0)


@given(band=st.sampled_from(S2_L2A.band_names), sun=zenith, view=st.floats(0.0, 20.0), azimuth=st.floats(0.0, 360.0))
def test_symmetries(band: str, sun: float, view: float, azimuth: float) -> None:
    assert c_factor(band, sun, 0.0, azimuth) == pytest.approx(1.0, abs=1e-12)
    factor = c_factor(band, sun, view, azimuth)
    assert c_factor(band, sun, view, -azimuth) == pytest.approx(factor, rel=1e-7)
    assert c_factor(band, sun, view, azimuth + 360.0) == pytest.approx(factor, rel=1e-6)
    assert 0.5 < factor < 2.0


def test_the_sunlit_side_is_darkened_and_the_shaded_one_brightened() -> None:
    for band in S2_L2A.band_names:
        assert c_factor(band, 40.0, 8.0, 0.0) < 1.0 < c_factor(band, 40.0, 8.0, 180.0)


def place(folder: Path, without: str = "") -> Path:
    """Bands at 10 m and at 20 m in two files; the angles only in the latter, as WorldCereal delivers them."""
    paths = fakes.write_place(folder)
    with xr.open_dataset(paths["20m"], mask_and_scale=False, decode_times=False) as opened:
        raster = opened.load()
    for name, value in ANGLES.items():
        if name != without:
            raster[name] = ("timestamp", np.linspace(value, value + 5, 6, dtype="float32"), {"_FillValue": 0.0})
    raster.to_netcdf(paths["20m"])
    return paths["20m"]


def test_a_cube_as_seen_from_nadir(tmp_path: Path) -> None:
    place(tmp_path)
    seen, nadir = open_cube(tmp_path), open_cube(tmp_path, nbar=True)
    assert seen.attrs["nbar"] == "none"
    assert nadir.attrs["nbar"].startswith("c-factor of Roy et al. 2016")
    step = np.linspace(0, 5, 6)
    for band in S2_L2A.band_names:
        factor = c_factor(band, 42.0 + step, 8.1 + step, 161.0 - 104.9)
        expected = seen.sel(band=band) * factor[:, None, None]
        np.testing.assert_allclose(nadir.sel(band=band), expected, rtol=1e-5)


def test_angles_as_attributes_of_each_file(tmp_path: Path) -> None:
    layers = fakes.numbers(1, 4, S2_L2A.band_names) | {"SCL": np.full((1, 4, 4), 4, dtype="uint8")}
    fakes.write_raster(tmp_path / "a.nc", layers, fakes.times(1), resolution=10, attrs=ANGLES)
    seen, nadir = open_cube(tmp_path), open_cube(tmp_path, nbar=True)
    factor = c_factor("B04", 42.0, 8.1, 161.0 - 104.9)
    np.testing.assert_allclose(nadir.sel(band="B04"), seen.sel(band="B04") * factor, rtol=1e-5)


@pytest.mark.parametrize("without", list(ANGLES))
def test_an_absent_angle_is_named_with_its_file(tmp_path: Path, without: str) -> None:
    path = place(tmp_path, without)
    with pytest.raises(VariableError, match=rf"{path.name}.*NBAR needs the angle {without}.*6 of 6 acquisitions"):
        open_cube(tmp_path, nbar=True)


def test_an_impossible_angle_is_refused(tmp_path: Path) -> None:
    path = place(tmp_path)
    with xr.open_dataset(path, mask_and_scale=False, decode_times=False) as opened:
        raster = opened.load()
    for zero in (0.0, 95.0):  # the fill value, and the sun below the horizon
        raster["sunZenithAngles"][3] = zero
        raster.to_netcdf(path)
        with pytest.raises(VariableError, match=r"sunZenithAngles.*2019-03-16.*1 of 6"):
            open_cube(tmp_path, nbar=True)


def test_other_sensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nbar is for Sentinel-2"):
        open_cube(tmp_path, "S1", nbar=True)


def test_nothing_of_the_oracle_is_imported_at_run_time() -> None:
    source = Path(sys.modules["ecoembed.cubes.nbar"].__file__ or "").read_text()
    assert "sen2nbar" not in source
