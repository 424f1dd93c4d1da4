"""The result of a benchmark: tables, and the record of what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

__all__ = ["Result", "describe_rows"]


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
        What was asked: target and its units, protocol and label, seed, columns of each set, rows, versions, hash.
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


def describe_rows(rows: Mapping[str, int], what: str = "rows") -> str:
    """How many were kept, and how many were dropped for which reason.

    Examples
    --------
    >>> describe_rows({"in": 10, "GPP missing": 2, "out": 8})
    '8 of 10 rows kept; dropped: 2 (GPP missing 2)'
    """
    reasons = {reason: count for reason, count in rows.items() if reason not in ("in", "out") and count}
    listed = f" ({', '.join(f'{reason} {count}' for reason, count in reasons.items())})" if reasons else ""
    return f"{rows['out']} of {rows['in']} {what} kept; dropped: {sum(reasons.values()) or 'none'}{listed}"
