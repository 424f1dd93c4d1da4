from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ecoembed.virtual import tower, weather
from ecoembed.virtual.network import World


@pytest.fixture(scope="module")
def fluxes(crop_world: World) -> tower.Fluxes:
    water = crop_world.growth.water[:, 0]
    return tower.exchange(crop_world.tower_gpp, water, crop_world.halfhours, np.random.default_rng(0))


@pytest.fixture(scope="module")
def daily(crop_world: World, fluxes: tower.Fluxes) -> pd.DataFrame:
    table = tower.daily_table(fluxes, crop_world.daily, np.random.default_rng(1))
    return table.replace(tower.MISSING, np.nan)


def test_half_hours_add_up_to_the_daily_gpp(crop_world: World, fluxes: tower.Fluxes) -> None:
    umol_to_gram = 12.011e-6 * 86_400.0
    means = fluxes.gpp.reshape(-1, weather.HALF_HOURS).mean(1) * umol_to_gram
    np.testing.assert_allclose(means, crop_world.tower_gpp, rtol=1e-9, atol=1e-12)
    assert (fluxes.gpp[crop_world.halfhours["SW_IN_F"].to_numpy() == 0] == 0).all()


def test_random_error_is_double_exponential_and_grows_with_the_flux(fluxes: tower.Fluxes) -> None:
    truth, measured = fluxes.reco - fluxes.gpp, fluxes.quality == 0
    size = np.abs(truth)
    error = ((fluxes.nee - truth) / fluxes.error)[measured & (size < 3.0)]
    assert error.std() == pytest.approx(1.0, abs=0.08)
    assert pd.Series(error).kurt() > 1.5  # Laplace 3, normal 0
    absolute = np.abs(fluxes.nee - truth)
    assert absolute[measured & (size > 15)].mean() > 2.0 * absolute[measured & (size < 2)].mean()


def test_some_days_fail_quality_and_blind_days_are_not_partitioned(daily: pd.DataFrame, fluxes: tower.Fluxes) -> None:
    share = (daily["NEE_VUT_REF_QC"] < 0.75).mean()
    assert 0.005 < share < 0.25
    assert daily["NEE_VUT_REF_QC"].between(0, 1).all()
    blind = (fluxes.quality.reshape(-1, weather.HALF_HOURS) == 0).mean(1) == 0
    assert (daily["GPP_NT_VUT_REF"].isna().to_numpy() == blind).all()
    assert daily["NEE_VUT_REF"].notna().all()


def test_night_partitioning_closes_and_the_variants_differ_plausibly(daily: pd.DataFrame, crop_world: World) -> None:
    np.testing.assert_allclose(
        daily["GPP_NT_VUT_REF"], daily["RECO_NT_VUT_REF"] - daily["NEE_VUT_REF"], rtol=1e-9, atol=1e-12
    )
    for name in ("GPP_DT_VUT_REF", "GPP_NT_VUT_USTAR50"):
        spread = (daily["GPP_NT_VUT_REF"] - daily[name]).std()
        assert 0.05 < spread < 1.5
        assert daily["GPP_NT_VUT_REF"].corr(daily[name]) > 0.95
    assert (daily["GPP_DT_VUT_REF"].dropna() >= 0).all()
    assert daily["GPP_NT_VUT_REF"].min() < 0  # night-time partitioning may fall below zero in winter
    measured = daily["NEE_VUT_REF_QC"] > 0.75
    assert np.corrcoef(daily["GPP_NT_VUT_REF"][measured], crop_world.tower_gpp[measured])[0, 1] ** 2 > 0.9


def test_gap_length_counts_each_gap() -> None:
    gaps = np.array([1, 0, 1, 1, 0, 0, 1, 1, 1], dtype=bool)
    assert tower._gap_length(gaps).tolist() == [1, 0, 2, 2, 0, 0, 3, 3, 3]
    assert tower._gap_length(np.zeros(3, dtype=bool)).tolist() == [0, 0, 0]


def test_outages_silence_the_anemometer(crop_world: World, fluxes: tower.Fluxes) -> None:
    table = tower.halfhourly_table(fluxes, crop_world.halfhours)
    assert fluxes.outage.any()
    assert (table.loc[fluxes.outage, ["WD", "USTAR", "H_F_MDS"]] == tower.MISSING).all(axis=None)
    assert (table.loc[~fluxes.outage, "USTAR"] > 0).all()
    assert (table["TIMESTAMP_END"].iloc[:-1].to_numpy() == table["TIMESTAMP_START"].iloc[1:].to_numpy()).all()


def test_the_footprint_leans_into_the_wind(crop_world: World) -> None:
    world = crop_world
    assert world.weights.shape == (12, *world.land.field.shape)
    assert (world.weights >= 0).all()
    np.testing.assert_allclose(world.weights.sum((1, 2)), 1.0)
    east, north = world.land.x - world.place.easting, world.land.y - world.place.northing
    mean = world.weights.mean(0)
    centre = (mean.sum(0) * east).sum(), (mean.sum(1) * north).sum()
    toward = np.degrees(np.arctan2(*centre)) % 360.0
    assert abs((toward - world.place.wind_from + 180.0) % 360.0 - 180.0) < 50.0
