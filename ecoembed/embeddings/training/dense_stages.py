"""The two stages of the dense encoder, as the training loop sees them.

A crop's frames pass the front once; all dates and pixels that are sampled of it share their tokens, and each date has
a hiding of its own. The decoder is asked for a few points around each sample.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from ecoembed.cubes.pairing import nearest
from ecoembed.embeddings import batches
from ecoembed.embeddings.batches import MARGIN, OWN, Frames
from ecoembed.embeddings.card import SensorCard
from ecoembed.embeddings.dense import SensorEncoder
from ecoembed.embeddings.training import hiding
from ecoembed.embeddings.training.hiding import View, draw_view
from ecoembed.embeddings.training.objectives import Question
from ecoembed.embeddings.training.places import Crop
from ecoembed.embeddings.weights import TwoStage

#: The largest, of AdamW.
LEARNING_RATE = 2.5e-3


@dataclass(frozen=True)
class Coded:
    """Codes (centre, pixel, code) of a sensor; days from the date to its acquisition, and which it is, -1 for none."""

    code: Tensor
    gap: np.ndarray
    frame: np.ndarray


def crop_codes(
    encoder: SensorEncoder,
    card: SensorCard,
    frames: list[Frames],
    dates: list[np.ndarray],
    views: list[View],
    rng: np.random.Generator | None,
) -> list[Tensor]:
    """Codes (centre, pixel, code) of each crop at its `dates` (centre,); `rng` hides clouds and bands, None nothing."""
    given, seen = [], []
    for f in frames:
        part = f if rng is None else Frames(f.values, hiding.clouded(f.valid, rng), f.days)
        inputs = batches.standardise(part, card.normalisation)
        given.append(inputs if rng is None else hiding.without_bands(inputs, rng))
        seen.append(part.valid[:, MARGIN:-MARGIN, MARGIN:-MARGIN].flatten(1))
    tokens = encoder.tokens(torch.cat(given)).split([len(f) for f in frames])
    return [
        mixed_codes(encoder, token[:, view.pixels], valid[:, view.pixels], f.days, date, view)
        for f, token, valid, date, view in zip(frames, tokens, seen, dates, views, strict=True)
    ]


def mixed_codes(
    encoder: SensorEncoder, tokens: Tensor, valid: Tensor, days: np.ndarray, dates: np.ndarray, view: View
) -> Tensor:
    """Codes (centre, pixel, code) at the `dates` (centre,), of tokens (time, pixel, 64) of frames at `days` (time,).

    `valid` (time, pixel) says where a frame was observed. The numbers are those of ``codes.sensor_codes``, with
    gradients.
    """
    index, own = batches.neighbours(days, dates, view.window, view.kept), OWN[view.window]
    slot = np.where(index >= 0, index, len(days))  # the last: the missing token
    offset = np.where(index >= 0, np.append(days, 0.0)[slot] - dates[:, None], 0.0)
    frame = torch.from_numpy(slot)
    seen = torch.cat([valid, valid.new_zeros(1, valid.shape[1])])[frame]
    seen[:, own] = True
    tokens = torch.cat([tokens, encoder.missing().to(tokens).expand(1, *tokens.shape[1:])])
    mixing = encoder.mixing
    mixed = mixing(
        tokens[frame[:, own]], *mixing.keys_values(tokens), seen, frame, torch.from_numpy(offset).to(torch.float32)
    )
    return encoder.head(mixed)


class SensorStage:
    """Stage 1: the autoencoder of one sensor."""

    crops, side, consecutive = 4, 12, 28

    def __init__(self, model: TwoStage, name: str, objective: str) -> None:
        self.name, self.objective, self.card = name, objective, model.cards[name]
        self.encoder, self.decoder = model.encoder(name), model.decoder(name)
        self.module = nn.ModuleList([self.encoder, self.decoder])

    def loss(self, crops: list[Crop], rng: np.random.Generator) -> Tensor:
        """The objective, over all samples of the crops."""
        frames = [crop.frames[self.name] for crop in crops]
        views = [draw_view(f, self.objective, rng) for f in frames]
        dates = [f.days[view.own] for f, view in zip(frames, views, strict=True)]
        hide = rng if self.objective == "context" else None
        codes = crop_codes(self.encoder, self.card, frames, dates, views, hide)
        losses = []
        for f, view, date, code in zip(frames, views, dates, codes, strict=True):
            asked = Question("sensor", self.name, self.objective, f, view.own, date, view, rng)
            losses.append(asked.loss(self.decoder, self.card.normalisation, code, self.decoder.expected_error(code)))
        return torch.stack(losses).mean()

    @torch.no_grad()
    def error(self, crops: list[Crop], rng: np.random.Generator) -> float:
        """The same at places that are not trained on."""
        return float(self.loss(crops, rng))


class FusionStage:
    """Stage 2: the fusion and the decoders, on codes of encoders that are frozen, or fine-tuned too."""

    name = "fusion"
    crops, side, consecutive = 4, 12, 28

    def __init__(self, model: TwoStage, objective: str, finetune: bool = False) -> None:
        self.model, self.objective, self.finetune = model, objective, finetune
        self.module = model
        model.encoders.requires_grad_(finetune)

    def loss(self, crops: list[Crop], rng: np.random.Generator) -> Tensor:
        """The objective, over all samples of the crops: half of it the anchor's, the rest the others'."""
        anchor, *others = self.model.sensors
        views = [draw_view(crop.frames[anchor], self.objective, rng) for crop in crops]
        with torch.set_grad_enabled(self.finetune and torch.is_grad_enabled()):
            coded = {name: self._codes(name, crops, views, rng) for name in self.model.sensors}
        losses = []
        for i, (crop, view) in enumerate(zip(crops, views, strict=True)):
            dates, pixels = crop.frames[anchor].days[view.own], len(view.pixels)
            gaps = hiding.withheld({name: coded[name][i].gap for name in coded}, rng)
            z, error = self.model.fusion.with_error(
                {name: coded[name][i].code.flatten(0, 1) for name in coded},
                {name: torch.from_numpy(np.repeat(gap, pixels)) for name, gap in gaps.items()},
            )
            for name in self.model.sensors:
                share = 0.5 if name == anchor else 0.5 / len(others)
                frame = coded[name][i].frame
                asked = Question("fusion", name, self.objective, crop.frames[name], frame, dates, view, rng)
                code = self.model.fusion.back[name](z).unflatten(0, (-1, pixels))
                sure = error.unflatten(0, (-1, pixels)) if name == anchor else None
                norm = self.model.cards[name].normalisation
                losses.append(share * asked.loss(self.model.decoder(name), norm, code, sure))
        return torch.stack(losses).sum() / len(crops)

    @torch.no_grad()
    def error(self, crops: list[Crop], rng: np.random.Generator) -> float:
        """The same at places that are not trained on."""
        return float(self.loss(crops, rng))

    def _codes(self, name: str, crops: list[Crop], views: list[View], rng: np.random.Generator) -> list[Coded]:
        """The codes of one sensor at the dates of the anchor."""
        card, anchor = self.model.cards[name], self.model.sensors[0]
        frames, dates, pairs = [crop.frames[name] for crop in crops], [], []
        for crop, view, f in zip(crops, views, frames, strict=True):
            date = crop.frames[anchor].days[view.own]
            if name == anchor:
                pair = view.own, np.zeros(len(date), dtype="float32")
            else:
                pair = nearest(date, f.days, card.max_gap_days, causal=view.window == "causal")
            pairs.append(pair)
            dates.append(f.days[pair[0]] if len(f) else date)
        if name != anchor:
            views = [replace(view, kept=None) for view in views]
        hide = rng if self.objective == "context" else None
        codes = crop_codes(self.model.encoder(name), card, frames, dates, views, hide)
        return [Coded(code, gap, frame) for code, (frame, gap) in zip(codes, pairs, strict=True)]
