"""Commands over a whole study, and over a user's own table."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ecoembed.cli.app import Json, Several, answer, app

if TYPE_CHECKING:
    from ecoembed.archives.stac import Plan
    from ecoembed.validation.run import Benchmark


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
    from ecoembed.gpp.rows import describe_rows
    from ecoembed.study import open_study
    from ecoembed.validation.ownsite import describe_own

    if study is None:
        from ecoembed.virtual.network import write_network

        study = Path("ecoembed-demo")
        if not (study / "study.toml").is_file():
            print(f"Writing the embedded virtual flux network to {study} (no site of it is real) ...", file=sys.stderr)
            write_network(study)
    outcome = open_study(study).run(scheduler)
    account = outcome.benchmark.record["feature_table"]["flux"]
    value = {
        "report": outcome.report,
        "scores": outcome.benchmark.scores.to_dict("records"),
        "failures": outcome.failures,
        "fallbacks": outcome.fallbacks,
        "foreign": outcome.foreign,
        "flux": account,
        "own_sites": outcome.benchmark.record.get("own_sites", []),
    }
    if not as_json:
        for site, about in account.items():
            kept = f", {about['negative']} of these below zero" if about["negative"] else ""
            print(f"{site} {about['target']} ({about['product']}): {describe_rows(about['rows'], 'days')}{kept}")
        _score_table(outcome.benchmark)
        for own in outcome.benchmark.record.get("own_sites", ()):
            print(*describe_own(own, outcome.benchmark.record["units"]), sep="\n")
    for name, reason in outcome.foreign.items():
        print(f"OF NO SITE flux/{name}: {reason}", file=sys.stderr)
    for site, reason in outcome.fallbacks.items():
        print(f"DISC INSTEAD OF FOOTPRINT {site}: {reason}", file=sys.stderr)
    for site, error in outcome.failures.items():
        print(f"FAILED {site}: {error}", file=sys.stderr)
    answer(value, as_json, f"Report: {outcome.report}")
    return 1 if outcome.failures else 0


@app.command
def fetch(
    study: Path,
    /,
    *,
    sites: Annotated[list[str] | None, Several] = None,
    plan: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> int:
    """Fetch the Sentinel-2 and Sentinel-1 images of a study's towers into satellite/SITE/; only what is missing.

    Which archive, which days and how many pixels: [satellite] in study.toml; by default the days of the tower's fluxes
    and 120 before. Needs pip install 'ecoembed[cloud]'.

    Example: ecoembed fetch my-study --plan

    Parameters
    ----------
    study
        Folder with study.toml, sites.csv and flux/.
    sites
        Only these sites.
    plan
        Search and estimate only; fetch nothing.
    """
    from ecoembed.errors import EcoembedError
    from ecoembed.fetching import download
    from ecoembed.study import open_study

    plans, failures = {}, {}
    for site, found in open_study(study).plan_fetch(sites):
        if isinstance(found, EcoembedError):
            failures[site] = f"{type(found).__name__}: {found}"
            continue
        plans[site] = found
        for part in found:
            print(part.summary(), file=sys.stderr)
    if any(part.missing for parts in plans.values() for part in parts):
        print(_whole_plan([part for parts in plans.values() for part in parts]), file=sys.stderr)
    value: dict[str, object] = {}
    lines, to_repeat = [], False
    for site, parts in plans.items():
        missing = [scene.file for part in parts for scene in part.missing]
        value[site] = {"missing": missing, "bytes": sum(part.bytes for part in parts)}
        if plan:
            lines.append(f"{site}: {len(missing)} to fetch")
            continue
        done = download(parts)
        value[site] = asdict(done)
        failures |= {f"{site} {item}": reason for item, reason in done.failed.items()}
        to_repeat |= bool(done.failed)
        lines.append(
            f"{site}: {len(done.written)} fetched, {len(done.already)} here already, {len(done.failed)} failed"
        )
    for name, reason in failures.items():
        print(f"FAILED {name}: {reason}", file=sys.stderr)
    if to_repeat:
        print("Run it again: only what failed is asked for", file=sys.stderr)
    if as_json or lines:
        answer({"sites": value, "failures": failures}, as_json, *lines)
    return 1 if failures else 0


def _whole_plan(plans: list[Plan]) -> str:
    """What all sites together take."""
    from ecoembed.archives.stac.estimate import readable

    n, read, minutes = (
        sum(values)
        for values in zip(*((len(part.missing), part.bytes, part.seconds() / 60) for part in plans), strict=True)
    )
    return f"In all: {n} to fetch, at most {readable(read)}, about {max(minutes, 0.1):.1f} min (estimates)"


@app.command
def benchmark(
    table: Path,
    /,
    *,
    config: Path,
    out: Path,
    sites: Annotated[list[Path] | None, Several] = None,
    as_json: Json = False,
) -> None:
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
    sites
        Tables of sites (BADM, a catalogue, a CSV) that tell what your table does not: position, vegetation, climate.
    """
    from ecoembed.archives.sites.reader import read_sites
    from ecoembed.validation.config import read_benchmark_config
    from ecoembed.validation.run import benchmark as compare
    from ecoembed.validation.save import refuse_foreign

    refuse_foreign(out)
    result = compare(table, **read_benchmark_config(config, sites))
    named = f" --sites {' '.join(path.name for path in sites)}" if sites else ""
    known = read_sites(sites) if sites else None
    result.save(
        out, sites=known, command=f"ecoembed benchmark {table.name} --config {config.name} --out {out.name}{named}"
    )
    if not as_json:
        _score_table(result)
    report = out / "report.html"
    answer({"report": report, "scores": result.scores.to_dict("records")}, as_json, f"Report: {report}")


def _score_table(result: Benchmark) -> None:
    """The pooled scores as a table, the best first."""
    from rich.console import Console
    from rich.table import Table

    scores, units = result.scores, result.record["units"]
    what = "rmse, bias and the intervals' width" if "width" in scores else "rmse and bias"
    table = Table(title=f"pooled scores, {scores['label'].iloc[0]} ({what}: {units})")
    columns = ["features", "regressor", "n", "sites", "r2", "rmse", "bias"]
    columns += [name for name in ("coverage", "width") if name in scores]  # of the intervals
    for name in columns:
        table.add_column(name, justify="left" if name in ("features", "regressor") else "right")
    for row in scores.sort_values("r2", ascending=False)[columns].itertuples(index=False):
        table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row))
    Console().print(table)
