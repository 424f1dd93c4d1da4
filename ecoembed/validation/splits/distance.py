"""Great-circle distances, and how far each test site lies from what was trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecoembed.validation.samples import Samples
from ecoembed.validation.splits.folds import Folds, site_sides

__all__ = ["great_circle_km", "nearest_training_km"]

_EARTH_KM = 6371.0


def great_circle_km(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distances between places on a sphere of radius 6371 km.

    Parameters
    ----------
    one, other : array of float, shape (a, 2) and (b, 2)
        Latitude and longitude in degrees.

    Returns
    -------
    numpy.ndarray of float, shape (a, b), km

    Notes
    -----
    The haversine formula, exact for near places where the law of cosines loses its digits.

    Examples
    --------
    >>> great_circle_km(np.array([[0.0, 0.0]]), np.array([[0.0, 180.0], [1.0, 0.0]])).round(1).tolist()
    [[20015.1, 111.2]]
    """
    (lat, lon), (lat2, lon2) = (np.radians(np.asarray(places, dtype=float).reshape(-1, 2)).T for places in (one, other))
    half = np.sin((lat[:, None] - lat2) / 2) ** 2
    half += np.cos(lat[:, None]) * np.cos(lat2) * np.sin((lon[:, None] - lon2) / 2) ** 2
    return np.asarray(2 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


def nearest_training_km(folds: Folds, samples: Samples) -> pd.Series:
    """Of each site the distance to the nearest one that is trained on while it is tested, km.

    Returns
    -------
    pandas.Series
        By site, ``nearest_training_km``; 0 where the site itself is trained on, the least of several folds, NaN where
        the coordinates are unknown or the site is never tested. Training sites of unknown place count for nothing.
    """
    train, test = site_sides(folds.folds, samples)
    places = samples.places[["latitude", "longitude"]].to_numpy(dtype=float)
    known = np.isfinite(places).all(axis=1)
    kilometres = np.full((len(places), len(places)), np.inf)
    kilometres[np.ix_(known, known)] = great_circle_km(places[known], places[known])
    nearest = np.full(len(places), np.inf)
    for trained, tested in zip(train, test, strict=True):
        nearest[tested] = np.minimum(nearest[tested], kilometres[np.ix_(tested, trained)].min(axis=1))
    nearest[~known | np.isinf(nearest)] = np.nan
    return pd.Series(nearest, index=samples.places.index, name="nearest_training_km")
