"""One small place, to be written in every format that is read: whatever the format, its cube must be the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr
from affine import Affine

from ecoembed import open_cube
from ecoembed.sensors import S2_L2A
from tests.archives import fakes

SIZE, DATES = 8, 3
NAMES = (*S2_L2A.band_names, "SCL")
TIMES = np.array(["2019-07-04T10:56:21", "2019-07-09T10:56:29", "2019-07-14T10:56:21"], dtype="datetime64[s]")


def numbers(seed: int = 0, dates: int = DATES) -> dict[str, np.ndarray]:
    """Digital numbers with some without data, and scene classes with some cloud, (time, y, x) uint16."""
    rng = np.random.default_rng(seed)
    layers = {band: rng.integers(150, 6000, (dates, SIZE, SIZE)).astype("uint16") for band in S2_L2A.band_names}
    layers["B03"][0, 0, 1] = 0
    layers["SCL"] = np.full((dates, SIZE, SIZE), 4, dtype="uint16")
    layers["SCL"][1, :3, :3] = 9
    return layers


def stamp(time: np.datetime64) -> str:
    """``20190704T105621``."""
    return str(time.astype("datetime64[s]")).replace("-", "").replace(":", "")


def reference(folder: Path, seed: int = 0) -> xr.DataArray:
    """The cube of the place, read from one plain NetCDF file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = fakes.write_raster(folder / "place.nc", numbers(seed), TIMES.astype("datetime64[ns]"), resolution=10)
    return open_cube(path, dilation=0)


def assert_same(cube: xr.DataArray, expected: xr.DataArray) -> None:
    """Equal values, coordinates and CRS; what is told about the files may differ."""
    assert cube.rio.crs == expected.rio.crs
    xr.testing.assert_equal(cube.reset_coords(drop=True), expected.reset_coords(drop=True))


def write_tiff(
    path: Path,
    layers: Sequence[np.ndarray],
    descriptions: Iterable[str | None] = (),
    *,
    epsg: int | None = fakes.EPSG,
    pixel: float = 10.0,
    left: float = fakes.LEFT,
    top: float = fakes.TOP,
    transform: Affine | None = None,
    tags: Mapping[str, str] | None = None,
    scale: float | None = None,
    **profile: object,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = layers[0].shape
    placed = transform if transform is not None else Affine(pixel, 0, left, 0, -pixel, top)
    settings = {"driver": "GTiff", "width": width, "height": height, "count": len(layers), "dtype": layers[0].dtype}
    crs = None if epsg is None else f"EPSG:{epsg}"
    with rasterio.open(path, "w", **{**settings, "crs": crs, "transform": placed, **profile}) as file:
        for i, layer in enumerate(layers, 1):
            file.write(layer, i)
        for i, description in enumerate(descriptions, 1):
            if description:
                file.set_band_description(i, description)
        if scale is not None:
            file.scales = [scale] * len(layers)
        if tags:
            file.update_tags(**tags)
    return path


def write_dates(folder: Path, layers: Mapping[str, np.ndarray], **options: object) -> list[Path]:
    """One file for each date, its bands told by descriptions."""
    return [
        write_tiff(folder / f"S2_{stamp(time)}.tif", [v[i] for v in layers.values()], list(layers), **options)  # type: ignore[arg-type]
        for i, time in enumerate(TIMES)
    ]
