"""The sum of many footprints at many points: the one place where a climatology spends its time.

Half-hours are sorted by wind direction and plume width, so that a block of them shares one narrow plume, and only the
points inside that plume are evaluated, in pieces that stay in the processor's cache. Memory does not grow with the
number of half-hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ecoembed.footprints.kljun import AC, BC, CC, A, B, C, D
from ecoembed.footprints.validity import Array

#: Crosswind standard deviations beyond which a footprint counts as zero (it is below 3e-7 of its centre line).
WIDTH = 5.5
#: Scaled distance beyond D below which it counts as zero (below 1e-8 of the peak).
FRONT = 0.055
#: Scaled distance at which the curve has integrated to exactly 1. With its published coefficients the whole curve
#: integrates to A C**(B + 1) Gamma(-B - 1) = 1.00157; what lies farther than this is left out, so that a share of a
#: footprint never exceeds 1.
END = 990.1347116031079

_SECTORS = 30  # bins of wind direction
_BLOCK = 32  # most half-hours in one block
_PIECE = 1 << 14  # half-hours x points evaluated at once: four arrays of 128 KiB


def summed_density(east: Array, north: Array, s: Array, t: Array, wind_dir: Array) -> Array:
    """Sum over half-hours of the footprint at points around the tower, m-2.

    Parameters
    ----------
    east, north : array, shape (points,)
        Positions relative to the tower, m.
    s, t : array, shape (half-hours,)
        Streamwise and crosswind lengths, m (:func:`ecoembed.footprints.kljun.scales`).
    wind_dir : array, shape (half-hours,)
        Degrees clockwise from north.

    Returns
    -------
    array, shape (points,)
        The same, to the last bit, for every order of the half-hours.
    """
    wind_dir = wind_dir % 360
    sector = np.floor(wind_dir / 360 * _SECTORS)
    order = np.lexsort((wind_dir, s, t, t / np.sqrt(s), sector))
    s, t, angle, sector = s[order], t[order], np.radians(wind_dir[order]), sector[order]
    total, distance, work = np.zeros(east.size), np.hypot(east, north), np.empty((4, _PIECE))
    for block in _blocks(sector):
        inside = _plume(east, north, distance, s[block], t[block], angle[block])
        points = np.stack([east[inside], north[inside]])
        step = _PIECE // (block.stop - block.start)
        for i in range(0, inside.size, step):
            sums = _evaluate(points[:, i : i + step], s[block], t[block], angle[block], work)
            total[inside[i : i + step]] += sums
    return total


def _blocks(sector: Array) -> Iterator[slice]:
    """Runs of half-hours within one sector of wind direction."""
    edges = [0, *(np.flatnonzero(np.diff(sector)) + 1).tolist(), sector.size]
    for first, last in pairwise(edges):
        for start in range(first, last, _BLOCK):
            yield slice(start, min(start + _BLOCK, last))


def _plume(east: Array, north: Array, distance: Array, s: Array, t: Array, angle: Array) -> NDArray[np.intp]:
    """Indices of the points that any footprint of the block can reach."""
    middle, spread = (angle.min() + angle.max()) / 2, (angle.max() - angle.min()) / 2
    shift = distance * spread  # how far turning the wind within the block moves a point, at most
    upwind = east * np.sin(middle) + north * np.cos(middle) + shift
    across = np.abs(east * np.cos(middle) - north * np.sin(middle)) - shift
    ahead = np.flatnonzero(upwind > (D + FRONT) * s.min())
    x = upwind[ahead]
    reach = WIDTH * AC * np.sqrt(BC) * (t / s).max() * x / np.sqrt(1 + CC / s.max() * x)  # bounds Eq. 18 from above
    return ahead[across[ahead] < reach]


def _evaluate(points: Array, s: Array, t: Array, angle: Array, work: Array) -> Array:
    """Sum over a block of half-hours of Eq. 10 at `points` (2, n), with one logarithm and one exponential each.

    The exponent is ``B log u - C / u - (y / x)**2 (1 + CC x)`` and the factor ``sqrt(1 + CC x) / x``, with x, u = x - D
    and y in scaled units and constants left to the end.
    """
    sin, cos = np.sin(angle), np.cos(angle)
    x, u, y, v = (w[: s.size * points.shape[1]].reshape(s.size, -1) for w in work)
    k = 1 / (t * AC * np.sqrt(2 * BC))
    np.matmul(np.stack([sin / s, cos / s], axis=1), points, out=x)
    np.matmul(np.stack([cos * k, -sin * k], axis=1), points, out=y)
    beyond = x > END if np.abs(points).max() * 2 > END * s.min() else None
    np.maximum(x, D + FRONT, out=x)  # points before the front keep a density that is negligible
    np.subtract(x, D, out=u)
    np.multiply(x, CC, out=v)
    v += 1
    np.reciprocal(x, out=x)
    y *= x
    y *= y
    y *= v
    np.sqrt(v, out=v)
    v *= x
    np.log(u, out=x)
    x *= B
    np.divide(C, u, out=u)
    x -= u
    x -= y
    np.exp(x, out=x)
    x *= v
    if beyond is not None:
        x[beyond] = 0.0
    x *= (A / (np.sqrt(2 * np.pi * BC) * AC * s * t))[:, None]
    return x.sum(axis=0)
