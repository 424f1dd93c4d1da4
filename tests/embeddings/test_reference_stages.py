"""Training of the reference encoder: which samples are drawn, what is frozen, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ecoembed
from ecoembed.cubes.store import save_cubes
from ecoembed.embeddings.batches import Frames
from ecoembed.embeddings.pretrain import pretrain
from ecoembed.embeddings.reference import fusion_loss, random_reference, reference_loss
from ecoembed.embeddings.reference.losses import COEFFICIENTS
from ecoembed.embeddings.training.loop import train
from ecoembed.embeddings.training.places import Crop, Place, draw_crop, load_places
from ecoembed.embeddings.training.reference_stages import (
    LEARNING_RATE,
    FusionStage,
    SensorStage,
    draw_samples,
    new_model,
)
from ecoembed.embeddings.training.roles import split
from ecoembed.embeddings.training.stage import Schedule
from ecoembed.errors import ConfigError

from .conftest import make_cube

BOTH = ("S2_L2A", "S1")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two places far apart, of 16 x 16 px and 24 dates."""
    folder = tmp_path_factory.mktemp("places")
    for seed in range(2):
        cubes = {
            "S2_L2A": make_cube("S2_L2A", n=24, side=16, seed=seed, cloud=0.3),
            "S1": make_cube("S1", n=22, side=16, every=6.0, seed=seed, cloud=0.05),
        }
        north = {name: cube.assign_coords(y=cube["y"] + 1e5 * seed) for name, cube in cubes.items()}
        save_cubes(north, folder / f"{seed}.zarr")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def places(stores) -> list[Place]:
    return load_places(stores, BOTH)


def crops_of(places: list[Place], n: int = 2, seed: int = 0) -> list[Crop]:
    rng = np.random.default_rng(seed)
    return [draw_crop(places[i % len(places)], 8, 20, rng) for i in range(n)]


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


# --- samples -----------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    cloud=st.sampled_from([0.0, 0.5, 0.97]),
    every=st.sampled_from([3.0, 9.5, 15.0]),
    radar=st.integers(1, 40),
)
def test_a_sample_is_cut_from_its_crop(seed, cloud, every, radar):
    """Frames whose values say which frame and pixel they are: everything can be read back from the patches."""
    rng = np.random.default_rng(seed)
    days = {
        "S2_L2A": 18_000.45 + np.cumsum(rng.uniform(0.5, 1.5, 20) * every),
        "S1": 18_000.73 + np.sort(rng.uniform(-6, 20 * every, radar)),
    }
    frames = {}
    for name, bands, low, high in (("S2_L2A", 10, 0.0, 1.0), ("S1", 2, -30.0, 5.0)):
        n = len(days[name])
        number = np.arange(n * 22 * 22, dtype=np.float64).reshape(n, 1, 22, 22) / (n * 22 * 22)
        valid = torch.from_numpy(rng.random((n, 22, 22)) >= (cloud if name == "S2_L2A" else 0.05))
        values = torch.from_numpy(np.broadcast_to(low + (high - low) * number, (n, bands, 22, 22)).copy()).float()
        frames[name] = Frames(values * valid[:, None], valid, days[name])
    drawn = draw_samples([Crop("place", frames)], BOTH, rng)
    if drawn is None:
        return
    whole = {name: np.floor(days[name]).astype(int) for name in BOTH}
    found = {}
    for name in BOTH:
        n = len(days[name])
        seen = drawn.valid[name][0, :, 0].numpy()
        number = np.rint(drawn.frames[name][0, :, 0].double().numpy() * n * 22 * 22).astype(int)
        frame, row, column = np.unravel_index(np.where(seen, number, 0), (n, 22, 22))
        assert seen[5, 7, 7]
        centre = [int(k[5, 7, 7]) for k in (frame, row, column)]
        assert 7 <= centre[1] < 15
        assert 7 <= centre[2] < 15
        t, y, x = np.nonzero(seen)
        np.testing.assert_array_equal(row[t, y, x], centre[1] + y - 7)
        np.testing.assert_array_equal(column[t, y, x], centre[2] + x - 7)
        chosen = [np.unique(frame[k][seen[k]]) for k in range(11)]
        assert all(len(c) <= 1 for c in chosen)
        offset = whole[name][centre[0]] - int(drawn.days[name][0, 5])
        for k, c in enumerate(chosen):
            assert not len(c) or whole[name][c[0]] == offset + int(drawn.days[name][0, k])
        assert (np.diff(drawn.days[name][0].numpy()) >= 0).all()
        assert int(drawn.days[name][0, 0]) == 0
        assert int(drawn.days[name][0, -1]) < 200
        found[name] = centre
    optical, radar_centre = found["S2_L2A"], found["S1"]
    assert optical[1:] == radar_centre[1:]
    apart = np.abs(days["S1"] - days["S2_L2A"][optical[0]])
    assert apart[radar_centre[0]] == apart.min()
    assert int(drawn.gap[0]) == abs(whole["S1"][radar_centre[0]] - whole["S2_L2A"][optical[0]])


def test_the_dates_are_drawn_and_all_of_twenty_are_used(places):
    rng = np.random.default_rng(0)
    crop = draw_crop(places[0], 8, 20, rng)
    spans = [int(draw_samples([crop], ("S2_L2A",), rng).days["S2_L2A"][0, -1]) for _ in range(40)]
    assert min(spans) >= 50  # eleven dates, 5 days apart
    assert max(spans) >= 85
    assert len(set(spans)) > 3


def test_crops_that_show_nothing_are_no_samples(places):
    rng = np.random.default_rng(0)
    (crop,) = crops_of(places, 1)
    dark = {name: Frames(f.values, torch.zeros_like(f.valid), f.days) for name, f in crop.frames.items()}
    few = {name: f.crop(slice(None), slice(None), slice(0, 10)) for name, f in crop.frames.items()}
    without = crop.frames | {"S1": crop.frames["S1"].crop(slice(None), slice(None), slice(0, 0))}
    slow = {name: Frames(f.values, f.valid, f.days[0] + 25 * (f.days - f.days[0])) for name, f in crop.frames.items()}
    stage = FusionStage(random_reference(0))
    for frames in (dark, few, without, slow):
        assert draw_samples([Crop("place", frames)], BOTH, rng) is None
        loss = stage.loss([Crop("place", frames)], rng)
        assert not loss.requires_grad
        assert np.isnan(stage.error([Crop("place", frames)], rng))
    assert len(draw_samples([Crop("place", dark), crop], BOTH, rng).gap) == 1
    assert draw_samples([Crop("place", without)], ("S2_L2A",), rng) is not None


# --- stages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_stage_one_lowers_the_papers_loss_of_one_sensor(places, name):
    model, crops = random_reference(0), crops_of(places)
    stage = SensorStage(model, name)
    drawn = draw_samples(crops, (name,), np.random.default_rng(5))
    frames, valid = drawn.frames[name], drawn.valid[name].expand_as(drawn.frames[name])
    with torch.no_grad():
        rebuilt = model.sensor(name).decode(model.sensor(name).encode(frames, drawn.days[name]), drawn.days[name])
        expected = reference_loss(rebuilt, frames, valid, COEFFICIENTS["sensor", name])
        assert stage.loss(crops, np.random.default_rng(5)).item() == pytest.approx(expected.total.item())
        assert stage.error(crops, np.random.default_rng(5)) == pytest.approx(expected.centre_mae.item())
    assert (expected.ssim > 0) == (name == "S2_L2A")


def test_dropout_is_active_in_training_only(places):
    stage, crops = SensorStage(random_reference(0), "S1"), crops_of(places)
    errors = [stage.error(crops, np.random.default_rng(5)) for _ in range(2)]
    assert errors[0] == errors[1]
    stage.module.train()
    with torch.no_grad():
        losses = [stage.loss(crops, np.random.default_rng(5)).item() for _ in range(2)]
    assert losses[0] != losses[1]


def test_stage_two_is_half_of_each_sensor(places):
    model, crops = random_reference(0), crops_of(places)
    stage = FusionStage(model)
    drawn = draw_samples(crops, BOTH, np.random.default_rng(5))
    valid = {name: drawn.valid[name].expand_as(frames) for name, frames in drawn.frames.items()}
    with torch.no_grad():
        rebuilt = model.reconstruct(model.encode(drawn.frames, drawn.days, drawn.gap), drawn.days)
        loss = stage.loss(crops, np.random.default_rng(5)).item()
    assert loss == pytest.approx(fusion_loss(rebuilt, drawn.frames, valid).item())


@pytest.mark.parametrize("finetune", [False, True])
def test_the_sensors_are_frozen_or_trained_further(places, finetune):
    model = random_reference(0)
    before = state(model)
    stage = FusionStage(model, finetune)
    stage.crops = 1
    train(stage, places, Schedule(1, learning_rate=1e-2), seed=0)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert any(name.startswith("fusion") for name in changed)
    assert any(name.startswith("sensors") for name in changed) == finetune


def test_a_frozen_sensor_has_no_dropout_in_stage_two(places):
    stage, crops = FusionStage(random_reference(0)), crops_of(places)
    stage.module.train()
    assert not any(module.training for module in stage.model.sensors.modules())
    assert any(module.training for module in stage.model.fusion.modules())
    assert stage.loss(crops, np.random.default_rng(5)).requires_grad


# --- as a user trains it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{"objective": "context"}, {"sensors": ("S2_L2A",)}, {"keep": "x.safetensors"}])
def test_it_is_trained_as_the_paper_says_or_not_at_all(stores, tmp_path, given):
    with pytest.raises(ConfigError, match="what the paper describes"):
        pretrain(stores, tmp_path / "w.safetensors", encoder="reference", steps=1, **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_it_learns(places):
    """Each stage lowers the error at a place that it never saw, on crops that stay the same."""
    model, trained = new_model(0), split(places, 1, np.random.default_rng(0))
    stages = (lambda: SensorStage(model, "S2_L2A"), lambda: SensorStage(model, "S1"), lambda: FusionStage(model, True))
    for stage in stages:
        made = stage()
        made.crops = 2
        curve = train(made, trained, Schedule(8, LEARNING_RATE), seed=0)
        assert curve.error[-1] < 0.995 * curve.error[0], made.name


@pytest.mark.slow
def test_what_pretrain_writes_is_loaded_and_embeds(stores, tmp_path, monkeypatch):
    for stage in (SensorStage, FusionStage):
        monkeypatch.setattr(stage, "crops", 1)
    path = pretrain(stores, tmp_path / "reference.safetensors", encoder="reference", steps=2, validation=1)
    encoder = ecoembed.load_encoder(path)
    card = encoder.card
    assert (card.architecture, card.axis, card.objective, card.windows) == ("reference", "time", "paper", ("centred",))
    assert {place.id: place.role for place in card.places}.keys() == {"XX-T00", "XX-T01"}
    assert set(card.curves) == {"S2_L2A", "S1", "fusion"}
    s2, s1 = make_cube("S2_L2A", n=11, side=2, cloud=0.0), make_cube("S1", n=11, side=2)
    assert np.isfinite(encoder.encode(s2, s1).values[5]).all()
