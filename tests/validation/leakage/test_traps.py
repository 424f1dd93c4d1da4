"""The traps that flatter a model, each set for real, and caught.

Which guard answers which: one place on both sides, rows that differ from model to model, tuning and scaling with the
test at hand, the future, the encoder's own training places. Those of files, units and footprints are set where they
are read.
"""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LassoCV, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler, StandardScaler

from ecoembed.errors import LeakageError, TableError
from ecoembed.validation.splits.distance import nearest_training_km
from ecoembed.validation.splits.protocols import make_folds
from tests.validation.leakage.test_leakage import HERE, audited, findings, flat, placed
from tests.validation.tables import run, samples_of

SET = {"all": ["NIRv", "SW", "TA"]}


def daily(sites=6, days=120, seed=0):
    """Every day, with a season."""
    table = flat(sites, days, seed)
    table["date"] = np.tile(pd.date_range("2020-03-01", periods=days), sites)
    season = np.tile(np.sin(np.arange(days) / days * np.pi) * 6, sites)
    return table.assign(GPP=table["GPP"] + season)


# --- tuning, early stopping or scaling on the test fold -------------------------------------------------------------


class Spy(RegressorMixin, BaseEstimator):
    """Remembers which targets it was fitted to, and for which rows it was then asked."""

    seen: list = []  # noqa: RUF012

    def fit(self, X, y, groups=None):
        self.known_, self.groups_ = set(y), set(groups)
        return self

    def predict(self, X):
        Spy.seen.append((self.known_, self.groups_, set(X[:, 0])))
        return np.zeros(len(X))


@pytest.mark.parametrize("protocol", ["leave-site-out", {"name": "site-k-fold", "folds": 2}, "random-k-fold"], ids=str)
def test_no_fit_sees_a_row_of_its_test(protocol):
    table = flat(6, 20).assign(NIRv=lambda t: t["GPP"])  # what is asked for is told by its own target
    Spy.seen = []
    samples = samples_of(table, sets={"all": ["TA"]})
    samples = type(samples)(**{**vars(samples), "features": {"all": samples.observed[:, None]}})
    from ecoembed.validation.predict import predict_held_out

    predict_held_out(samples, {"all": {"spy": Spy()}}, make_folds(protocol, samples), 0, progress=False)
    assert len(Spy.seen) >= 2
    for known, groups, asked in Spy.seen:
        assert not known & asked
        assert groups <= set(samples.site)
        assert protocol == "random-k-fold" or len(groups) < 6


@pytest.mark.parametrize("regressor", ["ridge", "lightgbm"])
def test_a_held_out_site_never_moves_its_own_predictions(regressor):
    """Whatever is fitted, scaled or averaged: the targets of the test, a thousand times too large, change nothing."""
    one = flat(5, 40)
    other = one.assign(GPP=one["GPP"].where(one["SITE_ID"] != "XX-T03", 1000 * one["GPP"]))
    places = {"vegetation": "PFT", "latitude": 45.0}
    told = [run(t, regressors=[regressor], features=SET, places=places).predictions for t in (one, other)]
    ours = [p[p["site"] == "XX-T03"]["predicted"].to_numpy() for p in told]
    np.testing.assert_array_equal(*ours)
    assert not np.array_equal(*(p[p["site"] == "XX-T00"]["predicted"] for p in told))


@pytest.mark.parametrize(
    ("scale", "amount"),
    [
        (lambda x, s: (x - x.mean()) / x.std(), "over all rows"),
        (lambda x, s: (x - x.min()) / np.ptp(x), "least 0 and largest 1"),
        (lambda x, s: pd.Series(MinMaxScaler((-1, 1)).fit_transform(x.to_numpy()[:, None])[:, 0]), "least -1 and"),
        (lambda x, s: pd.Series(RobustScaler().fit_transform(x.to_numpy()[:, None])[:, 0]), "quartiles 1.0000 apart"),
        (lambda x, s: (x - x.groupby(s).transform("mean")) / x.groupby(s).transform("std"), "at each site"),
        (lambda x, s: pd.Series(StandardScaler().fit_transform(x.to_numpy()[:, None])[:, 0]), "over all rows"),
    ],
)
def test_a_column_scaled_by_all_rows_is_told(scale, amount):
    table = daily()
    table["TA"] = scale(table["TA"], table["SITE_ID"])
    (found,) = findings(audited(table, sets=SET), "scaled by all rows")
    assert found["where"] == "TA"
    assert amount in found["amount"]


def test_rain_whose_upper_quartile_is_a_millimetre_is_not_called_scaled():
    table = daily()
    rank = table["TA"].rank(method="first") / len(table)
    table["TA"] = np.where(rank < 0.7, 0.0, np.where(rank < 0.8, 1.0, np.round(100 * (rank - 0.79), 1)))
    assert not findings(audited(table, sets=SET), "scaled by all rows")


def fitted_scaler(table):
    return StandardScaler().fit(table[SET["all"]])


@pytest.mark.parametrize(
    "model",
    [
        lambda t: make_pipeline(FrozenEstimator(fitted_scaler(t)), Ridge()),
        lambda t: make_pipeline(FunctionTransformer(fitted_scaler(t).transform), Ridge()),
        lambda t: FrozenEstimator(Ridge().fit(t[SET["all"]], t["GPP"])),
    ],
)
def test_a_part_that_was_fitted_to_all_rows_and_stays_so_is_refused(model):
    table = flat()
    with pytest.raises(LeakageError, match="mine: a part of the model was fitted before the folds were made"):
        audited(table, sets=SET, regressors={"mine": model(table)})
    with pytest.raises(LeakageError, match="fitted before the folds"):
        run(table, features=SET, regressors={"mine": model(table)})


def test_a_model_passed_fitted_forgets_and_that_is_told():
    table = flat()
    model = Ridge().fit(table[SET["all"]], table["GPP"])
    (found,) = findings(audited(table, sets=SET, regressors={"mine": model}), "fitted before")
    assert "what it knew is forgotten" in found["what"]
    fresh = {name: run(table, features=SET, regressors={"mine": m}) for name, m in (("a", model), ("b", clone(model)))}
    np.testing.assert_array_equal(fresh["a"].predictions["predicted"], fresh["b"].predictions["predicted"])


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (GridSearchCV(Ridge(), {"alpha": [1, 10]}), "tuned by folds that have a site on both sides"),
        (GridSearchCV(Ridge(), {"alpha": [1, 10]}, cv=KFold(3)), "tuned by folds"),
        (make_pipeline(StandardScaler(), LassoCV()), "tuned by folds"),
        (HistGradientBoostingRegressor(early_stopping=True), "stops early by rows drawn at random"),
        (GradientBoostingRegressor(n_iter_no_change=5), "stops early by rows drawn at random"),
        (GradientBoostingRegressor(), None),
        (GridSearchCV(Ridge(), {"alpha": [1, 10]}, cv=GroupKFold(3)), None),
        (HistGradientBoostingRegressor(early_stopping=False), None),
        ("sklearn.linear_model.LassoCV", "tuned by folds that have a site on both sides"),
        ("sklearn.linear_model.Lasso", None),
        ("lightgbm", None),
    ],
    ids=str,
)
def test_choices_by_rows_of_known_sites_are_told(model, told):
    found = findings(audited(flat(), sets=SET, regressors={"mine": model}), "by rows instead of sites")
    assert [told in f["what"] for f in found] == ([True] if told else [])


def test_a_sites_folds_reach_the_inner_folds():
    """A grid search with grouped folds gets the training sites; by rows it would fail without them."""
    result = run(
        flat(), features=SET, regressors={"tuned": GridSearchCV(Ridge(), {"alpha": [1, 1e6]}, cv=GroupKFold(3))}
    )
    assert result.scores["n"].tolist() == [100]


# --- one place on both sides ----------------------------------------------------------------------------------------


def test_years_of_one_site_on_both_sides_are_labelled():
    table = flat(5, 60)  # 60 weeks: two years
    here = samples_of(table)
    assert make_folds("leave-year-out", here).label == "seen-site"
    (found,) = findings(audited(table, protocol="leave-year-out"), "sites on both sides")
    assert found["amount"].startswith("5 of 5 sites")


def test_random_folds_flatter_and_say_so():
    """A level of its own at each site, and a column by which a forest knows the site: the score is a memory."""
    table = flat(8, 40)
    site = table["SITE_ID"].str[-2:].astype(int)
    table["GPP"] += np.random.default_rng(1).normal(0, 6, 8)[site]
    table["soil"] = site * 1.0
    columns = {"all": ["NIRv", "SW", "soil"]}
    at_random, unseen = (
        run(table, features=columns, regressors=["lightgbm"], protocol=p).scores.iloc[0]
        for p in ("random-k-fold", "leave-site-out")
    )
    assert at_random["r2"] > unseen["r2"] + 0.3
    assert (at_random["label"], unseen["label"]) == ("seen-site", "unseen-site")


def test_twin_towers_are_told_with_their_distance_and_held_out_together():
    """A second tower 300 m off, with weather and land of the first: leave-site-out trains on the answer's neighbour."""
    table = placed(T01=(51.0, 10.0), T02=(51.0027, 10.0))
    (found,) = findings(audited(table, places=HERE), "km on both sides")
    assert found["where"] == "XX-T01 and XX-T02 (0.3 km)"
    assert "leave-cluster-out" in found["remedy"]
    here = samples_of(table, places=HERE)
    assert nearest_training_km(make_folds("leave-site-out", here), here)["XX-T01"] == pytest.approx(0.3, abs=0.01)
    assert findings(audited(table, places=HERE, protocol="leave-cluster-out"), "km on both sides") == []
    assert nearest_training_km(make_folds("leave-cluster-out", here), here).min() > 100


def renamed(distance, noise):
    """XX-T05 is XX-T00 once more, from another release of the data."""
    table = daily()
    rows = [np.flatnonzero(table["SITE_ID"] == name) for name in ("XX-T00", "XX-T05")]
    target = table["GPP"].to_numpy().copy()
    target[rows[1]] = target[rows[0]] * 1.02 + np.random.default_rng(0).normal(0, noise, 120)
    number = table["SITE_ID"].str[-2:].astype(int)
    latitude = np.where(number == 5, 50 + distance / 111.2, 50.0 + number)
    return table.assign(GPP=target, LAT=latitude, LON=10.0)


def test_another_release_of_one_tower_is_refused():
    """No value is the same; the course is."""
    with pytest.raises(
        LeakageError, match=r"XX-T00 and XX-T05: one tower under two names.*0\.9\d+ over 120 days, 0.1 km"
    ):
        audited(renamed(0.1, 0.1), places=HERE)
    (found,) = findings(audited(renamed(500, 0.1), places=HERE), "two names")
    assert "Make sure that these are two towers" in found["remedy"]
    assert findings(audited(renamed(0.1, 3.0), places=HERE), "two names") == []


def test_one_site_in_two_spellings_is_no_second_site():
    table = flat()
    table.loc[table.index[:10], "SITE_ID"] = "XX-T00 "
    assert set(samples_of(table, places={}).site) == {f"XX-T0{i}" for i in range(5)}
    table.loc[table.index[:10], "SITE_ID"] = "xx-t00"
    with pytest.raises(TableError, match="spell"):
        samples_of(table, places={})


def test_one_row_twice_is_no_second_row():
    """The same day of a site in two folds: a random split would train on it and test it."""
    table = flat()
    assert len(samples_of(pd.concat([table, table.iloc[:7]])).site) == 100
    with pytest.raises(TableError, match="different rows of one site and date"):
        samples_of(pd.concat([table, table.iloc[:7].assign(GPP=9.0)]))


# --- each model scored on other rows --------------------------------------------------------------------------------


def test_all_models_are_scored_on_the_same_rows():
    table = flat()
    table.loc[3:9, "TA"] = np.nan  # a gap in one set alone
    table.loc[50, "NIRv"] = np.nan
    for protocol in ("leave-site-out", "random-k-fold"):
        result = run(table, regressors=["ridge", "lightgbm"], protocol=protocol)
        assert set(result.scores["n"]) == {92}
        keys = [list(map(tuple, rows[["site", "date"]].to_numpy())) for _, rows in
                result.predictions.groupby(["features", "regressor"])]  # fmt: skip
        assert all(key == keys[0] for key in keys)


# --- the answer among the features ----------------------------------------------------------------------------------


def rolled(days, **kind):
    return lambda t: t.groupby("SITE_ID")["GPP"].transform(lambda g: g.rolling(days, **kind).mean())


def mean_of(*keys, how="mean"):
    return lambda t: t.groupby(list(keys))["GPP"].transform(how)


@pytest.mark.parametrize(
    ("leak", "what"),
    [
        (rolled(7, center=True), "mean target of 3 rows before to 3 after"),
        (rolled(31, center=True), "mean target of 15 rows before to 15 after"),
        (rolled(7), "mean target of 6 rows before to 0 after"),
        (lambda t: t.groupby("SITE_ID")["GPP"].shift(-7), "target of 7 days later"),
        (lambda t: t.groupby("SITE_ID")["GPP"].shift(1), "target of 1 row before"),
        (mean_of("SITE_ID"), "mean target of each site"),
        (mean_of("SITE_ID", how="median"), "median target of each site"),
        (mean_of("SITE_ID", how="max"), "largest target of each site"),
        (mean_of("SITE_ID", how="std"), "standard deviation of the target of each site"),
        (mean_of("SITE_ID", "year"), "mean target of each year of a site"),
        (mean_of("SITE_ID", "year", "month"), "mean target of each month of each year of a site"),
        (mean_of("PFT"), "mean target of each vegetation"),
        (mean_of("SITE_ID", "month"), "mean target of each month of a site"),
        (mean_of("doy"), "mean target of each day of the year"),
    ],
)
def test_the_target_of_other_days_and_its_means_are_refused(leak, what):
    """A mean cycle of all years, a target encoding, a smoothed target: each was made with the test at hand."""
    table = daily(days=430)
    number = table["SITE_ID"].str[-2:].astype(int)
    date = table["date"].dt
    table = table.assign(year=date.year, month=date.month, doy=date.dayofyear, PFT="T" + (number % 3).astype(str))
    table["leak"] = leak(table)
    with pytest.raises(LeakageError, match=f"leak: this feature is the {what}"):
        audited(table.dropna(), places={"vegetation": "PFT"}, sets={"leaky": ["NIRv", "leak"]})


def parts(noise):
    """The net flux and the respiration, under names that say nothing: each is far from the target."""
    table = daily()
    rng = np.random.default_rng(4)
    table["soil"] = 3 + 3 * rng.normal(size=len(table))
    return table.assign(air=table["soil"] - table["GPP"] + rng.normal(0, noise, len(table)))


def test_columns_that_add_up_to_the_target_are_refused():
    sets = {"a": ["NIRv", "soil", "air"]}
    with pytest.raises(LeakageError, match="a: this feature is the target, as a sum of its columns"):
        run(parts(1e-3), features=sets)
    (found,) = findings(run(parts(0.4), features=sets).record["leakage"], "hold the target")
    assert (found["where"], found["what"][:37]) == ("a", "follows the target, as a sum of its c")
    assert findings(run(parts(4.0), features=sets).record["leakage"], "hold the target") == []


# --- filling gaps from the future -----------------------------------------------------------------------------------


def test_what_knows_the_future_is_told_by_its_name():
    told = audited(flat(), future={"embeddings": "sees acquisitions after the day (centred)"})
    (found,) = findings(told, "later days")
    assert (found["where"], found["what"]) == ("embeddings", "each value knows days after its own")
    assert findings(audited(flat(), future={}), "later days") == []


@pytest.mark.parametrize(("gaps", "found"), [("none", 0), ("last", 0), ("linear", 1)])
def test_retrospective_filling_is_told_and_carrying_forward_is_not(gaps, found):
    from ecoembed.gpp.features import feature_table
    from tests.gpp import worlds

    names = ["XX-T01", "XX-T02", "XX-T03"]
    series = {s: worlds.all_series(worlds.overpasses(), seed=i) for i, s in enumerate(names)}
    for one in series.values():
        one["embeddings"].attrs["window"] = "causal"
    table = feature_table(
        series, {s: worlds.flux(s, seed=i) for i, s in enumerate(names)}, worlds.sites(names), gaps=gaps
    )
    told = run(table, target=table.attrs["target"], features={"bands": ["bands"]}).record["leakage"]
    assert len(findings(told, "later days")) == found


# --- places of the encoder's training -------------------------------------------------------------------------------


def test_a_tower_within_a_place_of_pretraining_is_told():
    """The encoder saw images of XX-T02's own fields; 6 km off is another place."""
    places = {"cube 17": (52.01, 10.0), "cube 18": (53.054, 10.0)}
    (found,) = findings(audited(placed(), places=HERE, pretraining=places), "encoder's training")
    assert found["where"] == "XX-T02 and cube 17 (1.1 km)"
    (found,) = findings(audited(placed(), places=HERE, pretraining="unknown"), "encoder's training")
    assert found["amount"] == "training places unknown"
