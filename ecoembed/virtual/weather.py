"""Half-hourly weather of a virtual place: one cloud process drives radiation, temperature, vapour and rain.

The same cloud cover darkens the pyranometer and hides the ground from the satellite.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecoembed.virtual.places import Place

HALF_HOURS = 48
_VON_KARMAN = 0.4


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


def _clear_sky(place: Place, start: pd.DatetimeIndex) -> np.ndarray:
    """Clear-sky shortwave in W m-2, mean of the half-hours that begin at `start` (local standard time).

    Source: Haurwitz 1945 in pvlib, on Spencer 1971 geometry; plus 8 % for each km of elevation and the sun's distance.
    """
    from pvlib import clearsky, irradiance, solarposition

    middle = start + pd.Timedelta("15min")
    day = np.asarray(middle.dayofyear, dtype=float)
    solar = middle.hour + middle.minute / 60.0 + place.longitude / 15.0 - place.utc_offset
    solar = np.asarray(solar, dtype=float) + solarposition.equation_of_time_spencer71(day) / 60.0
    zenith = solarposition.solar_zenith_analytical(
        np.radians(place.latitude), np.radians(15.0 * (solar - 12.0)), solarposition.declination_spencer71(day)
    )
    clear = clearsky.haurwitz(pd.Series(np.degrees(zenith)))["ghi"].to_numpy()
    distance = irradiance.get_extra_radiation(pd.Series(day).astype(int), method="spencer") / 1361.0
    return np.asarray(clear * np.asarray(distance, dtype=float) * (1.0 + 0.08 * place.elevation / 1000.0))


def summerness(place: Place, days: pd.DatetimeIndex) -> np.ndarray:
    """+1 at the warmest day of the year (20 July in the north, 19 January in the south), -1 half a year away."""
    sign = 1.0 if place.latitude > 0 else -1.0
    return np.asarray(sign * np.cos(2.0 * np.pi * (np.asarray(days.dayofyear, dtype=float) - 201.0) / 365.25))


def _cloud(place: Place, summer: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cloud cover 0-1 of each day and of each half-hour: cloudier away from the tropics.

    Summers are dry around the Mediterranean; in the south they may be wetter than winters.
    """
    latitude = abs(place.latitude)
    driest, wettest = (0.9, 0.2) if place.latitude > 0 else (0.5, -0.7)
    dry_summer = rng.uniform(wettest, driest) * np.clip((50.0 - latitude) / 10.0, 0.0, 1.0)
    latent = 1.7 * autoregressive(len(summer), 0.6, rng) + 0.04 * (latitude - 44.0) - dry_summer * summer
    within = 0.7 * autoregressive(len(summer) * HALF_HOURS, 0.97, rng)
    halfhourly = _to_halfhours(latent) + within
    return 1.0 / (1.0 + np.exp(-latent)), 1.0 / (1.0 + np.exp(-halfhourly))


def _to_halfhours(daily: np.ndarray) -> np.ndarray:
    """Interpolate a daily series, each value standing at noon, to half-hours."""
    at = (np.arange(len(daily) * HALF_HOURS) + 0.5) / HALF_HOURS
    return np.interp(at, np.arange(len(daily)) + 0.5, daily)


def _rain(cloud: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rain and snow in mm per half-hour: one spell on about three of four heavily clouded days."""
    days = len(cloud)
    wet = (cloud > 0.65) & (rng.random(days) < 0.75)
    amount = np.where(wet, rng.gamma(0.8, 8.0, days), 0.0)
    length = rng.integers(2, 16, days)
    first = rng.integers(0, HALF_HOURS - 16, days)
    clock = np.arange(HALF_HOURS)
    spell = (clock >= first[:, None]) & (clock < (first + length)[:, None])
    return np.asarray((spell * (amount / length)[:, None]).ravel())


def _wind(place: Place, days: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
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
    place: Place, summer: np.ndarray, cloud: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Half-hourly temperature and (one value a day) the day's minimum, in degC."""
    latitude = abs(place.latitude)
    annual = 32.0 - 0.43 * latitude - 0.0065 * place.elevation
    anomaly = 2.8 * autoregressive(len(summer), 0.82, rng) + 3.0 * (0.5 - cloud) * summer
    daily = annual + (2.0 + 0.15 * latitude) * summer + anomaly
    swing = 2.0 + 4.5 * (1.0 - cloud)
    clock = (np.arange(HALF_HOURS) + 0.5) / 2.0
    cycle = np.cos(2.0 * np.pi * (clock - 15.0) / 24.0)
    return _to_halfhours(daily) + (swing[:, None] * cycle).ravel(), daily - swing


def halfhours(place: Place, days: pd.DatetimeIndex, rng: np.random.Generator) -> pd.DataFrame:
    """Half-hourly weather and turbulence of a place.

    Parameters
    ----------
    place : Place
    days : DatetimeIndex
        Consecutive days, local standard time.
    rng : numpy.random.Generator

    Returns
    -------
    DataFrame
        Indexed by the start of the half-hour in local standard time: TA_F (degC), SW_IN_F and H_F_MDS (W m-2), VPD_F
        (hPa), PA_F (kPa), P_F (mm per half-hour), WS_F and USTAR (m s-1), WD (degree), CLOUD (0-1, not in any file).
    """
    start = pd.date_range(days[0], periods=len(days) * HALF_HOURS, freq="30min", unit="ns")
    summer = summerness(place, days)
    cloud, halfhourly = _cloud(place, summer, rng)
    shortwave = _clear_sky(place, start) * (1.0 - 0.75 * halfhourly**2.5)
    temperature, coldest = _temperature(place, summer, cloud, rng)
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
            "VPD_F": np.maximum(saturation_pressure(temperature) - vapour, 0.0),
            "PA_F": 101.3 * np.exp(-place.elevation / 8400.0) + 0.6 * pressure,
            "P_F": _rain(cloud, rng),
            "WS_F": speed,
            "WD": direction,
            "USTAR": friction * np.exp(0.1 * rng.standard_normal(len(start))),
            "H_F_MDS": sensible + 6.0 * rng.standard_normal(len(start)),
            "CLOUD": halfhourly,
        },
        index=start,
    )


def daily(halfhourly: pd.DataFrame) -> pd.DataFrame:
    """Daily means of half-hourly weather (P_F: sums, mm d-1), plus TA_DAY and VPD_DAY weighted by radiation."""
    blocks = {name: column.to_numpy().reshape(-1, HALF_HOURS) for name, column in halfhourly.items()}
    table = pd.DataFrame(
        {str(name): block.mean(1) for name, block in blocks.items()}, index=halfhourly.index[::HALF_HOURS]
    )
    table["P_F"] = blocks["P_F"].sum(1)
    light = blocks["SW_IN_F"] + 1e-6  # a polar day without sun keeps its plain mean
    for name in ("TA", "VPD"):
        table[f"{name}_DAY"] = (blocks[f"{name}_F"] * light).sum(1) / light.sum(1)
    return table
