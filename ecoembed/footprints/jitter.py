"""How far a site's series moves when its tower stands elsewhere than its coordinates say."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ecoembed.footprints.extract import extract

#: Directions in which the tower is moved, degrees clockwise from grid north.
DIRECTIONS = np.arange(0.0, 360.0, 45.0)


def jitter(cube: xr.DataArray, weights: xr.DataArray, distance: float = 30.0) -> xr.Dataset:
    """Change of the footprint's series when the tower is moved in eight directions.

    Parameters
    ----------
    cube : xr.DataArray
        (time, band, y, x), any Cube.
    weights : xr.DataArray
        What :func:`~ecoembed.footprints.extract.extract` takes, on the same grid.
    distance : float
        m; 30 m are three decimals of a degree, rounded badly.

    Returns
    -------
    xr.Dataset
        Over (``direction``, ``feature``), in the cube's unit: ``mean_change`` and ``max_change``, the mean and the
        largest absolute difference over the dates that both series have; and ``relative_mean`` and ``relative_max``,
        the same as a share of the series' standard deviation over time (1; missing where it does not vary). ``sd`` and
        ``n`` dates over ``feature``. ``distance`` in attrs.

    Raises
    ------
    GridError, VariableError, FootprintError
        As :func:`~ecoembed.footprints.extract.extract`.
    """
    base = extract(cube, weights)["value"]
    changes = []
    for direction in np.radians(DIRECTIONS):
        moved = shifted(weights, distance * np.sin(direction), distance * np.cos(direction))
        changes.append(abs(extract(cube, moved)["value"] - base))
    change = xr.concat(changes, "direction").assign_coords(direction=DIRECTIONS)
    sd = base.std("time")
    varying = sd.where(sd > 1e-6 * abs(base).mean("time"))  # more than float32 rounds
    found = {"mean_change": change.mean("time"), "max_change": change.max("time")}
    relative = {f"relative_{name.split('_')[0]}": value / varying for name, value in found.items()}
    both = change.notnull().all("direction").sum("time")
    return xr.Dataset({**found, **relative, "sd": sd, "n": both}).assign_attrs(
        distance=distance, units=cube.attrs.get("units", "1")
    )


def shifted(weights: xr.DataArray, east: float, north: float) -> xr.DataArray:
    """The same footprint around a tower that stands `east` and `north` of where it stood, in m along the grid.

    Each pixel's weight, taken as even over it, is moved and shared among the pixels that it then overlaps. What leaves
    the grid is lost; what would enter it is not known and left out.

    Examples
    --------
    >>> weights = xr.DataArray(np.eye(3), {"y": [20.0, 10.0, 0.0], "x": [0.0, 10.0, 20.0]}, ("y", "x"))
    >>> shifted(weights, 15.0, 0.0).values
    array([[0. , 0.5, 0.5],
           [0. , 0. , 0.5],
           [0. , 0. , 0. ]])
    """
    values = weights.values
    for axis, (name, metres) in ((-2, ("y", north)), (-1, ("x", east))):
        step = float(weights[name][1] - weights[name][0])
        values = _moved(values, metres / step, axis)
    moved = weights.copy(data=values).drop_vars("inside", errors="ignore")
    tower = {f"tower_{name}": weights.attrs.get(f"tower_{name}", 0.0) + m for name, m in (("x", east), ("y", north))}
    return moved.assign_attrs(tower, inside=float(values.sum(axis=(-2, -1)).mean()))


def _moved(values: np.ndarray, pixels: float, axis: int) -> np.ndarray:
    """`values` moved by a number of pixels along an axis, zeros entering."""
    whole = int(np.floor(pixels))
    part = pixels - whole
    return (1 - part) * _rolled(values, whole, axis) + part * _rolled(values, whole + 1, axis)


def _rolled(values: np.ndarray, pixels: int, axis: int) -> np.ndarray:
    n = values.shape[axis]
    rolled = np.roll(values, pixels, axis)
    entering = np.arange(n) < pixels if pixels > 0 else np.arange(n) >= n + pixels
    shape = [1] * values.ndim
    shape[axis] = n
    return np.where(entering.reshape(shape), 0.0, rolled)
