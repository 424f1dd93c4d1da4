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
    samples: Samples, models: Mapping[str, Any], folds: Sequence[Fold], protocol: str, seed: int, progress: bool
) -> pd.DataFrame:
    """`PredictionTable` of every feature set and regressor; `protocol` is the name that its rows bear.

    Notes
    -----
    The named regressors run on one thread each, several folds side by side: threads inside one fit cost more than they
    save, above all where others use the machine too. An own estimator has the machine to itself, fold after fold.
    """
    pairs = [(name, model) for name in samples.features for model in models]
    predicted = {pair: np.full(len(samples.observed), np.nan) for pair in pairs}

    def run(job: _Job) -> None:
        train, test = folds[job.fold]
        X, y = samples.features[job.features], samples.observed
        estimator = make_regressor(models[job.model], n_samples=int(train.sum()), seed=seed)
        groups = {"groups": samples.site[train]} if _takes_groups(estimator) else {}
        estimator.fit(X[train], y[train], **groups)
        predicted[job.features, job.model][test] = np.asarray(estimator.predict(X[test]), dtype=float).ravel()

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
    nothing = np.full(len(number), np.nan)  # no interval: these regressors give none
    row = {"site": samples.site, "date": samples.date, "fold": number, "protocol": protocol}
    parts = [
        pd.DataFrame(
            {
                **row, "features": features, "regressor": model, "observed": samples.observed, "predicted": values,
                "lower": nothing, "upper": nothing,
            }
        )
        for (features, model), values in predicted.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _takes_groups(estimator: Any) -> bool:
    """Whether ``fit`` can route the training sites to inner folds."""
    from sklearn.model_selection._search import BaseSearchCV

    return isinstance(estimator, BaseSearchCV) or "groups" in inspect.signature(estimator.fit).parameters
