"""A grid in degrees, or one that stretches the ground, put on square pixels of the UTM zone of its place."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from rasterio.crs import CRS

from ecoembed.archives.satellite.metadata import repaired
from ecoembed.errors import GridError

if TYPE_CHECKING:
    from pyproj import Transformer

#: Edges of a UTM grid of ours lie on multiples of this, in m, so that 10 m and 20 m pixels share them.
_SNAP = 20.0


def to_utm(raster: xr.Dataset, crs: CRS, where: str) -> xr.Dataset:
    """`raster` on square pixels of the UTM zone of its place, each with the value of the pixel that it lies in."""
    from pyproj import Transformer

    x, y = (_Axis.of(raster[axis].values.astype("float64"), axis, f"{where}, {crs}") for axis in ("x", "y"))
    longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x.middle, y.middle)
    epsg = (32600 if latitude >= 0 else 32700) + min(int((longitude + 180) % 360 // 6) + 1, 60)
    onto = Transformer.from_crs(crs, epsg, always_xy=True)
    size = 10.0 * max(1, round(_longer_side(onto, x, y) / 10.0))
    new_x, new_y = _covered(onto, x, y, size)
    if min(new_x.size, new_y.size) < 2:
        raise GridError("too few pixels for a grid in metres", where=where, found=f"{y.n} x {x.n} in {crs}")
    wanted = np.meshgrid(new_x, new_y)
    there = list(onto.transform(wanted[0], wanted[1], direction="INVERSE"))
    if crs.is_geographic:  # the same turn around the Earth as the raster's own
        there[0] += 360.0 * np.round((x.middle - there[0]) / 360.0)
    columns, rows = x.index(there[0]), y.index(there[1])
    taken = onto.transform(x.first + columns * x.step, y.first + rows * y.step)
    shift = np.hypot(taken[0] - wanted[0], taken[1] - wanted[1]).max()
    data = {
        str(name): (v.dims, v.values[..., rows, columns], v.attrs) if v.dims[-2:] == ("y", "x") else v
        for name, v in raster.data_vars.items()
    }
    moved = xr.Dataset(data, coords={"time": raster["time"], "y": new_y, "x": new_x}, attrs=raster.attrs)
    reason = f"grid in {crs} put on {size:g} m pixels of EPSG:{epsg} by nearest neighbour, moved by up to {shift:.1f} m"
    warnings.warn(f"{where}: {reason}; export it in that UTM zone to avoid this", UserWarning, stacklevel=2)
    return repaired(moved.rio.write_crs(CRS.from_epsg(epsg), grid_mapping_name="spatial_ref"), {reason: 1})


@dataclass(frozen=True)
class _Axis:
    """Evenly spaced centres of pixels."""

    first: float
    step: float
    n: int

    @classmethod
    def of(cls, centres: np.ndarray, name: str, where: str) -> _Axis:
        if centres.size < 2:
            raise GridError(f"a single pixel along {name}", where=where)
        step = (centres[-1] - centres[0]) / (centres.size - 1)
        if np.abs(np.diff(centres) - step).max() > 0.1 * abs(step):  # coordinates in 32 bits are that coarse
            raise GridError(f"uneven pixels along {name}", where=where, found=f"steps around {step:g}")
        return cls(float(centres[0]), float(step), centres.size)

    @property
    def middle(self) -> float:
        return self.first + self.step * (self.n - 1) / 2

    def edges(self) -> np.ndarray:
        return self.first + self.step * (np.arange(self.n + 1) - 0.5)

    def index(self, values: np.ndarray) -> np.ndarray:
        """Which pixel contains each value."""
        return np.clip(np.floor((values - self.first) / self.step + 0.5), 0, self.n - 1).astype(int)


def _covered(onto: Transformer, x: _Axis, y: _Axis, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the pixels of `size` m that lie within the raster, which stands askew on the UTM grid."""
    columns, rows = x.edges(), y.edges()
    west, east = (onto.transform(np.full_like(rows, edge), rows)[0] for edge in columns[[0, -1]])
    north, south = (onto.transform(columns, np.full_like(columns, edge))[1] for edge in rows[[0, -1]])
    left, top = math.ceil(west.max() / _SNAP) * _SNAP, math.floor(north.min() / _SNAP) * _SNAP
    width, height = (max(int((far + 1e-6) // size), 0) for far in (east.min() - left, top - south.max()))
    return left + size * (np.arange(width) + 0.5), top - size * (np.arange(height) + 0.5)


def _longer_side(onto: Transformer, x: _Axis, y: _Axis) -> float:
    """Of a pixel in the middle, in m."""
    points = ((x.middle, y.middle), (x.middle + x.step, y.middle), (x.middle, y.middle + y.step))
    here, beside, below = (onto.transform(px, py) for px, py in points)
    return max(math.dist(here, beside), math.dist(here, below))
