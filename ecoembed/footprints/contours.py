"""Source areas: the contours that enclose a share of a footprint, as polygons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ecoembed.errors import FootprintError
from ecoembed.footprints.pixels import crs_of
from ecoembed.footprints.validity import Array

if TYPE_CHECKING:
    import geopandas as gpd
    from shapely.geometry import MultiPolygon

#: Parts of a pixel, along each axis, among which a contour's level is sought.
PARTS = 8


def source_area(weights: xr.DataArray, shares: Sequence[float] = (0.5, 0.8)) -> gpd.GeoDataFrame:
    """The smallest areas that enclose given shares of the whole footprint.

    Parameters
    ----------
    weights : xr.DataArray
        (y, x), from :func:`~ecoembed.footprints.climatology.footprint_climatology`: one period of it.
    shares : sequence of float
        Between 0 and 1, of the whole footprint: what lies outside the grid counts too.

    Returns
    -------
    gpd.GeoDataFrame
        One row for each share: ``share``, ``area_m2``, ``reason`` and the multipolygon, in the grid's CRS. Where the
        grid does not hold that share, its contour reaches the grid's edge, or the weights are those of a fixed extent,
        the polygon and its area are missing and ``reason`` says why.

    Raises
    ------
    FootprintError
        If the weights are not one footprint, or a share is not between 0 and 1.

    Notes
    -----
    Contours run between pixel centres by linear interpolation; a pixel's weight counts as spread evenly over it. An
    area a few pixels wide is blurred by them: make the weights on a finer grid for its contour. For other programs,
    write longitude and latitude: ``source_area(weights).to_crs("EPSG:4326").to_file("area.gpkg")``.

    Examples
    --------
    >>> from ecoembed.footprints.climatology import footprint_climatology
    >>> grid = {"x": np.arange(-495.0, 500, 10), "y": np.arange(495.0, -500, -10)}
    >>> weights = footprint_climatology(
    ...     zm=2.5, umean=3.0, h=1000, ol=-20, sigmav=0.6, ustar=0.3, wind_dir=225, grid=grid
    ... )
    >>> areas = source_area(weights, [0.5, 0.8, 0.99])
    >>> areas["area_m2"].round(-2).tolist()
    [400.0, 2400.0, nan]
    >>> areas["reason"][2]
    'the grid holds 97.9 % of the footprint'
    """
    import geopandas as gpd

    _check(weights, shares)
    ascending = weights.sortby(["y", "x"])
    levels = _levels(ascending.to_numpy().astype(np.float64), shares)
    rows = [_area(ascending, *pair) for pair in zip(shares, levels, strict=True)]
    columns = {"share": list(shares), "area_m2": [r[0] for r in rows], "reason": [r[1] for r in rows]}
    return gpd.GeoDataFrame(columns, geometry=[r[2] for r in rows], crs=crs_of(weights))


def _area(weights: xr.DataArray, share: float, level: float) -> tuple[float, str | None, MultiPolygon | None]:
    """Area (m2), reason for its absence, and polygon of one share; axes ascend."""
    if weights.attrs.get("n") == 0:
        return np.nan, "a fixed extent weighs evenly: no contour within it", None
    inside = float(weights.sum())
    if inside < share:
        return np.nan, f"the grid holds {100 * inside:.1f} % of the footprint", None
    field = weights.to_numpy().astype(np.float64)
    edge = np.concatenate([field[0], field[-1], field[:, 0], field[:, -1]])
    if edge.max() >= level:
        return np.nan, f"the {100 * share:g} % contour reaches the grid's edge", None
    polygon = _polygon(weights["x"].to_numpy(), weights["y"].to_numpy(), field, level)
    return float(polygon.area), None, polygon


def _levels(field: Array, shares: Sequence[float]) -> Array:
    """The densities above which `shares` lie, in weight per pixel."""
    at = (np.arange(PARTS) + 0.5) / PARTS - 0.5
    rows, columns = (np.clip((np.arange(n)[:, None] + at).ravel(), 0, n - 1) for n in field.shape)
    below, left = (np.minimum(v.astype(int), n - 2) for v, n in zip((rows, columns), field.shape, strict=True))
    up, right = (rows - below)[:, None], columns - left
    lower, upper = (field[b][:, left] * (1 - right) + field[b][:, left + 1] * right for b in (below, below + 1))
    values = (lower * (1 - up) + upper * up).ravel()
    masses = np.repeat(np.repeat(field, PARTS, axis=0), PARTS, axis=1).ravel() / PARTS**2
    falling = np.argsort(-values, kind="stable")
    enclosed = np.cumsum(masses[falling])
    return np.interp(shares, enclosed, values[falling])


def _polygon(x: Array, y: Array, field: Array, level: float) -> MultiPolygon:
    """The area above `level`, with the holes in it."""
    from contourpy import FillType, contour_generator
    from shapely.geometry import MultiPolygon, Polygon

    lines = contour_generator(x, y, field, fill_type=FillType.OuterOffset)
    polygons = []
    for points, offsets in zip(*lines.filled(level, np.inf), strict=True):
        rings = [points[a:b] for a, b in pairwise(offsets)]
        polygons.append(Polygon(rings[0], rings[1:]))
    return MultiPolygon(polygons)


def _check(weights: xr.DataArray, shares: Sequence[float]) -> None:
    if weights.dims != ("y", "x"):
        raise FootprintError(
            "not one footprint",
            where="source area",
            found=f"dimensions {weights.dims}",
            expected="('y', 'x')",
            remedy="Choose one period, such as weights.sel(month=7)",
        )
    wrong = [share for share in shares if not 0 < share < 1]
    if wrong:
        raise FootprintError("share out of range", where="source area", found=wrong, expected="between 0 and 1")
