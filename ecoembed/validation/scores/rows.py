"""Predictions in the order of the samples: one array for each model, on rows that all models share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecoembed.errors import TableError
from ecoembed.validation.samples import Samples

__all__ = ["Model", "Predicted", "day_sets", "predicted_by", "rows_of"]

#: Feature set and regressor.
Model = tuple[str, str]


class Predicted(NamedTuple):
    """What one model says of the scored rows; the bounds are NaN where it gave no interval.

    Attributes
    ----------
    model : (str, str)
        Feature set and regressor.
    rows : numpy.ndarray of int, shape (n,)
        Rows of the samples that are scored, ascending.
    observed, predicted, lower, upper : numpy.ndarray of float, shape (n,)
    """

    model: Model
    rows: np.ndarray
    observed: np.ndarray
    predicted: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def of(self, kept: np.ndarray) -> Predicted:
        """Those of the scored rows that are `kept`, a mask over all rows of the samples."""
        chosen = kept[self.rows]
        return Predicted(self.model, *(values[chosen] for values in self[1:]))


def predicted_by(predictions: pd.DataFrame, samples: Samples) -> Iterator[Predicted]:
    """Each model of a `PredictionTable`, its rows in the order of the samples.

    Raises
    ------
    TableError
        If a row is not among the samples, observes something else, or two models are scored on different rows.
    """
    rows, shared = rows_of(predictions, samples, "a prediction"), None
    codes, models = _models(predictions)
    if not np.array_equal(samples.observed[rows], predictions["observed"].to_numpy(dtype=float)):
        raise TableError("the predictions are of another target", expected="the observed values of the samples")
    values = {
        name: predictions[name].to_numpy(dtype=float) if name in predictions else np.full(len(rows), np.nan)
        for name in ("observed", "predicted", "lower", "upper")
    }
    grouped = np.argsort(codes, kind="stable")
    for own, model in zip(np.split(grouped, np.cumsum(np.bincount(codes))[:-1]), models, strict=True):
        own = own[np.argsort(rows[own], kind="stable")]
        found = rows[own]
        if shared is not None and not np.array_equal(found, shared):
            raise TableError("models are scored on different rows", where=", ".join(model))
        shared = found
        yield Predicted(model, found, *(each[own] for each in values.values()))


def day_sets(samples: Samples) -> dict[str, np.ndarray]:
    """Masks over the rows of the samples: measured days first where they are known, then all days."""
    everything = np.ones(len(samples.observed), dtype=bool)
    if samples.measured is None or not samples.measured.any():
        return {"all": everything}
    return {"measured": samples.measured, "all": everything}


def rows_of(table: pd.DataFrame, samples: Samples, what: str) -> np.ndarray:
    """The row of the samples that each row of `table` (``site``, ``date``) is of.

    Raises
    ------
    TableError
        If there is none.
    """
    known = _keys(pd.Series(samples.site), samples.date, samples.places.index)
    wanted = _keys(table["site"], pd.DatetimeIndex(table["date"]), samples.places.index)
    order = np.argsort(known, kind="stable")
    places = np.minimum(np.searchsorted(known[order], wanted), len(order) - 1)
    rows = order[places]
    strange = np.flatnonzero(known[rows] != wanted)
    if len(strange):
        row = table.iloc[strange[0]]
        raise TableError(f"{what} is of no sample", where=f"{row['site']}, {row['date']}")
    return np.asarray(rows)


def _models(predictions: pd.DataFrame) -> tuple[np.ndarray, list[Model]]:
    """The number of each row's model, and the models, as they appear."""
    (f, features), (r, regressors) = (pd.factorize(predictions[name]) for name in ("features", "regressor"))
    codes, pairs = pd.factorize(f * len(regressors) + r)
    return codes, [(str(features[k // len(regressors)]), str(regressors[k % len(regressors)])) for k in pairs]


def _keys(site: pd.Series, date: pd.DatetimeIndex, sites: pd.Index) -> np.ndarray:
    """One whole number for each site and second; that of an unknown site fits no sample."""
    codes, names = pd.factorize(site)  # a hash of each name once, not of each row
    numbers = np.append(sites.get_indexer(names), -1)[codes]
    return np.asarray(numbers * (np.int64(1) << 40) + date.as_unit("s").asi8)
