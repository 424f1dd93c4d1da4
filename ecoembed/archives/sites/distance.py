"""Great-circle distances between places."""

from __future__ import annotations

import numpy as np

__all__ = ["great_circle_km"]

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
