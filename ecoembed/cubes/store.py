"""Cubes and series on disk: Zarr v3, one store for a place, one group for a sensor or a source."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr

from ecoembed import schema
from ecoembed.errors import FileError, VariableError
from ecoembed.files import atomic

_CUBE = "cube"

#: Chunks hold whole bands of at most this side, in pixels, and about this many values.
_SIDE, _VALUES = 256, 1 << 20


def save_cubes(cubes: Mapping[str, xr.DataArray], path: str | Path) -> None:
    """Write cubes as the groups of one Zarr v3 store, all or none.

    Groups of an existing store that are not named stay; those named are replaced. A killed run leaves the store as it
    was.

    Parameters
    ----------
    cubes : mapping of str to xr.DataArray
        Group -> Cube.
    path : path
        Folder of the store, for example ``cubes/DE-Gri.zarr``.

    Raises
    ------
    VariableError, GridError
        An object that is not a Cube.
    FileError
        `path` is something else than a Zarr store.
    """
    for cube in cubes.values():
        schema.check_cube(cube)
    _save({group: cube.rename(None).to_dataset(name=_CUBE) for group, cube in cubes.items()}, Path(path))


def save_cube(cube: xr.DataArray, path: str | Path, group: str) -> None:
    """Write one cube; see :func:`save_cubes`."""
    save_cubes({group: cube}, path)


def load_cube(path: str | Path, group: str, *, lazy: bool = False) -> xr.DataArray:
    """Open the cube that :func:`save_cubes` wrote.

    Parameters
    ----------
    path : path
        Folder of the store.
    group : str
        For example ``S2_L2A``.
    lazy : bool
        Leave the values on disk, as a dask array chunked in time, to be streamed.

    Returns
    -------
    xr.DataArray
        The same dims, coordinates, CRS, attributes and values as were saved.

    Raises
    ------
    FileError
        No store there, or one that lost chunks.
    VariableError
        No such group; the others are listed.
    """
    stored = _load(Path(path), group, lazy)
    if _CUBE not in stored:
        raise VariableError("the group holds no cube", where=f"{Path(path).name}, {group}", found=list(stored))
    return schema.check_cube(stored[_CUBE].rename(None), where=Path(path).name)


def save_series(series: Mapping[str, xr.Dataset], path: str | Path) -> None:
    """Write the series of a site (or weights on a cube's grid) as the groups of one store; as :func:`save_cubes`."""
    for dataset in series.values():
        if "value" in dataset:
            schema.check_series(dataset)
    _save(series, Path(path))


def load_series(path: str | Path, group: str) -> xr.Dataset:
    """Open what :func:`save_series` wrote; raises as :func:`load_cube`."""
    return _load(Path(path), group, lazy=False)


def is_store(path: str | Path) -> bool:
    """True if `path` is the folder of a Zarr v3 store of ours: of groups that hold arrays (a minicube's root does)."""
    path = Path(path)
    return (path / "zarr.json").is_file() and any(path.glob("*/*/zarr.json"))


def _save(groups: Mapping[str, xr.Dataset], path: Path) -> None:
    if path.exists() and not is_store(path):
        raise FileError("not a Zarr store, so it is not replaced", where=path, remedy="Choose another name")
    with atomic(path) as temporary:
        if path.exists():
            shutil.copytree(path, temporary)
        for group, dataset in groups.items():
            shutil.rmtree(temporary / group, ignore_errors=True)
            _write(dataset, temporary, group)


def _write(dataset: xr.Dataset, path: Path, group: str) -> None:
    # variable-length text: Zarr v3 has no agreed form for numpy's fixed-length one
    text = {name: (c.dims, c.values.astype(object)) for name, c in dataset.coords.items() if c.dtype.kind == "U"}
    plain = dataset.drop_encoding().assign_coords(text)
    encoding = {str(name): _encoding(variable) for name, variable in dataset.data_vars.items()}
    if "time" in dataset.coords:
        encoding["time"] = {"units": "nanoseconds since 1970-01-01", "dtype": "int64"}
    # what is streamed is written chunk by chunk; coordinates are small, and xarray warns of text in chunks
    streamed = {v: dict(zip(plain[v].dims, e["chunks"], strict=True)) for v, e in encoding.items() if "chunks" in e}
    plain = plain.assign({v: plain[v].variable.chunk(sizes) for v, sizes in streamed.items() if plain[v].chunks})
    plain = plain.assign_coords({name: c.variable.compute() for name, c in plain.coords.items() if c.chunks})
    written = plain.to_zarr(
        path,
        group=group,
        mode="a",
        zarr_format=3,
        consolidated=False,
        encoding=encoding,
        write_empty_chunks=True,  # so that a chunk that is not there is a lost one
        compute=False,
    )
    written.compute(scheduler="threads")  # here: a cluster's worker would ask its cluster, and wait for itself


def _encoding(variable: xr.DataArray) -> dict[str, Any]:
    from zarr.codecs import BloscCodec, Crc32cCodec

    # the checksum, because Blosc reads a truncated chunk as whatever lies behind it in memory
    compressors = (BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"), Crc32cCodec())
    encoding: dict[str, Any] = {"compressors": compressors}
    if "spatial_ref" in variable.coords:
        encoding["grid_mapping"] = "spatial_ref"
    if variable.dims == ("time", "band", "y", "x"):
        encoding["chunks"] = chunks(variable.shape)
    return encoding


def chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The chunks in which a cube of `shape` (time, band, y, x) is stored."""
    times, bands, height, width = (max(n, 1) for n in shape)
    height, width = min(height, _SIDE), min(width, _SIDE)
    return int(np.clip(_VALUES // (bands * height * width), 1, times)), bands, height, width


def _load(path: Path, group: str, lazy: bool) -> xr.Dataset:
    if not is_store(path):
        raw = path.suffix.lower() == ".nc" or any(path.glob("*.nc"))
        raise FileError(
            "no Zarr store",
            where=path,
            found="NetCDF files as delivered" if raw else None,
            remedy="Build it with: ecoembed cube FOLDER --out STORE.zarr",
        )
    if not (path / group / "zarr.json").is_file():
        groups = sorted(child.parent.name for child in path.glob("*/zarr.json"))
        raise VariableError(f"no group {group}", where=path.name, found=", ".join(groups) or "none", expected=group)
    try:
        _refuse_holes(path, group)
        stored = xr.open_zarr(path, group=group, consolidated=False, decode_coords="all", chunks={} if lazy else None)
        stored = stored if lazy else stored.load()
    except (OSError, ValueError, KeyError, RuntimeError) as exc:
        found = exc if isinstance(exc, OSError) and exc.errno else "contents that cannot be decoded"
        raise FileError(
            "the store is damaged", where=f"{path.name}, {group}", found=found, remedy=f"Delete {path} and run again"
        ) from None
    text = {n: (c.dims, c.values.astype(object).astype(str)) for n, c in stored.coords.items() if c.dtype.kind in "OT"}
    return stored.assign_coords(text)


def _refuse_holes(path: Path, group: str) -> None:
    """Zarr reads a lost chunk as missing values, without a word."""
    import zarr

    for name, array in zarr.open_group(path, path=group, mode="r").arrays():
        if array.nchunks_initialized < array.nchunks:
            raise FileError(
                "the store lost chunks",
                where=f"{path.name}, {group}/{name}",
                found=f"{array.nchunks_initialized} of {array.nchunks} chunks",
                remedy=f"Delete {path} and run again",
            )
