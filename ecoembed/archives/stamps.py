"""Time stamps as numbers of digits (YYYY, YYYYMM, YYYYMMDD, YYYYMMDDHHMM), parsed all at once."""

from __future__ import annotations

import numpy as np

#: Digits of a stamp -> what it resolves.
DIGITS = {4: "YY", 6: "MM", 8: "DD", 12: "HH"}


def parse_digits(stamps: np.ndarray, digits: int) -> np.ndarray:
    """``datetime64[ns]`` of whole-number stamps; NaT where there is no such time. 24:00 is the next day's 00:00.

    Examples
    --------
    >>> parse_digits(np.array([201301012400, 201302300000]), 12).astype("datetime64[m]")
    array(['2013-01-02T00:00',            'NaT'], dtype='datetime64[m]')
    """
    rest = np.asarray(stamps, dtype="int64")
    minute = hour = np.zeros_like(rest)
    day = month = np.ones_like(rest)
    if digits == 12:
        rest, minute = np.divmod(rest, 100)
        rest, hour = np.divmod(rest, 100)
    if digits >= 8:
        rest, day = np.divmod(rest, 100)
    if digits >= 6:
        rest, month = np.divmod(rest, 100)
    good = (rest >= 1900) & (rest < 2200) & (month >= 1) & (month <= 12) & (day >= 1) & (hour >= 0) & (minute < 60)
    good &= hour * 60 + minute <= 24 * 60
    months = np.where(good, (rest - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    good &= days < (months + 1).astype("datetime64[D]")
    minutes = days.astype("datetime64[m]") + (hour * 60 + minute)
    return np.where(good, minutes, np.datetime64("NaT")).astype("datetime64[ns]")
