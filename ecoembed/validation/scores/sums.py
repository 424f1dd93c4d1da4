"""Sums by site, from which every score of a model follows: of all sites at once, and of any resample of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecoembed.validation.scores.calendar import Calendar
from ecoembed.validation.scores.rows import Predicted

__all__ = ["SiteSums", "site_sums"]


@dataclass(frozen=True)
class SiteSums:
    """What a model's rows add up to at each site.

    Attributes
    ----------
    sites : numpy.ndarray of str, shape (s,)
    level : float
        The mean of what was observed, which is subtracted from observed and predicted values before they are added up.
    sums : dict of numpy.ndarray, each of shape (s, k)
        ``days``: number of days; sums of observed y, predicted p, y^2, p^2, y p, squared error, absolute error.
        ``intervals``: number of days with an interval; of those that hold the observation; sum of widths.
        ``across_site`` (means of a site), ``seasonal_cycle`` (means of a month), ``anomaly`` (days) and
        ``interannual`` (years): number of values, sums of y, y^2 and squared error.
        ``annual_sum``: number of years; sums of error and squared error.
    """

    sites: np.ndarray
    level: float
    sums: dict[str, np.ndarray]


def site_sums(calendar: Calendar, said: Predicted) -> SiteSums:
    """Sums of one model over the rows of `calendar`."""
    level = float(said.observed.mean())
    y, p = said.observed - level, said.predicted - level
    mean_y, dev_y = _about_site_means(calendar, y)
    mean_p, dev_p = _about_site_means(calendar, p)
    n, e, sites = calendar.n, p - y, len(calendar.sites)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(calendar.site, values, sites)

    products = ((mean_y, dev_y, mean_y, dev_y), (mean_p, dev_p, mean_p, dev_p), (mean_y, dev_y, mean_p, dev_p))
    days = [n, n * mean_y, n * mean_p, *(n * a * b + total(c * d) for a, c, b, d in products)]
    known = ~(np.isnan(said.lower) | np.isnan(said.upper))
    within = known & (said.lower <= said.observed) & (said.observed <= said.upper)
    sums = {
        "days": np.column_stack([*days, total(e * e), total(np.abs(e))]),
        "intervals": np.column_stack([total(v) for v in (known, within, np.where(known, said.upper - said.lower, 0))]),
        "across_site": _moments(sites, np.arange(sites), mean_y, mean_p),
        **_cycles(calendar, y, p),
        "annual_sum": _annual(calendar, e),
    }
    return SiteSums(calendar.sites, level, sums)


def _about_site_means(calendar: Calendar, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each site, and each row less that mean: exactly zero where a site's values are all the same."""
    means = np.bincount(calendar.site, values) / calendar.n
    least = np.minimum.reduceat(values, calendar.starts)
    means = np.where(least == np.maximum.reduceat(values, calendar.starts), least, means)
    return means, values - means[calendar.site]


def _cycles(calendar: Calendar, y: np.ndarray, p: np.ndarray) -> dict[str, np.ndarray]:
    """Sums of mean seasonal cycles, of daily anomalies from them, and of annual means of these."""
    sites, years = len(calendar.sites), calendar.years
    monthly = [_means(calendar.month, values, calendar.months) for values in (y, p)]
    cell, share = calendar.neighbour
    anomalies = [
        (values - (1 - share) * cycle[calendar.month] - share * cycle[cell])[calendar.departs]
        for values, cycle in zip((y, p), monthly, strict=True)
    ]
    site, year = calendar.site[calendar.departs], calendar.year[calendar.departs]
    counts = np.bincount(year, minlength=sites * years)
    annual = [_means(year, values, counts)[calendar.departing_years] for values in anomalies]
    of_years = calendar.departing_years // years
    known = np.flatnonzero(calendar.months * np.repeat(calendar.has_cycle, 12))
    cycles = [cycle[known] for cycle in monthly]
    return {
        "seasonal_cycle": _moments(sites, known // 12, *(_centred(known // 12, c, sites) for c in cycles)),
        "anomaly": _moments(sites, site, *anomalies),
        "interannual": _moments(sites, of_years, *(_centred(of_years, values, sites) for values in annual)),
    }


def _annual(calendar: Calendar, error: np.ndarray) -> np.ndarray:
    """Errors of annual sums: the mean of a year's scored days times its days, predicted less observed."""
    cells, sites = calendar.whole_years, len(calendar.sites)
    counts = np.bincount(calendar.year)
    error = _means(calendar.year, error, counts)[cells] * calendar.days_of_whole_years
    site = cells // calendar.years
    return np.column_stack([np.bincount(site, weights, sites) for weights in (np.ones(len(site)), error, error**2)])


def _means(cell: np.ndarray, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean of each cell; 0 where it is empty."""
    return np.bincount(cell, values, len(counts)) / np.maximum(counts, 1)


def _centred(site: np.ndarray, values: np.ndarray, sites: int) -> np.ndarray:
    return values - _means(site, values, np.bincount(site, minlength=sites))[site]


def _moments(sites: int, site: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Of each site: number of values, sums of observed y, of y^2 and of the squared error."""
    weights = (np.ones(len(site)), y, y * y, (p - y) ** 2)
    return np.column_stack([np.bincount(site, values, sites) for values in weights])
