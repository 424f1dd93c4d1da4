"""A tower's footprint on a cube's grid: turned, by month, by overpass, and what stands in."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from ecoembed.cubes.store import load_series, save_series
from ecoembed.errors import ConfigError, FootprintError, GridError, VariableError
from ecoembed.footprints.climatology import exclusions, footprint_climatology
from ecoembed.footprints.extract import extract
from ecoembed.footprints.periods import LEAST, months, overpasses
from ecoembed.footprints.tower import tower_footprint
from ecoembed.footprints.turbulence import turbulence

PLACE = {"latitude": 47.2, "longitude": 6.1, "utc_offset": 1.0}  # 2.1 degrees of longitude from its zone's meridian
SITE = pd.Series({**PLACE, "measurement_height": 3.0, "canopy_height": 0.5}, name="XX-V01")


def grid(n=41, times=(), seed=1):
    """A cube of `n` x `n` pixels of 10 m around the tower."""
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True).transform(SITE.longitude, SITE.latitude)
    axis = 10.0 * (np.arange(n) - n // 2)
    times = pd.DatetimeIndex(times).astype("datetime64[ns]")
    coords = {"time": times, "band": ["B04", "B08"], "y": round(y, -1) - axis, "x": round(x, -1) + axis}
    values = np.random.default_rng(seed).random((len(times), 2, n, n), dtype="float32")
    cube = xr.DataArray(values, coords, ("time", "band", "y", "x"), attrs={"sensor": "S2_L2A", "units": "1"})
    return cube.rio.write_crs("EPSG:32632")


@pytest.fixture(scope="module")
def halfhours():
    """Ten months of half-hours; the wind turns with the season, February is calm, November and December are missing."""
    time = pd.date_range("2020-01-01", "2020-10-31 23:30", freq="30min")
    hour = np.asarray(time.hour + time.minute / 60)
    light = np.maximum(0, 700 * np.sin((hour - 6) * np.pi / 12))
    rng = np.random.default_rng(3)
    ustar = np.where(time.month == 2, 0.05, 0.25 + 0.05 * rng.standard_normal(time.size))
    columns = {
        "USTAR": (ustar, "m s-1"),
        "WD": ((30.0 * time.month + 15 * rng.standard_normal(time.size)) % 360, "degree"),
        "WS": (np.full(time.size, 2.5), "m s-1"),
        "H": (light / 4 - 10, "W m-2"),
        "TA": (np.full(time.size, 12.0), "degC"),
        "PA": (np.full(time.size, 96.0), "kPa"),
        "SW_IN": (light, "W m-2"),
    }
    data = {name: ("time", np.asarray(values), {"units": unit}) for name, (values, unit) in columns.items()}
    return xr.Dataset(data, {"time": time.astype("datetime64[ns]")}, {"site": "XX-V01"})


def test_a_wind_from_true_north_brings_what_lies_truly_north(halfhours):
    north = halfhours.assign(WD=xr.zeros_like(halfhours["WD"]).assign_attrs(units="degree"))
    weights = tower_footprint(SITE, north, grid(81))
    centre = [float((weights * weights[c]).sum() / weights.sum()) for c in ("x", "y")]
    longitude, latitude = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform(*centre)
    azimuth, _, distance = Geod(ellps="WGS84").inv(SITE.longitude, SITE.latitude, longitude, latitude)
    assert distance > 30
    assert abs(azimuth) < 0.05  # grid north is 2.1 degrees away
    assert abs(centre[0] - weights.attrs["tower_x"]) > 0.03 * distance


def test_all_half_hours_are_the_climatology_of_the_daytime(halfhours):
    weights = tower_footprint(SITE, halfhours, grid())
    inputs = turbulence(halfhours, SITE)
    assert json.loads(weights.attrs["notes"]) == inputs["notes"]
    night = tower_footprint(SITE, halfhours, grid(), when="all")
    assert night.attrs["n"] + sum(json.loads(night.attrs["excluded"]).values()) == halfhours.sizes["time"]
    assert weights.attrs["n"] + sum(json.loads(weights.attrs["excluded"]).values()) == inputs["ustar"].size
    other = tower_footprint(SITE, halfhours, grid(), model="kormann")
    assert "Kormann" in other.attrs["method"]
    assert 0.3 < float(np.minimum(weights, other).sum()) < 0.98


def test_each_month_is_the_climatology_of_its_half_hours(halfhours):
    weights = tower_footprint(SITE, halfhours, grid(), period="month")
    assert weights.dims == ("month", "y", "x")
    assert list(weights["month"].values) == list(range(1, 13))
    inside = {name: weights.attrs[f"tower_{name}"] for name in ("x", "y")}
    june = halfhours.sel(time="2020-06")
    inputs = turbulence(june, SITE, north=_north())
    alone = footprint_climatology(**inputs, grid=grid(), **inside)
    np.testing.assert_allclose(weights.sel(month=6), alone, rtol=0, atol=1e-12)
    assert int(weights["n"].sel(month=6)) == alone.attrs["n"]
    np.testing.assert_allclose(weights["inside"], weights.sum(("y", "x")), rtol=1e-12)


def test_the_footprint_of_all_stands_in_for_months_with_too_few_and_says_so(halfhours):
    weights = tower_footprint(SITE, halfhours, grid(), period="month")
    whole = tower_footprint(SITE, halfhours, grid())
    assert list(weights["month"].values[weights["stand_in"].values]) == [2, 11, 12]
    for month in (2, 11, 12):
        np.testing.assert_array_equal(weights.sel(month=month), whole)
    assert weights.attrs["stand_in"].startswith("3 of 12 months have fewer than 48 valid half-hours (2, 11, 12)")
    assert (int(weights["n"].sel(month=2)), int(weights["n"].sel(month=11))) == (0, 0)
    calm = int(weights["excluded"].sel(month=2))
    assert json.loads(weights.attrs["excluded"])["ustar not > 0.1 m s-1"] >= calm > 500
    assert int(weights["n"].sum() + weights["excluded"].sum()) == turbulence(halfhours, SITE)["ustar"].size
    assert (
        "stand_in"
        not in tower_footprint(
            SITE, halfhours.sel(time="2020-06"), grid(times=["2020-06-10T10:30"]), period="overpass"
        ).attrs
    )


def test_an_overpass_takes_the_half_hours_around_it(halfhours):
    times = pd.to_datetime(["2020-06-10T10:30", "2020-06-11T02:00", "2020-12-24T10:30", "2020-08-03T10:40"])
    weights = tower_footprint(SITE, halfhours, grid(times=times), period="overpass")
    assert weights.dims == ("time", "y", "x")
    assert list(weights["stand_in"].values) == [False, True, True, False]  # at night; after the record
    near = halfhours.sel(time=slice("2020-06-10T10:00", "2020-06-10T12:30"))  # 10:00 to 13:00 local standard time
    at = {name: weights.attrs[f"tower_{name}"] for name in ("x", "y")}
    alone = footprint_climatology(**turbulence(near, SITE, north=_north()), grid=grid(), **at)
    np.testing.assert_allclose(weights[0], alone, rtol=0, atol=1e-12)
    assert list(weights["n"].values) == [6, 0, 0, 6]
    assert "2 of 4 overpasses have fewer than 2 valid half-hours (2020-06-11, 2020-12-24)" in weights.attrs["stand_in"]
    wide = tower_footprint(SITE, halfhours, grid(times=times[:1]), period="overpass", hours=3.0)
    assert wide["n"].item() == 12


@settings(max_examples=50, deadline=None)
@given(
    offset=st.sampled_from([-10.0, -3.5, 0.0, 5.75, 12.0]),
    seconds=st.integers(0, 10 * 86400),
    hours=st.floats(0.5, 12),
)
def test_windows_hold_what_is_near_on_the_local_day_and_nothing_else(offset, seconds, hours):
    middle = np.datetime64("2020-03-01T00:15", "ns") + np.arange(10 * 48) * np.timedelta64(30, "m")
    time = np.datetime64("2020-03-01", "ns") + np.timedelta64(seconds, "s")
    rows = next(iter(overpasses(middle, np.array([time]), offset, hours).values()))
    local = pd.Timestamp(time) + pd.Timedelta(hours=offset)
    for row, stamp in enumerate(pd.DatetimeIndex(middle)):
        near = abs((stamp - local).total_seconds()) <= round(hours * 3600) and stamp.date() == local.date()
        assert (row in rows) == near


def test_months_part_the_half_hours():
    start = pd.date_range("2019-11-03", "2021-02-11", freq="30min").to_numpy()
    rows = months(start)
    np.testing.assert_array_equal(np.sort(np.concatenate(list(rows.values()))), np.arange(start.size))
    assert all((pd.DatetimeIndex(start[r]).month == month).all() for month, r in rows.items())


def test_a_series_takes_each_dates_own_weights(halfhours):
    times = pd.to_datetime(["2020-03-05T10:30", "2020-06-30T22:55", "2020-06-30T23:05", "2020-07-20T10:30"])
    cube = grid(times=times)
    cube[1, 0, 20:25] = np.nan
    monthly = tower_footprint(SITE, halfhours, cube, period="month")
    series = extract(cube, monthly)
    for row, month in enumerate((3, 6, 7, 7)):  # 23:05 UTC is in July already, one hour east
        alone = extract(cube, monthly.sel(month=month, drop=True))
        np.testing.assert_allclose(series["value"][row], alone["value"][row], rtol=1e-12)
        assert series["coverage"][row] == pytest.approx(alone["coverage"][row].item(), rel=1e-12)
    apart = extract(cube, tower_footprint(SITE, halfhours, cube))
    assert np.abs(series["value"] - apart["value"]).max() > 1e-3
    passes = tower_footprint(SITE, halfhours, cube, period="overpass")
    some = extract(cube.isel(time=[3, 0]).sortby("time"), passes)  # any of the acquisitions
    np.testing.assert_allclose(some["value"][1], extract(cube, passes[3].drop_vars("time"))["value"][3], rtol=1e-12)


def test_dates_without_weights_are_an_error(halfhours):
    cube = grid(times=["2020-03-05T10:30", "2020-06-30T10:30"])
    passes = tower_footprint(SITE, halfhours, cube.isel(time=[0]), period="overpass")
    with pytest.raises(VariableError, match=r"1 of 2 dates have no footprint weights .*2020-06-30T10:30:00 UTC"):
        extract(cube, passes)
    monthly = tower_footprint(SITE, halfhours, cube, period="month")
    with pytest.raises(VariableError, match="1 of 2 dates"):
        extract(cube, monthly.sel(month=[1, 2, 3]))
    del monthly.attrs["utc_offset"]
    with pytest.raises(VariableError, match="no utc_offset"):
        extract(cube, monthly)
    with pytest.raises(FootprintError, match="zero everywhere"):
        extract(cube, monthly.assign_attrs(utc_offset=1.0).where(monthly["month"] != 4, 0))


def test_what_is_not_known_is_an_error_or_a_disc_that_says_why(halfhours):
    cube = grid(times=["2020-03-05T10:30"])
    cases = [
        (SITE.drop("canopy_height"), halfhours, "all", "no canopy_height in the site table"),
        (SITE, halfhours.drop_vars("WD"), "all", "WD absent; footprints need it"),
        (SITE, halfhours.assign(USTAR=halfhours["USTAR"] * np.nan), "all", "USTAR is missing in every half-hour"),
        (SITE.drop("utc_offset"), halfhours, "month", "no utc_offset in the site table"),
        (SITE.drop("utc_offset"), halfhours, "overpass", "no utc_offset in the site table"),
    ]
    for site, table, period, says in cases:
        with pytest.raises(VariableError, match=says):
            tower_footprint(site, table, cube, period=period)
        disc = tower_footprint(site, table, cube, period=period, radius=100.0)
        assert disc.attrs["fallback"].startswith(says)
        assert "radius of 100 m" in disc.attrs["method"]
    contradictory = pd.Series({**SITE, "canopy_height": 9.0}, name="XX-V01")
    with pytest.raises(FootprintError, match="below the displacement height"):
        tower_footprint(contradictory, halfhours, cube, radius=100.0)
    with pytest.raises(FootprintError, match="no valid half-hour"):
        tower_footprint(SITE, halfhours.sel(time="2020-02"), cube, radius=100.0)
    with pytest.raises(GridError, match="outside the cube"):
        tower_footprint(pd.Series({**SITE, "latitude": 47.3}), halfhours, cube)
    with pytest.raises(ConfigError, match="footprint period"):
        tower_footprint(SITE, halfhours, cube, period="monthly")


def test_nights_and_a_grid_without_crs_are_named_as_such(halfhours):
    night = halfhours.isel(time=np.flatnonzero(halfhours["SW_IN"] == 0))
    with pytest.raises(VariableError, match="no half-hour of daytime"):
        tower_footprint(SITE, night, grid())
    assert tower_footprint(SITE, night, grid(), radius=100).attrs["fallback"] == "no half-hour of daytime"
    with pytest.raises(GridError, match="no CRS"):
        tower_footprint(SITE, halfhours, grid().drop_vars("spatial_ref"))


def test_too_few_is_what_the_constant_says(halfhours):
    june = halfhours.sel(time="2020-06")
    valid = np.flatnonzero(exclusions(turbulence(june, SITE, when="all")).isna() & (june["SW_IN"].values > 20))
    for n, stands_in in ((LEAST["month"] - 1, True), (LEAST["month"], False)):
        few = xr.concat([halfhours.sel(time="2020-05"), june.isel(time=valid[:n])], "time")
        weights = tower_footprint(SITE, few, grid(), period="month")
        assert int(weights["n"].sel(month=6)) == n
        assert bool(weights["stand_in"].sel(month=6)) == stands_in


def _north():
    from ecoembed.cubes.grid import true_north

    return true_north("EPSG:32632", SITE.latitude, SITE.longitude)


@pytest.mark.parametrize("period", ["month", "overpass"])
def test_footprints_by_period_are_stored_with_what_they_say(halfhours, period, tmp_path):
    weights = tower_footprint(SITE, halfhours, grid(times=["2020-06-10T10:30", "2020-12-24T10:30"]), period=period)
    save_series({"footprint": weights.to_dataset(name="weight")}, tmp_path / "series.zarr")
    stored = load_series(tmp_path / "series.zarr", "footprint")["weight"]
    xr.testing.assert_identical(stored.drop_vars("spatial_ref"), weights.rename("weight").drop_vars("spatial_ref"))
    assert "stand_in" in stored.attrs
