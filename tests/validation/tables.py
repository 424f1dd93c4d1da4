"""Small invented tables for the tests of `validation`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ecoembed.gpp.features import feature_table
from ecoembed.validation.run import Benchmark, benchmark
from ecoembed.validation.samples import Asked, Samples, make_samples
from tests.gpp import worlds

SETS = {"light": ["NIRv * SW"], "all": ["NIRv", "SW", "TA"]}


def flat(sites: int = 5, days: int = 20, seed: int = 0) -> pd.DataFrame:
    """GPP that follows NIRv x SW, with a level of its own at each site."""
    rng = np.random.default_rng(seed)
    n = sites * days
    table = pd.DataFrame(
        {
            "SITE_ID": np.repeat([f"XX-T{i:02d}" for i in range(sites)], days),
            "date": np.tile(pd.date_range("2020-04-01", periods=days, freq="7D"), sites),
            "NIRv": rng.uniform(0, 0.4, n),
            "SW": rng.uniform(50, 300, n),
            "TA": rng.normal(10, 5, n),
            "PFT": np.repeat([("GRA", "ENF")[i % 2] for i in range(sites)], days),
        }
    )
    table["GPP"] = 0.1 * table["NIRv"] * table["SW"] + rng.normal(0, 0.5, n) + np.repeat(rng.normal(0, 1, sites), days)
    return table


def samples_of(table: pd.DataFrame | None = None, **changes: Any) -> Samples:
    """Samples of a flat table, by default of :func:`flat` with its vegetation types."""
    places = {"vegetation": "PFT", "latitude": 45.0}
    asked: dict[str, Any] = {"target": "GPP", "site": "SITE_ID", "date": "date", "sets": SETS, "places": places}
    return make_samples(flat() if table is None else table, Asked(**(asked | changes)))


def run(table: pd.DataFrame, **changes: Any) -> Benchmark:
    arguments: dict[str, Any] = {"target": "GPP", "features": SETS, "regressors": ["ridge"], "progress": False}
    return benchmark(table, **(arguments | changes))


def joined() -> pd.DataFrame:
    """A `FeatureTable` of three sites."""
    names = ["XX-T01", "XX-T02", "XX-T03"]
    return feature_table(
        {s: worlds.all_series(worlds.overpasses(), seed=i) for i, s in enumerate(names)},
        {s: worlds.flux(s, seed=i) for i, s in enumerate(names)},
        worlds.sites(names),
    )
