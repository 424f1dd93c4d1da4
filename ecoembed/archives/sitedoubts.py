"""What a reader of a site table is told: values that may be wrong, and what was left out or decided for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pandas as pd

from ecoembed.archives.claims import Chosen

#: Four decimals of a degree are 11 m, about one Sentinel-2 pixel.
DECIMALS = 4

#: Farther than this from ``longitude / 15``, in h, no civil time lies (western China comes closest).
MAX_OFFSET = 3.0


def doubts(
    table: pd.DataFrame, chosen: Chosen, conflicts: pd.DataFrame, left_out: Counter[str], respelled: int
) -> Iterator[str]:
    """One line for each kind of doubt, with counts and the first sites."""
    if left_out:
        shown = _shown([f"{number} {reason}" for reason, number in left_out.most_common()])
        yield f"{left_out.total()} entries left out ({shown})"
    if respelled:
        yield f"{respelled} sites are spelled in upper and in lower case; each is taken as one site"
    if rounded := _rounded(chosen):
        yield (
            f"the coordinates of {len(rounded)} of {len(table)} sites carry fewer than {DECIMALS} decimals "
            f"({_shown(rounded, ', ')}): a tower may stand tens of metres from where they say"
        )
    odd = table[_beside(table["utc_offset"], table["longitude"]).abs() > MAX_OFFSET]
    if len(odd):
        rows = zip(odd.index, odd["utc_offset"], odd["longitude"], strict=True)
        shown = _shown([f"{site}: {offset:+g} h at longitude {longitude:g}" for site, offset, longitude in rows])
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
            "a value was believed; merge_sites(...).conflicts lists them"
        )


def _rounded(chosen: Chosen) -> list[str]:
    """Sites whose coordinates, as they are written, have too few decimals."""

    def decimals(site: str) -> int:
        return min(len(chosen[site, column].text.partition(".")[2]) for column in ("latitude", "longitude"))

    return [site for site, column in chosen if column == "latitude" and decimals(site) < DECIMALS]


def _beside(offset: pd.Series, longitude: pd.Series) -> pd.Series:
    """Local time follows the sun to a few hours; beside the date line a whole day may lie between them."""
    return (offset - longitude / 15 + 12) % 24 - 12


def _shown(items: Sequence[str], separator: str = "; ") -> str:
    return separator.join([*items[:5], *(["..."] if len(items) > 5 else [])])
