"""Leaf area, soil water and gross primary production of the fields of a landscape.

Growing-season index: Jolly et al. 2005, doi 10.1111/j.1365-2486.2005.00930.x. Light-use efficiency in the form of
Monteith 1972, doi 10.2307/2401901, with the temperature acclimation of Makela et al. 2008, doi
10.1111/j.1365-2486.2007.01463.x. The parameters are ours, of the size that towers show; they are not fitted to any.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecoembed.virtual.landscape import Landscape
from ecoembed.virtual.places import Place
from ecoembed.virtual.weather import saturation_pressure

#: Photosynthetically active share of shortwave radiation, and MJ m-2 d-1 in a W m-2.
_PAR_SHARE = 0.45
_MEGAJOULES = 0.0864
#: Latent heat of vaporisation, MJ kg-1.
_LATENT_HEAT = 2.45


@dataclass(frozen=True)
class Cover:
    """What a land cover does.

    Attributes
    ----------
    leaf : str
        Spectrum of its leaves, a key of :data:`ecoembed.virtual.radiance.LEAVES`.
    leaf_area : tuple of float
        Lowest and highest leaf area index, m2 m-2.
    light_use : float
        gC per MJ of absorbed PAR without any stress.
    cold, warm : float
        Acclimated daytime temperature in degC below which nothing is fixed, and above which nothing is lost.
    acclimation : float
        Days over which photosynthesis follows temperature.
    dryness : float
        Daytime vapour pressure deficit in hPa that halves the efficiency.
    root : float
        Plant-available water that the roots can reach, mm.
    follows_water : float
        Share of the leaf area above the lowest that is lost in dry soil.
    """

    leaf: str
    leaf_area: tuple[float, float]
    light_use: float
    cold: float
    warm: float
    acclimation: float
    dryness: float
    root: float
    follows_water: float


COVERS: dict[str, Cover] = {
    "DBF": Cover("broadleaf", (0.5, 5.0), 1.75, 0.0, 16.0, 6.0, 30.0, 220.0, 0.1),
    "ENF": Cover("needle", (2.6, 4.0), 1.55, -3.0, 15.0, 12.0, 24.0, 180.0, 0.0),
    "EBF": Cover("sclerophyll", (2.2, 3.4), 1.55, -1.0, 16.0, 8.0, 34.0, 320.0, 0.1),
    "SAV": Cover("sclerophyll", (0.6, 2.2), 1.55, 1.0, 18.0, 6.0, 36.0, 220.0, 0.8),
    "GRA": Cover("grass", (0.5, 4.0), 1.70, -1.0, 14.0, 4.0, 28.0, 120.0, 0.7),
    "CRO": Cover("crop", (0.0, 5.0), 2.00, 1.0, 16.0, 4.0, 32.0, 170.0, 0.2),
    "BUILT": Cover("grass", (0.1, 0.3), 1.20, 0.0, 14.0, 4.0, 28.0, 40.0, 0.5),
}
#: Fields of CRO whose character is above this grow a summer C4 crop (maize), the others a winter cereal.
_SUMMER_CROP = 0.55
_C4_LIGHT_USE = 1.3


def soil_water(daily: pd.DataFrame, capacity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Relative plant-available water (days, capacities) and snow in mm (days,): buckets under a degree-day snow pack.

    Evaporation is three quarters of Makkink's reference, reduced below half the capacity (Makkink 1957; de Bruin 1987).
    """
    slope = 4098.0 * saturation_pressure(daily["TA_F"].to_numpy()) / (daily["TA_F"].to_numpy() + 243.0) ** 2
    demand = 0.75 * 0.65 * slope / (slope + 0.66) * daily["SW_IN_F"].to_numpy() * _MEGAJOULES / _LATENT_HEAT
    water, snow = np.empty((len(daily), len(capacity))), np.empty(len(daily))
    stored, pack = capacity * 0.8, 0.0
    for i, (rain, air, lost) in enumerate(zip(daily["P_F"], daily["TA_F"], demand, strict=True)):
        falls = rain if air < 0.5 else 0.0
        melts = min(pack, max(air, 0.0) * 3.0)
        pack += falls - melts
        stored = np.clip(stored + rain - falls + melts - lost * np.minimum(1.0, 2.0 * stored / capacity), 0.0, capacity)
        water[i], snow[i] = stored / capacity, pack
    return water, snow


def running(values: np.ndarray, days: float) -> np.ndarray:
    """Exponential running mean over about `days`, causal, along the first axis."""
    from scipy.signal import lfilter

    a = 1.0 / days
    start = (1.0 - a) * values[:1]
    return np.asarray(lfilter([a], [1.0, a - 1.0], values, axis=0, zi=start)[0])


def _season(place: Place, daily: pd.DataFrame) -> np.ndarray:
    """Growing-season index 0-1 from the night's cold and the day's length, smoothed over three weeks."""
    day = np.asarray(pd.DatetimeIndex(daily.index).dayofyear, dtype=float)
    declination = 0.409 * np.sin(2.0 * np.pi * (day - 81.0) / 365.25)
    cosine = np.clip(-np.tan(np.radians(place.latitude)) * np.tan(declination), -1.0, 1.0)
    length = 24.0 / np.pi * np.arccos(cosine)
    warmth = np.clip((daily["TA_F"].to_numpy() - 1.0) / 9.0, 0.0, 1.0)
    return running(warmth * np.clip((length - 9.5) / 2.0, 0.0, 1.0), 18.0)


def _crop(
    place: Place, daily: pd.DataFrame, land: Landscape, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Leaf area relative to its peak, and straw cover, (days, F) as if every field were a crop: one harvest a year."""
    air, index = daily["TA_F"].to_numpy(), daily.index
    green, straw = np.zeros((2, len(index), len(land.cover)))
    turn = pd.Timedelta(days=0 if place.latitude > 0 else 182)
    for f, character in enumerate(land.character):
        summer = character > _SUMMER_CROP
        base, rise, fall, latest = (8.0, 330.0, 950.0, "10-10") if summer else (1.0, 750.0, 1700.0, "08-20")
        for year in range(index[0].year - 1, index[-1].year + 2):  # southern seasons run across the new year
            sown = pd.Timestamp(f"{year}-05-03" if summer else f"{year}-02-10") - turn
            sown += pd.Timedelta(days=round(land.delay[f] + rng.normal(0.0, 5.0)))
            since = np.asarray((index - sown).days)
            heat = np.cumsum(np.where(since >= 0, np.maximum(air - base, 0.0), 0.0))
            stop = np.asarray((index - pd.Timestamp(f"{year}-{latest}") + turn).days)
            ripe = (heat > fall * 1.12) | (stop > 0)
            standing = (since >= 0) & ~ripe
            shape = 1.0 / (1.0 + np.exp((rise - heat) / (0.16 * rise))) / (1.0 + np.exp((heat - fall) / (0.05 * fall)))
            tillers = 0.0 if summer else 0.12
            green[:, f] = np.where(standing, np.maximum(shape, tillers * (heat < rise)), green[:, f])
            stubble = ripe & (since >= 0) & (since < 330)
            yellow = 0.5 * heat / fall * (heat > 0.7 * fall)
            straw[:, f] = np.select([stubble, standing], [0.7, yellow], straw[:, f])
            if not summer:  # the next winter crop emerges in October and waits under the cold
                emerged = np.asarray((index - pd.Timestamp(f"{year}-10-20") + turn).days)
                winter = (emerged > 0) & (emerged < 115)
                green[:, f] = np.where(winter, 0.12 * np.minimum(emerged / 40.0, 1.0), green[:, f])
                straw[:, f] = np.where(winter, 0.1, straw[:, f])
    return green, straw


def _mowing(place: Place, daily: pd.DataFrame, land: Landscape, rng: np.random.Generator) -> np.ndarray:
    """Share of the grass that stands, (days, F): none to four cuts a year, each regrown with a time of three weeks."""
    index, standing = daily.index, np.ones((len(daily), len(land.cover)))
    first = 140 if place.latitude > 0 else 320
    for f, character in enumerate(land.character):
        for year in range(index[0].year - 1, index[-1].year + 1):
            for cut in range(int(character * 5.0)):
                date = pd.Timestamp(year, 1, 1) + pd.Timedelta(days=first + 40 * cut + round(rng.normal(0.0, 7.0)))
                since = np.asarray((index - date).days, dtype=float)
                regrown = 1.0 - 0.8 * np.exp(-np.maximum(since, 0.0) / 20.0)
                standing[:, f] = np.where(since >= 0, np.minimum(standing[:, f], regrown), standing[:, f])
    return standing


@dataclass(frozen=True)
class Growth:
    """The state of the fields, each array (days, F) but `snow` (days,): leaf area index, litter cover 0-1, relative
    water in the root zone and in the top soil 0-1, snow in mm, light-use efficiency under stress in gC per MJ."""

    leaf_area: np.ndarray
    litter: np.ndarray
    water: np.ndarray
    surface: np.ndarray
    snow: np.ndarray
    efficiency: np.ndarray

    def since(self, day: int) -> Growth:
        """The same from this day on (what came before is spin-up)."""
        return Growth(**{name: values[day:] for name, values in vars(self).items()})


def grow(place: Place, daily: pd.DataFrame, land: Landscape, rng: np.random.Generator) -> Growth:
    """Grow the fields of `land` through the weather `daily` (its first year should be spin-up)."""
    covers = [COVERS[name] for name in land.cover]
    water, snow = soil_water(daily, np.array([cover.root for cover in covers] + [25.0]))
    surface = np.repeat(water[:, -1:], len(covers), axis=1)
    water = water[:, :-1]
    time = np.arange(len(daily), dtype=float)
    season = _season(place, daily)
    season = np.stack([np.interp(time - delay, time, season) for delay in land.delay], axis=1)
    wetness = running(np.clip(water / 0.4, 0.0, 1.0), 12.0)
    follows = np.array([cover.follows_water for cover in covers])
    low, high = np.array([cover.leaf_area for cover in covers]).T
    index = season * (1.0 - follows * (1.0 - wetness))
    litter = 0.7 * (1.0 - index)
    is_crop, is_grass = (np.array([name == kind for name in land.cover]) for kind in ("CRO", "GRA"))
    green, straw = _crop(place, daily, land, rng)
    index = np.where(is_crop, green, index)
    litter = np.where(is_crop, straw, litter)
    index = np.where(is_grass, index * _mowing(place, daily, land, rng), index)
    leaf_area = (low + (high - low) * index) * land.vigour
    return Growth(leaf_area, litter, water, surface, snow, _efficiency(daily, covers, land, water))


def _efficiency(daily: pd.DataFrame, covers: list[Cover], land: Landscape, water: np.ndarray) -> np.ndarray:
    """Light-use efficiency in gC per MJ, (days, F): temperature, vapour, soil water, and diffuse light under cloud."""
    c4 = np.array([name == "CRO" for name in land.cover]) & (land.character > _SUMMER_CROP)
    best = np.array([cover.light_use for cover in covers]) * land.light_use * np.where(c4, _C4_LIGHT_USE, 1.0)
    warmth, vapour = np.empty((2, *water.shape))
    for f, cover in enumerate(covers):
        acclimated = running(daily["TA_DAY"].to_numpy(), cover.acclimation)
        shift = 5.0 if c4[f] else 0.0
        warmth[:, f] = np.clip((acclimated - cover.cold - shift) / (cover.warm - cover.cold), 0.0, 1.0)
        vapour[:, f] = 1.0 / (1.0 + (daily["VPD_DAY"].to_numpy() / cover.dryness) ** 1.5)
    diffuse = 0.85 + 0.35 * daily["CLOUD"].to_numpy()[:, None]
    return np.asarray(best * warmth * vapour * np.clip(water / 0.35, 0.0, 1.0) * diffuse)


def pixel_leaf_area(growth: Growth, land: Landscape) -> np.ndarray:
    """Leaf area index of every pixel and day, (days, y, x) float32."""
    return (growth.leaf_area.astype(np.float32)[:, land.field] * land.texture).astype(np.float32)


def gross_production(growth: Growth, daily: pd.DataFrame, land: Landscape, leaf_area: np.ndarray) -> np.ndarray:
    """GPP of every pixel and day in gC m-2 d-1, (days, y, x) float32: efficiency x PAR x fAPAR (Beer-Lambert, 0.5)."""
    light = daily["SW_IN_F"].to_numpy()[:, None] * _MEGAJOULES * _PAR_SHARE
    absorbed = np.float32(0.95) * -np.expm1(np.float32(-0.5) * leaf_area)
    return np.asarray((growth.efficiency * light).astype(np.float32)[:, land.field] * absorbed)
