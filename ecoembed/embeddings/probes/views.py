"""Samples that one encoder gives of one place, and the linear models that are fitted on them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from ecoembed.embeddings.probes.encoders import FEW_DATES, Around, Probed, Seen
from ecoembed.embeddings.probes.places import HIDINGS, Hiding, ProbePlace

#: Pixel-dates of one place that a linear model is fitted on or scored at; land-cover classes: fewer, they are slow.
SAMPLES, CLASS_SAMPLES = 1500, 400
#: Days to the next clear date.
NEXT = (5.0, 40.0)
#: What the linear models are asked, and whether it is a class.
TARGETS = {"ndvi_now": False, "ndvi_next": False, "ndvi_next_seen": False, "vh_vv": False, "land_cover": True}


@dataclass(frozen=True)
class Views:
    """What one encoder says of one place: at the run of clear dates (by window), and at the hidden ones."""

    run: np.ndarray
    now: Seen
    past: Seen | None
    hidden: dict[Hiding, Seen]


@dataclass(frozen=True)
class Sample:
    """Pixel-dates of one place: z (n, d) and what is asked of it; of hidden dates, also what others say there."""

    z: np.ndarray
    truth: np.ndarray
    rivals: dict[str, np.ndarray]
    error: np.ndarray | None = None


def look(place: ProbePlace, encoder: Probed) -> Views:
    """Embed a place in every way that is probed."""
    run = place.run if encoder.dense else place.run[:: ceil(len(place.run) / FEW_DATES)]
    everything = place.kept(0)
    past = encoder.see(place, run, kept=everything, window="causal") if "causal" in encoder.windows else None
    hidden = {
        hiding: encoder.see(place, place.hidden, kept=place.kept(hiding.gap), s1=hiding.s1, window=hiding.window)
        for hiding in HIDINGS
        if hiding.window in encoder.windows and (hiding.s1 or encoder.optional_s1)
    }
    return Views(run, encoder.see(place, run, kept=everything), past, hidden)


def gap_sample(place: ProbePlace, hiding: Hiding, seen: Seen) -> Sample:
    """The drawn pixels at the hidden dates: those that were clear, and that interpolation and the encoder can tell."""
    kept, dates, pixels = place.kept(hiding.gap), place.hidden, place.pixels
    clear, values = place.clear[kept][:, pixels], place.values[kept][:, pixels]
    truth = place.values[dates][:, pixels]
    days, until = place.days[kept], place.days[dates]
    rivals = {"last": Around(days, clear, until, "causal").interpolate(values)}
    if hiding.window == "centred":
        rivals["interpolation"] = Around(days, clear, until, "centred").interpolate(values)
    z = seen.z[:, pixels]
    ok = np.isfinite(np.concatenate([z, truth, *rivals.values()], axis=-1)).all(axis=-1)
    if seen.decoded is not None:
        rivals["decoded"] = seen.decoded[:, pixels]
    error = None if seen.error is None else seen.error[:, pixels][ok]
    return Sample(z[ok], truth[ok], {name: value[ok] for name, value in rivals.items()}, error)


def rebuilt_sample(place: ProbePlace, views: Views) -> Sample:
    """The drawn pixels at the dates of the run, nothing hidden."""
    truth, z = place.values[views.run][:, place.pixels], views.now.z[:, place.pixels]
    ok = np.isfinite(z).all(axis=-1) & np.isfinite(truth).all(axis=-1)
    rivals = {} if views.now.decoded is None else {"decoded": views.now.decoded[:, place.pixels][ok]}
    error = None if views.now.error is None else views.now.error[:, place.pixels][ok]
    return Sample(z[ok], truth[ok], rivals, error)


def target_sample(place: ProbePlace, views: Views, target: str) -> Sample | None:
    """Drawn clear pixel-dates of the run and what is asked there; None where it cannot be known.

    Every encoder that embeds all pixels is asked at the same ones.
    """
    seen = views.past if target == "ndvi_next" else views.now
    truth = _truth(place, views.run, target)
    if seen is None or truth is None:
        return None
    truth = truth[:, place.pixels]
    asked = place.clear[views.run][:, place.pixels] & (truth != "" if truth.dtype.kind == "U" else np.isfinite(truth))
    order = np.random.default_rng(0).permutation(asked.size)
    z = seen.z[:, place.pixels].reshape(asked.size, -1)
    drawn = order[(asked.ravel() & np.isfinite(z).all(axis=-1))[order]][: CLASS_SAMPLES if TARGETS[target] else SAMPLES]
    return Sample(z[drawn], truth.ravel()[drawn], {}) if len(drawn) else None


def _truth(place: ProbePlace, run: np.ndarray, target: str) -> np.ndarray | None:
    """What is asked at (date of the run, pixel): NaN or empty where unknown."""
    if target == "ndvi_now":
        return place.ndvi[run]
    if target in ("ndvi_next", "ndvi_next_seen"):
        return _next(place.days, place.ndvi, run)
    if target == "vh_vv":
        vv, vh = np.moveaxis(place.radar[place.paired["centred"][run]], -1, 0)
        return np.asarray(vh - vv)
    if place.labels is None or "land_cover" not in place.labels:
        return None
    cover = place.labels["land_cover"]
    names = [str(name) for name in str(cover.attrs.get("flag_meanings", "")).split()]
    values = np.asarray(cover.attrs.get("flag_values", np.arange(len(names))))
    named = np.full(cover.shape, "", dtype="U64")
    for name, value in zip(names, values, strict=False):
        named[cover.values == value] = name
    return np.broadcast_to(named.ravel(), (len(run), named.size))


def _next(days: np.ndarray, ndvi: np.ndarray, run: np.ndarray) -> np.ndarray:
    """NDVI at each pixel's next clear date, 5 to 40 days after each date of the run."""
    found = np.full((len(run), ndvi.shape[1]), np.nan)
    for i, date in enumerate(run):
        after = np.flatnonzero((days >= days[date] + NEXT[0]) & (days <= days[date] + NEXT[1]))
        for later in after[::-1]:  # the nearest is written last
            found[i] = np.where(np.isfinite(ndvi[later]), ndvi[later], found[i])
    return found
