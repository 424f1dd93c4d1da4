"""Predictions of held-out rows: for each fold a fresh estimator, fitted on that fold's training rows alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ecoembed.errors import EcoembedError, TableError
from ecoembed.files import track
from ecoembed.gpp.regressors import make_regressor
from ecoembed.validation.samples import Samples
from ecoembed.validation.splits.folds import Fold, Folds
from ecoembed.validation.trust.intervals import held_out_intervals

__all__ = ["Predicted", "predict_held_out"]

#: Folds fitted at a time; each holds a copy of its training rows.
_MOST_WORKERS = 8


class Predicted(NamedTuple):
    """What held-out rows gave.

    Attributes
    ----------
    table : pandas.DataFrame
        `PredictionTable`. The columns ``lower`` and ``upper`` are NaN where no intervals were asked for.
    importance, partial : pandas.DataFrame or None
        See :func:`ecoembed.validation.trust.importance.collect`; None where it was not asked for.
    """

    table: pd.DataFrame
    importance: pd.DataFrame | None
    partial: pd.DataFrame | None


class _Job(NamedTuple):
    features: str
    name: str
    fold: int


class _Outcome(NamedTuple):
    job: _Job
    columns: list[np.ndarray]
    explained: list[dict[str, Any]]


def predict_held_out(
    samples: Samples,
    models: Mapping[str, Mapping[str, Any]],
    folds: Folds,
    seed: int,
    progress: bool,
    intervals: float | None = None,
    explain: bool = False,
) -> Predicted:
    """What each set's regressors predict for the rows that a fold holds out.

    Parameters
    ----------
    samples : Samples
    models : mapping of set to mapping of name to model
        A model is what :func:`ecoembed.gpp.regressors.make_regressor` takes.
    folds : Folds
        Rows that no fold tests are in no table, those of no model.
    seed : int
    progress : bool
        A bar on stderr.
    intervals : float, optional
        The share of held-out days that prediction intervals shall hold.
    explain : bool, default False
        Also ask every fitted model what it leans on, at its held-out rows.

    Raises
    ------
    TableError
        If a model predicts something that is no number.
    EcoembedError
        What a regressor raises, with the set, the regressor and what was held out; what an own estimator raises is its
        cause.

    Notes
    -----
    A regressor known by its name runs on one thread, several folds side by side: threads inside one fit cost more than
    they save, above all where others use the machine too, and no result depends on how many cores there are. An own
    estimator has the machine to itself, fold after fold.
    """
    jobs = [_Job(s, name, k) for s, named in models.items() for name in named for k in range(len(folds.folds))]
    predicted = {(job.features, job.name): np.full((3, len(samples.observed)), np.nan) for job in jobs}
    explained: list[dict[str, Any]] = []

    def run(job: _Job) -> _Outcome:
        model, fold = models[job.features][job.name], folds.folds[job.fold]
        try:
            asked = explain and job.features != "climatology"  # whose columns are codes
            return _held_out(samples, job, model, fold, seed, intervals, asked)
        except EcoembedError as error:
            place = _place(job, folds)
            error.where = place if error.where is None else f"{place}: {error.where}"
            raise
        except Exception as error:
            if _known_by_name(model):
                raise
            said = str(error).partition("\n")[0].rstrip(".")
            raise TableError(
                f"this regressor of your own fails: {type(error).__name__}: {said}", where=_place(job, folds),
                remedy="Its fit and predict get arrays of finite numbers, and the training sites as groups if they ask",
            ) from error  # fmt: skip

    named = [job for job in jobs if _known_by_name(models[job.features][job.name])]
    own = [job for job in jobs if not _known_by_name(models[job.features][job.name])]
    outcomes = chain(_side_by_side(run, named), map(run, own))
    for job, columns, found in track(outcomes, "benchmark", total=len(jobs)) if progress else outcomes:
        predicted[job.features, job.name][: len(columns), folds.folds[job.fold][1]] = columns
        explained += found
    table = _long(samples, predicted, folds)
    if not explain:
        return Predicted(table, None, None)
    from ecoembed.validation.trust.importance import collect

    return Predicted(table, *collect(explained))


def _held_out(
    samples: Samples, job: _Job, model: Any, fold: Fold, seed: int, intervals: float | None, explain: bool
) -> _Outcome:
    """Predictions (with `intervals` their bounds, too) of the test rows of one fold, and what explains them."""
    train, test = fold
    y, sites = samples.observed[train], samples.site[train]

    takes_windows = getattr(make_regressor(model, n_samples=len(y), seed=seed), "accepts_windows", False)
    X, X_test = (_input(samples.features[job.features][rows], takes_windows) for rows in (train, test))

    def fitted(rows: np.ndarray | slice = slice(None)) -> Any:
        return _fit(make_regressor(model, n_samples=len(y[rows]), seed=seed), X[rows], y[rows], sites[rows])

    estimator = fitted()
    columns = [np.asarray(estimator.predict(X_test), dtype=float).ravel()]
    lost = int(np.sum(~np.isfinite(columns[0])))
    if lost:
        raise TableError("predictions that are no numbers", found=f"{lost} of {len(test)} held-out rows")
    if intervals is not None:
        columns += held_out_intervals(fitted, X, y, sites, X_test, intervals)
    return _Outcome(job, columns, _explained(samples, job, estimator, fold, seed) if explain else [])


def _input(values: Any, accepts_windows: bool) -> Any:
    """What a regressor gets: windows as they are if it takes them, else the one copy that there is."""
    return values if accepts_windows else np.asarray(values)


def _explained(samples: Samples, job: _Job, estimator: Any, fold: Fold, seed: int) -> list[dict[str, Any]]:
    from ecoembed.validation.trust.importance import explain

    X, names = samples.features[job.features], samples.names[job.features]
    y, rng = samples.observed[fold.test], np.random.default_rng([seed, job.fold])
    found = explain(estimator, X[fold.test], y, names, X[fold.train], rng)
    return [{"features": job.features, "regressor": job.name, "fold": job.fold, **line} for line in found]


def _known_by_name(model: Any) -> bool:
    return isinstance(model, str) and "." not in model  # with a dot it is the import path of a user's own


def _side_by_side(run: Callable[[_Job], _Outcome], jobs: Sequence[_Job]) -> Iterator[_Outcome]:
    """Outcomes of the jobs, in order, a core each: linear algebra takes no threads of its own meanwhile."""
    import joblib
    from threadpoolctl import threadpool_limits

    workers = min(_MOST_WORKERS, joblib.cpu_count())  # a container's share counts, not its host
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        yield from pool.map(run, jobs)


def _long(samples: Samples, predicted: Mapping[tuple[str, str], np.ndarray], folds: Folds) -> pd.DataFrame:
    """One row for each set, regressor and row that some fold tests."""
    number = np.full(len(samples.observed), -1)
    for k, (_, test) in enumerate(folds.folds):
        number[test] = k
    kept = np.flatnonzero(number >= 0)
    row = {
        "site": samples.site[kept], "date": samples.date[kept], "fold": number[kept], "protocol": folds.name,
        "observed": samples.observed[kept],
    }  # fmt: skip
    bounds = ("predicted", "lower", "upper")
    parts = [
        pd.DataFrame(
            {**row, "features": features, "regressor": name, **dict(zip(bounds, values[:, kept], strict=True))}
        )
        for (features, name), values in predicted.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _place(job: _Job, folds: Folds) -> str:
    return f"{job.features}, {job.name}, without {folds.held_out[job.fold]}"


def _fit(estimator: Any, X: Any, y: np.ndarray, sites: np.ndarray) -> Any:
    """The estimator, fitted; it, or what splits rows anywhere inside it, gets the training sites if it asks for them.

    Source: scikit-learn's user guide, metadata routing: a grouped splitter asks for ``groups``, through any pipeline.
    """
    from sklearn import config_context
    from sklearn.model_selection._search import BaseSearchCV
    from sklearn.utils.metadata_routing import get_routing_for_object

    if isinstance(estimator, BaseSearchCV) or "groups" in inspect.signature(estimator.fit).parameters:
        return estimator.fit(X, y, groups=sites)
    with config_context(enable_metadata_routing=True):
        asked = False
        with suppress(NotImplementedError):  # some of scikit-learn's own, as AdaBoost, cannot tell: they ask for none
            asked = bool(get_routing_for_object(estimator).consumes("fit", ["groups"]))
        if asked:
            return estimator.fit(X, y, groups=sites)
    return estimator.fit(X, y)
