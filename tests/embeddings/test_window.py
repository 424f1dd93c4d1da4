"""Windows in time: which frames an embedding sees, in training and in use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.embeddings.batches import Frames, neighbours, standardise
from ecoembed.embeddings.codes import sensor_codes
from ecoembed.embeddings.training.dense_stages import mixed_codes
from ecoembed.embeddings.training.hiding import View

WINDOWS = st.sampled_from(["centred", "causal"])


@st.composite
def moments(draw, most=40):
    """Frames' days, some far apart; dates, some of them frames' own; which frames exist for which date."""
    steps = draw(st.lists(st.sampled_from([0.5, 2.0, 5.0, 30.0, 190.0]), min_size=1, max_size=most))
    days = 18_000.0 + np.cumsum(steps)
    own = draw(st.lists(st.sampled_from(days.tolist()), max_size=10))
    other = draw(st.lists(st.floats(17_700, days[-1] + 300), max_size=10))
    dates = np.unique([*own, *other, days[0]])
    return days, dates, draw(st.integers(0, 2**32 - 1))


@given(moments(), WINDOWS)
def test_the_nearest_frames_that_exist_on_either_side_and_the_dates_own(moment, window):
    days, dates, seed = moment
    kept = np.random.default_rng(seed).random((len(dates), len(days))) < 0.7
    before, after = (5, 5) if window == "centred" else (10, 0)
    for date, there, index in zip(dates, kept, neighbours(days, dates, window, kept), strict=True):
        frames = [i for i in range(len(days)) if there[i] and abs(days[i] - date) <= 200]
        past = [i for i in frames if days[i] < date][-before:]
        own = [i for i in frames if days[i] == date] or [-1]
        future = [i for i in frames if days[i] > date][:after]
        expected = [-1] * (before - len(past)) + past + own + future
        assert index.tolist() == expected + [-1] * (11 - len(expected))


@given(moments(), WINDOWS)
def test_a_hidden_frame_is_one_that_is_not_there(moment, window):
    days, dates, seed = moment
    kept = np.random.default_rng(seed).random(len(days)) < 0.7
    hidden = neighbours(days, dates, window, np.tile(kept, (len(dates), 1)))
    dropped = neighbours(days[kept], dates, window)
    np.testing.assert_array_equal(hidden, np.append(np.flatnonzero(kept), -1)[dropped])


@settings(max_examples=60, deadline=None)
@given(moments(most=25), WINDOWS, st.floats(0, 1))
def test_use_and_training_compute_the_same_codes(encoder, moment, window, cloud):
    """Keys and values that are held and shared, of frames that were dropped; against what training differentiates."""
    days, dates, seed = moment
    rng = np.random.default_rng(seed)
    kept = rng.random(len(days)) < 0.8
    kept[0] = True
    sensor, side = "S1", 2
    values = torch.from_numpy(rng.uniform(-25, 0, (len(days), 2, side + 14, side + 14)).astype("float32"))
    valid = torch.from_numpy(rng.random((len(days), side + 14, side + 14)) >= cloud)
    frames = Frames(values * valid[:, None], valid, days)
    network, card = encoder.model.encoder(sensor), encoder.card.sensors[sensor]
    dates = dates[(neighbours(days[kept], dates, window) >= 0).any(axis=1)]
    tokens = network.tokens(standardise(frames, card.normalisation))
    seen = valid[:, 7:-7, 7:-7].flatten(1)
    view = View(window, np.arange(len(dates)), np.arange(side * side), np.tile(kept, (len(dates), 1)))
    trained = mixed_codes(network, tokens, seen, days, dates, view).detach()
    left = frames.crop(slice(None), slice(None), np.flatnonzero(kept))
    used, observed = sensor_codes(network, card, left, dates, window)
    torch.testing.assert_close(used, trained, atol=1e-5, rtol=1e-5)
    for date, index in zip(observed, neighbours(left.days, dates, window), strict=True):
        assert torch.equal(date, seen[kept][index[index >= 0]].any(dim=0))


@pytest.mark.parametrize("name", ["S2_L2A", "S1"])
def test_a_frame_in_which_nothing_was_seen_has_the_missing_token(encoder, name):
    network, card = encoder.model.encoder(name), encoder.card.sensors[name]
    nothing = Frames(torch.zeros(1, len(card.bands), 20, 18), torch.zeros(1, 20, 18, dtype=torch.bool), np.zeros(1))
    token = network.tokens(standardise(nothing, card.normalisation))
    torch.testing.assert_close(token, network.missing().expand_as(token), atol=1e-6, rtol=0)


def test_a_code_ignores_frames_that_no_date_asks_for(encoder):
    """Frames far before, between and after the windows are passed over, and spoil no slot."""
    rng = np.random.default_rng(0)
    days = 18_000.0 + np.arange(60) * 5.0
    values = torch.from_numpy(rng.uniform(-25, 0, (60, 2, 16, 16)).astype("float32"))
    frames = Frames(values, torch.ones(60, 16, 16, dtype=torch.bool), days)
    network, card = encoder.model.encoder("S1"), encoder.card.sensors["S1"]
    dates = np.sort(np.concatenate([days[[3, 30, 31, 55]], days[[3, 4, 31, 57]] + 1.0]))
    together, _ = sensor_codes(network, card, frames, dates, "centred")
    for date, code in zip(dates, together, strict=True):
        index = neighbours(days, np.array([date]), "centred")
        few = replace(frames, values=values[index[index >= 0]], valid=frames.valid[:11], days=days[index[index >= 0]])
        few = replace(few, valid=few.valid[: len(few.days)])
        torch.testing.assert_close(
            sensor_codes(network, card, few, date[None], "centred")[0][0], code, atol=1e-5, rtol=0
        )
