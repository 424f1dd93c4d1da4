"""Days between clear acquisitions: one rule for all sets, nothing of the future unless it is said."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.errors import ConfigError
from ecoembed.gpp.features import feature_table
from ecoembed.gpp.gaps import check_causal, check_gaps
from ecoembed.validation.samples import Asked, feature_sets, make_samples
from tests.gpp import worlds

SITE = "XX-T01"
SATELLITE = ("bands", "indices", "embeddings")


def build(times, change=None, sites=(SITE,), utc_offset=1.0, **keywords):
    series = {s: worlds.all_series(times, seed=i) for i, s in enumerate(sites)}
    flux = {s: worlds.flux(s, seed=i) for i, s in enumerate(sites)}
    if change is not None:
        change(series, flux)
    return feature_table(series, flux, worlds.sites(list(sites), utc_offset=utc_offset), **keywords)


def day(table, date):
    return table.loc[(SITE, pd.Timestamp(date))]


passes = st.lists(st.integers(0, 199), min_size=2, max_size=25, unique=True).map(
    lambda days: worlds.DAYS[sorted(days)] + pd.Timedelta(hours=10.5)
)


@settings(max_examples=20, deadline=None)
@given(times=passes, data=st.data(), max_age=st.integers(1, 60))
def test_a_later_acquisition_never_changes_an_earlier_row(times, data, max_age):
    """The trap of filling gaps from the future: whatever happens to an acquisition, days before it do not know."""
    k = data.draw(st.integers(1, len(times) - 1))
    what = data.draw(st.sampled_from(["value", "cloud", "gone", "moved"]))

    def change(series, flux):
        for name, one in series[SITE].items():
            if what == "value":
                one["value"][k] += 5.0
            elif what == "cloud":
                one["coverage"][k] = 0.1
            elif what == "gone":
                series[SITE][name] = one.isel(time=[i for i in range(len(times)) if i != k])
            else:  # a second pass, better covered, on the same day
                one["coverage"][k] = 0.8
                second = one.isel(time=[k]).assign_coords(time=[times[k] + pd.Timedelta(hours=1)])
                second = second.assign(coverage=second["coverage"] + 0.1, value=second["value"] * 2)
                series[SITE][name] = one.merge(second)

    before, after = (build(times, c, gaps="last", max_age=max_age) for c in (None, change))
    dates = [t.index.get_level_values("date") < times[k].normalize() for t in (before, after)]
    pd.testing.assert_frame_equal(before[dates[0]], after[dates[1]])


def test_interpolation_does_see_the_future_and_says_so():
    """What the property above would catch, caught: the same change, an earlier row."""
    times = worlds.overpasses(10)

    def change(series, flux):
        series[SITE]["bands"]["value"][5] += 5.0

    before, after = (build(times, c, gaps="linear") for c in (None, change))
    earlier = before.index.get_level_values("date") < times[5].normalize()
    assert np.abs(before[earlier] - after[earlier]).to_numpy().max() > 1.0
    assert before.attrs["retrospective"] is True
    assert "gaps" in before.attrs["future"]
    with pytest.raises(ConfigError, match=r"features see the future.*linear.*retrospective = true"):
        check_causal(before.attrs["future"])
    check_causal(build(times, gaps="last").attrs["future"])


@settings(max_examples=12, deadline=None)
@given(times=passes, max_age=st.integers(1, 60))
def test_filled_values_and_ages_are_those_of_pandas(times, max_age):
    seen = worlds.all_series(times)["bands"]["value"].to_pandas()
    seen.index = seen.index.normalize()
    own = pd.Series(seen.index, seen.index).reindex(worlds.DAYS)
    table = build(times, gaps="last", max_age=max_age)
    age = (worlds.DAYS.to_series() - own.ffill()).dt.days
    age = age[age <= max_age]
    assert list(table.index.get_level_values("date")) == list(age.index)
    for name in SATELLITE:
        np.testing.assert_array_equal(table[name, "age"], age)
    np.testing.assert_array_equal(table["bands"][["B04", "B08"]], seen.reindex(worlds.DAYS).ffill().loc[age.index])
    between = seen.reindex(worlds.DAYS).interpolate("time", limit_area="inside").dropna()
    ahead = (own.bfill() - worlds.DAYS.to_series()).dt.days
    nearest = np.minimum((worlds.DAYS.to_series() - own.ffill()).dt.days, ahead)[between.index]
    table = build(times, gaps="linear", max_age=max_age)
    np.testing.assert_allclose(table["bands"][["B04", "B08"]], between[nearest <= max_age])


def test_each_day_is_counted_once_with_its_reason():
    def change(series, flux):
        flux[SITE]["TA"][[60, 61]] = np.nan
        flux[SITE]["GPP_NT_VUT_REF"][100:] = np.nan

    times = worlds.DAYS[[20, 25, 70, 130]] + pd.Timedelta(hours=10.5)
    table = build(times, change, sites=(SITE, "XX-T02"), gaps="last", max_age=40)
    attrs = table.attrs
    assert attrs["site_rows"][SITE] == {
        "in": 200, "no clear acquisition before": 20, "last clear acquisition more than 40 days before": 52,
        "target not measured": 0, "TA missing": 2, "SW_IN missing": 0, "VPD missing": 0, "P missing": 0, "out": 126,
    }  # fmt: skip
    for rows in (attrs["rows"], *attrs["site_rows"].values()):
        assert rows["in"] == sum(count for reason, count in rows.items() if reason != "in")
    assert attrs["counted"] == "days"
    assert attrs["acquisitions"]["in"] == attrs["acquisitions"]["out"] == 8
    assert attrs["rows"]["out"] == len(table)


def test_days_without_a_target_are_history_and_never_samples():
    def change(series, flux):
        flux[SITE]["GPP_NT_VUT_REF"][:100] = np.nan

    table = build(worlds.overpasses(40), change, gaps="last")
    assert table["observed"].iloc[:, 0].isna().sum() == 99  # no acquisition on the first day
    asked = Asked("GPP_NT_VUT_REF", "site", "date", feature_sets(table, {"x": ["embeddings", "meteo"]}), window_days=90)
    samples = make_samples(table, asked)
    assert samples.rows["observed.GPP_NT_VUT_REF missing"] == 99
    assert samples.rows["out"] == 100  # day 101 has its 90 days behind it
    first = np.asarray(samples.features["x"])[0].reshape(90, -1)
    np.testing.assert_allclose(first, table[["embeddings", "meteo"]].iloc[10:100], rtol=1e-6)


def test_a_site_that_was_never_measured_contributes_nothing():
    def change(series, flux):
        flux[SITE]["GPP_NT_VUT_REF"][:] = np.nan

    with pytest.warns(UserWarning, match=f"{SITE} contributes no row"):
        table = build(worlds.overpasses(40), change, sites=(SITE, "XX-T02"), gaps="last")
    assert "target not measured 199" in table.attrs["sites_without_rows"][SITE]
    assert set(table.index.get_level_values("site")) == {"XX-T02"}


@pytest.mark.parametrize(("offset", "first"), [(5.0, "2020-04-02"), (-5.0, "2020-04-01"), (0.0, "2020-04-01")])
def test_age_counts_from_the_local_day_of_the_overpass(offset, first):
    """22:00 UTC is the next day at UTC+5: there, the UTC day itself knows nothing of the image yet."""
    table = build(pd.DatetimeIndex(["2020-04-01T22:00"]), utc_offset=offset, gaps="last")
    assert table.index.get_level_values("date")[0] == pd.Timestamp(first)
    assert day(table, first)["bands", "age"] == 0
    assert day(table, pd.Timestamp(first) + pd.Timedelta(days=30))["bands", "age"] == 30
    assert (SITE, pd.Timestamp(first) + pd.Timedelta(days=31)) not in table.index


def test_the_oldest_image_is_from_before_the_flux_record():
    def change(series, flux):
        flux[SITE] = flux[SITE].isel(time=slice(50, None))

    table = build(worlds.overpasses(3), change, gaps="last", max_age=45)  # the last on day 11
    assert table["bands", "age"].iloc[0] == 39
    assert len(table) == 7


def test_baselines_meet_the_radiation_of_each_day():
    table = build(worlds.overpasses(40), gaps="last")
    np.testing.assert_allclose(table["nirv_x_radiation"].iloc[:, 0], table["indices", "NIRv"] * table["meteo", "SW_IN"])
    assert "age" not in table["nirv_x_radiation"]
    assert "age" not in table["meteo"]


def test_a_window_that_sees_the_future_is_found():
    def change(series, flux):
        for name, window in (("bands", "causal"), ("embeddings", "centred"), ("indices", "annual")):
            series[SITE][name].attrs["window"] = window

    attrs = build(worlds.overpasses(20), change).attrs
    assert attrs["retrospective"] is True
    assert set(attrs["future"]) == {"embeddings", "indices"}
    with pytest.raises(ConfigError, match=r"embeddings sees acquisitions after the day \(centred\)"):
        check_causal(attrs["future"])


def test_a_window_of_a_name_not_known_here_is_not_taken_for_causal():
    def change(series, flux):
        series[SITE]["embeddings"].attrs["window"] = "seasonal"

    attrs = build(worlds.overpasses(20), change).attrs
    assert attrs["retrospective"] is True
    assert attrs["future"] == {"embeddings": "window seasonal"}


@pytest.mark.parametrize(("gaps", "max_age"), [("lats", 30.0), ("last", 0.0), ("last", float("nan")), ("last", "x")])
def test_no_such_gaps(gaps, max_age):
    with pytest.raises(ConfigError):
        check_gaps(gaps, max_age)
