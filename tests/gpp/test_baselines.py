import numpy as np
import pandas as pd

from ecoembed.gpp.baselines import seasonal_cycle
from ecoembed.gpp.regressors import make_regressor

DAYS = pd.date_range("2019-01-01", "2020-12-31", freq="3D")


def test_the_southern_year_is_shifted_by_half():
    north = seasonal_cycle(DAYS, np.full(len(DAYS), 40.0), [None] * len(DAYS))
    south = seasonal_cycle(DAYS, np.full(len(DAYS), -40.0), [None] * len(DAYS))
    np.testing.assert_allclose(south.filter(like="year"), -north.filter(like="year"), atol=1e-12)
    np.testing.assert_allclose(south.filter(like="half"), north.filter(like="half"), atol=1e-12)


def test_a_linear_fit_is_the_mean_cycle_of_each_type():
    types = ["GRA"] * len(DAYS) + ["ENF"] * len(DAYS)
    X = seasonal_cycle(DAYS.append(DAYS), np.full(2 * len(DAYS), 50.0), types)
    angle = 2 * np.pi * (DAYS.day_of_year.to_numpy() - 1) / 365.2425
    y = np.concatenate([5 - 4 * np.cos(angle), 2 - np.cos(angle)])
    predicted = make_regressor("ridge", len(y)).fit(X, y).predict(X)
    np.testing.assert_allclose(predicted, y, atol=0.05)


def test_an_unseen_type_falls_back_on_the_cycle_over_all():
    """A type without a training site predicts what a site of no type does."""
    types = np.array(["GRA"] * len(DAYS) + ["DBF"] * len(DAYS), dtype=object)
    X = seasonal_cycle(DAYS.append(DAYS), np.full(2 * len(DAYS), 50.0), types)
    train, test = types == "GRA", types == "DBF"
    rng = np.random.default_rng(0)
    for name in ("ridge", "lightgbm"):
        model = make_regressor(name, int(train.sum()))
        model.fit(X[train].to_numpy(), 5 * X.loc[train, "year01"] + rng.normal(0, 0.1, train.sum()))
        untyped = X[test].copy()
        untyped.loc[:, [c for c in X if c.startswith("DBF")]] = 0.0
        np.testing.assert_allclose(model.predict(X[test].to_numpy()), model.predict(untyped.to_numpy()))
        assert np.ptp(model.predict(X[test].to_numpy())) > 0.8 * 10  # two shared columns would give 5
