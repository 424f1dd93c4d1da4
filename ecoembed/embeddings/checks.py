"""What a Cube's values say of themselves: another unit than they claim, a broken band, nothing seen at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ecoembed import units
from ecoembed.errors import UnitError, VariableError
from ecoembed.schema import check_cube
from ecoembed.sensors import Sensor, get_sensor

if TYPE_CHECKING:
    from ecoembed.embeddings.card import SensorCard

#: Of a cube on disk that is larger than this, in bytes, so many dates are read to judge it.
SMALL_BYTES, LOOKED_AT = 256 << 20, 12
#: A band of an imager that repeats one number this often is broken: noise never does.
REPEATED = 100
_OPEN = "Open the files with ecoembed.open_cube, which settles scale and unit"


def check_input(cube: xr.DataArray, name: str, card: SensorCard) -> xr.DataArray:
    """`cube`, if it is a Cube of the sensor `name` and its values are such as the model of this card was trained on.

    Raises
    ------
    VariableError
        If it is of another sensor, bands, order, unit or times than a Cube of it, was smoothed otherwise than in
        training, or as :func:`check_values`.
    UnitError
        If it is declared to be gamma0 and the training places were sigma0, or the reverse; or as :func:`check_values`.
    """
    where = check_cube(cube, name).attrs.get("site", name)
    if cube.attrs.get("smoothing") != card.smoothing:
        raise VariableError(
            f"{name} is not smoothed as it was in training",
            where=where,
            found=cube.attrs.get("smoothing", "not smoothed"),
            expected=card.smoothing or "not smoothed",
            remedy=f"Pass ecoembed.smooth(open_cube(..., sensor={name!r}))" if card.smoothing else "Pass it unsmoothed",
        )
    quantity = quantity_of(cube)
    if quantity and card.quantity and quantity != card.quantity:
        what = f"{name} is another quantity than in training; they differ by 1 dB on flat land, by more on slopes"
        remedy = "Take the same product as the training places, or train on yours with: ecoembed pretrain"
        raise UnitError(what, where=where, found=quantity, expected=card.quantity, remedy=remedy)
    return check_values(cube)


def quantity_of(cube: xr.DataArray) -> str | None:
    """``gamma0`` or ``sigma0``, if the files of a cube declare it; None where they do not, and for other sensors."""
    return next((name for name in ("gamma0", "sigma0") if name in str(cube.attrs.get("quantity", ""))), None)


@dataclass
class _Seen:
    """Counts and bounds by (date, band) of the dates that were looked at; NaN bounds where there is no value."""

    dates: np.ndarray
    finite: np.ndarray
    infinite: np.ndarray
    far: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    median: float


def check_values(cube: xr.DataArray) -> xr.DataArray:
    """`cube`, a checked Cube, if its values can be what it says; of a large one on disk, twelve dates are read for it.

    Raises
    ------
    UnitError
        If the values are in another unit: more than 5 % of a band, or half of a date, lie farther outside the valid
        range than that range is wide (digital numbers); reflectance that never reaches 0.01 (scaled twice); dB of
        which most, or all of a date, are positive (linear power).
    VariableError
        If values are infinite; if a band of an imager is constant or absent while others vary; or if no pixel is seen
        in all bands on any date.
    """
    sensor, where = get_sensor(cube.attrs["sensor"]), cube.attrs.get("site", cube.attrs["sensor"])
    if not cube.size:
        found = " x ".join(f"{n} {d}" for d, n in cube.sizes.items())
        raise VariableError("the cube is empty", where=where, found=found, expected="dates and pixels")
    given = cube
    if cube.chunks and cube.nbytes <= SMALL_BYTES:
        cube = cube.compute(scheduler="synchronous")
    seen = _look(cube, sensor)
    if seen.infinite.any():
        raise infinite(cube, seen.infinite.sum(axis=1), seen.dates)
    _refuse_nothing_seen(cube, where)
    if seen.finite.any():
        _refuse_other_scale(cube, sensor, seen, where)
        if sensor.unit == units.BACKSCATTER:
            _refuse_power(cube, seen, where)
        if all(band.wavelength_nm > 0 for band in sensor.bands):  # of an imager; no snow all year may be true
            _refuse_broken_band(cube, seen, where)
    return given


def infinite(cube: xr.DataArray, counts: np.ndarray, dates: np.ndarray) -> VariableError:
    """The error of infinite values, of which there are `counts` (date,) on the `dates` (date,), by index."""
    first = str(cube["time"].values[dates[np.flatnonzero(counts)[0]]])[:10]
    return VariableError(
        "infinite values",
        where=cube.attrs.get("site", cube.attrs["sensor"]),
        found=f"{int(counts.sum())}, first on {first}",
        expected="numbers, or NaN",
        remedy="Mark what is missing as NaN: cube.where(np.isfinite(cube))",
    )


def _look(cube: xr.DataArray, sensor: Sensor) -> _Seen:
    dates = cube.sizes["time"]
    chosen = np.unique(np.linspace(0, dates - 1, min(dates, LOOKED_AT) if cube.chunks else dates).astype(int))
    low, high = sensor.valid_range
    of_date, medians = [], []
    for date in chosen:
        values = cube.variable[date].values.reshape(cube.sizes["band"], -1)
        finite = np.isfinite(values)
        known = np.where(finite, values, np.nan)
        far = (known < 2 * low - high) | (known > 2 * high - low)
        counts = (part.sum(axis=1) for part in (finite, np.isinf(values), far))
        of_date.append((*counts, np.fmin.reduce(known, axis=1), np.fmax.reduce(known, axis=1)))
        if finite.any():
            medians.append(np.median(values[finite]))
    finite, infinite, far, lowest, highest = (np.stack(parts) for parts in zip(*of_date, strict=True))
    return _Seen(chosen, finite, infinite, far, lowest, highest, float(np.median(medians)) if medians else np.nan)


def _day(cube: xr.DataArray, seen: _Seen, which: Any) -> str:
    """The first of the dates looked at for which `which` is true."""
    return str(cube["time"].values[seen.dates[np.flatnonzero(which)[0]]])[:10]


def _span(seen: _Seen) -> str:
    low, high = np.nanmin(seen.lowest), np.nanmax(seen.highest)
    return f"values from {low:.4g} to {high:.4g}, median {seen.median:.4g}"


def _refuse_nothing_seen(cube: xr.DataArray, where: object) -> None:
    """Stops at the first date with a pixel that all bands see, so that all are read only where there is none."""
    has = np.zeros(cube.sizes["band"], dtype=bool)
    for date in range(cube.sizes["time"]):
        finite = np.isfinite(cube.variable[date].values)
        if finite.all(axis=0).any():
            return
        has |= finite.any(axis=(1, 2))
    bands = ", ".join(str(band) for band in cube["band"].values[~has])
    broken = has.any() and not has.all()
    raise VariableError(
        f"no value at all in {bands}" if broken else "no clear pixel on any date",
        where=where,
        found=f"{len(has)} bands and {cube.sizes['time']} dates, no pixel that all bands see",
        expected="at least one such pixel",
        remedy="Rebuild the cube from files that hold these bands"
        if broken
        else "Check its mask, or leave the cube out",
    )


def _refuse_other_scale(cube: xr.DataArray, sensor: Sensor, seen: _Seen, where: object) -> None:
    low, high = sensor.valid_range
    unit = "reflectance 0-1" if sensor.unit == units.REFLECTANCE else sensor.unit
    expected = f"values of about {low:g} to {high:g}, {unit}"
    share_band = seen.far.sum(axis=0) / np.maximum(seen.finite.sum(axis=0), 1)
    share_date = seen.far.sum(axis=1) / np.maximum(seen.finite.sum(axis=1), 1)
    if (share_band > 0.05).any():
        bands = ", ".join(str(b) for b in cube["band"].values[share_band > 0.05])
        what = f"{share_band.max():.0%} of the values cannot be {sensor.title} in {unit}"
        of = "" if (share_band > 0.05).all() else f" in {bands}"
        raise UnitError(what + of, where=where, found=_span(seen), expected=expected, remedy=_OPEN)
    if (share_date > 0.5).any():
        count, date = int((share_date > 0.5).sum()), _day(cube, seen, share_date > 0.5)
        found = f"another unit on {count} dates, first on {date}; {_span(seen)}"
        raise UnitError(f"not {unit} on all dates", where=where, found=found, expected=expected, remedy=_OPEN)
    if sensor.unit == units.REFLECTANCE and 0 < np.nanmax(np.abs([seen.lowest, seen.highest])) < 0.01 * high:
        what = "reflectance that never reaches 0.01: scaled twice?"
        raise UnitError(what, where=where, found=_span(seen), expected=expected, remedy=_OPEN)


def _refuse_power(cube: xr.DataArray, seen: _Seen, where: object) -> None:
    """Linear power is never negative; backscatter of land, in dB, nearly always is."""
    positive = np.fmin.reduce(seen.lowest, axis=1) > 0
    if seen.median > 0 or positive.any():
        some = seen.median < 0
        on = f" on {int(positive.sum())} dates, first on {_day(cube, seen, positive)}" if some else ""
        remedy = "Convert power p by 10 * log10(p), or open the files with ecoembed.open_cube"
        raise UnitError(
            f"linear power labelled dB{on}", where=where, found=_span(seen), expected="-30 to 5 dB", remedy=remedy
        )


def _refuse_broken_band(cube: xr.DataArray, seen: _Seen, where: object) -> None:
    lowest, highest = np.fmin.reduce(seen.lowest, axis=0), np.fmax.reduce(seen.highest, axis=0)
    constant = (lowest == highest) & (seen.finite.sum(axis=0) >= REPEATED)
    if constant.any() and (lowest < highest).any():
        names = ", ".join(
            f"{b} = {v:.4g}" for b, v in zip(cube["band"].values[constant], lowest[constant], strict=True)
        )
        dates = "all" if len(seen.dates) == cube.sizes["time"] else f"the {len(seen.dates)}"
        raise VariableError(
            "a band is constant while others vary",
            where=where,
            found=f"{names} at every pixel of {dates} dates looked at",
            expected="values that vary, or NaN where there are none",
            remedy="The band is broken or was filled: read the files again",
        )
