"""The result of a benchmark: tables, and the record of what was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

__all__ = ["NO_UNIT", "Result"]

#: What the record says of a target whose unit nobody told.
NO_UNIT = "unit not given"


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
        ``features, regressor, site, n, r2, rmse, bias``.
    record : dict
        What was asked: target and its units, protocol and label, seed, columns of each set, rows, sites without
        any row, versions, hash.
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
