import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.preprocessing import StandardScaler

from ecoembed.errors import ConfigError, FileError, TableError
from ecoembed.schema import check_predictions
from ecoembed.validation.nested import nested_best
from ecoembed.validation.save import TABLES
from ecoembed.validation.scores.metrics import r2
from ecoembed.validation.splits.protocols import make_folds
from tests.validation.tables import SETS, flat, joined, run, samples_of

FITS: list[dict] = []


class Spy(RegressorMixin, BaseEstimator):
    """Remembers which rows it was fitted on: the feature is the row's number."""

    def fit(self, X, y, groups=None):
        FITS.append({"rows": set(X[:, 0].astype(int)), "groups": None if groups is None else list(groups)})
        return self

    def predict(self, X):
        FITS[-1]["predicted"] = set(X[:, 0].astype(int))
        return np.zeros(len(X))


def test_fit_never_sees_the_test_site():
    FITS.clear()
    table = flat().assign(number=np.arange(100.0))
    run(table, features={"number": ["number"]}, regressors=[Spy()])
    assert len(FITS) == 5
    for fit in FITS:
        held_out = set(table["SITE_ID"][sorted(fit["predicted"])])
        assert len(held_out) == 1
        assert not held_out & set(table["SITE_ID"][sorted(fit["rows"])])
        assert not held_out & set(fit["groups"])
        assert len(fit["rows"]) == 80


def test_scaling_is_fitted_inside_the_fold():
    """A scaler fitted on all rows gives other predictions, so the test would notice one."""
    table = flat()
    table.loc[table["SITE_ID"] == "XX-T04", "NIRv"] *= 1000
    X, y, test = table[["NIRv"]].to_numpy(), table["GPP"].to_numpy(), (table["SITE_ID"] == "XX-T04").to_numpy()
    inside = StandardScaler().fit(X[~test])
    outside = StandardScaler().fit(X)
    expected, leaky = (
        Ridge(1.0).fit(s.transform(X[~test]), y[~test]).predict(s.transform(X[test])) for s in (inside, outside)
    )
    got = run(table, features={"nirv": ["NIRv"]}).predictions
    got = got[got["site"] == "XX-T04"]["predicted"].to_numpy()
    np.testing.assert_allclose(got, expected)
    assert not np.allclose(got, leaky)


def test_every_model_is_scored_on_the_same_rows():
    table = flat()
    table.loc[3, "TA"] = np.nan
    table.loc[[5, 6], "GPP"] = np.nan
    result = run(table, regressors=["ridge", "lightgbm"], places={"vegetation": "PFT", "latitude": 50.0})
    assert set(result.scores["n"]) == {97}
    assert len(result.scores) == 5  # the climatology has a regressor of its own
    assert result.rows == {"in": 100, "GPP missing": 2, "all missing": 1, "out": 97}
    keys = ["site", "date"]
    first, *others = (
        rows[keys].to_numpy().tolist() for _, rows in result.predictions.groupby(["features", "regressor"])
    )
    assert all(other == first for other in others)
    check_predictions(result.predictions)


def test_scores():
    result = run(flat())
    assert {"r2", "pearson_r2", "rmse", "nrmse", "mae", "bias", "kge", "median_site_r2"} <= set(result.scores)
    assert {"protocol", "label", "n", "sites"} <= set(result.scores)
    light = result.predictions[result.predictions["features"] == "light"]
    score = result.scores.set_index("features").loc["light", "r2"]
    assert score == pytest.approx(r2(light["observed"].to_numpy(), light["predicted"].to_numpy()))
    assert score > 0.7
    assert set(result.scores["label"]) == {"unseen-site"}


def test_product_of_two_columns():
    table = flat()
    table["product"] = table["NIRv"] * table["SW"]
    one = run(table, features={"f": ["NIRv * SW"]}).predictions["predicted"]
    two = run(table, features={"f": ["product"]}).predictions["predicted"]
    np.testing.assert_array_equal(one, two)


def test_a_random_split_is_labelled_seen():
    assert set(run(flat(), protocol=KFold(5, shuffle=True, random_state=0)).scores["label"]) == {"seen-site"}


def test_groups_reach_the_inner_folds_of_a_search():
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 10.0]}, cv=GroupKFold(4))  # fails without groups
    result = run(flat(), regressors={"tuned": search, "line": LinearRegression()})
    assert set(result.scores["regressor"]) == {"tuned", "line"}


@pytest.mark.parametrize(
    ("leak", "what"),
    [(lambda t: t["GPP"] * 1.2 + 3, "the target"), (lambda t: t.groupby("SITE_ID")["GPP"].transform("mean"), "mean")],
)
def test_an_injected_leak_is_refused(leak, what):
    table = flat()
    table["leak"] = leak(table)
    with pytest.raises(TableError, match=rf"leak: this feature is .*{what}"):
        run(table, features={"clean": ["NIRv"], "leaky": ["NIRv", "leak"]})


def test_the_target_as_a_feature_is_refused():
    with pytest.raises(TableError, match="GPP: the target is among the features"):
        run(flat(), features={"f": ["GPP"]})


def test_a_noisy_leak_shows_in_the_score():
    """What cannot be refused must at least be seen: a blurred site mean lifts the score."""
    table = flat(sites=12)
    mean = table.groupby("SITE_ID")["GPP"].transform("mean")
    table["leak"] = mean + np.random.default_rng(0).normal(0, 0.05, len(table))
    scores = run(table, features={"clean": ["NIRv * SW"], "leaky": ["NIRv * SW", "leak"]}).scores.set_index("features")
    assert scores.loc["leaky", "r2"] > scores.loc["clean", "r2"] + 0.05


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"TA": "warm"}, "TA: column is not numeric.*'warm'"),
        ({"TA": np.inf}, "TA: infinite values.*100 of 100"),
        ({"TA": -9999.0}, "TA: fill values"),
        ({"TA": np.nan}, "no row has the target and every feature.*all missing 100"),
        ({"date": "today?"}, "date: dates cannot be read"),
        ({"date": 17}, "date: dates cannot be read.*17 in row 1"),
        ({"SITE_ID": "one"}, "different rows of one site and date"),
    ],
)
def test_unusable_columns(change, match):
    with pytest.raises(TableError, match=match):
        run(flat().assign(**change))


def test_absent_columns_name_close_ones():
    with pytest.raises(TableError, match=r"NIRV, TB.*did you mean NIRv"):
        run(flat(), features={"f": ["NIRV", "TB"]})
    with pytest.raises(TableError, match="SITE"):
        run(flat(), site="SITE")


def test_repeated_rows_are_counted_once():
    table = flat()
    result = run(pd.concat([table, table.iloc[:7]]))
    assert result.rows == {"in": 107, "row repeated": 7, "out": 100}


def test_fluxnet_dates_are_dates():
    table = flat()
    numbers = table.assign(date=table["date"].dt.strftime("%Y%m%d").astype(int))
    text = table.assign(date=table["date"].dt.strftime("%Y-%m-%d"))
    for other in (numbers, text):
        pd.testing.assert_frame_equal(run(other).predictions, run(table).predictions)


def test_files(tmp_path):
    table = flat()
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    expected = run(table).scores
    for name in ("t.csv", "t.parquet"):
        pd.testing.assert_frame_equal(run(tmp_path / name).scores, expected)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "t.txt").write_text("a")
    for name, match in (("none.csv", "no such"), ("broken.parquet", "cannot be read"), ("t.txt", "not a table")):
        with pytest.raises(FileError, match=match):
            run(tmp_path / name)


def test_a_feature_table_brings_its_sets():
    table = joined()
    result = run(table, target="GPP_NT_VUT_REF", features=None)
    assert set(result.scores["features"]) == set(table.columns.unique(0)) - {"observed"} | {"climatology"}
    told = ("rows", "site_rows", "sites_without_rows", "left_out", "flux", "counted", "gaps", "future")
    assert result.record["feature_table"] == {key: table.attrs[key] for key in told}
    union = run(table, target="GPP_NT_VUT_REF", features={"bands+meteo": ["bands", "meteo"]})
    assert union.record["features"]["bands+meteo"][:2] == ["bands.B04", "bands.B08"]
    assert union.scores["n"].tolist() == [len(table)]
    with pytest.raises(TableError, match=r"no feature set 'band'"):
        run(table, target="GPP_NT_VUT_REF", features={"b": ["band"]})
    with pytest.raises(ConfigError, match="features, b: text"):
        run(table, target="GPP_NT_VUT_REF", features={"b": "bands"})


def test_a_site_that_loses_all_its_rows_is_named(capsys):
    table = flat(5, 20)
    table.loc[table["SITE_ID"] == "XX-T03", "TA"] = np.nan
    table.loc[[60, 61], "GPP"] = np.nan
    table.loc[0, "TA"] = np.nan
    result = run(table, progress=True)
    why = "0 of 20 rows kept; dropped: 20 (GPP missing 2, all missing 18)"
    assert result.record["sites_without_rows"] == {"XX-T03": why}
    assert f"XX-T03 contributes no row: {why}" in capsys.readouterr().err
    assert run(flat()).record["sites_without_rows"] == {}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"features": None}, "no feature set named"),
        ({"features": {"a": []}}, "without columns.*a"),
        ({"features": {"a": "NIRv"}}, r"features, a: text.*found 'NIRv'; expected \['NIRv'\]"),
        ({"features": "NIRv"}, "no names.*'NIRv'"),
        ({"features": ["NIRv"]}, r"no names.*\['NIRv'\]"),
        ({"regressors": "ridge"}, r"regressors: text.*found 'ridge'; expected \['ridge'\]"),
        ({"regressors": ["rigde"]}, "Did you mean 'ridge'"),
        ({"regressors": []}, "no regressor"),
        ({"regressors": [Ridge(1), Ridge(2)]}, "two regressors of one name"),
        ({"protocol": "random"}, "unknown protocol"),
        ({"protocol": {"name": "knndm", "fold": 3}}, "Did you mean 'folds'"),
        ({"places": {"type": "PFT"}}, "some of latitude, longitude, vegetation, climate"),
        ({"places": {"vegetation": 3}}, "vegetation is not a column"),
        ({"window_days": 0}, "1 to 365 days"),
        *(({"seed": seed}, r"impossible seed.*0 to 2\*\*32 - 1") for seed in (-1, 1.5, True, 2**32, None)),
    ],
)
def test_wrong_requests(changes, match):
    with pytest.raises(ConfigError, match=match):
        run(flat(), **changes)


def test_the_seed_decides():
    one, same, other = (run(flat(), regressors=["lightgbm"], seed=s).predictions for s in (0, 0, 1))
    pd.testing.assert_frame_equal(one, same)
    assert not np.allclose(one["predicted"], other["predicted"])


def test_the_seed_draws_the_folds():
    asked = {"protocol": "random-k-fold", "features": {"light": ["NIRv * SW"]}}
    one, other = (run(flat(), seed=seed, **asked).predictions["fold"] for seed in (0, 1))
    assert not one.equals(other)


def test_the_seed_draws_the_resamples_and_the_inner_folds_fits():
    """Ridge knows no seed: what differs are bounds of comparisons; of trees the nested choice's inner scores too."""
    one, same, other = (run(flat(8, 15), seed=seed).comparisons for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one, same)
    assert one["difference"].tolist() == other["difference"].tolist()
    assert not np.isclose(one["lower"], other["lower"], rtol=1e-6).any()
    result = run(flat(6, 40), regressors=["lightgbm"], nested=True, seed=1)
    samples = samples_of(flat(6, 40), places={})
    folds = make_folds("leave-site-out", samples, 1)
    models = {name: {"lightgbm": "lightgbm"} for name in SETS}
    by_hand = [nested_best(samples, models, folds, result.predictions, seed).choices["inner_r2"] for seed in (0, 1)]
    assert result.choices["inner_r2"].tolist() == by_hand[1].tolist() != by_hand[0].tolist()


def test_the_table_of_folds_is_kept_unless_it_is_long(monkeypatch):
    asked = {"protocol": "random-k-fold", "features": {"light": ["NIRv"]}}
    assert len(run(flat(5, 20)).folds) == 5
    assert len(run(flat(5, 20), **asked).folds) == 100  # a line for each row
    monkeypatch.setattr("ecoembed.validation.assess._MOST_LINES", 99)
    assert run(flat(5, 20), **asked).folds.empty


def test_a_table_that_knows_the_future_is_told_so():
    table = joined()
    table.attrs |= {"retrospective": True, "future": {"embeddings": "sees acquisitions after the day (centred)"}}
    told, plain = (run(t, target="GPP_NT_VUT_REF", features=None).record for t in (table, joined()))
    assert (told["retrospective"], plain["retrospective"]) == (True, False)
    found, none = ([f for f in r["leakage"]["findings"] if "days after" in f["what"]] for r in (told, plain))
    assert ["embeddings" in str(f) for f in found] == [True]
    assert none == []


def test_places_of_pretraining_reach_the_audit():
    findings = run(flat(), pretraining="unknown").record["leakage"]["findings"]
    assert "training places unknown" in [f["amount"] for f in findings]


def test_the_argument_is_untouched():
    table = flat()
    before = table.copy(deep=True)
    run(table, features=SETS)
    pd.testing.assert_frame_equal(table, before)


def test_what_is_not_scored_is_said_why():
    """Every NaN of the score tables has exactly one cause in the record."""
    result = run(flat(), places={"vegetation": "PFT", "latitude": 50.0})
    told = pd.DataFrame(result.record["undefined"])
    for name in ("scores", "site_scores", "group_scores"):
        assert int(getattr(result, name).select_dtypes("number").isna().to_numpy().sum()) == int(
            (told["table"] == name).sum()
        ), name
    assert told["cause"].str.len().min() > 5


def test_measured_days_and_all_days_are_scored_apart():
    table = flat().assign(QC=np.tile([1.0, 0.2], 50))
    result = run(table, quality={"column": "QC", "min": 0.75, "days": "all"}, features={"light": ["NIRv * SW"]})
    scores = result.scores.set_index("days")
    assert scores["n"].to_dict() == {"measured": 50, "all": 100}
    assert result.rows["out"] == 100
    dropped = run(table, quality={"column": "QC", "min": 0.75}, features={"light": ["NIRv * SW"]})
    assert dropped.rows == {"in": 100, "QC below 0.75": 50, "out": 50}


@pytest.mark.parametrize(
    ("protocol", "least"),
    [({"name": "years", "train": [2020], "test": [2021]}, 0.5), ("leave-site-out", 2), (GroupKFold(3), 2)],
    ids=str,
)
def test_gap_filled_days_alone_are_not_scored(protocol, least):
    """All days of the test year were filled, or all days there are: no score of a model that imitates a filling."""
    table = flat(days=80)
    table = table.assign(QC=1.0 * (table["date"].dt.year == 2020))
    with pytest.raises(TableError, match="no day that a fold tests was measured"):
        run(table, quality={"column": "QC", "min": least, "days": "all"}, protocol=protocol)


@pytest.mark.parametrize("window_days", [1, 30])
def test_the_order_of_the_rows_changes_nothing(window_days):
    """Whatever is drawn, fitted, chosen, compared and told: one table, one result, to the last bit."""
    table = flat(12, 30).assign(
        date=np.tile(pd.date_range("2020-05-01", periods=30), 12), QC=np.tile([1.0, 0.2, 0.9], 120),
        DT=lambda t: t["GPP"] + 0.1, LAT=np.repeat(40.0 + np.arange(12), 30), LON=10.0,
    )  # fmt: skip
    if window_days > 1:
        table = pd.concat([table, table.assign(date=table["date"] + pd.Timedelta(days=30), GPP=table["GPP"] * 1.1)])
    asked = {
        "places": {"vegetation": "PFT", "latitude": "LAT", "longitude": "LON"}, "variants": ["DT"], "own": ["XX-T03"],
        "protocol": {"name": "knndm", "folds": 3}, "quality": {"column": "QC", "min": 0.75, "days": "all"},
        "window_days": window_days, "nested": True,
    }  # fmt: skip
    asked |= {"regressors": ["lightgbm"], "explain": True} if window_days == 1 else {"intervals": 0.7}
    one, other = (run(t, **asked) for t in (table, table.sample(frac=1, random_state=7)))
    for name in ("predictions", *TABLES, "places"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert repr(one.record) == repr(other.record)


def test_a_site_without_a_measured_day_is_told():
    table = flat().assign(QC=lambda t: 1.0 * (t["SITE_ID"] != "XX-T02"))
    result = run(table, quality={"column": "QC", "min": 0.75, "days": "all"}, features={"light": ["NIRv * SW"]})
    (told,) = [u for u in result.record["undefined"] if u["score"] == "every score"]
    assert (told["table"], told["features"], told["where"]) == ("site_scores", "light", "XX-T02, measured days")
    assert told["cause"] == "none of the site's days was measured"


def test_a_site_table_tells_what_the_table_does_not():
    import geopandas as gpd

    table = flat()
    names = sorted(table["SITE_ID"].unique())
    sites = gpd.GeoDataFrame({"latitude": 50.0, "longitude": np.arange(5.0), "igbp": list("ABABA")}, index=names)
    result = run(table, site_table=sites)
    assert result.places["vegetation"].tolist() == list("ABABA")
    assert "climatology" in set(result.scores["features"])
    assert result.record["nearest_training_km"]["XX-T00"] == pytest.approx(71.5, abs=0.3)
    own = run(table, site_table=sites, places={"vegetation": "PFT"})
    assert own.places["vegetation"].tolist() == ["GRA", "ENF", "GRA", "ENF", "GRA"]  # the table's own comes first
    with pytest.raises(TableError, match="knows none of the sites"):
        run(table, site_table=sites.rename(index=str.lower))


def test_only_some_sites():
    assert set(run(flat(), sites=["XX-T01", "XX-T03"]).predictions["site"]) == {"XX-T01", "XX-T03"}
    with pytest.raises(TableError, match="XX-T9"):
        run(flat(), sites=["XX-T01", "XX-T9"])


def test_the_nested_best_is_one_model_more():
    result = run(flat(6, 12), nested=True)
    best = result.scores[result.scores["features"] == "nested best"]
    assert len(best) == 1
    assert best["n"].tolist() == [72]
    assert sum(line["folds"] for line in result.record["nested"]["chosen"]) == 6 == len(result.choices)


def test_explained():
    result = run(flat(6, 12), explain=True)
    assert set(result.applicability["features"]) == set(SETS)
    assert result.applicability["n"].tolist() == [12] * 12
    assert result.applicability["inside"].between(0, 1).all()
    assert {"NIRv", "SW", "TA"} <= set(result.importance["group"])
    assert (result.group_scores["by"] == "applicability").any()


def test_a_mixed_model_is_read_too(tmp_path):
    result = run(flat(8, 12), regressors=["ridge", "mixed_model"], features={"f": ["NIRv", "SW"]})
    effects = result.effects.set_index("term")
    assert effects.loc["NIRv", "estimate"] > 0
    assert effects.loc["NIRv", "p"] < 0.05
    assert 0 <= effects.loc["ICC", "estimate"] <= 1
    two = run(flat(8, 12), regressors=["mixed_model"], features={"light": ["NIRv"], "air": ["TA"]}).effects
    assert set(two.query("features == 'light'")["term"]) - set(two.query("features == 'air'")["term"]) >= {"NIRv"}
    folder = result.save(tmp_path / "out")
    assert (folder / "effects.csv").is_file()
    assert "Effects that all sites share" in (folder / "report.html").read_text()
    twice = run(
        flat(8, 12).assign(again=lambda t: 2 * t["NIRv"]), regressors=["mixed_model"], features={"f": ["NIRv", "again"]}
    )
    assert twice.record["without_effect"]["f"]["left_out"] == {"again": "a sum of the columns before it"}


def test_a_mixed_model_of_windows_is_read_day_by_day():
    days = pd.date_range("2020-01-01", periods=40)
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"SITE_ID": np.repeat(list("abcd"), 40), "date": np.tile(days, 4), "x": rng.normal(size=160)})
    table["GPP"] = table.groupby("SITE_ID")["x"].shift(1).fillna(0.0) + rng.normal(0, 0.1, 160)
    table["y"] = rng.normal(size=160)
    result = run(table, features={"x": ["x", "y"]}, regressors=["mixed_model"], window_days=4)
    effects = result.effects.set_index("term")["estimate"]
    assert effects["x, 1 days before"] > 0.5
    others = [f"{name}, {day} days before" for name in ("x", "y") for day in range(4)]
    others.remove("x, 1 days before")
    assert effects[others].abs().max() < 0.1


def test_the_unit_asked_for_is_that_of_the_record():
    asked = {"target": "GPP_NT_VUT_REF", "features": None}
    assert run(joined(), **asked).record["units"] == "gC m-2 d-1"
    assert run(joined(), **asked, units="umol m-2 s-1").record["units"] == "umol m-2 s-1"


def test_a_feature_table_knows_its_sites():
    for given in ({"places": {"latitude": 50.0}}, {"sites": ["XX-T01"]}):
        with pytest.raises(ConfigError, match="knows its sites"):
            run(joined(), target="GPP_NT_VUT_REF", features=None, **given)


def test_windows_of_past_days():
    rng = np.random.default_rng(0)
    days = pd.date_range("2020-01-01", periods=60)
    table = pd.DataFrame({"SITE_ID": np.repeat(list("abc"), 60), "date": np.tile(days, 3), "x": rng.normal(size=180)})
    table["GPP"] = table.groupby("SITE_ID")["x"].shift(3).fillna(0.0) + rng.normal(0, 0.1, 180)
    table.loc[[0, 100], "GPP"] = np.nan
    now, past = (run(table, features={"x": ["x"]}, window_days=n) for n in (1, 5))
    assert past.rows == {"in": 180, "GPP missing": 2, "window of 5 days incomplete": 11, "out": 167}
    assert past.scores["r2"].iloc[0] > 0.9 > 0.2 > now.scores["r2"].iloc[0]
