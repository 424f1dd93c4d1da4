import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed.archives.flux.reader import open_flux
from ecoembed.errors import TableError
from ecoembed.gpp.features import feature_table, local_days
from ecoembed.validation.samples import Asked, feature_sets, make_samples
from tests.gpp import worlds

NAMES = ["XX-T01", "XX-T02"]


def build(change=None, names=NAMES, times=None, **keywords):
    times = worlds.overpasses() if times is None else times
    series = {s: worlds.all_series(times, seed=i) for i, s in enumerate(names)}
    flux = {s: worlds.flux(s, seed=i) for i, s in enumerate(names)}
    place = worlds.sites(names)
    if change is not None:
        change(series, flux, place)
    return feature_table(series, flux, place, **keywords)


def test_sets_share_one_index():
    table = build()
    light = ["nirv_x_radiation", "kndvi_x_radiation"]
    assert list(table.columns.unique(0)) == ["observed", "bands", "indices", "embeddings", *light, "p_model", "meteo"]
    assert len(table) == 60
    assert not table.isna().any().any()
    assert table.attrs["units"] == "gC m-2 d-1"
    product = table["indices", "NIRv"] * table["meteo", "SW_IN"]
    np.testing.assert_allclose(table["nirv_x_radiation"].iloc[:, 0], product)
    product = table["indices", "kNDVI"] * table["meteo", "SW_IN"]
    np.testing.assert_allclose(table["kndvi_x_radiation"].iloc[:, 0], product)
    assert table.attrs["retrospective"] is False
    assert table.attrs["future"] == {}


def test_baselines_have_their_indices_whatever_is_listed():
    def change(series, flux, place):
        for sets in series.values():
            sets["indices"].attrs["listed"] = ["NIRv"]

    table, whole = build(change), build()
    assert list(table["indices"].columns) == ["NIRv"]
    for name in ("nirv_x_radiation", "kndvi_x_radiation", "p_model"):
        pd.testing.assert_frame_equal(table[name], whole[name])
    assert table.attrs["left_out"] == {}


def test_a_baseline_without_its_index_is_left_out_and_says_why():
    def change(series, flux, place):
        for sets in series.values():
            sets["indices"] = sets["indices"].sel(feature=["NDVI"])

    with pytest.warns(UserWarning, match="among the indices") as caught:
        table = build(change)
    assert {str(w.message) for w in caught} == {
        "no nirv_x_radiation: it needs NIRv among the indices",
        "no kndvi_x_radiation: it needs kNDVI among the indices",
    }
    assert "p_model" in table.columns.unique(0)


def test_other_estimates_of_the_target_and_its_noise_stand_beside_it():
    """They are no features: where one is missing, the row stays."""

    def change(series, flux, place):
        for site, table in flux.items():
            days = table.sizes["time"]
            other = ("time", np.arange(days, dtype=float), {"units": "1", "variant_of": "GPP_NT_VUT_REF"})
            flux[site] = table.assign(random_uncertainty=("time", np.full(days, 0.3), {"units": "1"}))
            if site == "XX-T01":
                nee = ("time", np.zeros(days), {"units": "1", "variant_of": "NEE_VUT_REF"})
                flux[site] = flux[site].assign(GPP_DT_VUT_REF=other, NEE_VUT_50=nee)
                flux[site]["random_uncertainty"][:20] = np.nan

    table = build(change)
    assert len(table) == 60
    assert table["variants"].columns.tolist() == ["GPP_DT_VUT_REF"]  # another estimate of NEE is none of GPP
    other, noise = table["variants", "GPP_DT_VUT_REF"], table["noise", "random"]
    dates = pd.DatetimeIndex(other.loc["XX-T01"].index)
    np.testing.assert_array_equal(other.loc["XX-T01"], (dates - worlds.DAYS[0]).days)
    assert other.loc["XX-T02"].isna().all()
    assert noise.loc["XX-T01"].isna().sum() == 4  # overpasses within the first 20 days
    samples = make_samples(table, Asked("GPP_NT_VUT_REF", "site", "date", feature_sets(table, None)))
    assert samples.rows["out"] == 60
    np.testing.assert_array_equal(samples.variants["variants.GPP_DT_VUT_REF"], other)
    np.testing.assert_array_equal(samples.noise, noise)
    assert not {"variants", "noise", "observed"} & set(samples.features)


def test_the_expected_error_of_an_embedding_is_no_feature():
    def change(series, flux, place):
        for sets in series.values():
            error = sets["embeddings"].isel(feature=[0]).assign_coords(feature=["error"])
            sets["embeddings"] = xr.concat(
                [sets["embeddings"].drop_vars("coverage"), error], "feature", data_vars="minimal"
            )
            sets["embeddings"]["coverage"] = error["coverage"]
            sets["embeddings"].attrs["error_unit"] = "reflectance"

    pd.testing.assert_frame_equal(build(change), build())


def test_overpass_meets_the_flux_of_its_local_day():
    """22:00 UTC is the next day at UTC+5 and the same day at UTC-5."""
    for offset, day in ((5.0, "2020-04-02"), (-5.0, "2020-04-01")):
        times = pd.DatetimeIndex(["2020-04-01T22:00"])
        table = build(lambda s, f, p, o=offset: p.__setitem__("utc_offset", o), times=times)
        assert table.index.get_level_values("date").unique() == [pd.Timestamp(day)]
        expected = float(worlds.flux("XX-T01")["GPP_NT_VUT_REF"].sel(time=day))
        assert table.loc[("XX-T01", day), ("observed", "GPP_NT_VUT_REF")] == pytest.approx(expected)


def test_local_midnight_belongs_to_the_new_day():
    assert local_days(["2020-01-01T23:00"], 1.0)[0] == pd.Timestamp("2020-01-02")
    assert local_days(["2020-01-01T22:59"], 1.0)[0] == pd.Timestamp("2020-01-01")
    assert local_days(["2020-01-01T04:00"], -4.5)[0] == pd.Timestamp("2019-12-31")


def test_better_covered_acquisition_of_a_day_is_kept_for_all_sets():
    times = pd.DatetimeIndex(["2020-04-01T10:00", "2020-04-01T10:20"])

    def change(series, flux, place):
        for sets in series.values():
            for one in sets.values():
                one["coverage"][:] = [0.7, 0.9]
            sets["bands"]["coverage"][:] = [0.95, 0.9]  # the least coverage decides

    series = worlds.all_series(times)
    table = build(change, times=times)
    assert table.attrs["rows"]["second acquisition on the local day"] == 2
    for name in ("bands", "indices", "embeddings"):
        np.testing.assert_allclose(table.loc["XX-T01", name].iloc[0], series[name]["value"][1])


def test_every_dropped_row_is_counted_by_reason():
    def change(series, flux, place):
        one = series["XX-T01"]
        one["bands"]["coverage"][0] = 0.4
        one["embeddings"] = one["embeddings"].isel(time=slice(0, -2))
        one["indices"]["value"][1, 0] = np.nan
        flux["XX-T01"] = flux["XX-T01"].copy(deep=True)
        flux["XX-T01"]["GPP_NT_VUT_REF"].loc[{"time": "2020-03-12"}] = np.nan
        flux["XX-T01"]["TA"].loc[{"time": "2020-03-17"}] = np.nan
        flux["XX-T02"] = flux["XX-T02"].isel(time=slice(10, None))

    rows = build(change).attrs["rows"]
    reasons = {k: v for k, v in rows.items() if k not in ("in", "out") and v}
    assert reasons == {
        "coverage below 0.5": 1,
        "acquisition absent from a feature set": 2,
        "feature missing": 1,
        "target not measured": 1,
        "TA missing": 1,
        "day outside the flux record": 2,
    }
    assert rows["in"] == 60
    assert rows["in"] - sum(reasons.values()) == rows["out"]


def test_coverage_at_the_limit_is_kept():
    table = build(lambda s, f, p: s["XX-T01"]["bands"]["coverage"].__setitem__(0, 0.5))
    assert len(table) == 60


def test_missing_radiation_leaves_the_baseline_out_and_says_so():
    def change(series, flux, place):
        flux["XX-T02"] = flux["XX-T02"].drop_vars("SW_IN")

    with pytest.warns(UserWarning, match="nirv_x_radiation"):
        table = build(change)
    assert "nirv_x_radiation" not in table.columns.unique(0)
    assert list(table["meteo"].columns) == ["TA", "VPD", "P"]
    assert "XX-T02" in table.attrs["left_out"]["SW_IN"]


def test_a_driver_without_a_value_at_a_site_is_absent_there():
    """Kept as a driver, an empty column would drop every row of the site."""

    def change(series, flux, place):
        flux["XX-T02"] = flux["XX-T02"].assign(VPD=flux["XX-T02"]["VPD"] * np.nan)
        flux["XX-T02"]["VPD"].attrs["units"] = "hPa"

    with pytest.warns(UserWarning, match="meteo without VPD.*XX-T02"):
        table = build(change)
    assert list(table["meteo"].columns) == ["TA", "SW_IN", "P"]
    assert table.groupby("site").size().to_dict() == {"XX-T01": 30, "XX-T02": 30}
    assert "XX-T01" not in table.attrs["left_out"]["VPD"]


def test_a_tower_without_a_series_decides_nothing():
    table = build(lambda s, f, p: f.__setitem__("XX-T03", worlds.flux("XX-T03", drivers=("TA",))))
    assert table.attrs["left_out"] == {}


def test_a_site_without_a_row_is_named_with_its_reasons():
    def change(series, flux, place):
        one = flux["XX-T02"] = flux["XX-T02"].copy(deep=True)
        one["GPP_NT_VUT_REF"][50:] = np.nan
        one["VPD"][:] = np.nan
        one["VPD"][150] = 1.0  # a value, but on no day that is left

    with pytest.warns(UserWarning, match="XX-T02 contributes no row"):
        table = build(change)
    attrs = table.attrs
    assert attrs["sites_without_rows"] == {
        "XX-T02": "0 of 30 acquisitions kept; dropped: 30 (target not measured 20, VPD missing 10)"
    }
    assert attrs["site_rows"]["XX-T01"]["out"] == attrs["rows"]["out"] == len(table) == 30
    for reason, count in attrs["rows"].items():
        assert count == sum(rows.get(reason, 0) for rows in attrs["site_rows"].values())
    for rows in attrs["site_rows"].values():
        assert rows["in"] == sum(count for reason, count in rows.items() if reason != "in") == 30


def test_with_a_row_at_every_site_none_is_named():
    attrs = build().attrs
    assert attrs["sites_without_rows"] == {}
    assert {site: rows["out"] for site, rows in attrs["site_rows"].items()} == {"XX-T01": 30, "XX-T02": 30}


def test_other_features_at_a_site_are_refused():
    def change(series, flux, place):
        series["XX-T02"]["bands"] = worlds.series(worlds.overpasses(), ["B04"])

    with pytest.raises(TableError, match=r"XX-T02: feature sets differ.*bands"):
        build(change)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s, f, p: f.pop("XX-T02"), "XX-T02.*absent from the flux tables"),
        (lambda s, f, p: p.__setitem__("utc_offset", np.nan), "XX-T01: UTC offset unknown"),
        (lambda s, f, p: f["XX-T02"].attrs.__setitem__("utc_offset", 2.0), "XX-T02: .*different UTC offsets"),
        (
            lambda s, f, p: f["XX-T02"]["GPP_NT_VUT_REF"].attrs.__setitem__("units", "umol m-2 s-1"),
            r"targets have different units.*gC m-2 d-1, umol m-2 s-1",
        ),
        (lambda s, f, p: [d["bands"]["coverage"].__setitem__(slice(None), 0.1) for d in s.values()], "no row has"),
    ],
)
def test_what_cannot_be_joined_is_refused(change, match):
    with pytest.raises(TableError, match=match):
        build(change)


def test_absent_target():
    with pytest.raises(TableError, match="GPP_DT_VUT_REF"):
        build(target="GPP_DT_VUT_REF")


def test_a_real_tower_gives_its_other_partitioning_percentiles_and_noise(real):
    """US-Wi7, daily FULLSET: the columns of the file itself."""
    path = next((real / "flux").glob("FLX_US-Wi7*FULLSET_DD*.csv"))
    flux = open_flux(path, "GPP_NT_VUT_REF", min_qc=0.5, utc_offset=-6.0)
    days = pd.DatetimeIndex(flux["time"].values)[::3]
    series = {"US-Wi7": worlds.all_series(days + pd.Timedelta(hours=17))}
    table = feature_table(series, {"US-Wi7": flux}, worlds.sites(["US-Wi7"], utc_offset=-6.0), gaps="last")
    file = pd.read_csv(path, na_values=-9999)
    file.index = pd.to_datetime(file["TIMESTAMP"], format="%Y%m%d")
    dates = table.index.get_level_values("date")
    names = ["GPP_DT_VUT_REF", "GPP_NT_VUT_16", "GPP_NT_VUT_84"]
    assert set(table["variants"].columns) == set(names)
    np.testing.assert_allclose(table["variants"][names], file.loc[dates, names])
    np.testing.assert_allclose(table["noise", "random"], file.loc[dates, "NEE_VUT_REF_RANDUNC"])
    assert len(table) > 50
    assert table["observed"].isna().to_numpy().any()  # days of history
