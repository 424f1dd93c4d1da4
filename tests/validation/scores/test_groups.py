"""Groups of days: each day in one group of each kind, scored as scikit-learn scores it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from ecoembed.errors import TableError
from ecoembed.validation.scores import summarise_groups, undefined
from tests.validation.scores.test_scores import predicted, world

SAMPLES = world((800, 700, 400, 20, 5))
PLACES = SAMPLES.places.assign(
    vegetation=["GRA", "GRA", "ENF", "ENF", None], climate=None, latitude=[50.0, -35.0, 10.0, np.nan, 60.0]
)
SAMPLES = dataclasses.replace(SAMPLES, places=PLACES)
ALL = dataclasses.replace(SAMPLES, measured=None)
TABLE = predicted(SAMPLES)


def groups(by, samples=ALL, **more):
    table = summarise_groups(TABLE, samples, **more)
    return table[table["by"] == by].set_index("group")


def rows(mask):
    return TABLE["observed"][mask], TABLE["predicted"][mask]


def test_every_day_is_in_one_group_of_each_kind():
    table = summarise_groups(TABLE, ALL)
    assert set(table["by"]) == {"vegetation", "climate", "season", "drought", "tail", "year"}
    assert (table.groupby("by")["n"].sum() == len(TABLE)).all()


def test_groups_are_scored_as_their_days():
    found, grass = groups("vegetation"), TABLE["site"].isin(["XX-0", "XX-1"])
    assert found.loc["GRA", "r2"] == pytest.approx(r2_score(*rows(grass)))
    assert found.loc["GRA", ["n", "sites"]].tolist() == [1500, 2]
    error = rows(grass)[1] - rows(grass)[0]
    assert found.loc["GRA", ["rmse", "mae", "bias"]].tolist() == pytest.approx(
        [np.sqrt((error**2).mean()), error.abs().mean(), error.mean()]
    )
    assert found.loc["not known: no vegetation of the site is known", "n"] == 5
    year = TABLE["date"].dt.year == 2011
    assert groups("year").loc["2011", "r2"] == pytest.approx(r2_score(*rows(year)))


def test_winter_is_in_july_south_of_the_equator():
    month, site = TABLE["date"].dt.month, TABLE["site"]
    north = site.isin(["XX-0", "XX-2", "XX-4"]) & month.isin([12, 1, 2])
    south = (site == "XX-1") & month.isin([6, 7, 8])
    assert groups("season").loc["winter", "n"] == (north | south).sum()
    assert groups("season").loc["not known: no latitude of the site is known", "n"] == 20


def test_the_driest_days_are_of_each_site():
    vpd = pd.Series(SAMPLES.columns["VPD"])
    ranks = vpd.groupby(SAMPLES.site).rank(ascending=False)
    size = vpd.groupby(SAMPLES.site).transform("size")
    found = groups("drought")
    dry = (ranks <= np.ceil(size / 10)) & (size >= 10)
    assert found.loc["the tenth of its days with the highest VPD", "n"] == dry.sum()
    assert found.loc["the tenth of its days with the highest VPD", "r2"] == pytest.approx(
        r2_score(*rows(dry.to_numpy()))
    )
    assert found.loc["not known: the site has fewer than 10 days, or too many of one value", "n"] == 5


def test_soil_moisture_tells_more_than_vpd_and_its_lowest_values_are_the_dry_ones():
    soil = np.arange(len(TABLE), dtype=float)
    wetter = dataclasses.replace(ALL, columns={**ALL.columns, "meteo.SWC_F_MDS_1": soil})
    found = groups("drought", wetter)
    first = np.concatenate([np.arange(n) < np.ceil(n / 10) for n in (800, 700, 400, 20)] + [np.zeros(5, dtype=bool)])
    name = "the tenth of its days with the lowest meteo.SWC_F_MDS_1"
    assert found.loc[name, "bias"] == pytest.approx((rows(first)[1] - rows(first)[0]).mean())
    nothing = dataclasses.replace(ALL, columns={"NDVI": soil})
    assert list(groups("drought", nothing).index) == [
        "not known: no column of soil moisture or VPD is among the features"
    ]


def test_tails_are_of_each_site():
    observed = TABLE["observed"]
    size = observed.groupby(TABLE["site"]).transform("size")
    high = (observed.groupby(TABLE["site"]).rank(ascending=False) <= np.ceil(size / 10)) & (size >= 10)
    found = groups("tail")
    assert found.loc["the highest tenth at its site", "rmse"] == pytest.approx(
        np.sqrt(((rows(high)[0] - rows(high)[1]) ** 2).mean())
    )
    assert found.loc["the lowest tenth at its site", "n"] == high.sum()


def test_inside_and_outside_the_area_of_applicability():
    inside = TABLE[["features", "site", "date"]].assign(inside=TABLE["date"].dt.month < 7)
    found = groups("applicability", inside=inside.sample(frac=1, random_state=0))
    early = (TABLE["date"].dt.month < 7).to_numpy()
    assert found.loc["inside", "r2"] == pytest.approx(r2_score(*rows(early)))
    assert found.loc["outside", "n"] == (~early).sum()
    partly = groups("applicability", inside=inside.iloc[:100])
    assert partly.loc["not known: the day's dissimilarity was not computed", "n"] == len(TABLE) - 100
    assert len(groups("applicability", inside=inside.assign(features="other"))) == 0
    with pytest.raises(TableError, match="no sample"):
        groups("applicability", inside=inside.assign(site="nowhere"))


def test_measured_days_where_they_are_known():
    table = summarise_groups(TABLE, SAMPLES)
    assert set(table["days"]) == {"measured"}
    assert (table.groupby("by")["n"].sum() == SAMPLES.measured.sum()).all()


def test_a_tenth_is_no_third_where_values_are_rounded():
    soil = np.round(SAMPLES.columns["VPD"] / 10) + 1.0
    soil[SAMPLES.site == "XX-1"] = np.where(np.arange(700) < 40, 1.0, 2.0)
    soil[SAMPLES.site == "XX-2"] = 5.0
    found = groups("drought", dataclasses.replace(ALL, columns={"SM": soil}))
    assert found.loc["the tenth of its days with the lowest SM", "n"] == 40  # of XX-1; XX-0 and XX-2 have no such tenth
    assert found.loc["the other days", "n"] == 660


def test_every_undefined_score_of_a_group_has_its_cause():
    one = dataclasses.replace(ALL, places=PLACES.assign(climate=["Cfb", "Cfb", "Cfb", "Cfb", "Dfc"]))
    flat = dataclasses.replace(one, observed=np.where(SAMPLES.site == "XX-4", 2.0, SAMPLES.observed))
    table = TABLE.assign(observed=flat.observed)
    table = summarise_groups(table, flat)
    found = undefined(group_scores=table)
    assert len(found) == table.isna().sum().sum()
    causes = {line["where"]: line["cause"] for line in found}
    assert causes["climate, Dfc, all days"] == "the observed values are all the same"
