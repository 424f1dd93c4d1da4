"""Sentinel-2 L2A: digital numbers to reflectance, with the radiometric offset of processing baseline 04.00.

From that baseline on the producer adds 1000 to every digital number (BOA_ADD_OFFSET = -1000). Some archives deliver the
numbers so, others take the offset away again; the acquisition date does not tell. Only the file's metadata decides.

Source: Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD), radiometric offset; baseline 04.00 notice of
25 January 2022.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import xarray as xr

from ecoembed.archives.satellite.rasters import bands_in, decode, open_raster
from ecoembed.errors import UnitError
from ecoembed.sensors import S2_L2A

#: Spellings of the two pieces of metadata (own, STAC), as attribute of the file or as variable over time.
BASELINE_NAMES = ("processing_baseline", "s2:processing_baseline")
APPLIED_NAMES = ("boa_offset_applied", "earthsearch:boa_offset_applied")

_YES, _NO = ("true", "1", "yes"), ("false", "0", "no")


def open_sentinel2(path: str | Path) -> xr.Dataset:
    """Read one delivered Sentinel-2 L2A file.

    Parameters
    ----------
    path : path
        NetCDF with dimensions (timestamp, y, x) and any of the ten bands, and ``SCL``, at one resolution.

    Returns
    -------
    xr.Dataset
        Over (time, y, x): the bands as reflectance 0-1 (float32, NaN = missing) and ``SCL`` (uint8, 0 = no data) where
        present. ``attrs``: ``scale`` and ``offset`` (how each was decided), and ``site`` if the file names its place.

    Raises
    ------
    FileError, ProductError, GridError
        Unreadable file, another sensor's file, no CRS.
    UnitError
        The values contradict the declared scale or offset.
    """
    raster, where = open_raster(path), Path(path).name
    data: dict[str, xr.DataArray] = {}
    scales: dict[str, str] = {}
    present = bands_in(raster, S2_L2A, where)
    shift, offset = _offsets(raster, present, where)
    for name in present:
        values, scales[name] = decode(raster[name], S2_L2A, where)
        data[name] = raster[name].copy(data=values + shift[:, None, None])
        data[name].attrs = {"units": S2_L2A.unit}
    _check_offset(data, shift, offset, where)
    if "SCL" in raster:
        classes = np.nan_to_num(raster["SCL"].values, nan=0).astype("uint8")
        data["SCL"] = raster["SCL"].copy(data=classes)
        data["SCL"].attrs = {}
    place = raster.attrs.get("site", raster.attrs.get("location_id"))
    attrs = {"scale": scales, "offset": offset} | ({"site": str(place)} if place is not None else {})
    return xr.Dataset(data, attrs=attrs).rio.write_crs(raster.rio.crs)


def boa_offset(baseline: float | None, applied: bool | None) -> tuple[float, str]:
    """The offset, in digital numbers, still to be added to a product, and why.

    The only place where this is decided: from the processing baseline and from whether the archive says that it has
    applied the offset, never from the acquisition date.

    Examples
    --------
    >>> boa_offset(4.0, None)
    (-1000.0, 'applied here (baseline 4.00)')
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
    return offset, f"applied here (baseline {baseline:.2f})"


def _offsets(raster: xr.Dataset, names: list[str], where: str) -> tuple[np.ndarray, str]:
    """Reflectance to add at each date, and the distinct reasons."""
    n = raster.sizes["time"]
    baselines = _metadata(raster, BASELINE_NAMES) or [None] * n
    applied = _metadata(raster, APPLIED_NAMES) or [None] * n
    if any(float(raster[name].attrs.get("add_offset", 0.0)) != 0.0 for name in names):
        return np.zeros(n, dtype="float32"), "declared as add_offset, applied with the scale"
    decided = [boa_offset(_baseline(b, where), _flag(a, where)) for b, a in zip(baselines, applied, strict=True)]
    shift = np.array([offset for offset, _ in decided]) * S2_L2A.scale
    return shift.astype("float32"), "; ".join(sorted({reason for _, reason in decided}))


def _metadata(raster: xr.Dataset, names: tuple[str, ...]) -> list[object] | None:
    for name in names:
        if name in raster.variables and raster[name].dims == ("time",):
            return list(raster[name].values)
        if name in raster.attrs:
            return [raster.attrs[name]] * raster.sizes["time"]
    return None


def _baseline(value: object, where: str) -> float | None:
    """``"04.00"``, ``4.0`` or ``"N0400"`` as 4.0."""
    text = "" if value is None else str(value).strip()
    if text.lower() in ("", "nan", "none"):
        return None
    if named := re.fullmatch(r"N(\d\d)(\d\d)", text):
        return float(f"{named[1]}.{named[2]}")
    if re.fullmatch(r"\d{1,2}(\.\d+)?", text):
        return float(text)
    raise UnitError("processing baseline not understood", where=where, found=text, expected="for example 05.09")


def _flag(value: object, where: str) -> bool | None:
    text = "" if value is None else str(value).strip().lower()
    if text in ("", "nan", "none"):
        return None
    if text.removesuffix(".0") in _YES + _NO:
        return text.removesuffix(".0") in _YES
    raise UnitError("boa_offset_applied not understood", where=where, found=text, expected="true or false")


def _check_offset(data: dict[str, xr.DataArray], shift: np.ndarray, offset: str, where: str) -> None:
    """Ask the values whether the offset was rightly applied, or rightly not."""
    if not data:  # a file of classes only
        return
    values = np.stack([band.values for band in data.values()])
    shifted = values[:, shift != 0]
    shifted = shifted[np.isfinite(shifted)]
    if shifted.size and np.quantile(shifted, 0.05) < -0.02:
        raise UnitError(
            "the radiometric offset of baseline 04.00 is in the metadata but not in the values",
            where=where,
            found=f"5 % of the reflectances below {np.quantile(shifted, 0.05):.3f} once it is applied",
            expected="about 0 or more",
            remedy="If the archive removed it already, set the attribute boa_offset_applied = 1 in the file",
        )
    valid = values[np.isfinite(values)]
    if offset == "not declared" and valid.size and np.quantile(valid, 0.01) >= 0.095:
        warnings.warn(
            f"{where}: no reflectance below 0.095 and no processing baseline declared: the offset of baseline "
            "04.00 (0.1) may still be in the values; set the attribute processing_baseline in the file",
            UserWarning,
            stacklevel=3,
        )
