"""From a density that can be sampled at points to its mean over each pixel of a grid.

A footprint may be far narrower than a pixel near the tower and far wider at a distance. Every pixel therefore takes
its mean from samples on a lattice ``2**level`` pixels wide, whose level follows from its distance to the tower: finer
than the pixel where the footprint is sharp, coarser where it is smooth. Samples become pixel means by an operator of
fourth order that is separable in x and y, and is applied once, to the sum over all half-hours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import sparse

from ecoembed.errors import GridError
from ecoembed.footprints.validity import Array

Density = Callable[[Array, Array], Array]
#: The finest and the coarsest lattice, as powers of two of the pixel.
FINEST, COARSEST = -8, 2
#: Interpolating between lattice points takes a lattice this much finer, for the same error, than averaging cells.
FINER = 1.4


class Axis(NamedTuple):
    """Pixels along one direction: `edge`, the lower edge of the first one relative to the tower, and `step`, in m."""

    edge: float
    step: float
    size: int

    @property
    def edges(self) -> Array:
        return self.edge + self.step * np.arange(self.size + 1, dtype=np.float64)

    @property
    def nearest(self) -> Array:
        """Distance from the tower to the nearest point of each pixel, m."""
        return np.maximum(0.0, np.maximum(self.edges[:-1], -self.edges[1:]))

    def part(self, first: int, last: int) -> Axis:
        return Axis(self.edge + first * self.step, self.step, last - first)


class Pixels(NamedTuple):
    """A regular grid around a tower; both axes ascend, whatever the order of the grid's coordinates."""

    x: Axis
    y: Axis
    tower: tuple[float, float]

    @property
    def area(self) -> float:
        return self.x.step * self.y.step


def pixels_around(grid: Any, x: float | None, y: float | None) -> Pixels:
    """The pixels of `grid` relative to a tower at (x, y), or at the grid's centre where they are None.

    Raises
    ------
    GridError
        If the grid has no regular x and y in metres, or the tower is outside it.
    """
    centres = {name: _regular(grid, name) for name in ("x", "y")}
    crs = crs_of(grid)
    if crs is not None and crs.is_geographic:
        raise GridError(
            "the grid is in degrees",
            where="footprint grid",
            found=crs.to_string(),
            expected="x and y in metres",
            remedy="Reproject it to UTM",
        )
    axes, tower = [], []
    for (name, c), given in zip(centres.items(), (x, y), strict=True):
        low, high, step = float(c.min()), float(c.max()), float(np.abs(c[-1] - c[0]) / (c.size - 1))
        at = (low + high) / 2 if given is None else float(given)
        if not low - step / 2 <= at <= high + step / 2:
            raise GridError(
                "the tower is outside the grid",
                where="footprint grid",
                found=f"{name} = {at:.1f} m",
                expected=f"{name} between {low - step / 2:.1f} and {high + step / 2:.1f} m",
                remedy="Check the site's coordinates and the CRS of the grid",
            )
        axes.append(Axis(low - step / 2 - at, step, c.size))
        tower.append(at)
    return Pixels(axes[0], axes[1], (tower[0], tower[1]))


def crs_of(grid: Any) -> Any:
    """The CRS that an xarray object carries as ``spatial_ref``, or None."""
    if not isinstance(grid, xr.Dataset | xr.DataArray) or "spatial_ref" not in grid.coords:
        return None
    import rioxarray  # noqa: F401

    return grid.rio.crs


def _regular(grid: Any, name: str) -> Array:
    try:
        values = np.asarray(grid[name], dtype=np.float64)
    except (KeyError, TypeError, IndexError, ValueError):
        raise GridError(f"the grid has no coordinate {name}", where="footprint grid", expected="x and y in m") from None
    steps = np.diff(values)
    if values.ndim != 1 or values.size < 2 or not steps[0] or not np.allclose(steps, steps[0], rtol=1e-3, atol=0):
        raise GridError(
            f"{name} is not regular", where="footprint grid", found=values.shape, expected="2 or more equal steps in m"
        )
    return values


def on_grid(values: Array, grid: Any, **attrs: Any) -> xr.DataArray:
    """`values` (ascending y, ascending x) as weights on the coordinates of `grid`, in its own order."""
    coords = {name: np.asarray(grid[name], dtype=np.float64) for name in ("y", "x")}
    ordered = values[:: 1 if coords["y"][-1] > coords["y"][0] else -1, :: 1 if coords["x"][-1] > coords["x"][0] else -1]
    weights = xr.DataArray(np.ascontiguousarray(ordered), coords, ("y", "x"), name="weights", attrs=attrs)
    if isinstance(grid, xr.Dataset | xr.DataArray) and "spatial_ref" in grid.coords:
        weights = weights.assign_coords(spatial_ref=grid["spatial_ref"].reset_coords(drop=True))
    return weights


def pixel_means(pixels: Pixels, density: Density, step_at: Callable[[Array], Array]) -> Array:
    """Mean of `density` over each pixel.

    Parameters
    ----------
    density : function of (east, north)
        Density at points relative to the tower, m.
    step_at : function of distance
        Lattice width, m, that resolves the density at a distance from the tower, m.

    Returns
    -------
    array, shape (y, x)
    """
    width = step_at(np.hypot(pixels.x.nearest, pixels.y.nearest[:, None])) / max(pixels.x.step, pixels.y.step)
    level = np.floor(np.log2(width))
    coarse = np.floor(np.log2(width / FINER))
    level = np.clip(np.where(level > 0, np.maximum(coarse, 0), level), FINEST, COARSEST).astype(int)
    rings = [_ring(pixels, level == k, int(k)) for k in np.unique(level)]
    values = density(np.concatenate([r.east for r in rings]), np.concatenate([r.north for r in rings]))
    means = np.zeros(level.shape)
    for ring, samples in zip(rings, np.split(values, np.cumsum([r.east.size for r in rings])[:-1]), strict=True):
        field = np.zeros(ring.needed.shape)
        field[ring.needed] = samples
        means[ring.box] += ring.pixels * (ring.to_rows @ field @ ring.to_columns.T)
    return np.maximum(means, 0.0)  # interpolation can undershoot zero at the rim of a plume


class _Ring(NamedTuple):
    """The pixels that take their mean from one lattice, and the lattice's points that they need."""

    box: tuple[slice, slice]
    pixels: NDArray[np.bool_]
    to_rows: sparse.csr_array
    to_columns: sparse.csr_array
    needed: NDArray[np.bool_]
    east: Array
    north: Array


def _ring(pixels: Pixels, chosen: NDArray[np.bool_], level: int) -> _Ring:
    rows, columns = _extent(chosen.any(axis=1)), _extent(chosen.any(axis=0))
    chosen = chosen[rows, columns]
    north, to_rows = _lattice(pixels.y.part(rows.start, rows.stop), level)
    east, to_columns = _lattice(pixels.x.part(columns.start, columns.stop), level)
    needed = abs(to_rows).T @ chosen @ abs(to_columns) > 0
    j, i = np.nonzero(needed)
    return _Ring((rows, columns), chosen, to_rows, to_columns, needed, east[i], north[j])


def _extent(some: Any) -> slice:
    at = np.flatnonzero(some)
    return slice(int(at[0]), int(at[-1]) + 1)


def _lattice(axis: Axis, level: int) -> tuple[Array, sparse.csr_array]:
    """Lattice points along an axis, and the matrix (pixels, points) that turns samples there into pixel means.

    Sparse, also because threads of BLAS cost far more than products of this size.
    """
    points, matrix = _fine(axis, 2**-level) if level <= 0 else _coarse(axis, 2**level)
    return points, sparse.csr_array(matrix)


def _fine(axis: Axis, n: int) -> tuple[Array, Array]:
    """`n` points in each pixel; a cell's mean is (1, 22, 1) / 24 of its own and its neighbours' midpoints."""
    step = axis.step / n
    points = axis.edge + step * (np.arange(-1, axis.size * n + 1, dtype=np.float64) + 0.5)
    cells = np.repeat(np.eye(axis.size), n, axis=1) / n
    matrix = np.zeros((axis.size, points.size))
    for shift, weight in ((0, 1 / 24), (1, 22 / 24), (2, 1 / 24)):
        matrix[:, shift : shift + cells.shape[1]] += weight * cells
    return points, matrix


def _coarse(axis: Axis, m: int) -> tuple[Array, Array]:
    """A point in the centre of every `m`-th pixel, counted from the tower's, so that reflections are exact.

    Half a pixel lies within one interval; its mean is that of the polynomial through the six points around.
    """
    tower = int(np.floor(-axis.edge / axis.step))
    halves = np.arange(2 * axis.size) - 2 * tower - 1  # in half pixels from the centre of the tower's pixel
    interval, within = np.divmod(halves, 2 * m)
    first, last = interval[0] - 2, interval[-1] + 3
    points = axis.edge + axis.step * (tower + 0.5 + m * np.arange(first, last + 1, dtype=np.float64))
    nodes, shares = np.polynomial.legendre.leggauss(3)  # exact for the polynomial
    at = (within + 0.5 + nodes[:, None] / 2) / (2 * m)
    weights = np.einsum("g,kgh->kh", shares / 2, _lagrange(at, np.arange(-2, 4)))
    matrix = np.zeros((halves.size, points.size))
    for k in range(6):
        matrix[np.arange(halves.size), interval - 2 - first + k] = weights[k]
    return points, (matrix[::2] + matrix[1::2]) / 2


def _lagrange(t: Array, points: NDArray[np.int_]) -> Array:
    """Weights of `points` in the polynomial through them, at positions `t`; shape (points, *t.shape)."""
    return np.stack([np.prod([(t - q) / (p - q) for q in points if q != p], axis=0) for p in points])
