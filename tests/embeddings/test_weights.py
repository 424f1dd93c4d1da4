"""Weights files: whole, self-describing, and refused when they are not ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from ecoembed import load_encoder
from ecoembed.embeddings.encode import Encoder
from ecoembed.embeddings.weights import default_weights, read_weights, save_weights, weights_hash
from ecoembed.errors import FileError, WeightsError


@pytest.fixture
def written(encoder: Encoder, tmp_path: Path) -> Path:
    return save_weights(encoder.model, encoder.card, tmp_path / "w.safetensors")


def rewrite(path: Path, edit) -> None:
    """Write the file again with an edited card."""
    with safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()["ecoembed"])
        state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    edit(card)
    save_file(state, path, metadata={"ecoembed": json.dumps(card)})


def test_what_is_written_is_read(written, encoder):
    again = load_encoder(written)
    assert again.weights == encoder.weights
    assert again.card == encoder.card


def test_the_card_holds_order_units_and_normalisation(written):
    card = read_weights(written)[1]
    assert card.sensors["S2_L2A"].bands[0] == "B02"
    assert card.sensors["S1"].unit == "dB"
    assert len(card.sensors["S2_L2A"].mean) == 10


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda c: c["sensors"].pop("S1"), "weights of other sensors"),
        (lambda c: c["sensors"].update({"LANDSAT": c["sensors"].pop("S2_L2A")}), "LANDSAT"),
        (lambda c: c["sensors"]["S2_L2A"]["bands"].reverse(), "another band order"),
        (lambda c: c.pop("seed"), "damaged"),
        (lambda c: c.update(sensors="S1"), "damaged: sensors"),
        (lambda c: c["sensors"]["S1"].pop("bands"), "damaged: sensors.S1.bands"),
        (lambda c: c["sensors"]["S1"].update(unit="DN"), "S1: another unit"),
        (lambda c: c["sensors"]["S1"].update(clip=[0, 1]), "S1: another clip"),
        (lambda c: c["sensors"]["S1"].update(code=5), "S1: another code"),
        (lambda c: c["sensors"]["S2_L2A"].update(mean=[0.1]), "mean does not fit its bands"),
        (lambda c: c["sensors"]["S1"].update(std=[0.0, 1.0]), "damaged: sensors.S1.std"),
        (lambda c: c.update(extra=1), "damaged"),
    ],
)
def test_weights_of_another_sensor_or_order_are_refused(written, edit, says):
    rewrite(written, edit)
    with pytest.raises(WeightsError) as caught:
        load_encoder(written)
    assert says in str(caught.value)
    assert str(written) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "not json"])
def test_a_card_that_is_none_is_refused(written, encoder, text):
    state = {k: v.contiguous() for k, v in encoder.model.state_dict().items()}
    save_file(state, written, metadata={"ecoembed": text})
    with pytest.raises(WeightsError, match="damaged"):
        load_encoder(written)


def test_tensors_of_another_type_are_refused(written, encoder):
    with safe_open(written, framework="pt") as file:
        metadata = file.metadata()
    save_file({k: v.half() for k, v in encoder.model.state_dict().items()}, written, metadata=metadata)
    with pytest.raises(WeightsError, match="tensors of another architecture"):
        load_encoder(written)


def test_the_hash_sees_the_normalisation(written, encoder):
    rewrite(written, lambda c: c["sensors"]["S1"].update(mean=[-14.0, -13.0]))
    assert load_encoder(written).weights != encoder.weights
    assert load_encoder(written).random(3).weights != encoder.random(3).weights


def test_a_truncated_file_is_refused(written):
    written.write_bytes(written.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_encoder(written)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_text("hello")
    with pytest.raises(WeightsError):
        load_encoder(path)


def test_safetensors_of_another_project_are_refused(written, encoder):
    save_file({k: v.contiguous() for k, v in encoder.model.state_dict().items()}, written)
    with pytest.raises(WeightsError, match="no ecoembed card"):
        load_encoder(written)


def test_an_absent_file_says_how_to_make_one(tmp_path):
    with pytest.raises(FileError, match="ecoembed pretrain"):
        load_encoder(tmp_path / "none.safetensors")


def test_the_default_weights_ship_small_and_say_what_they_were_trained_on():
    encoder = load_encoder()
    assert default_weights().stat().st_size < 5e6
    assert encoder.weights == weights_hash(encoder.model, encoder.card)
    real = [p for p in encoder.card.places if not p.id.startswith("XX-")]
    virtual = [p for p in encoder.card.places if p.id.startswith("XX-")]
    assert real
    assert virtual
    # the demo's own towers are no training places
    assert not any(p.id.startswith("XX-V") for p in virtual)
    text = (default_weights().parent / "default.md").read_text(encoding="utf-8")
    assert encoder.weights in text
    assert all(p.id in text for p in real)
    assert f"{len(virtual)} places" in text


def test_random_keeps_the_normalisation_of_the_default():
    assert load_encoder("random").card == load_encoder("default").card
    assert load_encoder("random").weights != load_encoder("default").weights
