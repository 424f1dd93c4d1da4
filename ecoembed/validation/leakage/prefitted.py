"""What was fitted before the folds were made, or is chosen inside them by rows instead of sites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ecoembed.gpp.regressors import make_regressor
from ecoembed.validation.result import Finding
from ecoembed.validation.samples import Samples
from ecoembed.validation.splits.folds import site_codes

__all__ = ["find_prefitted", "find_scaling"]

#: How near to 0 and 1 a mean and a standard deviation are only by design; and the rows that it takes to see that.
_BY_DESIGN, _LEAST_ROWS = 1e-3, 30
_ROUNDING = 1e-12
_LEAST_SITE_ROWS = 5


def find_scaling(samples: Samples) -> list[Finding]:
    """Columns that were scaled by all rows, those of the test too: by their spread or range, or at each site."""
    codes = site_codes(samples)
    found = []
    for name, values in samples.columns.items():
        if len(values) >= _LEAST_ROWS and np.ptp(values) > 0 and (how := _scaled(values, codes)):
            remedy = "Give the column as it was measured: each model scales it by its own training rows"
            found.append(Finding("scaling", "scaled by all rows, those of the test too", name, how, remedy))
    return found


def _scaled(values: np.ndarray, codes: np.ndarray) -> str | None:
    if abs(values.mean()) < _BY_DESIGN and abs(values.std() - 1) < _BY_DESIGN:
        return f"mean {values.mean():.4f}, standard deviation {values.std():.4f} over all rows"
    low, high = values.min(), values.max()
    once = (values == low).sum() == 1 and (values == high).sum() == 1
    if once and min(abs(low), abs(low + 1)) < _ROUNDING and abs(high - 1) < _ROUNDING:
        return f"least {low:.0f} and largest 1, once each"
    lower, middle, upper = np.quantile(values, [0.25, 0.5, 0.75])
    quartered = abs(middle) < _BY_DESIGN and abs(upper - lower - 1) < _BY_DESIGN
    if quartered and lower < middle < upper and len(np.unique(values)) >= _LEAST_ROWS:  # dry days, zeros and ones: no
        return f"median {middle:.4f}, quartiles {upper - lower:.4f} apart over all rows"
    count = np.bincount(codes)
    mean = np.bincount(codes, values) / count
    spread = np.sqrt(np.bincount(codes, (values - mean[codes]) ** 2) / np.maximum(count - 1, 1))
    enough = count >= _LEAST_SITE_ROWS
    by_site = enough.any() and np.all(np.abs(mean[enough]) < _BY_DESIGN)
    if by_site and np.all(np.abs(spread[enough] - 1) < 1 / count[enough] + _BY_DESIGN):  # over n or n - 1
        return "mean 0 and standard deviation 1 at each site"
    return None


def find_prefitted(regressors: Mapping[str, Any], rows: int) -> list[Finding]:
    """A user's own estimators that know more than their training rows, or choose by folds that split sites.

    Parameters
    ----------
    regressors : mapping of name to regressor
        Named ones are not looked at: they are fitted inside the fold, and stop early on whole sites.
    rows : int
        Training rows, about.

    Returns
    -------
    list of Finding
        Severe where a part stays fitted when the estimator is cloned for a fold.
    """
    found = []
    for name, given in regressors.items():
        model = make_regressor(given, rows) if isinstance(given, str) and "." in given else given  # an import path
        if hasattr(model, "get_params"):
            found += [*_fitted(name, model), *_chosen_by_rows(name, model, rows)]
    return found


def _fitted(name: str, model: Any) -> Iterator[Finding]:
    from sklearn.base import clone

    kept = sorted({type(part).__name__ for part in _parts(clone(model)) if _is_fitted(part)})
    if kept:
        what = "a part of the model was fitted before the folds were made, and stays so in each of them"
        remedy = "Pass it unfitted: each fold fits it to its own training rows"
        yield Finding("fitted", what, name, ", ".join(kept), remedy, severe=True)
    elif _is_fitted(model):
        what = "the model was passed fitted; each fold clones it, and what it knew is forgotten"
        yield Finding("fitted", what, name, type(model).__name__, "Pass it unfitted, to be sure of what is meant")


def _chosen_by_rows(name: str, model: Any, rows: int) -> Iterator[Finding]:
    """Inner folds that split sites: the choice is made at known sites, and the score at unseen ones suffers."""
    from sklearn.model_selection import check_cv
    from sklearn.model_selection._split import GroupsConsumerMixin

    for part in _parts(model):
        options = part.get_params(deep=False) if hasattr(part, "get_params") else {}
        kind = type(part).__name__
        if "cv" in options and options["cv"] != "prefit":
            folds = check_cv(options["cv"]) if not hasattr(options["cv"], "split") else options["cv"]
            if not isinstance(folds, GroupsConsumerMixin):
                what = "is tuned by folds that have a site on both sides"
                remedy = (
                    "Pass cv = GroupKFold(5): searches and CV estimators, in pipelines too, hand it the training sites "
                    "as groups; where scikit-learn hands it none (stacking, selectors in a pipeline), it stops"
                )
                yield Finding("inner", what, name, f"{kind}, cv = {options['cv']}", remedy)
        if _stops_by_rows(options, rows):
            what = "stops early by rows drawn at random, of sites that it trains on"
            remedy = "Give it the number of steps, and early_stopping = False (or n_iter_no_change = None)"
            yield Finding("inner", what, name, kind, remedy)


def _stops_by_rows(options: Mapping[str, Any], rows: int) -> bool:
    """Whether scikit-learn's estimators with these parameters hold rows back to stop by."""
    stops = options.get("early_stopping", options.get("n_iter_no_change") if "validation_fraction" in options else None)
    return rows > 10_000 if stops == "auto" else bool(stops)


def _parts(model: Any) -> Iterator[Any]:
    """An estimator and all that it is made of, be it by a bound method."""
    yield model
    for value in model.get_params(deep=True).values():
        part = getattr(value, "__self__", value)
        if hasattr(part, "fit") and not isinstance(part, type):
            yield part


def _is_fitted(part: Any) -> bool:
    """As scikit-learn tells: an attribute whose name ends with an underscore."""
    return any(name.endswith("_") and not name.startswith("__") for name in getattr(part, "__dict__", {}))
