"""Some of the rows, evenly over the sites: for models whose cost grows faster than the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["drawn_evenly"]


def drawn_evenly(sites: Any, most: int, seed: int | None) -> np.ndarray:
    """At most `most` rows, of every site as many as of any other (or all that it has), in their order.

    Parameters
    ----------
    sites : array-like, shape (n,)
    most : int
    seed : int or None
        Which rows of a site are drawn.

    Returns
    -------
    numpy.ndarray of int, shape (min(n, most),)

    Examples
    --------
    >>> sites = np.array(["XX-A"] * 90 + ["XX-B"] * 10)
    >>> rows = drawn_evenly(sites, 30, seed=0)
    >>> np.unique(sites[rows], return_counts=True)[1].tolist()
    [20, 10]
    """
    codes = np.unique(np.asarray(sites), return_inverse=True)[1]
    if len(codes) <= most:
        return np.arange(len(codes))
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    by_site = shuffled[np.argsort(codes[shuffled], kind="stable")]
    counts = np.bincount(codes)
    turn = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)  # of a row among those of its site
    return np.sort(by_site[np.argsort(turn, kind="stable")[:most]])
