from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecoembed import open_cube
from ecoembed.cubes.pairing import pair, pair_coordinates, smooth
from ecoembed.cubes.store import load_cube, save_cubes
from ecoembed.errors import GridError, VariableError
from ecoembed.sensors import S1, SENSORS
from tests.archives import fakes


@pytest.fixture
def cubes(tmp_path: Path) -> tuple[xr.DataArray, xr.DataArray]:
    fakes.write_place(tmp_path)
    return open_cube(tmp_path), open_cube(tmp_path, "S1")


def at(cube: xr.DataArray, *days: float) -> xr.DataArray:
    time = np.datetime64("2019-06-01", "ns") + np.round(np.array(days) * 86_400e9).astype("timedelta64[ns]")
    return cube.isel(time=np.zeros(len(days), dtype=int)).assign_coords(time=time)


def test_gap_is_signed_and_far_dates_stay_alone(cubes: tuple[xr.DataArray, xr.DataArray]) -> None:
    s2, s1 = cubes
    index, gap = pair(at(s2, 0, 3, 10, 20.5, 30), at(s1, 1, 5, 10, 14, 24.5))
    np.testing.assert_array_equal(index, [0, 0, 2, 4, 4])  # of two at the same distance, the earlier
    np.testing.assert_allclose(gap, [1, -2, 0, 4, -5.5])
    assert (index.dtype, gap.dtype) == ("int64", "float32")
    index, gap = pair(at(s2, 0, 20), at(s1, 6.0, 26.01))
    np.testing.assert_array_equal(index, [0, -1])
    assert gap[0] == 6.0
    assert np.isnan(gap[1])
    index, gap = pair(s2, s1.isel(time=slice(0, 0)))
    assert (index == -1).all()
    assert np.isnan(gap).all()


def test_any_sensor_pairs_with_any_times(cubes: tuple[xr.DataArray, xr.DataArray]) -> None:
    s2, s1 = cubes
    dates, seen = at(s2, 0, 5, 30), at(s1, 1, 12)
    index, gap = pair(dates["time"].values, seen)
    for found, of_cubes in zip((index, gap), pair(dates, seen), strict=True):
        np.testing.assert_array_equal(found, of_cubes)
    optical = seen.assign_attrs(sensor="HLS")
    np.testing.assert_array_equal(pair(dates["time"].values.astype("datetime64[D]"), optical)[0], index)
    assert list(pair_coordinates(optical, index, gap)) == ["hls_gap"]
    np.testing.assert_array_equal(pair(dates, optical, causal=True)[1], [np.nan, -4, np.nan])  # 18 days are too far


def test_a_sensor_says_how_far_it_reaches(
    cubes: tuple[xr.DataArray, xr.DataArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    s2, s1 = cubes
    monkeypatch.setitem(SENSORS, "SLOW", replace(S1, name="SLOW", max_gap_days=16.0))
    dates, seen = at(s2, 0, 30), at(s1, 10)
    assert list(pair(dates, seen)[0]) == [-1, -1]
    assert list(pair(dates, seen.assign_attrs(sensor="SLOW"))[0]) == [0, -1]
    assert list(pair(dates, seen.assign_attrs(sensor="SLOW"), causal=True)[0]) == [-1, 0]


def test_other_grids_are_refused(cubes: tuple[xr.DataArray, xr.DataArray]) -> None:
    s2, s1 = cubes
    with pytest.raises(GridError, match="different grids"):
        pair(s2, s1.isel(x=slice(1, None)))
    with pytest.raises(GridError, match="CRS"):
        pair(s2, s1.rio.write_crs(32633))


def test_smoothing_sees_no_future_and_is_done_once(cubes: tuple[xr.DataArray, xr.DataArray]) -> None:
    _, s1 = cubes
    smoothed = smooth(s1)
    later = s1.copy()
    later[4:] = -3.0
    np.testing.assert_array_equal(smooth(later)[:4], smoothed[:4])
    assert not np.array_equal(smooth(later)[4:], smoothed[4:])
    np.testing.assert_array_equal(smoothed[0], s1[0])
    assert smoothed.attrs["smoothing"] == "trailing mean of 3 acquisitions in linear power"
    with pytest.raises(VariableError, match="smoothed already"):
        smooth(smoothed)


def test_only_sentinel_1_is_smoothed(cubes: tuple[xr.DataArray, xr.DataArray]) -> None:
    with pytest.raises(VariableError, match=r"another sensor \(found S2_L2A; expected S1\)"):
        smooth(cubes[0])


ORBITS = st.lists(st.sampled_from(["A044", "A117", "D", ""]), min_size=8, max_size=8)
DECIBELS = hnp.arrays("float32", (8, 2, 2, 2), elements=st.one_of(st.floats(-35, 5, width=32), st.just(float("nan"))))


def radar(values: np.ndarray, orbits: list[str]) -> xr.DataArray:
    time = np.datetime64("2019-01-01", "ns") + np.arange(len(values)) * np.timedelta64(1, "D")
    cube = xr.DataArray(
        values,
        dims=("time", "band", "y", "x"),
        coords={"time": time, "band": ["VV", "VH"], "y": [15.0, 5.0], "x": [5.0, 15.0], "orbit": ("time", orbits)},
        attrs={"sensor": "S1", "units": "dB"},
    )
    return cube.rio.write_crs(32632)


@settings(max_examples=40, deadline=None)
@given(values=DECIBELS, orbits=ORBITS, window=st.integers(1, 4))
def test_each_orbit_is_smoothed_within_itself_as_by_a_plain_loop(
    values: np.ndarray, orbits: list[str], window: int
) -> None:
    smoothed = smooth(radar(values, orbits), window)
    for t, orbit in enumerate(orbits):
        trail = [values[i].astype(float) for i in range(t + 1) if orbits[i] == orbit][-window:]
        power = 10 ** (np.array(trail) / 10)
        count = np.isfinite(power).sum(axis=0)
        mean = np.where(count, np.nansum(power, axis=0), np.nan) / np.maximum(count, 1)
        np.testing.assert_allclose(smoothed.values[t], 10 * np.log10(mean), atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(values=DECIBELS, orbits=ORBITS, date=st.integers(0, 7))
def test_smoothing_sees_neither_the_future_nor_another_orbit(values: np.ndarray, orbits: list[str], date: int) -> None:
    changed = values.copy()
    changed[[t > date or orbit != orbits[date] for t, orbit in enumerate(orbits)]] = -1.0
    before, after = (smooth(radar(v, orbits)).values[date] for v in (values, changed))
    np.testing.assert_array_equal(before, after)


def test_smoothing_counts_the_acquisitions_of_each_orbit() -> None:
    values = np.full((8, 2, 2, 2), -10.0, dtype="float32")
    smoothed = smooth(radar(values, ["A044", "D", "", "A044", "A044", "D", "A044", ""]))
    assert smoothed.attrs["smoothing_orbits"] == "unknown (2), A044 (4), D (2)"
    assert smoothed.attrs["smoothing"] == "trailing mean of 3 acquisitions in linear power"


def test_two_orbits_that_differ_steadily_are_not_mixed() -> None:
    """A difference of view, 4 dB here, is not speckle: each orbit keeps its level, whichever came before."""
    values = np.full((8, 2, 2, 2), -10.0, dtype="float32")
    values[1::2] = -14.0
    orbits = ["A044", "D117"] * 4
    np.testing.assert_allclose(smooth(radar(values, orbits)).values, values, atol=1e-4)
    unknown = smooth(radar(values, orbits).drop_vars("orbit")).values
    assert np.abs(unknown[2:] - values[2:]).min() > 0.5


def test_the_pair_says_its_gap_and_orbit(cubes: tuple[xr.DataArray, xr.DataArray], tmp_path: Path) -> None:
    s2, s1 = cubes
    s1 = s1.assign_coords(orbit=("time", ["A044", "D117", "", "A044", "D117", ""]))
    optical = at(s2, 0, 3, 30, 12)
    echo = at(s1, 1, 5, 10, 14, 24.5, 100).assign_coords(orbit=s1["orbit"].variable)
    index, gap = pair(optical, echo)
    np.testing.assert_array_equal(index, [0, 0, 4, 2])
    paired = optical.assign_coords(pair_coordinates(echo, index, gap))
    np.testing.assert_allclose(paired["s1_gap"], [1, -2, -5.5, -2])
    assert list(paired["s1_orbit"].values) == ["A044", "A044", "D117", ""]
    alone = pair_coordinates(echo, np.array([-1, 1]), np.array([np.nan, 0.5]))
    assert list(alone["s1_orbit"][1]) == ["", "D117"]
    assert "s1_orbit" not in pair_coordinates(echo.drop_vars("orbit"), index, gap)
    ordered = paired.isel(time=[0, 1, 3, 2])
    save_cubes({"S2_L2A": ordered, "S1": s1}, tmp_path / "a.zarr")
    xr.testing.assert_identical(load_cube(tmp_path / "a.zarr", "S2_L2A"), ordered)
    xr.testing.assert_identical(load_cube(tmp_path / "a.zarr", "S1", lazy=True).compute(), s1)
