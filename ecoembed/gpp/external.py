"""Embeddings of another model (TESSERA, AlphaEarth, Presto ...) as a feature set: by site, pixel and date.

A store holds one variable with the dimensions (time or year, band, y, x), in any CRS, on any grid near the tower. Its
pixels are brought to the site's 10 m grid by the nearest neighbour, so that they pass through the same footprint as
everything else. Embeddings by ``year`` saw the whole year; one by ``time`` is taken to have seen nothing later than
that time.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr

from ecoembed.errors import ConfigError, FileError, GridError, TableError, UnitError, VariableError
from ecoembed.footprints.extract import extract
from ecoembed.gpp.acquisitions import local_days
from ecoembed.schema import check_series

__all__ = ["check_external", "external_file", "external_series", "external_window"]

#: A dated embedding serves the dates up to this many days after it: a month, as monthly ones do.
LONGEST = np.timedelta64(31, "D")
#: Dates that are all farther apart than this are years.
_YEARLY = np.timedelta64(300, "D")
_DIMS = "(time, band, y, x) or (year, band, y, x)"


@dataclass(frozen=True)
class _Store:
    """A cube on disk, lazily, and what its first dimension means."""

    values: xr.DataArray
    name: str
    annual: bool
    keys: np.ndarray  # years, or times


def check_external(folders: Mapping[str, str], taken: Mapping[str, object]) -> None:
    """Refuse names of external sets that are others' or no names.

    Raises
    ------
    ConfigError

    Examples
    --------
    >>> check_external({"tessera": "external/tessera"}, taken={"bands": None})
    """
    for name in folders:
        if name in taken or not name.isidentifier() or not name.isascii():
            raise ConfigError(
                "impossible name of an external set", where="[external]", found=name,
                expected="letters, digits and _, and none of the study's own sets",
            )  # fmt: skip


def external_file(folder: Path, site: str) -> Path:
    """SITE.zarr or SITE.nc in the folder of an external set.

    Raises
    ------
    FileError
        If there is none, or both.
    """
    found = [path for path in (folder / f"{site}.zarr", folder / f"{site}.nc") if path.exists()]
    if len(found) != 1:
        there = ", ".join(sorted(p.name for p in folder.glob("*"))[:8]) if folder.is_dir() else "no such folder"
        raise FileError(
            "two stores of one site" if found else "no external embeddings of the site", where=f"{site} in {folder}",
            found=there or "an empty folder", expected=f"{site}.zarr or {site}.nc",
            remedy="Put them there, or leave the set out",
        )  # fmt: skip
    return found[0]


def external_series(path: Path, name: str, at: xr.DataArray, weights: xr.DataArray, longitude: float) -> xr.Dataset:
    """Footprint series of external embeddings on the dates of a cube.

    Parameters
    ----------
    path : Path
        A Zarr store or a NetCDF file.
    name : str
        Of the feature set.
    at : xarray.DataArray (time, band, y, x)
        The site's Sentinel-2 cube: its grid and dates.
    weights : xarray.DataArray
        As in :func:`ecoembed.footprints.extract.extract`, for `at`.
    longitude : float
        Degrees east: tells the local year of a date.

    Returns
    -------
    xarray.Dataset
        A `SiteSeries` over the dates of `at`; ``attrs["window"]`` is that of :func:`external_window`.
        A date has the embedding of its year, or the last one before it that is not older than 31 days; NaN, with a
        coverage of 0, where there is none.

    Raises
    ------
    FileError
        If the store cannot be read.
    VariableError
        If it holds no such cube: other dimensions, no dates, dates twice, bands twice.
    GridError
        If it has no CRS or no regular grid, or does not touch the site's cube.
    UnitError
        If the values are quantised (whole numbers), infinite, or contain an undeclared fill value.
    TableError
        If it has no date in common with the cube.
    """
    store = _opened(path)
    which = _dates(store, at["time"].values, longitude)
    if not (which >= 0).any():
        raise TableError(
            "external embeddings and satellite images have no date in common", where=store.name,
            found=f"{_text(store.keys[0])} to {_text(store.keys[-1])}",
            expected=f"{_text(at['time'].values[0])} to {_text(at['time'].values[-1])}",
            remedy="Give the embeddings of those years" if store.annual else "Give those of up to 31 days before",
        )  # fmt: skip
    rows, columns, inside = _nearest(store, at)
    bands = _band_names(store)
    value, coverage = np.full((at.sizes["time"], len(bands)), np.nan), np.zeros(at.sizes["time"])
    for k in np.unique(which[which >= 0]):
        dates = np.flatnonzero(which == k)
        frame = _frame(store, int(k), rows, columns, inside)
        coords = {"time": at["time"].values[dates], "band": bands, "y": at["y"].values, "x": at["x"].values}
        shared = np.broadcast_to(frame, (len(dates), *frame.shape))  # one image for all its dates
        cube = xr.DataArray(shared, coords, at.dims, attrs={"units": "1"}).rio.write_crs(at.rio.crs)
        seen = extract(cube, weights)
        value[dates], coverage[dates] = seen["value"].values, seen["coverage"].values
    attrs = {"site": at.attrs.get("site", ""), "sensor": name, "units": "1", "source": store.name}
    attrs["window"] = _window(store)
    return check_series(
        xr.Dataset(
            {"value": (("time", "feature"), value, {"units": "1"}), "coverage": ("time", coverage, {"units": "1"})},
            {"time": at["time"].values, "feature": bands}, attrs,
        )
    )  # fmt: skip


def external_window(path: Path) -> str:
    """What the embeddings of a store see: ``annual``, ``causal``, or what it says; raises as `external_series` does."""
    return _window(_opened(path))


def _window(store: _Store) -> str:
    return "annual" if store.annual else str(store.values.attrs.get("window", "causal"))


def _opened(path: Path) -> _Store:
    where = f"{path.parent.name}/{path.name}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that is not consolidated, or names an absent variable
            dataset = xr.open_dataset(path, engine="zarr" if path.is_dir() else None, decode_coords="all", chunks={})
    except (OSError, ValueError, KeyError, RuntimeError) as exc:
        found = str(exc).split("\n")[0][:120]
        remedy = "Write it again: dataset.to_zarr(...) or dataset.to_netcdf(...)"
        raise FileError("the store cannot be read", where=where, found=found, remedy=remedy) from None
    fitting = [
        v for v in dataset.data_vars.values() if set(v.dims) in ({"time", "band", "y", "x"}, {"year", "band", "y", "x"})
    ]
    if len(fitting) != 1:
        dims = "; ".join(f"{n} ({', '.join(map(str, v.dims))})" for n, v in dataset.data_vars.items() if v.ndim)
        remedy = 'Rename or stack its dimensions, e.g. dataset.rename(lat="y", lon="x").to_dataarray("band")'
        what = "no cube of embeddings" if not fitting else "several cubes of embeddings"
        raise VariableError(what, where=where, found=dims or "no variable", expected=f"one with {_DIMS}", remedy=remedy)
    first = "year" if "year" in fitting[0].dims else "time"
    values = fitting[0].transpose(first, "band", "y", "x")
    if not np.issubdtype(values.dtype, np.floating):
        remedy = "Decode them first, as their model says: dequantised floating-point numbers"
        raise UnitError("embeddings are whole numbers, as if quantised", where=where, found=values.dtype, remedy=remedy)
    keys = _keys(values, first, where)
    apart = first == "time" and (len(keys) == 1 or bool((np.diff(np.sort(keys)) >= _YEARLY).all()))
    if apart:  # composites of a year that bear a date of it
        keys = keys.astype("datetime64[Y]").astype(int) + 1970
    order = np.argsort(keys, kind="stable")
    if len(np.unique(keys)) < len(keys):
        remedy = "Keep one of each"
        found, expected = f"{len(np.unique(keys))} different ones of {len(keys)}", "each once"
        raise VariableError("dates stand twice", where=where, found=found, expected=expected, remedy=remedy)
    return _Store(values.isel({first: order}), where, first == "year" or apart, keys[order])


def _keys(values: xr.DataArray, first: str, where: str) -> np.ndarray:
    """Years as whole numbers, or times; refused where they are not."""
    held = values[first].values if first in values.coords else np.array([])
    if first == "time" and held.size and np.issubdtype(held.dtype, np.datetime64) and not np.isnat(held).any():
        return held.astype("datetime64[ns]")
    number = held.size and np.issubdtype(held.dtype, np.number) and np.isfinite(held).all()
    if first == "year" and number and (held == np.round(held)).all() and held.min() >= 1900 and held.max() <= 2100:
        return held.astype(int)
    expected = "datetimes (UTC)" if first == "time" else "years such as 2019"
    remedy = f"Give them a coordinate: values.assign_coords({first}=[...])"
    raise VariableError(f"no dates along {first}", where=where, found=held.dtype, expected=expected, remedy=remedy)


def _band_names(store: _Store) -> list[str]:
    held = store.values.coords.get("band")
    names = (
        [str(b) for b in held.values] if held is not None else [f"e{i + 1}" for i in range(store.values.sizes["band"])]
    )
    if len(set(names)) < len(names):
        raise VariableError("bands stand twice", where=store.name, found=", ".join(names[:8]))
    return names


def _dates(store: _Store, times: np.ndarray, longitude: float) -> np.ndarray:
    """For each UTC time, which embedding serves it; -1 where none does."""
    if store.annual:
        years = local_days(times, longitude / 15.0).year.to_numpy()
        at = np.searchsorted(store.keys, years).clip(max=len(store.keys) - 1)
        return np.where(store.keys[at] == years, at, -1)
    at = np.searchsorted(store.keys, times.astype("datetime64[ns]"), side="right") - 1
    late = times - store.keys[at.clip(0)] > LONGEST
    return np.where((at < 0) | late, -1, at)


def _nearest(store: _Store, at: xr.DataArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column (y, x) of the store's pixel around each pixel of the site's grid, and where there is one."""
    from pyproj import Transformer

    crs = store.values.rio.crs
    if crs is None:
        remedy = 'Write it: dataset.rio.write_crs("EPSG:32632"), then save again'
        raise GridError("the external embeddings have no CRS", where=store.name, remedy=remedy)
    x, y = np.meshgrid(at["x"].values, at["y"].values)
    x, y = Transformer.from_crs(at.rio.crs, crs, always_xy=True).transform(x, y)
    found = [_pixel(store, axis, centres) for axis, centres in (("y", y), ("x", x))]
    inside = (found[0] >= 0) & (found[1] >= 0)
    if not inside.any():
        extent = {axis: (float(store.values[axis].min()), float(store.values[axis].max())) for axis in "xy"}
        expected = f"x {x.min():.9g} to {x.max():.9g}, y {y.min():.9g} to {y.max():.9g} in {crs}"
        remedy = "Give the embeddings of this site's surroundings; check their CRS, and that x is the easting"
        raise GridError(
            "the external embeddings do not overlap the site's cube", where=store.name,
            found=f"x {extent['x'][0]:.9g} to {extent['x'][1]:.9g}, y {extent['y'][0]:.9g} to {extent['y'][1]:.9g}",
            expected=expected, remedy=remedy,
        )  # fmt: skip
    return found[0], found[1], inside


def _pixel(store: _Store, axis: str, centres: np.ndarray) -> np.ndarray:
    """Which pixel along an axis of the store holds each coordinate; -1 beyond its ends."""
    held = store.values[axis].values.astype(float) if axis in store.values.coords else np.array([])
    steps = np.diff(held)
    if len(held) < 2 or not np.allclose(steps, steps[0], rtol=1e-3, atol=0) or steps[0] == 0:
        found = f"{len(held)} coordinates" + (f", steps {steps.min():.9g} to {steps.max():.9g}" if steps.size else "")
        remedy = "Give x and y of evenly spaced pixel centres"
        raise GridError(f"no regular grid along {axis}", where=store.name, found=found, remedy=remedy)
    step = (held[-1] - held[0]) / (len(held) - 1)
    index = np.floor((centres - held[0]) / step + 0.5)
    return np.where((index >= 0) & (index < len(held)), index, -1).astype(int)


def _frame(store: _Store, date: int, rows: np.ndarray, columns: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """One embedding (band, y, x) on the site's grid; reads no more of the store than that needs."""
    (top, bottom), (left, right) = ((int(i[inside].min()), int(i[inside].max()) + 1) for i in (rows, columns))
    part = store.values[date, :, top:bottom, left:right].values.astype("float32")
    for wrong, what in ((np.isinf(part), "infinite values"), (part == -9999, "undeclared fill values (-9999)")):
        if wrong.any():
            found, remedy = f"{int(wrong.sum())} of {part.size}", "Save missing values as NaN"
            raise UnitError(f"{what} in the external embeddings", where=store.name, found=found, remedy=remedy)
    frame = np.full((part.shape[0], *inside.shape), np.nan, dtype="float32")
    frame[:, inside] = part[:, rows[inside] - top, columns[inside] - left]
    return frame


def _text(key: object) -> str:
    return str(key)[:10]
