import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import stats

from ecoembed.errors import TableError, TrainingError
from ecoembed.gpp import mixed
from ecoembed.gpp.mixed import MixedModel, effects


def towers(sites=20, days=40, seed=0, level=1.5, slope=0.0, smooth=0.0):
    """Light and air, a level and a slope of each site's own, noise with the memory `smooth`."""
    rng = np.random.default_rng(seed)
    names = np.repeat([f"XX-{k:02d}" for k in range(sites)], days)
    X = pd.DataFrame({"light": rng.normal(200, 80, sites * days), "air": rng.normal(10, 6, sites * days)})
    noise = rng.normal(0, 1, (sites, days))
    for t in range(1, days):
        noise[:, t] = smooth * noise[:, t - 1] + np.sqrt(1 - smooth**2) * noise[:, t]
    own = np.repeat(rng.normal(0.02, slope, sites), days)
    y = 3 + own * X["light"] + 0.1 * X["air"] + np.repeat(rng.normal(0, level, sites), days) + noise.ravel()
    return X, y.to_numpy(), names


def standardised(X):
    return (X - X.mean()) / X.std(ddof=0)


def test_effects_are_those_of_statsmodels():
    X, y, names = towers(slope=0.01)
    table = effects(X, y, names).set_index("term")
    frame = standardised(X).assign(y=y, site=names)
    theirs = smf.mixedlm("y ~ light + air", frame, groups="site", re_formula="~light").fit(reml=True)
    np.testing.assert_allclose(table.loc[["intercept", "light", "air"], "estimate"], theirs.fe_params, rtol=1e-4)
    variances = ["variance among sites", "variance of the slope of light", "variance within sites"]
    expected = [theirs.cov_re.iloc[0, 0], theirs.cov_re.iloc[1, 1], theirs.scale]
    np.testing.assert_allclose(table.loc[variances, "estimate"], expected, rtol=1e-3)
    assert table.loc["ICC", "estimate"] == pytest.approx(expected[0] / (expected[0] + expected[2]), rel=1e-3)
    assert table.loc[[*variances, "ICC"], ["standard error", "lower", "upper", "p"]].isna().all(axis=None)


def test_standard_errors_are_those_of_a_generalised_estimating_equation():
    """Same working covariance (exchangeable within a site), same sandwich: another implementation."""
    X, y, names = towers(sites=30, smooth=0.5)
    table = effects(X, y, names).set_index("term")
    assert "no slope by site" in table.attrs["note"]
    design = sm.add_constant(standardised(X))
    theirs = sm.GEE(y, design, groups=names, cov_struct=sm.cov_struct.Exchangeable()).fit()
    got = table.loc[["intercept", "light", "air"]]
    np.testing.assert_allclose(got["estimate"], theirs.params, rtol=0.01, atol=0.01)
    np.testing.assert_allclose(got["standard error"], theirs.bse * np.sqrt(30 / 29), rtol=0.02)


def test_standard_errors_with_a_slope_are_those_of_the_formula():
    """Each site's covariance written out and inverted; Student's t of the sites less one, on both sides."""
    X, y, names = towers(slope=0.01, smooth=0.5)
    table = effects(X, y, names, level=0.9).set_index("term").loc[["intercept", "light", "air"]]
    frame = standardised(X).assign(y=y, site=names)
    fit = smf.mixedlm("y ~ light + air", frame, groups="site", re_formula="~light").fit(reml=True)
    design = sm.add_constant(standardised(X)).to_numpy()
    bread, meat = np.zeros((3, 3)), np.zeros((3, 3))
    for site in np.unique(names):
        D = design[names == site]
        inverse = np.linalg.inv(D[:, :2] @ fit.cov_re.to_numpy() @ D[:, :2].T + fit.scale * np.eye(len(D)))
        score = D.T @ inverse @ (y[names == site] - D @ fit.fe_params.to_numpy())
        bread, meat = bread + D.T @ inverse @ D, meat + np.outer(score, score)
    covariance = np.linalg.inv(bread) @ meat @ np.linalg.inv(bread) * 20 / 19
    error = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(table["standard error"], error, rtol=1e-3)
    reach = stats.t.ppf(0.95, 19) * table["standard error"]
    np.testing.assert_allclose(table["upper"] - table["estimate"], reach)
    np.testing.assert_allclose(table["estimate"] - table["lower"], reach)
    np.testing.assert_allclose(table["p"], 2 * stats.t.cdf(-(table["estimate"] / table["standard error"]).abs(), 19))


def test_the_slope_that_differs_is_that_of_the_largest_effect_whatever_its_sign():
    X, y, names = towers(slope=0.01)
    falls = y - 4 * standardised(X)["air"].to_numpy() * (1 + np.repeat(np.random.default_rng(1).normal(0, 0.3, 20), 40))
    assert MixedModel().fit(X.to_numpy(), falls, groups=names).slope_ == 1


def test_the_rows_drawn_follow_the_seed():
    X, y, names = towers()
    one, two, other = (MixedModel(300, seed).fit(X.to_numpy(), y, groups=names).coef_ for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.isclose(one, other, rtol=1e-6).any()


def test_of_many_rows_a_draw_even_over_the_sites_tells_the_same_effects():
    """One record is thirty times as long as the others: it counts as one site, not as thirty."""
    X, y, names = towers(sites=60, days=120, slope=0.003, seed=1)
    rows = np.append(np.arange(len(y)), np.tile(np.flatnonzero(names == "XX-00"), 30))
    X, y, names = X.iloc[rows].reset_index(drop=True), y[rows], names[rows]
    table = effects(X, y, names, most=3000)
    assert table["n"].tolist() == [3000] * len(table)
    spread = X.std(ddof=0)
    known = table.set_index("term")
    for term, truth in (("light", 0.02), ("air", 0.1)):
        assert known.loc[term, "lower"] < truth * spread[term] < known.loc[term, "upper"]
        assert known.loc[term, "estimate"] == pytest.approx(truth * spread[term], rel=0.1)
    pd.testing.assert_frame_equal(table, effects(X, y, names, most=3000))
    other = effects(X, y, names, most=3000, seed=1)
    assert not np.allclose(other["estimate"], table["estimate"], rtol=1e-6)
    assert set(effects(*towers())["n"]) == {800}


@pytest.mark.slow
def test_intervals_hold_the_truth_though_days_resemble_each_other():
    """Memory of days and a predictor with memory: the likelihood's own errors are far too small, the sandwich's not."""
    held, naive = [], []
    for seed in range(30):
        X, y, names = towers(sites=25, days=30, seed=seed, smooth=0.9)
        y = y - 0.02 * X["light"] - 0.1 * X["air"]
        walk = np.cumsum(np.random.default_rng(1000 + seed).normal(size=(25, 30)), axis=1).ravel()
        soil = pd.DataFrame({"soil": walk})  # of no effect
        row = effects(soil, y, names).iloc[1]
        held.append(row["lower"] <= 0 <= row["upper"])
        frame = standardised(soil).assign(y=y, site=names)
        low, high = smf.mixedlm("y ~ soil", frame, groups="site").fit().conf_int().loc["soil"]
        naive.append(low <= 0 <= high)
    assert np.mean(held) >= 0.88
    assert np.mean(naive) < 0.8


def test_unseen_sites_are_predicted_by_the_fixed_effects():
    X, y, names = towers(sites=40, slope=0.005)
    seen = names < "XX-30"
    model = MixedModel().fit(X[seen].to_numpy(), y[seen], groups=names[seen])
    assert (model.slope_, model.note_) == (0, None)
    frame = X.assign(y=y, site=names)
    z = (X - X[seen].mean()) / X[seen].std(ddof=0)
    theirs = smf.mixedlm("y ~ light + air", frame.assign(**z)[seen], groups="site", re_formula="~light").fit()
    expected = theirs.predict(frame.assign(**z)[~seen])
    np.testing.assert_allclose(model.predict(X[~seen].to_numpy()), expected, rtol=1e-3, atol=1e-3)


def test_a_fit_without_a_maximum_falls_back_and_says_so(monkeypatch):
    """With the slope the optimiser fails: the intercept alone is left. Without it, too: a typed error."""
    fit = mixed._fit
    X, y, names = towers(slope=0.01)
    monkeypatch.setattr(mixed, "_fit", lambda d, y, s, r: fit(d, y, s, r) if len(r) == 1 else (None, "no maximum"))
    table = effects(X, y, names)
    assert table.attrs["note"] == "no slope by site: no maximum"
    assert "variance of the slope of light" not in set(table["term"])
    monkeypatch.setattr(mixed, "_fit", lambda *_: (None, "no maximum"))
    with pytest.raises(TrainingError, match=r"cannot be fitted: no maximum.*800 rows, 2 predictors.*fewer predictors"):
        effects(X, y, names)


def test_columns_without_news_are_left_out_and_named():
    X, y, names = towers()
    more = X.assign(constant=1.0, twice=2 * X["light"] + 3, both=X["light"] - X["air"])
    table = effects(more, y, names)
    told = "a sum of the columns before it"
    assert table.attrs["left_out"] == {"constant": "never changes", "twice": told, "both": told}
    pd.testing.assert_frame_equal(table, effects(X, y, names), check_exact=False, rtol=1e-6)
    plain, wide = (MixedModel().fit(Z.to_numpy(), y, groups=names).predict(Z.to_numpy()) for Z in (X, more))
    np.testing.assert_allclose(plain, wide, atol=1e-6)


def test_no_warning_of_statsmodels_reaches_the_user(recwarn):
    X, y, names = towers(sites=3, days=5, level=0.0)
    effects(X.assign(**{f"x{k}": np.random.default_rng(k).normal(size=15) for k in range(6)}), y, names)
    assert [str(w.message) for w in recwarn] == []


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda X, y, names: (X, y, np.repeat("XX-00", len(y))), "compares sites.*found 1 site"),
        (lambda X, y, names: (X * 0, y, names), "no predictor varies"),
    ],
)
def test_unusable_tables(change, match):
    with pytest.raises(TableError, match=match):
        effects(*change(*towers()))
    X, y, names = change(*towers())
    with pytest.raises(TableError, match=match):
        MixedModel().fit(X, y, groups=names)


def test_a_mixed_model_needs_the_sites():
    X, y, _ = towers()
    with pytest.raises(TableError, match="needs the site of each row"):
        MixedModel().fit(X, y)


@settings(max_examples=5, deadline=None, phases=[Phase.generate])
@given(st.floats(0.01, 100), st.floats(-1000, 1000), st.integers(0, 1000))
def test_neither_units_nor_the_order_of_rows_matter(factor, shift, seed):
    X, y, names = towers(sites=12, days=20, seed=seed, slope=0.02)
    other = X.assign(light=X["light"] * factor + shift)
    pd.testing.assert_frame_equal(effects(X, y, names), effects(other, y, names), rtol=1e-3, atol=1e-3)
    order = np.random.default_rng(seed).permutation(len(y))
    shuffled = effects(X.iloc[order], y[order], names[order])
    pd.testing.assert_frame_equal(effects(X, y, names), shuffled, rtol=1e-3, atol=1e-3)


def test_real_light_use(real):
    """NIRv x radiation at 36 towers: more light, more GPP; towers differ in level and in slope."""
    table = pd.read_csv(real / "tables" / "prithvi_hls_merra2_gpp_36sites.csv")
    light = pd.DataFrame({"light": table["NIRv"] * table["SWLAND"]})
    found = effects(light, table["GPP"], table["SITE_ID"]).set_index("term")
    assert found.loc["light", "lower"] > 0
    assert found.loc["light", "p"] < 0.001
    assert 0 < found.loc["ICC", "estimate"] < 1
    assert found.loc["variance of the slope of light", "estimate"] > 0


@pytest.mark.parametrize("seed", [8, 15, 17, 18, 21, 27, 31, 50, 56])
def test_sites_that_do_not_differ_leave_the_intercept_where_it_is(seed):
    """At the border of no variance among sites statsmodels' own optimisers call an intercept of 0 converged."""
    rng = np.random.default_rng(seed)
    x, sites = rng.normal(size=360), np.repeat(np.arange(6), 60)
    y = 8 + 2.6 * x + rng.normal(0, 2.4, 360)
    model = MixedModel().fit(x[:, None], y, groups=sites)
    line = np.polyfit(x, y, 1)
    np.testing.assert_allclose([model.coef_[0], model.intercept_], line, atol=0.1)
