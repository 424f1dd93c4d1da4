"""Which pixels are clear, and which dates are worth keeping."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ecoembed.sensors import Sensor

#: Dates with a smaller share of valid pixels are dropped (as by Peters et al. 2025, arXiv 2511.11706).
MIN_VALID = 0.03


def is_clear(quality: np.ndarray, sensor: Sensor) -> np.ndarray:
    """True where a quality variable says that the ground was seen: scene classes, or a mask of bits.

    Parameters
    ----------
    quality : ndarray of int
        The variable called ``sensor.quality``.

    Examples
    --------
    >>> from ecoembed.sensors import S2_L2A
    >>> is_clear(np.array([0, 4, 9, 11]), S2_L2A).tolist()
    [False, True, False, False]
    """
    if sensor.unclear_bits:
        return (quality.astype("int64") & sum(1 << bit for bit in sensor.unclear_bits)) == 0
    return np.isin(quality, sensor.clear_classes)


def mask_unclear(cube: xr.DataArray, quality: xr.DataArray, sensor: Sensor) -> xr.DataArray:
    """`cube` (time, band, y, x) with NaN in every band where `quality` (time, y, x) is not clear."""
    return cube.where(xr.DataArray(is_clear(quality.values, sensor), dims=("time", "y", "x")))


def valid_share(cube: xr.DataArray) -> xr.DataArray:
    """Share of the pixels of each date at which every band is valid."""
    return cube.notnull().all("band").mean(("y", "x"))


def drop_sparse(cube: xr.DataArray, minimum: float = MIN_VALID) -> xr.DataArray:
    """`cube` without the dates of which less than the share `minimum` is valid; counted in attrs.

    ``dates_in`` and ``dates_dropped`` are added to the attributes.
    """
    keep = (valid_share(cube) >= minimum).values
    kept = cube.isel(time=np.flatnonzero(keep))
    return kept.assign_attrs(dates_in=int(keep.size), dates_dropped=int((~keep).sum()))
