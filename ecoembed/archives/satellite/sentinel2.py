"""Sentinel-2 L2A: digital numbers to reflectance, with the radiometric offset of processing baseline 04.00.

From that baseline on the producer adds 1000 to every digital number (BOA_ADD_OFFSET = -1000). Some archives deliver the
numbers so, others take the offset away again; the acquisition date does not tell. The file's metadata decides, and the
values are asked whether they agree.

Source: Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD), radiometric offset; baseline 04.00 notice of
25 January 2022. Planetary Computer and Copernicus deliver the producer's numbers (microsoft/PlanetaryComputer issue
134). Earth Search's sentinel-2-l2a has the offset removed from most items and says so by
``earthsearch:boa_offset_applied``, but some that say "false" have it removed, too (Element84/earth-search issues 66 and
71, cirrus-geo/cirrus-earth-search issue 33); its sentinel-2-c1-l2a delivers the producer's numbers (Element84/
earth-search issue 41).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import xarray as xr

from ecoembed.archives.satellite.decoding import bands_in, decode
from ecoembed.archives.satellite.metadata import carried, origin, per_time, repaired, text
from ecoembed.archives.satellite.rasters import Source, open_raster
from ecoembed.errors import UnitError
from ecoembed.sensors import S2_L2A

#: Providers that deliver the producer's numbers, with the offset still in them.
AS_PRODUCED = ("planetary-computer", "copernicus", "earth-search-c1")

#: The provider whose "not applied" is sometimes wrong, so that the values may overrule it.
UNSURE = "earth-search"

#: The offset was taken away before if, with it applied, this share of the pixels is darker than that in some band.
_SHARE, _DARK = 0.2, -0.02

_YES, _NO = ("true", "1", "yes"), ("false", "0", "no")


def open_sentinel2(path: str | Source) -> xr.Dataset:
    """Read one delivered Sentinel-2 L2A file.

    Parameters
    ----------
    path : path
        Any raster with dimensions (time, y, x) and any of the ten bands, and ``SCL``, at one resolution.

    Returns
    -------
    xr.Dataset
        Over (time, y, x): the bands as reflectance (float32, NaN = missing; below zero where the number lies below the
        offset), ``SCL`` (uint8, 0 = no data) and ``cloudmask`` where present. Over time: the metadata of
        :mod:`ecoembed.archives.satellite.metadata` where known, and ``offset`` (text: what was decided, and why).
        ``boa_offset_applied`` is true wherever the offset is no longer in the values, so that it is applied once even
        if this is written and read again. ``attrs``: ``scale`` and ``offset`` (how each was decided), and ``site``,
        ``provider``, ``item`` and the like if the file names them.

    Raises
    ------
    FileError, ProductError, GridError
        Unreadable file, another sensor's file, no CRS.
    UnitError
        The values contradict the declared scale or offset.
    """
    raster, where = open_raster(path), (Path(path) if isinstance(path, str) else path).name
    present = bands_in(raster, S2_L2A, where)
    decoded = decode(raster[present], S2_L2A, where)
    numbers = decoded.values
    data, dims = carried(raster), ("time", "y", "x")
    if "SCL" in raster:
        data["SCL"] = xr.Variable(dims, np.nan_to_num(raster["SCL"].values, nan=0).astype("uint8"))
    declared = any(float(raster[name].attrs.get("add_offset", 0.0)) != 0.0 for name in present)
    decide = _declared if declared else _decided
    shift, reasons = decide(raster, numbers, data.get("SCL"), where)
    for name, values in numbers.items():
        data[name] = xr.Variable(dims, values + shift[:, None, None], {"units": S2_L2A.unit})
    data |= _settled(reasons)
    denied = sum("which denies it" in reason for reason in reasons)
    raster = repaired(raster, decoded.repairs | {"offset found applied though the archive denies it": denied})
    attrs = {**origin(raster), "scale": decoded.scale, "offset": "; ".join(sorted(set(reasons)))}
    return xr.Dataset(data, raster.coords, attrs)


def boa_offset(baseline: float | None, applied: bool | None, provider: str | None = None) -> tuple[float, str]:
    """The offset, in digital numbers, still to be added to a product, and why.

    The only place where this is decided: from the processing baseline, from whether the archive says that it has
    applied the offset, and from what the provider is known to deliver; never from the acquisition date.

    Parameters
    ----------
    baseline : float, optional
        Processing baseline, for example 5.10.
    applied : bool, optional
        What the archive says about this item.
    provider : str, optional
        Name of the archive, for example ``"planetary-computer"``.

    Examples
    --------
    >>> boa_offset(4.0, None)
    (-1000.0, 'applied here (baseline 4.00)')
    >>> boa_offset(5.1, None, "planetary-computer")
    (-1000.0, 'applied here (baseline 5.10, delivered as produced by planetary-computer)')
    >>> boa_offset(4.0, True)
    (0.0, 'applied by the archive')
    >>> boa_offset(2.07, None)
    (0.0, 'none before baseline 4.00 (this is 2.07)')
    >>> boa_offset(None, None)
    (0.0, 'not declared')
    """
    first, offset = S2_L2A.offset_from_baseline or (np.inf, 0.0)
    if applied:
        return 0.0, "applied by the archive"
    if baseline is None:
        return 0.0, "not declared"
    if baseline < first:
        return 0.0, f"none before baseline {first:.2f} (this is {baseline:.2f})"
    known = f", delivered as produced by {provider}" if applied is None and provider in AS_PRODUCED else ""
    return offset, f"applied here (baseline {baseline:.2f}{known})"


def _provider(raster: xr.Dataset) -> str | None:
    """The provider's name; of Earth Search's two collections, also where its address is given instead of its name."""
    name, collection = (raster.attrs.get(key) for key in ("provider", "collection"))
    if name is None or "earth-search" not in name:
        return name
    return "earth-search-c1" if "c1" in f"{name} {collection}".replace("-", " ").split() else "earth-search"


def _declared(
    raster: xr.Dataset, numbers: dict[str, np.ndarray], scl: xr.Variable | None, where: str
) -> tuple[np.ndarray, list[str]]:
    """Nothing is left to be added; where the values contradict what was declared, an error."""
    darkest = _darkest(raster, numbers)
    for i, time in enumerate(raster["time"].values):
        if _too_dark(darkest[i], None if scl is None else scl.values[i]):
            raise _contradiction(darkest[i], where, str(time)[:19], "Set add_offset to 0 in the file")
    n = raster.sizes["time"]
    return np.zeros(n, dtype="float32"), ["declared as add_offset, applied with the scale"] * n


def _decided(
    raster: xr.Dataset, numbers: dict[str, np.ndarray], scl: xr.Variable | None, where: str
) -> tuple[np.ndarray, list[str]]:
    """Reflectance to add at each date, and why; where the values contradict, an error or the archive is overruled."""
    nothing = [None] * raster.sizes["time"]
    baselines = per_time(raster, "processing_baseline") or nothing
    flags = per_time(raster, "boa_offset_applied") or nothing
    provider = _provider(raster)
    darkest = _darkest(raster, numbers)
    shift, reasons = np.zeros(raster.sizes["time"], dtype="float32"), []
    for i, (baseline, flag) in enumerate(zip(baselines, flags, strict=True)):
        offset, reason = boa_offset(baseline_number(baseline, where), _flag(flag, where), provider)
        shift[i] = offset * S2_L2A.scale
        if offset and _too_dark(darkest[i] + shift[i], None if scl is None else scl.values[i]):
            if provider != UNSURE:
                remedy = "If the archive removed it already, set the attribute boa_offset_applied = 1 in the file"
                raise _contradiction(darkest[i] + shift[i], where, str(raster["time"].values[i])[:19], remedy)
            shift[i], reason = 0.0, f"applied by {provider}, which denies it: the values tell"
        reasons.append(reason)
    return shift, reasons


def _too_dark(darkest: np.ndarray, scl: np.ndarray | None) -> bool:
    """Whether an acquisition, offset applied, holds so much below zero that the offset was not in it."""
    valid = np.isfinite(darkest)
    if scl is not None:
        clear = valid & np.isin(scl, S2_L2A.clear_classes)
        valid = clear if clear.sum() >= 16 else valid
    return bool(valid.any()) and float(np.mean(darkest[valid] < _DARK)) > _SHARE


def _darkest(raster: xr.Dataset, numbers: dict[str, np.ndarray]) -> np.ndarray:
    """Over (time, y, x), the least of all bands."""
    darkest = np.full([raster.sizes[axis] for axis in ("time", "y", "x")], np.nan, dtype="float32")
    for values in numbers.values():
        np.fmin(darkest, values, out=darkest)
    return darkest


def _contradiction(darkest: np.ndarray, where: str, time: str, remedy: str) -> UnitError:
    valid = darkest[np.isfinite(darkest)]
    return UnitError(
        "the radiometric offset of baseline 04.00 is in the metadata but not in the values",
        where=f"{where}, {time}",
        found=f"half of the pixels below a reflectance of {np.median(valid):.3f} in some band once it is applied",
        expected="about 0 or more",
        remedy=remedy,
    )


def _settled(reasons: list[str]) -> dict[str, xr.Variable]:
    """What is true of the values handed out: the reason for each date, and that nothing is left to be applied."""
    unknown = ("not declared", "none before")
    done = np.array(["" if reason.startswith(unknown) else "true" for reason in reasons])
    return {"boa_offset_applied": xr.Variable("time", done), "offset": xr.Variable("time", np.array(reasons))}


def baseline_number(value: object, where: str) -> float | None:
    """``"04.00"``, ``4.0`` or ``"N0400"`` as 4.0."""
    found = text(value)
    if not found:
        return None
    if named := re.fullmatch(r"n(\d\d)(\d\d)", found):
        return float(f"{named[1]}.{named[2]}")
    if re.fullmatch(r"\d{1,2}(\.\d+)?", found):
        return float(found)
    raise UnitError("processing baseline not understood", where=where, found=value, expected="for example 05.09")


def _flag(value: object, where: str) -> bool | None:
    found = text(value).removesuffix(".0")
    if not found:
        return None
    if found in _YES + _NO:
        return found in _YES
    raise UnitError("boa_offset_applied not understood", where=where, found=value, expected="true or false")
