"""What Sentinel-1 sees of a landscape: the water-cloud model under multiplicative speckle.

A canopy is a cloud of water over a ground (Attema and Ulaby 1978, doi 10.1029/RS013i002p00357)::

    A cos(theta) (1 - t) + t ground,    t = exp(-2 B V / cos(theta))

with V the leaf area index, and branches as if they were leaves. The ground brightens with water, darkens under wet snow
and in frost; where water stands under plants the double bounce between stems and water adds to it. The coefficients are
ours, of the size published for crops, grass, forest and flooded vegetation at C band.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecoembed.virtual.landscape import Landscape
from ecoembed.virtual.orbits import Passes
from ecoembed.virtual.radiance import coarsen, snow_cover
from ecoembed.virtual.vegetation import Growth

#: Looks of a ground-range detected scene resampled to 20 m.
LOOKS = 9.0
#: Branches add constant water to a tree's crown, as leaf area.
_WOOD = {"DBF": 3.0, "MF": 3.0, "ENF": 3.0, "EBF": 2.2, "SAV": 1.0}
#: Water on leaves: share of V that a wet canopy adds, and mm of rain in the last hours that wet it.
_RAIN_GAIN, _RAIN_WETS, _RAIN_HOURS = 0.25, 2.0, 6
#: Walls and roads return more than soil; wet snow and frozen soil less; frozen crowns scatter less: dB.
_BUILT_DB, _WET_SNOW_DB, _FROST_DB, _FROST_CROWN_DB = 7.0, -4.0, -4.0, -2.0
#: Air temperature (mean of a day, degC) from which soil and crowns begin to freeze, and at which they are frozen.
_FREEZES = (-1.0, -5.0)


@dataclass(frozen=True)
class Polarisation:
    """`scatter` is A and `attenuation` B of the model; dB of dry soil at 38 degrees, of water in it, of each degree of
    incidence beyond 38, of open water; `bounce` (linear) between water and dense stems."""

    scatter: float
    attenuation: float
    dry: float
    gain: float
    slope: float
    water: float
    bounce: float


POLARISATIONS = {
    "VV": Polarisation(0.13, 0.13, -14.0, 7.0, -0.13, -20.0, 0.30),
    "VH": Polarisation(0.042, 0.10, -21.5, 4.5, -0.10, -27.0, 0.03),
}


@dataclass(frozen=True)
class Sky:
    """Weather at each pass, (time,): wetness of the leaves 0-1, share frozen 0-1, and whether it thaws."""

    rain: np.ndarray
    frost: np.ndarray
    thaw: np.ndarray


def weather_at(passes: Passes, halfhours: pd.DataFrame, utc_offset: float) -> Sky:
    """The weather that each pass meets: rain of the last six hours, frost of the last day, thaw of the moment."""
    last = halfhours.index.get_indexer(passes.times + pd.Timedelta(hours=utc_offset), method="ffill").clip(0)
    rain = halfhours["P_F"].rolling(2 * _RAIN_HOURS, min_periods=1).sum().to_numpy()[last]
    air = halfhours["TA_F"].to_numpy()[last]
    day = halfhours["TA_F"].rolling(48, min_periods=1).mean().to_numpy()[last]
    frost = np.clip((_FREEZES[0] - day) / (_FREEZES[0] - _FREEZES[1]), 0.0, 1.0)
    return Sky(np.clip(rain / _RAIN_WETS, 0.0, 1.0) * (air > 0.0), frost, air > 0.5)


def power(growth: Growth, land: Landscape, leaf_area: np.ndarray, passes: Passes, sky: Sky) -> dict[str, np.ndarray]:
    """Backscatter of each polarisation in linear power, (time, y / 2, x / 2), without speckle.

    Parameters
    ----------
    growth, land : Growth, Landscape
    leaf_area : ndarray, shape (days, y, x)
    passes : Passes
    sky : Sky
    """

    def of_field(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32)[:, land.field]

    def of_pass(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32)[:, None, None]

    slant = of_pass(np.cos(np.radians(passes.view_zenith)))
    wood = np.array([_WOOD.get(name, 0.0) for name in land.cover])
    built = np.array([_BUILT_DB if name == "BUILT" else 0.0 for name in land.cover])
    leaves = leaf_area[passes.state]
    water = (leaves + wood.astype(np.float32)[land.field]) * (1.0 + _RAIN_GAIN * of_pass(sky.rain))
    crown = of_pass(10.0 ** (_FROST_CROWN_DB * sky.frost / 10.0))
    wet_snow = snow_cover(growth)[passes.state] * sky.thaw
    flood = growth.flood[passes.state] * (1.0 - sky.frost)[:, None]  # ice is no mirror
    stems = leaves / (leaves + 1.0)
    bands = {}
    for name, p in POLARISATIONS.items():
        through = np.exp(-2.0 * p.attenuation * water / slant)
        wet = p.gain * growth.surface[passes.state] * (1.0 - sky.frost)[:, None]
        state = _WET_SNOW_DB * wet_snow + _FROST_DB * sky.frost + p.slope * (passes.view_zenith - 38.0)
        soil = 10.0 ** ((p.dry + built + wet + state[:, None]) / 10.0)
        under = of_field((1.0 - flood) * soil + flood * 10.0 ** (p.water / 10.0)) + of_field(flood) * p.bounce * stems
        bands[name] = coarsen(p.scatter * slant * crown * (1.0 - through) + through * under)
    return bands


def backscatter(
    growth: Growth, land: Landscape, leaf_area: np.ndarray, passes: Passes, sky: Sky, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Backscatter in dB of ``VV`` and ``VH`` under speckle, each (time, y / 2, x / 2); as :func:`power`."""
    bands = power(growth, land, leaf_area, passes, sky)
    return {
        name: 10.0 * np.log10(values * rng.gamma(LOOKS, 1.0 / LOOKS, values.shape)) for name, values in bands.items()
    }
