"""A cube seen through a footprint: one weighted value for each date and band, with the share that was seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed import schema
from ecoembed.errors import FootprintError, GridError, VariableError
from ecoembed.footprints.pixels import crs_of

#: Bytes of cube that are held at once where it is not chunked already.
BLOCK_BYTES = 128 << 20
#: What weights may be over.
_DIMS = ("y", "x"), ("month", "y", "x"), ("time", "y", "x")
#: Attributes of the cube and of the weights that the series keeps.
_KEPT = (
    ("site", "sensor", "units", "weights", "window", "error_unit"),
    ("method", "inside", "n", "excluded", "notes", "stand_in", "fallback"),
)


def extract(cube: xr.DataArray, weights: xr.DataArray) -> xr.Dataset:
    """Footprint-weighted mean of a cube on every date.

    Parameters
    ----------
    cube : xr.DataArray
        (time, band, y, x), in memory or chunked by dask; NaN is missing. Times are UTC.
    weights : xr.DataArray
        (y, x) on the same grid, from :func:`~ecoembed.footprints.climatology.footprint_climatology` or
        :func:`~ecoembed.footprints.extents.fixed_radius`; or, from
        :func:`~ecoembed.footprints.tower.tower_footprint`, (month, y, x), of which every date takes its local month's
        (by ``attrs["utc_offset"]``, h), or (time, y, x), of which it takes that of the same time.

    Returns
    -------
    xr.Dataset
        A SiteSeries: ``value`` (time, feature), ``sum(w v) / sum(w)`` over valid pixels, in the cube's unit, NaN where
        there is none; ``coverage`` (time), ``sum(w)`` over valid pixels. A pixel is valid on a date when all its bands
        are finite. The share of the footprint outside the cube counts as not covered.

    Raises
    ------
    GridError
        If cube and weights are not on the same pixels.
    VariableError
        If the cube has other dimensions, or a date has no weights.
    FootprintError
        If weights are negative, missing, or zero everywhere.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecoembed.footprints.extents import fixed_radius
    >>> grid = {"x": np.arange(5, 100, 10.0), "y": np.arange(95, 0, -10.0)}
    >>> coords = {"time": pd.to_datetime(["2020-06-01"]), "band": ["B04", "B08"], **grid}
    >>> cube = xr.DataArray(np.full((1, 2, 10, 10), 0.25, "float32"), coords, ("time", "band", "y", "x"))
    >>> series = extract(cube, fixed_radius(grid, 40))
    >>> series["value"].values, series["coverage"].values.round(6)
    (array([[0.25, 0.25]]), array([1.]))
    """
    _check(cube, weights)
    which = _slice_of_date(cube, weights)
    w = np.asarray(weights.values, dtype=np.float64).reshape(-1, *weights.shape[-2:])
    weighing = (np.flatnonzero(w.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    box = tuple(slice(int(at[0]), int(at[-1]) + 1) for at in weighing)
    flat, seen = w[:, *box].reshape(len(w), -1), cube.isel(y=box[0], x=box[1])
    value = np.full((cube.sizes["time"], cube.sizes["band"]), np.nan)
    coverage = np.zeros(cube.sizes["time"])
    for block in _blocks(seen):
        pixels = seen.isel(time=block).values.reshape(block.stop - block.start, cube.sizes["band"], -1)
        value[block], coverage[block] = _weighted(pixels, flat, which[block])
    return schema.check_series(_series(cube, weights, value, coverage))


def _weighted(pixels: np.ndarray, flat: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (time, band) and covered shares (time,) of pixels (time, band, n), by the row of `flat` that each takes."""
    valid = np.isfinite(pixels).all(axis=1)
    clean = np.where(valid[:, None], pixels, 0).astype(np.float64)
    total, share = np.empty(pixels.shape[:2]), np.empty(len(pixels))
    for k in np.unique(which):
        dates = which == k if (which != k).any() else slice(None)  # a mask copies
        total[dates], share[dates] = clean[dates] @ flat[k], valid[dates] @ flat[k]
    return np.divide(total, share[:, None], out=np.full(total.shape, np.nan), where=share[:, None] > 0), share


def _slice_of_date(cube: xr.DataArray, weights: xr.DataArray) -> np.ndarray:
    """For each date of the cube, which slice of the weights it takes, shape (time,)."""
    if weights.dims == ("y", "x"):
        return np.zeros(cube.sizes["time"], dtype=int)
    kind, dates = weights.dims[0], cube.indexes["time"]
    if kind == "month":
        local = dates + pd.Timedelta(hours=utc_offset(weights))
        dates = pd.Index(np.asarray(local.month))
    which = np.asarray(weights.indexes[kind].get_indexer(dates))
    if (which < 0).any():
        without = np.flatnonzero(which < 0)
        raise VariableError(
            f"{without.size} of {which.size} dates have no footprint weights",
            where=cube.attrs.get("site") or cube.attrs.get("sensor", "cube"),
            found=f"first: {cube['time'].values[without[0]].astype('datetime64[s]')} UTC",
            expected="weights for every month" if kind == "month" else "weights made for this cube's times",
            remedy=f"Make them with tower_footprint(..., period={'overpass' if kind == 'time' else 'month'!r})",
        )
    return which


def utc_offset(weights: xr.DataArray) -> float:
    """Local standard time minus UTC, h, that weights by month carry.

    Raises
    ------
    VariableError
        If they carry none.
    """
    if "utc_offset" not in weights.attrs:
        raise VariableError(
            "no utc_offset in the weights' attributes", where="footprint weights", expected="h, to tell local months"
        )
    return float(weights.attrs["utc_offset"])


def _series(cube: xr.DataArray, weights: xr.DataArray, value: np.ndarray, coverage: np.ndarray) -> xr.Dataset:
    attrs = {
        k: source.attrs[k]
        for source, keys in zip((cube, weights), _KEPT, strict=True)
        for k in keys
        if k in source.attrs
    }
    unit = {"units": cube.attrs["units"]} if "units" in cube.attrs else {}
    return xr.Dataset(
        {
            "value": (("time", "feature"), value, unit),
            "coverage": ("time", np.minimum(coverage, 1.0), {"units": "1", "long_name": "share of the footprint seen"}),
        },
        {"time": cube["time"].values, "feature": [str(b) for b in cube["band"].values]},
        attrs,
    )


def _blocks(cube: xr.DataArray) -> Iterator[slice]:
    """Runs of dates that are held at once: the cube's own chunks, or :data:`BLOCK_BYTES`."""
    n = cube.sizes["time"]
    if cube.chunks is not None:
        lengths = list(cube.chunks[cube.dims.index("time")])
    else:
        step = max(1, BLOCK_BYTES // max(1, cube[:1].nbytes))
        lengths = [min(step, n - i) for i in range(0, n, step)]
    ends = np.cumsum(lengths).tolist()
    yield from (slice(end - length, end) for end, length in zip(ends, lengths, strict=True))


def _check(cube: xr.DataArray, weights: xr.DataArray) -> None:
    where = cube.attrs.get("site") or cube.attrs.get("sensor", "cube")
    if cube.dims != ("time", "band", "y", "x") or weights.dims not in _DIMS:
        raise VariableError(
            "dimensions differ",
            where=where,
            found=f"cube {cube.dims}, weights {weights.dims}",
            expected="cube (time, band, y, x), weights (y, x), (month, y, x) or (time, y, x)",
        )
    check_grids(cube, weights)
    w = weights.values
    if not (np.isfinite(w).all() and (w >= 0).all() and w.any(axis=(-2, -1)).all()):
        raise FootprintError(
            "footprint weights are negative, missing, or zero everywhere", where=where, expected=">= 0, sum > 0"
        )


def check_grids(cube: xr.DataArray, weights: xr.DataArray) -> None:
    """Cube and weights are on the same pixels of the same CRS.

    Raises
    ------
    GridError
        If they are not; says both extents.
    """
    where = cube.attrs.get("site") or cube.attrs.get("sensor", "cube")
    if not all(_same(cube[d].values, weights[d].values) for d in ("y", "x")):
        raise GridError(
            "cube and footprint weights are on different grids",
            where=where,
            found=_extent(weights),
            expected=_extent(cube),
            remedy="Make the weights with grid=cube",
        )
    expected, found = crs_of(cube), crs_of(weights)
    if expected is not None and found is not None and expected != found:
        raise GridError("cube and footprint weights have different CRS", where=where, found=found, expected=expected)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Same pixel centres, to a thousandth of a pixel."""
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=1e-3 * (abs(a[1] - a[0]) if a.size > 1 else 1)))


def _extent(grid: xr.DataArray) -> str:
    x, y = grid["x"].values, grid["y"].values
    return f"{y.size} x {x.size} pixels, x {x.min():.1f} to {x.max():.1f} m, y {y.min():.1f} to {y.max():.1f} m"
