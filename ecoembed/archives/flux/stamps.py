"""From a table's time stamps to the start of each averaging period in local standard time, all rows at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

Convention = Literal["start", "middle", "end"]

#: How many digits a stamp may have: YYYY, YYYYMM, YYYYMMDD, YYYYMMDDHHMM.
DIGITS = (4, 6, 8, 12)
#: Minutes of a period, where it is always as long.
MINUTES = {"HH": 30, "HR": 60, "DD": 1440, "WW": 10080}


@dataclass(frozen=True)
class Clock:
    """How the stamps of a table are to be understood.

    ``columns`` hold them (joined by a blank), as `digits` (4 to 12: YYYY to YYYYMMDDHHMM) or in `strptime`'s
    ``format``; they mark ``convention`` of periods that are ``step`` minutes long; ``ahead`` hours are added to reach
    local standard time.
    """

    columns: tuple[str, ...]
    digits: int = 0
    format: str | None = None
    convention: Convention = "start"
    step: float = 0.0
    ahead: float = 0.0

    def starts(self, stamps: Sequence[Any] | np.ndarray) -> np.ndarray:
        """The local start of each period, ``datetime64[ns]``; NaT where a stamp cannot be read.

        `stamps` are the columns' arrays: whole numbers, or text.
        """
        if self.format is None:
            times = parse_digits(stamps[0], self.digits)
        else:
            text = [" ".join(cells) for cells in zip(*stamps, strict=True)] if len(stamps) > 1 else stamps[0]
            times = parse_text(text, self.format)
        return self.shifted(times)

    def shifted(self, times: np.ndarray) -> np.ndarray:
        """What the moments of stamps are as local starts."""
        back = {"start": 0.0, "middle": self.step / 2, "end": self.step}[self.convention]
        return times + np.timedelta64(round((self.ahead * 60 - back) * 60), "s")


def parse_digits(stamps: np.ndarray, digits: int) -> np.ndarray:
    """``datetime64[ns]`` of whole-number stamps; NaT where there is no such time. 24:00 is the next day's 00:00.

    Examples
    --------
    >>> parse_digits(np.array([201301012400, 201302300000]), 12).astype("datetime64[m]")
    array(['2013-01-02T00:00',              'NaT'], dtype='datetime64[m]')
    """
    rest = np.asarray(stamps, dtype="int64")
    minutes = np.zeros_like(rest)
    day = month = np.ones_like(rest)
    good = np.ones(rest.shape, dtype=bool)
    if digits == 12:
        rest, clock = np.divmod(rest, 10_000)
        hour, minute = np.divmod(clock, 100)
        minutes = hour * 60 + minute
        good = (minute < 60) & (minutes <= 24 * 60)
    if digits >= 8:
        rest, day = np.divmod(rest, 100)
    if digits >= 6:
        rest, month = np.divmod(rest, 100)
    good &= (rest >= 1900) & (rest < 2200) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(good, (rest - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    good &= days < (months + np.timedelta64(1, "M")).astype("datetime64[D]")
    times = (days.astype("datetime64[m]") + minutes.astype("timedelta64[m]")).astype("datetime64[ns]")
    times[~good] = np.datetime64("NaT", "ns")
    return times


def parse_text(stamps: Sequence[str] | np.ndarray, pattern: str) -> np.ndarray:
    """``datetime64[ns]`` of stamps in `strptime`'s `pattern`; NaT where one does not fit. 24:00 is understood.

    Examples
    --------
    >>> parse_text(["31.12.2013 24:00", "noon"], "%d.%m.%Y %H:%M").astype("datetime64[m]")
    array(['2014-01-01T00:00',              'NaT'], dtype='datetime64[m]')
    """
    text = pd.Series(stamps, dtype="object")
    times = _parsed(text, pattern)
    if "%H" in pattern and (odd := np.isnat(times)).any():
        before, after = (_regex(half) for half in pattern.split("%H", 1))
        zero = text[odd].str.replace(f"^({before})24({after})$", r"\g<1>00\g<2>", regex=True)
        midnight = _parsed(zero, pattern)
        late = (zero != text[odd]).to_numpy() & (midnight == midnight.astype("datetime64[D]"))
        times[odd] = np.where(late, midnight + np.timedelta64(1, "D"), np.datetime64("NaT", "ns"))
    return times


def _parsed(text: pd.Series, pattern: str) -> np.ndarray:
    return np.array(pd.to_datetime(text, format=pattern, errors="coerce"), dtype="datetime64[ns]")


def _regex(pattern: str) -> str:
    digits = {"Y": r"\d{4}", "j": r"\d{1,3}", "b": r"\w+", "f": r"\d+"}
    return re.sub(r"%([A-Za-z])", lambda found: digits.get(found[1], r"\d{1,2}"), re.escape(pattern))


def find_step(times: np.ndarray, ends: np.ndarray | None = None) -> tuple[float, str]:
    """The commonest length of a period in minutes, and the resolution that it means.

    Lengths are from `times` to `ends`, or else to the next of `times`. One that is none of a half-hour, an hour, a day
    or a week is 0: months and years differ in length.

    Examples
    --------
    >>> find_step(np.array(["2019-01-01T00:00", "2019-01-01T00:30", "2019-01-01T02:00"], dtype="datetime64[ns]"))
    (30.0, 'HH')
    """
    steps = (np.diff(times) if ends is None else ends - times) / np.timedelta64(1, "m")
    lengths, counts = np.unique(steps[steps > 0], return_counts=True)  # comparison leaves NaT out
    if not lengths.size:
        return 0.0, "?"
    step = float(lengths[np.argmax(counts)])
    for resolution, minutes in MINUTES.items():
        if step == minutes:
            return step, resolution
    if 28 * 1440 <= step <= 31 * 1440:
        return 0.0, "MM"
    return 0.0, "YY" if 365 * 1440 <= step <= 366 * 1440 else "?"
