"""Paired comparisons: against scipy and statsmodels, and by simulation where the truth is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon
from sklearn.metrics import r2_score
from statsmodels.stats.multitest import multipletests

from ecoembed.errors import ConfigError
from ecoembed.validation.scores import summarise, summarise_sites
from ecoembed.validation.scores.comparison import compare
from ecoembed.validation.scores.pairs import default_pairs
from tests.validation.tables import samples_of

PAIR = [(("a", "r"), ("b", "r"))]


def world(rng, sites, gap=0.0, days=20):
    """Sites that differ in level and in how well each model does there; b's noise is larger by `gap`."""
    n = sites * days
    table = pd.DataFrame(
        {
            "SITE_ID": np.repeat([f"s{k:04d}" for k in range(sites)], days),
            "date": np.tile(pd.date_range("2020-01-01", periods=days, freq="9D"), sites),
            "GPP": np.repeat(rng.normal(5, 2, sites), days) + rng.normal(0, 2, n),
            "x": 1.0,
        }
    )
    samples = samples_of(table, sets={"x": ["x"]}, places={})

    def model(extra):
        spread = np.repeat(rng.gamma(6, 0.25, sites) + extra, days)
        return samples.observed + np.repeat(rng.normal(0, 0.7, sites), days) + rng.normal(0, 1, n) * spread

    return said(samples, a=model(0.0), b=model(gap)), samples


def said(samples, regressor="r", **models):
    row = {"site": samples.site, "date": samples.date, "observed": samples.observed, "regressor": regressor}
    return pd.concat(
        [pd.DataFrame({**row, "features": k, "predicted": p}) for k, p in models.items()], ignore_index=True
    )


TABLE, SAMPLES = world(np.random.default_rng(0), 30, gap=0.5)


def test_values_differences_and_p_are_those_of_others():
    for score in ("r2", "rmse", "median_site_r2"):
        line = compare(TABLE, SAMPLES, pairs=PAIR, score=score).iloc[0]
        pooled = summarise(TABLE, SAMPLES).set_index("features")[score]
        assert line[["a", "b", "difference"]].tolist() == pytest.approx(
            [pooled["a"], pooled["b"], pooled["a"] - pooled["b"]]
        )
        errors = summarise_sites(TABLE, SAMPLES).pivot_table(index="site", columns="features", values="rmse")
        assert line["wilcoxon_p"] == pytest.approx(wilcoxon(errors["a"], errors["b"]).pvalue)
        assert line["sites_a_better"] == (errors["a"] < errors["b"]).sum()
        assert line["sites"] == 30


def test_the_interval_is_that_of_a_plain_bootstrap_of_sites():
    rng, parts = np.random.default_rng(5), dict(list(TABLE.groupby("site")))
    names, differences = list(parts), []
    for _ in range(400):
        drawn = pd.concat([parts[name] for name in rng.choice(names, len(names))])
        scores = [r2_score(p["observed"], p["predicted"]) for _, p in drawn.groupby("features")]
        differences.append(scores[0] - scores[1])
    line = compare(TABLE, SAMPLES, pairs=PAIR).iloc[0]
    expected = np.quantile(differences, [0.0189, 0.9811])  # 2.5 % at 30 sites, expanded: norm(sqrt(30/29) t)
    assert [line["lower"], line["upper"]] == pytest.approx(expected, abs=0.15 * np.ptp(expected))


def test_few_sites_widen_the_interval_as_student_t_does():
    """A difference that is normal over the resamples: 1.96 standard errors become t of n - 1, over (n - 1) / n."""
    from scipy.stats import norm, t

    few = TABLE[TABLE["site"].isin(sorted(set(TABLE["site"]))[:6])]
    narrow, wide = (norm.ppf(tail) for tail in (0.025, norm.cdf(np.sqrt(6 / 5) * t.ppf(0.025, 5))))
    line = compare(few, SAMPLES, pairs=PAIR).iloc[0]
    rng, parts, differences = np.random.default_rng(1), dict(list(few.groupby("site"))), []
    for _ in range(150):
        drawn = pd.concat([parts[name] for name in rng.choice(list(parts), 6)])
        scores = [r2_score(p["observed"], p["predicted"]) for _, p in drawn.groupby("features")]
        differences.append(scores[0] - scores[1])
    plain = np.ptp(np.quantile(differences, [0.025, 0.975]))
    assert wide / narrow == pytest.approx(1.44, abs=0.01)
    assert line["upper"] - line["lower"] > 1.1 * plain


def test_both_sides_of_a_pair_say_the_same():
    one, two = (compare(TABLE, SAMPLES, pairs=pairs).iloc[0] for pairs in (PAIR, [PAIR[0][::-1]]))
    assert one["says"] == two["says"]
    assert one["says"].startswith("a (r) beats b (r): r2 ")
    assert f"smaller error at {one['sites_a_better']} of 30 sites" in one["says"]
    assert [one["lower"], one["upper"]] == pytest.approx([-two["upper"], -two["lower"]])
    assert compare(TABLE, SAMPLES, pairs=PAIR, score="rmse")["says"].iloc[0].startswith("a (r) beats b (r): rmse ")


def test_p_is_corrected_for_all_pairs_printed():
    rng = np.random.default_rng(3)
    models = {f"m{k}": SAMPLES.observed + rng.normal(0, 1 + 0.05 * k, 600) for k in range(5)}
    pairs = [((f"m{i}", "r"), (f"m{j}", "r")) for i in range(5) for j in range(i)]
    found = compare(said(SAMPLES, **models), SAMPLES, pairs=pairs, resamples=100)
    assert found["holm_p"].tolist() == pytest.approx(multipletests(found["wilcoxon_p"], method="holm")[1])
    assert (found["says"].str.contains(" beats ") <= (found["holm_p"] < 0.05)).all()


def test_one_good_site_is_no_victory():
    """a is far better where most days are, and a little worse at every other site: pooled r2 alone would cheer."""
    observed, site = SAMPLES.observed, SAMPLES.site
    a = observed + np.where(site == "s0000", 0.0, 1.01)
    b = observed + np.where(site == "s0000", 30.0, 1.0)
    line = compare(said(SAMPLES, a=a, b=b), SAMPLES, pairs=PAIR).iloc[0]
    assert line["difference"] > 0.5
    assert line["says"].startswith("no difference shown")


def test_equal_models_are_a_draw():
    line = compare(said(SAMPLES, a=SAMPLES.observed + 1, b=SAMPLES.observed + 1), SAMPLES, pairs=PAIR).iloc[0]
    assert line[["difference", "lower", "upper", "sites_a_better", "wilcoxon_p", "holm_p"]].tolist() == [
        0,
        0,
        0,
        0,
        1,
        1,
    ]
    assert line["says"].startswith("no difference shown")


def test_what_cannot_be_compared_says_why():
    rng = np.random.default_rng(0)
    line = compare(*world(rng, 1), pairs=PAIR).iloc[0]
    assert line[["lower", "upper", "wilcoxon_p", "holm_p"]].isna().all()
    assert "one site alone proves nothing" in line["says"]
    assert (
        "interannual_r2 is not defined for both"
        in compare(TABLE, SAMPLES, pairs=PAIR, score="interannual_r2")["says"][0]
    )
    table, two = world(rng, 2)
    assert "of the resamples only" in compare(table, two, pairs=PAIR, score="across_site_r2")["says"][0]
    assert compare(table, two, pairs=PAIR)["says"][0].startswith("no difference shown")


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"score": "anomally_r2"}, "Did you mean"),
        ({"pairs": [(("a", "r"), ("c", "r"))]}, "not scored"),
        ({"resamples": 10}, "100 or more"),
    ],
)
def test_impossible_comparisons(wrong, match):
    with pytest.raises(ConfigError, match=match):
        compare(TABLE, SAMPLES, **wrong)


def test_measured_days_are_compared_where_they_are_known():
    measured = np.arange(600) % 2 == 0
    samples = dataclasses.replace(SAMPLES, measured=measured)
    line = compare(TABLE, samples, pairs=PAIR).iloc[0]
    part = TABLE[(TABLE["features"] == "a") & np.tile(measured, 2)]
    assert line["days"] == "measured"
    assert line["a"] == pytest.approx(r2_score(part["observed"], part["predicted"]))


def test_neither_the_order_of_rows_nor_another_run_changes_anything():
    one = compare(TABLE, SAMPLES)
    pd.testing.assert_frame_equal(one, compare(TABLE.sample(frac=1, random_state=1), SAMPLES))
    assert not one.equals(compare(TABLE, SAMPLES, seed=1))


def test_default_pairs():
    r2 = {
        (features, regressor): score
        for features, ridge, forest in [
            ("nirv_x_radiation", 0.69, 0.6), ("bands", 0.5, 0.6), ("embeddings", 0.4, 0.7), ("bands+meteo", 0.6, 0.65),
            ("meteo", 0.1, 0.2), ("meteo+embeddings", 0.7, 0.6), ("embeddings:random", 0.3, 0.2),
            ("p_model+meteo", 0.75, 0.7),
        ]
        for regressor, score in (("ridge", ridge), ("forest", forest))
    }  # fmt: skip
    pairs = set(default_pairs(r2))
    best = {"bands": "forest", "embeddings": "forest", "meteo+embeddings": "ridge"}
    for name in ("bands", "embeddings"):  # the baseline with the same regressor, and with its own best
        assert {((name, best[name]), ("nirv_x_radiation", r)) for r in ("ridge", "forest")} <= pairs
    assert (("meteo+embeddings", "ridge"), ("bands+meteo", "ridge")) in pairs
    assert (("meteo+embeddings", "ridge"), ("bands+meteo", "forest")) in pairs
    assert (("meteo+embeddings", "ridge"), ("meteo", "ridge")) in pairs
    assert (("meteo+embeddings", "ridge"), ("p_model+meteo", "ridge")) in pairs
    assert (("embeddings", "forest"), ("embeddings:random", "forest")) in pairs
    assert (("embeddings", "forest"), ("meteo", "forest")) in pairs
    assert not any(a[0] == "nirv_x_radiation" or a == b for a, b in pairs)
    two = {("light", "ridge"): 0.4, ("all", "ridge"): 0.5, ("light", "forest"): float("nan")}
    assert list(default_pairs(two)) == [(("all", "ridge"), ("light", "ridge"))]
    assert list(default_pairs({("one", "ridge"): 0.3})) == []


def simulate(rounds, sites, gap, score="r2"):
    """Share of rounds whose interval holds the true difference, and in which either model is said to beat the other."""
    rng = np.random.default_rng(1)
    table, many = world(rng, 10_000, gap)
    pooled = summarise(table, many).set_index("features")[score]
    truth, held, won = pooled["a"] - pooled["b"] if gap else 0.0, 0, 0
    for _ in range(rounds):
        line = compare(*world(rng, sites, gap), pairs=PAIR, score=score, resamples=500).iloc[0]
        held += line["lower"] <= truth <= line["upper"]
        won += " beats " in line["says"]
    return held / rounds, won / rounds


def test_intervals_hold_the_truth_and_chance_seldom_wins():
    held, won = simulate(150, 12, gap=0.0)
    assert held >= 0.91  # of 150 rounds at 95 %: two standard errors are 0.036
    assert won <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize("score", ["r2", "rmse", "median_site_r2"])
@pytest.mark.parametrize("sites", [12, 36])
@pytest.mark.parametrize("gap", [0.0, 0.4])
def test_intervals_hold_the_truth(score, sites, gap):
    held, won = simulate(400, sites, gap, score)
    assert 0.92 <= held <= 0.99
    assert won <= 0.06 if gap == 0 else won > 0.08
