"""What Sentinel-2 sees of a landscape: surface reflectance, haze, clouds, shadows, snow and a scene classification.

Canopy over ground is mixed by Beer-Lambert with one extinction for each band; the end-members are ours, drawn by hand
to the shapes of common spectral libraries. A later version replaces :func:`canopy_reflectance` by a PROSAIL table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecoembed.sensors import S2_L2A
from ecoembed.virtual.landscape import Landscape, smooth_noise
from ecoembed.virtual.vegetation import COVERS, Growth

#: Reflectance of an optically deep layer of leaves, in the band order of :data:`ecoembed.sensors.S2_L2A`.
LEAVES: dict[str, tuple[float, ...]] = {
    "broadleaf": (0.020, 0.045, 0.022, 0.085, 0.270, 0.360, 0.395, 0.410, 0.190, 0.080),
    "needle": (0.017, 0.034, 0.021, 0.060, 0.170, 0.220, 0.245, 0.255, 0.120, 0.055),
    "sclerophyll": (0.022, 0.042, 0.027, 0.070, 0.195, 0.250, 0.275, 0.290, 0.160, 0.078),
    "grass": (0.028, 0.062, 0.034, 0.105, 0.285, 0.360, 0.390, 0.405, 0.225, 0.115),
    "crop": (0.026, 0.056, 0.028, 0.100, 0.320, 0.425, 0.465, 0.480, 0.210, 0.095),
}
GROUND: dict[str, tuple[float, ...]] = {
    "soil": (0.075, 0.105, 0.145, 0.170, 0.190, 0.208, 0.225, 0.245, 0.330, 0.290),
    "litter": (0.055, 0.085, 0.120, 0.150, 0.185, 0.205, 0.225, 0.245, 0.310, 0.230),
    "built": (0.115, 0.130, 0.145, 0.155, 0.170, 0.180, 0.190, 0.198, 0.225, 0.205),
    "snow": (0.880, 0.880, 0.875, 0.870, 0.860, 0.850, 0.835, 0.800, 0.110, 0.090),
    "cloud": (0.760, 0.745, 0.735, 0.735, 0.730, 0.725, 0.720, 0.715, 0.520, 0.420),
}
#: Two-way extinction for each unit of leaf area: strong where leaves absorb, weak where they scatter.
EXTINCTION = (1.15, 0.90, 1.15, 0.80, 0.62, 0.56, 0.55, 0.55, 0.75, 0.90)
#: Share of the reflectance that wet ground loses, and additive path reflectance of haze relative to the blue band.
_WET_DARKENING = 0.45
_HAZE = (1.0, 0.75, 0.58, 0.52, 0.46, 0.41, 0.36, 0.34, 0.08, 0.03)
#: Scene classes of the L2A product.
SHADOW, VEGETATION, BARE, UNCLASSIFIED, CLOUD_MEDIUM, CLOUD_HIGH, CIRRUS, SNOW = 3, 4, 5, 7, 8, 9, 10, 11


@dataclass(frozen=True)
class Scenes:
    """Acquisitions of Sentinel-2.

    Attributes
    ----------
    reflectance : ndarray, shape (time, band, y, x)
        Float32, 0-1, all ten bands on the 10 m grid.
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
    *rest, rows, columns = values.shape
    return np.asarray(values.reshape(*rest, rows // 2, 2, columns // 2, 2).mean((-3, -1)))


def _refine(values: np.ndarray) -> np.ndarray:
    """Repeat each pixel twice along the last two axes: from the 20 m to the 10 m grid."""
    return values.repeat(2, -2).repeat(2, -1)


def snow_cover(growth: Growth) -> np.ndarray:
    """Share of the ground under snow, (days,): half at 10 mm of water equivalent."""
    return np.asarray(growth.snow / (growth.snow + 10.0))


def canopy_reflectance(growth: Growth, land: Landscape, leaf_area: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Surface reflectance (time, band, y, x) float32 on the days numbered `day`: leaves over soil, litter and snow.

    Parameters
    ----------
    growth, land : Growth, Landscape
    leaf_area : ndarray, shape (days, y, x)
    day : ndarray of int, shape (time,)
    """
    built = np.array([name == "BUILT" for name in land.cover])
    ground = {name: np.array(spectrum) for name, spectrum in GROUND.items()}
    dry = np.where(built[:, None], ground["built"], ground["soil"]) * land.soil[:, None]
    wet = dry * (1.0 - _WET_DARKENING * growth.surface[day][:, :, None])
    litter = growth.litter[day][:, :, None] * ~built[:, None]
    snow = snow_cover(growth)[day][:, None, None]
    under = (1.0 - snow) * ((1.0 - litter) * wet + litter * ground["litter"]) + snow * ground["snow"]
    leaves = np.array([LEAVES[COVERS[name].leaf] for name in land.cover])
    low = np.array([name in ("GRA", "CRO", "BUILT") for name in land.cover])  # short canopies vanish under snow
    above = leaf_area[day] * (1.0 - np.where(low, snow[:, :, 0], 0.2 * snow[:, :, 0]))[:, land.field]
    through = np.exp(-np.array(EXTINCTION, np.float32)[:, None, None] * above[:, None].astype(np.float32))
    deep = leaves.T.astype(np.float32)[:, land.field]
    return np.asarray(deep + (under.astype(np.float32).transpose(0, 2, 1)[:, :, land.field] - deep) * through)


def _cloud_opacity(cover: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Opacity 0-1 of blobs of cloud, (time, y, x): where a correlated field exceeds what `cover` leaves free."""
    shape = (len(cover), size, size)
    field = 0.75 * rng.standard_normal((len(cover), 1, 1)) + 0.66 * smooth_noise(shape, 5.0, rng)
    odds = np.log(np.clip(cover, 0.01, 0.99) / (1.0 - np.clip(cover, 0.01, 0.99)))
    excess = field + (odds / 1.7 - 0.2)[:, None, None]  # logit / 1.7 is close to the Gaussian quantile
    return np.asarray(np.clip(excess / 0.8, 0.0, 1.0), dtype=np.float32)


def _classify(
    seen: np.ndarray,
    opacity: np.ndarray,
    shadow: np.ndarray,
    cirrus: np.ndarray,
    snow: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Scene classes on the 20 m grid: thin cloud and cloud edges are often missed, bright ground is sometimes cloud."""
    red, nir = (coarsen(seen[:, S2_L2A.band_names.index(band)]) for band in ("B04", "B08"))
    ndvi = (nir - red) / (nir + red + 1e-6)
    opacity, shadow = coarsen(opacity), coarsen(shadow)
    classes = np.where(ndvi > 0.4, VEGETATION, BARE)
    classes[(ndvi > 0.3) & (ndvi <= 0.4) & (rng.random(ndvi.shape) < 0.3)] = UNCLASSIFIED
    classes[(snow > 0.3)[:, None, None] & (red > 0.25)] = SNOW
    classes[(red > 0.2) & (classes == BARE) & (rng.random(ndvi.shape) < 0.4)] = CLOUD_MEDIUM
    classes[(cirrus > 0.02)[:, None, None] & (rng.random(ndvi.shape) < 0.8)] = CIRRUS
    classes[shadow > 0.4] = SHADOW
    threshold = rng.uniform(0.15, 0.45, (len(seen), 1, 1))  # the processor is stricter on some dates than on others
    classes[opacity > threshold] = CLOUD_MEDIUM
    classes[opacity > threshold + 0.3] = CLOUD_HIGH
    return classes.astype(np.uint8)


def observe(
    growth: Growth, land: Landscape, leaf_area: np.ndarray, day: np.ndarray, cover: np.ndarray, rng: np.random.Generator
) -> Scenes:
    """Sentinel-2 acquisitions on the days numbered `day`, under the cloud `cover` (0-1) of the moment of overpass.

    Parameters
    ----------
    growth, land : Growth, Landscape
    leaf_area : ndarray, shape (days, y, x)
    day : ndarray of int, shape (time,)
    cover : ndarray, shape (time,)
    rng : numpy.random.Generator
    """
    size, times = leaf_area.shape[-1], len(day)
    surface = canopy_reflectance(growth, land, leaf_area, day)
    opacity = _cloud_opacity(cover, size, rng)
    shift = tuple(int(s) for s in rng.integers(4, 9, 2))  # the sun stands in one sector at every overpass
    shadow = np.roll(opacity, shift, axis=(1, 2)) * (opacity < 0.2)
    cirrus = np.where(rng.random(times) < 0.12, rng.uniform(0.01, 0.06, times), 0.0).astype(np.float32)
    haze = (0.006 * rng.gamma(0.8, 1.0, times) - 0.002).astype(np.float32)
    directional = np.exp(0.03 * rng.standard_normal((times, 1, 1, 1))).astype(np.float32)
    path = haze[:, None] * np.array(_HAZE, np.float32) + cirrus[:, None]
    seen = surface * directional * (1.0 - np.float32(0.55) * shadow[:, None]) + path[:, :, None, None]
    bright = np.array(GROUND["cloud"], np.float32)[:, None, None] * (0.5 + 0.5 * opacity[:, None])
    seen += opacity[:, None] * (bright - seen)
    seen *= 1.0 + np.float32(0.015) * rng.standard_normal(seen.shape, dtype=np.float32)
    seen += np.float32(0.0015) * rng.standard_normal(seen.shape, dtype=np.float32)
    classes = _classify(seen, opacity, shadow, cirrus, snow_cover(growth)[day], rng)
    observed = _swath(times, size // 2, rng)
    return Scenes(
        reflectance=np.clip(seen, 1e-4, 1.2),
        classes=np.where(observed, classes, 0).astype(np.uint8),
        cloud=(opacity > 0.1) | (shadow > 0.4),
        observed=observed,
    )


def _swath(times: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Inside the swath, (time, y, x) on the 20 m grid: its edge cuts the place on about one date of twenty-five."""
    edge = np.where(rng.random(times) < 0.04, rng.integers(0, size, times), size)
    return np.broadcast_to(np.arange(size) < edge[:, None, None], (times, size, size))


def digital_numbers(scenes: Scenes) -> dict[str, np.ndarray]:
    """The bands as the product holds them, uint16 in 1e-4: 10 m bands (time, y, x), 20 m bands (time, y / 2, x / 2)."""
    numbers = {}
    for i, band in enumerate(S2_L2A.bands):
        fine = band.resolution_m == 10
        values = scenes.reflectance[:, i] if fine else coarsen(scenes.reflectance[:, i])
        valid = _refine(scenes.observed) if fine else scenes.observed
        numbers[band.name] = np.where(valid, np.round(values / S2_L2A.scale), S2_L2A.nodata).astype(np.uint16)
    return numbers
