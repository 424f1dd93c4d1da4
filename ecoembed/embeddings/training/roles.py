"""Which places are trained on, which stop the training, and which only test: places go together, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ecoembed.embeddings.card import PlaceCard, one_place
from ecoembed.embeddings.training.places import Place
from ecoembed.errors import ConfigError, UnitError, VariableError


def split(
    places: list[Place], validation: int | None, rng: np.random.Generator, known: Sequence[PlaceCard] = ()
) -> list[Place]:
    """The places with their roles: `validation` of them (one in five by default) held out, drawn by `rng`.

    Cubes of one name, that overlap, or whose centres lie within 1 km, are one place and fall on one side; so are two
    that are one place with a third. Places that encoders which are kept were trained on (`known`) are not held out:
    they would not be unseen.

    Raises
    ------
    ConfigError
        If there are not so many places that could be held out, or none would be left to train on.
    """
    group = _groups(places)
    n, old = max(group) + 1, [card for card in known if card.role == "train"]
    seen = {g for place, g in zip(places, group, strict=True) if any(one_place(place.card, card) for card in old)}
    free = [g for g in rng.permutation(n).tolist() if g not in seen]
    n_held = min(n // 5, len(free)) if validation is None else validation
    if not 0 <= n_held < n:
        raise ConfigError("no place left to train on", found=f"{n_held} of {n} places held out")
    if n_held > len(free):
        found, expected = f"{len(free)} of {n} places", f"{n_held} to hold out"
        raise ConfigError("too few places that the kept encoders have not seen", found=found, expected=expected)
    roles = ("validation" if g in free[:n_held] else "train" for g in group)
    return [with_role(place, role) for place, role in zip(places, roles, strict=True)]


def _groups(places: list[Place]) -> list[int]:
    """The number of the group of each place, counted from 0."""
    boxes = [next(iter(place.cubes.values())).rio.transform_bounds(4326) for place in places]
    group = list(range(len(places)))
    for i, (place, (w, s, e, n)) in enumerate(zip(places, boxes, strict=True)):
        for k, (w2, s2, e2, n2) in enumerate(boxes[:i]):
            if (w < e2 and w2 < e and s < n2 and s2 < n) or one_place(places[k].card, place.card):
                group = [group[k] if g == group[i] else g for g in group]
    return [sorted(set(group)).index(g) for g in group]


def with_role(place: Place, role: str) -> Place:
    """The same place in another role: ``train``, ``validation`` or ``test``."""
    return replace(place, card=place.card.model_copy(update={"role": role}))


def check_together(places: list[Place], known: Sequence[PlaceCard] = ()) -> None:
    """Refuse places that do not go together; `known` are those that kept encoders were trained on.

    Raises
    ------
    VariableError
        If the cubes of one sensor were not smoothed alike.
    UnitError
        If they are gamma0 at some places and sigma0 at others.
    ConfigError
        If a place of the role ``test`` has the name of one that is learnt from, or overlaps it.
    """
    for sensor in places[0].smoothing:
        if len({place.smoothing[sensor] for place in places}) > 1:
            found = ", ".join(f"{place.card.id}: {place.smoothing[sensor]}" for place in places)
            raise VariableError(
                f"cubes of {sensor} are not smoothed alike", found=found, remedy="Build all with ecoembed cube"
            )
        declared = {place.quantity[sensor]: place.card.id for place in places if place.quantity[sensor]}
        if len(declared) > 1:
            found = ", ".join(f"{quantity} at {name}" for quantity, name in declared.items())
            remedy = "They differ by 1 dB on flat land, by more on slopes: take one product for all places"
            raise UnitError(
                f"cubes of {sensor} are gamma0 at some places and sigma0 at others", found=found, remedy=remedy
            )
    learnt = [place for place in places if place.card.role != "test"]
    known = [card for card in known if card.role != "test"]
    for test in (place for place in places if place.card.role == "test"):
        same = [f"{place.path} ({place.card.role})" for place in learnt if _overlap(test, place)]
        same += [f"{card.id} (known to the kept encoders)" for card in known if _holds(test, card)]
        if same:
            what = "a place to test on is, or overlaps, one that is learnt from"
            raise ConfigError(what, where=test.path, found=same[0], remedy="Leave one of the two out")


def _overlap(test: Place, other: Place) -> bool:
    a, b = (next(iter(place.cubes.values())) for place in (test, other))
    (w, s, e, n), (w2, s2, e2, n2) = a.rio.bounds(), b.rio.transform_bounds(a.rio.crs)
    return test.card.id == other.card.id or bool(w < e2 and w2 < e and s < n2 and s2 < n)


def _holds(test: Place, card: PlaceCard) -> bool:
    w, s, e, n = next(iter(test.cubes.values())).rio.transform_bounds(4326)
    return test.card.id == card.id or bool(w < card.longitude < e and s < card.latitude < n)
