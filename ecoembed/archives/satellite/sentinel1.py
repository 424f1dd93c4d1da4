"""Sentinel-1 backscatter: digital numbers to dB; the slices of one pass merged in linear power."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from ecoembed import units
from ecoembed.archives.satellite.rasters import bands_in, decode, open_raster
from ecoembed.errors import UnitError
from ecoembed.sensors import S1

#: Spellings of the two units in which backscatter is delivered.
DECIBEL = ("db", "decibel", "decibels")
LINEAR = ("1", "linear", "power", "linear power", "m2 m-2", "m^2/m^2")

#: A longer step between two slices begins another pass: slices are seconds apart, the next pass most of an hour away.
MAX_STEP = np.timedelta64(10, "m")


def open_sentinel1(path: str | Path) -> xr.Dataset:
    """Read one delivered Sentinel-1 file, slice by slice.

    Parameters
    ----------
    path : path
        NetCDF with dimensions (timestamp, y, x) and ``VV`` and/or ``VH``, in dB or linear power.

    Returns
    -------
    xr.Dataset
        Over (time, y, x), float32 in dB, NaN = missing. ``attrs``: ``scale`` and ``unit`` (how each was decided), and
        ``site`` if the file names its place.

    Raises
    ------
    FileError, ProductError, GridError
        Unreadable file, another sensor's file, no CRS.
    UnitError
        The values contradict the declared unit, or are backscatter in neither.
    """
    raster, where = open_raster(path), Path(path).name
    data: dict[str, xr.DataArray] = {}
    scales: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in bands_in(raster, S1, where):
        values, scales[name] = decode(raster[name], S1, where)
        declared = raster[name].attrs.get("units", raster.attrs.get("units"))
        unit, found[name] = backscatter_unit(values, declared, f"{where}, {name}")
        values = values if unit == units.BACKSCATTER else to_db(values)
        data[name] = raster[name].copy(data=values)
        data[name].attrs = {"units": S1.unit}
    place = raster.attrs.get("site", raster.attrs.get("location_id"))
    attrs = {"scale": scales, "unit": found} | ({"site": str(place)} if place is not None else {})
    return xr.Dataset(data, attrs=attrs).rio.write_crs(raster.rio.crs)


def backscatter_unit(values: np.ndarray, declared: object, where: str) -> tuple[str, str]:
    """``"dB"`` or ``"1"`` (linear power) and how it was decided: from the declared unit, checked against the values.

    Linear power is never negative; backscatter of land in dB nearly always is.

    Raises
    ------
    UnitError
        Declared and found contradict each other, or the declared unit is unknown.

    Examples
    --------
    >>> backscatter_unit(np.array([-12.0, -8.5]), None, "file")
    ('dB', 'dB, not declared, inferred from the values')
    """
    valid = values[np.isfinite(values)]
    shown = f"values from {valid.min():.3g} to {valid.max():.3g}" if valid.size else "no values"
    seen = units.BACKSCATTER if valid.size == 0 or np.median(valid) < 0 else "1"
    if seen == "1" and (valid.min() < 0 or np.median(valid) > 10):
        raise UnitError("not backscatter", where=where, found=shown, expected="dB (mostly negative) or linear power")
    if declared is None:
        return seen, f"{seen}, not declared, inferred from the values"
    text = str(declared).strip().lower()
    if text not in DECIBEL + LINEAR:
        raise UnitError("unknown unit of backscatter", where=where, found=declared, expected="dB or 1 (linear power)")
    stated = units.BACKSCATTER if text in DECIBEL else "1"
    if valid.size and stated != seen:
        raise UnitError(
            "the declared unit contradicts the values",
            where=where,
            found=f"declared {declared}, {shown}",
            expected="negative values in dB, none below zero in linear power",
            remedy="Correct the attribute units in the file",
        )
    return stated, f"{stated} as declared"


def to_db(power: np.ndarray) -> np.ndarray:
    """Linear power to dB; zero and negative power are missing."""
    return (10.0 * np.log10(np.where(power > 0, power, np.nan))).astype("float32")


def to_power(db: np.ndarray) -> np.ndarray:
    """dB to linear power (float64)."""
    return 10.0 ** (np.asarray(db, dtype="float64") / 10.0)


def merge_slices(slices: xr.DataArray) -> xr.DataArray:
    """One acquisition for each pass: the mean of its slices in linear power, over their valid pixels.

    A pass is delivered in slices a few seconds apart, each of which may cover a part of the place; a pass ends where
    more than ``MAX_STEP`` go by until the next slice, be it before or after midnight. The morning's and the evening's
    pass of one day stay apart: they look from opposite sides, and merged they would be one acquisition of either time.
    The time is that of the last slice, so that no value is dated before it was seen.

    Parameters
    ----------
    slices : xr.DataArray
        (time, ...) in dB, time sorted; time stamps may repeat.
    """
    times = slices["time"].values
    first = np.flatnonzero(np.diff(times, prepend=times[:1] - 2 * MAX_STEP) > MAX_STEP)
    if len(first) == len(times):
        return slices
    power = to_power(slices.values)
    valid = np.isfinite(power)
    total = np.add.reduceat(np.where(valid, power, 0.0), first, axis=0)
    count = np.add.reduceat(valid, first, axis=0, dtype="int64")
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    last = np.append(first[1:], len(times)) - 1
    return slices.isel(time=last).copy(data=to_db(mean))
