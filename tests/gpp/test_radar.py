"""The radar's feature set: the pass before each optical date, averaged in power."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed.errors import VariableError
from ecoembed.footprints.extents import fixed_radius
from ecoembed.gpp.radar import radar_series
from tests.gpp import worlds

PASSES = pd.DatetimeIndex(["2020-06-01T05:40", "2020-06-07T05:40", "2020-06-13T05:40", "2020-07-20T05:40"])


def radar(values, size=12):
    like = worlds.cube(size=size)
    data = np.broadcast_to(np.asarray(values, dtype="float32"), (len(PASSES), 2, size, size)).copy()
    coords = {"time": PASSES, "band": ["VV", "VH"], "y": like["y"], "x": like["x"]}
    attrs = {"sensor": "S1", "units": "dB", "site": "XX-T01"}
    return xr.DataArray(data, coords, like.dims, attrs=attrs).rio.write_crs(like.rio.crs)


def optical(*times):
    cube = worlds.cube(size=12, dates=len(times))
    return cube.assign_coords(time=pd.DatetimeIndex(times))


def test_each_date_has_the_last_pass_before_it():
    s1 = radar(np.array([-10.0, -11, -12, -13])[:, None, None, None] - np.array([0, 6])[None, :, None, None])
    at = optical("2020-05-30T10:30", "2020-06-01T10:30", "2020-06-06T10:30", "2020-06-13T04:00", "2020-07-01T10:30")
    series = radar_series(s1, at, fixed_radius(at, 35))
    assert list(series["feature"].values) == ["VV", "VH", "VH-VV"]
    np.testing.assert_allclose(series["value"].sel(feature="VV"), [np.nan, -10, -10, -11, np.nan], atol=1e-5)
    np.testing.assert_allclose(series["value"].sel(feature="VH-VV")[1:4], -6, atol=1e-5)
    np.testing.assert_allclose(series["coverage"], [0, 1, 1, 1, 0], atol=1e-6)
    near = radar_series(s1, at, fixed_radius(at, 35), "centred")
    assert float(near["value"].sel(feature="VV")[2]) == pytest.approx(-11)  # the pass of the day after
    assert near.attrs["window"] == "centred"


def test_a_later_pass_never_changes_an_earlier_date():
    at = optical("2020-06-02T10:30", "2020-06-08T10:30", "2020-06-12T10:30")
    s1 = radar(-10.0)
    before = radar_series(s1, at, fixed_radius(at, 35))
    s1[2:] = -3.0
    xr.testing.assert_identical(before, radar_series(s1, at, fixed_radius(at, 35)))


def test_pixels_are_averaged_in_power():
    at = optical("2020-06-02T10:30")
    s1 = radar(-20.0)
    s1[:, :, :, ::2] = -10.0
    weights = fixed_radius(at, 35)
    share = float(weights[:, ::2].sum())
    expected = 10 * np.log10(share * 0.1 + (1 - share) * 0.01)
    assert float(radar_series(s1, at, weights)["value"][0, 0]) == pytest.approx(expected, abs=1e-4)


def test_missing_pixels_are_not_seen():
    at = optical("2020-06-02T10:30")
    s1 = radar(-12.0)
    s1[0, 0, :6] = np.nan
    series = radar_series(s1, at, fixed_radius(at, 35))
    assert float(series["coverage"][0]) == pytest.approx(float(fixed_radius(at, 35)[6:].sum()))
    assert float(series["value"][0, 0]) == pytest.approx(-12, abs=1e-4)


def test_another_sensor_is_refused():
    at = optical("2020-06-02T10:30")
    with pytest.raises(VariableError, match="another sensor"):
        radar_series(at, at, fixed_radius(at, 35))
