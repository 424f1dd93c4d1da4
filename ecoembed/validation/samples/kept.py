"""Which rows of a table are scored, and the one reason for which each of the others is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ecoembed.errors import TableError
from ecoembed.gpp.rows import describe_rows

__all__ = ["keep_rows"]

#: A reason and the rows that meet it.
Reason = tuple[str, pd.Series]


def keep_rows(
    frame: pd.DataFrame, site: str, date: str, reasons: Sequence[Reason]
) -> tuple[pd.DataFrame, dict[str, int], dict[str, dict[str, int]]]:
    """The rows that meet no reason, once each, sorted; rows in, dropped by reason, and out; and the same of each site.

    The index of the rows is where they stood in `frame`.

    A row counts under the first reason that it meets. Rows without a site are in the first count alone.

    Raises
    ------
    TableError
        If no row is left, or different rows of one site and day are, be it at different hours.
    """
    names = [*dict.fromkeys(name for name, _ in reasons), "row repeated", "out"]
    repeated, out = len(names) - 2, len(names) - 1
    why = np.full(len(frame), out)
    for name, rows in reversed(reasons):
        why[rows.to_numpy()] = names.index(name)
    why[np.flatnonzero(why == out)[frame[why == out].duplicated().to_numpy()]] = repeated
    counts = _counted(why, names)
    by_site = {str(key): _counted(why[rows], names) for key, rows in frame.groupby(site).indices.items()}
    kept = frame.set_axis(range(len(frame)))[why == out].sort_values([site, date], kind="stable")
    if kept.empty:
        found = describe_rows(counts)
        raise TableError("no row has the target and every feature", found=found, remedy=_remedy(counts))
    twice = kept.assign(**{date: kept[date].dt.floor("D")}).duplicated([site, date], keep=False)
    if twice.any():
        first = kept[twice].iloc[0]
        raise TableError(
            "different rows of one site and date", where=f"{first[site]}, {first[date]:%Y-%m-%d}",
            found=f"{int(twice.sum())} such rows", expected="one row for each site and day",
            remedy="Choose or average them before",
        )  # fmt: skip
    return kept, counts, by_site


def _remedy(counts: dict[str, int]) -> str:
    """What to do against the reason that took most rows."""
    worst = max((reason for reason in counts if reason not in ("in", "out")), key=lambda reason: counts[reason])
    if worst.startswith("window"):
        return "A window needs a row of each of its days: lower window_days, or give the table all days"
    return f"Look into the column of the most frequent reason: {worst}"


def _counted(why: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    counts = dict(zip(names, np.bincount(why, minlength=len(names)).tolist(), strict=True))
    return {"in": len(why), **{name: count for name, count in counts.items() if count or name == "out"}}
