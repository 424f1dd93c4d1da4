"""What Sentinel-1 sees of a landscape: the water-cloud model under multiplicative speckle.

Source: Attema and Ulaby 1978, doi 10.1029/RS013i002p00357. The coefficients are ours, of the size published for crops,
grass and forest at C band.
"""

from __future__ import annotations

import numpy as np

from ecoembed.virtual.landscape import Landscape
from ecoembed.virtual.radiance import coarsen, snow_cover
from ecoembed.virtual.vegetation import Growth

#: Incidence angle in degrees, and the looks of a ground-range detected scene resampled to 20 m.
_INCIDENCE = 38.0
_LOOKS = 9.0
#: Polarisation -> (A, scattering of the leaves; B, two-way attenuation; soil in dB when dry; dB from dry to wet soil).
COEFFICIENTS: dict[str, tuple[float, float, float, float]] = {
    "VV": (0.13, 0.13, -14.0, 7.0),
    "VH": (0.036, 0.10, -21.5, 4.5),
}
#: Leaves do not make a tree's crown: branches add constant water to it, as if they were leaf area.
_WOOD = {"DBF": 3.0, "ENF": 3.0, "EBF": 2.2, "SAV": 1.0}
#: Walls and roads return more than soil, in dB.
_BUILT_DB = 7.0


def backscatter(
    growth: Growth, land: Landscape, leaf_area: np.ndarray, day: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Backscatter in dB of ``VV`` and ``VH``, each (time, y / 2, x / 2), on the days numbered `day`.

    Parameters
    ----------
    growth, land : Growth, Landscape
    leaf_area : ndarray, shape (days, y, x)
    day : ndarray of int, shape (time,)
    rng : numpy.random.Generator
    """
    slant = np.cos(np.radians(_INCIDENCE))
    wood = np.array([_WOOD.get(name, 0.0) for name in land.cover])[land.field]
    built = np.array([_BUILT_DB if name == "BUILT" else 0.0 for name in land.cover])[land.field]
    water = leaf_area[day] + wood
    wet_snow = (3.0 * snow_cover(growth)[day])[:, None, None]
    bands = {}
    for name, (scatter, attenuation, dry, gain) in COEFFICIENTS.items():
        through = np.exp(-2.0 * attenuation * water / slant)
        soil = 10.0 ** ((dry + built + gain * growth.surface[day][:, land.field] - wet_snow) / 10.0)
        power = coarsen(scatter * slant * (1.0 - through) * (water / (water + 1.0)) + through * soil)
        bands[name] = 10.0 * np.log10(power * rng.gamma(_LOOKS, 1.0 / _LOOKS, power.shape))
    return bands
