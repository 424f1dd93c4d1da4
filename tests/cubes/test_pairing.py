from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ecoembed import open_cube
from ecoembed.cubes.pairing import pair, smooth
from ecoembed.errors import GridError, VariableError
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
