"""Rasters as satellite archives and colleagues deliver them: one way in, whatever the format.

What a file is, is told by its content: NetCDF and Zarr (:mod:`.formats.minicubes`), GeoTIFF (:mod:`.formats.geotiff`),
HDF5 with a TOML of the same name (:mod:`.formats.patches`). All come out alike: (time, y, x), one variable for each
band, north up, in metres.

Numbers stay as they are stored; :mod:`.decoding` says what they mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr

from ecoembed.archives.satellite.formats import geotiff, minicubes, patches, series, tiffs
from ecoembed.archives.satellite.formats.geotiff import Stack
from ecoembed.archives.satellite.formats.series import Series
from ecoembed.archives.satellite.formats.tifflayers import refuse_unnamed
from ecoembed.archives.satellite.grids import finish, read_crs
from ecoembed.archives.satellite.metadata import product_names
from ecoembed.archives.satellite.names import unscaled_names
from ecoembed.errors import ProductError
from ecoembed.files import digest
from ecoembed.sensors import sensors_in

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
    for name in unscaled_names() & set(raster.data_vars):
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
    return [sensor.name for sensor in sensors_in(names, *product_names(attrs, source.name))]


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
