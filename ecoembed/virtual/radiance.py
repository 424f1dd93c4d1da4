"""What Sentinel-2 sees of a landscape: surface reflectance, haze, clouds, shadows, and a scene classification.

Canopies over any ground come from the table of :mod:`ecoembed.virtual.canopy`, for the sun and view of each pass. The
spectra of the grounds are ours, drawn by hand to the shapes of common spectral libraries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecoembed.virtual import canopy, sky
from ecoembed.virtual.canopy import BANDS
from ecoembed.virtual.classification import classify
from ecoembed.virtual.landscape import Landscape, smooth_noise
from ecoembed.virtual.orbits import Passes
from ecoembed.virtual.vegetation import COVERS, Growth

#: Reflectance of grounds, in the order of the table's bands; forests stand on a floor of moss, herbs and twigs.
GROUND: dict[str, tuple[float, ...]] = {
    "soil": (0.060, 0.075, 0.105, 0.145, 0.170, 0.190, 0.208, 0.225, 0.245, 0.260, 0.330, 0.290),
    "floor": (0.027, 0.034, 0.056, 0.060, 0.095, 0.140, 0.165, 0.180, 0.190, 0.190, 0.200, 0.130),
    "litter": (0.045, 0.055, 0.085, 0.120, 0.150, 0.185, 0.205, 0.225, 0.245, 0.250, 0.310, 0.230),
    "built": (0.105, 0.115, 0.130, 0.145, 0.155, 0.170, 0.180, 0.190, 0.198, 0.200, 0.225, 0.205),
    "snow": (0.900, 0.890, 0.885, 0.880, 0.870, 0.860, 0.850, 0.835, 0.800, 0.700, 0.110, 0.090),
    "water": (0.045, 0.042, 0.045, 0.034, 0.029, 0.022, 0.021, 0.019, 0.017, 0.012, 0.006, 0.004),
}
_CLOUD = (0.770, 0.760, 0.745, 0.735, 0.735, 0.730, 0.725, 0.720, 0.715, 0.600, 0.520, 0.420)
#: Share of the reflectance that wet ground loses: water absorbs most in the shortwave infrared.
_WET_DARKENING = (0.40, 0.40, 0.41, 0.42, 0.42, 0.43, 0.43, 0.44, 0.44, 0.46, 0.52, 0.58)
#: Additive path reflectance of haze relative to the blue band.
_HAZE = (1.15, 1.0, 0.75, 0.58, 0.52, 0.46, 0.41, 0.36, 0.34, 0.25, 0.08, 0.03)
#: Share of the light that comes straight from the sun, which an opaque cloud takes away.
_DIRECT = (0.45, 0.52, 0.60, 0.66, 0.68, 0.70, 0.72, 0.74, 0.75, 0.76, 0.85, 0.88)
#: Covers whose plants snow buries, and those that stand on a forest floor.
_LOW, _WOODED = ("GRA", "CRO", "BUILT", "WET"), ("DBF", "MF", "ENF")
#: Share of the snow on a forest floor that twigs, trunks and their shadows leave to be seen.
_UNDER_TREES = 0.6
#: The two soils between which each pixel's lies, relative to its field's.
_SOILS = (0.7, 1.3)


@dataclass(frozen=True)
class Scenes:
    """Acquisitions of Sentinel-2.

    Attributes
    ----------
    reflectance : ndarray, shape (time, band, y, x)
        Float32, of all twelve bands on the 10 m grid; noise may take it below 0.
    classes : ndarray of uint8, shape (time, y / 2, x / 2)
        Scene classification on the 20 m grid; 0 = outside the swath.
    cloud : ndarray of bool, shape (time, y, x)
        The truth that `classes` sometimes misses: opaque cloud or its shadow.
    observed : ndarray of bool, shape (time, y / 2, x / 2)
        Inside the swath.
    """

    reflectance: np.ndarray
    classes: np.ndarray
    cloud: np.ndarray
    observed: np.ndarray


def coarsen(values: np.ndarray) -> np.ndarray:
    """Mean over blocks of 2 x 2 pixels of the last two axes: from the 10 m to the 20 m grid."""
    top, bottom = values[..., ::2, :], values[..., 1::2, :]
    return np.asarray((top[..., ::2] + top[..., 1::2] + bottom[..., ::2] + bottom[..., 1::2]) * 0.25)


def snow_cover(growth: Growth) -> np.ndarray:
    """Share of the ground under snow, (days,): half at 10 mm of water equivalent."""
    return np.asarray(growth.snow / (growth.snow + 10.0))


def ground(growth: Growth, land: Landscape, day: np.ndarray) -> np.ndarray:
    """Reflectance of the ground of each field on the days numbered `day`, over its darkest and its brightest soil.

    Soil or forest floor, darkened by water in it; over it litter, standing water, and snow over all.

    Returns
    -------
    ndarray, shape (time, F, 2, 12)
    """
    spectra = {name: np.array(spectrum) for name, spectrum in GROUND.items()}
    built, wooded = (np.array([name in kinds for name in land.cover]) for kinds in (("BUILT",), _WOODED))
    bare = np.select([built[:, None], wooded[:, None]], [spectra["built"], spectra["floor"]], spectra["soil"])
    bare = bare[:, None] * land.soil[:, None, None] * np.array(_SOILS)[:, None]

    def share(values: np.ndarray) -> np.ndarray:
        return values[day][:, :, None, None]

    under = bare * (1.0 - np.array(_WET_DARKENING) * share(growth.surface))
    litter = share(growth.litter * ~built)
    under = under + litter * (spectra["litter"] - under)
    under = under + share(growth.flood) * (spectra["water"] - under)
    white = snow_cover(growth)[day][:, None, None, None] * np.where(wooded, _UNDER_TREES, 1.0)[:, None, None]
    return np.asarray(under + white * (spectra["snow"] - under))


def canopy_reflectance(
    growth: Growth, land: Landscape, leaf_area: np.ndarray, passes: Passes, brightness: np.ndarray | float = 1.0
) -> np.ndarray:
    """Surface reflectance (time, band, y, x) float32 as each pass sees it, without any atmosphere.

    Parameters
    ----------
    growth, land : Growth, Landscape
    leaf_area : ndarray, shape (days, y, x)
    passes : Passes
    brightness : ndarray, shape (y, x), or float
        Of each pixel's soil relative to its field's, 0.7-1.3.
    """
    shape = len(passes.day), len(land.cover)

    def flat(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, shape).ravel()

    leaves = np.array([canopy.LEAVES.index(COVERS[name].leaf) for name in land.cover])
    under = ground(growth, land, passes.state)
    at = canopy.curves(
        flat(leaves),
        flat(growth.chlorophyll[passes.state]),
        flat(passes.sun_zenith[:, None]),
        flat(passes.view_zenith[:, None]),
        flat(passes.relative_azimuth[:, None]),
        under.reshape(-1, *under.shape[2:]),
    ).reshape(-1, len(BANDS))  # rows: time, field, soil, node of the leaf area
    snow = snow_cover(growth)[passes.state, None]
    buried = np.where([name in _LOW for name in land.cover], snow, 0.2 * snow)
    standing = leaf_area[passes.state] * (1.0 - buried)[:, land.field]
    nodes = canopy.table().leaf_area
    node, weight = canopy.interval(nodes, standing)
    bright = (np.broadcast_to(brightness, land.field.shape) - _SOILS[0]) / (_SOILS[1] - _SOILS[0])
    seen = np.empty((shape[0], len(BANDS), *land.field.shape), np.float32)
    for t in range(shape[0]):  # pass by pass: a fraction of the memory
        darkest = (t * shape[1] + land.field) * len(_SOILS) * len(nodes) + node[t]
        mixed = np.zeros((*darkest.shape, len(BANDS)), np.float32)
        for soil, of_soil in enumerate((1.0 - bright, bright)):
            for up, of_node in enumerate((1.0 - weight[t], weight[t])):
                share = (of_soil * of_node).astype(np.float32)
                mixed += share[..., None] * at.take(darkest + soil * len(nodes) + up, axis=0)
        seen[t] = np.moveaxis(mixed, -1, 0)
    return seen


def observe(
    growth: Growth,
    land: Landscape,
    leaf_area: np.ndarray,
    passes: Passes,
    cover: np.ndarray,
    rng: np.random.Generator,
) -> Scenes:
    """Sentinel-2's acquisitions, under the cloud `cover` (0-1) of the moment of each pass.

    Parameters
    ----------
    growth, land : Growth, Landscape
    leaf_area : ndarray, shape (days, y, x)
    passes : Passes
    cover : ndarray, shape (time,)
    rng : numpy.random.Generator
    """
    size, times = leaf_area.shape[-1], len(passes.day)
    brightness = np.clip(1.0 + 0.1 * smooth_noise((size, size), 1.0, rng), *_SOILS)
    seen = canopy_reflectance(growth, land, leaf_area, passes, brightness)
    clouds = sky.draw(cover, size, passes, rng)
    airmass = 1.0 / np.cos(np.radians(np.minimum(passes.sun_zenith, 75.0)))
    haze = ((0.006 * rng.gamma(0.8, 1.0, times) - 0.002) * airmass / 1.4).astype(np.float32)
    seen *= np.exp(0.012 * rng.standard_normal((times, 1, 1, 1))).astype(np.float32)  # aerosol and calibration
    path = haze[:, None] * np.array(_HAZE, np.float32) + clouds.cirrus[:, None]
    for i in range(len(BANDS)):  # band by band: a fifth of the memory
        band = seen[:, i]
        band *= 1.0 - np.float32(_DIRECT[i]) * clouds.shadow
        band += path[:, i, None, None]
        band += clouds.opacity * (np.float32(_CLOUD[i]) * (0.5 + 0.5 * clouds.opacity) - band)
        band *= 1.0 + np.float32(0.015) * rng.standard_normal(band.shape, dtype=np.float32)
        band += np.float32(0.0015) * rng.standard_normal(band.shape, dtype=np.float32)
    classes = classify(coarsen(seen), coarsen(clouds.opacity), coarsen(clouds.shadow), clouds.cirrus, rng)
    observed = _swath(passes, size // 2, rng)
    return Scenes(
        reflectance=np.minimum(seen, 1.2, out=seen),
        classes=np.where(observed, classes, 0).astype(np.uint8),
        cloud=(clouds.opacity > 0.1) | (clouds.shadow > 0.4),
        observed=observed,
    )


def _swath(passes: Passes, size: int, rng: np.random.Generator) -> np.ndarray:
    """Inside the swath, (time, y, x) on the 20 m grid: its far edge cuts the place on one date of twenty-five."""
    times = len(passes.day)
    seen = np.where(rng.random(times) < 0.04, rng.integers(0, size, times), size)[:, None]
    column = np.arange(size)
    inside = np.where((passes.view_azimuth < 180.0)[:, None], column >= size - seen, column < seen)
    return np.broadcast_to(inside[:, None], (times, size, size))
