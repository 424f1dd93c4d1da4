"""The dates on which a user wants embeddings: read from what users write, checked, laid on the acquisitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecoembed.errors import ConfigError

_NS = "datetime64[ns]"


def asked_dates(dates: Any, acquisitions: np.ndarray) -> np.ndarray:
    """Times (date,) in UTC; a date on whose UTC day there is an acquisition has the time of the nearest one that day.

    Parameters
    ----------
    dates : sequence
        Increasing dates or datetimes: ISO 8601 text, ``date``, ``datetime``, ``numpy.datetime64``, a ``DatetimeIndex``.
        What has a time zone is converted, what has none is UTC, a bare date is its 00:00.
    acquisitions : np.ndarray (time,), datetime64[ns]
        Ascending.

    Raises
    ------
    ConfigError
        If there is none, one cannot be read, they do not increase, or two of them are one acquisition.

    Examples
    --------
    >>> passes = np.array(["2020-06-03T10:30"], "datetime64[ns]")
    >>> asked_dates(["2020-06-03", "2020-06-04"], passes).astype("datetime64[m]")
    array(['2020-06-03T10:30', '2020-06-04T00:00'], dtype='datetime64[m]')
    """
    asked = _parsed(dates)
    back = np.flatnonzero(np.diff(asked) <= np.timedelta64(0))
    if back.size:
        first, second = (str(d)[:16] for d in asked[back[0] : back[0] + 2])
        what = "a date stands twice" if first == second else "the dates do not increase"
        raise ConfigError(
            what, where="dates", found=f"{first}, then {second}", remedy="Sort them, and drop repetitions"
        )
    times = _laid_on(asked, acquisitions)
    twice = np.flatnonzero(np.diff(times) == np.timedelta64(0))
    if twice.size:
        found = " and ".join(str(d)[:16] for d in asked[twice[0] : twice[0] + 2])
        remedy = "Ask once for each UTC day on which Sentinel-2 passed"
        raise ConfigError("two dates are one acquisition", where="dates", found=found, remedy=remedy)
    return times


def _parsed(dates: Any) -> np.ndarray:
    import pandas as pd

    expected = "dates or datetimes, such as 2020-06-15 or 2020-06-15T10:30"
    given = getattr(dates, "values", dates)  # of pandas and xarray: in UTC
    try:
        listed = list(np.atleast_1d(given)) if isinstance(given, (np.ndarray, str)) else list(given)
        if any(isinstance(d, (int, float, np.number)) for d in listed):  # pandas would take them for nanoseconds
            raise TypeError
        index = pd.DatetimeIndex(pd.to_datetime(listed, utc=True, format="ISO8601")).as_unit("ns")  # or out of bounds
    except (TypeError, ValueError) as exc:
        found = str(exc).split(". ")[0].split("\n")[0] or repr(dates)[:80]
        raise ConfigError("not dates", where="dates", found=found, expected=expected) from None
    if not len(index) or index.hasnans:
        found = "none" if not len(index) else "one without a value"
        raise ConfigError("a date is absent", where="dates", found=found, expected=expected)
    return index.tz_localize(None).to_numpy()


def _laid_on(asked: np.ndarray, acquisitions: np.ndarray) -> np.ndarray:
    """Each time, or the nearest acquisition's if there is one on that UTC day."""
    times = asked.copy()
    day = acquisitions.astype("datetime64[D]")
    for i, when in enumerate(asked):
        first, last = (np.searchsorted(day, when.astype("datetime64[D]"), side) for side in ("left", "right"))
        if last > first:
            there = acquisitions[first:last]
            times[i] = there[np.abs(there - when).argmin()]
    return times
