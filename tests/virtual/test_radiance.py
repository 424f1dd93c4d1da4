"""What Sentinel-2 sees: ground under leaves, two orbits, clouds with shadows, a classification that errs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ecoembed.cubes.nbar import c_factor
from ecoembed.sensors import S2_L2A
from ecoembed.virtual import canopy, classification, orbits, radiance, sky
from ecoembed.virtual.vegetation import COVERS, Growth
from ecoembed.virtual.world import World
from tests.virtual.conftest import SEED

BLUE, RED, NIR, SWIR = (canopy.BANDS.index(band) for band in ("B02", "B04", "B08", "B11"))


@pytest.fixture(scope="module")
def passes(crop_world: World) -> orbits.Passes:
    days = pd.DatetimeIndex(crop_world.daily.index)
    return orbits.optical_passes(crop_world.place, days, np.random.default_rng(SEED))


@pytest.fixture(scope="module")
def scenes(crop_world: World, passes: orbits.Passes) -> radiance.Scenes:
    cover = crop_world.halfhours["CLOUD"].to_numpy()[passes.day * 48 + 21]
    args = (crop_world.growth, crop_world.land, crop_world.leaf_area, passes, cover)
    return radiance.observe(*args, np.random.default_rng(0))


def _state(world: World, **values: float) -> Growth:
    """The world's growth with some of its variables set to one value everywhere, and no litter, flood or snow else."""
    plain = {"litter": 0.0, "flood": 0.0, "snow": 0.0} | values
    return replace(
        world.growth, **{name: np.full_like(getattr(world.growth, name), value) for name, value in plain.items()}
    )


def _seen(world: World, passes: orbits.Passes, leaf_area: float, **values: float) -> np.ndarray:
    """Mean reflectance (12,) of the vegetated pixels under one leaf area everywhere."""
    area = np.full_like(world.leaf_area, leaf_area)
    seen = radiance.canopy_reflectance(_state(world, **values), world.land, area, passes)
    green = ~np.isin(world.land.field, [f for f, name in enumerate(world.land.cover) if name == "BUILT"])
    return np.asarray(seen[:, :, green].mean((0, 2)))


def _ndvi(seen: np.ndarray) -> float:
    return float((seen[NIR] - seen[RED]) / (seen[NIR] + seen[RED]))


def test_orbits_alternate_between_two_sides(passes: orbits.Passes) -> None:
    names, count = np.unique(passes.orbit, return_counts=True)
    assert len(names) == 2
    assert abs(count[0] - count[1]) <= 1
    assert (passes.orbit[1:] != passes.orbit[:-1]).all()
    numbers = sorted(int(name[1:]) for name in names)
    assert numbers[1] - numbers[0] in (43, 100)  # neighbours, of 143
    sides = [passes.view_azimuth[passes.orbit == name].mean() for name in names]
    assert min(sides) == pytest.approx(105, abs=6)
    assert max(sides) == pytest.approx(285, abs=6)
    assert ((passes.view_zenith > 0.5) & (passes.view_zenith < 12)).all()
    assert set(np.diff(passes.day)) == {3, 7}


def test_the_sun_is_where_it_is(passes: orbits.Passes, crop_world: World) -> None:
    # at noon zenith = latitude - declination
    place = replace(crop_world.place, latitude=50.8, longitude=0.0)
    noon = pd.DatetimeIndex(["2020-06-21 12:02", "2020-12-21 11:58", "2020-03-20 12:07"])
    zenith, azimuth = orbits.sun(place, noon)
    np.testing.assert_allclose(zenith, [50.8 - 23.44, 50.8 + 23.44, 50.8], atol=0.25)
    np.testing.assert_allclose(azimuth, 180.0, atol=1.5)
    assert (passes.sun_zenith < 82).all()
    assert ((passes.sun_azimuth > 120) & (passes.sun_azimuth < 180)).all()  # in the morning, in the north


def test_each_pixel_is_the_table_s_at_its_leaf_area_soil_and_angles(crop_world: World, passes: orbits.Passes) -> None:
    world, rng, few = crop_world, np.random.default_rng(2), passes[np.array([3, 30])]
    area = rng.uniform(0.0, 8.0, world.leaf_area.shape).astype(np.float32)
    growth, brightness = _state(world), rng.uniform(0.7, 1.3, world.land.field.shape)
    seen = radiance.canopy_reflectance(growth, world.land, area, few, brightness)
    under = radiance.ground(growth, world.land, few.state)  # over soils of 0.7 and of 1.3
    nodes = canopy.table().leaf_area
    for t, row, column in rng.integers(0, (2, *brightness.shape), (40, 3)):
        field, day = world.land.field[row, column], few.state[t]
        leaf = canopy.LEAVES.index(COVERS[world.land.cover[field]].leaf)
        angles = (values[[t]] for values in (few.sun_zenith, few.view_zenith, few.relative_azimuth))
        at = canopy.curves(np.array([leaf]), growth.chlorophyll[[day], field], *angles, under[[t], field])[0]
        soils = [[np.interp(area[day, row, column], nodes, band) for band in curve.T] for curve in at]
        bright = (brightness[row, column] - 0.7) / 0.6
        expected = (1.0 - bright) * np.array(soils[0]) + bright * np.array(soils[1])
        np.testing.assert_allclose(seen[t, :, row, column], expected, atol=1e-5)


def test_leaves_hide_the_ground(crop_world: World, passes: orbits.Passes) -> None:
    seen = [_seen(crop_world, passes, area) for area in (0.0, 0.5, 1.0, 2.0, 4.0)]
    red, ndvi = [s[RED] for s in seen], [_ndvi(s) for s in seen]
    assert red == sorted(red, reverse=True)
    assert ndvi == sorted(ndvi)
    assert 0.1 < ndvi[0] < 0.35 < ndvi[2] < 0.8 < ndvi[4] < 0.97
    nirv = [v * s[NIR] for v, s in zip(ndvi, seen, strict=True)]
    assert nirv == sorted(nirv)
    assert nirv[0] < 0.08
    assert 0.2 < nirv[4] < 0.5


def test_indices_of_each_cover_lie_where_satellites_see_them(crop_world: World, passes: orbits.Passes) -> None:
    summer = passes[np.flatnonzero((passes.day > 150) & (passes.day < 220))]
    ndvi, nirv = {}, {}
    for cover, area in {"DBF": 4.5, "ENF": 3.3, "MF": 4.0, "EBF": 3.0, "SAV": 1.2, "CRO": 4.5, "WET": 3.0}.items():
        land = replace(crop_world.land, cover=(cover,) * len(crop_world.land.cover))
        growth = _state(crop_world, surface=0.4, chlorophyll=40.0)
        seen = radiance.canopy_reflectance(growth, land, np.full_like(crop_world.leaf_area, area), summer)
        mean = seen.mean((0, 2, 3))
        ndvi[cover], nirv[cover] = _ndvi(mean), _ndvi(mean) * mean[NIR]
    assert all(0.78 < ndvi[cover] < 0.95 for cover in ("DBF", "ENF", "MF", "CRO", "WET", "EBF"))
    assert 0.4 < ndvi["SAV"] < 0.7
    assert nirv["ENF"] < nirv["MF"] < nirv["DBF"]  # conifers are dark
    assert 0.15 < nirv["ENF"] < 0.27 < 0.33 < nirv["CRO"] < 0.5


def test_wet_ground_is_darker_most_in_the_shortwave_infrared(crop_world: World, passes: orbits.Passes) -> None:
    dry, wet = (_seen(crop_world, passes, 0.0, surface=surface) for surface in (0.05, 0.95))
    assert (wet < 0.75 * dry).all()
    assert wet[SWIR] / dry[SWIR] < wet[RED] / dry[RED]


def test_snow_is_bright_and_dark_in_the_shortwave_infrared(crop_world: World, passes: orbits.Passes) -> None:
    snow, soil = _seen(crop_world, passes, 0.3, snow=200.0), _seen(crop_world, passes, 0.3)
    assert snow[RED] > 0.55 > 3 * soil[RED]
    assert snow[SWIR] < 0.16 < soil[SWIR]


def test_water_under_plants_darkens_the_infrared(crop_world: World, passes: orbits.Passes) -> None:
    dry, flooded = (_seen(crop_world, passes, 1.0, flood=flood) for flood in (0.0, 0.9))
    assert flooded[SWIR] < 0.6 * dry[SWIR]
    assert flooded[NIR] < 0.85 * dry[NIR]
    assert _seen(crop_world, passes, 0.0, flood=1.0)[NIR] == pytest.approx(0.019, abs=1e-3)


def test_chlorophyll_shows_in_the_red_edge(crop_world: World, passes: orbits.Passes) -> None:
    pale, green = (_seen(crop_world, passes, 3.0, chlorophyll=value) for value in (20.0, 60.0))
    edge = canopy.BANDS.index("B05")
    assert pale[edge] > 1.4 * green[edge]
    assert pale[SWIR] == pytest.approx(green[SWIR], rel=0.02)


def test_the_two_orbits_differ_and_nbar_brings_them_together(crop_world: World, passes: orbits.Passes) -> None:
    growth = _state(crop_world, surface=0.3, chlorophyll=40.0)
    area = np.full_like(crop_world.leaf_area, 2.5)
    seen = radiance.canopy_reflectance(growth, crop_world.land, area, passes).mean((2, 3))
    straight = replace(passes, view_zenith=np.zeros(len(passes.day)))
    nadir = radiance.canopy_reflectance(growth, crop_world.land, area, straight).mean((2, 3))
    east = passes.view_azimuth < 180  # in the morning the sun's side
    steps = seen[:, RED] / nadir[:, RED]
    assert 1.015 < steps[east].mean() / steps[~east].mean() < 1.15
    for name in S2_L2A.band_names:
        band = canopy.BANDS.index(name)
        azimuth = passes.sun_azimuth - passes.view_azimuth
        corrected = seen[:, band] * c_factor(name, passes.sun_zenith, passes.view_zenith, azimuth)
        before, after = (np.abs(np.log(values / nadir[:, band])).mean() for values in (seen[:, band], corrected))
        assert after < 0.75 * before, name


def test_clear_reflectance_lies_within_0_and_1(scenes: radiance.Scenes) -> None:
    clear = np.moveaxis(scenes.reflectance, 1, -1)[~scenes.cloud]
    assert clear.shape[0] > 1000
    assert np.quantile(clear, 0.001) > 0
    assert clear.max() < 1.1


def test_shadows_fall_away_from_the_sun() -> None:
    rng = np.random.default_rng(4)
    clouds = (rng.random((40, 60, 60)) > 0.97).astype(float)
    zenith, azimuth = rng.uniform(25, 70, 40), rng.uniform(0, 360, 40)
    height = rng.uniform(30, 90, 40)
    shadow = sky.cast(clouds, height, zenith, azimuth, 60)
    for t in range(40):
        length = height[t] * np.tan(np.radians(zenith[t])) / 10
        found = np.fft.ifft2(np.fft.fft2(shadow[t]) * np.conj(np.fft.fft2(clouds[t]))).real
        row, column = np.unravel_index(found.argmax(), found.shape)
        row, column = (value - 60 * (value > 30) for value in (row, column))
        # north is up: a sun in the south (180) casts to the north, to smaller rows
        assert row == pytest.approx(length * np.cos(np.radians(azimuth[t])), abs=1)
        assert column == pytest.approx(-length * np.sin(np.radians(azimuth[t])), abs=1)


def test_clouds_are_blobs_that_follow_the_sky() -> None:
    rng = np.random.default_rng(3)
    share = [(sky.opacity(np.full(200, cover), 32, rng) > 0.1).mean() for cover in (0.05, 0.5, 0.95)]
    assert share[0] < 0.15 < share[1] < 0.85 < share[2]
    opacity = sky.opacity(np.full(50, 0.5), 32, rng)
    assert np.corrcoef(opacity[:, :, 1:].ravel(), opacity[:, :, :-1].ravel())[0, 1] > 0.9


def test_the_classification_misses_some_cloud_but_not_most(scenes: radiance.Scenes) -> None:
    clouded = radiance.coarsen(scenes.cloud.astype(float)) > 0.5
    called_clear = np.isin(scenes.classes, S2_L2A.clear_classes)
    missed = called_clear[clouded & scenes.observed].mean()
    assert 0.005 < missed < 0.2
    assert 0.02 < (~called_clear)[~clouded & scenes.observed].mean() < 0.6  # and it calls cloud what is none
    assert set(np.unique(scenes.classes)) <= set(range(12))


def test_some_dates_have_shadows_that_nobody_told(scenes: radiance.Scenes) -> None:
    shadowed = scenes.cloud[:, ::2, ::2] & scenes.observed & ~np.isin(scenes.classes, (8, 9, 10))
    found = (scenes.classes == classification.SHADOW).any((1, 2))
    many = shadowed.mean((1, 2)) > 0.05
    assert 0 < found[many].mean() < 1


def test_snow_and_water_are_classified(crop_world: World, passes: orbits.Passes) -> None:
    few = passes[np.arange(4)]
    clear = np.zeros(4)
    for values, expected in (({"snow": 300.0}, classification.SNOW), ({"flood": 1.0}, classification.WATER)):
        args = (_state(crop_world, **values), crop_world.land, np.zeros_like(crop_world.leaf_area), few, clear)
        scenes = radiance.observe(*args, np.random.default_rng(2))
        inside = scenes.observed & ~radiance.coarsen(scenes.cloud.astype(float)).astype(bool)
        assert (scenes.classes[inside] == expected).mean() > 0.7


def test_the_swath_ends_on_the_side_far_from_the_satellite(crop_world: World, passes: orbits.Passes) -> None:
    many = passes[np.arange(len(passes.day)).repeat(3)]
    args = (crop_world.growth, crop_world.land, crop_world.leaf_area, many, np.zeros(len(many.day)))
    observed = radiance.observe(*args, np.random.default_rng(5)).observed
    cut = ~observed.all((1, 2))
    assert 0.01 < cut.mean() < 0.1
    partly = cut & observed.any((1, 2))
    east = many.view_azimuth < 180
    assert observed[partly & east][:, :, -1].all()  # seen from the east: the east is inside
    assert observed[partly & ~east][:, :, 0].all()
