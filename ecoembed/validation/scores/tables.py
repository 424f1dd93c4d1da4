"""The tables of scores: pooled, and of each site."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ecoembed.validation.samples import Samples
from ecoembed.validation.scores.calendar import Calendar
from ecoembed.validation.scores.families import evaluate, site_scores
from ecoembed.validation.scores.rows import day_sets, predicted_by
from ecoembed.validation.scores.sums import SiteSums, site_sums

__all__ = ["summarise", "summarise_sites", "sums_of"]

_POOLED = (
    "r2", "pearson_r2", "rmse", "nrmse", "mae", "bias", "kge", "median_site_r2", "q25_site_r2", "q75_site_r2",
    "sites_below_zero", "across_site_r2", "seasonal_cycle_r2", "anomaly_r2", "interannual_r2", "annual_sum_rmse",
    "annual_sum_bias", "annual_sums", "seasonal_cycle_sites", "anomaly_days", "interannual_sites",
)  # fmt: skip
_OF_SITE = ("r2", "pearson_r2", "rmse", "nrmse", "mae", "bias", "kge")
_INTERVALS = ("coverage", "width")


def sums_of(predictions: pd.DataFrame, samples: Samples) -> Iterator[tuple[str, str, str, SiteSums]]:
    """Feature set, regressor, days (``measured``, where known, and ``all``) and the sums by site, model after model."""
    calendars: dict[str, Calendar] = {}
    for said in predicted_by(predictions, samples):
        for days, kept in day_sets(samples).items():
            part = said.of(kept)
            if not len(part.rows):
                continue  # no scored day was measured
            if days not in calendars:
                calendars[days] = Calendar.of(samples, part.rows)
            yield *said.model, days, site_sums(calendars[days], part)


def summarise(predictions: pd.DataFrame, samples: Samples) -> pd.DataFrame:
    """Scores of each (features, regressor) over all sites: measured days first where known, the best r2 first in each.

    Returns
    -------
    pandas.DataFrame
        ``features, regressor, days, n, sites``, then the scores of :mod:`ecoembed.validation.scores.families` with
        what they are of: ``annual_sums`` (site-years), ``seasonal_cycle_sites``, ``anomaly_days`` and
        ``interannual_sites``. ``coverage`` and ``width`` where any prediction has an interval.
    """
    lines = []
    for features, regressor, days, sums in sums_of(predictions, samples):
        scores = {name: values[0] for name, values in evaluate(sums, np.ones((1, len(sums.sites)))).items()}
        counts = {
            "seasonal_cycle_sites": (sums.sums["seasonal_cycle"][:, 0] > 0).sum(),
            "anomaly_days": sums.sums["anomaly"][:, 0].sum(),
            "interannual_sites": (sums.sums["interannual"][:, 0] > 0).sum(),
        }
        line = {"features": features, "regressor": regressor, "days": days, "n": scores["n"], "sites": len(sums.sites)}
        lines.append(line | {name: (scores | counts)[name] for name in _POOLED} | {k: scores[k] for k in _INTERVALS})
    table = _finished(lines, ["n", "sites", "annual_sums", "seasonal_cycle_sites", "anomaly_days", "interannual_sites"])
    first = (table["days"] == "all").to_numpy()
    return table.iloc[np.lexsort((-table["r2"].fillna(-np.inf), first))].reset_index(drop=True)


def summarise_sites(predictions: pd.DataFrame, samples: Samples) -> pd.DataFrame:
    """Scores of each (features, regressor, days, site).

    Returns
    -------
    pandas.DataFrame
        ``features, regressor, days, site, n, r2, pearson_r2, rmse, nrmse, mae, bias, kge``; ``coverage`` and ``width``
        where any prediction has an interval.
    """
    parts = []
    for features, regressor, days, sums in sums_of(predictions, samples):
        scores = site_scores(sums)
        line = {"features": features, "regressor": regressor, "days": days, "site": sums.sites, "n": scores["n"]}
        parts.append(pd.DataFrame(line | {name: scores[name] for name in (*_OF_SITE, *_INTERVALS)}))
    return _finished(pd.concat(parts, ignore_index=True), ["n"])


def _finished(lines: list[dict[str, object]] | pd.DataFrame, counts: list[str]) -> pd.DataFrame:
    """Counts as whole numbers; no columns of intervals where there are none."""
    table = pd.DataFrame(lines).astype(dict.fromkeys(counts, int))
    return table.drop(columns=list(_INTERVALS)) if table["coverage"].isna().all() else table
