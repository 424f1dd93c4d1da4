"""The outlines of the land, for maps and as the domain of a prediction."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np

__all__ = ["land_outlines", "land_points"]

#: South of it nothing grows that a flux tower could see.
_SOUTH = -60.0


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
    west, south, east, north = box or (-180.0, _SOUTH, 180.0, 90.0)
    share = (np.sin(np.radians(north)) - np.sin(np.radians(south))) / 2 * ((east - west) % 360 or 360) / 360
    first = _within(_lattice(round(20_000 / share)), west, south, east, north)
    on_land = _on_land(first).mean() if len(first) else 0.0
    if on_land == 0:
        return np.empty((0, 2))
    places = _within(_lattice(round(count / on_land / share)), west, south, east, north)
    return np.asarray(places[_on_land(places)])


def _lattice(count: int) -> np.ndarray:
    """`count` places spread evenly over the sphere, latitude and longitude."""
    number = np.arange(count)
    latitude = np.degrees(np.arcsin((2 * number + 1) / count - 1))
    longitude = (number * 360 * (np.sqrt(5) - 1) / 2) % 360 - 180
    return np.column_stack([latitude, longitude])


def _within(places: np.ndarray, west: float, south: float, east: float, north: float) -> np.ndarray:
    latitude, longitude = places.T
    inside = (longitude - west) % 360 <= ((east - west) % 360 or 360)
    return np.asarray(places[inside & (latitude >= south) & (latitude <= north)])


def _on_land(places: np.ndarray) -> np.ndarray:
    """Even-odd rule over all rings."""
    import shapely

    inside = np.zeros(len(places), dtype=bool)
    for ring in _rings():
        inside ^= shapely.contains_xy(shapely.Polygon(ring), places[:, 1], places[:, 0])
    return inside
