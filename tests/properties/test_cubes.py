"""Properties of the way from delivered files to cubes."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
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
from ecoembed.archives.satellite.sentinel2 import boa_offset, open_sentinel2
from ecoembed.cubes import masks
from ecoembed.cubes.mosaic import merge_slices
from ecoembed.cubes.pairing import pair, smooth
from ecoembed.cubes.store import load_cube, save_cube
from ecoembed.sensors import S1, S2_L2A, Sensor
from tests.archives import fakes

few = settings(max_examples=25, deadline=None)

#: Backscatter in dB, or missing.
decibels = st.one_of(st.floats(-35, 5, width=32), st.just(float("nan")))


def cube(values: np.ndarray, time: np.ndarray, sensor: str = "S1") -> xr.DataArray:
    _, bands, height, width = values.shape
    array = xr.DataArray(
        values.astype("float32"),
        dims=("time", "band", "y", "x"),
        coords={
            "time": time,
            "band": [f"b{i}" for i in range(bands)] if sensor != "S1" else list(S1.band_names)[:bands],
            "y": 5_400_000.0 - 10 * np.arange(height),
            "x": 600_000.0 + 10 * np.arange(width),
        },
        attrs={"sensor": sensor, "units": "dB"},
    )
    return array.rio.write_crs(32632)


def days(offsets: list[float]) -> np.ndarray:
    nanoseconds = np.round(np.array(offsets) * 86_400e9).astype("int64")
    return np.unique(np.datetime64("2019-01-01", "ns") + nanoseconds.astype("timedelta64[ns]"))


@few
@given(
    values=hnp.arrays("float32", st.tuples(*(st.integers(1, 4) for _ in range(4))), elements=st.floats(width=32)),
    start=st.integers(0, 10**18),
)
def test_store_is_lossless(values: np.ndarray, start: int) -> None:
    """Every float32, NaN and infinity included, and times to the nanosecond."""
    time = np.datetime64(start, "ns") + np.arange(len(values)) * np.timedelta64(86_400_000_000_001, "ns")
    saved = cube(values, time, "any").assign_attrs(provenance='{"a": [1, 2.5]}', window="causal", n=3)
    with tempfile.TemporaryDirectory() as folder:
        save_cube(saved, Path(folder) / "a.zarr", "any")
        loaded = load_cube(Path(folder) / "a.zarr", "any")
    xr.testing.assert_identical(loaded, saved)
    np.testing.assert_array_equal(
        loaded.values.view("uint32")[~np.isnan(values)], values.view("uint32")[~np.isnan(values)]
    )


day_lists = st.lists(st.floats(0, 60), min_size=1, max_size=12)


@few
@given(s2_days=day_lists, s1_days=day_lists)
def test_pairing_is_the_nearest_by_brute_force(s2_days: list[float], s1_days: list[float]) -> None:
    s2, s1 = (cube(np.zeros((len(t), 1, 2, 2)), t, "S1") for t in (days(s2_days), days(s1_days)))
    index, gap = pair(s2, s1)
    distance = (s1["time"].values[None] - s2["time"].values[:, None]) / np.timedelta64(1, "D")
    nearest = np.abs(distance).min(axis=1)
    paired = nearest <= S1.max_gap_days
    np.testing.assert_array_equal(index >= 0, paired)
    np.testing.assert_allclose(np.abs(gap[paired]), nearest[paired], rtol=1e-6)
    np.testing.assert_allclose(gap[paired], distance[paired, index[paired]], rtol=1e-6)
    assert np.isnan(gap[~paired]).all()


@few
@given(s2_days=day_lists, s1_days=day_lists)
def test_causal_pairing_is_the_last_acquisition_not_after_the_date(s2_days: list[float], s1_days: list[float]) -> None:
    s2, s1 = (cube(np.zeros((len(t), 1, 2, 2)), t, "S1") for t in (days(s2_days), days(s1_days)))
    index, gap = pair(s2, s1, causal=True)
    for k, when in enumerate(s2["time"].values):
        back = [(when - t) / np.timedelta64(1, "D") for t in s1["time"].values if t <= when]
        if back and min(back) <= 2 * S1.max_gap_days:
            assert index[k] == len(back) - 1
            assert gap[k] == pytest.approx(-min(back), rel=1e-6)
        else:
            assert index[k] == -1
            assert np.isnan(gap[k])


@few
@given(
    values=hnp.arrays("float32", st.tuples(st.integers(1, 8), st.just(2), st.just(2), st.just(2)), elements=decibels),
    window=st.integers(1, 5),
)
def test_smoothing_is_the_mean_of_valid_power(values: np.ndarray, window: int) -> None:
    smoothed = smooth(cube(values, days(list(range(len(values))))), window)
    for t, band, y, x in itertools.product(*(range(n) for n in values.shape)):
        seen = values[max(0, t - window + 1) : t + 1, band, y, x].astype(float)
        seen = seen[np.isfinite(seen)]
        got = float(smoothed[t, band, y, x])
        if seen.size == 0:
            assert np.isnan(got)
        else:
            assert got == pytest.approx(10 * np.log10(np.mean(10 ** (seen / 10))), abs=1e-4)
            assert seen.min() - 1e-4 <= got <= seen.max() + 1e-4


@few
@given(values=hnp.arrays("float64", 20, elements=st.floats(-60, 20)))
def test_decibels_and_power_are_inverse(values: np.ndarray) -> None:
    np.testing.assert_allclose(to_db(to_power(values)), values, atol=1e-5)


@few
@given(
    values=hnp.arrays("float32", (6, 2, 2, 2), elements=decibels),
    steps=st.lists(st.sampled_from([0, 1, 25, 600, 601, 3600, 40_000, 86_400]), min_size=6, max_size=6),
    start=st.integers(0, 86_399),
)
def test_merging_is_by_pass_whatever_the_hour_and_loses_no_pixel(
    values: np.ndarray, steps: list[int], start: int
) -> None:
    seconds = start + np.cumsum(steps)
    merged = merge_slices(cube(values, np.datetime64("2019-01-01", "ns") + seconds * np.timedelta64(1, "s")))
    passes: list[list[int]] = []
    for i, step in enumerate(steps):
        if i == 0 or step > 600:
            passes.append([])
        passes[-1].append(i)
    np.testing.assert_array_equal(
        (merged["time"].values - np.datetime64("2019-01-01", "ns")) / np.timedelta64(1, "s"),
        [seconds[members[-1]] for members in passes],
    )
    for one, members in zip(merged.values, passes, strict=True):
        np.testing.assert_array_equal(np.isfinite(one), np.isfinite(values[members]).any(axis=0))


@few
@given(sensor=st.sampled_from([S1, S2_L2A]), longitude=st.floats(-180, 180))
def test_a_date_stays_in_its_utc_day_and_is_an_overpass(sensor: Sensor, longitude: float) -> None:
    date = np.array(["2019-03-02"], dtype="datetime64[ns]")
    time = at_overpass(xr.Dataset(coords={"time": date}), sensor, longitude)["time"].values
    assert time.astype("datetime64[D]") == date
    solar = ((time - date)[0] / np.timedelta64(1, "h") + longitude / 15) % 24
    assert min(abs(solar - hour) for hour in sensor.overpass_hours) < 1 / 60


@few
@given(classes=hnp.arrays("uint8", (4, 4, 4), elements=st.integers(0, 11)), minimum=st.floats(0, 1))
def test_mask_keeps_exactly_the_clear_and_counts_the_rest(classes: np.ndarray, minimum: float) -> None:
    full = cube(np.ones((4, 3, 4, 4)), days([0, 1, 2, 3]), "any")
    clear = masks.clear_pixels("scl", full, {"SCL": classes}, S2_L2A, 0.0)
    np.testing.assert_array_equal(clear, np.isin(classes, S2_L2A.clear_classes))
    masked = full.where(xr.DataArray(clear, dims=("time", "y", "x")))
    kept = masks.drop_sparse(masked, minimum)
    assert kept.attrs["dates_in"] == 4
    assert kept.attrs["dates_dropped"] == 4 - kept.sizes["time"] == int((clear.mean(axis=(1, 2)) < minimum).sum())
    assert kept.equals(masked.sel(time=kept["time"]))


@few
@given(holes=hnp.arrays(bool, (3, 2, 3, 3)))
def test_a_pixel_is_valid_where_all_bands_are(holes: np.ndarray) -> None:
    share = masks.valid_share(cube(np.where(holes, np.nan, 1.0), days([0, 1, 2])))
    np.testing.assert_allclose(share, (~holes).all(axis=1).mean(axis=(1, 2)))


@pytest.fixture(scope="module")
def place() -> Iterator[dict[str, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        yield fakes.write_place(Path(folder))


@few
@given(order=st.permutations(["10m", "20m", "S1"]))
def test_the_order_of_the_files_is_irrelevant(place: dict[str, Path], order: list[str]) -> None:
    for sensor in ("S2_L2A", "S1"):
        given_order = open_cube([place[key] for key in order], sensor)
        xr.testing.assert_identical(given_order, open_cube(place.values(), sensor))


@few
@given(
    baselines=st.lists(st.sampled_from([2.07, 3.0, 3.01, 4.0, 5.0, 5.11]), min_size=3, max_size=3),
    removed=st.booleans(),
    year=st.sampled_from(["2017", "2022", "2024"]),
)
def test_offset_is_applied_exactly_once_date_by_date(baselines: list[float], removed: bool, year: str) -> None:
    """Whatever mixture of baselines a file holds, and whenever it was acquired, the reflectance is the true one."""
    true = fakes.numbers(3, 4, fakes.FINE)
    added = np.array([1000 if b >= 4 and not removed else 0 for b in baselines], dtype="uint16")
    layers = {band: values + added[:, None, None] for band, values in true.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s2.nc"
        fakes.write_raster(path, layers, fakes.times(3, f"{year}-02-01T10:00:00"), resolution=10)
        with xr.open_dataset(path, mask_and_scale=False, decode_times=False) as opened:
            raster = opened.load()
        raster["processing_baseline"] = ("timestamp", np.array(baselines))
        raster.assign_attrs(boa_offset_applied=int(removed)).to_netcdf(path)
        read = open_sentinel2(path)
    for band, values in true.items():
        np.testing.assert_allclose(read[band], values * 1e-4, atol=1e-6)


@given(baseline=st.floats(0, 9), applied=st.one_of(st.none(), st.booleans()))
def test_an_applied_offset_is_never_applied_again(baseline: float, applied: bool | None) -> None:
    offset, _ = boa_offset(baseline, applied)
    assert offset == (-1000.0 if baseline >= 4 and not applied else 0.0)
    assert boa_offset(baseline, True)[0] == 0.0
