"""The leakage audit that runs before every protocol: what training could know of the test, and how it would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.errors import LeakageError
from ecoembed.validation.leakage.copies import find_copies
from ecoembed.validation.leakage.neighbours import NEAR_KM, Pretraining, find_neighbours, find_pretraining, find_twins
from ecoembed.validation.leakage.prefitted import find_prefitted, find_scaling
from ecoembed.validation.result import Finding
from ecoembed.validation.samples import Samples
from ecoembed.validation.splits.folds import SEEN, Folds, site_codes, site_sides
from ecoembed.validation.splits.sites import listed

__all__ = ["Pretraining", "audit"]

#: Days within which another row of the same site is nearly the same row.
_ADJACENT_DAYS = 7

#: The checks, in words; each is told of even where it found nothing.
_CHECKS = {
    "rows": "the same row in training and in the test",
    "sites": "sites on both sides of a split",
    "names": "one tower under two names",
    "features": "features that hold the target",
    "scaling": "columns scaled by all rows",
    "fitted": "models fitted before the folds were made",
    "inner": "tuning and early stopping by rows instead of sites",
    "distance": f"towers within {NEAR_KM:g} km on both sides of a split",
    "pretraining": f"places of the encoder's training within {NEAR_KM:g} km of a tower",
    "future": "features that know later days than their own",
}


def audit(
    samples: Samples,
    folds: Folds,
    regressors: Mapping[str, Any] | None = None,
    pretraining: Pretraining | None = None,
    future: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Look for leaks; severe ones are raised, the others told.

    Parameters
    ----------
    samples : Samples
    folds : Folds
        If it promises unseen sites, a site on both sides is severe.
    regressors : mapping of name to regressor, optional
    pretraining : mapping of place to (latitude, longitude), or "unknown", optional
        Where the encoder of the embeddings was trained.
    future : mapping of feature set to how, optional
        What is known to see later days than its own, as ``attrs["future"]`` of a `FeatureTable` tells; empty if nothing
        does.

    Returns
    -------
    dict
        ``checks``: each check in words -> "nothing found", "N found" or why it was not made; ``findings``: list of
        ``check, what, where, amount, remedy``.

    Raises
    ------
    LeakageError
        If a row is in training and in the test, a site is on both sides although the protocol says that none is, a
        tower is on both sides under two names, a feature is the target in another guise, or a model stays fitted to
        rows of its test.
    """
    train, test = site_sides(folds.folds, samples)
    apart = (test.astype(int).T @ train) > 0  # (test site, training site) of some fold
    findings = [
        *_shared_rows(samples, folds),
        *_shared_sites(samples, folds, train & test),
        *find_twins(samples, apart),
        *find_copies(samples),
        *find_scaling(samples),
        *find_prefitted(regressors or {}, len(samples.observed)),
        *find_neighbours(samples, apart),
        *find_pretraining(samples, pretraining or {}),
        *_future(future or {}),
    ]
    for finding in findings:
        if finding.severe:
            raise LeakageError(finding.what, where=finding.where, found=finding.amount, remedy=finding.remedy)
    return {
        "checks": _account(findings, samples, regressors, pretraining, future),
        "findings": [_told(finding) for finding in findings],
    }


def _account(
    findings: list[Finding], samples: Samples, regressors: object, pretraining: object, future: object
) -> dict[str, str]:
    counts = Counter(finding.check for finding in findings)
    places = samples.places[["latitude", "longitude"]].notna().all(axis=1)
    some = "" if places.all() else f" at the {places.sum()} of {len(places)} sites whose coordinates are known"
    unknown = {
        "distance": None if places.sum() > 1 else "not looked for: the coordinates were not given",
        "pretraining": _why_not_near(bool(places.any()), pretraining),
        "future": None if future is not None else "not looked for: the table does not tell how its features were made",
        "fitted": None if regressors else "not looked for: no model was given",
        "inner": None if regressors else "not looked for: no model was given",
    }
    return {
        text: unknown.get(check)
        or (f"{counts[check]} found" if counts[check] else "nothing found")
        + (some if check in ("distance", "pretraining") else "")
        for check, text in _CHECKS.items()
    }


def _why_not_near(places: bool, pretraining: object) -> str | None:
    if pretraining == "unknown":
        return "not looked for: training places unknown"
    return None if places and pretraining else "not looked for: the places were not given"


def _told(finding: Finding) -> dict[str, str]:
    return {key: value for key, value in asdict(finding).items() if key != "severe"} | {"check": _CHECKS[finding.check]}


def _shared_rows(samples: Samples, folds: Folds) -> list[Finding]:
    shared = np.concatenate([test[train[test]] for train, test in folds.folds])
    if not len(shared):
        return []
    where = f"{folds.name}, {samples.site[shared[0]]} on {samples.date[shared[0]]:%Y-%m-%d}"
    remedy = "Correct the splitter: its training rows and its test rows overlap"
    what = "a row is in training and in the test of one fold"
    return [Finding("rows", what, where, f"{len(shared)} rows", remedy, severe=True)]


def _shared_sites(samples: Samples, folds: Folds, both_sides: np.ndarray) -> list[Finding]:
    if folds.label != SEEN:
        return []
    names, both = samples.places.index.to_numpy(), both_sides.any(axis=0)
    where, amount = listed(names[both]), f"{both.sum()} of {len(names)} sites"
    if folds.promised:
        remedy = "Correct the protocol: the site must be the group"
        what = "sites are on both sides of a protocol that promises unseen ones"
        return [Finding("sites", what, where, amount, remedy, severe=True)]
    codes = site_codes(samples)
    near = sum(_adjacent(samples.date, codes, train, test) for train, test in folds.folds)
    scored = sum(len(fold.test) for fold in folds.folds)
    amount += f"; {near / scored:.0%} of the days scored have a training day of the same site within"
    amount += f" {_ADJACENT_DAYS} days"
    remedy = "Read the scores as those of known sites; leave-site-out asks for unseen ones"
    return [Finding("sites", "sites are in training and in the test, on other days", where, amount, remedy)]


def _adjacent(date: pd.DatetimeIndex, codes: np.ndarray, train: np.ndarray, test: np.ndarray) -> int:
    """The number of test rows with a training row of the same site a few days away."""
    key = codes * 10_000_000 + date.to_numpy().astype("datetime64[D]").astype(int)
    known = np.sort(key[train])
    first = np.searchsorted(known, key[test] - _ADJACENT_DAYS, side="left")
    last = np.searchsorted(known, key[test] + _ADJACENT_DAYS, side="right")
    return int((last > first).sum())


def _future(future: Mapping[str, str]) -> list[Finding]:
    remedy = 'Take window = "causal" and gaps = "last", or call the result retrospective'
    what = "each value knows days after its own"
    return [Finding("future", what, name, how, remedy) for name, how in future.items()]
