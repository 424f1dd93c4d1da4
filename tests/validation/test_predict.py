"""Predictions of held-out rows: who gets what, on which rows, and what is said where it goes wrong."""

import threading

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import AdaBoostRegressor, StackingRegressor
from sklearn.linear_model import LassoCV, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecoembed.errors import TableError, TrainingError
from ecoembed.gpp.regressors import make_regressor
from ecoembed.gpp.windows import Windows
from ecoembed.schema import check_predictions
from ecoembed.validation.predict import predict_held_out
from ecoembed.validation.splits.protocols import make_folds
from ecoembed.validation.trust.intervals import cv_plus
from tests.validation.tables import flat, samples_of

SEEN: list[dict] = []


class Spy(RegressorMixin, BaseEstimator):
    """Remembers what it was given; predicts the mean."""

    def fit(self, X, y, groups=None):
        SEEN.append({"X": X, "y": y, "groups": groups, "thread": threading.current_thread()})
        self.mean_ = np.mean(y)
        return self

    def predict(self, X):
        SEEN.append({"X": X})
        return np.full(len(X), self.mean_)


class WindowSpy(Spy):
    accepts_windows = True


class Lost(Spy):
    """Predicts nothing for one row, and too much for another."""

    def predict(self, X):
        return np.where(np.arange(len(X)) < 2, [np.nan, np.inf] * (len(X) // 2), 1.0)


class Random(Spy):
    """Predicts random numbers, by its seed."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def predict(self, X):
        return np.random.default_rng(self.random_state).normal(size=len(X))


class Failing(Spy):
    def fit(self, X, y):
        raise TrainingError("diverged", remedy="Lower it")


def daily(sites=6, days=40, **options):
    """A table of whole days, and its samples."""
    table = flat(sites, days)
    table["date"] = np.tile(pd.date_range("2020-04-01", periods=days), sites)
    return samples_of(table, **options)


def predict(samples, models, protocol="leave-site-out", **options):
    return predict_held_out(samples, models, make_folds(protocol, samples), 0, False, **options)


def test_lightgbm_side_by_side_predicts_what_the_plain_loop_predicts():
    """To the last bit: also the bins are those of the fold's training rows, as they would not be if binned once."""
    samples = samples_of(flat(6, 60))
    got = predict(samples, {"all": {"lightgbm": "lightgbm"}}).table
    expected = np.empty(len(samples.observed))
    X, y = samples.features["all"], samples.observed
    for site in np.unique(samples.site):
        held = samples.site == site
        params = make_regressor("lightgbm", n_samples=int((~held).sum())).get_params()
        expected[held] = LGBMRegressor(**params).fit(X[~held], y[~held]).predict(X[held])
    np.testing.assert_array_equal(got["predicted"], expected)


def test_windows_go_to_those_who_take_them_and_matrices_to_the_others():
    SEEN.clear()
    samples = daily(window_days=5)
    assert isinstance(samples.features["all"], Windows)
    predict(samples, {"all": {"windows": WindowSpy(), "table": Spy()}})
    fits = [seen for seen in SEEN if "y" in seen]
    assert len(fits) == 12
    for fit in fits[:6]:
        assert isinstance(fit["X"], Windows)
        assert np.shares_memory(fit["X"].base, samples.features["all"].base)
    for fit in fits[6:]:
        assert isinstance(fit["X"], np.ndarray)
        assert fit["X"].dtype == np.float32
        assert fit["X"].shape == (5 * 36, 15)
    for fit in fits:
        assert len(fit["X"]) == len(fit["y"]) == len(fit["groups"])
        assert len(set(fit["groups"])) == 5
    assert {fit["thread"] for fit in fits} == {threading.main_thread()}  # an own estimator has the machine to itself


def test_climatology_is_as_it_was_beside_windows():
    samples = daily(window_days=5)
    table = predict(samples, {"climatology": {"mean_cycle": "mean_cycle"}, "all": {"ridge": "ridge"}}).table
    assert set(table["features"]) == {"climatology", "all"}
    check_predictions(table)


def test_ridge_on_windows_is_ridge_on_their_matrix():
    samples = daily(window_days=3)
    got = predict(samples, {"all": {"ridge": "ridge"}}).table
    held = samples.site == "XX-T02"
    matrix = np.asarray(samples.features["all"])
    expected = make_pipeline(StandardScaler(), Ridge()).fit(matrix[~held], samples.observed[~held])
    np.testing.assert_allclose(got.loc[got["site"] == "XX-T02", "predicted"], expected.predict(matrix[held]), rtol=1e-6)


def test_rows_that_no_fold_tests_are_in_no_table():
    table = flat(6, 60)
    table["date"] = np.tile(pd.date_range("2018-01-01", periods=60, freq="20D"), 6)
    samples = samples_of(table)
    years = {"name": "years", "train": [2018, 2019], "test": [2020]}
    got = predict(samples, {"light": {"ridge": "ridge"}, "all": {"ridge": "ridge", "own": Ridge()}}, years).table
    tested = samples.date.year == 2020
    assert 0 < tested.sum() < len(tested)
    for _, part in got.groupby(["features", "regressor"]):
        assert part["site"].tolist() == samples.site[tested].tolist()
        assert (pd.DatetimeIndex(part["date"]) == samples.date[tested]).all()
        np.testing.assert_array_equal(part["observed"], samples.observed[tested])
    assert set(got["protocol"]) == {"years"}
    assert set(got["fold"]) == {0}
    assert len(got) == 3 * tested.sum()
    check_predictions(got)


def test_a_set_meets_its_own_models_alone():
    got = predict(samples_of(), {"light": {"a": "ridge"}, "all": {"b": "ridge", "c": Ridge()}}).table
    pairs = got[["features", "regressor"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["light", "a"], ["all", "b"], ["all", "c"]]
    assert got[["lower", "upper"]].isna().all(axis=None)


def test_what_fails_says_where():
    with pytest.raises(TableError, match=r"all, lost, without .*XX-T00.*no numbers \(found 2 of 20 held-out rows\)"):
        predict(samples_of(), {"all": {"lost": Lost()}})
    with pytest.raises(TrainingError, match=r"all, failing, without .*XX-T00: diverged\. Lower it"):
        predict(samples_of(), {"all": {"failing": Failing()}})


class Broken(Spy):
    def fit(self, X, y):
        raise ValueError("some value of y is out of range\nfor Poisson")


def test_an_own_regressor_that_fails_is_named_with_its_fold_and_cause():
    with pytest.raises(TableError, match=r"all, mine, without XX-T00: .*ValueError: some value of y is out of r") as it:
        predict(samples_of(), {"all": {"mine": Broken()}})
    assert isinstance(it.value.__cause__, ValueError)


class Told(GroupKFold):
    """Remembers the sites that it was given."""

    sites: list = []  # noqa: RUF012

    def split(self, X, y=None, groups=None):
        Told.sites.append(frozenset(groups))
        return super().split(X, y, groups)


@pytest.mark.parametrize(
    "model",
    [
        LassoCV(cv=Told(3)),
        make_pipeline(StandardScaler(), GridSearchCV(Ridge(), {"alpha": [1, 10]}, cv=Told(3))),
        TransformedTargetRegressor(
            make_pipeline(StandardScaler(), RidgeCV(cv=Told(3))), func=np.cbrt, inverse_func=lambda y: y**3
        ),
    ],
    ids=["LassoCV", "pipeline", "transformed target"],
)
def test_sites_reach_inner_folds_however_deep(model):
    """Without them a grouped splitter raises; with rows for groups it would split sites."""
    samples, Told.sites = samples_of(), []
    predict(samples, {"all": {"mine": model}})
    names = frozenset(samples.places.index)
    assert set(Told.sites) == {names - {site} for site in names}


def test_what_cannot_tell_whether_it_asks_for_sites_is_fitted_without():
    boosted = make_pipeline(StandardScaler(), AdaBoostRegressor(n_estimators=3))
    assert len(predict(samples_of(), {"all": {"mine": boosted}}).table) == 100


def test_what_shows_predict_only_once_it_is_fitted_is_a_regressor():
    stack = StackingRegressor([("ridge", Ridge()), ("other", Ridge(10))])
    assert len(predict(samples_of(), {"all": {"mine": stack}}).table) == 100


def test_every_model_says_what_it_leans_on():
    found = predict(samples_of(flat(8, 40)), {"all": {"lightgbm": "lightgbm", "ridge": "ridge"}}, explain=True)
    kinds = found.importance.groupby("regressor")["kind"].unique().map(set)
    assert {"r2", "mse"} <= kinds["ridge"] < kinds["lightgbm"]
    assert set(found.importance["group"]) == {"NIRv", "SW", "TA"}
    assert set(found.partial["column"]) == {"NIRv", "SW", "TA"}
    nothing = predict(samples_of(), {"all": {"ridge": "ridge"}})
    assert (nothing.importance, nothing.partial) == (None, None)


def test_the_seed_reaches_the_model_and_what_is_asked_of_it():
    samples, models = samples_of(flat(5, 30)), {"all": {"ridge": "ridge", "random": Random()}}
    folds = make_folds("leave-site-out", samples)
    one, two, other = (predict_held_out(samples, models, folds, seed, False, None, True) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one.table, two.table)
    pd.testing.assert_frame_equal(one.importance, two.importance)
    same = (one.table["predicted"] == other.table["predicted"]).groupby(one.table["regressor"]).mean()
    assert same.to_dict() == {"random": 0.0, "ridge": 1.0}
    of_ridge = (found.importance.query("regressor == 'ridge' and kind == 'mse'") for found in (one, other))
    assert not np.isin(*(table["value"].to_numpy() for table in of_ridge)).any()  # other rows were permuted


def test_partial_dependence_is_asked_at_quantiles_of_the_training_rows():
    table = flat(4, 30).assign(TA=lambda t: t["TA"] + 100 * (t["SITE_ID"] == "XX-T03"))
    samples = samples_of(table)
    found = predict(samples, {"all": {"ridge": "ridge"}}, explain=True).partial.query("column == 'TA'")
    X, sites = samples.features["all"][:, samples.names["all"].index("TA")], np.unique(samples.site)
    expected = np.mean([np.quantile(X[samples.site != site], found["quantile"]) for site in sites], axis=0)
    np.testing.assert_allclose(found["at"], expected)


@pytest.mark.parametrize("name", ["ridge", "lightgbm"])
def test_bounds_come_of_models_of_other_sites_made_for_as_many_rows(name):
    """Ten of eleven sites to train on, so that each inner fit leaves one of them out, by hand."""
    samples = samples_of(flat(11, 80))
    got = predict(samples, {"all": {name: name}}, intervals=0.8).table.query("site == 'XX-T04'")
    held = samples.site == "XX-T04"
    X, y, sites = samples.features["all"][~held], samples.observed[~held], samples.site[~held]
    predicted, residuals = [], []
    for site in np.unique(sites):
        rows = sites != site
        model = make_regressor(name, n_samples=int(rows.sum())).fit(X[rows], y[rows])
        residuals.append(np.abs(y[~rows] - model.predict(X[~rows])))
        predicted.append(model.predict(samples.features["all"][held]))
    lower, upper = cv_plus(np.stack(predicted, axis=1), residuals, [np.full(80, 1 / (11 * 80))] * 10, 0.8)
    np.testing.assert_allclose(got[["lower", "upper"]].to_numpy(), np.stack([lower, upper], axis=1), rtol=1e-6)


def test_sequence_models_stand_beside_tabular_ones_with_importance():
    samples = daily(6, 12, window_days=4, sets={"all": ["NIRv", "SW"]})
    models = {"all": {"gru": "gru", "lightgbm": "lightgbm"}}
    groups = {"name": "site-k-fold", "folds": 2}
    got = predict(samples, models, groups, explain=True)
    assert got.table.groupby("regressor").size().tolist() == [6 * 9] * 2
    assert set(got.importance["group"]) == {"NIRv", "SW"}
    check_predictions(got.table)
