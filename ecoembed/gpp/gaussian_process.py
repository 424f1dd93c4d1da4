"""Gaussian-process regression of few features, on so many rows as its cost allows."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ecoembed.gpp.drawn import drawn_evenly

__all__ = ["GaussianProcess"]


class GaussianProcess(RegressorMixin, BaseEstimator):
    """scikit-learn's Gaussian process (a smooth function plus noise) on a bounded number of rows.

    Its cost grows with the cube of the rows. So it knows at most `most` rows, drawn evenly over the sites by the seed,
    and finds its length scale, amplitude and noise by marginal likelihood on at most `most_tuned` of them. Features and
    target are standardised on these rows. One length scale serves all features: few sites cannot tell eight apart.

    Parameters
    ----------
    most : int, default 1500
    most_tuned : int, default 300
    random_state : int, optional

    Source
    ------
    Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, algorithm 2.1, by scikit-learn.
    """

    def __init__(self, most: int = 1500, most_tuned: int = 300, random_state: int | None = None) -> None:
        self.most = most
        self.most_tuned = most_tuned
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> GaussianProcess:
        """Fit; `groups` are the sites of the rows, over which they are drawn evenly."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
        from sklearn.preprocessing import StandardScaler

        X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
        sites = np.zeros(len(y)) if groups is None else np.asarray(groups)
        self.rows_ = drawn_evenly(sites, self.most, self.random_state)
        self.scaler_ = StandardScaler().fit(X[self.rows_])
        tuned = drawn_evenly(sites, self.most_tuned, self.random_state)
        kernel = ConstantKernel(1.0, (1e-3, 1e5)) * RBF(2.0, (0.1, 1e3)) + WhiteKernel(0.5, (1e-4, 10.0))
        process = GaussianProcessRegressor(kernel, normalize_y=True)
        process.fit(self.scaler_.transform(X[tuned]), y[tuned])
        self.process_ = GaussianProcessRegressor(process.kernel_, optimizer=None, normalize_y=True)
        self.process_.fit(self.scaler_.transform(X[self.rows_]), y[self.rows_])
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The mean of the process, shape (n,)."""
        check_is_fitted(self)
        predicted: np.ndarray = self.process_.predict(self.scaler_.transform(np.asarray(X, dtype=float)))
        return predicted
