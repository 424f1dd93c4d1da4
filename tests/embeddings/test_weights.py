"""Weights files: whole, self-describing, and refused when they are not ours."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ecoembed import load_encoder
from ecoembed._version import __version__
from ecoembed.embeddings.batches import Normalisation
from ecoembed.embeddings.card import code_size, sensor_card
from ecoembed.embeddings.encode import Encoder
from ecoembed.embeddings.modelcard import model_card
from ecoembed.embeddings.weights import default_weights, random_model, read_weights, save_weights, weights_hash
from ecoembed.errors import ConfigError, FileError, WeightsError
from ecoembed.sensors import HLS, SENSORS, Band, Sensor


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
        (lambda c: c["sensors"].pop("S1"), "tensors of another architecture"),
        (lambda c: c["sensors"].pop("S2_L2A"), "weights of other sensors (found S1; expected S2_L2A first)"),
        (lambda c: c["sensors"].update(S2_L2A=c["sensors"].pop("S2_L2A")), "S1, S2_L2A; expected S2_L2A first"),
        (lambda c: c["sensors"].update(LANDSAT=c["sensors"]["S1"]), "a sensor that is not registered here"),
        (lambda c: c["sensors"].update(LANDSAT=c["sensors"]["S1"]), "SENSORS['LANDSAT'] = Sensor(...)"),
        (lambda c: c["sensors"]["S2_L2A"]["bands"].reverse(), "another band order"),
        (lambda c: c.pop("seed"), "damaged"),
        (lambda c: c.update(sensors="S1"), "damaged: sensors"),
        (lambda c: c["sensors"]["S1"].pop("bands"), "damaged: sensors.S1.bands"),
        (lambda c: c["sensors"]["S1"].update(unit="DN"), "S1: another unit"),
        (lambda c: c["sensors"]["S1"].update(clip=[0, 1]), "S1: another clip"),
        (lambda c: c["sensors"]["S1"].update(bands=["HH", "HV"]), "S1: other bands (found HH, HV; expected VV, VH)"),
        (lambda c: c["sensors"]["S1"].update(code=5), "tensors of another architecture"),
        (lambda c: c["sensors"]["S1"].update(code=10**9), "damaged: sensors.S1.code"),
        (lambda c: c["sensors"]["S1"].update(max_gap_days=-1), "damaged: sensors.S1.max_gap_days"),
        (lambda c: c["support"].update(frames=21), "another support (found 21 frames"),
        (lambda c: c.update(error_calibration=[[0.1, None]]), "damaged: error_calibration"),
        (lambda c: c.update(architecture="vit"), "damaged: architecture"),
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


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"format": 1, "code_version": "0.0.9"}, "format 1, written by ecoembed 0.0.9"),
        ({"format": 1}, "or train again with: ecoembed pretrain"),
        ({"format": 3, "code_version": "7.0"}, "Install the version that wrote it or a later one"),
        ({"format": "x" * 9999}, f"expected format 2, which ecoembed {__version__} reads"),
    ],
)
def test_a_file_of_another_version_says_which_wrote_it_and_what_to_do(written, edit, says):
    rewrite(written, lambda card: card.update(edit))
    with pytest.raises(WeightsError) as caught:
        load_encoder(written)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_and_counted(written, encoder, bad):
    state = {k: v.clone() for k, v in encoder.model.state_dict().items()}
    state["fusion.lift.weight"][0, :3] = bad
    with safe_open(written, framework="pt") as file:
        metadata = file.metadata()
    save_file(state, written, metadata=metadata)
    with pytest.raises(WeightsError, match=rf"found 3 of {state['fusion.lift.weight'].numel()} in fusion.lift.weight;"):
        load_encoder(written)


def test_weights_that_are_not_finite_are_never_written(written, encoder):
    model, before = random_model(0, encoder.card.sensors), written.read_bytes()
    with torch.no_grad():
        model.fusion.lift.weight[0, 0] = model.fusion.lift.bias[1] = torch.nan
    with pytest.raises(WeightsError, match="and in 1 more tensors"):
        save_weights(model, encoder.card, written)
    assert written.read_bytes() == before
    assert [p.name for p in written.parent.iterdir()] == [written.name]


def test_a_pickle_is_refused_and_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "w.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_encoder(path)
    assert not (tmp_path / "sprung").exists()


def test_a_card_of_many_megabytes_is_not_read(tmp_path):
    path = tmp_path / "w.safetensors"
    header = json.dumps({"__metadata__": {"ecoembed": "[" * (9 << 20)}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_encoder(path)


def test_a_card_nested_without_end_is_damaged(written, encoder):
    state = {k: v.contiguous() for k, v in encoder.model.state_dict().items()}
    save_file(state, written, metadata={"ecoembed": '{"format": 2, "probes": ' + '{"a":' * 100_000})
    with pytest.raises(WeightsError, match="damaged"):
        load_encoder(written)


def test_any_registered_sensors_make_a_model(encoder, tmp_path, monkeypatch):
    rain = Sensor("RAIN-1", "rain", (Band("SUM", 0, 1000),), "mm d-1", (0.0, 200.0), 1.0, -1)
    monkeypatch.setitem(SENSORS, rain.name, rain)
    more = {
        "HLS": sensor_card("HLS", Normalisation(0, 1, (0.2,) * 6, (0.1,) * 6)),
        rain.name: sensor_card(rain.name, Normalisation(0, 200, (2.0,), (5.0,))),
    }
    assert more["HLS"].max_gap_days == HLS.max_gap_days
    assert more[rain.name].code == code_size(rain.name) == 6
    card = encoder.card.model_copy(update={"sensors": {**encoder.card.sensors, **more}})
    path = save_weights(random_model(1, card.sensors), card, tmp_path / "four.safetensors")
    model, again = read_weights(path)
    assert model.sensors == tuple(again.sensors) == ("S2_L2A", "S1", "HLS", "RAIN-1")
    assert weights_hash(model, again) == weights_hash(random_model(1, card.sensors), card)
    monkeypatch.delitem(SENSORS, rain.name)
    with pytest.raises(WeightsError, match="RAIN-1; expected S2_L2A, S1, HLS"):
        read_weights(path)


def test_a_sensor_whose_name_cannot_name_tensors_is_refused_before_training(monkeypatch):
    monkeypatch.setitem(SENSORS, "MY.SAT", HLS)
    with pytest.raises(ConfigError, match=r"MY\.SAT"):
        sensor_card("MY.SAT", Normalisation(0, 1, (0.2,) * 6, (0.1,) * 6))


def test_the_hash_sees_the_calibration_of_the_error_and_the_order_of_the_sensors(encoder):
    card = encoder.card.model_copy(update={"error_calibration": ((0.0, 0.1),)})
    turned = encoder.card.model_copy(update={"sensors": dict(reversed(encoder.card.sensors.items()))})
    assert len({weights_hash(encoder.model, c) for c in (encoder.card, card, turned)}) == 3


def test_the_default_weights_ship_small_and_say_what_they_were_trained_on():
    encoder = load_encoder()
    assert default_weights().stat().st_size < 5e6
    assert encoder.weights == weights_hash(encoder.model, encoder.card)
    virtual = [p for p in encoder.card.places if p.id.startswith("XX-")]
    assert virtual
    assert len(virtual) < len(encoder.card.places)
    # the demo's own towers are no training places
    assert not any(p.id.startswith("XX-V") for p in virtual)
    text = (default_weights().parent / "default.md").read_text(encoding="utf-8")
    assert text == model_card(encoder.card, encoder.weights, "default")
    assert all(p.id in text for p in encoder.card.places)


def test_random_keeps_the_normalisation_of_the_default():
    assert load_encoder("random").card == load_encoder("default").card
    assert load_encoder("random").weights != load_encoder("default").weights
