"""The sun as a clock: do the time stamps mean what they say, and when is it night?

Source: equation of time and declination as the Fourier series of Spencer (1971), Search 2(5), 172; good to half a
minute and to 0.04 degrees. (pvlib has them too, and takes a second to import.)
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecoembed.archives.flux.days import LEAST_PRESENT, group_days

#: The centre of the radiation's peak may lie this far from solar noon (clouds, a tilted sensor, coordinates), minutes.
TOLERANCE = 45.0
#: A difference between summer and winter within these bounds, in minutes, is daylight saving.
_CLOCK_CHANGE = (40.0, 80.0)
_FEWEST_DAYS = 5
#: The days that are looked at: from this quantile of a month's; and of them what is above this share of the maximum.
_BRIGHT, _PEAK = 0.75, 0.8

#: Below these it is night: short-wave radiation, W m-2, and photon flux, umol m-2 s-1 (the same light).
DARK = {"SW_IN": 10.0, "PPFD_IN": 20.0}

#: Latitude and longitude in degrees, UTC offset in h.
Position = tuple[float, float, float]


@dataclass(frozen=True)
class Night:
    """``dark`` (n,): it is night, where that is ``known`` (n,); ``origin``: from what, in words."""

    dark: np.ndarray
    known: np.ndarray
    origin: str


def check_clock(
    radiation: pd.Series, minutes: int, where: str, longitude: float | None = None, utc_offset: float | None = None
) -> dict[str, float]:
    """Compare the peak of bright days' short-wave radiation with solar noon, and the summers with the winters.

    Parameters
    ----------
    radiation : pandas.Series
        W m-2, indexed by the sorted start of each period, in local standard time.
    minutes : int
        Length of a period.
    where : str
        Site, for messages.
    longitude : float, optional
        Degrees east. Without it, or without `utc_offset` (h), only summer and winter are compared.

    Returns
    -------
    dict
        ``days`` used, a quarter of all; ``noon_error`` and ``summer_minus_winter``, in minutes, where they can be told.

    Warns
    -----
    UserWarning
        The peak's centre lies more than 45 minutes from solar noon; summer and winter differ by about an hour.
    """
    time, centre = _centres(radiation, minutes)
    found: dict[str, float] = {"days": int(time.size)}
    if time.size < _FEWEST_DAYS:
        return found
    error = centre - 720.0 + equation_of_time(time)  # minutes after mean noon at the stamps' meridian
    if longitude is not None and utc_offset is not None:
        error = error - 4.0 * (15.0 * utc_offset - longitude)
        found["noon_error"] = round(float(np.median(_wrapped(error))), 1)
        if abs(found["noon_error"]) > TOLERANCE:
            warnings.warn(
                f"{where}: the centre of the day's radiation lies {found['noon_error']:+.0f} minutes from solar noon "
                f"at longitude {longitude:g} with UTC offset {utc_offset:+g} h: a wrong offset, or stamps that are "
                "neither local standard time nor the start of their period",
                UserWarning,
                stacklevel=4,
            )
    month, error = time.month, _wrapped(error)
    parts = [error[month.isin(months)] for months in ((5, 6, 7, 8), (11, 12, 1, 2))]
    if min(part.size for part in parts) >= _FEWEST_DAYS:
        shift = float(np.median(parts[0]) - np.median(parts[1]))
        found["summer_minus_winter"] = round(shift, 1)
        if _CLOCK_CHANGE[0] < abs(shift) < _CLOCK_CHANGE[1]:
            warnings.warn(
                f"{where}: the sun stands {abs(shift):.0f} minutes {'later' if shift > 0 else 'earlier'} from May to "
                "August than from November to February: the stamps look like civil time with daylight saving; expected "
                "local standard time all year",
                UserWarning,
                stacklevel=4,
            )
    return found


def tell_night(
    light: Mapping[str, np.ndarray], time: pd.DatetimeIndex, minutes: int, position: Position | None = None
) -> Night:
    """Night by radiation, where it was measured; else by the sun's height, where the position is known.

    Parameters
    ----------
    light : mapping of name to array (n,)
        ``SW_IN`` (W m-2), ``PPFD_IN`` (umol m-2 s-1), or none.
    time : pandas.DatetimeIndex, shape (n,)
        Starts of the periods, local standard time.
    minutes : int
        Length of a period.
    position : (latitude, longitude, utc_offset), optional
    """
    dark, known, words = np.zeros(time.size, dtype=bool), np.zeros(time.size, dtype=bool), []
    for name in (name for name in DARK if name in light):
        use = ~known & ~np.isnan(light[name])
        dark[use], known = light[name][use] < DARK[name], known | use
        words.append(f"{name} < {DARK[name]:g} in {use.mean():.1%}")
    if position is not None:
        use = ~known
        dark[use] = below_horizon(time[use], minutes, *position)
        known = known | use
        words.append(f"the sun's height in {use.mean():.1%}")
    if not known.all():
        words.append(f"unknown, hence not used, in {(~known).mean():.1%}")
    return Night(dark, known, ", ".join(words))


def below_horizon(
    time: pd.DatetimeIndex, minutes: int, latitude: float, longitude: float, utc_offset: float
) -> np.ndarray:
    """True where the sun is below the horizon in the middle of the period (bool, one for each start in `time`)."""
    middle = time + pd.Timedelta(minutes=minutes / 2)
    clock = middle.hour.to_numpy() * 60.0 + middle.minute.to_numpy()
    solar = clock - 4.0 * (15.0 * utc_offset - longitude) + equation_of_time(middle)
    hour_angle = np.radians((solar - 720.0) / 4.0)
    tilt, place = declination(middle), np.radians(latitude)
    return np.asarray(np.sin(place) * np.sin(tilt) + np.cos(place) * np.cos(tilt) * np.cos(hour_angle) <= 0.0)


def equation_of_time(time: pd.DatetimeIndex) -> np.ndarray:
    """Minutes by which the true sun is ahead of the mean sun.

    Examples
    --------
    >>> equation_of_time(pd.DatetimeIndex(["2020-02-11", "2020-11-03"])).round(1).tolist()
    [-14.2, 16.3]
    """
    x = _angle(time)
    series = (
        0.0000075 + 0.001868 * np.cos(x) - 0.032077 * np.sin(x) - 0.014615 * np.cos(2 * x) - 0.040849 * np.sin(2 * x)
    )
    return np.asarray(720.0 / np.pi * series)


def declination(time: pd.DatetimeIndex) -> np.ndarray:
    """Of the sun, in radians.

    Examples
    --------
    >>> np.degrees(declination(pd.DatetimeIndex(["2020-06-20", "2020-12-21"]))).round(1).tolist()
    [23.5, -23.4]
    """
    x = _angle(time)
    first = 0.006918 - 0.399912 * np.cos(x) + 0.070257 * np.sin(x)
    second = -0.006758 * np.cos(2 * x) + 0.000907 * np.sin(2 * x) - 0.002697 * np.cos(3 * x) + 0.00148 * np.sin(3 * x)
    return np.asarray(first + second)


def _angle(time: pd.DatetimeIndex) -> np.ndarray:
    return 2 * np.pi / 365.0 * (time.day_of_year.to_numpy() - 1.0)


def _centres(radiation: pd.Series, minutes: int) -> tuple[pd.DatetimeIndex, np.ndarray]:
    """The brightest quarter of each month's days, and the clock time, in minutes, of the centre of each one's peak.

    Clouds of the afternoon, fog of the morning and a ridge beside the tower move the centre of a whole day's light by
    an hour; the peak of a bright day (what is above four fifths of its maximum) they leave where it is. Time runs in a
    circle, so that a peak at midnight, twelve hours wrong, is not split in two that cancel.
    """
    index, values = pd.DatetimeIndex(radiation.index), radiation.to_numpy()
    days = group_days(index, minutes)
    total = days.sum(np.maximum(values, 0.0))
    light = (days.share(~np.isnan(values)) >= LEAST_PRESENT) & (total > 20.0 * days.steps)
    time = pd.DatetimeIndex(days.time)
    lit = pd.Series(np.where(light, total, np.nan), time)
    bright = (lit >= lit.groupby([time.year, time.month]).transform("quantile", _BRIGHT)).to_numpy()
    peak = np.maximum(np.nan_to_num(values) - _PEAK * days.max(values)[days.number], 0.0)
    angle = 2 * np.pi * (index.hour.to_numpy() * 60.0 + index.minute.to_numpy() + minutes / 2) / 1440.0
    centre = np.arctan2(days.sum(peak * np.sin(angle)), days.sum(peak * np.cos(angle))) * 1440.0 / (2 * np.pi)
    return time[bright], centre[bright]


def _wrapped(minutes: np.ndarray) -> np.ndarray:
    """Times of day within twelve hours of their own mean, so that their median is not that of midnight's two sides."""
    angle = 2 * np.pi * minutes / 1440.0
    middle = np.arctan2(np.sin(angle).mean(), np.cos(angle).mean()) * 1440.0 / (2 * np.pi)
    return np.asarray((minutes - middle + 720.0) % 1440.0 - 720.0 + middle)
