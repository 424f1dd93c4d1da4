"""Bands of coarser pixels on the 10 m grid, interpolated; nearest is what they come as."""

from __future__ import annotations

import numpy as np


def bilinear(values: np.ndarray, parts: int, row: int, column: int) -> np.ndarray:
    """Interpolate between the centres of coarse pixels whose values stand in each of the fine pixels within.

    Missing pixels lend nothing to their neighbours and stay missing: a fine pixel is the mean of the up to four coarse
    ones around it, weighted by nearness and by how much of each is valid. Beyond the outermost centres the outermost
    value holds.

    Parameters
    ----------
    values : ndarray of float, shape (time, y, x)
        Fine pixels, NaN = missing; those within one coarse pixel are equal where they are valid.
    parts : int
        Fine pixels along the side of a coarse one.
    row, column : int
        How many fine rows and columns of the first coarse pixel lie outside.

    Returns
    -------
    ndarray of float32, shape (time, y, x)
    """
    valid = np.isfinite(values)
    down, right = (_matrices(n, parts, out) for n, out in zip(values.shape[1:], (row, column), strict=True))
    share = _both(valid.astype("float64"), down[0], right[0])
    total = _both(np.where(valid, values, 0.0).astype("float64"), down[0], right[0])
    weight, amount = (_both(part, down[1], right[1]) for part in (share, total))
    mean = np.divide(amount, weight, out=np.full(values.shape, np.nan), where=valid & (weight > 0))
    return mean.astype("float32")


def is_blocky(values: np.ndarray, parts: int, row: int, column: int) -> bool:
    """Whether the fine pixels (time, y, x) within each coarse one are equal: not interpolated before."""
    whole = values[:, (parts - row) % parts :, (parts - column) % parts :]
    height, width = (n - n % parts for n in whole.shape[1:])
    blocks = whole[:, :height, :width].reshape(len(values), height // parts, parts, width // parts, parts)
    corner = blocks[:, :, :1, :, :1]
    return bool(np.mean((blocks == corner) | np.isnan(blocks) | np.isnan(corner)) > 0.99)


def _both(array: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray(down @ array @ right.T)


def _matrices(n: int, parts: int, outside: int) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis: means of fine pixels over coarse ones, and weights of coarse centres at fine ones."""
    fine = np.arange(n) + outside
    coarse = -(-(n + outside) // parts)
    within = (fine // parts == np.arange(coarse)[:, None]).astype("float64")
    place = np.clip((fine + 0.5) / parts - 0.5, 0, coarse - 1)
    weights = np.clip(1.0 - np.abs(place[:, None] - np.arange(coarse)), 0.0, None)
    return within / within.sum(axis=1, keepdims=True), weights
