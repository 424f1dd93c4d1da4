"""What the stored numbers of a band mean.

What files declare is often wrong: a fill value that no integer can hold breaks a plain open, a scale may be declared,
forgotten, or left behind on values that were scaled already. The scale is therefore decided from what is declared *and*
from the values, and the decision is written down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ecoembed.archives.satellite.metadata import product_names
from ecoembed.errors import ProductError, UnitError
from ecoembed.sensors import Sensor, sensors_in
from ecoembed.units import REFLECTANCE

#: Numbers by which software marks what is missing, where no sensor's value can be them; and what is larger than any.
_FILLS, _HUGE = (-9999, -32768, -32767, 32767, 65535), 2e9


def bands_in(raster: xr.Dataset, sensor: Sensor, where: str) -> list[str]:
    """The bands of `sensor` that `raster` holds; none where it holds that sensor's classification only.

    Raises
    ------
    ProductError
        If it holds neither, or is another sensor's product; says which, if it is known.
    """
    held = sensors_in(raster.data_vars, *product_names(raster.attrs, where))
    if sensor in held:
        return [band for band in sensor.band_names if band in raster.data_vars]
    others = [other.title for other in held]
    raise ProductError(
        f"no {sensor.title} in this file",
        where=where,
        found=others[0] if others else f"variables {', '.join(map(str, raster.data_vars))}",
        expected=f"at least one of {', '.join(sensor.band_names)}",
        remedy="Give the files of that sensor, or name the sensor of these",
    )


@dataclass(frozen=True)
class Decoded:
    """Bands as physical values (float32, missing = NaN), how the scale of each was decided, and what was repaired."""

    values: dict[str, np.ndarray]
    scale: dict[str, str]
    repairs: dict[str, int]


def decode(bands: xr.Dataset, sensor: Sensor, where: str) -> Decoded:
    """Physical values of undecoded bands.

    Values whose 99th percentile lies beyond three times the sensor's valid range can only be digital numbers. Missing
    are the numbers that are declared to be; of whole numbers without a declaration the sensor's nodata; reflectance in
    floating point that is zero in all bands at once; and what only a fill value can be (-9999 where none is declared).
    What was not declared is counted in ``repairs``.

    Parameters
    ----------
    bands : xr.Dataset
        Over (time, y, x), numbers as stored, with what is declared of them in their attributes.

    Raises
    ------
    UnitError
        If the values cannot be this sensor's under any reading, or the scale cannot be told.
    """
    decoded = Decoded({}, {}, {})
    empty = _empty(bands, sensor)
    for name, band in bands.data_vars.items():
        values, note, undeclared = _decode(band, sensor, where)
        values[empty] = np.nan
        decoded.values[str(name)], decoded.scale[str(name)] = values, note
        for number in np.unique(undeclared):
            what = f"nodata {number:g} not declared" if abs(float(number)) <= _HUGE else f"beyond {_HUGE:g}"
            reason = f"{what}, made missing"
            decoded.repairs[reason] = decoded.repairs.get(reason, 0) + int((undeclared == number).sum())
    if empty.any():
        decoded.repairs["zero in all bands, made missing"] = int(empty.sum()) * len(bands.data_vars)
    return decoded


def _empty(bands: xr.Dataset, sensor: Sensor) -> np.ndarray:
    """True where reflectance in floating point is exactly zero in all bands at once, as pixels outside an image are."""
    empty = np.array(sensor.unit == REFLECTANCE)
    for band in bands.data_vars.values():
        empty = empty & (band.values == 0) & (band.dtype.kind == "f")
    return empty


def _decode(band: xr.DataArray, sensor: Sensor, where: str) -> tuple[np.ndarray, str, np.ndarray]:
    """Values of one band, how its scale was decided, and the numbers that were made missing undeclared."""
    raw = band.values
    if raw.dtype.kind not in "iuf":
        raise ProductError(f"{band.name} is not of real numbers", where=where, found=raw.dtype, expected=sensor.title)
    missing, undeclared = _missing(band, sensor)
    suspect = (np.isin(raw, _FILLS) | (np.abs(raw.astype("float64")) > _HUGE)) & ~missing
    values = np.where(missing | suspect, np.float32(np.nan), raw.astype("float32"))
    declared, shift = _number(band, "scale_factor"), _number(band, "add_offset") or 0.0
    limit = 3.0 * max(abs(bound) for bound in sensor.valid_range)
    size, inferred = _magnitude(values), False
    if size > limit and declared in (None, 1.0):
        scale, inferred = sensor.scale, True
        note = f"scale {scale:g} not declared, inferred from values up to {size:.0f}"
    elif size > limit or (declared not in (None, 1.0) and np.issubdtype(raw.dtype, np.integer)):
        scale, note = declared or 1.0, f"scale {declared:g} as declared"
    elif declared not in (None, 1.0):
        scale, shift = 1.0, 0.0
        note = f"scale {declared:g} declared but not applied: the values are physical already (up to {size:.3g})"
    else:
        scale, note = 1.0, "physical values, no scale"
    values = values * np.float32(scale) + np.float32(shift)
    fills = suspect & ~_possible(raw.astype("float64") * scale + shift, sensor)
    kept = suspect & ~fills
    values[kept] = raw[kept].astype("float32") * np.float32(scale) + np.float32(shift)
    size = _magnitude(values)
    if size > limit:
        raise UnitError(
            f"values of {band.name} cannot be {sensor.title} in {sensor.unit}",
            where=where,
            found=f"99 % of magnitudes up to {size:g} after {note}",
            expected=f"within {sensor.valid_range} {sensor.unit}, or digital numbers of {sensor.scale:g}",
            remedy="Correct scale_factor in the file",
        )
    if inferred and sensor.unit == REFLECTANCE:
        _refuse_dark(values, band, sensor, where)
    return values, note + (f", offset {shift:g} as declared" if shift else ""), raw[fills | undeclared]


def _missing(band: xr.DataArray, sensor: Sensor) -> tuple[np.ndarray, np.ndarray]:
    """True where the band holds a fill value, and where nothing declares that it is one.

    Where none is declared it is the sensor's, for whole numbers, or wherever it is negative: -9999 is nothing else.
    """
    raw = band.values
    fills = [float(band.attrs[key]) for key in ("_FillValue", "missing_value", "nodata") if key in band.attrs]
    fills = [fill for fill in fills if np.isfinite(fill)]
    guessed = not fills and (raw.dtype.kind in "iu" or sensor.nodata < 0)
    missing = np.isin(raw, [float(sensor.nodata)] if guessed else fills)
    undeclared = missing if guessed else np.zeros(raw.shape, dtype=bool)
    return (missing | ~np.isfinite(raw) if raw.dtype.kind == "f" else missing), undeclared


def _possible(values: np.ndarray, sensor: Sensor) -> np.ndarray:
    """Whether values lie within the sensor's valid range, or half of it beyond."""
    low, high = sensor.valid_range
    return (values >= low - (high - low) / 2) & (values <= high + (high - low) / 2)


def _refuse_dark(values: np.ndarray, band: xr.DataArray, sensor: Sensor, where: str) -> None:
    """Raise where the sensor's own scale, which nothing declares, makes an image, or one of its dates, too dark."""
    wavelength = next(known.wavelength_nm for known in sensor.bands if known.name == band.name)
    least = 0.05 if 770 <= wavelength <= 900 else 0.01  # plants and clouds are bright in the near infrared
    highest = np.nan_to_num(np.fmax.reduce(np.abs(values), axis=(1, 2), initial=0.0))
    dates = band["time"].values[(highest > 0) & (highest < 1e-3)]
    size = _magnitude(values)
    if size < least or len(dates):
        shown = f"{size:.2g}" if size < least else f"{highest[highest > 0].min():.2g} at {str(dates[0])[:19]}"
        raise UnitError(
            f"the scale of {band.name} is not declared, and the values do not tell it",
            where=where,
            found=f"reflectance up to {shown} with the scale {sensor.scale:g}",
            expected=f"{least} or more somewhere",
            remedy="Declare scale_factor in the file (0.01 if it holds per cent); keep dates of two scales apart",
        )


def _number(band: xr.DataArray, key: str) -> float | None:
    value = band.attrs.get(key)
    return None if value is None else float(value)


def _magnitude(values: np.ndarray) -> float:
    valid = np.abs(values[np.isfinite(values)])
    return float(np.quantile(valid, 0.99)) if valid.size else 0.0
