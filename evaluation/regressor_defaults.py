"""How the defaults of the named regressors were chosen: at unseen FLUXNET2015 towers, in five table sizes.

    python evaluation/regressor_defaults.py

Prints mean r2 over draws of FLUXNET2015 towers (daily GPP_NT from TA, SW_IN, VPD, season, latitude; on measured days,
but for the largest table), ten folds of sites (five for the two full tables). It is the source of the table in
``ecoembed/gpp/regressors.py``. Then r2 of the mean cycle (all sites of one type) at known towers in unseen years, the
source of its defaults. The protocols ``fluxnet2015_*`` score these very towers.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecoembed.gpp.baselines import seasonal_cycle
from ecoembed.gpp.mean_cycle import MeanCycle
from ecoembed.gpp.regressors import make_regressor
from ecoembed.validation.scores.metrics import r2

REAL = Path(os.environ.get("ECOEMBED_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "real"))


def _tuned_ridge() -> GridSearchCV:
    grid = {"ridge__alpha": np.logspace(-2, 4, 7)}
    model = make_pipeline(StandardScaler(), Ridge())
    return GridSearchCV(model, grid, cv=GroupKFold(5), scoring="neg_mean_squared_error")


MODELS = {
    "ridge": lambda n: make_regressor("ridge", n),
    "ridge, alpha by inner site-grouped CV": lambda n: _tuned_ridge(),
    "LightGBM as the library ships it": lambda n: LGBMRegressor(verbose=-1, random_state=0),
    "lightgbm in small steps": lambda n: make_regressor("lightgbm", n).set_params(**_small_steps()),
    "lightgbm": lambda n: make_regressor("lightgbm", n),
    "random forest, leaves of one row": lambda n: make_regressor("random_forest", n).set_params(min_samples_leaf=1),
    "random_forest": lambda n: make_regressor("random_forest", n),
    "gaussian_process": lambda n: make_regressor("gaussian_process", n),
    "mixed_model": lambda n: make_regressor("mixed_model", n),
}
CYCLES = [(harmonics, prior) for harmonics in (2, 3, 4, 6) for prior in (2.0, 5.0, 15.0)]


def _small_steps() -> dict[str, Any]:
    few = make_regressor("lightgbm", 1000).get_params()
    return {key: few[key] for key in ("n_estimators", "learning_rate", "subsample", "subsample_freq")}


def towers(measured: float) -> pd.DataFrame:
    """Days of which more than the share `measured` was measured, with their features; `y` is the target."""
    table = pd.read_parquet(REAL / "tables" / "fluxnet2015_daily_150sites.parquet")
    table = table[table["NEE_MEASURED"] > measured].reset_index(drop=True)
    dates, names = pd.DatetimeIndex(table["DATE"]), table["SITE_ID"]
    angle = 2 * np.pi * seasonal_cycle(dates, table["LAT"].to_numpy(), [None] * len(table), names)["day"] / 365.2425
    season = {f"{k}:{j}": np.cos(k * angle - 2 * np.pi * j / 24) for k in (1, 2) for j in range(24)}  # ridge likes many
    light = table["SW_IN"] * table["TA"].clip(0)
    drivers = table[["TA", "SW_IN", "VPD"]].assign(LAT=table["LAT"].abs(), LIGHT=light, **season)
    return pd.concat([drivers, table[["SITE_ID", "DATE", "LAT"]].add_prefix("_"), table["GPP_NT"].rename("y")], axis=1)


def draw(table: pd.DataFrame, sites: int, days: int, seed: int) -> pd.DataFrame:
    """At most `days` random days of `sites` random towers."""
    names = np.random.default_rng(seed).choice(table["_SITE_ID"].unique(), sites, replace=False)
    parts = [table[table["_SITE_ID"] == name] for name in sorted(names)]
    return pd.concat([part.sample(min(days, len(part)), random_state=seed) for part in parts], ignore_index=True)


def score(make: Any, table: pd.DataFrame, folds: int) -> float:
    """Pooled r2 over `folds` folds of whole sites."""
    X = table[[name for name in table if name != "y" and not name.startswith("_")]].to_numpy(float)
    y, sites = table["y"].to_numpy(float), table["_SITE_ID"]
    predicted = np.zeros(len(table))
    for train, test in GroupKFold(folds).split(X, groups=sites):
        model = make(len(train))
        takes = isinstance(model, GridSearchCV) or "groups" in inspect.signature(model.fit).parameters
        groups = {"groups": sites.iloc[train]} if takes else {}
        predicted[test] = model.fit(X[train], y[train], **groups).predict(X[test])
    return r2(y, predicted)


def score_cycle(harmonics: int, prior: float, table: pd.DataFrame) -> float:
    """Pooled r2 of the mean cycle, each year left out in turn."""
    dates, y = pd.DatetimeIndex(table["_DATE"]), table["y"].to_numpy(float)
    X = seasonal_cycle(dates, table["_LAT"].to_numpy(), [None] * len(table), table["_SITE_ID"]).to_numpy()
    predicted = np.zeros(len(table))
    for year in np.unique(dates.year):
        test = dates.year == year
        predicted[test] = MeanCycle(harmonics, prior).fit(X[~test], y[~test]).predict(X[test])
    return r2(y, predicted)


def _print(rows: dict[str, Any], sizes: dict[str, list[pd.DataFrame]]) -> None:
    """A line for each row as soon as it is known: the mean of its scores of the tables of each size."""
    print(f"\n{'r2':40}", *(f"{size:>12}" for size in sizes))
    for name, score_of in rows.items():
        print(
            f"{name:40}", *(f"{np.mean([score_of(t) for t in tables]):12.3f}" for tables in sizes.values()), flush=True
        )


def main() -> None:
    table, days = towers(0.5), towers(-1)
    sizes = {f"{s} x {d}": [draw(table, s, d, k) for k in range(5)] for s, d in ((10, 60), (36, 27), (100, 100))}
    sizes |= {f"all ({len(t)})": [t] for t in (table, days)}
    models = {name: lambda t, make=make: score(make, t, 5 if len(t) > 50_000 else 10) for name, make in MODELS.items()}
    _print(models, sizes)
    cycles = {f"{h} harmonics, {p:g} days": lambda t, h=h, p=p: score_cycle(h, p, t) for h, p in CYCLES}
    _print(cycles, sizes)


if __name__ == "__main__":
    main()
