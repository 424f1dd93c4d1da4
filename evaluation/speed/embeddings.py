"""How fast a Zarr cube becomes embeddings, beside the reference encoder and the processor's limit, in one run.

    python evaluation/speed/embeddings.py            # measure and print
    python evaluation/speed/embeddings.py --write    # replace results/speed/embeddings.json too

- Stream: synthetic cubes (fields, 20 % clouds, pinned by a seed) of several sizes and numbers of dates, as many of S1
  as of S2, pass from store to store: read, S1 + S2 + fusion with the default weights, write. Each in a process of its
  own, whose peak of memory is the kernel's. Every pixel and date counts, also those that are masked in the end. The
  largest, 1 000 x 1 000 px and 60 dates, must pass through 4 GiB.
- Any date: the same of the first cube on 90 dates of which most had no acquisition, with the expected error.
- GPU, where there is one: frames in its memory -> embeddings, fp32 and bf16, by the layers as training calls them;
  beside the bandwidth of a copy, if each date read nothing but its 11 keys and values.
- Reference: `ReferenceEncoder` of the same cube's pixels, patch by patch, in memory, patches cut by it.
- Limit: multiply-adds of the layers for one pixel and date (halos not counted), over the rate of a 3 x 3 convolution of
  64 channels and of a plain matrix product, on one thread by processor time, measured in the same run.
- Latency: `ecoembed embed` of a site of 48 x 48 px and 120 dates as a process, imports and weights included.

Wall time is what a user waits; where others use the machine, processor time says what an idle one would do. The best of
`ROUNDS` counts; the larger cubes, which show the memory, pass once. About 15 minutes and 8 GB of temporary disk.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import conditions

RESULT = Path(__file__).resolve().parents[1] / "results" / "speed" / "embeddings.json"
#: Side in pixels and dates of the streamed cubes; the first is the one that is compared.
CUBES = ((256, 60), (256, 180), (1000, 60))
SITE = (48, 120)
REFERENCE_PIXELS, ROUNDS, SEED = 64, 3, 5
#: What the largest cube may take of memory in GiB, and all of them of disk in bytes.
MEMORY_GIB, DISK = 4.0, 8e9
#: Dates that are asked for, this many days apart.
DATES, APART = 90, 4


def make_store(path: Path, side: int, dates: int) -> None:
    """A store of both sensors, written date by date: it does not pass through memory as a whole."""
    import dask.array as da
    import numpy as np
    import rioxarray  # noqa: F401
    import xarray as xr

    from ecoembed.cubes.store import save_cubes
    from ecoembed.embeddings.encode import load_encoder
    from ecoembed.sensors import SENSORS

    def values(sensor: str, block_info: Any = None) -> np.ndarray:
        (t, _), _, (y, y_end), (x, x_end) = block_info[None]["array-location"]
        rng = np.random.default_rng([SEED, t, y, x, len(sensor)])
        row, column = np.arange(y, y_end)[:, None] // 8, np.arange(x, x_end)[None] // 8
        season = 0.3 + 0.15 * np.sin(2 * np.pi * (t / 73 + (row * 7 + column * 3) % 5 / 5))
        bands = len(SENSORS[sensor].bands)
        out = season + rng.normal(0, 0.01, (1, bands, y_end - y, x_end - x))
        if sensor == "S1":
            return (-20 + 20 * out).astype("float32")
        cloud = rng.random((-(-(y_end - y) // 32), -(-(x_end - x) // 32))) < 0.2
        cloud = cloud.repeat(32, 0).repeat(32, 1)[: y_end - y, : x_end - x]
        return np.where(cloud, np.nan, out).astype("float32")

    cubes = {}
    for sensor, hours in (("S2_L2A", 10.5), ("S1", 17.5)):
        bands = SENSORS[sensor].band_names
        chunks = ((1,) * dates, (len(bands),), *[tuple(min(256, side - a) for a in range(0, side, 256))] * 2)
        cube = xr.DataArray(
            da.map_blocks(values, sensor, chunks=chunks, dtype="float32", meta=np.empty((0,) * 4, "float32")),
            dims=("time", "band", "y", "x"),
            coords={
                "time": np.datetime64("2020-01-01", "ns")
                + (np.arange(dates) * 6 * 24 + hours).astype("timedelta64[h]").astype("timedelta64[ns]"),
                "band": list(bands),
                "y": 5_600_000.0 - 10 * np.arange(side),
                "x": 500_000.0 + 10 * np.arange(side),
            },
            attrs={"sensor": sensor, "units": SENSORS[sensor].unit, "site": "XX-Spd"},
        )
        smoothing = load_encoder().card.sensors[sensor].smoothing
        cubes[sensor] = cube.assign_attrs({"smoothing": smoothing} if smoothing else {}).rio.write_crs(32631)
    save_cubes(cubes, path)


def best(call: Callable[[], Any], rounds: int = ROUNDS) -> tuple[float, float]:
    """The shortest wall time and the shortest processor time, in s."""
    times = []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(w for w, _ in times), min(c for _, c in times)


def stream(store: Path, out: Path, rounds: int, dates: int = 0) -> dict[str, float]:
    """From store to store in this process, what `ecoembed embed` does; on so many dates, or those of Sentinel-2."""
    import numpy as np

    from ecoembed.cubes.store import load_cube, save_cubes
    from ecoembed.embeddings.encode import load_encoder

    encoder, sizes = load_encoder(), load_cube(store, "S2_L2A", lazy=True).sizes
    asked = np.datetime64("2020-01-01T06", "h") + np.arange(dates) * 24 * APART if dates else None

    def embed() -> None:
        s2, s1 = (load_cube(store, name, lazy=True) for name in ("S2_L2A", "S1"))
        save_cubes({"embeddings": encoder.encode(s2, s1, dates=asked)}, out)

    wall, cpu = best(embed, rounds)
    count = (dates or sizes["time"]) * sizes["y"] * sizes["x"]
    # Linux's own account: that of getrusage begins with the peak of the process that started this one
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20
    return {"pixel_dates": count, "wall_s": wall, "cpu_s": cpu, "peak_gib": peak}


def gpu() -> dict[str, Any]:
    """Rates on the first GPU, frames in its memory."""
    import torch

    from ecoembed.embeddings.encode import load_encoder

    if not torch.cuda.is_available():
        return {"not_measured": "no GPU"}
    model, frames, side = load_encoder().model.cuda(), 20, 256
    source = torch.empty(1 << 28, device="cuda")
    copied = 2 * source.nbytes / _seconds(source.clone)
    found: dict[str, Any] = {"device": torch.cuda.get_device_name(), "copy_gb_s": copied / 1e9}
    index = torch.arange(10, device="cuda")[:, None] + torch.arange(11, device="cuda")
    seen = torch.ones(10, 11, side**2, dtype=torch.bool, device="cuda")
    codes_of = {name: model.encoder(name) for name in ("S2_L2A", "S1")}
    images = {
        name: torch.randn(frames, net.front.lift.in_channels, side + 14, side + 14, device="cuda")
        for name, net in codes_of.items()
    }

    def embed() -> None:
        codes = {}
        for name, net in codes_of.items():
            token, offset = net.tokens(images[name]), 5.0 * (index - index[:, 5:6])
            mixed = net.mixing(token[index[:, 5]], *net.mixing.keys_values(token), seen, index, offset)
            codes[name] = net.head(mixed).flatten(0, 1)
        model.fusion(codes, {name: torch.zeros(len(code), device="cuda") for name, code in codes.items()})

    for label, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        torch.cuda.reset_peak_memory_stats()
        with torch.inference_mode(), torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
            rate = len(index) * side**2 / _seconds(embed)
        read = 2 * 11 * 128 * dtype.itemsize * rate
        peak = torch.cuda.max_memory_allocated() / 2**30
        found[label] = {"rate": rate, "peak_gib": peak, "share_of_bandwidth": read / copied}
    return found


def _seconds(call: Callable[[], Any]) -> float:
    """The shortest time of a call on the GPU, in s."""
    import torch

    def finished() -> None:
        call()
        torch.cuda.synchronize()

    finished()
    return best(finished)[0]


def limits() -> dict[str, float]:
    """Rates of this machine's processor on one thread, in GFLOP/s, and the multiply-adds of a pixel and date."""
    import torch
    from torch import nn

    from ecoembed.embeddings.encode import load_encoder

    torch.set_num_threads(1)
    image = torch.randn(4, 64, 142, 142).contiguous(memory_format=torch.channels_last)
    conv, square = nn.Conv2d(64, 64, 3), torch.randn(1536, 1536)
    with torch.inference_mode():
        conv(image)
        rates = {
            "convolution": 2 * 4 * 140**2 * 64 * 64 * 9 / best(lambda: conv(image), 20)[1] / 1e9,
            "matmul": 2 * 1536**3 / best(lambda: square @ square, 20)[1] / 1e9,
        }
    model, macs = load_encoder().model, 0
    for part in (model.encoder("S2_L2A"), model.encoder("S1"), model.fusion):
        for name, layer in part.named_modules():
            # the codes of days are computed once a date, the way back to the codes only in training, errors if asked
            if isinstance(layer, (nn.Linear, nn.Conv2d)) and not name.startswith(("mixing.day", "back", "error")):
                macs += layer.weight.numel()
    macs += 2 * 2 * 2 * 11 * 64  # attention: values and their days, keys and values, of both sensors
    return {**rates, "mflop_per_pixel_date": 2 * macs / 1e6}


def reference(store: Path) -> dict[str, float]:
    """The reference encoder with random weights on a window of the store, dates that have a whole window."""
    import numpy as np

    from ecoembed.cubes.store import load_cube
    from ecoembed.embeddings.reference.encode import ReferenceEncoder
    from ecoembed.embeddings.reference.model import random_reference

    side = int(REFERENCE_PIXELS**0.5)
    s2, s1 = (
        load_cube(store, name, lazy=True)[:12, :, :side, :side].compute().fillna(0.3) for name in ("S2_L2A", "S1")
    )
    encoder = ReferenceEncoder(random_reference(0, "time"))
    found: list[int] = []
    wall, cpu = best(lambda: found.append(int(np.isfinite(encoder.encode(s2, s1).values[:, 0]).sum())))
    return {"pixel_dates": found[0], "wall_s": wall, "cpu_s": cpu}


def latency(store: Path, out: Path) -> dict[str, float]:
    """`ecoembed embed` of a site, as a process."""
    times = []
    for _ in range(ROUNDS):
        wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "ecoembed", "embed", str(store), "--out", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        times.append((time.perf_counter() - wall, cpu))
    return {"wall_s": min(w for w, _ in times), "cpu_s": min(c for _, c in times)}


def in_a_process(*arguments: object) -> dict[str, float]:
    """One of the measurements, in a process of its own."""
    command = [sys.executable, __file__, "--measure", *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def measure(folder: Path) -> dict[str, Any]:
    """Everything, with the ratios."""
    cores = os.cpu_count() or 1
    about = conditions("torch", "numpy", "xarray", "zarr", "dask", seed=SEED, rounds=ROUNDS)
    results: dict[str, Any] = {"conditions": about}
    stores = {size: folder / "{}x{}.zarr".format(*size) for size in (*CUBES, SITE)}
    for size, store in stores.items():
        in_a_process("make_store", store, *size)
    results["limits"] = limit = in_a_process("limits")
    rows = []
    for size in CUBES:
        rounds = ROUNDS if size == CUBES[0] else 1
        answer = in_a_process("stream", stores[size], folder / "z.zarr", rounds)
        row = {"side_px": size[0], "dates": size[1], "rounds": rounds, **answer}
        row["rate_wall"] = row["pixel_dates"] / row["wall_s"]
        row["rate_cpu"] = row["pixel_dates"] / row["cpu_s"] * cores
        done = row["rate_cpu"] * limit["mflop_per_pixel_date"] / 1e3 / cores
        row |= {f"share_of_{name}": done / limit[name] for name in ("convolution", "matmul")}
        rows.append(row)
        print(
            f"  {size[0]} px, {size[1]} dates: {row['rate_wall']:,.0f} pixel-dates/s, {row['rate_cpu']:,.0f} by ",
            end="",
        )
        print(
            f"processor time ({row['share_of_convolution']:.0%} of convolutions), {row['peak_gib']:.2f} GiB", flush=True
        )
    results["stream"] = rows
    if rows[-1]["peak_gib"] > MEMORY_GIB:
        print(f"  FAILED: {CUBES[-1][0]} px took more than {MEMORY_GIB:g} GiB")
    results["any_date"] = some = in_a_process("stream", stores[CUBES[0]], folder / "z.zarr", ROUNDS, DATES)
    some |= {"rate_wall": some["pixel_dates"] / some["wall_s"], "rate_cpu": some["pixel_dates"] / some["cpu_s"] * cores}
    print("  any date: {rate_wall:,.0f} pixel-dates/s, {rate_cpu:,.0f} by processor time".format(**some), flush=True)
    results["gpu"] = in_a_process("gpu")
    print(f"  GPU: {results['gpu']}", flush=True)
    results["reference"] = slow = in_a_process("reference", stores[CUBES[0]])
    slow["rate_wall"] = slow["pixel_dates"] / slow["wall_s"]
    slow["rate_cpu"] = slow["pixel_dates"] / slow["cpu_s"] * cores
    results["ratio"] = {clock: rows[0][f"rate_{clock}"] / slow[f"rate_{clock}"] for clock in ("wall", "cpu")}
    print(f"  reference: {slow['rate_wall']:.1f} pixel-dates/s, {slow['rate_cpu']:.1f} by processor time; ", end="")
    print("ratio {wall:,.0f}, {cpu:,.0f} by processor time".format(**results["ratio"]), flush=True)
    results["latency"] = latency(stores[SITE], folder / "site.zarr")
    print("  one site: {wall_s:.1f} s, {cpu_s:.1f} s of processor time".format(**results["latency"]), flush=True)
    return results


def main(arguments: list[str]) -> int:
    """0, or 2 where the arguments are not understood, or the disk is too small."""
    if arguments[:1] == ["--measure"]:
        name, *given = arguments[1:]
        paths, numbers = [Path(g) for g in given if not g.isdigit()], [int(g) for g in given if g.isdigit()]
        steps: list[Callable[..., Any]] = [make_store, limits, stream, reference, gpu]
        print(json.dumps(next(step for step in steps if step.__name__ == name)(*paths, *numbers)))
        return 0
    if arguments not in ([], ["--write"]):
        print(__doc__)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        if shutil.disk_usage(folder).free < DISK:
            print(f"{folder}: less than {DISK / 1e9:g} GB free; set TMPDIR to a larger disk")
            return 2
        results = measure(Path(folder))
    if arguments:
        from ecoembed.files import write_json

        RESULT.parent.mkdir(parents=True, exist_ok=True)
        write_json(RESULT, rounded(results))
    return 0


def rounded(value: Any) -> Any:
    """Numbers to four digits."""
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
