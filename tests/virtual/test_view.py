"""The virtual tower's footprint: its points against the stage that computes footprints, and what they see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed.footprints import tower as stage
from ecoembed.virtual.view import scaled_distances, tower_view
from ecoembed.virtual.world import World, make_world
from tests.virtual.conftest import SEED


@pytest.fixture(scope="module")
def wide() -> World:
    """A forest on a cube of 960 m, which holds nearly all of the footprint."""
    return make_world(1, (2020, 2020), 96, SEED)


def test_points_halve_equal_parts_of_the_footprint() -> None:
    from scipy.integrate import quad

    from ecoembed.footprints.kljun import D, scaled_footprint

    distances = scaled_distances()
    assert (np.diff(distances.T.ravel()) > 0).all()  # turns fill the parts in order
    shares = [quad(lambda x: float(scaled_footprint(np.array(x))), D, far, limit=500)[0] for far in distances[3]]
    np.testing.assert_allclose(np.array(shares) / 1.00157, (np.arange(16) + 0.5) / 16, atol=1e-5)  # its whole integral


def test_points_are_inside_for_their_share_and_weigh_one(wide: World) -> None:
    view = wide.view
    np.testing.assert_allclose(view.weight.sum(1), 1.0, rtol=1e-5)
    assert view.pixel.min() >= 0
    assert view.pixel.max() < wide.land.field.size
    assert ((view.inside >= 0) & (view.inside <= 1)).all()
    daytime = wide.halfhours["SW_IN_F"].to_numpy() > 20
    assert view.inside[daytime].mean() > 0.9
    assert make_world(1, (2020, 2020), 24, SEED).view.inside[daytime].mean() < view.inside[daytime].mean()


def test_monthly_weights_are_those_of_the_footprint_stage(wide: World) -> None:
    names = {"USTAR": "USTAR", "WD": "WD", "WS_F": "WS", "H_F_MDS": "H", "TA_F": "TA", "PA_F": "PA", "SW_IN_F": "SW_IN"}
    halfhours = wide.halfhours[list(names)].rename(columns=names).rename_axis("time").to_xarray()
    land = wide.land
    grid = xr.DataArray(np.zeros(land.field.shape), coords={"y": land.y, "x": land.x}).rio.write_crs(wide.place.epsg)
    site = vars(wide.place)
    expected = stage.tower_footprint(site, halfhours, grid, period="month").to_numpy()
    expected = expected / expected.sum((1, 2), keepdims=True)
    assert expected.shape == wide.weights.shape
    overlap = np.minimum(expected, wide.weights).sum((1, 2))  # 1 where they are the same
    assert overlap.min() > 0.9
    per_field = [
        [w[land.field == f].sum() for f in range(len(land.cover))] for w in (expected.mean(0), wide.weights.mean(0))
    ]
    np.testing.assert_allclose(*per_field, atol=0.03)


def test_the_footprint_leans_into_the_wind(crop_world: World) -> None:
    world = crop_world
    assert world.weights.shape == (12, *world.land.field.shape)
    east, north = world.land.x - world.place.easting, world.land.y - world.place.northing
    mean = world.weights.mean(0)
    centre = (mean.sum(0) * east).sum(), (mean.sum(1) * north).sum()
    toward = np.degrees(np.arctan2(*centre)) % 360.0
    assert abs((toward - world.place.wind_from + 180.0) % 360.0 - 180.0) < 50.0


def test_a_half_hour_sees_the_field_that_the_wind_comes_from(crop_world: World) -> None:
    # fields that release their own number, split at the tower: a west wind sees the west
    world = crop_world
    west = (world.land.x < world.place.easting)[None, :] & np.ones((len(world.land.y), 1), bool)
    land = replace(world.land, field=west.astype(int))
    weather = world.halfhours.iloc[:96]
    values = np.tile([0.0, 1.0], (96, 1)).astype(np.float32)
    for direction, share in ((270.0, 1.0), (90.0, 0.0), (0.0, 0.5)):
        seen = tower_view(world.place, land, weather.assign(WD=direction)).mean(values, land)
        assert seen.mean() == pytest.approx(share, abs=0.12)


def test_a_uniform_landscape_is_seen_as_it_is(crop_world: World) -> None:
    world = crop_world
    n, fields = len(world.halfhours), len(world.land.cover)
    flux = np.repeat(np.linspace(0.0, 20.0, n, dtype=np.float32)[:, None], fields, axis=1)
    np.testing.assert_allclose(world.view.mean(flux, world.land), flux[:, 0], rtol=1e-5, atol=1e-6)
    half = np.full(world.gpp.shape, 0.5, np.float32)
    np.testing.assert_allclose(world.view.mean(flux, world.land, half), flux[:, 0] / 2.0, rtol=1e-5, atol=1e-6)


def test_weather_outside_the_model_s_range_still_has_a_footprint(crop_world: World) -> None:
    weather = crop_world.halfhours.iloc[:48].assign(USTAR=0.01, H_F_MDS=300.0)
    view = tower_view(crop_world.place, crop_world.land, weather)
    assert np.isfinite(view.weight).all()
    stable = tower_view(crop_world.place, crop_world.land, weather.assign(H_F_MDS=-60.0, WS_F=9.0))
    assert np.isfinite(stable.weight).all()
    np.testing.assert_allclose(stable.weight.sum(1), 1.0, rtol=1e-5)


def test_the_tower_s_daily_gpp_is_between_its_monthly_footprint_and_nothing_else(crop_world: World) -> None:
    world = crop_world
    by_month = np.einsum("dyx,dyx->d", world.gpp, world.weights[world.month])
    seen = world.tower_gpp.reshape(-1, 48).mean(1) * 12.011e-6 * 86_400
    days = pd.DatetimeIndex(world.daily.index)
    assert len(days) == len(seen)
    assert np.corrcoef(by_month, seen)[0, 1] > 0.98
    assert np.abs(seen.mean() / by_month.mean() - 1.0) < 0.08
    assert np.abs(seen - by_month).max() > 0.05  # but it is not the same: the wind of every half-hour counts
