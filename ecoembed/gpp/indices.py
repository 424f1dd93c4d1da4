"""Spectral indices of a Sentinel-2 cube, pixel by pixel, from the spyndex catalogue.

An index cube is a `Cube` like any other: it passes through the same footprint, table, splits and scores.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from ecoembed.errors import ConfigError
from ecoembed.schema import check_cube
from ecoembed.sensors import S2_L2A

__all__ = ["BASELINES", "INDICES", "SPYNDEX_BANDS", "check_indices", "index_cube"]

#: Our band names in spyndex's letters. In spyndex ``RVI`` is the ratio RE2/R, not the radar vegetation index.
SPYNDEX_BANDS: Mapping[str, str] = {
    "B": "B02",
    "G": "B03",
    "R": "B04",
    "RE1": "B05",
    "RE2": "B06",
    "RE3": "B07",
    "N": "B08",
    "N2": "B8A",
    "S1": "B11",
    "S2": "B12",
}

#: The default set, with the range outside which a value is no signal of the surface but of a denominator near zero.
INDICES: Mapping[str, tuple[float, float]] = {
    "NDVI": (-1.0, 1.0),  # greenness (Rouse et al. 1974)
    "EVI2": (-1.0, 2.5),  # greenness with less saturation and no blue band (Jiang et al. 2008)
    "NIRv": (-1.0, 1.0),  # near-infrared reflectance of vegetation (Badgley et al. 2017)
    "kNDVI": (0.0, 1.0),  # NDVI with a Gaussian kernel (Camps-Valls et al. 2021)
    "CIG": (-1.0, 30.0),  # canopy chlorophyll, green (Gitelson et al. 2003)
    "CIRE": (-1.0, 20.0),  # canopy chlorophyll, red edge (Gitelson et al. 2003)
    "IRECI": (-3.0, 15.0),  # canopy chlorophyll from all three red-edge bands (Frampton et al. 2013)
    "LSWI": (-1.0, 1.0),  # water in leaves and soil (Xiao et al. 2004)
}

#: What kNDVI compares: see `_kernel`.
_KERNEL = ("kNN", "kNR")
#: Those that baselines need, whether or not a user lists them.
BASELINES = ("NDVI", "NIRv", "kNDVI")


def check_indices(names: Sequence[str], where: object = None) -> None:
    """Refuse names that no Sentinel-2 cube has an index of; cheap.

    Raises
    ------
    ConfigError
        If an index is not in the catalogue, or needs what Sentinel-2 does not have.
    """
    for name in names:
        _needs(name, where)


def index_cube(cube: xr.DataArray, names: Sequence[str] = tuple(INDICES)) -> xr.DataArray:
    """Spectral indices of each pixel of a Sentinel-2 cube.

    Reflectance is first clipped to the sensor's valid range, 0 to 1: over dark surfaces the atmospheric correction
    returns slightly negative values, which would let normalised differences leave [-1, 1]. A division by zero, and a
    value outside the range of `INDICES` (a denominator near zero), become NaN; the footprint's coverage tells.

    Parameters
    ----------
    cube : xarray.DataArray, shape (time, band, y, x)
        Sentinel-2 L2A reflectance.
    names : sequence of str
        Names in the spyndex catalogue that need only Sentinel-2's bands.

    Returns
    -------
    xarray.DataArray, shape (time, len(names), y, x), float32
        A `Cube` with ``attrs["sensor"] = "indices"`` and ``attrs["units"] = "1"``; NaN where a band is missing.

    Raises
    ------
    ConfigError
        If an index is not in the catalogue, or needs what Sentinel-2 does not have.
    VariableError
        If `cube` is not a complete Sentinel-2 cube.

    Source
    ------
    Montero et al. 2023, Awesome Spectral Indices, doi 10.1038/s41597-023-02096-0 (formulas); Camps-Valls et al. 2021,
    doi 10.1126/sciadv.abc7447 (the kernel of kNDVI: sigma = (NIR + red) / 2, which gives tanh(NDVI**2)).
    """
    check_cube(cube, sensor="S2_L2A")
    clipped = cube.clip(*S2_L2A.valid_range)
    bands = {letter: clipped.sel(band=band, drop=True) for letter, band in SPYNDEX_BANDS.items()}
    layers = [_index(name, bands) for name in dict.fromkeys(names)]
    result = xr.concat(layers, dim="band", coords="minimal", compat="override", join="exact")
    result = result.assign_coords(band=list(dict.fromkeys(names))).transpose("time", "band", "y", "x")
    result.attrs = {**cube.attrs, "sensor": "indices", "units": "1"}
    return check_cube(result.astype("float32", keep_attrs=True))


def _needs(name: str, where: object = None) -> dict[str, float]:
    """The constants that an index takes, by their letters."""
    import spyndex

    if name not in spyndex.indices:
        near = difflib.get_close_matches(name, [*INDICES, *spyndex.indices], n=3)
        expected = f"one of {', '.join(near or INDICES)}"
        raise ConfigError("unknown spectral index", where=where, found=name, expected=expected)
    constants = {}
    for needed in spyndex.indices[name].bands:
        if needed in SPYNDEX_BANDS or needed in _KERNEL:
            continue
        default = getattr(spyndex.constants.get(needed), "default", None)
        if default is None:
            raise ConfigError(
                "this index needs what a Sentinel-2 cube does not have", where=where or name,
                found=f"{needed} of {name}", expected=", ".join(SPYNDEX_BANDS), remedy="Choose another index",
            )  # fmt: skip
        constants[needed] = float(default)
    return constants


def _index(name: str, bands: Mapping[str, xr.DataArray]) -> xr.DataArray:
    """One index, NaN where it is undefined or outside its range."""
    import spyndex

    parameters: dict[str, object] = {**bands, **_kernel(bands), **_needs(name)}
    values = spyndex.computeIndex(name, {key: parameters[key] for key in spyndex.indices[name].bands})
    low, high = INDICES.get(name, (-np.inf, np.inf))
    return values.where(np.isfinite(values) & (values >= low) & (values <= high))


def _kernel(bands: Mapping[str, xr.DataArray]) -> dict[str, object]:
    """The radial kernels k(N, N) = 1 and k(N, R) that kNDVI compares."""
    nir, red = bands["N"], bands["R"]
    return {"kNN": 1.0, "kNR": np.exp(-0.5 * ((nir - red) / (0.5 * (nir + red))) ** 2)}
