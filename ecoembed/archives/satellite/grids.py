"""The grid of a raster, whatever the format: its CRS, its direction, and metres that are metres on the ground.

A cube is made of square pixels in metres. Rasters in degrees (Earth Engine's default, EarthNet's minicubes) or in a
projection that stretches the ground (web Mercator) are put on the UTM grid of their place by nearest neighbour, which
keeps every value and class as it is but moves it by up to about half a pixel. That is never silent: it warns, and
``attrs["repairs"]`` says it with the largest shift.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from rasterio.crs import CRS
from rasterio.errors import CRSError

from ecoembed.archives.satellite.metadata import repaired
from ecoembed.archives.satellite.utm import to_utm
from ecoembed.errors import GridError, VariableError

#: What one raster may hold, in bytes as delivered: 500 x 500 pixels, 10 bands and 800 dates of 16 bits. What declares
#: more is refused before memory is taken: a file of a few bytes can declare any size.
MAX_BYTES = 4 << 30

#: By how much a metre of a projection may differ from one on the ground, and by how many degrees a right angle.
_STRETCH, _SHEAR = 0.02, 3.0

#: Northing of the equator in a southern UTM zone, in m.
_FALSE_NORTHING = 10_000_000.0


def refuse_large(shape: tuple[int, ...], itemsize: int, where: str) -> None:
    """Raise before anything of the size is allocated.

    Raises
    ------
    GridError
        More than `MAX_BYTES`.
    """
    size = math.prod(map(int, shape)) * itemsize
    if size > MAX_BYTES:
        raise GridError(
            "the raster is too large for a place",
            where=where,
            found=f"{' x '.join(map(str, shape))} values, {size / 2**30:.1f} GiB",
            expected=f"at most {MAX_BYTES / 2**30:.0f} GiB",
            remedy="Cut it to the surroundings of the tower, or split it by dates into several files",
        )


def read_crs(declared: Any, where: str) -> CRS:
    """The CRS that is declared as an EPSG number, WKT or otherwise; of equal ones the EPSG's.

    Raises
    ------
    GridError
        None is declared, or it is unknown.
    """
    if declared is None or str(declared).strip() in ("", "None"):
        raise GridError(
            "the raster has no CRS",
            where=where,
            expected="a georeferenced file (NetCDF: crs_wkt on spatial_ref, or the attribute epsg)",
            remedy="Export it again with its CRS, or write it into the file if you know it",
        )
    try:
        crs = CRS.from_user_input(int(declared) if str(declared).isdigit() else declared)
        epsg = crs.to_epsg()
    except CRSError as exc:
        raise GridError("the raster's CRS is unknown", where=where, found=exc) from None
    return CRS.from_epsg(epsg) if epsg else crs


def finish(raster: xr.Dataset, crs: CRS, where: str) -> xr.Dataset:
    """`raster` over (time, y, x) as every reader hands it on: sorted in time, north up, west left, in metres.

    Raises
    ------
    GridError
        Coordinates that cannot be of that CRS; a CRS in another unit; uneven pixels in degrees; a single pixel.
    VariableError
        No date, or one that is missing.
    """
    _refuse_no_dates(raster["time"].values, where)
    raster = raster.sortby("time")
    if crs.is_geographic:  # across the antimeridian the degrees go on beyond 180
        raster = raster.assign_coords(x=np.unwrap(raster["x"].values.astype("float64"), period=360.0))
    for axis, wrong, descending in (("y", "y ascending", True), ("x", "x descending", False)):
        steps = np.diff(raster[axis].values.astype("float64"))
        _refuse_disorder(raster[axis].values, steps, axis, where)
        if (steps[0] < 0) != descending:
            raster = repaired(raster.isel({axis: slice(None, None, -1)}), {f"{wrong}, flipped": 1})
    raster, crs = _usual_zone(raster, crs)
    _check_coordinates(raster, crs, where)
    raster = raster.drop_vars("spatial_ref", errors="ignore")
    if crs.is_geographic or not _true_to_ground(raster, crs):
        return to_utm(raster, crs, where)
    return raster.rio.write_crs(crs, grid_mapping_name="spatial_ref")


def _refuse_no_dates(times: np.ndarray, where: str) -> None:
    if times.size == 0 or np.isnat(times).any():
        raise VariableError(
            "acquisitions without a date" if times.size else "no acquisition",
            where=where,
            found=f"{np.isnat(times).sum()} of {times.size} dates missing",
            expected="a date for each image",
            remedy="Take the file away, or the images without a date out of it",
        )


def _refuse_disorder(centres: np.ndarray, steps: np.ndarray, axis: str, where: str) -> None:
    if steps.size == 0 or not np.isfinite(centres).all() or not (np.all(steps > 0) or np.all(steps < 0)):
        raise GridError(
            f"{axis} tells no grid",
            where=where,
            found="coordinates that are not in order" if np.isfinite(centres).all() and steps.size else centres[:3],
            expected="two pixels or more, each coordinate larger (or smaller) than the last",
            remedy=f"Correct the coordinates {axis} in the file, or cut it out with more pixels",
        )


def _usual_zone(raster: xr.Dataset, crs: CRS) -> tuple[xr.Dataset, CRS]:
    """`raster` in the EPSG's UTM zone where its own is spelt otherwise; nothing is resampled.

    HLS names the ellipsoid and no datum. Landsat's zones are northern all over the world: south of the equator their
    northings are negative, 10 000 km short of the southern zone's, which Sentinel-2 uses.
    """
    stated = crs.to_dict(projjson=False) if crs.to_epsg() is None else {}
    if stated.get("proj") == "utm" and stated.get("ellps", stated.get("datum")) == "WGS84":
        crs = CRS.from_epsg((32700 if stated.get("south") else 32600) + int(stated["zone"]))
    code = crs.to_epsg()
    if code is None or not 32600 < code <= 32660 or not -_FALSE_NORTHING <= float(raster["y"].mean()) < 0:
        return raster, crs
    southern = raster.assign_coords(y=raster["y"].values.astype("float64") + _FALSE_NORTHING)
    reason = "northern UTM zone south of the equator, put on the southern"
    return repaired(southern, {reason: 1}), CRS.from_epsg(code + 100)


def _check_coordinates(raster: xr.Dataset, crs: CRS, where: str) -> None:
    x, y = (raster[axis].values.astype("float64") for axis in ("x", "y"))
    if crs.is_geographic and (np.abs(x).max() > 360 or np.abs(y).max() > 90):
        raise GridError(
            "the CRS is not in metres, the coordinates are",
            where=where,
            found=f"{crs}, x from {x.min():g} to {x.max():g}",
            expected="the UTM zone of the coordinates",
            remedy="Correct the CRS in the file",
        )
    if crs.is_geographic:
        return
    if not crs.is_projected or crs.linear_units not in ("metre", "meter", "m"):
        raise GridError("the CRS is not in metres", where=where, found=crs, expected="a UTM zone")
    step = float(np.abs(np.diff(x)).min()) if x.size > 1 else 1.0
    if step < 0.1:
        raise GridError(
            "the coordinates cannot be metres",
            where=where,
            found=f"{crs}, pixels of {step:g} m, x from {x.min():g} to {x.max():g}",
            expected="pixels of 10 m or more",
            remedy="Correct the CRS in the file: these may be degrees (EPSG:4326)",
        )
    _check_area(float(x.mean()), float(y.mean()), crs, where)


def _check_area(x: float, y: float, crs: CRS, where: str) -> None:
    """Refuse a place more than 3 degrees outside the area for which its CRS is defined."""
    from pyproj import Transformer

    code = crs.to_epsg()
    area = _area(code) if code else None
    if area is None:
        return
    longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    east = (longitude - area.west + 3.0) % 360.0 <= (area.east - area.west) % 360.0 + 6.0
    if not ((east or area.east - area.west > 350.0) and area.south - 3.0 <= latitude <= area.north + 3.0):
        raise GridError(
            "the CRS is not that of the coordinates",
            where=where,
            found=f"x {x:.0f}, y {y:.0f} in EPSG:{code}: longitude {longitude:.2f}, latitude {latitude:.2f}",
            expected=area.name,
            remedy="Correct the CRS in the file",
        )


@lru_cache
def _area(code: int) -> Any:
    """For which a CRS is defined, in degrees; None where that is not known."""
    import pyproj

    return pyproj.CRS.from_epsg(code).area_of_use


def _true_to_ground(raster: xr.Dataset, crs: CRS) -> bool:
    """Whether metres and right angles of the projection are so on the ground, in the middle of `raster`."""
    from pyproj import Proj, Transformer

    x, y = (float(raster[axis].mean()) for axis in ("x", "y"))
    longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    factors = Proj(crs.to_wkt()).get_factors(longitude, latitude)
    return abs(math.sqrt(abs(factors.areal_scale)) - 1.0) < _STRETCH and factors.angular_distortion < _SHEAR
