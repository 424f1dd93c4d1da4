"""NetCDF and HDF5 files, one at a time: the library below does not stand threads, and sites run in threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecoembed.files import atomic, unwritable

if TYPE_CHECKING:
    import h5py
    import netCDF4
    import xarray as xr

#: The HDF5 library in netCDF4's wheels is not thread-safe, and xarray's own lock leaves metadata uncovered: two files
#: opened at once crash the process.
_HDF5 = threading.Lock()


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[xr.Dataset]:
    """The file, open and lazy; whatever is needed of it is read inside the block, which no other thread enters."""
    import xarray as xr

    with _HDF5, xr.open_dataset(path, **options) as data:
        yield data


def write(data: xr.Dataset, path: Path, encoding: dict[str, dict[str, Any]]) -> None:
    """Write `data` as NetCDF, atomically; nobody reads or writes another in the meantime.

    Raises
    ------
    FileError
        The disk does not take it.
    """
    with atomic(path) as temporary, _HDF5:
        try:
            data.to_netcdf(temporary, engine="netcdf4", encoding=encoding)
        except RuntimeError as exc:  # all that the library says of a full disk is "NetCDF: HDF error"
            raise unwritable(path, exc) from exc


@contextmanager
def opened_plain(path: Path) -> Iterator[netCDF4.Dataset]:
    """The file without xarray, numbers as stored: ten times as fast for hundreds of small ones; under the same lock."""
    import netCDF4

    with _HDF5, netCDF4.Dataset(path) as data:
        data.set_auto_maskandscale(False)
        yield data


@contextmanager
def opened_hdf5(path: Path) -> Iterator[h5py.File]:
    """A plain HDF5 file, open for reading, under the same lock."""
    import h5py

    with _HDF5, h5py.File(path, "r") as file:
        yield file
