"""The expected error of an embedding: what was stated against what is found at hidden clear dates.

The error of a pixel and date is the mean absolute error, in reflectance, of the ten bands that the encoder rebuilds
from z. It is found where a clear view was hidden: nothing but the own date, 10, 30 and 60 days; with Sentinel-1 and
without; centred and causal; and where nothing was hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecoembed.embeddings.encode import Encoder
from ecoembed.embeddings.probes.encoders import Probed, probed
from ecoembed.embeddings.probes.places import probe_places
from ecoembed.embeddings.probes.scores import Reduce, estimate
from ecoembed.embeddings.probes.views import Sample, gap_sample, look, rebuilt_sample
from ecoembed.errors import TableError

#: Bins of equal number.
KNOTS, BINS = 24, 10
Knots = tuple[tuple[float, float], ...]


class Pairs:
    """Stated and found errors, by place and by what was hidden."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, list[np.ndarray]]] = {}

    def add(self, place: str, samples: dict[str, Sample]) -> None:
        """Take the pairs of all samples of a place that state an error."""
        for probe, sample in samples.items():
            if sample.error is not None and "decoded" in sample.rivals and len(sample.z):
                found = np.abs(sample.rivals["decoded"] - sample.truth).mean(axis=-1)
                pairs = np.stack([sample.error, found], axis=-1)
                pairs = pairs[np.isfinite(pairs).all(axis=-1)]
                if len(pairs):
                    self._found.setdefault(place, {}).setdefault(probe, []).append(pairs)

    def by_place(self) -> list[np.ndarray]:
        """Pairs (n, 2) of each place: every hiding counts the same, whatever its number of pixels."""
        n = min((len(np.concatenate(p)) for of in self._found.values() for p in of.values()), default=0)
        return [np.concatenate([_thinned(np.concatenate(p), n) for p in of.values()]) for of in self._found.values()]

    def reliability(self, seed: int) -> dict[str, Any]:
        """How far the stated error can be believed.

        Returns
        -------
        dict
            ``ratio`` (mean found / mean stated; 1 at best), ``slope`` (of found on stated), ``rank_correlation``
            (Spearman's, within places), each as an Estimate; ``bins`` (ten of equal number: stated, found, n);
            ``by_hiding`` (stated, found); or ``not_measured`` with the reason.
        """
        by_place = self.by_place()
        if not by_place:
            return {"not_measured": "the encoder states no error"}
        moments = np.stack([_moments(pairs) for pairs in by_place])
        ranks = np.array([[_rank_correlation(pairs)] for pairs in by_place])
        figures: dict[str, tuple[np.ndarray, Reduce]] = {
            "ratio": (moments, lambda m: m[..., 1] / np.maximum(m[..., 0], 1e-12)),
            "slope": (moments, _slope),
            "rank_correlation": (ranks[np.isfinite(ranks).all(axis=1)], lambda m: m[..., 0]),
        }
        hidings = {probe for of in self._found.values() for probe in of}
        return {
            **{name: estimate(of, value, None, seed) for name, (of, value) in figures.items() if len(of)},
            "bins": [
                {"stated": float(b[:, 0].mean()), "found": float(b[:, 1].mean()), "n": len(b)}
                for b in _bins(np.concatenate(by_place), BINS)
            ],
            "by_hiding": {
                h: dict(zip(("stated", "found"), map(float, self._mean(h)), strict=True)) for h in sorted(hidings)
            },
            "unit": "reflectance",
        }

    def _mean(self, hiding: str) -> np.ndarray:
        of = [np.concatenate(p[hiding]).mean(axis=0) for p in self._found.values() if hiding in p]
        return np.asarray(np.mean(of, axis=0))


def calibrate(encoder: Encoder | Probed, places: Sequence[str | Path], *, seed: int = 0) -> Knots:
    """What an encoder's stated error means, measured at places that it was not trained on.

    Parameters
    ----------
    encoder : Encoder or Probed
        A calibration that its card holds already is left out of account.
    places : sequence of path
        Stores of validation places.
    seed : int
        As of :func:`run_probes`, which draws other squares and dates of the same places for it.

    Returns
    -------
    tuple of (float, float)
        For ``card.error_calibration``: error as the fusion states it, ascending, and the mean error found, nowhere
        falling; to be interpolated, and beyond the first and the last to stay as they are.

    Raises
    ------
    TableError
        If there is no place where a date can be hidden.

    Source: isotonic regression (Zadrozny and Elkan 2002) of 24 bins of equal number.
    """
    from sklearn.isotonic import IsotonicRegression

    if isinstance(encoder, Encoder):
        encoder = Encoder(encoder.model, encoder.card.model_copy(update={"error_calibration": ()}))
    pairs = measured_pairs(probed(encoder), places, seed + 1).by_place()
    if not pairs:
        raise TableError("no pixel to calibrate the expected error with", found=f"{len(places)} places")
    means = np.stack([b.mean(axis=0) for b in _bins(np.concatenate(pairs), KNOTS)])
    stated, which = np.unique(means[:, 0], return_inverse=True)
    found = np.array([means[which == k, 1].mean() for k in range(len(stated))])
    rising = np.maximum.accumulate(IsotonicRegression().fit_transform(stated, found))  # it may fall by a rounding
    return tuple((float(s), float(f)) for s, f in zip(stated, rising, strict=True))


def measured_pairs(encoder: Probed, places: Sequence[str | Path], seed: int = 0) -> Pairs:
    """Stated and found errors of an encoder at some places, from all hidings."""
    pairs, skipped = Pairs(), dict[str, str]()
    for place in probe_places(places, encoder.sensors, seed, skipped):
        views = look(place, encoder)
        samples = {hiding.probe: gap_sample(place, hiding, seen) for hiding, seen in views.hidden.items()}
        pairs.add(place.id, samples | {"rebuild": rebuilt_sample(place, views)})
    return pairs


def _thinned(pairs: np.ndarray, n: int) -> np.ndarray:
    return pairs[np.linspace(0, len(pairs) - 1, n).astype(int)]


def _bins(pairs: np.ndarray, bins: int) -> list[np.ndarray]:
    """Pairs in bins of equal number, by what was stated."""
    return [b for b in np.array_split(pairs[np.argsort(pairs[:, 0], kind="stable")], bins) if len(b)]


def _moments(pairs: np.ndarray) -> np.ndarray:
    """Means of stated, found, stated squared and stated times found."""
    stated, found = pairs.T
    return np.array([stated.mean(), found.mean(), (stated**2).mean(), (stated * found).mean()])


def _slope(m: np.ndarray) -> np.ndarray:
    variance = m[..., 2] - m[..., 0] ** 2
    return np.divide(
        m[..., 3] - m[..., 0] * m[..., 1], variance, out=np.full_like(variance, np.nan), where=variance > 1e-15
    )


def _rank_correlation(pairs: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(*pairs.T)[0]) if all(len(np.unique(column)) > 1 for column in pairs.T) else np.nan
