# %% [markdown]
# # Your own table, at sites the model has never seen
# One row for each site and day; every feature set is scored on the same rows and folds.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor

from ecoembed import benchmark

rng = np.random.default_rng(0)
sites, days = 8, pd.date_range("2020-03-01", periods=60, freq="5D")
parts = []
for k in range(sites):
    season = np.sin(np.pi * np.arange(60) / 60) * rng.uniform(0.6, 1.2)
    radiation = 120 + 120 * season + rng.normal(0, 20, 60)
    nirv = 0.05 + 0.25 * season + rng.normal(0, 0.01, 60)
    gpp = 0.12 * nirv * radiation * rng.uniform(0.85, 1.15) + rng.normal(0, 0.5, 60)
    parts.append(pd.DataFrame({"SITE_ID": f"XX-T{k}", "date": days, "GPP": gpp, "NIRv": nirv, "SW_IN": radiation}))
table = pd.concat(parts)

# %% `A * B` is the product of two columns; a scikit-learn estimator stands beside the named ones.
result = benchmark(
    table,
    "GPP",
    features={"nirv_x_radiation": ["NIRv * SW_IN"], "nirv": ["NIRv"], "radiation": ["SW_IN"]},
    regressors={"ridge": "ridge", "forest": RandomForestRegressor(50, random_state=0)},
)
print(result.scores[["features", "regressor", "n", "sites", "r2", "rmse", "label"]])

# %% Predictions, scores and a self-contained report, all or nothing.
out = result.save(Path(tempfile.mkdtemp()) / "result")
print(*sorted(p.name for p in out.iterdir()), sep="\n")
