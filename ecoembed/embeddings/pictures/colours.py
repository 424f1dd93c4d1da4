"""Embeddings as colours: three principal components of z are red, green and blue.

One PCA serves a whole cube: on all its dates, and in all its pictures, the same colour is the same embedding. Nothing
here needs torch.

Source: the figures of Peters et al. (2025), arXiv 2511.11706.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from ecoembed.cubes.pictures import MISSING
from ecoembed.errors import TableError

#: The PCA is fitted on at most so many dates, spread evenly, and about so many pixels of them, on a lattice.
FIT_DATES, FIT_PIXELS = 24, 200_000
_RGB = ("red", "green", "blue")


class Colours(NamedTuple):
    """How an embedding becomes a colour: three principal components, each between its 2nd and 98th percentile.

    Attributes
    ----------
    mean : np.ndarray, shape (d,)
    axes : np.ndarray, shape (d, 3)
        Of unit length; the largest entry of each is positive, so that its sign is no chance.
    low, high : np.ndarray, shape (3,)
        The 2nd and the 98th percentile of each component.
    shares : np.ndarray, shape (3,)
        Of the variance of z.
    """

    mean: np.ndarray
    axes: np.ndarray
    low: np.ndarray
    high: np.ndarray
    shares: np.ndarray

    def rgb(self, z: np.ndarray) -> np.ndarray:
        """Colours (..., 3) in [0, 1] of embeddings (..., d); missing is grey."""
        scaled = ((z - self.mean) @ self.axes - self.low) / np.maximum(self.high - self.low, 1e-9)
        return np.where(np.isfinite(scaled).all(axis=-1, keepdims=True), np.clip(scaled, 0, 1), MISSING)

    def __str__(self) -> str:
        """What red, green and blue are, and of how much of the variance."""
        parts = (f"{c} PC{i + 1} ({100 * s:.0f} %)" for i, (c, s) in enumerate(zip(_RGB, self.shares, strict=True)))
        return ", ".join(parts)


def dimensions(z: xr.DataArray) -> tuple[str, ...]:
    """The bands of an embedding cube that are the embedding: all but its expected error."""
    return tuple(str(band) for band in z["band"].values if band != "error")


def sample(cube: xr.DataArray, bands: tuple[str, ...]) -> np.ndarray:
    """Values (n, band) of some of the dates and pixels of a cube, on a lattice; of a lazy one little is held."""
    few = cube.isel(time=np.unique(np.linspace(0, cube.sizes["time"] - 1, FIT_DATES).round().astype(int)))
    step = max(1, round(float(np.sqrt(few.sizes["time"] * few.sizes["y"] * few.sizes["x"] / FIT_PIXELS))))
    lattice = slice(step // 2, None, step)
    some = few.sel(band=list(bands)).isel(y=lattice, x=lattice).transpose("time", "y", "x", "band")
    values = some.values.reshape(-1, len(bands)).astype(float)
    valid: np.ndarray = values[np.isfinite(values).all(axis=1)]
    return valid


def fit_colours(z: xr.DataArray) -> Colours:
    """Colours for an embedding cube, from a sample of all its dates and pixels.

    Raises
    ------
    TableError
        If it has fewer than three dimensions or valid pixels.
    """
    names = dimensions(z)
    values = sample(z, names)
    if len(values) < 3 or len(names) < 3:
        found = f"{len(names)} dimensions, {len(values)} valid pixels"
        raise TableError(
            "too little for colours", where=z.attrs.get("site"), found=found, expected="3 of each at least"
        )
    mean = values.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(values, rowvar=False))  # ascending
    leading = axes[:, :-4:-1]
    leading = leading * np.sign(leading[np.abs(leading).argmax(axis=0), range(3)])
    low, high = np.percentile((values - mean) @ leading, (2, 98), axis=0)
    return Colours(mean, leading, low, high, variances[:-4:-1] / max(variances.sum(), 1e-30))
