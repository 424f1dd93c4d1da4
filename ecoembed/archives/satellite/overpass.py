"""The time of day of acquisitions of which only the date is delivered."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ecoembed.sensors import Sensor


def at_overpass(raster: xr.Dataset, sensor: Sensor, longitude: float) -> xr.Dataset:
    """`raster`, moved to the time of the overpass if its stamps are dates only: all of them at 00:00:00.

    Archives that deliver dates (openEO) mean the day in UTC. Left at midnight, an acquisition would fall on the local
    day before wherever local time lags UTC. It is therefore put at the sensor's nominal local solar time within that
    day; of two passes (Sentinel-1) at that of its ``orbit``, and where that is unknown at the later, so that nothing is
    dated before it was seen: passes of one day can then no longer be told apart. ``attrs["time"]`` says so.

    Parameters
    ----------
    longitude : float
        Of the place, in degrees: the same for all its files, which must agree in time.
    """
    times = raster["time"].values
    days = times.astype("datetime64[D]")
    if times.size == 0 or np.any(times != days):
        return raster
    hours = {"D": sensor.overpass_hours[:1], "A": sensor.overpass_hours[-1:]}
    orbits = raster["orbit"].values if "orbit" in raster.variables else np.full(times.size, "")
    passes = [hours.get(str(orbit)[:1], sensor.overpass_hours) for orbit in orbits]
    minutes = np.array([max(round(60.0 * hour - 4.0 * longitude) % 1440 for hour in one) for one in passes])
    taken = {
        f"{minute // 60:02d}:{minute % 60:02d} UTC ({' or '.join(map(_clock, one))} local solar time)"
        for minute, one in zip(minutes, passes, strict=True)
    }
    note = f"time of day not in the file; taken as {', '.join(sorted(taken))}"
    moved = (days + minutes.astype("timedelta64[m]")).astype("datetime64[ns]")
    return raster.assign_coords(time=moved).assign_attrs(time=note).sortby("time")


def _clock(hour: float) -> str:
    return f"{int(hour):02d}:{hour % 1 * 60:02.0f}"


def centre_longitude(raster: xr.Dataset) -> float:
    """Longitude of the middle of `raster`, in degrees east (WGS 84)."""
    from pyproj import Transformer

    x, y = (float(raster[axis].mean()) for axis in ("x", "y"))
    return float(Transformer.from_crs(raster.rio.crs, "EPSG:4326", always_xy=True).transform(x, y)[0])
