"""Leaf area, leaf chlorophyll, litter and water of the fields of a landscape, day by day.

Phenology is the growing-season index of Jolly et al. 2005, doi 10.1111/j.1365-2486.2005.00930.x (night's cold, day's
length), times what drought leaves of the leaves; crops follow heat. The covers' parameters are ours, of the size that
the literature gives for each type; they are not fitted to any site.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecoembed.virtual import farming, soil
from ecoembed.virtual.landscape import Landscape
from ecoembed.virtual.places import VirtualPlace


@dataclass(frozen=True)
class Cover:
    """What a land cover does.

    Attributes
    ----------
    leaf : str
        What its leaves look like, one of :data:`ecoembed.virtual.canopy.LEAVES`.
    leaf_area : tuple of float
        Lowest and highest leaf area index, m2 m-2.
    chlorophyll : float
        Of its mature leaves, ug cm-2.
    light_use : float
        Factor on the P-model's light use: nutrients and canopy structure, which the model does not know.
    hardening : tuple of float or None
        Acclimated temperature in degC at which frost has stopped photosynthesis, and at which it has recovered (Makela
        et al. 2004, doi 10.1093/treephys/24.4.369); None for leaves that do not stay in winter.
    root : float
        Plant-available water that the roots can reach, mm.
    inflow : float
        Share of the evaporation that groundwater replaces.
    follows_light, follows_water : float
        Share of the leaf area above the lowest that is lost in short days, and in dry soil.
    """

    leaf: str
    leaf_area: tuple[float, float]
    chlorophyll: float
    light_use: float
    hardening: tuple[float, float] | None
    root: float
    inflow: float
    follows_light: float
    follows_water: float


COVERS: dict[str, Cover] = {
    "DBF": Cover("broadleaf", (0.5, 5.0), 44.0, 1.0, None, 220.0, 0.0, 1.0, 0.1),
    "ENF": Cover("needle", (2.6, 4.0), 42.0, 0.95, (-4.0, 10.0), 180.0, 0.0, 1.0, 0.0),
    "MF": Cover("mixed", (1.6, 4.6), 43.0, 0.97, (-5.0, 8.0), 200.0, 0.0, 1.0, 0.05),
    "EBF": Cover("sclerophyll", (2.2, 3.4), 50.0, 0.9, (-6.0, 6.0), 320.0, 0.0, 0.2, 0.1),
    "SAV": Cover("sclerophyll", (0.6, 2.2), 40.0, 0.9, None, 220.0, 0.0, 0.0, 0.8),
    "GRA": Cover("grass", (0.5, 4.0), 36.0, 1.0, None, 120.0, 0.0, 0.6, 0.7),
    "CRO": Cover("crop", (0.0, 5.0), 46.0, 1.15, None, 170.0, 0.0, 1.0, 0.2),
    "WET": Cover("reed", (0.3, 3.2), 33.0, 0.8, None, 200.0, 0.35, 1.0, 0.3),
    "BUILT": Cover("grass", (0.1, 0.3), 32.0, 0.8, None, 40.0, 0.0, 0.6, 0.5),
}
#: Water that the top soil holds, mm.
_TOP_SOIL = 25.0


def running(values: np.ndarray, days: float) -> np.ndarray:
    """Exponential running mean over about `days`, causal, along the first axis."""
    from scipy.signal import lfilter

    a = 1.0 / days
    start = (1.0 - a) * values[:1]
    return np.asarray(lfilter([a], [1.0, a - 1.0], values, axis=0, zi=start)[0])


def day_length(place: VirtualPlace, days: pd.DatetimeIndex) -> np.ndarray:
    """Hours from sunrise to sunset, (days,)."""
    declination = 0.409 * np.sin(2.0 * np.pi * (np.asarray(days.day_of_year, dtype=float) - 81.0) / 365.25)
    cosine = np.clip(-np.tan(np.radians(place.latitude)) * np.tan(declination), -1.0, 1.0)
    return np.asarray(24.0 / np.pi * np.arccos(cosine))


def _season(place: VirtualPlace, daily: pd.DataFrame, land: Landscape, covers: list[Cover]) -> np.ndarray:
    """Growing-season index 0-1 of each day before it is smoothed, (days, F): Jolly et al. 2005, Table 1."""
    warmth = np.clip((daily["TA_MIN"].to_numpy() + 2.0) / 7.0, 0.0, 1.0)
    length = np.clip(day_length(place, pd.DatetimeIndex(daily.index)) - 10.0, 0.0, 1.0)
    time = np.arange(len(daily), dtype=float)
    fields = []
    for cover, delay in zip(covers, land.delay, strict=True):
        index = warmth * (1.0 - cover.follows_light * (1.0 - length))
        fields.append(np.interp(time - delay, time, index))
    return np.stack(fields, axis=1)


@dataclass(frozen=True)
class Growth:
    """The state of the fields.

    Attributes
    ----------
    leaf_area : ndarray, shape (days, F)
        Green leaf area index, m2 m-2.
    chlorophyll : ndarray, shape (days, F)
        Of a leaf, ug cm-2.
    litter : ndarray, shape (days, F)
        Cover of the ground by litter or straw, 0-1.
    water, surface : ndarray, shape (days, F)
        Relative plant-available water of the root zone, and wetness of the top soil, 0-1.
    flood : ndarray, shape (days, F)
        Share of the ground under standing water, 0-1: wetlands only.
    snow : ndarray, shape (days,)
        Water equivalent, mm.
    """

    leaf_area: np.ndarray
    chlorophyll: np.ndarray
    litter: np.ndarray
    water: np.ndarray
    surface: np.ndarray
    flood: np.ndarray
    snow: np.ndarray

    def since(self, day: int) -> Growth:
        """The same from this day on (what came before is spin-up)."""
        return Growth(**{name: values[day:] for name, values in vars(self).items()})


def grow(place: VirtualPlace, daily: pd.DataFrame, land: Landscape, rng: np.random.Generator) -> Growth:
    """Grow the fields of `land` through the weather `daily` (its first year should be spin-up)."""
    covers = [COVERS[name] for name in land.cover]
    is_crop, is_grass, is_wet = (np.array([name == kind for name in land.cover]) for kind in ("CRO", "GRA", "WET"))
    buckets = np.array([cover.root for cover in covers] + [_TOP_SOIL])
    water, snow = soil.soil_water(daily, buckets, np.array([cover.inflow for cover in covers] + [0.0]))
    water, surface = water[:, :-1], water[:, -1:]
    surface = np.where(is_wet, np.maximum(surface, water), surface)
    season = _season(place, daily, land, covers)
    wetness = running(np.clip(water / 0.4, 0.0, 1.0), 12.0)
    follows = np.array([cover.follows_water for cover in covers])
    low, high = np.array([cover.leaf_area for cover in covers]).T
    index = running(season, 21.0) * (1.0 - follows * (1.0 - wetness))
    litter = 0.7 * (1.0 - index)
    # chlorophyll comes later than the leaves in spring and goes earlier in autumn; dry leaves lose some of it
    green = 0.4 + 0.6 * np.minimum(running(season, 8.0), running(season, 35.0))
    stays = low / high
    green = stays + (1.0 - stays) * green
    crop = farming.crops(place, daily, land, rng)
    index = np.where(is_crop, crop.green, index)
    litter = np.where(is_crop, crop.straw, litter)
    green = np.where(is_crop, crop.chlorophyll, green) * (1.0 - 0.3 * follows * (1.0 - wetness))
    index = np.where(is_grass, index * farming.standing_grass(place, daily, land, rng), index)
    return Growth(
        leaf_area=(low + (high - low) * index) * land.vigour,
        chlorophyll=np.array([cover.chlorophyll for cover in covers]) * land.nitrogen * green,
        litter=litter,
        water=water,
        surface=surface,
        flood=np.where(is_wet, soil.standing_water(water), 0.0),
        snow=snow,
    )


def pixel_leaf_area(growth: Growth, land: Landscape) -> np.ndarray:
    """Leaf area index of every pixel and day, (days, y, x) float32."""
    return (growth.leaf_area.astype(np.float32)[:, land.field] * land.texture).astype(np.float32)
