"""From predictions to what is told of them: scores, groups, comparisons, applicability, and what is undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ecoembed.errors import TableError
from ecoembed.gpp.windows import Windows
from ecoembed.validation.samples import Samples
from ecoembed.validation.scores import noise_ceiling, summarise, summarise_groups, summarise_sites, undefined
from ecoembed.validation.scores.comparison import compare
from ecoembed.validation.splits.distance import nearest_training_km
from ecoembed.validation.splits.folds import Folds
from ecoembed.validation.splits.frozen import fold_table
from ecoembed.validation.trust.applicability import applicability, by_site

__all__ = ["assessed", "row_applicability"]

_MOST_LINES = 10_000  # of a table of folds that is kept


def assessed(
    predictions: pd.DataFrame, samples: Samples, folds: Folds, seed: int, inside: pd.DataFrame
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The tables of a result, by name; and what its record says of them.

    Parameters
    ----------
    predictions : pandas.DataFrame
        `PredictionTable`.
    samples : Samples
    folds : Folds
    seed : int
        Of the bootstrap over sites.
    inside : pandas.DataFrame
        ``features, site, date, dissimilarity, inside``, as from :func:`row_applicability`; empty where not asked for.
    """
    labels = {"protocol": folds.name, "label": folds.label}
    effects, without_effect = _effects(predictions, samples, seed)
    tables = {
        "scores": summarise(predictions, samples).assign(**labels),
        "site_scores": summarise_sites(predictions, samples),
        "group_scores": summarise_groups(predictions, samples, inside if len(inside) else None),
        "comparisons": compare(predictions, samples, seed=seed),
        "applicability": _by_site(inside),
        "effects": effects,
        "folds": _folds(folds, samples),
        "places": samples.places,
    }
    record = {
        "noise_ceiling": noise_ceiling(samples),
        "nearest_training_km": nearest_training_km(folds, samples).round(3).dropna().to_dict(),
        "undefined": undefined(**{name: tables[name] for name in ("scores", "site_scores", "group_scores")}),
    }
    if without_effect:
        record["without_effect"] = without_effect
    return tables, record


def row_applicability(samples: Samples, folds: Folds, seed: int) -> tuple[pd.DataFrame, dict[str, str]]:
    """Of each row whether it lies inside the area of applicability of each feature set; and why of some sets not."""
    parts, without = [], {}
    for name in samples.features:
        try:
            parts.append(applicability(samples, folds, name, seed=seed).assign(features=name))
        except TableError as error:  # one training site, or rows that are all alike
            without[name] = str(error)
    return (pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()), without


def _effects(predictions: pd.DataFrame, samples: Samples, seed: int) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Effects of each set that the mixed model met, not by folds: a description, not a prediction; what has none."""
    sets = predictions.loc[predictions["regressor"] == "mixed_model", "features"].unique()
    if not len(sets):
        return pd.DataFrame(), {}
    from ecoembed.gpp.mixed import effects

    found = {name: effects(_frame(samples, name), samples.observed, samples.site, seed=seed) for name in sets}
    parts = [table.assign(features=name) for name, table in found.items()]
    without = {name: table.attrs for name, table in found.items() if any(table.attrs.values())}
    return pd.concat(parts, ignore_index=True)[["features", *parts[0].columns.drop("features")]], without


def _frame(samples: Samples, features: str) -> pd.DataFrame:
    """The columns of a set by name; of windows each day's."""
    X, names = samples.features[features], samples.names[features]
    if isinstance(X, Windows):
        names = [f"{name}, {X.length - 1 - day} days before" for day in range(X.length) for name in names]
    return pd.DataFrame(np.asarray(X), columns=names)


def _folds(folds: Folds, samples: Samples) -> pd.DataFrame:
    """The table of folds, unless it has a line for each of many rows."""
    table = fold_table(folds, samples)
    return table if len(table) <= _MOST_LINES else table.iloc[:0]


def _by_site(rows: pd.DataFrame) -> pd.DataFrame:
    if not len(rows):
        return rows
    parts = [by_site(own).assign(features=name) for name, own in rows.groupby("features", sort=False)]
    return pd.concat(parts, ignore_index=True)[["features", "site", "n", "inside", "dissimilarity"]]
