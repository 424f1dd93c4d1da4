"""Half-hourly weather of a virtual place: one cloud process drives radiation, temperature, vapour and rain.

The same cloud cover darkens the pyranometer and hides the ground from the satellite. Of every five years one is a
drought, more or less severe: fewer clouds, less rain from those that come, and heat.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecoembed.virtual.places import VirtualPlace
from ecoembed.virtual.sun import diffuse_share, sun

HALF_HOURS = 48
_VON_KARMAN = 0.4
#: One year of every so many is a drought; the first of the blocks begins in this year, and so many are drawn.
_DROUGHT_EVERY, _DROUGHT_FROM, _DROUGHT_BLOCKS = 5, 1945, 40


def autoregressive(n: int, persistence: float, rng: np.random.Generator) -> np.ndarray:
    """A first-order autoregressive series of unit variance: shape ``(n,)``, lag-one correlation `persistence`."""
    from scipy.signal import lfilter

    shocks = rng.standard_normal(n) * np.sqrt(1.0 - persistence**2)
    shocks[0] = rng.standard_normal()
    return np.asarray(lfilter([1.0], [1.0, -persistence], shocks))


def saturation_pressure(temperature: np.ndarray) -> np.ndarray:
    """Saturation vapour pressure in hPa over water at `temperature` in degC.

    Source: Alduchov and Eskridge 1996, doi 10.1175/1520-0450(1996)035<0601:IMFAOS>2.0.CO;2, equation 21.

    Examples
    --------
    >>> round(float(saturation_pressure(np.array(20.0))), 1)
    23.3
    """
    return np.asarray(6.1094 * np.exp(17.625 * temperature / (temperature + 243.04)))


def summerness(place: VirtualPlace, days: pd.DatetimeIndex) -> np.ndarray:
    """+1 at the warmest day of the year (20 July in the north, 19 January in the south), -1 half a year away."""
    sign = 1.0 if place.latitude > 0 else -1.0
    return np.asarray(sign * np.cos(2.0 * np.pi * (np.asarray(days.day_of_year, dtype=float) - 201.0) / 365.25))


def droughts(place: VirtualPlace, days: pd.DatetimeIndex, rng: np.random.Generator) -> np.ndarray:
    """Severity 0-1 of the drought of each day's year, 0 in most: a year belongs to it whatever years are asked for.

    Years run from January in the north and from July in the south: the growing season is not cut.
    """
    position = rng.integers(0, _DROUGHT_EVERY, _DROUGHT_BLOCKS)
    severity = rng.uniform(0.35, 0.9, _DROUGHT_BLOCKS)
    year = np.asarray(days.year) - ((place.latitude < 0) & np.asarray(days.month < 7))
    block, year = np.divmod(year - _DROUGHT_FROM, _DROUGHT_EVERY)
    return np.where(position[block] == year, severity[block], 0.0)


def _cloud(
    place: VirtualPlace, summer: np.ndarray, drought: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cloud cover 0-1 of each day and of each half-hour: cloudier away from the tropics.

    Summers are dry around the Mediterranean; in the south they may be wetter than winters.
    """
    latitude = abs(place.latitude)
    driest, wettest = (0.9, 0.2) if place.latitude > 0 else (0.5, -0.7)
    dry_summer = rng.uniform(wettest, driest) * np.clip((50.0 - latitude) / 10.0, 0.0, 1.0)
    latent = 1.7 * autoregressive(len(summer), 0.6, rng) + 0.04 * (latitude - 44.0) - dry_summer * summer
    latent -= 0.8 * drought
    within = 0.7 * autoregressive(len(summer) * HALF_HOURS, 0.97, rng)
    halfhourly = _to_halfhours(latent) + within
    return 1.0 / (1.0 + np.exp(-latent)), 1.0 / (1.0 + np.exp(-halfhourly))


def _to_halfhours(daily: np.ndarray) -> np.ndarray:
    """Interpolate a daily series, each value standing at noon, to half-hours."""
    at = (np.arange(len(daily) * HALF_HOURS) + 0.5) / HALF_HOURS
    return np.interp(at, np.arange(len(daily)) + 0.5, daily)


def _rain(cloud: np.ndarray, drought: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rain and snow in mm per half-hour: one spell on about three of four heavily clouded days."""
    days = len(cloud)
    wet = (cloud > 0.65) & (rng.random(days) < 0.75)
    amount = np.where(wet, rng.gamma(0.8, 10.0, days), 0.0) * (1.0 - 0.7 * drought)
    length = rng.integers(2, 16, days)
    first = rng.integers(0, HALF_HOURS - 16, days)
    clock = np.arange(HALF_HOURS)
    spell = (clock >= first[:, None]) & (clock < (first + length)[:, None])
    return np.asarray((spell * (amount / length)[:, None]).ravel())


def _wind(place: VirtualPlace, days: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Wind speed in m s-1 and direction in degrees: three days of four blow from the prevailing sector."""
    n, clock = days * HALF_HOURS, (np.arange(HALF_HOURS) + 0.5) / 2.0
    diurnal = np.tile(0.8 + 0.4 * np.maximum(0.0, np.sin(np.pi * (clock - 7.0) / 13.0)), days)
    mean = 2.0 + 0.03 * place.measurement_height
    speed = mean * diurnal * np.exp(0.4 * _to_halfhours(autoregressive(days, 0.5, rng)))
    speed *= np.exp(0.2 * autoregressive(n, 0.9, rng))
    turned = np.where(autoregressive(days, 0.6, rng) > 0.67, 150.0, 0.0)
    swing = np.repeat(25.0 * autoregressive(days, 0.5, rng) + turned, HALF_HOURS)
    return np.maximum(speed, 0.2), (place.wind_from + swing + 15.0 * autoregressive(n, 0.95, rng)) % 360.0


def _temperature(
    place: VirtualPlace, summer: np.ndarray, cloud: np.ndarray, drought: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Half-hourly temperature and (one value a day) the day's minimum, in degC."""
    latitude = abs(place.latitude)
    annual = 32.0 - 0.43 * latitude - 0.0065 * place.elevation
    anomaly = 2.8 * autoregressive(len(summer), 0.82, rng) + 3.0 * (0.5 - cloud) * summer
    anomaly += 1.5 * drought * np.maximum(summer, 0.0)
    daily = annual + (2.0 + 0.15 * latitude) * summer + anomaly
    swing = 2.0 + 4.5 * (1.0 - cloud)
    clock = (np.arange(HALF_HOURS) + 0.5) / 2.0
    cycle = np.cos(2.0 * np.pi * (clock - 15.0) / 24.0)
    return _to_halfhours(daily) + (swing[:, None] * cycle).ravel(), daily - swing


def halfhours(place: VirtualPlace, days: pd.DatetimeIndex, rng: np.random.Generator) -> pd.DataFrame:
    """Half-hourly weather and turbulence of a place.

    Parameters
    ----------
    place : VirtualPlace
    days : DatetimeIndex
        Consecutive days, local standard time.
    rng : numpy.random.Generator

    Returns
    -------
    DataFrame
        Indexed by the start of the half-hour in local standard time: TA_F (degC), SW_IN_F, SW_IN_POT and H_F_MDS
        (W m-2), VPD_F (hPa), PA_F (kPa), P_F (mm per half-hour), WS_F and USTAR (m s-1), WD (degree); and, in no file,
        CLOUD, DIFFUSE (share of the light) and DROUGHT (severity), all 0-1.
    """
    start = pd.date_range(days[0], periods=len(days) * HALF_HOURS, freq="30min", unit="ns")
    summer = summerness(place, days)
    above, drought = sun(place, start), droughts(place, days, rng)
    cloud, halfhourly = _cloud(place, summer, drought, rng)
    shortwave = above.clear * (1.0 - 0.75 * halfhourly**3.4)  # Kasten and Czeplak 1980
    temperature, coldest = _temperature(place, summer, cloud, drought, rng)
    # the air holds what saturates it at the night's minimum, less in dry summers: dew point below the minimum
    aridity = np.clip((56.0 - abs(place.latitude)) / 15.0, 0.2, 1.0) * np.clip(1.0 + summer, 0.3, 2.0)
    dryness = 0.5 + 5.0 * (1.0 - cloud) * aridity
    vapour = saturation_pressure(_to_halfhours(coldest - dryness))
    pressure = _to_halfhours(autoregressive(len(days), 0.7, rng))
    speed, direction = _wind(place, len(days), rng)
    stability = np.where(shortwave > 20.0, 1.1, 0.85)
    height = place.measurement_height - place.displacement_height
    friction = _VON_KARMAN * speed / np.log(height / place.roughness_length) * stability
    sensible = rng.uniform(0.22, 0.38) * shortwave - 25.0 * (1.0 - 0.7 * halfhourly)
    return pd.DataFrame(
        {
            "TA_F": temperature,
            "SW_IN_F": shortwave,
            "SW_IN_POT": above.potential,
            "VPD_F": np.maximum(saturation_pressure(temperature) - vapour, 0.0),
            "PA_F": 101.3 * np.exp(-place.elevation / 8400.0) + 0.6 * pressure,
            "P_F": _rain(cloud, drought, rng),
            "WS_F": speed,
            "WD": direction,
            "USTAR": friction * np.exp(0.1 * rng.standard_normal(len(start))),
            "H_F_MDS": sensible + 6.0 * rng.standard_normal(len(start)),
            "CLOUD": halfhourly,
            "DIFFUSE": diffuse_share(shortwave, above),
            "DROUGHT": np.repeat(drought, HALF_HOURS),
        },
        index=start,
    )


def daily_means(values: np.ndarray) -> np.ndarray:
    """Means of the days of half-hours: shape ``(n,)`` to ``(n / 48,)``."""
    return np.asarray(values.reshape(-1, HALF_HOURS).mean(1))


def daily(halfhourly: pd.DataFrame) -> pd.DataFrame:
    """Daily means of half-hourly weather (P_F: sums, mm d-1), plus TA_MIN, the coldest half-hour's temperature."""
    blocks = {name: column.to_numpy().reshape(-1, HALF_HOURS) for name, column in halfhourly.items()}
    table = pd.DataFrame(
        {str(name): block.mean(1) for name, block in blocks.items()}, index=halfhourly.index[::HALF_HOURS]
    )
    return table.assign(P_F=blocks["P_F"].sum(1), TA_MIN=blocks["TA_F"].min(1))
