"""Patches in HDF5 files of one's own: see :mod:`.patchfile` for the TOML of the same name that describes them.

Files are data of strangers: links, virtual datasets and external storage, which can point to other files, are not
followed, only plain numbers are read, and nothing larger than a place is allocated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ecoembed.archives import netcdf
from ecoembed.archives.satellite.formats.patchfile import Description, GridDescription, read_description
from ecoembed.archives.satellite.grids import read_crs, refuse_large
from ecoembed.archives.satellite.metadata import repaired
from ecoembed.archives.satellite.names import find_time, find_variable, unscaled_names
from ecoembed.errors import ConfigError, FileError, ProductError, VariableError

#: Endings by which such a file is known in a folder.
SUFFIXES = (".h5", ".hdf5")

_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}


def is_described(path: Path) -> bool:
    """True for an HDF5 file that has its description beside it; says how to write one where it is needed.

    Raises
    ------
    ProductError
        No description beside a file with HDF5's own ending.
    """
    if path.is_dir() or not path.is_file():
        return False
    with path.open("rb") as stream:
        signed = stream.read(8) == b"\x89HDF\r\n\x1a\n"
    described = path.with_suffix(".toml").is_file()
    if path.suffix.lower() in SUFFIXES and not described:
        raise ProductError(
            "an HDF5 file without its description",
            where=path.name,
            expected=f"{path.stem}.toml beside it",
            remedy="Write it: examples/own_patches.toml shows how",
        )
    return described and (signed or path.suffix.lower() in SUFFIXES)


def describe(path: Path) -> tuple[set[str], dict[str, Any]]:
    """Names of the bands and classifications that the description tells, and the product's words."""
    description = read_description(path)
    names = {find_variable(name) for name in (*(description.bands or ()), *description.datasets)}
    return {name for name in names if name}, {"product": description.product}


def open_patches(path: Path) -> tuple[xr.Dataset, int]:
    """The described patch over (time, y, x), numbers as stored, and its EPSG number.

    Raises
    ------
    FileError
        Truncated or damaged.
    ConfigError
        The description does not fit the file.
    ProductError
        A dataset that is a link, points to another file, or is no array of numbers.
    GridError
        Larger than what is read.
    """
    description = read_description(path)
    with _opened(path) as file:
        arrays = _arrays(file, description, path.name)
        times = _times(file, description, path.name)
        facts = {name: _fact(file, value, description, path.name) for name, value in description.metadata.items()}
    n, height, width = next(iter(arrays.values())).shape
    for name, values in arrays.items():
        _refuse_other_size(values.shape, (len(times), height, width), f"{path.name}, {name}")
    attrs = {"scale_factor": description.scale, "add_offset": description.offset, "_FillValue": description.nodata}
    attrs = {key: value for key, value in attrs.items() if value is not None}
    unscaled = unscaled_names()
    data: dict[str, Any] = {
        name: (("time", "y", "x"), values, {} if name in unscaled else dict(attrs)) for name, values in arrays.items()
    }
    for name, value in facts.items():
        if np.ndim(value):
            _refuse_other_size(np.shape(value), (n,), f"{path.name}, {name}")
        data[name] = ("time", np.broadcast_to(np.asarray(value), (n,)))
    y, x, reason = _axes(description.grid, height, width)
    place = {"site": description.site} if description.site else {}
    raster = xr.Dataset(data, {"time": times, "y": y, "x": x}, {"product": description.product, **place})
    return (repaired(raster, {reason: 1}) if reason else raster), description.grid.epsg


def _arrays(file: Any, description: Description, where: str) -> dict[str, np.ndarray]:
    """Package's name -> (time, y, x)."""
    arrays: dict[str, np.ndarray] = {}
    if description.dataset is not None and description.bands is not None:
        stored = _dataset(file, description.dataset, where)
        _refuse_other_rank(stored, description.axes, where)
        _refuse_other_size(
            (stored.shape[description.axes.index("band")],), (len(description.bands),), f"{where}, {stored.name}, band"
        )
        for i, band in enumerate(description.bands):
            if ours := find_variable(band):
                arrays[ours] = _taken(stored, description.axes, {"patch": description.patch, "band": i}, where)
    plain = tuple(axis for axis in description.axes if axis != "band")
    for name, address in description.datasets.items():
        stored = _dataset(file, address, where)
        _refuse_other_rank(stored, plain, where)
        arrays[str(find_variable(name))] = _taken(stored, plain, {"patch": description.patch}, where)
    if not arrays:
        raise ConfigError("no band that is known", where=where, found=", ".join(description.bands or ()))
    return arrays


def _taken(stored: Any, axes: tuple[str, ...], chosen: dict[str, int | None], where: str) -> np.ndarray:
    """One band of one patch over (time, y, x)."""
    if "patch" in axes and not 0 <= (chosen["patch"] or 0) < stored.shape[axes.index("patch")]:
        found = f"{stored.shape[axes.index('patch')]} patches"
        raise ConfigError("no such patch", where=f"{where}, {stored.name}", found=found, expected=chosen["patch"])
    rest = [axis for axis in axes if axis not in chosen]
    refuse_large(tuple(stored.shape[axes.index(axis)] for axis in rest), stored.dtype.itemsize, where)
    values = stored[tuple(chosen.get(axis, slice(None)) for axis in axes)]
    values = np.asarray(values) if "time" in rest else np.asarray(values)[None]
    rest = rest if "time" in rest else ["time", *rest]
    return values.transpose([rest.index(axis) for axis in ("time", "y", "x")])


def _times(file: Any, description: Description, where: str) -> np.ndarray:
    """The acquisitions' times, datetime64[ns]."""
    told = description.time
    raw: list[Any] = list(told.values or ())
    if told.dataset is not None:
        stored = _dataset(file, told.dataset, where, text=True)
        values = stored[description.patch] if told.per_patch else stored[()]
        raw = list(np.atleast_1d(values))
    return np.array([_time(value, told.unit, where) for value in raw], dtype="datetime64[ns]")


def _time(value: Any, unit: str | None, where: str) -> np.datetime64:
    step, _, epoch = (unit or "").partition(" since ")
    start = find_time(epoch)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, (str, date)):
        time = find_time(value if isinstance(value, str) else value.isoformat())
    elif unit in ("YYYYMMDD", "YYYYDDD"):
        time = find_time(str(int(value)) if np.isfinite(value) else "")
    elif step in _SECONDS and start is not None and np.isfinite(value) and abs(value) < 1e12:
        time = start + np.timedelta64(round(float(value) * _SECONDS[step] * 1000), "ms")
    elif unit is None or step not in _SECONDS or start is None:
        raise ConfigError(
            "times in numbers without a known unit",
            where=where,
            found=unit,
            expected="time.unit: seconds since 1970-01-01 (or minutes, hours, days), YYYYMMDD, YYYYDDD",
        )
    else:
        time = None
    if time is None:
        raise VariableError("a time that is no date", where=where, found=value, expected=unit or "2019-07-04T10:56:21")
    return time


def _fact(file: Any, value: Any, description: Description, where: str) -> Any:
    """A value of [metadata], or those of the dataset that it names."""
    if not (isinstance(value, str) and value.startswith("/")):
        return str(value) if isinstance(value, (str, bool)) else value
    stored = _dataset(file, value, where, text=True)
    values = np.asarray(stored[description.patch] if stored.ndim == 2 and description.patch is not None else stored[()])
    return values if values.dtype.kind in "iuf" else np.array([_plain(v) for v in np.atleast_1d(values)], dtype=object)


def _plain(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _dataset(file: Any, address: str, where: str, *, text: bool = False) -> Any:
    """The dataset at `address`, if it lies in this very file and holds plain numbers (or text)."""
    import h5py

    node = file
    for part in address.strip("/").split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) and part else None
        if link is None:
            known = ", ".join(sorted(node)) if isinstance(node, h5py.Group) else "a dataset"
            raise ConfigError("no such dataset", where=where, found=f"{node.name}: {known}", expected=address)
        if not isinstance(link, h5py.HardLink):
            raise _pointing("a link", where, address)
        node = node[part]
    if not isinstance(node, h5py.Dataset):
        raise ConfigError("a group, not a dataset", where=where, found=address, expected=f"one of {', '.join(node)}")
    if node.is_virtual or node.external:
        raise _pointing("stored in other files", where, address)
    strings = h5py.check_string_dtype(node.dtype) is not None
    if node.shape is None or not ((node.dtype.kind in "iuf" and node.dtype.itemsize <= 8) or (text and strings)):
        raise ProductError("not an array of numbers", where=f"{where}, {address}", found=node.dtype)
    if text:
        refuse_large(node.shape, node.dtype.itemsize, f"{where}, {address}")
    refuse_large(node.chunks or (), node.dtype.itemsize, f"{where}, {address}, one chunk")
    return node


def _pointing(what: str, where: str, address: str) -> ProductError:
    return ProductError(
        f"the dataset is {what}, which is not followed: it can point to any file",
        where=f"{where}, {address}",
        remedy="Name the dataset itself, or copy the values into this file",
    )


def _refuse_other_rank(stored: Any, axes: tuple[str, ...], where: str) -> None:
    if stored.ndim != len(axes):
        raise ConfigError(
            "the axes do not fit the array",
            where=f"{where}, {stored.name}",
            found=f"{stored.ndim} axes of {stored.shape}",
            expected=f"({', '.join(axes)})",
        )


def _refuse_other_size(found: tuple[int, ...], expected: tuple[int, ...], where: str) -> None:
    if tuple(found) != tuple(expected):
        raise ConfigError("sizes do not fit together", where=where, found=found, expected=f"{expected} (times first)")


def _axes(grid: GridDescription, height: int, width: int) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Centres y and x of the pixels as their rows and columns run, and what was assumed of them."""
    west, north, reason = grid.x, grid.y, None
    if west is None or north is None:
        from pyproj import Transformer

        read_crs(grid.epsg, "grid")
        project = Transformer.from_crs("EPSG:4326", grid.epsg, always_xy=True)
        x, y = project.transform(grid.longitude, grid.latitude)
        west = round((x - width * grid.pixel / 2) / grid.pixel) * grid.pixel
        north = round((y + height * grid.pixel / 2) / grid.pixel) * grid.pixel
        reason = f"grid placed by its centre, edges on multiples of {grid.pixel:g} m"
    rows = north - grid.pixel * (np.arange(height) + 0.5)
    return (rows if grid.first_row == "north" else rows[::-1]), west + grid.pixel * (np.arange(width) + 0.5), reason


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with netcdf.opened_hdf5(path) as file:
            yield file
    except (OSError, RuntimeError) as exc:
        raise FileError(
            "the HDF5 file is truncated or damaged", where=path.name, found=exc, remedy="Copy it again"
        ) from None
