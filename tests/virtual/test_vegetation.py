from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecoembed.virtual import vegetation, weather
from ecoembed.virtual.landscape import draw_landscape, smooth_noise
from ecoembed.virtual.network import World
from ecoembed.virtual.places import Place, draw_place, streams


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


def test_soil_water_stays_in_its_bucket_and_snow_needs_frost(place: Place, days: pd.DatetimeIndex) -> None:
    daily = weather.daily(weather.halfhours(place, days, np.random.default_rng(0)))
    water, snow = vegetation.soil_water(daily, np.array([50.0, 300.0]))
    assert ((water >= 0) & (water <= 1)).all()
    assert (snow >= 0).all()
    warm, _ = vegetation.soil_water(daily.assign(TA_F=daily["TA_F"].clip(lower=1.0)), np.array([100.0]))
    assert np.isfinite(warm).all()
    assert vegetation.soil_water(daily.assign(TA_F=daily["TA_F"].clip(lower=1.0)), np.array([100.0]))[1].max() == 0.0
    dry, _ = vegetation.soil_water(daily.assign(P_F=0.0), np.array([100.0]))
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


def test_seasons_are_half_a_year_apart_on_the_two_hemispheres(place: Place, days: pd.DatetimeIndex) -> None:
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


def test_gpp_is_never_negative_and_needs_leaves_light_and_water(crop_world: World) -> None:
    world = crop_world
    assert (world.gpp >= 0).all()
    assert world.gpp.max() < 40.0
    bare = vegetation.gross_production(world.growth, world.daily, world.land, np.zeros_like(world.leaf_area))
    assert (bare == 0).all()
    dark = vegetation.gross_production(world.growth, world.daily.assign(SW_IN_F=0.0), world.land, world.leaf_area)
    assert (dark == 0).all()
    covers = [vegetation.COVERS[name] for name in world.land.cover]
    dry = vegetation._efficiency(world.daily, covers, world.land, np.zeros_like(world.growth.water))
    assert (dry == 0).all()


def test_efficiency_is_not_visible_in_the_leaves_alone(crop_world: World) -> None:
    # two fields of one cover with the same leaf area do not fix the same carbon
    best = crop_world.growth.efficiency.max(0)
    crops = best[np.array(crop_world.land.cover) == "CRO"]
    assert crops.max() > 1.05 * crops.min()
