"""How far the sites lie from each other, and each test site from what was trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecoembed.archives.sites.distance import great_circle_km
from ecoembed.validation.samples import Samples
from ecoembed.validation.splits.folds import Folds, site_sides

__all__ = ["nearest_training_km", "site_distances"]


def site_distances(samples: Samples) -> np.ndarray:
    """Of all pairs of sites, km; infinite where a place is unknown."""
    places = samples.places[["latitude", "longitude"]].to_numpy(dtype=float)
    known = np.isfinite(places).all(axis=1)
    kilometres = np.full((len(places), len(places)), np.inf)
    kilometres[np.ix_(known, known)] = great_circle_km(places[known], places[known])
    return kilometres


def nearest_training_km(folds: Folds, samples: Samples) -> pd.Series:
    """Of each site the distance to the nearest one that is trained on while it is tested, km.

    Returns
    -------
    pandas.Series
        By site, ``nearest_training_km``; 0 where the site itself is trained on, the least of several folds, NaN where
        the coordinates are unknown or the site is never tested. Training sites of unknown place count for nothing.
    """
    train, test = site_sides(folds.folds, samples)
    kilometres = site_distances(samples)
    nearest = np.full(len(kilometres), np.inf)
    for trained, tested in zip(train, test, strict=True):
        nearest[tested] = np.minimum(nearest[tested], kilometres[np.ix_(tested, trained)].min(axis=1))
    nearest[np.isinf(nearest)] = np.nan
    return pd.Series(nearest, index=samples.places.index, name="nearest_training_km")
