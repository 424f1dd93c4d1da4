"""Which models are compared: the questions that a benchmark of embeddings is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ecoembed.validation.scores.rows import Model

__all__ = ["ASKED", "BASELINE", "default_pairs"]

#: One feature and a line through it: what any richer set must beat.
BASELINE = "nirv_x_radiation"
#: The set that the questions are about.
ASKED = "embeddings"
#: What may stand in the place of the embeddings.
_RIVALS = ("bands", "indices", "p_model", "embeddings:random")
#: What the embeddings alone are held against besides.
_RIVALS_ALONE = ("meteo", "climatology")


def default_pairs(r2: Mapping[Model, float]) -> Iterator[tuple[Model, Model]]:
    """The pairs of a benchmark, from the pooled r2 of its models.

    Each set against NIRv x radiation; each set with embeddings against the same set with bands, indices, the
    P-model or the embeddings of random weights in their place, and against the same set without them; the embeddings
    alone also against meteorology and the climatology. Where there is no NIRv x radiation, the best set against each
    other. A set stands with its best regressor, the other with the same one, so
    that features are compared; and, where it is better with another regressor, with that one too, so that nothing wins
    by its opponent's weak side.

    Examples
    --------
    >>> r2 = {("nirv_x_radiation", "ridge"): 0.6, ("embeddings", "ridge"): 0.5, ("embeddings", "lightgbm"): 0.7}
    >>> list(default_pairs(r2))
    [(('embeddings', 'lightgbm'), ('nirv_x_radiation', 'ridge'))]
    """
    sets: dict[frozenset[str], str] = {}
    for features, _ in r2:
        sets.setdefault(frozenset(features.split("+")), features)
    best = {name: max((m for m in r2 if m[0] == name), key=lambda m: _rank(r2[m])) for name in sets.values()}
    seen = set()
    for a, b in _questions(sets, best, r2):
        for other in dict.fromkeys([(b, best[a][1]), best[b]]):
            if other in r2 and (best[a], other) not in seen:
                seen.add((best[a], other))
                yield best[a], other


def _questions(
    sets: Mapping[frozenset[str], str], best: Mapping[str, Model], r2: Mapping[Model, float]
) -> Iterator[tuple[str, str]]:
    baseline = sets.get(frozenset([BASELINE]))
    if baseline is not None:
        yield from ((name, baseline) for name in sets.values() if name != baseline)
    else:
        first = max(sets.values(), key=lambda name: _rank(r2[best[name]]))
        yield from ((first, name) for name in sets.values() if name != first)
    for parts, name in sets.items():
        if ASKED in parts:
            rest = parts - {ASKED}
            others = [rest | {rival} for rival in _RIVALS if rival not in rest] + [rest]
            others += [] if rest else [frozenset([rival]) for rival in _RIVALS_ALONE]
            yield from ((name, sets[other]) for other in others if other in sets)


def _rank(r2: float) -> float:
    return r2 if r2 == r2 else float("-inf")  # NaN last
