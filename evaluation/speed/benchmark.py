"""How long leave-site-out of LightGBM takes at 150 towers, against the plain loop over the same folds in the same run.

    python evaluation/speed/benchmark.py [--sites 15] [--write]

The plain loop fits ``LGBMRegressor(**params, n_jobs=2)`` to the training rows of one fold after another. Ours is
`predict_held_out`: the same estimators on one thread each, folds side by side. The predictions must be the same to the
last bit. More figures:

- everything else: what of the processor time of the whole `benchmark` (reading, audit, folds, scores, ...) is not spent
  in the fits;
- binned once: LightGBM sorts each column into bins before it fits. Bins of the whole table, made once, would save that
  in every fold, but their thresholds are quantiles that the held-out tower's days have a part in: other predictions,
  and a look at the test rows. What it would save and change is stated here; it is not done;
- the memory of windows of 90 days at all towers;
- whole commands: `ecoembed benchmark` from the table to the report, for each protocol of all 150 towers.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from machine import conditions

from ecoembed import benchmark
from ecoembed.files import write_json
from ecoembed.gpp.regressors import make_regressor
from ecoembed.gpp.windows import make_windows
from ecoembed.validation.predict import predict_held_out
from ecoembed.validation.samples import Asked, Samples, make_samples
from ecoembed.validation.splits.protocols import Fold, Folds, make_folds

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("ECOEMBED_REAL_DATA", ROOT.parent / "shared" / "real"))
TABLE = REAL / "tables" / "fluxnet2015_daily_150sites.parquet"
RESULT = ROOT / "evaluation" / "results" / "speed" / "benchmark.json"
METEO = ["TA", "SW_IN", "VPD"]
PROTOCOL = "leave-site-out"
BINNED_FOLDS = 10
SITES = (REAL / "sites" / "FLX_AA-Flx_BIF_LATEST.xlsx", ROOT / "evaluation" / "fluxnet2015_renamed_sites.csv")

#: gC m-2 d-1 by which a prediction may differ: two threads add sums in another order than one.
SAME = 1e-9


def plain_loop(samples: Samples, folds: list[Fold]) -> tuple[np.ndarray, float]:
    """Predictions and wall-clock seconds of one fit after another, two threads each."""
    X, y, predicted = samples.features["meteo"], samples.observed, np.empty(len(samples.observed))
    start = time.perf_counter()
    for train, test in folds:
        model = lightgbm.LGBMRegressor(**_parameters(int(train.sum())) | {"n_jobs": 2})
        predicted[test] = model.fit(X[train], y[train]).predict(X[test])
    return predicted, time.perf_counter() - start


def ours(samples: Samples, folds: Folds) -> tuple[np.ndarray, float]:
    """The same by `predict_held_out`."""
    start = time.perf_counter()
    table = predict_held_out(samples, {"meteo": {"lightgbm": "lightgbm"}}, folds, 0, False).table
    return table["predicted"].to_numpy(), time.perf_counter() - start


def whole_protocol(table: pd.DataFrame) -> tuple[float, float]:
    """Processor seconds of `benchmark` from the table to the scores, and the share of them outside of fits."""

    def run(rows: pd.DataFrame) -> None:
        benchmark(rows, "GPP_NT", "SITE_ID", "DATE", {"meteo": METEO}, ["lightgbm"], PROTOCOL, progress=False)

    run(table[table["SITE_ID"].isin(table["SITE_ID"].unique()[:3])])  # what is imported late is no part of it
    with _fits_timed() as fits:
        start = time.process_time()
        run(table)
        total = time.process_time() - start
    return total, 1 - sum(fits) / total


@contextmanager
def _fits_timed() -> Iterator[list[float]]:
    """The processor seconds of each fit of LightGBM on one thread."""
    spent: list[float] = []
    lock, plain = threading.Lock(), lightgbm.LGBMRegressor.fit

    def timed(self: Any, *arguments: Any, **more: Any) -> Any:
        start = time.thread_time()
        try:
            return plain(self, *arguments, **more)
        finally:
            with lock:
                spent.append(time.thread_time() - start)

    lightgbm.LGBMRegressor.fit = timed
    try:
        yield spent
    finally:
        lightgbm.LGBMRegressor.fit = plain


def binned_once(samples: Samples, folds: list[Fold], predicted: np.ndarray) -> dict[str, float]:
    """What bins of the whole table would save, and by how much predictions would change, in some folds."""
    X, y = samples.features["meteo"], samples.observed
    some = folds[:: max(1, len(folds) // BINNED_FOLDS)]
    parameters = _parameters(int(some[0].train.sum()))
    rounds = parameters.pop("n_estimators")
    asked = {k: v for k, v in parameters.items() if v is not None} | {"objective": "regression", "n_jobs": 1}
    whole = lightgbm.Dataset(X, y, params=asked, free_raw_data=False).construct()
    binning = fitting = 0.0
    changes, tests = [], []
    for train, test in some:
        start = time.process_time()
        lightgbm.Dataset(X[train], y[train], params=asked).construct()
        binned = time.process_time()
        lightgbm.LGBMRegressor(**_parameters(int(train.sum()))).fit(X[train], y[train])
        binning, fitting = binning + binned - start, fitting + time.process_time() - binned
        model = lightgbm.train(asked, whole.subset(np.flatnonzero(train)), rounds)
        changes.append(np.asarray(model.predict(X[test])) - predicted[test])
        tests.append(test)
    change, rows = np.concatenate(changes), np.concatenate(tests)
    before, after = (_r2(y[rows], values) for values in (predicted[rows], predicted[rows] + change))
    return {
        "folds": len(some),
        "share of a fit that is binning": round(binning / fitting, 3),
        "root mean square change of predictions": float(np.sqrt(np.mean(change**2))),
        "largest change of a prediction": float(np.abs(change).max()),
        "change of r2": after - before,
    }


def windows_memory(table: pd.DataFrame, length: int = 90) -> dict[str, float]:
    """Bytes of windows at all towers, and of the matrix that they stand for."""
    site, date = table["SITE_ID"].to_numpy(), pd.DatetimeIndex(table["DATE"])
    start = time.process_time()
    windows, whole = make_windows(site, date, table[METEO].to_numpy(), np.ones(len(table), dtype=bool), length)
    seconds = time.process_time() - start
    matrix = int(whole.sum()) * windows.shape[1] * 4
    return {
        "days of a window": length,
        "windows": int(whole.sum()),
        "bytes": windows.nbytes,
        "bytes of a copy": matrix,
        "ratio": round(matrix / windows.nbytes, 1),
        "processor seconds": round(seconds, 2),
    }


def whole_commands() -> dict[str, dict[str, float]]:
    """Wall-clock and processor seconds of `ecoembed benchmark` for each protocol of the 150 towers."""
    spent = {}
    for config in sorted((ROOT / "evaluation" / "protocols").glob("fluxnet2015_meteo_150sites*.toml")):
        with tempfile.TemporaryDirectory() as folder:
            asked = [TABLE, "--config", config, "--out", Path(folder) / "out", "--sites", *SITES]
            start, before = time.perf_counter(), os.times()
            command = [sys.executable, "-W", "ignore", "-m", "ecoembed", "benchmark", *map(str, asked)]
            subprocess.run(command, check=True, capture_output=True)
            seconds, after = time.perf_counter() - start, os.times()
        processor = after.children_user + after.children_system - before.children_user - before.children_system
        spent[config.stem] = {"seconds": round(seconds, 1), "processor seconds": round(processor, 1)}
    return spent


def _parameters(rows: int) -> dict[str, Any]:
    return dict(make_regressor("lightgbm", n_samples=rows).get_params())


def _r2(observed: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - np.sum((observed - predicted) ** 2) / np.sum((observed - observed.mean()) ** 2))


def measure(table: pd.DataFrame) -> dict[str, Any]:
    """All figures, on one machine in one run."""
    samples = make_samples(table, Asked("GPP_NT", "SITE_ID", "DATE", {"meteo": METEO}))
    folds = make_folds(PROTOCOL, samples)
    ours(samples, Folds(**vars(folds) | {"folds": folds.folds[:2], "held_out": folds.held_out[:2]}))  # warm up
    plain, loop_seconds = plain_loop(samples, folds.folds)
    own, seconds = ours(samples, folds)
    apart = float(np.abs(plain - own).max())
    if apart > SAME:
        raise SystemExit(f"the predictions differ, by up to {apart:g}")
    total, elsewhere = whole_protocol(table)
    return {
        "sites": len(samples.places),
        "rows": len(samples.observed),
        "seconds of the plain loop": round(loop_seconds, 1),
        "seconds of ours": round(seconds, 1),
        "ratio": round(loop_seconds / seconds, 2),
        "largest difference of a prediction": apart,
        "processor seconds of the whole protocol": round(total, 1),
        "share of it outside of fits": round(elsewhere, 3),
        "binned once": binned_once(samples, folds.folds, plain),
        "windows": windows_memory(table),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=int, help="of the 150 only so many: a trial, not to be written")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    if asked.sites and asked.write:
        parser.error("--write is for all sites")
    table = pd.read_parquet(TABLE)
    if asked.sites:
        table = table[table["SITE_ID"].isin(sorted(table["SITE_ID"].unique())[: asked.sites])]
    machine = conditions("lightgbm", "numpy", "scikit-learn")
    result = {"machine": machine, **measure(table)}
    if not asked.sites:
        result["whole commands"] = whole_commands()
    if asked.write:
        write_json(RESULT, result)
    for name, value in result.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
