"""The days between clear acquisitions: left out, or filled in one named way for all feature sets.

==========  ====================================================================================================
``none``    Days with a clear acquisition only.
``last``    Every day has the values of the last clear acquisition, and its age: nothing of the future enters.
``linear``  Values between the acquisitions before and after, by time: retrospective, as the later one is the future.
==========  ====================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.errors import ConfigError, check_name

__all__ = ["AGE", "GAPS", "check_causal", "check_gaps", "fill_days", "seen_of_the_future"]

GAPS = ("none", "last", "linear")
#: Column of every satellite set of a filled table: days since the last clear acquisition.
AGE = "age"

_DAY = np.timedelta64(1, "D")
_REMEDY = 'Take gaps = "last" and window = "causal", leave annual sets out, or say retrospective = true in [benchmark]'


def check_gaps(gaps: str, max_age: float) -> None:
    """Raise ConfigError if there is no such way to fill gaps, or the age is no number of days.

    Examples
    --------
    >>> check_gaps("last", 30.0)
    """
    check_name(gaps, GAPS, "way to fill gaps")
    if not (isinstance(max_age, int | float) and 0 < max_age < np.inf):
        raise ConfigError("impossible max_age", found=repr(max_age), expected="days, more than 0")


def fill_days(
    acquired: pd.DataFrame, days: pd.DatetimeIndex, gaps: str, max_age: float
) -> tuple[pd.DataFrame, np.ndarray, dict[str, int]]:
    """Values of every one of `days` that the gaps' rule can give, and the reasons of the others.

    Parameters
    ----------
    acquired : pandas.DataFrame, shape (acquisitions, features)
        By local day, increasing, each once; no missing value.
    days : pandas.DatetimeIndex
        Local days, increasing.
    gaps : {"last", "linear"}
    max_age : float
        ``last``: days for which an acquisition holds. ``linear``: the nearest of the two is not farther than this.

    Returns
    -------
    values : pandas.DataFrame, shape (days filled, features)
    age : numpy.ndarray of float, shape (days filled,)
        Days since the last acquisition on or before the day; 0 on its own day.
    reasons : dict of int
        Why the other days are left out, and how many.

    Examples
    --------
    >>> seen = pd.DataFrame({"NDVI": [0.2, 0.6]}, index=pd.to_datetime(["2020-05-01", "2020-05-05"]))
    >>> days = pd.date_range("2020-05-03", "2020-05-07")
    >>> values, age, reasons = fill_days(seen, days, "last", max_age=1.5)
    >>> values["NDVI"].tolist(), age.tolist(), reasons
    ([0.6, 0.6], [0.0, 1.0], {'last clear acquisition more than 1.5 days before': 3})
    >>> fill_days(seen, days, "linear", max_age=3)[0]["NDVI"].round(2).tolist()
    [0.4, 0.5, 0.6]
    """
    at, day = acquired.index.to_numpy(dtype="datetime64[ns]"), days.to_numpy(dtype="datetime64[ns]")
    before, after = np.searchsorted(at, day, side="right") - 1, np.searchsorted(at, day, side="left")
    age = np.where(before >= 0, (day - at[before.clip(0)]) / _DAY, np.inf) if len(at) else np.full(len(day), np.inf)
    if gaps == "last":
        none, far = before < 0, (before >= 0) & (age > max_age)
        why = {"no clear acquisition before": none, f"last clear acquisition more than {max_age:g} days before": far}
    else:
        ahead = np.where(after < len(at), (at[after.clip(max=len(at) - 1)] - day) / _DAY, np.inf) if len(at) else age
        none = ~np.isfinite(age + ahead)
        far = ~none & (np.minimum(age, ahead) > max_age)
        why = {"not between two clear acquisitions": none, f"clear acquisitions more than {max_age:g} days away": far}
    kept = ~(none | far)
    reasons = {reason: int(where.sum()) for reason, where in why.items() if where.any()}
    first, second = before[kept], (before if gaps == "last" else after)[kept]
    values = acquired.to_numpy(dtype=float)
    share = np.zeros(len(first))
    if gaps == "linear":
        span = age[kept] + ahead[kept]
        share = np.divide(age[kept], span, out=share, where=span > 0)
    filled = values[first] + share[:, None] * (values[second] - values[first])
    return pd.DataFrame(filled, index=days[kept], columns=acquired.columns), age[kept], reasons


def seen_of_the_future(gaps: str, windows: Mapping[str, str]) -> dict[str, str]:
    """What of a feature table knows later days than its own, and how; empty if all is causal.

    Examples
    --------
    >>> seen_of_the_future("last", {"embeddings": "causal", "tessera": "annual"})
    {'tessera': 'made of the whole year (annual)'}
    """
    found = {"gaps": "filled between the acquisitions before and after (linear)"} if gaps == "linear" else {}
    words = {"annual": "made of the whole year (annual)", "centred": "sees acquisitions after the day (centred)"}
    return found | {name: words.get(w, f"window {w}") for name, w in windows.items() if w != "causal"}


def check_causal(future: Mapping[str, Any], where: object = "study.toml") -> None:
    """Refuse what :func:`seen_of_the_future` found: a study is causal unless it says that it is not.

    Raises
    ------
    ConfigError
        If there is any.
    """
    if future:
        found = "; ".join(f"{name} {how}" for name, how in future.items())
        expected = "nothing later than the target day"
        raise ConfigError("features see the future", where=where, found=found, expected=expected, remedy=_REMEDY)
