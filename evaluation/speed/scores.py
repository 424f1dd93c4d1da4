"""How long a bootstrap over sites takes, for every score of every family, against a plain loop over pandas groups.

    python evaluation/speed/scores.py [--write]

150 towers, about 370 000 days: GPP of the night-time partitioning is the target, that of the day-time partitioning
stands for a model. 10 000 resamples of the sites are scored at once by all families, from nothing but the predictions;
the plain loop scores a few of the same resamples by two of the families alone (pooled r2, median r2 of the sites), with
`sklearn.metrics.r2_score` over groups that pandas made before. Both must agree.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from machine import conditions
from sklearn.metrics import r2_score

from ecoembed.files import write_json
from ecoembed.validation.samples import Asked, Samples, make_samples
from ecoembed.validation.scores import summarise, summarise_groups, summarise_sites
from ecoembed.validation.scores.families import evaluate
from ecoembed.validation.scores.tables import sums_of

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("ECOEMBED_REAL_DATA", ROOT.parent / "shared" / "real")) / "tables"
TABLE = REAL / "fluxnet2015_daily_150sites.parquet"
RESULT = ROOT / "evaluation" / "results" / "speed" / "scores.json"
RESAMPLES, LOOPED, ROUNDS = 10_000, 5, 3


def inputs() -> tuple[pd.DataFrame, Samples]:
    """Predictions of one model at all towers, and the samples they are of."""
    table = pd.read_parquet(TABLE).dropna(subset=["GPP_NT", "GPP_DT"])
    places: dict[str, str | float] = {"latitude": "LAT", "longitude": "LON"}
    asked = Asked("GPP_NT", "SITE_ID", "DATE", {"meteo": ["VPD"]}, places, variants=["GPP_DT"])
    samples = make_samples(table, asked)
    columns = {"site": samples.site, "date": samples.date, "features": "GPP_DT", "regressor": "none"}
    return pd.DataFrame({**columns, "observed": samples.observed, "predicted": samples.variants["GPP_DT"]}), samples


def bootstrap(predictions: pd.DataFrame, samples: Samples, drawn: np.ndarray) -> dict[str, np.ndarray]:
    """Every score of every resample."""
    (_, _, _, sums), *_ = sums_of(predictions, samples)
    return evaluate(sums, drawn)


def plain(groups: list[pd.DataFrame], drawn: np.ndarray) -> np.ndarray:
    """Pooled r2 and median r2 of the sites, one resample after the other."""
    scores = []
    for counts in drawn:
        sites = [group for group, count in zip(groups, counts, strict=True) for _ in range(count)]
        pooled = pd.concat(sites)
        single = [r2_score(site["observed"], site["predicted"]) for site in sites]
        scores.append((r2_score(pooled["observed"], pooled["predicted"]), np.median(single)))
    return np.array(scores)


def seconds(job: object, *arguments: object) -> tuple[float, object]:
    """Least time of several runs, and the result."""
    least, result = float("inf"), None
    for _ in range(ROUNDS):
        start = time.perf_counter()
        result = job(*arguments)  # type: ignore[operator]
        least = min(least, time.perf_counter() - start)
    return least, result


def main() -> None:
    machine = conditions("numpy", "pandas", "scikit-learn")
    predictions, samples = inputs()
    groups = [group for _, group in predictions.groupby("site")]
    sites = len(groups)
    drawn = np.random.default_rng(0).multinomial(sites, np.full(sites, 1 / sites), size=RESAMPLES)
    ours, found = seconds(bootstrap, predictions, samples, drawn)
    loop, expected = seconds(plain, groups, drawn[:LOOPED])
    both = np.column_stack([found["r2"], found["median_site_r2"]])[:LOOPED]  # type: ignore[index]
    np.testing.assert_allclose(both, expected, rtol=1e-9)  # type: ignore[arg-type]
    result = {
        "sites": sites,
        "rows": len(predictions),
        "resamples": RESAMPLES,
        "scores": len(found),  # type: ignore[arg-type]
        "seconds of all resamples": round(ours, 2),
        "seconds of one resample by the plain loop": round(loop / LOOPED, 3),
        "times faster, resample for resample": round(loop / LOOPED / (ours / RESAMPLES)),
        "seconds of the tables": {
            f.__name__: round(seconds(f, predictions, samples)[0], 2)
            for f in (summarise, summarise_sites, summarise_groups)
        },
        "machine": machine,
    }
    if "--write" in sys.argv:
        write_json(RESULT, result)
    print(*(f"{key}: {value}" for key, value in result.items()), sep="\n")


if __name__ == "__main__":
    main()
