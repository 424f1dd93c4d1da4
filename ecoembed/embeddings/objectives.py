"""The context-aware loss: what lies near the centre pixel and the centre date weighs most.

Spatial weight 1 at the centre, else ``0.01 * 0.1 ** (r - 1)`` at Chebyshev distance r; temporal weight
``0.1 ** |rank|``; their product, with the weight of the centre itself set to `c`, normalised over the values that are
valid. Only the points of weight >= 0.001 count: 47 of 2 475, which hold 99.3 % of the weight; each step evaluates the
decoder at the three heaviest and at a draw of the others.

SSIM, which has a coefficient of 0.02 in the paper and needs whole patches, is left out here.

Source: Peters et al. (2025), arXiv 2511.11706.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecoembed.embeddings.batches import FRAMES, MARGIN

OBJECTIVES = ("paper", "context")


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
    half = FRAMES // 2
    rank, dy, dx = np.meshgrid(
        np.arange(-half, half + 1), *(np.arange(-MARGIN, MARGIN + 1),) * 2, indexing="ij", sparse=False
    )
    r = np.maximum(abs(dy), abs(dx))
    weight = np.where(r == 0, 1.0, 0.01 * 0.1 ** np.maximum(r - 1.0, 0)) * 0.1 ** abs(rank)
    keep = weight >= threshold * (1 - 1e-9)
    weight[(rank == 0) & (r == 0)] = centre_weight
    return Points(rank[keep], np.stack([dy[keep], dx[keep]], axis=-1), weight[keep])


@dataclass(frozen=True)
class Coefficients:
    """Weights of the two terms, and that of the centre point."""

    mae: float
    sam: float
    centre: float


#: (stage, sensor) -> coefficients.
COEFFICIENTS: dict[tuple[str, str], Coefficients] = {
    ("sensor", "S1"): Coefficients(1.0, 0.0, 1.0),
    ("sensor", "S2_L2A"): Coefficients(0.33, 0.65, 1.0),
    ("fusion", "S1"): Coefficients(1.0, 0.0, 1.5),
    ("fusion", "S2_L2A"): Coefficients(0.665, 0.315, 1.75),
}


def context_loss(predicted: Tensor, observed: Tensor, valid: Tensor, weight: Tensor, c: Coefficients) -> Tensor:
    """Weighted MAE, and the weighted spectral angle in radians.

    Parameters
    ----------
    predicted, observed : Tensor (n, point, band)
        In the method's units: values scaled by the sensor's valid range to 0..1.
    valid : Tensor (n, point), bool
    weight : Tensor (point,)
    c : Coefficients
    """
    w = weight * valid
    w = w / w.sum(dim=1, keepdim=True).clamp(min=1e-12)
    loss = c.mae * (w[..., None] * (predicted - observed).abs()).sum(dim=1).mean()
    if c.sam:
        unit = torch.nn.functional.normalize(torch.stack([predicted, observed]), dim=-1, eps=1e-6)
        # the chord, not acos of the cosine: exact and with a bounded gradient at small angles
        chord = ((unit[0] - unit[1]).square().sum(-1) + 1e-12).sqrt()
        angle = 2 * torch.asin((chord / 2).clamp(max=1 - 1e-6))
        loss = loss + c.sam * (w * angle).sum(dim=1).mean()
    return loss
