"""The reference encoder and its losses against the public code of the authors: its tensors, inputs and outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ecoembed.embeddings.reference import load_official_checkpoint, reference_loss
from ecoembed.embeddings.reference.losses import COEFFICIENTS

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def parity(real):
    folder = real / "parity"
    if not folder.is_dir():
        pytest.skip("real inputs hold no folder parity/")
    return folder


@pytest.fixture(scope="module")
def public(parity):
    """Inputs and outputs of the public code."""
    with np.load(parity / "official_fusion_io.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def model(parity):
    return load_official_checkpoint(parity / "official_fusion_state_fp16.safetensors", axis="batch").model


@pytest.fixture(scope="module")
def inputs(public):
    frames = {"S1": public["x_s1"], "S2_L2A": public["x_s2"]}
    gaps = {"S1": public["gaps_s1"], "S2_L2A": public["gaps_s2"]}
    days = {name: torch.nn.functional.pad(gap.cumsum(dim=1), (1, 0)) for name, gap in gaps.items()}
    return frames, days, public["pair_days"][:, 0]


@torch.inference_mode()
@pytest.mark.parametrize(("sensor", "code"), [("S1", "z_s1"), ("S2_L2A", "z_s2")])
def test_the_codes_of_each_sensor(model, public, inputs, sensor, code):
    frames, days, _ = inputs
    torch.testing.assert_close(model.sensor(sensor).encode(frames[sensor], days[sensor]), public[code], **CLOSE)


@torch.inference_mode()
def test_the_embedding_and_both_reconstructions(model, public, inputs):
    z = model.encode(*inputs)
    torch.testing.assert_close(z, public["z"], **CLOSE)
    rebuilt = model.reconstruct(z, inputs[1])
    torch.testing.assert_close(rebuilt["S1"], public["y_s1"], **CLOSE)
    torch.testing.assert_close(rebuilt["S2_L2A"], public["y_s2"], **CLOSE)


@torch.inference_mode()
def test_the_embedding_of_one_sample_at_a_time_is_another(model, public, inputs):
    frames, days, gap = inputs
    parts = []
    for i in range(len(gap)):
        one = slice(i, i + 1)
        parts.append(model.encode(*({k: v[one] for k, v in d.items()} for d in (frames, days)), gap[one]))
    torch.testing.assert_close(torch.cat(parts), public["z_batch_of_one"], **CLOSE)
    assert (torch.cat(parts) - public["z"]).abs().max() > 1e-3


@torch.inference_mode()
def test_over_time_the_embedding_is_neither_of_them_and_does_not_depend_on_the_batch(parity, public, inputs):
    over_time = load_official_checkpoint(parity / "official_fusion_state_fp16.safetensors", axis="time").model
    frames, days, gap = inputs
    z = over_time.encode(*inputs)
    alone = over_time.encode(*({k: v[:1] for k, v in d.items()} for d in (frames, days)), gap[:1])
    torch.testing.assert_close(alone[0], z[0], **CLOSE)
    assert min((z - public[other]).abs().max() for other in ("z", "z_batch_of_one")) > 1e-3


@pytest.mark.parametrize(("stage", "values"), [("fusion", "loss_fusion_s2"), ("sensor", "loss_default_s2")])
def test_the_loss_and_each_of_its_terms(public, stage, values):
    loss = reference_loss(public["y_s2"], public["x_s2"], public["mask_s2"], COEFFICIENTS[stage, "S2_L2A"])
    torch.testing.assert_close(torch.stack(loss).double(), public[values], **CLOSE)
