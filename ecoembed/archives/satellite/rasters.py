"""Rasters as satellite archives and colleagues deliver them: one way in, whatever the format.

What a file is, is told by its content: NetCDF and Zarr (:mod:`.minicubes`), GeoTIFF (:mod:`.geotiff`), HDF5 with a TOML
of the same name (:mod:`.patches`). All come out alike: (time, y, x), one variable for each band, north up, in metres.

Files are read undecoded, because what they declare is often wrong: a fill value that no integer can hold breaks a plain
open, a scale may be declared, forgotten, or left behind on values that were scaled already. The scale is therefore
decided from what is declared *and* from the values, and the decision is written down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr

from ecoembed.archives.satellite import geotiff, minicubes, patches, series, tiffs
from ecoembed.archives.satellite.geotiff import Stack
from ecoembed.archives.satellite.grids import finish, read_crs
from ecoembed.archives.satellite.layers import refuse_unnamed
from ecoembed.archives.satellite.names import QUALITIES
from ecoembed.archives.satellite.series import Series
from ecoembed.errors import ProductError, UnitError
from ecoembed.files import digest
from ecoembed.sensors import Sensor, sensors_in

#: A file, the folder of a Zarr store, or the GeoTIFFs or NetCDF files that belong together.
Source: TypeAlias = Path | Stack | Series

#: Endings of files that are looked for in a folder.
NETCDF = (".nc", ".nc4")
SUFFIXES = (*NETCDF, *tiffs.SUFFIXES, *patches.SUFFIXES)

#: What stands for "no data" in a classification, and is not clear in any.
_UNCLASSIFIED = {"SCL": 0, "Fmask": 255, "cloudmask": 255}


def sources(paths: str | Path | Iterable[str | Path]) -> list[Source]:
    """What there is to open: files as they are given, and the rasters of folders, sorted by name.

    Of a folder, hidden files, sidecars, subfolders that are no Zarr store, and GeoTIFFs without date and band (a
    terrain model) are left out. GeoTIFFs of one folder, grid and sensor are one source, be they three or three
    thousand, and so are NetCDF files that differ in their dates only.

    Raises
    ------
    FileError, ProductError, ConfigError, GridError
        A GeoTIFF that is damaged, tells bands but no dates, or does not fit its description.
    """
    given = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
    found = {file for path in given for file in _rasters(path)}
    geotiffs = {path for path in found if tiffs.is_tiff(path)}
    stacks = geotiff.stacks(geotiffs)
    used = {file for stack in stacks for file in stack.files}
    silent = sorted(geotiffs - used)
    if silent and (set(silent) & set(given) or len(found) == len(silent)):
        refuse_unnamed(silent[0])
    grouped = series.group(path for path in found - geotiffs if path.suffix.lower() in NETCDF)
    others = [path for path in found - geotiffs if path.suffix.lower() not in NETCDF]
    return sorted([*others, *grouped, *stacks], key=lambda source: (source.name, str(source)))


def open_raster(path: str | Source) -> xr.Dataset:
    """Read a raster whole: numbers undecoded, time sorted, y descending, x ascending, CRS in metres.

    Parameters
    ----------
    path : path or Source
        A file, the folder of a Zarr store, a folder that holds one raster, or one of `sources`.

    Returns
    -------
    xr.Dataset
        Over (time, y, x), named as in :mod:`ecoembed.sensors`: bands as stored, with what is declared of them
        (``scale_factor``, ``add_offset``, ``_FillValue``, ``units``) in their attributes; classifications and
        ``cloudmask`` as uint8. ``attrs["repairs"]``: what was set right (JSON: reason -> count).

    Raises
    ------
    FileError
        Absent, truncated or damaged.
    ProductError, ConfigError
        Not a raster over time; bands or dates that nothing tells; a description that does not fit.
    VariableError
        A band absent at a date, or twice.
    GridError
        No CRS, one that contradicts the coordinates, more than one place, or larger than what is read.
    """
    source = _source(path)
    where = source.name
    declared: Any
    if isinstance(source, Stack):
        raster, declared = geotiff.open_stack(source)
    elif isinstance(source, Series):
        raster, declared = series.open_series(source)
    elif patches.is_described(source):
        raster, declared = patches.open_patches(source)
    else:
        raster, declared = minicubes.open_dataset(source)
    for name in (QUALITIES | {"cloudmask"}) & set(raster.data_vars):
        raster[name] = _classes(raster[name], _UNCLASSIFIED[name])
    return finish(raster, read_crs(declared, where), where)


def sensors_of(path: str | Source) -> list[str]:
    """Names of the sensors of which the file holds a band or the classification; reads no values.

    Raises
    ------
    FileError
        Absent, truncated or damaged.
    """
    source = _source(path)
    if isinstance(source, Series):
        return sensors_of(source.files[0])
    attrs: dict[str, Any]
    if isinstance(source, Stack):
        names, attrs = set(source.bands), {"product": source.files[0].stem}
    elif patches.is_described(source):
        names, attrs = patches.describe(source)
    else:
        names, attrs = minicubes.describe(source)
    return [sensor.name for sensor in sensors_in(names, *product_names(xr.Dataset(attrs=attrs), source.name))]


def files_of(source: Source) -> list[Path]:
    """The file, or files, that a source is made of."""
    return [source] if isinstance(source, Path) else list(source.files)


def fingerprint(source: Source) -> str:
    """Hash of the files that a source is made of, description included (first 16 hex digits of SHA-256)."""
    files = files_of(source)
    files += [toml for path in files if (toml := path.with_suffix(".toml")).is_file()]
    files += [toml for toml in {path.with_name("stack.toml") for path in files} if toml.is_file()]
    if len(files) == 1:
        return digest(files[0])
    return hashlib.sha256("".join(f"{file.name} {digest(file)}\n" for file in files).encode()).hexdigest()[:16]


def _rasters(path: Path) -> list[Path]:
    if not path.is_dir() or minicubes.is_zarr(path):
        return [path]
    seen = (file for file in path.iterdir() if not file.name.startswith("."))
    return [file for file in seen if (minicubes.is_zarr(file) if file.is_dir() else file.suffix.lower() in SUFFIXES)]


def _source(path: str | Source) -> Source:
    if isinstance(path, (Stack, Series)):
        return path
    found = sources(path)
    if len(found) != 1:
        raise ProductError(
            "not one raster",
            where=path,
            found=", ".join(source.name for source in found) or "none",
            remedy="Open them together with open_cube(folder, sensor)",
        )
    return found[0]


def _classes(stored: xr.DataArray, unclassified: int) -> xr.DataArray:
    """A classification as uint8, what is missing as `unclassified`; a scale beside it is the bands', never its own."""
    values = stored.values.astype("float64")
    fills = [float(stored.attrs[key]) for key in ("_FillValue", "missing_value") if key in stored.attrs]
    missing = ~np.isfinite(values) | np.isin(values, fills) | (values < 0) | (values > 255)
    classes = stored.copy(data=np.where(missing, unclassified, values).astype("uint8"))
    classes.attrs = {}
    return classes


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
