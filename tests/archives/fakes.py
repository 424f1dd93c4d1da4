"""Small files with the names, columns, integers and attributes of the real ones, made by code."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from pyproj import CRS

SITE = "XX-T01"
EPSG = 32632
#: Upper left corner of the fake place, on Sentinel-2's 10 m grid.
LEFT, TOP = 600_000.0, 5_400_000.0


def daily(days: int = 60, seed: int = 0) -> pd.DataFrame:
    """A FULLSET daily table, in which the QC of other variables stands first and differs from NEE's."""
    rng = np.random.default_rng(seed)
    time = pd.date_range("2019-03-01", periods=days)
    table = pd.DataFrame({"TIMESTAMP": time.strftime("%Y%m%d")})
    table["TA_F_MDS"], table["TA_F_MDS_QC"] = rng.normal(10, 5, days), 1.0
    table["TA_F"], table["TA_F_QC"] = table["TA_F_MDS"], 1.0
    table["SW_IN_F"], table["VPD_F"], table["P_F"] = rng.uniform(20, 300, days), rng.uniform(0, 20, days), 1.5
    for name in ("NEE_VUT_REF", "NEE_CUT_REF", "NEE_VUT_USTAR50"):
        table[name], table[f"{name}_QC"] = rng.normal(-2, 2, days), rng.uniform(0, 1, days)
        table[f"{name}_RANDUNC"] = 0.3
    for name in ("GPP_NT_VUT_REF", "GPP_DT_VUT_REF", "GPP_DT_CUT_REF", "RECO_NT_VUT_REF"):
        table[name] = rng.normal(4, 3, days)
    table["GPP_NT_VUT_SE"] = 0.1
    return table


def halfhourly(rows: int = 96, minutes: int = 30, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    start = pd.date_range("2019-03-01", periods=rows, freq=f"{minutes}min")
    table = pd.DataFrame({"TIMESTAMP_START": start.strftime("%Y%m%d%H%M")})
    table["TIMESTAMP_END"] = (start + pd.Timedelta(minutes=minutes)).strftime("%Y%m%d%H%M")
    for name, mean in {
        "TA_F": 10,
        "SW_IN_F": 100,
        "PA_F": 98,
        "WS_F": 3,
        "WD": 180,
        "USTAR": 0.4,
        "H_F_MDS": 50,
    }.items():
        table[name] = mean + rng.normal(0, 0.1, rows)
    table["NEE_VUT_REF"], table["NEE_VUT_REF_QC"] = rng.normal(-2, 2, rows), 0
    return table


def name(resolution: str, kind: str = "FULLSET", site: str = SITE, ending: str = "csv") -> str:
    return f"FLX_{site}_FLUXNET2015_{kind}_{resolution}_2019-2019_1-4.{ending}"


def write_csv(folder: Path, table: pd.DataFrame, file: str) -> Path:
    path = folder / file
    table.to_csv(path, index=False)
    return path


def write_zip(folder: Path, members: Mapping[str, pd.DataFrame | str], file: str | None = None) -> Path:
    path = folder / (file or f"FLX_{SITE}_FLUXNET2015_FULLSET_2019-2019_1-4.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, table in members.items():
            archive.writestr(member, table if isinstance(table, str) else table.to_csv(index=False))
    return path


def times(n: int, first: str = "2019-03-01T10:30:21", days: float = 5.0) -> np.ndarray:
    step = np.timedelta64(round(days * 86_400), "s")
    return np.datetime64(first, "ns") + np.arange(n) * step


def write_raster(
    path: Path,
    layers: Mapping[str, np.ndarray],
    time: np.ndarray,
    *,
    resolution: float,
    attrs: Mapping[str, object] | None = None,
    band_attrs: Mapping[str, object] | None = None,
    left: float = LEFT,
    top: float = TOP,
    epsg: int = EPSG,
) -> Path:
    """Write (timestamp, y, x) numbers as they are, with ``_FillValue`` 0 on whole ones, and `band_attrs` on each."""
    _, height, width = next(iter(layers.values())).shape
    seconds = ((time - time[0]) // np.timedelta64(1, "s")).astype("int64")
    raster = xr.Dataset(
        coords={
            "timestamp": ("timestamp", seconds, {"units": f"seconds since {str(time[0])[:19].replace('T', ' ')}"}),
            "y": top - (np.arange(height) + 0.5) * resolution,
            "x": left + (np.arange(width) + 0.5) * resolution,
        },
        attrs={"location_id": SITE, **(attrs or {})},
    )
    raster["spatial_ref"] = ((), 0, {"crs_wkt": CRS.from_epsg(epsg).to_wkt("WKT1_GDAL")})
    for band, values in layers.items():
        fill = {"_FillValue": values.dtype.type(0)} if values.dtype.kind in "iu" else {}
        extra = {} if band == "SCL" else dict(band_attrs or {})
        raster[band] = (("timestamp", "y", "x"), values, {**fill, "grid_mapping": "spatial_ref", **extra})
    raster.to_netcdf(path)
    return path


FINE = ("B02", "B03", "B04", "B08")
COARSE = ("B05", "B06", "B07", "B8A", "B11", "B12")


def numbers(n: int, size: int, bands: tuple[str, ...], seed: int = 0) -> dict[str, np.ndarray]:
    """Digital numbers of Sentinel-2 bands."""
    rng = np.random.default_rng(seed)
    return {band: rng.integers(150, 6000, (n, size, size)).astype("uint16") for band in bands}


def write_place(folder: Path, dates: int = 6, size: int = 8, seed: int = 0) -> dict[str, Path]:
    """The three files of a place: Sentinel-2 at 10 m and 20 m (all clear), Sentinel-1 at 20 m."""
    folder.mkdir(parents=True, exist_ok=True)
    half = size // 2
    rng = np.random.default_rng(seed + 1)
    scale = {"scale_factor": 1e-4}
    scl = np.full((dates, half, half), 4, dtype="uint8")
    backscatter = {
        band: np.round(rng.normal(mean, 2, (dates, half, half)) * 1e4).astype("int32")
        for band, mean in (("VV", -10), ("VH", -17))
    }
    return {
        "10m": write_raster(
            folder / f"S2_L2A_10m_{SITE}_{EPSG}.nc",
            numbers(dates, size, FINE, seed),
            times(dates),
            resolution=10,
            band_attrs=scale,
        ),
        "20m": write_raster(
            folder / f"S2_L2A_20m_{SITE}_{EPSG}.nc",
            {**numbers(dates, half, COARSE, seed), "SCL": scl},
            times(dates),
            resolution=20,
        ),
        "S1": write_raster(
            folder / f"S1_GRD-ASCENDING_20m_{SITE}_{EPSG}.nc",
            backscatter,
            times(dates, "2019-03-02T17:31:10"),
            resolution=20,
            band_attrs=scale,
        ),
    }


def truncate(path: Path, share: float = 0.6) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path
