"""Regenerate every committed result from its protocol and the real inputs; exit with 1 if one differs.

    python evaluation/reproduce.py [NAME ...]            # compare all, or those of these protocols
    python evaluation/reproduce.py --quick               # those that take seconds
    python evaluation/reproduce.py --write [NAME ...]    # replace the committed results

The real inputs are read from ``ECOEMBED_REAL_DATA`` or ``../shared/real``. What must agree exactly: the scored rows
(hash, counts by reason), the columns, the folds, the seed. Scores may differ by `TOLERANCE`, the noise that another
platform's LightGBM or BLAS adds; on one machine the difference is zero.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import pandas as pd

from ecoembed import benchmark
from ecoembed.errors import EcoembedError
from ecoembed.files import atomic
from ecoembed.validation.config import read_benchmark_config
from ecoembed.validation.save import write_tables

HERE = Path(__file__).resolve().parent
REAL = Path(os.environ.get("ECOEMBED_REAL_DATA", HERE.parents[1] / "shared" / "real"))

#: Protocols that take minutes.
SLOW = ("prithvi_hls_merra2_gpp", "fluxnet2015_windows_30sites", "fluxnet2015_meteo_150sites")

#: What must agree to the letter, of the record.
EXACT = (
    "target", "units", "protocol", "options", "label", "folds", "seed", "features", "window_days", "retrospective",
    "regressors", "quality", "rows", "site_rows", "sites_without_rows", "samples", "leakage",
)  # fmt: skip

#: Largest accepted difference of pooled r2, of the sites' median r2, and of RMSE and bias in the unit of the target
#: (pooled; of one site). The r2 of one site is not compared: where the target hardly varies it is noise.
TOLERANCE = {"r2": 0.002, "median": 0.02, "pooled": 0.01, "site": 0.1}


def compute(protocol: Path, real: Path, folder: Path) -> None:
    """Run one protocol and write its tables into `folder`."""
    table, sites = inputs_of(protocol, real)
    folder.mkdir(parents=True)
    write_tables(benchmark(table, **read_benchmark_config(protocol, sites), progress=False), folder)


def inputs_of(protocol: Path, real: Path) -> tuple[Path, list[Path]]:
    """The table and the tables of sites that a protocol names: real inputs, or files beside this one."""
    told = tomllib.loads(protocol.read_text(encoding="utf-8"))
    if "base" in told:
        told = tomllib.loads((protocol.parent / told["base"]).read_text(encoding="utf-8")) | told
    sites = [HERE / name if (HERE / name).is_file() else real / name for name in told.get("site_table", [])]
    return real / told["table"], sites


def differences(committed: Path, fresh: Path) -> list[str]:
    """What differs by more than the tolerance, in words."""
    absent = [name for name in ("scores.csv", "site_scores.csv", "benchmark.json") if not (committed / name).is_file()]
    if absent:
        return [f"not committed: {', '.join(absent)}"]
    old, new = (json.loads((f / "benchmark.json").read_text(encoding="utf-8")) for f in (committed, fresh))
    changed = [k for k in EXACT if old.get(k) != new[k]]
    found = [f"{k}: {str(old.get(k))[:200]} != {str(new[k])[:200]}" for k in changed]
    limits = {
        "r2": TOLERANCE["r2"], "median_site_r2": TOLERANCE["median"],
        "rmse": TOLERANCE["pooled"], "bias": TOLERANCE["pooled"],
    }  # fmt: skip
    found += _table_differences(committed, fresh, "scores.csv", ["features", "regressor", "days"], limits)
    limits = {"rmse": TOLERANCE["site"], "bias": TOLERANCE["site"]}
    return found + _table_differences(
        committed, fresh, "site_scores.csv", ["features", "regressor", "days", "site"], limits
    )


def _table_differences(committed: Path, fresh: Path, name: str, keys: list[str], limits: dict[str, float]) -> list[str]:
    old, new = (pd.read_csv(folder / name).set_index(keys).sort_index() for folder in (committed, fresh))
    if not old.index.equals(new.index) or not old["n"].equals(new["n"]):
        return [f"{name}: other rows or other n"]
    found = []
    for column, limit in limits.items():
        gap = (old[column] - new[column]).abs().fillna((old[column].isna() != new[column].isna()) * float("inf"))
        if gap.max() > limit:
            worst = gap.idxmax()
            found.append(f"{name}, {worst}: {column} {old.loc[worst, column]} != {new.loc[worst, column]} (+- {limit})")
    return found


def main(arguments: list[str], here: Path = HERE, real: Path = REAL) -> int:
    """0 if every committed result was regenerated (or written), 1 if one differs, 2 if it could not be computed."""
    known = {path.stem: path for path in sorted((here / "protocols").glob("*.toml"))}
    write, names = "--write" in arguments[:1], [name for name in arguments if name != "--write"]
    names = [name for name in known if name not in SLOW] if names == ["--quick"] else names
    if not set(names) <= set(known):
        print(__doc__, "Protocols:", *known, sep="\n  ")
        return 2
    if not real.is_dir():
        print(f"real inputs absent: {real}; set ECOEMBED_REAL_DATA to their folder", file=sys.stderr)
        return 2
    failed = 0
    for protocol in [known[name] for name in names or known]:
        committed = here / "results" / protocol.stem
        start = time.perf_counter()
        try:
            if write:
                with atomic(committed) as temporary:
                    compute(protocol, real, temporary)
                print(f"{protocol.stem}: written")
                continue
            with tempfile.TemporaryDirectory() as folder:
                compute(protocol, real, Path(folder) / "fresh")
                found = differences(committed, Path(folder) / "fresh")
        except EcoembedError as error:
            print(f"{protocol.stem}: {error}", file=sys.stderr)
            return 2
        outcome = f"{'differs' if found else 'the same'} ({time.perf_counter() - start:.0f} s)"
        print(f"{protocol.stem}: {outcome}", *found, sep="\n  ")
        failed += bool(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
