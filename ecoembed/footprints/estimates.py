"""What a tower seldom measures, estimated from what it does: each with its source and its error at a tower that did."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecoembed.footprints.kljun import VON_KARMAN
from ecoembed.footprints.validity import Array

#: Gas constant and heat capacity of dry air (J kg-1 K-1), gravity (m s-2), rotation of the Earth (rad s-1).
DRY_AIR, HEAT_CAPACITY, GRAVITY, ROTATION = 287.05, 1005.0, 9.81, 7.2921e-5
#: Displacement height and roughness length as shares of canopy height (the defaults of EddyPro 7).
DISPLACEMENT, ROUGHNESS = 0.67, 0.15
#: Boundary-layer height (m) taken for every unstable half-hour, and the highest for any.
CONVECTIVE_HEIGHT, HIGHEST = 1000.0, 3000.0


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


def obukhov_length(
    ustar: Array, sensible_heat: Array, temperature: Array, pressure: Array, latent_heat: Array | float = 0.0
) -> Array:
    """Obukhov length, m: negative where unstable, infinite where there is no buoyancy flux.

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
    latent_heat : array, optional
        Latent heat flux, W m-2, positive upwards: moisture's part of the buoyancy.

    Notes
    -----
    L = -rho cp T u*^3 / (k g Hv), with the buoyancy flux Hv = H + 0.61 cp T LE / lambda. In daytime at the irrigated
    tower US-Tw3 the median of L is 2 % below the measured MO_LENGTH, and 7 % above it without latent heat.

    Source: Stull (1988), An Introduction to Boundary Layer Meteorology, Eq. 5.7c, with dry density; heat of
    vaporisation by Allen et al. (1998), FAO Irrigation and Drainage Paper 56, Eq. 3-1.

    Examples
    --------
    >>> dry = obukhov_length(np.array(0.3), np.array(150.0), np.array(20.0), np.array(101.3))
    >>> moist = obukhov_length(np.array(0.3), np.array(150.0), np.array(20.0), np.array(101.3), np.array(200.0))
    >>> round(float(dry), 1), round(float(moist), 1)
    (-16.3, -14.8)
    """
    kelvin = np.asarray(temperature) + 273.15
    density = 1000 * np.asarray(pressure) / (DRY_AIR * kelvin)
    vaporisation = 2.501e6 - 2361.0 * np.asarray(temperature)
    buoyancy = sensible_heat + 0.61 * HEAT_CAPACITY * kelvin * latent_heat / vaporisation
    with np.errstate(divide="ignore"):
        return -density * HEAT_CAPACITY * kelvin * np.asarray(ustar) ** 3 / (VON_KARMAN * GRAVITY * buoyancy)


def boundary_layer_height(ol: Array, ustar: Array, latitude: float) -> Array:
    """Height of the boundary layer, m, from Obukhov length (m), friction velocity (m s-1) and latitude (degree).

    Stable to neutral: L / 3.8 (-1 + sqrt(1 + 2.28 u* / (f L))), whose neutral limit is 0.3 u* / f, at most 3000 m.
    Unstable: 1000 m, a stated guess, on which footprints hardly depend: with half or twice the height, those of a year
    at US-Tw3 (zm 2.6 m) overlap by 99.8 % where sigma_v was measured, and by 98 % where it follows from the height.
    A layer that grows with the heat of the day predicted the measured sigma_v / u* no better there (correlation 0.74,
    against 0.77).

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
