"""The outlines of the land, for maps and as the domain of a prediction."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np

__all__ = ["land_outlines", "land_points"]

#: South of it nothing grows that a flux tower could see.
_SOUTH = -60.0
#: Places in a box by which the share of land is known, and the most that are looked at to find some in a sea.
_TRIED, _MOST = 20_000, 500_000


def land_outlines() -> list[np.ndarray]:
    """The outlines of continents and islands, the largest first, to about 0.15 degrees.

    Returns
    -------
    list of numpy.ndarray of float, each of shape (points, 2)
        Longitude and latitude in degrees, not closed. What lies within two rings is water (the Caspian Sea): fill them
        by the even-odd rule.

    Notes
    -----
    Natural Earth 1:110m, public domain; ``data/land/PROVENANCE.md`` says how they were made.

    Examples
    --------
    >>> rings = land_outlines()
    >>> rings[0].min(axis=0).tolist() > [-180.5, -90.5]
    True
    """
    return [ring.copy() for ring in _rings()]


@cache
def _rings() -> tuple[np.ndarray, ...]:
    text = (files("ecoembed.validation") / "tables" / "land.json").read_text(encoding="utf-8")
    return tuple(np.asarray(ring, dtype=float).reshape(-1, 2) for ring in json.loads(text))


def land_points(count: int = 2000, box: tuple[float, float, float, float] | None = None) -> np.ndarray:
    """About `count` places on land, each for an equal area; nothing is drawn at random.

    Parameters
    ----------
    count : int, default 2000
    box : (west, south, east, north), optional
        Degrees; the whole land without Antarctica by default. With west > east it crosses the antimeridian.

    Returns
    -------
    numpy.ndarray of float, shape (n, 2)
        Latitude and longitude in degrees; no row where the box holds no land.

    Notes
    -----
    A spherical Fibonacci lattice (Gonzalez 2010, doi 10.1007/s11004-009-9257-x), as dense as the land within the box
    asks for.
    """
    limits = box or (-180.0, _SOUTH, 180.0, 90.0)
    first = _spread(_TRIED, *limits)
    on_land = _on_land(first).mean()
    if on_land == 0:
        return np.empty((0, 2))
    places = _spread(min(round(count / on_land), _MOST), *limits)
    return np.asarray(places[_on_land(places)])


def _spread(count: int, west: float, south: float, east: float, north: float) -> np.ndarray:
    """About `count` places spread evenly over a box, latitude and longitude."""
    low, high = np.sin(np.radians([south, north]))
    width = (east - west) % 360 or 360
    total = round(count / ((high - low) / 2 * width / 360))  # over the whole sphere
    number = np.arange(int((low + 1) / 2 * total), int((high + 1) / 2 * total))
    latitude = np.degrees(np.arcsin((2 * number + 1) / total - 1))
    longitude = (number * 360 * (np.sqrt(5) - 1) / 2) % 360 - 180
    return np.column_stack([latitude, longitude])[(longitude - west) % 360 <= width]


def _on_land(places: np.ndarray) -> np.ndarray:
    """Even-odd rule over all rings."""
    import shapely

    inside = np.zeros(len(places), dtype=bool)
    for ring in _rings():
        inside ^= shapely.contains_xy(shapely.Polygon(ring), places[:, 1], places[:, 0])
    return inside
