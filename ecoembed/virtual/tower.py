"""What the tower of a virtual place measures: carbon exchange in its footprint, with errors, gaps and partitioning.

Random error: Hollinger and Richardson 2005, doi 10.1093/treephys/25.7.873 (double exponential, its size growing with
the flux). The partitioning variants differ by slow errors of our own choice, of the size by which NT and DT differ.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from ecoembed import units
from ecoembed.virtual.landscape import Landscape
from ecoembed.virtual.places import Place
from ecoembed.virtual.weather import HALF_HOURS, autoregressive

MISSING = -9999.0
#: gC m-2 d-1 in one umol m-2 s-1.
_DAILY = units.convert(1.0, units.CARBON_FLUX, units.DAILY_CARBON_FLUX)
#: Standard deviation of the random error in umol m-2 s-1: at no flux, and for each unit of it.
_RANDOM = (0.8, 0.2)
#: Friction velocity in m s-1, relative to the site's median, under which night-time fluxes are discarded.
_CALM = 0.45
#: Every n-th half-hour makes a month's footprint (an odd number, so that every hour of the day takes its turn).
_EVERY = 5
#: Half-hours up to which a gap counts as filled well (QC 1).
_SHORT_GAP = 12


@dataclass(frozen=True)
class Fluxes:
    """Half-hourly exchange in umol m-2 s-1, each (n,): truth, what was measured or filled, its error and quality."""

    gpp: np.ndarray
    reco: np.ndarray
    nee: np.ndarray
    error: np.ndarray
    quality: np.ndarray
    outage: np.ndarray


def footprint_weights(place: Place, land: Landscape, weather: pd.DataFrame) -> np.ndarray:
    """Footprint of each month's daylight on the grid of `land`, (months, y, x), each month summing to 1.

    What lies outside the grid is taken to be like what lies inside.

    Source: Kljun et al. 2015, doi 10.5194/gmd-8-3695-2015, in :mod:`ecoembed.footprints`.
    """
    from ecoembed.cubes.grid import true_north
    from ecoembed.footprints.climatology import footprint_climatology
    from ecoembed.footprints.turbulence import turbulence

    site, north = pd.Series(asdict(place)), true_north(place.epsg, place.latitude, place.longitude)
    names = {"USTAR": "USTAR", "WD": "WD", "WS_F": "WS", "H_F_MDS": "H", "TA_F": "TA", "PA_F": "PA", "SW_IN_F": "SW_IN"}
    thinned = weather[list(names)].rename(columns=names).iloc[::_EVERY].rename_axis("time")
    months = pd.DatetimeIndex(thinned.index).to_period("M")
    weights = []
    for month in months.unique():
        halfhours = thinned[months == month].to_xarray()
        inputs = turbulence(halfhours, site, north=north)
        field = footprint_climatology(**inputs, grid={"x": land.x, "y": land.y}, x=place.easting, y=place.northing)
        weights.append(field.to_numpy() / field.to_numpy().sum())
    return np.stack(weights)


def _days(values: np.ndarray) -> np.ndarray:
    """Daily means of half-hours: (n,) to (n / 48,)."""
    return np.asarray(values.reshape(-1, HALF_HOURS).mean(1))


def _within_day(gpp: np.ndarray, weather: pd.DataFrame) -> np.ndarray:
    """Spread daily GPP (gC m-2 d-1) over its half-hours by saturating light and vapour pressure deficit."""
    light, vapour = weather["SW_IN_F"].to_numpy(), weather["VPD_F"].to_numpy()
    shape = (light / (light + 500.0) / (1.0 + (vapour / 30.0) ** 2)).reshape(-1, HALF_HOURS)
    total = shape.mean(1, keepdims=True)
    share = np.divide(shape, total, out=np.zeros_like(shape), where=total > 0)
    return np.asarray((share * (gpp / _DAILY)[:, None]).ravel())


def _respiration(gpp: np.ndarray, weather: pd.DataFrame, water: np.ndarray) -> np.ndarray:
    """Ecosystem respiration: a base that follows recent GPP and soil water, doubling every 10 K."""
    from ecoembed.virtual.vegetation import running

    base = (0.5 + 0.4 * running(gpp, 20.0)) * np.clip(0.4 + water, 0.4, 1.0) / _DAILY
    return np.asarray(np.repeat(base, HALF_HOURS) * 2.0 ** ((weather["TA_F"].to_numpy() - 15.0) / 10.0))


def _outages(days: int, rng: np.random.Generator) -> np.ndarray:
    """Half-hours without power: three or four a year, of half a day to a fortnight."""
    n = days * HALF_HOURS
    out = np.zeros(n, dtype=bool)
    for _ in range(rng.poisson(3.5 * days / 365.25)):
        first = rng.integers(0, n)
        out[first : first + int(HALF_HOURS * np.exp(rng.uniform(np.log(0.5), np.log(14.0))))] = True
    return out


def _gap_length(missing: np.ndarray) -> np.ndarray:
    """Length in half-hours of the gap that each half-hour lies in; 0 where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    length = np.zeros(len(missing), dtype=int)
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        length[first:last] = last - first
    return length


def exchange(gpp: np.ndarray, water: np.ndarray, weather: pd.DataFrame, rng: np.random.Generator) -> Fluxes:
    """Half-hourly net exchange as a tower records and a processor fills it.

    Parameters
    ----------
    gpp : ndarray, shape (days,)
        True daily GPP in the footprint, gC m-2 d-1.
    water : ndarray, shape (days,)
        Relative soil water 0-1.
    weather : DataFrame
        Of :func:`ecoembed.virtual.weather.halfhours`, for the same days.
    rng : numpy.random.Generator
    """
    n = len(weather)
    true_gpp, reco = _within_day(gpp, weather), _respiration(gpp, weather, water)
    advected = np.repeat(0.06 * rng.standard_normal(len(gpp)), HALF_HOURS)  # what eddies miss differs from day to day
    truth = (reco - true_gpp) * (1.0 + advected)
    error = _RANDOM[0] + _RANDOM[1] * np.abs(truth)
    outage = _outages(len(gpp), rng)
    friction = weather["USTAR"].to_numpy()
    calm = (friction < _CALM * np.median(friction)) & (weather["SW_IN_F"].to_numpy() < 10.0)
    missing = outage | calm | ((weather["P_F"].to_numpy() > 0) & (rng.random(n) < 0.6)) | (rng.random(n) < 0.04)
    measured = truth + rng.laplace(0.0, error / np.sqrt(2.0))
    filled = reco * np.exp(0.1 * autoregressive(n, 0.99, rng)) - true_gpp * np.exp(0.15 * autoregressive(n, 0.99, rng))
    gap = _gap_length(missing)
    quality = np.select([gap == 0, gap <= _SHORT_GAP, gap <= 4 * HALF_HOURS], [0, 1, 2], 3)
    return Fluxes(true_gpp, reco, np.where(missing, filled, measured), error, quality, outage)


def halfhourly_table(fluxes: Fluxes, weather: pd.DataFrame) -> pd.DataFrame:
    """Columns of the half-hourly file; wind, friction velocity and heat flux are missing in outages."""
    table = weather.drop(columns=["CLOUD", "DIFFUSE", "DROUGHT"]).copy()
    table["NEE_VUT_REF"], table["NEE_VUT_REF_QC"] = fluxes.nee, fluxes.quality
    table.loc[fluxes.outage, ["WD", "USTAR", "H_F_MDS"]] = MISSING
    stamps = [table.index, table.index + pd.Timedelta("30min")]
    for i, (name, stamp) in enumerate(zip(("TIMESTAMP_START", "TIMESTAMP_END"), stamps, strict=True)):
        table.insert(i, name, np.asarray(stamp.strftime("%Y%m%d%H%M").astype("int64")))
    return table.reset_index(drop=True)


def daily_table(fluxes: Fluxes, daily: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Columns of the daily file: means of the half-hours, partitioned by night (NT) and day (DT), two u* thresholds.

    Days without one measurement keep their weather and their filled NEE; their partitioned fluxes are missing.
    """
    days = len(daily)
    stamp = pd.DatetimeIndex(daily.index).strftime("%Y%m%d")
    table = pd.DataFrame({"TIMESTAMP": np.asarray(stamp.astype("int64"))})
    powered = 1.0 - _days(fluxes.outage.astype(float))
    for name in ("TA_F", "SW_IN_F", "VPD_F", "P_F"):
        table[name], table[f"{name}_QC"] = daily[name].to_numpy(), powered
    good = _days((fluxes.quality <= 1).astype(float))
    nee, reco, gpp = (_days(flux) * _DAILY for flux in (fluxes.nee, fluxes.reco, fluxes.gpp))
    measured = fluxes.quality == 0
    table["NEE_VUT_REF"], table["NEE_VUT_REF_QC"] = nee, good
    table["NEE_VUT_REF_RANDUNC"] = np.sqrt(_days(np.where(measured, fluxes.error, 0.0) ** 2) / HALF_HOURS) * _DAILY
    other = nee + 0.04 * reco * autoregressive(days, 0.9, rng)
    table["NEE_VUT_USTAR50"], table["NEE_VUT_USTAR50_QC"] = other, np.clip(good - 0.04 * rng.random(days), 0.0, 1.0)
    night = reco * np.exp(0.12 * autoregressive(days, 0.95, rng) + 0.12 * rng.standard_normal(days))
    table["RECO_NT_VUT_REF"] = night
    table["RECO_DT_VUT_REF"] = reco * np.exp(0.12 * autoregressive(days, 0.95, rng))
    table["GPP_NT_VUT_REF"] = night - nee
    table["GPP_NT_VUT_USTAR50"] = night * np.exp(0.04 * autoregressive(days, 0.95, rng)) - other
    table["GPP_DT_VUT_REF"] = gpp * np.exp(0.08 * autoregressive(days, 0.95, rng) + 0.05 * rng.standard_normal(days))
    blind = _days(measured.astype(float)) == 0
    partitioned = [name for name in table if str(name).startswith(("GPP", "RECO")) or name == "NEE_VUT_REF_RANDUNC"]
    table.loc[blind, partitioned] = MISSING
    return table
