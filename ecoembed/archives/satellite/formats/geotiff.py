"""GeoTIFFs: one file for each date, or each band and date, or all in one; files of one grid and sensor are one stack.

What each layer holds is told by :mod:`.tifflayers`. Scale, offset, unit and nodata of GDAL are handed on; nodata that a
band of whole numbers does not declare is the sensor's, as in all other formats. Bands of 10 m and 20 m in one folder
are two stacks, as are two tiles or two sites; a cube joins or refuses them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ecoembed.archives.satellite.formats.series import Files
from ecoembed.archives.satellite.formats.tifflayers import Description, Grid, Layer, scan
from ecoembed.archives.satellite.formats.tiffs import opened
from ecoembed.archives.satellite.grids import refuse_large
from ecoembed.archives.satellite.metadata import repaired
from ecoembed.errors import ProductError, VariableError
from ecoembed.sensors import sensors_in


@dataclass(frozen=True)
class Stack(Files):
    """Layers of one grid and one sensor, from the GeoTIFFs of a folder."""

    grid: Grid = field(repr=False)
    layers: tuple[Layer, ...] = field(repr=False)

    @property
    def bands(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(layer.band for layer in self.layers))


def stacks(paths: Iterable[Path]) -> list[Stack]:
    """The GeoTIFFs among `paths` that tell bands and dates, grouped by folder, grid and sensor; values are not read.

    Raises
    ------
    FileError
        Truncated, or no GeoTIFF.
    ProductError
        Bands without dates, or several layers without names.
    """
    groups: dict[tuple[object, ...], list[Layer]] = defaultdict(list)
    described: dict[Path, Description] = {}
    for path in sorted(paths):
        grid, layers = scan(path, described)
        for layer in layers:
            kind = [(sensor.name, sensor.product(path.stem)) for sensor in sensors_in([layer.band], path.stem)]
            kind = kind or [("S2_L2A", None)]  # a cloud mask alone: of an optical sensor
            groups[(path.parent, grid, kind[0])].append(layer)
    return [
        Stack(tuple(dict.fromkeys(layer.path for layer in layers)), key[1], tuple(layers))
        for key, layers in groups.items()
        if isinstance(key[1], Grid)
    ]


def open_stack(stack: Stack) -> tuple[xr.Dataset, str | None]:
    """All layers over (time, y, x), numbers as stored, and the CRS that the files declare.

    Raises
    ------
    FileError
        Truncated values.
    VariableError
        A band absent at one of the dates, or twice with different values.
    ProductError
        Dates whose numbers are of different kinds or scales.
    GridError
        Larger than what is read.
    """
    where, grid = stack.parent.name if len(stack.files) > 1 else stack.files[0].name, stack.grid
    scenes = sorted({(layer.time, layer.tile) for layer in stack.layers})
    _refuse_gaps(stack, scenes, where)
    dtypes = {band: _common_dtype(band, stack, where) for band in stack.bands}
    size = sum(np.dtype(dtype).itemsize for dtype in dtypes.values())
    refuse_large((len(scenes), grid.height, grid.width), size, where)
    attrs = {band: _common_attrs(band, stack, where) for band in stack.bands}
    values = {band: np.empty((len(scenes), grid.height, grid.width), dtype) for band, dtype in dtypes.items()}
    dropped = _fill(values, attrs, stack, {scene: i for i, scene in enumerate(scenes)}, where)
    raster = xr.Dataset(
        {band: (("time", "y", "x"), values[band], attrs[band]) for band in stack.bands} | _facts(stack, scenes),
        coords={
            "time": np.array([time for time, _ in scenes]).astype("datetime64[ns]"),
            "y": grid.top + grid.dy * (np.arange(grid.height) + 0.5),
            "x": grid.left + grid.dx * (np.arange(grid.width) + 0.5),
        },
        attrs={"product": stack.files[0].stem},
    )
    return repaired(raster, {"layers delivered twice, equal, one left out": dropped}), grid.crs


def _refuse_gaps(stack: Stack, scenes: Sequence[tuple[np.datetime64, str]], where: str) -> None:
    held = {(layer.time, layer.tile, layer.band) for layer in stack.layers}
    absent = [(band, time) for time, tile in scenes for band in stack.bands if (time, tile, band) not in held]
    if absent:
        band, time = absent[0]
        raise VariableError(
            f"{band} is absent at {time}" + (f", and {len(absent) - 1} more layers" if len(absent) > 1 else ""),
            where=where,
            found=f"{len(scenes)} dates, {len(stack.bands)} bands, {len(held)} layers",
            expected="every band at every date",
            remedy="Add what is missing, or take all files of that date away",
        )


def _common_dtype(band: str, stack: Stack, where: str) -> np.dtype[Any]:
    dtypes = {np.dtype(layer.dtype) for layer in stack.layers if layer.band == band}
    if len({dtype.kind == "f" for dtype in dtypes}) > 1:
        raise ProductError(
            f"{band} is whole numbers at some dates and not at others",
            where=where,
            found=", ".join(sorted(map(str, dtypes))),
            expected="one kind at all dates",
            remedy="Keep them in folders of their own, or convert them to one",
        )
    common = np.result_type(*dtypes)
    if common.kind not in "iuf":
        raise ProductError(f"{band} is not of real numbers", where=where, found=common, expected="detected intensity")
    return common


def _common_attrs(band: str, stack: Stack, where: str) -> dict[str, Any]:
    """Scale, offset and unit, which must be the same at all dates, and one nodata, to which others are brought."""
    layers = [layer for layer in stack.layers if layer.band == band]
    for key in ("scale_factor", "add_offset", "units"):
        values = {layer.attrs.get(key) for layer in layers}
        if len(values) > 1:
            raise ProductError(f"{key} of {band} differs between dates", where=where, found=sorted(map(str, values)))
    fills = [layer.attrs["_FillValue"] for layer in layers if "_FillValue" in layer.attrs]
    fills += [_undeclared(layer) for layer in layers if layer.masked and not fills]
    plain = {key: value for key, value in layers[0].attrs.items() if key != "_FillValue"}
    return plain | ({"_FillValue": fills[0]} if fills else {})


def _undeclared(layer: Layer) -> float:
    """What stands for missing where nothing is declared."""
    sensors = sensors_in([layer.band], layer.path.stem)
    return float(sensors[0].nodata) if sensors and np.dtype(layer.dtype).kind != "f" else float("nan")


def _fill(
    values: dict[str, np.ndarray],
    attrs: dict[str, dict[str, Any]],
    stack: Stack,
    rows: dict[tuple[np.datetime64, str], int],
    where: str,
) -> int:
    """Read every layer to its place; the number of those that were there twice."""
    seen: set[tuple[int, str]] = set()
    dropped = 0
    files: dict[Path, list[Layer]] = defaultdict(list)
    for layer in stack.layers:
        files[layer.path].append(layer)
    for path, layers in files.items():
        for layer, numbers in zip(layers, _read(path, layers), strict=True):
            row, fill = rows[layer.time, layer.tile], attrs[layer.band].get("_FillValue")
            own = layer.attrs.get("_FillValue", _undeclared(layer))
            if fill is not None and own != fill and not (np.isnan(own) and np.isnan(fill)):
                numbers = np.where(np.isnan(numbers) if np.isnan(own) else numbers == own, fill, numbers)
            if (row, layer.band) not in seen:
                seen.add((row, layer.band))
                values[layer.band][row] = numbers
            elif np.array_equal(values[layer.band][row], numbers, equal_nan=numbers.dtype.kind == "f"):
                dropped += 1
            else:
                raise VariableError(
                    f"{layer.band} is there twice at {layer.time}, with different values",
                    where=where,
                    found=path.name,
                    expected="one file for each date, or the tiles' names in the files' names",
                    remedy="Take one of them away",
                )
    return dropped


def _read(path: Path, layers: Sequence[Layer]) -> list[np.ndarray]:
    with opened(path) as source:
        numbers = source.read([layer.index for layer in layers])
        if layers[0].masked:
            hidden = source.dataset_mask() == 0
            for layer, values in zip(layers, numbers, strict=True):
                values[hidden] = layer.attrs.get("_FillValue", _undeclared(layer))
    return list(numbers)


def _facts(stack: Stack, scenes: Sequence[tuple[np.datetime64, str]]) -> dict[str, Any]:
    """Variables over time, of whatever is known of any date."""
    told = {(layer.time, layer.tile): layer.facts for layer in stack.layers}
    names = {name for facts in told.values() for name in facts}
    return {n: ("time", np.array([told[scene].get(n, "") for scene in scenes], dtype=object)) for n in sorted(names)}
