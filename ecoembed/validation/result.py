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
        Pooled: ``features, regressor, n, sites, r2, rmse, bias, median_site_r2, protocol, label``, the best r2 first.
    site_scores : pandas.DataFrame
        ``features, regressor, site, n, r2, rmse, bias``; both have ``coverage`` and ``width`` of the intervals, where
        these were asked for.
    record : dict
        What was asked: target and its units, protocol and label, seed, columns of each set, rows, sites without
        any row, the leakage audit, versions, hash.
    """

    predictions: pd.DataFrame
    scores: pd.DataFrame
    site_scores: pd.DataFrame
    record: dict[str, Any] = field(repr=False)

    @property
    def rows(self) -> dict[str, int]:
        """Rows in, rows dropped by reason, rows out."""
        rows: dict[str, int] = self.record["rows"]
        return rows
