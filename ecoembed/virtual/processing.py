"""How a network processes a virtual tower's record: friction-velocity filters, gap filling and partitioning.

Nothing here knows the truth, but that the thresholds scatter around the friction velocity below which carbon is lost,
as estimates of it would. A version of the record is made for each of several thresholds of friction velocity, one
for each year (VUT) or one for all (CUT); its gaps are filled and it is partitioned by a model that is linear in what it
estimates for each day from the days around: ``NEE = base r(T) - capacity g(light, VPD)``, with r of Lloyd and Taylor
1994 (doi 10.2307/2389824) and g a saturating light response. Night-time partitioning takes the base from nights
(Reichstein et al. 2005, doi 10.1111/j.1365-2486.2005.001002.x), day-time partitioning both from days (Lasslop et al.
2010, doi 10.1111/j.1365-2486.2009.02041.x). Versions, partitionings and their errors so differ as those of towers do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecoembed.virtual.places import VirtualPlace
from ecoembed.virtual.tower import Record, is_night, random_error
from ecoembed.virtual.weather import HALF_HOURS, daily_means

#: Versions by threshold (the middle one is USTAR50), and the logarithmic spread of the estimated threshold and of one
#: year's around it.
VERSIONS = 11
_SPREAD, _YEARLY = 0.4, 0.15
#: Days on either side of a day that serve it: the narrowest that holds so many measured half-hours of night and of day,
#: or else the whole record.
_WINDOWS = (4, 10, 30)
_ENOUGH = 12
#: Days up to which a gap is filled well (quality 1), and up to which fairly (2).
_WELL, _FAIRLY = 3, 10
#: Candidates: temperature sensitivity in K, half-saturation in W m-2, and loss for each hPa of deficit above 10.
_SENSITIVITY = (50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 350.0)
_HALF_LIGHT = (100.0, 200.0, 400.0, 800.0)
_DRYING = (0.0, 0.015, 0.04)


@dataclass(frozen=True)
class Version:
    """One version of a record, each (n,): umol m-2 s-1; `quality` 0 measured, 1-3 filled, ever worse.

    `model` is what fills its gaps; `held` the same model as the other days alone give it.
    """

    nee: np.ndarray
    quality: np.ndarray
    model: np.ndarray
    held: np.ndarray
    reco_nt: np.ndarray
    gpp_nt: np.ndarray
    reco_dt: np.ndarray
    gpp_dt: np.ndarray


@dataclass(frozen=True)
class Drivers:
    """What the model is driven by, each (days, 48): night (bool), response to temperature and to light."""

    night: np.ndarray
    warmth: np.ndarray
    light: np.ndarray


def thresholds(record: Record, years: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Thresholds of friction velocity in m s-1, (VERSIONS, n) each: ``VUT`` by year, ``CUT`` one for all.

    Their distribution is as a bootstrap of the record would give: around the critical velocity, but not at it.
    """
    from scipy.special import ndtri

    spread = _SPREAD * ndtri((np.arange(VERSIONS) + 0.5) / VERSIONS)[:, None]
    numbers = years - years.min()
    of_year = record.critical * np.exp(_YEARLY * rng.standard_normal(int(numbers.max()) + 1))
    return {
        "VUT": of_year[numbers] * np.exp(spread),
        "CUT": np.full(len(years), of_year.mean()) * np.exp(spread),
    }


def versions(
    place: VirtualPlace, record: Record, weather: pd.DataFrame, rng: np.random.Generator
) -> dict[str, list[Version]]:
    """Every version of a record, from the lowest threshold to the highest, for ``VUT`` and ``CUT``."""
    friction, night = weather["USTAR"].to_numpy(), is_night(weather)
    of = thresholds(record, np.asarray(pd.DatetimeIndex(weather.index).year), rng)
    kept = {
        kind: [np.where(night & (friction < lowest), np.nan, record.nee) for lowest in rows]
        for kind, rows in of.items()
    }
    drivers = choose_drivers(kept["CUT"][VERSIONS // 2], weather)
    return {kind: [fill(nee, drivers) for nee in rows] for kind, rows in kept.items()}


def choose_drivers(nee: np.ndarray, weather: pd.DataFrame) -> Drivers:
    """The responses that explain a record best: the site's temperature sensitivity from its nights, then its light."""
    air, light, deficit = (weather[name].to_numpy().reshape(-1, HALF_HOURS) for name in ("TA_F", "SW_IN_F", "VPD_F"))
    night = is_night(weather).reshape(-1, HALF_HOURS)
    nee = nee.reshape(night.shape)
    inverse = 1.0 / 61.02 - 1.0 / np.maximum(air + 46.02, 5.0)
    warm = [np.exp(sensitivity * inverse) for sensitivity in _SENSITIVITY]
    none = np.zeros(night.shape)
    dark = np.where(night, nee, np.nan)
    warmth = min(warm, key=lambda w: _misfit(dark, Drivers(night, w, none)))
    lights = [
        light / (light + half) * np.exp(-drying * np.maximum(deficit - 10.0, 0.0))
        for half in _HALF_LIGHT
        for drying in _DRYING
    ]
    return min((Drivers(night, warmth, g) for g in lights), key=lambda drivers: _misfit(nee, drivers))


def _misfit(nee: np.ndarray, drivers: Drivers) -> float:
    return float(np.nanmean((nee - _modelled(*_estimate(nee, drivers), drivers)) ** 2))


def _modelled(base: np.ndarray, capacity: np.ndarray, drivers: Drivers) -> np.ndarray:
    """Net exchange, (days, 48)."""
    return np.asarray(base[:, None] * drivers.warmth - capacity[:, None] * drivers.light)


def fill(nee: np.ndarray, drivers: Drivers) -> Version:
    """Fill the gaps (NaN) of a record and partition it."""
    nee = nee.reshape(drivers.night.shape)
    own = _products(nee, drivers)
    model, held = (_modelled(*_solve(_around(own, itself)), drivers) for itself in (True, False))
    missing = np.isnan(nee)
    filled = np.where(missing, model, nee)
    at_night, _ = _estimate(np.where(drivers.night, nee, np.nan), drivers)
    night = at_night[:, None] * drivers.warmth
    by_day, grown = _estimate(np.where(drivers.night, np.nan, nee), drivers, prior=at_night)
    flat = (
        filled,
        _quality(missing.ravel()),
        model,
        held,
        night,
        night - filled,
        by_day[:, None] * drivers.warmth,
        grown[:, None] * drivers.light,
    )
    return Version(*(values.ravel() for values in flat))


def _quality(missing: np.ndarray) -> np.ndarray:
    """Quality 0-3 of half-hours, (n,), by the length of the gap that they lie in."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]])))
    stretches = np.diff(np.concatenate([[0], edges, [missing.size]]))
    measured = np.arange(stretches.size) % 2 == 0  # the first, of no length where the record begins with a gap
    days = np.repeat(np.where(measured, 0.0, stretches / HALF_HOURS), stretches)
    return np.select([days == 0, days <= _WELL, days <= _FAIRLY], [0, 1, 2], 3)


def _estimate(nee: np.ndarray, drivers: Drivers, prior: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Base and capacity of each day, (days,), both >= 0.

    Least squares over the measured half-hours of the window; with a `prior` the base is drawn to it with the weight of
    a tenth of them, because days alone hardly tell base and capacity apart.
    """
    sums = _around(_products(nee, drivers))
    if prior is not None:
        rr = sums[:, 0].copy()
        sums[:, 3] += 0.1 * rr * prior
        sums[:, 0] = 1.1 * rr
    return _solve(sums)


def _products(nee: np.ndarray, drivers: Drivers) -> np.ndarray:
    """Each day's part of the normal equations, and how many half-hours of night and of day it has, (days, 7)."""
    valid = ~np.isnan(nee)
    y, r, g = np.where(valid, nee, 0.0), np.where(valid, drivers.warmth, 0.0), np.where(valid, drivers.light, 0.0)
    terms = (r * r, r * g, g * g, r * y, g * y, valid & drivers.night, valid & ~drivers.night)
    return np.stack([term.sum(1) for term in terms], axis=1, dtype=float)


def _solve(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Base and capacity, (days,), that solve the normal equations; neither is below 0."""
    rr, rg, gg, ry, gy = sums[:, :5].T
    gg, rr = gg + 1e-6, rr + 1e-6  # polar nights have no light, and a record may have no night
    determinant = rr * gg - rg**2
    firm = determinant > 1e-3 * rr * gg
    safe = np.where(firm, determinant, 1.0)
    base = np.where(firm, (ry * gg - gy * rg) / safe, ry / rr)
    capacity = np.where(firm, (ry * rg - gy * rr) / safe, 0.0)
    return np.maximum(base, 0.0), np.maximum(capacity, 0.0)


def _around(daily: np.ndarray, itself: bool = True) -> np.ndarray:
    """Sums over the narrowest window around each day that holds enough, the day `itself` or its neighbours only.

    Parameters
    ----------
    daily : ndarray, shape (days, terms)
        The last two terms count; enough is so many of each of those that the record has at all.
    itself : bool
    """
    left_out = 0.0 if itself else daily
    days = np.arange(len(daily))
    total = np.concatenate([np.zeros((1, daily.shape[1])), np.cumsum(daily, axis=0)])
    sums = total[-1] - left_out + np.zeros(daily.shape)
    wanted = np.where(total[-1, -2:] > 0, _ENOUGH, 0)
    for half in reversed(_WINDOWS):
        here = total[np.minimum(days + half + 1, len(daily))] - total[np.maximum(days - half, 0)] - left_out
        sums = np.where((here[:, -2:] >= wanted).all(1)[:, None], here, sums)
    return sums


def daily_random_error(place: VirtualPlace, version: Version, night: np.ndarray) -> np.ndarray:
    """Standard deviation in umol m-2 s-1 of the random error of daily net exchange, (days,); NaN without measurement.

    Measured half-hours err independently, by what their modelled flux makes of it. Those filled in a day's light, and
    those in its dark, err together: by what the mean residuals of measured ones hold beyond their own random error,
    from a model that has not seen the day (its own half-hours draw it towards them).

    Parameters
    ----------
    place : VirtualPlace
    version : Version
    night : ndarray of bool, shape (n,)
    """
    measured = version.quality == 0
    error = random_error(place, version.model)
    variance = np.zeros(len(night) // HALF_HOURS)
    for part in (night, ~night):
        used, filled = (_daily_sums(part & of) for of in (measured, ~measured))
        residual = _daily_sums(np.where(part & measured, version.nee - version.held, 0.0))
        own = _daily_sums(np.where(part & measured, error**2, 0.0))
        enough = used >= _ENOUGH
        beyond = (residual[enough] ** 2 - own[enough]) / used[enough] ** 2
        missed = max(float(beyond.mean()), 0.0) if enough.any() else 0.0
        variance += (own + filled**2 * missed) / HALF_HOURS**2
    return np.where(blind_days(version), np.nan, np.sqrt(variance))


def blind_days(version: Version) -> np.ndarray:
    """Days without one measured half-hour, (days,)."""
    return np.asarray(_daily_sums(version.quality == 0) == 0)


def _daily_sums(values: np.ndarray) -> np.ndarray:
    return np.asarray(values.reshape(-1, HALF_HOURS).sum(1, dtype=float))


def reference(rows: list[Version]) -> Version:
    """The version that agrees best with all others, as ONEFlux chooses its REF (by model efficiency, daily)."""
    daily = np.stack([daily_means(row.nee) for row in rows])
    return rows[int(((daily[:, None] - daily[None]) ** 2).sum((1, 2)).argmin())]
