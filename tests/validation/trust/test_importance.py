import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import LGBMRegressor
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LinearRegression

from ecoembed.gpp.windows import Windows
from ecoembed.validation.predict import predict_held_out
from ecoembed.validation.splits.protocols import make_folds
from ecoembed.validation.trust.importance import IMPORTANCE, PARTIAL, collect, explain, groups_of
from tests.validation.tables import flat, samples_of

NAMES = ["meteo.TA", "meteo.VPD", "embeddings.z1", "SW"]


def world(n=600, seed=0):
    """Three columns matter, two of them of one group; the second pulls against the first."""
    rng = np.random.default_rng(seed)
    X = rng.normal(0, 1, (n, 4))
    return X, 2 * X[:, 0] - 2 * X[:, 1] + np.sin(2 * X[:, 2]) + rng.normal(0, 0.3, n)


def trees(**changes):
    return LGBMRegressor(
        **({"n_estimators": 60, "num_leaves": 12, "verbose": -1, "n_jobs": 1, "random_state": 0} | changes)
    )


def tables(fits, names=NAMES, seed=0):
    """What `collect` makes of one model and its folds (estimator, X, y, X_train)."""
    rng = np.random.default_rng(seed)
    return collect(
        {"features": "set", "regressor": "model", "fold": k, **line}
        for k, (estimator, X, y, X_train) in enumerate(fits)
        for line in explain(estimator, X, y, names, X_train, rng)
    )


def values(table, kind):
    return table[table["kind"] == kind].set_index("group")["value"]


def fold_fits(model, folds=4, n=600):
    X, y = world(n)
    held = np.arange(n) % folds
    return [(model().fit(X[held != k], y[held != k]), X[held == k], y[held == k], X[held != k]) for k in range(folds)]


def test_permutation_is_that_of_scikit_learn():
    """Each column alone; both are means over random permutations, 100 of theirs, 20 of ours."""
    X, y = world(400)
    estimator = trees().fit(X[:300], y[:300])
    names = ["a", "b", "c", "d"]
    theirs = permutation_importance(
        estimator, X[300:], y[300:], scoring=["neg_mean_squared_error", "r2"], n_repeats=100, random_state=0
    )
    table, _ = tables([(estimator, X[300:], y[300:], X[:300])], names)
    for kind, score in (("mse", "neg_mean_squared_error"), ("r2", "r2")):
        error = theirs[score]["importances_std"] * np.sqrt(1 / 100 + 1 / 20)
        off = np.abs(values(table, kind)[names].to_numpy() - theirs[score]["importances_mean"])
        assert (off < 4 * error + 1e-12).all()


def test_a_group_is_permuted_as_one():
    """Two copies of a column with opposite signs cancel: together they matter nothing, each alone very much."""
    X = world()[0]
    X[:, 1] = X[:, 0]
    y = X[:, 2]
    fitted = LinearRegression().fit(X, y)
    fitted.coef_, fitted.intercept_ = np.array([5.0, -5.0, 1.0, 0.0]), 0.0
    together = values(tables([(fitted, X, y, X)])[0], "mse")
    alone = values(tables([(fitted, X, y, X)], ["a", "b", "c", "d"])[0], "mse")
    assert together["meteo"] == pytest.approx(0, abs=1e-9)
    assert alone["a"] == pytest.approx(50 * X[:, 0].var(), rel=0.1)  # twice the variance of what the column adds
    assert together["SW"] == 0
    assert together.index[0] == "embeddings"


def test_r2_falls_by_the_rise_over_the_variance_of_all_folds():
    fits = fold_fits(trees)
    table, _ = tables(fits)
    asked = np.concatenate([y for _, _, y, _ in fits])
    ratio = values(table, "mse") / values(table, "r2")
    assert ratio.to_numpy() == pytest.approx(np.full(3, asked.var()))
    within = table[table["kind"] == "r2"]
    assert (within["lower"] <= within["value"]).all()
    assert (within["value"] <= within["upper"]).all()


def test_contributions_sum_to_the_prediction_and_groups_to_their_columns():
    X, y = world()
    estimator = trees().fit(X[:400], y[:400])
    contributions = estimator.predict(X[400:], pred_contrib=True)
    np.testing.assert_allclose(contributions.sum(axis=1), estimator.predict(X[400:]), rtol=1e-9, atol=1e-9)
    table, _ = tables([(estimator, X[400:], y[400:], X[:400])])
    columns = values(table, "contribution of the column")
    assert columns[NAMES].to_numpy() == pytest.approx(np.abs(contributions[:, :4]).mean(axis=0))
    meteo = np.abs(contributions[:, :2].sum(axis=1)).mean()
    assert values(table, "contribution")["meteo"] == pytest.approx(meteo)
    assert meteo < columns["meteo.TA"] + columns["meteo.VPD"]
    assert "contribution" not in set(tables([(LinearRegression().fit(X, y), X, y, X)])[0]["kind"])


def test_partial_dependence_is_that_of_scikit_learn():
    X, y = world(500)
    estimator = trees().fit(X[:400], y[:400])
    held = X[400:]
    _, table = tables([(estimator, held, y[400:], X[:400])])
    for j, name in enumerate(NAMES):
        ours = table[table["column"] == name]
        np.testing.assert_allclose(ours["at"], np.quantile(X[:400, j], ours["quantile"]), rtol=1e-12)
        theirs = partial_dependence(estimator, held, [j], custom_values={j: ours["at"].to_numpy()}, method="brute")
        np.testing.assert_allclose(ours["value"], theirs["average"][0], rtol=1e-9)


def test_of_a_line_it_is_the_line_and_of_nine_columns_there_is_none():
    X, y = world()
    _, table = tables([(LinearRegression().fit(X, y), X, y, X)])
    slope = table.groupby("column").apply(lambda t: np.polyfit(t["at"], t["value"], 1)[0])
    assert slope[NAMES].to_numpy() == pytest.approx(LinearRegression().fit(X, y).coef_, rel=1e-6)
    wide = np.column_stack([X, X, X[:, :1]])
    _, none = tables([(LinearRegression().fit(wide, y), wide, y, wide)], [f"c{i}" for i in range(9)])
    assert none.empty
    assert list(none.columns) == list(PARTIAL)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 100), st.permutations(range(4)))
def test_neither_the_order_of_folds_nor_that_of_columns_matters_to_contributions(seed, order):
    fits = fold_fits(lambda: trees(random_state=seed, n_estimators=10), folds=3, n=300)
    first, _ = tables(fits)
    second, _ = tables([fits[k] for k in (2, 0, 1)])
    for kind in ("contribution", "contribution of the column"):
        one, other = values(first, kind), values(second, kind)
        assert other[one.index].to_numpy() == pytest.approx(one.to_numpy())
    X, y = world(300)
    line, turned = (LinearRegression().fit(X[:, c], y) for c in (slice(None), list(order)))
    names = [NAMES[i] for i in order]
    straight = values(tables([(line, X, y, X)], NAMES)[0], "mse")
    moved = values(tables([(turned, X[:, order], y, X[:, order])], names)[0], "mse")
    assert moved[straight.index].to_numpy() == pytest.approx(straight.to_numpy(), rel=0.25, abs=0.02)


def test_one_fold_has_no_bounds_and_no_lines_give_empty_tables():
    X, y = world()
    importance, partial = tables([(LinearRegression().fit(X, y), X, y, X)])
    assert importance[["lower", "upper"]].isna().all(axis=None)
    assert partial[["lower", "upper"]].isna().all(axis=None)
    importance, partial = collect([])
    assert (list(importance), list(partial)) == (list(IMPORTANCE), list(PARTIAL))


def test_at_most_2000_rows_are_asked():
    asked = []

    class Spy(LinearRegression):
        def predict(self, X):
            asked.append(len(X))
            return super().predict(X)

    X, y = world(9000)
    tables([(Spy().fit(X, y), X, y, X)])
    assert asked[:4] == [2000] * 4  # as they are, and three groups
    assert max(asked) <= 19 * 200
    asked.clear()
    tables([(Spy().fit(X, y), X[:30], y[:30], X)])
    assert asked[:4] == [30, *[2010] * 3]  # few rows are permuted the more often


def test_of_many_rows_those_that_are_asked_are_a_draw():
    """Rows stand site by site, day by day: the first of them are one site's."""
    X, y = np.column_stack([np.linspace(0, 1, 6000), np.random.default_rng(0).normal(size=6000)]), np.zeros(6000)
    _, table = tables([(LinearRegression().fit(X, X[:, 0]), X, y, X)], ["place", "noise"])
    of_place, of_noise = (table[table["column"] == name] for name in ("place", "noise"))
    assert of_noise["value"].to_numpy() == pytest.approx(np.full(19, 0.5), abs=0.08)  # the mean of all places
    assert of_place["at"].to_numpy() == pytest.approx(of_place["quantile"].to_numpy(), abs=0.05)


def test_bounds_hold_95_percent_of_resampled_folds():
    rng = np.random.default_rng(0)
    rows, total = rng.integers(20, 400, 12), rng.uniform(1, 5, 12)
    model = {"features": "set", "regressor": "model", "kind": "contribution", "group": "TA"}
    lines = [{**model, "fold": k, "n": rows[k], "total": rows[k] * total[k]} for k in range(12)]
    (line,) = collect(lines)[0].to_dict("records")
    drawn = rng.integers(0, 12, (50_000, 12))
    lower, upper = np.quantile((rows * total)[drawn].sum(axis=1) / rows[drawn].sum(axis=1), [0.025, 0.975])
    assert line["value"] == pytest.approx((rows * total).sum() / rows.sum())
    off = 0.05 * (upper - lower)
    assert (line["lower"], line["upper"]) == (pytest.approx(lower, abs=off), pytest.approx(upper, abs=off))


class Last:
    """Takes windows, and looks at their last day."""

    accepts_windows = True

    def predict(self, X):
        assert isinstance(X, Windows)
        return 3.0 * X.base[X.ends, 0]


def test_of_windows_a_group_is_permuted_with_all_its_days():
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, (500, 3)).astype(np.float32)
    windows = Windows(base, np.arange(9, 500), 10)
    y = 3.0 * base[9:, 0].astype(float)
    names = ["meteo.TA", "meteo.VPD", "s1.VV"]
    table, partial = tables([(Last(), windows, y, windows)], names)
    assert values(table, "mse")["meteo"] == pytest.approx(2 * y.var(), rel=0.1)
    assert values(table, "mse")["s1"] == 0
    assert partial.empty
    tabular = trees().fit(np.asarray(windows), y)
    by_tree, _ = tables([(tabular, windows, y, windows)], names)
    assert values(by_tree, "contribution of the column").index[0] == "meteo.TA"
    assert len(values(by_tree, "contribution of the column")) == 3


def test_groups_are_what_stands_before_the_dot():
    assert groups_of(["embeddings:s2.z1", "NIRv * SW", "TA"]) == ["embeddings:s2", "NIRv * SW", "TA"]
    assert groups_of(["meteo.T.2m", "meteo.TA"]) == ["meteo", "meteo"]  # the first dot


def test_the_benchmark_of_held_out_sites_is_explained():
    """GPP follows NIRv x SW and nothing of TA: so say all three, at sites that the model never saw."""
    samples = samples_of(flat(6, 80))
    folds = make_folds("leave-site-out", samples)
    found = predict_held_out(
        samples, {"all": {"lightgbm": "lightgbm", "ridge": "ridge"}}, folds, 0, False, explain=True
    )
    again = predict_held_out(samples, {"all": {"lightgbm": "lightgbm"}}, folds, 0, False, explain=True)
    table = found.importance
    assert list(table.columns) == list(IMPORTANCE)
    trees_only = table[table["regressor"] == "lightgbm"].reset_index(drop=True)
    pd.testing.assert_frame_equal(trees_only, again.importance)
    assert set(table["kind"]) == {"mse", "r2", "contribution"}  # each column is a group: it is not said twice
    for kind, part in table.groupby(["regressor", "kind"]):
        assert set(part["group"].iloc[:2]) == {"NIRv", "SW"}, kind
        assert part["value"].is_monotonic_decreasing
        assert part[["value", "lower", "upper"]].notna().all(axis=None)
    assert set(found.partial["column"]) == {"NIRv", "SW", "TA"}
    rises = found.partial[(found.partial["column"] == "NIRv") & (found.partial["regressor"] == "ridge")]
    assert rises["value"].is_monotonic_increasing
