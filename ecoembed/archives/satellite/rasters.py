"""NetCDF rasters as satellite archives deliver them: (time, y, x), one variable for each band, CRS in ``spatial_ref``.

Files are read undecoded, because what they declare is often wrong: a fill value that no integer can hold breaks a plain
open, a scale may be declared, forgotten, or left behind on values that were scaled already. The scale is therefore
decided from what is declared *and* from the values, and the decision is written down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from rasterio.crs import CRS
from rasterio.errors import CRSError

from ecoembed.archives import netcdf
from ecoembed.errors import FileError, GridError, ProductError, UnitError
from ecoembed.sensors import Sensor, sensors_in

#: Names under which archives deliver the time dimension (WorldCereal, CF, openEO).
TIME_NAMES = ("timestamp", "time", "t")


#: Endings of files that are rasters; a folder is one where Zarr's metadata lie in it.
SUFFIXES = (".nc", ".nc4", ".tif", ".tiff", ".h5", ".hdf5")
ZARR = ("zarr.json", ".zgroup", ".zmetadata")


def sources(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """What there is to open: files as they are given, and the rasters of folders, sorted by name.

    Of a folder, hidden files, sidecars and everything else that is no raster are left out. Files that belong together
    (the GeoTIFFs of one stack) are one source.
    """
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    found = {file for path in map(Path, given) for file in _rasters(path)}
    return sorted(found, key=lambda path: (path.name, path))


def _rasters(path: Path) -> list[Path]:
    if not path.is_dir() or _is_zarr(path):
        return [path]
    seen = (file for file in path.iterdir() if not file.name.startswith("."))
    return [file for file in seen if (_is_zarr(file) if file.is_dir() else file.suffix.lower() in SUFFIXES)]


def _is_zarr(path: Path) -> bool:
    return any((path / name).is_file() for name in ZARR)


def open_raster(path: str | Path) -> xr.Dataset:
    """Read a NetCDF raster whole: numbers undecoded, time decoded, y descending, CRS in ``spatial_ref``.

    Raises
    ------
    FileError
        Absent, truncated or no NetCDF.
    ProductError
        Not a raster over time, y and x.
    GridError
        No CRS, or one that is not in metres.
    """
    path = Path(path)
    with _opened(path) as opened:
        raster = opened.load()
    time = next((name for name in TIME_NAMES if name in raster.dims), None)
    if time is None or not {"x", "y"} <= set(raster.coords) or not np.issubdtype(raster[time].dtype, np.datetime64):
        raise ProductError(
            "not a raster over time", where=path.name, found=dict(raster.sizes), expected="dimensions timestamp, y, x"
        )
    raster = raster.rename({time: "time"}) if time != "time" else raster
    raster = raster.assign_coords(time=raster["time"].values.astype("datetime64[ns]"))
    raster = raster.sortby("y", ascending=False).sortby("x").sortby("time")
    return _with_crs(raster, path.name)


def sensors_of(path: str | Path) -> list[str]:
    """Names of the sensors of which the file holds a band or the classification; reads no values.

    Raises
    ------
    FileError
        Absent, truncated or no NetCDF.
    """
    path = Path(path)
    with _opened(path) as raster:
        return [sensor.name for sensor in sensors_in(raster.variables, *product_names(raster, path.name))]


def product_names(raster: xr.Dataset, where: str) -> list[str]:
    """What the file and its attributes call the product: its own name, and its item's, collection's and so on."""
    return [
        where,
        *(str(raster.attrs[key]) for key in ("item", "product", "collection", "title") if key in raster.attrs),
    ]


def bands_in(raster: xr.Dataset, sensor: Sensor, where: str) -> list[str]:
    """The bands of `sensor` that `raster` holds; none where it holds that sensor's classification only.

    Raises
    ------
    ProductError
        If it holds neither, or is another sensor's product; says which, if it is known.
    """
    held = sensors_in(raster.data_vars, *product_names(raster, where))
    if sensor in held:
        return [band for band in sensor.band_names if band in raster.data_vars]
    others = [other.title for other in held]
    raise ProductError(
        f"no {sensor.title} in this file",
        where=where,
        found=others[0] if others else f"variables {', '.join(map(str, raster.data_vars))}",
        expected=f"at least one of {', '.join(sensor.band_names)}",
        remedy="Give the files of that sensor, or name the sensor of these",
    )


def decode(band: xr.DataArray, sensor: Sensor, where: str) -> tuple[np.ndarray, str]:
    """Physical values (float32, missing = NaN) of one undecoded band, and how its scale was decided.

    Values whose 99th percentile lies beyond three times the sensor's valid range can only be digital numbers.

    Raises
    ------
    UnitError
        If the values cannot be this sensor's under any reading.
    """
    raw = band.values
    values = np.where(_missing(band, sensor), np.float32(np.nan), raw.astype("float32"))
    declared, shift = _number(band, "scale_factor"), _number(band, "add_offset") or 0.0
    limit = 3.0 * max(abs(bound) for bound in sensor.valid_range)
    size = _magnitude(values)
    if size > limit and declared in (None, 1.0):
        scale, note = sensor.scale, f"scale {sensor.scale:g} not declared, inferred from values up to {size:.0f}"
    elif size > limit or (declared not in (None, 1.0) and np.issubdtype(raw.dtype, np.integer)):
        scale, note = declared or 1.0, f"scale {declared:g} as declared"
    elif declared not in (None, 1.0):
        scale, shift = 1.0, 0.0
        note = f"scale {declared:g} declared but not applied: the values are physical already (up to {size:.3g})"
    else:
        scale, note = 1.0, "physical values, no scale"
    values = values * np.float32(scale) + np.float32(shift)
    size = _magnitude(values)
    if size > limit:
        raise UnitError(
            f"values of {band.name} cannot be {sensor.title} in {sensor.unit}",
            where=where,
            found=f"99 % of magnitudes up to {size:g} after {note}",
            expected=f"within {sensor.valid_range} {sensor.unit}, or digital numbers of {sensor.scale:g}",
            remedy="Correct scale_factor in the file",
        )
    return values, note + (f", offset {shift:g} as declared" if shift else "")


def at_overpass(raster: xr.Dataset, sensor: Sensor, longitude: float) -> xr.Dataset:
    """`raster`, moved to the time of the overpass if its stamps are dates only: all of them at 00:00:00.

    Archives that deliver dates (openEO) mean the day in UTC. Left at midnight, an acquisition would fall on the local
    day before wherever local time lags UTC. It is therefore put at the sensor's nominal local solar time within that
    day; of two passes (Sentinel-1) at that of its ``orbit``, and where that is unknown at the later, so that nothing is
    dated before it was seen: passes of one day can then no longer be told apart. ``attrs["time"]`` says so.

    Parameters
    ----------
    longitude : float
        Of the place, in degrees: the same for all its files, which must agree in time.
    """
    times = raster["time"].values
    days = times.astype("datetime64[D]")
    if times.size == 0 or np.any(times != days):
        return raster
    hours = {"D": sensor.overpass_hours[:1], "A": sensor.overpass_hours[-1:]}
    orbits = raster["orbit"].values if "orbit" in raster.variables else np.full(times.size, "")
    passes = [hours.get(str(orbit)[:1], sensor.overpass_hours) for orbit in orbits]
    minutes = np.array([max(round(60.0 * hour - 4.0 * longitude) % 1440 for hour in one) for one in passes])
    taken = {
        f"{minute // 60:02d}:{minute % 60:02d} UTC ({' or '.join(map(_clock, one))} local solar time)"
        for minute, one in zip(minutes, passes, strict=True)
    }
    note = f"time of day not in the file; taken as {', '.join(sorted(taken))}"
    moved = (days + minutes.astype("timedelta64[m]")).astype("datetime64[ns]")
    return raster.assign_coords(time=moved).assign_attrs(time=note).sortby("time")


def _clock(hour: float) -> str:
    return f"{int(hour):02d}:{hour % 1 * 60:02.0f}"


def centre_longitude(raster: xr.Dataset) -> float:
    """Longitude of the middle of `raster`, in degrees east (WGS 84)."""
    from pyproj import Transformer

    x, y = (float(raster[axis].mean()) for axis in ("x", "y"))
    return float(Transformer.from_crs(raster.rio.crs, "EPSG:4326", always_xy=True).transform(x, y)[0])


@contextmanager
def _opened(path: Path) -> Iterator[xr.Dataset]:
    if not path.is_file():
        raise FileError("no such file", where=path, remedy="Check the path")
    try:
        with netcdf.opened(path, engine="netcdf4", mask_and_scale=False) as raster:
            yield raster
    except (OSError, RuntimeError, ValueError) as exc:
        system = isinstance(exc, OSError) and (exc.errno or 0) > 0  # NetCDF numbers its own below zero
        found = exc if system else "contents that cannot be decoded"
        raise FileError(
            "the raster is truncated, damaged or no NetCDF", where=path.name, found=found, remedy="Download it again"
        ) from None


def _missing(band: xr.DataArray, sensor: Sensor) -> np.ndarray:
    """True where the band holds a fill value: the declared ones, else the sensor's for whole numbers."""
    fills = [band.attrs[key] for key in ("_FillValue", "missing_value", "nodata") if key in band.attrs]
    fills = [float(fill) for fill in fills if np.isfinite(fill)]
    if not fills and (np.issubdtype(band.dtype, np.integer) or sensor.nodata < 0):  # -9999 is nothing else
        fills = [float(sensor.nodata)]
    missing = np.isin(band.values, fills)
    return missing | ~np.isfinite(band.values) if np.issubdtype(band.dtype, np.floating) else missing


def _number(band: xr.DataArray, key: str) -> float | None:
    value = band.attrs.get(key)
    return None if value is None else float(value)


def _magnitude(values: np.ndarray) -> float:
    valid = np.abs(values[np.isfinite(values)])
    return float(np.quantile(valid, 0.99)) if valid.size else 0.0


def _with_crs(raster: xr.Dataset, where: str) -> xr.Dataset:
    attrs = raster["spatial_ref"].attrs if "spatial_ref" in raster.variables else {}
    declared = _first(attrs.get("crs_wkt"), attrs.get("spatial_ref"), raster.attrs.get("epsg"))
    if declared is None:
        raise GridError("the raster has no CRS", where=where, expected="crs_wkt on spatial_ref, or the attribute epsg")
    try:
        crs = CRS.from_user_input(int(declared) if str(declared).isdigit() else declared)
    except CRSError as exc:
        raise GridError("the raster's CRS is unknown", where=where, found=exc) from None
    if not crs.is_projected or crs.linear_units not in ("metre", "meter", "m"):
        raise GridError("the CRS is not in metres", where=where, found=crs, expected="a UTM zone")
    return raster.drop_vars("spatial_ref", errors="ignore").rio.write_crs(crs)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def stack_bands(bands: Sequence[xr.DataArray], names: Sequence[str]) -> xr.DataArray:
    """(time, y, x) arrays on one grid as (time, band, y, x) float32."""
    index = xr.DataArray(np.asarray(names), dims="band", name="band")
    return xr.concat(bands, dim=index, join="exact").transpose("time", "band", "y", "x").astype("float32")
