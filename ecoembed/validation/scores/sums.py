"""Sums by site, from which every score of a model follows: of all sites at once, and of any resample of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecoembed.validation.scores.calendar import Calendar
from ecoembed.validation.scores.rows import Predicted

__all__ = ["SiteSums", "bootstrap_counts", "day_sums", "site_sums"]


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
    of_days = day_sums(calendar.site, calendar.starts, said, level)
    mean_y, mean_p = of_days["days"][:, 1] / calendar.n, of_days["days"][:, 2] / calendar.n
    sums = {
        **of_days,
        "across_site": _moments(len(calendar.sites), np.arange(len(calendar.sites)), mean_y, mean_p),
        **_cycles(calendar, said.observed - level, said.predicted - level),
        "annual_sum": _annual(calendar, said.predicted - said.observed),
    }
    return SiteSums(calendar.sites, level, sums)


def day_sums(code: np.ndarray, first: np.ndarray, said: Predicted, level: float) -> dict[str, np.ndarray]:
    """``days`` and ``intervals`` of :class:`SiteSums`, of any groups of rows.

    Parameters
    ----------
    code : numpy.ndarray of int, shape (n,)
        The group of each row; none is empty.
    first : numpy.ndarray of int, shape (groups,)
        A row of each group.
    said : Predicted
    level : float
        What is subtracted from observed and predicted values.
    """

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(code, values, len(first))

    n = np.bincount(code, minlength=len(first))
    mean_y, dev_y = _about_means(code, first, n, said.observed - level)
    mean_p, dev_p = _about_means(code, first, n, said.predicted - level)
    e = said.predicted - said.observed
    squares = [n * a * b + total(c * d) for a, b, c, d in (
        (mean_y, mean_y, dev_y, dev_y), (mean_p, mean_p, dev_p, dev_p), (mean_y, mean_p, dev_y, dev_p),
    )]  # fmt: skip
    known = ~(np.isnan(said.lower) | np.isnan(said.upper))
    within = known & (said.lower <= said.observed) & (said.observed <= said.upper)
    widths = np.where(known, said.upper - said.lower, 0.0)
    return {
        "days": np.column_stack([n, n * mean_y, n * mean_p, *squares, total(e * e), total(np.abs(e))]),
        "intervals": np.column_stack([total(values) for values in (known, within, widths)]),
    }


def bootstrap_counts(count: int, times: int, seed: int) -> np.ndarray:
    """How often each resample of a bootstrap draws each of `count` sites (or folds, or months), (times, count)."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=times)


def _about_means(
    code: np.ndarray, first: np.ndarray, n: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each group, and each row less that mean: exactly zero where a group's values are all the same."""
    others = np.bincount(code, values != values[first][code], len(first))
    means = np.where(others == 0, values[first], np.bincount(code, values, len(first)) / n)
    return means, values - means[code]


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
