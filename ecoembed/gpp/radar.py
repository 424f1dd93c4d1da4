"""The radar's feature set: backscatter within the footprint, of the pass that each optical date is paired with."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ecoembed.archives.satellite.backscatter import to_db, to_power
from ecoembed.cubes.pairing import pair
from ecoembed.footprints.extract import extract
from ecoembed.schema import check_cube, check_series

__all__ = ["RATIO", "radar_series"]

#: Cross over like polarisation: by how much depolarising canopy outshines the ground, dB.
RATIO = "VH-VV"


def radar_series(s1: xr.DataArray, at: xr.DataArray, weights: xr.DataArray, window: str = "causal") -> xr.Dataset:
    """Footprint-weighted backscatter on the dates of another cube.

    Parameters
    ----------
    s1 : xarray.DataArray (time, band, y, x)
        Sentinel-1 cube in dB.
    at : xarray.DataArray (time, band, y, x)
        Sentinel-2 cube on the same grid.
    weights : xarray.DataArray
        As in :func:`ecoembed.footprints.extract.extract`, for `at`.
    window : {"causal", "centred"}
        The last pass before each date, or the nearest one.

    Returns
    -------
    xarray.Dataset
        A `SiteSeries`: ``VV``, ``VH`` and ``VH-VV`` in dB; NaN, with a coverage of 0, where no pass is near enough.

    Raises
    ------
    VariableError, GridError
        If `s1` is no cube of Sentinel-1, or lies on another grid.

    Notes
    -----
    Pixels are averaged in linear power, which is what adds up on the ground: a mean of dB is lower, by as much more as
    the footprint is more mixed.
    """
    check_cube(s1, "S1")
    index, _ = pair(at, s1, causal=window == "causal")
    power = np.full((len(index), *s1.shape[1:]), np.nan, dtype="float32")
    power[index >= 0] = to_power(s1.values[index[index >= 0]])
    coords = {"time": at["time"].values, **{d: s1[d].values for d in ("band", "y", "x")}}
    cube = xr.DataArray(power, coords, s1.dims, attrs=s1.attrs).rio.write_crs(s1.rio.crs)
    seen = extract(cube, weights)
    vv, vh = (to_db(seen["value"].sel(feature=band).values) for band in ("VV", "VH"))
    values = xr.DataArray(
        np.stack([vv, vh, vh - vv], axis=1), {"time": seen["time"].values, "feature": ["VV", "VH", RATIO]},
        ("time", "feature"), attrs={"units": s1.attrs["units"]},
    )  # fmt: skip
    series = xr.Dataset({"value": values, "coverage": seen["coverage"]}, attrs={**seen.attrs, "window": window})
    return check_series(series)
