from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecoembed.sensors import S2_L2A
from ecoembed.virtual import backscatter, radiance
from ecoembed.virtual.network import World

RED, NIR = (S2_L2A.band_names.index(band) for band in ("B04", "B08"))


@pytest.fixture(scope="module")
def scenes(crop_world: World) -> radiance.Scenes:
    day = np.arange(0, 365, 4)
    cover = crop_world.halfhours["CLOUD"].to_numpy()[day * 48 + 21]
    args = (crop_world.growth, crop_world.land, crop_world.leaf_area, day, cover)
    return radiance.observe(*args, np.random.default_rng(0))


def test_tables_have_one_value_a_band() -> None:
    for spectrum in (*radiance.LEAVES.values(), *radiance.GROUND.values(), radiance.EXTINCTION, radiance._HAZE):
        assert len(spectrum) == len(S2_L2A.bands)
    assert all(0 < value < 1 for s in (*radiance.LEAVES.values(), *radiance.GROUND.values()) for value in s)


def test_clear_reflectance_lies_within_0_and_1(scenes: radiance.Scenes) -> None:
    clear = np.moveaxis(scenes.reflectance, 1, -1)[~scenes.cloud]
    assert clear.shape[0] > 1000
    assert clear.min() > 0
    assert clear.max() < 1


def test_leaves_raise_nir_and_lower_red(crop_world: World) -> None:
    day, ndvi = np.array([180]), []
    for leaf_area in (0.0, 1.0, 4.0):
        field = np.full_like(crop_world.leaf_area, leaf_area)
        seen = radiance.canopy_reflectance(crop_world.growth, crop_world.land, field, day)
        ndvi.append(((seen[:, NIR] - seen[:, RED]) / (seen[:, NIR] + seen[:, RED])).mean())
    assert ndvi[0] < 0.3 < ndvi[1] < 0.75 < ndvi[2]


def test_wet_ground_is_darker_and_snow_is_bright(crop_world: World) -> None:
    bare, day = np.zeros_like(crop_world.leaf_area), np.array([10])
    growth = replace(crop_world.growth, litter=np.zeros_like(crop_world.growth.litter))
    kinds = {"dry": (0.0, 0.0), "wet": (1.0, 0.0), "snow": (1.0, 200.0)}
    red = {
        name: radiance.canopy_reflectance(
            replace(growth, surface=np.full_like(growth.surface, w), snow=np.full_like(growth.snow, s)),
            crop_world.land,
            bare,
            day,
        )[:, RED].mean()
        for name, (w, s) in kinds.items()
    }
    assert red["wet"] < 0.8 * red["dry"] < red["dry"] < 0.7 < red["snow"]


def test_the_scene_classification_misses_some_cloud_but_not_most(scenes: radiance.Scenes) -> None:
    clouded = radiance.coarsen(scenes.cloud.astype(float)) > 0.5
    called_clear = np.isin(scenes.classes, S2_L2A.clear_classes)
    missed = called_clear[clouded & scenes.observed].mean()
    assert 0.005 < missed < 0.2
    assert 0.02 < (~called_clear)[~clouded & scenes.observed].mean() < 0.6  # and it calls cloud what is none
    assert set(np.unique(scenes.classes)) <= {0, 3, 4, 5, 7, 8, 9, 10, 11}


def test_clouds_are_blobs_that_follow_the_sky(scenes: radiance.Scenes, crop_world: World) -> None:
    rng = np.random.default_rng(3)
    share = [(radiance._cloud_opacity(np.full(200, cover), 32, rng) > 0.1).mean() for cover in (0.05, 0.5, 0.95)]
    assert share[0] < 0.15 < share[1] < 0.85 < share[2]
    opacity = radiance._cloud_opacity(np.full(50, 0.5), 32, rng)
    assert np.corrcoef(opacity[:, :, 1:].ravel(), opacity[:, :, :-1].ravel())[0, 1] > 0.9


def test_numbers_keep_reflectance_and_the_swath(scenes: radiance.Scenes) -> None:
    numbers = radiance.digital_numbers(scenes)
    assert list(numbers) == list(S2_L2A.band_names)
    inside = scenes.observed.repeat(2, 1).repeat(2, 2)
    np.testing.assert_allclose(numbers["B08"][inside] / 1e4, scenes.reflectance[:, NIR][inside], atol=5.1e-5)
    assert (numbers["B08"][~inside] == 0).all()
    assert (numbers["B08"][inside] > 0).all()
    assert numbers["B11"].shape[-1] * 2 == numbers["B08"].shape[-1]
    assert ((numbers["B11"] == 0) == ~scenes.observed).all()


def test_backscatter_is_plausible_and_grows_with_leaves_and_water(crop_world: World) -> None:
    day = np.arange(0, 365, 6)
    land, growth = crop_world.land, crop_world.growth

    def mean_vh(leaf_area: float, surface: float) -> float:
        state = replace(growth, surface=np.full_like(growth.surface, surface), snow=np.zeros_like(growth.snow))
        field = np.full_like(crop_world.leaf_area, leaf_area)
        return float(backscatter.backscatter(state, land, field, day, np.random.default_rng(0))["VH"].mean())

    assert mean_vh(0.2, 0.2) < mean_vh(4.0, 0.2)
    assert mean_vh(0.2, 0.2) < mean_vh(0.2, 0.9)
    bands = backscatter.backscatter(growth, land, crop_world.leaf_area, day, np.random.default_rng(0))
    assert -18 < np.median(bands["VV"]) < -6
    assert -25 < np.median(bands["VH"]) < -12
    assert min(band.min() for band in bands.values()) > -40
    assert (np.median(bands["VV"], 0) > np.median(bands["VH"], 0)).all()


def test_speckle_is_multiplicative_and_unbiased(crop_world: World) -> None:
    day = np.zeros(400, dtype=int)
    args = (crop_world.growth, crop_world.land, crop_world.leaf_area, day)
    power = 10.0 ** (backscatter.backscatter(*args, np.random.default_rng(0))["VV"] / 10.0)
    looks = (power.mean(0) / power.std(0)) ** 2
    assert looks.mean() == pytest.approx(9.0, rel=0.05)  # the same everywhere, bright or dark
    assert looks.std() / looks.mean() < 0.15
