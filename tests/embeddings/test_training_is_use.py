"""What the second stage trains is what `encode` computes; what is hidden of the input is not hidden of the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ecoembed.embeddings.batches import Frames, frames_of, pad_missing
from ecoembed.embeddings.fusion import Fusion
from ecoembed.embeddings.training import dense_stages, hiding
from ecoembed.embeddings.training.dense_stages import FusionStage, SensorStage, crop_codes
from ecoembed.embeddings.training.hiding import View
from ecoembed.embeddings.training.places import Crop

SIDE = 6


@pytest.fixture(scope="module")
def cubes(s2, s1):
    """Sentinel-1 is absent for five weeks, so that some dates have none in reach."""
    inner = {"y": slice(0, SIDE), "x": slice(0, SIDE)}
    day = (s1["time"].values - s1["time"].values[0]) / np.timedelta64(1, "D")
    return s2.isel(inner), s1.isel(inner | {"time": (day < 50) | (day > 85)})


@pytest.fixture(scope="module")
def crop(cubes) -> Crop:
    return Crop("XX-T00", {cube.attrs["sensor"]: pad_missing(frames_of(cube)) for cube in cubes})


def fused(monkeypatch, stage: FusionStage, crop: Crop, view: View, **share: float) -> tuple[dict, torch.Tensor]:
    """Gaps, and z with its expected error, (centre, pixel, 8), that a step of the stage sees."""
    seen = {}
    mixed = Fusion.with_error

    def spy(self, codes, gaps):
        z, error = mixed(self, codes, gaps)
        seen.update(gaps={k: g.unflatten(0, (len(view.own), -1)) for k, g in gaps.items()})
        seen["z"] = torch.cat([z, error[:, None]], dim=-1).unflatten(0, (len(view.own), -1)).detach()
        return z, error

    with monkeypatch.context() as patch:
        patch.setattr(Fusion, "with_error", spy)
        patch.setattr(dense_stages, "draw_view", lambda *_: view)
        for name, value in share.items():
            patch.setattr(hiding, name, value)
        stage.loss([crop], np.random.default_rng(0))
    return seen["gaps"], seen["z"]


@pytest.mark.parametrize("window", ["centred", "causal"])
@pytest.mark.parametrize("hidden", [(), (9, 12, 13, 14, 15, 20)])
def test_a_step_of_the_fusion_sees_the_embedding_that_encode_gives(monkeypatch, encoder, cubes, crop, window, hidden):
    """Windows, day offsets, pairs in time, gaps and missing tokens: all of both sensors at once."""
    s2, s1 = cubes
    own, kept = np.arange(3, 28), ~np.isin(np.arange(30), hidden)
    view = View(window, own, np.arange(SIDE**2), np.tile(kept, (len(own), 1)))
    gaps, z = fused(monkeypatch, FusionStage(encoder.model, "paper"), crop, view, WITHHELD=0.0)
    used = encoder.encode(s2[kept], s1, dates=s2["time"].values[own], window=window)
    np.testing.assert_allclose(
        z.unflatten(1, (SIDE, SIDE)).movedim(-1, 1).numpy(), used.values, atol=2e-5, err_msg="training is not use"
    )
    np.testing.assert_array_equal(gaps["S1"][:, 0].numpy(), used["s1_gap"].values)
    assert 0 < np.isnan(used["s1_gap"].values).sum() < len(own)
    assert not (window == "causal" and (gaps["S1"] > 0).any())


def test_sentinel_1_is_withheld_in_training(monkeypatch, encoder, crop):
    view = View("centred", np.arange(30), np.arange(4), np.ones((30, 30), dtype=bool))
    gaps, _ = fused(monkeypatch, FusionStage(encoder.model, "context"), crop, view, WITHHELD=1.0)
    assert gaps["S1"].isnan().all()
    assert torch.isfinite(gaps["S2_L2A"]).all()
    gaps, _ = fused(monkeypatch, FusionStage(encoder.model, "context"), crop, view, WITHHELD=0.5)
    assert 0.2 < gaps["S1"].isnan().float().mean() < 0.9


@pytest.mark.parametrize("share", ["CLOUDED", "BANDS_HIDDEN"])
def test_clouds_and_bands_are_hidden_from_codes(monkeypatch, encoder, crop, share):
    frames = crop.frames["S2_L2A"]
    view = View("centred", np.arange(30), np.arange(SIDE**2), None)
    for name in ("CLOUDED", "BANDS_HIDDEN"):
        monkeypatch.setattr(hiding, name, float(name == share))
    network, card = encoder.model.encoder("S2_L2A"), encoder.card.sensors["S2_L2A"]
    plain, shown = (
        crop_codes(network, card, [frames], [frames.days], [view], rng)[0].detach()
        for rng in (None, np.random.default_rng(0))
    )
    assert ((plain - shown).abs().amax(dim=-1) > 1e-4).float().mean() > 0.3


@pytest.mark.parametrize("kind", [SensorStage, FusionStage])
def test_what_is_hidden_is_asked_for(monkeypatch, encoder, crop, kind):
    """The truth is what the crop holds, whatever clouds, bands and frames were hidden of the input."""
    asked: list[Frames] = []

    class Spy(dense_stages.Question):
        def __init__(self, stage, sensor, objective, frames, *rest):
            super().__init__(stage, sensor, objective, frames, *rest)
            asked.append(frames)
            valid = frames.valid[:, 7:-7, 7:-7].flatten(1)
            own, _, view, _ = rest
            there = own >= 0
            assert len(self.values) == valid[own[there]][:, view.pixels].sum()

    monkeypatch.setattr(dense_stages, "Question", Spy)
    monkeypatch.setattr(hiding, "CLOUDED", 1.0)
    before = {name: replace(f, values=f.values.clone(), valid=f.valid.clone()) for name, f in crop.frames.items()}
    model = encoder.model
    stage = kind(model, "S2_L2A", "context") if kind is SensorStage else kind(model, "context")
    stage.loss([crop], np.random.default_rng(0))
    assert len(asked) == (1 if kind is SensorStage else 2)
    for frames, name in zip(asked, before, strict=False):
        assert torch.equal(frames.valid, before[name].valid)
        assert torch.equal(frames.values, before[name].values)
