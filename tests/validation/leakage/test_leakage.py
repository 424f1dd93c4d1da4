"""Every leak that the audit promises to find is injected and seen; what is clean raises nothing."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, KFold

from ecoembed.errors import LeakageError, TableError
from ecoembed.validation.leakage import audit
from ecoembed.validation.splits.protocols import make_folds
from tests.validation import tables
from tests.validation.tables import SETS, run, samples_of

pytestmark = pytest.mark.filterwarnings("ignore:The groups parameter is ignored")

HERE = {"latitude": "LAT", "longitude": "LON"}


def flat(sites=5, days=20, seed=0):
    """As `tables.flat`, with the noise of a real tower: there NIRv x SW is better than any measured predictor."""
    table = tables.flat(sites, days, seed)
    return table.assign(GPP=table["GPP"] + np.random.default_rng(seed).normal(0, 1.5, len(table)))


def placed(**changes):
    """Five towers a degree apart, with coordinates of their own where `changes` gives them."""
    table = flat()
    number = table["SITE_ID"].str[-2:].astype(int)
    table["LAT"], table["LON"] = 50.0 + number, 10.0
    for site, (latitude, longitude) in changes.items():
        table.loc[table["SITE_ID"] == f"XX-{site}", ["LAT", "LON"]] = latitude, longitude
    return table


def audited(table, protocol="leave-site-out", places=None, regressors=None, pretraining=None, future=None, sets=SETS):
    here = samples_of(table, sets=sets, places=places or {})
    return audit(here, make_folds(protocol, here), regressors, pretraining, future)


def findings(told, check):
    return [f for f in told["findings"] if check in f["check"]]


def outcome(told, check):
    return next(text for name, text in told["checks"].items() if check in name)


class Folds:
    """A splitter with these folds."""

    def __init__(self, *folds):
        self.folds = folds

    def split(self, X, y=None, groups=None):
        for test in self.folds:
            rows = np.flatnonzero(np.isin(groups, test))
            yield np.setdiff1d(np.arange(len(groups)), rows), rows


class Careless(KFold):
    """Leaves half of the test rows in training."""

    def split(self, X, y=None, groups=None):
        for train, test in super().split(X, y, groups):
            yield np.concatenate([train, test[::2]]), test


def test_a_clean_table_has_no_finding():
    told = audited(placed(), places=HERE, regressors={"ridge": "ridge"}, pretraining={"XX-P": (0.0, 0.0)}, future={})
    assert told["findings"] == []
    assert set(told["checks"].values()) == {"nothing found"}
    assert len(told["checks"]) == 10


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(3, 60))
def test_no_false_alarm_on_invented_towers(seed, sites, days):
    """However many sites and days: noise, a level of its own at each site, one good predictor."""
    told = audited(flat(sites, days, seed), sets={"light": ["NIRv * SW"], "all": ["NIRv", "SW", "TA"]})
    assert told["findings"] == []


def test_what_cannot_be_looked_for_is_told():
    told = audited(flat())
    assert "coordinates were not given" in outcome(told, "km on both sides")
    assert "places were not given" in outcome(told, "encoder's training")
    assert "does not tell how" in outcome(told, "later days")
    assert "no model was given" in outcome(told, "fitted before")


def test_sites_of_unknown_place_are_not_taken_for_far_ones():
    table = placed()
    table.loc[table["SITE_ID"] == "XX-T02", "LON"] = np.nan
    told = audited(table, places=HERE)
    assert outcome(told, "km on both sides") == "nothing found at the 4 of 5 sites whose coordinates are known"


# --- features -------------------------------------------------------------------------------------------------------


def shifted(days):
    return lambda t: t.groupby("SITE_ID")["GPP"].shift(-days)


@pytest.mark.parametrize(
    ("leak", "what"),
    [
        (lambda t: -2 * t["GPP"] + 1, "the target"),
        (lambda t: t["GPP"].round(2), "the target"),
        (lambda t: np.exp(t["GPP"] / 2), "order of its values"),
        (lambda t: t.groupby("SITE_ID")["GPP"].transform("mean"), "mean target of each site"),
        (lambda t: t.groupby("SITE_ID")["GPP"].transform(lambda g: g / g.std() - g.mean()), "scale of each site"),
        (shifted(1), "1 row later|1 day later"),
        (shifted(3), "3 rows later|3 days later"),
        (shifted(-2), "2 rows before|2 days before"),
        (shifted(14), "14 days later"),
    ],
)
def test_the_target_in_disguise_is_refused(leak, what):
    table = flat(6, 60)
    table["date"] = np.tile(pd.date_range("2020-04-01", periods=60), 6)  # every day
    table["leak"] = leak(table)
    table = table.dropna().sample(frac=1, random_state=0)
    with pytest.raises(LeakageError, match=rf"leak: this feature is .*({what})"):
        audited(table, sets={"clean": ["NIRv"], "leaky": ["NIRv", "leak"]})


def test_a_leak_within_a_product_is_refused():
    table = flat().assign(leak=lambda t: t["GPP"] / 2)
    with pytest.raises(LeakageError, match="leak: this feature is the target"):
        audited(table, sets={"leaky": ["leak * SW"]})


def test_the_next_overpass_is_the_future_too():
    """On a sparse table the target of the next row is 7 days later."""
    table = flat(6, 40)
    table["leak"] = shifted(1)(table)
    with pytest.raises(LeakageError, match=r"1 row later|7 days later"):
        audited(table.dropna(), sets={"leaky": ["leak"]})


def test_what_follows_the_target_too_closely_is_listed():
    table = flat(6, 60)
    table["other"] = table["GPP"] + np.random.default_rng(1).normal(0, 0.1 * table["GPP"].std(), len(table))
    (found,) = findings(audited(table, sets={"f": ["NIRv", "other"]}), "features")
    assert found["where"] == "other"
    assert "more closely than a measurement" in found["what"]
    assert "correlation 0.99" in found["amount"]


@pytest.mark.parametrize(
    ("name", "told"),
    [("NEE", True), ("GPP_DT_VUT_REF", True), ("RECO_NT_VUT_50", True), ("FC", True), ("NEE_PI_F", True),
     ("GPP_MODIS", False), ("NEON", False), ("FCOVER", False), ("P", False)],
)  # fmt: skip
def test_a_flux_of_the_tower_is_known_by_its_name(name, told):
    table = flat().assign(**{name: np.random.default_rng(2).normal(0, 1, 100)})
    found = findings(audited(table, sets={"f": [name]}), "features")
    assert [f["where"] for f in found] == ([name] if told else [])


def test_a_feature_that_never_changes_is_no_leak():
    assert findings(audited(flat().assign(one=1.0), sets={"f": ["one", "NIRv"]}), "features") == []


# --- splits ---------------------------------------------------------------------------------------------------------


def test_rows_in_training_and_test_are_refused():
    with pytest.raises(LeakageError, match=r"Careless, XX-T00 on 2020.*in training and in the test.*52 rows"):
        audited(flat(), protocol=Careless(4))


def test_a_protocol_that_breaks_its_promise_is_refused():
    here = samples_of(flat())
    mixed = make_folds("random-k-fold", here)
    with pytest.raises(LeakageError, match=r"both sides of a protocol that promises unseen ones.*5 of 5 sites"):
        audit(here, dataclasses.replace(mixed, promised=True))


def test_a_random_split_is_listed_with_its_neighbouring_days():
    (found,) = findings(audited(flat(), protocol=KFold(5, shuffle=True, random_state=0)), "sites on both sides")
    assert "5 of 5 sites" in found["amount"]
    share = int(found["amount"].split("; ")[1].split("%")[0])
    assert share > 90
    alternate = flat().assign(date=lambda t: t["date"] + (t["date"] - t["date"].min()) * 9)  # 70 days apart
    (found,) = findings(audited(alternate, protocol=KFold(5, shuffle=True, random_state=0)), "sites on both sides")
    assert "; 0%" in found["amount"]


def test_sites_on_one_side_are_not_listed():
    assert findings(audited(flat(), protocol=GroupKFold(2)), "sites on both sides") == []


def twin(share=1.0):
    """XX-T04 reports what XX-T00 reports, on this share of its days."""
    table = flat(5, 40)
    one, other = (np.flatnonzero(table["SITE_ID"] == f"XX-T0{i}") for i in (0, 4))
    count = int(share * 40)
    table.loc[other[:count], "GPP"] = table["GPP"].to_numpy()[one[:count]]
    return table


def test_one_tower_under_two_names_is_refused():
    with pytest.raises(LeakageError, match=r"XX-T00 and XX-T04: one tower under two names.*40 of 40 days"):
        audited(twin())
    with pytest.raises(LeakageError, match="24 of 40"):
        audited(twin(0.6))
    assert findings(audited(twin(0.2)), "two names") == []


def test_two_names_in_one_fold_are_no_leak():
    folds = Folds(["XX-T00", "XX-T04"], ["XX-T01"], ["XX-T02", "XX-T03"])
    assert findings(audited(twin(), protocol=folds), "two names") == []


def test_zeros_in_common_make_no_twins():
    """Two towers in the snow report zero for months."""
    table = flat(5, 40)
    winter = table["date"] > "2020-06-01"
    table.loc[winter, "GPP"] = 0.0
    assert findings(audited(table), "two names") == []


def test_two_rows_of_one_day_are_refused_before():
    table = pd.concat([flat(), flat().iloc[:3].assign(GPP=1.0)])
    with pytest.raises(TableError, match="different rows of one site and date"):
        audited(table)


def test_neighbours_are_listed_with_their_distance():
    near = placed(T01=(51.0, 10.0), T02=(51.0, 10.01), T04=(51.0, 11.0))
    (found,) = findings(audited(near, places=HERE), "km on both sides")
    assert found["where"] == "XX-T01 and XX-T02 (0.7 km)"
    assert found["amount"] == "1 pair, 40% of the days scored"
    together = Folds(["XX-T01", "XX-T02"], ["XX-T00", "XX-T03", "XX-T04"])
    assert findings(audited(near, places=HERE, protocol=together), "km on both sides") == []


def test_a_site_is_not_its_own_neighbour():
    near = placed(T01=(51.0, 10.0), T02=(51.0, 10.01))
    (found,) = findings(audited(near, places=HERE, protocol="random-k-fold"), "km on both sides")
    assert found["amount"] == "1 pair, 40% of the days scored"


def test_across_the_antimeridian_is_near():
    near = placed(T00=(0.0, 179.99), T01=(0.0, -179.99))
    (found,) = findings(audited(near, places=HERE), "km on both sides")
    assert "XX-T00 and XX-T01 (2.2 km)" in found["where"]


def test_many_neighbours_are_counted():
    (found,) = findings(audited(placed(**{f"T0{i}": (1.0, 1.0) for i in range(5)}), places=HERE), "km on both sides")
    assert found["amount"].startswith("10 pairs, 100%")
    assert found["where"].endswith("and 5 more")


# --- embeddings -----------------------------------------------------------------------------------------------------


def test_towers_where_the_encoder_was_trained_are_listed():
    places = {"XX-P01": (52.0, 10.0), "XX-P02": (-40.0, 10.0), "XX-P03": (54.02, 10.0)}
    (found,) = findings(audited(placed(), places=HERE, pretraining=places), "encoder's training")
    assert found["where"] == "XX-T02 and XX-P01 (0.0 km), XX-T04 and XX-P03 (2.2 km)"
    assert found["amount"] == "2 of 5 towers"


def test_places_that_nobody_knows_are_not_taken_for_far_ones():
    result = audited(placed(), places=HERE, pretraining="unknown")
    (found,) = findings(result, "encoder's training")
    assert (found["where"], found["amount"]) == ("the encoder's weights", "training places unknown")
    assert outcome(result, "encoder's training") == "not looked for: training places unknown"


# --- where it is told -----------------------------------------------------------------------------------------------


def test_output_tells_the_findings(capsys):
    near = placed(T01=(51.0, 10.0), T02=(51.0, 10.01))
    result = run(near, places=HERE, progress=True)
    assert "leakage audit: XX-T01 and XX-T02 (0.7 km): towers are near" in capsys.readouterr().err
    assert result.record["leakage"]["checks"]["towers within 5 km on both sides of a split"] == "1 found"


def test_real_tables_raise_no_false_alarm(real):
    table = pd.read_csv(real / "tables" / "prithvi_hls_merra2_gpp_36sites.csv")
    plain = [c for c in table.columns if pd.api.types.is_numeric_dtype(table[c]) and c not in ("GPP", "date")]
    places = {"vegetation": "PFT", "climate": "koppen", "latitude": 45.0}
    assert audited(table, places=places, sets={"all": [*plain, "NIRv * SWLAND"]})["findings"] == []


@pytest.mark.slow
def test_150_real_towers_raise_no_false_alarm_but_their_neighbours(real):
    towers = pd.read_parquet(real / "tables" / "fluxnet2015_daily_150sites.parquet")
    here = samples_of(towers, target="GPP_NT", date="DATE", sets={"meteo": ["TA", "SW_IN", "VPD"]}, places=HERE)
    (found,) = audit(here, make_folds("leave-site-out", here))["findings"]
    assert found["amount"].startswith("27 pairs")
    assert "US-Wi0 and US-Wi9 (0.0 km)" in found["where"]
    assert audit(here, make_folds("leave-cluster-out", here))["findings"] == []
