"""Time stamps of flux tables: in order, once each, on their grid, in standard time; what was amiss is counted.

Stamps are the start of the averaging period in the tower's local standard time, as :mod:`ecoembed.archives.flux.files`
hands them over.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.archives.flux.stamps import MINUTES
from ecoembed.errors import FileError

#: Minutes of the averaging period of a sub-daily table.
SUB_DAILY = {name: MINUTES[name] for name in ("HH", "HR")}


def put_in_order(frame: pd.DataFrame, minutes: int | None, where: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """`frame` by increasing, unique time, and the counts of what had to be done.

    Parameters
    ----------
    frame : pandas.DataFrame, indexed by time
        ``attrs["parts"]``, where it is there, gives the name of each file or member and its number of rows.
    minutes : int or None
        Averaging period of a sub-daily table.
    where : str
        The file, for messages.

    Returns
    -------
    frame : pandas.DataFrame
        Itself if nothing was amiss.
    counts : dict
        ``rows out of order`` and ``repeated``, where they occur.

    Raises
    ------
    FileError
        No row; stamps off the grid; an hour repeated in autumn and missing in spring; a time given twice with
        different values.
    """
    if frame.empty:
        raise FileError("the table has no rows", where=where, remedy="Download it again")
    time = frame.index.to_numpy(dtype="datetime64[ns]")
    if minutes is not None:
        _refuse_off_grid(time, minutes, where)
    steps = np.diff(time)
    counts: dict[str, int] = {}
    order = np.arange(time.size)
    if (steps <= np.timedelta64(0, "ns")).any():
        if late := int((time < np.maximum.accumulate(time)).sum()):
            counts["rows out of order"] = late
        order = np.argsort(time, kind="stable")
        time = time[order]
        frame = frame.iloc[order] if late else frame
    if minutes is not None:
        _refuse_civil_time(time, minutes, where)
    again = np.flatnonzero(time[1:] == time[:-1]) + 1
    if again.size:
        _refuse_contradictions(frame, again, order, where)
        counts["repeated"] = int(again.size)
        frame = frame.iloc[np.setdiff1d(np.arange(len(frame)), again)]
    return frame, counts


def gaps(index: pd.DatetimeIndex, minutes: int) -> dict[str, float]:
    """How many stamps are missing between the first and the last, in how many gaps, and the longest, in days.

    Examples
    --------
    >>> gaps(pd.DatetimeIndex(["2020-01-01", "2020-01-02", "2020-01-05"]), 1440)
    {'missing': 2, 'gaps': 1, 'longest_days': 2.0}
    """
    steps = np.diff(index.to_numpy(dtype="datetime64[ns]")) // np.timedelta64(minutes, "m") - 1
    holes = steps[steps > 0]
    longest = float(holes.max()) * minutes / 1440 if holes.size else 0.0
    return {"missing": int(holes.sum()), "gaps": int(holes.size), "longest_days": longest}


def _refuse_off_grid(time: np.ndarray, minutes: int, where: str) -> None:
    off = np.flatnonzero(time.astype("int64") % (minutes * 60 * 10**9))
    if off.size:
        raise FileError(
            f"{off.size} of {time.size} time stamps lie off the {minutes}-minute grid",
            where=where,
            found=f"first {_text(time[off[0]])}",
            expected=f"periods that start at whole multiples of {minutes} minutes",
            remedy="Give the table with its original time stamps",
        )


def _refuse_civil_time(time: np.ndarray, minutes: int, where: str) -> None:
    """Daylight saving leaves an hour missing in one season and the same hour twice in the other, on Sundays."""
    steps = np.diff(time)
    skipped = _at_changeover(time[:-1][steps == np.timedelta64(minutes + 60, "m")])
    twice = _at_changeover(time[1:][steps == np.timedelta64(0, "ns")])
    if skipped.size and twice.size:
        raise FileError(
            "the time stamps look like civil time with daylight saving",
            where=where,
            found=f"an hour missing after {_text(skipped[0])}, an hour twice at {_text(twice[0])}",
            expected="local standard time all year",
            remedy="Shift the summer's stamps back by an hour, or ask the network for standard time",
        )
    years = np.unique(skipped.astype("datetime64[Y]"))
    if years.size > 1:
        warnings.warn(
            f"{where}: an hour is missing after {_text(skipped[0])} and on such a Sunday of {years.size - 1} more "
            "years: are these stamps civil time with daylight saving? Expected local standard time",
            UserWarning,
            stacklevel=5,
        )


def _at_changeover(time: np.ndarray) -> np.ndarray:
    """Those between 0 and 3 h on a Sunday of March to April or September to November, when clocks change."""
    stamps = pd.DatetimeIndex(time)
    there = (stamps.day_of_week == 6) & (stamps.hour <= 3) & stamps.month.isin([3, 4, 9, 10, 11])
    return time[np.asarray(there)]


def _refuse_contradictions(frame: pd.DataFrame, again: np.ndarray, order: np.ndarray, where: str) -> None:
    """Rows `again` repeat the time of the row before; `order` holds the place of each row in the files."""
    first, second = frame.iloc[again - 1].to_numpy(), frame.iloc[again].to_numpy()
    differ = (first != second) & ~(np.isnan(first) & np.isnan(second))
    if not differ.any():
        return
    row, column = np.argwhere(differ)[0]
    time = frame.index.to_numpy()[again[row]]
    cells = zip((first[row, column], second[row, column]), order[again[row] - 1 : again[row] + 1], strict=True)
    told = (f"{'missing' if np.isnan(value) else f'{value:g}'}{_file(at, frame.attrs)}" for value, at in cells)
    number = int(differ.any(axis=1).sum())
    raise FileError(
        "a time stamp is repeated with different values",
        where=where,
        found=f"at {_text(time)}, {frame.columns[column]} is {' and '.join(told)}"
        + (f"; {number} such times" if number > 1 else ""),
        expected="each once",
        remedy="Keep the right row of each, or give only one of the files",
    )


def _file(row: int, attrs: Mapping[Any, Any]) -> str:
    """In which of several files the `row` of all of them lies, in words."""
    names, rows = zip(*attrs["parts"], strict=True) if "parts" in attrs else ((), ())
    return f" in {names[int(np.searchsorted(np.cumsum(rows), row, side='right'))]}" if len(names) > 1 else ""


def _text(time: np.datetime64) -> str:
    stamp = pd.Timestamp(time)
    return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else f"{stamp:%Y-%m-%d %H:%M}"
