"""What a model uses, asked at the rows that it was not fitted on: permutation, contributions, partial dependence.

All three describe the model, not the world. Columns that move together share their importance as the model happens to
share it, and both a permuted and a fixed column make rows that no site ever saw. Within one held-out site a column
that does not vary there (its latitude) has no permutation importance, whatever the model does with it between sites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.gpp.windows import Windows
from ecoembed.validation.scores.sums import bootstrap_counts

__all__ = ["IMPORTANCE", "PARTIAL", "collect", "explain", "groups_of"]

#: Columns of the two tables.
IMPORTANCE = ("features", "regressor", "group", "kind", "value", "lower", "upper")
PARTIAL = ("features", "regressor", "column", "quantile", "at", "value", "lower", "upper")

#: Held-out rows of a fold that are asked at most; a group is permuted until so many rows are predicted.
_ROWS = 2000
_CONTRIBUTION_ROWS = 500  # each costs as much as some fifty predictions
_PARTIAL_ROWS = 200  # for each value of the grid
_PARTIAL_COLUMNS = 8
_QUANTILES = np.linspace(0.05, 0.95, 19)
_RESAMPLES = 1000

Lines = list[dict[str, Any]]


def groups_of(names: Sequence[str]) -> list[str]:
    """The group of each column: of ``embeddings.z1`` what is before the dot; another column is a group of its own.

    Examples
    --------
    >>> groups_of(["embeddings.z1", "embeddings:random.z1", "TA"])
    ['embeddings', 'embeddings:random', 'TA']
    """
    return [name.partition(".")[0] for name in names]


def explain(
    estimator: Any, X: Any, y: np.ndarray, names: Sequence[str], X_train: Any, rng: np.random.Generator
) -> Lines:
    """What the estimator of one fold uses, as sums that :func:`collect` adds over folds.

    Parameters
    ----------
    estimator : fitted on the training rows of the fold
    X : numpy.ndarray or Windows, shape (n, columns)
        The held-out rows; 2000 of them are drawn where there are more.
    y : numpy.ndarray, shape (n,)
    names : sequence of str
        The name of each column; of windows, of each channel: its days are one column, and permuted together.
    X_train : like `X`
        The training rows of the fold: their quantiles are the values of partial dependence.
    rng : numpy.random.Generator

    Returns
    -------
    list of dict
        One for each kind and group (or column, or column and quantile); to be given ``features``, ``regressor`` and
        ``fold``.

    Notes
    -----
    Contributions are LightGBM's own (exact tree SHAP values, in the target's unit): with the expected value they sum
    to the prediction. A group's contribution to one row is the sum of those of its columns.

    Source
    ------
    Breiman 2001, doi 10.1023/A:1010933404324 (permutation); Lundberg et al. 2020, doi 10.1038/s42256-019-0138-9
    (contributions); Friedman 2001, doi 10.1214/aos/1013203451 (partial dependence).
    """
    rows = _drawn(len(y), _ROWS, rng)
    held, observed = np.asarray(X[rows]), np.asarray(y, dtype=float)[rows]
    days = X.length if isinstance(X, Windows) else 1
    columns, groups = np.tile(names, days), np.tile(groups_of(names), days)

    def predict(matrix: np.ndarray) -> np.ndarray:
        windows = isinstance(X, Windows) and getattr(estimator, "accepts_windows", False)
        return np.asarray(estimator.predict(Windows.of_matrix(matrix, days) if windows else matrix), float).ravel()

    lines = _permuted(predict, held, observed, groups, rng)
    if hasattr(estimator, "booster_"):
        contributions = np.asarray(estimator.predict(held[:_CONTRIBUTION_ROWS], pred_contrib=True))[:, :-1]
        lines += _contributed("contribution", contributions, groups)
        if set(columns) != set(groups):  # else it says the same again
            lines += _contributed("contribution of the column", contributions, columns)
    if held.shape[1] <= _PARTIAL_COLUMNS:
        known = np.asarray(X_train[_drawn(X_train.shape[0], _ROWS, rng)])
        lines += _partial(predict, held[:_PARTIAL_ROWS], names, np.quantile(known, _QUANTILES, axis=0))
    return lines


def _drawn(count: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Row numbers in a random order, so that their first are a draw too."""
    return rng.permutation(count)[:most]


def _permuted(
    predict: Callable[[np.ndarray], np.ndarray],
    held: np.ndarray,
    observed: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
) -> Lines:
    n = len(observed)
    times = -(-_ROWS // n)
    sse = float(np.sum((observed - predict(held)) ** 2))
    shared = {"kind": "permutation", "n": n, "sum": observed.sum(), "squares": float(observed @ observed)}
    lines = []
    for group in dict.fromkeys(groups.tolist()):
        of_group = np.flatnonzero(groups == group)
        mixed = np.tile(held, (times, 1))
        order = np.concatenate([rng.permutation(n) for _ in range(times)])
        mixed[:, of_group] = held[order[:, None], of_group]
        after = float(np.sum((np.tile(observed, times) - predict(mixed)) ** 2)) / times
        lines.append({**shared, "group": group, "total": after - sse})
    return lines


def _contributed(kind: str, contributions: np.ndarray, labels: np.ndarray) -> Lines:
    return [
        {
            "kind": kind, "group": label, "n": len(contributions),
            "total": float(np.abs(contributions[:, labels == label].sum(axis=1)).sum()),
        }
        for label in dict.fromkeys(labels.tolist())
    ]  # fmt: skip


def _partial(
    predict: Callable[[np.ndarray], np.ndarray], held: np.ndarray, names: Sequence[str], grid: np.ndarray
) -> Lines:
    lines, n = [], len(held)
    for j, name in enumerate(names):
        fixed = np.tile(held, (len(grid), 1))
        fixed[:, j] = np.repeat(grid[:, j], n)
        totals = predict(fixed).reshape(len(grid), n).sum(axis=1)
        lines += [
            {"kind": "partial", "column": name, "quantile": q, "at": n * float(at), "n": n, "total": float(total)}
            for q, at, total in zip(_QUANTILES.round(2).tolist(), grid[:, j], totals, strict=True)
        ]
    return lines


def collect(lines: Iterable[Mapping[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The lines of all folds, features and regressors as two tables.

    Parameters
    ----------
    lines : iterable of dict
        Those of :func:`explain`, each with ``features``, ``regressor`` and ``fold``.

    Returns
    -------
    importance : pandas.DataFrame
        ``features, regressor, group, kind, value, lower, upper``, the most important first. Kinds: ``mse``, the rise of
        the mean squared error where the group is permuted; ``r2``, that rise over the variance of all rows asked: how
        far the pooled r2 falls; ``contribution`` of the group and, where groups are not the columns themselves,
        ``contribution of the column``: the mean of their absolute value.
    partial : pandas.DataFrame
        ``features, regressor, column, quantile, at, value, lower, upper``: the mean prediction where the column is set
        to that quantile of the training rows (`at`, the mean over folds).

    Notes
    -----
    ``lower`` and ``upper`` hold 95 % of 1000 resamplings of the folds; of one fold alone they are NaN, because there
    is nothing to resample.
    """
    table = pd.DataFrame.from_records(list(lines))
    importance: list[pd.DataFrame] = []
    partial: list[pd.DataFrame] = []
    if table.empty:
        return pd.DataFrame(columns=IMPORTANCE), pd.DataFrame(columns=PARTIAL)
    for (features, regressor, kind), part in table.groupby(["features", "regressor", "kind"], sort=False):
        model = {"features": features, "regressor": regressor}
        if kind == "partial":
            found = _summed(part, ["column", "quantile"])
            at = part.groupby(["column", "quantile"], sort=False)[["at", "n"]].sum()
            partial.append(found["mean"].reset_index().assign(**model, at=(at["at"] / at["n"]).to_numpy()))
            continue
        for name, values in _summed(part, ["group"]).items():
            values = values.sort_values("value", ascending=False, kind="stable")
            importance.append(values.reset_index().assign(**model, kind=kind if name == "mean" else name))
    return _joined(importance, IMPORTANCE), _joined(partial, PARTIAL)


def _joined(parts: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True)[list(columns)] if parts else pd.DataFrame(columns=list(columns))


def _summed(part: pd.DataFrame, keys: list[str]) -> dict[str, pd.DataFrame]:
    """Of each group: its total over the rows of all folds, by what it is divided, with bounds over folds."""
    totals = part.pivot_table(index="fold", columns=keys, values="total", sort=False)
    first = part.groupby("fold", sort=False).first().loc[totals.index]
    folds = len(totals)
    weights = np.vstack([np.ones(folds), bootstrap_counts(folds, _RESAMPLES if folds > 1 else 0, seed=0)])
    sums, n = weights @ totals.to_numpy(), weights @ first["n"].to_numpy(dtype=float)
    if part["kind"].iloc[0] != "permutation":
        return {"mean": _bounded(sums, n, totals.columns)}
    spread = weights @ first["squares"].to_numpy() - (weights @ first["sum"].to_numpy()) ** 2 / n
    return {"mse": _bounded(sums, n, totals.columns), "r2": _bounded(sums, spread, totals.columns)}


def _bounded(sums: np.ndarray, weight: np.ndarray, index: pd.Index) -> pd.DataFrame:
    """The first row is that of the folds as they are, the others those of the resamples."""
    ratio = sums / np.where(weight > 0, weight, np.nan)[:, None]
    lower, upper = np.nanquantile(ratio[1:], [0.025, 0.975], axis=0) if len(ratio) > 1 else (np.nan, np.nan)
    return pd.DataFrame({"value": ratio[0], "lower": lower, "upper": upper}, index=index)
