"""The probes: fitted at trained places, scored at places never trained on, place by place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecoembed.cubes.store import load_cube
from ecoembed.embeddings.probes import coherence
from ecoembed.embeddings.probes.calibration import Pairs
from ecoembed.embeddings.probes.encoders import Pca, Probed, Raw, probed
from ecoembed.embeddings.probes.gates import verdict
from ecoembed.embeddings.probes.linear import fit
from ecoembed.embeddings.probes.places import GAPS, HIDDEN, PIXELS, SIDE, Hiding, ProbePlace, probe_places, site_of
from ecoembed.embeddings.probes.scores import SPECS, Counts
from ecoembed.embeddings.probes.table import ProbeTable
from ecoembed.embeddings.probes.views import (
    SAMPLES,
    TARGETS,
    Sample,
    Views,
    gap_sample,
    look,
    rebuilt_sample,
    target_sample,
)
from ecoembed.errors import ConfigError, LeakageError, TableError
from ecoembed.files import track

if TYPE_CHECKING:
    from ecoembed.embeddings.encode import Encoder
    from ecoembed.embeddings.reference.encode import ReferenceEncoder

#: Encoders that are always there, beside those that are given.
RIVALS = ("random", "raw", "pca7")
#: Trained places that linear models are fitted at, drawn by the seed where there are more: each costs some seconds.
FITTED = 16
#: Samples of one place: of the hidings and of the targets, by name of the probe.
Samples = dict[str, Sample]


def run_probes(
    encoders: Mapping[str, Encoder | ReferenceEncoder | Probed],
    trained: Sequence[str | Path],
    unseen: Sequence[str | Path],
    *,
    seed: int = 0,
) -> ProbeTable:
    """Probe encoders at places never trained on, beside raw values, PCA-7 and random weights.

    Parameters
    ----------
    encoders : mapping of str to Encoder, ReferenceEncoder or anything of the form Probed
        The first is judged: its gates, its random twin, the error that it states.
    trained : sequence of path
        Stores of at least two places, with groups ``S2_L2A``, ``S1`` and, optionally, ``labels`` (``land_cover`` with
        ``flag_meanings`` and ``field``, both (y, x)). Linear models, PCA and whitening are fitted here only, at 16 of
        them where there are more.
    unseen : sequence of path
        Stores of other places. Stores of one place (by ``site`` in attrs) count as one.
    seed : int
        Where the square of a place lies, which dates are hidden, the random weights, the bootstrap.

    Returns
    -------
    ProbeTable
        A dictionary that JSON holds; see :mod:`ecoembed.embeddings.probes.table`.

    Raises
    ------
    TableError
        If there are too few places where a date can be hidden; others are skipped, and told.
    LeakageError
        If an unseen place is also a trained one.
    FileError, VariableError
        If a store is absent, or holds no cube of a sensor.

    Notes
    -----
    At each place a square of 16 px, four hidden dates (at least 80 % clear) and a run of at most 32 clear dates. One
    place is in memory at a time, beside the samples of the trained ones.
    """
    names = list(encoders)
    _refuse(names, trained, unseen)
    lookers: dict[str, Probed] = {name: probed(encoder) for name, encoder in encoders.items()}
    lookers |= {"random": lookers[names[0]].random(seed), "raw": Raw()}
    sensors = list(dict.fromkeys(s for looker in lookers.values() for s in looker.sensors))
    skipped: dict[str, str] = {}
    known: list[tuple[str, dict[str, Samples]]] = []
    drawn = [trained[k] for k in sorted(np.random.default_rng(seed).permutation(len(trained))[:FITTED])]
    for place in probe_places(track(drawn, "probes, trained places"), sensors, seed, skipped):
        known.append((place.id, {name: _samples(place, look(place, looker)) for name, looker in lookers.items()}))
    _enough(len({id_ for id_, _ in known}), 2, "trained", skipped)
    lookers["pca7"] = pca = Pca(np.concatenate([of["raw"]["rebuild"].z for _, of in known]))
    for _, of in known:
        of["pca7"] = {probe: Sample(pca.of(s.z), s.truth, s.rivals) for probe, s in of["raw"].items()}
    fitted = {name: Fitted(name, [(id_, of[name]) for id_, of in known]) for name in lookers}
    counts, pairs, ids = Counts(names[0]), Pairs(), []
    for place in probe_places(track(list(unseen), "probes, unseen places"), sensors, seed, skipped):
        ids.append(place.id)
        for name, looker in lookers.items():
            views = look(place, looker)
            samples = _samples(place, views)
            fitted[name].count(counts, name, place, views, samples, judged=name == names[0])
            if name == names[0]:
                pairs.add(place.id, samples)
    _enough(len(ids), 1, "unseen", skipped)
    order = [*names, *RIVALS]
    table = ProbeTable(
        format=1,
        judged=names[0],
        encoders=order,
        seed=seed,
        places={"trained": list(dict.fromkeys(id_ for id_, _ in known)), "unseen": list(dict.fromkeys(ids))},
        skipped=skipped,
        sampling={"side": SIDE, "hidden_dates": HIDDEN, "pixels": PIXELS, "samples": SAMPLES},
        probes={probe: counts.probe(probe, _rows(probe, order), _reasons(probe, lookers), seed) for probe in SPECS},
        sum=counts.total(order, seed),
        error=pairs.reliability(seed),
        gates={},
    )
    table["gates"] = verdict(table)
    return table


def _refuse(names: list[str], trained: Sequence[str | Path], unseen: Sequence[str | Path]) -> None:
    """Refuse what cannot be probed before any work."""
    taken = set(names) & set(RIVALS)
    if not names or taken:
        raise ConfigError("encoders need names of their own", found=names, expected=f"at least one, none of {RIVALS}")
    _enough(len(trained), 2, "trained", {})
    _enough(len(unseen), 1, "unseen", {})
    known, new = ({site_of(load_cube(p, "S2_L2A", lazy=True), p) for p in paths} for paths in (trained, unseen))
    if known & new:
        raise LeakageError("unseen places were trained on", found=", ".join(sorted(known & new)))


def _enough(found: int, least: int, role: str, skipped: dict[str, str]) -> None:
    if found < least:
        remedy = " ".join(["Penalties are chosen by leaving trained places out"] * (least > 1) + [*skipped.values()])
        raise TableError(f"too few {role} places to probe", found=found, expected=f">= {least}", remedy=remedy or None)


def _rows(probe: str, encoders: list[str]) -> list[str]:
    return ["decoded", "pca7", "mean"] if probe == "rebuild" else encoders


def _reasons(probe: str, lookers: dict[str, Probed]) -> dict[str, str]:
    reasons = {
        n: "works patch by patch: few pixels of a few dates" for n, looker in lookers.items() if not looker.dense
    }
    if SPECS[probe].window == "causal":
        reasons |= {name: "has no causal window" for name, k in lookers.items() if "causal" not in k.windows}
    elif probe.endswith("no_s1") or probe.startswith("s1_gain"):
        reasons |= {name: "cannot do without S1" for name, looker in lookers.items() if not looker.optional_s1}
    if probe == "land_cover":
        reasons["all"] = "no labels of land cover at both trained and unseen places"
    elif probe == "spatial":
        reasons["all"] = "no labels of fields"
    elif probe == "harvest":
        reasons["all"] = f"no place where {coherence.HARVESTED} pixels were harvested between clear dates"
    return reasons


def _samples(place: ProbePlace, views: Views) -> Samples:
    """All samples of one place, of one encoder."""
    samples = {hiding.probe: gap_sample(place, hiding, seen) for hiding, seen in views.hidden.items()}
    samples["rebuild"] = rebuilt_sample(place, views)
    asked = {target: target_sample(place, views, target) for target in TARGETS}
    return samples | {target: sample for target, sample in asked.items() if sample is not None}


class Fitted:
    """The linear models and the whitening of one encoder, fitted on samples of the trained places."""

    def __init__(self, name: str, trained: list[tuple[str, dict[str, Sample]]]) -> None:
        by_probe: dict[str, list[Sample]] = {}
        for _, samples in trained:
            for probe, sample in samples.items():
                if len(sample.z):
                    by_probe.setdefault(probe, []).append(sample)
        if "rebuild" not in by_probe:
            raise TableError("an encoder gives no embedding at any trained place", found=name)
        shown = by_probe.pop("rebuild")
        self.mean = np.concatenate([s.truth for s in shown]).mean(axis=0)
        self.whiten = coherence.whitening(np.concatenate([s.z for s in shown]))
        self.models: dict[str, Any] = {
            probe: fit(of, classes=TARGETS.get(probe, False))
            for probe, of in by_probe.items()
            if len(of) > 1 and len(np.unique(np.concatenate([s.truth for s in of]))) > 1
        }

    def count(
        self, counts: Counts, name: str, place: ProbePlace, views: Views, samples: Samples, *, judged: bool
    ) -> None:
        """Count all probes of one encoder at one unseen place."""
        errors = {h: self._gap(counts, name, place.id, h, samples[h.probe], judged) for h in views.hidden}
        for gap in GAPS:
            shown, withheld = errors.get(Hiding(gap)), errors.get(Hiding(gap, s1=False))
            for row in sorted({*(shown or {})} & {*(withheld or {})}):
                counts.add(f"s1_gain_{gap}", row, place.id, np.array([withheld[row] - shown[row]]))  # type: ignore[index]
        self._rebuild(counts, name, place.id, samples["rebuild"], judged)
        for target, classes in TARGETS.items():
            if target in samples and target in self.models:
                guess = self.models[target].predict(samples[target].z)
                truth = samples[target].truth
                counted = self._recall(target, truth, guess) if classes else _moments(truth, guess)
                counts.add(target, name, place.id, counted)
        for probe, of in (
            ("spatial", coherence.spatial),
            ("smoothness", coherence.smoothness),
            ("harvest", coherence.harvest),
        ):
            counts.add(probe, name, place.id, of(place, views, self.whiten))
        counts.add("effective_rank", name, place.id, coherence.spread(place, views))

    def _gap(
        self, counts: Counts, name: str, place: str, hiding: Hiding, sample: Sample, judged: bool
    ) -> dict[str, float]:
        """Errors by row at the hidden dates; what does not come of z is counted once, with the judged encoder."""
        if not len(sample.z) or hiding.probe not in self.models:
            return {}
        guesses = {name: self.models[hiding.probe].predict(sample.z)}
        if judged:
            guesses |= sample.rivals | {"mean": np.broadcast_to(self.mean, sample.truth.shape)}
        error = {row: float(np.abs(guess - sample.truth).mean()) for row, guess in guesses.items()}
        rival = sample.rivals["last" if hiding.window == "causal" else "interpolation"]
        against = float(np.abs(rival - sample.truth).mean())
        for row, own in error.items():
            counts.add(hiding.probe, row, place, np.array([own, against]))
        return {row: own for row, own in error.items() if row in (name, "decoded")}

    def _rebuild(self, counts: Counts, name: str, place: str, sample: Sample, judged: bool) -> None:
        guesses = {}
        if "decoded" in sample.rivals and (judged or name == "pca7"):
            guesses["decoded" if judged else name] = sample.rivals["decoded"]
        if judged:
            guesses["mean"] = np.broadcast_to(self.mean, sample.truth.shape)
        for row, guess in guesses.items():
            counts.add("rebuild", row, place, np.array([np.abs(guess - sample.truth).mean()]))

    def _recall(self, target: str, truth: np.ndarray, guess: np.ndarray) -> np.ndarray | None:
        """Hits by class and pixels by class, as shares, of the classes that trained places hold."""
        classes = self.models[target].classes_
        hits = [((truth == c) & (guess == c)).mean() for c in classes]
        pixels = [(truth == c).mean() for c in classes]
        return np.array(hits + pixels) if any(pixels) else None


def _moments(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    return np.array([((guess - truth) ** 2).mean(), truth.mean(), (truth**2).mean()])
