"""Tables of scores: against scikit-learn and plain pandas, day by day and family by family."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from ecoembed.errors import TableError
from ecoembed.validation.samples import Samples
from ecoembed.validation.scores import noise_ceiling, summarise, summarise_groups, summarise_sites, undefined
from ecoembed.validation.scores.families import evaluate
from ecoembed.validation.scores.tables import sums_of
from tests.validation import formulas
from tests.validation.tables import samples_of

POOLED = ("r2", "pearson_r2", "rmse", "nrmse", "mae", "bias", "kge")


def world(lengths=(2200, 800, 700, 20, 1), seed=0) -> Samples:
    """Daily sites with a level, a season, years and weather of their own; some days not measured."""
    rng, parts = np.random.default_rng(seed), []
    for k, days in enumerate(lengths):
        date = pd.date_range("2010-03-01", periods=days)
        season = 3 * np.sin((date.dayofyear - 100) / 365 * 2 * np.pi)
        gpp = 5 + k + season + 0.3 * (date.year % 3) + rng.normal(0, 1, days)
        parts.append(
            pd.DataFrame({"SITE_ID": f"XX-{k}", "date": date, "GPP": gpp, "VPD": rng.gamma(2, 3, days), "PFT": "GRA"})
        )
    table = pd.concat(parts, ignore_index=True).assign(QC=lambda t: rng.random(len(t)))
    quality = {"column": "QC", "min": 0.3, "days": "all"}
    return samples_of(table, sets={"meteo": ["VPD"]}, quality=quality, variants=(), noise=None)


def predicted(samples: Samples, seed=1, **models) -> pd.DataFrame:
    """A `PredictionTable`; by default one model that knows the truth but for a bias, a slope and noise."""
    rng = np.random.default_rng(seed)
    models = models or {"f": 1 + 0.8 * samples.observed + rng.normal(0, 1, len(samples.observed))}
    rows = {"site": samples.site, "date": samples.date, "observed": samples.observed, "regressor": "r"}
    parts = [pd.DataFrame({**rows, "features": name, "predicted": p}) for name, p in models.items()]
    return pd.concat(parts, ignore_index=True)


SAMPLES = world()
PREDICTIONS = predicted(SAMPLES)


def only(table, days="all"):
    return table[table["days"] == days].iloc[0]


@pytest.mark.parametrize("days", ["all", "measured"])
def test_pooled_and_site_scores_are_those_of_the_plain_functions(days):
    kept = np.ones(len(PREDICTIONS), dtype=bool) if days == "all" else SAMPLES.measured
    rows = PREDICTIONS[kept]
    sites = summarise_sites(PREDICTIONS, SAMPLES).query("days == @days").set_index("site")
    groups = dict(list(rows.groupby("site")))
    pooled = only(summarise(PREDICTIONS, SAMPLES), days)
    for found, part in [(pooled, rows), *((sites.loc[name], part) for name, part in groups.items())]:
        observed, said = part["observed"].to_numpy(), part["predicted"].to_numpy()
        assert found["n"] == len(part)
        for name in POOLED:
            assert found[name] == pytest.approx(getattr(formulas, name)(observed, said), nan_ok=True), name
    assert set(sites.index) == set(groups)


def test_quantiles_over_sites_leave_out_those_without_r2():
    pooled, sites = only(summarise(PREDICTIONS, SAMPLES)), summarise_sites(PREDICTIONS, SAMPLES).query("days == 'all'")
    r2 = sites["r2"].dropna()
    assert len(r2) == 4  # one site has one day
    assert pooled["median_site_r2"] == pytest.approx(r2.median())
    assert pooled["q25_site_r2"] == pytest.approx(r2.quantile(0.25))
    assert pooled["q75_site_r2"] == pytest.approx(r2.quantile(0.75))
    assert pooled["sites_below_zero"] == pytest.approx((r2 < 0).mean())


def slow_families(rows: pd.DataFrame) -> dict[str, float]:
    """The families by pandas, one group after the other, as they are described."""
    rows = rows.assign(month=rows["date"].dt.month, year=rows["date"].dt.year)
    both, found, anomalies, cycles = ["observed", "predicted"], {}, [], []
    means = rows.groupby("site")[both].mean()
    found["across_site_r2"] = r2_score(means["observed"], means["predicted"])
    for site, part in rows.groupby("site"):
        monthly = part.groupby("month")[both].mean()
        usual = part.groupby("month")["year"].agg(np.ptp) > 0
        if len(monthly) > 1:
            cycles.append(monthly - monthly.mean())
        for _, day in part.iterrows():
            if not usual[day["month"]]:
                continue
            off = (day["date"].day - 0.5) / day["date"].days_in_month - 0.5
            near = (day["month"] - 1 + (-1 if off < 0 else 1)) % 12 + 1
            share = abs(off) if usual.get(near, False) else 0.0
            cycle = (1 - share) * monthly.loc[day["month"]] + (share * monthly.loc[near] if share else 0)
            anomalies.append({"site": site, "year": day["year"], **(day[both] - cycle)})
    cycle, anomaly = pd.concat(cycles), pd.DataFrame(anomalies)
    found["seasonal_cycle_r2"] = r2_score(cycle["observed"], cycle["predicted"])
    found["anomaly_r2"] = r2_score(anomaly["observed"], anomaly["predicted"])
    annual = anomaly.groupby(["site", "year"])[both].agg(["mean", "size"])
    annual = annual[annual["observed", "size"] >= 30].xs("mean", axis=1, level=1)
    annual = annual[annual.groupby("site")["observed"].transform("size") >= 5]
    annual = annual - annual.groupby("site").transform("mean")
    found["interannual_r2"] = r2_score(annual["observed"], annual["predicted"])
    years = rows.groupby(["site", "year"])[both].agg(["mean", "size"])
    years = years[years["observed", "size"] >= 300].xs("mean", axis=1, level=1)
    length = np.where(years.index.get_level_values("year") % 4 == 0, 366, 365)
    error = (years["predicted"] - years["observed"]) * length
    return found | {
        "annual_sums": len(error), "annual_sum_bias": error.mean(), "annual_sum_rmse": np.sqrt((error**2).mean()),
    }  # fmt: skip


def test_families_are_those_of_plain_pandas():
    pooled = only(summarise(PREDICTIONS, SAMPLES))
    slow = slow_families(PREDICTIONS)
    assert slow["annual_sums"] == 10
    assert {name: pooled[name] for name in slow} == pytest.approx(slow)


def test_a_seasonal_curve_has_the_cycle_and_nothing_beyond():
    season = 3 * np.sin((SAMPLES.date.dayofyear.to_numpy() - 100) / 365 * 2 * np.pi)
    level = pd.Series(SAMPLES.observed).groupby(SAMPLES.site).transform("mean").to_numpy()
    pooled = only(summarise(predicted(SAMPLES, curve=level + season), SAMPLES))
    assert pooled["seasonal_cycle_r2"] > 0.95
    assert abs(pooled["anomaly_r2"]) < 0.03  # month means in steps would give it 0.2
    assert abs(pooled["interannual_r2"]) < 0.2


def test_a_resample_scores_as_its_sites_would():
    """Weights are how often a site is drawn: the same as a table in which it stands so often, under other names."""
    samples = world((2200, 800, 400, 300))
    table = predicted(samples)
    (_, _, _, sums), *_ = (line for line in sums_of(table, samples) if line[2] == "all")
    weights = np.array([[3, 0, 2, 1], [0, 1, 0, 2], [1, 1, 1, 1]])
    found = evaluate(sums, weights)
    for b, counts in enumerate(weights):
        names = [(k, name) for name, n in zip(sums.sites, counts, strict=True) for k in range(n)]
        rows = [(k, np.flatnonzero(samples.site == name)) for k, name in names]
        take = np.concatenate([r for _, r in rows])
        names = np.concatenate([[f"{samples.site[r[0]]}-{k}"] * len(r) for k, r in rows]).astype(object)
        copied = dataclasses.replace(
            samples, site=names, date=samples.date[take], observed=samples.observed[take], measured=None,
            places=samples.places.iloc[[0]].reindex(pd.Index(np.unique(names))),
        )  # fmt: skip
        ((_, _, _, own),) = sums_of(predicted(copied, f=table["predicted"].to_numpy()[take]), copied)
        scores = evaluate(own, np.ones((1, len(own.sites))))
        for name, value in scores.items():
            assert found[name][b] == pytest.approx(value[0], nan_ok=True, abs=1e-9), name


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(8)), st.integers(0, 2**32 - 1))
def test_neither_the_order_of_rows_nor_the_names_of_sites_matter(names, seed):
    samples = world((400, 90, 30, 30, 12, 5, 2, 1))
    table = predicted(samples, f=samples.observed + 1, g=samples.observed * 0.5)
    pd.testing.assert_frame_equal(
        summarise(table, samples), summarise(table.sample(frac=1, random_state=seed), samples)
    )
    new = dict(zip(samples.places.index, [f"YY-{k}" for k in names], strict=True))
    renamed = dataclasses.replace(
        samples, site=np.array([new[s] for s in samples.site], dtype=object),
        places=samples.places.rename(index=new).sort_index(),
    )  # fmt: skip
    pd.testing.assert_frame_equal(
        summarise(table, samples), summarise(table.assign(site=table["site"].map(new)), renamed), rtol=1e-9
    )


def test_measured_days_come_first_and_the_best_first_among_them():
    worse = SAMPLES.observed + np.where(SAMPLES.measured, 3.0, 0.0)
    table = summarise(predicted(SAMPLES, a=SAMPLES.observed, worse=worse, b=SAMPLES.observed + 1), SAMPLES)
    assert list(zip(table["days"], table["features"], strict=True)) == [
        ("measured", "a"), ("measured", "b"), ("measured", "worse"), ("all", "a"), ("all", "b"), ("all", "worse"),
    ]  # fmt: skip
    assert table["n"].tolist()[0] == SAMPLES.measured.sum()


def test_models_are_scored_on_one_set_of_rows():
    table = predicted(SAMPLES, a=SAMPLES.observed, b=SAMPLES.observed)
    with pytest.raises(TableError, match="different rows"):
        summarise(table.drop(index=5), SAMPLES)
    with pytest.raises(TableError, match="another target"):
        summarise(table.assign(observed=table["observed"] + 1), SAMPLES)
    with pytest.raises(TableError, match="no sample"):
        summarise(table.assign(site=table["site"].replace("XX-1", "XX-9")), SAMPLES)


def test_rows_that_no_fold_tests_are_not_scored():
    part = PREDICTIONS[PREDICTIONS["date"].dt.year > 2010]
    assert only(summarise(part, SAMPLES))["n"] == len(part)


def test_intervals_are_scored_where_there_are_some():
    table = predicted(SAMPLES, a=SAMPLES.observed, b=SAMPLES.observed + 3)
    table = table.assign(lower=table["predicted"] - 1, upper=table["predicted"] + 1)
    table.loc[table["features"] == "b", ["lower", "upper"]] = np.nan
    scores = summarise(table, SAMPLES).query("days == 'all'").set_index("features")
    assert scores.loc["a", ["coverage", "width"]].tolist() == pytest.approx([1, 2])
    assert scores.loc["b", ["coverage", "width"]].isna().all()
    assert "coverage" not in summarise(PREDICTIONS, SAMPLES)
    causes = {(u["features"], u["score"]): u["cause"] for u in undefined(scores=summarise(table, SAMPLES))}
    assert causes["b", "coverage"] == "no intervals were computed for this model"


def causes(table, samples):
    tables = {"scores": summarise(table, samples), "site_scores": summarise_sites(table, samples)}
    found = undefined(**tables)
    nans = sum(int(t.select_dtypes("number").isna().sum().sum()) for t in tables.values())
    assert len(found) == nans == len({(u["table"], u["where"], u["score"]) for u in found})
    return {(u["where"], u["score"]): u["cause"] for u in found}


def small(*sites):
    """Sites that observe just these values, a day each from 1 January 2020 on."""
    rows = [(f"s{k}", day, value) for k, values in enumerate(sites) for day, value in enumerate(values)]
    table = pd.DataFrame(rows, columns=["SITE_ID", "day", "GPP"])
    table["date"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(table.pop("day"), unit="D")
    return samples_of(table.assign(x=1.0, PFT="GRA"), sets={"x": ["x"]})


def test_every_undefined_score_has_its_cause():
    samples = small([1.0], [2.0, 2.0, 2.0, 2.0], [-1.0, 1.0, -2.0, 2.0], [1.0, 3.0, 2.0, 4.0])
    found = causes(predicted(samples, f=np.array([1.0, 2, 3, 2, 3, -1, 1, 2, 2, 5, 5, 5, 5])), samples)
    assert found["s0, all days", "r2"] == found["s0, all days", "kge"] == "only one day"
    assert found["s1, all days", "r2"] == found["s1, all days", "pearson_r2"] == "the observed values are all the same"
    assert found["s2, all days", "nrmse"] == "the observed mean is not positive"
    assert found["s2, all days", "kge"] == "the observed mean is zero"
    assert found["s3, all days", "kge"] == found["s3, all days", "pearson_r2"] == "the predictions are all the same"
    assert found["all days", "seasonal_cycle_r2"] == "no site has days of two months of the year"
    assert found["all days", "anomaly_r2"] == "no site has days of one month in two years"
    assert found["all days", "interannual_r2"].startswith("no site has 5 years")
    assert found["all days", "annual_sum_rmse"] == "no site has a year of 300 scored days"
    assert ("s0, all days", "rmse") not in found


def test_one_site_and_sites_without_r2():
    assert causes(predicted(one := small([1.0, 2.0, 4.0])), one)["all days", "across_site_r2"] == "only one site"
    found = causes(predicted(two := small([1.0], [2.0, 2.0])), two)
    assert found["all days", "median_site_r2"].startswith("r2 is defined at no site")
    found = causes(predicted(same := small([1.0, 3.0], [3.0, 1.0])), same)
    assert found["all days", "across_site_r2"] == "the sites' observed means are all the same"


def test_scores_of_tiny_deviations_far_from_the_mean_are_exact():
    """Sums of squares cancel: here the level of a site is 10 000 times its spread."""
    rng = np.random.default_rng(3)
    samples = small(1e4 + rng.normal(0, 1, 50), rng.normal(0, 1, 50))
    table = predicted(samples, f=samples.observed + rng.normal(0, 0.5, 100))
    for _, part in table.groupby("site"):
        found = summarise_sites(table, samples).set_index("site").loc[part["site"].iloc[0], "r2"]
        assert found == pytest.approx(r2_score(part["observed"], part["predicted"]), rel=1e-6)


def test_the_noise_ceiling_is_what_the_truth_would_score():
    rng = np.random.default_rng(0)
    n, true = 20_000, rng.normal(5, 3, 20_000)
    nt, dt, random = rng.normal(0, 0.8, n), rng.normal(0, 0.8, n), rng.normal(0, 0.5, n)
    base = samples_of()
    samples = dataclasses.replace(
        base, observed=true + nt + random, measured=None, noise=np.full(n, 0.5),
        variants={"GPP_DT_VUT_REF": true + dt + random},
    )  # fmt: skip
    ceiling = noise_ceiling(samples)
    assert ceiling["r2"] == pytest.approx(r2_score(samples.observed, true), abs=0.01)
    assert ceiling["rmse"] == pytest.approx(formulas.rmse(samples.observed, true), rel=0.02)
    parts = ceiling["contributions"]
    assert parts["partitioning"]["rmse"] == pytest.approx(0.8, rel=0.02)
    assert parts["random"]["rmse"] == 0.5
    assert parts["partitioning"]["of"] == ["GPP_DT_VUT_REF"]
    assert "u* threshold" in parts["ustar"]["not_known"]
    assert "no other estimate" in noise_ceiling(base)["not_known"]
    empty = dataclasses.replace(samples, noise=None, variants={"GPP_NT_VUT_16": np.full(n, np.nan)})
    assert "no day has GPP_NT_VUT_16" in noise_ceiling(empty)["not_known"]


def test_a_high_pooled_r2_does_not_hide_that_only_levels_are_known():
    """A model that knows how green each place is, and nothing of its days: all that the pooled r2 does not say."""
    samples = world(lengths=(2200, 2000, 1900, 1900, 1900), seed=3)
    far = dataclasses.replace(samples, observed=samples.observed + 8.0 * pd.factorize(samples.site)[0])
    levels = pd.Series(far.observed).groupby(far.site).transform("mean").to_numpy()
    pooled = only(summarise(predicted(far, levels=levels), far))
    assert pooled["r2"] > 0.9
    assert pooled["across_site_r2"] == pytest.approx(1)
    hidden = ["median_site_r2", "seasonal_cycle_r2", "anomaly_r2", "interannual_r2"]
    assert pooled[hidden].to_numpy(float) == pytest.approx(0, abs=0.02)


def test_one_summariser_for_all_models():
    """Whatever it is called, the same predictions get the same scores: no mean for one and median for another."""
    names = ["climatology", "embeddings", "nested best", "p_model"]
    said = PREDICTIONS["predicted"].to_numpy()
    for table in (summarise, summarise_sites, summarise_groups):
        told = table(predicted(SAMPLES, **dict.fromkeys(names, said)), SAMPLES)
        lines = [told[told["features"] == name].drop(columns="features").reset_index(drop=True) for name in names]
        assert len(lines[0]) > 1
        for other in lines[1:]:
            pd.testing.assert_frame_equal(other, lines[0])
