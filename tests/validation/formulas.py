"""The scores as their papers write them, what the tables of scores are checked with."""

from __future__ import annotations

import numpy as np

from ecoembed.validation.scores.metrics import bias, r2, rmse

__all__ = ["bias", "coverage", "kge", "mae", "nrmse", "pearson_r2", "r2", "rmse", "width"]


def pearson_r2(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Squared correlation: what a line through the predictions would explain. NaN where either never changes."""
    if len(observed) == 0 or np.ptp(observed) == 0 or np.ptp(predicted) == 0:
        return float("nan")
    return float(np.corrcoef(observed, predicted)[0, 1] ** 2)


def nrmse(observed: np.ndarray, predicted: np.ndarray) -> float:
    """RMSE over the mean of `observed`: 0.4 says 40 % of the mean flux. NaN unless that mean is positive.

    Notes
    -----
    Of the usual denominators this is the one that says something new: RMSE over the standard deviation is
    ``sqrt(1 - r2)``.
    """
    mean = np.mean(observed) if len(observed) else 0.0
    return rmse(observed, predicted) / float(mean) if mean > 0 else float("nan")


def mae(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error, in the unit of `observed`."""
    return float(np.mean(np.abs(observed - predicted)))


def kge(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Kling-Gupta efficiency: ``1 - sqrt((r - 1)^2 + (a - 1)^2 + (b - 1)^2)``, at best 1.

    r is the correlation, a the ratio of the standard deviations and b that of the means, predicted over observed. The
    observed mean alone scores ``1 - sqrt(2)``, not 0. NaN where either never changes, or the observed mean is zero.

    Source: Gupta et al. (2009), J. Hydrology 377, eq. 9 and 10.

    Examples
    --------
    >>> kge(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])).__round__(6)
    -0.414214
    """
    if len(observed) == 0 or np.ptp(observed) == 0 or np.ptp(predicted) == 0 or np.mean(observed) == 0:
        return float("nan")
    r = np.corrcoef(observed, predicted)[0, 1]
    spread, level = np.std(predicted) / np.std(observed), np.mean(predicted) / np.mean(observed)
    return float(1 - np.sqrt((r - 1) ** 2 + (spread - 1) ** 2 + (level - 1) ** 2))


def coverage(observed: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Share of the observed values that lie within their interval."""
    return float(np.mean((lower <= observed) & (observed <= upper)))


def width(lower: np.ndarray, upper: np.ndarray) -> float:
    """Mean width of the intervals, in the unit of the target."""
    return float(np.mean(upper - lower))
