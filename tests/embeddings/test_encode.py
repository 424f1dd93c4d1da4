"""What the encoder promises: dense by construction, and clear refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.embeddings import encode
from ecoembed.errors import ConfigError, GridError, UnitError, VariableError

from .conftest import make_cube


@pytest.fixture(scope="module")
def whole(encoder, s2, s1):
    return {window: encoder.encode(s2, s1, window=window) for window in ("centred", "causal")}


def test_an_embedding_cube_on_the_dates_and_grid_of_sentinel_2(whole, s2):
    z = whole["centred"]
    assert z.dims == ("time", "band", "y", "x")
    assert list(z["band"].values) == [f"z{i}" for i in range(1, 8)]
    assert z.dtype == np.float32
    assert (z["time"].values == s2["time"].values).all()
    assert z.rio.crs == s2.rio.crs
    assert {"weights", "window", "code_version"} <= set(z.attrs)


def test_missing_exactly_where_sentinel_2_is(whole, s2):
    observed = np.isfinite(s2.values).all(axis=1)
    assert (np.isfinite(whole["centred"].values).all(axis=1) == observed).all()
    assert (np.isfinite(whole["centred"].values).any(axis=1) == observed).all()


@settings(max_examples=25, deadline=None)
@given(t=st.integers(0, 29), y=st.integers(0, 19), x=st.integers(0, 19), window=st.sampled_from(["centred", "causal"]))
def test_equals_the_encoding_of_its_own_neighbourhood(encoder, whole, s2, s1, t, y, x, window):
    """The pixel's own 11 x 15 x 15 neighbourhood of S2, and the 11 S1 frames around its paired acquisition."""
    before, after = (5, 5) if window == "centred" else (10, 0)
    apart = s1["time"].values - s2["time"].values[t]
    radar = int(np.abs(apart).argmin() if window == "centred" else max((apart <= np.timedelta64(0)).sum() - 1, 0))
    box = {"y": slice(max(y - 7, 0), y + 8), "x": slice(max(x - 7, 0), x + 8)}
    own2 = s2.isel(time=slice(max(t - before, 0), t + after + 1), **box)
    own1 = s1.isel(time=slice(max(radar - before, 0), radar + after + 1), **box)
    alone = encoder.encode(own2, own1, window=window)
    here = alone.sel(time=s2["time"].values[t], y=s2["y"].values[y], x=s2["x"].values[x])
    np.testing.assert_allclose(here.values, whole[window].values[t, :, y, x], atol=1e-5, equal_nan=True)


def test_nothing_outside_the_support_matters(encoder, whole, s2, s1):
    t, y, x = 15, 10, 10
    outside = np.ones(s2.shape, dtype=bool)
    outside[t - 5 : t + 6, :, y - 7 : y + 8, x - 7 : x + 8] = False
    changed = s2.copy(data=np.where(outside, np.float32(0.77), s2.values))
    z = encoder.encode(changed, s1).values[t, :, y, x]
    np.testing.assert_allclose(z, whole["centred"].values[t, :, y, x], atol=1e-5, equal_nan=True)


def test_every_edge_of_the_support_matters(encoder, s2, s1):
    """The receptive field is exactly 11 x 15 x 15, not less."""
    clear = s2.fillna(0.3)
    base = encoder.encode(clear, s1).values[15, :, 10, 10]
    for t, y, x in [(10, 10, 10), (20, 10, 10), (15, 3, 10), (15, 17, 10), (15, 10, 3), (15, 10, 17)]:
        poked = clear.copy(deep=True)
        poked.values[t, :, y, x] = 1.0
        assert np.abs(encoder.encode(poked, s1).values[15, :, 10, 10] - base).max() > 1e-7, (t, y, x)


def test_a_causal_window_does_not_see_the_future(encoder, whole, s2, s1):
    t = 12
    when = s2["time"].values[t]
    later2 = s2.where(s2["time"] <= when, 0.9).astype("float32")
    later1 = s1.where(s1["time"] <= when, -3.0).astype("float32")
    assert (np.abs(s1["time"].values - when).argmin()) != (s1["time"].values <= when).sum() - 1  # the nearest is later
    z = encoder.encode(later2, later1, window="causal").values[t]
    np.testing.assert_allclose(z, whole["causal"].values[t], atol=1e-5, equal_nan=True)
    assert np.nanmax(np.abs(encoder.encode(later2, later1).values[t] - whole["centred"].values[t])) > 1e-4


def test_tiling_and_threads_change_nothing(encoder, whole, s2, s1, monkeypatch):
    monkeypatch.setattr(encode, "TILE", 16)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        tiled = encoder.encode(s2, s1)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(tiled.values, whole["centred"].values, atol=1e-5, equal_nan=True)


def test_without_sentinel_1_the_embedding_exists_and_differs(encoder, whole, s2):
    alone = encoder.encode(s2, None).values
    assert (np.isfinite(alone) == np.isfinite(whole["centred"].values)).all()
    assert np.nanmax(np.abs(alone - whole["centred"].values)) > 1e-4


def test_random_weights_are_the_same_for_a_seed_and_differ_between_seeds(encoder):
    assert encoder.random(1).weights == encoder.random(1).weights
    assert len({encoder.random(1).weights, encoder.random(2).weights, encoder.weights}) == 3


def test_random_weights_are_the_same_from_many_threads_and_leave_the_global_generator_alone(encoder):
    from concurrent.futures import ThreadPoolExecutor

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: encoder.random(7).weights, range(12)))) == 1
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.isfinite(p).all() for p in encoder.random(7).model.parameters())


@pytest.mark.parametrize(
    ("breakage", "error", "says"),
    [
        (lambda s2, s1: (s2.isel(band=slice(0, 9)), s1), VariableError, "1 of 10 bands absent (B12)"),
        (lambda s2, s1: (s1, s2), VariableError, "expected S2_L2A"),
        (lambda s2, s1: (s2, s1.isel(x=slice(0, 9))), GridError, "different grids"),
        (lambda s2, s1: (s2.assign_attrs(units="%"), s1), VariableError, "unit differs"),
        (lambda s2, s1: (s2.astype("float64"), s1), VariableError, "float32"),
        (
            lambda s2, s1: (s2, s1.assign_attrs(smoothing="mean of 9")),
            VariableError,
            "not smoothed as",
        ),
        (lambda s2, s1: (s2 * np.float32(1e4), s1), UnitError, "cannot be Sentinel-2"),
        (lambda s2, s1: (s2, s1 * np.float32(1e4)), UnitError, "cannot be Sentinel-1"),
        (lambda s2, s1: (s2, s1.assign_coords(y=s1["y"] + 10)), GridError, "different grids"),
        (lambda s2, s1: (s2.isel(band=slice(None, None, -1)), s1), VariableError, "band order differs"),
    ],
)
def test_wrong_input_is_refused(encoder, s2, s1, breakage, error, says):
    with pytest.raises(error) as caught:
        encoder.encode(*breakage(s2, s1))
    assert says in str(caught.value)


def test_an_unknown_window_is_refused(encoder, s2, s1):
    with pytest.raises(ConfigError, match="sideways"):
        encoder.encode(s2, s1, window="sideways")


def test_a_date_far_from_any_radar_acquisition_is_encoded_without_it(encoder):
    optical = make_cube("S2_L2A", n=12)
    radar = make_cube("S1", n=12, cloud=0.0)
    late = radar.assign_coords(time=radar["time"] + np.timedelta64(3000, "D"))
    xr.testing.assert_allclose(encoder.encode(optical, late).drop_attrs(), encoder.encode(optical, None).drop_attrs())
