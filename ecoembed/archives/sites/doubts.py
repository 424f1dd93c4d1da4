"""What a reader of a site table is told: values that may be wrong, and what was left out or decided for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ecoembed.archives.sites.claims import Chosen
from ecoembed.archives.sites.merge import CONFLICTS, FAR, exchanged

#: Four decimals of a degree are 11 m, about one Sentinel-2 pixel.
DECIMALS = 4

#: Farther than this from ``longitude / 15``, in h, no civil time lies (western China comes closest).
MAX_OFFSET = 3.0

_SIGN = " (is its sign wrong?)"
_EXCHANGED = " (are latitude and longitude exchanged?)"


def doubts(
    table: pd.DataFrame,
    chosen: Chosen,
    conflicts: pd.DataFrame,
    left_out: Counter[str],
    respelled: int,
    decimal_commas: int,
) -> Iterator[str]:
    """One line for each kind of doubt, with counts and the first sites."""
    if left_out:
        shown = _shown([f"{number} {reason}" for reason, number in left_out.most_common()])
        yield f"{left_out.total()} entries left out ({shown})"
    if decimal_commas:
        yield f"{decimal_commas} numbers with decimal commas, as the whole table is written: 1,5 was read as 1.5"
    if respelled:
        yield f"{respelled} sites are spelled in upper and in lower case; each is taken as one site"
    if rounded := _rounded(chosen):
        yield (
            f"the coordinates of {len(rounded)} of {len(table)} sites carry fewer than {DECIMALS} decimals "
            f"({_shown(rounded, ', ')}): a tower may stand tens of metres from where they say"
        )
    odd = table[_beside(table["utc_offset"], table["longitude"]).abs() > MAX_OFFSET]
    if len(odd):
        rows = zip(odd.index, odd["utc_offset"], odd["longitude"], _explained(odd), strict=True)
        shown = _shown(
            [f"{site}: {offset:+g} h at longitude {longitude:g}{why}" for site, offset, longitude, why in rows]
        )
        yield (
            f"utc_offset of {len(odd)} of {len(table)} sites differs from longitude / 15 by more than "
            f"{MAX_OFFSET:g} h ({shown}): expected local standard time minus UTC, in h"
        )
    below = table.index[table["measurement_height"] <= table["canopy_height"]]
    if len(below):
        yield (
            f"measurement_height is not above canopy_height at {len(below)} of {len(table)} sites "
            f"({_shown(below, ', ')}): both are in m above ground"
        )
    if len(conflicts):
        counts = Counter(conflicts.drop_duplicates(["site", "column"])["column"])
        shown = ", ".join(f"{column} {number}" for column, number in counts.most_common())
        yield (
            f"sources disagree at {conflicts['site'].nunique()} of {len(table)} sites ({shown}); the first that knew "
            f"a value was believed: {_told(conflicts)}; merge_sites(...).conflicts lists them"
        )


def earlier_conflicts(table: pd.DataFrame, files: Iterable[Path]) -> Iterator[str]:
    """What the conflicts beside merged tables say of these sites, as far as their values are still those."""
    for path in files:
        if not path.is_file():
            continue
        known = pd.read_csv(path, dtype=str, keep_default_na=False)
        if tuple(known.columns) != CONFLICTS:
            continue
        still = [_value(table, row.site, row.column) == row.value for row in known.itertuples()]
        if any(still):
            told = known[still].assign(difference=pd.to_numeric(known["difference"]))
            yield f"{path.name}: sources disagreed when this table was merged: {_told(told)}"


def _value(table: pd.DataFrame, site: str, column: str) -> str | None:
    if site not in table.index:
        return None
    names = ["latitude", "longitude"] if column == "coordinates" else [column]
    return ", ".join(str(table.loc[site, name]) for name in names)


def _told(conflicts: pd.DataFrame) -> str:
    """The disagreements in words, coordinates first and the widest of them first."""
    place = (conflicts["column"] != "coordinates").rename("place")
    order = pd.concat([place, -conflicts["difference"]], axis=1).sort_values(["place", "difference"]).index
    return _shown([_one(row) for row in conflicts.loc[order].itertuples()])


def _one(row: Any) -> str:
    text = f"{row.site} {row.column} {row.value} ({row.source}) against {row.other} ({row.other_source})"
    if row.column != "coordinates":
        return text
    far = row.difference > FAR
    apart = f"{row.difference / 1000:.1f} km apart" if far else f"{row.difference:.0f} m apart"
    turned = _EXCHANGED if far and exchanged(row.value, row.other) else ""
    return f"{text}, {apart}{turned}"


def _rounded(chosen: Chosen) -> list[str]:
    """Sites whose coordinates, as they are written, have too few decimals."""

    def decimals(site: str) -> int:
        return min(len(chosen[site, column].text.partition(".")[2]) for column in ("latitude", "longitude"))

    return [site for site, column in chosen if column == "latitude" and decimals(site) < DECIMALS]


def _beside(offset: pd.Series, longitude: pd.Series) -> pd.Series:
    """Local time follows the sun to a few hours; beside the date line a whole day may lie between them."""
    return (offset - longitude / 15 + 12) % 24 - 12


def _explained(odd: pd.DataFrame) -> list[str]:
    """The mistake that would explain each offset: a sign, or an exchange of the coordinates; empty where neither."""
    offset, latitude, longitude = odd["utc_offset"], odd["latitude"], odd["longitude"]
    sign = _beside(-offset, longitude).abs() <= MAX_OFFSET
    turned = (_beside(offset, latitude).abs() <= MAX_OFFSET) & (longitude.abs() <= 90)
    return [_SIGN if a else _EXCHANGED if b else "" for a, b in zip(sign, turned, strict=True)]


def _shown(items: Sequence[str], separator: str = "; ") -> str:
    return separator.join([*items[:5], *(["..."] if len(items) > 5 else [])])
