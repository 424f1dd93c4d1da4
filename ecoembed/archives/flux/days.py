"""Half-hours (or hours) to days of local standard time, all columns at once by counting; no group is ever looped over.

Source of the rules: Pastorello et al. 2020 (doi 10.1038/s41597-020-0534-3) and ONEFlux's ``nee_proc``: a day's flux is
the mean of its half-hours, its random uncertainty the root of their summed squares over their number, its QC the share
measured or filled with good quality.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecoembed.archives.flux.stamps import MINUTES

#: Least share of a day's half-hours for the day's mean of a driver, or of a flux that the site's team filled.
LEAST_PRESENT = 0.9


@dataclass(frozen=True)
class Days:
    """Which day each row belongs to: ``number`` (rows,) into ``time`` (days,); a whole day has ``steps`` rows."""

    time: np.ndarray
    number: np.ndarray
    steps: int

    def count(self, rows: np.ndarray) -> np.ndarray:
        """Rows that are true, for each day."""
        return np.bincount(self.number[rows], minlength=self.time.size)

    def share(self, rows: np.ndarray) -> np.ndarray:
        """Share of the whole day's rows that are true; a row that is not there is not true."""
        return self.count(rows) / self.steps

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sum of the values that are there."""
        return np.bincount(self.number, np.nan_to_num(values), minlength=self.time.size)

    def max(self, values: np.ndarray) -> np.ndarray:
        """Greatest of the values that are there; 0 where none is above it."""
        greatest = np.zeros(self.time.size)
        np.maximum.at(greatest, self.number, np.nan_to_num(values))
        return greatest

    def mean(self, values: np.ndarray, least: float = 1.0) -> np.ndarray:
        """Mean of the values that are there; NaN where they are fewer than the share `least` of a whole day."""
        present = self.count(~np.isnan(values))
        with np.errstate(invalid="ignore"):
            return np.where(present >= np.ceil(least * self.steps - 1e-9), self.sum(values) / present, np.nan)

    def mean_of_parts(self, values: np.ndarray, night: np.ndarray) -> np.ndarray:
        """Mean of day-time and mean of night, each weighted by its length, so that gaps at night do not weigh on GPP.

        Equals the mean where nothing is missing. NaN where rows are missing, or a part has no value.
        """
        total = np.zeros(self.time.size)
        for part in (night, ~night):
            length = self.count(part)
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = self.sum(np.where(part, values, np.nan)) / self.count(part & ~np.isnan(values))
            total += np.where(length > 0, np.where(np.isfinite(mean), mean, np.nan) * length, 0.0)
        whole = self.count(np.ones(values.size, dtype=bool)) == self.steps
        return np.where(whole, total / self.steps, np.nan)

    def random_uncertainty(self, values: np.ndarray) -> np.ndarray:
        """Of the day's mean: sqrt(sum of squares) / n over the n half-hours that have one."""
        present = self.count(~np.isnan(values))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(present > 0, np.sqrt(self.sum(values**2)) / present, np.nan)


def group_days(index: pd.DatetimeIndex, minutes: int) -> Days:
    """The days of a sorted, unique index of period starts.

    Examples
    --------
    >>> days = group_days(pd.date_range("2020-02-28T12:00", "2020-03-01T11:30", freq="30min"), 30)
    >>> days.time.astype("datetime64[D]").astype(str).tolist(), days.share(np.ones(96, dtype=bool)).tolist()
    (['2020-02-28', '2020-02-29', '2020-03-01'], [0.5, 1.0, 0.5])
    """
    day = index.to_numpy(dtype="datetime64[ns]").astype("datetime64[D]")
    new = np.r_[False, day[1:] != day[:-1]]
    starts = np.r_[0, np.flatnonzero(new)]
    return Days(day[starts].astype("datetime64[ns]"), np.cumsum(new), MINUTES["DD"] // minutes)
