"""What must hold of footprint weights and of what is seen through them, whatever the half-hours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.footprints.climatology import fixed_radius, footprint_climatology
from ecoembed.footprints.extract import extract
from ecoembed.footprints.kljun import footprint
from tests.footprints.oracle import halfhour

MANY = settings(max_examples=25, deadline=None)
CENTRES = np.arange(-20, 21) * 10.0
GRID = {"x": CENTRES, "y": CENTRES[::-1]}
records = st.lists(halfhour(with_z0=False), min_size=1, max_size=6)


def climatology(halfhours, grid=GRID, turn=0.0, **where):
    columns = {name: np.array([h[name] for h in halfhours]) for name in halfhours[0]}
    columns["wind_dir"] = (columns["wind_dir"] + turn) % 360
    return footprint_climatology(**columns, grid=grid, **where)


def scene(values, grid=GRID):
    coords = {"time": pd.to_datetime(["2020-06-01"]), "band": [f"b{i}" for i in range(values.shape[1])]}
    return xr.DataArray(values, {**coords, **{k: grid[k] for k in ("y", "x")}}, ("time", "band", "y", "x"))


@MANY
@given(records)
def test_weights_are_shares(halfhours):
    weights = climatology(halfhours)
    assert (weights.values >= 0).all()
    assert weights.values.sum() <= 1
    assert weights.attrs["inside"] == pytest.approx(weights.values.sum(), abs=1e-12)
    assert weights.attrs["n"] == len(halfhours)


@MANY
@given(records, st.integers(1, 3))
def test_turning_the_wind_turns_the_weights(halfhours, quarters):
    """y descends, so that a clockwise turn of the wind is a clockwise turn of the array."""
    turned = climatology(halfhours, turn=90.0 * quarters)
    expected = np.rot90(climatology(halfhours).values, -quarters)
    np.testing.assert_allclose(turned.values, expected, rtol=0, atol=1e-6 * expected.max())


@MANY
@given(records, st.integers(-12, 12), st.integers(-12, 12), st.floats(-4.9, 4.9))
def test_moving_the_window_moves_nothing(halfhours, right, up, off):
    """The same tower seen through a window moved by whole pixels: equal weights where the windows overlap."""
    moved = {"x": GRID["x"] + 10.0 * right, "y": GRID["y"] + 10.0 * up}
    here, there = (climatology(halfhours, g, x=off, y=-off) for g in (GRID, moved))
    here, there = xr.align(here, there, join="inner")
    assert here.size >= 29**2
    np.testing.assert_allclose(there.values, here.values, rtol=0, atol=1e-6 * here.values.max())


@MANY
@given(records, st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_only_positions_relative_to_the_tower_matter(halfhours, x, y):
    far = {"x": GRID["x"] + x, "y": GRID["y"] + y}
    weights, expected = climatology(halfhours, far).values, climatology(halfhours).values
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-6 * expected.max())


@MANY
@given(records, st.randoms(use_true_random=False))
def test_the_order_of_half_hours_does_not_matter(halfhours, random):
    shuffled = list(halfhours)
    random.shuffle(shuffled)
    xr.testing.assert_identical(climatology(halfhours), climatology(shuffled))


@MANY
@given(records)
def test_a_climatology_is_the_mean_of_its_half_hours(halfhours):
    each = np.mean([climatology([h]).values for h in halfhours], axis=0)
    together = climatology(halfhours).values
    assert np.abs(together - each).sum() < 3e-3
    assert together.sum() == pytest.approx(each.sum(), abs=1e-3)


@MANY
@given(halfhour(with_z0=False, zm=(15.0, 60.0)))
def test_one_half_hour_agrees_with_the_two_dimensional_footprint(inputs):
    """A pixel of a two-hundredth of the plume, laid over a point of `footprint`'s own field, holds that value."""
    one = footprint(**inputs | {"wind_dir": None})
    ix = int(np.abs(one.x_ci - 1.2 * one.x_ci_max).argmin())
    iy = one.f_2d.shape[1] // 2 + int(one._sigma_y[ix] / (one.x_ci[1] - one.x_ci[0]))
    pixel = min(one._sigma_y[ix], one.x_ci_max) / 200
    direction = np.radians(inputs["wind_dir"])
    up, across = one.x_2d[ix, iy], one.y_2d[ix, iy]
    east, north = (
        up * np.sin(direction) - across * np.cos(direction),
        up * np.cos(direction) + across * np.sin(direction),
    )
    steps = np.arange(-3, 4) * pixel
    grid = {"x": east + steps, "y": north + steps}
    from ecoembed.footprints import climatology as module

    pixels = module.pixels_around(grid, None, None)
    moved = pixels._replace(
        x=pixels.x._replace(edge=pixels.x.edge + east), y=pixels.y._replace(edge=pixels.y.edge + north)
    )
    s, t = module.scales({k: np.asarray([v]) for k, v in inputs.items()})
    weights = module._mean_weights(moved, s, t, np.array([inputs["wind_dir"]]))
    assert weights[3, 3] / pixel**2 == pytest.approx(one.f_2d[ix, iy], abs=3e-6 * one.f_2d.max())


@MANY
@given(records, st.floats(-5, 5, width=32))
def test_a_constant_cube_gives_a_constant(halfhours, constant):
    weights = climatology(halfhours)
    series = extract(scene(np.full((1, 2, 41, 41), constant, "float32")), weights)
    np.testing.assert_allclose(series["value"], constant, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(series["coverage"], weights.attrs["inside"], rtol=0, atol=1e-12)


@MANY
@given(records, st.integers(0, 2**32 - 1), st.floats(0, 0.95))
def test_masked_pixels_lower_coverage_by_exactly_their_weight(halfhours, seed, share):
    weights, rng = climatology(halfhours), np.random.default_rng(seed)
    masked = rng.random((41, 41)) < share
    values = rng.random((1, 2, 41, 41)).astype("float32")
    values[0, rng.integers(2), masked] = np.nan
    series = extract(scene(values), weights)
    assert series["coverage"].item() == pytest.approx(weights.attrs["inside"] - weights.values[masked].sum(), abs=1e-12)
    seen = values[0][:, ~masked]
    assert (seen.min(1) - 1e-6 <= series["value"].values[0]).all()
    assert (series["value"].values[0] <= seen.max(1) + 1e-6).all()


@MANY
@given(st.floats(1, 190), st.floats(-9, 9), st.floats(-9, 9))
def test_a_disc_inside_the_grid_weighs_one(radius, x, y):
    weights = fixed_radius(GRID, radius, x=x, y=y)
    assert (weights.values >= 0).all()
    assert weights.values.sum() == pytest.approx(1, abs=1e-9)
    assert weights.values.max() <= 100 / (np.pi * radius**2) + 1e-12
