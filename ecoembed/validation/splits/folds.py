"""Folds: training and test rows, made of one number for each row, so that no row can be tested twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ecoembed.errors import TableError
from ecoembed.validation.samples import Samples

__all__ = [
    "OUT",
    "SEEN",
    "TRAIN",
    "UNSEEN",
    "Fold",
    "Folds",
    "Partition",
    "folds_of",
    "refuse_unmeasured",
    "site_codes",
    "site_sides",
]

SEEN, UNSEEN = "seen-site", "unseen-site"

#: Fold numbers of rows that every fold trains on, and of rows that none uses.
TRAIN, OUT = -1, -2


class Fold(NamedTuple):
    """Training rows as a mask (150 folds of 370 000 rows: 55 MB, an eighth of their numbers), test rows as numbers."""

    train: np.ndarray
    test: np.ndarray


class Partition(NamedTuple):
    """The fold of each row, (n,) int, 0 or more, `TRAIN` or `OUT`; and what each fold holds out, in words."""

    fold: np.ndarray
    held_out: list[str]


@dataclass(frozen=True)
class Folds:
    """The folds of a protocol on some samples.

    Attributes
    ----------
    name : str
    label : str
        ``unseen-site`` if no fold has a site on both sides, read from the folds themselves; else ``seen-site``.
    promised : bool
        Whether the protocol promises unseen sites; then a site on both sides is a leak.
    folds : list of Fold
    held_out : list of str
        What each fold holds out, in words.
    number : numpy.ndarray of int, shape (n,)
        The fold that a row belongs to, `TRAIN` or `OUT`.
    options : dict
        The protocol's options, defaults filled in; JSON-able.
    found : dict
        What was found in making them: of kNNDM the distances and their match; rows that are never tested. JSON-able.
    """

    name: str
    label: str
    promised: bool
    folds: list[Fold]
    held_out: list[str]
    number: np.ndarray = field(repr=False)
    options: dict[str, Any] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)


def site_codes(samples: Samples) -> np.ndarray:
    """The number of each row's site in ``samples.places``, shape (n,)."""
    return np.asarray(samples.places.index.get_indexer(samples.site))


def site_sides(folds: Sequence[Fold], samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Which sites each fold trains on and tests, two arrays of bool of shape (folds, sites)."""
    codes, count = site_codes(samples), len(samples.places)
    train = np.array([np.bincount(codes[fold.train], minlength=count) > 0 for fold in folds])
    test = np.array([np.bincount(codes[fold.test], minlength=count) > 0 for fold in folds])
    return train, test


def refuse_unmeasured(folds: Sequence[Fold], samples: Samples, name: str) -> None:
    """Raise TableError where measured days are known and no fold tests one: only filled gaps would be scored."""
    if samples.measured is not None and not any(samples.measured[fold.test].any() for fold in folds):
        raise TableError(
            "no day that a fold tests was measured", where=name, found=f"{samples.measured.sum()} measured days",
            expected="a measured day to score", remedy="Lower the least quality, or choose another protocol",
        )  # fmt: skip


def folds_of(partition: Partition, samples: Samples, at_known_sites: bool, name: str) -> list[Fold]:
    """Each fold trains on all rows of other folds, and on those that are for training alone.

    Parameters
    ----------
    partition : Partition
    samples : Samples
    at_known_sites : bool
        Test only rows whose site is trained on by the same fold.
    name : str
        The protocol, for errors.

    Raises
    ------
    TableError
        If a fold has no training row or no test row.
    """
    number, codes, folds = partition.fold, site_codes(samples), []
    for k, what in enumerate(partition.held_out):
        train, test = (number != k) & (number != OUT), np.flatnonzero(number == k)
        if at_known_sites:
            known = np.bincount(codes[train], minlength=len(samples.places)) > 0
            test = test[known[codes[test]]]
        for rows, kind in ((train, "training"), (test, "test")):
            if not (rows.any() if kind == "training" else len(rows)):
                raise TableError(
                    f"a fold has no {kind} row", where=f"{name}, {what}", found=f"{len(samples.places)} sites",
                    expected="another site for training" if kind == "training" else "rows to score",
                    remedy="Choose another protocol: this one asks for more than the table holds",
                )  # fmt: skip
        folds.append(Fold(train, test))
    return folds
