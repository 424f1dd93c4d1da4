"""Named protocols. A protocol is a scikit-learn splitter whose groups are the sites; a user's own drops in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ecoembed.errors import ConfigError, TableError, check_name

__all__ = ["PROTOCOLS", "SEEN", "UNSEEN", "check_protocol", "label_of", "make_folds", "name_of"]

SEEN, UNSEEN = "seen-site", "unseen-site"

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
    """The folds of a protocol as (training rows, test rows).

    Parameters
    ----------
    protocol : {"leave-site-out"} or scikit-learn splitter
        A splitter gets the sites as ``groups``.
    sites : numpy.ndarray of str, shape (n,)

    Raises
    ------
    ConfigError
        If the protocol is unknown.
    TableError
        With fewer than two sites, or where the test folds do not hold every row exactly once.

    Notes
    -----
    ``leave-site-out`` holds one site out at a time, in the order of their names: which rows share a fold does not
    depend on the order of the rows.
    """
    count = len(np.unique(sites))
    if count < 2:
        raise TableError(
            "too few sites: none can be left out", found=f"{count} site(s)", expected="2 or more",
            remedy="Add sites to the table",
        )  # fmt: skip
    splitter = _splitter(protocol)
    try:
        folds = [(np.asarray(a), np.asarray(b)) for a, b in splitter.split(np.zeros((len(sites), 1)), groups=sites)]
    except ValueError as exc:  # e.g. more folds than sites
        raise TableError(f"the protocol does not fit the table: {exc}", where=name_of(protocol)) from None
    times = np.bincount(np.concatenate([test for _, test in folds]), minlength=len(sites))
    if not np.all(times == 1):
        raise TableError(
            "the test folds do not hold every row exactly once", where=name_of(protocol),
            found=f"{int(np.sum(times == 0))} rows never, {int(np.sum(times > 1))} more than once",
        )  # fmt: skip
    return folds


def name_of(protocol: str | Any) -> str:
    """A protocol's name: its own, or that of the splitter's class."""
    return protocol if isinstance(protocol, str) else type(protocol).__name__


def label_of(folds: list[Fold], sites: np.ndarray) -> str:
    """``unseen-site`` if no fold has a site on both sides, read from the folds themselves; else ``seen-site``."""
    mixed = any(np.isin(sites[test], sites[train]).any() for train, test in folds)
    return SEEN if mixed else UNSEEN


def _splitter(protocol: str | Any) -> Any:
    if isinstance(protocol, str):
        return PROTOCOLS[check_protocol(protocol)]()
    if not hasattr(protocol, "split"):
        raise ConfigError("not a protocol", found=repr(protocol), expected="a name or a scikit-learn splitter")
    return protocol
