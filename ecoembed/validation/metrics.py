"""Scores, and the one summariser that every model passes through."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["bias", "coverage", "r2", "rmse", "summarise", "summarise_sites", "width"]


def r2(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Coefficient of determination, ``1 - SSE / SST`` (the Nash-Sutcliffe efficiency).

    SST is taken about the mean of `observed` itself: zero says that the prediction is as good as that mean, negative
    that it is worse. It is **not** the squared correlation, which forgives any bias and any slope. NaN where `observed`
    has fewer than two different values.

    Examples
    --------
    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    0.5
    >>> r2(np.array([2.0, 2.0]), np.array([2.0, 2.0]))
    nan
    """
    if len(observed) == 0 or np.ptp(observed) == 0:
        return float("nan")
    sse, sst = np.sum((observed - predicted) ** 2), np.sum((observed - np.mean(observed)) ** 2)
    return float(1.0 - sse / sst)


def rmse(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Root-mean-square error, in the unit of `observed`."""
    return float(np.sqrt(np.mean((observed - predicted) ** 2)))


def bias(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Mean of predicted minus observed: positive where the model says too much."""
    return float(np.mean(predicted - observed))


def coverage(observed: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Share of the observed values that lie within their interval."""
    return float(np.mean((lower <= observed) & (observed <= upper)))


def width(lower: np.ndarray, upper: np.ndarray) -> float:
    """Mean width of the intervals, in the unit of the target."""
    return float(np.mean(upper - lower))


def _scores(rows: pd.DataFrame) -> dict[str, float]:
    observed, predicted = rows["observed"].to_numpy(dtype=float), rows["predicted"].to_numpy(dtype=float)
    scores = {"n": len(rows), **{f.__name__: f(observed, predicted) for f in (r2, rmse, bias)}}
    if "lower" not in rows or rows["lower"].isna().any():  # no intervals were asked for
        return scores
    lower, upper = rows["lower"].to_numpy(dtype=float), rows["upper"].to_numpy(dtype=float)
    return {**scores, "coverage": coverage(observed, lower, upper), "width": width(lower, upper)}


def summarise_sites(predictions: pd.DataFrame) -> pd.DataFrame:
    """Scores of each (features, regressor, site): columns ``features, regressor, site, n, r2, rmse, bias``.

    Predictions with intervals have ``coverage`` and ``width`` besides.
    """
    keys = ["features", "regressor", "site"]
    groups = predictions.groupby(keys, sort=False, observed=True)
    return pd.DataFrame([dict(zip(keys, key, strict=True)) | _scores(rows) for key, rows in groups])


def summarise(predictions: pd.DataFrame) -> pd.DataFrame:
    """Pooled scores of each (features, regressor) over all rows, the best r2 first.

    Returns
    -------
    pandas.DataFrame
        ``features, regressor, n, sites, r2, rmse, bias, median_site_r2``; the last is the median of the r2 of single
        sites, over those where it is defined. With intervals, ``coverage`` and ``width`` before it.
    """
    per_site = summarise_sites(predictions).groupby(["features", "regressor"], observed=True)["r2"].median()
    lines = []
    for (features, regressor), rows in predictions.groupby(["features", "regressor"], sort=False, observed=True):
        scores = _scores(rows)
        line = {"features": features, "regressor": regressor, "n": scores.pop("n"), "sites": rows["site"].nunique()}
        lines.append({**line, **scores, "median_site_r2": float(per_site[features, regressor])})
    return pd.DataFrame(lines).sort_values("r2", ascending=False, kind="stable", ignore_index=True)
