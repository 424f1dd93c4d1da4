"""Named protocols. A protocol is a scikit-learn splitter whose groups are the sites; a user's own drops in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ecoembed.errors import ConfigError, TableError, check_name

__all__ = ["PROTOCOLS", "SEEN", "UNSEEN", "check_protocol", "label_of", "make_folds", "name_of"]

SEEN, UNSEEN = "seen-site", "unseen-site"

#: Training rows as a mask (150 folds of 370 000 rows: 55 MB, an eighth of their numbers) and test rows as numbers.
Fold = tuple[np.ndarray, np.ndarray]


def _leave_site_out() -> Any:
    from sklearn.model_selection import LeaveOneGroupOut

    return LeaveOneGroupOut()


#: Protocol name -> maker of its splitter.
PROTOCOLS: dict[str, Callable[[], Any]] = {"leave-site-out": _leave_site_out}


def check_protocol(name: str) -> str:
    """The name of a protocol, unchanged; cheap, so that a wrong one is refused before any work.

    Raises
    ------
    ConfigError
        If `name` is not one of `PROTOCOLS`.
    """
    return check_name(name, PROTOCOLS, "protocol", otherwise="Or pass a scikit-learn splitter")


def make_folds(protocol: str | Any, sites: np.ndarray) -> list[Fold]:
    """The folds of a protocol as (mask of the training rows, test rows).

    Parameters
    ----------
    protocol : {"leave-site-out"} or scikit-learn splitter
        A splitter gets the sites as ``groups``.
    sites : numpy.ndarray of str, shape (n,)

    Returns
    -------
    list of (numpy.ndarray of bool, shape (n,); numpy.ndarray of int)

    Raises
    ------
    ConfigError
        If the protocol is unknown.
    TableError
        With fewer than two sites, where the test folds do not hold every row exactly once, or where a fold trains
        on a row twice.

    Notes
    -----
    ``leave-site-out`` holds one site out at a time, in the order of their names: which rows share a fold does not
    depend on the order of the rows.
    """
    names, codes = np.unique(sites, return_inverse=True)
    if len(names) < 2:
        raise TableError(
            "too few sites: none can be left out", found=f"{len(names)} site(s)", expected="2 or more",
            remedy="Add sites to the table",
        )  # fmt: skip
    splitter = _splitter(protocol)
    groups = codes if isinstance(protocol, str) else sites  # numbers compare a hundred times faster than names
    try:
        split = splitter.split(np.zeros((len(sites), 1)), groups=groups)
        folds = [(_mask(train, len(sites), protocol), np.asarray(test)) for train, test in split]
    except ValueError as exc:  # e.g. more folds than sites
        raise TableError(f"the protocol does not fit the table: {exc}", where=name_of(protocol)) from None
    times = np.bincount(np.concatenate([test for _, test in folds]), minlength=len(sites))
    if not np.all(times == 1):
        raise TableError(
            "the test folds do not hold every row exactly once", where=name_of(protocol),
            found=f"{int(np.sum(times == 0))} rows never, {int(np.sum(times > 1))} more than once",
        )  # fmt: skip
    return folds


def _mask(rows: np.ndarray, count: int, protocol: str | Any) -> np.ndarray:
    mask = np.zeros(count, dtype=bool)
    mask[rows] = True
    if mask.sum() != len(rows):
        raise TableError("a fold trains on a row twice", where=name_of(protocol), expected="each row once at most")
    return mask


def name_of(protocol: str | Any) -> str:
    """A protocol's name: its own, or that of the splitter's class."""
    return protocol if isinstance(protocol, str) else type(protocol).__name__


def label_of(folds: list[Fold], sites: np.ndarray) -> str:
    """``unseen-site`` if no fold has a site on both sides, read from the folds themselves; else ``seen-site``."""
    names, codes = np.unique(sites, return_inverse=True)
    mixed = any(np.any(np.bincount(codes[train], minlength=len(names))[codes[test]]) for train, test in folds)
    return SEEN if mixed else UNSEEN


def _splitter(protocol: str | Any) -> Any:
    if isinstance(protocol, str):
        return PROTOCOLS[check_protocol(protocol)]()
    if not hasattr(protocol, "split"):
        raise ConfigError("not a protocol", found=repr(protocol), expected="a name or a scikit-learn splitter")
    return protocol
