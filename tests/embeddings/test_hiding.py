"""What is hidden cannot influence a code: neither its values nor its being there; causal windows never look ahead."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.embeddings.batches import Frames, frames_of, pad_missing
from ecoembed.embeddings.training import hiding
from ecoembed.embeddings.training.dense_stages import crop_codes
from ecoembed.embeddings.training.hiding import View, draw_view

SEEDS = st.integers(0, 2**31)


def codes(encoder, frames: Frames, view: View, hide: np.random.Generator | None = None) -> torch.Tensor:
    model = encoder.model
    with torch.no_grad():
        return crop_codes(
            model.encoder("S2_L2A"), model.cards["S2_L2A"], [frames], [frames.days[view.own]], [view], hide
        )[0]


def spoiled(frames: Frames, times: np.ndarray) -> Frames:
    values, valid = frames.values.clone(), frames.valid.clone()
    values[times], valid[times] = 0.9, ~valid[times]
    return Frames(values, valid, frames.days)


@pytest.fixture(scope="module")
def frames(s2) -> Frames:
    return pad_missing(frames_of(s2.isel(y=slice(0, 8), x=slice(0, 8))))


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_a_hidden_frame_cannot_be_seen_by_the_date_it_is_hidden_from(encoder, frames, seed):
    view = draw_view(frames, "context", np.random.default_rng(seed))
    before = codes(encoder, frames, view)
    for centre, kept in enumerate(view.kept):
        after = codes(encoder, spoiled(frames, np.flatnonzero(~kept)), view)
        torch.testing.assert_close(after[centre], before[centre], rtol=0, atol=0)


def test_a_frame_that_is_kept_can_be_seen(encoder, frames):
    view = View("centred", np.array([15]), np.arange(64), np.ones((1, len(frames)), dtype=bool))
    assert not torch.equal(codes(encoder, spoiled(frames, np.array([17])), view), codes(encoder, frames, view))


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_a_causal_window_never_sees_a_later_frame(encoder, frames, seed):
    rng = np.random.default_rng(seed)
    own = np.sort(rng.choice(len(frames), 3, replace=False))
    view = View("causal", own, np.arange(20), hiding.kept_frames(frames.days, own, rng))
    before = codes(encoder, frames, view)
    for centre, frame in enumerate(own):
        after = codes(encoder, spoiled(frames, np.arange(frame + 1, len(frames))), view)
        torch.testing.assert_close(after[centre], before[centre], rtol=0, atol=0)


def test_a_hidden_frame_is_a_frame_that_is_not_there(encoder, frames):
    """The same codes as from frames without it; which is what makes training the same as use."""
    kept = np.ones((1, len(frames)), dtype=bool)
    kept[0, [12, 14, 15, 16]] = False
    hidden = codes(encoder, frames, View("centred", np.array([15]), np.arange(64), kept))
    left = Frames(frames.values[kept[0]], frames.valid[kept[0]], frames.days[kept[0]])
    model = encoder.model
    with torch.no_grad():
        absent = crop_codes(
            model.encoder("S2_L2A"), model.cards["S2_L2A"], [left], [frames.days[[15]]],
            [View("centred", np.array([0]), np.arange(64), None)], None,
        )[0]  # fmt: skip
    torch.testing.assert_close(hidden, absent)


def test_the_missing_token_is_that_of_a_frame_in_which_nothing_was_seen(encoder):
    sensor = encoder.model.encoder("S2_L2A")
    with torch.no_grad():
        frame = sensor.tokens(torch.zeros(1, 11, 20, 23))[0]
        torch.testing.assert_close(frame, sensor.missing().expand_as(frame))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_gaps_are_as_long_as_they_say(seed):
    rng = np.random.default_rng(seed)
    days = np.cumsum(rng.uniform(2, 9, size=30))
    own = np.arange(30)
    kept = hiding.kept_frames(days, own, rng)
    assert kept.shape == (30, 30)
    visible = kept[own, own]
    assert 0 < visible.sum() < 30
    longest = max(case for case in hiding.CASES if isinstance(case, float))
    far = np.abs(days[None] - days[:, None]) > 0.9 * longest
    assert kept[far].mean() > 1 - 1.2 * hiding.DROPPED


@pytest.mark.parametrize("case", hiding.CASES)
def test_what_is_hidden_is_the_own_date_and_a_whole_gap_around_it(monkeypatch, case):
    monkeypatch.setattr(hiding, "CASES", {case: 1.0})
    monkeypatch.setattr(hiding, "DROPPED", 0.0)
    days, own = np.arange(0.0, 300.0), np.arange(100, 200)
    for frame, kept in zip(own, hiding.kept_frames(days, own, np.random.default_rng(0)), strict=True):
        hidden = np.flatnonzero(~kept)
        assert (frame in hidden) == (case != "visible")
        assert len(hidden) in ({"visible": [0], "own": [1]}.get(case) or [case, case + 1])
        assert not len(hidden) or np.ptp(hidden) == len(hidden) - 1


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_clouds_only_hide_and_bands_stand_at_their_mean(frames, seed):
    rng = np.random.default_rng(seed)
    left = hiding.clouded(frames.valid, rng)
    assert not (left & ~frames.valid).any()
    given_ = torch.ones(40, 11, 4, 4)
    shown = hiding.without_bands(given_, rng)
    assert set(shown.unique().tolist()) <= {0.0, 1.0}
    assert (shown[:, -1] == 1).all(), "what was observed is said all the same"


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_no_sample_is_left_without_any_sensor(seed):
    rng = np.random.default_rng(seed)
    gaps = {"S2_L2A": np.zeros(50, dtype="float32"), "S1": np.where(rng.random(50) < 0.3, np.nan, 2.0).astype("f4")}
    left = hiding.withheld(gaps, rng)
    assert np.isfinite([*left.values()]).any(axis=0).all()
    assert np.isnan(left["S1"][np.isnan(gaps["S1"])]).all()
    alone = hiding.withheld({"S2_L2A": gaps["S2_L2A"]}, rng)
    assert np.isfinite(alone["S2_L2A"]).all()


def test_the_paper_hides_nothing_of_its_dates(frames):
    view = draw_view(frames, "paper", np.random.default_rng(1))
    assert view.kept[:, view.own].all()
