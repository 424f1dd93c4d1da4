"""Checkpoints of the authors' kind: read without their code, and refused when they are anything else."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ecoembed.embeddings.reference import load_official_checkpoint, random_reference
from ecoembed.embeddings.reference.checkpoint import official_name
from ecoembed.errors import FileError, WeightsError

WEIGHT = "enc_s1.encoder_linear.0.weight"


@pytest.fixture(scope="module")
def model():
    return random_reference(3)


@pytest.fixture
def state(model) -> dict[str, torch.Tensor]:
    """What their checkpoint of this model holds: shared tensors under both names, and a layer that nothing uses."""
    ours = {official_name(name): tensor.clone() for name, tensor in model.state_dict().items()}
    shared = {
        name.replace("enc_", "dec_", 1).replace("transformer_enc", "transformer_dec"): tensor
        for name, tensor in ours.items()
        if ".transformer_enc." in name or ".positional_embedding_shared." in name
    }
    unused = {"bottleneck_expander.0.weight": torch.zeros(128, 7), "bottleneck_expander.0.bias": torch.zeros(128)}
    return ours | shared | unused


def lightning(state: dict[str, torch.Tensor], path: Path, **more: object) -> Path:
    content = {"epoch": 3, "global_step": 7, "hyper_parameters": {"dbottleneck": 7}, "state_dict": state, **more}
    torch.save(content, path)
    return path


def test_a_lightning_checkpoint_becomes_the_model(state, model, tmp_path):
    assert len(state) == 328
    encoder = load_official_checkpoint(lightning(state, tmp_path / "fuse.ckpt"), axis="time")
    found = encoder.model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())
    assert not encoder.model.training


def test_the_authors_attend_over_the_batch(state, tmp_path):
    encoder = load_official_checkpoint(lightning(state, tmp_path / "fuse.ckpt"))
    assert (encoder.model.axis, encoder.batch) == ("batch", 64)
    assert encoder.weights != load_official_checkpoint(tmp_path / "fuse.ckpt", axis="time").weights


def test_a_state_dict_alone_is_read(state, tmp_path):
    torch.save(state, tmp_path / "state.pt")
    whole = load_official_checkpoint(lightning(state, tmp_path / "fuse.ckpt"))
    assert load_official_checkpoint(tmp_path / "state.pt").weights == whole.weights


def test_safetensors_in_half_precision_with_aliases_are_read(state, tmp_path):
    alias = {name: name.replace("dec_", "enc_", 1).replace("_dec.", "_enc.") for name in state if "r_dec." in name}
    state = {name: tensor.half() for name, tensor in state.items() if name not in alias}
    save_file(state, tmp_path / "half.safetensors", metadata={"alias": json.dumps(alias)})
    found = load_official_checkpoint(tmp_path / "half.safetensors").model.state_dict()
    assert torch.equal(found["sensors.S1.narrow.weight"], state[WEIGHT].float())


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda s: s.pop(WEIGHT), f"1 tensors missing: {WEIGHT}"),
        (lambda s: [s.pop(k) for k in list(s) if "_s2" in k], "tensors missing"),
        (lambda s: s.update(extra=torch.zeros(1)), "1 tensors unknown: extra"),
        (lambda s: s.update({WEIGHT: s[WEIGHT].T}), "another shape (found (256, 16); expected (16, 256))"),
        (lambda s: s.update({WEIGHT: s[WEIGHT].int()}), "another type (found torch.int32"),
        (lambda s: s[WEIGHT].fill_(torch.nan), "is not finite"),
        (lambda s: s[WEIGHT][0, 0].fill_(torch.inf), "is not finite"),
        (
            lambda s: s.update({k: s[k] + 1 for k in s if k.startswith("dec_s1.transformer_dec.layers.0.linear1")}),
            "differs from the encoder's",
        ),
    ],
)
def test_other_tensors_are_refused(state, tmp_path, edit, says):
    edit(state)
    path = lightning(state, tmp_path / "fuse.ckpt")
    with pytest.raises(WeightsError) as caught:
        load_official_checkpoint(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


class Malice:
    """Unpickled, it writes a file."""

    def __reduce__(self):
        return Path.touch, (Path("written_by_a_checkpoint"),)


def test_a_checkpoint_with_code_is_refused_and_not_run(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = lightning(state, tmp_path / "fuse.ckpt", callbacks=Malice())
    with pytest.raises(WeightsError, match="Save its state dict alone"):
        load_official_checkpoint(path)
    assert [p.name for p in tmp_path.iterdir()] == ["fuse.ckpt"]


def test_files_that_are_no_checkpoint_are_refused(state, tmp_path):
    whole = lightning(state, tmp_path / "fuse.ckpt").read_bytes()
    contents = {
        "half.ckpt": whole[: len(whole) // 2],
        "text.ckpt": b"hello",
        "empty.ckpt": b"",
        "pickle.ckpt": pickle.dumps({"state_dict": 1}),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=name):
            load_official_checkpoint(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.ckpt")
    torch.save({"state_dict": {"a": 1}}, tmp_path / "numbers.ckpt")
    for name in ("list.ckpt", "numbers.ckpt"):
        with pytest.raises(WeightsError, match="no state dict"):
            load_official_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    ("alias", "says"), [("[]", "no JSON object"), ("{", "neither"), ('{"a": "nowhere"}', "nowhere"), ('{"a": 1}', "1")]
)
def test_wrong_aliases_are_refused(tmp_path, alias, says):
    save_file({"b": torch.zeros(1)}, tmp_path / "w.safetensors", metadata={"alias": alias})
    with pytest.raises(WeightsError, match=says):
        load_official_checkpoint(tmp_path / "w.safetensors")


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(FileError, match=r"none\.ckpt"):
        load_official_checkpoint(tmp_path / "none.ckpt")
