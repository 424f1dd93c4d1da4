"""Nested choice: which feature set and regressor is best is asked of the training rows of each fold alone.

Whoever runs many models and quotes the best of them has chosen with the test rows. Here each outer fold chooses by
inner folds of its own training sites; what that choice predicts is scored as one model more, the nested best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ecoembed.errors import TableError
from ecoembed.files import track
from ecoembed.validation.predict import predict_held_out
from ecoembed.validation.samples import Samples
from ecoembed.validation.scores.metrics import r2
from ecoembed.validation.splits.folds import OUT, UNSEEN, Fold, Folds, site_codes

__all__ = ["INNER_FOLDS", "NESTED_BEST", "Nested", "inner_folds", "nested_best"]

#: What the rows of the nested best bear as features and as regressor.
NESTED_BEST = "nested best"
INNER_FOLDS = 5
_PAIR = ["features", "regressor"]
_VALUES = ["predicted", "lower", "upper"]


class Nested(NamedTuple):
    """What a nested choice gave.

    Attributes
    ----------
    predictions : pandas.DataFrame
        Rows of a `PredictionTable` whose features and regressor are `NESTED_BEST`; as many as any pair has.
    choices : pandas.DataFrame
        One row for each fold: ``fold, held_out, features, regressor, inner_r2, inner_sites``: the pair that was chosen,
        by which r2 over the inner held-out rows, and at how many sites.
    record : dict
        JSON-able: ``inner_folds``; ``chosen``, how often each pair was; ``r2`` of the nested best; ``best_afterwards``,
        the pair whose r2 over all test rows turned out the best, and that r2; ``optimism``, by how much it flatters.
    """

    predictions: pd.DataFrame
    choices: pd.DataFrame
    record: dict[str, Any]


def nested_best(
    samples: Samples,
    models: Mapping[str, Mapping[str, Any]],
    folds: Folds,
    predictions: pd.DataFrame,
    seed: int = 0,
    progress: bool = False,
) -> Nested:
    """Let each fold choose its own best pair of feature set and regressor, by inner folds of its training rows.

    Parameters
    ----------
    samples : Samples
    models : mapping of set to mapping of name to model
        The pairs to choose from.
    folds : Folds
        The outer folds.
    predictions : pandas.DataFrame
        What :func:`~ecoembed.validation.predict.predict_held_out` gave for these samples, models, folds and seed. A
        pair that is chosen would be fitted on all training rows of its fold: that was done, these are its predictions.
    seed : int, default 0
    progress : bool, default False
        A bar on stderr.

    Raises
    ------
    TableError
        If a fold trains on fewer than two sites: then none can be held out to choose by; or `predictions` lack a pair.

    Notes
    -----
    The pair with the highest r2, pooled over the rows that the inner folds hold out, is chosen, of equals the first.
    Inner folds hold out whole sites, and what an outer fold of unseen sites keeps together (a cluster, a type) where it
    trains on enough of that. A regressor that is tuned by a search of its own tunes anew in each inner fold.

    There is one number for ``optimism``, not a law: the nested best also pays for folds that choose differently.

    Source
    ------
    Cawley and Talbot 2010, J. Mach. Learn. Res. 11, 2079-2107 (why the choice belongs inside the fold).
    """
    pairs = [(features, name) for features, named in models.items() for name in named]
    rows = _rows_of(predictions, pairs)
    chosen = _choices(samples, models, folds, seed)
    choices = pd.DataFrame(list(track(chosen, "nested choice", total=len(folds.folds)) if progress else chosen))

    best = rows[pairs[0]].copy()
    for pair in pairs:
        own = choices["fold"][(choices[_PAIR] == list(pair)).all(axis=1)]
        at = best["fold"].isin(own).to_numpy()
        best.loc[at, _VALUES] = rows[pair].loc[at, _VALUES].to_numpy()
    best[_PAIR] = NESTED_BEST

    scores = {pair: _r2(rows[pair]) for pair in pairs}
    first = max(pairs, key=lambda pair: scores[pair])
    times = choices.groupby(_PAIR).size().sort_values(ascending=False, kind="stable")
    record = {
        "inner_folds": INNER_FOLDS,
        "chosen": [{**dict(zip(_PAIR, pair, strict=True)), "folds": int(count)} for pair, count in times.items()],
        "r2": _r2(best),
        "best_afterwards": {**dict(zip(_PAIR, first, strict=True)), "r2": scores[first]},
        "optimism": scores[first] - _r2(best),
    }
    return Nested(best, choices, record)


def inner_folds(samples: Samples, folds: Folds, fold: int) -> Folds:
    """Folds of the training rows of one outer fold; its test rows, and all that it leaves out, are in none of them.

    Raises
    ------
    TableError
        If it trains on one site alone.
    """
    from sklearn.model_selection import GroupKFold

    train, sites = folds.folds[fold].train, site_codes(samples)
    units = sites
    if folds.label == UNSEEN:  # then a site lies in one outer fold, or in none
        together = np.where(folds.number >= 0, folds.number, len(folds.folds) + sites)
        units = together if len(np.unique(together[train])) >= INNER_FOLDS else sites
    rows, count = np.flatnonzero(train), len(np.unique(units[train]))
    where = f"{folds.name}, without {folds.held_out[fold]}"
    if count < 2:
        raise TableError(
            "too few training sites to choose by", where=where, found=f"{count} site", expected="2 or more",
            remedy="Add sites, or leave the nested choice out",
        )  # fmt: skip
    number = np.full(len(train), OUT)
    for k, (_, held) in enumerate(GroupKFold(min(INNER_FOLDS, count)).split(rows, groups=units[train])):
        number[rows[held]] = k
    inner = [Fold(train & (number != k), np.flatnonzero(number == k)) for k in range(number.max() + 1)]
    held_out = [f"{folds.held_out[fold]}, and inner fold {k}" for k in range(len(inner))]
    return Folds(f"choice of {where}", UNSEEN, True, inner, held_out, number)


def _choices(
    samples: Samples, models: Mapping[str, Mapping[str, Any]], folds: Folds, seed: int
) -> Iterator[dict[str, Any]]:
    """Of each outer fold the pair with the least squared error over its inner held-out rows."""
    for k, held_out in enumerate(folds.held_out):
        table = predict_held_out(samples, models, inner_folds(samples, folds, k), seed, progress=False).table
        error = (table["observed"] - table["predicted"]) ** 2
        pair = error.groupby([table[name] for name in _PAIR], sort=False, observed=True).sum().idxmin()
        own = table[(table[_PAIR] == list(pair)).all(axis=1)]
        yield {
            "fold": k, "held_out": held_out, **dict(zip(_PAIR, pair, strict=True)), "inner_r2": _r2(own),
            "inner_sites": own["site"].nunique(),
        }  # fmt: skip


def _rows_of(predictions: pd.DataFrame, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], pd.DataFrame]:
    """The rows of each pair, which are those of every other."""
    groups = {pair: rows.reset_index(drop=True) for pair, rows in predictions.groupby(_PAIR, sort=False, observed=True)}
    absent = [" with ".join(pair) for pair in pairs if pair not in groups]
    if absent:
        raise TableError("pairs without predictions", where="nested choice", found=", ".join(absent))
    keys = ["site", "date", "fold"]
    if any(not rows[keys].equals(groups[pairs[0]][keys]) for rows in groups.values()):
        raise TableError("models are scored on different rows, or in another order", where="nested choice")
    return {pair: groups[pair] for pair in pairs}


def _r2(rows: pd.DataFrame) -> float:
    return r2(rows["observed"].to_numpy(dtype=float), rows["predicted"].to_numpy(dtype=float))
