"""How long flux files take to become tables, and how much memory, against a plain `pandas.read_csv` of the same file.

    python evaluation/speed/flux.py [--write]

Reads the real AmeriFlux BASE file of US-Tw3 (as zip and as CSV) and a 20-year FULLSET HH file, made in a temporary
folder from the 267 column names of the real CH-Cha one. Times are the least of several alternating runs in one process,
by the wall clock and of the processor (all is done in one thread, so on an idle machine they agree). Memory is how much
the resident set grows at its peak, in a fresh process that has imported everything and read a few hundred rows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pvlib.solarposition  # noqa: F401  otherwise imported while memory is measured

from ecoembed import open_flux, read_sites
from ecoembed.archives.flux import table as fluxtable
from ecoembed.archives.flux.files import find_tables, read_columns
from ecoembed.archives.flux.targets import find_target
from ecoembed.files import write_json

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("ECOEMBED_REAL_DATA", ROOT.parent / "shared" / "real")) / "flux"
RESULT = ROOT / "evaluation" / "results" / "speed" / "flux.json"
BASE = REAL / "AMF_US-Tw3_BASE_HH_5-5.zip"
HEADER = REAL / "FLX_CH-Cha_FLUXNET2015_FULLSET_HH_2005-2020_beta-3.csv"
WORKBOOK = REAL.parent / "sites" / "FLX_AA-Flx_BIF_LATEST.xlsx"
TARGETS = {"BASE": "GPP_PI_F", "FULLSET": "GPP_NT_VUT_REF"}
ROUNDS = 5


def write_fullset(folder: Path, years: int = 20) -> Path:
    """Half-hours under the real header: 41 days of plausible numbers, a seventh of them missing, again and again."""
    with HEADER.open(encoding="utf-8-sig") as stream:
        header = stream.readline().strip().split(",")
    rng, n = np.random.default_rng(0), 41 * 48
    noon = np.clip(np.sin((np.arange(n) % 48 + 0.5) / 48 * 2 * np.pi - np.pi / 2), 0, None)
    columns = []
    for name in header[2:]:
        if name.endswith("_QC"):
            values = rng.choice([0, 0, 0, 1, 2, -9999], n).astype("float64")
        else:
            values = noon * (800 + rng.normal(0, 20, n)) if name.startswith("SW_IN") else abs(rng.normal(6, 2, n))
            values = np.where(rng.random(n) < 1 / 7, -9999.0, values)
        columns.append([f"{value:.6g}" for value in values])
    rows = [",".join(row) for row in zip(*columns, strict=True)]
    first = pd.date_range("2001-01-01", f"{2000 + years}-12-31 23:30", freq="30min")
    starts, ends = (times.strftime("%Y%m%d%H%M") for times in (first, first + pd.Timedelta("30min")))
    path = folder / f"FLX_XX-Spd_FLUXNET2015_FULLSET_HH_2001-{2000 + years}_1-4.csv"
    with path.open("w") as stream:
        stream.write(",".join(header) + "\n")
        stream.writelines(f"{a},{b},{rows[i % n]}\n" for i, (a, b) in enumerate(zip(starts, ends, strict=True)))
    return path


def head(path: Path, folder: Path) -> Path:
    """The first lines of a table, to warm up with."""
    short = folder / path.name.replace(".zip", ".csv")
    with zipfile.ZipFile(path).open(path.stem + ".csv") if path.suffix == ".zip" else path.open("rb") as stream:
        short.write_bytes(b"".join(stream.readline() for _ in range(400)))
    return short


def jobs(path: Path) -> tuple[dict[str, Callable[[Path], object]], list[str]]:
    """What is compared: the plain reading, the wanted columns, the checked days; and the wanted columns' names."""
    target = next(name for kind, name in TARGETS.items() if kind in path.name)
    table = find_tables(path)[0]
    chosen = find_target(target, table.columns, "FULLSET" in path.name, table.name)
    columns = list(dict.fromkeys(fluxtable.wanted_columns(table, chosen).values()))
    skipped = 2 if "BASE" in path.name else 0
    return {
        "pandas.read_csv": lambda file: pd.read_csv(file, skiprows=skipped),
        "read_columns": lambda file: read_columns(find_tables(file)[0], columns),
        "open_flux": lambda file: open_flux(file, target),
    }, columns


def measure_times(work: dict[str, Callable[[Path], object]], path: Path) -> dict[str, tuple[float, float]]:
    """Least seconds (by the wall clock, of the processor) of each job, the jobs taking turns."""
    least = dict.fromkeys(work, (float("inf"), float("inf")))
    for _ in range(ROUNDS):
        for name, job in work.items():
            wall, processor = time.perf_counter(), time.process_time()
            job(path)
            now = time.perf_counter() - wall, time.process_time() - processor
            least[name] = min(least[name][0], now[0]), min(least[name][1], now[1])
    return least


def growth(path: Path, name: str, folder: Path) -> int:
    """Bytes by which the resident set grows at its peak while the job `name` runs. Linux only."""
    work, _ = jobs(path)
    work[name](head(path, folder))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _memory()["VmRSS"]
    kept = work[name](path)
    peak = _memory()["VmHWM"]
    del kept
    return peak - before


def _memory() -> dict[str, int]:
    lines = [line.split() for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Vm")]
    return {key.rstrip(":"): int(value) * 1024 for key, value, *_ in lines}


def measure(path: Path) -> dict[str, Any]:
    """Ratios of one file, and the conditions they were measured under."""
    work, columns = jobs(path)
    rows = len(read_columns(find_tables(path)[0], columns[:1]))
    times = measure_times(work, path)
    plain = times["pandas.read_csv"]
    wanted = rows * 8 * (len(columns) + 1)
    result: dict[str, Any] = {
        "rows": rows,
        "columns in the file": len(find_tables(path)[0].columns),
        "columns read": columns,
        "bytes of the file": path.stat().st_size,
        "bytes of the columns read and their time": wanted,
        "seconds of pandas.read_csv": round(plain[0], 3),
    }
    for name in times:
        command = [sys.executable, __file__, "--growth", name, str(path)]
        grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        result[name] = {
            "time": round(times[name][0] / plain[0], 2),
            "processor time": round(times[name][1] / plain[1], 2),
            "peak memory": round(grown / wanted, 2),
        }
    return result


def measure_workbook() -> dict[str, float]:
    """The archive's table of sites: `read_sites` against the plain unpacking of its workbook."""
    work = {"plain": lambda file: pd.read_excel(file, dtype=object), "read_sites": read_sites}
    times = measure_times(work, WORKBOOK)
    return {
        "seconds of pandas.read_excel": round(times["plain"][0], 2),
        "time": round(times["read_sites"][0] / times["plain"][0], 2),
        "processor time": round(times["read_sites"][1] / times["plain"][1], 2),
    }


def main() -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if sys.argv[1:2] == ["--growth"]:
            print(growth(Path(sys.argv[3]), sys.argv[2], folder))
            return
        with zipfile.ZipFile(BASE) as archive:
            plain = Path(archive.extract(archive.namelist()[0], folder))
        files = {
            "AmeriFlux BASE, 5.5 years, zip": BASE,
            "AmeriFlux BASE, 5.5 years, CSV": plain,
            "FULLSET HH, 20 years, CSV": write_fullset(folder),
        }
        results = {name: measure(path) for name, path in files.items()}
    workbook = measure_workbook()
    if "--write" in sys.argv:
        machine = {"cores": os.cpu_count(), "pandas": pd.__version__, "rounds": ROUNDS}
        write_json(RESULT, {"machine": machine, "files": results, "workbook of sites": workbook})
    print("Times against pandas.read_csv of the same file; peak memory against the columns read and their time.")
    for name, result in results.items():
        mib, read = int(result["bytes of the file"]) >> 20, len(result["columns read"])
        print(f"{name}: {result['rows']} rows, {read} of {result['columns in the file']} columns, {mib} MiB")
        for job in ("pandas.read_csv", "read_columns", "open_flux"):
            print(f"  {job:16s}", ", ".join(f"{what} {value:5.2f}" for what, value in result[job].items()))
    print("read_sites of the workbook of sites, against pandas.read_excel of it:", workbook)


if __name__ == "__main__":
    main()
