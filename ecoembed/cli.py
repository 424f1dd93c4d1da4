"""The command line: thin commands over the public API; nothing heavy is imported before a command runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from ecoembed._version import __version__
from ecoembed.errors import EcoembedError, FileError

if TYPE_CHECKING:
    import xarray as xr

    from ecoembed.validation.run import Benchmark

app = App(
    name="ecoembed",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    help="GPP at flux sites a model has never seen, from footprint-weighted satellite embeddings.",
)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the answer as JSON on standard output.")]


def _answer(value: dict[str, Any], as_json: bool, *lines: str) -> None:
    """Print the answer: JSON for a program, lines for a person."""
    print(json.dumps(value, indent=2, default=str) if as_json else "\n".join(lines))


def _score_table(result: Benchmark) -> None:
    """The pooled scores as a table, the best first."""
    from rich.console import Console
    from rich.table import Table

    scores, units = result.scores, result.record["units"]
    table = Table(title=f"pooled scores, {scores['label'].iloc[0]} (rmse and bias: {units})")
    columns = ["features", "regressor", "n", "sites", "r2", "rmse", "bias"]
    for name in columns:
        table.add_column(name, justify="left" if name in ("features", "regressor") else "right")
    for row in scores.sort_values("r2", ascending=False)[columns].itertuples(index=False):
        table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row))
    Console().print(table)


@app.command
def run(study: Path | None = None, /, *, scheduler: str = "threads", as_json: Json = False) -> int:
    """Run a study: cubes, embeddings, footprint series and the benchmark; only what is missing.

    Without STUDY, the embedded virtual flux network is written to ./ecoembed-demo and run.

    Example: ecoembed run my-study --scheduler local

    Parameters
    ----------
    study
        Folder with study.toml, sites.csv, flux/ and satellite/SITE/.
    scheduler
        threads, local (processes) or tcp://HOST:PORT (a Dask scheduler).
    """
    from ecoembed.study import open_study

    if study is None:
        from ecoembed.virtual.network import write_network

        study = Path("ecoembed-demo")
        if not (study / "study.toml").is_file():
            print(f"Writing the embedded virtual flux network to {study} (no site of it is real) ...", file=sys.stderr)
            write_network(study)
    outcome = open_study(study).run(scheduler)
    value = {
        "report": outcome.report,
        "scores": outcome.benchmark.scores.to_dict("records"),
        "failures": outcome.failures,
        "fallbacks": outcome.fallbacks,
    }
    if not as_json:
        _score_table(outcome.benchmark)
    for site, reason in outcome.fallbacks.items():
        print(f"DISC INSTEAD OF FOOTPRINT {site}: {reason}", file=sys.stderr)
    for site, error in outcome.failures.items():
        print(f"FAILED {site}: {error}", file=sys.stderr)
    _answer(value, as_json, f"Report: {outcome.report}")
    return 1 if outcome.failures else 0


@app.command
def flux(path: Path, /, *, target: str = "GPP_NT_VUT_REF", min_qc: float = 0.75, as_json: Json = False) -> None:
    """Check a tower's daily file and say what it holds and which rows are lost.

    Example: ecoembed flux FLX_DE-Gri_FLUXNET2015_FULLSET_2004-2014_1-4.zip --target GPP_DT_VUT_REF

    Parameters
    ----------
    path
        FLUXNET2015/ONEFlux FULLSET or SUBSET daily CSV, or the zip that holds it.
    target
        The flux to read, by its FLUXNET name.
    min_qc
        Least share of measured or good-quality half-hours of a day.
    """
    from ecoembed.archives.fluxnet import open_flux

    table = open_flux(path, target, min_qc)
    values = table[target]
    value = {
        "site": table.attrs["site"],
        "target": target,
        "units": values.attrs["units"],
        "first": str(table.indexes["time"][0].date()),
        "last": str(table.indexes["time"][-1].date()),
        "mean": float(values.mean()),
        "rows": table.attrs["rows"],
        "variables": {str(n): v.attrs["units"] for n, v in table.data_vars.items()},
    }
    rows = [f"  {count:>7}  {reason}" for reason, count in table.attrs["rows"].items()]
    period, mean = f"{value['first']} to {value['last']}", f"{value['mean']:.2f} {value['units']}"
    head = f"{value['site']}  {target}  {period}  mean of the kept days {mean}"
    _answer(value, as_json, head, "rows:", *rows, "variables: " + ", ".join(value["variables"]))


@app.command
def cube(place: Path, /, *, out: Path, site: str | None = None, as_json: Json = False) -> None:
    """Build the 10 m cubes of one place from its Sentinel-2 and Sentinel-1 files, as one Zarr store.

    Example: ecoembed cube satellite/DE-Gri --out cubes/DE-Gri.zarr

    Parameters
    ----------
    place
        Folder with the NetCDF files of one place: Sentinel-2 10 m and 20 m, Sentinel-1.
    out
        The Zarr store to write: groups S2_L2A and S1.
    site
        Name of the place; by default that of the store.
    """
    from ecoembed.stages import write_cubes

    s2, s1 = write_cubes(place, out, site or out.stem)
    value = {
        "store": out,
        **{c.attrs["sensor"]: {**{str(k): v for k, v in c.sizes.items()}, "units": c.attrs["units"]} for c in (s2, s1)},
    }
    _answer(value, as_json, *map(_cube_line, (s2, s1)), f"Cubes: {out}")


def _cube_line(cube: xr.DataArray) -> str:
    """What a cube holds, in words."""
    n, bands, height, width = cube.shape
    unit = "reflectance 0-1" if cube.attrs["units"] == "1" else cube.attrs["units"]
    first, last = (str(cube["time"].values[i])[:10] for i in (0, -1))
    dropped = f", {cube.attrs['dates_dropped']} more dropped as cloudy" if cube.attrs.get("dates_dropped") else ""
    return (
        f"{cube.attrs['sensor']}: {n} dates{dropped}, {bands} bands, {height} x {width} px, {unit}, {first} to {last}"
    )


@app.command
def pretrain(
    cubes: list[Path],
    /,
    *,
    out: Path,
    steps: int = 1500,
    validation: int | None = None,
    seed: int = 0,
    as_json: Json = False,
) -> None:
    """Train both stages of the embedding model on cubes and write one weights file.

    Example: ecoembed pretrain cubes/*.zarr --out mine.safetensors --steps 3000

    Parameters
    ----------
    cubes
        Zarr stores written by `ecoembed cube`, one for each place.
    out
        The safetensors file to write.
    steps
        Steps of each of the three trainings: S1 alone, S2 alone, fusion.
    validation
        Places held out for the error that the card reports; one in five by default.
    seed
        Seed of every draw.
    """
    from ecoembed.embeddings.pretrain import pretrain as train
    from ecoembed.embeddings.weights import read_weights

    path = train(cubes, out, steps=steps, validation=validation, seed=seed)
    card = read_weights(path)[1]
    lines = [
        f"{label}: centre-pixel MAE "
        + ", ".join(f"{name} S2 {mae['S2']:.4f} S1 {mae['S1']:.4f}" for name, mae in score["centre_mae"].items())
        for label, score in card.scores.items()
        if label.endswith("-place")
    ]
    lines.append(f"(mean absolute error; {card.scores['unit']})")
    _answer({"weights": path, "card": card.model_dump()}, as_json, *lines, f"Weights: {path}")


@app.command
def embed(
    cubes: Path,
    /,
    *,
    out: Path,
    weights: str = "default",
    window: Literal["centred", "causal"] = "centred",
    as_json: Json = False,
) -> None:
    """Embed every pixel of a place at every cloud-free Sentinel-2 date.

    Example: ecoembed embed cubes/DE-Gri.zarr --out embeddings/DE-Gri.zarr --window causal

    Parameters
    ----------
    cubes
        Zarr store with the groups S2_L2A and S1.
    out
        The Zarr store to write: group embeddings, bands z1..z7.
    weights
        default, random, or a weights file.
    window
        centred (five acquisitions before and after each date) or causal (ten before, none after).
    """
    from ecoembed.cubes.store import load_cube, save_cubes
    from ecoembed.embeddings.encode import load_encoder

    encoder = load_encoder(weights)
    z = encoder.encode(load_cube(cubes, "S2_L2A"), load_cube(cubes, "S1"), window=window)
    save_cubes({"embeddings": z}, out)
    value = {"store": out, "weights": encoder.weights, "window": window, **{str(k): v for k, v in z.sizes.items()}}
    shape = f"{z.sizes['time']} dates, {z.sizes['band']} dimensions, {z.sizes['y']} x {z.sizes['x']} px"
    _answer(value, as_json, f"{shape}, {window} window, weights {encoder.weights}", f"Embeddings: {out}")


@app.command
def extract(
    cube: Path,
    /,
    *,
    out: Path,
    group: str = "S2_L2A",
    sites: Path,
    site: str,
    flux: Path | None = None,
    radius: float = 100.0,
    as_json: Json = False,
) -> None:
    """Extract a tower's footprint series from any cube, as CSV.

    Example: ecoembed extract cubes/DE-Gri.zarr --sites sites.csv --site DE-Gri --flux flux/DE-Gri.zip --out bands.csv

    Parameters
    ----------
    cube
        Zarr store.
    out
        The CSV to write: time (UTC), one column for each band, coverage.
    group
        Which cube of the store: S2_L2A, S1 or embeddings.
    sites
        Site table with coordinates and heights.
    site
        The tower.
    flux
        Its half-hourly FULLSET file, for the footprint climatology; without it a disc of `radius` is used.
    radius
        Radius in m of the disc.
    """
    from ecoembed.archives.sites import read_sites
    from ecoembed.cubes.store import load_cube
    from ecoembed.files import atomic
    from ecoembed.footprints.extract import extract as through
    from ecoembed.stages import tower_footprint

    for path in (cube, sites, flux):
        if path is not None and path.resolve() == out.resolve():
            raise FileError("the output is one of the inputs", where=out, remedy="Name another file with --out")
    source = load_cube(cube, group)
    weights = tower_footprint(site, read_sites(sites), source, flux, radius)
    series = through(source, weights)
    table = series["value"].to_pandas().assign(coverage=series["coverage"].values)
    with atomic(out) as temporary:
        table.to_csv(temporary, index_label="time")
    value = {"series": out, "dates": len(table), "footprint": weights.attrs}
    if "fallback" in weights.attrs:
        print(f"disc instead of footprint: {weights.attrs['fallback']}", file=sys.stderr)
    method = f"{weights.attrs['method']}; {weights.attrs['inside']:.1%} of it inside the cube"
    _answer(value, as_json, f"{len(table)} dates through {method}", f"Series: {out}")


@app.command
def benchmark(table: Path, /, *, config: Path, out: Path, as_json: Json = False) -> None:
    """Benchmark feature sets of your own table (CSV or Parquet) at unseen sites.

    Example: ecoembed benchmark table.csv --config benchmark.toml --out results

    Parameters
    ----------
    table
        One row for each site and day.
    config
        TOML that names the target, site and date columns, and the columns of each feature set.
    out
        Folder for predictions, scores and report.html.
    """
    from ecoembed.validation.config import read_benchmark_config
    from ecoembed.validation.run import benchmark as compare
    from ecoembed.validation.save import refuse_foreign

    refuse_foreign(out)
    result = compare(table, **read_benchmark_config(config))
    result.save(out)
    if not as_json:
        _score_table(result)
    report = out / "report.html"
    _answer({"report": report, "scores": result.scores.to_dict("records")}, as_json, f"Report: {report}")


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit code 0, 1 when sites failed, 2 on any error that the user can act on."""
    try:
        code = app(arguments, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        sys.exit(2)
    except EcoembedError as error:
        print(f"ecoembed: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("ecoembed: interrupted; what was finished is kept, run again to continue", file=sys.stderr)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
