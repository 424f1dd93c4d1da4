"""What a benchmark says of one site: with models that never saw it, and with its own other days."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor

from ecoembed.validation.ownsite import EMBARGO, describe_own
from ecoembed.validation.scores.metrics import bias, r2, rmse

from . import tables

OWN = "XX-T02"


def daily(
    sites: int = 6, years: tuple[int, ...] = (2019, 2020), level: float = 0.0, seed: int = 0, freq: str = "5D"
) -> pd.DataFrame:
    """A day in five; GPP = NIRv x SW and, at the own site, `level` more."""
    rng = np.random.default_rng(seed)
    days = pd.date_range(f"{years[0]}-01-01", f"{years[-1]}-12-31", freq=freq)
    n = sites * len(days)
    table = pd.DataFrame(
        {
            "SITE_ID": np.repeat([f"XX-T{i:02d}" for i in range(sites)], len(days)),
            "date": np.tile(days, sites),
            "NIRv": rng.uniform(0, 0.4, n),
            "SW": rng.uniform(50, 300, n),
            "TA": rng.normal(10, 5, n),
            "PFT": np.repeat([("GRA", "ENF")[i % 2] for i in range(sites)], len(days)),
        }
    )
    table["GPP"] = 0.1 * table["NIRv"] * table["SW"] + rng.normal(0, 0.3, n) + level * (table["SITE_ID"] == OWN)
    return table


def asked(table: pd.DataFrame, site: str = OWN, **changes: object) -> tuple[dict, object]:
    """What `own_site` says through the public benchmark, and the benchmark."""
    places = {"vegetation": "PFT", "latitude": 45.0}
    result = tables.run(table, **({"places": places, "own": [site], "regressors": ["ridge", "lightgbm"]} | changes))
    (found,) = result.record["own_sites"]
    json.dumps(found)
    return found, result


def test_models_of_all_other_sites_are_those_that_never_saw_it():
    found, result = asked(daily())
    others = found["others"]
    rows = result.predictions.query("site == @OWN and features == @others['features']")
    rows = rows[rows["regressor"] == others["regressor"]]
    observed, predicted = rows["observed"].to_numpy(), rows["predicted"].to_numpy()
    for score in (r2, rmse, bias):
        assert others[score.__name__] == pytest.approx(score(observed, predicted))
    assert found["n"] == others["n"] == len(rows)
    assert others["protocol"] == "leave-site-out"


def test_the_model_is_chosen_at_the_other_sites():
    """Air matters little elsewhere and swings widely here: of all rows air is the best model, of the others light."""
    table = daily()
    here = (table["SITE_ID"] == OWN).to_numpy()
    table["TA"] = np.random.default_rng(1).normal(0, np.where(here, 20.0, 1.0))
    table["GPP"] += table["TA"]
    sets = {"light": ["NIRv * SW"], "air": ["TA"]}
    found, result = asked(table, features=sets, regressors=["ridge"])
    scores = result.site_scores.query("site == @OWN").set_index("features")["r2"]
    assert scores["air"] > scores["light"]
    error = (result.predictions["observed"] - result.predictions["predicted"]) ** 2
    assert error.groupby(result.predictions["features"].astype(str)).sum()[list(sets)].idxmin() == "air"
    assert found["others"]["features"] == "light"


def test_its_own_data_help_where_the_site_has_a_level_of_its_own():
    found, _ = asked(daily(level=4.0), regressors=["lightgbm"], units="gC m-2 d-1")
    own = found["with_own"]
    assert (own["scheme"], own["label"], own["blocks"]) == ("years", "seen-site", ["2019", "2020"])
    assert own["n"] == found["n"] == own["with"]["n"] == own["without"]["n"]
    assert own["without"]["r2"] == pytest.approx(found["others"]["r2"])  # leave-site-out, on the same days
    assert own["with"]["rmse"] < own["without"]["rmse"]
    assert own["rmse_lowered"]["lower"] > 0
    assert own["says"].startswith("its own data lower the RMSE by 0.")
    assert " gC m-2 d-1 (95 % interval" in own["says"]


def test_no_gain_is_claimed_where_there_is_none():
    found, _ = asked(daily(seed=1), regressors=["ridge"])
    lowered = found["with_own"]["rmse_lowered"]
    assert abs(lowered["value"]) < 0.005
    assert lowered["lower"] <= 0 <= lowered["upper"]
    assert found["with_own"]["says"].startswith("no difference shown")


class Spy(DummyRegressor):
    """Predicts the mean, and notes how near in time the training days of the own site (below 1000) come."""

    nearest: ClassVar[list[float]] = []

    def fit(self, X, y):
        self.days_ = X[X[:, 0] < 1000, 0]
        return super().fit(X, y)

    def predict(self, X):
        if len(self.days_) and X[0, 0] < 1000:
            self.nearest.append(float(np.abs(self.days_[:, None] - X[:, 0]).min()))
        return super().predict(X)


@pytest.mark.parametrize("years", [(2019,), (2019, 2020)])
def test_neighbouring_days_of_a_block_are_not_trained_on(years):
    table = daily(years=years)
    table["day"] = (table["date"] - pd.Timestamp("2019-01-01")).dt.days + 1000.0 * (table["SITE_ID"] != OWN)
    Spy.nearest.clear()
    found, _ = asked(table, features={"day": ["day"]}, regressors={"spy": Spy()})
    own = found["with_own"]
    assert own["scheme"] == ("years" if len(years) == 2 else "4 stretches of time")
    assert len(own["blocks"]) == len(Spy.nearest) == (2 if len(years) == 2 else 4)
    assert own["embargo_days"] == EMBARGO
    assert EMBARGO < min(Spy.nearest) <= EMBARGO + 5


def test_the_interval_of_the_gain_is_that_of_a_bootstrap_over_months():
    """By hand, with a model that predicts the mean of what it is fitted on: 24 months, not the 12 of the calendar.

    What a month has too much in one year it has too little in the other, so that calendar months would hardly differ.
    """
    table = daily()
    here, dates = (table["SITE_ID"] == OWN).to_numpy(), table["date"]
    swing = np.random.default_rng(2).normal(0, 3, 13)[dates.dt.month] * np.where(dates.dt.year == 2019, 1, -1)
    table.loc[here, "GPP"] += 3.0 + swing[here]
    found, _ = asked(table, regressors={"mean": DummyRegressor()})
    of_others, own = table.loc[~here, "GPP"], table[here]
    errors = []
    for year, part in own.groupby(own["date"].dt.year):
        embargo = pd.Timedelta(days=EMBARGO)
        far = (own["date"] < part["date"].min() - embargo) | (own["date"] > part["date"].max() + embargo)
        assert not (far & (own["date"].dt.year == year)).any()
        with_ = np.concatenate([of_others, own.loc[far, "GPP"]]).mean()
        month = part["date"].dt.to_period("M")
        errors.append(pd.DataFrame({"month": month, "without": (part["GPP"] - of_others.mean()) ** 2,
                                    "with": (part["GPP"] - with_) ** 2}))  # fmt: skip
    months = pd.concat(errors).groupby("month").agg(["sum", "size"])
    sums = months[[("without", "sum"), ("with", "sum"), ("with", "size")]].to_numpy()
    drawn = sums[np.random.default_rng(0).integers(0, 24, (20_000, 24))].sum(axis=1)
    falls = [np.sqrt(s[..., 0] / s[..., 2]) - np.sqrt(s[..., 1] / s[..., 2]) for s in (sums.sum(axis=0), drawn)]
    lowered = found["with_own"]["rmse_lowered"]
    assert lowered["value"] == pytest.approx(falls[0])
    lower, upper = np.quantile(falls[1], [0.025, 0.975])
    off = 0.06 * (upper - lower)
    assert (lowered["lower"], lowered["upper"]) == (pytest.approx(lower, abs=off), pytest.approx(upper, abs=off))
    again, _ = asked(table, regressors={"mean": DummyRegressor()}, seed=1)
    assert again["with_own"]["rmse_lowered"]["value"] == lowered["value"]
    assert again["with_own"]["rmse_lowered"] != lowered


@pytest.mark.parametrize(("count", "scheme"), [(30, "years"), (29, "4 stretches of time")])
def test_a_year_needs_thirty_days(count, scheme):
    table = daily()
    rank = table.groupby(["SITE_ID", table["date"].dt.year]).cumcount()
    found, _ = asked(table[(table["SITE_ID"] != OWN) | (rank < count)], regressors=["ridge"])
    assert found["with_own"]["scheme"] == scheme


def test_a_year_of_few_days_is_in_neither_score():
    """Three days of 2021: they are trained on, and the same days of the other years are scored with and without."""
    table = daily(years=(2019, 2020, 2021))
    found, _ = asked(table[(table["SITE_ID"] != OWN) | (table["date"] < "2021-01-20")], regressors=["ridge"])
    own = found["with_own"]
    assert own["blocks"] == ["2019", "2020"]
    assert own["n"] == own["with"]["n"] == own["without"]["n"] == found["n"] - 3


@pytest.mark.parametrize(("until", "known"), [("2019-05-31", False), ("2019-06-30", True)])
def test_of_few_months_no_interval_is_told(until, known):
    table = daily(years=(2019,), freq="2D")
    found, _ = asked(table[(table["SITE_ID"] != OWN) | (table["date"] <= until)], regressors=["ridge"])
    lowered = found["with_own"]["rmse_lowered"]
    assert np.isfinite(lowered["value"])
    assert (lowered["lower"] is not None) == (lowered["upper"] is not None) == known
    assert ("fewer than 6 months" in found["with_own"]["says"]) != known


def test_a_block_without_days_far_from_it_is_not_tried():
    """Eighty days: beyond 30 days of the second and third quarter there are five, of the others fifteen."""
    table = daily(years=(2019,), freq="2D")
    found, _ = asked(table[(table["SITE_ID"] != OWN) | (table["date"] < "2019-03-22")], regressors=["ridge"])
    assert found["with_own"]["blocks"] == ["2019-01-01 to 2019-01-19", "2019-03-02 to 2019-03-20"]


def test_windows_widen_the_embargo():
    table = daily()
    days = pd.date_range("2019-01-01", "2020-12-31")
    whole = pd.concat([g.set_index("date").reindex(days).ffill() for _, g in table.groupby("SITE_ID")])
    whole = whole.rename_axis("date").reset_index()
    found, _ = asked(whole, window_days=60, regressors=["ridge"])
    assert found["with_own"]["embargo_days"] == 60


def test_a_short_record_says_why_its_own_data_cannot_be_tried():
    table = daily()
    here = (table["SITE_ID"] == OWN) & (table["date"] > "2019-03-31")
    found, _ = asked(table[~here], regressors=["ridge"])
    assert "30 days" in found["with_own"]["not_possible"]


def test_rank_among_its_type():
    found, result = asked(daily(level=4.0))
    model = [found["others"][key] for key in ("features", "regressor")]
    lines = result.site_scores[(result.site_scores[["features", "regressor"]] == model).all(axis=1)]
    grass = lines[lines["site"].isin(["XX-T00", "XX-T02", "XX-T04"])].set_index("site")["r2"]
    rank = found["rank"]
    assert (rank["vegetation"], rank["among"]) == ("GRA", 3)
    assert rank["of"] == int(grass.rank(ascending=False)[OWN]) == 3
    assert rank["r2s"] == pytest.approx(sorted(grass, reverse=True))


def test_the_only_site_of_its_type_has_no_rank():
    table = daily()
    found, _ = asked(table.assign(PFT=table["PFT"].where(table["SITE_ID"] != OWN, "WET")), regressors=["ridge"])
    assert found["rank"]["not_possible"] == "no other site of its type, WET, has an r2"
    assert "  not ranked: no other site of its type, WET, has an r2" in describe_own(found, "gC m-2 d-1")


def test_without_vegetation_types_there_is_no_rank():
    found, _ = asked(daily(), places=None)
    assert found["vegetation"] is None
    assert found["rank"]["not_possible"] == "its vegetation type is not known"


def test_a_site_unlike_all_others_lies_outside():
    alike, _ = asked(daily(), regressors=["ridge"])
    table = daily()
    table.loc[table["SITE_ID"] == OWN, ["NIRv", "SW", "TA"]] += [2, 3000, 100]
    unlike, _ = asked(table, regressors=["ridge"])
    assert alike["inside"] > 0.9
    assert unlike["inside"] == 0
    assert unlike["dissimilarity"] > alike["dissimilarity"]


def test_a_protocol_at_known_sites_does_not_stand_for_unseen_ones():
    found, result = asked(daily(level=4.0), protocol="leave-year-out", regressors=["lightgbm"])
    assert result.record["label"] == "seen-site"
    assert found["others"]["protocol"] == "all other sites"
    unseen, _ = asked(daily(level=4.0), regressors=["lightgbm"])
    if found["others"]["features"] == unseen["others"]["features"]:
        assert found["others"]["r2"] == pytest.approx(unseen["others"]["r2"])
    assert "leave-year-out" in found["rank"]["not_possible"]


def test_only_measured_days_are_scored_where_they_are_known():
    table = daily()
    table["QC"] = np.where(np.arange(len(table)) % 2, 1.0, 0.2)
    table.loc[table["QC"] < 0.5, "GPP"] += 50 * (table["SITE_ID"] == OWN)
    found, _ = asked(table, quality={"column": "QC", "min": 0.75, "days": "all"}, regressors=["ridge"])
    assert found["days"] == "measured"
    assert found["others"]["n"] == found["n"] // 2
    own = found["with_own"]
    assert own["n"] == found["n"] // 2
    assert own["rmse_lowered"]["value"] == pytest.approx(own["without"]["rmse"] - own["with"]["rmse"])


def test_in_words():
    found, _ = asked(daily(level=4.0), regressors=["lightgbm"])
    text = "\n".join(describe_own(found, "gC m-2 d-1"))
    for word in (
        OWN,
        "all other sites",
        "area of applicability",
        "of 3 among",
        "GRA",
        "(seen-site)",
        "lower the",
    ):
        assert word in text
    assert describe_own({"site": "XX-Own", "not_possible": "no image"}, "") == ["XX-Own: no image"]


def test_a_tower_whose_every_day_was_filled_is_not_ranked():
    """Its days are predicted and in the scores of all days; of measured ones there are none to say anything of."""
    table = daily(years=(2020,)).assign(QC=lambda t: 1.0 * (t["SITE_ID"] != OWN))
    found, result = asked(table, quality={"column": "QC", "min": 0.5, "days": "all"})
    assert found["not_possible"] == "none of its 74 days was measured"
    assert set(result.site_scores.query("days == 'all'")["site"]) > set(
        result.site_scores.query("days == 'measured'")["site"]
    )
    assert describe_own(found, "") == [f"{OWN}: none of its 74 days was measured"]
