"""Coherence of an embedding over space and time, in whitened z: distances that hardly depend on how z is scaled.

Whitened: each dimension standardised over the trained places, then rotated to the principal axes and each of these
divided by its standard deviation; axes that hold less than 1 % of the variance of the first count as if they held that
much, for noise (of raw values, of which most bands say the same) not to become a dimension like the others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ecoembed.embeddings.probes.places import ProbePlace
from ecoembed.embeddings.probes.views import Views

#: Longest stretch of three dates of the run whose middle is compared with the straight line between the others, days.
STRETCH = 40.0
#: A harvest: NDVI falls by more than this between two dates of the run at most so many days apart.
FALL, FALL_DAYS = 0.25, 20.0
#: Least variance of a principal axis, as a share of the first's.
FLOOR = 0.01
#: Pixels that must have been harvested for a place to count.
HARVESTED = 20

Whiten = Callable[[np.ndarray], np.ndarray]


def whitening(z: np.ndarray) -> Whiten:
    """The whitening of samples z (n, d) of the trained places."""
    mean, std = z.mean(axis=0), z.std(axis=0)
    std = np.where(std > 0, std, 1.0)
    variance, axes = np.linalg.eigh(np.cov(((z - mean) / std).T).reshape(z.shape[1], z.shape[1]))
    scaled = axes / np.sqrt(np.maximum(variance, FLOOR * variance[-1] + 1e-30)) / std[:, None]
    return lambda values: np.asarray((values - mean) @ scaled)


def spatial(place: ProbePlace, views: Views, whiten: Whiten) -> np.ndarray | None:
    """Mean distance of neighbouring pixels of one field, and of those with an edge between, over clear dates."""
    if place.labels is None or "field" not in place.labels:
        return None
    field = place.labels["field"].values
    w = _shown(place, views, whiten).reshape(len(views.run), *field.shape, -1)
    apart = [(np.linalg.norm(np.diff(w, axis=1 + k), axis=-1), np.diff(field, axis=k) != 0) for k in (0, 1)]
    pairs = [
        np.concatenate([distance[:, edge == across].ravel() for distance, edge in apart]) for across in (False, True)
    ]
    pairs = [distance[np.isfinite(distance)] for distance in pairs]
    return np.array([distance.mean() for distance in pairs]) if all(map(len, pairs)) else None


def smoothness(place: ProbePlace, views: Views, whiten: Whiten) -> np.ndarray | None:
    """Mean distance of z to the straight line between the clear dates around it, and from the mean of the place."""
    w, days = _shown(place, views, whiten), place.days[views.run]
    if len(days) < 3:
        return None
    share = ((days[1:-1] - days[:-2]) / (days[2:] - days[:-2]))[:, None, None]
    off = np.linalg.norm(w[1:-1] - (1 - share) * w[:-2] - share * w[2:], axis=-1)
    off = off[days[2:] - days[:-2] <= STRETCH]
    off = off[np.isfinite(off)]
    if not len(off):
        return None
    return np.array([off.mean(), np.nanmean(np.linalg.norm(w - np.nanmean(w, axis=(0, 1)), axis=-1))])


def harvest(place: ProbePlace, views: Views, whiten: Whiten) -> np.ndarray | None:
    """Median step of z between clear dates without a harvest, and mean step with one."""
    w, days, ndvi = _shown(place, views, whiten), place.days[views.run], place.ndvi[views.run]
    step = np.linalg.norm(np.diff(w, axis=0), axis=-1)
    step[np.diff(days) > FALL_DAYS] = np.nan
    known = np.isfinite(step) & np.isfinite(np.diff(ndvi, axis=0))
    fell = known & (np.diff(ndvi, axis=0) < -FALL)
    if fell.sum() < HARVESTED or not (known & ~fell).any():
        return None
    return np.array([np.median(step[known & ~fell]), step[fell].mean()])


def spread(place: ProbePlace, views: Views) -> np.ndarray | None:
    """Mean of z (d) and of its products (d * d) over clear pixel-dates, in one vector."""
    z = views.now.z[place.clear[views.run] & np.isfinite(views.now.z).all(axis=-1)]
    return np.concatenate([z.mean(axis=0), (z.T @ z).ravel() / len(z)]) if len(z) else None


def participation(moments: np.ndarray) -> np.ndarray:
    """Effective rank of z: (sum of the covariance's eigenvalues) ** 2 / sum of their squares; of (..., d + d * d)."""
    d = int((moments.shape[-1] + 0.25) ** 0.5)
    mean, product = moments[..., :d], moments[..., d:].reshape(*moments.shape[:-1], d, d)
    variance = np.linalg.eigvalsh(product - mean[..., :, None] * mean[..., None, :]).clip(min=0)
    return np.asarray(variance.sum(axis=-1) ** 2 / np.maximum((variance**2).sum(axis=-1), 1e-300))


def _shown(place: ProbePlace, views: Views, whiten: Whiten) -> np.ndarray:
    """Whitened z (date, pixel, d) of the run; NaN where the pixel was not clear."""
    return np.where(place.clear[views.run][..., None], whiten(views.now.z), np.nan)
