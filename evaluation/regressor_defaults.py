"""How the defaults of the named regressors were chosen: at unseen FLUXNET2015 towers, in five table sizes.

    python evaluation/regressor_defaults.py

Prints mean r2 over draws of FLUXNET2015 towers (daily GPP_NT from TA, SW_IN, VPD, season, latitude; on measured days,
but for the largest table), ten folds of sites (five for the two full tables). It is the source of the table in
``ecoembed/gpp/regressors.py``. The protocols ``fluxnet2015_*`` score these very towers.
"""

from __future__ import annotations

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
from ecoembed.gpp.regressors import make_regressor
from ecoembed.validation.metrics import r2

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
}


def _small_steps() -> dict[str, Any]:
    few = make_regressor("lightgbm", 1000).get_params()
    return {key: few[key] for key in ("n_estimators", "learning_rate", "subsample", "subsample_freq")}


def towers(measured: float) -> pd.DataFrame:
    """Days of which more than the share `measured` was measured, with their features; `y` is the target."""
    table = pd.read_parquet(REAL / "tables" / "fluxnet2015_daily_150sites.parquet")
    table = table[table["NEE_MEASURED"] > measured].reset_index(drop=True)
    season = seasonal_cycle(pd.DatetimeIndex(table["DATE"]), table["LAT"].to_numpy(), [None] * len(table))
    drivers = table[["TA", "SW_IN", "VPD"]].assign(LAT=table["LAT"].abs(), LIGHT=table["SW_IN"] * table["TA"].clip(0))
    return pd.concat([drivers, season, table[["SITE_ID"]], table["GPP_NT"].rename("y")], axis=1)


def draw(table: pd.DataFrame, sites: int, days: int, seed: int) -> pd.DataFrame:
    """At most `days` random days of `sites` random towers."""
    names = np.random.default_rng(seed).choice(table["SITE_ID"].unique(), sites, replace=False)
    parts = [table[table["SITE_ID"] == name] for name in sorted(names)]
    return pd.concat([part.sample(min(days, len(part)), random_state=seed) for part in parts], ignore_index=True)


def score(make: Any, table: pd.DataFrame, folds: int) -> float:
    """Pooled r2 over `folds` folds of whole sites."""
    X, y, sites = table.drop(columns=["SITE_ID", "y"]).to_numpy(float), table["y"].to_numpy(float), table["SITE_ID"]
    predicted = np.zeros(len(table))
    for train, test in GroupKFold(folds).split(X, groups=sites):
        model = make(len(train))
        groups = {"groups": sites.iloc[train]} if isinstance(model, GridSearchCV) else {}
        predicted[test] = model.fit(X[train], y[train], **groups).predict(X[test])
    return r2(y, predicted)


def main() -> None:
    table, days = towers(0.5), towers(-1)
    sizes = {f"{s} x {d}": [draw(table, s, d, k) for k in range(5)] for s, d in ((10, 60), (36, 27), (100, 100))}
    sizes |= {f"all ({len(t)})": [t] for t in (table, days)}
    folds = {size: 5 if size.startswith("all") else 10 for size in sizes}
    rows = {
        name: {size: np.mean([score(make, t, folds[size]) for t in tables]) for size, tables in sizes.items()}
        for name, make in MODELS.items()
    }
    print(pd.DataFrame(rows).T.round(3).to_string())


if __name__ == "__main__":
    main()
