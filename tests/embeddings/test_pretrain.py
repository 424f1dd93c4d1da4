"""Training as a user calls it: learns, is repeatable, keeps encoders bit for bit, continues, and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ecoembed import load_encoder, pretrain
from ecoembed.cubes.store import save_cubes
from ecoembed.embeddings import pretrain as module
from ecoembed.embeddings.training import dense_stages, reference_stages, unfinished
from ecoembed.embeddings.training.places import fit_normalisation, load_places
from ecoembed.embeddings.weights import read_weights
from ecoembed.errors import ConfigError, FileError, TableError, TrainingError, VariableError

from .conftest import make_cube

#: What judges a trained encoder; it takes longer than training it does here, and has tests of its own.
JUDGES = {"calibrate": module.calibrate, "run_probes": module.run_probes}
THREE = ("S2_L2A", "S1", "HLS")


def save_place(folder: Path, k: int, offset: float = 0.0) -> None:
    cubes = {
        "S2_L2A": make_cube("S2_L2A", seed=k),
        "S1": make_cube("S1", n=26, every=6.0, seed=k, cloud=0.0),
        "HLS": make_cube("HLS", n=20, every=8.0, seed=k),
    }
    moved = {name: cube.assign_coords(x=cube["x"] + 5000 * k) for name, cube in cubes.items()}
    brighter = {name: cube.copy(data=cube.values * np.float32(1 + offset)) for name, cube in moved.items()}
    save_cubes(brighter, folder / f"p{k}.zarr")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    for k in range(3):
        save_place(folder, k)
    return sorted(folder.glob("*.zarr"))


def small(patch: pytest.MonkeyPatch) -> None:
    """Fewer and smaller crops: what is tested is the way, not the result."""
    both = dense_stages, reference_stages
    for stage in [kind for stages in both for kind in (stages.SensorStage, stages.FusionStage)]:
        for name, size in {"crops": 1, "side": 6, "consecutive": 12}.items():
            patch.setattr(stage, name, size)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    small(monkeypatch)
    monkeypatch.setattr(module, "calibrate", lambda *args, **options: ((0.01, 0.02), (0.1, 0.1)))
    monkeypatch.setattr(module, "run_probes", _no_probes)


def _no_probes(*args, **options):
    raise TableError("not probed in this test")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def two(places, tmp_path_factory):
    """Weights of two sensors, trained for real, if briefly."""
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        patch.setattr(module, "calibrate", lambda *args, **options: ())
        patch.setattr(module, "run_probes", _no_probes)
        return pretrain(places, tmp_path_factory.mktemp("two") / "two.safetensors", steps=40, validation=1, seed=5)


def test_it_learns_at_a_place_held_out_and_the_card_says_what_was_done(two, places):
    card = load_encoder(two).card
    assert list(card.curves) == ["S2_L2A", "S1", "fusion"]
    for curve in card.curves.values():
        assert curve["step"] == list(range(1, len(curve["step"]) + 1))  # it may have stopped early
        assert min(curve["error"]) < 0.9 * curve["error"][0]
    assert [place.role for place in card.places].count("validation") == 1
    assert sorted(place.id for place in card.places) == ["XX-T00", "XX-T01", "XX-T02"]
    assert (card.objective, card.stage2, card.kept, card.seed) == ("context", "frozen", None, 5)
    assert card.steps == {"S2_L2A": 40, "S1": 40, "fusion": 40}
    assert card.probes == {"not_measured": "not probed in this test."}
    text = two.with_suffix(".md").read_text()
    assert load_encoder(two).weights in text
    assert two.with_name("two_curves.png").read_bytes()[:4] == b"\x89PNG"
    assert files(two.parent) == ["two.md", "two.safetensors", "two_curves.png"]


def test_one_seed_gives_one_file_whatever_the_workers(places, tmp_path):
    for name, options in {"a": {"seed": 1}, "b": {"seed": 1, "workers": 2}, "c": {"seed": 2}}.items():
        pretrain(places, tmp_path / f"{name}.safetensors", steps=3, validation=1, **options)
    a, b, c = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert a == b != c


# --- sensors


def test_kept_encoders_are_the_same_bits_and_only_the_new_sensor_is_trained(two, places, tmp_path):
    three = pretrain(places, tmp_path / "three.safetensors", sensors=THREE, keep=two, steps=4, validation=1, seed=5)
    (old, old_card), (new, card) = read_weights(two), read_weights(three)
    assert list(card.curves) == list(card.steps) == ["HLS", "fusion"]
    assert card.kept == load_encoder(two).weights
    for sensor in ("S2_L2A", "S1"):
        before, after = old.encoder(sensor).state_dict(), new.encoder(sensor).state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert card.sensors[sensor] == old_card.sensors[sensor]
    changed = zip(old.decoder("S1").parameters(), new.decoder("S1").parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in changed)  # decoders belong to the second stage
    assert set(old_card.places) <= set(card.places)


def test_a_frozen_fusion_leaves_encoders_and_a_fine_tuned_one_does_not(places, tmp_path, monkeypatch):
    trained = {}
    train = module.train

    def after_each_stage(stage, *rest):
        curve = train(stage, *rest)
        if stage.name == "fusion":
            trained["fusion"] = hash_of(stage.module.encoders)
        elif stage.name == "S1":
            trained["S1"] = hash_of(stage.module[0])
        return curve

    monkeypatch.setattr(module, "train", after_each_stage)
    for name, finetune in (("frozen", False), ("tuned", True)):
        out = pretrain(places, tmp_path / f"{name}.safetensors", steps=3, validation=1, finetune=finetune)
        model, card = read_weights(out)
        assert card.stage2 == ("fine-tuned" if finetune else "frozen")
        assert (hash_of(model.encoder("S1")) == trained["S1"]) is not finetune


def hash_of(part: torch.nn.Module) -> int:
    return hash(tuple(tensor.detach().numpy().tobytes() for tensor in part.state_dict().values()))


def test_what_does_not_go_with_kept_encoders_is_refused(two, places, tmp_path):
    out = tmp_path / "w.safetensors"
    with pytest.raises(ConfigError, match="cannot be fine-tuned"):
        pretrain(places, out, keep=two, finetune=True)
    with pytest.raises(ConfigError, match="another objective"):
        pretrain(places, out, keep=two, objective="paper")
    with pytest.raises(ConfigError, match="have not seen"):
        pretrain(places, out, keep=two, validation=2)
    with pytest.raises(FileError, match="no such weights file"):
        pretrain(places, out, keep=tmp_path / "none.safetensors")
    (tmp_path / "half.safetensors.training").mkdir()
    with pytest.raises(FileError, match="Its training is not finished"):
        load_encoder(tmp_path / "half.safetensors")
    (tmp_path / "half.safetensors.training").rmdir()
    with pytest.raises(VariableError, match=r"S1 is of another smoothing than the encoder that is kept knows"):
        pretrain(places, out, keep="default", validation=0)
    assert files(tmp_path) == []


def test_the_reference_encoder_is_trained_by_the_same_loop(places, tmp_path):
    out = pretrain(places, tmp_path / "r.safetensors", encoder="reference", steps=2, validation=1)
    card = load_encoder(out).card
    assert (card.architecture, card.objective) == ("reference", "paper")
    assert list(card.curves) == ["S2_L2A", "S1", "fusion"]
    with pytest.raises(ConfigError, match="the paper describes"):
        pretrain(places, tmp_path / "q.safetensors", encoder="reference", objective="context")


def test_the_expected_error_is_calibrated_and_probes_look_at_test_places(places, tmp_path, monkeypatch):
    """With one place to train on no probe is fitted, which is said; nothing is made up."""
    for name, function in JUDGES.items():
        monkeypatch.setattr(module, name, function)
    save_place(tmp_path, 7)
    out = pretrain(places[:2], tmp_path / "w.safetensors", steps=2, validation=1, test=[tmp_path / "p7.zarr"])
    card = load_encoder(out).card
    assert {place.id: place.role for place in card.places}["XX-T07"] == "test"
    stated, found = zip(*card.error_calibration, strict=True)
    assert list(stated) == sorted(stated)
    assert list(found) == sorted(found)
    assert "too few trained places to probe" in card.probes["not_measured"]


def test_each_role_serves_what_it_is_for_and_nothing_else(places, tmp_path, monkeypatch):
    """Normalised on trained places, calibrated on those held out, probed on those of the test."""
    seen = {}

    def calibrated(encoder, on, **options):
        seen["calibrated"] = list(on)
        return ()

    def probed(encoders, trained, unseen, **options):
        seen.update(trained=list(trained), unseen=list(unseen))
        raise TableError("not probed")

    monkeypatch.setattr(module, "calibrate", calibrated)
    monkeypatch.setattr(module, "run_probes", probed)
    for k, offset in ((7, 0.2), (8, -0.1)):
        save_place(tmp_path, k, offset)
    known = [*places[:2], tmp_path / "p7.zarr"]
    for test in ([tmp_path / "p8.zarr"], []):
        out = pretrain(known, tmp_path / f"{len(test)}.safetensors", steps=1, validation=1, test=test)
        card = load_encoder(out).card
        (held,) = (place.id for place in card.places if place.role == "validation")
        paths = {f"XX-T{path.stem[1:]:0>2}": path for path in known}
        learnt = [path for name, path in paths.items() if name != held]
        assert seen == {"calibrated": [paths[held]], "trained": learnt, "unseen": test or [paths[held]]}
        for name, sensor in card.sensors.items():
            norm = fit_normalisation(load_places(learnt, (name,)), name)
            np.testing.assert_allclose(sensor.mean, norm.mean, rtol=1e-9)
            np.testing.assert_allclose(sensor.std, norm.std, rtol=1e-9)


def test_without_places_held_out_the_expected_error_is_told_to_be_uncalibrated(places, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "calibrate", _no_probes)
    train = module._train
    said: list[str] = []

    def late(*args):
        said.extend(str(one.message) for one in heard)
        return train(*args)

    monkeypatch.setattr(module, "_train", late)
    with pytest.warns(UserWarning, match="not calibrated") as heard:
        out = pretrain(places[:1], tmp_path / "w.safetensors", steps=2)
    assert any("no place is held out (found 1; expected 5 new ones" in one for one in said)  # before the work
    assert load_encoder(out).card.error_calibration == ()


# --- nothing is lost


def test_a_diverging_training_keeps_the_old_file_and_its_last_good_weights(places, tmp_path, monkeypatch):
    out = tmp_path / "w.safetensors"
    out.write_bytes(b"old")
    loss = dense_stages.SensorStage.loss
    monkeypatch.setattr(
        dense_stages.SensorStage, "loss", lambda self, *a: loss(self, *a) * (float("nan") if self.name == "S1" else 1)
    )
    with pytest.raises(TrainingError, match=r"stage S1 diverges.*not finite.*step 1, .*are kept in") as caught:
        pretrain(places, out, steps=3, validation=1)
    assert out.read_bytes() == b"old"
    state = tmp_path / "w.safetensors.training" / "S1.safetensors"
    assert str(state) in str(caught.value)
    tensors, _ = unfinished.read_state(state)
    assert all(torch.isfinite(tensor).all() for name, tensor in tensors.items() if name.startswith("module"))


def test_a_failure_at_the_end_leaves_the_old_files_and_the_trained_stages(places, tmp_path, monkeypatch):
    out = tmp_path / "w.safetensors"
    for path in (out, tmp_path / "w.md"):
        path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr("ecoembed.embeddings.weights.save", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pretrain(places, out, steps=2, validation=1)
    assert out.read_bytes() == (tmp_path / "w.md").read_bytes() == b"old"
    assert files(tmp_path) == ["w.md", "w.safetensors", "w.safetensors.training"]
    monkeypatch.setattr(module, "train", _only_read(module.train))
    pretrain(places, out, steps=2, validation=1)  # every stage is there
    assert files(tmp_path) == ["w.md", "w.safetensors", "w_curves.png"]


def _only_read(train):
    def finished(stage, *rest):
        stage.loss = lambda *args: 1 / 0
        return train(stage, *rest)

    return finished


def test_another_training_at_the_same_place_is_refused_by_what_differs(places, tmp_path, monkeypatch):
    out = tmp_path / "w.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(module, "train", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt) as stopped:
            pretrain(places, out, steps=2, validation=1)
    assert "the same call continues it" in stopped.value.__notes__[0]
    assert not out.exists()
    for options, key in (({"seed": 1}, "seed"), ({"precision": "bf16"}, "precision"), ({"steps": 3}, "steps.S1")):
        if key == "seed":
            options["validation"] = 0
        with pytest.raises(ConfigError, match=r"another training is unfinished here.*delete") as caught:
            pretrain(places, out, **{"steps": 2, "validation": 1, **options})
        assert key.split(".")[0] in str(caught.value) or "places" in str(caught.value)
    pretrain(places, out, steps=2, validation=1)
    assert not (tmp_path / "w.safetensors.training").exists()


def test_a_second_training_into_the_same_file_is_refused_while_the_first_one_runs(places, tmp_path, monkeypatch):
    out, second = tmp_path / "w.safetensors", []
    monkeypatch.setattr(unfinished, "PATIENCE", 0.0)

    def during(*args, **options):
        before = {path.name: path.read_bytes() for path in unfinished.folder_of(out).iterdir()}
        with pytest.raises(ConfigError, match=r"another process is training here now.*Wait until it ends"):
            pretrain(places, out, steps=2, validation=1)
        second.append({path.name: path.read_bytes() for path in unfinished.folder_of(out).iterdir()} == before)
        return ()

    with monkeypatch.context() as patch:
        patch.setattr(module, "calibrate", during)
        pretrain(places, out, steps=2, validation=1)
    assert second == [True]
    assert files(tmp_path) == ["w.md", "w.safetensors", "w_curves.png"]


SCRIPT = """
import sys, time
from tests.embeddings import test_pretrain as t
from ecoembed.embeddings.training import loop
t.small(t.pytest.MonkeyPatch())
loop.SAVE_SECONDS = -1.0
t.module.calibrate, t.module.run_probes = (lambda *a, **k: ()), t._no_probes
step = loop._Run._step
loop._Run._step = lambda self, crops: (time.sleep(0.02), step(self, crops))[1]
t.pretrain(sys.argv[2:], sys.argv[1], steps=30, validation=1)
"""


def test_a_killed_training_ends_in_the_same_file(places, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "calibrate", lambda *args, **options: ())
    whole, torn = tmp_path / "whole" / "w.safetensors", tmp_path / "torn" / "w.safetensors"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pretrain(places, whole, steps=30, validation=1)
        _kill_in_the_second_stage(places, torn)
        assert files(torn.parent) == ["w.safetensors.training"]
        pretrain(places, torn, steps=30, validation=1)
    finally:
        torch.set_num_threads(threads)
    assert whole.read_bytes() == torn.read_bytes()
    assert files(whole.parent) == files(torn.parent)


def _kill_in_the_second_stage(places, out: Path) -> None:
    environment = {**os.environ, "CI": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(out), *map(str, places)]
    process = subprocess.Popen(command, cwd=Path(__file__).resolve().parents[2], env=environment)
    state = out.with_name("w.safetensors.training") / "S1.safetensors"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if state.exists() and len(unfinished.read_state(state)[0]["losses"]) >= 5:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training ended before it was killed"


# --- refused before any work


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"steps": 0}, "nothing to train on"),
        ({"workers": -1}, "nothing to train on"),
        ({"seed": -1}, "not a seed"),
        ({"seed": 2**64}, "not a seed"),
        ({"validation": 3}, "held out"),
        ({"objective": "contxt"}, "Did you mean 'context'"),
        ({"encoder": "dens"}, "Did you mean 'dense'"),
        ({"precision": "fp16"}, "precision"),
        ({"sensors": ("S1",)}, "these sensors make no model"),
        ({"sensors": ("S2_L2A", "S1", "S1")}, "these sensors make no model"),
        ({"sensors": ("S2_L2A", "S3")}, "S3"),
    ],
)
def test_arguments_that_make_no_training_are_refused(places, tmp_path, options, says):
    with pytest.raises(ConfigError, match=says):
        pretrain(places, tmp_path / "w.safetensors", **options)
    assert files(tmp_path) == []


def test_nothing_and_a_folder_are_refused(places, tmp_path):
    with pytest.raises(ConfigError, match="0 cubes"):
        pretrain([], tmp_path / "w.safetensors")
    with pytest.raises(FileError, match="is a folder"):
        pretrain(places, tmp_path)


def test_cubes_are_one_path_or_any_number_of_them(places, tmp_path):
    folder = places[0].parent
    of_all = pretrain(folder.glob("p[01].zarr"), tmp_path / "all.safetensors", steps=1, test=str(places[2]))
    assert sorted((p.id, p.role) for p in read_weights(of_all)[1].places)[2][1] == "test"
    of_one = pretrain(str(places[0]), tmp_path / "one.safetensors", steps=1)
    assert len(read_weights(of_one)[1].places) == 1


def test_notes_of_the_name_of_the_card_are_not_replaced(places, tmp_path):
    notes = tmp_path / "w.md"
    notes.write_text("mine")
    with pytest.raises(FileError, match=r"w\.md: the model card would replace a file"):
        pretrain(places, tmp_path / "w.safetensors", steps=1)
    assert notes.read_text() == "mine"


def test_a_store_without_a_sensor_is_refused(tmp_path):
    save_cubes({"S2_L2A": make_cube("S2_L2A")}, tmp_path / "p.zarr")
    with pytest.raises(VariableError, match=r"p\.zarr: no group S1 \(found S2_L2A; .*--sensors S2_L2A$"):
        pretrain([tmp_path / "p.zarr"], tmp_path / "w.safetensors")
    assert files(tmp_path) == ["p.zarr"]


def test_the_state_is_plain_tensors_and_json(places, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "calibrate", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pretrain(places, tmp_path / "w.safetensors", steps=2, validation=1)
    folder = tmp_path / "w.safetensors.training"
    assert files(folder) == [".lock", "S1.safetensors", "S2_L2A.safetensors", "fusion.safetensors", "training.json"]
    assert json.loads((folder / "training.json").read_text())["objective"] == "context"
    losses = unfinished.read_state(folder / "fusion.safetensors")[0]["losses"]
    assert losses.dtype == torch.float64
    assert np.isfinite(losses.numpy()).all()
