"""What a footprint needs, from a tower's half-hours: what was measured where it was, and a note for every estimate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ecoembed import units
from ecoembed.errors import FootprintError, VariableError, check_name
from ecoembed.footprints.estimates import (
    CONVECTIVE_HEIGHT,
    DISPLACEMENT,
    ROUGHNESS,
    boundary_layer_height,
    displacement_height,
    obukhov_length,
    roughness_length,
    sigma_v,
)
from ecoembed.footprints.validity import Array

#: A half-hour is daytime where incoming shortwave radiation exceeds this, W m-2.
DAYTIME_RADIATION = 20.0


def turbulence(
    halfhours: xr.Dataset, site: Mapping[str, Any], *, north: float = 0.0, when: str = "day"
) -> dict[str, Any]:
    """The arguments of :func:`ecoembed.footprints.climatology.footprint_climatology` for a tower's half-hours.

    Parameters
    ----------
    halfhours : xr.Dataset
        Over ``time``, the start of the half-hour in local standard time, from
        :func:`~ecoembed.archives.flux.reader.open_halfhours` or under its names (``units.HALF_HOURLY``; another
        ``units`` attribute is converted). Needed: USTAR, WD, and MO_LENGTH or else H, TA and PA. Used where present: LE
        (moisture's part of the buoyancy), V_SIGMA, WS (where it is absent or empty roughness follows from canopy
        height), SW_IN, SW_IN_POT. Missing values are NaN and stay NaN.
    site : mapping, such as a row of the site table
        ``measurement_height`` and ``canopy_height`` in m, or ``aerodynamic_height`` (above displacement) where it is
        known; ``latitude`` in degree, and ``longitude`` and ``utc_offset`` (h) where radiation is not measured.
    north : float
        Direction of true north on the grid, degrees clockwise (:func:`ecoembed.cubes.grid.true_north`): winds count
        from true north, pixels from the grid's.
    when : "day" or "all"
        Which half-hours; see :func:`daytime`.

    Returns
    -------
    dict
        zm, umean or z0, h, ol, sigmav, ustar, wind_dir, and ``notes``: for each, how it came about.

    Raises
    ------
    VariableError
        If a needed variable is absent, or a height, or no half-hour is daytime.
    FootprintError
        If the sensor is below the displacement height.
    UnitError
        If a variable's unit cannot be converted.
    ConfigError
        If `when` is neither.
    """
    check_name(when, ("day", "all"), "choice of half-hours")
    notes = {"half-hours": f"{halfhours.sizes['time']}: day and night"}
    if when == "day":
        bright, notes["half-hours"] = daytime(halfhours, site)
        halfhours = halfhours.isel(time=np.flatnonzero(bright))
    given: dict[str, Any] = {}
    given["zm"], notes["zm"] = _height(site)
    given["ustar"], given["wind_dir"] = _values(halfhours, "USTAR"), _turned(_values(halfhours, "WD"), north)
    if "WS" in halfhours and not np.isnan(wind := _values(halfhours, "WS")).all():
        given["umean"], notes["umean"] = wind, "WS"
    else:
        given["z0"] = roughness_length(_site_heights(site, "canopy_height")[0])
        notes["z0"] = f"estimated: {ROUGHNESS} x canopy height (no WS)"
    given["ol"], notes["ol"] = _obukhov(halfhours)
    given["h"] = boundary_layer_height(given["ol"], given["ustar"], float(site["latitude"]))
    notes["h"] = f"estimated: Nieuwstadt (1981) where stable, {CONVECTIVE_HEIGHT:g} m where unstable"
    estimate = sigma_v(given["ustar"], given["ol"], given["h"])
    given["sigmav"], notes["sigmav"] = _measured(halfhours, "V_SIGMA", estimate, "Panofsky et al. (1977)")
    return {**given, "notes": notes}


def daytime(halfhours: xr.Dataset, site: Mapping[str, Any]) -> tuple[NDArray[np.bool_], str]:
    """Which half-hours are daytime, shape (time,), and in words how many and by what.

    Incoming shortwave radiation exceeds 20 W m-2: SW_IN as measured; where it is missing, SW_IN_POT. Where that is too,
    the sun is above the horizon at the site's ``latitude``, ``longitude`` and ``utc_offset``. A half-hour for which
    nothing is known is left out, and said.

    Raises
    ------
    VariableError
        If nothing is known for any, or none is daytime.
    """
    place = {name: _number(site, name) for name in ("latitude", "longitude", "utc_offset")}
    light, sources = np.full(halfhours.sizes["time"], np.nan), []
    for name in ("SW_IN", "SW_IN_POT", "the sun's height"):
        if name in halfhours:
            values = _values(halfhours, name)
        elif name in units.HALF_HOURLY or not (np.isnan(light).any() and np.isfinite(list(place.values())).all()):
            continue
        else:
            values = np.where(_sunless(halfhours, place), 0.0, np.inf)
        filled = np.isnan(light) & ~np.isnan(values)
        light[filled] = values[filled]
        sources += [f"{int(filled.sum())} by {name}"] if filled.any() else []
    unknown = int(np.isnan(light).sum())
    if unknown == light.size:
        raise VariableError(
            "no radiation to tell day from night",
            where=_name(site),
            found=", ".join(f"{name} {value:g}" for name, value in place.items()),
            expected="SW_IN or SW_IN_POT, or the site's latitude, longitude and utc_offset",
            remedy="Fill the site table, or take day and night with when='all'",
        )
    bright = light > DAYTIME_RADIATION
    sources += [f"{unknown} unknown, left out"] if unknown else []
    note = f"{int(bright.sum())} of {bright.size}: daytime, radiation > {DAYTIME_RADIATION:g} W m-2"
    note = f"{note} ({', '.join(sources)})"
    if not bright.any():
        remedy = "Take day and night with when='all' (--when all)"
        raise VariableError("no half-hour of daytime", where=_name(site), found=note, remedy=remedy)
    return bright, note


def _sunless(halfhours: xr.Dataset, place: Mapping[str, float]) -> NDArray[np.bool_]:
    from ecoembed.archives.flux.sun import below_horizon

    return below_horizon(pd.DatetimeIndex(halfhours["time"].values), step_minutes(halfhours), **place)


def step_minutes(halfhours: xr.Dataset) -> int:
    """Length of the averaging period, minutes: the shortest distance between starts (30, or 60 for hourly towers)."""
    steps = np.diff(np.unique(halfhours["time"].values.astype("datetime64[m]"))).astype(int)
    return int(steps.min()) if steps.size else 30


def _height(site: Mapping[str, Any]) -> tuple[float, str]:
    """Measurement height above displacement, m, and where it comes from.

    The two heights go before an aerodynamic height, which another source than theirs may have added to the table.
    """
    known = _number(site, "aerodynamic_height")
    heights = [_number(site, name) for name in ("measurement_height", "canopy_height")]
    if np.isfinite(known) and not np.isfinite(heights).all():
        zm, note = known, f"{known:.2f} m = aerodynamic height of the site table"
        found, expected = f"aerodynamic height {known:g} m", "> 0 m"
    else:
        sensor, canopy = _site_heights(site, "measurement_height", "canopy_height")
        zm = sensor - displacement_height(canopy)
        note = f"{zm:.2f} m = measurement height less {DISPLACEMENT} x canopy height {canopy:g} m"
        if abs(known - zm) > 0.1 * zm:
            note += f" (the site table's aerodynamic height, {known:.2f} m, is not used)"
        found = f"measurement height {sensor:g} m, canopy {canopy:g} m"
        expected = f"measurement height > {DISPLACEMENT} x canopy height"
    if zm <= 0:
        remedy = "Correct the heights in the site table"
        what = "the sensor is below the displacement height"
        raise FootprintError(what, where=_name(site), found=found, expected=expected, remedy=remedy)
    return zm, note


def _site_heights(site: Mapping[str, Any], *names: str) -> list[float]:
    values = {name: _number(site, name) for name in names}
    unknown = [name for name, value in values.items() if not value >= 0]
    if unknown:
        raise VariableError(
            f"no {' and '.join(unknown)} in the site table",
            where=_name(site),
            found=", ".join(f"{name} {site.get(name)}" for name in unknown),
            expected="m above ground",
            remedy="Fill them in",
        )
    return list(values.values())


def _number(site: Mapping[str, Any], name: str) -> float:
    """A number of the site, NaN where it is absent or no number."""
    try:
        return float(site.get(name))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")


def _name(site: Mapping[str, Any]) -> object:
    return getattr(site, "name", None) or "site"


def _obukhov(halfhours: xr.Dataset) -> tuple[Array, str]:
    inputs = ("USTAR", "H", "TA", "PA")
    if "MO_LENGTH" in halfhours and any(name not in halfhours for name in inputs):
        return _values(halfhours, "MO_LENGTH"), "MO_LENGTH"
    measured, latent = _values_or_nan(halfhours, "MO_LENGTH"), _values_or_nan(halfhours, "LE")
    dry = np.isnan(latent)
    ustar, sensible, temperature, pressure = (_values(halfhours, name) for name in inputs)
    estimate = obukhov_length(ustar, sensible, temperature, pressure, np.where(dry, 0.0, latent))
    used = np.isnan(measured) & ~np.isnan(estimate)
    without, moist = int((used & dry).sum()), bool((used & ~dry).any())
    how = ", ".join(inputs) + (", LE" if moist else "") + (f" ({without} without LE)" if without else "")
    return _measured(halfhours, "MO_LENGTH", estimate, how)


def _measured(halfhours: xr.Dataset, name: str, estimate: Array, how: str) -> tuple[Array, str]:
    """The measured variable, with the estimate where it is missing, and a note that says how often."""
    measured = _values_or_nan(halfhours, name)
    missing = np.isnan(measured)
    if missing.all():
        return estimate, f"estimated: {how}"
    filled = int((missing & ~np.isnan(estimate)).sum())
    note = f"{name}, estimated in {filled} of {missing.size} half-hours: {how}" if filled else name
    return np.where(missing, estimate, measured), note


def _turned(wind_dir: Array, north: float) -> Array:
    """Wind directions on the grid. One that is no direction stays as it is, to be counted and not folded into one."""
    return np.where((wind_dir >= 0) & (wind_dir <= 360), (wind_dir + north) % 360, wind_dir)


def _values_or_nan(halfhours: xr.Dataset, name: str) -> Array:
    return _values(halfhours, name) if name in halfhours else np.full(halfhours.sizes["time"], np.nan)


def _values(halfhours: xr.Dataset, name: str) -> Array:
    """A variable in the unit of ``units.HALF_HOURLY``, as float64."""
    if name not in halfhours:
        raise VariableError(
            f"{name} absent; footprints need it",
            where=halfhours.attrs.get("site", "half-hours"),
            found=", ".join(map(str, halfhours.data_vars)),
            remedy="Use a half-hourly file that holds it, or fixed_radius",
        )
    wanted = units.HALF_HOURLY[name]
    values = halfhours[name].to_numpy().astype(np.float64)
    return units.convert(values, halfhours[name].attrs.get("units", wanted), wanted)
