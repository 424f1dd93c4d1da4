"""What the stored numbers of a band mean.

What files declare is often wrong: a fill value that no integer can hold breaks a plain open, a scale may be declared,
forgotten, or left behind on values that were scaled already. The scale is therefore decided from what is declared *and*
from the values, and the decision is written down.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from ecoembed.archives.satellite.metadata import product_names
from ecoembed.errors import ProductError, UnitError
from ecoembed.sensors import Sensor, sensors_in


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


def decode(band: xr.DataArray, sensor: Sensor, where: str) -> tuple[np.ndarray, str]:
    """Physical values (float32, missing = NaN) of one undecoded band, and how its scale was decided.

    Values whose 99th percentile lies beyond three times the sensor's valid range can only be digital numbers.

    Raises
    ------
    UnitError
        If the values cannot be this sensor's under any reading.
    """
    raw = band.values
    values = np.where(_missing(band, sensor), np.float32(np.nan), raw.astype("float32"))
    declared, shift = _number(band, "scale_factor"), _number(band, "add_offset") or 0.0
    limit = 3.0 * max(abs(bound) for bound in sensor.valid_range)
    size = _magnitude(values)
    if size > limit and declared in (None, 1.0):
        scale, note = sensor.scale, f"scale {sensor.scale:g} not declared, inferred from values up to {size:.0f}"
    elif size > limit or (declared not in (None, 1.0) and np.issubdtype(raw.dtype, np.integer)):
        scale, note = declared or 1.0, f"scale {declared:g} as declared"
    elif declared not in (None, 1.0):
        scale, shift = 1.0, 0.0
        note = f"scale {declared:g} declared but not applied: the values are physical already (up to {size:.3g})"
    else:
        scale, note = 1.0, "physical values, no scale"
    values = values * np.float32(scale) + np.float32(shift)
    size = _magnitude(values)
    if size > limit:
        raise UnitError(
            f"values of {band.name} cannot be {sensor.title} in {sensor.unit}",
            where=where,
            found=f"99 % of magnitudes up to {size:g} after {note}",
            expected=f"within {sensor.valid_range} {sensor.unit}, or digital numbers of {sensor.scale:g}",
            remedy="Correct scale_factor in the file",
        )
    return values, note + (f", offset {shift:g} as declared" if shift else "")


def _missing(band: xr.DataArray, sensor: Sensor) -> np.ndarray:
    """True where the band holds a fill value: the declared ones, else the sensor's for whole numbers."""
    fills = [band.attrs[key] for key in ("_FillValue", "missing_value", "nodata") if key in band.attrs]
    fills = [float(fill) for fill in fills if np.isfinite(fill)]
    if not fills and (np.issubdtype(band.dtype, np.integer) or sensor.nodata < 0):  # -9999 is nothing else
        fills = [float(sensor.nodata)]
    missing = np.isin(band.values, fills)
    return missing | ~np.isfinite(band.values) if np.issubdtype(band.dtype, np.floating) else missing


def _number(band: xr.DataArray, key: str) -> float | None:
    value = band.attrs.get(key)
    return None if value is None else float(value)


def _magnitude(values: np.ndarray) -> float:
    valid = np.abs(values[np.isfinite(values)])
    return float(np.quantile(valid, 0.99)) if valid.size else 0.0
