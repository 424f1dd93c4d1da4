"""The training loop, on a stage of a few numbers: repeatable, resumed bit for bit, stopped where it should."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ecoembed.cubes.store import save_cubes
from ecoembed.embeddings.training import loop, unfinished
from ecoembed.embeddings.training.loop import EVALUATIONS, PATIENCE, train
from ecoembed.embeddings.training.places import load_places
from ecoembed.embeddings.training.roles import split
from ecoembed.embeddings.training.stage import Schedule
from ecoembed.errors import ConfigError, FileError, TrainingError

from .conftest import make_cube
from .stages import SENSORS, Counting, Poisoned, Stuck, Tiny


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    for k in range(2):
        cubes = {
            "S2_L2A": make_cube("S2_L2A", seed=k, side=12),
            "S1": make_cube("S1", n=26, every=6.0, seed=k, side=12, cloud=0.0),
        }
        save_cubes({name: c.assign_coords(x=c["x"] + 5000 * k) for name, c in cubes.items()}, folder / f"p{k}.zarr")
    return [str(path) for path in sorted(folder.glob("*.zarr"))]


@pytest.fixture(scope="module")
def places(stores):
    return split(load_places(stores, SENSORS), 1, np.random.default_rng(0))


def trained(places, stage=None, steps=30, seed=1, state=None, **options):
    stage = stage or Tiny()
    curve = train(stage, places, Schedule(steps=steps, **options), seed, state)
    return {name: tensor.clone() for name, tensor in stage.module.state_dict().items()}, curve


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_it_learns_and_the_curve_says_so(places):
    _, curve = trained(places, steps=400)
    assert curve.step == list(range(10, 401, 10))
    assert curve.error[-1] < 0.5 * curve.error[0]
    assert curve.loss[-1] < 0.5 * curve.loss[0]
    assert len(curve.learning_rate) == len(curve.step) == len(curve.loss) == len(curve.error)
    json.dumps(vars(curve))


def test_the_learning_rate_rises_linearly_and_falls_as_a_cosine():
    rate = [Schedule(steps=200, learning_rate=1.0).rate(k) for k in range(200)]
    np.testing.assert_allclose(rate[:10], np.arange(1, 11) / 10)
    assert rate[105] == pytest.approx(0.5)
    assert 0 < rate[-1] < 1e-3
    assert (np.diff(rate[10:]) <= 0).all()


def test_one_seed_gives_the_same_bits_and_another_does_not(places):
    first, again, other = (trained(places, seed=seed)[0] for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_no_bit(places, workers):
    alone, with_workers = trained(places), trained(places, workers=workers)
    assert same(alone[0], with_workers[0])
    assert alone[1] == with_workers[1]


def test_workers_read_what_is_not_in_memory(places, stores, monkeypatch):
    monkeypatch.setattr("ecoembed.embeddings.training.places.CACHE_BYTES", 0)
    streamed = split(load_places(stores, SENSORS), 1, np.random.default_rng(0))
    assert not any(place.held for place in streamed)
    assert same(trained(places)[0], trained(streamed, workers=2)[0])


def test_torch_s_own_generator_is_left_alone(places):
    stage = Tiny()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    trained(places, stage=stage, steps=3)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_unseen_places_are_measured_on_the_same_crops_each_time(places):
    stage = Tiny()
    trained(places, stage, steps=3)
    assert len(stage.evaluated) == 3
    unseen = next(place.card.id for place in places if place.card.role == "validation")
    for crops in stage.evaluated:
        assert {crop.place for crop in crops} == {unseen}
        for crop, first in zip(crops, stage.evaluated[0], strict=True):
            assert torch.equal(crop.frames["S2_L2A"].values, first.frames["S2_L2A"].values)


def test_training_draws_no_place_that_is_held_out(places, monkeypatch):
    drawn = []
    stage = Tiny()
    loss = stage.loss
    monkeypatch.setattr(
        stage,
        "loss",
        lambda crops, rng: (drawn.extend((c.place, stage.module.training) for c in crops), loss(crops, rng))[1],
    )
    trained(places, stage, steps=5)
    role = {place.card.id: place.card.role for place in places}
    assert {(role[name], learning) for name, learning in drawn} == {("train", True), ("validation", False)}


def test_every_crop_and_step_of_every_stage_draws_anew(places):
    known = [place for place in places if place.card.role == "train"]
    crops_of, drawn_of = [], []
    for name in ("tiny", "other"):
        stage, crops, drawn = Tiny(), [], []
        stage.name, loss = name, stage.loss

        def spy(given, rng, crops=crops, drawn=drawn, loss=loss):
            crops += [crop.frames["S2_L2A"].values.numpy().tobytes() for crop in given]
            drawn += [rng.integers(2**62), torch.randint(2**62, ()).item()]
            return loss(given, rng)

        stage.loss = spy
        trained(known, stage, steps=20)
        assert len(set(crops)) > 0.9 * len(crops) == 36
        crops_of.append(set(crops))
        drawn_of += drawn
    assert len(crops_of[0] & crops_of[1]) < 5
    assert len(set(drawn_of)) == len(drawn_of) == 80


def test_it_stops_early_with_the_best_weights(places):
    stage, steps = Stuck(), 10 * EVALUATIONS
    weights, curve = trained(places, stage, steps=steps)
    assert len(stage.evaluated) == 3 + PATIENCE
    assert curve.step[-1] == 10 * (3 + PATIENCE) < steps
    at_best = Tiny()
    run = loop._Run(at_best, Schedule(steps=steps), 1, None)
    for crops in list(loop._crops(at_best, [p for p in places if p.card.role == "train"], run.schedule, 1, 0))[:30]:
        run._step(crops)
    assert same(weights, at_best.module.state_dict())


def test_without_unseen_places_the_last_weights_stay(places):
    known = [place for place in places if place.card.role == "train"]
    _, curve = trained(known, steps=80)
    assert curve.error == [None] * 40


def test_bf16_trains_other_numbers_to_the_same_end(places):
    (full, curve), (half, half_curve) = trained(places, steps=200), trained(places, steps=200, precision="bf16")
    assert not same(full, half)
    assert all(tensor.dtype == torch.float32 for tensor in half.values())
    assert half_curve.error[-1] == pytest.approx(curve.error[-1], rel=0.2)


def test_a_crop_without_a_clear_pixel_is_no_step(places):
    stage = Tiny()
    before = {name: tensor.clone() for name, tensor in stage.module.state_dict().items()}
    stage.loss = lambda crops, rng: torch.zeros(())
    assert same(before, trained(places, stage, steps=3)[0])


# --- divergence


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_the_last_good_weights(places, tmp_path, poison):
    state = tmp_path / "tiny.safetensors"
    stage = Poisoned(at=25, poison=poison)
    with pytest.raises(TrainingError, match="stage tiny diverges: the loss is not finite") as caught:
        trained(places, stage, steps=400, state=state)
    told = str(caught.value)
    assert all(part in told for part in ("XX-T0", "step 26", "learning rate", "step 20 are kept", str(state)))
    tensors, said = unfinished.read_state(state)
    good = {name.removeprefix("module "): t for name, t in tensors.items() if name.startswith("module ")}
    assert same(good, stage.module.state_dict())
    assert all(torch.isfinite(t).all() for t in good.values())
    assert said["best_step"] == 20
    with pytest.raises(TrainingError, match="not finite"):  # the same command has the same answer, at once
        trained(places, Tiny(), steps=400, state=state)


def test_a_gradient_that_is_not_finite_stops(places):
    stage = Tiny()
    loss = stage.loss
    stage.loss = lambda crops, rng: loss(crops, rng) + (stage.module[0].weight.sum() * 0).sqrt()
    with pytest.raises(TrainingError, match="the gradient is not finite"):
        trained(places, stage)


def test_a_loss_that_blows_up_stops(places):
    with pytest.raises(TrainingError, match="grew to more than 10 times"):
        trained(places, Poisoned(at=50, poison=1000.0), steps=400)


def test_a_huge_learning_rate_is_told(places):
    stage = Tiny()
    stage.loss = lambda crops, rng: (Tiny.loss(stage, crops, rng) + stage.module[0].weight.square().sum()).square()
    with pytest.raises(TrainingError, match="stage tiny diverges"):
        trained(places, stage, steps=400, learning_rate=1e4)


# --- continuing


def _killed(stores, state: Path, steps: int, after: int) -> None:
    """A training in its own process, killed as hard as can be once `after` steps are saved."""
    environment = {**os.environ, "CI": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.embeddings.stages", *stores, str(state), str(steps)]
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(command, cwd=root, env=environment)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if state.exists() and len(unfinished.read_state(state)[0]["losses"]) >= after:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training ended before it was killed"


def test_a_killed_training_continues_bit_for_bit(stores, places, tmp_path):
    whole, torn = tmp_path / "whole.safetensors", tmp_path / "torn.safetensors"
    weights, curve = trained(places, steps=200, state=whole)
    _killed(stores, torn, 200, after=50)
    tensors, said = unfinished.read_state(torn)
    assert 50 <= len(tensors["losses"]) < 200
    assert not said["done"]
    again, curve_again = trained(places, steps=200, state=torn)
    assert same(weights, again)
    assert curve == curve_again
    assert whole.read_bytes() == torn.read_bytes()


@pytest.mark.parametrize("step", [25, 31, 55, 149])
def test_what_served_best_before_a_stop_is_not_forgotten(places, tmp_path, monkeypatch, step):
    """Stopped before, at, long after its best step, and just before it ends early: the same end each time."""
    monkeypatch.setattr(loop, "SAVE_SECONDS", -math.inf)
    steps, state = 10 * EVALUATIONS, tmp_path / "torn.safetensors"
    weights, curve = trained(places, Counting(), steps=steps)
    with pytest.raises(KeyboardInterrupt):
        trained(places, Counting(interrupted=step), steps=steps, state=state)
    again, curve_again = trained(places, Counting(), steps=steps, state=state)
    assert weights["steps"] == again["steps"] == 30
    assert same(weights, again)
    assert curve == curve_again
    assert curve.step[-1] == 30 + 10 * PATIENCE


def test_a_finished_stage_is_not_trained_again(places, tmp_path):
    weights, curve = trained(places, state=tmp_path / "s.safetensors")
    stage = Tiny(seed=9)
    stage.loss = lambda crops, rng: 1 / 0
    again, curve_again = trained(places, stage, state=tmp_path / "s.safetensors")
    assert same(weights, again)
    assert curve == curve_again


def test_a_damaged_state_is_told_with_the_way_out(places, tmp_path):
    state = tmp_path / "s.safetensors"
    trained(places, state=state)
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(FileError, match=r"damaged.*Delete"):
        trained(places, state=state)


def test_another_configuration_is_refused_by_the_key_that_differs(tmp_path):
    folder = tmp_path / "w.safetensors.training"
    asked = {"steps": 10, "seed": 0, "test": ()}
    assert not unfinished.claim(folder, asked)
    assert unfinished.claim(folder, asked)
    with pytest.raises(ConfigError, match=r"seed differs.*found 1; expected 0.*delete"):
        unfinished.claim(folder, {**asked, "seed": 1})
    (folder / "training.json").write_text("{")
    with pytest.raises(FileError, match="Delete"):
        unfinished.claim(folder, asked)
