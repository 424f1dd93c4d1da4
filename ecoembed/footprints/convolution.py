"""The sum of very many footprints at many points, as a convolution.

Where a footprint, in units of its own length, is one function but for its shape, its size and its wind direction only
shift it in the logarithm of distance and in angle::

    r**2 f(r, angle) = K(log r - log length, angle - wind direction; shape)

(``r**2 f`` is its share per unit of log distance and angle). The sum over half-hours is then the convolution of ``K``
with the number of half-hours at each (log length, wind direction), added up over shapes. Half-hours are spread over
the nodes of a regular lattice in (length, shape, direction), convolved by fast Fourier transform, and the sum is read
off at the points. Whatever lies between nodes, half-hours and points alike, goes by splines of fifth degree, which
leaves an error of less than 2e-7 of a footprint's peak. The cost is that of spreading each half-hour over 6 x 6 x 6
nodes and of reading 6 x 6 nodes for each point: it grows with half-hours plus points, not with their product. Memory
does not grow with the half-hours.

Source: the splines and their filter, Unser, Aldroubi and Eden (1993), IEEE Trans. Signal Process. 41, 821-848.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage

from ecoembed.footprints.validity import Array

#: Distance between nodes in the logarithm of distance (and length), and of shape.
STEP, SHAPE_STEP = 0.06, 0.1
_DEGREE = 5
_MARGIN = 20  # nodes over which a spline forgets an edge: by 0.43 each
_CHUNK = 1024  # half-hours spread at once: arrays of 1.7 MiB


class Kernel(NamedTuple):
    """Footprints of half-hours of unit length with wind from the north, and the nodes that resolve them.

    Attributes
    ----------
    density : function of distances (n, 1), angles from upwind (m,), in radians, and a shape
        Nothing outside distances `nearest` to `farthest`.
    low, high : float
        Range of shapes.
    directions : int
        Nodes around the circle.
    """

    density: Callable[[Array, Array, float], Array]
    nearest: float
    farthest: float
    low: float
    high: float
    directions: int


def convolved_density(east: Array, north: Array, length: Array, shape: Array, wind_dir: Array, kernel: Kernel) -> Array:
    """Sum over half-hours of the footprint at points around the tower, m-2.

    Parameters
    ----------
    east, north : array, shape (points,)
        Positions relative to the tower, m.
    length, shape, wind_dir : array, shape (half-hours,)
        Length, m; shape, within the kernel's range; degrees clockwise from north.
    """
    half_circle = kernel.directions / 2 / np.pi
    order = np.argsort(length, kind="stable")
    at = np.stack([np.log(length) / STEP, np.log(shape) / SHAPE_STEP, np.radians(wind_dir) * half_circle])[:, order]
    counts, (first_length, first_shape) = _spread(at, kernel.directions)
    transformed, kernel_shape, kernel_distance = _transform(kernel)
    transformed = transformed[first_shape - kernel_shape :][: counts.shape[1]]
    size = fft.next_fast_len(counts.shape[0] + transformed.shape[1])
    spectrum = np.zeros((size, transformed.shape[2]), dtype=complex)
    for some, of_shape in zip(fft.rfft(counts, axis=2).swapaxes(0, 1), transformed, strict=True):
        spectrum += fft.fft(some, size, axis=0) * fft.fft(of_shape, size, axis=0)
    density = fft.irfft(fft.ifft(spectrum, axis=0), kernel.directions, axis=1)
    return _read(density, east, north, first_length + kernel_distance, kernel.nearest * length.min(), half_circle)


def _spread(at: Array, directions: int) -> tuple[Array, tuple[int, int]]:
    """Spline coefficients of half-hours at the nodes (length, shape, direction), and the first length and shape."""
    low, high = np.floor(at[:2].min(axis=1)).astype(int) - 2, np.floor(at[:2].max(axis=1)).astype(int) + 4
    counts = np.zeros((*(high - low), directions))
    for i in range(0, at.shape[1], _CHUNK):  # sorted by length: each piece needs few nodes of it
        first, weights = _spline(at[:, i : i + _CHUNK])
        length, shape, direction = (first[:, :, None] + np.arange(_DEGREE + 1)).astype(int)
        rows = slice(length.min() - low[0], length.max() - low[0] + 1)
        node = (length - length.min())[:, :, None] * counts.shape[1] + (shape - low[1])[:, None, :]
        node = node[..., None] * directions + (direction % directions)[:, None, None, :]
        weight = (weights[0][:, :, None] * weights[1][:, None, :])[..., None] * weights[2][:, None, None, :]
        part = counts[rows]
        part += np.bincount(node.ravel(), weight.ravel(), minlength=part.size).reshape(part.shape)
    return counts, (int(low[0]), int(low[1]))


def _spline(at: Array) -> tuple[Array, Array]:
    """The first of the six nodes around each position, and their weights (..., 6): de Boor's recursion."""
    first = np.floor(at)
    within, k = (at - first)[..., None], np.arange(_DEGREE + 1)
    weights = np.zeros((*at.shape, _DEGREE + 1))
    weights[..., 0] = 1
    for degree in range(1, _DEGREE + 1):
        weights = ((within + degree - k) * np.roll(weights, 1, axis=-1) + (k + 1 - within) * weights) / degree
    return first - 2, weights


@cache
def _transform(kernel: Kernel) -> tuple[Array, int, int]:
    """The kernel as (shape, log distance, mode around the circle), and the nodes at which shape and distance begin.

    It is an even function of the angle: half a circle holds it, and its transform is real.
    """
    first, last = (int(np.floor(np.log(shape) / SHAPE_STEP)) for shape in (kernel.low, kernel.high))
    shapes = SHAPE_STEP * np.arange(first - 2 - _MARGIN, last + 4 + _MARGIN)
    nearest, farthest = int(np.floor(np.log(kernel.nearest) / STEP)), int(np.ceil(np.log(kernel.farthest) / STEP))
    r = np.exp(STEP * np.arange(nearest, farthest + 1))[:, None]
    angle = np.linspace(0, np.pi, kernel.directions // 2 + 1)
    values = np.zeros((shapes.size, r.size + _MARGIN, angle.size))
    for value, shape in zip(values, np.exp(shapes), strict=True):
        value[: r.size] = r**2 * kernel.density(r, angle, shape)
    for axis, edge in enumerate(("mirror", "grid-wrap", "mirror")):
        ndimage.spline_filter1d(values, _DEGREE, axis, output=values, mode=edge)
    return fft.dct(values[_MARGIN:-_MARGIN], type=1, axis=2), first - 2, nearest


def _read(density: Array, east: Array, north: Array, first: int, nearest: float, half_circle: float) -> Array:
    """The density at points, from ``r**2`` times it at the nodes (distance, angle); none is nearer than `nearest`."""
    r = np.hypot(east, north)
    size = np.log(np.maximum(r, nearest)) / STEP - first
    at = np.minimum(size, density.shape[0] - 1), np.arctan2(east, north) * half_circle
    values = ndimage.map_coordinates(density, at, order=_DEGREE, mode="grid-wrap")
    return np.where(r > nearest, np.maximum(values, 0) / np.maximum(r, nearest) ** 2, 0)
