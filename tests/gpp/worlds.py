"""Small invented sites, series and fluxes for the tests of `gpp` and `validation`."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import rioxarray  # noqa: F401  (gives DataArray.rio)
import xarray as xr
from shapely.geometry import Point

from ecoembed.sensors import S2_L2A

DAYS = pd.date_range("2020-03-01", periods=200, freq="D")


def sites(names: list[str], utc_offset: float = 1.0, latitude: float = 50.0, igbp: str = "GRA") -> gpd.GeoDataFrame:
    table = {
        "latitude": latitude,
        "longitude": [10.0 + i for i in range(len(names))],
        "elevation": 100.0,
        "igbp": igbp,
        "canopy_height": 1.0,
        "measurement_height": 3.0,
        "utc_offset": utc_offset,
        "licence": "CC-BY-4.0",
        "citation": "invented",
    }
    frame = pd.DataFrame(table, index=pd.Index(names, name="site_id"))
    return gpd.GeoDataFrame(frame, geometry=[Point(x, latitude) for x in frame["longitude"]], crs="EPSG:4326")


def series(
    times: pd.DatetimeIndex, features: list[str], coverage: float | np.ndarray = 1.0, seed: int = 0
) -> xr.Dataset:
    values = np.random.default_rng(seed).uniform(0.1, 0.9, (len(times), len(features)))
    return xr.Dataset(
        {
            "value": (("time", "feature"), values),
            "coverage": ("time", np.broadcast_to(np.asarray(coverage, dtype=float), len(times)).copy()),
        },
        coords={"time": times, "feature": features},
        attrs={"site": "XX-T01"},
    )


def flux(site: str, drivers: tuple[str, ...] = ("TA", "SW_IN", "VPD", "P"), seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    data = {"GPP_NT_VUT_REF": ("time", rng.uniform(0, 10, len(DAYS)), {"units": "gC m-2 d-1"})}
    for name in drivers:
        data[name] = ("time", rng.uniform(0, 10, len(DAYS)), {"units": "1"})
    attrs = {"site": site, "utc_offset": float("nan"), "target": "GPP_NT_VUT_REF", "rows": {"in": 200, "out": 200}}
    return xr.Dataset(data, coords={"time": DAYS}, attrs=attrs)


def overpasses(count: int = 30) -> pd.DatetimeIndex:
    return pd.date_range("2020-03-02T10:30", periods=count, freq="5D")


def all_series(times: pd.DatetimeIndex, seed: int = 0) -> dict[str, xr.Dataset]:
    return {
        "bands": series(times, ["B04", "B08"], seed=seed),
        "indices": series(times, ["NDVI", "NIRv", "kNDVI"], seed=seed + 1),
        "embeddings": series(times, ["z1", "z2"], seed=seed + 2),
    }


def cube(values: np.ndarray | float = 0.3, size: int = 4, dates: int = 2) -> xr.DataArray:
    """A Sentinel-2 cube; `values` broadcasts to (time, band, y, x)."""
    data = np.broadcast_to(np.asarray(values, dtype="float32"), (dates, 10, size, size)).copy()
    result = xr.DataArray(
        data,
        dims=("time", "band", "y", "x"),
        coords={
            "time": pd.date_range("2020-06-01T10:30", periods=dates, freq="5D"),
            "band": list(S2_L2A.band_names),
            "y": 5_000_000.0 - 10.0 * np.arange(size),
            "x": 600_000.0 + 10.0 * np.arange(size),
        },
        attrs={"sensor": "S2_L2A", "units": "1", "site": "XX-T01"},
    )
    return result.rio.write_crs("EPSG:32631")
