"""What is trained of each architecture: its model, its card, and its stages in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import nn

from ecoembed.embeddings.card import ModelCard, SensorCard, sensor_card
from ecoembed.embeddings.encode import Encoder
from ecoembed.embeddings.reference.card import reference_card
from ecoembed.embeddings.reference.encode import ReferenceEncoder
from ecoembed.embeddings.reference.model import CODES
from ecoembed.embeddings.training import dense_stages, reference_stages
from ecoembed.embeddings.training.places import Place, fit_normalisation
from ecoembed.embeddings.training.stage import Stage
from ecoembed.embeddings.weights import TwoStage
from ecoembed.errors import VariableError

Kept = tuple[TwoStage, ModelCard]

_NOTES = {
    "paper": "Absolute error and spectral angle of the window around what is embedded, weighted by the distance from "
    "its pixel and date (Peters et al. 2025, without the 2 % of structural similarity), with sensors withheld; the "
    "likelihood of the expected error.",
    "context": "Absolute error (of Sentinel-2 the spectral angle, too) of what is embedded, of its previous and next "
    "clear date and of pixels beside it, with frames, weeks, bands and sensors hidden; what a straight line reads of "
    "it; the likelihood of the expected error.",
}


class Recipe(Protocol):
    """One architecture under training.

    Attributes
    ----------
    card : ModelCard
        All that is known before training.
    """

    card: ModelCard
    learning_rate: float

    @property
    def model(self) -> nn.Module: ...

    def stages(self) -> Iterator[Stage]:
        """The stages; each is made once the one before is trained."""

    def encoder(self, card: ModelCard) -> Encoder | ReferenceEncoder:
        """What was trained, to be used."""


class Dense:
    """The dense encoder; encoders that are `kept` are taken over with their normalisation."""

    learning_rate = dense_stages.LEARNING_RATE

    def __init__(self, places: list[Place], sensors: tuple[str, ...], kept: Kept | None, facts: dict[str, Any]) -> None:
        old = {name: card for name, card in kept[1].sensors.items() if name in sensors} if kept else {}
        self.new = [name for name in sensors if name not in old]
        fitted = {name: _sensor_card(places, name) for name in self.new}
        for name, card in old.items():
            _check_kept(places, name, card)
        steps = dict.fromkeys([*self.new, "fusion"], facts.pop("steps"))
        note = _NOTES[facts["objective"]]
        cards = {name: {**old, **fitted}[name] for name in sensors}
        self.card = ModelCard(sensors=cards, steps=steps, objective_note=note, **facts)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(facts["seed"])
            self.model = TwoStage(cards)
        if kept:
            for name in old:
                self.model.encoder(name).load_state_dict(kept[0].encoder(name).state_dict())
                self.model.decoder(name).load_state_dict(kept[0].decoder(name).state_dict())

    def stages(self) -> Iterator[Stage]:
        """Each new sensor alone, then the fusion."""
        for name in self.new:
            yield dense_stages.SensorStage(self.model, name, self.card.objective)
        yield dense_stages.FusionStage(self.model, self.card.objective, self.card.stage2 == "fine-tuned")

    def encoder(self, card: ModelCard) -> Encoder:
        """The dense encoder."""
        return Encoder(self.model, card)


def _sensor_card(places: list[Place], name: str) -> SensorCard:
    norm = fit_normalisation([place for place in places if place.card.role == "train"], name)
    return sensor_card(name, norm, places[0].smoothing[name], _quantity(places, name))


def _quantity(places: list[Place], name: str) -> str | None:
    """What the cubes of a sensor declare to be, if any does."""
    return next((place.quantity[name] for place in places if place.quantity[name]), None)


def _check_kept(places: list[Place], name: str, card: SensorCard) -> None:
    """Refuse places whose cubes are not what an encoder that is kept was trained on."""
    quantity = card.quantity and _quantity(places, name)  # refused only where both are declared
    facts = {"smoothing": places[0].smoothing[name], "quantity": quantity or card.quantity}
    for key, found in facts.items():
        if found != (expected := getattr(card, key)):
            what = f"{name} is of another {key} than the encoder that is kept knows"
            raise VariableError(what, found=found or "none", expected=expected or "none")


class Reference:
    """The reference encoder, as the paper trains it."""

    learning_rate = reference_stages.LEARNING_RATE

    def __init__(self, places: list[Place], facts: dict[str, Any]) -> None:
        steps = dict.fromkeys([*CODES, "fusion"], facts.pop("steps"))
        self.model = reference_stages.new_model(facts["seed"])
        known = {"smoothing": places[0].smoothing["S1"], "quantity": _quantity(places, "S1")}
        self.card = reference_card("time", **known, steps=steps, **facts)

    def stages(self) -> Iterator[Stage]:
        """Each sensor alone, then the fusion."""
        for name in CODES:
            yield reference_stages.SensorStage(self.model, name)
        yield reference_stages.FusionStage(self.model, self.card.stage2 == "fine-tuned")

    def encoder(self, card: ModelCard) -> ReferenceEncoder:
        """The reference encoder."""
        return ReferenceEncoder(self.model, card)
