"""The virtual tower's record and its processing: errors of the stated size, versions that differ, honest bounds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ecoembed.virtual import fluxtables, processing, production, tower, weather
from ecoembed.virtual.places import streams
from ecoembed.virtual.world import World, make_world

UNIT = production.DAILY


def _days(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, weather.HALF_HOURS).mean(1)


class Site:
    """A world with what its tower recorded and a network made of it."""

    def __init__(self, world: World, seed: int = 0) -> None:
        self.world = world
        rng = np.random.default_rng(seed)
        self.truth = world.tower_reco - world.tower_gpp
        self.record = tower.record(world.place, world.halfhours, self.truth, rng)
        self.versions = processing.versions(world.place, self.record, world.halfhours, rng)
        args = (world.place, self.record, self.versions, world.halfhours)
        self.daily = fluxtables.daily_table(*args, world.daily).replace(fluxtables.MISSING, np.nan)
        self.halfhours = fluxtables.half_hourly_table(*args)
        self.night = tower.is_night(world.halfhours)
        self.good = self.daily["NEE_VUT_REF_QC"].to_numpy() > 0.75


@pytest.fixture(scope="module")
def crop(crop_world: World) -> Site:
    return Site(crop_world)


@pytest.fixture(scope="module")
def sites() -> list[Site]:
    """Sites 1 to 8, of as many types."""
    return [Site(make_world(number, (2019, 2020), 24, 3), number) for number in range(1, 9)]


def test_random_error_is_double_exponential_and_grows_with_the_flux(crop: Site) -> None:
    error, size = crop.record.nee - crop.record.unbiased, np.abs(crop.record.unbiased)
    measured = np.isfinite(error)
    scaled = (error / tower.random_error(crop.world.place, crop.record.unbiased))[measured]
    assert scaled.std() == pytest.approx(1.0, abs=0.03)
    assert abs(scaled.mean()) < 0.03
    assert pd.Series(scaled).kurt() == pytest.approx(3.0, abs=1.0)  # Laplace 3, normal 0
    assert np.abs(error[measured & (size > 15)]).mean() > 2.0 * np.abs(error[measured & (size < 2)]).mean()


def test_forests_err_more_than_short_vegetation_and_release_more_than_uptake(sites: list[Site]) -> None:
    forest, crop_site = (site.world.place for site in sites[:2])
    flux = np.array([-10.0, 0.0, 10.0])
    assert (tower.random_error(forest, flux) > tower.random_error(crop_site, flux)).all()
    assert tower.random_error(crop_site, flux)[2] > tower.random_error(crop_site, flux)[0]


def test_systematic_errors_are_a_gain_and_calm_nights(crop: Site) -> None:
    friction = crop.world.halfhours["USTAR"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = crop.record.unbiased / crop.truth
    windy = crop.night & (friction > crop.record.critical)
    still = crop.night & (friction < 0.5 * crop.record.critical)
    assert 0.85 < np.median(gain[windy]) < 1.15
    assert np.median(gain[still]) < 0.75 * np.median(gain[windy])
    day = _days(np.where(windy, gain, np.nan).reshape(-1, 48)[:, :1].ravel().repeat(48))
    assert np.nanstd(day) < 0.08


def test_gaps_are_those_of_calm_nights_rain_and_outages(crop: Site) -> None:
    measured = crop.versions["VUT"][5].quality == 0
    rain = crop.world.halfhours["P_F"].to_numpy() > 0
    assert crop.record.outage.any()
    assert not measured[crop.record.outage].any()
    assert measured[crop.night].mean() < measured[~crop.night].mean()
    assert measured[rain & ~crop.record.outage].mean() < 0.5
    assert 0.4 < measured.mean() < 0.9  # real networks keep about 0.65
    table = crop.halfhours
    assert (table.loc[crop.record.outage, ["WD", "USTAR", "H_F_MDS"]] == fluxtables.MISSING).all(axis=None)
    assert (table.loc[~crop.record.outage, "USTAR"] > 0).all()
    assert (table["TIMESTAMP_END"].iloc[:-1].to_numpy() == table["TIMESTAMP_START"].iloc[1:].to_numpy()).all()


def test_versions_keep_fewer_nights_as_their_threshold_rises(crop: Site) -> None:
    for rows in crop.versions.values():
        kept = [int((row.quality[crop.night] == 0).sum()) for row in rows]
        assert kept == sorted(kept, reverse=True)
        assert kept[0] > 1.2 * kept[-1]
        assert len({int((row.quality[~crop.night] == 0).sum()) for row in rows}) == 1
        measured = rows[0].quality == 0
        np.testing.assert_array_equal(rows[0].nee[measured], crop.record.nee[measured])


def test_thresholds_by_year_differ_and_those_for_all_years_do_not(sites: list[Site]) -> None:
    years = np.repeat([2019, 2020], 4)
    of = processing.thresholds(sites[0].record, years, np.random.default_rng(1))
    assert len(np.unique(of["VUT"][5])) == 2
    assert len(np.unique(of["CUT"][5])) == 1
    assert (np.diff(of["VUT"][:, 0]) > 0).all()


def test_processing_recovers_a_record_made_by_its_own_model(crop_world: World) -> None:
    # noise-free exchange of constant base and capacity, half of it missing: filled and partitioned exactly
    drivers = processing.choose_drivers(crop_world.tower_reco - crop_world.tower_gpp, crop_world.halfhours)
    reco, gpp = 3.0 * drivers.warmth.ravel(), 25.0 * drivers.light.ravel()
    missing = np.random.default_rng(0).random(gpp.size) < 0.5
    version = processing.fill(np.where(missing, np.nan, reco - gpp), drivers)
    np.testing.assert_allclose(version.nee, reco - gpp, atol=1e-4)
    for name, expected in (("reco_nt", reco), ("gpp_nt", gpp), ("reco_dt", reco), ("gpp_dt", gpp)):
        np.testing.assert_allclose(getattr(version, name), expected, atol=2e-2, err_msg=name)
    assert (version.quality[~missing] == 0).all()
    assert (version.quality[missing] > 0).all()


def test_quality_tells_how_long_a_gap_is() -> None:
    missing = np.zeros(40 * 48, dtype=bool)
    missing[10:14] = missing[1000 : 1000 + 5 * 48] = missing[-12 * 48 :] = True
    quality = processing._quality(missing)
    assert set(quality[10:14]) == {1}
    assert set(quality[1000 : 1000 + 5 * 48]) == {2}
    assert set(quality[-12 * 48 :]) == {3}
    assert (quality[~missing] == 0).all()
    assert processing._quality(np.ones(5 * 48, dtype=bool)).tolist() == [2] * 240
    assert not processing._quality(np.zeros(5, dtype=bool)).any()


@pytest.mark.parametrize("kind", ["NEE_VUT_REF", "NEE_CUT_REF", "NEE_VUT_USTAR50"])
def test_truth_lies_within_the_random_uncertainty_as_often_as_it_says(sites: list[Site], kind: str) -> None:
    scaled = []
    for site in sites:
        truth = _days(site.truth) * UNIT
        error = (site.daily[kind] - truth) / site.daily[f"{kind}_RANDUNC"]
        scaled.append(error[site.good].dropna())
        assert 0.9 < scaled[-1].std() < 1.2, site.world.place.igbp
    every = pd.concat(scaled)
    # one standard deviation of 5 600 days: 68 %, less what systematic errors take
    assert 0.63 < (every.abs() < 1).mean() < 0.71
    assert 0.92 < (every.abs() < 2).mean() < 0.97
    assert every.std() == pytest.approx(1.03, abs=0.04)


def test_random_uncertainty_is_that_of_the_noise_and_of_what_gaps_hide(sites: list[Site]) -> None:
    noise, hidden, said = [], [], []
    for site in sites:
        record, weather_ = site.record, site.world.halfhours
        best = processing.reference(site.versions["VUT"])
        measured, good = best.quality == 0, site.good & ~processing.blind_days(best)
        drivers = processing.choose_drivers(
            np.where(site.versions["CUT"][5].quality == 0, record.nee, np.nan), weather_
        )
        np.testing.assert_allclose(processing.fill(np.where(measured, record.nee, np.nan), drivers).nee, best.nee)
        quiet = processing.fill(np.where(measured, record.unbiased, np.nan), drivers)
        noise.append(_days(best.nee - quiet.nee)[good])
        hidden.append(_days(np.where(measured, 0.0, best.nee - site.truth))[good])
        said.append(processing.daily_random_error(site.world.place, best, site.night)[good])
        assert 0.7 < (noise[-1] / said[-1]).std() < 1.1, site.world.place.igbp  # where gaps hide more, less is noise
    both = np.hypot(np.concatenate(noise).std(), np.concatenate(hidden).std())
    assert np.sqrt((np.concatenate(said) ** 2).mean()) == pytest.approx(both, rel=0.1)


def test_a_day_s_own_half_hours_do_not_make_its_held_out_model(crop: Site) -> None:
    nee = np.where(crop.versions["VUT"][5].quality == 0, crop.record.nee, np.nan)
    drivers = processing.choose_drivers(nee, crop.world.halfhours)
    before = processing.fill(nee, drivers)
    day = slice(200 * 48, 201 * 48)
    assert np.isfinite(nee[day]).any()
    shifted = nee.copy()
    shifted[day] += 5.0
    after = processing.fill(shifted, drivers)
    np.testing.assert_allclose(after.held[day], before.held[day], atol=1e-9)
    assert np.abs(after.model[day] - before.model[day]).max() > 0.05
    assert np.abs(after.held - before.held).max() > 0.05  # but those of its neighbours


def test_joint_uncertainty_adds_half_of_the_spread_by_threshold(crop: Site) -> None:
    table = crop.daily
    spread = (table["NEE_VUT_84"] - table["NEE_VUT_16"]) / 2.0
    joint = np.hypot(table["NEE_VUT_REF_RANDUNC"], spread)
    np.testing.assert_allclose(table["NEE_VUT_REF_JOINTUNC"], joint, rtol=1e-9)
    assert (spread >= 0).all()
    assert (spread > 0.01).any()


def test_percentiles_rise_and_the_mean_and_the_reference_lie_between(crop: Site) -> None:
    for flux in ("NEE", "GPP_NT", "GPP_DT", "RECO_NT", "RECO_DT"):
        for kind in ("VUT", "CUT"):
            rows = crop.daily[[f"{flux}_{kind}_{p}" for p in fluxtables.PERCENTILES]].dropna()
            assert (np.diff(rows.to_numpy(), axis=1) >= -1e-9).all()
            mean = crop.daily[f"{flux}_{kind}_MEAN"][rows.index]
            assert (mean.between(rows.iloc[:, 0] - 1e-9, rows.iloc[:, -1] + 0.3)).mean() > 0.95


def test_night_partitioning_closes_and_the_variants_differ_as_real_ones_do(sites: list[Site]) -> None:
    annual = []
    for site in sites:
        table, good = site.daily, site.good
        closes = table["RECO_NT_VUT_REF"] - table["NEE_VUT_REF"]
        np.testing.assert_allclose(table["GPP_NT_VUT_REF"], closes.where(table["GPP_NT_VUT_REF"].notna()), atol=1e-9)
        assert (table["GPP_DT_VUT_REF"].dropna() >= 0).all()
        truth = _days(site.world.tower_gpp) * UNIT
        for name in ("GPP_NT_VUT_REF", "GPP_DT_VUT_REF", "GPP_NT_CUT_REF", "GPP_NT_VUT_MEAN", "GPP_NT_VUT_USTAR50"):
            measured = table[name][good].dropna()
            expected = pd.Series(truth)[measured.index]
            assert np.corrcoef(measured, expected)[0, 1] ** 2 > 0.8, (name, site.world.place.igbp)
            assert measured.mean() == pytest.approx(expected.mean(), rel=0.12)
        spread = (table["GPP_NT_VUT_REF"] - table["GPP_DT_VUT_REF"])[good]
        assert 0.05 < spread.std() < 1.5
        low, high = table["GPP_NT_VUT_05"].mean(), table["GPP_NT_VUT_95"].mean()
        annual.append((high - low) * 365)
    assert 10 < np.median(annual) < 250  # gC m-2 a-1; Pastorello et al. 2020: tens


def test_partitioned_gpp_may_be_below_zero_by_night_and_days_fail_quality(sites: list[Site]) -> None:
    assert sum((site.daily["GPP_NT_VUT_REF"] < 0).any() for site in sites) >= 4
    for site in sites:
        table = site.daily
        assert 0.0 < (~site.good).mean() < 0.3
        assert table["NEE_VUT_REF_QC"].between(0, 1).all()
        assert table["NEE_VUT_REF"].notna().all()
        blind = _days((processing.reference(site.versions["VUT"]).quality == 0).astype(float)) == 0
        assert (table["GPP_NT_VUT_REF"].isna().to_numpy() == blind).all()
        assert (table["NEE_VUT_REF_RANDUNC"].isna().to_numpy() == blind).all()


def test_the_same_stream_gives_the_same_record(crop_world: World) -> None:
    again = [Site(crop_world, 5).daily for _ in range(2)]
    pd.testing.assert_frame_equal(*again)
    assert streams(1, 2)["tower"].random() != streams(2, 2)["tower"].random()
