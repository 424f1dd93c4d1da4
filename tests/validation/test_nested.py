import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from ecoembed.errors import TableError
from ecoembed.schema import check_predictions
from ecoembed.validation.nested import INNER_FOLDS, NESTED_BEST, inner_folds, nested_best
from ecoembed.validation.predict import predict_held_out
from ecoembed.validation.scores.metrics import r2
from ecoembed.validation.splits.protocols import make_folds
from tests.validation.tables import flat, samples_of

CALLS: list[tuple[str, set[int]]] = []


class Spy(RegressorMixin, BaseEstimator):
    """Remembers the rows that it was fitted to and those that it predicted: the feature is the row's number."""

    def fit(self, X, y, groups=None):
        CALLS.append(("fit", set(X[:, 0].astype(int))))
        return self

    def predict(self, X):
        CALLS.append(("predict", set(X[:, 0].astype(int))))
        return np.zeros(len(X))


class Random(RegressorMixin, BaseEstimator):
    """Predicts random numbers, by its seed."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.random.default_rng(self.random_state).normal(size=len(X))


def chosen(table, sets, models, protocol="leave-site-out", **changes):
    samples = samples_of(table, sets=sets, places={}, **changes)
    models = dict.fromkeys(sets, models)
    folds = make_folds(protocol, samples)
    predictions = predict_held_out(samples, models, folds, 0, False).table
    return samples, folds, predictions, nested_best(samples, models, folds, predictions)


RIDGE = {"ridge": "ridge"}


def test_tuning_never_sees_the_outer_test_rows():
    CALLS.clear()
    table = flat(6, 10).assign(number=np.arange(60.0))
    samples = samples_of(table, sets={"number": ["number"]}, places={})
    models = {"number": {"spy": Spy()}}
    folds = make_folds("leave-site-out", samples)
    predictions = predict_held_out(samples, models, folds, 0, False).table
    CALLS.clear()
    nested_best(samples, models, folds, predictions)
    calls = [CALLS[k : k + 2 * INNER_FOLDS] for k in range(0, len(CALLS), 2 * INNER_FOLDS)]
    assert len(calls) == 6
    for k, of_fold in enumerate(calls):
        held_out = set(range(10 * k, 10 * k + 10))
        assert not any(held_out & rows for _, rows in of_fold)
        fitted, asked = ([rows for what, rows in of_fold if what == kind] for kind in ("fit", "predict"))
        assert set().union(*asked) == set(range(60)) - held_out
        for train, test in zip(fitted, asked, strict=True):
            assert not {row // 10 for row in train} & {row // 10 for row in test}  # whole sites
            assert train | test == set(range(60)) - held_out


def test_a_feature_that_is_the_target_in_the_test_rows_alone_is_never_chosen():
    """What looks perfect from outside the fold. Choosing afterwards would take it in every fold."""
    table = flat(8, 20)
    rng = np.random.default_rng(1)
    sets = {"honest": ["NIRv * SW"]} | {f"leak{k}": [f"leak{k}"] for k in range(8)}
    sites = table["SITE_ID"].unique()
    for k, site in enumerate(sites):
        here = (table["SITE_ID"] == site).to_numpy()
        table[f"leak{k}"] = np.where(here, table["GPP"], rng.permutation(table["GPP"]))
    _, _, predictions, nested = chosen(table, sets, RIDGE)
    assert nested.choices["features"].tolist() == ["honest"] * 8
    honest = predictions[predictions["features"] == "honest"]
    np.testing.assert_array_equal(nested.predictions["predicted"], honest["predicted"])


def test_the_test_rows_do_not_move_the_choice():
    """Another target in the rows of one fold, and what is chosen there stays, to the last digit."""
    table, sets = flat(6, 20, seed=3), {"light": ["NIRv * SW"], "air": ["TA"]}
    other = table.copy()
    here = other["SITE_ID"] == "XX-T02"
    other.loc[here, "GPP"] = 30 + other.loc[here, "TA"]
    one, two = (chosen(t, sets, RIDGE)[3].choices.set_index("held_out") for t in (table, other))
    line = next(name for name in one.index if "XX-T02" in name)
    pd.testing.assert_series_equal(one.loc[line], two.loc[line])
    assert not one.equals(two)


def test_the_nested_best_is_scored_as_one_model_more():
    _, _, predictions, nested = chosen(flat(6, 15), {"light": ["NIRv * SW"], "air": ["TA"]}, RIDGE)
    rows = nested.predictions
    assert set(rows["features"]) == set(rows["regressor"]) == {NESTED_BEST}
    check_predictions(pd.concat([predictions, rows], ignore_index=True))
    assert nested.choices.columns.tolist() == [
        "fold", "held_out", "features", "regressor", "inner_r2", "inner_sites",
    ]  # fmt: skip
    assert nested.choices["inner_sites"].tolist() == [5] * 6
    record = nested.record
    assert record["chosen"] == [{"features": "light", "regressor": "ridge", "folds": 6}]
    assert record["optimism"] == pytest.approx(0.0)  # always the same pair: nothing was chosen by luck
    assert record["r2"] == pytest.approx(r2(rows["observed"].to_numpy(), rows["predicted"].to_numpy()))


def test_the_inner_score_is_that_of_a_plain_loop():
    samples, folds, _, nested = chosen(flat(6, 15), {"light": ["NIRv * SW"], "air": ["TA"]}, RIDGE)
    train = folds.folds[2].train
    X, y, sites = samples.features["light"][train], samples.observed[train], samples.site[train]
    predicted = np.zeros(len(y))
    for inside, held in GroupKFold(5).split(X, groups=sites):
        mean, spread = X[inside].mean(axis=0), X[inside].std(axis=0)
        model = Ridge().fit((X[inside] - mean) / spread, y[inside])
        predicted[held] = model.predict((X[held] - mean) / spread)
    assert nested.choices.loc[2, "inner_r2"] == pytest.approx(r2(y, predicted), abs=1e-9)


def test_bounds_are_those_of_the_pair_that_was_chosen():
    """Two sets of noise: some folds choose the one, some the other; each brings its own interval."""
    table, rng = flat(12, 12), np.random.default_rng(0)
    table["GPP"] = rng.normal(5, 1, len(table))
    table = table.assign(one=rng.normal(size=len(table)), two=rng.normal(size=len(table)))
    sets = {"one": ["one"], "two": ["two"]}
    samples, models = samples_of(table, sets=sets, places={}), dict.fromkeys(sets, RIDGE)
    folds = make_folds("leave-site-out", samples)
    predictions = predict_held_out(samples, models, folds, 0, False, intervals=0.8).table
    nested = nested_best(samples, models, folds, predictions)
    assert set(nested.choices["features"]) == {"one", "two"}
    picked = nested.choices[["fold", "features"]].merge(predictions, on=["fold", "features"])
    columns = ["site", "date", "predicted", "lower", "upper"]
    pd.testing.assert_frame_equal(nested.predictions[columns].reset_index(drop=True), picked[columns])


def test_of_equals_the_first_is_chosen():
    nested = chosen(flat(4, 10), {"z": ["NIRv"], "a": ["NIRv"]}, RIDGE)[3]
    assert set(nested.choices["features"]) == {"z"}


def test_inner_fits_follow_the_seed():
    """Random numbers for predictions: what an inner fold chooses by is another number with another seed."""
    table, models = flat(5, 10), {"light": {"random": Random()}}
    samples = samples_of(table, sets={"light": ["NIRv * SW"]}, places={})
    folds = make_folds("leave-site-out", samples)
    found = {}
    for run, seed in enumerate((0, 0, 1)):
        predictions = predict_held_out(samples, models, folds, seed, False).table
        found[run] = nested_best(samples, models, folds, predictions, seed).choices["inner_r2"].tolist()
    assert found[0] == found[1]
    assert not set(found[0]) & set(found[2])


def test_choosing_the_best_of_noise_afterwards_is_optimistic():
    """Twenty sets of noise: the best of them seems to explain something; the nested best does not."""
    table = flat(8, 12)
    rng = np.random.default_rng(0)
    table["GPP"] = rng.normal(5, 1, len(table))
    names = [f"noise{k}" for k in range(20)]
    table = table.assign(**{name: rng.normal(size=len(table)) for name in names})
    record = chosen(table, {name: [name] for name in names}, RIDGE)[3].record
    assert record["optimism"] > 0.01
    assert record["best_afterwards"]["r2"] - record["r2"] == pytest.approx(record["optimism"])


def test_a_search_tunes_with_groups_inside_the_inner_folds():
    """Searches that fail without groups: three levels of folds, each of whole sites."""
    search = GridSearchCV(Ridge(), {"alpha": [1e-3, 1e9]}, cv=GroupKFold(3))
    _, _, _, nested = chosen(flat(6, 15), {"light": ["NIRv * SW"]}, {"tuned": search, "mean": Ridge(1e9)})
    assert set(nested.choices["regressor"]) == {"tuned"}


def test_what_the_protocol_keeps_together_stays_together():
    """Folds of several sites: an inner fold does not hold out half of such a group."""
    samples = samples_of(flat(24, 6))
    folds = make_folds({"name": "site-k-fold", "folds": 8}, samples)
    for k in range(8):
        for fold in inner_folds(samples, folds, k).folds:
            assert not set(folds.number[fold.train]) & set(folds.number[fold.test])
    few = make_folds({"name": "site-k-fold", "folds": 3}, samples)  # two groups are too few to choose by: sites are
    assert len(inner_folds(samples, few, 0).folds) == INNER_FOLDS


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 9), st.integers(1, 5), st.sampled_from(["leave-site-out", "random-k-fold", "site-k-fold"]))
def test_inner_folds_partition_the_training_rows(sites, days, name):
    table = flat(sites, days + 2)
    samples = samples_of(table)
    options = {"leave-site-out": {}, "random-k-fold": {"folds": 6}, "site-k-fold": {"folds": 3}}[name]
    folds = make_folds({"name": name, **options}, samples)
    for k, outer in enumerate(folds.folds):
        inner = inner_folds(samples, folds, k)
        held = np.concatenate([fold.test for fold in inner.folds])
        np.testing.assert_array_equal(np.sort(held), np.flatnonzero(outer.train))
        assert not np.isin(held, outer.test).any()
        for fold in inner.folds:
            assert not set(samples.site[fold.train]) & set(samples.site[fold.test])
            assert fold.train.any()
            assert not fold.train[outer.test].any()


def test_one_training_site_is_too_few():
    with pytest.raises(
        TableError, match=r"leave-site-out, without .*too few training sites to choose by.*found 1 site"
    ):
        chosen(flat(2, 10), {"light": ["NIRv"]}, RIDGE)


def test_predictions_of_other_models_are_refused():
    samples, folds, predictions, _ = chosen(flat(4, 10), {"light": ["NIRv"]}, RIDGE)
    with pytest.raises(TableError, match=r"pairs without predictions.*light with lightgbm"):
        nested_best(samples, {"light": {"lightgbm": "lightgbm"}}, folds, predictions)


def test_real_prithvi(real):
    """36 towers: the nested best of light and bands is no better than the best of them afterwards."""
    table = pd.read_csv(real / "tables" / "prithvi_hls_merra2_gpp_36sites.csv")
    sets = {"light": ["NIRv * SWLAND"], "bands": ["b2", "b3", "b4", "b5", "b6", "b7"]}
    samples = samples_of(table, sets=sets)  # stratified by its PFT
    models = dict.fromkeys(sets, RIDGE)
    folds = make_folds({"name": "site-k-fold", "folds": 6}, samples)
    predictions = predict_held_out(samples, models, folds, 0, False).table
    record = nested_best(samples, models, folds, predictions).record
    assert record["optimism"] >= 0
    assert 0.6 < record["r2"] <= record["best_afterwards"]["r2"]
