"""The mean seasonal cycle: a site's own where it was trained on, else its vegetation type's, else that of all sites."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ecoembed.errors import TableError
from ecoembed.gpp.baselines import DAYS

__all__ = ["MeanCycle"]

_YEAR = 365.2425  # days, Gregorian mean
_MOST = 30.0  # days that a site counts where sites are averaged


class MeanCycle(RegressorMixin, BaseEstimator):
    """Mean seasonal cycles of sites, of vegetation types and of all sites, from the columns of `seasonal_cycle`.

    A cycle is a smooth curve over the year: a mean and `harmonics` sines and cosines. It is the least-squares curve
    through its own days and through `prior` days more, spread evenly over the year, which lie on the cycle one level
    up: for a site on its type's, for a type on that of all sites, for these on their mean. Years of a site's own days
    outweigh them; with 27 days, or days of one season, the rest of the year is the type's, and the curve swings
    nowhere. In the cycle of a type and of all, no site counts for more than 30 days.

    Parameters
    ----------
    harmonics : int, default 3
    prior : float, default 5
        Days.

    Notes
    -----
    The defaults are the simplest that do well at 150 towers of FLUXNET2015, with all their days and with 27 of each
    (``evaluation/regressor_defaults.py``). A 15-day window would have 24 means to find, which few days do not tell.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecoembed.gpp.baselines import seasonal_cycle
    >>> days = pd.date_range("2021-01-01", "2021-12-31")
    >>> X = seasonal_cycle(days, [50.0] * 365, ["GRA"] * 365, ["XX-A"] * 365)
    >>> warm = 5.0 - 4.0 * np.cos(2 * np.pi * X["day"] / 365)
    >>> MeanCycle().fit(X, warm).predict(X)[[0, 182]].round(1).tolist()
    [1.0, 9.0]
    """

    def __init__(self, harmonics: int = 3, prior: float = 5.0) -> None:
        self.harmonics = harmonics
        self.prior = prior

    def fit(self, X: Any, y: Any) -> MeanCycle:
        """Fit the three levels.

        Parameters
        ----------
        X : array-like of float, shape (n, 3)
            Columns of :func:`ecoembed.gpp.baselines.seasonal_cycle`.
        y : array-like of float, shape (n,)

        Raises
        ------
        TableError
            If `X` has other columns.
        """
        day, site, kind = _columns(X)
        self.sites_, code = np.unique(site, return_inverse=True)
        types = np.zeros(len(self.sites_), dtype=int)
        types[code] = kind
        self.types_ = np.unique(types[types >= 0])
        # of each site and day of the year how many rows there are and their sum: all that least squares needs
        cell, cells = code * DAYS + day, (len(self.sites_), DAYS)
        count = np.bincount(cell, minlength=np.prod(cells)).reshape(cells)
        total = np.bincount(cell, weights=np.asarray(y, dtype=float), minlength=np.prod(cells)).reshape(cells)
        basis = _basis(self.harmonics)
        squares, moments = np.einsum("sd,dp,dq->spq", count, basis, basis, optimize=True), total @ basis

        weight = np.minimum(_MOST / count.sum(axis=1), 1.0)
        mean = np.zeros(basis.shape[1])
        mean[0] = weight @ total.sum(axis=1) / (weight @ count.sum(axis=1))
        shared = self._curves(np.einsum("s,spq->pq", weight, squares), weight @ moments, mean)
        member = (types == self.types_[:, None]) * weight
        of_types = self._curves(np.einsum("ts,spq->tpq", member, squares), member @ moments, shared)
        above = np.vstack([of_types, shared])[np.where(types >= 0, np.searchsorted(self.types_, types), -1)]
        self.all_ = basis @ shared
        self.of_types_, self.of_sites_ = of_types @ basis.T, self._curves(squares, moments, above) @ basis.T
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The cycle of each row's site on its day, shape (n,); see the class for sites and types that are not known."""
        check_is_fitted(self)
        day, site, kind = _columns(X)
        predicted = self.all_[day]
        for known, cycles, code in ((self.types_, self.of_types_, kind), (self.sites_, self.of_sites_, site)):
            if len(known):
                at = np.minimum(np.searchsorted(known, code), len(known) - 1)
                predicted = np.where(known[at] == code, cycles[at, day], predicted)
        return predicted

    def _curves(self, squares: np.ndarray, moments: np.ndarray, above: np.ndarray) -> np.ndarray:
        """Coefficients of the least-squares curve through its days and through `prior` days of the cycle above."""
        prior = self.prior * np.eye(squares.shape[-1])
        solved: np.ndarray = np.linalg.solve(squares + prior, (moments + self.prior * above)[..., None])
        return solved[..., 0]


def _basis(harmonics: int) -> np.ndarray:
    """Orthonormal over the year: day of the year -> value, shape (366, 1 + 2 harmonics)."""
    angle = 2 * np.pi * np.arange(DAYS)[:, None] / _YEAR * np.arange(1, harmonics + 1)
    return np.hstack([np.ones((DAYS, 1)), np.sqrt(2) * np.cos(angle), np.sqrt(2) * np.sin(angle)])


def _columns(X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = np.asarray(X, dtype=float)
    if values.ndim != 2 or values.shape[1] != 3 or not np.array_equal(values, np.trunc(values)):
        raise TableError(
            "the mean cycle is fitted to the columns of the climatology", found=f"features of shape {values.shape}",
            expected="day of the season, number of the site, number of the vegetation type",
            remedy="Rename a set of your own that is called climatology",
        )  # fmt: skip
    day, site, kind = values.astype(int).T
    return day, site, kind
