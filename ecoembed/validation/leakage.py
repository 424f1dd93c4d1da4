"""The leakage audit that runs before every protocol: what training could know of the test, and how it would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import pandas as pd

from ecoembed.errors import LeakageError
from ecoembed.validation.copies import find_copies
from ecoembed.validation.result import Finding
from ecoembed.validation.samples import Samples
from ecoembed.validation.splits.folds import SEEN, Fold

__all__ = ["NEAR_KM", "Coordinates", "Pretraining", "audit"]

#: Place -> latitude and longitude in degrees.
Coordinates = Mapping[str, tuple[float, float]]
#: Where an encoder was trained, if that is known.
Pretraining = Coordinates | Literal["unknown"]

#: Towers nearer than this share weather, satellite pixels or management; a cube of 48 pixels is half a kilometre.
NEAR_KM = 5.0
#: Days that two sites must have in common, and the share of them with one and the same target, to be one tower.
_LEAST_DAYS, _SAME_SHARE = 10, 0.5
#: Days within which another row of the same site is nearly the same row.
_ADJACENT_DAYS = 7
_LISTED = 5  # places told by name; the others are counted

#: The checks, in words; each is told of even where it found nothing.
_CHECKS = {
    "rows": "the same row in training and in the test",
    "sites": "sites on both sides of a split",
    "names": "one tower under two names",
    "features": "features that hold the target",
    "distance": f"towers within {NEAR_KM:g} km on both sides of a split",
    "pretraining": f"places of the encoder's training within {NEAR_KM:g} km of a tower",
    "window": "embeddings that see the days after",
}


def audit(
    samples: Samples,
    folds: Sequence[Fold],
    protocol: str,
    label: str,
    unseen: bool,
    places: Coordinates | None = None,
    pretraining: Pretraining | None = None,
    windows: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Look for leaks; severe ones are raised, the others told.

    Parameters
    ----------
    samples : Samples
    folds : sequence of (mask of training rows, test rows)
    protocol, label : str
        Its name, and ``unseen-site`` or ``seen-site``.
    unseen : bool
        Whether the protocol promises that no site is on both sides; then such a site is severe.
    places : mapping of site to (latitude, longitude), optional
    pretraining : mapping of place to (latitude, longitude), or "unknown", optional
        Where the encoder of the embeddings was trained.
    windows : mapping of feature set to window, optional
        ``"centred"`` or ``"causal"``.

    Returns
    -------
    dict
        ``checks``: each check in words -> "nothing found", "N found" or why it was not made; ``findings``: list of
        ``check, what, where, amount, remedy``.

    Raises
    ------
    LeakageError
        If a row is in training and in the test, a site is on both sides although the protocol says that none is, a
        tower is on both sides under two names, or a feature is the target in another guise.
    """
    names, codes = np.unique(samples.site, return_inverse=True)
    sides = [(_sites(codes[train], len(names)), _sites(codes[test], len(names))) for train, test in folds]
    apart = np.zeros((len(names), len(names)), dtype=bool)  # (test site, training site) of some fold
    for train, test in sides:
        apart |= test[:, None] & train
    findings = [
        *_shared_rows(samples, folds, protocol),
        *_shared_sites(samples, codes, folds, sides, label, unseen),
        *_twins(samples, names, codes, apart),
        *find_copies(samples.columns, samples.observed, samples.site, samples.date),
        *_neighbours(names, codes, apart, places or {}),
        *_near_pretraining(names, places or {}, pretraining or {}),
        *_future(windows or {}),
    ]
    for finding in findings:
        if finding.severe:
            raise LeakageError(finding.what, where=finding.where, found=finding.amount, remedy=finding.remedy)
    return {"checks": _account(findings, places, pretraining, windows), "findings": [_told(f) for f in findings]}


def _account(findings: list[Finding], places: object, pretraining: object, windows: object) -> dict[str, str]:
    counts = Counter(finding.check for finding in findings)
    unknown = {
        "distance": None if places else "not looked for: the coordinates were not given",
        "pretraining": _why_not_near(places, pretraining),
        "window": None if windows else "not looked for: no window was told",
    }
    return {
        text: unknown.get(check) or (f"{counts[check]} found" if counts[check] else "nothing found")
        for check, text in _CHECKS.items()
    }


def _why_not_near(places: object, pretraining: object) -> str | None:
    if pretraining == "unknown":
        return "not looked for: training places unknown"
    return None if places and pretraining else "not looked for: the places were not given"


def _told(finding: Finding) -> dict[str, str]:
    return {key: value for key, value in asdict(finding).items() if key != "severe"} | {"check": _CHECKS[finding.check]}


def _sites(codes: np.ndarray, count: int) -> np.ndarray:
    return np.asarray(np.bincount(codes, minlength=count) > 0)


def _shared_rows(samples: Samples, folds: Sequence[Fold], protocol: str) -> list[Finding]:
    shared = np.concatenate([test[train[test]] for train, test in folds])
    if not len(shared):
        return []
    where = f"{protocol}, {samples.site[shared[0]]} on {samples.date[shared[0]]:%Y-%m-%d}"
    remedy = "Correct the splitter: its training rows and its test rows overlap"
    what = "a row is in training and in the test of one fold"
    return [Finding("rows", what, where, f"{len(shared)} rows", remedy, severe=True)]


def _shared_sites(
    samples: Samples,
    codes: np.ndarray,
    folds: Sequence[Fold],
    sides: Sequence[tuple[np.ndarray, np.ndarray]],
    label: str,
    unseen: bool,
) -> list[Finding]:
    if label != SEEN:
        return []
    names = np.unique(samples.site)
    both = np.any([train & test for train, test in sides], axis=0)
    if unseen:
        remedy = "Correct the protocol: the site must be the group"
        what = "sites are on both sides of a protocol that promises unseen ones"
        return [
            Finding("sites", what, _listed(names[both]), f"{both.sum()} of {len(names)} sites", remedy, severe=True)
        ]
    near = sum(_adjacent(samples.date, codes, train, test) for train, test in folds)
    amount = f"{both.sum()} of {len(names)} sites; {near / len(codes):.0%} of the days scored have a training day of "
    amount += f"the same site within {_ADJACENT_DAYS} days"
    remedy = "Read the scores as those of known sites; leave-site-out asks for unseen ones"
    return [
        Finding("sites", "sites are in training and in the test, on other days", _listed(names[both]), amount, remedy)
    ]


def _adjacent(date: pd.DatetimeIndex, codes: np.ndarray, train: np.ndarray, test: np.ndarray) -> int:
    """The number of test rows with a training row of the same site a few days away."""
    key = codes * 10_000_000 + date.to_numpy().astype("datetime64[D]").astype(int)
    known = np.sort(key[train])
    first = np.searchsorted(known, key[test] - _ADJACENT_DAYS, side="left")
    last = np.searchsorted(known, key[test] + _ADJACENT_DAYS, side="right")
    return int((last > first).sum())


def _twins(samples: Samples, names: np.ndarray, codes: np.ndarray, apart: np.ndarray) -> list[Finding]:
    """Sites on different sides that report the same target on the same days; a target of zero is no evidence."""
    day = samples.date.to_numpy().astype("datetime64[D]").astype(int)
    kept = samples.observed != 0
    day, value, site = day[kept], samples.observed[kept], codes[kept]
    order = np.lexsort((site, value, day))
    day, value, site = day[order], value[order], site[order]
    same = np.flatnonzero((day[1:] == day[:-1]) & (value[1:] == value[:-1]))
    pairs = Counter(zip(site[same].tolist(), site[same + 1].tolist(), strict=True))
    found = []
    for (one, other), count in pairs.items():
        common = len(np.intersect1d(day[site == one], day[site == other])) if count >= _LEAST_DAYS else 0
        if common and count >= _SAME_SHARE * common and (apart[one, other] or apart[other, one]):
            amount = f"{count} of {common} days with one and the same target"
            what, where = "one tower under two names, in training and in the test", f"{names[one]} and {names[other]}"
            found.append(Finding("names", what, where, amount, "Keep one of the two", severe=True))
    return found


def _neighbours(names: np.ndarray, codes: np.ndarray, apart: np.ndarray, places: Coordinates) -> list[Finding]:
    known = np.array([name in places for name in names])
    if known.sum() < 2:
        return []
    here = [places[name] for name in names[known]]
    kilometres = np.full(apart.shape, np.inf)
    kilometres[np.ix_(known, known)] = _distances(here, here)
    near = (kilometres < NEAR_KM) & (apart | apart.T)
    pairs = sorted((kilometres[i, j], names[i], names[j]) for i, j in zip(*np.nonzero(np.triu(near, 1)), strict=True))
    if not pairs:
        return []
    days = np.isin(codes, np.flatnonzero(((kilometres < NEAR_KM) & apart).any(axis=1))).sum()
    where = _listed([f"{one} and {other} ({km:.1f} km)" for km, one, other in pairs])
    amount = f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''}, {days / len(codes):.0%} of the days scored"
    remedy = "Hold them out together: pass a splitter whose groups are places, not towers"
    return [Finding("distance", "towers are near one that is trained on", where, amount, remedy)]


def _near_pretraining(names: np.ndarray, places: Coordinates, pretraining: Pretraining) -> list[Finding]:
    if pretraining == "unknown":
        remedy = "Ask those who trained it, or train an encoder whose places are known: ecoembed pretrain"
        what = "where the encoder was trained is unknown, and so whether it was trained on images of a tower's place"
        return [Finding("pretraining", what, "the encoder's weights", "training places unknown", remedy)]
    known = [name for name in names if name in places]
    if not known or not pretraining:
        return []
    kilometres = _distances([places[name] for name in known], list(pretraining.values()))
    near = [
        f"{name} and {list(pretraining)[int(np.argmin(row))]} ({row.min():.1f} km)"
        for name, row in zip(known, kilometres, strict=True)
        if row.min() < NEAR_KM
    ]
    if not near:
        return []
    remedy = "Leave these towers out, or train the encoder without these places: ecoembed pretrain"
    amount = f"{len(near)} of {len(known)} towers"
    return [
        Finding("pretraining", "the encoder was trained on images of the tower's place", _listed(near), amount, remedy)
    ]


def _future(windows: Mapping[str, str]) -> list[Finding]:
    remedy = 'Take window = "causal", or call the result retrospective'
    what = "each embedding sees acquisitions after its own day"
    return [Finding("window", what, name, w, remedy) for name, w in windows.items() if w != "causal"]


def _listed(places: Sequence[str] | np.ndarray) -> str:
    rest = len(places) - _LISTED
    return ", ".join(map(str, places[:_LISTED])) + (f" and {rest} more" if rest > 0 else "")


def _distances(one: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> np.ndarray:
    """Great-circle distances in km, (one, other)."""
    (lat, lon), (lat2, lon2) = (np.radians(np.asarray(places, dtype=float)).T for places in (one, other))
    half = np.sin((lat[:, None] - lat2) / 2) ** 2
    half += np.cos(lat[:, None]) * np.cos(lat2) * np.sin((lon[:, None] - lon2) / 2) ** 2
    return np.asarray(2 * 6371.0 * np.arcsin(np.sqrt(np.clip(half, 0, 1))))
