"""From delivered files to one aligned, masked, physical cube of a place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from ecoembed import schema
from ecoembed.archives.satellite.hls import open_hls
from ecoembed.archives.satellite.metadata import ANGLES
from ecoembed.archives.satellite.overpass import at_overpass, centre_longitude
from ecoembed.archives.satellite.rasters import SUFFIXES, Source, sensors_of, sources
from ecoembed.archives.satellite.sentinel1 import open_sentinel1
from ecoembed.archives.satellite.sentinel2 import open_sentinel2
from ecoembed.cubes import account, grid, masks, nbar
from ecoembed.cubes.layers import Layers, gather
from ecoembed.cubes.mosaic import merge_slices, mosaic
from ecoembed.cubes.resample import bilinear, is_blocky
from ecoembed.cubes.store import is_store, load_cube
from ecoembed.errors import ConfigError, FileError, GridError, SensorError, check_name
from ecoembed.sensors import HLS, S1, S2_L2A, Sensor, get_sensor
from ecoembed.units import REFLECTANCE

#: Each sensor's reader: file -> physical values. The rest of this file is the same for all sensors.
READERS: dict[str, Callable[[Source], xr.Dataset]] = {
    S2_L2A.name: open_sentinel2,
    S1.name: open_sentinel1,
    HLS.name: open_hls,
}

RESAMPLING = ("nearest", "bilinear")

#: m by which clouds are grown unless told otherwise.
DILATION = 20.0


@dataclass(frozen=True)
class _Choices:
    """How a cube is made; refused where it is made already."""

    bands: tuple[str, ...] | None = None
    mask: masks.Mask = "scl"
    dilation: float = DILATION
    resampling: str = "nearest"
    nbar: bool = False


def open_cube(
    paths: str | Path | Iterable[str | Path],
    sensor: str = "S2_L2A",
    *,
    group: str | None = None,
    bands: Sequence[str] | None = None,
    mask: masks.Mask = "scl",
    dilation: float = DILATION,
    resampling: Literal["nearest", "bilinear"] = "nearest",
    nbar: bool = False,
) -> xr.DataArray:
    """Open one sensor's cube of one place, from delivered rasters or from a Zarr store of ours.

    What a file holds is judged by its variables, not by its name; the order of the files does not matter. Pixels that
    are not clear are missing in all bands. Tiles of one pass, less than ten minutes apart, are one acquisition, each
    pixel from the tile of the newest processing baseline; of Sentinel-1's slices it is the mean in linear power. Files
    that give dates without a time of day are put at the sensor's overpass. Dates of which less than 3 % is valid are
    dropped and counted.

    Parameters
    ----------
    paths : path or iterable of paths
        Rasters of one place, each with some of the bands and some of the dates, or the folder that holds them, of which
        those of the sensor are read and the others, and hidden ones, passed over; or a Zarr store.
    sensor : str
        ``"S2_L2A"``, ``"S1"`` or ``"HLS"``.
    group : str, optional
        Of a Zarr store; the sensor's name by default.
    bands : sequence of str, optional
        Only these, in the sensor's order; all by default, and all must be there.
    mask : str or callable
        Who says what is clear: ``"scl"``, the classification that comes with the product; ``"learned"``, the variable
        ``cloudmask`` of the files (0 clear); ``"both"``, where both agree. Or a function that takes the unmasked cube
        (time, band, y, x) and returns bool (time, y, x), true where clear.
    dilation : float
        m around clouds and cloud shadows that count as cloud, too. Not of a mask of your own.
    resampling : str
        How pixels coarser than 10 m become 10 m ones: ``"nearest"``, each gives its value to those within; or
        ``"bilinear"``, between the centres of those that are clear.
    nbar : bool
        Multiply Sentinel-2's reflectance by the c-factor of :mod:`ecoembed.cubes.nbar`: as seen from nadir.

    Returns
    -------
    xr.DataArray
        Cube (time, band, y, x), float32, 10 m, missing = NaN: reflectance, or backscatter in dB. ``time`` is that of
        the acquisition (of several tiles: of the last), UTC; beside it ``orbit`` where the files name it. ``attrs``:
        sensor, units, site (if the files name their place), mask, dilation (m), resampling, nbar, mosaicked, offset,
        repairs, years_without_view (JSON each), dates_in, dates_dropped, provenance (JSON: files with their hashes,
        how scale, offset, unit and time were decided).

    Raises
    ------
    FileError
        Absent, truncated or damaged file.
    SensorError
        None of the files is of that sensor.
    VariableError
        Bands, scene classes, a learned mask or angles absent; bands with different acquisition times; no clear date.
    GridError
        Files of different places or grids, in different CRS, or in one that is not that of the place.
    UnitError
        Values that contradict what the file declares, or that no ground reflects.
    ConfigError
        An unknown choice, or one made of a cube that is built already.

    Notes
    -----
    Everything is held in memory: at the peak about five times the cube, 0.6 GB for 300 acquisitions of 100 x 100 pixels
    in ten bands. Clouds are grown by 20 m unless told otherwise: where the truth is known (the virtual network) that
    takes the share of cloud among what is kept from 6.9 % to 2.5 % and costs 8 % of the clear pixels; 40 m takes it to
    1.7 % and costs 18 %.
    """
    wanted = get_sensor(sensor)
    choices = _Choices(None if bands is None else tuple(bands), mask, float(dilation), resampling, nbar)
    given = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
    if len(given) == 1 and is_store(given[0]):
        _refuse_choices(choices, given[0])
        return schema.check_cube(load_cube(given[0], group or sensor), sensor, where=given[0].name)
    chosen = _checked(choices, wanted)
    rasters = _read(given, wanted)
    where = _place(rasters)
    _refuse_other_crs(rasters, where)
    whole = _assemble(rasters, wanted, choices, chosen, where)
    cube = account.years_seen(masks.drop_sparse(whole), whole["time"].values, where)
    return schema.check_cube(cube, sensor if bands is None else None, where=where)


def _refuse_choices(choices: _Choices, store: Path) -> None:
    if choices != _Choices():
        raise ConfigError(
            "a stored cube is masked and resampled already",
            where=store.name,
            found=choices,
            remedy="Give the files that it was built from, or open it without bands, mask, dilation, resampling, nbar",
        )


def _checked(choices: _Choices, sensor: Sensor) -> list[str]:
    """The bands of the cube, in the sensor's order; impossible choices are refused before anything is read."""
    masks.mask_name(choices.mask, sensor)
    check_name(choices.resampling, RESAMPLING, "resampling")
    if not 0 <= choices.dilation < 10_000:
        raise ConfigError("dilation out of range", found=choices.dilation, expected="0 to 10000 m")
    for band in choices.bands or ():
        check_name(band, sensor.band_names, f"band of {sensor.name}")
    if choices.bands == ():
        raise ConfigError("no band chosen", expected=f"some of {', '.join(sensor.band_names)}")
    if choices.nbar and sensor is not S2_L2A:
        raise ConfigError("nbar is for Sentinel-2", found=sensor.name, remedy="Leave it out; HLS is NBAR already")
    return [band for band in sensor.band_names if choices.bands is None or band in choices.bands]


def _read(given: Sequence[Path], sensor: Sensor) -> dict[Source, xr.Dataset]:
    """Path -> raster, sorted by name; files of other products are passed over, as long as one is of `sensor`."""
    ordered = sources(given)
    if not ordered:
        where = ", ".join(map(str, given)) or None
        inside = sorted({file.parent.name for path in given for file in path.glob("*/*") if file.suffix in SUFFIXES})
        raise FileError(
            "no raster file and no Zarr store",
            where=where,
            found=f"rasters in the subfolders {', '.join(inside[:3])}..." if inside else None,
            expected=f"files of {sensor.title}",
            remedy="Give them as a list (folder.glob('*/*.tif')), or put them into one folder" if inside else None,
        )
    sensors = {path: sensors_of(path) for path in ordered}
    if not any(sensor.name in names for names in sensors.values()):
        found = "; ".join(f"{path.name}: {', '.join(names) or 'no known sensor'}" for path, names in sensors.items())
        raise SensorError(
            f"no {sensor.title} in {'this file' if len(ordered) == 1 else 'these files'}",
            where=ordered[0].parent.name,
            found=found,
            expected=f"files with {', '.join(sensor.band_names)}",
            remedy="Give that sensor's files, or name the sensor of these",
        )
    return {path: READERS[sensor.name](path) for path, names in sensors.items() if sensor.name in names}


def _place(rasters: dict[Source, xr.Dataset]) -> str:
    sites = {raster.attrs["site"] for raster in rasters.values() if "site" in raster.attrs}
    if len(sites) > 1:
        raise GridError("files of several places", where=", ".join(path.name for path in rasters), found=sorted(sites))
    return next(iter(sites), next(iter(rasters)).name)


def _refuse_other_crs(rasters: dict[Source, xr.Dataset], where: str) -> None:
    declared: dict[str, xr.Dataset] = {raster["spatial_ref"].attrs["crs_wkt"]: raster for raster in rasters.values()}
    known = {text: str(raster.rio.crs) for text, raster in declared.items()}  # parsing each file's takes seconds
    systems: dict[str, list[str]] = {}
    for path, raster in rasters.items():
        systems.setdefault(known[raster["spatial_ref"].attrs["crs_wkt"]], []).append(path.name)
    if len(systems) > 1:
        found = "; ".join(f"{crs}: {len(names)}, such as {names[0]}" for crs, names in systems.items())
        remedy = "Give files of one zone; ecoembed fetch brings tiles of a neighbouring zone to the site's"
        raise GridError("files in different CRS", where=where, found=found, expected="one UTM zone", remedy=remedy)


def _assemble(
    rasters: dict[Source, xr.Dataset], sensor: Sensor, choices: _Choices, bands: list[str], where: str
) -> xr.DataArray:
    longitude = centre_longitude(next(iter(rasters.values())))
    rasters = {path: at_overpass(raster, sensor, longitude) for path, raster in rasters.items()}
    others = masks.needed(choices.mask, sensor)
    account.refuse_absent(rasters, bands, others, sensor, where)
    layers = gather(rasters, [*bands, *others], where)
    notes: dict[str, object] = {"offset": account.reasons(layers)}
    if choices.nbar:
        notes["nbar"] = _to_nadir(layers, bands, rasters)
    if sensor.quality is None:
        cube = merge_slices(_stack(layers, bands))
        notes["mosaicked"] = {"dates": 0, "tiles": 0}
    else:
        layers, notes["mosaicked"] = mosaic(layers, bands)
        cube = _stack(layers, bands)
    crs = next(iter(rasters.values())).rio.crs
    cube = cube.assign_attrs(sensor=sensor.name, units=sensor.unit).rio.write_crs(crs)
    repairs = account.repairs_of(rasters) + Counter(layers.repairs)
    if sensor.quality is not None:
        clear = masks.clear_pixels(choices.mask, cube, layers.values, sensor, choices.dilation)
        cube.values[np.broadcast_to(~clear[:, None], cube.shape)] = np.nan
    if sensor.unit == REFLECTANCE:
        beyond = f"reflectance below {masks.MIN_REFLECTANCE} or above {masks.MAX_REFLECTANCE}, made missing"
        repairs[beyond] += masks.drop_impossible(cube.values, where)
        account.doubt_offset(cube, layers.metadata["offset"], where)
    resampled = _resample(cube, layers, bands, sensor) if choices.resampling == "bilinear" else "nearest"
    made = account.attributes(rasters, repairs, notes)
    made |= {"mask": masks.mask_name(choices.mask, sensor), "dilation": choices.dilation} if sensor.quality else {}
    if any("site" in raster.attrs for raster in rasters.values()):
        made["site"] = where
    return cube.assign_attrs(made, resampling=resampled)


def _stack(layers: Layers, bands: list[str]) -> xr.DataArray:
    values = np.stack([layers.values[band] for band in bands], axis=1).astype("float32", copy=False)
    coords = {"time": layers.time, "band": np.asarray(bands), "y": layers.y, "x": layers.x}
    cube = xr.DataArray(values, coords=coords, dims=("time", "band", "y", "x"))
    if any(orbit is not None for orbit in layers.metadata["orbit"]):
        orbits = np.array(["" if orbit is None else str(orbit) for orbit in layers.metadata["orbit"]])
        cube = cube.assign_coords(orbit=("time", orbits))
    return cube


def _to_nadir(layers: Layers, bands: list[str], rasters: dict[Source, xr.Dataset]) -> str:
    """Multiply the bands by their c-factors, in place; says how far those went."""
    account.refuse_absent_angles(layers, rasters)
    angles = {name: np.array(layers.metadata[name], dtype="float64") for name in ANGLES}
    factors = nbar.factors(angles, bands)
    for band, factor in factors.items():
        layers.values[band] *= factor.astype("float32")[:, None, None]
    low, high = min(f.min() for f in factors.values()), max(f.max() for f in factors.values())
    return f"c-factor of Roy et al. 2016, view from nadir, sun as observed; {low:.3f} to {high:.3f}"


def _resample(cube: xr.DataArray, layers: Layers, bands: list[str], sensor: Sensor) -> str:
    """Interpolate the bands of coarse pixels, in place; says which were interpolated before they were delivered."""
    native = {band.name: band.resolution_m for band in sensor.bands}
    before = []
    for i, band in enumerate(bands):
        size, left, upper = layers.pixels[band]
        if size <= grid.RESOLUTION:  # delivered on 10 m: pixels of 20 m begin at multiples of 20 m
            size, left, upper = native[band], left - left % native[band], upper + -upper % native[band]
        parts = round(size / grid.RESOLUTION)
        if parts == 1:
            continue
        edges = (upper - (layers.y[0] + grid.RESOLUTION / 2), layers.x[0] - grid.RESOLUTION / 2 - left)
        row, column = (round(edge / grid.RESOLUTION) % parts for edge in edges)
        if is_blocky(cube.values[:, i], parts, row, column):
            cube.values[:, i] = bilinear(cube.values[:, i], parts, row, column)
        else:
            before.append(band)
    return "bilinear" + (f"; as delivered at 10 m: {', '.join(before)}" if before else "")
