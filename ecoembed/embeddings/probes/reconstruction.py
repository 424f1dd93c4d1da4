"""What an embedding holds: the error with which it rebuilds its own centre pixel, beside simple references."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ecoembed.embeddings.batches import MARGIN, Normalisation, physical, scaled
from ecoembed.embeddings.fusion import DIMENSIONS
from ecoembed.embeddings.samples import CodedPlace, Place
from ecoembed.embeddings.weights import TwoStage

#: Pixel-dates drawn from each place.
SAMPLES = 4000


@torch.inference_mode()
def reconstruction(model: TwoStage, norms: dict[str, Normalisation], places: list[Place]) -> dict[str, Any]:
    """Centre-pixel mean absolute error in the method's units (S2: reflectance; S1: (dB + 30) / 35).

    For the places of each role: the embedding (`fused`), the per-band mean, and a PCA to seven components of the 12
    centre values; mean and PCA are fitted on the trained places. Also the effective rank (participation ratio) of z.
    """
    from sklearn.decomposition import PCA

    roles = ("train", "validation")
    drawn = {role: {p.card.id: _centre(model, norms, p) for p in places if p.card.role == role} for role in roles}
    train = np.concatenate([truth for truth, _, _ in drawn["train"].values()])
    mean, pca = train.mean(axis=0), PCA(DIMENSIONS).fit(train)
    scores: dict[str, Any] = {"unit": "S2: reflectance; S1: (dB + 30) / 35", "window": "centred"}
    for role, parts in drawn.items():
        if not parts:
            continue
        truth, fused, z = (np.concatenate(columns) for columns in zip(*parts.values(), strict=True))
        guesses = {"fused": fused, "mean": np.broadcast_to(mean, truth.shape)}
        guesses["pca7"] = pca.inverse_transform(pca.transform(truth))
        table = {name: _errors(truth, guess) for name, guess in guesses.items()}
        by_place = {name: _errors(t, g) for name, (t, g, _) in parts.items() if len(t)}
        eigen = np.linalg.eigvalsh(np.cov(z.T))
        rank = float(eigen.sum() ** 2 / (eigen**2).sum())
        label = "seen-place" if role == "train" else "unseen-place"
        scores[label] = {
            "places": len(parts),
            "centre_mae": table,
            "centre_mae_by_place": by_place,
            "effective_rank": round(rank, 3),
        }
    return scores


def _errors(truth: np.ndarray, guess: np.ndarray) -> dict[str, float]:
    """Mean absolute error of the ten S2 and of the two S1 values."""
    error = np.abs(truth - guess).mean(axis=0)
    return {"S2": round(float(error[:10].mean()), 5), "S1": round(float(error[10:].mean()), 5)}


def _centre(
    model: TwoStage, norms: dict[str, Normalisation], place: Place
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth (n, 12), its reconstruction from z (n, 12) and z (n, 7) at drawn pixel-dates where S1 was paired."""
    rng = np.random.default_rng(0)
    coded = CodedPlace(model, norms, place, ("centred",), rng)
    index, gap = coded.pairs["centred"]
    clear = coded.clear[index[coded.clear[:, 0]] >= 0]
    if not len(clear):
        return np.empty((0, 12)), np.empty((0, 12)), np.empty((0, DIMENSIONS))
    time, pixel = clear[rng.integers(len(clear), size=SAMPLES)].T
    optical, radar = coded.codes["centred"]
    z = model.fusion(optical[time, pixel], radar[time, pixel], torch.from_numpy(gap[time]))
    y, x = (torch.from_numpy(k + MARGIN) for k in np.divmod(pixel, coded.side))
    origin = torch.zeros(SAMPLES, 1), torch.zeros(1, 2)
    truth, guess = [], []
    for name, frame in (("S2_L2A", time), ("S1", index[time])):
        values = coded.frames[name].values[torch.from_numpy(frame), :, y, x]
        truth.append(scaled(values, norms[name]))
        guess.append(physical(model.decoder(name)(model.fusion.back[name](z), *origin)[:, 0], norms[name]))
    return torch.cat(truth, dim=1).numpy(), torch.cat(guess, dim=1).numpy(), z.numpy()
