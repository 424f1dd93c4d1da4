"""Sentinel-1 backscatter to dB: what the numbers are is decided from metadata and checked against the values.

Archives deliver linear power, linear amplitude, dB, or digital numbers that nobody calibrated, of gamma nought (terrain
corrected, RTC) or of sigma nought (GRD); all of them under the names ``VV`` and ``VH``.

Sources: Small 2011, doi 10.1109/TGRS.2011.2120616 (gamma and sigma nought); Planetary Computer, collection
``sentinel-1-rtc`` (gamma nought, linear power); OPERA RTC-S1 product specification (the same); ASF, HyP3 RTC product
guide (names: ``RTC30_G_gpuned``, the letters after G being g or s for the quantity, p, a or d for the scale).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from ecoembed import units
from ecoembed.archives.satellite.backscatter import (
    AMPLITUDE,
    POWER,
    backscatter_unit,
    doubt_power,
    in_db,
    refuse_numbers,
    refuse_two_units,
)
from ecoembed.archives.satellite.decoding import bands_in, decode
from ecoembed.archives.satellite.metadata import carried, origin, per_time, product_names, repaired, text
from ecoembed.archives.satellite.rasters import Source, open_raster
from ecoembed.errors import ProductError, UnitError
from ecoembed.sensors import S1

#: Collections of gamma nought in linear power, and the name of a HyP3 product, whose letters say both.
_RTC = re.compile(r"sentinel-?1-rtc|OPERA_L2_RTC-S1", re.IGNORECASE)
_HYP3 = re.compile(r"_RTC\d\d_G_([gs])([pad])")
_QUANTITIES, _SCALES = {"g": "gamma0", "s": "sigma0"}, {"p": POWER, "a": AMPLITUDE, "d": units.BACKSCATTER}
_QUANTITY = re.compile(r"(gamma|sigma|beta)[ _-]?(?:0|nought|naught|zero)", re.IGNORECASE)


def open_sentinel1(path: str | Source) -> xr.Dataset:
    """Read one delivered Sentinel-1 file, slice by slice.

    Parameters
    ----------
    path : path or Source
        Raster over (time, y, x) with ``VV`` and/or ``VH``, in dB, linear power or linear amplitude. Attributes that
        are understood, of the band or of the file: ``units``; of the file: ``product``, ``collection``, ``item``,
        ``orbit`` (text ``A044``: ascending, relative orbit 44; ``D``: descending), which may be a variable over time.

    Returns
    -------
    xr.Dataset
        Over (time, y, x), float32 in dB, NaN = missing, and the metadata of
        :mod:`ecoembed.archives.satellite.metadata` where known. ``attrs``: ``scale`` and ``unit`` (how each was
        decided), ``quantity`` (``gamma0``, ``sigma0`` or ``not declared``), ``repairs`` (JSON: reason -> count), and
        ``site``, ``provider``, ``item`` and the like if the file names them.

    Raises
    ------
    FileError, ProductError, GridError
        Unreadable file, another sensor's file, beta nought, no CRS.
    UnitError
        The values contradict the declared unit, are digital numbers that were never calibrated, or no backscatter.
    """
    raster, where = open_raster(path), (Path(path) if isinstance(path, str) else path).name
    quantity, known_unit = declared_product(raster, where)
    data: dict[str, xr.DataArray] = {}
    found: dict[str, str] = {}
    seen: set[str] = set()
    zeros = 0
    decoded = decode(raster[bands_in(raster, S1, where)], S1, where)
    for name, values in decoded.values.items():
        declared = raster[name].attrs.get("units", raster.attrs.get("units", known_unit))
        unit, found[name] = backscatter_unit(values, declared, f"{where}, {name}")
        if np.isfinite(values).any():
            refuse_numbers(raster[name], values, f"{where}, {name}")
            refuse_two_units(values, unit, raster["time"].values, f"{where}, {name}")
            seen.add(unit)
        zeros += int((values == 0).sum())
        data[name] = raster[name].copy(data=in_db(np.where(values == 0, np.float32(np.nan), values), unit))
        data[name].attrs = {"units": S1.unit}
        if name == "VH" and "look alike" in found[name]:
            doubt_power(data[name].values, where)
    if len(seen) > 1:
        raise UnitError("bands in different units", where=where, found=found, remedy="Declare units on each band")
    _check_orbits(raster, where)
    raster = repaired(raster, decoded.repairs | {"exactly zero, which is no backscatter: missing": zeros})
    attrs = {**origin(raster), "scale": decoded.scale, "unit": found, "quantity": quantity}
    return xr.Dataset(data | carried(raster), attrs=attrs).rio.write_crs(raster.rio.crs)


def declared_product(raster: xr.Dataset, where: str) -> tuple[str, str | None]:
    """Quantity (``gamma0``, ``sigma0``, ``not declared``) and unit, if it is known, of a product by its names.

    Raises
    ------
    ProductError
        The names contradict each other, or say beta nought, which is not normalised to the ground.
    """
    texts = " ".join([*product_names(raster.attrs, where), str(raster.attrs.get("quantity", ""))])
    quantities = {f"{name.lower()}0" for name in _QUANTITY.findall(texts)}
    unit = None
    if _RTC.search(texts):
        quantities, unit = quantities | {"gamma0"}, POWER
    if found := _HYP3.search(texts):
        quantities, unit = quantities | {_QUANTITIES[found[1]]}, _SCALES[found[2]]
    if len(quantities) > 1 or "beta0" in quantities:
        raise ProductError(
            "what the backscatter is normalised to is contradictory, or not the ground",
            where=where,
            found=", ".join(sorted(quantities)),
            expected="gamma0 or sigma0",
            remedy="Correct the attribute product in the file, or give a calibrated product",
        )
    return next(iter(quantities), "not declared"), unit


def one_quantity(quantities: Mapping[str, str]) -> str:
    """What all files of a cube hold: gamma nought and sigma nought differ with the slope, and are never mixed.

    Parameters
    ----------
    quantities : mapping of str to str
        Name of each file -> ``attrs["quantity"]`` of :func:`open_sentinel1`.

    Raises
    ------
    ProductError
        Both are declared; names a file of each.

    Examples
    --------
    >>> one_quantity({"a.nc": "gamma0", "b.nc": "not declared", "c.nc": "gamma0"})
    'gamma0; not declared'
    """
    first = {quantity: name for name, quantity in sorted(quantities.items(), reverse=True)}
    if {"gamma0", "sigma0"} <= set(first):
        raise ProductError(
            "backscatter of two kinds in one cube",
            where=f"{first['gamma0']}, {first['sigma0']}",
            found="gamma0, sigma0",
            expected="one of them",
            remedy="Give the files of one product",
        )
    return "; ".join(sorted(first))


def _check_orbits(raster: xr.Dataset, where: str) -> None:
    orbits = {str(orbit).strip() for orbit in per_time(raster, "orbit") or () if text(orbit)}
    strange = sorted(orbit for orbit in orbits if not re.fullmatch(r"[AD](\d{3})?", orbit))
    if strange:
        expected = "A044 (ascending, relative orbit 44), D (descending, number unknown) or nothing"
        raise ProductError("orbit not understood", where=where, found=", ".join(strange), expected=expected)
