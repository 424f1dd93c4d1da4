"""Reflectance as seen from straight above: the c-factor of Roy et al., which takes the view angle out of Sentinel-2.

A forest or a field is brighter from one side than from the other. The two sides of neighbouring orbits, seen every few
days, so put a saw-tooth into a series. The c-factor multiplies a reflectance by what one model of the surface's
anisotropy gives for a view from nadir, divided by what it gives for the view as observed; the sun stays where it was.

Source: kernels RossThick and LiSparse-R, Lucht et al. 2000 (doi 10.1109/36.841980, eq. 37-44, b/r = 1, h/b = 2);
c-factor and coefficients Roy et al. 2016 (doi 10.1016/j.rse.2016.01.023), red edge Roy et al. 2017 (doi
10.1016/j.rse.2017.06.019). B8A takes those of B08, as HLS does (Claverie et al. 2018, doi 10.1016/j.rse.2018.09.002).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: Band -> weights of the isotropic, geometric and volumetric kernel.
COEFFICIENTS: dict[str, tuple[float, float, float]] = {
    "B02": (0.0774, 0.0079, 0.0372),
    "B03": (0.1306, 0.0178, 0.0580),
    "B04": (0.1690, 0.0227, 0.0574),
    "B05": (0.2085, 0.0256, 0.0845),
    "B06": (0.2316, 0.0273, 0.1003),
    "B07": (0.2599, 0.0294, 0.1197),
    "B08": (0.3093, 0.0330, 0.1535),
    "B8A": (0.3093, 0.0330, 0.1535),
    "B11": (0.3430, 0.0453, 0.1154),
    "B12": (0.2658, 0.0387, 0.0639),
}


def c_factor(band: str, sun_zenith: Any, view_zenith: Any, relative_azimuth: Any) -> Any:
    """What a reflectance of `band` is to be multiplied by, to be seen from nadir under the same sun.

    Parameters
    ----------
    band : str
        One of `COEFFICIENTS`.
    sun_zenith, view_zenith, relative_azimuth : float or ndarray
        Degrees; the azimuth of the sun minus that of the view.

    Examples
    --------
    >>> float(c_factor("B04", 40.0, 0.0, 50.0)), float(c_factor("B04", 40.0, 8.0, 50.0)) < 1  # bright: the sun behind
    (1.0, True)
    """
    nadir = _anisotropy(band, sun_zenith, np.zeros_like(view_zenith, dtype="float64"), relative_azimuth)
    return nadir / _anisotropy(band, sun_zenith, view_zenith, relative_azimuth)


def factors(angles: Mapping[str, np.ndarray], bands: list[str]) -> dict[str, np.ndarray]:
    """Of each band, the c-factor of each acquisition, from the four angles as files name them (n,)."""
    azimuth = angles["sunAzimuthAngles"] - angles["viewAzimuthMean"]
    return {band: c_factor(band, angles["sunZenithAngles"], angles["viewZenithMean"], azimuth) for band in bands}


def _anisotropy(band: str, sun: Any, view: Any, azimuth: Any) -> Any:
    isotropic, geometric, volumetric = COEFFICIENTS[band]
    s, v, a = np.radians(sun), np.radians(view), np.radians(azimuth)
    return isotropic + geometric * _li_sparse(s, v, a) + volumetric * _ross_thick(s, v, a)


def _ross_thick(s: Any, v: Any, a: Any) -> Any:
    cosine = np.clip(np.cos(s) * np.cos(v) + np.sin(s) * np.sin(v) * np.cos(a), -1.0, 1.0)
    phase = np.arccos(cosine)
    return ((np.pi / 2 - phase) * cosine + np.sin(phase)) / (np.cos(s) + np.cos(v)) - np.pi / 4


def _li_sparse(s: Any, v: Any, a: Any) -> Any:
    """Reciprocal; crowns as high as they are wide (b/r = 1), so that no angle is transformed."""
    secants = 1.0 / np.cos(s) + 1.0 / np.cos(v)
    distance = np.tan(s) ** 2 + np.tan(v) ** 2 - 2.0 * np.tan(s) * np.tan(v) * np.cos(a)
    across = (np.tan(s) * np.tan(v) * np.sin(a)) ** 2
    cosine = np.clip(2.0 * np.sqrt(np.clip(distance + across, 0.0, None)) / secants, -1.0, 1.0)
    t = np.arccos(cosine)
    overlap = (t - np.sin(t) * cosine) * secants / np.pi
    phase = np.cos(s) * np.cos(v) + np.sin(s) * np.sin(v) * np.cos(a)
    return overlap - secants + 0.5 * (1.0 + phase) / (np.cos(s) * np.cos(v))
