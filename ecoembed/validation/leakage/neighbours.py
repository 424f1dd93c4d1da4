"""Places on both sides of a split: one tower under two names, near towers, places of the encoder's training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import numpy as np

from ecoembed.archives.sites.distance import great_circle_km
from ecoembed.validation.result import Finding
from ecoembed.validation.samples import Samples
from ecoembed.validation.splits.distance import site_distances
from ecoembed.validation.splits.folds import site_codes
from ecoembed.validation.splits.sites import listed

__all__ = ["NEAR_KM", "Pretraining", "find_neighbours", "find_pretraining", "find_twins"]

#: Where an encoder was trained, if that is known: place -> latitude and longitude in degrees.
Pretraining = Mapping[str, tuple[float, float]] | Literal["unknown"]

#: Towers nearer than this share weather, satellite pixels or management; a cube of 48 pixels is half a kilometre.
NEAR_KM = 5.0
#: Days that two sites must have in common, and the share of them with one and the same target, to be one tower.
_LEAST_DAYS, _SAME_SHARE = 10, 0.5
#: Correlation of two targets that no two towers reach (of 150 the nearest two, 200 m apart, have 0.963), and the days
#: that it takes; within this distance they are one tower.
_TWIN, _TWIN_DAYS, _ONE_PLACE_KM = 0.99, 30, 1.0


def find_twins(samples: Samples, apart: np.ndarray) -> list[Finding]:
    """Sites on different sides that report one target.

    Parameters
    ----------
    samples : Samples
    apart : numpy.ndarray of bool, shape (sites, sites)
        Whether the first is tested by a fold that trains on the second.

    Returns
    -------
    list of Finding
        Severe where half of the common days or more bear the same value (a target of zero is no evidence), or where
        targets run alike within a kilometre; listed where they run alike farther off, or nobody knows how far.
    """
    names, pairs = samples.places.index.to_numpy(), _same_values(samples)
    kilometres = site_distances(samples)
    found = []
    for (one, other), (severe, amount) in {**_same_course(samples, kilometres), **pairs}.items():
        if apart[one, other] or apart[other, one]:
            what = "one tower under two names, in training and in the test" if severe else (
                "two names with nearly one and the same target, in training and in the test"
            )  # fmt: skip
            where = f"{names[one]} and {names[other]}"
            remedy = "Keep one of the two" if severe else "Make sure that these are two towers, or keep one of them"
            found.append(Finding("names", what, where, amount, remedy, severe=severe))
    return found


def _same_values(samples: Samples) -> dict[tuple[int, int], tuple[bool, str]]:
    day = samples.date.to_numpy().astype("datetime64[D]").astype(int)
    kept = samples.observed != 0
    day, value, site = day[kept], samples.observed[kept], site_codes(samples)[kept]
    order = np.lexsort((site, value, day))
    day, value, site = day[order], value[order], site[order]
    same = np.flatnonzero((day[1:] == day[:-1]) & (value[1:] == value[:-1]))
    counts = Counter(zip(site[same].tolist(), site[same + 1].tolist(), strict=True))
    found = {}
    for (one, other), count in counts.items():
        common = len(np.intersect1d(day[site == one], day[site == other])) if count >= _LEAST_DAYS else 0
        if common and count >= _SAME_SHARE * common:
            found[one, other] = True, f"{count} of {common} days with one and the same target"
    return found


def _same_course(samples: Samples, kilometres: np.ndarray) -> dict[tuple[int, int], tuple[bool, str]]:
    """Pairs whose targets correlate as those of no two towers: another version or gap filling of one record."""
    day = samples.date.to_numpy().astype("datetime64[D]").astype(int)
    _, day = np.unique(day, return_inverse=True)
    shape = day.max() + 1, len(samples.places)
    there, value = np.zeros(shape, dtype=np.float32), np.zeros(shape)
    there[day, site_codes(samples)] = 1
    value[day, site_codes(samples)] = samples.observed - samples.observed.mean()
    count = there.T @ there
    total, square, product = value.T @ there, (value**2).T @ there, value.T @ value
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = square - total**2 / count
        correlation = (product - total * total.T / count) / np.sqrt(spread * spread.T)
    alike = np.triu((count >= _TWIN_DAYS) & (correlation >= _TWIN), 1)
    return {
        (int(i), int(j)): (
            bool(kilometres[i, j] < _ONE_PLACE_KM),
            f"correlation {correlation[i, j]:.4f} over {count[i, j]:.0f} days"
            + (f", {kilometres[i, j]:.1f} km apart" if np.isfinite(kilometres[i, j]) else ""),
        )
        for i, j in np.argwhere(alike)
    }


def find_neighbours(samples: Samples, apart: np.ndarray) -> list[Finding]:
    """Towers within `NEAR_KM` of one that is trained on."""
    names, codes, kilometres = samples.places.index.to_numpy(), site_codes(samples), site_distances(samples)
    near = (kilometres < NEAR_KM) & (apart | apart.T)
    pairs = sorted((kilometres[i, j], names[i], names[j]) for i, j in zip(*np.nonzero(np.triu(near, 1)), strict=True))
    if not pairs:
        return []
    trained = (kilometres < NEAR_KM) & apart
    np.fill_diagonal(trained, False)  # a site's own training days are another check's
    days = trained.any(axis=1)[codes]
    where = listed(np.array([f"{one} and {other} ({km:.1f} km)" for km, one, other in pairs]))
    amount = f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''}, {days.sum() / len(codes):.0%} of the days scored"
    remedy = 'Hold them out together: protocol = "leave-cluster-out"'
    return [Finding("distance", "towers are near one that is trained on", where, amount, remedy)]


def find_pretraining(samples: Samples, pretraining: Pretraining) -> list[Finding]:
    """Towers within `NEAR_KM` of a place whose images the encoder was trained on."""
    if pretraining == "unknown":
        remedy = "Ask those who trained it, or train an encoder whose places are known: ecoembed pretrain"
        what = "where the encoder was trained is unknown, and so whether it was trained on images of a tower's place"
        return [Finding("pretraining", what, "the encoder's weights", "training places unknown", remedy)]
    known = samples.places[["latitude", "longitude"]].dropna()
    if not len(known) or not pretraining:
        return []
    kilometres = great_circle_km(known.to_numpy(dtype=float), np.array(list(pretraining.values())))
    near = [
        f"{name} and {list(pretraining)[int(np.argmin(row))]} ({row.min():.1f} km)"
        for name, row in zip(known.index, kilometres, strict=True)
        if row.min() < NEAR_KM
    ]
    if not near:
        return []
    remedy = "Leave these towers out, or train the encoder without these places: ecoembed pretrain"
    what, amount = "the encoder was trained on images of the tower's place", f"{len(near)} of {len(known)} towers"
    return [Finding("pretraining", what, listed(np.array(near)), amount, remedy)]
