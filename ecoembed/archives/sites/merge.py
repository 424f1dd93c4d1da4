"""Claims of several sources become one value for each site and column; where sources disagree is reported.

The first source that knows a value wins. What must stay together (a latitude and its longitude) comes from one entry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from ecoembed.archives.sites.claims import FOLLOWS, Chosen, Claim, Claims, Source
from ecoembed.archives.sites.distance import great_circle_km

#: Sources disagree when they differ by more than this. Coordinates: three Sentinel-2 pixels, in m.
TOLERANCES = {"coordinates": 30.0, "elevation": 20.0, "utc_offset": 0.0, "igbp": 0.0}
#: Heights, in m: this share of the value, but never less than a decimetre.
HEIGHTS, HEIGHT_SHARE, HEIGHT_LEAST = ("canopy_height", "measurement_height", "aerodynamic_height"), 0.1, 0.1
#: No rounding sets coordinates farther apart than this, m: a wrong digit, another tower, or an exchange.
FAR = 1000.0

ORIGIN = ("site", "column", "value", "text", "source", "variable", "group", "date", "candidates")
CONFLICTS = ("site", "column", "value", "source", "other", "other_source", "difference", "unit")


def gather(sources: Sequence[Source]) -> tuple[Claims, int]:
    """The claims of all sources by site and column, in order; and how many sites are spelled in two ways.

    FLUXNET's site IDs differ in more than case, so ``US-ha1`` is ``US-Ha1``: the first spelling is kept.
    """
    spelled: dict[str, str] = {}
    others: set[str] = set()
    claims: Claims = defaultdict(list)
    for source in sources:
        for site in source.rows:
            if spelled.setdefault(site.upper(), site) != site:
                others.add(site.upper())
        for claim in source.claims:
            site = spelled[claim.site.upper()]
            claims[site, claim.column].append(claim._replace(site=site))
    return dict(claims), len(others)


def choose(claims: Claims) -> Chosen:
    """One claim for each site and column: the first, or that of the leader's entry."""
    chosen = {key: options[0] for key, options in claims.items() if key[1] not in FOLLOWS}
    for (site, column), options in claims.items():
        if column in FOLLOWS and (leader := chosen.get((site, FOLLOWS[column]))):
            same = (claim for claim in options if (claim.source, claim.group) == (leader.source, leader.group))
            if found := next(same, None):
                chosen[site, column] = found
    return chosen


def origin_table(chosen: Chosen, claims: Claims) -> pd.DataFrame:
    """Where each value comes from; ``candidates`` counts the different values that its source gives."""
    rows = []
    for key, claim in chosen.items():
        candidates = len({other.value for other in claims[key] if other.source == claim.source})
        rows.append((*key, claim.value, claim.text, claim.source, claim.variable, claim.group, claim.date, candidates))
    return pd.DataFrame(rows, columns=list(ORIGIN)).astype({"value": object})


def conflict_table(chosen: Chosen, claims: Claims) -> pd.DataFrame:
    """Where sources disagree with the value that was taken: one row for each site, column and source, at its widest.

    A source may disagree with itself (a tower was moved); not over canopy height, which grows.
    """
    rows = []
    for (site, column), taken in chosen.items():
        if column == "latitude":
            pairs = _coordinates(claims, site)
            if (here := pairs.get((taken.source, taken.group))) is None:
                continue
            distances = [(_metres(here, there), _pair(there), source) for (source, _), there in pairs.items()]
            rows += _disagreements(site, "coordinates", _pair(here), taken.source, distances, "m")
        elif column in TOLERANCES or column in HEIGHTS:
            differences = [
                (_difference(taken.value, claim.value), claim.value, claim.source)
                for claim in _compared(claims[site, column], taken)
            ]
            unit = "h" if column == "utc_offset" else "" if column == "igbp" else "m"
            rows += _disagreements(site, column, taken.value, taken.source, differences, unit)
    return pd.DataFrame(rows, columns=list(CONFLICTS)).astype({"value": object, "other": object})


def _compared(options: Iterable[Claim], taken: Claim) -> list[Claim]:
    if taken.column != "canopy_height":
        return list(options)
    best: dict[str, Claim] = {}
    for claim in options:
        best.setdefault(claim.source, claim)
    return list(best.values())


def _disagreements(
    site: str,
    column: str,
    value: float | str,
    source: str,
    differences: Iterable[tuple[float, float | str, str]],
    unit: str,
) -> list[tuple[object, ...]]:
    widest: dict[str, tuple[float, float | str]] = {}
    for difference, other, other_source in differences:
        if difference > max(widest.get(other_source, (0.0, ""))[0], _tolerance(column, value)):
            widest[other_source] = (difference, other)
    return [
        (site, column, value, source, other, name, gap if unit else np.nan, unit)
        for name, (gap, other) in widest.items()
    ]


def _tolerance(column: str, value: float | str) -> float:
    if column in HEIGHTS:
        return max(HEIGHT_LEAST, HEIGHT_SHARE * float(value))
    return TOLERANCES[column]


def _difference(value: float | str, other: float | str) -> float:
    if isinstance(value, str) or isinstance(other, str):
        return float(value != other)
    return abs(value - other)


def _coordinates(claims: Claims, site: str) -> dict[tuple[str, str], tuple[float, float]]:
    """Entry (source, group) -> latitude and longitude."""
    east = {(c.source, c.group): float(c.value) for c in claims.get((site, "longitude"), [])}
    north = {(c.source, c.group): float(c.value) for c in claims.get((site, "latitude"), [])}
    return {entry: (latitude, east[entry]) for entry, latitude in north.items() if entry in east}


def _metres(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Great-circle distance, to 0.1 m."""
    return round(1000 * float(great_circle_km(np.array(here), np.array(there))[0, 0]), 1)


def exchanged(value: str, other: str) -> bool:
    """Whether two pairs of coordinates, as :func:`conflict_table` writes them, agree once one is turned round."""
    (latitude, longitude), there = ([float(part) for part in pair.split(", ")] for pair in (value, other))
    return _metres((longitude, latitude), (there[0], there[1])) < FAR


def _pair(place: tuple[float, float]) -> str:
    return f"{place[0]}, {place[1]}"
