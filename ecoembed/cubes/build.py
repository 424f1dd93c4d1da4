"""From delivered files to one aligned, masked, physical cube of a place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from ecoembed import schema
from ecoembed.archives.satellite.hls import open_hls
from ecoembed.archives.satellite.rasters import at_overpass, centre_longitude, sensors_of, sources, stack_bands
from ecoembed.archives.satellite.sentinel1 import merge_slices, open_sentinel1
from ecoembed.archives.satellite.sentinel2 import open_sentinel2
from ecoembed.cubes import grid, masks
from ecoembed.cubes.store import is_store, load_cube
from ecoembed.errors import FileError, GridError, ProductError, VariableError
from ecoembed.files import digest
from ecoembed.sensors import HLS, S1, S2_L2A, Sensor, get_sensor

_READERS: dict[str, Callable[[Path], xr.Dataset]] = {
    S2_L2A.name: open_sentinel2,
    S1.name: open_sentinel1,
    HLS.name: open_hls,
}


def open_cube(
    paths: str | Path | Iterable[str | Path], sensor: str = "S2_L2A", *, group: str | None = None
) -> xr.DataArray:
    """Open one sensor's cube of one place, from delivered NetCDF files or from a Zarr store of ours.

    What a file holds is judged by its variables, not by its name; the order of the files does not matter. Pixels of
    20 m give their value to the four 10 m pixels within. Sentinel-2: pixels whose scene class is not clear are missing
    in all bands. Sentinel-1: the slices of one pass, seconds apart, are one acquisition; two passes of a day stay two.
    Files that give dates without a time of day are put at the sensor's overpass. Dates of which less than 3 % is valid
    are dropped and counted.

    Parameters
    ----------
    paths : path or iterable of paths
        NetCDF files of one place, each with some of the bands and some of the dates, or the folder that holds them, of
        which those of the sensor are read and the others, and hidden ones, passed over; or a Zarr store.
    sensor : str
        ``"S2_L2A"`` or ``"S1"``.
    group : str, optional
        Of a Zarr store; the sensor's name by default.

    Returns
    -------
    xr.DataArray
        Cube (time, band, y, x), float32, 10 m, missing = NaN: reflectance 0-1, or backscatter in dB. ``time`` is that
        of the acquisition, UTC. ``attrs``: sensor, units, site (if the files name their place), dates_in,
        dates_dropped, provenance (JSON: files with their hashes, how scale, offset, unit and time were decided).

    Raises
    ------
    FileError
        Absent, truncated or damaged file.
    ProductError
        None of the files is of that sensor.
    VariableError
        Bands or scene classes absent from all files; bands with different acquisition times.
    GridError
        Files of different places or grids.
    UnitError
        Values that contradict what the file declares.
    """
    wanted = get_sensor(sensor)
    given = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
    if len(given) == 1 and is_store(given[0]):
        return schema.check_cube(load_cube(given[0], group or sensor), sensor, where=given[0].name)
    rasters = _read(given, wanted)
    where = _place(rasters)
    _refuse_other_crs(rasters, where)
    cube = _assemble(rasters, wanted, where)
    cube = masks.drop_sparse(cube)
    if cube.sizes["time"] == 0:
        raise VariableError(
            "no date with enough valid pixels",
            where=where,
            found=f"{cube.attrs['dates_in']} dates, all below {masks.MIN_VALID:.0%} valid",
            remedy="Check the scene classification, and whether the files cover the place",
        )
    return schema.check_cube(cube, sensor, where=where)


def _read(given: Sequence[Path], sensor: Sensor) -> dict[Path, xr.Dataset]:
    """Path -> raster, sorted by name; files of other products are passed over, as long as one is of `sensor`."""
    ordered = sources(given)
    if not ordered:
        where = ", ".join(map(str, given)) or None
        raise FileError("no raster file and no Zarr store", where=where, expected=f"files of {sensor.title}")
    sensors = {path: sensors_of(path) for path in ordered}
    if not any(sensor.name in names for names in sensors.values()):
        found = "; ".join(f"{path.name}: {', '.join(names) or 'no known sensor'}" for path, names in sensors.items())
        raise ProductError(
            f"no {sensor.title} in {'this file' if len(ordered) == 1 else 'these files'}",
            where=ordered[0].parent.name,
            found=found,
            expected=f"files with {', '.join(sensor.band_names)}",
            remedy="Give that sensor's files, or name the sensor of these",
        )
    return {path: _READERS[sensor.name](path) for path, names in sensors.items() if sensor.name in names}


def _place(rasters: dict[Path, xr.Dataset]) -> str:
    sites = {raster.attrs["site"] for raster in rasters.values() if "site" in raster.attrs}
    if len(sites) > 1:
        raise GridError("files of several places", where=", ".join(path.name for path in rasters), found=sorted(sites))
    return next(iter(sites), next(iter(rasters)).name)


def _refuse_other_crs(rasters: dict[Path, xr.Dataset], where: str) -> None:
    systems = {str(raster.rio.crs) for raster in rasters.values()}
    if len(systems) > 1:
        raise GridError("files in different CRS", where=where, found=sorted(systems), expected="one UTM zone")


def _assemble(rasters: dict[Path, xr.Dataset], sensor: Sensor, where: str) -> xr.DataArray:
    finest = min(rasters.values(), key=lambda raster: (grid.pixel_size(raster, where), raster.sizes["x"]))
    x, y = grid.fine_axes(finest, where)
    longitude = centre_longitude(finest)
    rasters = {path: at_overpass(raster, sensor, longitude) for path, raster in rasters.items()}
    bands = {name: _gather(rasters, name, x, y) for name in _names(rasters, sensor, where)}
    _refuse_other_times(bands, where)
    cube = stack_bands([bands[name] for name in sensor.band_names], sensor.band_names)
    if sensor.quality is None:
        cube = merge_slices(cube)
    else:
        cube = masks.mask_unclear(cube, bands[sensor.quality], sensor)
        _refuse_repeated_times(cube, where)
    attrs = {"sensor": sensor.name, "units": sensor.unit, "provenance": _provenance(rasters)}
    if any("site" in raster.attrs for raster in rasters.values()):
        attrs["site"] = where
    cube = cube.reset_coords(drop=True).assign_attrs(attrs).rename(None)
    return cube.rio.write_crs(finest.rio.crs)


def _names(rasters: dict[Path, xr.Dataset], sensor: Sensor, where: str) -> list[str]:
    """Every variable that the cube is made of; all must be there."""
    held = {str(name) for raster in rasters.values() for name in raster.data_vars}
    absent = [name for name in sensor.band_names if name not in held]
    if absent:
        raise VariableError(
            f"{len(absent)} of {len(sensor.bands)} bands absent ({', '.join(absent)}); {sensor.name} needs them",
            where=where,
            found=f"{', '.join(sorted(held))} in {', '.join(path.name for path in rasters)}",
            remedy="Give all files of the place (Sentinel-2: the 10 m and the 20 m file)",
        )
    if sensor.quality and sensor.quality not in held:
        raise VariableError(
            f"scene classification ({sensor.quality}) absent; clouds cannot be masked",
            where=where,
            found=", ".join(sorted(held)),
            remedy=f"Give the file that holds {sensor.quality} (Sentinel-2: the 20 m one)",
        )
    return [*sensor.band_names, *([sensor.quality] if sensor.quality else [])]


def _gather(rasters: dict[Path, xr.Dataset], name: str, x: np.ndarray, y: np.ndarray) -> xr.DataArray:
    """One variable from all files that hold it, on the 10 m grid, in order of time."""
    pieces = [grid.onto(raster[name], x, y, path.name) for path, raster in rasters.items() if name in raster]
    return xr.concat(pieces, dim="time", join="exact", coords="minimal", compat="override").sortby("time")


def _refuse_other_times(bands: dict[str, xr.DataArray], where: str) -> None:
    name, first = next(iter(bands.items()))
    for other, band in bands.items():
        if not np.array_equal(band["time"].values, first["time"].values):
            alone = np.setxor1d(band["time"].values, first["time"].values)
            raise VariableError(
                f"{other} and {name} were not acquired at the same times",
                where=where,
                found=f"{len(alone)} times in one of them only" + (f", the first {alone[0]}" if len(alone) else ""),
                expected="identical times in all files",
                remedy="Give files of the same period and the same acquisitions",
            )


def _refuse_repeated_times(cube: xr.DataArray, where: str) -> None:
    index = cube.indexes["time"]
    if not index.is_unique:
        raise VariableError(
            "acquisition times repeated",
            where=where,
            found=f"{int(index.duplicated().sum())}, the first {index[index.duplicated()][0]}",
            expected="each once",
            remedy="Give each file once, and files of periods that do not overlap",
        )


def _provenance(rasters: dict[Path, xr.Dataset]) -> str:
    """What was read, and what was decided about it; names without folders, so that a study can be moved."""
    decided = ("product", "quantity", "scale", "offset", "unit", "time")
    files = [
        {
            "file": path.name,
            "digest": digest(path),
            **{key: raster.attrs[key] for key in decided if key in raster.attrs},
        }
        for path, raster in rasters.items()
    ]
    return json.dumps({"files": files}, sort_keys=True)
