"""Features that hold the answer: the target itself, in another unit, on another scale, of other days, averaged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecoembed.validation.result import Finding
from ecoembed.validation.samples import Samples
from ecoembed.validation.splits.folds import site_codes

__all__ = ["find_copies"]

#: Correlations from which a feature is the target in another guise, and from which no measured predictor is believed:
#: over many towers the best single ones reach 0.9, and a tower's own GPP by another partitioning 0.93 to 0.97.
_COPY, _IMPLAUSIBLE = 0.9999, 0.97
_EXACT = 1 - 1e-10
#: With fewer rows a correlation says nothing; and rows of a site below which its own scale is unknown.
_LEAST_ROWS, _LEAST_SITE_ROWS = 30, 5
#: Rows for each column that it takes to believe in a sum of columns.
_LEAST_ROWS_OF_A_COLUMN = 20
#: The target of another row or day that a feature may hold, counted from the row itself.
_ROWS, _DAYS = (-3, -2, -1, 1, 2, 3), (-30, -14, -7, -3, -2, -1, 1, 2, 3, 7, 14, 30)
#: Rows before and after the own one over which the target may have been averaged.
_MEANS = ((1, 1), (2, 2), (3, 3), (7, 7), (15, 15), (2, 0), (6, 0), (13, 0), (29, 0), (0, 6), (0, 29))
#: What else than its mean sums the target of a site up, by pandas' name.
_OF_A_SITE = {"median": "median", "min": "least", "max": "largest", "std": "standard deviation of the"}
#: Rows that are looked at first, and the correlation with which a column is held against a truth in all rows.
_SCREENED, _WORTH_A_LOOK = 20_000, 0.9

#: A tower's carbon flux in the spelling of FLUXNET and AmeriFlux; not GPP_MODIS.
_FLUX = re.compile(r"(GPP|NEE|RECO|NEP|FC)(_(NT|DT|PI|F|SR|MDS|VUT|CUT|REF|MEAN|USTAR50|QC|\d+))*")
_DROP = "Leave it out of the features"


def find_copies(samples: Samples) -> list[Finding]:
    """What in the columns of these samples gives the target away, one finding at most for each column.

    Returns
    -------
    list of Finding
        Severe where a column is the target, its rank, the target on a scale of each site, the mean target of each
        site (or its median, extremes, spread), year, type, climate or season, the target of another day, or a mean of
        it over the days around; listed where it follows the target more closely than a measurement can, or bears the
        name of a flux of the tower. Of a set whose columns are above suspicion, their sum by least squares is judged
        likewise: a respiration under another name, less the net flux, is the target.
    """
    rows = _Rows(samples)
    truths = rows.disguises()
    found = {
        name: _judged(name, rows.likest(values, truths))
        for name, values in samples.columns.items()
        if np.ptp(values) > 0
    }
    told = [finding for finding in found.values() if finding]
    for features, names in samples.names.items():
        if set(names) <= samples.columns.keys() and len(names) > 1 and not any(found.get(name) for name in names):
            told += rows.summed(features, names)
    return told


class _Truth(NamedTuple):
    """What a column is held against: values (NaN where there are none) and the correlations that are told."""

    what: str
    values: np.ndarray
    copy: float = _COPY
    listed: float = _IMPLAUSIBLE


class _Likeness(NamedTuple):
    truth: _Truth
    correlation: float
    rows: int


def _judged(name: str, like: _Likeness) -> Finding | None:
    amount = f"correlation {like.correlation:.4f} over {like.rows} rows"
    if like.correlation > like.truth.copy:
        what = f"this feature is {like.truth.what}: its score would be a leak"
        return Finding("features", what, name, amount, _DROP, severe=True)
    if like.correlation >= like.truth.listed:
        what = f"follows {like.truth.what} more closely than a measurement can"
        return Finding(
            "features", what, name, amount, "Make sure that it was not made from the target, or leave it out"
        )
    if _FLUX.fullmatch(name.rpartition(".")[2]):
        return Finding("features", "by its name a carbon flux of the tower itself", name, amount, _DROP)
    return None


class _Rows:
    """The target by row, sorted by site and date, and what it can be disguised as."""

    def __init__(self, samples: Samples) -> None:
        self.samples, self.observed = samples, samples.observed
        self.codes, self.sites = site_codes(samples), len(samples.places)
        self.day = samples.date.to_numpy().astype("datetime64[D]").astype(int)

    def disguises(self) -> list[_Truth]:
        """The target, its means of groups of rows, and the target of rows and days around."""
        few = len(self.observed) < _LEAST_ROWS
        truths = [
            _Truth("the target", self.observed, *((_EXACT, 1.0) if few else ())),
            *(_Truth(what, values, _EXACT, 1.0) for what, values in self._grouped()),
            *([] if few else [*self._shifted(), *self._averaged()]),
        ]
        return [t for t in truths if _varies(t.values)]

    def _grouped(self) -> Iterator[tuple[str, np.ndarray]]:
        """Means over all rows of a group, those of the test too; of a site also what else sums it up."""
        date, years = self.samples.date, self.codes * 10_000 + self.samples.date.year.to_numpy()
        month, day = date.month.to_numpy(), date.day_of_year.to_numpy()
        groups = {
            "site": self.codes,
            "year of a site": pd.factorize(years)[0],
            "month of a site": self.codes * 13 + month,
            "month of each year of a site": pd.factorize(years * 13 + month)[0],
            "day of the year of a site": self.codes * 367 + day,
            "month": month,
            "day of the year": day,
        }
        for key in ("vegetation", "climate"):
            of = self.samples.places[key]
            if of.notna().all():
                groups[key] = np.unique(of.to_numpy(dtype=str), return_inverse=True)[1][self.codes]
        for name, group in groups.items():
            count = np.bincount(group)
            if (count[group] > 1).mean() > 0.5:  # else it is the target
                means = np.bincount(group, self.observed) / np.maximum(count, 1)
                yield f"the mean target of each {name}", means[group]
        of_site = pd.Series(self.observed).groupby(self.codes)
        for how, what in _OF_A_SITE.items():
            yield f"the {what} target of each site", of_site.transform(how).to_numpy()

    def _shifted(self) -> Iterator[_Truth]:
        """The target of the same site some rows or days later or earlier."""
        row, key = np.arange(len(self.codes)), self.codes * 10_000_000 + self.day
        for kind, steps in (("row", _ROWS), ("day", _DAYS)):
            for step in steps:
                wanted = row + step if kind == "row" else np.searchsorted(key, key + step)
                other = np.clip(wanted, 0, len(row) - 1)
                there = (self.codes[other] == self.codes) & (other == wanted)
                there &= (kind == "row") | (key[other] == key + step)
                values = np.where(there, self.observed[other], np.nan)
                many = f"{abs(step)} {kind}{'s' if abs(step) > 1 else ''}"
                yield _Truth(f"the target of {many} {'later' if step > 0 else 'before'}", values)

    def _averaged(self) -> Iterator[_Truth]:
        """Running means of the target along the rows of a site."""
        row, total = np.arange(len(self.codes)), np.concatenate([[0.0], np.cumsum(self.observed)])
        for before, after in _MEANS:
            first, last = np.maximum(row - before, 0), np.minimum(row + after, len(row) - 1)
            there = (self.codes[first] == self.codes[last]) & (last - first == before + after)
            values = np.where(there, (total[last + 1] - total[first]) / (before + after + 1), np.nan)
            yield _Truth(f"the mean target of {before} rows before to {after} after", values, listed=1.0)

    def likest(self, values: np.ndarray, truths: list[_Truth]) -> _Likeness:
        """What a column is most like; of many rows some tell which truths are worth a look at all of them."""
        step = max(1, len(values) // _SCREENED)
        alike = np.array([_known_correlation(values[::step], truth.values[::step])[0] for truth in truths])
        looked = (alike >= _WORTH_A_LOOK) | (alike == alike.max(initial=0.0))
        found = [
            _Likeness(truth, *_known_correlation(values, truth.values))
            for truth, look in zip(truths, looked, strict=True)
            if look
        ]
        if len(values) >= _LEAST_ROWS:
            order = _Truth("the target in the order of its values", self.observed)
            found.append(_Likeness(order, _correlation(_rank(values), self.ranked), len(values)))
            enough = np.bincount(self.codes, minlength=self.sites)[self.codes] >= _LEAST_SITE_ROWS
            own = _Truth("the target on a scale of each site", self.observed)
            found.append(
                _Likeness(own, _correlation(self._scaled(values)[enough], self.scaled[enough]), int(enough.sum()))
            )
        told = [like for like in found if like.rows >= _LEAST_ROWS or like.truth.copy == _EXACT]
        return max(told, key=lambda like: like.correlation, default=_Likeness(_Truth("", values), 0.0, 0))

    def summed(self, features: str, names: list[str]) -> list[Finding]:
        """A sum of the columns of a set, if it is the target; not asked of fewer than 20 rows for each column."""
        step = max(1, len(self.observed) // _SCREENED)
        X = np.column_stack([np.ones(len(self.observed)), *(self.samples.columns[name] for name in names)])[::step]
        if len(X) < max(_LEAST_ROWS, _LEAST_ROWS_OF_A_COLUMN * len(names)):
            return []
        y, scale = self.observed[::step], np.maximum(np.abs(X).max(axis=0), np.finfo(float).tiny)
        fitted = X @ (np.linalg.lstsq(X / scale, y, rcond=None)[0] / scale)
        like = _Likeness(_Truth("the target, as a sum of its columns", y), _correlation(fitted, y), len(y))
        finding = _judged(features, like)
        return [finding] if finding else []

    @cached_property
    def ranked(self) -> np.ndarray:
        return _rank(self.observed)

    @cached_property
    def scaled(self) -> np.ndarray:
        return self._scaled(self.observed)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        """Values less their site's mean, over their site's standard deviation."""
        count = np.bincount(self.codes, minlength=self.sites)
        centred = values - (np.bincount(self.codes, values, self.sites) / count)[self.codes]
        spread = np.sqrt(np.bincount(self.codes, centred**2, self.sites) / count)[self.codes]
        return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)


def _varies(values: np.ndarray) -> bool:
    """Whether there are more than two different values: with two, any other column of two would be a copy."""
    known = values[~np.isnan(values)]
    return bool(len(known) and np.any((known > known.min()) & (known < known.max())))


def _known_correlation(values: np.ndarray, truth: np.ndarray) -> tuple[float, int]:
    """Correlation where the truth is known, and the rows where it is."""
    there = ~np.isnan(truth)
    return _correlation(values[there], truth[there]), int(there.sum())


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Absolute Pearson correlation; 0 where one of them never changes."""
    if len(one) == 0:
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    size = np.sqrt((one @ one) * (other @ other))
    return float(abs(one @ other) / size) if size > 0 else 0.0


def _rank(values: np.ndarray) -> np.ndarray:
    return np.asarray(pd.Series(values).rank())
