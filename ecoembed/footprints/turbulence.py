"""What a footprint needs, from what a tower measures: every estimate with its source, and a note where one was used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ecoembed import units
from ecoembed.errors import FootprintError, VariableError
from ecoembed.footprints.kljun import VON_KARMAN
from ecoembed.footprints.validity import Array

#: Gas constant and heat capacity of dry air (J kg-1 K-1), gravity (m s-2), rotation of the Earth (rad s-1).
DRY_AIR, HEAT_CAPACITY, GRAVITY, ROTATION = 287.05, 1005.0, 9.81, 7.2921e-5
#: Displacement height and roughness length as shares of canopy height (the defaults of EddyPro 7).
DISPLACEMENT, ROUGHNESS = 0.67, 0.15
#: Boundary-layer height (m) taken for every unstable half-hour, and the highest for any. A footprint depends on h
#: only through 1 - zm / h.
CONVECTIVE_HEIGHT, HIGHEST = 1000.0, 3000.0
#: A half-hour is daytime where incoming shortwave radiation exceeds this, W m-2.
DAYTIME_RADIATION = 20.0


def displacement_height(canopy_height: Any) -> Any:
    """Zero-plane displacement, m, of a canopy of that height, m: 0.67 of it.

    Source: the default of LI-COR EddyPro 7.
    """
    return DISPLACEMENT * canopy_height


def roughness_length(canopy_height: Any) -> Any:
    """Roughness length for momentum, m, of a canopy of that height, m: 0.15 of it.

    Source: as :func:`displacement_height`.
    """
    return ROUGHNESS * canopy_height


def obukhov_length(ustar: Array, sensible_heat: Array, temperature: Array, pressure: Array) -> Array:
    """Obukhov length, m: negative where unstable, infinite where there is no heat flux.

    Parameters
    ----------
    ustar : array
        Friction velocity, m s-1.
    sensible_heat : array
        Sensible heat flux, W m-2, positive upwards.
    temperature : array
        Air temperature, degC.
    pressure : array
        Air pressure, kPa.

    Notes
    -----
    L = -rho cp T u*^3 / (k g H). Moisture's part of the buoyancy is left out: at the irrigated tower US-Tw3 the median
    of |L| is 7 % above that of its measured MO_LENGTH.

    Source: Stull (1988), An Introduction to Boundary Layer Meteorology, Eq. 5.7c, with dry density.

    Examples
    --------
    >>> round(float(obukhov_length(np.array(0.3), np.array(150.0), np.array(20.0), np.array(101.3))), 1)
    -16.3
    """
    kelvin = np.asarray(temperature) + 273.15
    density = 1000 * np.asarray(pressure) / (DRY_AIR * kelvin)
    with np.errstate(divide="ignore"):
        return -density * HEAT_CAPACITY * kelvin * np.asarray(ustar) ** 3 / (VON_KARMAN * GRAVITY * sensible_heat)


def boundary_layer_height(ol: Array, ustar: Array, latitude: float) -> Array:
    """Height of the boundary layer, m, from Obukhov length (m), friction velocity (m s-1) and latitude (degree).

    Stable to neutral: L / 3.8 (-1 + sqrt(1 + 2.28 u* / (f L))), whose neutral limit is 0.3 u* / f, at most 3000 m.
    Unstable: 1000 m, a stated guess, as the convective layer grows over the day and needs its history.

    Source: Nieuwstadt (1981), as in Kljun et al. (2015), Appendix B.

    Examples
    --------
    >>> boundary_layer_height(np.array([100.0, -100.0]), np.array([0.3, 0.3]), 45).round(1)
    array([ 189.6, 1000. ])
    """
    ol, ustar = np.asarray(ol, dtype=np.float64), np.asarray(ustar, dtype=np.float64)
    coriolis = max(2 * ROTATION * abs(np.sin(np.radians(latitude))), 1e-9)
    with np.errstate(invalid="ignore", divide="ignore"):
        stable = 0.6 * ustar / coriolis / (1 + np.sqrt(1 + 2.28 * ustar / (coriolis * ol)))
    height = np.where(ol < 0, CONVECTIVE_HEIGHT, np.minimum(stable, HIGHEST))
    return np.where(np.isnan(ol) | np.isnan(ustar), np.nan, height)


def sigma_v(ustar: Array, ol: Array, h: Array) -> Array:
    """Standard deviation of the crosswind, m s-1, from friction velocity (m s-1), Obukhov length and `h` (m).

    Unstable: u* (12 + 0.5 h / |L|)^(1/3). Neutral and stable: 1.92 u*. At US-Tw3, in daytime, the median is 1.15 times
    (unstable) and 0.99 times (stable) the measured V_SIGMA.

    Source: Panofsky et al. (1977), doi 10.1007/BF02186086; Panofsky and Dutton (1984), Atmospheric Turbulence.

    Examples
    --------
    >>> sigma_v(np.array([0.3, 0.3]), np.array([-50.0, 50.0]), np.array([1000.0, 200.0])).round(2)
    array([0.84, 0.58])
    """
    ol = np.asarray(ol, dtype=np.float64)
    ratio = np.where(ol < 0, np.cbrt(12 + 0.5 * np.asarray(h) / np.abs(ol)), 1.92)
    return np.where(np.isnan(ol), np.nan, ratio * ustar)


def turbulence(halfhours: xr.Dataset, site: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of :func:`ecoembed.footprints.climatology.footprint_climatology` for a tower's daytime half-hours.

    Parameters
    ----------
    halfhours : xr.Dataset
        Over ``time``, under FLUXNET's names and in its units (a ``units`` attribute that differs is converted):
        USTAR, WD and SW_IN (or SW_IN_POT); WS, else roughness is taken from canopy height; MO_LENGTH, else
        H, TA and PA; V_SIGMA where it was measured. Missing values are NaN and stay NaN.
    site : mapping, such as a row of the site table
        ``measurement_height`` and ``canopy_height`` in m, ``latitude`` in degree.

    Returns
    -------
    dict
        zm, umean or z0, h, ol, sigmav, ustar, wind_dir, and ``notes``: for each, how it came about.

    Raises
    ------
    VariableError
        If a needed variable is absent.
    FootprintError
        If a height is missing, or the sensor is below the displacement height.
    UnitError
        If a variable has another unit than FLUXNET's that cannot be converted.
    """
    zm, canopy = _heights(site)
    halfhours, day = _daytime(halfhours)
    notes = {
        "half-hours": day,
        "zm": f"{zm:.2f} m = measurement height less {DISPLACEMENT} x canopy height {canopy:g} m",
    }
    given: dict[str, Any] = {"zm": zm, "ustar": _values(halfhours, "USTAR"), "wind_dir": _values(halfhours, "WD") % 360}
    if "WS" in halfhours:
        given["umean"], notes["umean"] = _values(halfhours, "WS"), "WS"
    else:
        given["z0"] = roughness_length(canopy)
        notes["z0"] = f"estimated: {ROUGHNESS} x canopy height (no WS)"
    given["ol"], notes["ol"] = _obukhov(halfhours)
    given["h"] = boundary_layer_height(given["ol"], given["ustar"], float(site["latitude"]))
    notes["h"] = f"estimated: Nieuwstadt (1981) where stable, {CONVECTIVE_HEIGHT:g} m where unstable"
    estimate = sigma_v(given["ustar"], given["ol"], given["h"])
    given["sigmav"], notes["sigmav"] = _measured(halfhours, "V_SIGMA", estimate, "Panofsky et al. (1977)")
    return {**given, "notes": notes}


def _heights(site: Mapping[str, Any]) -> tuple[float, float]:
    """Measurement height above displacement, and canopy height, m."""
    where = getattr(site, "name", None) or "site"
    found = {}
    for name in ("measurement_height", "canopy_height"):
        value = site.get(name)
        found[name] = np.nan if value is None else float(value)
        if not np.isfinite(found[name]) or found[name] < 0:
            raise FootprintError(
                f"{name} unknown", where=where, found=value, expected="m", remedy="Fill it in the site table"
            )
    zm = found["measurement_height"] - displacement_height(found["canopy_height"])
    if zm <= 0:
        raise FootprintError(
            "the sensor is below the displacement height",
            where=where,
            found=f"measurement height {found['measurement_height']:g} m, canopy {found['canopy_height']:g} m",
            expected=f"measurement height > {DISPLACEMENT} x canopy height",
            remedy="Correct the heights in the site table",
        )
    return zm, found["canopy_height"]


def _daytime(halfhours: xr.Dataset) -> tuple[xr.Dataset, str]:
    name = "SW_IN" if "SW_IN" in halfhours else "SW_IN_POT"
    bright = _values(halfhours, name) > DAYTIME_RADIATION
    note = f"{int(bright.sum())} of {bright.size}: daytime, {name} > {DAYTIME_RADIATION:g} W m-2"
    return halfhours.isel(time=np.flatnonzero(bright)), note


def _obukhov(halfhours: xr.Dataset) -> tuple[Array, str]:
    inputs = ("USTAR", "H", "TA", "PA")
    if "MO_LENGTH" in halfhours and any(name not in halfhours for name in inputs):
        return _values(halfhours, "MO_LENGTH"), "MO_LENGTH"
    estimate = obukhov_length(*(_values(halfhours, name) for name in inputs))
    return _measured(halfhours, "MO_LENGTH", estimate, ", ".join(inputs))


def _measured(halfhours: xr.Dataset, name: str, estimate: Array, how: str) -> tuple[Array, str]:
    """The measured variable, with the estimate where it is missing, and a note that says how often."""
    measured = _values(halfhours, name) if name in halfhours else np.full(estimate.shape, np.nan)
    missing = np.isnan(measured)
    if missing.all():
        return estimate, f"estimated: {how}"
    note = f"{name}, estimated in {int(missing.sum())} of {missing.size} half-hours: {how}" if missing.any() else name
    return np.where(missing, estimate, measured), note


def _values(halfhours: xr.Dataset, name: str) -> Array:
    """A variable in FLUXNET's unit, as float64."""
    if name not in halfhours:
        raise VariableError(
            f"{name} absent; footprints need it",
            where=halfhours.attrs.get("site", "half-hours"),
            found=", ".join(map(str, halfhours.data_vars)),
            remedy="Use a FULLSET half-hourly file, or fixed_radius",
        )
    wanted = units.HALF_HOURLY[name]
    values = halfhours[name].to_numpy().astype(np.float64)
    return units.convert(values, halfhours[name].attrs.get("units", wanted), wanted)
