"""Counts of rows: ``in``, those dropped by reason, ``out``. They add up: in = out + all reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["describe_rows", "pool_rows"]


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


def pool_rows(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sums over several counts: ``in``, the reasons in the order in which they are met, ``out``.

    Examples
    --------
    >>> pool_rows([{"in": 3, "out": 3}, {"in": 4, "GPP missing": 1, "out": 3}])
    {'in': 7, 'GPP missing': 1, 'out': 6}
    """
    counts = list(counts)
    reasons = dict.fromkeys(reason for rows in counts for reason in rows if reason not in ("in", "out"))
    return {key: sum(rows.get(key, 0) for rows in counts) for key in ("in", *reasons, "out")}
