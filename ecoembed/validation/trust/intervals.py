"""Prediction intervals for sites never seen: CV+ whose inner folds hold out whole sites, all sites counting the same.

Residuals of days that the model was fitted beside say how well it knows those sites, not how it does elsewhere. Here
the residuals are those of sites that an inner model never saw, and a site of 2 000 days weighs no more than one of 20.

MAPIE's ``CrossConformalRegressor`` (method ``plus``, grouped folds) is the same method for exchangeable **days**. With
one day at each site its bounds are these, number for number, and with records of equal length at the level that counts
sites for days (``tests/validation/trust/test_intervals.py`` shows both). It is not called here because its quantile
takes no weights: where ordinary sites have the long records, an interval of 90 % holds 65 % of the days of a new site
in the simulation of the same tests, where these hold 91 %. It also keeps matrices of test rows by training rows (some
30 GB for one fold of 150 towers), and routes no groups to the inner fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ecoembed.errors import ConfigError, TableError

__all__ = ["INNER_FOLDS", "check_level", "check_sites", "cv_plus", "held_out_intervals"]

#: Inner folds, or as many as there are sites if they are fewer.
INNER_FOLDS = 10
_HALVINGS = 60  # of the bracket around a bound: far below the rounding of the values


def check_level(level: float | None) -> float | None:
    """The share of held-out days that an interval shall hold, unchanged.

    Raises
    ------
    ConfigError
        If it is not between 0 and 1.
    """
    if level is not None and not (isinstance(level, int | float) and 0 < level < 1):
        raise ConfigError("impossible level of the intervals", found=level, expected="a number between 0 and 1: 0.9")
    return level


def check_sites(level: float, training: int) -> None:
    """Raise TableError where `training` sites are too few for this level: 9 are needed for 0.9, 19 for 0.95."""
    if training < level / (1 - level) - 1e-9:
        raise TableError(
            f"too few training sites for an interval that holds {level:.0%} of the days", found=f"{training} sites",
            expected=f"{int(np.ceil(level / (1 - level) - 1e-9))} or more", remedy="Ask for a lower level, or for none",
        )  # fmt: skip


def held_out_intervals(
    make: Callable[[np.ndarray], Any],
    X: Any,
    y: np.ndarray,
    sites: np.ndarray,
    X_test: Any,
    level: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds of the test rows, by models that are fitted on the training rows of an outer fold alone.

    Parameters
    ----------
    make : callable
        Rows (a mask, shape (n,)) -> an estimator fitted on those rows of `X` and `y`.
    X, y, sites : numpy.ndarray (`X` may be Windows), shape (n, columns), (n,) and (n,)
        The training rows of the outer fold.
    X_test : like `X`, shape (m, columns)
    level : float
        The share of held-out days that the interval shall hold.

    Returns
    -------
    lower, upper : numpy.ndarray, shape (m,)

    Raises
    ------
    TableError
        If there are too few training sites for this level: 9 are needed for 0.9, 19 for 0.95.
    """
    from sklearn.model_selection import GroupKFold

    names, codes, count = np.unique(sites, return_inverse=True, return_counts=True)
    check_sites(level, len(names))
    weight = 1.0 / ((len(names) + 1) * count[codes])
    predicted, residuals, weights = [], [], []
    for _, held in GroupKFold(min(INNER_FOLDS, len(names))).split(codes, groups=codes):
        rows = np.ones(len(y), dtype=bool)
        rows[held] = False
        model = make(rows)
        residuals.append(np.abs(y[held] - np.asarray(model.predict(X[held]), dtype=float).ravel()))
        weights.append(weight[held])
        predicted.append(np.asarray(model.predict(X_test), dtype=float).ravel())
    return cv_plus(np.stack(predicted, axis=1), residuals, weights, level)


def cv_plus(
    predicted: np.ndarray, residuals: Sequence[np.ndarray], weights: Sequence[np.ndarray], level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds by CV+: weighted quantiles of what each inner model predicts, less and plus its held-out residuals.

    Parameters
    ----------
    predicted : numpy.ndarray, shape (m, K)
        What each of the K inner models predicts for the m test rows.
    residuals, weights : sequence of K numpy.ndarray
        Absolute residuals of the rows that each inner model was not fitted on, and their weights. What the weights
        lack to 1 is the weight of the unknown residual of the new site; the others must hold at least `level`.
    level : float

    Returns
    -------
    lower, upper : numpy.ndarray, shape (m,)

    Source
    ------
    Barber, Candes, Ramdas and Tibshirani 2021, doi 10.1214/20-AOS1965 (CV+: holds at least 2 x level - 1, in practice
    the level); Lee, Barber and Willett 2023, arXiv 2306.06342 (groups of equal weight for data within sites).

    Examples
    --------
    >>> lower, upper = cv_plus(np.array([[2.0]]), [np.array([1.0, 3.0, 2.0])], [np.full(3, 0.25)], level=0.5)
    >>> lower.round(6).tolist(), upper.round(6).tolist()
    ([0.0], [4.0])
    """
    order = [np.argsort(r) for r in residuals]
    ordered = [r[o] for r, o in zip(residuals, order, strict=True)]
    total = [np.concatenate([[0.0], np.cumsum(w[o])]) for w, o in zip(weights, order, strict=True)]
    return -_upper(-predicted, ordered, total, level), _upper(predicted, ordered, total, level)


def _upper(predicted: np.ndarray, residuals: list[np.ndarray], total: list[np.ndarray], level: float) -> np.ndarray:
    """The least t of each row at which the weights of prediction + residual <= t reach `level`, by bisection."""
    low, high = predicted.min(axis=1) - 1e-9, predicted.max(axis=1) + max(r[-1] for r in residuals)
    high = high + 1e-9 * (1 + np.abs(high))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        held = sum(
            t[np.searchsorted(r, middle - predicted[:, k], side="right")]
            for k, (r, t) in enumerate(zip(residuals, total, strict=True))
        )
        reached = held >= level - 1e-12
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return np.asarray(high)
