"""Regenerate every committed result from its protocol and the real inputs; exit with 1 if one differs.

    python evaluation/reproduce.py [NAME ...]            # compare all, or those of these protocols
    python evaluation/reproduce.py --quick               # those that take seconds
    python evaluation/reproduce.py --write [NAME ...]    # replace the committed results

The real inputs are read from ``ECOEMBED_REAL_DATA`` or ``../shared/real``. What must agree exactly: the scored rows
(hash, counts by reason), the columns, the folds, the seed, the rows of every table. Numbers may differ as `TABLES`
says, the noise that another platform's LightGBM or BLAS adds; on one machine the difference is zero.
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

#: Of each table what names a row, and how far a column may differ, in its own unit or, above 1, as a share. The r2 of
#: one site is not compared: where the target hardly varies it is noise.
TABLES: dict[str, tuple[list[str], dict[str, float]]] = {
    "scores": (["features", "regressor", "days"], {"r2": 0.002, "median_site_r2": 0.02, "rmse": 0.01, "bias": 0.01}),
    "site_scores": (["features", "regressor", "days", "site"], {"rmse": 0.1, "bias": 0.1}),
    "group_scores": (["features", "regressor", "days", "by", "group"], {"rmse": 0.1, "bias": 0.1}),
    "comparisons": (
        ["features_a", "regressor_a", "features_b", "regressor_b", "days", "score"],
        {"difference": 0.004, "lower": 0.02, "upper": 0.02},
    ),
    "applicability": (["features", "site"], {"inside": 0.1}),
    "importance": (["features", "regressor", "group", "kind"], {"value": 0.05}),
    "partial": (["features", "regressor", "column", "quantile"], {"value": 0.05}),
    "folds": ([], {}),  # all columns name a row
    "choices": (["fold", "held_out"], {"inner_r2": 0.01}),
    "truth": (["features", "regressor"], {"r2": 0.002, "rmse": 0.01}),
}


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
    kinds = {".csv", ".json"}
    old_names, names = ({p.name for p in folder.iterdir() if p.suffix in kinds} for folder in (committed, fresh))
    if old_names != names:
        return [f"{name}: {'not committed' if name in names else 'not made any more'}" for name in old_names ^ names]
    old, new = (json.loads((f / "benchmark.json").read_text(encoding="utf-8")) for f in (committed, fresh))
    changed = [k for k in EXACT if old.get(k) != new[k]]
    found = [f"{k}: {str(old.get(k))[:200]} != {str(new[k])[:200]}" for k in changed]
    for name in sorted(names - {"benchmark.json"}):
        found += _table_differences(*(pd.read_csv(folder / name) for folder in (committed, fresh)), name)
    return found


def _table_differences(old: pd.DataFrame, new: pd.DataFrame, name: str) -> list[str]:
    keys, limits = TABLES[name.removesuffix(".csv")]
    if list(old.columns) != list(new.columns):
        return [f"{name}: other columns"]
    old, new = (table.set_index(keys or list(table.columns)).sort_index() for table in (old, new))
    counts = [table["n"] if "n" in table and "by" not in keys else table.index for table in (old, new)]
    if not old.index.equals(new.index) or not counts[0].equals(counts[1]):
        return [f"{name}: other rows or other n"]
    found = []
    for column, limit in limits.items():
        gap = (old[column] - new[column]).abs() / old[column].abs().clip(lower=1)
        gap = gap.mask(old[column].isna() != new[column].isna(), float("inf")).fillna(0).to_numpy()
        if gap.max(initial=0) > limit:
            i = gap.argmax()
            values = f"{old[column].iloc[i]} != {new[column].iloc[i]} (+- {limit})"
            found.append(f"{name}, {old.index[i]}: {column} {values}")
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
