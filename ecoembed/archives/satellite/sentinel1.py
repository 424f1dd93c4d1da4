"""Sentinel-1 backscatter to dB: what the numbers are is decided from metadata and checked against the values.

Archives deliver linear power, linear amplitude, dB, or digital numbers that nobody calibrated, of gamma nought (terrain
corrected, RTC) or of sigma nought (GRD); all of them under the names ``VV`` and ``VH``.

Sources: Small 2011, doi 10.1109/TGRS.2011.2120616 (gamma and sigma nought); Planetary Computer, collection
``sentinel-1-rtc`` (gamma nought, linear power); OPERA RTC-S1 product specification (the same); ASF, HyP3 RTC product
guide (names: ``RTC30_G_gpuned``, the letters after G being g or s for the quantity, p, a or d for the scale).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from ecoembed import units
from ecoembed.archives.satellite.decoding import bands_in, decode
from ecoembed.archives.satellite.metadata import carried, origin, per_time, product_names, repaired, text
from ecoembed.archives.satellite.rasters import Source, open_raster
from ecoembed.errors import ProductError, UnitError
from ecoembed.sensors import S1

#: Unit -> the spellings in which backscatter is declared.
POWER, AMPLITUDE, NUMBERS = "1", "amplitude", "digital numbers"
SPELLINGS: dict[str, tuple[str, ...]] = {
    units.BACKSCATTER: ("db", "decibel", "decibels"),
    POWER: ("1", "linear", "power", "linear power", "natural", "m2 m-2", "m2/m2", "m^2/m^2"),
    AMPLITUDE: ("amplitude", "linear amplitude"),
    NUMBERS: ("dn", "digital number", NUMBERS, "counts"),
}

#: Collections of gamma nought in linear power, and the name of a HyP3 product, whose letters say both.
_RTC = re.compile(r"sentinel-?1-rtc|OPERA_L2_RTC-S1", re.IGNORECASE)
_HYP3 = re.compile(r"_RTC\d\d_G_([gs])([pad])")
_QUANTITIES, _SCALES = {"g": "gamma0", "s": "sigma0"}, {"p": POWER, "a": AMPLITUDE, "d": units.BACKSCATTER}
_QUANTITY = re.compile(r"(gamma|sigma|beta)[ _-]?(?:0|nought|naught|zero)", re.IGNORECASE)

#: Backscatter of land in VH is lower, in dB, nearly everywhere; amplitude taken for power is half of its dB.
_HIGHEST_VH = -10.0

#: A longer step between two slices begins another pass: slices are seconds apart, the next pass most of an hour away.
MAX_STEP = np.timedelta64(10, "m")


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
            _refuse_numbers(raster[name], values, f"{where}, {name}")
            _refuse_two_units(values, unit, raster["time"].values, f"{where}, {name}")
            seen.add(unit)
        zeros += int((values == 0).sum())
        data[name] = raster[name].copy(data=_in_db(np.where(values == 0, np.float32(np.nan), values), unit))
        data[name].attrs = {"units": S1.unit}
        if name == "VH" and "look alike" in found[name]:
            _doubt_power(data[name].values, where)
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


def backscatter_unit(values: np.ndarray, declared: object, where: str) -> tuple[str, str]:
    """``"dB"``, ``"1"`` (linear power) or ``"amplitude"``, and how it was decided: as declared, checked by the values.

    Linear power is never negative; backscatter of land in dB nearly always is. Power and amplitude look alike:
    amplitude is only believed where it is declared.

    Raises
    ------
    UnitError
        Declared and found contradict each other, the declared unit is unknown, or the values are no backscatter.

    Examples
    --------
    >>> backscatter_unit(np.array([-12.0, -8.5]), None, "file")
    ('dB', 'dB, not declared, inferred from the values')
    """
    valid = values[np.isfinite(values)]
    shown = f"values from {valid.min():.3g} to {valid.max():.3g}" if valid.size else "no values"
    seen = units.BACKSCATTER if valid.size == 0 or np.median(valid) < 0 else POWER
    if seen == POWER and (valid.min() < 0 or np.median(valid) > 10):
        raise UnitError("not backscatter", where=where, found=shown, expected="dB (mostly negative) or linear power")
    if declared is None:
        doubt = "" if seen == units.BACKSCATTER else "; linear amplitude would look alike"
        return seen, f"{seen}, not declared, inferred from the values{doubt}"
    spelling = str(declared).strip().lower()
    stated = next((unit for unit, spellings in SPELLINGS.items() if spelling in spellings), None)
    if stated is None:
        expected = "dB, 1 (linear power) or amplitude"
        raise UnitError("unknown unit of backscatter", where=where, found=declared, expected=expected)
    if stated == NUMBERS:
        raise _uncalibrated(where, f"units {declared}")
    if valid.size and (stated == units.BACKSCATTER) != (seen == units.BACKSCATTER):
        raise UnitError(
            "the declared unit contradicts the values",
            where=where,
            found=f"declared {declared}, {shown}",
            expected="negative values in dB, none below zero in linear power or amplitude",
            remedy="Correct the attribute units in the file",
        )
    return stated, f"{stated} as declared"


def _refuse_numbers(band: xr.DataArray, values: np.ndarray, where: str) -> None:
    """Positive numbers without a declared scale are amplitudes as they leave the processor; in dB most are negative."""
    if np.nanquantile(np.abs(values), 0.99) < 1.0 and np.nanmedian(values) < 0:
        raise UnitError(
            "not backscatter in dB, and no linear power",
            where=where,
            found=f"values from {np.nanmin(values):.3g} to {np.nanmax(values):.3g}",
            expected="-30 to 5 dB",
            remedy="Correct scale_factor in the file, or declare it",
        )
    if float(band.attrs.get("scale_factor", 1.0)) != 1.0 or not np.nanmedian(values) > 0:
        return
    highest = band.values.flat[np.nanargmax(values)]
    if np.issubdtype(band.dtype, np.integer) or not np.isclose(highest, np.nanmax(values)):
        raise _uncalibrated(where, f"positive numbers up to {highest:g}, no scale_factor")


def _doubt_power(db: np.ndarray, where: str) -> None:
    """Warn where what was taken for linear power, since nothing is declared, is stronger than land sends back."""
    middle = float(np.nanmedian(db)) if np.isfinite(db).any() else -np.inf
    if middle > _HIGHEST_VH:
        warnings.warn(
            f"{where}: VH of {middle:.1f} dB (median), if the values are linear power, is much for land: they may be "
            'amplitude; set the attribute units ("1" or "amplitude") in the file',
            UserWarning,
            stacklevel=3,
        )


def _refuse_two_units(values: np.ndarray, unit: str, times: np.ndarray, where: str) -> None:
    """Raise where most is in dB but some dates are not: every value positive, as in linear power."""
    if unit != units.BACKSCATTER:
        return
    lowest = np.fmin.reduce(values.reshape(len(values), -1), axis=1)
    if np.any(lowest > 0):
        raise UnitError(
            "dB at some dates and linear power at others",
            where=where,
            found=f"values from {lowest[lowest > 0][0]:.3g} at {str(times[lowest > 0][0])[:19]}, negative at others",
            expected="one unit at all dates",
            remedy="Keep them in files of their own, each with its attribute units",
        )


def _uncalibrated(where: str, found: str) -> UnitError:
    return UnitError(
        "digital numbers that were never calibrated",
        where=where,
        found=found,
        expected="gamma0 or sigma0 in dB or linear power",
        remedy="Calibrate them (SNAP) or take an RTC product; if they are scaled values, declare scale_factor, units",
    )


def _in_db(values: np.ndarray, unit: str) -> np.ndarray:
    if unit == units.BACKSCATTER:
        return values
    return to_db(values if unit == POWER else np.square(values, dtype="float64"))


def _check_orbits(raster: xr.Dataset, where: str) -> None:
    orbits = {str(orbit).strip() for orbit in per_time(raster, "orbit") or () if text(orbit)}
    strange = sorted(orbit for orbit in orbits if not re.fullmatch(r"[AD](\d{3})?", orbit))
    if strange:
        expected = "A044 (ascending, relative orbit 44), D (descending, number unknown) or nothing"
        raise ProductError("orbit not understood", where=where, found=", ".join(strange), expected=expected)


def to_db(power: np.ndarray) -> np.ndarray:
    """Linear power to dB; zero and negative power are missing."""
    return (10.0 * np.log10(np.where(power > 0, power, np.nan))).astype("float32")


def to_power(db: np.ndarray) -> np.ndarray:
    """dB to linear power (float64)."""
    return 10.0 ** (np.asarray(db, dtype="float64") / 10.0)


def merge_slices(slices: xr.DataArray) -> xr.DataArray:
    """One acquisition for each pass: the mean of its slices in linear power, over their valid pixels.

    A pass is delivered in slices a few seconds apart, each of which may cover a part of the place; a pass ends where
    more than ``MAX_STEP`` go by until the next slice, be it before or after midnight, or where the orbit is another.
    The morning's and the evening's pass of one day stay apart: they look from opposite sides, and merged they would be
    one acquisition of either time. The time is that of the last slice, so that no value is dated before it was seen.

    Parameters
    ----------
    slices : xr.DataArray
        (time, ...) in dB, time sorted; time stamps may repeat. ``orbit`` over time where it is known.
    """
    times = slices["time"].values
    begins = np.diff(times, prepend=times[:1] - 2 * MAX_STEP) > MAX_STEP
    if "orbit" in slices.coords:
        orbits = slices["orbit"].values
        begins[1:] |= orbits[1:] != orbits[:-1]
    first = np.flatnonzero(begins)
    if len(first) == len(times):
        return slices
    power = to_power(slices.values)
    valid = np.isfinite(power)
    total = np.add.reduceat(np.where(valid, power, 0.0), first, axis=0)
    count = np.add.reduceat(valid, first, axis=0, dtype="int64")
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    last = np.append(first[1:], len(times)) - 1
    return slices.isel(time=last).copy(data=to_db(mean))
