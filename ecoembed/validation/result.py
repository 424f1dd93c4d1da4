"""The result of a benchmark: tables, and the record of what was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

__all__ = ["NO_UNIT", "Finding", "Result"]

#: What the record says of a target whose unit nobody told.
NO_UNIT = "unit not given"


@dataclass(frozen=True)
class Finding:
    """What a leakage audit found: by which check, what is wrong, where, how much, and what to do.

    A severe one makes the scores worthless: it is raised. The others are listed beside the scores.
    """

    check: str
    what: str
    where: str
    amount: str
    remedy: str
    severe: bool = False


@dataclass(frozen=True)
class Result:
    """What a benchmark gave.

    Attributes
    ----------
    predictions : pandas.DataFrame
        `PredictionTable`: one row for each site, date, feature set and regressor.
    scores : pandas.DataFrame
        One line for each ``features, regressor, days``: see :func:`ecoembed.validation.scores.summarise`; with
        ``protocol`` and ``label``.
    site_scores, group_scores : pandas.DataFrame
        The same of each site; by vegetation, climate, season, drought, tail, year and applicability.
    comparisons : pandas.DataFrame
        Pairs of models, by site: difference, its interval, p-values, a sentence; see
        :func:`ecoembed.validation.scores.comparison.compare`.
    applicability : pandas.DataFrame
        ``features, site, n, inside`` (share of its days inside the area of applicability), ``dissimilarity`` (median);
        empty where it was not asked for.
    importance, partial : pandas.DataFrame
        What the predictions rest on, and how they depend on it; empty where it was not asked for.
    effects : pandas.DataFrame
        Of each set that a mixed model met, what each of its columns does to the target at all sites, for reading: see
        :func:`ecoembed.gpp.mixed.effects`; empty without that regressor.
    choices : pandas.DataFrame
        Of each fold the pair that its inner folds chose: see :class:`ecoembed.validation.nested.Nested`; empty where
        that was not asked for.
    folds : pandas.DataFrame
        Which site (and year) was held out in which fold.
    places : pandas.DataFrame
        Indexed by site: ``latitude, longitude, vegetation, climate``.
    record : dict
        What was asked: target and its units, protocol and label, seed, columns of each set, rows, sites without
        any row, the leakage audit, the noise ceiling, undefined scores with their causes, versions, hash.
    """

    predictions: pd.DataFrame
    scores: pd.DataFrame
    site_scores: pd.DataFrame
    group_scores: pd.DataFrame
    comparisons: pd.DataFrame
    applicability: pd.DataFrame
    importance: pd.DataFrame
    partial: pd.DataFrame
    effects: pd.DataFrame
    choices: pd.DataFrame
    folds: pd.DataFrame
    places: pd.DataFrame
    record: dict[str, Any] = field(repr=False)

    @property
    def rows(self) -> dict[str, int]:
        """Rows in, rows dropped by reason, rows out."""
        rows: dict[str, int] = self.record["rows"]
        return rows
