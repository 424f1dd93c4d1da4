import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold, KFold
from sklearn.neighbors import KNeighborsRegressor

from ecoembed import benchmark
from ecoembed.errors import ConfigError, TableError
from ecoembed.gpp.windows import Windows
from ecoembed.validation.config import read_benchmark_config
from ecoembed.validation.trust.intervals import cv_plus, held_out_intervals
from tests.validation.tables import flat, run

LINE = {"line": ["NIRv * SW"]}


def fitting(model, X, y):
    """What `held_out_intervals` calls to fit."""
    from sklearn.base import clone

    return lambda rows: clone(model).fit(X[rows], y[rows])


def quantile_by_sorting(predicted, residuals, weights, level):
    """The upper bound of one row, slowly: every prediction + residual, sorted, until the weights reach the level."""
    values = np.concatenate([p + r for p, r in zip(predicted, residuals, strict=True)])
    order = np.argsort(values)
    return values[order][np.searchsorted(np.cumsum(np.concatenate(weights)[order]), level - 1e-12)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.floats(0.5, 0.95))
def test_bounds_are_the_weighted_quantiles(seed, folds, level):
    rng = np.random.default_rng(seed)
    predicted = rng.normal(0, 3, (5, folds))
    residuals = [rng.exponential(1, rng.integers(2, 9)) for _ in range(folds)]
    weights = [rng.uniform(0.1, 1, len(r)) for r in residuals]
    scale = 0.97 / sum(w.sum() for w in weights)
    weights = [w * scale for w in weights]
    lower, upper = cv_plus(predicted, residuals, weights, level)
    for i, row in enumerate(predicted):
        assert upper[i] == pytest.approx(quantile_by_sorting(row, residuals, weights, level), abs=1e-6)
        assert lower[i] == pytest.approx(-quantile_by_sorting(-row, residuals, weights, level), abs=1e-6)


def bounds_of_mapie(X, y, sites, X_test, level):
    """Lower and upper by MAPIE's CV+ whose folds are ours."""
    mapie = pytest.importorskip("mapie.regression")
    folds = GroupKFold(min(10, len(np.unique(sites))))
    theirs = mapie.CrossConformalRegressor(LinearRegression(), confidence_level=level, method="plus", cv=folds)
    return theirs.fit_conformalize(X, y, groups=sites).predict_interval(X_test)[1][:, :, 0].T


def our_bounds(X, y, sites, X_test, level):
    return np.stack(held_out_intervals(fitting(LinearRegression(), X, y), X, y, sites, X_test, level))


def test_of_one_day_a_site_they_are_those_of_mapie():
    """CV+ as Barber et al. wrote it."""
    rng = np.random.default_rng(3)
    X, sites = rng.normal(0, 1, (60, 2)), np.arange(60)
    y, X_test = X[:, 0] + rng.normal(0, 0.5, 60), rng.normal(0, 1, (20, 2))
    arguments = (X, y, sites, X_test, 0.9)
    np.testing.assert_allclose(our_bounds(*arguments), bounds_of_mapie(*arguments), atol=1e-9)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
@pytest.mark.parametrize(("sites", "days"), [(12, 7), (23, 3)])
def test_of_equal_records_they_are_those_of_mapie_at_a_level_that_counts_sites(sites, days, level):
    """Of n = sites x days residuals both take one; MAPIE the one that n + 1 days ask for, ours that of sites + 1."""
    rng = np.random.default_rng(sites)
    site, X = np.repeat(np.arange(sites), days), rng.normal(0, 1, (sites * days, 2))
    y = X[:, 0] + rng.normal(0, 1, sites)[site] + rng.normal(0, 1, sites * days)
    rank = np.ceil(level * (sites + 1) * days - 1e-9)
    theirs = bounds_of_mapie(X, y, site, X[:20] + 0.5, (rank - 0.5) / (sites * days + 1))
    np.testing.assert_allclose(our_bounds(X, y, site, X[:20] + 0.5, level), theirs, atol=1e-9)


def network(rng, sites):
    """Half of the sites are ordinary and have long records, half are odd and have short ones."""
    ordinary = rng.random(sites) < 0.5
    site = np.repeat(np.arange(sites), np.where(ordinary, 90, 10))
    x, level = rng.normal(0, 1, len(site)), rng.normal(0, np.where(ordinary, 0.2, 1.5))
    return x[:, None], x + level[site] + rng.normal(0, 0.3, len(site)), site


def test_counting_days_would_not_cover_where_ordinary_sites_have_long_records():
    """Why MAPIE is the oracle and not the engine: its quantile takes no weights."""
    shares = {}
    for bounds in (bounds_of_mapie, our_bounds):
        rng, found = np.random.default_rng(0), []
        for _ in range(25):
            X, y, site = network(rng, 30)
            old = site < 25
            lower, upper = bounds(X[old], y[old], site[old], X[~old], 0.9)
            inside = (lower <= y[~old]) & (y[~old] <= upper)
            found += [inside[site[~old] == s].mean() for s in np.unique(site[~old])]
        shares[bounds] = np.mean(found), np.std(found) / np.sqrt(len(found))
    by_days, by_sites = shares[bounds_of_mapie], shares[our_bounds]
    assert by_days[0] < 0.75
    assert by_sites[0] == pytest.approx(0.9, abs=3 * by_sites[1])


def test_windows_are_taken_as_they_are():
    """Site folds need no matrix of the windows."""
    rng = np.random.default_rng(0)
    windows = Windows(rng.normal(0, 1, (222, 2)).astype(np.float32), np.arange(2, 222), 3)
    y, sites = windows.base[2:, 0] + rng.normal(0, 0.1, 220), np.repeat(np.arange(11), 20)
    old = sites < 10
    lower, upper = held_out_intervals(
        fitting(LinearRegression(), windows[old], y[old]), windows[old], y[old], sites[old], windows[~old], 0.9
    )
    matrix = np.asarray(windows)
    expected = our_bounds(matrix[old], y[old], sites[old], matrix[~old], 0.9)
    np.testing.assert_allclose(np.stack([lower, upper]), expected, rtol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-50, 50))
def test_they_follow_the_unit_of_the_target_and_not_the_order_of_days(seed, unit, shift):
    rng = np.random.default_rng(seed)
    X, y, site = world(rng, 12)
    lower, upper = our_bounds(X, y, site, X[:9], 0.8)
    np.testing.assert_allclose(
        our_bounds(X, unit * y + shift, site, X[:9], 0.8), [unit * lower + shift, unit * upper + shift],
        atol=1e-6 * unit, rtol=1e-6,
    )  # fmt: skip
    order = rng.permutation(len(y))
    within = order[np.argsort(site[order], kind="stable")]  # days of each site mixed
    np.testing.assert_allclose(our_bounds(X[within], y[within], site[within], X[:9], 0.8), [lower, upper], atol=1e-6)


def world(rng, sites, least=2, most=60):
    """Sites of very unequal length with a level of their own, which their latitude (one number a site) gives away."""
    count = rng.integers(least, most, sites)
    site = np.repeat(np.arange(sites), count)
    latitude, level = rng.uniform(0, 1, sites), rng.normal(0, 1, sites)
    x = rng.normal(0, 1, len(site))
    y = x + level[site] + rng.normal(0, 0.5, len(site))
    return np.column_stack([x, 10 * latitude[site]]), y, site


def covered(model, rng, worlds, level=0.9, sites=25, folds=None):
    """Share of the days of a new site within its interval, every site counting the same."""
    shares = []
    for _ in range(worlds):
        X, y, site = world(rng, sites + 5)
        old = site < sites
        groups = site[old] if folds is None else np.arange(old.sum())
        bounds = held_out_intervals(fitting(model, X[old], y[old]), X[old], y[old], groups, X[~old], level)
        inside = (bounds[0] <= y[~old]) & (y[~old] <= bounds[1])
        shares += [inside[site[~old] == s].mean() for s in np.unique(site[~old])]
    return np.mean(shares), np.std(shares) / np.sqrt(len(shares))


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_they_cover_at_sites_never_seen(level):
    """400 new sites: the mean of their coverage is the level, to three standard errors."""
    share, error = covered(LinearRegression(), np.random.default_rng(0), worlds=80, level=level)
    assert share == pytest.approx(level, abs=3 * error)
    assert error < 0.02


def test_inner_folds_of_days_would_not_cover():
    """A model that knows the sites by heart: its residuals on other days of them are far too small."""
    knows = KNeighborsRegressor(3)
    by_day, _ = covered(knows, np.random.default_rng(1), worlds=20, folds="days")
    by_site, error = covered(knows, np.random.default_rng(1), worlds=20)
    assert by_day < 0.75
    assert by_site > 0.9 - 3 * error


def table(sites=14, days=25):
    return flat(sites, days, seed=4)


def test_the_benchmark_fills_the_bounds_and_scores_them():
    result = run(table(), features=LINE, intervals=0.9)
    rows = result.predictions
    assert rows[["lower", "upper"]].notna().all(axis=None)
    assert (rows["lower"] < rows["predicted"]).all()
    assert (rows["predicted"] < rows["upper"]).all()
    inside = (rows["observed"] >= rows["lower"]) & (rows["observed"] <= rows["upper"])
    assert result.scores["coverage"].tolist() == [pytest.approx(inside.mean())]
    assert result.scores["width"].tolist() == [pytest.approx((rows["upper"] - rows["lower"]).mean())]
    by_site = inside.groupby(rows["site"]).mean()
    assert result.site_scores.set_index("site")["coverage"].to_dict() == pytest.approx(by_site.to_dict())
    assert result.record["intervals"] == 0.9
    assert 0.75 < inside.mean() < 0.99


def test_the_predictions_are_the_same_with_and_without():
    both = {"features": LINE, "regressors": ["ridge", "lightgbm"]}
    without, with_ = run(table(6), **both), run(table(6), **both, intervals=0.6)
    pd.testing.assert_frame_equal(
        without.predictions.drop(columns=["lower", "upper"]), with_.predictions.drop(columns=["lower", "upper"])
    )
    assert without.predictions[["lower", "upper"]].isna().all(axis=None)
    assert "coverage" not in without.scores
    assert "intervals" not in without.record


def test_a_higher_level_is_wider():
    widths = [run(table(), features=LINE, intervals=level).scores["width"].iloc[0] for level in (0.5, 0.9)]
    assert widths == sorted(widths)


def test_the_held_out_site_decides_nothing():
    """Its target changed beyond measure, its own interval is the same."""
    one, other = table(), table()
    last = other["SITE_ID"] == "XX-T13"
    other.loc[last, "GPP"] += 100
    first, second = (run(t, features=LINE, intervals=0.8).predictions for t in (one, other))
    held = (first["site"] == "XX-T13").to_numpy()
    pd.testing.assert_frame_equal(first.loc[held, ["lower", "upper"]], second.loc[held, ["lower", "upper"]])


def test_groups_reach_the_inner_fits():
    seen = []

    class Spy(LinearRegression):
        def fit(self, X, y, groups=None):
            seen.append(len(set(groups)))
            return super().fit(X, y)

    run(table(), features=LINE, regressors=[Spy()], intervals=0.8, protocol=GroupKFold(2))
    assert seen == [7, *[6] * 7] * 2


@pytest.mark.parametrize("level", [0, 1, -0.1, 90, "high", True])
def test_impossible_levels(level):
    with pytest.raises(ConfigError, match=r"level of the intervals.*between 0 and 1"):
        run(table(), features=LINE, intervals=level)


def test_too_few_sites_for_a_level():
    """Nine residuals leave a tenth of the weight to the unknown one."""
    with pytest.raises(TableError, match=r"too few training sites.*90%.*found 8 sites; expected 9 or more"):
        run(table(9), features=LINE, intervals=0.9)
    assert run(table(10), features=LINE, intervals=0.9).predictions["upper"].notna().all()
    with pytest.raises(TableError, match=r"found 8 sites; expected 12 or more"):  # 11.5 and more
        run(table(9), features=LINE, intervals=0.92)


def test_known_sites_get_intervals_too():
    result = run(table(), features=LINE, intervals=0.8, protocol=KFold(3, shuffle=True, random_state=0))
    assert result.scores["coverage"].iloc[0] > 0.7


def test_by_toml_and_in_the_report(tmp_path):
    table(11).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "b.toml").write_text(
        'target = "GPP"\nregressors = ["ridge"]\nintervals = 0.9\n[features]\nline = ["NIRv * SW"]\n'
    )
    result = benchmark(tmp_path / "t.parquet", **read_benchmark_config(tmp_path / "b.toml"), progress=False)
    folder = result.save(tmp_path / "out")
    html = (folder / "report.html").read_text()
    assert "CV+ (Barber et al. 2021) whose inner folds hold out whole sites" in html
    assert {"coverage", "width"} <= set(pd.read_csv(folder / "site_scores.csv").columns)


def test_coverage_and_width_are_told_by_vegetation_type():
    result = run(table(), features=LINE, intervals=0.8, places={"vegetation": "PFT"})
    told = result.group_scores.query("by == 'vegetation'").set_index("group")[["coverage", "width"]]
    rows = result.predictions.assign(type=lambda t: t["site"].map(result.places["vegetation"]))
    rows["inside"] = rows["observed"].between(rows["lower"], rows["upper"])
    rows["wide"] = rows["upper"] - rows["lower"]
    expected = rows.groupby("type")[["inside", "wide"]].mean()
    assert set(told.index) == {"GRA", "ENF"}
    np.testing.assert_allclose(told.loc[expected.index], expected)
