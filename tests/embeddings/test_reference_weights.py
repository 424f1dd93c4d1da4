"""Weights of the reference encoder, ours and the authors', behind the one door: load_encoder."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import ecoembed
from ecoembed.embeddings.reference import ReferenceEncoder, random_reference
from ecoembed.embeddings.reference.card import reference_card
from ecoembed.embeddings.reference.checkpoint import official_name
from ecoembed.embeddings.weights import save_weights
from ecoembed.errors import VariableError, WeightsError

from .conftest import make_cube


@pytest.fixture(scope="module")
def cubes():
    return make_cube("S2_L2A", n=11, side=2, cloud=0.0), make_cube("S1", n=11, side=2, cloud=0.0)


@pytest.mark.parametrize("axis", ["time", "batch"])
def test_what_is_saved_is_read_back(tmp_path, axis):
    model = random_reference(5, axis)
    card = reference_card(axis, smoothing="trailing", steps={"fusion": 3}, seed=5)
    path = save_weights(model, card, tmp_path / "reference.safetensors")
    encoder = ecoembed.load_encoder(path)
    assert isinstance(encoder, ReferenceEncoder)
    assert encoder.card == card
    assert (encoder.model.axis, encoder.card.windows, encoder.card.architecture) == (axis, ("centred",), "reference")
    state = encoder.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert encoder.weights == ReferenceEncoder(model, card).weights


def test_the_authors_checkpoint_is_read_and_its_places_are_unknown(tmp_path, cubes):
    model = random_reference(5, "batch")
    state = {official_name(name): tensor.clone() for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "authors.ckpt")
    encoder = ecoembed.load_encoder(tmp_path / "authors.ckpt")
    assert (encoder.card.places_known, encoder.card.places, encoder.card.axis) == (False, (), "batch")
    assert encoder.random(1).weights != encoder.weights
    assert encoder.random(1).card.axis == "batch"
    state.popitem()
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(WeightsError, match="1 tensors missing"):
        ecoembed.load_encoder(tmp_path / "state.pt")
    (tmp_path / "short.ckpt").write_bytes((tmp_path / "authors.ckpt").read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"short\.ckpt: neither a checkpoint"):
        ecoembed.load_encoder(tmp_path / "short.ckpt")


def test_the_card_says_how_values_enter(cubes):
    """(value - mean) / std is what the patches hold."""
    card = ReferenceEncoder(random_reference(0)).card.sensors
    assert {name: (c.code, c.clip, set(c.mean), set(c.std)) for name, c in card.items()} == {
        "S2_L2A": (9, (0.0, 1.0), {0.0}, {1.0}),
        "S1": (2, (-30.0, 5.0), {-30.0}, {35.0}),
    }
    assert card["S1"].smoothing == "centred mean of 3 acquisitions in linear power"


def test_weights_ask_for_the_smoothing_that_they_were_trained_with(cubes):
    s2, s1 = cubes
    model = random_reference(0)
    smoothed = s1.assign_attrs(smoothing="trailing")
    trailing, plain = (ReferenceEncoder(model, reference_card("time", smoothing=s)) for s in ("trailing", None))
    z = trailing.encode(s2, smoothed)
    assert z.attrs["smoothing"] == "trailing"
    assert abs(plain.encode(s2, s1) - z).max() == 0  # the values are the same
    for encoder, cube in ((trailing, s1), (plain, smoothed)):
        with pytest.raises(VariableError, match="not smoothed as it was in training"):
            encoder.encode(s2, cube)
    assert len({trailing.weights, plain.weights, ReferenceEncoder(model).weights}) == 3


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda card, state: (card.model_copy(update={"axis": None}), state), "no card of a reference encoder"),
        (lambda card, state: (card.model_copy(update={"architecture": "dense"}), state), "another architecture"),
        (lambda card, state: (card, {k: v for k, v in state.items() if "narrow" not in k}), "another architecture"),
        (lambda card, state: (card, state | {"fusion.norm.bias": torch.full((128,), torch.nan)}), "NaN"),
    ],
)
def test_other_files_are_refused(tmp_path, edit, says):
    card, state = edit(reference_card("time"), dict(random_reference(0).state_dict()))
    path = tmp_path / "odd.safetensors"
    save_file(state, path, metadata={"ecoembed": card.model_dump_json()})
    with pytest.raises(WeightsError, match=f"odd.safetensors: .*{says}"):
        ecoembed.load_encoder(path)
    with safe_open(path, framework="pt") as file:
        assert "ecoembed" in file.metadata()
