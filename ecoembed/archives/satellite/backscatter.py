"""What the numbers of backscatter are: dB, linear power or amplitude; decided from what is declared and the values."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr

from ecoembed import units
from ecoembed.errors import UnitError

#: Unit -> the spellings in which backscatter is declared.
POWER, AMPLITUDE, NUMBERS = "1", "amplitude", "digital numbers"
SPELLINGS: dict[str, tuple[str, ...]] = {
    units.BACKSCATTER: ("db", "decibel", "decibels"),
    POWER: ("1", "linear", "power", "linear power", "natural", "m2 m-2", "m2/m2", "m^2/m^2"),
    AMPLITUDE: ("amplitude", "linear amplitude"),
    NUMBERS: ("dn", "digital number", NUMBERS, "counts"),
}

#: Backscatter of land in VH is lower, in dB, nearly everywhere; amplitude taken for power is half of its dB.
_HIGHEST_VH = -10.0


def to_db(power: np.ndarray) -> np.ndarray:
    """Linear power to dB; zero and negative power are missing."""
    return (10.0 * np.log10(np.where(power > 0, power, np.nan))).astype("float32")


def to_power(db: np.ndarray) -> np.ndarray:
    """dB to linear power (float64)."""
    return 10.0 ** (np.asarray(db, dtype="float64") / 10.0)


def in_db(values: np.ndarray, unit: str) -> np.ndarray:
    if unit == units.BACKSCATTER:
        return values
    return to_db(values if unit == POWER else np.square(values, dtype="float64"))


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


def refuse_numbers(band: xr.DataArray, values: np.ndarray, where: str) -> None:
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


def refuse_two_units(values: np.ndarray, unit: str, times: np.ndarray, where: str) -> None:
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


def doubt_power(db: np.ndarray, where: str) -> None:
    """Warn where what was taken for linear power, since nothing is declared, is stronger than land sends back."""
    middle = float(np.nanmedian(db)) if np.isfinite(db).any() else -np.inf
    if middle > _HIGHEST_VH:
        warnings.warn(
            f"{where}: VH of {middle:.1f} dB (median), if the values are linear power, is much for land: they may be "
            'amplitude; set the attribute units ("1" or "amplitude") in the file',
            UserWarning,
            stacklevel=3,
        )


def _uncalibrated(where: str, found: str) -> UnitError:
    return UnitError(
        "digital numbers that were never calibrated",
        where=where,
        found=found,
        expected="gamma0 or sigma0 in dB or linear power",
        remedy="Calibrate them (SNAP) or take an RTC product; if they are scaled values, declare scale_factor, units",
    )
