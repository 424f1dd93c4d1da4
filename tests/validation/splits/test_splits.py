"""Every protocol: what it holds out, what it never mixes, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, TimeSeriesSplit

from ecoembed.archives.sites.distance import great_circle_km
from ecoembed.errors import ConfigError, TableError
from ecoembed.validation.splits.distance import nearest_training_km
from ecoembed.validation.splits.folds import OUT, TRAIN, site_sides
from ecoembed.validation.splits.protocols import PROTOCOLS, SEEN, UNSEEN, check_protocol, make_folds
from tests.validation.tables import flat, samples_of

PLACES = {"latitude": "LAT", "longitude": "LON", "vegetation": "PFT", "climate": "KG"}
OPTIONS = {"years": {"train": [2018, 2019], "test": [2020]}, "site-k-fold": {"folds": 3}, "knndm": {"folds": 3}}
EVERY = [{"name": name, **OPTIONS.get(name, {})} for name in PROTOCOLS]
BY_SITE = [p for p in EVERY if PROTOCOLS[p["name"]].promised]


def placed(sites=12, days=30, seed=0, steps=40):
    """Towers over three years; those of one group of three stand a few km apart."""
    table = flat(sites, days, seed)
    number = table["SITE_ID"].str[-2:].astype(int)
    table["date"] = np.tile(pd.date_range("2018-01-01", periods=days, freq=f"{steps}D"), sites)
    table["LAT"], table["LON"] = 40.0 + 3.0 * (number // 3) + 0.02 * (number % 3), 10.0
    table["PFT"], table["KG"] = "T" + (number % 4).astype(str), "K" + (number // 6).astype(str)
    return table


def samples(table=None, **changes):
    return samples_of(placed() if table is None else table, **({"places": PLACES} | changes))


def names_of(held, here):
    return [sorted(set(here.site[fold.test])) for fold in held.folds]


@pytest.mark.parametrize("protocol", EVERY, ids=lambda p: p["name"])
def test_a_row_is_tested_once_at_most_and_never_beside_itself(protocol):
    here = samples()
    held = make_folds(protocol, here)
    tested = np.concatenate([fold.test for fold in held.folds])
    assert len(np.unique(tested)) == len(tested) > 0
    assert len(held.held_out) == len(held.folds)
    for fold in held.folds:
        assert not fold.train[fold.test].any()
        assert fold.train.any()
    told = held.found.get("not_tested", {})
    assert len(here.site) - len(tested) == sum(told.values())
    assert held.promised == (held.label == UNSEEN)


@pytest.mark.parametrize("protocol", BY_SITE, ids=lambda p: p["name"])
def test_no_site_is_on_both_sides_and_all_are_tested(protocol):
    here = samples()
    train, test = site_sides(make_folds(protocol, here).folds, here)
    assert not np.any(train & test)
    assert test.sum(axis=0).tolist() == [1] * 12
    assert np.all(train | test)


@pytest.mark.parametrize("protocol", EVERY, ids=lambda p: p["name"])
def test_folds_do_not_depend_on_the_order_of_the_rows(protocol):
    table = placed()
    one, two = (make_folds(protocol, samples(t), seed=3) for t in (table, table.sample(frac=1, random_state=1)))
    assert np.array_equal(one.number, two.number)
    assert one.held_out == two.held_out
    assert one.options == two.options


def test_leave_site_out_is_in_the_order_of_names():
    here = samples()
    held = make_folds("leave-site-out", here)
    assert names_of(held, here) == [[f"XX-T{i:02d}"] for i in range(12)]
    assert held.held_out[3] == "XX-T03"
    assert (held.name, held.label, held.options) == ("leave-site-out", UNSEEN, {})


def test_clusters_are_joined_by_steps():
    """Sites 0, 1, 2 stand 2.2 km apart in a row: 0 and 2 share a fold though they are 4.4 km apart."""
    here = samples()
    held = make_folds({"name": "leave-cluster-out", "distance_km": 3}, here)
    assert names_of(held, here)[0] == ["XX-T00", "XX-T01", "XX-T02"]
    assert len(held.folds) == 4
    assert held.found["clusters_of_several"] == 4
    apart = make_folds({"name": "leave-cluster-out", "distance_km": 1}, here)
    assert (len(apart.folds), apart.found["clusters_of_several"]) == (12, 0)
    at = here.places[["latitude", "longitude"]].to_numpy(dtype=float)
    step = np.sort(great_circle_km(at, at)[0])[1]  # "at most": the step itself joins
    assert make_folds({"name": "leave-cluster-out", "distance_km": step}, here).number[here.site == "XX-T01"].max() == 0
    assert nearest_training_km(held, here).min() > 300
    assert held.options == {"distance_km": 3.0}
    with pytest.raises(TableError, match="all sites are one cluster"):
        make_folds({"name": "leave-cluster-out", "distance_km": 2000}, here)


@pytest.mark.parametrize("key", ["vegetation-type", "climate"])
def test_a_class_is_left_out_whole(key):
    here = samples()
    held = make_folds(f"leave-{key}-out", here)
    of = here.places["vegetation" if "type" in key else "climate"]
    assert [{of[name] for name in names} for names in names_of(held, here)] == [{name} for name in held.held_out]
    one = samples(placed().assign(PFT="ENF", KG="Cfb"))
    with pytest.raises(TableError, match=r"one .* only: none can be left out"):
        make_folds(f"leave-{key}-out", one)


def test_site_folds_share_types_and_rows():
    """Twelve sites of four types in three folds: each fold has one site of each type."""
    here = samples()
    held = make_folds({"name": "site-k-fold", "folds": 3}, here)
    for names in names_of(held, here):
        assert sorted(here.places.loc[names, "vegetation"]) == ["T0", "T1", "T2", "T3"]
    assert [len(fold.test) for fold in held.folds] == [120] * 3
    assert held.options == {"folds": 3}


def test_site_folds_follow_the_seed():
    one, two, other = (make_folds({"name": "site-k-fold", "folds": 3}, samples(), seed) for seed in (0, 0, 1))
    assert np.array_equal(one.number, two.number)
    assert not np.array_equal(one.number, other.number)


def test_as_many_site_folds_as_sites_and_no_more_than_a_type_has_rows():
    held = make_folds({"name": "site-k-fold", "folds": 12}, samples())
    assert sorted(names_of(held, samples())) == [[f"XX-T{i:02d}"] for i in range(12)]
    with pytest.raises(TableError, match=r"fewer rows of any vegetation type than folds.*6 rows at most, 12 folds"):
        make_folds({"name": "site-k-fold", "folds": 12}, samples(placed(days=2)))


def test_site_folds_balance_rows_of_unequal_sites():
    table = placed(20, 40)
    number = table["SITE_ID"].str[-2:].astype(int)
    table = table[table.groupby("SITE_ID").cumcount() < 5 + number * 2].assign(PFT="ENF")
    held = make_folds({"name": "site-k-fold", "folds": 4}, samples(table))
    sizes = [len(fold.test) for fold in held.folds]
    assert max(sizes) < 1.25 * min(sizes)


def test_a_year_is_scored_where_another_is_known():
    table = placed()
    one_year = (table["SITE_ID"] == "XX-T05") & (table["date"].dt.year != 2019)
    here = samples(table[~one_year])
    held = make_folds("leave-year-out", here)
    assert held.held_out == ["2018", "2019", "2020", "2021"]
    for fold, year in zip(held.folds, held.held_out, strict=True):
        assert set(here.date[fold.test].year) == {int(year)}
        assert int(year) not in set(here.date[fold.train].year)
        assert set(here.site[fold.test]) <= set(here.site[fold.train])
    assert "XX-T05" not in here.site[np.concatenate([fold.test for fold in held.folds])]
    assert (held.label, held.promised) == (SEEN, False)
    assert held.found["not_tested"]["at sites that the fold does not train on"] == (here.site == "XX-T05").sum()
    with pytest.raises(TableError, match="one year only"):
        make_folds("leave-year-out", samples(table[table["date"].dt.year == 2018]))


def test_the_seed_papers_split():
    here = samples()
    held = make_folds({"name": "years", "train": [2018, 2019], "test": [2020]}, here)
    (fold,) = held.folds
    assert set(here.date[fold.train].year) == {2018, 2019}
    assert set(here.date[fold.test].year) == {2020}
    assert (held.label, held.held_out) == (SEEN, ["2020"])
    assert set(held.number) == {0, TRAIN, OUT}
    with pytest.raises(TableError, match=r"no row in the test years.*expected 2031"):
        make_folds({"name": "years", "train": [2018], "test": [2031]}, here)
    with pytest.raises(ConfigError, match="2018 in training and in the test"):
        check_protocol({"name": "years", "train": [2018], "test": [2018]})
    with pytest.raises(ConfigError, match="years, train"):
        check_protocol("years")


def test_random_folds_follow_the_seed_and_are_labelled():
    here = samples()
    one, two, other = (make_folds("random-k-fold", here, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.number, two.number)
    assert not np.array_equal(one.number, other.number)
    assert (one.label, one.options) == (SEEN, {"folds": 5})
    assert {len(fold.test) for fold in one.folds} == {72}


# --- what the data cannot carry -------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [*BY_SITE, "leave-year-out"], ids=str)
def test_one_site_cannot_be_left_out(protocol):
    with pytest.raises(TableError, match="1 site"):
        make_folds(protocol, samples(placed(1)))


@pytest.mark.parametrize(
    ("protocol", "column"),
    [("leave-cluster-out", "LON"), ("knndm", "LON"), ("leave-vegetation-type-out", "PFT"), ("site-k-fold", "PFT"),
     ("leave-climate-out", "KG")],
)  # fmt: skip
def test_what_is_unknown_of_a_site_is_not_guessed(protocol, column):
    table = placed()
    table[column] = table[column].astype(object).where(table["SITE_ID"] != "XX-T07", None)
    with pytest.raises(TableError, match=r"unknown, which this protocol needs .*1 of 12 sites: XX-T07.*leave-site-out"):
        make_folds(protocol, samples(table))


@pytest.mark.parametrize("name", ["site-k-fold", "knndm"])
def test_more_folds_than_sites(name):
    with pytest.raises(TableError, match="12 sites, 13 folds"):
        make_folds({"name": name, "folds": 13}, samples())


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("leave-sites-out", "Did you mean 'leave-site-out'"),
        (3, "not a protocol"),
        (KFold, "not a protocol"),
        ({"folds": 5}, "not a protocol"),
        ({"name": "site-k-fold", "fold": 5}, "unknown option.*Did you mean 'folds'"),
        ({"name": "site-k-fold", "folds": 1}, "site-k-fold, folds: impossible option.*found 1"),
        ({"name": "site-k-fold", "folds": "ten"}, "folds: impossible option"),
        ({"name": "leave-cluster-out", "distance_km": -1}, "distance_km"),
        ({"name": "leave-site-out", "frozen": 3}, "not a path"),
        ({"name": "knndm", "space": "features"}, "features = a set, and domain"),
        ({"name": "knndm", "features": "bands"}, "belong to space"),
        ({"name": "knndm", "domain": [0, 60, 10, 50]}, "west, south, east, north"),
    ],
)
def test_a_wrong_name_or_option_is_refused_before_any_work(protocol, message):
    with pytest.raises(ConfigError, match=message):
        check_protocol(protocol)


def test_every_name_is_known():
    for protocol in EVERY:
        check_protocol(protocol)
    check_protocol(GroupKFold(3))


# --- a user's own splitter ------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored")
def test_own_splitter_keeps_its_name_and_gets_the_sites():
    here = samples()
    held = make_folds(GroupKFold(3), here)
    assert (held.name, held.label, held.promised) == ("GroupKFold", UNSEEN, False)
    assert make_folds(KFold(2, shuffle=True), here).label == SEEN
    assert make_folds(TimeSeriesSplit(3), here).found["not_tested"]["for training alone"] == 90


class Twice:
    def split(self, X, y=None, groups=None):
        for site in set(groups):
            yield np.repeat(np.flatnonzero(groups != site), 2), np.flatnonzero(groups == site)


class Nothing:
    def split(self, X, y=None, groups=None):
        yield np.array([], dtype=int), np.arange(len(X))


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored")
def test_a_splitter_that_cannot_be_trusted_is_refused():
    here = samples()
    with pytest.raises(TableError, match="more than once"):
        make_folds(ShuffleSplit(3, random_state=0, test_size=0.6), here)
    with pytest.raises(TableError, match="does not fit"):
        make_folds(GroupKFold(50), here)
    with pytest.raises(TableError, match="Twice: a fold trains on a row twice"):
        make_folds(Twice(), here)
    with pytest.raises(TableError, match="no training row"):
        make_folds(Nothing(), here)


# --- distances ------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.tuples(st.floats(-90, 90), st.floats(-180, 180)) for _ in range(3)]))
def test_distances_are_those_of_a_sphere(places):
    from sklearn.metrics.pairwise import haversine_distances

    places = np.array(places)
    ours = great_circle_km(places, places)
    np.testing.assert_allclose(ours, 6371.0 * haversine_distances(np.radians(places)), atol=1e-6)
    assert ours[0, 2] <= ours[0, 1] + ours[1, 2] + 1e-6


def test_distance_to_training():
    table = placed()
    table.loc[table["SITE_ID"] == "XX-T11", "LON"] = np.nan
    here = samples(table)
    alone = nearest_training_km(make_folds("leave-site-out", here), here)
    assert alone["XX-T00"] == pytest.approx(2.224, abs=0.01)  # 0.02 degrees
    assert np.isnan(alone["XX-T11"])
    assert set(nearest_training_km(make_folds("random-k-fold", here), here).dropna()) == {0.0}
    climate = nearest_training_km(make_folds("leave-climate-out", here), here)
    assert climate["XX-T05"] == pytest.approx(great_circle_km([[43.04, 10]], [[46, 10]])[0, 0])


def test_real_towers_all_at_once(real):
    """150 folds of 370 733 rows: a site on no side twice, and the neighbours in one fold."""
    towers = pd.read_parquet(real / "tables" / "fluxnet2015_daily_150sites.parquet")
    places = {"latitude": "LAT", "longitude": "LON"}
    here = samples_of(towers, target="GPP_NT", date="DATE", sets={"meteo": ["TA", "SW_IN", "VPD"]}, places=places)
    alone, joined = (make_folds(name, here) for name in ("leave-site-out", "leave-cluster-out"))
    assert (len(alone.folds), len(joined.folds)) == (150, 129)
    assert (nearest_training_km(alone, here) < 5).sum() == 37
    assert nearest_training_km(joined, here).min() > 5
