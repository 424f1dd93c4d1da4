"""Windows of past days as views of one array: the last `length` days up to and including the target's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.errors import TableError

__all__ = ["Windows", "make_windows"]


@dataclass(frozen=True, eq=False)
class Windows:
    """n windows of `length` days; what they hold is kept once, however many of them share a day.

    Attributes
    ----------
    base : numpy.ndarray of float32, shape (days, channels)
        All sites one after another, each on a grid of days from its first to its last. In C order.
    ends : numpy.ndarray of int, shape (n,)
        The row of `base` that is the window's last day, the target's own; -1 of an incomplete window.
    length : int
        Days.

    Notes
    -----
    To a tabular regressor it is a matrix of ``length * channels`` columns, the channels of the oldest day first:
    ``numpy.asarray(windows[rows])``, which is the one copy, of these rows alone. Selecting rows copies their numbers.

    Examples
    --------
    >>> windows = Windows(np.arange(8, dtype=np.float32).reshape(4, 2), np.array([2, 3]), length=3)
    >>> windows.shape, np.asarray(windows[[1]]).tolist()
    ((2, 6), [[2.0, 3.0, 4.0, 5.0, 6.0, 7.0]])
    """

    base: np.ndarray
    ends: np.ndarray
    length: int

    @classmethod
    def of_matrix(cls, matrix: Any, length: int = 1) -> Windows:
        """A matrix (n, length * channels) seen as windows; the way back from ``numpy.asarray(windows)``."""
        values = np.ascontiguousarray(matrix, dtype=np.float32)
        if values.ndim != 2 or values.shape[1] == 0 or values.shape[1] % length:
            raise TableError(
                "not a matrix of windows", found=f"shape {values.shape}", expected=f"(rows, {length} x channels)"
            )
        days = values.reshape(len(values) * length, -1)
        return cls(days, np.arange(length - 1, len(days), length), length)

    @property
    def channels(self) -> int:
        """Values of one day."""
        return int(self.base.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix that this stands for."""
        return len(self.ends), self.length * self.channels

    @property
    def ndim(self) -> int:
        return 2

    @property
    def nbytes(self) -> int:
        """Bytes held: the base and the row numbers."""
        return int(self.base.nbytes + self.ends.nbytes)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, rows: Any) -> Windows:
        """These windows (a mask, row numbers or a slice), of the same base."""
        ends = self.ends[rows]
        if np.ndim(ends) != 1:
            raise IndexError("windows are selected by a mask, row numbers or a slice")
        return Windows(self.base, ends, self.length)

    def batch(self, rows: Any = slice(None)) -> np.ndarray:
        """A copy of these windows: float32, shape (k, length, channels), oldest day first."""
        first = self._first_days(self.ends[rows])
        stretches = np.lib.stride_tricks.sliding_window_view(self.base.ravel(), self.shape[1])
        return stretches[first * self.channels].reshape(-1, self.length, self.channels)

    def times_used(self) -> np.ndarray:
        """How many of these windows hold each day of `base`; shape (days,)."""
        change = np.bincount(self._first_days(self.ends), minlength=len(self.base) + 1)
        change -= np.bincount(self.ends + 1, minlength=len(self.base) + 1)
        return np.cumsum(change)[:-1]

    def _first_days(self, ends: np.ndarray) -> np.ndarray:
        incomplete = int(np.sum(ends < 0))
        if incomplete:
            raise TableError("incomplete windows have no values", found=f"{incomplete} of {len(ends)}")
        return ends - (self.length - 1)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """A copy: float32, n x length * channels x 4 bytes."""
        if copy is False:
            raise ValueError("windows are views of overlapping days: a matrix of them is a copy")
        matrix = self.batch().reshape(self.shape)
        return matrix if dtype is None else matrix.astype(dtype, copy=False)


def make_windows(
    site: np.ndarray, date: pd.DatetimeIndex, values: np.ndarray, wanted: np.ndarray, length: int
) -> tuple[Windows, np.ndarray]:
    """The window that ends on each wanted row's day.

    Parameters
    ----------
    site : numpy.ndarray of str, shape (n,)
    date : pandas.DatetimeIndex, shape (n,)
        In any order; a row without a site or a date is in no window.
    values : numpy.ndarray of float, shape (n, channels)
        NaN where missing. Kept as float32.
    wanted : numpy.ndarray of bool, shape (n,)
        The rows that a window ends on; all rows are history.
    length : int
        Days, 1 or more.

    Returns
    -------
    windows : Windows
        One for each wanted row, in their order.
    complete : numpy.ndarray of bool
        Whether all its days lie at or after the first date of the site, and have every value.

    Raises
    ------
    TableError
        If a site has two rows of one day whose values differ: which of them would be the history?
    """
    code, names = pd.factorize(np.asarray(site, dtype=object))
    days = pd.DatetimeIndex(date)
    known = (code >= 0) & ~days.isna()
    day = days.to_numpy().astype("datetime64[D]").astype(np.int64)
    first, last = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), np.iinfo(np.int64).min)
    np.minimum.at(first, code[known], day[known])
    np.maximum.at(last, code[known], day[known])
    span = np.where(first <= last, last - first + 1, 0)
    start = np.cumsum(span) - span
    slot = np.where(known, start[code] + day - first[code], 0)

    base = np.full((int(span.sum()), values.shape[1]), np.nan, dtype=np.float32)
    base[slot[known]] = values[known]
    _refuse_two_values(base, slot, known, values, site, days)
    ends = slot[wanted]
    whole = known[wanted] & (ends - start[code[wanted]] >= length - 1)
    missing = np.concatenate([[0], np.cumsum(~np.isfinite(base).all(axis=1))])
    stop = ends[whole] + 1
    whole[whole] = missing[stop] == missing[stop - length]
    return Windows(base, np.where(whole, ends, -1), length), whole


def _refuse_two_values(
    base: np.ndarray, slot: np.ndarray, known: np.ndarray, values: np.ndarray, site: np.ndarray, date: pd.DatetimeIndex
) -> None:
    times = np.bincount(slot[known], minlength=len(base))
    again = np.flatnonzero(known & (times[slot] > 1)) if times.max(initial=0) > 1 else np.empty(0, dtype=int)
    kept, own = base[slot[again]], values[again].astype(np.float32)
    differ = again[~((kept == own) | (np.isnan(kept) & np.isnan(own))).all(axis=1)]
    if len(differ):
        raise TableError(
            "different rows of one site and day", where=f"{site[differ[0]]}, {date[differ[0]]:%Y-%m-%d}",
            found=f"{len(differ)} such rows", expected="one row for each site and day: windows have daily steps",
            remedy="Choose or average them before",
        )  # fmt: skip
