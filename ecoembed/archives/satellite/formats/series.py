"""NetCDF files of one grid, each with some of the dates: read as one, since hundreds of them are the usual delivery.

Opened one by one with xarray, 300 files of a date each take most of a minute; read plainly, into one array for each
band, a second. What differs from file to file (baseline, offset, orbit, angles, item) becomes a variable over time or
a list; files that differ in anything else are not put together.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ecoembed.archives import netcdf
from ecoembed.archives.satellite.formats.minicubes import BESIDE, PLACES, axes_of, named, open_dataset
from ecoembed.archives.satellite.grids import refuse_large
from ecoembed.archives.satellite.metadata import ANGLES, SPELLINGS, repairs_in
from ecoembed.errors import FileError, ProductError

#: Attributes of a band that say how its numbers are meant.
_MEANING = ("scale_factor", "add_offset", "_FillValue", "missing_value", "nodata", "units", "grid_mapping")

#: Attributes of a file that must be the same in all.
_ORIGIN = ("provider", "collection", "product", "title", "site", "location_id", "units", "quantity", *PLACES)


@dataclass(frozen=True)
class Files(os.PathLike[str]):
    """Files of one folder that are opened as one raster; as a path it is that folder."""

    files: tuple[Path, ...]

    def __fspath__(self) -> str:
        return str(self.parent)

    @property
    def parent(self) -> Path:
        return self.files[0].parent

    @property
    def name(self) -> str:
        """The file, or the first and how many there are beside."""
        return self.files[0].name + (f" and {len(self.files) - 1} more" if len(self.files) > 1 else "")


@dataclass(frozen=True)
class Series(Files):
    """NetCDF files of one grid, with the same variables, each with some of the dates."""


def group(paths: Iterable[Path]) -> list[Path | Series]:
    """`paths`, those that are alike put together; what cannot be compared stays alone, to be judged when opened."""
    several = sorted(paths)
    if len(several) < 2:
        return list(several)
    alike: dict[tuple[object, ...], list[Path]] = defaultdict(list)
    for path in several:
        alike[_kind(path) or (path,)].append(path)
    return [Series(tuple(files)) if len(files) > 1 else files[0] for files in alike.values()]


def open_series(series: Series) -> tuple[xr.Dataset, Any]:
    """All files over (time, y, x), numbers as stored, and the CRS that they declare.

    Raises
    ------
    FileError
        A file is truncated or damaged.
    GridError
        Larger than what is read.
    """
    first, declared = open_dataset(series.files[0])
    parts: dict[str, list[np.ndarray]] = defaultdict(list)
    attrs: list[dict[str, Any]] = []
    held = 0
    for path in series.files:
        values, own = _read(path)
        held += sum(value.nbytes for value in values.values())
        refuse_large((held,), 1, f"{path.parent.name}, {series.name}")
        for name, value in values.items():
            parts[name].append(value)
        attrs += [own] * len(values["time"])
    data = {
        name: (first[name].dims, np.concatenate(parts[name]), first[name].attrs) for name in parts if name != "time"
    }
    shared = {key: value for key, value in first.attrs.items() if all(own.get(key) == value for own in attrs)}
    coords = {"time": np.concatenate(parts["time"]), "y": first["y"].values, "x": first["x"].values}
    raster = xr.Dataset(data | _told(attrs), coords, shared | _listed(attrs))
    return raster.assign_attrs(product=shared.get("product", series.files[0].stem)), declared


def _kind(path: Path) -> tuple[object, ...] | None:
    """What files must share to be read as one; None where a file is not plain."""
    try:
        with netcdf.opened_plain(path) as file:
            used = {ours: str(name) for ours, name in named(file.variables).items()}
            axes = {axes_of(file[name].dimensions) for name in used.values()}
            if len(axes) != 1 or None in axes or "s2_avail" in file.variables:
                return None
            time, y, x = map(str, axes.pop() or ("", "", ""))
            if not {time, y, x} <= set(file.variables) or "units" not in file[time].ncattrs():
                return None
            beside = sorted(name for name in file.variables if name in BESIDE and time in file[name].dimensions)
            variables = tuple(
                (ours, name, str(file[name].dtype), file[name].dimensions, *_attributes(file[name], _MEANING))
                for ours, name in [*used.items(), *((name, name) for name in beside)]
            )
            mappings = {"spatial_ref", "crs", *(str(getattr(file[name], "grid_mapping", "")) for name in used.values())}
            places = tuple(
                (name, *_attributes(file[name], file[name].ncattrs()))
                for name in sorted(mappings & set(file.variables))
            )
            grid = tuple(np.asarray(file[axis][:]).tobytes() for axis in (y, x))
            own = _attributes(file, _ORIGIN)
            name = None if "product" in file.ncattrs() else re.sub(r"\d", "", path.stem)  # names may tell the product
            return (path.parent, variables, places, grid, own, name)
    except (OSError, RuntimeError, ValueError, KeyError):
        return None


def _attributes(holder: Any, names: Iterable[str]) -> tuple[str, ...]:
    held = set(holder.ncattrs())
    return tuple(f"{name}={holder.getncattr(name)!r}" for name in names if name in held)


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The variables of a file over (time, y, x) or time, and its attributes."""
    try:
        with netcdf.opened_plain(path) as file:
            used = {str(ours): str(name) for ours, name in named(file.variables).items()}
            time, y, x = map(str, axes_of(file[next(iter(used.values()))].dimensions) or ("", "", ""))
            used |= {name: name for name in file.variables if name in BESIDE and time in file[name].dimensions}
            values = {ours: _in_order(file[name], (time, y, x)) for ours, name in used.items()}
            stamps, clock = file[time][:], file[time]
            values["time"] = _times(stamps, clock.units, getattr(clock, "calendar", "standard"), path)
            return values, {name: file.getncattr(name) for name in file.ncattrs()}
    except (OSError, RuntimeError, IndexError) as exc:
        found = exc if isinstance(exc, OSError) and (exc.errno or 0) > 0 else "contents that cannot be decoded"
        raise FileError(
            "the raster is truncated, damaged or no NetCDF", where=path.name, found=found, remedy="Download it again"
        ) from None


def _in_order(variable: Any, axes: tuple[Any, ...]) -> np.ndarray:
    order = [variable.dimensions.index(axis) for axis in axes if axis in variable.dimensions]
    return np.asarray(variable[...]).transpose(order)


def _times(stamps: Any, units: str, calendar: str, path: Path) -> np.ndarray:
    from xarray.coding.times import decode_cf_datetime

    decoded = np.asarray(decode_cf_datetime(np.asarray(stamps), units, calendar))
    if decoded.dtype.kind != "M":
        raise ProductError("times that are no dates", where=path.name, found=calendar, expected="a standard calendar")
    return decoded.astype("datetime64[ns]")


def _told(attrs: list[dict[str, Any]]) -> dict[str, Any]:
    """Metadata that files state as attributes, as variables over time."""
    told: dict[str, Any] = {}
    for name, spellings in SPELLINGS.items():
        values = [next((own[spelling] for spelling in spellings if spelling in own), None) for own in attrs]
        if any(value is not None for value in values):
            plain = [np.nan if value is None else float(value) for value in values] if name in ANGLES else None
            text = np.array(["" if value is None else str(value) for value in values], dtype=object)
            told[name] = ("time", text if plain is None else np.array(plain))
    return told


def _listed(attrs: list[dict[str, Any]]) -> dict[str, str]:
    """The items, and the repairs of all files summed."""
    items = list(dict.fromkeys(str(own["item"]) for own in attrs if "item" in own))
    repairs: Counter[str] = Counter()
    for own in attrs:
        repairs.update(repairs_in(own))
    listed = {"item": "; ".join(items)} if items else {}
    return listed | ({"repairs": json.dumps(repairs)} if repairs else {})
