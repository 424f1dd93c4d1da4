"""The two stages of the reference encoder, as the training loop sees them.

A sample is what Peters et al. (2025) take: 11 of 20 consecutive dates of Sentinel-2, sorted, the sixth of which is the
centre; the acquisition of Sentinel-1 that is nearest to each; 15 x 15 pixels around one that was seen at the centre.
Sixteen samples make a step, each from a crop of its own.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ecoembed.cubes.pairing import nearest
from ecoembed.embeddings.batches import FRAMES, MARGIN
from ecoembed.embeddings.card import ANCHOR
from ecoembed.embeddings.reference.losses import COEFFICIENTS, Loss, fusion_loss, reference_loss
from ecoembed.embeddings.reference.model import CODES, MAX_SPAN_DAYS, Axis, ReferenceModel
from ecoembed.embeddings.reference.patches import HALF, Patches, Samples, samples
from ecoembed.embeddings.training.places import Crop

#: Of the paper; weight decay and the clipping of gradients are the loop's own, and the paper's.
LEARNING_RATE = 1e-4
#: Draws from one crop until a sample has a clear centre and a span that the model knows.
TRIES = 8


def new_model(seed: int, axis: Axis = "time") -> ReferenceModel:
    """The architecture with the weights from which training starts: torch's own, as the authors'."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ReferenceModel(axis)


class SensorStage:
    """Stage 1: the autoencoder of one sensor.

    Parameters
    ----------
    model : ReferenceModel
    name : {"S1", "S2_L2A"}
    """

    crops, side, consecutive = 16, 8, 20

    def __init__(self, model: ReferenceModel, name: str) -> None:
        self.name, self.module = name, model.sensor(name).requires_grad_(True)

    def loss(self, crops: list[Crop], rng: np.random.Generator) -> Tensor:
        """The paper's loss over whole patches, one of each crop; 0 where none shows anything."""
        found = self._loss(crops, rng)
        return found.total if found else torch.zeros(())

    @torch.no_grad()
    def error(self, crops: list[Crop], rng: np.random.Generator) -> float:
        """Absolute error of the centre pixel at the centre date, values 0 to 1; NaN where no crop shows anything."""
        found = self._loss(crops, rng)
        return float(found.centre_mae) if found else float("nan")

    def _loss(self, crops: list[Crop], rng: np.random.Generator) -> Loss | None:
        drawn = draw_samples(crops, (self.name,), rng)
        if drawn is None:
            return None
        frames, valid, days = (part[self.name] for part in (drawn.frames, drawn.valid, drawn.days))
        rebuilt = self.module.decode(self.module.encode(frames, days), days).float()
        return reference_loss(rebuilt, frames, valid.expand_as(frames), COEFFICIENTS["sensor", self.name])


class FusionStage:
    """Stage 2: the fusion; what stage 1 trained stays as it is, or is trained further as the authors' script does.

    Parameters
    ----------
    model : ReferenceModel
    finetune : bool
        Whether encoders and decoders are trained, too. Frozen, they are used as they are in inference, without dropout.
    """

    name = "fusion"
    crops, side, consecutive = 16, 8, 20

    def __init__(self, model: ReferenceModel, finetune: bool = False) -> None:
        self.model = model.eval()
        self.module = model if finetune else model.fusion
        model.sensors.requires_grad_(finetune)

    def loss(self, crops: list[Crop], rng: np.random.Generator) -> Tensor:
        """Half of each sensor's loss over whole patches, one of each crop; 0 where none shows anything."""
        drawn = draw_samples(crops, tuple(CODES), rng)
        if drawn is None:
            return torch.zeros(())
        valid = {name: drawn.valid[name].expand_as(frames) for name, frames in drawn.frames.items()}
        return fusion_loss(self._rebuilt(drawn), drawn.frames, valid)

    @torch.no_grad()
    def error(self, crops: list[Crop], rng: np.random.Generator) -> float:
        """Mean over the sensors of the absolute error of the centre pixel at the centre date, values 0 to 1."""
        drawn = draw_samples(crops, tuple(CODES), rng)
        if drawn is None:
            return float("nan")
        apart = [(r - drawn.frames[name])[:, HALF, :, MARGIN, MARGIN] for name, r in self._rebuilt(drawn).items()]
        return float(torch.stack([a.abs().mean() for a in apart]).mean())

    def _rebuilt(self, drawn: Samples) -> dict[str, Tensor]:
        z = self.model.encode(drawn.frames, drawn.days, drawn.gap)
        return {name: frames.float() for name, frames in self.model.reconstruct(z, drawn.days).items()}


def draw_samples(crops: list[Crop], sensors: tuple[str, ...], rng: np.random.Generator) -> Samples | None:
    """One sample of each crop that has one, of all `sensors`; None if none has.

    A crop has none if it holds fewer than 11 dates of Sentinel-2 or no acquisition of a sensor, if no pixel was seen
    by all sensors at the centre, or if its frames span more days than the model knows.
    """
    drawn = [one for crop in crops if (one := _draw_sample(crop, sensors, rng)) is not None]
    if not drawn:
        return None
    frames, valid, days = (
        {name: torch.cat([part[name] for part in parts]) for name in sensors}
        for parts in ([one.frames for one in drawn], [one.valid for one in drawn], [one.days for one in drawn])
    )
    return Samples(frames, valid, days, torch.cat([one.gap for one in drawn]))


def _draw_sample(crop: Crop, sensors: tuple[str, ...], rng: np.random.Generator) -> Samples | None:
    if len(crop.frames[ANCHOR]) < FRAMES or not all(len(crop.frames[name]) for name in sensors):
        return None
    anchor = crop.frames[ANCHOR].days
    patches = {name: Patches(crop.frames[name], name) for name in sensors}
    for _ in range(TRIES):
        dates = anchor[_draw_dates(anchor, rng)]
        rows = {name: nearest(dates, crop.frames[name].days, np.inf)[0] for name in sensors}
        if max(np.ptp(p.days[rows[name]]) for name, p in patches.items()) >= MAX_SPAN_DAYS:
            continue
        inside = slice(MARGIN, -MARGIN)
        seen = np.all([p.observed[rows[name][HALF], inside, inside] for name, p in patches.items()], axis=0)
        if seen.any():
            y, x = rng.choice(np.argwhere(seen), size=1).T + MARGIN
            return samples(patches, {name: r[None] for name, r in rows.items()}, y, x)
    return None


def _draw_dates(days: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Eleven of the dates, sorted; successive ones where those drawn span too long."""
    dates = np.sort(rng.choice(len(days), size=FRAMES, replace=False))
    if np.ptp(days[dates]) >= MAX_SPAN_DAYS:
        return np.arange(FRAMES) + int(rng.integers(0, len(days) - FRAMES + 1))
    return dates
