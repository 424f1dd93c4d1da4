"""Which pixels are clear, and which dates are worth keeping."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ecoembed.sensors import Sensor

#: Dates with a smaller share of valid pixels are dropped (as by Peters et al. 2025, arXiv 2511.11706).
MIN_VALID = 0.03


def mask_unclear(cube: xr.DataArray, scl: xr.DataArray, sensor: Sensor) -> xr.DataArray:
    """`cube` with NaN in every band where the scene class is not one of ``sensor.clear_classes``.

    Parameters
    ----------
    cube : xr.DataArray
        (time, band, y, x).
    scl : xr.DataArray
        (time, y, x), scene classification on the same pixels; 0 is no data, and so not clear.
    """
    clear = np.isin(scl.values, sensor.clear_classes)
    return cube.where(xr.DataArray(clear, dims=("time", "y", "x")))


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
