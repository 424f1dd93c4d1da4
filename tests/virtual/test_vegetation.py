from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecoembed.virtual import soil, vegetation, weather
from ecoembed.virtual.landscape import draw_landscape, smooth_noise
from ecoembed.virtual.places import VirtualPlace, draw_place, streams
from ecoembed.virtual.world import World


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(0, 1000), st.sampled_from([16, 32, 48]))
@example(number=1, seed=494, size=16)
def test_every_landscape_is_a_patchwork_around_its_tower(number: int, seed: int, size: int) -> None:
    rng = streams(seed, number)
    place = draw_place(number, rng["place"])
    land = draw_landscape(place, size, rng["landscape"])
    row, column = np.abs(land.y - place.northing).argmin(), np.abs(land.x - place.easting).argmin()
    assert land.field[row, column] == 0
    assert land.cover[0] == place.igbp
    assert len({land.cover[f] for f in np.unique(land.field)}) >= 2
    assert land.field.max() < len(land.cover) == len(land.vigour) == len(land.soil)


def test_smooth_noise_has_unit_variance_and_neighbours_agree() -> None:
    noise = smooth_noise((40, 32, 32), 3.0, np.random.default_rng(0))
    assert noise.std() == pytest.approx(1.0, abs=0.01)
    assert np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1] > 0.9


def test_soil_water_stays_in_its_bucket_and_snow_needs_frost(place: VirtualPlace, days: pd.DatetimeIndex) -> None:
    daily = weather.daily(weather.halfhours(place, days, np.random.default_rng(0)))
    water, snow = soil.soil_water(daily, np.array([50.0, 300.0]))
    assert ((water >= 0) & (water <= 1)).all()
    assert (snow >= 0).all()
    warm, _ = soil.soil_water(daily.assign(TA_F=daily["TA_F"].clip(lower=1.0)), np.array([100.0]))
    assert np.isfinite(warm).all()
    assert soil.soil_water(daily.assign(TA_F=daily["TA_F"].clip(lower=1.0)), np.array([100.0]))[1].max() == 0.0
    dry, _ = soil.soil_water(daily.assign(P_F=0.0), np.array([100.0]))
    assert (np.diff(dry[:, 0]) <= 0).all()


def test_running_mean_is_causal_and_keeps_a_constant() -> None:
    np.testing.assert_allclose(vegetation.running(np.full(50, 3.0), 10.0), 3.0)
    step = vegetation.running(np.r_[np.zeros(20), np.ones(60)], 10.0)
    assert (step[:20] == 0).all()
    assert step[-1] == pytest.approx(1.0, abs=0.01)


def test_crops_are_harvested_and_trees_are_not(crop_world: World) -> None:
    lai, cover = crop_world.growth.leaf_area, np.array(crop_world.land.cover)
    crops = lai[:, cover == "CRO"]
    assert (crops.max(0) > 2).all()
    assert (crops.min(0) < 0.1).all()
    assert np.diff(crops, axis=0).min() < -0.4  # overnight: a harvest, no senescence
    trees = lai[:, np.isin(cover, ("DBF", "ENF"))]
    assert trees.size
    assert np.abs(np.diff(trees, axis=0)).max() < 0.4


def test_seasons_are_half_a_year_apart_on_the_two_hemispheres(place: VirtualPlace, days: pd.DatetimeIndex) -> None:
    peaks = []
    for latitude in (45.0, -35.0):
        here = replace(place, latitude=latitude)
        land = replace(draw_landscape(here, 16, np.random.default_rng(0)), cover=("DBF", "GRA", "CRO", "DBF"))
        daily = weather.daily(weather.halfhours(here, days, np.random.default_rng(1)))
        growth = vegetation.grow(here, daily, land, np.random.default_rng(2)).since(365)
        crop = land.cover.index("CRO")
        peaks.append((growth.leaf_area[:, 0].argmax(), growth.leaf_area[:, crop].argmax()))
    for north, south in zip(*peaks, strict=True):
        assert 90 < abs(north - south) < 275


def _grown(
    place: VirtualPlace, days: pd.DatetimeIndex, cover: tuple[str, ...], drought: float = 0.0
) -> tuple[vegetation.Growth, pd.DataFrame]:
    land = replace(draw_landscape(place, 16, np.random.default_rng(0)), cover=cover)
    daily = weather.daily(weather.halfhours(place, days, np.random.default_rng(1)))
    daily = daily.assign(P_F=daily["P_F"] * (1.0 - drought))
    return vegetation.grow(place, daily, land, np.random.default_rng(2)).since(365), daily.iloc[365:]


@pytest.mark.parametrize("latitude", [52.0, -34.0])
def test_every_type_has_its_season(place: VirtualPlace, days: pd.DatetimeIndex, latitude: float) -> None:
    here = replace(place, latitude=latitude)
    names = ("DBF", "MF", "ENF", "WET")
    growth, daily = _grown(here, days, names)
    summer, winter = (sign * weather.summerness(here, pd.DatetimeIndex(daily.index)) > 0.7 for sign in (1.0, -1.0))
    gain = growth.leaf_area[summer].mean(0) / growth.leaf_area[winter].mean(0)
    if latitude > 0:
        assert gain[0] > 3.0  # trees that shed
        assert 1.5 < gain[1] < gain[0]
        assert 1.0 < gain[2] < 2.0  # needles stay
        assert gain[3] > 3.0
    else:
        assert (gain > 1.0).all()


def test_leaves_green_before_they_fall_and_after_they_open(place: VirtualPlace, days: pd.DatetimeIndex) -> None:
    growth, _ = _grown(replace(place, latitude=50.0), days, ("DBF", "GRA", "CRO", "ENF"))
    leaves, green = growth.leaf_area[:, 0], growth.chlorophyll[:, 0]
    autumn = slice(200, 366)
    half_leaves, half_green = (np.argmax(v[autumn] < (v.max() + v.min()) / 2.0) for v in (leaves, green))
    assert 3 < half_leaves - half_green < 40
    assert 0.5 * green.max() > green.min() > 5.0
    assert growth.chlorophyll.max() < 90.0  # PROSPECT's range
    needles = growth.chlorophyll[:, 3]
    assert needles.min() > 0.6 * needles.max()


def test_drought_takes_leaves_where_they_follow_water_and_standing_water_from_wetlands(
    place: VirtualPlace, days: pd.DatetimeIndex
) -> None:
    names = ("GRA", "SAV", "WET", "ENF")
    usual, daily = _grown(place, days, names)
    dry, _ = _grown(place, days, names, drought=0.8)
    summer = weather.summerness(place, pd.DatetimeIndex(daily.index)) > 0.5
    left = dry.leaf_area[summer].mean(0) / usual.leaf_area[summer].mean(0)
    assert (left[:2] < 0.9).all()
    assert left[3] == 1.0
    assert ((usual.flood >= 0) & (usual.flood <= 1)).all()
    assert usual.flood[:, 2].max() > 0.3
    assert (usual.flood[:, [0, 1, 3]] == 0).all()
    assert dry.flood[summer, 2].mean() < usual.flood[summer, 2].mean()


def test_meadows_are_mown_and_grow_again(place: VirtualPlace, days: pd.DatetimeIndex) -> None:
    land = draw_landscape(place, 48, np.random.default_rng(0))
    land = replace(land, cover=("GRA",) * len(land.cover), character=np.linspace(0.0, 0.99, len(land.cover)))
    daily = weather.daily(weather.halfhours(place, days, np.random.default_rng(1)))
    growth = vegetation.grow(place, daily, land, np.random.default_rng(2)).since(365)
    cuts = (np.diff(growth.leaf_area, axis=0) < -0.8).sum(0)
    assert cuts[0] == 0
    assert cuts[-1] >= 3
    assert (np.diff(cuts) >= -1).all()
    cut = np.diff(growth.leaf_area[:, -1]).argmin()
    assert growth.leaf_area[cut + 45, -1] > 1.5 * growth.leaf_area[cut + 1, -1]
