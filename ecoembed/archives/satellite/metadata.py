"""What a raster says about each of its acquisitions: baseline, offset, orbit, angles; and where it came from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

#: The angles that :mod:`ecoembed.cubes.nbar` needs, in degrees.
ANGLES = ("sunZenithAngles", "sunAzimuthAngles", "viewZenithMean", "viewAzimuthMean")

#: Metadata of an acquisition -> the spellings under which archives deliver it (own, STAC).
SPELLINGS: dict[str, tuple[str, ...]] = {
    "processing_baseline": ("processing_baseline", "s2:processing_baseline"),
    "boa_offset_applied": ("boa_offset_applied", "earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"),
    "orbit": ("orbit",),
    **{angle: (angle,) for angle in ANGLES},
}

#: What a cube's provenance keeps of a file's attributes.
ORIGIN = ("provider", "collection", "item", "product", "repairs")


def per_time(raster: xr.Dataset, name: str) -> list[object] | None:
    """One value for each time, from a variable over time or an attribute of the whole file; None where there is none.

    A variable over pixels too (angles) gives their mean; what is missing is None.
    """
    for spelling in SPELLINGS[name]:
        if spelling in raster.variables and "time" in raster[spelling].dims:
            return _values(raster[spelling])
        if spelling in raster.attrs:
            return [raster.attrs[spelling]] * raster.sizes["time"]
    return None


def text(value: object) -> str:
    """A metadata value as text in lower case; empty where it is missing."""
    found = "" if value is None else str(value).strip().lower()
    return "" if found in ("nan", "none") else found


def carried(raster: xr.Dataset) -> dict[str, xr.Variable]:
    """What a reader of a sensor hands on beside the bands: each of `SPELLINGS` and ``cloudmask``, where known.

    Text variables over time hold text (empty where missing), angles float64 (NaN where missing), ``cloudmask`` uint8
    (0 clear; whatever is missing counts as cloud).
    """
    found: dict[str, xr.Variable] = {}
    for name in SPELLINGS:
        values = per_time(raster, name)
        if values is not None:
            plain = np.array(
                [np.nan if v is None else float(str(v)) for v in values] if name in ANGLES else [*map(_plain, values)]
            )
            found[name] = xr.Variable("time", plain)
    if "cloudmask" in raster:
        mask = raster["cloudmask"].values
        cloud = np.where(np.isfinite(mask), mask, 1) != 0
        found["cloudmask"] = xr.Variable(raster["cloudmask"].dims, cloud.astype("uint8"))
    return found


def product_names(attrs: Mapping[Any, object], where: str) -> list[str]:
    """What a file and its attributes call the product: its own name, and its item's, collection's and so on."""
    return [where, *(str(attrs[key]) for key in ("item", "product", "collection", "title") if key in attrs)]


def origin(raster: xr.Dataset) -> dict[str, str]:
    """The attributes that name a raster's place and where it came from."""
    place = raster.attrs.get("site", raster.attrs.get("location_id"))
    site = {} if place is None else {"site": str(place)}
    return site | {name: str(raster.attrs[name]) for name in ORIGIN if name in raster.attrs}


def repairs_in(attrs: Mapping[Any, Any]) -> Counter[str]:
    """What a raster's ``repairs`` (JSON: reason -> count) tells; a stranger's attribute of that name tells nothing."""
    try:
        told = json.loads(str(attrs.get("repairs", "{}")))
        return Counter({str(reason): int(count) for reason, count in told.items() if count})
    except (AttributeError, TypeError, ValueError, RecursionError):
        return Counter()


def repaired(raster: xr.Dataset, repairs: Mapping[str, int]) -> xr.Dataset:
    """`raster`, with more in its ``repairs``: reason -> count."""
    total = repairs_in(raster.attrs) + Counter(repairs)
    return raster.assign_attrs(repairs=json.dumps(total)) if total else raster


def _plain(value: object) -> str:
    return "" if text(value) == "" else str(value).strip()


def _values(variable: xr.DataArray) -> list[object]:
    if variable.dtype.kind not in "fiu":
        return list(variable.values)
    values = variable.values.astype("float64")
    fill = variable.attrs.get("_FillValue", variable.attrs.get("missing_value"))
    values = np.where(values == fill, np.nan, values) if fill is not None else values
    values = values * float(variable.attrs.get("scale_factor", 1.0)) + float(variable.attrs.get("add_offset", 0.0))
    if values.ndim > 1:
        values = _mean(values.reshape(len(values), -1), "zimuth" in str(variable.name))
    return [None if np.isnan(value) else value for value in values]


def _mean(degrees: np.ndarray, around: bool) -> np.ndarray:
    """Mean of each row over what is valid; of directions, around the circle."""
    valid = np.isfinite(degrees)
    count = valid.sum(axis=1)
    parts = np.exp(1j * np.radians(degrees)) if around else degrees.astype(complex)
    mean = np.where(valid, parts, 0).sum(axis=1) / np.where(count, count, 1)
    found = np.degrees(np.angle(mean)) % 360.0 if around else mean.real
    return np.where(count > 0, found, np.nan)
