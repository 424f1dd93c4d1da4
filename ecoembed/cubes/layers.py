"""Every acquisition of a place as its files hold it, on one 10 m grid: the material of a cube."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ecoembed.archives.satellite.grids import refuse_large
from ecoembed.archives.satellite.metadata import ANGLES
from ecoembed.archives.satellite.rasters import Source
from ecoembed.archives.satellite.sentinel2 import baseline_number
from ecoembed.cubes import grid
from ecoembed.errors import VariableError

#: What is known of an acquisition beside its pixels.
METADATA = ("processing_baseline", "offset", "orbit", *ANGLES)


_Window = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Layers:
    """Tiles (or slices) in order of time; of the same time, that of the newest processing baseline last.

    Attributes
    ----------
    time : ndarray of datetime64[ns], shape (n,)
    values : dict of str to ndarray, shape (n, y, x)
        Bands (float32), classification, cloud mask.
    metadata : dict of str to list, length n
        By the names of `METADATA`; None where unknown.
    pixels : dict of str to (float, float, float)
        Of each variable: size of the pixels as delivered, left and upper edge, in m.
    x, y : ndarray
        Centres of the 10 m pixels.
    repairs : dict of str to int
        What was left out -> how many images.
    """

    time: np.ndarray
    values: dict[str, np.ndarray]
    metadata: dict[str, list[object]]
    pixels: dict[str, tuple[float, float, float]]
    x: np.ndarray
    y: np.ndarray
    repairs: dict[str, int]


def gather(rasters: Mapping[Source, xr.Dataset], names: list[str], where: str) -> Layers:
    """The variables `names` of all files, each on the 10 m grid of the finest file.

    Raises
    ------
    GridError
        Grids that do not fit into one another.
    VariableError
        Variables that were not acquired at the same times.
    """
    finest = min(rasters.values(), key=lambda raster: (grid.pixel_size(raster, where), raster.sizes["x"]))
    x, y = grid.fine_axes(finest, where)
    dates = max(sum(raster.sizes["time"] for raster in rasters.values() if name in raster) for name in names)
    refuse_large((dates, len(names), len(y), len(x)), 4, where)
    windows: dict[tuple[float, ...], _Window] = {}
    times: dict[str, np.ndarray] = {}
    values: dict[str, np.ndarray] = {}
    pixels: dict[str, tuple[float, float, float]] = {}
    again = 0
    for name in names:
        given = {path: raster for path, raster in rasters.items() if name in raster}
        held = _finest(given, where)
        again += sum(raster.sizes["time"] for path, raster in given.items() if path not in held)
        stamps = np.concatenate([raster["time"].values for raster in held.values()])
        order = np.lexsort((np.concatenate([_baselines(raster, path.name) for path, raster in held.items()]), stamps))
        pieces = []
        for path, raster in held.items():
            rows, columns = _window(raster, x, y, path.name, windows)
            pieces.append(raster[name].values[:, rows, columns])
        times[name], values[name] = stamps[order], np.concatenate(pieces)[order]
        first = next(iter(held.values()))
        size = grid.pixel_size(first, where)
        pixels[name] = (size, float(first["x"].values[0]) - size / 2, float(first["y"].values[0]) + size / 2)
    _refuse_other_times(times, where)
    time = times[names[0]]
    metadata = {name: _known(rasters, name, names[0], time) for name in METADATA}
    return Layers(time, values, metadata, pixels, x, y, {"images delivered in coarser pixels, too, left out": again})


def _finest(held: dict[Source, xr.Dataset], where: str) -> dict[Source, xr.Dataset]:
    """`held` without what is there in finer pixels, too: Sentinel-2's folder of 20 m holds bands of 10 m again."""
    sizes = {path: grid.pixel_size(raster, where) for path, raster in held.items()}
    fine = {path: raster for path, raster in held.items() if sizes[path] == min(sizes.values())}
    times = np.concatenate([raster["time"].values for raster in fine.values()])
    again = (np.isin(raster["time"].values, times).all() for path, raster in held.items() if path not in fine)
    return fine if all(again) else held


def _window(
    raster: xr.Dataset, x: np.ndarray, y: np.ndarray, where: str, windows: dict[tuple[float, ...], _Window]
) -> _Window:
    """Index of the 10 m pixels in a raster's arrays, worked out once for each grid."""
    key = (raster.sizes["x"], raster.sizes["y"], *(float(raster[axis].values[i]) for axis in "xy" for i in (0, -1)))
    if key not in windows:
        rows, columns = grid.positions(raster, x, y, where)
        windows[key] = rows[:, None], columns[None, :]
    return windows[key]


def _baselines(raster: xr.Dataset, where: str) -> np.ndarray:
    """Processing baseline of each time; -1 where unknown."""
    if "processing_baseline" not in raster:
        return np.full(raster.sizes["time"], -1.0)
    numbers = (baseline_number(value, where) for value in raster["processing_baseline"].values)
    return np.array([-1.0 if number is None else number for number in numbers])


def _known(rasters: Mapping[Source, xr.Dataset], name: str, band: str, time: np.ndarray) -> list[object]:
    """Of each layer, what the file of its `band` says, or else another file of the same time; None where none does."""
    own = {path: raster for path, raster in rasters.items() if band in raster and name in raster}
    if own:
        stamps = np.concatenate([raster["time"].values for raster in own.values()])
        order = np.lexsort((np.concatenate([_baselines(raster, path.name) for path, raster in own.items()]), stamps))
        if np.array_equal(stamps[order], time):
            stated = [value for raster in own.values() for value in raster[name].values.tolist()]
            return [_value(stated[i]) for i in order]
    found: dict[int, object] = {}
    for raster in rasters.values():
        if name in raster:
            found |= dict(zip(raster["time"].values.tolist(), raster[name].values.tolist(), strict=True))
    return [_value(found.get(stamp)) for stamp in time.tolist()]


def _value(stated: object) -> object:
    return None if stated == "" or stated != stated else stated


def _refuse_other_times(times: Mapping[str, np.ndarray], where: str) -> None:
    name, first = next(iter(times.items()))
    for other, stamps in times.items():
        if not np.array_equal(stamps, first):
            alone = np.setxor1d(stamps, first)
            raise VariableError(
                f"{other} and {name} were not acquired at the same times",
                where=where,
                found=f"{len(alone)} times in one of them only" + (f", the first {alone[0]}" if len(alone) else ""),
                expected="identical times in all files",
                remedy="Give files of the same period and the same acquisitions",
            )
