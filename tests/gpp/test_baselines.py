import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from ecoembed.errors import TableError
from ecoembed.gpp.baselines import seasonal_cycle
from ecoembed.gpp.mean_cycle import MeanCycle

YEAR = pd.date_range("2021-01-01", "2021-12-31")


def season(peak: float, base: float = 0.0, day_of_peak: int = 190) -> np.ndarray:
    angle = 2 * np.pi * (YEAR.day_of_year.to_numpy() - 1 - day_of_peak) / 365.2425
    return base + peak * (0.5 + 0.5 * np.cos(angle)) ** 2


def sites(*known: tuple[str, str | None, float], dates: pd.DatetimeIndex = YEAR) -> pd.DataFrame:
    """Columns of the climatology for (name, type, latitude) of each site, the dates repeated for each."""
    names, kinds, latitudes = (np.repeat(np.array(part, dtype=object), len(dates)) for part in zip(*known, strict=True))
    return seasonal_cycle(pd.DatetimeIndex(np.tile(dates, len(known))), latitudes.astype(float), list(kinds), names)


def of(X: pd.DataFrame, site: int) -> np.ndarray:
    return (X["site"] == site).to_numpy()


def test_the_southern_year_is_shifted_by_half():
    X = sites(("A", "GRA", 40.0), ("B", "GRA", -40.0))
    north, south = X["day"].to_numpy().reshape(2, -1)
    np.testing.assert_array_equal((south - north) % 366, 183)
    y = np.concatenate([season(8.0), season(8.0, day_of_peak=190 - 182)])
    np.testing.assert_allclose(MeanCycle().fit(X, y).predict(X), y, atol=0.2)


def test_a_site_has_its_own_cycle_and_an_unseen_one_that_of_its_type():
    X = sites(("A", "GRA", 50.0), ("B", "GRA", 50.0), ("C", "ENF", 50.0), ("D", "GRA", 50.0), ("E", "ENF", 50.0))
    curves = [season(10.0), season(6.0), season(2.0, 3.0, 160)]
    train = (X["site"] < 3).to_numpy()
    model = MeanCycle().fit(X[train], np.concatenate(curves))
    for k, curve in enumerate(curves):
        np.testing.assert_allclose(model.predict(X[of(X, k)]), curve, atol=0.15)
    grass = (curves[0] + curves[1]) / 2
    # two sites stand against five days of the cycle of all
    assert np.abs(model.predict(X[of(X, 3)]) - grass).max() < 0.1 * np.abs(grass - np.mean(curves, axis=0)).max() + 0.1
    forest = model.predict(X[of(X, 4)])  # a type with one site: that site, but for the five days
    assert np.corrcoef(forest, curves[2])[0, 1] > 0.97
    assert np.abs(forest - curves[2]).max() < 1.0


def test_an_unseen_type_gets_the_cycle_of_all():
    X = sites(("A", "GRA", 50.0), ("B", "ENF", 50.0), ("C", "DBF", 50.0), ("D", None, 50.0))
    curves = [season(10.0), season(2.0, 3.0)]
    model = MeanCycle().fit(X[: 2 * len(YEAR)], np.concatenate(curves))
    unseen, untyped = model.predict(X[of(X, 2)]), model.predict(X[of(X, 3)])
    np.testing.assert_array_equal(unseen, untyped)
    np.testing.assert_allclose(unseen, np.mean(curves, axis=0), atol=0.35)  # five days against sixty


def test_a_site_of_no_type_still_has_its_own_cycle():
    X = sites(("A", None, 50.0), ("B", None, 50.0))
    y = np.concatenate([season(10.0), season(2.0, 3.0)])
    np.testing.assert_allclose(MeanCycle().fit(X, y).predict(X), y, atol=0.15)


def test_without_a_prior_it_is_least_squares():
    """One site and a negligible prior: scikit-learn's linear regression on the same harmonics."""
    rng = np.random.default_rng(0)
    X, y = sites(("A", "GRA", 50.0)), rng.normal(5, 2, len(YEAR))
    angle = 2 * np.pi * X[["day"]].to_numpy() / 365.2425 * np.arange(1, 4)
    waves = np.hstack([np.cos(angle), np.sin(angle)])
    expected = LinearRegression().fit(waves, y).predict(waves)
    np.testing.assert_allclose(MeanCycle(prior=1e-9).fit(X, y).predict(X), expected, atol=1e-6)


def test_a_long_record_is_not_its_type():
    """Ten years of one site against one year of another: their type lies in the middle."""
    long = pd.date_range("2011-01-01", "2020-12-31")
    X = pd.concat([sites(("A", "GRA", 50.0), dates=long), sites(("B", "GRA", 50.0)).assign(site=1.0)])
    y = np.concatenate([np.full(len(long), 10.0), np.zeros(len(YEAR))])
    new = sites(("C", "GRA", 50.0)).assign(site=2.0)
    np.testing.assert_allclose(MeanCycle().fit(X, y).predict(new), 5.0, atol=0.1)


@pytest.mark.parametrize("prior", [1e-9, 1e9])
def test_a_short_record_counts_for_the_days_that_it_has(prior):
    """Ten days of one site against a year of another, which counts for 30, in the cycle of a type and of all."""
    X = pd.concat([sites(("A", "GRA", 50.0)), sites(("B", "GRA", 50.0), dates=YEAR[:10]).assign(site=1.0)])
    y = np.where(X["site"] == 1, 40.0, 0.0)
    for kind in (0.0, 7.0):
        new = sites(("C", "GRA", 50.0)).assign(site=2.0, vegetation=kind)
        predicted = MeanCycle(harmonics=0, prior=prior).fit(X, y).predict(new)
        np.testing.assert_allclose(predicted, 40 * 10 / (30 + 10), rtol=1e-5)


@pytest.mark.parametrize("months", [(6, 8), (1, 12)])
def test_few_days_do_not_swing(months):
    """27 noisy days of a site, of the whole year or of one summer: its curve stays within reach of what was seen."""
    rng = np.random.default_rng(1)
    full = sites(("A", "GRA", 50.0), ("B", "GRA", 50.0))
    y = np.tile(season(10.0), 2) + rng.normal(0, 1.5, len(full))
    days = np.flatnonzero((YEAR.month >= months[0]) & (YEAR.month <= months[1]))
    rows = np.concatenate([np.arange(len(YEAR)), len(YEAR) + np.sort(rng.choice(days, 27, replace=False))])
    sparse = MeanCycle().fit(full.iloc[rows], y[rows]).predict(full[of(full, 1)])
    assert np.sqrt(np.mean((sparse - season(10.0)) ** 2)) < 1.5
    assert sparse.min() > -2
    assert sparse.max() < 13


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.floats(-50, 50), st.floats(0.1, 10), st.integers(0, 10_000))
def test_properties(count, days, shift, factor, seed):
    """What it predicts moves with the target, does not depend on the order of rows, and stays within reach of them."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.integers(0, 366, count * days), np.repeat(np.arange(count), days), rng.integers(-1, 3)
                         * np.ones(count * days)])  # fmt: skip
    y, new = rng.normal(size=len(X)), np.column_stack([np.arange(366), np.full(366, count), np.zeros(366)])
    new = np.vstack([new, X])
    first = MeanCycle().fit(X, y).predict(new)
    np.testing.assert_allclose(MeanCycle().fit(X, shift + factor * y).predict(new), shift + factor * first, atol=1e-6)
    order = rng.permutation(len(X))
    np.testing.assert_allclose(MeanCycle().fit(X[order], y[order]).predict(new), first, atol=1e-9)
    assert np.abs(first).max() <= 4 * np.abs(y).max() + 1e-9


def test_a_site_of_no_type_leans_on_all_sites():
    """Four of its days say little: the rest of its year is that of all sites, and not of the first type there is."""
    X = sites(("A", "AAA", 50.0), ("B", "ZZZ", 50.0), ("C", None, 50.0))
    y = np.concatenate([season(0.0), season(12.0), season(6.0)])
    kept = ~of(X, 2) | (X["day"] < 4).to_numpy()
    model = MeanCycle().fit(X[kept], y[kept])
    summer = of(X, 2) & (X["day"] == 190).to_numpy()
    assert model.predict(X[summer])[0] == pytest.approx(model.all_[190], abs=1.5)


def test_a_site_of_few_days_leans_on_its_own_type():
    X = sites(("A", "AAA", 50.0), ("B", "ZZZ", 50.0), ("C", "ZZZ", 50.0))
    y = np.concatenate([season(0.0), season(12.0), season(12.0)])
    kept = ~of(X, 2) | (X["day"] < 4).to_numpy()
    model = MeanCycle().fit(X[kept], y[kept])
    summer = of(X, 2) & (X["day"] == 190).to_numpy()
    of_type, of_all = model.of_types_[1, 190], model.all_[190]
    assert of_type - of_all > 3
    assert model.predict(X[summer])[0] == pytest.approx(of_type, abs=1.5)


def test_unknown_latitudes_and_foreign_columns_are_refused():
    with pytest.raises(TableError, match=r"XX-B: latitude unknown.*1 site"):
        seasonal_cycle(YEAR[:2], [50.0, np.nan], ["GRA", "GRA"], ["XX-A", "XX-B"])
    for X in (np.zeros((9, 2)), np.full((9, 3), 0.5)):
        with pytest.raises(TableError, match="columns of the climatology"):
            MeanCycle().fit(X, np.zeros(9))


def test_real_towers(real):
    """At known sites a site's own cycle of other years beats the mean of its type; leave-site-out it beats no cycle."""
    table = pd.read_parquet(real / "tables" / "fluxnet2015_daily_150sites.parquet").query("NEE_MEASURED > 0.5")
    names = table["SITE_ID"].unique()[::5]
    table = table[table["SITE_ID"].isin(names)]
    dates, y = pd.DatetimeIndex(table["DATE"]), table["GPP_NT"].to_numpy()
    X = seasonal_cycle(dates, table["LAT"].to_numpy(), [None] * len(table), table["SITE_ID"])
    odd = dates.year % 2 == 1
    known = MeanCycle().fit(X[odd], y[odd]).predict(X[~odd])
    stranger = MeanCycle().fit(X[odd].assign(site=0.0), y[odd]).predict(X[~odd].assign(site=1.0))
    error = [np.mean((y[~odd] - p) ** 2) for p in (known, stranger)]
    assert error[0] < 0.6 * error[1] < 0.6 * np.var(y[~odd])
