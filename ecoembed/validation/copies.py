"""Features that hold the answer: the target itself, in another unit, on another scale, of another day."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecoembed.validation.result import Finding

__all__ = ["find_copies"]

#: Correlations from which a feature is the target in another guise, and from which no measured predictor is believed:
#: over many towers the best single ones reach 0.9, and a tower's own GPP by another partitioning 0.93 to 0.97.
_COPY, _IMPLAUSIBLE = 0.9999, 0.97
_EXACT = 1 - 1e-10
#: With fewer rows a correlation says nothing; and rows of a site below which its own scale is unknown.
_LEAST_ROWS, _LEAST_SITE_ROWS = 30, 5
#: The target of another row or day that a feature may hold, counted from the row itself.
_ROWS, _DAYS = (-3, -2, -1, 1, 2, 3), (-30, -14, -7, -3, -2, -1, 1, 2, 3, 7, 14, 30)

#: A tower's carbon flux in the spelling of FLUXNET and AmeriFlux; not GPP_MODIS.
_FLUX = re.compile(r"(GPP|NEE|RECO|NEP|FC)(_(NT|DT|PI|F|SR|MDS|VUT|CUT|REF|MEAN|USTAR50|QC|\d+))*")
_DROP = "Leave it out of the features"


def find_copies(
    columns: Mapping[str, np.ndarray], observed: np.ndarray, site: np.ndarray, date: pd.DatetimeIndex
) -> list[Finding]:
    """What in these columns gives the target away, one finding at most for each column.

    Parameters
    ----------
    columns : mapping of name to numpy.ndarray, each of shape (n,)
    observed, site : numpy.ndarray, shape (n,)
    date : pandas.DatetimeIndex, shape (n,)

    Returns
    -------
    list of Finding
        Severe where a column is the target, its rank, the target on a scale of each site, the mean target of each
        site, or the target of another day; listed where it follows the target more closely than a measurement can, or
        bears the name of a flux of the tower.
    """
    names, codes = np.unique(site, return_inverse=True)
    rows = _Rows(observed, codes, len(names), date)
    truths = rows.disguises()
    found = (_judged(name, rows.likest(values, truths)) for name, values in columns.items() if np.ptp(values) > 0)
    return [finding for finding in found if finding]


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


@dataclass(frozen=True)
class _Rows:
    """The target, the number of each row's site, the number of sites, and the dates."""

    observed: np.ndarray
    codes: np.ndarray
    sites: int
    date: pd.DatetimeIndex

    def disguises(self) -> list[_Truth]:
        """The target, its mean at each site, and that of rows before and after and of days around."""
        few = len(self.observed) < _LEAST_ROWS
        mean = np.bincount(self.codes, self.observed, self.sites) / np.bincount(self.codes, minlength=self.sites)
        truths = [
            _Truth("the target", self.observed, *((_EXACT, 1.0) if few else ())),
            _Truth("the mean target of each site", mean[self.codes], _EXACT, 1.0),
            *([] if few else self._shifted()),
        ]
        return [t for t in truths if len(np.unique(t.values[~np.isnan(t.values)])) > 2]

    def _shifted(self) -> Iterator[_Truth]:
        """The target of the same site some rows or days later or earlier."""
        order = np.lexsort((self.date.to_numpy(), self.codes))
        codes, observed, row = self.codes[order], self.observed[order], np.arange(len(order))
        key = codes * 10_000_000 + self.date.to_numpy().astype("datetime64[D]").astype(int)[order]
        for kind, steps in (("row", _ROWS), ("day", _DAYS)):
            for step in steps:
                wanted = row + step if kind == "row" else np.searchsorted(key, key + step)
                other = np.clip(wanted, 0, len(row) - 1)
                there = (codes[other] == codes) & (other == wanted)
                there &= (kind == "row") | (key[other] == key + step)
                values = np.full(len(row), np.nan)
                values[order[there]] = observed[other[there]]
                many = f"{abs(step)} {kind}{'s' if abs(step) > 1 else ''}"
                yield _Truth(f"the target of {many} {'later' if step > 0 else 'before'}", values)

    def likest(self, values: np.ndarray, truths: list[_Truth]) -> _Likeness:
        """What a column is most like."""
        found = []
        for truth in truths:
            there = ~np.isnan(truth.values)
            found.append(_Likeness(truth, _correlation(values[there], truth.values[there]), int(there.sum())))
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


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Absolute Pearson correlation; 0 where one of them never changes."""
    if len(one) == 0:
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    size = np.sqrt((one @ one) * (other @ other))
    return float(abs(one @ other) / size) if size > 0 else 0.0


def _rank(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values))
