"""Water under the fields of a landscape: buckets in the soil, snow on it, and what stands on a wetland."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecoembed.virtual.weather import saturation_pressure

#: MJ m-2 d-1 in a W m-2; latent heat of vaporisation in MJ kg-1; psychrometric constant in hPa K-1.
_MEGAJOULES, _LATENT_HEAT, _PSYCHROMETRIC = 0.0864, 2.45, 0.66
#: Evaporation of a cover over the reference's; degree-day factor of the snow in mm K-1 d-1.
_CROP_FACTOR, _DEGREE_DAY = 0.75, 3.0
#: Relative water of a wetland's bucket above which water stands on its ground.
_STANDS = 0.8


def reference_evaporation(daily: pd.DataFrame) -> np.ndarray:
    """Evaporation of well-watered grass in mm d-1, (days,).

    Source: Makkink 1957 with the factor of de Bruin 1987: 0.65 s / (s + gamma) Rs / lambda.
    """
    air = daily["TA_F"].to_numpy()
    slope = 4098.0 * saturation_pressure(air) / (air + 243.0) ** 2
    radiation = daily["SW_IN_F"].to_numpy() * _MEGAJOULES / _LATENT_HEAT
    return np.asarray(0.65 * slope / (slope + _PSYCHROMETRIC) * radiation)


def aridity(daily: pd.DataFrame) -> float:
    """Reference evaporation over precipitation of the whole series, dimensionless."""
    return float(reference_evaporation(daily).sum() / max(float(daily["P_F"].sum()), 1.0))


def soil_water(
    daily: pd.DataFrame, capacity: np.ndarray, inflow: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Relative plant-available water (days, buckets) and snow in mm (days,): buckets under a degree-day snow pack.

    Parameters
    ----------
    daily : DataFrame
        Of :func:`ecoembed.virtual.weather.daily`.
    capacity : ndarray, shape (buckets,)
        mm. Evaporation falls below the reference's where less than half of it is left.
    inflow : ndarray, shape (buckets,), or float
        Share of the evaporation that groundwater replaces.
    """
    demand = _CROP_FACTOR * reference_evaporation(daily)
    water, snow = np.empty((len(daily), len(capacity))), np.empty(len(daily))
    stored, pack = capacity * 0.8, 0.0
    for i, (rain, air, lost) in enumerate(zip(daily["P_F"], daily["TA_F"], demand, strict=True)):
        falls = rain if air < 0.5 else 0.0
        melts = min(pack, max(air, 0.0) * _DEGREE_DAY)
        pack += falls - melts
        drawn = lost * np.minimum(1.0, 2.0 * stored / capacity) * (1.0 - inflow)
        stored = np.clip(stored + rain - falls + melts - drawn, 0.0, capacity)
        water[i], snow[i] = stored / capacity, pack
    return water, snow


def standing_water(water: np.ndarray) -> np.ndarray:
    """Share of a wetland's ground under water, 0-1, where its bucket holds the relative `water`."""
    return np.asarray(np.clip((water - _STANDS) / (1.0 - _STANDS), 0.0, 1.0))
