from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from ecoembed.errors import ConfigError, TableError
from ecoembed.gpp.windows import Windows
from ecoembed.validation.splits.protocols import make_folds
from ecoembed.validation.trust.applicability import applicability, by_site
from tests.validation.tables import flat, samples_of


def indices(table, features="all", weights=1, protocol="leave-site-out", seed=0):
    samples = samples_of(table)
    return applicability(samples, make_folds(protocol, samples), features, weights, seed)


def written_out(X, site, train, test, weights):
    """The method of Meyer and Pebesma on all rows, every distance of a fold at hand."""
    Z = (X - X[train].mean(axis=0)) / X[train].std(axis=0, ddof=1) * weights
    within = cdist(Z[train], Z[train])
    mean = within[~np.eye(len(within), dtype=bool)].mean()
    within[site[train][:, None] == site[train]] = np.inf
    own = within.min(axis=1) / mean
    low, high = np.percentile(own, [25, 75])
    threshold = min(high + 1.5 * (high - low), own.max())
    found = cdist(Z[test], Z[train]).min(axis=1) / mean
    return found, found <= threshold


def unequal(sites=7, seed=1, days=30, columns=("NIRv", "SW", "TA")):
    """Sites that stand apart in feature space, one of them beyond the others."""
    table = flat(sites, days, seed)
    rng = np.random.default_rng(seed)
    for column in columns:
        shift = rng.normal(0, table[column].std(), sites)
        shift[-1] *= 3
        table[column] += np.repeat(shift, days)
    return table.sample(frac=0.8, random_state=seed)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.lists(st.floats(0.1, 5), min_size=3, max_size=3))
def test_it_is_the_method_written_out(seed, weights):
    samples = samples_of(unequal(seed=seed))
    folds = make_folds("leave-site-out", samples)
    rows = applicability(samples, folds, "all", weights)
    X = samples.features["all"]
    for train, test in folds.folds:
        found, inside = written_out(X, samples.site, train, test, np.array(weights))
        np.testing.assert_allclose(rows["dissimilarity"].to_numpy()[test], found, rtol=1e-7, atol=1e-9)
        assert rows["inside"].to_numpy()[test].tolist() == inside.tolist()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.lists(st.floats(-6, 6), min_size=3, max_size=3))
def test_neither_the_order_of_the_rows_nor_the_units_matter(seed, powers):
    table = unequal(seed=seed)
    other = table.sample(frac=1, random_state=seed + 1)
    for column, power in zip(("NIRv", "SW", "TA"), powers, strict=True):
        other[column] *= -(10**power)
    first, second = indices(table), indices(other)
    pd.testing.assert_frame_equal(first.drop(columns="inside"), second.drop(columns="inside"), rtol=1e-6)
    assert (first["inside"] == second["inside"]).mean() > 0.99  # a row that lies on the threshold may fall either way


def test_drawn_rows_give_nearly_what_all_give(monkeypatch):
    """3 200 rows at 8 sites: 2 000 make the threshold, and of a larger table 20 000 would be compared with."""
    table = flat(8, 400, seed=3).assign(TA=lambda t: t["TA"] + t["SITE_ID"].str[-1].astype(int) ** 2)
    samples = samples_of(table)
    folds = make_folds("leave-site-out", samples)
    exact = pd.concat(
        pd.DataFrame(dict(zip(("dissimilarity", "inside"), found, strict=True)), index=test)
        for train, test in folds.folds
        for found in [written_out(samples.features["all"], samples.site, train, test, 1)]
    ).sort_index()
    rows = applicability(samples, folds, "all", 1)
    assert rows["dissimilarity"].to_numpy() == pytest.approx(exact["dissimilarity"].to_numpy(), rel=0.05)
    assert (rows["inside"] == exact["inside"]).mean() > 0.98
    monkeypatch.setattr("ecoembed.validation.trust.applicability._REFERENCE", 1400)
    fewer = applicability(samples, folds, "all", 1)
    assert (fewer["dissimilarity"] > rows["dissimilarity"]).mean() > 0.4  # half of the neighbours are gone
    assert fewer["inside"].mean() == pytest.approx(exact["inside"].mean(), abs=0.03)
    pd.testing.assert_frame_equal(fewer, applicability(samples, folds, "all", 1))
    assert not fewer.equals(applicability(samples, folds, "all", 1, seed=1))


def test_each_site_gives_the_same_number_of_drawn_rows(monkeypatch):
    """Sites at 0, 10 ... 60, the last with 500 days, the others with 20: it does not make the mean distance small."""
    table = flat(7, 500)
    site = table["SITE_ID"].str[-1].astype(int)
    table["TA"] = 10.0 * site
    table = table[(site == 6) | (table.groupby("SITE_ID").cumcount() < 20)]
    samples = samples_of(table, sets={"one": ["TA"]})
    monkeypatch.setattr("ecoembed.validation.trust.applicability._ASKED", 60)
    rows = applicability(samples, make_folds("leave-site-out", samples), "one")
    drawn = np.repeat(10.0 * np.arange(1, 7), 10)[:, None]  # ten rows of each of the six others
    mean = cdist(drawn, drawn)[~np.eye(60, dtype=bool)].mean()
    np.testing.assert_allclose(rows.loc[rows["site"] == "XX-T00", "dissimilarity"], 10 / mean)


def test_what_every_site_shows_is_inside():
    """All sites have the same rows: the threshold is 0, and a distance of 0 is not beyond it."""
    table = flat(5, 20)
    for column in ("NIRv", "SW", "TA"):
        table[column] = np.tile(table.loc[:19, column], 5)
    rows = indices(table)
    assert (rows["dissimilarity"] == 0).all()
    assert rows["inside"].all()


def test_far_away_is_outside_and_a_copy_of_a_training_row_is_at_zero():
    table = flat(6, 40)
    last = table.index[table["SITE_ID"] == "XX-T05"]
    table.loc[last[:20], "TA"] += 60
    table.loc[last[20:], ["NIRv", "SW", "TA"]] = table.loc[:19, ["NIRv", "SW", "TA"]].to_numpy()
    rows = indices(table).query("site == 'XX-T05'")
    assert not rows["inside"][:20].any()
    assert (rows["dissimilarity"][20:] == 0).all()
    assert rows["inside"][20:].all()
    sites = by_site(indices(table)).set_index("site")
    assert sites.loc["XX-T05", ["n", "inside"]].tolist() == [40, 0.5]
    assert sites["inside"].drop("XX-T05").min() > 0.8


def test_test_rows_change_neither_scale_nor_threshold():
    """Half of a held-out site moved a million units away, the other half stays as it was."""
    table = unequal()
    moved = table.copy()
    last = moved.index[moved["SITE_ID"] == "XX-T06"]
    moved.loc[last[:10], ["NIRv", "SW"]] += 1e6
    samples, other = samples_of(table), samples_of(moved)
    first, second = (applicability(s, make_folds("leave-site-out", s), "all", 1) for s in (samples, other))
    same = (samples.site == "XX-T06") & (samples.features["all"] == other.features["all"]).all(axis=1)
    assert 0 < same.sum() < (samples.site == "XX-T06").sum()
    pd.testing.assert_frame_equal(first[same], second[same])
    assert not second[(samples.site == "XX-T06") & ~same]["inside"].any()


def test_the_threshold_is_at_most_the_maximum():
    """Twins at 0 and neighbours at 10 and 11: quartiles of 0 and 1 step, so that the whisker would reach 2.5 steps."""
    table = flat(5, 10).assign(TA=np.repeat([0.0, 0, 10, 11, 0], 10))
    table.loc[table.index[-10:], "TA"] = 11 + np.linspace(0.6, 1.5, 10)
    samples = samples_of(table, sets={"one": ["TA"]})
    rows = applicability(samples, make_folds("leave-site-out", samples), "one").query("site == 'XX-T04'")
    assert rows["inside"].tolist() == [True] * 5 + [False] * 5
    steps = rows["dissimilarity"].to_numpy() / rows["dissimilarity"].iloc[0] * 0.6
    assert steps == pytest.approx(np.linspace(0.6, 1.5, 10))


def test_a_column_of_no_weight_counts_for_nothing():
    table = unequal()
    without = indices(table.assign(TA=np.random.default_rng(0).normal(size=len(table))), weights=[1, 1, 0])
    pd.testing.assert_frame_equal(indices(table, weights=[2, 2, 0]), without)


def test_by_default_a_column_counts_as_much_as_the_training_rows_gain_by_it():
    """TA, which the target does not follow, is far off at the held-out site: weighed equally, the site is outside."""
    table = flat(8, 60)
    last = (table["SITE_ID"] == "XX-T07").to_numpy()
    table["GPP"] = 0.1 * table["NIRv"] * table["SW"]  # and TA adds nothing
    table["TA"] += np.where(last, 20, 0)
    samples = samples_of(table)
    folds = make_folds("leave-site-out", samples)
    inside = {w: applicability(samples, folds, "all", w)["inside"][last].mean() for w in (None, 1)}
    assert inside[None] > 0.9
    assert inside[1] < 0.2
    whole = applicability(samples, folds, "all")
    pd.testing.assert_frame_equal(whole, applicability(samples, folds, "all"))


def test_the_default_weights_have_not_seen_the_held_out_target():
    table = unequal()
    last = (table["SITE_ID"] == "XX-T06").to_numpy()
    samples = samples_of(table)
    other = samples_of(table.assign(GPP=np.where(last, 100 - table["TA"], table["GPP"])))
    first, second = (applicability(s, make_folds("leave-site-out", s), "all") for s in (samples, other))
    last = first["site"] == "XX-T06"
    pd.testing.assert_frame_equal(first[last], second[last])
    assert not first[~last].equals(second[~last])


def test_where_nothing_is_gained_all_columns_count_the_same():
    table = unequal().assign(GPP=lambda t: (t["SITE_ID"] == "XX-T00").astype(float))
    samples = samples_of(table)
    folds = make_folds("leave-site-out", samples)  # without XX-T00 the target is 0 everywhere
    first = samples.site == "XX-T00"
    rows, equal = (applicability(samples, folds, "all", w) for w in (None, 1))
    pd.testing.assert_frame_equal(rows[first], equal[first])
    assert not rows[~first].equals(equal[~first])


def test_weights_of_each_fold():
    samples = samples_of(unequal())
    folds = make_folds("leave-site-out", samples)
    one, other = np.array([1.0, 1, 1]), np.array([3.0, 1, 0])
    mixed = applicability(samples, folds, "all", np.array([one] * 6 + [other]))
    last = samples.site == "XX-T06"
    pd.testing.assert_frame_equal(mixed[~last], applicability(samples, folds, "all", one)[~last])
    pd.testing.assert_frame_equal(mixed[last], applicability(samples, folds, "all", other)[last])


def test_a_constant_column_has_no_distance_but_leaving_it_is_outside():
    """A flag that is 1 at one site only: where it is held out, no training row ever showed it."""
    flagged = flat(6, 40).assign(TA=lambda t: (t["SITE_ID"] == "XX-T05").astype(float))
    plain = flat(6, 40)
    samples = samples_of(flagged)
    without = samples_of(plain, sets={"all": ["NIRv", "SW"]})
    rows = applicability(samples, make_folds("leave-site-out", samples), "all", 1)
    expected = applicability(without, make_folds("leave-site-out", without), "all", 1)
    last = samples.site == "XX-T05"
    pd.testing.assert_series_equal(rows["dissimilarity"][last], expected["dissimilarity"][last])
    assert not rows["inside"][last].any()
    assert expected["inside"][last].any()


def test_known_sites_are_inside_and_untested_rows_are_absent():
    rows = indices(flat(6, 60), protocol="random-k-fold")
    assert rows["inside"].mean() > 0.9
    years = flat(6, 60).assign(date=lambda t: pd.to_datetime(t["date"]) + pd.DateOffset(days=100))
    tested = indices(years, protocol={"name": "years", "train": [2020], "test": [2021]})
    assert set(tested["date"].dt.year) == {2021}


def test_of_a_window_the_last_day_counts():
    samples = samples_of(unequal())
    X, n = samples.features["all"], len(samples.site)
    noise = np.random.default_rng(0).normal(0, 100, (n, 2, 3))
    base = np.concatenate([noise, X[:, None]], axis=1).reshape(-1, 3).astype(np.float32)
    windows = replace(samples, features={"all": Windows(base, np.arange(2, 3 * n, 3), 3)})
    folds = make_folds("leave-site-out", samples)
    pd.testing.assert_frame_equal(
        applicability(windows, folds, "all", 1), applicability(samples, folds, "all", 1), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("weights", [[1, 1], [1, 1, -1], [0, 0, 0], [1, 1, np.nan]])
def test_impossible_weights(weights):
    with pytest.raises(ConfigError, match=r"all: weights of the columns .*expected 3 numbers, 0 or more"):
        indices(flat(), weights=weights)


def test_what_has_no_distance_is_said():
    with pytest.raises(TableError, match=r"XX-T00.*no area of applicability: the fold trains on one site alone"):
        indices(flat(2))
    with pytest.raises(TableError, match=r"climatology: no area of applicability: its columns are codes"):
        indices(flat(), features="climatology")
    with pytest.raises(TableError, match=r"all training rows are alike"):
        indices(flat().assign(TA=1.0), weights=[0, 0, 1])
