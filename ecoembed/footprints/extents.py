"""Fixed extents around the tower: equal weights within a disc or a square, whatever the wind.

They stand in where turbulence was not measured, and are what a footprint is held against.

Source: Chu et al. (2021), doi 10.1016/j.agrformet.2021.108350.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from ecoembed.errors import FootprintError
from ecoembed.footprints.pixels import Axis, Pixels, on_grid, pixels_around
from ecoembed.footprints.validity import Array

#: Radii (m) of the discs around 214 AmeriFlux towers whose land Chu et al. (2021) hold against the footprint's.
TARGET_RADII = (250.0, 500.0, 1000.0, 1500.0, 2000.0, 3000.0)


def fixed_radius(grid: Any, radius: float, x: float | None = None, y: float | None = None) -> xr.DataArray:
    """Equal weights within a radius of the tower.

    Parameters
    ----------
    grid : object with coordinates x and y
        Pixel centres in m (a Cube).
    radius : float
        In m; :data:`TARGET_RADII` are those of Chu et al. (2021).
    x, y : float, optional
        The tower in the grid's coordinates, m. Default: the grid's centre.

    Returns
    -------
    xr.DataArray
        Weights (y, x): each pixel's exact overlap with the disc, as a share of the disc. Attributes as those of
        :func:`~ecoembed.footprints.climatology.footprint_climatology`, with ``n`` 0.

    Raises
    ------
    FootprintError
        If the radius is not positive.
    GridError
        If the tower is outside the grid, or the grid is not regular in metres.

    Examples
    --------
    >>> grid = {"x": np.arange(-45.0, 50, 10), "y": np.arange(45.0, -50, -10)}
    >>> round(float(fixed_radius(grid, 40).sum()), 9)
    1.0
    >>> round(fixed_radius(grid, TARGET_RADII[0]).attrs["inside"], 3)
    0.051
    """
    _require_positive("radius", radius)
    pixels = pixels_around(grid, x, y)
    corners = _disc_quadrant(*np.meshgrid(pixels.x.edges / radius, pixels.y.edges / radius))
    weights = np.maximum(np.diff(np.diff(corners, axis=0), axis=1), 0.0) / np.pi
    return _extent(weights, grid, pixels, f"fixed radius of {radius:g} m")


def fixed_square(grid: Any, side: float, x: float | None = None, y: float | None = None) -> xr.DataArray:
    """Equal weights within a square, its sides along the grid's axes and the tower at its centre.

    Parameters
    ----------
    grid : object with coordinates x and y
        Pixel centres in m (a Cube).
    side : float
        In m, such as 1000 or 3000.
    x, y : float, optional
        The tower in the grid's coordinates, m. Default: the grid's centre.

    Returns
    -------
    xr.DataArray
        As :func:`fixed_radius`.

    Raises
    ------
    FootprintError
        If the side is not positive.
    GridError
        If the tower is outside the grid, or the grid is not regular in metres.

    Examples
    --------
    >>> grid = {"x": np.arange(-450.0, 500, 100), "y": np.arange(450.0, -500, -100)}
    >>> round(float(fixed_square(grid, 500).sum()), 9), round(fixed_square(grid, 3000).attrs["inside"], 3)
    (1.0, 0.111)
    """
    _require_positive("side", side)
    pixels = pixels_around(grid, x, y)
    weights = _overlap(pixels.y, side)[:, None] * _overlap(pixels.x, side)
    return _extent(weights, grid, pixels, f"fixed square of {side:g} m")


def _require_positive(name: str, length: float) -> None:
    if not length > 0 or not np.isfinite(length):
        raise FootprintError(f"{name} out of range", where="fixed extent", found=f"{length} m", expected="> 0 m")


def _extent(weights: Array, grid: Any, pixels: Pixels, method: str) -> xr.DataArray:
    return on_grid(
        weights,
        grid,
        method=method,
        inside=float(weights.sum()),
        n=0,
        excluded=json.dumps({}),
        tower_x=pixels.tower[0],
        tower_y=pixels.tower[1],
        units="1",
    )


def _overlap(axis: Axis, side: float) -> Array:
    """Share of the interval of length `side` around the tower that lies in each pixel, along one axis."""
    return np.diff(np.clip(axis.edges, -side / 2, side / 2)) / side


def _disc_quadrant(x: Array, y: Array) -> Array:
    """Signed area of the unit disc between the origin and (x, y), whose differences give any rectangle's overlap."""
    a, b = np.minimum(np.abs(x), 1), np.minimum(np.abs(y), 1)
    turn = np.minimum(np.sqrt(1 - b**2), a)  # the rectangle's top is straight up to here, the arc's from here

    def under_arc(t: Array) -> Array:
        return (t * np.sqrt(1 - t**2) + np.arcsin(t)) / 2

    return np.sign(x) * np.sign(y) * (b * turn + under_arc(a) - under_arc(turn))
