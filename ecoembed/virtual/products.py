"""Files as the world delivers them: FLUXNET zips and satellite NetCDFs, with the names and traps of the real ones."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed.archives import netcdf
from ecoembed.files import atomic
from ecoembed.sensors import S1, S2_L2A
from ecoembed.virtual.canopy import BANDS
from ecoembed.virtual.orbits import Passes
from ecoembed.virtual.places import VirtualPlace, grid
from ecoembed.virtual.radiance import Scenes, coarsen

_FLUXNET_NAME = "FLX_{site}_FLUXNET2015_FULLSET_{resolution}{first}-{last}_1-4"
#: A fixed date of the members keeps the zip the same, byte for byte, whenever it is written.
_MEMBER_DATE = (1980, 1, 1, 0, 0, 0)
#: First day of the processing baselines of Sentinel-2 L2A (documentation of the Copernicus Data Space Ecosystem: "L2A
#: baselines"), and that of its reprocessed archive, Collection 1, which holds old acquisitions with the new offset.
BASELINES = {
    "2015-06-23": "02.13",
    "2020-02-04": "02.14",
    "2021-03-30": "03.00",
    "2021-06-30": "03.01",
    "2022-01-25": "04.00",
    "2022-12-06": "05.09",
    "2023-12-13": "05.10",
    "2024-07-23": "05.11",
}
REPROCESSED, _REPROCESSED_BEFORE = "05.00", "2022-01-01"
_COARSEST = ("B01", "B09")


def fluxnet_name(site: str, years: tuple[int, int], resolution: str = "") -> str:
    """Name of a FULLSET zip, or of its member of a `resolution` (``"DD"``, ``"HH"``), without its ending.

    Examples
    --------
    >>> fluxnet_name("XX-V01", (2019, 2020), "DD")
    'FLX_XX-V01_FLUXNET2015_FULLSET_DD_2019-2020_1-4'
    """
    resolution = f"{resolution}_" if resolution else ""
    return _FLUXNET_NAME.format(site=site, resolution=resolution, first=years[0], last=years[1])


def _csv(table: pd.DataFrame) -> bytes:
    """A table as CSV, numbers rounded to four decimals."""
    import pyarrow as pa
    from pyarrow import csv

    sink = pa.BufferOutputStream()
    rounded = pa.Table.from_pandas(table.round(4), preserve_index=False)
    csv.write_csv(rounded, sink, csv.WriteOptions(include_header=False))
    return (",".join(map(str, table.columns)) + "\n").encode() + sink.getvalue().to_pybytes()


def write_fluxnet(folder: Path, site: str, years: tuple[int, int], tables: dict[str, pd.DataFrame]) -> Path:
    """Write the FULLSET zip of a site into `folder`, one member for each resolution in `tables`."""
    path = folder / f"{fluxnet_name(site, years)}.zip"
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for resolution, table in tables.items():
            member = zipfile.ZipInfo(f"{fluxnet_name(site, years, resolution)}.csv", _MEMBER_DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, _csv(table))
    return path


def baselines(times: pd.DatetimeIndex, reprocessed: bool) -> np.ndarray:
    """Processing baseline of each acquisition, text: of its day, or of the reprocessed archive for what lies before it.

    Examples
    --------
    >>> baselines(pd.DatetimeIndex(["2019-05-01", "2022-05-01"]), False).tolist()
    ['02.13', '04.00']
    >>> baselines(pd.DatetimeIndex(["2019-05-01", "2022-05-01"]), True).tolist()
    ['05.00', '04.00']
    """
    first = pd.DatetimeIndex(list(BASELINES))
    names = np.array(list(BASELINES.values()), dtype=object)
    found = names[np.maximum(first.searchsorted(times, side="right") - 1, 0)]
    old = np.asarray(times < pd.Timestamp(_REPROCESSED_BEFORE)) & reprocessed
    return np.where(old, np.array(REPROCESSED, dtype=object), found)


def offsets(baseline: np.ndarray) -> np.ndarray:
    """What the producer adds to the digital numbers of each acquisition, (time,) int: 1000 from baseline 04.00 on."""
    first, offset = S2_L2A.offset_from_baseline or (np.inf, 0.0)
    return np.where(baseline.astype(float) >= first, -offset, 0.0).astype(np.int64)


def digital_numbers(scenes: Scenes, added: np.ndarray) -> dict[str, np.ndarray]:
    """The twelve bands as the product holds them, uint16 in 1e-4 plus what is `added` at each time, 0 = no data.

    10 m bands (time, y, x), all others on the 20 m grid (time, y / 2, x / 2), B01 and B09 in blocks of 60 m.
    """
    fine = {band.name for band in S2_L2A.bands if band.resolution_m == 10}
    numbers = {}
    for i, name in enumerate(BANDS):
        values = scenes.reflectance[:, i]
        values = values if name in fine else coarsen(values)
        values = _blocks(values) if name in _COARSEST else values
        valid = scenes.observed.repeat(2, -2).repeat(2, -1) if name in fine else scenes.observed
        stored = np.clip(np.rint(values / S2_L2A.scale) + added[:, None, None], 1, np.iinfo(np.uint16).max)
        numbers[name] = np.where(valid, stored, S2_L2A.nodata).astype(np.uint16)
    return numbers


def _blocks(values: np.ndarray) -> np.ndarray:
    """Mean over blocks of 3 x 3 pixels, in each of them; blocks at the far edges are cut."""
    for axis in (-2, -1):
        size = values.shape[axis]
        first = np.arange(0, size, 3)
        count = np.diff(np.append(first, size))
        total = np.moveaxis(np.add.reduceat(values, first, axis=axis), axis, -1) / count
        values = np.moveaxis(total.repeat(count, -1), -1, axis)
    return values


def _write_raster(
    folder: Path,
    title: str,
    place: VirtualPlace,
    times: pd.DatetimeIndex,
    layers: dict[str, np.ndarray],
    metadata: dict[str, np.ndarray],
    unscaled: bool = False,
) -> Path:
    """Write integer `layers` (timestamp, y, x) with 0 for missing, as WorldCereal's extracts hold them.

    `metadata` has one value a time: text, or angles in degrees. With `unscaled` the file does not say that its integers
    are ten-thousandths.
    """
    from pyproj import CRS

    count = next(iter(layers.values())).shape[-1]
    size = count * (2 if "20m" in title else 1)
    x, y = grid(place, size, size * 10.0 / count)
    wkt = CRS.from_epsg(place.epsg).to_wkt("WKT1_GDAL")
    span = (f"{times[0]:%Y-%m-%d}", f"{times[-1]:%Y-%m-%d}")
    seconds = ((times - times[0]) // pd.Timedelta("1s")).to_numpy(dtype=np.int64)
    raster = xr.Dataset(
        coords={
            "timestamp": ("timestamp", seconds, {"units": f"seconds since {times[0]:%Y-%m-%d %H:%M:%S}"}),
            "y": ("y", y),
            "x": ("x", x),
        },
        attrs={
            "location_id": place.site_id,
            "epsg": str(place.epsg),
            "start_date": span[0],
            "end_date": span[1],
            "source": "ecoembed virtual flux network: not a measurement",
            "grid_mapping": "spatial_ref",
            "name": f"{title}_{place.site_id}",
        },
    )
    raster["timestamp"].attrs["calendar"] = "proleptic_gregorian"
    raster["spatial_ref"] = ((), 0, {"spatial_ref": wkt, "crs_wkt": wkt})
    encoding = {}
    for name, values in layers.items():
        attrs: dict[str, object] = {"_FillValue": values.dtype.type(0), "grid_mapping": "spatial_ref"}
        if name == "SCL":
            attrs["scale_factor"] = np.int64(1)
        elif not unscaled:
            attrs["scale_factor"] = 1e-4
        raster[name] = (("timestamp", "y", "x"), values, attrs)
        encoding[name] = {"zlib": True, "complevel": 1, "chunksizes": (min(32, len(times)), *values.shape[1:])}
    for name, values in metadata.items():
        raster[name] = ("timestamp", values if values.dtype.kind in "OU" else values.astype(np.float32))
    path = folder / f"{title}_{place.site_id}_{place.epsg}_{span[0]}_{span[1]}.nc"
    netcdf.write(raster, path, encoding)
    return path


def write_sentinel2(
    folder: Path, place: VirtualPlace, passes: Passes, scenes: Scenes, *, unscaled: bool, reprocessed: bool
) -> None:
    """Write the 10 m and the 20 m file of Sentinel-2.

    `unscaled` is a trap of real files: the 20 m one does not declare its scale. So is `reprocessed`: old acquisitions
    come with the offset that new ones have, so that the date does not tell.
    """
    baseline = baselines(passes.times, reprocessed)
    numbers = digital_numbers(scenes, offsets(baseline))
    angles = {
        "sunZenithAngles": passes.sun_zenith,
        "sunAzimuthAngles": passes.sun_azimuth,
        "viewZenithMean": passes.view_zenith,
        "viewAzimuthMean": passes.view_azimuth,
    }
    told = {"processing_baseline": baseline, "orbit": passes.orbit}
    size = scenes.classes.shape[-1]
    fine = {name: values for name, values in numbers.items() if values.shape[-1] > size}
    coarse = {name: values for name, values in numbers.items() if values.shape[-1] == size}
    _write_raster(folder, "S2_L2A_10m", place, passes.times, fine, told)
    _write_raster(folder, "S2_L2A_20m", place, passes.times, {**coarse, "SCL": scenes.classes}, told | angles, unscaled)


def write_sentinel1(folder: Path, place: VirtualPlace, passes: Passes, bands: dict[str, np.ndarray]) -> None:
    """Write a file for each direction of Sentinel-1, dB as int32 in 1e-4; missing pixels (NaN) become 0."""
    for direction, title in (("A", "ASCENDING"), ("D", "DESCENDING")):
        keep = np.flatnonzero(np.char.startswith(passes.orbit, direction))
        layers = {
            name: np.nan_to_num(np.round(bands[name][keep] / S1.scale)).astype(np.int32) for name in S1.band_names
        }
        own = passes[keep]
        _write_raster(folder, f"S1_GRD-{title}_20m", place, own.times, layers, {"orbit": own.orbit})
