"""A scene classification with a real one's faults: thin cloud, edges and shadow are missed, bright soil suspected."""

from __future__ import annotations

import numpy as np

from ecoembed.virtual.canopy import BANDS
from ecoembed.virtual.landscape import smooth_noise

#: Scene classes of the L2A product.
DARK, SHADOW, VEGETATION, BARE, WATER, UNCLASSIFIED, CLOUD_MEDIUM, CLOUD_HIGH, CIRRUS, SNOW = range(2, 12)
#: Share of the dates on which shadows are not looked for with success at all.
_BLIND = 0.2


def classify(
    seen: np.ndarray, opacity: np.ndarray, shadow: np.ndarray, cirrus: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Scene classes, uint8 (time, y, x), of what a satellite saw.

    Parameters
    ----------
    seen : ndarray, shape (time, 12, y, x)
        Reflectance.
    opacity, shadow : ndarray, shape (time, y, x)
        Of clouds, 0-1.
    cirrus : ndarray, shape (time,)
        Reflectance that it adds.
    rng : numpy.random.Generator
    """
    green, red, nir, swir = (seen[:, BANDS.index(band)] for band in ("B03", "B04", "B08", "B11"))
    ndvi, ndsi = (nir - red) / (nir + red + 1e-6), (green - swir) / (green + swir + 1e-6)
    doubt = smooth_noise(ndvi.shape, 2.0, rng)  # errors come in patches; standard normal
    classes = np.where(ndvi > 0.4, VEGETATION, BARE)
    classes[(ndvi > 0.3) & (ndvi <= 0.4) & (doubt > 0.5)] = UNCLASSIFIED
    classes[(red > 0.2) & (classes == BARE) & (doubt > 0.25)] = CLOUD_MEDIUM
    classes[(nir < 0.08) & (green <= nir)] = DARK
    classes[(nir < 0.12) & (green > nir)] = WATER
    classes[(ndsi > 0.4) & (green > 0.2)] = SNOW
    classes[(cirrus > 0.02)[:, None, None] & (doubt > -0.85)] = CIRRUS
    found = rng.random(len(seen)) > _BLIND
    classes[(shadow > 0.4) & found[:, None, None]] = SHADOW
    threshold = rng.uniform(0.15, 0.45, (len(seen), 1, 1))  # the processor is stricter on some dates than on others
    classes[opacity > threshold] = CLOUD_MEDIUM
    classes[opacity > threshold + 0.3] = CLOUD_HIGH
    return classes.astype(np.uint8)
