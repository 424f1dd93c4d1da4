"""Area of applicability: which held-out rows lie where the training rows of their fold say something.

Everything that a row is measured by is of the training rows of its own fold: mean, spread and weight of each column,
the mean distance, the threshold. Distances are computed exactly, whatever the number of columns; what bounds the cost
is how many training rows take part. Where a fold has more than 20 000, each site gives the same number, drawn by seed;
of these again 2 000 are asked for the mean distance and the threshold. With fewer rows all are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.errors import ConfigError, TableError
from ecoembed.gpp.regressors import make_regressor
from ecoembed.gpp.windows import Windows
from ecoembed.validation.samples import Samples
from ecoembed.validation.splits.folds import Folds

__all__ = ["applicability", "by_site"]

_REFERENCE = 20_000  # training rows of a fold that a held-out row is compared with
_ASKED = 2_000  # of them, whose own dissimilarity makes the threshold
_BLOCK = 1_000_000  # distances held at a time: 8 MB


def applicability(
    samples: Samples, folds: Folds, features: str, weights: Sequence[float] | np.ndarray | None = None, seed: int = 0
) -> pd.DataFrame:
    """Dissimilarity index of each held-out row, and whether it lies inside the area of applicability.

    Parameters
    ----------
    samples : Samples
    folds : Folds
    features : str
        A feature set. Of windows their last day counts, the target's own: distances between whole windows would say
        little, as each has thousands of columns.
    weights : array, shape (columns,) or (folds, columns), optional
        Importance of each column, 0 or more. By default what each adds to a LightGBM of the fold's training rows (its
        share of the gain in squared error), so that what says nothing of the target does not make a row unlike; if they
        come from a model of your own, then from one that did not see the fold's held-out rows.
    seed : int, default 0

    Returns
    -------
    pandas.DataFrame
        ``site, date, dissimilarity, inside``; one row for each row that a fold tests, in the order of `samples`.

    Raises
    ------
    TableError
        If the set is the climatology, whose columns are codes; if a fold trains on one site alone, so that there is no
        distance between sites; or if its training rows are all alike.
    ConfigError
        If the weights do not fit the columns, are negative, or all 0.

    Notes
    -----
    The dissimilarity index is the distance to the nearest training row over the mean distance between training rows,
    each column standardised and weighted. The threshold is the upper whisker (third quartile + 1.5 interquartile
    ranges, at most the maximum) of the same index of training rows, each to the nearest row of another **site**:
    inside means no more unlike than a training site is to the others. A column that is constant in the training rows
    has no distance; a held-out row that differs in it is outside.

    Source
    ------
    Meyer and Pebesma 2021, doi 10.1111/2041-210X.13650.
    """
    X = _columns(samples, features)
    codes = np.unique(samples.site, return_inverse=True)[1]
    order = np.lexsort((np.random.default_rng(seed).random(len(X)), codes))
    weight = None if weights is None else _weights(weights, (len(folds.folds), X.shape[1]), features)
    found, inside = np.full(len(X), np.nan), np.zeros(len(X), dtype=bool)
    for number, (train, test) in enumerate(folds.folds):
        where, rows = f"{features}, {folds.held_out[number]} held out", order[train[order]]
        own = _gains(X, samples.observed, _drawn(rows, codes, _REFERENCE), seed) if weight is None else weight[number]
        found[test], inside[test] = _of_fold(X, codes, train, test, rows, own, where)
    tested = np.isfinite(found)
    table = {"site": samples.site, "date": samples.date, "dissimilarity": found, "inside": inside}
    return pd.DataFrame(table)[tested].reset_index(drop=True)


def by_site(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each site ``n``, the share of its rows ``inside`` and the median of their ``dissimilarity``."""
    groups = rows.groupby("site", sort=True)
    table = {"n": groups.size(), "inside": groups["inside"].mean(), "dissimilarity": groups["dissimilarity"].median()}
    return pd.DataFrame(table).reset_index()


def _columns(samples: Samples, features: str) -> np.ndarray:
    if features == "climatology":
        raise TableError("no area of applicability: its columns are codes, between which there is no distance",
                         where=features)  # fmt: skip
    X = samples.features[features]
    return np.asarray(X.base[X.ends] if isinstance(X, Windows) else X, dtype=float)


def _weights(weights: Any, shape: tuple[int, int], features: str) -> np.ndarray:
    given = np.asarray(weights, dtype=float)
    if given.shape not in ((), shape[1:], shape) or not np.all(given >= 0) or not np.all(given.sum(axis=-1) > 0):
        raise ConfigError(
            "weights of the columns", where=features, found=f"{given.tolist()}"[:80],
            expected=f"{shape[1]} numbers, 0 or more and not all 0 (or {shape[0]} times so many, one row a fold)",
        )  # fmt: skip
    return np.broadcast_to(given, shape)


def _gains(X: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """Share of each column in what a LightGBM of these rows gains; equal shares where it gains nothing."""
    if X.shape[1] == 1:
        return np.ones(1)
    model = make_regressor("lightgbm", len(rows), seed).fit(X[rows], y[rows])
    gains = np.asarray(model.booster_.feature_importance("gain"), dtype=float)
    return gains / gains.sum() if gains.sum() > 0 else np.ones(len(gains))


def _of_fold(
    X: np.ndarray, codes: np.ndarray, train: np.ndarray, test: np.ndarray, rows: np.ndarray, weight: np.ndarray,
    where: str,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Dissimilarity of the test rows and whether they are inside; `rows` are the training rows, drawn site by site."""
    training = X[train]
    least, most = training.min(axis=0), training.max(axis=0)
    varies = least < most
    scale = np.where(varies, weight, 0) / np.where(varies, training.std(axis=0), 1)
    if codes[rows[0]] == codes[rows[-1]]:
        raise TableError(
            "no area of applicability: the fold trains on one site alone", where=where, expected="two sites or more"
        )
    centre = training.mean(axis=0)
    known, asked = _drawn(rows, codes, _REFERENCE), _drawn(rows, codes, _ASKED)
    reference, sample = (X[known] - centre) * scale, (X[asked] - centre) * scale
    mean = _mean_distance(sample)
    if not mean > 0:
        raise TableError(
            "no area of applicability: all training rows are alike", where=where,
            expected="a column of positive weight that varies",
        )  # fmt: skip
    own = _between_sites(sample, codes[asked], reference, codes[known]) / mean
    low, high = np.quantile(own, [0.25, 0.75])
    threshold = min(high + 1.5 * (high - low), own.max())
    dissimilarity = _nearest((X[test] - centre) * scale, reference) / mean
    as_ever = np.all(X[test][:, ~varies] == least[~varies], axis=1)
    return dissimilarity, (dissimilarity <= threshold) & as_ever


def _drawn(rows: np.ndarray, codes: np.ndarray, most: int) -> np.ndarray:
    """All rows, or the first of each site, the same number of each, if they are more than `most`."""
    if len(rows) <= most:
        return rows
    _, first, site = np.unique(codes[rows], return_index=True, return_inverse=True)
    return rows[np.arange(len(rows)) - first[site] < max(1, most // len(first))]


def _mean_distance(rows: np.ndarray) -> float:
    from scipy.spatial.distance import pdist

    return float(pdist(rows).mean())


def _between_sites(rows: np.ndarray, sites: np.ndarray, reference: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Distance of each row to the nearest reference row of another site; both are sorted by site."""
    names, first = np.unique(sites, return_index=True)
    begin, end = np.searchsorted(known, names), np.searchsorted(known, names, side="right")
    parts = np.split(rows, first[1:])
    return np.concatenate(
        [_nearest(part, reference, slice(b, e)) for part, b, e in zip(parts, begin, end, strict=True)]
    )


def _nearest(rows: np.ndarray, reference: np.ndarray, hidden: slice = slice(0)) -> np.ndarray:
    """Distance of each row to the nearest reference row but the `hidden` ones.

    Which is nearest is told by half the squared distance less what all share, one matrix product for many rows; the
    distance itself is then computed from the difference, so that a row's own copy lies at exactly 0.
    """
    half = np.einsum("ij,ij->i", reference, reference) / 2
    found = np.empty(len(rows))
    step = max(1, _BLOCK // len(reference))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        relative = part @ -reference.T
        relative += half
        relative[:, hidden] = np.inf
        found[start : start + step] = np.linalg.norm(part - reference[relative.argmin(axis=1)], axis=1)
    return found
