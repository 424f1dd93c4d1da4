"""The UTC offset of a tower, told from the potential radiation that the network computed for its clock."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed.archives.flux.sun import equation_of_time

__all__ = ["offset_from_light"]

#: Clocks are set to quarters of an hour; farther from one than this, in h, nothing is told.
_QUARTER, _WITHIN = 0.25, 0.08


def offset_from_light(halfhours: xr.Dataset, longitude: float) -> float:
    """Local standard time minus UTC, h, of half-hours with ``SW_IN_POT``; NaN where it cannot be told.

    Potential radiation (ONEFlux: of the sun's height alone, by coordinates and UTC offset) is symmetrical about true
    solar noon, whose time by the tower's clock gives the meridian that the clock is set to.

    Parameters
    ----------
    halfhours : xarray.Dataset
        Over ``time``, the start of each period in local standard time.
    longitude : float
        Degrees east.
    """
    if "SW_IN_POT" not in halfhours or halfhours.sizes["time"] < 2:
        return float("nan")
    light, time = halfhours["SW_IN_POT"].to_series(), halfhours.indexes["time"]
    step = pd.Series(time).diff().median()
    middle = (time - time.normalize() + step / 2) / pd.Timedelta("1min")
    day = light.groupby(time.normalize())
    whole = day.count() == round(pd.Timedelta("1D") / step)
    noon = (light * middle).groupby(time.normalize()).sum()[whole] / day.sum()[whole]
    error = (noon - 720.0 + equation_of_time(pd.DatetimeIndex(noon.index))) / 60.0 + longitude / 15.0
    offset = float(np.median(error.dropna())) if error.notna().any() else float("nan")
    near = round(offset / _QUARTER) * _QUARTER if np.isfinite(offset) else float("nan")
    return near if abs(offset - near) <= _WITHIN else float("nan")
