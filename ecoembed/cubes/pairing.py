"""Bringing two sensors together in time."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ecoembed import schema
from ecoembed.archives.satellite.backscatter import to_db, to_power
from ecoembed.errors import GridError, VariableError
from ecoembed.sensors import S1, get_sensor

_NS_PER_DAY = 86_400e9


def pair(
    at: xr.DataArray | np.ndarray, cube: xr.DataArray, *, causal: bool = False, max_gap_days: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The acquisition of `cube` nearest in time to each date of `at`; if `causal`, the last one not after it.

    Parameters
    ----------
    at : xr.DataArray or np.ndarray of datetime64
        A cube on the same grid, usually of Sentinel-2, or any times.
    cube : xr.DataArray
        The cube of any sensor.
    causal : bool
        Never pair with a later acquisition. Looking one way only, it may reach back twice as far.
    max_gap_days : float, optional
        Nothing farther than this is paired; by default as :mod:`ecoembed.sensors` says of the sensor.

    Returns
    -------
    index : np.ndarray of int64, shape (dates of `at`,)
        Into ``cube.time``; -1 where the nearest is farther than `max_gap_days` (twice that if `causal`). Of two at the
        same distance, the earlier.
    gap : np.ndarray of float32, shape (dates of `at`,)
        Time of the acquisition minus time of the date, in days; NaN where there is no pair.

    Raises
    ------
    GridError
        The cubes lie on different grids.
    """
    if isinstance(at, xr.DataArray):
        _same_grid(at, cube)
        at = at["time"].values
    if max_gap_days is None:
        max_gap_days = get_sensor(cube.attrs["sensor"]).max_gap_days
    dates, times = (
        np.asarray(values).astype("datetime64[ns]").astype("int64") / _NS_PER_DAY
        for values in (at, cube["time"].values)
    )
    return nearest(dates, times, max_gap_days, causal=causal)


def nearest(
    dates: np.ndarray, times: np.ndarray, max_gap_days: float, *, causal: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`pair`, of days as numbers; `times` ascend."""
    if not times.size:
        return np.full(dates.size, -1, dtype="int64"), np.full(dates.size, np.nan, dtype="float32")
    after = np.searchsorted(times, dates, side="right")
    before = after - 1
    later, earlier = (_apart(times, i, dates) for i in (after, before))
    take_earlier = np.abs(earlier) <= (np.inf if causal else np.abs(later))
    gap = np.where(take_earlier, earlier, later)
    far = ~(np.abs(gap) <= max_gap_days * (2 if causal else 1))
    index = np.where(take_earlier, before, after)
    return np.where(far, -1, index).astype("int64"), np.where(far, np.nan, gap).astype("float32")


def _apart(times: np.ndarray, index: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Days from `origin` to ``times[index]``; infinite where there is no such acquisition."""
    days = times[index.clip(0, times.size - 1)] - origin
    return np.where((index >= 0) & (index < times.size), days, np.where(index < 0, -np.inf, np.inf))


def _same_grid(one: xr.DataArray, other: xr.DataArray) -> None:
    where = one.attrs.get("site", other.attrs.get("site", "cubes"))
    if one.rio.crs != other.rio.crs:
        raise GridError("the cubes differ in CRS", where=where, found=other.rio.crs, expected=one.rio.crs)
    if not (np.array_equal(one["x"], other["x"]) and np.array_equal(one["y"], other["y"])):
        found = {str(cube.attrs.get("sensor")): cube.rio.bounds() for cube in (one, other)}
        raise GridError("the cubes lie on different grids", where=where, found=found, expected="the same x and y")


def pair_coordinates(cube: xr.DataArray, index: np.ndarray, gap: np.ndarray) -> dict[str, tuple[str, np.ndarray]]:
    """What :func:`pair` chose of a sensor's cube, as coordinates over the dates, for ``assign_coords``.

    Returns
    -------
    dict
        Named after the sensor, for example ``s1_gap``: time of the acquisition minus time of the date, in days, NaN
        where there is none; and, if the cube knows its orbits, ``s1_orbit``: that of the acquisition, empty where there
        is none or it is unknown.
    """
    name = str(cube.attrs["sensor"]).lower()
    found: dict[str, tuple[str, np.ndarray]] = {f"{name}_gap": ("time", gap)}
    if "orbit" in cube.coords:
        orbits = np.append(cube["orbit"].values.astype(str), "")
        found[f"{name}_orbit"] = ("time", orbits[index])  # -1 is the last, the empty one
    return found


def smooth(s1: xr.DataArray, window: int = 3) -> xr.DataArray:
    """Speckle-reduced backscatter: at each acquisition the mean of it and the ``window - 1`` before, in linear power.

    Within each orbit, where orbits are known: another one looks from another side, at another angle, and its difference
    is no speckle. Pixel by pixel over valid values; a pixel is missing only where the whole window is. The window
    trails, so that nothing of the future enters an embedding; that of Peters et al. 2025 is centred and sees one
    acquisition ahead.

    Parameters
    ----------
    s1 : xr.DataArray
        Sentinel-1 cube (time, band, y, x) in dB.
    window : int
        Number of acquisitions.

    Returns
    -------
    xr.DataArray
        Like `s1`, with ``smoothing`` in attrs, and ``smoothing_orbits`` (orbit and its number of acquisitions).

    Raises
    ------
    VariableError
        `s1` is of another sensor, or smoothed already.
    """
    schema.check_cube(s1, S1.name)
    if "smoothing" in s1.attrs:
        raise VariableError("the cube is smoothed already", where=s1.attrs.get("site"), found=s1.attrs["smoothing"])
    orbits = s1["orbit"].values.astype(str) if "orbit" in s1.coords else np.full(s1.sizes["time"], "")
    smoothed = np.empty(s1.shape, dtype="float32")
    for orbit in np.unique(orbits):
        of_orbit = orbits == orbit
        smoothed[of_orbit] = to_db(_trailing_mean(to_power(s1.values[of_orbit]), window))
    counts = [f"{orbit or 'unknown'} ({(orbits == orbit).sum()})" for orbit in np.unique(orbits)]
    notes = {
        "smoothing": f"trailing mean of {window} acquisitions in linear power",
        "smoothing_orbits": ", ".join(counts),
    }
    return s1.copy(data=smoothed).assign_attrs(notes)


def _trailing_mean(power: np.ndarray, window: int) -> np.ndarray:
    """Mean over the first axis of each and the ``window - 1`` before, of what is valid."""
    valid = np.isfinite(power)
    total, count = np.zeros_like(power), np.zeros(power.shape, dtype="int64")
    for lag in range(min(window, len(power))):
        total[lag:] += np.where(valid, power, 0.0)[: len(power) - lag]
        count[lag:] += valid[: len(power) - lag]
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
