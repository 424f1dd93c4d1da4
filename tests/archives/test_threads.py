"""Sites run side by side in threads; the HDF5 library below does not stand that without a lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

CUBES = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from ecoembed import open_cube
places = [p for p in Path(sys.argv[1]).iterdir()] * 8
with ThreadPoolExecutor(4) as pool:
    shapes = list(pool.map(lambda p: open_cube(p, "S2_L2A").shape[1:], places))
assert set(shapes) == {(10, 24, 24)}, shapes
"""

TOWERS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from ecoembed import open_flux
path = sys.argv[1]
def days(site):
    return open_flux(path, "GPP_NT", site=site, description=path.replace(".nc", ".toml")).sizes["time"]
with ThreadPoolExecutor(4) as pool:
    found = set(pool.map(days, [f"XX-T{i}" for i in range(8)] * 12))
assert found == {731}, found
"""

DESCRIPTION = """
site_column = "station"
[time]
column = "time"
stamp = "start"
zone = "local"
[columns]
GPP_NT = {column = "gpp", unit = "gC m-2 d-1"}
GPP_NT_QC = {column = "qc", unit = "1"}
"""


def run(code: str, path: Path) -> None:
    """In a process of its own: without the lock it dies of a bus error or hangs."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])


def test_many_places_at_once(network: Path) -> None:
    run(CUBES, network / "satellite")


def test_many_towers_of_one_collection_at_once(tmp_path: Path) -> None:
    days = pd.date_range("2019-01-01", "2020-12-31", unit="ns")
    shape = (8, len(days))
    tower = xr.Dataset(
        {
            "gpp": (("station", "time"), np.random.default_rng(0).uniform(0, 9, shape)),
            "qc": (("station", "time"), np.ones(shape)),
        },
        coords={"time": days, "station": [f"XX-T{i}" for i in range(8)]},
    )
    tower.to_netcdf(tmp_path / "towers.nc")
    (tmp_path / "towers.toml").write_text(DESCRIPTION)
    run(TOWERS, tmp_path / "towers.nc")
