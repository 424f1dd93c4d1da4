"""Files as the world delivers them: FLUXNET zips and satellite NetCDFs, with the names and traps of the real ones."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed.files import atomic
from ecoembed.sensors import S1, S2_L2A
from ecoembed.virtual.places import Place, grid

_FLUXNET_NAME = "FLX_{site}_FLUXNET2015_FULLSET_{resolution}{first}-{last}_1-4"
#: A fixed date of the members keeps the zip the same, byte for byte, whenever it is written.
_MEMBER_DATE = (1980, 1, 1, 0, 0, 0)


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


def _write_raster(
    folder: Path,
    title: str,
    place: Place,
    times: pd.DatetimeIndex,
    layers: dict[str, np.ndarray],
    unscaled: bool = False,
) -> Path:
    """Write integer `layers` (timestamp, y, x) with 0 for missing, as WorldCereal's extracts hold them.

    With `unscaled` the file does not say that its integers are ten-thousandths.
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
    path = folder / f"{title}_{place.site_id}_{place.epsg}_{span[0]}_{span[1]}.nc"
    with atomic(path) as temporary:
        raster.to_netcdf(temporary, encoding=encoding, engine="netcdf4")
    return path


def write_sentinel2(
    folder: Path,
    place: Place,
    times: pd.DatetimeIndex,
    bands: dict[str, np.ndarray],
    classes: np.ndarray,
    unscaled: bool,
) -> None:
    """Write the 10 m and the 20 m file of Sentinel-2 (bands as uint16 in 1e-4); `unscaled` is the 20 m file's trap."""
    fine = {band.name: bands[band.name] for band in S2_L2A.bands if band.resolution_m == 10}
    coarse = {band.name: bands[band.name] for band in S2_L2A.bands if band.resolution_m == 20}
    _write_raster(folder, "S2_L2A_10m", place, times, fine)
    _write_raster(folder, "S2_L2A_20m", place, times, {**coarse, "SCL": classes}, unscaled)


def write_sentinel1(folder: Path, place: Place, times: pd.DatetimeIndex, bands: dict[str, np.ndarray]) -> None:
    """Write the file of Sentinel-1, dB as int32 in 1e-4; missing pixels (NaN) become 0."""
    layers = {name: np.nan_to_num(np.round(bands[name] / S1.scale)).astype(np.int32) for name in S1.band_names}
    _write_raster(folder, "S1_GRD-ASCENDING_20m", place, times, layers)
