"""Linear mixed model: effects that all sites share, and how far sites differ. For reading, more than for predicting."""

from __future__ import annotations

import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ecoembed.errors import TableError, TrainingError
from ecoembed.gpp.drawn import drawn_evenly

__all__ = ["MixedModel", "effects"]

#: Rows of a fit, drawn evenly over the sites; how well effects are known depends on the number of sites.
_MOST = 20_000
#: Optimisers, the next where one finds no maximum; the last needs no gradient, which fails where sites hardly differ.
#: Not statsmodels' own second: there L-BFGS-B steps to a variance of exactly zero, whose likelihood is infinite, and
#: calls the intercept 0 converged.
_METHODS = ["bfgs", "powell"]
_FEW = 1e-6  # of a standardised column's spread: what is left of it beside the columns before it is rounding


class _Fit(NamedTuple):
    """A fitted model of standardised columns: those kept, their design with a constant, and the random part."""

    result: Any
    kept: np.ndarray
    design: np.ndarray
    strongest: int | None
    note: str | None


class MixedModel(RegressorMixin, BaseEstimator):
    """Standardised predictors with a random intercept by site and, where that can be fitted, one random slope.

    The slope is that of the predictor with the largest effect. A site that was not trained on is predicted by the fixed
    effects alone, and so are all: the model never asks which site a row is of.

    Parameters
    ----------
    most : int, default 20000
        Rows, drawn evenly over the sites by the seed.
    random_state : int, optional

    Attributes
    ----------
    slope_ : int or None
        The column whose slope differs by site.
    note_ : str or None
        Why there is no such slope.

    Source
    ------
    Lindstrom and Bates 1988, doi 10.1080/01621459.1988.10478693 (restricted maximum likelihood), by statsmodels.
    """

    def __init__(self, most: int = _MOST, random_state: int | None = None) -> None:
        self.most = most
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> MixedModel:
        """Fit; `groups` are the sites of the rows.

        Raises
        ------
        TableError
            Without `groups`, with fewer than two sites, or without a column that varies.
        TrainingError
            If not even the random intercept can be fitted.
        """
        if groups is None:
            raise TableError("a mixed model needs the site of each row", expected="fit(X, y, groups=sites)")
        X, y, sites = np.asarray(X, dtype=float), np.asarray(y, dtype=float), np.asarray(groups)
        rows = drawn_evenly(sites, self.most, self.random_state)
        mean, spread = _scale(X[rows])
        found = _fitted((X[rows] - mean) / spread, y[rows], sites[rows])
        self.coef_ = np.zeros(X.shape[1])
        self.coef_[found.kept] = found.result.fe_params[1:] / spread[found.kept]
        self.intercept_ = float(found.result.fe_params[0] - mean @ self.coef_)
        self.slope_ = None if found.strongest is None else int(found.kept[found.strongest])
        self.note_ = found.note
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The fixed effects, shape (n,)."""
        check_is_fitted(self)
        predicted: np.ndarray = np.asarray(X, dtype=float) @ self.coef_ + self.intercept_
        return predicted


def effects(X: pd.DataFrame, y: Any, sites: Any, level: float = 0.95, most: int = _MOST, seed: int = 0) -> pd.DataFrame:
    """What each predictor does to the target at all sites, and how far sites differ.

    Parameters
    ----------
    X : pandas.DataFrame, shape (n, columns)
        Predictors; they are standardised, so that effects are per standard deviation and can be compared.
    y : array-like, shape (n,)
        The target.
    sites : array-like, shape (n,)
    level : float, default 0.95
        Of the confidence intervals.
    most, seed : int
        At most so many rows are fitted, of each site as many as of any other or all that it has.

    Returns
    -------
    pandas.DataFrame
        ``term, estimate, standard error, lower, upper, p``, and ``n``, the rows that were fitted. ``intercept`` and
        each column of `X`, in the unit of the target (per standard deviation). Then ``variance among sites`` and
        ``variance within sites`` (unit squared), the ``variance of the slope of`` a predictor where it was fitted, and
        ``ICC``, the share of the variance that lies among sites at mean predictors: these have an estimate alone.
        ``attrs["left_out"]``: column -> why it has no effect; ``attrs["note"]``: why there is no random slope, or None.

    Raises
    ------
    TableError
        With fewer than two sites, or without a column that varies.
    TrainingError
        If not even the random intercept can be fitted.

    Notes
    -----
    Standard errors are of sites, not of days: days of one site resemble each other even after its intercept is taken
    away, so that those of the likelihood are far too small. The sandwich takes the sites for independent and nothing
    within them, and Student's t has one degree of freedom less than there are sites. Below about 20 sites it is still
    somewhat too bold.

    Source
    ------
    Liang and Zeger 1986, doi 10.1093/biomet/73.1.13 (the sandwich).
    """
    from scipy import stats

    rows = drawn_evenly(sites, most, seed)
    values, y, sites = X.to_numpy(dtype=float)[rows], np.asarray(y, dtype=float)[rows], np.asarray(sites)[rows]
    mean, spread = _scale(values)
    found = _fitted((values - mean) / spread, y, sites)
    estimate = np.asarray(found.result.fe_params)
    error = np.sqrt(np.diag(_sandwich(found, y, sites)))
    freedom = len(np.unique(sites)) - 1
    reach = stats.t.ppf((1 + level) / 2, freedom) * error
    table = pd.DataFrame(
        {
            "term": ["intercept", *X.columns[found.kept].astype(str)], "estimate": estimate, "standard error": error,
            "lower": estimate - reach, "upper": estimate + reach,
            "p": 2 * stats.t.sf(np.abs(estimate) / error, freedom),
        }
    )  # fmt: skip
    random, within = np.asarray(found.result.cov_re), float(found.result.scale)
    parts = {"variance among sites": random[0, 0], "variance within sites": within}
    if found.strongest is not None:
        parts[f"variance of the slope of {X.columns[found.kept[found.strongest]]}"] = random[1, 1]
    parts["ICC"] = random[0, 0] / (random[0, 0] + within)
    table = pd.concat([table, pd.DataFrame({"term": list(parts), "estimate": list(parts.values())})], ignore_index=True)
    table["n"] = len(rows)
    lost = np.setdiff1d(np.arange(values.shape[1]), found.kept)
    why = {k: "never changes" if np.ptp(values[:, k]) == 0 else "a sum of the columns before it" for k in lost}
    table.attrs = {"left_out": {str(X.columns[k]): reason for k, reason in why.items()}, "note": found.note}
    return table


def _scale(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, 1 where it never changes."""
    spread = np.where(np.ptp(X, axis=0) > 0, X.std(axis=0), 1.0)
    return X.mean(axis=0), spread


def _fitted(Z: np.ndarray, y: np.ndarray, sites: np.ndarray) -> _Fit:
    """The model with a random slope of the strongest predictor, or else with the random intercept alone."""
    if len(np.unique(sites)) < 2:
        raise TableError("a mixed model compares sites", found="1 site", expected="2 or more")
    residue = np.abs(np.diag(np.linalg.qr(np.column_stack([np.ones(len(Z)), Z]), mode="r")))[1:]
    kept = np.flatnonzero(residue > _FEW * np.sqrt(len(Z)))
    if not len(kept):
        raise TableError("no predictor varies", expected="one at least")
    design = np.column_stack([np.ones(len(Z)), Z[:, kept]])
    plain, why = _fit(design, y, sites, [0])
    if plain is None:
        raise TrainingError(
            f"the mixed model cannot be fitted: {why}", found=f"{len(y)} rows, {len(kept)} predictors",
            remedy="Take fewer predictors, or another regressor",
        )  # fmt: skip
    strongest = int(np.argmax(np.abs(plain.fe_params[1:])))
    sloped, why = _fit(design, y, sites, [0, strongest + 1])
    if sloped is None:
        return _Fit(plain, kept, design, None, f"no slope by site: {why}")
    return _Fit(sloped, kept, design, strongest, None)


def _fit(design: np.ndarray, y: np.ndarray, sites: np.ndarray, random: list[int]) -> tuple[Any, str | None]:
    """The fit with these columns varying by site; or None and why."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    # what it warns of is told below; folds run in threads, where warnings cannot be caught for a while only
    for module in (__name__, MixedLM.__module__):
        warnings.filterwarnings("ignore", module=re.escape(module))
    warnings.filterwarnings("ignore", message="Random effects covariance is singular")
    try:
        result = MixedLM(y, design, groups=sites, exog_re=design[:, random]).fit(reml=True, method=_METHODS)
    except (np.linalg.LinAlgError, ValueError) as exc:
        return None, str(exc).rstrip(".").lower()
    if not result.converged or not np.isfinite([result.llf, *result.fe_params]).all():
        return None, "the likelihood has no maximum that was found"
    if len(random) > 1 and np.linalg.eigvalsh(result.cov_re)[0] <= _FEW * result.scale:
        return None, "sites do not differ in it beyond the noise"
    return result, None


def _sandwich(found: _Fit, y: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """Covariance of the fixed effects that takes sites for independent and nothing within them."""
    result, design = found.result, found.design
    random, noise = np.asarray(result.cov_re), float(result.scale)
    columns = [0] if found.strongest is None else [0, found.strongest + 1]
    residual = y - design @ result.fe_params
    names, codes = np.unique(sites, return_inverse=True)
    bread, meat = np.zeros((design.shape[1],) * 2), np.zeros((design.shape[1],) * 2)
    for rows in np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1]):
        X, Z = design[rows], design[rows][:, columns]
        # X' V^-1, where V = Z random Z' + noise I is the covariance of the site's days
        shrunk = random @ np.linalg.inv(noise * np.eye(len(columns)) + Z.T @ Z @ random)
        weighed = (X.T - (X.T @ Z) @ shrunk @ Z.T) / noise
        bread += weighed @ X
        meat += np.outer(weighed @ residual[rows], weighed @ residual[rows])
    inverse = np.linalg.inv(bread)
    covariance: np.ndarray = inverse @ meat @ inverse * len(names) / (len(names) - 1)
    return covariance
