"""Many footprints of Kljun et al. (2015): their sum at points, and its mean over pixels.

Many half-hours are summed by :mod:`ecoembed.footprints.convolution`; few, or those of odd shape, one by one, which is
what the convolution must equal.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from ecoembed.footprints.convolution import Kernel, convolved_density
from ecoembed.footprints.kljun import AC, BC, CC, A, B, C, D, scales
from ecoembed.footprints.pixels import Pixels, pixel_means
from ecoembed.footprints.resolution import TOLERANCE, Line, resolving_step
from ecoembed.footprints.validity import Array, Inputs

#: Scaled distance beyond D below which it counts as zero (below 1e-8 of the peak).
FRONT = 0.055
#: Scaled distance at which the curve has integrated to exactly 1. With its published coefficients the whole curve
#: integrates to A C**(B + 1) Gamma(-B - 1) = 1.00157; what lies farther than this is left out, so that a share of a
#: footprint never exceeds 1.
END = 990.1347116031079
#: What a convolution costs, in single evaluations of a footprint: so many for each node around the circle, and so many
#: more for each point.
CONVOLUTION, READING = 4000, 20
#: Half-hours within this factor of the median lengths share their lattices. Odd ones, far smaller or wider, need finer
#: lattices, but count little: the error they may leave grows as their share falls, up to `LOOSEST`.
ALIKE, LOOSEST = 2.0, 0.1
_PIECE = 1 << 13  # points evaluated at once: arrays of 64 KiB


def kljun_weights(pixels: Pixels, inputs: Inputs) -> Array:
    """Mean over half-hours of each pixel's share, shape (y, x)."""
    s, t = scales(inputs)
    means = np.zeros((pixels.y.size, pixels.x.size))
    sizes = np.round(np.log(np.stack([s / np.median(s), t / np.median(t)])) / np.log(ALIKE**2))
    for size in np.unique(sizes, axis=1).T:
        like = (sizes == size[:, None]).all(axis=0)
        density = partial(summed_density, s=s[like], t=t[like], wind_dir=inputs["wind_dir"][like])
        tolerance = min(TOLERANCE / like.mean(), LOOSEST)
        means += pixel_means(pixels, density, resolving_step(_lines(s[like], t[like]), tolerance))
    return means * (pixels.area / s.size)


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
        The same, to the last bit, for every order of the half-hours; exact to 2e-7 of the peak of each.
    """
    wind_dir = wind_dir % 360
    order = np.lexsort((wind_dir, t, s))
    s, shape, wind_dir = s[order], (t / s)[order], wind_dir[order]
    total = np.zeros(east.size)
    for kernel in KERNELS:
        like = (shape >= kernel.low) & (shape < kernel.high)
        if (np.count_nonzero(like) - READING) * east.size >= CONVOLUTION * kernel.directions:
            total += convolved_density(east, north, s[like], shape[like], wind_dir[like], kernel)
            s, shape, wind_dir = s[~like], shape[~like], wind_dir[~like]
    for i in range(0, east.size, _PIECE):
        piece = slice(i, i + _PIECE)
        total[piece] += _one_by_one(east[piece], north[piece], s, shape, np.radians(wind_dir))
    return total


def _one_by_one(east: Array, north: Array, s: Array, shape: Array, angle: Array) -> Array:
    total = np.zeros(east.size)
    for length, own_shape, sin, cos in zip(s, shape, np.sin(angle) / s, np.cos(angle) / s, strict=True):
        upwind = east * sin + north * cos
        ahead = np.flatnonzero((upwind > D + FRONT) & (upwind < END))
        across = east[ahead] * cos - north[ahead] * sin
        total[ahead] += _scaled_density(upwind[ahead], across, own_shape) / length**2
    return total


def _scaled_density(x: Array, y: Array, shape: float) -> Array:
    """Eq. 10 with S = 1 and T = `shape`, at ``x > D`` upwind and `y` across, by one logarithm and one exponential."""
    u = x - D
    narrow = (1 + CC * x) / (x * x * (AC**2 * BC * shape**2))  # 1 over the variance across, Eq. 18
    return A / np.sqrt(2 * np.pi) * np.sqrt(narrow) * np.exp(B * np.log(u) - C / u - y * y * narrow / 2)


def _around(distance: Array, angle: Array, shape: float) -> Array:
    """The same at a scaled distance and an angle from upwind."""
    x, y = np.broadcast_arrays(distance * np.cos(angle), distance * np.sin(angle))
    ahead = (x > D + FRONT) & (x < END)
    density = np.zeros(x.shape)
    density[ahead] = _scaled_density(x[ahead], y[ahead], shape)
    return density


#: Ranges of T / S with the nodes around the circle that resolve them: narrow plumes are sharp in angle where they reach
#: far, wide ones where they end, beside the tower. Most half-hours are in the first; the last two hold those whose
#: crosswind is above twice the wind: few, but a record in error may be full of them, and would take minutes.
_SHAPES = ((0.17, 3.4, 768), (0.085, 0.17, 1536), (3.4, 6.8, 1536), (6.8, 13.6, 3072), (13.6, 27.2, 6144))
KERNELS = tuple(Kernel(_around, D + FRONT, END, low, high, directions) for low, high, directions in _SHAPES)


@cache
def _centre_line() -> tuple[Array, Array, Array, Array]:
    """Scaled distance, density over its peak, the absolute fourth derivative of that, and the crosswind spread."""
    x = D + np.geomspace(FRONT, END, 3000)
    density = _scaled_density(x, np.zeros(x.size), 1.0)
    density /= density.max()
    fourth = density
    for _ in range(4):
        fourth = np.gradient(fourth, x)
    few = slice(None, None, 10)
    return x[few], density[few], np.abs(fourth[few]), AC * np.sqrt(BC * x**2 / (1 + CC * x))[few]


def _lines(s: Array, t: Array) -> list[Line]:
    """The sharpest cases among half-hours: the smallest `t`, with the smallest and the largest `s`."""
    x, density, fourth, spread = _centre_line()
    narrow, broad = t.min() * spread, t.max() * spread
    return [Line(length * x, density, fourth / length**4, narrow, broad) for length in (s.min(), s.max())]
