"""What the probes say, as a dictionary that JSON holds: ``ModelCard.probes``, the model card's tables, the bars.

``card.probes`` is one of three: ``{}`` (never run), ``{"not_measured": reason}``, or a :class:`ProbeTable`::

    {"format": 1,
     "judged": "ours",                                   the encoder of the gates
     "encoders": ["ours", "random", "reference", "raw", "pca7"],
     "seed": 0,
     "places": {"trained": [id, ...], "unseen": [id, ...]},
     "skipped": {store: reason},                         places where no clear date could be hidden
     "sampling": {"side": 16, ...},                      pixels and dates of each place
     "probes": {"gap_30": {"title": ..., "unit": ..., "better": "higher" | "lower" | "",
                           "window": "centred" | "causal",
                           "score": what the score is, or None: it has none,
                           "values": {row: {"value", "low", "high", "places", "score", "score_low", "score_high"}},
                           "by_place": {row: {id: value}},
                           "not_measured": {row or "all": reason}},
                ...},
     "sum": {"parts": [probe, ...],                      whose scores are added
             "values": {encoder: {"value", "low", "high", "places", "parts"}},
             "differences": {rival: {"value", "low", "high", "places", "parts"}}},   judged minus rival, paired by place
     "error": see :func:`ecoembed.embeddings.probes.calibration.reliability`, or {"not_measured": reason},
     "gates": {gate: {"passed": bool, "says": sentence with figures, "value", "low", "high", "places"}}}

``low`` and ``high`` bound 95 % by a bootstrap over places; both are None below MIN_PLACES places. A row is an encoder
(a linear model of its z) or, for gap filling, one of ``decoded`` (z of the judged encoder through its own decoder),
``interpolation``, ``last`` (the last clear value), ``mean`` (per band). Probes, in their order:

- ``gap_1 gap_10 gap_30 gap_60``: error at a hidden clear date; 1: that date only, else so many days around it.
  ``..._no_s1``: with Sentinel-1 withheld. ``..._causal``: past frames only.
- ``s1_gain_1 ... s1_gain_60``: how much of that error Sentinel-1 removes.
- ``ndvi_now``, ``ndvi_next`` (causal window), ``ndvi_next_seen`` (centred: the window sees the date that is asked for),
  ``vh_vv``, ``land_cover``: linear models of z. ``spatial``, ``smoothness``, ``harvest``: coherence.
- ``effective_rank``: of no merit by itself (noise has the highest), so no part of the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np

#: Below so many places there is no interval over places.
MIN_PLACES = 3
RESAMPLES = 2000
LEVEL = 0.95


class Estimate(TypedDict):
    """A number with its interval over places, and its score: the higher the better, 1 at best."""

    value: float
    low: float | None
    high: float | None
    places: int
    score: float | None
    score_low: float | None
    score_high: float | None


class Total(TypedDict):
    """A sum of scores, or a difference of two, over the probes `parts` (those that both have)."""

    value: float
    low: float | None
    high: float | None
    places: int
    parts: list[str]


class Sum(TypedDict):
    """The sum of the scores: its parts, of each encoder, and the judged one's minus each other's."""

    parts: list[str]
    values: dict[str, Total]
    differences: dict[str, Total]


class Probe(TypedDict):
    """One probe of all rows."""

    title: str
    unit: str
    better: str
    window: str
    score: str | None
    values: dict[str, Estimate]
    by_place: dict[str, dict[str, float]]
    not_measured: dict[str, str]


class Gate(TypedDict):
    """Whether a checkpoint does what it must: True only if the whole interval over places says so."""

    passed: bool
    says: str
    value: float | None
    low: float | None
    high: float | None
    places: int


class ProbeTable(TypedDict):
    """See this module's docstring."""

    format: int
    judged: str
    encoders: list[str]
    seed: int
    places: dict[str, list[str]]
    skipped: dict[str, str]
    sampling: dict[str, Any]
    probes: dict[str, Probe]
    sum: Sum
    error: dict[str, Any]
    gates: dict[str, Gate]


def interval(value: Callable[[np.ndarray], np.ndarray], places: int, seed: int) -> tuple[float | None, float | None]:
    """Bounds of 95 % of ``value(index)`` over resampled places; index (..., place) -> value (...).

    Source: Efron and Tibshirani (1993), percentile bootstrap, by ``scipy.stats.bootstrap``.
    """
    if places < MIN_PLACES:
        return None, None
    from scipy.stats import bootstrap

    def of(index: np.ndarray, axis: int) -> np.ndarray:
        return value(np.moveaxis(index, axis, -1))

    result = bootstrap(
        (np.arange(places),),
        of,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    low, high = (float(bound) for bound in result.confidence_interval)
    return (low, high) if np.isfinite([low, high]).all() else (None, None)
