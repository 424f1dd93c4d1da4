"""What the tower of a virtual place records of the carbon exchange in its footprint: with errors, and with gaps.

Random error: Hollinger and Richardson 2005, doi 10.1093/treephys/25.7.873 (double exponential, its size growing with
the flux, by vegetation and sign as in Richardson et al. 2006, doi 10.1016/j.agrformet.2006.01.007). Systematic errors,
of our own size: calibration that is wrong by a constant and drifts, calm nights in which carbon leaves unmeasured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecoembed.virtual.places import VirtualPlace
from ecoembed.virtual.weather import HALF_HOURS, autoregressive

#: Standard deviation of the random error in umol m-2 s-1: (at no flux, for each unit) where carbon is taken up, and
#: where it is released.
_FOREST = ((1.42, 0.19), (0.62, 0.63))
_SHORT = ((0.47, 0.12), (0.38, 0.30))
_FORESTS = ("DBF", "ENF", "MF", "EBF", "SAV")
#: A site's constant gain error, and the drift of its gain around that (relative standard deviations).
_GAIN, _DRIFT = 0.015, 0.02
#: Share of a night's flux that is lost in still air, growing as friction velocity falls below the critical one.
_ADVECTED = 0.85
#: W m-2 of shortwave radiation below which it is night.
NIGHT = 10.0
#: Shares of half-hours that are lost in rain, and without any reason known.
_WET, _SPIKES = 0.6, 0.04


@dataclass(frozen=True)
class Record:
    """A tower's record, each array (n,).

    Attributes
    ----------
    nee : ndarray
        Net exchange in umol m-2 s-1 as measured; NaN where it was not. Nothing is filtered or filled.
    unbiased : ndarray
        The same without random error, in every half-hour: truth with the systematic errors.
    outage : ndarray of bool
        Half-hours without power.
    critical : float
        Friction velocity in m s-1 below which nights lose carbon.
    """

    nee: np.ndarray
    unbiased: np.ndarray
    outage: np.ndarray
    critical: float


def is_night(weather: pd.DataFrame) -> np.ndarray:
    """Half-hours of the night, (n,)."""
    return weather["SW_IN_F"].to_numpy() < NIGHT


def random_error(place: VirtualPlace, flux: np.ndarray) -> np.ndarray:
    """Standard deviation in umol m-2 s-1 of the random error of half-hourly net exchange (positive: release)."""
    taken, released = _FOREST if place.igbp in _FORESTS else _SHORT
    return np.where(flux < 0.0, taken[0] + taken[1] * np.abs(flux), released[0] + released[1] * np.abs(flux))


def record(place: VirtualPlace, weather: pd.DataFrame, nee: np.ndarray, rng: np.random.Generator) -> Record:
    """Half-hourly net exchange as the tower of `place` records it.

    Parameters
    ----------
    place : VirtualPlace
    weather : DataFrame
        Of :func:`ecoembed.virtual.weather.halfhours`.
    nee : ndarray, shape (n,)
        True net exchange in the footprint, umol m-2 s-1.
    rng : numpy.random.Generator
    """
    n, days = len(weather), len(weather) // HALF_HOURS
    night, friction = is_night(weather), weather["USTAR"].to_numpy()
    critical = float(rng.uniform(0.6, 1.1) * np.median(friction[night]))
    gain = 1.0 + _GAIN * rng.standard_normal() + _DRIFT * np.repeat(autoregressive(days, 0.98, rng), HALF_HOURS)
    lost = np.where(night, _ADVECTED * np.clip(1.0 - friction / critical, 0.0, 1.0), 0.0)
    unbiased = nee * gain * (1.0 - lost)
    measured = unbiased + rng.laplace(0.0, random_error(place, unbiased) / np.sqrt(2.0))
    outage = _outages(days, rng)
    wet = (weather["P_F"].to_numpy() > 0.0) & (rng.random(n) < _WET)
    missing = outage | wet | (rng.random(n) < _SPIKES)
    return Record(np.where(missing, np.nan, measured), unbiased, outage, critical)


def _outages(days: int, rng: np.random.Generator) -> np.ndarray:
    """Half-hours without power: about six a year, of half a day to a fortnight."""
    n = days * HALF_HOURS
    out = np.zeros(n, dtype=bool)
    for _ in range(rng.poisson(6.0 * days / 365.25)):
        first = rng.integers(0, n)
        out[first : first + int(HALF_HOURS * np.exp(rng.uniform(np.log(0.5), np.log(14.0))))] = True
    return out
