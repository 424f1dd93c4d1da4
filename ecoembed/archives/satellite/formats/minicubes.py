"""NetCDF files and Zarr stores (v2, v3) over time and two spatial axes: plain rasters and minicubes.

- Plain: (timestamp | time | t, y, x), one variable for each band, CRS in ``spatial_ref``; or one variable with an axis
  ``band`` whose labels are names (stackstac, cubo, rioxarray).
- EarthNet2021x, GreenEarthNet: NetCDF (time, lat, lon) in **degrees**, daily, with an acquisition each fifth day
  (``s2_avail``); ``s2_B02 s2_B03 s2_B04 s2_B8A`` of 20 m in 16 bits with a scale and an offset of their own;
  ``s2_SCL``, the learned ``s2_dlmask`` (0 clear) and the older ``s2_mask``.
- DeepExtremes, DeepCube: Zarr (time, y, x), 20 m in the UTM zone that the attribute ``spatial_ref`` names; ``B02`` to
  ``B8A`` as int16 with scale 0.0001 and fill -9999; ``SCL``; the learned ``cloudmask_en``, with axes (time, x, y).

Numbers stay undecoded, because what files declare is often wrong; who reads a band decides. Of several cloud masks the
learned one becomes ``cloudmask``. Weather and terrain that minicubes carry too are left where they are.

Sources: earthnet.tech/en21x/data (variables); repository earthnet2021/earthnet-minicuber, ``minicuber.py`` (degrees,
evenly spaced over the UTM window; encoding); repository DeepExtremes/minicube-generation, ``s2_l2_bands.json`` and
``earthnet_cloudmask.json`` (names, encoding, classes, axes) and ``configgencreation.py`` (20 m, ``spatial_ref``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ecoembed.archives import netcdf
from ecoembed.archives.satellite.grids import refuse_large
from ecoembed.archives.satellite.metadata import SPELLINGS, repaired
from ecoembed.archives.satellite.names import CLOUD_MASKS, find_band, find_colour, find_variable
from ecoembed.errors import FileError, ProductError

#: What lies in the folder of a Zarr store.
ZARR = ("zarr.json", ".zgroup", ".zmetadata")

#: Spellings of the axes (WorldCereal, CF, openEO, EarthNet); that of time may have more behind it.
_TIMES, _ROWS, _COLUMNS = ("timestamp", "time", "t"), ("y", "lat", "latitude"), ("x", "lon", "longitude")
_BANDS = ("band", "bands", "variable")

#: Variables over time that are kept beside the bands.
BESIDE = {name for spellings in SPELLINGS.values() for name in spellings} | {"s2_avail"}

#: Attributes of a file that may name its CRS.
PLACES = ("epsg", "EPSG", "crs", "CRS", "spatial_ref", "proj:epsg", "crs_wkt")


def is_zarr(path: Path) -> bool:
    """True if `path` is the folder of a Zarr store."""
    return any((path / name).is_file() for name in ZARR)


def open_dataset(path: Path) -> tuple[xr.Dataset, Any]:
    """The bands, masks and metadata of a file over (time, y, x), and the CRS that it declares (None: none).

    Raises
    ------
    FileError
        Absent, truncated, or neither NetCDF nor Zarr.
    ProductError
        No raster over time; bands on several grids.
    GridError
        Larger than what is read.
    """
    with _opened(path) as stored:
        taken = _taken(stored, path.name)
        refuse_large((sum(v.size * v.dtype.itemsize for v in taken.data_vars.values()),), 1, path.name)
        for variable in taken.data_vars.values():  # what is read at once, however little of it is needed
            chunk = variable.encoding.get("chunks") or variable.encoding.get("chunksizes") or ()
            refuse_large(chunk, variable.dtype.itemsize, f"{path.name}, one chunk")
        raster = taken.load()
        declared, raster = _declared_crs(stored, raster), _centred(raster, stored)
    raster = raster.assign_coords(time=raster["time"].values.astype("datetime64[ns]"))
    if "s2_avail" in raster:
        seen = np.nan_to_num(raster["s2_avail"].values.astype("float64")) > 0
        raster = raster.isel(time=np.flatnonzero(seen))
        raster = repaired(raster, {"days without an acquisition, left out": int((~seen).sum())})
    return raster, declared


def describe(path: Path) -> tuple[set[str], dict[str, Any]]:
    """Names of the bands and classifications of a file, as the package spells them, and its attributes."""
    with _opened(path) as stored:
        return set(named(_by_band(stored).variables)), dict(stored.attrs)


@contextmanager
def _opened(path: Path) -> Iterator[xr.Dataset]:
    if not path.exists():
        raise FileError("no such file", where=path, remedy="Check the path")
    kind = "Zarr store" if path.is_dir() else "NetCDF"
    try:
        if path.is_dir():
            _refuse_pickles(path)
            with xr.open_zarr(path, chunks=None, consolidated=False, mask_and_scale=False) as raster:
                yield raster
        else:
            with netcdf.opened(path, engine="netcdf4", mask_and_scale=False) as raster:
                yield raster
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as exc:
        system = isinstance(exc, OSError) and (exc.errno or 0) > 0  # NetCDF numbers its own below zero
        found = exc if system else "contents that cannot be decoded"
        raise FileError(
            f"the raster is truncated, damaged or no {kind}", where=path.name, found=found, remedy="Download it again"
        ) from None


def _refuse_pickles(store: Path) -> None:
    """Zarr v2 knows a codec that executes what it reads."""
    for name in (*ZARR, "*/.zarray", "*/zarr.json"):
        for file in store.glob(name):
            if '"pickle"' in file.read_text(encoding="utf-8", errors="replace"):
                raise FileError(
                    "the store holds pickled objects, which are not read: they can run code",
                    where=store.name,
                    found=file.relative_to(store),
                    remedy="Write it again without them",
                )


def _by_band(stored: xr.Dataset) -> xr.Dataset:
    """`stored`, an axis of bands taken apart into variables."""
    for name, variable in stored.data_vars.items():
        axis = next((dim for dim in variable.dims if dim in _BANDS and dim in stored.coords), None)
        labels = [] if axis is None else [str(label) for label in stored[axis].values]
        if any(find_band(label) or find_colour(label, labels) for label in labels):
            parts = {label: variable.isel({axis: i}, drop=True) for i, label in enumerate(labels)}
            return stored.drop_vars([name, axis]).assign(parts)
    return stored


def named(variables: Iterable[Hashable]) -> dict[str, Hashable]:
    """Package's name -> the file's, of the variables that a reader can use."""
    names = list(variables)
    told = [str(name) for name in names]
    masks = [mask for mask in CLOUD_MASKS if mask in names]
    found: dict[str, Hashable] = {"cloudmask": masks[0]} if masks else {}
    for name in names:
        if name not in CLOUD_MASKS and (ours := find_variable(str(name)) or find_colour(str(name), told)):
            found.setdefault(ours, name)
    return found


def _taken(stored: xr.Dataset, where: str) -> xr.Dataset:
    """What is needed, lazily, over (time, y, x) or time."""
    stored = _by_band(stored)
    used = named(stored.data_vars)
    axes = {axes for name in used.values() if (axes := axes_of(stored[name].dims))}
    if len(axes) > 1:
        raise ProductError(
            "bands of several grids in one file",
            where=where,
            found="; ".join(", ".join(map(str, names)) for names in sorted(axes, key=str)),
            expected="one time and one pair of axes",
            remedy="Save the bands of each grid as a file of their own: both are read from one folder",
        )
    if not axes or not all(axis in stored.coords for axis in next(iter(axes))):
        raise ProductError(
            "not a raster over time",
            where=where,
            found=dict(stored.sizes) if used else f"variables {', '.join(map(str, stored.data_vars))}",
            expected="bands over time (or timestamp, t), y (lat), x (lon), with coordinates",
        )
    time, y, x = next(iter(axes))
    if not np.issubdtype(stored[time].dtype, np.datetime64):
        raise ProductError("times that are no dates", where=where, found=stored[time].dtype, expected="CF time units")
    keep = {ours: stored[name] for ours, name in used.items()}
    beside = [name for name in stored.variables if name in BESIDE]  # stackstac's are coordinates
    keep |= {str(name): stored[name] for name in beside if time in stored[name].dims}
    raster = xr.Dataset({name: v.reset_coords(drop=True) for name, v in keep.items()}).rename(
        {old: new for old, new in ((time, "time"), (y, "y"), (x, "x")) if old != new}
    )
    plain = {str(key): value for key, value in stored.attrs.items() if isinstance(value, (str, int, float, np.number))}
    plain |= {str(name): stored[name].item() for name in beside if not stored[name].dims}  # the same at all times
    return raster.transpose("time", "y", "x", missing_dims="ignore").assign_attrs(plain)


def axes_of(dims: Sequence[Hashable]) -> tuple[Hashable, Hashable, Hashable] | None:
    """The axes of time, y and x among `dims`, in any order; None for what is no raster over time."""
    time = [d for d in dims if d in _TIMES or str(d).startswith("time")]
    rows = [d for d in dims if _base(d) in _ROWS]
    columns = [d for d in dims if _base(d) in _COLUMNS]
    return (time[0], rows[0], columns[0]) if len(dims) == 3 and time and rows and columns else None


def _base(dim: Hashable) -> str:
    """``x`` of ``x_20`` and ``x20``, the coarser axes of some minicubes."""
    return str(dim).lower().rstrip("0123456789").rstrip("_")


def _declared_crs(stored: xr.Dataset, raster: xr.Dataset) -> Any:
    for attrs in _mappings(stored, raster):
        if wkt := attrs.get("crs_wkt") or attrs.get("spatial_ref"):
            return wkt
        if "grid_mapping_name" in attrs:
            from pyproj import CRS

            return CRS.from_cf(attrs).to_wkt()
    scalars = {key: stored[key].item() for key in PLACES if key in stored.coords and stored[key].dtype.kind in "iuU"}
    holders = (stored.attrs, scalars, *(band.attrs for band in raster.data_vars.values()))
    declared = next((held[key] for held in holders for key in PLACES if key in held), None)
    if declared is None and {"lat", "latitude"} & set(map(str, stored.dims)):
        return "EPSG:4326"
    return json.dumps(declared) if isinstance(declared, dict) else declared


def _mappings(stored: xr.Dataset, raster: xr.Dataset) -> list[dict[str, Any]]:
    """Attributes of the variables that hold the CRS, as CF names them or by their usual names."""
    named = {str(v.attrs["grid_mapping"]) for v in raster.data_vars.values() if "grid_mapping" in v.attrs}
    return [stored[name].attrs for name in (*sorted(named), "spatial_ref", "crs") if name in stored.variables]


def _centred(raster: xr.Dataset, stored: xr.Dataset) -> xr.Dataset:
    """`raster`, its coordinates moved to the pixels' centres where its own transform says that they are corners.

    stackstac's are the upper left corners unless it is told otherwise.
    """
    texts = [(attrs["GeoTransform"], (0, 1, 3, 5)) for attrs in _mappings(stored, raster) if "GeoTransform" in attrs]
    texts += [(v.attrs["transform"], (2, 0, 5, 4)) for v in raster.data_vars.values() if "transform" in v.attrs]
    for text, order in texts:
        numbers = [float(number) for number in re.findall(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?", str(text))]
        if len(numbers) < 6:
            continue
        left, dx, top, dy = (numbers[i] for i in order)
        first = {axis: float(raster[axis].values[0]) for axis in "xy"}
        away = [(first["x"] - left) / (dx or np.nan), (first["y"] - top) / (dy or np.nan)]
        if np.isfinite(away).all() and all(abs(part - round(part)) < 0.01 for part in away):
            moved = raster.assign_coords(x=raster["x"].values + dx / 2, y=raster["y"].values + dy / 2)
            return repaired(moved, {"coordinates of the pixels' corners, moved to their centres": 1})
        return raster
    return raster
