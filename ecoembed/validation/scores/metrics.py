"""The scores that other parts of the package need of single pairs of arrays; the tables have theirs from sums."""

from __future__ import annotations

import numpy as np

__all__ = ["bias", "r2", "rmse"]


def r2(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Coefficient of determination, ``1 - SSE / SST``: the Nash-Sutcliffe efficiency (NSE).

    SST is taken about the mean of `observed` itself: zero says that the prediction is as good as that mean, negative
    that it is worse. It is **not** the squared correlation, which forgives any bias and any slope. NaN where `observed`
    has fewer than two different values.

    Source: Nash and Sutcliffe (1970), J. Hydrology 10, eq. 3.

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
