"""Both objectives: where they look, and what an error costs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ecoembed.embeddings.batches import MARGIN, Frames, Normalisation
from ecoembed.embeddings.dense import Decoder
from ecoembed.embeddings.reference.losses import Coefficients
from ecoembed.embeddings.training.hiding import View
from ecoembed.embeddings.training.objectives import (
    Question,
    context_targets,
    error_loss,
    loss_points,
    observed,
    paper_targets,
    weighted_loss,
)


def test_the_loss_points_hold_more_than_99_percent_of_the_weight():
    points, everything = loss_points(), loss_points(threshold=0.0)
    assert len(everything.weight) == 11 * 15 * 15
    assert points.weight.sum() / everything.weight.sum() > 0.99
    assert len(points.weight) == 47
    at = {(int(r), *map(int, d)): w for r, d, w in zip(points.rank, points.dyx, points.weight, strict=True)}
    assert at[0, 0, 0] == 1
    assert at[1, 0, 0] == pytest.approx(0.1)
    assert at[0, 1, 1] == pytest.approx(0.01)
    assert at[0, 0, -2] == pytest.approx(0.001)
    assert at[-1, 1, 0] == pytest.approx(0.001)


def test_the_centre_weight_is_set():
    points = loss_points(1.75)
    assert points.weight[(points.rank == 0) & (points.dyx == 0).all(axis=1)] == 1.75


def test_drawn_points_keep_the_expected_weight():
    points, rng = loss_points(), np.random.default_rng(0)
    mean = np.zeros(len(points.weight))
    where = {(int(r), *map(int, d)): i for i, (r, d) in enumerate(zip(points.rank, points.dyx, strict=True))}
    for _ in range(2000):
        part = points.drawn(12, rng)
        assert len(part.weight) == 15
        mean[[where[int(r), *map(int, d)] for r, d in zip(part.rank, part.dyx, strict=True)]] += part.weight / 2000
    np.testing.assert_allclose(mean, points.weight, rtol=0.2)


def test_a_perfect_prediction_costs_nothing_and_invalid_values_do_not_count():
    rng = np.random.default_rng(0)
    observed = torch.from_numpy(rng.random((5, 47, 10))).float()
    valid = torch.from_numpy(rng.random((5, 47)) > 0.3)
    weight = torch.from_numpy(loss_points().weight).float()
    c = Coefficients(1.0, 0.0, 1.0, 1.0)
    assert weighted_loss(observed, observed, valid, weight, c) < 1e-5
    spoiled = torch.where(valid[..., None], observed, 99.0)
    assert weighted_loss(spoiled, observed, valid, weight, c) < 1e-5


def test_the_loss_is_the_weighted_mean_error_and_angle():
    a, b = torch.tensor([[[1.0, 0.0], [0.2, 0.2]]]), torch.tensor([[[0.0, 1.0], [0.2, 0.3]]])
    valid, weight = torch.tensor([[True, True]]), torch.tensor([1.0, 0.5])
    mae = (2 / 3) * 1.0 + (1 / 3) * 0.05
    assert weighted_loss(a, b, valid, weight, Coefficients(1, 0, 0, 1)).item() == pytest.approx(mae, rel=1e-5)
    angle = (2 / 3) * np.pi / 2 + (1 / 3) * (np.arctan2(0.3, 0.2) - np.pi / 4)
    both = weighted_loss(a, b, valid, weight, Coefficients(0, 0, 1, 1)).item()
    assert both == pytest.approx(angle, rel=1e-3)


def test_an_error_counts_in_the_unit_of_its_band():
    a, b = torch.tensor([[[0.5, 0.5]]]), torch.tensor([[[0.4, 0.4]]])
    one, point = torch.tensor([[True]]), torch.tensor([1.0])
    loss = weighted_loss(a, b, one, point, Coefficients(1, 0, 0, 1), torch.tensor([0.1, 0.05]))
    assert loss.item() == pytest.approx((1.0 + 2.0) / 2, rel=1e-5)


@pytest.fixture
def frames() -> Frames:
    """Values that tell where they are: band 0 holds 1000 t + 20 y + x, band 1 is 0; some pixels were not seen."""
    t, y, x = np.meshgrid(np.arange(12), np.arange(8 + 2 * MARGIN), np.arange(8 + 2 * MARGIN), indexing="ij")
    where = torch.from_numpy(1000.0 * t + 20 * (y - MARGIN) + (x - MARGIN)).float()
    valid = torch.from_numpy(np.random.default_rng(0).random(t.shape) > 0.4)
    return Frames(torch.stack([where, torch.zeros_like(where)], dim=1), valid, 100 + 5.0 * np.arange(12))


def test_the_paper_asks_for_the_points_around_and_never_for_the_future_of_a_causal_window(frames):
    own, yx, points = np.array([5, 0, 11]), np.array([[1, 2], [7, 0], [4, 4]]), loss_points()
    for causal in (False, True):
        targets = paper_targets(own, 12, points, causal)
        values, valid, days = observed(frames, targets, yx, frames.days[own])
        for i, p in np.ndindex(3, len(points.weight)):
            t, y, x = own[i] + points.rank[p], *(yx[i] + points.dyx[p])
            asked = 0 <= t < 12 and not (causal and points.rank[p] > 0)
            seen = asked and bool(frames.valid[t, y + MARGIN, x + MARGIN])
            assert bool(valid[i, p]) == seen
            if seen:
                assert values[i, p, 0] == 1000 * t + 20 * y + x
                assert days[i, p] == 5 * points.rank[p]
        assert targets.weight[targets.own] == targets.weight.max()


def test_the_context_asks_for_the_own_the_previous_and_the_next_clear_date(frames):
    valid = frames.valid[:, MARGIN:-MARGIN, MARGIN:-MARGIN].flatten(1).numpy()
    own, pixel = np.nonzero(valid)
    targets = context_targets(own, pixel, valid, "S2_L2A", np.random.default_rng(0))
    assert (targets.frame[:, 0] == own).all()
    assert (targets.dyx[:3] == 0).all()
    for i in range(0, len(own), 17):
        clear = np.flatnonzero(valid[:, pixel[i]])
        assert targets.frame[i, 1] == max(clear[clear < own[i]], default=-1)
        assert targets.frame[i, 2] == min(clear[clear > own[i]], default=-1)
    seen = observed(frames, targets, np.stack(np.divmod(pixel, 8), axis=-1), frames.days[own])[1]
    assert seen[:, 0].all()
    np.testing.assert_array_equal(seen[:, 1:3].numpy(), targets.frame[:, 1:3] >= 0)


def test_a_radar_is_asked_as_much_for_what_comes_before_and_after_as_for_its_own_speckle():
    valid = np.ones((5, 4), dtype=bool)
    radar, optical = (
        context_targets(np.array([2]), np.array([1]), valid, name, np.random.default_rng(0)).weight
        for name in ("S1", "S2_L2A")
    )
    assert radar[0] <= radar[1:3].sum()
    assert optical[0] > optical[1:].sum()


def test_the_expected_error_is_lowest_for_the_mean_error_and_leaves_the_prediction_alone():
    wanted, guess = torch.zeros(4000, 3), torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    guess.requires_grad_()
    mean = guess.abs().mean().item()
    losses = {scale: error_loss(torch.full((4000,), scale * mean), guess, wanted) for scale in (0.8, 1.0, 1.25)}
    assert losses[1.0] < min(losses[0.8], losses[1.25])
    assert not losses[1.0].requires_grad


@pytest.mark.parametrize("objective", ["paper", "context"])
def test_only_samples_that_were_seen_are_asked_for(frames, objective):
    view = View("centred", np.array([2, 6]), np.arange(64), None)
    asked = Question(
        "sensor", "S1", objective, frames, np.array([2, -1]), frames.days[view.own], view, np.random.default_rng(0)
    )
    seen = frames.valid[2, MARGIN:-MARGIN, MARGIN:-MARGIN].sum()
    assert len(asked.values) == seen, "a date without an acquisition has no truth"
    torch.manual_seed(0)
    decoder, code = Decoder(4, 2), torch.randn(2, 64, 4, requires_grad=True)
    loss = asked.loss(decoder, Normalisation(0.0, 1.0, (0.0, 0.0), (1.0, 1.0)), code, torch.full((2, 64), 0.1))
    loss.backward()
    assert torch.isfinite(loss)
    assert (code.grad[1] == 0).all()
    assert (code.grad[0].abs().sum(-1) > 0).sum() == seen
