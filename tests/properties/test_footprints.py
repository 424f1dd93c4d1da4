"""What must hold of footprint weights and of what is seen through them, whatever the half-hours."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.errors import FootprintError
from ecoembed.footprints import kljun, kormann
from ecoembed.footprints.climatology import MODELS, exclusions, footprint_climatology
from ecoembed.footprints.extents import fixed_radius, fixed_square
from ecoembed.footprints.extract import extract
from ecoembed.footprints.pixels import pixels_around
from tests.footprints.oracle import halfhour

MANY = settings(max_examples=25, deadline=None)
CENTRES = np.arange(-20, 21) * 10.0
GRID = {"x": CENTRES, "y": CENTRES[::-1]}


def within(inputs):
    """The same half-hour, brought within the range of both models."""
    zm, ol = inputs["zm"], inputs["ol"]
    ol = min(ol, -0.6 * zm) if ol < 0 else ol
    return inputs | {"ol": ol, "umean": max(inputs["umean"], 9 * inputs["ustar"])}


halfhours_of_both = halfhour(with_z0=False).map(within)
records = st.lists(halfhours_of_both, min_size=1, max_size=6)
models = st.sampled_from(sorted(MODELS))


def climatology(halfhours, grid=GRID, turn=0.0, model="kljun", **where):
    columns = {name: np.array([h[name] for h in halfhours]) for name in halfhours[0]}
    columns["wind_dir"] = (columns["wind_dir"] + turn) % 360
    return footprint_climatology(**columns, grid=grid, model=model, **where)


def scene(values, grid=GRID):
    coords = {"time": pd.to_datetime(["2020-06-01"]), "band": [f"b{i}" for i in range(values.shape[1])]}
    return xr.DataArray(values, {**coords, **{k: grid[k] for k in ("y", "x")}}, ("time", "band", "y", "x"))


@MANY
@given(records, models)
def test_weights_are_shares(halfhours, model):
    weights = climatology(halfhours, model=model)
    assert (weights.values >= 0).all()
    assert weights.values.sum() <= 1
    assert weights.attrs["inside"] == pytest.approx(weights.values.sum(), abs=1e-12)
    assert weights.attrs["n"] == len(halfhours)


@MANY
@given(records, st.integers(1, 3), models)
def test_turning_the_wind_turns_the_weights(halfhours, quarters, model):
    """y descends, so that a clockwise turn of the wind is a clockwise turn of the array."""
    turned = climatology(halfhours, turn=90.0 * quarters, model=model)
    expected = np.rot90(climatology(halfhours, model=model).values, -quarters)
    np.testing.assert_allclose(turned.values, expected, rtol=0, atol=1e-6 * expected.max())


@MANY
@given(records, st.integers(-12, 12), st.integers(-12, 12), st.floats(-4.9, 4.9), models)
def test_moving_the_window_moves_nothing(halfhours, right, up, off, model):
    """The same tower seen through a window moved by whole pixels: equal weights where the windows overlap."""
    moved = {"x": GRID["x"] + 10.0 * right, "y": GRID["y"] + 10.0 * up}
    here, there = (climatology(halfhours, g, x=off, y=-off, model=model) for g in (GRID, moved))
    here, there = xr.align(here, there, join="inner")
    assert here.size >= 29**2
    np.testing.assert_allclose(there.values, here.values, rtol=0, atol=1e-6 * here.values.max())


@MANY
@given(records, st.integers(-8, 8), st.integers(-8, 8), models)
def test_moving_the_tower_by_whole_pixels_moves_the_weights(halfhours, right, up, model):
    here = climatology(halfhours, model=model).values
    there = climatology(halfhours, x=10.0 * right, y=10.0 * up, model=model).values
    rolled = np.roll(here, (-up, right), axis=(0, 1))
    common = np.ix_(*(slice_of(-up), slice_of(right)))
    np.testing.assert_allclose(there[common], rolled[common], rtol=0, atol=1e-6 * here.max())


def slice_of(shift, size=CENTRES.size):
    """Indices that `np.roll` by `shift` does not wrap around."""
    return np.arange(max(0, shift), size + min(0, shift))


@MANY
@given(records, st.sampled_from([2, 4]), models)
def test_a_finer_grid_adds_up_to_the_coarser_one(halfhours, parts, model):
    """20 m pixels against their 10 m or 5 m parts."""
    fine = 20.0 / parts
    coarse_axis = np.arange(-10, 10) * 20.0 + 10
    fine_axis = np.arange(-10 * parts, 10 * parts) * fine + fine / 2
    coarse = climatology(halfhours, {"x": coarse_axis, "y": coarse_axis}, model=model).values
    summed = climatology(halfhours, {"x": fine_axis, "y": fine_axis}, model=model).values
    summed = summed.reshape(20, parts, 20, parts).sum((1, 3))
    np.testing.assert_allclose(summed, coarse, rtol=0, atol=4e-3 * coarse.max())
    assert summed.sum() == pytest.approx(coarse.sum(), abs=3e-3)


@MANY
@given(records, st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), models)
def test_only_positions_relative_to_the_tower_matter(halfhours, x, y, model):
    far = {"x": GRID["x"] + x, "y": GRID["y"] + y}
    weights, expected = (climatology(halfhours, g, model=model).values for g in (far, GRID))
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-6 * expected.max())


@MANY
@given(records, st.randoms(use_true_random=False), models)
def test_the_order_of_half_hours_does_not_matter(halfhours, random, model):
    shuffled = list(halfhours)
    random.shuffle(shuffled)
    xr.testing.assert_identical(climatology(halfhours, model=model), climatology(shuffled, model=model))


@MANY
@given(records, models)
def test_a_climatology_is_the_mean_of_its_half_hours(halfhours, model):
    each = np.mean([climatology([h], model=model).values for h in halfhours], axis=0)
    together = climatology(halfhours, model=model).values
    assert np.abs(together - each).sum() < 3e-3
    assert together.sum() == pytest.approx(each.sum(), abs=1e-3)


@MANY
@given(st.lists(halfhour(with_z0=False), min_size=1, max_size=12), st.integers(0, 2**32 - 1), models)
def test_reasons_name_every_half_hour_left_out_and_no_other(halfhours, seed, model):
    """Half-hours that no model was made for, and gaps, among those that are valid."""
    rng = np.random.default_rng(seed)
    columns = {name: np.array([h[name] for h in [*halfhours, within(halfhours[0])]]) for name in halfhours[0]}
    for name in ("ustar", "ol", "sigmav"):
        columns[name][:-1][rng.random(len(halfhours)) < 0.2] = rng.choice([np.nan, 0.0])
    reasons, weights = exclusions(columns, model=model), footprint_climatology(**columns, grid=GRID, model=model)
    assert weights.attrs["n"] == reasons.isna().sum()
    counted = pd.Series(reasons).dropna().astype(str).value_counts().to_dict()
    assert json.loads(weights.attrs["excluded"]) == counted
    for k in range(len(halfhours)):
        one = {name: float(values[k]) for name, values in columns.items()}
        if not reasons.isna()[k]:
            variable = str(reasons[k]).split(" not ")[0]
            with pytest.raises(FootprintError, match=f"{variable} is outside the range of the {model.title()}"):
                {"kljun": kljun, "kormann": kormann}[model].footprint(**one)


@MANY
@given(halfhour(with_z0=False, zm=(15.0, 60.0)).map(within), st.sampled_from([kljun, kormann]))
def test_one_half_hour_agrees_with_the_two_dimensional_footprint(inputs, model):
    """A pixel of a two-hundredth of the plume, laid over a point of `footprint`'s own field, holds that value."""
    one = model.footprint(**inputs | {"wind_dir": None})
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
    pixels = pixels_around({"x": east + steps, "y": north + steps}, None, None)
    moved = pixels._replace(
        x=pixels.x._replace(edge=pixels.x.edge + east), y=pixels.y._replace(edge=pixels.y.edge + north)
    )
    name = model.__name__.rpartition(".")[2]
    weights = MODELS[name].weights(moved, {k: np.array([v]) for k, v in inputs.items()})
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


@MANY
@given(st.floats(1, 380), st.floats(-9, 9), st.floats(-9, 9))
def test_a_square_inside_the_grid_weighs_one_evenly(side, x, y):
    weights = fixed_square(GRID, side, x=x, y=y)
    assert (weights.values >= 0).all()
    assert weights.values.sum() == pytest.approx(1, abs=1e-9)
    assert weights.values.max() <= 100 / side**2 + 1e-12
    assert float((weights * weights["x"]).sum()) == pytest.approx(x, abs=5)
