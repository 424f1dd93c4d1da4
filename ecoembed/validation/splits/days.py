"""Protocols that split days at known sites. Their scores say nothing of unseen sites, and are labelled so."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from ecoembed.errors import TableError
from ecoembed.validation.samples import Samples
from ecoembed.validation.splits.folds import OUT, TRAIN, Partition
from ecoembed.validation.splits.sites import Protocol

__all__ = ["LeaveYearOut", "RandomKFold", "Years"]


class _KnownSites(Protocol):
    promised: ClassVar[bool] = False
    at_known_sites: ClassVar[bool] = True


class LeaveYearOut(_KnownSites):
    """Each calendar year is a fold; scored at sites that have another year to train on."""

    def partition(self, samples: Samples, seed: int) -> tuple[Partition, dict[str, Any]]:
        years, fold = np.unique(samples.date.year.to_numpy(), return_inverse=True)
        if len(years) < 2:
            raise TableError("one year only: none can be left out", found=years[0], expected="2 or more years")
        return Partition(fold, [str(year) for year in years]), {}


class Years(_KnownSites):
    """Train on some years, test on others, once; the seed paper: ``train=[2017, 2018, 2019]``, ``test=[2020]``.

    Source: Peters et al. 2025, arXiv 2511.11706.
    """

    train: list[int] = Field(min_length=1)
    test: list[int] = Field(min_length=1)

    @model_validator(mode="after")
    def _apart(self) -> Years:
        if both := set(self.train) & set(self.test):
            raise ValueError(f"{', '.join(map(str, sorted(both)))} in training and in the test")
        return self

    def partition(self, samples: Samples, seed: int) -> tuple[Partition, dict[str, Any]]:
        year = samples.date.year.to_numpy()
        there = sorted({int(y) for y in year})
        for kind, wanted in (("training", self.train), ("test", self.test)):
            if not set(wanted) & set(there):
                raise TableError(
                    f"no row in the {kind} years", where="years", found=", ".join(map(str, there)),
                    expected=", ".join(map(str, wanted)),
                )  # fmt: skip
        fold = np.where(np.isin(year, self.test), 0, np.where(np.isin(year, self.train), TRAIN, OUT))
        return Partition(fold, [", ".join(map(str, self.test))]), {}


class RandomKFold(_KnownSites):
    """Rows at random: neighbouring days on both sides. What such folds flatter by is what they are here for."""

    folds: int = Field(5, ge=2)

    def partition(self, samples: Samples, seed: int) -> tuple[Partition, dict[str, Any]]:
        count = len(samples.site)
        if count < self.folds:
            raise TableError("fewer rows than folds", where="random-k-fold", found=f"{count} rows, {self.folds} folds")
        fold = np.random.default_rng(seed).permutation(count) % self.folds  # rows are sorted by site and date
        return Partition(fold, [f"random rows {k + 1} of {self.folds}" for k in range(self.folds)]), {}
