"""The paper's loss against plain loops, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from ecoembed.embeddings.reference import fusion_loss, random_reference, reference_loss
from ecoembed.embeddings.reference.losses import COEFFICIENTS, structural_similarity, weight_map

S2 = COEFFICIENTS["fusion", "S2_L2A"]


@pytest.fixture
def batch():
    rng = np.random.default_rng(2)
    predicted, observed = (rng.uniform(0, 0.6, (2, 11, 10, 15, 15)) for _ in range(2))
    valid = rng.random((2, 11, 10, 15, 15)) > 0.1
    return tuple(torch.from_numpy(a) for a in (predicted, observed, valid))


def test_the_coefficients_are_those_of_the_paper():
    found = {key: (c.mae, c.ssim, c.sam, c.centre) for key, c in COEFFICIENTS.items()}
    assert found == {
        ("sensor", "S1"): (1, 0, 0, 1),
        ("sensor", "S2_L2A"): (0.33, 0.02, 0.65, 1),
        ("fusion", "S1"): (1, 0, 0, 1.5),
        ("fusion", "S2_L2A"): (0.665, 0.02, 0.315, 1.75),
    }


def test_error_and_angle_are_those_of_a_plain_loop(batch):
    predicted, observed, valid = (a.numpy() for a in batch)
    weight = np.zeros((11, 15, 15))
    for t, y, x in np.ndindex(weight.shape):
        r = max(abs(y - 7), abs(x - 7))
        weight[t, y, x] = (1.0 if r == 0 else 0.01 * 0.1 ** (r - 1)) * 0.1 ** abs(t - 5)
    weight[5, 7, 7] = 1.75
    mae = angle = total = 0.0
    for n, t, y, x in np.ndindex(2, 11, 15, 15):
        p, o, v, w = predicted[n, t, :, y, x], observed[n, t, :, y, x], valid[n, t, :, y, x], weight[t, y, x]
        mae += w / (weight.sum() * 10) * np.abs(p - o)[v].sum() / 2
        if v.all():
            angle += w * np.arccos(p @ o / np.linalg.norm(p) / np.linalg.norm(o))
            total += w
    loss = reference_loss(*batch, S2)
    np.testing.assert_allclose([float(loss.mae), float(loss.sam)], [mae, angle / total], rtol=1e-9)
    assert float(loss.total) == pytest.approx(0.665 * mae + 0.02 * float(loss.ssim) + 0.315 * angle / total)
    centre = np.abs(predicted - observed)[:, 5, :, 7, 7].mean()
    assert float(loss.centre_mae) == pytest.approx(centre)


def test_similarity_is_that_of_filtered_images(batch):
    x, y = (a.numpy().reshape(-1, 15, 15) for a in batch[:2])
    bell = np.exp(-0.5 * (np.arange(-3, 4) / 1.5) ** 2)
    window = np.outer(bell, bell)[None] / bell.sum() ** 2

    def mean(image):
        return correlate(image, window, mode="constant")

    mx, my = mean(x), mean(y)
    luminance = (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
    structure = (2 * (mean(x * y) - mx * my) + 9e-4) / (mean(x * x) - mx**2 + mean(y * y) - my**2 + 9e-4)
    assert float(structural_similarity(*batch[:2])) == pytest.approx((luminance * structure).mean(), rel=1e-6)


def test_a_perfect_prediction_costs_nothing_and_has_a_gradient(batch):
    _, observed, valid = batch
    predicted = observed.clone().requires_grad_()
    loss = reference_loss(predicted, observed, valid, S2)
    assert loss.total.item() < 1e-5
    loss.total.backward()
    assert torch.isfinite(predicted.grad).all()


def test_what_was_not_observed_counts_in_similarity_only(batch):
    predicted, observed, valid = batch
    valid[0, :, 3] = False
    changed = observed.clone()
    changed[0, :, 3] = 0.5
    a, b = (reference_loss(predicted, o, valid, S2) for o in (observed, changed))
    assert float(a.mae) == float(b.mae)
    assert float(a.sam) == float(b.sam)
    assert float(a.ssim) != float(b.ssim)


def test_nothing_observed_and_zero_reflectance_stay_finite(batch):
    predicted, observed, valid = batch
    assert float(reference_loss(predicted, observed, torch.zeros_like(valid), S2).sam) == 0
    dark = reference_loss(predicted.requires_grad_(), torch.zeros_like(observed), torch.ones_like(valid), S2)
    dark.total.backward()
    assert dark.sam.item() == pytest.approx(np.pi / 2, rel=1e-5)
    assert torch.isfinite(predicted.grad).all()


def test_terms_with_no_coefficient_are_zero(batch):
    loss = reference_loss(*(a[:, :, :2] for a in batch), COEFFICIENTS["fusion", "S1"])
    assert (float(loss.ssim), float(loss.sam), float(loss.total)) == (0, 0, float(loss.mae))


def test_the_centre_holds_most_of_the_weight():
    weight = weight_map(1.0)
    assert float(weight[5, 7, 7] / weight.sum()) == pytest.approx(0.75, abs=0.02)


def test_the_fusion_loss_is_half_of_each_and_reaches_every_weight():
    model = random_reference(1).train()
    generator = torch.Generator().manual_seed(0)
    frames = {n: torch.rand((2, 11, c, 15, 15), generator=generator) for n, c in (("S1", 2), ("S2_L2A", 10))}
    days = {n: torch.arange(11).expand(2, -1) * 5 for n in frames}
    valid = {n: torch.ones_like(x, dtype=torch.bool) for n, x in frames.items()}
    rebuilt = model.reconstruct(model.encode(frames, days, torch.tensor([1, 2])), days)
    loss = fusion_loss(rebuilt, frames, valid)
    each = [reference_loss(rebuilt[n], frames[n], valid[n], COEFFICIENTS["fusion", n]).total.item() for n in frames]
    assert loss.item() == pytest.approx(sum(each) / 2)
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()] == []
