"""Which pixels are clear, and which dates are worth keeping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import xarray as xr

from ecoembed.errors import ConfigError, UnitError, VariableError, check_name
from ecoembed.sensors import Sensor

#: Who says what is clear: the product's classification, a learned model delivered with it, both; or a user's own.
Mask = Literal["scl", "learned", "both"] | Callable[[xr.DataArray], xr.DataArray | np.ndarray]

MASKS = ("scl", "learned", "both")

#: Dates with a smaller share of valid pixels are dropped (as by Peters et al. 2025, arXiv 2511.11706).
MIN_VALID = 0.03

#: No ground reflects less, whatever the atmosphere's correction took away (HLS keeps -0.2 as its least), or more; what
#: does is an undeclared fill value, a glint, a saturated detector or a cloud that was missed.
MIN_REFLECTANCE = -0.2
MAX_REFLECTANCE = 1.6

#: More of it than this share is no repair any more, but a wrong scale.
_MAX_SHARE = 0.05


def mask_name(mask: Mask, sensor: Sensor) -> str:
    """How attrs name a mask.

    Raises
    ------
    ConfigError
        No such mask, or one of a sensor that needs none.
    """
    if callable(mask):
        return f"{getattr(mask, '__module__', '?')}.{getattr(mask, '__qualname__', type(mask).__name__)}"
    check_name(mask, MASKS, "mask", otherwise="Or pass a function: cube -> clear (time, y, x)")
    if sensor.quality is None and mask != "scl":
        raise ConfigError("a cloud mask for a sensor that sees through clouds", where=sensor.name, found=mask)
    return mask


def needed(mask: Mask, sensor: Sensor) -> list[str]:
    """The variables beside the bands that a mask needs."""
    if sensor.quality is None or callable(mask):
        return []
    return [*([sensor.quality] if mask != "learned" else []), *(["cloudmask"] if mask != "scl" else [])]


def is_clear(quality: np.ndarray, sensor: Sensor) -> np.ndarray:
    """True where a quality variable says that the ground was seen: scene classes, or a mask of bits.

    Parameters
    ----------
    quality : ndarray of int
        The variable called ``sensor.quality``.

    Examples
    --------
    >>> from ecoembed.sensors import S2_L2A
    >>> is_clear(np.array([0, 4, 9, 11]), S2_L2A).tolist()
    [False, True, False, False]
    """
    if sensor.unclear_bits:
        return (quality.astype("int64") & sum(1 << bit for bit in sensor.unclear_bits)) == 0
    return np.isin(quality, sensor.clear_classes)


def near(cloud: np.ndarray, distance: float, pixel: float = 10.0) -> np.ndarray:
    """True within `distance` m (centre to centre) of a pixel that is True: dilation by a disc.

    Parameters
    ----------
    cloud : ndarray of bool, shape (time, y, x)
        What lies beyond the edge of the image is not known, and grows nothing.

    Examples
    --------
    >>> near(np.array([[[True, False, False, False]]]), 20.0).tolist()
    [[[True, True, True, False]]]
    """
    from scipy.ndimage import distance_transform_edt

    grown = cloud.copy()
    mixed = cloud.any(axis=(1, 2)) & ~cloud.all(axis=(1, 2)) if distance > 0 else np.zeros(len(cloud), dtype=bool)
    for i in np.flatnonzero(mixed):
        grown[i] = distance_transform_edt(~cloud[i], sampling=pixel) <= distance + 1e-6
    return grown


def clear_pixels(
    mask: Mask, cube: xr.DataArray, layers: dict[str, np.ndarray], sensor: Sensor, dilation: float
) -> np.ndarray:
    """Bool (time, y, x): where the ground was seen.

    Parameters
    ----------
    cube : xr.DataArray
        (time, band, y, x), unmasked; what a user's own function is given.
    layers : dict of str to ndarray, shape (time, y, x)
        The variables that :func:`needed` names.
    dilation : float
        m by which ``sensor.cloud_classes``, and the learned mask, are grown. A user's own mask is taken as it is.
    """
    if callable(mask):
        return _own(mask, cube)
    clear = np.ones((cube.sizes["time"], cube.sizes["y"], cube.sizes["x"]), dtype=bool)
    if mask != "learned":
        quality = layers[sensor.quality or ""]
        clear &= is_clear(quality, sensor) & ~near(np.isin(quality, sensor.cloud_classes), dilation)
    if mask != "scl":
        clear &= ~near(layers["cloudmask"] != 0, dilation)
    return clear


def _own(mask: Callable[[xr.DataArray], xr.DataArray | np.ndarray], cube: xr.DataArray) -> np.ndarray:
    found = mask(cube)
    clear = np.asarray(found.transpose("time", "y", "x") if isinstance(found, xr.DataArray) else found)
    shape = (cube.sizes["time"], cube.sizes["y"], cube.sizes["x"])
    if clear.dtype != bool or clear.shape != shape:
        raise VariableError(
            "the mask's function did not return where the ground is clear",
            where=getattr(mask, "__qualname__", mask),
            found=f"{clear.dtype} {clear.shape}",
            expected=f"bool {shape}, over (time, y, x)",
        )
    return clear


def drop_impossible(values: np.ndarray, where: object) -> int:
    """Make reflectance (any shape) that no ground has missing, in place; how many values that were.

    Raises
    ------
    UnitError
        If that is more than one in twenty.
    """
    beyond = (values > MAX_REFLECTANCE) | (values < MIN_REFLECTANCE)
    count, valid = int(beyond.sum()), int(np.isfinite(values).sum())
    if count > _MAX_SHARE * valid:
        raise UnitError(
            f"reflectance below {MIN_REFLECTANCE} or above {MAX_REFLECTANCE}",
            where=where,
            found=f"{count} of {valid} clear values, from {np.nanmin(values):.3g} to {np.nanmax(values):.3g}",
            expected="0 to 1 for nearly all",
            remedy="Check scale_factor in the files, and the cloud mask",
        )
    values[beyond] = np.nan
    return count


def valid_share(cube: xr.DataArray) -> xr.DataArray:
    """Share of the pixels of each date at which every band is valid."""
    return cube.notnull().all("band").mean(("y", "x"))


def drop_sparse(cube: xr.DataArray, minimum: float = MIN_VALID) -> xr.DataArray:
    """`cube` without the dates of which less than the share `minimum` is valid; counted in attrs.

    ``dates_in`` and ``dates_dropped`` are added to the attributes.
    """
    keep = (valid_share(cube) >= minimum).values
    kept = cube.isel(time=np.flatnonzero(keep))
    return kept.assign_attrs(dates_in=int(keep.size), dates_dropped=int((~keep).sum()))
