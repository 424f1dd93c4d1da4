"""A collection of many sites in one Zarr store or NetCDF file, its variables named by a user's TOML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ecoembed.archives import netcdf
from ecoembed.archives.containers import Part
from ecoembed.archives.flux.owntable import Description, unit_of
from ecoembed.archives.flux.stamps import Clock, find_step, parse_digits
from ecoembed.errors import ConfigError, EcoembedError, FileError, check_name
from ecoembed.units import is_known, standard

if TYPE_CHECKING:
    import xarray as xr

_STORE = ("zarr.json", ".zgroup", ".zmetadata")


def is_collection(path: Path) -> bool:
    """A Zarr store (a folder) or a NetCDF file, judged by content."""
    if path.is_dir():
        return any((path / name).is_file() for name in _STORE)
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(8).startswith((b"CDF", b"\x89HDF"))


@dataclass(frozen=True)
class CollectionSource:
    """One site of a collection."""

    path: Path
    description: Description
    clock: Clock
    site: str | None

    @property
    def part(self) -> Part:
        return Part(self.path)

    def read(self, columns: Sequence[str], repairs: Counter[str]) -> dict[str, np.ndarray]:
        """The wanted columns (float64, missing as NaN), and ``time``, the local start of each period.

        Raises
        ------
        FileError
            A damaged collection, or time stamps that cannot be read.
        """
        own = self.description
        with _opened(self.path) as data:
            found = {"time": self.clock.shifted(_times(data, own, self.path))}
            for name in columns:
                variable = data[own.columns[name].column]
                if own.site_column and own.site_column in variable.dims:
                    names = [str(site) for site in data[own.site_column].values]
                    variable = variable.isel({own.site_column: names.index(str(self.site))})
                values = np.array(variable.values, dtype="float64")
                values[np.isin(values, own.missing_numbers)] = np.nan
                if (endless := np.isinf(values)).any():
                    values[endless] = np.nan
                    repairs["infinite values, taken as missing"] += int(endless.sum())
                found[name] = values
        return found


def open_collection(path: Path, own: Description) -> tuple[list[CollectionSource], str, dict[str, str]]:
    """The collection's sites, its resolution, and the unit of each column.

    Raises
    ------
    FileError
        Damaged, or with time stamps that cannot be read.
    ConfigError
        A variable or dimension that it does not have (the nearest is named), other dimensions than time and site, or
        a column whose unit nobody states.
    """
    if len(own.time.columns) > 1:
        raise ConfigError("several time columns for a collection", where=path.name, expected="its time dimension")
    with _opened(path) as data:
        time = own.time.columns[0]
        for dimension in (time, own.site_column):
            if dimension is not None:
                check_name(dimension, [str(name) for name in data.dims], "dimension", where=path.name)
        units = {name: _unit(data, name, own, path) for name in own.columns}
        step, resolution = find_step(_times(data, own, path)[:200])
        sites = [str(site) for site in data[own.site_column].values] if own.site_column else [own.site]
    twice = [site for site, count in Counter(sites).items() if count > 1]
    if twice:
        raise FileError("a site stands twice in the collection", where=path.name, found=", ".join(map(str, twice)))
    sources = [
        CollectionSource(
            path, own, Clock((time,), convention=own.time.stamp, step=step, ahead=own.ahead(site, path.name)), site
        )
        for site in sites
    ]
    return sources, resolution, units


def _unit(data: xr.Dataset, name: str, own: Description, path: Path) -> str:
    entry = own.columns[name]
    check_name(entry.column, [str(variable) for variable in data.data_vars], "variable", where=path.name)
    variable, known = data[entry.column], {own.time.columns[0], own.site_column}
    if not set(variable.dims) <= known or own.time.columns[0] not in variable.dims:
        raise ConfigError(
            f"{entry.column} has other dimensions",
            where=path.name,
            found=", ".join(map(str, variable.dims)),
            expected=" and ".join(sorted(str(dimension) for dimension in known if dimension)),
            remedy="Name them as time.column and site_column",
        )
    stated = str(variable.attrs.get("units", ""))
    if entry.unit and is_known(stated) and standard(stated) != standard(entry.unit):
        raise ConfigError(
            f"columns.{name}: the variable states another unit",
            where=f"{path.name}, {entry.column}",
            found=f"{stated} in the collection, {entry.unit} in the description",
            expected="the same",
            remedy="Leave unit out, or correct the wrong one",
        )
    return unit_of(name, entry.unit or stated, path.name)


def _times(data: xr.Dataset, own: Description, path: Path) -> np.ndarray:
    values = data[own.time.columns[0]].values
    if values.dtype.kind == "M":
        times = values.astype("datetime64[ns]")
    elif values.dtype.kind in "iu" and len(values):
        times = parse_digits(values, len(str(values[0])))
    else:
        times = np.full(len(values), np.datetime64("NaT", "ns"))
    if not len(times) or np.isnat(times).any():
        raise FileError(
            "time stamps that cannot be read",
            where=path.name,
            found=f"{own.time.columns[0]} of type {values.dtype}, {int(np.isnat(times).sum())} unreadable",
            expected="a CF time coordinate, or whole numbers YYYYMMDD or YYYYMMDDHHMM",
        )
    return times


@contextmanager
def _opened(path: Path) -> Iterator[xr.Dataset]:
    import xarray as xr

    try:
        with xr.open_dataset(path, engine="zarr") if path.is_dir() else netcdf.opened(path) as data:
            yield data
    except EcoembedError:
        raise
    except Exception as exc:  # the engines let through whatever a damaged store causes inside them
        raise FileError(
            "the collection is damaged",
            where=path.name,
            found=f"{type(exc).__name__}: {exc}"[:200],
            remedy="Download or write it again",
        ) from None
