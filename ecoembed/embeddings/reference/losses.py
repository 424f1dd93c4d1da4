"""The loss of the paper over whole patches: absolute error, structural similarity and spectral angle.

Absolute error and spectral angle weigh most what lies near the centre pixel and the centre date. Values are in the
method's units, in which a sensor's valid range is 0 to 1.

Sources: Peters et al. (2025), arXiv 2511.11706, and its public code; Wang et al. (2004), doi 10.1109/TIP.2003.819861,
for the structural similarity; Kruse et al. (1993), doi 10.1016/0034-4257(93)90013-N, for the spectral angle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ecoembed.embeddings.batches import FRAMES, MARGIN


@dataclass(frozen=True)
class Coefficients:
    """Weights of the three terms, and that of the centre pixel at the centre date."""

    mae: float
    ssim: float
    sam: float
    centre: float


#: (stage, sensor) -> coefficients.
COEFFICIENTS: dict[tuple[str, str], Coefficients] = {
    ("sensor", "S1"): Coefficients(1.0, 0.0, 0.0, 1.0),
    ("sensor", "S2_L2A"): Coefficients(0.33, 0.02, 0.65, 1.0),
    ("fusion", "S1"): Coefficients(1.0, 0.0, 0.0, 1.5),
    ("fusion", "S2_L2A"): Coefficients(0.665, 0.02, 0.315, 1.75),
}


class Loss(NamedTuple):
    """The total, its terms (0 where their coefficient is), and the error that training stops by."""

    total: Tensor
    mae: Tensor
    ssim: Tensor
    sam: Tensor
    centre_mae: Tensor


def reference_loss(predicted: Tensor, observed: Tensor, valid: Tensor, c: Coefficients) -> Loss:
    """The loss of one sensor.

    Parameters
    ----------
    predicted, observed : Tensor (n, 11, band, 15, 15)
        Nothing missing: where `observed` was not, it is filled.
    valid : Tensor (n, 11, band, 15, 15), bool
        What was observed.
    c : Coefficients

    Returns
    -------
    Loss
        ``sam`` in radians; ``centre_mae`` over all bands of the centre pixel at the centre date, valid or not.
    """
    weight = weight_map(c.centre).to(predicted)
    none = predicted.new_zeros(())
    mae = weighted_mae(predicted, observed, valid, weight) if c.mae else none
    ssim = 1 - structural_similarity(predicted, observed) if c.ssim else none
    sam = weighted_angle(predicted, observed, valid, weight) if c.sam else none
    centre = (predicted - observed)[:, FRAMES // 2, :, MARGIN, MARGIN].abs().mean()
    return Loss(c.mae * mae + c.ssim * ssim + c.sam * sam, mae, ssim, sam, centre)


def fusion_loss(predicted: dict[str, Tensor], observed: dict[str, Tensor], valid: dict[str, Tensor]) -> Tensor:
    """Half of each sensor's loss, with the coefficients of stage 2; arguments by sensor as of `reference_loss`."""
    losses = [
        reference_loss(predicted[name], observed[name], valid[name], COEFFICIENTS["fusion", name]).total
        for name in predicted
    ]
    return torch.stack(losses).mean()


def weight_map(centre: float) -> Tensor:
    """Weights (11, 15, 15) of frame and pixel, not normalised; that of the centre is `centre`.

    Examples
    --------
    >>> w = weight_map(1.5)
    >>> [round(float(x), 6) for x in (w[5, 7, 7], w[5, 7, 8], w[5, 9, 8], w[4, 7, 7])]
    [1.5, 0.01, 0.001, 0.1]
    """
    away = (torch.arange(2 * MARGIN + 1, dtype=torch.float64) - MARGIN).abs()
    r = torch.maximum(away[:, None], away[None, :])
    space = torch.where(r == 0, 1.0, 0.01 * 0.1 ** (r - 1))
    rank = (torch.arange(FRAMES, dtype=torch.float64) - FRAMES // 2).abs()
    weight = 0.1 ** rank[:, None, None] * space
    weight[FRAMES // 2, MARGIN, MARGIN] = centre
    return weight


def weighted_mae(predicted: Tensor, observed: Tensor, valid: Tensor, weight: Tensor) -> Tensor:
    """Absolute error over the valid values; the weights of a sample sum to 1 with its missing values."""
    share = weight[:, None] / (weight.sum() * predicted.shape[2])
    return (share * valid * (predicted - observed).abs()).sum() / len(predicted)


def weighted_angle(predicted: Tensor, observed: Tensor, valid: Tensor, weight: Tensor) -> Tensor:
    """Spectral angle in radians over the pixels of the whole batch of which every band is valid; 0 if there is none."""
    a, b = (F.normalize(x, dim=2, eps=1e-8) for x in (predicted, observed))
    # from both chords, not from the cosine: exact and with a bounded gradient at small angles
    apart, along = (((a + sign * b).square().sum(dim=2) + 1e-12).sqrt() for sign in (-1, 1))
    w = weight * valid.all(dim=2)
    return (w * 2 * torch.atan2(apart, along)).sum() / w.sum().clamp(min=1e-12)


def structural_similarity(predicted: Tensor, observed: Tensor) -> Tensor:
    """Mean structural similarity of all frames: Gaussian window of 7 x 7, sigma 1.5, zeros beyond the edge."""
    x, y = predicted.flatten(0, 2)[:, None], observed.flatten(0, 2)[:, None]
    bell = torch.exp(-0.5 * ((torch.arange(7) - 3) / 1.5) ** 2)
    window = torch.outer(bell, bell).to(x)[None, None] / bell.sum() ** 2

    def mean(values: Tensor) -> Tensor:
        return F.conv2d(values, window, padding=3)

    mx, my = mean(x), mean(y)
    c1, c2 = 0.01**2, 0.03**2
    variances = mean(x * x) - mx**2 + mean(y * y) - my**2
    covariance = mean(x * y) - mx * my
    return ((2 * mx * my + c1) * (2 * covariance + c2) / ((mx**2 + my**2 + c1) * (variances + c2))).mean()
