"""Sentinel-1: what the numbers are, told by metadata and checked against the values; orbits and slices."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecoembed import open_cube
from ecoembed.archives.satellite.backscatter import to_db, to_power
from ecoembed.archives.satellite.overpass import at_overpass
from ecoembed.archives.satellite.sentinel1 import open_sentinel1
from ecoembed.cubes.mosaic import merge_slices
from ecoembed.errors import ProductError, UnitError
from ecoembed.sensors import S1
from tests.archives import fakes

N, SIZE = 4, 6
DB = np.random.default_rng(0).normal(-12, 3, (N, SIZE, SIZE))
POWER = to_power(DB).astype("float32")


def written(
    path: Path,
    values: np.ndarray,
    times: np.ndarray | None = None,
    attrs: dict[str, object] | None = None,
    **band: object,
) -> Path:
    stamps = fakes.times(len(values), "2019-03-02T17:31:10") if times is None else times
    return fakes.write_raster(path, {"VV": values, "VH": values}, stamps, resolution=10, attrs=attrs, band_attrs=band)


@pytest.mark.parametrize(
    ("name", "values", "attrs", "quantity", "said"),
    [
        ("a.nc", POWER, {"collection": "sentinel-1-rtc"}, "gamma0", "1 as declared"),
        ("S1A_IW_RTC_x.nc", POWER, {"product": "gamma0 RTC", "units": "linear power"}, "gamma0", "1 as declared"),
        ("a.nc", POWER, {"product": "GRD sigma nought"}, "sigma0", "not declared, inferred"),
        ("S1A_IW_20180128T161201_DVP_RTC30_G_gpuned_FD6A.nc", POWER, {}, "gamma0", "1 as declared"),
        ("S1A_IW_20180128T161201_DVP_RTC30_G_sauned_FD6A.nc", np.sqrt(POWER), {}, "sigma0", "amplitude as declared"),
        ("S1A_IW_20180128T161201_DVP_RTC30_G_gduned_FD6A.nc", DB.astype("float32"), {}, "gamma0", "dB as declared"),
        ("OPERA_L2_RTC-S1_T144.nc", POWER, {}, "gamma0", "1 as declared"),
        ("a.nc", np.sqrt(POWER), {"units": "linear amplitude"}, "not declared", "amplitude as declared"),
        ("a.nc", DB.astype("float32"), {"units": "dB", "product": "sigma0"}, "sigma0", "dB as declared"),
    ],
)
def test_any_product_is_the_same_backscatter_in_db(
    tmp_path: Path, name: str, values: np.ndarray, attrs: dict[str, object], quantity: str, said: str
) -> None:
    cube = open_sentinel1(written(tmp_path / name, values, attrs=attrs))
    np.testing.assert_allclose(cube["VH"], DB, atol=1e-3)
    assert cube.attrs["quantity"] == quantity
    assert said in cube.attrs["unit"]["VV"]


@pytest.mark.parametrize(
    ("values", "attrs", "message"),
    [
        (np.full((N, SIZE, SIZE), 137, "uint16"), {}, "never calibrated.*137"),
        (np.full((N, SIZE, SIZE), 9, "uint16"), {}, "never calibrated"),
        (np.linspace(40, 60_000, N * SIZE**2).reshape(N, SIZE, SIZE).astype("uint16"), {}, "never calibrated"),
        (np.full((N, SIZE, SIZE), 137.0, "float32"), {}, "never calibrated"),
        (np.full((N, SIZE, SIZE), 50.0, "float32"), {}, "not backscatter"),
        (POWER, {"units": "DN"}, "never calibrated"),
        (POWER, {"units": "dB"}, "contradicts the values"),
        (DB.astype("float32"), {"collection": "sentinel-1-rtc"}, "contradicts the values"),
        (DB.astype("float32"), {"units": "amplitude"}, "contradicts the values"),
    ],
)
def test_numbers_that_are_something_else_are_refused(
    tmp_path: Path, values: np.ndarray, attrs: dict[str, object], message: str
) -> None:
    with pytest.raises(UnitError, match=message):
        open_sentinel1(written(tmp_path / "a.nc", values, attrs=attrs))


def test_scaled_power_is_believed_if_its_scale_is_declared(tmp_path: Path) -> None:
    numbers = np.round(POWER * 1e4).astype("uint16")
    read = open_sentinel1(written(tmp_path / "a.nc", numbers, scale_factor=1e-4, units="linear power"))
    np.testing.assert_allclose(read["VV"], to_db(numbers * 1e-4), atol=1e-3)


def test_products_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=r"contradictory.*gamma0, sigma0"):
        open_sentinel1(written(tmp_path / "a.nc", POWER, attrs={"collection": "sentinel-1-rtc", "product": "sigma0"}))
    with pytest.raises(ProductError, match=r"not the ground.*beta0"):
        open_sentinel1(written(tmp_path / "a.nc", POWER, attrs={"product": "beta0"}))


def test_bands_in_two_units_are_refused(tmp_path: Path) -> None:
    layers = {"VV": POWER, "VH": DB.astype("float32")}
    path = fakes.write_raster(tmp_path / "a.nc", layers, fakes.times(N), resolution=10)
    with pytest.raises(UnitError, match="bands in different units"):
        open_sentinel1(path)


def test_a_band_without_values_does_not_decide_the_unit(tmp_path: Path) -> None:
    layers = {"VV": POWER, "VH": np.full_like(POWER, np.nan)}
    read = open_sentinel1(fakes.write_raster(tmp_path / "a.nc", layers, fakes.times(N), resolution=10))
    np.testing.assert_allclose(read["VV"], DB, atol=1e-3)
    assert read["VH"].isnull().all()


def test_pixels_without_power_are_missing_and_counted(tmp_path: Path) -> None:
    power = POWER.copy()
    power[0, 0, :2] = 0.0
    read = open_sentinel1(written(tmp_path / "a.nc", power))
    assert int(read["VV"].isnull().sum()) == 2
    assert json.loads(read.attrs["repairs"]) == {"exactly zero, which is no backscatter: missing": 4}  # of both bands


def test_gamma_and_sigma_nought_never_share_a_cube(tmp_path: Path) -> None:
    later = fakes.times(N, "2020-03-02T17:31:10")
    written(tmp_path / "a.nc", POWER, attrs={"product": "gamma0"})
    written(tmp_path / "b.nc", POWER, later, attrs={"product": "sigma0"})
    with pytest.raises(ProductError, match=r"gamma0.*sigma0"):
        open_cube(tmp_path, "S1")
    written(tmp_path / "b.nc", POWER, later, attrs={"product": "gamma0"})
    cube = open_cube(tmp_path, "S1")
    assert cube.attrs["quantity"] == "gamma0"
    assert {file["quantity"] for file in json.loads(cube.attrs["provenance"])["files"]} == {"gamma0"}
    written(tmp_path / "b.nc", POWER, later)
    assert open_cube(tmp_path, "S1").attrs["quantity"] == "gamma0; not declared"


def test_the_orbit_is_kept_from_the_file_to_the_cube(tmp_path: Path) -> None:
    """Also where one file says it for all its times, another for each, a third not at all."""
    stamps = [fakes.times(N, f"{year}-03-02T17:31:10") for year in (2018, 2019, 2020)]
    written(tmp_path / "a.nc", POWER, stamps[0], attrs={"orbit": "A044"})
    written(tmp_path / "b.nc", POWER, stamps[1])
    path = written(tmp_path / "c.nc", POWER, stamps[2])
    with xr.open_dataset(path, decode_times=False, mask_and_scale=False) as opened:
        raster = opened.load()
    raster["orbit"] = ("timestamp", ["A044", "D117", "D", "A044"])
    raster.to_netcdf(path)
    cube = open_cube(tmp_path, "S1")
    assert list(cube["orbit"].values) == ["A044"] * 4 + [""] * 4 + ["A044", "D117", "D", "A044"]
    assert cube["orbit"].dims == ("time",)
    written(path, POWER, stamps[2], attrs={"orbit": "ascending"})
    with pytest.raises(ProductError, match=r"c\.nc: orbit not understood \(found ascending; expected A044"):
        open_cube(tmp_path, "S1")


def test_no_orbit_no_coordinate(tmp_path: Path) -> None:
    assert "orbit" not in open_cube(written(tmp_path / "a.nc", POWER), "S1").coords


def test_dates_without_a_time_of_day_are_put_at_the_pass_of_their_orbit() -> None:
    """So that the two passes of a day, told apart by their orbit, stay two."""
    days = np.array(["2019-03-02", "2019-03-02", "2019-03-07"], dtype="datetime64[ns]")
    raster = xr.Dataset({"orbit": ("time", ["A044", "D117", ""])}, coords={"time": days})
    moved = at_overpass(raster, S1, 0.0)
    stamps = dict(zip(moved["orbit"].values, (str(time)[:16] for time in moved["time"].values), strict=True))
    assert stamps == {"D117": "2019-03-02T06:00", "A044": "2019-03-02T18:00", "": "2019-03-07T18:00"}
    assert moved.indexes["time"].is_monotonic_increasing


few = settings(max_examples=40, deadline=None)


@few
@given(
    values=hnp.arrays("float64", (7, 2), elements=st.one_of(st.floats(-35, 5), st.just(float("nan")))),
    steps=st.lists(st.sampled_from([0, 1, 25, 600, 601, 40_000]), min_size=7, max_size=7),
    orbits=st.lists(st.sampled_from(["A044", "D117", ""]), min_size=7, max_size=7),
)
def test_slices_of_one_pass_and_one_orbit_are_merged_as_by_a_plain_loop(
    values: np.ndarray, steps: list[int], orbits: list[str]
) -> None:
    seconds = np.cumsum(steps)
    time = np.datetime64("2019-01-01", "ns") + seconds * np.timedelta64(1, "s")
    slices = xr.DataArray(
        values.astype("float32"), dims=("time", "x"), coords={"time": time, "orbit": ("time", orbits)}
    )
    merged = merge_slices(slices)
    passes: list[list[int]] = []
    for i in range(7):
        if passes and steps[i] <= 600 and orbits[i] == orbits[i - 1]:
            passes[-1].append(i)
        else:
            passes.append([i])
    assert list(merged["orbit"].values) == [orbits[members[-1]] for members in passes]
    np.testing.assert_array_equal(merged["time"].values, time[[members[-1] for members in passes]])
    for row, members in zip(merged.values, passes, strict=True):
        for got, column in zip(row, slices.values[members].T, strict=True):
            seen = [10 ** (float(v) / 10) for v in column if np.isfinite(v)]
            assert np.isnan(got) if not seen else got == pytest.approx(10 * np.log10(sum(seen) / len(seen)), abs=1e-4)
