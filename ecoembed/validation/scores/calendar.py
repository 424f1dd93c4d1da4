"""Which site, month and year each scored row belongs to; computed once, shared by all models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ecoembed.validation.samples import Samples

__all__ = ["ANNUAL_DAYS", "INTERANNUAL_DAYS", "INTERANNUAL_YEARS", "Calendar"]

#: An annual sum is taken of years with at least so many scored days.
ANNUAL_DAYS = 300
#: A year has an annual mean of anomalies from so many days on; a site is scored from so many such years on.
INTERANNUAL_DAYS = 30
INTERANNUAL_YEARS = 5


@dataclass(frozen=True)
class Calendar:
    """Rows sorted by site, and the cells (site, month) and (site, year) they fall in.

    Attributes
    ----------
    sites : numpy.ndarray of str, shape (s,)
        Sites that have a row, sorted.
    site : numpy.ndarray of int, shape (n,)
        Their numbers, ascending.
    date : pandas.DatetimeIndex, shape (n,)
    """

    sites: np.ndarray
    site: np.ndarray
    date: pd.DatetimeIndex

    @classmethod
    def of(cls, samples: Samples, rows: np.ndarray) -> Calendar:
        """That of some rows of the samples, ascending."""
        code, names = pd.factorize(samples.site[rows])
        sites, site = np.unique(samples.places.index.get_indexer(names)[code], return_inverse=True)
        return cls(samples.places.index.to_numpy(dtype=object)[sites], site, samples.date[rows])

    @cached_property
    def n(self) -> np.ndarray:
        """Rows of each site."""
        return np.bincount(self.site)

    @cached_property
    def starts(self) -> np.ndarray:
        """The first row of each site."""
        return np.concatenate([[0], np.cumsum(self.n)[:-1]])

    @cached_property
    def month(self) -> np.ndarray:
        """The cell ``12 site + month`` of each row."""
        return np.asarray(self.site * 12 + self.date.month.to_numpy() - 1)

    @cached_property
    def first_year(self) -> int:
        """The year from which years are counted."""
        return int(self.date.year.min())

    @cached_property
    def years(self) -> int:
        """Calendar years from the first to the last."""
        return int(self.date.year.max()) - self.first_year + 1

    @cached_property
    def year(self) -> np.ndarray:
        """The cell ``years site + year`` of each row."""
        return np.asarray(self.site * self.years + self.date.year.to_numpy() - self.first_year)

    @cached_property
    def months(self) -> np.ndarray:
        """Rows of each cell (site, month)."""
        return np.bincount(self.month, minlength=12 * len(self.sites))

    @cached_property
    def has_cycle(self) -> np.ndarray:
        """Sites with rows in two months of the year or more."""
        return (self.months.reshape(-1, 12) > 0).sum(axis=1) > 1

    @cached_property
    def usual(self) -> np.ndarray:
        """Cells (site, month) that hold days of two years or more: only these have a usual value to depart from."""
        cells = np.unique(self.month * self.years + self.year % self.years) // self.years
        return np.bincount(cells, minlength=12 * len(self.sites)) > 1

    @cached_property
    def neighbour(self) -> tuple[np.ndarray, np.ndarray]:
        """The month nearest to each row but its own, as a cell, and its share in the mean cycle of that day.

        The mean of a month stands at its middle, and the cycle goes from middle to middle in straight lines: in steps,
        the growth within a month would pass for an anomaly that every seasonal curve explains.
        """
        off = (self.date.day.to_numpy() - 0.5) / self.date.days_in_month.to_numpy() - 0.5
        cell = self.site * 12 + (self.month % 12 + np.where(off < 0, -1, 1)) % 12
        return cell, np.where(self.usual[cell], np.abs(off), 0.0)

    @cached_property
    def departs(self) -> np.ndarray:
        """Rows that have an anomaly."""
        return self.usual[self.month]

    @cached_property
    def departing_years(self) -> np.ndarray:
        """Cells (site, year), at sites with enough of them, that have an annual mean of anomalies."""
        enough = np.bincount(self.year[self.departs], minlength=len(self.sites) * self.years) >= INTERANNUAL_DAYS
        by_site = enough.reshape(-1, self.years)
        return np.flatnonzero((by_site & (by_site.sum(axis=1, keepdims=True) >= INTERANNUAL_YEARS)).ravel())

    @cached_property
    def whole_years(self) -> np.ndarray:
        """Cells (site, year) that have an annual sum."""
        return np.flatnonzero(np.bincount(self.year) >= ANNUAL_DAYS)

    @cached_property
    def days_of_whole_years(self) -> np.ndarray:
        """365 or 366, of each of these."""
        year = self.first_year + self.whole_years % self.years
        leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
        return np.where(leap, 366.0, 365.0)
