"""What farmers do: one harvest a year of winter cereals and of maize, none to four cuts of a meadow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecoembed.virtual.landscape import Landscape
from ecoembed.virtual.places import VirtualPlace

#: Fields of CRO whose character is above this grow a summer C4 crop (maize), the others a winter cereal.
SUMMER_CROP = 0.55
#: Leaf area of a winter cereal before spring, relative to its peak.
_TILLERS = 0.12


@dataclass(frozen=True)
class Crops:
    """Each (days, F), as if every field were a crop: leaf area and leaf chlorophyll relative to their peaks, straw
    cover 0-1."""

    green: np.ndarray
    chlorophyll: np.ndarray
    straw: np.ndarray


def is_maize(land: Landscape) -> np.ndarray:
    """Fields of a C4 crop, (F,)."""
    return np.array([name == "CRO" for name in land.cover]) & (land.character > SUMMER_CROP)


def crops(place: VirtualPlace, daily: pd.DataFrame, land: Landscape, rng: np.random.Generator) -> Crops:
    """Crops that follow the sum of heat since they were sown; southern seasons run across the new year."""
    air, index = daily["TA_F"].to_numpy(), pd.DatetimeIndex(daily.index)
    green, straw = np.zeros((2, len(index), len(land.cover)))
    leaves = np.full(green.shape, 0.8)
    turn = pd.Timedelta(days=0 if place.latitude > 0 else 182)
    for f, character in enumerate(land.character):
        summer = character > SUMMER_CROP
        base, rise, fall, latest = (8.0, 330.0, 950.0, "10-10") if summer else (1.0, 600.0, 1700.0, "08-20")
        for year in range(index[0].year - 1, index[-1].year + 2):
            sown = pd.Timestamp(f"{year}-05-03" if summer else f"{year}-02-10") - turn
            sown += pd.Timedelta(days=round(land.delay[f] + rng.normal(0.0, 5.0)))
            since = _days(index, sown)
            heat = np.cumsum(np.where(since >= 0, np.maximum(air - base, 0.0), 0.0))
            ripe = (heat > fall * 1.12) | (_days(index, pd.Timestamp(f"{year}-{latest}") - turn) > 0)
            standing = (since >= 0) & ~ripe
            shape = _logistic((heat - rise) / (0.16 * rise)) * _logistic((fall - heat) / (0.05 * fall))
            start = 0.0 if summer else _TILLERS
            green[:, f] = np.where(standing, np.maximum(shape, start * (heat < rise)), green[:, f])
            ripening = _logistic((heat - 0.92 * fall) / (0.04 * fall))  # leaves turn yellow before they go
            leaves[:, f] = np.where(standing, 1.0 - 0.75 * ripening, leaves[:, f])
            stubble = ripe & (since >= 0) & (since < 330)
            straw[:, f] = np.select([stubble, standing], [0.7, 0.6 * ripening], straw[:, f])
            if not summer:  # the next winter crop emerges in October and waits under the cold
                emerged = _days(index, pd.Timestamp(f"{year}-10-20") - turn)
                winter = (emerged > 0) & (emerged < 115)
                green[:, f] = np.where(winter, _TILLERS * np.minimum(emerged / 40.0, 1.0), green[:, f])
                leaves[:, f] = np.where(winter, 0.8, leaves[:, f])
                straw[:, f] = np.where(winter, 0.1, straw[:, f])
    return Crops(green, leaves, straw)


def standing_grass(place: VirtualPlace, daily: pd.DataFrame, land: Landscape, rng: np.random.Generator) -> np.ndarray:
    """Share of the grass that stands, (days, F): none to four cuts a year, each regrown with a time of three weeks."""
    index = pd.DatetimeIndex(daily.index)
    standing = np.ones((len(index), len(land.cover)))
    first = 140 if place.latitude > 0 else 320
    for f, character in enumerate(land.character):
        for year in range(index[0].year - 1, index[-1].year + 1):
            for cut in range(int(character * 5.0)):
                since = _days(index, pd.Timestamp(year, 1, 1)) - first - 40 * cut - round(rng.normal(0.0, 7.0))
                regrown = 1.0 - 0.8 * np.exp(-np.maximum(since, 0.0) / 20.0)
                standing[:, f] = np.where(since >= 0, np.minimum(standing[:, f], regrown), standing[:, f])
    return standing


def _days(index: pd.DatetimeIndex, date: pd.Timestamp) -> np.ndarray:
    """Days since `date`, (days,), negative before it."""
    return np.asarray((index - date).days, dtype=float)


def _logistic(x: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return np.asarray(expit(x))
