"""How long a virtual network takes, and a cube from hundreds of files.

    python evaluation/speed/satellites.py [--write]

`network`: 12 sites x 2 years of 48 x 48 px, half-hours and images, as one process; it should take less than 60 s on 2
cores. `cube`: 300 NetCDF files of one date each, 48 x 48 px and 11 layers, beside a plain `xarray.load_dataset` of each
of them in the same process. Each is repeated, and the best time counts: others use these machines.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from machine import conditions

RESULT = Path(__file__).resolve().parents[1] / "results" / "speed" / "satellites.json"
ROUNDS, FILES, SIZE, LIMIT = 3, 300, 48, 60.0
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


def best(call: Callable[[], object]) -> dict[str, float]:
    """The shortest of several calls, in s."""
    spent = []
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        spent.append((time.perf_counter() - wall, time.process_time() - cpu))
    return {"wall_s": round(min(w for w, _ in spent), 2), "cpu_s": round(min(c for _, c in spent), 2)}


def network() -> dict[str, float]:
    """Time and memory of writing a network."""
    from ecoembed.virtual.network import write_network

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_network(Path(folder) / "study", sites=12, years=(2019, 2020), size=48)

    took = best(write)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {**took, "share_of_limit": round(took["wall_s"] / LIMIT, 2), "peak_gib": round(peak, 2)}


def write_files(folder: Path) -> list[Path]:
    """Images as `ecoembed fetch` leaves them."""
    rng = np.random.default_rng(0)
    centres = 500_005.0 + 10.0 * np.arange(SIZE)
    paths = []
    for day in pd.date_range("2019-01-01T10:30", periods=FILES, freq="5D", unit="ns"):
        layers = {band: (("time", "y", "x"), rng.integers(1100, 4000, (1, SIZE, SIZE), "uint16")) for band in BANDS}
        layers["SCL"] = (("time", "y", "x"), np.full((1, SIZE, SIZE), 4, "uint8"))
        attrs = {"epsg": 32632, "processing_baseline": "05.10", "item": f"S2A_MSIL2A_{day:%Y%m%dT%H%M%S}"}
        image = xr.Dataset(layers, {"time": [day], "y": 5_000_000 - centres, "x": centres}, attrs)
        paths.append(folder / f"S2_L2A_{day:%Y%m%dT%H%M%S}.nc")
        image.to_netcdf(paths[-1], encoding={name: {"zlib": True, "complevel": 1} for name in layers})
    return paths


def cube() -> dict[str, Any]:
    """A cube from files of one date each, beside reading those files."""
    from ecoembed import open_cube

    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder))
        found = open_cube(folder)
        if found.shape != (FILES, len(BANDS), SIZE, SIZE):
            raise SystemExit(f"another cube than was written: {found.shape}")
        plain = best(lambda: [xr.load_dataset(path, mask_and_scale=False) for path in paths])
        ours = best(lambda: open_cube(folder))
    return {"plain": plain, "ours": ours, "share_of_plain": round(ours["wall_s"] / plain["wall_s"], 2)}


def main(arguments: list[str]) -> int:
    """0, or 2 where the arguments are not understood."""
    steps: dict[str, Callable[[], dict[str, Any]]] = {"network": network, "cube": cube}
    if arguments[:1] == ["--measure"]:
        print(json.dumps(steps[arguments[1]]()))
        return 0
    if arguments not in ([], ["--write"]):
        print(__doc__)
        return 2
    results: dict[str, Any] = {"conditions": conditions("numpy", "xarray", "netCDF4", "pyrealm", rounds=ROUNDS)}
    for name in steps:
        command = [sys.executable, __file__, "--measure", name]
        results[name] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        print(name, results[name], flush=True)
    if arguments:
        from ecoembed.files import write_json

        write_json(RESULT, results)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
