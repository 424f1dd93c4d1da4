"""The Kljun climatology beside that of its authors' code (PyPI pyffp), in one run: times and largest difference.

    python evaluation/speed/footprints.py            # measure and print
    python evaluation/speed/footprints.py --write    # replace results/speed/footprints.json too

A year of half-hours on 101 x 101 points of 10 m: with diurnal turbulence, pinned by a seed, for towers of five heights;
and, where the real inputs are, the measured ones of US-Tw3 in 2015 (``ECOEMBED_REAL_DATA`` or ``../shared/real``).
Measured in turns, pyffp `ROUNDS` times, ours `REPEATS` times after each; medians count: pyffp without its smoothing;
(a) `summed_density`, the same values at the same points; (b) `footprint_climatology`, means over pixels. Ratios are
pyffp's time over ours.
Once with one thread and once with the libraries' own choice, each in a process of its own, whose first call of (b) is
timed apart: it imports the package and makes the kernels. The largest difference of (a) is relative to pyffp's peak.
About two minutes on an idle machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from machine import conditions

RESULT = Path(__file__).resolve().parents[1] / "results" / "speed" / "footprints.json"
REAL = Path(os.environ.get("ECOEMBED_REAL_DATA", RESULT.parents[4] / "shared" / "real"))
HEIGHTS, HALFHOURS, SEED, WANTED = (2.5, 5.0, 10.0, 20.0, 40.0), 8000, 3, 25
ROUNDS, REPEATS = 3, 3
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def halfhours(zm: float) -> dict[str, Any]:
    """Valid half-hours of a year over a canopy that suits `zm`: wind, heat flux by the sun, similarity for the rest."""
    import numpy as np

    from ecoembed.footprints.kljun import stability_correction

    rng = np.random.default_rng(SEED)
    hour, day = np.tile(np.arange(48) / 2 + 0.25, 365), np.repeat(np.arange(365), 48)
    length = 12 + 4 * np.sin(2 * np.pi * (day - 80) / 365)
    sun = np.maximum(0, np.cos(np.pi * (hour - 12) / length)) * (np.abs(hour - 12) < length / 2)
    wind = np.exp(np.log(2.5) + 0.45 * rng.standard_normal(hour.size) + 0.3 * sun)
    heat = np.where(sun > 0, 250 * sun * rng.uniform(0.3, 1.2, hour.size), -20 * rng.uniform(0.2, 1.5, hour.size))
    z0, profile = zm / 40, np.full(hour.size, np.log(40.0))
    for _ in range(30):
        ustar = np.maximum(0.02, 0.4 * wind / profile)
        ol = -1.2 * 1005 * 293 * ustar**3 / (0.4 * 9.81 * heat)
        stability = np.clip(stability_correction(np.full(hour.size, zm), ol), -4, 2.5)
        profile = (profile + np.maximum(0.5, np.log(zm / z0) - stability)) / 2
    h = np.where(heat > 0, 600 + 800 * sun, np.clip(0.3 * ustar / 1e-4, 60, 500))
    sigmav = ustar * np.where(heat > 0, np.cbrt(12 + 0.5 * h / np.abs(ol)), 1.92) * rng.lognormal(0, 0.15, hour.size)
    wind_dir = (220 + 70 * rng.standard_normal(hour.size) + 150 * (rng.random(hour.size) < 0.3)) % 360
    series = {"umean": wind, "h": h, "ol": ol, "sigmav": sigmav, "ustar": ustar, "wind_dir": wind_dir}
    valid = np.flatnonzero((ustar > 0.1) & (zm / ol >= -15.5) & (h > zm))
    chosen = np.sort(rng.permutation(valid)[:HALFHOURS])
    return {"zm": np.full(chosen.size, zm), **{name: values[chosen] for name, values in series.items()}}


def measured() -> dict[str, Any]:
    """The valid daytime half-hours of US-Tw3 in 2015."""
    import numpy as np

    from ecoembed import open_halfhours
    from ecoembed.footprints.climatology import exclusions
    from ecoembed.footprints.turbulence import turbulence

    tower = {"measurement_height": 2.8, "canopy_height": 0.35, "latitude": 38.1159, "longitude": -121.6467}
    year = open_halfhours(next((REAL / "flux").glob("AMF_US-Tw3_BASE*.zip"))).sel(time="2015")
    inputs = turbulence(year, {**tower, "utc_offset": -8.0})
    del inputs["notes"]
    valid = np.asarray(exclusions(inputs).isna())
    return {name: np.broadcast_to(values, valid.shape)[valid] for name, values in inputs.items()}


def measure() -> dict[str, Any]:
    """All towers, in this process."""
    import numpy as np
    from pyffp.calc_footprint_FFP_climatology import FFP_climatology

    centres = np.arange(-50, 51) * 10.0
    east, north = (v.ravel() for v in np.meshgrid(centres, centres))
    inputs = {f"zm {zm:4.1f} m": halfhours(zm) for zm in HEIGHTS}

    def reference(tower: str) -> Any:
        given = {**series[tower], "z0": [None] * inputs[tower]["zm"].size}
        domain = [float(v) for v in centres[[0, -1, 0, -1]]]
        return FFP_climatology(**given, domain=domain, nx=100, ny=100, rs=None, smooth_data=None, verbosity=0)

    def points(tower: str) -> Any:
        from ecoembed.footprints.kljun import scales
        from ecoembed.footprints.kljun_density import summed_density

        return summed_density(east, north, *scales(inputs[tower]), inputs[tower]["wind_dir"])

    def pixels(tower: str) -> Any:
        from ecoembed.footprints.climatology import footprint_climatology

        return footprint_climatology(**inputs[tower], grid={"x": centres, "y": centres})

    first = _timed(pixels, next(iter(inputs)))[0]
    if REAL.is_dir():
        inputs["US-Tw3"] = measured()
    series = {tower: {name: v.tolist() for name, v in given.items()} for tower, given in inputs.items()}
    rows = []
    for tower in inputs:
        timed: dict[Any, list[Any]] = {reference: [], points: [], pixels: []}
        for function in (reference, *[points, pixels] * REPEATS) * ROUNDS:
            timed[function].append(_timed(function, tower))
        spent = [{clock: median(t[clock] for t, _ in times) for clock in first} for times in timed.values()]
        theirs, ours, weights = (times[0][1] for times in timed.values())
        n, field = theirs["n"], theirs["fclim_2d"]
        row: dict[str, Any] = {"tower": tower, "halfhours": n}
        for clock in first:
            row |= {f"pyffp_{clock}_s": round(spent[0][clock], 3)}
            for k, name in ((1, "points"), (2, "pixels")):
                row[f"{name}_{clock}_s"] = round(spent[k][clock], 4)
                row[f"{name}_{clock}_ratio"] = round(spent[0][clock] / spent[k][clock], 1)
        row["points_difference"] = float(f"{np.abs(ours / n - field.ravel()).max() / field.max():.1e}")
        row["pixels_inside"] = round(weights.attrs["inside"], 4)
        rows.append(row)
        print(_line(row), file=sys.stderr, flush=True)
    return {"first_call_s": round(first["wall"], 2), "towers": rows}


def _timed(call: Any, tower: str) -> tuple[dict[str, float], Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    answer = call(tower)
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}, answer


def _line(row: dict[str, Any]) -> str:
    ratios = ", ".join(
        f"{name} {row[f'{name}_wall_ratio']:.0f}x wall {row[f'{name}_cpu_ratio']:.0f}x CPU"
        for name in ("points", "pixels")
    )
    short = [f"{k} under {WANTED}x" for k, v in row.items() if k.endswith("_ratio") and v < WANTED]
    return (
        f"  {row['tower']:9s}, {row['halfhours']} half-hours: pyffp {row['pyffp_wall_s']:.2f} s, "
        f"pixels {row['pixels_wall_s'] * 1e3:.0f} ms; {ratios}; difference {row['points_difference']:.0e} of the peak"
        + "".join(f"; {name}" for name in short)
    )


def main(arguments: list[str]) -> int:
    """0, or 2 where the arguments are not understood."""
    if arguments == ["--measure"]:
        print(json.dumps(measure()))
        return 0
    if arguments not in ([], ["--write"]):
        print(__doc__)
        return 2
    packages = ("numpy", "scipy", "xarray", "pyffp")
    about = conditions(*packages, seed=SEED, rounds=ROUNDS, grid="101 x 101 of 10 m")
    results: dict[str, Any] = {"conditions": about}
    for name, setting in (("one_thread", "1"), ("default_threads", None)):
        others = {k: v for k, v in os.environ.items() if k not in THREADS}
        print(name.replace("_", " "), flush=True)
        command = [sys.executable, __file__, "--measure"]
        environment = {**others, **(dict.fromkeys(THREADS, setting) if setting else {})}
        answer = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        results[name] = json.loads(answer.stdout)
        print(f"  first call, with imports and kernels: {results[name]['first_call_s']} s", flush=True)
    if arguments:
        from ecoembed.files import write_json

        RESULT.parent.mkdir(parents=True, exist_ok=True)
        write_json(RESULT, results)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
