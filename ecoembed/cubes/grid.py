"""One grid for all bands of a place, and the tower's position on it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr

from ecoembed.errors import GridError

#: Pixel size of every cube, in m.
RESOLUTION = 10.0

#: The coarsest pixels that are divided into those, in m: a footprint of some hundred metres must hold several.
COARSEST = 100.0

#: Two pixel edges coincide if they differ by less than this, in m.
TOLERANCE = 0.01


def pixel_size(array: xr.DataArray | xr.Dataset, where: object = "raster") -> float:
    """Side of the square pixels, in m.

    Raises
    ------
    GridError
        Fewer than two pixels, uneven spacing, or pixels that are not square.
    """
    steps = np.concatenate([np.diff(array["x"].values), -np.diff(array["y"].values)])
    if min(array.sizes["x"], array.sizes["y"]) < 2 or not np.allclose(steps, steps[0], atol=TOLERANCE):
        raise GridError("the grid is not of even, square pixels", where=where, found=f"steps {np.unique(steps)[:5]} m")
    return float(steps[0])


def fine_axes(array: xr.DataArray | xr.Dataset, where: object = "raster") -> tuple[np.ndarray, np.ndarray]:
    """Centres x (ascending) and y (descending) of the 10 m pixels into which the pixels of `array` divide."""
    size = pixel_size(array, where)
    parts = _parts(size, where)
    within = (np.arange(parts) - (parts - 1) / 2) * RESOLUTION
    x = (array["x"].values[:, None] + within).ravel()
    y = (array["y"].values[:, None] - within).ravel()
    return x, y


def positions(
    array: xr.DataArray | xr.Dataset, x: np.ndarray, y: np.ndarray, where: object = "raster"
) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the pixel of `array` that contains each of the 10 m pixels at centres `y`, `x`.

    Raises
    ------
    GridError
        The pixels of `array` do not divide exactly into those, or do not cover them.
    """
    size = pixel_size(array, where)
    columns = _indices(x, array["x"].values[0] - size / 2, size, array.sizes["x"], "x", where)
    rows = _indices(-y, -(array["y"].values[0] + size / 2), size, array.sizes["y"], "y", where)
    return rows, columns


def _parts(size: float, where: object) -> int:
    parts = round(size / RESOLUTION)
    if not 1 <= parts <= COARSEST / RESOLUTION or abs(parts * RESOLUTION - size) > TOLERANCE:
        raise GridError(
            "pixels do not divide into 10 m ones, or are too coarse for a tower",
            where=where,
            found=f"{size:g} m",
            expected=f"10 m, 20 m, 30 m... up to {COARSEST:g} m",
            remedy="Give the product at its own resolution",
        )
    return parts


def _indices(centres: np.ndarray, edge: float, size: float, n: int, axis: str, where: object) -> np.ndarray:
    """Which of `n` source pixels of `size`, the first beginning at `edge`, contains each target pixel."""
    parts = _parts(size, where)
    fine = (centres - edge) / RESOLUTION - 0.5  # whole numbers where the edges coincide
    whole = np.round(fine).astype(int)
    if np.any(np.abs(fine - whole) * RESOLUTION > TOLERANCE):
        raise GridError(
            f"pixel edges along {axis} do not coincide",
            where=where,
            found=f"shifted by {np.abs(fine - whole).max() * RESOLUTION:.2f} m",
            expected="the 10 m grid of Sentinel-2",
            remedy="Give files that were cut from one tile grid, without resampling",
        )
    source = whole // parts
    if source.min() < 0 or source.max() >= n:
        short = max(-whole.min(), whole.max() - n * parts + 1) * RESOLUTION
        raise GridError(
            f"the rasters do not cover the same ground along {axis}",
            where=where,
            found=f"{short:g} m uncovered",
            remedy="Give files of one place",
        )
    return source


def site_grid(latitude: float, longitude: float, size: int) -> tuple[int, np.ndarray, np.ndarray]:
    """The grid of a tower's own cube: `size` x `size` pixels of 10 m in its UTM zone, centred on it to 10 m.

    Edges lie on multiples of 20 m, as those of Sentinel-2's 20 m pixels do. Zones are those of its tiles (MGRS), with
    the wider ones of south-west Norway and Svalbard.

    Returns
    -------
    epsg : int
    x, y : ndarray of float, shape (size,)
        Pixel centres in m, x ascending and y descending.

    Raises
    ------
    GridError
        No UTM zone there (beyond 84 degrees north or 80 south, or no coordinates), or an odd number of pixels.

    Examples
    --------
    >>> epsg, x, y = site_grid(51.079, 10.453, 48)
    >>> epsg, len(x), float(x[0] - 5) % 20, float(y[0] + 5) % 20
    (32632, 48, 0.0, 0.0)
    """
    from pyproj import Transformer

    if size < 2 or size % 2:
        raise GridError("the pixels of 20 m do not fit", found=f"{size} pixels of 10 m", expected="an even number")
    epsg = (32600 if latitude >= 0 else 32700) + _zone(latitude, longitude)
    easting, northing = Transformer.from_crs("EPSG:4326", epsg, always_xy=True).transform(longitude, latitude)
    within = (np.arange(size) + 0.5) * RESOLUTION
    left, bottom = (20.0 * round((middle - size * RESOLUTION / 2) / 20.0) for middle in (easting, northing))
    return epsg, left + within, (bottom + within)[::-1]


def _zone(latitude: float, longitude: float) -> int:
    if not (-80.0 <= latitude <= 84.0 and -180.0 <= longitude <= 180.0):
        found, remedy = f"latitude {latitude}, longitude {longitude}", "Check the coordinates in the site table"
        expected = "latitude -80 to 84, longitude -180 to 180"
        raise GridError("no UTM zone holds this place", found=found, expected=expected, remedy=remedy)
    if 56.0 <= latitude < 64.0 and 3.0 <= longitude < 12.0:
        return 32
    if latitude >= 72.0 and 0.0 <= longitude < 42.0:
        return 31 + 2 * int((longitude + 3.0) // 12.0)
    return int((longitude + 180.0) // 6.0) % 60 + 1


def true_north(crs: Any, latitude: float, longitude: float) -> float:
    """Direction of true north on a grid, in degrees clockwise from grid north (up to 3 in a UTM zone).

    Added to a wind direction, which counts from true north, it gives the direction on the grid.

    Examples
    --------
    >>> round(true_north("EPSG:32631", 50.0, 3.0), 6), true_north("EPSG:32631", 50.0, 5.0) < 0
    (0.0, True)
    """
    from pyproj import Transformer

    project = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform
    (x0, y0), (x1, y1) = (project(longitude, latitude + step) for step in (0.0, 1e-4))
    return math.degrees(math.atan2(x1 - x0, y1 - y0))


def tower_position(cube: xr.DataArray, latitude: float, longitude: float) -> tuple[float, float]:
    """Position of a tower in the CRS of `cube`, in m; nothing is rounded.

    Parameters
    ----------
    cube : xr.DataArray
        Any Cube.
    latitude, longitude : float
        Degrees, WGS 84.

    Returns
    -------
    x, y : float

    Raises
    ------
    GridError
        The tower stands outside the cube; says by how far.
    """
    from pyproj import Transformer

    x, y = Transformer.from_crs("EPSG:4326", cube.rio.crs, always_xy=True).transform(longitude, latitude)
    half = pixel_size(cube, cube.attrs.get("site", "cube")) / 2
    west, east = float(cube["x"].min()) - half, float(cube["x"].max()) + half
    south, north = float(cube["y"].min()) - half, float(cube["y"].max()) + half
    away = {"west": west - x, "east": x - east, "south": south - y, "north": y - north}
    beyond = {side: metres for side, metres in away.items() if not metres <= 0}
    if beyond:
        raise GridError(
            "the tower stands outside the cube",
            where=cube.attrs.get("site", "cube"),
            found=", ".join(f"{metres:.0f} m beyond its {side} edge" for side, metres in beyond.items()),
            expected=f"{latitude}, {longitude} within the {east - west:.0f} x {north - south:.0f} m of the cube",
            remedy="Check the coordinates in the site table, and which place the cube shows",
        )
    return float(x), float(y)
