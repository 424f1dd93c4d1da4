"""The sum of many footprints of Kormann and Meixner (2001) at many points, and its mean over pixels.

Half-hours are sorted by wind direction and size, so that a block of them shares one plume, and only the points inside
that plume are evaluated, in pieces that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma

from ecoembed.footprints.kormann import Shape, shape
from ecoembed.footprints.pixels import Pixels, pixel_means
from ecoembed.footprints.resolution import Line, resolving_step
from ecoembed.footprints.validity import Array, Inputs

#: Crosswind standard deviations beyond which a footprint counts as zero (it is below 2e-8 of its centre line).
WIDTH = 6.0
#: Scaled distances below which it counts as zero (below 1e-7 of the peak), and beyond which it needs no finer sampling.
FRONT, FAR = 0.03, 1000.0

_SECTORS = 36  # bins of wind direction: a quarter turn maps them onto each other
_BLOCK = 32  # most half-hours in one block
_PIECE = 1 << 14  # half-hours x points evaluated at once: four arrays of 128 KiB


def kormann_weights(pixels: Pixels, inputs: Inputs) -> Array:
    """Mean over half-hours of each pixel's share, shape (y, x)."""
    sizes, wind_dir = shape(inputs), inputs["wind_dir"]
    crest = 1 / (1 + sizes.mu + sizes.p)  # scaled distance of the density's peak
    classes = np.round(np.log2(np.stack([sizes.xi * crest, sizes.width * crest**sizes.p])))
    means = np.zeros((pixels.y.size, pixels.x.size))
    for similar in np.unique(classes, axis=1).T:  # half-hours whose peaks are alike share their lattices
        like = (classes == similar[:, None]).all(axis=0)
        chosen = Shape(*(v[like] for v in sizes))
        density = partial(summed_density, sizes=chosen, wind_dir=wind_dir[like])
        means += pixel_means(pixels, density, resolving_step(_lines(chosen)))
    return means * (pixels.area / wind_dir.size)


def summed_density(east: Array, north: Array, sizes: Shape, wind_dir: Array) -> Array:
    """Sum over half-hours of the footprint at points around the tower, m-2.

    Parameters
    ----------
    east, north : array, shape (points,)
        Positions relative to the tower, m.
    sizes : Shape of arrays, shape (half-hours,)
        From :func:`ecoembed.footprints.kormann.shape`.
    wind_dir : array, shape (half-hours,)
        Degrees clockwise from north.

    Returns
    -------
    array, shape (points,)
        The same, to the last bit, for every order of the half-hours.
    """
    wind_dir = wind_dir % 360
    sector = np.floor(wind_dir / 360 * _SECTORS)
    order = np.lexsort((wind_dir, sizes.p, sizes.mu, sizes.xi, sizes.width, sizes.width / sizes.xi, sector))
    sizes, angle = Shape(*(v[order] for v in sizes)), np.radians(wind_dir[order])
    total, distance, work = np.zeros(east.size), np.hypot(east, north), np.empty((4, _PIECE))
    for block in _blocks(sector[order]):
        chosen = Shape(*(v[block] for v in sizes))
        inside = _plume(east, north, distance, chosen, angle[block])
        points = np.stack([east[inside], north[inside]])
        step = _PIECE // (block.stop - block.start)
        for i in range(0, inside.size, step):
            total[inside[i : i + step]] += _evaluate(points[:, i : i + step], chosen, angle[block], work)
    return total


def _blocks(sector: Array) -> Iterator[slice]:
    """Runs of half-hours within one sector of wind direction."""
    edges = [0, *(np.flatnonzero(np.diff(sector)) + 1).tolist(), sector.size]
    for first, last in pairwise(edges):
        for start in range(first, last, _BLOCK):
            yield slice(start, min(start + _BLOCK, last))


def _plume(east: Array, north: Array, distance: Array, sizes: Shape, angle: Array) -> NDArray[np.intp]:
    """Indices of the points that any footprint of the block can reach."""
    middle, spread = (angle.min() + angle.max()) / 2, (angle.max() - angle.min()) / 2
    shift = distance * spread  # how far turning the wind within the block moves a point, at most
    upwind = east * np.sin(middle) + north * np.cos(middle) + shift
    across = np.abs(east * np.cos(middle) - north * np.sin(middle)) - shift
    nearest = FRONT * sizes.xi.min()
    ahead = np.flatnonzero(upwind > nearest)
    tenths = np.ceil(np.log(upwind[ahead] / nearest) / np.log(1.1)).astype(int)
    x = nearest * 1.1 ** np.arange(tenths.max(initial=0) + 1)[:, None]
    reach = (WIDTH * sizes.width * (x / sizes.xi) ** sizes.p).max(axis=1)  # it grows with distance
    return ahead[across[ahead] < reach[tenths]]


def _evaluate(points: Array, sizes: Shape, angle: Array, work: Array) -> Array:
    """Sum over a block of half-hours at `points` (2, n), with one logarithm and two exponentials each.

    The exponent is ``-(1 + mu + p) log X - 1 / X - (y / width)**2 exp(-2 p log X) / 2``; constants are left to the end.
    """
    sin, cos = np.sin(angle), np.cos(angle)
    x, log, y, v = (w[: angle.size * points.shape[1]].reshape(angle.size, -1) for w in work)
    np.matmul(np.stack([sin / sizes.xi, cos / sizes.xi], axis=1), points, out=x)
    k = 1 / (np.sqrt(2) * sizes.width)
    np.matmul(np.stack([cos * k, -sin * k], axis=1), points, out=y)
    np.maximum(x, FRONT, out=x)  # points before the front keep a density that is negligible
    np.log(x, out=log)
    np.multiply(log, -2 * sizes.p[:, None], out=v)
    np.exp(v, out=v)
    y *= y
    y *= v
    np.reciprocal(x, out=x)
    log *= (1 + sizes.mu + sizes.p)[:, None]
    x += log
    x += y
    np.negative(x, out=x)
    np.exp(x, out=x)
    x *= (1 / (np.sqrt(2 * np.pi) * gamma(sizes.mu) * sizes.xi * sizes.width))[:, None]
    return x.sum(axis=0)


def _lines(sizes: Shape) -> list[Line]:
    """The extremes of these half-hours: every combination of their smallest and largest lengths and powers."""
    x = np.geomspace(FRONT, FAR, 1500)
    few = slice(None, None, 5)
    lines = []
    for xi, mu, p in product(*({float(v.min()), float(v.max())} for v in (sizes.xi, sizes.mu, sizes.p))):
        density = x ** (-1 - mu - p) * np.exp(-1 / x)
        density /= density.max()
        fourth = density
        for _ in range(4):
            fourth = np.gradient(fourth, x)
        spread = x[few] ** p
        lines.append(
            Line(
                xi * x[few],
                density[few],
                np.abs(fourth[few]) / xi**4,
                sizes.width.min() * spread,
                sizes.width.max() * spread,
            )
        )
    return lines
