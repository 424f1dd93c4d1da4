"""The fusion: any sensors, any of them missing; and both stages learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ecoembed.embeddings.batches import frames_of, pad_missing
from ecoembed.embeddings.fusion import DIMENSIONS, Fusion
from ecoembed.embeddings.training.dense_stages import FusionStage, SensorStage
from ecoembed.embeddings.training.places import Crop
from ecoembed.embeddings.weights import random_model

CODES = {"S2_L2A": 9, "S1": 6, "HLS": 4}
NAN = float("nan")


@pytest.fixture
def fusion() -> Fusion:
    torch.manual_seed(0)
    return Fusion(CODES).eval()


def draw(n: int = 20) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    return {name: torch.randn(n, size) for name, size in CODES.items()}, {name: torch.randn(n) for name in CODES}


@torch.no_grad()
@pytest.mark.parametrize("name", CODES)
def test_the_code_of_a_missing_sensor_is_not_looked_at(fusion, name):
    codes, gaps = draw()
    gaps[name] = torch.full((20,), NAN)
    spoiled = codes | {name: torch.full_like(codes[name], NAN)}
    assert torch.equal(fusion(codes, gaps), fusion(spoiled, gaps))
    assert not torch.equal(fusion(codes, gaps), fusion(codes, gaps | {name: torch.zeros(20)}))


@torch.no_grad()
def test_each_sample_is_fused_alone_and_its_expected_error_is_positive(fusion):
    codes, gaps = draw()
    z, error = fusion.with_error(codes, gaps)
    assert z.shape == (20, DIMENSIONS)
    assert (error > 0).all()
    torch.testing.assert_close(z, fusion(codes, gaps))
    some = slice(3, 8)
    torch.testing.assert_close(
        fusion({k: c[some] for k, c in codes.items()}, {k: g[some] for k, g in gaps.items()}), z[some]
    )


@pytest.fixture(scope="module")
def crops(s2, s1) -> list[Crop]:
    part = {"y": slice(0, 6), "x": slice(0, 6)}
    return [Crop("XX-T00", {k: pad_missing(frames_of(c.isel(part))) for k, c in (("S2_L2A", s2), ("S1", s1))})]


@pytest.mark.parametrize(("objective", "finetune"), [("paper", False), ("context", False), ("context", True)])
def test_both_stages_lower_their_loss_and_leave_frozen_encoders_alone(encoder, crops, objective, finetune):
    model = random_model(1, encoder.card.sensors)
    for alone in (True, False):
        stage = SensorStage(model, "S2_L2A", objective) if alone else FusionStage(model, objective, finetune)
        stage.module.train()
        before = {k: v.clone() for k, v in model.encoders.state_dict().items()}
        optimiser = torch.optim.AdamW([p for p in stage.module.parameters() if p.requires_grad], lr=3e-3)
        first = stage.error(crops, np.random.default_rng(0))
        for step in range(15):
            optimiser.zero_grad()
            stage.loss(crops, np.random.default_rng(step)).backward()
            optimiser.step()
        assert stage.error(crops, np.random.default_rng(0)) < 0.98 * first
        changed = {k.split(".")[0] for k, v in model.encoders.state_dict().items() if not torch.equal(v, before[k])}
        assert changed == ({"S2_L2A"} if alone else {"S2_L2A", "S1"} if finetune else set())


def test_a_step_depends_on_its_generator_alone(encoder, crops):
    stage = FusionStage(random_model(1, encoder.card.sensors), "context")
    one, same, other = (stage.error(crops, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one == same != other
