"""What Sentinel-1 sees: the limits of the water-cloud model, water, frost, floods, speckle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ecoembed.virtual import backscatter, orbits
from ecoembed.virtual.backscatter import LOOKS, POLARISATIONS, Sky
from ecoembed.virtual.world import World
from tests.virtual.conftest import SEED


@pytest.fixture(scope="module")
def passes(crop_world: World) -> orbits.Passes:
    days = pd.DatetimeIndex(crop_world.daily.index)
    return orbits.radar_passes(crop_world.place, days, np.random.default_rng(SEED))


def _power(
    world: World,
    passes: orbits.Passes,
    leaf_area: float,
    *,
    cover: str = "CRO",
    weather: tuple[float, float, float] = (0.0, 0.0, 0.0),
    **state: float,
) -> dict[str, np.ndarray]:
    """Linear power of each pass (time,), everything the same everywhere; `weather` is rain, frost and thaw."""
    plain = {"surface": 0.2, "flood": 0.0, "snow": 0.0} | state
    growth = replace(world.growth, **{k: np.full_like(getattr(world.growth, k), v) for k, v in plain.items()})
    land = replace(world.land, cover=(cover,) * len(world.land.cover))
    rain, frost, thaw = (np.full(len(passes.day), value) for value in weather)
    sky = Sky(rain, frost, thaw > 0.5)
    bands = backscatter.power(growth, land, np.full_like(world.leaf_area, leaf_area), passes, sky)
    assert all(np.ptp(values, (1, 2)).max() < 1e-6 for values in bands.values())
    return {name: values.mean((1, 2)) for name, values in bands.items()}


def _db(power: np.ndarray) -> float:
    return float(10.0 * np.log10(power.mean()))


def test_both_directions_each_with_its_orbit_and_angle(passes: orbits.Passes, crop_world: World) -> None:
    names = np.unique(passes.orbit)
    assert [name[0] for name in names] == ["A", "D"]
    solar = (passes.times.hour + passes.times.minute / 60.0 + crop_world.place.longitude / 15.0) % 24.0
    for name, hour in zip(names, (17.9, 5.9), strict=True):
        own = passes.orbit == name
        assert set(np.diff(passes.day[own])) == {12}
        assert np.ptp(passes.view_zenith[own]) == 0
        assert 30 < passes.view_zenith[own][0] < 46
        np.testing.assert_allclose(solar[own], hour, atol=0.06)


def test_limits_of_the_water_cloud(crop_world: World, passes: orbits.Passes) -> None:
    slant = np.cos(np.radians(passes.view_zenith))
    for name, p in POLARISATIONS.items():
        bare = _power(crop_world, passes, 0.0)[name]
        soil = p.dry + p.gain * 0.2 + p.slope * (passes.view_zenith - 38.0)
        np.testing.assert_allclose(10 * np.log10(bare), soil, atol=1e-4)
        dense = _power(crop_world, passes, 200.0)[name]
        np.testing.assert_allclose(dense, p.scatter * slant, rtol=1e-5)  # a cloud that nothing passes
        some = _power(crop_world, passes, 2.0)[name]
        through = np.exp(-2 * p.attenuation * 2.0 / slant)
        np.testing.assert_allclose(some, p.scatter * slant * (1 - through) + through * bare, rtol=1e-5)


def test_the_ground_shows_its_water_through_few_leaves_only(crop_world: World, passes: orbits.Passes) -> None:
    for name in POLARISATIONS:
        gain = [
            _db(_power(crop_world, passes, area, surface=0.9)[name]) - _db(_power(crop_world, passes, area)[name])
            for area in (0.0, 2.0, 6.0)
        ]
        assert gain == sorted(gain, reverse=True)
        assert gain[0] > 3.0 > 1.5 > gain[2] > 0


def test_weather_shows(crop_world: World, passes: orbits.Passes) -> None:
    def vv(area: float, *weather: float, **state: float) -> float:
        return _db(_power(crop_world, passes, area, weather=weather, **state)["VV"])

    calm = (0.0, 0.0, 0.0)
    assert vv(0.3, 1.0, 0.0, 0.0) != vv(0.3, *calm)
    assert (
        0.05
        < _db(_power(crop_world, passes, 3.0, weather=(1.0, 0.0, 0.0))["VH"])
        - _db(_power(crop_world, passes, 3.0)["VH"])
        < 1.5
    )  # wet leaves
    assert vv(0.3, 0.0, 1.0, 0.0) < vv(0.3, *calm) - 3  # frozen
    assert vv(0.3, 0.0, 0.0, 1.0, snow=100.0) < vv(0.3, *calm) - 2  # wet snow
    assert vv(0.3, *calm, snow=100.0) == pytest.approx(vv(0.3, *calm))  # dry snow is transparent


def test_floods_darken_open_water_and_brighten_standing_plants(crop_world: World, passes: orbits.Passes) -> None:
    def vv(area: float, flood: float) -> float:
        return _db(_power(crop_world, passes, area, cover="WET", flood=flood)["VV"])

    assert vv(0.0, 1.0) < vv(0.0, 0.0) - 4  # a mirror
    assert vv(1.5, 1.0) > vv(1.5, 0.0) + 2  # stem, water, stem
    assert vv(200.0, 1.0) == pytest.approx(vv(200.0, 0.0), abs=1e-3)  # unseen


def test_the_weather_of_a_pass_is_that_before_it(passes: orbits.Passes, crop_world: World) -> None:
    table = crop_world.halfhours[["TA_F", "P_F"]] * 0.0 + [10.0, 0.0]
    local = passes.times[5] + pd.Timedelta(hours=crop_world.place.utc_offset)
    wet, late = table.copy(), table.copy()
    wet.loc[local - pd.Timedelta(hours=2) : local, "P_F"] = 1.0
    late.loc[local + pd.Timedelta(minutes=31) : local + pd.Timedelta(hours=5), "P_F"] = 1.0
    offset = crop_world.place.utc_offset
    assert backscatter.weather_at(passes, wet, offset).rain[5] == 1.0
    assert backscatter.weather_at(passes, late, offset).rain[5] == 0.0
    cold = backscatter.weather_at(passes, table - [20.0, 0.0], offset)
    assert (cold.frost == 1.0).all()
    assert not cold.thaw.any()


def test_rain_of_the_evening_is_not_seen_in_the_morning(passes: orbits.Passes, crop_world: World) -> None:
    today = int(passes.day[passes.orbit == np.unique(passes.orbit)[1]][3])
    surface = np.full_like(crop_world.growth.surface, 0.2)
    surface[today:] = 0.9  # at the end of the day
    calm = Sky(*np.zeros((2, len(passes.day))), np.zeros(len(passes.day), dtype=bool))
    growth = replace(crop_world.growth, surface=surface, snow=np.zeros_like(crop_world.growth.snow))
    vv = backscatter.power(growth, crop_world.land, np.zeros_like(crop_world.leaf_area), passes, calm)["VV"].mean(
        (1, 2)
    )
    morning = np.char.startswith(passes.orbit, "D")
    before, then, after = (
        vv[morning & when].mean() for when in (passes.day < today, passes.day == today, passes.day > today)
    )
    assert then == pytest.approx(before, rel=1e-3)
    assert after > 2 * before


def test_backscatter_of_a_year_is_plausible(crop_world: World, passes: orbits.Passes) -> None:
    sky = backscatter.weather_at(passes, crop_world.halfhours, crop_world.place.utc_offset)
    args = (crop_world.growth, crop_world.land, crop_world.leaf_area, passes, sky)
    bands = backscatter.backscatter(*args, np.random.default_rng(0))
    assert -18 < np.median(bands["VV"]) < -6
    assert -25 < np.median(bands["VH"]) < -12
    assert min(band.min() for band in bands.values()) > -40
    assert (np.median(bands["VV"], 0) > np.median(bands["VH"], 0)).all()


def test_speckle_is_multiplicative_and_unbiased(crop_world: World, passes: orbits.Passes) -> None:
    many = passes[np.zeros(400, dtype=int)]
    sky = Sky(np.zeros(400), np.zeros(400), np.zeros(400, dtype=bool))
    args = (crop_world.growth, crop_world.land, crop_world.leaf_area, many, sky)
    truth = backscatter.power(*args)["VV"]
    ratio = 10.0 ** (backscatter.backscatter(*args, np.random.default_rng(0))["VV"] / 10.0) / truth
    assert ratio.mean() == pytest.approx(1.0, abs=0.005)
    looks = 1.0 / ratio.var(0)
    assert looks.mean() == pytest.approx(LOOKS, rel=0.05)  # the same everywhere, bright or dark
    assert looks.std() / looks.mean() < 0.15
