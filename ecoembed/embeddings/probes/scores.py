"""From what was counted at each place to values, scores and their sum, with intervals over places.

At each place a probe counts a few means (an error and that of its rival; moments of truth and error; ...). A value
belongs to a set of places: counts are averaged over them, all places alike, and reduced to it. So it can be had for
any resample of places, and several rows for the same one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecoembed.embeddings.probes.coherence import participation
from ecoembed.embeddings.probes.places import GAPS, HIDINGS
from ecoembed.embeddings.probes.table import Estimate, Probe, Sum, Total, interval

#: Means over places of what was counted at each, (..., k) -> the value (...).
Reduce = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Spec:
    """One probe: what its value and its score are."""

    title: str
    unit: str
    better: str
    value: Reduce
    score: Reduce | None = None
    says: str | None = None
    window: str = "centred"
    part: bool = False


def _error(m: np.ndarray) -> np.ndarray:
    return m[..., 0]


def _skill(m: np.ndarray) -> np.ndarray:
    """1 - own / other."""
    return 1.0 - m[..., 0] / np.maximum(m[..., 1], 1e-12)


def _clipped_skill(m: np.ndarray) -> np.ndarray:
    return _skill(m).clip(min=-1.0)


def _r2(m: np.ndarray) -> np.ndarray:
    """From the means of squared error, truth, and squared truth."""
    return 1.0 - m[..., 0] / np.maximum(m[..., 2] - m[..., 1] ** 2, 1e-12)


def _recall(m: np.ndarray) -> np.ndarray:
    """Mean over the classes that occur of hits / pixels, from both by class."""
    hits, pixels = np.split(m, 2, axis=-1)
    share = np.divide(hits, pixels, out=np.full_like(hits, np.nan), where=pixels > 0)
    return np.asarray(np.nanmean(share, axis=-1))


def _above_chance(m: np.ndarray) -> np.ndarray:
    chance = 2.0 / m.shape[-1]
    return np.asarray((_recall(m) - chance) / (1.0 - chance))


def _gaps() -> dict[str, Spec]:
    specs = {}
    for hiding in HIDINGS:
        past = hiding.window == "causal"
        span = "its own date hidden" if hiding.gap == 1 else f"{hiding.gap} days hidden"
        title = f"S2, {span}" + ("" if hiding.s1 else ", without S1") + (", past only" if past else "")
        says = f"1 - error / error of {'the last value' if past else 'linear interpolation'}, at least -1"
        part = hiding.s1 and not past
        specs[hiding.probe] = Spec(title, "reflectance", "lower", _error, _clipped_skill, says, hiding.window, part)
    return specs


_R2 = "r2, at least -1"


def _r2_spec(title: str, window: str = "centred", part: bool = True) -> Spec:
    return Spec(title, "r2", "higher", _r2, lambda m: _r2(m).clip(min=-1.0), _R2, window, part)


def _share_spec(title: str, says: str) -> Spec:
    return Spec(title, "1", "higher", _clipped_skill, _clipped_skill, f"{says}, at least -1", part=True)


#: All probes, in the order in which they are told.
SPECS: dict[str, Spec] = {
    "rebuild": Spec("S2, nothing hidden", "reflectance", "lower", _error),
    **_gaps(),
    **{
        f"s1_gain_{gap}": Spec(f"What S1 takes off the error, gap {gap}", "reflectance", "higher", _error)
        for gap in GAPS
    },
    "ndvi_now": _r2_spec("NDVI at the date"),
    "ndvi_next": _r2_spec("NDVI at the next clear date, 5 to 40 days later", "causal"),
    "ndvi_next_seen": _r2_spec("the same, with a window that sees that date", part=False),
    "vh_vv": _r2_spec("VH - VV in dB at the paired acquisition"),
    "land_cover": Spec(
        "Land-cover classes", "balanced accuracy", "higher", _recall, _above_chance,
        "(balanced accuracy - chance) / (1 - chance)", part=True,
    ),
    "spatial": _share_spec("Fields against their edges", "1 - distance of z within a field / across its edge"),
    "smoothness": _share_spec("Smoothness on clear days", "1 - distance of z to a straight line / to its mean"),
    "harvest": _share_spec("Response to a harvest", "1 - median step of z without / mean step with a harvest"),
    "effective_rank": Spec("Effective rank of z", "dimensions", "", participation),
}  # fmt: skip


class Counts:
    """What was counted at the places: of each probe and row, by place. Cubes of one place are averaged."""

    def __init__(self, judged: str) -> None:
        self._judged = judged
        self._counted: dict[str, dict[str, dict[str, list[np.ndarray]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )

    def add(self, probe: str, row: str, place: str, counted: np.ndarray | None) -> None:
        """Note what was counted; None where the place does not allow it."""
        if counted is not None:
            self._counted[probe][row][place].append(counted)

    def probe(self, name: str, rows: list[str], reasons: dict[str, str], seed: int) -> Probe:
        """One probe of all its rows; `reasons`: why a row among `rows` (or "all") was not measured."""
        spec, found = SPECS[name], self._counted.get(name, {})
        by_place = {row: {place: _mean(counted) for place, counted in of.items()} for row, of in found.items()}
        absent = {row: reasons.get(row, "no place allows it") for row in rows if row not in found}
        return Probe(
            title=spec.title,
            unit=spec.unit,
            better=spec.better,
            window=spec.window,
            score=spec.says,
            values={
                row: estimate(np.stack([*of.values()]), spec.value, spec.score, seed) for row, of in by_place.items()
            },
            by_place={row: {p: float(spec.value(m)) for p, m in of.items()} for row, of in by_place.items()},
            not_measured={"all": reasons["all"]} if not found and "all" in reasons else absent,
        )

    def total(self, encoders: list[str], seed: int) -> Sum:
        """The sum of the scores of each encoder, and that of the judged one minus that of each other."""
        parts = [name for name, spec in SPECS.items() if spec.part and self._judged in self._counted.get(name, {})]
        values = {row: self._total(parts, {row: 1.0}, seed) for row in encoders}
        signs = {row: {self._judged: 1.0, row: -1.0} for row in encoders if row != self._judged}
        differences = {row: self._total(parts, sign, seed) for row, sign in signs.items()}
        return Sum(parts=parts, values=_there(values), differences=_there(differences))

    def _total(self, parts: list[str], signs: dict[str, float], seed: int) -> Total | None:
        """The signed sum over the parts that all rows of `signs` have; over places, with the rows paired."""
        parts = [part for part in parts if all(row in self._counted[part] for row in signs)]
        if not parts:
            return None
        places = sorted({place for part in parts for row in signs for place in self._counted[part][row]})
        terms = [(SPECS[part], sign, self._aligned(part, row, places)) for part in parts for row, sign in signs.items()]

        def value(index: np.ndarray) -> np.ndarray:
            return np.asarray(sum(sign * _scored(spec, counted, index) for spec, sign, counted in terms))

        low, high = interval(value, len(places), seed)
        return Total(value=float(value(np.arange(len(places)))), low=low, high=high, places=len(places), parts=parts)

    def _aligned(self, part: str, row: str, places: list[str]) -> np.ndarray:
        """Counts (place, k), NaN at places without."""
        of = {place: _mean(counted) for place, counted in self._counted[part][row].items()}
        nothing = np.full_like(next(iter(of.values())), np.nan)
        return np.stack([of.get(place, nothing) for place in places])


def _mean(counted: list[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(counted, axis=0), dtype=np.float64)


def _there(totals: dict[str, Total | None]) -> dict[str, Total]:
    return {row: total for row, total in totals.items() if total is not None}


def _scored(spec: Spec, counted: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Scores of resamples `index` (..., place); one that holds no place of this probe takes that of all places."""
    known = np.isfinite(counted).all(axis=-1)
    drawn = known[index].sum(axis=-1)
    total = np.where(known[:, None], counted, 0.0)[index].sum(axis=-2)
    mean = np.where((drawn > 0)[..., None], total / np.maximum(drawn, 1)[..., None], counted[known].mean(axis=0))
    return np.asarray((spec.score or spec.value)(mean))


def estimate(counted: np.ndarray, value: Reduce, score: Reduce | None, seed: int) -> Estimate:
    """Value and score of counts (place, k), with their intervals over places."""

    def bounds(reduce: Reduce) -> tuple[float | None, float | None]:
        return interval(lambda index: reduce(counted[index].mean(axis=-2)), len(counted), seed)

    mean = counted.mean(axis=0)
    low, high = bounds(value)
    score_low, score_high = bounds(score) if score else (None, None)
    return Estimate(
        value=float(value(mean)),
        low=low,
        high=high,
        places=len(counted),
        score=float(score(mean)) if score else None,
        score_low=score_low,
        score_high=score_high,
    )
