"""Every score of a model, of any number of resamples of its sites at once.

=====================  ==============================================================================================
``r2`` ... ``width``   pooled: all days of all sites together
``pearson_r2``         squared correlation: what a line through the predictions would explain
``nrmse``              RMSE over the mean of the observed values, where that is positive; over their standard deviation
                       it would be ``sqrt(1 - r2)`` and say nothing new
``bias``               predicted minus observed
``kge``                Kling-Gupta efficiency, ``1 - sqrt((r - 1)^2 + (a - 1)^2 + (b - 1)^2)``: correlation, and ratios
                       of standard deviations and of means, predicted over observed; 1 at best, and ``1 - sqrt(2)``,
                       not 0, for the observed mean alone
``coverage, width``    of the prediction intervals: share of days that they hold, mean width
``median_site_r2``     median of the r2 of single sites, over those where it is defined; quartiles and the share of
                       sites below zero likewise
``across_site_r2``     of the sites' means: one value for each site
``seasonal_cycle_r2``  of the mean seasonal cycles: the mean of all days of each calendar month at a site, less the mean
                       of its months; at sites with days of two months or more
``anomaly_r2``         of the days, less the mean seasonal cycle (drawn in straight lines between the middles of the
                       months; observed and predicted values each less their own); in months of which two years are
                       known at that site
``interannual_r2``     of the annual means of these anomalies, less their mean over the site's years; years of 30 such
                       days or more, at sites with five or more such years
``annual_sum_rmse``    and ``annual_sum_bias``: of the sums of years with 300 scored days or more (their mean times the
                       days of the year), in the unit of the target times days: gC m-2 y-1 of gC m-2 d-1
=====================  ==============================================================================================

Each r2 is ``1 - SSE / SST`` over the values of its family (Nash and Sutcliffe 1970, J. Hydrology 10, eq. 3).

Source: Gupta et al. (2009), J. Hydrology 377, eq. 9 and 10 (KGE); Tramontana et al. (2016), Biogeosciences 13, sect.
2.4 (across-site variability, mean seasonal cycle, anomalies). They have 8-day steps where we have months, and
interannual variability is added here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ecoembed.validation.scores.sums import SiteSums

__all__ = ["FAMILIES", "day_scores", "evaluate", "site_scores"]

#: Scores of values other than days, and what they count.
FAMILIES = ("across_site", "seasonal_cycle", "anomaly", "interannual")
#: Sums of squares below this share of their terms are rounding: the values are all the same.
_ROUNDING = 1e-12


def evaluate(sums: SiteSums, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every score of b weightings of the sites.

    Parameters
    ----------
    sums : SiteSums
    weights : numpy.ndarray, shape (b, site)
        How often each site is drawn, in whole numbers: ones for the sites as they are, counts of a bootstrap.

    Returns
    -------
    dict of numpy.ndarray, each of shape (b,)
        NaN where a score is not defined.
    """
    weights = np.asarray(weights, dtype=float)
    widths = [values.shape[1] for values in sums.sums.values()]
    totals = np.split(weights @ np.hstack(list(sums.sums.values())), np.cumsum(widths)[:-1], axis=1)
    total = dict(zip(sums.sums, totals, strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = _of_days(total["days"], sums.level) | _of_sites(site_scores(sums)["r2"], weights)
        for name in FAMILIES:
            found[f"{name}_r2"] = _r2(*total[name].T)
        years, error, squared = total["annual_sum"].T
        found |= {"annual_sum_rmse": np.sqrt(squared / years), "annual_sum_bias": error / years, "annual_sums": years}
        return found | _of_intervals(total["intervals"])


def site_scores(sums: SiteSums) -> dict[str, np.ndarray]:
    """The scores of the days of each site, on its own; each of shape (site,)."""
    return day_scores(sums.sums, sums.level)


def day_scores(sums: Mapping[str, np.ndarray], level: float) -> dict[str, np.ndarray]:
    """The scores of groups of days, from their :func:`~ecoembed.validation.scores.sums.day_sums`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _of_days(sums["days"], level) | _of_intervals(sums["intervals"])


def _r2(n: np.ndarray, y: np.ndarray, yy: np.ndarray, ee: np.ndarray) -> np.ndarray:
    return 1 - ee / _spread(n, y, yy)


def _spread(n: np.ndarray, y: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """Sum of squares about the mean; NaN where nothing but rounding is left of it."""
    about = yy - y * y / n
    return np.where(about > _ROUNDING * yy, about, np.nan)


def _of_days(total: np.ndarray, level: float) -> dict[str, np.ndarray]:
    n, y, p, yy, pp, yp, ee, absolute = total.T
    sst, spread, common = _spread(n, y, yy), _spread(n, p, pp), yp - y * p / n
    mean_y, mean_p, rmse = y / n + level, p / n + level, np.sqrt(ee / n)
    nothing = _ROUNDING * (abs(level) + np.sqrt(yy / n))
    r = common / np.sqrt(sst * spread)
    distance = (r - 1) ** 2 + (np.sqrt(spread / sst) - 1) ** 2 + (mean_p / mean_y - 1) ** 2
    return {
        "n": n,
        "r2": 1 - ee / sst,
        "pearson_r2": r**2,
        "rmse": rmse,
        "nrmse": np.where(mean_y > nothing, rmse / mean_y, np.nan),
        "mae": absolute / n,
        "bias": (p - y) / n,
        "kge": np.where(np.abs(mean_y) > nothing, 1 - np.sqrt(distance), np.nan),
    }


def _of_intervals(total: np.ndarray) -> dict[str, np.ndarray]:
    known, within, width = total.T
    return {"coverage": within / known, "width": width / known}


def _of_sites(r2: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Quantiles of the r2 of sites, each counted as often as it was drawn (numpy's linear ones)."""
    order = np.argsort(r2, kind="stable")[: np.isfinite(r2).sum()]
    if len(order) == 0:
        nothing = np.full(len(weights), np.nan)
        return dict.fromkeys(("median_site_r2", "q25_site_r2", "q75_site_r2", "sites_below_zero"), nothing)
    sorted_r2, drawn = r2[order], np.cumsum(weights[:, order], axis=1)
    count = drawn[:, -1]

    def at(rank: np.ndarray) -> np.ndarray:
        place = (drawn <= rank[:, None]).sum(axis=1)
        return np.where(count > 0, sorted_r2[np.minimum(place, len(order) - 1)], np.nan)

    found = {}
    for name, share in (("median_site_r2", 0.5), ("q25_site_r2", 0.25), ("q75_site_r2", 0.75)):
        rank = (count - 1) * share
        low, high = at(np.floor(rank)), at(np.ceil(rank))
        found[name] = low + (rank - np.floor(rank)) * (high - low)
    below = int((sorted_r2 < 0).sum())
    return found | {"sites_below_zero": (drawn[:, below - 1] if below else 0 * count) / count}
