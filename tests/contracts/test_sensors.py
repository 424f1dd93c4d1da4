"""What every sensor must keep, whatever its files look like.

A new sensor is one entry in ``ecoembed/sensors.py``, one reader, and one class here: it derives from `SensorContract`
and says how its product looks on disk, in one method.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pyproj import CRS

from ecoembed import open_cube
from ecoembed.archives.satellite.backscatter import to_power
from ecoembed.cubes.store import load_cube, save_cubes
from ecoembed.errors import FileError, ProductError, VariableError
from ecoembed.schema import check_cube
from ecoembed.sensors import HLS, S1, S2_L2A, Sensor
from tests.archives import fakes

#: Side of the blocks in which the truth is drawn, in m: pixels of 10, 20 and 30 m divide it.
BLOCK, BLOCKS, DATES = 60, 4, 5


def write_netcdf(
    path: Path, truth: xr.Dataset, layers: Mapping[str, np.ndarray], resolution: float, **attrs: Any
) -> None:
    """Write `layers` (time, y, x), drawn in blocks, as pixels of `resolution` in m, ordered as the truth."""
    parts = round(BLOCK / resolution)
    within = (np.arange(parts) - (parts - 1) / 2) * resolution
    axes = {
        axis: (truth[axis].values[:, None] + within * np.sign(truth[axis].values[1] - truth[axis].values[0])).ravel()
        for axis in ("y", "x")
    }
    raster = xr.Dataset(
        {name: (("t", "y", "x"), values.repeat(parts, 1).repeat(parts, 2)) for name, values in layers.items()},
        coords={"t": truth["time"].values, **axes},
        attrs=attrs,
    )
    raster["spatial_ref"] = ((), 0, {"crs_wkt": CRS.from_epsg(fakes.EPSG).to_wkt()})
    raster.to_netcdf(path, encoding={"t": {"units": "seconds since 2015-01-01", "dtype": "int64"}})


class SensorContract:
    """Subclasses state `sensor`, codes of its classification that are clear and that are not, and how to `write`."""

    sensor: Sensor
    clear: tuple[int, ...] = ()
    unclear: tuple[int, ...] = ()
    #: Error of one number as the files hold it, in the unit of the cube.
    precision = 1e-4

    def write(self, folder: Path, truth: xr.Dataset) -> None:
        """Write files that hold `truth`, as the archive delivers this sensor.

        `truth` is over (time, y, x), in blocks of 60 m, times as they come and not in order: each band in the unit of
        the cube, NaN where missing, and ``quality`` (codes of the classification).
        """
        raise NotImplementedError

    def truth(self, **attrs: Any) -> xr.Dataset:
        rng = np.random.default_rng(0)
        low, high = (-24.0, -3.0) if self.sensor.unit == "dB" else (0.02, 0.6)
        shape = (DATES, BLOCKS, BLOCKS)
        bands = {band: np.round(rng.uniform(low, high, shape), 4) for band in self.sensor.band_names}
        days = pd.to_datetime(["2019-06-11", "2019-05-01", "2019-07-31", "2019-05-06", "2019-06-16"])
        quality = rng.choice(self.clear, shape) if self.clear else np.zeros(shape, dtype=int)
        return xr.Dataset(
            {name: (("time", "y", "x"), values) for name, values in {**bands, "quality": quality}.items()},
            coords={
                "time": (days + pd.Timedelta("10h30min21s")).to_numpy("datetime64[ns]"),
                "y": fakes.TOP - (np.arange(BLOCKS) + 0.5) * BLOCK,
                "x": fakes.LEFT + (np.arange(BLOCKS) + 0.5) * BLOCK,
            },
            attrs=attrs,
        )

    def opened(self, folder: Path, truth: xr.Dataset) -> xr.DataArray:
        self.write(folder, truth)
        return open_cube(folder, self.sensor.name, dilation=0)

    def expected(self, truth: xr.Dataset) -> np.ndarray:
        """The truth's values, in order of time, from north to south, on 10 m pixels."""
        ordered = truth.sortby("time").sortby("y", ascending=False)
        values = np.stack([ordered[band].values for band in self.sensor.band_names], axis=1)
        return values.repeat(BLOCK // 10, 2).repeat(BLOCK // 10, 3)

    def test_the_cube_keeps_its_contract(self, tmp_path: Path) -> None:
        cube = check_cube(self.opened(tmp_path, self.truth()), self.sensor.name)
        assert cube.dtype == "float32"
        assert tuple(cube["band"].values) == self.sensor.band_names
        assert (cube.attrs["sensor"], cube.attrs["units"]) == (self.sensor.name, self.sensor.unit)
        assert cube.rio.crs.to_epsg() == fakes.EPSG

    def test_scale_and_offset_are_applied_exactly_once(self, tmp_path: Path) -> None:
        truth = self.truth()
        np.testing.assert_allclose(self.opened(tmp_path, truth), self.expected(truth), atol=self.precision)

    def test_pixels_lie_where_the_file_puts_them(self, tmp_path: Path) -> None:
        cube = self.opened(tmp_path, self.truth())
        n = BLOCK * BLOCKS // 10
        np.testing.assert_allclose(cube["x"], fakes.LEFT + 5 + 10 * np.arange(n))
        np.testing.assert_allclose(cube["y"], fakes.TOP - 5 - 10 * np.arange(n))

    def test_times_are_utc_and_sorted(self, tmp_path: Path) -> None:
        truth = self.truth()
        cube = self.opened(tmp_path, truth)
        assert cube["time"].dtype == "datetime64[ns]"
        np.testing.assert_array_equal(cube["time"], np.sort(truth["time"].values))

    def test_a_file_from_south_to_north_is_the_same_cube_and_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "flipped").mkdir()
        flipped = self.opened(tmp_path / "flipped", self.truth().sortby("y"))
        assert json.loads(flipped.attrs["repairs"])["y ascending, flipped"] > 0
        np.testing.assert_array_equal(flipped, self.opened(tmp_path, self.truth()))

    def test_missing_values_are_missing_and_nothing_else_is(self, tmp_path: Path) -> None:
        truth = self.truth()
        for k, band in enumerate(self.sensor.band_names):
            truth[band].values[k % DATES, 1, k % BLOCKS] = np.nan
        np.testing.assert_array_equal(np.isnan(self.opened(tmp_path, truth)), np.isnan(self.expected(truth)))

    def test_what_the_classification_calls_unclear_is_missing_in_all_bands(self, tmp_path: Path) -> None:
        if self.sensor.quality is None:
            assert not self.clear
            assert not self.unclear
            return
        truth, codes = self.truth(), (*self.unclear, *self.clear)
        truth["quality"].values[:] = np.resize(codes, truth["quality"].shape)  # each code in turn
        seen = truth["quality"].isin(self.clear)
        expected = truth[list(self.sensor.band_names)].where(seen)
        np.testing.assert_array_equal(np.isnan(self.opened(tmp_path, truth)), np.isnan(self.expected(expected)))

    def test_a_missing_band_is_named(self, tmp_path: Path) -> None:
        last = self.sensor.band_names[-1]
        with pytest.raises(VariableError, match=rf"1 of {len(self.sensor.bands)} bands absent \({last}\)"):
            self.opened(tmp_path, self.truth().drop_vars(last))

    def test_the_files_of_every_other_sensor_are_refused(self, tmp_path: Path) -> None:
        for other in SensorContract.__subclasses__():
            if not other.sensor.products.keys() & self.sensor.products.keys() and other.sensor is not self.sensor:
                folder = tmp_path / other.sensor.name
                folder.mkdir()
                other().write(folder, other().truth())
                with pytest.raises(ProductError, match=re.escape(self.sensor.title)):
                    open_cube(folder, self.sensor.name)

    def test_a_damaged_file_is_refused(self, tmp_path: Path) -> None:
        self.write(tmp_path, self.truth())
        damaged = sorted(path for path in tmp_path.iterdir() if path.is_file())[0]
        fakes.truncate(damaged, 0.5)
        with pytest.raises(FileError, match=damaged.name[:20]):
            open_cube(tmp_path, self.sensor.name)

    def test_a_store_gives_back_the_same_cube(self, tmp_path: Path) -> None:
        (tmp_path / "files").mkdir()
        cube = self.opened(tmp_path / "files", self.truth())
        save_cubes({self.sensor.name: cube}, tmp_path / "a.zarr")
        xr.testing.assert_identical(load_cube(tmp_path / "a.zarr", self.sensor.name), cube)
        xr.testing.assert_identical(open_cube(tmp_path / "a.zarr", self.sensor.name), cube)

    def test_provenance_counts_every_file_and_says_what_was_decided(self, tmp_path: Path) -> None:
        cube = self.opened(tmp_path, self.truth())
        files = json.loads(cube.attrs["provenance"])["files"]
        named = [re.fullmatch(r"(.+?)(?: and (\d+) more)?", file["file"]) for file in files]
        assert {found[1] for found in named if found} <= {path.name for path in tmp_path.iterdir()}
        assert sum(1 + int(found[2] or 0) for found in named if found) == len(list(tmp_path.iterdir()))
        assert all(file["digest"] and file["scale"] for file in files)
        assert {band for file in files for band in file["scale"]} == set(self.sensor.band_names)
        assert str(tmp_path) not in cube.attrs["provenance"]
        assert (cube.attrs["dates_in"], cube.attrs["dates_dropped"]) == (DATES, 0)


def numbers(values: np.ndarray, scale: float, nodata: int, dtype: str, added: int = 0) -> np.ndarray:
    return np.where(np.isnan(values), nodata, np.round(values / scale) + added).astype(dtype)


class TestSentinel2(SensorContract):
    sensor = S2_L2A
    clear = (4, 5, 6, 7)
    unclear = (0, 1, 2, 3, 8, 9, 10, 11)

    def write(self, folder: Path, truth: xr.Dataset) -> None:
        """Two files, of 10 m and of 20 m, with the offset of baseline 05.10 still in the numbers."""
        for resolution in (10, 20):
            names = [b.name for b in self.sensor.bands if b.resolution_m == resolution and b.name in truth]
            layers = {name: numbers(truth[name].values, 1e-4, 0, "uint16", 1000) for name in names}
            if resolution == 20:
                layers["SCL"] = truth["quality"].values.astype("uint8")
            attrs = {"processing_baseline": "05.10"}
            write_netcdf(folder / f"S2_L2A_{resolution}m.nc", truth, layers, resolution, **attrs)


class TestSentinel1(SensorContract):
    sensor = S1
    precision = 1e-3

    def write(self, folder: Path, truth: xr.Dataset) -> None:
        """One file of gamma nought in linear power."""
        layers = {band: to_power(truth[band].values).astype("float32") for band in S1.band_names if band in truth}
        write_netcdf(folder / "S1_RTC.nc", truth, layers, 10, collection="sentinel-1-rtc", orbit="A044")

    def test_the_orbit_is_in_the_cube(self, tmp_path: Path) -> None:
        assert list(self.opened(tmp_path, self.truth())["orbit"].values) == ["A044"] * DATES


#: HLS's names of blue, green, red, near infrared and two of shortwave infrared, by its user guide; and of its others.
SHARED = {"L30": ("B02", "B03", "B04", "B05", "B06", "B07"), "S30": ("B02", "B03", "B04", "B8A", "B11", "B12")}
OTHERS = {"L30": ("B01", "B09", "B10"), "S30": ("B01", "B05", "B06", "B07", "B08", "B09")}


class TestHLS(SensorContract):
    sensor = HLS
    clear = (0, 32, 64, 128, 192, 224)  # nothing, water, and any level of aerosol
    unclear = (2, 4, 8, 16, 66, 14, 255)

    def write(self, folder: Path, truth: xr.Dataset) -> None:
        """A file for each acquisition, L30 and S30 in turn, under the names of the archive."""
        for k, time in enumerate(truth["time"].values):
            product, stamp = ("L30", "S30")[k % 2], pd.Timestamp(time)
            names, now = dict(zip(HLS.band_names, SHARED[product], strict=True)), truth.isel(time=[k])
            layers = {
                name: numbers(now[ours].values, 1e-4, -9999, "int16") for ours, name in names.items() if ours in truth
            }
            layers |= {name: np.full((1, BLOCKS, BLOCKS), 3333, dtype="int16") for name in OTHERS[product]}
            layers["Fmask"] = now["quality"].values.astype("uint8")
            path = folder / f"HLS.{product}.T32UPU.{stamp:%Y%jT%H%M%S}.v2.0.nc"
            write_netcdf(path, now, layers, 30)

    def test_each_file_says_its_product(self, tmp_path: Path) -> None:
        files = json.loads(self.opened(tmp_path, self.truth()).attrs["provenance"])["files"]
        assert {file["file"][4:7]: file["product"] for file in files} == {"L30": "HLSL30", "S30": "HLSS30"}

    def test_bands_whose_product_is_unknown_are_refused(self, tmp_path: Path) -> None:
        """B05 is near infrared in L30 and red edge in Sentinel-2: without the name nobody can tell."""
        self.write(tmp_path, self.truth())
        for number, path in enumerate(sorted(tmp_path.iterdir())):
            path.rename(tmp_path / f"renamed{number}.nc")
        with pytest.raises(ProductError, match="without their product"):
            open_cube(tmp_path, "HLS")
