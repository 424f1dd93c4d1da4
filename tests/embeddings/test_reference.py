"""What the reference encoder promises on cubes: its patches, its windows, its axis of attention, and its refusals."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.embeddings import batches
from ecoembed.embeddings.reference import ReferenceEncoder, ReferenceModel, random_reference
from ecoembed.embeddings.reference.patches import Patches, centred_mean
from ecoembed.errors import ConfigError, GridError, UnitError, VariableError
from ecoembed.schema import check_embedding_cube

from .conftest import make_cube

DAY = np.timedelta64(1, "D")


@pytest.fixture(scope="module")
def over_time() -> ReferenceEncoder:
    return ReferenceEncoder(random_reference(1, "time"))


@pytest.fixture(scope="module")
def over_batch() -> ReferenceEncoder:
    return ReferenceEncoder(random_reference(1, "batch"))


@pytest.fixture(scope="module")
def small():
    """Thirteen dates of 2 x 2 px, so that three have a whole window; clouds; S1 every six days."""
    return make_cube("S2_L2A", n=13, side=2, cloud=0.3, seed=4), make_cube("S1", n=12, side=2, every=6.0, cloud=0.1)


@pytest.fixture(scope="module")
def embedded(over_time, small):
    return over_time.encode(*small)


@pytest.fixture(scope="module")
def patches():
    """Four patches of random frames and days."""
    generator = torch.Generator().manual_seed(1)
    frames = {n: torch.rand((4, 11, c, 15, 15), generator=generator) for n, c in (("S1", 2), ("S2_L2A", 10))}
    days = {n: torch.randint(0, 15, (4, 11), generator=generator).cumsum(dim=1) for n in frames}
    return frames, {n: d - d[:, :1] for n, d in days.items()}, torch.tensor([0, 3, 1, 350])


def of(samples: slice | list[int], patches):
    frames, days, gap = patches
    return {k: v[samples] for k, v in frames.items()}, {k: v[samples] for k, v in days.items()}, gap[samples]


# --- the axis of attention ---------------------------------------------------------------------------------------


@torch.inference_mode()
def test_over_time_an_embedding_does_not_depend_on_its_batch(over_time, patches):
    together = over_time.model.encode(*patches)
    torch.testing.assert_close(over_time.model.encode(*of([2, 0], patches)), together[[2, 0]], rtol=0, atol=3e-6)
    torch.testing.assert_close(over_time.model.encode(*of([3], patches)), together[[3]], rtol=0, atol=3e-6)


@torch.inference_mode()
def test_over_the_batch_it_does(over_batch, patches):
    together = over_batch.model.encode(*patches)
    assert (over_batch.model.encode(*of([2, 0], patches)) - together[[2, 0]]).abs().max() > 1e-2


@torch.inference_mode()
def test_only_over_time_does_a_frame_see_the_others(over_time, over_batch, patches):
    """With the mixing of tokens made to pass the centre frame only, a change of another frame can come by attention."""
    frames, days, _ = of([0], patches)
    changed = frames["S1"].clone()
    changed[:, 0] = 0.9
    for encoder, sees in ((over_time, True), (over_batch, False)):
        sensor = random_reference(1, encoder.model.axis).sensor("S1")
        keep = torch.zeros(1, 11)
        keep[0, 5] = 1.0
        sensor.fewer.weight.copy_(keep.expand_as(sensor.fewer.weight))
        apart = sensor.encode(changed, days["S1"]) - sensor.encode(frames["S1"], days["S1"])
        assert (apart.abs().max() > 1e-6) == sees


def test_a_cube_in_other_batches(over_time, embedded, small):
    again = ReferenceEncoder(over_time.model, batch=4)
    np.testing.assert_allclose(again.encode(*small).values, embedded.values, atol=3e-6, equal_nan=True)
    assert again.weights == over_time.weights


def test_a_cube_in_other_batches_over_the_batch(over_batch):
    s2, s1 = make_cube("S2_L2A", n=11, side=16, cloud=0.0), make_cube("S1", n=11, side=16, cloud=0.0)
    z = over_batch.encode(s2, s1)
    alone = ReferenceEncoder(over_batch.model, batch=1)
    assert z.attrs["axis"] == "batch"
    assert (z.attrs["batch"], alone.weights != over_batch.weights) == (64, True)
    inside = np.zeros(z.shape, dtype=bool)
    inside[5, :, 7:9, 7:9] = True
    np.testing.assert_array_equal(np.isfinite(z.values), inside)
    assert np.nanmax(np.abs(alone.encode(s2, s1).values - z.values)) > 1e-3


# --- a cube ------------------------------------------------------------------------------------------------------


def test_an_embedding_cube_that_says_how_it_was_made(over_time, embedded, small):
    s2, _ = small
    check_embedding_cube(embedded)
    assert embedded.dims == ("time", "band", "y", "x")
    assert list(embedded["band"].values) == [f"z{i}" for i in range(1, 8)]
    assert embedded.rio.crs == s2.rio.crs
    expected = {"encoder": "reference", "axis": "time", "window": "centred", "edges": "missing beyond the image"}
    assert expected.items() <= embedded.attrs.items()
    assert embedded.attrs["weights"] == over_time.weights
    assert "(dB + 30) / 35" in embedded.attrs["normalisation"]
    assert embedded.attrs["smoothing"] == "centred mean of 3 acquisitions in linear power"
    assert json.loads(embedded.attrs["not_encoded"]) == {"fewer than 5 clear dates before or after": 10}


def test_it_exists_where_sentinel_2_was_seen_and_has_a_whole_window(embedded, small):
    expected = np.isfinite(small[0].values).all(axis=1)
    expected[:5] = expected[-5:] = False
    np.testing.assert_array_equal(np.isfinite(embedded.values).all(axis=1), expected)
    np.testing.assert_array_equal(np.isfinite(embedded.values).any(axis=1), expected)
    assert 4 <= expected.sum() < 12


def test_a_pixel_equals_its_own_patches_cut_by_hand(over_time, embedded, small):
    """Window, nearest S1, scaling, filling and days, in plain NumPy."""
    s2, s1 = small
    z = embedded.values
    t, y, x = np.argwhere(np.isfinite(z[:, 0]))[-1]
    rows = np.arange(t - 5, t + 6)
    nearest = [int(np.abs(s1["time"].values - s2["time"].values[row]).argmin()) for row in rows]
    cubes = {"S2_L2A": (s2, rows), "S1": (centred_mean(s1), nearest)}
    frames, days = {}, {}
    for name, (cube, chosen) in cubes.items():
        values = cube.values[chosen]
        values = np.where(np.isfinite(values).all(axis=1, keepdims=True), values, np.nan)
        values = np.clip(values, 0, 1) if name == "S2_L2A" else (np.clip(values, -30, 5) + 30) / 35
        values = np.pad(values, ((0, 0), (0, 0), (7, 7), (7, 7)), constant_values=np.nan)[..., y : y + 15, x : x + 15]
        mean = np.nanmean(values, axis=(0, 2, 3), keepdims=True)
        frames[name] = torch.from_numpy(np.where(np.isnan(values), mean, values).astype(np.float32))[None]
        dates = cube["time"].values[chosen].astype("datetime64[D]")
        days[name] = torch.from_numpy((dates - dates[0]).astype(int))[None]
    dates = [cubes["S1"][0]["time"].values[nearest[5]], s2["time"].values[t]]
    gap = abs(int(np.diff(np.array(dates).astype("datetime64[D]")).astype(int)[0]))
    assert gap == 1
    with torch.inference_mode():
        expected = over_time.model.encode(frames, days, torch.tensor([gap]))[0]
    np.testing.assert_allclose(z[t, :, y, x], expected.numpy(), atol=3e-6)


def test_a_date_without_any_clear_pixel_is_no_acquisition(over_time, embedded, small):
    s2, s1 = small
    cloudy = s2.isel(time=[6]).copy(data=np.full_like(s2.values[[6]], np.nan))
    cloudy = cloudy.assign_coords(time=cloudy["time"] + 2 * DAY)
    z = over_time.encode(xr.concat([s2, cloudy], "time").sortby("time"), s1)
    np.testing.assert_allclose(z.sel(time=s2["time"]).values, embedded.values, atol=3e-6, equal_nan=True)
    assert json.loads(z.attrs["not_encoded"])["no clear pixel"] == 1


def test_days_count_whole_and_hours_do_not(over_time, small):
    s2, s1 = (cube.isel(time=slice(0, 11)) for cube in small)
    base = over_time.encode(s2, s1).values
    hours = s2["time"].values.copy()
    hours[3] += np.timedelta64(3, "h")
    same = over_time.encode(s2.assign_coords(time=hours), s1).values
    np.testing.assert_array_equal(same, base)
    hours[3] += DAY
    assert np.nanmax(np.abs(over_time.encode(s2.assign_coords(time=hours), s1).values - base)) > 1e-3


@pytest.mark.parametrize(
    ("s2", "s1", "reason"),
    [
        ({"n": 11, "every": 20.0}, {"n": 40}, "window of 200 days or more"),
        ({"n": 11, "every": 19.0}, {"n": 2, "every": 235.0, "start": "2019-12-12"}, "window of 200 days or more"),
        ({"n": 11}, {"n": 11, "start": "2022-01-01"}, "Sentinel-1 farther than 350 days"),
        ({"n": 7}, {"n": 11}, None),
    ],
)
def test_what_cannot_be_encoded_is_missing_and_counted(over_time, s2, s1, reason):
    z = over_time.encode(make_cube("S2_L2A", side=2, **s2), make_cube("S1", side=2, cloud=0.0, **s1))
    assert not np.isfinite(z.values).any()
    counted = json.loads(z.attrs["not_encoded"])
    assert sum(counted.values()) == z.sizes["time"]
    assert reason is None or counted[reason] == 1


def test_a_distant_radar_acquisition_is_taken_and_its_distance_told(over_time):
    s2, s1 = make_cube("S2_L2A", n=11, side=2, cloud=0.0), make_cube("S1", n=1, side=2, cloud=0.0)
    z = over_time.encode(s2, s1)
    assert np.isfinite(z.values[5]).all()
    assert float(z["s1_gap"][5]) == pytest.approx(-24.72, abs=0.01)


def test_backscatter_that_is_smoothed_is_left_as_it_is(over_time, small):
    s2, s1 = (cube.isel(time=slice(0, 11)) for cube in small)
    own = over_time.encode(s2, centred_mean(s1))
    np.testing.assert_array_equal(own.values, over_time.encode(s2, s1).values)
    other = over_time.encode(s2, s1.assign_attrs(smoothing="none at all"))
    assert other.attrs["smoothing"] == "none at all"
    assert np.nanmax(np.abs(other.values - own.values)) > 1e-3


def test_the_smoothing_is_that_of_a_centred_rolling_mean_of_power():
    s1 = make_cube("S1", n=9, side=3, cloud=0.4)
    power = pd.DataFrame(10 ** (s1.values.reshape(9, -1).astype(float) / 10))
    expected = 10 * np.log10(power.rolling(3, center=True, min_periods=1).mean())
    found = centred_mean(s1).values.reshape(9, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), y=st.integers(0, 5), x=st.integers(0, 8), cloud=st.sampled_from([0.0, 0.5, 1.1]))
def test_patches_are_those_of_a_plain_loop(seed, y, x, cloud):
    rng = np.random.default_rng(seed)
    values = rng.random((14, 2, 6, 9), dtype=np.float32)
    valid = rng.random((14, 6, 9)) >= cloud
    frames = batches.Frames(torch.from_numpy(values), torch.from_numpy(valid), np.arange(14.0))
    chosen = np.sort(rng.integers(0, 14, 11))
    found = Patches(frames, "S2_L2A").cut(np.stack([chosen] * 2), np.array([0, y]), np.array([0, x]))[0][1].numpy()
    for band in range(2):
        seen = []
        for k, frame in enumerate(chosen):
            for i, j in np.ndindex(15, 15):
                row, column = y + i - 7, x + j - 7
                if 0 <= row < 6 and 0 <= column < 9 and valid[frame, row, column]:
                    assert found[k, band, i, j] == values[frame, band, row, column]
                    seen.append((k, i, j))
        mask = np.ones((11, 15, 15), dtype=bool)
        if seen:
            mask[tuple(np.transpose(seen))] = False
        fill = found[:, band][mask]
        expected = found[:, band][~mask].mean(dtype=float) if seen else 0.0
        np.testing.assert_allclose(fill, expected, rtol=1e-5, atol=1e-7)


# --- points ------------------------------------------------------------------------------------------------------


def test_points_are_what_the_whole_cube_holds_there(over_time, embedded, small):
    """Some of them without a window, some unseen, one twice, and in any order."""
    date, y, x = (i.ravel() for i in np.meshgrid([7, 0, 5, 6, 5], [1, 0], [0, 1], indexing="ij"))
    found = over_time.points(*small, date, y, x)
    expected = embedded.values[date, :, y, x]
    assert (found.shape, found.dtype) == ((20, 7), np.float32)
    assert 0 < np.isfinite(expected).sum() < expected.size
    np.testing.assert_allclose(found, expected, atol=3e-6, equal_nan=True)


def test_over_the_batch_the_points_of_a_date_are_its_batch(over_batch):
    s2, s1 = make_cube("S2_L2A", n=12, side=16, cloud=0.0), make_cube("S1", n=12, side=16, cloud=0.0)
    whole = over_batch.encode(s2, s1).values
    date, y, x = (i.ravel() for i in np.meshgrid([5, 6], [7, 8], [7, 8], indexing="ij"))
    np.testing.assert_allclose(over_batch.points(s2, s1, date, y, x), whole[date, :, y, x], atol=3e-6)
    assert np.isnan(over_batch.points(s2, s1, [5], [6], [7])).all()


@pytest.mark.parametrize(("date", "y", "x", "dim"), [(13, 0, 0, "time"), (5, 2, 0, "y"), (5, 0, -1, "x")])
def test_points_outside_the_cube_are_refused(over_time, small, date, y, x, dim):
    with pytest.raises(ConfigError, match=f"outside the cube along {dim}"):
        over_time.points(*small, [5, date], [0, y], [0, x])


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("breakage", "error", "says"),
    [
        (lambda s2, s1: (s2, None), VariableError, "needs S1"),
        (lambda s2, s1: (s2, s1.isel(time=slice(0, 0))), VariableError, "needs S1"),
        (lambda s2, s1: (None, s1), VariableError, "needs S2_L2A"),
        (lambda s2, s1: (s1, s2), VariableError, "cube of another sensor"),
        (lambda s2, s1: (s2.isel(band=slice(0, 9)), s1), VariableError, "bands absent"),
        (lambda s2, s1: (s2, s1.assign_coords(x=s1["x"] + 10)), GridError, "different grids"),
        (lambda s2, s1: (s2 * np.float32(1e4), s1), UnitError, "cannot be Sentinel-2"),
        (lambda s2, s1: (s2, s1 * np.float32(1e4)), UnitError, "cannot be Sentinel-1"),
        (lambda s2, s1: (s2.where(s2 > 9), s1), VariableError, "no clear pixel on any date"),
    ],
)
def test_wrong_input_is_refused(over_time, small, breakage, error, says):
    with pytest.raises(error, match=says):
        over_time.encode(*breakage(*small))


def test_what_only_the_dense_encoder_knows_is_refused(over_time, small):
    with pytest.raises(ConfigError, match=r"no other window .*causal"):
        over_time.encode(*small, window="causal")
    with pytest.raises(ConfigError, match="the dates of Sentinel-2 only"):
        over_time.encode(*small, dates=small[0]["time"].values[:1])
    with pytest.raises(VariableError, match=r"no further sensor .*S1"):
        over_time.encode(*small, more=[small[1]])


def test_an_image_smaller_than_a_patch_is_refused_over_the_batch(over_batch, small):
    with pytest.raises(GridError, match="2 x 2 px"):
        over_batch.encode(*small)


def test_an_unknown_axis_and_an_empty_batch_are_refused(over_time):
    with pytest.raises(ConfigError, match="sideways"):
        ReferenceModel("sideways")
    with pytest.raises(ConfigError, match="at least one"):
        ReferenceEncoder(over_time.model, batch=0)


# --- the architecture --------------------------------------------------------------------------------------------


def test_its_size_is_that_of_the_paper(over_time):
    def size(*modules):
        return sum(p.numel() for module in modules for p in module.parameters())

    for name in ("S1", "S2_L2A"):
        sensor = over_time.model.sensor(name)
        encoder = size(sensor.down, sensor.position, sensor.transformer, sensor.narrow, sensor.fewer, sensor.code)
        assert encoder == pytest.approx(2.5e6, rel=0.1)


def test_random_weights_are_those_of_their_seed_and_axis(over_time, over_batch):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    assert over_time.random(1).weights == over_time.weights
    assert torch.equal(before, torch.random.get_rng_state())
    assert len({over_time.random(2).weights, over_time.weights, over_batch.weights}) == 3
    assert over_batch.random(1).model.axis == "batch"
    assert all(torch.isfinite(p).all() for p in over_time.random(2).model.parameters())
