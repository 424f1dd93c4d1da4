from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ecoembed.virtual import weather
from ecoembed.virtual.places import VirtualPlace
from ecoembed.virtual.sun import diffuse_share, sun


def _weather(place: VirtualPlace, days: pd.DatetimeIndex, seed: int = 0) -> pd.DataFrame:
    return weather.halfhours(place, days, np.random.default_rng(seed))


def test_daily_values_are_means_and_sums_of_the_half_hours(place: VirtualPlace, days: pd.DatetimeIndex) -> None:
    halfhours = _weather(place, days)
    daily = weather.daily(halfhours)
    by_day = halfhours.groupby(halfhours.index.normalize())
    for name in ("TA_F", "SW_IN_F", "VPD_F"):
        np.testing.assert_allclose(daily[name], by_day[name].mean())
    np.testing.assert_allclose(daily["P_F"], by_day["P_F"].sum())


def test_the_sun_stands_highest_at_solar_noon(place: VirtualPlace, days: pd.DatetimeIndex) -> None:
    shortwave = sun(place, _weather(place, days).index).clear.reshape(-1, weather.HALF_HOURS)
    clock = (np.arange(weather.HALF_HOURS) + 0.5) / 2.0
    noon = (shortwave * clock).sum(1) / shortwave.sum(1)
    expected = 12.0 + place.utc_offset - place.longitude / 15.0
    assert np.abs(noon - expected).max() < 0.35  # the equation of time stays under 17 minutes
    assert (shortwave[:, :4] == 0).all()


@pytest.mark.parametrize(("latitude", "low", "high"), [(60.0, 280, 380), (45.0, 320, 390), (-30.0, 340, 400)])
def test_clear_days_of_summer_have_the_radiation_of_their_latitude(
    place: VirtualPlace, days: pd.DatetimeIndex, latitude: float, low: float, high: float
) -> None:
    # pyrgeometer climatologies: clear midsummer days bring 300-380 W m-2 from 60 N to 30 S
    daily = weather.daily(_weather(replace(place, latitude=latitude, elevation=100.0), days))
    assert low < daily["SW_IN_F"].max() < high
    summer = weather.summerness(replace(place, latitude=latitude), days) > 0.8
    assert (
        daily["SW_IN_F"][summer].mean()
        > 1.8 * daily["SW_IN_F"][weather.summerness(place, days) * np.sign(latitude) < -0.8].mean()
    )


def test_weather_is_autocorrelated_and_bounded(place: VirtualPlace, days: pd.DatetimeIndex) -> None:
    halfhours = _weather(place, days)
    daily = weather.daily(halfhours)
    anomaly = daily["TA_F"] - 10.0 * weather.summerness(place, days)
    assert anomaly.autocorr(1) > 0.6
    assert daily["CLOUD"].autocorr(1) > 0.35
    assert daily["VPD_F"].autocorr(1) > 0.35
    assert halfhours["CLOUD"].between(0, 1).all()
    assert halfhours["WD"].between(0, 360).all()
    assert (halfhours[["VPD_F", "P_F", "SW_IN_F"]] >= 0).all(axis=None)
    assert (halfhours[["USTAR", "WS_F"]] > 0).all(axis=None)


def test_clouds_bring_rain_and_take_light(place: VirtualPlace, days: pd.DatetimeIndex) -> None:
    daily = weather.daily(_weather(place, days))
    clear, overcast = daily[daily["CLOUD"] < 0.3], daily[daily["CLOUD"] > 0.7]
    assert clear["P_F"].sum() == 0
    assert (daily["P_F"] > 0).astype(float).autocorr(1) > 0.1
    assert 200 < overcast["P_F"].sum() / 2 < 2000  # mm a year
    assert overcast["SW_IN_F"].mean() < 0.75 * clear["SW_IN_F"].mean()


def test_wind_prefers_its_sector(place: VirtualPlace, days: pd.DatetimeIndex) -> None:
    halfhours = _weather(place, days)
    turned = (halfhours["WD"] - place.wind_from + 180.0) % 360.0 - 180.0
    assert 0.5 < (turned.abs() < 60.0).mean() < 0.95


def test_autoregressive_has_the_variance_and_memory_it_promises() -> None:
    series = weather.autoregressive(200_000, 0.8, np.random.default_rng(1))
    assert series.std() == pytest.approx(1.0, abs=0.03)
    assert np.corrcoef(series[1:], series[:-1])[0, 1] == pytest.approx(0.8, abs=0.01)


def test_the_clear_sky_is_pvlib_s_and_brighter_higher_up(place: VirtualPlace, days: pd.DatetimeIndex) -> None:
    import pvlib

    start = pd.date_range("2020-06-21", periods=48, freq="30min", unit="ns")
    low, high = (sun(replace(place, elevation=metres), start) for metres in (0.0, 2000.0))
    zone = f"Etc/GMT{-int(place.utc_offset):+d}"
    location = pvlib.location.Location(place.latitude, place.longitude, zone, 0.0)
    middle = (start + pd.Timedelta("15min")).tz_localize(zone)
    position = location.get_solarposition(middle)  # the full ephemeris of NREL
    assert np.abs(low.zenith - position["zenith"].to_numpy()).max() < 0.5
    expected = location.get_clearsky(middle, model="simplified_solis", aod700=0.1, precipitable_water=1.5)["ghi"]
    assert np.abs(low.clear - expected.to_numpy()).max() < 15.0
    assert 1.02 < high.clear.sum() / low.clear.sum() < 1.15
    assert (low.clear <= low.potential).all()


def test_diffuse_share_is_that_of_pvlib(place: VirtualPlace) -> None:
    import pvlib

    start = pd.date_range("2020-04-01", periods=48, freq="30min", unit="ns")
    above = sun(place, start)
    shortwave = np.random.default_rng(0).uniform(0.1, 1.0, 48) * above.clear
    day = (above.zenith < 85) & (shortwave > 0)
    expected = pvlib.irradiance.erbs(shortwave, above.zenith, start)
    np.testing.assert_allclose(diffuse_share(shortwave, above)[day], (expected["dhi"] / shortwave)[day], atol=0.01)


def test_drought_strikes_once_in_five_years_whatever_years_are_asked_for(place: VirtualPlace) -> None:
    long = pd.date_range("1960-01-01", "2059-12-31", unit="ns")
    severity = pd.Series(weather.droughts(place, long, np.random.default_rng(3)), index=long)
    by_year = severity.groupby(severity.index.year).max()
    struck = by_year[by_year > 0]
    assert len(struck) == 20
    assert struck.between(0.35, 0.9).all()
    assert struck.max() - struck.min() > 0.3
    assert np.diff(struck.index).max() <= 9
    short = pd.date_range("2001-01-01", "2003-12-31", unit="ns")
    np.testing.assert_array_equal(weather.droughts(place, short, np.random.default_rng(3)), severity[short])
    south = severity.copy()
    south[:] = weather.droughts(replace(place, latitude=-30.0), long, np.random.default_rng(3))
    begins = south.index[1:][np.diff((south > 0).astype(int)) == 1]
    assert set(begins.month) == {7}


def test_drought_years_are_dry_bright_and_warm(place: VirtualPlace) -> None:
    days = pd.date_range("1980-01-01", "2009-12-31", unit="ns")
    daily = weather.daily(_weather(place, days))
    years = daily.groupby(daily.index.year).agg({"P_F": "sum", "SW_IN_F": "mean", "VPD_F": "mean", "DROUGHT": "max"})
    dry, usual = years[years["DROUGHT"] > 0], years[years["DROUGHT"] == 0]
    assert dry["P_F"].mean() < 0.65 * usual["P_F"].mean()
    assert dry["SW_IN_F"].mean() > usual["SW_IN_F"].mean()
    assert dry["VPD_F"].mean() > usual["VPD_F"].mean()
    assert np.corrcoef(dry["DROUGHT"], dry["P_F"])[0, 1] < 0


def test_it_is_colder_higher_up_and_poleward(place: VirtualPlace, days: pd.DatetimeIndex) -> None:
    def mean(**where: float) -> pd.Series:
        return weather.daily(_weather(replace(place, **where), days)).mean()

    low, high = mean(elevation=0.0), mean(elevation=1500.0)
    assert low["TA_F"] - high["TA_F"] == pytest.approx(9.75, abs=0.01)  # 6.5 K for each km
    assert high["PA_F"] / low["PA_F"] == pytest.approx(0.835, abs=0.01)  # the standard atmosphere
    assert high["SW_IN_F"] > 1.01 * low["SW_IN_F"]
    south, north = mean(latitude=40.0), mean(latitude=60.0)
    assert south["TA_F"] > north["TA_F"] + 5.0
    assert south["SW_IN_F"] > 1.2 * north["SW_IN_F"]
