"""The two objectives of the dense encoder: what its decoder is asked of a sample, and what an error costs.

``paper`` asks for the window around the sample, weighted as in the paper (:func:`weight_map`), over the values that are
valid. Only the points of weight >= 0.001 count: 47 of 2 475, which hold 99.3 % of the weight; each step evaluates the
decoder at the three heaviest and at a draw of the others. SSIM, which has a coefficient of 0.02 for Sentinel-2 and
needs whole patches, is left out here.

``context`` asks, of codes from which frames were hidden (:mod:`hiding`), for the sample itself, its previous and next
clear date and a few pixels beside it; and for the sample once more, read of the code in a straight line.

With both, the code learns what error is to be expected of it.

Source: Peters et al. (2025), arXiv 2511.11706, for ``paper``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecoembed import units
from ecoembed.embeddings.batches import FRAMES, MARGIN, MAX_OFFSET_DAYS, Frames, Normalisation, physical, scaled
from ecoembed.embeddings.dense import Decoder
from ecoembed.embeddings.reference.losses import COEFFICIENTS, Coefficients, weight_map
from ecoembed.embeddings.training.hiding import View
from ecoembed.sensors import get_sensor

OBJECTIVES = ("paper", "context")
#: `context`: weight of the previous and of the next clear date, and of all neighbours together; their number and reach.
NEXT, BESIDE = 0.2, 0.1
#: Weight of a radar's own acquisition, and of those before and after it, which do not share its speckle.
SPECKLED = 1.0, 0.5
NEIGHBOURS, REACH = 3, 3
#: `paper`: points drawn at each step, beside the three heaviest.
POINTS = 12
#: Weight of the likelihood of the error that is expected, beside the error itself.
SURE = 0.03
#: Weight of the error of what is read of a code in a straight line; nothing of a radar, for its speckle's sake.
STRAIGHT = 1.0


@dataclass(frozen=True)
class Points:
    """Where the loss is evaluated, relative to the centre: `rank` in acquisitions, `dyx` in pixels."""

    rank: np.ndarray
    dyx: np.ndarray
    weight: np.ndarray

    def drawn(self, n: int, rng: np.random.Generator) -> Points:
        """The points of weight >= 0.1 and `n` of the others, whose weight grows so that the expected loss stays."""
        heavy = np.flatnonzero(self.weight >= 0.1 * (1 - 1e-9))
        light = np.setdiff1d(np.arange(len(self.weight)), heavy)
        chosen = np.concatenate([heavy, rng.choice(light, size=n, replace=False)])
        share = np.where(self.weight[chosen] >= 0.1 * (1 - 1e-9), 1.0, len(light) / n)
        return Points(self.rank[chosen], self.dyx[chosen], self.weight[chosen] * share)


def loss_points(centre_weight: float = 1.0, threshold: float = 1e-3) -> Points:
    """The points whose weight is at least `threshold`, with the weight of the centre set to `centre_weight`."""
    weight = weight_map(centre_weight).numpy()
    rank, y, x = np.nonzero(weight >= threshold * (1 - 1e-9))
    return Points(rank - FRAMES // 2, np.stack([y, x], axis=-1) - MARGIN, weight[rank, y, x])


#: `context`: an error counts in standard deviations of its band, so that red weighs as much as near infrared.
CONTEXT: dict[str, Coefficients] = {"S2_L2A": Coefficients(mae=1.0, ssim=0.0, sam=2.0, centre=1.0)}
#: Of sensors that are not listed, here or in the paper: no angle between bands that need not be a spectrum.
PLAIN = Coefficients(mae=1.0, ssim=0.0, sam=0.0, centre=1.0)


def weighted_loss(
    predicted: Tensor,
    observed: Tensor,
    valid: Tensor,
    weight: Tensor,
    c: Coefficients,
    unit: Tensor | float = 1.0,
) -> Tensor:
    """Weighted MAE, and the weighted spectral angle in radians.

    Parameters
    ----------
    predicted, observed : Tensor (n, point, band)
        In the method's units: values scaled by the sensor's valid range to 0..1.
    valid : Tensor (n, point), bool
    weight : Tensor (point,)
    c : Coefficients
    unit : float or Tensor (band,)
        Of the absolute error, in the method's units.
    """
    w = weight * valid
    w = w / w.sum(dim=1, keepdim=True).clamp(min=1e-12)
    loss = c.mae * (w[..., None] * ((predicted - observed) / unit).abs()).sum(dim=1).mean()
    if c.sam:
        spectra = torch.nn.functional.normalize(torch.stack([predicted, observed]), dim=-1, eps=1e-6)
        # the chord, not acos of the cosine: exact and with a bounded gradient at small angles
        chord = ((spectra[0] - spectra[1]).square().sum(-1) + 1e-12).sqrt()
        angle = 2 * torch.asin((chord / 2).clamp(max=1 - 1e-6))
        loss = loss + c.sam * (w * angle).sum(dim=1).mean()
    return loss


@dataclass(frozen=True)
class Targets:
    """What the decoder must say of each sample: frames (n, point), -1 where there is none, at `dyx` (point, 2) px.

    Point `own` is the sample's own date and pixel.
    """

    frame: np.ndarray
    dyx: np.ndarray
    weight: np.ndarray
    own: int = 0


def paper_targets(own: np.ndarray, frames: int, points: Points, causal: bool) -> Targets:
    """The points around each sample's own frame `own` (n,), by rank among all `frames`; none later if `causal`."""
    frame = own[:, None] + points.rank[None]
    there = (frame >= 0) & (frame < frames) & ~(causal & (points.rank > 0))
    centre = int(np.flatnonzero((points.rank == 0) & (points.dyx == 0).all(axis=1))[0])
    return Targets(np.where(there, frame, -1), points.dyx, points.weight, centre)


def is_radar(sensor: str) -> bool:
    """Whether a sensor's values carry speckle."""
    return get_sensor(sensor).unit == units.BACKSCATTER


def context_targets(
    own: np.ndarray, pixel: np.ndarray, valid: np.ndarray, sensor: str, rng: np.random.Generator
) -> Targets:
    """Each sample's own frame, its previous and next clear one, and neighbours of the pixel in its own frame.

    Parameters
    ----------
    own, pixel : np.ndarray (n,)
        Frame and pixel of each sample.
    valid : np.ndarray (time, pixel), bool
    sensor : str
        Of radar, as much weight lies on the acquisitions before and after as on its own, whose speckle is no signal.
    rng : np.random.Generator
    """
    time = len(valid)
    frames = np.arange(time)[:, None]
    none = np.full((1, valid.shape[1]), -1)
    previous = np.concatenate([none, np.maximum.accumulate(np.where(valid, frames, -1), axis=0)[:-1]])
    after = np.where(valid, frames, time)[::-1]
    following = np.concatenate([np.minimum.accumulate(after, axis=0)[::-1][1:], none + 1 + time])
    following[following == time] = -1
    frame = np.stack([own, previous[own, pixel], following[own, pixel], *[own] * NEIGHBOURS], axis=1)
    dyx = np.zeros((3 + NEIGHBOURS, 2), dtype=int)
    dyx[3:] = rng.integers(-REACH, REACH + 1, size=(NEIGHBOURS, 2))
    here, near = SPECKLED if is_radar(sensor) else (1.0, NEXT)
    weight = np.array([here, near, near, *[BESIDE / NEIGHBOURS] * NEIGHBOURS])
    return Targets(frame, dyx, weight)


def observed(frames: Frames, targets: Targets, yx: np.ndarray, dates: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Values (n, point, band), valid (n, point) and days from `dates` (n,) of the targets of the pixels `yx` (n, 2).

    `frames` are MARGIN px wider all round than the image in which `yx` counts.
    """
    frame = targets.frame.clip(0)
    days = np.where(targets.frame >= 0, frames.days[frame] - dates[:, None], 0.0)
    there = (targets.frame >= 0) & (np.abs(days) <= MAX_OFFSET_DAYS)
    y, x = (torch.from_numpy(yx[:, None, k] + MARGIN + targets.dyx[None, :, k]) for k in (0, 1))
    f = torch.from_numpy(frame)
    valid = frames.valid[f, y, x] & torch.from_numpy(there)
    return frames.values[f, :, y, x], valid, torch.from_numpy(days).float()


def error_loss(expected: Tensor, predicted: Tensor, observed: Tensor) -> Tensor:
    """Laplace likelihood of the mean error of the bands, which is not changed by it; (n,) and twice (n, band)."""
    error = (predicted - observed).abs().mean(dim=-1).detach()
    return (expected.log() + error / expected).mean()


class Question:
    """What the decoder of one sensor is asked of the samples of one crop, and what it should have said.

    Parameters
    ----------
    stage : {"sensor", "fusion"}
    sensor, objective : str
    frames : Frames
        MARGIN px wider all round than the image.
    own : np.ndarray (centre,)
        The sensor's frame at (or nearest to) each date, -1 where there is none.
    dates : np.ndarray (centre,)
        Days from which the decoder counts.
    view : View
    rng : np.random.Generator
    """

    def __init__(
        self,
        stage: str,
        sensor: str,
        objective: str,
        frames: Frames,
        own: np.ndarray,
        dates: np.ndarray,
        view: View,
        rng: np.random.Generator,
    ) -> None:
        inner = frames.valid[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        valid = inner.flatten(1)[:, view.pixels].numpy()
        centre, pixel = np.nonzero(valid[own] & (own >= 0)[:, None]) if len(frames) else np.empty((2, 0), dtype=int)
        self.standard = objective == "context"
        self.straight = 0.0 if is_radar(sensor) else STRAIGHT
        if objective == "context":
            self.coefficients = CONTEXT.get(sensor, PLAIN)
            targets = context_targets(own[centre], pixel, valid, sensor, rng)
        else:
            self.coefficients = COEFFICIENTS.get((stage, sensor), PLAIN)
            points = loss_points(self.coefficients.centre).drawn(POINTS, rng)
            targets = paper_targets(own[centre], len(frames), points, view.window == "causal")
        yx = np.stack(np.divmod(view.pixels[pixel], inner.shape[2]), axis=-1)
        self.samples = torch.from_numpy(centre), torch.from_numpy(pixel)
        self.values, self.valid, self.days = observed(frames, targets, yx, dates[centre])
        self.dyx, self.weight = (torch.from_numpy(a).float() for a in (targets.dyx, targets.weight))
        self.own = targets.own

    def loss(self, decoder: Decoder, norm: Normalisation, code: Tensor, expected: Tensor | None) -> Tensor:
        """The loss of codes (centre, pixel, code), and of the errors (centre, pixel) that they expect."""
        code = code[self.samples]
        predicted = physical(decoder(code, self.days, self.dyx).float(), norm)
        wanted = scaled(self.values, norm)
        if not len(wanted):
            return predicted.sum()  # every sampled pixel was cloudy
        unit = torch.tensor(norm.std) / (norm.high - norm.low) if self.standard else 1.0
        loss = weighted_loss(predicted, wanted, self.valid, self.weight, self.coefficients, unit)
        if self.standard and self.straight:
            straight = physical(decoder.straight(code).float(), norm)
            loss = loss + self.straight * ((straight - wanted[:, self.own]) / unit).abs().mean()
        if expected is not None:
            sure = expected[self.samples].float()
            loss = loss + SURE * error_loss(sure, predicted[:, self.own], wanted[:, self.own])
        return loss
