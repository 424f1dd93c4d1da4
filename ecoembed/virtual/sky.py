"""Clouds over a landscape, the shadows that they cast where the sun stands, and thin cirrus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecoembed.virtual.landscape import smooth_noise
from ecoembed.virtual.orbits import Passes

#: Heights of the cloud layers in m, and the steepest ratio of shadow length to height that is cast.
_HEIGHTS, _LONGEST = (300.0, 3500.0), 6.0
#: The sky is drawn on a canvas so many times as wide as the place: most shadows come from clouds beside it.
_CANVAS = 3


@dataclass(frozen=True)
class Clouds:
    """Opacity of cloud and depth of its shadow, 0-1 float32 (time, y, x); reflectance that cirrus adds (time,)."""

    opacity: np.ndarray
    shadow: np.ndarray
    cirrus: np.ndarray


def opacity(cover: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Opacity 0-1 of blobs of cloud, (time, y, x): where a correlated field exceeds what `cover` leaves free.

    Periodic in y and x.
    """
    shape = (len(cover), size, size)
    blobs, edges = smooth_noise(shape, 5.0, rng), smooth_noise(shape, 1.8, rng)
    whole = 0.75 * rng.standard_normal(len(cover))
    odds = np.log(np.clip(cover, 0.01, 0.99) / (1.0 - np.clip(cover, 0.01, 0.99)))
    level = odds / 1.7 - 0.2  # logit / 1.7 is close to the Gaussian quantile
    for t, blob in enumerate(blobs):
        excess = whole[t] + 0.64 * blob + 0.16 * edges[t] + level[t]
        blob[:] = np.clip(excess / 0.8, 0.0, 1.0)
    return blobs


def cast(
    clouds: np.ndarray, height: np.ndarray, sun_zenith: np.ndarray, sun_azimuth: np.ndarray, size: int
) -> np.ndarray:
    """Shadow of the periodic `clouds` (time, y, x) on the first `size` rows and columns of 10 m pixels.

    The shadow falls away from the sun, by `height` (m) times the tangent of the sun's zenith angle.

    Examples
    --------
    >>> clouds = np.zeros((1, 9, 9))
    >>> clouds[0, 4, 4] = 1.0
    >>> shadow = cast(clouds, *np.array([[20.0], [45.0], [180.0]]), size=9)  # the sun in the south
    >>> np.argwhere(shadow[0]).tolist()  # two rows to the north
    [[2, 4]]
    """
    length = height * np.minimum(np.tan(np.radians(sun_zenith)), _LONGEST) / 10.0
    azimuth = np.radians(sun_azimuth)
    rows = np.round(-length * np.cos(azimuth)).astype(int)  # towards the sun; rows run south
    columns = np.round(length * np.sin(azimuth)).astype(int)
    pixel, (_, height_, width) = np.arange(size), clouds.shape
    y, x = (pixel + rows[:, None]) % height_, (pixel + columns[:, None]) % width
    return np.asarray(clouds[np.arange(len(clouds))[:, None, None], y[:, :, None], x[:, None, :]])


def draw(cover: np.ndarray, size: int, passes: Passes, rng: np.random.Generator) -> Clouds:
    """The sky over `size` x `size` pixels at each pass, under the cloud `cover` (0-1)."""
    canvas = opacity(cover, _CANVAS * size, rng)
    over = canvas[:, :size, :size].copy()
    shadow = cast(canvas, rng.uniform(*_HEIGHTS, len(cover)), passes.sun_zenith, passes.sun_azimuth, size)
    times = len(cover)
    cirrus = np.where(rng.random(times) < 0.12, rng.uniform(0.01, 0.06, times), 0.0).astype(np.float32)
    return Clouds(over, shadow * (1.0 - over), cirrus)
