"""The sun over a virtual place: its height, what a clear sky lets through, and how much of the light is diffuse."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ecoembed.virtual.places import VirtualPlace

#: A clean continental sky all year, at sea level: aerosol optical depth at 700 nm, and precipitable water in cm; both
#: fall by a factor e over so many m.
AEROSOL, PRECIPITABLE_WATER, SCALE_HEIGHT = 0.1, 1.5, 2000.0


class Sun(NamedTuple):
    """Half-hourly means, each (n,): zenith in degrees (of the middle), and W m-2 on a horizontal plane under a clear
    sky and outside the atmosphere."""

    zenith: np.ndarray
    clear: np.ndarray
    potential: np.ndarray


def sun(place: VirtualPlace, start: pd.DatetimeIndex) -> Sun:
    """The sun of the half-hours that begin at `start` (local standard time).

    Source: geometry of Spencer 1971, clear sky by the simplified Solis model of Ineichen 2008, doi
    10.1016/j.solener.2007.08.007, both in pvlib; the air's pressure follows the elevation, and so do
    :data:`AEROSOL` and :data:`PRECIPITABLE_WATER`.
    """
    from pvlib import atmosphere, clearsky, irradiance, solarposition

    middle = start + pd.Timedelta("15min")
    day = np.asarray(middle.day_of_year, dtype=float)
    solar = np.asarray(middle.hour + middle.minute / 60.0, dtype=float) + place.longitude / 15.0 - place.utc_offset
    solar = solar + solarposition.equation_of_time_spencer71(day) / 60.0
    zenith = solarposition.solar_zenith_analytical(
        np.radians(place.latitude), np.radians(15.0 * (solar - 12.0)), solarposition.declination_spencer71(day)
    )
    extra = np.asarray(irradiance.get_extra_radiation(pd.Series(day).astype(int), method="spencer"), dtype=float)
    above = np.exp(-place.elevation / SCALE_HEIGHT)
    clear = clearsky.simplified_solis(
        90.0 - np.degrees(zenith),
        aod700=AEROSOL * above,
        precipitable_water=PRECIPITABLE_WATER * above,
        pressure=atmosphere.alt2pres(place.elevation),
        dni_extra=extra,
    )["ghi"]
    up = np.cos(zenith) > 0.0
    return Sun(np.degrees(zenith), np.where(up, clear, 0.0), np.where(up, extra * np.cos(zenith), 0.0))


def diffuse_share(shortwave: np.ndarray, above: Sun) -> np.ndarray:
    """Share 0-1 of `shortwave` (W m-2) that is diffuse, from its ratio to what arrives outside the atmosphere.

    Source: Erbs et al. 1982, doi 10.1016/0038-092X(82)90302-4.

    Examples
    --------
    >>> noon = Sun(np.array([60.0, 60.0]), np.array([600.0, 600.0]), np.array([680.0, 680.0]))
    >>> diffuse_share(np.array([510.0, 68.0]), noon).round(2)
    array([0.18, 0.99])
    """
    index = np.clip(shortwave / np.maximum(above.potential, 1.0), 0.0, 1.0)
    middle = 0.9511 - 0.1604 * index + 4.388 * index**2 - 16.638 * index**3 + 12.336 * index**4
    return np.asarray(np.select([index <= 0.22, index <= 0.8], [1.0 - 0.09 * index, middle], 0.165))
