"""Predictions of held-out rows: for each fold a fresh estimator, fitted on that fold's training rows alone."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ecoembed.files import track
from ecoembed.gpp.regressors import make_regressor
from ecoembed.validation.intervals import held_out_intervals
from ecoembed.validation.samples import Samples
from ecoembed.validation.splits import Fold

__all__ = ["predict_held_out"]

#: Folds fitted at a time; each holds a copy of its training rows.
_MOST_WORKERS = 8


class _Job(NamedTuple):
    features: str
    model: str
    fold: int


def predict_held_out(
    samples: Samples,
    models: Mapping[str, Any],
    folds: Sequence[Fold],
    protocol: str,
    seed: int,
    progress: bool,
    intervals: float | None = None,
) -> pd.DataFrame:
    """`PredictionTable` of every feature set and regressor; `protocol` is the name that its rows bear.

    With `intervals` its columns ``lower`` and ``upper`` are prediction intervals of that level, else NaN.

    Notes
    -----
    The named regressors run on one thread each, several folds side by side: threads inside one fit cost more than they
    save, above all where others use the machine too. An own estimator has the machine to itself, fold after fold.
    """
    pairs = [(name, model) for name in samples.features for model in models]
    predicted = {pair: np.full((3, len(samples.observed)), np.nan) for pair in pairs}  # and its bounds

    def run(job: _Job) -> None:
        train, test = folds[job.fold]
        X, y, sites = samples.features[job.features][train], samples.observed[train], samples.site[train]
        X_test = samples.features[job.features][test]

        def fitted(rows: np.ndarray | slice = slice(None)) -> Any:
            estimator = make_regressor(models[job.model], n_samples=len(y[rows]), seed=seed)
            groups = {"groups": sites[rows]} if _takes_groups(estimator) else {}
            return estimator.fit(X[rows], y[rows], **groups)

        columns = [np.asarray(fitted().predict(X_test), dtype=float).ravel()]
        if intervals is not None:
            columns += held_out_intervals(fitted, X, y, sites, X_test, intervals)
        predicted[job.features, job.model][: len(columns), test] = columns

    jobs = [_Job(*pair, fold) for pair in pairs for fold in range(len(folds))]
    named = [job for job in jobs if isinstance(models[job.model], str)]
    own = [job for job in jobs if not isinstance(models[job.model], str)]
    with _side_by_side() as pool:
        done = chain(pool.map(run, named), map(run, own))
        for _ in track(done, "benchmark", total=len(jobs)) if progress else done:
            pass
    return _long(samples, predicted, folds, protocol)


def _side_by_side() -> ThreadPoolExecutor:
    import joblib

    return ThreadPoolExecutor(min(_MOST_WORKERS, joblib.cpu_count()))  # a container's share counts, not its host


def _long(
    samples: Samples, predicted: Mapping[tuple[str, str], np.ndarray], folds: Sequence[Fold], protocol: str
) -> pd.DataFrame:
    number = np.zeros(len(samples.observed), dtype=int)
    for k, (_, test) in enumerate(folds):
        number[test] = k
    row = {"site": samples.site, "date": samples.date, "fold": number, "protocol": protocol}
    parts = [
        pd.DataFrame(
            {
                **row, "features": features, "regressor": model, "observed": samples.observed,
                **dict(zip(("predicted", "lower", "upper"), values, strict=True)),
            }
        )
        for (features, model), values in predicted.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _takes_groups(estimator: Any) -> bool:
    """Whether ``fit`` can route the training sites to inner folds."""
    from sklearn.model_selection._search import BaseSearchCV

    return isinstance(estimator, BaseSearchCV) or "groups" in inspect.signature(estimator.fit).parameters
